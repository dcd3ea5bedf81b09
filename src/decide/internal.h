/* internal: what the files of decide share: a decision under way, and how the rules end it.
 *
 * A step is a table of rules, tried in order. A rule returns true when it ended the decision: by an
 * acceptance, a refusal, or by asking for a fact. */
#ifndef DECIDE_INTERNAL_H
#define DECIDE_INTERNAL_H

#include "base/must.h"
#include "decide/decide.h"

/* The settings of a connector's WHO that did not hold. */
enum who_bit {
    WHO_CLIENTS = 1,
    WHO_EXCEPT = 2,
    WHO_GATEWAY = 4, /* the address says nothing about who is calling */
    WHO_LISTENERS = 8,
    WHO_AUTH = 16,
    WHO_CERTIFICATE = 32,
    WHO_POP = 64,
    WHO_LOCAL_USERS = 128,
    WHO_TENANT = 256,
    WHO_SUSPENDED = 1 << 20, /* by the tripwire */
    WHO_NOBODY = 512,        /* names nobody at all */
};

/* Where one connector stands in this session. */
enum stands { STANDS_OUT, STANDS_EXPIRED, STANDS_UNSURE, STANDS_IN };
struct standing {
    unsigned fails;       /* who_bits */
    uint32_t needs;       /* facts that would tell whether it is in play */
    bool expired;         /* all else holds or not: its time is over */
    struct bytes because; /* of the first that failed, or what held */
};

enum holds { HOLDS, FAILS, UNSURE };

enum recipient_class { TO_OTHERS, TO_OWN, TO_POSTMASTER };

struct decision {
    const struct config *config;
    const struct facts *facts;
    struct arena *arena;
    enum decide_step step;
    struct verdict *out;
    struct standing *standings; /* one a connector, made when first asked for */
    struct rule *rules;
    size_t rule_cap;
    struct change *changes;
    size_t change_cap;
    enum recipient_class to; /* STEP_RCPT */
    const struct domain *domain;
    const bool *passes; /* one a connector: it grants this recipient, but for its limits */
    bool granting;      /* one passes at least: it is charged */
    bool limited;       /* decide_limits has spoken */
};
typedef bool decide_rule(struct decision *d);

/* --- decide.c: how rules end, and what they leave behind ------------------------------------ */
enum refusal {
    REFUSE_CONNECTIONS,
    REFUSE_TLS_REQUIRED,
    REFUSE_AUTH_NOT_HERE,
    REFUSE_SEQUENCE,
    REFUSE_MECHANISM,
    REFUSE_PLAINTEXT,
    REFUSE_LOGIN,
    REFUSE_AUTH_REQUIRED,
    REFUSE_SIZE,
    REFUSE_QUEUE_FULL,
    REFUSE_BLOCKED_SENDER,
    REFUSE_TENANT_NETWORK,
    REFUSE_APP_NETWORK,
    REFUSE_RECIPIENTS,
    REFUSE_UNKNOWN,
    REFUSE_GROUP,
    REFUSE_SRS_FORGED,
    REFUSE_SRS_EXPIRED,
    REFUSE_SRS_SENDER,
    REFUSE_BEHIND,
    REFUSE_PROBE_LATER,
    REFUSE_PROBE_LIMIT,
    REFUSE_SENDER,
    REFUSE_NO_GRANT,
    REFUSE_EXPIRED,
    REFUSE_MESSAGES_QUOTA,
    REFUSE_RECIPIENTS_QUOTA,
    REFUSE_BARE_NEWLINE,
    REFUSE_HOPS,
    REFUSE_FROM_COUNT,
    REFUSE_HEADER,
    REFUSE_BLOCKED_HEADER,
    REFUSE_SUSPENDED,
    REFUSE_HELO,
    REFUSE_PTR,
    REFUSE_BLOCKLIST,
    REFUSE_GREYLIST,
    REFUSE_LOGIN_VOID,
    REFUSE_NO_MAILDROP,
    REFUSE_DIRECTORY_DOWN,
    REFUSE_COUNTERS_DOWN,
    REFUSE_GATEWAYS_DOWN,
    REFUSE_COUNT,
};
/* The row of a refusal; false: there are not so many. For tests that none is left out. */
struct refusal_row {
    enum rc rc;
    int code;
    const char *status, *reason;
};
bool decide_refusal_row(size_t i, struct refusal_row *out);
/* Each ends the decision and returns true; at RCPT what is accepted must have room in its limits
 * first, and may be refused for that. `remedy` is left out of the reply when explain = brief. */
bool decide_refuse(struct decision *d, enum refusal refusal, struct bytes what,
                   struct bytes remedy);
bool decide_accept(struct decision *d, struct bytes because);
/* The remedy, if a reply has room for it behind `what`; else the shorter one. */
struct bytes decide_fitting(struct bytes what, struct bytes remedy, struct bytes shorter);
/* MORE for facts that are not known yet; TEMP when one of them could not be had. */
bool decide_ask(struct decision *d, uint32_t facts);
void decide_trace(struct decision *d, struct bytes name, bool matched, struct bytes because);
void decide_change(struct decision *d, const char *kind, bool safe, struct bytes argument,
                   struct bytes text);
