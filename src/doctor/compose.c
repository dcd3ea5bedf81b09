/* compose: RFC 5322 and MIME, as much as a test message needs. */
#include "doctor/compose.h"

#include "base/buf.h"
#include "base/must.h"
#include "base/num.h"

enum { MESSAGE_MAX = 64 * 1024 * 1024, BASE64_LINE = 57 };

static bool has_header(const struct compose *c, const char *name) {
    for (size_t i = 0; i < c->header_count; i++) {
        ptrdiff_t colon = bytes_find(c->headers[i], ':');
        if (colon > 0 &&
            bytes_equal_nocase(bytes_first(c->headers[i], (size_t)colon), bytes_str(name)))
            return true;
    }
    return false;
}

static const char *wrong_header(const struct compose *c) {
    for (size_t i = 0; i < c->header_count; i++) {
        struct bytes h = c->headers[i];
        ptrdiff_t colon = bytes_find(h, ':');
        if (colon <= 0 || bytes_find(h, '\n') >= 0 || bytes_find(h, '\r') >= 0)
            return h.at;
        for (size_t k = 0; k < (size_t)colon; k++)
            if (h.at[k] <= ' ' || h.at[k] > '~')
                return h.at;
    }
    return NULL;
}

static void recipients(struct buf *b, const struct compose *c) {
    buf_str(b, "To: ");
    for (size_t i = 0; i < c->recipient_count; i++) {
        buf_str(b, i ? ",\r\n " : "");
        buf_printable(b, c->recipients[i]);
    }
    buf_str(b, "\r\n");
}

static void headers(struct buf *b, const struct compose *c) {
    if (!has_header(c, "Date")) {
        buf_str(b, "Date: ");
        num_format_rfc5322(b, c->wall_ms);
        buf_str(b, "\r\n");
    }
    if (!has_header(c, "From")) {
        buf_str(b, "From: ");
        buf_printable(b, c->sender.len ? c->sender : B("postmaster@localhost"));
        buf_str(b, "\r\n");
    }
    if (!has_header(c, "To"))
        recipients(b, c);
    if (!has_header(c, "Subject"))
        buf_str(b, "Subject: test\r\n");
    if (!has_header(c, "Message-ID"))
        buf_printf(b, "Message-ID: <%016llx@%.*s>\r\n", (unsigned long long)c->random,
                   BYTES_FMT(c->host.len ? c->host : B("localhost")));
    if (!has_header(c, "MIME-Version"))
        buf_str(b, "MIME-Version: 1.0\r\n");
    for (size_t i = 0; i < c->header_count; i++) {
        buf_add(b, c->headers[i]);
        buf_str(b, "\r\n");
    }
}

static void text_part(struct buf *b, const struct compose *c) {
    if (c->file_count || !has_header(c, "Content-Type")) {
        buf_str(b, "Content-Type: text/plain; charset=utf-8\r\n");
        buf_printf(b, "Content-Transfer-Encoding: %s\r\n",
                   bytes_is_ascii(c->body) ? "7bit" : "8bit");
    }
    buf_str(b, "\r\n");
    buf_add(b, c->body.len ? c->body : B("This is a test message, sent with postern doctor.\r\n"));
    if (b->len && b->at[b->len - 1] != '\n')
        buf_str(b, "\r\n");
}

/* A quoted-string; what would end it is left out. */
static void file_name(struct buf *b, struct bytes name) {
    ptrdiff_t slash = bytes_find_last(name, '/');
    if (slash >= 0)
        name = bytes_skip(name, (size_t)slash + 1);
    for (size_t i = 0; i < name.len; i++)
        if (name.at[i] >= ' ' && name.at[i] <= '~' && name.at[i] != '"' && name.at[i] != '\\')
            buf_char(b, name.at[i]);
}

static void file_part(struct buf *b, const struct compose_file *f) {
    buf_str(b, "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n"
               "Content-Disposition: attachment; filename=\"");
    file_name(b, f->name);
    buf_str(b, "\"\r\n\r\n");
    for (struct bytes rest = f->content; rest.len; rest = bytes_skip(rest, BASE64_LINE)) {
        buf_base64(b, bytes_first(rest, BASE64_LINE));
        buf_str(b, "\r\n");
    }
}

static void parts(struct buf *b, const struct compose *c) {
    unsigned long long mark = (unsigned long long)c->random;
    buf_printf(b, "Content-Type: multipart/mixed; boundary=\"=_%016llx\"\r\n\r\n--=_%016llx\r\n",
               mark, mark);
    text_part(b, c);
    for (size_t i = 0; i < c->file_count; i++) {
        buf_printf(b, "--=_%016llx\r\n", mark);
        file_part(b, &c->files[i]);
    }
    buf_printf(b, "--=_%016llx--\r\n", mark);
}

const char *compose_message(struct arena *a, const struct compose *c, struct bytes *out) {
    const char *wrong = wrong_header(c);
    if (wrong)
        return wrong;
    struct buf b = buf_grow(MESSAGE_MAX);
    headers(&b, c);
    if (c->file_count)
        parts(&b, c);
    else
        text_part(&b, c);
    *out = arena_copy(a, buf_bytes(&b));
    buf_free(&b);
    return NULL;
}
