/* pattern: one PCRE2 of the rules. It is compiled when it is first needed, and not even tried on a
 * text that lacks the words it cannot do without: reading the rules is quick, and so is asking them.
 * For this folder only.
 *
 * The order: patterns_new; pattern_let and pattern_new, in any order a let stands before its use;
 * patterns_look at a text; then pattern_found of that text. */
#ifndef REPLY_PATTERN_H
#define REPLY_PATTERN_H

#include "base/arena.h"

struct pattern;  /* lives as long as the arena of its patterns */
struct patterns; /* what patterns have in common: the lets, the words they need */

/* `more` lends its lets; NULL none. */
struct patterns *patterns_new(struct arena *a, const struct patterns *more);
/* {NAME} stands for `source` in what follows. False: there is such a name, or a let in the source is
 * not known, or the source is empty or too long. Keeps no view of its arguments. */
bool pattern_let(struct patterns *all, struct bytes name, struct bytes source);
/* Sets *undefined to the name of a let that is not known, and gives NULL, if there is one. */
struct pattern *pattern_new(struct patterns *all, struct bytes source, struct bytes *undefined);
/* NULL if it compiles, else what is wrong with it; the text lives until the next call. */
const char *pattern_wrong(struct pattern *p);

void patterns_look(struct patterns *all, struct bytes text);
/* In the text of the last look. */
bool pattern_found(struct pattern *p, struct bytes text);
/* In any text. */
bool pattern_matches(struct pattern *p, struct bytes text);

#endif
