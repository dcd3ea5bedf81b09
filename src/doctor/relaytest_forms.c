/* relaytest_forms: the table of evasions, and what becomes of it for one server. This file alone knows how the
 * forms are written. The first sixteen are those that nmap's smtp-open-relay tries. */
#include "base/must.h"
#include "doctor/relaytest.h"

#include <string.h>

#define FROM    "{from}"
#define LITERAL "{stranger}@{ip}"
#define OWN     "postmaster@{domain}"
#define TO      "{user}@{target}"

struct form {
    const char *id, *from, *to, *about;
    enum relay_place place;
    bool control, brief;
    const char *helo; /* NULL: the tester's own */
};

/* Controls come first: without them nothing accepted can be understood. */
static const struct form forms[] = {
    { "control-name", FROM, "{stranger}@{name}", "nobody, at the server's name",
      .place = RELAY_AT_NAME, .control = true, .brief = true },
    { "control-domain", FROM, "{stranger}@{domain}", "nobody, in its domain",
      .place = RELAY_AT_DOMAIN, .control = true, .brief = true },
    { "control-literal", FROM, "{stranger}@{ip}", "nobody, at its address",
      .place = RELAY_AT_LITERAL, .control = true },
    { "control-localhost", FROM, "{stranger}@localhost", "nobody, at localhost",
      .place = RELAY_AT_LOCALHOST, .control = true },
    { "control-bare", FROM, "{stranger}", "nobody, without a domain", .place = RELAY_AT_NOTHING,
      .control = true },
    { "control-user-name", FROM, "{user}@{name}", "the recipient's local part at the server's name",
      .place = RELAY_AT_NAME, .control = true },
    { "control-user-domain", FROM, "{user}@{domain}", "the recipient's local part in its domain",
      .place = RELAY_AT_DOMAIN, .control = true },
    { "control-user-bare", FROM, "{user}", "the recipient's local part alone",
      .place = RELAY_AT_NOTHING, .control = true },
    { "control-other", FROM, "{stranger}@{other}", "another foreign domain", .place = RELAY_FOREIGN,
      .control = true, .brief = true },

    { "null-sender", "", TO, "the null sender, as bounces have it", .place = RELAY_FOREIGN,
      .brief = true },
    { "target-sender", "{stranger}@{target}", TO, "a sender of the recipient's domain",
      .place = RELAY_FOREIGN },
    { "name-sender", "{stranger}@{name}", TO, "a sender at the server's name",
      .place = RELAY_FOREIGN, .brief = true },
    { "literal-sender", LITERAL, TO, "a sender at the server's address", .place = RELAY_FOREIGN },
    { "percent-at-literal", LITERAL, "{user}%{target}@{ip}", "percent hack at its address",
      .place = RELAY_AT_LITERAL },
    { "percent-at-name", LITERAL, "{user}%{target}@{name}", "percent hack at its name",
      .place = RELAY_AT_NAME },
    { "quoted", LITERAL, "\"{user}@{target}\"", "the whole address as a quoted local part",
      .place = RELAY_AT_NOTHING },
    { "quoted-percent", LITERAL, "\"{user}%{target}\"", "a quoted percent hack without a domain",
      .place = RELAY_AT_NOTHING },
    { "double-at-literal", LITERAL, "{user}@{target}@{ip}", "two @, its address last",
      .place = RELAY_AT_LITERAL },
    { "quoted-at-literal", LITERAL, "\"{user}@{target}\"@{ip}", "quoted, at its address",
      .place = RELAY_AT_LITERAL },
    { "double-at-name", LITERAL, "{user}@{target}@{name}", "two @, its name last",
      .place = RELAY_AT_NAME },
    { "route-literal", LITERAL, "@{ip}:{user}@{target}", "source route by its address",
      .place = RELAY_FOREIGN },
    { "route-name", LITERAL, "@{name}:{user}@{target}", "source route by its name",
      .place = RELAY_FOREIGN },
    { "bang", LITERAL, "{target}!{user}", "bang path without a domain", .place = RELAY_AT_NOTHING },
    { "bang-at-literal", LITERAL, "{target}!{user}@{ip}", "bang path at its address",
      .place = RELAY_AT_LITERAL },
    { "bang-at-name", LITERAL, "{target}!{user}@{name}", "bang path at its name",
      .place = RELAY_AT_NAME },

    { "plain", FROM, TO, "a stranger to a stranger", .place = RELAY_FOREIGN, .brief = true },
    { "own-sender", OWN, TO, "a sender of the server's own domain", .place = RELAY_FOREIGN,
      .brief = true },
    { "domain-sender", "{stranger}@{domain}", TO, "nobody of its own domain as the sender",
      .place = RELAY_FOREIGN },
    { "same-sender", TO, TO, "the recipient as the sender", .place = RELAY_FOREIGN },
    { "localhost-sender", "root@localhost", TO, "root of localhost as the sender",
      .place = RELAY_FOREIGN },
    { "bare-sender", "{stranger}", TO, "a sender without a domain", .place = RELAY_FOREIGN },
    { "bare-postmaster-sender", "postmaster", TO, "postmaster without a domain as the sender",
      .place = RELAY_FOREIGN },
    { "quoted-local", FROM, "\"{user}\"@{target}", "a quoted local part", .place = RELAY_FOREIGN },
    { "final-dot", FROM, "{user}@{target}.", "a final dot", .place = RELAY_FOREIGN },

    { "percent-at-domain", FROM, "{user}%{target}@{domain}", "percent hack in its domain",
      .place = RELAY_AT_DOMAIN, .brief = true },
    { "percent-at-localhost", FROM, "{user}%{target}@localhost", "percent hack at localhost",
      .place = RELAY_AT_LOCALHOST },
    { "percent-bare", FROM, "{user}%{target}", "percent hack without a domain",
      .place = RELAY_AT_NOTHING },
    { "percent-twice", FROM, "{user}%{target}%{domain}@{name}", "percent hack by two hops",
      .place = RELAY_AT_NAME },
    { "percent-before-target", FROM, "{user}%{domain}@{target}",
      "percent hack that names its domain, to the target", .place = RELAY_FOREIGN },
    { "percent-quoted-at-domain", FROM, "\"{user}%{target}\"@{domain}",
      "quoted percent hack in its domain", .place = RELAY_AT_DOMAIN },
    { "percent-quoted-at-name", FROM, "\"{user}%{target}\"@{name}",
      "quoted percent hack at its name", .place = RELAY_AT_NAME },
    { "quoted-at-name", FROM, "\"{user}@{target}\"@{name}", "quoted, at its name",
      .place = RELAY_AT_NAME },
    { "quoted-at-domain", FROM, "\"{user}@{target}\"@{domain}", "quoted, in its domain",
      .place = RELAY_AT_DOMAIN },
    { "quoted-at-localhost", FROM, "\"{user}@{target}\"@localhost", "quoted, at localhost",
      .place = RELAY_AT_LOCALHOST },
    { "escaped-at", FROM, "{user}\\@{target}@{domain}", "an escaped @", .place = RELAY_AT_DOMAIN },
    { "double-at-domain", FROM, "{user}@{target}@{domain}", "two @, its domain last",
      .place = RELAY_AT_DOMAIN },
    { "double-at-localhost", FROM, "{user}@{target}@localhost", "two @, localhost last",
      .place = RELAY_AT_LOCALHOST },
    { "double-at-target", FROM, "{user}@{domain}@{target}", "two @, the target last",
      .place = RELAY_FOREIGN },
    { "route-domain", FROM, "@{domain}:{user}@{target}", "source route by its domain",
      .place = RELAY_FOREIGN },
    { "route-localhost", FROM, "@localhost:{user}@{target}", "source route by localhost",
      .place = RELAY_FOREIGN },
    { "route-two-hops", FROM, "@{name},@{target}:{user}@{target}", "source route by two hops",
      .place = RELAY_FOREIGN },
    { "route-through-target", FROM, "@{target}:{user}@{domain}", "source route by the target",
      .place = RELAY_AT_DOMAIN },
    { "route-percent", FROM, "@{name}:{user}%{target}@{name}", "source route and percent hack",
      .place = RELAY_AT_NAME },
    { "bang-at-domain", FROM, "{target}!{user}@{domain}", "bang path in its domain",
      .place = RELAY_AT_DOMAIN },
    { "bang-at-localhost", FROM, "{target}!{user}@localhost", "bang path at localhost",
      .place = RELAY_AT_LOCALHOST },
    { "bang-two-hops", FROM, "{name}!{target}!{user}", "bang path by two hops",
      .place = RELAY_AT_NOTHING },
    { "bang-before-target", FROM, "{name}!{user}@{target}",
      "bang path that names the server, to the target", .place = RELAY_FOREIGN },
    { "bang-quoted-at-domain", FROM, "\"{target}!{user}\"@{domain}",
      "quoted bang path in its domain", .place = RELAY_AT_DOMAIN },
    { "bang-percent", FROM, "{target}!{user}%{domain}@{name}", "bang path and percent hack",
      .place = RELAY_AT_NAME },
    { "encapsulated", FROM, "IMCEASMTP-{user+}+40{target+}@{domain}",
      "encapsulated as Exchange does it", .place = RELAY_AT_DOMAIN },
    { "srs-unsigned", FROM, "SRS0=AAAA=AA={target}={user}@{domain}", "a made-up SRS return address",
      .place = RELAY_AT_DOMAIN },
    { "plus-address", FROM, "{user}+{target}@{domain}", "the target as an address extension",
      .place = RELAY_AT_DOMAIN },

    { "null-sender-percent", "", "{user}%{target}@{domain}", "null sender and percent hack",
      .place = RELAY_AT_DOMAIN },
    { "null-sender-quoted", "", "\"{user}@{target}\"@{domain}", "null sender and quoted address",
      .place = RELAY_AT_DOMAIN },
    { "own-sender-percent", OWN, "{user}%{target}@{domain}", "own sender and percent hack",
      .place = RELAY_AT_DOMAIN },
    { "own-sender-route", OWN, "@{domain}:{user}@{target}", "own sender and source route",
      .place = RELAY_FOREIGN },
    { "own-sender-bang", OWN, "{target}!{user}", "own sender and bang path",
      .place = RELAY_AT_NOTHING },

    { "helo-name", FROM, TO, "the server's name in EHLO", .place = RELAY_FOREIGN,
      .helo = "{name}" },
    { "helo-name-own-sender", OWN, TO, "its name in EHLO, its domain's sender",
      .place = RELAY_FOREIGN, .helo = "{name}" },
    { "helo-domain", FROM, TO, "its domain in EHLO", .place = RELAY_FOREIGN, .helo = "{domain}" },
    { "helo-localhost", FROM, TO, "localhost in EHLO", .place = RELAY_FOREIGN,
      .helo = "localhost" },
    { "helo-literal", FROM, TO, "its address in EHLO", .place = RELAY_FOREIGN, .helo = "{ip}" },
};

