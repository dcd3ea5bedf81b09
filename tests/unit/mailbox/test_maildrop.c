/* Maildrops on real directories: what a POP3 session sees while deliveries, other sessions and other
 * readers of the same Maildir go on; and the POP3 machine on top, octet by octet. */
#include "base/must.h"
#include "mailbox/maildir.h"
#include "mailbox/maildrop.h"
#include "pop3/pop3.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[] = "/tmp/postern-maildrop-XXXXXX";

static int make_root(void **state) {
    (void)state;
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state) {
    (void)state;
    char command[sizeof root + 16];
    snprintf(command, sizeof command, "rm -r '%s'", root);
    return system(command);
}

/* --- a mailbox by hand -------------------------------------------------------------------------- */

struct lab {
    struct loop *loop;
    struct maildrops *all;
    struct maildrop *drop;
    const char *user; /* "x" of x@lab.example */
    unsigned calls;
    enum rc rc;
    struct why why;
    struct buf text;
    bool ended;
};

static const char *path_in(const char *user, const char *rest) {
    static char memory[4][600];
    static unsigned next;
    char *path = memory[next++ % 4];
    snprintf(path, sizeof memory[0], "%s/lab.example/%s%s%s", root, user, *rest ? "/" : "", rest);
    return path;
}

static void make_folders(const char *user) {
    char path[600];
    snprintf(path, sizeof path, "%s/lab.example", root);
    assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
    assert_int_equal(mkdir(path_in(user, ""), 0700), 0);
    assert_int_equal(mkdir(path_in(user, "cur"), 0700), 0);
    assert_int_equal(mkdir(path_in(user, "new"), 0700), 0);
    assert_int_equal(mkdir(path_in(user, "tmp"), 0700), 0);
}

static void put(const char *user, const char *name, const char *text) {
    FILE *f = fopen(path_in(user, name), "w");
    assert_non_null(f);
    assert_true(fwrite(text, 1, strlen(text), f) == strlen(text));
    fclose(f);
}

static bool is_there(const char *user, const char *name) {
    return access(path_in(user, name), F_OK) == 0;
}

static void move(const char *user, const char *from, const char *to) {
    assert_int_equal(rename(path_in(user, from), path_in(user, to)), 0);
}

