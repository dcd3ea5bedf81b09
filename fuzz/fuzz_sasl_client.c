/* A hostile server's challenges to our SASL client. The first octet chooses what is offered; the
 * challenges follow, each behind its length in one octet. */
#include "base/must.h"
#include "base/scan.h"
#include "sasl/sasl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const offers[] = {
    "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5", "PLAIN", "LOGIN", "XOAUTH2",
    "OAUTHBEARER"
};

static void talk(struct sasl_client *c, struct scan *s) {
    struct bytes response;
    struct why why;
    bool proven = false;
    while (!scan_done(s) && !s->bad) {
        size_t len = (uint8_t)scan_char(s);
        struct bytes challenge = bytes_first(s->rest, len);
        scan_take(s, challenge.len);
        if (sasl_client_step(c, challenge, &response, &why) != OK)
            break;
    }
    /* Nobody can make up SCRAM's last word without the password. */
    proven = sasl_client_finish(c, &why) == OK;
    MUST(!proven || !bytes_starts(sasl_client_mechanism(c), B("SCRAM")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct scan s = scan_of(bytes_of(data, size));
    struct arena *a = arena_open();
    struct sasl_client *c;
    struct why why;
    if (size) {
        unsigned which = (uint8_t)scan_char(&s) % COUNT_OF(offers);
        struct sasl_client_setup setup = { .mechanisms = bytes_str(offers[which]),
                                           .user = B("user"),
                                           .password = B("pencil"),
                                           .token = which >= 6 ? B("t.o.k") : BYTES_NONE,
                                           .service = B("smtp"),
                                           .host = B("mail.example"),
                                           .tls = true,
                                           .cb_exporter = B("0123456789") };
        if (sasl_client_open(a, &setup, &c, &why) == OK)
            talk(c, &s);
    }
    arena_close(&a);
    return 0;
}
