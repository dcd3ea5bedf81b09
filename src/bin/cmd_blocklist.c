/* cmd_blocklist: `postern blocklist`: is an address or a domain on DNS blocklists, what does it mean, and
 * how does it come off again. */
#include "base/member.h"
#include "base/must.h"
#include "bin/commands.h"
#include "bin/lookup.h"
#include "bin/options.h"
#include "doctor/blocklists.h"
#include "message/address.h"
#include "sys/files.h"
#include "trust/organisation.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

enum {
    GIVEN_MAX = 32,
    ZONES_MAX = 64,
    FILE_MAX = 1024 * 1024,
    OUT_MAX = 64 * 1024 * 1024,
    WIDTH = 78,
    TIME_MS = 12 * 1000,
    TIME_MAX_MS = 120 * 1000,
};

struct given { /* an argument */
    struct blocklists_command *command;
    struct bytes name; /* of a host or domain; empty: an address */
    struct dns_query *query[2];
    bool open[2];
    struct bytes problem; /* its addresses were not had */
};
struct subject {
    struct bytes name; /* whose address it is; empty: it was given itself */
};
struct blocklists_command {
    const struct options *options;
    struct arena *arena;
    struct loop *loop;
    struct lookup lookup;
    struct timer timer;
    struct blocklist_table table;
    struct given given[GIVEN_MAX];
    size_t given_count;
    struct blocklist_subject subjects[BLOCKLIST_SUBJECTS];
    struct subject about[BLOCKLIST_SUBJECTS];
    size_t subject_count, left_out;
    struct blocklist_asked asked[BLOCKLISTS_MAX];
    size_t asked_count;
    const struct blocklist_result *results;
    size_t result_count;
    struct finding_list findings;
    bool json, all, mx, list;
    int64_t ms;
    struct bytes file, dns;
    struct bytes only[ZONES_MAX], with[ZONES_MAX];
    size_t only_count, with_count;
};

/* --- which lists ------------------------------------------------------------------------------------- */

static enum rc read_table(struct blocklists_command *c, struct why *why) {
    struct bytes text;
    if (!c->file.len) {
        blocklists_builtin(c->arena, &c->table);
        return OK;
    }
    enum rc rc = files_read(c->file, FILE_MAX, c->arena, &text, why);
    return rc == OK ? blocklists_read(c->file.at, text, c->arena, &c->table, why) : rc;
}

static bool is_asked_already(const struct blocklists_command *c, struct bytes zone) {
    for (size_t i = 0; i < c->asked_count; i++)
        if (bytes_equal_nocase(c->asked[i].zone, zone))
            return true;
    return false;
}

static void add_asked(struct blocklists_command *c, struct bytes zone, const struct blocklist *l) {
    if (c->asked_count < BLOCKLISTS_MAX && !is_asked_already(c, zone))
        c->asked[c->asked_count++] = (struct blocklist_asked){ zone, l };
}

static const char *near_zone(const struct blocklists_command *c, struct bytes zone) {
    const char **zones = ARENA_ARRAY(c->arena, c->table.count, const char *);
    for (size_t i = 0; i < c->table.count; i++)
        zones[i] = arena_str(c->arena, c->table.lists[i].zone);
    return options_nearest(zone, zones, c->table.count);
}

static const struct blocklist *by_name(const struct blocklists_command *c, struct bytes name) {
    for (size_t i = 0; i < c->table.count; i++)
        if (bytes_equal_nocase(bytes_str(c->table.lists[i].name), name))
            return &c->table.lists[i];
    return NULL;
}

/* By zone, by name, or a zone that is not known here: then it must at least be one. */
static int add_zone(struct blocklists_command *c, struct bytes given) {
    const struct blocklist *l = blocklists_find(&c->table, given);
    const char *near = l ? NULL : near_zone(c, given);
    struct bytes zone;
    if (l) {
        add_asked(c, arena_lower(c->arena, given), l);
    } else if ((l = by_name(c, given))) {
        add_asked(c, l->zone, l);
    } else if (near) {
        return options_misuse(c->options, "no list has the zone %.*s; did you mean %s?",
                              BYTES_FMT(given), near);
    } else if (address_parse_domain(given, c->arena, &zone) || bytes_find(zone, '.') < 0) {
        return options_misuse(c->options, "%.*s is no list's name or zone (--list shows them)",
                              BYTES_FMT(given));
    } else {
        add_asked(c, zone, NULL);
    }
    return OPTIONS_GO_ON;
}

