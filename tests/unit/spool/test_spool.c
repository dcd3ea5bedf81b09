/* Tests of src/spool on a real disk and the real loop: what goes in comes out, before and after a
 * restart; settlements, big messages, dues, pages, statistics. What happens when the power fails is
 * tests/crash. */
#include "base/must.h"
#include "spool/spool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct bench {
    char dir[64];
    struct disk *disk;
    struct loop *loop;
    struct spool *spool;
    struct store *store;
    uint64_t segment_size;
    bool leased, read;
    unsigned waiting; /* callbacks to come */
    unsigned failed, damages, news;
    struct message_id last;
    struct store_message *loaded;
    char *content;
    size_t content_len;
};

static void done(struct bench *b) {
    if (--b->waiting == 0)
        loop_stop(b->loop);
}

static void run(struct bench *b) {
    if (b->waiting)
        loop_run(b->loop);
    assert_int_equal(b->waiting, 0);
}

static void on_leased(void *ctx, uint32_t lane, enum rc rc, const struct why *why) {
    struct bench *b = ctx;
    (void)lane;
    (void)why;
    b->leased = rc == OK;
    if (rc != OK)
        done(b);
}

static void on_read(void *ctx, uint32_t lane) {
    struct bench *b = ctx;
    (void)lane;
    b->read = true;
    done(b);
}

static void on_damage(void *ctx, uint32_t lane, struct bytes what) {
    struct bench *b = ctx;
    (void)lane;
    (void)what;
    b->damages++;
}

static void on_news(void *ctx, const struct store_due *due) {
    struct bench *b = ctx;
    assert_true(due->next_hop.len > 0 && due->count > 0);
    b->news++;
}

static const struct spool_lane_events events = { on_leased, on_read, on_damage };

static void start(struct bench *b) {
    b->disk = disk_open(b->dir);
    b->loop = loop_open();
    struct spool_setup setup = { .disk = b->disk, .segment_size = b->segment_size };
    b->spool = spool_open(b->loop, &setup);
    b->store = spool_store(b->spool);
    b->news = b->damages = 0;
    b->read = b->leased = false;
    store_on_news(b->store, on_news, b);
    spool_lease(b->spool, 0, &events, b);
    b->waiting = 1;
    run(b);
    assert_true(b->leased && b->read);
}

static void stop(struct bench *b) {
    spool_close(&b->spool);
    loop_close(&b->loop);
    disk_close(&b->disk);
}

static int setup(void **state) {
    struct bench *b = calloc(1, sizeof *b);
    strcpy(b->dir, "/tmp/postern-spool-XXXXXX");
    MUST(mkdtemp(b->dir));
    *state = b;
    start(b);
    return 0;
}

static int teardown(void **state) {
    struct bench *b = *state;
    char command[96];
    stop(b);
    snprintf(command, sizeof command, "rm -r %s", b->dir);
    MUST(system(command) == 0);
    free(b);
    return 0;
}

/* --- steps ----------------------------------------------------------------------------------- */

static void on_committed(void *ctx, enum rc rc, struct message_id id, const struct why *why) {
    struct bench *b = ctx;
    (void)why;
    if (rc != OK)
        b->failed++;
    b->last = id;
    done(b);
}

static char fill(uint64_t i) {
    return (char)('a' + (i * 7 + i / 1000) % 26);
}

/* Content of `size` octets, in pieces of at most 50,000. */
static void give(struct store_draft *d, size_t size) {
    char *part = malloc(50000);
    for (size_t at = 0; at < size;) {
        size_t n = size - at < 50000 ? size - at : 50000;
        for (size_t i = 0; i < n; i++)
            part[i] = fill(at + i);
        (void)store_append(d, bytes_of(part, n)); /* what waits is bounded by the sizes here */
        at += n;
    }
    free(part);
}

static struct recipient people[] = {
    { .original = B("a@adatum.com"), .final = B("a@adatum.com"), .next_hop = B("mx:adatum.com") },
    { .original = B("b@adatum.com"), .final = B("b@adatum.com"), .next_hop = B("mx:adatum.com") },
    { .original = B("c@fabrikam.com"),
      .final = B("c@contoso.com"),
      .next_hop = B("mx:contoso.com") },
};

