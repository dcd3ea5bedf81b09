/* process: what the parent needs to run its children, and what a child does to itself before it
 * works: accounts, capabilities, spawning by re-executing this very program, memory handed over in
 * a memfd, and telling systemd. */
#ifndef SYS_PROCESS_H
#define SYS_PROCESS_H

#include "base/arena.h"
#include "base/why.h"

#include <sys/types.h>

/* --- accounts ------------------------------------------------------------------------------- */
enum { ACCOUNT_GROUPS = 32 };
struct account {
    char name[64];
    uid_t uid;
    gid_t gid;
    gid_t groups[ACCOUNT_GROUPS];
    int group_count;
};
/* PERM when there is no such account, TEMP when that cannot be found out. */
enum rc process_find_account(struct bytes name, struct account *out, struct why *why);
enum rc process_own_account(struct account *out, struct why *why);
/* The name of a uid, or its number as text when it has none. */
struct bytes process_user_name(uid_t uid, struct arena *a);
bool process_in_group(uid_t uid, gid_t gid, struct bytes group);
/* Becomes this account for good. Without root it is fine only if it is the caller's own. */
enum rc process_become(const struct account *who, struct why *why);

/* --- children ------------------------------------------------------------------------------- */
struct process_fd {
    int fd; /* in this process */
    int as; /* its number in the child, at least 3 */
};
struct process_spawn {
    const char *const *argv; /* NULL-terminated */
    const struct process_fd *fds;
    size_t fd_count;
    const struct account *run_as; /* NULL: as the caller */
};
/* Runs /proc/self/exe with argv in the same process group, with standard input from /dev/null,
 * standard output and error as here, the listed descriptors and no others, signals unblocked and at
 * their defaults, killed when the thread that called this ends. Returns when it was executed, or
 * PERM/TEMP and why. */
enum rc process_spawn(const struct process_spawn *how, pid_t *pid_out, struct why *why);
/* In words: "exited with 1", "killed by SIGSEGV"; status as from waitpid. */
struct bytes process_ending(int status, struct arena *a);

/* --- rights --------------------------------------------------------------------------------- */
/* Keeps only these capabilities (CAP_* numbers), in the bounding set too. Nothing to do, and OK,
 * without root. */
enum rc process_keep_capabilities(const int *keep, size_t count, struct why *why);
enum rc process_no_new_privileges(struct why *why);
/* No core file, no ptrace by the same account: for processes that hold secrets. */
void process_hide_memory(void);
/* Raises the limit of open files to what is allowed; returns it. */
uint64_t process_raise_files(void);
/* Lets go of the pages of code and constants that starting alone needed (relocation, OpenSSL's
 * tables): they are the greater part of an idle process. What is used again comes back from the
 * page cache. */
void process_forget_start(void);
void process_set_title(const char *title); /* the thread's name, 15 octets */

/* --- memory handed over --------------------------------------------------------------------- */
/* A sealed memfd that holds `content`; -1 and errno. */
int process_memfd(const char *name, struct bytes content);
/* Reads such a descriptor whole, wherever its offset stands. */
enum rc process_memfd_read(int fd, size_t limit, struct arena *a, struct bytes *out,
                           struct why *why);
/* A memfd of zeros of fixed size to be mapped by several processes; -1 and errno. */
int process_shared(const char *name, size_t size);
/* Maps it; MUST be of that size. NULL and errno. */
void *process_shared_map(int fd, size_t size);

/* --- systemd's sd_notify(3) ------------------------------------------------------------------ */
/* Sends to $NOTIFY_SOCKET if there is one; false if there is none or it failed. */
bool process_notify(const char *state); /* "READY=1", "STOPPING=1", "WATCHDOG=1" */
bool process_notify_reloading(void);    /* RELOADING=1 with MONOTONIC_USEC */
bool process_notify_status(struct bytes text);

#endif
