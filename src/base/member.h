/* member: the members of a JSON object as it is written into a buffer; where a comma belongs is seen from what stands
 * before. Values other than texts, yes and no follow member_key(). */
#ifndef BASE_MEMBER_H
#define BASE_MEMBER_H

#include "base/buf.h"

void member_key(
    struct buf *b,
    const char *key); /* "key": - with a comma, unless a { stands before; literals only */
void member_text(struct buf *b, const char *key, struct bytes value);
void member_flag(struct buf *b, const char *key, bool value);

#endif
