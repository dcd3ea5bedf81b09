/* settle: the table; the first row that holds is taken. */
#include "doctor/settle.h"

#include "base/must.h"

#include <stddef.h>
#include <string.h>

/* Words that are surer than this have one meaning. */
static const double PLAIN_WORDS = 0.8;

static bool is_one_of(const char *cause, const char *const *list) {
    for (; *list; list++)
        if (!strcmp(cause, *list))
            return true;
    return false;
}

static bool is_vague(const struct settle_facts *f) {
    static const char *const vague[] = { "unknown", "policy", "server-fault", "not-supported",
                                         NULL };
    return is_one_of(f->words, vague) || f->confidence < 0.7;
}

static bool is_relay(const struct settle_facts *f) {
    static const char *const relay[] = { "relay-not-authorised", "relay-domain-not-hosted",
                                         "auth-required",        "relay-sender-not-registered",
                                         "relay-attribution",    NULL };
    return is_one_of(f->words, relay);
}

static bool says(const struct settle_facts *f, const char *cause) {
    return !strcmp(f->words, cause);
}

bool settle_is_clear(const char *cause) {
    static const char *const clear[] = { "greylisted",
                                         "rate-limited",
                                         "quota",
                                         "mailbox-full",
                                         "too-big",
                                         "too-many-recipients",
                                         "virus",
                                         "system-full",
                                         "recipient-disabled",
                                         "moved",
                                         "vacation",
                                         "delivered",
                                         "suspended",
                                         "domain-takes-no-mail",
                                         "tls-required",
                                         "syntax",
                                         NULL };
    return is_one_of(cause, clear);
}

static bool hosts_another(const struct settle_facts *f) {
    return f->hosted == TRIAL_TAKEN || f->hosted == TRIAL_OTHERWISE;
}

/* --- the rows ---------------------------------------------------------------------------------------- */

static bool login_sender(const struct settle_facts *f) {
    return f->login && f->login_sender == TRIAL_TAKEN;
}

static bool own_sender(const struct settle_facts *f) {
    return !f->login && f->sender_is_own && f->foreign_sender == TRIAL_TAKEN;
}

static bool login_hurts(const struct settle_facts *f) {
    return f->login && f->without_login == TRIAL_TAKEN && (is_vague(f) || is_relay(f));
}

static bool own_refused(const struct settle_facts *f) {
    return f->step == STEP_RCPT && f->is_mx && f->hosted_is_domain && f->hosted == TRIAL_REFUSED;
}

/* The words of a recipient who is not there, and a foreign one is refused, too. */
static bool unknown_like_foreign(const struct settle_facts *f) {
    return says(f, "recipient-unknown") && f->foreign == TRIAL_REFUSED;
}

/* Some servers refuse to relay in the words of a recipient who is not there; those words say little. */
static bool domain_missing(const struct settle_facts *f) {
    bool masked = unknown_like_foreign(f) && f->confidence < PLAIN_WORDS;
    return own_refused(f) && (is_relay(f) || masked);
}

/* Plain words, but the domain's postmaster is refused: many domains have none. The words stand, and the other is
 * told as a possibility. */
static bool domain_doubtful(const struct settle_facts *f) {
    return own_refused(f) && unknown_like_foreign(f);
}

static bool recipient_missing(const struct settle_facts *f) {
    return f->is_mx && f->hosted_is_domain && f->hosted == TRIAL_TAKEN && f->step == STEP_RCPT &&
           (is_relay(f) || says(f, "unknown"));
}

static bool relay_in_disguise(const struct settle_facts *f) {
    return f->step == STEP_RCPT && f->mx_known && !f->is_mx && !f->login && hosts_another(f) &&
           (is_vague(f) || says(f, "recipient-unknown") || says(f, "client-denied"));
}

static bool relay_proper(const struct settle_facts *f) {
    return f->step == STEP_RCPT && !f->is_mx && !f->login && hosts_another(f) && is_relay(f);
}

