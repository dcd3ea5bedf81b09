/* command: one line from a client, parsed (RFC 5321 sections 4.1.1 and 4.1.2, RFC 1870, 3461, 4954,
 * 6152, 6531, 3030, XCLIENT). Nothing is decided here. */
#ifndef SMTP_COMMAND_H
#define SMTP_COMMAND_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/why.h"

enum smtp_verb {
    SMTP_UNKNOWN,
    SMTP_HELO,
    SMTP_EHLO,
    SMTP_STARTTLS,
    SMTP_AUTH,
    SMTP_MAIL,
    SMTP_RCPT,
    SMTP_DATA,
    SMTP_BDAT,
    SMTP_RSET,
    SMTP_NOOP,
    SMTP_QUIT,
    SMTP_VRFY,
    SMTP_EXPN,
    SMTP_HELP,
    SMTP_ETRN,
    SMTP_XCLIENT,
    SMTP_VERBS,
};
const char *smtp_verb_name(enum smtp_verb v);

/* A path of MAIL or RCPT. */
struct smtp_path {
    bool null;            /* <> */
    bool postmaster;      /* <postmaster> without domain */
    bool source_route;    /* had @a,@b: in front; dropped (RFC 5321 appendix C) */
    struct bytes mailbox; /* local@domain; local part unquoted when it needs no quotes, domain in
                             lower case and as A-labels */
    struct bytes local;   /* unquoted, unescaped */
    struct bytes domain;  /* "example.com" or "[192.0.2.1]" */
    bool utf8;            /* needs SMTPUTF8 */
};

enum smtp_body { SMTP_BODY_7BIT, SMTP_BODY_8BITMIME, SMTP_BODY_BINARYMIME };

struct smtp_mail {
    struct smtp_path from;
    bool has_size;
    uint64_t size;
    enum smtp_body body;
    bool smtputf8;
    uint8_t ret;        /* 0 none, 1 FULL, 2 HDRS */
    struct bytes envid; /* xtext decoded */
    bool has_auth;
    struct bytes auth; /* AUTH=, decoded; "<>" stays */
};
struct smtp_rcpt {
    struct smtp_path to;
    uint8_t notify; /* flow/envelope.h's bits: NEVER 1 SUCCESS 2 FAILURE 4 DELAY 8 */
    struct bytes orcpt;
};

struct smtp_command {
    enum smtp_verb verb;
    struct bytes line;     /* all of it, without CRLF */
    struct bytes argument; /* behind the verb, trimmed */
    union {
        struct smtp_mail mail;
        struct smtp_rcpt rcpt;
        struct {
            uint64_t size;
            bool last;
        } bdat;
        struct {
            struct bytes mechanism; /* upper case */
            struct bytes initial;   /* base64 or "=" as it came */
            bool has_initial;
        } auth;
        struct {
            struct bytes name, addr, port, helo, proto, login; /* xtext decoded; NULL if not given,
                                                   empty for [UNAVAILABLE] and [TEMPUNAVAIL] */
        } xclient;
    };
};

/* line without CRLF. OK, or PERM and a why: 500 5.5.2 (unknown verb: verb is SMTP_UNKNOWN, code 500
 * 5.5.1), 501 5.5.4 (arguments; says what was expected), 555 5.5.4 (parameter not known), 553 5.1.3
 * or 501 5.1.7 (address). Reasons: syntax.command, syntax.argument, syntax.parameter,
 * syntax.address. */
enum rc smtp_command_parse(struct bytes line, struct arena *a, struct smtp_command *out,
                           struct why *why);

/* xtext (RFC 3461 section 4). */
bool smtp_xtext_decode(struct bytes text, struct arena *a, struct bytes *out);
void smtp_xtext_encode(struct buf *out, struct bytes text);

#endif
