/* settle: what conversations that differ in one thing say together. The words of a refusal are often vague or
 * wrong; that the same server takes the same recipient from another sender is neither. Pure. */
#ifndef DOCTOR_SETTLE_H
#define DOCTOR_SETTLE_H

#include "doctor/step.h"

#include <stdbool.h>

/* OTHERWISE: refused, too, but in other words: the server tells the two apart. */
enum trial { TRIAL_NONE, TRIAL_TAKEN, TRIAL_OTHERWISE, TRIAL_REFUSED, TRIAL_FAILED };

struct settle_facts {
    enum step step;    /* that refused in the conversation that counts: STEP_MAIL, STEP_RCPT */
    const char *words; /* the cause that the words give */
    double confidence;
    bool login;            /* it had logged in */
    bool mx_known, is_mx;  /* of the recipient's domain */
    bool sender_is_own;    /* the sender is of a domain whose mail the server takes */
    bool hosted_sure;      /* the DNS, or the user, says that it hosts the other recipient */
    bool hosted_is_domain; /* and that one is in the same domain as the recipient */
    enum trial without_login, null_sender, login_sender, foreign_sender, hosted, foreign,
        other_port;
};
/* Of a port that did not speak as it was spoken to. */
enum settle_port { PORT_AS_IT_IS, PORT_WANTS_TLS, PORT_WANTS_PLAIN };
struct settled {
    const char *cause;   /* NULL: as the words have it */
    const char *because; /* a sentence */
    double confidence;
    bool doubt; /* the words say more than is sure: no more confidence than this */
};
/* False: they say nothing more than the words do. */
bool settle_cause(const struct settle_facts *f, struct settled *out);
/* Of a greeting that did not come, or a handshake that was answered in plain text: what the other way of
 * beginning showed. */
bool settle_port(enum settle_port port, struct settled *out);
/* Do the words leave nothing to be told apart? */
bool settle_is_clear(const char *cause);

#endif
