/* A segment as the spool might find it. The input says which records stand there, with which meta,
 * and what is spoilt; checksums are made right, so that what is behind them is reached too. Reading
 * it must end, stay within the file, and give entries that can be walked. */
#include "spool/parts.h"

#include "base/crc.h"
#include "base/must.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SALT = 99, FILE_MAX = 1 << 20 };

static struct buf file;

static int64_t fuzz_read(void *ctx, int handle, uint64_t offset, void *into, size_t size) {
    (void)ctx;
    (void)handle;
    if (offset >= file.len)
        return 0;
    if (size > file.len - offset)
        size = file.len - (size_t)offset;
    if (size)
        memcpy(into, file.at + offset, size);
    return (int64_t)size;
}

static int64_t fuzz_size(void *ctx, int handle) {
    (void)ctx;
    (void)handle;
    return (int64_t)file.len;
}

static void pad(void) {
    while (file.len % 8)
        buf_char(&file, 0);
}

/* Bits of `how`: 1 the meta is spoilt, 2 the body, 4 the head, 8 no record but what it would hold. */
static void add_record(struct scan *s) {
    int how = (uint8_t)scan_char(s);
    struct record r = { .kind = (enum record_kind)(uint8_t)scan_char(s) };
    r.flags = (uint8_t)scan_char(s);
    r.sequence = (uint8_t)scan_char(s);
    r.offset = (uint32_t)file.len;
    struct bytes meta = scan_take(s, scan_le16(s)), body = scan_take(s, (uint8_t)scan_char(s));
    r.meta_len = (uint32_t)meta.len;
    r.body_len = (uint32_t)body.len;
    r.meta_crc = crc32c(0, meta) ^ (how & 1);
    r.body_crc = crc32c(0, body) ^ (how >> 1 & 1);
    char head[RECORD_HEAD];
    record_format(head, &r, SALT ^ (how >> 2 & 1));
    if (!(how & 8))
        buf_add(&file, bytes_of(head, sizeof head));
    buf_add(&file, meta);
    buf_add(&file, body);
    pad();
}

static void add_index(struct scan *s) {
    struct bytes entries = s->rest;
    struct record r = { .kind = RECORD_INDEX,
                        .offset = (uint32_t)file.len,
                        .body_len = (uint32_t)entries.len,
                        .body_crc = crc32c(0, entries) };
    char head[RECORD_HEAD], trailer[TRAILER];
    record_format(head, &r, SALT);
    buf_add(&file, bytes_of(head, sizeof head));
    buf_add(&file, entries);
    pad();
    trailer_format(trailer, r.offset, (uint32_t)file.len + TRAILER, SALT);
    buf_add(&file, bytes_of(trailer, sizeof trailer));
}

static void walk(struct bytes entries, uint32_t end) {
    struct scan s = scan_of(entries);
    struct entry e;
    while (entry_next(&s, &e)) {
        MUST(e.offset >= FILE_HEAD && e.offset < end);
        uint32_t run, known = 0;
        struct bytes hops = e.hops, hop;
        while (e.kind == ENTRY_MESSAGE && known < e.count) {
            MUST(entry_hop(&hops, &run, &hop));
            known += run;
        }
    }
    MUST(!s.bad);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct disk disk = { .read = fuzz_read, .size = fuzz_size };
    struct scan s = scan_of(bytes_of(data, size));
    char head[FILE_HEAD];
    file = buf_grow(FILE_MAX);
    file_head_format(head, &(struct file_head){ FILE_SEGMENT, 1, SALT });
    buf_add(&file, bytes_of(head, sizeof head));
    int how = (uint8_t)scan_char(&s);
    for (int records = how & 15; records > 0 && !scan_done(&s); records--)
        add_record(&s);
    if (how & 16)
        add_index(&s);
    else
        buf_add(&file, s.rest);
    struct segment_read r = { .disk = &disk, .number = 1, .salt = SALT };
    r.limit = how & 32 ? (uint32_t)file.len / 2 : 0;
    if (!file.full && r.limit != FILE_HEAD / 2) {
        segment_read(&r);
        MUST(!r.error && r.end >= FILE_HEAD && r.end <= file.len);
        walk(buf_bytes(&r.entries), (uint32_t)file.len);
    }
    buf_free(&r.entries);
    buf_free(&r.damage.text);
    buf_free(&file);
    return 0;
}
