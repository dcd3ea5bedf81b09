/* answer: requests of the control socket, as a table of commands. */
#include "bin/answer.h"
#include "base/must.h"
#include "base/num.h"
#include "bin/question.h"
#include "bin/scope.h"
#include "sys/offload.h"

#include <stdarg.h>
#include <stdlib.h>

enum { PAGE_MESSAGES = 100, LIMITS_MAX = 400, RATES_MAX = 8 };

void question_free(struct question *q) {
    question_end_as(q);
    answer_trace_end(q);
    answer_people_end(q);
    if (list_linked(&q->node))
        list_remove(&q->answers->questions, &q->node);
    buf_free(&q->cursor);
    buf_free(&q->lines);
    arena_close(&q->arena);
    free(q);
}

void question_send(struct question *q, enum answer_end end) {
    struct answers *a = q->answers;
    a->setup.send(a->setup.ctx, q->number, buf_bytes(&q->lines), end);
    buf_clear(&q->lines);
    if (end != ANSWER_MORE)
        question_free(q);
}

void question_error(struct question *q, const char *format, ...) {
    char text[300];
    struct buf b = buf_fixed(text, sizeof text);
    va_list args;
    va_start(args, format);
    buf_vprintf(&b, format, args);
    va_end(args);
    buf_str(&q->lines, "{\"error\":");
    buf_json(&q->lines, buf_bytes(&b));
    buf_str(&q->lines, "}\n");
    question_send(q, ANSWER_WHOLE);
}

static void send_lines(struct question *q, bool more) {
    question_send(q, more ? ANSWER_MORE : ANSWER_LAST);
}

/* --- queue list -------------------------------------------------------------------------- */

static void add_key(struct buf *out, const char *key, struct bytes value) {
    buf_printf(out, ",\"%s\":", key);
    buf_json(out, value);
}

static void add_time(struct buf *out, const char *key, int64_t wall_ms) {
    buf_printf(out, ",\"%s\":\"", key);
    num_format_rfc3339(out, wall_ms);
    buf_char(out, '"');
}

static void add_recipient(struct buf *out, const struct recipient *to,
                          const struct store_recipient *r) {
    buf_str(out, "{\"address\":");
    buf_json(out, to->final);
    if (!bytes_equal(to->final, to->original))
        add_key(out, "original", to->original);
    add_key(out, "state", bytes_str(recipient_state_name(r->state)));
    buf_printf(out, ",\"attempts\":%u", r->attempts);
    if (r->next && !recipient_state_final(r->state))
        add_time(out, "next", r->next);
    add_key(out, "next_hop", r->next_hop);
    if (r->reply.len)
        add_key(out, "reply", r->reply);
    buf_char(out, '}');
}

static const struct config *config_of(const struct question *q) {
    return q->answers->setup.config(q->answers->setup.ctx);
}

/* What is not its own is not there for a tenant's administrator. */
static bool sees(const struct question *q, const struct envelope *e, const struct recipient *r) {
    return !q->scope.len || scope_sees_recipient(config_of(q), q->scope, e, r);
}

static bool fits(struct bytes mailbox, const struct store_filter *f) {
    ptrdiff_t at = bytes_find_last(mailbox, '@');
    return (!f->recipient.len || bytes_equal_nocase(mailbox, f->recipient)) &&
           (!f->domain.len || bytes_equal_nocase(bytes_skip(mailbox, (size_t)(at + 1)), f->domain));
}

/* A filter must not find out recipients that are not shown. */
static bool found_by_own(const struct question *q, const struct envelope *e) {
    for (size_t i = 0; i < e->count; i++)
        if (sees(q, e, &e->recipients[i]) && (fits(e->recipients[i].original, &q->filter) ||
                                              fits(e->recipients[i].final, &q->filter)))
            return true;
    return false;
}

/* One message as the JSON of `queue list` (design.md's keys). */
static void add_message(const struct question *q, struct buf *out, struct store_message *m) {
    const struct envelope *e = store_message_envelope(m);
    const struct store_recipient *r = store_message_recipients(m);
    struct message_id id = store_message_id(m);
    buf_str(out, "{\"id\":");
    buf_json(out, message_id_bytes(&id));
    add_key(out, "from", e->sender);
    buf_printf(out, ",\"size\":%llu", (unsigned long long)store_message_content(m).size);
    add_time(out, "arrived", e->arrived);
    add_key(out, "message_id", e->message_header_id);
    if (e->login.len)
        add_key(out, "login", e->login);
    if (e->tenant.len)
        add_key(out, "tenant", e->tenant);
    buf_str(out, ",\"recipients\":[");
    const char *between = "";
    for (size_t i = 0; i < e->count; i++) {
        if (!sees(q, e, &e->recipients[i]))
            continue;
        buf_str(out, between);
        add_recipient(out, &e->recipients[i], &r[i]);
        between = ",";
    }
    buf_str(out, "]}\n");
}

