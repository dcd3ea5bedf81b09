/* resolve: from the recipients of a message to where it goes. Aliases are followed one question of
 * the directory at a time, depth first; a name met again on its own way down is a loop and dropped.
 *
 * A recipient that no alias changes stays as it is, unknown ones too: whether an address exists was
 * the decision's matter. */
#include "resolve/resolve.h"
#include "base/list.h"
#include "base/map.h"
#include "base/must.h"
#include "message/address.h"

#include <string.h>

enum { DEPTH_MAX = 10, FINAL_MAX = 1000 };

/* An address still to be looked up, and the way that led to it. */
struct step {
    struct list_node node;
    struct bytes address;
    const struct recipient *from; /* the accepted recipient it stems from */
    const struct step *parent;
    unsigned depth;
};

struct resolve_query {
    const struct config *config;
    struct directory *directory;
    const struct envelope *envelope;
    struct arena *arena; /* the caller's: for the result */
    struct arena *own;
    struct list steps;
    struct step *current;
    struct map *seen; /* final addresses */
    struct recipient *found;
    size_t count, capacity;
    bool *reached; /* parallel to the envelope's recipients: it has a final address */
    struct why trouble;
    struct timer timer;
    struct loop *loop;
    void (*on_resolved)(void *ctx, enum rc rc, const struct envelope *resolved,
                        const struct why *why);
    void *ctx;
};

static void go_on(void *ctx);

static void end(struct resolve_query *q, enum rc rc, const struct why *why) {
    struct envelope *resolved = NULL;
    if (rc == OK) {
        resolved = ARENA_NEW(q->arena, struct envelope);
        *resolved = *q->envelope;
        resolved->recipients = q->found;
        resolved->count = q->count;
    }
    void (*on_resolved)(void *, enum rc, const struct envelope *, const struct why *) =
        q->on_resolved;
    void *ctx = q->ctx;
    struct arena *own = q->own;
    arena_close(&own); /* the query lies in it */
    on_resolved(ctx, rc, resolved, why);
}

static void grow(struct resolve_query *q) {
    if (q->count < q->capacity)
        return;
    struct recipient *more = ARENA_ARRAY(q->arena, q->capacity * 2, struct recipient);
    memcpy(more, q->found, q->count * sizeof(*more));
    q->found = more;
    q->capacity *= 2;
}

/* Leaving out what an alias cannot reach would lose mail in silence: the message is not taken, for now,
 * and our administrator has to mend the alias. */
static void in_trouble(struct resolve_query *q, const struct recipient *from, const char *what) {
    why_backend(&q->trouble, "backend.alias",
                "The address %.*s %s. The administrator of this server has to mend that",
                BYTES_FMT(from->original), what);
}

static void add_final(struct resolve_query *q, const struct step *s, struct bytes address) {
    struct bytes key = arena_lower(q->own, address);
    q->reached[s->from - q->envelope->recipients] = true;
    if (map_find(q->seen, key))
        return;
    if (q->count >= q->envelope->count + FINAL_MAX) {
        in_trouble(q, s->from, "stands for too many others");
        return;
    }
    grow(q);
    map_put(q->seen, key, q);
    char hop[700];
    struct buf b = buf_fixed(hop, sizeof(hop));
    resolve_hop_of(q->config, q->envelope, s->from, address, &b);
    struct recipient *r = &q->found[q->count++];
    *r = *s->from;
    r->final = arena_copy(q->arena, address);
    r->next_hop = arena_copy(q->arena, buf_bytes(&b));
}

static bool is_own(const struct resolve_query *q, struct bytes address) {
    struct bytes domain = address_domain(address);
    return !domain.len || config_domain(q->config, domain) != NULL;
}

/* postmaster@[192.0.2.25]: that nobody was charged for it says it is an address of this host, and so
 * the bare postmaster. */
static struct bytes first_address(const struct recipient *r) {
    bool own_literal = !r->connector.len && bytes_starts(address_domain(r->original), B("[")) &&
                       bytes_equal_nocase(address_local(r->original), B("postmaster"));
    return own_literal ? B("postmaster") : r->original;
}

static bool on_own_way(const struct step *s, struct bytes address) {
    for (; s; s = s->parent)
        if (address_equal(s->address, address))
            return true;
    return false;
}

static void push(struct resolve_query *q, const struct recipient *from, const struct step *parent,
                 struct bytes address) {
    struct step *s = ARENA_NEW(q->own, struct step);
    *s = (struct step){ .address = arena_copy(q->own, address), .from = from, .parent = parent };
    s->depth = parent ? parent->depth + 1 : 0;
    list_prepend(&q->steps, &s->node);
}

