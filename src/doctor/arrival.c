/* arrival: a mailbox is looked at again and again, as whoever fills it tells nobody; a Maildir by the names of
 * its files, an mbox by its growth. The listener is the server machine with a driver that takes
 * mail for one address, and keeps none. */
#include "doctor/arrival.h"
#include "base/list.h"
#include "base/must.h"
#include "smtp/server.h"
#include "sys/files.h"
#include "sys/random.h"
#include "sys/sockets.h"

#include <stdlib.h>
#include <string.h>

enum { NAMES_MAX = 200 * 1000, MBOX_MAX = 64 * 1024 * 1024, PATIENCE_MS = 60 * 1000, IDS = 12 };

struct known { /* names that were there at first, or have been read; sorted */
    size_t count;
    struct bytes *names;
};

struct arrivals {
    struct loop *loop;
    struct arena *arena;
    struct arrival_want want;
    arrived *on_message;
    void *ctx;
    struct timer timer;
    bool maildir;
    struct arena *known_arena[2];
    struct known known[2]; /* new/, cur/ */
    uint64_t offset;       /* of an mbox: read so far */
    struct stream_listener *listener;
    struct addr at;
    struct list sessions;
};

/* --- a Maildir -------------------------------------------------------------------------------- */

static const char *const folders[] = { "new", "cur" };

static int by_name(const void *a, const void *b) {
    return bytes_compare(*(const struct bytes *)a, *(const struct bytes *)b);
}

static bool is_known(const struct known *k, struct bytes name) {
    return k->count && bsearch(&name, k->names, k->count, sizeof name, by_name);
}

static void read_file(struct arrivals *v, struct arena *a, const char *folder, struct bytes name) {
    struct bytes message;
    struct bytes path =
        arena_printf(a, "%.*s/%s/%.*s", BYTES_FMT(v->want.path), folder, BYTES_FMT(name));
    if (files_read_from(path, 0, ARRIVAL_MESSAGE, a, &message, NULL) == OK)
        v->on_message(v->ctx, message, BYTES_NONE);
}

static void look_into(struct arrivals *v, size_t which, bool at_first) {
    struct arena *a = arena_open();
    struct known now = { 0 };
    struct bytes path = arena_printf(a, "%.*s/%s", BYTES_FMT(v->want.path), folders[which]);
    if (files_list(path, NAMES_MAX, a, &now.names, &now.count, NULL) != OK) {
        arena_close(&a);
        return;
    }
    for (size_t i = 0; !at_first && i < now.count; i++)
        if (!is_known(&v->known[which], now.names[i]))
            read_file(v, a, folders[which], now.names[i]);
    arena_close(&v->known_arena[which]);
    v->known_arena[which] = a;
    v->known[which] = now;
}

/* --- an mbox -------------------------------------------------------------------------------------- */

static void split_mbox(struct arrivals *v, struct bytes text) {
    while (text.len) {
        ptrdiff_t next = bytes_search(bytes_skip(text, 1), B("\nFrom "));
        size_t end = next < 0 ? text.len : (size_t)next + 2;
        v->on_message(v->ctx, bytes_first(text, end), BYTES_NONE);
        text = bytes_skip(text, end);
    }
}

/* What is behind the last look is read again until it is whole: a message may have been in the midst of
 * being written, and to see one twice does no harm. */
static void look_at_mbox(struct arrivals *v) {
    struct arena *a = arena_open();
    struct bytes text;
    if (files_read_from(v->want.path, v->offset, MBOX_MAX, a, &text, NULL) == OK)
        split_mbox(v, text);
    arena_close(&a);
}

static void look(void *ctx) {
    struct arrivals *v = ctx;
    if (v->maildir) {
        look_into(v, 0, false);
        look_into(v, 1, false);
    } else {
        look_at_mbox(v);
    }
    timer_set(v->loop, &v->timer, ARRIVAL_LOOK_MS, look, v);
}

