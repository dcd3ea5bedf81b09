/* Tests of src/resolve: aliases, groups and forwards of every shape on a directory in memory (the real one refuses to make
 * the worst of them, but a database may hold what somebody wrote into it), postmaster, routes. */
#include "resolve/resolve.h"
#include "resolve/srs.h"

#include "base/must.h"

#include "../../sim/loop.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
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
    struct row rows[128];
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
        e.own = (struct strings){ 2, (const struct bytes[]){ e.address, B("anni@proseware.com") } };
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

#define SRS_KEY "a key of twenty-two octets"

static int setup(void **state) {
    struct arena *a = arena_open();
    setenv("SRS", SRS_KEY, 1);
    struct bench *b = ARENA_NEW(a, struct bench);
    memset(&book, 0, sizeof book);
    book.loop = loop_open();
    b->arena = a;
    b->config = configuration(
        "hostname = \"mail.proseware.com\"\n"
        "postmaster = \"anna@proseware.com\"\n"
        "srs_secret = \"env:SRS\"\n"
        "domain \"proseware.com\" { }\n"
        "domain \"northwind.example\" { }\n"
        "domain \"northwind.test\" { }\n"
        "tenant \"northwind\" { domains = {\"northwind.example\", \"northwind.test\"} }\n"
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

/* Targets parted by blanks. */
static struct row *entry(struct bench *b, const char *address, enum directory_kind kind,
                         const char *targets) {
    struct bytes rest = bytes_str(targets), target;
    struct bytes *list = ARENA_ARRAY(b->arena, 16, struct bytes);
    struct row *r = &book.rows[book.count++];
    assert_true(book.count <= sizeof book.rows / sizeof *book.rows);
    *r = (struct row){ .address = address, .kind = kind };
    while (rest.len && bytes_split(&rest, ' ', &target))
        list[r->targets.count++] = target;
    r->targets.list = list;
    return r;
}

static void user(const char *address) {
    book.rows[book.count++] = (struct row){ .address = address, .kind = DIRECTORY_USER };
}

static void alias(struct bench *b, const char *address, const char *targets) {
    entry(b, address, DIRECTORY_ALIAS, targets);
}

static struct row *group(struct bench *b, const char *address, const char *members) {
    return entry(b, address, DIRECTORY_GROUP, members);
}

static struct row *forward(struct bench *b, const char *address, const char *targets) {
    return entry(b, address, DIRECTORY_USER, targets);
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

static const struct recipient * final(struct bench *b, const char *address) {
    for (size_t i = 0; b->rc == OK && i < b->resolved->count; i++)
        if (bytes_equal(b->resolved->recipients[i].final, bytes_str(address)))
            return &b->resolved->recipients[i];
    fail_msg("%s is not among the final addresses", address);
    return NULL;
}

static void assert_text(struct bytes is, const char *wanted) {
    if (!bytes_equal(is, bytes_str(wanted)))
        fail_msg("\"%.*s\" is not \"%s\"", BYTES_FMT(is), wanted);
}

/* The sender inside, as a report would find it. */
static void assert_rewritten(struct bench *b, const struct recipient *r, const char *inside) {
    struct bytes out;
    assert_true(r->rewritten);
    assert_int_equal(srs_read(B(SRS_KEY), r->sender, loop_wall(book.loop), b->arena, &out),
                     SRS_GOOD);
    assert_text(out, inside);
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

/* --- groups ----------------------------------------------------------------------------------------- */

static void members_in_their_order(void **state) {
    struct bench *b = *state;
    user("anna@proseware.com");
    user("bob@proseware.com");
    group(b, "staff@proseware.com", "bob@proseware.com carl@adatum.com anna@proseware.com");
    to(b, "staff@proseware.com");
    resolve(b);
    assert_final(b, "bob@proseware.com carl@adatum.com anna@proseware.com");
    const struct recipient *r = final(b, "carl@adatum.com");
    assert_text(r->original, "staff@proseware.com");
    assert_text(r->forwarder, "staff@proseware.com");
    assert_rewritten(b, r, "zoe@contoso.com");
    assert_int_equal(final(b, "bob@proseware.com")->sender.len, 0);
}

static void groups_within_groups_give_one_copy(void **state) {
    struct bench *b = *state;
    user("anna@proseware.com");
    user("bob@proseware.com");
    alias(b, "anni@proseware.com", "anna@proseware.com");
    group(b, "inner@proseware.com", "bob@proseware.com Anna@proseware.com");
    group(b, "outer@proseware.com", "inner@proseware.com anni@proseware.com bob@proseware.com");
    to(b, "outer@proseware.com");
    to(b, "inner@proseware.com");
    to(b, "bob@proseware.com");
    resolve(b);
    assert_final(b, "bob@proseware.com anna@proseware.com");
}

/* The directory refuses to make it; a database may hold it. */
static void a_loop_of_groups_reaches_every_member_once(void **state) {
    struct bench *b = *state;
    user("anna@proseware.com");
    user("bob@proseware.com");
    group(b, "a@proseware.com", "b@proseware.com anna@proseware.com a@proseware.com");
    group(b, "b@proseware.com", "c@proseware.com bob@proseware.com");
    group(b, "c@proseware.com", "a@proseware.com b@proseware.com");
    to(b, "a@proseware.com");
    resolve(b);
    assert_final(b, "bob@proseware.com anna@proseware.com");
}

static void groups_that_hold_each_other_only_are_our_fault(void **state) {
    struct bench *b = *state;
    group(b, "a@proseware.com", "b@proseware.com");
    group(b, "b@proseware.com", "a@proseware.com");
    to(b, "a@proseware.com");
    resolve(b);
    assert_int_equal(b->rc, TEMP);
    assert_string_equal(b->why.reason, "backend.alias");
}

/* Ten layers of eight groups, each of which holds all eight of the next: a thousand million ways. */
static void many_ways_to_a_group_are_gone_once(void **state) {
    struct bench *b = *state;
    enum { LAYERS = 10, WIDTH = 8 };
    for (int i = 0; i < LAYERS; i++) {
        char members[400];
        struct buf out = buf_fixed(members, sizeof members);
        for (int k = 0; k < WIDTH; k++)
            buf_printf(&out, i + 1 < LAYERS ? "%sg%d.%d@proseware.com" : "%sanna%d.%d@adatum.com",
                       k ? " " : "", i + 1, k);
        struct bytes text = arena_printf(b->arena, "%s", buf_text(&out));
        for (int k = 0; k < WIDTH; k++)
            group(b, arena_printf(b->arena, "g%d.%d@proseware.com", i, k).at, text.at);
    }
    to(b, "g0.0@proseware.com");
    resolve(b);
    assert_int_equal(b->rc, OK);
    assert_int_equal(b->resolved->count, WIDTH);
    assert_int_equal(book.questions,
                     2 * (1 + (LAYERS - 1) * WIDTH)); /* each group once, and whole */
}

/* The directory says which members are users whose mail stays with them: those are not asked about. */
static void ten_thousand_members_take_two_questions(void **state) {
    struct bench *b = *state;
    enum { MEMBERS = 10000 };
    struct bytes *list = ARENA_ARRAY(b->arena, MEMBERS, struct bytes);
    uint8_t *plain = ARENA_ARRAY(b->arena, MEMBERS, uint8_t);
    for (size_t i = 0; i < MEMBERS; i++) {
        list[i] = arena_printf(b->arena, "m%zu@proseware.com", i);
        plain[i] = 1;
    }
    struct row *r = group(b, "all@proseware.com", "");
    r->targets = (struct strings){ MEMBERS, list };
    r->plain = plain;
    to(b, "all@proseware.com");
    resolve(b);
    assert_int_equal(b->rc, OK);
    assert_int_equal(b->resolved->count, MEMBERS);
    assert_text(b->resolved->recipients[MEMBERS - 1].final, "m9999@proseware.com");
    assert_int_equal(book.questions, 2);
}

static void reports_about_a_group_go_to_its_owner(void **state) {
    struct bench *b = *state;
    user("anna@proseware.com");
    group(b, "inner@proseware.com", "carl@adatum.com");
    group(b, "outer@proseware.com", "inner@proseware.com dora@adatum.com anna@proseware.com")
        ->rules.owner = B("owner@proseware.com");
    to(b, "outer@proseware.com");
    b->envelope.recipients[0].notify = NOTIFY_SUCCESS | NOTIFY_FAILURE;
    b->envelope.recipients[0].orcpt = B("rfc822;outer@proseware.com");
    resolve(b);
    assert_final(b, "carl@adatum.com dora@adatum.com anna@proseware.com");
    for (size_t i = 0; i < b->resolved->count; i++) {
        const struct recipient *r = &b->resolved->recipients[i];
        assert_text(r->sender, "owner@proseware.com");
        assert_false(r->rewritten); /* so reports about it come to the owner */
        assert_text(envelope_report_to(b->resolved, r), "owner@proseware.com");
        assert_int_equal(r->notify, NOTIFY_FAILURE);
        assert_int_equal(r->orcpt.len, 0);
    }
}

static void a_report_to_a_group_stays_a_report(void **state) {
    struct bench *b = *state;
    group(b, "staff@proseware.com", "carl@adatum.com")->rules.owner = B("owner@proseware.com");
    b->envelope.sender = BYTES_NONE;
    to(b, "staff@proseware.com");
    resolve(b);
    assert_int_equal(final(b, "carl@adatum.com")->sender.len, 0);
}

static void a_group_may_have_a_mailbox(void **state) {
    struct bench *b = *state;
    user("anna@proseware.com");
    group(b, "both@proseware.com", "anna@proseware.com")->rules.delivery = DIRECTORY_TO_BOTH;
    group(b, "box@proseware.com", "bob@proseware.com")->rules.delivery = DIRECTORY_TO_MAILBOX;
    to(b, "both@proseware.com");
    to(b, "box@proseware.com");
    resolve(b);
    assert_final(b, "both@proseware.com anna@proseware.com box@proseware.com");
}

static void nobody_in_a_group_is_told(void **state) {
    struct bench *b = *state;
    user("anna@proseware.com");
    group(b, "empty@proseware.com", "");
    group(b, "outer@proseware.com", "empty@proseware.com");
    group(b, "fine@proseware.com", "empty@proseware.com anna@proseware.com");
    to(b, "outer@proseware.com");
    to(b, "fine@proseware.com");
    resolve(b);
    assert_final(b, "anna@proseware.com outer@proseware.com");
    assert_text(final(b, "outer@proseware.com")->next_hop, "fail:recipient.group-empty");
}

/* --- forwards --------------------------------------------------------------------------------------- */

static void forwards_with_and_without_a_copy(void **state) {
    struct bench *b = *state;
    user("anna@proseware.com");
    forward(b, "bob@proseware.com", "anna@proseware.com bob@adatum.com");
    forward(b, "carl@proseware.com", "carl@adatum.com")->keep = true;
    to(b, "bob@proseware.com");
    to(b, "carl@proseware.com");
    resolve(b);
    assert_final(b, "anna@proseware.com bob@adatum.com carl@proseware.com carl@adatum.com");
    assert_rewritten(b, final(b, "bob@adatum.com"), "zoe@contoso.com");
    assert_rewritten(b, final(b, "carl@adatum.com"), "zoe@contoso.com");
    assert_text(final(b, "carl@adatum.com")->forwarder, "carl@proseware.com");
    assert_int_equal(final(b, "anna@proseware.com")->sender.len, 0);
    assert_int_equal(final(b, "carl@proseware.com")->sender.len, 0);
}

static void senders_that_stay_as_they_are(void **state) {
    struct bench *b = *state;
    static const char *const senders[] = { "", "terri@proseware.com" };
    forward(b, "carl@proseware.com", "carl@adatum.com");
    to(b, "carl@proseware.com");
    for (size_t i = 0; i < 2; i++) {
        b->envelope.sender = bytes_str(senders[i]);
        b->answers = 0;
        resolve(b);
        assert_false(final(b, "carl@adatum.com")->rewritten);
        assert_int_equal(final(b, "carl@adatum.com")->sender.len, 0);
    }
}

/* Of a user as of a group and an alias; within the tenant's own domains it goes on. */
static void what_a_tenant_forbids_comes_back(void **state) {
    struct bench *b = *state;
    user("x@northwind.test");
    forward(b, "f@northwind.example", "f@adatum.com x@northwind.test");
    alias(b, "a@northwind.example", "a@adatum.com");
    group(b, "g@northwind.example", "g@adatum.com g@proseware.com");
    to(b, "f@northwind.example");
    to(b, "a@northwind.example");
    to(b, "g@northwind.example");
    resolve(b);
    assert_int_equal(b->resolved->count, 5);
    static const char *const denied[] = { "f@adatum.com", "a@adatum.com", "g@adatum.com",
                                          "g@proseware.com" };
    for (size_t i = 0; i < 4; i++) {
        const struct recipient *r = final(b, denied[i]);
        assert_text(r->next_hop, "fail:recipient.forwarding-denied");
        assert_false(r->rewritten);
        assert_text(envelope_report_to(b->resolved, r), "zoe@contoso.com");
    }
    assert_text(final(b, "f@adatum.com")->forwarder, "f@northwind.example");
    assert_text(final(b, "x@northwind.test")->next_hop, "maildir:northwind.test");
}

/* Through the forward everyone could write to it. Who wrote to the group was asked by the decision. */
static void a_forward_does_not_open_a_group(void **state) {
    struct bench *b = *state;
    user("anna@proseware.com");
    group(b, "staff@proseware.com", "anna@proseware.com")->rules.senders = DIRECTORY_MEMBERS;
    forward(b, "bob@proseware.com", "staff@proseware.com");
    to(b, "bob@proseware.com");
    resolve(b);
    assert_final(b, "staff@proseware.com");
    assert_text(final(b, "staff@proseware.com")->next_hop, "fail:recipient.group-restricted");
    b->answers = 0;
    to(b, "staff@proseware.com");
    resolve(b);
    assert_final(b, "staff@proseware.com anna@proseware.com");
}

/* A member forwards back into the group it belongs to, on the way of the message or on its own. */
static void the_way_by_a_forward_shuts_no_other(void **state) {
    struct bench *b = *state;
    user("anna@proseware.com");
    group(b, "all@proseware.com", "bob@proseware.com staff@proseware.com");
    group(b, "staff@proseware.com", "anna@proseware.com")->rules.senders = DIRECTORY_MEMBERS;
    forward(b, "bob@proseware.com", "staff@proseware.com");
    to(b, "all@proseware.com");
    resolve(b);
    assert_final(b, "staff@proseware.com anna@proseware.com");
    assert_text(final(b, "anna@proseware.com")->next_hop, "maildir:proseware.com");
}

static void mail_that_finds_no_way_on_stays(void **state) {
    struct bench *b = *state;
    forward(b, "a@proseware.com", "b@proseware.com");
    forward(b, "b@proseware.com", "a@proseware.com");
    forward(b, "self@proseware.com", "self@proseware.com");
    to(b, "a@proseware.com");
    to(b, "self@proseware.com");
    resolve(b);
    assert_final(b, "b@proseware.com self@proseware.com");
}

/* Delivered-To tells that this address sent it on before. */
static void what_came_round_goes_on_no_more(void **state) {
    struct bench *b = *state;
    const struct bytes before[] = { B("other@proseware.com"), B("Carl@Proseware.com") };
    user("anna@proseware.com");
    forward(b, "carl@proseware.com", "carl@adatum.com anna@proseware.com")->keep = true;
    to(b, "carl@proseware.com");
    b->envelope.delivered_to = before;
    b->envelope.delivered_to_count = 1;
    resolve(b);
    assert_text(final(b, "carl@adatum.com")->next_hop, "route:exact");
    b->envelope.delivered_to_count = 2;
    b->answers = 0;
    resolve(b);
    assert_final(b, "carl@proseware.com carl@adatum.com anna@proseware.com");
    assert_text(final(b, "carl@adatum.com")->next_hop, "fail:loop.forward");
    assert_text(final(b, "anna@proseware.com")->next_hop, "maildir:proseware.com");
}

/* --- senders that were rewritten ---------------------------------------------------------------------- */

static const char *rewritten(struct bench *b, int64_t at) {
    char text[300];
    struct buf out = buf_fixed(text, sizeof text);
    assert_true(srs_write(B(SRS_KEY), B("zoe@contoso.com"), B("proseware.com"), at, &out));
    return arena_printf(b->arena, "%s", buf_text(&out)).at;
}

static void a_report_goes_to_the_sender_inside(void **state) {
    struct bench *b = *state;
    b->envelope.sender = BYTES_NONE;
    to(b, rewritten(b, loop_wall(book.loop)));
    resolve(b);
    assert_final(b, "zoe@contoso.com");
    assert_text(b->resolved->recipients[0].next_hop, "mx:contoso.com");
    assert_int_equal(b->resolved->recipients[0].sender.len, 0);
    assert_int_equal(book.questions, 0);
}

static void what_ran_out_on_the_way_is_told(void **state) {
    struct bench *b = *state;
    b->envelope.sender = BYTES_NONE;
    to(b, rewritten(b, loop_wall(book.loop) - INT64_C(30) * 86400000));
    resolve(b);
    assert_int_equal(b->resolved->count, 1);
    assert_text(b->resolved->recipients[0].next_hop, "fail:recipient.srs-expired");
}

/* Nothing that we made: whoever is behind us may know it. */
static void other_peoples_forms_are_ordinary_addresses(void **state) {
    struct bench *b = *state;
    b->envelope.sender = BYTES_NONE;
    to(b, "SRS0+abcd-V2-contoso.com-zoe@store.example");
    resolve(b);
    assert_final(b, "SRS0+abcd-V2-contoso.com-zoe@store.example");
    assert_text(b->resolved->recipients[0].next_hop, "lmtp:10.0.0.7:24");
}

/* --- reports of ours ------------------------------------------------------------------------------------ */

static void report_to(struct bench *b, const char *address) {
    b->envelope.sender = BYTES_NONE;
    b->envelope.flags = ENVELOPE_REPORT;
    to(b, address);
    resolve(b);
}

static void a_report_that_goes_round_ends_at_the_postmaster(void **state) {
    struct bench *b = *state;
    user("anna@proseware.com");
    alias(b, "a@proseware.com", "b@proseware.com");
    alias(b, "b@proseware.com", "a@proseware.com");
    report_to(b, "a@proseware.com");
    assert_final(b, "anna@proseware.com");
}

static void and_in_a_mailbox_where_that_one_does_too(void **state) {
    struct bench *b = *state;
    alias(b, "a@proseware.com", "b@proseware.com");
    alias(b, "b@proseware.com", "a@proseware.com");
    alias(b, "anna@proseware.com", "a@proseware.com");
    report_to(b, "a@proseware.com");
    assert_final(b, "postmaster");
    assert_text(b->resolved->recipients[0].next_hop, "maildir:");
}

static void a_report_to_too_many_ends_there_too(void **state) {
    struct bench *b = *state;
    user("anna@proseware.com");
    big(b, 26000);
    b->envelope.count = 0;
    report_to(b, "big@proseware.com");
    assert_final(b, "anna@proseware.com");
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

/* --- who is away ----------------------------------------------------------------------------------------- */

static void away_user(const char *address) {
    user(address);
    book.rows[book.count - 1].away = true;
}

static void addressed(struct bench *b, const char *mailbox) {
    struct bytes *list = ARENA_ARRAY(b->arena, 1, struct bytes);
    list[0] = bytes_str(mailbox);
    b->envelope.addressed = list;
    b->envelope.addressed_count = 1;
}

/* Whom an answer may come from, by what is known of the message. */
static void who_is_away_is_marked(void **state) {
    static const struct {
        const char *sender, *addressed;
        uint32_t flags;
        bool marked;
    } rows[] = {
        { "zoe@contoso.com", "ann@proseware.com", 0, true },
        { "zoe@contoso.com", "Ann@Proseware.com", 0, true },
        { "zoe@contoso.com", "ann+x@proseware.com", 0, true },
        { "zoe@contoso.com", "anni@proseware.com", 0, true },
        { "zoe@contoso.com", "other@proseware.com", 0, false },
        { "zoe@contoso.com", "", 0, false },
        { "zoe@contoso.com", "ann@proseware.com", ENVELOPE_AUTOMATIC, false },
        { "zoe@contoso.com", "ann@proseware.com", ENVELOPE_REPORT, false },
        { "", "ann@proseware.com", 0, false },
        { "no-reply@contoso.com", "ann@proseware.com", 0, false },
        { "ann@proseware.com", "ann@proseware.com", 0, false },
        { "prvs=12=Anni@proseware.com", "ann@proseware.com", 0, false },
    };
    struct bench *b = *state;
    away_user("ann@proseware.com");
    to(b, "ann@proseware.com");
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        b->answers = 0;
        b->envelope.sender = bytes_str(rows[i].sender);
        b->envelope.flags = rows[i].flags;
        b->envelope.subject = B("Figures");
        addressed(b, rows[i].addressed);
        resolve(b);
        if ((b->resolved->recipients[0].away.len != 0) != rows[i].marked)
            fail_msg("row %zu", i);
        assert_int_equal((b->resolved->flags & ENVELOPE_QUOTED) != 0, rows[i].marked);
        assert_int_equal(b->resolved->subject.len != 0, rows[i].marked);
    }
}

static void nobody_answers_through_a_group(void **state) {
    struct bench *b = *state;
    away_user("ann@proseware.com");
    alias(b, "staff@proseware.com", "ann@proseware.com");
    book.rows[book.count - 1].kind = DIRECTORY_GROUP;
    to(b, "staff@proseware.com");
    addressed(b, "ann@proseware.com");
    resolve(b);
    assert_final(b, "ann@proseware.com");
    assert_int_equal(b->resolved->recipients[0].away.len, 0);
    /* Written to directly besides, whichever comes first, she does. */
    to(b, "ann@proseware.com");
    b->answers = 0;
    resolve(b);
    assert_final(b, "ann@proseware.com");
    assert_true(bytes_equal(b->resolved->recipients[0].away, B("ann@proseware.com")));
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
        TEST(members_in_their_order),
        TEST(groups_within_groups_give_one_copy),
        TEST(a_loop_of_groups_reaches_every_member_once),
        TEST(groups_that_hold_each_other_only_are_our_fault),
        TEST(many_ways_to_a_group_are_gone_once),
        TEST(ten_thousand_members_take_two_questions),
        TEST(reports_about_a_group_go_to_its_owner),
        TEST(a_report_to_a_group_stays_a_report),
        TEST(a_group_may_have_a_mailbox),
        TEST(nobody_in_a_group_is_told),
        TEST(forwards_with_and_without_a_copy),
        TEST(senders_that_stay_as_they_are),
        TEST(what_a_tenant_forbids_comes_back),
        TEST(a_forward_does_not_open_a_group),
        TEST(the_way_by_a_forward_shuts_no_other),
        TEST(mail_that_finds_no_way_on_stays),
        TEST(what_came_round_goes_on_no_more),
        TEST(a_report_goes_to_the_sender_inside),
        TEST(what_ran_out_on_the_way_is_told),
        TEST(other_peoples_forms_are_ordinary_addresses),
        TEST(a_report_that_goes_round_ends_at_the_postmaster),
        TEST(and_in_a_mailbox_where_that_one_does_too),
        TEST(a_report_to_too_many_ends_there_too),
        TEST(postmaster_is_the_configured_one),
        TEST(postmaster_may_have_an_entry),
        TEST(postmaster_without_anybody_has_a_mailbox),
        TEST(a_directory_that_fails_is_no_answer),
        TEST(it_can_be_cancelled_at_any_time),
        TEST(who_is_away_is_marked),
        TEST(nobody_answers_through_a_group),
        TEST(next_hops),
        TEST(reports_go_out_as_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
