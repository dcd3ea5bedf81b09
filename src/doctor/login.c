/* login: the table of mechanisms, and which of them comes next. */
#include "doctor/login.h"

#include "base/must.h"
#include "sasl/sasl.h"

/* The order is that of delivery (sasl/client.c). */
static const struct {
    const char *name;
    bool reveals; /* hands the password, or the token, over */
    bool token;
} mechanisms[] = {
    { "OAUTHBEARER", true, true },
    { "XOAUTH2", true, true },
    { "SCRAM-SHA-256-PLUS", false, false },
    { "SCRAM-SHA-256", false, false },
    { "SCRAM-SHA-1", false, false },
    { "CRAM-MD5", false, false },
    { "PLAIN", true, false },
    { "LOGIN", true, false },
};

bool login_knows(struct bytes mechanism) {
    for (size_t i = 0; i < COUNT_OF(mechanisms); i++)
        if (bytes_equal_nocase(mechanism, bytes_str(mechanisms[i].name)))
            return true;
    return false;
}

void login_begin(struct login *l, struct arena *a, const struct login_want *want) {
    *l = (struct login){ .arena = a, .want = want };
}

static bool is_offered(struct bytes offered, struct bytes name) {
    struct bytes word;
    while (bytes_split(&offered, ' ', &word))
        if (bytes_equal_nocase(word, name))
            return true;
    return false;
}

static bool is_wanted(const struct login *l, const struct login_connection *c, size_t i) {
    struct bytes name = bytes_str(mechanisms[i].name);
    if (l->want->mechanism.len && !bytes_equal_nocase(l->want->mechanism, name))
        return false;
    return mechanisms[i].token == (l->want->token.len > 0) && is_offered(c->offered, name);
}

static enum rc open_one(struct login *l, const struct login_connection *c, size_t i,
                        struct why *why) {
    struct sasl_client_setup setup = {
        .mechanisms = bytes_str(mechanisms[i].name),
        .user = l->want->user,
        .password = l->want->password,
        .token = l->want->token,
        .service = B("smtp"),
        .host = l->want->host,
        .port = l->want->port,
        .tls = c->tls != NULL,
        .plaintext_allowed = true, /* whether it is was decided here */
    };
    if (c->tls) {
        setup.cb_exporter = c->tls->exporter;
        setup.cb_unique = c->tls->unique;
    }
    return sasl_client_open(l->arena, &setup, &l->sasl, why);
}

enum rc login_next(struct login *l, const struct login_connection *c, struct bytes *mechanism_out,
                   bool *has_initial_out, struct bytes *initial_out, struct why *why) {
    bool any = false;
    for (; l->next < COUNT_OF(mechanisms) && l->count < LOGIN_TRIES; l->next++) {
        if (!is_wanted(l, c, l->next))
            continue;
        any = true;
        if (mechanisms[l->next].reveals && !c->safe && !l->want->allow_plain) {
            l->unsafe = true;
            continue;
        }
        if (open_one(l, c, l->next, why) != OK)
            continue;
        l->next++;
        *mechanism_out = sasl_client_mechanism(l->sasl);
        *has_initial_out = sasl_client_initial(l->sasl, initial_out);
        l->tries[l->count++] = (struct login_try){ .mechanism = *mechanism_out };
        return OK;
    }
    l->unknown = !any && !l->count;
    return PERM;
}

enum rc login_answer(struct login *l, struct bytes challenge, struct bytes *response_out,
                     struct why *why) {
    return sasl_client_step(l->sasl, challenge, response_out, why);
}

bool login_result(struct login *l, int code, struct status status, struct bytes text,
                  struct why *why) {
    MUST(l->count);
    struct login_try *t = &l->tries[l->count - 1];
    t->code = code;
    t->status = status;
    t->text = arena_copy(l->arena, text);
    if (code / 100 != 2)
        return true;
    t->fine = sasl_client_finish(l->sasl, why) == OK;
    return t->fine;
}

/* A refusal of the password says more than one of the mechanism. */
const struct login_try *login_telling(const struct login *l) {
    const struct login_try *best = NULL;
    for (size_t i = 0; i < l->count; i++) {
        const struct login_try *t = &l->tries[i];
        if (!best || (t->code == 535 && best->code != 535))
            best = t;
    }
    return best;
}
