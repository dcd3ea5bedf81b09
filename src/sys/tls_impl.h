/* tls_impl: what tls.c (contexts) and tls_engine.c (connections) share. Nobody else includes this. */
#ifndef SYS_TLS_IMPL_H
#define SYS_TLS_IMPL_H

#include "base/arena.h"
#include "sys/tls.h"

#include <openssl/ssl.h>

struct tls_named {
    struct bytes name; /* lower case; "*.example" stands for one label; empty for the default */
    SSL_CTX *ctx;
};
enum { TLS_AUTHORITY_HASH = 16 };
struct tls_trusted {
    struct bytes name;
    unsigned char hash[TLS_AUTHORITY_HASH]; /* of its PEM text: in tickets */
    X509_STORE *store;
};
struct tls_server {
    size_t uses; /* the owner's, and one for each engine */
    struct arena *arena;
    struct tls_named *names; /* the default first */
    size_t count;
    struct tls_trusted *authorities;
    size_t authority_count;
};
struct tls_client {
    size_t uses;
    SSL_CTX *ctx;
};

/* OpenSSL's last complaint as text, and its queue emptied. */
const char *tls_complaint(void);
/* SHA-256 of the certificate's SubjectPublicKeyInfo. */
enum { TLS_SPKI = 32 };
bool tls_spki(X509 *certificate, unsigned char out[TLS_SPKI]);
bool tls_not_after(X509 *certificate, int64_t *wall_ms_out);
/* Is it an address, as in "[192.0.2.1]" or "2001:db8::1"? Then out is the bare text. */
bool tls_name_is_address(struct bytes name, char out[64]);

/* The text itself, or that of the file it names; and an answer for OpenSSL, which would ask on the
 * terminal for the passphrase of an encrypted key. */
enum rc tls_pem_text(struct bytes pem, struct arena *a, struct bytes *out, struct why *why);
int tls_no_passphrase(char *into, int size, int writing, void *ctx);

/* tls_authority.c. Before a ticket is written: seals what the authorities said into it. */
int tls_seal(SSL *ssl, void *server);
/* Of a connection whose client showed a certificate; memory from a. */
size_t tls_vouches(SSL *ssl, const struct tls_server *t, int64_t wall_ms, struct arena *a,
                   const struct tls_vouch **out);
/* tls_look.c. Of a connection whose server showed a certificate. */
const struct tls_look *tls_look_at(SSL *ssl, struct bytes name, int64_t wall_ms, struct arena *a);
size_t tls_names(X509 *certificate, struct arena *a, const struct bytes **out);

#endif
