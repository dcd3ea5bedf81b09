/* tls: what OpenSSL keeps for many connections: certificates, keys, roots, ticket keys; and making
 * and checking certificates. One SSL_CTX for each name a listener answers to; ClientHello's server
 * name picks it. Sessions live in tickets only, so any worker resumes what another began, and an
 * idle connection leaves nothing in a cache. */
#include "sys/tls.h"

#include "base/addr.h"
#include "base/must.h"
#include "sys/files.h"
#include "sys/tls_impl.h"

#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

enum {
    PEM_LIMIT = 1024 * 1024,
    TICKET_KEY = 48,
    TICKET_KEYS = 80, /* OpenSSL: 16 for the name, 32 to authenticate, 32 to encrypt */
    VALID_DAYS = 3650,
    COMMON_NAME_MAX = 64, /* X.520 */
};

const char *tls_complaint(void) {
    unsigned long error = ERR_peek_last_error();
    const char *text = error ? ERR_reason_error_string(error) : NULL;
    ERR_clear_error();
    return text ? text : "unknown error";
}

bool tls_name_is_address(struct bytes name, char out[64]) {
    struct addr a;
    if (name.len > 2 && name.at[0] == '[' && name.at[name.len - 1] == ']')
        name = bytes_slice(name, 1, name.len - 1);
    if (bytes_starts_nocase(name, B("IPv6:")))
        name = bytes_skip(name, 5);
    if (name.len >= 64 || !addr_parse(name, &a))
        return false;
    memcpy(out, name.at, name.len);
    out[name.len] = '\0';
    return true;
}

bool tls_spki(X509 *certificate, unsigned char out[TLS_SPKI]) {
    unsigned size = TLS_SPKI;
    unsigned char *der = NULL;
    int length = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
    bool fine = length > 0 && EVP_Digest(der, (size_t)length, out, &size, EVP_sha256(), NULL) > 0;
    OPENSSL_free(der);
    return fine;
}

bool tls_not_after(X509 *certificate, int64_t *wall_ms_out) {
    struct tm when;
    if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &when) <= 0)
        return false;
    *wall_ms_out = (int64_t)timegm(&when) * 1000;
    return true;
}

/* --- PEM ---------------------------------------------------------------------------------------- */

enum rc tls_pem_text(struct bytes pem, struct arena *a, struct bytes *out, struct why *why) {
    *out = pem;
    if (bytes_search(pem, B("-----BEGIN")) >= 0)
        return OK;
    return files_read(pem, PEM_LIMIT, a, out, why);
}

int tls_no_passphrase(char *into, int size, int writing, void *ctx) {
    (void)into;
    (void)size;
    (void)writing;
    (void)ctx;
    return -1;
}

static enum rc bad_pair(struct why *why, struct bytes name, const char *what) {
    const char *text = tls_complaint();
    return why_set(why, PERM, 0, NULL, "tls.certificate", "certificate%s%.*s: %s: %s",
                   name.len ? " of " : "", BYTES_FMT(name), what, text);
}

struct loaded {
    X509 *leaf;
    STACK_OF(X509) * rest;
    EVP_PKEY *key;
};

static void loaded_free(struct loaded *p) {
    X509_free(p->leaf);
    sk_X509_pop_free(p->rest, X509_free);
    EVP_PKEY_free(p->key);
    *p = (struct loaded){ 0 };
}

static bool read_chain(struct bytes pem, struct loaded *out) {
    BIO *bio = BIO_new_mem_buf(pem.at, (int)pem.len);
    X509 *cert;
    MUST(bio);
    out->rest = sk_X509_new_null();
    MUST(out->rest);
    out->leaf = PEM_read_bio_X509_AUX(bio, NULL, tls_no_passphrase, NULL);
    while (out->leaf && (cert = PEM_read_bio_X509(bio, NULL, tls_no_passphrase, NULL)))
        MUST(sk_X509_push(out->rest, cert) > 0);
    BIO_free(bio);
    if (!out->leaf)
        return false;
    /* The end of the text is told as an error too; any other is one. */
    unsigned long last = ERR_peek_last_error();
    bool fine = !last || ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
    if (fine)
        ERR_clear_error();
    return fine;
}

static bool read_key(struct bytes pem, struct loaded *out) {
    BIO *bio = BIO_new_mem_buf(pem.at, (int)pem.len);
    MUST(bio);
    out->key = PEM_read_bio_PrivateKey(bio, NULL, tls_no_passphrase, NULL);
    BIO_free(bio);
    return out->key != NULL;
}

