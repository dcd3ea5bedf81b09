/* verdict: the facts a decision is made from, and what it comes to. decide/decide.h makes one of
 * the other; accept, why and check gather facts and carry verdicts out. Values: the views and lists
 * belong to whoever filled them in, and live until the verdict has been used. */
#ifndef FLOW_VERDICT_H
#define FLOW_VERDICT_H

#include "config/config.h"
#include "directory/entry.h"
#include "flow/outcome.h"

enum decide_step {
    STEP_CONNECT, /* limits on connections; listeners' PROXY peers */
    STEP_COMMAND, /* gate before every command: TLS required (facts.verb) */
    STEP_AUTH,    /* may this mechanism be used here, now */
    STEP_LOGIN,   /* the password is right: may this login be used at all. The keeper says so of a
                     real one; this is for those who ask without a password */
    STEP_MAIL,
    STEP_RCPT,
    STEP_CONTENT,  /* after the data: header From, Sender, Reply-To; syntax of the header */
    STEP_MAILDROP, /* POP3, behind a login: may its mailbox be opened */
};

enum fact_state { FACT_UNKNOWN, FACT_KNOWN, FACT_FAILED };
enum fact {                     /* bits of verdict.missing */
            FACT_LOGIN = 1,     /* facts.login_entry: the directory's entry of the login */
            FACT_RECIPIENT = 2, /* facts.recipient_entry */
            FACT_GATEWAY =
                4, /* facts.gateway: is the client's address a default gateway or bridge */
            FACT_COUNTERS = 8,      /* facts.counts for verdict.limits */
            FACT_SENDER_ENTRY = 16, /* facts.sender_entry: whom the sender address belongs to */
            FACT_POPPED = 32,       /* the entries of all in facts.popped */
            FACT_MEMBER = 64,     /* facts.memberships has verdict.member: is it one of the group */
            FACT_SRS = 128,       /* facts.srs: is the recipient a sender we rewrote */
            FACT_PROBE = 256,     /* facts.probe: what the deliver target says of the recipient */
            FACT_HELO = 1 << 16,  /* facts.helo_...: does the name exist, and lead here */
            FACT_PTR = 1 << 17,   /* facts.ptr_...: the name of the client's address */
            FACT_LISTS = 1 << 18, /* facts.listings of the listener's DNS lists */
            FACT_GREY = 1 << 19,  /* facts.grey_opens */
};

/* Does a sender, or the login it stands for, belong to a group. */
struct membership {
    struct bytes group, login, sender; /* who was asked about; one of both may be empty */
    bool member;
};
/* An address of ours in the form of SRS. */
enum srs_state { SRS_GOOD, SRS_FORGED, SRS_EXPIRED };

/* One limit that counts a message, once, or each of its recipients. */
struct limit {
    struct bytes name;   /* whose setting: "connector people", "domain proseware.com" ... */
    const char *setting; /* "limit" "limit_total" "limit_recipients" ... */
    struct bytes key;    /* what is counted together: "connector/people/login/anna@example.com" */
    struct bytes whose;  /* for sentences: "for login anna@example.com" */
    struct rates rates;
    bool recipients;
    bool crowd; /* strangers can make any number of such keys */
    bool alarm; /* who reaches it may have been taken over */
};
/* How full it is. */
struct count {
    struct bytes key;
    bool full;         /* no room for one more */
    struct rate which; /* the rate that is full */
    int64_t opens;     /* wall ms when there is room again */
};

struct mailbox_header {   /* of From, Sender or Reply-To; see message/header.h */
    const char *field;    /* "From" "Sender" "Reply-To" */
    struct bytes mailbox; /* local@domain, or empty when it could not be parsed */
};

/* A login whose POP window may be open at the client's address. */
struct popped {
    struct bytes login;
    int64_t at; /* wall ms of its last POP3 login from there */
    enum fact_state state;
    const struct directory_entry *entry; /* NULL when known and gone */
};

/* What an authority of config.client_authorities says of the client's certificate. */
struct vouch {
    struct bytes authority; /* its path */
    bool vouches;
    struct bytes because; /* why not */
};

/* What a DNS list says of the client; see config's struct dnslist. */
struct listing {
    struct bytes zone;
    bool failed; /* it could not be asked, or its answer is none */
    struct bytes because;
    size_t code_count; /* 0: not listed */
    const uint32_t *codes;
    struct bytes text; /* printable */
};

