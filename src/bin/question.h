/* question: what the files that answer the control socket share. Only answer.c and answer_*.c
 * include it. */
#ifndef BIN_QUESTION_H
#define BIN_QUESTION_H

#include "base/list.h"
#include "bin/answer.h"

#include <jansson.h>

enum { PAGE_OCTETS = 120 * 1024 };

struct answers {
    struct answers_setup setup;
    struct list questions;
    struct offload *history, *people; /* NULL until somebody asks */
};

struct question {
    struct list_node node;
    struct answers *answers;
    uint64_t number;
    struct arena *arena;
    void (*next)(struct question *q); /* makes the next page */
    struct store_filter filter;
    struct buf cursor;
    struct buf lines;
    size_t limit;  /* messages of the page under way */
    size_t fitted; /* of them, those that found room */
    bool over;     /* one did not: the page is made again, with a smaller limit */
    bool owed;     /* the store owes a page, or another the end of an order */
    bool stopped;
    /* POP windows */
    struct bytes login, operator_name;
    struct addr client;
    uint32_t row;
    /* of a tenant's administrator (answer_as.c) */
    enum schedule_order order;
    struct message_id id;
    bool found, steers;
    struct bytes scope; /* the tenant: only what is its own is told; empty: everything */
    bool proving;       /* keeper or directory owe an answer */
    struct auth_exchange *exchange;
    struct timer timer;
    struct tracing *tracing;        /* answer_trace.c's */
    struct people_listing *listing; /* answer_people.c's */
    json_t *request;
    void (*answer)(struct question *q, const json_t *request);
};

void question_free(struct question *q);
/* After any end but ANSWER_MORE the question is gone. */
void question_send(struct question *q, enum answer_end end);
void question_error(struct question *q, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
struct bytes question_text(const json_t *object, const char *key, struct arena *a);

/* answer_as.c: proves that `as` of the request administers a tenant, then lets `answer` begin with
 * q->scope set. */
void question_as(struct question *q, json_t *request,
                 void (*answer)(struct question *q, const json_t *request));
void question_end_as(struct question *q);

/* answer_pop.c */
void answer_pop_open(struct question *q, const json_t *request);
void answer_pop_close(struct question *q, const json_t *request);
void answer_pop_list(struct question *q, const json_t *request);

/* answer_trace.c */
void answer_trace(struct question *q, const json_t *request);
void answer_trace_end(struct question *q);

/* answer_people.c */
void answer_people(struct question *q, const json_t *request);
void answer_people_end(struct question *q);

/* answer_grants.c */
void answer_grants_list(struct question *q, const json_t *request);
void answer_grants_resume(struct question *q, const json_t *request);

#endif
