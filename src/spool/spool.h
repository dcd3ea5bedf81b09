/* spool: the store of one host: a segment log on disk. What callers do with it is flow/store.h,
 * which the second implementation (PostgreSQL, many nodes) will fill too; here is what only this
 * one has: opening, and leasing lanes. Nothing outside this folder knows segments. STATES.md lists
 * every state a message can be in on disk and what recovery does.
 *
 * A lane is an append-only log of segment files; a process leases lanes and nobody else touches
 * them. Promise 2 lives here: on_committed(OK) comes only after the sync that covers the record has
 * returned. One sync covers all messages that finished while the one before was in flight.
 *
 * Callbacks come from the loop, never before the call that asks for them has returned. rc is OK or
 * TEMP (queue.full 452 4.3.1 below min_free or on ENOSPC; backend.spool 451 4.3.0 for EIO, after
 * which the segment is never written again and the lane has moved on). */
#ifndef SPOOL_SPOOL_H
#define SPOOL_SPOOL_H

#include "flow/store.h"
#include "sys/disk.h"
#include "sys/loop.h"

struct spool;

struct spool_setup {
    struct disk *disk;     /* on STATE/spool; not owned */
    uint32_t node;         /* part of every id; 0 on a single host */
    unsigned min_free;     /* per cent of octets and inodes */
    uint64_t segment_size; /* 0: default, 64 MiB */
    bool inline_sync;      /* tests: write and sync on the loop's thread, in a later turn */
};
struct spool *spool_open(struct loop *l, const struct spool_setup *setup);
struct store *spool_store(struct spool *s); /* lives as long as the spool */
/* Finishes what is in flight (waits for the sync thread), gives lanes back. */
void spool_close(struct spool **s);

/* Takes a lane: locks it, recovers it. `on_leased`: the lane takes mail (new mail is taken before
 * old segments are read); `on_read`: all its messages are known. TEMP: somebody else holds it.
 * Damage found is told by on_damage, once a place, with a sentence; reading goes on. */
struct spool_lane_events {
    void (*on_leased)(void *ctx, uint32_t lane, enum rc rc, const struct why *why);
    void (*on_read)(void *ctx, uint32_t lane);
    void (*on_damage)(void *ctx, uint32_t lane, struct bytes what);
};
void spool_lease(struct spool *s, uint32_t lane, const struct spool_lane_events *events, void *ctx);
void spool_release(struct spool *s, uint32_t lane, void (*on_released)(void *ctx), void *ctx);

#endif
