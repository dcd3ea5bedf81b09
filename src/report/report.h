/* report: tells people what became of their mail: NDRs, delay notices and success notices (RFC
 * 3461, 3464), and the history that trace reads. An NDR is a new draft with the null sender, handed
 * to accept's inner door through a port; made here and nowhere else. Never a bounce of a bounce:
 * what cannot be told to the sender goes to the postmaster. */
#ifndef REPORT_REPORT_H
#define REPORT_REPORT_H

#include "config/config.h"
#include "flow/job.h"
#include "flow/outcome.h"

enum report_kind { REPORT_FAILED, REPORT_GAVE_UP, REPORT_DELAY, REPORT_SUCCESS };

struct report_setup {
    const struct config *config;
    struct bytes hostname; /* whose notice it is: the server's name, or a tenant's */
    enum report_kind kind;
    int64_t now;           /* wall ms */
    int64_t give_up;       /* wall ms when we stop trying, for a delay notice */
    struct bytes boundary; /* unique text for MIME boundary and Message-ID, from base/id */
};
/* Decides whom to tell and writes the message. *to_out is empty when nobody is to be told (NOTIFY,
 * null sender of a success notice ...). For a null sender a failure goes to the postmaster (double
 * bounce). `original`: the beginning of the failed message, its whole header at least, for the
 * returned part; `whole`: it is all of it and RET asked for it. Output: a complete message with
 * CRLF, at most 1 MiB more than original. Pure. */
void report_write(const struct report_setup *setup, const struct job *job,
                  const struct outcome *outcomes, size_t count, struct bytes original, bool whole,
                  struct arena *a, struct bytes *to_out, struct buf *message_out);

/* --- the answer of a user who is away (RFC 3834) ---------------------------------------------- */
struct report_vacation {
    struct bytes user;    /* who answers: From */
    struct bytes to;      /* the reverse-path of what is answered */
    struct bytes text;    /* the user's, UTF-8 */
    struct bytes subject; /* the user's; empty: "Auto: " and the one that was written */
    struct bytes about;   /* that subject as it came, encoded words and all */
    struct bytes references, message_id; /* of what is answered, as they came */
    struct bytes hostname;
    struct bytes id; /* unique, for Message-ID; what may not stand there is left out */
    int64_t now;     /* wall ms */
};
/* A whole message with CRLF, at most 64 KiB for a text of 16 KiB; its reverse-path is null. What
 * others wrote stands in its header as one clean line, or in encoded words, and only what is a
 * message id stands in In-Reply-To and References. Pure. */
void report_vacation_write(const struct report_vacation *v, struct arena *a, struct buf *out);

/* --- history: append-only JSON lines in STATE/history, by day and size ---------------------- */
struct history;
enum rc history_open(const char *directory, int64_t keep_ms, uint64_t max_size, unsigned worker,
                     struct history **out, struct why *why);
/* An event sink (base/event.h): keeps events that name a session or message. Buffered, written at
 * least once a second by history_flush. */
void history_event(void *history, const char *name, struct bytes line);
void history_flush(struct history *h, int64_t wall_ms); /* and removes what is too old */
void history_close(struct history **h);

/* Reads all files; visits the lines of messages and sessions that go by this id, Message-ID, address
 * or session id, in order of time. Blocks: for commands. */
enum rc history_trace(const char *directory, struct bytes what,
                      void (*each)(void *ctx, struct bytes line), void *ctx, struct why *why);

/* The same in slices, for a thread beside a server's loop, in bounded memory: each line that the
 * search finds goes to `each`, which may decline it: it comes again with the next step. */
struct history_search;
/* What somebody may see: false, or the line as it may be seen. Nothing else is searched or found. */
struct history_view {
    bool (*see)(void *ctx, struct bytes line, struct buf *out);
    void *ctx;
};
/* view: NULL: everything. */
struct history_search *history_search_open(const char *directory, struct bytes what,
                                           const struct history_view *view);
/* Reads about so many octets. After a failure, or *more = false, it is at its end. */
enum rc history_search_step(struct history_search *h, size_t octets,
                            bool (*each)(void *ctx, struct bytes line), void *ctx, bool *more,
                            struct why *why);
void history_search_close(struct history_search **h);

/* The next string of a line with its key, as they stand there, without quotes; the items of an array
 * come one by one under its key. Start with *at = 0 and an empty pair. */
struct history_pair {
    struct bytes key, value;
};
bool history_pair(struct bytes line, size_t *at, struct history_pair *p);

#endif
