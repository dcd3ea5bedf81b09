/* explain: what `postern explain` makes of a message, a reply, a line of a log: who refused what, and what each
 * refusal means. Read here, told by explain_text and explain_json; whoever adds facts from the network
 * walks the answers. All memory is the arena's. */
#ifndef BIN_EXPLAIN_H
#define BIN_EXPLAIN_H

#include "base/arena.h"
#include "base/buf.h"
#include "bounce/bounce.h"
#include "doctor/finding.h"
#include "reply/knowledge.h"
#include "reply/reasons.h"

enum { EXPLAIN_WIDTH = 78, EXPLAIN_INPUT = 32 * 1024 * 1024 };

/* What the reader of a bare reply knows besides; empty and NULL: nothing. */
struct explain_hints {
    const char *command; /* the step: "RCPT" */
    struct bytes host;   /* the server that spoke */
    struct bytes to;     /* the recipient */
    int code;
};

enum explain_kind {
    EXPLAIN_BOUNCE,
    EXPLAIN_REPLY,
    EXPLAIN_REPORT,
    EXPLAIN_LOG,
    EXPLAIN_REASON,
    EXPLAIN_NO_BOUNCE
};
const char *explain_kind_name(enum explain_kind kind); /* as in the JSON: "not-a-bounce" */

struct explain_answer {
    const struct bounce_recipient *said;
    struct reply_facts facts;     /* as they were given to the rules */
    struct reply_meaning meaning; /* the strings are the rules': they last until reply_forget */
    const struct reason *ours;    /* the reason id of Postern's own that the words bear, or NULL */
};
struct explained {
    enum explain_kind kind;
    struct bytes source; /* the file's name; empty: there is none */
    size_t number;       /* of the message in its mbox; 0: it is in none */
    struct bounce bounce;
    size_t count;
    struct explain_answer *answers;  /* one for each of bounce.recipients */
    const struct reason *reason;     /* EXPLAIN_REASON: the id that was asked for */
    const struct finding_list *live; /* what the network says; NULL: it was not asked */
};

/* Finds out by itself what it is given: a message, a part of one, lines of a log, a reply. Never fails. */
void explain_read(struct bytes input, const struct explain_hints *hints, struct arena *a,
                  struct explained *out);
/* The same for what is known to be a message, as in a mailbox. */
void explain_message(struct bytes message, struct arena *a, struct explained *out);
/* Does it begin like a message? */
bool explain_is_message(struct bytes input);

/* --live: asks the network about what was read, and the rules again with what it says. Nothing that the
 * network does or does not is a failure: that stands in the findings. PERM or TEMP and why when there
 * is no resolver to ask. Takes EXPLAIN_LIVE_MS at most. */
struct explain_live_want {
    struct bytes dns;    /* as --dns has it */
    struct bytes client; /* the address that the message came from; empty: as the bounce says */
    struct bytes from;   /* the sender; empty: as the bounce says */
};
enum rc explain_live(struct explained *e, const struct explain_live_want *want, struct arena *a,
                     struct why *why);

/* For people. Nothing in it can move a terminal's cursor. */
void explain_text(const struct explained *e, struct buf *out);
/* One object, without a line end. */
void explain_json(const struct explained *e, struct buf *out);
/* A paragraph from column `indent` on, broken before EXPLAIN_WIDTH; the first line is begun already. */
void explain_wrap(struct buf *out, struct bytes text, size_t indent);
/* "sender-admin": in words. */
const char *explain_who(const char *who);

/* Causes of the taxonomy, reason ids of ours, and the list of both. */
void explain_cause_text(const struct reply_cause *c, struct buf *out);
void explain_cause_json(const struct reply_cause *c, struct buf *out);
void explain_list_text(struct buf *out);
void explain_list_json(struct buf *out); /* one object a line */
void explain_reason_text(const struct reason *r, struct buf *out);
void explain_reason_json(const struct reason *r, struct buf *out);

/* Many messages: each file may be a message, an mbox, a Maildir or a folder of files; "-" is standard input.
 * One object a line, or with `each` a text each, or a table of causes. Returns the exit code. */
struct explain_batch {
    const struct bytes *paths;
    size_t count;
    bool json, each;
    struct explain_hints hints;
    const struct explain_live_want *live; /* NULL: without; of many messages the first ones only */
};
int explain_run(const struct explain_batch *batch);

#endif