static int choose_lists(struct blocklists_command *c) {
    for (size_t i = 0; i < c->only_count; i++)
        if (add_zone(c, c->only[i]) != OPTIONS_GO_ON)
            return EX_USAGE;
    for (size_t i = 0; i < c->table.count && !c->only_count; i++)
        if (blocklist_is_asked(&c->table.lists[i]))
            add_asked(c, c->table.lists[i].zone, &c->table.lists[i]);
    for (size_t i = 0; i < c->with_count; i++)
        if (add_zone(c, c->with[i]) != OPTIONS_GO_ON)
            return EX_USAGE;
    return OPTIONS_GO_ON;
}

/* --- which addresses and domains ---------------------------------------------------------------------- */

static bool is_same(const struct blocklist_subject *a, const struct blocklist_subject *b) {
    return a->address.family == b->address.family &&
           (a->address.family ? addr_equal(a->address, b->address)
                              : bytes_equal(a->domain, b->domain));
}

static void add_subject(struct blocklists_command *c, struct blocklist_subject s,
                        struct bytes name) {
    for (size_t i = 0; i < c->subject_count; i++)
        if (is_same(&c->subjects[i], &s))
            return;
    if (c->subject_count == BLOCKLIST_SUBJECTS) {
        c->left_out++;
        return;
    }
    c->about[c->subject_count].name = name;
    c->subjects[c->subject_count++] = s;
}

/* "192.0.2.1", "[192.0.2.1]", "[IPv6:2001:db8::1]" */
static bool is_address(struct bytes text, struct addr *out) {
    if (text.len > 2 && text.at[0] == '[' && text.at[text.len - 1] == ']') {
        text = bytes_slice(text, 1, text.len - 1);
        if (bytes_starts_nocase(text, B("IPv6:")))
            text = bytes_skip(text, 5);
    }
    return addr_parse(text, out);
}

static bool is_network(struct bytes text) {
    struct network n;
    return bytes_find(text, '/') >= 0 && network_parse(text, &n) != NETWORK_SYNTAX;
}

/* A mistyped address: numbers and dots. */
static bool is_numeric(struct bytes text) {
    size_t digits = 0, dots = 0;
    for (size_t i = 0; i < text.len; i++) {
        digits += text.at[i] >= '0' && text.at[i] <= '9';
        dots += text.at[i] == '.';
    }
    return digits > 0 && digits + dots == text.len;
}

/* A host, a domain, or whatever stands behind an address's @. */
static int take_name(struct blocklists_command *c, struct bytes text) {
    struct given *g = &c->given[c->given_count];
    ptrdiff_t at = bytes_find_last(text, '@');
    struct bytes name = bytes_skip(text, (size_t)(at + 1));
    if (name.len > 1 && name.at[name.len - 1] == '.')
        name.len--;
    if (is_network(text))
        return options_misuse(c->options,
                              "%.*s is a network: lists are asked about single addresses",
                              BYTES_FMT(text));
    if (is_numeric(text))
        return options_misuse(c->options,
                              "%.*s is no address: an IPv4 address is four numbers from 0 to 255, "
                              "with dots between them",
                              BYTES_FMT(text));
    const char *wrong = address_parse_domain(name, c->arena, &name);
    if (wrong)
        return options_misuse(c->options, "%.*s is neither an address nor a name: %s",
                              BYTES_FMT(text), wrong);
    *g = (struct given){ .command = c, .name = name };
    c->given_count++;
    add_subject(c, (struct blocklist_subject){ .domain = name }, BYTES_NONE);
    /* Most lists have the domain that was registered, not the hosts below it. */
    struct bytes organisation = organisation_of(name);
    if (!bytes_equal(organisation, name) && !organisation_is_suffix(organisation))
        add_subject(c, (struct blocklist_subject){ .domain = organisation }, name);
    return OPTIONS_GO_ON;
}

static int take_arguments(struct blocklists_command *c, const struct bytes *args, size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct addr a;
        if (is_address(args[i], &a))
            add_subject(c, (struct blocklist_subject){ .address = a }, BYTES_NONE);
        else if (take_name(c, args[i]) != OPTIONS_GO_ON)
            return EX_USAGE;
    }
    return OPTIONS_GO_ON;
}

