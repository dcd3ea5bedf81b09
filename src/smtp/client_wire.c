/* client_wire: the sending side's commands as text, and the other server's EHLO taken apart. This
 * file alone knows which parameter goes with which keyword: what was not offered is left out. */
#include "smtp/client_machine.h"

#include "base/must.h"

#include <string.h>

enum { COMMAND_MAX = 512 }; /* RFC 5321 section 4.5.3.1.4 */

/* Whatever the driver hands in: no control octet of it gets out, so no line ends where it should
 * not. */
static void add_clean(struct buf *b, struct bytes text) {
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        buf_char(b, c < ' ' || c == 0x7f ? '?' : (char)c);
    }
}

static void end_line(struct buf *b) {
    buf_str(b, "\r\n");
}

void client_write_ehlo(struct smtp_client *c, const char *verb) {
    buf_str(&c->output, verb);
    buf_char(&c->output, ' ');
    add_clean(&c->output, c->hostname);
    end_line(&c->output);
}

void client_write_xclient(struct smtp_client *c, struct bytes attributes) {
    buf_str(&c->output, "XCLIENT ");
    add_clean(&c->output, attributes);
    end_line(&c->output);
}

void client_write_mail(struct smtp_client *c) {
    static const char *const ret[] = { "", "FULL", "HDRS" };
    const struct smtp_client_mail *m = &c->mail;
    const struct smtp_peer *p = &c->peer;
    struct buf *b = &c->output;
    buf_str(b, "MAIL FROM:<");
    add_clean(b, m->sender);
    buf_char(b, '>');
    if (p->has_size && m->size)
        buf_printf(b, " SIZE=%llu", (unsigned long long)m->size);
    if (p->eightbit && m->eightbit)
        buf_str(b, " BODY=8BITMIME");
    if (p->smtputf8 && m->smtputf8)
        buf_str(b, " SMTPUTF8");
    if (p->dsn && m->ret && m->ret < COUNT_OF(ret))
        buf_printf(b, " RET=%s", ret[m->ret]);
    if (p->dsn && m->envid.len) {
        buf_str(b, " ENVID=");
        smtp_xtext_encode(b, m->envid);
    }
    end_line(b);
}

static void write_notify(struct buf *b, uint8_t notify) {
    static const char *const names[] = { "NEVER", "SUCCESS", "FAILURE", "DELAY" };
    const char *before = " NOTIFY=";
    for (unsigned i = 0; i < COUNT_OF(names); i++) {
        if (!(notify & 1u << i))
            continue;
        buf_str(b, before);
        buf_str(b, names[i]);
        before = ",";
    }
}

/* The type goes as it is. An address of type utf-8 is its own encoding (RFC 6533 section 3); what
 * is not ASCII needs SMTPUTF8, else the parameter is left out. */
static void write_orcpt(struct smtp_client *c, struct bytes orcpt) {
    ptrdiff_t at = bytes_find(orcpt, ';');
    struct bytes type = bytes_first(orcpt, at < 0 ? 0 : (size_t)at);
    struct bytes address = bytes_skip(orcpt, (size_t)(at + 1));
    bool utf8 = bytes_equal_nocase(type, B("utf-8"));
    if (type.len == 0 ||
        (!bytes_is_ascii(address) && !(utf8 && c->mail.smtputf8 && c->peer.smtputf8)))
        return;
    buf_str(&c->output, " ORCPT=");
    add_clean(&c->output, type);
    buf_char(&c->output, ';');
    if (utf8 && bytes_find(address, ' ') < 0 && bytes_find(address, '=') < 0)
        add_clean(&c->output, address);
    else
        smtp_xtext_encode(&c->output, address);
}

void client_write_rcpt(struct smtp_client *c, size_t index) {
    const struct smtp_client_rcpt *rcpt = &c->mail.rcpts[index];
    buf_str(&c->output, "RCPT TO:<");
    add_clean(&c->output, rcpt->mailbox);
    buf_char(&c->output, '>');
    if (c->peer.dsn)
        write_notify(&c->output, rcpt->notify);
    if (c->peer.dsn && rcpt->orcpt.len)
        write_orcpt(c, rcpt->orcpt);
    end_line(&c->output);
}

bool client_write_auth(struct smtp_client *c, struct bytes mechanism, bool has_initial,
                       struct bytes initial) {
    size_t length = B("AUTH  \r\n").len + mechanism.len + (initial.len + 2) / 3 * 4;
    bool fits = has_initial && length <= COMMAND_MAX;
    buf_str(&c->output, "AUTH ");
    add_clean(&c->output, mechanism);
    if (fits)
        buf_str(&c->output, initial.len ? " " : " =");
    if (fits)
        buf_base64(&c->output, initial);
    end_line(&c->output);
    return fits || !has_initial;
}

void client_write_base64(struct smtp_client *c, struct bytes data) {
    buf_room(&c->output, (data.len + 2) / 3 * 4 + 2); /* growing would leave copies of a secret */
    buf_base64(&c->output, data);
    end_line(&c->output);
}

static void write_chunk(struct smtp_client *c, struct bytes chunk, bool last) {
    buf_room(&c->output, chunk.len + 32);
    buf_printf(&c->output, "BDAT %zu%s\r\n", chunk.len, last ? " LAST" : "");
    buf_add(&c->output, chunk);
}

