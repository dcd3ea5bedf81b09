/* spf_evaluate: check_host() of RFC 7208 section 4. What a DNS answer means for the result is known here alone. */
#include "base/list.h"
#include "base/map.h"
#include "base/must.h"
#include "trust/spf_internal.h"

#include <string.h>

enum { TRAIL_MAX = 900, EXPLANATION_MAX = 400 };

struct run {
    const struct spf_who *who;
    spf_find *find;
    void *ctx;
    struct arena *arena;
    unsigned lookups, voids;
    bool more;
    struct bytes problem;
};

/* Of one record and what it led to. */
struct outcome {
    enum spf_result result;
    struct bytes domain, record, term, trail;
    struct bytes exp; /* of the record that decided, with its macros */
};
enum match { MATCH_NO, MATCH_YES, MATCH_TEMP, MATCH_PERM, MATCH_MORE };

static struct outcome check_host(struct run *r, struct bytes domain);

/* --- names and answers ---------------------------------------------------------------------------------- */

bool spf_is_name(struct bytes name) {
    struct bytes label;
    if (!name.len || name.len > SPF_NAME_MAX)
        return false;
    while (bytes_split(&name, '.', &label))
        if (!label.len || label.len > SPF_LABEL_MAX || bytes_find(label, '\0') >= 0)
            return false;
    return true;
}

bool spf_is_below(struct bytes name, struct bytes parent) {
    if (!bytes_ends_nocase(name, parent))
        return false;
    return name.len == parent.len || name.at[name.len - parent.len - 1] == '.';
}

unsigned spf_address_type(struct addr client) {
    return addr_fold(client).family == 6 ? SPF_TYPE_AAAA : SPF_TYPE_A;
}

static const struct spf_answer *ask(struct run *r, struct bytes name, unsigned type) {
    const struct spf_answer *answer =
        r->find(r->ctx, &(struct spf_question){ arena_lower(r->arena, name), type });
    r->more |= !answer;
    return answer;
}

