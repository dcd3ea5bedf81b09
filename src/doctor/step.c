/* step: the table. */
#include "doctor/step.h"

#include "base/must.h"

#include <stddef.h>

static const struct {
    const char *name;
    int exit;
    const char *awaited;
} steps[STEPS] = {
    [STEP_DNS] = { "DNS", 2, "the answer of the DNS" },
    [STEP_CONNECT] = { "connect", 2, "the connection" },
    [STEP_BANNER] = { "banner", 21, "its greeting" },
    [STEP_EHLO] = { "EHLO", 22, "its answer to EHLO" },
    [STEP_XCLIENT] = { "XCLIENT", 33, "its answer to XCLIENT" },
    [STEP_STARTTLS] = { "STARTTLS", 29, "the beginning of TLS" },
    [STEP_AUTH] = { "AUTH", 28, "its answer to AUTH" },
    [STEP_MAIL] = { "MAIL", 23, "its answer to MAIL" },
    [STEP_RCPT] = { "RCPT", 24, "its answer to RCPT" },
    [STEP_DATA] = { "DATA", 25, "its answer to DATA" },
    [STEP_END] = { "end", 26, "its answer to the message" },
    [STEP_QUIT] = { "QUIT", 27, "its answer to QUIT" },
    [STEP_NONE] = { NULL, 0, "nothing" },
};

const char *step_name(enum step s) {
    MUST(s < STEPS);
    return steps[s].name;
}

int step_exit(enum step s) {
    MUST(s < STEPS);
    return steps[s].exit;
}

const char *step_awaited(enum step s) {
    MUST(s < STEPS);
    return steps[s].awaited;
}
