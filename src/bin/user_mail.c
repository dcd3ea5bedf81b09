/* user_mail: forwards and vacations of users. This file alone knows that a tenant is asked before
 * anything is forwarded, and what a day is: one of this host's time zone. */
#include "bin/user_mail.h"

#include "message/address.h"
#include "resolve/resolve.h"

#include "base/num.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

static int fail(const struct why *why) {
    return people_fail("postern user", why);
}

/* EX_OK and the entry, or the exit code. */
static int find(struct people *p, struct bytes address, struct directory_entry **out) {
    struct why why;
    if (directory_db_find_login(p->directory, address, p->arena, out, &why) != OK)
        return fail(&why);
    if (*out)
        return EX_OK;
    fprintf(stderr, "postern user: %.*s is not a user (postern user list shows all)\n",
            BYTES_FMT(address));
    return EX_NOUSER;
}

/* --- forwarding -------------------------------------------------------------------------------- */

bool user_may_forward(const struct people *p, const char *command, struct bytes address,
                      struct bytes target) {
    struct bytes from = arena_lower(p->arena, address), to = arena_lower(p->arena, target);
    if (resolve_may_forward(p->config, from, to))
        return true;
    fprintf(stderr,
            "%s: %.*s may not be led to %.*s: the tenant of %.*s forbids automatic forwarding to "
            "other domains (external_forwarding = deny) [recipient.forwarding-denied]\n",
            command, BYTES_FMT(from), BYTES_FMT(to), BYTES_FMT(address_domain(from)));
    return false;
}

static bool is_off(const struct bytes *words, size_t count) {
    return count == 2 && bytes_equal_nocase(words[1], B("off"));
}

int user_forward(struct people *p, const struct user_mail *o, const struct bytes *words,
                 size_t count) {
    struct directory_entry *e;
    struct why why;
    bool off = is_off(words, count);
    int code = find(p, words[0], &e);
    if (code != EX_OK)
        return code;
    if (off && o->keep_copy) {
        fprintf(stderr, "postern user: --keep-copy goes with an address to forward to\n");
        return EX_USAGE;
    }
    for (size_t i = 1; i < count && !off; i++)
        if (!user_may_forward(p, "postern user", e->address, words[i]))
            return EX_DATAERR;
    if (directory_user_forward(p->directory, e->address, words + 1, off ? 0 : count - 1,
                               o->keep_copy, &why) != OK)
        return fail(&why);
    for (size_t i = 1; i < count && !off; i++)
        people_warn_target(p, words[i]);
    code = find(p, words[0], &e);
    if (code == EX_OK)
        people_print_whole(p, e);
    return code;
}

/* --- away -------------------------------------------------------------------------------------- */

enum { VACATION_TEXT = 16 * 1024 };