static unsigned files_in(const char *user, const char *folder) {
    DIR *d = opendir(path_in(user, folder));
    unsigned n = 0;
    struct dirent *e;
    if (!d)
        return 0;
    while ((e = readdir(d)))
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static void lab_open(struct lab *w, const char *user, uint32_t most) {
    *w = (struct lab){ .user = user };
    w->loop = loop_open();
    w->all = maildrops_open(w->loop, root, most);
    w->text = buf_grow(1 << 24);
}

static void lab_close(struct lab *w) {
    maildrop_close(&w->drop);
    maildrops_close(&w->all);
    loop_close(&w->loop);
    buf_free(&w->text);
}

static void on_done(void *ctx, enum rc rc, const struct why *why) {
    struct lab *w = ctx;
    w->calls++;
    w->rc = rc;
    w->why = *why;
}

static enum rc wait_for(struct lab *w) {
    assert_int_equal(w->calls, 0);
    while (!w->calls)
        loop_run(w->loop);
    assert_int_equal(w->calls, 1);
    w->calls = 0;
    return w->rc;
}

static enum rc open_drop(struct lab *w) {
    char mailbox[100];
    snprintf(mailbox, sizeof mailbox, "%s@lab.example", w->user);
    maildrop_close(&w->drop);
    w->drop = maildrop_open(w->all, bytes_str(mailbox), on_done, w);
    return wait_for(w);
}

static void on_piece(void *ctx, enum rc rc, struct bytes piece, const struct why *why) {
    struct lab *w = ctx;
    buf_add(&w->text, piece);
    w->ended = !piece.len;
    on_done(ctx, rc, why);
}

static const char *read_message(struct lab *w, uint32_t i) {
    buf_clear(&w->text);
    maildrop_fetch(w->drop, i, on_done, w);
    if (wait_for(w) != OK)
        return NULL;
    do {
        maildrop_read(w->drop, on_piece, w);
        assert_int_equal(wait_for(w), OK);
    } while (!w->ended);
    maildrop_fetch_end(w->drop);
    return buf_text(&w->text);
}

static const char *uid(struct lab *w, uint32_t i) {
    static char memory[MAILDROP_UID + 1];
    struct buf b = buf_fixed(memory, sizeof memory);
    maildrop_uid(w->drop, i, &b);
    assert_false(b.full);
    return buf_text(&b);
}

static enum rc update(struct lab *w, struct bytes marked) {
    maildrop_update(w->drop, marked, on_done, w);
    return wait_for(w);
}

/* --- tests ---------------------------------------------------------------------------------------- */

static void nothing_was_ever_delivered(void **state) {
    (void)state;
    struct lab w;
    lab_open(&w, "nobody", 100);
    assert_int_equal(open_drop(&w), OK);
    assert_int_equal(maildrop_count(w.drop), 0);
    assert_int_equal(update(&w, BYTES_NONE), OK);
    assert_false(is_there("nobody", ""));
    lab_close(&w);
}

static void no_mail_dir(void **state) {
    (void)state;
    struct lab w;
    lab_open(&w, "nobody", 100);
    maildrops_close(&w.all);
    w.all = maildrops_open(w.loop, "/nowhere/at/all", 100);
    assert_int_equal(open_drop(&w), TEMP);
    assert_string_equal(w.why.reason, "mailbox.read");
    lab_close(&w);
}

static void order_sizes_and_names(void **state) {
    (void)state;
    struct lab w;
    char name[300] = "cur/90.";
    memset(name + 7, 'h', 90);
    strcpy(name + 97, ":2,S");
    make_folders("order");
    put("order", "cur/100.b.host:2,S", "a\nb\n");
    put("order", "cur/100.a.host,S=4,W=1234:2,", "x");
    put("order", "new/20.z.host,S=7", "1\r\n2\n3\r\r4");
    put("order", "new/3.z.host", "");
    put("order", "cur/.hidden", "x");
    put("order", "cur/5 5\xc3\xa4.host:2,", "no end");
    put("order", name, "x\n");
    assert_int_equal(mkdir(path_in("order", "cur/7.folder"), 0700), 0);
    assert_int_equal(symlink("/etc/passwd", path_in("order", "cur/8.link")), 0);
    lab_open(&w, "order", 100);
    assert_int_equal(open_drop(&w), OK);
    assert_int_equal(maildrop_count(w.drop), 6);
    static const unsigned sizes[] = { 0, 8, 14, 3, 1234, 6 };
    for (uint32_t i = 0; i < COUNT_OF(sizes); i++)
        assert_int_equal(maildrop_size(w.drop, i), sizes[i]);
    assert_string_equal(uid(&w, 0), "3.z.host");
    assert_true(strncmp(uid(&w, 1), "5_5__.host~", 11) == 0);
    assert_int_equal(strlen(uid(&w, 1)), 27);
    assert_string_equal(uid(&w, 2), "20.z.host,S=7");
    assert_int_equal(strlen(uid(&w, 3)), MAILDROP_UID);
    assert_string_equal(uid(&w, 4), "100.a.host,S=4,W=1234");
    assert_string_equal(uid(&w, 5), "100.b.host");
    assert_string_equal(read_message(&w, 2), "1\r\n2\n3\r\r4");
    assert_true(is_there("order", "cur/20.z.host,S=7:2,"));
    assert_int_equal(files_in("order", "new"), 0);
    lab_close(&w);
}

static void one_session_at_a_time(void **state) {
    (void)state;
    struct lab w, other;
    make_folders("lock");
    lab_open(&w, "lock", 100);
    lab_open(&other, "lock", 100);
    assert_int_equal(open_drop(&w), OK);
    assert_int_equal(open_drop(&other), TEMP);
    assert_string_equal(other.why.reason, "mailbox.in-use");
    assert_int_equal(open_drop(&other), TEMP);
    struct maildrop *same = w.drop;
    w.drop = NULL;
    assert_int_equal(open_drop(&w), TEMP);
    maildrop_close(&same);
    assert_int_equal(open_drop(&w), OK);
    assert_int_equal(update(&w, BYTES_NONE), OK);
    assert_int_equal(open_drop(&other), OK); /* update has unlocked */
    lab_close(&other);
    lab_close(&w);
}

static void what_arrives_is_there_next_time(void **state) {
    (void)state;
    struct lab w;
    make_folders("late");
    put("late", "new/1.a", "x\n");
    lab_open(&w, "late", 100);
    assert_int_equal(open_drop(&w), OK);
    put("late", "new/0.b", "y\n");
    assert_int_equal(maildrop_count(w.drop), 1);
    assert_string_equal(read_message(&w, 0), "x\n");
    assert_int_equal(update(&w, B("\1")), OK);
    assert_true(is_there("late", "new/0.b"));
    assert_false(is_there("late", "cur/1.a:2,"));
    assert_int_equal(open_drop(&w), OK);
    assert_int_equal(maildrop_count(w.drop), 1);
    assert_string_equal(uid(&w, 0), "0.b");
    lab_close(&w);
}

static void files_move_under_a_session(void **state) {
    (void)state;
    struct lab w;
    make_folders("moving");
    put("moving", "cur/1.a:2,", "a\n");
    put("moving", "cur/2.b:2,", "b\n");
    put("moving", "new/3.c", "c\n");
    put("moving", "cur/4.d:2,S", "d\n");
    lab_open(&w, "moving", 100);
    assert_int_equal(open_drop(&w), OK);
    assert_int_equal(unlink(path_in("moving", "cur/1.a:2,")), 0);
    move("moving", "cur/2.b:2,", "cur/2.b:2,FRS");
    move("moving", "cur/3.c:2,", "cur/3.c:2,S");
    move("moving", "cur/4.d:2,S", "new/4.d");
    assert_null(read_message(&w, 0));
    assert_int_equal(w.rc, TEMP);
    assert_string_equal(w.why.reason, "mailbox.gone");
    assert_null(read_message(&w, 0));
    assert_string_equal(read_message(&w, 1), "b\n");
    assert_string_equal(read_message(&w, 2), "c\n");
    assert_string_equal(read_message(&w, 3), "d\n");
    move("moving", "cur/2.b:2,FRS", "cur/2.b:2,");
    assert_string_equal(uid(&w, 1), "2.b");
    assert_int_equal(update(&w, B("\13")), OK); /* 0, 1 and 3 */
    assert_int_equal(files_in("moving", "new"), 0);
    assert_int_equal(files_in("moving", "cur"), 1);
    assert_true(is_there("moving", "cur/3.c:2,S"));
    lab_close(&w);
}

static void a_cut_connection_removes_nothing(void **state) {
    (void)state;
    struct lab w;
    make_folders("cut");
    put("cut", "new/1.a", "a\n");
    lab_open(&w, "cut", 100);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(open_drop(&w), OK);
        maildrop_fetch(w.drop, 0, on_done, &w);
        if (i == 1)
            wait_for(&w);
        if (i == 1)
            maildrop_read(w.drop, on_piece, &w);
        if (i == 2)
            maildrop_fetch_end(w.drop);
        maildrop_close(&w.drop);
        loop_run(w.loop);
        assert_int_equal(w.calls, 0);
    }
    w.drop = maildrop_open(w.all, B("cut@lab.example"), on_done, &w);
    maildrop_close(&w.drop);
    loop_run(w.loop);
    assert_int_equal(open_drop(&w), OK);
    assert_int_equal(maildrop_count(w.drop), 1);
    lab_close(&w);
}

