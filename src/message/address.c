/* address: mailboxes as SMTP commands write them (RFC 5321 section 4.1.2, RFC 6531 section 3.3).
 * This file alone knows when a local part needs quotes: whatever way an address was written, one
 * mailbox has one canonical form, so nothing downstream compares spellings. What a local part says
 * (percent, bang, another at sign in quotes) is its domain's business and never looked into. */
#include "message/address.h"

#include "base/addr.h"
#include "base/must.h"
#include "base/scan.h"

enum { LOCAL_MAX = 64, MAILBOX_MAX = 254 }; /* RFC 5321 section 4.5.3.1; a path has 256 with <> */

static bool is_8bit(char c) {
    return (unsigned char)c >= 0x80;
}

static bool is_atext(char c) {
    return ascii_is_alnum(c) || is_8bit(c) || (c && bytes_find(B("!#$%&'*+-/=?^_`{|}~"), c) >= 0);
}

static bool is_dot_text(char c) {
    return is_atext(c) || c == '.';
}

/* Valid UTF-8 without C1 controls: exactly what buf_printable leaves as it is. */
static bool is_clean_utf8(struct bytes text) {
    char copy[MAILBOX_MAX + 1];
    struct buf b = buf_fixed(copy, sizeof copy);
    buf_printable(&b, text);
    return bytes_equal(buf_bytes(&b), text);
}

/* Dot-string: atoms with single dots between them. */
static bool is_dot_string(struct bytes text) {
    bool dot = true;
    for (size_t i = 0; i < text.len; i++) {
        if (!is_dot_text(text.at[i]) || (dot && text.at[i] == '.'))
            return false;
        dot = text.at[i] == '.';
    }
    return !dot;
}

static const char *read_dot_string(struct scan *s, struct buf *local) {
    struct bytes text = scan_while(s, is_dot_text);
    if (text.len == 0)
        return "the part before the @ is missing or begins with a character not allowed there";
    if (!is_dot_string(text))
        return "a dot in the part before the @ must stand between other characters";
    buf_add(local, text);
    return NULL;
}

static const char *read_quoted_string(struct scan *s, struct buf *local) {
    scan_expect(s, '"');
    while (!scan_done(s) && scan_peek(s) != '"') {
        char c = scan_char(s);
        bool pair = c == '\\';
        if (pair)
            c = scan_char(s);
        /* A quoted pair is ASCII; a control stands nowhere. */
        if (s->bad || (unsigned char)c < 0x20 || c == 0x7f || (pair && is_8bit(c)))
            return "the quoted part before the @ has a character that is not allowed there";
        buf_char(local, c);
    }
    scan_expect(s, '"');
    return s->bad ? "the quoted part before the @ is not closed" : NULL;
}

static void write_local(struct buf *b, struct bytes local) {
    if (is_dot_string(local)) {
        buf_add(b, local);
        return;
    }
    buf_char(b, '"');
    for (size_t i = 0; i < local.len; i++) {
        if (local.at[i] == '"' || local.at[i] == '\\')
            buf_char(b, '\\');
        buf_char(b, local.at[i]);
    }
    buf_char(b, '"');
}

/* Without a tag IPv4, with "IPv6:" IPv6; RFC 5321 section 4.1.3 leaves room for others, but none
 * was ever defined. One that maps IPv4 becomes IPv4: one host, one spelling. */
static const char *read_literal(struct bytes text, struct arena *a, struct bytes *out) {
    static const char wrong[] = "the address literal is neither [IPv4] nor [IPv6:...]";
    struct scan s = scan_of(text);
    scan_expect(&s, '[');
    bool six = scan_accept_nocase(&s, B("IPv6:"));
    struct bytes ip = scan_until(&s, ']');
    scan_expect(&s, ']');
    struct addr addr;
    if (s.bad || !scan_done(&s) || (bytes_find(ip, ':') >= 0) != six || bytes_find(ip, '%') >= 0 ||
        !addr_parse(ip, &addr))
        return wrong;
    char memory[80];
    struct buf b = buf_fixed(memory, sizeof memory);
    buf_str(&b, addr.family == 6 ? "[IPv6:" : "[");
    addr_format(&b, addr);
    buf_char(&b, ']');
    MUST(!b.full);
    *out = arena_copy(a, buf_bytes(&b));
    return NULL;
}