/* --- addresses of names ------------------------------------------------------------------------------- */

static void name_over(struct blocklists_command *c) {
    for (size_t i = 0; i < c->given_count; i++)
        if (c->given[i].open[0] || c->given[i].open[1])
            return;
    loop_stop(c->loop);
}

static void take_route(struct given *g, const struct dns_route *route) {
    struct blocklists_command *c = g->command;
    if (route->rc != OK)
        g->problem = arena_copy(c->arena, bytes_str(route->why.text));
    for (size_t i = 0; i < route->count; i++)
        for (size_t j = 0; j < route->hosts[i].address_count; j++)
            add_subject(c, (struct blocklist_subject){ .address = route->hosts[i].addresses[j] },
                        arena_copy(c->arena, route->hosts[i].name));
}

static void on_host(void *ctx, const struct dns_route *route) {
    struct given *g = ctx;
    g->open[0] = false;
    g->query[0] = NULL;
    take_route(g, route);
    name_over(g->command);
}

static void on_mx(void *ctx, const struct dns_route *route) {
    struct given *g = ctx;
    g->open[1] = false;
    g->query[1] = NULL;
    take_route(g, route);
    name_over(g->command);
}

static void out_of_time(void *ctx) {
    struct blocklists_command *c = ctx;
    loop_stop(c->loop);
}

static void drop_queries(struct blocklists_command *c) {
    for (size_t i = 0; i < c->given_count; i++)
        for (int j = 0; j < 2; j++) {
            struct given *g = &c->given[i];
            if (g->open[j])
                g->problem = B("the DNS did not answer in time for its addresses");
            if (g->open[j] && g->query[j])
                dns_query_cancel(&g->query[j]);
            g->open[j] = false;
        }
}

/* The open ones are marked first: some answers come before the question returns. */
static void find_addresses(struct blocklists_command *c) {
    struct dns *d = c->lookup.dns;
    for (size_t i = 0; i < c->given_count; i++) {
        c->given[i].open[0] = true;
        c->given[i].open[1] = c->mx;
    }
    for (size_t i = 0; i < c->given_count; i++) {
        struct given *g = &c->given[i];
        struct dns_query *q = dns_find_host(d, g->name, on_host, g);
        g->query[0] = g->open[0] ? q : NULL;
        q = c->mx ? dns_find_mx(d, g->name, on_mx, g) : NULL;
        g->query[1] = g->open[1] ? q : NULL;
    }
    bool open = false;
    for (size_t i = 0; i < c->given_count; i++)
        open |= c->given[i].open[0] || c->given[i].open[1];
    timer_set(c->loop, &c->timer, c->ms / 2, out_of_time, c);
    if (open)
        loop_run(c->loop);
    timer_clear(&c->timer);
    drop_queries(c);
}

/* --- asking -------------------------------------------------------------------------------------------- */

static void on_done(void *ctx, const struct blocklist_result *r, size_t count) {
    struct blocklists_command *c = ctx;
    c->results = r;
    c->result_count = count;
    loop_stop(c->loop);
}

static void ask_lists(struct blocklists_command *c) {
    const struct blocklist_want want = {
        .subjects = c->subjects,
        .subject_count = c->subject_count,
        .asked = c->asked,
        .asked_count = c->asked_count,
        .ms = c->ms,
    };
    blocklists_ask(c->lookup.dns, c->loop, c->arena, &want, on_done, c);
    loop_run(c->loop);
    blocklists_findings(&want, c->results, c->result_count, &c->findings);
    for (size_t i = 0; i < c->given_count; i++)
        if (c->given[i].problem.len) {
            struct finding *f = finding_skip(&c->findings, "blocklist.no-address", NULL, "%.*s",
                                             BYTES_FMT(c->given[i].problem));
            finding_about(&c->findings, f, "%.*s", BYTES_FMT(c->given[i].name));
        }
    if (c->left_out)
        finding_skip(&c->findings, "blocklist.many", NULL,
                     "%zu more addresses were left out: %d are looked at", c->left_out,
                     BLOCKLIST_SUBJECTS);
}

/* --- what came out ------------------------------------------------------------------------------------- */

struct tally {
    size_t listed, allowed, clean, unanswered;
};

