/* knowledge: finding the rule that fits a reply. This file knows how a reply's text is made ready
 * for the rules (repeated codes gone, blanks single, local parts of addresses gone) and how code,
 * enhanced code and step are compared; what replies mean stands in data/replies. */
#include "reply/knowledge.h"

#include "base/buf.h"
#include "base/must.h"
#include "reply/rules.h"

#include <string.h>

enum { TEXT_MAX = 2048 };

/* What came from the operator's file stands before what is built in. */
static struct rules operators, built_in;

/* A reply, made ready. */
struct subject {
    int code;
    struct status status;
    char text[TEXT_MAX];
    size_t length;
    const char *command;
    const struct family *family;
    const struct reply_facts *facts;
};

/* --- the rules ------------------------------------------------------------------------------ */

static void open_built_in(void) {
    struct why why;
    if (built_in.arena)
        return;
    rules_open(&built_in, NULL);
    built_in.trusted = true; /* the unit tests compile them all */
    for (const struct embedded *e = replies_rules; e->name; e++)
        MUST(rules_read(&built_in, e->name, bytes_of(e->octets, e->size), &why) == OK);
}

enum rc reply_learn(const char *file, struct bytes text, struct why *why) {
    struct rules fresh;
    open_built_in();
    rules_open(&fresh, &built_in);
    enum rc rc = rules_read(&fresh, file, text, why);
    if (rc != OK) {
        rules_close(&fresh);
        return rc;
    }
    rules_close(&operators);
    operators = fresh;
    return OK;
}

void reply_forget(void) {
    rules_close(&operators);
    rules_close(&built_in);
}

/* --- making the text ready ------------------------------------------------------------------ */

static bool is_blank(char c) {
    return (unsigned char)c <= ' ' || c == 127;
}

static bool ends_word(struct bytes text, size_t at) {
    return at >= text.len || is_blank(text.at[at]);
}

/* Does "550 " or "550-" stand here? */
static size_t code_length(struct bytes text) {
    bool digits = text.len >= 3 && text.at[0] >= '2' && text.at[0] <= '5' &&
                  ascii_is_digit(text.at[1]) && ascii_is_digit(text.at[2]);
    if (!digits || !(ends_word(text, 3) || text.at[3] == '-'))
        return 0;
    return text.len > 3 ? 4 : 3;
}

static int code_at(struct bytes text) {
    return (text.at[0] - '0') * 100 + (text.at[1] - '0') * 10 + (text.at[2] - '0');
}

/* The length of digits and dots from here. */
static struct bytes dotted(struct bytes text) {
    size_t len = 0;
    while (len < text.len && (ascii_is_digit(text.at[len]) || text.at[len] == '.'))
        len++;
    while (len > 0 && text.at[len - 1] == '.')
        len--;
    return bytes_first(text, len);
}

/* The first enhanced code in the text that is not part of something longer, such as an address. */
static struct status find_status(struct bytes text, int code) {
    struct status status;
    for (size_t i = 0; i < text.len; i++) {
        if (!ascii_is_digit(text.at[i]))
            continue;
        bool begins = i == 0 || is_blank(text.at[i - 1]) || strchr("#([<\"'", text.at[i - 1]);
        struct bytes number = dotted(bytes_skip(text, i));
        size_t end = i + number.len;
        bool ends = ends_word(text, end) || strchr(")]>\"',;:.-", text.at[end]);
        if (begins && ends && status_parse(number, &status) &&
            (code < 200 || status.klass == code / 100))
            return status;
        i = end;
    }
    return (struct status){ 0 };
}

/* Codes that a server repeats on each line, and the same in front of the text. */
static size_t repeated_code(const struct subject *s, struct bytes text, const char *status) {
    size_t length = code_length(text);
    if (length && code_at(text) == s->code)
        return length;
    length = strlen(status);
    if (length && bytes_starts(text, bytes_str(status)) && ends_word(text, length))
        return length;
    return 0;
}

/* Takes the local part that has just been written off again: user@host becomes @host. */
static void drop_local_part(struct subject *s) {
    size_t len = s->length;
    while (len > 0 && !is_blank(s->text[len - 1]) && !strchr("<>()[]:;,\"'", s->text[len - 1]))
        len--;
    s->length = len;
}

static void prepare(struct subject *s, const struct reply_facts *facts) {
    struct bytes text = bytes_trim(facts->text);
    *s = (struct subject){ .code = facts->code, .status = facts->status, .facts = facts };
    s->command = facts->command;
    if (!s->code && code_length(text))
        s->code = code_at(text);
    if (!status_is_set(s->status))
        s->status = find_status(text, s->code);
    char status[12];
    status_format(s->status, status);
    bool at_word = true;
    for (size_t i = 0; i < text.len && s->length + 2 < TEXT_MAX;) {
        size_t skip = at_word ? repeated_code(s, bytes_skip(text, i), status) : 0;
        if (skip) {
            i += skip;
            continue;
        }
        char c = text.at[i++];
        if (is_blank(c)) {
            if (!at_word)
                s->text[s->length++] = ' ';
            at_word = true;
            continue;
        }
        at_word = false;
        if (c == '@')
            drop_local_part(s);
        s->text[s->length++] = c;
    }
    if (s->length && s->text[s->length - 1] == ' ')
        s->length--;
}

