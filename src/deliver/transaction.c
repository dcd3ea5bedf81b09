/* transaction: MAIL, a group of RCPTs and the content, and what each reply means for whom (promise
 * 4 of the design; RFC 5321 section 4.5.3.1.10 for recipients beyond a server's number). */
#include "base/must.h"
#include "deliver/internal.h"

#include <string.h>

static size_t position(const struct conn *c, size_t index) {
    return c->transaction.positions[index];
}

static const struct recipient *recipient_at(const struct task *t, size_t at) {
    return &t->job->envelope->recipients[t->job->recipients[at]];
}

/* --- may this message go to this server at all ------------------------------------------------ */

static void refuse(struct conn *c, size_t at, const char *status, const char *reason,
                   const char *text) {
    struct why why;
    why_set(&why, PERM, 0, status, reason, "%s", text);
    struct outcome o = conn_fault(c, OUTCOME_FAILED, "EHLO", &why);
    o.blast = BLAST_MESSAGE;
    task_settle(c->task, at, &o);
}

static void refuse_all(struct conn *c, const char *status, const char *reason, const char *text) {
    for (size_t i = 0; i < c->task->job->count; i++)
        if (c->task->steps[i] != STEP_DONE)
            refuse(c, i, status, reason, text);
}

static void refuse_utf8(struct conn *c) {
    static const char no_utf8[] =
        "the message needs SMTPUTF8 (an address or header field is not ASCII), which the next "
        "server does not speak";
    struct task *t = c->task;
    if (convert_needs_utf8(t)) {
        refuse_all(c, "5.6.7", "utf8.next-hop", no_utf8);
        return;
    }
    for (size_t i = 0; i < t->job->count; i++)
        if (t->steps[i] != STEP_DONE && !bytes_is_ascii(recipient_at(t, i)->final))
            refuse(c, i, "5.6.7", "utf8.next-hop", no_utf8);
}

/* RFC 6152 section 3: what cannot be converted is returned. */
static void refuse_eightbit(struct conn *c) {
    const struct downgrade_finding *f = c->task->finding;
    bool address = !strcmp(f->status, "5.6.7");
    struct bytes text = arena_printf(
        c->task->arena,
        "the next server takes 7-bit content only (it does not offer 8BITMIME), and the "
        "message cannot be converted: %s",
        f->obstacle);
    refuse_all(c, f->status, address ? "utf8.next-hop" : "eightbit.next-hop", text.at);
}

static void refuse_what_cannot_go(struct conn *c) {
    const struct smtp_peer *peer = smtp_client_peer(c->client);
    struct task *t = c->task;
    if (peer->has_size && peer->size && t->job->content.size > peer->size)
        refuse_all(c, "5.3.4", "size.next-hop", "the message is larger than the next server takes");
    if (!peer->smtputf8)
        refuse_utf8(c);
    if (convert_is_needed(c) && t->finding->obstacle)
        refuse_eightbit(c);
}

/* --- sending ---------------------------------------------------------------------------------- */

static size_t step_size(const struct conn *c) {
    uint64_t told = smtp_client_peer(c->client)->rcpt_max;
    size_t step = !told ? RECIPIENTS_STEP : told < RECIPIENTS_MAX ? (size_t)told : RECIPIENTS_MAX;
    return step < c->task->left ? step : c->task->left;
}

/* In one transaction: with the same reverse-path, and sent on from the same address of ours. */
static bool go_together(const struct recipient *a, const struct recipient *b) {
    return bytes_equal(a->sender, b->sender) && bytes_equal(a->forwarder, b->forwarder);
}

static const struct smtp_client_rcpt *gather(struct conn *c) {
    struct task *t = c->task;
    struct transaction *x = &c->transaction;
    size_t most = step_size(c);
    *x = (struct transaction){ .positions = ARENA_ARRAY(t->arena, most, uint32_t),
                               .taken = ARENA_ARRAY(t->arena, most, uint8_t),
                               .blocked = stream_pending(c->stream) >= 64 * 1024 };
    struct smtp_client_rcpt *rcpts = ARENA_ARRAY(t->arena, most, struct smtp_client_rcpt);
    const struct recipient *first = NULL;
    for (size_t i = 0; i < t->job->count && x->count < most; i++) {
        const struct recipient *r = recipient_at(t, i);
        if (t->steps[i] != STEP_WAITING || (first && !go_together(first, r)))
            continue;
        first = first ? first : r;
        t->steps[i] = STEP_SENT;
        rcpts[x->count] = (struct smtp_client_rcpt){ r->final, r->notify, r->orcpt };
        x->positions[x->count++] = (uint32_t)i;
    }
    return rcpts;
}

