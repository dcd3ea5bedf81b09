/* srs_key: a file of keys, one a line. The first signs; those behind it are old ones, which are still
 * believed, so that a new key can be put above them without a report getting lost. */
#include "bin/srs_key.h"
#include "bin/layout.h"
#include "sys/files.h"
#include "sys/random.h"

#include <string.h>

enum { FILE_MAX = 64 * 1024, KEY_LETTERS = 52 /* 260 bits */ };

static void wipe(void *arg) {
    struct bytes *key = arg;
    explicit_bzero((char *)(uintptr_t)key->at, key->len);
}

static void wipe_later(struct arena *a, struct bytes key) {
    struct bytes *kept = ARENA_NEW(a, struct bytes);
    *kept = key;
    if (key.len)
        arena_defer(a, wipe, kept);
}

static enum rc make_key(struct config *c, struct bytes path, struct bytes *out, struct why *why) {
    char text[KEY_LETTERS + 2];
    struct buf b = buf_fixed(text, sizeof text);
    random_id(&b, KEY_LETTERS);
    buf_char(&b, '\n');
    *out = arena_copy(c->arena, buf_bytes(&b));
    explicit_bzero(text, sizeof text);
    return files_write(path, *out, FILES_MODE(0600), why);
}

enum rc srs_key_fill(struct config *c, bool make, struct why *why) {
    if (c->srs_secret.len)
        return OK;
    struct bytes path = layout_path(c->arena, c, "keys/srs.key"), text = BYTES_NONE;
    enum rc rc = files_read(path, FILE_MAX, c->arena, &text, why);
    if (rc != OK && make && bytes_equal(bytes_str(why->reason), B("files.missing")))
        rc = make_key(c, path, &text, why);
    if (rc != OK)
        return rc;
    wipe_later(c->arena, text);
    if (bytes_trim(text).len < 16)
        return why_set(why, PERM, 0, NULL, "config.srs-key",
                       "%.*s holds no key of at least 16 octets: put one there, or remove the file "
                       "and one is made",
                       BYTES_FMT(path));
    c->srs_secret = text;
    return OK;
}
