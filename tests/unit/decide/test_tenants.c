/* A tenant's settings never widen another's rights: random servers, with and without a tenant, its
 * connectors, users and aliases; whoever is not of that tenant and was refused before is refused
 * after, at whatever step, with whatever counters say. And what check says of tenants. */
#include "lab.h"

enum { SERVERS = 400, CALLERS = 60 };

static uint64_t seed;

static unsigned pick(unsigned n) {
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (unsigned)((seed >> 33) % n);
}

#define ONE_OF(list) (list)[pick(COUNT_OF(list))]

/* --- a server ------------------------------------------------------------------------------- */

static const char *const networks[] = { "198.51.100.0/24", "203.0.113.0/25", "192.0.2.7",
                                        "2001:db8:5::/48" };
static const char *const targets[] = { "{\"*\"}", "{\"adatum.com\"}",
                                       "{\"b.example\", \"adatum.com\"}", "accepted" };

static void add_limits(struct buf *b) {
    static const char *const settings[] = { "limit", "limit_total", "limit_recipients" };
    for (size_t i = 0; i < COUNT_OF(settings); i++)
        if (pick(3) == 0)
            buf_printf(b, " %s = {\"5/hour\"}", settings[i]);
}

/* Who it is for, of all kinds there are; what it allows, as wide as the rules let it be. */
static void add_connector(struct buf *b, const char *name, const char *tenant) {
    buf_printf(b, "connector \"%s\" { note = \"n\" may_relay_to = %s", name, ONE_OF(targets));
    unsigned who = pick(6);
    bool clients = who == 0 || pick(3) == 0;
    if (who == 1)
        buf_str(b, " auth = any");
    if (who == 2)
        buf_printf(b, " auth = {\"user@%s\"}", pick(2) ? "a.example" : "b.example");
    if (who == 3)
        buf_str(b, " client_certificate = {\"spki-sha256:" LAB_SPKI_HEX "\"}");
    if (who == 4)
        buf_str(b, " pop_before_smtp = 15min");
    if (who == 5)
        buf_str(b, " local_users = {\"root\"}");
    if (clients) {
        buf_printf(b, " clients = {\"%s\"}", ONE_OF(networks));
        if (pick(2))
            buf_str(b, " without_auth_on = {\"submission\"} without_tls_on = {\"submission\"}");
    }
    if (tenant)
        buf_printf(b, " tenant = \"%s\"", tenant);
    if (who != 4 && pick(2))
        buf_printf(b, " senders = {\"*@%s.example\", \"<>\"}", tenant ? tenant : "b");
    else if (who != 4 && !tenant && pick(3) == 0)
        buf_str(b, " senders = any");
    buf_printf(b, " header_from = %s", pick(2) ? "any" : "strict");
    add_limits(b);
    buf_str(b, " }\n");
}

static void add_tenant(struct buf *b, const char *name, const char *address) {
    buf_printf(
        b, "domain \"%s.example\" { recipients = %s }\ntenant \"%s\" { domains = {\"%s.example\"}",
        name, pick(2) ? "any" : "directory", name, name);
    if (pick(2))
        buf_printf(b, " address = \"%s\"", address);
    if (pick(2))
        buf_printf(b, " clients = {\"%s\"}", ONE_OF(networks));
    if (pick(2))
        buf_printf(b, " hostname = \"box.%s.example\"", name);
    if (pick(3) == 0)
        buf_str(b, " limit = {\"5/hour\"}");
    if (pick(3) == 0)
        buf_printf(b, " max_recipients = %u", 1 + pick(3));
    if (pick(2))
        buf_str(b, " external_forwarding = allow");
    buf_str(b, " }\n");
}

