/* domain_plan: the records that a domain of ours needs: printed, and compared with what is published. */
#include "base/must.h"
#include "base/num.h"
#include "doctor/domain_parts.h"

#include <string.h>

enum { PLAN_MAX = 64 * 1024, TTL = 3600, STS_AGE = 604800 };

/* --- what should be ------------------------------------------------------------------------------------------- */

static bool is_unknown(const struct domain_egress *e, const struct domain_plan *plan) {
    return e->smarthost && !plan->include_count;
}

static bool stood_before(const struct domain_egress *list, size_t i) {
    for (size_t j = 0; j < i; j++)
        if (!list[j].smarthost && list[j].address.family &&
            addr_equal(list[j].address, list[i].address))
            return true;
    return false;
}

/* "v=spf1 ip4:... include:... -all" */
static void write_spf(struct buf *out, const struct domain_plan *plan,
                      const struct domain_egress *list, size_t count) {
    bool any = false,
         unknown = false; /* a smart host of whom nothing is known: nothing is said about others */
    buf_str(out, "v=spf1");
    for (size_t i = 0; i < count; i++) {
        unknown |= is_unknown(&list[i], plan);
        any |= list[i].smarthost;
        if (list[i].smarthost || !list[i].address.family || !addr_is_public(list[i].address) ||
            stood_before(list, i))
            continue;
        buf_str(out, list[i].address.family == 6 ? " ip6:" : " ip4:");
        addr_format(out, list[i].address);
        any = true;
    }
    if (!any)
        buf_printf(out, " a:%.*s", BYTES_FMT(plan->host));
    for (size_t i = 0; i < plan->include_count; i++)
        buf_printf(out, " include:%.*s", BYTES_FMT(plan->includes[i]));
    buf_str(out, unknown ? " ?all" : " -all");
}

static void write_policy(struct buf *out, const struct domain_plan *plan, const char *before) {
    buf_printf(out, "%sversion: STSv1\n%smode: testing\n%smx: %.*s\n%smax_age: %d\n", before,
               before, before, BYTES_FMT(plan->host), before, STS_AGE);
}

/* The same policy has the same id, another one another. */
static void write_sts(struct buf *out, const struct domain_plan *plan) {
    struct buf policy = buf_grow(PLAN_MAX);
    write_policy(&policy, plan, "");
    buf_printf(out, "v=STSv1; id=%016llx", (unsigned long long)bytes_hash(buf_bytes(&policy)));
    buf_free(&policy);
}

static void write_dmarc(struct buf *out, const struct domain_plan *plan) {
    buf_printf(out, "v=DMARC1; p=none; rua=mailto:%.*s", BYTES_FMT(plan->postmaster));
}

static void write_tlsrpt(struct buf *out, const struct domain_plan *plan) {
    buf_printf(out, "v=TLSRPTv1; rua=mailto:%.*s", BYTES_FMT(plan->postmaster));
}

/* --- as lines of a zone file ------------------------------------------------------------------------------------- */

