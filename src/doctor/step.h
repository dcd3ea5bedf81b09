/* step: the steps of a conversation with a mail server, what each is called in findings, transcripts and JSON,
 * and with which code `postern doctor` ends when it is to blame (those of swaks). */
#ifndef DOCTOR_STEP_H
#define DOCTOR_STEP_H

enum step {
    STEP_DNS,
    STEP_CONNECT,
    STEP_BANNER,
    STEP_EHLO,
    STEP_XCLIENT,
    STEP_STARTTLS, /* and the handshake, and the certificate, with TLS from the first octet too */
    STEP_AUTH,
    STEP_MAIL,
    STEP_RCPT,
    STEP_DATA,
    STEP_END, /* the answer to the final dot */
    STEP_QUIT,
    STEP_NONE, /* nothing is to blame */
    STEPS,
};
const char *step_name(enum step s); /* "RCPT"; NULL for STEP_NONE */
int step_exit(enum step s);
/* "its answer to RCPT": what is waited for there. */
const char *step_awaited(enum step s);

/* How a step failed. */
enum how {
    HOW_FINE,
    HOW_REFUSED,     /* by a reply */
    HOW_UNREACHABLE, /* no connection came about; the reason says why: "connect.refused" ... */
    HOW_CLOSED,      /* the server closed, or the connection broke */
    HOW_TIMEOUT,
    HOW_NONSENSE,    /* what came is no SMTP */
    HOW_HANDSHAKE,   /* TLS did not come about */
    HOW_CERTIFICATE, /* it does not hold */
    HOW_NOT_OFFERED, /* STARTTLS, or a login, or one of a mechanism that we know */
    HOW_WITHHELD,    /* the password was not sent: the connection is not safe */
    HOW_UNPROVED,    /* the server's part of the login is wrong */
    HOW_OUT_OF_TIME, /* the time for all of it was over */
};

#endif
