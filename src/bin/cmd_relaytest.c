/* cmd_relaytest: `postern relaytest`: would this server carry mail from a stranger to a stranger? This file knows
 * the command line, finds the server's address, and tries one port after the other. */
#include "base/member.h"
#include "base/must.h"
#include "base/num.h"
#include "bin/commands.h"
#include "bin/lookup.h"
#include "bin/options.h"
#include "doctor/arrival.h"
#include "doctor/relaytest.h"
#include "sys/names.h"
#include "sys/random.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum {
    PORTS_MAX = 8,
    ADDRESSES_MAX = 16,
    WIDTH = 78,
    OUTPUT_MAX = 16 * 1024 * 1024,
    LOOKUP_MS = 20 * 1000,
    MESSAGES = 10,
    TOKEN = 20,
};

struct given {
    struct bytes host, dns, from, to, send_to, seen_in, listen, helo, source, name, domain;
    struct bytes ports[PORTS_MAX];
    size_t port_count;
    struct bytes pause, timeout, deadline, wait, connections, messages;
    bool json, verbose, no_tls, tls, lmtp, ipv4, ipv6;
};

struct run { /* one port */
    struct relaytest_want want;
    struct relaytest_seen *seen;
    enum relay_verdict verdict;
    bool asked_for; /* on the command line */
};

struct relaytest_run {
    struct given given;
    struct options options;
    struct arena *arena;
    struct loop *loop;
    struct lookup lookup;
    struct dns_query *query;
    bool awaiting;
    struct timer timer;
    struct tls_client *tls;
    struct arrivals *arrivals;
    struct relaytest *test;
    struct finding_list findings;
    struct bytes token;
    struct bytes mailbox; /* where messages go; empty: nowhere */
    size_t address_count;
    struct addr addresses[ADDRESSES_MAX];
    enum rc rc; /* of looking up */
    struct why why;
    struct bytes mail_hosts;
    bool target_is_served;
    size_t run_count, now;
    struct run runs[PORTS_MAX];
    int64_t pause_ms, timeout_ms, deadline_ms, wait_ms, waited_ms;
    uint64_t connections, messages;
    struct addr source, listen;
};

/* --- the command line ---------------------------------------------------------------------------- */

static int misuse(struct relaytest_run *r, const char *what, struct bytes given) {
    return options_misuse(&r->options, "%s, not \"%.*s\"", what, BYTES_FMT(given));
}

static bool is_mailbox(struct bytes text) {
    ptrdiff_t at = bytes_find_last(text, '@');
    bool clean = text.len <= 320 && at > 0 && (size_t)at + 1 < text.len;
    for (size_t i = 0; clean && i < text.len; i++)
        clean = (unsigned char)text.at[i] > ' ' && text.at[i] != 0x7f && text.at[i] != '<' &&
                text.at[i] != '>';
    return clean;
}

static bool is_clean_name(struct bytes text) {
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.at[i] <= ' ' || text.at[i] == 0x7f)
            return false;
    return text.len <= 255;
}

/* "mail.example.com:2525", "[2001:db8::1]:25", "192.0.2.1". */
static int read_host(struct relaytest_run *r) {
    struct given *g = &r->given;
    struct addr a;
    if (g->host.len > 2 && g->host.at[0] == '[' && g->host.at[g->host.len - 1] == ']')
        g->host = bytes_slice(g->host, 1, g->host.len - 1);
    if (bytes_starts_nocase(g->host, B("IPv6:")))
        g->host = bytes_skip(g->host, 5);
    if (addr_parse(g->host, &a))
        return OPTIONS_GO_ON;
    ptrdiff_t colon = bytes_find_last(g->host, ':');
    if (colon > 0) {
        if (g->port_count)
            return options_misuse(&r->options,
                                  "the port stands behind HOST, or behind --port, not both");
        g->ports[g->port_count++] = bytes_skip(g->host, (size_t)colon + 1);
        g->host = bytes_first(g->host, (size_t)colon);
        if (g->host.len > 2 && g->host.at[0] == '[')
            g->host = bytes_slice(g->host, 1, g->host.len - 1);
    }
    if (bytes_find(g->host, '@') >= 0)
        return misuse(r, "HOST is a mail server: mail.example.com, or an address", g->host);
    return g->host.len && is_clean_name(g->host)
               ? OPTIONS_GO_ON
               : misuse(r, "HOST is a mail server: mail.example.com, or an address", g->host);
}

