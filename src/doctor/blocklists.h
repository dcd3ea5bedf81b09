/* blocklists: DNS blocklists and allowlists (RFC 5782), what their answers mean, and what those say who
 * have an address or a domain on them.
 *
 * The lists are data that a person can read and edit: data/blocklists.txt, built in, says what it looks
 * like. blocklists_ask asks many at once, each together with its own test entries, so that a list that
 * is dead, one that lists the whole world, and one that will not be asked by us are told from one that
 * has nothing against the subject. blocklists_find turns the results into findings. */
#ifndef DOCTOR_BLOCKLISTS_H
#define DOCTOR_BLOCKLISTS_H

#include "dns/dns.h"
#include "doctor/finding.h"

/* --- the table -------------------------------------------------------------------------------- */
enum { BLOCKLIST_IPV4 = 1, BLOCKLIST_IPV6 = 2, BLOCKLIST_DOMAIN = 4 };

struct blocklist_code { /* views and strings live as long as the table */
    struct bytes text;  /* "127.0.0.4-7", or a bit's value, as the file has it */
    uint8_t first[4], last[4];
    unsigned bit; /* of the last octet; then first and last say nothing */
    const char *means;
    enum severity severity;
    bool allow, refuses;
    const char *who;
    const char *fix[FINDING_FIXES];
    size_t fixes;
    int line;
};
struct blocklist {
    struct bytes zone, key; /* key: "KEY.zen.dq.example", or empty */
    const char *name;
    unsigned of; /* BLOCKLIST_ bits */
    bool allow;
    unsigned weight; /* 1 to 5: how many heed it */
    enum severity severity;
    const char *who, *means, *delist;
    const char *registration, *keyed, *ended, *note; /* NULL: none */
    struct bytes listed, clean;                      /* its test entries; empty: it has none */
    const char *fix[FINDING_FIXES];
    size_t fixes;
    const struct blocklist_code *codes; /* "you may not ask" among them */
    size_t code_count;
    int line;
};
struct blocklist_table {
    const struct blocklist *lists;
    size_t count;
};
/* PERM and why, with file and line, at the first mistake. */
enum rc blocklists_read(const char *file, struct bytes text, struct arena *a,
                        struct blocklist_table *out, struct why *why);
void blocklists_builtin(struct arena *a, struct blocklist_table *out);
/* By its zone, or by its zone for those with a key; NULL: it is not known. */
const struct blocklist *blocklists_find(const struct blocklist_table *t, struct bytes zone);
/* It is asked without having been named: neither ended nor answering under a key only. */
bool blocklist_is_asked(const struct blocklist *l);
/* What an answer says; NULL: a code that stands nowhere. For sums of bits the heaviest. */
const struct blocklist_code *blocklist_code(const struct blocklist *l, struct addr answer);

/* --- asking ------------------------------------------------------------------------------------- */
enum blocklist_state {
    BLOCKLIST_CLEAN,
    BLOCKLIST_LISTED,
    BLOCKLIST_REFUSED, /* it will not be asked by us */
    BLOCKLIST_DEAD,    /* its own test entry is not there, or it answers outside 127/8 */
    BLOCKLIST_WORLD,   /* it lists what must not be listed, so that a listing says nothing */
    BLOCKLIST_SILENT,  /* no answer, or not in time */
};
const char *blocklist_state_name(enum blocklist_state s); /* "clean" "listed" ... */

enum { BLOCKLIST_SUBJECTS = 64, BLOCKLISTS_MAX = 200 };

struct blocklist_subject {
    struct addr address; /* family 0: a domain */
    struct bytes domain;
};
/* A list as it is asked: perhaps under a key, or one of which nothing is known (list: NULL). */
struct blocklist_asked {
    struct bytes zone;
    const struct blocklist *list;
};
struct blocklist_result { /* of one subject and one list */
    size_t subject, asked;
    enum blocklist_state state;
    bool unproven;       /* clean, but its test entry did not answer, or it has none */
    const char *because; /* unless clean or listed: half a sentence */
    size_t answer_count;
    const struct addr *answers;
    struct bytes text; /* its own words; may be empty */
};
struct blocklist_want { /* lives until on_done */
    const struct blocklist_subject *subjects;
    size_t subject_count;
    const struct blocklist_asked *asked;
    size_t asked_count;
    int64_t ms; /* for all of it */
};
struct blocklist_look;
/* on_done comes exactly once, never before the call returned; results, subject by subject and in the
 * order of the lists, live in `a`. A list is asked only about what it lists; a subject that no list is
 * for has no result. */
struct blocklist_look *blocklists_ask(
    struct dns *d, struct loop *l, struct arena *a, const struct blocklist_want *want,
    void (*on_done)(void *ctx, const struct blocklist_result *r, size_t count), void *ctx);
/* Ends it without a callback. */
void blocklists_cancel(struct blocklist_look **k);

/* --- what it means ------------------------------------------------------------------------------ */
/* It tells against the subject: on a blocklist, under a code that is not a good one. */
bool blocklist_is_against(const struct blocklist_asked *asked, const struct blocklist_result *r);
/* blocklist.listed (the heaviest list first), blocklist.allowed, .clean (one a subject), and skipped ones:
 * .refused, .dead, .world, .silent, .unproven. */
void blocklists_findings(const struct blocklist_want *want, const struct blocklist_result *r,
                         size_t count, struct finding_list *out);

#endif
