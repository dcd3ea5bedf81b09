/* sandbox: the lists of system calls. They hold what libuv, OpenSSL, SQLite, libunbound and glibc's
 * malloc, threads and resolver need, with what they fall back to. A call that a library tries but
 * can do without fails quietly. A violation is trapped, not killed outright, so that it can be
 * written down; the process then dies by the same signal.
 *
 * Two filters are stacked, of which the stricter answer counts: the first traps whatever is on no
 * list; the second, whose other answer is EPERM, looks at arguments. So a socket of a strange family
 * fails, as libraries expect, while ptrace ends the process. Calls that are always allowed cost
 * nothing: the kernel remembers that their arguments do not matter. */
#include "sys/sandbox.h"

#include "base/buf.h"
#include "base/must.h"
#include "base/num.h"
#include "sys/process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) ||                         \
    __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* --- the lists ---------------------------------------------------------------------------------- */

/* Memory, threads, time, signals, and talking on sockets: every kind. */
static const int always[] = {
    SCMP_SYS(brk),
    SCMP_SYS(mmap),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(mprotect),
    SCMP_SYS(mlock),
    SCMP_SYS(munlock),
    SCMP_SYS(membarrier),
    SCMP_SYS(futex),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(set_tid_address),
    SCMP_SYS(gettid),
    SCMP_SYS(getpid),
    SCMP_SYS(getppid),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_getparam),
    SCMP_SYS(sched_getscheduler),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(tgkill),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(getrandom),
    SCMP_SYS(uname),
    SCMP_SYS(sysinfo),
    SCMP_SYS(getrusage),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(getresuid),
    SCMP_SYS(getresgid),
    SCMP_SYS(getgroups),
    SCMP_SYS(getcpu),
    /* descriptors */
    SCMP_SYS(read),
    SCMP_SYS(readv),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(close),
    SCMP_SYS(dup),
    SCMP_SYS(dup2),
    SCMP_SYS(dup3),
    SCMP_SYS(fcntl),
    SCMP_SYS(fstat),
    SCMP_SYS(lseek),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(select),
    SCMP_SYS(pselect6),
    SCMP_SYS(epoll_create),
    SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_pwait2),
    SCMP_SYS(eventfd2),
    SCMP_SYS(eventfd),
    SCMP_SYS(pipe),
    SCMP_SYS(pipe2),
    SCMP_SYS(signalfd4),
    SCMP_SYS(timerfd_create),
    SCMP_SYS(timerfd_settime),
    SCMP_SYS(timerfd_gettime),
    /* sockets that are there */
    SCMP_SYS(sendto),
    SCMP_SYS(sendmsg),
    SCMP_SYS(sendmmsg),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
    SCMP_SYS(recvmmsg),
    SCMP_SYS(shutdown),
    SCMP_SYS(getsockname),
    SCMP_SYS(getpeername),
    SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt),
    SCMP_SYS(accept),
    SCMP_SYS(accept4),
    SCMP_SYS(connect),
    SCMP_SYS(bind),
    SCMP_SYS(listen),
    SCMP_SYS(socketpair),
};

/* Reading files: certificates, /etc/hosts, the root anchor, time zones. */
static const int reading[] = {
    SCMP_SYS(open),       SCMP_SYS(openat),   SCMP_SYS(stat),       SCMP_SYS(lstat),
    SCMP_SYS(newfstatat), SCMP_SYS(statx),    SCMP_SYS(access),     SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(getdents64),
    SCMP_SYS(getdents),   SCMP_SYS(getcwd),   SCMP_SYS(pread64),    SCMP_SYS(preadv),
    SCMP_SYS(preadv2),    SCMP_SYS(statfs),   SCMP_SYS(fstatfs),    SCMP_SYS(fadvise64),
    SCMP_SYS(readahead),  SCMP_SYS(flock),
};

