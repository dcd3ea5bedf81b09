/* sites: the label a sync carries while it runs, per thread. */
#include "spool/sites.h"

#include "base/must.h"

static _Thread_local enum site current;

const char *site_name(enum site s) {
    static const char *const names[SITES] = { "none",        "lane-dir",  "first-dir",
                                              "segment-dir", "batch",     "big",
                                              "big-dir",     "recovered", "deleted" };
    MUST((unsigned)s < SITES);
    return names[s];
}

int site_sync(struct disk *d, enum site s, int file) {
    current = s;
    int error = d->sync(d->ctx, file);
    current = SITE_NONE;
    return error;
}

int site_sync_dir(struct disk *d, enum site s, const char *path) {
    current = s;
    int error = d->sync_dir(d->ctx, path);
    current = SITE_NONE;
    return error;
}

enum site site_current(void) {
    return current;
}