/* The same server twice: parts of tenant a, in front and behind, only in the second. */
static void make_servers(struct buf *without, struct buf *with) {
    struct buf shared = buf_grow(16384), first = buf_grow(16384), last = buf_grow(16384);
    for (unsigned i = pick(3); i; i--)
        add_connector(&first, i == 1 ? "a1" : "a2", "a");
    buf_str(&shared, "hostname = \"mail.proseware.com\"\ndomain \"proseware.com\" {}\n"
                     "listener \"internet\" { bind = {\"127.0.0.1:25\"} auth = offer }\n"
                     "listener \"submission\" { bind = {\"127.0.0.1:587\"} tls = require\n"
                     "  auth = require }\n");
    if (pick(3) == 0)
        buf_str(&shared, "blocked_senders = {\"*@adatum.com\"}\n");
    add_tenant(&shared, "b", "203.0.113.50");
    if (pick(2))
        add_connector(&shared, "b1", "b");
    if (pick(2))
        add_connector(&shared, "everybody", NULL);
    add_tenant(&last, "a", "203.0.113.40");
    if (pick(2))
        add_connector(&last, "a3", "a");
    buf_add(without, buf_bytes(&shared));
    buf_add(with, buf_bytes(&first));
    buf_add(with, buf_bytes(&shared));
    buf_add(with, buf_bytes(&last));
    buf_free(&shared);
    buf_free(&first);
    buf_free(&last);
}

/* --- a caller who is not of tenant a ---------------------------------------------------------- */

struct caller {
    struct arena *arena;
    struct facts f;
    const char *listener;
    bool logs_in, exists;
    uint64_t counts; /* which limits are full */
};

static struct directory_entry *entry_of(struct arena *a, const char *login, bool with) {
    /* With tenant a there is an alias in its domain that leads to this person alone. */
    return lab_user(a, login, with ? "boss@a.example" : NULL, pick(4) ? NULL : "*@adatum.com");
}

static void make_caller(struct caller *c) {
    static const char *const logins[] = { "user@b.example", "terri@proseware.com" };
    static const char *const clients[] = { "198.51.100.7", "203.0.113.7", "192.0.2.7",
                                           "2001:db8:5::1", "8.8.8.8" };
    static const char *const senders[] = { "user@b.example", "terri@proseware.com",
                                           "boss@a.example", "user@a.example",
                                           "x@adatum.com",   "" };
    static const char *const recipients[] = { "x@adatum.com", "y@b.example", "z@proseware.com",
                                              "x@elsewhere.example" };
    static struct mailbox_header header[2];
    struct facts *f = &c->f;
    *f = (struct facts){ .now = LAB_NOW, .client_connections = 1, .has_sender = true };
    c->logs_in = pick(2);
    c->listener = c->logs_in || pick(2) ? "submission" : "internet";
    f->client = lab_addr(ONE_OF(clients));
    /* At tenant a's own address only who has logged in: without a login it is that tenant's. */
    f->local = lab_addr(c->logs_in && pick(2) ? "203.0.113.40"
                        : pick(2)             ? "192.0.2.25"
                                              : "203.0.113.50");
    f->tls_version = c->logs_in || pick(2) ? 13 : 0;
    f->login = c->logs_in ? bytes_str(ONE_OF(logins)) : BYTES_NONE;
    static char spki[32];
    memset(spki, 0x11, sizeof spki);
    if (pick(3) == 0)
        f->client_spki = bytes_of(spki, 32);
    if (pick(8) == 0) {
        f->local_door = true;
        f->local_user = B("root");
        f->local = f->client = (struct addr){ .family = 0 };
        f->login = BYTES_NONE;
    }
    f->sender = bytes_str(ONE_OF(senders));
    f->recipient = bytes_str(ONE_OF(recipients));
    f->recipients_so_far = pick(3);
    header[0] = (struct mailbox_header){ "From", bytes_str(ONE_OF(senders)) };
    header[1] = (struct mailbox_header){ "Reply-To", bytes_str(ONE_OF(senders)) };
    f->from_fields = 1;
    f->header_mailboxes = header;
    f->header_mailbox_count = 1 + pick(2);
    c->counts = pick(3) ? 0 : seed;
}

