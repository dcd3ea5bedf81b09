/* process: accounts, children, capabilities, memfds, sd_notify. Between fork and exec only system
 * calls are made: what the child needs is prepared before, and a failure comes back through a pipe
 * that the exec closes. */
#include "sys/process.h"

#include "base/buf.h"
#include "base/must.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <link.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <pwd.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ENTRY_SIZE = 16 * 1024, FDS_MAX = 128 };

/* --- accounts ------------------------------------------------------------------------------------- */

static enum rc fill_account(const struct passwd *found, struct account *out, struct why *why) {
    *out = (struct account){ .uid = found->pw_uid, .gid = found->pw_gid };
    if (strlen(found->pw_name) >= sizeof out->name)
        return why_set(why, PERM, 0, NULL, "process.account", "the account's name %s is too long",
                       found->pw_name);
    memcpy(out->name, found->pw_name, strlen(found->pw_name) + 1);
    out->group_count = ACCOUNT_GROUPS;
    /* More groups than that are cut: it can only have fewer rights. */
    if (getgrouplist(found->pw_name, found->pw_gid, out->groups, &out->group_count) < 0)
        out->group_count = ACCOUNT_GROUPS;
    return OK;
}

static enum rc no_account(struct why *why, struct bytes name, int error) {
    if (error)
        return why_set(why, TEMP, 0, NULL, "process.account", "cannot look up account %.*s: %s",
                       BYTES_FMT(name), strerror(error));
    return why_set(why, PERM, 0, NULL, "process.account", "there is no account %.*s",
                   BYTES_FMT(name));
}

enum rc process_find_account(struct bytes name, struct account *out, struct why *why) {
    char room[ENTRY_SIZE], text[sizeof out->name];
    struct passwd entry, *found = NULL;
    if (name.len == 0 || name.len >= sizeof text || bytes_find(name, '\0') >= 0)
        return no_account(why, name, 0);
    memcpy(text, name.at, name.len);
    text[name.len] = '\0';
    int error = getpwnam_r(text, &entry, room, sizeof room, &found);
    return found ? fill_account(found, out, why) : no_account(why, name, error);
}

enum rc process_own_account(struct account *out, struct why *why) {
    char room[ENTRY_SIZE];
    struct passwd entry, *found = NULL;
    getpwuid_r(geteuid(), &entry, room, sizeof room, &found);
    if (found)
        return fill_account(found, out, why);
    /* A container's uid need not have a name. */
    *out = (struct account){ .uid = geteuid(), .gid = getegid(), .group_count = 1 };
    out->groups[0] = getegid();
    snprintf(out->name, sizeof out->name, "%u", (unsigned)geteuid());
    return OK;
}

struct bytes process_user_name(uid_t uid, struct arena *a) {
    char room[ENTRY_SIZE];
    struct passwd entry, *found = NULL;
    getpwuid_r(uid, &entry, room, sizeof room, &found);
    return found ? arena_copy(a, bytes_str(found->pw_name)) : arena_printf(a, "%u", (unsigned)uid);
}

static bool has_group(const struct account *who, gid_t gid) {
    for (int i = 0; i < who->group_count; i++)
        if (who->groups[i] == gid)
            return true;
    return who->gid == gid;
}

bool process_in_group(uid_t uid, gid_t gid, struct bytes group) {
    char room[ENTRY_SIZE], name[64];
    struct group entry, *found = NULL;
    struct passwd user, *user_found = NULL;
    struct account who;
    if (group.len == 0 || group.len >= sizeof name || bytes_find(group, '\0') >= 0)
        return false;
    memcpy(name, group.at, group.len);
    name[group.len] = '\0';
    if (getgrnam_r(name, &entry, room, sizeof room, &found) != 0 || !found)
        return false;
    const gid_t wanted = found->gr_gid;
    if (gid == wanted)
        return true;
    getpwuid_r(uid, &user, room, sizeof room, &user_found);
    return user_found && fill_account(user_found, &who, NULL) == OK && has_group(&who, wanted);
}

/* 0 or an errno; system calls only. */
static int become(const struct account *who) {
    if (geteuid() != 0)
        return geteuid() == who->uid ? 0 : EPERM;
    if (setgroups((size_t)who->group_count, who->groups) < 0 ||
        setresgid(who->gid, who->gid, who->gid) < 0 || setresuid(who->uid, who->uid, who->uid) < 0)
        return errno;
    /* For good means for good. */
    if (who->uid != 0 && (setresuid(0, 0, 0) == 0 || geteuid() != who->uid))
        return EPERM;
    return 0;
}

