/* A struct dns that answers from a table, in the next turn of the loop: for unit tests. Rows:
 *     { "example.com", DNS_MX, "10 mail.example.com" }, { "mail.example.com", DNS_A, "192.0.2.1" }
 * A value "TEMP" makes this question fail for now; "" says that the name exists without such records.
 * A name on no row does not exist. */
#ifndef TESTS_DNS_TABLE_H
#define TESTS_DNS_TABLE_H

#include "base/list.h"
#include "base/must.h"
#include "base/scan.h"
#include "dns/dns.h"

#include <stdlib.h>
#include <string.h>

struct table_row {
    const char *name;
    enum dns_type type;
    const char *value;
};
struct table {
    struct dns dns;
    struct loop *loop;
    const struct table_row *rows;
    size_t count;
    struct list questions;
    uint64_t next;
    unsigned asked;
};
struct table_question {
    struct list_node node;
    struct table *table;
    struct timer timer;
    uint64_t id;
    char name[256];
    enum dns_type type;
    dns_answered *on_answer;
    void *ctx;
};

static inline bool table_record(const struct table_row *row, struct dns_record *out) {
    struct scan s = scan_of(bytes_str(row->value));
    memset(out, 0, sizeof *out);
    switch (row->type) {
    case DNS_A:
    case DNS_AAAA:
        return addr_parse(s.rest, &out->address);
    case DNS_MX:
        out->preference = (uint16_t)scan_number(&s, 65535);
        scan_blanks(&s);
        out->name = s.rest;
        return !s.bad;
    default:
        out->name = out->data = s.rest;
        return s.rest.len > 0;
    }
}

static inline void table_answer(void *ctx) {
    struct table_question *q = ctx;
    struct dns_record records[32];
    struct dns_answer answer = { .rc = OK, .records = records, .canonical = bytes_str(q->name) };
    for (size_t i = 0; i < q->table->count && answer.count < COUNT_OF(records); i++) {
        const struct table_row *row = &q->table->rows[i];
        if (strcmp(row->name, q->name) != 0)
            continue;
        answer.exists = true;
        if (row->type != q->type)
            continue;
        if (!strcmp(row->value, "TEMP"))
            answer.rc =
                why_set(&answer.why, TEMP, 451, "4.4.3", "dns.failed", "no answer for %s", q->name);
        else if (table_record(row, &records[answer.count]))
            answer.count++;
    }
    list_remove(&q->table->questions, &q->node);
    q->on_answer(q->ctx, &answer);
    free(q);
}

static inline uint64_t table_ask(void *self, struct bytes name, enum dns_type type,
                                 dns_answered *on_answer, void *ctx) {
    struct table *t = self;
    struct table_question *q = calloc(1, sizeof *q);
    MUST(q && name.len < sizeof q->name);
    q->table = t;
    q->id = ++t->next;
    if (name.len)
        memcpy(q->name, name.at, name.len);
    q->type = type;
    q->on_answer = on_answer;
    q->ctx = ctx;
    t->asked++;
    list_append(&t->questions, &q->node);
    timer_set(t->loop, &q->timer, 0, table_answer, q);
    return q->id;
}

static inline void table_cancel(void *self, uint64_t id) {
    struct table *t = self;
    LIST_EACH(&t->questions, n) {
        struct table_question *q = CONTAINER_OF(n, struct table_question, node);
        if (q->id != id)
            continue;
        timer_clear(&q->timer);
        list_remove(&t->questions, n);
        free(q);
    }
}

static inline void table_open(struct table *t, struct loop *l, const struct table_row *rows,
                              size_t count) {
    *t = (struct table){ .loop = l, .rows = rows, .count = count };
    t->dns = (struct dns){ .self = t, .ask = table_ask, .cancel = table_cancel };
    list_init(&t->questions);
}

#endif
