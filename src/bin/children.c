/* children: the small processes: keeper, resolver, fetcher, the helper for PAM. Each gets a listening
 * socket and a frozen
 * configuration, shuts itself in, and serves until it is told to end. */
#include "base/event.h"
#include "base/must.h"
#include "bin/layout.h"
#include "bin/serve.h"
#include "dns/dns.h"
#include "fetcher/fetcher.h"
#include "keeper/keeper.h"
#include "keeper/pam.h"
#include "sys/http.h"
#include "sys/process.h"
#include "sys/sandbox.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { SOCKET_FD = 3, CONFIG_FD = 4, KEEPER_SOCKET_FD = 5, CONFIG_MAX = 64 * 1024 * 1024 };

static int64_t wall_clock(void *loop) {
    return loop_wall(loop);
}

_Noreturn static void give_up(const char *child, const struct why *why) {
    struct event *e = event_begin("child-failed");
    event_str(e, "child", child);
    event_why(e, why);
    event_end(e);
    exit(EXIT_FAILURE);
}

static struct config *take_config(const char *child) {
    struct arena *a = arena_open();
    struct bytes frozen;
    struct config *config = NULL;
    struct why why;
    if (process_memfd_read(CONFIG_FD, CONFIG_MAX, a, &frozen, &why) != OK)
        give_up(child, &why);
    if (config_thaw(frozen, &config) != OK) {
        why_set(&why, PERM, 0, NULL, "backend.config", "The parent's configuration is unreadable");
        give_up(child, &why);
    }
    close(CONFIG_FD);
    arena_close(&a);
    return config;
}

static void on_signal(void *loop, int signo) {
    (void)signo;
    loop_stop(loop);
}

static struct loop *begin(const char *title) {
    process_set_title(title);
    process_hide_memory();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    struct loop *l = loop_open();
    event_open(wall_clock, l);
    signal_watch_open(l, SIGTERM, on_signal, l);
    return l;
}

/* The providers that logins names, in its order. */
static void take_providers(struct loop *l, struct keeper *k, const struct config *c,
                           struct arena *a) {
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
    if (count)
        keeper_take_providers(k, list, count,
                              fetcher_open_channel(l, layout_path(a, c, "run/tokens.sock").at));
}

int keeper_run(void) {
    struct loop *l = begin("postern-keeper");
    struct config *config = take_config("keeper");
    serve_open_log(config, false);
    struct arena *a = arena_open();
    struct bytes folder = layout_path(a, config, "keeper");
    struct bytes readable[] = { B("/etc"), B("/usr/share"), B("/usr/lib"), B("/dev") };
    struct why why;
    if (sandbox_enter(&(struct sandbox){ .kind = SANDBOX_KEEPER,
                                         .writable = &folder,
                                         .writable_count = 1,
                                         .readable = readable,
                                         .readable_count = COUNT_OF(readable) },
                      &why) != OK)
        give_up("keeper", &why);
    struct keeper *k;
    if (keeper_open(l,
                    &(struct keeper_setup){
                        .secrets_file = layout_path(a, config, "keeper/secrets.db").at,
                        .failures_file = layout_path(a, config, "keeper/failures"),
                        .hostname = config->hostname,
                        .sources = config->logins.list,
                        .source_count = config->logins.count,
                        .pam_helper = layout_path(a, config, "run/pam.sock").at,
                    },
                    &k, &why) != OK)
        give_up("keeper", &why);
    take_providers(l, k, config, a);
    keeper_serve(k, SOCKET_FD);
    process_forget_start();
    loop_run(l);
    keeper_save(k);
    arena_close(&a);
    config_close(&config);
    exit(EXIT_SUCCESS); /* the end of the process is the end of everything else it holds */
}

/* Not shut in: what PAM's modules do is up to the system's administrator, and some need setuid
 * programs, which no_new_privs would make harmless. */
int pam_run(void) {
    struct loop *l = begin("postern-pam");
    struct config *config = take_config("pam");
    serve_open_log(config, false);
    config_close(&config);
    process_forget_start();
    pam_serve(l, SOCKET_FD);
    loop_run(l);
    exit(EXIT_SUCCESS);
}

int fetcher_run(void) {
    struct loop *l = begin("postern-fetcher");
    struct config *config = take_config("fetcher");
    serve_open_log(config, false);
    struct arena *a = arena_open();
    struct bytes folder = layout_path(a, config, FETCHER_DIR);
    struct bytes readable[] = { B("/etc"), B("/usr/share"), B("/usr/lib"),
                                B("/dev"), B("/proc"),      B("/run/systemd/resolve") };
    struct http *http = http_open(l);
    struct why why;
    if (sandbox_enter(&(struct sandbox){ .kind = SANDBOX_FETCHER,
                                         .writable = &folder,
                                         .writable_count = 1,
                                         .readable = readable,
                                         .readable_count = COUNT_OF(readable) },
                      &why) != OK)
        give_up("fetcher", &why);
    process_forget_start();
    fetcher_serve(l, config, folder, http, SOCKET_FD, KEEPER_SOCKET_FD);
    http_close(&http);
    arena_close(&a);
    config_close(&config);
    exit(EXIT_SUCCESS);
}

int resolver_run(void) {
    struct loop *l = begin("postern-resolv");
    struct config *config = take_config("resolver");
    serve_open_log(config, false);
    struct bytes anchor = config->dns_trust_anchor;
    struct bytes readable[] = { B("/etc"),
                                B("/usr/share"),
                                B("/usr/lib"),
                                B("/dev"),
                                B("/proc"),
                                B("/run/systemd/resolve"),
                                bytes_starts(anchor, B("file:")) ? bytes_skip(anchor, 5)
                                                                 : B("/etc") };
    struct why why;
    if (sandbox_enter(&(struct sandbox){ .kind = SANDBOX_RESOLVER,
                                         .readable = readable,
                                         .readable_count = COUNT_OF(readable) },
                      &why) != OK)
        give_up("resolver", &why);
    process_forget_start();
    if (resolver_serve(l, SOCKET_FD,
                       &(struct resolver_setup){ .servers = config->dns.list,
                                                 .server_count = config->dns.count,
                                                 .trust_anchor = config->dns_trust_anchor },
                       &why) != OK)
        give_up("resolver", &why);
    config_close(&config);
    exit(EXIT_SUCCESS);
}
