/* knowledge: finding the rule that fits a reply. This file knows how code, enhanced code, step, family
 * and facts are compared; what replies mean stands in data/replies. */
#include "reply/knowledge.h"

#include "base/buf.h"
#include "base/must.h"
#include "reply/rules.h"
#include "reply/subject.h"

#include <string.h>

/* A rule this sure needs no second opinion. */
static const double SURE_ENOUGH = 0.72;

/* What came from the operator's file stands before what is built in. */
static struct rules operators, built_in;

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

/* What a report said had been done; a reply alone says nothing of that. */
static bool action_fits(const struct values *actions, const char *action) {
    for (size_t i = 0; i < actions->count; i++)
        if (action && bytes_equal_nocase(bytes_str(actions->list[i]), bytes_str(action)))
            return true;
    return actions->count == 0;
}

static bool facts_fit(const struct rule *r, const struct subject *s, const struct family *family) {
    const struct reply_facts *f = s->facts;
    return (r->submission < 0 || r->submission == (int)f->submission) &&
           (r->login < 0 || r->login == (int)f->logged_in) && (!r->mx || r->mx == f->mx) &&
           action_fits(&r->actions, f->action) && is_family(&r->families, family);
}

/* Cheap conditions first. */
static bool rule_fits(const struct rule *r, const struct subject *s, const struct family *family) {
    struct bytes text = bytes_of(s->text, s->length);
    if (!facts_fit(r, s, family))
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

static const struct rule *find_rule(const struct rules *rules, const struct subject *s,
                                    const struct family *family) {
    for (size_t i = 0; i < rules->rules.count; i++)
        if (rule_fits(rules->rules.list[i], s, family))
            return rules->rules.list[i];
    return NULL;
}

/* The first family whose manner of speaking, name or greeting this is; the operator's come first. */
static const struct family *find_family(const struct rules *rules, const struct subject *s) {
    size_t count = rules->families.count, first = rules == &operators ? built_in.families.count : 0;
    struct bytes plain = bytes_of(s->plain, s->plain_length);
    patterns_look(built_in.patterns, plain);
    patterns_look(rules->patterns, plain);
    for (size_t i = 0; i < count; i++) {
        const struct family *f = rules->families.list[(first + i) % count];
        if (any_matches(&f->hosts, s->facts->host) || any_matches(&f->banners, s->facts->banner) ||
            any_found(&f->words, plain))
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

static void answer(struct reply_meaning *out, const struct rule *rule, const struct subject *s,
                   const struct family *family) {
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
        .family = family ? family->name : NULL,
        .family_title = family ? family->title : NULL,
        .confidence = confidence,
        .rule = rule->name,
        .explanation = own->explanation ? own->explanation : usual->explanation,
        .fixes = texts(own->fixes.count ? &own->fixes : &usual->fixes),
        .code = s->code,
        .status = s->status,
        .command = s->command,
    };
}

/* The rule that fits one view of the text, and how sure we are of it: the less, the more of what
 * stands around the reply it took. */
static const struct rule *judge(struct subject *s, size_t view, const struct rules *rules,
                                const struct family *family, double *confidence) {
    subject_choose(s, view);
    patterns_look(rules->patterns, bytes_of(s->text, s->length));
    const struct rule *rule = find_rule(rules, s, family);
    *confidence = rule ? rule->confidence - s->views[view].doubt : 0;
    return rule;
}

/* A reply in a longer text is judged by its own words. Where they are vague, what stands around them
 * may say more. */
static const struct rule *best_rule(struct subject *s, const struct rules *rules,
                                    const struct family *family) {
    const struct rule *best = NULL;
    double confidence, most = 0;
    size_t view = 0;
    for (size_t i = 0; i < s->view_count && most < SURE_ENOUGH && rules->arena; i++) {
        const struct rule *rule = judge(s, i, rules, family, &confidence);
        if (rule && (!best || confidence > most)) {
            best = rule;
            most = confidence;
            view = i;
        }
    }
    subject_choose(s, view);
    return best;
}

const struct reply_meaning *reply_explain(const struct reply_facts *facts) {
    static const struct rule nothing = { .name = "none", .confidence = 0.10 };
    static struct reply_meaning result;
    static struct subject subject;
    open_built_in();
    const struct rules *all = operators.arena ? &operators : &built_in;
    subject_read(&subject, facts);
    const struct family *family = find_family(all, &subject);
    const struct rule *rule = best_rule(&subject, &operators, family);
    if (!rule)
        rule = best_rule(&subject, &built_in, family);
    answer(&result, rule ? rule : &nothing, &subject, family);
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
