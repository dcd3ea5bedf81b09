/* scan: the bounded reader. Once bad it stays bad: a read past the end or of the wrong thing gives
 * zero or an empty view and sets `bad`, so a caller reads on and asks once, at the end. */
#ifndef BASE_SCAN_H
#define BASE_SCAN_H

#include "base/bytes.h"

struct scan {
    struct bytes rest;
    bool bad;
};

struct scan scan_of(struct bytes all);
bool scan_done(const struct scan *s); /* nothing is left */
/* The next octet without taking it, or -1. */
int scan_peek(const struct scan *s);
char scan_char(struct scan *s);
/* Takes c if it comes next and says whether it did; never bad. */
bool scan_accept(struct scan *s, char c);
bool scan_accept_nocase(struct scan *s, struct bytes word);
/* c must come next. */
void scan_expect(struct scan *s, char c);
/* Takes octets while `in` holds; may be empty. */
struct bytes scan_while(struct scan *s, bool (*in)(char c));
struct bytes scan_until(struct scan *s, char c); /* up to, not with, c; all if there is none */
struct bytes scan_take(struct scan *s, size_t n);
void scan_blanks(struct scan *s);                   /* spaces and tabs */
uint64_t scan_number(struct scan *s, uint64_t max); /* decimal, at least one digit */
uint16_t scan_le16(struct scan *s);
uint32_t scan_le32(struct scan *s);
uint64_t scan_le64(struct scan *s);
struct bytes scan_lbytes(struct scan *s); /* le32 length, then the octets */

#endif
