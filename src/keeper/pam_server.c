/* pam_server: the helper process. Each question is answered by a copy of the process, which ends with
 * the answer as its exit status: modules that hang are killed, those that leak take it with them. */
#include "base/list.h"
#include "base/must.h"
#include "keeper/hash.h"
#include "keeper/pam.h"
#include "sys/channel.h"
#include "sys/forked.h"

#include <security/pam_appl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    AT_ONCE = 16,
    WAITING_MAX = 200,
    PATIENCE_MS = 10000, /* below the keeper's */
    STATUS_RIGHT = 0,
    STATUS_WRONG = 1,
    STATUS_DOWN = 64, /* and up: 64 + PAM's own code */
    STATUS_NO_SERVICE = 2,
};

struct pam_server {
    struct loop *loop;
    struct service *service;
    struct list waiting, running;
};

struct work {
    struct list_node node;
    struct pam_server *server;
    struct service_call *call;
    struct forked *fork;
    struct timer timer;
    char service[65], user[LOGIN_MAX + 1], password[PASSWORD_MAX + 1], host[64];
};

/* --- in the copy --------------------------------------------------------------------------------- */

/* Every question asked without echo is taken for the one about the password. */
static int converse(int count, const struct pam_message **messages, struct pam_response **out,
                    void *ctx) {
    const struct work *w = ctx;
    if (count <= 0 || count > PAM_MAX_NUM_MSG)
        return PAM_CONV_ERR;
    *out = calloc((size_t)count, sizeof **out);
    MUST(*out);
    for (int i = 0; i < count; i++) {
        int style = messages[i]->msg_style;
        if (style == PAM_PROMPT_ECHO_OFF)
            (*out)[i].resp = strdup(w->password);
        else if (style == PAM_PROMPT_ECHO_ON)
            (*out)[i].resp = strdup(w->user);
    }
    return PAM_SUCCESS;
}

/* Whoever guesses is slowed down by the keeper; a sleep here would only hold up others. */
static void no_delay(int code, unsigned microseconds, void *ctx) {
    (void)code;
    (void)microseconds;
    (void)ctx;
}

static const int wrong[] = {
    PAM_AUTH_ERR,          PAM_USER_UNKNOWN, PAM_MAXTRIES,
    PAM_PERM_DENIED,       PAM_ACCT_EXPIRED, PAM_NEW_AUTHTOK_REQD,
    PAM_CRED_INSUFFICIENT, PAM_CRED_EXPIRED, PAM_AUTHTOK_EXPIRED,
};

static int status_of(int code) {
    if (code == PAM_SUCCESS)
        return STATUS_RIGHT;
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        if (wrong[i] == code)
            return STATUS_WRONG;
    return STATUS_DOWN + code;
}

/* Without a file of its own PAM takes the service "other", which is not what was configured. */
static bool has_service(const char *service) {
    static const char *const folders[] = { "/etc/pam.d", "/usr/lib/pam.d", "/usr/share/pam.d" };
    char path[128];
    for (size_t i = 0; i < COUNT_OF(folders); i++) {
        snprintf(path, sizeof path, "%s/%s", folders[i], service);
        if (access(path, F_OK) == 0)
            return true;
    }
    return false;
}

