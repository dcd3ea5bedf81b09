/* rules: reading the text of data/replies. This file knows its grammar; every keyword is a row
 * of one table. A mistake is told with its line, so that a person can mend it. */
#include "reply/rules.h"

#include "base/buf.h"
#include "base/must.h"

#include <string.h>

enum { LINE_MAX_OCTETS = 16 * 1024 };

struct reader {
    struct rules *rules;
    const char *file;
    int line;
    struct cause *cause; /* the one being read, or NULL */
    struct rule *rule;
    struct family *family;
    struct why *why;
};

static enum rc wrong(struct reader *r, const char *what, struct bytes value) {
    return why_set(r->why, PERM, 0, NULL, "reply.rules", "%s:%d: %s: %.*s", r->file, r->line, what,
                   BYTES_FMT(bytes_first(value, 100)));
}

static void values_add(struct arena *a, struct values *v, void *value) {
    if (v->count + 1 >= v->room) {
        size_t room = v->count * 2 + 4;
        void **list = ARENA_ARRAY(a, room, void *);
        if (v->count)
            memcpy(list, v->list, v->count * sizeof *list);
        v->list = list;
        v->room = room;
    }
    v->list[v->count++] = value;
}

/* --- rules as a whole ----------------------------------------------------------------------- */

void rules_open(struct rules *r, const struct rules *more) {
    *r = (struct rules){ .arena = arena_open() };
    r->patterns = patterns_new(r->arena, more ? more->patterns : NULL);
    if (!more)
        return;
    r->causes = more->causes;
    r->families = more->families;
    r->causes.room = r->families.room = 0; /* the lists are copied before they grow */
}

void rules_close(struct rules *r) {
    arena_close(&r->arena);
    *r = (struct rules){ 0 };
}

static enum rc read_pattern(struct reader *r, struct values *into, struct bytes value) {
    struct bytes undefined;
    struct pattern *pattern = pattern_new(r->rules->patterns, value, &undefined);
    if (!pattern)
        return wrong(r, "no such let", undefined);
    const char *mistake = r->rules->trusted ? NULL : pattern_wrong(pattern);
    if (mistake)
        return wrong(r, mistake, value);
    values_add(r->rules->arena, into, pattern);
    return OK;
}

/* --- values --------------------------------------------------------------------------------- */

static enum rc read_list(struct reader *r, struct values *into, struct bytes value) {
    struct bytes item;
    while (bytes_split(&value, ' ', &item))
        if (item.len)
            values_add(r->rules->arena, into, (void *)arena_str(r->rules->arena, item));
    return OK;
}

static const char *const who_names[] = { "sender",          "sender-admin",  "recipient",
                                         "recipient-admin", "network-owner", "server-admin",
                                         "nobody" };

/* The coarse names that other tools give to bounces; docs/causes.md publishes which cause is which. */
static const char *const reason_names[] = {
    "authfailure",     "badreputation", "blocked",        "contenterror",    "delivered",
    "exceedlimit",     "expired",       "failedstarttls", "feedback",        "filtered",
    "hasmoved",        "hostunknown",   "mailboxfull",    "mailererror",     "mesgtoobig",
    "networkerror",    "norelaying",    "notaccept",      "notcompliantrfc", "onhold",
    "policyviolation", "rejected",      "requireptr",     "securityerror",   "spamdetected",
    "speeding",        "suppressed",    "suspend",        "syntaxerror",     "systemerror",
    "systemfull",      "toomanyconn",   "undefined",      "userunknown",     "vacation",
    "virusdetected"
};
static const char *const severity_names[] = { "info", "warning", "error" };

/* The one of the names that the value is, or NULL. */
static const char *one_of(const char *const *names, size_t count, struct bytes value) {
    for (size_t i = 0; i < count; i++)
        if (bytes_equal(value, bytes_str(names[i])))
            return names[i];
    return NULL;
}

static enum rc read_who(struct reader *r, struct meaning *m, struct bytes value) {
    m->who = one_of(who_names, COUNT_OF(who_names), value);
    return m->who ? OK : wrong(r, "who must be one of sender, sender-admin, ...; not", value);
}

