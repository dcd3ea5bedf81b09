/* maildrop: a Maildir as a list that stands still. This file alone knows what a file's name means
 * to a reader (time first, flags behind a colon, ",W=" for the size on the wire), how a file that
 * another reader renamed is found again, and which part of each call happens on the thread. */
#include "mailbox/maildrop.h"

#include "base/must.h"
#include "flow/message_id.h"
#include "mailbox/maildir.h"
#include "sys/disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    FOLDER_SIZE = 2048,
    PATH_SIZE = FOLDER_SIZE + 300,
    NAME_SIZE = 256,
    MOST_MAX = 1000000,
    SLICE = 1024 * 1024, /* of work for one turn of the thread, counted in octets read; */
    CALL_COST = 2048,    /* any other call is as much work as this many */
};

/* Sizes that are none. */
#define UNKNOWN    UINT64_MAX
#define GONE       (UINT64_MAX - 1)
/* Of what a name may say, so that no sum overflows. */
#define SIZE_LIMIT ((uint64_t)1 << 40)

enum place { CUR, NEW, ADOPTED }; /* ADOPTED: in cur, with ":2," behind the name that is noted */

struct entry {
    uint64_t time; /* the number that the name begins with */
    uint64_t size;
    uint32_t name; /* where it begins in `names` */
    uint16_t name_len, base_len;
    uint8_t place;
    bool absent; /* when the folders were last looked through */
};

struct maildrops {
    struct offload *offload;
    struct disk *disk; /* NULL until mail_dir is there; opened on the thread */
    char *mail_dir;
    uint32_t most;
    bool closing;
};

struct maildrop {
    struct offload_job job;
    struct maildrops *all;
    void (*slice)(struct maildrop *d); /* on the thread */
    bool busy, again, closed, cancelled;
    char folder[FOLDER_SIZE];
    int lock, file;    /* -1: none */
    enum place listed; /* by the listing under way */
    struct entry *entries;
    uint32_t count, room;
    struct buf names;
    uint32_t at;   /* where the next slice goes on */
    bool removing; /* update has come to a marked one */
    char *piece;   /* MAILDROP_PIECE octets while a file is open */
    size_t piece_len;
    uint64_t offset;
    char *marked;
    enum rc rc;
    struct why why;
    maildrop_done *on_done;
    maildrop_piece *on_piece; /* instead of on_done, for read */
    void *ctx;
};

/* --- names ------------------------------------------------------------------------------------ */

static struct bytes name_of(const struct maildrop *d, const struct entry *e) {
    return bytes_of(d->names.at + e->name, e->name_len);
}

/* What identifies a message, whatever its flags. */
static struct bytes base_of(const struct maildrop *d, const struct entry *e) {
    return bytes_of(d->names.at + e->name, e->base_len);
}

static struct bytes base_in(struct bytes name) {
    ptrdiff_t colon = bytes_find(name, ':');
    return colon < 0 ? name : bytes_first(name, (size_t)colon);
}

static uint64_t time_in(struct bytes name) {
    uint64_t time = 0;
    for (size_t i = 0; i < name.len && i < 18 && ascii_is_digit(name.at[i]); i++)
        time = time * 10 + (uint64_t)(name.at[i] - '0');
    return time;
}

static uint64_t size_in(struct bytes base) {
    struct bytes part;
    uint64_t size;
    bytes_split(&base, ',', &part);
    while (bytes_split(&base, ',', &part))
        if (bytes_starts(part, B("W=")) && bytes_to_u64(bytes_skip(part, 2), SIZE_LIMIT, &size))
            return size;
    return UNKNOWN;
}

static const char *path_of(const struct maildrop *d, const struct entry *e, enum place place,
                           char memory[PATH_SIZE]) {
    struct buf b = buf_fixed(memory, PATH_SIZE);
    buf_printf(&b, "%s/%s/", d->folder, place == NEW ? "new" : "cur");
    buf_add(&b, name_of(d, e));
    if (place == ADOPTED)
        buf_str(&b, ":2,");
    MUST(!b.full);
    return buf_text(&b);
}