static struct tally count_of(const struct blocklists_command *c, size_t subject) {
    struct tally t = { 0 };
    for (size_t i = 0; i < c->result_count; i++) {
        const struct blocklist_result *r = &c->results[i];
        if (r->subject != subject)
            continue;
        if (r->state == BLOCKLIST_LISTED)
            *(blocklist_is_against(&c->asked[r->asked], r) ? &t.listed : &t.allowed) += 1;
        else
            *(r->state == BLOCKLIST_CLEAN ? &t.clean : &t.unanswered) += 1;
    }
    return t;
}

/* Whether "not listed" can be believed: a name server that answers "no such name" to everything makes
 * every list silent about everybody, and the lists' own test entries with them. */
static bool is_proved(const struct blocklists_command *c) {
    bool testable = false;
    for (size_t i = 0; i < c->result_count; i++) {
        const struct blocklist_result *r = &c->results[i];
        const struct blocklist *l = c->asked[r->asked].list;
        if (r->state == BLOCKLIST_LISTED || (r->state == BLOCKLIST_CLEAN && !r->unproven))
            return true;
        testable |= !l || l->listed.len;
    }
    return !testable;
}

static void write_subject(struct buf *b, const struct blocklist_subject *s) {
    if (s->address.family)
        addr_format(b, s->address);
    else
        buf_add(b, s->domain);
}

/* Words from `column` on, further lines from `indent` on. */
static void print_wrapped(struct buf *out, struct bytes text, size_t column, size_t indent) {
    struct bytes word;
    bool first = true;
    while (bytes_split(&text, ' ', &word)) {
        if (!first && column + 1 + word.len > WIDTH) {
            buf_printf(out, "\n%*s", (int)indent, "");
            column = indent;
        } else if (!first) {
            buf_char(out, ' ');
            column++;
        }
        first = false;
        buf_add(out, word);
        column += word.len;
    }
    buf_char(out, '\n');
}

/* "Spamhaus ZEN, SpamCop": the lists that have it. */
static void write_listing(const struct blocklists_command *c, size_t subject, struct buf *b) {
    size_t named = 0;
    for (size_t i = 0; i < c->result_count; i++) {
        const struct blocklist_result *r = &c->results[i];
        const struct blocklist_asked *asked = &c->asked[r->asked];
        if (r->subject != subject || !blocklist_is_against(asked, r))
            continue;
        buf_str(b, named++ ? ", " : ": ");
        if (asked->list)
            buf_str(b, asked->list->name);
        else
            buf_add(b, asked->zone);
    }
}

static void print_summary(const struct blocklists_command *c, struct buf *out) {
    bool proved = is_proved(c);
    for (size_t i = 0; i < c->subject_count; i++) {
        struct tally t = count_of(c, i);
        struct buf line = buf_grow(OUT_MAX), *b = &line;
        size_t answered = t.listed + t.allowed + t.clean;
        write_subject(b, &c->subjects[i]);
        if (c->about[i].name.len)
            buf_printf(b, " (%.*s)", BYTES_FMT(c->about[i].name));
        if (!answered && !t.unanswered)
            buf_str(b, ": none of the lists is for it");
        else if (!answered || !proved)
            buf_str(b, ": not known, no list could be asked");
        else if (t.listed)
            buf_printf(b, ": listed by %zu of the %zu lists that answered", t.listed, answered);
        else
            buf_printf(b, ": not listed by any of the %zu lists that answered", answered);
        if (t.listed)
            write_listing(c, i, b);
        if (t.allowed)
            buf_printf(b, "; %zu %s for it", t.allowed, t.allowed == 1 ? "speaks" : "speak");
        if (answered && proved && t.unanswered)
            buf_printf(b, "; %zu could not be asked", t.unanswered);
        print_wrapped(out, buf_bytes(b), 0, 4);
        buf_free(b);
    }
}

static bool is_unanswered(const struct blocklist_result *r) {
    return r->state != BLOCKLIST_LISTED && r->state != BLOCKLIST_CLEAN;
}

