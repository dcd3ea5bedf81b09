/* blocklist_find: what lists say of a subject, as findings for people. */
#include "doctor/blocklists.h"

#include "base/must.h"

#include <stdlib.h>
#include <string.h>

enum { CODES_SHOWN = 6 };

static const struct blocklist_code *code_of(const struct blocklist_asked *asked, struct addr a) {
    return asked->list ? blocklist_code(asked->list, a) : NULL;
}

bool blocklist_is_against(const struct blocklist_asked *asked, const struct blocklist_result *r) {
    if (r->state != BLOCKLIST_LISTED || (asked->list && asked->list->allow))
        return false;
    for (size_t i = 0; i < r->answer_count; i++) {
        const struct blocklist_code *c = code_of(asked, r->answers[i]);
        if (!c || !c->allow)
            return true;
    }
    return false;
}

static struct bytes subject_text(struct arena *a, const struct blocklist_subject *s) {
    char memory[64];
    struct buf b = buf_fixed(memory, sizeof memory);
    addr_format(&b, s->address);
    return s->address.family ? arena_copy(a, buf_bytes(&b)) : s->domain;
}

static const char *list_name(const struct blocklist_asked *asked) {
    return asked->list ? asked->list->name : "A list that is not known here";
}

/* "127.0.0.4, XBL: ...; 127.0.0.10, PBL: ..." */
static void write_answers(struct buf *b, const struct blocklist_asked *asked,
                          const struct blocklist_result *r) {
    for (size_t i = 0; i < r->answer_count && i < CODES_SHOWN; i++) {
        const struct blocklist_code *c = code_of(asked, r->answers[i]);
        buf_str(b, i ? "; " : "");
        addr_format(b, r->answers[i]);
        if (c)
            buf_printf(b, ", %s", c->means);
    }
}

static enum severity severity_of(const struct blocklist_asked *asked,
                                 const struct blocklist_result *r) {
    enum severity worst = SEVERITY_INFO;
    bool known = false;
    for (size_t i = 0; i < r->answer_count; i++) {
        const struct blocklist_code *c = code_of(asked, r->answers[i]);
        if (c && c->allow)
            continue;
        enum severity s = c ? c->severity : asked->list ? asked->list->severity : SEVERITY_WARNING;
        worst = !known || s > worst ? s : worst;
        known = true;
    }
    return worst;
}

static bool has_fix(const struct finding *f, const char *fix) {
    for (size_t i = 0; i < f->fixes; i++)
        if (bytes_equal(f->fix[i], bytes_str(fix)))
            return true;
    return false;
}

static void add_fixes(struct finding_list *out, struct finding *f, const char *const *fix,
                      size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!has_fix(f, fix[i]))
            finding_fix(out, f, "%s", fix[i]);
}

static void advise(struct finding_list *out, struct finding *f, const struct blocklist_asked *asked,
                   const struct blocklist_result *r) {
    const struct blocklist *l = asked->list;
    for (size_t i = 0; i < r->answer_count; i++) {
        const struct blocklist_code *c = code_of(asked, r->answers[i]);
        if (c && c->fixes)
            add_fixes(out, f, c->fix, c->fixes);
        else if (l)
            add_fixes(out, f, l->fix, l->fixes);
        if (!f->who)
            f->who = c ? c->who : l ? l->who : "sender-admin";
    }
    if (!f->fixes)
        finding_fix(out, f, "Look it up where the list's makers say how a listing ends%s%s.",
                    l ? ": " : "", l ? l->delist : "");
}

