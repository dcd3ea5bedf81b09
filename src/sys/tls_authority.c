/* tls_authority: whether an authority vouches for a client's certificate, and which names stand in
 * it. A chain is looked at once, at the full handshake. Tickets do not keep it, so what came of it
 * is sealed into the session's ticket, and holds for a resumed session as long as the chain would
 * have, and as long as the authority is one that is asked about. */
#include "base/buf.h"
#include "base/must.h"
#include "base/scan.h"
#include "sys/tls_impl.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

enum {
    DEPTH_MAX = 8,
    SECURITY_LEVEL = 2, /* 112 bits: no SHA-1, no RSA of 1024 */
    SEAL = TLS_AUTHORITY_HASH + 8,
    NAMES_MAX = 100,
    NAME_LENGTH_MAX = 255,
};

/* --- one authority ------------------------------------------------------------------------------- */

static size_t add_certificates(X509_STORE *store, struct bytes pem) {
    BIO *bio = BIO_new_mem_buf(pem.at, (int)pem.len);
    X509 *cert;
    size_t count = 0;
    MUST(bio);
    while ((cert = PEM_read_bio_X509_AUX(bio, NULL, tls_no_passphrase, NULL))) {
        count += X509_STORE_add_cert(store, cert) > 0;
        X509_free(cert);
    }
    BIO_free(bio);
    ERR_clear_error();
    return count;
}

/* An intermediate authority may stand alone in the file: whoever is in it is trusted as it is. */
static enum rc open_store(struct bytes pem, X509_STORE **out, struct why *why) {
    *out = X509_STORE_new();
    MUST(*out && X509_STORE_set_flags(*out, X509_V_FLAG_PARTIAL_CHAIN) > 0);
    if (add_certificates(*out, pem))
        return OK;
    X509_STORE_free(*out);
    *out = NULL;
    return why_set(why, PERM, 0, NULL, "tls.roots", "there is no certificate in it");
}

static int verify(X509_STORE *store, X509 *leaf, STACK_OF(X509) * rest, int purpose,
                  int64_t *until_out) {
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    MUST(ctx && X509_STORE_CTX_init(ctx, store, leaf, rest) > 0);
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_purpose(param, purpose);
    X509_VERIFY_PARAM_set_depth(param, DEPTH_MAX);
    X509_VERIFY_PARAM_set_auth_level(param, SECURITY_LEVEL);
    int result = X509_verify_cert(ctx) > 0 ? X509_V_OK : X509_STORE_CTX_get_error(ctx);
    const STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(ctx);
    *until_out = INT64_MAX;
    for (int i = 0; result == X509_V_OK && i < sk_X509_num(chain); i++) {
        int64_t not_after = 0;
        tls_not_after(sk_X509_value(chain, i), &not_after);
        *until_out = not_after < *until_out ? not_after : *until_out;
    }
    X509_STORE_CTX_free(ctx);
    ERR_clear_error();
    return result;
}

/* Public authorities certify servers only by now, and a mail server shows the same pair when it is a
 * client: either purpose will do. NULL when it vouches, else why not. */
static const char *vouch(X509_STORE *store, X509 *leaf, STACK_OF(X509) * rest, int64_t *until_out) {
    int result = verify(store, leaf, rest, X509_PURPOSE_SSL_CLIENT, until_out);
    if (result == X509_V_ERR_INVALID_PURPOSE)
        result = verify(store, leaf, rest, X509_PURPOSE_SSL_SERVER, until_out);
    return result == X509_V_OK ? NULL : X509_verify_cert_error_string(result);
}

/* --- those of a server ----------------------------------------------------------------------------- */

enum rc tls_server_trust(struct tls_server *t, const struct tls_authority *list, size_t count,
                         struct why *why) {
    MUST(!t->authority_count && count <= TLS_AUTHORITIES_MAX);
    t->authorities = ARENA_ARRAY(t->arena, count, struct tls_trusted);
    for (size_t i = 0; i < count; i++) {
        struct tls_trusted *mine = &t->authorities[t->authority_count];
        struct why wrong;
        unsigned char hash[32];
        if (open_store(list[i].pem, &mine->store, &wrong) != OK)
            return why_set(why, PERM, 0, NULL, wrong.reason, "authority %.*s: %s",
                           BYTES_FMT(list[i].name), wrong.text);
        MUST(EVP_Digest(list[i].pem.at, list[i].pem.len, hash, NULL, EVP_sha256(), NULL) > 0);
        memcpy(mine->hash, hash, sizeof mine->hash);
        mine->name = arena_copy(t->arena, list[i].name);
        t->authority_count++;
    }
    return OK;
}

int tls_seal(SSL *ssl, void *server) {
    const struct tls_server *t = server;
    X509 *peer = SSL_get0_peer_certificate(ssl);
    char memory[TLS_AUTHORITIES_MAX * SEAL];
    struct buf sealed = buf_fixed(memory, sizeof memory);
    if (!peer || SSL_session_reused(ssl)) /* what a resumed one has goes into its next ticket */
        return 1;
    for (size_t i = 0; i < t->authority_count; i++) {
        const struct tls_trusted *a = &t->authorities[i];
        int64_t until;
        if (vouch(a->store, peer, SSL_get_peer_cert_chain(ssl), &until))
            continue;
        buf_add(&sealed, bytes_of(a->hash, sizeof a->hash));
        buf_le64(&sealed, (uint64_t)until);
    }
    return sealed.len == 0 ||
           SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), sealed.at, sealed.len) > 0;
}

