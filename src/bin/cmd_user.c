/* cmd_user: `postern user`: logins and their mailboxes. A user is a row in directory.db and, with a
 * password, one in secrets.db; this file alone keeps the two together. */
#include "base/must.h"
#include "bin/control.h"
#include "bin/layout.h"
#include "bin/people.h"
#include "sys/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <termios.h>
#include <unistd.h>

int cmd_user(int argc, char **argv);

static bool from_stdin; /* --password-stdin */

/* --- passwords --------------------------------------------------------------------------------- */

enum { LINE_MAX_OCTETS = 2048 };

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signo) {
    interrupted = signo;
}

/* One line without its end; -1: interrupted, or too long. */
static ssize_t read_line(int fd, char *into, size_t size) {
    size_t len = 0;
    for (;;) {
        ssize_t got = read(fd, into + len, 1);
        if (got < 0 && errno == EINTR && !interrupted)
            continue;
        if (got <= 0 || into[len] == '\n')
            break;
        if (++len == size)
            return -1;
    }
    if (len && into[len - 1] == '\r')
        len--;
    return interrupted ? -1 : (ssize_t)len;
}

static ssize_t ask_quietly(int tty, char *into, size_t size) {
    struct termios old, quiet;
    if (tcgetattr(tty, &old) != 0)
        return -1;
    quiet = old;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    quiet.c_lflag |= ICANON;
    tcsetattr(tty, TCSAFLUSH, &quiet);
    ssize_t len = read_line(tty, into, size);
    tcsetattr(tty, TCSAFLUSH, &old);
    return len;
}

/* Whoever interrupts it gets the terminal back with its echo on. */
static ssize_t ask(int tty, const char *prompt, char *into, size_t size) {
    struct sigaction catch = { .sa_handler = on_interrupt }, old_int, old_term;
    if (write(tty, prompt, strlen(prompt)) < 0)
        return -1;
    sigaction(SIGINT, &catch, &old_int);
    sigaction(SIGTERM, &catch, &old_term);
    ssize_t len = ask_quietly(tty, into, size);
    sigaction(SIGINT, &old_int, NULL);
    sigaction(SIGTERM, &old_term, NULL);
    if (write(tty, "\n", 1) < 0)
        len = -1;
    if (interrupted)
        raise(interrupted);
    return len;
}

static int ask_twice(int tty, char *into, size_t size, size_t *len_out) {
    char again[LINE_MAX_OCTETS];
    ssize_t first = ask(tty, "Password: ", into, size);
    ssize_t second = first < 0 ? -1 : ask(tty, "Once more: ", again, sizeof again);
    bool same = first >= 0 && first == second && memcmp(into, again, (size_t)first) == 0;
    explicit_bzero(again, sizeof again);
    if (same) {
        *len_out = (size_t)first;
        return EX_OK;
    }
    fprintf(stderr, "postern user: the two are not the same; nothing was changed\n");
    return EX_DATAERR;
}

static int read_password(char *into, size_t size, size_t *len_out) {
    if (from_stdin) {
        ssize_t len = read_line(STDIN_FILENO, into, size);
        *len_out = len < 0 ? 0 : (size_t)len;
        if (len > 0)
            return EX_OK;
        fprintf(stderr, "postern user: standard input holds no password (one line is read)\n");
        return EX_DATAERR;
    }
    int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (tty < 0) {
        fprintf(stderr, "postern user: there is no terminal to ask for the password: give it with "
                        "--password-stdin\n");
        return EX_USAGE;
    }
    int code = ask_twice(tty, into, size, len_out);
    close(tty);
    return code;
}

/* --- helpers ----------------------------------------------------------------------------------- */

static int fail(const struct why *why) {
    return people_fail("postern user", why);
}

static int unknown(struct bytes address) {
    fprintf(stderr, "postern user: %.*s is not a user (postern user list shows all)\n",
            BYTES_FMT(address));
    return EX_NOUSER;
}

/* EX_OK and the entry, or the exit code. */
static int find(struct people *p, struct bytes address, struct directory_entry **out) {
    struct why why;
    if (directory_db_find_login(p->directory, address, p->arena, out, &why) != OK)
        return fail(&why);
    return *out ? EX_OK : unknown(address);
}

/* What the login earned before now is over: the directory says so to whoever asks, and the windows of
 * POP before SMTP that a running server has open are closed. */
static void ignore_line(void *ctx, struct bytes line) {
    (void)ctx;
    (void)line;
}

static enum rc end_windows(struct people *p, struct bytes address, struct why *why) {
    struct loop *l = loop_open();
    int64_t now = loop_wall(l);
    loop_close(&l);
    enum rc rc = directory_user_void_logins(p->directory, address, now, why);
    if (rc != OK || !config_pop_window(p->config))
        return rc;
    struct buf request = buf_grow(1024);
    buf_str(&request, "{\"command\":\"pop-close\",\"login\":");
    buf_json(&request, address);
    buf_char(&request, '}');
    control_ask(layout_path(p->arena, p->config, "run/control.sock"), buf_bytes(&request),
                ignore_line, NULL);
    buf_free(&request);
    return OK;
}

/* --- actions ----------------------------------------------------------------------------------- */