static void tell_listed(struct finding_list *out, const struct blocklist_want *want,
                        const struct blocklist_result *r) {
    const struct blocklist_asked *asked = &want->asked[r->asked];
    bool against = blocklist_is_against(asked, r);
    struct buf b = buf_grow(4096);
    write_answers(&b, asked, r);
    struct finding *f = finding_add(
        out, against ? severity_of(asked, r) : SEVERITY_INFO,
        against ? "blocklist.listed" : "blocklist.allowed", NULL, "%s (%.*s) lists it: %s%s%.*s%s",
        list_name(asked), BYTES_FMT(asked->zone), buf_text(&b), r->text.len ? "; it says \"" : "",
        BYTES_FMT(r->text), r->text.len ? "\"" : "");
    buf_free(&b);
    finding_about(out, f, "%.*s", BYTES_FMT(subject_text(out->arena, &want->subjects[r->subject])));
    if (asked->list)
        finding_means(out, f, "%s", asked->list->means);
    if (against)
        advise(out, f, asked, r);
}

static void tell_skipped(struct finding_list *out, const struct blocklist_want *want,
                         const struct blocklist_result *r) {
    static const char *const ids[] = {
        [BLOCKLIST_CLEAN] = "blocklist.unproven", [BLOCKLIST_REFUSED] = "blocklist.refused",
        [BLOCKLIST_DEAD] = "blocklist.dead",      [BLOCKLIST_WORLD] = "blocklist.world",
        [BLOCKLIST_SILENT] = "blocklist.silent",
    };
    const struct blocklist_asked *asked = &want->asked[r->asked];
    struct finding *f = finding_skip(out, ids[r->state], NULL, "%.*s: %s", BYTES_FMT(asked->zone),
                                     r->because ? r->because : "it has no test entry that answers");
    finding_about(out, f, "%.*s", BYTES_FMT(subject_text(out->arena, &want->subjects[r->subject])));
    if (asked->list && r->state == BLOCKLIST_REFUSED && asked->list->registration)
        finding_means(out, f, "It answers after registration: %s", asked->list->registration);
}

/* --- the order ------------------------------------------------------------------------------------ */

struct ranked {
    const struct blocklist_result *r;
    size_t place;
    unsigned rank;
};

static int by_rank(const void *a, const void *b) {
    const struct ranked *x = a, *y = b;
    if (x->rank != y->rank)
        return x->rank > y->rank ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

/* Worst first, of the same severity what most heed. */
static unsigned rank_of(const struct blocklist_want *want, const struct blocklist_result *r) {
    const struct blocklist_asked *asked = &want->asked[r->asked];
    if (r->state != BLOCKLIST_LISTED)
        return 0;
    unsigned weight = asked->list ? asked->list->weight : 1;
    return 1 + (blocklist_is_against(asked, r) ? 10 * (1 + severity_of(asked, r)) : 0) + weight;
}

static void tell_clean(struct finding_list *out, const struct blocklist_want *want, size_t subject,
                       const struct blocklist_result *r, size_t count) {
    size_t clean = 0, asked = 0;
    for (size_t i = 0; i < count; i++) {
        if (r[i].subject != subject)
            continue;
        asked++;
        clean += r[i].state == BLOCKLIST_CLEAN;
    }
    if (!clean)
        return;
    struct finding *f =
        finding_add(out, SEVERITY_INFO, "blocklist.clean", NULL,
                    "%zu of %zu lists answered that it is not on them", clean, asked);
    finding_about(out, f, "%.*s", BYTES_FMT(subject_text(out->arena, &want->subjects[subject])));
}

void blocklists_findings(const struct blocklist_want *want, const struct blocklist_result *r,
                         size_t count, struct finding_list *out) {
    struct ranked *order = ARENA_ARRAY(out->arena, count + 1, struct ranked);
    for (size_t i = 0; i < count; i++)
        order[i] = (struct ranked){ &r[i], i, rank_of(want, &r[i]) };
    qsort(order, count, sizeof *order, by_rank);
    for (size_t i = 0; i < count && order[i].rank; i++)
        tell_listed(out, want, order[i].r);
    for (size_t s = 0; s < want->subject_count; s++)
        tell_clean(out, want, s, r, count);
    for (size_t i = 0; i < count; i++)
        if (r[i].state != BLOCKLIST_LISTED && (r[i].state != BLOCKLIST_CLEAN || r[i].unproven))
            tell_skipped(out, want, &r[i]);
}