static enum rc load_pair(const struct tls_pair *pair, struct loaded *out, struct why *why) {
    struct bytes chain, key;
    *out = (struct loaded){ 0 };
    struct arena *a = arena_open();
    enum rc rc = tls_pem_text(pair->chain_pem, a, &chain, why);
    if (rc == OK)
        rc = tls_pem_text(pair->key_pem, a, &key, why);
    ERR_clear_error();
    if (rc == OK && !read_chain(chain, out))
        rc = bad_pair(why, pair->name, "the chain cannot be read");
    if (rc == OK && !read_key(key, out))
        rc = bad_pair(why, pair->name, "the key cannot be read");
    if (rc == OK && X509_check_private_key(out->leaf, out->key) != 1)
        rc = bad_pair(why, pair->name, "the key does not belong to it");
    if (rc == OK && key.at != pair->key_pem.at)
        explicit_bzero((char *)(uintptr_t)key.at, key.len);
    arena_close(&a);
    if (rc != OK)
        loaded_free(out);
    return rc;
}

/* --- server -------------------------------------------------------------------------------------- */

static bool name_matches(struct bytes pattern, struct bytes name) {
    if (!bytes_starts(pattern, B("*.")))
        return pattern.len > 0 && bytes_equal_nocase(pattern, name);
    ptrdiff_t dot = bytes_find(name, '.');
    return dot > 0 && bytes_equal_nocase(bytes_skip(pattern, 1), bytes_skip(name, (size_t)dot));
}

/* An exact name before a wildcard; NULL for a name nobody listed. */
static SSL_CTX *find_name(const struct tls_server *t, struct bytes name) {
    SSL_CTX *wild = NULL;
    for (size_t i = 0; i < t->count; i++) {
        if (!name_matches(t->names[i].name, name))
            continue;
        if (!bytes_starts(t->names[i].name, B("*.")))
            return t->names[i].ctx;
        wild = t->names[i].ctx;
    }
    return wild;
}

static int on_server_name(SSL *ssl, int *alert, void *arg) {
    const struct tls_server *t = arg;
    struct bytes name = bytes_str(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));
    (void)alert;
    if (name.len == 0)
        return SSL_TLSEXT_ERR_NOACK;
    SSL_CTX *ctx = find_name(t, name);
    if (ctx)
        SSL_set_SSL_CTX(ssl, ctx);
    return SSL_TLSEXT_ERR_OK; /* others get the default certificate */
}

/* What every context of ours has, server or client. */
static void set_common(SSL_CTX *ctx, int minimum) {
    SSL_CTX_set_min_proto_version(ctx, minimum >= 13 ? TLS1_3_VERSION : TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
}

static bool set_ticket_key(SSL_CTX *ctx, struct bytes key) {
    static const char info[] = "postern session tickets";
    unsigned char keys[TICKET_KEYS];
    size_t size = sizeof keys;
    EVP_PKEY_CTX *kdf = EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, NULL);
    bool fine =
        kdf && EVP_PKEY_derive_init(kdf) > 0 && EVP_PKEY_CTX_set_hkdf_md(kdf, EVP_sha256()) > 0 &&
        EVP_PKEY_CTX_set1_hkdf_key(kdf, (const unsigned char *)key.at, (int)key.len) > 0 &&
        EVP_PKEY_CTX_add1_hkdf_info(kdf, (const unsigned char *)info, sizeof info - 1) > 0 &&
        EVP_PKEY_derive(kdf, keys, &size) > 0 &&
        SSL_CTX_set_tlsext_ticket_keys(ctx, keys, sizeof keys) > 0;
    EVP_PKEY_CTX_free(kdf);
    OPENSSL_cleanse(keys, sizeof keys);
    return fine;
}

static SSL_CTX *make_server_ctx(struct tls_server *t, int minimum, struct bytes ticket_key) {
    static const unsigned char session_context[] = "postern";
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    MUST(ctx);
    set_common(ctx, minimum);
    SSL_CTX_set_dh_auto(ctx, 1);
    SSL_CTX_set_num_tickets(ctx, 1);
    SSL_CTX_set_session_id_context(ctx, session_context, sizeof session_context - 1);
    SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
    SSL_CTX_set_tlsext_servername_arg(ctx, t);
    SSL_CTX_set_session_ticket_cb(ctx, tls_seal, NULL, t);
    if (ticket_key.len)
        MUST(set_ticket_key(ctx, ticket_key));
    return ctx;
}

static SSL_CTX *ctx_for(struct tls_server *t, struct bytes name, int minimum,
                        struct bytes ticket_key) {
    for (size_t i = 0; i < t->count; i++)
        if (bytes_equal_nocase(t->names[i].name, name))
            return t->names[i].ctx;
    SSL_CTX *ctx = make_server_ctx(t, minimum, ticket_key);
    t->names[t->count++] = (struct tls_named){ arena_lower(t->arena, name), ctx };
    return ctx;
}

