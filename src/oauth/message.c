/* message: the SASL messages. XOAUTH2 is what Google and Microsoft speak, OAUTHBEARER its standard
 * (RFC 7628); both carry a user and a bearer token, and both answer a bad one with a challenge. */
#include "oauth/oauth.h"

#include "base/scan.h"

#include <string.h>

#define MARK '\x01'

static const struct bytes dummies[] = {
    [OAUTH_XOAUTH2] = { "", 0 },
    [OAUTH_BEARER] = { "\x01", 1 },
};

struct bytes oauth_message_dummy(enum oauth_mechanism mechanism) {
    return dummies[mechanism];
}

/* --- reading -------------------------------------------------------------------------------------- */

/* RFC 5801 section 4: "=2C" is a comma, "=3D" an equals sign. */
static bool unescape(struct arena *a, struct bytes text, struct bytes *out) {
    char *memory = arena_alloc(a, text.len + 1);
    struct buf b = buf_fixed(memory, text.len + 1);
    for (size_t i = 0; i < text.len; i++) {
        struct bytes code = bytes_slice(text, i, i + 3);
        if (text.at[i] != '=') {
            buf_char(&b, text.at[i]);
            continue;
        }
        if (!bytes_equal_nocase(code, B("=2c")) && !bytes_equal_nocase(code, B("=3d")))
            return false;
        buf_char(&b, code.at[1] == '2' ? ',' : '=');
        i += 2;
    }
    *out = buf_bytes(&b);
    return true;
}

/* The gs2-header: no channel binding, perhaps an identity. */
static bool read_gs2(struct arena *a, struct scan *s, struct bytes *user_out) {
    *user_out = BYTES_NONE;
    if (!scan_accept(s, 'n') && !scan_accept(s, 'y'))
        return false;
    scan_expect(s, ',');
    if (scan_accept(s, 'a')) {
        scan_expect(s, '=');
        if (!unescape(a, scan_until(s, ','), user_out) || !user_out->len)
            return false;
    }
    scan_expect(s, ',');
    scan_expect(s, MARK);
    return !s->bad;
}

/* RFC 6750 section 2.1: "Bearer", a blank, the token. */
static bool read_token(struct bytes value, struct bytes *out) {
    if (out->len)
        return false;
    if (!value.len) /* asks only which provider it is (RFC 7628 section 3.2.2) */
        return true;
    if (!bytes_starts_nocase(value, B("Bearer ")))
        return false;
    *out = bytes_trim(bytes_skip(value, 7));
    for (size_t i = 0; i < out->len; i++)
        if ((unsigned char)out->at[i] <= ' ' || (unsigned char)out->at[i] >= 127)
            return false;
    return true;
}

/* Pairs up to the empty one that ends it; names are letters (RFC 7628 section 3.1). host, port and
 * the like say where the client thinks it is: that is TLS's business. */
static bool read_pairs(struct scan *s, bool user_allowed, struct oauth_message *out) {
    while (!s->bad && !scan_accept(s, MARK)) {
        struct bytes pair = scan_until(s, MARK), name;
        scan_expect(s, MARK);
        if (bytes_find(pair, '=') < 1)
            return false;
        bytes_split(&pair, '=', &name);
        for (size_t i = 0; i < name.len; i++)
            if (!ascii_is_alpha(name.at[i]))
                return false;
        if (bytes_equal(name, B("auth")) && !read_token(pair, &out->token))
            return false;
        if (bytes_equal(name, B("user")) && user_allowed) {
            if (out->user.len)
                return false;
            out->user = pair;
        }
    }
    return !s->bad && scan_done(s);
}

bool oauth_message_parse(struct arena *a, enum oauth_mechanism mechanism, struct bytes message,
                         struct oauth_message *out) {
    struct scan s = scan_of(message);
    bool bearer = mechanism == OAUTH_BEARER;
    *out = (struct oauth_message){ .user = BYTES_NONE };
    if (bytes_find(message, '\0') >= 0 || (bearer && !read_gs2(a, &s, &out->user)))
        return false;
    return read_pairs(&s, !bearer, out) && out->user.len <= OAUTH_LOGIN_MAX &&
           (bearer || out->user.len);
}

/* --- writing -------------------------------------------------------------------------------------- */

static void add_escaped(struct buf *out, struct bytes text) {
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] == ',')
            buf_str(out, "=2C");
        else if (text.at[i] == '=')
            buf_str(out, "=3D");
        else
            buf_char(out, text.at[i]);
    }
}

void oauth_message_format(struct buf *out, enum oauth_mechanism mechanism,
                          const struct oauth_message *message, struct bytes host, uint16_t port) {
    if (mechanism == OAUTH_BEARER) {
        buf_str(out, "n,a=");
        add_escaped(out, message->user);
        buf_str(out, ",\x01");
        if (host.len)
            buf_printf(out, "host=%.*s\x01", BYTES_FMT(host));
        if (host.len && port)
            buf_printf(out, "port=%u\x01", port);
    } else {
        buf_str(out, "user=");
        buf_add(out, message->user);
        buf_char(out, MARK);
    }
    buf_str(out, "auth=Bearer ");
    buf_add(out, message->token);
    buf_str(out, "\x01\x01");
}

/* What is wrong with it is not told here: that is the final reply's business, and the log's. */
void oauth_message_refusal(struct buf *out, enum oauth_mechanism mechanism, struct bytes issuer) {
    struct bytes url = issuer;
    if (mechanism == OAUTH_XOAUTH2) {
        buf_str(out, "{\"status\":\"401\",\"schemes\":\"bearer\",\"scope\":\"\"}");
        return;
    }
    buf_str(out, "{\"status\":\"invalid_token\"");
    while (url.len && url.at[url.len - 1] == '/')
        url = bytes_first(url, url.len - 1);
    if (oauth_url_is_fit(url)) {
        buf_str(out, ",\"openid-configuration\":\"");
        buf_add(out, url); /* a fit URL has nothing to escape */
        buf_str(out, "/.well-known/openid-configuration\"");
    }
    buf_char(out, '}');
}
