/* Tests of src/spool/format.c: what is written is read back, changed octets are not. */
#include "spool/format.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_file_head(void **state) {
    (void)state;
    char octets[FILE_HEAD], spoilt[FILE_HEAD];
    struct file_head head = { FILE_BIG, 77, 0x1122334455667788 }, out;
    bool damaged;
    file_head_format(octets, &head);
    assert_true(file_head_parse(octets, &out, &damaged));
    assert_false(damaged);
    assert_int_equal(out.kind, FILE_BIG);
    assert_true(out.number == 77 && out.salt == head.salt);
    for (size_t i = 0; i < FILE_HEAD; i++) {
        memcpy(spoilt, octets, FILE_HEAD);
        spoilt[i] ^= 4;
        assert_true(file_head_parse(spoilt, &out, &damaged)); /* the other copy */
        assert_true(damaged && out.number == 77);
        spoilt[(i + FILE_HEAD / 2) % FILE_HEAD] ^= 4;
        assert_false(file_head_parse(spoilt, &out, &damaged));
    }
}

static void test_record(void **state) {
    (void)state;
    struct record r = {
        RECORD_COPY, RECORD_BIG | RECORD_FIRST, 1234567890123, 4096, 100, 20, 5, 6
    };
    struct record out;
    char octets[RECORD_HEAD];
    record_format(octets, &r, 9);
    assert_true(record_parse(octets, 4096, 9, &out));
    assert_true(out.kind == r.kind && out.flags == r.flags && out.sequence == r.sequence);
    assert_true(out.meta_len == 100 && out.body_len == 20 && out.meta_crc == 5 &&
                out.body_crc == 6);
    assert_int_equal(record_length(&out), 160);
    assert_false(record_parse(octets, 4104, 9, &out)); /* not where it was written */
    assert_false(record_parse(octets, 4096, 8, &out)); /* not of this file */
    for (size_t i = 0; i < RECORD_HEAD; i++) {
        octets[i] ^= 1;
        assert_false(record_parse(octets, 4096, 9, &out));
        octets[i] ^= 1;
    }
}

static void test_trailer(void **state) {
    (void)state;
    char octets[TRAILER];
    uint32_t index;
    trailer_format(octets, 1000, 2000, 3);
    assert_true(trailer_parse(octets, 2000, 3, &index));
    assert_int_equal(index, 1000);
    assert_false(trailer_parse(octets, 2008, 3, &index));
    assert_false(trailer_parse(octets, 2000, 4, &index));
}

static void test_notes(void **state) {
    (void)state;
    struct buf b = buf_grow(1000);
    struct note a = { 5, 1, RECIPIENT_DEFERRED, true, 3, 99, B("mx:a"), B("451 later") };
    struct note z = { 6, 0, RECIPIENT_RELAYED, false, 1, 0, B(""), B("") }, out;
    note_format(&b, &a);
    note_format(&b, &z);
    struct scan s = scan_of(buf_bytes(&b));
    assert_true(note_next(&s, &out));
    assert_true(out.sequence == 5 && out.recipient == 1 && out.state == RECIPIENT_DEFERRED);
    assert_true(out.warned && out.attempts == 3 && out.next == 99);
    assert_true(bytes_equal(out.next_hop, a.next_hop) && bytes_equal(out.reply, a.reply));
    assert_true(note_next(&s, &out));
    assert_false(note_next(&s, &out));
    assert_false(s.bad);
    b.at[12] = RECIPIENT_SENDING; /* is never written */
    s = scan_of(buf_bytes(&b));
    assert_false(note_next(&s, &out));
    assert_true(s.bad);
    buf_free(&b);
}

static void test_entries(void **state) {
    (void)state;
    static struct recipient people[] = { { .next_hop = B("mx:a") },
                                         { .next_hop = B("mx:a") },
                                         { .next_hop = B("mx:b") } };
    struct envelope e = { .arrived = 5, .count = 3, .recipients = people };
    struct buf meta = buf_grow(1000), b = buf_grow(1000);
    message_meta_format(&meta, 4321, &e);
    note_format(&meta, &(struct note){ .sequence = 9, .recipient = 2, .state = RECIPIENT_HELD });
    struct record r = { .kind = RECORD_COPY, .sequence = 9, .offset = 128 };
    assert_true(record_entries(&b, &r, buf_bytes(&meta)));
    struct scan s = scan_of(buf_bytes(&b));
    struct entry out;
    assert_true(entry_next(&s, &out));
    assert_true(out.kind == ENTRY_MESSAGE && out.sequence == 9 && out.size == 4321);
    assert_int_equal(out.count, 3);
    uint32_t run;
    struct bytes hop, hops = out.hops;
    assert_true(entry_hop(&hops, &run, &hop) && run == 2 && bytes_equal(hop, B("mx:a")));
    assert_true(entry_hop(&hops, &run, &hop) && run == 1 && bytes_equal(hop, B("mx:b")));
    assert_false(entry_hop(&hops, &run, &hop));
    assert_true(entry_next(&s, &out));
    assert_true(out.kind == ENTRY_NOTE && out.note.recipient == 2);
    assert_false(entry_next(&s, &out));
    assert_false(s.bad);
    for (size_t n = 1; n < meta.len; n++) { /* cut short: no, or fewer notes */
        buf_clear(&b);
        if (record_entries(&b, &r, bytes_first(buf_bytes(&meta), n)))
            assert_true(b.len > 0);
    }
    buf_free(&b);
    buf_free(&meta);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file_head), cmocka_unit_test(test_record),
        cmocka_unit_test(test_trailer),   cmocka_unit_test(test_notes),
        cmocka_unit_test(test_entries),
    };
    return cmocka_run_group_tests_name("format", tests, NULL, NULL);
}