static enum rc read_severity(struct reader *r, struct meaning *m, struct bytes value) {
    m->severity = one_of(severity_names, COUNT_OF(severity_names), value);
    return m->severity ? OK : wrong(r, "severity must be info, warning or error; not", value);
}

static enum rc read_reason(struct reader *r, struct meaning *m, struct bytes value) {
    m->reason = one_of(reason_names, COUNT_OF(reason_names), value);
    return m->reason ? OK : wrong(r, "no such reason", value);
}

static enum rc read_permanent(struct reader *r, struct meaning *m, struct bytes value) {
    m->permanent = bytes_equal(value, B("yes"))       ? LASTING_YES
                   : bytes_equal(value, B("no"))      ? LASTING_NO
                   : bytes_equal(value, B("as-said")) ? LASTING_AS_SAID
                                                      : LASTING_UNSAID;
    return m->permanent ? OK : wrong(r, "permanent must be yes, no or as-said; not", value);
}

/* "0.97", "1.00" */
static enum rc read_confidence(struct reader *r, struct bytes value) {
    uint64_t whole, hundredths;
    struct bytes rest = value, head;
    bytes_split(&rest, '.', &head);
    if (!bytes_to_u64(head, 1, &whole) || rest.len != 2 || !bytes_to_u64(rest, 99, &hundredths) ||
        (whole && hundredths))
        return wrong(r, "confidence must be between 0.00 and 1.00; not", value);
    r->rule->confidence = (double)(whole * 100 + hundredths) / 100;
    return OK;
}

static enum rc read_yes_no(struct reader *r, const char *what, int *into, struct bytes value) {
    *into = bytes_equal(value, B("yes")) ? 1 : bytes_equal(value, B("no")) ? 0 : -1;
    return *into >= 0 ? OK : wrong(r, what, value);
}

static enum rc read_mx(struct reader *r, struct bytes value) {
    r->rule->mx = bytes_equal(value, B("yes"))  ? REPLY_MX_YES
                  : bytes_equal(value, B("no")) ? REPLY_MX_NO
                                                : REPLY_MX_UNKNOWN;
    return r->rule->mx ? OK : wrong(r, "mx must be yes or no; not", value);
}

/* --- keywords ------------------------------------------------------------------------------- */

static bool is_named(const char *name, struct bytes wanted) {
    return strncmp(name, wanted.at ? wanted.at : "", wanted.len) == 0 && strlen(name) == wanted.len;
}

const struct cause *rules_find_cause(const struct rules *r, struct bytes name) {
    for (size_t i = 0; i < r->causes.count; i++) {
        const struct cause *c = r->causes.list[i];
        if (is_named(c->name, name))
            return c;
    }
    return NULL;
}

const struct family *rules_find_family(const struct rules *r, struct bytes name) {
    for (size_t i = 0; i < r->families.count; i++) {
        const struct family *f = r->families.list[i];
        if (is_named(f->name, name))
            return f;
    }
    return NULL;
}

static bool rule_exists(const struct rules *r, struct bytes name) {
    for (size_t i = 0; i < r->rules.count; i++)
        if (is_named(((struct rule *)r->rules.list[i])->name, name))
            return true;
    return false;
}

static enum rc begin_let(struct reader *r, struct bytes value) {
    struct bytes name;
    bytes_split(&value, ' ', &name);
    if (!pattern_let(r->rules->patterns, name, bytes_trim(value)))
        return wrong(r, "let needs a new name and a pattern", name);
    return OK;
}

/* A rule that nothing limits would swallow all that stands behind it. */
static enum rc end_rule(struct reader *r) {
    const struct rule *rule = r->rule;
    r->rule = NULL;
    r->cause = NULL;
    r->family = NULL;
    if (!rule)
        return OK;
    if (!rule->cause)
        return wrong(r, "no cause in the rule that ends here", bytes_str(rule->name));
    if (!rule->codes.count && !rule->enhanced.count && !rule->words.count && !rule->actions.count)
        return wrong(r, "no code, enhanced or words in the rule that ends here",
                     bytes_str(rule->name));
    return OK;
}

