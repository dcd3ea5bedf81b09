/* cmd_dns: `postern dns`: what the DNS says about a domain's mail, what is wrong with it, and what it should say. */
#include "base/member.h"
#include "base/must.h"
#include "bin/commands.h"
#include "bin/egress.h"
#include "bin/lookup.h"
#include "bin/options.h"
#include "bin/settings.h"
#include "message/address.h"
#include "sys/files.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    SELECTORS_MAX = 32,
    DOMAINS_MAX = 64,
    OUT_MAX = 64 * 1024 * 1024,
    CA_MAX = 4 * 1024 * 1024,
    WIDTH = 78,
    COLUMN = 9,
    TIME_MS = 30 * 1000,
    TIME_MAX_MS = 600 * 1000,
};

struct ours { /* what the configuration has to do with a domain */
    struct egress egress;
    struct domain_plan plan;
};
struct dns_command {
    const struct options *options;
    struct arena *arena;
    struct loop *loop;
    struct lookup lookup;
    struct config *config;
    struct tls_client *tls;
    struct ours *ours; /* one a domain; NULL: no configuration */
    struct domain_want want;
    const struct domain_report *report;
    bool json, all, publish, verify, connect, no_fetch, only_given, progress, shown;
    int64_t ms;
    struct bytes file, server, port, sts_connect, ca;
    struct bytes selectors[SELECTORS_MAX];
    size_t selector_count;
    enum severity worst;
    bool unknown; /* nothing could be asked */
};

/* --- for people ------------------------------------------------------------------------------------------------- */

static void heading(struct buf *b, const char *name) {
    buf_printf(b, "%-*s", COLUMN, name);
}

static void further(struct buf *b, size_t indent) {
    buf_printf(b, "%*s", (int)(COLUMN + indent), "");
}

static void put_addresses(struct buf *b, const struct domain_host *h, const char *quote) {
    for (size_t i = 0; i < h->address_count; i++) {
        buf_printf(b, "%s%s", i ? (*quote ? "," : ", ") : "", quote);
        addr_format(b, h->addresses[i]);
        buf_str(b, quote);
    }
}

/* "None" is said only where that is known. */
static void put_none(struct buf *b, const struct domain_report *r, const char *step) {
    buf_str(b, domain_is_known(r, step) ? "none\n" : "not known\n");
}

static void show_mx(struct buf *b, const struct domain_report *r) {
    heading(b, "MX");
    if (r->null_mx)
        buf_str(b, "none, and says so (null MX)\n");
    else if (!r->host_count)
        put_none(b, r, "MX");
    for (size_t i = 0; i < r->host_count; i++) {
        const struct domain_host *h = &r->hosts[i];
        if (i)
            further(b, 0);
        if (r->implicit_mx)
            buf_str(b, "none; its own address: ");
        else
            buf_printf(b, "%u ", h->preference);
        buf_printable(b, h->name);
        buf_str(b, " [");
        put_addresses(b, h, "");
        buf_printf(b, "]%s\n", h->tlsa_count ? " TLSA" : "");
    }
}

static void show_spf(struct buf *b, const struct domain_report *r) {
    const struct spf_survey *s = &r->spf;
    heading(b, "SPF");
    if (!s->text.len) {
        put_none(b, r, "SPF");
        return;
    }
    buf_printable(b, s->text);
    buf_char(b, '\n');
    for (size_t i = 1; i < s->node_count; i++) {
        further(b, 2 * s->nodes[i].depth);
        buf_printable(b, s->nodes[i].term);
        buf_char(b, '\n');
    }
    further(b, 0);
    buf_printf(b, "(%u of 10 lookups)\n", s->lookups);
}

static void show_keys(struct buf *b, const struct domain_report *r) {
    heading(b, "DKIM");
    if (!r->selector_count)
        buf_str(b, "not known (--selector)\n");
    for (size_t i = 0; i < r->selector_count; i++) {
        const struct domain_selector *s = &r->selectors[i];
        if (i)
            further(b, 0);
        buf_printable(b, s->name);
        buf_str(b, ": ");
        if (s->key.wrong)
            buf_str(b, "broken");
        else if (s->key.revoked)
            buf_str(b, "revoked");
        else
            buf_printf(b, "%.*s, %u bits", BYTES_FMT(s->key.type_name), s->key.bits);
        buf_char(b, '\n');
    }
}

