/* why: the one error idiom. A function that can fail returns an rc and fills a why, whose parts
 * stay apart: SMTP code, enhanced code (RFC 3463), sentence, reason id. */
#ifndef BASE_WHY_H
#define BASE_WHY_H

#include "base/bytes.h"

enum rc {
    OK,
    MORE, /* not yet: more input or a fact is missing */
    TEMP, /* failed for now: trying again later may work */
    PERM, /* failed for good */
};

/* An enhanced status code (RFC 3463), "5.7.1"; all zero is none. */
struct status {
    uint8_t klass; /* 2, 4 or 5 */
    uint16_t subject;
    uint16_t detail;
};

enum { WHY_TEXT = 472, WHY_REASON = 40 };

struct why {
    int code; /* SMTP reply code, 0 if none */
    struct status status;
    char reason[WHY_REASON]; /* stable reason id such as "relay.no-grant" */
    char text[WHY_TEXT];     /* a sentence, UTF-8, one line */
};

/* Fills all parts (a text that is too long is cut at a character; CR, LF and other controls become
 * spaces) and returns rc. `status` is text like "5.7.1" or NULL. w may be NULL. */
enum rc why_set(struct why *w, enum rc rc, int code, const char *status, const char *reason,
                const char *format, ...) __attribute__((format(printf, 6, 7)));
/* A fault of ours: 451 4.3.0 with this reason ("backend.directory"), always TEMP. */
enum rc why_backend(struct why *w, const char *reason, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void why_clear(struct why *w);

/* "5.7.1" from text; false if it is not exactly class.subject.detail with class 2, 4 or 5, subject
 * and detail of at most three digits (RFC 3463 section 2). */
bool status_parse(struct bytes text, struct status *out);
bool status_is_set(struct status s);
/* Writes "5.7.1" and a NUL; nothing for none. */
void status_format(struct status s, char out[12]);

#endif
