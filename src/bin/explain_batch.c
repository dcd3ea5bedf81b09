/* explain_batch: explaining many messages: an object each for scripts, a table of causes for people, with a
 * bar on the terminal that says how far it is. */
#include "bin/explain.h"

#include "base/must.h"
#include "bin/explain_mail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum { LIVE_MAX = 20, ROWS_MAX = 512, BAR = 30, BAR_EVERY_MS = 200 };

/* A line of the table. */
struct row {
    struct reply_meaning meaning;
    size_t recipients, messages, last; /* last: number of the message that was counted last */
    char example[64];
};
struct run {
    const struct explain_batch *batch;
    struct arena *
        arenas[2]; /* of the message at hand, and of the first, which is kept until there are two */
    struct explained first;
    size_t messages, live, kinds[EXPLAIN_NO_BOUNCE + 1];
    struct row rows[ROWS_MAX];
    size_t row_count;
    struct buf out;
    /* the bar */
    bool bar, both; /* both: answers go to the same terminal */
    uint64_t octets, all_octets;
    int64_t started, shown;
};

/* --- the bar ------------------------------------------------------------------------------------------------ */

static int64_t now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void show_bar(struct run *r) {
    int64_t now = now_ms();
    if (!r->bar || now - r->shown < BAR_EVERY_MS || !r->all_octets)
        return;
    double part = (double)r->octets / (double)r->all_octets;
    part = part > 1 ? 1 : part;
    int full = (int)(part * BAR);
    double left = part > 0 ? (double)(now - r->started) * (1 - part) / part / 1000 : 0;
    fprintf(stderr, "\r[%.*s%*s] %3d %%, %zu messages, %.0f s left \033[K", full,
            "##############################", BAR - full, "", (int)(part * 100), r->messages, left);
    r->shown = now;
}

static void hide_bar(struct run *r) {
    if (r->bar && r->shown)
        fputs("\r\033[K", stderr);
    r->shown = 0;
}

/* --- the table ---------------------------------------------------------------------------------------------- */

static struct row *row_of(struct run *r, const struct reply_meaning *m) {
    for (size_t i = 0; i < r->row_count; i++)
        if (!strcmp(r->rows[i].meaning.cause, m->cause) && !strcmp(r->rows[i].meaning.who, m->who))
            return &r->rows[i];
    if (r->row_count == ROWS_MAX)
        return &r->rows[ROWS_MAX - 1];
    r->rows[r->row_count].meaning = *m;
    return &r->rows[r->row_count++];
}

static void count(struct run *r, const struct explained *e) {
    for (size_t i = 0; i < e->count && e->kind != EXPLAIN_NO_BOUNCE; i++) {
        struct row *row = row_of(r, &e->answers[i].meaning);
        row->recipients++;
        row->messages += row->last != r->messages;
        row->last = r->messages;
        if (!row->example[0])
            snprintf(row->example, sizeof row->example, "%.*s",
                     BYTES_FMT(bytes_first(e->answers[i].said->address, 60)));
    }
}

static int more_first(const void *a, const void *b) {
    const struct row *x = a, *y = b;
    if (x->recipients != y->recipients)
        return x->recipients < y->recipients ? 1 : -1;
    return strcmp(x->meaning.cause, y->meaning.cause);
}

static void print_table(struct run *r) {
    size_t width = strlen("cause");
    qsort(r->rows, r->row_count, sizeof r->rows[0], more_first);
    for (size_t i = 0; i < r->row_count; i++)
        width = strlen(r->rows[i].meaning.cause) > width ? strlen(r->rows[i].meaning.cause) : width;
    printf("%zu messages: %zu bounces, %zu reports, %zu replies, %zu logs, %zu neither\n\n",
           r->messages, r->kinds[EXPLAIN_BOUNCE], r->kinds[EXPLAIN_REPORT], r->kinds[EXPLAIN_REPLY],
           r->kinds[EXPLAIN_LOG], r->kinds[EXPLAIN_NO_BOUNCE]);
    if (!r->row_count)
        return;
    printf("%-*s  %-15s  %-9s  %10s  %8s  %s\n", (int)width, "cause", "who must act", "for good",
           "recipients", "messages", "for example");
    for (size_t i = 0; i < r->row_count; i++) {
        const struct row *row = &r->rows[i];
        printf("%-*s  %-15s  %-9s  %10zu  %8zu  %s\n", (int)width, row->meaning.cause,
               row->meaning.who, row->meaning.permanent ? "yes" : "no", row->recipients,
               row->messages, row->example);
    }
    printf(
        "\n`postern explain CAUSE` tells what a cause means and what to do; --each explains every message.\n");
}

/* --- one message -------------------------------------------------------------------------------------------- */

static void print_out(struct run *r) {
    if (r->both)
        hide_bar(r);
    fwrite(r->out.at, 1, r->out.len, stdout);
    buf_clear(&r->out);
}

