/* password: the terminal without its echo, and back whatever happens. */
#include "bin/password.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <termios.h>
#include <unistd.h>

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

static int ask_twice(const char *command, int tty, char *into, size_t size, size_t *len_out) {
    char again[PASSWORD_LINE];
    ssize_t first = ask(tty, "Password: ", into, size);
    ssize_t second = first < 0 ? -1 : ask(tty, "Once more: ", again, sizeof again);
    bool same = first >= 0 && first == second && memcmp(into, again, (size_t)first) == 0;
    explicit_bzero(again, sizeof again);
    if (same) {
        *len_out = (size_t)first;
        return EX_OK;
    }
    fprintf(stderr, "%s: the two are not the same; nothing was changed\n", command);
    return EX_DATAERR;
}

static int ask_once(const char *command, int tty, char *into, size_t size, size_t *len_out) {
    ssize_t len = ask(tty, "Password: ", into, size);
    *len_out = len < 0 ? 0 : (size_t)len;
    if (len > 0)
        return EX_OK;
    fprintf(stderr, "%s: no password was given\n", command);
    return EX_DATAERR;
}

int password_read(const char *command, bool from_stdin, bool twice, char into[PASSWORD_LINE],
                  size_t *len_out) {
    if (from_stdin) {
        ssize_t len = read_line(STDIN_FILENO, into, PASSWORD_LINE);
        *len_out = len < 0 ? 0 : (size_t)len;
        if (len > 0)
            return EX_OK;
        fprintf(stderr, "%s: standard input holds no password (one line is read)\n", command);
        return EX_DATAERR;
    }
    int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (tty < 0) {
        fprintf(stderr,
                "%s: there is no terminal to ask for the password: give it with "
                "--password-stdin\n",
                command);
        return EX_USAGE;
    }
    int code = twice ? ask_twice(command, tty, into, PASSWORD_LINE, len_out)
                     : ask_once(command, tty, into, PASSWORD_LINE, len_out);
    close(tty);
    return code;
}
