/* domain_tls: what makes TLS to the domain's servers more than a try: MTA-STS with its policy, reports, DANE (RFC 8461,
 * RFC 8460, RFC 7672). */
#include "base/must.h"
#include "doctor/domain_parts.h"
#include "trust/tlsa.h"

#include <string.h>

enum { WEEK = 7 * 24 * 60 * 60, DAY = 24 * 60 * 60 };

#define found(k, s, id, step, about, ...)                                                          \
    domain_found(k, "recipient-admin", s, id, step, about, __VA_ARGS__)

/* --- MTA-STS --------------------------------------------------------------------------------------------------- */

static void judge_mode(struct look *k, const struct mta_sts_policy *p, struct bytes about) {
    struct finding *f;
    if (p->mode == MTA_STS_ENFORCE) {
        found(k, SEVERITY_INFO, "sts.enforce", "MTA-STS", about,
              "the policy is enforced, for %llu s (max_age)", (unsigned long long)p->max_age);
    } else if (p->mode == MTA_STS_TESTING) {
        f = found(k, SEVERITY_WARNING, "sts.testing", "MTA-STS", about,
                  "the policy is being tested");
        MEANS(k, f, "Failures are reported, and mail goes out without TLS all the same.");
        FIX(k, f,
            "When reports (TLS-RPT) show no failures: mode: enforce, and a new id in the record.");
    } else {
        found(k, SEVERITY_INFO, "sts.off", "MTA-STS", about,
              "mode: none: MTA-STS is being given up");
    }
    if (p->mode != MTA_STS_NONE && p->max_age < DAY) {
        f = found(k, SEVERITY_WARNING, "sts.max-age", "MTA-STS", about,
                  "the policy is forgotten after %llu s (max_age)", (unsigned long long)p->max_age);
        MEANS(k, f, "Who can block the policy's web server for so long gets by without TLS.");
        FIX(k, f, "Take a week or more: max_age: 604800.");
    }
}

static void judge_mx(struct look *k, const struct mta_sts_policy *p, struct bytes about) {
    const struct domain_report *r = k->report;
    struct finding *f;
    if (p->mode == MTA_STS_NONE)
        return;
    for (size_t i = 0; i < r->host_count; i++) {
        if (mta_sts_covers(p, r->hosts[i].name))
            continue;
        f = found(k, p->mode == MTA_STS_ENFORCE ? SEVERITY_ERROR : SEVERITY_WARNING,
                  "sts.mx-not-covered", "MTA-STS", about, "the MX %.*s is not among the policy's",
                  BYTES_FMT(r->hosts[i].name));
        MEANS(k, f, "Senders that follow MTA-STS do not deliver to it.");
        FIX(k, f, "Add \"mx: %.*s\" to the policy, and give the record a new id.",
            BYTES_FMT(r->hosts[i].name));
    }
    for (size_t i = 0; i < p->mx_count && r->host_count; i++) {
        bool used = false;
        for (size_t n = 0; n < r->host_count; n++)
            used |= mta_sts_matches(p->mx[i], r->hosts[n].name);
        if (!used)
            found(k, SEVERITY_INFO, "sts.mx-unused", "MTA-STS", about,
                  "the policy's \"mx: %.*s\" is no MX of the domain", BYTES_FMT(p->mx[i]));
    }
}

static void judge_policy(struct look *k, struct bytes text, struct bytes host) {
    struct domain_report *r = k->report;
    struct mta_sts_policy *p = &r->sts_policy;
    struct finding *f;
    if (mta_sts_parse_policy(text, p) != OK) {
        f = found(k, SEVERITY_ERROR, "sts.policy-syntax", "MTA-STS", host,
                  "the policy is wrong: \"%.*s\" %s", BYTES_FMT(p->wrong_at), p->wrong);
        MEANS(k, f, "Senders act as if there were none.");
        FIX(k, f,
            "It has the lines version: STSv1, mode: enforce, mx: HOST for each MX, max_age: 604800.");
        return;
    }
    r->has_sts_policy = true;
    judge_mode(k, p, host);
    judge_mx(k, p, host);
}

/* Its addresses are known, and there are some. */
static bool may_be_fetched(struct look *k, struct bytes host) {
    struct addr *list;
    size_t count;
    bool failed;
    if (k->want->sts_connect.family)
        return true;
    if (!domain_addresses(k, host, &list, &count, &failed))
        return false;
    if (count)
        return true;
    struct finding *f = found(k, SEVERITY_ERROR, "sts.no-host", "MTA-STS", host, "%s",
                              failed ? "the DNS did not say where the policy's web server is"
                                     : "the host that should serve the policy has no address");
    MEANS(k, f, "The record promises a policy; senders find none, and go on without.");
    FIX(k, f, "Publish an address for %.*s, and serve the policy there.", BYTES_FMT(host));
    return false;
}

