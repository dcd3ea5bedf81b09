/* worker: one of the processes that speak to the world: its own loop, lanes of the spool, sessions in
 * and deliveries out. Everything it works with comes from the parent over its link, and is opened in
 * one place, `start`. */
#include "base/event.h"
#include "base/list.h"
#include "base/must.h"
#include "bin/answer.h"
#include "bin/certificates.h"
#include "bin/layout.h"
#include "bin/link.h"
#include "bin/pipeline.h"
#include "bin/serve.h"
#include "fetcher/fetcher.h"
#include "report/report.h"
#include "spool/spool.h"
#include "sys/disk.h"
#include "sys/gateways.h"
#include "sys/names.h"
#include "sys/process.h"
#include "sys/random.h"
#include "sys/sandbox.h"
#include "sys/sockets.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    DRAIN_MS = 10 * 1000,
    LEASE_AGAIN_MS = 1000,
    GATEWAYS_AGAIN_MS = 60 * 1000,
    LEASE_TELL = 60, /* of the attempts */
    HISTORY_MS = 1000,
    CONFIG_MAX = 64 * 1024 * 1024,
    TICKET_KEY = 48,
    LANES_MAX = 1024,
    HOLDS_MAX = 64,
    INTERFACES_MAX = 256,
};

struct worker;

/* One listening socket. An empty listener name is submit.sock. */
struct door {
    struct list_node node;
    struct worker *worker;
    struct bytes listener;
    struct bytes address;
    int fd;
    struct stream_listener *open;
    struct tls_server *tls;
    struct arena *arena;
};

/* A configuration that was replaced; somebody may still look at it. */
struct retired {
    struct list_node node;
    struct config *config;
};

struct worker {
    struct loop *loop;
    struct link *link;
    unsigned index, workers;
    uint64_t seed;
    char ticket[TICKET_KEY];
    struct counters *counters;
    struct config *config;
    struct list retired;
    struct list doors;
    uint32_t lanes[LANES_MAX];
    enum { LANE_FREE, LANE_ASKED, LANE_LEASED } lane_states[LANES_MAX];
    size_t lane_count, lanes_leased, leases_failed;
    struct timer lease_timer, history_timer, gateways_timer;
    struct message_id holds[HOLDS_MAX];
    size_t hold_count;
    bool started, ready, draining;

    struct disk *disk;
    struct spool *spool;
    struct directory *directory;
    struct auth *auth;
    struct dns *dns;
    struct fetcher *fetcher;
    struct tls_client *tls;
    struct maildir *maildir;
    struct maildrops *maildrops;
    struct history *history;
    struct gateways *gateways;
    struct names *names;
    struct pipeline *pipeline;
    struct answers *answers;
    struct addr *own;
    size_t own_count;
};

static int64_t wall_clock(void *loop) {
    return loop_wall(loop);
}

_Noreturn static void give_up(const char *what, const struct why *why) {
    struct event *e = event_begin("worker-failed");
    event_str(e, "at", what);
    event_why(e, why);
    event_end(e);
    exit(EXIT_FAILURE);
}

/* --- doors ------------------------------------------------------------------------------- */

/* A process of this host, whose account's name is being looked up. */
struct visitor {
    struct worker *worker;
    struct stream *stream;
};

static void on_visitor(void *ctx, struct bytes name) {
    struct visitor *v = ctx;
    struct worker *w = v->worker;
    if (name.len)
        pipeline_local(w->pipeline, v->stream, name);
    else
        stream_abort(&v->stream);
    free(v);
}

static void on_accept(void *ctx, struct stream *s) {
    struct door *d = ctx;
    struct worker *w = d->worker;
    if (d->listener.len) {
        const struct listener *l = config_listener(w->config, d->listener);
        bool pop3 = l && l->service == SERVICE_POP3;
        (pop3 ? pipeline_retrieval : pipeline_session)(w->pipeline, s, d->listener, d->tls);
        return;
    }
    unsigned uid, gid;
    int pid;
    struct visitor *v = calloc(1, sizeof(*v));
    MUST(v);
    *v = (struct visitor){ w, s };
    if (stream_credentials(s, &uid, &gid, &pid)) {
        names_find(w->names, uid, on_visitor, v);
    } else {
        stream_abort(&s);
        free(v);
    }
}

