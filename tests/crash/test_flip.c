/* Octets of the queue's files are spoilt, one place at a time: whatever is not hit is delivered,
 * what is hit is never passed on as if it were good, and the damage is told when something valid
 * stands behind it. */
#include "machine.h"
#include "trial.h"

#include <stdio.h>
#include <string.h>

enum { STEP = 61 };

/* A queue with all kinds of records, closed in order (its segments end in an index) or not. */
static struct disk_sim *make_queue(struct life *l, bool orderly) {
    static const size_t sizes[] = { 700, 300, 900, 100, 1200, 400, 140000, 50 };
    struct disk_sim *disk = disk_sim_new();
    memset(l, 0, sizeof *l);
    machine_seed(7);
    if (!life_open(l, disk))
        return disk;
    life_commit(l, sizes, 8);
    for (size_t i = 0; i < 8; i += 2)
        life_settle(l, i, 0, i % 4 ? RECIPIENT_RELAYED : RECIPIENT_DEFERRED);
    life_commit(l, sizes, 6);
    if (!orderly)
        disk_sim_kill(disk);
    life_close(l);
    disk_sim_revive(disk);
    disk_sim_write_back(disk);
    /* What is there while nothing is spoilt. */
    struct disk_sim *copy = disk_sim_after_cut(disk, 0);
    if (life_open(l, copy))
        life_check(l);
    life_close(l);
    disk_sim_free(&copy);
    return disk;
}

/* Spoilt messages may be missing or unreadable, but whole ones must be there, and no more than the
 * hit can account for is lost. */
static bool try_flip(const struct life *whole, const struct disk_sim *queue, const char *name,
                     size_t at, struct life *out, unsigned *told) {
    struct disk_sim *disk = disk_sim_after_cut(queue, 0);
    size_t size, lost = 0;
    char *octets = disk_sim_octets(disk, name, &size);
    *out = *whole;
    octets[at] = (char)(octets[at] ^ 0x41);
    for (size_t i = 0; i < out->count; i++)
        out->letters[i].spoilt = true; /* checked one by one below */
    if (life_open(out, disk))
        life_check(out);
    for (size_t i = 0; i < out->count; i++)
        lost += out->letters[i].gone && !whole->letters[i].gone;
    *told = out->damages;
    life_close(out);
    disk_sim_free(&disk);
    /* A segment's head is there twice; one record, or a note of one, is all that a flip costs. */
    if (lost > 1)
        life_violation(out, "%zu messages lost", lost);
    return !out->violation[0];
}

static bool spoil_all(bool orderly) {
    static struct life whole, l;
    struct disk_sim *queue = make_queue(&whole, orderly);
    const char *name;
    unsigned places = 0, noticed = 0;
    bool good = !whole.violation[0];
    for (size_t n = 0; (name = disk_sim_name(queue, n)) && good; n++) {
        size_t size = 0;
        if (!disk_sim_octets(queue, name, &size))
            continue;
        for (size_t at = 0; at < size && good; at += size > 20000 ? STEP * 40 : STEP) {
            unsigned told;
            good = try_flip(&whole, queue, name, at, &l, &told);
            places++;
            noticed += told > 0;
            if (!good)
                printf("%s, octet %zu: %s\n", name, at, l.violation);
        }
    }
    printf("%s: %u places, damage told in %u\n", orderly ? "closed" : "not closed", places,
           noticed);
    disk_sim_free(&queue);
    /* The rest: padding, and what stands at the end of a segment that was not closed. */
    return good && noticed * 100 > places * 80;
}

int main(void) {
    bool closed = spoil_all(true), open = spoil_all(false);
    return closed && open ? 0 : 1;
}
