/* spoken: what servers and programs say around a reply: where a code stands, which step a phrase like
 * "in reply to RCPT TO command" names, which host "host mx.example.com[192.0.2.1] said" does. For this
 * folder only. Pure; linear in the text, which callers bound. */
#ifndef BOUNCE_SPOKEN_H
#define BOUNCE_SPOKEN_H

#include "base/arena.h"
#include "bounce/bounce.h"

enum { SPOKEN_TEXT = 2000, SPOKEN_NAME = 255, SPOKEN_ADDRESS = 320 };

/* The octet at this place; behind the end a blank, which ends every word. */
char spoken_char(struct bytes text, size_t at);
/* The reply code (200 to 599) that stands at this place, as a word of its own; 0: none. */
int spoken_code(struct bytes text, size_t at);
/* The first enhanced code that is no part of an address or a number, and whose class fits the code
 * (0: any class 4 or 5). */
struct status spoken_status(struct bytes text, int code);
/* The step that a command line is of: "RCPT TO:<a@example.com>" gives "RCPT"; NULL: it is no command. */
const char *spoken_command(struct bytes line);
/* The step that the words around a reply name: "(in reply to end of DATA command)", "after RCPT TO:<..>",
 * "reject: MAIL from"; NULL: none. */
const char *spoken_step(struct bytes text);
/* The first address in <>, or that looks like one; empty: none. */
struct bytes spoken_address(struct bytes text);
/* The first word, without brackets, quotes and stops around it, if it looks like a host's name or address. */
struct bytes spoken_host(struct bytes text);
/* What stands behind the first of these words, letter case aside; {NULL, 0} when they are not there. */
struct bytes spoken_after(struct bytes text, const char *words);
/* A copy fit for people: UTF-8, single blanks, no control octet, no terminal sequence, at most `max`. */
struct bytes spoken_clean(struct bytes text, size_t max, struct arena *a);
/* Sets text, code and status of a recipient from a reply's words. */
void spoken_reply(struct bounce_recipient *r, struct bytes reply, struct arena *a);

#endif