static enum match perm(struct run *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static enum match perm(struct run *r, const char *format, ...) {
    va_list args;
    va_start(args, format);
    r->problem = arena_vprintf(r->arena, format, args);
    va_end(args);
    return MATCH_PERM;
}

static enum match temp(struct run *r, struct bytes name, const char *what) {
    r->problem = arena_printf(r->arena, "the DNS gave no answer for the %s of %.*s", what,
                              BYTES_FMT(bytes_first(name, SPF_NAME_MAX)));
    return MATCH_TEMP;
}

/* Section 4.6.4. */
static bool is_void(struct run *r, const struct spf_answer *answer) {
    if (!answer->count)
        r->voids++;
    return r->voids > SPF_VOIDS_MAX;
}

static enum match too_many_voids(struct run *r) {
    return perm(r, "more than %d of its terms ask for what is not there", SPF_VOIDS_MAX);
}

static bool has_address(const struct spf_answer *answer, struct run *r, const struct spf_term *t) {
    unsigned bits = addr_fold(r->who->client).family == 6 ? t->bits6 : t->bits4;
    for (size_t i = 0; i < answer->count; i++) {
        struct network n = { addr_fold(answer->list[i].address), bits };
        if (network_contains(n, r->who->client))
            return true;
    }
    return false;
}

struct spf_names spf_validated(struct addr client, spf_find *find, void *ctx, struct arena *a) {
    struct spf_names out = { .rc = OK };
    char memory[100];
    struct buf name = buf_fixed(memory, sizeof memory);
    client = addr_fold(client);
    addr_format_reversed(&name, client);
    buf_str(&name, client.family == 6 ? ".ip6.arpa" : ".in-addr.arpa");
    struct spf_question q = { arena_copy(a, buf_bytes(&name)), SPF_TYPE_PTR };
    const struct spf_answer *pointers = find(ctx, &q);
    if (!pointers || pointers->failed) {
        out.rc = pointers ? TEMP : MORE;
        return out;
    }
    for (size_t i = 0; i < pointers->count && i < SPF_NAMES_MAX; i++) {
        q = (struct spf_question){ arena_lower(a, pointers->list[i].text),
                                   spf_address_type(client) };
        if (!spf_is_name(q.name))
            continue;
        const struct spf_answer *back = find(ctx, &q);
        if (!back)
            out.rc = MORE;
        for (size_t n = 0; back && !back->failed && n < back->count; n++)
            if (addr_equal(addr_fold(back->list[n].address), client)) {
                out.list[out.count++] = q.name;
                break;
            }
    }
    return out;
}

enum spf_trouble spf_fetch(struct bytes domain, spf_find *find, void *ctx, struct bytes *text_out,
                           bool *more) {
    const struct spf_answer *answer = find(ctx, &(struct spf_question){ domain, SPF_TYPE_TXT });
    size_t count = 0;
    *text_out = BYTES_NONE;
    if (!answer) {
        *more = true;
        return SPF_NO_ANSWER;
    }
    if (answer->failed)
        return SPF_NO_ANSWER;
    for (size_t i = 0; i < answer->count; i++)
        if (spf_is_record(answer->list[i].text)) {
            *text_out = answer->list[i].text;
            count++;
        }
    return count == 0 ? SPF_NO_RECORD : count == 1 ? SPF_FINE : SPF_SEVERAL;
}

/* --- mechanisms ------------------------------------------------------------------------------------------- */

/* The domain a term is about: OK; MORE; PERM: a name that cannot be asked for, which matches nobody. */
static enum rc target(struct run *r, struct bytes domain, struct bytes spec, struct bytes *out) {
    *out = domain;
    if (!spec.len)
        return OK;
    enum rc rc = spf_expand(r->who, domain, spec, false, r->find, r->ctx, r->arena, out);
    r->more |= rc == MORE;
    return rc == OK && !spf_is_name(*out) ? PERM : rc;
}

static enum match match_a(struct run *r, const struct spf_term *t, struct bytes name) {
    const struct spf_answer *answer = ask(r, name, spf_address_type(r->who->client));
    if (!answer)
        return MATCH_MORE;
    if (answer->failed)
        return temp(r, name, "address");
    if (is_void(r, answer))
        return too_many_voids(r);
    return has_address(answer, r, t) ? MATCH_YES : MATCH_NO;
}

/* Section 5.4; all hosts are asked for at once. */
static enum match match_mx(struct run *r, const struct spf_term *t, struct bytes name) {
    const struct spf_answer *hosts = ask(r, name, SPF_TYPE_MX), *answer;
    bool more = false, failed = false, found = false;
    if (!hosts)
        return MATCH_MORE;
    if (hosts->failed)
        return temp(r, name, "MX");
    if (is_void(r, hosts))
        return too_many_voids(r);
    if (hosts->count > SPF_NAMES_MAX)
        return perm(r, "%.*s has more than %d MX records, in %.*s", BYTES_FMT(name), SPF_NAMES_MAX,
                    BYTES_FMT(t->text));
    for (size_t i = 0; i < hosts->count; i++) {
        if (!spf_is_name(hosts->list[i].text)) /* null MX */
            continue;
        answer = ask(r, hosts->list[i].text, spf_address_type(r->who->client));
        more |= !answer;
        failed |= answer && answer->failed;
        found |= answer && !answer->failed && has_address(answer, r, t);
    }
    if (more || found) /* whatever the others are */
        return more ? MATCH_MORE : MATCH_YES;
    return failed ? temp(r, name, "MX hosts' addresses") : MATCH_NO;
}

/* Section 5.5: without an answer it does not match. */
static enum match match_ptr(struct run *r, struct bytes name) {
    struct spf_names names = spf_validated(r->who->client, r->find, r->ctx, r->arena);
    if (names.rc == MORE) {
        r->more = true;
        return MATCH_MORE;
    }
    for (size_t i = 0; names.rc == OK && i < names.count; i++)
        if (spf_is_below(names.list[i], name))
            return MATCH_YES;
    return MATCH_NO;
}

static enum match match_exists(struct run *r, struct bytes name) {
    const struct spf_answer *answer = ask(r, name, SPF_TYPE_A); /* for IPv6 too */
    if (!answer)
        return MATCH_MORE;
    if (answer->failed)
        return temp(r, name, "address");
    if (is_void(r, answer))
        return too_many_voids(r);
    return answer->count ? MATCH_YES : MATCH_NO;
}

/* The table of section 5.2. */
static enum match match_include(struct run *r, struct bytes name, struct bytes *trail) {
    struct outcome inner = check_host(r, name);
    if (r->more)
        return MATCH_MORE;
    *trail = inner.trail;
    switch (inner.result) {
    case SPF_PASS:
        return MATCH_YES;
    case SPF_TEMPERROR:
        return MATCH_TEMP;
    case SPF_PERMERROR:
        return MATCH_PERM;
    case SPF_NONE:
        return perm(r, "it includes %.*s, which has no SPF record", BYTES_FMT(name));
    default:
        return MATCH_NO;
    }
}

static enum match count_lookup(struct run *r) {
    if (++r->lookups > SPF_LOOKUPS_MAX)
        return perm(r, "more than %d of its terms ask the DNS", SPF_LOOKUPS_MAX);
    return MATCH_YES;
}

static enum match match_term(struct run *r, struct bytes domain, const struct spf_term *t,
                             struct bytes *trail) {
    struct bytes name;
    if (t->mechanism == SPF_ALL)
        return MATCH_YES;
    if (t->mechanism == SPF_IP4 || t->mechanism == SPF_IP6)
        return network_contains(t->network, r->who->client) ? MATCH_YES : MATCH_NO;
    if (count_lookup(r) == MATCH_PERM)
        return MATCH_PERM;
    enum rc rc = target(r, domain, t->domain, &name);
    if (rc != OK)
        return rc == MORE ? MATCH_MORE : MATCH_NO;
    switch (t->mechanism) {
    case SPF_INCLUDE:
        return match_include(r, name, trail);
    case SPF_A:
        return match_a(r, t, name);
    case SPF_MX:
        return match_mx(r, t, name);
    case SPF_PTR:
        return match_ptr(r, name);
    default:
        return match_exists(r, name);
    }
}

/* --- records ------------------------------------------------------------------------------------------------ */

static enum spf_result of_qualifier(char c) {
    return c == '-' ? SPF_FAIL : c == '~' ? SPF_SOFTFAIL : c == '?' ? SPF_NEUTRAL : SPF_PASS;
}

static struct bytes join_trail(struct run *r, struct bytes term, struct bytes inner) {
    struct bytes joined =
        inner.len ? arena_printf(r->arena, "%.*s > %.*s", BYTES_FMT(term), BYTES_FMT(inner)) : term;
    return bytes_first(joined, TRAIL_MAX);
}

static bool has_all(const struct spf_record *record) {
    for (size_t i = 0; i < record->count; i++)
        if (record->terms[i].mechanism == SPF_ALL)
            return true;
    return false;
}

/* Section 6.1. The redirected record's own exp holds. */
static struct outcome follow(struct run *r, struct outcome own, struct bytes redirect) {
    struct bytes name;
    own.result = SPF_PERMERROR;
    if (count_lookup(r) == MATCH_PERM)
        return own;
    enum rc rc = target(r, own.domain, redirect, &name);
    if (rc == PERM)
        perm(r, "redirect=%.*s leads to no name", BYTES_FMT(redirect));
    if (rc != OK)
        return own;
    struct outcome there = check_host(r, name);
    if (there.result == SPF_NONE) {
        perm(r, "it is redirected to %.*s, which has no SPF record", BYTES_FMT(name));
        return own;
    }
    struct bytes term = arena_printf(r->arena, "redirect=%.*s", BYTES_FMT(redirect));
    there.trail = join_trail(r, term, there.trail);
    return there;
}

static struct outcome evaluate(struct run *r, const struct spf_record *record, struct outcome own) {
    own.result = SPF_NEUTRAL;
    for (size_t i = 0; i < record->count; i++) {
        const struct spf_term *t = &record->terms[i];
        struct bytes inner = BYTES_NONE;
        enum match match = match_term(r, own.domain, t, &inner);
        if (match == MATCH_NO)
            continue;
        own.term = t->text;
        own.trail = join_trail(r, t->text, inner);
        own.result = match == MATCH_YES    ? of_qualifier(t->qualifier)
                     : match == MATCH_PERM ? SPF_PERMERROR
                                           : SPF_TEMPERROR;
        own.exp = record->exp;
        return own;
    }
    if (record->redirect.len && !has_all(record))
        return follow(r, own, record->redirect);
    return own;
}

static struct outcome check_host(struct run *r, struct bytes domain) {
    struct outcome own = { .result = SPF_NONE, .domain = domain };
    struct spf_record record;
    struct bytes text;
    if (!spf_is_name(domain) || bytes_find(domain, '.') < 0) /* section 4.3 */
        return own;
    enum spf_trouble trouble = spf_fetch(domain, r->find, r->ctx, &text, &r->more);
    if (trouble == SPF_NO_ANSWER) {
        temp(r, domain, "SPF record");
        own.result = SPF_TEMPERROR;
    }
    if (trouble == SPF_SEVERAL) {
        perm(r, "%.*s has more than one SPF record", BYTES_FMT(domain));
        own.result = SPF_PERMERROR;
    }
    if (trouble != SPF_FINE)
        return own;
    own.record = text;
    if (spf_parse(text, r->arena, &record) == OK)
        return evaluate(r, &record, own);
    perm(r, "the record of %.*s is wrong at its term %zu: %.*s %s", BYTES_FMT(domain),
         record.wrong_number, BYTES_FMT(bytes_first(record.wrong_term, 100)), record.wrong);
    own.term = record.wrong_term;
    own.result = SPF_PERMERROR;
    return own;
}

/* --- explanations --------------------------------------------------------------------------------------------- */

static bool is_ascii_text(struct bytes text) {
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] < ' ' || text.at[i] > '~')
            return false;
    return true;
}

