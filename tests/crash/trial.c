/* trial: see trial.h. After the restart there is a second, shorter life, in which the power may fail
 * once more, while what the first left behind is being read or put in order. */
#include "trial.h"

#include "machine.h"

#include <string.h>

enum { SEED = 20260, FURTHER_CALLS = 60 };

/* Opens, checks, lives on; false when it ended early, by a cut or a broken promise. */
static bool live_on(struct life *l, struct disk_sim *disk) {
    if (life_open(l, disk)) {
        life_check(l);
        life_afterwards(l);
        life_check(l);
    }
    life_close(l);
    return !disk_sim_is_cut(disk) && !l->violation[0];
}

static bool restart(const struct life *before, const struct disk_sim *left, uint64_t seed,
                    struct life *out) {
    uint64_t draws = seed;
    struct disk_sim *disk = disk_sim_after_cut(left, seed);
    *out = *before;
    if (seed % 2)
        disk_sim_cut_at(disk, 1 + machine_draw(&draws) % FURTHER_CALLS);
    live_on(out, disk);
    if (disk_sim_is_cut(disk) && !out->violation[0]) {
        struct disk_sim *again = disk_sim_after_cut(disk, machine_draw(&draws));
        live_on(out, again);
        disk_sim_free(&again);
    }
    disk_sim_free(&disk);
    return !out->violation[0];
}

bool trial_run(uint64_t cut, unsigned variants, enum site skip, struct life *out,
               uint64_t *calls_out) {
    static struct life first;
    struct disk_sim *disk = disk_sim_new();
    machine_seed(SEED);
    memset(&first, 0, sizeof first);
    disk_sim_skip(disk, skip);
    disk_sim_cut_at(disk, cut);
    if (life_open(&first, disk)) {
        life_script(&first);
        life_check(&first);
    }
    life_close(&first);
    *out = first;
    *calls_out = disk_sim_calls(disk);
    bool good = !first.violation[0];
    for (unsigned v = 0; v < variants && good && disk_sim_is_cut(disk); v++)
        good = restart(&first, disk, cut * 64 + v, out);
    disk_sim_free(&disk);
    return good;
}
