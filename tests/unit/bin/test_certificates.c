/* What a route's ca_file becomes before a worker sees it: text, proved to hold a certificate. */
#include "base/arena.h"
#include "base/must.h"
#include "bin/certificates.h"
#include "sys/tls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct world {
    struct arena *arena;
    char folder[64];
    struct config *config;
};

static struct bytes path(struct world *w, const char *name) {
    return arena_printf(w->arena, "%s/%s", w->folder, name);
}

static void write_file(struct world *w, const char *name, struct bytes text) {
    FILE *f = fopen(path(w, name).at, "w");
    MUST(f);
    MUST(fwrite(text.at, 1, text.len, f) == text.len);
    fclose(f);
}

static enum rc fill(struct world *w, struct why *why) {
    struct config_findings findings = { 0 };
    struct bytes text = arena_printf(
        w->arena,
        "hostname = \"mail.proseware.com\"\nstate_dir = \"%s\"\n"
        "route \"hub\" { via = {\"smtp://hub.example\"} tls = verify ca_file = \"%s/ca.pem\" }\n",
        w->folder, w->folder);
    MUST(config_parse(B("test.conf"), text, &w->config, &findings) == OK);
    return certificates_fill(w->config, 0, why);
}

static int setup(void **state) {
    struct arena *a = arena_open();
    struct world *w = ARENA_NEW(a, struct world);
    w->arena = a;
    snprintf(w->folder, sizeof(w->folder), "/tmp/postern-certificates-XXXXXX");
    MUST(mkdtemp(w->folder));
    *state = w;
    return 0;
}

static int teardown(void **state) {
    struct world *w = *state;
    unlink(path(w, "ca.pem").at);
    rmdir(w->folder);
    config_close(&w->config);
    struct arena *a = w->arena;
    arena_close(&a);
    return 0;
}

static void roots_are_read(void **state) {
    struct world *w = *state;
    struct bytes chain, key;
    struct why why;
    MUST(tls_make_pair(B("hub.example"), 0, w->arena, &chain, &key, &why) == OK);
    write_file(w, "ca.pem", chain);
    assert_int_equal(fill(w, &why), OK);
    assert_true(bytes_equal(w->config->routes[0].ca_file, chain));
}

static void roots_missing(void **state) {
    struct world *w = *state;
    struct why why;
    assert_int_equal(fill(w, &why), PERM);
    assert_true(bytes_search(bytes_str(why.text), B("route hub: ca_file")) >= 0);
}

static void roots_without_certificate(void **state) {
    struct world *w = *state;
    struct why why;
    write_file(w, "ca.pem", B("nothing of the kind\n"));
    assert_int_equal(fill(w, &why), PERM);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(roots_are_read, setup, teardown),
        cmocka_unit_test_setup_teardown(roots_missing, setup, teardown),
        cmocka_unit_test_setup_teardown(roots_without_certificate, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