/* --- comparing ------------------------------------------------------------------------------ */

/* In the text that was looked at. */
static bool any_found(const struct values *patterns, struct bytes text) {
    for (size_t i = 0; i < patterns->count; i++)
        if (pattern_found(patterns->list[i], text))
            return true;
    return false;
}

static bool any_matches(const struct values *patterns, struct bytes text) {
    for (size_t i = 0; i < patterns->count && text.len; i++)
        if (pattern_matches(patterns->list[i], text))
            return true;
    return false;
}

/* "550", "5..": a dot stands for any digit. */
static bool code_fits(const char *pattern, int code) {
    char text[8];
    struct buf b = buf_fixed(text, sizeof text);
    buf_u64(&b, (uint64_t)(code < 0 || code > 999 ? 0 : code));
    for (size_t i = 0; i < 3; i++)
        if (i >= b.len || (pattern[i] != '.' && pattern[i] != text[i]))
            return false;
    return true;
}

static bool number_fits(struct bytes pattern, unsigned number) {
    uint64_t wanted;
    return bytes_equal(pattern, B("*")) ||
           (bytes_to_u64(pattern, 999, &wanted) && wanted == number);
}

static bool status_fits(const char *pattern, struct status s) {
    struct bytes rest = bytes_str(pattern), klass, subject;
    if (!status_is_set(s))
        return false;
    bytes_split(&rest, '.', &klass);
    bytes_split(&rest, '.', &subject);
    return number_fits(klass, s.klass) && number_fits(subject, s.subject) &&
           number_fits(rest, s.detail);
}

/* The names deliver and the tables of replies use for the same step. */
static struct bytes step_name(const char *command) {
    static const char *const others[][2] = {
        { "HELO", "EHLO" }, { "LHLO", "EHLO" }, { "end of data", "end" }, { "BDAT", "end" }
    };
    for (size_t i = 0; i < COUNT_OF(others); i++)
        if (bytes_equal_nocase(bytes_str(command), bytes_str(others[i][0])))
            return bytes_str(others[i][1]);
    return bytes_str(command);
}

/* When nobody knows the step, words may still say enough. */
static bool step_fits(const struct rule *r, const char *command) {
    const struct values *steps = &r->steps;
    if (!steps->count || !command)
        return !steps->count || r->words.count;
    struct bytes step = step_name(command);
    for (size_t i = 0; i < steps->count; i++)
        if (bytes_equal_nocase(bytes_str(steps->list[i]), step))
            return true;
    return false;
}

static bool any_code_fits(const struct values *codes, int code) {
    for (size_t i = 0; i < codes->count; i++)
        if (code_fits(codes->list[i], code))
            return true;
    return codes->count == 0;
}

static bool any_status_fits(const struct values *enhanced, struct status status) {
    for (size_t i = 0; i < enhanced->count; i++)
        if (status_fits(enhanced->list[i], status))
            return true;
    return enhanced->count == 0;
}

static bool is_family(const struct values *families, const struct family *family) {
    for (size_t i = 0; i < families->count; i++)
        if (families->list[i] == family)
            return true;
    return families->count == 0;
}

static bool facts_fit(const struct rule *r, const struct subject *s) {
    const struct reply_facts *f = s->facts;
    return (r->submission < 0 || r->submission == (int)f->submission) &&
           (r->login < 0 || r->login == (int)f->logged_in) && (!r->mx || r->mx == f->mx) &&
           is_family(&r->families, s->family);
}

/* Cheap conditions first. */
static bool rule_fits(const struct rule *r, const struct subject *s) {
    struct bytes text = bytes_of(s->text, s->length);
    if (!facts_fit(r, s))
        return false;
    if (!any_code_fits(&r->codes, s->code) || !any_status_fits(&r->enhanced, s->status))
        return false;
    if (!step_fits(r, s->command))
        return false;
    if (r->hosts.count && !any_matches(&r->hosts, s->facts->host))
        return false;
    if (r->words.count && !any_found(&r->words, text))
        return false;
    for (size_t i = 0; i < r->also.count; i++)
        if (!pattern_found(r->also.list[i], text))
            return false;
    return !any_found(&r->not_, text);
}

static const struct rule *find_rule(const struct rules *rules, const struct subject *s) {
    for (size_t i = 0; i < rules->rules.count; i++)
        if (rule_fits(rules->rules.list[i], s))
            return rules->rules.list[i];
    return NULL;
}

/* The first family whose manner of speaking, name or greeting this is. */
static const struct family *find_family(const struct rules *rules, const struct subject *s) {
    for (size_t i = 0; i < rules->families.count; i++) {
        const struct family *f = rules->families.list[i];
        if (any_matches(&f->hosts, s->facts->host) || any_matches(&f->banners, s->facts->banner) ||
            any_found(&f->words, bytes_of(s->text, s->length)))
            return f;
    }
    return NULL;
}

/* --- the answer ----------------------------------------------------------------------------- */

