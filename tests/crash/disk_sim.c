/* disk_sim: see disk_sim.h. Files are inodes with two contents, cached and on disk, and the writes
 * between them; names are a list with two states likewise. */
#include "disk_sim.h"

#include "base/must.h"
#include "machine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME = 64, SECTOR = 512 };

struct octets {
    char *at;
    size_t len;
};

struct write { /* not yet on disk */
    uint64_t offset;
    struct octets data;
};

struct inode {
    struct octets cached, disk;
    struct write *writes;
    size_t count;
    bool locked;
};

struct name {
    char path[NAME];
    int inode; /* -1: a directory */
};

struct names {
    struct name *at;
    size_t count;
};

enum change_kind { CHANGE_ADD, CHANGE_REMOVE, CHANGE_RENAME };
struct change { /* of names, not yet on disk */
    enum change_kind kind;
    char dir[NAME];
    char path[NAME], to[NAME];
    int inode;
};

struct disk_sim {
    struct disk disk;
    struct inode *inodes;
    size_t inodes_count;
    struct names cached, durable;
    struct change *changes;
    size_t changes_count;
    int *files; /* handle -> inode, -1 closed */
    size_t files_count;
    uint64_t calls, cut_at;
    bool cut, killed, die_at_sync, full;
    enum site skip;
    int fail_error[DISK_CALLS];
    unsigned fail_count[DISK_CALLS];
    uint64_t draws;
};

/* --- octets and names ------------------------------------------------------------------------ */

static void octets_put(struct octets *o, uint64_t offset, const char *from, size_t len) {
    if (!len)
        return;
    size_t end = (size_t)offset + len;
    if (end > o->len) {
        o->at = realloc(o->at, end);
        MUST(o->at);
        memset(o->at + o->len, 0, end - o->len);
        o->len = end;
    }
    memcpy(o->at + offset, from, len);
}

static struct octets octets_copy(struct octets from) {
    struct octets copy = { 0 };
    octets_put(&copy, 0, from.at, from.len);
    return copy;
}

static struct name *name_find(const struct names *n, const char *path) {
    for (size_t i = 0; i < n->count; i++)
        if (strcmp(n->at[i].path, path) == 0)
            return &n->at[i];
    return NULL;
}

static void name_set(struct names *n, const char *path, int inode) {
    struct name *own = name_find(n, path);
    if (!own) {
        n->at = realloc(n->at, (n->count + 1) * sizeof *n->at);
        MUST(n->at);
        own = &n->at[n->count++];
        snprintf(own->path, sizeof own->path, "%s", path);
    }
    own->inode = inode;
}

static void name_drop(struct names *n, const char *path) {
    struct name *own = name_find(n, path);
    if (own)
        *own = n->at[--n->count];
}

