/* bounce: reads any message that a mail server sends about another message: RFC 3464 in all its broken
 * variants, the formats from before it and beside it, feedback reports, and says what is none of them.
 * It tells what stands there, for each recipient; what that means is reply/knowledge.h's.
 *
 * All text in the answer is UTF-8 on one line with single blanks, without control octets, bounded. */
#ifndef BOUNCE_BOUNCE_H
#define BOUNCE_BOUNCE_H

#include "base/arena.h"
#include "base/why.h"

enum {
    BOUNCE_RECIPIENTS = 5000, /* of one message */
    BOUNCE_TEXT = 2000,       /* octets of a server's words */
    BOUNCE_LINES = 40000,     /* of text for people that are looked at */
    BOUNCE_FORWARDS = 4,      /* messages in each other, to find the one that is a bounce */
};

enum bounce_kind {
    BOUNCE_NONE,
    BOUNCE_BOUNCE,
    BOUNCE_REPORT /* ARF, vacation, success DSN, MDN */
};

struct bounce_recipient {
    struct bytes address; /* whom it was for in the end; may be empty if nobody says */
    struct bytes
        original;       /* as first addressed (Original-Recipient, alias, forward); empty: not told
                              or the same */
    const char *action; /* "failed" "delayed" "delivered" "relayed" "expanded"; for reports also
                              "feedback" "vacation" "displayed" "challenge" */
    int code;           /* as said: of the words first, else of the Status field; 0 unknown */
    struct status status;
    struct bytes text;   /* the server's words, codes kept as they stood */
    struct bytes host;   /* that spoke them; empty: the reporting server itself, or unknown */
    const char *command; /* "connect" "banner" "EHLO" "STARTTLS" "AUTH" "MAIL" "RCPT" "DATA" "end"
                              "DNS"; NULL unknown */
    bool submission;     /* the words came from the sender's own outgoing server */
};
struct bounce {
    enum bounce_kind kind;
    const char *format;    /* which reader took it: "rfc3464" "qmail" "exim" "arf" ... */
    const char *because;   /* of BOUNCE_NONE: why it is none, half a sentence */
    struct bytes reporter; /* the reporting MTA */
    struct bytes sender, subject, message_id,
        date;            /* of the original message, as far as it is there */
    struct bytes header; /* of the original message as it stands, 64 KiB at most; may be empty */
    struct bytes client; /* IP that the refused message came from, as text, when anybody says it */
    bool cut;            /* limits were hit: there is more than was read */
    size_t count;
    const struct bounce_recipient *recipients; /* in their order, none twice */
};

/* Reads a message (whole, headers first; CRLF or LF). OK always but for PERM: it is no message at
 * all. Linear; views live as long as the arena. */
enum rc bounce_read(struct bytes message, struct arena *a, struct bounce *out);

#endif
