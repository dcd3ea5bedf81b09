/* Children, accounts, rights, memfds, sd_notify, and the sandbox. This program runs itself again as
 * its own children: with an argument it plays one of the parts below. */
#include "base/must.h"
#include "sys/files.h"
#include "sys/offload.h"
#include "sys/process.h"
#include "sys/random.h"
#include "sys/sandbox.h"
#include "sys/sockets.h"
#include "sys/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static struct arena *arena;

/* --- the parts children play ------------------------------------------------------------------ */

static int play_report(void) {
    char line[256];
    int open_fds = 0, death = 0;
    sigset_t blocked;
    for (int fd = 3; fd < 64; fd++)
        open_fds += fcntl(fd, F_GETFD) != -1;
    prctl(PR_GET_PDEATHSIG, &death);
    sigprocmask(SIG_SETMASK, NULL, &blocked);
    int n = snprintf(line, sizeof line, "fds=%d uid=%u gid=%u death=%d usr1=%d pipe=%d group=%d",
                     open_fds, (unsigned)geteuid(), (unsigned)getegid(), death,
                     sigismember(&blocked, SIGUSR1), signal(SIGPIPE, SIG_DFL) == SIG_DFL,
                     getpgrp() == getpgid(getppid()));
    return write(7, line, (size_t)n) == n ? 0 : 1;
}

static int enter(enum sandbox_kind kind, const char *dir) {
    struct why why;
    struct bytes writable = bytes_str(dir);
    const struct sandbox how = { .kind = kind, .writable = &writable, .writable_count = 1 };
    if (sandbox_enter(&how, &why) == OK)
        return 0;
    fprintf(stderr, "%s\n", why.text);
    return 1;
}

static void nothing(void *ctx) {
    (void)ctx;
}

static void stop(void *ctx) {
    loop_stop(ctx);
}

static int failures;

#define CHECK(condition) check((condition), #condition)
static void check(bool fine, const char *what) {
    if (fine)
        return;
    fprintf(stderr, "failed inside: %s (%s)\n", what, strerror(errno));
    failures++;
}

static struct tls_server *inside_tls;
static int inside_secured;

static void inside_secured_cb(void *ctx, enum rc rc, const struct tls_info *info,
                              const struct why *why) {
    (void)info;
    (void)why;
    inside_secured += rc == OK;
    if (inside_secured == 2)
        loop_stop(ctx);
}
static void inside_read(void *ctx, struct bytes data) {
    (void)ctx;
    (void)data;
}
static void inside_end(void *ctx, int error) {
    (void)error;
    loop_stop(ctx);
}
static const struct stream_handler inside_handler = { inside_read, inside_end, NULL,
                                                      inside_secured_cb };
static struct stream *inside_streams[2];

static void inside_accept(void *ctx, struct stream *s) {
    inside_streams[0] = s;
    stream_attach(s, &inside_handler, ctx);
    stream_start_tls_server(s, inside_tls, false);
}

static struct tls_client *inside_client;

static void inside_connect(void *ctx, enum rc rc, struct stream *s, const struct why *why) {
    const struct tls_want want = { .name = B("a.example") };
    (void)why;
    if (rc != OK) {
        loop_stop(ctx);
        return;
    }
    inside_streams[1] = s;
    stream_attach(s, &inside_handler, ctx);
    stream_start_tls_client(s, inside_client, &want);
}

static void too_late(void *ctx) {
    loop_stop(ctx);
}