static void show_line(struct buf *b, const struct domain_report *r, const char *name,
                      struct bytes text) {
    heading(b, name);
    if (!text.len) {
        put_none(b, r, name);
        return;
    }
    buf_printable(b, text);
    buf_char(b, '\n');
}

static void show_sts(struct buf *b, const struct domain_report *r) {
    const struct mta_sts_policy *p = &r->sts_policy;
    heading(b, "MTA-STS");
    if (!r->has_sts_record) {
        put_none(b, r, "MTA-STS");
        return;
    }
    buf_printf(b, "id %.*s; ", BYTES_FMT(r->sts.id));
    if (!r->has_sts_policy) {
        buf_str(b, "no policy\n");
        return;
    }
    buf_printf(b, "%s, %llu s", mta_sts_mode_name(p->mode), (unsigned long long)p->max_age);
    for (size_t i = 0; i < p->mx_count; i++)
        buf_printf(b, ", %.*s", BYTES_FMT(p->mx[i]));
    buf_char(b, '\n');
}

static void count_findings(const struct finding_list *l, size_t counts[3]) {
    for (size_t i = 0; i < l->count; i++)
        if (!l->list[i]->skipped)
            counts[l->list[i]->severity]++;
}

static void show_tally(struct buf *b, const struct finding_list *l) {
    size_t n[3] = { 0 };
    count_findings(l, n);
    if (!n[SEVERITY_ERROR] && !n[SEVERITY_WARNING])
        buf_str(b, "Nothing wrong was found.\n");
    else
        buf_printf(b, "%zu error%s, %zu warning%s.\n", n[SEVERITY_ERROR],
                   n[SEVERITY_ERROR] == 1 ? "" : "s", n[SEVERITY_WARNING],
                   n[SEVERITY_WARNING] == 1 ? "" : "s");
}

static void print_text(const struct dns_command *c) {
    const struct domain_report *r = c->report;
    struct buf b = buf_grow(OUT_MAX);
    buf_printf(&b, "%s%.*s\n\n", c->shown ? "\n" : "", BYTES_FMT(c->want.domain));
    if (r->exists && !r->unknown) {
        show_mx(&b, r);
        show_spf(&b, r);
        show_keys(&b, r);
        show_line(&b, r, "DMARC", r->dmarc_text);
        show_sts(&b, r);
        show_line(&b, r, "TLS-RPT", r->tlsrpt_text);
        show_line(&b, r, "BIMI", r->bimi_text);
        show_line(&b, r, "DNSSEC", bytes_str(r->dnssec));
        buf_char(&b, '\n');
    }
    size_t before = b.len;
    if (r->unknown && !c->all)
        buf_str(&b, "Nothing is known: the DNS gave no answers.\n");
    else
        finding_list_text(&r->findings, &b, c->all, WIDTH);
    if (b.len > before)
        buf_char(&b, '\n');
    show_tally(&b, &r->findings);
    fwrite(b.at, 1, b.len, stdout);
    buf_free(&b);
}

/* --- for scripts --------------------------------------------------------------------------------------------------- */

static void number(struct buf *b, const char *name, uint64_t value) {
    member_key(b, name);
    buf_u64(b, value);
}

static void open_list(struct buf *b, const char *name) {
    buf_printf(b, ",\"%s\":[", name);
}

static void open_item(struct buf *b) {
    buf_str(b, b->at[b->len - 1] == '[' ? "{" : ",{");
}

static void json_mx(struct buf *b, const struct domain_report *r) {
    member_flag(b, "null_mx", r->null_mx);
    member_flag(b, "implicit_mx", r->implicit_mx);
    open_list(b, "mx");
    for (size_t i = 0; i < r->host_count; i++) {
        open_item(b);
        number(b, "preference", r->hosts[i].preference);
        member_text(b, "host", r->hosts[i].name);
        open_list(b, "addresses");
        put_addresses(b, &r->hosts[i], "\"");
        buf_char(b, ']');
        number(b, "tlsa", r->hosts[i].tlsa_count);
        buf_char(b, '}');
    }
    buf_char(b, ']');
}