/* An alias may have led to an address that the client's message did not need SMTPUTF8 for. */
static bool ask_utf8(const struct conn *c, const struct smtp_client_rcpt *rcpts) {
    const struct envelope *e = c->task->job->envelope;
    bool needed = (e->flags & ENVELOPE_UTF8) || !bytes_is_ascii(e->sender) ||
                  !bytes_is_ascii(envelope_sender(e, recipient_at(c->task, position(c, 0))));
    for (size_t i = 0; i < c->transaction.count && !needed; i++)
        needed = !bytes_is_ascii(rcpts[i].mailbox);
    return needed;
}

bool transaction_begin(struct conn *c) {
    struct task *t = c->task;
    const struct envelope *e = t->job->envelope;
    if (convert_must_look(c) && !convert_look(c))
        return true;
    refuse_what_cannot_go(c);
    if (!t->left)
        return false;
    const struct smtp_client_rcpt *rcpts = gather(c);
    MUST(c->transaction.count);
    convert_begin(c);
    c->messages++;
    const struct recipient *first = recipient_at(t, position(c, 0));
    if (first->forwarder.len) /* should it come back, we know that it was here */
        c->transaction.prefix =
            arena_printf(t->arena, "Delivered-To: %.*s\r\n", BYTES_FMT(first->forwarder));
    struct smtp_client_mail mail = {
        .sender = envelope_sender(e, first),
        .size = t->job->probe ? 0 : convert_size(c) + c->transaction.prefix.len,
        .probe = t->job->probe,
        .eightbit = e->flags & (ENVELOPE_8BIT | ENVELOPE_UTF8 | ENVELOPE_FOUND_8BIT),
        .smtputf8 = ask_utf8(c, rcpts),
        .whole = t->job->content.size < CHUNKED_FROM || c->hop->no_chunking ||
                 c->transaction.converts || c->transaction.prefix.len,
        .ret = e->flags & ENVELOPE_RET_FULL   ? 1
               : e->flags & ENVELOPE_RET_HDRS ? 2
                                              : 0,
        .envid = e->envid,
        .count = c->transaction.count,
        .rcpts = rcpts,
    };
    smtp_client_mail(c->client, &mail);
    conn_flush(c);
    conn_watch(c);
    return true;
}

void transaction_read_again(struct conn *c) {
    bool waited = c->transaction.waits;
    c->transaction.waits = false;
    if (waited)
        conn_go_on(c);
    else
        transaction_pump(c);
}

void transaction_unreadable(struct conn *c, const char *text) {
    struct why said;
    why_set(&said, TEMP, 0, "4.3.0", "backend.spool", "the message could not be read: %s", text);
    conn_fail_why(c, "DATA", &said);
}

/* The last piece is marked as sent before it goes: its answer may be there at once. */
static void give(struct conn *c, struct bytes piece, uint64_t size) {
    struct transaction *x = &c->transaction;
    x->offset += piece.len;
    x->window = false;
    x->sent_all = x->offset == size;
    if (!convert_give(c, piece, x->sent_all)) {
        x->sent_all = false;
        transaction_unreadable(c, "it is not what it was when it was looked through");
    }
}

static void send_piece(struct task *t, enum rc rc, struct bytes data, const struct why *why) {
    struct conn *c = t->conn;
    bool stale = t->read_stale;
    t->read_stale = false;
    if (!c || c->phase != CONN_MAIL)
        return;
    if (stale) { /* read for a connection that is gone */
        transaction_read_again(c);
        return;
    }
    struct transaction *x = &c->transaction;
    uint64_t size = t->job->content.size;
    /* Less than there must be would go out as a whole message: never. */
    if (rc != OK || !data.len || data.len > size - x->offset) {
        transaction_unreadable(c, rc != OK && why ? why->text : "it is shorter than recorded");
        return;
    }
    give(c, data, size);
    if (t->conn == c && c->phase == CONN_MAIL) {
        conn_flush(c);
        conn_watch(c);
        transaction_pump(c);
    }
}