/* A TLS conversation with itself, over TCP, inside the sandbox. */
static void talk_inside(struct loop *l) {
    struct arena *a = arena_open();
    struct tls_pair pair = { 0 };
    struct why why;
    struct connect_to to = { .timeout_ms = 1000 };
    struct timer guard = { 0 };
    int fd = -1;
    CHECK(tls_make_pair(B("a.example"), (int64_t)time(NULL) * 1000, a, &pair.chain_pem,
                        &pair.key_pem, &why) == OK);
    CHECK(tls_server_open(&pair, 1, 12, BYTES_NONE, &inside_tls, &why) == OK);
    CHECK(tls_client_open(BYTES_NONE, &inside_client, &why) == OK);
    addr_parse(B("127.0.0.1"), &to.remote);
    CHECK(sockets_listen_tcp(to.remote, &fd, &why) == OK);
    to.remote = sockets_bound(fd);
    struct stream_listener *listener = stream_listen(l, fd, inside_accept, l);
    stream_connect(l, &to, inside_connect, l);
    timer_set(l, &guard, 10000, too_late, l);
    loop_run(l);
    timer_clear(&guard);
    CHECK(inside_secured == 2);
    stream_abort(&inside_streams[0]);
    stream_abort(&inside_streams[1]);
    stream_listener_close(&listener);
    tls_server_close(&inside_tls);
    tls_client_close(&inside_client);
    arena_close(&a);
}

/* What a worker does, after the door has closed. */
static int play_work(const char *dir) {
    struct arena *a = arena_open();
    struct why why;
    struct bytes out;
    struct bytes file = arena_printf(a, "%s/written", dir);
    if (enter(SANDBOX_WORKER, dir))
        return 1;
    struct loop *l = loop_open();
    struct offload *o = offload_open(l, "work"); /* a thread */
    struct offload_job job = { NULL, nothing, stop, l };
    offload_submit(o, &job);
    loop_run(l);
    offload_close(&o);
    talk_inside(l);
    loop_close(&l);
    CHECK(files_write(file, B("x"), FILES_MODE(0600), &why) == OK);
    CHECK(files_read(file, 10, a, &out, &why) == OK);
    CHECK(random_u64() != 0);
    CHECK(isatty(0) == 0);
    time_t now = time(NULL);
    CHECK(localtime(&now) != NULL);
    if (sandbox_has_landlock()) {
        CHECK(open("/etc/shadow", O_RDONLY) < 0);
        CHECK(open("/etc/hosts", O_RDWR) < 0);
        CHECK(files_write(B("/tmp/postern-outside"), B("x"), FILES_MODE(0600), &why) != OK);
    }
#if !defined(__SANITIZE_ADDRESS__)
    CHECK(socket(AF_PACKET, SOCK_RAW, 0) < 0);
    CHECK(prctl(PR_SET_DUMPABLE, 1) < 0);
    CHECK(fork() < 0);
#endif
    arena_close(&a);
    return failures ? 1 : 0;
}

static int play_keeper(const char *dir) {
    if (enter(SANDBOX_KEEPER, dir))
        return 1;
    int pair[2];
    CHECK(sockets_pair(SOCK_SEQPACKET, pair) == 0);
#if !defined(__SANITIZE_ADDRESS__)
    CHECK(socket(AF_INET, SOCK_STREAM, 0) < 0);
#endif
    return failures ? 1 : 0;
}

static int play_break_out(const char *dir) {
    char *const argv[] = { (char *)"true", NULL };
    if (enter(SANDBOX_WORKER, dir))
        return 1;
    execv("/bin/true", argv);
    return 2;
}

static int play_capabilities(void) {
    const int keep[] = { CAP_NET_BIND_SERVICE, CAP_SETUID, CAP_SETGID };
    struct account nobody;
    struct why why;
    if (process_keep_capabilities(keep, COUNT_OF(keep), &why) != OK)
        return 1;
    CHECK(prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN) == 0);
    CHECK(prctl(PR_CAPBSET_READ, CAP_SETUID) == 1);
    CHECK(chroot("/") < 0); /* root in name only */
    CHECK(process_find_account(B("nobody"), &nobody, &why) == OK);
    CHECK(process_become(&nobody, &why) == OK);
    CHECK(setresuid(0, 0, 0) < 0 && geteuid() == nobody.uid);
    CHECK(open("/etc/shadow", O_RDONLY) < 0);
    return failures ? 1 : 0;
}

