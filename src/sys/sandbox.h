/* sandbox: what a child may still do once it has begun its work. seccomp lets through the system
 * calls its kind needs; another one stops the process with SIGSYS after a line on standard error
 * that names the call. Landlock, where the kernel has it, leaves only the listed directories.
 *
 * Entered once, before the process starts threads, after it became its account. Sockets and files
 * that are open stay usable. A sanitizer build is given the calls its runtime needs besides. */
#ifndef SYS_SANDBOX_H
#define SYS_SANDBOX_H

#include "base/why.h"

enum sandbox_kind { SANDBOX_WORKER, SANDBOX_KEEPER, SANDBOX_RESOLVER, SANDBOX_FETCHER };

struct sandbox {
    enum sandbox_kind kind;
    const struct bytes *writable; /* directories (or files) to read and write in, and all below */
    size_t writable_count;
    const struct bytes *readable;
    size_t readable_count;
    int memory_mib; /* bound on the address space's growth by data, 0: none */
};

/* PERM and why when seccomp cannot be set up; a kernel without Landlock is no failure. */
enum rc sandbox_enter(const struct sandbox *how, struct why *why);
/* Has this kernel Landlock? For the ready event. */
bool sandbox_has_landlock(void);

#endif
