/* matrix: who may relay where, as a table. Each row is a class of callers; what it may do is not
 * read off the configuration but asked of the decision itself, with a caller made up for the
 * class. */
#include "decide/internal.h"
#include "decide/ranges.h"

#include <string.h>

/* One caller that stands for all of its class. */
struct caller {
    const struct connector *c; /* NULL: in none */
    struct facts facts;
    struct directory_entry entry;
    struct bytes own[1];
    struct bytes who, senders;
};

struct matrix {
    const struct config *config;
    int64_t now;
    struct arena *arena;
    struct matrix_row *rows;
    size_t count, cap;
};

#define SAID(m, ...) arena_printf((m)->arena, __VA_ARGS__)

static struct bytes own_domain(const struct matrix *m) {
    return m->config->domain_count ? m->config->domains[0].name : m->config->hostname;
}

/* A tenant's login is known by its domain; one of nobody's by a domain that is no tenant's. */
static struct bytes domain_for(const struct matrix *m, const struct tenant *t) {
    if (t && t->domains.count)
        return t->domains.list[0];
    for (size_t i = 0; i < m->config->domain_count; i++)
        if (!config_tenant_of(m->config, m->config->domains[i].name))
            return m->config->domains[i].name;
    return own_domain(m);
}

/* --- who it is ------------------------------------------------------------------------------------ */

static void log_in(struct matrix *m, struct caller *w, struct bytes login) {
    const struct tenant *t =
        w->c && w->c->tenant.len ? config_tenant(m->config, w->c->tenant) : NULL;
    if (!login.len)
        login = SAID(m, "somebody@%.*s", BYTES_FMT(domain_for(m, t)));
    w->own[0] = login;
    w->entry =
        (struct directory_entry){ .kind = DIRECTORY_USER, .address = login, .own = { 1, w->own } };
    w->facts.login_entry = &w->entry;
}

static struct bytes joined(struct matrix *m, struct strings list) {
    struct buf b = buf_grow(4096);
    for (size_t i = 0; i < list.count; i++) {
        buf_str(&b, i ? ", " : "");
        buf_add(&b, list.list[i]);
    }
    struct bytes all = arena_copy(m->arena, buf_bytes(&b));
    buf_free(&b);
    return all;
}

static void add_networks(struct buf *b, struct networks list) {
    enum { SHOWN = 6 };
    for (size_t i = 0; i < list.count && i < SHOWN; i++) {
        buf_str(b, i ? ", " : "");
        network_format(b, list.list[i]);
    }
    if (list.count > SHOWN)
        buf_printf(b, " and %zu more", list.count - SHOWN);
}

static struct bytes who_text(struct matrix *m, const struct connector *c) {
    struct buf b = buf_grow(4096);
    if (c->clients.count)
        add_networks(&b, c->clients);
    if (c->except.count) {
        buf_str(&b, " except ");
        add_networks(&b, c->except);
    }
    const char *with = b.len ? " with " : "";
    if (c->auth_any || c->auth.count)
        buf_printf(&b, "%s%s%.*s", with, c->auth_any ? "any login" : "login ",
                   BYTES_FMT(joined(m, c->auth)));
    if (c->client_certificate.count)
        buf_printf(&b, "%s%zu client certificate%s", with, c->client_certificate.count,
                   c->client_certificate.count == 1 ? "" : "s");
    if (c->pop_before_smtp)
        buf_printf(&b, "%sa POP3 login shortly before", with);
    if (c->local_users.count)
        buf_printf(&b, "%sthis host's users %.*s", with, BYTES_FMT(joined(m, c->local_users)));
    if (c->tenant.len)
        buf_printf(&b, " of tenant %.*s", BYTES_FMT(c->tenant));
    buf_printf(&b, " (connector %.*s)", BYTES_FMT(c->name));
    struct bytes text = arena_copy(m->arena, buf_bytes(&b));
    buf_free(&b);
    return text;
}

