/* mailbox: a login's mailbox as its session sees it: opened when the decision lets it, read piece by
 * piece, changed once, at QUIT; and what is told of it afterwards. */
#include "retrieve/internal.h"

#include "base/must.h"

/* --- which mailbox, and what its login earns ---------------------------------------------------- */

/* A gateway's or a proxy's own address says nothing about who is behind it. */
static bool says_who(struct reader *s) {
    struct retrieve *r = s->stage;
    bool gateway = false;
    if (s->facts.client_unknown)
        return false;
    if (r->setup.is_gateway)
        r->setup.is_gateway(r->setup.ctx, s->facts.client, &gateway);
    return !gateway;
}

/* Found out anew when it is used: connector.c decides what it is worth. An app password opens none: a
 * window knows nothing of what it is bound to. */
static bool open_window(struct reader *s) {
    struct retrieve *r = s->stage;
    if (!config_pop_window(r->rules->config) || !says_who(s) || s->facts.app_password.len)
        return false;
    counters_pop_open(r->setup.counters, s->facts.client, s->facts.login_entry->address,
                      loop_wall(r->setup.loop));
    return true;
}

static void opened_event(struct reader *s, bool window) {
    struct event *e = event_begin("mailbox-opened");
    session_event_caller(e, s->id, &s->facts);
    event_text(e, "mailbox", s->facts.login_entry->address);
    event_u64(e, "messages", maildrop_count(s->drop));
    if (window)
        event_bool(e, "pop_before_smtp", true);
    event_end(e);
}

static void refuse_mailbox(struct reader *s, enum rc rc, const struct why *why) {
    struct why kept = *why; /* lies in the maildrop */
    s->tried = s->facts.login;
    reader_forget(s);
    maildrop_close(&s->drop);
    pop3_server_answer(s->machine, rc, &kept);
    s->tried = BYTES_NONE;
}

/* Whoever finds the mailbox in use has shown the right password all the same. */
static void on_opened(void *ctx, enum rc rc, const struct why *why) {
    struct reader *s = ctx;
    bool window = open_window(s);
    reader_idle_timer(s);
    if (rc != OK) {
        refuse_mailbox(s, rc, why);
    } else {
        opened_event(s, window);
        s->removed_all = true;
        pop3_server_maildrop(s->machine, maildrop_count(s->drop));
    }
    reader_pump(s);
}

static void ask_mailbox(struct reader *s);

static const struct directory_entry *copy_entry(struct arena *a,
                                                const struct directory_entry *from) {
    struct directory_entry *e = from ? ARENA_NEW(a, struct directory_entry) : NULL;
    if (e)
        *e = (struct directory_entry){ .kind = from->kind,
                                       .address = arena_copy(a, from->address),
                                       .disabled = from->disabled,
                                       .logins_since = from->logins_since };
    return e;
}

static void login_found(void *ctx, enum rc rc, const struct directory_entry *entry,
                        const struct why *why) {
    (void)why;
    struct reader *s = ctx;
    s->looking_up = false;
    s->facts.login_state = rc == OK ? FACT_KNOWN : FACT_FAILED;
    s->facts.login_entry = rc == OK ? copy_entry(s->arena, entry) : NULL;
    ask_mailbox(s);
    reader_pump(s);
}

static void refuse_decided(struct reader *s, const struct verdict *v) {
    struct bytes login = s->facts.login;
    s->tried = login;
    reader_forget(s);
    reader_refuse(s, v);
    s->tried = BYTES_NONE;
}

static void ask_mailbox(struct reader *s) {
    struct retrieve *r = s->stage;
    struct verdict v;
    s->facts.now = loop_wall(r->setup.loop);
    r->setup.decide(s->rules->config, STEP_MAILDROP, &s->facts, r->scratch, &v);
    if (v.rc == MORE) {
        MUST(v.missing == FACT_LOGIN && s->facts.login_state == FACT_UNKNOWN);
        s->looking_up = true;
        directory_find_login(r->setup.directory, s->facts.login, login_found, s);
    } else if (v.rc != OK) {
        refuse_decided(s, &v);
    } else {
        s->drop = maildrop_open(r->setup.maildrops, s->facts.login_entry->address, on_opened, s);
    }
    arena_reset(r->scratch);
}

void mailbox_open(void *ctx) {
    ask_mailbox(ctx);
}

