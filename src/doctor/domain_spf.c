/* domain_spf: what is wrong with an SPF record, all the way through it, and whether it covers what sends for the
 * domain (RFC 7208). */
#include "base/must.h"
#include "doctor/domain_parts.h"

#include <string.h>

enum { NEAR_LIMIT = 9, WIDE4 = 16, WIDE6 = 32, LONG = 450 };

#define found(k, s, id, about, ...)                                                                \
    domain_found(k, "sender-admin", s, id, "SPF", about, __VA_ARGS__)

static const char permerror[] =
    "Receivers stop there with \"permerror\": SPF then protects nothing, and DMARC cannot rely on it.";

/* --- each term that asks ---------------------------------------------------------------------------------------- */

static void judge_syntax(struct look *k, const struct spf_node *n) {
    struct finding *f =
        found(k, SEVERITY_ERROR, "spf.syntax", n->domain, "term %zu is wrong: \"%.*s\" %s",
              n->wrong_number, BYTES_FMT(bytes_first(n->wrong_term, 200)), n->wrong);
    MEANS(k, f, "%s", permerror);
    FIX(k, f, "Correct this term, or take it away.");
}

static void judge_silence(struct look *k, const struct spf_node *n) {
    struct finding *f = found(k, SEVERITY_WARNING, "spf.failed", n->domain,
                              "the DNS gave no answer for \"%.*s\"", BYTES_FMT(n->term));
    MEANS(k, f, "Receivers answer \"temperror\" and put mail off while it lasts.");
    FIX(k, f, "See whether the name servers of %.*s answer.", BYTES_FMT(n->domain));
}

/* Of a term that asks; what has a function of its own is not in it. */
static const struct term_trouble {
    enum severity severity;
    const char *id, *what; /* "TERM" what */
    const char *means, *fix;
} troubles[] = {
    [SPF_NO_RECORD] = { SEVERITY_ERROR, "spf.include-none",
                        "leads to a domain without an SPF record", permerror,
                        "Ask that provider which domain to include now, or take the term away." },
    [SPF_SEVERAL] = { SEVERITY_ERROR, "spf.include-several",
                      "leads to a domain with more than one SPF record", permerror,
                      "That domain's administrator must join the records into one." },
    [SPF_LOOP] = { SEVERITY_ERROR, "spf.loop", "leads back to where it came from", permerror,
                   "Take the term away." },
    [SPF_NOTHING] = { SEVERITY_WARNING, "spf.void", "names what is not there",
                      "It covers nobody; with more than two such lookups receivers stop with "
                      "\"permerror\".",
                      "Correct the name, or take the term away." },
    [SPF_TOO_MANY_MX] = { SEVERITY_ERROR, "spf.mx-many", "stands for more than ten MX hosts",
                          permerror, "Name the sending networks with ip4: and ip6: instead." },
};

static void judge_node(struct look *k, const struct spf_node *n) {
    const struct term_trouble *t = &troubles[n->trouble];
    if (n->trouble == SPF_SYNTAX)
        judge_syntax(k, n);
    if (n->trouble == SPF_NO_ANSWER)
        judge_silence(k, n);
    if (!t->id)
        return;
    struct finding *f =
        found(k, t->severity, t->id, n->domain, "\"%.*s\" %s", BYTES_FMT(n->term), t->what);
    MEANS(k, f, "%s", t->means);
    FIX(k, f, "%s", t->fix);
}

/* --- the record as a whole ----------------------------------------------------------------------------------------- */