static struct bytes spki_of(struct matrix *m, struct bytes hex) {
    struct buf out = buf_grow(64);
    hex = bytes_skip(hex, (size_t)(bytes_find(hex, ':') + 1));
    for (size_t i = 0; i + 1 < hex.len; i += 2) {
        static const char digits[] = "0123456789abcdef";
        const char *high = strchr(digits, ascii_lower(hex.at[i]));
        const char *low = strchr(digits, ascii_lower(hex.at[i + 1]));
        if (high && low && *high && *low)
            buf_char(&out, (char)((high - digits) << 4 | (low - digits)));
    }
    struct bytes spki = arena_copy(m->arena, buf_bytes(&out));
    buf_free(&out);
    return spki;
}

/* The first certificate on the list: its key, or what an authority says of it. */
static void show_certificate(struct matrix *m, const struct connector *c, struct facts *f) {
    static const char some_key[32];
    struct bytes first = c->client_certificate.list[0];
    struct bytes *name = ARENA_NEW(m->arena, struct bytes);
    struct vouch *v = ARENA_NEW(m->arena, struct vouch);
    f->tls_version = 13;
    if (!config_certificate_split(first, &v->authority, name)) {
        f->client_spki = spki_of(m, first);
        return;
    }
    f->client_spki = bytes_of(some_key, sizeof some_key);
    f->client_names = (struct strings){ 1, name };
    v->vouches = true;
    f->vouches = v;
    f->vouch_count = 1;
}

static void be_client(struct matrix *m, struct caller *w, const struct tenant *t) {
    struct address_set set = address_set_minus(address_set_of(w->c->clients, m->arena),
                                               address_set_of(w->c->except, m->arena), m->arena);
    struct address_set outside = { 0 };
    if (t && t->clients.count)
        outside = address_set_minus(set, address_set_of(t->clients, m->arena), m->arena);
    if (!address_set_first(address_set_minus(set, outside, m->arena), &w->facts.client))
        address_set_first(set, &w->facts.client);
}

/* At its own address, from its own networks. */
static void be_of_tenant(struct matrix *m, struct caller *w, const struct tenant *t) {
    w->facts.local = t->address;
    address_set_first(address_set_of(t->clients, m->arena), &w->facts.client);
}

/* Somebody for whom all of the connector's WHO holds. */
static void be_in_play(struct matrix *m, struct caller *w) {
    const struct connector *c = w->c;
    struct facts *f = &w->facts;
    const struct tenant *t = c->tenant.len ? config_tenant(m->config, c->tenant) : NULL;
    w->who = who_text(m, c);
    if (t)
        be_of_tenant(m, w, t);
    if (c->clients.count)
        be_client(m, w, t);
    if (c->auth_any || c->auth.count) {
        log_in(m, w, c->auth.count ? c->auth.list[0] : BYTES_NONE);
        f->login = w->entry.address;
    }
    if (c->client_certificate.count)
        show_certificate(m, c, f);
    if (c->pop_before_smtp) {
        if (!f->login.len)
            log_in(m, w, BYTES_NONE);
        f->popped_login = w->entry.address;
        f->popped_at = m->now;
    }
    if (c->local_users.count) {
        f->local_door = true;
        f->local_user = c->local_users.list[0];
    }
}

/* --- what it sends --------------------------------------------------------------------------------- */

static struct bytes pattern_text(const struct pattern *p) {
    return p->kind == PATTERN_ANY ? B("*") : p->kind == PATTERN_NULL ? B("<>") : p->text;
}

static struct bytes patterns_text(struct matrix *m, struct patterns list) {
    struct bytes *texts = ARENA_ARRAY(m->arena, list.count, struct bytes);
    for (size_t i = 0; i < list.count; i++)
        texts[i] = pattern_text(&list.list[i]);
    return joined(m, (struct strings){ list.count, texts });
}

static void choose_sender(struct matrix *m, struct caller *w) {
    const struct connector *c = w->c;
    struct facts *f = &w->facts;
    f->has_sender = true;
    if (c && c->senders == SENDERS_LIST) {
        w->senders = patterns_text(m, c->sender_list);
        f->sender = c->sender_list.count ? decide_example_address(&c->sender_list.list[0], m->arena)
                                         : BYTES_NONE;
    } else if (c ? c->senders == SENDERS_ANY : !f->login.len) {
        w->senders = B("any");
        f->sender = B("somebody@elsewhere.invalid");
    } else {
        w->senders = B("own");
        f->sender = f->local_door ? SAID(m, "%.*s@%.*s", BYTES_FMT(f->local_user),
                                         BYTES_FMT(m->config->hostname))
                                  : w->entry.address;
    }
}

