/* log: where events go: standard error, systemd's journal, or a file that is opened anew on SIGHUP.
 * A file is opened by the parent, as root, and becomes everybody's standard error, so that a worker
 * needs no right to it. */
#include "base/event.h"
#include "base/must.h"
#include "bin/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

static int journal = -1;

static void to_stderr(void *ctx, const char *name, struct bytes line) {
    (void)ctx;
    (void)name;
    char memory[4096];
    struct buf b = buf_fixed(memory, sizeof(memory));
    buf_add(&b, line);
    buf_char(&b, '\n');
    if (!b.full) { /* one write, so that lines of several processes do not mix */
        if (write(STDERR_FILENO, b.at, b.len) < 0)
            return;
        return;
    }
    struct buf whole = buf_grow(line.len + 2);
    buf_add(&whole, line);
    buf_char(&whole, '\n');
    if (write(STDERR_FILENO, whole.at, whole.len) < 0)
        whole.len = 0;
    buf_free(&whole);
}

/* systemd's native protocol: KEY=value lines; a value with newlines has another form, which JSON on
 * one line never needs. A journal that does not keep up, or takes no message of that size, must not hold up
 * the loop: then the line goes to standard error. */
static void to_journal(void *ctx, const char *name, struct bytes line) {
    (void)ctx;
    bool alarm = bytes_search(line, B("\"alarm\":true")) >= 0;
    struct buf b = buf_grow(line.len + 256);
    buf_printf(&b, "PRIORITY=%d\nSYSLOG_IDENTIFIER=postern\nPOSTERN_EVENT=%s\nMESSAGE=",
               alarm ? LOG_WARNING : LOG_INFO, name);
    buf_add(&b, line);
    buf_char(&b, '\n');
    if (send(journal, b.at, b.len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        to_stderr(NULL, name, line);
    buf_free(&b);
}

static void open_journal(void) {
    struct sockaddr_un to = { .sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/socket" };
    journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (journal >= 0 && connect(journal, (struct sockaddr *)&to, sizeof(to)) == 0)
        return;
    if (journal >= 0)
        close(journal);
    journal = -1;
}

static void open_file(struct bytes path) {
    char name[4096];
    snprintf(name, sizeof(name), "%.*s", BYTES_FMT(path));
    int fd = open(name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0) {
        fprintf(stderr, "postern: log file %s: %s; events go to standard error\n", name,
                strerror(errno));
        return;
    }
    dup2(fd, STDERR_FILENO);
    close(fd);
}

void serve_open_log(const struct config *config, bool parent) {
    if (bytes_equal(config->log, B("journal")))
        open_journal();
    if (parent && bytes_starts(config->log, B("file:")))
        open_file(bytes_skip(config->log, 5));
    event_listen(journal >= 0 ? to_journal : to_stderr, NULL);
}

void serve_reopen_log(const struct config *config) {
    if (bytes_starts(config->log, B("file:")))
        open_file(bytes_skip(config->log, 5));
}
