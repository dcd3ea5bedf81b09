/* wirelog: the octets of one conversation as lines of the transcript. What comes without an end, without line ends
 * or as binary stays bounded; what goes out in a login is not shown. */
#ifndef DOCTOR_WIRELOG_H
#define DOCTOR_WIRELOG_H

#include "doctor/transcript.h"

enum { WIRELOG_LINE = 1024, WIRELOG_LINES = 250, WIRELOG_CONTENT_LINES = 60 };

struct wirelog {
    struct transcript *transcript; /* NULL: nothing is kept */
    struct bytes session;
    int64_t began; /* when the transcript did, on the clock of the calls */
    bool tls;
    bool login;   /* payloads are hidden */
    bool content; /* a message goes out: after some lines it is only counted */
    /* the line that comes in */
    char line[WIRELOG_LINE];
    size_t line_len;
    size_t line_more;     /* octets beyond what is kept */
    size_t lines, unseen; /* received */
    size_t content_lines, content_more;
    char last[128]; /* the beginning of the last line that came in */
    size_t last_len;
};

void wirelog_got(struct wirelog *w, int64_t now, struct bytes data);
/* What is left of a line without an end. */
void wirelog_got_all(struct wirelog *w, int64_t now);
void wirelog_sent(struct wirelog *w, int64_t now, struct bytes data);
void wirelog_note(struct wirelog *w, int64_t now, enum mark mark, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