/* The same limit is as full in both servers. */
static void tell_counts(const struct caller *c, struct facts *f, const struct verdict *v) {
    struct count *counts = ARENA_ARRAY(c->arena, v->limit_count, struct count);
    for (size_t i = 0; i < v->limit_count; i++)
        counts[i] =
            (struct count){ .key = v->limits[i].key,
                            .full = c->counts && ((bytes_hash(v->limits[i].key) ^ c->counts) & 1),
                            .which = v->limits[i].rates.list[0],
                            .opens = LAB_NOW + 1000 };
    f->counts = counts;
    f->count_count = v->limit_count;
    f->counts_state = FACT_KNOWN;
}

static void tell(const struct caller *c, struct facts *f, const struct verdict *v,
                 const struct directory_entry *entry) {
    if (v->missing & FACT_LOGIN) {
        f->login_state = FACT_KNOWN;
        f->login_entry = entry;
    }
    if (v->missing & FACT_RECIPIENT) {
        f->recipient_state = FACT_KNOWN;
        f->recipient_entry = c->exists ? lab_user(c->arena, "y@b.example", NULL, NULL) : NULL;
    }
    if (v->missing & FACT_SENDER_ENTRY)
        f->sender_state = FACT_KNOWN;
    if (v->missing & FACT_GATEWAY)
        f->gateway_state = FACT_KNOWN;
    if (v->missing & FACT_COUNTERS)
        tell_counts(c, f, v);
    assert_int_equal(v->missing & FACT_POPPED, 0);
}

static bool passes(const struct config *config, const struct caller *c,
                   const struct directory_entry *entry, struct verdict *v) {
    static const enum decide_step steps[] = { STEP_CONNECT, STEP_COMMAND, STEP_MAIL, STEP_RCPT,
                                              STEP_CONTENT };
    struct facts f = c->f;
    struct bytes charged;
    f.listener = f.local_door ? NULL : config_listener(config, bytes_str(c->listener));
    f.verb = B("MAIL");
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        int rounds = 0;
        for (decide(config, steps[i], &f, c->arena, v); v->rc == MORE;
             decide(config, steps[i], &f, c->arena, v)) {
            assert_true(++rounds < 8);
            tell(c, &f, v, entry);
        }
        if (v->rc != OK)
            return false;
        if (steps[i] != STEP_RCPT)
            continue;
        charged = v->connector;
        f.charged = (struct strings){ charged.len ? 1 : 0, &charged };
    }
    return true;
}

static bool is_as_before(const struct config *before, const struct config *after,
                         const struct caller *c, size_t *accepted) {
    struct verdict v, w;
    uint64_t kept = seed;
    const char *login = c->f.login.len ? c->f.login.at : NULL;
    struct directory_entry *plain = login ? entry_of(c->arena, login, false) : NULL;
    seed = kept;
    struct directory_entry *aliased = login ? entry_of(c->arena, login, true) : NULL;
    if (passes(before, c, plain, &v)) {
        ++*accepted;
        return true;
    }
    if (!passes(after, c, aliased, &w))
        return true;
    fprintf(stderr,
            "from <%.*s> to <%.*s>, login %.*s: refused for %s (%s), then accepted by %.*s\n",
            BYTES_FMT(c->f.sender), BYTES_FMT(c->f.recipient), BYTES_FMT(c->f.login), v.why.reason,
            v.why.text, BYTES_FMT(w.connector));
    return false;
}