static void json_network(struct buf *b, const struct spf_network *n) {
    char memory[80];
    struct buf text = buf_fixed(memory, sizeof memory);
    network_format(&text, n->network);
    open_item(b);
    member_text(b, "network", buf_bytes(&text));
    member_text(b, "qualifier", bytes_of(&n->qualifier, 1));
    member_text(b, "term", n->term);
    member_text(b, "domain", n->domain);
    buf_char(b, '}');
}

static void json_covered(struct buf *b, const struct domain_covered *v) {
    char memory[80];
    struct buf text = buf_fixed(memory, sizeof memory);
    addr_format(&text, v->address);
    open_item(b);
    member_text(b, "address", buf_bytes(&text));
    member_text(b, "what", v->egress->what);
    if (v->judged)
        member_text(b, "spf", bytes_str(spf_result_name(v->spf.result)));
    if (v->spf.trail.len)
        member_text(b, "by", v->spf.trail);
    if (v->pointer.len)
        member_text(b, "ptr", v->pointer);
    member_flag(b, "confirmed", v->confirmed);
    buf_char(b, '}');
}

static void json_spf(struct buf *b, const struct domain_report *r) {
    static const char *const troubles[] = {
        [SPF_FINE] = "none",       [SPF_NO_ANSWER] = "no-answer", [SPF_NO_RECORD] = "no-record",
        [SPF_SEVERAL] = "several", [SPF_SYNTAX] = "syntax",       [SPF_LOOP] = "loop",
        [SPF_NOTHING] = "void",    [SPF_TOO_MANY_MX] = "many-mx",
    };
    const struct spf_survey *s = &r->spf;
    buf_str(b, ",\"spf\":{");
    member_text(b, "record", s->text);
    member_text(b, "trouble", bytes_str(troubles[s->trouble]));
    number(b, "lookups", s->lookups);
    number(b, "voids", s->voids);
    member_text(b, "all", bytes_of(&s->all, s->all ? 1 : 0));
    open_list(b, "tree");
    for (size_t i = 1; i < s->node_count; i++) {
        open_item(b);
        number(b, "depth", s->nodes[i].depth);
        member_text(b, "term", s->nodes[i].term);
        member_text(b, "domain", s->nodes[i].domain);
        member_text(b, "trouble", bytes_str(troubles[s->nodes[i].trouble]));
        buf_char(b, '}');
    }
    buf_char(b, ']');
    open_list(b, "networks");
    for (size_t i = 0; i < s->network_count; i++)
        json_network(b, &s->networks[i]);
    buf_str(b, "]}");
    open_list(b, "egress");
    for (size_t i = 0; i < r->covered_count; i++)
        json_covered(b, &r->covered[i]);
    buf_char(b, ']');
}

static void json_keys(struct buf *b, const struct domain_report *r) {
    open_list(b, "dkim");
    for (size_t i = 0; i < r->selector_count; i++) {
        const struct dkim_key *k = &r->selectors[i].key;
        open_item(b);
        member_text(b, "selector", r->selectors[i].name);
        member_flag(b, "valid", !k->wrong && !k->revoked);
        member_text(b, "type", k->type_name);
        number(b, "bits", k->bits);
        member_flag(b, "revoked", k->revoked);
        member_flag(b, "testing", k->testing);
        buf_char(b, '}');
    }
    buf_char(b, ']');
}

static void json_policies(struct buf *b, const struct domain_report *r) {
    if (r->dmarc_text.len) {
        buf_str(b, ",\"dmarc\":{");
        member_text(b, "record", r->dmarc_text);
        member_text(b, "domain", r->dmarc_domain);
        member_flag(b, "valid", r->has_dmarc);
        member_text(b, "policy", bytes_str(dmarc_policy_name(r->dmarc.policy)));
        member_text(b, "subdomain_policy", bytes_str(dmarc_policy_name(r->dmarc.subdomain_policy)));
        number(b, "percent", r->dmarc.percent);
        buf_char(b, '}');
    }
    if (r->has_sts_record) {
        buf_str(b, ",\"mta_sts\":{");
        member_text(b, "id", r->sts.id);
        if (r->has_sts_policy) {
            member_text(b, "mode", bytes_str(mta_sts_mode_name(r->sts_policy.mode)));
            number(b, "max_age", r->sts_policy.max_age);
        }
        buf_char(b, '}');
    }
    if (r->tlsrpt_text.len)
        member_text(b, "tls_rpt", r->tlsrpt_text);
    if (r->bimi_text.len)
        member_text(b, "bimi", r->bimi_text);
}

