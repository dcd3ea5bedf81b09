/* refusal: what a client and the log are told when something is refused. */
#include "config/config.h"
#include "session/session.h"

enum { RULE_TEXT = 600 };

void refusal_why(const struct config *config, const struct refusal *r, struct why *out) {
    bool full = config->explain == EXPLAIN_FULL && r->remedy;
    why_set(out, r->rc, r->code, r->status, r->reason, "%s%s%s", r->what, full ? ". " : "",
            full ? r->remedy : "");
}

void session_event_caller(struct event *e, const char *id, const struct facts *f) {
    event_str(e, "session", id);
    event_text(e, "listener", f->listener ? f->listener->name : B("send"));
    event_addr(e, "client", f->client);
    if (f->client_told_by) {
        event_str(e, "client_told_by", f->client_told_by);
        event_addr(e, "peer", f->client_peer);
    }
    event_text(e, "login", f->login);
    event_text(e, "local_user", f->local_user);
}

void session_event_rules(struct event *e, const struct verdict *v) {
    char memory[RULE_TEXT];
    event_array(e, "rules");
    for (size_t i = 0; i < v->rule_count; i++) {
        struct buf b = buf_fixed(memory, sizeof memory);
        if (v->rules[i].matched)
            continue;
        buf_printf(&b, "%.*s: %.*s", BYTES_FMT(v->rules[i].name), BYTES_FMT(v->rules[i].because));
        event_item(e, buf_bytes(&b));
    }
    event_array_end(e);
}

void session_wrong_port_event(const char *id, const struct facts *f, const char *what,
                              const char *remedy) {
    struct event *e = event_begin("refused");
    session_event_caller(e, id, f);
    event_str(e, "reason", "tls.wrong-port");
    event_str(e, "text", what);
    event_str(e, "remedy", remedy);
    event_end(e);
}

void session_tls_failed_event(const char *id, const struct facts *f, const struct why *why) {
    struct event *e = event_begin("tls-failed");
    session_event_caller(e, id, f);
    if (why) {
        event_why(e, why);
    } else {
        event_str(e, "text", "This listener has no usable certificate");
        event_bool(e, "alarm", true);
    }
    event_end(e);
}

void session_no_proxy_event(const char *id, const struct facts *f) {
    struct event *e = event_begin("proxy-refused");
    session_event_caller(e, id, f);
    event_addr(e, "peer", f->client);
    event_str(e, "text", "This peer is listed in proxy_protocol_from and sent no PROXY header");
    event_end(e);
}
