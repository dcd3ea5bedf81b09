/* parent: the first process. It binds sockets, reads keys, starts the others and starts them again,
 * hands configurations on, and passes the questions of commands to the workers. It reads nothing
 * from the network.
 *
 * It holds one socket for each worker and address for as long as it runs, so that no connection is
 * reset when a worker dies. */
#include "base/event.h"
#include "base/list.h"
#include "base/must.h"
#include "base/num.h"
#include "bin/certificates.h"
#include "bin/control.h"
#include "bin/crashes.h"
#include "bin/layout.h"
#include "bin/link.h"
#include "bin/serve.h"
#include "bin/srs_key.h"
#include "counters/counters.h"
#include "sys/files.h"
#include "sys/process.h"
#include "sys/random.h"
#include "sys/sockets.h"

#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    RESTART_MAX_MS = 10 * 1000,
    HEALTHY_MS = 30 * 1000, /* a child that lived that long begins anew with short pauses */
    STOP_MS = 15 * 1000,
    SAVE_MS = 10 * 1000,
    LOOK_MS = 10 * 1000,  /* for renewed certificates */
    START_MS = 60 * 1000, /* a worker that takes longer to be ready is told of */
    TICKET_KEY = 48,
    LANES_MAX = 1024,
    TAKEN_LOOKS = 60, /* at an address that somebody has: three seconds */
};

enum kind { KIND_WORKER, KIND_KEEPER, KIND_RESOLVER, KIND_PAM, KIND_FETCHER, KINDS };
static const char *const kind_names[] = { "worker", "keeper", "resolver", "pam", "fetcher" };

static bool has_pam(const struct config *c) {
    for (size_t i = 0; i < c->logins.count; i++)
        if (bytes_starts(c->logins.list[i], B("pam:")))
            return true;
    return false;
}

/* Services: one process each, that others call over its socket. */
static const struct service_row {
    const char *socket, *argument;
    bool as_keeper;                            /* its account; else the workers' */
    bool keeper_calls;                         /* whose the socket is; else the workers' */
    bool (*is_wanted)(const struct config *c); /* NULL: always */
    /* A second socket, for the keeper; and with it secrets that workers are not given. */
    const char *keeper_socket;
} services[KINDS] = {
    [KIND_KEEPER] = { .socket = "run/keeper.sock",
                      .argument = "--child=keeper",
                      .as_keeper = true },
    [KIND_RESOLVER] = { .socket = "run/resolver.sock", .argument = "--child=resolver" },
    [KIND_PAM] = { .socket = "run/pam.sock",
                   .argument = "--child=pam",
                   .as_keeper = true,
                   .keeper_calls = true,
                   .is_wanted = has_pam },
    [KIND_FETCHER] = { .socket = "run/fetcher.sock",
                       .argument = "--child=fetcher",
                       .as_keeper = true,
                       .is_wanted = config_needs_fetcher,
                       .keeper_socket = "run/tokens.sock" },
};

struct parent;

struct child {
    struct parent *parent;
    enum kind kind;
    unsigned index; /* of a worker */
    pid_t pid;      /* 0: not running */
    struct link *link;
    struct timer restart;
    int64_t started, pause;
    bool ready;
    bool told_to_end; /* by us: its end is no event */
};

/* One address of one listener; one socket for each worker. */
struct socket_row {
    struct list_node node;
    struct arena *arena;
    struct bytes listener; /* "" is submit.sock */
    struct addr wanted;    /* as configured: port 0 is not what it got */
    struct bytes address;  /* as bound, text */
    int *fds;
    bool keep, fresh; /* while reloading: still named; newly bound */
};

struct parent {
    struct loop *loop;
    struct config *config;
    struct layout_accounts accounts;
    unsigned workers;
    struct child *children; /* workers first, then one of each service */
    size_t child_count;
    struct list sockets;
    struct counters *counters;
    int counters_fd, service_fds[KINDS], keeper_fds[KINDS];
    uint32_t lane_count;
    char ticket[TICKET_KEY];
    struct control *control;
    struct timer save, stop, look, late;
    struct crashes crashes;
    struct certificates *certificates;
    int lock;
    bool ready, stopping, reloading;
};

static int64_t wall_clock(void *loop) {
    return loop_wall(loop);
}

static int fail(const char *what, const struct why *why) {
    fprintf(stderr, "postern: %s: %s\n", what, why->text);
    return 78; /* EX_CONFIG */
}

