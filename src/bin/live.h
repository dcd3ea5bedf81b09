/* live: `postern check --live`: looks at what a valid configuration depends on: the servers it names,
 * its certificates, the DNS about this host. Nothing is ever sent but greetings and a login.
 *
 * live.c runs it, live_oauth.c asks token providers, live_servers.c knows which servers there are and what their answers mean,
 * live_names.c what the DNS should say of us, live_lists.c what blocklists say,
 * live_domains.c what the DNS says of our domains. All look at once, and all of it ends within
 * LIVE_MS. */
#ifndef BIN_LIVE_H
#define BIN_LIVE_H

#include "base/list.h"
#include "config/config.h"
#include "dns/dns.h"
#include "sys/loop.h"
#include "sys/tls.h"

enum { LIVE_MS = 10 * 1000, LIVE_SOON_MS = 14 * 24 * 60 * 60 * 1000 };

/* Appends to the findings; says what it sees on standard error as it comes. Gives up root. */
void live_check(struct config *c, struct arena *a, struct config_findings *findings);

/* --- between the files of live --- */
struct live {
    const struct config *config;
    struct arena *arena;
    struct loop *loop;
    struct dns *dns;        /* NULL: it could not be started */
    struct tls_client *tls; /* with the system's roots; NULL: there are none */
    int64_t ends;           /* loop time */
    size_t open;            /* looks not yet over */
    struct list servers, names;
    struct live_oauth *oauth;
    struct live_lists *lists;
    struct live_domains *domains;
    struct config_findings findings;
    size_t room;
};
struct live_about { /* what a finding is about */
    struct place place;
    struct bytes setting;
};
#define LIVE_ERROR   FINDING_ERROR
#define LIVE_WARNING FINDING_WARNING
void live_find(struct live *l, int severity, const char *id, const struct live_about *about,
               const char *format, ...) __attribute__((format(printf, 5, 6)));
void live_say(struct live *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
void live_begun(struct live *l);
void live_over(struct live *l); /* the loop ends with the last one */

/* begin: starts all of its looks. end: all are over or out of time: findings. */
void live_servers_begin(struct live *l);
void live_servers_end(struct live *l);
/* A token for the servers of a route that logs in with one; empty: none is to be had. */
void live_servers_token(struct live *l, const struct route *route, struct bytes token);
void live_oauth_begin(struct live *l);
void live_oauth_end(struct live *l);
void live_names_begin(struct live *l);
void live_names_end(struct live *l);
void live_lists_begin(struct live *l);
void live_lists_end(struct live *l);
void live_domains_begin(struct live *l);
void live_domains_end(struct live *l);

#endif
