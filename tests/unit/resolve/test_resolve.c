/* Tests of src/resolve: aliases of every shape on a directory in memory (the real one refuses to make
 * the worst of them, but a database may hold what somebody wrote into it), postmaster, routes. */
#include "resolve/resolve.h"

#include "../../sim/loop.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* --- a directory in memory: these names win over the library's --------------------------------- */

struct row {
    const char *address;
    enum directory_kind kind;
    struct strings targets;
    bool keep, away;
    struct directory_rules rules;
    const uint8_t *plain;
};

struct question {
    struct timer timer;
    struct bytes address;
    directory_found *on_found;
    void *ctx;
    bool asked;
};

static struct {
    struct loop *loop;
    struct row rows[64];
    size_t count, questions;
    bool down;
    struct question question;
} book;

static void answer(void *ctx) {
    struct question *q = ctx;
    struct why why;
    struct directory_entry e = { 0 };
    q->asked = false;
    if (book.down) {
        q->on_found(q->ctx, why_backend(&why, "backend.directory", "The directory is away"), NULL,
                    &why);
        return;
    }
    for (size_t i = 0; i < book.count; i++) {
        struct row *r = &book.rows[i];
        if (!bytes_equal_nocase(bytes_str(r->address), q->address))
            continue;
        e.kind = r->kind;
        e.address = bytes_str(r->address);
        e.targets = r->targets;
        e.plain = r->plain;
        e.keep = r->keep;
        e.vacation.set = r->away;
        e.rules = r->rules;
        q->on_found(q->ctx, OK, &e, NULL);
        return;
    }
    q->on_found(q->ctx, OK, NULL, NULL);
}

void directory_find(struct directory *d, struct bytes address, directory_found *on_found,
                    void *ctx) {
    (void)d;
    assert_false(book.question.asked); /* one at a time */
    book.questions++;
    book.question = (struct question){ .address = address, .on_found = on_found, .ctx = ctx };
    book.question.asked = true;
    timer_set(book.loop, &book.question.timer, 0, answer, &book.question);
}

void directory_find_whole(struct directory *d, struct bytes address, directory_found *on_found,
                          void *ctx) {
    directory_find(d, address, on_found, ctx);
}

void directory_cancel(struct directory *d, void *ctx) {
    (void)d;
    if (book.question.asked && book.question.ctx == ctx)
        timer_clear(&book.question.timer);
    book.question.asked = false;
}

/* --- the bench ------------------------------------------------------------------------------------ */

struct bench {
    struct arena *arena;
    struct config *config;
    struct envelope envelope;
    const struct envelope *resolved;
    enum rc rc;
    struct why why;
    unsigned answers;
};

static struct config *configuration(const char *text) {
    struct config *c;
    struct config_findings findings;
    assert_int_equal(config_parse(B("test.conf"), bytes_str(text), &c, &findings), OK);
    return c;
}

static int setup(void **state) {
    struct arena *a = arena_open();
    struct bench *b = ARENA_NEW(a, struct bench);
    memset(&book, 0, sizeof book);
    book.loop = loop_open();
    b->arena = a;
    b->config = configuration(
        "hostname = \"mail.proseware.com\"\n"
        "postmaster = \"anna@proseware.com\"\n"
        "domain \"proseware.com\" { }\n"
        "domain \"store.example\" { deliver = \"lmtp:10.0.0.7:24\" }\n"
        "domain \"socket.example\" { deliver = \"lmtp:unix:/run/lmtp\" }\n"
        "domain \"inner.example\" { deliver = \"smtp:10.0.0.8:2525\" }\n"
        "route \"all\"   { to = {\".adatum.com\"} via = {\"smtp://a.example:25\"} }\n"
        "route \"exact\" { to = {\"adatum.com\"} via = {\"smtp://b.example:25\"} }\n"
        "route \"boss\"  { to = {\"adatum.com\"} from = {\"boss@proseware.com\"} via = "
        "{\"smtp://c.example:25\"} }\n"
        "route \"one\"   { to = {\"bob@adatum.com\"} via = {\"smtp://d.example:25\"} }\n"
        "route \"ours\"  { from = {\"*@mail.proseware.com\"} via = {\"smtp://e.example:25\"} }\n");
    b->envelope.sender = B("zoe@contoso.com");
    b->envelope.recipients = ARENA_ARRAY(a, 8, struct recipient);
    *state = b;
    return 0;
}