static struct message_id commit(struct bench *b, size_t size, size_t recipients) {
    struct why why;
    struct store_draft *d = store_begin(b->store, size, &why);
    assert_non_null(d);
    struct message_id id = store_draft_id(d);
    give(d, size);
    assert_int_equal(store_draft_size(d), size);
    struct envelope e = { .sender = B("s@proseware.com"),
                          .arrived = loop_wall(b->loop),
                          .count = recipients,
                          .recipients = people };
    b->waiting++;
    store_commit(&d, B("Received: by test\r\n"), &e, on_committed, b);
    assert_null(d);
    run(b);
    assert_int_equal(b->failed, 0);
    assert_string_equal(id.text, b->last.text);
    return id;
}

static void on_loaded(void *ctx, enum rc rc, struct store_message *m, const struct why *why) {
    struct bench *b = ctx;
    (void)why;
    assert_int_equal(rc, OK);
    b->loaded = m;
    done(b);
}

static struct store_message *load(struct bench *b, struct message_id id) {
    b->waiting++;
    store_load(b->store, id, on_loaded, b);
    run(b);
    return b->loaded;
}

static void on_part(void *arg, enum rc rc, struct bytes data, const struct why *why) {
    struct bench *b = arg;
    (void)why;
    assert_int_equal(rc, OK);
    b->content = realloc(b->content, b->content_len + data.len + 1);
    memcpy(b->content + b->content_len, data.at, data.len);
    b->content_len += data.len;
    done(b);
}

static void assert_content(struct bench *b, struct store_message *m, size_t size) {
    static const char prefix[] = "Received: by test\r\n";
    size_t ahead = sizeof prefix - 1;
    struct content c = store_message_content(m);
    assert_int_equal(c.size, size + ahead);
    b->content_len = 0;
    for (uint64_t at = 0; at < c.size; at += 70001) {
        b->waiting++;
        c.read(c.ctx, at, 70001, on_part, b);
        run(b);
    }
    assert_int_equal(b->content_len, c.size);
    assert_memory_equal(b->content, prefix, ahead);
    for (size_t i = 0; i < size; i++)
        if (b->content[ahead + i] != fill(i))
            fail_msg("octet %zu differs", i);
    if (c.memory.len)
        assert_memory_equal(c.memory.at, b->content, b->content_len);
    free(b->content);
    b->content = NULL;
}

static void assert_there(struct bench *b, struct message_id id, size_t size, size_t recipients) {
    struct store_message *m = load(b, id);
    assert_non_null(m);
    assert_string_equal(store_message_id(m).text, id.text);
    assert_int_equal(store_message_envelope(m)->count, recipients);
    assert_true(bytes_equal(store_message_envelope(m)->sender, B("s@proseware.com")));
    assert_content(b, m, size);
    store_message_release(&m);
}

static void on_settled(void *ctx, enum rc rc) {
    struct bench *b = ctx;
    assert_int_equal(rc, OK);
    done(b);
}

static void put(struct bench *b, struct message_id id, uint32_t recipient, enum recipient_state s) {
    struct settlement t = { .id = id, .recipient = recipient, .state = s, .attempts = 1 };
    if (!recipient_state_final(s) && s != RECIPIENT_HELD)
        t.next = loop_wall(b->loop) + 60000;
    t.reply = B("450 4.2.0 later");
    b->waiting++;
    store_settle(b->store, &t, 1, on_settled, b);
    run(b);
}

static void restart(struct bench *b) {
    stop(b);
    start(b);
}

/* --- tests ----------------------------------------------------------------------------------- */

static void test_in_and_out(void **state) {
    struct bench *b = *state;
    static const size_t sizes[] = { 0, 1, 4096, 20000, 131072, 131073, 700000, 65536 * 3 };
    struct message_id ids[COUNT_OF(sizes)];
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        ids[i] = commit(b, sizes[i], 1);
        assert_there(b, ids[i], sizes[i], 1);
    }
    assert_int_equal(b->news, COUNT_OF(sizes));
    for (int round = 0; round < 2; round++) {
        restart(b);
        assert_int_equal(b->damages, 0);
        assert_int_equal(b->news, COUNT_OF(sizes));
        for (size_t i = 0; i < COUNT_OF(sizes); i++)
            assert_there(b, ids[i], sizes[i], 1);
    }
    struct message_id fresh = commit(b, 10, 1);
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        assert_string_not_equal(fresh.text, ids[i].text);
}

