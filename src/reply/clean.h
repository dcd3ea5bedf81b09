/* clean: a text as people paste it and programs wrap it, made plain: no markup, entities, escapes or
 * control octets; quotes, dashes and blanks are those of ASCII; blanks are single. For this folder
 * only. */
#ifndef REPLY_CLEAN_H
#define REPLY_CLEAN_H

#include "base/buf.h"

/* Writes as much as fits; what is too much is left out. */
void clean_text(struct buf *out, struct bytes text);

#endif
