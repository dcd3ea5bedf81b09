/* The judgement about a domain, on facts from a table: what it asks for, that it says the same whichever answer comes first,
 * names that look given by a script, and the records to publish. System tests go through all of its findings. */
#include "base/map.h"
#include "base/must.h"
#include "doctor/domain_parts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct row {
    const char *name;
    enum dns_type type;
    const char *value;
};

static const struct row good[] = {
    { "contoso.com", DNS_SOA, "ns1.contoso.com h.contoso.com 1 14400 3600 1209600 300" },
    { "contoso.com", DNS_NS, "ns1.contoso.com" },
    { "contoso.com", DNS_NS, "ns2.contoso.com" },
    { "ns1.contoso.com", DNS_A, "8.8.4.1" },
    { "ns2.contoso.com", DNS_A, "8.8.4.2" },
    { "contoso.com", DNS_MX, "10 mx.contoso.com" },
    { "mx.contoso.com", DNS_A, "8.8.4.10" },
    { "10.4.8.8.in-addr.arpa", DNS_PTR, "mx.contoso.com" },
    { "contoso.com", DNS_TXT, "v=spf1 mx -all" },
    { "_dmarc.contoso.com", DNS_TXT, "v=DMARC1; p=reject; rua=mailto:d@contoso.com" },
};

struct world {
    struct arena *arena;
    struct domain_facts facts;
    const struct row *rows;
    size_t count;
};

static struct world open_world(const struct row *rows, size_t count) {
    struct world w = { .arena = arena_open(), .rows = rows, .count = count };
    w.facts = (struct domain_facts){ .arena = w.arena, .index = map_open() };
    return w;
}

static void close_world(struct world *w) {
    map_close(&w->facts.index);
    arena_close(&w->arena);
}

static void answer(struct world *w, struct fact *f) {
    struct dns_record *list = ARENA_ARRAY(w->arena, 32, struct dns_record);
    f->answer = (struct dns_answer){ .rc = OK, .records = list };
    for (size_t i = 0; i < w->count; i++) {
        struct bytes value = bytes_str(w->rows[i].value), number = BYTES_NONE;
        if (!bytes_equal(bytes_str(w->rows[i].name), f->key))
            continue;
        f->answer.exists = true;
        if (w->rows[i].type != f->type)
            continue;
        struct dns_record *r = &list[f->answer.count++];
        if (f->type == DNS_MX)
            bytes_split(&value, ' ', &number);
        if (f->type == DNS_SOA) {
            r->data = value;
            bytes_split(&r->data, ' ', &r->name);
        } else if (f->type == DNS_A) {
            MUST(addr_parse(value, &r->address));
        } else {
            r->name = r->data = value;
        }
        if (number.len)
            r->preference = (uint16_t)(number.at[0] - '0');
    }
    f->known = true;
    w->facts.open--;
}

/* `last`: the newest question is answered first, one at a time. */
static struct domain_report *settle(struct world *w, const struct domain_want *want, bool last,
                                    unsigned *rounds) {
    for (*rounds = 0;; ++*rounds) {
        struct domain_report *r = ARENA_NEW(w->arena, struct domain_report);
        domain_judge(want, &w->facts, w->arena, r);
        if (!w->facts.open)
            return r;
        MUST(*rounds < 500);
        struct fact *newest = NULL;
        for (struct fact *f = w->facts.first; f; f = f->next) {
            if (!f->known && !last)
                answer(w, f);
            else if (!f->known)
                newest = f;
        }
        if (newest)
            answer(w, newest);
    }
}

static bool is_fine(const struct domain_report *r) {
    return r->findings.worst == SEVERITY_INFO;
}