/* Section 6.2: whatever goes wrong on the way, there is just no explanation. */
static struct bytes explain(struct run *r, const struct outcome *o) {
    struct bytes name, text;
    if (!o->exp.len || target(r, o->domain, o->exp, &name) != OK)
        return BYTES_NONE;
    const struct spf_answer *answer = ask(r, name, SPF_TYPE_TXT);
    if (!answer || answer->failed || answer->count != 1)
        return BYTES_NONE;
    enum rc rc =
        spf_expand(r->who, o->domain, answer->list[0].text, true, r->find, r->ctx, r->arena, &text);
    r->more |= rc == MORE;
    return rc == OK && is_ascii_text(text) ? bytes_first(text, EXPLANATION_MAX) : BYTES_NONE;
}

enum rc spf_evaluate(const struct spf_who *who, spf_find *find, void *ctx, struct arena *a,
                     struct spf_verdict *out) {
    struct run r = { .who = who, .find = find, .ctx = ctx, .arena = a };
    struct bytes domain = who->domain;
    if (domain.len && domain.at[domain.len - 1] == '.')
        domain.len--;
    struct outcome o = check_host(&r, arena_lower(a, domain));
    *out = (struct spf_verdict){ .result = o.result,
                                 .domain = o.domain,
                                 .term = o.term,
                                 .trail = o.trail,
                                 .lookups = r.lookups,
                                 .voids = r.voids };
    if (!r.more && o.result == SPF_FAIL)
        out->explanation = explain(&r, &o);
    if (!r.more && (o.result == SPF_TEMPERROR || o.result == SPF_PERMERROR))
        out->problem = r.problem;
    bool more = false;
    spf_fetch(arena_lower(a, domain), find, ctx, &out->record, &more);
    return r.more ? MORE : OK;
}

