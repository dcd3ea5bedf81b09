/* tls: contexts and what a handshake came to. OpenSSL 3 is behind it and nowhere else. */
#ifndef SYS_TLS_H
#define SYS_TLS_H

#include "base/arena.h"
#include "base/why.h"

/* What an authority (tls_server_trust) says of a client's certificate. */
struct tls_vouch {
    struct bytes authority; /* its name */
    bool vouches;
    struct bytes because; /* why not, in OpenSSL's words */
};

/* What is known of a finished handshake; the views live as long as the stream. */
struct tls_info {
    int version;           /* 12 or 13 */
    struct bytes protocol; /* "TLSv1.3" */
    struct bytes cipher;   /* "TLS_AES_256_GCM_SHA384" */
    struct bytes sni;      /* what the client asked for; empty if nothing */
    bool resumed;
    /* Peer's certificate, if one was given: SHA-256 of its SubjectPublicKeyInfo, 32 octets. */
    struct bytes peer_spki;
    bool peer_trusted;       /* chain verified and, for a client, the name matched */
    struct bytes peer_error; /* why not, in OpenSSL's words */
    int64_t peer_not_after;  /* wall ms; 0: no certificate, or a date that cannot be read */
    /* Of a client's certificate: names of hosts and mailboxes in it (subjectAltName, lower case;
     * nobody has checked them), and what each authority of tls_server_trust says of it. */
    size_t peer_name_count, vouch_count;
    const struct bytes *peer_names;
    const struct tls_vouch *vouches;
    /* Channel binding for SCRAM-PLUS: tls-exporter (RFC 9266), 32 octets; and for TLS 1.2
     * tls-unique, empty in 1.3. */
    struct bytes exporter;
    struct bytes unique;
    const struct tls_look
        *look; /* of a server's certificates, for who asked (tls_want.look); or NULL */
};

/* What there is to say of a server's certificates, each thing apart from the others. */
struct tls_sent { /* a certificate as it came (DER), and its SubjectPublicKeyInfo */
    struct bytes certificate, spki;
};
struct tls_look {
    struct bytes subject, issuer; /* "CN = mail.example.com" */
    size_t name_count;            /* of hosts and addresses */
    const struct bytes *names;
    int64_t not_before, not_after; /* wall ms; of the first certificate */
    bool early, late;              /* one that was sent is not valid yet, or no longer */
    bool name_ok;                  /* it carries tls_want.name */
    bool chain_ok;                 /* it leads to a root, dates and names aside */
    bool self_signed;
    struct bytes chain_error; /* why it does not, in OpenSSL's words */
    struct bytes key;         /* "RSA" */
    int key_bits;
    struct bytes signature; /* "RSA-SHA256" */
    size_t sent_count;
    const struct tls_sent *sent; /* the server's own first */
};
/* Does the server's own certificate carry this name or address? */
bool tls_look_has_name(const struct tls_look *l, struct bytes name);
/* Is this the certificate (selector 0) or key (1), whole (type 0) or as its SHA-256 (1) or SHA-512 (2), of
 * RFC 6698 section 2.1? */
bool tls_sent_matches(const struct tls_sent *s, unsigned selector, unsigned type,
                      struct bytes data);

/* --- server side ------------------------------------------------------------------------ */
struct tls_server;
struct tls_pair {      /* PEM files, or PEM text already read by the parent */
    struct bytes name; /* SNI name; empty for the default */
    struct bytes chain_pem;
    struct bytes key_pem;
};
/* TLS 1.2 (minimum 12) or 1.3 (13); session tickets on, their keys shared by all workers when
 * ticket_key holds 48 octets (empty: a key of this process). A pair that cannot be used is a
 * PERM with the reason. */
enum rc tls_server_open(const struct tls_pair *pairs, size_t count, int minimum,
                        struct bytes ticket_key, struct tls_server **out, struct why *why);
/* Whose word on clients' certificates is asked for, where one was asked for: told in tls_info, never
 * a reason for a handshake to fail. A chain must lead to a certificate in `pem` and nowhere else, be
 * valid now, and be made for clients or servers. A resumed session keeps what was found out at its
 * beginning until the chain runs out. Once, before the first stream. */
enum { TLS_AUTHORITIES_MAX = 64 };
struct tls_authority {
    struct bytes name, pem;
};
enum rc tls_server_trust(struct tls_server *t, const struct tls_authority *list, size_t count,
                         struct why *why);
/* Streams that use it keep it alive. */
void tls_server_close(struct tls_server **t);
/* One more owner, who closes it too: for streams that may begin TLS later. NULL stays NULL. */
struct tls_server *tls_server_keep(struct tls_server *t);

/* Makes a P-256 key and a self-signed certificate for this name, valid ten years from wall_ms. */
enum rc tls_make_pair(struct bytes hostname, int64_t wall_ms, struct arena *a,
                      struct bytes *chain_pem_out, struct bytes *key_pem_out, struct why *why);
/* The certificate's dates (wall ms) and whether the name matches, for check. */
enum rc tls_pair_check(struct tls_pair pair, struct bytes hostname, int64_t *not_after_out,
                       bool *name_ok_out, struct why *why);
/* SHA-256 of the SubjectPublicKeyInfo of the first certificate in a PEM file (or PEM text): the 32
 * octets that connectors name in client_certificate. */
enum rc tls_certificate_spki(struct bytes pem, struct arena *a, struct bytes *spki_out,
                             struct why *why);
/* A client's certificate from a PEM file (or text), those of its chain behind it: as a handshake
 * would tell it. */
struct tls_certificate {
    struct bytes pem, spki;
    size_t name_count;
    const struct bytes *names;
};
enum rc tls_certificate_read(struct bytes pem, struct arena *a, struct tls_certificate *out,
                             struct why *why);
/* Does this authority (PEM text) vouch for it? PERM: no, and why. */
enum rc tls_certificate_vouched(const struct tls_certificate *certificate, struct bytes authority,
                                struct why *why);

/* --- client side ------------------------------------------------------------------------ */
struct tls_client;
/* Roots from the system's store, or from ca_file (PEM) if not empty. */
enum rc tls_client_open(struct bytes ca_file, struct tls_client **out, struct why *why);
/* The pair it shows to a server that asks for one. Before the first stream. */
enum rc tls_client_show(struct tls_client *t, const struct tls_pair *pair, struct why *why);
void tls_client_close(struct tls_client **t);
struct tls_want {
    struct bytes name; /* SNI and the name the certificate must carry */
    bool verify;       /* fail the handshake unless the chain and name hold */
    int minimum;       /* 12 or 13; 0: 12. For looking alone: 10, 11 */
    int maximum;       /* 10 to 13; 0: any */
    bool look;         /* collect tls_info.look */
};

#endif
