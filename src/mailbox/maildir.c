/* maildir: a message becomes a file. This file alone knows the order of steps that makes a delivery
 * safe (tmp, sync, rename into new, sync of new), how names are kept unique without asking
 * anybody: time, a tag of this process, a counter, the host's name, and how a delivery is known again
 * that was done before, but not written down: by the message's id in the name. */
#include "mailbox/maildir.h"

#include "base/must.h"
#include "sys/disk.h"
#include "sys/random.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 128 * 1024, PATH_SIZE = 2048, TAG_LETTERS = 10 };

struct maildir {
    struct loop *loop;
    struct offload *offload;
    struct disk *disk; /* NULL until mail_dir is there; after opening the thread's alone */
    char *mail_dir;
    char hostname[256]; /* as it may stand in a file's name */
    char tag[TAG_LETTERS + 1];
    uint64_t counter;
    int64_t opened; /* wall ms */
};

struct delivery {
    struct offload_job job;
    struct maildir *maildir;
    struct arena *arena;
    struct content content;
    uint64_t offset; /* of content taken so far */
    struct bytes piece;
    const char *folder, *unique, *tmp; /* "proseware.com/anna", the name, its path in tmp */
    struct bytes front;                /* the two fields */
    struct bytes mark;                 /* what names of this message's files have in them; empty: it
                                          cannot have been here before */
    bool there;                        /* it has */
    int file;                          /* -1 until open */
    uint64_t written, lines;
    bool cr_within, line_ended; /* in what was written: a CR; an LF at its end */
    bool had_cr;                /* the piece before ended in one */
    const char *step;
    int error; /* errno of the step that failed, or 0 */
    enum rc read_rc;
    struct why read_why;
    void (*on_done)(void *ctx, enum rc rc, const struct why *why);
    void *ctx;
};

/* --- names ------------------------------------------------------------------------------------ */

static bool is_plain(char c) {
    return (c >= 'a' && c <= 'z') || ascii_is_digit(c) || c == '.' || c == '_' || c == '+' ||
           c == '-';
}

static void add_encoded(struct buf *out, struct bytes name) {
    if (!name.len)
        buf_char(out, '%');
    for (size_t i = 0; i < name.len; i++) {
        char c = ascii_lower(name.at[i]);
        if (is_plain(c) && !(i == 0 && c == '.'))
            buf_char(out, c);
        else
            buf_printf(out, "%%%02x", (unsigned char)c);
    }
}

void maildir_path(struct buf *out, struct bytes mailbox) {
    ptrdiff_t at = bytes_find_last(mailbox, '@');
    if (at >= 0) {
        add_encoded(out, bytes_skip(mailbox, (size_t)at + 1));
        buf_char(out, '/');
        mailbox = bytes_first(mailbox, (size_t)at);
    }
    add_encoded(out, mailbox);
}

/* A slash or colon in the host's name would end it (the Maildir convention writes them in octal). */
static void set_hostname(struct maildir *m, const char *hostname) {
    struct buf b = buf_fixed(m->hostname, sizeof m->hostname);
    for (const char *c = hostname; *c; c++)
        buf_char(&b, is_plain(ascii_lower(*c)) ? *c : '_');
    buf_text(&b);
}

struct maildir *maildir_open(struct loop *l, const char *mail_dir, const char *hostname) {
    struct maildir *m = calloc(1, sizeof *m);
    MUST(m);
    m->loop = l;
    m->opened = loop_wall(l);
    m->offload = offload_open(l, "maildir");
    m->mail_dir = strdup(mail_dir);
    MUST(m->mail_dir);
    set_hostname(m, hostname);
    struct buf tag = buf_fixed(m->tag, sizeof m->tag);
    random_id(&tag, TAG_LETTERS);
    buf_text(&tag);
    return m;
}

void maildir_close(struct maildir **mp) {
    struct maildir *m = *mp;
    if (!m)
        return;
    *mp = NULL;
    offload_close(&m->offload);
    disk_close(&m->disk);
    free(m->mail_dir);
    free(m);
}

/* --- on the thread ----------------------------------------------------------------------------- */

static bool failed(struct delivery *d, const char *step, int rc) {
    if (rc >= 0)
        return false;
    d->step = step;
    d->error = -rc;
    return true;
}

static const char *below(struct delivery *d, const char *sub) {
    return arena_printf(d->arena, "%s%s", d->folder, sub).at;
}

/* Makes a folder and the entry that leads to it last. */
static bool make_dir(struct delivery *d, const char *path, const char *parent) {
    struct disk *disk = d->maildir->disk;
    int rc = disk->make_dir(disk->ctx, path);
    if (rc == -EEXIST)
        return true;
    return !failed(d, "making the folder", rc) &&
           !failed(d, "syncing the folder", disk->sync_dir(disk->ctx, parent));
}