/* --- what it may ------------------------------------------------------------------------------------ */

static struct bytes refused(struct matrix *m, const struct verdict *v) {
    return SAID(m, "no (%s)", v->why.reason);
}

/* The verdict on MAIL and RCPT: the first that is no acceptance. */
static void ask(struct matrix *m, const struct caller *w, struct bytes to, struct verdict *v) {
    struct facts f = w->facts;
    f.recipient = to;
    decide(m->config, STEP_MAIL, &f, m->arena, v);
    if (v->rc == OK)
        decide(m->config, STEP_RCPT, &f, m->arena, v);
}

/* Of callers from outside: DNS lists, names, the greylist. */
static bool asks_reputation(const struct matrix *m, const struct caller *w) {
    const struct listener *l = w->facts.listener;
    return !w->c && !w->facts.login.len && l &&
           (l->blocklists.count || l->helo || l->ptr || m->config->greylist);
}

static struct bytes to_own(struct matrix *m, const struct caller *w) {
    struct verdict v;
    if (!m->config->domain_count)
        return B("no domain is ours");
    ask(m, w, SAID(m, "somebody@%.*s", BYTES_FMT(own_domain(m))), &v);
    if (v.rc != OK)
        return refused(m, &v);
    return asks_reputation(m, w) ? B("yes, with a good reputation") : B("yes");
}

static const struct pattern *any_of(struct patterns list) {
    for (size_t i = 0; i < list.count; i++)
        if (list.list[i].kind == PATTERN_ANY)
            return &list.list[i];
    return NULL;
}

static struct bytes to_other(struct matrix *m, const struct caller *w) {
    struct verdict v;
    const struct connector *c = w->c;
    bool some = c && !c->to_accepted && c->may_relay_to.count && !any_of(c->may_relay_to);
    ask(m, w,
        some ? decide_example_address(&c->may_relay_to.list[0], m->arena)
             : B("somebody@somewhere.invalid"),
        &v);
    if (v.rc != OK)
        return refused(m, &v);
    return some ? SAID(m, "%.*s only", BYTES_FMT(patterns_text(m, c->may_relay_to))) : B("yes");
}

/* --- rows -------------------------------------------------------------------------------------------- */

static void add_row(struct matrix *m, struct matrix_row row) {
    if (m->count == m->cap) {
        m->cap = m->cap ? m->cap * 2 : 16;
        struct matrix_row *more = ARENA_ARRAY(m->arena, m->cap, struct matrix_row);
        if (m->count)
            memcpy(more, m->rows, m->count * sizeof *more);
        m->rows = more;
    }
    m->rows[m->count++] = row;
}

/* Listeners at which a class fares alike share a row. */
static void add_outcome(struct matrix *m, const struct caller *w, size_t since,
                        struct bytes listener) {
    struct matrix_row row = {
        .who = w->who,
        .listener = listener,
        .senders = w->senders,
        .to_own = to_own(m, w),
        .to_other = to_other(m, w),
        .connector = w->c ? w->c->name : BYTES_NONE,
    };
    for (size_t i = since; i < m->count; i++) {
        struct matrix_row *r = &m->rows[i];
        if (!bytes_equal(r->to_own, row.to_own) || !bytes_equal(r->to_other, row.to_other))
            continue;
        r->listener = SAID(m, "%.*s, %.*s", BYTES_FMT(r->listener), BYTES_FMT(listener));
        return;
    }
    add_row(m, row);
}

static bool meets(const struct caller *w, const struct listener *l) {
    if (l->service != SERVICE_SMTP || (w->facts.login.len && l->auth == AUTH_OFF))
        return false;
    return !w->c || !w->c->listeners.count || strings_has(w->c->listeners, l->name);
}