/* postmaster of our domains and of none, where the directory has no such entry: the configured
 * postmaster, else the Maildir of its own. */
static struct bytes postmaster_for(struct resolve_query *q, const struct step *s) {
    struct bytes local = address_local(s->address);
    bool bare = !address_domain(s->address).len;
    if (!bare && !bytes_equal_nocase(local, B("postmaster")))
        return BYTES_NONE;
    struct bytes configured = q->config->postmaster;
    if (configured.len && !on_own_way(s, configured))
        return configured;
    return BYTES_NONE;
}

static void no_entry(struct resolve_query *q, struct step *s) {
    struct bytes postmaster = postmaster_for(q, s);
    if (postmaster.len)
        push(q, s->from, s, postmaster);
    else if (bytes_equal_nocase(address_local(s->address), B("postmaster")) ||
             !address_domain(s->address).len)
        add_final(q, s, B("postmaster"));
    else
        add_final(q, s, s->address);
}

static void follow(struct resolve_query *q, struct step *s, const struct directory_entry *e) {
    if (!e) {
        no_entry(q, s);
        return;
    }
    if (e->kind == DIRECTORY_USER) {
        add_final(q, s, e->address);
        return;
    }
    /* Backwards onto the front of the list: they come off in their own order. */
    for (size_t i = e->targets.count; i > 0; i--) {
        struct bytes target = e->targets.list[i - 1];
        if (bytes_equal_nocase(target, e->address))
            add_final(q, s, target); /* an alias that also keeps a copy for itself */
        else if (on_own_way(s, target))
            continue; /* the loop ends here; its other ways go on */
        else if (s->depth < DEPTH_MAX)
            push(q, s->from, s, target);
        else
            in_trouble(q, s->from, "leads through too many aliases");
    }
}

static void found(void *ctx, enum rc rc, const struct directory_entry *entry,
                  const struct why *why) {
    struct resolve_query *q = ctx;
    if (rc != OK) {
        end(q, TEMP, why);
        return;
    }
    follow(q, q->current, entry);
    go_on(q);
}

/* The next step that needs the directory; those that do not are done here. */
static void go_on(void *ctx) {
    struct resolve_query *q = ctx;
    while (!q->trouble.code) {
        struct list_node *n = list_pop(&q->steps);
        if (!n)
            break;
        struct step *s = q->current = CONTAINER_OF(n, struct step, node);
        if (is_own(q, s->address)) {
            directory_find(q->directory, s->address, found, q);
            return;
        }
        add_final(q, s, s->address);
    }
    for (size_t i = 0; i < q->envelope->count && !q->trouble.code; i++)
        if (!q->reached[i])
            in_trouble(q, &q->envelope->recipients[i], "leads back to itself and nowhere else");
    struct why trouble = q->trouble;
    end(q, trouble.code ? TEMP : OK, trouble.code ? &trouble : NULL);
}

static void close_map(void *map) {
    struct map *m = map;
    map_close(&m);
}

static void clear_timer(void *timer) {
    timer_clear(timer);
}

struct resolve_query *resolve_begin(struct loop *loop, const struct config *config,
                                    struct directory *directory, const struct envelope *envelope,
                                    struct arena *a,
                                    void (*on_resolved)(void *ctx, enum rc rc,
                                                        const struct envelope *resolved,
                                                        const struct why *why),
                                    void *ctx) {
    struct arena *own = arena_open();
    struct resolve_query *q = ARENA_NEW(own, struct resolve_query);
    *q = (struct resolve_query){
        .config = config,
        .directory = directory,
        .envelope = envelope,
        .arena = a,
        .own = own,
        .seen = map_open(),
        .capacity = envelope->count + 1,
        .loop = loop,
        .on_resolved = on_resolved,
        .ctx = ctx,
    };
    list_init(&q->steps);
    arena_defer(own, close_map, q->seen);
    arena_defer(own, clear_timer, &q->timer);
    q->found = ARENA_ARRAY(a, q->capacity, struct recipient);
    q->reached = ARENA_ARRAY(own, envelope->count ? envelope->count : 1, bool);
    for (size_t i = envelope->count; i > 0; i--)
        push(q, &envelope->recipients[i - 1], NULL, first_address(&envelope->recipients[i - 1]));
    timer_set(loop, &q->timer, 0, go_on, q);
    return q;
}

void resolve_cancel(struct resolve_query **qp) {
    struct resolve_query *q = *qp;
    *qp = NULL;
    if (!q)
        return;
    directory_cancel(q->directory, q);
    struct arena *own = q->own;
    arena_close(&own);
}
