/* answer_grants: addresses that the tripwire has suspended, listed and let go over the control socket.
 * One worker answers for all: they are in what the workers share. There are at most as many as one
 * answer holds. */
#include "base/event.h"
#include "base/num.h"
#include "bin/question.h"

static bool has_counters(struct question *q) {
    if (!q->answers->setup.counters)
        question_error(q, "no server runs: nothing is suspended");
    return q->answers->setup.counters != NULL;
}

void answer_grants_list(struct question *q, const json_t *request) {
    struct addr client;
    int64_t since;
    uint32_t cursor = 0;
    (void)request;
    if (!has_counters(q))
        return;
    while (counters_suspended_next(q->answers->setup.counters, &cursor, &client, &since)) {
        buf_str(&q->lines, "{\"address\":\"");
        addr_format(&q->lines, client);
        buf_printf(&q->lines, "%s\",\"since\":\"", client.family == 6 ? "/64" : "");
        num_format_rfc3339(&q->lines, since);
        buf_str(&q->lines, "\"}\n");
    }
    question_send(q, ANSWER_WHOLE);
}

void answer_grants_resume(struct question *q, const json_t *request) {
    struct bytes address = question_text(request, "address", q->arena), bare = address;
    struct addr client = { 0 };
    if (!has_counters(q))
        return;
    if (bytes_ends_nocase(bare, B("/64")))
        bare = bytes_first(bare, bare.len - 3);
    if (address.len && !addr_parse(bare, &client)) {
        question_error(q, "\"%.*s\" is not an IPv4 or IPv6 address", BYTES_FMT(address));
        return;
    }
    size_t count = counters_resume(q->answers->setup.counters, client);
    if (count) {
        struct event *e = event_begin("grant-resumed");
        if (client.family)
            event_addr(e, "client", client);
        event_u64(e, "addresses", count);
        event_text(e, "operator", question_text(request, "operator", q->arena));
        event_end(e);
    }
    buf_printf(&q->lines, "{\"resumed\":%zu}\n", count);
    question_send(q, ANSWER_WHOLE);
}