static void an_update_goes_on_without_its_session(void **state) {
    (void)state;
    struct lab w;
    char name[32], marks[200];
    make_folders("update");
    for (unsigned i = 0; i < 1600; i++) {
        snprintf(name, sizeof name, "cur/%u.x,W=1:2,", i);
        put("update", name, "");
    }
    memset(marks, 0xff, sizeof marks);
    marks[0] = (char)0xfe;
    lab_open(&w, "update", 2000);
    assert_int_equal(open_drop(&w), OK);
    assert_int_equal(maildrop_count(w.drop), 1600);
    maildrop_update(w.drop, bytes_of(marks, sizeof marks), on_done, &w);
    memset(marks, 0, sizeof marks);
    maildrop_close(&w.drop);
    loop_run(w.loop);
    assert_int_equal(w.calls, 0);
    assert_int_equal(files_in("update", "cur"), 1);
    assert_true(is_there("update", "cur/0.x,W=1:2,"));
    assert_int_equal(open_drop(&w), OK);
    lab_close(&w);
}

static void what_cannot_be_removed_is_told(void **state) {
    (void)state;
    struct lab w;
    make_folders("stuck");
    put("stuck", "cur/1.a,W=1:2,", "");
    put("stuck", "cur/2.b,W=1:2,", "");
    lab_open(&w, "stuck", 100);
    assert_int_equal(open_drop(&w), OK);
    assert_int_equal(unlink(path_in("stuck", "cur/1.a,W=1:2,")), 0);
    assert_int_equal(mkdir(path_in("stuck", "cur/1.a,W=1:2,"), 0700), 0);
    assert_int_equal(update(&w, B("\3")), TEMP);
    assert_string_equal(w.why.reason, "mailbox.write");
    assert_false(is_there("stuck", "cur/2.b,W=1:2,"));
    lab_close(&w);
}

