/* Parts, encodings, charsets, parameters and HTML of messages, whole and broken, and the limits. */
#include "message/mime.h"

#include "base/must.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void expect(struct bytes found, const char *expected) {
    if (!bytes_equal(found, bytes_str(expected)))
        fail_msg("'%.*s' instead of '%s'", BYTES_FMT(found), expected);
}

static void expect_text(const char *message, size_t part, const char *expected) {
    struct arena *a = arena_open();
    struct mime m;
    mime_read(bytes_str(message), a, &m);
    assert_true(part < m.count);
    expect(mime_text(&m, part), expected);
    arena_close(&a);
}

static const char nested[] = "Content-Type: multipart/mixed; boundary=\"a b\"\r\n"
                             "\r\n"
                             "preamble\r\n"
                             "--a b\r\n"
                             "\r\n"
                             "first\r\n"
                             "\r\n"
                             "--a b\r\n"
                             "Content-Type: message/rfc822\r\n"
                             "\r\n"
                             "Subject: inner\r\n"
                             "Content-Type: multipart/alternative; boundary=inner\r\n"
                             "\r\n"
                             "--inner\r\n"
                             "Content-Type: text/html\r\n"
                             "\r\n"
                             "<p>second</p>\r\n"
                             "--inner--\r\n"
                             "--a b   \r\n"
                             "Content-Type: text/plain\r\n"
                             "\r\n"
                             "third\r\n"
                             "--a b--\r\n"
                             "epilogue\r\n";

static void parts_in_their_order(void **state) {
    (void)state;
    static const struct {
        const char *type;
        size_t parent;
        bool inside;
    } expected[] = {
        { "multipart/mixed", 0, false }, { "text/plain", 0, false },
        { "message/rfc822", 0, false },  { "multipart/alternative", 2, true },
        { "text/html", 3, true },        { "text/plain", 0, false },
    };
    struct arena *a = arena_open();
    struct mime m;
    mime_read(bytes_str(nested), a, &m);
    assert_int_equal(m.count, COUNT_OF(expected));
    for (size_t i = 0; i < m.count; i++) {
        expect(m.parts[i].type, expected[i].type);
        assert_int_equal(m.parts[i].parent, expected[i].parent);
        assert_int_equal(mime_inside(&m, i), expected[i].inside);
    }
    expect(mime_text(&m, 1), "first\n");
    expect(mime_text(&m, 4), "second\n");
    expect(mime_text(&m, 5), "third");
    assert_true(bytes_starts(m.parts[2].body, B("Subject: inner")));
    assert_true(bytes_ends_nocase(m.parts[2].body, B("--inner--")));
    assert_false(m.cut);
    arena_close(&a);
}

static void broken_structures(void **state) {
    (void)state;
    /* No boundary is announced; another one comes; the last is missing; a part without a header. */
    expect_text("Content-Type: multipart/mixed\n\n--x\nContent-Type: text/plain\n\nhere\n--x--\n",
                1, "here");
    expect_text("Content-Type: multipart/mixed; boundary=y\n\n--x\nContent-Type: text/plain\n\n"
                "here\n--x--\n",
                1, "here");
    expect_text("Content-Type: multipart/mixed; boundary=x\n\n--x\n\nhere", 1, "here");
    expect_text("Content-Type: multipart/mixed; boundary=x\n\n--x\nnot a header\n--x--\n", 1,
                "not a header");
    /* Closed, and open again. */
    expect_text("Content-Type: multipart/mixed; boundary=x\n\n--x\n\na\n--x--\n--x\n\nb\n--x--\n",
                2, "b");
    /* A part's header runs into the delimiter. */
    expect_text(
        "Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: text/plain\n--x\n\nb\n", 2,
        "b\n");
    /* A message that is encoded as a whole. */
    expect_text("Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n"
                "U3ViamVjdDogeAoKaW5uZXIK\n",
                1, "inner\n");
}

