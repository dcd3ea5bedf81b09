/* offline: the queue without a server: the lanes are locked and read by the command itself, as the
 * workers' account. Nothing is delivered meanwhile. */
#ifndef BIN_OFFLINE_H
#define BIN_OFFLINE_H

#include "config/config.h"

/* Answers one request (see answer.h) as the server would: each(line). PERM and why when the lanes
 * are held by somebody (a server that runs but does not answer) or cannot be read. */
enum rc offline_ask(const struct config *config, struct bytes request,
                    void (*each)(void *ctx, struct bytes line), void *ctx, struct why *why);

#endif