static void of_too_many_the_oldest(void **state) {
    (void)state;
    struct lab w;
    char name[32];
    make_folders("many");
    for (unsigned i = 0; i < 105; i++) {
        unsigned number = i * 52 % 105; /* in no order */
        snprintf(name, sizeof name, "%s/%u.x%s", number % 2 ? "new" : "cur", number,
                 number % 2 ? "" : ":2,");
        put("many", name, "m\n");
    }
    lab_open(&w, "many", 10);
    assert_int_equal(open_drop(&w), OK);
    assert_int_equal(maildrop_count(w.drop), 10);
    for (uint32_t i = 0; i < 10; i++) {
        snprintf(name, sizeof name, "%u.x", (unsigned)i);
        assert_string_equal(uid(&w, i), name);
        assert_string_equal(read_message(&w, i), "m\n");
    }
    assert_int_equal(files_in("many", "new"), 52 - 5);
    lab_close(&w);
}

static void two_files_of_one_message(void **state) {
    (void)state;
    struct lab w;
    make_folders("twin");
    put("twin", "cur/1.a:2,", "cur\n");
    put("twin", "new/1.a", "new\n");
    lab_open(&w, "twin", 100);
    assert_int_equal(open_drop(&w), OK);
    assert_int_equal(maildrop_count(w.drop), 1);
    assert_string_equal(read_message(&w, 0), "cur\n");
    assert_true(is_there("twin", "new/1.a"));
    lab_close(&w);
}

/* More to measure than one turn of the thread does. */
static void slices(void **state) {
    (void)state;
    struct lab w;
    char name[32], *text = malloc(300 * 1024 + 1);
    memset(text, '\n', 300 * 1024);
    text[300 * 1024] = '\0';
    make_folders("slices");
    for (unsigned i = 0; i < 8; i++) {
        snprintf(name, sizeof name, "new/%u.x", i);
        put("slices", name, text);
    }
    lab_open(&w, "slices", 100);
    assert_int_equal(open_drop(&w), OK);
    for (uint32_t i = 0; i < 8; i++)
        assert_int_equal(maildrop_size(w.drop, i), 600 * 1024);
    assert_string_equal(read_message(&w, 7), text);
    free(text);
    lab_close(&w);
}

/* --- with the POP3 machine ---------------------------------------------------------------------- */

struct session {
    struct lab lab;
    struct pop3_server *server;
    struct buf out;
    bool closed;
};

