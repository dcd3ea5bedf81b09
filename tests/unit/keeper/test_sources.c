/* What Dovecot's auth service says and is asked, what PAM's helper is, and a keeper between a Dovecot that
 * works, one that lies and one that is down. */
#include "keeper/auth.h"
#include "keeper/dovecot.h"
#include "keeper/keeper.h"
#include "keeper/pam.h"
#include "sys/sockets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

static void dovecot_lines(void **state) {
    struct dovecot_line l;
    (void)state;
    dovecot_parse(B("VERSION\t1\t2"), &l);
    assert_int_equal(l.word, DOVECOT_VERSION);
    assert_int_equal(l.number, 1);
    dovecot_parse(B("MECH\tPLAIN\tplaintext"), &l);
    assert_true(l.word == DOVECOT_MECH && l.plain);
    dovecot_parse(B("OK\t7\tuser=terri@a.example\tx=y"), &l);
    assert_true(l.word == DOVECOT_OK && l.number == 7);
    assert_true(bytes_equal(l.user, B("terri@a.example")));
    dovecot_parse(B("OK\t7\tuser=a\001tb"), &l);
    assert_true(bytes_equal(l.user, B("a\tb")));
    dovecot_parse(B("OK\t7\tuser=a\001"), &l);
    assert_int_equal(l.word, DOVECOT_BROKEN);
    dovecot_parse(B("FAIL\t8\tuser=x\ttemp"), &l);
    assert_true(l.word == DOVECOT_FAIL && l.temporary);
    dovecot_parse(B("FAIL\t8\tuser=temp"), &l);
    assert_false(l.temporary);
    dovecot_parse(B("OK\tx"), &l);
    assert_int_equal(l.word, DOVECOT_BROKEN);
    dovecot_parse(B("SPID\t12"), &l);
    assert_int_equal(l.word, DOVECOT_OTHER);
}

static void dovecot_requests(void **state) {
    char memory[512];
    struct buf b = buf_fixed(memory, sizeof memory);
    struct source_question q = { .login = B("terri"),
                                 .password = B("pass\tword"),
                                 .service = B("pop"),
                                 .client = { .family = 4, .ip = { 192, 0, 2, 7 } },
                                 .tls = true };
    (void)state;
    assert_true(dovecot_format(&b, 3, &q));
    assert_string_equal(buf_text(&b), "AUTH\t3\tPLAIN\tservice=pop3\tsecured\trip=192.0.2.7"
                                      "\tno-penalty\tresp=AHRlcnJpAHBhc3MJd29yZA==\n");
}

static void pam_names(void **state) {
    struct bytes service, domain, user;
    (void)state;
    assert_true(pam_parse_setting(B("smtp"), &service, &domain) && !domain.len);
    assert_true(pam_parse_setting(B("smtp@a.example"), &service, &domain));
    assert_true(bytes_equal(service, B("smtp")) && bytes_equal(domain, B("a.example")));
    assert_false(pam_parse_setting(B("../passwd"), &service, &domain));
    assert_false(pam_parse_setting(B(".."), &service, &domain));
    assert_false(pam_parse_setting(B(""), &service, &domain));
    assert_false(pam_parse_setting(B("smtp@"), &service, &domain));
    assert_true(pam_user(B("terri@a.example"), BYTES_NONE, &user));
    assert_true(bytes_equal(user, B("terri@a.example")));
    assert_true(pam_user(B("terri@A.example"), B("a.example"), &user));
    assert_true(bytes_equal(user, B("terri")));
    assert_true(pam_user(B("terri"), B("a.example"), &user));
    assert_false(pam_user(B("terri@b.example"), B("a.example"), &user));
    assert_false(pam_user(B("@a.example"), B("a.example"), &user));
}

/* --- a Dovecot of our own ---------------------------------------------------------------------------- */

struct fixture {
    char folder[64], file[96], socket[96];
    struct loop *loop;
    struct keeper *keeper;
    struct auth *auth;
    pthread_t thread;
    int fd;
    const char *greeting, *answers; /* #: the request's number */
    struct auth_answer answer;
    char login[400];
    struct secrets *secrets;
};

/* Says its greeting, then the answer to each request. */
static void *serve(void *ctx) {
    struct fixture *f = ctx;
    char line[4096], text[4096];
    int fd = accept(f->fd, NULL, NULL);
    FILE *in = fdopen(dup(fd), "r");
    if (write(fd, f->greeting, strlen(f->greeting)) < 0)
        perror("write");
    while (f->answers && fgets(line, sizeof line, in)) {
        char number[32];
        if (sscanf(line, "AUTH\t%31[0-9]", number) != 1)
            continue;
        const char *hash = strchr(f->answers, '#');
        int len = snprintf(text, sizeof text, "%.*s%s%s", (int)(hash - f->answers), f->answers,
                           number, hash + 1);
        if (write(fd, text, (size_t)len) < 0)
            break;
    }
    fclose(in);
    close(fd);
    return NULL;
}

#define GREETING "VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nSPID\t1\nDONE\n"

