/* sites: every sync the spool's promises hang on, by name. Each is called through here with its
 * site, so that tests/crash can leave out one at a time and show that each is needed. */
#ifndef SPOOL_SITES_H
#define SPOOL_SITES_H

#include "sys/disk.h"

enum site {
    SITE_NONE,
    SITE_LANE_DIR,    /* the lane's directory, before anything in it is promised */
    SITE_FIRST_DIR,   /* the name of the segment a lane is taken with */
    SITE_SEGMENT_DIR, /* that of every later one, before its first 250 */
    SITE_BATCH,       /* records, before what they stand for is confirmed */
    SITE_BIG,         /* a big message's own file, before its record is written */
    SITE_BIG_DIR,     /* and that file's name */
    SITE_RECOVERED,   /* what a crashed process wrote, before anything is deleted because of it */
    SITE_DELETED,     /* a segment's end, before what it needed may go too */
    SITES,
};
const char *site_name(enum site s);

int site_sync(struct disk *d, enum site s, int file);
int site_sync_dir(struct disk *d, enum site s, const char *path);
/* The site of the sync now under way on this thread. */
enum site site_current(void);

#endif