static void print_json(const struct dns_command *c) {
    struct buf b = buf_grow(OUT_MAX);
    buf_char(&b, '{');
    member_text(&b, "domain", c->want.domain);
    member_flag(&b, "known", !c->report->unknown);
    member_flag(&b, "exists", c->report->exists);
    member_text(&b, "dnssec", bytes_str(c->report->dnssec));
    json_mx(&b, c->report);
    json_spf(&b, c->report);
    json_keys(&b, c->report);
    json_policies(&b, c->report);
    buf_str(&b, ",\"findings\":");
    finding_list_json(&c->report->findings, &b);
    buf_str(&b, "}\n");
    fwrite(b.at, 1, b.len, stdout);
    buf_free(&b);
}

/* --- publishing ------------------------------------------------------------------------------------------------------ */

static void print_plan(struct dns_command *c, struct bytes domain, const struct ours *own) {
    struct buf b = buf_grow(OUT_MAX), out = buf_grow(OUT_MAX);
    domain_publish(domain, &own->plan, own->egress.list, own->egress.count, &b);
    if (!c->json) {
        buf_printf(&out, "%s; %.*s\n\n", c->shown ? "\n" : "", BYTES_FMT(domain));
        buf_add(&out, buf_bytes(&b));
    } else {
        struct bytes rest = buf_bytes(&b), line;
        buf_char(&out, '{');
        member_text(&out, "domain", domain);
        open_list(&out, "records");
        while (bytes_split(&rest, '\n', &line))
            if (line.len && line.at[0] != ';') {
                buf_str(&out, out.at[out.len - 1] == '[' ? "" : ",");
                buf_json(&out, line);
            }
        buf_char(&out, ']');
        member_text(&out, "text", buf_bytes(&b));
        buf_str(&out, "}\n");
    }
    fwrite(out.at, 1, out.len, stdout);
    buf_free(&out);
    buf_free(&b);
    c->shown = true;
}

/* --- looking ----------------------------------------------------------------------------------------------------------- */

static void on_progress(void *ctx, size_t known, size_t wanted) {
    const struct dns_command *c = ctx;
    if (c->progress)
        fprintf(stderr, "\r%zu of %zu answers ", known, wanted);
}

static void on_done(void *ctx, const struct domain_report *report) {
    struct dns_command *c = ctx;
    c->report = report;
    if (c->progress)
        fprintf(stderr, "\r%*s\r", 40, "");
    if (report->findings.worst > c->worst)
        c->worst = report->findings.worst;
    c->unknown |= report->unknown;
    if (c->json)
        print_json(c);
    else
        print_text(c);
    fflush(stdout);
    c->shown = true;
    loop_stop(c->loop);
}

static void look_at(struct dns_command *c, struct bytes domain, const struct ours *own) {
    struct domain_want *w = &c->want;
    w->domain = domain;
    if (own) {
        w->egress = own->egress.list;
        w->egress_count = own->egress.count;
        w->helo = w->hostname = own->plan.host;
        w->plan = c->verify ? &own->plan : NULL;
    }
    struct domain_check *check = domain_check_open(c->lookup.dns, c->loop, w, on_done, c);
    loop_run(c->loop);
    domain_check_close(&check);
}

/* --- what was typed ------------------------------------------------------------------------------------------------------ */

static int take_time(struct dns_command *c, struct bytes text) {
    if (options_time(text, &c->ms) && c->ms <= TIME_MAX_MS)
        return OPTIONS_GO_ON;
    return options_misuse(c->options,
                          "--timeout takes seconds, or a time such as 20s, up to 10min");
}

static int take_servers(struct dns_command *c) {
    uint64_t port;
    struct why why;
    if (c->port.len && (!bytes_to_u64(c->port, 65535, &port) || !port))
        return options_misuse(c->options, "--port takes a number from 1 to 65535");
    c->want.port = c->port.len ? (uint16_t)port : 0;
    if (c->sts_connect.len && !addr_parse_port(c->sts_connect, &c->want.sts_connect) &&
        !addr_parse(c->sts_connect, &c->want.sts_connect))
        return options_misuse(c->options, "--sts-connect takes ADDRESS or ADDRESS:PORT");
    if (!c->ca.len || files_read(c->ca, CA_MAX, c->arena, &c->want.ca_pem, &why) == OK)
        return OPTIONS_GO_ON;
    fprintf(stderr, "postern dns: %s\n", why.text);
    return EX_NOINPUT;
}

