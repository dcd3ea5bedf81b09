/* What a tenant's administrator sees and steers of a message. */
#include "base/must.h"
#include "bin/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char conf[] =
    "domain \"proseware.com\" {}\n"
    "domain \"a.example\" {}\n"
    "domain \"b.example\" {}\n"
    "tenant \"a\" { domains = {\"a.example\"} admins = {\"admin@a.example\"} }\n"
    "tenant \"b\" { domains = {\"b.example\"} admins = {\"admin@b.example\"} }\n";

static struct config *config;

static int open_config(void **state) {
    struct config_findings findings;
    (void)state;
    return config_parse(B("test"), bytes_str(conf), &config, &findings) != OK;
}

static int close_config(void **state) {
    (void)state;
    config_close(&config);
    return 0;
}

static void logins(void **state) {
    (void)state;
    static const char *const none[] = {
        "",           "user@a.example", "admin@proseware.com", "admin", "admin@a.example.",
        "@a.example", "admin@c.example"
    };
    assert_true(bytes_equal(scope_of_login(config, B("admin@a.example"))->name, B("a")));
    assert_true(bytes_equal(scope_of_login(config, B("admin@b.example"))->name, B("b")));
    for (size_t i = 0; i < COUNT_OF(none); i++)
        assert_null(scope_of_login(config, bytes_str(none[i])));
}

/* sees and steers: of tenant a, for a message handed in by `tenant` to these (original, final). */
static const struct {
    const char *tenant, *first, *first_final, *second;
    bool sees_first, sees_second, steers;
} cases[] = {
    { "a", "x@adatum.com", "x@adatum.com", "y@b.example", true, true, true },
    { "b", "x@adatum.com", "x@adatum.com", "y@b.example", false, false, false },
    { "b", "x@a.example", "x@a.example", "y@b.example", true, false, false },
    { "", "x@a.example", "x@a.example", "y@adatum.com", true, false, false },
    { "", "x@a.example", "x@a.example", "Y@A.example", true, true, true },
    { "", "all@proseware.com", "x@a.example", "y@a.example", true, true, true },
    { "", "x@a.example", "x@elsewhere.example", "y@a.example", true, true, true },
    { "", "postmaster", "postmaster", "y@sub.a.example", false, false, false },
};

static void messages(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct recipient to[] = {
            { .original = bytes_str(cases[i].first), .final = bytes_str(cases[i].first_final) },
            { .original = bytes_str(cases[i].second), .final = bytes_str(cases[i].second) },
        };
        const struct envelope e = { .tenant = bytes_str(cases[i].tenant),
                                    .count = 2,
                                    .recipients = to };
        assert_int_equal(scope_sees_recipient(config, B("a"), &e, &to[0]), cases[i].sees_first);
        assert_int_equal(scope_sees_recipient(config, B("a"), &e, &to[1]), cases[i].sees_second);
        assert_int_equal(scope_sees_message(config, B("a"), &e),
                         cases[i].sees_first || cases[i].sees_second);
        assert_int_equal(scope_steers_message(config, B("a"), &e), cases[i].steers);
        assert_false(scope_sees_message(config, BYTES_NONE, &e)); /* no tenant: nothing */
    }
}

