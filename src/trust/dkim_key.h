/* dkim_key: the record at SELECTOR._domainkey.DOMAIN (RFC 6376 section 3.6.1, RFC 8463). */
#ifndef TRUST_DKIM_KEY_H
#define TRUST_DKIM_KEY_H

#include "base/arena.h"
#include "base/why.h"

enum dkim_key_type { DKIM_KEY_RSA, DKIM_KEY_ED25519, DKIM_KEY_OTHER };
struct dkim_key {
    enum dkim_key_type type;
    struct bytes type_name; /* "rsa" unless it says otherwise */
    unsigned bits;          /* of an RSA modulus; 256 for Ed25519 */
    bool revoked;           /* p= is empty */
    bool testing;           /* t=y */
    bool strict;            /* t=s: no subdomain in i= */
    bool email;             /* good for mail: s= is * or has email */
    bool sha256;            /* h= allows it */
    bool versioned;         /* it says v=DKIM1 */
    struct bytes octets; /* the key: SubjectPublicKeyInfo or RSAPublicKey; 32 octets of Ed25519 */
    const char *wrong;   /* half a sentence about ... */
    struct bytes wrong_at;
};
/* PERM: no verifier can use it; what was read before is there. */
enum rc dkim_key_parse(struct bytes text, struct arena *a, struct dkim_key *out);
/* Whether a TXT record at such a name is meant to be a key: it has v=DKIM1 in front, or p=. */
bool dkim_key_is_record(struct bytes text);

#endif