static void on_piece(void *arg, enum rc rc, struct bytes data, const struct why *why) {
    struct task *t = arg;
    if (!task_read_over(t))
        return;
    struct deliver *d = t->deliver;
    deliver_in_hand(d, t);
    send_piece(t, rc, data, why);
    deliver_in_hand(d, NULL);
}

/* In front of the first piece; what it costs was in SIZE. */
static void give_prefix(struct conn *c) {
    struct transaction *x = &c->transaction;
    x->prefix_sent = true;
    x->window = false;
    smtp_client_content(c->client, x->prefix, false);
}

static size_t piece_size(const struct conn *c) {
    uint64_t rest = c->task->job->content.size - c->transaction.offset;
    size_t most =
        smtp_client_content_goes(c->client) == SMTP_CONTENT_FIRST_CHUNK ? FIRST_CHUNK : PIECE;
    return rest < most ? (size_t)rest : most;
}

static void give_from_memory(struct conn *c) {
    struct transaction *x = &c->transaction;
    struct bytes all = c->task->job->content.memory;
    give(c, bytes_slice(all, (size_t)x->offset, (size_t)x->offset + piece_size(c)), all.len);
    if (c->phase == CONN_MAIL)
        conn_flush(c);
}

/* Gives content as long as the machine wants it and the connection takes it. */
void transaction_pump(struct conn *c) {
    struct transaction *x = &c->transaction;
    struct task *t = c->task;
    if (x->pumping)
        return;
    x->pumping = true;
    while (t && t->conn == c && x->window && !x->blocked && !x->sent_all && !t->reading) {
        const struct content *content = &t->job->content;
        if (x->prefix.len && !x->prefix_sent) {
            give_prefix(c);
        } else if (content->memory.len || !content->size) {
            give_from_memory(c);
        } else {
            t->reading = true;
            content->read(content->ctx, x->offset, piece_size(c), on_piece, t);
        }
    }
    x->pumping = false;
}

/* --- replies ---------------------------------------------------------------------------------- */

/* For every recipient of this transaction that has no answer yet. */
static void settle_all(struct conn *c, const struct outcome *o, bool taken_only) {
    struct transaction *x = &c->transaction;
    for (size_t i = 0; i < x->count; i++)
        if (c->task->steps[position(c, i)] == STEP_SENT && (x->taken[i] || !taken_only))
            task_settle(c->task, position(c, i), o);
}

static enum outcome_kind kind_of(int code) {
    return code >= 500 ? OUTCOME_FAILED : OUTCOME_DEFERRED;
}

static void on_mail(struct conn *c, size_t index, const struct smtp_reply *reply) {
    (void)index;
    c->transaction.answered = true;
    if (reply->code < 300)
        return;
    struct outcome o = conn_said(c, kind_of(reply->code), SMTP_STAGE_MAIL, reply);
    o.blast = BLAST_MESSAGE;
    settle_all(c, &o, false);
}

/* 452, and 552 where it means the same, with others taken before: those go in the next transaction
 * (RFC 5321 section 4.5.3.1.10). 552 is also what full mailboxes say. */
static bool is_too_many(const struct conn *c, const struct smtp_reply *reply) {
    if ((reply->code != 452 && reply->code != 552) || !c->transaction.taken_count)
        return false;
    if (reply->status.subject == 5 && reply->status.detail == 3)
        return true;
    return !status_is_set(reply->status) || bytes_search_nocase(reply->text, B("too many")) >= 0;
}

/* All that a probe wanted to know. */
static void settle_taken(struct conn *c, size_t index, const struct smtp_reply *reply) {
    struct outcome o = conn_said(c, OUTCOME_DELIVERED, SMTP_STAGE_RCPT, reply);
    o.blast = BLAST_RECIPIENT;
    task_settle(c->task, position(c, index), &o);
}

static void on_rcpt(struct conn *c, size_t index, const struct smtp_reply *reply) {
    struct transaction *x = &c->transaction;
    struct task *t = c->task;
    if (index >= x->count || t->steps[position(c, index)] != STEP_SENT)
        return;
    if (reply->code < 300) {
        x->taken[index] = 1;
        x->taken_count++;
        if (t->job->probe)
            settle_taken(c, index, reply);
        return;
    }
    if (is_too_many(c, reply)) {
        t->steps[position(c, index)] = STEP_WAITING;
        return;
    }
    struct outcome o = conn_said(c, kind_of(reply->code), SMTP_STAGE_RCPT, reply);
    /* Promise 4: "too many recipients" is for now, whichever code says it. */
    if (reply->code == 552 && ((reply->status.subject == 5 && reply->status.detail == 3) ||
                               bytes_search_nocase(reply->text, B("too many")) >= 0))
        o.kind = OUTCOME_DEFERRED;
    o.blast = BLAST_RECIPIENT;
    task_settle(t, position(c, index), &o);
}