static void any_order(void **state) {
    (void)state;
    const struct domain_want want = { .domain = B("Contoso.com"), .common_selectors = true };
    unsigned rounds[2];
    size_t counts[2];
    for (int last = 0; last < 2; last++) {
        struct world w = open_world(good, COUNT_OF(good));
        struct domain_report *r = settle(&w, &want, last, &rounds[last]);
        assert_true(is_fine(r) && r->exists && r->host_count == 1);
        assert_int_equal(r->spf.lookups, 1);
        counts[last] = r->findings.count;
        close_world(&w);
    }
    assert_int_equal(counts[0], counts[1]);
    assert_true(rounds[0] < 8); /* all that can be asked is asked at once */
    assert_true(rounds[1] > 50);
}

static void too_late(void **state) {
    (void)state;
    const struct domain_want want = { .domain = B("contoso.com") };
    struct world w = open_world(good, COUNT_OF(good));
    struct domain_report *r = ARENA_NEW(w.arena, struct domain_report);
    domain_judge(&want, &w.facts, w.arena, r);
    assert_true(w.facts.open > 0);
    w.facts.late = true;
    domain_judge(&want, &w.facts, w.arena, r);
    assert_non_null(finding_find(&r->findings, "mx.failed"));
    assert_true(r->unknown && !domain_is_known(r, "MX") && domain_is_known(r, "DKIM"));
    close_world(&w);
}

static void addresses_alone(void **state) {
    (void)state;
    struct domain_egress egress = { .what = B("hostname"), .host = B("mx.contoso.com") };
    const struct domain_want want = { .domain = B("contoso.com"),
                                      .addresses_only = true,
                                      .egress = &egress,
                                      .egress_count = 1,
                                      .helo = B("mx.contoso.com") };
    struct world w = open_world(good, COUNT_OF(good));
    unsigned rounds;
    struct domain_report *r = settle(&w, &want, false, &rounds);
    assert_true(is_fine(r));
    assert_int_equal(r->covered_count, 1);
    assert_int_equal(r->covered[0].spf.result, SPF_PASS);
    assert_true(r->covered[0].confirmed && bytes_equal(r->covered[0].pointer, B("mx.contoso.com")));
    assert_null(finding_find(&r->findings, "dmarc.found"));
    close_world(&w);
}

static void names(void **state) {
    (void)state;
    static const struct {
        const char *name;
        const char *id;
    } cases[] = {
        { "mx.contoso.com", "ptr.fine" },           { "mail10.contoso.com", "ptr.fine" },
        { "mail-out-4.contoso.com", "ptr.fine" },   { "smtp8.contoso.com", "ptr.fine" },
        { "8-8-4-10.contoso.com", "ptr.generic" },  { "10.4.8.8.contoso.com", "ptr.generic" },
        { "p4-10.isp.example", "ptr.generic" },     { "0808040a.isp.example", "ptr.generic" },
        { "dsl-17.isp.example", "ptr.generic" },    { "cust42.isp.example", "ptr.generic" },
        { "dynamic99.isp.example", "ptr.generic" }, { "static-host3.isp.example", "ptr.generic" },
        { "static.contoso.com", "ptr.fine" },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct row rows[] = { { "10.4.8.8.in-addr.arpa", DNS_PTR, cases[i].name },
                                    { cases[i].name, DNS_A, "8.8.4.10" } };
        struct domain_egress egress = { .what = B("here") };
        MUST(addr_parse(B("8.8.4.10"), &egress.address));
        const struct domain_want want = { .domain = B("nothing.example"),
                                          .addresses_only = true,
                                          .egress = &egress,
                                          .egress_count = 1 };
        struct world w = open_world(rows, COUNT_OF(rows));
        unsigned rounds;
        struct domain_report *r = settle(&w, &want, false, &rounds);
        if (!finding_find(&r->findings, cases[i].id))
            fail_msg("%s is not %s", cases[i].name, cases[i].id);
        close_world(&w);
    }
}

static void has_line(const struct buf *b, const char *line) {
    char text[600];
    snprintf(text, sizeof text, "%s\n", line);
    if (bytes_search(buf_bytes(b), bytes_str(text)) < 0)
        fail_msg("%s is not in\n%.*s", line, BYTES_FMT(buf_bytes(b)));
}

