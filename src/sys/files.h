/* files: whole small files: configuration, keys, PEM files, state. For mail's own files, whose
 * safety is tested on a simulated disk, see disk.h. Calls block. */
#ifndef SYS_FILES_H
#define SYS_FILES_H

#include "base/arena.h"
#include "base/why.h"

#include <sys/types.h>

/* Nobody is -1: the owner is left as it is. */
struct files_owner {
    mode_t mode;
    uid_t uid;
    gid_t gid;
};
#define FILES_MODE(mode) ((struct files_owner){ (mode), (uid_t)-1, (gid_t)-1 })

/* The whole file, NUL-terminated besides. A file of more than `limit` octets, or that is no regular
 * file, is a PERM, and so is one that is missing or may not be read (reason files.missing,
 * files.denied, files.big, files.read). */
enum rc files_read(struct bytes path, size_t limit, struct arena *a, struct bytes *out,
                   struct why *why);
/* What stands from this offset on, at most `limit` octets (empty behind the end), of a regular file that may
 * be growing. */
enum rc files_read_from(struct bytes path, uint64_t offset, size_t limit, struct arena *a,
                        struct bytes *out, struct why *why);
/* How long it is now; a file that is missing has 0 octets. PERM for what is no regular file. */
enum rc files_size(struct bytes path, uint64_t *out, struct why *why);
/* Replaces the file in one step: temporary file beside it, synced, renamed, directory synced. After
 * a failure the old file is there whole. */
enum rc files_write(struct bytes path, struct bytes content, struct files_owner owner,
                    struct why *why);
/* Takes a lock file (made if it is missing) for this process until it ends or closes *fd_out, and
 * writes its process id into it. PERM files.locked, with the holder's id in the text, when another
 * process has it. */
enum rc files_lock(struct bytes path, int *fd_out, struct why *why);
/* Makes the directory if it is missing (not its parents) and gives it this mode and owner. PERM if
 * something else stands there, a symbolic link too. */
enum rc files_make_dir(struct bytes path, struct files_owner owner, struct why *why);
/* Who owns what stands there, a symbolic link itself; false when there is nothing, or it cannot be
 * looked at. */
bool files_owner_of(struct bytes path, struct files_owner *out);
/* Renames, and syncs both directories. Nothing to move is fine: it may have been moved before. */
enum rc files_move(struct bytes from, struct bytes to, struct why *why);
/* Names of the entries but "." and "..", sorted; at most `limit` of them. */
enum rc files_list(struct bytes path, size_t limit, struct arena *a, struct bytes **out,
                   size_t *count_out, struct why *why);
/* Changes whenever the file is replaced or rewritten; 0 when it cannot be looked at. For noticing
 * that a certificate was renewed. */
uint64_t files_stamp(struct bytes path);

#endif