/* A sender that a forwarder rewrote (SRS) holds another address within: those grow beyond 64 octets,
 * and whoever takes such mail must take its bounces. */
static bool is_rewritten(struct bytes local) {
    return bytes_starts_nocase(local, B("SRS0")) || bytes_starts_nocase(local, B("SRS1"));
}

/* Puts the parts together; out's local and domain are in the arena or become so here. */
static const char *compose(struct bytes local, struct bytes domain, struct arena *a,
                           struct address *out) {
    char memory[2 * MAILBOX_MAX + 2 * LOCAL_MAX];
    struct buf b = buf_fixed(memory, sizeof memory);
    write_local(&b, local);
    size_t local_len = b.len;
    if (local_len > LOCAL_MAX && !is_rewritten(local))
        return "the part before the @ is longer than 64 octets";
    buf_char(&b, '@');
    buf_add(&b, domain);
    if (b.full || b.len > MAILBOX_MAX)
        return "it is longer than 254 octets";
    out->mailbox = arena_copy(a, buf_bytes(&b));
    out->domain = bytes_skip(out->mailbox, local_len + 1);
    out->local = bytes_equal(bytes_first(out->mailbox, local_len), local)
                     ? bytes_first(out->mailbox, local_len)
                     : arena_copy(a, local);
    return NULL;
}

/* <postmaster> alone needs no domain (RFC 5321 section 4.5.1). */
static const char *bare(struct bytes text, struct address *out) {
    if (!bytes_equal_nocase(text, B("postmaster")))
        return "the @ and the domain are missing";
    out->local = out->mailbox = B("postmaster");
    out->domain = B("");
    return NULL;
}

static const char *read_domain(struct bytes text, struct arena *a, struct bytes *domain,
                               struct address *out) {
    out->literal = text.len && text.at[0] == '[';
    out->utf8 = !bytes_is_ascii(text);
    return out->literal ? read_literal(text, a, domain) : address_parse_domain(text, a, domain);
}

const char *address_parse(struct bytes text, struct arena *a, struct address *out) {
    *out = (struct address){ 0 };
    if (text.len > MAILBOX_MAX)
        return "it is longer than 254 octets";
    if (!bytes_is_ascii(text) && !is_clean_utf8(text))
        return "it is not valid UTF-8";
    char memory[MAILBOX_MAX + 1];
    struct buf local = buf_fixed(memory, sizeof memory);
    struct scan s = scan_of(text);
    const char *wrong =
        scan_peek(&s) == '"' ? read_quoted_string(&s, &local) : read_dot_string(&s, &local);
    if (wrong)
        return wrong;
    if (scan_done(&s))
        return bare(text, out);
    if (!scan_accept(&s, '@'))
        return "the part before the @ has a character that is not allowed there";
    struct bytes domain;
    wrong = read_domain(s.rest, a, &domain, out);
    if (wrong)
        return wrong;
    out->utf8 = out->utf8 || !bytes_is_ascii(buf_bytes(&local));
    return compose(buf_bytes(&local), domain, a, out);
}

/* A domain never holds an @, a quoted local part may. */
struct bytes address_domain(struct bytes mailbox) {
    ptrdiff_t at = bytes_find_last(mailbox, '@');
    return at < 0 ? B("") : bytes_skip(mailbox, (size_t)at + 1);
}

struct bytes address_local(struct bytes mailbox) {
    ptrdiff_t at = bytes_find_last(mailbox, '@');
    return at < 0 ? mailbox : bytes_first(mailbox, (size_t)at);
}

bool address_equal(struct bytes a, struct bytes b) {
    return bytes_equal_nocase(a, b);
}