static void comment(struct buf *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void comment(struct buf *out, const char *format, ...) {
    va_list args;
    va_start(args, format);
    buf_str(out, "; ");
    buf_vprintf(out, format, args);
    buf_char(out, '\n');
    va_end(args);
}

static void begin(struct buf *out, const char *label, struct bytes name, const char *type) {
    buf_printf(out, "%s%.*s. %d IN %s ", label, BYTES_FMT(name), TTL, type);
}

/* A string of a TXT record holds at most 255 octets (RFC 1035 section 3.3.14). */
static void text_record(struct buf *out, const char *label, struct bytes name, struct bytes text) {
    begin(out, label, name, "TXT");
    do {
        buf_printf(out, "\"%.*s\"%s", BYTES_FMT(bytes_first(text, 255)),
                   text.len > 255 ? " " : "\n");
        text = bytes_skip(text, 255);
    } while (text.len);
}

static void reverse_name(struct buf *out, struct addr a) {
    addr_format_reversed(out, a);
    buf_str(out, a.family == 6 ? ".ip6.arpa" : ".in-addr.arpa");
}

static void publish_mx(struct bytes domain, const struct domain_plan *plan, struct buf *out) {
    if (!plan->takes_mail) {
        comment(out, "MX: this server does not take mail for %.*s; its MX is not told here.",
                BYTES_FMT(domain));
        return;
    }
    comment(out, "Where mail for the domain goes.");
    begin(out, "", domain, "MX");
    buf_printf(out, "10 %.*s.\n", BYTES_FMT(plan->host));
}

static void publish_addresses(const struct domain_plan *plan, struct buf *out) {
    comment(out, "The server's own name; it calls itself so in EHLO.");
    if (!plan->address_count)
        comment(
            out,
            "%.*s. %d IN A ADDRESS   (this host has no public address itself: put the one it is seen by)",
            BYTES_FMT(plan->host), TTL);
    for (size_t i = 0; i < plan->address_count; i++) {
        begin(out, "", plan->host, plan->addresses[i].family == 6 ? "AAAA" : "A");
        addr_format(out, plan->addresses[i]);
        buf_char(out, '\n');
    }
}

static void publish_spf(struct bytes domain, const struct domain_plan *plan,
                        const struct domain_egress *list, size_t count, struct buf *out) {
    struct buf text = buf_grow(PLAN_MAX);
    comment(out, "Who sends for the domain (SPF).");
    for (size_t i = 0; i < count; i++) {
        if (is_unknown(&list[i], plan))
            comment(
                out,
                "%.*s sends on for us: ask its provider what to include, and put \"include:...\" before ?all, "
                "then make that -all.",
                BYTES_FMT(list[i].what));
        else if (!list[i].smarthost && list[i].address.family && !addr_is_public(list[i].address))
            comment(out, "%.*s is not public: put ip4: and the address it is seen by.",
                    BYTES_FMT(list[i].what));
    }
    write_spf(&text, plan, list, count);
    text_record(out, "", domain, buf_bytes(&text));
    buf_free(&text);
}

static void publish_reports(struct bytes domain, const struct domain_plan *plan, struct buf *out) {
    struct buf text = buf_grow(PLAN_MAX);
    comment(
        out,
        "What receivers do with forged mail (DMARC). When the reports show your own mail passing: p=quarantine, then "
        "p=reject.");
    write_dmarc(&text, plan);
    text_record(out, "_dmarc.", domain, buf_bytes(&text));
    buf_char(out, '\n');
    comment(
        out,
        "DKIM: this server does not sign yet. If another one on the way does, publish what it tells.");
    buf_clear(&text);
    if (plan->takes_mail) {
        buf_char(out, '\n');
        comment(out, "Whom senders tell of failures of TLS (TLS-RPT).");
        write_tlsrpt(&text, plan);
        text_record(out, "_smtp._tls.", domain, buf_bytes(&text));
    }
    buf_free(&text);
}

static void publish_sts(struct bytes domain, const struct domain_plan *plan, struct buf *out) {
    struct buf text = buf_grow(PLAN_MAX);
    buf_char(out, '\n');
    if (!plan->tls) {
        comment(out, "MTA-STS: no listener for strangers offers TLS; set tls = offer there first.");
        buf_free(&text);
        return;
    }
    comment(out,
            "TLS that senders insist on (MTA-STS). The id must change whenever the policy does.");
    write_sts(&text, plan);
    text_record(out, "_mta-sts.", domain, buf_bytes(&text));
    comment(
        out,
        "And at https://mta-sts.%.*s/.well-known/mta-sts.txt, on a web server with a certificate for",
        BYTES_FMT(domain));
    comment(
        out,
        "mta-sts.%.*s, a file (mode: enforce when reports show no failures; the server's certificate must",
        BYTES_FMT(domain));
    comment(out, "be one that everybody trusts, for %.*s):", BYTES_FMT(plan->host));
    write_policy(out, plan, ";     ");
    buf_free(&text);
}

static void publish_tlsa(const struct domain_plan *plan, struct buf *out) {
    buf_char(out, '\n');
    if (!plan->spki.len) {
        comment(out,
                "DANE: the certificate could not be read, so there is no TLSA record to tell.");
        return;
    }
    comment(
        out,
        "The server's key (DANE). Only where the zone of %.*s is signed (DNSSEC), and never renew the",
        BYTES_FMT(plan->host));
    comment(out, "key without publishing the next one first.");
    begin(out, "_25._tcp.", plan->host, "TLSA");
    buf_str(out, "3 1 1 ");
    buf_hex(out, plan->spki);
    buf_char(out, '\n');
}

static void publish_pointers(const struct domain_plan *plan, struct buf *out) {
    buf_char(out, '\n');
    comment(out, "To be asked of the network's provider: the names of the addresses (PTR).");
    if (!plan->address_count)
        comment(out, "That of the address this host is seen by must be %.*s.",
                BYTES_FMT(plan->host));
    for (size_t i = 0; i < plan->address_count; i++) {
        reverse_name(out, plan->addresses[i]);
        buf_printf(out, ". %d IN PTR %.*s.\n", TTL, BYTES_FMT(plan->host));
    }
}

void domain_publish(struct bytes domain, const struct domain_plan *plan,
                    const struct domain_egress *egress, size_t egress_count, struct buf *out) {
    publish_mx(domain, plan, out);
    buf_char(out, '\n');
    publish_addresses(plan, out);
    buf_char(out, '\n');
    publish_spf(domain, plan, egress, egress_count, out);
    buf_char(out, '\n');
    publish_reports(domain, plan, out);
    if (plan->takes_mail) {
        publish_sts(domain, plan, out);
        if (plan->tls)
            publish_tlsa(plan, out);
    }
    publish_pointers(plan, out);
}

/* --- compared --------------------------------------------------------------------------------------------------------- */

static void same(struct look *k, const char *id, struct bytes about, const char *what) {
    struct finding *f = INFO_(k, id, "plan", "published as it should be: %s", what);
    ABOUT(k, f, "%.*s", BYTES_FMT(about));
}

static struct finding *differs(struct look *k, enum severity s, const char *id, struct bytes about,
                               struct bytes is, struct bytes should) {
    struct finding *f =
        finding_add(&k->report->findings, s, id, "plan", "published: %.*s; should be: %.*s",
                    BYTES_FMT(is.len ? is : B("nothing")), BYTES_FMT(should));
    ABOUT(k, f, "%.*s", BYTES_FMT(about));
    f->who = "sender-admin";
    FIX(k, f, "Publish what `postern dns --publish` prints.");
    return f;
}

static struct bytes taken(struct look *k, struct buf *b) {
    struct bytes text = arena_copy(k->arena, buf_bytes(b));
    buf_free(b);
    return text;
}

static void compare_mx(struct look *k, const struct domain_plan *plan) {
    const struct domain_report *r = k->report;
    struct buf is = buf_grow(PLAN_MAX);
    bool there = false;
    for (size_t i = 0; i < r->host_count && !r->implicit_mx; i++) {
        buf_printf(&is, "%s%u %.*s", i ? ", " : "", r->hosts[i].preference,
                   BYTES_FMT(r->hosts[i].name));
        there |= bytes_equal_nocase(r->hosts[i].name, plan->host);
    }
    if (r->null_mx)
        buf_str(&is, "0 . (takes no mail)");
    struct bytes text = taken(k, &is);
    if (!plan->takes_mail)
        return;
    if (!there)
        differs(k, SEVERITY_ERROR, "verify.mx", k->domain, text,
                arena_printf(k->arena, "10 %.*s", BYTES_FMT(plan->host)));
    else if (r->host_count == 1)
        same(k, "verify.mx-same", k->domain, "MX");
    else
        differs(k, SEVERITY_WARNING, "verify.mx-others", k->domain, text,
                arena_printf(k->arena,
                             "10 %.*s alone, unless the others are servers of yours as well",
                             BYTES_FMT(plan->host)));
}

static void write_addresses(struct buf *b, const struct addr *list, size_t count) {
    for (size_t i = 0; i < count; i++) {
        buf_str(b, i ? ", " : "");
        addr_format(b, list[i]);
    }
}

static bool has(const struct addr *list, size_t count, struct addr a) {
    for (size_t i = 0; i < count; i++)
        if (addr_equal(list[i], a))
            return true;
    return false;
}

static void compare_addresses(struct look *k, const struct domain_plan *plan) {
    struct addr *list;
    size_t count, missing = 0, more = 0;
    bool failed;
    if (!domain_addresses(k, plan->host, &list, &count, &failed) || failed ||
        (!plan->address_count && count))
        return;
    for (size_t i = 0; i < plan->address_count; i++)
        missing += !has(list, count, plan->addresses[i]);
    for (size_t i = 0; i < count; i++)
        more += !has(plan->addresses, plan->address_count, list[i]);
    if (!missing && !more && count) {
        same(k, "verify.addresses-same", plan->host, "its addresses");
        return;
    }
    struct buf is = buf_grow(PLAN_MAX), should = buf_grow(PLAN_MAX);
    write_addresses(&is, list, count);
    write_addresses(&should, plan->addresses, plan->address_count);
    if (!plan->address_count)
        buf_str(&should, "the public address of this host");
    struct bytes is_text = taken(k, &is), should_text = taken(k, &should);
    differs(k, !count ? SEVERITY_ERROR : SEVERITY_WARNING, "verify.addresses", plan->host, is_text,
            should_text);
}

static void compare_spf(struct look *k, const struct domain_plan *plan) {
    const struct domain_report *r = k->report;
    bool good = r->spf.trouble == SPF_FINE && r->spf.text.len;
    for (size_t i = 0; i < r->covered_count; i++) {
        const struct domain_covered *c = &r->covered[i];
        if (!c->egress->smarthost && addr_is_public(c->address))
            good &= c->spf.result == SPF_PASS;
    }
    for (size_t i = 0; i < plan->include_count; i++) {
        bool there = false;
        for (size_t n = 0; n < r->spf.node_count; n++)
            there |= bytes_equal_nocase(r->spf.nodes[n].domain, plan->includes[i]);
        good &= there;
    }
    if (good) {
        same(k, "verify.spf-same", k->domain, "SPF covers what sends");
        return;
    }
    struct buf should = buf_grow(PLAN_MAX);
    write_spf(&should, plan, k->want->egress, k->want->egress_count);
    struct bytes text = taken(k, &should);
    differs(k, SEVERITY_ERROR, "verify.spf", k->domain, r->spf.text, text);
}

static void compare_reports(struct look *k, const struct domain_plan *plan) {
    const struct domain_report *r = k->report;
    struct buf should = buf_grow(PLAN_MAX);
    if (r->has_dmarc) {
        same(k, "verify.dmarc-same", r->dmarc_domain, "DMARC");
    } else {
        write_dmarc(&should, plan);
        differs(k, SEVERITY_ERROR, "verify.dmarc",
                arena_printf(k->arena, "_dmarc.%.*s", BYTES_FMT(k->domain)), r->dmarc_text,
                arena_copy(k->arena, buf_bytes(&should)));
    }
    buf_clear(&should);
    if (r->tlsrpt_text.len) {
        same(k, "verify.tlsrpt-same", k->domain, "TLS-RPT");
    } else if (plan->takes_mail) {
        write_tlsrpt(&should, plan);
        differs(k, SEVERITY_WARNING, "verify.tlsrpt",
                arena_printf(k->arena, "_smtp._tls.%.*s", BYTES_FMT(k->domain)), BYTES_NONE,
                arena_copy(k->arena, buf_bytes(&should)));
    }
    buf_free(&should);
}

static void compare_sts(struct look *k, const struct domain_plan *plan) {
    const struct domain_report *r = k->report;
    struct bytes name = arena_printf(k->arena, "_mta-sts.%.*s", BYTES_FMT(k->domain));
    if (!plan->takes_mail || !plan->tls)
        return;
    if (!r->has_sts_record) {
        struct buf should = buf_grow(PLAN_MAX);
        write_sts(&should, plan);
        struct bytes text = taken(k, &should);
        differs(k, SEVERITY_WARNING, "verify.sts", name, BYTES_NONE, text);
    } else if (r->has_sts_policy && r->sts_policy.mode != MTA_STS_NONE &&
               !mta_sts_covers(&r->sts_policy, plan->host)) {
        differs(k, SEVERITY_ERROR, "verify.sts-mx", name, r->sts_policy.mx[0],
                arena_printf(k->arena, "mx: %.*s", BYTES_FMT(plan->host)));
    } else if (r->has_sts_policy) {
        same(k, "verify.sts-same", name, "MTA-STS");
    }
}

static void compare_tlsa(struct look *k, const struct domain_plan *plan) {
    struct bytes name = domain_below(k, "_25._tcp", plan->host);
    const struct dns_answer *answer = name.len ? domain_ask(k->facts, name, DNS_TLSA) : NULL;
    char octets[3 + 32] = { 3, 1, 1 };
    if (!plan->takes_mail || !answer || answer->rc != OK || !answer->count || plan->spki.len != 32)
        return;
    memcpy(octets + 3, plan->spki.at, 32);
    struct buf is = buf_grow(PLAN_MAX), should = buf_grow(PLAN_MAX);
    for (size_t i = 0; i < answer->count; i++) {
        struct bytes data = answer->records[i].data;
        if (bytes_equal(data, bytes_of(octets, sizeof octets))) {
            same(k, "verify.tlsa-same", name, "TLSA");
            buf_free(&is);
            return;
        }
        if (data.len > 3)
            buf_printf(&is, "%s%u %u %u ", i ? ", " : "", (unsigned char)data.at[0],
                       (unsigned char)data.at[1], (unsigned char)data.at[2]);
        buf_hex(&is, bytes_first(bytes_skip(data, 3), 64));
    }
    buf_str(&should, "3 1 1 ");
    buf_hex(&should, plan->spki);
    struct bytes is_text = taken(k, &is), should_text = taken(k, &should);
    differs(k, SEVERITY_ERROR, "verify.tlsa", name, is_text, should_text);
}

static void compare_pointers(struct look *k, const struct domain_plan *plan) {
    for (size_t i = 0; i < plan->address_count; i++) {
        struct buf name = buf_grow(PLAN_MAX), is = buf_grow(PLAN_MAX);
        bool there = false;
        reverse_name(&name, plan->addresses[i]);
        struct bytes reversed = taken(k, &name);
        const struct dns_answer *answer = domain_ask(k->facts, reversed, DNS_PTR);
        for (size_t n = 0; answer && answer->rc == OK && n < answer->count; n++) {
            buf_printf(&is, "%s%.*s", n ? ", " : "", BYTES_FMT(answer->records[n].name));
            there |= bytes_equal_nocase(answer->records[n].name, plan->host);
        }
        struct bytes text = taken(k, &is);
        if (!answer || answer->rc != OK)
            continue;
        if (there)
            same(k, "verify.ptr-same", reversed, "PTR");
        else
            differs(k, SEVERITY_WARNING, "verify.ptr", reversed, text, plan->host)->who =
                "network-owner";
    }
}

void domain_look_plan(struct look *k) {
    const struct domain_plan *plan = k->want->plan;
    if (!plan)
        return;
    compare_mx(k, plan);
    compare_addresses(k, plan);
    compare_spf(k, plan);
    compare_reports(k, plan);
    compare_sts(k, plan);
    compare_tlsa(k, plan);
    compare_pointers(k, plan);
    finding_skip(&k->report->findings, "verify.dkim", "plan",
                 "this server does not sign yet, so there is no DKIM key to compare");
}
