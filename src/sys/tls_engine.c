/* tls_engine: one TLS connection of OpenSSL between two memories. Its BIO reads straight from the
 * view that was fed and appends straight to the driver's buffer: nothing is copied in between and
 * nothing is kept while the connection is idle (SSL_MODE_RELEASE_BUFFERS lets go of OpenSSL's own
 * buffers). What the handshake came to is collected once. */
#include "sys/tls_engine.h"

#include "base/must.h"
#include "sys/tls_impl.h"

#include <openssl/err.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

enum {
    RECORD_MAX = 16 * 1024,
    HASH = TLS_SPKI,
    UNIQUE_MAX = 64,
    NAME_SIZE = 256,
    TYPE_HANDSHAKE = 22, /* RFC 8446 section 5.1 */
    TYPE_ALERT = 21,
};

struct tls_engine {
    SSL *ssl;
    struct bytes in;
    struct buf *out; /* while a call runs */
    struct details *details;
    struct tls_server *server; /* one of the two */
    struct tls_client *client;
    bool begun; /* the first octet was looked at */
    bool secured;
    bool failed;
    bool verify;   /* a client that insists */
    bool nameless; /* a client whose wanted name cannot be one */
    bool look;     /* a client that wants to know all about the certificates */
    char *wanted;  /* by that one: the name */
};

struct details {
    struct tls_info info;
    struct arena *arena; /* of names and vouches; NULL: there are none */
    unsigned char spki[HASH], exporter[HASH], unique[UNIQUE_MAX];
    char sni[];
};

/* --- the BIO -------------------------------------------------------------------------------------- */

static int bio_read(BIO *bio, char *into, int size) {
    struct tls_engine *e = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (e->in.len == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    struct bytes part = bytes_first(e->in, (size_t)size);
    memcpy(into, part.at, part.len);
    e->in = bytes_skip(e->in, part.len);
    return (int)part.len;
}

static int bio_write(BIO *bio, const char *from, int size) {
    struct tls_engine *e = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (!e->out)
        return -1;
    buf_add(e->out, bytes_of(from, (size_t)size));
    return e->out->full ? -1 : size;
}

static long bio_control(BIO *bio, int command, long number, void *pointer) {
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static int bio_create(BIO *bio) {
    BIO_set_init(bio, 1);
    return 1;
}

static BIO_METHOD *method;
static pthread_once_t method_once = PTHREAD_ONCE_INIT;

static void make_method(void) {
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "postern");
    MUST(method);
    BIO_meth_set_read(method, bio_read);
    BIO_meth_set_write(method, bio_write);
    BIO_meth_set_ctrl(method, bio_control);
    BIO_meth_set_create(method, bio_create);
}

/* --- making --------------------------------------------------------------------------------------- */

static struct tls_engine *make(SSL_CTX *ctx) {
    struct tls_engine *e = calloc(1, sizeof *e);
    MUST(e);
    pthread_once(&method_once, make_method);
    e->ssl = SSL_new(ctx);
    BIO *bio = BIO_new(method);
    MUST(e->ssl && bio);
    BIO_set_data(bio, e);
    SSL_set_bio(e->ssl, bio, bio);
    return e;
}

/* Any certificate will do for a client's: whom it grants something is known by its key. */
static int take_any(int fine, X509_STORE_CTX *store) {
    (void)fine;
    (void)store;
    return 1;
}

struct tls_engine *tls_engine_server(struct tls_server *t, bool ask_certificate) {
    struct tls_engine *e = make(t->names[0].ctx);
    e->server = t;
    t->uses++;
    if (ask_certificate) {
        /* A session that began where no certificate was asked for is none to go on with here. */
        static const unsigned char asked[] = "postern, certificate asked for";
        SSL_set_session_id_context(e->ssl, asked, sizeof asked - 1);
        SSL_set_verify(e->ssl, SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE, take_any);
    }
    SSL_set_accept_state(e->ssl);
    return e;
}

/* Server name and the name to verify; an address has no server name (RFC 6066 section 3). */
static bool want_name(SSL *ssl, struct bytes name) {
    char text[NAME_SIZE];
    if (tls_name_is_address(name, text))
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), text) > 0;
    if (name.len && name.at[name.len - 1] == '.')
        name.len--;
    if (name.len == 0 || name.len >= sizeof text || bytes_find(name, '\0') >= 0)
        return false;
    memcpy(text, name.at, name.len);
    text[name.len] = '\0';
    return SSL_set_tlsext_host_name(ssl, text) > 0 && SSL_set1_host(ssl, text) > 0;
}

