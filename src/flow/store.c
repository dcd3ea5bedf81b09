/* store: dispatch from the calls of store.h to the implementation they were opened with. */
#include "flow/store.h"

struct store_draft *store_begin(struct store *s, uint64_t size, struct why *why) {
    return s->ops->begin(s, size, why);
}

bool store_append(struct store_draft *d, struct bytes data) {
    return d->store->ops->append(d, data);
}

void store_on_room(struct store_draft *d, void (*on_room)(void *ctx), void *ctx) {
    d->store->ops->on_room(d, on_room, ctx);
}

struct message_id store_draft_id(const struct store_draft *d) {
    return d->store->ops->draft_id(d);
}

uint64_t store_draft_size(const struct store_draft *d) {
    return d->store->ops->draft_size(d);
}

void store_commit(struct store_draft **d, struct bytes prefix, const struct envelope *envelope,
                  void (*on_committed)(void *ctx, enum rc rc, struct message_id id,
                                       const struct why *why),
                  void *ctx) {
    (*d)->store->ops->commit(d, prefix, envelope, on_committed, ctx);
}

void store_abort(struct store_draft **d) {
    (*d)->store->ops->abort(d);
}

bool store_full(struct store *s) {
    return s->ops->full(s);
}

void store_load(struct store *s, struct message_id id,
                void (*on_loaded)(void *ctx, enum rc rc, struct store_message *m,
                                  const struct why *why),
                void *ctx) {
    s->ops->load(s, id, on_loaded, ctx);
}

struct message_id store_message_id(const struct store_message *m) {
    return m->store->ops->message_id(m);
}

const struct envelope *store_message_envelope(const struct store_message *m) {
    return m->store->ops->message_envelope(m);
}

const struct store_recipient *store_message_recipients(const struct store_message *m) {
    return m->store->ops->message_recipients(m);
}

struct content store_message_content(struct store_message *m) {
    return m->store->ops->message_content(m);
}

void store_message_release(struct store_message **m) {
    (*m)->store->ops->message_release(m);
}

void store_settle(struct store *s, const struct settlement *list, size_t count,
                  void (*on_settled)(void *ctx, enum rc rc), void *ctx) {
    s->ops->settle(s, list, count, on_settled, ctx);
}

size_t store_due(struct store *s, struct bytes next_hop, int64_t until, struct store_cursor *cursor,
                 struct store_due *page, size_t limit, int64_t *earliest_out) {
    return s->ops->due(s, next_hop, until, cursor, page, limit, earliest_out);
}

void store_on_news(struct store *s, void (*on_news)(void *ctx, const struct store_due *due),
                   void *ctx) {
    s->ops->on_news(s, on_news, ctx);
}

void store_scan(struct store *s, const struct store_filter *filter, struct bytes cursor,
                size_t limit, const struct store_scan_events *events, void *ctx) {
    s->ops->scan(s, filter, cursor, limit, events, ctx);
}

void store_stats(const struct store *s, struct store_stats *out) {
    s->ops->stats(s, out);
}