static int teardown(void **state) {
    struct bench *b = *state;
    struct arena *a = b->arena;
    config_close(&b->config);
    loop_close(&book.loop);
    arena_close(&a);
    return 0;
}

static void user(const char *address) {
    book.rows[book.count++] = (struct row){ .address = address, .kind = DIRECTORY_USER };
}

/* Targets parted by blanks. */
static void alias(struct bench *b, const char *address, const char *targets) {
    struct bytes rest = bytes_str(targets), target;
    struct bytes *list = ARENA_ARRAY(b->arena, 16, struct bytes);
    struct row *r = &book.rows[book.count++];
    *r = (struct row){ .address = address, .kind = DIRECTORY_ALIAS };
    while (rest.len && bytes_split(&rest, ' ', &target))
        list[r->targets.count++] = target;
    r->targets.list = list;
}

static void to(struct bench *b, const char *address) {
    b->envelope.recipients[b->envelope.count++].original = bytes_str(address);
}

static void on_resolved(void *ctx, enum rc rc, const struct envelope *resolved,
                        const struct why *why) {
    struct bench *b = ctx;
    b->answers++;
    b->rc = rc;
    b->resolved = resolved;
    if (why)
        b->why = *why;
}

static void resolve(struct bench *b) {
    resolve_begin(book.loop, b->config, NULL, &b->envelope, b->arena, on_resolved, b);
    assert_int_equal(b->answers, 0); /* never before the call returned */
    sim_run(book.loop);
    assert_int_equal(b->answers, 1);
}

/* The final addresses, in their order, and the next hop of each. */
static void assert_final(struct bench *b, const char *wanted) {
    char text[1000];
    struct buf out = buf_fixed(text, sizeof text);
    assert_int_equal(b->rc, OK);
    for (size_t i = 0; i < b->resolved->count; i++)
        buf_printf(&out, "%s%.*s", i ? " " : "", BYTES_FMT(b->resolved->recipients[i].final));
    assert_string_equal(buf_text(&out), wanted);
}

static void assert_hop(struct bench *b, const char *sender, const char *recipient,
                       const char *wanted) {
    char text[300];
    struct buf out = buf_fixed(text, sizeof text);
    resolve_next_hop(b->config, bytes_str(sender), bytes_str(recipient), &out);
    assert_string_equal(buf_text(&out), wanted);
}

/* --- aliases --------------------------------------------------------------------------------------- */

static void what_no_alias_changes_stays(void **state) {
    struct bench *b = *state;
    user("anna@proseware.com");
    to(b, "anna@proseware.com");
    to(b, "bob@elsewhere.example");
    to(b, "unknown@proseware.com");
    resolve(b);
    assert_final(b, "anna@proseware.com bob@elsewhere.example unknown@proseware.com");
    assert_true(bytes_equal(b->resolved->recipients[1].next_hop, B("mx:elsewhere.example")));
    assert_int_equal(book.questions, 2); /* the directory knows our own alone */
}

static void aliases_are_followed_in_their_order(void **state) {
    struct bench *b = *state;
    user("anna@proseware.com");
    user("carl@proseware.com");
    alias(b, "all@proseware.com", "anna@proseware.com sales@proseware.com bob@adatum.com");
    alias(b, "sales@proseware.com", "carl@proseware.com dora@adatum.com");
    to(b, "all@proseware.com");
    b->envelope.recipients[0].notify = NOTIFY_FAILURE;
    b->envelope.recipients[0].orcpt = B("rfc822;x@y");
    resolve(b);
    assert_final(b, "anna@proseware.com carl@proseware.com dora@adatum.com bob@adatum.com");
    for (size_t i = 0; i < b->resolved->count; i++) { /* each remembers where it came from */
        const struct recipient *r = &b->resolved->recipients[i];
        assert_true(bytes_equal(r->original, B("all@proseware.com")));
        assert_int_equal(r->notify, NOTIFY_FAILURE);
        assert_true(bytes_equal(r->orcpt, B("rfc822;x@y")));
    }
}