enum rc process_become(const struct account *who, struct why *why) {
    int error = become(who);
    if (!error)
        return OK;
    return why_set(why, PERM, 0, NULL, "process.account", "cannot become %s: %s", who->name,
                   strerror(error));
}

/* --- children ------------------------------------------------------------------------------------- */

static void default_signals(void) {
    const struct sigaction action = { .sa_handler = SIG_DFL };
    sigset_t none;
    for (int signo = 1; signo < NSIG; signo++)
        sigaction(signo, &action, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Puts the descriptors at their numbers. They are first moved above all of them, so that none is
 * overwritten before its turn. */
static int place_fds(const struct process_fd *fds, size_t count, int *report) {
    int high[FDS_MAX], top = 3;
    for (size_t i = 0; i < count; i++)
        top = fds[i].as >= top ? fds[i].as + 1 : top;
    for (size_t i = 0; i < count; i++)
        if ((high[i] = fcntl(fds[i].fd, F_DUPFD_CLOEXEC, top)) < 0)
            return errno;
    if ((*report = fcntl(*report, F_DUPFD_CLOEXEC, top)) < 0)
        return errno;
    int input = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (input < 0 || dup2(input, 0) < 0)
        return errno;
    /* Whatever else is open closes on exec, though somebody forgot to say so. */
    if (syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) < 0 && errno != ENOSYS &&
        errno != EINVAL)
        return errno;
    for (size_t i = 0; i < count; i++)
        if (dup2(high[i], fds[i].as) < 0)
            return errno;
    return 0;
}

static int prepare_child(const struct process_spawn *how, pid_t parent, int *report) {
    default_signals();
    int error = place_fds(how->fds, how->fd_count, report);
    if (!error && how->run_as)
        error = become(how->run_as);
    /* Behind the change of account, which clears it. */
    if (!error && prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        error = errno;
    if (!error && getppid() != parent)
        error = ESRCH; /* it ended before it could take us with it */
    return error;
}

_Noreturn static void run_child(const struct process_spawn *how, pid_t parent, int report) {
    int error = prepare_child(how, parent, &report);
    if (!error) {
        execv("/proc/self/exe", (char *const *)(uintptr_t)how->argv);
        error = errno;
    }
    ssize_t told = write(report, &error, sizeof error);
    (void)told;
    _exit(127);
}

enum rc process_spawn(const struct process_spawn *how, pid_t *pid_out, struct why *why) {
    int report[2], error = 0;
    MUST(how->fd_count <= FDS_MAX);
    for (size_t i = 0; i < how->fd_count; i++)
        MUST(how->fds[i].as >= 3);
    if (pipe2(report, O_CLOEXEC) < 0)
        return why_set(why, TEMP, 0, NULL, "process.spawn", "cannot make a pipe: %s",
                       strerror(errno));
    const pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        run_child(how, parent, report[1]);
    if (pid < 0)
        error = errno;
    close(report[1]);
    ssize_t got = 0;
    while (pid > 0 && (got = read(report[0], &error, sizeof error)) < 0 && errno == EINTR)
        ;
    close(report[0]);
    if (pid > 0 && got > 0)
        waitpid(pid, NULL, 0);
    if (error)
        return why_set(why, error == EPERM || error == ENOENT ? PERM : TEMP, 0, NULL,
                       "process.spawn", "cannot start a process: %s", strerror(error));
    *pid_out = pid;
    return OK;
}

struct bytes process_ending(int status, struct arena *a) {
    if (WIFEXITED(status))
        return arena_printf(a, "exited with %d", WEXITSTATUS(status));
    const char *name = WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) : NULL;
    if (name)
        return arena_printf(a, "killed by SIG%s", name);
    return arena_printf(a, "ended with status %d", status);
}

/* --- rights --------------------------------------------------------------------------------------- */

static bool wanted(const int *keep, size_t count, int capability) {
    for (size_t i = 0; i < count; i++)
        if (keep[i] == capability)
            return true;
    return false;
}

enum rc process_keep_capabilities(const int *keep, size_t count, struct why *why) {
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct now[2], data[2] = { { 0 } };
    if (geteuid() != 0)
        return OK;
    bool failed = syscall(SYS_capget, &header, now) < 0;
    /* The bounding set first: that takes CAP_SETPCAP, which may go with the rest. */
    for (int c = 0; c < 64 && prctl(PR_CAPBSET_READ, c) >= 0; c++)
        if (!wanted(keep, count, c) && prctl(PR_CAPBSET_DROP, c) < 0 && errno != EPERM)
            failed = true;
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    for (size_t i = 0; i < count; i++)
        data[keep[i] / 32].permitted |= 1U << (keep[i] % 32);
    /* A container may have fewer than we would keep. */
    for (int i = 0; i < 2; i++)
        data[i].effective = data[i].permitted &= now[i].permitted;
    if (failed || syscall(SYS_capset, &header, data) < 0)
        return why_set(why, PERM, 0, NULL, "process.capabilities",
                       "cannot give up capabilities: %s", strerror(errno));
    return OK;
}

enum rc process_no_new_privileges(struct why *why) {
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return why_set(why, PERM, 0, NULL, "process.privileges", "no_new_privs: %s",
                       strerror(errno));
    return OK;
}

void process_hide_memory(void) {
    const struct rlimit none = { 0, 0 };
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0);
}

