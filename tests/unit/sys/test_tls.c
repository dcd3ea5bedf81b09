/* TLS without sockets: certificates made and checked, and two engines, or an engine and OpenSSL's
 * own client, that hand their octets to each other. */
#include "authority_lab.h"
#include "base/must.h"
#include "sys/random.h"
#include "sys/tls_engine.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static struct arena *arena;
static struct tls_pair pairs[4];    /* the default, box.example, *.wild.example, [127.0.0.1] */
static struct tls_client *trusting; /* knows these as roots */
#define TICKET B("0123456789abcdef0123456789abcdef0123456789abcdef")

static int64_t wall(void) {
    return (int64_t)time(NULL) * 1000;
}

static int make_pairs(void **state) {
    static const char *names[] = { "mail.example", "box.example", "*.wild.example", "127.0.0.1" };
    struct why why;
    (void)state;
    arena = arena_open();
    char *roots = arena_alloc(arena, 16384);
    for (int i = 0; i < 4; i++) {
        struct bytes name = bytes_str(names[i]);
        if (tls_make_pair(name, wall(), arena, &pairs[i].chain_pem, &pairs[i].key_pem, &why) != OK)
            return -1;
        pairs[i].name = i ? name : BYTES_NONE;
        strncat(roots, pairs[i].chain_pem.at, pairs[i].chain_pem.len);
    }
    return tls_client_open(bytes_str(roots), &trusting, &why) == OK ? 0 : -1;
}

static int free_pairs(void **state) {
    (void)state;
    tls_client_close(&trusting);
    arena_close(&arena);
    return 0;
}

static struct tls_server *server(int minimum, struct bytes key) {
    struct tls_server *t;
    struct why why;
    assert_int_equal(tls_server_open(pairs, 4, minimum, key, &t, &why), OK);
    return t;
}

/* --- certificates --------------------------------------------------------------------------------- */

static void pair_is_good(void **state) {
    (void)state;
    int64_t end;
    bool name_ok;
    struct why why;
    assert_int_equal(tls_pair_check(pairs[0], B("mail.example"), &end, &name_ok, &why), OK);
    assert_true(name_ok);
    assert_true(end > wall() + 3649 * INT64_C(86400000) && end < wall() + 3651 * INT64_C(86400000));
    assert_int_equal(tls_pair_check(pairs[0], B("other.example"), &end, &name_ok, &why), OK);
    assert_false(name_ok);
    assert_int_equal(tls_pair_check(pairs[3], B("[127.0.0.1]"), &end, &name_ok, &why), OK);
    assert_true(name_ok);
}

static void keys_are_named(void **state) {
    (void)state;
    struct bytes one, again, other;
    struct why why;
    assert_int_equal(tls_certificate_spki(pairs[0].chain_pem, arena, &one, &why), OK);
    assert_int_equal(tls_certificate_spki(pairs[0].chain_pem, arena, &again, &why), OK);
    assert_int_equal(tls_certificate_spki(pairs[1].chain_pem, arena, &other, &why), OK);
    assert_int_equal(one.len, 32);
    assert_true(bytes_equal(one, again) && !bytes_equal(one, other));
    assert_int_equal(tls_certificate_spki(pairs[0].key_pem, arena, &one, &why), PERM);
    assert_int_equal(tls_certificate_spki(B("/nowhere.pem"), arena, &one, &why), PERM);
    assert_string_equal(why.reason, "files.missing");
}