static const char *below(const struct maildrop *d, const char *sub, char memory[PATH_SIZE]) {
    struct buf b = buf_fixed(memory, PATH_SIZE);
    buf_printf(&b, "%s/%s", d->folder, sub);
    return buf_text(&b);
}

/* --- the list ---------------------------------------------------------------------------------- */

static int compare_base(uint64_t a_time, struct bytes a, uint64_t b_time, struct bytes b) {
    if (a_time != b_time)
        return a_time < b_time ? -1 : 1;
    return bytes_compare(a, b);
}

/* In the order of delivery; of two files of one message the one in cur first. */
static int compare_entries(const void *left, const void *right, void *drop) {
    const struct entry *a = left, *b = right;
    int order = compare_base(a->time, base_of(drop, a), b->time, base_of(drop, b));
    return order ? order : (int)a->place - (int)b->place;
}

static void *resize(void *memory, size_t size) {
    memory = realloc(memory, size);
    MUST(memory);
    return memory;
}

/* Leaves out what is gone, and the names that nobody uses any more. */
static void pack(struct maildrop *d) {
    struct buf names = buf_grow(d->names.max);
    uint32_t count = 0;
    for (uint32_t i = 0; i < d->count; i++) {
        struct entry e = d->entries[i];
        if (e.size == GONE)
            continue;
        struct bytes name = name_of(d, &e);
        e.name = (uint32_t)names.len;
        buf_add(&names, name);
        d->entries[count++] = e;
    }
    buf_free(&d->names);
    d->names = names;
    d->count = count;
}

/* Names are unique by the rules of Maildir, so that two files of one are the same message, half
 * moved; the second is left alone. Of too many the oldest stay. */
static void sort_entries(struct maildrop *d) {
    if (d->count)
        qsort_r(d->entries, d->count, sizeof *d->entries, compare_entries, d);
    for (uint32_t i = 0, kept = 0; i < d->count; i++) {
        struct entry *e = &d->entries[i];
        bool twin = i && bytes_equal(base_of(d, e - 1), base_of(d, e));
        if (twin || kept == d->all->most)
            e->size = GONE;
        else
            kept++;
    }
    pack(d);
}

/* Twice as many as may stay, so that the oldest of any number are found in bounded memory. */
static void make_room(struct maildrop *d) {
    uint32_t limit = 2 * d->all->most;
    if (d->count == limit)
        sort_entries(d);
    if (d->count < d->room)
        return;
    d->room = d->room ? 2 * d->room : 64;
    d->room = d->room < limit ? d->room : limit;
    d->entries = resize(d->entries, d->room * sizeof *d->entries);
}

static bool is_message(struct bytes name) {
    return name.len && name.len < NAME_SIZE && name.at[0] != '.';
}

static void on_listed(void *arg, const char *text) {
    struct maildrop *d = arg;
    struct bytes name = bytes_str(text), base = base_in(name);
    if (!is_message(name))
        return;
    make_room(d);
    d->entries[d->count++] = (struct entry){
        .time = time_in(name),
        .size = size_in(base),
        .name = (uint32_t)d->names.len,
        .name_len = (uint16_t)name.len,
        .base_len = (uint16_t)base.len,
        .place = (uint8_t)d->listed,
    };
    buf_add(&d->names, name);
    MUST(!d->names.full);
}

static int list(struct maildrop *d, enum place place, void (*each)(void *arg, const char *name)) {
    struct disk *disk = d->all->disk;
    char path[PATH_SIZE];
    d->listed = place;
    int rc = disk->list(disk->ctx, below(d, place == NEW ? "new" : "cur", path), each, d);
    return rc == -ENOENT ? 0 : rc;
}