struct facts {
    /* the connection */
    const struct listener *listener; /* NULL: postern send (local door) or the inner door */
    bool local_door;                 /* handed in over submit.sock */
    struct bytes local_user;         /* its user's name */
    bool inner_door;                 /* a report of our own */
    struct addr client;
    struct addr local; /* the address of ours it connected to, for tenants; family 0: not known */
    /* Who told `client`, when a PROXY header or XCLIENT was believed: "PROXY", "XCLIENT"; NULL:
     * nobody, it is the connection's own. And the peer's address; family 0: not known. */
    const char *client_told_by;
    struct addr client_peer;
    bool client_unknown; /* PROXY LOCAL or UNKNOWN: earns no network grant */
    enum fact_state gateway_state;
    bool gateway;                /* client is a default gateway or bridge address of this host */
    int tls_version;             /* 0 plain, 12, 13 */
    struct bytes client_spki;    /* 32 octets, or empty: no certificate was shown */
    struct strings client_names; /* of hosts and mailboxes in it, lower case; true if vouched for */
    size_t vouch_count;
    const struct vouch *vouches;
    int64_t suspended; /* wall ms: the tripwire has suspended grants by this address; 0: no */
    struct bytes helo;
    /* FACT_FAILED of these: the DNS does not answer; nobody is refused for that. */
    enum fact_state helo_state, ptr_state, listings_state, grey_state;
    bool helo_missing, helo_confirmed; /* there is no such host; its address is the client's */
    struct bytes ptr_name;             /* empty: the client's address has none */
    bool ptr_confirmed;                /* it leads back to the address */
    size_t listing_count;
    const struct listing *listings;
    int64_t grey_opens;          /* wall ms; in the past: it has come back */
    uint64_t client_connections; /* open from this client now, this one included */

    /* the login */
    struct bytes login;     /* empty: none */
    struct bytes mechanism; /* used, or asked for in STEP_AUTH */
    /* Logged in with an app password: its name, and what narrows it; empty lists: nothing does. */
    struct bytes app_password;
    struct patterns app_senders;
    struct networks app_networks;
    enum fact_state login_state;
    const struct directory_entry *login_entry; /* NULL when known and gone */
    /* POP before SMTP: all who logged in from the client's address lately, the newest first. Of
     * these decide chooses, by the sender, the one a message is from, and puts it below. */
    size_t popped_count;
    const struct popped *popped;
    enum fact_state popped_state; /* decide's */
    struct bytes popped_login;    /* with popped_count 0: the only one, or empty */
    int64_t popped_at;

    struct bytes verb; /* STEP_COMMAND: "MAIL" */
    unsigned errors;   /* in this session */

    /* the transaction */
    struct bytes sender; /* empty: null sender */
    bool has_sender;
    uint64_t size;   /* declared by SIZE=, or what came */
    bool queue_full; /* below min_free */
    enum fact_state sender_state;
    const struct directory_entry *sender_entry;
    size_t recipients_so_far; /* accepted in this transaction */
    struct strings charged;   /* connectors charged so far in it */
    struct strings counted;   /* keys of limits that have counted this message */
    struct strings domains;   /* of ours, of the recipients accepted so far */
    struct bytes recipient;
    bool recipient_postmaster; /* <postmaster> without a domain */
    enum fact_state recipient_state;
    const struct directory_entry *recipient_entry; /* NULL: known and there is none */
    enum fact_state member_state; /* FAILED: the latest question could not be answered */
    size_t membership_count;
    const struct membership *memberships;
    /* The sender's domain vouches for it (an aligned DMARC pass): then it counts as owned. Nothing
     * checks that yet, so nobody sets it. */
    bool sender_aligned;
    enum fact_state srs_state;
    enum srs_state srs;
    enum fact_state probe_state;
    enum probe_answer probe;
    struct status probe_status;
    struct bytes probe_said; /* the target's own words, or empty */
    int64_t probe_opens;     /* PROBE_LIMITED: wall ms when it is asked again */
    enum fact_state counts_state;
    size_t count_count;
    const struct count *counts;

    /* after the data */
    size_t from_fields, sender_fields, date_fields;
    bool bare_newline;
    unsigned hops; /* Received fields */
    size_t header_mailbox_count;
    const struct mailbox_header *header_mailboxes;

    int64_t now; /* wall ms */
};

struct rule {          /* one that was tried, in order */
    struct bytes name; /* "connector office", "listener submission: tls", "domain proseware.com" */
    bool matched;
    struct bytes because;
};
struct change { /* one that would turn the refusal into acceptance, safest first */
    struct bytes text;
    bool safe;
    const char
        *kind; /* stable: "login" "own-sender" "outgoing-server" "add-client" "host-domain" ... */
    struct bytes argument; /* what the change is about (an address, a network), for applying it */
};

struct verdict {
    enum rc rc;                 /* OK accept, MORE, TEMP try later, PERM refuse */
    struct why why;             /* the reply; for OK code 250 and what granted it */
    uint32_t missing;           /* with MORE: enum fact bits */
    size_t limit_count;         /* with FACT_COUNTERS: to be looked at; OK at RCPT: to be */
    const struct limit *limits; /* held before 250 is said, kept when the message is taken */
    struct limit *full;         /* refused because of it, or NULL */
    struct count full_count;
    struct bytes login;  /* that it was made for: the session's, or the one whose POP window stands
                           for the sender; FACT_LOGIN asks for its entry */
    struct bytes tenant; /* of the session, at RCPT; empty: none, or not known yet */
    struct membership member; /* with FACT_MEMBER: what to ask */
    bool relay;               /* OK at RCPT: the recipient is not ours */
    struct bytes connector;   /* OK at RCPT: the one to charge; empty: nobody, as for mail
                                         from outside to our own domains */
    /* OK at RCPT: what granted it is the address alone, so the tripwire counts it; with the sender's
     * domain, unless that belongs there. */
    bool watched;
    struct bytes unrelated;
    bool bound; /* the session is bound to its connectors' senders */
    size_t rule_count;
    const struct rule *rules;
    size_t change_count;
    const struct change *changes;
};

#endif