static void everybody_gets_one_copy(void **state) {
    struct bench *b = *state;
    user("anna@proseware.com");
    alias(b, "a@proseware.com", "anna@proseware.com Bob@Adatum.com");
    alias(b, "b@proseware.com", "ANNA@proseware.com bob@adatum.com");
    to(b, "a@proseware.com");
    to(b, "b@proseware.com");
    to(b, "anna@proseware.com");
    resolve(b);
    assert_final(b, "anna@proseware.com Bob@Adatum.com");
}

static void an_alias_may_keep_a_copy_for_itself(void **state) {
    struct bench *b = *state;
    alias(b, "carl@proseware.com", "carl@proseware.com carl@adatum.com");
    to(b, "carl@proseware.com");
    resolve(b);
    assert_final(b, "carl@proseware.com carl@adatum.com");
}

static void a_loop_with_a_way_out_is_left_by_it(void **state) {
    struct bench *b = *state;
    user("anna@proseware.com");
    alias(b, "a@proseware.com", "b@proseware.com");
    alias(b, "b@proseware.com", "a@proseware.com anna@proseware.com");
    to(b, "a@proseware.com");
    resolve(b);
    assert_final(b, "anna@proseware.com");
}

/* Nobody must hear 250 for a message that leads nowhere, whoever else gets it. */
static void a_loop_without_one_is_our_fault(void **state) {
    struct bench *b = *state;
    user("anna@proseware.com");
    alias(b, "a@proseware.com", "b@proseware.com");
    alias(b, "b@proseware.com", "a@proseware.com");
    to(b, "anna@proseware.com");
    to(b, "a@proseware.com");
    resolve(b);
    assert_int_equal(b->rc, TEMP);
    assert_int_equal(b->why.code, 451);
    assert_string_equal(b->why.reason, "backend.alias");
    assert_non_null(strstr(b->why.text, "a@proseware.com leads back to itself"));
}

static void chain(struct bench *b, int length) {
    for (int i = 0; i < length; i++) {
        struct bytes from = arena_printf(b->arena, "c%d@proseware.com", i);
        struct bytes next = arena_printf(b->arena, "c%d@proseware.com", i + 1);
        alias(b, from.at, next.at);
    }
}

static void ten_deep_is_deep_enough(void **state) {
    struct bench *b = *state;
    chain(b, 10);
    user("c10@proseware.com");
    to(b, "c0@proseware.com");
    resolve(b);
    assert_final(b, "c10@proseware.com");
}

static void deeper_is_told_and_not_dropped(void **state) {
    struct bench *b = *state;
    chain(b, 20);
    user("c20@proseware.com");
    to(b, "c0@proseware.com");
    resolve(b);
    assert_int_equal(b->rc, TEMP);
    assert_non_null(strstr(b->why.text, "too many aliases"));
}

static void big(struct bench *b, size_t count) {
    struct bytes *list = ARENA_ARRAY(b->arena, count, struct bytes);
    for (size_t i = 0; i < count; i++)
        list[i] = arena_printf(b->arena, "g%zu@adatum.com", i);
    book.rows[book.count++] = (struct row){ .address = "big@proseware.com",
                                            .kind = DIRECTORY_ALIAS,
                                            .targets = { .count = count, .list = list } };
    to(b, "big@proseware.com");
}

static void a_thousand_targets_are_taken(void **state) {
    struct bench *b = *state;
    big(b, 1000);
    resolve(b);
    assert_int_equal(b->rc, OK);
    assert_int_equal(b->resolved->count, 1000);
}

static void more_are_told_and_not_dropped(void **state) {
    struct bench *b = *state;
    big(b, 26000);
    resolve(b);
    assert_int_equal(b->rc, TEMP);
    assert_non_null(strstr(b->why.text, "too many others"));
}

/* --- postmaster ------------------------------------------------------------------------------------- */

static void postmaster_is_the_configured_one(void **state) {
    struct bench *b = *state;
    user("anna@proseware.com");
    to(b, "postmaster");
    to(b, "PostMaster@store.example");
    resolve(b);
    assert_final(b, "anna@proseware.com");
}

static void postmaster_may_have_an_entry(void **state) {
    struct bench *b = *state;
    alias(b, "postmaster@proseware.com", "carl@proseware.com");
    user("carl@proseware.com");
    to(b, "postmaster@proseware.com");
    resolve(b);
    assert_final(b, "carl@proseware.com");
}

