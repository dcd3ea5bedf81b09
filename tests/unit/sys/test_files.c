/* disk, files, sockets, random: what touches the file system and makes sockets. */
#include "base/must.h"
#include "sys/disk.h"
#include "sys/files.h"
#include "sys/random.h"
#include "sys/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64];
static struct arena *arena;

static int make_dir(void **state) {
    (void)state;
    strcpy(dir, "/tmp/postern-test-XXXXXX");
    arena = arena_open();
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state) {
    char command[128];
    (void)state;
    arena_close(&arena);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static struct bytes in_dir(const char *name) {
    return arena_printf(arena, "%s/%s", dir, name);
}

/* --- disk ----------------------------------------------------------------------------------------- */

static void disk_writes_and_reads(void **state) {
    (void)state;
    struct disk *d = disk_open(dir);
    char text[32] = { 0 };
    struct iovec parts[3] = { { (char *)"abc", 3 }, { (char *)"", 0 }, { (char *)"defgh", 5 } };
    assert_non_null(d);
    assert_int_equal(d->make_dir(d->ctx, "lane"), 0);
    assert_int_equal(d->make_dir(d->ctx, "lane"), -EEXIST);
    assert_int_equal(d->open(d->ctx, "lane/1", false), -ENOENT);
    int f = d->open(d->ctx, "lane/1", true);
    assert_true(f >= 0);
    assert_int_equal(d->open(d->ctx, "lane/1", true), -EEXIST);
    assert_int_equal(d->reserve(d->ctx, f, 0, 65536), 0);
    assert_int_equal(d->size(d->ctx, f), 0);
    assert_int_equal(d->write(d->ctx, f, 2, parts, 3), 0);
    assert_int_equal(d->size(d->ctx, f), 10);
    assert_int_equal(d->read(d->ctx, f, 0, text, sizeof text), 10);
    assert_memory_equal(text, "\0\0abcdefgh", 10);
    assert_int_equal(d->read(d->ctx, f, 10, text, sizeof text), 0);
    assert_int_equal(d->sync(d->ctx, f), 0);
    assert_int_equal(d->sync_dir(d->ctx, "lane"), 0);
    assert_int_equal(d->sync_dir(d->ctx, "."), 0);
    assert_int_equal(d->sync_dir(d->ctx, "nowhere"), -ENOENT);
    assert_int_equal(d->truncate(d->ctx, f, 4), 0);
    assert_int_equal(d->size(d->ctx, f), 4);
    assert_int_equal(d->close(d->ctx, f), 0);
    assert_int_equal(d->rename(d->ctx, "lane/1", "lane/2"), 0);
    assert_int_equal(d->unlink(d->ctx, "lane/1"), -ENOENT);
    assert_int_equal(d->unlink(d->ctx, "lane/2"), 0);
    disk_close(&d);
    assert_null(d);
}

static void disk_writes_many_parts(void **state) {
    (void)state;
    struct disk *d = disk_open(dir);
    enum { PARTS = 3000 };
    static char content[PARTS * 3];
    static struct iovec parts[PARTS];
    char *back = malloc(sizeof content);
    random_octets(content, sizeof content);
    for (int i = 0; i < PARTS; i++)
        parts[i] = (struct iovec){ content + i * 3, 3 };
    int f = d->open(d->ctx, "many", true);
    assert_int_equal(d->write(d->ctx, f, 0, parts, PARTS), 0);
    assert_int_equal(d->read(d->ctx, f, 0, back, sizeof content), sizeof content);
    assert_memory_equal(back, content, sizeof content);
    free(back);
    disk_close(&d); /* closes what was left open */
    assert_int_equal(fcntl(f, F_GETFD), -1);
}

static void count_entry(void *arg, const char *name) {
    struct buf *b = arg;
    buf_str(b, name);
}

static void disk_lists_locks_measures(void **state) {
    (void)state;
    struct disk *d = disk_open(dir), *other = disk_open(dir);
    char text[64];
    struct buf names = buf_fixed(text, sizeof text);
    uint64_t free_octets, total, free_inodes, inodes;
    assert_int_equal(d->make_dir(d->ctx, "list"), 0);
    int f = d->open(d->ctx, "list/lock", true), g;
    assert_int_equal(d->list(d->ctx, "list", count_entry, &names), 0);
    assert_string_equal(buf_text(&names), "lock");
    assert_int_equal(d->list(d->ctx, "none", count_entry, &names), -ENOENT);
    assert_int_equal(d->lock(d->ctx, f), 0);
    g = other->open(other->ctx, "list/lock", false);
    assert_int_equal(other->lock(other->ctx, g), -EWOULDBLOCK);
    assert_int_equal(d->close(d->ctx, f), 0);
    assert_int_equal(other->lock(other->ctx, g), 0);
    assert_int_equal(d->space(d->ctx, &free_octets, &total, &free_inodes, &inodes), 0);
    assert_true(total > 0 && free_octets <= total && free_inodes <= inodes);
    disk_close(&other);
    disk_close(&d);
    assert_null(disk_open("/nonexistent/directory"));
}

static void disk_says_that_it_is_full(void **state) {
    (void)state;
    struct disk *d = disk_open("/dev");
    struct iovec part = { (char *)"x", 1 };
    int f = d->open(d->ctx, "full", false);
    if (f >= 0)
        assert_int_equal(d->write(d->ctx, f, 0, &part, 1), -ENOSPC);
    disk_close(&d);
}

/* --- files ---------------------------------------------------------------------------------------- */

static void files_read_whole(void **state) {
    (void)state;
    struct bytes out;
    struct why why;
    struct stat st;
    struct bytes path = in_dir("secret");
    assert_int_equal(files_read(path, 100, arena, &out, &why), PERM);
    assert_string_equal(why.reason, "files.missing");
    assert_int_equal(files_stamp(path), 0);
    assert_int_equal(files_write(path, B("first"), FILES_MODE(0600), &why), OK);
    uint64_t stamp = files_stamp(path);
    assert_int_equal(files_write(path, B("second"), FILES_MODE(0640), &why), OK);
    assert_true(stamp != 0 && files_stamp(path) != stamp);
    assert_int_equal(files_read(path, 6, arena, &out, &why), OK);
    assert_true(bytes_equal(out, B("second")));
    assert_int_equal(stat(path.at, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    assert_int_equal(files_read(path, 5, arena, &out, &why), PERM);
    assert_string_equal(why.reason, "files.big");
    assert_int_equal(files_write(in_dir("empty"), BYTES_NONE, FILES_MODE(0600), &why), OK);
    assert_int_equal(files_read(in_dir("empty"), 5, arena, &out, &why), OK);
    assert_int_equal(out.len, 0);
}

static void files_refuse_what_is_none(void **state) {
    (void)state;
    struct bytes out;
    struct why why;
    assert_int_equal(files_read(bytes_str(dir), 100, arena, &out, &why), PERM);
    assert_int_equal(mkfifo(in_dir("fifo").at, 0600), 0);
    assert_int_equal(files_read(in_dir("fifo"), 100, arena, &out, &why), PERM); /* and returns */
    assert_int_equal(files_read(BYTES_NONE, 100, arena, &out, &why), PERM);
    assert_int_equal(files_read(bytes_of("a\0b", 3), 100, arena, &out, &why), PERM);
    assert_int_equal(files_write(in_dir("no/such/dir"), B("x"), FILES_MODE(0600), &why), PERM);
    char long_path[5000];
    memset(long_path, 'a', sizeof long_path);
    assert_int_equal(files_read(bytes_of(long_path, sizeof long_path), 9, arena, &out, &why), PERM);
}

static void files_make_directories(void **state) {
    (void)state;
    struct bytes *names;
    size_t count;
    struct stat st;
    struct why why;
    struct bytes path = in_dir("made");
    assert_int_equal(files_make_dir(path, FILES_MODE(0750), &why), OK);
    assert_int_equal(files_make_dir(path, FILES_MODE(0700), &why), OK);
    assert_int_equal(stat(path.at, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(symlink(path.at, in_dir("link").at), 0);
    assert_int_equal(files_make_dir(in_dir("link"), FILES_MODE(0777), &why), PERM);
    assert_int_equal(files_write(in_dir("made/b"), B("1"), FILES_MODE(0600), &why), OK);
    assert_int_equal(files_make_dir(in_dir("made/b"), FILES_MODE(0700), &why), PERM);
    assert_int_equal(files_write(in_dir("made/a"), B("2"), FILES_MODE(0600), &why), OK);
    assert_int_equal(files_list(path, 100, arena, &names, &count, &why), OK);
    assert_int_equal(count, 2); /* no temporary file is left */
    assert_true(bytes_equal(names[0], B("a")) && bytes_equal(names[1], B("b")));
    assert_int_equal(files_list(path, 1, arena, &names, &count, &why), OK);
    assert_int_equal(count, 1);
    assert_int_equal(files_list(in_dir("none"), 1, arena, &names, &count, &why), PERM);
}

/* --- random --------------------------------------------------------------------------------------- */

static void random_is_even_and_readable(void **state) {
    (void)state;
    char text[201];
    struct buf b = buf_fixed(text, sizeof text);
    int seen[3] = { 0 };
    random_id(&b, 200);
    assert_int_equal(b.len, 200);
    assert_int_equal(strspn(buf_text(&b), "0123456789abcdefghjkmnpqrstvwxyz"), 200);
    for (int i = 0; i < 3000; i++)
        seen[random_below(3)]++;
    for (int i = 0; i < 3; i++)
        assert_in_range(seen[i], 800, 1200);
    assert_int_equal(random_below(1), 0);
    assert_true(random_u64() != random_u64());
}

/* --- sockets -------------------------------------------------------------------------------------- */

static int get_flag(int fd, int level, int option) {
    int value = 0;
    socklen_t size = sizeof value;
    assert_int_equal(getsockopt(fd, level, option, &value, &size), 0);
    return value;
}

static void tcp_sockets_share_a_port(void **state) {
    (void)state;
    struct addr at;
    struct why why;
    int first, second, third;
    assert_true(addr_parse(B("127.0.0.1"), &at));
    assert_int_equal(sockets_listen_tcp(at, &first, &why), OK);
    struct addr bound = sockets_bound(first);
    assert_true(bound.port != 0 && addr_equal(bound, at));
    assert_int_equal(sockets_listen_tcp(bound, &second, &why), OK);
    assert_int_equal(get_flag(first, SOL_SOCKET, SO_ACCEPTCONN), 1);
    assert_true(fcntl(first, F_GETFD) & FD_CLOEXEC && fcntl(first, F_GETFL) & O_NONBLOCK);
    assert_true(addr_parse(B("192.0.2.77"), &at)); /* not an address of this host */
    assert_int_equal(sockets_listen_tcp(at, &third, &why), PERM);
    assert_non_null(strstr(why.text, "192.0.2.77"));
    close(first);
    close(second);
}

static void ipv6_takes_no_ipv4(void **state) {
    (void)state;
    struct addr any6, any4;
    struct why why;
    int six, four;
    assert_true(addr_parse(B("::"), &any6));
    assert_true(addr_parse(B("0.0.0.0"), &any4));
    if (sockets_listen_tcp(any6, &six, &why) != OK)
        skip();
    assert_int_equal(get_flag(six, 41, 26), 1); /* IPPROTO_IPV6, IPV6_V6ONLY */
    any4.port = sockets_bound(six).port;
    assert_int_equal(sockets_listen_tcp(any4, &four, &why), OK);
    close(six);
    close(four);
}

static void unix_path(struct bytes path) {
    struct why why;
    struct stat st;
    int listening, client, again;
    assert_int_equal(sockets_listen_unix(path, SOCK_SEQPACKET, 0660, &listening, &why), OK);
    assert_int_equal(stat(path.at, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    assert_int_equal(sockets_bound(listening).family, 1);
    assert_int_equal(sockets_connect_unix(path, SOCK_SEQPACKET, &client), 0);
    int served = accept(listening, NULL, NULL);
    assert_true(served >= 0);
    assert_int_equal(send(client, "hello", 5, 0), 5);
    char text[8];
    assert_int_equal(recv(served, text, sizeof text, 0), 5);
    assert_int_equal(sockets_listen_unix(path, SOCK_SEQPACKET, 0600, &again, &why), OK);
    close(again);
    close(served);
    close(client);
    close(listening);
}

static void unix_sockets_at_any_path(void **state) {
    (void)state;
    struct why why;
    int fd;
    unix_path(in_dir("short.sock"));
    char name[121];
    memset(name, 'd', 120);
    name[120] = '\0';
    struct bytes deep = in_dir(name);
    assert_int_equal(files_make_dir(deep, FILES_MODE(0700), &why), OK);
    unix_path(arena_printf(arena, "%s/long.sock", deep.at));
    assert_int_equal(sockets_connect_unix(in_dir("none"), SOCK_STREAM, &fd), -ENOENT);
    assert_int_equal(sockets_connect_unix(BYTES_NONE, SOCK_STREAM, &fd), -EINVAL);
    struct bytes file = in_dir("file");
    assert_int_equal(files_write(file, B("mine"), FILES_MODE(0600), &why), OK);
    assert_int_equal(sockets_listen_unix(file, SOCK_STREAM, 0600, &fd, &why), PERM);
    assert_true(files_stamp(file) != 0); /* it was not removed */
}

static void descriptors_travel(void **state) {
    (void)state;
    int pair[2], got, passed[2];
    char text[8];
    assert_int_equal(sockets_pair(SOCK_SEQPACKET, pair), 0);
    assert_int_equal(pipe(passed), 0);
    assert_int_equal(sockets_send_fd(pair[0], passed[1], B("pipe")), 0);
    assert_int_equal(sockets_send_fd(pair[0], -1, B("none")), 0);
    assert_int_equal(sockets_receive_fd(pair[1], text, sizeof text, &got), 4);
    assert_true(got >= 0 && fcntl(got, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(write(got, "y", 1), 1);
    close(got);
    assert_int_equal(read(passed[0], text, 1), 1);
    assert_int_equal(sockets_receive_fd(pair[1], text, sizeof text, &got), 4);
    assert_int_equal(got, -1);
    assert_int_equal(sockets_receive_fd(pair[1], text, sizeof text, &got), -EAGAIN);
    assert_int_equal(sockets_send_fd(pair[0], passed[1], B("far too long")), 0);
    assert_int_equal(sockets_receive_fd(pair[1], text, sizeof text, &got), -EMSGSIZE);
    assert_int_equal(got, -1);
    close(pair[0]);
    assert_int_equal(sockets_receive_fd(pair[1], text, sizeof text, &got), 0);
    close(pair[1]);
    close(passed[0]);
    close(passed[1]);
}

static void files_parts_of_growing_ones(void **state) {
    (void)state;
    struct bytes path = in_dir("growing"), out;
    uint64_t size = 7;
    struct why why;
    assert_int_equal(files_size(path, &size, &why), OK);
    assert_int_equal(size, 0);
    assert_int_equal(files_read_from(path, 0, 10, arena, &out, &why), PERM);
    assert_string_equal(why.reason, "files.missing");
    assert_int_equal(files_write(path, B("0123456789"), FILES_MODE(0600), &why), OK);
    assert_int_equal(files_size(path, &size, &why), OK);
    assert_int_equal(size, 10);
    const struct {
        uint64_t from;
        size_t limit;
        struct bytes expected;
    } cases[] = {
        { 0, 100, B("0123456789") }, { 0, 4, B("0123") }, { 8, 100, B("89") },
        { 10, 100, B("") },          { 11, 100, B("") },  { UINT64_MAX, 1, B("") },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_int_equal(files_read_from(path, cases[i].from, cases[i].limit, arena, &out, &why),
                         OK);
        assert_true(bytes_equal(out, cases[i].expected));
    }
    assert_int_equal(files_size(bytes_str(dir), &size, &why), PERM);
    assert_int_equal(files_read_from(bytes_str(dir), 0, 10, arena, &out, &why), PERM);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(disk_writes_and_reads),
        cmocka_unit_test(disk_writes_many_parts),
        cmocka_unit_test(disk_lists_locks_measures),
        cmocka_unit_test(disk_says_that_it_is_full),
        cmocka_unit_test(files_read_whole),
        cmocka_unit_test(files_refuse_what_is_none),
        cmocka_unit_test(files_make_directories),
        cmocka_unit_test(files_parts_of_growing_ones),
        cmocka_unit_test(random_is_even_and_readable),
        cmocka_unit_test(tcp_sockets_share_a_port),
        cmocka_unit_test(ipv6_takes_no_ipv4),
        cmocka_unit_test(unix_sockets_at_any_path),
        cmocka_unit_test(descriptors_travel),
    };
    alarm(60);
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
