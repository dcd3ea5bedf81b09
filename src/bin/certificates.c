/* certificates: what may change on disk while the server runs. A configuration never changes but
 * for this: its pairs are views, which are pointed at what was read later. */
#include "bin/certificates.h"
#include "base/must.h"
#include "bin/layout.h"
#include "sys/files.h"

#include <stdlib.h>
#include <string.h>

enum { PEM_MAX = 1024 * 1024 };

struct certificates {
    struct arena *arena; /* of the pairs read last; NULL: they are the configuration's own */
    uint64_t stamp;      /* of the files as they were read */
    uint64_t failed;     /* of files that could not be used */
    bool told;
};

static void wipe(void *arg) {
    struct bytes *key = arg;
    explicit_bzero((char *)(uintptr_t)key->at, key->len);
}

/* With the arena it lies in. */
static void wipe_later(struct arena *a, struct bytes key) {
    struct bytes *kept = ARENA_NEW(a, struct bytes);
    *kept = key;
    if (key.len)
        arena_defer(a, wipe, kept);
}

static enum rc read_pair(struct bytes chain, struct bytes key, struct arena *a,
                         struct bytes *chain_out, struct bytes *key_out, struct why *why) {
    enum rc rc = files_read(chain, PEM_MAX, a, chain_out, why);
    if (rc == OK)
        rc = files_read(key, PEM_MAX, a, key_out, why);
    if (rc == OK)
        wipe_later(a, *key_out);
    return rc;
}

/* --- the pair made here -------------------------------------------------------------------- */

static enum rc read_made(const struct config *c, struct arena *a, struct tls_pair *out,
                         struct why *why) {
    return read_pair(layout_path(a, c, "keys/tls.crt"), layout_path(a, c, "keys/tls.key"), a,
                     &out->chain_pem, &out->key_pem, why);
}

/* The key first: a certificate without its key would be found incomplete at every start. */
static enum rc read_or_make(const struct config *c, int64_t wall_ms, struct arena *a,
                            struct tls_pair *out, struct why *why) {
    enum rc rc = read_made(c, a, out, why);
    if (rc == OK || !bytes_equal(bytes_str(why->reason), B("files.missing")))
        return rc;
    rc = tls_make_pair(c->hostname, wall_ms, a, &out->chain_pem, &out->key_pem, why);
    if (rc != OK)
        return rc;
    wipe_later(a, out->key_pem);
    rc = files_write(layout_path(a, c, "keys/tls.key"), out->key_pem, FILES_MODE(0600), why);
    if (rc == OK)
        rc = files_write(layout_path(a, c, "keys/tls.crt"), out->chain_pem, FILES_MODE(0644), why);
    return rc;
}

static bool uses_made(const struct listener *l) {
    return l->tls != TLS_OFF && !l->certificate.len;
}

static bool any_uses_made(const struct config *c) {
    for (size_t i = 0; i < c->listener_count; i++)
        if (uses_made(&c->listeners[i]))
            return true;
    return false;
}

static void set_made(struct config *c, const struct tls_pair *pair) {
    for (size_t i = 0; i < c->listener_count; i++) {
        struct listener *l = (struct listener *)(uintptr_t)&c->listeners[i];
        if (!uses_made(l))
            continue;
        l->chain_pem = pair->chain_pem;
        l->key_pem = pair->key_pem;
    }
}

/* --- proving ------------------------------------------------------------------------------- */

static enum rc prove_pair(const char *kind, struct bytes name, struct bytes chain, struct bytes key,
                          struct why *why) {
    struct tls_pair pair = { BYTES_NONE, chain, key };
    struct why wrong;
    int64_t not_after;
    bool name_ok;
    if (tls_pair_check(pair, name, &not_after, &name_ok, &wrong) == OK)
        return OK;
    return why_set(why, PERM, 0, NULL, wrong.reason, "%s %.*s: %s", kind, BYTES_FMT(name),
                   wrong.text);
}

