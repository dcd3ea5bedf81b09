/* world: the server under test on a simulated machine: the real pipeline, spool, directory, keeper and
 * Maildir in a folder of its own; DNS from the script's zone. */
#include "base/event.h"
#include "base/must.h"
#include "decide/decide.h"
#include "fetcher/fetcher.h"
#include "talk.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct pair_row {
    struct list_node node;
    struct tls_server *tls;
};

struct listener_row {
    struct list_node node;
    struct world *world;
    struct bytes name;
    struct stream_listener *open;
    struct tls_server *tls;
};

/* --- events ------------------------------------------------------------------------------ */

static void on_event(void *ctx, const char *name, struct bytes line) {
    (void)name;
    struct world *w = ctx;
    struct event_line *e = ARENA_NEW(w->arena, struct event_line);
    e->line = arena_copy(w->arena, line);
    list_append(&w->events, &e->node);
}

static int64_t wall_clock(void *loop) {
    return loop_wall(loop);
}

/* --- DNS --------------------------------------------------------------------------------- */

struct zone_row {
    struct list_node node;
    struct bytes name, type, value;
};

struct question {
    struct timer timer;
    struct world *world;
    struct bytes name;
    enum dns_type type;
    dns_answered *on_answer;
    void *ctx;
};

void world_zone(struct world *w, struct bytes name, struct bytes type, struct bytes value) {
    struct zone_row *z = ARENA_NEW(w->arena, struct zone_row);
    *z = (struct zone_row){
        { 0 }, arena_lower(w->arena, name), arena_lower(w->arena, type), arena_copy(w->arena, value)
    };
    list_append(&w->zone, &z->node);
}

static bool fill_record(struct arena *a, enum dns_type type, struct bytes value,
                        struct dns_record *r) {
    *r = (struct dns_record){ 0 };
    if (type == DNS_A || type == DNS_AAAA)
        return addr_parse(value, &r->address);
    if (type != DNS_MX) {
        r->name = r->data = value;
        return true;
    }
    struct bytes number;
    uint64_t preference = 0;
    bytes_split(&value, ' ', &number);
    if (!bytes_to_u64(number, 65535, &preference))
        return false;
    r->preference = (uint16_t)preference;
    value = bytes_trim(value);
    r->name = bytes_equal(value, B(".")) ? BYTES_NONE : arena_lower(a, value);
    return true;
}

static void answer(void *ctx) {
    struct question *q = ctx;
    struct arena *a = arena_open();
    struct dns_answer out = { .rc = OK, .canonical = q->name };
    struct dns_record *records = ARENA_ARRAY(a, 64, struct dns_record);
    struct bytes name = q->name;
    for (int hops = 0; hops < 8; hops++) {
        struct bytes next = BYTES_NONE;
        LIST_EACH(&q->world->zone, n) {
            struct zone_row *z = CONTAINER_OF(n, struct zone_row, node);
            if (!bytes_equal_nocase(z->name, name))
                continue;
            out.exists = true;
            out.bogus |= bytes_equal(z->type, B("bogus"));
            if (bytes_equal(z->type, B("servfail")) || out.bogus)
                out.rc = why_set(&out.why, TEMP, 451, "4.4.3", "dns.failed",
                                 "DNS: server failure for %.*s", BYTES_FMT(name));
            if (bytes_equal(z->type, B("cname")))
                next = z->value;
            if (bytes_equal_nocase(z->type, bytes_str(dns_type_name(q->type))) && out.count < 64 &&
                fill_record(a, q->type, z->value, &records[out.count]))
                out.count++;
        }
        if (!next.len)
            break;
        out.canonical = name = next;
    }
    out.records = records;
    q->on_answer(q->ctx, &out);
    arena_close(&a);
    free(q);
}

static uint64_t dns_ask(void *self, struct bytes name, enum dns_type type, dns_answered *on_answer,
                        void *ctx) {
    struct world *w = self;
    struct question *q = calloc(1, sizeof(*q));
    MUST(q);
    q->world = w;
    q->name = arena_lower(w->arena, name);
    q->type = type;
    q->on_answer = on_answer;
    q->ctx = ctx;
    timer_set(w->loop, &q->timer, 1, answer, q);
    return (uint64_t)(uintptr_t)q;
}

