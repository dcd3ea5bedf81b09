/* loop_impl: what the loop shares with the files of sys that sit on libuv (stream.c, offload.c).
 * Nobody else includes this. */
#ifndef SYS_LOOP_IMPL_H
#define SYS_LOOP_IMPL_H

#include "sys/loop.h"

#include <uv.h>

struct loop {
    uv_loop_t uv;
    uv_timer_t alarm; /* rings when the first timer is due */
    uv_idle_t soon;   /* active while a timer is due already */
    int64_t alarm_at; /* -1 when it is not set */
    struct heap timers;
    int64_t wall, wall_read_at;
    /* What stream.c keeps once a loop; made at first use, freed with the loop. */
    void *streams;
    void (*streams_free)(void *streams);
};

#endif
