/* token: XOAUTH2 and OAUTHBEARER as exchanges of the server side: what bearer.c finds of the token is held
 * against the logins there are. A token needs no password to compare with, but a login that exists. */
#include "keeper/exchange.h"

#include <string.h>

void server_give(struct server *s, const struct token_view *view, int64_t wall,
                 const struct token_had *had) {
    if (s->bearer)
        bearer_give(s->bearer, view, wall, had);
}

static void set_login(struct bytes name, struct server_answer *out) {
    struct buf login = buf_fixed(out->login, sizeof out->login);
    prepare_login(name, &login);
    out->login_len = login.len;
}

/* As with a password, a login that does not exist and one that is disabled look alike. */
static void take_token(struct server *s, struct bearer_answer *a, struct server_answer *out) {
    struct account *account = &s->account;
    struct why why;
    set_login(a->login, out);
    struct bytes login = bytes_of(out->login, out->login_len), user = bearer_user(s->bearer);
    if (user.len && !server_same_login(user, login)) {
        bearer_spoil(s->bearer, "it is not made out to the login that was given", true, a);
        return;
    }
    enum rc rc = checker_ready(s->checker, &why);
    if (rc == OK)
        rc = secrets_find(s->checker->secrets, login, account, &why);
    if (rc != OK)
        server_down(s, &why, out);
    else if (account->found && !account->disabled)
        server_in(s, NULL, out);
    else
        bearer_spoil(s->bearer, "the mailbox it names is no login here", true, a);
}

static void take_back(struct server *s, struct server_answer *out) {
    out->why = *bearer_why(s->bearer, &out->told);
    server_end(s, AUTH_REFUSED, out);
}

void step_token(struct server *s, bool has_input, struct bytes input, int64_t now,
                struct server_answer *out) {
    struct bearer_answer a = { .data = &out->data };
    bool told;
    (void)now;
    out->result = AUTH_CHALLENGE;
    bearer_step(s->bearer, has_input, input, &a);
    if (a.result == BEARER_DONE)
        take_token(s, &a, out);
    switch (a.result) {
    case BEARER_CHALLENGE:
    case BEARER_DONE: /* take_token has said it */
        break;
    case BEARER_NEEDS:
        out->need = a.need;
        server_wait(s, WAIT_TOKENS, out);
        break;
    case BEARER_BAD:
        set_login(a.login, out);
        out->guess = true;
        break;
    case BEARER_REFUSED:
        take_back(s, out);
        break;
    case BEARER_MALFORMED:
        server_malformed(s, "expected the login, and auth=Bearer with a token", out);
        break;
    case BEARER_DOWN:
        server_down(s, bearer_why(s->bearer, &told), out);
        break;
    }
}
