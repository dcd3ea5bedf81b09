/* explain_json: what was explained, as one JSON object: the contract of `explain`, and what we add to it. */
#include "bin/explain.h"

static const char *const kinds[] = {
    [EXPLAIN_BOUNCE] = "bounce", [EXPLAIN_REPLY] = "reply",   [EXPLAIN_REPORT] = "report",
    [EXPLAIN_LOG] = "log",       [EXPLAIN_REASON] = "reason", [EXPLAIN_NO_BOUNCE] = "not-a-bounce",
};

const char *explain_kind_name(enum explain_kind kind) {
    return kinds[kind];
}

static void name(struct buf *b, const char *key) {
    if (b->at[b->len - 1] != '{')
        buf_char(b, ',');
    buf_printf(b, "\"%s\":", key);
}

static void text(struct buf *b, const char *key, struct bytes value) {
    name(b, key);
    buf_json(b, value);
}

/* Left out when there is none. */
static void some(struct buf *b, const char *key, struct bytes value) {
    if (value.len)
        text(b, key, value);
}

static void flag(struct buf *b, const char *key, bool value) {
    name(b, key);
    buf_str(b, value ? "true" : "false");
}

/* Codes and step that the rules found in the words are as good as those that stood beside them. */
static void said(struct buf *b, const struct bounce_recipient *r, const struct reply_meaning *m) {
    char status[12];
    int code = r->code ? r->code : m->code;
    status_format(status_is_set(r->status) ? r->status : m->status, status);
    text(b, "address", r->address);
    some(b, "original", r->original);
    some(b, "action", bytes_str(r->action));
    if (code) {
        name(b, "code");
        buf_u64(b, (uint64_t)code);
    }
    some(b, "enhanced", bytes_str(status));
    text(b, "text", r->text);
    some(b, "host", r->host);
    some(b, "command", bytes_str(r->command ? r->command : m->command));
    if (r->submission)
        flag(b, "submission", true);
}

static void meaning(struct buf *b, const struct reply_meaning *m) {
    text(b, "cause", bytes_str(m->cause));
    text(b, "reason", bytes_str(m->reason));
    text(b, "who", bytes_str(m->who));
    flag(b, "permanent", m->permanent);
    if (m->said_permanent >= 0)
        flag(b, "said_permanent", m->said_permanent);
    text(b, "severity", bytes_str(m->severity));
    some(b, "family", bytes_str(m->family));
    name(b, "confidence");
    unsigned percent = (unsigned)(m->confidence * 100 + 0.5);
    buf_printf(b, "%u.%02u", percent / 100, percent % 100);
    text(b, "rule", bytes_str(m->rule));
    text(b, "explanation", bytes_str(m->explanation));
    name(b, "fix");
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
        text(b, "reason_id", bytes_str(a->ours->id));
    buf_char(b, '}');
}

void explain_json(const struct explained *e, struct buf *out) {
    const struct bounce *b = &e->bounce;
    if (e->kind == EXPLAIN_REASON) {
        explain_reason_json(e->reason, out);
        return;
    }
    buf_char(out, '{');
    text(out, "kind", bytes_str(kinds[e->kind]));
    some(out, "source", e->source);
    if (e->number) {
        name(out, "number");
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
        flag(out, "cut", true);
    name(out, "recipients");
    buf_char(out, '[');
    for (size_t i = 0; i < e->count && e->kind != EXPLAIN_NO_BOUNCE; i++) {
        if (i)
            buf_char(out, ',');
        answer(out, &e->answers[i]);
    }
    buf_char(out, ']');
    if (e->live) {
        name(out, "live");
        finding_list_json(e->live, out);
    }
    buf_char(out, '}');
}
