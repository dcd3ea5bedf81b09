/* sasl: the client side of SASL (RFC 4422) for smart hosts, without I/O or clock. It chooses the
 * best mechanism both sides know and turns challenges into responses; GNU SASL is behind it.
 *
 * Order of calls: open; mechanism and initial for the AUTH command; step for every challenge; and,
 * when the server said it is content (235), finish: with SCRAM that is where a server that does not
 * know the password is found out. Octets are raw: base64 is the protocol's business.
 *
 * PLAIN and LOGIN hand the password over, OAUTHBEARER and XOAUTH2 the token, so they are used over TLS
 * alone unless allowed. */
#ifndef SASL_SASL_H
#define SASL_SASL_H

#include "base/arena.h"
#include "base/why.h"

struct sasl_client;

struct sasl_client_setup {
    struct bytes mechanisms; /* what the server offers: names in any case, separated by blanks */
    struct bytes user, password;
    struct bytes token;     /* instead of a password: an OAuth 2.0 access token */
    struct bytes service;   /* "smtp" */
    struct bytes host;      /* the server's name */
    uint16_t port;          /* the server's; 0: not told */
    bool tls;               /* the connection is encrypted */
    bool plaintext_allowed; /* PLAIN and LOGIN without TLS too */
    /* Channel binding of this connection (tls_info): empty without. */
    struct bytes cb_exporter; /* tls-exporter (RFC 9266) */
    struct bytes cb_unique;   /* tls-unique, TLS 1.2 */
};

/* Chooses among SCRAM-SHA-256-PLUS, SCRAM-SHA-256, SCRAM-SHA-1, CRAM-MD5, PLAIN, LOGIN, in this
 * order; with a token among OAUTHBEARER (RFC 7628) and XOAUTH2. PERM and why (auth.mechanism) when none fits, with what was offered and what is missing;
 * PERM (auth.failed) when user or password cannot be prepared. The setup is copied; the client
 * lives as long as the arena, and its secrets are wiped with it. */
enum rc sasl_client_open(struct arena *a, const struct sasl_client_setup *setup,
                         struct sasl_client **out, struct why *why);
/* "SCRAM-SHA-256" */
struct bytes sasl_client_mechanism(const struct sasl_client *c);
/* Whether AUTH carries an initial response, and which; it may be an empty one (sent as "="). */
bool sasl_client_initial(const struct sasl_client *c, struct bytes *initial_out);
/* OK: send *response_out (in the arena; may be empty). PERM and why: the server's challenge makes
 * no sense or does not prove that it knows the password: cancel with "*" and do not trust it. */
enum rc sasl_client_step(struct sasl_client *c, struct bytes challenge, struct bytes *response_out,
                         struct why *why);
/* The server said 235. PERM and why when it has not proved itself by then. */
enum rc sasl_client_finish(struct sasl_client *c, struct why *why);

#endif