/* "2026-12-24" is that day where this host is; --until is meant with all of it. */
static int64_t day_of(int64_t utc, bool end) {
    time_t seconds = (time_t)(utc / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    tm.tm_mday += end;
    tm.tm_isdst = -1;
    return (int64_t)mktime(&tm) * 1000;
}

static bool take_time(const char *option, struct bytes text, bool end, int64_t *out) {
    *out = 0;
    if (!text.at)
        return true;
    if (!num_parse_rfc3339(text, out)) {
        fprintf(stderr,
                "postern user: %s \"%.*s\": expected a day, 2026-12-24, or a moment, "
                "2026-12-24T12:00:00Z\n",
                option, BYTES_FMT(text));
        return false;
    }
    if (text.len == 10)
        *out = day_of(*out, end);
    return true;
}

static int read_text(struct people *p, struct bytes *out) {
    char *text = arena_alloc(p->arena, VACATION_TEXT + 1);
    size_t len = 0;
    ssize_t got = 1;
    if (isatty(STDIN_FILENO))
        fprintf(stderr, "The text of the answer; Ctrl-D on a line of its own ends it:\n");
    while (got > 0 && len <= VACATION_TEXT) {
        got = read(STDIN_FILENO, text + len, VACATION_TEXT + 1 - len);
        len += got > 0 ? (size_t)got : 0;
    }
    if (got < 0) {
        fprintf(stderr, "postern user: standard input: %s\n", strerror(errno));
        return EX_IOERR;
    }
    *out = bytes_of(text, len);
    if (bytes_trim(*out).len)
        return EX_OK;
    fprintf(stderr, "postern user: the text is empty; \"off\" in its place ends the answers\n");
    return EX_DATAERR;
}

static void print_moment(const char *label, int64_t wall_ms) {
    char text[40];
    struct buf b = buf_fixed(text, sizeof text);
    if (!wall_ms)
        return;
    num_format_rfc3339(&b, wall_ms);
    printf("  %-9s %s\n", label, buf_text(&b));
}

static void print_vacation(const struct directory_entry *e) {
    const struct directory_vacation *v = &e->vacation;
    if (!v->set) {
        printf("%.*s answers nobody by itself\n", BYTES_FMT(e->address));
        return;
    }
    bool now = directory_vacation_holds(v, (int64_t)time(NULL) * 1000);
    printf("%.*s\n  %-9s %s\n", BYTES_FMT(e->address), "answers",
           now ? "now" : "not now: it is not the time");
    print_moment("from", v->from);
    print_moment("until", v->until);
    if (v->subject.len)
        printf("  %-9s %.*s\n", "subject", BYTES_FMT(v->subject));
    else
        printf("  %-9s Auto: and the subject of what is answered\n", "subject");
    printf("\n%.*s%s", BYTES_FMT(v->text), bytes_ends_nocase(v->text, B("\n")) ? "" : "\n");
}

static void json_moment(struct buf *b, const char *key, int64_t wall_ms) {
    buf_printf(b, ",\"%s\":", key);
    if (!wall_ms) {
        buf_str(b, "null");
        return;
    }
    buf_char(b, '"');
    num_format_rfc3339(b, wall_ms);
    buf_char(b, '"');
}

static void print_vacation_json(const struct directory_entry *e) {
    const struct directory_vacation *v = &e->vacation;
    struct buf b = buf_grow(256 * 1024);
    buf_str(&b, "{\"address\":");
    buf_json(&b, e->address);
    buf_str(&b, ",\"vacation\":");
    if (v->set) {
        buf_printf(&b, "{\"answers\":%s,\"subject\":",
                   directory_vacation_holds(v, (int64_t)time(NULL) * 1000) ? "true" : "false");
        buf_json(&b, v->subject);
        json_moment(&b, "from", v->from);
        json_moment(&b, "until", v->until);
        buf_str(&b, ",\"text\":");
        buf_json(&b, v->text);
        buf_char(&b, '}');
    } else {
        buf_str(&b, "null");
    }
    printf("%s}\n", buf_text(&b));
    buf_free(&b);
}

static int show_vacation(struct people *p, struct bytes address) {
    struct directory_entry *e;
    struct why why;
    if (directory_db_find_whole(p->directory, address, p->arena, &e, &why) != OK)
        return fail(&why);
    if (e && p->json)
        print_vacation_json(e);
    else if (e)
        print_vacation(e);
    return EX_OK;
}

static int set_vacation(struct people *p, const struct user_mail *o, struct bytes address) {
    struct directory_vacation v = { .set = true, .subject = bytes_trim(o->subject) };
    struct why why;
    if (!take_time("--from", o->from, false, &v.from) ||
        !take_time("--until", o->until, true, &v.until))
        return EX_USAGE;
    if (v.until && v.until <= (int64_t)time(NULL) * 1000) {
        fprintf(stderr, "postern user: --until %.*s is over already [directory.time]\n",
                BYTES_FMT(o->until));
        return EX_DATAERR;
    }
    int code = read_text(p, &v.text);
    if (code != EX_OK)
        return code;
    if (directory_user_vacation(p->directory, address, &v, &why) != OK)
        return fail(&why);
    return show_vacation(p, address);
}

static int end_vacation(struct people *p, struct bytes address) {
    static const struct directory_vacation none;
    struct why why;
    if (directory_user_vacation(p->directory, address, &none, &why) != OK)
        return fail(&why);
    return show_vacation(p, address);
}

static int vacation_misuse(const char *what) {
    fprintf(stderr,
            "postern user: %s: expected: postern user vacation ADDRESS --text-stdin "
            "[--subject TEXT] [--from DAY] [--until DAY], or vacation ADDRESS off|show\n",
            what);
    return EX_USAGE;
}

int user_vacation(struct people *p, const struct user_mail *o, const struct bytes *words,
                  size_t count) {
    struct directory_entry *e;
    bool show = count == 2 && bytes_equal(words[1], B("show"));
    if (count == 2 && !show && !is_off(words, count))
        return vacation_misuse("what follows the address is off, show or nothing");
    if (count == 2 && (o->text_stdin || o->subject.at || o->from.at || o->until.at))
        return vacation_misuse("off and show take no options of an answer");
    if (count == 1 && !o->text_stdin)
        return vacation_misuse("the text comes by standard input");
    int code = find(p, words[0], &e);
    if (code != EX_OK)
        return code;
    return show         ? show_vacation(p, e->address)
           : count == 2 ? end_vacation(p, e->address)
                        : set_vacation(p, o, e->address);
}