static bool make_folders(struct delivery *d) {
    const char *slash = strchr(d->folder, '/');
    if (slash) {
        struct bytes domain = bytes_of(d->folder, (size_t)(slash - d->folder));
        const char *parent = arena_str(d->arena, domain);
        if (!make_dir(d, parent, ".") || !make_dir(d, d->folder, parent))
            return false;
    } else if (!make_dir(d, d->folder, ".")) {
        return false;
    }
    return make_dir(d, below(d, "/tmp"), d->folder) && make_dir(d, below(d, "/new"), d->folder) &&
           make_dir(d, below(d, "/cur"), d->folder);
}

static void count_lines(struct delivery *d, struct bytes data) {
    for (size_t i = 0; i < data.len; i++)
        d->lines += data.at[i] == '\n';
    d->cr_within = d->cr_within || bytes_find(data, '\r') >= 0;
    d->line_ended = data.at[data.len - 1] == '\n';
}

static bool write_out(struct delivery *d, struct bytes data) {
    struct disk *disk = d->maildir->disk;
    struct iovec part = { (void *)(uintptr_t)data.at, data.len };
    if (!data.len)
        return true;
    if (failed(d, "writing", disk->write(disk->ctx, d->file, d->written, &part, 1)))
        return false;
    d->written += data.len;
    count_lines(d, data);
    return true;
}

/* ",S=" is the file's size, ",W=" its size with every LF as CRLF, which readers take for the size on
 * the wire; left out where a bare CR or an unfinished last line makes that something else. */
static const char *name_in_new(struct delivery *d) {
    struct bytes wire = BYTES_NONE;
    if (!d->cr_within && d->line_ended)
        wire = arena_printf(d->arena, ",W=%llu", (unsigned long long)(d->written + d->lines));
    return arena_printf(d->arena, "%s/new/%s,S=%llu%.*s", d->folder, d->unique,
                        (unsigned long long)d->written, BYTES_FMT(wire))
        .at;
}

static void on_listed(void *arg, const char *name) {
    struct delivery *d = arg;
    d->there = d->there || bytes_search(bytes_str(name), d->mark) >= 0;
}

/* A process that dies between the rename and the note of it in the queue leaves a message that is
 * delivered and due. Only what may have been tried before is looked for. A folder that cannot be listed
 * shows nothing: then the message comes twice rather than not at all. */
static bool is_there(struct delivery *d) {
    struct disk *disk = d->maildir->disk;
    if (!d->mark.len)
        return false;
    disk->list(disk->ctx, below(d, "/new"), on_listed, d);
    if (!d->there)
        disk->list(disk->ctx, below(d, "/cur"), on_listed, d);
    return d->there;
}

static bool begin_file(struct delivery *d) {
    struct maildir *m = d->maildir;
    if (!m->disk)
        m->disk = disk_open(m->mail_dir);
    if (!m->disk)
        return !failed(d, "opening mail_dir", -errno);
    if (is_there(d)) { /* its predecessor may have died before the sync of new */
        failed(d, "syncing new", m->disk->sync_dir(m->disk->ctx, below(d, "/new")));
        return false;
    }
    int rc = m->disk->open(m->disk->ctx, d->tmp, true);
    if (rc == -ENOENT) { /* the mailbox's first message */
        if (!make_folders(d))
            return false;
        rc = m->disk->open(m->disk->ctx, d->tmp, true);
    }
    if (failed(d, "creating the file", rc))
        return false;
    d->file = rc;
    return write_out(d, d->front);
}

/* CRLF becomes LF; a CR at the end of a piece waits for what comes next. */
static bool write_piece(struct delivery *d) {
    struct buf out = buf_grow(2 * PIECE + d->piece.len);
    struct bytes rest = d->piece;
    if (d->had_cr && rest.len && rest.at[0] != '\n')
        buf_char(&out, '\r');
    d->had_cr = d->had_cr && !rest.len;
    while (rest.len) {
        ptrdiff_t cr = bytes_find(rest, '\r');
        size_t plain = cr < 0 ? rest.len : (size_t)cr;
        buf_add(&out, bytes_first(rest, plain));
        rest = bytes_skip(rest, plain + (cr >= 0));
        if (cr < 0)
            break;
        if (!rest.len)
            d->had_cr = true;
        else if (rest.at[0] != '\n')
            buf_char(&out, '\r');
    }
    bool ok = write_out(d, buf_bytes(&out));
    buf_free(&out);
    return ok;
}

static bool end_file(struct delivery *d) {
    struct disk *disk = d->maildir->disk;
    if (d->had_cr && !write_out(d, B("\r")))
        return false;
    if (failed(d, "syncing", disk->sync(disk->ctx, d->file)))
        return false;
    return !failed(d, "moving to new", disk->rename(disk->ctx, d->tmp, name_in_new(d))) &&
           !failed(d, "syncing new", disk->sync_dir(disk->ctx, below(d, "/new")));
}

static void clean_up(struct delivery *d) {
    struct disk *disk = d->maildir->disk;
    if (d->file < 0)
        return;
    disk->close(disk->ctx, d->file);
    if (d->error)
        disk->unlink(disk->ctx, d->tmp);
    d->file = -1;
}

