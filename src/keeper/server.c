/* server: the table of mechanisms, how an exchange goes from message to message, how it ends, and
 * what its thread holds. What a mechanism says is in a file of its own. */
#include "base/map.h"
#include "base/must.h"
#include "keeper/exchange.h"

#include <stdlib.h>
#include <string.h>

enum { MESSAGE_MAX = 4096, STEPS_MAX = 8 };

/* To add one, add a row. */
static const struct server_mechanism mechanisms[] = {
    { "SCRAM-SHA-256-PLUS", step_scram, MESSAGE_MAX, true },
    { "SCRAM-SHA-256", step_scram, MESSAGE_MAX, false },
    { "PLAIN", step_plain, MESSAGE_MAX, false },
    { "LOGIN", step_login, MESSAGE_MAX, false },
};

/* --- the thread's part ------------------------------------------------------------------------- */

struct checker *checker_open(const char *file, struct bytes hostname,
                             const uint8_t boot_key[HASH_OCTETS]) {
    struct checker *k = calloc(1, sizeof *k);
    MUST(k);
    k->secrets = secrets_new(file);
    secrets_ready(k->secrets, true, NULL);
    k->hostname =
        strndup(hostname.len ? hostname.at : "localhost", hostname.len ? hostname.len : 9);
    MUST(k->hostname);
    memcpy(k->boot_key, boot_key, HASH_OCTETS);
    k->remembered = map_open();
    MUST(gsasl_init(&k->library) == GSASL_OK);
    gsasl_callback_set(k->library, scram_property);
    return k;
}

void checker_close(struct checker **out) {
    struct checker *k = *out;
    if (!k)
        return;
    checker_forget(k);
    map_close(&k->remembered);
    secrets_close(&k->secrets);
    gsasl_done(k->library);
    free(k->hostname);
    explicit_bzero(k, sizeof *k);
    free(k);
    *out = NULL;
}

/* What an unknown login's salt is: the same each time, and not to be foreseen (RFC 5802 section 9).
 */
static void make_up(struct checker *k, struct bytes login, struct secret *out) {
    uint8_t mac[HASH_OCTETS];
    out->iterations = ITERATIONS;
    hash_hmac(k->seed, HASH_PARTS(B("salt"), login), mac);
    memcpy(out->salt, mac, SALT_OCTETS);
    hash_hmac(k->seed, HASH_PARTS(B("stored key"), login), out->stored_key);
    hash_hmac(k->seed, HASH_PARTS(B("server key"), login), out->server_key);
}

enum rc checker_look_up(struct checker *k, struct bytes login, struct secret *out, bool *real_out,
                        struct why *why) {
    enum rc rc = secrets_ready(k->secrets, false, why);
    if (rc == OK && !k->has_seed) {
        rc = secrets_seed(k->secrets, k->seed, why);
        k->has_seed = rc == OK;
    }
    if (rc != OK)
        return rc;
    make_up(k, login, out);
    return secrets_find(k->secrets, login, out, real_out, why);
}

/* --- ends of an exchange ----------------------------------------------------------------------- */

void server_end(struct server *s, enum auth_result result, struct server_answer *out) {
    s->over = true;
    out->result = result;
}

void server_malformed(struct server *s, const char *text, struct server_answer *out) {
    why_set(&out->why, PERM, 501, "5.5.2", "syntax.auth", "%s: %s", s->mechanism->name, text);
    server_end(s, AUTH_MALFORMED, out);
}

void server_refused(struct server *s, bool guess, struct server_answer *out) {
    why_set(&out->why, PERM, 535, "5.7.8", "auth.failed", "Wrong login or password");
    out->guess = guess;
    server_end(s, AUTH_REFUSED, out);
}

void server_down(struct server *s, const struct why *why, struct server_answer *out) {
    out->why = *why;
    out->why.code = 454;
    status_parse(B("4.7.0"), &out->why.status);
    server_end(s, AUTH_DOWN, out);
}

void server_challenge(struct bytes data, struct server_answer *out) {
    out->result = AUTH_CHALLENGE;
    buf_add(&out->data, data);
}

bool server_same_login(struct bytes a, struct bytes b) {
    char one[LOGIN_MAX + 1], two[LOGIN_MAX + 1];
    struct buf first = buf_fixed(one, sizeof one), second = buf_fixed(two, sizeof two);
    return prepare_login(a, &first) && prepare_login(b, &second) &&
           bytes_equal(buf_bytes(&first), buf_bytes(&second));
}

/* --- the exchange ------------------------------------------------------------------------------ */

static void keep_base64(char *into, size_t size, struct bytes data) {
    struct buf b = buf_fixed(into, size);
    if (data.len)
        buf_base64(&b, bytes_first(data, 256));
    buf_text(&b);
}

struct server *server_open(struct checker *k, const struct auth_session *session) {
    for (size_t i = 0; i < COUNT_OF(mechanisms); i++) {
        if (!bytes_equal_nocase(session->mechanism, bytes_str(mechanisms[i].name)))
            continue;
        struct server *s = calloc(1, sizeof *s);
        MUST(s);
        s->checker = k;
        s->mechanism = &mechanisms[i];
        s->no_plus = session->no_plus && !s->mechanism->plus;
        keep_base64(s->exporter, sizeof s->exporter, session->cb_exporter);
        keep_base64(s->unique, sizeof s->unique, session->cb_unique);
        return s;
    }
    return NULL;
}

void server_close(struct server **s) {
    if (!*s)
        return;
    if ((*s)->session)
        gsasl_finish((*s)->session);
    explicit_bzero(*s, sizeof **s);
    free(*s);
    *s = NULL;
}

void server_step(struct server *s, bool has_input, struct bytes input, int64_t now,
                 struct server_answer *out) {
    *out = (struct server_answer){ .data = buf_grow(OUTPUT_MAX) };
    s->steps++;
    if (s->over || s->steps > STEPS_MAX)
        server_malformed(s, "one message too many", out);
    else if (input.len > s->mechanism->message_max)
        server_malformed(s, "a message that is longer than any of this mechanism", out);
    else
        s->mechanism->step(s, has_input, input, now, out);
}
