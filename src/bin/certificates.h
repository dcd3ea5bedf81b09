/* certificates: the pairs listeners show: read, made where none is configured, proved to be usable
 * before anybody depends on them, and noticed when they are renewed on disk. The parent's. */
#ifndef BIN_CERTIFICATES_H
#define BIN_CERTIFICATES_H

#include "config/config.h"
#include "sys/tls.h"

struct certificates;

/* Gives listeners without a certificate the pair below state_dir/keys, which is made on first use,
 * reads the authorities of routes into their ca_file,
 * and looks at every pair. PERM and why when one cannot be used. */
enum rc certificates_fill(struct config *c, int64_t wall_ms, struct why *why);

/* Has a server ask the connectors' authorities about its clients. */
enum rc certificates_trust(const struct config *c, struct tls_server *t, struct why *why);

struct certificates *certificates_open(void);
void certificates_close(struct certificates **w);
/* The configuration was just read, its pairs with it. */
void certificates_read(struct certificates *w, const struct config *c);
/* Looks whether files changed since, and if so reads the pairs anew into the configuration: OK when
 * it has new ones, MORE when there is nothing to do, PERM and why, once for each change, when what
 * is there now cannot be used: the old ones stay. A pair that is being written this moment gets
 * until the next look. */
enum rc certificates_look(struct certificates *w, struct config *c, struct why *why);

#endif