static enum rc prove(const struct config *c, struct why *why) {
    enum rc rc = OK;
    for (size_t i = 0; i < c->listener_count && rc == OK; i++) {
        const struct listener *l = &c->listeners[i];
        if (l->tls != TLS_OFF)
            rc = prove_pair("listener", l->name, l->chain_pem, l->key_pem, why);
    }
    for (size_t i = 0; i < c->certificate_count && rc == OK; i++) {
        const struct certificate *k = &c->certificates[i];
        rc = prove_pair("certificate", k->name, k->chain_pem, k->key_pem, why);
    }
    return rc;
}

enum rc certificates_trust(const struct config *c, struct tls_server *t, struct why *why) {
    struct tls_authority list[CLIENT_AUTHORITIES_MAX];
    for (size_t i = 0; i < c->client_authority_count; i++)
        list[i] =
            (struct tls_authority){ c->client_authorities[i].path, c->client_authorities[i].pem };
    return tls_server_trust(t, list, c->client_authority_count, why);
}

/* On a server that nobody connects to. */
static enum rc prove_authorities(const struct config *c, struct why *why) {
    struct tls_pair pair;
    struct tls_server *t = NULL;
    struct arena *a = arena_open();
    enum rc rc = OK;
    if (c->client_authority_count) {
        rc = tls_make_pair(B("proof"), 0, a, &pair.chain_pem, &pair.key_pem, why);
        pair.name = BYTES_NONE;
        if (rc == OK)
            rc = tls_server_open(&pair, 1, 12, BYTES_NONE, &t, why);
        if (rc == OK)
            rc = certificates_trust(c, t, why);
        tls_server_close(&t);
    }
    arena_close(&a);
    return rc == OK ? OK : PERM;
}

/* --- authorities of routes ------------------------------------------------------------------ */

/* Read here, because a worker may reach neither the file's folder nor, as another account, the file.
 * The text takes the place of the path. */
static enum rc read_roots(struct config *c, struct why *why) {
    enum rc rc = OK;
    for (size_t i = 0; i < c->route_count && rc == OK; i++) {
        struct route *r = (struct route *)(uintptr_t)&c->routes[i];
        struct tls_client *proof = NULL;
        struct bytes text;
        if (!r->ca_file.len)
            continue;
        rc = files_read(r->ca_file, PEM_MAX, c->arena, &text, why);
        if (rc == OK)
            rc = tls_client_open(text, &proof, why);
        tls_client_close(&proof);
        if (rc == OK)
            r->ca_file = text;
        else
            why_set(why, PERM, 0, NULL, why->reason, "route %.*s: ca_file %.*s: %s",
                    BYTES_FMT(r->name), BYTES_FMT(bytes_first(r->ca_file, 200)), why->text);
    }
    return rc == OK ? OK : PERM;
}

enum rc certificates_fill(struct config *c, int64_t wall_ms, struct why *why) {
    struct tls_pair made;
    if (any_uses_made(c)) {
        enum rc rc = read_or_make(c, wall_ms, c->arena, &made, why);
        if (rc != OK)
            return rc;
        set_made(c, &made);
    }
    enum rc rc = read_roots(c, why);
    if (rc == OK)
        rc = prove_authorities(c, why);
    return rc == OK ? prove(c, why) : rc;
}

/* --- renewal ------------------------------------------------------------------------------- */

static uint64_t add_stamp(uint64_t sum, struct bytes path) {
    uint64_t both[2] = { sum, path.len ? files_stamp(path) : 0 };
    return bytes_hash(bytes_of(both, sizeof(both)));
}

static uint64_t stamp_of(const struct config *c) {
    struct arena *a = arena_open();
    uint64_t sum = 0;
    for (size_t i = 0; i < c->listener_count; i++)
        sum = add_stamp(add_stamp(sum, c->listeners[i].certificate), c->listeners[i].key);
    for (size_t i = 0; i < c->certificate_count; i++)
        sum = add_stamp(add_stamp(sum, c->certificates[i].chain), c->certificates[i].key);
    if (any_uses_made(c)) {
        sum = add_stamp(sum, layout_path(a, c, "keys/tls.crt"));
        sum = add_stamp(sum, layout_path(a, c, "keys/tls.key"));
    }
    arena_close(&a);
    return sum;
}

