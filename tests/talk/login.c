/* login: GNU SASL as a server that knows one user. */
#include "login.h"
#include "base/must.h"

#include <gsasl.h>
#include <stdlib.h>
#include <string.h>

struct login {
    Gsasl *library;
    Gsasl_session *session;
    char *user, *password;
    bool finished; /* all was said but the client's empty answer to the last challenge */
};

static int on_property(Gsasl *library, Gsasl_session *session, Gsasl_property property) {
    struct login *l = gsasl_callback_hook_get(library);
    const char *said;
    switch (property) {
    case GSASL_PASSWORD:
        said = gsasl_property_fast(session, GSASL_AUTHID);
        if (!said || strcmp(said, l->user) != 0)
            return GSASL_AUTHENTICATION_ERROR;
        return gsasl_property_set(session, property, l->password);
    default:
        return GSASL_NO_CALLBACK;
    }
}

static char *copy(struct bytes text) {
    char *c = strndup(text.at, text.len);
    MUST(c);
    return c;
}

struct login *login_open(struct bytes mechanism, struct bytes user, struct bytes password) {
    struct login *l = calloc(1, sizeof(*l));
    MUST(l);
    l->user = copy(user);
    l->password = copy(password);
    char *name = copy(mechanism);
    MUST(gsasl_init(&l->library) == GSASL_OK);
    gsasl_callback_set(l->library, on_property);
    gsasl_callback_hook_set(l->library, l);
    if (gsasl_server_start(l->library, name, &l->session) != GSASL_OK)
        login_close(&l);
    free(name);
    return l;
}

enum rc login_step(struct login *l, struct bytes line, struct buf *out) {
    struct buf input = buf_grow(65536);
    char *output = NULL;
    size_t length = 0;
    if (l->finished)
        return line.len ? PERM : OK;
    if (!bytes_equal(line, B("=")) && !buf_unbase64(&input, line)) {
        buf_free(&input);
        return PERM;
    }
    /* The library's LOGIN reads up to a NUL. */
    const char *text = buf_text(&input);
    int code = gsasl_step(l->session, text, input.len, &output, &length);
    buf_free(&input);
    if (code == GSASL_NEEDS_MORE || (code == GSASL_OK && length))
        buf_base64(out, bytes_of(output, length));
    bool more = code == GSASL_NEEDS_MORE || (code == GSASL_OK && length);
    gsasl_free(output);
    l->finished = code == GSASL_OK;
    return more ? MORE : code == GSASL_OK ? OK : PERM;
}

void login_close(struct login **lp) {
    struct login *l = *lp;
    *lp = NULL;
    if (!l)
        return;
    if (l->session)
        gsasl_finish(l->session);
    gsasl_done(l->library);
    free(l->user);
    free(l->password);
    free(l);
}
