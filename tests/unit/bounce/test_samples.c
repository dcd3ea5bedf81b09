/* The bounces of tests/golden/bounces: what comes out of each stands in its expected.tsv; and none of them, cut
 * off or with octets changed anywhere, does harm. */
#include "bounce/bounce.h"

#include "base/buf.h"
#include "base/must.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FOLDER "tests/golden/bounces/"

enum { COLUMNS = 12, STRIDE = 23 };

static struct bytes read_file(const char *name, struct arena *a) {
    FILE *f = fopen(name, "rb");
    if (!f)
        fail_msg("cannot open %s", name);
    char memory[64 * 1024];
    size_t size = fread(memory, 1, sizeof memory, f);
    fclose(f);
    return arena_copy(a, bytes_of(memory, size));
}

static struct bytes read_sample(struct bytes name, struct arena *a) {
    return read_file(arena_str(a, arena_printf(a, FOLDER "%.*s.eml", BYTES_FMT(name))), a);
}

struct row {
    struct bytes sample, kind, format, number, column[8]; /* address ... words */
};

static bool next_row(struct bytes *rest, struct row *out) {
    struct bytes line, *columns[COLUMNS] = { &out->sample, &out->kind, &out->format, &out->number };
    for (size_t i = 0; i < 8; i++)
        columns[4 + i] = &out->column[i];
    do
        if (!bytes_split(rest, '\n', &line))
            return false;
    while (!line.len || line.at[0] == '#');
    for (size_t i = 0; i < COLUMNS; i++)
        bytes_split(&line, '\t', columns[i]);
    return true;
}

/* "*": whatever it is; "-": nothing. */
static bool is_as_expected(struct bytes expected, struct bytes found, bool part) {
    if (bytes_equal(expected, B("*")))
        return true;
    if (bytes_equal(expected, B("-")))
        return found.len == 0;
    return part ? bytes_search(found, expected) >= 0 : bytes_equal(expected, found);
}

static void check_recipient(const struct row *row, const struct bounce_recipient *r,
                            struct arena *a) {
    static const char *const names[] = { "address", "original", "action", "code",
                                         "status",  "command",  "host",   "words" };
    char status[12] = "";
    status_format(r->status, status);
    const struct bytes found[] = {
        r->address,
        r->original,
        bytes_str(r->action),
        arena_printf(a, "%d", r->code),
        status_is_set(r->status) ? bytes_str(status) : BYTES_NONE,
        bytes_str(r->command),
        r->host,
        r->text,
    };
    for (size_t i = 0; i < COUNT_OF(found); i++)
        if (!is_as_expected(row->column[i], found[i], i == 7))
            fail_msg("%.*s, recipient %.*s: %s is '%.*s', not '%.*s'", BYTES_FMT(row->sample),
                     BYTES_FMT(row->number), names[i], BYTES_FMT(found[i]),
                     BYTES_FMT(row->column[i]));
}

static void check_row(const struct row *row, size_t *number, struct bounce *b, struct arena *a) {
    static const char *const kinds[] = { "none", "bounce", "report" };
    if (bytes_equal(row->number, B("0")) || bytes_equal(row->number, B("1"))) {
        if (*number != b->count)
            fail_msg("before %.*s: %zu recipients, not %zu", BYTES_FMT(row->sample), b->count,
                     *number);
        assert_int_equal(bounce_read(read_sample(row->sample, a), a, b), OK);
        *number = 0;
        if (!bytes_equal(row->kind, bytes_str(kinds[b->kind])))
            fail_msg("%.*s: it is a %s", BYTES_FMT(row->sample), kinds[b->kind]);
        if (!is_as_expected(row->format, bytes_str(b->format), false))
            fail_msg("%.*s: its format is %s", BYTES_FMT(row->sample), b->format);
        assert_true((b->kind == BOUNCE_NONE) == (b->because != NULL));
    }
    if (bytes_equal(row->number, B("0")))
        return;
    if (*number >= b->count)
        fail_msg("%.*s: only %zu recipients", BYTES_FMT(row->sample), b->count);
    check_recipient(row, &b->recipients[(*number)++], a);
}

static void each_sample_is_read(void **state) {
    (void)state;
    struct arena *a = arena_open();
    struct bytes rest = read_file(FOLDER "expected.tsv", a);
    struct bounce b = { 0 };
    struct row row;
    size_t number = 0, rows = 0;
    for (; next_row(&rest, &row); rows++)
        check_row(&row, &number, &b, a);
    assert_int_equal(number, b.count);
    assert_true(rows > 100);
    arena_close(&a);
}

/* What is promised of all text in the answer. */
static void check_text(struct bytes text) {
    assert_true(text.len <= BOUNCE_TEXT);
    assert_true(bytes_is_utf8(text));
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.at[i] < ' ' || text.at[i] == 127)
            fail_msg("a control octet in '%.*s'", BYTES_FMT(text));
}

