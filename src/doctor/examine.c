/* examine: the order of things, and the conversation that counts. */
#include "doctor/examine.h"

#include "base/must.h"
#include "doctor/examine_parts.h"
#include "message/address.h"

#include <stdarg.h>
#include <string.h>

enum { DNS_MS = 10 * 1000, DNS_AGAIN_MS = 500 };

/* --- what all files use ------------------------------------------------------------------------------ */

struct bytes examine_place(struct arena *a, struct bytes host, struct addr address) {
    char text[80];
    struct buf b = buf_fixed(text, sizeof text);
    struct addr read;
    if (address.family != 4 && address.family != 6)
        return host;
    addr_format_port(&b, address);
    if (addr_parse(host, &read))
        return arena_copy(a, buf_bytes(&b));
    buf_clear(&b);
    addr_format(&b, address);
    return arena_printf(a, "%.*s [%.*s]:%u", BYTES_FMT(host), BYTES_FMT(buf_bytes(&b)),
                        address.port);
}

int64_t examine_left(const struct examination *e) {
    int64_t left = e->ends - loop_now(e->loop);
    return left > 0 ? left : 0;
}

void examine_say(struct examination *e, enum mark mark, const char *format, ...) {
    va_list args;
    va_start(args, format);
    struct bytes text = arena_vprintf(e->arena, format, args);
    va_end(args);
    transcript_add(&e->out->transcript, loop_now(e->loop) - e->began, B("doctor"), mark, false,
                   text);
}

static void stop(void *loop) {
    loop_stop(loop);
}

void examine_wait(struct examination *e, int64_t ms) {
    struct timer late = { 0 };
    timer_set(e->loop, &late, ms, stop, e->loop);
    loop_run(e->loop);
    timer_clear(&late);
}

bool examine_wait_dns(struct examination *e, const bool *done) {
    int64_t left = examine_left(e), most = e->dns_silent ? DNS_AGAIN_MS : DNS_MS;
    examine_wait(e, left < most ? left : most);
    if (*done)
        return true;
    if (!e->dns_silent)
        examine_say(e, MARK_NOTE, "the DNS does not answer: what depends on it is left out");
    e->dns_silent = true;
    return false;
}

struct conversation_want examine_talk_want(const struct examination *e, const char *session) {
    const struct examine_want *w = e->want;
    return (struct conversation_want){
        .session = bytes_str(session),
        .address = e->address,
        .path = w->path,
        .source = w->source,
        .helo = w->helo,
        .lmtp = w->lmtp,
        .implicit = e->implicit,
        .tls = TLS_TRY_WANTED,
        .tls_client = w->tls_client,
        .tls_name = w->tls_name.len ? w->tls_name : e->host,
        .proxy = w->proxy,
        .xclient = w->xclient,
        .auth = w->auth,
        .until = STEP_NONE,
        .timeout_ms = w->timeout_ms,
        .ends = e->ends,
        .transcript = &e->out->transcript,
        .transcript_began = e->began,
    };
}

struct waiting {
    struct loop *loop;
    struct conversation_seen *out;
};

static void on_seen(void *ctx, const struct conversation_seen *seen) {
    struct waiting *w = ctx;
    *w->out = *seen;
    loop_stop(w->loop);
}

void examine_talk(struct examination *e, const struct conversation_want *want,
                  struct conversation_seen *out) {
    struct waiting w = { e->loop, out };
    conversation_open(e->loop, e->arena, want, on_seen, &w);
    loop_run(e->loop);
}

/* --- the conversation that counts ---------------------------------------------------------------------- */

static enum conversation_tls tls_wanted(const struct examination *e) {
    static const enum conversation_tls wanted[] = {
        [EXAMINE_TLS_DEFAULT] = TLS_TRY_WANTED,   [EXAMINE_TLS_OFF] = TLS_OFF_WANTED,
        [EXAMINE_TLS_TRY] = TLS_TRY_WANTED,       [EXAMINE_TLS_REQUIRE] = TLS_REQUIRE_WANTED,
        [EXAMINE_TLS_VERIFY] = TLS_VERIFY_WANTED,
    };
    return wanted[e->want->tls];
}

static void converse(struct examination *e, const char *session, bool send,
                     struct conversation_seen *out) {
    const struct examine_want *w = e->want;
    struct conversation_want want = examine_talk_want(e, session);
    want.tls = tls_wanted(e);
    want.pipeline = w->pipeline;
    want.login = w->login;
    want.auth.host = want.tls_name;
    want.auth.port = e->address.port;
    want.mail = e->recipient_count > 0;
    want.sender = e->sender;
    want.recipients = e->recipients;
    want.recipient_count = e->recipient_count;
    want.send = send && w->until >= STEP_END;
    want.content = w->content;
    want.until = w->until;
    examine_talk(e, &want, out);
}

static void converse_mainly(struct examination *e) {
    converse(e, "main", e->want->send, &e->seen);
    e->out->sent = e->seen.sent;
}

static bool take_spot(struct examination *e, const struct spot *s) {
    e->host = s->host;
    e->address = s->address;
    e->implicit = e->want->implicit || port_is_implicit(s->address.port);
    return s->seen.step != STEP_CONNECT;
}

/* The first that is open, in the order of hosts, addresses and ports; else the first of all. Where the port
 * is settled, as the user named it, or as mail for a domain comes to 25, another one that happens to
 * be open is no answer: it is looked at, and told of. */
