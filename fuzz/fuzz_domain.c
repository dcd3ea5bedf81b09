/* Fuzzes the judgement about a domain: the input is what the DNS says, one record a line ("NAME TYPE VALUE"; VALUE "fails":
 * the DNS does), the first name is the domain's. Whatever is published, the judgement ends, asks no more than it may, and
 * says the same when it has everything at once. */
#include "base/map.h"
#include "base/must.h"
#include "doctor/domain_parts.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROWS_MAX = 100, ROUNDS_MAX = 200 };

struct world {
    size_t count;
    struct {
        struct bytes name, type, value;
    } rows[ROWS_MAX];
};

static void read_world(struct world *w, struct arena *a, struct bytes all) {
    struct bytes line;
    while (w->count < ROWS_MAX && bytes_split(&all, '\n', &line)) {
        bytes_split(&line, ' ', &w->rows[w->count].name);
        bytes_split(&line, ' ', &w->rows[w->count].type);
        w->rows[w->count].name = arena_lower(a, w->rows[w->count].name);
        w->rows[w->count++].value = line;
    }
}

static bool fill(enum dns_type type, struct bytes value, struct dns_record *r) {
    struct bytes number;
    uint64_t preference = 0;
    memset(r, 0, sizeof *r);
    if (type == DNS_A || type == DNS_AAAA)
        return addr_parse(value, &r->address);
    r->name = r->data = value;
    if (type != DNS_MX)
        return true;
    bytes_split(&r->name, ' ', &number);
    bytes_to_u64(number, 65535, &preference);
    r->preference = (uint16_t)preference;
    return true;
}

static void answer(const struct world *w, struct arena *a, struct fact *f) {
    struct dns_record *list = ARENA_ARRAY(a, ROWS_MAX, struct dns_record);
    f->answer = (struct dns_answer){ .rc = OK, .records = list };
    for (size_t i = 0; i < w->count; i++) {
        if (!bytes_equal(w->rows[i].name, f->key))
            continue;
        f->answer.exists = true;
        if (bytes_equal(w->rows[i].value, B("fails")))
            f->answer.rc = TEMP;
        if (bytes_equal(w->rows[i].type, bytes_str(dns_type_name(f->type))))
            f->answer.count += fill(f->type, w->rows[i].value, &list[f->answer.count]);
    }
}

/* Of servers and pages something that has the input in it. */
static void settle(const struct world *w, struct arena *a, struct fact *f, struct bytes all) {
    f->known = true;
    if (f->kind == FACT_DNS)
        answer(w, a, f);
    if (f->kind == FACT_PAGE)
        f->page = (struct domain_page){ .rc = OK, .status = 200, .body = all };
    if (f->kind == FACT_TALK)
        f->talk = (struct domain_talk){ .connected = true,
                                        .greeted = true,
                                        .step = "RCPT",
                                        .code = 550,
                                        .words = bytes_first(all, 200) };
}

static size_t run(const struct domain_want *want, const struct world *w, struct bytes all,
                  bool one_by_one) {
    struct domain_facts facts = { .arena = arena_open(), .index = map_open() };
    size_t rounds = 0, count = 0;
    bool settled = false;
    do {
        struct arena *a = arena_open();
        struct domain_report *r = ARENA_NEW(a, struct domain_report);
        domain_judge(want, &facts, a, r);
        count = r->findings.count;
        struct buf b = buf_grow(1 << 24);
        finding_list_json(&r->findings, &b);
        finding_list_text(&r->findings, &b, true, 78);
        MUST(!b.full && r->host_count <= DOMAIN_HOSTS && r->selector_count <= DOMAIN_SELECTORS);
        buf_free(&b);
        arena_close(&a);
        bool done = false;
        settled = !facts.open; /* it was judged with all that it wanted */
        for (struct fact *f = facts.first; f && !done; f = f->next)
            if (!f->known) {
                settle(w, facts.arena, f, all);
                facts.open--;
                done = one_by_one && rounds < ROUNDS_MAX / 2;
            }
        MUST(++rounds < ROUNDS_MAX && facts.count <= FACTS_MAX);
    } while (!settled);
    map_close(&facts.index);
    arena_close(&facts.arena);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena *a = arena_open();
    struct bytes all = bytes_of(data, size);
    struct world w = { 0 };
    read_world(&w, a, all);
    struct domain_egress egress[] = {
        { .what = B("one") }, { .host = B("host.example"), .what = B("two"), .smarthost = true }
    };
    MUST(addr_parse(B("8.8.4.4"), &egress[0].address));
    struct bytes selectors[] = { B("s1") };
    struct domain_plan plan = { .host = B("host.example"),
                                .addresses = &egress[0].address,
                                .address_count = 1,
                                .postmaster = B("postmaster@a.example"),
                                .tls = true,
                                .takes_mail = true };
    struct domain_want want = { .domain = w.rows[0].name,
                                .selectors = selectors,
                                .selector_count = 1,
                                .egress = egress,
                                .egress_count = 2,
                                .helo = B("host.example"),
                                .validates = true,
                                .connect = true,
                                .fetch = true,
                                .plan = &plan };
    if (w.count && w.rows[0].name.len)
        MUST(run(&want, &w, all, true) == run(&want, &w, all, false));
    arena_close(&a);
    return 0;
}