static int play_grandparent(void) {
    const char *argv[] = { "test", "sleep", NULL };
    const struct process_fd fds[] = { { 7, 7 } };
    const struct process_spawn how = { .argv = argv, .fds = fds, .fd_count = 1 };
    struct why why;
    pid_t pid;
    return process_spawn(&how, &pid, &why) == OK ? 0 : 1; /* and ends, with the child behind */
}

static int play(int argc, char **argv) {
    const char *part = argv[1], *dir = argc > 2 ? argv[2] : "/tmp";
    if (strcmp(part, "report") == 0)
        return play_report();
    if (strcmp(part, "work") == 0)
        return play_work(dir);
    if (strcmp(part, "keeper") == 0)
        return play_keeper(dir);
    if (strcmp(part, "break-out") == 0)
        return play_break_out(dir);
    if (strcmp(part, "capabilities") == 0)
        return play_capabilities();
    if (strcmp(part, "grandparent") == 0)
        return play_grandparent();
    if (strcmp(part, "sleep") == 0)
        return (int)sleep(50);
    return 99;
}

/* --- children ------------------------------------------------------------------------------------- */

static int run_part(const char *part, const char *dir, const struct account *who, int out) {
    const char *argv[] = { "test-process", part, dir, NULL };
    const struct process_fd fds[] = { { out, 7 } };
    const struct process_spawn how = {
        .argv = argv, .fds = fds, .fd_count = out >= 0 ? 1 : 0, .run_as = who
    };
    struct why why;
    pid_t pid;
    int status;
    assert_int_equal(process_spawn(&how, &pid, &why), OK);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void children_get_what_they_should(void **state) {
    (void)state;
    char text[256] = { 0 };
    struct account who;
    struct why why;
    sigset_t block;
    int out[2], stray = dup(2); /* not to be inherited */
    assert_int_equal(pipe(out), 0);
    sigemptyset(&block);
    sigaddset(&block, SIGUSR1);
    sigprocmask(SIG_BLOCK, &block, NULL);
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(process_find_account(B("nobody"), &who, &why), OK);
    bool root = geteuid() == 0;
    assert_int_equal(run_part("report", NULL, root ? &who : NULL, out[1]), 0);
    assert_true(read(out[0], text, sizeof text - 1) > 0);
    struct bytes wanted =
        arena_printf(arena, "fds=1 uid=%u gid=%u death=%d usr1=0 pipe=1 group=1",
                     root ? who.uid : geteuid(), root ? who.gid : getegid(), SIGKILL);
    assert_string_equal(text, wanted.at);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_UNBLOCK, &block, NULL);
    close(stray);
    close(out[0]);
    close(out[1]);
}

static void children_die_with_the_parent(void **state) {
    (void)state;
    int out[2];
    char c;
    assert_int_equal(pipe(out), 0);
    assert_int_equal(run_part("grandparent", NULL, NULL, out[1]), 0);
    close(out[1]);
    /* The sleeper holds the other end; it closes when the sleeper is killed. */
    assert_int_equal(read(out[0], &c, 1), 0);
    close(out[0]);
}

static void descriptors_are_placed_crosswise(void **state) {
    (void)state;
    int out[2], pair[2];
    char text[256];
    struct why why;
    pid_t pid;
    int status;
    assert_int_equal(pipe(out), 0);
    assert_int_equal(pipe(pair), 0);
    /* Each takes the other's number. */
    const char *argv[] = { "test-process", "report", NULL };
    int low = dup2(out[1], 30), high = dup2(pair[1], 7);
    const struct process_fd fds[] = { { low, 7 }, { high, 30 } };
    const struct process_spawn how = { .argv = argv, .fds = fds, .fd_count = 2 };
    assert_int_equal(process_spawn(&how, &pid, &why), OK);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_true(read(out[0], text, sizeof text) > 0);
    assert_memory_equal(text, "fds=2 ", 6);
    close(low);
    close(high);
    for (int i = 0; i < 2; i++) {
        close(out[i]);
        close(pair[i]);
    }
}