static void dns_cancel(void *self, uint64_t question) {
    (void)self;
    struct question *q = (struct question *)(uintptr_t)question;
    timer_clear(&q->timer);
    free(q);
}

static void dns_nothing(void *self) {
    (void)self;
}

/* --- a disk that fails when told to ------------------------------------------------------ */

static struct disk *real(void *ctx) {
    return ((struct world *)ctx)->disk;
}

static int faulty_open(void *ctx, const char *path, bool create) {
    struct world *w = ctx;
    if (w->crashed)
        return -EIO;
    if (create && w->disk_full)
        return -ENOSPC;
    return real(ctx)->open(real(ctx)->ctx, path, create);
}
static int faulty_close(void *ctx, int file) {
    return real(ctx)->close(real(ctx)->ctx, file);
}
static int faulty_write(void *ctx, int file, uint64_t offset, const struct iovec *parts,
                        int count) {
    struct world *w = ctx;
    if (w->disk_full)
        return -ENOSPC;
    if (w->disk_eio || w->crashed)
        return -EIO;
    return real(ctx)->write(real(ctx)->ctx, file, offset, parts, count);
}
static int64_t faulty_read(void *ctx, int file, uint64_t offset, void *into, size_t size) {
    return real(ctx)->read(real(ctx)->ctx, file, offset, into, size);
}
static int64_t faulty_size(void *ctx, int file) {
    return real(ctx)->size(real(ctx)->ctx, file);
}
static int faulty_truncate(void *ctx, int file, uint64_t size) {
    if (((struct world *)ctx)->crashed)
        return -EIO;
    return real(ctx)->truncate(real(ctx)->ctx, file, size);
}
static int faulty_reserve(void *ctx, int file, uint64_t offset, uint64_t size) {
    struct world *w = ctx;
    return w->disk_full ? -ENOSPC : real(ctx)->reserve(real(ctx)->ctx, file, offset, size);
}
static int faulty_sync(void *ctx, int file) {
    struct world *w = ctx;
    return w->sync_eio || w->crashed ? -EIO : real(ctx)->sync(real(ctx)->ctx, file);
}
static int faulty_sync_dir(void *ctx, const char *path) {
    return real(ctx)->sync_dir(real(ctx)->ctx, path);
}
static int faulty_make_dir(void *ctx, const char *path) {
    return real(ctx)->make_dir(real(ctx)->ctx, path);
}
static int faulty_rename(void *ctx, const char *from, const char *to) {
    if (((struct world *)ctx)->crashed)
        return -EIO;
    return real(ctx)->rename(real(ctx)->ctx, from, to);
}
static int faulty_unlink(void *ctx, const char *path) {
    if (((struct world *)ctx)->crashed)
        return -EIO;
    return real(ctx)->unlink(real(ctx)->ctx, path);
}
static int faulty_list(void *ctx, const char *path, void (*each)(void *arg, const char *name),
                       void *arg) {
    return real(ctx)->list(real(ctx)->ctx, path, each, arg);
}
static int faulty_lock(void *ctx, int file) {
    return real(ctx)->lock(real(ctx)->ctx, file);
}
/* Plenty, unless it is full: what the test machine has does not matter. */
static int faulty_space(void *ctx, uint64_t *free_out, uint64_t *total_out,
                        uint64_t *free_inodes_out, uint64_t *inodes_out) {
    struct world *w = ctx;
    *total_out = *inodes_out = 1000000000;
    *free_out = *free_inodes_out = w->disk_full ? 1000 : 500000000;
    return 0;
}

static const struct disk faulty_disk = {
    .open = faulty_open,
    .close = faulty_close,
    .write = faulty_write,
    .read = faulty_read,
    .size = faulty_size,
    .truncate = faulty_truncate,
    .reserve = faulty_reserve,
    .sync = faulty_sync,
    .sync_dir = faulty_sync_dir,
    .make_dir = faulty_make_dir,
    .rename = faulty_rename,
    .unlink = faulty_unlink,
    .list = faulty_list,
    .lock = faulty_lock,
    .space = faulty_space,
};

