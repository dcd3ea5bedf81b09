/* explain_text: what was explained, for people: in one sentence which server refused whom at which step, in
 * whose words; then what it means, who must act, what to do, and whether trying again helps. Recipients
 * of whom the same is to be said are named together. */
#include "bin/explain.h"

#include "base/must.h"

#include <string.h>

enum { NAMES_MAX = 8, FIX_COLUMN = 7, GROUPS_MAX = 20 };

static bool same(const char *a, const char *b) {
    return a == b || (a && b && !strcmp(a, b));
}

/* Characters, not octets: the words of a server may be in any language. */
static size_t width_of(struct bytes word) {
    size_t width = 0;
    for (size_t i = 0; i < word.len; i++)
        width += ((unsigned char)word.at[i] & 0xc0) != 0x80;
    return width;
}

void explain_wrap(struct buf *out, struct bytes text, size_t indent) {
    struct bytes word;
    size_t column = indent;
    while (bytes_split(&text, ' ', &word)) {
        size_t width = width_of(word);
        if (column > indent && column + 1 + width > EXPLAIN_WIDTH) {
            buf_printf(out, "\n%*s", (int)indent, "");
            column = indent;
        }
        if (column > indent) {
            buf_char(out, ' ');
            column++;
        }
        buf_printable(out, word);
        column += width;
    }
    buf_char(out, '\n');
}