static int read_addresses(struct relaytest_run *r) {
    struct given *g = &r->given;
    const struct {
        struct bytes text;
        const char *what;
    } mailboxes[] = {
        { g->to, "--to takes an address like user@example.com" },
        { g->send_to, "--send-to takes an address like user@example.com" },
        { g->from, "--from takes an address like user@example.com" },
    };
    for (size_t i = 0; i < COUNT_OF(mailboxes); i++)
        if (mailboxes[i].text.len && !is_mailbox(mailboxes[i].text))
            return misuse(r, mailboxes[i].what, mailboxes[i].text);
    if (g->to.len && g->send_to.len)
        return options_misuse(&r->options, "--send-to says whom it is for: leave out --to");
    if ((g->seen_in.len || g->listen.len) && !g->send_to.len)
        return options_misuse(&r->options, "%s looks for what --send-to sends: give that too",
                              g->seen_in.len ? "--seen-in" : "--listen");
    if (!is_clean_name(g->name) || !is_clean_name(g->domain) || !is_clean_name(g->helo))
        return options_misuse(&r->options, "names have no blanks in them");
    if (g->source.len && !addr_parse(g->source, &r->source))
        return misuse(r, "--source takes an address of this host", g->source);
    if (g->listen.len && !(addr_parse_port(g->listen, &r->listen) && r->listen.family))
        return misuse(r, "--listen takes ADDRESS:PORT", g->listen);
    if (g->ipv4 && g->ipv6)
        return options_misuse(&r->options, "-4 or -6, not both");
    if (g->tls && g->no_tls)
        return options_misuse(&r->options, "--tls or --no-tls, not both");
    return OPTIONS_GO_ON;
}

static int read_times(struct relaytest_run *r) {
    const struct given *g = &r->given;
    const struct {
        const char *name;
        struct bytes text;
        int64_t least, *out;
    } times[] = {
        { "--pause", g->pause, 0, &r->pause_ms },
        { "--timeout", g->timeout, 1, &r->timeout_ms },
        { "--deadline", g->deadline, 1, &r->deadline_ms },
        { "--wait", g->wait, 0, &r->wait_ms },
    };
    for (size_t i = 0; i < COUNT_OF(times); i++)
        if (!num_parse_duration(times[i].text, times[i].out) || *times[i].out < times[i].least)
            return options_misuse(&r->options, "%s takes a time like 30s or 250ms, not \"%.*s\"",
                                  times[i].name, BYTES_FMT(times[i].text));
    if (!bytes_to_u64(g->connections, 1000, &r->connections) || !r->connections)
        return misuse(r, "--connections takes a number from 1 to 1000", g->connections);
    if (!bytes_to_u64(g->messages, 100, &r->messages) || !r->messages)
        return misuse(r, "--messages takes a number from 1 to 100", g->messages);
    return OPTIONS_GO_ON;
}

static int read_ports(struct relaytest_run *r) {
    struct given *g = &r->given;
    static const struct bytes usual[] = { { "25", 2 }, { "587", 3 } };
    bool named = g->port_count > 0;
    const struct bytes *list = named ? g->ports : usual;
    r->run_count = named ? g->port_count : COUNT_OF(usual);
    for (size_t i = 0; i < r->run_count; i++) {
        uint64_t port;
        if (!bytes_to_u64(list[i], 65535, &port) || !port)
            return misuse(r, "a port is a number from 1 to 65535", list[i]);
        struct relaytest_want *w = &r->runs[i].want;
        r->runs[i].asked_for = named;
        w->address.port = (uint16_t)port;
        w->implicit = g->tls || (port == 465 && !g->no_tls);
        w->brief = i > 0 && !named;
    }
    return OPTIONS_GO_ON;
}