static void look_at_policy(struct look *k) {
    struct bytes host = domain_below(k, "mta-sts", k->domain);
    struct finding *f;
    if (!k->want->fetch) {
        finding_skip(&k->report->findings, "sts.not-fetched", "MTA-STS",
                     "the policy was not fetched");
        return;
    }
    if (!may_be_fetched(k, host))
        return;
    const struct domain_page *page = domain_page(k->facts, host);
    if (!page)
        return;
    if (page->rc == OK && page->status == 200) {
        judge_policy(k, page->body, host);
        return;
    }
    if (page->rc != OK)
        f = found(k, SEVERITY_ERROR, "sts.unreachable", "MTA-STS", host,
                  "the policy could not be fetched: %s", page->why.text);
    else
        f = found(k, SEVERITY_ERROR, "sts.status", "MTA-STS", host,
                  "the web server answers %d where the policy should be%s", page->status,
                  page->status / 100 == 3 ? ": redirects do not count" : "");
    MEANS(
        k, f,
        "The record promises a policy; senders find none, and go on without (RFC 8461 section 3.3).");
    FIX(k, f,
        "Serve https://%.*s/.well-known/mta-sts.txt with status 200 and a valid certificate for %.*s.",
        BYTES_FMT(host), BYTES_FMT(host));
}

void domain_look_sts(struct look *k) {
    struct domain_report *r = k->report;
    struct bytes name = domain_below(k, "_mta-sts", k->domain), texts[1];
    ptrdiff_t count =
        domain_texts(k, name, mta_sts_is_record, "sts.failed", "MTA-STS", texts, COUNT_OF(texts));
    struct finding *f;
    if (count < 0)
        return;
    if (count == 0) {
        found(k, SEVERITY_INFO, "sts.none", "MTA-STS", name, "no policy for TLS is published");
        return;
    }
    if (count > 1) {
        f = found(k, SEVERITY_ERROR, "sts.several", "MTA-STS", name,
                  "there is more than one MTA-STS record");
        MEANS(k, f, "Senders act as if there were none.");
        FIX(k, f, "Leave one.");
        return;
    }
    if (mta_sts_parse_record(texts[0], &r->sts) != OK) {
        f = found(k, SEVERITY_ERROR, "sts.syntax", "MTA-STS", name,
                  "the record is wrong: \"%.*s\" %s", BYTES_FMT(bytes_first(r->sts.wrong_at, 100)),
                  r->sts.wrong);
        MEANS(k, f, "Senders act as if there were none.");
        FIX(k, f,
            "The form is \"v=STSv1; id=20261128T0900\"; the id changes whenever the policy does.");
        return;
    }
    r->has_sts_record = true;
    found(k, SEVERITY_INFO, "sts.found", "MTA-STS", name, "%.*s", BYTES_FMT(texts[0]));
    look_at_policy(k);
}

/* --- TLS-RPT ------------------------------------------------------------------------------------------------------ */

void domain_look_tlsrpt(struct look *k) {
    struct bytes name = domain_below(k, "_smtp._tls", k->domain), texts[1];
    ptrdiff_t count =
        domain_texts(k, name, tlsrpt_is_record, "tlsrpt.failed", "TLS-RPT", texts, COUNT_OF(texts));
    struct tlsrpt_record r;
    struct finding *f;
    if (count < 0)
        return;
    if (count == 0) {
        bool blind = k->report->has_sts_record;
        f = found(k, blind ? SEVERITY_WARNING : SEVERITY_INFO, "tlsrpt.none", "TLS-RPT", name,
                  "nobody gets reports about TLS");
        MEANS(k, f,
              "When senders cannot deliver because of MTA-STS or DANE, nobody here hears of it.");
        FIX(k, f, "Publish \"%.*s. TXT v=TLSRPTv1; rua=mailto:postmaster@%.*s\".", BYTES_FMT(name),
            BYTES_FMT(k->domain));
        return;
    }
    k->report->tlsrpt_text = texts[0];
    if (count > 1) {
        f = found(k, SEVERITY_ERROR, "tlsrpt.several", "TLS-RPT", name,
                  "there is more than one TLS-RPT record");
        MEANS(k, f, "Senders report to nobody then (RFC 8460 section 3).");
        FIX(k, f, "Leave one.");
    } else if (tlsrpt_parse(texts[0], &r) != OK) {
        f = found(k, SEVERITY_ERROR, "tlsrpt.syntax", "TLS-RPT", name,
                  "the record is wrong: \"%.*s\" %s", BYTES_FMT(r.wrong_at), r.wrong);
        MEANS(k, f, "Senders report to nobody then.");
        FIX(k, f, "The form is \"v=TLSRPTv1; rua=mailto:address\".");
    } else {
        found(k, SEVERITY_INFO, "tlsrpt.found", "TLS-RPT", name, "%.*s", BYTES_FMT(texts[0]));
    }
}

/* --- DANE ------------------------------------------------------------------------------------------------------------ */

