/* event: one JSON object a line for one fact. Stages write events; languages and services return a
 * why instead. Every event has "time" and "event"; add "session" and "message" wherever they exist.
 *
 *     struct event *e = event_begin("refused");
 *     event_text(e, "session", id);
 *     event_u64(e, "code", 550);
 *     event_end(e);
 *
 * Values that are secrets are never passed here. Order of calls: event_open once, at the start of a
 * process (until then events go to standard error). Not for use from other threads. */
#ifndef BASE_EVENT_H
#define BASE_EVENT_H

#include "base/addr.h"
#include "base/bytes.h"
#include "base/why.h"

struct event;

/* line holds the whole object without a newline. More than one sink may listen (log, history). */
typedef void event_sink(void *ctx, const char *name, struct bytes line);
typedef int64_t event_clock(void *ctx); /* wall-clock milliseconds */
void event_open(event_clock *clock, void *clock_ctx);
void event_listen(event_sink *sink, void *ctx);
void event_unlisten(event_sink *sink, void *ctx);

struct event *event_begin(const char *name);
void event_text(struct event *e, const char *key, struct bytes value); /* left out when empty */
void event_str(struct event *e, const char *key, const char *value);
void event_u64(struct event *e, const char *key, uint64_t value);
void event_i64(struct event *e, const char *key, int64_t value);
/* A value that is JSON already. */
void event_json(struct event *e, const char *key, struct bytes json);
void event_bool(struct event *e, const char *key, bool value);
void event_addr(struct event *e, const char *key, struct addr a);
void event_time(struct event *e, const char *key, int64_t wall_ms);
/* code, enhanced, reason, text, as far as they are set. */
void event_why(struct event *e, const struct why *w);
/* A nested array of strings: begin, any number of items, end. */
void event_array(struct event *e, const char *key);
void event_item(struct event *e, struct bytes value);
void event_array_end(struct event *e);
/* Writes it to every sink; the event is gone. */
void event_end(struct event *e);

#endif