/* As nearly all content is: in whole lines, or going on within one, with nothing to mend. */
static bool write_clean_chunk(struct smtp_client *c, struct bytes piece, bool last) {
    char end = piece.len ? piece.at[piece.len - 1] : 0;
    if (c->held_cr || end == '\r' || (last && end != '\n') || !smtp_data_out_clean(&c->data, piece))
        return false;
    write_chunk(c, piece, last);
    return true;
}

/* A chunk's size comes before it, so it is mended first. No chunk ends between CR and LF, or the
 * wire would show a bare one of each. */
bool client_write_chunk(struct smtp_client *c, struct bytes piece, bool last) {
    if (write_clean_chunk(c, piece, last))
        return true;
    struct buf chunk = buf_grow(2 * piece.len + 8);
    if (c->held_cr)
        buf_char(&chunk, '\r');
    smtp_data_out_bdat(&c->data, piece, &chunk);
    if (last)
        smtp_data_out_bdat_end(&c->data, &chunk);
    MUST(!chunk.full);
    c->held_cr = chunk.len && chunk.at[chunk.len - 1] == '\r';
    buf_cut(&chunk, chunk.len - c->held_cr);
    if (chunk.len || last)
        write_chunk(c, buf_bytes(&chunk), last);
    bool written = chunk.len || last;
    buf_free(&chunk);
    return written;
}

/* --- EHLO ---------------------------------------------------------------------------------- */

static void read_size(struct smtp_client *c, struct bytes words) {
    c->peer.has_size = true;
    if (!bytes_to_u64(words, UINT64_MAX, &c->peer.size))
        c->peer.size = 0;
}

/* More than one line of mechanisms, and the old "AUTH=", add up. */
static void read_auth(struct smtp_client *c, struct bytes words) {
    struct buf b = buf_grow(1024);
    buf_add(&b, c->peer.auth);
    struct bytes word;
    while (bytes_split(&words, ' ', &word)) {
        if (word.len && b.len)
            buf_char(&b, ' ');
        for (size_t i = 0; i < word.len; i++)
            buf_char(&b,
                     word.at[i] >= 'a' && word.at[i] <= 'z' ? (char)(word.at[i] - 32) : word.at[i]);
    }
    c->peer.auth = arena_copy(c->arena, buf_bytes(&b));
    buf_free(&b);
}

static void read_limits(struct smtp_client *c, struct bytes words) {
    struct bytes word, name;
    while (bytes_split(&words, ' ', &word)) {
        uint64_t n;
        bytes_split(&word, '=', &name);
        if (!bytes_to_u64(word, UINT64_MAX, &n))
            continue;
        if (bytes_equal_nocase(name, B("RCPTMAX")))
            c->peer.rcpt_max = n;
        if (bytes_equal_nocase(name, B("MAILMAX")))
            c->peer.mail_max = n;
    }
}

static const struct {
    const char *keyword;
    size_t flag; /* in smtp_peer, or 0 */
    void (*read)(struct smtp_client *c, struct bytes words);
} keywords[] = {
    { "XCLIENT", offsetof(struct smtp_peer, xclient), NULL },
    { "PIPELINING", offsetof(struct smtp_peer, pipelining), NULL },
    { "8BITMIME", offsetof(struct smtp_peer, eightbit), NULL },
    { "SMTPUTF8", offsetof(struct smtp_peer, smtputf8), NULL },
    { "CHUNKING", offsetof(struct smtp_peer, chunking), NULL },
    { "BINARYMIME", offsetof(struct smtp_peer, binarymime), NULL },
    { "DSN", offsetof(struct smtp_peer, dsn), NULL },
    { "STARTTLS", offsetof(struct smtp_peer, starttls), NULL },
    { "ENHANCEDSTATUSCODES", offsetof(struct smtp_peer, enhanced), NULL },
    { "REQUIRETLS", offsetof(struct smtp_peer, requiretls), NULL },
    { "SIZE", 0, read_size },
    { "AUTH", 0, read_auth },
    { "LIMITS", 0, read_limits },
};

static void read_keyword(struct smtp_client *c, struct bytes line) {
    struct bytes words = line, keyword;
    bytes_split(&words, ' ', &keyword);
    if (bytes_starts_nocase(keyword, B("AUTH="))) {
        read_auth(c, bytes_skip(keyword, 5));
        keyword = B("AUTH");
    }
    words = bytes_trim(words);
    for (size_t i = 0; i < COUNT_OF(keywords); i++) {
        if (!bytes_equal_nocase(keyword, bytes_str(keywords[i].keyword)))
            continue;
        if (keywords[i].flag)
            *(bool *)((char *)&c->peer + keywords[i].flag) = true;
        if (keywords[i].read)
            keywords[i].read(c, words);
    }
}

void client_read_peer(struct smtp_client *c, const struct smtp_reply *reply, bool extended) {
    struct bytes rest = reply->raw, line;
    struct buf all = buf_grow(reply->raw.len + 1);
    c->peer = (struct smtp_peer){ .extended = extended };
    while (bytes_split(&rest, '\n', &line)) {
        line = bytes_trim(bytes_skip(line, 4)); /* "250-" */
        if (all.len == 0 && !c->peer.name.at) {
            bytes_split(&line, ' ', &c->peer.name);
            c->peer.name = arena_copy(c->arena, c->peer.name);
            continue;
        }
        if (all.len)
            buf_char(&all, '\n');
        buf_add(&all, line);
        if (extended)
            read_keyword(c, line);
    }
    c->peer.keywords = arena_copy(c->arena, buf_bytes(&all));
    buf_free(&all);
}
