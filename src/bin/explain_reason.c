/* explain_reason: what a reason id of ours means, for people and for scripts. */
#include "bin/explain.h"

#include "base/member.h"

/* --- for scripts: the contract of `explain` ------------------------------------------------------------ */

/* Code, enhanced code and class of a reply as the file has it: "550 5.7.1", or "-ERR [IN-USE]". */
static void json_reply(struct buf *b, const char *reply) {
    struct bytes rest = bytes_str(reply), code;
    uint64_t number;
    if (!bytes_split(&rest, ' ', &code) || !bytes_to_u64(code, 999, &number))
        return member_text(b, "text", bytes_str(reply));
    buf_printf(b, "%s\"code\":%u", b->at[b->len - 1] == '{' ? "" : ",", (unsigned)number);
    buf_str(b, ",\"enhanced\":");
    buf_json(b, rest);
    buf_printf(b, ",\"permanent\":%s", number >= 500 ? "true" : "false");
}

static void json_meaning(struct buf *b, const struct reason *r) {
    member_text(b, "cause", bytes_str(r->id));
    member_text(b, "who", bytes_str(r->who));
    member_text(b, "explanation", bytes_str(r->means));
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
    member_text(out, "reason", bytes_str(r->id));
    member_text(out, "section", bytes_str(r->section));
    member_text(out, "who", bytes_str(r->who));
    member_text(out, "explanation", bytes_str(r->means));
    buf_str(out, ",\"fixes\":{");
    member_text(out, "client", bytes_str(r->client));
    member_text(out, "administrator", bytes_str(r->administrator));
    member_text(out, "postmaster", bytes_str(r->postmaster));
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
