/* local: what a hosts file says. Names are compared without case; a name may stand on many lines,
 * and has all their addresses. */
#include "dns/local.h"

#include "base/list.h"
#include "base/must.h"

enum { LINES_MAX = 10000, NAMES_MAX = 100 };

struct entry {
    struct list_node node;
    struct bytes name;
    struct addr address;
};
struct dns_local {
    struct list entries;
};

static struct bytes next_word(struct bytes *line) {
    *line = bytes_trim(*line);
    size_t n = 0;
    while (n < line->len && line->at[n] != ' ' && line->at[n] != '\t')
        n++;
    struct bytes word = bytes_first(*line, n);
    *line = bytes_skip(*line, n);
    return word;
}

static void parse_line(struct arena *a, struct dns_local *t, struct bytes line) {
    ptrdiff_t comment = bytes_find(line, '#');
    if (comment >= 0)
        line = bytes_first(line, (size_t)comment);
    struct addr address;
    if (!addr_parse(next_word(&line), &address))
        return;
    for (int i = 0; i < NAMES_MAX; i++) {
        struct bytes name = next_word(&line);
        if (!name.len)
            return;
        struct entry *e = ARENA_NEW(a, struct entry);
        e->name = arena_lower(a, name);
        e->address = address;
        list_append(&t->entries, &e->node);
    }
}

struct dns_local *dns_local_parse(struct arena *a, struct bytes text) {
    struct dns_local *t = ARENA_NEW(a, struct dns_local);
    list_init(&t->entries);
    struct bytes line;
    for (int i = 0; i < LINES_MAX && bytes_split(&text, '\n', &line); i++)
        parse_line(a, t, line);
    return t;
}

size_t dns_local_find(const struct dns_local *t, struct bytes name, struct addr *out, size_t max) {
    size_t found = 0;
    LIST_EACH(&t->entries, n) {
        const struct entry *e = CONTAINER_OF(n, struct entry, node);
        if (found < max && bytes_equal_nocase(e->name, name))
            out[found++] = e->address;
    }
    return found;
}

size_t dns_localhost(struct bytes name, struct addr *out, size_t max) {
    if (!bytes_equal_nocase(name, B("localhost")) && !bytes_ends_nocase(name, B(".localhost")))
        return 0;
    MUST(max >= 2);
    addr_parse(B("127.0.0.1"), &out[0]);
    addr_parse(B("::1"), &out[1]);
    return 2;
}