/* --- with the answers kept --------------------------------------------------------------------------------------- */

enum { WANTED_MAX = 64 };

struct kept {
    struct kept *next;
    struct spf_question question;
    struct spf_answer answer;
};
struct spf_check {
    struct arena *arena;
    struct spf_who who;
    struct kept *kept;
    size_t wanted_count;
    struct spf_question wanted[WANTED_MAX];
};

static bool same(const struct spf_question *a, const struct spf_question *b) {
    return a->type == b->type && bytes_equal(a->name, b->name);
}

static const struct spf_answer *find_kept(void *ctx, const struct spf_question *q) {
    struct spf_check *c = ctx;
    for (struct kept *k = c->kept; k; k = k->next)
        if (same(&k->question, q))
            return &k->answer;
    for (size_t i = 0; i < c->wanted_count; i++)
        if (same(&c->wanted[i], q))
            return NULL;
    if (c->wanted_count < WANTED_MAX)
        c->wanted[c->wanted_count++] =
            (struct spf_question){ arena_copy(c->arena, q->name), q->type };
    return NULL;
}

struct spf_check *spf_check_open(struct arena *a, const struct spf_who *who) {
    struct spf_check *c = ARENA_NEW(a, struct spf_check);
    c->arena = a;
    c->who = *who;
    c->who.domain = arena_lower(a, who->domain);
    c->who.sender = arena_copy(a, who->sender);
    c->who.helo = arena_copy(a, who->helo);
    c->who.receiver = arena_copy(a, who->receiver);
    return c;
}

enum rc spf_check_run(struct spf_check *c, struct spf_verdict *out) {
    c->wanted_count = 0;
    return spf_evaluate(&c->who, find_kept, c, c->arena, out);
}

size_t spf_check_wanted(const struct spf_check *c, const struct spf_question **list_out) {
    *list_out = c->wanted;
    return c->wanted_count;
}

void spf_check_answer(struct spf_check *c, const struct spf_question *question,
                      const struct spf_answer *answer) {
    struct kept *k = ARENA_NEW(c->arena, struct kept);
    struct spf_data *list =
        answer->count ? ARENA_ARRAY(c->arena, answer->count, struct spf_data) : NULL;
    for (size_t i = 0; i < answer->count; i++) {
        list[i] = answer->list[i];
        list[i].text = arena_copy(c->arena, answer->list[i].text);
    }
    k->question = (struct spf_question){ arena_copy(c->arena, question->name), question->type };
    k->answer = *answer;
    k->answer.list = list;
    k->next = c->kept;
    c->kept = k;
}
