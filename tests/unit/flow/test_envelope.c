/* Tests of src/flow/envelope.c: what is written is read back, and nothing else is. */
#include "flow/envelope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct recipient recipients[] = {
    { .original = B("terri@proseware.com"),
      .final = B("terri@proseware.com"),
      .next_hop = B("maildir:proseware.com") },
    { .original = B("sales@proseware.com"),
      .final = B("anna@adatum.com"),
      .orcpt = B("rfc822;sales@proseware.com"),
      .next_hop = B("mx:adatum.com"),
      .connector = B("people"),
      .notify = NOTIFY_SUCCESS | NOTIFY_FAILURE,
      .away = B("ann@proseware.com") },
};
static const struct envelope sample = {
    .sender = B("scanner@proseware.com"),
    .envid = B("e-1"),
    .flags = ENVELOPE_8BIT | ENVELOPE_NO_TLS_REQUIRED | ENVELOPE_QUOTED,
    .subject = B("Figures"),
    .references = B("<0@proseware.com>"),
    .arrived = 1795132800123,
    .message_header_id = B("<1@proseware.com>"),
    .session = B("s1"),
    .listener = B("submission"),
    .helo = B("copier"),
    .login = B("scanner"),
    .tenant = B("northwind"),
    .protocol = B("ESMTPSA"),
    .client = { .family = 6, .ip = { 0x20, 1, 0xd, 0xb8 }, .port = 1025, .scope = 3 },
    .count = 2,
    .recipients = recipients,
};

static void assert_bytes(struct bytes a, struct bytes b) {
    assert_int_equal(a.len, b.len);
    assert_true(bytes_equal(a, b));
}

static void assert_same(const struct envelope *a, const struct envelope *b) {
    assert_bytes(a->sender, b->sender);
    assert_bytes(a->envid, b->envid);
    assert_bytes(a->message_header_id, b->message_header_id);
    assert_bytes(a->session, b->session);
    assert_bytes(a->listener, b->listener);
    assert_bytes(a->helo, b->helo);
    assert_bytes(a->login, b->login);
    assert_bytes(a->tenant, b->tenant);
    assert_bytes(a->protocol, b->protocol);
    assert_bytes(a->subject, b->subject);
    assert_bytes(a->references, b->references);
    assert_int_equal(a->flags, b->flags);
    assert_true(a->arrived == b->arrived);
    assert_true(addr_equal(a->client, b->client));
    assert_int_equal(a->client.port, b->client.port);
    assert_int_equal(a->client.scope, b->client.scope);
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        assert_bytes(a->recipients[i].original, b->recipients[i].original);
        assert_bytes(a->recipients[i].final, b->recipients[i].final);
        assert_bytes(a->recipients[i].orcpt, b->recipients[i].orcpt);
        assert_bytes(a->recipients[i].next_hop, b->recipients[i].next_hop);
        assert_bytes(a->recipients[i].connector, b->recipients[i].connector);
        assert_bytes(a->recipients[i].away, b->recipients[i].away);
        assert_int_equal(a->recipients[i].notify, b->recipients[i].notify);
    }
}

static void test_round_trip(void **state) {
    (void)state;
    struct buf b = buf_grow(1 << 20);
    struct arena *a = arena_open();
    struct envelope out;
    envelope_format(&b, &sample);
    assert_true(envelope_parse(buf_bytes(&b), a, &out));
    assert_same(&sample, &out);
    buf_clear(&b);
    envelope_format(&b, &(struct envelope){ 0 });
    assert_true(envelope_parse(buf_bytes(&b), a, &out));
    assert_same(&(struct envelope){ 0 }, &out);
    arena_close(&a);
    buf_free(&b);
}

/* What nobody may quote from is not written. */
static void test_unquoted(void **state) {
    (void)state;
    struct buf b = buf_grow(1 << 20);
    struct arena *a = arena_open();
    struct envelope out, plain = sample;
    plain.flags &= ~(uint32_t)ENVELOPE_QUOTED;
    envelope_format(&b, &plain);
    assert_true(envelope_parse(buf_bytes(&b), a, &out));
    assert_int_equal(out.subject.len, 0);
    assert_int_equal(out.references.len, 0);
    arena_close(&a);
    buf_free(&b);
}

static void test_copy_is_deep(void **state) {
    (void)state;
    struct arena *first = arena_open(), *second = arena_open();
    struct buf b = buf_grow(1 << 20);
    struct envelope out;
    envelope_format(&b, &sample);
    assert_true(envelope_parse(buf_bytes(&b), first, &out));
    const struct envelope *copy = envelope_copy(second, &out);
    memset(b.at, 'x', b.len);
    arena_close(&first);
    assert_same(&sample, copy);
    arena_close(&second);
    buf_free(&b);
}

static void test_cut_or_longer(void **state) {
    (void)state;
    struct buf b = buf_grow(1 << 20);
    struct arena *a = arena_open();
    struct envelope out;
    envelope_format(&b, &sample);
    for (size_t n = 0; n < b.len; n++) {
        assert_false(envelope_parse(bytes_first(buf_bytes(&b), n), a, &out));
        arena_reset(a);
    }
    buf_char(&b, 0);
    assert_false(envelope_parse(buf_bytes(&b), a, &out));
    arena_close(&a);
    buf_free(&b);
}

static uint64_t step(uint64_t *seed) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* Whatever a damaged form is taken for, it is read without harm and stays within the input. */
static void test_changed(void **state) {
    (void)state;
    struct buf b = buf_grow(1 << 20);
    struct arena *a = arena_open();
    struct envelope out;
    uint64_t seed = 88172645463325252;
    envelope_format(&b, &sample);
    char copy[2048];
    assert_true(b.len <= sizeof copy);
    for (int round = 0; round < 20000; round++) {
        memcpy(copy, b.at, b.len);
        for (uint64_t n = step(&seed) % 4 + 1; n > 0; n--)
            copy[step(&seed) % b.len] = (char)step(&seed);
        if (envelope_parse(bytes_of(copy, b.len), a, &out))
            assert_true(out.count <= b.len);
        assert_true(arena_used(a) < 64 * b.len);
        arena_reset(a);
    }
    /* A count nobody wrote. */
    buf_clear(&b);
    envelope_format(&b, &(struct envelope){ 0 });
    memset(b.at + b.len - 4, 0xff, 4);
    assert_false(envelope_parse(buf_bytes(&b), a, &out));
    arena_close(&a);
    buf_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),   cmocka_unit_test(test_unquoted),
        cmocka_unit_test(test_copy_is_deep), cmocka_unit_test(test_cut_or_longer),
        cmocka_unit_test(test_changed),
    };
    return cmocka_run_group_tests_name("envelope", tests, NULL, NULL);
}