static void on_answer(void *ctx, enum rc rc, const struct why *why) {
    struct session *s = ctx;
    pop3_server_answer(s->server, rc, why);
}
static void on_opened(void *ctx, enum rc rc, const struct why *why) {
    struct session *s = ctx;
    if (rc == OK)
        pop3_server_maildrop(s->server, maildrop_count(s->lab.drop));
    else
        pop3_server_answer(s->server, rc, why);
}
static void on_content(void *ctx, enum rc rc, struct bytes piece, const struct why *why) {
    struct session *s = ctx;
    (void)why;
    pop3_server_content(s->server, rc, piece);
}
static bool pop3_gate(void *ctx, enum pop3_verb verb, struct why *refuse) {
    (void)ctx, (void)verb, (void)refuse;
    return true;
}
static void pop3_login(void *ctx, struct bytes user, struct bytes password) {
    struct session *s = ctx;
    (void)user, (void)password;
    pop3_server_answer(s->server, OK, NULL);
}
static void pop3_maildrop(void *ctx) {
    struct session *s = ctx;
    char mailbox[100];
    snprintf(mailbox, sizeof mailbox, "%s@lab.example", s->lab.user);
    s->lab.drop = maildrop_open(s->lab.all, bytes_str(mailbox), on_opened, s);
}
static uint64_t pop3_size(void *ctx, uint32_t i) {
    struct session *s = ctx;
    return maildrop_size(s->lab.drop, i);
}
static void pop3_uid(void *ctx, uint32_t i, struct buf *out) {
    struct session *s = ctx;
    maildrop_uid(s->lab.drop, i, out);
}
static void pop3_retrieve(void *ctx, uint32_t i, bool top) {
    struct session *s = ctx;
    (void)top;
    maildrop_fetch(s->lab.drop, i, on_answer, s);
}
static void pop3_read(void *ctx) {
    struct session *s = ctx;
    maildrop_read(s->lab.drop, on_content, s);
}
static void pop3_content_end(void *ctx) {
    struct session *s = ctx;
    maildrop_fetch_end(s->lab.drop);
}
static void pop3_update(void *ctx, struct bytes marked) {
    struct session *s = ctx;
    maildrop_update(s->lab.drop, marked, on_answer, s);
}
static void pop3_flush(void *ctx) {
    struct session *s = ctx;
    struct buf *out = pop3_server_output(s->server);
    buf_add(&s->out, buf_bytes(out));
    buf_clear(out);
}
static void pop3_quit(void *ctx) {
    struct session *s = ctx;
    s->closed = true;
}

static const struct pop3_server_driver driver = {
    .gate = pop3_gate,
    .login = pop3_login,
    .maildrop = pop3_maildrop,
    .size = pop3_size,
    .uid = pop3_uid,
    .retrieve = pop3_retrieve,
    .read = pop3_read,
    .content_end = pop3_content_end,
    .update = pop3_update,
    .flush = pop3_flush,
    .quit = pop3_quit,
};

static void converse(struct session *s, const char *user, const char *input) {
    struct arena *a = arena_open();
    *s = (struct session){ .out = buf_grow(1 << 24) };
    lab_open(&s->lab, user, 100);
    s->server = pop3_server_open(a, &driver, s, B("mx.test"), BYTES_NONE);
    pop3_server_offer(s->server)->user = true;
    pop3_server_begin(s->server, NULL);
    pop3_server_input(s->server, bytes_str(input));
    loop_run(s->lab.loop);
    pop3_server_close(s->server);
    lab_close(&s->lab);
    arena_close(&a);
}

static void on_delivered(void *ctx, enum rc rc, const struct why *why) {
    (void)why;
    assert_int_equal(rc, OK);
    *(bool *)ctx = true;
}

static void deliver(const char *mailbox, struct bytes text) {
    struct loop *l = loop_open();
    struct maildir *m = maildir_open(l, root, "mx.example");
    struct envelope e = { .sender = B("bob@adatum.com") };
    struct job job = { .envelope = &e, .content = { .size = text.len, .memory = text } };
    bool delivered = false;
    maildir_deliver(m, &job, job.envelope->sender, bytes_str(mailbox), on_delivered, &delivered);
    while (!delivered)
        loop_run(l);
    maildir_close(&m);
    loop_close(&l);
}

#define FRONT "Return-Path: <bob@adatum.com>\r\nDelivered-To: wire@lab.example\r\n"
#define LOGIN "USER a\r\nPASS b\r\n"

/* Octets of each message between "+OK n octets" and the final dot, with dots undoubled: n. */
static unsigned check_sizes(struct bytes out) {
    unsigned messages = 0;
    ptrdiff_t at;
    while ((at = bytes_search(out, B(" octets\r\n"))) >= 0) {
        ptrdiff_t plus = bytes_find_last(bytes_first(out, (size_t)at), ' ');
        uint64_t said = 0, sent = 0;
        assert_true(bytes_to_u64(bytes_slice(out, (size_t)plus + 1, (size_t)at), 1 << 30, &said));
        out = bytes_skip(out, (size_t)at + 9);
        while (!bytes_starts(out, B(".\r\n"))) {
            ptrdiff_t lf = bytes_find(out, '\n');
            assert_true(lf > 0 && out.at[lf - 1] == '\r');
            sent += (uint64_t)lf + 1 - (out.at[0] == '.');
            out = bytes_skip(out, (size_t)lf + 1);
        }
        assert_int_equal(said, sent);
        messages++;
    }
    return messages;
}

