/* Lives that nobody thought up: steps, faults, deaths and power cuts as a seed says, one life after
 * another on what the last one left. */
#include "machine.h"
#include "trial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GENERATIONS = 5, STEPS = 40, CALLS = 250 };

static bool generation(struct life *l, struct disk_sim *disk, uint64_t *draws) {
    disk_sim_cut_at(disk, 1 + machine_draw(draws) % CALLS);
    if (life_open(l, disk)) {
        life_check(l);
        life_random(l, draws, STEPS);
    }
    life_close(l);
    return !l->violation[0];
}

static bool live(uint64_t seed, struct life *l) {
    struct disk_sim *disk = disk_sim_new();
    uint64_t draws = seed;
    bool good = true;
    memset(l, 0, sizeof *l);
    machine_seed(seed);
    for (int i = 0; i < GENERATIONS && good; i++) {
        good = generation(l, disk, &draws);
        struct disk_sim *left = disk_sim_after_cut(disk, machine_draw(&draws));
        disk_sim_free(&disk);
        disk = left;
    }
    /* At last everything is looked at in peace. */
    if (good && life_open(l, disk))
        life_check(l);
    if (good)
        life_close(l);
    disk_sim_free(&disk);
    return !l->violation[0];
}

int main(int argc, char **argv) {
    static struct life l;
    uint64_t from = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t to = argc > 2 ? strtoull(argv[2], NULL, 10) : from + 149;
    for (uint64_t seed = from; seed <= to; seed++)
        if (!live(seed, &l)) {
            printf("seed %llu: %s\n", (unsigned long long)seed, l.violation);
            return 1;
        }
    return 0;
}
