/* srs: what a rewritten sender looks like, and how ours are known from others': this file alone knows
 * the format. Hash and day are in base32, whose case does not matter: some servers change it. */
#include "resolve/srs.h"

#include "base/scan.h"
#include "message/address.h"
#include "sys/mac.h"

enum {
    HASH_LETTERS = 6, /* 30 bits */
    DAY_LETTERS = 2,
    DAYS = 1024, /* then the count begins again */
    VALID_DAYS = 21,
    MAILBOX_MAX = 254,
};
#define DAY_MS INT64_C(86400000)

static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";

static int letter_value(char c) {
    ptrdiff_t at = bytes_find(B("abcdefghijklmnopqrstuvwxyz234567"), ascii_lower(c));
    return (int)at;
}

/* --- the hash ---------------------------------------------------------------------------------- */

/* Over what it protects in lower case: "srs0", day, domain and local part; "srs1", and the rest. */
static void write_hash(struct buf *out, struct bytes key, struct bytes protects) {
    char text[4 * MAILBOX_MAX], mac[MAC_OCTETS];
    struct buf b = buf_fixed(text, sizeof text);
    buf_lower(&b, protects);
    mac_sha256(key, buf_bytes(&b), mac);
    uint64_t bits = 0;
    for (int i = 0; i < 4; i++)
        bits = bits << 8 | (unsigned char)mac[i];
    for (int i = 0; i < HASH_LETTERS; i++)
        buf_char(out, letters[bits >> (27 - 5 * i) & 31]);
}

static bool next_key(struct bytes *secret, struct bytes *key_out) {
    struct bytes line;
    while (bytes_split(secret, '\n', &line)) {
        *key_out = bytes_trim(line);
        if (key_out->len)
            return true;
    }
    return false;
}

/* One of our keys made it. The time it takes tells nothing of the right hash. */
static bool hash_is_ours(struct bytes secret, struct bytes hash, struct bytes protects) {
    char lower[HASH_LETTERS + 1], right[HASH_LETTERS + 1];
    struct bytes key;
    bool ours = false;
    struct buf given = buf_fixed(lower, sizeof lower);
    buf_lower(&given, hash);
    while (next_key(&secret, &key)) {
        struct buf b = buf_fixed(right, sizeof right);
        write_hash(&b, key, protects);
        ours |= bytes_equal_secret(buf_bytes(&b), buf_bytes(&given));
    }
    return ours;
}

/* --- the day ----------------------------------------------------------------------------------- */

static unsigned day_of(int64_t now) {
    return (unsigned)((now / DAY_MS % DAYS + DAYS) % DAYS);
}

static void write_day(struct buf *out, int64_t now) {
    unsigned day = day_of(now);
    buf_char(out, letters[day >> 5]);
    buf_char(out, letters[day & 31]);
}

/* A day ahead is a clock that differs a little. */
static bool day_holds(struct bytes day, int64_t now) {
    int high = letter_value(day.at[0]), low = letter_value(day.at[1]);
    unsigned age = (day_of(now) + DAYS + 1 - (unsigned)(high << 5 | low)) % DAYS;
    return age <= VALID_DAYS + 1;
}

/* --- parts ------------------------------------------------------------------------------------- */

static bool is_separator(char c) {
    return c == '=' || c == '+' || c == '-';
}

/* 0 or 1; -1: neither. */
static int kind_of(struct bytes local) {
    if (local.len < 6 || !is_separator(local.at[4]))
        return -1;
    return bytes_starts_nocase(local, B("SRS0"))   ? 0
           : bytes_starts_nocase(local, B("SRS1")) ? 1
                                                   : -1;
}

static struct bytes local_of(struct bytes mailbox) {
    ptrdiff_t at = bytes_find_last(mailbox, '@');
    return at < 0 ? BYTES_NONE : bytes_first(mailbox, (size_t)at);
}

bool srs_looks(struct bytes mailbox) {
    struct bytes local = local_of(mailbox);
    return kind_of(local) >= 0 && local.at[4] == '=';
}

/* The part before the next '='; false if there is none. */
static bool take_part(struct bytes *rest, struct bytes *out) {
    return bytes_find(*rest, '=') > 0 && bytes_split(rest, '=', out);
}

/* --- writing ----------------------------------------------------------------------------------- */

struct rewriting {
    struct bytes key, domain; /* ours */
    int64_t now;
    struct buf *out;
};

static void put(const struct rewriting *w, const char *kind, struct bytes protects) {
    buf_str(w->out, kind);
    buf_char(w->out, '=');
    char tagged[4 * MAILBOX_MAX];
    struct buf b = buf_fixed(tagged, sizeof tagged);
    buf_str(&b, kind);
    buf_char(&b, '=');
    buf_add(&b, protects);
    write_hash(w->out, w->key, buf_bytes(&b));
    buf_char(w->out, '=');
    buf_add(w->out, protects);
    buf_char(w->out, '@');
    buf_add(w->out, w->domain);
}