static const char *const nothing_listed[] = { NULL };

static const char *const *texts(const struct values *v) {
    return v->count ? (const char *const *)v->list : nothing_listed;
}

static bool is_permanent(enum lasting lasting, const struct subject *s) {
    if (lasting == LASTING_YES || lasting == LASTING_NO)
        return lasting == LASTING_YES;
    return s->code ? s->code >= 500 : s->status.klass == 5;
}

static int said_permanent(const struct subject *s) {
    if (s->code >= 400)
        return s->code >= 500;
    return s->status.klass == 4 || s->status.klass == 5 ? s->status.klass == 5 : -1;
}

/* A server that we found by the recipient's own MX record cannot mean that we ought to log in. */
static bool is_direct(const struct rule *r, const struct reply_facts *facts) {
    return r->direct && !facts->logged_in && facts->mx != REPLY_MX_NO &&
           (facts->mx == REPLY_MX_YES || (facts->ours_is_client && !facts->submission));
}

/* A server that does not serve the recipient's domain cannot know its mailboxes: what it refuses at
 * RCPT, it refuses to pass on, whatever it says. */
static bool is_elsewhere(const struct cause *cause, const struct subject *s) {
    return cause->elsewhere && s->code >= 400 && s->facts->mx == REPLY_MX_NO &&
           !s->facts->logged_in && s->command &&
           bytes_equal_nocase(bytes_str(s->command), B("RCPT"));
}

static void answer(struct reply_meaning *out, const struct rule *rule, const struct subject *s) {
    static const struct meaning none;
    const struct cause *cause =
        rule->cause ? rule->cause : rules_find_cause(&built_in, B("unknown"));
    const struct meaning *own = &rule->meaning;
    double confidence = rule->confidence;
    if (is_direct(rule, s->facts)) {
        cause = rule->direct;
        own = &none;
    } else if (is_elsewhere(cause, s)) {
        cause = cause->elsewhere;
        own = &none;
        confidence = rule->confidence > 0.6 ? 0.85 : 0.6;
    }
    const struct meaning *usual = &cause->meaning;
    bool permanent = is_permanent(own->permanent ? own->permanent : usual->permanent, s);
    const char *severity = own->severity ? own->severity : usual->severity;
    *out = (struct reply_meaning){
        .cause = cause->name,
        .who = own->who ? own->who : usual->who,
        .permanent = permanent,
        .said_permanent = said_permanent(s),
        .severity = severity    ? severity
                    : permanent ? "error"
                                : "warning",
        .reason = own->reason     ? own->reason
                  : usual->reason ? usual->reason
                                  : "undefined",
        .family = s->family ? s->family->name : NULL,
        .family_title = s->family ? s->family->title : NULL,
        .confidence = confidence,
        .rule = rule->name,
        .explanation = own->explanation ? own->explanation : usual->explanation,
        .fixes = texts(own->fixes.count ? &own->fixes : &usual->fixes),
        .code = s->code,
        .status = s->status,
        .command = s->command,
    };
}

static void look(const struct subject *s) {
    patterns_look(built_in.patterns, bytes_of(s->text, s->length));
    if (operators.arena)
        patterns_look(operators.patterns, bytes_of(s->text, s->length));
}

const struct reply_meaning *reply_explain(const struct reply_facts *facts) {
    static const struct rule nothing = { .name = "none", .confidence = 0.10 };
    static struct reply_meaning result;
    static struct subject subject;
    open_built_in();
    prepare(&subject, facts);
    look(&subject);
    subject.family = find_family(operators.arena ? &operators : &built_in, &subject);
    const struct rule *rule = find_rule(&operators, &subject);
    if (!rule)
        rule = find_rule(&built_in, &subject);
    answer(&result, rule ? rule : &nothing, &subject);
    return &result;
}

/* --- the causes ----------------------------------------------------------------------------- */

static void tell_cause(const struct cause *c, struct reply_cause *out) {
    static const char *const lasting[] = { "as-said", "yes", "no", "as-said" };
    const struct meaning *m = &c->meaning;
    *out = (struct reply_cause){
        .name = c->name,
        .who = m->who,
        .permanent = lasting[m->permanent],
        .severity = m->severity                  ? m->severity
                    : m->permanent == LASTING_NO ? "warning"
                                                 : "error",
        .reason = m->reason ? m->reason : "undefined",
        .explanation = m->explanation,
        .fixes = texts(&m->fixes),
        .sees = texts(&c->sees),
        .because = texts(&c->because),
        .prevents = texts(&c->prevents),
    };
}

static const struct rules *all_causes(void) {
    open_built_in();
    return operators.arena ? &operators : &built_in;
}

bool reply_cause_at(size_t index, struct reply_cause *out) {
    const struct rules *rules = all_causes();
    if (index >= rules->causes.count)
        return false;
    tell_cause(rules->causes.list[index], out);
    return true;
}

bool reply_cause_find(const char *name, struct reply_cause *out) {
    const struct cause *cause = rules_find_cause(all_causes(), bytes_str(name));
    if (cause)
        tell_cause(cause, out);
    return cause != NULL;
}
