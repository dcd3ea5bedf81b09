/* doctor: looks at one mail server the way a sender meets it: connects, listens to its greeting, asks what
 * it can, begins TLS and looks at the certificate, logs in, and takes its leave. No mail is ever sent.
 * It says what was seen and how far it came; what that means for whom is the caller's to judge.
 *
 * The probe looks at certificates without insisting, so that it can say what is wrong with them; a
 * password goes out only where delivery would send it: over TLS whose certificate holds, or to this
 * very host. */
#ifndef DOCTOR_DOCTOR_H
#define DOCTOR_DOCTOR_H

#include "sys/stream.h"

enum probe_tls { PROBE_TLS_OFF, PROBE_TLS_TRY, PROBE_TLS_REQUIRE, PROBE_TLS_VERIFY };

struct probe_want {      /* views live until on_seen */
    struct addr address; /* with port; or a unix socket's path */
    struct bytes path;
    struct addr source;    /* family 0: the system's choice */
    struct bytes hostname; /* for EHLO */
    bool lmtp;
    bool implicit; /* TLS from the first octet */
    enum probe_tls tls;
    struct tls_client *tls_client;
    struct bytes tls_name; /* that the certificate must carry */
    bool login;
    struct bytes user, password;
    struct bytes token; /* instead of a password */
    int64_t timeout_ms; /* for all of it */
};

/* Where it ended; PROBE_DONE: nothing was wrong. */
enum probe_step {
    PROBE_CONNECT,
    PROBE_BANNER,
    PROBE_EHLO,
    PROBE_STARTTLS, /* not offered, or refused */
    PROBE_TLS,      /* the handshake, the certificate */
    PROBE_AUTH,
    PROBE_DONE,
};
struct probe_seen {
    enum probe_step step;
    struct why why;      /* unless done; with the server's reply code if it gave one */
    struct bytes banner; /* its first line, without the code */
    bool extended;       /* it knows EHLO */
    bool starttls;       /* offered */
    struct bytes auth_plain,
        auth; /* mechanisms it offered before TLS, and at last; empty: no AUTH */
    bool secured, trusted;
    struct bytes protocol, cipher;
    int64_t not_after; /* of its certificate, wall ms; 0: none */
    struct bytes mechanism;
    bool logged_in;
};

struct probe;
/* on_seen comes exactly once, never before the call returned; the probe is gone with it, and what
 * was seen too. */
struct probe *probe_open(struct loop *l, const struct probe_want *want,
                         void (*on_seen)(void *ctx, const struct probe_seen *seen), void *ctx);
/* Ends it without a callback. */
void probe_close(struct probe **p);

#endif
