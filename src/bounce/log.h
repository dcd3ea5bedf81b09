/* log: lines of mail servers' logs: which server refused whom, at which step, with which words. One line or
 * many, of one server or several; whatever a syslog, a journal or a container has put in front. Gives
 * the same struct as a bounce does: one recipient for each refusal or delay; deliveries only where there
 * is nothing else. sender, reporter and client are set when all that is told has the same.
 *
 * Pure; linear in the text. */
#ifndef BOUNCE_LOG_H
#define BOUNCE_LOG_H

#include "bounce/bounce.h"

enum { LOG_LINE = 16 * 1024, LOG_RECIPIENTS = 5000, LOG_DELIVERIES = 100, LOG_REMEMBERED = 20000 };

/* OK: at least one line was a log's; `format` says whose the first was: "postfix" "exim" "sendmail" "exchange" "qmail"
 * ... PERM: none was, or (format is set) they tell of nothing. Views live as long as the arena. */
enum rc log_read(struct bytes text, struct arena *a, struct bounce *out);

#endif
