/* life: see life.h. Everything is asked one step at a time and waited for, so that a call of the
 * disk has the same number in every run. */
#include "life.h"

#include "base/must.h"
#include "machine.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct recipient people[PEOPLE] = {
    { .original = B("a@adatum.com"), .final = B("a@adatum.com"), .next_hop = B("mx:adatum.com") },
    { .original = B("b@contoso.com"),
      .final = B("b@fabrikam.com"),
      .next_hop = B("mx:fabrikam.com"),
      .notify = NOTIFY_SUCCESS },
    { .original = B("c@adatum.com"), .final = B("c@adatum.com"), .next_hop = B("mx:adatum.com") },
};
static const struct bytes prefix = B("Received: from here\r\n");

void life_violation(struct life *l, const char *format, ...) {
    if (l->violation[0])
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(l->violation, sizeof l->violation, format, args);
    va_end(args);
}

static bool over(const struct life *l) {
    return disk_sim_is_cut(l->disk) || l->violation[0];
}

/* --- waiting ---------------------------------------------------------------------------------- */

static void done(struct life *l) {
    if (--l->waiting == 0)
        loop_stop(l->loop);
}

static void run(struct life *l) {
    while (l->waiting) {
        unsigned before = l->waiting;
        loop_run(l->loop);
        if (l->waiting == before) {
            life_violation(l, "%u answers never came", before);
            l->waiting = 0;
        }
    }
}

static void on_time(void *ctx) {
    struct life *l = ctx;
    done(l);
}

void life_wait(struct life *l, int64_t ms) {
    struct timer t = { 0 };
    if (over(l))
        return;
    timer_set(l->loop, &t, ms, on_time, l);
    l->waiting = 1;
    run(l);
}

/* --- opening and closing ------------------------------------------------------------------------ */

static void on_leased(void *ctx, uint32_t lane, enum rc rc, const struct why *why) {
    struct life *l = ctx;
    (void)lane;
    (void)why;
    l->leased = rc == OK;
    if (rc != OK)
        done(l);
}

static void on_read(void *ctx, uint32_t lane) {
    struct life *l = ctx;
    (void)lane;
    l->read = true;
    done(l);
}

static void on_damage(void *ctx, uint32_t lane, struct bytes what) {
    struct life *l = ctx;
    (void)lane;
    (void)what;
    l->damages++;
}

bool life_open(struct life *l, struct disk_sim *disk) {
    static const struct spool_lane_events events = { on_leased, on_read, on_damage };
    struct spool_setup setup = {
        .disk = disk_sim_disk(disk), .segment_size = 4096, .min_free = 5, .inline_sync = true
    };
    l->disk = disk;
    l->loop = loop_open();
    l->spool = spool_open(l->loop, &setup);
    l->store = spool_store(l->spool);
    l->leased = l->read = false;
    l->waiting = 1;
    spool_lease(l->spool, 0, &events, l);
    run(l);
    if (!l->read && !over(l))
        life_violation(l, "the lane could not be taken");
    return l->read && !over(l);
}

void life_close(struct life *l) {
    spool_close(&l->spool);
    loop_close(&l->loop);
}

void life_kill(struct life *l) {
    if (over(l))
        return;
    disk_sim_kill(l->disk);
    life_close(l);
    disk_sim_revive(l->disk);
    life_open(l, l->disk);
}

static void restart(struct life *l) {
    if (over(l))
        return;
    life_close(l);
    disk_sim_revive(l->disk);
    life_open(l, l->disk);
}

/* --- letters ------------------------------------------------------------------------------------ */

static char octet(const struct letter *own, size_t i) {
    return (char)(' ' + (i * 31 + own->size + i / 97) % 95);
}

static struct letter *letter_find(struct life *l, struct message_id id) {
    for (size_t i = 0; i < l->count; i++)
        if (strcmp(l->letters[i].id.text, id.text) == 0)
            return &l->letters[i];
    return NULL;
}

static struct letter *letter_new(struct life *l, struct message_id id, size_t size) {
    if (letter_find(l, id))
        life_violation(l, "id %s was given twice", id.text);
    MUST(l->count < LETTERS);
    struct letter *own = &l->letters[l->count++];
    *own = (struct letter){ .id = id, .size = size, .recipients = 1 + l->count % PEOPLE };
    return own;
}

