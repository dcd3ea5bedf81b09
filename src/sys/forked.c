/* forked: fork, and a pidfd that tells of the end. */
#include "sys/forked.h"

#include "base/must.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct forked {
    pid_t pid;
    int fd;
    struct watch *watch;
    void (*on_end)(void *ctx, bool exited, int status);
    void *ctx;
};

static void free_forked(struct forked *f) {
    watch_close(&f->watch);
    close(f->fd);
    free(f);
}

static int reap(pid_t pid) {
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

static void ended(void *ctx, int what) {
    struct forked *f = ctx;
    (void)what;
    int status = reap(f->pid);
    void (*on_end)(void *, bool, int) = f->on_end;
    void *arg = f->ctx;
    free_forked(f);
    on_end(arg, WIFEXITED(status), WIFEXITED(status) ? WEXITSTATUS(status) : 0);
}

_Noreturn static void be_the_copy(pid_t parent, int (*work)(void *ctx), void *ctx) {
    const struct sigaction action = { .sa_handler = SIG_DFL };
    sigset_t none;
    for (int signo = 1; signo < NSIG; signo++)
        sigaction(signo, &action, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(255);
    _exit(work(ctx));
}

struct forked *forked_begin(struct loop *l, int (*work)(void *ctx),
                            void (*on_end)(void *ctx, bool exited, int status), void *ctx) {
    const pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        be_the_copy(parent, work, ctx);
    if (pid < 0)
        return NULL;
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0) {
        kill(pid, SIGKILL);
        reap(pid);
        return NULL;
    }
    struct forked *f = calloc(1, sizeof *f);
    MUST(f);
    f->pid = pid;
    f->fd = fd;
    f->on_end = on_end;
    f->ctx = ctx;
    f->watch = watch_open(l, fd, WATCH_READ, ended, f);
    return f;
}

void forked_kill(struct forked *f) {
    kill(f->pid, SIGKILL);
}

void forked_cancel(struct forked **out) {
    struct forked *f = *out;
    if (!f)
        return;
    kill(f->pid, SIGKILL);
    reap(f->pid);
    free_forked(f);
    *out = NULL;
}