static void judge_counts(struct look *k, const struct spf_survey *s) {
    struct finding *f;
    if (s->lookups > SPF_LOOKUPS_MAX) {
        f = found(k, SEVERITY_ERROR, "spf.lookups", k->domain,
                  "%s%u terms ask the DNS, ten are allowed", s->cut ? "at least " : "", s->lookups);
        MEANS(k, f,
              "For a sender that none of the first ten covers receivers stop with \"permerror\" "
              "(RFC 7208 section 4.6.4).");
        FIX(k, f, "Take includes of providers away that are not used any more.");
        FIX(k, f,
            "Put networks that do not change into the record with ip4: and ip6:, which ask nothing.");
        FIX(k, f, "Move some senders to a subdomain with a record of its own.");
    } else if (s->lookups >= NEAR_LIMIT) {
        f = found(k, SEVERITY_WARNING, "spf.lookups-near", k->domain,
                  "%u terms ask the DNS, ten are allowed", s->lookups);
        MEANS(k, f,
              "One more include, or one that a provider adds to his own record, and it breaks.");
        FIX(k, f, "Take what is not used any more away.");
    } else {
        found(k, SEVERITY_INFO, "spf.lookups-fine", k->domain,
              "%u terms ask the DNS (ten are allowed), %u of them in vain (two are)", s->lookups,
              s->voids);
    }
    if (s->voids > SPF_VOIDS_MAX) {
        f = found(k, SEVERITY_ERROR, "spf.voids", k->domain,
                  "%u terms ask for what is not there, two are allowed", s->voids);
        MEANS(k, f, "%s", permerror);
        FIX(k, f, "Correct or remove the terms that name nothing.");
    }
}

static void judge_all(struct look *k, const struct spf_survey *s) {
    struct finding *f;
    switch (s->all) {
    case '+':
        f = found(k, SEVERITY_ERROR, "spf.plus-all", k->domain,
                  "it ends with +all: everybody passes");
        MEANS(k, f, "Anybody may send as this domain, and SPF vouches for them.");
        FIX(k, f, "Name the servers that send, and end with -all or ~all.");
        return;
    case '?':
        f = found(k, SEVERITY_WARNING, "spf.neutral-all", k->domain,
                  "it ends with ?all: it says nothing about everybody else");
        MEANS(k, f, "The record does not protect the domain from forgers.");
        FIX(k, f, "End with ~all, and with -all once all senders are named.");
        return;
    case 0:
        f = found(k, SEVERITY_WARNING, "spf.no-all", k->domain,
                  "it has no \"all\" at its end, and no redirect that has one");
        MEANS(k, f, "For everybody else the result is neutral, as with ?all.");
        FIX(k, f, "End with ~all, and with -all once all senders are named.");
        return;
    default:
        found(k, SEVERITY_INFO, "spf.all", k->domain, "it ends with %call", s->all);
    }
}

static void judge_order(struct look *k, const struct spf_record *r) {
    size_t all = r->count;
    for (size_t i = 0; i < r->count && all == r->count; i++)
        if (r->terms[i].mechanism == SPF_ALL)
            all = i;
    if (all + 1 < r->count) {
        struct finding *f = found(k, SEVERITY_WARNING, "spf.after-all", k->domain,
                                  "\"%.*s\" stands behind \"%.*s\" and is never reached",
                                  BYTES_FMT(r->terms[all + 1].text), BYTES_FMT(r->terms[all].text));
        MEANS(k, f, "What it names is not covered.");
        FIX(k, f, "Put \"all\" at the end.");
    }
    if (all < r->count && r->redirect.len) {
        struct finding *f =
            found(k, SEVERITY_WARNING, "spf.redirect-ignored", k->domain,
                  "redirect=%.*s is ignored, since the record has \"all\"", BYTES_FMT(r->redirect));
        MEANS(k, f, "What that record names is not covered (RFC 7208 section 6.1).");
        FIX(k, f, "Take \"all\" away, or the redirect; or use include:.");
    }
    for (size_t i = 0; i < r->count; i++)
        for (size_t j = 0; j < i; j++)
            if (bytes_equal_nocase(r->terms[i].text, r->terms[j].text)) {
                struct finding *f =
                    found(k, SEVERITY_WARNING, "spf.duplicate", k->domain,
                          "\"%.*s\" stands there twice", BYTES_FMT(r->terms[i].text));
                FIX(k, f, "Take one of them away; each counts for the limit of lookups.");
                break;
            }
}