static void on_committed(void *ctx, enum rc rc, struct message_id id, const struct why *why) {
    struct life *l = ctx;
    struct letter *own = letter_find(l, id);
    (void)why;
    if (rc == OK)
        own->confirmed = true;
    else
        own->failed = true;
    done(l);
}

static void append(struct store_draft *d, const struct letter *own) {
    char part[4096];
    for (size_t at = 0; at < own->size;) {
        size_t n = own->size - at < sizeof part ? own->size - at : sizeof part;
        for (size_t i = 0; i < n; i++)
            part[i] = octet(own, at + i);
        (void)store_append(d, bytes_of(part, n));
        at += n;
    }
}

/* Several at once, so that they share a sync. True when all got their 250. */
bool life_commit(struct life *l, const size_t *sizes, size_t count) {
    bool all = true;
    size_t first = l->count;
    if (over(l))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct store_draft *d = store_begin(l->store, sizes[i], NULL);
        if (!d) {
            all = false;
            continue;
        }
        struct letter *own = letter_new(l, store_draft_id(d), sizes[i]);
        append(d, own);
        struct envelope e = { .sender = B("s@proseware.com"),
                              .arrived = loop_wall(l->loop),
                              .count = own->recipients,
                              .recipients = people };
        l->waiting++;
        store_commit(&d, prefix, &e, on_committed, l);
    }
    run(l);
    for (size_t i = first; i < l->count; i++)
        all &= l->letters[i].confirmed;
    return all;
}

static void give_up(struct life *l, size_t size) {
    if (over(l))
        return;
    struct store_draft *d = store_begin(l->store, 0, NULL);
    if (!d)
        return;
    struct letter *own = letter_new(l, store_draft_id(d), size);
    own->gone = true;
    append(d, own);
    store_abort(&d);
}

struct asked {
    struct life *life;
    size_t letter;
    uint32_t recipient;
    enum recipient_state state;
};

static void on_settled(void *ctx, enum rc rc) {
    struct asked *a = ctx;
    struct life *l = a->life;
    struct letter *own = &l->letters[a->letter];
    if (rc == OK) {
        own->known[a->recipient] = a->state;
        own->possible[a->recipient] = 0;
    }
    free(a);
    done(l);
}

static bool all_final(const struct letter *own) {
    for (size_t i = 0; i < own->recipients; i++)
        if (!recipient_state_final(own->known[i]))
            return false;
    return true;
}

static bool maybe_final(const struct letter *own) {
    uint32_t final = 0;
    for (unsigned s = 0; s < RECIPIENT_STATES; s++)
        final |= recipient_state_final((enum recipient_state)s) ? 1U << s : 0;
    for (size_t i = 0; i < own->recipients; i++)
        if (!recipient_state_final(own->known[i]) && !(own->possible[i] & final))
            return false;
    return true;
}

static void ask(struct life *l, size_t letter, uint32_t recipient, enum recipient_state s) {
    struct letter *own = &l->letters[letter];
    struct settlement t = { .id = own->id, .recipient = recipient, .state = s, .attempts = 1 };
    if (!own->confirmed || own->gone || recipient >= own->recipients ||
        recipient_state_final(own->known[recipient]) || own->possible[recipient])
        return;
    t.reply = B("250 2.0.0 as the other side said it");
    t.next = s == RECIPIENT_DEFERRED ? loop_wall(l->loop) + 3600000 : 0;
    own->possible[recipient] |= 1U << s;
    struct asked *a = calloc(1, sizeof *a);
    MUST(a);
    *a = (struct asked){ l, letter, recipient, s };
    l->waiting++;
    store_settle(l->store, &t, 1, on_settled, a);
}

void life_settle(struct life *l, size_t letter, uint32_t recipient, enum recipient_state s) {
    if (over(l))
        return;
    ask(l, letter, recipient, s);
    run(l);
}

/* All recipients of the letters from..to but every `skip`th. */
static void finish(struct life *l, size_t from, size_t to, size_t skip) {
    if (over(l))
        return;
    for (size_t i = from; i < to && i < l->count; i++)
        for (uint32_t r = 0; r < l->letters[i].recipients; r++)
            if (!skip || i % skip)
                ask(l, i, r, r == 1 ? RECIPIENT_DELIVERED : RECIPIENT_RELAYED);
    run(l);
}

/* --- the scripts ---------------------------------------------------------------------------------- */

