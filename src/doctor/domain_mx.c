/* domain_mx: the domain itself and the servers its mail goes to, as the DNS names them (RFC 5321 section 5.1, RFC 7505,
 * RFC 2181 section 10.3, RFC 1912). */
#include "base/must.h"
#include "base/scan.h"
#include "doctor/domain_parts.h"
#include "trust/organisation.h"

#include <string.h>

enum { DAY = 24 * 60 * 60 };

/* --- the zone ------------------------------------------------------------------------------------------------ */

static void look_at_dnssec(struct look *k, const struct dns_answer *soa) {
    k->report->dnssec = "unknown";
    if (!k->want->validates) {
        finding_skip(
            &k->report->findings, "dnssec.unknown", "DNSSEC",
            "the name server that is asked does not have DNSSEC checked; `--dns full` does");
        return;
    }
    k->report->dnssec = soa->secure ? "secure" : "insecure";
    if (soa->secure)
        INFO_(k, "dnssec.secure", "DNSSEC", "the zone is signed, and the signatures hold");
    else
        INFO_(k, "dnssec.none", "DNSSEC",
              "the zone is not signed: no DANE, and its records can be forged on the way");
}

/* RFC 1912 section 2.2 and RFC 2308: times that make a zone vanish or linger. */
static void look_at_times(struct look *k, const struct dns_record *soa) {
    struct scan s = scan_of(soa->data);
    scan_until(&s, ' ');
    uint64_t n[5] = { 0 };
    for (size_t i = 0; i < 5; i++) {
        scan_blanks(&s);
        n[i] = scan_number(&s, UINT32_MAX);
    }
    uint64_t refresh = n[1], retry = n[2], expire = n[3], minimum = n[4];
    const char *wrong =
        s.bad               ? NULL
        : expire < 7 * DAY  ? "expire is less than a week: should its primary server fail, the "
                              "others stop answering before anybody has noticed"
        : expire <= refresh ? "expire is not longer than refresh: secondary servers stop answering "
                              "between two looks"
        : retry >= refresh  ? "retry is not shorter than refresh"
        : minimum > DAY     ? "minimum is more than a day: a name that is missing once stays "
                              "missing for long"
                            : NULL;
    if (!wrong)
        return;
    struct finding *f = WARNING_(k, "soa.times", "zone", "the SOA's %s", wrong);
    ABOUT(k, f, "%.*s", BYTES_FMT(soa->data));
    MEANS(k, f, "Mail is not lost by it, but faults of the DNS last longer or strike sooner.");
    f->who = "recipient-admin";
    FIX(k, f,
        "Usual are refresh 4 hours, retry 1 hour, expire 2 to 4 weeks, minimum 5 minutes to 1 hour.");
}

static void look_at_server(struct look *k, struct bytes name) {
    struct addr *list;
    size_t count;
    bool failed;
    if (!domain_addresses(k, name, &list, &count, &failed) || failed)
        return;
    const struct dns_answer *alias = count ? NULL : domain_ask(k->facts, name, DNS_CNAME);
    if (!count) {
        struct finding *f =
            ERROR_(k, "ns.no-address", "zone", "the name server %.*s has no address%s",
                   BYTES_FMT(name), alias && alias->count ? ": it is an alias" : "");
        MEANS(k, f, "Resolvers that happen to choose it wait, and mail is late or fails.");
        f->who = "recipient-admin";
        FIX(k, f, "Correct the NS record here and at the registry, or give the host its address.");
    }
    for (size_t i = 0; i < count; i++)
        if (!addr_is_public(list[i])) {
            struct finding *f =
                ERROR_(k, "ns.private", "zone",
                       "the name server %.*s has the address %.*s, which nobody outside reaches",
                       BYTES_FMT(name), BYTES_FMT(domain_address_text(k, list[i])));
            f->who = "recipient-admin";
            FIX(k, f, "Publish its public address.");
        }
}

static void look_at_servers(struct look *k, const struct dns_answer *ns) {
    if (!ns->count) {
        struct finding *f = ERROR_(k, "ns.none", "zone", "the zone has no NS records");
        f->who = "recipient-admin";
        FIX(k, f, "Add an NS record for each of its name servers, those that the registry names.");
    }
    if (ns->count == 1) {
        struct finding *f =
            WARNING_(k, "ns.single", "zone", "the zone has one name server alone, %.*s",
                     BYTES_FMT(ns->records[0].name));
        MEANS(k, f,
              "When it is away, nobody can find out where mail for the domain goes (RFC 2182).");
        f->who = "recipient-admin";
        FIX(k, f, "Add a second one, in another network.");
    }
    for (size_t i = 0; i < ns->count; i++)
        look_at_server(k, ns->records[i].name);
    if (ns->count > 1)
        INFO_(k, "ns.found", "zone", "%zu name servers", ns->count);
}

