/* blocklist_ask: one inquiry about all subjects and lists, with each list's own test entries, and what
 * its answers make of the list. This file alone knows when an answer is none. */
#include "doctor/blocklists.h"

#include "base/must.h"

#include <stdlib.h>
#include <string.h>

struct blocklist_look {
    struct arena *arena;
    struct dns_inquiry *inquiry;
    struct blocklist_want want;
    struct dns_entry *entries;
    size_t entry_count;
    size_t (*tests)[2]; /* one a list: the entry that is there, the one that is not; NONE */
    struct blocklist_result *results;
    size_t *questions; /* one a result: its entry */
    size_t count;
    void (*on_done)(void *ctx, const struct blocklist_result *r, size_t count);
    void *ctx;
};
#define NONE SIZE_MAX

const char *blocklist_state_name(enum blocklist_state s) {
    static const char *const names[] = { "clean", "listed", "refused", "dead", "world", "silent" };
    return names[s];
}

/* --- what an answer is ---------------------------------------------------------------------------- */

/* "You may not ask": as the list's own codes have it, else as is usual (127.255.255.0/24, 127.0.0.1 and
 * 127.0.0.255 where those are no codes of its). NULL: it is no such answer. */
static const char *refusal(const struct blocklist *l, struct addr a) {
    const struct blocklist_code *c = l ? blocklist_code(l, a) : NULL;
    if (c)
        return c->refuses ? c->means : NULL;
    if (a.family != 4 || a.ip[0] != 127)
        return NULL;
    if (a.ip[1] == 255 && a.ip[2] == 255)
        return "it refuses to answer us: too many questions, or asked through a public resolver";
    if (a.ip[1] == 0 && a.ip[2] == 0 && (a.ip[3] == 1 || a.ip[3] == 255))
        return "it refuses to answer us";
    return NULL;
}

static const char *any_refusal(const struct blocklist *l, const struct dns_listing *g) {
    for (size_t i = 0; g && i < g->answer_count; i++) {
        const char *because = refusal(l, addr_fold(g->answers[i]));
        if (because)
            return because;
    }
    return NULL;
}

static bool is_astray(const struct dns_listing *g) {
    for (size_t i = 0; g && i < g->answer_count; i++)
        if (g->answers[i].family != 4 || g->answers[i].ip[0] != 127)
            return true;
    return false;
}

static bool is_empty(const struct dns_listing *g) {
    return g && !g->failed && !g->answer_count;
}

static enum blocklist_state judge_clean(const struct blocklist_asked *asked,
                                        const struct dns_listing *listed,
                                        struct blocklist_result *r) {
    if (is_empty(listed) && asked->list && asked->list->registration) {
        r->because = "its own test entry is missing: it answers registered resolvers only";
        return BLOCKLIST_REFUSED;
    }
    if (is_empty(listed)) {
        r->because = "its own test entry is missing: it is dead, or answers nothing to us";
        return BLOCKLIST_DEAD;
    }
    r->unproven = !listed || !listed->answer_count;
    return BLOCKLIST_CLEAN;
}

static enum blocklist_state judge(const struct blocklist_asked *asked, const struct dns_listing *g,
                                  const struct dns_listing *listed, const struct dns_listing *clean,
                                  struct blocklist_result *r) {
    const char *refused = any_refusal(asked->list, g);
    refused = refused ? refused : any_refusal(asked->list, listed);
    refused = refused ? refused : any_refusal(asked->list, clean);
    r->because = refused;
    if (refused)
        return BLOCKLIST_REFUSED;
    r->because = g->because;
    if (g->failed && !g->answer_count)
        return BLOCKLIST_SILENT;
    r->because = "it answers outside 127/8: it is dead, and its domain somebody else's";
    if (is_astray(g) || is_astray(listed))
        return BLOCKLIST_DEAD;
    r->because = "it lists even what must never be listed: the whole world";
    if (g->answer_count && clean && clean->answer_count)
        return BLOCKLIST_WORLD;
    r->because = NULL;
    return g->answer_count ? BLOCKLIST_LISTED : judge_clean(asked, listed, r);
}

/* --- the questions ----------------------------------------------------------------------------------- */

static size_t add_entry(struct blocklist_look *k, struct bytes what, struct bytes zone,
                        bool words) {
    struct addr a;
    struct buf name = buf_grow(600);
    if (addr_parse(what, &a))
        addr_format_reversed(&name, a);
    else
        buf_lower(&name, what);
    buf_char(&name, '.');
    buf_add(&name, zone);
    k->entries[k->entry_count] =
        (struct dns_entry){ arena_copy(k->arena, buf_bytes(&name)), words };
    buf_free(&name);
    return k->entry_count++;
}

