/* live_lists: what DNS blocklists say of the addresses that our mail leaves from, and of our domains. Lists that
 * cannot be asked are no finding: that stands in what is said meanwhile. */
#include "base/must.h"
#include "bin/live.h"
#include "doctor/blocklists.h"
#include "sys/sockets.h"

#include <string.h>

enum { INTERFACES_MAX = 256, LEAST_MS = 1000 };

struct live_lists {
    struct live *live;
    struct blocklist_table table;
    struct blocklist_asked asked[BLOCKLISTS_MAX];
    struct blocklist_subject subjects[BLOCKLIST_SUBJECTS];
    struct live_about about[BLOCKLIST_SUBJECTS];
    struct blocklist_want want;
    struct blocklist_look *look;
    const struct blocklist_result *results;
    size_t count;
};

static bool is_known(const struct live_lists *k, const struct blocklist_subject *s) {
    for (size_t i = 0; i < k->want.subject_count; i++)
        if (s->address.family ? addr_equal(k->subjects[i].address, s->address)
                              : bytes_equal(k->subjects[i].domain, s->domain))
            return true;
    return false;
}

static void add(struct live_lists *k, struct blocklist_subject s, struct live_about about) {
    if ((s.address.family && !addr_is_public(s.address)) || is_known(k, &s) ||
        k->want.subject_count == BLOCKLIST_SUBJECTS)
        return;
    k->about[k->want.subject_count] = about;
    k->subjects[k->want.subject_count++] = s;
}

/* What a route or tenant sends from comes before what this host has besides, so that a finding names it. */
static void add_addresses(struct live_lists *k) {
    static const struct live_about host = { .setting = { "hostname", 8 } };
    const struct config *c = k->live->config;
    struct arena *a = k->live->arena;
    struct addr interfaces[INTERFACES_MAX];
    for (size_t i = 0; i < c->route_count; i++)
        add(k, (struct blocklist_subject){ .address = c->routes[i].source_address },
            (struct live_about){ c->routes[i].place, arena_printf(a, "route %.*s: source_address",
                                                                  BYTES_FMT(c->routes[i].name)) });
    for (size_t i = 0; i < c->tenant_count; i++)
        add(k, (struct blocklist_subject){ .address = c->tenants[i].address },
            (struct live_about){
                c->tenants[i].place,
                arena_printf(a, "tenant %.*s: address", BYTES_FMT(c->tenants[i].name)) });
    size_t count = sockets_interface_addresses(interfaces, INTERFACES_MAX);
    for (size_t i = 0; i < count; i++)
        add(k, (struct blocklist_subject){ .address = interfaces[i] }, host);
}

static void add_domains(struct live_lists *k) {
    const struct config *c = k->live->config;
    for (size_t i = 0; i < c->domain_count; i++)
        add(k, (struct blocklist_subject){ .domain = c->domains[i].name },
            (struct live_about){
                c->domains[i].place,
                arena_printf(k->live->arena, "domain %.*s", BYTES_FMT(c->domains[i].name)) });
}

static void on_done(void *ctx, const struct blocklist_result *r, size_t count) {
    struct live_lists *k = ctx;
    k->look = NULL;
    k->results = r;
    k->count = count;
    live_over(k->live);
}

void live_lists_begin(struct live *l) {
    if (!l->dns)
        return;
    struct live_lists *k = l->lists = ARENA_NEW(l->arena, struct live_lists);
    k->live = l;
    add_addresses(k);
    add_domains(k);
    blocklists_builtin(l->arena, &k->table);
    for (size_t i = 0; i < k->table.count; i++)
        if (blocklist_is_asked(&k->table.lists[i]))
            k->asked[k->want.asked_count++] =
                (struct blocklist_asked){ k->table.lists[i].zone, &k->table.lists[i] };
    k->want.subjects = k->subjects;
    k->want.asked = k->asked;
    k->want.ms = l->ends - loop_now(l->loop) - LEAST_MS;
    if (!k->want.subject_count)
        return;
    live_begun(l);
    k->look = blocklists_ask(l->dns, l->loop, l->arena, &k->want, on_done, k);
}

/* --- what it means ------------------------------------------------------------------------ */

static struct bytes text_of(struct live_lists *k, size_t subject) {
    char memory[64];
    struct buf b = buf_fixed(memory, sizeof memory);
    addr_format(&b, k->subjects[subject].address);
    return k->subjects[subject].address.family ? arena_copy(k->live->arena, buf_bytes(&b))
                                               : k->subjects[subject].domain;
}

static void judge(struct live_lists *k, const struct blocklist_result *r) {
    const struct blocklist_asked *asked = &k->asked[r->asked];
    const struct blocklist *list = asked->list;
    const struct blocklist_code *code = blocklist_code(list, r->answers[0]);
    if (!blocklist_is_against(asked, r) ||
        (code ? code->severity : list->severity) == SEVERITY_INFO)
        return;
    live_find(k->live, LIVE_WARNING, "live.blocklist", &k->about[r->subject],
              "%.*s is on the blocklist %s (%.*s): %s. %s `postern blocklist %.*s` tells more",
              BYTES_FMT(text_of(k, r->subject)), list->name, BYTES_FMT(list->zone),
              code ? code->means : list->means,
              code && code->fixes ? code->fix[0]
              : list->fixes       ? list->fix[0]
                                  : "",
              BYTES_FMT(text_of(k, r->subject)));
}

void live_lists_end(struct live *l) {
    struct live_lists *k = l->lists;
    size_t answered = 0;
    if (!k || !k->want.subject_count)
        return;
    blocklists_cancel(&k->look);
    for (size_t i = 0; i < k->count; i++) {
        answered += k->results[i].state == BLOCKLIST_LISTED ||
                    (k->results[i].state == BLOCKLIST_CLEAN && !k->results[i].unproven);
        if (k->results[i].state == BLOCKLIST_LISTED)
            judge(k, &k->results[i]);
    }
    live_say(l, "blocklists: %zu questions about %zu addresses and domains, %zu answered", k->count,
             k->want.subject_count, answered);
}