static void check_promises(struct bytes message) {
    struct arena *a = arena_open();
    struct bounce b;
    if (bounce_read(message, a, &b) == OK) {
        check_text(b.reporter);
        check_text(b.sender);
        check_text(b.subject);
        check_text(b.message_id);
        check_text(b.date);
        check_text(b.client);
        for (size_t i = 0; i < b.count; i++) {
            check_text(b.recipients[i].address);
            check_text(b.recipients[i].original);
            check_text(b.recipients[i].text);
            check_text(b.recipients[i].host);
            assert_non_null(b.recipients[i].action);
        }
        assert_true(b.kind == BOUNCE_NONE ? b.count == 0 : b.count > 0);
    }
    arena_close(&a);
}

typedef void each_fn(struct bytes message, struct arena *a);

static void with_each(each_fn *each) {
    struct arena *a = arena_open();
    struct bytes rest = read_file(FOLDER "expected.tsv", a);
    struct row row;
    while (next_row(&rest, &row))
        if (bytes_equal(row.number, B("0")) || bytes_equal(row.number, B("1")))
            each(read_sample(row.sample, a), a);
    arena_close(&a);
}

static void cut_it(struct bytes message, struct arena *a) {
    (void)a;
    for (size_t n = message.len % STRIDE; n < message.len; n += STRIDE) {
        char *exact = malloc(n + 1); /* of exactly this size, for the sanitizer */
        char *copy = realloc(exact, n ? n : 1);
        memcpy(copy, message.at, n);
        check_promises(bytes_of(copy, n));
        free(copy);
    }
}

static void cut_off_anywhere(void **state) {
    (void)state;
    with_each(cut_it);
}

static void change_it(struct bytes message, struct arena *a) {
    static const char octets[] = { 0,   '\n', '\r', '@',    '<',    '>', ':',
                                   '=', '-',  ' ',  '\x80', '\xff', '(' };
    char *copy = (char *)(uintptr_t)arena_copy(a, message).at;
    unsigned random = (unsigned)message.len;
    for (size_t i = 0; i < message.len; i += STRIDE) {
        random = random * 1103515245 + 12345;
        size_t at = i + (random >> 16) % STRIDE;
        if (at >= message.len)
            break;
        copy[at] = octets[(random >> 8) % sizeof octets];
        check_promises(bytes_of(copy, message.len));
        if (i % 2)
            copy[at] = message.at[at]; /* every other one stays: they add up */
    }
}

static void changed_anywhere(void **state) {
    (void)state;
    with_each(change_it);
}

/* --- the same in other clothes ------------------------------------------------------------------ */

static struct bytes as_crlf(struct bytes message, struct arena *a) {
    struct buf b = buf_fixed(arena_alloc(a, message.len * 2 + 1), message.len * 2 + 1);
    struct bytes rest = message, line;
    while (bytes_split(&rest, '\n', &line)) {
        buf_add(&b, line);
        if (rest.at)
            buf_str(&b, "\r\n");
    }
    return buf_bytes(&b);
}

static struct bytes as_attachment(struct bytes message, struct arena *a) {
    return arena_printf(
        a,
        "From: Kim <kim@example.org>\nTo: help@example.org\nSubject: what is this?\n"
        "Content-Type: multipart/mixed; boundary=\"zz9\"\n\n--zz9\n\nPlease look.\n"
        "--zz9\nContent-Type: message/rfc822\n\n%.*s\n--zz9--\n",
        BYTES_FMT(message));
}

static struct bytes as_mbox(struct bytes message, struct arena *a) {
    return arena_printf(a, "From MAILER-DAEMON Fri Nov 20 09:30:00 2026\n%.*s", BYTES_FMT(message));
}

static void compare(struct bytes one, struct bytes other, const char *name, struct arena *a) {
    struct bounce b, c;
    assert_int_equal(bounce_read(one, a, &b), OK);
    assert_int_equal(bounce_read(other, a, &c), OK);
    if (b.kind != c.kind || b.count != c.count)
        fail_msg("%s: kind %d, %zu recipients; before %d, %zu:\n%.*s", name, c.kind, c.count,
                 b.kind, b.count, BYTES_FMT(one));
    for (size_t i = 0; i < b.count; i++) {
        const struct bounce_recipient *r = &b.recipients[i], *s = &c.recipients[i];
        assert_true(bytes_equal(r->address, s->address));
        assert_true(bytes_equal(r->text, s->text));
        assert_int_equal(r->code, s->code);
    }
}

static void dress(struct bytes message, struct arena *a) {
    if (bytes_find(B("{["), message.at[0]) >= 0)
        return; /* JSON is no message */
    struct bounce b;
    compare(message, as_crlf(message, a), "CRLF", a);
    compare(message, as_mbox(message, a), "mbox", a);
    assert_int_equal(bounce_read(message, a, &b), OK);
    if (b.kind != BOUNCE_NONE)
        compare(message, as_attachment(message, a), "attached", a);
}

static void in_other_clothes(void **state) {
    (void)state;
    with_each(dress);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_sample_is_read),
        cmocka_unit_test(in_other_clothes),
        cmocka_unit_test(cut_off_anywhere),
        cmocka_unit_test(changed_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
