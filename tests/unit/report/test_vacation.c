/* The answer of a user who is away: its header, and what others wrote in it. */
#include "report/report.h"

#include "message/header.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

struct bench {
    struct arena *arena;
    struct buf out;
    struct report_vacation v;
};

static int set_up(void **state) {
    struct arena *a = arena_open();
    struct bench *b = ARENA_NEW(a, struct bench);
    b->arena = a;
    b->out = buf_grow(128 * 1024);
    b->v = (struct report_vacation){
        .user = B("ann@proseware.com"),
        .to = B("bob@adatum.com"),
        .text = B("I am away.\nAsk Zoe.\n"),
        .about = B("Figures"),
        .message_id = B("<1@adatum.com>"),
        .hostname = B("mail.proseware.com"),
        .id = B("0a1.v0.fe"),
        .now = 1795167000000,
    };
    *state = b;
    return 0;
}

static int tear_down(void **state) {
    struct bench *b = *state;
    struct arena *a = b->arena;
    buf_free(&b->out);
    arena_close(&a);
    return 0;
}

static struct bytes write(struct bench *b) {
    buf_clear(&b->out);
    report_vacation_write(&b->v, b->arena, &b->out);
    assert_false(b->out.full);
    return buf_bytes(&b->out);
}

static struct bytes field(struct bench *b, const char *name) {
    struct header_field f;
    if (!header_find(write(b), bytes_str(name), &f))
        return BYTES_NONE;
    return header_unfold(f.value, b->arena);
}

static void assert_field(struct bench *b, const char *name, const char *wanted) {
    struct bytes value = field(b, name);
    if (!bytes_equal(value, bytes_str(wanted)))
        fail_msg("%s: %.*s, not %s", name, BYTES_FMT(value), wanted);
}

/* The fields by name, in their order: nothing that somebody sent adds one. */
static void assert_form(struct bench *b) {
    struct header_field f;
    char names[400];
    struct buf list = buf_fixed(names, sizeof names);
    struct bytes all = write(b), rest = all;
    while (header_next(&rest, &f) == HEADER_FIELD) {
        buf_printf(&list, "%.*s ", BYTES_FMT(f.name));
        assert_true(bytes_find(f.whole, '\0') < 0);
    }
    assert_string_equal(buf_text(&list),
                        "From To Subject Date Message-ID In-Reply-To References Auto-Submitted "
                        "X-Auto-Response-Suppress MIME-Version Content-Type "
                        "Content-Transfer-Encoding ");
    size_t start = 0;
    for (size_t i = 0; i < all.len; i++)
        if (all.at[i] == '\n') {
            assert_true(i && all.at[i - 1] == '\r' && i - start < 1000);
            start = i + 1;
        }
}

static void the_usual_answer(void **state) {
    struct bench *b = *state;
    assert_form(b);
    assert_true(bytes_equal(write(b), B("From: ann@proseware.com\r\n"
                                        "To: bob@adatum.com\r\n"
                                        "Subject: Auto: Figures\r\n"
                                        "Date: Fri, 20 Nov 2026 09:30:00 +0000\r\n"
                                        "Message-ID: <0a1.v0.fe@mail.proseware.com>\r\n"
                                        "In-Reply-To: <1@adatum.com>\r\n"
                                        "References: <1@adatum.com>\r\n"
                                        "Auto-Submitted: auto-replied\r\n"
                                        "X-Auto-Response-Suppress: All\r\n"
                                        "MIME-Version: 1.0\r\n"
                                        "Content-Type: text/plain; charset=us-ascii\r\n"
                                        "Content-Transfer-Encoding: 7bit\r\n"
                                        "\r\n"
                                        "I am away.\r\n"
                                        "Ask Zoe.\r\n")));
}

static void subjects(void **state) {
    struct bench *b = *state;
    b->v.subject = B("Away until Monday");
    assert_field(b, "Subject", "Away until Monday");
    b->v.subject = B("Im Urlaub \xc3\xbc");
    assert_field(b, "Subject", "=?utf-8?B?SW0gVXJsYXViIMO8?=");
    b->v.subject = BYTES_NONE;
    b->v.about = B("");
    assert_field(b, "Subject", "Auto: your message");
    /* Encoded words are read, and written again. */
    b->v.about = B("=?utf-8?q?Gr=C3=BC=C3=9Fe?=");
    assert_field(b, "Subject", "Auto: =?utf-8?B?R3LDvMOfZQ==?=");
    b->v.about = B("=?us-ascii?q?plain?=");
    assert_field(b, "Subject", "Auto: plain");
}

static void subjects_that_would_be_more(void **state) {
    struct bench *b = *state;
    /* A line end that was hidden in an encoded word is none in the answer. */
    b->v.about = B("=?utf-8?q?x=0D=0ABcc:_eve@evil.example=0D=0A=0D=0Abody?=");
    assert_form(b);
    assert_field(b, "Subject", "Auto: x??Bcc: eve@evil.example????body");
    b->v.about = B("a\r\nBcc: eve@evil.example");
    assert_form(b);
    b->v.about = B("=?utf-8?q?=3D=3Futf-8=3FQ=3Fhidden=3F=3D?=");
    assert_form(b);
    assert_true(bytes_starts(field(b, "Subject"), B("Auto: =?utf-8?B?")));
    b->v.about = B("\xff\xfe\x80 \x01\x7f");
    assert_form(b);
    assert_true(bytes_is_ascii(field(b, "Subject")));
    static char long_one[5000];
    memset(long_one, 'x', sizeof long_one);
    b->v.about = bytes_of(long_one, sizeof long_one);
    assert_form(b);
    assert_true(field(b, "Subject").len < 400);
}

static void references(void **state) {
    struct bench *b = *state;
    b->v.references = B("<a@x.example> <b@x.example>");
    assert_field(b, "References", "<a@x.example> <b@x.example> <1@adatum.com>");
    b->v.references = B("cut@x.example> nonsense <b@x.example> <1@adatum.com> <c> <d@\xc3\xbc>");
    assert_field(b, "References", "<b@x.example> <1@adatum.com>");
    static char many[4000];
    for (size_t i = 0; i < sizeof many / 10; i++)
        memcpy(many + i * 10, "<ab@x.ex> ", 10);
    b->v.references = bytes_of(many, sizeof many);
    assert_form(b);
    assert_true(field(b, "References").len < 900);
    b->v.message_id = B("none at all");
    assert_int_equal(field(b, "In-Reply-To").len, 0);
    assert_int_equal(field(b, "References").len, 0);
}

static void texts(void **state) {
    struct bench *b = *state;
    b->v.text = B("Gr\xc3\xbc\xc3\x9f"
                  "e\r\n.\r\nlast");
    assert_form(b);
    assert_field(b, "Content-Type", "text/plain; charset=utf-8");
    assert_field(b, "Content-Transfer-Encoding", "8bit");
    assert_true(bytes_ends_nocase(write(b), B("e\r\n.\r\nlast\r\n")));
    b->v.text = B("From: eve@evil.example\n\n--x\n");
    assert_form(b);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(the_usual_answer), CASE(subjects), CASE(subjects_that_would_be_more),
        CASE(references),       CASE(texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