/* --- sockets ----------------------------------------------------------------------------- */

static void close_row(struct parent *p, struct socket_row *row) {
    list_remove(&p->sockets, &row->node);
    for (unsigned i = 0; i < p->workers; i++)
        if (row->fds[i] >= 0)
            close(row->fds[i]);
    struct arena *a = row->arena;
    arena_close(&a);
}

static struct socket_row *new_row(struct parent *p, struct bytes listener) {
    struct arena *a = arena_open();
    struct socket_row *row = ARENA_NEW(a, struct socket_row);
    row->arena = a;
    row->listener = arena_copy(a, listener);
    row->fds = ARENA_ARRAY(a, p->workers, int);
    for (unsigned i = 0; i < p->workers; i++)
        row->fds[i] = -1;
    row->keep = true;
    list_append(&p->sockets, &row->node);
    return row;
}

static bool is_ours(const struct parent *p, uint16_t port) {
    LIST_EACH(&p->sockets, n) {
        const struct socket_row *row = CONTAINER_OF(n, struct socket_row, node);
        for (unsigned i = 0; i < p->workers; i++)
            if (row->fds[i] >= 0 && row->listener.len && sockets_bound(row->fds[i]).port == port)
                return true;
    }
    return false;
}

/* At the start a moment is given to the workers of a server that was killed: the kernel may still be
 * ending them. */
static bool stays_taken(const struct parent *p, struct addr at) {
    static const struct timespec moment = { 0, 50 * 1000 * 1000 };
    for (int i = 0; sockets_taken(at); i++) {
        if (p->children || i == TAKEN_LOOKS)
            return true;
        nanosleep(&moment, NULL);
    }
    return false;
}

/* The first socket may pick a port; the others of the row take the same. */
static enum rc bind_row(struct parent *p, struct socket_row *row, struct why *why) {
    struct addr at = row->wanted;
    if (!is_ours(p, at.port) && stays_taken(p, at)) {
        char text[80];
        struct buf b = buf_fixed(text, sizeof(text));
        addr_format_port(&b, at);
        return why_set(why, PERM, 0, NULL, "sockets.listen",
                       "listener %.*s: another program listens on %.*s already",
                       BYTES_FMT(row->listener), BYTES_FMT(buf_bytes(&b)));
    }
    for (unsigned i = 0; i < p->workers; i++) {
        enum rc rc = sockets_listen_tcp(at, &row->fds[i], why);
        if (rc != OK)
            return rc;
        at = sockets_bound(row->fds[i]);
    }
    char text[80];
    struct buf b = buf_fixed(text, sizeof(text));
    addr_format_port(&b, at);
    row->address = arena_copy(row->arena, buf_bytes(&b));
    return OK;
}

static struct socket_row *find_row(struct parent *p, struct bytes listener, struct addr wanted) {
    LIST_EACH(&p->sockets, n) {
        struct socket_row *row = CONTAINER_OF(n, struct socket_row, node);
        if (bytes_equal(row->listener, listener) && addr_equal(row->wanted, wanted) &&
            row->wanted.port == wanted.port && row->wanted.family == wanted.family)
            return row;
    }
    return NULL;
}

static struct bytes row_message(const struct socket_row *row, struct buf *b) {
    buf_clear(b);
    buf_lbytes(b, row->listener);
    buf_lbytes(b, row->address);
    return buf_bytes(b);
}

/* Binds what is new in this configuration; what is no longer named stays marked for closing. */
static enum rc bind_listeners(struct parent *p, const struct config *c, struct why *why) {
    LIST_EACH(&p->sockets, n) {
        struct socket_row *row = CONTAINER_OF(n, struct socket_row, node);
        row->keep = !row->listener.len;
    }
    for (size_t i = 0; i < c->listener_count; i++) {
        const struct listener *l = &c->listeners[i];
        if (l->service == SERVICE_ADMIN)
            continue;
        for (size_t j = 0; j < l->address_count; j++) {
            struct socket_row *row = find_row(p, l->name, l->addresses[j]);
            if (row) {
                row->keep = true;
                continue;
            }
            row = new_row(p, l->name);
            row->wanted = l->addresses[j];
            row->fresh = p->children != NULL; /* those that run must be told */
            if (bind_row(p, row, why) != OK) {
                close_row(p, row);
                return PERM;
            }
        }
    }
    return OK;
}

