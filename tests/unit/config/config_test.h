/* What the tests of the configuration share: parsing a text, looking for a finding, files to refer
 * to. */
#ifndef CONFIG_TEST_H
#define CONFIG_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct parsed {
    enum rc rc;
    struct config *config;
    struct config_findings findings;
};

static inline struct parsed parse_on(struct config_host host, const char *text) {
    struct parsed p;
    /* A blank keeps an empty text from meaning "read the file". */
    struct bytes all = *text ? bytes_str(text) : B("\n");
    p.rc = config_parse_on(&host, B("test.conf"), all, &p.config, &p.findings);
    assert_non_null(p.config);
    return p;
}

static inline struct parsed parse(const char *text) {
    return parse_on((struct config_host){ .hostname = B("host.example.net"), .cores = 2 }, text);
}

/* As if everything were built. */
static inline struct parsed parse_all(const char *text) {
    return parse_on((struct config_host){ .hostname = B("host.example.net"),
                                          .cores = 2,
                                          .lift_not_built = true },
                    text);
}

static inline size_t count_errors(const struct parsed *p) {
    size_t n = 0;
    for (size_t i = 0; i < p->findings.count; i++)
        n += p->findings.list[i].severity == FINDING_ERROR;
    return n;
}

static inline void print_findings(const struct parsed *p) {
    for (size_t i = 0; i < p->findings.count; i++) {
        const struct config_finding *f = &p->findings.list[i];
        print_message("    %.*s:%d: %s: %.*s: %.*s\n", BYTES_FMT(f->place.file), f->place.line,
                      f->id, BYTES_FMT(f->setting), BYTES_FMT(f->text));
    }
}

/* No finding at all, or the test fails and shows them. */
static inline struct parsed parse_clean(const char *text) {
    struct parsed p = parse(text);
    if (p.findings.count)
        print_findings(&p);
    assert_int_equal(p.findings.count, 0);
    assert_int_equal(p.rc, OK);
    return p;
}

static inline void assert_bytes(struct bytes got, const char *want) {
    if (!bytes_equal(got, bytes_str(want)))
        fail_msg("got \"%.*s\", expected \"%s\"", BYTES_FMT(got), want);
}

/* --- a directory with files a configuration may refer to --- */

static char test_dir[64];

static inline void write_file(const char *name, const char *text, mode_t mode) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", test_dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static const char *const test_files[] = { "mail.pem", "mail.key",       "box.pem",
                                          "box.key",  "srs.key",        "open.login",
                                          "junk",     "provider.login", "empty",
                                          "no-colon", "oauth",          "no-password",
                                          "open.key", "client-http",    "private.jwks" };

static inline int make_files(void **state) {
    (void)state;
    static const char chain[] = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
    static const char key[] = "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n";
    strcpy(test_dir, "/tmp/postern-config-XXXXXX");
    assert_non_null(mkdtemp(test_dir));
    write_file("mail.pem", chain, 0644);
    write_file("mail.key", key, 0600);
    write_file("box.pem", chain, 0644);
    write_file("box.key", key, 0600);
    write_file("open.key", key, 0640);
    write_file("srs.key", "0123456789abcdef\n", 0600);
    write_file("provider.login", "relay@provider.example:s3cret:with:colons\n", 0600);
    write_file("open.login", "user:pass\n", 0644);
    write_file("junk", "junk\n", 0600);
    write_file("empty", "\n", 0600);
    write_file("no-colon", "password\n", 0600);
    write_file("no-password", "user:\n", 0600);
    write_file("oauth", "{\"client_id\":\"x\"}\n", 0600);
    write_file("client-http",
               "{\"token_url\":\"http://l.example/t\",\"client_id\":\"x\",\"client_secret\":\"y\","
               "\"user\":\"u@d.example\"}\n",
               0600);
    write_file("private.jwks", "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}\n", 0644);
    return 0;
}

static inline int remove_files(void **state) {
    (void)state;
    char path[256];
    for (size_t i = 0; i < sizeof test_files / sizeof test_files[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", test_dir, test_files[i]);
        unlink(path);
    }
    return rmdir(test_dir);
}

/* The text with every `from` replaced by `to`; freed by the caller. */
static inline char *replaced(const char *text, const char *from, const char *to) {
    struct buf b = buf_grow(1 << 20);
    for (const char *at; (at = strstr(text, from)); text = at + strlen(from)) {
        buf_add(&b, bytes_of(text, (size_t)(at - text)));
        buf_str(&b, to);
    }
    buf_str(&b, text);
    assert_false(b.full);
    char *copy = strdup(buf_text(&b));
    buf_free(&b);
    return copy;
}

#endif
