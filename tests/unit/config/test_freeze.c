/* Freezing and thawing give the same configuration; what is no frozen configuration is refused. And
 * config_show: it reads back as what it was, and holds no secret. */
#include "config_test.h"

#include "config/storage.h"

/* Everything at once, so that every field has something to lose. */
static const char whole[] =
    "hostname = mail.a.example\nkeeper_as = keeper\nblocked_senders = {spam.example, \"<>\"}\n"
    "srs_secret = \"env:POSTERN_TEST_SECRET\"\ncounters = \"redis://joe:hunter2@cache/\"\n"
    "blocklists = {zen.example}\ngreylist = on\n"
    "domain \"a.example\" { deliver = lmtp:mail:24 header_auth = note }\n"
    "domain \"b.example\" { deliver = \"lmtp:unix:/run/lmtp\" }\n"
    "listener \"a\" { bind = {\"*:25\", \"127.0.0.1:0\"} xclient_from = {\"10.0.0.0/8\"}\n"
    "  xclient_login = yes certificate = \"@/mail.pem\" key = \"@/mail.key\" tls_min = 1.3 }\n"
    "certificate \"c.example\" { chain = \"@/box.pem\" key = \"@/box.key\" }\n"
    "connector \"p\" { auth = {joe, \"ann@a.example\"} senders = {\"*\"} limit = {5/min, 9/day}\n"
    "  expires = \"2030-01-01\" may_relay_to = {.x.example} max_recipients = 5 }\n"
    "connector \"q\" { clients = {\"192.0.2.0/24\", \"2001:db8::/32\"} except = {192.0.2.1}\n"
    "  senders = any without_tls_on = {a} listeners = {a} note = \"n \\\" \\\\\" }\n"
    "connector \"r\" { pop_before_smtp = 15min note = n tenant = t }\n"
    "connector \"s\" { auth = any local_users = {root} }\n"
    "tenant \"t\" { domains = {b.example} address = \"2001:db8::1\" limit = {9/day}\n"
    "  external_forwarding = allow admins = {joe@b.example} hostname = t.example }\n"
    "route \"x\" { via = {\"smtp://h.example:587\", \"mx:i.example\"} tls = require\n"
    "  login = \"env:POSTERN_TEST_LOGIN\" source_address = 192.0.2.7 rate = {10/s}\n"
    "  from = {ann@a.example} ca_file = /etc/ca.pem }\n"
    "route \"y\" { to = {x.example} via = {\"smtps://h.example\"} login = \"env:POSTERN_TEST_CLIENT\" }\n"
    "oauth \"o\" { issuer = \"https://o.example\" audience = mail claim = upn ca_file = \"@/mail.pem\"\n"
    "  introspection = \"https://o.example/i\" client = \"env:POSTERN_TEST_LOGIN\" }\n"
    "queue { retry = {10s, 20s} min_free = 7% }\nhistory { keep = 3d }\n";

static struct parsed parse_whole(void) {
    char path[128];
    setenv("POSTERN_TEST_SECRET", "tiger-swordfish", 1);
    setenv("POSTERN_TEST_LOGIN", "joe:tiger-swordfish", 1);
    setenv("POSTERN_TEST_CLIENT",
           "{\"token_url\":\"https://l.example/t\",\"client_id\":\"i\",\"client_secret\":"
           "\"tiger-swordfish\",\"user\":\"relay@l.example\"}",
           1);
    snprintf(path, sizeof path, "%s/", test_dir);
    char *text = replaced(whole, "@/", path);
    struct parsed p = parse_all(text);
    free(text);
    if (p.rc != OK)
        print_findings(&p);
    assert_int_equal(p.rc, OK);
    return p;
}

