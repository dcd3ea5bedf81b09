/* `postern check` and `postern why` as a person or a script runs them: a file, a directory on disk, a
 * command line; exit codes and what is printed. */
#include "base/must.h"
#include "bin/commands.h"
#include "directory/directory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/postern-commands-XXXXXX";
static char conf[80], output[1 << 16];

static const char settings[] =
    "hostname = \"mail.proseware.com\"\n"
    "domain \"proseware.com\" {}\n"
    "listener \"internet\" { bind = {\"127.0.0.1:25\"} }\n"
    "listener \"submission\" { bind = {\"127.0.0.1:587\"} tls = require auth = require }\n"
    "connector \"people\" { auth = any may_relay_to = {\"*\"} }\n"
    "connector \"office\" { clients = {\"192.0.2.128/25\"} may_relay_to = {\"*\"}\n"
    "  senders = {\"*@proseware.com\"} note = \"LAN\" listeners = {\"internet\"} }\n";

static void write_conf(const char *more) {
    FILE *f = fopen(conf, "w");
    assert_non_null(f);
    fprintf(f, "state_dir = \"%s\"\n%s%s", dir, settings, more);
    fclose(f);
}

static int set_up(void **state) {
    struct directory_db *db;
    struct why why;
    char file[80];
    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(conf, sizeof conf, "%s/postern.conf", dir);
    snprintf(file, sizeof file, "%s/directory.db", dir);
    assert_int_equal(directory_db_open(file, true, &db, &why), OK);
    assert_int_equal(directory_user_add(db, B("terri@proseware.com"), &why), OK);
    assert_int_equal(directory_alias_add(db, B("t@proseware.com"), B("terri@proseware.com"), &why),
                     OK);
    directory_db_close(&db);
    write_conf("");
    return 0;
}

static int tear_down(void **state) {
    static const char *const names[] = { "postern.conf", "directory.db", "directory.db-wal",
                                         "directory.db-shm" };
    char file[120];
    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        snprintf(file, sizeof file, "%s/%s", dir, names[i]);
        unlink(file);
    }
    return rmdir(dir);
}

/* Runs a command; what it prints on standard output is in `output`. */
static int run(int (*command)(int, char **), const char *line) {
    static char memory[1000];
    char *argv[40], *save = NULL;
    int argc = 0, kept = dup(STDOUT_FILENO);
    snprintf(memory, sizeof memory, "%s", line);
    for (char *word = strtok_r(memory, " ", &save); word; word = strtok_r(NULL, " ", &save))
        argv[argc++] = strcmp(word, "CONF") == 0 ? conf : word;
    argv[argc] = NULL;
    FILE *to = tmpfile();
    assert_non_null(to);
    fflush(stdout);
    dup2(fileno(to), STDOUT_FILENO);
    int code = command(argc, argv);
    fflush(stdout);
    dup2(kept, STDOUT_FILENO);
    close(kept);
    rewind(to);
    output[fread(output, 1, sizeof output - 1, to)] = '\0';
    fclose(to);
    return code;
}

static void expect(const char *part) {
    if (!strstr(output, part))
        fail_msg("\"%s\" is not in:\n%s", part, output);
}

