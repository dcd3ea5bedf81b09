/* domain_names: the names of addresses (PTR), and whether they lead back: of the MX hosts, and of what sends for the
 * domain. What a name looks like that a provider's script has given is known here alone. */
#include "base/must.h"
#include "doctor/domain_parts.h"

#include <string.h>

enum { NAMES_MAX = 5 };

/* --- generic names -------------------------------------------------------------------------------------------- */

static bool has_number(struct bytes name, unsigned number) {
    char memory[16];
    struct buf b = buf_fixed(memory, sizeof memory);
    buf_u64(&b, number);
    for (size_t i = 0; i + b.len <= name.len; i++) {
        bool starts = i == 0 || !ascii_is_digit(name.at[i - 1]);
        bool ends = i + b.len == name.len || !ascii_is_digit(name.at[i + b.len]);
        if (starts && ends && !memcmp(name.at + i, b.at, b.len))
            return true;
    }
    return false;
}

/* The address stands in the name: its last two octets as numbers, or all of it in hexadecimal. */
static bool has_address(struct bytes name, struct addr a) {
    char memory[40];
    struct buf hex = buf_fixed(memory, sizeof memory);
    if (a.family != 4) {
        buf_hex(&hex, bytes_of(a.ip + 12, 4));
        return bytes_search_nocase(name, buf_bytes(&hex)) >= 0 && bytes_find(name, '-') >= 0;
    }
    buf_hex(&hex, bytes_of(a.ip, 4));
    unsigned found = 0;
    for (int i = 0; i < 4; i++)
        found += has_number(name, a.ip[i]);
    return found >= 3 ||
           (a.ip[2] != a.ip[3] && has_number(name, a.ip[2]) && has_number(name, a.ip[3])) ||
           bytes_search_nocase(name, buf_bytes(&hex)) >= 0;
}

static bool has_word(struct bytes name) {
    static const char *const words[] = {
        "dynamic",  "dyn",       "dhcp",     "dsl",       "adsl",   "vdsl",       "pool",
        "dialup",   "dial",      "cable",    "broadband", "ppp",    "pppoe",      "cust",
        "customer", "customers", "client",   "clients",   "static", "unassigned", "unused",
        "reverse",  "hsd1",      "wireless", "mobile",    "nat",    "cgn",        "host",
        "ip",       "user",      "res"
    };
    struct bytes label, part;
    while (bytes_split(&name, '.', &label))
        while (bytes_split(&label, '-', &part)) {
            while (part.len && ascii_is_digit(part.at[part.len - 1]))
                part.len--;
            for (size_t i = 0; i < COUNT_OF(words); i++)
                if (bytes_equal_nocase(part, bytes_str(words[i])))
                    return true;
        }
    return false;
}

static bool has_digits(struct bytes name) {
    for (size_t i = 0; i < name.len; i++)
        if (ascii_is_digit(name.at[i]))
            return true;
    return false;
}

static bool is_generic(struct bytes name, struct addr a) {
    return has_address(name, a) || (has_word(name) && has_digits(name));
}

/* --- one address ------------------------------------------------------------------------------------------------ */

struct naming {
    struct addr address;
    struct bytes text; /* of it */
    struct bytes name; /* the first, or the first that leads back */
    size_t count;
    bool known, failed, confirmed;
};

static void confirm(struct look *k, struct naming *n, const struct dns_answer *pointers) {
    enum dns_type type = n->address.family == 6 ? DNS_AAAA : DNS_A;
    bool found = false;
    for (size_t i = 0; i < pointers->count && i < NAMES_MAX; i++) {
        struct bytes name = pointers->records[i].name;
        const struct dns_answer *back = domain_ask(k->facts, name, type);
        if (!back) {
            n->known = false;
            continue;
        }
        n->failed |= back->rc != OK;
        for (size_t j = 0; back->rc == OK && j < back->count && !found; j++)
            if (addr_equal(addr_fold(back->records[j].address), n->address)) {
                found = true;
                n->name = name;
            }
    }
    n->confirmed = found;
}

static struct naming look_up(struct look *k, struct addr a) {
    struct naming n = { .address = a, .known = true, .text = domain_address_text(k, a) };
    char memory[100];
    struct buf b = buf_fixed(memory, sizeof memory);
    addr_format_reversed(&b, a);
    buf_str(&b, a.family == 6 ? ".ip6.arpa" : ".in-addr.arpa");
    const struct dns_answer *pointers = domain_ask(k->facts, buf_bytes(&b), DNS_PTR);
    if (!pointers) {
        n.known = false;
        return n;
    }
    n.failed = pointers->rc != OK;
    n.count = n.failed ? 0 : pointers->count;
    if (n.count) {
        n.name = pointers->records[0].name;
        confirm(k, &n, pointers);
    }
    return n;
}

