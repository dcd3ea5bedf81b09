/* Fuzzes SPF: the input is a small DNS, one record a line ("NAME TXT|A|AAAA|MX|PTR VALUE"), of which the first is the
 * record under test. Whatever it says, an evaluation ends, within the limits, the same way twice, and as
 * when it is asked piece by piece. */
#include "base/must.h"
#include "trust/spf.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROWS_MAX = 64, QUESTIONS_MAX = 400 };

struct world {
    struct arena *arena;
    size_t count, asked;
    struct {
        struct bytes name, type, value;
    } rows[ROWS_MAX];
};

static void read_world(struct world *w, struct bytes all) {
    struct bytes line;
    while (w->count < ROWS_MAX && bytes_split(&all, '\n', &line)) {
        bytes_split(&line, ' ', &w->rows[w->count].name);
        bytes_split(&line, ' ', &w->rows[w->count].type);
        w->rows[w->count].name = arena_lower(w->arena, w->rows[w->count].name);
        w->rows[w->count++].value = line;
    }
}

static struct bytes type_of(unsigned type) {
    return type == 1    ? B("A")
           : type == 12 ? B("PTR")
           : type == 15 ? B("MX")
           : type == 16 ? B("TXT")
                        : B("AAAA");
}

static const struct spf_answer *find(void *ctx, const struct spf_question *q) {
    struct world *w = ctx;
    struct spf_answer *answer = ARENA_NEW(w->arena, struct spf_answer);
    struct spf_data *list = ARENA_ARRAY(w->arena, ROWS_MAX, struct spf_data);
    w->asked++;
    answer->list = list;
    for (size_t i = 0; i < w->count; i++) {
        if (!bytes_equal(w->rows[i].name, q->name))
            continue;
        answer->exists = true;
        if (!bytes_equal(w->rows[i].type, type_of(q->type)))
            continue;
        struct spf_data *d = &list[answer->count];
        d->text = w->rows[i].value;
        answer->failed |= bytes_equal(d->text, B("fails"));
        answer->count += (q->type != 1 && q->type != 28) || addr_parse(d->text, &d->address);
    }
    return answer;
}

static void piece_by_piece(struct world *w, const struct spf_who *who,
                           const struct spf_verdict *expected) {
    struct spf_check *c = spf_check_open(w->arena, who);
    const struct spf_question *list;
    struct spf_verdict v;
    size_t rounds = 0;
    while (spf_check_run(c, &v) == MORE) {
        size_t count = spf_check_wanted(c, &list);
        MUST(count > 0 && ++rounds < QUESTIONS_MAX);
        for (size_t i = 0; i < count; i++)
            spf_check_answer(c, &list[i], find(w, &list[i]));
    }
    MUST(v.result == expected->result && bytes_equal(v.explanation, expected->explanation));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena *a = arena_open();
    struct world w = { .arena = a };
    struct spf_record record;
    struct spf_verdict v;
    struct spf_survey s;
    read_world(&w, bytes_of(data, size));
    struct spf_who who = { .domain = w.rows[0].name,
                           .sender = B("a-b+c@sender.example"),
                           .helo = B("helo.example") };
    if (w.count && spf_parse(w.rows[0].value, a, &record) == PERM)
        MUST(record.wrong);
    static const char *const clients[] = { "192.0.2.1", "2001:db8::1" };
    for (size_t i = 0; i < COUNT_OF(clients); i++) {
        MUST(addr_parse(bytes_str(clients[i]), &who.client));
        w.asked = 0;
        MUST(spf_evaluate(&who, find, &w, a, &v) == OK);
        MUST(w.asked < QUESTIONS_MAX && v.lookups <= SPF_LOOKUPS_MAX + 1 &&
             v.voids <= SPF_VOIDS_MAX + 1);
        MUST(bytes_is_ascii(v.explanation));
        piece_by_piece(&w, &who, &v);
    }
    MUST(spf_survey(who.domain, find, &w, a, &s) == OK);
    MUST(s.node_count <= SPF_NODES_MAX && s.network_count <= SPF_NETWORKS_MAX);
    arena_close(&a);
    return 0;
}
