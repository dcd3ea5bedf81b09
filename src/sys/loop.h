/* loop: the event loop of a process, its timers and its two clocks. One loop a process, used from
 * the thread that runs it. libuv is behind it in the product; the talks and crash tests link
 * another loop with a fake clock behind the same header.
 *
 * loop_now is monotonic and for timers; loop_wall is the time of day, for what is stored and shown.
 * Both are in milliseconds and stand still within one callback. */
#ifndef SYS_LOOP_H
#define SYS_LOOP_H

#include "base/heap.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;

struct loop *loop_open(void);
/* Everything opened on it must be closed before. */
void loop_close(struct loop **l);
/* Runs until loop_stop, or until nothing is left to wait for. */
void loop_run(struct loop *l);
void loop_stop(struct loop *l);
int64_t loop_now(const struct loop *l);
int64_t loop_wall(const struct loop *l);

/* A timer lives in its owner; zeroed memory is a timer that is not set. Cheap enough for one a
 * session: setting and clearing is a heap operation. */
struct timer {
    struct heap_node node;
    struct loop *loop;
    void (*fire)(void *ctx);
    void *ctx;
};
/* Fires once, after ms (0: in the next turn of the loop). Setting it again moves it. */
void timer_set(struct loop *l, struct timer *t, int64_t ms, void (*fire)(void *ctx), void *ctx);
void timer_clear(struct timer *t);
bool timer_is_set(const struct timer *t);

/* A file descriptor to watch: signalfd, pidfd, control sockets. */
struct watch;
enum { WATCH_READ = 1, WATCH_WRITE = 2 };
struct watch *watch_open(struct loop *l, int fd, int what, void (*ready)(void *ctx, int what),
                         void *ctx);
void watch_change(struct watch *w, int what);
void watch_close(struct watch **w); /* the descriptor stays open */

/* Signals as callbacks on the loop. */
struct signal_watch;
struct signal_watch *signal_watch_open(struct loop *l, int signo,
                                       void (*caught)(void *ctx, int signo), void *ctx);
void signal_watch_close(struct signal_watch **w);

#endif
