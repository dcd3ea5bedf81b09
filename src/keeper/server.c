/* server: PLAIN (RFC 4616), LOGIN (as widely spoken), SCRAM-SHA-256 and -PLUS (RFC 5802, RFC 7677)
 * against secrets.db. This file alone sees passwords. A login that does not exist takes the same
 * steps and the same time as one that does. */
#include "keeper/server.h"

#include "base/map.h"
#include "base/must.h"
#include "keeper/secrets.h"

#include <gsasl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    REMEMBER_MS = 10 * 60 * 1000,
    REMEMBER_MAX = 10000,
    MESSAGE_MAX = 4096, /* longest message any of these mechanisms needs */
    OUTPUT_MAX = 12 * 1024,
    STEPS_MAX = 8,
};

struct checker {
    struct secrets *secrets;
    Gsasl *library;
    char *hostname;
    uint8_t boot_key[HASH_OCTETS];
    bool has_seed;
    uint8_t seed[HASH_OCTETS];
    struct map *remembered; /* login -> struct remembered */
};
struct remembered {
    int64_t until;
    uint8_t mac[HASH_OCTETS]; /* of login, password and the stored keys, under the boot key */
};

struct server {
    struct checker *checker;
    const struct server_mechanism *mechanism;
    Gsasl_session *session;
    char exporter[512], unique[512]; /* base64 */
    bool no_plus;
    unsigned steps;
    bool over;
    char name[LOGIN_MAX + 1]; /* LOGIN: as given; SCRAM: prepared */
    size_t name_len;
    bool has_name;
    struct secret secret; /* SCRAM: real or made up */
    bool real;
    enum rc lookup; /* how reading it went */
    struct why why;
};

typedef void server_stepper(struct server *s, bool has_input, struct bytes input, int64_t now,
                            struct server_answer *out);
static server_stepper step_plain, step_login, step_scram;
static const struct server_mechanism {
    const char *name;
    server_stepper *step;
    bool plus;
} mechanisms[] = {
    { "SCRAM-SHA-256-PLUS", step_scram, true },
    { "SCRAM-SHA-256", step_scram, false },
    { "PLAIN", step_plain, false },
    { "LOGIN", step_login, false },
};

/* --- the thread's part ------------------------------------------------------------------------- */

static int on_property(Gsasl *library, Gsasl_session *session, Gsasl_property property);

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
    gsasl_callback_set(k->library, on_property);
    return k;
}

static void forget_all(struct checker *k) {
    size_t position = 0;
    struct bytes key;
    void *value;
    while (map_next(k->remembered, &position, &key, &value)) {
        explicit_bzero(value, sizeof(struct remembered));
        free(value);
    }
    map_close(&k->remembered);
    k->remembered = map_open();
}

