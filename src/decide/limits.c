/* limits: how much. Which limits count a recipient that is about to be accepted, which of the
 * connectors that pass is charged for it, and what a full limit says. Everything that is accepted at
 * RCPT goes through here (decide_accept), whoever accepts it. */
#include "base/num.h"
#include "decide/internal.h"

#include <string.h>

/* --- which limits count it -------------------------------------------------------------------- */

/* A list that grows; a message that is counted already is not counted again. */
struct limits {
    struct decision *d;
    struct limit *list;
    size_t count, cap;
};

static void add_limit(struct limits *l, struct limit limit) {
    if (!limit.rates.count || (!limit.recipients && strings_has(l->d->facts->counted, limit.key)))
        return;
    if (l->count == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 8;
        struct limit *more = ARENA_ARRAY(l->d->arena, cap, struct limit);
        if (l->count)
            memcpy(more, l->list, l->count * sizeof *more);
        l->list = more;
        l->cap = cap;
    }
    l->list[l->count++] = limit;
}

static struct bytes client_key(struct decision *d) {
    struct addr client = addr_fold(d->facts->client);
    char text[64];
    struct buf b = buf_fixed(text, sizeof text);
    addr_format(&b, client.family == 6 ? addr_masked(client, 64) : client);
    return SAY(d, "client/%.*s", BYTES_FMT(buf_bytes(&b)));
}

/* Whom a connector's limit counts: a login, else a user of this host, else a client. */
static struct bytes subject_key(struct decision *d) {
    const struct facts *f = d->facts;
    struct bytes login = decide_login(f);
    if (login.len)
        return SAY(d, "login/%.*s", BYTES_FMT(login));
    return f->local_door ? SAY(d, "local/%.*s", BYTES_FMT(f->local_user)) : client_key(d);
}

static struct bytes client_words(struct decision *d) {
    return SAY(d, "for client %.*s", BYTES_FMT(decide_text_addr(d, d->facts->client)));
}

static struct bytes subject_words(struct decision *d) {
    const struct facts *f = d->facts;
    if (f->login.len)
        return SAY(d, "for login %.*s", BYTES_FMT(decide_text_cut(d, f->login)));
    if (decide_login(f).len) /* of a POP window: not everybody behind the address need know whose */
        return B("for the login of this sender");
    return f->local_door ? SAY(d, "for user %.*s of this host", BYTES_FMT(f->local_user))
                         : client_words(d);
}

static void add_connector(struct limits *l, const struct connector *c) {
    struct decision *d = l->d;
    if (!c->limit.count && !c->limit_total.count && !c->limit_recipients.count)
        return;
    struct bytes name = SAY(d, "connector %.*s", BYTES_FMT(c->name));
    struct bytes key = SAY(d, "connector/%.*s", BYTES_FMT(c->name));
    struct bytes own = SAY(d, "%.*s/%.*s", BYTES_FMT(key), BYTES_FMT(subject_key(d)));
    struct bytes whose = subject_words(d);
    add_limit(l, (struct limit){ .name = name,
                                 .setting = "limit",
                                 .key = own,
                                 .whose = whose,
                                 .rates = c->limit,
                                 .alarm = true });
    add_limit(l, (struct limit){ .name = name,
                                 .setting = "limit_total",
                                 .key = key,
                                 .whose = B("for all clients of its kind together"),
                                 .rates = c->limit_total,
                                 .alarm = true });
    add_limit(l, (struct limit){ .name = name,
                                 .setting = "limit_recipients",
                                 .key = SAY(d, "%.*s/recipients", BYTES_FMT(own)),
                                 .whose = whose,
                                 .rates = c->limit_recipients,
                                 .recipients = true,
                                 .alarm = true });
}

/* What its sessions send; mail that strangers bring to its address is not its doing. */
static void add_tenant(struct limits *l) {
    struct decision *d = l->d;
    const struct tenant *t = decide_tenant(d);
    if (!t || (!decide_login(d->facts).len && !d->granting))
        return;
    struct bytes name = SAY(d, "tenant %.*s", BYTES_FMT(t->name));
    struct bytes key = SAY(d, "tenant/%.*s", BYTES_FMT(t->name));
    add_limit(l, (struct limit){ .name = name,
                                 .setting = "limit",
                                 .key = key,
                                 .whose = B("for this customer"),
                                 .rates = t->limit,
                                 .alarm = true });
    add_limit(l, (struct limit){ .name = name,
                                 .setting = "limit_recipients",
                                 .key = SAY(d, "%.*s/recipients", BYTES_FMT(key)),
                                 .whose = B("for this customer"),
                                 .rates = t->limit_recipients,
                                 .recipients = true,
                                 .alarm = true });
}

