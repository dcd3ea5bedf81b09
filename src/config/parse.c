/* parse: from the file's statements to a filled config. This file alone knows how a statement finds
 * its schema row, what a misspelt one may have meant, and the defaults that depend on other
 * settings. */
#include "config/value.h"

#include "base/map.h"
#include "base/must.h"

#include <string.h>

enum { FILE_MAX = 4 * 1024 * 1024, FINDINGS_MAX = 1000, NAME_MAX_LEN = 40 };

/* --- findings ---------------------------------------------------------------------------- */

static void add_finding(struct reading *r, struct config_finding f) {
    struct config_findings *all = &r->findings;
    if (all->count > FINDINGS_MAX)
        return;
    if (all->count == FINDINGS_MAX)
        f.text = B("too many findings; what comes behind this line is not shown");
    f.place.file = r->config->file;
    all->list = syntax_grow(r->arena, all->list, all->count, sizeof f);
    all->list[all->count++] = f;
}

void reading_error(struct reading *r, int line, struct bytes label, const char *id,
                   const char *format, ...) {
    va_list args;
    MUST(!r->silent); /* a default that does not fit its own row */
    va_start(args, format);
    struct bytes text = arena_vprintf(r->arena, format, args);
    va_end(args);
    r->errors++;
    if (strcmp(id, "config.file") != 0)
        r->broken = true;
    add_finding(r, (struct config_finding){ .severity = FINDING_ERROR,
                                            .place.line = line,
                                            .setting = label,
                                            .text = text,
                                            .id = id });
}

void reading_warning(struct reading *r, int line, struct bytes label, const char *id,
                     const char *format, ...) {
    va_list args;
    va_start(args, format);
    struct bytes text = arena_vprintf(r->arena, format, args);
    va_end(args);
    add_finding(r, (struct config_finding){ .severity = FINDING_WARNING,
                                            .place.line = line,
                                            .setting = label,
                                            .text = text,
                                            .id = id });
}

struct bytes reading_label(struct reading *r, const struct syntax_section *s,
                           struct bytes setting) {
    if (s->kind.len == 0)
        return setting;
    return arena_printf(r->arena, "%.*s%s%.*s%s%.*s", BYTES_FMT(s->kind), s->titled ? " " : "",
                        BYTES_FMT(s->title), setting.len ? ": " : "", BYTES_FMT(setting));
}

static void on_syntax(void *ctx, int line, struct bytes where, struct bytes text) {
    reading_error(ctx, line, where, "config.syntax", "%.*s", BYTES_FMT(text));
}

/* In order of lines; of the same line, in the order they were found. */
static void sort_findings(struct config_findings *f) {
    for (size_t i = 1; i < f->count; i++) {
        struct config_finding moving = f->list[i];
        size_t to = i;
        for (; to > 0 && f->list[to - 1].place.line > moving.place.line; to--)
            f->list[to] = f->list[to - 1];
        f->list[to] = moving;
    }
}

/* --- what was meant ---------------------------------------------------------------------- */

