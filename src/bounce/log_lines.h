/* log_lines: what the readers of log lines share. For this folder only. */
#ifndef BOUNCE_LOG_LINES_H
#define BOUNCE_LOG_LINES_H

#include "base/map.h"
#include "bounce/log.h"

struct log_line {
    struct bytes all;     /* without blanks around it */
    struct bytes host;    /* of the syslog prefix; empty: there is none */
    struct bytes program; /* "postfix/smtp"; empty: there is no prefix */
    struct bytes rest;    /* behind the prefix; all, where there is none */
};
struct log_list {
    struct bounce_recipient *at;
    size_t count, room;
};
struct log {
    struct arena *arena;
    struct bounce *out;
    struct log_list refused, delivered;
    size_t told;
    struct map
        *remembered; /* what an earlier line said: sender of a message, address of a delivery */
    bool mixed_sender, mixed_reporter, mixed_client;
};
/* What one line tells, before it is cleaned. */
struct log_said {
    struct bytes address, original, host, words, sender, client, reporter;
    const char *action; /* NULL: as the code says */
    const char *command;
    int code; /* beside the words; 0: none */
    struct status status;
    bool submission;
};
void log_add(struct log *l, const struct log_said *said);
/* Behind the key ("to="), which stands at the start or after a blank, comma, semicolon or bracket: what is in <>
 * or "", else up to a comma and blank, a semicolon, a blank or the end. {NULL, 0}: there is no such key. */
struct bytes log_field(struct bytes line, const char *key);
/* The same to the end of the line, but for what stands in <> or "". */
struct bytes log_rest(struct bytes line, const char *key);
/* Up to the first of these words; all, where they are not there. */
struct bytes log_before(struct bytes text, const char *words);
/* The address in the first brackets, as in "unknown[192.0.2.7]:25", or empty. */
struct bytes log_ip(struct bytes text);
bool log_has(struct bytes line, const char *words);
void log_remember(struct log *l, const char *kind, struct bytes key, struct bytes value);
struct bytes log_recall(struct log *l, const char *kind, struct bytes key);

/* True: the line is one of this kind, whether or not it told of anything. */
typedef bool log_reader(struct log *l, const struct log_line *line);
log_reader log_postfix, log_exim, log_sendmail, log_opensmtpd, log_qmail, log_haraka, log_dovecot,
    log_syslog;
log_reader log_exchange_error, log_csv, log_json, log_iis;

#endif
