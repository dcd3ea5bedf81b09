/* dovecot: what Dovecot's auth service says on its auth-client socket, and what it is asked (its
 * protocol 1.x: lines of fields parted by tabs). Pure; the connection is dovecot.c's. */
#ifndef KEEPER_DOVECOT_H
#define KEEPER_DOVECOT_H

#include "base/buf.h"
#include "keeper/source.h"

enum { DOVECOT_LINE_MAX = 8192, DOVECOT_USER_MAX = 1024 };
enum dovecot_word {
    DOVECOT_OTHER, /* nothing that matters here */
    DOVECOT_VERSION,
    DOVECOT_MECH,
    DOVECOT_DONE,
    DOVECOT_OK,
    DOVECOT_FAIL,
    DOVECOT_CONT,
    DOVECOT_BROKEN, /* not of this protocol */
};
struct dovecot_line {
    enum dovecot_word word;
    uint64_t number;   /* VERSION: the major one; OK, FAIL, CONT: of the request */
    bool plain;        /* MECH: PLAIN */
    bool temporary;    /* FAIL: a fault of the service, no wrong password */
    struct bytes user; /* OK: in `memory`, unescaped; empty: it names nobody */
    char memory[DOVECOT_USER_MAX + 1];
};
/* A line without its end. */
void dovecot_parse(struct bytes line, struct dovecot_line *out);
/* An AUTH request with its end. False: it does not fit. */
bool dovecot_format(struct buf *b, uint64_t number, const struct source_question *question);

#endif