/* One step: the piece at hand, with what comes before the first and behind the last. */
static void work(void *ctx) {
    struct delivery *d = ctx;
    bool ok = d->read_rc == OK && (d->file >= 0 || begin_file(d)) && write_piece(d);
    bool last = d->offset == d->content.size;
    if (ok && last)
        end_file(d);
    if (d->error || d->read_rc != OK || last) {
        if (d->read_rc != OK && !d->error)
            d->error = EIO;
        clean_up(d);
    }
}

/* --- on the loop --------------------------------------------------------------------------------- */

static enum rc explain(const struct delivery *d, struct why *why) {
    if (d->read_rc != OK)
        return why_set(why, TEMP, 451, "4.3.0", "backend.spool",
                       "the message could not be read: %s", d->read_why.text);
    if (d->error == ENOSPC || d->error == EDQUOT)
        return why_set(why, TEMP, 452, "4.3.1", "mailbox.full-disk", "no room in %s/%s: %s: %s",
                       d->maildir->mail_dir, d->folder, d->step, strerror(d->error));
    return why_set(why, TEMP, 451, "4.3.0", "mailbox.write", "cannot write to %s/%s: %s: %s",
                   d->maildir->mail_dir, d->folder, d->step, strerror(d->error));
}

static void next_piece(struct delivery *d);

static void done(void *ctx) {
    struct delivery *d = ctx;
    struct why why = { 0 };
    if (!d->error && !d->there && d->offset < d->content.size) {
        next_piece(d);
        return;
    }
    enum rc rc = d->error ? explain(d, &why) : OK;
    d->on_done(d->ctx, rc, &why);
    struct arena *a = d->arena;
    arena_close(&a);
}

static void on_piece(void *arg, enum rc rc, struct bytes data, const struct why *why) {
    struct delivery *d = arg;
    d->read_rc = rc;
    if (rc != OK && why) {
        d->read_why = *why;
    } else if (rc == OK && (!data.len || data.len > d->content.size - d->offset)) {
        d->read_rc = TEMP;
        why_backend(&d->read_why, "backend.spool", "it is shorter than recorded");
    }
    if (d->read_rc == OK) {
        /* The view is gone when we return: one copy, used again for every piece. */
        if (!d->piece.at)
            d->piece.at = arena_alloc(d->arena, PIECE);
        MUST(data.len <= PIECE);
        memcpy((void *)(uintptr_t)d->piece.at, data.at, data.len);
        d->piece.len = data.len;
        d->offset += data.len;
    }
    offload_submit(d->maildir->offload, &d->job);
}

static void next_piece(struct delivery *d) {
    const struct content *c = &d->content;
    if (c->memory.len || !c->size) {
        d->piece = c->memory;
        d->offset = c->size;
        offload_submit(d->maildir->offload, &d->job);
        return;
    }
    uint64_t rest = c->size - d->offset;
    c->read(c->ctx, d->offset, rest < PIECE ? (size_t)rest : PIECE, on_piece, d);
}

/* The message's id behind the I lets a POP3 session tell which message was fetched. */
static void set_names(struct delivery *d, struct bytes mailbox, struct message_id id) {
    struct maildir *m = d->maildir;
    int64_t now = loop_wall(m->loop);
    char path[PATH_SIZE];
    struct buf folder = buf_fixed(path, sizeof path);
    maildir_path(&folder, mailbox);
    MUST(!folder.full); /* an address has at most 254 octets */
    d->folder = arena_str(d->arena, buf_bytes(&folder));
    d->unique = arena_printf(d->arena, "%lld.M%03lldR%sQ%lluI%s.%s", (long long)(now / 1000),
                             (long long)(now % 1000), m->tag, (unsigned long long)++m->counter,
                             id.text, m->hostname)
                    .at;
    d->tmp = arena_printf(d->arena, "%s/tmp/%s", d->folder, d->unique).at;
}

/* What came in under this process and is tried for the first time cannot be there. */
static void set_mark(struct delivery *d, const struct job *job) {
    if (job->id.text[0] && (job->attempt > 1 || job->envelope->arrived < d->maildir->opened))
        d->mark = arena_printf(d->arena, "I%s.", job->id.text);
}

void maildir_deliver(struct maildir *m, const struct job *job, struct bytes sender,
                     struct bytes mailbox,
                     void (*on_done)(void *ctx, enum rc rc, const struct why *why), void *ctx) {
    struct arena *a = arena_open();
    struct delivery *d = ARENA_NEW(a, struct delivery);
    d->maildir = m;
    d->arena = a;
    d->content = job->content;
    d->file = -1;
    d->on_done = on_done;
    d->ctx = ctx;
    d->job = (struct offload_job){ .work = work, .done = done, .ctx = d };
    /* RFC 5321 section 4.4: final delivery tells the reverse-path. */
    d->front = arena_printf(a, "Return-Path: <%.*s>\nDelivered-To: %.*s\n", BYTES_FMT(sender),
                            BYTES_FMT(mailbox));
    set_names(d, mailbox, job->id);
    set_mark(d, job);
    next_piece(d);
}