/* What the ticket of a resumed session says. */
static const char *sealed_vouch(SSL *ssl, const struct tls_trusted *a, int64_t wall_ms) {
    void *data = NULL;
    size_t size = 0;
    SSL_SESSION_get0_ticket_appdata(SSL_get_session(ssl), &data, &size);
    struct scan s = scan_of(bytes_of(data, size));
    while (s.rest.len >= SEAL) {
        struct bytes hash = scan_take(&s, sizeof a->hash);
        int64_t until = (int64_t)scan_le64(&s);
        if (bytes_equal(hash, bytes_of(a->hash, sizeof a->hash)))
            return wall_ms < until ? NULL : "certificate has expired";
    }
    return "it did not when the resumed session began";
}

size_t tls_vouches(SSL *ssl, const struct tls_server *t, int64_t wall_ms, struct arena *arena,
                   const struct tls_vouch **out) {
    X509 *peer = SSL_get0_peer_certificate(ssl);
    struct tls_vouch *list = ARENA_ARRAY(arena, t->authority_count, struct tls_vouch);
    *out = list;
    for (size_t i = 0; i < t->authority_count; i++) {
        const struct tls_trusted *a = &t->authorities[i];
        int64_t until;
        const char *wrong = SSL_session_reused(ssl)
                                ? sealed_vouch(ssl, a, wall_ms)
                                : vouch(a->store, peer, SSL_get_peer_cert_chain(ssl), &until);
        list[i] = (struct tls_vouch){ a->name, !wrong, bytes_str(wrong) };
    }
    return t->authority_count;
}

/* --- names --------------------------------------------------------------------------------------- */

/* A name with an octet that no name has is none: it would be read in two ways. */
static struct bytes take_name(const GENERAL_NAME *general, struct arena *a) {
    if (general->type != GEN_DNS && general->type != GEN_EMAIL)
        return BYTES_NONE;
    const ASN1_IA5STRING *text = general->d.ia5;
    struct bytes name = bytes_of(ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text));
    for (size_t i = 0; i < name.len; i++)
        if (name.at[i] <= ' ' || name.at[i] >= 0x7f)
            return BYTES_NONE;
    return name.len <= NAME_LENGTH_MAX ? arena_lower(a, name) : BYTES_NONE;
}

size_t tls_names(X509 *cert, struct arena *a, const struct bytes **out) {
    GENERAL_NAMES *all = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    int most = all ? sk_GENERAL_NAME_num(all) : 0;
    most = most > NAMES_MAX ? NAMES_MAX : most;
    struct bytes *names = ARENA_ARRAY(a, (size_t)most, struct bytes);
    size_t count = 0;
    for (int i = 0; i < most; i++) {
        names[count] = take_name(sk_GENERAL_NAME_value(all, i), a);
        count += names[count].len > 0;
    }
    GENERAL_NAMES_free(all);
    ERR_clear_error();
    *out = names;
    return count;
}

/* --- a certificate in a file ----------------------------------------------------------------------- */

/* The leaf first; the others may be what joins it to the authority. */
static enum rc read_chain(struct bytes pem, X509 **leaf, STACK_OF(X509) * rest, struct why *why) {
    BIO *bio = BIO_new_mem_buf(pem.at, (int)pem.len);
    X509 *cert;
    MUST(bio);
    ERR_clear_error();
    *leaf = PEM_read_bio_X509_AUX(bio, NULL, tls_no_passphrase, NULL);
    while (*leaf && sk_X509_num(rest) < DEPTH_MAX &&
           (cert = PEM_read_bio_X509(bio, NULL, tls_no_passphrase, NULL)))
        MUST(sk_X509_push(rest, cert) > 0);
    BIO_free(bio);
    if (*leaf) {
        ERR_clear_error();
        return OK;
    }
    return why_set(why, PERM, 0, NULL, "tls.certificate", "no certificate can be read from it: %s",
                   tls_complaint());
}

enum rc tls_certificate_read(struct bytes pem, struct arena *a, struct tls_certificate *out,
                             struct why *why) {
    struct bytes text;
    unsigned char hash[TLS_SPKI];
    X509 *leaf = NULL;
    STACK_OF(X509) *rest = sk_X509_new_null();
    MUST(rest);
    *out = (struct tls_certificate){ 0 };
    enum rc rc = tls_pem_text(pem, a, &text, why);
    if (rc == OK)
        rc = read_chain(text, &leaf, rest, why);
    if (rc == OK && !tls_spki(leaf, hash))
        rc = why_set(why, PERM, 0, NULL, "tls.certificate", "its key cannot be read");
    if (rc == OK) {
        out->pem = text;
        out->spki = arena_copy(a, bytes_of(hash, sizeof hash));
        out->name_count = tls_names(leaf, a, &out->names);
    }
    X509_free(leaf);
    sk_X509_pop_free(rest, X509_free);
    return rc;
}

enum rc tls_certificate_vouched(const struct tls_certificate *certificate, struct bytes authority,
                                struct why *why) {
    X509 *leaf = NULL;
    X509_STORE *store = NULL;
    STACK_OF(X509) *rest = sk_X509_new_null();
    int64_t until;
    MUST(rest);
    enum rc rc = open_store(authority, &store, why);
    if (rc == OK)
        rc = read_chain(certificate->pem, &leaf, rest, why);
    const char *wrong = rc == OK ? vouch(store, leaf, rest, &until) : NULL;
    if (wrong)
        rc = why_set(why, PERM, 0, NULL, "tls.certificate", "%s", wrong);
    X509_STORE_free(store);
    X509_free(leaf);
    sk_X509_pop_free(rest, X509_free);
    return rc;
}
