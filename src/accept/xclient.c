/* xclient: XCLIENT (Postfix's extension): a trusted peer, a content filter say, tells on whose behalf
 * it speaks. Offered to and taken from peers that the listener lists, nobody else. */
#include "accept/internal.h"

static bool is_listed(const struct session *s) {
    return s->facts.listener && networks_have(s->facts.listener->xclient_from, s->peer);
}

static void refuse(struct session *s, int code, const char *status, const char *text) {
    struct why why;
    why_set(&why, PERM, code, status, "syntax.xclient", "%s", text);
    smtp_server_answer(s->machine, PERM, &why);
}

/* "IPV6:2001:db8::1" or "192.0.2.1"; empty is unknown. */
static bool take_address(struct session *s, struct bytes text) {
    if (!text.len) {
        s->facts.client_unknown = true;
        return true;
    }
    if (bytes_starts_nocase(text, B("IPV6:")))
        text = bytes_skip(text, 5);
    struct addr a;
    if (!addr_parse(text, &a))
        return false;
    s->facts.client = a;
    s->facts.client_unknown = false;
    return true;
}

void xclient_command(void *ctx, const struct smtp_command *command) {
    struct session *s = ctx;
    if (!is_listed(s)) {
        refuse(s, 550, "5.7.0", "XCLIENT is taken only from listed peers (xclient_from)");
        return;
    }
    if (command->xclient.login.at && !s->facts.listener->xclient_login) {
        refuse(s, 501, "5.5.4", "LOGIN= is taken only where xclient_login = yes");
        return;
    }
    uint64_t port = 0;
    if (command->xclient.addr.at && !take_address(s, command->xclient.addr)) {
        refuse(s, 501, "5.5.4", "ADDR= is no IP address");
        return;
    }
    if (command->xclient.port.len && bytes_to_u64(command->xclient.port, 65535, &port))
        s->facts.client.port = (uint16_t)port;
    if (command->xclient.helo.len) {
        struct buf b = buf_fixed(s->helo, sizeof(s->helo));
        buf_add(&b, bytes_first(command->xclient.helo, HELO_MAX));
        buf_text(&b);
        s->facts.helo = buf_bytes(&b);
    }
    s->facts.client_told_by = "XCLIENT";
    s->facts.client_peer = s->peer;
    s->facts.gateway_state = FACT_UNKNOWN;
    callers_forget(s);
    caller_forget_certificate(&s->facts); /* it was the peer's own */
    login_forget(s);
    s->facts.login = arena_copy(s->arena, command->xclient.login);
    s->facts.login_state = FACT_UNKNOWN;
    session_offer(s);
    struct event *e = event_begin("xclient");
    session_event_caller(e, s->id, &s->facts);
    event_addr(e, "peer", s->peer);
    event_text(e, "login", s->facts.login);
    event_end(e);
    struct why why;
    why_set(&why, OK, 220, NULL, "", "%.*s ESMTP Postern", BYTES_FMT(session_hostname(s)));
    smtp_server_answer(s->machine, OK, &why);
}