static void spawn_failures_are_told(void **state) {
    (void)state;
    const char *argv[] = { "test-process", "report", NULL };
    const struct process_fd fds[] = { { 9999, 7 } };
    const struct process_spawn how = { .argv = argv, .fds = fds, .fd_count = 1 };
    struct why why;
    pid_t pid;
    assert_int_equal(process_spawn(&how, &pid, &why), TEMP);
    assert_non_null(strstr(why.text, "Bad file descriptor"));
}

static void endings_in_words(void **state) {
    (void)state;
    assert_string_equal(process_ending(3 << 8, arena).at, "exited with 3");
    assert_string_equal(process_ending(SIGSEGV, arena).at, "killed by SIGSEGV");
}

/* --- accounts and rights -------------------------------------------------------------------------- */

static void accounts_are_found(void **state) {
    (void)state;
    struct account who;
    struct why why;
    assert_int_equal(process_find_account(B("root"), &who, &why), OK);
    assert_int_equal(who.uid, 0);
    assert_string_equal(who.name, "root");
    assert_int_equal(process_find_account(B("no-such-account"), &who, &why), PERM);
    assert_non_null(strstr(why.text, "no-such-account"));
    assert_int_equal(process_find_account(BYTES_NONE, &who, &why), PERM);
    assert_int_equal(process_own_account(&who, &why), OK);
    assert_int_equal(who.uid, geteuid());
    assert_string_equal(process_user_name(0, arena).at, "root");
    assert_string_equal(process_user_name(54321, arena).at, "54321");
    assert_true(process_in_group(0, 0, B("root")));
    assert_false(process_in_group(54321, 54321, B("root")));
    assert_false(process_in_group(0, 0, B("no-such-group")));
}

static void capabilities_are_given_up(void **state) {
    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(run_part("capabilities", NULL, NULL, -1), 0);
}

/* --- memory --------------------------------------------------------------------------------------- */

static void memfds_are_sealed(void **state) {
    (void)state;
    struct bytes out;
    struct why why;
    int fd = process_memfd("test", B("configuration"));
    assert_true(fd >= 0);
    assert_int_equal(process_memfd_read(fd, 100, arena, &out, &why), OK);
    assert_true(bytes_equal(out, B("configuration")));
    assert_int_equal(process_memfd_read(fd, 5, arena, &out, &why), PERM);
    assert_int_equal(write(fd, "x", 1), -1);
    assert_int_equal(ftruncate(fd, 0), -1);
    close(fd);
    fd = process_memfd("empty", BYTES_NONE);
    assert_int_equal(process_memfd_read(fd, 5, arena, &out, &why), OK);
    assert_int_equal(out.len, 0);
    close(fd);
    assert_int_equal(process_memfd_read(-1, 5, arena, &out, &why), TEMP);
}

static void memory_is_shared(void **state) {
    (void)state;
    int fd = process_shared("shared", 8192);
    char *one = process_shared_map(fd, 8192), *two = process_shared_map(fd, 8192);
    assert_true(one && two && one != two);
    one[5000] = 'x';
    assert_int_equal(two[5000], 'x');
    assert_int_equal(ftruncate(fd, 0), -1); /* nobody pulls it from under the others */
    munmap(one, 8192);
    munmap(two, 8192);
    close(fd);
    assert_true(process_raise_files() > 0);
}

static long file_pages(void) {
    long all, resident, shared;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%ld %ld %ld", &all, &resident, &shared), 3);
    fclose(f);
    return shared;
}

static void code_is_let_go_and_comes_back(void **state) {
    (void)state;
    static const char constant[] = "constants stay what they are";
    static int written = 7;
    written++;
    long before = file_pages();
    process_forget_start();
    assert_true(file_pages() < before);
    assert_int_equal(written, 8);
    assert_int_equal(strlen(constant), 28);
}