/* Two pairs of one name, RSA and ECDSA, share a context; the client's abilities choose. */
static enum rc use_pair(SSL_CTX *ctx, const struct tls_pair *pair, struct why *why) {
    struct loaded p;
    enum rc rc = load_pair(pair, &p, why);
    if (rc != OK)
        return rc;
    bool fine = SSL_CTX_use_certificate(ctx, p.leaf) > 0 &&
                SSL_CTX_use_PrivateKey(ctx, p.key) > 0 && SSL_CTX_set1_chain(ctx, p.rest) > 0;
    if (!fine)
        rc = bad_pair(why, pair->name, "it cannot be used");
    loaded_free(&p);
    return rc;
}

enum rc tls_server_open(const struct tls_pair *pairs, size_t count, int minimum,
                        struct bytes ticket_key, struct tls_server **out, struct why *why) {
    MUST(count > 0 && (ticket_key.len == 0 || ticket_key.len == TICKET_KEY));
    struct arena *a = arena_open();
    struct tls_server *t = ARENA_NEW(a, struct tls_server);
    t->uses = 1;
    t->arena = a;
    t->names = ARENA_ARRAY(a, count, struct tls_named);
    size_t first = 0;
    while (first < count && pairs[first].name.len)
        first++;
    if (first == count)
        first = 0; /* no default: the first serves those who ask for nothing */
    enum rc rc = OK;
    for (size_t i = 0; i < count && rc == OK; i++) {
        const struct tls_pair *pair = &pairs[i == 0 ? first : i <= first ? i - 1 : i];
        rc = use_pair(ctx_for(t, pair->name, minimum, ticket_key), pair, why);
    }
    if (rc != OK)
        tls_server_close(&t);
    *out = t;
    return rc;
}

void tls_server_close(struct tls_server **t) {
    struct tls_server *own = *t;
    *t = NULL;
    if (!own || --own->uses > 0)
        return;
    for (size_t i = 0; i < own->count; i++)
        SSL_CTX_free(own->names[i].ctx);
    for (size_t i = 0; i < own->authority_count; i++)
        X509_STORE_free(own->authorities[i].store);
    struct arena *a = own->arena; /* own lies in it */
    arena_close(&a);
}

struct tls_server *tls_server_keep(struct tls_server *t) {
    if (t)
        t->uses++;
    return t;
}

/* --- client -------------------------------------------------------------------------------------- */

static enum rc load_roots(SSL_CTX *ctx, struct bytes ca_file, struct why *why) {
    struct arena *a = arena_open();
    struct bytes pem;
    X509 *cert;
    int found = 0;
    enum rc rc = tls_pem_text(ca_file, a, &pem, why);
    if (rc == OK) {
        BIO *bio = BIO_new_mem_buf(pem.at, (int)pem.len);
        MUST(bio);
        while ((cert = PEM_read_bio_X509_AUX(bio, NULL, tls_no_passphrase, NULL))) {
            found += X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), cert);
            X509_free(cert);
        }
        BIO_free(bio);
        if (!found)
            rc = why_set(why, PERM, 0, NULL, "tls.roots", "no certificate in %.*s",
                         bytes_equal(pem, ca_file) ? 8 : (int)ca_file.len,
                         bytes_equal(pem, ca_file) ? "the text" : ca_file.at);
    }
    ERR_clear_error();
    arena_close(&a);
    return rc;
}

enum rc tls_client_open(struct bytes ca_file, struct tls_client **out, struct why *why) {
    *out = NULL;
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    MUST(ctx);
    set_common(ctx, 12);
    enum rc rc = OK;
    if (ca_file.len)
        rc = load_roots(ctx, ca_file, why);
    else if (SSL_CTX_set_default_verify_paths(ctx) <= 0)
        rc = why_set(why, PERM, 0, NULL, "tls.roots", "the system's certificates: %s",
                     tls_complaint());
    if (rc != OK) {
        SSL_CTX_free(ctx);
        return rc;
    }
    struct tls_client *t = calloc(1, sizeof *t);
    MUST(t);
    t->uses = 1;
    t->ctx = ctx;
    *out = t;
    return OK;
}

enum rc tls_client_show(struct tls_client *t, const struct tls_pair *pair, struct why *why) {
    return use_pair(t->ctx, pair, why);
}

void tls_client_close(struct tls_client **t) {
    struct tls_client *own = *t;
    *t = NULL;
    if (!own || --own->uses > 0)
        return;
    SSL_CTX_free(own->ctx);
    free(own);
}

/* --- certificates -------------------------------------------------------------------------------- */