static int judge(void *ctx) {
    struct work *w = ctx;
    struct pam_conv conversation = { .conv = converse, .appdata_ptr = w };
    pam_handle_t *pam = NULL;
    if (!has_service(w->service))
        return STATUS_NO_SERVICE;
    int code = pam_start(w->service, w->user, &conversation, &pam);
    if (code != PAM_SUCCESS)
        return STATUS_DOWN + code;
    void (*delay)(int, unsigned, void *) = no_delay;
    const void *as_item;
    memcpy(&as_item, &delay, sizeof as_item);
    pam_set_item(pam, PAM_FAIL_DELAY, as_item);
    pam_set_item(pam, PAM_RHOST, w->host);
    pam_set_item(pam, PAM_TTY, "postern");
    code = pam_authenticate(pam, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
    if (code == PAM_SUCCESS)
        code = pam_acct_mgmt(pam, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
    pam_end(pam, code);
    return status_of(code);
}

/* --- in the helper --------------------------------------------------------------------------------- */

static void start_next(struct pam_server *p);

static void reply(struct work *w, enum source_result result, const char *text) {
    char memory[512];
    struct buf b = buf_fixed(memory, sizeof memory);
    pam_format_answer(&b, result, bytes_str(text));
    service_reply(w->call, buf_bytes(&b));
    explicit_bzero(w, sizeof *w);
    free(w);
}

static void reply_status(struct work *w, bool exited, int status) {
    char text[200] = "";
    enum source_result result = SOURCE_DOWN;
    if (exited && status <= STATUS_WRONG)
        result = status == STATUS_RIGHT ? SOURCE_RIGHT : SOURCE_WRONG;
    else if (exited && status == STATUS_NO_SERVICE)
        snprintf(text, sizeof text, "there is no /etc/pam.d/%s", w->service);
    else if (exited && status >= STATUS_DOWN)
        snprintf(text, sizeof text, "service %s: %s", w->service,
                 pam_strerror(NULL, status - STATUS_DOWN));
    else
        snprintf(text, sizeof text, "service %s did not answer", w->service);
    reply(w, result, text);
}

static void on_end(void *ctx, bool exited, int status) {
    struct work *w = ctx;
    struct pam_server *p = w->server;
    list_remove(&p->running, &w->node);
    timer_clear(&w->timer);
    reply_status(w, exited, status);
    start_next(p);
}

static void on_patience(void *ctx) {
    struct work *w = ctx;
    forked_kill(w->fork); /* its end is told as any other */
}

static void start_next(struct pam_server *p) {
    while (p->running.count < AT_ONCE && p->waiting.count) {
        struct work *w = CONTAINER_OF(list_pop(&p->waiting), struct work, node);
        w->fork = forked_begin(p->loop, judge, on_end, w);
        if (!w->fork) {
            reply(w, SOURCE_DOWN, "no process can be made");
            continue;
        }
        list_append(&p->running, &w->node);
        timer_set(p->loop, &w->timer, PATIENCE_MS, on_patience, w);
    }
}

static void copy(char *into, size_t size, struct bytes text) {
    struct buf b = buf_fixed(into, size);
    buf_add(&b, text);
    buf_text(&b);
}

static void on_call(void *ctx, struct service_call *call, struct bytes request) {
    struct pam_server *p = ctx;
    struct pam_question q;
    struct work *w = calloc(1, sizeof *w);
    MUST(w);
    w->server = p;
    w->call = call;
    if (!pam_parse_question(request, &q) || p->waiting.count >= WAITING_MAX) {
        reply(w, SOURCE_DOWN, "too much to do");
        return;
    }
    struct buf host = buf_fixed(w->host, sizeof w->host);
    copy(w->service, sizeof w->service, q.service);
    copy(w->user, sizeof w->user, q.user);
    copy(w->password, sizeof w->password, q.password);
    addr_format(&host, q.client);
    buf_text(&host);
    list_append(&p->waiting, &w->node);
    start_next(p);
}

struct pam_server *pam_serve(struct loop *l, int fd) {
    struct pam_server *p = calloc(1, sizeof *p);
    MUST(p);
    p->loop = l;
    list_init(&p->waiting);
    list_init(&p->running);
    p->service = service_open(l, fd, on_call, p);
    return p;
}

void pam_server_close(struct pam_server **out) {
    struct pam_server *p = *out;
    if (!p)
        return;
    LIST_EACH(&p->running, n) {
        struct work *w = CONTAINER_OF(n, struct work, node);
        list_remove(&p->running, n);
        timer_clear(&w->timer);
        forked_cancel(&w->fork);
        reply(w, SOURCE_DOWN, "the helper is ending");
    }
    LIST_EACH(&p->waiting, n) {
        list_remove(&p->waiting, n);
        reply(CONTAINER_OF(n, struct work, node), SOURCE_DOWN, "the helper is ending");
    }
    service_close(&p->service);
    free(p);
    *out = NULL;
}
