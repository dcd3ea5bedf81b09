/* Delivery into real directories, and names that try to lead elsewhere. */
#include "base/must.h"
#include "mailbox/maildir.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[] = "/tmp/postern-maildir-XXXXXX";

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

struct result {
    unsigned calls;
    enum rc rc;
    struct why why;
};

static void on_done(void *ctx, enum rc rc, const struct why *why) {
    struct result *r = ctx;
    r->calls++;
    r->rc = rc;
    if (rc != OK)
        r->why = *why;
}

/* --- content in pieces ------------------------------------------------------------------------ */

struct source {
    struct loop *loop;
    struct timer timer;
    struct bytes text, piece;
    size_t most; /* octets given at once */
    bool broken; /* fails after the first piece */
    void (*on_read)(void *arg, enum rc rc, struct bytes data, const struct why *why);
    void *arg;
};

static void give(void *ctx) {
    struct source *s = ctx;
    struct why why;
    if (s->broken && s->piece.at != s->text.at) {
        enum rc rc = why_backend(&why, "backend.spool", "a bad block");
        s->on_read(s->arg, rc, BYTES_NONE, &why);
        return;
    }
    s->on_read(s->arg, OK, s->piece, NULL);
}

static void read_piece(void *ctx, uint64_t offset, size_t size,
                       void (*on_read)(void *arg, enum rc rc, struct bytes data,
                                       const struct why *why),
                       void *arg) {
    struct source *s = ctx;
    s->piece = bytes_first(bytes_skip(s->text, (size_t)offset), size < s->most ? size : s->most);
    s->on_read = on_read;
    s->arg = arg;
    timer_set(s->loop, &s->timer, 0, give, s);
}

/* --- one delivery ------------------------------------------------------------------------------ */

static struct result deliver_as(const char *id, uint32_t attempt, int64_t arrived_ago,
                                const char *dir, const char *mailbox, const char *sender,
                                struct bytes text, struct source *source) {
    struct result r = { 0 };
    struct loop *l = loop_open();
    struct maildir *m = maildir_open(l, dir, "mx/1.example");
    struct envelope e = { .sender = bytes_str(sender), .arrived = loop_wall(l) - arrived_ago };
    struct job job = { .envelope = &e,
                       .attempt = attempt,
                       .content = { .size = text.len, .memory = text } };
    snprintf(job.id.text, sizeof job.id.text, "%s", id);
    if (source) {
        source->loop = l;
        source->text = text;
        job.content.memory = BYTES_NONE;
        job.content.read = read_piece;
        job.content.ctx = source;
    }
    maildir_deliver(m, &job, job.envelope->sender, bytes_str(mailbox), on_done, &r);
    assert_int_equal(r.calls, 0);
    while (!r.calls)
        loop_run(l);
    maildir_close(&m);
    loop_close(&l);
    assert_int_equal(r.calls, 1);
    return r;
}

static struct result deliver(const char *dir, const char *mailbox, const char *sender,
                             struct bytes text, struct source *source) {
    return deliver_as("", 1, 0, dir, mailbox, sender, text, source);
}

/* Number of files in root/folder; the last one's content and name. */
static unsigned count(const char *folder, char *text, size_t size, char *name_out) {
    char path[512], file[1024];
    unsigned n = 0;
    snprintf(path, sizeof path, "%s/%s", root, folder);
    DIR *d = opendir(path);
    if (!d)
        return 0;
    struct dirent *e;
    while ((e = readdir(d))) {
        if (e->d_name[0] == '.')
            continue;
        n++;
        snprintf(file, sizeof file, "%s/%s", path, e->d_name);
        FILE *f = fopen(file, "r");
        assert_non_null(f);
        if (text)
            text[fread(text, 1, size - 1, f)] = '\0';
        if (name_out)
            strcpy(name_out, e->d_name);
        fclose(f);
    }
    closedir(d);
    return n;
}

