/* subject: a reply made ready for the rules: code, enhanced code and step, and the words without
 * what stands around them. For this folder only. */
#ifndef REPLY_SUBJECT_H
#define REPLY_SUBJECT_H

#include "reply/knowledge.h"

enum { SUBJECT_TEXT_MAX = 2048, SUBJECT_VIEWS_MAX = 4 };

/* A part of a text that may be the reply, and how much less sure we are for taking it. */
struct view {
    struct bytes text;
    double doubt;
};

struct subject {
    const struct reply_facts *facts;
    int code;
    struct status status;
    const char *command;
    char plain[SUBJECT_TEXT_MAX]; /* the whole text, plain */
    size_t plain_length;
    char spelled[SUBJECT_TEXT_MAX]; /* the likeliest view with "is not" for "isn't" */
    size_t view_count;              /* at least one; the likeliest first */
    struct view views[SUBJECT_VIEWS_MAX];
    /* The view the rules look at: codes repeated, and local parts of addresses, are gone. */
    char text[SUBJECT_TEXT_MAX];
    size_t length;
};

void subject_read(struct subject *s, const struct reply_facts *facts);
/* Makes text of a view, and code and status of it where the facts do not give them. */
void subject_choose(struct subject *s, size_t view);

#endif