static enum rc bind_socket(struct parent *p, struct arena *a, const char *name, bool keeper_calls,
                           int *fd_out, struct why *why) {
    struct bytes path = layout_path(a, p->config, name);
    const struct account *caller = keeper_calls ? &p->accounts.keeper : &p->accounts.worker;
    enum rc rc = sockets_listen_unix(path, SOCK_SEQPACKET, 0600, fd_out, why);
    if (rc == OK && p->accounts.root && lchown(path.at, caller->uid, caller->gid))
        rc = why_set(why, PERM, 0, NULL, "files.denied", "Cannot hand %s to its callers", name);
    return rc;
}

static enum rc bind_service(struct parent *p, struct arena *a, enum kind kind, struct why *why) {
    const struct service_row *row = &services[kind];
    enum rc rc = bind_socket(p, a, row->socket, row->keeper_calls, &p->service_fds[kind], why);
    if (rc == OK && row->keeper_socket)
        rc = bind_socket(p, a, row->keeper_socket, true, &p->keeper_fds[kind], why);
    return rc;
}

static enum rc bind_doors(struct parent *p, struct why *why) {
    struct arena *a = arena_open();
    enum rc rc = OK;
    struct socket_row *row = new_row(p, BYTES_NONE);
    row->address = B("submit.sock");
    int submit = -1, control = -1;
    rc = sockets_listen_unix(layout_path(a, p->config, "run/submit.sock"), SOCK_STREAM, 0666,
                             &submit, why);
    for (unsigned i = 0; rc == OK && i < p->workers; i++)
        row->fds[i] = i ? dup(submit) : submit;
    for (int kind = KIND_WORKER + 1; rc == OK && kind < KINDS; kind++)
        rc = bind_service(p, a, (enum kind)kind, why);
    if (rc == OK)
        rc = sockets_listen_unix(layout_path(a, p->config, "run/control.sock"), SOCK_STREAM, 0666,
                                 &control, why);
    if (rc == OK && p->accounts.root &&
        lchown(layout_path(a, p->config, "run/control.sock").at, 0, p->accounts.worker.gid))
        rc = why_set(why, PERM, 0, NULL, "files.denied", "Cannot hand control.sock to its group");
    if (rc == OK)
        p->control =
            control_open(p->loop, control, p->accounts.root ? p->accounts.worker.gid : getegid());
    arena_close(&a);
    return rc;
}

/* --- children ---------------------------------------------------------------------------- */

/* worker: without what only the fetcher needs. */
static int freeze(const struct parent *p, bool worker) {
    struct buf b = buf_grow(64 * 1024 * 1024);
    if (worker)
        config_freeze_worker(&b, p->config);
    else
        config_freeze(&b, p->config);
    int fd = process_memfd("postern-config", buf_bytes(&b));
    MUST(fd >= 0);
    explicit_bzero(b.at, b.len);
    buf_free(&b);
    return fd;
}

static void send_config(struct parent *p, struct child *c) {
    int fd = freeze(p, true);
    link_send(c->link, LINK_CONFIG, BYTES_NONE, fd);
    close(fd);
}

static void send_number(struct child *c, enum link_type type, uint32_t n) {
    char memory[8];
    struct buf b = buf_fixed(memory, sizeof(memory));
    buf_le32(&b, n);
    link_send(c->link, type, buf_bytes(&b), -1);
}

static void send_setup(struct parent *p, struct child *c) {
    struct buf b = buf_grow(1024);
    buf_le32(&b, c->index);
    buf_le32(&b, p->workers);
    buf_le64(&b, random_u64());
    buf_lbytes(&b, bytes_of(p->ticket, TICKET_KEY));
    link_send(c->link, LINK_SETUP, buf_bytes(&b), -1);
    link_send(c->link, LINK_COUNTERS, BYTES_NONE, p->counters_fd);
    send_config(p, c);
    LIST_EACH(&p->sockets, n) {
        struct socket_row *row = CONTAINER_OF(n, struct socket_row, node);
        link_send(c->link, LINK_LISTEN, row_message(row, &b), row->fds[c->index]);
    }
    for (uint32_t lane = c->index; lane < p->lane_count; lane += p->workers)
        send_number(c, LINK_LANE, lane);
    struct message_id held[CRASHES_KEPT];
    size_t count = crashes_to_hold(&p->crashes, c->index, held);
    for (size_t i = 0; i < count; i++) {
        buf_clear(&b);
        buf_lbytes(&b, message_id_bytes(&held[i]));
        link_send(c->link, LINK_HOLD, buf_bytes(&b), -1);
    }
    link_send(c->link, LINK_START, BYTES_NONE, -1);
    buf_free(&b);
}

