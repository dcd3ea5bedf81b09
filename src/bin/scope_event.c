/* scope_event: whose event it is, and what of it may be told. An event is read by its own octets only, so
 * that a search sees the same of it before it knows to which message it belongs: the tenant stands in
 * each line of a message. */
#include "base/map.h"
#include "base/must.h"
#include "bin/scope.h"
#include "report/report.h"

#include <jansson.h>
#include <stdlib.h>

enum { DOMAIN_MAX = 255 };

/* What a domain of the map leads to. */
static char own, others;

struct scope_view *scope_view_open(const struct config *c, struct bytes tenant) {
    struct arena *a = arena_open();
    struct scope_view *v = ARENA_NEW(a, struct scope_view);
    *v = (struct scope_view){ a, arena_copy(a, tenant), map_open() };
    for (size_t i = 0; i < c->tenant_count; i++) {
        const struct tenant *t = &c->tenants[i];
        for (size_t j = 0; j < t->domains.count; j++)
            map_put(v->domains, t->domains.list[j],
                    tenant.len && bytes_equal(t->name, tenant) ? &own : &others);
    }
    return v;
}

void scope_view_close(struct scope_view **vp) {
    struct scope_view *v = *vp;
    *vp = NULL;
    if (!v)
        return;
    map_close(&v->domains);
    struct arena *a = v->arena;
    arena_close(&a);
}

static bool is_of(const struct scope_view *v, struct bytes mailbox, const char *whose) {
    char memory[DOMAIN_MAX + 1];
    struct buf lower = buf_fixed(memory, sizeof memory);
    ptrdiff_t at = bytes_find_last(mailbox, '@');
    if (at < 0)
        return false;
    buf_lower(&lower, bytes_skip(mailbox, (size_t)at + 1));
    return !lower.full && map_find(v->domains, buf_bytes(&lower)) == whose;
}

bool scope_view_has(const struct scope_view *v, struct bytes mailbox) {
    return v->tenant.len && is_of(v, mailbox, &own);
}

/* What a line says about whose it is. */
struct owner {
    bool its_session, others_session; /* of a tenant */
    bool its_recipient, its_sender, its_login, its_try;
    bool stranger; /* somebody has logged in, or tried to, who is not of this tenant */
};

static void note(const struct scope_view *v, const struct history_pair *p, struct owner *o) {
    bool its = is_of(v, p->value, &own);
    if (bytes_equal(p->key, B("tenant"))) {
        o->its_session = bytes_equal(p->value, v->tenant);
        o->others_session = !o->its_session;
    } else if (bytes_equal(p->key, B("to")) || bytes_equal(p->key, B("original_to"))) {
        o->its_recipient = o->its_recipient || its;
    } else if (bytes_equal(p->key, B("from"))) {
        o->its_sender = its;
    } else if (bytes_equal(p->key, B("login"))) {
        o->its_login = its;
        o->stranger = o->stranger || !its;
    } else if (bytes_equal(p->key, B("login_tried"))) { /* anybody may try it */
        o->its_try = its;
        o->stranger = o->stranger || !its;
    } else if (bytes_equal(p->key, B("local_user"))) {
        o->stranger = true;
    }
}

/* --- what is left of somebody else's ------------------------------------------------------------- */

static const char *const told[] = {
    "time",    "event",  "session", "message",  "message_id", "from",        "to",        "size",
    "client",  "reason", "code",    "enhanced", "text",       "original_to", "host",      "address",
    "command", "reply",  "attempt", "next",     "tls",        "tried",       "uncertain",
};

static bool is_told(const struct owner *o, struct bytes key) {
    bool secretive = o->stranger || o->others_session; /* its address, and words for its eyes */
    if (secretive && (bytes_equal(key, B("client")) || bytes_equal(key, B("text"))))
        return false;
    for (size_t i = 0; i < COUNT_OF(told); i++)
        if (bytes_equal(key, bytes_str(told[i])))
            return true;
    return false;
}

/* Recipients that are nobody's here are told of a message with the tenant's own sender. */
static bool may_name(const struct scope_view *v, const struct owner *o, const json_t *recipient) {
    struct bytes mailbox = bytes_of(json_string_value(recipient), json_string_length(recipient));
    if (is_of(v, mailbox, &own))
        return true;
    return o->its_sender && !o->others_session && !is_of(v, mailbox, &others);
}

static void keep_own_recipients(const struct scope_view *v, const struct owner *o, json_t *event) {
    json_t *to = json_object_get(event, "to"), *original = json_object_get(event, "original_to");
    if (json_is_array(to)) {
        for (size_t i = json_array_size(to); i-- > 0;)
            if (!may_name(v, o, json_array_get(to, i)))
                json_array_remove(to, i);
        return;
    }
    /* Where the tenant's own address leads to is its own knowledge; whence mail came to it is not. */
    bool leads = original && may_name(v, o, original);
    if (original && !leads)
        json_object_del(event, "original_to");
    if (to && !leads && !may_name(v, o, to))
        json_object_del(event, "to");
}

static void redact(const struct scope_view *v, const struct owner *o, json_t *event) {
    const char *key;
    json_t *value;
    void *next;
    json_object_foreach_safe(event, next, key, value) {
        if (!is_told(o, bytes_str(key)))
            json_object_del(event, key);
    }
    keep_own_recipients(v, o, event);
}

static bool rewrite(const struct scope_view *v, const struct owner *o, bool its, struct bytes line,
                    struct buf *out) {
    json_t *event = json_loadb(line.at, line.len, 0, NULL);
    if (json_is_object(event)) {
        json_object_del(event, "rules"); /* names what belongs to others */
        if (!its)
            redact(v, o, event);
    }
    char *text = json_is_object(event) ? json_dumps(event, JSON_COMPACT) : NULL;
    json_decref(event);
    if (text)
        buf_str(out, text);
    free(text);
    return text != NULL;
}

bool scope_sees_event(const struct scope_view *v, struct bytes line, struct buf *out) {
    struct history_pair p = { 0 };
    struct owner o = { 0 };
    bool rules = false;
    if (!line.len || line.at[line.len - 1] != '}') /* cut: what it does not say any more counts */
        return false;
    for (size_t at = 0; history_pair(line, &at, &p);) {
        note(v, &p, &o);
        rules = rules || bytes_equal(p.key, B("rules"));
    }
    bool its = o.its_session || (o.its_login && !o.others_session);
    bool sender = (o.its_sender || o.its_try) && !o.others_session;
    if (!v->tenant.len || (!its && !o.its_recipient && !sender))
        return false;
    if (!its || rules)
        return rewrite(v, &o, its, line, out);
    buf_add(out, line);
    return true;
}