static int read_command_line(struct relaytest_run *r, int argc, char **argv) {
    struct given *g = &r->given;
    size_t hosts = 0;
    *g = (struct given){ .pause = B("100ms"),
                         .timeout = B("20s"),
                         .deadline = B("5min"),
                         .wait = B("30s"),
                         .connections = B("20"),
                         .messages = B("10") };
    const struct option_row rows[] = {
        { "--to", "ADDRESS", "a recipient in a domain that the server has nothing to do with",
          .text = &g->to },
        { "--from", "ADDRESS", "the sender of most forms", .text = &g->from },
        { "--send-to", "MAILBOX",
          "send a message by each form that is accepted, to this mailbox of your own",
          .text = &g->send_to },
        { "--seen-in", "PATH", "the Maildir or mbox of that mailbox, to see what arrives",
          .text = &g->seen_in },
        { "--listen", "ADDRESS:PORT", "be that mailbox's mail server while the test runs",
          .text = &g->listen },
        { "--wait", "TIME", "how long to look for what was sent (30s)", .text = &g->wait },
        { "--messages", "NUMBER", "send no more than so many (10)", .text = &g->messages },
        { "--port", "PORT", "25, and the plain forms on 587, unless given; may be repeated",
          .list = g->ports, .count = &g->port_count, .max = PORTS_MAX },
        { "--name", "NAME", "the server's own name, else as it greets", .text = &g->name },
        { "--domain", "DOMAIN", "the server's own mail domain, else as its name suggests",
          .text = &g->domain },
        { "--helo", "NAME", "the name to say in EHLO, else this host's", .text = &g->helo },
        { "--source", "ADDRESS", "the address of this host to test from", .text = &g->source },
        { "--tls", NULL, "TLS from the first octet on (465 always)", .flag = &g->tls },
        { "--no-tls", NULL, "no STARTTLS, though it is offered", .flag = &g->no_tls },
        { "--lmtp", NULL, "speak LMTP", .flag = &g->lmtp },
        { "-4", NULL, "the server's IPv4 address only", .flag = &g->ipv4 },
        { "-6", NULL, "its IPv6 address only", .flag = &g->ipv6 },
        { "--pause", "TIME", "between two transactions (100ms)", .text = &g->pause },
        { "--timeout", "TIME", "for one reply (20s)", .text = &g->timeout },
        { "--deadline", "TIME", "for one port (5min)", .text = &g->deadline },
        { "--connections", "NUMBER", "at most, on one port (20)", .text = &g->connections },
        { "--dns", "SERVER", LOOKUP_DNS_HELP, .text = &g->dns },
        { "--verbose", NULL, "show every form and its answer", .flag = &g->verbose },
        { "--json", NULL, "one JSON object", .flag = &g->json },
    };
    r->options = (struct options){
        "relaytest",
        "HOST",
        "Is it an open relay? Tries the known ways around, without a login, up to RCPT; sends nothing but by --send-to.",
        rows,
        COUNT_OF(rows),
        .args = &g->host,
        .args_min = 1,
        .args_max = 1,
        .arg_count = &hosts,
    };
    int (*const readers[])(struct relaytest_run * r) = { read_host, read_addresses, read_times,
                                                         read_ports };
    int rc = options_parse(&r->options, argc, argv);
    for (size_t i = 0; i < COUNT_OF(readers) && rc == OPTIONS_GO_ON; i++)
        rc = readers[i](r);
    return rc;
}

/* --- addresses ------------------------------------------------------------------------------------- */

static void stop(void *ctx) {
    struct relaytest_run *r = ctx;
    loop_stop(r->loop);
}

/* Runs one composed question to its end. */
static void await(struct relaytest_run *r, struct dns_query *query, const bool *done) {
    if (*done)
        return;
    r->query = query;
    r->awaiting = true;
    timer_set(r->loop, &r->timer, LOOKUP_MS, stop, r);
    loop_run(r->loop);
    timer_clear(&r->timer);
    r->awaiting = false;
    if (!*done)
        dns_query_cancel(&r->query);
}

struct lookup_wait {
    struct relaytest_run *run;
    bool done;
};

/* Some questions are answered before anybody waits. */
static void answered(struct lookup_wait *w) {
    w->done = true;
    if (w->run->awaiting)
        loop_stop(w->run->loop);
}

static bool is_wanted(const struct given *g, struct addr a) {
    return !(g->ipv4 && a.family != 4) && !(g->ipv6 && a.family != 6);
}

static void on_host(void *ctx, const struct dns_route *route) {
    struct lookup_wait *w = ctx;
    struct relaytest_run *r = w->run;
    r->rc = route->rc;
    if (route->rc != OK)
        r->why = route->why;
    for (size_t i = 0; route->rc == OK && i < route->count; i++)
        for (size_t j = 0; j < route->hosts[i].address_count; j++)
            if (is_wanted(&r->given, route->hosts[i].addresses[j]) &&
                r->address_count < ADDRESSES_MAX)
                r->addresses[r->address_count++] = route->hosts[i].addresses[j];
    answered(w);
}