static void bad_pairs_are_told(void **state) {
    (void)state;
    struct tls_server *t;
    struct why why;
    struct tls_pair mixed = { .chain_pem = pairs[0].chain_pem, .key_pem = pairs[1].key_pem };
    assert_int_equal(tls_server_open(&mixed, 1, 12, BYTES_NONE, &t, &why), PERM);
    assert_null(t);
    assert_string_equal(why.reason, "tls.certificate");
    struct tls_pair junk = { .chain_pem = B("-----BEGIN CERTIFICATE-----\nAAAA\n"),
                             .key_pem = pairs[0].key_pem };
    assert_int_equal(tls_server_open(&junk, 1, 12, BYTES_NONE, &t, &why), PERM);
    junk = (struct tls_pair){ .chain_pem = B("/nonexistent.pem"), .key_pem = B("/none.key") };
    assert_int_equal(tls_server_open(&junk, 1, 12, BYTES_NONE, &t, &why), PERM);
    assert_non_null(strstr(why.text, "/nonexistent.pem"));
    /* A broken certificate behind a good one. */
    junk.chain_pem =
        arena_printf(arena, "%s-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n",
                     pairs[0].chain_pem.at);
    junk.key_pem = pairs[0].key_pem;
    assert_int_equal(tls_server_open(&junk, 1, 12, BYTES_NONE, &t, &why), PERM);
    struct tls_client *c;
    assert_int_equal(tls_client_open(B("-----BEGIN NOTHING-----"), &c, &why), PERM);
    assert_int_equal(tls_client_open(B("/nonexistent.pem"), &c, &why), PERM);
    assert_int_equal(tls_make_pair(BYTES_NONE, wall(), arena, &junk.chain_pem, &junk.key_pem, &why),
                     PERM);
}

/* --- two engines ---------------------------------------------------------------------------------- */

struct side {
    struct tls_engine *engine;
    struct buf out, got;
    enum engine_step last;
    bool secured;
    struct why why;
};

static struct side side(struct tls_engine *e) {
    struct side s = { .engine = e, .out = buf_grow(1 << 24), .got = buf_grow(1 << 24) };
    tls_engine_start(e, &s.out);
    return s;
}

static void side_free(struct side *s) {
    tls_engine_close(&s->engine);
    buf_free(&s->out);
    buf_free(&s->got);
}

/* Gives `to` what `from` has sent, in pieces of at most `piece` octets. */
static void carry(struct side *from, struct side *to, size_t piece) {
    struct buf sent = from->out;
    struct buf plain = buf_grow(65536);
    struct bytes rest = buf_bytes(&sent);
    from->out = buf_grow(1 << 24);
    while (rest.len > 0 && to->last != ENGINE_FAILED && to->last != ENGINE_ENDED) {
        struct bytes part = bytes_first(rest, piece);
        rest = bytes_skip(rest, part.len);
        tls_engine_feed(to->engine, part);
        do {
            to->last = tls_engine_read(to->engine, &plain, &to->out, &to->why);
            to->secured |= to->last == ENGINE_SECURED;
            buf_add(&to->got, buf_bytes(&plain));
            buf_clear(&plain);
        } while (to->last == ENGINE_SECURED || to->last == ENGINE_DATA);
    }
    buf_free(&plain);
    buf_free(&sent);
}

static void talk(struct side *a, struct side *b, size_t piece) {
    for (int i = 0; i < 20 && (a->out.len || b->out.len); i++) {
        carry(a, b, piece);
        carry(b, a, piece);
    }
}

static void connect_sides(struct tls_server *t, struct tls_client *c, struct tls_want want,
                          struct side *server_out, struct side *client_out) {
    *server_out = side(tls_engine_server(t, false));
    *client_out = side(tls_engine_client(c, &want));
    talk(client_out, server_out, 1 << 20);
}