static void postmaster_without_anybody_has_a_mailbox(void **state) {
    struct bench *b = *state;
    config_close(&b->config);
    b->config = configuration("hostname = \"mail.proseware.com\"\n"
                              "postmaster = \"postmaster@proseware.com\"\n"
                              "domain \"proseware.com\" { }\n");
    to(b, "postmaster@proseware.com");
    resolve(b);
    assert_final(b, "postmaster");
    assert_true(bytes_equal(b->resolved->recipients[0].next_hop, B("maildir:")));
}

/* --- what may go wrong -------------------------------------------------------------------------------- */

static void a_directory_that_fails_is_no_answer(void **state) {
    struct bench *b = *state;
    book.down = true;
    to(b, "anna@proseware.com");
    resolve(b);
    assert_int_equal(b->rc, TEMP);
    assert_string_equal(b->why.reason, "backend.directory");
}

static void it_can_be_cancelled_at_any_time(void **state) {
    struct bench *b = *state;
    to(b, "anna@proseware.com");
    struct resolve_query *q =
        resolve_begin(book.loop, b->config, NULL, &b->envelope, b->arena, on_resolved, b);
    resolve_cancel(&q);
    q = resolve_begin(book.loop, b->config, NULL, &b->envelope, b->arena, on_resolved, b);
    struct heap_node *first = heap_first(&book.loop->timers);
    struct timer *t = CONTAINER_OF(first, struct timer, node);
    heap_remove(&book.loop->timers, first);
    t->fire(t->ctx); /* the directory has been asked now */
    assert_int_equal(book.questions, 1);
    resolve_cancel(&q);
    sim_run(book.loop);
    assert_int_equal(b->answers, 0);
}

/* --- next hops ------------------------------------------------------------------------------------------ */

static void next_hops(void **state) {
    struct bench *b = *state;
    assert_hop(b, "x@y", "anna@proseware.com", "maildir:proseware.com");
    assert_hop(b, "x@y", "anna@store.example", "lmtp:10.0.0.7:24");
    assert_hop(b, "x@y", "anna@socket.example", "lmtp:unix:/run/lmtp");
    assert_hop(b, "x@y", "anna@inner.example", "smtp:10.0.0.8:2525");
    assert_hop(b, "x@y", "bob@contoso.com", "mx:contoso.com");
    assert_hop(b, "x@y", "postmaster", "maildir:");
    assert_hop(b, "x@y", "kim@adatum.com", "route:exact");
    assert_hop(b, "boss@proseware.com", "kim@adatum.com", "route:boss");
    assert_hop(b, "x@y", "kim@lab.adatum.com", "route:all");
    /* The recipient comes first, then the sender. */
    assert_hop(b, "boss@proseware.com", "bob@adatum.com", "route:one");
    assert_hop(b, "MAILER-DAEMON@mail.proseware.com", "bob@contoso.com", "route:ours");
    assert_hop(b, "", "bob@contoso.com", "mx:contoso.com");
}

static void reports_go_out_as_ours(void **state) {
    struct bench *b = *state;
    b->envelope.sender = B("");
    b->envelope.flags = ENVELOPE_REPORT;
    to(b, "bob@contoso.com");
    resolve(b);
    assert_true(bytes_equal(b->resolved->recipients[0].next_hop, B("route:ours")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(what_no_alias_changes_stays),
        TEST(aliases_are_followed_in_their_order),
        TEST(everybody_gets_one_copy),
        TEST(an_alias_may_keep_a_copy_for_itself),
        TEST(a_loop_with_a_way_out_is_left_by_it),
        TEST(a_loop_without_one_is_our_fault),
        TEST(ten_deep_is_deep_enough),
        TEST(deeper_is_told_and_not_dropped),
        TEST(a_thousand_targets_are_taken),
        TEST(more_are_told_and_not_dropped),
        TEST(postmaster_is_the_configured_one),
        TEST(postmaster_may_have_an_entry),
        TEST(postmaster_without_anybody_has_a_mailbox),
        TEST(a_directory_that_fails_is_no_answer),
        TEST(it_can_be_cancelled_at_any_time),
        TEST(next_hops),
        TEST(reports_go_out_as_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
