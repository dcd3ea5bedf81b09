/* tls_impl: what tls.c (contexts) and tls_engine.c (connections) share. Nobody else includes this. */
#ifndef SYS_TLS_IMPL_H
#define SYS_TLS_IMPL_H

#include "sys/tls.h"

#include <openssl/ssl.h>

struct tls_named {
    struct bytes name; /* lower case; "*.example" stands for one label; empty for the default */
    SSL_CTX *ctx;
};
struct tls_server {
    size_t uses; /* the owner's, and one for each engine */
    struct arena *arena;
    struct tls_named *names; /* the default first */
    size_t count;
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

#endif
