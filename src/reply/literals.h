/* literals: which of many short words stand in a text, found in one pass, whatever their number.
 * The rules have hundreds of patterns; a reply lacks what nearly all of them cannot do without, and
 * so they need not be tried. For this folder only. */
#ifndef REPLY_LITERALS_H
#define REPLY_LITERALS_H

#include "base/arena.h"

enum { LITERAL_MAX = 40, LITERALS_MAX = 16 * 1024 };

struct literals; /* lives as long as the arena it was made in */

struct literals *literals_new(struct arena *a);
/* The number of a word of 2 to LITERAL_MAX octets in small letters, the same for the same word; 0
 * where there are too many. */
unsigned literals_add(struct literals *l, struct bytes word);
/* Number 1 stands for any octet beyond ASCII. */
enum { LITERAL_BEYOND_ASCII = 1 };
/* Looks through a text (capitals are as good as small letters); what was seen before is forgotten. */
void literals_look(struct literals *l, struct bytes text);
bool literals_seen(const struct literals *l, unsigned number);

#endif