static void test_never_wider(void **state) {
    (void)state;
    size_t accepted = 0, granted = 0;
    seed = 42;
    for (int i = 0; i < SERVERS; i++) {
        struct buf without = buf_grow(65536), with = buf_grow(65536);
        make_servers(&without, &with);
        struct config *before = lab_config(buf_text(&without)),
                      *after = lab_config(buf_text(&with));
        for (int j = 0; j < CALLERS; j++) {
            struct caller c = { .arena = arena_open(), .exists = pick(2) };
            make_caller(&c);
            if (!is_as_before(before, after, &c, &accepted))
                fail_msg("with tenant a:\n%s", buf_text(&with));
            /* That the test can see a grant: tenant a's own sessions get some. */
            struct verdict v;
            c.f.login = B("user@a.example");
            c.f.sender = c.f.login;
            granted += passes(after, &c, entry_of(c.arena, "user@a.example", false), &v) &&
                       bytes_starts(v.tenant.len ? v.tenant : B("a"), B("a"));
            arena_close(&c.arena);
        }
        config_close(&before);
        config_close(&after);
        buf_free(&without);
        buf_free(&with);
    }
    assert_true(accepted > SERVERS && granted > SERVERS / 4);
}

/* --- what check says ---------------------------------------------------------------------------- */

static const char tenants_conf[] =
    "domain \"proseware.com\" {}\n"
    "domain \"northwind.example\" {}\n"
    "listener \"submission\" { bind = {\"127.0.0.1:587\"} auth = require tls = require }\n"
    "connector \"people\" { auth = any may_relay_to = {\"*\"} }\n"
    "connector \"plant\" { clients = {\"192.0.2.0/24\"} tenant = \"northwind\"\n"
    "  may_relay_to = {\"*\"} senders = {\"*@northwind.example\"} note = \"n\" }\n"
    "connector \"wrong\" { auth = {\"terri@proseware.com\"} tenant = \"northwind\" }\n"
    "tenant \"northwind\" { domains = {\"northwind.example\"} clients = {\"198.51.100.0/24\"} }\n";

static const struct matrix_row *find_row(const struct matrix_row *rows, size_t count,
                                         const char *who) {
    for (size_t i = 0; i < count; i++)
        if (bytes_equal(rows[i].who, bytes_str(who)))
            return &rows[i];
    fail_msg("no row \"%s\"", who);
    return NULL;
}

static void expect(const struct matrix_row *row, const char *own, const char *other) {
    if (!bytes_equal(row->to_own, bytes_str(own)) || !bytes_equal(row->to_other, bytes_str(other)))
        fail_msg("%.*s: %.*s, %.*s", BYTES_FMT(row->who), BYTES_FMT(row->to_own),
                 BYTES_FMT(row->to_other));
}

static void test_matrix(void **state) {
    (void)state;
    struct lab l;
    const struct matrix_row *rows;
    lab_open(&l, tenants_conf);
    size_t count = decide_matrix(l.config, LAB_NOW, l.arena, &rows);
    expect(find_row(rows, count, "any login of tenant northwind from its networks"), "yes", "yes");
    expect(find_row(rows, count, "any login of tenant northwind from elsewhere"),
           "no (relay.tenant-network)", "no (relay.tenant-network)");
    expect(find_row(rows, count, "192.0.2.0/24 of tenant northwind (connector plant)"),
           "no (auth.required)", "no (auth.required)");
    lab_close(&l);
}

static void test_findings(void **state) {
    (void)state;
    static const char *const words[] = { "by its address alone", "none of these is in the clients",
                                         "none of these logins" };
    struct config_findings findings = { 0 };
    struct lab l;
    lab_open(&l, tenants_conf);
    decide_prove(l.config, NULL, LAB_NOW, l.arena, &findings);
    for (size_t w = 0; w < COUNT_OF(words); w++) {
        size_t i = 0;
        while (i < findings.count && (strcmp(findings.list[i].id, "proof.tenant") != 0 ||
                                      bytes_search(findings.list[i].text, bytes_str(words[w])) < 0))
            i++;
        if (i == findings.count)
            fail_msg("nothing says \"%s\"", words[w]);
    }
    lab_close(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_never_wider),
        cmocka_unit_test(test_matrix),
        cmocka_unit_test(test_findings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