static void check_ready(struct parent *p);

static void on_message(void *ctx, enum link_type type, struct scan *body, int fd) {
    struct child *c = ctx;
    if (fd >= 0)
        close(fd);
    if (type == LINK_READY) {
        c->ready = true;
        check_ready(c->parent);
    } else if (type == LINK_ANSWER) {
        uint64_t question = scan_le64(body);
        enum answer_end end = (enum answer_end)scan_char(body);
        control_answer(c->parent->control, question, scan_lbytes(body), end);
    } else if (type == LINK_HELD) {
        crashes_forget(&c->parent->crashes, scan_lbytes(body));
    }
}

/* SIGCHLD tells the rest. */
static void on_link_end(void *ctx) {
    struct child *c = ctx;
    link_close(&c->link);
}

static const struct link_handler link_handler = { on_message, on_link_end };

static void start_child(void *ctx);

static void restart_later(struct child *c) {
    struct parent *p = c->parent;
    if (p->stopping)
        return;
    int64_t lived = loop_now(p->loop) - c->started;
    c->pause = lived >= HEALTHY_MS || !c->pause ? 100 : c->pause * 2;
    if (c->pause > RESTART_MAX_MS)
        c->pause = RESTART_MAX_MS;
    timer_set(p->loop, &c->restart, c->pause, start_child, c);
}

static void tell_failed_start(struct child *c, const struct why *why) {
    struct event *e = event_begin("child-not-started");
    event_str(e, "child", kind_names[c->kind]);
    event_why(e, why);
    event_end(e);
    restart_later(c);
}

static enum rc spawn_worker(struct child *c, struct why *why) {
    int pair[2];
    if (sockets_pair(SOCK_SEQPACKET, pair) < 0)
        return why_set(why, TEMP, 0, NULL, "backend.process", "No socket pair");
    static const char *const argv[] = { "postern", "serve", "--child=worker", NULL };
    struct process_fd fds[] = { { pair[1], LINK_FD } };
    enum rc rc = process_spawn(
        &(struct process_spawn){ argv, fds, 1,
                                 c->parent->accounts.root ? &c->parent->accounts.worker : NULL },
        &c->pid, why);
    close(pair[1]);
    if (rc != OK) {
        close(pair[0]);
        return rc;
    }
    c->link = link_open(c->parent->loop, pair[0], &link_handler, c);
    send_setup(c->parent, c);
    return OK;
}

static enum rc spawn_service(struct child *c, struct why *why) {
    struct parent *p = c->parent;
    const struct service_row *row = &services[c->kind];
    const char *const argv[] = { "postern", "serve", row->argument, NULL };
    bool second = row->keeper_socket != NULL;
    int config = freeze(p, !second);
    struct process_fd fds[] = { { p->service_fds[c->kind], 3 },
                                { config, 4 },
                                { p->keeper_fds[c->kind], 5 } };
    const struct account *account = row->as_keeper ? &p->accounts.keeper : &p->accounts.worker;
    enum rc rc = process_spawn(
        &(struct process_spawn){ argv, fds, second ? 3 : 2, p->accounts.root ? account : NULL },
        &c->pid, why);
    close(config);
    return rc;
}

static bool is_wanted(const struct child *c) {
    bool (*wanted)(const struct config *) = services[c->kind].is_wanted;
    return !wanted || wanted(c->parent->config);
}

static void start_child(void *ctx) {
    struct child *c = ctx;
    struct why why;
    c->started = loop_now(c->parent->loop);
    c->ready = c->kind != KIND_WORKER;
    if (!is_wanted(c))
        return;
    enum rc rc = c->kind == KIND_WORKER ? spawn_worker(c, &why) : spawn_service(c, &why);
    if (rc != OK)
        tell_failed_start(c, &why);
}