static void transfer_encodings(void **state) {
    (void)state;
    static const struct {
        void (*decode)(struct buf *, struct bytes);
        const char *text, *expected;
    } cases[] = {
        { mime_unbase64, "aGVsbG8=", "hello" },
        { mime_unbase64, "aGVs\r\nbG8", "hello" },
        { mime_unbase64, "aG*Vs bG8", "hello" },
        { mime_unbase64, "aGk=\naGk=", "hihi" },
        { mime_unbase64, "aGk=\n-- \nThe list's footer", "hi\n-- \nThe list's footer" },
        { mime_unbase64, "", "" },
        { mime_unqp, "a=3Db=\nc=\r\nd", "a=bcd" },
        { mime_unqp, "a=  \nb", "ab" },
        { mime_unqp, "100% =zz =4", "100% =zz =4" },
        { mime_unqp, "end=", "end" },
        { mime_unuu, "begin 644 x\n#0V%T\n`\nend\n", "Cat" },
        { mime_unuu, "no beginning\n#0V%T\n", "" },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char memory[100];
        struct buf b = buf_fixed(memory, sizeof memory);
        cases[i].decode(&b, bytes_str(cases[i].text));
        expect(buf_bytes(&b), cases[i].expected);
    }
}

static void charsets(void **state) {
    (void)state;
    static const struct {
        const char *charset, *text, *expected;
    } cases[] = {
        { "utf-8", "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f" },
        { "UTF-8",
          "a\xff"
          "b\xc3\xa4",
          "a\xef\xbf\xbd"
          "b\xc3\xa4" },
        { "iso-8859-1", "gr\xfc\xdf \x80", "gr\xc3\xbc\xc3\x9f \xe2\x82\xac" },
        { "us-ascii", "gr\xfc\xdf", "gr\xc3\xbc\xc3\x9f" },
        { "x-nobody-knows", "gr\xfc\xdf", "gr\xc3\xbc\xc3\x9f" },
        { "x-nobody-knows", "gr\xc3\xbc", "gr\xc3\xbc" },
        { "iso-8859-15", "\xa4", "\xe2\x82\xac" },
        { "windows-1251", "\xcf\xf0", "\xd0\x9f\xd1\x80" },
        { "koi8-r", "\xf0\xd2", "\xd0\x9f\xd1\x80" },
        { "iso-2022-jp", "\x1b$B$\"\x1b(B!", "\xe3\x81\x82!" },
        { "us-ascii", "\x1b$B$\"\x1b(B!", "\xe3\x81\x82!" },
        { "Shift_JIS", "\x82\xa0", "\xe3\x81\x82" },
        { "euc-jp", "\xa4\xa2", "\xe3\x81\x82" },
        { "gb2312", "\xd6\xd0", "\xe4\xb8\xad" },
        { "gb18030", "\x81\x30\x89\x38", "\xc3\x9f" },
        { "big5", "\xa4\xa4", "\xe4\xb8\xad" },
        { "euc-kr", "\xc7\xd1", "\xed\x95\x9c" },
        { "ks_c_5601-1987", "\xc7\xd1", "\xed\x95\x9c" },
        { "utf-7", "A+AOQ-b",
          "A\xc3\xa4"
          "b" },
        { "utf-16be", "\x20\xac", "\xe2\x82\xac" },
        { "../../etc/passwd", "x+y", "x+y" },
        { "", "x+y", "x+y" },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char memory[100];
        struct buf b = buf_fixed(memory, sizeof memory);
        mime_utf8(&b, bytes_str(cases[i].charset), bytes_str(cases[i].text));
        if (!bytes_equal(buf_bytes(&b), bytes_str(cases[i].expected)))
            fail_msg("%s: '%.*s' instead of '%s'", cases[i].charset, BYTES_FMT(buf_bytes(&b)),
                     cases[i].expected);
    }
}

