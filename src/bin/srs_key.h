/* srs_key: the key that rewritten senders are signed with: what `srs_secret` says, else one of our own
 * in STATE/keys/srs.key, made on first use. The parent's, and `postern why`'s. */
#ifndef BIN_SRS_KEY_H
#define BIN_SRS_KEY_H

#include "config/config.h"

/* Sets srs_secret where the configuration has none. With `make` a missing file is made, for its owner
 * alone; else it is a fault (files.missing). PERM and why when it cannot be read or holds no key. */
enum rc srs_key_fill(struct config *c, bool make, struct why *why);

#endif
