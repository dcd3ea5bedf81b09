/* rules: the reply rules as they were read from text (data/replies/00-form.rules says what they look like).
 * For this folder only. Rules live as long as the arena they were read into. */
#ifndef REPLY_RULES_H
#define REPLY_RULES_H

#include "base/arena.h"
#include "base/embedded.h"
#include "base/why.h"
#include "reply/knowledge.h"
#include "reply/pattern.h"

enum lasting { LASTING_UNSAID, LASTING_YES, LASTING_NO, LASTING_AS_SAID };

/* Several values of one keyword: strings, or patterns. */
struct values {
    size_t count, room;
    void **list;
};

struct meaning { /* of a cause; of a rule where it says otherwise */
    const char *who;
    enum lasting permanent;
    const char *severity, *reason, *explanation;
    struct values fixes; /* NULL at the end, not counted */
};

struct cause {
    const char *name;
    struct meaning meaning;
    const struct cause *elsewhere; /* what it is at RCPT of a host that is no MX of the domain */
    struct values sees, because, prevents; /* NULL at the end, not counted */
};

struct family { /* of servers that speak alike */
    const char *name, *title;
    struct values words, hosts, banners; /* struct pattern */
};

struct rule {
    const char *name;
    const struct cause *cause, *direct; /* direct: where the recipient's MX said it, or NULL */
    struct meaning meaning;
    double confidence;
    struct values codes, enhanced, steps;   /* strings */
    struct values actions;                  /* strings */
    struct values families;                 /* struct family */
    struct values words, also, not_, hosts; /* struct pattern */
    int submission, login;                  /* -1 either, 0 no, 1 yes */
    enum reply_mx mx;                       /* REPLY_MX_UNKNOWN: whichever */
    int line;
};

struct rules {
    struct arena *arena;
    struct patterns *patterns;
    struct values causes, families, rules;
    bool trusted; /* the patterns are known to be good: compile them when they are needed */
};

/* Empty; `more` lends its causes, families and lets, and must live as long; NULL none. */
void rules_open(struct rules *r, const struct rules *more);
void rules_close(struct rules *r);

/* The files of data/replies as they are built in, in the order they are read; a NULL name ends. */
extern const struct embedded replies_rules[];

/* Adds what `text` says: its rules stand behind those read before. PERM and why (file, line, what is
 * wrong) at the first mistake; what stood before it has been added. */
enum rc rules_read(struct rules *r, const char *file, struct bytes text, struct why *why);
const struct cause *rules_find_cause(const struct rules *r, struct bytes name);   /* or NULL */
const struct family *rules_find_family(const struct rules *r, struct bytes name); /* or NULL */

#endif