static void begin(struct life *l) {
    static const size_t small[] = { 50, 900, 333, 700, 120, 5 };
    life_commit(l, small, 6);
    life_settle(l, 0, 0, RECIPIENT_DEFERRED);
    life_settle(l, 1, 0, RECIPIENT_RELAYED);
    static const size_t big[] = { 140000, 60 };
    life_commit(l, big, 2);
    life_settle(l, 6, 0, RECIPIENT_DEFERRED);
    finish(l, 2, 5, 0);
}

static void roll_over(struct life *l) {
    static const size_t sizes[] = { 800, 20, 450, 610, 77, 1500 };
    for (int round = 0; round < 3; round++) {
        life_commit(l, sizes, 6);
        finish(l, l->count - 6, l->count, 4);
        life_wait(l, 300);
    }
    give_up(l, 100);
    give_up(l, 200000);
    life_wait(l, 300);
}

static void die_and_go_on(struct life *l) {
    static const size_t sizes[] = { 150000, 90, 2000 };
    life_commit(l, sizes, 3);
    if (over(l))
        return;
    /* Finished, and written, but the process dies before it knows: then it must be synced before
     * anything is deleted because of it. */
    disk_sim_die_at_sync(l->disk);
    for (uint32_t r = 0; r < PEOPLE; r++)
        ask(l, l->count - 3, r, RECIPIENT_RELAYED);
    run(l);
    life_kill(l);
    life_check(l);
    life_wait(l, 300);
    static const size_t more[] = { 70, 80, 3000 };
    life_commit(l, more, 3);
}

static void sync_fails(struct life *l) {
    static const size_t sizes[] = { 300, 310 };
    if (over(l))
        return;
    disk_sim_fail(l->disk, DISK_SYNC, -EIO, 1);
    if (life_commit(l, sizes, 2) && !over(l))
        life_violation(l, "a 250 although the sync failed");
    if (!life_commit(l, sizes, 2) && !over(l))
        life_violation(l, "no 250 although the lane could move on");
    if (over(l))
        return;
    disk_sim_fail(l->disk, DISK_SYNC, -EIO, 1);
    finish(l, l->count - 2, l->count - 1, 0);
    life_wait(l, 2000);
    finish(l, 5, 9, 0);
    life_wait(l, 75000); /* what was abandoned is emptied */
}

static void disk_fills(struct life *l) {
    static const size_t sizes[] = { 400, 5000, 410 };
    if (over(l))
        return;
    disk_sim_fail(l->disk, DISK_WRITE, -ENOSPC, 2);
    if (life_commit(l, sizes, 3) && !over(l))
        life_violation(l, "a 250 although the disk was full");
    life_wait(l, 1500);
    life_settle(l, 10, 0, RECIPIENT_DEFERRED);
    if (over(l))
        return;
    disk_sim_fill(l->disk, true);
    life_wait(l, 1500);
    store_full(l->store);
    life_wait(l, 10);
    if (store_begin(l->store, 0, NULL))
        life_violation(l, "a draft although the disk is full");
    finish(l, 9, 14, 0);
    if (over(l))
        return;
    disk_sim_fill(l->disk, false);
    life_wait(l, 1500);
    store_full(l->store);
    life_wait(l, 10);
    if (!life_commit(l, sizes, 3) && !over(l))
        life_violation(l, "no 250 although there is room again");
}

static void names_fail(struct life *l) {
    static const size_t sizes[] = { 3000, 2000, 100 };
    if (over(l))
        return;
    life_commit(l, sizes, 3);
    if (over(l))
        return;
    disk_sim_fail(l->disk, DISK_SYNC_DIR, -EIO, 1);
    life_commit(l, sizes, 3);
    life_wait(l, 1500);
    if (!life_commit(l, sizes, 3) && !over(l))
        life_violation(l, "no 250 although the disk is well again");
}

static void grow_old(struct life *l) {
    static const size_t sizes[] = { 500, 600, 700, 200, 900, 100 };
    for (int round = 0; round < 2; round++) {
        life_commit(l, sizes, 6);
        finish(l, 0, l->count, 5);
        life_wait(l, 140000);
    }
    restart(l);
    life_check(l);
    finish(l, 0, l->count, 7);
    life_wait(l, 140000);
    life_commit(l, sizes, 6);
}

/* One segment's messages are finished by notes in the next, whose messages by notes in the third:
 * they may go in this order only. */
