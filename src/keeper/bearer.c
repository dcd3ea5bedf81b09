/* bearer: which provider a token belongs to, and the dialogue around a bad one. */
#include "keeper/bearer.h"

#include "base/must.h"
#include "keeper/hash.h"

#include <stdlib.h>
#include <string.h>

struct bearer {
    enum oauth_mechanism mechanism;
    struct arena *arena;
    const struct token_view *view;
    const struct token_had *had;
    int64_t wall;
    bool has_message, spoiled;
    struct oauth_message message;
    unsigned provider; /* the one that is tried */
    bool asked;        /* that one's need was met, for better or worse */
    enum oauth_fault fault;
    struct why why;
    bool told;
};

struct bearer *bearer_open(enum oauth_mechanism mechanism) {
    struct bearer *b = calloc(1, sizeof *b);
    MUST(b);
    b->mechanism = mechanism;
    b->arena = arena_open();
    return b;
}

void bearer_close(struct bearer **out) {
    struct bearer *b = *out;
    if (!b)
        return;
    if (b->message.token.len)
        explicit_bzero((void *)(uintptr_t)b->message.token.at, b->message.token.len);
    arena_close(&b->arena);
    free(b);
    *out = NULL;
}

void bearer_give(struct bearer *b, const struct token_view *view, int64_t wall,
                 const struct token_had *had) {
    b->view = view;
    b->wall = wall;
    b->had = had;
    b->asked |= had != NULL;
}

const struct why *bearer_why(const struct bearer *b, bool *told_out) {
    *told_out = b->told;
    return &b->why;
}

struct bytes bearer_user(const struct bearer *b) {
    return b->message.user;
}

/* --- a bad token ----------------------------------------------------------------------------------- */

static bool is_harmless(enum oauth_fault fault) {
    return fault == OAUTH_EXPIRED || fault == OAUTH_EARLY || fault == OAUTH_AUDIENCE ||
           fault == OAUTH_NOBODY || fault == OAUTH_INACTIVE;
}

/* RFC 7628 section 3.2.2: the reason comes as a challenge; the client answers it, and then fails. */
void bearer_spoil(struct bearer *b, const char *text, bool told, struct bearer_answer *out) {
    struct bytes issuer = b->view && b->view->count ? b->view->list[0].policy.issuer : BYTES_NONE;
    b->spoiled = true;
    b->told = told;
    why_set(&b->why, PERM, 535, "5.7.8", "auth.failed", "The token is not good: %s", text);
    buf_clear(out->data);
    oauth_message_refusal(out->data, b->mechanism, issuer);
    out->result = BEARER_BAD;
    out->login = b->message.user;
}

static void down(struct bearer *b, const struct why *why, struct bearer_answer *out) {
    b->why = *why;
    b->told = false;
    out->result = BEARER_DOWN;
}

static void need(struct bearer *b, int what, struct bearer_answer *out) {
    out->result = BEARER_NEEDS;
    out->need.what = what;
    out->need.provider = b->provider;
    out->need.token = b->message.token;
}

/* --- one provider ---------------------------------------------------------------------------------- */

/* False when this provider has not the last word: the next one is tried. */
typedef bool trying(struct bearer *b, const struct token_view_provider *p,
                    struct bearer_answer *out);

static bool found(struct bearer *b, struct bytes login, struct bearer_answer *out) {
    out->result = BEARER_DONE;
    out->login = arena_copy(b->arena, login);
    return true;
}

static bool try_introspection(struct bearer *b, const struct token_view_provider *p,
                              struct bearer_answer *out) {
    (void)p;
    if (!b->asked) {
        need(b, NEED_INTROSPECTION, out);
        return true;
    }
    if (!b->had || b->had->rc != OK) {
        down(b, &b->had->why, out);
        return true;
    }
    b->fault = b->had->fault;
    return !b->fault && found(b, bytes_of(b->had->login, b->had->login_len), out);
}

static bool try_keys(struct bearer *b, const struct token_view_provider *p,
                     struct bearer_answer *out) {
    struct oauth_token token;
    if (!p->keys && b->asked) {
        static const struct why none = { .reason = "backend.oauth",
                                         .text = "the provider's keys are not to be had" };
        down(b, b->had && b->had->rc != OK ? &b->had->why : &none, out);
        return true;
    }
    if (p->keys)
        b->fault = oauth_token_check(b->arena, b->message.token, p->keys->keys, &p->policy, b->wall,
                                     &token);
    if (!b->asked && (!p->keys || b->fault == OAUTH_NO_KEY)) {
        need(b, NEED_KEYS, out);
        return true;
    }
    return !b->fault && found(b, token.login, out);
}

/* The issuer a token claims chooses the provider; whether it is true the signature tells. */
static bool belongs(struct bearer *b, const struct token_view_provider *p, bool signed_token,
                    struct bytes issuer) {
    if (!signed_token || !issuer.len) {
        b->fault = OAUTH_SHAPE;
        return p->introspects;
    }
    b->fault = OAUTH_ISSUER;
    return bytes_equal(issuer, p->policy.issuer);
}

static void check(struct bearer *b, struct bearer_answer *out) {
    struct bytes issuer;
    bool signed_token = oauth_token_issuer(b->arena, b->message.token, &issuer);
    enum oauth_fault worst = OAUTH_FINE;
    for (; b->provider < b->view->count; b->provider++, b->asked = false) {
        const struct token_view_provider *p = &b->view->list[b->provider];
        trying *try = p->introspects ? try_introspection : try_keys;
        bool ours = belongs(b, p, signed_token, issuer);
        if (ours && try(b, p, out))
            return;
        if (ours || !worst)
            worst = b->fault;
    }
    bearer_spoil(b, oauth_fault_text(worst ? worst : OAUTH_ISSUER), is_harmless(worst), out);
}

/* --- steps ----------------------------------------------------------------------------------------- */

void bearer_step(struct bearer *b, bool has_input, struct bytes input, struct bearer_answer *out) {
    if (b->spoiled) { /* its dummy answer, whatever it is */
        out->result = BEARER_REFUSED;
        return;
    }
    if (!has_input) {
        out->result = BEARER_CHALLENGE;
        return;
    }
    if (!b->has_message) {
        if (!oauth_message_parse(b->arena, b->mechanism, arena_copy(b->arena, input),
                                 &b->message)) {
            out->result = BEARER_MALFORMED;
            return;
        }
        b->has_message = true;
    }
    if (!b->message.token.len || b->message.token.len > OAUTH_TOKEN_MAX)
        bearer_spoil(b, oauth_fault_text(OAUTH_SHAPE), false, out);
    else
        check(b, out);
}
