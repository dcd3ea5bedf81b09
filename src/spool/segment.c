/* segment: how segments are named and counted, and which of them must outlive which. A segment
 * needs another when that one says what became of a message recorded in it; were the other deleted
 * first, a restart would take the message for unfinished. */
#include "spool/parts.h"

#include "base/must.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void segment_path(char out[PATH_SIZE], uint16_t lane, uint32_t number) {
    snprintf(out, PATH_SIZE, "%u/%08x.seg", lane, number);
}

void big_path(char out[PATH_SIZE], uint16_t lane, uint64_t sequence) {
    snprintf(out, PATH_SIZE, "%u/%014llx.big", lane, (unsigned long long)sequence);
}

struct segment *segment_add(struct lane *lane, uint32_t number, int file, uint64_t salt) {
    struct segment *s = calloc(1, sizeof *s);
    MUST(s);
    s->lane = lane;
    s->number = number;
    s->file = file;
    s->salt = salt;
    s->end = FILE_HEAD;
    s->entries = buf_grow(META_MAX);
    list_append(&lane->segments, &s->node);
    return s;
}

struct segment *segment_find(const struct lane *lane, uint32_t number) {
    /* Newest first: that is where notes are. */
    const struct list_node *end = &lane->segments.head;
    for (const struct list_node *n = end->prev; n != end; n = n->prev) {
        struct segment *s = CONTAINER_OF(n, struct segment, node);
        if (s->number == number)
            return s;
        if (s->number < number)
            return NULL;
    }
    return NULL;
}

void segment_need(struct segment *from, struct segment *to) {
    if (from == to)
        return;
    for (size_t i = from->needs_count; i > 0; i--)
        if (from->needs[i - 1] == to)
            return;
    if (from->needs_count == from->needs_cap) {
        from->needs_cap = from->needs_cap ? from->needs_cap * 2 : 4;
        from->needs = realloc(from->needs, from->needs_cap * sizeof(struct segment *));
        MUST(from->needs);
    }
    from->needs[from->needs_count++] = to;
    to->needed_by++;
}

void segment_free(struct segment *s) {
    for (size_t i = 0; i < s->needs_count; i++)
        s->needs[i]->needed_by--;
    list_remove(&s->lane->segments, &s->node);
    free(s->needs);
    buf_free(&s->entries);
    free(s);
}

void segment_put(struct segment *s, const struct message *m) {
    s->live++;
    s->live_octets += m->length;
}

void segment_drop(struct segment *s, const struct message *m) {
    MUST(s->live > 0 && s->live_octets >= m->length);
    s->live--;
    s->live_octets -= m->length;
}

void segment_note(struct lane *lane, struct seat *seat, struct segment *to, uint32_t offset) {
    struct segment *before = seat->note_segment ? segment_find(lane, seat->note_segment) : NULL;
    if (before)
        before->notes--;
    if (to)
        to->notes++;
    seat->note_segment = to ? to->number : 0;
    seat->note_offset = offset;
}

void lane_trim(struct lane *lane, uint32_t number, uint32_t end) {
    for (size_t i = 0; i < lane->trims_count; i++)
        if (lane->trims[i].number == number) {
            if (end < lane->trims[i].end)
                lane->trims[i].end = end;
            return;
        }
    lane->trims = realloc(lane->trims, (lane->trims_count + 1) * sizeof *lane->trims);
    MUST(lane->trims);
    lane->trims[lane->trims_count++] = (struct trim){ number, end };
}
