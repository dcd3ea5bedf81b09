/* domain_check: gets what a judgement wants, many at once, and judges again, until nothing is wanted any more. It
 * knows nothing about records. */
#include "base/list.h"
#include "base/map.h"
#include "base/must.h"
#include "doctor/conversation.h"
#include "doctor/domain_parts.h"
#include "sys/http.h"

#include <stdlib.h>
#include <string.h>

enum {
    QUESTIONS_AT_ONCE = 48,
    TALKS_AT_ONCE = 16,
    PAGES_AT_ONCE = 2,
    PAGE_MS = 10000,
    STEP_MS = 8000,
    SAVED_MS = 500, /* of the time for all: to end talks properly */
    PAGE_ADDRESSES = 16,
    WORDS_MAX = 400,
};

struct flight { /* a fact on its way */
    struct list_node node;
    struct domain_check *check;
    struct fact *fact;
    uint64_t question;
    struct conversation *talk;
    struct http_call *page;
};
struct domain_check {
    struct dns *dns;
    struct loop *loop;
    struct domain_want want;
    struct arena *judgement;
    struct domain_facts facts;
    struct domain_report *report;
    struct http *http;
    struct list flights;
    size_t in_flight[3];
    struct timer turn, deadline;
    int64_t ends;
    bool done;
    void (*on_done)(void *ctx, const struct domain_report *report);
    void *ctx;
};

static void turn(void *ctx);

/* --- judgement ----------------------------------------------------------------------------------------------- */

void domain_judge(const struct domain_want *want, struct domain_facts *facts, struct arena *a,
                  struct domain_report *out) {
    struct look k = { want, facts, a, out, arena_lower(a, want->domain) };
    memset(out, 0, sizeof *out);
    finding_list_open(&out->findings, a);
    out->exists = true;
    out->dnssec = "unknown";
    if (want->addresses_only) {
        domain_look_names(&k);
        domain_look_spf(&k);
        return;
    }
    domain_look_zone(&k);
    if (!out->exists)
        return;
    domain_look_mx(&k);
    domain_look_names(&k);
    domain_look_spf(&k);
    domain_look_dkim(&k);
    domain_look_dmarc(&k);
    domain_look_bimi(&k);
    domain_look_sts(&k);
    domain_look_tlsrpt(&k);
    domain_look_dane(&k);
    domain_look_talk(&k);
    domain_look_plan(&k);
    out->unknown = finding_find(&out->findings, "dns.failed") &&
                   finding_find(&out->findings, "mx.failed") && !out->spf.text.len &&
                   !out->dmarc_text.len;
    if (!out->null_mx || !out->spf.text.len || out->spf.all != '-' || out->spf.network_count)
        return;
    finding_add(&out->findings, SEVERITY_INFO, "domain.no-mail", "zone",
                "the domain neither takes nor sends mail, and says so");
}

static void judge(struct domain_check *c) {
    arena_close(&c->judgement);
    c->judgement = arena_open();
    c->report = ARENA_NEW(c->judgement, struct domain_report);
    domain_judge(&c->want, &c->facts, c->judgement, c->report);
}

/* --- what arrives ---------------------------------------------------------------------------------------------- */

static void land(struct flight *f) {
    struct domain_check *c = f->check;
    f->fact->known = true;
    c->facts.open--;
    c->in_flight[f->fact->kind]--;
    list_remove(&c->flights, &f->node);
    free(f);
    if (!timer_is_set(&c->turn))
        timer_set(c->loop, &c->turn, 0, turn, c);
}

static void on_answer(void *ctx, const struct dns_answer *answer) {
    struct flight *f = ctx;
    struct arena *a = f->check->facts.arena;
    struct dns_answer *out = &f->fact->answer;
    struct dns_record *records =
        answer->count ? ARENA_ARRAY(a, answer->count, struct dns_record) : NULL;
    *out = *answer;
    for (size_t i = 0; i < answer->count; i++) {
        records[i] = answer->records[i];
        records[i].name = arena_copy(a, answer->records[i].name);
        records[i].data = arena_copy(a, answer->records[i].data);
    }
    out->canonical = arena_copy(a, answer->canonical);
    out->records = records;
    land(f);
}

static void on_page(void *ctx, const struct http_answer *answer) {
    struct flight *f = ctx;
    struct arena *a = f->check->facts.arena;
    f->fact->page = (struct domain_page){ answer->rc, answer->why, answer->status,
                                          arena_copy(a, answer->body) };
    land(f);
}