static void test_settle(void **state) {
    struct bench *b = *state;
    struct message_id id = commit(b, 100, 3), other = commit(b, 300000, 1);
    struct store_stats stats;
    put(b, id, 0, RECIPIENT_RELAYED);
    put(b, id, 1, RECIPIENT_DEFERRED);
    for (int round = 0; round < 2; round++) {
        struct store_message *m = load(b, id);
        const struct store_recipient *r = store_message_recipients(m);
        assert_int_equal(r[0].state, RECIPIENT_RELAYED);
        assert_int_equal(r[1].state, RECIPIENT_DEFERRED);
        assert_int_equal(r[1].attempts, 1);
        assert_true(r[1].next > store_message_envelope(m)->arrived);
        assert_true(bytes_equal(r[1].reply, B("450 4.2.0 later")));
        assert_int_equal(r[2].state, RECIPIENT_DUE);
        store_message_release(&m);
        store_stats(b->store, &stats);
        assert_int_equal(stats.messages, 2);
        assert_int_equal(stats.recipients, 3);
        assert_int_equal(stats.by_state[RECIPIENT_DEFERRED], 1);
        restart(b);
    }
    put(b, id, 1, RECIPIENT_BOUNCED);
    struct store_message *held = load(b, id);
    put(b, id, 2, RECIPIENT_DELIVERED);
    assert_content(b, held, 100); /* who holds it may finish */
    store_message_release(&held);
    assert_null(load(b, id));
    struct store_message *big = load(b, other);
    put(b, other, 0, RECIPIENT_REMOVED);
    assert_content(b, big, 300000);
    store_message_release(&big);
    restart(b);
    assert_null(load(b, id));
    assert_null(load(b, other));
    store_stats(b->store, &stats);
    assert_int_equal(stats.messages + stats.recipients + stats.octets, 0);
    assert_int_equal(b->news, 0);
}

static void test_due(void **state) {
    struct bench *b = *state;
    struct message_id ids[5];
    for (int i = 0; i < 5; i++)
        ids[i] = commit(b, 10, 3); /* two next hops each */
    put(b, ids[1], 2, RECIPIENT_HELD);
    put(b, ids[2], 2, RECIPIENT_DEFERRED);
    struct store_due page[16];
    for (int round = 0; round < 2; round++) {
        int64_t now = loop_wall(b->loop), earliest;
        struct store_cursor cursor = { 0 };
        size_t count = 0, got;
        while ((got = store_due(b->store, BYTES_NONE, now, &cursor, page, 2, &earliest)))
            count += got;
        assert_int_equal(count, 8);
        assert_true(earliest > now && earliest < INT64_MAX);
        cursor = (struct store_cursor){ 0 };
        count =
            store_due(b->store, B("mx:contoso.com"), INT64_MAX - 1, &cursor, page, 16, &earliest);
        assert_int_equal(count, 4);
        assert_string_equal(page[3].id.text, ids[2].text);
        assert_true(earliest == INT64_MAX);
        cursor = (struct store_cursor){ 0 };
        count = store_due(b->store, B("mx:adatum.com"), now, &cursor, page, 16, &earliest);
        assert_int_equal(count, 5);
        assert_int_equal(page[0].count, 2);
        assert_string_equal(page[0].id.text, ids[0].text);
        assert_int_equal(store_due(b->store, B("mx:x"), now, &cursor, page, 16, &earliest), 0);
        restart(b);
    }
    unsigned news = b->news;
    put(b, ids[1], 2, RECIPIENT_DUE); /* released */
    assert_int_equal(b->news, news + 2);
}

struct seen {
    struct bench *b;
    size_t count;
    char cursor[64];
    bool more;
};

static void on_message(void *ctx, struct store_message *m) {
    struct seen *s = ctx;
    assert_non_null(store_message_envelope(m));
    s->count++;
}

static void on_page(void *ctx, enum rc rc, struct bytes next, bool more) {
    struct seen *s = ctx;
    assert_int_equal(rc, OK);
    snprintf(s->cursor, sizeof s->cursor, "%.*s", BYTES_FMT(next));
    s->more = more;
    done(s->b);
}

static size_t scan_all(struct bench *b, struct store_filter filter) {
    static const struct store_scan_events scan_events = { on_message, on_page };
    struct seen s = { .b = b };
    do {
        b->waiting++;
        store_scan(b->store, &filter, bytes_str(s.cursor), 3, &scan_events, &s);
        run(b);
    } while (s.more);
    return s.count;
}