const char *relay_grade_name(enum relay_grade g) {
    static const char *const names[] = {
        [RELAY_UNTRIED] = "untried",   [RELAY_REFUSED] = "refused", [RELAY_LATER] = "later",
        [RELAY_ACCEPTED] = "accepted", [RELAY_PROVEN] = "proven",
    };
    return names[g];
}

/* --- putting the names in -------------------------------------------------------------------- */

static struct bytes value_of(const struct relay_names *n, struct bytes key) {
    const struct {
        struct bytes key, value;
    } values[] = {
        { B("user"), n->user }, { B("target"), n->target },     { B("other"), n->other },
        { B("name"), n->name }, { B("domain"), n->domain },     { B("ip"), n->literal },
        { B("from"), n->from }, { B("stranger"), n->stranger },
    };
    for (size_t i = 0; i < COUNT_OF(values); i++)
        if (bytes_equal(values[i].key, key))
            return values[i].value;
    MUST(!"a template names what is not there");
    return BYTES_NONE;
}

/* As Exchange writes foreign addresses into a local part: +XX for what is no letter and no digit. */
static void encapsulate(struct buf *b, struct bytes text) {
    for (size_t i = 0; i < text.len; i++)
        if (ascii_is_alnum(text.at[i]) || text.at[i] == '-')
            buf_char(b, text.at[i]);
        else
            buf_printf(b, "+%02X", (unsigned char)text.at[i]);
}

