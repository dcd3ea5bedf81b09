/* relaytest: would this server carry mail from a stranger to a stranger? Tries the known ways of writing a
 * foreign recipient (and sender, and EHLO name) so that a careless server takes it for one of its own.
 *
 * Each form is a row of a table; it goes as MAIL and RCPT in a transaction of its own, and no content
 * follows: nothing is ever sent, unless `message` is set. No login is ever used. What came of a
 * form has one of three grades: refused; accepted at RCPT, which is no proof, as servers may accept
 * there and refuse, return or drop later; and proven, when a message that went that way was seen to
 * arrive. Beside the forms go controls: recipients that only a server takes that takes anything
 * in its own domain. They explain away what is accepted as a local address.
 *
 * Order of calls: relaytest_open, one server and port; on_over comes once. Then the caller may wait for
 * what was sent (relaytest_sighted). relaytest_judge says what all of it means. */
#ifndef DOCTOR_RELAYTEST_H
#define DOCTOR_RELAYTEST_H

#include "doctor/finding.h"
#include "sys/stream.h"

/* --- forms ---------------------------------------------------------------------------------- */

enum relay_grade {
    RELAY_UNTRIED,
    RELAY_REFUSED,
    RELAY_LATER, /* a temporary refusal that says nothing of relaying */
    RELAY_ACCEPTED,
    RELAY_PROVEN,
};
const char *relay_grade_name(
    enum relay_grade g); /* "untried" "refused" "later" "accepted" "proven" */

/* Whose the recipient is for one who looks behind the last @ only, as RFC 5321 has it. What the server takes
 * there from anybody is no relaying. */
enum relay_place {
    RELAY_FOREIGN, /* the target's: to take it is to relay */
    RELAY_AT_NAME,
    RELAY_AT_DOMAIN,
    RELAY_AT_LITERAL,
    RELAY_AT_LOCALHOST,
    RELAY_AT_NOTHING, /* no domain at all */
    RELAY_PLACES,
};

struct relay_names {           /* what stands for {user} {target} ...; empty: not known */
    struct bytes user, target; /* the foreign recipient */
    struct bytes other;        /* another foreign domain */
    struct bytes name;         /* the server's own name */
    struct bytes domain;       /* its mail domain */
    struct bytes literal;      /* "[192.0.2.1]", "[IPv6:2001:db8::1]" */
    struct bytes from;         /* the tester's sender */
    struct bytes stranger;     /* a local part that nobody has */
};

enum relay_sent { RELAY_NOT_SENT, RELAY_SENT, RELAY_RETURNED, RELAY_SEEN };

struct relay_test {
    const char *id;    /* "percent-at-name" */
    const char *about; /* half a sentence */
    bool control;
    enum relay_place place;
    struct bytes helo; /* empty: the tester's own */
    struct bytes from, to;
    uint16_t port;
    enum relay_grade grade;
    bool harmless;     /* accepted as a local address, as anything would be */
    int code;          /* 0: no reply */
    struct bytes text; /* the reply, or why there is none */
    const char *stage; /* that answered: "MAIL" "RCPT" "DATA" "end of data" */
    const char *cause; /* of a refusal, see reply/knowledge.h */
    enum relay_sent sent;
    struct bytes seen_by; /* from where the delivery came, when that is known */
};

/* All forms that these names allow, each once, controls first; on a second port only the plain ones
 * (`brief`). Ports are left 0. */
size_t relaytest_plan(struct arena *a, const struct relay_names *names, bool brief,
                      struct relay_test **out);
/* A template with its {names} put in; false when one is not known. */
bool relaytest_expand(struct arena *a, const char *template, const struct relay_names *names,
                      struct bytes *out);
/* The mail domain that a host of this name most likely serves: "example.com" for "mail.example.com". */
struct bytes relaytest_domain_of(struct bytes name);

/* --- the conversation ------------------------------------------------------------------------ */

struct relaytest_want {        /* views live until on_over */
    struct addr address;       /* with port */
    struct addr source;        /* family 0: the system's choice */
    struct bytes hostname;     /* for EHLO */
    struct bytes host;         /* as the user named it */
    struct bytes name, domain; /* the server's; empty: as it says itself, or as host suggests */
    struct bytes from;         /* empty: none but the null sender is at hand; made up */
    struct bytes to;           /* the foreign recipient; empty: one in a domain for examples */
    bool lmtp, implicit, brief;
    struct tls_client
        *tls;             /* STARTTLS where it is offered, whatever the certificate; NULL: never */
    int64_t pause_ms;     /* between transactions */
    int64_t timeout_ms;   /* for one reply */
    int64_t deadline_ms;  /* for all of it */
    unsigned connections; /* at most */
    unsigned per_connection; /* transactions, then it takes its leave and comes again */
    size_t
        messages; /* how many of the accepted forms are tried with a message; 0: nothing is sent */
    struct bytes token; /* that marks them */
};

struct relaytest_seen {
    struct addr local, remote; /* family 0: never connected */
    struct bytes banner;       /* its first line, without the code */
    struct relay_names names;
    bool secured;
    struct bytes no_tls; /* why it went on without, though it was offered */
    bool made_up;        /* the recipient is ours, in a domain for examples */
    struct bytes why;    /* why it ended before all was tried; empty: it did not */
    bool gave_up;        /* there was no conversation at all */
    unsigned connections;
    int64_t slowest_ms; /* reply */
    size_t count;
    struct relay_test *tests;
};

struct relaytest;
/* on_over comes exactly once, never before the call returned; what is seen lives in `a`, and may be looked
 * at, and messages told as sighted, before it is over. */
struct relaytest *relaytest_open(struct loop *l, struct arena *a, const struct relaytest_want *want,
                                 void (*on_over)(void *ctx), void *ctx,
                                 struct relaytest_seen **seen_out);
void relaytest_close(struct relaytest **t); /* without a callback */

/* A message arrived: notes whether it is one of ours, delivered (token in its header) or returned (in what
 * follows). True when it is. `by` is copied. */
bool relaytest_sighted(struct arena *a, struct relaytest_seen *seen, struct bytes token,
                       struct bytes message, struct bytes by);
/* The whole message that test number n of this list sends. */
void relaytest_message(struct buf *out, const struct relaytest_seen *seen, size_t n,
                       struct bytes token, int64_t wall_ms);

/* --- what it means ----------------------------------------------------------------------------- */

enum relay_verdict { RELAY_IS_CLOSED, RELAY_IS_UNCLEAR, RELAY_IS_SUSPICIOUS, RELAY_IS_OPEN };
const char *relay_verdict_grade(enum relay_verdict v); /* "refused" "unclear" "accepted" "proven" */
/* Marks what is harmless, and adds findings. `waited`: for what was sent, 0 if it could not be looked for. */
enum relay_verdict relaytest_judge(struct relaytest_seen *seen, int64_t waited_ms,
                                   struct finding_list *findings);

#endif