static bool choose(struct examination *e) {
    uint16_t settled = e->port ? e->port : e->domain.len ? 25 : 0;
    for (size_t i = 0; i < e->spot_count; i++)
        if ((!settled || e->spots[i].address.port == settled) && take_spot(e, &e->spots[i]))
            return true;
    if (e->spot_count)
        take_spot(e, &e->spots[0]);
    return false;
}

/* Of several addresses the transcript says which. */
static void first_address(struct examination *e) {
    for (size_t i = 0; i < e->host_count; i++) {
        if (!e->hosts[i].count && !e->want->path.len)
            continue;
        e->host = e->hosts[i].name;
        e->address = e->hosts[i].addresses[0];
        break;
    }
    e->address.port = e->port ? e->port : 25;
    e->implicit = e->want->implicit || port_is_implicit(e->address.port);
}

static void talk_to(struct examination *e) {
    if (!e->spot_count) {
        first_address(e);
        converse_mainly(e);
    } else if (choose(e)) {
        converse_mainly(e);
    } else {
        e->seen = ports_spot(e, e->address, e->address.port)->seen;
    }
}

/* --- the other MX hosts ------------------------------------------------------------------------------------ */

static void host_finding(struct examination *e, const struct conversation_seen *seen) {
    struct finding_list *l = &e->out->findings;
    bool fine = seen->step == STEP_NONE;
    struct finding *f =
        fine ? finding_add(l, SEVERITY_INFO, "mx.host", "MX", "all is well there, too")
             : finding_add(l, SEVERITY_ERROR, "mx.host", step_name(seen->step), "%s: %.*s",
                           seen->how == HOW_REFUSED ? "it refuses" : "it fails",
                           BYTES_FMT(seen->words));
    finding_about(l, f, "%.*s", BYTES_FMT(examine_place(e->arena, e->host, e->address)));
    if (!fine)
        finding_means(
            l, f,
            "Mail that is led to this host waits, or comes back, though other hosts of the domain "
            "may take it.");
}

/* The first that fails is the one that counts: one rotten MX among good ones is what people look for. */
static void talk_to_host(struct examination *e, const struct host *h) {
    struct bytes host = e->host;
    struct addr address = e->address;
    struct conversation_seen seen;
    e->host = h->name;
    e->address = h->addresses[0];
    e->address.port = address.port;
    converse(e, "other MX", false, &seen);
    host_finding(e, &seen);
    if (e->seen.step == STEP_NONE && seen.step != STEP_NONE) {
        e->seen = seen;
        return;
    }
    e->host = host;
    e->address = address;
}

static void talk_to_all(struct examination *e) {
    struct bytes first = e->host;
    for (size_t i = 0; e->want->all_mx && i < e->host_count; i++)
        if (e->hosts[i].count && !bytes_equal(e->hosts[i].name, first))
            talk_to_host(e, &e->hosts[i]);
}

/* --- who writes to whom ------------------------------------------------------------------------------------ */

static void choose_envelope(struct examination *e) {
    const struct examine_want *w = e->want;
    for (size_t i = 0; i < w->recipient_count && i < CONVERSATION_RECIPIENTS; i++)
        e->recipients[e->recipient_count++] = w->recipients[i];
    if (!e->recipient_count && bytes_find(w->target, '@') > 0)
        e->recipients[e->recipient_count++] = w->target;
    if (w->has_sender)
        e->sender = w->sender;
    else if (w->login && bytes_find(w->auth.user, '@') > 0)
        e->sender = w->auth.user;
    else if (bytes_find(w->helo, '.') > 0 && w->helo.at[0] != '[')
        e->sender = arena_printf(e->arena, "postmaster@%.*s", BYTES_FMT(w->helo));
}

static void look_at_mx(struct examination *e) {
    if (!e->recipient_count || e->seen.step == STEP_CONNECT)
        return;
    struct bytes domain = address_domain(e->recipients[0]);
    e->mx_known = target_is_mx(e, domain, &e->is_mx);
    if (!e->mx_known)
        return;
    struct finding_list *l = &e->out->findings;
    struct finding *f =
        finding_add(l, SEVERITY_INFO, e->is_mx ? "facts.mx" : "facts.not-mx", "RCPT",
                    e->is_mx ? "it is a mail server that the DNS names for %.*s"
                             : "it is none of the mail servers that the DNS names for %.*s",
                    BYTES_FMT(domain));
    finding_about(l, f, "%.*s", BYTES_FMT(examine_place(e->arena, e->host, e->address)));
}

void examined_open(struct examined *out, struct arena *a) {
    *out = (struct examined){ .arena = a };
    finding_list_open(&out->findings, a);
    transcript_open(&out->transcript, a);
    out->verdict.step = STEP_NONE;
}

void examine(struct loop *l, struct dns *dns, const struct examine_want *want,
             struct examined *out) {
    struct examination *e = ARENA_NEW(out->arena, struct examination);
    e->loop = l;
    e->dns = dns;
    e->arena = out->arena;
    e->want = want;
    e->out = out;
    examine_wait(e, 0); /* the loop's clock stood still while the command prepared itself */
    e->began = loop_now(l);
    e->ends = e->began + want->total_ms;
    e->port = want->port;
    e->blamed = e->seen.step = STEP_NONE;
    out->target = want->target.len ? want->target : want->server.len ? want->server : want->path;
    transcript_password(&out->transcript, want->auth.user, want->auth.password);
    transcript_secret(&out->transcript, want->auth.token);
    if (!target_find(e))
        return;
    choose_envelope(e);
    ports_look(e);
    talk_to(e);
    talk_to_all(e);
    look_at_mx(e);
    session_findings(e);
    tls_certificate_findings(e);
    if (!want->no_tls_look)
        tls_probe(e);
    verdict_make(e);
}