static void child_ended(struct child *c, int status) {
    struct parent *p = c->parent;
    struct arena *a = arena_open();
    pid_t pid = c->pid;
    c->pid = 0;
    link_close(&c->link);
    /* By the signal: it came before the child had begun to listen to it. */
    bool obeyed = WIFEXITED(status) ? WEXITSTATUS(status) == 0 : WTERMSIG(status) == SIGTERM;
    bool expected = (p->stopping || c->told_to_end) && obeyed;
    c->told_to_end = false;
    if (!expected) {
        struct event *e = event_begin("child-ended");
        event_str(e, "child", kind_names[c->kind]);
        event_u64(e, "pid", (uint64_t)pid);
        event_text(e, "how", process_ending(status, a));
        if (c->kind == KIND_WORKER)
            event_text(e, "message", counters_was_in_hand(p->counters, c->index));
        event_end(e);
    }
    if (c->kind == KIND_WORKER) {
        control_worker_gone(p->control, c->index);
        if (!expected)
            crashes_note(&p->crashes, c->index, counters_was_in_hand(p->counters, c->index));
        counters_worker_died(p->counters, c->index);
    }
    arena_close(&a);
    if (expected && !p->stopping)
        start_child(c); /* with the new configuration; its callers wait */
    else
        restart_later(c);
}

/* --- ready, stop, reload ----------------------------------------------------------------- */

static void ready_event(struct parent *p) {
    struct event *e = event_begin("ready");
    event_u64(e, "pid", (uint64_t)getpid());
    event_u64(e, "workers", p->workers);
    struct buf b = buf_grow(65536);
    buf_char(&b, '{');
    const char *between = "";
    for (size_t i = 0; i < p->config->listener_count; i++) {
        struct bytes name = p->config->listeners[i].name;
        buf_str(&b, between);
        buf_json(&b, name);
        buf_str(&b, ":[");
        between = ",";
        const char *comma = "";
        LIST_EACH(&p->sockets, n) {
            struct socket_row *row = CONTAINER_OF(n, struct socket_row, node);
            if (!bytes_equal(row->listener, name))
                continue;
            buf_str(&b, comma);
            buf_json(&b, row->address);
            comma = ",";
        }
        buf_char(&b, ']');
    }
    buf_char(&b, '}');
    event_json(e, "listeners", buf_bytes(&b));
    event_end(e);
    buf_free(&b);
}

static void check_ready(struct parent *p) {
    for (size_t i = 0; i < p->child_count; i++)
        if (!p->children[i].ready)
            return;
    if (p->ready && !p->reloading)
        return;
    if (!p->ready) {
        ready_event(p);
        process_forget_start();
    }
    p->ready = true;
    p->reloading = false;
    process_notify("READY=1");
}

static void check_stopped(struct parent *p) {
    for (size_t i = 0; i < p->child_count; i++)
        if (p->children[i].pid)
            return;
    loop_stop(p->loop);
}

static void kill_rest(void *ctx) {
    struct parent *p = ctx;
    for (size_t i = 0; i < p->child_count; i++)
        if (p->children[i].pid)
            kill(p->children[i].pid, SIGKILL);
}

static void end_services(struct parent *p) {
    for (size_t i = p->workers; i < p->child_count; i++) {
        p->children[i].told_to_end = p->children[i].pid != 0;
        if (p->children[i].pid)
            kill(p->children[i].pid, SIGTERM);
    }
}

/* Workers first; the keeper and the resolver serve them to the end. */
static void stop_services(struct parent *p) {
    for (unsigned i = 0; i < p->workers; i++)
        if (p->children[i].pid)
            return;
    end_services(p);
}

static void stop(struct parent *p, int signo) {
    if (p->stopping)
        return;
    p->stopping = true;
    process_notify("STOPPING=1");
    struct event *e = event_begin("stopping");
    event_str(e, "signal", signo == SIGINT ? "SIGINT" : "SIGTERM");
    event_end(e);
    for (size_t i = 0; i < p->child_count; i++) {
        timer_clear(&p->children[i].restart);
        if (p->children[i].link)
            link_send(p->children[i].link, LINK_DRAIN, BYTES_NONE, -1);
    }
    timer_set(p->loop, &p->stop, STOP_MS, kill_rest, p);
    stop_services(p);
    check_stopped(p);
}

static void on_child(void *ctx, int signo) {
    (void)signo;
    struct parent *p = ctx;
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (size_t i = 0; i < p->child_count; i++)
            if (p->children[i].pid == pid)
                child_ended(&p->children[i], status);
    if (p->stopping) {
        stop_services(p);
        check_stopped(p);
    }
}