static void parameters(void **state) {
    (void)state;
    static const struct {
        const char *value, *expected;
    } cases[] = {
        { "a/b; name=x", "x" },
        { "a/b; NAME = \"x y\"", "x y" },
        { "a/b; name=\"x \\\"y\\\"; z\"; other=q", "x \"y\"; z" },
        { "a/b; other=\"; name=no\"; name=yes", "yes" },
        { "a/b; name=\"unfinished", "unfinished" },
        { "a/b; name*0=one; name*1=\" two\"", "one two" },
        { "a/b; name*1=two; name*0=one", "onetwo" },
        { "a/b; name*=iso-8859-1'de'gr%FCn", "gr\xc3\xbcn" },
        { "a/b; name*0*=utf-8''a%20; name*1=\"%20\"; name*2*=%C3%A4", "a %20\xc3\xa4" },
        { "a/b; name*=utf-8''%C3%A; x=y", "\xc3\x83%A" },
        { "a/b; names=no", NULL },
        { "a/b", NULL },
        { "", NULL },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena *a = arena_open();
        struct bytes found;
        bool is = mime_parameter(bytes_str(cases[i].value), B("name"), a, &found);
        if (is != (cases[i].expected != NULL))
            fail_msg("%s: %s", cases[i].value, is ? "found" : "not found");
        if (is)
            expect(found, cases[i].expected);
        arena_close(&a);
    }
}

static void encoded_words(void **state) {
    (void)state;
    static const struct {
        const char *value, *expected;
    } cases[] = {
        { "plain", "plain" },
        { "=?utf-8?Q?a_b?= =?utf-8?B?YyBk?= e", "a bc d e" },
        { "=?utf-8?B?w?= =?utf-8?B?6Q=?=", "\xc3\xa9" }, /* a character cut in two */
        { "=?iso-2022-jp?B?GyRCJCIbKEI=?=", "\xe3\x81\x82" },
        { "=?gb2312*zh?Q?=D6=D0?=", "\xe4\xb8\xad" },
        { "=?koi8-r?Q?=F0?=\r\n =?koi8-r?Q?=D2?=", "\xd0\x9f\xd1\x80" },
        { "=?x-none?Q?a?=", "a" },
        { "=?utf-8?X?a?=", "=?utf-8?X?a?=" },
        { "=?utf-8?Q?unfinished", "=?utf-8?Q?unfinished" },
        { "a=?utf-8?Q?=1B[31m=0A?=b", "a [31m b" },
        { "folded\r\n\tline", "folded line" },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena *a = arena_open();
        expect(mime_words(bytes_str(cases[i].value), a), cases[i].expected);
        arena_close(&a);
    }
}

static void html(void **state) {
    (void)state;
    static const struct {
        const char *html, *expected;
    } cases[] = {
        { "<p>one</p><p>two<br>three</p>", "one\n\ntwo\nthree\n" },
        { "a  \n b", "a b\n" },
        { "<head><title>no</title></head><body>yes</body>", "yes\n" },
        { "<head><title>no</title><body>yes", "yes\n" },
        { "<style>no { }</style><script>if (a<b) no();</script>yes", "yes\n" },
        { "1 &lt; 2 &amp;&amp; &#x41;&#66; &nbsp;&uuml;&unknown; &#27;",
          "1 < 2 && AB \xc3\xbc&unknown;\n" },
        { "write <ann@example.com> if 1 < 2", "write <ann@example.com> if 1 < 2\n" },
        { "<pre>a\n  b</pre>c", "a\n  b\nc\n" },
        { "<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", "a b\nc\n" },
        { "<!-- no --><!DOCTYPE x>yes<!-- unfinished", "yes unfinished\n" },
        { "<a href=\"x>y\">link</a>", "y\">link\n" },
        { "<", "<\n" },
        { "", "" },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char memory[200];
        struct buf b = buf_fixed(memory, sizeof memory);
        mime_html(&b, bytes_str(cases[i].html));
        expect(buf_bytes(&b), cases[i].expected);
    }
}

static void flowed_text(void **state) {
    (void)state;
    expect_text("Content-Type: text/plain; format=flowed\n\none \ntwo\n stuffed\n-- \nsig\n", 0,
                "one two\nstuffed\n-- \nsig\n");
    expect_text("Content-Type: text/plain; format=flowed; delsp=yes\n\non \ne\n", 0, "one\n");
    expect_text("Content-Type: text/plain\n\none \ntwo\n", 0, "one \ntwo\n");
}