static void judge_networks(struct look *k, const struct spf_survey *s) {
    for (size_t i = 0; i < s->network_count; i++) {
        const struct spf_network *n = &s->networks[i];
        char memory[80];
        struct buf b = buf_fixed(memory, sizeof memory);
        bool ours = bytes_equal(n->domain, k->domain);
        if (n->qualifier != '+')
            continue;
        network_format(&b, n->network);
        struct bytes text = arena_copy(k->arena, buf_bytes(&b));
        if (n->network.bits < (n->network.base.family == 6 ? WIDE6 : WIDE4)) {
            struct finding *f =
                found(k, SEVERITY_WARNING, "spf.wide", n->domain, "\"%.*s\" lets all of %.*s pass",
                      BYTES_FMT(n->term), BYTES_FMT(text));
            MEANS(k, f, "Among so many addresses are strangers, who may all send as the domain.");
            FIX(k, f,
                ours ? "Name the servers that send, not the network of their provider."
                     : "Ask that provider for something narrower to include.");
        } else if (ours && !addr_is_public(n->network.base)) {
            struct finding *f = found(k, SEVERITY_WARNING, "spf.private", n->domain,
                                      "\"%.*s\" names %.*s, which nobody outside ever sees",
                                      BYTES_FMT(n->term), BYTES_FMT(text));
            MEANS(
                k, f,
                "Mail that leaves the network comes from its public address, which is not this one.");
            FIX(k, f, "Name the public address, and take this one away.");
        }
    }
}

static void judge_form(struct look *k, const struct spf_survey *s) {
    if (s->uses_ptr) {
        struct finding *f = found(k, SEVERITY_WARNING, "spf.ptr", k->domain, "it uses ptr");
        MEANS(
            k, f,
            "It is slow, some receivers skip it, and RFC 7208 section 5.5 asks not to publish it.");
        FIX(k, f, "Name the networks with ip4: and ip6:, or the hosts with a:.");
    }
    if (s->text.len > LONG) {
        struct finding *f =
            found(k, SEVERITY_WARNING, "spf.long", k->domain, "it is %zu octets long", s->text.len);
        MEANS(k, f,
              "With the other TXT records it may not fit a UDP answer (RFC 7208 section 3.4).");
        FIX(k, f, "Move a part to a record of its own, and include that.");
    }
    if (k->report->null_mx || s->all != '-' || s->network_count || s->lookups)
        return;
    found(k, SEVERITY_INFO, "spf.sends-nothing", k->domain,
          "\"%.*s\": the domain sends no mail, and says so", BYTES_FMT(s->text));
}

/* --- whom it covers -------------------------------------------------------------------------------------------------- */

static void advise(struct look *k, struct finding *f, const struct domain_covered *c) {
    const char *kind = c->address.family == 6 ? "ip6" : "ip4";
    struct bytes text = domain_address_text(k, c->address);
    if (c->egress->smarthost)
        FIX(k, f,
            "Ask this provider which SPF record to include (\"include:...\"); what counts is the address it sends "
            "on from.");
    FIX(k, f, "%s%s:%.*s%s to the record, before its \"all\".",
        c->egress->smarthost ? "Or add \"" : "Add \"", kind, BYTES_FMT(text), "\"");
}

static void judge_covered(struct look *k, struct domain_covered *c) {
    const struct spf_who who = {
        .client = c->address,
        .domain = k->domain,
        .sender = arena_printf(k->arena, "postmaster@%.*s", BYTES_FMT(k->domain)),
        .helo = k->want->helo.len ? k->want->helo : k->domain,
    };
    struct finding *f;
    struct bytes about =
        arena_printf(k->arena, "%.*s (%.*s)", BYTES_FMT(domain_address_text(k, c->address)),
                     BYTES_FMT(c->egress->what));
    if (!addr_is_public(c->address))
        return;
    if (spf_evaluate(&who, domain_spf_find, k, k->arena, &c->spf) != OK)
        return;
    c->judged = true;
    const char *result = spf_result_name(c->spf.result);
    if (c->spf.result == SPF_PASS) {
        found(k, SEVERITY_INFO, "spf.covers", about, "pass, by %.*s", BYTES_FMT(c->spf.trail));
        return;
    }
    if (c->spf.problem.len)
        f = found(k, c->spf.result == SPF_TEMPERROR ? SEVERITY_WARNING : SEVERITY_ERROR,
                  "spf.not-covered", about, "%s: %.*s", result, BYTES_FMT(c->spf.problem));
    else
        f = found(k, c->egress->smarthost ? SEVERITY_WARNING : SEVERITY_ERROR, "spf.not-covered",
                  about, "%s%s%.*s", result, c->spf.trail.len ? ", by " : "",
                  BYTES_FMT(c->spf.trail));
    MEANS(
        k, f,
        c->egress->smarthost
            ? "Mail that goes through it may fail SPF, if it sends on from there."
            : "Mail of the domain that leaves from there fails SPF, and is refused or taken for spam.");
    advise(k, f, c);
}