/* Writing them: the spool, Maildir, SQLite. */
static const int writing[] = {
    SCMP_SYS(pwrite64),     SCMP_SYS(pwritev),   SCMP_SYS(pwritev2),
    SCMP_SYS(ftruncate),    SCMP_SYS(truncate),  SCMP_SYS(fallocate),
    SCMP_SYS(fsync),        SCMP_SYS(fdatasync), SCMP_SYS(sync_file_range),
    SCMP_SYS(msync),        SCMP_SYS(mkdir),     SCMP_SYS(mkdirat),
    SCMP_SYS(rmdir),        SCMP_SYS(unlink),    SCMP_SYS(unlinkat),
    SCMP_SYS(rename),       SCMP_SYS(renameat),  SCMP_SYS(renameat2),
    SCMP_SYS(link),         SCMP_SYS(linkat),    SCMP_SYS(symlink),
    SCMP_SYS(symlinkat),    SCMP_SYS(fchmod),    SCMP_SYS(chmod),
    SCMP_SYS(fchmodat),     SCMP_SYS(fchown),    SCMP_SYS(fchownat),
    SCMP_SYS(utimensat),    SCMP_SYS(umask),     SCMP_SYS(copy_file_range),
    SCMP_SYS(memfd_create), SCMP_SYS(fchdir),    SCMP_SYS(chdir),
};

/* What a sanitizer's runtime does besides; its leak check stops all threads from outside. */
static const int sanitizer[] = {
    SCMP_SYS(ptrace),
    SCMP_SYS(wait4),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(personality),
    SCMP_SYS(sched_setaffinity),
    SCMP_SYS(getrlimit),
    SCMP_SYS(arch_prctl),
    SCMP_SYS(kill),
    SCMP_SYS(mincore),
};

/* Fail, in every form. */
static const struct {
    int call, error;
} quiet[] = {
    { SCMP_SYS(io_uring_setup), ENOSYS },
    { SCMP_SYS(io_uring_enter), ENOSYS },
    { SCMP_SYS(io_uring_register), ENOSYS },
    { SCMP_SYS(clone3), ENOSYS }, /* its flags cannot be looked at; glibc then uses clone */
    { SCMP_SYS(openat2), ENOSYS },
    { SCMP_SYS(close_range), ENOSYS },
    { SCMP_SYS(sched_setscheduler), EPERM },
    { SCMP_SYS(sched_setattr), EPERM },
    { SCMP_SYS(setpriority), EPERM },
    { SCMP_SYS(mbind), EPERM },
    { SCMP_SYS(get_mempolicy), EPERM },
    { SCMP_SYS(keyctl), EPERM },
    { SCMP_SYS(chown), EPERM },
    { SCMP_SYS(lchown), EPERM },
};

/* Allowed when the argument, as far as the mask goes, is this value; else EPERM. */
static const struct form {
    int call;
    unsigned argument;
    uint64_t mask, value;
    bool network; /* not for the keeper, which has no business there */
} forms[] = {
    { SCMP_SYS(ioctl), 1, UINT32_MAX, FIONBIO, false },
    { SCMP_SYS(ioctl), 1, UINT32_MAX, FIONREAD, false },
    { SCMP_SYS(ioctl), 1, UINT32_MAX, FIOCLEX, false },
    { SCMP_SYS(ioctl), 1, UINT32_MAX, TCGETS, false }, /* isatty */
    { SCMP_SYS(prctl), 0, UINT32_MAX, PR_SET_NAME, false },
    { SCMP_SYS(prctl), 0, UINT32_MAX, PR_GET_NAME, false },
    { SCMP_SYS(prctl), 0, UINT32_MAX, PR_GET_DUMPABLE, false },
    /* Threads, never processes. */
    { SCMP_SYS(clone), 0, CLONE_THREAD, CLONE_THREAD, false },
    /* Limits are read (no new value), never set. */
    { SCMP_SYS(prlimit64), 2, UINT64_MAX, 0, false },
    { SCMP_SYS(socket), 0, UINT32_MAX, AF_UNIX, false },
    { SCMP_SYS(socket), 0, UINT32_MAX, AF_INET, true },
    { SCMP_SYS(socket), 0, UINT32_MAX, AF_INET6, true },
    { SCMP_SYS(socket), 0, UINT32_MAX, AF_NETLINK, true },
};

/* --- seccomp ------------------------------------------------------------------------------------- */

struct filter {
    scmp_filter_ctx rules;
    int error;
};

static void note_error(struct filter *f, int error) {
    if (error && error != -EDOM && !f->error) /* EDOM: no such call on this architecture */
        f->error = -error;
}

static void allow(struct filter *f, const int *calls, size_t count) {
    for (size_t i = 0; i < count; i++)
        note_error(f, seccomp_rule_add(f->rules, SCMP_ACT_ALLOW, calls[i], 0));
}

