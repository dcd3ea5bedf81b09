/* live_domains: what the DNS says of the domains that this server is for: whether their mail leads here, and
 * whether their SPF records let the addresses send that this configuration sends from. Everything else that
 * a domain publishes is `postern dns`'s to look at. */
#include "base/must.h"
#include "bin/egress.h"
#include "bin/live.h"

#include <string.h>

enum { DOMAINS_MAX = 50, LEAST_MS = 1000 };

struct domain_look {
    struct live *live;
    const struct domain *domain;
    struct egress egress;
    struct domain_plan plan;
    struct domain_want want;
    struct domain_check *check;
    const struct domain_report *report;
};
struct live_domains {
    size_t count;
    struct domain_look *looks;
};

static void on_done(void *ctx, const struct domain_report *report) {
    struct domain_look *k = ctx;
    k->report = report;
    live_over(k->live);
}

/* From where those send on nobody knows but their owners. */
static void without_smarthosts(struct egress *e) {
    size_t kept = 0;
    for (size_t i = 0; i < e->count; i++)
        if (!e->list[i].smarthost)
            e->list[kept++] = e->list[i];
    e->count = kept;
}

static void begin(struct live *l, struct domain_look *k, const struct domain *domain) {
    k->live = l;
    k->domain = domain;
    egress_of(l->config, domain->name, l->arena, &k->egress);
    egress_plan(l->config, domain->name, l->arena, &k->egress, &k->plan);
    without_smarthosts(&k->egress);
    k->want = (struct domain_want){
        .domain = domain->name,
        .egress = k->egress.list,
        .egress_count = k->egress.count,
        .helo = k->plan.host,
        .hostname = k->plan.host,
        .plan = &k->plan,
        .ms = l->ends - loop_now(l->loop) - LEAST_MS,
    };
    live_begun(l);
    k->check = domain_check_open(l->dns, l->loop, &k->want, on_done, k);
}

void live_domains_begin(struct live *l) {
    const struct config *c = l->config;
    if (!l->dns || !c->domain_count)
        return;
    struct live_domains *k = l->domains = ARENA_NEW(l->arena, struct live_domains);
    k->count = c->domain_count < DOMAINS_MAX ? c->domain_count : DOMAINS_MAX;
    k->looks = ARENA_ARRAY(l->arena, k->count, struct domain_look);
    for (size_t i = 0; i < k->count; i++)
        begin(l, &k->looks[i], &c->domains[i]);
    if (c->domain_count > DOMAINS_MAX)
        live_say(l, "the DNS was asked about the first %d domains", DOMAINS_MAX);
}

/* --- what it means ------------------------------------------------------------------------ */

static const struct {
    const char *start, *id;
} kinds[] = {
    { "domain.", "live.domain" },
    { "mx.", "live.domain" },
    { "verify.mx", "live.domain" },
    { "spf.", "live.spf" },
};

/* NULL: it is none of ours to tell. */
static const char *id_for(const struct finding *f) {
    if (f->severity == SEVERITY_INFO || f->skipped)
        return NULL;
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if (bytes_starts(bytes_str(f->id), bytes_str(kinds[i].start)))
            return kinds[i].id;
    return NULL;
}

static void tell(struct live *l, const struct domain_look *k, const struct finding *f) {
    struct live_about about = { k->domain->place,
                                arena_printf(l->arena, "domain %.*s", BYTES_FMT(k->domain->name)) };
    live_find(l, LIVE_WARNING, id_for(f), &about,
              "%.*s%s%.*s%s%.*s (%s; `postern dns %.*s` tells more)", BYTES_FMT(f->about),
              f->about.len ? ": " : "", BYTES_FMT(f->seen), f->fixes ? ". " : "",
              BYTES_FMT(f->fixes ? f->fix[0] : BYTES_NONE), f->id, BYTES_FMT(k->domain->name));
}

/* The worst of each kind: without a record nothing is covered, and a domain that is not there has no MX. */
static void judge(struct live *l, const struct domain_look *k) {
    const struct finding_list *found = &k->report->findings;
    const struct finding *worst[2] = { NULL };
    for (size_t i = 0; i < found->count; i++) {
        const struct finding *f = found->list[i];
        const char *id = id_for(f);
        if (!id)
            continue;
        const struct finding **kept = &worst[!strcmp(id, "live.spf")];
        bool root = !strcmp(f->id, "spf.none");
        if (!*kept || f->severity > (*kept)->severity || root)
            *kept = root || !*kept || strcmp((*kept)->id, "spf.none") != 0 ? f : *kept;
    }
    for (size_t i = 0; i < COUNT_OF(worst); i++)
        if (worst[i])
            tell(l, k, worst[i]);
}

void live_domains_end(struct live *l) {
    struct live_domains *k = l->domains;
    size_t unknown = 0;
    for (size_t i = 0; k && i < k->count; i++) {
        struct domain_look *look = &k->looks[i];
        if (look->report && !look->report->unknown)
            judge(l, look);
        else
            unknown++;
        domain_check_close(&look->check);
    }
    if (unknown)
        live_say(l, "of %zu domains the DNS said nothing", unknown);
}