static void test_scan(void **state) {
    struct bench *b = *state;
    struct message_id first = commit(b, 10, 1);
    for (int i = 0; i < 9; i++)
        commit(b, 10, 3);
    put(b, first, 0, RECIPIENT_HELD);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(scan_all(b, (struct store_filter){ 0 }), 10);
        assert_int_equal(scan_all(b, (struct store_filter){ .id = bytes_str(first.text) }), 1);
        assert_int_equal(scan_all(b, (struct store_filter){ .id = B("zzzz-0") }), 0);
        assert_int_equal(scan_all(b, (struct store_filter){ .sender = B("S@proseware.com") }), 10);
        assert_int_equal(scan_all(b, (struct store_filter){ .sender = B("x@y") }), 0);
        assert_int_equal(scan_all(b, (struct store_filter){ .domain = B("contoso.com") }), 9);
        assert_int_equal(scan_all(b, (struct store_filter){ .recipient = B("b@adatum.com") }), 9);
        assert_int_equal(scan_all(b, (struct store_filter){ .states = 1 << RECIPIENT_HELD }), 1);
        assert_int_equal(scan_all(b, (struct store_filter){ .next_hop = B("mx:contoso.com") }), 9);
        assert_int_equal(scan_all(b, (struct store_filter){ .older_than = 1 }), 0);
        restart(b);
    }
}

static void test_locked(void **state) {
    struct bench *b = *state;
    struct disk *disk = disk_open(b->dir);
    struct spool_setup setup = { .disk = disk };
    struct spool *second = spool_open(b->loop, &setup);
    b->leased = true;
    b->waiting++;
    spool_lease(second, 0, &events, b);
    run(b);
    assert_false(b->leased);
    struct why why;
    assert_null(store_begin(spool_store(second), 0, &why));
    assert_int_equal(why.code, 451);
    spool_close(&second);
    disk_close(&disk);
}

static void on_released(void *ctx) {
    done(ctx);
}

static void test_release(void **state) {
    struct bench *b = *state;
    struct message_id id = commit(b, 100, 1);
    b->waiting++;
    spool_release(b->spool, 0, on_released, b);
    run(b);
    assert_null(load(b, id));
    b->waiting++;
    spool_lease(b->spool, 0, &events, b);
    run(b);
    assert_there(b, id, 100, 1);
}

static void test_abort(void **state) {
    struct bench *b = *state;
    for (int i = 0; i < 3; i++) {
        struct store_draft *d = store_begin(b->store, 0, NULL);
        give(d, i * 200000);
        store_abort(&d);
        assert_null(d);
    }
    commit(b, 10, 1);
    restart(b);
    struct store_stats stats;
    store_stats(b->store, &stats);
    assert_int_equal(stats.messages, 1);
}

/* Many messages over many small segments, finished in an order of its own; a few stay. */
static void test_segments(void **state) {
    struct bench *b = *state;
    stop(b);
    b->segment_size = 16 * 1024;
    start(b);
    enum { COUNT = 200 };
    struct message_id ids[COUNT];
    for (int i = 0; i < COUNT; i++)
        ids[i] = commit(b, 1000, 1);
    struct store_stats stats;
    store_stats(b->store, &stats);
    assert_true(stats.segments > 10);
    struct settlement all[COUNT];
    size_t count = 0;
    for (int i = 0; i < COUNT; i++)
        if (i % 50 != 7)
            all[count++] = (struct settlement){ .id = ids[i], .state = RECIPIENT_RELAYED };
    b->waiting++;
    store_settle(b->store, all, count, on_settled, b);
    run(b);
    for (int round = 0; round < 3; round++) {
        store_stats(b->store, &stats);
        assert_int_equal(stats.messages, 4);
        for (int i = 7; i < COUNT; i += 50)
            assert_there(b, ids[i], 1000, 1);
        restart(b);
        assert_int_equal(b->damages, 0);
        assert_int_equal(b->news, 4);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_in_and_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_settle, setup, teardown),
        cmocka_unit_test_setup_teardown(test_due, setup, teardown),
        cmocka_unit_test_setup_teardown(test_scan, setup, teardown),
        cmocka_unit_test_setup_teardown(test_locked, setup, teardown),
        cmocka_unit_test_setup_teardown(test_release, setup, teardown),
        cmocka_unit_test_setup_teardown(test_abort, setup, teardown),
        cmocka_unit_test_setup_teardown(test_segments, setup, teardown),
    };
    return cmocka_run_group_tests_name("spool", tests, NULL, NULL);
}