/* Those with this reason; each is told once, however many were to be asked about. */
static void print_reason(const struct blocklists_command *c, const char *because, bool *told,
                         struct buf *out) {
    struct buf zones = buf_grow(OUT_MAX);
    buf_printf(out, "  %s:\n    ", because);
    for (size_t i = 0; i < c->result_count; i++) {
        const struct blocklist_result *r = &c->results[i];
        if (!is_unanswered(r) || told[r->asked] || strcmp(r->because, because) != 0)
            continue;
        told[r->asked] = true;
        buf_printf(&zones, "%s%.*s", zones.len ? " " : "", BYTES_FMT(c->asked[r->asked].zone));
    }
    print_wrapped(out, buf_bytes(&zones), 4, 4);
    buf_free(&zones);
}

static void print_unanswered(const struct blocklists_command *c, struct buf *b) {
    bool told[BLOCKLISTS_MAX] = { false }, any = false;
    for (size_t i = 0; i < c->result_count; i++) {
        const struct blocklist_result *r = &c->results[i];
        if (!is_unanswered(r) || told[r->asked])
            continue;
        if (!any)
            buf_str(b, "\nCould not be asked:\n");
        any = true;
        print_reason(c, r->because, told, b);
    }
}

static void print_text(const struct blocklists_command *c) {
    struct buf b = buf_grow(OUT_MAX);
    print_summary(c, &b);
    for (size_t i = 0; i < c->given_count; i++)
        if (c->given[i].problem.len && !c->all)
            buf_printf(&b, "%.*s: no address was looked at: %.*s\n", BYTES_FMT(c->given[i].name),
                       BYTES_FMT(c->given[i].problem));
    if (c->findings.worst != SEVERITY_INFO || c->all)
        buf_char(&b, '\n');
    finding_list_text(&c->findings, &b, c->all, WIDTH);
    if (!c->all)
        print_unanswered(c, &b);
    fwrite(b.at, 1, b.len, stdout);
    buf_free(&b);
}

/* --- for scripts --------------------------------------------------------------------------------------- */

static void json_result(const struct blocklists_command *c, const struct blocklist_result *r,
                        struct buf *b) {
    const struct blocklist_asked *asked = &c->asked[r->asked];
    const struct blocklist *l = asked->list;
    buf_char(b, '{');
    member_text(b, "zone", asked->zone);
    member_text(b, "name", l ? bytes_str(l->name) : asked->zone);
    member_text(b, "kind", l && l->allow ? B("allow") : B("block"));
    member_text(b, "state", bytes_str(blocklist_state_name(r->state)));
    buf_printf(b, ",\"against\":%s,\"weight\":%u",
               blocklist_is_against(asked, r) ? "true" : "false", l ? l->weight : 1);
    if (r->unproven)
        buf_str(b, ",\"unproven\":true");
    if (r->because)
        member_text(b, "because", bytes_str(r->because));
    buf_str(b, ",\"codes\":[");
    for (size_t i = 0; i < r->answer_count; i++) {
        const struct blocklist_code *code = l ? blocklist_code(l, r->answers[i]) : NULL;
        char memory[64];
        struct buf text = buf_fixed(memory, sizeof memory);
        addr_format(&text, r->answers[i]);
        buf_str(b, i ? ",{" : "{");
        member_text(b, "code", buf_bytes(&text));
        if (code)
            member_text(b, "means", bytes_str(code->means));
        buf_char(b, '}');
    }
    buf_char(b, ']');
    if (r->text.len)
        member_text(b, "text", r->text);
    if (l && strcmp(l->delist, "-") != 0)
        member_text(b, "delist", bytes_str(l->delist));
    buf_char(b, '}');
}

static void json_subject(const struct blocklists_command *c, size_t subject, struct buf *b) {
    const struct blocklist_subject *s = &c->subjects[subject];
    struct tally t = count_of(c, subject);
    char memory[64];
    struct buf text = buf_fixed(memory, sizeof memory);
    addr_format(&text, s->address);
    buf_char(b, '{');
    member_text(b, "subject", s->address.family ? buf_bytes(&text) : s->domain);
    member_text(b, "kind",
                s->address.family == 4 ? B("ipv4")
                : s->address.family    ? B("ipv6")
                                       : B("domain"));
    if (c->about[subject].name.len)
        member_text(b, "of", c->about[subject].name);
    buf_printf(b, ",\"listed\":%zu,\"allowed\":%zu,\"clean\":%zu,\"unanswered\":%zu,\"lists\":[",
               t.listed, t.allowed, t.clean, t.unanswered);
    bool first = true;
    for (size_t i = 0; i < c->result_count; i++) {
        if (c->results[i].subject != subject)
            continue;
        if (!first)
            buf_char(b, ',');
        first = false;
        json_result(c, &c->results[i], b);
    }
    buf_str(b, "]}");
}