/* A domain, an address's, or one with a dot at its end. */
static int take_domain(struct dns_command *c, struct bytes given, struct bytes *out) {
    struct bytes name = bytes_skip(given, (size_t)(bytes_find_last(given, '@') + 1));
    struct addr a;
    if (name.len > 1 && name.at[name.len - 1] == '.')
        name.len--;
    if (addr_parse(name, &a))
        return options_misuse(c->options, "%.*s is an address; `postern blocklist` looks at those",
                              BYTES_FMT(given));
    const char *wrong = address_parse_domain(name, c->arena, out);
    if (wrong)
        return options_misuse(c->options, "%.*s is no domain: %s", BYTES_FMT(given), wrong);
    if (bytes_find(*out, '.') < 0)
        return options_misuse(c->options, "%.*s is no full domain name", BYTES_FMT(given));
    return OPTIONS_GO_ON;
}

static bool is_ours(const struct config *config, struct bytes domain) {
    return config_domain(config, domain) || config_tenant_of(config, domain);
}

static int not_ours(struct dns_command *c, struct bytes domain) {
    struct buf b = buf_grow(4096);
    for (size_t i = 0; i < c->config->domain_count && i < 8; i++)
        buf_printf(&b, "%s%.*s", i ? ", " : "", BYTES_FMT(c->config->domains[i].name));
    int code = options_misuse(c->options, "%.*s is no domain of the configuration %.*s; it has %s",
                              BYTES_FMT(domain), BYTES_FMT(c->file), b.len ? buf_text(&b) : "none");
    buf_free(&b);
    return code;
}

/* --- all of it ---------------------------------------------------------------------------------------------------------------- */

static enum rc open_lookup(struct dns_command *c, struct why *why) {
    if (c->server.len || !c->config) {
        c->want.validates = bytes_equal(c->server, B("full"));
        return lookup_open_at(c->server, c->loop, c->arena, &c->lookup, why);
    }
    c->want.validates = !bytes_equal(c->config->dns_trust_anchor, B("off"));
    return lookup_open(c->config, c->loop, c->arena, &c->lookup, why);
}

static void prepare(struct dns_command *c) {
    struct why why;
    c->want.selectors = c->selectors;
    c->want.selector_count = c->selector_count;
    c->want.common_selectors = !c->only_given;
    c->want.connect = c->connect;
    c->want.fetch = !c->no_fetch;
    c->want.ms = c->ms;
    c->want.on_progress = on_progress;
    c->progress = !c->json && isatty(STDERR_FILENO);
    if (c->connect && tls_client_open(c->ca, &c->tls, &why) != OK)
        fprintf(stderr, "postern dns: TLS is not tried: %s\n", why.text);
    c->want.tls = c->tls;
}

static int exit_code(const struct dns_command *c) {
    if (!c->unknown)
        return c->worst == SEVERITY_INFO ? EX_OK : 1;
    fprintf(
        stderr,
        "postern dns: the DNS gave no answers; is there a network? --dns asks another name server\n");
    return EX_TEMPFAIL;
}

/* Before root is given up: a certificate may be readable to nobody else. */
static void plan(struct dns_command *c, const struct bytes *domains, size_t count) {
    if (!c->config)
        return;
    c->ours = ARENA_ARRAY(c->arena, count, struct ours);
    for (size_t i = 0; i < count; i++) {
        struct ours *own = &c->ours[i];
        egress_of(c->config, domains[i], c->arena, &own->egress);
        egress_plan(c->config, domains[i], c->arena, &own->egress, &own->plan);
    }
}

static int look(struct dns_command *c, const struct bytes *domains, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const struct ours *own = c->ours ? &c->ours[i] : NULL;
        if (c->publish)
            print_plan(c, domains[i], own);
        else
            look_at(c, domains[i], own);
    }
    return c->publish ? EX_OK : exit_code(c);
}

