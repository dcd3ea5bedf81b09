/* resolve: from the recipients of a message to where it goes. Aliases, groups and forwards are followed
 * one question of the directory at a time, depth first; a name met again on its own way down is a
 * loop and dropped. A group says which of its members need no question of their own.
 *
 * A recipient that nothing changes stays as it is, unknown ones too: whether an address exists was
 * the decision's matter. */
#include "resolve/resolve.h"
#include "base/event.h"
#include "base/list.h"
#include "base/map.h"
#include "base/must.h"
#include "message/address.h"
#include "message/automatic.h"
#include "resolve/srs.h"

#include <string.h>

enum {
    DEPTH_MAX = 10,
    FINAL_MAX = 25000,
    SLICE = 256, /* addresses done before others on the loop have their turn */
};

/* An address still to be looked up, and the way that led to it. */
struct step {
    struct list_node node;
    struct bytes address;
    const struct recipient *from; /* the accepted recipient it stems from */
    const struct step *parent;
    unsigned depth;
    bool plain;         /* a user whose mail stays with it: no question */
    bool by_forward;    /* a user's forward led here */
    bool by_group;      /* a group did: no member answers by itself */
    struct bytes by;    /* the address of ours that sent it on; empty: it was written to */
    struct bytes owner; /* of the group it came through last */
    struct bytes away;  /* the user who forwards, if a vacation answers for it */
};

struct resolve_query {
    const struct config *config;
    struct directory *directory;
    const struct envelope *envelope;
    struct arena *arena; /* the caller's: for the result */
    struct arena *own;
    struct list steps;
    struct step *current;
    struct map *seen;      /* final addresses: struct spot */
    struct map *visited;   /* those looked up: groups within groups lead to one by many ways */
    struct map *addressed; /* in lower case; NULL: nobody is away so far */
    struct recipient *found;
    size_t count, capacity;
    bool hollow;   /* a group without members was met */
    bool diverted; /* a report that goes to the postmaster instead */
    bool *reached; /* parallel to the envelope's recipients: it has a final address */
    struct why trouble;
    struct timer timer;
    struct loop *loop;
    void (*on_resolved)(void *ctx, enum rc rc, const struct envelope *resolved,
                        const struct why *why);
    void *ctx;
};

static void go_on(void *ctx);

struct spot {
    size_t at; /* in `found` */
};

static const struct why none;

/* What an answer would refer to is kept with the message where one may be given. */
static void keep_quoted(struct envelope *e) {
    for (size_t i = 0; i < e->count; i++)
        if (e->recipients[i].away.len) {
            e->flags |= ENVELOPE_QUOTED;
            return;
        }
    e->subject = e->references = BYTES_NONE;
}

