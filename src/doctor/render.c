/* render: the words around the findings. */
#include "doctor/render.h"

#include "base/member.h"
#include "base/must.h"

#include <string.h>

/* --- for people ---------------------------------------------------------------------------------------- */

static const char *who_in_words(const char *who) {
    static const struct {
        const char *who, *words;
    } all[] = {
        { "sender", "the sender's" },
        { "sender-admin", "the administrator's on the sender's side" },
        { "recipient", "the recipient's" },
        { "recipient-admin", "the administrator's on the recipient's side" },
        { "network-owner", "whoever runs the network in between" },
        { "server-admin", "the administrator's of that server" },
        { "nobody", "nobody's: it is as it should be, or passes by itself" },
    };
    for (size_t i = 0; who && i < COUNT_OF(all); i++)
        if (!strcmp(who, all[i].who))
            return all[i].words;
    return "not known";
}

/* From column `indent` on, where the line stands already. */
static void wrap(struct buf *out, struct bytes text, size_t indent, size_t width) {
    struct bytes word;
    size_t column = indent;
    while (bytes_split(&text, ' ', &word)) {
        if (column > indent && column + 1 + word.len > width) {
            buf_printf(out, "\n%*s", (int)indent, "");
            column = indent;
        }
        if (column > indent)
            buf_char(out, ' ');
        column += word.len + (column > indent);
        buf_printable(out, word);
    }
    buf_char(out, '\n');
}

static void label(struct buf *out, const char *name, struct bytes text, size_t width) {
    enum { COLUMN = 14 };
    if (!text.len)
        return;
    buf_printf(out, "  %-*s", COLUMN - 2, name);
    wrap(out, text, COLUMN, width);
}

static void words_of(struct buf *out, int code, struct status status, struct bytes words) {
    char text[12] = "";
    status_format(status, text);
    if (code)
        buf_printf(out, "%d ", code);
    if (*text)
        buf_printf(out, "%s ", text);
    buf_printable(out, words);
}

static void tried_text(const struct examined *x, struct buf *out, size_t width) {
    if (!x->tried_count)
        return;
    buf_str(out, "\nTried, to tell causes apart (nothing was sent):\n");
    for (size_t i = 0; i < x->tried_count; i++) {
        const struct tried *t = &x->tried[i];
        struct buf line = buf_grow(8192);
        buf_printf(&line, "%.*s: ", BYTES_FMT(t->what));
        if (t->step == STEP_NONE)
            buf_str(&line, "accepted");
        else if (t->how == HOW_REFUSED)
            buf_printf(&line, "refused at %s: %d %.*s", step_name(t->step), t->code,
                       BYTES_FMT(t->words));
        else
            buf_printf(&line, "ended at %s: %.*s", step_name(t->step), BYTES_FMT(t->words));
        buf_str(out, "  - ");
        wrap(out, buf_bytes(&line), 4, width);
        buf_free(&line);
    }
}

static void fixes_text(const struct verdict *v, struct buf *out, size_t width) {
    for (size_t i = 0; i < v->fixes; i++) {
        buf_printf(out, "  %-12s%zu. ", i ? "" : "What to do", i + 1);
        wrap(out, v->fix[i], 17, width);
    }
}

static void verdict_text(const struct examined *x, struct buf *out, size_t width) {
    const struct verdict *v = &x->verdict;
    struct buf words = buf_grow(16384);
    buf_char(out, '\n');
    if (v->step == STEP_NONE) {
        buf_printf(out,
                   v->exit ? "No step refused, but see the findings above (exit %d).\n"
                           : "All is well (exit %d).\n",
                   v->exit);
        label(out, "Server", v->host, width);
        label(out, "Message", x->sent ? B("sent") : B("none was sent"), width);
        return;
    }
    buf_printf(out, "%s is to blame (exit %d).\n", step_name(v->step), v->exit);
    words_of(&words, v->code, v->status, v->words);
    label(out, "Server", v->host, width);
    label(out, v->code ? "Its words" : "Seen", buf_bytes(&words), width);
    label(out, "Cause", bytes_str(v->cause), width);
    label(out, "", v->explanation, width);
    label(out, "Settled by", v->because, width);
    label(out, "Whose move", bytes_str(who_in_words(v->who)), width);
    fixes_text(v, out, width);
    buf_free(&words);
}

void render_text(const struct examined *x, struct buf *out, bool all, size_t width) {
    if (x->findings.count) {
        size_t before = out->len;
        finding_list_text(&x->findings, out, all, width);
        if (out->len == before)
            buf_str(out, "(-v shows all that was looked at.)\n");
    }
    tried_text(x, out, width);
    verdict_text(x, out, width);
}

/* --- for scripts --------------------------------------------------------------------------------------------- */

static void text_or_null(struct buf *b, const char *name, const char *value) {
    member_key(b, name);
    if (value)
        buf_json(b, bytes_str(value));
    else
        buf_str(b, "null");
}

static void status(struct buf *b, struct status s) {
    char t[12] = "";
    status_format(s, t);
    text_or_null(b, "enhanced", *t ? t : NULL);
}

static void tried_json(const struct examined *x, struct buf *b) {
    member_key(b, "tried");
    buf_char(b, '[');
    for (size_t i = 0; i < x->tried_count; i++) {
        const struct tried *t = &x->tried[i];
        buf_str(b, i ? ",{" : "{");
        member_text(b, "what", t->what);
        member_text(b, "from", t->sender);
        member_text(b, "to", t->recipient);
        member_key(b, "port");
        buf_u64(b, t->port);
        member_flag(b, "login", t->login);
        member_flag(b, "accepted", t->step == STEP_NONE);
        text_or_null(b, "step", step_name(t->step));
        member_key(b, "code");
        buf_i64(b, t->code);
        member_text(b, "words", t->words);
        buf_char(b, '}');
    }
    buf_char(b, ']');
}

static void verdict_json(const struct verdict *v, struct buf *b) {
    text_or_null(b, "blamed_step", step_name(v->step));
    member_key(b, "exit");
    buf_i64(b, v->exit);
    text_or_null(b, "cause", v->cause);
    text_or_null(b, "who", v->step == STEP_NONE ? "nobody" : v->who);
    member_flag(b, "permanent", v->permanent);
    member_key(b, "confidence");
    buf_printf(b, "%.2f", v->confidence);
    text_or_null(b, "family", v->family);
    text_or_null(b, "rule", v->rule);
    member_text(b, "host", v->host);
    member_key(b, "code");
    buf_i64(b, v->code);
    status(b, v->status);
    member_text(b, "words", v->words);
    member_text(b, "explanation", v->explanation);
    member_text(b, "because", v->because);
    member_key(b, "fix");
    buf_char(b, '[');
    for (size_t i = 0; i < v->fixes; i++) {
        buf_str(b, i ? "," : "");
        buf_json(b, v->fix[i]);
    }
    buf_char(b, ']');
}

void render_json(const struct examined *x, struct buf *out) {
    buf_char(out, '{');
    member_text(out, "target", x->target);
    verdict_json(&x->verdict, out);
    member_flag(out, "sent", x->sent);
    tried_json(x, out);
    member_key(out, "findings");
    finding_list_json(&x->findings, out);
    member_key(out, "transcript");
    transcript_json(&x->transcript, out);
    buf_char(out, '}');
}