/* The listener's own pair first, then those chosen by name. The parent has proved them; should they
 * fail all the same, the ones before are better than none. */
static void open_tls(struct worker *w, struct door *d) {
    const struct listener *l = config_listener(w->config, d->listener);
    struct tls_server *fresh = NULL;
    if (!l || l->tls == TLS_OFF || !l->chain_pem.len) {
        tls_server_close(&d->tls);
        return;
    }
    size_t count = w->config->certificate_count;
    struct tls_pair *pairs = calloc(count + 1, sizeof(*pairs));
    MUST(pairs);
    pairs[0] = (struct tls_pair){ BYTES_NONE, l->chain_pem, l->key_pem };
    for (size_t i = 0; i < count; i++) {
        const struct certificate *c = &w->config->certificates[i];
        pairs[i + 1] = (struct tls_pair){ c->name, c->chain_pem, c->key_pem };
    }
    struct why why;
    if (tls_server_open(pairs, count + 1, l->tls_min, bytes_of(w->ticket, TICKET_KEY), &fresh,
                        &why) == OK &&
        certificates_trust(w->config, fresh, &why) == OK) {
        tls_server_close(&d->tls);
        d->tls = fresh;
    } else {
        struct event *e = event_begin("certificate-unusable");
        event_text(e, "listener", d->listener);
        event_why(e, &why);
        event_bool(e, "alarm", true);
        event_end(e);
        tls_server_close(&fresh);
    }
    free(pairs);
}

static void open_door(struct worker *w, struct door *d) {
    open_tls(w, d);
    d->open = stream_listen(w->loop, d->fd, on_accept, d);
}

static void close_door(struct door *d) {
    struct worker *w = d->worker;
    list_remove(&w->doors, &d->node);
    if (d->open)
        stream_listener_close(&d->open);
    else
        close(d->fd);
    tls_server_close(&d->tls);
    struct arena *a = d->arena;
    arena_close(&a);
}

/* A listener on all addresses listens on each of them: the loop rule must know them one by one. */
static void collect_own_addresses(struct worker *w) {
    struct addr interfaces[INTERFACES_MAX];
    size_t count = sockets_interface_addresses(interfaces, INTERFACES_MAX);
    struct addr *before = w->own;
    w->own = calloc(w->doors.count * (count + 1) + 1, sizeof(*w->own));
    MUST(w->own);
    w->own_count = 0;
    LIST_EACH(&w->doors, n) {
        static const struct addr nowhere = { 0 };
        struct addr a;
        if (!addr_parse_port(CONTAINER_OF(n, struct door, node)->address, &a))
            continue;
        bool all = !memcmp(a.ip, nowhere.ip, sizeof(a.ip));
        for (size_t i = 0; all && i < count; i++)
            if (interfaces[i].family == a.family) {
                w->own[w->own_count] = interfaces[i];
                w->own[w->own_count++].port = a.port;
            }
        if (!all)
            w->own[w->own_count++] = a;
    }
    if (w->pipeline)
        pipeline_own_addresses(w->pipeline, w->own, w->own_count);
    free(before);
}

static void take_door(struct worker *w, struct scan *body, int fd) {
    struct arena *a = arena_open();
    struct door *d = ARENA_NEW(a, struct door);
    d->arena = a;
    d->worker = w;
    d->listener = arena_copy(a, scan_lbytes(body));
    d->address = arena_copy(a, scan_lbytes(body));
    d->fd = fd;
    list_append(&w->doors, &d->node);
    if (w->ready)
        open_door(w, d);
    if (w->started)
        collect_own_addresses(w);
}

static void drop_door(struct worker *w, struct scan *body) {
    struct bytes listener = scan_lbytes(body), address = scan_lbytes(body);
    LIST_EACH(&w->doors, n) {
        struct door *d = CONTAINER_OF(n, struct door, node);
        if (bytes_equal(d->listener, listener) && bytes_equal(d->address, address))
            close_door(d);
    }
    if (w->started)
        collect_own_addresses(w);
}