static void refuse_reload(struct parent *p, const char *text) {
    p->reloading = false;
    struct event *e = event_begin("reload-refused");
    event_text(e, "file", p->config->file);
    event_str(e, "text", text);
    event_str(e, "remedy", "Correct what is named above; until then the old configuration holds");
    event_bool(e, "alarm", true);
    event_end(e);
    process_notify("READY=1");
}

/* Settings that a running server cannot change. */
static bool needs_restart(const struct config *a, const struct config *b) {
    return !bytes_equal(a->state_dir, b->state_dir) || !bytes_equal(a->run_as, b->run_as) ||
           !bytes_equal(a->keeper_as, b->keeper_as) || !bytes_equal(a->mail_dir, b->mail_dir) ||
           !bytes_equal(a->log, b->log) || a->workers != b->workers;
}

static void hand_out(struct parent *p) {
    struct buf b = buf_grow(4096);
    for (unsigned i = 0; i < p->workers; i++) {
        struct child *c = &p->children[i];
        if (!c->link)
            continue;
        send_config(p, c);
        LIST_EACH(&p->sockets, n) {
            struct socket_row *row = CONTAINER_OF(n, struct socket_row, node);
            if (!row->keep)
                link_send(c->link, LINK_UNLISTEN, row_message(row, &b), -1);
            else if (row->fresh)
                link_send(c->link, LINK_LISTEN, row_message(row, &b), row->fds[i]);
        }
    }
    buf_free(&b);
    LIST_EACH(&p->sockets, n) {
        struct socket_row *row = CONTAINER_OF(n, struct socket_row, node);
        row->fresh = false;
        if (!row->keep)
            close_row(p, row);
    }
}

static void close_fresh(struct parent *p) {
    LIST_EACH(&p->sockets, n) {
        struct socket_row *row = CONTAINER_OF(n, struct socket_row, node);
        if (row->fresh)
            close_row(p, row);
    }
}

/* After logrotate has moved the file away. The services have no link: they get the new one when they
 * are started anew. */
static void reopen_log(struct parent *p) {
    serve_reopen_log(p->config);
    for (unsigned i = 0; i < p->workers; i++)
        if (p->children[i].link)
            link_send(p->children[i].link, LINK_LOG, BYTES_NONE, STDERR_FILENO);
}

static enum rc load(struct parent *p, struct config **out, struct why *why) {
    struct config *fresh = *out = serve_load(p->config->file, false);
    if (!fresh)
        return why_set(why, PERM, 0, NULL, "config", "The configuration has errors");
    if (needs_restart(p->config, fresh))
        return why_set(why, PERM, 0, NULL, "config",
                       "state_dir, mail_dir, run_as, keeper_as, log or workers changed: restart "
                       "the server to change them");
    enum rc rc = certificates_fill(fresh, loop_wall(p->loop), why);
    if (rc == OK)
        rc = srs_key_fill(fresh, true, why);
    if (rc == OK && (rc = bind_listeners(p, fresh, why)) != OK)
        close_fresh(p);
    return rc;
}

/* Services that the old configuration had no use for. */
static void start_wanted(struct parent *p) {
    for (size_t i = p->workers; i < p->child_count; i++) {
        struct child *c = &p->children[i];
        if (!c->pid && !timer_is_set(&c->restart))
            start_child(c);
    }
}

/* A bad file changes nothing. The keeper and the resolver are started anew: callers wait in their
 * sockets' backlogs. */
static void reload(struct parent *p) {
    struct config *fresh;
    struct why why;
    p->reloading = true;
    process_notify_reloading();
    reopen_log(p);
    enum rc rc = load(p, &fresh, &why);
    end_services(p);
    if (rc != OK) {
        config_close(&fresh);
        refuse_reload(p, why.text);
        return;
    }
    struct config *old = p->config;
    p->config = fresh;
    certificates_read(p->certificates, fresh);
    start_wanted(p);
    hand_out(p);
    struct event *e = event_begin("reloaded");
    event_text(e, "file", fresh->file);
    event_end(e);
    config_close(&old);
    check_ready(p);
}

static void on_signal(void *ctx, int signo) {
    struct parent *p = ctx;
    if (signo == SIGHUP && !p->stopping)
        reload(p);
    else if (signo != SIGHUP)
        stop(p, signo);
}

/* --- alarms ------------------------------------------------------------------------------ */

