/* history: the names of history files, which history.c writes and trace.c reads. For this folder
 * only. */
#ifndef REPORT_HISTORY_H
#define REPORT_HISTORY_H

#include "base/buf.h"

/* "20261120-w3.jsonl"; when it grew too large, "20261120-w3-0001.jsonl" and so on. */
struct history_name {
    uint32_t day; /* 20261120 */
    uint32_t worker, part;
};
bool history_name_parse(struct bytes name, struct history_name *out);
void history_name_format(struct buf *b, struct history_name n);
/* By day, part, worker. */
int history_name_compare(const struct history_name *a, const struct history_name *b);

/* The files of a directory, sorted. Frees what `list` held before. -1 and errno. */
struct history_files {
    struct history_name *list;
    size_t count, room;
};
int history_files_read(const char *directory, struct history_files *out);
void history_files_free(struct history_files *f);

/* Reading one of them, so that all file calls are in history.c: a handle or -1 and errno; octets
 * read, 0 at the end, -1 for a fault. */
int history_file_open(const char *directory, struct history_name name);
ptrdiff_t history_file_read(int file, char *to, size_t size);
void history_file_close(int file);

#endif
