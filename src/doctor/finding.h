/* finding: one thing that a look at a server, a domain or an address has shown: what was seen, what it means,
 * what to do about it. The doctor, relaytest, dns, blocklist and explain's live facts all speak in these,
 * so that people and scripts read one language.
 *
 * Ids are stable and literals: "tls.chain", "mx.cname". What was not looked at is a finding, too, and says why.
 * Everything that came from outside is made printable when it is added: no control octet, no broken
 * UTF-8, and no more than FINDING_TEXT octets of each text. At most FINDINGS_MAX are kept; the list
 * knows how many were dropped. All memory is the arena's. */
#ifndef DOCTOR_FINDING_H
#define DOCTOR_FINDING_H

#include "base/arena.h"
#include "base/buf.h"

#include <stdarg.h>

enum { FINDING_FIXES = 8, FINDING_TEXT = 1000, FINDINGS_MAX = 2000 };

enum severity { SEVERITY_INFO, SEVERITY_WARNING, SEVERITY_ERROR };
const char *severity_name(enum severity s); /* "info" "warning" "error" */

struct finding {
    const char *id;
    const char *step; /* "STARTTLS" "MX" ...; NULL: belongs to none */
    enum severity severity;
    bool skipped; /* not looked at; `seen` says why */
    struct bytes
        about; /* which host, address or record: "mx.example.com [192.0.2.1]:25"; may be empty */
    struct bytes seen, means;
    const char *who; /* must act, as in reply/knowledge.h; NULL: nobody, or not known */
    struct bytes fix[FINDING_FIXES]; /* the first to try first */
    size_t fixes;
};

struct finding_list {
    struct arena *arena;
    struct finding **list;
    size_t count, room, dropped;
    struct finding spare; /* what is over the limit is written here, and forgotten */
    enum severity worst;
};

void finding_list_open(struct finding_list *l, struct arena *a);
/* Never NULL: what is over the limit goes to one that nobody sees. */
struct finding *finding_add(struct finding_list *l, enum severity severity, const char *id,
                            const char *step, const char *seen, ...)
    __attribute__((format(printf, 5, 6)));
/* Something that could not, or need not, be looked at. */
struct finding *finding_skip(struct finding_list *l, const char *id, const char *step,
                             const char *because, ...) __attribute__((format(printf, 4, 5)));
void finding_about(struct finding_list *l, struct finding *f, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void finding_means(struct finding_list *l, struct finding *f, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* One more thing to do; after FINDING_FIXES no more are taken. */
void finding_fix(struct finding_list *l, struct finding *f, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Adds one of another list's of the same arena. */
void finding_copy(struct finding_list *l, const struct finding *from);
/* The first of this id, or NULL. */
const struct finding *finding_find(const struct finding_list *l, const char *id);

/* For people, wrapped at `width` columns: warnings and errors whole, the rest one line each, and only
 * with `all`. */
void finding_list_text(const struct finding_list *l, struct buf *out, bool all, size_t width);
/* A JSON array of {"id":,"step":,"severity":,"skipped":true,"about":,"seen":,"means":,"who":,"fix":[]}; keys
 * without a value are left out, but for id, severity, seen, means and fix. */
void finding_list_json(const struct finding_list *l, struct buf *out);

#endif