void checker_close(struct checker **out) {
    struct checker *k = *out;
    if (!k)
        return;
    forget_all(k);
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

static enum rc look_up(struct checker *k, struct bytes login, struct secret *out, bool *real_out,
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

static bool recall(struct checker *k, struct bytes login, const uint8_t mac[HASH_OCTETS],
                   int64_t now) {
    const struct remembered *r = map_find(k->remembered, login);
    return r && now < r->until &&
           bytes_equal_secret(bytes_of(r->mac, HASH_OCTETS), bytes_of(mac, HASH_OCTETS));
}

static void remember(struct checker *k, struct bytes login, const uint8_t mac[HASH_OCTETS],
                     int64_t now) {
    struct remembered *r = map_find(k->remembered, login);
    if (!r) {
        if (map_count(k->remembered) >= REMEMBER_MAX)
            forget_all(k);
        r = calloc(1, sizeof *r);
        MUST(r);
        map_put(k->remembered, login, r);
    }
    r->until = now + REMEMBER_MS;
    memcpy(r->mac, mac, HASH_OCTETS);
}

/* The stored keys are in the MAC: a new password makes what is remembered of the old one void. */
static bool is_right(struct checker *k, struct bytes login, struct bytes password,
                     const struct secret *secret, int64_t now) {
    uint8_t mac[HASH_OCTETS];
    hash_hmac(k->boot_key,
              HASH_PARTS(login, password, bytes_of(secret->salt, SALT_OCTETS),
                         bytes_of(secret->stored_key, HASH_OCTETS)),
              mac);
    bool right = recall(k, login, mac, now);
    if (!right) {
        struct secret derived = *secret;
        secret_derive(&derived, password);
        right = bytes_equal_secret(bytes_of(derived.stored_key, HASH_OCTETS),
                                   bytes_of(secret->stored_key, HASH_OCTETS));
        explicit_bzero(&derived, sizeof derived);
        if (right)
            remember(k, login, mac, now);
    }
    explicit_bzero(mac, sizeof mac);
    return right;
}

/* --- ends of an exchange ----------------------------------------------------------------------- */

static void end(struct server *s, enum auth_result result, struct server_answer *out) {
    s->over = true;
    out->result = result;
}

static void malformed(struct server *s, const char *text, struct server_answer *out) {
    why_set(&out->why, PERM, 501, "5.5.2", "syntax.auth", "%s: %s", s->mechanism->name, text);
    end(s, AUTH_MALFORMED, out);
}

static void refused(struct server *s, bool guess, struct server_answer *out) {
    why_set(&out->why, PERM, 535, "5.7.8", "auth.failed", "Wrong login or password");
    out->guess = guess;
    end(s, AUTH_REFUSED, out);
}

static void down(struct server *s, const struct why *why, struct server_answer *out) {
    out->why = *why;
    out->why.code = 454;
    status_parse(B("4.7.0"), &out->why.status);
    end(s, AUTH_DOWN, out);
}

static void challenge(struct bytes data, struct server_answer *out) {
    out->result = AUTH_CHALLENGE;
    buf_add(&out->data, data);
}

/* --- passwords in the clear -------------------------------------------------------------------- */

/* A name or password that SASLprep refuses is wrong, but costs what a wrong one costs. */
static void check(struct server *s, struct bytes name, struct bytes password, int64_t now,
                  struct server_answer *out) {
    char word[4 * PASSWORD_MAX];
    struct buf login = buf_fixed(out->login, sizeof out->login);
    struct buf prepared = buf_fixed(word, sizeof word);
    struct secret secret;
    struct why why;
    bool real = false;
    bool good = prepare_login(name, &login);
    good &= prepare_password(password, false, &prepared) && prepared.len <= PASSWORD_MAX;
    buf_cut(&prepared, prepared.len <= PASSWORD_MAX ? prepared.len : PASSWORD_MAX);
    out->login_len = login.len;
    if (look_up(s->checker, buf_bytes(&login), &secret, &real, &why) != OK)
        down(s, &why, out);
    else if (is_right(s->checker, buf_bytes(&login), buf_bytes(&prepared), &secret, now) && real &&
             good)
        end(s, AUTH_DONE, out);
    else
        refused(s, true, out);
    explicit_bzero(word, sizeof word);
    explicit_bzero(&secret, sizeof secret);
}

static bool same_login(struct bytes a, struct bytes b) {
    char one[LOGIN_MAX + 1], two[LOGIN_MAX + 1];
    struct buf first = buf_fixed(one, sizeof one), second = buf_fixed(two, sizeof two);
    return prepare_login(a, &first) && prepare_login(b, &second) &&
           bytes_equal(buf_bytes(&first), buf_bytes(&second));
}

static void step_plain(struct server *s, bool has_input, struct bytes input, int64_t now,
                       struct server_answer *out) {
    struct bytes rest = input, authzid, name;
    if (!has_input && s->steps == 1) {
        challenge(BYTES_NONE, out);
        return;
    }
    if (bytes_find(input, '\0') < 0 || !bytes_split(&rest, '\0', &authzid) ||
        bytes_find(rest, '\0') < 0 || !bytes_split(&rest, '\0', &name) || !name.len || !rest.len ||
        bytes_find(rest, '\0') >= 0) {
        malformed(s, "expected authorisation identity, NUL, login, NUL, password", out);
        return;
    }
    if (authzid.len && !same_login(authzid, name))
        refused(s, false, out);
    else
        check(s, name, rest, now, out);
}

/* The names of the challenges are what the clients there are look for. */
static void step_login(struct server *s, bool has_input, struct bytes input, int64_t now,
                       struct server_answer *out) {
    if (!has_input && s->steps == 1) {
        challenge(B("Username:"), out);
        return;
    }
    if (s->has_name) {
        check(s, bytes_of(s->name, s->name_len), input, now, out);
        return;
    }
    if (!input.len || input.len > LOGIN_MAX || bytes_find(input, '\0') >= 0) {
        malformed(s, "this is not a login", out);
        return;
    }
    memcpy(s->name, input.at, input.len);
    s->name_len = input.len;
    s->has_name = true;
    challenge(B("Password:"), out);
}

/* --- SCRAM ------------------------------------------------------------------------------------- */

static int give_base64(Gsasl_session *session, Gsasl_property property, const void *at,
                       size_t size) {
    char text[128];
    struct buf b = buf_fixed(text, sizeof text);
    buf_base64(&b, bytes_of(at, size));
    int code = gsasl_property_set_raw(session, property, b.at, b.len);
    explicit_bzero(text, sizeof text);
    return code;
}

static int give_iterations(struct server *s, Gsasl_session *session) {
    char digits[16];
    const char *authid = gsasl_property_fast(session, GSASL_AUTHID);
    struct buf name = buf_fixed(s->name, sizeof s->name);
    bool good = authid && prepare_login(bytes_str(authid), &name);
    s->name_len = name.len;
    s->lookup = look_up(s->checker, buf_bytes(&name), &s->secret, &s->real, &s->why);
    s->real &= good;
    if (s->lookup != OK)
        return GSASL_AUTHENTICATION_ERROR;
    snprintf(digits, sizeof digits, "%u", s->secret.iterations);
    return gsasl_property_set(session, GSASL_SCRAM_ITER, digits);
}

static int give_binding(Gsasl_session *session, Gsasl_property property, const char *base64) {
    return *base64 ? gsasl_property_set(session, property, base64) : GSASL_NO_CALLBACK;
}

static int on_property(Gsasl *library, Gsasl_session *session, Gsasl_property property) {
    struct server *s = gsasl_session_hook_get(session);
    (void)library;
    switch (property) {
    case GSASL_CB_TLS_EXPORTER: /* without -PLUS: asked when the client says "y" */
        return give_binding(session, property, s->no_plus ? "" : s->exporter);
    case GSASL_CB_TLS_UNIQUE:
        return give_binding(session, property, s->no_plus ? "" : s->unique);
    case GSASL_SCRAM_ITER:
        return give_iterations(s, session);
    case GSASL_SCRAM_SALT:
        return give_base64(session, property, s->secret.salt, SALT_OCTETS);
    case GSASL_SCRAM_STOREDKEY:
        return give_base64(session, property, s->secret.stored_key, HASH_OCTETS);
    case GSASL_SCRAM_SERVERKEY:
        return give_base64(session, property, s->secret.server_key, HASH_OCTETS);
    default:
        return GSASL_NO_CALLBACK;
    }
}

static bool scram_begin(struct server *s, struct server_answer *out) {
    if (s->session)
        return true;
    int code = gsasl_server_start(s->checker->library, s->mechanism->name, &s->session);
    if (code == GSASL_OK) {
        gsasl_session_hook_set(s->session, s);
        return true;
    }
    struct why why;
    why_backend(&why, "backend.auth", "GNU SASL cannot begin %s: %s", s->mechanism->name,
                gsasl_strerror(code));
    down(s, &why, out);
    return false;
}

static void scram_done(struct server *s, struct server_answer *out) {
    const char *authzid = gsasl_property_fast(s->session, GSASL_AUTHZID);
    struct bytes name = bytes_of(s->name, s->name_len);
    if (!s->real || (authzid && *authzid && !same_login(bytes_str(authzid), name))) {
        buf_clear(&out->data);
        refused(s, !s->real, out);
        return;
    }
    end(s, AUTH_DONE, out);
}

static void scram_failed(struct server *s, int code, struct server_answer *out) {
    if (s->lookup != OK)
        down(s, &s->why, out);
    else if (code == GSASL_MALLOC_ERROR || code == GSASL_CRYPTO_ERROR)
        down(s, &(struct why){ .reason = "backend.auth", .text = "GNU SASL failed" }, out);
    else if (code == GSASL_AUTHENTICATION_ERROR || code == GSASL_NO_CB_TLS_EXPORTER ||
             code == GSASL_NO_CB_TLS_UNIQUE)
        refused(s, s->name_len > 0, out);
    else
        malformed(s, gsasl_strerror(code), out);
}

static void step_scram(struct server *s, bool has_input, struct bytes input, int64_t now,
                       struct server_answer *out) {
    char *output = NULL;
    size_t len = 0;
    (void)now;
    if (!has_input && s->steps == 1) {
        challenge(BYTES_NONE, out);
        return;
    }
    /* RFC 5802 section 6: binding belongs to -PLUS; GNU SASL would let this pass unchecked. */
    if (!s->session && !s->mechanism->plus && bytes_starts(input, B("p="))) {
        malformed(s, "channel binding needs SCRAM-SHA-256-PLUS", out);
        return;
    }
    if (bytes_find(input, '\0') >= 0) {
        malformed(s, "a NUL in the message", out);
        return;
    }
    if (!scram_begin(s, out))
        return;
    int code = gsasl_step(s->session, input.len ? input.at : "", input.len, &output, &len);
    memcpy(out->login, s->name, s->name_len);
    out->login_len = s->name_len;
    if (code == GSASL_OK || code == GSASL_NEEDS_MORE)
        challenge(bytes_of(output, output ? len : 0), out);
    if (code == GSASL_OK)
        scram_done(s, out);
    else if (code != GSASL_NEEDS_MORE)
        scram_failed(s, code, out);
    gsasl_free(output);
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
        malformed(s, "one message too many", out);
    else if (input.len > MESSAGE_MAX)
        malformed(s, "a message of more than 4096 octets", out);
    else
        s->mechanism->step(s, has_input, input, now, out);
}