/* The parent sends no mail: the first worker that runs is asked to. */
static void on_event(void *ctx, const char *name, struct bytes line) {
    struct parent *p = ctx;
    if (bytes_search(line, B("\"alarm\":true")) < 0)
        return;
    struct buf b = buf_grow(LINK_MAX);
    buf_lbytes(&b, bytes_str(name));
    buf_lbytes(&b, bytes_first(line, 8192));
    for (unsigned i = 0; i < p->workers && p->children; i++)
        if (p->children[i].link && p->children[i].ready) {
            link_send(p->children[i].link, LINK_ALARM, buf_bytes(&b), -1);
            break;
        }
    buf_free(&b);
}

/* --- renewed certificates ----------------------------------------------------------------- */

static void tell_unusable(const struct why *why) {
    struct event *e = event_begin("certificate-unusable");
    event_why(e, why);
    event_str(e, "remedy", "Put a working pair in place; until then the old one is used");
    event_bool(e, "alarm", true);
    event_end(e);
}

static void look(struct parent *p) {
    struct why why;
    enum rc rc = certificates_look(p->certificates, p->config, &why);
    if (rc == PERM)
        tell_unusable(&why);
    if (rc != OK)
        return;
    event_end(event_begin("certificate-reloaded"));
    for (unsigned i = 0; i < p->workers; i++)
        if (p->children[i].link)
            send_config(p, &p->children[i]);
}

static void look_tick(void *ctx) {
    struct parent *p = ctx;
    if (!p->stopping)
        look(p);
    timer_set(p->loop, &p->look, LOOK_MS, look_tick, p);
}

/* --- counters on disk -------------------------------------------------------------------- */

static void save_counters(struct parent *p) {
    struct arena *a = arena_open();
    struct buf b = buf_grow(64 * 1024 * 1024);
    counters_save(p->counters, &b, loop_now(p->loop), loop_wall(p->loop));
    struct why why;
    if (files_write(layout_path(a, p->config, "counters"), buf_bytes(&b), FILES_MODE(0600), &why) !=
        OK) {
        struct event *e = event_begin("counters-not-saved");
        event_why(e, &why);
        event_end(e);
    }
    buf_free(&b);
    arena_close(&a);
}

static void save_tick(void *ctx) {
    struct parent *p = ctx;
    save_counters(p);
    timer_set(p->loop, &p->save, SAVE_MS, save_tick, p);
}

static void load_counters(struct parent *p) {
    struct arena *a = arena_open();
    struct bytes saved;
    struct why why;
    if (files_read(layout_path(a, p->config, "counters"), 64 * 1024 * 1024, a, &saved, &why) == OK)
        counters_load(p->counters, saved, loop_now(p->loop), loop_wall(p->loop));
    arena_close(&a);
}

/* --- commands ---------------------------------------------------------------------------- */

static bool ask_worker(void *ctx, unsigned worker, enum link_type type, struct bytes body) {
    struct parent *p = ctx;
    if (worker >= p->workers || !p->children[worker].link)
        return false;
    return link_send(p->children[worker].link, type, body, -1);
}

/* --- the beginning ----------------------------------------------------------------------- */

/* As many lanes as there were ever workers: a lane that was used is served until it is empty. */
static enum rc count_lanes(struct parent *p, struct why *why) {
    struct arena *a = arena_open();
    struct bytes *names;
    size_t count;
    p->lane_count = p->workers;
    enum rc rc = files_list(layout_path(a, p->config, "spool"), 10000, a, &names, &count, why);
    for (size_t i = 0; rc == OK && i < count; i++) {
        uint64_t lane;
        if (bytes_to_u64(names[i], LANES_MAX - 1, &lane) && lane >= p->lane_count)
            p->lane_count = (uint32_t)lane + 1;
    }
    arena_close(&a);
    return rc;
}

static enum rc lock_state(struct parent *p, struct why *why) {
    struct arena *a = arena_open();
    struct why held;
    enum rc rc = files_lock(layout_path(a, p->config, "run/lock"), &p->lock, &held);
    if (rc != OK && bytes_equal(bytes_str(held.reason), B("files.locked")))
        why_set(why, PERM, 0, NULL, held.reason,
                "another server runs on state_dir %.*s (%s); nothing was changed",
                BYTES_FMT(p->config->state_dir), held.text);
    else if (rc != OK)
        *why = held;
    arena_close(&a);
    return rc;
}