static void write_first(const struct rewriting *w, struct bytes local, struct bytes domain) {
    char text[2 * MAILBOX_MAX + 8];
    struct buf b = buf_fixed(text, sizeof text);
    write_day(&b, w->now);
    buf_char(&b, '=');
    buf_add(&b, domain);
    buf_char(&b, '=');
    buf_add(&b, local);
    put(w, "SRS0", buf_bytes(&b));
}

/* The first host, and what stood behind "SRS0" there, its separator first. */
static void write_again(const struct rewriting *w, struct bytes host, struct bytes behind) {
    char text[2 * MAILBOX_MAX + 8];
    struct buf b = buf_fixed(text, sizeof text);
    buf_add(&b, host);
    buf_char(&b, '=');
    buf_add(&b, behind);
    put(w, "SRS1", buf_bytes(&b));
}

/* An SRS1 of another forwarder keeps the first host and what is behind it; its hash is not ours to
 * know. */
static bool write_third(const struct rewriting *w, struct bytes local) {
    struct bytes rest = bytes_skip(local, 5), hash, host;
    if (!take_part(&rest, &hash) || !take_part(&rest, &host) || !rest.len ||
        !is_separator(rest.at[0]))
        return false;
    write_again(w, host, rest);
    return true;
}

static bool can_be_carried(struct bytes local, struct bytes domain) {
    return local.len && local.at[0] != '"' && domain.len && domain.at[0] != '[';
}

bool srs_write(struct bytes secret, struct bytes sender, struct bytes domain, int64_t now,
               struct buf *out) {
    struct rewriting w = { .domain = domain, .now = now, .out = out };
    struct bytes local = local_of(sender), host = address_domain(sender);
    size_t before = out->len;
    if (sender.len > MAILBOX_MAX || !can_be_carried(local, host) || !next_key(&secret, &w.key))
        return false;
    int kind = kind_of(local);
    bool ok = true;
    if (kind < 0)
        write_first(&w, local, host);
    else if (kind == 0)
        write_again(&w, host, bytes_skip(local, 4));
    else
        ok = write_third(&w, local);
    if (ok && !out->full && out->len - before <= MAILBOX_MAX)
        return true;
    buf_cut(out, before);
    return false;
}

/* --- reading ----------------------------------------------------------------------------------- */

/* Behind "SRS0=HASH=": DAY=DOMAIN=LOCAL */
static enum srs_state read_first(struct bytes rest, int64_t now, struct arena *a,
                                 struct bytes *out) {
    struct bytes day, domain;
    if (!take_part(&rest, &day) || day.len != DAY_LETTERS || !take_part(&rest, &domain) ||
        !rest.len || letter_value(day.at[0]) < 0 || letter_value(day.at[1]) < 0)
        return SRS_FORGED;
    *out = arena_printf(a, "%.*s@%.*s", BYTES_FMT(rest), BYTES_FMT(domain));
    return day_holds(day, now) ? SRS_GOOD : SRS_EXPIRED;
}

/* Behind "SRS1=HASH=": HOST=, then what stood behind "SRS0" there. */
static enum srs_state read_again(struct bytes rest, struct arena *a, struct bytes *out) {
    struct bytes host;
    if (!take_part(&rest, &host) || !rest.len || !is_separator(rest.at[0]))
        return SRS_FORGED;
    *out = arena_printf(a, "SRS0%.*s@%.*s", BYTES_FMT(rest), BYTES_FMT(host));
    return SRS_GOOD;
}

enum srs_state srs_read(struct bytes secret, struct bytes mailbox, int64_t now, struct arena *a,
                        struct bytes *out) {
    struct bytes local = local_of(mailbox), rest, hash;
    struct address inside;
    int kind = kind_of(local);
    *out = BYTES_NONE;
    if (kind < 0 || local.at[4] != '=' || mailbox.len > MAILBOX_MAX)
        return SRS_FORGED;
    rest = bytes_skip(local, 5);
    if (!take_part(&rest, &hash) || hash.len != HASH_LETTERS)
        return SRS_FORGED;
    struct bytes protects = arena_printf(a, "SRS%d=%.*s", kind, BYTES_FMT(rest));
    if (!hash_is_ours(secret, hash, protects))
        return SRS_FORGED;
    enum srs_state state = kind ? read_again(rest, a, out) : read_first(rest, now, a, out);
    /* What we signed was an address; a key that leaked must not make it more than that. */
    if (state == SRS_FORGED || address_parse(*out, a, &inside) || !inside.domain.len)
        return SRS_FORGED;
    *out = inside.mailbox;
    return state;
}