static bool ours(const struct relaytest_run *r, struct addr a) {
    for (size_t i = 0; i < r->address_count; i++)
        if (addr_equal(r->addresses[i], a))
            return true;
    return false;
}

static void on_target(void *ctx, const struct dns_route *route) {
    struct lookup_wait *w = ctx;
    struct relaytest_run *r = w->run;
    for (size_t i = 0; route->rc == OK && i < route->count; i++)
        for (size_t j = 0; j < route->hosts[i].address_count; j++)
            r->target_is_served |= ours(r, route->hosts[i].addresses[j]);
    if (route->rc == PERM)
        r->why = route->why;
    answered(w);
}

static void on_mail_hosts(void *ctx, const struct dns_route *route) {
    struct lookup_wait *w = ctx;
    struct buf names = buf_grow(4096);
    for (size_t i = 0; route->rc == OK && !route->implicit && i < route->count; i++) {
        buf_str(&names, names.len ? ", " : "");
        buf_printable(&names, route->hosts[i].name);
    }
    w->run->mail_hosts = arena_copy(w->run->arena, buf_bytes(&names));
    buf_free(&names);
    answered(w);
}

/* A mail domain in place of a server is the commonest slip: its servers are named. */
static int no_address(struct relaytest_run *r, bool in_time) {
    struct lookup_wait wait = { r, false };
    bool later = !in_time || r->rc == TEMP;
    if (!later)
        await(r, dns_find_mx(r->lookup.dns, r->given.host, on_mail_hosts, &wait), &wait.done);
    fprintf(stderr, "postern relaytest: %.*s: %s", BYTES_FMT(r->given.host),
            !in_time         ? "the DNS did not answer in time"
            : r->why.text[0] ? r->why.text
                             : "it has no address");
    if (r->mail_hosts.len)
        fprintf(stderr, "; it is a mail domain, test its servers: %.*s", BYTES_FMT(r->mail_hosts));
    fputc('\n', stderr);
    return later ? EX_TEMPFAIL : EX_NOHOST;
}

/* An address needs no resolver, and neither does a recipient of ours. */
static int find_server(struct relaytest_run *r) {
    struct given *g = &r->given;
    struct lookup_wait wait = { r, false };
    struct addr a;
    struct why why;
    if (addr_parse(g->host, &a)) {
        r->addresses[r->address_count++] = a;
        return OPTIONS_GO_ON;
    }
    if (lookup_open_at(g->dns, r->loop, r->arena, &r->lookup, &why) != OK)
        return options_misuse(&r->options, "%s", why.text);
    await(r, dns_find_host(r->lookup.dns, g->host, on_host, &wait), &wait.done);
    if (r->address_count)
        return OPTIONS_GO_ON;
    return no_address(r, wait.done);
}

static void check_target(struct relaytest_run *r) {
    struct given *g = &r->given;
    struct bytes to = g->send_to.len ? g->send_to : g->to;
    struct lookup_wait wait = { r, false };
    struct why why;
    if (!to.len)
        return;
    struct bytes domain = bytes_skip(to, (size_t)bytes_find_last(to, '@') + 1);
    if (!r->lookup.dns && lookup_open_at(g->dns, r->loop, r->arena, &r->lookup, &why) != OK) {
        finding_skip(&r->findings, "relaytest.target", "MX",
                     "whether %.*s is the server's own was not looked up: %s", BYTES_FMT(domain),
                     why.text);
        return;
    }
    r->why = (struct why){ 0 };
    await(r, dns_find_mx(r->lookup.dns, domain, on_target, &wait), &wait.done);
    if (!wait.done || r->why.text[0])
        finding_skip(&r->findings, "relaytest.target", "MX",
                     "where mail for %.*s goes could not be looked up: %s", BYTES_FMT(domain),
                     wait.done ? r->why.text : "no answer in time");
}

/* Its mail comes here anyway: that it is taken proves nothing. */
static int refuse_own_target(struct relaytest_run *r) {
    struct bytes to = r->given.send_to.len ? r->given.send_to : r->given.to;
    if (!r->target_is_served)
        return OPTIONS_GO_ON;
    return options_misuse(
        &r->options,
        "the DNS says that mail for %.*s goes to this very server, so to take it is no relaying; "
        "give an address in another domain",
        BYTES_FMT(to));
}