static bool add_alternative_name(X509 *cert, struct bytes hostname) {
    char address[64];
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    GENERAL_NAME *name = GENERAL_NAME_new();
    MUST(names && name);
    if (tls_name_is_address(hostname, address)) {
        GENERAL_NAME_set0_value(name, GEN_IPADD, a2i_IPADDRESS(address));
    } else {
        ASN1_IA5STRING *text = ASN1_IA5STRING_new();
        MUST(text && ASN1_STRING_set(text, hostname.at, (int)hostname.len));
        GENERAL_NAME_set0_value(name, GEN_DNS, text);
    }
    MUST(sk_GENERAL_NAME_push(names, name) > 0);
    bool fine = X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, 0) > 0;
    GENERAL_NAMES_free(names);
    return fine;
}

static bool set_serial(X509 *cert) {
    unsigned char octets[16];
    BIGNUM *number = NULL;
    bool fine = RAND_bytes(octets, sizeof octets) > 0;
    octets[0] = (octets[0] & 0x7f) | 0x40; /* positive, and always of the same length */
    fine = fine && (number = BN_bin2bn(octets, sizeof octets, NULL)) &&
           BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));
    BN_free(number);
    return fine;
}

static bool set_name(X509 *cert, struct bytes hostname) {
    X509_NAME *subject = X509_get_subject_name(cert);
    int size = hostname.len <= COMMON_NAME_MAX ? (int)hostname.len : COMMON_NAME_MAX;
    return X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                      (const unsigned char *)hostname.at, size, -1, 0) > 0 &&
           X509_set_issuer_name(cert, subject) > 0;
}

static bool fill_certificate(X509 *cert, EVP_PKEY *key, struct bytes hostname, int64_t wall_ms) {
    time_t now = (time_t)(wall_ms / 1000);
    return X509_set_version(cert, X509_VERSION_3) > 0 && set_serial(cert) &&
           /* An hour early, for clients whose clock is behind. */
           X509_time_adj_ex(X509_getm_notBefore(cert), 0, -3600, &now) &&
           X509_time_adj_ex(X509_getm_notAfter(cert), VALID_DAYS, 0, &now) &&
           set_name(cert, hostname) && add_alternative_name(cert, hostname) &&
           X509_set_pubkey(cert, key) > 0 && X509_sign(cert, key, EVP_sha256()) > 0;
}

static struct bytes take_text(BIO *bio, struct arena *a) {
    char *at;
    long size = BIO_get_mem_data(bio, &at);
    return arena_copy(a, bytes_of(at, (size_t)size));
}

enum rc tls_make_pair(struct bytes hostname, int64_t wall_ms, struct arena *a,
                      struct bytes *chain_pem_out, struct bytes *key_pem_out, struct why *why) {
    if (hostname.len == 0 || hostname.len > 255 || bytes_find(hostname, '\0') >= 0)
        return why_set(why, PERM, 0, NULL, "tls.certificate", "no host name to certify");
    X509 *cert = X509_new();
    EVP_PKEY *key = EVP_EC_gen("P-256");
    BIO *chain_text = BIO_new(BIO_s_mem()), *key_text = BIO_new(BIO_s_secmem());
    MUST(cert && chain_text && key_text);
    enum rc rc = OK;
    if (key && fill_certificate(cert, key, hostname, wall_ms) &&
        PEM_write_bio_X509(chain_text, cert) > 0 &&
        PEM_write_bio_PKCS8PrivateKey(key_text, key, NULL, NULL, 0, NULL, NULL) > 0) {
        *chain_pem_out = take_text(chain_text, a);
        *key_pem_out = take_text(key_text, a);
    } else {
        rc = why_set(why, TEMP, 0, NULL, "tls.certificate", "cannot make a certificate: %s",
                     tls_complaint());
    }
    BIO_free(chain_text);
    BIO_free(key_text);
    EVP_PKEY_free(key);
    X509_free(cert);
    return rc;
}

static bool certifies(X509 *cert, struct bytes hostname) {
    char address[64];
    if (tls_name_is_address(hostname, address))
        return X509_check_ip_asc(cert, address, 0) == 1;
    return hostname.len > 0 && X509_check_host(cert, hostname.at, hostname.len, 0, NULL) == 1;
}

enum rc tls_pair_check(struct tls_pair pair, struct bytes hostname, int64_t *not_after_out,
                       bool *name_ok_out, struct why *why) {
    struct loaded p;
    enum rc rc = load_pair(&pair, &p, why);
    if (rc != OK)
        return rc;
    if (tls_not_after(p.leaf, not_after_out))
        *name_ok_out = certifies(p.leaf, hostname);
    else
        rc = bad_pair(why, pair.name, "its dates cannot be read");
    loaded_free(&p);
    return rc;
}

enum rc tls_certificate_spki(struct bytes pem, struct arena *a, struct bytes *spki_out,
                             struct why *why) {
    struct tls_certificate read;
    enum rc rc = tls_certificate_read(pem, a, &read, why);
    if (rc == OK)
        *spki_out = read.spki;
    return rc;
}