/* --- lanes ------------------------------------------------------------------------------- */

static void open_all_doors(struct worker *w) {
    w->ready = true;
    LIST_EACH(&w->doors, n)
    open_door(w, CONTAINER_OF(n, struct door, node));
    process_forget_start();
    link_send(w->link, LINK_READY, BYTES_NONE, -1);
}

static void lease_missing(void *ctx);

/* Somebody else has it: a command that works on a stopped server's queue, or a worker that is just
 * ending. Told the first time, and then once a minute. */
static void not_leased(struct worker *w, uint32_t lane, const struct why *why) {
    if (w->leases_failed++ % LEASE_TELL == 0) {
        struct event *e = event_begin("lane-not-leased");
        event_u64(e, "lane", lane);
        event_why(e, why);
        event_end(e);
    }
    if (!w->draining)
        timer_set(w->loop, &w->lease_timer, LEASE_AGAIN_MS, lease_missing, w);
}

static void on_leased(void *ctx, uint32_t lane, enum rc rc, const struct why *why) {
    struct worker *w = ctx;
    for (size_t i = 0; i < w->lane_count; i++)
        if (w->lanes[i] == lane)
            w->lane_states[i] = rc == OK ? LANE_LEASED : LANE_FREE;
    if (rc != OK) {
        not_leased(w, lane, why);
        return;
    }
    w->lanes_leased++;
    if (w->lanes_leased == w->lane_count && !w->ready && !w->draining)
        open_all_doors(w);
}

static void on_lane_read(void *ctx, uint32_t lane) {
    (void)ctx;
    (void)lane;
}

static void on_damage(void *ctx, uint32_t lane, struct bytes what) {
    (void)ctx;
    struct event *e = event_begin("spool-damage");
    event_u64(e, "lane", lane);
    event_text(e, "text", what);
    event_bool(e, "alarm", true);
    event_end(e);
}

static void lease_missing(void *ctx) {
    struct worker *w = ctx;
    static const struct spool_lane_events events = { on_leased, on_lane_read, on_damage };
    for (size_t i = 0; i < w->lane_count; i++)
        if (w->lane_states[i] == LANE_FREE) {
            w->lane_states[i] = LANE_ASKED;
            spool_lease(w->spool, w->lanes[i], &events, w);
        }
}

/* --- start ------------------------------------------------------------------------------- */

static enum rc is_gateway(void *ctx, struct addr client, bool *out) {
    struct worker *w = ctx;
    *out = w->gateways && gateways_has(w->gateways, client);
    return w->gateways ? OK : TEMP;
}

static void network_changed(void *ctx) {
    collect_own_addresses(ctx);
}

/* Until the routes can be read, nobody earns a grant by address alone. */
static void watch_gateways(void *ctx) {
    struct worker *w = ctx;
    struct why why;
    w->gateways = gateways_open(w->loop, &why);
    if (w->gateways) {
        gateways_on_change(w->gateways, network_changed, w);
        return;
    }
    struct event *e = event_begin("gateways-unknown");
    event_why(e, &why);
    event_bool(e, "alarm", true);
    event_end(e);
    timer_set(w->loop, &w->gateways_timer, GATEWAYS_AGAIN_MS, watch_gateways, w);
}

static void history_tick(void *ctx) {
    struct worker *w = ctx;
    history_flush(w->history, loop_wall(w->loop));
    timer_set(w->loop, &w->history_timer, HISTORY_MS, history_tick, w);
}

static void operate(void *ctx, enum schedule_order order, struct message_id id, struct bytes who,
                    void (*done)(void *arg, enum rc rc, size_t changed, const struct why *why),
                    void *arg) {
    struct worker *w = ctx;
    pipeline_operate(w->pipeline, order, id, who, done, arg);
}

static void send_answer(void *ctx, uint64_t question, struct bytes lines, enum answer_end end) {
    struct worker *w = ctx;
    struct buf b = buf_grow(LINK_MAX);
    buf_le64(&b, question);
    buf_char(&b, (char)end);
    buf_lbytes(&b, lines);
    link_send(w->link, LINK_ANSWER, buf_bytes(&b), -1);
    buf_free(&b);
}