/* For sentences: an address of a client; text cut to what a reply can bear. */
struct bytes decide_text_addr(struct decision *d, struct addr a);
struct bytes decide_text_spki(struct decision *d, struct bytes spki); /* "spki-sha256:HEX" */
struct bytes decide_text_cut(struct decision *d, struct bytes text);
struct bytes decide_listener_name(struct decision *d, const char *setting);
#define SAY(d, ...) arena_printf((d)->arena, __VA_ARGS__)

/* --- connector.c: WHO and WHAT of connectors -------------------------------------------------- */
const struct standing *decide_standings(struct decision *d);
enum stands decide_stands(const struct standing *s);
bool decide_trusts_address(const struct connector *c); /* and asks for nothing else of the caller */
/* A grant that only the tripwire stands in the way of. */
bool decide_refuse_suspended(struct decision *d);
bool decide_expired(const struct connector *c, int64_t now);
bool decide_relays_to(const struct connector *c, struct bytes mailbox);
/* May this connector's sessions send as `mailbox`? In the envelope, or (header) in a field of the
 * message, where the empty view is a mailbox nobody could read. UNSURE: *needs says what tells.
 * c NULL: a login without a connector, which is bound to `own`. */
enum holds decide_sender(struct decision *d, const struct connector *c, struct bytes mailbox,
                         bool header, uint32_t *needs);
/* Is the session's app password bound to other senders? */
bool decide_app_forbids(const struct facts *f, struct bytes mailbox);
/* ... and is that all that is against it? */
bool decide_app_alone_forbids(struct decision *d, struct bytes mailbox, bool header);
/* The login that counts: the session's, else the one a POP window is open for. */
struct bytes decide_login(const struct facts *f);
const struct tenant *decide_tenant(struct decision *d);
/* Is the mailbox this login's: an address, an alias, a send-as right, or a plain address's tag? */
bool decide_owns(struct decision *d, const struct directory_entry *e, struct bytes mailbox);

/* --- pop.c: whom of those who logged in by POP3 from this address a message is from ------------ */
/* Puts the choice into f (a copy of the facts that the rules go by). True when it ended the decision
 * by asking. */
bool decide_choose_popped(struct decision *d, struct facts *f);

/* --- recipient.c: recipients of ours ------------------------------------------------------------- */
struct bytes decide_local(struct bytes mailbox);
struct bytes decide_domain(struct bytes mailbox);

/* --- rules.c (connection to MAIL), relay.c (RCPT), content.c ----------------------------------- */
decide_rule decide_rule_own_door;
decide_rule decide_rule_whose_address, decide_rule_connections;
decide_rule decide_rule_tls;
decide_rule decide_rule_auth_offered, decide_rule_auth_sequence, decide_rule_auth_plaintext,
    decide_rule_auth_mechanism, decide_rule_login;
decide_rule decide_rule_auth_required, decide_rule_size, decide_rule_queue,
    decide_rule_blocked_sender;
decide_rule decide_rule_app_network;
decide_rule decide_rule_tenant_network, decide_rule_recipient_count, decide_rule_recipient_class,
    decide_rule_bound_sender, decide_rule_domain_blocked_sender, decide_rule_recipient_known,
    decide_rule_relay;
decide_rule decide_rule_login_live, decide_rule_maildrop; /* rules.c */
decide_rule decide_rule_bare_newline, decide_rule_hops, decide_rule_one_from,
    decide_rule_header_senders, decide_rule_blocked_header;

/* --- limits.c ---------------------------------------------------------------------------------
 * Before a recipient is accepted: have all limits that count it room? Chooses the connector that is
 * charged. True when the decision is ended, by a refusal or a question. */
bool decide_limits(struct decision *d);
/* Is the caller from outside: no login, no user of this host, no connector in play? True when it ended
 * the decision by asking. */
bool decide_outside(struct decision *d, bool *outside_out);

/* --- reputation.c: HELO, PTR, DNS lists, greylist of callers from outside, for recipients of ours -- */
bool decide_reputation(struct decision *d);

/* --- example.c: whom a configuration relays for ---------------------------------------------------- */
/* An address that the pattern matches; empty: only the null sender. */
struct bytes decide_example_address(const struct pattern *p, struct arena *a);

/* --- changes.c: what would turn a refusal into acceptance -------------------------------------- */
/* The listener to send a person to who should log in, or NULL: none, or a login would not help. */
const struct listener *decide_login_listener(struct decision *d);
/* "Log in on port 587", or empty. */
struct bytes decide_login_words(struct decision *d);
void decide_changes_login(struct decision *d);
/* A login that is disabled or gone. */
void decide_changes_user(struct decision *d);
/* The session's app password may not be used for this sender (empty: from this address). */
void decide_changes_app(struct decision *d, struct bytes mailbox);
void decide_changes_no_grant(struct decision *d);
void decide_changes_waiver(struct decision *d, bool tls);
/* mailbox: of the envelope, or of a header field. */
void decide_changes_sender(struct decision *d, struct bytes mailbox, bool header);
/* What the login may send as: "a@x, *@y and 3 more"; empty without a login, or when nothing. */
struct bytes decide_sender_words(struct decision *d, bool header);

#endif