const char *explain_who(const char *who) {
    static const char *const rows[][2] = {
        { "sender", "the sender: whoever wrote the message" },
        { "sender-admin", "the administrator of the sender's mail server, application or device" },
        { "recipient", "the recipient" },
        { "recipient-admin", "the administrator of the recipient's mail server" },
        { "network-owner",
          "whoever runs the address the mail came from: provider, hoster, administrator" },
        { "server-admin", "the administrator of the server that said it" },
        { "nobody", "nobody" },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (same(who, rows[i][0]))
            return rows[i][1];
    return who;
}

/* --- the first sentence ------------------------------------------------------------------------------------- */

static const char *step_words(const struct explain_answer *a) {
    const char *command = a->said->command ? a->said->command : a->meaning.command;

    static const char *const rows[][2] = {
        { "connect", " when it was connected to" },
        { "banner", " in its greeting" },
        { "EHLO", " when greeted (EHLO)" },
        { "STARTTLS", " when encryption was to begin (STARTTLS)" },
        { "AUTH", " at the login (AUTH)" },
        { "MAIL", " at the sender (MAIL FROM)" },
        { "RCPT", " at the recipient (RCPT TO)" },
        { "DATA", " before the message itself (DATA)" },
        { "end", " after it had the whole message (end of DATA)" },
        { "DNS", " when its name was looked up (DNS)" },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (same(command, rows[i][0]))
            return rows[i][1];
    return "";
}

/* Nobody answered: what stands there are the sending server's own words about its attempt. */
static bool nobody_spoke(const struct explain_answer *a) {
    static const char *const causes[] = {
        "host-unknown", "unreachable",         "timeout", "no-route", "loop",
        "tls-failed",   "domain-takes-no-mail"
    };
    if (same(a->said->command, "connect") || same(a->said->command, "DNS"))
        return a->said->code == 0;
    for (size_t i = 0; i < COUNT_OF(causes) && !a->said->code; i++)
        if (same(a->meaning.cause, causes[i]))
            return true;
    return false;
}

static const char *verb(const struct explain_answer *a) {
    static const char *const rows[][2] = {
        { "failed", "refused" },
        { "delayed", "put off" },
        { "delivered", "delivered to" },
        { "relayed", "accepted" },
        { "expanded", "passed the message on for" },
        { "feedback", "reports a complaint about mail to" },
        { "vacation", "answered by itself for" },
        { "displayed", "tells that the message was opened, by" },
        { "challenge", "wants proof that a person wrote, before it gives the message to" },
    };
    const char *action = a->said->action;
    if (nobody_spoke(a))
        return same(action, "delayed") ? "could not yet deliver to" : "could not deliver to";
    if (same(action, "failed") && (a->said->code ? a->said->code : a->meaning.code) / 100 == 4)
        return "gave up on";
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (same(action, rows[i][0]))
            return rows[i][1];
    return "said of";
}

/* Roughly: only the cause counts, and who must act; for logs full of refusals. */
static bool is_alike(const struct explain_answer *a, const struct explain_answer *b, bool roughly) {
    if (roughly)
        return same(a->meaning.cause, b->meaning.cause) && same(a->meaning.who, b->meaning.who) &&
               same(a->said->action, b->said->action);
    return same(a->meaning.cause, b->meaning.cause) && same(a->meaning.rule, b->meaning.rule) &&
           same(a->said->action, b->said->action) && same(a->said->command, b->said->command) &&
           bytes_equal_nocase(a->said->host, b->said->host) && a->ours == b->ours;
}

/* Which are told of already, and how alike they must be to be told of together. */
struct telling {
    const struct explained *e;
    bool *told, roughly;
};

/* What was refused, where no address is told. */
static const char *nameless(const struct explain_answer *a) {
    static const char *const rows[][2] = {
        { "RCPT", "the recipient" },     { "AUTH", "the login" },
        { "connect", "the connection" }, { "banner", "the connection" },
        { "EHLO", "the connection" },    { "STARTTLS", "the connection" }
    };
    const char *command = a->said->command ? a->said->command : a->meaning.command;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (same(command, rows[i][0]))
            return rows[i][1];
    return "the message";
}

/* The names of those that are like `first`; notes that they have been told. */
static void names(struct buf *b, struct telling *t, size_t first) {
    const struct explained *e = t->e;
    size_t count = 0, unnamed = 0;
    for (size_t i = first; i < e->count; i++) {
        const struct bounce_recipient *said = e->answers[i].said;
        if (t->told[i] || !is_alike(&e->answers[first], &e->answers[i], t->roughly))
            continue;
        t->told[i] = true;
        if (!said->address.len || count >= NAMES_MAX) {
            unnamed++;
            continue;
        }
        buf_printf(b, "%s%.*s", count++ ? ", " : "", BYTES_FMT(said->address));
        if (said->original.len && !bytes_equal_nocase(said->original, said->address))
            buf_printf(b, " (addressed as %.*s)", BYTES_FMT(said->original));
    }
    if (!count)
        buf_str(b, unnamed > 1 ? "several messages" : nameless(&e->answers[first]));
    else if (unnamed)
        buf_printf(b, " and %zu more", unnamed);
}

static void speaker(struct buf *b, const struct explained *e, const struct explain_answer *a) {
    bool own = nobody_spoke(a);
    if (a->said->host.len && !own)
        buf_add(b, a->said->host);
    else if (e->bounce.reporter.len)
        buf_add(b, e->bounce.reporter);
    else if (a->meaning.family_title)
        buf_printf(b, "A server (%s, by its words)", a->meaning.family_title);
    else
        buf_str(b, own ? "The sending server" : "A server");
}

/* A reply over several lines bears its code on each: for people once is enough. */
static void reply_words(struct buf *b, struct bytes text) {
    struct bytes word, code = bytes_first(text, 3), status = BYTES_NONE;
    bool coded = code.len == 3 && ascii_is_digit(code.at[0]) && ascii_is_digit(code.at[2]);
    for (size_t i = 0; bytes_split(&text, ' ', &word); i++) {
        if (i == 0 && coded && word.len > 4 && word.at[3] == '-') {
            status = bytes_skip(word, 4);
            buf_printf(b, "%.*s %.*s", BYTES_FMT(code), BYTES_FMT(status));
            continue;
        }
        if (i == 1 && !status.len)
            status = word;
        struct status parsed;
        bool repeats =
            i > 0 && coded && bytes_starts(word, code) && word.len > 3 && word.at[3] == '-';
        if (repeats) {
            word = bytes_skip(word, 4);
            if (!word.len || (bytes_equal(word, status) && status_parse(word, &parsed)))
                continue;
        } else if (i > 1 && coded && bytes_equal(word, code) && status_parse(status, &parsed) &&
                   bytes_starts(text, status)) {
            bytes_split(&text, ' ', &word);
            continue;
        }
        buf_printf(b, "%s%.*s", i ? " " : "", BYTES_FMT(word));
    }
}

static void first_sentence(struct buf *out, struct telling *t, size_t i) {
    const struct explained *e = t->e;
    const struct explain_answer *a = &e->answers[i];
    struct buf b = buf_grow(64 * 1024);
    speaker(&b, e, a);
    buf_printf(&b, " %s ", verb(a));
    names(&b, t, i);
    buf_str(&b, nobody_spoke(a) ? "" : step_words(a));
    if (a->said->text.len) {
        buf_str(&b, ": \"");
        reply_words(&b, a->said->text);
        buf_char(&b, '"');
    } else
        buf_str(&b, e->kind == EXPLAIN_REPORT ? "." : ", without saying why.");
    explain_wrap(out, buf_bytes(&b), 0);
    buf_free(&b);
}

/* --- what it means, and what to do -------------------------------------------------------------------------- */

static const char *again(const struct explain_answer *a) {
    const struct reply_meaning *m = &a->meaning;
    if (same(m->severity, "info") || same(a->said->action, "feedback") ||
        same(a->said->action, "challenge") || same(a->said->action, "relayed") ||
        same(a->said->action, "delivered"))
        return NULL;
    if (m->permanent && m->said_permanent == 0)
        return "no. The code says \"later\", and servers will go on trying for days, but nothing changes by waiting.";
    if (m->permanent)
        return "no, not before that is done.";
    if (m->said_permanent == 1)
        return "yes, after a while: the code says \"never\", but what is behind it passes.";
    return "yes. Servers do so by themselves, for some days.";
}

static void paragraph(struct buf *out, const char *title, struct bytes text) {
    struct buf b = buf_grow(64 * 1024);
    buf_printf(&b, "%s %.*s", title, BYTES_FMT(text));
    buf_str(out, "  ");
    explain_wrap(out, buf_bytes(&b), 2);
    buf_free(&b);
}

static void fixes(struct buf *out, const char *const *list) {
    if (!list[0])
        return;
    buf_str(out, "\n  What to do:\n");
    for (size_t i = 0; list[i]; i++) {
        buf_printf(out, "  %*zu. ", FIX_COLUMN - 4, i + 1);
        explain_wrap(out, bytes_str(list[i]), FIX_COLUMN);
    }
}

/* Code, enhanced code, rule and how sure it is: one line for whoever wants to check. */
static void grounds(struct buf *out, const struct explain_answer *a) {
    const struct reply_meaning *m = &a->meaning;
    char memory[512], status[12];
    struct buf b = buf_fixed(memory, sizeof memory);
    int code = a->said->code ? a->said->code : m->code;
    status_format(status_is_set(a->said->status) ? a->said->status : m->status, status);
    buf_printf(&b, "%s; rule %s, %u %% sure", m->cause, m->rule,
               (unsigned)(m->confidence * 100 + 0.5));
    if (m->family_title)
        buf_printf(&b, "; words of %s", m->family_title);
    if (code || *status)
        buf_str(&b, "; code");
    if (code)
        buf_printf(&b, " %d", code);
    if (*status)
        buf_printf(&b, " %s", status);
    buf_char(&b, '.');
    buf_str(out, "\n");
    paragraph(out, "Cause:", buf_bytes(&b));
}

static void meaning(struct buf *out, const struct explain_answer *a) {
    const struct reply_meaning *m = &a->meaning;
    const char *more = again(a);
    buf_str(out, "\n  ");
    explain_wrap(out, bytes_str(m->explanation), 2);
    buf_str(out, "\n");
    paragraph(out, "Who must act:", bytes_str(explain_who(m->who)));
    fixes(out, m->fixes);
    if (more) {
        buf_str(out, "\n");
        paragraph(out, "Trying again helps:", bytes_str(more));
    }
    if (a->ours) {
        char memory[256];
        struct buf b = buf_fixed(memory, sizeof memory);
        buf_printf(&b, "it is a Postern; `postern explain %s` tells more.", a->ours->id);
        buf_str(out, "\n");
        paragraph(out, "The server:", buf_bytes(&b));
    }
    grounds(out, a);
}

/* --- the whole ---------------------------------------------------------------------------------------------- */

static void of_the_message(struct buf *out, const struct bounce *b) {
    if (!b->subject.len && !b->sender.len)
        return;
    struct buf t = buf_grow(8192);
    buf_str(&t, "The message:");
    if (b->subject.len)
        buf_printf(&t, " \"%.*s\"", BYTES_FMT(b->subject));
    if (b->sender.len)
        buf_printf(&t, " from %.*s", BYTES_FMT(b->sender));
    if (b->date.len)
        buf_printf(&t, ", %.*s", BYTES_FMT(b->date));
    buf_str(&t, ".");
    buf_str(out, "  ");
    explain_wrap(out, buf_bytes(&t), 2);
    buf_free(&t);
}

static void no_bounce(struct buf *out, const struct explained *e) {
    struct buf t = buf_grow(4096);
    buf_printf(&t, "This is not a bounce: %s.",
               e->bounce.because ? e->bounce.because : "there is no reply of a server in it");
    explain_wrap(out, buf_bytes(&t), 0);
    buf_free(&t);
}

/* How many times something must be said. */
static size_t groups(struct telling *t, struct arena *a) {
    struct telling trial = { t->e, ARENA_ARRAY(a, t->e->count, bool), t->roughly };
    struct buf b = buf_grow(64 * 1024);
    size_t count = 0;
    for (size_t i = 0; i < t->e->count && count <= GROUPS_MAX; i++) {
        if (trial.told[i])
            continue;
        buf_clear(&b);
        names(&b, &trial, i);
        count++;
    }
    buf_free(&b);
    return count;
}

void explain_text(const struct explained *e, struct buf *out) {
    if (e->kind == EXPLAIN_REASON) {
        explain_reason_text(e->reason, out);
        return;
    }
    if (e->kind == EXPLAIN_NO_BOUNCE || !e->count) {
        no_bounce(out, e);
        return;
    }
    struct arena *a = arena_open();
    struct telling t = { e, ARENA_ARRAY(a, e->count, bool), false };
    t.roughly = groups(&t, a) > GROUPS_MAX;
    if (t.roughly)
        buf_printf(out,
                   "%zu refusals, told by cause; the words are those of the first of each.\n\n",
                   e->count);
    for (size_t i = 0; i < e->count; i++) {
        if (t.told[i])
            continue;
        if (i)
            buf_str(out, "\n");
        first_sentence(out, &t, i);
        meaning(out, &e->answers[i]);
    }
    if (e->bounce.cut)
        buf_str(
            out,
            "\n  There was more than is read of one message: some recipients may be missing.\n");
    of_the_message(out, &e->bounce);
    if (e->live) {
        buf_str(out, "\nWhat the network says:\n");
        finding_list_text(e->live, out, true, EXPLAIN_WIDTH);
    }
    arena_close(&a);
}
