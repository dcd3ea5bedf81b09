/* answer_pop: windows of POP before SMTP, opened, closed and listed over the control socket: by
 * `postern pop`, and by whatever runs POP3 or IMAP beside us. One worker answers for all: the windows
 * are in what they share. */
#include "base/event.h"
#include "base/must.h"
#include "base/num.h"
#include "bin/question.h"

static const struct config *config_of(const struct question *q) {
    const struct answers_setup *s = &q->answers->setup;
    return s->counters && s->config ? s->config(s->ctx) : NULL;
}

/* False: the question is answered, by an error. Both may be left out where `all` says so. */
static bool take_pair(struct question *q, const json_t *request, bool all) {
    struct bytes address = question_text(request, "address", q->arena);
    q->login = arena_lower(q->arena, question_text(request, "login", q->arena));
    q->operator_name = question_text(request, "operator", q->arena);
    if (!config_of(q))
        question_error(q, "no server runs: there are no windows");
    else if (!config_pop_window(config_of(q)))
        question_error(q, "no connector has pop_before_smtp: a window would grant nothing");
    else if (address.len && !addr_parse(address, &q->client))
        question_error(q, "\"%.*s\" is not an IPv4 or IPv6 address", BYTES_FMT(address));
    else if (!all && (!address.len || !q->login.len))
        question_error(q, "login and address are both needed");
    else
        return true;
    return false;
}

static void add_window(const struct question *q, const struct counters_popped *p, struct buf *b) {
    char text[64];
    struct buf address = buf_fixed(text, sizeof text);
    addr_format(&address, p->client);
    buf_str(b, "{\"login\":");
    buf_json(b, p->login);
    buf_printf(b, ",\"address\":\"%s\",\"at\":%lld,\"opened\":\"", buf_text(&address),
               (long long)p->at);
    num_format_rfc3339(b, p->at);
    buf_str(b, "\",\"until\":\"");
    num_format_rfc3339(b, p->at + config_pop_window(config_of(q)));
    buf_str(b, "\"}\n");
}

/* --- open ----------------------------------------------------------------------------------- */

static void opened_event(const struct question *q, struct bytes login) {
    struct event *e = event_begin("pop-opened");
    event_text(e, "login", login);
    event_addr(e, "client", q->client);
    event_text(e, "operator", q->operator_name);
    event_end(e);
}

static void open_for(struct question *q, const struct directory_entry *entry) {
    const struct answers_setup *s = &q->answers->setup;
    struct counters_popped window = { entry->address, q->client, loop_wall(s->loop) };
    counters_pop_open(s->counters, window.client, window.login, window.at);
    opened_event(q, window.login);
    add_window(q, &window, &q->lines);
    question_send(q, ANSWER_WHOLE);
}

static void login_found(void *ctx, enum rc rc, const struct directory_entry *entry,
                        const struct why *why) {
    struct question *q = ctx;
    q->owed = false;
    if (q->stopped)
        question_free(q);
    else if (rc != OK)
        question_error(q, "%s", why->text);
    else if (!entry)
        question_error(q, "%.*s is not a user", BYTES_FMT(q->login));
    else if (entry->disabled)
        question_error(q, "%.*s is disabled", BYTES_FMT(q->login));
    else
        open_for(q, entry);
}

static bool is_gateway(const struct question *q) {
    const struct answers_setup *s = &q->answers->setup;
    bool gateway = false;
    if (s->is_gateway)
        s->is_gateway(s->ctx, q->client, &gateway);
    return gateway;
}

void answer_pop_open(struct question *q, const json_t *request) {
    if (!take_pair(q, request, false))
        return;
    if (is_gateway(q)) {
        question_error(q, "this is a default gateway or bridge address of this host: NAT or a "
                          "proxy there hides who is calling, so it earns nothing");
        return;
    }
    q->owed = true;
    directory_find_login(q->answers->setup.directory, q->login, login_found, q);
}

/* --- close ---------------------------------------------------------------------------------- */

void answer_pop_close(struct question *q, const json_t *request) {
    if (!take_pair(q, request, true))
        return;
    size_t count = counters_pop_close(q->answers->setup.counters, q->login, q->client);
    if (count) {
        struct event *e = event_begin("pop-closed");
        event_text(e, "login", q->login);
        if (q->client.family)
            event_addr(e, "client", q->client);
        event_u64(e, "windows", count);
        event_text(e, "operator", q->operator_name);
        event_end(e);
    }
    buf_printf(&q->lines, "{\"closed\":%zu}\n", count);
    question_send(q, ANSWER_WHOLE);
}

/* --- list ----------------------------------------------------------------------------------- */

static bool is_asked_for(const struct question *q, const struct counters_popped *p, int64_t now) {
    int64_t age = now - p->at;
    return age >= 0 && age < config_pop_window(config_of(q)) &&
           (!q->login.len || bytes_equal(q->login, p->login)) &&
           (!q->client.family || addr_equal(q->client, p->client));
}

static void list_page(struct question *q) {
    const struct answers_setup *s = &q->answers->setup;
    int64_t now = loop_wall(s->loop);
    struct counters_popped row;
    struct arena *a = arena_open();
    bool more = true;
    while (q->lines.len < PAGE_OCTETS - 1024 &&
           (more = counters_pop_next(s->counters, &q->row, a, &row))) {
        if (is_asked_for(q, &row, now))
            add_window(q, &row, &q->lines);
        arena_reset(a);
    }
    arena_close(&a);
    question_send(q, more ? ANSWER_MORE : ANSWER_WHOLE);
}

void answer_pop_list(struct question *q, const json_t *request) {
    if (!take_pair(q, request, true))
        return;
    q->next = list_page;
    list_page(q);
}