static void go_in_turn(struct life *l) {
    static const size_t sizes[] = { 1300, 1400, 1350, 1200 };
    size_t before = l->count;
    for (int round = 0; round < 4; round++) {
        life_commit(l, sizes, 4);
        if (round > 0 && l->count >= before + 8)
            finish(l, l->count - 8, l->count - 4, 0);
    }
    finish(l, before, l->count, 0);
    life_commit(l, sizes, 4);
    life_commit(l, sizes, 1);
    life_wait(l, 1000);
}

void life_script(struct life *l) {
    begin(l);
    roll_over(l);
    die_and_go_on(l);
    sync_fails(l);
    disk_fills(l);
    names_fail(l);
    go_in_turn(l);
    grow_old(l);
}

static void random_commit(struct life *l, uint64_t *draws) {
    size_t sizes[8], count = 1 + machine_draw(draws) % 8;
    if (l->count + count > LETTERS)
        return;
    for (size_t i = 0; i < count; i++)
        sizes[i] = machine_draw(draws) % 40 == 0 ? 131000 + machine_draw(draws) % 70000
                                                 : machine_draw(draws) % 1500;
    life_commit(l, sizes, count);
}

static void random_settle(struct life *l, uint64_t *draws) {
    static const enum recipient_state states[] = { RECIPIENT_DEFERRED, RECIPIENT_HELD,
                                                   RECIPIENT_RELAYED,  RECIPIENT_DELIVERED,
                                                   RECIPIENT_BOUNCED,  RECIPIENT_RELAYED };
    if (!l->count || over(l))
        return;
    size_t from = machine_draw(draws) % l->count;
    for (size_t i = from; i < from + 12 && i < l->count; i++)
        for (uint32_t r = 0; r < PEOPLE; r++)
            if (machine_draw(draws) % 4)
                ask(l, i, r, states[machine_draw(draws) % COUNT_OF(states)]);
    run(l);
}

static void random_fault(struct life *l, uint64_t *draws) {
    static const int errors[] = { -EIO, -ENOSPC, -EIO };
    if (!over(l))
        disk_sim_fail(l->disk, (enum disk_call)(machine_draw(draws) % DISK_CALLS),
                      errors[machine_draw(draws) % COUNT_OF(errors)],
                      1 + (unsigned)(machine_draw(draws) % 3));
}

void life_random(struct life *l, uint64_t *draws, unsigned steps) {
    for (; steps > 0 && !over(l); steps--) {
        uint64_t what = machine_draw(draws) % 32;
        if (disk_sim_is_killed(l->disk))
            life_kill(l);
        if (what < 12)
            random_commit(l, draws);
        else if (what < 22)
            random_settle(l, draws);
        else if (what < 24)
            finish(l, l->count > 40 ? l->count - 40 : 0, l->count, machine_draw(draws) % 6);
        else if (what < 26)
            life_wait(l, 200);
        else if (what < 28)
            life_wait(l, 140000);
        else if (what < 29)
            random_fault(l, draws);
        else if (what < 30)
            life_kill(l);
        else if (what < 31)
            restart(l);
        else if (!over(l))
            disk_sim_die_at_sync(l->disk);
    }
}

void life_afterwards(struct life *l) {
    static const size_t sizes[] = { 1000, 2000, 135000 };
    life_commit(l, sizes, 3);
    finish(l, 0, l->count, 3);
    life_wait(l, 75000);
    restart(l);
}

/* --- the check ------------------------------------------------------------------------------------ */

struct look {
    struct life *life;
    struct letter *letter;
    struct store_message *message;
    enum rc rc;
    bool content_good;
};

static void on_loaded(void *ctx, enum rc rc, struct store_message *m, const struct why *why) {
    struct look *k = ctx;
    (void)why;
    k->rc = rc;
    k->message = m;
    done(k->life);
}

static void on_content(void *arg, enum rc rc, struct bytes data, const struct why *why) {
    struct look *k = arg;
    const struct letter *own = k->letter;
    (void)why;
    k->content_good = rc == OK && data.len == own->size + prefix.len && bytes_starts(data, prefix);
    for (size_t i = 0; i < own->size && k->content_good; i++)
        k->content_good = data.at[prefix.len + i] == octet(own, i);
    if (rc == OK && !k->content_good)
        life_violation(k->life, "%s: wrong octets are passed on as good", own->id.text);
    done(k->life);
}

static bool content_good(struct look *k) {
    struct content c = store_message_content(k->message);
    if (c.size != k->letter->size + prefix.len)
        return false;
    k->life->waiting++;
    c.read(c.ctx, 0, (size_t)c.size + 10, on_content, k);
    run(k->life);
    return k->content_good;
}