/* Lines of the history as tenant a's administrator sees them; NULL: not at all; "": as they stand. */
static const struct {
    const char *line, *seen;
} events[] = {
    /* its own sessions, with whatever they spoke to */
    { "'event':'accepted','message':'1','login':'u@a.example','from':'u@a.example','tenant':'a',"
      "'to':['y@b.example','z@adatum.com'],'granted_by':'login'",
      "" },
    { "'event':'deferred','message':'1','from':'<>','tenant':'a','to':'y@b.example'", "" },
    { "'event':'refused','tenant':'a','to':'z@adatum.com','text':'No','rules':['x: y']",
      "'event':'refused','tenant':'a','to':'z@adatum.com','text':'No'" },
    /* another tenant's, nobody's, and what only looks like its own */
    { "'event':'accepted','message':'2','from':'v@b.example','tenant':'b','to':['y@b.example']",
      NULL },
    { "'event':'accepted','message':'2','from':'u@a.example','tenant':'b','to':['z@adatum.com']",
      NULL },
    { "'event':'refused','login':'u@a.example','tenant':'b','to':'z@adatum.com'", NULL },
    { "'event':'accepted','message':'2','from':'v@proseware.com','to':['y@b.example']", NULL },
    { "'event':'refused','from':'v@proseware.com','to':'a.example','text':'u@a.example'", NULL },
    { "'event':'refused','from':'v@proseware.com','to':'x@sub.a.example'", NULL },
    { "'event':'refused','from':'v@proseware.com','reason':'tenant\\',\\'tenant\\':\\'a'", NULL },
    { "'event':'refused','from':'tenant','to':'a','helo':'u@a.example'", NULL },
    { "'event':'reloaded','config':'tenant'", NULL },
    { "'event':'authenticated','session':'s','login':'v@b.example'", NULL },
    /* for its recipients, from elsewhere */
    { "'event':'accepted','message':'3','client':'192.0.2.1','from':'v@c.example','size':5,"
      "'to':['u@a.example','y@b.example','z@adatum.com'],'granted_by':'mx','also':'y@b.example'",
      "'event':'accepted','message':'3','client':'192.0.2.1','from':'v@c.example','size':5,"
      "'to':['u@a.example']" },
    { "'event':'delivered','message':'3','to':'y@b.example','reply':'250'", NULL },
    { "'event':'delivered','message':'3','to':'U@A.Example','reply':'250'", "" },
    { "'event':'relayed','message':'3','to':'x@adatum.com','original_to':'u@a.example'", "" },
    { "'event':'delivered','message':'3','to':'u@a.example','original_to':'all@b.example'",
      "'event':'delivered','message':'3','to':'u@a.example'" },
    /* for its recipients, from another tenant and from a login of nobody's */
    { "'event':'refused','client':'192.0.2.1','login':'v@b.example','from':'v@b.example',"
      "'tenant':'b','to':'u@a.example','code':550,'text':'You may use w@b.example'",
      "'event':'refused','from':'v@b.example','to':'u@a.example','code':550" },
    { "'event':'refused','client':'192.0.2.1','login':'t@proseware.com','from':'t@proseware.com',"
      "'to':'u@a.example','text':'You may use w@proseware.com'",
      "'event':'refused','from':'t@proseware.com','to':'u@a.example'" },
    /* its sender and its login, outside of any tenant's session; tries of others' */
    { "'event':'accepted','message':'4','client':'192.0.2.1','from':'u@a.example',"
      "'to':['z@adatum.com','y@b.example'],'granted_by':'web'",
      "'event':'accepted','message':'4','client':'192.0.2.1','from':'u@a.example',"
      "'to':['z@adatum.com']" },
    { "'event':'relayed','message':'4','from':'u@a.example','to':'y@b.example'",
      "'event':'relayed','message':'4','from':'u@a.example'" },
    { "'event':'authenticated','session':'s','client':'192.0.2.1','login':'u@a.example'", "" },
    { "'event':'refused','session':'s','client':'192.0.2.1','login_tried':'u@a.example','helo':'h'",
      "'event':'refused','session':'s','client':'192.0.2.1'" },
    { "'event':'refused','session':'s','client':'192.0.2.1','login_tried':'v@b.example'", NULL },
};

static struct bytes in_quotes(char *memory, const char *text) {
    size_t n = 0;
    for (memory[n++] = '{'; *text; text++)
        memory[n++] = *text == '\'' ? '"' : *text;
    memory[n++] = '}';
    return bytes_of(memory, n);
}

static void seen_events(void **state) {
    (void)state;
    struct scope_view *v = scope_view_open(config, B("a"));
    struct scope_view *none = scope_view_open(config, BYTES_NONE);
    for (size_t i = 0; i < COUNT_OF(events); i++) {
        char memory[1000], other[1000], out[1000];
        struct bytes line = in_quotes(memory, events[i].line);
        struct buf b = buf_fixed(out, sizeof out);
        assert_false(scope_sees_event(none, line, &b));
        assert_int_equal(scope_sees_event(v, line, &b), events[i].seen != NULL);
        const char *seen = events[i].seen && *events[i].seen ? events[i].seen : events[i].line;
        if (!events[i].seen)
            continue;
        assert_true(bytes_equal(buf_bytes(&b), in_quotes(other, seen)));
    }
    scope_view_close(&none);
    scope_view_close(&v);
}

/* Of a line that was cut nothing is seen, and nothing is read behind its end. */
static void cut_events(void **state) {
    (void)state;
    struct scope_view *v = scope_view_open(config, B("a"));
    for (size_t i = 0; i < COUNT_OF(events); i++) {
        char memory[1000], out[1000];
        struct bytes line = in_quotes(memory, events[i].line);
        for (size_t len = 0; len < line.len; len++) {
            struct buf b = buf_fixed(out, sizeof out);
            char *exact = malloc(len + 1);
            memcpy(exact, line.at, len);
            assert_false(scope_sees_event(v, bytes_of(exact, len), &b));
            free(exact);
        }
    }
    scope_view_close(&v);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(logins, open_config, close_config),
        cmocka_unit_test_setup_teardown(messages, open_config, close_config),
        cmocka_unit_test_setup_teardown(seen_events, open_config, close_config),
        cmocka_unit_test_setup_teardown(cut_events, open_config, close_config),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