static void add_caller(struct matrix *m, struct caller *w) {
    size_t since = m->count;
    choose_sender(m, w);
    if (w->facts.local_door) {
        add_outcome(m, w, since, B("postern send"));
        return;
    }
    for (size_t i = 0; i < m->config->listener_count; i++) {
        w->facts.listener = &m->config->listeners[i];
        if (meets(w, w->facts.listener))
            add_outcome(m, w, since, w->facts.listener->name);
    }
}

static struct caller caller_of(const struct matrix *m, const struct connector *c) {
    return (struct caller){
        .c = c,
        .facts = { .gateway_state = FACT_KNOWN,
                   .login_state = FACT_KNOWN,
                   .recipient_state = FACT_KNOWN,
                   .member_state = FACT_KNOWN,
                   .srs_state = FACT_KNOWN,
                   .probe_state = FACT_KNOWN,
                   .sender_state = FACT_KNOWN,
                   .counts_state = FACT_KNOWN,
                   .helo_state = FACT_KNOWN,
                   .ptr_state = FACT_KNOWN,
                   .listings_state = FACT_KNOWN,
                   .grey_state = FACT_KNOWN, /* with a good reputation */
                   .helo_confirmed = true,
                   .ptr_name = B("host.somewhere.invalid"),
                   .ptr_confirmed = true,
                   .helo = B("host.somewhere.invalid"),
                   .tls_version = 13,
                   .now = m->now },
    };
}

static void add_class(struct matrix *m, const struct connector *c) {
    struct caller w = caller_of(m, c);
    struct bytes known = SAID(m, "somebody@%.*s", BYTES_FMT(own_domain(m)));
    const struct directory_entry recipient = { .kind = DIRECTORY_USER, .address = known };
    w.facts.recipient_entry = &recipient;
    be_in_play(m, &w);
    add_caller(m, &w);
}

static bool has_any_login(const struct config *config) {
    for (size_t i = 0; i < config->connector_count; i++)
        if (config->connectors[i].auth_any && !config->connectors[i].clients.count)
            return true;
    return false;
}

/* A tenant's logins where its networks hold them to: from there, and from elsewhere. */
static void add_tenant(struct matrix *m, const struct tenant *t) {
    struct bytes known = SAID(m, "somebody@%.*s", BYTES_FMT(domain_for(m, t)));
    const struct directory_entry recipient = { .kind = DIRECTORY_USER, .address = known };
    for (int inside = 1; inside >= 0; inside--) {
        struct caller w = caller_of(m, NULL);
        w.facts.recipient_entry = &recipient;
        log_in(m, &w, known);
        w.facts.login = w.entry.address;
        w.who = SAID(m, "any login of tenant %.*s%s", BYTES_FMT(t->name),
                     !t->clients.count ? ""
                     : inside          ? " from its networks"
                                       : " from elsewhere");
        if (inside)
            be_of_tenant(m, &w, t);
        if (inside || t->clients.count)
            add_caller(m, &w);
    }
}

static void add_others(struct matrix *m) {
    struct bytes known = SAID(m, "somebody@%.*s", BYTES_FMT(own_domain(m)));
    const struct directory_entry recipient = { .kind = DIRECTORY_USER, .address = known };
    struct caller login = caller_of(m, NULL), stranger = caller_of(m, NULL);
    login.facts.recipient_entry = stranger.facts.recipient_entry = &recipient;
    if (!has_any_login(m->config)) {
        login.who = m->config->connector_count ? B("any other login") : B("any login");
        log_in(m, &login, SAID(m, "another@%.*s", BYTES_FMT(own_domain(m))));
        login.facts.login = login.entry.address;
        add_caller(m, &login);
    }
    stranger.who = B("anyone else");
    add_caller(m, &stranger);
}

size_t decide_matrix(const struct config *config, int64_t now, struct arena *a,
                     const struct matrix_row **out) {
    struct matrix m = { .config = config, .now = now, .arena = a };
    for (size_t i = 0; i < config->connector_count; i++)
        add_class(&m, &config->connectors[i]);
    for (size_t i = 0; i < config->tenant_count; i++)
        add_tenant(&m, &config->tenants[i]);
    add_others(&m);
    *out = m.rows;
    return m.count;
}