/* A message to thousands of recipients may not fit one page: it gets its own, as far as it goes. */
static void on_message(void *ctx, struct store_message *m) {
    struct question *q = ctx;
    size_t before = q->lines.len;
    if (q->over || (q->scope.len && !found_by_own(q, store_message_envelope(m))))
        return;
    add_message(q, &q->lines, m);
    if (q->lines.full && q->fitted) {
        q->over = true;
        return;
    }
    q->fitted++;
    if (q->lines.full) {
        struct message_id id = store_message_id(m);
        buf_cut(&q->lines, before);
        q->lines.full = false;
        buf_printf(&q->lines,
                   "{\"id\":\"%s\",\"error\":\"too many recipients to list at once: ask "
                   "for this id alone\"}\n",
                   id.text);
    }
}

static void scan(struct question *q);

static void on_page(void *ctx, enum rc rc, struct bytes next, bool more) {
    struct question *q = ctx;
    q->owed = false;
    if (q->stopped) {
        question_free(q);
        return;
    }
    if (q->over && rc == OK) {
        buf_clear(&q->lines);
        q->limit = q->fitted;
        scan(q);
        return;
    }
    q->limit = PAGE_MESSAGES;
    buf_clear(&q->cursor);
    buf_add(&q->cursor, next);
    if (rc != OK)
        buf_str(&q->lines, "{\"error\":\"the spool could not be read to its end\"}\n");
    /* Slices of a millisecond may find nothing: go on by ourselves until there is something. */
    if (rc == OK && more && !q->lines.len) {
        scan(q);
        return;
    }
    send_lines(q, rc == OK && more);
}

static void scan(struct question *q) {
    static const struct store_scan_events events = { on_message, on_page };
    q->owed = true;
    q->over = false;
    q->fitted = 0;
    store_scan(q->answers->setup.store, &q->filter, buf_bytes(&q->cursor), q->limit, &events, q);
}

struct bytes question_text(const json_t *object, const char *key, struct arena *a) {
    const json_t *value = json_object_get(object, key);
    if (!json_is_string(value))
        return BYTES_NONE;
    return arena_copy(a, bytes_of(json_string_value(value), json_string_length(value)));
}

static uint32_t states_of(struct bytes names) {
    uint32_t bits = 0;
    struct bytes name;
    enum recipient_state state;
    while (bytes_split(&names, ',', &name))
        if (recipient_state_parse(bytes_trim(name), &state))
            bits |= 1u << state;
    return bits;
}

static void queue_list(struct question *q, const json_t *request) {
    const json_t *f = json_object_get(request, "filter");
    q->filter = (struct store_filter){
        .id = question_text(f, "id", q->arena),
        .sender = question_text(f, "sender", q->arena),
        .recipient = question_text(f, "recipient", q->arena),
        .domain = question_text(f, "domain", q->arena),
        .next_hop = question_text(f, "next_hop", q->arena),
        .older_than = json_integer_value(json_object_get(f, "older_than")),
        .newer_than = json_integer_value(json_object_get(f, "newer_than")),
        .states = states_of(question_text(f, "state", q->arena)),
    };
    scan(q);
}

/* --- queue stats ------------------------------------------------------------------------- */

static void queue_stats(struct question *q, const json_t *request) {
    (void)request;
    struct store_stats st;
    store_stats(q->answers->setup.store, &st);
    struct buf *b = &q->lines;
    buf_printf(b, "{\"messages\":%llu,\"recipients\":%llu,\"octets\":%llu",
               (unsigned long long)st.messages, (unsigned long long)st.recipients,
               (unsigned long long)st.octets);
    for (int i = 0; i < RECIPIENT_STATES; i++)
        if (!recipient_state_final(i) && i != RECIPIENT_SENDING)
            buf_printf(b, ",\"%s\":%llu", recipient_state_name(i),
                       (unsigned long long)st.by_state[i]);
    buf_printf(b, ",\"segments\":%llu,\"segment_octets\":%llu,\"syncs\":%llu,\"committed\":%llu",
               (unsigned long long)st.segments, (unsigned long long)st.segment_octets,
               (unsigned long long)st.syncs, (unsigned long long)st.committed);
    if (st.oldest)
        add_time(b, "oldest", st.oldest);
    buf_str(b, "}\n");
    send_lines(q, false);
}

/* --- operate ----------------------------------------------------------------------------- */

static void operated(void *arg, enum rc rc, size_t changed, const struct why *why) {
    struct question *q = arg;
    q->owed = false;
    if (q->stopped) {
        question_free(q);
        return;
    }
    if (rc == OK)
        buf_printf(&q->lines, "{\"changed\":%zu}\n", changed);
    else {
        buf_str(&q->lines, "{\"changed\":0,\"error\":");
        buf_json(&q->lines, bytes_str(why ? why->text : "failed"));
        buf_str(&q->lines, "}\n");
    }
    send_lines(q, false);
}

