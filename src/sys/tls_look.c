/* tls_look: a server's certificates seen from all sides. A handshake says no more than whether all is well, or
 * the first thing that is not; somebody who is to mend it wants to know all. So the chain is followed
 * once more without regard to dates and names, and these are looked at one by one. */
#include "base/addr.h"
#include "base/must.h"
#include "sys/tls.h"
#include "sys/tls_impl.h"

#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <string.h>

enum { SENT_MAX = 16, NAMES_MAX = 64, NAME_TEXT = 512, HASH_MAX = 64, CERTIFICATE_MAX = 64 * 1024 };

static struct bytes name_text(X509_NAME *name, struct arena *a) {
    BIO *text = BIO_new(BIO_s_mem());
    MUST(text);
    X509_NAME_print_ex(text, name, 0, XN_FLAG_ONELINE & ~(unsigned long)ASN1_STRFLGS_ESC_MSB);
    char *at;
    long size = BIO_get_mem_data(text, &at);
    struct bytes copy = arena_copy(a, bytes_first(bytes_of(at, (size_t)size), NAME_TEXT));
    BIO_free(text);
    return copy;
}

static int64_t wall_of(const ASN1_TIME *t) {
    struct tm when;
    return ASN1_TIME_to_tm(t, &when) > 0 ? (int64_t)timegm(&when) * 1000 : 0;
}

/* --- names ----------------------------------------------------------------------------------------- */

static struct bytes one_name(const GENERAL_NAME *n, struct arena *a) {
    char text[80];
    struct buf b = buf_fixed(text, sizeof text);
    if (n->type == GEN_DNS)
        return arena_copy(a, bytes_first(bytes_of(ASN1_STRING_get0_data(n->d.dNSName),
                                                  (size_t)ASN1_STRING_length(n->d.dNSName)),
                                         NAME_TEXT));
    if (n->type != GEN_IPADD)
        return BYTES_NONE;
    size_t size = (size_t)ASN1_STRING_length(n->d.iPAddress);
    struct addr address = { .family = size == 4 ? 4 : 6 };
    if (size != 4 && size != 16)
        return BYTES_NONE;
    memcpy(address.ip, ASN1_STRING_get0_data(n->d.iPAddress), size);
    addr_format(&b, address);
    return arena_copy(a, buf_bytes(&b));
}

static void look_at_names(struct tls_look *l, X509 *own, struct arena *a) {
    GENERAL_NAMES *list = X509_get_ext_d2i(own, NID_subject_alt_name, NULL, NULL);
    struct bytes *names = ARENA_ARRAY(a, NAMES_MAX, struct bytes);
    for (int i = 0; i < sk_GENERAL_NAME_num(list) && l->name_count < NAMES_MAX; i++) {
        names[l->name_count] = one_name(sk_GENERAL_NAME_value(list, i), a);
        l->name_count += names[l->name_count].len > 0;
    }
    l->names = names;
    GENERAL_NAMES_free(list);
}

static bool carries(X509 *own, struct bytes name) {
    char address[64];
    if (tls_name_is_address(name, address))
        return X509_check_ip_asc(own, address, 0) == 1;
    return name.len > 0 && bytes_find(name, '\0') < 0 &&
           X509_check_host(own, name.at, name.len, 0, NULL) == 1;
}

/* --- the chain -------------------------------------------------------------------------------------- */

/* Dates and names aside: does it lead to a root? */
static void follow_chain(struct tls_look *l, SSL *ssl, X509 *own, STACK_OF(X509) * sent,
                         struct arena *a) {
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    MUST(ctx);
    X509_STORE *roots = SSL_CTX_get_cert_store(SSL_get_SSL_CTX(ssl));
    if (X509_STORE_CTX_init(ctx, roots, own, sent) > 0) {
        X509_STORE_CTX_set_default(ctx, "ssl_server");
        X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(ctx), X509_V_FLAG_NO_CHECK_TIME);
        l->chain_ok = X509_verify_cert(ctx) == 1;
    }
    if (!l->chain_ok)
        l->chain_error =
            arena_copy(a, bytes_str(X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx))));
    X509_STORE_CTX_free(ctx);
}