static void open_with(struct fixture *f, const char *greeting, const char *answers) {
    struct why why;
    strcpy(f->folder, "/tmp/postern-sources-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->file, sizeof f->file, "%s/secrets.db", f->folder);
    snprintf(f->socket, sizeof f->socket, "%s/auth", f->folder);
    f->greeting = greeting;
    f->answers = answers;
    if (greeting) {
        assert_int_equal(sockets_listen_unix(bytes_str(f->socket), SOCK_STREAM, 0600, &f->fd, &why),
                         OK);
        fcntl(f->fd, F_SETFL, fcntl(f->fd, F_GETFL) & ~O_NONBLOCK); /* the thread waits */
        assert_int_equal(pthread_create(&f->thread, NULL, serve, f), 0);
    }
    char source[128];
    snprintf(source, sizeof source, "dovecot:%s", f->socket);
    struct bytes sources[] = { B("directory"), bytes_str(source) };
    f->loop = loop_open();
    assert_int_equal(keeper_open(f->loop,
                                 &(struct keeper_setup){ .secrets_file = f->file,
                                                         .hostname = B("mail.example"),
                                                         .sources = sources,
                                                         .source_count = 2 },
                                 &f->keeper, &why),
                     OK);
    f->auth = auth_open_direct(f->loop, f->keeper);
    assert_int_equal(secrets_open(f->file, false, &f->secrets, &why), OK);
    assert_int_equal(secrets_set(f->secrets, B("own@a.example"), B("own word"), &why), OK);
}

static void close_it(struct fixture *f) {
    static const char *const names[] = { "secrets.db", "secrets.db-wal", "secrets.db-shm", "auth" };
    auth_close(&f->auth);
    keeper_close(&f->keeper);
    secrets_close(&f->secrets);
    loop_close(&f->loop);
    if (f->greeting) {
        shutdown(f->fd, SHUT_RDWR);
        close(f->fd);
        pthread_join(f->thread, NULL);
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", f->folder, names[i]);
        unlink(path);
    }
    rmdir(f->folder);
}

static void on_answer(void *ctx, const struct auth_answer *answer) {
    struct fixture *f = ctx;
    f->answer = *answer;
    snprintf(f->login, sizeof f->login, "%.*s", BYTES_FMT(answer->login));
    loop_stop(f->loop);
}

static enum auth_result try(struct fixture *f, struct bytes message) {
    struct auth_exchange *x = auth_begin(f->auth,
                                         &(struct auth_session){ .mechanism = B("PLAIN"),
                                                                 .service = B("smtp"),
                                                                 .has_initial = true,
                                                                 .initial = message },
                                         on_answer, f);
    loop_run(f->loop);
    auth_end(&x);
    return f->answer.result;
}

static void dovecot_lets_in_whom_it_names(void **state) {
    struct fixture f = { 0 };
    (void)state;
    open_with(&f, GREETING, "OK\t#\tuser=Terri@A.example\n");
    assert_int_equal(try(&f, B("\0terri\0secret")), AUTH_DONE);
    assert_string_equal(f.login, "terri@a.example");
    /* one of ours is decided here, whatever Dovecot would say */
    assert_int_equal(try(&f, B("\0own@a.example\0own word")), AUTH_DONE);
    assert_int_equal(try(&f, B("\0own@a.example\0other word")), AUTH_REFUSED);
    struct why why;
    assert_int_equal(secrets_disable(f.secrets, B("terri"), true, &why), OK);
    assert_int_equal(try(&f, B("\0terri\0secret")), AUTH_REFUSED);
    close_it(&f);
}

static void dovecot_refuses(void **state) {
    struct fixture f = { 0 };
    (void)state;
    open_with(&f, GREETING, "FAIL\t#\tuser=terri\n");
    assert_int_equal(try(&f, B("\0terri\0wrong")), AUTH_REFUSED);
    assert_int_equal(try(&f, B("\0terri\0wrong")), AUTH_REFUSED);
    assert_int_equal(try(&f, B("\0own@a.example\0own word")), AUTH_DONE);
    close_it(&f);
}

static void a_dovecot_in_trouble_is_our_fault(void **state) {
    static const struct {
        const char *greeting, *answers;
    } troubles[] = {
        { NULL, NULL },
        { GREETING, "FAIL\t#\tuser=terri\ttemp\n" },
        { GREETING, "OK\t#\n" },
        { GREETING, "CONT\t#\tcGFzc3dvcmQ=\n" },
        { GREETING, "OK\tnonsense#\n" },
        { "VERSION\t2\t0\nMECH\tPLAIN\nDONE\n", NULL },
        { "VERSION\t1\t2\nMECH\tLOGIN\nDONE\n", NULL },
        { "HTTP/1.0 400 Bad Request\n\n", NULL },
        { "", NULL },
    };
    (void)state;
    for (size_t i = 0; i < sizeof troubles / sizeof *troubles; i++) {
        struct fixture f = { 0 };
        open_with(&f, troubles[i].greeting, troubles[i].answers);
        assert_int_equal(try(&f, B("\0terri\0secret")), AUTH_DOWN);
        assert_int_equal(f.answer.why.code, 454);
        assert_int_equal(try(&f, B("\0own@a.example\0own word")), AUTH_DONE);
        close_it(&f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dovecot_lines),   cmocka_unit_test(dovecot_requests),
        cmocka_unit_test(pam_names),       cmocka_unit_test(dovecot_lets_in_whom_it_names),
        cmocka_unit_test(dovecot_refuses), cmocka_unit_test(a_dovecot_in_trouble_is_our_fault),
    };
    return cmocka_run_group_tests_name("keeper/sources", tests, NULL, NULL);
}