/* --- what arrives ------------------------------------------------------------------------------------- */

static struct bytes token_of(struct relaytest_run *r, size_t n) {
    return arena_printf(r->arena, "%.*s-%zu", BYTES_FMT(r->token), n);
}

static bool all_seen(const struct relaytest_run *r) {
    for (size_t i = 0; i < r->run_count; i++)
        for (size_t j = 0; r->runs[i].seen && j < r->runs[i].seen->count; j++)
            if (r->runs[i].seen->tests[j].sent == RELAY_SENT)
                return false;
    return true;
}

static bool on_message(void *ctx, struct bytes message, struct bytes by) {
    struct relaytest_run *r = ctx;
    bool mine = false;
    for (size_t i = 0; i < r->run_count; i++)
        if (r->runs[i].seen)
            mine |= relaytest_sighted(r->arena, r->runs[i].seen, token_of(r, i), message, by);
    if (mine && !r->test && all_seen(r))
        loop_stop(r->loop);
    return mine;
}

static int begin_looking(struct relaytest_run *r) {
    const struct given *g = &r->given;
    struct why why;
    if (!g->seen_in.len && !g->listen.len)
        return OPTIONS_GO_ON;
    struct arrival_want want = {
        .path = g->seen_in,
        .listens = g->listen.len,
        .at = r->listen,
        .hostname = r->runs[0].want.hostname,
        .mailbox = g->send_to,
    };
    if (arrivals_open(r->loop, &want, on_message, r, &r->arrivals, &why) == OK)
        return OPTIONS_GO_ON;
    fprintf(stderr, "postern relaytest: %s: %s\n",
            g->listen.len ? "--listen or --seen-in" : "--seen-in", why.text);
    return EX_CANTCREAT;
}

/* --- the tests ------------------------------------------------------------------------------------------ */

static void on_over(void *ctx) {
    struct relaytest_run *r = ctx;
    r->test = NULL;
    loop_stop(r->loop);
}

static struct bytes hostname_of(struct relaytest_run *r) {
    char name[256] = "";
    if (r->given.helo.len)
        return r->given.helo;
    gethostname(name, sizeof name - 1);
    return arena_copy(r->arena, name[0] ? bytes_str(name) : B("localhost"));
}

static void fill_want(struct relaytest_run *r, size_t n, struct addr address) {
    const struct given *g = &r->given;
    struct relaytest_want *w = &r->runs[n].want;
    uint16_t port = w->address.port;
    w->address = address;
    w->address.port = port;
    w->source = r->source;
    w->hostname = hostname_of(r);
    w->host = g->host;
    w->name = g->name;
    w->domain = g->domain;
    w->from = g->from;
    w->to = g->send_to.len ? g->send_to : g->to;
    w->lmtp = g->lmtp;
    w->tls = g->no_tls && !w->implicit ? NULL : r->tls;
    w->pause_ms = r->pause_ms;
    w->timeout_ms = r->timeout_ms;
    w->deadline_ms = r->deadline_ms;
    w->connections = (unsigned)r->connections;
    w->per_connection = 10;
    w->messages = g->send_to.len ? (size_t)r->messages : 0;
    w->token = token_of(r, n);
}

static void run_one(struct relaytest_run *r, size_t n, struct addr address) {
    fill_want(r, n, address);
    r->test = relaytest_open(r->loop, r->arena, &r->runs[n].want, on_over, r, &r->runs[n].seen);
    while (r->test) /* what else may stop the loop */
        loop_run(r->loop);
}

/* One address after the other until one talks. */
static void run_port(struct relaytest_run *r, size_t n) {
    for (size_t i = 0; i < r->address_count; i++) {
        run_one(r, n, r->addresses[i]);
        if (!r->runs[n].seen->gave_up || r->runs[n].seen->local.family)
            return;
    }
}

static void wait_for_arrivals(struct relaytest_run *r) {
    if (!r->arrivals || all_seen(r) || !r->wait_ms)
        return;
    int64_t began = loop_now(r->loop);
    timer_set(r->loop, &r->timer, r->wait_ms, stop, r);
    loop_run(r->loop);
    timer_clear(&r->timer);
    r->waited_ms = loop_now(r->loop) - began;
    if (!r->waited_ms)
        r->waited_ms = 1;
}

/* --- what came of it -------------------------------------------------------------------------------------- */