static void allow_form(struct filter *f, const struct form *form, enum sandbox_kind kind) {
    const struct scmp_arg_cmp test = { form->argument, SCMP_CMP_MASKED_EQ, form->mask,
                                       form->value };
    if (form->network && kind == SANDBOX_KEEPER)
        return;
    note_error(f, seccomp_rule_add_array(f->rules, SCMP_ACT_ALLOW, form->call, 1, &test));
}

/* looking: the second filter, which looks at arguments. */
static void fill(struct filter *f, enum sandbox_kind kind, bool looking) {
    allow(f, always, COUNT_OF(always));
    allow(f, reading, COUNT_OF(reading));
    allow(f, writing, COUNT_OF(writing));
    if (SANITIZED)
        allow(f, sanitizer, COUNT_OF(sanitizer));
    if (!looking) /* until the second one is there */
        note_error(f, seccomp_rule_add(f->rules, SCMP_ACT_ALLOW, SCMP_SYS(seccomp), 0));
    for (size_t i = 0; i < COUNT_OF(quiet); i++)
        if (!looking || quiet[i].error != EPERM) /* that is its default: no rule may say so */
            note_error(f, seccomp_rule_add(f->rules, SCMP_ACT_ERRNO((unsigned)quiet[i].error),
                                           quiet[i].call, 0));
    for (size_t i = 0; i < COUNT_OF(forms); i++) {
        if (looking && !SANITIZED)
            allow_form(f, &forms[i], kind);
        else
            allow(f, &forms[i].call, 1);
    }
}

/* 0 or an errno. */
static int load(enum sandbox_kind kind, bool looking) {
    struct filter f = { seccomp_init(looking ? SCMP_ACT_ERRNO(EPERM) : SCMP_ACT_TRAP), 0 };
    if (!f.rules)
        return ENOMEM;
    note_error(&f, seccomp_attr_set(f.rules, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS));
    seccomp_attr_set(f.rules, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree; an old library has none */
    fill(&f, kind, looking);
    if (!f.error)
        note_error(&f, seccomp_load(f.rules));
    seccomp_release(f.rules);
    return f.error;
}

/* --- violations ----------------------------------------------------------------------------------- */

enum { CALLS = 512, NAME_SIZE = 24 };
static char names[CALLS][NAME_SIZE]; /* looking them up allocates, which a handler may not */

static void learn_names(void) {
    for (int i = 0; i < CALLS; i++) {
        char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, i);
        if (name)
            strncpy(names[i], name, NAME_SIZE - 1);
        free(name);
    }
}