static bool put(struct buf *b, struct bytes key, const struct relay_names *names) {
    bool encapsulated = key.len && key.at[key.len - 1] == '+';
    struct bytes value = value_of(names, encapsulated ? bytes_first(key, key.len - 1) : key);
    if (encapsulated)
        encapsulate(b, value);
    else
        buf_add(b, value);
    return value.len > 0;
}

bool relaytest_expand(struct arena *a, const char *template, const struct relay_names *names,
                      struct bytes *out) {
    struct buf b = buf_grow(16 * 1024);
    struct bytes rest = bytes_str(template);
    bool known = true;
    while (rest.len && known) {
        ptrdiff_t open = bytes_find(rest, '{'), close = bytes_find(rest, '}');
        if (open < 0) {
            buf_add(&b, rest);
            break;
        }
        buf_add(&b, bytes_first(rest, (size_t)open));
        known = put(&b, bytes_slice(rest, (size_t)open + 1, (size_t)close), names);
        rest = bytes_skip(rest, (size_t)close + 1);
    }
    if (known)
        *out = arena_copy(a, buf_bytes(&b));
    buf_free(&b);
    return known;
}

struct bytes relaytest_domain_of(struct bytes name) {
    ptrdiff_t dot = bytes_find(name, '.');
    struct bytes rest = dot < 0 ? BYTES_NONE : bytes_skip(name, (size_t)dot + 1);
    return bytes_find(rest, '.') > 0 ? rest : name;
}