static void note_reply(struct domain_talk *t, const struct said *said) {
    t->code = said->code;
    t->status = said->status;
}

static void on_seen(void *ctx, const struct conversation_seen *seen) {
    static const char *const steps[STEPS] = {
        [STEP_CONNECT] = "connect",   [STEP_BANNER] = "banner", [STEP_EHLO] = "EHLO",
        [STEP_STARTTLS] = "STARTTLS", [STEP_MAIL] = "MAIL",     [STEP_RCPT] = "RCPT"
    };
    struct flight *f = ctx;
    struct domain_talk *t = &f->fact->talk;
    struct arena *a = f->check->facts.arena;
    enum step step = seen->step < STEP_NONE ? seen->step : STEP_NONE;
    t->connected = seen->step != STEP_CONNECT && seen->step != STEP_DNS;
    t->greeted = seen->said[STEP_BANNER].code == 220;
    t->extended = seen->extended;
    t->offers_tls = seen->plain_known && seen->plain.starttls;
    t->secured = seen->secured;
    t->trusted = seen->tls.trusted;
    t->look = seen->tls.look;
    struct bytes banner = seen->said[STEP_BANNER].text, line;
    if (bytes_split(&banner, '\n', &line))
        t->banner = arena_copy(a, bytes_first(bytes_trim(line), WORDS_MAX));
    t->accepted = seen->accepted > 0;
    t->words = arena_copy(a, bytes_first(seen->words, WORDS_MAX));
    t->no_way = seen->reason && !strcmp(seen->reason, "connect.unreachable") &&
                bytes_starts(seen->words, B("network"));
    t->timed_out = seen->how == HOW_TIMEOUT || seen->how == HOW_OUT_OF_TIME;
    t->tls_words = seen->step == STEP_STARTTLS
                       ? t->words
                       : arena_copy(a, bytes_first(seen->tls.error, WORDS_MAX));
    t->step = step == STEP_NONE ? NULL : steps[step] ? steps[step] : "RCPT";
    if (t->accepted)
        t->step = NULL;
    else if (seen->recipient_count && seen->recipients[0].said.code) {
        note_reply(t, &seen->recipients[0].said);
        t->words = arena_copy(a, bytes_first(seen->recipients[0].said.text, WORDS_MAX));
        t->step = "RCPT";
    } else if (step != STEP_NONE) {
        note_reply(t, &seen->said[step]);
    }
    f->talk = NULL;
    land(f);
}

/* --- setting out ------------------------------------------------------------------------------------------------- */

static size_t room_for(const struct domain_check *c, enum fact_kind kind) {
    static const size_t most[] = { QUESTIONS_AT_ONCE, TALKS_AT_ONCE, PAGES_AT_ONCE };
    return most[kind] - c->in_flight[kind];
}

static void begin_talk(struct flight *f) {
    struct domain_check *c = f->check;
    struct fact *fact = f->fact;
    struct arena *a = c->facts.arena;
    struct bytes *recipient = ARENA_NEW(a, struct bytes);
    *recipient = arena_printf(a, "postmaster@%.*s", BYTES_FMT(c->want.domain));
    struct conversation_want want = {
        .session = fact->key,
        .address = fact->address,
        .helo = c->want.hostname,
        .tls = c->want.tls ? TLS_TRY_WANTED : TLS_OFF_WANTED,
        .tls_client = c->want.tls,
        .tls_name = fact->key,
        .mail = true,
        .recipients = recipient,
        .recipient_count = 1,
        .until = STEP_NONE,
        .timeout_ms = STEP_MS,
        .ends = c->ends - SAVED_MS,
    };
    want.address.port = c->want.port ? c->want.port : 25;
    f->talk = conversation_open(c->loop, a, &want, on_seen, f);
}

static size_t page_addresses(struct domain_check *c, struct bytes host, struct addr *out) {
    static const enum dns_type types[] = { DNS_A, DNS_AAAA };
    size_t count = 0;
    if (c->want.sts_connect.family) {
        out[0] = c->want.sts_connect;
        return 1;
    }
    for (size_t t = 0; t < COUNT_OF(types); t++) {
        const struct dns_answer *answer = domain_ask(&c->facts, host, types[t]);
        for (size_t i = 0;
             answer && answer->rc == OK && i < answer->count && count < PAGE_ADDRESSES; i++)
            if (addr_is_public(answer->records[i].address))
                out[count++] = answer->records[i].address;
    }
    return count;
}