static void thawed_is_the_same(void **state) {
    (void)state;
    struct parsed p = parse_whole();
    struct buf frozen = buf_grow(1 << 20), again = buf_grow(1 << 20);
    struct buf shown = buf_grow(1 << 20), shown_again = buf_grow(1 << 20);
    struct config *c;
    config_freeze(&frozen, p.config);
    assert_false(frozen.full);
    assert_int_equal(config_thaw(buf_bytes(&frozen), &c), OK);
    config_freeze(&again, c);
    assert_true(bytes_equal(buf_bytes(&frozen), buf_bytes(&again)));
    config_show(&shown, p.config);
    config_show(&shown_again, c);
    assert_true(bytes_equal(buf_bytes(&shown), buf_bytes(&shown_again)));
    assert_bytes(c->routes[0].login_password, "tiger-swordfish");
    assert_bytes(c->srs_secret, "tiger-swordfish");
    assert_true(c->listeners[0].key_pem.len > 0);
    assert_int_equal(c->connectors[1].place.line, p.config->connectors[1].place.line);
    assert_ptr_equal(config_domain(c, B("B.example")), &c->domains[1]);
    buf_free(&frozen);
    buf_free(&again);
    buf_free(&shown);
    buf_free(&shown_again);
    config_close(&p.config);
    config_close(&c);
}

/* Workers are not given what only the fetcher needs. */
static void workers_get_no_client_secrets(void **state) {
    (void)state;
    struct parsed p = parse_whole();
    struct buf whole_block = buf_grow(1 << 20), worker = buf_grow(1 << 20);
    struct config *c;
    config_freeze(&whole_block, p.config);
    config_freeze_worker(&worker, p.config);
    assert_int_equal(config_thaw(buf_bytes(&whole_block), &c), OK);
    assert_true(bytes_search(c->routes[1].login_client, B("tiger-swordfish")) > 0);
    assert_bytes(c->oauths[0].client_secret, "tiger-swordfish");
    assert_true(c->oauths[0].ca_pem.len > 0);
    assert_true(config_needs_fetcher(c));
    config_close(&c);
    assert_int_equal(config_thaw(buf_bytes(&worker), &c), OK);
    assert_int_equal(c->routes[1].login_client.len, 0);
    assert_true(c->routes[1].login_oauth);
    assert_bytes(c->routes[1].login_user, "relay@l.example");
    assert_bytes(c->routes[0].login_password, "tiger-swordfish");
    assert_int_equal(c->oauths[0].client_secret.len + c->oauths[0].client_id.len, 0);
    assert_bytes(c->oauths[0].issuer, "https://o.example");
    config_close(&c);
    config_close(&p.config);
    buf_free(&whole_block);
    buf_free(&worker);
}

static void thawed_outlives_its_block(void **state) {
    (void)state;
    struct parsed p = parse_whole();
    struct buf frozen = buf_grow(1 << 20);
    struct config *c;
    config_freeze(&frozen, p.config);
    config_close(&p.config);
    assert_int_equal(config_thaw(buf_bytes(&frozen), &c), OK);
    buf_free(&frozen);
    assert_bytes(c->hostname, "mail.a.example");
    assert_bytes(c->connectors[0].name, "p");
    config_close(&c);
}

static void cut_short_is_refused(void **state) {
    (void)state;
    struct parsed p = parse_whole();
    struct buf frozen = buf_grow(1 << 20);
    config_freeze(&frozen, p.config);
    for (size_t n = 0; n < frozen.len; n++) {
        struct config *c = NULL;
        assert_int_equal(config_thaw(bytes_first(buf_bytes(&frozen), n), &c), PERM);
        assert_null(c);
    }
    buf_char(&frozen, 'x');
    struct config *c;
    assert_int_equal(config_thaw(buf_bytes(&frozen), &c), PERM);
    buf_free(&frozen);
    config_close(&p.config);
}

/* Whatever comes out of a damaged block can be used: shown, frozen, looked up. */
static void flipped_bits_do_no_harm(void **state) {
    (void)state;
    struct parsed p = parse_whole();
    struct buf frozen = buf_grow(1 << 20), out = buf_grow(1 << 20);
    config_freeze(&frozen, p.config);
    for (size_t i = 0; i < frozen.len; i++) {
        struct config *c = NULL;
        frozen.at[i] = (char)(frozen.at[i] ^ (1 << i % 8));
        if (config_thaw(buf_bytes(&frozen), &c) == OK) {
            buf_clear(&out);
            config_show(&out, c);
            config_close(&c);
        }
        frozen.at[i] = (char)(frozen.at[i] ^ (1 << i % 8));
    }
    assert_int_equal(config_thaw(B("PSTC\x02\0\0\0"), &(struct config *){ NULL }), PERM);
    buf_free(&frozen);
    buf_free(&out);
    config_close(&p.config);
}