/* --- the plan ---------------------------------------------------------------------------------- */

static bool is_same(const struct relay_test *a, const struct relay_test *b) {
    return bytes_equal_nocase(a->helo, b->helo) && bytes_equal_nocase(a->from, b->from) &&
           bytes_equal_nocase(a->to, b->to) && a->control == b->control;
}

static bool is_there(const struct relay_test *list, size_t count, const struct relay_test *t) {
    for (size_t i = 0; i < count; i++)
        if (is_same(&list[i], t))
            return true;
    return false;
}

static bool make(struct arena *a, const struct form *f, const struct relay_names *names,
                 struct relay_test *out) {
    *out = (struct relay_test){
        .id = f->id, .about = f->about, .control = f->control, .place = f->place
    };
    return relaytest_expand(a, f->from, names, &out->from) &&
           relaytest_expand(a, f->to, names, &out->to) &&
           (!f->helo || relaytest_expand(a, f->helo, names, &out->helo));
}

size_t relaytest_plan(struct arena *a, const struct relay_names *names, bool brief,
                      struct relay_test **out) {
    struct relay_test *list = ARENA_ARRAY(a, COUNT_OF(forms), struct relay_test);
    size_t count = 0;
    for (size_t i = 0; i < COUNT_OF(forms); i++) {
        if (brief && !forms[i].brief)
            continue;
        if (make(a, &forms[i], names, &list[count]) && !is_there(list, count, &list[count]))
            count++;
    }
    *out = list;
    return count;
}
