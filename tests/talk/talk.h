/* talk: conversations as tests: a whole Postern on a simulated machine, with clients and servers around
 * it that say what a script tells them. FORMAT.md describes the language of the scripts.
 *
 * script.c reads and runs lines; world.c is the server under test; actor.c are clients and scripted
 * servers; sink.c are servers that take mail by themselves. */
#ifndef TALK_TALK_H
#define TALK_TALK_H

#include "base/list.h"
#include "base/map.h"
#include "bin/pipeline.h"
#include "fetcher/fetcher.h"
#include "keeper/keeper.h"
#include "sim.h"
#include "spool/spool.h"
#include "sys/disk.h"

enum { PATIENCE_MS = 5000 }; /* of the simulation, that an expectation may take */

/* --- the world --- */
struct world {
    struct arena *arena;
    struct loop *loop;
    char folder[256];
    struct config *config;
    struct disk *disk, faulty;
    struct spool *spool;
    struct directory *directory;
    struct keeper *keeper;
    struct fetcher *fetcher; /* the keeper's; nobody answers */
    uint64_t fetch;
    struct fetched fetched;
    struct timer fetch_timer;
    struct auth *auth;
    struct counters *counters;
    struct maildir *maildir;
    struct maildrops *maildrops;
    struct tls_client *tls;
    struct dns dns;
    struct list zone;
    struct list events;
    struct list listeners;
    struct pipeline *pipeline;
    struct buf authorities; /* PEM of those that the server trusts */
    struct list pairs;
    bool disk_full, disk_eio, sync_eio, crashed, gateway_set, routes_unknown;
    struct addr gateway;
    struct list retired;
    size_t memory; /* for accept; 0: the default */
    int64_t lane_read;
    struct stream_listener *local_door; /* stands for submit.sock */
    struct bytes local_user;
};
struct world *world_open(void);
void world_close(struct world **w);
/* Before start: users, aliases; after it too. False and *error_out. */
bool world_configure(struct world *w, struct bytes text, const char **error_out);
bool world_start(struct world *w, const char **error_out);
bool world_reload(struct world *w, struct bytes text, const char **error_out);
/* Closes everything as a process that ends would, without draining, and opens it anew; after a crash
 * nothing reached the disk any more that was not there before. */
bool world_restart(struct world *w, bool crash, const char **error_out);
bool world_user(struct world *w, struct bytes login, struct bytes password, const char **error_out);
bool world_alias(struct world *w, struct bytes address, struct bytes target,
                 const char **error_out);
/* "group" "member" "group-set" "forward": see FORMAT.md. */
bool world_people(struct world *w, const char *what, const struct bytes arg[3],
                  const char **error_out);
bool world_allow_sender(struct world *w, struct bytes login, struct bytes pattern,
                        const char **error_out);
bool world_disable(struct world *w, struct bytes login, const char **error_out);
bool world_passwd(struct world *w, struct bytes login, struct bytes password,
                  const char **error_out);
/* Listens no more and lets what is under way come to an end, as SIGTERM does. */
void world_stop(struct world *w);
/* Where a process of this user hands mail in. */
struct addr world_local_door(struct world *w, struct bytes user);
bool world_break(struct world *w, struct bytes what, bool broken);
void world_zone(struct world *w, struct bytes name, struct bytes type, struct bytes value);
size_t world_waiting(struct world *w); /* messages in the spool */
/* A pair for this name; trusted by our own client side or not. */
struct tls_server *world_pair(struct world *w, struct bytes name, bool trusted);

struct event_line {
    struct list_node node;
    struct bytes line;
    bool seen; /* an expectation took it */
};

/* --- actors --- */
struct actor {
    struct list_node node;
    struct world *world;
    struct bytes name;
    struct stream *stream;
    struct stream_listener *listener; /* of a server */
    struct tls_server *tls;
    struct buf in;
    bool ended, secured, secure_failed, waiting;
    struct buf transcript;
    struct stream_connect *connecting;
};
struct actor *actor_client(struct world *w, struct bytes name, struct addr from, struct addr to);
struct actor *actor_server(struct world *w, struct bytes name, struct addr at,
                           struct tls_server *tls);
void actor_send(struct actor *a, struct bytes data);
/* Takes one line when there is one. */
bool actor_line(struct actor *a, struct bytes *out);
void actor_close(struct actor *a, bool abort);
void actor_free(struct actor *a);

/* --- sinks --- */
struct sink_message {
    struct list_node node;
    struct bytes from, content;
    struct buf to; /* blank separated */
    struct bytes parameters;
    bool tls;
    struct bytes login;
};
struct sink;
/* options: blank separated words, see FORMAT.md; false and *error_out. */
struct sink *sink_open(struct world *w, struct bytes name, struct addr at, struct bytes options,
                       const char **error_out);
struct list *sink_messages(struct sink *s);
size_t sink_connections(const struct sink *s);
size_t sink_chunks(const struct sink *s); /* BDAT commands that it took */
void sink_close(struct sink *s);

bool glob_match(struct bytes pattern, struct bytes text);

#endif