static void judge_shown(struct look *k, const struct domain_host *h, const struct tlsa_record *list,
                        size_t count, struct bytes name) {
    for (size_t i = 0; i < h->address_count; i++) {
        const struct domain_talk *t = domain_talk(k->facts, h->addresses[i], h->name);
        struct bytes about = arena_printf(k->arena, "%.*s, %.*s", BYTES_FMT(name),
                                          BYTES_FMT(domain_address_text(k, h->addresses[i])));
        bool match = false;
        struct finding *f;
        if (!t || !t->connected || !t->greeted)
            continue;
        if (!t->look) {
            f = found(k, SEVERITY_ERROR, "dane.no-tls", "DANE", about,
                      "there are TLSA records, and the server shows no certificate");
            MEANS(k, f, "Senders that follow DANE do not deliver to it.");
            FIX(k, f, "Have it offer STARTTLS, or take the records away.");
            continue;
        }
        for (size_t n = 0; n < count; n++) {
            size_t depth = list[n].usage == TLSA_DANE_EE ? 1 : t->look->sent_count;
            for (size_t c = 0; c < depth && c < t->look->sent_count; c++)
                match |= tls_sent_matches(&t->look->sent[c], list[n].selector, list[n].matching,
                                          list[n].data);
        }
        if (match) {
            found(k, SEVERITY_INFO, "dane.matches", "DANE", about,
                  "the certificate is the one that the records name");
            continue;
        }
        f = found(k, SEVERITY_ERROR, "dane.mismatch", "DANE", about,
                  "the certificate is none of those that the TLSA records name");
        MEANS(
            k, f,
            "Senders that follow DANE do not deliver to it: probably the certificate was renewed with a new key.");
        FIX(k, f,
            "Publish a TLSA record for the new key (3 1 1), and keep the old one until all caches have forgotten it.");
        FIX(k, f, "Renew certificates with the same key, or publish the next key beforehand.");
    }
}

static size_t take_records(struct look *k, const struct dns_answer *answer,
                           struct tlsa_record *list, struct bytes name) {
    size_t count = 0;
    for (size_t i = 0; i < answer->count; i++) {
        struct tlsa_record r;
        if (tlsa_parse(answer->records[i].data, &r) == OK) {
            list[count++] = r;
            found(k, SEVERITY_INFO, "dane.found", "DANE", name, "%s (%u %u %u)",
                  tlsa_usage_name(r.usage), r.usage, r.selector, r.matching);
            continue;
        }
        struct finding *f =
            found(k, SEVERITY_WARNING, "dane.unusable", "DANE", name, "a TLSA record %u %u %u %s",
                  r.usage, r.selector, r.matching, r.wrong);
        MEANS(k, f, "Senders pass it over.");
        FIX(k, f, "Publish \"3 1 1\" and the SHA-256 of the server's public key.");
    }
    if (answer->count && !count) {
        struct finding *f = found(k, SEVERITY_ERROR, "dane.none-usable", "DANE", name,
                                  "none of the TLSA records can be used");
        MEANS(
            k, f,
            "Senders insist on TLS all the same, without knowing with whom (RFC 7672 section 3.1.3).");
        FIX(k, f,
            "Publish \"3 1 1\" and the SHA-256 of the server's public key, or take the records away.");
    }
    return count;
}

static void look_at_host(struct look *k, struct domain_host *h) {
    struct bytes name = domain_below(k, "_25._tcp", h->name);
    const struct dns_answer *answer =
        name.len ? domain_get(k, name, DNS_TLSA, "dane.failed", "DANE") : NULL;
    if (!answer || !answer->count)
        return;
    struct tlsa_record *list = ARENA_ARRAY(k->arena, answer->count, struct tlsa_record);
    h->tlsa_count = answer->count;
    size_t count = take_records(k, answer, list, name);
    if (k->want->validates && !answer->secure) {
        struct finding *f = found(k, SEVERITY_WARNING, "dane.insecure", "DANE", name,
                                  "there are TLSA records in a zone that is not signed");
        MEANS(k, f, "Without DNSSEC senders ignore them.");
        FIX(k, f, "Have the zone of %.*s signed, or take the records away.", BYTES_FMT(h->name));
    }
    if (k->want->connect && count)
        judge_shown(k, h, list, count, name);
}

void domain_look_dane(struct look *k) {
    struct domain_report *r = k->report;
    size_t with = 0;
    for (size_t i = 0; i < r->host_count; i++) {
        look_at_host(k, &r->hosts[i]);
        with += r->hosts[i].tlsa_count > 0;
    }
    if (!with) {
        found(k, SEVERITY_INFO, "dane.none", "DANE", k->domain, "no MX has TLSA records");
        return;
    }
    for (size_t i = 0; i < r->host_count && with < r->host_count; i++) {
        if (r->hosts[i].tlsa_count)
            continue;
        struct finding *f = found(k, SEVERITY_WARNING, "dane.partial", "DANE", r->hosts[i].name,
                                  "other MX have TLSA records, this one has none");
        MEANS(k, f, "Who keeps senders from the others gets by DANE through this one.");
        FIX(k, f, "Publish TLSA records for it, too.");
    }
}
