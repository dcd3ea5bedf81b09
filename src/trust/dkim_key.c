/* dkim_key: tags of a key record, and how long an RSA key is: the little of DER (X.690) that takes. */
#include "trust/dkim_key.h"

#include "base/buf.h"
#include "base/scan.h"
#include "trust/tags.h"

enum { KEY_MAX = 8192, ED25519_OCTETS = 32 };

bool dkim_key_is_record(struct bytes text) {
    struct tags t;
    struct bytes p;
    tags_parse(text, &t);
    return tags_have_version(text, "DKIM1") || tags_find(&t, "p", &p);
}

/* --- DER --------------------------------------------------------------------------------------------- */

/* The contents of the element that comes next, if it has this tag. */
static struct bytes element(struct scan *s, unsigned char tag) {
    s->bad |= (unsigned char)scan_char(s) != tag;
    size_t length = (unsigned char)scan_char(s);
    if (length & 0x80) {
        size_t octets = length & 0x7f;
        s->bad |= octets == 0 || octets > 3;
        length = 0;
        for (size_t i = 0; i < octets && !s->bad; i++)
            length = length << 8 | (unsigned char)scan_char(s);
    }
    return scan_take(s, length);
}

enum { DER_INTEGER = 2, DER_BITS = 3, DER_SEQUENCE = 0x30 };

/* RSAPublicKey: the bits of its modulus; 0: it is none. */
static unsigned modulus_bits(struct bytes key) {
    struct scan outer = scan_of(key);
    struct scan s = scan_of(element(&outer, DER_SEQUENCE));
    struct bytes n = element(&s, DER_INTEGER);
    element(&s, DER_INTEGER);
    if (outer.bad || s.bad)
        return 0;
    while (n.len && n.at[0] == 0)
        n = bytes_skip(n, 1);
    if (!n.len)
        return 0;
    unsigned bits = (unsigned)n.len * 8;
    for (unsigned char first = (unsigned char)n.at[0]; !(first & 0x80);
         first = (unsigned char)(first << 1))
        bits--;
    return bits;
}

/* RFC 6376 section 3.6.1 says RSAPublicKey, everybody publishes SubjectPublicKeyInfo; verifiers take both. */
static unsigned rsa_bits(struct bytes key) {
    struct scan outer = scan_of(key);
    struct scan s = scan_of(element(&outer, DER_SEQUENCE));
    element(&s, DER_SEQUENCE); /* the algorithm */
    struct bytes bits = element(&s, DER_BITS);
    if (outer.bad || s.bad || !bits.len || bits.at[0] != 0)
        return modulus_bits(key);
    return modulus_bits(bytes_skip(bits, 1));
}

/* --- tags --------------------------------------------------------------------------------------------- */

static bool has_word(struct bytes list, const char *word) {
    struct bytes item;
    while (bytes_split(&list, ':', &item))
        if (bytes_equal_nocase(bytes_trim(item), bytes_str(word)))
            return true;
    return false;
}

static void read_flags(const struct tags *t, struct dkim_key *out) {
    struct bytes value;
    out->email = !tags_find(t, "s", &value) || has_word(value, "*") || has_word(value, "email");
    out->sha256 = !tags_find(t, "h", &value) || has_word(value, "sha256");
    if (tags_find(t, "t", &value)) {
        out->testing = has_word(value, "y");
        out->strict = has_word(value, "s");
    }
}

static enum rc wrong(struct dkim_key *out, const char *what, struct bytes at) {
    out->wrong = what;
    out->wrong_at = at;
    return PERM;
}

/* Base64, with blanks anywhere. */
static bool read_octets(struct bytes text, struct arena *a, struct bytes *out) {
    struct buf plain = buf_grow(KEY_MAX), octets = buf_grow(KEY_MAX);
    for (size_t i = 0; i < text.len; i++)
        if (bytes_find(B(" \t\r\n"), text.at[i]) < 0)
            buf_char(&plain, text.at[i]);
    bool good = !plain.full && buf_unbase64(&octets, buf_bytes(&plain));
    *out = good ? arena_copy(a, buf_bytes(&octets)) : BYTES_NONE;
    buf_free(&plain);
    buf_free(&octets);
    return good && out->len;
}

static enum rc read_key(struct bytes p, struct arena *a, struct dkim_key *out) {
    if (!read_octets(p, a, &out->octets))
        return wrong(out, "is no base64", bytes_first(p, 40));
    switch (out->type) {
    case DKIM_KEY_RSA:
        out->bits = rsa_bits(out->octets);
        return out->bits ? OK : wrong(out, "is no RSA public key", bytes_first(p, 40));
    case DKIM_KEY_ED25519:
        out->bits = 256;
        return out->octets.len == ED25519_OCTETS
                   ? OK
                   : wrong(out, "is not 32 octets, as an Ed25519 key is (RFC 8463)",
                           bytes_first(p, 40));
    default:
        return wrong(out, "is a type of key that nobody knows", out->type_name);
    }
}

enum rc dkim_key_parse(struct bytes text, struct arena *a, struct dkim_key *out) {
    struct tags t;
    struct bytes value;
    *out = (struct dkim_key){ .type_name = B("rsa") };
    enum rc rc = tags_parse(text, &t);
    read_flags(&t, out);
    if (rc != OK)
        return wrong(out, t.wrong, t.wrong_at);
    out->versioned = tags_find(&t, "v", &value);
    if (out->versioned && !tags_begin(&t, "v", "DKIM1"))
        return wrong(out, "must be v=DKIM1 and stand first", value);
    if (tags_find(&t, "k", &value))
        out->type_name = value;
    out->type = bytes_equal_nocase(out->type_name, B("rsa"))       ? DKIM_KEY_RSA
                : bytes_equal_nocase(out->type_name, B("ed25519")) ? DKIM_KEY_ED25519
                                                                   : DKIM_KEY_OTHER;
    if (!tags_find(&t, "p", &value))
        return wrong(out, "has no p=, the key", bytes_first(text, 40));
    out->revoked = value.len == 0;
    return out->revoked ? OK : read_key(value, a, out);
}