/* A worker that died between the rename and its note in the queue; a sync of new that failed. */
static void a_repeated_delivery_is_found(void **state) {
    (void)state;
    enum { EARLIER = 60000, LATER = -60000 };
    char name[256], from[512], to[512];
    struct bytes text = B("Subject: x\r\n\r\nx\r\n");
    const char *box = "again@proseware.com";
    assert_int_equal(deliver_as("9zl-1", 1, EARLIER, root, box, "b@adatum.com", text, NULL).rc, OK);
    assert_int_equal(deliver_as("9zl-1", 1, EARLIER, root, box, "b@adatum.com", text, NULL).rc, OK);
    struct source pieces = { .most = 3 };
    assert_int_equal(deliver_as("9zl-1", 2, LATER, root, box, "b@adatum.com", text, &pieces).rc,
                     OK);
    assert_int_equal(count("proseware.com/again/new", NULL, 0, name), 1);
    assert_int_equal(count("proseware.com/again/tmp", NULL, 0, NULL), 0);

    /* Read meanwhile. */
    snprintf(from, sizeof from, "%s/proseware.com/again/new/%s", root, name);
    snprintf(to, sizeof to, "%s/proseware.com/again/cur/%s:2,S", root, name);
    assert_int_equal(rename(from, to), 0);
    assert_int_equal(deliver_as("9zl-1", 1, EARLIER, root, box, "b@adatum.com", text, NULL).rc, OK);
    assert_int_equal(count("proseware.com/again/new", NULL, 0, NULL), 0);

    /* Another message whose id begins or ends so; another mailbox; one that cannot have been here. */
    assert_int_equal(deliver_as("9zl-11", 1, EARLIER, root, box, "b@adatum.com", text, NULL).rc,
                     OK);
    assert_int_equal(deliver_as("zl-1", 1, EARLIER, root, box, "b@adatum.com", text, NULL).rc, OK);
    assert_int_equal(count("proseware.com/again/new", NULL, 0, NULL), 2);
    deliver_as("9zl-1", 1, EARLIER, root, "other@proseware.com", "b@adatum.com", text, NULL);
    assert_int_equal(count("proseware.com/other/new", NULL, 0, NULL), 1);
    assert_int_equal(deliver_as("9zl-1", 1, LATER, root, box, "b@adatum.com", text, NULL).rc, OK);
    assert_int_equal(count("proseware.com/again/new", NULL, 0, NULL), 3);
}

static void a_message_becomes_a_file(void **state) {
    (void)state;
    char text[1000], name[256];
    struct stat st;
    struct result r = deliver(root, "Anna@Proseware.com", "bob@adatum.com",
                              B("Subject: x\r\n\r\nbare\rcr\r\nlast\r\n"), NULL);
    assert_int_equal(r.rc, OK);
    assert_int_equal(count("proseware.com/anna/new", text, sizeof text, name), 1);
    assert_string_equal(text, "Return-Path: <bob@adatum.com>\nDelivered-To: Anna@Proseware.com\n"
                              "Subject: x\n\nbare\rcr\nlast\n");
    assert_int_equal(count("proseware.com/anna/tmp", NULL, 0, NULL), 0);
    assert_null(strchr(name, '/'));
    assert_null(strchr(name, ':'));
    char size[32];
    snprintf(size, sizeof size, ",S=%zu", strlen(text));
    assert_non_null(strstr(name, size));
    assert_null(strstr(name, ",W=")); /* the bare CR: readers differ about what that is */
    char path[512];
    snprintf(path, sizeof path, "%s/proseware.com/anna", root);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(deliver(root, "anna@proseware.com", "", B("y\r\n"), NULL).rc, OK);
    assert_int_equal(count("proseware.com/anna/new", NULL, 0, NULL), 2);
}

static void bare_postmaster(void **state) {
    (void)state;
    char text[200];
    assert_int_equal(deliver(root, "postmaster", "", B("z\r\n"), NULL).rc, OK);
    assert_int_equal(count("postmaster/new", text, sizeof text, NULL), 1);
    assert_string_equal(text, "Return-Path: <>\nDelivered-To: postmaster\nz\n");
}