static const struct relaytest_seen *main_seen(const struct relaytest_run *r) {
    for (size_t i = 0; i < r->run_count; i++)
        if (!r->runs[i].seen->gave_up)
            return r->runs[i].seen;
    return r->runs[0].seen;
}

static enum relay_verdict judge(struct relaytest_run *r) {
    enum relay_verdict worst = RELAY_IS_CLOSED;
    for (size_t i = 0; i < r->run_count; i++) {
        struct run *k = &r->runs[i];
        if (k->seen->gave_up && !k->asked_for && i > 0) {
            finding_skip(&r->findings, "relaytest.port", "connect", "port %u: %.*s",
                         k->want.address.port, BYTES_FMT(k->seen->why));
            continue;
        }
        size_t before = r->findings.count;
        k->verdict = relaytest_judge(k->seen, r->arrivals ? r->waited_ms : 0, &r->findings);
        for (size_t j = before; j < r->findings.count; j++)
            finding_about(&r->findings, r->findings.list[j], "port %u", k->want.address.port);
        if (k->verdict > worst)
            worst = k->verdict;
    }
    return worst;
}

static void format_addr(struct buf *b, struct addr a) {
    if (a.family)
        addr_format(b, a);
}

static void test_json(struct buf *b, const struct relay_test *t) {
    static const char *const sent[] = { NULL, "sent", "returned", "seen" };
    buf_char(b, '{');
    member_text(b, "id", bytes_str(t->id));
    buf_printf(b, ",\"port\":%u", t->port);
    if (t->control)
        buf_str(b, ",\"control\":true");
    if (t->helo.len)
        member_text(b, "helo", t->helo);
    member_text(b, "from", t->from);
    member_text(b, "to", t->to);
    buf_printf(b, ",\"code\":%d", t->code);
    member_text(b, "text", t->text);
    if (t->stage)
        member_text(b, "command", bytes_str(t->stage));
    member_text(b, "grade", bytes_str(relay_grade_name(t->grade)));
    if (t->cause && t->grade != RELAY_ACCEPTED)
        member_text(b, "cause", bytes_str(t->cause));
    if (t->harmless)
        buf_str(b, ",\"harmless\":true");
    if (t->sent)
        member_text(b, "message", bytes_str(sent[t->sent]));
    if (t->seen_by.len)
        member_text(b, "seen_by", t->seen_by);
    buf_char(b, '}');
}

static void addr_key(struct buf *b, const char *name, struct addr a) {
    char memory[80];
    struct buf text = buf_fixed(memory, sizeof memory);
    format_addr(&text, a);
    member_text(b, name, buf_bytes(&text));
}

static void print_json(struct relaytest_run *r, enum relay_verdict v) {
    const struct relaytest_seen *s = main_seen(r);
    struct buf b = buf_grow(OUTPUT_MAX);
    buf_char(&b, '{');
    member_text(&b, "host", r->given.host);
    addr_key(&b, "address", s->remote.family ? s->remote : r->addresses[0]);
    addr_key(&b, "from_address", s->local);
    buf_str(&b, ",\"login\":false");
    member_text(&b, "banner", s->banner);
    member_text(&b, "name", s->names.name);
    member_text(&b, "domain", s->names.domain);
    member_text(&b, "grade", bytes_str(relay_verdict_grade(v)));
    buf_str(&b, ",\"tests\":[");
    const char *comma = "";
    for (size_t i = 0; i < r->run_count; i++)
        for (size_t j = 0; j < r->runs[i].seen->count; j++, comma = ",") {
            buf_str(&b, comma);
            test_json(&b, &r->runs[i].seen->tests[j]);
        }
    buf_str(&b, "],\"findings\":");
    finding_list_json(&r->findings, &b);
    buf_str(&b, "}\n");
    fwrite(b.at, 1, b.len, stdout);
    buf_free(&b);
}

static void printable(struct buf *b, struct bytes text) {
    buf_printable(b, text);
}

static void test_text(struct buf *b, const struct relay_test *t) {
    size_t start = b->len;
    buf_printf(b, "  %-8s  %s", t->harmless ? "local" : relay_grade_name(t->grade), t->id);
    do
        buf_char(b, ' ');
    while (b->len - start < 40);
    buf_str(b, "<");
    printable(b, t->from);
    buf_str(b, "> -> <");
    printable(b, t->to);
    buf_char(b, '>');
    if (t->helo.len) {
        buf_str(b, " EHLO ");
        printable(b, t->helo);
    }
    buf_str(b, "\n            ");
    if (t->code)
        buf_printf(b, "%s: %d ", t->stage, t->code);
    printable(b, t->text);
    buf_char(b, '\n');
}

