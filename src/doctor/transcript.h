/* transcript: what was said, by whom, when, and whether under TLS. Lines are cleaned as they are added: no
 * control octet, no broken UTF-8, bounded in length and number; and no secret that was named before: a
 * server may well repeat a password. All memory is the arena's. */
#ifndef DOCTOR_TRANSCRIPT_H
#define DOCTOR_TRANSCRIPT_H

#include "base/arena.h"
#include "base/buf.h"

enum { TRANSCRIPT_TEXT = 600, TRANSCRIPT_LINES = 4000, TRANSCRIPT_SECRETS = 8 };

enum mark { MARK_NOTE, MARK_FAULT, MARK_SENT, MARK_GOT, MARK_GOT_REFUSAL };

struct transcript_line {
    int64_t ms;           /* since the transcript began */
    struct bytes session; /* whose conversation: "main" */
    enum mark mark;
    bool tls;
    struct bytes text;
};
struct transcript {
    struct arena *arena;
    struct transcript_line *lines;
    size_t count, room, dropped;
    struct bytes secrets[TRANSCRIPT_SECRETS];
    size_t secret_count;
    /* Told of each line as it comes; may be NULL. */
    void (*on_line)(void *ctx, const struct transcript_line *line);
    void *ctx;
};

void transcript_open(struct transcript *t, struct arena *a);
/* Shorter than three octets it stays: it would be found everywhere. */
void transcript_secret(struct transcript *t, struct bytes secret);
/* A user's password, and the forms in which AUTH carries it. */
void transcript_password(struct transcript *t, struct bytes user, struct bytes password);
/* With each secret in it replaced; in the arena. */
struct bytes transcript_masked(struct transcript *t, struct bytes text);
void transcript_add(struct transcript *t, int64_t ms, struct bytes session, enum mark mark,
                    bool tls, struct bytes text);

/* "<~  250 ok", as swaks writes it. */
void transcript_line_text(const struct transcript_line *line, struct buf *out);
/* [{"session":"main","ms":3,"mark":"got","tls":true,"text":"250 ok"}, ...] */
void transcript_json(const struct transcript *t, struct buf *out);

#endif
