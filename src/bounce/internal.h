/* internal: what the readers of this folder share. A reader looks at a message and adds sayings: what one
 * source (a machine's fields, a text for people) says of one recipient. bounce.c joins them. */
#ifndef BOUNCE_INTERNAL_H
#define BOUNCE_INTERNAL_H

#include "bounce/bounce.h"
#include "message/mime.h"

/* A view of a literal, for static tables. */
#define W(literal)                                                                                 \
    { "" literal, sizeof(literal) - 1 }

struct saying {
    struct bytes address, original;
    struct bytes text;    /* the server's words */
    struct bytes comment; /* behind the Status field's code: words, where there are no better */
    struct bytes host;
    const char *action, *command;
    struct status status; /* said apart from the words */
};

struct sayings {
    struct saying *list;
    size_t count, room;
};

/* A line of a text for people. */
enum line_kind {
    LINE_TEXT,
    LINE_EMPTY,
    LINE_RULE, /* "-----", "=====", "----- Transcript of session follows -----" */
    LINE_SENT, /* of a session's transcript: what the client said */
    LINE_GOT,  /* what the server said */
};
struct line {
    struct bytes text;  /* without blanks at both ends; of a transcript: without its mark */
    struct bytes whole; /* as it stands */
    size_t indent;
    enum line_kind kind;
    bool session; /* inside a transcript, marked or not */
};
struct lines {
    struct line *at;
    size_t count;
};

struct reading {
    struct arena *arena;
    struct bounce *out;
    struct bytes message; /* the whole */
    struct mime mime;
    struct bytes header;          /* of the whole */
    struct bytes original_header; /* of the message that it speaks of, as far as it is there */
    struct bytes text;            /* for people, without the original message */
    struct bytes low;             /* its beginning in lower case */
    struct lines lines;           /* of that */
    size_t forwards;              /* messages around this one */
    struct sayings fields, words, session;
    bool laid_out; /* lines begin with addresses, or with keys before them */
};

/* --- join.c ------------------------------------------------------------------------------------- */
/* Empty, to be filled in; NULL when there are BOUNCE_RECIPIENTS already. */
struct saying *saying_add(struct reading *r, struct sayings *s);
/* Each address once, in the order in which they came; those without one stay. By address in lower case. */
struct map;
struct map *sayings_unite(struct sayings *s, struct arena *a);
/* What `from` says completes what `to` says, or stands in for it where it says more. */
void sayings_join(struct reading *r, struct sayings *to, struct sayings *from);
bool saying_is_bare(struct bytes text); /* codes and no words */

/* --- clean.c: octets as the answer's text ------------------------------------------------------- */
/* One line, single blanks, UTF-8, at most BOUNCE_TEXT octets. */
struct bytes clean_line(struct bytes text, struct arena *a);
/* "<ann@example.com>" "rfc822;ann@example.com" "\"ann\" (Ann)": the address alone, as it was written. */
struct bytes clean_address(struct bytes text, struct arena *a);
/* "dns; mx.example.com (192.0.2.1)": the name or address of a host alone. */
struct bytes clean_host(struct bytes text, struct arena *a);

/* --- phrases.c: is one of these in the text, at its beginning, at its end? Letter case aside. --- */
bool phrases_in(struct bytes text, const struct bytes *list, size_t count);
bool phrases_begin(struct bytes text, const struct bytes *list, size_t count);
bool phrases_end(struct bytes text, const struct bytes *list, size_t count);

/* --- codes.c: codes in words -------------------------------------------------------------------- */
struct codes {
    int code;             /* 0: none */
    struct status status; /* not set: none */
    size_t at;            /* where the first of them stands */
};
struct codes codes_find(struct bytes text);
/* "550 5.1.1 x", "#5.1.1 x": a code begins the text. */
bool codes_begin(struct bytes text);
/* "5.0.0 (permanent failure)", "5.1.1." */
bool codes_status(struct bytes text, struct status *out);

/* --- machine.c ---------------------------------------------------------------------------------- */
/* Reads the groups of fields of a delivery status (RFC 3464) out of a text; false if there are none. */
bool machine_read(struct reading *r, struct bytes text);

/* --- address.c ---------------------------------------------------------------------------------- */
struct place {
    struct bytes address;
    size_t begin, end; /* with its brackets and quotes */
};
/* The next address in a text from an offset on. */
bool address_find(struct bytes text, size_t from, struct place *out);

/* --- original.c: the message that the bounce speaks of -------------------------------------------- */
/* Finds the text for people and the original message's header, in parts or behind a marker. */
void original_find(struct reading *r);
/* Sender, subject, message id and date, from its header. */
void original_tell(struct reading *r);

/* --- lines.c ------------------------------------------------------------------------------------ */
struct lines lines_read(struct bytes text, struct arena *a, bool *cut);

/* --- extract.c: the server's words out of a passage ----------------------------------------------- */
struct extract {
    struct bytes text, host, original;
    const char *command;
};
void extract_words(struct bytes passage, struct arena *a, struct extract *out);
/* The SMTP command that these words name: "(in reply to RCPT TO command)"; or NULL. */
const char *extract_command(struct bytes passage);
const char *extract_verb(struct bytes line); /* "RCPT To:<x>" -> "RCPT" */
/* How much a text tells: a code more than words, words more than nothing. */
unsigned extract_weight(struct bytes text);

/* "550 4.4.7 QUEUE.Expired; message expired": says that it was given up, not why. */
bool extract_is_expiry(struct bytes text);

/* --- passages.c: recipients and words out of a text for people ---------------------------------------- */
void passages_read(struct reading *r);
/* What the text as a whole gives as the reason; empty if it gives none. */
struct bytes passages_reason(struct reading *r);

/* --- transcript.c: what a session's lines say to each recipient ------------------------------------ */
void transcript_read(struct reading *r);

/* --- signs.c: what makes a message a server's ------------------------------------------------------ */
/* Sender, subject, first words. */
bool signs_of_bounce(const struct reading *r);
bool signs_of_daemon(const struct reading *r); /* its From is a mail system's */
bool signs_of_null_path(const struct reading *r);
bool signs_of_subject(const struct reading *r);
bool signs_of_delay(const struct reading *r);   /* it is still being tried */
bool signs_of_success(const struct reading *r); /* it has been delivered */
/* "postfix" "qmail" ... by what its text says of itself, or NULL. */
const char *signs_format(const struct reading *r);

/* --- readers: true if this is theirs; they have set kind, format and recipients ------------------- */
bool read_report(struct reading *r);      /* RFC 3464 */
bool read_complaint(struct reading *r);   /* ARF */
bool read_disposition(struct reading *r); /* MDN */
bool read_reply(struct reading *r);       /* vacation, challenge */
bool read_json(struct reading *r, struct bytes text);
/* sources.c */
bool read_status(struct reading *r);  /* with fields, and texts that complete them */
bool read_text(struct reading *r);    /* with texts alone */
bool read_service(struct reading *r); /* JSON in a message */
/* inside.c */
bool read_attached(struct reading *r);
bool read_pasted(struct reading *r);
/* The first address in a field of the message's own header. */
struct bytes reading_address(struct reading *r, struct bytes name);
/* bounce.c: as bounce_read, of a message inside `forwards` others. */
enum rc bounce_read_inner(struct bytes message, struct arena *a, size_t forwards,
                          struct bounce *out);

#endif