static void engines_agree(void **state) {
    (void)state;
    struct tls_server *t = server(12, BYTES_NONE);
    for (size_t piece = 1; piece < 20000; piece = piece * 7 + 1) {
        const struct tls_want want = { .name = B("box.example"), .verify = true };
        struct side s = side(tls_engine_server(t, false));
        struct side c = side(tls_engine_client(trusting, &want));
        talk(&c, &s, piece);
        assert_true(s.secured && c.secured);
        const struct tls_info *si = tls_engine_info(s.engine), *ci = tls_engine_info(c.engine);
        assert_int_equal(si->version, 13);
        assert_true(bytes_equal(si->protocol, B("TLSv1.3")));
        assert_true(si->cipher.len > 0 && bytes_equal(si->cipher, ci->cipher));
        assert_true(bytes_equal(si->sni, B("box.example")));
        assert_int_equal(si->exporter.len, 32);
        assert_true(bytes_equal(si->exporter, ci->exporter));
        assert_int_equal(si->unique.len, 0);
        assert_int_equal(si->peer_spki.len, 0);
        assert_false(si->peer_trusted);
        assert_int_equal(ci->peer_spki.len, 32);
        assert_true(ci->peer_trusted);
        assert_true(ci->peer_not_after > wall() + 3649 * INT64_C(86400000));
        assert_false(si->resumed);
        static char big[100000];
        random_octets(big, sizeof big);
        assert_true(tls_engine_write(c.engine, B("EHLO x\r\n"), &c.out));
        assert_true(tls_engine_write(s.engine, bytes_of(big, sizeof big), &s.out));
        talk(&c, &s, piece);
        assert_true(bytes_equal(buf_bytes(&s.got), B("EHLO x\r\n")));
        assert_true(bytes_equal(buf_bytes(&c.got), bytes_of(big, sizeof big)));
        tls_engine_shutdown(s.engine, &s.out);
        talk(&c, &s, piece);
        assert_int_equal(c.last, ENGINE_ENDED);
        side_free(&s);
        side_free(&c);
    }
    tls_server_close(&t);
}

static struct bytes name_of_peer(struct tls_server *t, struct bytes sni) {
    struct side s, c;
    connect_sides(t, trusting, (struct tls_want){ .name = sni }, &s, &c);
    assert_true(c.secured);
    struct bytes spki = arena_copy(arena, tls_engine_info(c.engine)->peer_spki);
    side_free(&s);
    side_free(&c);
    return spki;
}

static void server_name_picks(void **state) {
    (void)state;
    struct tls_server *t = server(12, BYTES_NONE);
    struct bytes standard = name_of_peer(t, B("mail.example"));
    struct bytes box = name_of_peer(t, B("BOX.example."));
    struct bytes wild = name_of_peer(t, B("a.wild.example"));
    assert_false(bytes_equal(standard, box) || bytes_equal(box, wild));
    assert_true(bytes_equal(standard, name_of_peer(t, B("stranger.example"))));
    assert_true(bytes_equal(standard, name_of_peer(t, B("a.b.wild.example"))));
    assert_true(bytes_equal(standard, name_of_peer(t, B("wild.example"))));
    assert_true(bytes_equal(standard, name_of_peer(t, B("127.0.0.1")))); /* no server name */
    tls_server_close(&t);
}

static void verification_holds(void **state) {
    (void)state;
    struct tls_server *t = server(12, BYTES_NONE);
    struct tls_client *system;
    struct why why;
    struct side s, c;
    assert_int_equal(tls_client_open(BYTES_NONE, &system, &why), OK);
    /* The wrong name. */
    connect_sides(t, trusting, (struct tls_want){ .name = B("x.example"), .verify = true }, &s, &c);
    assert_int_equal(c.last, ENGINE_FAILED);
    assert_string_equal(c.why.reason, "tls.verify");
    assert_int_equal(s.last, ENGINE_FAILED); /* it was told by an alert */
    side_free(&s);
    side_free(&c);
    /* Unknown roots. */
    connect_sides(t, system, (struct tls_want){ .name = B("box.example"), .verify = true }, &s, &c);
    assert_string_equal(c.why.reason, "tls.verify");
    assert_non_null(strstr(c.why.text, "self"));
    side_free(&s);
    side_free(&c);
    /* Opportunistic: goes on, and says what is wrong. */
    connect_sides(t, system, (struct tls_want){ .name = B("box.example") }, &s, &c);
    assert_true(c.secured && !tls_engine_info(c.engine)->peer_trusted);
    assert_true(tls_engine_info(c.engine)->peer_error.len > 0);
    side_free(&s);
    side_free(&c);
    connect_sides(t, trusting, (struct tls_want){ .name = B("x.example") }, &s, &c);
    assert_false(tls_engine_info(c.engine)->peer_trusted);
    side_free(&s);
    side_free(&c);
    /* No name that could be verified. */
    connect_sides(t, trusting, (struct tls_want){ .name = bytes_of("a\0b", 3), .verify = true }, &s,
                  &c);
    assert_string_equal(c.why.reason, "tls.verify");
    side_free(&s);
    side_free(&c);
    tls_client_close(&system);
    tls_server_close(&t);
}

