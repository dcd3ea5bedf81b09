/* explain_live: the loop, the time, and the rules asked again with what was learnt. */
#include "bin/explain_live.h"

#include "base/must.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

void explain_facts_begun(struct explain_facts *f) {
    f->open++;
}

void explain_facts_over(struct explain_facts *f) {
    MUST(f->open > 0);
    if (--f->open == 0)
        loop_stop(f->loop);
}

static void out_of_time(void *ctx) {
    struct explain_facts *f = ctx;
    f->late = true;
    loop_stop(f->loop);
}

/* "[192.0.2.1]", "192.0.2.1", "IPv6:2001:db8::1" */
static struct addr address_of(struct bytes text) {
    struct addr a = { 0 };
    if (text.len > 2 && text.at[0] == '[' && text.at[text.len - 1] == ']')
        text = bytes_slice(text, 1, text.len - 1);
    if (bytes_starts_nocase(text, B("IPv6:")))
        text = bytes_skip(text, 5);
    return addr_parse(text, &a) ? a : (struct addr){ 0 };
}

/* --- who sent it ------------------------------------------------------------------------------------- */

static void begin_sender(struct explain_facts *f) {
    explain_client_begin(f);
    explain_proof_begin(f);
}

/* The server that wrote the bounce is the one that was refused; IPv4, as most mail goes by that. */
static void on_reporter(void *ctx, const struct dns_route *route) {
    struct explain_facts *f = ctx;
    f->reporter_query = NULL;
    f->reporter_done = true;
    for (size_t i = 0; i < route->count; i++)
        for (size_t j = 0; j < route->hosts[i].address_count; j++) {
            struct addr a = route->hosts[i].addresses[j];
            if (!f->client.family || (f->client.family == 6 && a.family == 4))
                f->client = a;
        }
    f->client_guessed = f->client.family != 0;
    begin_sender(f);
    explain_facts_over(f);
}

/* It speaks of what another server said, so that it was itself that server's client. */
static bool tells_of_another(const struct explained *e) {
    struct bytes reporter = e->bounce.reporter;
    if (e->kind != EXPLAIN_BOUNCE || bytes_find(reporter, '.') <= 0)
        return false;
    for (size_t i = 0; i < e->count; i++)
        if (e->answers[i].said->host.len && !bytes_equal_nocase(e->answers[i].said->host, reporter))
            return true;
    return false;
}

static void find_sender(struct explain_facts *f) {
    if (f->client.family || !tells_of_another(f->explained)) {
        begin_sender(f);
        return;
    }
    explain_facts_begun(f);
    struct dns_query *q = dns_find_host(f->dns, f->explained->bounce.reporter, on_reporter, f);
    f->reporter_query = f->reporter_done ? NULL : q;
}

static void tell_sender(struct explain_facts *f) {
    if (f->reporter_query)
        dns_query_cancel(&f->reporter_query);
    if (!f->from) /* the reporter's addresses never came */
        begin_sender(f);
    if (!f->client_guessed)
        return;
    char memory[64];
    struct buf b = buf_fixed(memory, sizeof memory);
    addr_format(&b, f->client);
    struct finding *found =
        finding_add(f->findings, SEVERITY_INFO, "live.client", NULL,
                    "taken for the address that the message came from, as the bounce names the "
                    "server and the DNS its address; --client gives another");
    finding_about(f->findings, found, "%.*s [%s]", BYTES_FMT(f->explained->bounce.reporter),
                  buf_text(&b));
}

/* --- what it changes -------------------------------------------------------------------------------- */

/* The rules are asked again: who spoke outweighs what was said. */
static void judge_again(struct explain_facts *f) {
    struct explained *e = f->explained;
    for (size_t i = 0; i < e->count; i++) {
        struct explain_answer *a = &e->answers[i];
        const char *before = a->meaning.cause;
        a->meaning = *reply_explain(&a->facts);
        if (!strcmp(before, a->meaning.cause))
            continue;
        struct finding *found =
            finding_add(f->findings, SEVERITY_INFO, "live.cause", NULL,
                        "by its words alone the cause would be %s; with this it is %s", before,
                        a->meaning.cause);
        finding_about(f->findings, found, "%.*s", BYTES_FMT(a->said->address));
    }
}

/* --- all of it --------------------------------------------------------------------------------------- */

static void look(struct explain_facts *f) {
    struct timer last = { 0 };
    explain_facts_begun(f);
    explain_hosts_begin(f);
    find_sender(f);
    timer_set(f->loop, &last, EXPLAIN_LIVE_MS, out_of_time, f);
    if (--f->open > 0)
        loop_run(f->loop);
    timer_clear(&last);
    explain_hosts_tell(f);
    tell_sender(f);
    explain_client_tell(f);
    explain_proof_tell(f);
    judge_again(f);
}

enum rc explain_live(struct explained *e, const struct explain_live_want *want, struct arena *a,
                     struct why *why) {
    char name[256] = "";
    struct lookup lookup;
    struct explain_facts f = {
        .explained = e,
        .arena = a,
        .loop = loop_open(),
        .sender = want->from.len ? want->from : e->bounce.sender,
        .client = address_of(want->client.len ? want->client : e->bounce.client),
        .findings = ARENA_NEW(a, struct finding_list),
    };
    signal(SIGPIPE, SIG_IGN);
    gethostname(name, sizeof name - 1);
    f.hostname = arena_copy(a, name[0] ? bytes_str(name) : B("localhost"));
    finding_list_open(f.findings, a);
    enum rc rc = lookup_open_at(want->dns, f.loop, a, &lookup, why);
    f.dns = lookup.dns;
    if (rc == OK) {
        look(&f);
        e->live = f.findings;
    }
    lookup_close(&lookup);
    loop_close(&f.loop);
    return rc;
}
