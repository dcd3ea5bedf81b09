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
    { "SCRAM-SHA-256-PLUS", step_scram, MESSAGE_MAX, .hash = SCRAM_SHA_256, .plus = true },
    { "SCRAM-SHA-256", step_scram, MESSAGE_MAX, .hash = SCRAM_SHA_256 },
    { "SCRAM-SHA-1", step_scram, MESSAGE_MAX, .hash = SCRAM_SHA_1 },
    { "PLAIN", step_plain, .message_max = MESSAGE_MAX },
    { "LOGIN", step_login, .message_max = MESSAGE_MAX },
    { "EXTERNAL", step_external, .message_max = MESSAGE_MAX },
    { "CRAM-MD5", step_cram, .message_max = MESSAGE_MAX },
    { "XOAUTH2", step_token, BEARER_MESSAGE_MAX, .bearer = true, .form = OAUTH_XOAUTH2 },
    { "OAUTHBEARER", step_token, BEARER_MESSAGE_MAX, .bearer = true, .form = OAUTH_BEARER },
};

/* --- the thread's part ------------------------------------------------------------------------- */

static int on_property(Gsasl *library, Gsasl_session *session, Gsasl_property property) {
    struct server *s = gsasl_session_hook_get(session);
    (void)library;
    return s->mechanism->step == step_cram ? cram_property(s, session, property)
                                           : scram_property(s, session, property);
}

struct checker *checker_open(const struct checker_setup *setup) {
    struct checker *k = calloc(1, sizeof *k);
    MUST(k);
    struct bytes hostname = setup->hostname.len ? setup->hostname : B("localhost");
    k->secrets = secrets_new(setup->file);
    secrets_ready(k->secrets, true, NULL);
    k->hostname = strndup(hostname.at, hostname.len);
    MUST(k->hostname);
    memcpy(k->boot_key, setup->boot_key, HASH_OCTETS);
    k->source_count = setup->source_count;
    k->own = setup->own;
    k->own_place = setup->own_place;
    k->remembered = map_open();
    MUST(gsasl_init(&k->library) == GSASL_OK);
    gsasl_callback_set(k->library, on_property);
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
static void make_up(struct checker *k, struct bytes login, struct salting *salting,
                    struct scram_keys *keys) {
    uint8_t mac[HASH_OCTETS];
    if (!salting->iterations) {
        salting->iterations = ITERATIONS;
        hash_hmac(k->seed, HASH_PARTS(B("salt"), login), mac);
        memcpy(salting->salt, mac, SALT_OCTETS);
    }
    for (int h = 0; h < SCRAM_HASHES; h++) {
        struct bytes which = bytes_of(&h, sizeof h);
        keys[h].is_set = true;
        hash_hmac(k->seed, HASH_PARTS(B("stored key"), which, login), keys[h].stored);
        hash_hmac(k->seed, HASH_PARTS(B("server key"), which, login), keys[h].server);
    }
}

enum rc checker_ready(struct checker *k, struct why *why) {
    enum rc rc = secrets_ready(k->secrets, false, why);
    if (rc == OK && !k->has_seed) {
        rc = secrets_seed(k->secrets, k->seed, why);
        k->has_seed = rc == OK;
    }
    return rc;
}

static void keep_usable(const struct server *s, struct account *a, enum scram_hash h) {
    size_t kept = 0;
    for (size_t i = 0; i < a->count; i++)
        if (a->list[i].keys[h].is_set && (a->list[i].services & s->service))
            a->list[kept++] = a->list[i];
    a->count = kept;
}

enum rc server_look_up(struct server *s, struct bytes login, enum scram_hash h, struct why *why) {
    struct account *a = &s->account;
    enum rc rc = checker_ready(s->checker, why);
    if (rc == OK)
        rc = secrets_find(s->checker->secrets, login, a, why);
    if (rc != OK)
        return rc;
    keep_usable(s, a, h);
    s->real = a->found && !a->disabled && a->count > 0;
    if (s->real)
        return OK;
    a->list[0] = (struct credential){ .services = s->service };
    a->count = 1;
    make_up(s->checker, login, &a->salting, a->list[0].keys);
    return OK;
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
    out->known = s->account.found || s->checker->source_count;
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

void server_wait(struct server *s, enum server_wait wait, struct server_answer *out) {
    s->waits = wait;
    out->wait = wait;
    out->source = s->source;
}

void server_in(struct server *s, const struct credential *with, struct server_answer *out) {
    struct buf app = buf_fixed(out->app, sizeof out->app);
    struct buf senders = buf_fixed(out->senders, sizeof out->senders);
    struct buf networks = buf_fixed(out->networks, sizeof out->networks);
    bool found = true;
    struct why why;
    enum rc rc = OK;
    if (with && with->name[0]) {
        buf_str(&app, with->name);
        rc = secrets_app_bounds(s->checker->secrets, bytes_of(out->login, out->login_len),
                                buf_bytes(&app), &senders, &networks, &found, &why);
    }
    if (rc != OK)
        server_down(s, &why, out);
    else if (!found)
        server_refused(s, true, out);
    else
        server_end(s, AUTH_DONE, out);
    buf_text(&app);
    buf_text(&senders);
    buf_text(&networks);
}

/* --- the exchange ------------------------------------------------------------------------------ */

static void keep_base64(char *into, size_t size, struct bytes data) {
    struct buf b = buf_fixed(into, size);
    if (data.len)
        buf_base64(&b, bytes_first(data, 256));
    buf_text(&b);
}

static void keep_certificate(struct server *s, const struct auth_session *session) {
    s->has_spki = session->client_spki.len == HASH_OCTETS;
    if (s->has_spki)
        memcpy(s->spki, session->client_spki.at, HASH_OCTETS);
    s->certificates = buf_grow(CERTIFICATES_MAX);
    buf_add(&s->certificates, session->client_names);
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
        s->client = session->client;
        s->service = bytes_equal(session->service, B("pop")) ? SERVICE_POP_BIT : SERVICE_SMTP_BIT;
        s->tls = session->tls;
        keep_certificate(s, session);
        if (s->mechanism->bearer)
            s->bearer = bearer_open(s->mechanism->form);
        s->said = buf_grow(3 * MESSAGE_MAX);
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
    bearer_close(&(*s)->bearer);
    if ((*s)->said.len)
        explicit_bzero((*s)->said.at, (*s)->said.len);
    buf_free(&(*s)->said);
    buf_free(&(*s)->certificates);
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

enum source_result server_work(struct server *s) {
    return import_fits(bytes_str(s->account.hash), bytes_of(s->password, s->password_len))
               ? SOURCE_RIGHT
               : SOURCE_WRONG;
}

struct source_question server_question(const struct server *s) {
    return (struct source_question){
        .login = bytes_of(s->name, s->name_len),
        .password = bytes_of(s->password, s->password_len),
        .service = s->service == SERVICE_POP_BIT ? B("pop") : B("smtp"),
        .client = s->client,
        .tls = s->tls,
    };
}

void server_resume(struct server *s, const struct source_answer *answer, int64_t now,
                   struct server_answer *out) {
    *out = (struct server_answer){ .data = buf_grow(OUTPUT_MAX) };
    MUST(s->waits);
    if (s->bearer)
        step_token(s, true, BYTES_NONE, now, out);
    else
        password_resume(s, answer, now, out);
}
