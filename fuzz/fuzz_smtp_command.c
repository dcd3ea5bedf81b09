/* Any octets as a command line: a refusal has a code of its own class, a path that was taken is
 * taken again in its canonical form. */
#include "base/must.h"
#include "smtp/command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_path(const struct smtp_path *path, const char *verb, struct arena *a) {
    if (path->null)
        return;
    struct smtp_command again;
    struct why why;
    struct bytes line = arena_printf(a, "%s<%.*s>", verb, BYTES_FMT(path->mailbox));
    MUST(smtp_command_parse(line, a, &again, &why) == OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena *a = arena_open();
    struct smtp_command command;
    struct why why;
    enum rc rc = smtp_command_parse(bytes_of(data, size), a, &command, &why);
    MUST(rc == OK || (rc == PERM && why.code >= 500 && why.status.klass == 5 && why.reason[0]));
    if (rc == OK && command.verb == SMTP_MAIL)
        check_path(&command.mail.from, "MAIL FROM:", a);
    if (rc == OK && command.verb == SMTP_RCPT)
        check_path(&command.rcpt.to, "RCPT TO:", a);
    arena_close(&a);
    return 0;
}