static void print_json(const struct blocklists_command *c) {
    struct buf b = buf_grow(OUT_MAX);
    buf_str(&b, "{\"subjects\":[");
    for (size_t i = 0; i < c->subject_count; i++) {
        if (i)
            buf_char(&b, ',');
        json_subject(c, i, &b);
    }
    buf_str(&b, "],\"findings\":");
    finding_list_json(&c->findings, &b);
    buf_str(&b, "}\n");
    fwrite(b.at, 1, b.len, stdout);
    buf_free(&b);
}

/* --- --list -------------------------------------------------------------------------------------------- */

static void write_kinds(struct buf *b, const struct blocklist *l, const char *between,
                        const char *quote) {
    static const char *const names[] = { "ipv4", "ipv6", "domain" };
    bool first = true;
    for (unsigned i = 0; i < COUNT_OF(names); i++)
        if (l->of & 1u << i) {
            buf_printf(b, "%s%s%s%s", first ? "" : between, quote, names[i], quote);
            first = false;
        }
}

static void text_list(const struct blocklist *l, struct buf *b) {
    buf_printf(b, "%.*s  %s (%s of ", BYTES_FMT(l->zone), l->name, l->allow ? "allow" : "block");
    write_kinds(b, l, ", ", "");
    buf_printf(b, "; weight %u)\n", l->weight);
    if (l->ended)
        buf_printf(b, "    ended %s\n", l->ended);
    if (l->keyed)
        buf_printf(b, "    not asked unless with a key: %s\n", l->keyed);
    if (l->key.len)
        buf_printf(b, "    with a key: --with %.*s\n", BYTES_FMT(l->key));
    if (l->registration)
        buf_printf(b, "    registration: %s\n", l->registration);
    for (size_t i = 0; i < l->code_count; i++)
        buf_printf(b, "    %s%-12.*s  %s%s\n", l->codes[i].bit ? "bit " : "",
                   BYTES_FMT(l->codes[i].text), l->codes[i].refuses ? "no listing: " : "",
                   l->codes[i].means);
    if (strcmp(l->delist, "-") != 0)
        buf_printf(b, "    %s\n", l->delist);
}

static void json_list(const struct blocklist *l, struct buf *b) {
    buf_char(b, '{');
    member_text(b, "zone", l->zone);
    member_text(b, "name", bytes_str(l->name));
    member_text(b, "kind", l->allow ? B("allow") : B("block"));
    buf_str(b, ",\"of\":[");
    write_kinds(b, l, ",", "\"");
    buf_printf(b, "],\"weight\":%u,\"asked\":%s", l->weight,
               blocklist_is_asked(l) ? "true" : "false");
    member_text(b, "means", bytes_str(l->means));
    if (strcmp(l->delist, "-") != 0)
        member_text(b, "delist", bytes_str(l->delist));
    if (l->ended)
        member_text(b, "ended", bytes_str(l->ended));
    if (l->key.len)
        member_text(b, "key", l->key);
    if (l->registration)
        member_text(b, "register", bytes_str(l->registration));
    buf_str(b, ",\"codes\":[");
    for (size_t i = 0; i < l->code_count; i++) {
        const struct blocklist_code *code = &l->codes[i];
        buf_str(b, i ? ",{" : "{");
        member_text(b, code->bit ? "bit" : "code", code->text);
        member_text(b, "means", bytes_str(code->means));
        buf_printf(b, ",\"listing\":%s}", code->refuses ? "false" : "true");
    }
    buf_str(b, "]}");
}

static int show_lists(const struct blocklists_command *c) {
    struct buf b = buf_grow(OUT_MAX);
    for (size_t i = 0; i < c->table.count; i++) {
        if (c->json)
            json_list(&c->table.lists[i], &b);
        else
            text_list(&c->table.lists[i], &b);
        buf_char(&b, '\n');
    }
    fwrite(b.at, 1, b.len, stdout);
    buf_free(&b);
    return EX_OK;
}

/* --- all of it ----------------------------------------------------------------------------------------- */