/* --- sd_notify ------------------------------------------------------------------------------------ */

static void notify_to(struct sockaddr_un *at, socklen_t size, const char *name) {
    char text[256] = { 0 };
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)at, size), 0);
    setenv("NOTIFY_SOCKET", name, 1);
    assert_true(process_notify("READY=1"));
    assert_int_equal(recv(fd, text, sizeof text, MSG_DONTWAIT), 7);
    assert_string_equal(text, "READY=1");
    assert_true(process_notify_reloading());
    assert_true(recv(fd, text, sizeof text, MSG_DONTWAIT) > 0);
    assert_memory_equal(text, "RELOADING=1\nMONOTONIC_USEC=", 27);
    assert_true(process_notify_status(B("a\nb")));
    assert_int_equal(recv(fd, text, sizeof text, MSG_DONTWAIT), 10);
    assert_memory_equal(text, "STATUS=a?b", 10);
    close(fd);
    assert_false(process_notify("READY=1"));
}

static void systemd_is_told(void **state) {
    (void)state;
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    struct bytes name = arena_printf(arena, "/tmp/postern-notify-%d", (int)getpid());
    unsetenv("NOTIFY_SOCKET");
    assert_false(process_notify("READY=1"));
    setenv("NOTIFY_SOCKET", "relative", 1);
    assert_false(process_notify("READY=1"));
    memcpy(at.sun_path, name.at, name.len);
    notify_to(&at, sizeof at, name.at);
    unlink(name.at);
    at.sun_path[0] = '\0';
    name = arena_printf(arena, "@tmp/postern-notify-%d", (int)getpid());
    notify_to(&at, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + name.len), name.at);
    unsetenv("NOTIFY_SOCKET");
}

/* --- the sandbox ----------------------------------------------------------------------------------- */

static char dir[] = "/tmp/postern-test-XXXXXX";

static void workers_work_inside(void **state) {
    (void)state;
    assert_int_equal(run_part("work", dir, NULL, -1), 0);
}

static void keepers_have_no_network(void **state) {
    (void)state;
    assert_int_equal(run_part("keeper", dir, NULL, -1), 0);
}

static void violations_end_and_are_logged(void **state) {
    (void)state;
    char text[512] = { 0 };
    int err[2], saved = dup(2);
    assert_int_equal(pipe(err), 0);
    dup2(err[1], 2);
    int status = run_part("break-out", dir, NULL, -1);
    dup2(saved, 2);
    close(saved);
    close(err[1]);
    assert_true(read(err[0], text, sizeof text - 1) > 0);
    close(err[0]);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSYS);
    assert_non_null(strstr(text, "\"event\":\"sandbox-violation\",\"call\":\"execve\""));
}

static int prepare(void **state) {
    (void)state;
    arena = arena_open();
    return mkdtemp(dir) ? 0 : -1;
}

static int tidy(void **state) {
    char command[64];
    (void)state;
    arena_close(&arena);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(children_get_what_they_should),
        cmocka_unit_test(children_die_with_the_parent),
        cmocka_unit_test(descriptors_are_placed_crosswise),
        cmocka_unit_test(spawn_failures_are_told),
        cmocka_unit_test(endings_in_words),
        cmocka_unit_test(accounts_are_found),
        cmocka_unit_test(capabilities_are_given_up),
        cmocka_unit_test(memfds_are_sealed),
        cmocka_unit_test(memory_is_shared),
        cmocka_unit_test(code_is_let_go_and_comes_back),
        cmocka_unit_test(systemd_is_told),
        cmocka_unit_test(workers_work_inside),
        cmocka_unit_test(keepers_have_no_network),
        cmocka_unit_test(violations_end_and_are_logged),
    };
    alarm(60);
    if (argc > 1)
        return play(argc, argv);
    return cmocka_run_group_tests(tests, prepare, tidy);
}