static void the_name_tells_the_size_with_crlf(void **state) {
    (void)state;
    static const struct {
        struct bytes text;
        bool told;
    } cases[] = { { B("a\r\n\r\nb\r\n"), true },
                  { B("a\nb\r\n"), true },
                  { B(""), true },
                  { B("a\r\nno end"), false },
                  { B("a\rb\r\n"), false } };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char mailbox[32], folder[64], text[200], name[256], size[32];
        size_t lines = 0;
        snprintf(mailbox, sizeof mailbox, "s%zu@sizes.example", i);
        snprintf(folder, sizeof folder, "sizes.example/s%zu/new", i);
        assert_int_equal(deliver(root, mailbox, "", cases[i].text, NULL).rc, OK);
        assert_int_equal(count(folder, text, sizeof text, name), 1);
        for (const char *c = text; *c; c++)
            lines += *c == '\n';
        snprintf(size, sizeof size, ",S=%zu,W=%zu", strlen(text), strlen(text) + lines);
        assert_int_equal(cases[i].told, strstr(name, size) != NULL);
        assert_int_equal(cases[i].told, strstr(name, ",W=") != NULL);
    }
}

static void pieces_of_any_size(void **state) {
    (void)state;
    for (size_t most = 1; most < 8; most++) {
        struct source s = { .most = most };
        char mailbox[32], folder[64], text[200];
        snprintf(mailbox, sizeof mailbox, "p%zu@pieces.example", most);
        snprintf(folder, sizeof folder, "pieces.example/p%zu/new", most);
        struct result r = deliver(root, mailbox, "", B("a\r\n\r\r\nb\rc\r\nd\r"), &s);
        assert_int_equal(r.rc, OK);
        assert_int_equal(count(folder, text, sizeof text, NULL), 1);
        assert_non_null(strstr(text, "example\na\n\r\nb\rc\nd\r"));
    }
}

static void unreadable_content_leaves_nothing(void **state) {
    (void)state;
    struct source s = { .most = 4, .broken = true };
    struct result r = deliver(root, "x@broken.example", "", B("12345678\r\n"), &s);
    assert_int_equal(r.rc, TEMP);
    assert_non_null(strstr(r.why.text, "a bad block"));
    assert_int_equal(count("broken.example/x/new", NULL, 0, NULL), 0);
    assert_int_equal(count("broken.example/x/tmp", NULL, 0, NULL), 0);
}

static void what_is_in_the_way_is_named(void **state) {
    (void)state;
    char path[512];
    snprintf(path, sizeof path, "%s/blocked.example", root);
    FILE *f = fopen(path, "w");
    fclose(f);
    struct result r = deliver(root, "x@blocked.example", "", B("x\r\n"), NULL);
    assert_int_equal(r.rc, TEMP);
    assert_int_equal(r.why.code, 451);
    assert_non_null(strstr(r.why.text, "blocked.example/x"));
    snprintf(path, sizeof path, "%s/nowhere", root);
    r = deliver(path, "x@proseware.com", "", B("x\r\n"), NULL);
    assert_int_equal(r.rc, TEMP);
    assert_non_null(strstr(r.why.text, path));
}

static void paths(void **state) {
    (void)state;
    static const struct {
        const char *mailbox, *path;
    } cases[] = {
        { "anna@proseware.com", "proseware.com/anna" },
        { "Anna+Tag@PROSEWARE.com", "proseware.com/anna+tag" },
        { "../../etc/passwd@proseware.com", "proseware.com/%2e.%2f..%2fetc%2fpasswd" },
        { "..@..", "%2e./%2e." },
        { "a@b@c.example", "c.example/a%40b" },
        { "postmaster", "postmaster" },
        { "\"a b\"@x.example", "x.example/%22a%20b%22" },
        { "@x.example", "x.example/%" },
        { "x@", "%/x" },
        { "j\xc3\xbcrgen@x.example", "x.example/j%c3%bcrgen" },
        { "100%@x.example", "x.example/100%25" },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char memory[512];
        struct buf b = buf_fixed(memory, sizeof memory);
        maildir_path(&b, bytes_str(cases[i].mailbox));
        assert_string_equal(buf_text(&b), cases[i].path);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths),
        cmocka_unit_test(a_message_becomes_a_file),
        cmocka_unit_test(a_repeated_delivery_is_found),
        cmocka_unit_test(the_name_tells_the_size_with_crlf),
        cmocka_unit_test(bare_postmaster),
        cmocka_unit_test(pieces_of_any_size),
        cmocka_unit_test(unreadable_content_leaves_nothing),
        cmocka_unit_test(what_is_in_the_way_is_named),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
