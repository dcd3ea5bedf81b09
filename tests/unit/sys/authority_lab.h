/* authority_lab: certificates that authorities sign, as tests need them: with a chain, a date, a
 * purpose. */
#ifndef AUTHORITY_LAB_H
#define AUTHORITY_LAB_H

#include "base/must.h"
#include "sys/tls.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

struct lab_pair {
    X509 *cert;
    EVP_PKEY *key;
};
struct lab_wish {
    const char *names;             /* "DNS:gw.example,email:a@b.example", or NULL */
    const char *usage;             /* extendedKeyUsage, or NULL */
    const struct lab_pair *issuer; /* NULL: itself */
    bool authority;
    long from, until; /* seconds from now */
};

static void lab_extend(X509 *cert, X509 *issuer, int nid, const char *value) {
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *x = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    MUST(x && X509_add_ext(cert, x, -1) > 0);
    X509_EXTENSION_free(x);
}

static inline struct lab_pair lab_issue(const char *subject, const struct lab_wish *w) {
    static long serial;
    struct lab_pair p = { X509_new(), EVP_EC_gen("P-256") };
    struct lab_pair by = w->issuer ? *w->issuer : p;
    X509_set_version(p.cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(p.cert), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(p.cert), w->from);
    X509_gmtime_adj(X509_getm_notAfter(p.cert), w->until);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(p.cert), "CN", MBSTRING_UTF8,
                               (const unsigned char *)subject, -1, -1, 0);
    X509_set_issuer_name(p.cert, X509_get_subject_name(by.cert));
    X509_set_pubkey(p.cert, p.key);
    if (w->authority)
        lab_extend(p.cert, by.cert, NID_basic_constraints, "critical,CA:TRUE");
    if (w->names)
        lab_extend(p.cert, by.cert, NID_subject_alt_name, w->names);
    if (w->usage)
        lab_extend(p.cert, by.cert, NID_ext_key_usage, w->usage);
    MUST(X509_sign(p.cert, by.key, EVP_sha256()) > 0);
    return p;
}

static inline void lab_free(struct lab_pair *p) {
    X509_free(p->cert);
    EVP_PKEY_free(p->key);
}

static inline struct bytes lab_text(BIO *b, struct arena *a) {
    char *at;
    long size = BIO_get_mem_data(b, &at);
    struct bytes text = arena_copy(a, bytes_of(at, (size_t)size));
    BIO_free(b);
    return text;
}

/* The certificates one behind the other, the first with its key. */
static inline struct tls_pair lab_pem(struct arena *a, const struct lab_pair *const *chain,
                                      size_t count) {
    BIO *text = BIO_new(BIO_s_mem()), *key = BIO_new(BIO_s_mem());
    for (size_t i = 0; i < count; i++)
        MUST(PEM_write_bio_X509(text, chain[i]->cert) > 0);
    MUST(PEM_write_bio_PKCS8PrivateKey(key, chain[0]->key, NULL, NULL, 0, NULL, NULL) > 0);
    return (struct tls_pair){ BYTES_NONE, lab_text(text, a), lab_text(key, a) };
}

#endif