static void tell(struct run *r, const struct explained *e) {
    if (r->batch->json) {
        explain_json(e, &r->out);
        buf_char(&r->out, '\n');
        print_out(r);
        return;
    }
    if (!r->batch->each) {
        count(r, e);
        return;
    }
    if (e->source.len) {
        buf_str(&r->out, "== ");
        buf_printable(&r->out, e->source);
        if (e->number)
            buf_printf(&r->out, " (%zu)", e->number);
        buf_str(&r->out, "\n");
    }
    explain_text(e, &r->out);
    buf_char(&r->out, '\n');
    print_out(r);
}

/* The network is asked about a message alone, and about the first ones of those that are told one by one. */
static void ask_network(struct run *r, struct explained *e, struct arena *a) {
    struct why why;
    if (!r->batch->live || e->kind == EXPLAIN_NO_BOUNCE || !e->count)
        return;
    hide_bar(r);
    if (++r->live == LIVE_MAX + 1)
        fprintf(stderr,
                "postern explain: --live: the network was asked about the first %d messages\n",
                LIVE_MAX);
    if (r->live <= LIVE_MAX && explain_live(e, r->batch->live, a, &why) != OK)
        fprintf(stderr, "postern explain: --live: %s\n", why.text);
}

/* The first is kept back: one message alone is told in full. */
static void take(struct run *r, const struct explained *e) {
    bool hold = !r->batch->json && !r->batch->each;
    r->kinds[e->kind]++;
    r->messages++;
    if (r->messages == 1 && hold) {
        r->first = *e;
        return;
    }
    if (r->messages == 2 && hold) {
        r->messages = 1;
        count(r, &r->first);
        r->messages = 2;
    }
    tell(r, e);
}

static int read_file(struct run *r, struct mail_file file, bool named) {
    struct mail_reader reader;
    struct why why;
    struct bytes message;
    if (mail_reader_open(&reader, file.path, &why) != OK) {
        hide_bar(r);
        fprintf(stderr, "postern explain: %s\n", why.text);
        return EX_NOINPUT;
    }
    uint64_t before = r->octets;
    while (mail_reader_next(&reader, &message)) {
        struct explained e;
        struct arena *a = r->arenas[r->messages > 0];
        arena_reset(a);
        if (reader.mbox)
            explain_message(message, a, &e);
        else
            explain_read(message, &r->batch->hints, a, &e);
        e.bounce.cut |= reader.cut;
        e.source = named ? file.path : BYTES_NONE;
        e.number = reader.mbox ? reader.number : 0;
        if (r->batch->json || r->batch->each)
            ask_network(r, &e, a);
        take(r, &e);
        r->octets = before + reader.octets;
        show_bar(r);
    }
    mail_reader_close(&reader);
    return EX_OK;
}

static int finish(struct run *r) {
    bool alone = r->messages == 1 && !r->batch->json && !r->batch->each;
    if (alone) {
        ask_network(r, &r->first, r->arenas[0]);
        explain_text(&r->first, &r->out);
        print_out(r);
    } else if (!r->batch->json && !r->batch->each) {
        print_table(r);
    }
    return r->messages && r->kinds[EXPLAIN_NO_BOUNCE] == r->messages && r->messages == 1 ? 1
                                                                                         : EX_OK;
}

/* Which files; what is not there is told, and the rest read all the same. */
static int list_files(const struct explain_batch *batch, struct mail_list *list) {
    struct why why;
    int code = EX_OK;
    for (size_t i = 0; i < batch->count; i++)
        if (mail_list_add(list, batch->paths[i], &why) != OK) {
            fprintf(stderr, "postern explain: %s\n", why.text);
            code = EX_NOINPUT;
        }
    if (list->cut)
        fprintf(stderr, "postern explain: only the first %d files are read\n", MAIL_FILES);
    return code;
}

/* One file that was named as it is needs no name in the answer. */
static bool is_named(const struct explain_batch *batch, const struct mail_list *list) {
    return batch->json || list->count > 1 ||
           (list->count == 1 && !bytes_equal(list->files[0].path, batch->paths[0]));
}

int explain_run(const struct explain_batch *batch) {
    struct run *r = calloc(1, sizeof *r);
    struct mail_list list = { .arena = arena_open() };
    MUST(r);
    *r = (struct run){ .batch = batch,
                       .out = buf_grow(64 * 1024 * 1024),
                       .arenas = { arena_open(), arena_open() } };
    int code = list_files(batch, &list);
    r->all_octets = list.octets;
    r->bar = isatty(STDERR_FILENO) && (list.count > 1 || list.octets > 4 * 1024 * 1024);
    r->both = r->bar && isatty(STDOUT_FILENO);
    r->started = r->shown = now_ms();
    for (size_t i = 0; i < list.count; i++) {
        int done = read_file(r, list.files[i], is_named(batch, &list));
        code = done ? done : code;
    }
    hide_bar(r);
    if (!list.count && code == EX_OK)
        fprintf(stderr, "postern explain: there are no files in it\n");
    int done = r->messages ? finish(r) : EX_OK;
    buf_free(&r->out);
    arena_close(&r->arenas[0]);
    arena_close(&r->arenas[1]);
    arena_close(&list.arena);
    free(r);
    return code ? code : done;
}