/* Asked before anything is written: a question that is not answered leaves no half of a user. */
static int add(struct people *p, const struct bytes *words, size_t count) {
    char password[LINE_MAX_OCTETS];
    size_t len = 0;
    struct why why;
    struct directory_entry *e = NULL;
    (void)count;
    if (directory_db_find_login(p->directory, words[0], p->arena, &e, &why) != OK)
        return fail(&why);
    int code = e ? EX_OK : read_password(password, sizeof password, &len);
    if (code != EX_OK)
        return code;
    if (directory_user_add(p->directory, words[0], &why) != OK) {
        code = fail(&why);
    } else if (secrets_set(p->secrets, words[0], bytes_of(password, len), &why) != OK) {
        code = fail(&why);
        directory_user_remove(p->directory, words[0], NULL);
    }
    explicit_bzero(password, sizeof password);
    /* Of a user of this name who was there before nothing is left. */
    if (code == EX_OK && end_windows(p, arena_lower(p->arena, words[0]), &why) != OK)
        code = fail(&why);
    if (code != EX_OK)
        return code;
    people_warn_domain(p, words[0]);
    people_done(p, "added", words[0]);
    return EX_OK;
}

static int passwd(struct people *p, const struct bytes *words, size_t count) {
    char password[LINE_MAX_OCTETS];
    size_t len = 0;
    struct why why;
    struct directory_entry *e;
    (void)count;
    int code = find(p, words[0], &e);
    if (code == EX_OK)
        code = read_password(password, sizeof password, &len);
    if (code == EX_OK && secrets_set(p->secrets, e->address, bytes_of(password, len), &why) != OK)
        code = fail(&why);
    /* A row made just now knows nothing of the directory's. */
    if (code == EX_OK && secrets_disable(p->secrets, e->address, e->disabled, &why) != OK)
        code = fail(&why);
    explicit_bzero(password, sizeof password);
    if (code == EX_OK && end_windows(p, e->address, &why) != OK)
        code = fail(&why);
    if (code == EX_OK)
        people_done(p, "changed the password of", e->address);
    return code;
}

static void print_one(void *ctx, const struct directory_entry *e) {
    people_print(ctx, e);
}

static int list(struct people *p, const struct bytes *words, size_t count) {
    struct why why;
    (void)words;
    (void)count;
    enum rc rc = directory_db_list(p->directory, DIRECTORY_USER, print_one, p, &why);
    return rc == OK ? EX_OK : fail(&why);
}

static int show(struct people *p, const struct bytes *words, size_t count) {
    struct directory_entry *e;
    (void)count;
    int code = find(p, words[0], &e);
    if (code == EX_OK)
        people_print_whole(p, e);
    return code;
}

static int remove_user(struct people *p, const struct bytes *words, size_t count) {
    struct directory_entry *e;
    struct why why;
    (void)count;
    int code = find(p, words[0], &e);
    if (code != EX_OK)
        return code;
    /* The key first: a login without a mailbox is the worse of the two halves. */
    if (secrets_remove(p->secrets, e->address, &why) != OK ||
        end_windows(p, e->address, &why) != OK ||
        directory_user_remove(p->directory, e->address, &why) != OK)
        return fail(&why);
    for (size_t i = 0; i < e->own.count; i++)
        if (!bytes_equal(e->own.list[i], e->address))
            fprintf(stderr, "note: the alias %.*s still leads there: postern alias remove %.*s\n",
                    BYTES_FMT(e->own.list[i]), BYTES_FMT(e->own.list[i]));
    people_done(p, "removed", e->address);
    return EX_OK;
}

static int set_disabled(struct people *p, struct bytes address, bool disabled) {
    struct why why;
    if (directory_user_disable(p->directory, address, disabled, &why) != OK ||
        secrets_disable(p->secrets, address, disabled, &why) != OK ||
        (disabled && end_windows(p, arena_lower(p->arena, address), &why) != OK))
        return fail(&why);
    people_done(p, disabled ? "disabled" : "enabled", address);
    return EX_OK;
}

static int disable(struct people *p, const struct bytes *words, size_t count) {
    (void)count;
    return set_disabled(p, words[0], true);
}

static int enable(struct people *p, const struct bytes *words, size_t count) {
    (void)count;
    return set_disabled(p, words[0], false);
}

static int set_sender(struct people *p, const struct bytes *words, bool allow) {
    struct why why;
    if (directory_user_allow_sender(p->directory, words[0], words[1], allow, &why) != OK)
        return fail(&why);
    struct directory_entry *e;
    int code = find(p, words[0], &e);
    if (code == EX_OK)
        people_print_whole(p, e);
    return code;
}

static int allow_sender(struct people *p, const struct bytes *words, size_t count) {
    (void)count;
    return set_sender(p, words, true);
}

static int deny_sender(struct people *p, const struct bytes *words, size_t count) {
    (void)count;
    return set_sender(p, words, false);
}

static const struct people_action actions[] = {
    { "add", "ADDRESS", "make a user; asks for the password", 1, 1, add, true },
    { "passwd", "ADDRESS", "set another password", 1, 1, passwd, true },
    { "list", "", "all users", 0, 0, list, false },
    { "show", "ADDRESS", "a user's addresses and rights", 1, 1, show, false },
    { "remove", "ADDRESS", "forget a user; delivered mail stays", 1, 1, remove_user, true },
    { "disable", "ADDRESS", "refuse the login; mail still arrives", 1, 1, disable, true },
    { "enable", "ADDRESS", "the opposite", 1, 1, enable, true },
    { "allow-sender", "ADDRESS PATTERN", "let a user send as others", 2, 2, allow_sender, false },
    { "deny-sender", "ADDRESS PATTERN", "take that right back", 2, 2, deny_sender, false },
};

int cmd_user(int argc, char **argv) {
    const struct option_row rows[] = {
        { .name = "--password-stdin",
          .help = "read the password from standard input, one line",
          .flag = &from_stdin },
    };
    const struct people_command command = {
        .name = "user",
        .sentence = "users: a login, a mailbox, and what they may send as",
        .actions = actions,
        .count = COUNT_OF(actions),
        .rows = rows,
        .row_count = COUNT_OF(rows),
    };
    return people_run(&command, argc, argv);
}