static enum rc begin_looking(struct arrivals *v, struct why *why) {
    struct arena *a = arena_open();
    struct bytes new = arena_printf(a, "%.*s/new", BYTES_FMT(v->want.path)), *names;
    size_t count;
    v->maildir = files_list(new, NAMES_MAX, a, &names, &count, NULL) == OK;
    enum rc rc = OK;
    if (!v->maildir)
        rc = files_size(v->want.path, &v->offset, why);
    arena_close(&a);
    if (rc != OK)
        return rc;
    for (size_t i = 0; v->maildir && i < COUNT_OF(folders); i++)
        look_into(v, i, true);
    timer_set(v->loop, &v->timer, ARRIVAL_LOOK_MS, look, v);
    return OK;
}

/* --- the listener ----------------------------------------------------------------------------------- */

struct session {
    struct list_node node;
    struct arrivals *arrivals;
    struct arena *arena;
    struct stream *stream;
    struct smtp_server *machine;
    struct timer timer;
    struct buf message;
    bool closing;
};

static void session_close(struct session *s) {
    list_remove(&s->arrivals->sessions, &s->node);
    timer_clear(&s->timer);
    smtp_server_close(s->machine);
    if (s->stream)
        stream_close(&s->stream);
    buf_free(&s->message);
    struct arena *a = s->arena;
    arena_close(&a); /* s lies in it */
}

static void close_late(void *ctx) {
    session_close(ctx);
}

/* The machine is on the stack. */
static void close_soon(struct session *s) {
    s->closing = true;
    timer_set(s->arrivals->loop, &s->timer, 0, close_late, s);
}

static void session_flush(void *ctx) {
    struct session *s = ctx;
    struct buf *out = smtp_server_output(s->machine);
    if (s->stream && out->len)
        stream_write(s->stream, buf_bytes(out));
    buf_clear(out);
}

static void take(struct session *s) {
    smtp_server_answer(s->machine, OK, NULL);
}

static void refuse(struct session *s, int code, const char *status, const char *text) {
    struct why why;
    why_set(&why, PERM, code, status, "relaytest.only", "%s", text);
    smtp_server_answer(s->machine, PERM, &why);
}

static bool on_gate(void *ctx, enum smtp_verb verb, struct why *refuse_out) {
    (void)ctx, (void)verb, (void)refuse_out;
    return true;
}

static void on_helo(void *ctx, bool extended, struct bytes name) {
    (void)extended, (void)name;
    take(ctx);
}

static void on_mail(void *ctx, const struct smtp_mail *mail) {
    (void)mail;
    take(ctx);
}

static void on_rcpt(void *ctx, const struct smtp_rcpt *rcpt) {
    struct session *s = ctx;
    if (bytes_equal_nocase(rcpt->to.mailbox, s->arrivals->want.mailbox))
        take(s);
    else
        refuse(s, 550, "5.7.1", "A relay test listens here, for its own mailbox only");
}

static void on_data(void *ctx) {
    struct session *s = ctx;
    buf_clear(&s->message);
    take(s);
}

static void on_content(void *ctx, struct bytes content) {
    struct session *s = ctx;
    buf_add(&s->message, bytes_first(content, ARRIVAL_MESSAGE - s->message.len));
}

static void on_content_end(void *ctx, bool bare) {
    struct session *s = ctx;
    struct arrivals *v = s->arrivals;
    char memory[80];
    struct buf by = buf_fixed(memory, sizeof memory);
    (void)bare;
    addr_format(&by, stream_peer(s->stream));
    if (v->on_message(v->ctx, buf_bytes(&s->message), buf_bytes(&by)))
        take(s);
    else
        refuse(s, 554, "5.7.1", "A relay test listens here, and this is no message of it");
}

static void on_no_login(void *ctx, struct bytes mechanism, bool has_initial, struct bytes initial) {
    (void)mechanism, (void)has_initial, (void)initial;
    refuse(ctx, 502, "5.5.1", "There are no logins here");
}

static void on_nothing(void *ctx, struct bytes response) {
    (void)ctx, (void)response;
}

static void on_cancel(void *ctx) {
    (void)ctx;
}

static void on_starttls(void *ctx) {
    refuse(ctx, 502, "5.5.1", "There is no TLS here");
}

static void on_xclient(void *ctx, const struct smtp_command *command) {
    (void)command;
    refuse(ctx, 502, "5.5.1", "There is no XCLIENT here");
}