static bool login_in_vain(const struct settle_facts *f) {
    return f->login && f->without_login == TRIAL_REFUSED && f->step == STEP_RCPT && !f->is_mx &&
           is_relay(f);
}

static bool sender_refused(const struct settle_facts *f) {
    return f->null_sender == TRIAL_TAKEN && is_vague(f);
}

/* What it says to a foreign recipient is something else: so it knows this domain. */
static bool domain_known(const struct settle_facts *f) {
    return f->step == STEP_RCPT && f->is_mx && f->foreign == TRIAL_OTHERWISE && is_vague(f);
}

static bool all_refused(const struct settle_facts *f) {
    return f->hosted_sure && f->hosted == TRIAL_REFUSED && f->null_sender != TRIAL_TAKEN &&
           f->foreign_sender != TRIAL_TAKEN && f->foreign != TRIAL_TAKEN && is_vague(f);
}

static bool other_recipients_taken(const struct settle_facts *f) {
    return f->step == STEP_RCPT && f->hosted_sure && f->hosted == TRIAL_TAKEN && f->is_mx &&
           is_vague(f);
}

static const struct {
    bool (*holds)(const struct settle_facts *f);
    struct settled settled;
} rows[] = {
    { login_sender,
      { "sender-not-permitted",
        "With the login's own address as the sender the same recipient is taken: it is the sender that the login may not use.",
        0.95, false } },
    { own_sender,
      { "auth-required",
        "From a foreign sender the same recipient is taken, from the server's own domain it is not: it wants its own senders to log in.",
        0.9, false } },
    { login_hurts,
      { "account-restricted",
        "Without the login the same is taken: it is this account that may not send it.", 0.8,
        false } },
    { domain_missing,
      { "relay-domain-not-hosted",
        "The DNS names it for this domain, but it refuses the domain's postmaster in the same way: it does not host the domain.",
        0.97, false } },
    { domain_doubtful,
      { NULL,
        "It refuses the domain's postmaster and a foreign recipient in the same words: either there is no such recipient, or the server does not host the domain at all.",
        0.75, true } },
    { recipient_missing,
      { "recipient-unknown",
        "The domain's postmaster is taken: the server hosts the domain, but not this recipient.",
        0.85, false } },
    { relay_in_disguise,
      { "relay-not-authorised",
        "It is not a mail server of the recipient's domain, and for its own domain it answers otherwise: what it refuses is to relay, whatever its words say.",
        0.95, false } },
    { relay_proper,
      { NULL,
        "For its own domain it answers otherwise: it is relaying that it refuses, not this client.",
        0.97, false } },
    { login_in_vain,
      { "relay-not-authorised",
        "With the login and without it the answer is the same: the login gives no right to relay.",
        0.9, false } },
    { sender_refused,
      { "sender-blocked",
        "From the null sender the same recipient is taken: it is the sender that it refuses.", 0.8,
        false } },
    { domain_known,
      { "recipient-unknown",
        "A foreign recipient is refused in other words: the server knows this domain, and refuses this recipient.",
        0.75, false } },
    { all_refused,
      { "client-denied",
        "It refuses recipients of its own as well, whoever the sender is: it takes nothing from this address.",
        0.8, false } },
    { other_recipients_taken,
      { "recipient-unknown",
        "Another recipient of its own is taken: it is this recipient that it refuses.", 0.7,
        false } },
};

bool settle_cause(const struct settle_facts *f, struct settled *out) {
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (rows[i].holds(f)) {
            *out = rows[i].settled;
            return true;
        }
    return false;
}

bool settle_port(enum settle_port port, struct settled *out) {
    static const struct settled ports[] = {
        [PORT_WANTS_TLS] = { "tls-required",
                             "With TLS from the first octet it greets: this port is not for plain text.",
                             0.98, false },
        [PORT_WANTS_PLAIN] = { "tls-failed",
                               "In plain text it greets: this port has no TLS from the first octet.",
                               0.98, false },
    };
    if (port == PORT_AS_IT_IS)
        return false;
    *out = ports[port];
    return true;
}