static void end(struct resolve_query *q, enum rc rc, const struct why *why) {
    struct envelope *resolved = NULL;
    if (rc == OK) {
        resolved = ARENA_NEW(q->arena, struct envelope);
        *resolved = *q->envelope;
        resolved->recipients = q->found;
        resolved->count = q->count;
        keep_quoted(resolved);
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

static bool is_own(const struct resolve_query *q, struct bytes address) {
    struct bytes domain = address_domain(address);
    return !domain.len || config_domain(q->config, domain) != NULL;
}

/* Where accept begins: what was written to, or the bare postmaster for one of our own addresses. */
static struct bytes first_address(const struct recipient *r) {
    return r->final.len ? r->final : r->original;
}

/* --- what comes of it ---------------------------------------------------------------------------- */

/* Reports about a group's mail go to its owner, if it has one; a report itself keeps its null sender,
 * so that none comes of it. What else goes on to another domain would be turned away there as forged
 * under its own sender. */
static void set_sender(struct resolve_query *q, const struct step *s, struct recipient *r) {
    char text[600];
    struct buf b = buf_fixed(text, sizeof(text));
    struct bytes sender = q->envelope->sender;
    if (!sender.len)
        return;
    if (s->owner.len) {
        r->sender = arena_copy(q->arena, s->owner);
        r->notify &= NOTIFY_NEVER | NOTIFY_FAILURE; /* RFC 3461 section 5.2.7.3 */
        r->orcpt = BYTES_NONE;
        return;
    }
    if (!r->forwarder.len || is_own(q, sender) ||
        !srs_write(q->config->srs_secret, sender, address_domain(s->by), loop_wall(q->loop), &b))
        return;
    r->sender = arena_copy(q->arena, buf_bytes(&b));
    r->rewritten = true;
}

static bool went_round(const struct resolve_query *q, struct bytes forwarder) {
    for (size_t i = 0; i < q->envelope->delivered_to_count; i++)
        if (address_equal(q->envelope->delivered_to[i], forwarder))
            return true;
    return false;
}

static struct spot *new_spot(struct resolve_query *q, size_t at) {
    struct spot *p = ARENA_NEW(q->own, struct spot);
    p->at = at;
    return p;
}

/* One more final address; `fail`: the reason why it is none, or NULL. */
static void add(struct resolve_query *q, const struct step *s, struct bytes address,
                const char *fail) {
    q->reached[s->from - q->envelope->recipients] = true;
    struct bytes key = arena_lower(q->own, address);
    if (fail) /* each on its own: whoever wrote to it hears of it */
        key = arena_printf(q->own, "%s %zu %.*s", fail, (size_t)(s->from - q->envelope->recipients),
                           BYTES_FMT(key));
    const struct spot *before = map_find(q->seen, key);
    if (before) {
        if (!q->found[before->at].away.len)
            q->found[before->at].away = arena_copy(q->arena, s->away);
        return;
    }
    if (q->count >= q->envelope->count + FINAL_MAX) {
        in_trouble(q, s->from, "stands for too many others");
        return;
    }
    grow(q);
    map_put(q->seen, key, new_spot(q, q->count));
    char hop[700];
    struct buf b = buf_fixed(hop, sizeof(hop));
    struct recipient *r = &q->found[q->count++];
    *r = *s->from;
    r->final = arena_copy(q->arena, address);
    r->away = arena_copy(q->arena, s->away);
    r->next_hop = BYTES_NONE;
    if (s->by.len && (fail || !is_own(q, address)))
        r->forwarder = arena_copy(q->arena, s->by);
    if (!fail && r->forwarder.len && went_round(q, r->forwarder))
        fail = "loop.forward";
    if (fail)
        r->next_hop = arena_printf(q->own, "fail:%s", fail);
    else
        set_sender(q, s, r);
    resolve_recipient_hop(q->config, q->envelope, r, &b);
    r->next_hop = arena_copy(q->arena, buf_bytes(&b));
}

static void add_final(struct resolve_query *q, const struct step *s, struct bytes address) {
    add(q, s, address, NULL);
}

/* A server behind us may do something with the tag; a Maildir is the user's, tag or not. */
static struct bytes with_tag(const struct resolve_query *q, const struct step *s,
                             const struct directory_entry *e) {
    const struct domain *d = config_domain(q->config, address_domain(e->address));
    bool behind = d && d->deliver.transport != TRANSPORT_MAILDIR;
    return behind && bytes_find(address_local(s->address), '+') > 0 ? s->address : e->address;
}

/* --- following ------------------------------------------------------------------------------------ */

static bool on_own_way(const struct step *s, struct bytes address) {
    for (; s; s = s->parent)
        if (address_equal(s->address, address))
            return true;
    return false;
}

static struct step *push(struct resolve_query *q, const struct recipient *from,
                         const struct step *parent, struct bytes address) {
    struct step *s = ARENA_NEW(q->own, struct step);
    *s = (struct step){ .address = arena_copy(q->own, address), .from = from, .parent = parent };
    if (parent) {
        s->depth = parent->depth + 1;
        s->by_forward = parent->by_forward;
        s->by_group = parent->by_group;
        s->by = parent->by;
        s->owner = parent->owner;
        s->away = parent->away;
    }
    list_prepend(&q->steps, &s->node);
    return s;
}

/* From an entry of ours to one of those it leads to; NULL when that is the end of it. */
static struct step *push_on(struct resolve_query *q, const struct step *s,
                            const struct directory_entry *e, struct bytes target) {
    if (on_own_way(s, target))
        return NULL; /* the loop ends here; its other ways go on */
    if (s->depth >= DEPTH_MAX) {
        in_trouble(q, s->from, "leads through too many aliases");
        return NULL;
    }
    struct step *next = push(q, s->from, s, target);
    next->by = arena_copy(q->own, e->address);
    return next;
}

/* False: its tenant forbids it, and the failure is noted. */
static bool may_go_on(struct resolve_query *q, const struct step *s,
                      const struct directory_entry *e, struct bytes target) {
    if (resolve_may_forward(q->config, e->address, target))
        return true;
    struct step denied = *s;
    denied.by = e->address;
    add(q, &denied, target, "recipient.forwarding-denied");
    return false;
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

static void follow_alias(struct resolve_query *q, const struct step *s,
                         const struct directory_entry *e) {
    /* Backwards onto the front of the list: they come off in their own order. */
    for (size_t i = e->targets.count; i > 0 && !q->trouble.code; i--) {
        struct bytes target = e->targets.list[i - 1];
        if (bytes_equal_nocase(target, e->address))
            add_final(q, s, target); /* an alias that also keeps a copy for itself */
        else if (may_go_on(q, s, e, target))
            push_on(q, s, e, target);
    }
}

/* --- who is away ---------------------------------------------------------------------------------- */

static void note_addressed(struct resolve_query *q, struct bytes mailbox) {
    ptrdiff_t at = bytes_find_last(mailbox, '@'), plus = bytes_find(mailbox, '+');
    map_put(q->addressed, mailbox, q);
    if (plus > 0 && plus < at)
        map_put(q->addressed,
                arena_printf(q->own, "%.*s%.*s", (int)plus, mailbox.at,
                             BYTES_FMT(bytes_skip(mailbox, (size_t)at))),
                q);
}

/* One of the user's addresses stands in To or Cc: else it is a list's mail, or a blind copy. */
static bool is_addressed(struct resolve_query *q, const struct directory_entry *e) {
    if (!q->addressed) {
        q->addressed = map_open();
        for (size_t i = 0; i < q->envelope->addressed_count; i++)
            note_addressed(q, arena_lower(q->own, q->envelope->addressed[i]));
    }
    for (size_t i = 0; i < e->own.count; i++)
        if (map_find(q->addressed, arena_lower(q->own, e->own.list[i])))
            return true;
    return false;
}

static bool is_own_address(const struct directory_entry *e, struct bytes mailbox) {
    for (size_t i = 0; i < e->own.count; i++)
        if (address_equal(e->own.list[i], mailbox))
            return true;
    return false;
}

/* The user's vacation answers this message (RFC 3834 section 2), for all that can be known now. */
static bool is_away(struct resolve_query *q, const struct step *s,
                    const struct directory_entry *e) {
    const struct directory_vacation *v = &e->vacation;
    struct bytes sender = q->envelope->sender;
    if (!v->set || s->by_group || !directory_vacation_holds(v, loop_wall(q->loop)))
        return false;
    return !(q->envelope->flags & (ENVELOPE_REPORT | ENVELOPE_AUTOMATIC)) &&
           !automatic_sender(sender) && !is_own_address(e, automatic_sender_base(sender)) &&
           is_addressed(q, e);
}

/* Mail that finds no way on stays with the user it was for: nothing is lost. */
static void follow_user(struct resolve_query *q, struct step *s, const struct directory_entry *e) {
    size_t pushed = 0;
    if (!s->away.len && is_away(q, s, e))
        s->away = arena_copy(q->own, e->address);
    bool stays = e->keep || !e->targets.count;
    if (stays)
        add_final(q, s, with_tag(q, s, e));
    for (size_t i = e->targets.count; i > 0 && !q->trouble.code; i--) {
        struct bytes target = e->targets.list[i - 1];
        struct step *next = NULL;
        if (!may_go_on(q, s, e, target))
            pushed++;
        else
            next = push_on(q, s, e, target);
        if (!next)
            continue;
        next->by_forward = true;
        next->away = pushed || stays ? BYTES_NONE : s->away; /* it answers once */
        pushed++;
    }
    if (!stays && !pushed)
        add_final(q, s, with_tag(q, s, e));
}

static void ask_members(struct resolve_query *q, const struct step *s,
                        const struct directory_entry *e);

static void follow_group(struct resolve_query *q, struct step *s, const struct directory_entry *e) {
    if (s->by_forward && e->rules.senders != DIRECTORY_EVERYONE) {
        add(q, s, e->address, "recipient.group-restricted");
        go_on(q);
        return;
    }
    if (e->rules.owner.len)
        s->owner = arena_copy(q->own, e->rules.owner);
    s->away = BYTES_NONE;
    s->by_group = true;
    if (e->rules.delivery != DIRECTORY_TO_MEMBERS)
        add_final(q, s, with_tag(q, s, e));
    if (e->rules.delivery == DIRECTORY_TO_MAILBOX)
        go_on(q);
    else
        ask_members(q, s, e);
}

/* Goes on, at once or when the directory has told the members. */
static void follow(struct resolve_query *q, struct step *s, const struct directory_entry *e) {
    if (e && e->kind == DIRECTORY_GROUP) {
        follow_group(q, s, e);
        return;
    }
    if (!e)
        no_entry(q, s);
    else if (e->kind == DIRECTORY_USER)
        follow_user(q, s, e);
    else
        follow_alias(q, s, e);
    go_on(q);
}

static void found(void *ctx, enum rc rc, const struct directory_entry *entry,
                  const struct why *why) {
    struct resolve_query *q = ctx;
    if (rc != OK)
        end(q, TEMP, why);
    else
        follow(q, q->current, entry);
}

static void members_found(void *ctx, enum rc rc, const struct directory_entry *e,
                          const struct why *why) {
    struct resolve_query *q = ctx;
    if (rc != OK) {
        end(q, TEMP, why);
        return;
    }
    size_t count = e ? e->targets.count : 0; /* it may be gone since */
    q->hollow |= count == 0;
    for (size_t i = count; i > 0 && !q->trouble.code; i--) {
        struct bytes target = e->targets.list[i - 1];
        struct step *next = NULL;
        if (may_go_on(q, q->current, e, target))
            next = push_on(q, q->current, e, target);
        if (next)
            next->plain = e->plain && e->plain[i - 1];
    }
    go_on(q);
}

static void ask_members(struct resolve_query *q, const struct step *s,
                        const struct directory_entry *e) {
    (void)s;
    directory_find_whole(q->directory, e->address, members_found, q);
}

/* --- the end --------------------------------------------------------------------------------------- */

static void start_anew(struct resolve_query *q) {
    while (list_pop(&q->steps))
        ; /* they lie in the arena */
    q->count = 0;
    q->hollow = false;
    memset(q->reached, 0, q->envelope->count * sizeof *q->reached);
    map_close(&q->seen);
    map_close(&q->visited);
    q->seen = map_open();
    q->visited = map_open();
    why_clear(&q->trouble);
}

/* Not even the administrator's mistake may keep a report of ours going round: it goes to the
 * postmaster, and where that is the mistake into the Maildir of its own. */
static void divert(struct resolve_query *q) {
    const struct recipient *r = &q->envelope->recipients[0];
    struct bytes configured = q->config->postmaster;
    struct step s = { .from = r };
    struct event *e = event_begin("report-diverted");
    event_text(e, "to", r->original);
    event_why(e, &q->trouble);
    event_bool(e, "alarm", true);
    event_end(e);
    start_anew(q);
    if (configured.len && !q->diverted && !address_equal(configured, r->original))
        push(q, r, NULL, configured);
    else
        add_final(q, &s, B("postmaster"));
    q->diverted = true;
}

static bool is_report(const struct resolve_query *q) {
    return q->envelope->flags & ENVELOPE_REPORT && q->envelope->count == 1;
}

static void finish(struct resolve_query *q) {
    for (size_t i = 0; i < q->envelope->count && !q->trouble.code; i++) {
        struct step s = { .from = &q->envelope->recipients[i] };
        if (q->reached[i])
            continue;
        if (q->hollow)
            add(q, &s, first_address(s.from), "recipient.group-empty");
        else
            in_trouble(q, s.from, "leads back to itself and nowhere else");
    }
    if (q->trouble.code && is_report(q))
        divert(q);
    if (q->steps.count && !q->trouble.code) {
        go_on(q);
        return;
    }
    struct why trouble = q->trouble;
    end(q, trouble.code ? TEMP : OK, trouble.code ? &trouble : &none);
}

/* A report that came back to a sender we had rewritten goes to the one inside. */
static bool unroll(struct resolve_query *q, struct step *s) {
    struct bytes inside;
    if (s->parent || !srs_looks(s->address))
        return false;
    if (srs_read(q->config->srs_secret, s->address, loop_wall(q->loop), q->own, &inside) ==
            SRS_GOOD &&
        !on_own_way(s, inside))
        push(q, s->from, s, inside);
    else
        add(q, s, s->address, "recipient.srs-expired");
    return true;
}

/* A second visit would find what the first one did, and ten groups that hold one another ten deep have
 * as many ways as a number has digits. A forward is told apart: not every group lets it in. */
static bool was_visited(struct resolve_query *q, const struct step *s) {
    size_t from = (size_t)(s->from - q->envelope->recipients);
    struct bytes key = arena_printf(q->own, "%zu %d %.*s", from, s->by_forward,
                                    BYTES_FMT(arena_lower(q->own, s->address)));
    if (map_find(q->visited, key))
        return true;
    map_put(q->visited, key, q);
    return false;
}

/* The next step that needs the directory; those that do not are done here, some at a time. */
static void go_on(void *ctx) {
    struct resolve_query *q = ctx;
    for (unsigned done = 0; !q->trouble.code; done++) {
        struct list_node *n = done < SLICE ? list_pop(&q->steps) : NULL;
        if (!n && q->steps.count) {
            timer_set(q->loop, &q->timer, 0, go_on, q);
            return;
        }
        if (!n)
            break;
        struct step *s = q->current = CONTAINER_OF(n, struct step, node);
        if (s->plain || !is_own(q, s->address)) {
            add_final(q, s, s->address);
        } else if (was_visited(q, s)) {
            continue;
        } else if (!unroll(q, s)) {
            directory_find(q->directory, s->address, found, q);
            return;
        }
    }
    finish(q);
}

static void close_maps(void *query) {
    struct resolve_query *q = query;
    map_close(&q->seen);
    map_close(&q->visited);
    map_close(&q->addressed);
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
        .visited = map_open(),
        .capacity = envelope->count + 1,
        .loop = loop,
        .on_resolved = on_resolved,
        .ctx = ctx,
    };
    list_init(&q->steps);
    arena_defer(own, close_maps, q);
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