static size_t align_of(const struct storage *f);

static size_t struct_align(const struct storage *fields) {
    size_t most = 1;
    for (; fields->kind != KIND_END; fields++)
        if (align_of(fields) > most)
            most = align_of(fields);
    return most;
}

static size_t align_of(const struct storage *f) {
    static const size_t aligns[] = {
        [KIND_BYTES] = 8,   [KIND_U64] = 8,  [KIND_U16] = 2,     [KIND_ENUM] = 4,
        [KIND_BOOL] = 1,    [KIND_ADDR] = 4, [KIND_LIST] = 8,    [KIND_COUNT] = 8,
        [KIND_POINTER] = 8, [KIND_SUB] = 8,  [KIND_SKIPPED] = 8,
    };
    if (f->kind == KIND_SUB)
        return struct_align(f->of);
    return f->kind == KIND_SKIPPED && f->size == 1 ? 1 : aligns[f->kind];
}

/* Each field begins where the one before ends but for padding, and the last ends the struct: so no
 * field of config.h is missing from the tables. */
static void check_storage(const struct storage *fields, size_t size) {
    size_t end = 0;
    const struct storage *f = fields;
    for (; f->kind != KIND_END; f++) {
        size_t align = align_of(f);
        assert_int_equal(f->offset, (end + align - 1) / align * align);
        end = f->offset + f->size;
        if (f->kind == KIND_SUB)
            check_storage(f->of, f->size);
        if (f->kind == KIND_LIST || f->kind == KIND_COUNT)
            check_storage(f->of, f->item);
    }
    size_t align = struct_align(fields);
    assert_int_equal(size, (end + align - 1) / align * align);
}

static void every_field_is_frozen(void **state) {
    (void)state;
    check_storage(config_storage, sizeof(struct config));
}

static void shown_reads_back(void **state) {
    (void)state;
    struct parsed p = parse_whole();
    struct buf shown = buf_grow(1 << 20), again = buf_grow(1 << 20);
    config_show(&shown, p.config);
    char *text = replaced(buf_text(&shown), "\"***\"", "\"env:POSTERN_TEST_LOGIN\"");
    struct parsed q = parse_all(text);
    if (q.rc != OK)
        print_findings(&q);
    assert_int_equal(q.rc, OK);
    config_show(&again, q.config);
    assert_string_equal(buf_text(&shown), buf_text(&again));
    free(text);
    buf_free(&shown);
    buf_free(&again);
    config_close(&p.config);
    config_close(&q.config);
}

static void shown_holds_no_secret(void **state) {
    (void)state;
    struct parsed p = parse_whole();
    struct buf shown = buf_grow(1 << 20);
    config_show(&shown, p.config);
    assert_int_equal(bytes_search(buf_bytes(&shown), B("swordfish")), -1);
    assert_int_equal(bytes_search(buf_bytes(&shown), B("hunter2")), -1);
    assert_int_equal(bytes_search(buf_bytes(&shown), B("PRIVATE KEY")), -1);
    assert_true(bytes_search(buf_bytes(&shown), B("redis://***@cache/")) >= 0);
    assert_true(bytes_search(buf_bytes(&shown), B("login = \"env:POSTERN_TEST_LOGIN\"")) >= 0);
    buf_free(&shown);
    config_close(&p.config);
}

static void shown_empty_is_valid(void **state) {
    (void)state;
    struct parsed p = parse_clean("");
    struct buf shown = buf_grow(1 << 20);
    config_show(&shown, p.config);
    struct parsed q = parse_clean(buf_text(&shown));
    config_close(&p.config);
    config_close(&q.config);
    buf_free(&shown);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(thawed_is_the_same),
        cmocka_unit_test(workers_get_no_client_secrets),
        cmocka_unit_test(thawed_outlives_its_block),
        cmocka_unit_test(cut_short_is_refused),
        cmocka_unit_test(flipped_bits_do_no_harm),
        cmocka_unit_test(every_field_is_frozen),
        cmocka_unit_test(shown_reads_back),
        cmocka_unit_test(shown_holds_no_secret),
        cmocka_unit_test(shown_empty_is_valid),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