static void judge(struct look *k, const struct naming *n, struct bytes whose, bool sends) {
    enum severity grave = sends ? SEVERITY_ERROR : SEVERITY_WARNING;
    struct finding_list *l = &k->report->findings;
    struct finding *f;
    if (!n->known)
        return;
    if (n->failed && !n->confirmed) {
        f = finding_add(l, SEVERITY_WARNING, "ptr.failed", "PTR",
                        "the DNS did not say which name the address has");
        MEANS(k, f, "Receivers that look meet the same, and put mail from it off.");
        FIX(k, f, "The network's owner must see to the name servers of its reverse zone.");
    } else if (!n->count) {
        f = finding_add(l, grave, "ptr.none", "PTR", "the address has no name in the DNS (PTR)");
        MEANS(k, f,
              sends ? "Gmail, Microsoft and many others refuse mail from such an address."
                    : "Should the server send mail from it, it is refused in many places.");
        FIX(k, f,
            "Ask the network's provider to set its PTR to the name the server calls itself in EHLO.");
    } else if (!n->confirmed) {
        f = finding_add(l, grave, "ptr.mismatch", "PTR", "its name %.*s does not lead back to it",
                        BYTES_FMT(n->name));
        MEANS(k, f, "A name that is not confirmed counts as none.");
        FIX(k, f,
            "Publish %s record of %.*s with this address, or have the PTR set to a name that has it.",
            n->address.family == 6 ? "an AAAA" : "an A", BYTES_FMT(n->name));
    } else if (is_generic(n->name, n->address)) {
        f = finding_add(l, SEVERITY_WARNING, "ptr.generic", "PTR",
                        "its name %.*s looks like one given to customers' lines",
                        BYTES_FMT(n->name));
        MEANS(k, f, "Receivers take what comes from such names for infected home computers.");
        FIX(k, f, "Ask the provider to set the PTR to a name of your own, such as the server's.");
    } else {
        f = finding_add(l, SEVERITY_INFO, "ptr.fine", "PTR", "named %.*s, which leads back to it",
                        BYTES_FMT(n->name));
    }
    f->who = "network-owner";
    ABOUT(k, f, "%.*s%s%.*s%s", BYTES_FMT(n->text), whose.len ? " (" : "", BYTES_FMT(whose),
          whose.len ? ")" : "");
}

/* --- all of them -------------------------------------------------------------------------------------------------- */

static bool is_covered_already(const struct domain_report *r, struct addr a) {
    for (size_t i = 0; i < r->covered_count; i++)
        if (addr_equal(r->covered[i].address, a))
            return true;
    return false;
}

static void take_egress(struct look *k, const struct domain_egress *e, struct addr a) {
    struct domain_report *r = k->report;
    a = addr_fold(a);
    a.port = 0;
    if (r->covered_count == DOMAIN_COVERED || is_covered_already(r, a))
        return;
    struct domain_covered *c = &r->covered[r->covered_count++];
    *c = (struct domain_covered){ .egress = e, .address = a };
    if (!addr_is_public(a)) {
        struct finding *f =
            finding_skip(&r->findings, "ptr.private", "PTR",
                         "not a public address: which one the world sees is not known here");
        ABOUT(k, f, "%.*s (%.*s)", BYTES_FMT(domain_address_text(k, a)), BYTES_FMT(e->what));
        return;
    }
    if (e->smarthost)
        return;
    struct naming n = look_up(k, a);
    c->pointer = n.name;
    c->confirmed = n.confirmed;
    judge(k, &n, e->what, true);
}

static void take_hosts(struct look *k, const struct domain_egress *e) {
    struct addr *list;
    size_t count;
    bool failed;
    if (e->address.family) {
        take_egress(k, e, e->address);
        return;
    }
    if (!domain_addresses(k, e->host, &list, &count, &failed))
        return;
    for (size_t i = 0; i < count; i++)
        take_egress(k, e, list[i]);
    if (count)
        return;
    struct finding *f = WARNING_(k, "egress.no-address", "PTR", "%.*s has no address in the DNS%s",
                                 BYTES_FMT(e->host), failed ? ": it did not answer" : "");
    ABOUT(k, f, "%.*s", BYTES_FMT(e->what));
    MEANS(k, f, "Whether SPF covers it is not known.");
    f->who = "sender-admin";
    FIX(k, f, "Correct the name, or publish its address.");
}

static bool stood_before(const struct domain_report *r, size_t host, struct addr a) {
    for (size_t i = 0; i < host; i++)
        for (size_t j = 0; j < r->hosts[i].address_count; j++)
            if (addr_equal(r->hosts[i].addresses[j], a))
                return true;
    return false;
}

void domain_look_names(struct look *k) {
    const struct domain_want *w = k->want;
    struct domain_report *r = k->report;
    for (size_t i = 0; i < w->egress_count; i++)
        take_hosts(k, &w->egress[i]);
    if (w->addresses_only)
        return;
    for (size_t i = 0; i < r->host_count && !r->implicit_mx; i++)
        for (size_t j = 0; j < r->hosts[i].address_count; j++) {
            struct addr a = r->hosts[i].addresses[j];
            if (!addr_is_public(a) || is_covered_already(r, a) || stood_before(r, i, a))
                continue;
            struct naming n = look_up(k, a);
            judge(k, &n, r->hosts[i].name, false);
        }
}