static void check_states(struct look *k) {
    struct letter *own = k->letter;
    const struct envelope *e = store_message_envelope(k->message);
    const struct store_recipient *r = store_message_recipients(k->message);
    if (e->count != own->recipients || !bytes_equal(e->sender, B("s@proseware.com")))
        life_violation(k->life, "%s has another envelope", own->id.text);
    for (size_t i = 0; i < own->recipients && i < e->count; i++) {
        if (!bytes_equal(e->recipients[i].final, people[i].final) ||
            !bytes_equal(r[i].next_hop, people[i].next_hop))
            life_violation(k->life, "%s: recipient %zu is another", own->id.text, i);
        if (r[i].state != own->known[i] && !(own->possible[i] >> r[i].state & 1) && !own->spoilt)
            life_violation(k->life, "%s: recipient %zu is %s, but was %s", own->id.text, i,
                           recipient_state_name(r[i].state), recipient_state_name(own->known[i]));
        if (r[i].state == RECIPIENT_DEFERRED && !own->spoilt &&
            (r[i].attempts != 1 || r[i].next <= e->arrived || !r[i].reply.len))
            life_violation(k->life, "%s: recipient %zu forgot its attempt", own->id.text, i);
        own->known[i] = r[i].state;
        own->possible[i] = 0;
    }
}

static void check_letter(struct life *l, struct letter *own) {
    struct look k = { .life = l, .letter = own };
    l->waiting++;
    store_load(l->store, own->id, on_loaded, &k);
    run(l);
    if (disk_sim_is_cut(l->disk) && k.rc != OK)
        return;
    if (k.rc != OK && own->confirmed && !own->spoilt)
        life_violation(l, "%s cannot be read", own->id.text);
    if (k.rc != OK)
        return;
    if (!k.message) {
        if (own->confirmed && !own->gone && !maybe_final(own) && !own->spoilt)
            life_violation(l, "%s is lost", own->id.text);
        own->gone = true;
        return;
    }
    if (!own->spoilt && (own->gone || (own->confirmed && all_final(own))))
        life_violation(l, "%s came back", own->id.text);
    check_states(&k);
    bool good = content_good(&k);
    if (!good && !disk_sim_is_cut(l->disk) && !own->spoilt && own->confirmed)
        life_violation(l, "%s: its content is damaged", own->id.text);
    if (good)
        own->confirmed = true;
    store_message_release(&k.message);
}

struct tour {
    struct life *life;
    bool seen[LETTERS];
    char cursor[64];
    bool more;
};

static void on_message(void *ctx, struct store_message *m) {
    struct tour *t = ctx;
    struct letter *own = letter_find(t->life, store_message_id(m));
    size_t at = own ? (size_t)(own - t->life->letters) : 0;
    if (!own)
        life_violation(t->life, "%s was never sent", store_message_id(m).text);
    else if (t->seen[at])
        life_violation(t->life, "%s is there twice", own->id.text);
    else if (own->gone && !own->spoilt)
        life_violation(t->life, "%s is there and is not", own->id.text);
    t->seen[at] = true;
}

static void on_page(void *ctx, enum rc rc, struct bytes next, bool more) {
    struct tour *t = ctx;
    (void)rc;
    snprintf(t->cursor, sizeof t->cursor, "%.*s", BYTES_FMT(next));
    t->more = more;
    done(t->life);
}

static void check_all_known(struct life *l) {
    static const struct store_scan_events events = { on_message, on_page };
    struct tour *t = calloc(1, sizeof *t);
    MUST(t);
    t->life = l;
    do {
        l->waiting++;
        store_scan(l->store, &(struct store_filter){ 0 }, bytes_str(t->cursor), 100, &events, t);
        run(l);
    } while (t->more && !over(l));
    for (size_t i = 0; i < l->count && !over(l); i++)
        if (!t->seen[i] && l->letters[i].confirmed && !l->letters[i].gone &&
            !all_final(&l->letters[i]) && !l->letters[i].spoilt)
            life_violation(l, "%s does not show", l->letters[i].id.text);
    free(t);
}

void life_check(struct life *l) {
    if (over(l))
        return;
    for (size_t i = 0; i < l->count && !over(l); i++)
        check_letter(l, &l->letters[i]);
    if (!over(l))
        check_all_known(l);
}