static void carry_out(struct question *q) {
    q->owed = true;
    q->answers->setup.operate(q->answers->setup.ctx, q->order, q->id, q->operator_name, operated,
                              q);
}

/* For a tenant's administrator: is it a message of its own? One that is not is not there. */
static void on_looked_at(void *ctx, struct store_message *m) {
    struct question *q = ctx;
    q->found = true;
    q->steers = scope_steers_message(config_of(q), q->scope, store_message_envelope(m));
}

static void look_at(struct question *q);

static void on_looked(void *ctx, enum rc rc, struct bytes next, bool more) {
    struct question *q = ctx;
    q->owed = false;
    buf_clear(&q->cursor);
    buf_add(&q->cursor, next);
    if (q->stopped) {
        question_free(q);
    } else if (q->steers) {
        carry_out(q);
    } else if (rc == OK && more && !q->found) {
        look_at(q);
    } else {
        buf_str(&q->lines, "{\"changed\":0}\n");
        send_lines(q, false);
    }
}

static void look_at(struct question *q) {
    static const struct store_scan_events events = { on_looked_at, on_looked };
    q->owed = true;
    store_scan(q->answers->setup.store, &q->filter, buf_bytes(&q->cursor), PAGE_MESSAGES, &events,
               q);
}

static void operate(struct question *q, const json_t *request) {
    static const char *const names[] = { [ORDER_RETRY] = "retry",
                                         [ORDER_HOLD] = "hold",
                                         [ORDER_RELEASE] = "release",
                                         [ORDER_BOUNCE] = "bounce",
                                         [ORDER_REMOVE] = "remove" };
    struct bytes name = question_text(request, "order", q->arena);
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (bytes_equal(name, bytes_str(names[i])) &&
            message_id_parse(question_text(request, "id", q->arena), &q->id)) {
            q->order = (enum schedule_order)i;
            q->operator_name = question_text(request, "operator", q->arena);
            q->filter = (struct store_filter){ .id = message_id_bytes(&q->id) };
            if (q->scope.len)
                look_at(q);
            else
                carry_out(q);
            return;
        }
    buf_str(&q->lines, "{\"error\":\"no such order, or no message id\"}\n");
    send_lines(q, false);
}

/* --- limits ------------------------------------------------------------------------------ */

static struct rates json_rates(const json_t *list, struct arena *a) {
    size_t count = json_array_size(list) < RATES_MAX ? json_array_size(list) : RATES_MAX;
    struct rate *rates = ARENA_ARRAY(a, count ? count : 1, struct rate);
    for (size_t i = 0; i < count; i++) {
        const json_t *pair = json_array_get(list, i);
        json_int_t most = json_integer_value(json_array_get(pair, 0));
        json_int_t window = json_integer_value(json_array_get(pair, 1));
        rates[i].count = most > 0 ? (uint64_t)most : 0;
        rates[i].window_ms = window > 0 ? window : 1;
    }
    return (struct rates){ count, rates };
}

static struct counters_limit json_limit(const json_t *from, struct arena *a) {
    json_int_t besides = json_integer_value(json_object_get(from, "besides"));
    return (struct counters_limit){ .key = question_text(from, "key", a),
                                    .rates = json_rates(json_object_get(from, "rates"), a),
                                    .crowd = json_is_true(json_object_get(from, "crowd")),
                                    .besides = besides > 0 ? (uint64_t)besides : 0 };
}

/* The limits that a question is about, and the times that belong together. */
struct looking {
    struct question *question;
    struct counters_limit *limits;
    size_t count;
    int64_t now, wall;
};

static void looked(void *ctx, enum rc rc, const struct why *why) {
    const struct looking *k = ctx;
    struct buf *b = &k->question->lines;
    k->question->owed = false;
    if (k->question->stopped) {
        question_free(k->question);
        return;
    }
    if (rc != OK) {
        buf_str(b, "{\"error\":");
        buf_json(b, bytes_str(why->text));
        buf_str(b, "}\n");
    }
    for (size_t i = 0; rc == OK && i < k->count; i++) {
        const struct counters_limit *l = &k->limits[i];
        buf_printf(b, "{\"full\":%s", l->full ? "true" : "false");
        if (l->full)
            buf_printf(b, ",\"most\":%llu,\"window\":%lld,\"opens\":%lld",
                       (unsigned long long)l->which.count, (long long)l->which.window_ms,
                       (long long)(k->wall + l->opens - k->now));
        buf_str(b, "}\n");
    }
    question_send(k->question, ANSWER_WHOLE);
}