static void plain_text_is_recognised(void **state) {
    (void)state;
    struct tls_server *t = server(12, BYTES_NONE);
    struct side s = side(tls_engine_server(t, false));
    struct side c = { .out = buf_grow(100), .got = buf_grow(100) };
    buf_str(&c.out, "EHLO client.example\r\n");
    carry(&c, &s, 100);
    assert_int_equal(s.last, ENGINE_FAILED);
    assert_string_equal(s.why.reason, "tls.wrong-port");
    assert_int_equal(s.why.status.klass, 4);
    side_free(&s);
    buf_free(&c.out);
    /* A record that is none. */
    s = side(tls_engine_server(t, false));
    c.out = buf_grow(100);
    buf_add(&c.out, bytes_of("\x16\x03\x01\x00\x05zzzzz", 10));
    carry(&c, &s, 3);
    assert_int_equal(s.last, ENGINE_FAILED);
    assert_string_equal(s.why.reason, "tls.handshake");
    assert_true(s.out.len > 0); /* an alert */
    side_free(&s);
    buf_free(&c.out);
    buf_free(&c.got);
    tls_server_close(&t);
}

static void broken_record_ends_it(void **state) {
    (void)state;
    struct tls_server *t = server(12, BYTES_NONE);
    struct side s, c;
    connect_sides(t, trusting, (struct tls_want){ .name = B("box.example") }, &s, &c);
    assert_true(tls_engine_write(c.engine, B("QUIT\r\n"), &c.out));
    c.out.at[c.out.len - 1] ^= 1;
    carry(&c, &s, 100);
    assert_int_equal(s.last, ENGINE_FAILED);
    assert_string_equal(s.why.reason, "tls.broken");
    assert_false(tls_engine_write(s.engine, B("x"), &s.out));
    side_free(&s);
    side_free(&c);
    tls_server_close(&t);
}

static void full_buffer_is_no_success(void **state) {
    (void)state;
    struct tls_server *t = server(12, BYTES_NONE);
    struct side s, c;
    char room[64];
    struct buf small = buf_fixed(room, sizeof room);
    connect_sides(t, trusting, (struct tls_want){ .name = B("box.example") }, &s, &c);
    assert_false(tls_engine_write(c.engine, bytes_of(room, 60), &small));
    side_free(&s);
    side_free(&c);
    tls_server_close(&t);
}

/* --- against OpenSSL's own client ------------------------------------------------------------- */

struct raw {
    SSL_CTX *ctx;
    SSL_SESSION *session;
    SSL *ssl;
    BIO *in, *out;
};

static int keep_session(SSL *ssl, SSL_SESSION *session) {
    struct raw *r = SSL_get_app_data(ssl);
    SSL_SESSION_free(r->session);
    r->session = session;
    return 1;
}