static void text_has_no_controls(void **state) {
    (void)state;
    expect_text("Subject: x\n\na\r\nb\rc\x1b[1md\x07\r\r\ne\x7f\n", 0, "a\nb\nc[1md\ne\n");
}

static void fields(void **state) {
    (void)state;
    static const char header[] =
        "not a field\nSubject: one\r\n two\n\tthree\nsubject: no\nX : y\n\nSubject: no\n";
    struct arena *a = arena_open();
    struct bytes value;
    assert_true(mime_field(bytes_str(header), B("SUBJECT"), a, &value));
    expect(value, "one two three");
    assert_true(mime_field(bytes_str(header), B("X"), a, &value));
    expect(value, "y");
    assert_false(mime_field(bytes_str(header), B("Sub"), a, &value));
    assert_int_equal(mime_header_length(B("A: b\n\nbody")), 6);
    assert_int_equal(mime_header_length(B("A: b\r\n\r\nbody")), 8);
    assert_int_equal(mime_header_length(B("no header here\n")), 0);
    assert_int_equal(mime_header_length(B("A: b")), 4);
    arena_close(&a);
}

/* --- limits ------------------------------------------------------------------------------------- */

static struct bytes repeat(struct arena *a, const char *begin, const char *piece, size_t times) {
    size_t one = strlen(piece), head = strlen(begin);
    struct buf b = buf_fixed(arena_alloc(a, head + one * times + 1), head + one * times + 1);
    buf_str(&b, begin);
    for (size_t i = 0; i < times; i++)
        buf_str(&b, piece);
    assert_false(b.full);
    return buf_bytes(&b);
}

static void limits_hold(void **state) {
    (void)state;
    static const struct {
        const char *begin, *piece;
        size_t times;
        bool cut;
    } cases[] = {
        { "Content-Type: multipart/mixed; boundary=x\n\n", "--x\n\na\n", 10000, true },
        { "Content-Type: multipart/mixed; boundary=x\n\n--x\n\na\n", "--x--\n", 1000000, true },
        { "", "Content-Type: message/rfc822\n\n", 10000, true },
        { "", "Content-Type: multipart/mixed; boundary=x\n\n--x\n", 10000, true },
        { "Subject: x\n\n", "aaaaaaaaaaaaaaa\n", 200000, true },
        { "Content-Type: text/html\n\n", "<", 3000000, true },
        { "Content-Type: text/html\n\n", "&", 500000, false },
        { "Content-Type: text/plain; charset=iso-2022-jp\n\n", "\x1b$B\xff", 100000, false },
        { "Content-Transfer-Encoding: base64\n\n", "QUFB\n", 1000000, true },
        { "X: y\n", "X: y\n", 500000, false },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena *a = arena_open(), *big = arena_open();
        struct mime m;
        mime_read(repeat(big, cases[i].begin, cases[i].piece, cases[i].times), a, &m);
        assert_in_range(m.count, 1, MIME_PARTS);
        for (size_t p = 0; p < m.count; p++) {
            assert_in_range(m.parts[p].depth, 0, MIME_DEPTH + 1);
            assert_in_range(mime_text(&m, p).len, 0, MIME_TEXT);
        }
        assert_in_range(m.decoded, 0, MIME_DECODED);
        assert_in_range(arena_used(a), 0, 2 * MIME_DECODED + 4 * 1024 * 1024);
        if (cases[i].cut != m.cut)
            fail_msg("%zu: %s", i, m.cut ? "cut" : "not cut");
        arena_close(&big);
        arena_close(&a);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_in_their_order),
        cmocka_unit_test(broken_structures),
        cmocka_unit_test(transfer_encodings),
        cmocka_unit_test(charsets),
        cmocka_unit_test(parameters),
        cmocka_unit_test(encoded_words),
        cmocka_unit_test(html),
        cmocka_unit_test(flowed_text),
        cmocka_unit_test(text_has_no_controls),
        cmocka_unit_test(fields),
        cmocka_unit_test(limits_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
