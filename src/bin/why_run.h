/* why: what the files of `postern why` share: a question as it was given, and one run of it through the decision.
 * why_take.c makes facts of the command line, why_find.c finds those that nobody gave, why_print.c says
 * what came out; cmd_why.c goes through the steps of a session. */
#ifndef BIN_WHY_RUN_H
#define BIN_WHY_RUN_H

#include "bin/lookup.h"
#include "bin/options.h"
#include "decide/decide.h"
#include "directory/directory.h"
#include "sys/loop.h"

enum { RULES_MAX = 4096, HEADERS_MAX = 64 };

/* The command line, as given. */
struct why_question {
    struct bytes file, client, proxy, local, listener, user, app_password, mechanism, certificate,
        local_user, popped, helo;
    struct bytes listed[HEADERS_MAX];
    size_t listed_count;
    struct bytes from, to, size, recipients, sent, at, from_fields, probe;
    struct bytes header_from[HEADERS_MAX], sender_header[HEADERS_MAX], reply_to[HEADERS_MAX];
    size_t header_from_count, sender_header_count, reply_to_count;
    bool tls, offline, json, batch, retried;
};

/* A resolver of our own, started when the first name is to be looked up. */
struct looking {
    struct loop *loop;
    struct lookup lookup;
    bool tried;
};

struct why_run {
    const struct options *options;
    const struct why_question *q;
    struct arena *arena;
    struct config *config;
    struct directory_db *directory; /* NULL: an empty one */
    bool directory_down;
    struct looking *looking; /* up names: shared by all questions of a batch */
    uint64_t sent;
    bool told_offline; /* no server runs */
    struct facts facts;
    struct popped *popped; /* facts.popped */
    struct verdict v;
    const char *step; /* where it ended */
    struct rule rules[RULES_MAX];
    size_t rule_count;
};

/* Once, for all questions of a batch. */
void why_open_directory(struct why_run *w);
/* OPTIONS_GO_ON, or the exit code: something is misspelt. */
int why_take(struct why_run *w);
/* POP windows of the client, when the command line names none. */
void why_find_windows(struct why_run *w);
/* Whether the tripwire has suspended grants by the client's address. */
void why_find_suspended(struct why_run *w);
/* Finds these facts (FACT_...), or notes that they cannot be had. */
void why_find(struct why_run *w, uint32_t missing);
void why_print(const struct why_run *w);

#endif