static size_t add_subject(struct blocklist_look *k, const struct blocklist_subject *s,
                          struct bytes zone) {
    char memory[64];
    struct buf text = buf_fixed(memory, sizeof memory);
    addr_format(&text, addr_fold(s->address));
    return add_entry(k, s->address.family ? buf_bytes(&text) : s->domain, zone, true);
}

static unsigned kind_of(const struct blocklist_subject *s) {
    struct addr a = addr_fold(s->address);
    return a.family == 4 ? BLOCKLIST_IPV4 : a.family == 6 ? BLOCKLIST_IPV6 : BLOCKLIST_DOMAIN;
}

static void add_tests(struct blocklist_look *k, size_t n) {
    const struct blocklist_asked *asked = &k->want.asked[n];
    const struct blocklist *l = asked->list;
    /* Of one that nobody knows: as RFC 5782 has it for addresses. */
    struct bytes listed = l ? l->listed : B("127.0.0.2"), clean = l ? l->clean : B("127.0.0.1");
    k->tests[n][0] = listed.len ? add_entry(k, listed, asked->zone, false) : NONE;
    k->tests[n][1] = clean.len ? add_entry(k, clean, asked->zone, false) : NONE;
}

static void add_questions(struct blocklist_look *k) {
    const struct blocklist_want *w = &k->want;
    for (size_t n = 0; n < w->asked_count; n++)
        add_tests(k, n);
    for (size_t s = 0; s < w->subject_count; s++)
        for (size_t n = 0; n < w->asked_count; n++) {
            const struct blocklist *l = w->asked[n].list;
            if (l && !(l->of & kind_of(&w->subjects[s])))
                continue;
            k->results[k->count] = (struct blocklist_result){ .subject = s, .asked = n };
            k->questions[k->count++] = add_subject(k, &w->subjects[s], w->asked[n].zone);
        }
}

/* --- the answers -------------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b) {
    const struct addr *x = a, *y = b;
    return memcmp(x->ip, y->ip, sizeof x->ip);
}

static void take(struct blocklist_look *k, size_t n, const struct dns_listing *list) {
    struct blocklist_result *r = &k->results[n];
    const struct dns_listing *g = &list[k->questions[n]];
    const size_t *tests = k->tests[r->asked];
    r->state = judge(&k->want.asked[r->asked], g, tests[0] == NONE ? NULL : &list[tests[0]],
                     tests[1] == NONE ? NULL : &list[tests[1]], r);
    struct addr *answers = ARENA_ARRAY(k->arena, g->answer_count + 1, struct addr);
    for (size_t i = 0; i < g->answer_count; i++)
        answers[i] = g->answers[i];
    qsort(answers, g->answer_count, sizeof *answers, by_value); /* name servers shuffle */
    r->answers = answers;
    r->answer_count = g->answer_count;
    r->text = arena_copy(k->arena, g->text);
}

static void on_listed(void *ctx, const struct dns_listing *list, size_t count) {
    struct blocklist_look *k = ctx;
    MUST(count == k->entry_count);
    k->inquiry = NULL;
    for (size_t n = 0; n < k->count; n++)
        take(k, n, list);
    k->on_done(k->ctx, k->results, k->count);
}

struct blocklist_look *blocklists_ask(
    struct dns *d, struct loop *l, struct arena *a, const struct blocklist_want *want,
    void (*on_done)(void *ctx, const struct blocklist_result *r, size_t count), void *ctx) {
    struct blocklist_look *k = ARENA_NEW(a, struct blocklist_look);
    MUST(want->asked_count && want->asked_count <= BLOCKLISTS_MAX);
    MUST(want->subject_count && want->subject_count <= BLOCKLIST_SUBJECTS);
    size_t pairs = want->subject_count * want->asked_count;
    *k = (struct blocklist_look){ .arena = a, .want = *want, .on_done = on_done, .ctx = ctx };
    k->tests = arena_array(a, want->asked_count, sizeof *k->tests);
    k->entries = ARENA_ARRAY(a, pairs + 2 * want->asked_count, struct dns_entry);
    k->results = ARENA_ARRAY(a, pairs, struct blocklist_result);
    k->questions = ARENA_ARRAY(a, pairs, size_t);
    add_questions(k);
    if (!k->entry_count) /* nothing to ask, and no test entries: the answer must not come at once */
        add_entry(k, B("127.0.0.2"), want->asked[0].zone, false);
    k->inquiry = dns_ask_entries(d, l, k->entries, k->entry_count, want->ms, on_listed, k);
    return k;
}

void blocklists_cancel(struct blocklist_look **kp) {
    struct blocklist_look *k = *kp;
    *kp = NULL;
    if (k)
        dns_inquiry_cancel(&k->inquiry);
}