/* Before any thread runs, and after all that reads outside of STATE has been read. Of STATE only what is
 * the workers': where all processes have one account, nothing else keeps them from the keeper's
 * passwords and the fetcher's refresh tokens. */
static void enter_sandbox(struct worker *w, struct arena *a) {
    struct bytes writable[] = {
        layout_path(a, w->config, "spool"),
        layout_path(a, w->config, "history"),
        layout_path(a, w->config, "directory"),
        w->config->mail_dir,
    };
    struct bytes readable[] = { B("/etc"), B("/usr/share"), B("/usr/lib"), B("/proc"), B("/dev") };
    struct why why;
    if (sandbox_enter(
            &(struct sandbox){
                .kind = SANDBOX_WORKER,
                .writable = writable,
                .writable_count = COUNT_OF(writable),
                .readable = readable,
                .readable_count = COUNT_OF(readable),
            },
            &why) != OK)
        give_up("sandbox", &why);
}

static void open_services(struct worker *w, struct arena *a) {
    const struct config *c = w->config;
    struct why why;
    w->disk = disk_open(layout_path(a, c, "spool").at);
    if (!w->disk) {
        why_backend(&why, "backend.spool", "The spool cannot be opened");
        give_up("spool", &why);
    }
    w->spool = spool_open(w->loop,
                          &(struct spool_setup){ .disk = w->disk, .min_free = c->queue.min_free });
    if (directory_open(w->loop, layout_directory_file(a, c).at, &w->directory, &why) != OK)
        give_up("directory", &why);
    w->auth = auth_open_channel(w->loop, layout_path(a, c, "run/keeper.sock").at);
    w->dns = dns_open_channel(w->loop, layout_path(a, c, "run/resolver.sock").at);
    w->names = names_open(w->loop);
    w->fetcher = fetcher_open_channel(w->loop, layout_path(a, c, "run/fetcher.sock").at);
    w->maildir = maildir_open(w->loop, arena_str(a, c->mail_dir), arena_str(a, c->hostname));
    w->maildrops = maildrops_open(w->loop, arena_str(a, c->mail_dir), MAILDROP_MOST);
    if (history_open(layout_path(a, c, "history").at, c->history_keep, c->history_max_size,
                     w->index, &w->history, &why) != OK)
        give_up("history", &why);
    event_listen(history_event, w->history);
    history_tick(w);
}

static void on_held(void *ctx, struct message_id id) {
    struct worker *w = ctx;
    char memory[64];
    struct buf b = buf_fixed(memory, sizeof(memory));
    buf_lbytes(&b, message_id_bytes(&id));
    link_send(w->link, LINK_HELD, buf_bytes(&b), -1);
}

static const struct config *current_config(void *ctx) {
    const struct worker *w = ctx;
    return w->config;
}

static void start(struct worker *w) {
    struct arena *a = arena_open();
    struct why why;
    MUST(w->config && w->counters && !w->started);
    w->started = true;
    serve_open_log(w->config, false);
    process_raise_files();
    watch_gateways(w);
    if (tls_client_open(BYTES_NONE, &w->tls, &why) != OK)
        give_up("TLS", &why);
    collect_own_addresses(w);
    enter_sandbox(w, a);
    open_services(w, a);
    w->pipeline = pipeline_open(
        &(struct pipeline_setup){
            .loop = w->loop,
            .store = spool_store(w->spool),
            .directory = w->directory,
            .auth = w->auth,
            .counters = w->counters,
            .dns = w->dns,
            .fetcher = w->fetcher,
            .tls = w->tls,
            .maildir = w->maildir,
            .maildrops = w->maildrops,
            .is_gateway = is_gateway,
            .gateway_ctx = w,
            .own_addresses = w->own,
            .own_address_count = w->own_count,
            .seed = w->seed,
            .on_held = on_held,
            .held_ctx = w,
        },
        w->config);
    for (size_t i = 0; i < w->hold_count; i++)
        pipeline_hold_back(w->pipeline, w->holds[i]);
    w->answers = answers_open(&(struct answers_setup){ .store = spool_store(w->spool),
                                                       .counters = w->counters,
                                                       .loop = w->loop,
                                                       .directory = w->directory,
                                                       .auth = w->auth,
                                                       .config = current_config,
                                                       .is_gateway = is_gateway,
                                                       .operate = operate,
                                                       .send = send_answer,
                                                       .ctx = w });
    lease_missing(w);
    arena_close(&a);
}

