/* A DNS in a table, for what asks by spf_find: NAME TYPE VALUE rows; a name that no row has does not exist. */
#ifndef TESTS_TRUST_DNS_H
#define TESTS_TRUST_DNS_H

#include "base/must.h"
#include "trust/spf.h"

#include <string.h>

struct row {
    const char *name, *type, *value; /* value NULL: nothing of this type; "fails": the DNS does */
};
struct table {
    const struct row *rows;
    size_t count;
    unsigned asked;
    struct spf_answer answer;
    struct spf_data data[32];
    struct arena *arena;
};

static inline unsigned type_number(const char *type) {
    static const struct {
        const char *name;
        unsigned number;
    } types[] = { { "A", 1 }, { "PTR", 12 }, { "MX", 15 }, { "TXT", 16 }, { "AAAA", 28 } };
    for (size_t i = 0; i < COUNT_OF(types); i++)
        if (!strcmp(types[i].name, type))
            return types[i].number;
    return 0;
}

static inline struct spf_data datum(const struct row *row) {
    struct spf_data d = { .text = bytes_str(row->value) };
    if (!strcmp(row->type, "A") || !strcmp(row->type, "AAAA"))
        MUST(addr_parse(d.text, &d.address));
    return d;
}

static inline const struct spf_answer *look_up(void *ctx, const struct spf_question *q) {
    struct table *t = ctx;
    struct spf_answer *answer = ARENA_NEW(t->arena, struct spf_answer);
    struct spf_data *list = ARENA_ARRAY(t->arena, 32, struct spf_data);
    t->asked++;
    answer->list = list;
    for (size_t i = 0; i < t->count; i++) {
        const struct row *row = &t->rows[i];
        if (!bytes_equal(q->name, bytes_str(row->name)))
            continue;
        answer->exists = true;
        if (type_number(row->type) != q->type || !row->value)
            continue;
        if (!strcmp(row->value, "fails"))
            answer->failed = true;
        else if (answer->count < 32)
            list[answer->count++] = datum(row);
    }
    return answer;
}

#endif
