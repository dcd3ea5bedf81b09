/* client: an OAuth 2.0 client of ours as its file describes it, what it posts, and which URLs may be
 * asked at all. */
#include "oauth/json.h"

#include "base/addr.h"
#include "base/must.h"

#include <string.h>

enum { TEXT_MAX = 4096 };

bool oauth_client_is(struct bytes text) {
    return bytes_starts(bytes_trim(text), B("{"));
}

/* --- URLs ---------------------------------------------------------------------------------------- */

static bool is_plain(struct bytes url) {
    for (size_t i = 0; i < url.len; i++)
        if ((unsigned char)url.at[i] <= ' ' || (unsigned char)url.at[i] >= 127 ||
            url.at[i] == '#' || url.at[i] == '\\' || url.at[i] == '"')
            return false;
    return true;
}

/* What stands between :// and the next / or ?. */
static struct bytes authority(struct bytes rest) {
    size_t len = 0;
    while (len < rest.len && rest.at[len] != '/' && rest.at[len] != '?')
        len++;
    return bytes_first(rest, len);
}

static bool is_this_host(struct bytes where) {
    struct addr address;
    ptrdiff_t colon = bytes_find_last(where, ':'), bracket = bytes_find_last(where, ']');
    struct bytes host = colon > bracket ? bytes_first(where, (size_t)colon) : where;
    if (bytes_starts(host, B("[")) && bracket > 0)
        host = bytes_slice(host, 1, (size_t)bracket);
    return bytes_equal_nocase(host, B("localhost")) ||
           (addr_parse(host, &address) && addr_is_loopback(address));
}

bool oauth_url_is_fit(struct bytes url) {
    bool secure = bytes_starts_nocase(url, B("https://"));
    if (!is_plain(url) || url.len > OAUTH_URL_MAX ||
        (!secure && !bytes_starts_nocase(url, B("http://"))))
        return false;
    struct bytes where = authority(bytes_skip(url, secure ? 8 : 7));
    if (!where.len || where.at[0] == ':' || bytes_find(where, '@') >= 0)
        return false;
    return secure || is_this_host(where);
}

/* --- the file ------------------------------------------------------------------------------------ */

static const struct {
    const char *name;
    size_t offset;
    bool required;
} members[] = {
    { "token_url", offsetof(struct oauth_client, token_url), true },
    { "client_id", offsetof(struct oauth_client, client_id), true },
    { "client_secret", offsetof(struct oauth_client, client_secret), false },
    { "scope", offsetof(struct oauth_client, scope), false },
    { "audience", offsetof(struct oauth_client, audience), false },
    { "refresh_token", offsetof(struct oauth_client, refresh_token), false },
    { "user", offsetof(struct oauth_client, user), true },
    { "ca_file", offsetof(struct oauth_client, ca_file), false },
};

static bool is_member(const char *name) {
    for (size_t i = 0; i < COUNT_OF(members); i++)
        if (!strcmp(members[i].name, name))
            return true;
    return !strcmp(name, "client_auth");
}

static bool has_control(struct bytes text) {
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.at[i] < ' ' || text.at[i] == 127)
            return true;
    return false;
}

static enum rc bad(struct why *why, const char *name, const char *text) {
    return why_set(why, PERM, 0, NULL, "config.value", "\"%s\" %s", name, text);
}

static enum rc read_members(struct arena *a, const json_t *object, struct oauth_client *out,
                            struct why *why) {
    for (size_t i = 0; i < COUNT_OF(members); i++) {
        struct bytes *field = (struct bytes *)(void *)((char *)out + members[i].offset);
        if (!oauth_json_optional(object, members[i].name, field))
            return bad(why, members[i].name, "must be a text");
        if (members[i].required && !field->len)
            return bad(why, members[i].name, "is missing");
        if (field->len > TEXT_MAX || has_control(*field))
            return bad(why, members[i].name, "is too long, or holds control characters");
        *field = arena_copy(a, *field);
    }
    return OK;
}

static enum rc read_client_auth(const json_t *object, struct oauth_client *out, struct why *why) {
    struct bytes how;
    if (!oauth_json_optional(object, "client_auth", &how) ||
        (how.len && !bytes_equal(how, B("basic")) && !bytes_equal(how, B("body"))))
        return bad(why, "client_auth", "must be \"basic\" or \"body\"");
    out->secret_in_body = bytes_equal(how, B("body"));
    return OK;
}

enum rc oauth_client_parse(struct arena *a, struct bytes text, struct oauth_client *out,
                           struct why *why) {
    json_t *object = oauth_json_object(a, text);
    const char *name;
    json_t *value;
    *out = (struct oauth_client){ .token_url = BYTES_NONE };
    if (!object)
        return why_set(why, PERM, 0, NULL, "config.value",
                       "it is no JSON object, or names a member twice");
    json_object_foreach(object, name, value) if (!is_member(name)) return why_set(
        why, PERM, 0, NULL, "config.value", "there is no member \"%.60s\"", name);
    enum rc rc = read_members(a, object, out, why);
    if (rc == OK)
        rc = read_client_auth(object, out, why);
    if (rc != OK)
        return rc;
    if (!oauth_url_is_fit(out->token_url))
        return bad(why, "token_url", "must be an https:// URL (http:// to this host only)");
    if (out->ca_file.len && !bytes_starts(out->ca_file, B("/")))
        return bad(why, "ca_file", "must be an absolute path");
    if (!out->client_secret.len && !out->refresh_token.len)
        return bad(why, "client_secret", "is missing, and there is no \"refresh_token\" either");
    return OK;
}

/* --- forms --------------------------------------------------------------------------------------- */

void oauth_escape(struct buf *out, struct bytes value) {
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.at[i];
        if (ascii_is_alnum((char)c) || c == '-' || c == '_' || c == '.' || c == '~')
            buf_char(out, (char)c);
        else
            buf_printf(out, "%%%02X", c);
    }
}

void oauth_form_add(struct buf *out, const char *name, struct bytes value) {
    if (out->len)
        buf_char(out, '&');
    buf_str(out, name);
    buf_char(out, '=');
    oauth_escape(out, value);
}

void oauth_client_form(struct buf *out, const struct oauth_client *client,
                       struct bytes refresh_token) {
    oauth_form_add(out, "grant_type",
                   refresh_token.len ? B("refresh_token") : B("client_credentials"));
    if (refresh_token.len)
        oauth_form_add(out, "refresh_token", refresh_token);
    if (client->scope.len)
        oauth_form_add(out, "scope", client->scope);
    if (client->audience.len)
        oauth_form_add(out, "audience", client->audience);
    /* A public client names itself (RFC 6749 section 3.2.1). */
    if (client->secret_in_body || !client->client_secret.len)
        oauth_form_add(out, "client_id", client->client_id);
    if (client->secret_in_body && client->client_secret.len)
        oauth_form_add(out, "client_secret", client->client_secret);
}