static enum rc begin_cause(struct reader *r, struct bytes name) {
    enum rc rc = end_rule(r);
    if (rc != OK)
        return rc;
    if (!name.len || rules_find_cause(r->rules, name))
        return wrong(r, "cause needs a new name", name);
    r->cause = ARENA_NEW(r->rules->arena, struct cause);
    *r->cause = (struct cause){ .name = arena_str(r->rules->arena, name) };
    r->cause->meaning = (struct meaning){ .who = "nobody", .permanent = LASTING_AS_SAID };
    r->cause->meaning.explanation = "";
    values_add(r->rules->arena, &r->rules->causes, r->cause);
    return OK;
}

static enum rc begin_family(struct reader *r, struct bytes name) {
    enum rc rc = end_rule(r);
    if (rc != OK)
        return rc;
    if (rules_find_family(r->rules, name))
        return wrong(r, "family needs a new name", name);
    r->family = ARENA_NEW(r->rules->arena, struct family);
    r->family->name = r->family->title = arena_str(r->rules->arena, name);
    values_add(r->rules->arena, &r->rules->families, r->family);
    return OK;
}

static enum rc begin_rule(struct reader *r, struct bytes name) {
    enum rc rc = end_rule(r);
    if (rc != OK)
        return rc;
    if (!name.len || rule_exists(r->rules, name))
        return wrong(r, "rule needs a new name", name);
    r->rule = ARENA_NEW(r->rules->arena, struct rule);
    *r->rule = (struct rule){ .name = arena_str(r->rules->arena, name), .line = r->line };
    r->rule->submission = r->rule->login = -1;
    r->rule->confidence = 0.90;
    values_add(r->rules->arena, &r->rules->rules, r->rule);
    return OK;
}

static enum rc set_cause(struct reader *r, const struct cause **cause, struct bytes name) {
    *cause = rules_find_cause(r->rules, name);
    return *cause ? OK : wrong(r, "no such cause", name);
}

/* The families that a rule is about, which must be known. */
static enum rc read_servers(struct reader *r, struct bytes value) {
    struct bytes item;
    while (bytes_split(&value, ' ', &item)) {
        const struct family *family = item.len ? rules_find_family(r->rules, item) : NULL;
        if (item.len && !family)
            return wrong(r, "no such family", item);
        if (family)
            values_add(r->rules->arena, &r->rule->families, (void *)family);
    }
    return OK;
}

enum keyword {
    KEY_CAUSE,
    KEY_RULE,
    KEY_LET,
    KEY_FAMILY,
    KEY_WHO,
    KEY_PERMANENT,
    KEY_SEVERITY,
    KEY_REASON,
    KEY_EXPLANATION,
    KEY_FIX,
    KEY_ELSEWHERE,
    KEY_TEXTS,
    KEY_TITLE,
    KEY_CONFIDENCE,
    KEY_SUBMISSION,
    KEY_LOGIN,
    KEY_MX,
    KEY_DIRECT,
    KEY_SERVER,
    KEY_LIST,
    KEY_PATTERN,
};
/* Where a keyword may stand: one bit each. */
enum place { AT_TOP = 1, IN_CAUSE = 2, IN_RULE = 4, IN_FAMILY = 8, ANYWHERE = 15 };

