/* explain_reason: what a reason id of ours means, for people and for scripts. */
#include "bin/explain.h"

/* --- for scripts: the contract of `explain` ------------------------------------------------------------ */

static void json_key(struct buf *b, const char *key, const char *text) {
    buf_printf(b, "%s\"%s\":", b->at[b->len - 1] == '{' ? "" : ",", key);
    buf_json(b, bytes_str(text));
}

/* Code, enhanced code and class of a reply as the file has it: "550 5.7.1", or "-ERR [IN-USE]". */
static void json_reply(struct buf *b, const char *reply) {
    struct bytes rest = bytes_str(reply), code;
    uint64_t number;
    if (!bytes_split(&rest, ' ', &code) || !bytes_to_u64(code, 999, &number))
        return json_key(b, "text", reply);
    buf_printf(b, "%s\"code\":%u", b->at[b->len - 1] == '{' ? "" : ",", (unsigned)number);
    buf_str(b, ",\"enhanced\":");
    buf_json(b, rest);
    buf_printf(b, ",\"permanent\":%s", number >= 500 ? "true" : "false");
}

static void json_meaning(struct buf *b, const struct reason *r) {
    json_key(b, "cause", r->id);
    json_key(b, "who", r->who);
    json_key(b, "explanation", r->means);
    buf_str(b, ",\"fix\":[");
    buf_json(b, bytes_str(r->client));
    buf_char(b, ',');
    buf_json(b, bytes_str(r->administrator));
    buf_char(b, ',');
    buf_json(b, bytes_str(r->postmaster));
    buf_str(b, "]");
}

void explain_reason_json(const struct reason *r, struct buf *out) {
    buf_str(out, "{\"kind\":\"reason\"");
    json_key(out, "reason", r->id);
    json_key(out, "section", r->section);
    json_key(out, "who", r->who);
    json_key(out, "explanation", r->means);
    buf_str(out, ",\"fixes\":{");
    json_key(out, "client", r->client);
    json_key(out, "administrator", r->administrator);
    json_key(out, "postmaster", r->postmaster);
    buf_str(out, "},\"replies\":[");
    for (size_t i = 0; r->replies[i]; i++) {
        buf_str(out, i ? ",{" : "{");
        json_reply(out, r->replies[i]);
        buf_char(out, '}');
    }
    buf_str(out, "],\"recipients\":[{");
    if (r->replies[0])
        json_reply(out, r->replies[0]);
    json_meaning(out, r);
    buf_str(out, ",\"confidence\":1}]}");
}

/* --- for people ---------------------------------------------------------------------------------------- */

static void fix(struct buf *out, const char *whose, const char *text) {
    enum { COLUMN = 18 };
    buf_printf(out, "  %-*s", COLUMN - 2, whose);
    explain_wrap(out, bytes_str(text), COLUMN);
}

void explain_reason_text(const struct reason *r, struct buf *out) {
    buf_str(out, r->id);
    for (size_t i = 0; r->replies[i]; i++)
        buf_printf(out, "%s%s", i ? ", " : "  (", r->replies[i]);
    buf_printf(out, "%s\n\n  ", r->replies[0] ? ")" : "");
    explain_wrap(out, bytes_str(r->means), 2);
    buf_printf(out, "\n  Who must act: %s.\n\n", r->acts);
    fix(out, "Client:", r->client);
    fix(out, "Administrator:", r->administrator);
    fix(out, "Postmaster:", r->postmaster);
}