static void on_data(struct conn *c, size_t index, const struct smtp_reply *reply) {
    (void)index;
    if (reply->code >= 300 && reply->code < 400)
        return;
    /* A 2xx instead of 354 would be a server that skips the content. */
    struct outcome o = conn_said(c, kind_of(reply->code), SMTP_STAGE_DATA, reply);
    o.blast = BLAST_MESSAGE;
    settle_all(c, &o, true);
}

static struct outcome final_outcome(const struct conn *c, const struct smtp_reply *reply) {
    enum outcome_kind kind = reply->code >= 300         ? kind_of(reply->code)
                             : c->hop->kind == HOP_LMTP ? OUTCOME_DELIVERED
                                                        : OUTCOME_RELAYED;
    struct outcome o = conn_said(c, kind, SMTP_STAGE_END_OF_DATA, reply);
    o.blast = c->hop->kind == HOP_LMTP ? BLAST_RECIPIENT : BLAST_MESSAGE;
    o.dsn_passed_on = kind == OUTCOME_RELAYED && smtp_client_peer(c->client)->dsn;
    return o;
}

bool transaction_chunk_unknown(const struct conn *c, const struct smtp_reply *reply) {
    return smtp_client_content_goes(c->client) == SMTP_CONTENT_FIRST_CHUNK && reply->code >= 500 &&
           reply->code <= 504;
}

static void on_final(struct conn *c, size_t index, const struct smtp_reply *reply) {
    struct transaction *x = &c->transaction;
    struct outcome o = final_outcome(c, reply);
    if (c->hop->kind != HOP_LMTP) {
        settle_all(c, &o, true);
    } else if (index < x->count && c->task->steps[position(c, index)] == STEP_SENT) {
        task_settle(c->task, position(c, index), &o);
    }
}

static void (*const on_reply[SMTP_STAGES])(struct conn *c, size_t index,
                                           const struct smtp_reply *reply) = {
    [SMTP_STAGE_MAIL] = on_mail,
    [SMTP_STAGE_RCPT] = on_rcpt,
    [SMTP_STAGE_DATA] = on_data,
    [SMTP_STAGE_END_OF_DATA] = on_final,
};

void transaction_reply(struct conn *c, enum smtp_stage stage, size_t index,
                       const struct smtp_reply *reply) {
    on_reply[stage](c, index, reply);
}

/* --- the end ---------------------------------------------------------------------------------- */

bool transaction_over(struct conn *c) {
    struct task *t = c->task;
    struct transaction *x = &c->transaction;
    for (size_t i = 0; i < x->count; i++) {
        if (t->steps[position(c, i)] != STEP_SENT)
            continue;
        struct why why;
        why_set(&why, TEMP, 0, "4.5.0", "deliver.protocol",
                "the server gave no answer for this recipient");
        struct outcome o = conn_fault(c, OUTCOME_DEFERRED, "end of data", &why);
        o.blast = BLAST_MESSAGE;
        task_settle(t, position(c, i), &o);
    }
    x->count = 0;
    if (!t->left)
        return false;
    return transaction_begin(c);
}

/* The connection broke. Once the final dot went out the message may have been taken: those
 * recipients wait for another attempt, which may double it, and are marked so. All others may be
 * tried elsewhere. */
void transaction_broken(struct conn *c, const struct outcome *failure) {
    struct task *t = c->task;
    struct transaction *x = &c->transaction;
    for (size_t i = 0; i < x->count; i++) {
        size_t at = position(c, i);
        if (t->steps[at] != STEP_SENT)
            continue;
        if (x->sent_all && x->taken[i]) {
            struct outcome o = *failure;
            o.kind = OUTCOME_DEFERRED;
            o.uncertain = true;
            task_settle(t, at, &o);
        } else {
            t->steps[at] = STEP_WAITING;
        }
    }
    x->count = 0;
}
