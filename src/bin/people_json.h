/* people_json: a user, alias or group as JSON: what the commands print with --json and what the server
 * tells a tenant's administrator. */
#ifndef BIN_PEOPLE_JSON_H
#define BIN_PEOPLE_JSON_H

#include "directory/directory.h"

enum { PEOPLE_JSON_MAX = 8 * 1024 * 1024 }; /* more than the largest group has */

/* Words of `group set`, by enum. */
extern const char *const people_senders[4];
extern const char *const people_delivery[3];
struct strings people_patterns(struct arena *a, struct patterns patterns);
/* The object without its closing brace. */
void people_json(struct buf *b, struct arena *a, const struct directory_entry *e);

#endif