static void begin_page(struct flight *f) {
    struct domain_check *c = f->check;
    struct addr addresses[PAGE_ADDRESSES];
    size_t count = page_addresses(c, f->fact->key, addresses);
    int64_t left = c->ends - loop_now(c->loop) - SAVED_MS;
    if (!count) {
        struct domain_page *p = &f->fact->page;
        p->rc = why_set(&p->why, TEMP, 0, NULL, "backend.http", "%.*s has no public address",
                        BYTES_FMT(f->fact->key));
        land(f);
        return;
    }
    const struct http_request request = {
        .url = arena_printf(c->facts.arena, "https://%.*s/.well-known/mta-sts.txt",
                            BYTES_FMT(f->fact->key)),
        .accept = B("text/plain, */*"),
        .addresses = addresses,
        .address_count = count,
        .ca_pem = c->want.ca_pem,
        .body_max = PAGE_MAX,
        .timeout_ms = left < PAGE_MS ? (left > 1 ? left : 1) : PAGE_MS,
    };
    if (!c->http)
        c->http = http_open(c->loop);
    f->page = http_begin(c->http, &request, on_page, f);
}

static void set_out(struct domain_check *c, struct fact *fact) {
    struct flight *f = calloc(1, sizeof *f);
    MUST(f);
    f->check = c;
    f->fact = fact;
    fact->asked = true;
    c->in_flight[fact->kind]++;
    list_append(&c->flights, &f->node);
    if (fact->kind == FACT_DNS)
        f->question = c->dns->ask(c->dns->self, fact->key, fact->type, on_answer, f);
    else if (fact->kind == FACT_TALK)
        begin_talk(f);
    else
        begin_page(f);
}

static void drop_flights(struct domain_check *c) {
    struct list_node *n;
    while ((n = list_pop(&c->flights))) {
        struct flight *f = CONTAINER_OF(n, struct flight, node);
        if (f->fact->kind == FACT_DNS)
            c->dns->cancel(c->dns->self, f->question);
        if (f->talk)
            conversation_close(&f->talk);
        if (f->page)
            http_cancel(&f->page);
        free(f);
    }
}

/* --- all of it ------------------------------------------------------------------------------------------------------ */

static void finish(struct domain_check *c) {
    c->done = true;
    timer_clear(&c->deadline);
    timer_clear(&c->turn);
    c->on_done(c->ctx, c->report);
}

static void turn(void *ctx) {
    struct domain_check *c = ctx;
    judge(c);
    if (c->want.on_progress)
        c->want.on_progress(c->ctx, c->facts.count - c->facts.open, c->facts.count);
    if (!c->facts.open) {
        finish(c);
        return;
    }
    for (struct fact *f = c->facts.first; f; f = f->next)
        if (!f->known && !f->asked && room_for(c, f->kind))
            set_out(c, f);
}

static void out_of_time(void *ctx) {
    struct domain_check *c = ctx;
    drop_flights(c);
    c->facts.late = true;
    judge(c);
    finding_add(
        &c->report->findings, SEVERITY_WARNING, "time.over", NULL,
        "the time was over before everything was known: %zu of %zu questions had an answer (--timeout)",
        c->facts.count - c->facts.open, c->facts.count);
    finish(c);
}

struct domain_check *domain_check_open(
    struct dns *d, struct loop *l, const struct domain_want *want,
    void (*on_done)(void *ctx, const struct domain_report *report), void *ctx) {
    struct domain_check *c = calloc(1, sizeof *c);
    MUST(c);
    c->dns = d;
    c->loop = l;
    c->want = *want;
    c->on_done = on_done;
    c->ctx = ctx;
    c->facts.arena = arena_open();
    c->facts.index = map_open();
    c->ends = loop_now(l) + want->ms;
    list_init(&c->flights);
    timer_set(l, &c->turn, 0, turn, c);
    timer_set(l, &c->deadline, want->ms, out_of_time, c);
    return c;
}

void domain_check_close(struct domain_check **cp) {
    struct domain_check *c = *cp;
    *cp = NULL;
    if (!c)
        return;
    timer_clear(&c->turn);
    timer_clear(&c->deadline);
    drop_flights(c);
    http_close(&c->http);
    map_close(&c->facts.index);
    arena_close(&c->facts.arena);
    arena_close(&c->judgement);
    free(c);
}
