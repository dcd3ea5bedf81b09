/* stream_impl: what stream.c offers to stream_open.c. Nobody else includes this. */
#ifndef SYS_STREAM_IMPL_H
#define SYS_STREAM_IMPL_H

#include "sys/stream.h"

/* Makes a stream of a connected non-blocking socket. A local address of family 0 is found out when
 * asked for. */
struct stream *stream_adopt(struct loop *l, int fd, struct addr peer, struct addr local);

#endif
