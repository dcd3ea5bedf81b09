/* Requests of the control socket, which anybody of this host may write: whatever it is, it harms nobody,
 * and nobody says of himself that he is trusted. */
#include "base/must.h"
#include "bin/control.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { REQUEST = 64 * 1024 };

/* What comes out is one line, an object, and says what we say. */
static bool sign(struct bytes line) {
    struct buf b = buf_grow(REQUEST);
    char *exact = malloc(line.len + 1);
    memcpy(exact, line.at, line.len);
    bool signed_it = control_sign(bytes_of(exact, line.len), false, B("eve"), &b);
    free(exact);
    if (signed_it) {
        json_t *json = json_loadb(b.at, b.len, JSON_REJECT_DUPLICATES, NULL);
        assert_true(json_is_object(json));
        assert_true(json_is_false(json_object_get(json, "trusted")));
        assert_string_equal(json_string_value(json_object_get(json, "operator")), "eve");
        assert_true(bytes_find(buf_bytes(&b), '\n') < 0);
        json_decref(json);
    }
    buf_free(&b);
    return signed_it;
}

static const struct {
    const char *line;
    bool taken;
} cases[] = {
    { "{}", true },
    { "{\"trusted\":true}", true },
    { "{\"trusted\":true,\"trusted\":true,\"operator\":\"root\",\"operator\":\"root\"}", true },
    { "{\"\\u0074rusted\":true,\"operator\":[\"root\"]}", true },
    { "{\"command\":{\"trusted\":true},\"as\":[[]]}", true },
    { " {\"a\":\"\\n\\ud83d\\ude00\"} ", true },
    { "", false },
    { "[]", false },
    { "\"trusted\"", false },
    { "7", false },
    { "null", false },
    { "{", false },
    { "{}{}", false },
    { "{} x", false },
    { "{\"a\":}", false },
    { "{\"a\":1e999}", false },
    { "{\"a\":99999999999999999999}", false },
    { "{\"a\":\"\\u0000\"}", false },
    { "{\"a\":\"\\ud800\"}", false },
    { "{\"a\":\"\xff\"}", false },
    { "{\"a\":\"\xc0\xaf\"}", false },
    { "{'a':1}", false },
};

static void requests(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_int_equal(sign(bytes_str(cases[i].line)), cases[i].taken);
    assert_false(sign(bytes_of("{}\0", 3)));
}

/* As deep, and as long, as a request can be. */
static void large_requests(void **state) {
    (void)state;
    char *text = malloc(REQUEST);
    memset(text, '[', REQUEST);
    assert_false(sign(bytes_of(text, REQUEST)));
    for (size_t i = 0; i < REQUEST / 5; i++)
        memcpy(text + 5 * i, "{\"a\":", 5);
    assert_false(sign(bytes_of(text, REQUEST)));
    memset(text, 'x', REQUEST);
    memcpy(text, "{\"a\":\"", 6);
    memcpy(text + REQUEST - 2, "\"}", 2);
    assert_false(sign(bytes_of(text, REQUEST))); /* no room for what we add */
    memcpy(text + REQUEST - 102, "\"}", 2);
    assert_true(sign(bytes_of(text, REQUEST - 100)));
    free(text);
}

/* The cases, cut and with octets changed: a few thousand from one seed. */
static void damaged_requests(void **state) {
    (void)state;
    uint64_t seed = 88172645463325252ULL;
    for (size_t round = 0; round < 20000; round++) {
        char text[200];
        struct bytes from = bytes_str(cases[round % COUNT_OF(cases)].line);
        memcpy(text, from.at, from.len);
        size_t len = from.len;
        for (size_t n = 0; n < 3 && len; n++) {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            text[(seed >> 8) % len] = (char)(seed & 0xff);
            if ((seed >> 60) == 0)
                len = (seed >> 20) % len;
        }
        sign(bytes_of(text, len));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests),
        cmocka_unit_test(large_requests),
        cmocka_unit_test(damaged_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