/* RFC 7208 section 2.3: for bounces the name in HELO is looked at. */
static void look_at_helo(struct look *k) {
    struct bytes helo = k->want->helo;
    struct spf_verdict v;
    struct spf_who who = { .domain = helo, .helo = helo };
    if (!helo.len)
        return;
    for (size_t i = 0; i < k->report->covered_count; i++) {
        const struct domain_covered *c = &k->report->covered[i];
        if (c->egress->smarthost || !addr_is_public(c->address))
            continue;
        who.client = c->address;
        if (spf_evaluate(&who, domain_spf_find, k, k->arena, &v) != OK)
            return;
        struct bytes about = arena_printf(k->arena, "%.*s from %.*s", BYTES_FMT(helo),
                                          BYTES_FMT(domain_address_text(k, c->address)));
        if (v.result == SPF_PASS || v.result == SPF_NONE) {
            found(k, SEVERITY_INFO, "spf.helo", about,
                  "the name in EHLO, which counts for bounces: %s", spf_result_name(v.result));
            continue;
        }
        struct finding *f =
            found(k, SEVERITY_WARNING, "spf.helo-fails", about,
                  "the name in EHLO, which counts for bounces: %s", spf_result_name(v.result));
        MEANS(k, f, "Bounces and other mail without a sender fail SPF.");
        FIX(k, f, "Publish \"%.*s. TXT v=spf1 a -all\".", BYTES_FMT(helo));
    }
}

void domain_look_spf(struct look *k) {
    struct spf_survey *s = &k->report->spf;
    struct finding *f;
    if (spf_survey(k->domain, domain_spf_find, k, k->arena, s) != OK && !s->text.len)
        return;
    for (size_t i = 0; i < k->report->covered_count; i++)
        judge_covered(k, &k->report->covered[i]);
    look_at_helo(k);
    if (k->want->addresses_only)
        return;
    switch (s->trouble) {
    case SPF_NO_RECORD:
        f = found(k, SEVERITY_WARNING, "spf.none", k->domain, "there is no SPF record");
        MEANS(
            k, f,
            "Receivers cannot tell the domain's servers from forgers; Gmail and others refuse mail that neither SPF nor "
            "DKIM speaks for.");
        if (k->report->null_mx)
            FIX(k, f,
                "If the domain sends no mail either: publish the TXT record \"v=spf1 -all\".");
        FIX(k, f,
            "Publish a TXT record \"v=spf1 ... -all\" that names what sends (`postern dns --publish` makes it).");
        return;
    case SPF_SEVERAL:
        f = found(k, SEVERITY_ERROR, "spf.several", k->domain, "there is more than one SPF record");
        MEANS(k, f, "%s", permerror);
        FIX(k, f, "Join them into one: all terms in one record, one v=spf1, one \"all\".");
        return;
    case SPF_NO_ANSWER:
        domain_get(k, k->domain, DNS_TXT, "spf.failed", "SPF");
        return;
    case SPF_SYNTAX:
        judge_syntax(k, &s->nodes[0]);
        return;
    default:
        break;
    }
    found(k, SEVERITY_INFO, "spf.found", k->domain, "%.*s", BYTES_FMT(s->text));
    for (size_t i = 1; i < s->node_count; i++)
        judge_node(k, &s->nodes[i]);
    judge_counts(k, s);
    judge_all(k, s);
    judge_order(k, &s->record);
    judge_networks(k, s);
    judge_form(k, s);
}