/* --- a new configuration ----------------------------------------------------------------- */

static void free_retired(struct worker *w, struct retired *r) {
    list_remove(&w->retired, &r->node);
    config_close(&r->config);
    free(r);
}

/* Nobody looks at it any more. */
static void release(void *ctx, const struct config *old) {
    struct worker *w = ctx;
    LIST_EACH(&w->retired, n) {
        struct retired *r = CONTAINER_OF(n, struct retired, node);
        if (r->config == old)
            free_retired(w, r);
    }
}

static void retire(struct worker *w, struct config *old) {
    struct retired *r = calloc(1, sizeof(*r));
    MUST(r);
    r->config = old;
    list_append(&w->retired, &r->node);
}

static void take_config(struct worker *w, int fd) {
    struct arena *a = arena_open();
    struct bytes frozen;
    struct config *config = NULL;
    struct why why;
    if (process_memfd_read(fd, CONFIG_MAX, a, &frozen, &why) != OK ||
        config_thaw(frozen, &config) != OK) {
        why_set(&why, PERM, 0, NULL, "backend.config", "The parent's configuration is unreadable");
        give_up("configuration", &why);
    }
    arena_close(&a);
    if (!w->started) {
        w->config = config;
        return;
    }
    retire(w, w->config);
    w->config = config;
    LIST_EACH(&w->doors, n)
    open_tls(w, CONTAINER_OF(n, struct door, node));
    pipeline_reload(w->pipeline, config, release, w);
}

/* --- the end ----------------------------------------------------------------------------- */

static void on_drained(void *ctx) {
    struct worker *w = ctx;
    loop_stop(w->loop);
}

static void drain(struct worker *w) {
    if (w->draining)
        return;
    w->draining = true;
    if (!w->pipeline) {
        loop_stop(w->loop);
        return;
    }
    timer_clear(&w->lease_timer);
    LIST_EACH(&w->doors, n)
    close_door(CONTAINER_OF(n, struct door, node));
    pipeline_drain(w->pipeline, DRAIN_MS, on_drained, w);
}

static void close_all(struct worker *w) {
    answers_close(&w->answers);
    timer_clear(&w->history_timer);
    timer_clear(&w->gateways_timer);
    timer_clear(&w->lease_timer);
    LIST_EACH(&w->doors, n)
    close_door(CONTAINER_OF(n, struct door, node));
    names_close(&w->names);
    pipeline_close(&w->pipeline);
    spool_close(&w->spool);
    disk_close(&w->disk);
    directory_close(&w->directory);
    auth_close(&w->auth);
    if (w->dns)
        dns_close(&w->dns);
    fetcher_close(&w->fetcher);
    maildir_close(&w->maildir);
    maildrops_close(&w->maildrops);
    tls_client_close(&w->tls);
    gateways_close(&w->gateways);
    if (w->history) {
        event_unlisten(history_event, w->history);
        history_flush(w->history, loop_wall(w->loop));
        history_close(&w->history);
    }
    LIST_EACH(&w->retired, n)
    free_retired(w, CONTAINER_OF(n, struct retired, node));
    config_close(&w->config);
    counters_close(&w->counters);
    link_close(&w->link);
    free(w->own);
}

/* --- the link ---------------------------------------------------------------------------- */

static void on_setup(struct worker *w, struct scan *body, int fd) {
    (void)fd;
    w->index = scan_le32(body);
    w->workers = scan_le32(body);
    w->seed = scan_le64(body);
    struct bytes key = scan_lbytes(body);
    MUST(!body->bad && key.len == TICKET_KEY);
    memcpy(w->ticket, key.at, TICKET_KEY);
}