/* --- messages ----------------------------------------------------------------------------------- */

uint64_t mailbox_size(void *ctx, uint32_t i) {
    struct reader *s = ctx;
    return maildrop_size(s->drop, i);
}

void mailbox_uid(void *ctx, uint32_t i, struct buf *out) {
    struct reader *s = ctx;
    maildrop_uid(s->drop, i, out);
}

static void on_fetched(void *ctx, enum rc rc, const struct why *why) {
    struct reader *s = ctx;
    s->reading = rc == OK;
    pop3_server_answer(s->machine, rc, why);
    reader_pump(s);
}

void mailbox_retrieve(void *ctx, uint32_t i, bool top) {
    struct reader *s = ctx;
    s->fetching = i;
    s->whole = !top;
    maildrop_fetch(s->drop, i, on_fetched, s);
}

static void message_event(struct reader *s, bool removed, uint32_t i) {
    char memory[64];
    struct buf id = buf_fixed(memory, sizeof memory);
    maildrop_message(s->drop, i, &id);
    if (!id.len)
        return; /* not one that we delivered */
    struct event *e = removed ? event_begin("removed-by-reader") : event_begin("fetched");
    session_event_caller(e, s->id, &s->facts);
    event_text(e, "message", buf_bytes(&id));
    event_text(e, "mailbox", s->facts.login_entry->address);
    event_end(e);
}

static void on_piece(void *ctx, enum rc rc, struct bytes piece, const struct why *why) {
    struct reader *s = ctx;
    if (rc != OK) {
        reader_refused_event(s, why);
    } else if (!piece.len && s->whole) {
        s->tally.fetched++;
        s->tally.octets += maildrop_size(s->drop, s->fetching);
        message_event(s, false, s->fetching);
    }
    pop3_server_content(s->machine, rc, piece);
    reader_pump(s);
}

void mailbox_read(void *ctx) {
    struct reader *s = ctx;
    maildrop_read(s->drop, on_piece, s);
}

void mailbox_content_end(void *ctx) {
    struct reader *s = ctx;
    s->reading = false;
    if (s->drop)
        maildrop_fetch_end(s->drop);
}

/* --- the end ------------------------------------------------------------------------------------ */

static bool is_marked(const struct reader *s, uint32_t i) {
    return (s->marked.at[i / 8] >> (i % 8)) & 1;
}

/* Message by message as long as they are not so many that telling would take long. */
static void tell_removed(struct reader *s) {
    uint32_t count = maildrop_count(s->drop);
    for (uint32_t i = 0; i < count; i++)
        s->tally.removed += is_marked(s, i);
    for (uint32_t i = 0; i < count && s->tally.removed <= TOLD_ONE_BY_ONE; i++)
        if (is_marked(s, i))
            message_event(s, true, i);
}

static void on_updated(void *ctx, enum rc rc, const struct why *why) {
    struct reader *s = ctx;
    s->updating = false;
    if (rc == OK)
        tell_removed(s);
    else
        s->removed_all = false;
    pop3_server_answer(s->machine, rc, why);
    reader_pump(s);
}

void mailbox_update(void *ctx, struct bytes marked) {
    struct reader *s = ctx;
    s->marked = buf_grow(marked.len + 1);
    buf_add(&s->marked, marked);
    s->updating = s->confirmed = true;
    maildrop_update(s->drop, marked, on_updated, s);
}

static void closed_event(struct reader *s) {
    struct event *e = event_begin("mailbox-closed");
    session_event_caller(e, s->id, &s->facts);
    event_text(e, "mailbox", s->facts.login_entry->address);
    event_u64(e, "fetched", s->tally.fetched);
    event_u64(e, "octets", s->tally.octets);
    event_u64(e, "removed", s->tally.removed);
    /* Without QUIT nothing is removed; with it, whatever becomes of the connection. */
    event_str(e, "end",
              !s->confirmed                    ? "without-quit"
              : s->updating || !s->removed_all ? "unsure"
                                               : "quit");
    event_end(e);
}

void mailbox_end(struct reader *s) {
    if (!s->drop)
        return;
    if (pop3_server_logged_in(s->machine))
        closed_event(s);
    s->reading = s->updating = false;
    maildrop_close(&s->drop);
    buf_free(&s->marked);
}
