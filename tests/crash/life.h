/* life: a spool at work on a simulated disk, and a ledger of what was promised. After a crash the
 * ledger says what must be there: every message whose 250 was given, complete, each recipient at
 * least as far as was confirmed; nothing twice, no id a second time, nothing finished come back. */
#ifndef CRASH_LIFE_H
#define CRASH_LIFE_H

#include "disk_sim.h"
#include "spool/spool.h"

enum { LETTERS = 512, PEOPLE = 3 };

struct letter {
    struct message_id id;
    size_t size;
    size_t recipients;
    bool confirmed; /* the 250 was given, or a restart found it */
    bool gone;      /* a restart did not find it, and had the right not to */
    bool failed;    /* was refused */
    bool spoilt;    /* it, or what was said of it, may have been changed on purpose */
    enum recipient_state known[PEOPLE];
    uint32_t possible[PEOPLE]; /* bits of states asked for since */
};

struct life {
    struct disk_sim *disk;
    struct loop *loop;
    struct spool *spool;
    struct store *store;
    struct letter letters[LETTERS]; /* also drafts that were given up: their ids are used */
    size_t count;
    unsigned waiting;
    bool leased, read;
    unsigned damages;
    bool allow_loss;     /* of spoilt letters */
    char violation[256]; /* empty while all is well */
};

void life_violation(struct life *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* False when the disk died meanwhile. */
bool life_open(struct life *l, struct disk_sim *disk);
void life_close(struct life *l);
void life_kill(struct life *l); /* dies, and comes again on the same disk */
/* The whole script: all that a spool does, faults of the disk too. Ends early when the power
 * fails. */
void life_script(struct life *l);
/* Steps of all kinds as the draws say. */
void life_random(struct life *l, uint64_t *draws, unsigned steps);
/* A short one for after a crash. */
void life_afterwards(struct life *l);
/* Holds the spool against the ledger, and takes what is found for the truth from now on. */
void life_check(struct life *l);

bool life_commit(struct life *l, const size_t *sizes, size_t count);
void life_settle(struct life *l, size_t letter, uint32_t recipient, enum recipient_state s);
void life_wait(struct life *l, int64_t ms);

#endif
