/* spool_bench: what the spool alone can do on this disk. So many sessions, each commits one message
 * after another through the real loop, and waits for its 250.
 *
 *     spool_bench DIRECTORY [sessions] [seconds] [size] [settle]
 *     spool_bench DIRECTORY grow MESSAGES    that many deferred messages, then a restart
 *
 * The directory should be empty. CPU is that of the whole process, the making of content included. */
#include "base/must.h"
#include "spool/spool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

struct run;
struct session {
    struct run *run;
};
struct run {
    struct loop *loop;
    struct spool *spool;
    struct store *store;
    struct timer end;
    size_t size;
    bool settle, stop, defer;
    uint64_t done, failed, limit, begun;
    unsigned busy;
    double leased_at, read_at;
    char *content;
};

static double seconds(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void next(struct session *s);

static void settle(struct run *r, struct message_id id) {
    struct settlement t = { .id = id, .state = RECIPIENT_RELAYED, .attempts = 1 };
    t.reply = B("250 2.0.0 Ok: queued as 4bXyZ1");
    if (r->defer) {
        t.state = RECIPIENT_DEFERRED;
        t.next = loop_wall(r->loop) + 3600000 + (int64_t)(r->done % 100000);
        t.reply = B("connect to mail.example.com: connection timed out");
    }
    store_settle(r->store, &t, 1, NULL, NULL);
}

static void on_committed(void *ctx, enum rc rc, struct message_id id, const struct why *why) {
    struct session *s = ctx;
    struct run *r = s->run;
    (void)why;
    r->busy--;
    r->done += rc == OK;
    r->failed += rc != OK;
    if (r->settle && rc == OK)
        settle(r, id);
    if (r->stop || (r->limit && r->begun == r->limit)) {
        if (!r->busy)
            loop_stop(r->loop);
        return;
    }
    next(s);
}

static void next(struct session *s) {
    struct run *r = s->run;
    char hop[40], to[60];
    snprintf(hop, sizeof hop, "mx:example%u.com", (unsigned)(r->begun % 1000));
    snprintf(to, sizeof to, "someone.or.other@%s", hop + 3);
    struct store_draft *d = store_begin(r->store, r->size, NULL);
    if (!d) {
        r->failed++;
        return;
    }
    for (size_t at = 0; at < r->size; at += 65536) {
        size_t left = r->size - at;
        (void)store_append(d, bytes_of(r->content, left < 65536 ? left : 65536));
    }
    struct recipient who = { .original = bytes_str(to),
                             .final = bytes_str(to),
                             .next_hop = bytes_str(hop) };
    struct envelope e = { .sender = B("newsletter@proseware.com"),
                          .arrived = loop_wall(r->loop),
                          .message_header_id = B("<20261120.1234@proseware.com>"),
                          .session = B("s1k2j3"),
                          .listener = B("internet"),
                          .helo = B("client.proseware.com"),
                          .protocol = B("ESMTP"),
                          .count = 1,
                          .recipients = &who };
    r->begun++;
    r->busy++;
    store_commit(&d, B("Received: from client.proseware.com (127.0.0.1)\r\n\tby mail\r\n"), &e,
                 on_committed, s);
}

static void on_leased(void *ctx, uint32_t lane, enum rc rc, const struct why *why) {
    struct run *r = ctx;
    (void)lane;
    (void)why;
    MUST(rc == OK);
    r->leased_at = seconds(CLOCK_MONOTONIC);
}

static void on_read(void *ctx, uint32_t lane) {
    struct run *r = ctx;
    (void)lane;
    r->read_at = seconds(CLOCK_MONOTONIC);
    loop_stop(r->loop);
}

static void on_damage(void *ctx, uint32_t lane, struct bytes what) {
    (void)ctx;
    (void)lane;
    printf("%.*s\n", BYTES_FMT(what));
}

static void on_end(void *ctx) {
    ((struct run *)ctx)->stop = true;
}

static void start(struct run *r, struct disk *disk) {
    static const struct spool_lane_events events = { on_leased, on_read, on_damage };
    struct spool_setup setup = { .disk = disk };
    r->loop = loop_open();
    r->spool = spool_open(r->loop, &setup);
    r->store = spool_store(r->spool);
    spool_lease(r->spool, 0, &events, r);
    loop_run(r->loop);
}

static long peak_kib(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_maxrss;
}

static long memory_kib(void) {
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fscanf(f, "%*d %ld", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    return pages * 4;
}

static void commit_all(struct run *r, unsigned sessions) {
    struct session *all = calloc(sessions, sizeof *all);
    MUST(all);
    double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (unsigned i = 0; i < sessions; i++) {
        all[i].run = r;
        next(&all[i]);
    }
    loop_run(r->loop);
    wall = seconds(CLOCK_MONOTONIC) - wall;
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    struct store_stats stats;
    store_stats(r->store, &stats);
    printf("%u sessions, %zu octets: %.0f commits/s, %.3f syncs a commit, %.1f us CPU a commit, "
           "%llu failed, %ld KiB\n",
           sessions, r->size, (double)r->done / wall, (double)stats.syncs / (double)r->done,
           cpu * 1e6 / (double)r->done, (unsigned long long)r->failed, memory_kib());
    free(all);
}

static void grow(struct run *r, struct disk *disk, uint64_t messages) {
    r->limit = messages;
    r->settle = r->defer = true;
    r->size = 512;
    start(r, disk);
    commit_all(r, 200);
    double close = seconds(CLOCK_MONOTONIC);
    spool_close(&r->spool);
    loop_close(&r->loop);
    double begin = seconds(CLOCK_MONOTONIC);
    start(r, disk);
    struct store_stats stats;
    store_stats(r->store, &stats);
    printf("close %.2f s; restart: takes mail after %.3f s, all read after %.2f s; %llu messages, "
           "%llu segments; %ld KiB now, %ld KiB at most\n",
           begin - close, r->leased_at - begin, r->read_at - begin,
           (unsigned long long)stats.messages, (unsigned long long)stats.segments, memory_kib(),
           peak_kib());
}

int main(int argc, char **argv) {
    struct run r = { .size = 4096 };
    if (argc < 2) {
        fprintf(stderr, "usage: spool_bench DIRECTORY [sessions] [seconds] [size] [settle]\n"
                        "       spool_bench DIRECTORY grow MESSAGES\n");
        return 64;
    }
    struct disk *disk = disk_open(argv[1]);
    MUST(disk);
    r.content = malloc(65536);
    MUST(r.content);
    memset(r.content, 'x', 65536);
    if (argc > 3 && strcmp(argv[2], "grow") == 0) {
        grow(&r, disk, strtoull(argv[3], NULL, 10));
    } else {
        start(&r, disk);
        r.size = argc > 4 ? strtoul(argv[4], NULL, 10) : 4096;
        r.settle = argc > 5;
        timer_set(r.loop, &r.end, argc > 3 ? atoi(argv[3]) * 1000 : 3000, on_end, &r);
        commit_all(&r, argc > 2 ? (unsigned)atoi(argv[2]) : 20);
    }
    spool_close(&r.spool);
    timer_clear(&r.end);
    loop_close(&r.loop);
    disk_close(&disk);
    free(r.content);
    return 0;
}
