/* json: Jansson, with limits, for the files of this folder. */
#include "oauth/json.h"

#include <math.h>
#include <string.h>

static void drop(void *value) {
    json_decref(value);
}

json_t *oauth_json_object(struct arena *a, struct bytes text) {
    if (text.len > OAUTH_DOCUMENT_MAX)
        return NULL;
    json_t *value = json_loadb(text.len ? text.at : "", text.len, JSON_REJECT_DUPLICATES, NULL);
    if (value)
        arena_defer(a, drop, value);
    return json_is_object(value) ? value : NULL;
}

struct bytes oauth_json_text(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    return json_is_string(value) ? bytes_of(json_string_value(value), json_string_length(value))
                                 : BYTES_NONE;
}

bool oauth_json_optional(const json_t *object, const char *name, struct bytes *out) {
    const json_t *value = json_object_get(object, name);
    *out = oauth_json_text(object, name);
    return !value || json_is_null(value) || json_is_string(value);
}

bool oauth_json_time(const json_t *object, const char *name, int64_t *out) {
    const json_t *value = json_object_get(object, name);
    double seconds = json_is_number(value) ? json_number_value(value) : -1;
    if (!(seconds >= 0 && seconds <= 1e11)) /* NaN too */
        return false;
    *out = (int64_t)(seconds * 1000);
    return true;
}

static bool is_url_alphabet(struct bytes text) {
    for (size_t i = 0; i < text.len; i++)
        if (!ascii_is_alnum(text.at[i]) && text.at[i] != '-' && text.at[i] != '_')
            return false;
    return true;
}

bool oauth_json_unbase64(struct arena *a, struct bytes text, struct bytes *out) {
    if (text.len % 4 == 1 || text.len > OAUTH_DOCUMENT_MAX || !is_url_alphabet(text))
        return false;
    char *padded = arena_alloc(a, text.len + 4);
    size_t len = text.len;
    for (size_t i = 0; i < len; i++)
        padded[i] = text.at[i] == '-' ? '+' : text.at[i] == '_' ? '/' : text.at[i];
    while (len % 4)
        padded[len++] = '=';
    char *memory = arena_alloc(a, text.len + 4);
    struct buf b = buf_fixed(memory, text.len + 4);
    if (!buf_unbase64(&b, bytes_of(padded, len)))
        return false;
    *out = buf_bytes(&b);
    return true;
}
