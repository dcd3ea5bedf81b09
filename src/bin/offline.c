/* offline: a pipeline that is at rest from the start, so that orders are carried out by the same code
 * as in a worker, NDRs included, and nothing is sent. */
#include "bin/offline.h"
#include "base/event.h"
#include "base/must.h"
#include "bin/answer.h"
#include "bin/layout.h"
#include "report/report.h"
#include "spool/spool.h"
#include "sys/disk.h"
#include "sys/files.h"
#include "sys/random.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LANES_MAX = 1024, HISTORY_WRITER = 999 /* no worker has this number */ };

struct offline {
    struct loop *loop;
    struct spool *spool;
    struct pipeline *pipeline;
    struct answers *answers;
    struct bytes request;
    uint32_t lanes[LANES_MAX];
    size_t lane_count, lanes_read;
    void (*each)(void *ctx, struct bytes line);
    void *ctx;
    enum rc rc;
    struct why *why;
    struct timer timer;
};

static void fail(struct offline *o, const struct why *why) {
    o->rc = PERM;
    if (why)
        *o->why = *why;
    loop_stop(o->loop);
}

static void on_leased(void *ctx, uint32_t lane, enum rc rc, const struct why *why) {
    (void)lane;
    if (rc != OK)
        fail(ctx, why);
}

static void on_read(void *ctx, uint32_t lane) {
    (void)lane;
    struct offline *o = ctx;
    if (++o->lanes_read == o->lane_count)
        answers_ask(o->answers, 1, o->request);
}

static void on_damage(void *ctx, uint32_t lane, struct bytes what) {
    (void)lane;
    struct offline *o = ctx;
    struct buf b = buf_grow(65536);
    buf_str(&b, "{\"error\":");
    buf_json(&b, what);
    buf_char(&b, '}');
    o->each(o->ctx, buf_bytes(&b));
    buf_free(&b);
}

static void operate(void *ctx, enum schedule_order order, struct message_id id, struct bytes who,
                    void (*done)(void *arg, enum rc rc, size_t changed, const struct why *why),
                    void *arg) {
    struct offline *o = ctx;
    pipeline_operate(o->pipeline, order, id, who, done, arg);
}

static void next_page(void *ctx) {
    struct offline *o = ctx;
    answers_next(o->answers, 1);
}

static void all_said(void *ctx) {
    struct offline *o = ctx;
    loop_stop(o->loop);
}

static void send_lines(void *ctx, uint64_t question, struct bytes lines, enum answer_end end) {
    (void)question;
    struct offline *o = ctx;
    struct bytes line;
    while (lines.len && bytes_split(&lines, '\n', &line))
        if (line.len)
            o->each(o->ctx, line);
    timer_set(o->loop, &o->timer, 0, end == ANSWER_MORE ? next_page : all_said, o);
}

static void at_rest(void *ctx) {
    (void)ctx;
}

static enum rc find_lanes(struct offline *o, const struct config *c, struct arena *a,
                          struct why *why) {
    struct bytes *names;
    size_t count;
    enum rc rc = files_list(layout_path(a, c, "spool"), 10000, a, &names, &count, why);
    for (size_t i = 0; rc == OK && i < count; i++) {
        uint64_t lane;
        if (bytes_to_u64(names[i], LANES_MAX - 1, &lane) && o->lane_count < LANES_MAX)
            o->lanes[o->lane_count++] = (uint32_t)lane;
    }
    return rc;
}

static int64_t wall_clock(void *loop) {
    return loop_wall(loop);
}

static void run(struct offline *o, const struct config *c, struct directory *directory) {
    static const struct spool_lane_events events = { on_leased, on_read, on_damage };
    struct counters *counters = counters_local();
    o->pipeline = pipeline_open(&(struct pipeline_setup){ .loop = o->loop,
                                                          .store = spool_store(o->spool),
                                                          .directory = directory,
                                                          .counters = counters,
                                                          .seed = random_u64() },
                                c);
    pipeline_drain(o->pipeline, 0, at_rest, o);
    o->answers = answers_open(&(struct answers_setup){
        .store = spool_store(o->spool), .operate = operate, .send = send_lines, .ctx = o });
    for (size_t i = 0; i < o->lane_count; i++)
        spool_lease(o->spool, o->lanes[i], &events, o);
    if (o->lane_count)
        loop_run(o->loop);
    timer_clear(&o->timer);
    answers_close(&o->answers);
    pipeline_close(&o->pipeline);
    counters_close(&counters);
}

/* Who began the command: later questions of it are asked after it became the workers' account. */
static uid_t first_user(void) {
    static uid_t user = (uid_t)-1;
    if (user == (uid_t)-1)
        user = getuid();
    return user;
}

/* As the control socket does: the operator is who runs the command. */
static struct bytes sign(struct arena *a, struct bytes request, struct bytes name) {
    json_t *json = json_loadb(request.at, request.len, 0, NULL);
    json_object_set_new(json, "operator", json_stringn(name.at, name.len));
    char *text = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    struct bytes signed_request = arena_copy(a, bytes_str(text));
    free(text);
    return signed_request;
}

enum rc offline_ask(const struct config *config, struct bytes request,
                    void (*each)(void *ctx, struct bytes line), void *ctx, struct why *why) {
    struct layout_accounts accounts;
    struct arena *a = arena_open();
    struct bytes operator_name = process_user_name(first_user(), a);
    enum rc rc = layout_accounts(config, &accounts, why);
    if (rc == OK && accounts.root)
        rc = process_become(&accounts.worker, why);
    if (rc != OK) {
        arena_close(&a);
        return rc;
    }
    struct offline o = {
        .request = sign(a, request, operator_name), .each = each, .ctx = ctx, .why = why
    };
    struct directory *directory = NULL;
    struct disk *disk = disk_open(layout_path(a, config, "spool").at);
    if (!disk) {
        int error = errno;
        rc = why_set(why, PERM, 0, NULL, "files.denied", "%s: %s",
                     layout_path(a, config, "spool").at, strerror(error));
    }
    o.loop = loop_open();
    event_open(wall_clock, o.loop);
    /* What an operator does is told in the history as the server's own deeds are. */
    struct history *history = NULL;
    if (rc == OK)
        rc = history_open(layout_path(a, config, "history").at, config->history_keep,
                          config->history_max_size, HISTORY_WRITER, &history, why);
    if (rc == OK)
        event_listen(history_event, history);
    if (rc == OK)
        rc = find_lanes(&o, config, a, why);
    if (rc == OK)
        rc = directory_open(o.loop, layout_directory_file(a, config).at, &directory, why);
    if (rc == OK) {
        o.spool = spool_open(o.loop, &(struct spool_setup){ .disk = disk });
        run(&o, config, directory);
        spool_close(&o.spool);
        rc = o.rc;
    }
    directory_close(&directory);
    disk_close(&disk);
    if (history) {
        event_unlisten(history_event, history);
        history_flush(history, loop_wall(o.loop));
        history_close(&history);
    }
    loop_close(&o.loop);
    arena_close(&a);
    return rc;
}
