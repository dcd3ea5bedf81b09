/* A hostile client's messages to the server side of SASL, on a database with one login. The first
 * octet chooses mechanism and circumstances; the messages follow, each behind its length in one
 * octet. Nobody gets in. */
#include "base/must.h"
#include "base/scan.h"
#include "keeper/keeper.h"
#include "keeper/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = { "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN",   "LOGIN",
                                     "SCRAM-SHA-1",        "CRAM-MD5",      "EXTERNAL" };
static struct checker *checker;
static char folder[64], file[96];

static void clean_up(void) {
    static const char *const suffixes[] = { "", "-wal", "-shm" };
    checker_close(&checker);
    for (size_t i = 0; i < COUNT_OF(suffixes); i++) {
        char path[128];
        snprintf(path, sizeof path, "%s%s", file, suffixes[i]);
        unlink(path);
    }
    rmdir(folder);
}

static void set_up(void) {
    static const uint8_t boot_key[HASH_OCTETS];
    struct secrets *secrets;
    snprintf(folder, sizeof folder, "/tmp/postern-fuzz-XXXXXX");
    MUST(mkdtemp(folder));
    snprintf(file, sizeof file, "%s/secrets.db", folder);
    MUST(secrets_open(file, true, &secrets, NULL) == OK);
    MUST(secrets_set(secrets, B("user@a.example"), B("only this one, 8f1c"), NULL) == OK);
    secrets_close(&secrets);
    checker = checker_open(&(struct checker_setup){
        .file = file, .hostname = B("mail.example"), .boot_key = boot_key, .own = true });
    atexit(clean_up);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct scan s = scan_of(bytes_of(data, size));
    if (!checker)
        set_up();
    if (!size)
        return 0;
    unsigned first = (uint8_t)scan_char(&s);
    struct auth_session session = { .mechanism = bytes_str(names[first % COUNT_OF(names)]),
                                    .cb_exporter = first & 16 ? B("0123456789") : BYTES_NONE,
                                    .no_plus = first & 32 };
    struct server *server = server_open(checker, &session);
    bool has_input = first & 64;
    bool more = true;
    while (more) {
        size_t len = has_input && !scan_done(&s) ? (uint8_t)scan_char(&s) : 0;
        struct bytes message = bytes_first(s.rest, len);
        struct server_answer answer;
        scan_take(&s, message.len);
        server_step(server, has_input, message, 0, &answer);
        MUST(answer.result != AUTH_DONE && answer.login_len <= LOGIN_MAX);
        more = answer.result == AUTH_CHALLENGE && !scan_done(&s);
        has_input = true;
        buf_free(&answer.data);
    }
    server_close(&server);
    return 0;
}