/* All workers share the counters: one tells it all. */
static void limits(struct question *q, const json_t *request) {
    const struct answers_setup *setup = &q->answers->setup;
    const json_t *list = json_object_get(request, "limits");
    struct looking *k = ARENA_NEW(q->arena, struct looking);
    if (!setup->counters || json_array_size(list) > LIMITS_MAX) {
        buf_str(&q->lines, setup->counters ? "{\"error\":\"too many limits at once\"}\n"
                                           : "{\"error\":\"no server counts here\"}\n");
        question_send(q, ANSWER_WHOLE);
        return;
    }
    k->question = q;
    k->count = json_array_size(list);
    k->limits = ARENA_ARRAY(q->arena, k->count ? k->count : 1, struct counters_limit);
    for (size_t i = 0; i < k->count; i++)
        k->limits[i] = json_limit(json_array_get(list, i), q->arena);
    json_int_t at = json_integer_value(json_object_get(request, "at"));
    int64_t wall = loop_wall(setup->loop);
    k->wall = at > 0 ? at : wall;
    k->now = loop_now(setup->loop) + k->wall - wall;
    q->owed = true;
    counters_look(setup->counters, k->limits, k->count, k->now, looked, k);
}

/* --- questions --------------------------------------------------------------------------- */

static const struct {
    const char *name;
    void (*answer)(struct question *q, const json_t *request);
    bool scoped; /* a tenant's administrator may ask it, of what is its own */
} commands[] = {
    { "queue-list", queue_list, true },
    { "queue-stats", queue_stats, false },
    { "operate", operate, true },
    { "trace", answer_trace, true },
    { "people", answer_people, true },
    { "limits", limits, false },
    { "pop-open", answer_pop_open, false },
    { "pop-close", answer_pop_close, false },
    { "pop-list", answer_pop_list, false },
    { "grants-list", answer_grants_list, false },
    { "grants-resume", answer_grants_resume, false },
};

static void begin(struct question *q, size_t command, json_t *json) {
    bool all = !q->answers->setup.auth || json_is_true(json_object_get(json, "trusted"));
    bool as = json_is_string(json_object_get(json, "as"));
    if (as && !commands[command].scoped)
        question_error(q, "a tenant's administrator cannot ask for that");
    else if (as && q->answers->setup.auth)
        question_as(q, json, commands[command].answer);
    else if (as || !all)
        question_error(q, "only root and the server's group may ask that; a tenant's administrator "
                          "names the login with --as, while the server runs");
    else
        commands[command].answer(q, json);
}

static struct question *find_question(struct answers *a, uint64_t number) {
    LIST_EACH(&a->questions, n) {
        struct question *q = CONTAINER_OF(n, struct question, node);
        if (q->number == number)
            return q;
    }
    return NULL;
}

void answers_ask(struct answers *a, uint64_t number, struct bytes request) {
    struct question *q = calloc(1, sizeof(*q));
    MUST(q);
    q->answers = a;
    q->number = number;
    q->arena = arena_open();
    q->cursor = buf_grow(1024);
    q->lines = buf_grow(PAGE_OCTETS);
    q->limit = PAGE_MESSAGES;
    q->next = scan;
    list_append(&a->questions, &q->node);
    json_t *json = json_loadb(request.at, request.len, 0, NULL);
    struct bytes name = question_text(json, "command", q->arena);
    for (size_t i = 0; i < COUNT_OF(commands); i++)
        if (bytes_equal(name, bytes_str(commands[i].name))) {
            begin(q, i, json);
            json_decref(json);
            return;
        }
    buf_str(&q->lines, "{\"error\":\"this server does not know that request\"}\n");
    send_lines(q, false);
    json_decref(json);
}

void answers_next(struct answers *a, uint64_t number) {
    struct question *q = find_question(a, number);
    if (q && !q->owed)
        q->next(q);
}

void answers_stop(struct answers *a, uint64_t number) {
    struct question *q = find_question(a, number);
    if (!q)
        return;
    q->stopped = true;
    if (!q->owed)
        question_free(q);
}

struct answers *answers_open(const struct answers_setup *setup) {
    struct answers *a = calloc(1, sizeof(*a));
    MUST(a);
    a->setup = *setup;
    list_init(&a->questions);
    return a;
}

void answers_close(struct answers **ap) {
    struct answers *a = *ap;
    *ap = NULL;
    if (!a)
        return;
    LIST_EACH(&a->questions, n) {
        struct question *q = CONTAINER_OF(n, struct question, node);
        list_remove(&a->questions, n);
        q->stopped = true;
        if (!q->owed || q->proving) /* else it ends when the store has given what it owes */
            question_free(q);
    }
    if (a->history)
        offload_close(&a->history);
    if (a->people)
        offload_close(&a->people);
    free(a);
}
