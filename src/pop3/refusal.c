/* refusal: a why as a negative reply. This file alone knows which response codes (RFC 2449 section
 * 8, RFC 3206, RFC 6856) reasons have, so that a client asks for another password only when the
 * password was wrong. */
#include "pop3/machine.h"

#include "base/must.h"

enum { REPLY_LINE = 510 }; /* RFC 2449 section 4: 512 with CRLF */

/* The first whose reason begins so and whose class is this (0: any). */
static const struct {
    const char *reason, *code;
    int klass;
} codes[] = {
    { "mailbox.in-use", "IN-USE", 0 },
    { "auth.failed", "AUTH", 0 },
    { "message.utf8", "UTF8", 0 },
    { "syntax.", NULL, 0 },
    { "tls.", NULL, 0 },
    { "", "SYS/TEMP", 4 },
    { "backend.", "SYS/PERM", 5 },
    { "mailbox.", "SYS/PERM", 5 },
};

static const char *code_of(const struct why *why) {
    struct bytes reason = bytes_str(why->reason);
    for (size_t i = 0; i < COUNT_OF(codes); i++)
        if (bytes_starts(reason, bytes_str(codes[i].reason)) &&
            (codes[i].klass == 0 || codes[i].klass == why->code / 100))
            return codes[i].code;
    return NULL;
}

/* Replies are ASCII, whatever the client understands. */
static void add_ascii(struct buf *out, struct bytes text) {
    for (size_t i = 0; i < text.len; i++)
        buf_char(out, text.at[i] >= ' ' && text.at[i] <= '~' ? text.at[i] : '?');
}

void pop3_write_refusal(struct pop3_server *s, const struct why *why) {
    char line[REPLY_LINE + 1];
    struct buf b = buf_fixed(line, sizeof line);
    const char *code = code_of(why);
    struct bytes id = bytes_first(s->id, 80), reason = bytes_str(why->reason);
    buf_str(&b, "-ERR ");
    if (code)
        buf_printf(&b, "[%s] ", code);
    size_t room = REPLY_LINE - b.len - (id.len ? reason.len + id.len + 4 : 0);
    add_ascii(&b, bytes_first(bytes_str(why->text), room));
    if (id.len) {
        buf_str(&b, " [");
        add_ascii(&b, reason);
        buf_str(&b, reason.len ? " " : "");
        add_ascii(&b, id);
        buf_char(&b, ']');
    }
    MUST(!b.full);
    buf_add(&s->output, buf_bytes(&b));
    buf_str(&s->output, "\r\n");
}

/* A refusal that is none is a fault of ours. */
static struct why refusal_of(const struct why *why) {
    struct why own;
    if (why && why->code >= 400 && why->code <= 599)
        return *why;
    why_backend(&own, "backend.internal", "A fault of this server: try again later");
    return own;
}

enum pop3_state pop3_refuse(struct pop3_server *s, const struct why *why) {
    struct why refusal = refusal_of(why);
    pop3_write_refusal(s, &refusal);
    s->errors++;
    if (s->driver->refused)
        s->driver->refused(s->ctx, &refusal);
    return refusal.code == 421 ? CLOSED : COMMAND;
}

enum pop3_state pop3_refuse_with(struct pop3_server *s, int code, const char *reason,
                                 const char *format, ...) {
    struct why why;
    char text[WHY_TEXT];
    struct buf b = buf_fixed(text, sizeof text);
    va_list args;
    va_start(args, format);
    buf_vprintf(&b, format, args);
    va_end(args);
    why_set(&why, code < 500 ? TEMP : PERM, code, NULL, reason, "%s", buf_text(&b));
    return pop3_refuse(s, &why);
}