static int exit_code(const struct blocklists_command *c) {
    size_t answered = 0;
    for (size_t i = 0; i < c->result_count; i++) {
        if (blocklist_is_against(&c->asked[c->results[i].asked], &c->results[i]))
            return 1;
        answered +=
            c->results[i].state == BLOCKLIST_LISTED || c->results[i].state == BLOCKLIST_CLEAN;
    }
    if ((answered && is_proved(c)) || !c->result_count)
        return EX_OK;
    fprintf(
        stderr, "postern blocklist: nothing is known: %s. --dns asks another name server.\n",
        answered
            ? "not one list has its own test entry, so the name server asked seems to "
              "answer \"no such name\" to everything"
            : "none of the lists could be asked; look whether there is a network, and a name server "
              "that works");
    return EX_TEMPFAIL;
}

static int look(struct blocklists_command *c) {
    struct why why;
    c->loop = loop_open();
    enum rc rc = lookup_open_at(c->dns, c->loop, c->arena, &c->lookup, &why);
    int code;
    if (rc == OK) {
        find_addresses(c);
        ask_lists(c);
        if (c->json)
            print_json(c);
        else
            print_text(c);
        fflush(stdout);
        code = exit_code(c);
    } else {
        code = lookup_complain(c->options, rc, &why);
    }
    lookup_close(&c->lookup);
    loop_close(&c->loop);
    return code;
}

static int take_time(struct blocklists_command *c, struct bytes text) {
    if (options_time(text, &c->ms) && c->ms <= TIME_MAX_MS)
        return OPTIONS_GO_ON;
    return options_misuse(c->options, "--timeout takes seconds, or a time such as 20s, up to 2min");
}

static int run(struct blocklists_command *c, struct bytes time, const struct bytes *args,
               size_t count) {
    struct why why;
    if (time.len && take_time(c, time) != OPTIONS_GO_ON)
        return EX_USAGE;
    enum rc rc = read_table(c, &why);
    if (rc != OK) {
        fprintf(stderr, "postern blocklist: %s\n", why.text);
        return bytes_starts(bytes_str(why.reason), B("files.")) ? EX_NOINPUT : EX_DATAERR;
    }
    if (c->list)
        return show_lists(c);
    if (!count)
        return options_misuse(c->options, "which address or domain? (--list shows the lists)");
    if (choose_lists(c) != OPTIONS_GO_ON || take_arguments(c, args, count) != OPTIONS_GO_ON)
        return EX_USAGE;
    return look(c);
}

int cmd_blocklist(int argc, char **argv) {
    static struct blocklists_command c;
    struct bytes args[GIVEN_MAX], time = BYTES_NONE;
    size_t count = 0;
    const struct option_row rows[] = {
        { "--only", "ZONE", "ask this list, and no other that is not named so", .list = c.only,
          .count = &c.only_count, .max = ZONES_MAX },
        { "--with", "ZONE", "ask this list too: one of yours, or one under a key", .list = c.with,
          .count = &c.with_count, .max = ZONES_MAX },
        { "--mx", NULL, "look at the mail servers of a domain too", .flag = &c.mx },
        { "--all", NULL, "tell of every list, what has nothing to say too", .flag = &c.all },
        { "--list", NULL, "show the lists, and what their answers mean", .flag = &c.list },
        { "--lists", "FILE", "take these lists instead of those built in", .text = &c.file },
        { "--dns", "SERVER", LOOKUP_DNS_HELP, .text = &c.dns },
        { "--timeout", "TIME", "for all of it; 12 s unless given", .text = &time },
        { "--json", NULL, "one JSON object; with --list one a list", .flag = &c.json },
    };
    const struct options o = {
        .command = "blocklist",
        .arguments = "IP|HOST|DOMAIN...",
        .sentence =
            "is an address or a domain on DNS blocklists, what does it mean, how does it end",
        .rows = rows,
        .row_count = COUNT_OF(rows),
        .args = args,
        .args_max = GIVEN_MAX,
        .arg_count = &count,
    };
    c = (struct blocklists_command){ .options = &o, .ms = TIME_MS, .arena = arena_open() };
    finding_list_open(&c.findings, c.arena);
    int code = options_parse(&o, argc, argv);
    if (code == OPTIONS_GO_ON)
        code = run(&c, time, args, count);
    arena_close(&c.arena);
    return code;
}
