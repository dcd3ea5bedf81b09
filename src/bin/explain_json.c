/* explain_json: what was explained, as one JSON object: the contract of `explain`, and what we add to it. */
#include "bin/explain.h"

#include "base/member.h"

static const char *const kinds[] = {
    [EXPLAIN_BOUNCE] = "bounce", [EXPLAIN_REPLY] = "reply",   [EXPLAIN_REPORT] = "report",
    [EXPLAIN_LOG] = "log",       [EXPLAIN_REASON] = "reason", [EXPLAIN_NO_BOUNCE] = "not-a-bounce",
};

const char *explain_kind_name(enum explain_kind kind) {
    return kinds[kind];
}

/* Left out when there is none. */
static void some(struct buf *b, const char *key, struct bytes value) {
    if (value.len)
        member_text(b, key, value);
}

/* A key of the contract: scripts find it, whether anything is known or not. */
static void known(struct buf *b, const char *key, struct bytes value) {
    if (value.len) {
        member_text(b, key, value);
        return;
    }
    member_key(b, key);
    buf_str(b, "null");
}

/* Codes and step that the rules found in the words are as good as those that stood beside them. */
static void said(struct buf *b, const struct bounce_recipient *r, const struct reply_meaning *m) {
    char status[12];
    int code = r->code ? r->code : m->code;
    status_format(status_is_set(r->status) ? r->status : m->status, status);
    member_text(b, "address", r->address);
    known(b, "original", r->original);
    known(b, "action", bytes_str(r->action));
    member_key(b, "code");
    if (code)
        buf_u64(b, (uint64_t)code);
    else
        buf_str(b, "null");
    known(b, "enhanced", bytes_str(status));
    member_text(b, "text", r->text);
    known(b, "host", r->host);
    known(b, "command", bytes_str(r->command ? r->command : m->command));
    if (r->submission)
        member_flag(b, "submission", true);
}

static void meaning(struct buf *b, const struct reply_meaning *m) {
    member_text(b, "cause", bytes_str(m->cause));
    member_text(b, "reason", bytes_str(m->reason));
    member_text(b, "who", bytes_str(m->who));
    member_flag(b, "permanent", m->permanent);
    if (m->said_permanent >= 0)
        member_flag(b, "said_permanent", m->said_permanent);
    member_text(b, "severity", bytes_str(m->severity));
    some(b, "family", bytes_str(m->family));
    member_key(b, "confidence");
    unsigned percent = (unsigned)(m->confidence * 100 + 0.5);
    buf_printf(b, "%u.%02u", percent / 100, percent % 100);
    member_text(b, "rule", bytes_str(m->rule));
    member_text(b, "explanation", bytes_str(m->explanation));
    member_key(b, "fix");
    buf_char(b, '[');
    for (size_t i = 0; m->fixes[i]; i++) {
        if (i)
            buf_char(b, ',');
        buf_json(b, bytes_str(m->fixes[i]));
    }
    buf_char(b, ']');
}

static void answer(struct buf *b, const struct explain_answer *a) {
    buf_char(b, '{');
    said(b, a->said, &a->meaning);
    meaning(b, &a->meaning);
    if (a->ours)
        member_text(b, "reason_id", bytes_str(a->ours->id));
    buf_char(b, '}');
}

void explain_json(const struct explained *e, struct buf *out) {
    const struct bounce *b = &e->bounce;
    if (e->kind == EXPLAIN_REASON) {
        explain_reason_json(e->reason, out);
        return;
    }
    buf_char(out, '{');
    member_text(out, "kind", bytes_str(kinds[e->kind]));
    some(out, "source", e->source);
    if (e->number) {
        member_key(out, "number");
        buf_u64(out, e->number);
    }
    some(out, "format", bytes_str(b->format));
    if (e->kind == EXPLAIN_NO_BOUNCE)
        some(out, "because", bytes_str(b->because));
    some(out, "reporter", b->reporter);
    some(out, "sender", b->sender);
    some(out, "subject", b->subject);
    some(out, "message_id", b->message_id);
    some(out, "date", b->date);
    some(out, "client", b->client);
    if (b->cut)
        member_flag(out, "cut", true);
    member_key(out, "recipients");
    buf_char(out, '[');
    for (size_t i = 0; i < e->count && e->kind != EXPLAIN_NO_BOUNCE; i++) {
        if (i)
            buf_char(out, ',');
        answer(out, &e->answers[i]);
    }
    buf_char(out, ']');
    if (e->live) {
        member_key(out, "live");
        finding_list_json(e->live, out);
    }
    buf_char(out, '}');
}
