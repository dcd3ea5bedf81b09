/* reasons: finding one in the table that tools/reasons.py makes of data/reasons.txt at each build; and
 * how far an id may be from another to be taken for a slip. */
#include "reply/reasons.h"

#include "base/must.h"

extern const struct reason reason_rows[];
extern const size_t reason_row_count;

enum { ID_MAX = 64, FAR = 1000 };

const struct reason *reasons_list(size_t *count_out) {
    *count_out = reason_row_count;
    return reason_rows;
}

const struct reason *reason_find(struct bytes id) {
    for (size_t i = 0; i < reason_row_count; i++)
        if (bytes_equal_nocase(bytes_str(reason_rows[i].id), id))
            return &reason_rows[i];
    return NULL;
}

/* --- the nearest ---------------------------------------------------------------------------------- */

static unsigned least(unsigned a, unsigned b) {
    return a < b ? a : b;
}

/* How many letters have to be changed, put in or left out to make one of the other. */
static unsigned edits(struct bytes a, struct bytes b) {
    unsigned row[ID_MAX + 1];
    if (a.len > ID_MAX || b.len > ID_MAX)
        return FAR;
    for (unsigned j = 0; j <= b.len; j++)
        row[j] = j;
    for (unsigned i = 1; i <= a.len; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= b.len; j++) {
            unsigned above = row[j];
            bool differ = ascii_lower(a.at[i - 1]) != ascii_lower(b.at[j - 1]);
            row[j] = least(least(above, row[j - 1]) + 1, diagonal + differ);
            diagonal = above;
        }
    }
    return row[b.len];
}

static bool is_within(struct bytes whole, struct bytes part) {
    for (size_t i = 0; i + part.len <= whole.len; i++)
        if (bytes_equal_nocase(bytes_slice(whole, i, i + part.len), part))
            return true;
    return false;
}

static struct bytes behind_dot(struct bytes id) {
    return bytes_skip(id, (size_t)(bytes_find(id, '.') + 1));
}

/* The half behind the dot counts by itself too: people remember "no-grant", not "relay". */
static unsigned distance(struct bytes id, const struct reason *r) {
    struct bytes whole = bytes_str(r->id), half = behind_dot(whole);
    if (id.len >= 3 && is_within(whole, id))
        return 1;
    unsigned d = least(edits(id, whole), edits(behind_dot(id), half) + 1);
    return d * 3 <= id.len + 2 ? d : FAR;
}

/* Those as near as the nearest, and those a letter or two further away. */
size_t reasons_near(struct bytes id, const struct reason **out, size_t max) {
    size_t count = 0;
    unsigned last = ID_MAX;
    for (unsigned wanted = 0; wanted < last && count < max; wanted++)
        for (size_t i = 0; i < reason_row_count && count < max; i++) {
            if (distance(id, &reason_rows[i]) != wanted)
                continue;
            last = count ? last : wanted + 2;
            out[count++] = &reason_rows[i];
        }
    return count;
}

/* --- in a reply -------------------------------------------------------------------------------------- */

/* "[relay.no-grant 4fq2" of the text's next bracket, or NULL. */
static const struct reason *of_bracket(struct bytes inside) {
    struct bytes id;
    ptrdiff_t close = bytes_find(inside, ']');
    if (close < 0)
        return NULL;
    inside = bytes_first(inside, (size_t)close);
    return bytes_split(&inside, ' ', &id) ? reason_find(id) : NULL;
}

const struct reason *reason_of_reply(struct bytes reply) {
    const struct reason *found = NULL;
    for (ptrdiff_t open; !found && (open = bytes_find(reply, '[')) >= 0;) {
        reply = bytes_skip(reply, (size_t)open + 1);
        found = of_bracket(reply);
    }
    return found;
}