/* Providers whose name servers stand for "this domain is for sale". */
static void look_for_parking(struct look *k, const struct dns_answer *ns) {
    static const char *const parking[] = {
        "sedoparking.com", "parkingcrew.net",  "bodis.com",    "above.com",
        "parklogic.com",   "dan.com",          "afternic.com", "undeveloped.com",
        "cashparking.com", "parking-page.net", "fabulous.com", "voodoo.com",
        "hugedomains.com", "domainparking.ru", "ztomy.com",
    };
    for (size_t i = 0; i < ns->count; i++)
        for (size_t n = 0; n < COUNT_OF(parking); n++) {
            struct bytes name = ns->records[i].name, tail = bytes_str(parking[n]);
            if (!bytes_ends_nocase(name, tail) ||
                (name.len > tail.len && name.at[name.len - tail.len - 1] != '.'))
                continue;
            struct finding *f =
                WARNING_(k, "domain.parked", "zone", "the domain is parked at %s", parking[n]);
            MEANS(
                k, f,
                "It is registered, and for sale or unused; what looks like its mail server belongs to the "
                "parking service.");
            f->who = "recipient";
            FIX(k, f,
                "Find out whether the domain is the right one; its owner may have let it go.");
            return;
        }
}

/* A name that nobody has made, under which there is something all the same. */
static void look_for_wildcards(struct look *k) {
    static const struct {
        enum dns_type type;
        const char *id, *means;
    } rows[] = {
        { DNS_MX, "wildcard.mx",
          "Every name below the domain takes mail, also misspelt ones and those meant for the inside." },
        { DNS_TXT, "wildcard.txt",
          "Names below the domain have this text where SPF, DKIM keys, DMARC and reports are looked for." },
    };
    struct bytes name = domain_below(k, "postern-has-not-made-this-name", k->domain);
    if (!name.len)
        return;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct dns_answer *answer = domain_ask(k->facts, name, rows[i].type);
        if (!answer || answer->rc != OK || !answer->count)
            continue;
        struct finding *f = WARNING_(k, rows[i].id, "zone",
                                     "a wildcard gives every name below the domain %s records",
                                     dns_type_name(rows[i].type));
        ABOUT(k, f, "*.%.*s", BYTES_FMT(k->domain));
        MEANS(k, f, "%s", rows[i].means);
        f->who = "recipient-admin";
        FIX(k, f, "Name the hosts that are meant, and take the wildcard away.");
    }
}

void domain_look_zone(struct look *k) {
    const struct dns_answer *soa = domain_get(k, k->domain, DNS_SOA, "dns.failed", "zone");
    if (finding_find(&k->report->findings, "dnssec.bogus"))
        k->report->dnssec = "bogus";
    if (!soa)
        return;
    k->report->exists = soa->exists;
    if (!soa->exists) {
        struct finding *f =
            ERROR_(k, "domain.none", "zone", "there is no domain %.*s", BYTES_FMT(k->domain));
        MEANS(k, f, "Mail to it bounces at once, and mail from it is refused nearly everywhere.");
        f->who = "recipient-admin";
        FIX(k, f,
            "Look for a misspelling; see at the registrar whether the domain has expired, or its name servers "
            "were changed.");
        return;
    }
    look_at_dnssec(k, soa);
    look_for_wildcards(k);
    if (!soa->count)
        return; /* no zone of its own, but a name in one */
    look_at_times(k, &soa->records[0]);
    const struct dns_answer *ns = domain_get(k, k->domain, DNS_NS, "ns.failed", "zone");
    if (!ns)
        return;
    look_at_servers(k, ns);
    look_for_parking(k, ns);
}

/* --- MX ------------------------------------------------------------------------------------------------------- */

static bool is_host_name(struct bytes name) {
    struct bytes label;
    if (bytes_find(name, '.') < 0)
        return false;
    while (bytes_split(&name, '.', &label)) {
        if (!label.len || label.len > 63 || label.at[0] == '-' || label.at[label.len - 1] == '-')
            return false;
        for (size_t i = 0; i < label.len; i++)
            if (!ascii_is_alnum(label.at[i]) && label.at[i] != '-')
                return false;
    }
    return true;
}

