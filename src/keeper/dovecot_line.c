/* dovecot_line: the lines of Dovecot's auth protocol. Values escape NUL, 0x01, tab, CR and LF as 0x01
 * and a character. */
#include "keeper/dovecot.h"

#include "base/must.h"

#include <string.h>

static const struct {
    const char *text;
    enum dovecot_word word;
    bool numbered;
} words[] = {
    { "VERSION", DOVECOT_VERSION, true }, { "MECH", DOVECOT_MECH, false },
    { "DONE", DOVECOT_DONE, false },      { "OK", DOVECOT_OK, true },
    { "FAIL", DOVECOT_FAIL, true },       { "CONT", DOVECOT_CONT, true },
};

static const struct {
    char plain, escaped;
} escapes[] = { { '\0', '0' }, { '\001', '1' }, { '\t', 't' }, { '\r', 'r' }, { '\n', 'n' } };

static bool unescape(struct bytes text, struct buf *out) {
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (c == '\001') {
            size_t e = 0;
            i++;
            while (e < COUNT_OF(escapes) && (i == text.len || escapes[e].escaped != text.at[i]))
                e++;
            if (e == COUNT_OF(escapes))
                return false;
            c = escapes[e].plain;
        }
        buf_char(out, c);
    }
    return !out->full;
}

static void escape(struct buf *b, struct bytes text) {
    for (size_t i = 0; i < text.len; i++) {
        size_t e = 0;
        while (e < COUNT_OF(escapes) && escapes[e].plain != text.at[i])
            e++;
        if (e < COUNT_OF(escapes))
            buf_char(b, '\001');
        buf_char(b, e < COUNT_OF(escapes) ? escapes[e].escaped : text.at[i]);
    }
}

static void take_field(struct bytes field, struct dovecot_line *out) {
    if (out->word == DOVECOT_FAIL)
        out->temporary |= bytes_equal(field, B("temp")) || bytes_equal(field, B("code=temp_fail"));
    if (out->word != DOVECOT_OK || !bytes_starts(field, B("user=")))
        return;
    struct buf b = buf_fixed(out->memory, sizeof out->memory);
    if (!unescape(bytes_skip(field, 5), &b))
        out->word = DOVECOT_BROKEN;
    out->user = buf_bytes(&b);
}

void dovecot_parse(struct bytes line, struct dovecot_line *out) {
    struct bytes word, field;
    bool numbered = false;
    memset(out, 0, sizeof *out);
    bytes_split(&line, '\t', &word);
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (!bytes_equal(word, bytes_str(words[i].text)))
            continue;
        out->word = words[i].word;
        numbered = words[i].numbered;
    }
    if (numbered &&
        (!bytes_split(&line, '\t', &field) || !bytes_to_u64(field, UINT32_MAX, &out->number))) {
        out->word = DOVECOT_BROKEN;
        return;
    }
    if (out->word == DOVECOT_MECH && bytes_split(&line, '\t', &field))
        out->plain = bytes_equal_nocase(field, B("PLAIN"));
    while (bytes_split(&line, '\t', &field))
        take_field(field, out);
}

bool dovecot_format(struct buf *b, uint64_t number, const struct source_question *q) {
    char memory[2 * 1024];
    struct buf message = buf_fixed(memory, sizeof memory);
    buf_str(b, "AUTH\t");
    buf_u64(b, number);
    buf_str(b, "\tPLAIN\tservice=");
    escape(b, bytes_equal(q->service, B("pop")) ? B("pop3") : q->service);
    if (q->tls)
        buf_str(b, "\tsecured");
    if (q->client.family == 4 || q->client.family == 6) {
        buf_str(b, "\trip=");
        addr_format(b, q->client);
    }
    /* Guesses cost what they cost here already; and resp must be the last one. */
    buf_str(b, "\tno-penalty\tresp=");
    buf_char(&message, '\0');
    buf_add(&message, q->login);
    buf_char(&message, '\0');
    buf_add(&message, q->password);
    buf_base64(b, buf_bytes(&message));
    buf_char(b, '\n');
    bool good = !message.full && !b->full;
    explicit_bzero(memory, sizeof memory);
    return good;
}