/* The lock comes before anything is touched; where there is no directory for it yet, nobody runs. */
static enum rc prepare(struct parent *p, struct why *why) {
    enum rc rc = layout_accounts(p->config, &p->accounts, why);
    if (rc != OK)
        return rc;
    rc = lock_state(p, why);
    bool missing = rc != OK && bytes_equal(bytes_str(why->reason), B("files.missing"));
    if (rc == OK || missing)
        rc = layout_make(p->config, &p->accounts, why);
    if (rc == OK && missing)
        rc = lock_state(p, why);
    if (rc == OK)
        rc = certificates_fill(p->config, loop_wall(p->loop), why);
    if (rc == OK)
        rc = srs_key_fill(p->config, true, why);
    if (rc == OK)
        rc = counters_create(p->workers, &p->counters, &p->counters_fd, why);
    if (rc == OK)
        rc = count_lanes(p, why);
    if (rc == OK)
        rc = bind_listeners(p, p->config, why);
    if (rc == OK)
        rc = bind_doors(p, why);
    return rc;
}

/* What is left after this: binding low ports, changing a child's account, reading keys anew. */
static void give_up_rights(struct parent *p) {
    static const int keep[] = { CAP_NET_BIND_SERVICE, CAP_SETUID, CAP_SETGID, CAP_DAC_READ_SEARCH,
                                CAP_DAC_OVERRIDE,     CAP_KILL,   CAP_CHOWN,  CAP_FOWNER };
    struct why why;
    if (p->accounts.root && process_keep_capabilities(keep, COUNT_OF(keep), &why) != OK) {
        struct event *e = event_begin("rights-kept");
        event_why(e, &why);
        event_end(e);
    }
}

/* Not to be ready has a reason that somebody must mend; the events before say which. */
static void tell_late(void *ctx) {
    struct parent *p = ctx;
    if (p->ready || p->stopping)
        return;
    struct event *e = event_begin("not-ready");
    event_array(e, "waiting_for");
    for (size_t i = 0; i < p->child_count; i++) {
        char name[32];
        struct buf b = buf_fixed(name, sizeof(name));
        buf_printf(&b, "%s %u", kind_names[p->children[i].kind], p->children[i].index);
        if (!p->children[i].ready)
            event_item(e, buf_bytes(&b));
    }
    event_array_end(e);
    event_bool(e, "alarm", true);
    event_end(e);
    timer_set(p->loop, &p->late, START_MS, tell_late, p);
}

static void make_children(struct parent *p) {
    p->child_count = p->workers + KINDS - 1;
    p->children = calloc(p->child_count, sizeof(*p->children));
    MUST(p->children);
    for (size_t i = 0; i < p->child_count; i++) {
        struct child *c = &p->children[i];
        c->parent = p;
        c->index = (unsigned)i;
        c->kind = i < p->workers ? KIND_WORKER : (enum kind)(i - p->workers + 1);
    }
    /* Services first, so that the workers' first calls find them. */
    for (size_t i = p->child_count; i > 0; i--)
        start_child(&p->children[i - 1]);
}

int parent_run(struct config *config) {
    static struct parent parent;
    struct parent *p = &parent;
    struct why why;
    p->config = config;
    p->workers = config->workers;
    list_init(&p->sockets);
    process_hide_memory(); /* keys and passwords are in it */
    signal(SIGPIPE, SIG_IGN);
    p->loop = loop_open();
    event_open(wall_clock, p->loop);
    /* From the first moment, so that none ends us half-way; they are acted on once the loop runs. */
    signal_watch_open(p->loop, SIGCHLD, on_child, p);
    signal_watch_open(p->loop, SIGTERM, on_signal, p);
    signal_watch_open(p->loop, SIGINT, on_signal, p);
    signal_watch_open(p->loop, SIGHUP, on_signal, p);
    serve_open_log(config, true);
    event_listen(on_event, p);
    process_raise_files();
    random_octets(p->ticket, TICKET_KEY);
    if (prepare(p, &why) != OK)
        return fail("cannot start", &why);
    p->certificates = certificates_open();
    certificates_read(p->certificates, config);
    load_counters(p);
    give_up_rights(p);
    control_serve(p->control, p->workers, ask_worker, p);
    make_children(p);
    save_tick(p);
    timer_set(p->loop, &p->look, LOOK_MS, look_tick, p);
    timer_set(p->loop, &p->late, START_MS, tell_late, p);
    loop_run(p->loop);
    save_counters(p);
    return EXIT_SUCCESS;
}