/* --- files that were renamed -------------------------------------------------------------------- */

static struct entry *find(struct maildrop *d, struct bytes name) {
    struct bytes base = base_in(name);
    uint64_t time = time_in(name);
    uint32_t low = 0, high = d->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        struct entry *e = &d->entries[middle];
        int order = compare_base(time, base, e->time, base_of(d, e));
        if (order == 0)
            return e;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static void on_found(void *arg, const char *text) {
    struct maildrop *d = arg;
    struct bytes name = bytes_str(text);
    struct entry *e = is_message(name) ? find(d, name) : NULL;
    if (!e || d->names.max - d->names.len < name.len)
        return;
    e->absent = false;
    if (!bytes_equal(name_of(d, e), name)) {
        e->name = (uint32_t)d->names.len;
        e->name_len = (uint16_t)name.len;
        buf_add(&d->names, name);
    }
    e->place = (uint8_t)d->listed;
}

/* Flags are changed by renaming: one listing finds them all. New first: cur has the last word. */
static void refresh(struct maildrop *d) {
    for (uint32_t i = 0; i < d->count; i++)
        d->entries[i].absent = true;
    list(d, NEW, on_found);
    list(d, CUR, on_found);
}

/* Not where it was: looks through the folders, but not again for what was not there then. */
static bool find_again(struct maildrop *d, const struct entry *e) {
    if (!e->absent)
        refresh(d);
    return !e->absent;
}

static int open_once(struct maildrop *d, const struct entry *e) {
    struct disk *disk = d->all->disk;
    char path[PATH_SIZE];
    return disk->open(disk->ctx, path_of(d, e, e->place, path), false);
}

static int open_message(struct maildrop *d, const struct entry *e) {
    int rc = open_once(d, e);
    return rc == -ENOENT && find_again(d, e) ? open_once(d, e) : rc;
}

/* --- opening, on the thread ---------------------------------------------------------------------- */

static void fail_drop(struct maildrop *d, const char *reason, const char *what, int rc) {
    if (d->rc == OK)
        d->rc = why_set(&d->why, TEMP, 451, "4.3.0", reason, "The mailbox has a fault, %s: %s",
                        what, strerror(-rc));
}

/* 0, or -errno; -ENOENT: there is no such folder. */
static int open_lock(struct maildrop *d) {
    struct disk *disk = d->all->disk;
    char path[PATH_SIZE];
    below(d, "pop3.lock", path);
    int rc = disk->open(disk->ctx, path, false);
    if (rc == -ENOENT)
        rc = disk->open(disk->ctx, path, true);
    if (rc == -EEXIST) /* made meanwhile */
        rc = disk->open(disk->ctx, path, false);
    if (rc < 0)
        return rc;
    d->lock = rc;
    return disk->lock(disk->ctx, d->lock);
}

/* In CRLF octets; a bare CR is sent as a line's end, too. */
struct measure {
    uint64_t size;
    bool within, after_cr;
};

static void measure_add(struct measure *m, const char *at, size_t len) {
    for (size_t i = 0; i < len; i++) {
        bool rest_of_crlf = m->after_cr && at[i] == '\n';
        bool end = at[i] == '\r' || at[i] == '\n';
        m->after_cr = at[i] == '\r';
        m->size += rest_of_crlf ? 0 : end ? 2 : 1;
        m->within = !end;
    }
}

static int64_t measure_file(struct maildrop *d, int file, struct measure *m) {
    struct disk *disk = d->all->disk;
    uint64_t offset = 0;
    for (;;) {
        int64_t got = disk->read(disk->ctx, file, offset, d->piece, MAILDROP_PIECE);
        if (got <= 0)
            return got;
        measure_add(m, d->piece, (size_t)got);
        offset += (uint64_t)got;
    }
}

/* No message at all: a directory, a link, a socket or pipe. */
static bool is_other(int64_t rc) {
    return rc == -EISDIR || rc == -ELOOP || rc == -ENXIO || rc == -ESPIPE;
}

static uint64_t measure(struct maildrop *d, const struct entry *e) {
    struct disk *disk = d->all->disk;
    struct measure m = { 0 };
    int file = open_message(d, e);
    int64_t rc = file < 0 ? file : measure_file(d, file, &m);
    if (file >= 0)
        disk->close(disk->ctx, file);
    if (rc == -ENOENT || is_other(rc))
        return GONE;
    return rc < 0 ? 0 : m.size + (m.within ? 2 : 0);
}

/* A reader moves what it has seen to cur. Where that is not possible the message stays in new. */
static void adopt(struct maildrop *d, struct entry *e) {
    struct disk *disk = d->all->disk;
    char from[PATH_SIZE], to[PATH_SIZE];
    if (e->place != NEW || e->base_len != e->name_len)
        return;
    int rc = disk->rename(disk->ctx, path_of(d, e, NEW, from), path_of(d, e, ADOPTED, to));
    if (rc >= 0)
        e->place = ADOPTED;
    else if (rc == -ENOENT && !find_again(d, e))
        e->size = GONE;
}

static void adopt_slice(struct maildrop *d) {
    uint64_t work = 0;
    for (; d->at < d->count && work < SLICE; d->at++) {
        struct entry *e = &d->entries[d->at];
        work += e->place == NEW ? CALL_COST : 0;
        adopt(d, e);
        if (e->size != UNKNOWN)
            continue;
        e->size = measure(d, e);
        work += CALL_COST + (e->size == GONE ? 0 : e->size);
    }
    d->again = d->at < d->count;
    if (!d->again)
        pack(d);
}

static void open_slice(struct maildrop *d) {
    struct maildrops *all = d->all;
    if (!all->disk)
        all->disk = disk_open(all->mail_dir);
    int rc = all->disk ? open_lock(d) : -errno;
    if (rc == -ENOENT && all->disk)
        return;
    if (rc == -EWOULDBLOCK) {
        d->rc = why_set(&d->why, TEMP, 454, "4.2.0", "mailbox.in-use",
                        "Another session has this mailbox open: try again when it has ended");
        return;
    }
    rc = rc < 0 ? rc : list(d, CUR, on_listed);
    rc = rc < 0 ? rc : list(d, NEW, on_listed);
    if (rc < 0) {
        fail_drop(d, "mailbox.read", "listing messages", rc);
        return;
    }
    sort_entries(d);
    d->slice = adopt_slice;
    d->again = true;
}

/* --- messages, on the thread --------------------------------------------------------------------- */

static void fetch_slice(struct maildrop *d) {
    const struct entry *e = &d->entries[d->at];
    int rc = open_message(d, e);
    if (rc == -ENOENT)
        d->rc = why_set(&d->why, TEMP, 451, "4.3.0", "mailbox.gone",
                        "Another program has removed this message");
    else if (rc < 0)
        fail_drop(d, "mailbox.read", "opening a message", rc);
    else
        d->file = rc;
}

static void read_slice(struct maildrop *d) {
    struct disk *disk = d->all->disk;
    int64_t got = disk->read(disk->ctx, d->file, d->offset, d->piece, MAILDROP_PIECE);
    d->piece_len = got > 0 ? (size_t)got : 0;
    d->offset += d->piece_len;
    if (got < 0)
        fail_drop(d, "mailbox.read", "reading a message", (int)got);
}

/* --- removing, on the thread --------------------------------------------------------------------- */

static int remove_entry(struct maildrop *d, const struct entry *e) {
    struct disk *disk = d->all->disk;
    char path[PATH_SIZE];
    return disk->unlink(disk->ctx, path_of(d, e, e->place, path));
}

/* What is not there even under another name is gone, as it was meant to be. */
static void remove_message(struct maildrop *d, const struct entry *e) {
    int rc = remove_entry(d, e);
    if (rc == -ENOENT && find_again(d, e))
        rc = remove_entry(d, e);
    if (rc < 0 && rc != -ENOENT)
        fail_drop(d, "mailbox.write", "removing a message", rc);
}

static void unlock(struct maildrop *d) {
    if (d->lock >= 0)
        d->all->disk->close(d->all->disk->ctx, d->lock);
    d->lock = -1;
}

static void end_update(struct maildrop *d) {
    struct disk *disk = d->all->disk;
    char path[PATH_SIZE];
    int rc = disk->sync_dir(disk->ctx, below(d, "cur", path));
    if (rc < 0 && rc != -ENOENT)
        fail_drop(d, "mailbox.write", "syncing the folder", rc);
}

static bool is_marked(const struct maildrop *d, uint32_t i) {
    return (d->marked[i / 8] >> (i % 8)) & 1;
}

static void update_slice(struct maildrop *d) {
    uint64_t work = 0;
    for (; d->at < d->count && work < SLICE; d->at++) {
        if (!is_marked(d, d->at))
            continue;
        remove_message(d, &d->entries[d->at]);
        d->removing = true;
        work += CALL_COST;
    }
    d->again = d->at < d->count;
    if (d->again)
        return;
    if (d->removing)
        end_update(d);
    unlock(d);
}

/* --- on the loop --------------------------------------------------------------------------------- */

static void close_file(struct maildrop *d) {
    if (d->file >= 0)
        d->all->disk->close(d->all->disk->ctx, d->file);
    d->file = -1;
    free(d->piece);
    d->piece = NULL;
}

static void release(struct maildrop *d) {
    close_file(d);
    unlock(d);
    buf_free(&d->names);
    free(d->entries);
    free(d->marked);
    free(d);
}

static void work(void *ctx) {
    struct maildrop *d = ctx;
    d->again = false;
    d->slice(d);
}

/* An update that has begun goes on: the client has said QUIT. */
static bool goes_on(const struct maildrop *d) {
    return d->again && !d->all->closing && (!d->closed || d->slice == update_slice);
}

static void done(void *ctx) {
    struct maildrop *d = ctx;
    if (goes_on(d)) {
        offload_submit(d->all->offload, &d->job);
        return;
    }
    d->busy = false;
    if (d->closed) {
        release(d);
        return;
    }
    if (d->file < 0 || d->cancelled)
        close_file(d);
    if (d->cancelled)
        return;
    if (d->on_piece)
        d->on_piece(d->ctx, d->rc, bytes_of(d->piece, d->piece_len), &d->why);
    else
        d->on_done(d->ctx, d->rc, &d->why);
}

static void begin(struct maildrop *d, void (*slice)(struct maildrop *d), maildrop_done *on_done,
                  maildrop_piece *on_piece, void *ctx) {
    MUST(!d->busy && !d->closed);
    d->busy = true;
    d->slice = slice;
    d->on_done = on_done;
    d->on_piece = on_piece;
    d->ctx = ctx;
    d->rc = OK;
    why_clear(&d->why);
    offload_submit(d->all->offload, &d->job);
}

/* --- the door ------------------------------------------------------------------------------------ */

struct maildrops *maildrops_open(struct loop *l, const char *mail_dir, uint32_t most) {
    struct maildrops *m = calloc(1, sizeof *m);
    MUST(m && most > 0 && most <= MOST_MAX);
    m->offload = offload_open(l, "maildrop");
    m->mail_dir = strdup(mail_dir);
    MUST(m->mail_dir);
    m->most = most;
    return m;
}

void maildrops_close(struct maildrops **mp) {
    struct maildrops *m = *mp;
    if (!m)
        return;
    *mp = NULL;
    m->closing = true;
    offload_close(&m->offload);
    disk_close(&m->disk);
    free(m->mail_dir);
    free(m);
}

static void need_piece(struct maildrop *d) {
    d->piece = malloc(MAILDROP_PIECE);
    MUST(d->piece);
}

struct maildrop *maildrop_open(struct maildrops *m, struct bytes mailbox, maildrop_done *on_done,
                               void *ctx) {
    struct maildrop *d = calloc(1, sizeof *d);
    MUST(d);
    struct buf folder = buf_fixed(d->folder, sizeof d->folder);
    maildir_path(&folder, mailbox);
    MUST(!folder.full); /* an address has at most 254 octets */
    buf_text(&folder);
    d->all = m;
    d->lock = d->file = -1;
    d->names = buf_grow((size_t)3 * m->most * NAME_SIZE);
    d->job = (struct offload_job){ .work = work, .done = done, .ctx = d };
    need_piece(d);
    begin(d, open_slice, on_done, NULL, ctx);
    return d;
}

uint32_t maildrop_count(const struct maildrop *d) {
    return d->count;
}

uint64_t maildrop_size(const struct maildrop *d, uint32_t i) {
    MUST(i < d->count);
    return d->entries[i].size;
}

static bool is_uid(struct bytes name) {
    for (size_t i = 0; i < name.len; i++)
        if (name.at[i] < '!' || name.at[i] > '~')
            return false;
    return name.len > 0 && name.len <= MAILDROP_UID;
}

/* Clients keep it for years: how it is made must not change. */
void maildrop_uid(const struct maildrop *d, uint32_t i, struct buf *out) {
    MUST(i < d->count);
    struct bytes base = base_of(d, &d->entries[i]);
    if (is_uid(base)) {
        buf_add(out, base);
        return;
    }
    for (size_t k = 0; k < base.len && k < MAILDROP_UID - 17; k++)
        buf_char(out, base.at[k] >= '!' && base.at[k] <= '~' ? base.at[k] : '_');
    buf_printf(out, "~%016llx", (unsigned long long)bytes_hash(base));
}

/* "1797811200.M042Rk3v0q9x2abQ7I1x-0.mail.example,S=..." */
void maildrop_message(const struct maildrop *d, uint32_t i, struct buf *out) {
    MUST(i < d->count);
    struct bytes rest = base_of(d, &d->entries[i]), part;
    struct message_id id;
    bytes_split(&rest, '.', &part);
    bytes_split(&rest, '.', &part);
    ptrdiff_t at = bytes_find(part, 'I');
    if (bytes_starts(part, B("M")) && at > 0 &&
        message_id_parse(bytes_skip(part, (size_t)at + 1), &id))
        buf_add(out, message_id_bytes(&id));
}

void maildrop_fetch(struct maildrop *d, uint32_t i, maildrop_done *on_done, void *ctx) {
    MUST(i < d->count && d->file < 0 && !d->busy);
    d->at = i;
    d->offset = 0;
    need_piece(d);
    begin(d, fetch_slice, on_done, NULL, ctx);
}

void maildrop_read(struct maildrop *d, maildrop_piece *on_piece, void *ctx) {
    MUST(d->file >= 0);
    begin(d, read_slice, NULL, on_piece, ctx);
}

void maildrop_fetch_end(struct maildrop *d) {
    if (d->busy)
        d->cancelled = true;
    else
        close_file(d);
}

void maildrop_update(struct maildrop *d, struct bytes marked, maildrop_done *on_done, void *ctx) {
    MUST(!d->busy && !d->marked && marked.len >= ((size_t)d->count + 7) / 8);
    d->marked = malloc(marked.len + 1);
    MUST(d->marked);
    if (marked.len)
        memcpy(d->marked, marked.at, marked.len);
    d->at = 0;
    begin(d, update_slice, on_done, NULL, ctx);
}

void maildrop_close(struct maildrop **dp) {
    struct maildrop *d = *dp;
    if (!d)
        return;
    *dp = NULL;
    d->closed = true;
    if (!d->busy)
        release(d);
}