static void on_counters(struct worker *w, struct scan *body, int fd) {
    (void)body;
    struct why why;
    if (counters_map(fd, w->index, &w->counters, &why) != OK)
        give_up("counters", &why);
    close(fd);
}

static void on_config(struct worker *w, struct scan *body, int fd) {
    (void)body;
    take_config(w, fd);
    close(fd);
}

static void on_unlisten(struct worker *w, struct scan *body, int fd) {
    (void)fd;
    drop_door(w, body);
}

static void on_lane(struct worker *w, struct scan *body, int fd) {
    (void)fd;
    MUST(w->lane_count < LANES_MAX);
    w->lanes[w->lane_count++] = scan_le32(body);
}

static void on_start(struct worker *w, struct scan *body, int fd) {
    (void)body;
    (void)fd;
    start(w);
}

static void on_hold(struct worker *w, struct scan *body, int fd) {
    (void)fd;
    struct message_id id;
    if (!message_id_parse(scan_lbytes(body), &id) || w->hold_count == HOLDS_MAX)
        return;
    w->holds[w->hold_count++] = id;
}

static void on_ask(struct worker *w, struct scan *body, int fd) {
    (void)fd;
    uint64_t question = scan_le64(body);
    if (w->answers)
        answers_ask(w->answers, question, scan_lbytes(body));
    else
        send_answer(w, question, B("{\"error\":\"this worker is still starting\"}\n"), false);
}

static void on_next(struct worker *w, struct scan *body, int fd) {
    (void)fd;
    if (w->answers)
        answers_next(w->answers, scan_le64(body));
}

static void on_stop(struct worker *w, struct scan *body, int fd) {
    (void)fd;
    if (w->answers)
        answers_stop(w->answers, scan_le64(body));
}

static void on_log(struct worker *w, struct scan *body, int fd) {
    (void)w;
    (void)body;
    dup2(fd, STDERR_FILENO);
    close(fd);
}

static void on_alarm(struct worker *w, struct scan *body, int fd) {
    (void)fd;
    struct arena *a = arena_open();
    const char *name = arena_str(a, scan_lbytes(body));
    struct bytes line = scan_lbytes(body);
    if (w->pipeline && !body->bad)
        pipeline_alarm(w->pipeline, name, line);
    arena_close(&a);
}

static void on_drain(struct worker *w, struct scan *body, int fd) {
    (void)body;
    (void)fd;
    drain(w);
}

static void (*const on_type[])(struct worker *w, struct scan *body, int fd) = {
    [LINK_SETUP] = on_setup,   [LINK_COUNTERS] = on_counters, [LINK_CONFIG] = on_config,
    [LINK_LISTEN] = take_door, [LINK_UNLISTEN] = on_unlisten, [LINK_LANE] = on_lane,
    [LINK_START] = on_start,   [LINK_HOLD] = on_hold,         [LINK_ASK] = on_ask,
    [LINK_NEXT] = on_next,     [LINK_STOP] = on_stop,         [LINK_LOG] = on_log,
    [LINK_DRAIN] = on_drain,   [LINK_ALARM] = on_alarm,
};

static void on_message(void *ctx, enum link_type type, struct scan *body, int fd) {
    MUST((size_t)type < COUNT_OF(on_type) && on_type[type]);
    on_type[type](ctx, body, fd);
}

/* Without a parent nobody would restart or stop us. */
static void on_parent_gone(void *ctx) {
    drain(ctx);
}

int worker_run(void) {
    static const struct link_handler handler = { on_message, on_parent_gone };
    static struct worker w;
    process_set_title("postern-worker");
    process_hide_memory();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGINT, SIG_IGN); /* a terminal's Ctrl-C goes to all of us: the parent drains us */
    signal(SIGTERM, SIG_IGN);
    list_init(&w.doors);
    list_init(&w.retired);
    w.loop = loop_open();
    event_open(wall_clock, w.loop);
    w.link = link_open(w.loop, LINK_FD, &handler, &w);
    loop_run(w.loop);
    close_all(&w);
    loop_close(&w.loop);
    return EXIT_SUCCESS;
}