static int version_of(int number) {
    static const int versions[] = { TLS1_VERSION, TLS1_1_VERSION, TLS1_2_VERSION, TLS1_3_VERSION };
    MUST(number >= 10 && number <= 13);
    return versions[number - 10];
}

/* Before TLS 1.2 all there is was signed with SHA-1 or MD5, which OpenSSL allows at its lowest level. */
static int level_for(const struct tls_want *want) {
    return want->minimum == 10 || want->minimum == 11 ? 0 : 1;
}

struct tls_engine *tls_engine_client(struct tls_client *t, const struct tls_want *want) {
    struct tls_engine *e = make(t->ctx);
    e->client = t;
    t->uses++;
    e->verify = want->verify;
    e->nameless = !want_name(e->ssl, want->name);
    e->look = want->look;
    if (want->look)
        e->wanted = strndup(want->name.at ? want->name.at : "", want->name.len);
    if (want->minimum)
        SSL_set_min_proto_version(e->ssl, version_of(want->minimum));
    if (want->maximum)
        SSL_set_max_proto_version(e->ssl, version_of(want->maximum));
    if (want->verify)
        SSL_set_verify(e->ssl, SSL_VERIFY_PEER, NULL);
    else
        SSL_set_security_level(e->ssl, level_for(want)); /* weak is better than plain (RFC 7435) */
    SSL_set_connect_state(e->ssl);
    ERR_clear_error();
    return e;
}

void tls_engine_close(struct tls_engine **e) {
    struct tls_engine *own = *e;
    if (!own)
        return;
    own->out = NULL;
    SSL_free(own->ssl);
    tls_server_close(&own->server);
    tls_client_close(&own->client);
    if (own->details)
        arena_close(&own->details->arena);
    free(own->details);
    free(own->wanted);
    free(own);
    *e = NULL;
}

/* --- what the handshake came to ---------------------------------------------------------------- */

/* Only a server is shown certificates whose names nobody has checked. */
static void note_client(struct tls_engine *e, struct details *d, X509 *peer) {
    d->arena = arena_open();
    d->info.peer_name_count = tls_names(peer, d->arena, &d->info.peer_names);
    d->info.vouch_count =
        tls_vouches(e->ssl, e->server, (int64_t)time(NULL) * 1000, d->arena, &d->info.vouches);
}

static void note_peer(struct tls_engine *e, struct details *d) {
    X509 *peer = SSL_get0_peer_certificate(e->ssl);
    if (!peer)
        return;
    if (tls_spki(peer, d->spki))
        d->info.peer_spki = bytes_of(d->spki, HASH);
    tls_not_after(peer, &d->info.peer_not_after);
    if (e->server)
        note_client(e, d, peer);
    if (e->look) {
        d->arena = arena_open();
        d->info.look =
            tls_look_at(e->ssl, bytes_str(e->wanted), (int64_t)time(NULL) * 1000, d->arena);
    }
    long result = SSL_get_verify_result(e->ssl);
    d->info.peer_trusted = result == X509_V_OK && !e->nameless;
    if (e->nameless)
        d->info.peer_error = B("no name to verify");
    else if (result != X509_V_OK)
        d->info.peer_error = bytes_str(X509_verify_cert_error_string(result));
}

/* RFC 9266 and RFC 5929. In TLS 1.2 both bind to the connection only with the extended master
 * secret (RFC 7627). The first Finished is the client's, in a resumed session the server's. */
static void note_bindings(struct tls_engine *e, struct details *d) {
    static const char label[] = "EXPORTER-Channel-Binding";
    if (d->info.version == 12 && SSL_get_extms_support(e->ssl) != 1)
        return;
    if (SSL_export_keying_material(e->ssl, d->exporter, HASH, label, sizeof label - 1, NULL, 0, 0) >
        0)
        d->info.exporter = bytes_of(d->exporter, HASH);
    if (d->info.version != 12)
        return;
    bool ours = (e->client != NULL) != d->info.resumed;
    size_t size = ours ? SSL_get_finished(e->ssl, d->unique, UNIQUE_MAX)
                       : SSL_get_peer_finished(e->ssl, d->unique, UNIQUE_MAX);
    d->info.unique = bytes_of(d->unique, size < UNIQUE_MAX ? size : UNIQUE_MAX);
}

static void note_details(struct tls_engine *e) {
    struct bytes sni = bytes_str(SSL_get_servername(e->ssl, TLSEXT_NAMETYPE_host_name));
    struct details *d = calloc(1, sizeof *d + sni.len + 1);
    MUST(d);
    if (sni.len)
        memcpy(d->sni, sni.at, sni.len);
    d->info.sni = bytes_of(d->sni, sni.len);
    d->info.version = SSL_version(e->ssl) >= TLS1_3_VERSION ? 13 : 12;
    d->info.protocol = bytes_str(SSL_get_version(e->ssl));
    d->info.cipher = bytes_str(SSL_get_cipher_name(e->ssl));
    d->info.resumed = SSL_session_reused(e->ssl);
    note_peer(e, d);
    note_bindings(e, d);
    ERR_clear_error();
    e->details = d;
}