/* --- opening and closing ----------------------------------------------------------------- */

static const char *path_of(struct world *w, const char *name) {
    return arena_printf(w->arena, "%s/%s", w->folder, name).at;
}

struct world *world_open(void) {
    struct arena *a = arena_open();
    struct world *w = ARENA_NEW(a, struct world);
    w->arena = a;
    w->loop = loop_open();
    w->authorities = buf_grow(1 << 20);
    list_init(&w->zone);
    list_init(&w->events);
    list_init(&w->listeners);
    list_init(&w->pairs);
    list_init(&w->retired);
    w->dns = (struct dns){ .self = w, .ask = dns_ask, .cancel = dns_cancel, .close = dns_nothing };
    const char *base = getenv("TMPDIR");
    snprintf(w->folder, sizeof(w->folder), "%s/postern-talk-XXXXXX", base ? base : "/tmp");
    MUST(mkdtemp(w->folder));
    MUST(mkdir(path_of(w, "spool"), 0700) == 0 && mkdir(path_of(w, "mail"), 0700) == 0);
    event_open(wall_clock, w->loop);
    event_listen(on_event, w);
    sim_reset();
    return w;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static bool has_error(struct world *w, const struct config_findings *findings,
                      const char **error_out) {
    for (size_t i = 0; i < findings->count; i++) {
        const struct config_finding *f = &findings->list[i];
        if (f->severity != FINDING_ERROR)
            continue;
        *error_out = arena_printf(w->arena, "configuration line %d: %.*s: %.*s", f->place.line - 2,
                                  BYTES_FMT(f->setting), BYTES_FMT(f->text))
                         .at;
        return true;
    }
    return false;
}

bool world_configure(struct world *w, struct bytes text, const char **error_out) {
    struct config_findings findings = { 0 };
    struct bytes whole = arena_printf(w->arena, "state_dir = \"%s\"\nrun_as = \"root\"\n%.*s",
                                      w->folder, BYTES_FMT(text));
    config_close(&w->config);
    enum rc rc = config_parse(B("talk.conf"), whole, &w->config, &findings);
    *error_out = "configuration refused";
    if (has_error(w, &findings, error_out) || rc != OK)
        return false;
    /* As serve does: nothing starts that is not proved closed. */
    struct network gateway = { w->gateway, w->gateway.family == 6 ? 128 : 32 };
    struct networks gateways = { w->gateway_set, &gateway };
    struct config_findings proof = { 0 };
    decide_prove(w->config, &gateways, loop_wall(w->loop), w->arena, &proof);
    return !has_error(w, &proof, error_out);
}

struct tls_server *world_pair(struct world *w, struct bytes name, bool trusted) {
    struct bytes chain, key;
    struct why why;
    MUST(tls_make_pair(name, SIM_EPOCH, w->arena, &chain, &key, &why) == OK);
    if (trusted)
        buf_add(&w->authorities, chain);
    struct pair_row *row = ARENA_NEW(w->arena, struct pair_row);
    struct tls_pair pair = { BYTES_NONE, chain, key };
    MUST(tls_server_open(&pair, 1, 12, BYTES_NONE, &row->tls, &why) == OK);
    list_append(&w->pairs, &row->node);
    return row->tls;
}

static void on_accept(void *ctx, struct stream *s) {
    struct listener_row *row = ctx;
    const struct listener *l = config_listener(row->world->config, row->name);
    bool pop3 = l && l->service == SERVICE_POP3;
    (pop3 ? pipeline_retrieval : pipeline_session)(row->world->pipeline, s, row->name, row->tls);
}

static void open_listeners(struct world *w) {
    for (size_t i = 0; i < w->config->listener_count; i++) {
        const struct listener *l = &w->config->listeners[i];
        for (size_t j = 0; j < l->address_count; j++) {
            struct listener_row *row = ARENA_NEW(w->arena, struct listener_row);
            row->world = w;
            row->name = arena_copy(w->arena, l->name);
            if (l->tls != TLS_OFF)
                row->tls = world_pair(w, w->config->hostname, false);
            row->open = stream_listen(w->loop, sim_bind(l->addresses[j]), on_accept, row);
            list_append(&w->listeners, &row->node);
        }
    }
}

static void on_local(void *ctx, struct stream *s) {
    struct world *w = ctx;
    pipeline_local(w->pipeline, s, w->local_user);
}

struct addr world_local_door(struct world *w, struct bytes user) {
    struct addr at;
    MUST(addr_parse_port(B("127.0.0.1:1"), &at));
    w->local_user = arena_copy(w->arena, user);
    if (!w->local_door)
        w->local_door = stream_listen(w->loop, sim_bind(at), on_local, w);
    return at;
}

static void close_listeners(struct world *w) {
    if (w->local_door)
        stream_listener_close(&w->local_door);
    struct list_node *n;
    while ((n = list_pop(&w->listeners)))
        stream_listener_close(&CONTAINER_OF(n, struct listener_row, node)->open);
}

static void on_leased(void *ctx, uint32_t lane, enum rc rc, const struct why *why) {
    (void)ctx, (void)lane, (void)why;
    MUST(rc == OK);
}
static void on_lane_read(void *ctx, uint32_t lane) {
    (void)lane;
    ((struct world *)ctx)->lane_read = 1;
}
static void on_damage(void *ctx, uint32_t lane, struct bytes what) {
    (void)ctx, (void)lane;
    struct event *e = event_begin("spool-damage");
    event_text(e, "text", what);
    event_end(e);
}

static enum rc is_gateway(void *ctx, struct addr client, bool *out) {
    struct world *w = ctx;
    *out = w->gateway_set && addr_equal(w->gateway, client);
    return w->routes_unknown ? TEMP : OK;
}

static void tell_fetched(void *ctx) {
    struct world *w = ctx;
    fetcher_answer(w->fetcher, w->fetch, &w->fetched);
}

/* Of a provider whose keys are not in the configuration there is nothing to be had. */
static void no_web(void *ctx, uint64_t id, const struct fetch *what) {
    struct world *w = ctx;
    struct fetched answer = { .rc = TEMP };
    (void)what;
    why_backend(&answer.why, "backend.oauth", "nobody answers here");
    w->fetch = id;
    w->fetched = answer;
    timer_set(w->loop, &w->fetch_timer, 0, tell_fetched, w);
}

/* As the keeper's process does it (src/bin/children.c). */
static bool take_providers(struct world *w) {
    const struct config *c = w->config;
    struct keeper_provider list[8];
    size_t count = 0;
    for (size_t i = 0; i < c->logins.count && count < COUNT_OF(list); i++) {
        struct bytes source = c->logins.list[i];
        const struct oauth *o =
            bytes_starts(source, B("oauth:")) ? config_oauth(c, bytes_skip(source, 6)) : NULL;
        if (o)
            list[count++] = (struct keeper_provider){
                o->name, o->issuer, o->audience, o->claim, o->introspection.len > 0, o->keys
            };
    }
    if (!count || w->fetcher)
        return true;
    w->fetcher = fetcher_open_direct(w->loop, no_web, w);
    keeper_take_providers(w->keeper, list, count, w->fetcher);
    return true;
}

static bool open_services(struct world *w, struct why *why) {
    w->disk = disk_open(path_of(w, "spool"));
    w->faulty = faulty_disk;
    w->faulty.ctx = w;
    w->spool = spool_open(w->loop, &(struct spool_setup){ .disk = &w->faulty,
                                                          .min_free = w->config->queue.min_free,
                                                          .inline_sync = true });
    w->maildrops = maildrops_open(w->loop, arena_str(w->arena, w->config->mail_dir), 1000);
    w->maildir = maildir_open(w->loop, arena_str(w->arena, w->config->mail_dir),
                              arena_str(w->arena, w->config->hostname));
    return (w->directory ||
            directory_open(w->loop, path_of(w, "directory.db"), &w->directory, why) == OK) &&
           (w->keeper ||
            keeper_open(w->loop,
                        &(struct keeper_setup){ .secrets_file = path_of(w, "secrets.db"),
                                                .hostname = w->config->hostname },
                        &w->keeper, why) == OK) &&
           take_providers(w) && (w->auth || (w->auth = auth_open_direct(w->loop, w->keeper))) &&
           (w->counters || (w->counters = counters_local()));
}

static bool open_tls(struct world *w, struct why *why) {
    const char *path = path_of(w, "authorities.pem");
    FILE *f = fopen(path, "w");
    MUST(f);
    if (!w->authorities.len)
        world_pair(w, B("nobody.invalid"), true);
    fwrite(w->authorities.at, 1, w->authorities.len, f);
    fclose(f);
    return tls_client_open(bytes_str(path), &w->tls, why) == OK;
}

bool world_start(struct world *w, const char **error_out) {
    static const struct spool_lane_events events = { on_leased, on_lane_read, on_damage };
    struct why why;
    if (!open_services(w, &why) || !open_tls(w, &why)) {
        *error_out = arena_printf(w->arena, "%s", why.text).at;
        return false;
    }
    size_t own_count = 0;
    struct addr *own = ARENA_ARRAY(w->arena, 64, struct addr);
    for (size_t i = 0; i < w->config->listener_count; i++)
        for (size_t j = 0; j < w->config->listeners[i].address_count && own_count < 64; j++)
            own[own_count++] = w->config->listeners[i].addresses[j];
    w->pipeline = pipeline_open(&(struct pipeline_setup){ .loop = w->loop,
                                                          .store = spool_store(w->spool),
                                                          .directory = w->directory,
                                                          .auth = w->auth,
                                                          .counters = w->counters,
                                                          .dns = &w->dns,
                                                          .tls = w->tls,
                                                          .maildir = w->maildir,
                                                          .maildrops = w->maildrops,
                                                          .is_gateway = is_gateway,
                                                          .gateway_ctx = w,
                                                          .own_addresses = own,
                                                          .own_address_count = own_count,
                                                          .memory = w->memory,
                                                          .seed = 42 },
                                w->config);
    w->lane_read = 0;
    spool_lease(w->spool, 0, &events, w);
    sim_advance(w->loop, 200);
    open_listeners(w);
    if (w->lane_read)
        return true;
    *error_out = "the spool's lane was not read";
    return false;
}

static void close_server(struct world *w) {
    close_listeners(w);
    pipeline_close(&w->pipeline);
    spool_close(&w->spool);
    disk_close(&w->disk);
    maildir_close(&w->maildir);
    maildrops_close(&w->maildrops);
    tls_client_close(&w->tls);
}

/* What the parent wrote to disk is all that is left of them. */
static void restart_counters(struct world *w) {
    struct buf saved = buf_grow(64 * 1024 * 1024);
    counters_save(w->counters, &saved, loop_now(w->loop), loop_wall(w->loop));
    counters_close(&w->counters);
    w->counters = counters_local();
    MUST(counters_load(w->counters, buf_bytes(&saved), loop_now(w->loop), loop_wall(w->loop)));
    buf_free(&saved);
}

bool world_restart(struct world *w, bool crash, const char **error_out) {
    w->crashed = crash;
    close_server(w);
    sim_run(w->loop);
    restart_counters(w);
    w->crashed = false;
    return world_start(w, error_out);
}

static void on_idle(void *ctx) {
    (void)ctx;
}

void world_stop(struct world *w) {
    close_listeners(w);
    pipeline_drain(w->pipeline, 10 * 1000, on_idle, w);
}

struct old_config { /* somebody may still look at it */
    struct list_node node;
    struct config *config;
};

static void renew_certificates(struct world *w) {
    LIST_EACH(&w->listeners, n) {
        struct listener_row *row = CONTAINER_OF(n, struct listener_row, node);
        if (!row->tls)
            continue;
        LIST_EACH(&w->pairs, p) {
            struct pair_row *pair = CONTAINER_OF(p, struct pair_row, node);
            if (pair->tls != row->tls)
                continue;
            list_remove(&w->pairs, p);
            tls_server_close(&pair->tls);
        }
        row->tls = world_pair(w, w->config->hostname, false);
    }
}

/* Freed at once, as a worker does: whoever looks at it after this is found out by the sanitizer. */
static void release(void *ctx, const struct config *old) {
    struct world *w = ctx;
    LIST_EACH(&w->retired, n) {
        struct old_config *o = CONTAINER_OF(n, struct old_config, node);
        if (o->config != old)
            continue;
        list_remove(&w->retired, n);
        config_close(&o->config);
    }
}

bool world_reload(struct world *w, struct bytes text, const char **error_out) {
    struct config *old = w->config;
    w->config = NULL;
    if (!world_configure(w, text, error_out)) {
        config_close(&w->config);
        w->config = old;
        return false;
    }
    struct old_config *o = ARENA_NEW(w->arena, struct old_config);
    o->config = old;
    list_append(&w->retired, &o->node);
    pipeline_reload(w->pipeline, w->config, release, w);
    renew_certificates(w);
    return true;
}

void world_close(struct world **wp) {
    struct world *w = *wp;
    *wp = NULL;
    close_server(w);
    directory_close(&w->directory);
    auth_close(&w->auth);
    timer_clear(&w->fetch_timer);
    keeper_close(&w->keeper);
    counters_close(&w->counters);
    sim_run(w->loop);
    struct list_node *n;
    while ((n = list_pop(&w->pairs)))
        tls_server_close(&CONTAINER_OF(n, struct pair_row, node)->tls);
    while ((n = list_pop(&w->retired)))
        config_close(&CONTAINER_OF(n, struct old_config, node)->config);
    config_close(&w->config);
    event_unlisten(on_event, w);
    nftw(w->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    loop_close(&w->loop);
    buf_free(&w->authorities);
    struct arena *a = w->arena;
    arena_close(&a);
}

/* --- people ------------------------------------------------------------------------------ */

static bool with_db(struct world *w,
                    enum rc (*act)(struct directory_db *db, const struct bytes *arg,
                                   struct why *why),
                    const struct bytes *arg, const char **error_out) {
    struct directory_db *db = NULL;
    struct why why;
    bool ok = directory_db_open(path_of(w, "directory.db"), true, &db, &why) == OK &&
              act(db, arg, &why) == OK;
    directory_db_close(&db);
    if (!ok)
        *error_out = arena_printf(w->arena, "%s", why.text).at;
    return ok;
}

static enum rc add_user(struct directory_db *db, const struct bytes *arg, struct why *why) {
    return directory_user_add(db, arg[0], why);
}
static enum rc add_alias(struct directory_db *db, const struct bytes *arg, struct why *why) {
    return directory_alias_add(db, arg[0], arg[1], why);
}
static enum rc allow_sender(struct directory_db *db, const struct bytes *arg, struct why *why) {
    return directory_user_allow_sender(db, arg[0], arg[1], true, why);
}

bool world_user(struct world *w, struct bytes login, struct bytes password,
                const char **error_out) {
    return with_db(w, add_user, &login, error_out) && world_passwd(w, login, password, error_out);
}

bool world_passwd(struct world *w, struct bytes login, struct bytes password,
                  const char **error_out) {
    struct secrets *s = NULL;
    struct why why;
    bool ok = secrets_open(path_of(w, "secrets.db"), true, &s, &why) == OK &&
              secrets_set(s, login, password, &why) == OK;
    secrets_close(&s);
    if (!ok)
        *error_out = arena_printf(w->arena, "%s", why.text).at;
    return ok;
}

static enum rc disable(struct directory_db *db, const struct bytes *arg, struct why *why) {
    return directory_user_disable(db, arg[0], true, why);
}

bool world_disable(struct world *w, struct bytes login, const char **error_out) {
    return with_db(w, disable, &login, error_out);
}

static enum rc add_group(struct directory_db *db, const struct bytes *arg, struct why *why) {
    return directory_group_add(db, arg[0], why);
}

static enum rc change_member(struct directory_db *db, const struct bytes *arg, struct why *why) {
    return directory_group_members(db, arg[0], &arg[1], 1, !arg[2].len, why);
}

/* The words of `postern group set`. */
static enum rc set_group(struct directory_db *db, const struct bytes *arg, struct why *why) {
    static const struct bytes senders[] = {
        { "everyone", 8 }, { "members", 7 }, { "logged-in", 9 }, { "listed", 6 }
    };
    static const struct bytes delivery[] = { { "members", 7 }, { "mailbox", 7 }, { "both", 4 } };
    struct bytes group = arg[0], name = arg[1], value = arg[2];
    for (unsigned i = 0; i < 4; i++)
        if (bytes_equal(name, B("senders")) && bytes_equal(value, senders[i]))
            return directory_group_senders(db, group, (enum directory_senders)i, why);
    for (unsigned i = 0; i < 3; i++)
        if (bytes_equal(name, B("deliver")) && bytes_equal(value, delivery[i]))
            return directory_group_delivery(db, group, (enum directory_delivery)i, why);
    if (bytes_equal(name, B("owner")))
        return directory_group_owner(db, group, value, why);
    if (bytes_equal(name, B("allow")))
        return directory_group_allow(db, group, value, true, why);
    if (bytes_equal(name, B("moderator")))
        return directory_group_moderator(db, group, value, true, why);
    if (bytes_equal(name, B("send-as")))
        return directory_group_send_as(db, group, bytes_equal(value, B("members")), why);
    return why_set(why, PERM, 0, NULL, "talk", "no such setting of a group");
}

static enum rc set_forward(struct directory_db *db, const struct bytes *arg, struct why *why) {
    return directory_user_forward(db, arg[0], &arg[1], arg[1].len ? 1 : 0, arg[2].len != 0, why);
}

static enum rc set_vacation(struct directory_db *db, const struct bytes *arg, struct why *why) {
    const struct directory_vacation v = { .set = true, .text = arg[1], .subject = arg[2] };
    return directory_user_vacation(db, arg[0], &v, why);
}

bool world_people(struct world *w, const char *what, const struct bytes arg[3],
                  const char **error_out) {
    static const struct {
        const char *what;
        enum rc (*change)(struct directory_db *db, const struct bytes *arg, struct why *why);
    } changes[] = {
        { "group", add_group },     { "member", change_member },  { "group-set", set_group },
        { "forward", set_forward }, { "vacation", set_vacation },
    };
    for (size_t i = 0; i < COUNT_OF(changes); i++)
        if (!strcmp(what, changes[i].what))
            return with_db(w, changes[i].change, arg, error_out);
    *error_out = "no such change";
    return false;
}

bool world_alias(struct world *w, struct bytes address, struct bytes target,
                 const char **error_out) {
    struct bytes arg[] = { address, target };
    return with_db(w, add_alias, arg, error_out);
}

bool world_allow_sender(struct world *w, struct bytes login, struct bytes pattern,
                        const char **error_out) {
    struct bytes arg[] = { login, pattern };
    return with_db(w, allow_sender, arg, error_out);
}

static void hide(struct world *w, const char *name, bool broken) {
    char away[512];
    snprintf(away, sizeof(away), "%s.away", path_of(w, name));
    if (broken)
        rename(path_of(w, name), away);
    else
        rename(away, path_of(w, name));
}

bool world_break(struct world *w, struct bytes what, bool broken) {
    if (bytes_equal(what, B("disk-full")))
        w->disk_full = broken;
    else if (bytes_equal(what, B("disk-write")))
        w->disk_eio = broken;
    else if (bytes_equal(what, B("disk-sync")))
        w->sync_eio = broken;
    else if (bytes_equal(what, B("routes")))
        w->routes_unknown = broken;
    else if (bytes_equal(what, B("counters")))
        counters_set_down(w->counters, broken);
    else if (bytes_equal(what, B("directory")))
        hide(w, "directory.db", broken);
    else if (bytes_equal(what, B("secrets")))
        hide(w, "secrets.db", broken);
    else
        return false;
    return true;
}

size_t world_waiting(struct world *w) {
    struct store_stats stats;
    store_stats(spool_store(w->spool), &stats);
    return stats.messages;
}