static void on_violation(int signo, siginfo_t *info, void *context) {
    char room[160];
    struct buf line = buf_fixed(room, sizeof room);
    struct timespec now;
    (void)context;
    clock_gettime(CLOCK_REALTIME, &now);
    buf_str(&line, "{\"time\":\"");
    num_format_rfc3339(&line, (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
    buf_str(&line, "\",\"event\":\"sandbox-violation\",\"call\":\"");
    if (info->si_syscall >= 0 && info->si_syscall < CALLS)
        buf_str(&line, names[info->si_syscall]);
    buf_str(&line, "\",\"number\":");
    buf_i64(&line, info->si_syscall);
    buf_str(&line, "}\n");
    ssize_t written = write(STDERR_FILENO, line.at, line.len);
    (void)written;
    raise(signo); /* SA_RESETHAND: this one is deadly */
    _exit(128 + signo);
}

static void catch_violations(void) {
    struct sigaction action = { .sa_sigaction = on_violation,
                                .sa_flags = SA_SIGINFO | SA_RESETHAND | SA_NODEFER };
    sigemptyset(&action.sa_mask);
    sigaction(SIGSYS, &action, NULL);
}

/* --- Landlock ------------------------------------------------------------------------------------ */

#define ACCESS_TRUNCATE (UINT64_C(1) << 14) /* since version 3; older headers lack it */

enum {
    FIRST_RIGHTS = LANDLOCK_ACCESS_FS_MAKE_SYM * 2 - 1, /* version 1: all up to it */
    READ_RIGHTS = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
    FILE_RIGHTS = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE,
    /* No executing, no device files. */
    WRITE_RIGHTS = FIRST_RIGHTS & ~(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
                                    LANDLOCK_ACCESS_FS_MAKE_BLOCK),
};

/* What libraries read on their own. Any of it may be missing. */
static const struct bytes library_files[] = {
    { "/etc/ssl", 8 },
    { "/usr/lib/ssl", 12 },
    { "/usr/share/ca-certificates", 26 },
    { "/usr/local/share/ca-certificates", 32 },
    { "/etc/pki", 8 },
    { "/etc/localtime", 14 },
    { "/usr/share/zoneinfo", 19 },
    { "/etc/hosts", 10 },
    { "/etc/resolv.conf", 16 },
    { "/etc/nsswitch.conf", 18 },
    { "/etc/host.conf", 14 },
    { "/etc/gai.conf", 13 },
    { "/etc/services", 13 },
    { "/etc/passwd", 11 },
    { "/etc/group", 10 },
    { "/usr/share/dns", 14 },
    { "/dev/null", 9 },
    { "/dev/urandom", 12 },
    { "/dev/random", 11 },
    { "/sys/devices/system/cpu", 23 },
    { "/proc", 5 },
};

static int landlock_version(void) {
    return (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

static bool restricted; /* inside, the kernel is not asked any more */

bool sandbox_has_landlock(void) {
    return restricted || landlock_version() > 0;
}

static uint64_t handled_rights(int version) {
    return FIRST_RIGHTS | (version >= 2 ? LANDLOCK_ACCESS_FS_REFER : 0) |
           (version >= 3 ? ACCESS_TRUNCATE : 0);
}

/* 0 or an errno. */
static int permit(int ruleset, struct bytes path, uint64_t rights) {
    char name[4096];
    struct stat st;
    if (path.len >= sizeof name)
        return ENAMETOOLONG;
    memcpy(name, path.at, path.len);
    name[path.len] = '\0';
    int fd = open(name, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int error = fstat(fd, &st) < 0 ? errno : 0;
    if (!S_ISDIR(st.st_mode))
        rights &= FILE_RIGHTS | ACCESS_TRUNCATE;
    const struct landlock_path_beneath_attr rule = { .allowed_access = rights, .parent_fd = fd };
    if (!error && syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
        error = errno;
    close(fd);
    return error;
}

static int permit_all(int ruleset, const struct sandbox *how, uint64_t handled,
                      struct bytes *which_out) {
    int error;
    for (size_t i = 0; i < how->writable_count; i++) {
        *which_out = how->writable[i];
        const uint64_t extra = LANDLOCK_ACCESS_FS_REFER | ACCESS_TRUNCATE;
        if ((error = permit(ruleset, *which_out, (WRITE_RIGHTS | extra) & handled)))
            return error;
    }
    for (size_t i = 0; i < how->readable_count; i++) {
        *which_out = how->readable[i];
        if ((error = permit(ruleset, *which_out, READ_RIGHTS)) && error != ENOENT)
            return error;
    }
    for (size_t i = 0; i < COUNT_OF(library_files); i++)
        permit(ruleset, library_files[i], READ_RIGHTS);
    return 0;
}

static enum rc restrict_files(const struct sandbox *how, struct why *why) {
    const int version = landlock_version();
    if (version <= 0)
        return OK; /* an old kernel, or one started without it */
    const struct landlock_ruleset_attr attr = { .handled_access_fs = handled_rights(version) };
    struct bytes which = BYTES_NONE;
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    if (ruleset < 0)
        return why_set(why, PERM, 0, NULL, "sandbox.landlock", "Landlock: %s", strerror(errno));
    int error = permit_all(ruleset, how, attr.handled_access_fs, &which);
    if (!error && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        error = errno;
    close(ruleset);
    restricted = !error;
    if (!error)
        return OK;
    return why_set(why, PERM, 0, NULL, "sandbox.landlock", "Landlock: %.*s: %s", BYTES_FMT(which),
                   strerror(error));
}

/* --- entering ------------------------------------------------------------------------------------- */

static void limit_memory(int mib) {
    const struct rlimit limit = { (rlim_t)mib << 20, (rlim_t)mib << 20 };
    if (mib > 0 && !SANITIZED)
        setrlimit(RLIMIT_DATA, &limit);
}

enum rc sandbox_enter(const struct sandbox *how, struct why *why) {
    enum rc rc = process_no_new_privileges(why);
    limit_memory(how->memory_mib);
    if (rc == OK)
        rc = restrict_files(how, why);
    if (rc != OK)
        return rc;
    learn_names();
    catch_violations();
    int error = load(how->kind, false);
    if (!error)
        error = load(how->kind, true);
    if (error)
        return why_set(why, PERM, 0, NULL, "sandbox.seccomp", "seccomp: %s", strerror(error));
    return OK;
}
