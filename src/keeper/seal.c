/* seal: the one place that encrypts passwords. A sealed password is a version, a nonce, what is
 * encrypted, and the tag. */
#include "keeper/seal.h"

#include "base/must.h"
#include "sys/files.h"
#include "sys/random.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_OCTETS = 32, NONCE_OCTETS = 12, TAG_OCTETS = 16, VERSION = 1 };
enum { HEAD_OCTETS = 1 + NONCE_OCTETS, PASSWORD_OCTETS = 1024 };

struct seal {
    struct buf path;
};

struct seal *seal_open(const char *database) {
    struct seal *s = calloc(1, sizeof *s);
    MUST(s);
    ptrdiff_t slash = bytes_find_last(bytes_str(database), '/');
    s->path = buf_grow(4096);
    buf_add(&s->path, bytes_first(bytes_str(database), (size_t)(slash + 1)));
    buf_str(&s->path, "reversible.key");
    return s;
}

void seal_close(struct seal **s) {
    if (!*s)
        return;
    buf_free(&(*s)->path);
    free(*s);
    *s = NULL;
}

/* --- the key ------------------------------------------------------------------------------------- */

static enum rc read_key(struct seal *s, uint8_t key[KEY_OCTETS], struct why *why) {
    struct arena *a = arena_open();
    struct bytes content;
    enum rc rc = files_read(buf_bytes(&s->path), KEY_OCTETS, a, &content, NULL);
    bool good = rc == OK && content.len == KEY_OCTETS;
    if (good) {
        memcpy(key, content.at, KEY_OCTETS);
        explicit_bzero((char *)(uintptr_t)content.at, content.len);
    }
    arena_close(&a);
    return good ? OK
                : why_backend(why, "backend.auth",
                              "%s, the key of reversible passwords, is missing or unreadable: "
                              "restore it, or set the passwords anew",
                              buf_text(&s->path));
}

/* What root makes belongs to the account that owns the database's directory. */
static enum rc make_key(struct seal *s, struct why *why) {
    uint8_t key[KEY_OCTETS];
    struct files_owner owner = FILES_MODE(0600);
    struct stat st;
    char folder[4096];
    struct buf b = buf_fixed(folder, sizeof folder);
    ptrdiff_t slash = bytes_find_last(buf_bytes(&s->path), '/');
    buf_add(&b, slash > 0 ? bytes_first(buf_bytes(&s->path), (size_t)slash) : B("."));
    if (geteuid() == 0 && stat(buf_text(&b), &st) == 0)
        owner = (struct files_owner){ 0600, st.st_uid, st.st_gid };
    random_octets(key, sizeof key);
    enum rc rc = files_write(buf_bytes(&s->path), bytes_of(key, sizeof key), owner, why);
    explicit_bzero(key, sizeof key);
    return rc;
}

/* --- sealing ------------------------------------------------------------------------------------- */

struct work {
    EVP_CIPHER_CTX *context;
    uint8_t key[KEY_OCTETS];
};

static bool begin(struct work *w, bool seal, const uint8_t *nonce, struct bytes login) {
    int len = 0;
    w->context = EVP_CIPHER_CTX_new();
    MUST(w->context);
    return EVP_CipherInit_ex(w->context, EVP_aes_256_gcm(), NULL, w->key, nonce, seal) == 1 &&
           EVP_CipherUpdate(w->context, NULL, &len, (const uint8_t *)login.at, (int)login.len) == 1;
}

static void end(struct work *w) {
    EVP_CIPHER_CTX_free(w->context);
    explicit_bzero(w, sizeof *w);
}

enum rc seal_make(struct seal *s, struct bytes login, struct bytes password, struct buf *out,
                  struct why *why) {
    struct work w = { 0 };
    uint8_t head[HEAD_OCTETS] = { VERSION }, body[PASSWORD_OCTETS], tag[TAG_OCTETS];
    int len = 0, more = 0;
    if (!password.len || password.len > PASSWORD_OCTETS)
        return why_set(why, PERM, 0, NULL, "auth.password",
                       "This password cannot be used: it is empty or longer than 1024 octets");
    enum rc rc = access(buf_text(&s->path), F_OK) == 0 ? OK : make_key(s, why);
    if (rc == OK)
        rc = read_key(s, w.key, why);
    if (rc != OK)
        return rc;
    random_octets(head + 1, NONCE_OCTETS);
    bool good = begin(&w, true, head + 1, login) &&
                EVP_CipherUpdate(w.context, body, &len, (const uint8_t *)password.at,
                                 (int)password.len) == 1 &&
                EVP_CipherFinal_ex(w.context, body + len, &more) == 1 &&
                EVP_CIPHER_CTX_ctrl(w.context, EVP_CTRL_AEAD_GET_TAG, TAG_OCTETS, tag) == 1;
    MUST(good && len + more == (int)password.len);
    end(&w);
    buf_add(out, bytes_of(head, HEAD_OCTETS));
    buf_add(out, bytes_of(body, password.len));
    buf_add(out, bytes_of(tag, TAG_OCTETS));
    MUST(!out->full);
    return OK;
}

enum rc seal_break(struct seal *s, struct bytes login, struct bytes sealed, struct buf *out,
                   struct why *why) {
    struct work w = { 0 };
    uint8_t plain[PASSWORD_OCTETS], tag[TAG_OCTETS];
    int len = 0, more = 0;
    if (sealed.len <= HEAD_OCTETS + TAG_OCTETS ||
        sealed.len > HEAD_OCTETS + PASSWORD_OCTETS + TAG_OCTETS || sealed.at[0] != VERSION)
        return why_backend(why, "backend.auth",
                           "The reversible password of %.*s is damaged: set it anew",
                           BYTES_FMT(login));
    enum rc rc = read_key(s, w.key, why);
    if (rc != OK)
        return rc;
    struct bytes body = bytes_slice(sealed, HEAD_OCTETS, sealed.len - TAG_OCTETS);
    memcpy(tag, bytes_skip(sealed, sealed.len - TAG_OCTETS).at, TAG_OCTETS);
    bool good =
        begin(&w, false, (const uint8_t *)bytes_skip(sealed, 1).at, login) &&
        EVP_CipherUpdate(w.context, plain, &len, (const uint8_t *)body.at, (int)body.len) == 1 &&
        EVP_CIPHER_CTX_ctrl(w.context, EVP_CTRL_AEAD_SET_TAG, TAG_OCTETS, tag) == 1 &&
        EVP_CipherFinal_ex(w.context, plain + len, &more) == 1;
    end(&w);
    if (good)
        buf_add(out, bytes_of(plain, body.len));
    explicit_bzero(plain, sizeof plain);
    return good ? OK
                : why_backend(why, "backend.auth",
                              "The reversible password of %.*s does not fit %s: restore the key, "
                              "or set the password anew",
                              BYTES_FMT(login), buf_text(&s->path));
}
