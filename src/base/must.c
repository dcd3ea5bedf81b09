/* must: the last words of a process that found a bug in itself. Only this file ends a process, and
 * it does so with nothing that could fail on the way: a buffer on the stack, one write. */
#include "base/must.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

_Noreturn void must_fail(const char *condition, const char *file, int line, const char *function) {
    char text[512];
    int len = snprintf(text, sizeof text, "%s:%d: %s: MUST(%s)\n", file, line, function, condition);
    if (len > 0) {
        size_t size = (size_t)len < sizeof text ? (size_t)len : sizeof text - 1;
        ssize_t written = write(STDERR_FILENO, text, size);
        (void)written;
    }
    abort();
}