/* What the configuration showed before, to go back to. */
struct before {
    struct tls_pair *listeners, *certificates;
};

static struct before remember(const struct config *c, struct arena *a) {
    struct before b = { ARENA_ARRAY(a, c->listener_count + 1, struct tls_pair),
                        ARENA_ARRAY(a, c->certificate_count + 1, struct tls_pair) };
    for (size_t i = 0; i < c->listener_count; i++)
        b.listeners[i] =
            (struct tls_pair){ BYTES_NONE, c->listeners[i].chain_pem, c->listeners[i].key_pem };
    for (size_t i = 0; i < c->certificate_count; i++)
        b.certificates[i] = (struct tls_pair){ BYTES_NONE, c->certificates[i].chain_pem,
                                               c->certificates[i].key_pem };
    return b;
}

static void put_back(struct config *c, const struct before *b) {
    for (size_t i = 0; i < c->listener_count; i++) {
        struct listener *l = (struct listener *)(uintptr_t)&c->listeners[i];
        l->chain_pem = b->listeners[i].chain_pem;
        l->key_pem = b->listeners[i].key_pem;
    }
    for (size_t i = 0; i < c->certificate_count; i++) {
        struct certificate *k = (struct certificate *)(uintptr_t)&c->certificates[i];
        k->chain_pem = b->certificates[i].chain_pem;
        k->key_pem = b->certificates[i].key_pem;
    }
}

static enum rc read_all(struct config *c, struct arena *a, struct why *why) {
    struct tls_pair made;
    enum rc rc = OK;
    for (size_t i = 0; i < c->listener_count && rc == OK; i++) {
        struct listener *l = (struct listener *)(uintptr_t)&c->listeners[i];
        if (l->certificate.len)
            rc = read_pair(l->certificate, l->key, a, &l->chain_pem, &l->key_pem, why);
    }
    for (size_t i = 0; i < c->certificate_count && rc == OK; i++) {
        struct certificate *k = (struct certificate *)(uintptr_t)&c->certificates[i];
        rc = read_pair(k->chain, k->key, a, &k->chain_pem, &k->key_pem, why);
    }
    if (rc == OK && any_uses_made(c)) {
        rc = read_made(c, a, &made, why);
        if (rc == OK)
            set_made(c, &made);
    }
    return rc == OK ? prove(c, why) : rc;
}

/* A change that cannot be used is told once, and only when the next look finds it unmended. */
static enum rc fail(struct certificates *w, uint64_t stamp) {
    bool again = w->failed == stamp;
    bool tell = again && !w->told;
    w->told = again;
    w->failed = stamp;
    return tell ? PERM : MORE;
}

enum rc certificates_look(struct certificates *w, struct config *c, struct why *why) {
    uint64_t stamp = stamp_of(c);
    if (stamp == w->stamp) {
        w->failed = 0;
        return MORE;
    }
    struct arena *fresh = arena_open();
    struct before before = remember(c, fresh);
    if (read_all(c, fresh, why) != OK) {
        put_back(c, &before);
        arena_close(&fresh);
        return fail(w, stamp);
    }
    arena_close(&w->arena);
    w->arena = fresh;
    w->stamp = stamp;
    w->failed = 0;
    return OK;
}

struct certificates *certificates_open(void) {
    struct certificates *w = calloc(1, sizeof(*w));
    MUST(w);
    return w;
}

void certificates_read(struct certificates *w, const struct config *c) {
    arena_close(&w->arena);
    w->stamp = stamp_of(c);
    w->failed = 0;
    w->told = false;
}

void certificates_close(struct certificates **w) {
    if (*w)
        arena_close(&(*w)->arena);
    free(*w);
    *w = NULL;
}