static unsigned least(unsigned a, unsigned b, unsigned c) {
    unsigned ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Edits between two names; two swapped letters count as one. Long texts are far from everything. */
static unsigned distance(struct bytes a, struct bytes b) {
    unsigned rows[3][NAME_MAX_LEN + 1];
    if (a.len > NAME_MAX_LEN || b.len > NAME_MAX_LEN)
        return NAME_MAX_LEN;
    for (unsigned j = 0; j <= b.len; j++)
        rows[0][j] = j;
    for (unsigned i = 1; i <= a.len; i++) {
        unsigned *now = rows[i % 3], *before = rows[(i + 2) % 3], *older = rows[(i + 1) % 3];
        now[0] = i;
        for (unsigned j = 1; j <= b.len; j++) {
            bool same = ascii_lower(a.at[i - 1]) == ascii_lower(b.at[j - 1]);
            now[j] = least(before[j] + 1, now[j - 1] + 1, before[j - 1] + !same);
            if (i > 1 && j > 1 && a.at[i - 1] == b.at[j - 2] && a.at[i - 2] == b.at[j - 1])
                now[j] = least(now[j], older[j - 2] + 1, now[j]);
        }
    }
    return rows[a.len % 3][b.len];
}

struct guess {
    struct bytes wanted;
    const char *name; /* NULL: nothing near */
    unsigned distance;
};

static void consider(struct guess *g, const char *name) {
    unsigned d = distance(g->wanted, bytes_str(name));
    unsigned limit = g->wanted.len < 4 ? 1 : g->wanted.len < 8 ? 2 : 3;
    if (d <= limit && (!g->name || d < g->distance)) {
        g->name = name;
        g->distance = d;
    }
}

/* "connector, tenant": the sections that have a setting of this name. */
static void list_homes(struct buf *b, struct bytes name) {
    for (size_t i = 0; i < schema_count; i++) {
        if (!bytes_equal(bytes_str(schema[i].name), name))
            continue;
        buf_str(b, b->len ? ", " : "");
        buf_str(b, *schema[i].section ? schema[i].section : "no section");
    }
}

static void list_settings(struct buf *b, const char *section) {
    for (size_t i = 0; i < schema_count; i++) {
        if (!bytes_equal(bytes_str(schema[i].section), bytes_str(section)))
            continue;
        buf_str(b, b->len ? ", " : "");
        buf_str(b, schema[i].name);
    }
}

static void unknown_setting(struct reading *r, const struct syntax_section *from,
                            const struct schema_section *kind, const struct syntax_setting *s) {
    struct bytes label = reading_label(r, from, s->name);
    struct guess g = { .wanted = s->name };
    struct buf names = buf_grow(2000);
    for (size_t i = 0; i < schema_count; i++)
        if (bytes_equal(bytes_str(schema[i].section), bytes_str(kind->name)))
            consider(&g, schema[i].name);
    list_homes(&names, s->name);
    if (schema_section(s->name) && s->name.len) {
        reading_error(r, s->line, label, "config.unknown",
                      "this is a section, not a setting; expected %.*s { ... } or, with a title, "
                      "%.*s \"...\" { ... }",
                      BYTES_FMT(s->name), BYTES_FMT(s->name));
    } else if (g.name) {
        reading_error(r, s->line, label, "config.unknown",
                      "there is no such setting; did you mean %s?", g.name);
    } else if (names.len) {
        reading_error(r, s->line, label, "config.unknown",
                      "there is no such setting here; expected it in: %s", buf_text(&names));
    } else {
        list_settings(&names, kind->name);
        reading_error(r, s->line, label, "config.unknown",
                      "there is no such setting; expected one of: %s", buf_text(&names));
    }
    buf_free(&names);
}

static void unknown_section(struct reading *r, const struct syntax_section *s) {
    struct bytes label = reading_label(r, s, BYTES_NONE);
    struct guess g = { .wanted = s->kind };
    for (size_t i = 1; i < schema_section_count; i++)
        consider(&g, schema_sections[i].name);
    if (schema_setting("", s->kind))
        reading_error(r, s->line, label, "config.unknown",
                      "this is a setting, not a section; expected %.*s = VALUE",
                      BYTES_FMT(s->kind));
    else if (g.name)
        reading_error(r, s->line, label, "config.unknown",
                      "there is no such section; did you mean %s?", g.name);
    else
        reading_error(r, s->line, label, "config.unknown",
                      "there is no such section; expected one of: history, domain, listener, "
                      "certificate, connector, tenant, route, queue, oauth");
}

/* --- values ------------------------------------------------------------------------------ */

static void on_default(void *ctx, int line, struct bytes where, struct bytes text) {
    (void)ctx, (void)line, (void)where, (void)text;
    MUST(!"a default that cannot be read");
}

/* The default of a row as if it stood in the file; NULL when it has none. */
static const struct syntax_setting *default_of(struct reading *r, const struct setting *s) {
    struct syntax_setting *cached = &r->defaults[s - schema];
    struct syntax parsed;
    if (!s->fallback || cached->name.len)
        return s->fallback ? cached : NULL;
    struct bytes text = arena_printf(r->arena, "%s = %s", s->name, s->fallback);
    syntax_read(text, r->arena, on_default, NULL, &parsed);
    MUST(parsed.count == 1 && parsed.sections[0].count == 1);
    *cached = parsed.sections[0].settings[0];
    return cached;
}

static void fill_default(struct reading *r, const struct setting *s, void *base) {
    struct input in = { .r = r, .setting = s, .from = default_of(r, s), .base = base };
    if (!in.from)
        return;
    r->silent = true;
    value_read(&in);
    r->silent = false;
}

static void fill_given(struct reading *r, const struct syntax_section *from,
                       const struct schema_section *kind, struct syntax_setting *given,
                       void *base) {
    const struct setting *s = schema_setting(kind->name, given->name);
    if (!s) {
        unknown_setting(r, from, kind, given);
        return;
    }
    struct bytes label = reading_label(r, from, given->name);
    const struct syntax_setting *first = syntax_find(from, s->name);
    if (first != given) {
        reading_error(r, given->line, label, "config.duplicate",
                      "this is set a second time; expected once, as in line %d", first->line);
        return;
    }
    struct input in = { .r = r, .setting = s, .from = given, .label = label, .base = base };
    if (!given->broken && value_read(&in))
        return;
    given->broken = true; /* rules ask no more of it */
    fill_default(r, s, base);
}

static void fill_section(struct reading *r, const struct syntax_section *from,
                         const struct schema_section *kind, void *base) {
    for (size_t i = 0; i < from->count; i++)
        fill_given(r, from, kind, &from->settings[i], base);
    for (size_t i = 0; i < schema_count; i++)
        if (bytes_equal(bytes_str(schema[i].section), bytes_str(kind->name)) &&
            !syntax_find(from, schema[i].name))
            fill_default(r, &schema[i], base);
}

/* --- sections ---------------------------------------------------------------------------- */

static struct bytes check_title(struct reading *r, const struct syntax_section *s,
                                const struct schema_section *kind) {
    struct bytes label = reading_label(r, s, BYTES_NONE);
    if (s->titled == (kind->title == TITLE_NONE)) {
        reading_error(r, s->line, label, "config.syntax",
                      s->titled ? "a title, where none belongs; expected %s { ... }"
                                : "a section without a title; expected %s \"NAME\" { ... }",
                      kind->name);
        return BYTES_NONE;
    }
    if (kind->title == TITLE_NONE)
        return BYTES_NONE;
    bool domain = kind->title == TITLE_DOMAIN;
    struct bytes name = domain ? value_host(r->arena, s->title) : value_name(s->title);
    if (name.len == 0)
        reading_error(r, s->line, label, "config.value", "\"%.*s\" is not valid; expected %s",
                      BYTES_FMT(bytes_first(s->title, 80)),
                      domain ? "a domain such as \"example.com\", without wildcards"
                             : "a title of letters, digits and . _ -");
    return name;
}

static void check_twice(struct reading *r, struct map *seen, const struct syntax_section *s,
                        struct bytes name) {
    struct bytes key = arena_printf(r->arena, "%.*s %.*s", BYTES_FMT(s->kind),
                                    BYTES_FMT(arena_lower(r->arena, name)));
    const struct syntax_section *first = map_find(seen, key);
    if (!first)
        map_put(seen, key, (void *)(uintptr_t)s);
    else
        reading_error(r, s->line, reading_label(r, s, BYTES_NONE), "config.duplicate",
                      "this section is there a second time; expected once, as in line %d",
                      first->line);
}

static void note_origin(struct reading *r, size_t kind, const struct syntax_section *s) {
    size_t *count = &r->origins[kind].count;
    r->origins[kind].list =
        syntax_grow(r->arena, r->origins[kind].list, *count, sizeof *r->origins[kind].list);
    r->origins[kind].list[(*count)++] = s;
}

/* Sorts the file's sections by kind and complains about those that are of none. */
static void sort_sections(struct reading *r) {
    struct map *seen = map_open();
    for (size_t i = 0; i < r->syntax.count; i++) {
        const struct syntax_section *s = &r->syntax.sections[i];
        const struct schema_section *kind = schema_section(s->kind);
        if (!kind) {
            unknown_section(r, s);
            continue;
        }
        struct bytes name = check_title(r, s, kind);
        if (name.len || kind->title == TITLE_NONE)
            check_twice(r, seen, s, name);
        note_origin(r, (size_t)(kind - schema_sections), s);
    }
    map_close(&seen);
}

/* A section without a title of its own fills fields of the config itself. */
static void fill_single(struct reading *r, size_t kind) {
    static const struct syntax_section empty;
    if (r->origins[kind].count == 0)
        note_origin(r, kind, &empty);
    for (size_t i = 0; i < r->origins[kind].count; i++)
        fill_section(r, r->origins[kind].list[i], &schema_sections[kind], r->config);
}

static void fill_list(struct reading *r, size_t index) {
    const struct schema_section *kind = &schema_sections[index];
    size_t count = r->origins[index].count;
    char *list = arena_array(r->arena, count, kind->size);
    for (size_t i = 0; i < count; i++) {
        const struct syntax_section *from = r->origins[index].list[i];
        char *one = list + i * kind->size;
        struct place *place = (struct place *)(void *)(one + kind->place_at);
        struct bytes *name = (struct bytes *)(void *)(one + kind->name_at);
        *place = (struct place){ r->config->file, from->line };
        *name = kind->title == TITLE_DOMAIN ? value_host(r->arena, from->title) : from->title;
        fill_section(r, from, kind, one);
    }
    if (kind->count_at == kind->list_at)
        return;
    *(size_t *)(void *)((char *)r->config + kind->count_at) = count;
    *(void **)(void *)((char *)r->config + kind->list_at) = list;
}

const struct syntax_section *reading_origin(const struct reading *r, const char *kind, size_t i) {
    size_t index = (size_t)(schema_section(bytes_str(kind)) - schema_sections);
    return r->origins[index].list[i];
}

/* --- defaults that depend on other settings ---------------------------------------------- */

/* The lists are the config's own and not yet handed out. */
#define OWN(type, list, i) ((struct type *)(uintptr_t) & (list)[i])

static void finish_top(struct reading *r) {
    struct config *c = r->config;
    if (c->hostname.len == 0)
        c->hostname =
            r->host->hostname.len ? arena_lower(r->arena, r->host->hostname) : B("localhost");
    if (c->mail_dir.len == 0)
        c->mail_dir = arena_printf(r->arena, "%.*s/mail", BYTES_FMT(c->state_dir));
    if (c->keeper_as.len == 0)
        c->keeper_as = c->run_as;
    if (c->workers == 0)
        c->workers = r->host->cores ? r->host->cores : 1;
    if (c->postmaster.len == 0 && c->domain_count)
        c->postmaster = arena_printf(r->arena, "postmaster@%.*s", BYTES_FMT(c->domains[0].name));
    if (c->dns_trust_anchor.len == 0)
        c->dns_trust_anchor = c->dns.count ? B("off") : B("builtin");
}

static bool has_port(const struct listener *l, uint16_t port) {
    for (size_t i = 0; i < l->address_count; i++)
        if (l->addresses[i].port == port)
            return true;
    return false;
}

static void read_pair(struct reading *r, const struct syntax_section *from, const char *chain,
                      struct bytes chain_path, struct bytes *chain_out, struct bytes key_path,
                      struct bytes *key_out) {
    const struct syntax_setting *c = syntax_find(from, chain), *k = syntax_find(from, "key");
    if (chain_path.len)
        read_pem(r, c->line, reading_label(r, from, c->name), chain_path, false, chain_out);
    if (key_path.len)
        read_pem(r, k->line, reading_label(r, from, k->name), key_path, true, key_out);
}

static bool is_for_tokens(struct bytes mechanism) {
    return bytes_equal(mechanism, B("XOAUTH2")) || bytes_equal(mechanism, B("OAUTHBEARER"));
}

static bool hides_password(struct bytes mechanism) {
    return bytes_starts(mechanism, B("SCRAM-")) || bytes_starts(mechanism, B("CRAM-"));
}

/* Of the default only what every source of passwords, and some source of tokens, can serve: a mail program
 * takes the best mechanism that is offered, and tries no other when that fails. */
static void fit_mechanisms(struct reading *r, struct listener *l) {
    bool tokens = false, passwords = false;
    bool seen_only = config_password_source(r->config).len != 0;
    for (size_t i = 0; i < r->config->logins.count; i++) {
        bool oauth = bytes_starts(r->config->logins.list[i], B("oauth:"));
        tokens |= oauth;
        passwords |= !oauth;
    }
    struct bytes *kept = ARENA_ARRAY(r->arena, l->mechanisms.count, struct bytes);
    size_t count = 0;
    for (size_t i = 0; i < l->mechanisms.count; i++) {
        struct bytes m = l->mechanisms.list[i];
        if (is_for_tokens(m) ? tokens : passwords && !(seen_only && hides_password(m)))
            kept[count++] = m;
    }
    l->mechanisms = (struct strings){ count, kept };
}

static void finish_listener(struct reading *r, size_t i) {
    struct listener *l = OWN(listener, r->config->listeners, i);
    const struct syntax_section *from = reading_origin(r, "listener", i);
    if (!syntax_find(from, "auth"))
        l->auth = l->service != SERVICE_SMTP ? AUTH_REQUIRE
                  : has_port(l, 25)          ? AUTH_OFF
                                             : AUTH_OFFER;
    if (l->service == SERVICE_POP3 && !syntax_find(from, "idle_timeout"))
        l->idle_timeout = POP3_IDLE_MIN;
    if (!syntax_find(from, "mechanisms") && r->config->logins.count)
        fit_mechanisms(r, l);
    if (!syntax_find(from, "blocklists"))
        l->blocklists = r->config->blocklists;
    if (!syntax_find(from, "allowlists"))
        l->allowlists = r->config->allowlists;
    read_pair(r, from, "certificate", l->certificate, &l->chain_pem, l->key, &l->key_pem);
}

static bool is_loopback(struct bytes host) {
    struct addr a;
    return bytes_equal_nocase(host, B("localhost")) ||
           (addr_parse(host, &a) && addr_is_loopback(a));
}

static enum tls_policy default_policy(const struct route *route) {
    size_t loopback = 0;
    for (size_t i = 0; i < route->via_count; i++) {
        if (route->via[i].mx)
            return TLS_POLICY_OPPORTUNISTIC;
        loopback += !route->via[i].implicit && is_loopback(route->via[i].host);
    }
    return route->via_count && loopback == route->via_count ? TLS_POLICY_OFF : TLS_POLICY_VERIFY;
}

static void finish_route(struct reading *r, size_t i) {
    struct route *route = OWN(route, r->config->routes, i);
    if (route->tls == TLS_POLICY_DEFAULT)
        route->tls = default_policy(route);
}

static bool has_authority(const struct config *c, struct bytes path) {
    for (size_t i = 0; i < c->client_authority_count; i++)
        if (bytes_equal(c->client_authorities[i].path, path))
            return true;
    return false;
}

static void finish_certificates(struct reading *r, size_t i, struct client_authority *list) {
    struct config *c = r->config;
    const struct connector *k = &c->connectors[i];
    const struct syntax_section *from = reading_origin(r, "connector", i);
    struct bytes path, name;
    for (size_t j = 0; j < k->client_certificate.count; j++) {
        if (!config_certificate_split(k->client_certificate.list[j], &path, &name) ||
            has_authority(c, path) || c->client_authority_count == CLIENT_AUTHORITIES_MAX)
            continue;
        struct client_authority *a = &list[c->client_authority_count++];
        const struct syntax_setting *s = syntax_find(from, "client_certificate");
        a->path = path;
        read_pem(r, s->line, reading_label(r, from, s->name), path, false, &a->pem);
    }
}

static void finish_authorities(struct reading *r) {
    struct client_authority *list =
        ARENA_ARRAY(r->arena, CLIENT_AUTHORITIES_MAX, struct client_authority);
    r->config->client_authorities = list;
    for (size_t i = 0; i < r->config->connector_count; i++)
        finish_certificates(r, i, list);
}

static void finish_oauth(struct reading *r, size_t i) {
    struct oauth *o = OWN(oauth, r->config->oauths, i);
    const struct syntax_section *from = reading_origin(r, "oauth", i);
    const struct syntax_setting *file = syntax_find(from, "ca_file");
    if (o->ca_file.len)
        read_pem(r, file->line, reading_label(r, from, file->name), o->ca_file, false, &o->ca_pem);
}

static void finish(struct reading *r) {
    struct config *c = r->config;
    finish_top(r);
    for (size_t i = 0; i < c->listener_count; i++)
        finish_listener(r, i);
    for (size_t i = 0; i < c->certificate_count; i++) {
        struct certificate *cert = OWN(certificate, c->certificates, i);
        read_pair(r, reading_origin(r, "certificate", i), "chain", cert->chain, &cert->chain_pem,
                  cert->key, &cert->key_pem);
    }
    for (size_t i = 0; i < c->route_count; i++)
        finish_route(r, i);
    finish_authorities(r);
    for (size_t i = 0; i < c->oauth_count; i++)
        finish_oauth(r, i);
    find_index(c);
}

/* --- the door ---------------------------------------------------------------------------- */

static void fill(struct reading *r) {
    r->defaults = ARENA_ARRAY(r->arena, schema_count, struct syntax_setting);
    sort_sections(r);
    for (size_t i = 0; i < schema_section_count; i++)
        if (schema_sections[i].size)
            fill_list(r, i);
        else
            fill_single(r, i);
    finish(r);
}

static bool read_text(struct reading *r, struct bytes file, struct bytes *text) {
    bool exposed;
    if (text->len || file.len == 0) {
        *text = arena_copy(r->arena, *text);
        return true;
    }
    const char *problem = read_file(r->arena, file, FILE_MAX, text, &exposed);
    if (problem)
        reading_error(r, 0, BYTES_NONE, "config.file", "cannot read %.*s: %s", BYTES_FMT(file),
                      problem);
    return !problem;
}

enum rc config_parse_on(const struct config_host *host, struct bytes file, struct bytes text,
                        struct config **out, struct config_findings *findings_out) {
    struct arena *a = arena_open();
    struct config *c = ARENA_NEW(a, struct config);
    struct reading r = { .arena = a, .config = c, .host = host };
    MUST(schema_section_count == READING_KINDS);
    c->arena = a;
    c->file = file.len ? arena_copy(a, file) : B("(built in)");
    bool read = read_text(&r, file, &text);
    if (!read)
        text = B("");
    syntax_read(text, a, on_syntax, &r, &r.syntax);
    fill(&r);
    c->incomplete = r.broken || !read;
    rules_check(&r);
    sort_findings(&r.findings);
    *findings_out = r.findings;
    *out = c;
    return r.errors ? PERM : OK;
}

enum rc config_parse(struct bytes file, struct bytes text, struct config **out,
                     struct config_findings *findings_out) {
    struct config_host host = { 0 };
    return config_parse_on(&host, file, text, out, findings_out);
}

void config_close(struct config **c) {
    if (!*c)
        return;
    struct arena *a = (*c)->arena;
    *c = NULL;
    arena_close(&a);
}