static void published(void **state) {
    (void)state;
    struct addr addresses[2];
    MUST(addr_parse(B("8.8.4.10"), &addresses[0]) && addr_parse(B("2606:4700::1"), &addresses[1]));
    struct domain_egress egress[] = {
        { .address = addresses[0], .what = B("an address of this host") },
        { .address = addresses[1], .what = B("an address of this host") },
        { .host = B("mail.contoso.com"), .what = B("hostname") },
        { .address = { .family = 4, .ip = { 192, 168, 1, 1 } },
          .what = B("route inner: source_address") },
    };
    struct domain_plan plan = { .host = B("mail.contoso.com"),
                                .addresses = addresses,
                                .address_count = 2,
                                .tls = true,
                                .postmaster = B("postmaster@contoso.com"),
                                .takes_mail = true };
    struct buf b = buf_grow(1 << 16);
    domain_publish(B("contoso.com"), &plan, egress, 4, &b);
    has_line(&b, "contoso.com. 3600 IN MX 10 mail.contoso.com.");
    has_line(&b, "mail.contoso.com. 3600 IN A 8.8.4.10");
    has_line(&b, "mail.contoso.com. 3600 IN AAAA 2606:4700::1");
    has_line(&b, "contoso.com. 3600 IN TXT \"v=spf1 ip4:8.8.4.10 ip6:2606:4700::1 -all\"");
    has_line(
        &b,
        "_dmarc.contoso.com. 3600 IN TXT \"v=DMARC1; p=none; rua=mailto:postmaster@contoso.com\"");
    has_line(
        &b,
        "_smtp._tls.contoso.com. 3600 IN TXT \"v=TLSRPTv1; rua=mailto:postmaster@contoso.com\"");
    has_line(&b, ";     mx: mail.contoso.com");
    has_line(&b, "10.4.8.8.in-addr.arpa. 3600 IN PTR mail.contoso.com.");
    has_line(
        &b, "; route inner: source_address is not public: put ip4: and the address it is seen by.");
    buf_clear(&b);
    /* A smart host of whom nothing is known; no address of ours; no TLS; mail is not taken here. */
    struct domain_egress smart = { .host = B("smtp.example.net"),
                                   .what = B("route out: via smtp.example.net"),
                                   .smarthost = true };
    plan = (struct domain_plan){ .host = B("mail.contoso.com"),
                                 .postmaster = B("postmaster@contoso.com") };
    domain_publish(B("contoso.com"), &plan, &smart, 1, &b);
    has_line(&b, "contoso.com. 3600 IN TXT \"v=spf1 ?all\"");
    assert_true(bytes_search(buf_bytes(&b), B(" MX 10")) < 0 &&
                bytes_search(buf_bytes(&b), B("_mta-sts")) < 0);
    buf_free(&b);
}

/* A record that is long goes out in strings of 255 octets. */
static void long_record(void **state) {
    (void)state;
    static struct domain_egress egress[40];
    for (size_t i = 0; i < COUNT_OF(egress); i++)
        egress[i] =
            (struct domain_egress){ .address = { .family = 4, .ip = { 8, 8, 4, (uint8_t)i } },
                                    .what = B("x") };
    struct domain_plan plan = { .host = B("mail.contoso.com"), .postmaster = B("p@contoso.com") };
    struct buf b = buf_grow(1 << 16);
    domain_publish(B("contoso.com"), &plan, egress, COUNT_OF(egress), &b);
    ptrdiff_t start = bytes_search(buf_bytes(&b), B("TXT \"v=spf1"));
    struct bytes rest = bytes_skip(buf_bytes(&b), (size_t)start), line, part;
    bytes_split(&rest, '\n', &line);
    size_t quotes = 0;
    while (bytes_split(&line, '"', &part)) {
        assert_true(part.len <= 255);
        quotes++;
    }
    assert_int_equal(quotes, 7); /* three strings */
    buf_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order), cmocka_unit_test(too_late),  cmocka_unit_test(addresses_alone),
        cmocka_unit_test(names),     cmocka_unit_test(published), cmocka_unit_test(long_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