static struct finding *wrong_host(struct look *k, const char *id, const struct domain_host *h,
                                  const char *what) {
    struct finding *f = ERROR_(k, id, "MX", "%s", what);
    ABOUT(k, f, "%u %.*s", h->preference, BYTES_FMT(h->name));
    f->who = "recipient-admin";
    return f;
}

static bool look_at_name(struct look *k, const struct domain_host *h) {
    struct addr literal;
    if (addr_parse(h->name, &literal)) {
        struct finding *f =
            wrong_host(k, "mx.literal", h, "an MX names an address where a host's name must stand");
        MEANS(
            k, f,
            "No host is called so: sending servers find no address, and the mail fails (RFC 1035).");
        FIX(k, f, "Give the address a name (an A record), and name that in the MX.");
        return false;
    }
    if (is_host_name(h->name))
        return true;
    struct finding *f = wrong_host(k, "mx.name", h, "an MX names what cannot be a host's name");
    MEANS(k, f,
          "Some senders refuse it (underscores, one label alone), others find nothing behind it.");
    FIX(k, f, "Name a full host name of letters, digits and hyphens.");
    return false;
}

static void look_at_alias(struct look *k, const struct domain_host *h) {
    const struct dns_answer *alias = domain_ask(k->facts, h->name, DNS_CNAME);
    if (!alias || alias->rc != OK || !alias->count)
        return;
    struct finding *f =
        wrong_host(k, "mx.cname", h, "an MX names an alias (CNAME), which it must not");
    MEANS(k, f, "RFC 2181 section 10.3 forbids it; some senders refuse, others rewrite or loop.");
    FIX(k, f, "Name %.*s in the MX, or give %.*s addresses of its own.",
        BYTES_FMT(alias->records[0].name), BYTES_FMT(h->name));
}

static void look_at_addresses(struct look *k, struct domain_host *h) {
    bool failed;
    if (!domain_addresses(k, h->name, &h->addresses, &h->address_count, &failed))
        return;
    if (!h->address_count && failed) {
        domain_get(k, h->name, DNS_A, "mx.failed", "MX");
        return;
    }
    if (!h->address_count) {
        struct finding *f =
            wrong_host(k, "mx.no-address", h, "an MX names a host that has no address");
        MEANS(k, f, "Senders pass it over; if it is the only one, mail fails.");
        FIX(k, f, "Publish A or AAAA records for %.*s, or take the MX away.", BYTES_FMT(h->name));
    }
    for (size_t i = 0; i < h->address_count; i++) {
        struct addr a = h->addresses[i];
        if (addr_is_public(a))
            continue;
        struct finding *f =
            wrong_host(k, "mx.private", h, "an MX leads to an address that nobody outside reaches");
        ABOUT(k, f, "%.*s [%.*s]", BYTES_FMT(h->name), BYTES_FMT(domain_address_text(k, a)));
        MEANS(
            k, f,
            addr_is_loopback(a)
                ? "Every sender is sent back to itself."
                : "It is private, reserved or for documentation: mail for it waits and then fails.");
        FIX(k, f,
            "Publish the public address; internal ones belong into an internal view of the DNS.");
    }
}

static void look_for_doubles(struct look *k) {
    struct domain_report *r = k->report;
    for (size_t i = 0; i < r->host_count; i++)
        for (size_t j = 0; j < i; j++)
            if (bytes_equal(r->hosts[i].name, r->hosts[j].name)) {
                struct finding *f =
                    WARNING_(k, "mx.duplicate", "MX", "the same host stands there twice");
                ABOUT(k, f, "%.*s", BYTES_FMT(r->hosts[i].name));
                f->who = "recipient-admin";
                FIX(k, f, "Take one of the two away.");
                break;
            }
    if (r->host_count < 2)
        return;
    for (size_t i = 0; i < r->host_count; i++)
        if (r->hosts[i].address_count != 1 || r->hosts[0].address_count != 1 ||
            !addr_equal(r->hosts[i].addresses[0], r->hosts[0].addresses[0]))
            return;
    struct finding *f =
        WARNING_(k, "mx.same-address", "MX", "all MX lead to one and the same address");
    MEANS(
        k, f,
        "More than one name makes it no more reliable; some senders try the same server again and again.");
    f->who = "recipient-admin";
    FIX(k, f, "One MX is enough; a second one needs a second server.");
}