const struct tls_info *tls_engine_info(const struct tls_engine *e) {
    return e->details ? &e->details->info : NULL;
}

/* --- octets in ------------------------------------------------------------------------------------ */

void tls_engine_start(struct tls_engine *e, struct buf *out) {
    if (!e->client)
        return;
    e->out = out;
    SSL_do_handshake(e->ssl); /* says hello and wants more */
    e->out = NULL;
    ERR_clear_error();
}

void tls_engine_feed(struct tls_engine *e, struct bytes received) {
    MUST(e->in.len == 0);
    e->in = received;
}

struct bytes tls_engine_unread(struct tls_engine *e) {
    struct bytes rest = e->in;
    e->in = BYTES_NONE;
    return rest;
}

static enum engine_step fail(struct tls_engine *e, const char *reason, const char *text,
                             struct why *why) {
    e->failed = true;
    why_set(why, TEMP, 0, "4.7.0", reason, "%s: %s",
            e->secured ? "TLS failed" : "TLS handshake failed", text);
    return ENGINE_FAILED;
}

static enum engine_step fail_handshake(struct tls_engine *e, struct why *why) {
    long result = SSL_get_verify_result(e->ssl);
    if (!e->verify || result == X509_V_OK)
        return fail(e, "tls.handshake", tls_complaint(), why);
    ERR_clear_error();
    return fail(e, "tls.verify", X509_verify_cert_error_string(result), why);
}

static enum engine_step shake_hands(struct tls_engine *e, struct why *why) {
    if (!e->begun && e->in.len && e->in.at[0] != TYPE_HANDSHAKE && e->in.at[0] != TYPE_ALERT)
        return fail(e, "tls.wrong-port", "what came is not TLS", why);
    e->begun = e->begun || e->in.len;
    int done = SSL_do_handshake(e->ssl);
    if (done != 1 && SSL_get_error(e->ssl, done) == SSL_ERROR_WANT_READ)
        return ENGINE_MORE;
    if (done != 1)
        return fail_handshake(e, why);
    if (e->verify && e->nameless)
        return fail(e, "tls.verify", "no name to verify", why);
    e->secured = true;
    note_details(e);
    return ENGINE_SECURED;
}

/* What to say once a read brought nothing. */
static enum engine_step after_read(struct tls_engine *e, int error, const struct buf *into,
                                   struct why *why) {
    if (into->len)
        return ENGINE_DATA; /* the rest is told by the next call */
    if (error == SSL_ERROR_WANT_READ)
        return ENGINE_MORE;
    if (error == SSL_ERROR_ZERO_RETURN)
        return ENGINE_ENDED;
    return fail(e, "tls.broken", tls_complaint(), why);
}

static enum engine_step decrypt(struct tls_engine *e, struct buf *into, struct why *why) {
    for (;;) {
        if (into->len && into->max - into->len < RECORD_MAX)
            return ENGINE_DATA;
        size_t got;
        char *at = buf_room(into, RECORD_MAX);
        MUST(at);
        int fine = SSL_read_ex(e->ssl, at, RECORD_MAX, &got);
        if (!fine)
            return after_read(e, SSL_get_error(e->ssl, fine), into, why);
        buf_wrote(into, got);
    }
}

enum engine_step tls_engine_read(struct tls_engine *e, struct buf *into, struct buf *out,
                                 struct why *why) {
    if (e->failed)
        return fail(e, "tls.broken", "it failed before", why);
    ERR_clear_error();
    e->out = out;
    enum engine_step step = e->secured ? decrypt(e, into, why) : shake_hands(e, why);
    e->out = NULL;
    return step;
}

/* --- octets out ----------------------------------------------------------------------------------- */

bool tls_engine_write(struct tls_engine *e, struct bytes plain, struct buf *out) {
    size_t wrote;
    MUST(e->secured);
    if (e->failed)
        return false;
    ERR_clear_error();
    e->out = out;
    e->failed = plain.len && SSL_write_ex(e->ssl, plain.at, plain.len, &wrote) <= 0;
    e->out = NULL;
    ERR_clear_error();
    return !e->failed;
}

void tls_engine_shutdown(struct tls_engine *e, struct buf *out) {
    if (e->failed || !e->secured)
        return;
    ERR_clear_error();
    e->out = out;
    SSL_shutdown(e->ssl);
    e->out = NULL;
    ERR_clear_error();
}