static void add_listener(struct limits *l) {
    struct decision *d = l->d;
    const struct listener *of = d->facts->listener;
    if (!of || (!of->limit_per_client.count && !of->limit_recipients_per_client.count))
        return;
    struct bytes name = SAY(d, "listener %.*s", BYTES_FMT(of->name));
    struct bytes key = SAY(d, "listener/%.*s/%.*s", BYTES_FMT(of->name), BYTES_FMT(client_key(d)));
    add_limit(l, (struct limit){ .name = name,
                                 .setting = "limit_per_client",
                                 .key = key,
                                 .whose = client_words(d),
                                 .rates = of->limit_per_client,
                                 .crowd = true });
    add_limit(l, (struct limit){ .name = name,
                                 .setting = "limit_recipients_per_client",
                                 .key = SAY(d, "%.*s/recipients", BYTES_FMT(key)),
                                 .whose = client_words(d),
                                 .rates = of->limit_recipients_per_client,
                                 .recipients = true,
                                 .crowd = true });
}

/* Mail from outside to a domain of ours. */
static void add_domain(struct limits *l) {
    struct decision *d = l->d;
    const struct domain *to = d->domain;
    if (!to || d->out->bound || d->facts->local_door)
        return;
    struct bytes name = SAY(d, "domain %.*s", BYTES_FMT(to->name));
    struct bytes key = SAY(d, "domain/%.*s", BYTES_FMT(to->name));
    struct bytes whose = SAY(d, "to %.*s", BYTES_FMT(decide_text_cut(d, to->name)));
    add_limit(
        l, (struct limit){
               .name = name, .setting = "limit", .key = key, .whose = whose, .rates = to->limit });
    add_limit(l, (struct limit){ .name = name,
                                 .setting = "limit_recipients",
                                 .key = SAY(d, "%.*s/recipients", BYTES_FMT(key)),
                                 .whose = whose,
                                 .rates = to->limit_recipients,
                                 .recipients = true });
}

static struct limits limits_of_all(struct decision *d) {
    struct limits l = { .d = d };
    add_tenant(&l);
    add_listener(&l);
    add_domain(&l);
    return l;
}

static struct limits limits_of(struct decision *d, const struct connector *c) {
    struct limits l = { .d = d };
    add_connector(&l, c);
    return l;
}

static void append(struct limits *l, struct limits more) {
    for (size_t i = 0; i < more.count; i++)
        add_limit(l, more.list[i]);
}

/* --- how full they are -------------------------------------------------------------------------- */

static const struct count *find_count(const struct facts *f, struct bytes key) {
    for (size_t i = 0; i < f->count_count; i++)
        if (bytes_equal(f->counts[i].key, key))
            return &f->counts[i];
    return NULL;
}

/* The first that is full, or NULL. */
static const struct limit *full_one(struct decision *d, const struct limits *l,
                                    const struct count **count_out) {
    for (size_t i = 0; i < l->count; i++) {
        *count_out = find_count(d->facts, l->list[i].key);
        if (*count_out && (*count_out)->full)
            return &l->list[i];
    }
    return NULL;
}

static struct bytes rate_words(struct decision *d, const struct limit *l, struct rate which) {
    char text[80];
    struct buf b = buf_fixed(text, sizeof text);
    buf_u64(&b, which.count);
    buf_str(&b, l->recipients ? " recipient" : " message");
    buf_str(&b, which.count == 1 ? " in " : "s in ");
    num_format_duration(&b, which.window_ms);
    return arena_copy(d->arena, buf_bytes(&b));
}

/* "2026-11-20T09:01:02Z": whole seconds are what counters give. */
static struct bytes time_words(struct decision *d, int64_t wall) {
    char text[40];
    struct buf b = buf_fixed(text, sizeof text);
    num_format_rfc3339(&b, wall);
    struct bytes all = buf_bytes(&b);
    if (!bytes_ends_nocase(all, B(".000Z")))
        return arena_copy(d->arena, all);
    return SAY(d, "%.*sZ", BYTES_FMT(bytes_first(all, all.len - 5)));
}

