/* disk_sim: a disk that remembers what of it would outlive a power cut. A write is in the cache
 * until its file is synced, a name until its directory is. At a chosen call the power fails: that
 * call and all later ones do nothing and fail. What is then found after the restart is what was
 * synced, and of the rest whatever a seed says: nothing, all, the first so many, any; whole writes
 * or sectors of them.
 *
 * After a sync that fails, what it should have written is lost or not, and never written again,
 * though it can still be read: as Linux does it. */
#ifndef CRASH_DISK_SIM_H
#define CRASH_DISK_SIM_H

#include "spool/sites.h"
#include "sys/disk.h"

struct disk_sim;

struct disk_sim *disk_sim_new(void);
void disk_sim_free(struct disk_sim **d);
struct disk *disk_sim_disk(struct disk_sim *d);
/* The power fails at the n-th change or sync from now, 1 for the next; 0: never. */
void disk_sim_cut_at(struct disk_sim *d, uint64_t n);
bool disk_sim_is_cut(const struct disk_sim *d);
uint64_t disk_sim_calls(const struct disk_sim *d); /* changes and syncs so far */
/* What a restart finds. */
struct disk_sim *disk_sim_after_cut(const struct disk_sim *d, uint64_t seed);
/* The process dies and the machine runs on: every call fails until disk_sim_revive, nothing is
 * lost. */
void disk_sim_kill(struct disk_sim *d);
void disk_sim_die_at_sync(struct disk_sim *d); /* the same, when it next syncs a file */
bool disk_sim_is_killed(const struct disk_sim *d);
void disk_sim_revive(struct disk_sim *d); /* and no fault is to come any more */

/* Syncs at this site say they are done and do nothing. */
void disk_sim_skip(struct disk_sim *d, enum site s);
/* The next `count` calls of a kind fail with this error. */
enum disk_call { DISK_WRITE, DISK_SYNC, DISK_SYNC_DIR, DISK_CREATE, DISK_CALLS };
void disk_sim_fail(struct disk_sim *d, enum disk_call call, int error, unsigned count);
void disk_sim_write_back(struct disk_sim *d);      /* all that is cached is on disk */
void disk_sim_fill(struct disk_sim *d, bool full); /* what space() says */

/* Names of files, as cached; NULL behind the last. And their octets, to look at and to spoil. */
const char *disk_sim_name(const struct disk_sim *d, size_t n);
char *disk_sim_octets(struct disk_sim *d, const char *name, size_t *size_out);

#endif