static bool is_worth_showing(const struct relaytest_run *r, const struct relay_test *t) {
    return r->given.verbose || (!t->control && t->grade >= RELAY_ACCEPTED && !t->harmless);
}

static void say_who(struct relaytest_run *r, struct buf *b, const struct relaytest_seen *s) {
    printable(b, r->given.host);
    buf_str(b, " [");
    format_addr(b, s->remote.family ? s->remote : r->addresses[0]);
    buf_str(b, "]");
    if (s->local.family) {
        buf_str(b, ", tested from ");
        format_addr(b, s->local);
    }
    buf_str(b, ", without a login\n");
    if (s->banner.len) {
        buf_str(b, "It greets: ");
        printable(b, s->banner);
        buf_char(b, '\n');
    }
}

static void print_text(struct relaytest_run *r, enum relay_verdict v) {
    static const char *const verdicts[] = {
        "Refused: it does not relay for strangers, as far as these forms go.",
        "Unclear: whether it relays for strangers cannot be said.",
        "Suspicious: it accepts foreign recipients from strangers at RCPT. That is no proof.",
        "OPEN RELAY, proven: a message from a stranger to a stranger arrived.",
    };
    const struct relaytest_seen *s = main_seen(r);
    struct buf b = buf_grow(OUTPUT_MAX);
    say_who(r, &b, s);
    for (size_t i = 0; i < r->run_count; i++) {
        const struct relaytest_seen *k = r->runs[i].seen;
        size_t shown = 0, controls = 0;
        for (size_t j = 0; j < k->count; j++)
            controls += k->tests[j].control;
        if (k->count)
            buf_printf(&b, "Port %u: %zu forms tried\n", r->runs[i].want.address.port,
                       k->count - controls);
        for (size_t j = 0; j < k->count; j++)
            if (is_worth_showing(r, &k->tests[j]) && ++shown)
                test_text(&b, &k->tests[j]);
    }
    buf_char(&b, '\n');
    finding_list_text(&r->findings, &b, true, WIDTH);
    buf_printf(&b, "\n%s\n", verdicts[v]);
    fwrite(b.at, 1, b.len, stdout);
    buf_free(&b);
}

static int exit_code(const struct relaytest_run *r, enum relay_verdict v) {
    if (v == RELAY_IS_UNCLEAR)
        return main_seen(r)->gave_up ? EX_UNAVAILABLE : EX_TEMPFAIL;
    return v == RELAY_IS_CLOSED ? EX_OK : 1;
}

/* --- all of it ----------------------------------------------------------------------------------------------- */

static int run(struct relaytest_run *r) {
    struct why why;
    int rc = find_server(r);
    if (rc != OPTIONS_GO_ON)
        return rc;
    check_target(r);
    rc = refuse_own_target(r);
    if (rc == OPTIONS_GO_ON)
        rc = begin_looking(r);
    if (rc != OPTIONS_GO_ON)
        return rc;
    if (tls_client_open(BYTES_NONE, &r->tls, &why) != OK)
        finding_skip(&r->findings, "relaytest.tls", "STARTTLS", "without TLS: %s", why.text);
    for (size_t i = 0; i < r->run_count; i++)
        run_port(r, i);
    wait_for_arrivals(r);
    enum relay_verdict v = judge(r);
    if (r->given.json)
        print_json(r, v);
    else
        print_text(r, v);
    return exit_code(r, v);
}

int cmd_relaytest(int argc, char **argv) {
    static struct relaytest_run r;
    struct buf token = buf_grow(TOKEN + 1);
    int rc = read_command_line(&r, argc, argv);
    if (rc != OPTIONS_GO_ON)
        return rc;
    signal(SIGPIPE, SIG_IGN);
    r.arena = arena_open();
    r.loop = loop_open();
    finding_list_open(&r.findings, r.arena);
    random_id(&token, TOKEN);
    r.token = arena_copy(r.arena, buf_bytes(&token));
    buf_free(&token);
    rc = run(&r);
    arrivals_close(&r.arrivals);
    tls_client_close(&r.tls);
    lookup_close(&r.lookup);
    loop_close(&r.loop);
    arena_close(&r.arena);
    return rc;
}