uint64_t process_raise_files(void) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) < 0)
        return 0;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    getrlimit(RLIMIT_NOFILE, &files);
    return files.rlim_cur;
}

/* Segments without PF_W: a private page that was written to would be lost. */
static int forget_code(struct dl_phdr_info *info, size_t size, void *ctx) {
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    (void)size;
    (void)ctx;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type != PT_LOAD || p->p_flags & PF_W)
            continue;
        uintptr_t begin = (info->dlpi_addr + p->p_vaddr) & ~(page - 1);
        uintptr_t end = (info->dlpi_addr + p->p_vaddr + p->p_memsz + page - 1) & ~(page - 1);
        madvise((void *)begin, end - begin, MADV_DONTNEED);
    }
    return 0;
}

void process_forget_start(void) {
    dl_iterate_phdr(forget_code, NULL);
}

void process_set_title(const char *title) {
    prctl(PR_SET_NAME, title);
}

/* --- memory handed over --------------------------------------------------------------------------- */

/* Closes fd and keeps errno. */
static int give_up(int fd) {
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

int process_memfd(const char *name, struct bytes content) {
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -1;
    while (content.len > 0) {
        ssize_t wrote = write(fd, content.at, content.len);
        if (wrote < 0 && errno != EINTR)
            return give_up(fd);
        content = bytes_skip(content, wrote > 0 ? (size_t)wrote : 0);
    }
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
        return give_up(fd);
    return fd;
}

enum rc process_memfd_read(int fd, size_t limit, struct arena *a, struct bytes *out,
                           struct why *why) {
    struct stat st;
    if (fstat(fd, &st) < 0)
        return why_set(why, TEMP, 0, NULL, "process.memfd", "%s", strerror(errno));
    if (st.st_size < 0 || (uint64_t)st.st_size > limit)
        return why_set(why, PERM, 0, NULL, "process.memfd", "more than %zu octets", limit);
    const size_t size = (size_t)st.st_size;
    char *at = arena_alloc(a, size + 1);
    size_t done = 0;
    while (done < size) {
        ssize_t got = pread(fd, at + done, size - done, (off_t)done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return why_set(why, TEMP, 0, NULL, "process.memfd", "%s",
                           got < 0 ? strerror(errno) : "it became shorter");
        done += (size_t)got;
    }
    *out = bytes_of(at, size);
    return OK;
}

int process_shared(const char *name, size_t size) {
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -1;
    if (ftruncate(fd, (off_t)size) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        return give_up(fd);
    return fd;
}

void *process_shared_map(int fd, size_t size) {
    struct stat st;
    if (fstat(fd, &st) < 0)
        return NULL;
    MUST(st.st_size == (off_t)size);
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return at == MAP_FAILED ? NULL : at;
}

/* --- sd_notify(3) --------------------------------------------------------------------------------- */

bool process_notify(const char *state) {
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    const char *path = getenv("NOTIFY_SOCKET");
    size_t length = path ? strlen(path) : 0;
    if (length < 2 || length >= sizeof to.sun_path || (path[0] != '/' && path[0] != '@'))
        return false;
    memcpy(to.sun_path, path, length);
    if (path[0] == '@')
        to.sun_path[0] = '\0'; /* abstract: no terminator, its length counts */
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    ssize_t sent = sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to, size);
    close(fd);
    return sent >= 0;
}

bool process_notify_reloading(void) {
    struct timespec now;
    char text[80];
    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%llu",
             (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000);
    return process_notify(text);
}

bool process_notify_status(struct bytes text) {
    char line[512];
    struct buf b = buf_fixed(line, sizeof line);
    buf_str(&b, "STATUS=");
    buf_printable(&b, bytes_first(text, 480));
    return process_notify(buf_text(&b));
}