static int open_and_look(struct dns_command *c, const struct bytes *domains, size_t count) {
    struct why why;
    plan(c, domains, count);
    if (c->publish)
        return look(c, domains, count);
    c->loop = loop_open();
    signal(SIGPIPE, SIG_IGN);
    prepare(c);
    enum rc rc = open_lookup(c, &why);
    int code = rc == OK ? look(c, domains, count) : lookup_complain(c->options, rc, &why);
    lookup_close(&c->lookup);
    tls_client_close(&c->tls);
    loop_close(&c->loop);
    return code;
}

static int take_config(struct dns_command *c) {
    bool wanted = c->file.len || c->publish || c->verify;
    if (!wanted)
        return OPTIONS_GO_ON;
    if (!c->file.len)
        c->file = SETTINGS_FILE;
    c->config = settings_find("dns", c->file);
    return c->config ? OPTIONS_GO_ON : EX_CONFIG;
}

static int run(struct dns_command *c, struct bytes time, const struct bytes *args, size_t count) {
    struct bytes domains[DOMAINS_MAX];
    int code = time.len ? take_time(c, time) : OPTIONS_GO_ON;
    if (code == OPTIONS_GO_ON)
        code = take_servers(c);
    for (size_t i = 0; i < count && code == OPTIONS_GO_ON; i++)
        code = take_domain(c, args[i], &domains[i]);
    if (code == OPTIONS_GO_ON && c->publish && c->verify)
        code = options_misuse(c->options, "--publish and --verify exclude each other");
    if (code == OPTIONS_GO_ON)
        code = take_config(c);
    if (code != OPTIONS_GO_ON)
        return code;
    bool own = c->publish || c->verify;
    for (size_t i = 0; own && i < count; i++)
        if (!is_ours(c->config, domains[i]))
            return not_ours(c, domains[i]);
    for (size_t i = 0; own && !count && i < c->config->domain_count && i < DOMAINS_MAX; i++)
        domains[i] = c->config->domains[i].name;
    if (own && !count)
        count = c->config->domain_count < DOMAINS_MAX ? c->config->domain_count : DOMAINS_MAX;
    if (!count)
        return options_misuse(c->options,
                              own ? "the configuration has no domain" : "which domain?");
    return open_and_look(c, domains, count);
}

int cmd_dns(int argc, char **argv) {
    static struct dns_command c;
    struct bytes args[DOMAINS_MAX], time = BYTES_NONE;
    size_t count = 0;
    const struct option_row rows[] = {
        { "-c", "FILE", "this configuration's addresses and routes are looked at, too",
          .text = &c.file },
        { "--publish", NULL, "print the records to publish for a domain of the configuration",
          .flag = &c.publish },
        { "--verify", NULL, "compare what is published with that", .flag = &c.verify },
        { "--selector", "NAME", "there must be a DKIM key of this name; may be repeated",
          .list = c.selectors, .count = &c.selector_count, .max = SELECTORS_MAX },
        { "--only-selectors", NULL, "do not try the names that many use besides",
          .flag = &c.only_given },
        { "--connect", NULL, "ask the mail servers whether they know the domain; no mail is sent",
          .flag = &c.connect },
        { "--port", "PORT", "the port for that; 25 unless given", .text = &c.port },
        { "--no-fetch", NULL, "do not fetch the policy of MTA-STS", .flag = &c.no_fetch },
        { "--sts-connect", "ADDRESS[:PORT]", "fetch it from there, whatever the DNS says",
          .text = &c.sts_connect },
        { "--ca", "FILE", "trust these authorities (PEM), not the system's", .text = &c.ca },
        { "--all", NULL, "tell what is well, too", .flag = &c.all },
        { "--dns", "SERVER", LOOKUP_DNS_HELP, .text = &c.server },
        { "--timeout", "TIME", "for each domain; 30 s unless given", .text = &time },
        { "--json", NULL, "one JSON object a domain", .flag = &c.json },
    };
    const struct options o = {
        .command = "dns",
        .arguments = "DOMAIN...",
        .sentence =
            "what the DNS says about a domain's mail, what is wrong with it, what to publish",
        .rows = rows,
        .row_count = COUNT_OF(rows),
        .args = args,
        .args_max = DOMAINS_MAX,
        .arg_count = &count,
    };
    c = (struct dns_command){ .options = &o, .ms = TIME_MS, .arena = arena_open() };
    int code = options_parse(&o, argc, argv);
    if (code == OPTIONS_GO_ON)
        code = run(&c, time, args, count);
    config_close(&c.config);
    arena_close(&c.arena);
    return code;
}