static void on_quit(void *ctx) {
    struct session *s = ctx;
    session_flush(s);
    close_soon(s);
}

static void on_refused(void *ctx, const struct why *why) {
    (void)ctx, (void)why;
}

static const struct smtp_server_driver server_driver = {
    .gate = on_gate,
    .helo = on_helo,
    .mail = on_mail,
    .rcpt = on_rcpt,
    .data = on_data,
    .content = on_content,
    .content_end = on_content_end,
    .auth = on_no_login,
    .auth_response = on_nothing,
    .auth_cancel = on_cancel,
    .starttls = on_starttls,
    .secure = on_cancel,
    .xclient = on_xclient,
    .reset = on_cancel,
    .flush = session_flush,
    .quit = on_quit,
    .refused = on_refused,
};

static void on_read(void *ctx, struct bytes data) {
    struct session *s = ctx;
    if (s->closing)
        return;
    timer_set(s->arrivals->loop, &s->timer, PATIENCE_MS, close_late, s);
    smtp_server_input(s->machine, data);
    session_flush(s);
}

static void on_end(void *ctx, int error) {
    (void)error;
    close_soon(ctx);
}

static const struct stream_handler stream_driver = { .on_read = on_read, .on_end = on_end };

static void on_accept(void *ctx, struct stream *stream) {
    struct arrivals *v = ctx;
    char id[IDS + 1];
    if (v->sessions.count == ARRIVAL_SESSIONS) {
        stream_abort(&stream);
        return;
    }
    struct buf b = buf_fixed(id, sizeof id);
    random_id(&b, IDS);
    struct arena *a = arena_open();
    struct session *s = ARENA_NEW(a, struct session);
    s->arena = a;
    s->arrivals = v;
    s->stream = stream;
    s->message = buf_grow(ARRIVAL_MESSAGE);
    s->machine =
        smtp_server_open(a, &server_driver, s, v->want.hostname, arena_copy(a, buf_bytes(&b)));
    list_append(&v->sessions, &s->node);
    stream_attach(stream, &stream_driver, s);
    timer_set(v->loop, &s->timer, PATIENCE_MS, close_late, s);
    smtp_server_begin(s->machine, NULL);
    session_flush(s);
}

static enum rc begin_listening(struct arrivals *v, struct why *why) {
    int fd = -1;
    if (sockets_taken(v->want.at))
        return why_set(why, PERM, 0, NULL, "sockets.taken", "somebody listens there already");
    enum rc rc = sockets_listen_tcp(v->want.at, &fd, why);
    if (rc != OK)
        return rc;
    v->at = sockets_bound(fd);
    v->listener = stream_listen(v->loop, fd, on_accept, v);
    return OK;
}

/* --- both --------------------------------------------------------------------------------------------- */

enum rc arrivals_open(struct loop *l, const struct arrival_want *want, arrived *on_message,
                      void *ctx, struct arrivals **out, struct why *why) {
    struct arena *a = arena_open();
    struct arrivals *v = ARENA_NEW(a, struct arrivals);
    enum rc rc = OK;
    v->loop = l;
    v->arena = a;
    v->want = *want;
    v->on_message = on_message;
    v->ctx = ctx;
    list_init(&v->sessions);
    if (want->path.len)
        rc = begin_looking(v, why);
    if (rc == OK && want->listens)
        rc = begin_listening(v, why);
    *out = v;
    if (rc != OK)
        arrivals_close(out);
    return rc;
}

struct addr arrivals_at(const struct arrivals *a) {
    return a->at;
}

void arrivals_close(struct arrivals **a) {
    struct arrivals *v = *a;
    *a = NULL;
    if (!v)
        return;
    timer_clear(&v->timer);
    if (v->listener)
        stream_listener_close(&v->listener);
    LIST_EACH(&v->sessions, n)
    session_close(CONTAINER_OF(n, struct session, node));
    for (size_t i = 0; i < COUNT_OF(folders); i++)
        arena_close(&v->known_arena[i]);
    struct arena *arena = v->arena;
    arena_close(&arena);
}