static void judge_together(struct look *k) {
    struct domain_report *r = k->report;
    bool v6 = false, v4 = false;
    for (size_t i = 0; i < r->host_count; i++)
        for (size_t n = 0; n < r->hosts[i].address_count; n++)
            *(r->hosts[i].addresses[n].family == 6 ? &v6 : &v4) = true;
    if (r->host_count == 1)
        INFO_(k, "mx.single", "MX", "there is one MX; while it is away mail waits at its senders");
    if (v4 && !v6)
        INFO_(k, "mx.no-ipv6", "MX", "no MX has an IPv6 address");
    if (v6 && !v4) {
        struct finding *f = WARNING_(k, "mx.no-ipv4", "MX", "no MX has an IPv4 address");
        MEANS(k, f, "A good part of the world's mail servers cannot reach it.");
        f->who = "recipient-admin";
        FIX(k, f, "Give one of them an IPv4 address, or have a service with both take the mail.");
    }
}

static void look_at_hosts(struct look *k, const struct dns_answer *mx) {
    struct domain_report *r = k->report;
    for (size_t i = 0; i < mx->count && r->host_count < DOMAIN_HOSTS; i++) {
        struct domain_host *h = &r->hosts[r->host_count];
        *h = (struct domain_host){ .preference = mx->records[i].preference,
                                   .name = mx->records[i].name };
        if (!h->name.len) {
            struct finding *f = ERROR_(k, "mx.null-mixed", "MX", "a null MX stands beside others");
            MEANS(
                k, f,
                "\"Takes no mail\" and \"takes mail there\" at once: senders choose (RFC 7505 section 3).");
            f->who = "recipient-admin";
            FIX(k, f, "Take the null MX (\".\") away, or all others.");
            continue;
        }
        r->host_count++;
        if (!look_at_name(k, h))
            continue;
        look_at_alias(k, h);
        look_at_addresses(k, h);
    }
    for (size_t i = 1; i < r->host_count; i++) /* in the order in which they are tried */
        for (size_t j = i; j > 0 && r->hosts[j].preference < r->hosts[j - 1].preference; j--) {
            struct domain_host other = r->hosts[j];
            r->hosts[j] = r->hosts[j - 1];
            r->hosts[j - 1] = other;
        }
    look_for_doubles(k);
    judge_together(k);
}

/* RFC 5321 section 5.1: without an MX the domain's own address is meant. */
static void look_without(struct look *k) {
    struct domain_host *h = &k->report->hosts[0];
    bool failed;
    *h = (struct domain_host){ .name = k->domain };
    if (!domain_addresses(k, k->domain, &h->addresses, &h->address_count, &failed))
        return;
    if (!h->address_count && failed) {
        domain_get(k, k->domain, DNS_A, "mx.failed", "MX");
        return;
    }
    if (!h->address_count) {
        struct finding *f = ERROR_(k, "mx.nowhere", "MX", "there is neither an MX nor an address");
        MEANS(k, f, "The domain takes no mail; senders get a bounce, after up to five days.");
        f->who = "recipient-admin";
        FIX(k, f, "If it should take mail: publish \"%.*s. MX 10 HOST.\"", BYTES_FMT(k->domain));
        FIX(k, f,
            "If it should not: publish \"%.*s. MX 0 .\" (RFC 7505), so that senders hear it at once.",
            BYTES_FMT(k->domain));
        return;
    }
    k->report->host_count = 1;
    k->report->implicit_mx = true;
    struct finding *f =
        WARNING_(k, "mx.none", "MX", "there is no MX: mail goes to the domain's own address");
    MEANS(k, f, "That is mostly a web server. Some senders do not try it.");
    f->who = "recipient-admin";
    FIX(k, f,
        "Publish an MX that names the mail server, or a null MX (\"MX 0 .\") if there is none.");
    look_at_addresses(k, h);
}

void domain_look_mx(struct look *k) {
    const struct dns_answer *mx = domain_get(k, k->domain, DNS_MX, "mx.failed", "MX");
    if (!mx)
        return;
    if (!mx->count) {
        look_without(k);
        return;
    }
    k->report->null_mx = mx->count == 1 && !mx->records[0].name.len;
    if (k->report->null_mx)
        INFO_(k, "mx.null", "MX", "a null MX: the domain takes no mail, and says so (RFC 7505)");
    else
        look_at_hosts(k, mx);
}