static struct bytes remedy(struct decision *d, const struct limit *l) {
    if (!l->alarm || !decide_login(d->facts).len)
        return B("Send the rest then");
    return B("Send the rest then; if it was not you who sent so much, change the password and tell "
             "the administrator");
}

static bool refuse_full(struct decision *d, const struct limit *l, const struct count *n) {
    struct bytes when = time_words(d, n->opens), rate = rate_words(d, l, n->which);
    decide_change(d, "wait", true, when, SAY(d, "wait until %.*s", BYTES_FMT(when)));
    decide_change(d, "raise-limit", false, SAY(d, "%.*s %s", BYTES_FMT(l->name), l->setting),
                  SAY(d, "raise %s of %.*s: unsafe if the account or machine was taken over",
                      l->setting, BYTES_FMT(l->name)));
    d->out->full = ARENA_NEW(d->arena, struct limit);
    *d->out->full = *l;
    d->out->full_count = *n;
    return decide_refuse(d, l->recipients ? REFUSE_RECIPIENTS_QUOTA : REFUSE_MESSAGES_QUOTA,
                         SAY(d, "The limit of %.*s %.*s is reached until %.*s", BYTES_FMT(rate),
                             BYTES_FMT(l->whose), BYTES_FMT(when)),
                         remedy(d, l));
}

static void trace_full(struct decision *d, const struct limit *l, const struct count *n) {
    decide_trace(d, SAY(d, "%.*s: %s", BYTES_FMT(l->name), l->setting), false,
                 SAY(d, "%.*s %.*s are used up", BYTES_FMT(rate_words(d, l, n->which)),
                     BYTES_FMT(l->whose)));
}

/* --- who is charged ----------------------------------------------------------------------------- */

static bool ask_counters(struct decision *d, struct limits all) {
    for (size_t i = 0; d->passes && i < d->config->connector_count; i++)
        if (d->passes[i])
            append(&all, limits_of(d, &d->config->connectors[i]));
    d->out->limits = all.list;
    d->out->limit_count = all.count;
    return decide_ask(d, FACT_COUNTERS);
}

static void grant(struct decision *d, const struct connector *c, struct limits all) {
    if (c) {
        append(&all, limits_of(d, c));
        d->out->connector = c->name;
    }
    for (size_t i = 0; i < all.count; i++)
        decide_trace(d, SAY(d, "%.*s: %s", BYTES_FMT(all.list[i].name), all.list[i].setting), true,
                     SAY(d, "there is room %.*s", BYTES_FMT(all.list[i].whose)));
    d->out->limits = all.list;
    d->out->limit_count = all.count;
}

/* Of those that pass, the first with room in file order; none has: the first to open says when. */
static bool choose_connector(struct decision *d, struct limits all) {
    const struct limit *full = NULL;
    const struct count *first = NULL;
    for (size_t i = 0; i < d->config->connector_count; i++) {
        const struct connector *c = &d->config->connectors[i];
        const struct count *n;
        if (!d->passes[i])
            continue;
        struct limits its = limits_of(d, c);
        if (its.count && d->facts->counts_state != FACT_KNOWN)
            return ask_counters(d, all);
        const struct limit *l = full_one(d, &its, &n);
        if (!l) {
            grant(d, c, all);
            return false;
        }
        trace_full(d, l, n);
        if (!first || n->opens < first->opens) {
            full = l;
            first = n;
        }
    }
    MUST(full);
    return refuse_full(d, full, first);
}

bool decide_limits(struct decision *d) {
    const struct count *n;
    if (d->limited || d->facts->inner_door)
        return false;
    d->limited = true;
    struct limits all = limits_of_all(d);
    if (all.count && d->facts->counts_state != FACT_KNOWN)
        return ask_counters(d, all);
    const struct limit *l = full_one(d, &all, &n);
    if (l) {
        trace_full(d, l, n);
        return refuse_full(d, l, n);
    }
    if (d->granting)
        return choose_connector(d, all);
    grant(d, NULL, all);
    return false;
}