static void dir_of(char out[NAME], const char *path) {
    const char *slash = strrchr(path, '/');
    snprintf(out, NAME, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
}

static void apply_change(struct names *n, const struct change *c) {
    if (c->kind == CHANGE_ADD) {
        name_set(n, c->path, c->inode);
        return;
    }
    struct name *own = name_find(n, c->path);
    int inode = own ? own->inode : c->inode;
    if (own)
        name_drop(n, c->path);
    if (c->kind == CHANGE_RENAME)
        name_set(n, c->to, inode);
}

static void change_names(struct disk_sim *d, struct change c) {
    apply_change(&d->cached, &c);
    dir_of(c.dir, c.path);
    d->changes = realloc(d->changes, (d->changes_count + 1) * sizeof *d->changes);
    MUST(d->changes);
    d->changes[d->changes_count++] = c;
}

static int add_inode(struct disk_sim *d) {
    d->inodes = realloc(d->inodes, (d->inodes_count + 1) * sizeof *d->inodes);
    MUST(d->inodes);
    d->inodes[d->inodes_count] = (struct inode){ 0 };
    return (int)d->inodes_count++;
}

/* --- faults ---------------------------------------------------------------------------------- */

/* Every change and sync begins here. 0: go on; +1: the power fails now; below: an error. */
static int begin(struct disk_sim *d, enum disk_call call) {
    if (d->cut || d->killed)
        return -EIO;
    d->calls++;
    if (d->cut_at && --d->cut_at == 0) {
        d->cut = true;
        return 1;
    }
    if (call == DISK_SYNC && d->die_at_sync) {
        d->die_at_sync = false;
        d->killed = true;
        return -EIO;
    }
    if (call < DISK_CALLS && d->fail_count[call]) {
        d->fail_count[call]--;
        return d->fail_error[call];
    }
    return 0;
}

static bool dead(const struct disk_sim *d) {
    return d->cut || d->killed;
}

static struct inode *inode_of(struct disk_sim *d, int file) {
    MUST(file >= 0 && (size_t)file < d->files_count && d->files[file] >= 0);
    return &d->inodes[d->files[file]];
}

/* --- the table ------------------------------------------------------------------------------- */

static int new_handle(struct disk_sim *d, int inode) {
    d->files = realloc(d->files, (d->files_count + 1) * sizeof *d->files);
    MUST(d->files);
    d->files[d->files_count] = inode;
    return (int)d->files_count++;
}

static int sim_open(void *ctx, const char *path, bool create) {
    struct disk_sim *d = ctx;
    if (dead(d))
        return -EIO;
    struct name *own = name_find(&d->cached, path);
    if (!create)
        return own && own->inode >= 0 ? new_handle(d, own->inode) : -ENOENT;
    if (own)
        return -EEXIST;
    int failed = begin(d, DISK_CREATE);
    if (failed < 0)
        return failed;
    struct change c = { .kind = CHANGE_ADD, .inode = add_inode(d) };
    snprintf(c.path, sizeof c.path, "%s", path);
    change_names(d, c);
    return failed ? -EIO : new_handle(d, c.inode);
}

static int sim_close(void *ctx, int file) {
    struct disk_sim *d = ctx;
    inode_of(d, file)->locked = false;
    d->files[file] = -1;
    return 0;
}

static void put(struct disk_sim *d, struct inode *own, uint64_t offset, struct octets all,
                bool part) {
    if (part && all.len)
        all.len = (size_t)(machine_draw(&d->draws) % all.len);
    octets_put(&own->cached, offset, all.at, all.len);
    own->writes = realloc(own->writes, (own->count + 1) * sizeof *own->writes);
    MUST(own->writes);
    own->writes[own->count++] = (struct write){ offset, all };
}

static int sim_write(void *ctx, int file, uint64_t offset, const struct iovec *parts, int count) {
    struct disk_sim *d = ctx;
    struct inode *own = inode_of(d, file);
    if (dead(d))
        return -EIO;
    struct octets all = { 0 };
    for (int i = 0; i < count; i++)
        octets_put(&all, all.len, parts[i].iov_base, parts[i].iov_len);
    int failed = begin(d, DISK_WRITE);
    if (all.len)
        put(d, own, offset, all, failed < 0);
    return failed > 0 ? -EIO : failed;
}

static int64_t sim_read(void *ctx, int file, uint64_t offset, void *into, size_t size) {
    struct disk_sim *d = ctx;
    const struct inode *own = inode_of(d, file);
    if (dead(d))
        return -EIO;
    if (offset >= own->cached.len)
        return 0;
    if (size > own->cached.len - offset)
        size = own->cached.len - (size_t)offset;
    if (size)
        memcpy(into, own->cached.at + offset, size);
    return (int64_t)size;
}

static int64_t sim_size(void *ctx, int file) {
    struct disk_sim *d = ctx;
    return dead(d) ? -EIO : (int64_t)inode_of(d, file)->cached.len;
}

static int sim_truncate(void *ctx, int file, uint64_t size) {
    (void)ctx;
    (void)file;
    (void)size;
    return -ENOTSUP; /* the spool never cuts a file */
}

static int sim_reserve(void *ctx, int file, uint64_t offset, uint64_t size) {
    struct disk_sim *d = ctx;
    (void)file;
    (void)offset;
    (void)size;
    return dead(d) ? -EIO : 0;
}

static void writes_done(struct inode *own) {
    for (size_t i = 0; i < own->count; i++)
        free(own->writes[i].data.at);
    own->count = 0;
}

static int sim_sync(void *ctx, int file) {
    struct disk_sim *d = ctx;
    struct inode *own = inode_of(d, file);
    if (!dead(d) && d->skip && d->skip == site_current())
        return 0;
    int failed = begin(d, DISK_SYNC);
    if (failed > 0 || dead(d))
        return -EIO;
    for (size_t i = 0; i < own->count; i++)
        if (!failed || machine_draw(&d->draws) % 2)
            octets_put(&own->disk, own->writes[i].offset, own->writes[i].data.at,
                       own->writes[i].data.len);
    writes_done(own);
    return failed;
}

static int sim_sync_dir(void *ctx, const char *path) {
    struct disk_sim *d = ctx;
    if (!dead(d) && d->skip && d->skip == site_current())
        return 0;
    int failed = begin(d, DISK_SYNC_DIR);
    if (failed)
        return failed > 0 ? -EIO : failed;
    size_t kept = 0;
    for (size_t i = 0; i < d->changes_count; i++)
        if (strcmp(d->changes[i].dir, path) == 0)
            apply_change(&d->durable, &d->changes[i]);
        else
            d->changes[kept++] = d->changes[i];
    d->changes_count = kept;
    return 0;
}

static int sim_make_dir(void *ctx, const char *path) {
    struct disk_sim *d = ctx;
    if (dead(d))
        return -EIO;
    if (name_find(&d->cached, path))
        return -EEXIST;
    int failed = begin(d, DISK_CALLS);
    struct change c = { .kind = CHANGE_ADD, .inode = -1 };
    snprintf(c.path, sizeof c.path, "%s", path);
    change_names(d, c);
    return failed ? -EIO : 0;
}

static int remove_or_rename(struct disk_sim *d, const char *from, const char *to) {
    if (dead(d))
        return -EIO;
    struct name *own = name_find(&d->cached, from);
    if (!own)
        return -ENOENT;
    int failed = begin(d, DISK_CALLS);
    struct change c = { .kind = to ? CHANGE_RENAME : CHANGE_REMOVE, .inode = own->inode };
    snprintf(c.path, sizeof c.path, "%s", from);
    snprintf(c.to, sizeof c.to, "%s", to ? to : "");
    change_names(d, c);
    return failed ? -EIO : 0;
}

static int sim_rename(void *ctx, const char *from, const char *to) {
    return remove_or_rename(ctx, from, to);
}

static int sim_unlink(void *ctx, const char *path) {
    return remove_or_rename(ctx, path, NULL);
}

static int sim_list(void *ctx, const char *path, void (*each)(void *arg, const char *name),
                    void *arg) {
    struct disk_sim *d = ctx;
    if (dead(d))
        return -EIO;
    for (size_t i = 0; i < d->cached.count; i++) {
        char dir[NAME];
        dir_of(dir, d->cached.at[i].path);
        if (strcmp(dir, path) == 0)
            each(arg, strrchr(d->cached.at[i].path, '/') + 1);
    }
    return 0;
}

static int sim_lock(void *ctx, int file) {
    struct disk_sim *d = ctx;
    struct inode *own = inode_of(d, file);
    if (dead(d))
        return -EIO;
    if (own->locked)
        return -EWOULDBLOCK;
    own->locked = true;
    return 0;
}

static int sim_space(void *ctx, uint64_t *free_out, uint64_t *total_out, uint64_t *free_inodes_out,
                     uint64_t *inodes_out) {
    struct disk_sim *d = ctx;
    *total_out = *inodes_out = 1000000;
    *free_out = *free_inodes_out = d->full ? 1000 : 900000;
    return 0;
}

static const struct disk table = {
    .open = sim_open,
    .close = sim_close,
    .write = sim_write,
    .read = sim_read,
    .size = sim_size,
    .truncate = sim_truncate,
    .reserve = sim_reserve,
    .sync = sim_sync,
    .sync_dir = sim_sync_dir,
    .make_dir = sim_make_dir,
    .rename = sim_rename,
    .unlink = sim_unlink,
    .list = sim_list,
    .lock = sim_lock,
    .space = sim_space,
};

/* --- steering ---------------------------------------------------------------------------------- */

struct disk_sim *disk_sim_new(void) {
    struct disk_sim *d = calloc(1, sizeof *d);
    MUST(d);
    d->disk = table;
    d->disk.ctx = d;
    return d;
}

void disk_sim_free(struct disk_sim **disk) {
    struct disk_sim *d = *disk;
    for (size_t i = 0; i < d->inodes_count; i++) {
        writes_done(&d->inodes[i]);
        free(d->inodes[i].writes);
        free(d->inodes[i].cached.at);
        free(d->inodes[i].disk.at);
    }
    free(d->inodes);
    free(d->cached.at);
    free(d->durable.at);
    free(d->changes);
    free(d->files);
    free(d);
    *disk = NULL;
}

struct disk *disk_sim_disk(struct disk_sim *d) {
    return &d->disk;
}

void disk_sim_cut_at(struct disk_sim *d, uint64_t n) {
    d->cut_at = n;
}

bool disk_sim_is_cut(const struct disk_sim *d) {
    return d->cut;
}

uint64_t disk_sim_calls(const struct disk_sim *d) {
    return d->calls;
}

void disk_sim_kill(struct disk_sim *d) {
    d->killed = true;
}

void disk_sim_die_at_sync(struct disk_sim *d) {
    d->die_at_sync = true;
}

bool disk_sim_is_killed(const struct disk_sim *d) {
    return d->killed;
}

void disk_sim_revive(struct disk_sim *d) {
    d->killed = d->die_at_sync = false;
    memset(d->fail_count, 0, sizeof d->fail_count);
    for (size_t i = 0; i < d->inodes_count; i++)
        d->inodes[i].locked = false;
}

void disk_sim_skip(struct disk_sim *d, enum site s) {
    d->skip = s;
}

void disk_sim_fail(struct disk_sim *d, enum disk_call call, int error, unsigned count) {
    d->fail_error[call] = error;
    d->fail_count[call] = count;
}

void disk_sim_fill(struct disk_sim *d, bool full) {
    d->full = full;
}

void disk_sim_write_back(struct disk_sim *d) {
    for (size_t i = 0; i < d->inodes_count; i++) {
        struct inode *own = &d->inodes[i];
        writes_done(own);
        free(own->disk.at);
        own->disk = octets_copy(own->cached);
    }
    for (size_t i = 0; i < d->changes_count; i++)
        apply_change(&d->durable, &d->changes[i]);
    d->changes_count = 0;
}

const char *disk_sim_name(const struct disk_sim *d, size_t n) {
    return n < d->cached.count ? d->cached.at[n].path : NULL;
}

char *disk_sim_octets(struct disk_sim *d, const char *name, size_t *size_out) {
    struct name *own = name_find(&d->cached, name);
    if (!own || own->inode < 0)
        return NULL;
    *size_out = d->inodes[own->inode].cached.len;
    return d->inodes[own->inode].cached.at;
}

/* --- the power cut ------------------------------------------------------------------------------ */

enum fate { FATE_NONE, FATE_ALL, FATE_FIRST, FATE_ANY, FATES };

/* One write, or sectors of it. */
static void put_torn(struct octets *o, const struct write *w, uint64_t *draws) {
    if (machine_draw(draws) % 2) { /* from the front */
        octets_put(o, w->offset, w->data.at, (size_t)(machine_draw(draws) % (w->data.len + 1)));
        return;
    }
    for (size_t at = 0; at < w->data.len;) {
        size_t len = SECTOR - (size_t)(w->offset + at) % SECTOR;
        if (len > w->data.len - at)
            len = w->data.len - at;
        if (machine_draw(draws) % 2)
            octets_put(o, w->offset + at, w->data.at + at, len);
        at += len;
    }
}

static struct octets survive(const struct inode *own, uint64_t *draws) {
    struct octets o = octets_copy(own->disk);
    enum fate fate = (enum fate)(machine_draw(draws) % FATES);
    size_t first = own->count ? (size_t)(machine_draw(draws) % own->count) : 0;
    for (size_t i = 0; i < own->count; i++) {
        const struct write *w = &own->writes[i];
        if (fate == FATE_ALL || (fate == FATE_FIRST && i < first))
            octets_put(&o, w->offset, w->data.at, w->data.len);
        else if ((fate == FATE_FIRST && i == first) ||
                 (fate == FATE_ANY && machine_draw(draws) % 2))
            put_torn(&o, w, draws);
    }
    return o;
}

struct disk_sim *disk_sim_after_cut(const struct disk_sim *d, uint64_t seed) {
    struct disk_sim *after = disk_sim_new();
    uint64_t draws = seed;
    after->draws = seed;
    after->skip = d->skip;
    enum fate fate = (enum fate)(machine_draw(&draws) % FATES);
    size_t first = d->changes_count ? (size_t)(machine_draw(&draws) % d->changes_count) : 0;
    struct names names = { 0 };
    for (size_t i = 0; i < d->durable.count; i++)
        name_set(&names, d->durable.at[i].path, d->durable.at[i].inode);
    for (size_t i = 0; i < d->changes_count; i++)
        if (fate == FATE_ALL || (fate == FATE_FIRST && i < first) ||
            (fate == FATE_ANY && machine_draw(&draws) % 2))
            apply_change(&names, &d->changes[i]);
    for (size_t i = 0; i < names.count; i++) {
        char dir[NAME];
        dir_of(dir, names.at[i].path);
        if (strcmp(dir, ".") != 0 && !name_find(&names, dir))
            continue; /* nothing is found in a directory that is not there */
        int inode = -1;
        if (names.at[i].inode >= 0) {
            inode = add_inode(after);
            after->inodes[inode].disk = survive(&d->inodes[names.at[i].inode], &draws);
            after->inodes[inode].cached = octets_copy(after->inodes[inode].disk);
        }
        name_set(&after->cached, names.at[i].path, inode);
        name_set(&after->durable, names.at[i].path, inode);
    }
    free(names.at);
    return after;
}
