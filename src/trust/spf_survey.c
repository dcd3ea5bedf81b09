/* spf_survey: walks all of a record, whatever would match: how many lookups the worst case takes, what is named in vain,
 * and which networks pass. */
#include "base/must.h"
#include "trust/spf_internal.h"

#include <string.h>

/* Asking ends somewhere, also where the count of RFC 7208 section 4.6.4 is long over. */
enum { DEPTH_MAX = 12 };

struct walk {
    spf_find *find;
    void *ctx;
    struct arena *arena;
    struct spf_survey *out;
    struct spf_node *nodes;
    struct spf_network *networks;
    bool more;
};
/* Where in the tree: one a record, on the stack. */
struct place {
    const struct place *up;
    unsigned depth;
    struct bytes domain;
    char
        outer; /* what a pass here comes to for the whole; TOP: this is the whole; NOTHING: nothing */
};
enum { TOP = 0, NOTHING = 'x' };

static void walk_record(struct walk *w, const struct place *here, struct spf_node *node,
                        struct spf_record *record);

/* NULL: there are too many, and it is not followed. */
static struct spf_node *add_node(struct walk *w, const struct place *here, struct bytes term,
                                 struct bytes domain) {
    struct spf_survey *out = w->out;
    w->out->lookups += here != NULL;
    if (out->node_count == SPF_NODES_MAX) {
        out->cut = true;
        return NULL;
    }
    struct spf_node *n = &w->nodes[out->node_count++];
    *n = (struct spf_node){ .depth = here ? here->depth + 1 : 0, .term = term, .domain = domain };
    return n;
}

/* --- networks ------------------------------------------------------------------------------------------- */

/* Of an include only its pass counts, as its own qualifier says (RFC 7208 section 5.2). */
static char of_whole(const struct place *here, char qualifier) {
    if (here->outer == TOP)
        return qualifier;
    return qualifier == '+' ? here->outer : NOTHING;
}

static void add_network(struct walk *w, const struct place *here, const struct spf_term *t,
                        struct addr base, unsigned bits) {
    struct spf_survey *out = w->out;
    char qualifier = of_whole(here, t->qualifier);
    if (qualifier == NOTHING)
        return;
    if (out->network_count == SPF_NETWORKS_MAX) {
        out->cut = true;
        return;
    }
    w->networks[out->network_count++] = (struct spf_network){
        { addr_masked(base, bits), bits },
        qualifier,
        t->text,
        here->domain,
    };
}

static const struct spf_answer *ask(struct walk *w, struct bytes name, unsigned type) {
    const struct spf_answer *answer =
        w->find(w->ctx, &(struct spf_question){ arena_lower(w->arena, name), type });
    w->more |= !answer;
    return answer;
}

/* The addresses of a name: how many; *failed too. */
static size_t add_addresses(struct walk *w, const struct place *here, const struct spf_term *t,
                            struct bytes name, bool *failed) {
    static const unsigned types[] = { SPF_TYPE_A, SPF_TYPE_AAAA };
    size_t count = 0;
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        const struct spf_answer *answer = ask(w, name, types[i]);
        if (answer)
            *failed |= answer->failed;
        for (size_t n = 0; answer && !answer->failed && n < answer->count; n++, count++) {
            struct addr a = addr_fold(answer->list[n].address);
            add_network(w, here, t, a, a.family == 6 ? t->bits6 : t->bits4);
        }
    }
    return count;
}

/* --- terms ------------------------------------------------------------------------------------------------ */

static enum spf_trouble nothing(struct walk *w) {
    if (!w->more)
        w->out->voids++;
    return SPF_NOTHING;
}

static enum spf_trouble walk_a(struct walk *w, const struct place *here, const struct spf_term *t,
                               struct bytes name) {
    bool failed = false;
    size_t count = add_addresses(w, here, t, name, &failed);
    if (count || w->more)
        return SPF_FINE;
    return failed ? SPF_NO_ANSWER : nothing(w);
}

static enum spf_trouble walk_mx(struct walk *w, const struct place *here, const struct spf_term *t,
                                struct bytes name) {
    const struct spf_answer *hosts = ask(w, name, SPF_TYPE_MX);
    bool failed = false;
    if (!hosts)
        return SPF_FINE;
    if (hosts->failed)
        return SPF_NO_ANSWER;
    if (!hosts->count)
        return nothing(w);
    if (hosts->count > SPF_NAMES_MAX)
        return SPF_TOO_MANY_MX;
    for (size_t i = 0; i < hosts->count; i++)
        if (spf_is_name(hosts->list[i].text))
            add_addresses(w, here, t, hosts->list[i].text, &failed);
    return failed ? SPF_NO_ANSWER : SPF_FINE;
}