static struct bytes der_of(X509 *certificate, struct arena *a) {
    unsigned char *der = NULL;
    int size = i2d_X509(certificate, &der);
    struct bytes copy = size > 0 && size <= CERTIFICATE_MAX
                            ? arena_copy(a, bytes_of(der, (size_t)size))
                            : BYTES_NONE;
    OPENSSL_free(der);
    return copy;
}

static struct bytes key_of(X509 *certificate, struct arena *a) {
    unsigned char *der = NULL;
    int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
    struct bytes copy = size > 0 && size <= CERTIFICATE_MAX
                            ? arena_copy(a, bytes_of(der, (size_t)size))
                            : BYTES_NONE;
    OPENSSL_free(der);
    return copy;
}

static void look_at_sent(struct tls_look *l, STACK_OF(X509) * sent, int64_t wall_ms,
                         struct arena *a) {
    struct tls_sent *list = ARENA_ARRAY(a, SENT_MAX, struct tls_sent);
    for (int i = 0; i < sk_X509_num(sent) && l->sent_count < SENT_MAX; i++) {
        X509 *one = sk_X509_value(sent, i);
        l->early |= wall_of(X509_get0_notBefore(one)) > wall_ms;
        l->late |= wall_of(X509_get0_notAfter(one)) <= wall_ms;
        list[l->sent_count++] = (struct tls_sent){ der_of(one, a), key_of(one, a) };
    }
    l->sent = list;
}

static void look_at_key(struct tls_look *l, X509 *own, struct arena *a) {
    EVP_PKEY *key = X509_get0_pubkey(own);
    const char *kind = key ? EVP_PKEY_get0_type_name(key) : NULL;
    const char *signature = OBJ_nid2sn(X509_get_signature_nid(own));
    l->key = arena_copy(a, bytes_str(kind ? kind : "unknown"));
    l->key_bits = key ? EVP_PKEY_get_bits(key) : 0;
    l->signature = arena_copy(a, bytes_str(signature ? signature : "unknown"));
}

const struct tls_look *tls_look_at(SSL *ssl, struct bytes name, int64_t wall_ms, struct arena *a) {
    X509 *own = SSL_get0_peer_certificate(ssl);
    STACK_OF(X509) *sent = SSL_get_peer_cert_chain(ssl);
    if (!own)
        return NULL;
    struct tls_look *l = ARENA_NEW(a, struct tls_look);
    l->subject = name_text(X509_get_subject_name(own), a);
    l->issuer = name_text(X509_get_issuer_name(own), a);
    l->not_before = wall_of(X509_get0_notBefore(own));
    l->not_after = wall_of(X509_get0_notAfter(own));
    l->self_signed = X509_NAME_cmp(X509_get_subject_name(own), X509_get_issuer_name(own)) == 0;
    l->name_ok = carries(own, name);
    look_at_names(l, own, a);
    look_at_sent(l, sent, wall_ms, a);
    look_at_key(l, own, a);
    follow_chain(l, ssl, own, sent, a);
    return l;
}

/* --- asking it ---------------------------------------------------------------------------------------- */

bool tls_look_has_name(const struct tls_look *l, struct bytes name) {
    if (!l->sent_count || !l->sent[0].certificate.len)
        return false;
    const unsigned char *der = (const unsigned char *)l->sent[0].certificate.at;
    X509 *own = d2i_X509(NULL, &der, (long)l->sent[0].certificate.len);
    bool fine = own && carries(own, name);
    X509_free(own);
    return fine;
}

bool tls_sent_matches(const struct tls_sent *s, unsigned selector, unsigned type,
                      struct bytes data) {
    unsigned char hash[HASH_MAX];
    unsigned size = sizeof hash;
    struct bytes whole = selector == 0 ? s->certificate : s->spki;
    if (selector > 1 || type > 2 || !whole.len)
        return false;
    if (type == 0)
        return bytes_equal(whole, data);
    const EVP_MD *kind = type == 1 ? EVP_sha256() : EVP_sha512();
    return EVP_Digest(whole.at, whole.len, hash, &size, kind, NULL) > 0 &&
           bytes_equal(bytes_of(hash, size), data);
}
