/* live: the loop, a resolver of its own (the server may not be running, and its answers must be those
 * of this configuration), and the certificates. */
#include "bin/live.h"
#include "base/must.h"
#include "base/num.h"
#include "bin/layout.h"
#include "bin/lookup.h"
#include "sys/files.h"
#include "sys/process.h"
#include "sys/sockets.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CONFIG_MAX = 64 * 1024 * 1024, KEY_MAX = 1024 * 1024 };

/* --- findings ----------------------------------------------------------------------------- */

void live_find(struct live *l, int severity, const char *id, const struct live_about *about,
               const char *format, ...) {
    struct config_findings *f = &l->findings;
    va_list args;
    if (f->count == l->room) {
        struct config_finding *more =
            ARENA_ARRAY(l->arena, l->room = l->room ? 2 * l->room : 16, struct config_finding);
        if (f->count)
            memcpy(more, f->list, f->count * sizeof(*more));
        f->list = more;
    }
    va_start(args, format);
    f->list[f->count++] = (struct config_finding){
        .severity = severity,
        .place = about->place,
        .setting = about->setting,
        .text = arena_vprintf(l->arena, format, args),
        .id = id,
    };
    va_end(args);
}

void live_say(struct live *l, const char *format, ...) {
    va_list args;
    va_start(args, format);
    struct bytes text = arena_vprintf(l->arena, format, args);
    va_end(args);
    struct buf clean = buf_grow(text.len + 1);
    buf_printable(&clean, text);
    fprintf(stderr, "postern check: %.*s\n", BYTES_FMT(buf_bytes(&clean)));
    buf_free(&clean);
}

void live_begun(struct live *l) {
    l->open++;
}

void live_over(struct live *l) {
    MUST(l->open > 0);
    if (--l->open == 0)
        loop_stop(l->loop);
}

static void append(struct arena *a, struct config_findings *to,
                   const struct config_findings *more) {
    struct config_finding *list =
        ARENA_ARRAY(a, to->count + more->count + 1, struct config_finding);
    if (to->count)
        memcpy(list, to->list, to->count * sizeof(*list));
    if (more->count)
        memcpy(list + to->count, more->list, more->count * sizeof(*list));
    *to = (struct config_findings){ to->count + more->count, list };
}

/* --- certificates ------------------------------------------------------------------------- */

static void check_dates(struct live *l, const struct live_about *about, int64_t not_after) {
    int64_t left = not_after - loop_wall(l->loop);
    struct buf when = buf_grow(64);
    num_format_rfc3339(&when, not_after);
    if (left <= 0)
        live_find(l, LIVE_ERROR, "live.certificate", about,
                  "the certificate expired on %s; renew it", buf_text(&when));
    else if (left < LIVE_SOON_MS)
        live_find(l, LIVE_WARNING, "live.expiry", about,
                  "the certificate expires on %s, in less than 14 days; renew it", buf_text(&when));
    buf_free(&when);
}

/* A wildcard stands for any one label. */
static struct bytes a_name_of(struct live *l, struct bytes name) {
    if (!bytes_starts(name, B("*.")))
        return name;
    return arena_printf(l->arena, "any%.*s", BYTES_FMT(bytes_skip(name, 1)));
}

static void check_pair(struct live *l, const struct live_about *about, struct bytes name,
                       const struct tls_pair *pair, const char *remedy) {
    struct why why;
    int64_t not_after;
    bool name_ok;
    if (tls_pair_check(*pair, a_name_of(l, name), &not_after, &name_ok, &why) != OK) {
        live_find(l, LIVE_ERROR, "live.certificate", about, "%s", why.text);
        return;
    }
    check_dates(l, about, not_after);
    if (!name_ok)
        live_find(l, LIVE_WARNING, "live.certificate", about,
                  "the certificate is not for the name %.*s, so clients that verify refuse it; %s",
                  BYTES_FMT(name), remedy);
}

/* The pair made below state_dir is the server's; without the right to read it there is nothing to say. */
static bool read_made(struct live *l, struct tls_pair *out) {
    const struct config *c = l->config;
    return files_read(layout_path(l->arena, c, "keys/tls.crt"), KEY_MAX, l->arena, &out->chain_pem,
                      NULL) == OK &&
           files_read(layout_path(l->arena, c, "keys/tls.key"), KEY_MAX, l->arena, &out->key_pem,
                      NULL) == OK;
}

static void check_listeners(struct live *l) {
    const struct config *c = l->config;
    for (size_t i = 0; i < c->listener_count; i++) {
        const struct listener *k = &c->listeners[i];
        struct tls_pair pair = { BYTES_NONE, k->chain_pem, k->key_pem };
        struct live_about about = { k->place, arena_printf(l->arena, "listener %.*s: certificate",
                                                           BYTES_FMT(k->name)) };
        if (k->tls == TLS_OFF || (!k->certificate.len && !read_made(l, &pair)))
            continue;
        check_pair(l, &about, c->hostname, &pair,
                   k->certificate.len
                       ? "get one for it, or correct hostname"
                       : "remove keys/tls.crt and keys/tls.key below state_dir: at its next start "
                         "the server makes a new pair");
    }
    for (size_t i = 0; i < c->certificate_count; i++) {
        const struct certificate *k = &c->certificates[i];
        struct tls_pair pair = { BYTES_NONE, k->chain_pem, k->key_pem };
        struct live_about about = { k->place, arena_printf(l->arena, "certificate %.*s",
                                                           BYTES_FMT(k->name)) };
        check_pair(l, &about, k->name, &pair, "get one for it, or correct the section's name");
    }
}

/* --- the resolver ------------------------------------------------------------------------- */

static void open_dns(struct live *l, struct lookup *k) {
    static const struct live_about about = { .setting = { "dns", 3 } };
    struct why why;
    if (lookup_open(l->config, l->loop, l->arena, k, &why) != OK)
        live_find(l, LIVE_WARNING, "live.dns", &about, "no names were looked up: %s", why.text);
    if (k->still_root)
        live_say(l, "goes on as root: %.*s cannot be used", BYTES_FMT(l->config->run_as));
    l->dns = k->dns;
}

/* --- all of it ---------------------------------------------------------------------------- */

static void out_of_time(void *ctx) {
    struct live *l = ctx;
    loop_stop(l->loop);
}

void live_check(struct config *c, struct arena *a, struct config_findings *findings) {
    struct live l = { .config = c, .arena = a, .loop = loop_open() };
    static const struct live_about roots = { .setting = { "tls", 3 } };
    struct lookup lookup;
    struct timer last = { 0 };
    struct why why;
    signal(SIGPIPE, SIG_IGN);
    list_init(&l.servers);
    list_init(&l.names);
    check_listeners(&l);
    if (tls_client_open(BYTES_NONE, &l.tls, &why) != OK)
        live_find(&l, LIVE_ERROR, "live.roots", &roots, "%s", why.text);
    open_dns(&l, &lookup);
    l.ends = loop_now(l.loop) + LIVE_MS;
    live_begun(&l);
    live_servers_begin(&l);
    live_oauth_begin(&l);
    live_names_begin(&l);
    live_lists_begin(&l);
    live_domains_begin(&l);
    timer_set(l.loop, &last, LIVE_MS + 2000, out_of_time, &l);
    if (--l.open > 0)
        loop_run(l.loop);
    timer_clear(&last);
    live_servers_end(&l);
    live_oauth_end(&l);
    live_names_end(&l);
    live_lists_end(&l);
    live_domains_end(&l);
    lookup_close(&lookup);
    tls_client_close(&l.tls);
    loop_close(&l.loop);
    append(a, findings, &l.findings);
}