static enum spf_trouble walk_exists(struct walk *w, struct bytes name) {
    const struct spf_answer *answer = ask(w, name, SPF_TYPE_A);
    if (!answer || answer->count)
        return SPF_FINE;
    return answer->failed ? SPF_NO_ANSWER : nothing(w);
}

static bool is_on_the_way(const struct place *here, struct bytes domain) {
    for (; here; here = here->up)
        if (bytes_equal(here->domain, domain))
            return true;
    return false;
}

static void walk_domain(struct walk *w, const struct place *from, struct spf_node *node, char outer,
                        struct spf_record *record) {
    struct place here = { from, from ? from->depth + 1 : 0, node->domain, outer };
    if (from && is_on_the_way(from, node->domain)) {
        node->trouble = SPF_LOOP;
        return;
    }
    if (here.depth > DEPTH_MAX) {
        w->out->cut = true;
        return;
    }
    node->trouble = spf_fetch(node->domain, w->find, w->ctx, &node->text, &w->more);
    if (node->trouble == SPF_FINE)
        walk_record(w, &here, node, record);
}

static bool name_of(struct walk *w, const struct place *here, struct spf_node *node,
                    struct bytes spec) {
    node->domain = here->domain;
    if (!spec.len)
        return true;
    node->domain = arena_lower(w->arena, spec);
    if (node->domain.len && node->domain.at[node->domain.len - 1] == '.')
        node->domain.len--;
    node->macro = spf_has_macro(spec);
    return !node->macro && spf_is_name(node->domain);
}

static void walk_term(struct walk *w, const struct place *here, const struct spf_term *t) {
    struct spf_record inner;
    if (t->mechanism == SPF_ALL)
        return;
    if (!spf_asks(t->mechanism)) {
        add_network(w, here, t, t->network.base, t->network.bits);
        return;
    }
    struct spf_node *node = add_node(w, here, t->text, BYTES_NONE);
    w->out->uses_ptr |= t->mechanism == SPF_PTR;
    if (!node || !name_of(w, here, node, t->domain))
        return;
    if (t->mechanism == SPF_INCLUDE)
        walk_domain(w, here, node, of_whole(here, t->qualifier), &inner);
    else if (t->mechanism == SPF_A)
        node->trouble = walk_a(w, here, t, node->domain);
    else if (t->mechanism == SPF_MX)
        node->trouble = walk_mx(w, here, t, node->domain);
    else if (t->mechanism == SPF_EXISTS)
        node->trouble = walk_exists(w, node->domain);
}

/* --- records ------------------------------------------------------------------------------------------------ */

static void walk_redirect(struct walk *w, const struct place *here, struct bytes redirect) {
    struct spf_record record;
    struct spf_node *node =
        add_node(w, here, arena_printf(w->arena, "redirect=%.*s", BYTES_FMT(redirect)), BYTES_NONE);
    if (!node || !name_of(w, here, node, redirect))
        return;
    walk_domain(w, here, node, here->outer, &record); /* it stands in this one's place */
}

/* "all" is everybody; said of an include it is one of its networks. */
static void take_all(struct walk *w, const struct place *here, const struct spf_term *t) {
    if (here->outer == TOP) {
        w->out->all = t->qualifier;
        return;
    }
    add_network(w, here, t, (struct addr){ .family = 4 }, 0);
    add_network(w, here, t, (struct addr){ .family = 6 }, 0);
}

static void walk_record(struct walk *w, const struct place *here, struct spf_node *node,
                        struct spf_record *record) {
    const struct spf_term *all = NULL;
    if (spf_parse(node->text, w->arena, record) != OK) {
        node->trouble = SPF_SYNTAX;
        node->wrong = record->wrong;
        node->wrong_term = record->wrong_term;
        node->wrong_number = record->wrong_number;
        return;
    }
    for (size_t i = 0; i < record->count && !all; i++) {
        walk_term(w, here, &record->terms[i]);
        if (record->terms[i].mechanism == SPF_ALL)
            all = &record->terms[i];
    }
    if (all)
        take_all(w, here, all);
    if (!all && record->redirect.len)
        walk_redirect(w, here, record->redirect);
}

enum rc spf_survey(struct bytes domain, spf_find *find, void *ctx, struct arena *a,
                   struct spf_survey *out) {
    struct walk w = { .find = find, .ctx = ctx, .arena = a, .out = out };
    *out = (struct spf_survey){ 0 };
    w.nodes = ARENA_ARRAY(a, SPF_NODES_MAX, struct spf_node);
    w.networks = ARENA_ARRAY(a, SPF_NETWORKS_MAX, struct spf_network);
    struct spf_node *first = add_node(&w, NULL, BYTES_NONE, arena_lower(a, domain));
    walk_domain(&w, NULL, first, TOP, &out->record);
    out->trouble = first->trouble;
    out->text = first->text;
    out->nodes = w.nodes;
    out->networks = w.networks;
    return w.more ? MORE : OK;
}