static void test_why(void **state) {
    (void)state;
    static const struct {
        const char *line;
        int code;
        const char *part;
    } cases[] = {
        { "why -c CONF --client 198.51.100.7 --from a@contoso.com --to x@adatum.com", 1,
          "550 5.7.1 Unable to relay to adatum.com" },
        { "why -c CONF --client 198.51.100.7 --from a@contoso.com --to terri@proseware.com", 0,
          "accepted: a recipient of ours" },
        { "why -c CONF --client 198.51.100.7 --from <> --to T@Proseware.COM", 0, "accepted" },
        { "why -c CONF --client 198.51.100.7 --from <> --to postmaster", 0, "accepted" },
        { "why -c CONF --client 198.51.100.7 --from <> --to who@proseware.com", 1,
          "reason recipient.unknown" },
        { "why -c CONF --client 192.0.2.130 --from a@proseware.com --to x@adatum.com", 0,
          "a relay: connector office" },
        { "why -c CONF --client ::ffff:192.0.2.130 --from a@proseware.com --to x@adatum.com", 0,
          "a relay" },
        { "why -c CONF --client 192.0.2.130 --from a@contoso.com --to x@adatum.com", 1,
          "553 5.7.1" },
        { "why -c CONF --client 198.51.100.7 --user terri@proseware.com --from t@proseware.com "
          "--to x@adatum.com",
          0, "listener submission, with TLS" },
        { "why -c CONF --client 198.51.100.7 --user terri@proseware.com --listener internet "
          "--from t@proseware.com --to x@adatum.com",
          1, "502 5.5.1" },
        { "why -c CONF --client 198.51.100.7 --user terri@proseware.com --listener submission "
          "--from t@proseware.com --to x@adatum.com",
          1, "530 5.7.0 Must issue a STARTTLS command first" },
        { "why -c CONF --client 198.51.100.7 --tls --listener submission --from t@proseware.com "
          "--to x@adatum.com",
          1, "reason auth.required" },
        { "why -c CONF --client 198.51.100.7 --user terri@proseware.com --mechanism CRAM-MD5 "
          "--from t@proseware.com --to x@adatum.com",
          1, "504 5.5.4" },
        { "why -c CONF --client 198.51.100.7 --user terri@proseware.com --from terri@contoso.com "
          "--to terri@proseware.com",
          1, "reason sender.not-yours" },
        { "why -c CONF --client 198.51.100.7 --user terri@proseware.com --from t@proseware.com "
          "--to x@adatum.com --header-from ceo@proseware.com",
          1, "reason header.not-yours" },
        { "why -c CONF --client 198.51.100.7 --user terri@proseware.com --from t@proseware.com "
          "--to x@adatum.com --header-from terri@proseware.com --reply-to a@b.example",
          0, "accepted, a relay" },
        { "why -c CONF --client 198.51.100.7 --user ghost@proseware.com --from ghost@proseware.com "
          "--to x@adatum.com",
          1, "postern user add ghost@proseware.com" },
        { "why -c CONF --client 198.51.100.7 --from a@b.example --to terri@proseware.com --size "
          "26MiB",
          1, "552 5.3.4" },
        { "why -c CONF --client 198.51.100.7 --from a@b.example --to terri@proseware.com "
          "--recipients 501",
          1, "452 4.5.3" },
        { "why -c CONF --local-user root --from root@mail.proseware.com --to x@adatum.com", 1,
          "user root of this host is not allowed to" },
        { "why -c CONF --client 999.1.1.1 --from a@b.example --to c@d.example", 64, "" },
        { "why -c CONF --client 198.51.100.7 --from a@b.example", 64, "" },
        { "why -c CONF --client 198.51.100.7 --listener none --from a@b.example --to c@d.example",
          64, "" },
        { "why -c CONF --from a@b.example --to c@d.example", 64, "" },
        { "why -c /nonexistent/postern.conf --client 198.51.100.7 --from a@b.example --to c@d.example",
          78, "" },
        { "why --help", 0, "--client IP" },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int code = run(cmd_why, cases[i].line);
        if (code != cases[i].code)
            fail_msg("%s: exit %d\n%s", cases[i].line, code, output);
        expect(cases[i].part);
    }
}

static void test_why_json(void **state) {
    (void)state;
    assert_int_equal(
        run(cmd_why,
            "why --json -c CONF --client 198.51.100.7 --from a@contoso.com --to x@adatum.com"),
        1);
    expect(
        "{\"verdict\":\"refuse\",\"code\":550,\"enhanced\":\"5.7.1\",\"text\":\"Unable to relay");
    expect("\"reason\":\"relay.no-grant\"");
    expect("{\"rule\":\"connector office\",\"matched\":false,\"because\":\"client 198.51.100.7 is");
    expect("{\"change\":\"log in on port 587 (listener submission)\",\"safe\":true");
    assert_non_null(strchr(output, '\n'));
    assert_string_equal(strchr(output, '\n'), "\n");
    assert_int_equal(
        run(cmd_why,
            "why --json -c CONF --client 192.0.2.130 --from a@proseware.com --to x@adatum.com"),
        0);
    expect("{\"verdict\":\"accept\",\"code\":250");
    expect("\"connector\":\"office\",\"relay\":true");
    expect("\"changes\":[]");
}

static void test_check(void **state) {
    (void)state;
    assert_int_equal(run(cmd_check, "check -c CONF"), 0);
    expect("WHO");
    expect("any login (connector people)");
    expect("Proof: closed.");
    assert_int_equal(run(cmd_check, "check --json -c CONF"), 0);
    expect("{\"verdict\":\"ok\",\"proof\":\"closed\"");
    expect("{\"who\":\"anyone else\",\"listener\":\"internet\",\"senders\":\"any\","
           "\"to_own\":\"yes\",\"to_other\":\"no (relay.no-grant)\",\"connector\":\"\"}");

    write_conf("connector \"all\" { clients = {\"0.0.0.0/0\"} may_relay_to = {\"*\"}\n"
               "  senders = any note = \"n\" }\n");
    assert_int_equal(run(cmd_check, "check -c CONF"), 1);
    expect("postern.conf:9: error: connector all: clients: ");
    expect("Proof: OPEN.");
    assert_int_equal(run(cmd_check, "check --json -c CONF"), 1);
    expect("{\"verdict\":\"refused\",\"proof\":\"open\"");
    expect("\"id\":\"proof.public\"");

    write_conf("listener \"internet\" {}\n");
    assert_int_equal(run(cmd_check, "check -c CONF"), 1);
    expect("postern.conf:9: error");
    write_conf("");
    assert_int_equal(run(cmd_check, "check -c /nonexistent/postern.conf"), 1);
    expect("Proof: none");
    assert_int_equal(run(cmd_check, "check surplus"), 64);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_why),
        cmocka_unit_test(test_why_json),
        cmocka_unit_test(test_check),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