static const struct keyword_row {
    struct bytes name;
    enum keyword keyword;
    unsigned places;
    size_t values; /* offset in the struct of the place, of lists, texts and patterns */
} keywords[] = {
    { { "let", 3 }, KEY_LET, ANYWHERE, 0 },
    { { "cause", 5 }, KEY_CAUSE, ANYWHERE, 0 },
    { { "rule", 4 }, KEY_RULE, ANYWHERE, 0 },
    { { "family", 6 }, KEY_FAMILY, ANYWHERE, 0 },
    { { "who", 3 }, KEY_WHO, IN_CAUSE | IN_RULE, 0 },
    { { "permanent", 9 }, KEY_PERMANENT, IN_CAUSE | IN_RULE, 0 },
    { { "severity", 8 }, KEY_SEVERITY, IN_CAUSE | IN_RULE, 0 },
    { { "reason", 6 }, KEY_REASON, IN_CAUSE | IN_RULE, 0 },
    { { "explanation", 11 }, KEY_EXPLANATION, IN_CAUSE | IN_RULE, 0 },
    { { "fix", 3 }, KEY_FIX, IN_CAUSE | IN_RULE, 0 },
    { { "elsewhere", 9 }, KEY_ELSEWHERE, IN_CAUSE, 0 },
    { { "sees", 4 }, KEY_TEXTS, IN_CAUSE, offsetof(struct cause, sees) },
    { { "because", 7 }, KEY_TEXTS, IN_CAUSE, offsetof(struct cause, because) },
    { { "prevent", 7 }, KEY_TEXTS, IN_CAUSE, offsetof(struct cause, prevents) },
    { { "title", 5 }, KEY_TITLE, IN_FAMILY, 0 },
    { { "words", 5 }, KEY_PATTERN, IN_FAMILY, offsetof(struct family, words) },
    { { "host", 4 }, KEY_PATTERN, IN_FAMILY, offsetof(struct family, hosts) },
    { { "banner", 6 }, KEY_PATTERN, IN_FAMILY, offsetof(struct family, banners) },
    { { "confidence", 10 }, KEY_CONFIDENCE, IN_RULE, 0 },
    { { "submission", 10 }, KEY_SUBMISSION, IN_RULE, 0 },
    { { "login", 5 }, KEY_LOGIN, IN_RULE, 0 },
    { { "mx", 2 }, KEY_MX, IN_RULE, 0 },
    { { "direct", 6 }, KEY_DIRECT, IN_RULE, 0 },
    { { "server", 6 }, KEY_SERVER, IN_RULE, 0 },
    { { "code", 4 }, KEY_LIST, IN_RULE, offsetof(struct rule, codes) },
    { { "enhanced", 8 }, KEY_LIST, IN_RULE, offsetof(struct rule, enhanced) },
    { { "step", 4 }, KEY_LIST, IN_RULE, offsetof(struct rule, steps) },
    { { "action", 6 }, KEY_LIST, IN_RULE, offsetof(struct rule, actions) },
    { { "words", 5 }, KEY_PATTERN, IN_RULE, offsetof(struct rule, words) },
    { { "also", 4 }, KEY_PATTERN, IN_RULE, offsetof(struct rule, also) },
    { { "not", 3 }, KEY_PATTERN, IN_RULE, offsetof(struct rule, not_) },
    { { "host", 4 }, KEY_PATTERN, IN_RULE, offsetof(struct rule, hosts) },
};

static enum place place(const struct reader *r) {
    return r->rule ? IN_RULE : r->cause ? IN_CAUSE : r->family ? IN_FAMILY : AT_TOP;
}

static struct values *values_of(struct reader *r, const struct keyword_row *k) {
    void *owner = r->rule ? (void *)r->rule : r->cause ? (void *)r->cause : (void *)r->family;
    return (struct values *)(void *)((char *)owner + k->values);
}

/* What begins something, or ends what stood before it. */
static enum rc read_beginning(struct reader *r, enum keyword keyword, struct bytes value) {
    switch (keyword) {
    case KEY_LET:
        return begin_let(r, value);
    case KEY_CAUSE:
        return r->rule && !r->rule->cause ? set_cause(r, &r->rule->cause, value)
                                          : begin_cause(r, value);
    case KEY_FAMILY:
        return begin_family(r, value);
    default:
        return begin_rule(r, value);
    }
}