static struct raw raw_open(int version, const struct tls_pair *own) {
    struct raw r = { .ctx = SSL_CTX_new(TLS_client_method()) };
    SSL_CTX_set_min_proto_version(r.ctx, version);
    SSL_CTX_set_max_proto_version(r.ctx, version);
    SSL_CTX_set_session_cache_mode(r.ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(r.ctx, keep_session);
    if (own) {
        BIO *b = BIO_new_mem_buf(own->chain_pem.at, (int)own->chain_pem.len);
        X509 *cert = PEM_read_bio_X509(b, NULL, NULL, NULL), *more;
        assert_int_equal(SSL_CTX_use_certificate(r.ctx, cert), 1);
        while ((more = PEM_read_bio_X509(b, NULL, NULL, NULL)))
            SSL_CTX_add0_chain_cert(r.ctx, more);
        ERR_clear_error();
        BIO_free(b);
        b = BIO_new_mem_buf(own->key_pem.at, (int)own->key_pem.len);
        EVP_PKEY *key = PEM_read_bio_PrivateKey(b, NULL, NULL, NULL);
        BIO_free(b);
        assert_int_equal(SSL_CTX_use_PrivateKey(r.ctx, key), 1);
        X509_free(cert);
        EVP_PKEY_free(key);
    }
    return r;
}

static void raw_begin(struct raw *r) {
    r->ssl = SSL_new(r->ctx);
    r->in = BIO_new(BIO_s_mem());
    r->out = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(r->in, -1);
    SSL_set_bio(r->ssl, r->in, r->out);
    SSL_set_app_data(r->ssl, r);
    if (r->session)
        SSL_set_session(r->ssl, r->session);
    SSL_set_connect_state(r->ssl);
}

/* Without a shutdown OpenSSL takes the session for broken. */
static void raw_end(struct raw *r) {
    SSL_set_shutdown(r->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(r->ssl);
}

static void raw_close(struct raw *r) {
    SSL_SESSION_free(r->session);
    SSL_CTX_free(r->ctx);
}

/* A whole handshake; *server_out is left to the caller. */
static void raw_connect(struct raw *r, struct tls_server *t, bool ask, struct side *server_out) {
    struct side c = { .out = buf_grow(1 << 20), .got = buf_grow(1) };
    raw_begin(r);
    *server_out = side(tls_engine_server(t, ask));
    for (int i = 0; i < 10; i++) {
        char *at, junk[16];
        SSL_do_handshake(r->ssl);
        SSL_read(r->ssl, junk, sizeof junk); /* takes the tickets in */
        long size = BIO_get_mem_data(r->out, &at);
        buf_add(&c.out, bytes_of(at, (size_t)size));
        (void)BIO_reset(r->out);
        carry(&c, server_out, 1 << 20);
        BIO_write(r->in, server_out->out.at, (int)server_out->out.len);
        buf_clear(&server_out->out);
    }
    ERR_clear_error();
    buf_free(&c.out);
    buf_free(&c.got);
}

static void resumes(int version) {
    struct tls_server *first = server(12, TICKET), *second = server(12, TICKET),
                      *stranger = server(12, BYTES_NONE);
    struct raw r = raw_open(version, NULL);
    struct side s;
    raw_connect(&r, first, false, &s);
    assert_true(s.secured && !tls_engine_info(s.engine)->resumed);
    assert_non_null(r.session);
    raw_end(&r);
    side_free(&s);
    /* Another worker has the same ticket key. */
    raw_connect(&r, second, false, &s);
    assert_true(s.secured && tls_engine_info(s.engine)->resumed);
    assert_int_equal(tls_engine_info(s.engine)->exporter.len, 32);
    if (version == TLS1_2_VERSION) {
        /* In a resumed session the server's Finished is the first (RFC 5929 section 3.1). */
        unsigned char unique[64];
        size_t size = SSL_get_peer_finished(r.ssl, unique, sizeof unique);
        assert_true(bytes_equal(tls_engine_info(s.engine)->unique, bytes_of(unique, size)));
    }
    raw_end(&r);
    side_free(&s);
    raw_connect(&r, stranger, false, &s);
    assert_true(s.secured && !tls_engine_info(s.engine)->resumed);
    raw_end(&r);
    side_free(&s);
    raw_close(&r);
    tls_server_close(&first);
    tls_server_close(&second);
    tls_server_close(&stranger);
}

static void tickets_are_shared(void **state) {
    (void)state;
    resumes(TLS1_2_VERSION);
    resumes(TLS1_3_VERSION);
}

static void bindings_match(void **state) {
    (void)state;
    static const char label[] = "EXPORTER-Channel-Binding";
    unsigned char octets[64];
    struct tls_server *t = server(12, BYTES_NONE);
    struct raw r = raw_open(TLS1_2_VERSION, NULL);
    struct side s;
    raw_connect(&r, t, false, &s);
    const struct tls_info *info = tls_engine_info(s.engine);
    assert_int_equal(info->version, 12);
    size_t size = SSL_get_finished(r.ssl, octets, sizeof octets);
    assert_true(size > 0 && bytes_equal(info->unique, bytes_of(octets, size)));
    assert_int_equal(
        SSL_export_keying_material(r.ssl, octets, 32, label, sizeof label - 1, NULL, 0, 0), 1);
    assert_true(bytes_equal(info->exporter, bytes_of(octets, 32)));
    raw_end(&r);
    side_free(&s);
    raw_close(&r);
    tls_server_close(&t);
}

static void minimum_is_kept(void **state) {
    (void)state;
    struct tls_server *t = server(13, BYTES_NONE);
    struct raw r = raw_open(TLS1_2_VERSION, NULL);
    struct side s;
    raw_connect(&r, t, false, &s);
    assert_int_equal(s.last, ENGINE_FAILED);
    assert_string_equal(s.why.reason, "tls.handshake");
    raw_end(&r);
    side_free(&s);
    raw_close(&r);
    tls_server_close(&t);
}

static void client_certificate_is_named(int version) {
    struct tls_server *t = server(12, TICKET);
    struct raw r = raw_open(version, &pairs[1]);
    struct side s;
    unsigned char spki[32], *der = NULL;
    raw_connect(&r, t, true, &s);
    assert_true(s.secured);
    const struct tls_info *info = tls_engine_info(s.engine);
    int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(SSL_get_certificate(r.ssl)), &der);
    EVP_Digest(der, (size_t)size, spki, NULL, EVP_sha256(), NULL);
    OPENSSL_free(der);
    assert_true(bytes_equal(info->peer_spki, bytes_of(spki, 32)));
    assert_false(info->peer_trusted);
    assert_true(info->peer_error.len > 0);
    raw_end(&r);
    side_free(&s);
    raw_connect(&r, t, true, &s); /* the ticket remembers it */
    assert_true(tls_engine_info(s.engine)->resumed);
    assert_true(bytes_equal(tls_engine_info(s.engine)->peer_spki, bytes_of(spki, 32)));
    raw_end(&r);
    side_free(&s);
    raw_close(&r);
    /* Asked, but none given: fine. */
    r = raw_open(version, NULL);
    raw_connect(&r, t, true, &s);
    assert_true(s.secured && tls_engine_info(s.engine)->peer_spki.len == 0);
    raw_end(&r);
    side_free(&s);
    raw_close(&r);
    tls_server_close(&t);
}

static void client_certificates(void **state) {
    (void)state;
    client_certificate_is_named(TLS1_2_VERSION);
    client_certificate_is_named(TLS1_3_VERSION);
}

/* --- what authorities say of clients -------------------------------------------------------------- */

enum { HOUR = 3600 };
static struct lab_pair root, middle, other_root;
static struct bytes root_pem, other_pem;

static void make_authorities(void) {
    if (root_pem.len)
        return;
    root = lab_issue("root", &(struct lab_wish){ .authority = true, .from = -HOUR, .until = HOUR });
    other_root =
        lab_issue("root", &(struct lab_wish){ .authority = true, .from = -HOUR, .until = HOUR });
    middle = lab_issue(
        "middle",
        &(struct lab_wish){ .issuer = &root, .authority = true, .from = -HOUR, .until = HOUR / 2 });
    root_pem = lab_pem(arena, (const struct lab_pair *const[]){ &root }, 1).chain_pem;
    other_pem = lab_pem(arena, (const struct lab_pair *const[]){ &other_root }, 1).chain_pem;
}

static struct tls_pair leaf(struct lab_wish wish) {
    make_authorities();
    wish.issuer = wish.issuer ? wish.issuer : &middle;
    wish.names = wish.names ? wish.names : "DNS:GW.adatum.com,email:ops@adatum.com,DNS:b.example";
    wish.until = wish.until ? wish.until : HOUR / 4;
    wish.from = wish.from ? wish.from : -HOUR;
    struct lab_pair p = lab_issue("gw", &wish);
    struct tls_pair pem = lab_pem(arena, (const struct lab_pair *const[]){ &p, &middle }, 2);
    lab_free(&p);
    return pem;
}

static struct tls_server *asking(const struct tls_authority *list, size_t count) {
    struct tls_server *t = server(12, TICKET);
    struct why why;
    assert_int_equal(tls_server_trust(t, list, count, &why), OK);
    return t;
}

static const struct tls_vouch *vouch_of(const struct side *s, const char *name) {
    const struct tls_info *info = tls_engine_info(s->engine);
    for (size_t i = 0; i < info->vouch_count; i++)
        if (bytes_equal(info->vouches[i].authority, bytes_str(name)))
            return &info->vouches[i];
    return NULL;
}

static void is_vouched_for(int version) {
    struct tls_pair own = leaf((struct lab_wish){ 0 });
    struct tls_authority list[] = { { B("other"), other_pem }, { B("root"), root_pem } };
    struct tls_server *t = asking(list, 2), *without = asking(list, 1), *second = asking(list, 2);
    struct raw r = raw_open(version, &own);
    struct side s;
    raw_connect(&r, t, true, &s);
    const struct tls_info *info = tls_engine_info(s.engine);
    assert_int_equal(info->vouch_count, 2);
    assert_true(vouch_of(&s, "root")->vouches);
    assert_false(vouch_of(&s, "other")->vouches); /* of the same name, with another key */
    assert_true(vouch_of(&s, "other")->because.len > 0);
    assert_int_equal(info->peer_name_count, 3);
    assert_true(bytes_equal(info->peer_names[0], B("gw.adatum.com")));
    assert_true(bytes_equal(info->peer_names[1], B("ops@adatum.com")));
    raw_end(&r);
    side_free(&s);
    /* Another worker, and then once more: each ticket hands on what the one before said. */
    for (int i = 0; i < 3; i++) {
        raw_connect(&r, i == 1 ? t : second, true, &s);
        assert_true(tls_engine_info(s.engine)->resumed);
        assert_true(vouch_of(&s, "root")->vouches);
        assert_false(vouch_of(&s, "other")->vouches);
        assert_int_equal(tls_engine_info(s.engine)->peer_name_count, 3);
        raw_end(&r);
        side_free(&s);
    }
    /* An authority that is no longer asked is not believed because a ticket knows it. */
    raw_connect(&r, without, true, &s);
    assert_true(tls_engine_info(s.engine)->resumed);
    assert_null(vouch_of(&s, "root"));
    raw_end(&r);
    side_free(&s);
    raw_close(&r);
    tls_server_close(&t);
    tls_server_close(&without);
    tls_server_close(&second);
}

static void authorities_vouch(void **state) {
    (void)state;
    is_vouched_for(TLS1_2_VERSION);
    is_vouched_for(TLS1_3_VERSION);
}

/* Began where nobody asked: the client gets the chance to show its certificate. */
static void session_without_a_question(int version) {
    struct tls_pair own = leaf((struct lab_wish){ 0 });
    struct tls_server *t = asking(&(struct tls_authority){ B("root"), root_pem }, 1);
    struct raw r = raw_open(version, &own);
    struct side s;
    raw_connect(&r, t, false, &s);
    assert_int_equal(tls_engine_info(s.engine)->peer_spki.len, 0);
    raw_end(&r);
    side_free(&s);
    raw_connect(&r, t, true, &s);
    assert_false(tls_engine_info(s.engine)->resumed);
    assert_true(vouch_of(&s, "root")->vouches);
    raw_end(&r);
    side_free(&s);
    raw_close(&r);
    tls_server_close(&t);
}

static void tickets_do_not_hide_certificates(void **state) {
    (void)state;
    session_without_a_question(TLS1_2_VERSION);
    session_without_a_question(TLS1_3_VERSION);
}

static bool file_vouches(struct lab_wish wish, const char *because) {
    struct tls_certificate read;
    struct why why;
    struct tls_pair own = leaf(wish);
    assert_int_equal(tls_certificate_read(own.chain_pem, arena, &read, &why), OK);
    bool fine = tls_certificate_vouched(&read, root_pem, &why) == OK;
    if (!fine && !strstr(why.text, because))
        fail_msg("%s instead of %s", why.text, because);
    return fine;
}

static void chains_are_looked_at(void **state) {
    (void)state;
    make_authorities();
    assert_true(file_vouches((struct lab_wish){ 0 }, ""));
    assert_true(file_vouches((struct lab_wish){ .usage = "clientAuth" }, ""));
    assert_true(file_vouches((struct lab_wish){ .usage = "serverAuth" }, ""));
    assert_false(file_vouches((struct lab_wish){ .usage = "codeSigning" }, "purpose"));
    assert_false(file_vouches((struct lab_wish){ .from = -HOUR, .until = -60 }, "expired"));
    assert_false(file_vouches((struct lab_wish){ .from = 60, .until = HOUR }, "not yet valid"));
    assert_false(file_vouches((struct lab_wish){ .issuer = &other_root }, "signature"));
    /* Not an authority itself, and signing all the same. */
    struct lab_pair end =
        lab_issue("end", &(struct lab_wish){ .issuer = &root, .from = -HOUR, .until = HOUR });
    struct lab_pair below =
        lab_issue("below", &(struct lab_wish){ .issuer = &end, .from = -HOUR, .until = HOUR });
    struct tls_certificate read;
    struct why why;
    struct tls_pair pem = lab_pem(arena, (const struct lab_pair *const[]){ &below, &end }, 2);
    assert_int_equal(tls_certificate_read(pem.chain_pem, arena, &read, &why), OK);
    assert_int_equal(tls_certificate_vouched(&read, root_pem, &why), PERM);
    assert_int_equal(tls_certificate_vouched(&read, B("no certificate"), &why), PERM);
    assert_string_equal(why.reason, "tls.roots");
    lab_free(&end);
    lab_free(&below);
}

/* No name but what every reader reads alike. */
static void odd_names_are_left_out(void **state) {
    (void)state;
    struct tls_certificate read;
    struct why why;
    struct tls_pair own = leaf((struct lab_wish){ .names = "IP:192.0.2.1,DNS:a b,URI:x:y,DNS:c" });
    assert_int_equal(tls_certificate_read(own.chain_pem, arena, &read, &why), OK);
    assert_int_equal(read.name_count, 1);
    assert_true(bytes_equal(read.names[0], B("c")));
}

static void bad_authorities_are_told(void **state) {
    (void)state;
    struct tls_server *t = server(12, BYTES_NONE);
    struct why why;
    assert_int_equal(
        tls_server_trust(t, &(struct tls_authority){ B("/ca.pem"), B("nothing") }, 1, &why), PERM);
    assert_non_null(strstr(why.text, "/ca.pem"));
    tls_server_close(&t);
    lab_free(&root);
    lab_free(&middle);
    lab_free(&other_root);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pair_is_good),
        cmocka_unit_test(keys_are_named),
        cmocka_unit_test(bad_pairs_are_told),
        cmocka_unit_test(engines_agree),
        cmocka_unit_test(server_name_picks),
        cmocka_unit_test(verification_holds),
        cmocka_unit_test(plain_text_is_recognised),
        cmocka_unit_test(broken_record_ends_it),
        cmocka_unit_test(full_buffer_is_no_success),
        cmocka_unit_test(tickets_are_shared),
        cmocka_unit_test(bindings_match),
        cmocka_unit_test(minimum_is_kept),
        cmocka_unit_test(client_certificates),
        cmocka_unit_test(authorities_vouch),
        cmocka_unit_test(tickets_do_not_hide_certificates),
        cmocka_unit_test(chains_are_looked_at),
        cmocka_unit_test(odd_names_are_left_out),
        cmocka_unit_test(bad_authorities_are_told),
    };
    alarm(100);
    return cmocka_run_group_tests(tests, make_pairs, free_pairs);
}
