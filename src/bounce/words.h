/* words: a reply as people have it: on the screen, in a mail program's dialog, in the text of an exception,
 * in a transcript of swaks, telnet, curl or a library, quoted in a letter; one reply or several, with or
 * without codes. Gives the same struct as a bounce does, one recipient for each refusal.
 *
 * Pure; linear; at most WORDS_TEXT octets are read. */
#ifndef BOUNCE_WORDS_H
#define BOUNCE_WORDS_H

#include "bounce/bounce.h"

enum { WORDS_TEXT = 256 * 1024, WORDS_RECIPIENTS = 500 };

/* OK: codes were found, or a phrase that programs put in front of a server's words; `format` says how they
 * were written: "reply" "transcript" "python" "dialog" ... PERM: nothing of the kind; then there is one
 * recipient whose text is the beginning of the whole, since words alone may say enough (kind
 * BOUNCE_NONE). Views live as long as the arena. */
enum rc words_read(struct bytes text, struct arena *a, struct bounce *out);

#endif