/* What a cause says, and a rule may say otherwise. */
static enum rc read_meaning(struct reader *r, const struct keyword_row *k, struct bytes value) {
    struct arena *a = r->rules->arena;
    struct meaning *m = r->rule ? &r->rule->meaning : &r->cause->meaning;
    switch (k->keyword) {
    case KEY_WHO:
        return read_who(r, m, value);
    case KEY_PERMANENT:
        return read_permanent(r, m, value);
    case KEY_SEVERITY:
        return read_severity(r, m, value);
    case KEY_REASON:
        return read_reason(r, m, value);
    case KEY_EXPLANATION:
        m->explanation = arena_str(a, value);
        return OK;
    case KEY_FIX:
        values_add(a, &m->fixes, (void *)arena_str(a, value));
        return OK;
    case KEY_ELSEWHERE:
        return set_cause(r, &r->cause->elsewhere, value);
    default:
        values_add(a, values_of(r, k), (void *)arena_str(a, value));
        return OK;
    }
}

/* The conditions of a rule or family. */
static enum rc read_condition(struct reader *r, const struct keyword_row *k, struct bytes value) {
    switch (k->keyword) {
    case KEY_TITLE:
        r->family->title = arena_str(r->rules->arena, value);
        return OK;
    case KEY_CONFIDENCE:
        return read_confidence(r, value);
    case KEY_SUBMISSION:
        return read_yes_no(r, "submission must be yes or no; not", &r->rule->submission, value);
    case KEY_LOGIN:
        return read_yes_no(r, "login must be yes or no; not", &r->rule->login, value);
    case KEY_MX:
        return read_mx(r, value);
    case KEY_DIRECT:
        return set_cause(r, &r->rule->direct, value);
    case KEY_SERVER:
        return read_servers(r, value);
    case KEY_PATTERN:
        return read_pattern(r, values_of(r, k), value);
    default:
        return read_list(r, values_of(r, k), value);
    }
}

static enum rc read_keyword(struct reader *r, const struct keyword_row *k, struct bytes value) {
    if (!value.len)
        return wrong(r, "needs a value", k->name);
    if (k->keyword <= KEY_FAMILY)
        return read_beginning(r, k->keyword, value);
    return k->keyword < KEY_TITLE ? read_meaning(r, k, value) : read_condition(r, k, value);
}

static enum rc read_statement(struct reader *r, struct bytes statement) {
    size_t len = 0;
    bool known = false;
    while (len < statement.len && statement.at[len] != ' ' && statement.at[len] != '\t')
        len++;
    struct bytes word = bytes_first(statement, len);
    for (size_t i = 0; i < COUNT_OF(keywords); i++) {
        if (!bytes_equal(keywords[i].name, word))
            continue;
        known = true;
        if (keywords[i].places & place(r))
            return read_keyword(r, &keywords[i], bytes_trim(bytes_skip(statement, len)));
    }
    return wrong(r, known ? "this belongs in a rule, cause or family" : "no such keyword", word);
}

/* --- lines ---------------------------------------------------------------------------------- */

/* Takes the next line that says something; false at the end. */
static bool next_line(struct bytes *rest, int *line, struct bytes *out) {
    while (bytes_split(rest, '\n', out)) {
        ++*line;
        *out = bytes_trim(*out);
        if (out->len && out->at[0] != '#')
            return true;
    }
    return false;
}

enum rc rules_read(struct rules *rules, const char *file, struct bytes text, struct why *why) {
    struct reader r = { .rules = rules, .file = file, .why = why };
    struct buf statement = buf_grow(LINE_MAX_OCTETS);
    struct bytes rest = text, line;
    enum rc rc = OK;
    int at = 0;
    bool more = next_line(&rest, &at, &line);
    while (more && rc == OK) {
        r.line = at;
        buf_clear(&statement);
        buf_add(&statement, line);
        while ((more = next_line(&rest, &at, &line)) && line.at[0] == '+') {
            buf_char(&statement, ' ');
            buf_add(&statement, bytes_trim(bytes_skip(line, 1)));
        }
        rc = statement.full ? wrong(&r, "too long", BYTES_NONE)
                            : read_statement(&r, buf_bytes(&statement));
    }
    buf_free(&statement);
    return rc == OK ? end_rule(&r) : rc;
}