static void what_was_delivered_comes_out(void **state) {
    (void)state;
    struct session s;
    deliver("wire@lab.example", B("Subject: x\r\n\r\n.dot\r\nlast\r\n"));
    deliver("wire@lab.example", B("Subject: y\r\n\r\nbare\rcr\r\r\nno end"));
    deliver("wire@lab.example", B("Subject: z\r\n\r\n"));
    converse(&s, "wire",
             LOGIN "RETR 1\r\nRETR 2\r\nRETR 3\r\nTOP 1 1\r\nDELE 2\r\nDELE 3\r\n"
                   "QUIT\r\n");
    assert_true(s.closed);
    struct bytes out = buf_bytes(&s.out);
    assert_true(bytes_search(out, B("\r\n" FRONT "Subject: x\r\n\r\n..dot\r\nlast\r\n.\r\n")) > 0);
    assert_true(bytes_search(out, B("\r\n\r\nbare\r\ncr\r\nno end\r\n.\r\n")) > 0);
    assert_true(bytes_search(out, B("Subject: x\r\n\r\n..dot\r\n.\r\n")) > 0);
    assert_true(bytes_search(out, B("messages left: 1\r\n")) > 0);
    assert_int_equal(check_sizes(out), 3);
    buf_free(&s.out);
    assert_int_equal(files_in("wire", "new"), 0);
    assert_int_equal(files_in("wire", "cur"), 1);
    converse(&s, "wire", LOGIN "DELE 1\r\n"); /* no QUIT */
    buf_free(&s.out);
    assert_int_equal(files_in("wire", "cur"), 1);
    converse(&s, "wire", LOGIN "UIDL\r\nQUIT\r\n");
    assert_true(bytes_search(buf_bytes(&s.out), B(",W=")) > 0);
    buf_free(&s.out);
}

/* Whole files, and files of lines that end where pieces do. */
static void sizes_are_what_is_sent(void **state) {
    (void)state;
    static const char *const lines[] = { "\n", "\r", "\r\n", ".\n", "ab", "..\r" };
    char name[32], *text = malloc(MAILDROP_PIECE + 64);
    struct session s;
    make_folders("sent");
    for (unsigned i = 0; i < 36; i++) {
        struct buf b = buf_fixed(text, MAILDROP_PIECE + 64);
        for (unsigned n = 0; n < MAILDROP_PIECE - 3 + i % 6; n++)
            buf_char(&b, i < 6 ? 'x' : '\n');
        buf_str(&b, lines[i % 6]);
        buf_str(&b, lines[i / 6]);
        snprintf(name, sizeof name, "new/%u.x", i);
        put("sent", name, buf_text(&b));
    }
    char input[1000];
    struct buf b = buf_fixed(input, sizeof input);
    buf_str(&b, LOGIN);
    for (unsigned i = 1; i <= 36; i++)
        buf_printf(&b, "RETR %u\r\n", i);
    buf_str(&b, "QUIT\r\n");
    converse(&s, "sent", buf_text(&b));
    assert_true(s.closed);
    assert_int_equal(check_sizes(buf_bytes(&s.out)), 36);
    buf_free(&s.out);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_was_ever_delivered),
        cmocka_unit_test(no_mail_dir),
        cmocka_unit_test(order_sizes_and_names),
        cmocka_unit_test(one_session_at_a_time),
        cmocka_unit_test(what_arrives_is_there_next_time),
        cmocka_unit_test(files_move_under_a_session),
        cmocka_unit_test(a_cut_connection_removes_nothing),
        cmocka_unit_test(an_update_goes_on_without_its_session),
        cmocka_unit_test(what_cannot_be_removed_is_told),
        cmocka_unit_test(of_too_many_the_oldest),
        cmocka_unit_test(two_files_of_one_message),
        cmocka_unit_test(slices),
        cmocka_unit_test(what_was_delivered_comes_out),
        cmocka_unit_test(sizes_are_what_is_sent),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
