/* convert: what the content of a message asks of the next server, and content made fit for one that does
 * not offer it (RFC 6152 section 3). Most messages are known to be ASCII since they were received; others
 * are looked through once a task, and only if a server is met that lacks 8BITMIME or SMTPUTF8. Nothing is
 * held in memory but the piece that is on its way. */
#include "base/must.h"
#include "deliver/internal.h"

enum { CONVERTED_MAX = 16 * 1024 * 1024 }; /* of one piece, with a header that ends in it */

static bool known_ascii(const struct envelope *e) {
    return (e->flags & (ENVELOPE_LOOKED | ENVELOPE_FOUND_8BIT)) == ENVELOPE_LOOKED;
}

/* RFC 6531 section 3.1: SMTPUTF8 is offered with 8BITMIME; who forgets the second means it. */
static bool takes_eightbit(const struct conn *c) {
    const struct smtp_peer *peer = smtp_client_peer(c->client);
    return peer->eightbit || peer->smtputf8;
}

bool convert_must_look(const struct conn *c) {
    const struct envelope *e = c->task->job->envelope;
    bool utf8 = e->flags & ENVELOPE_UTF8 && !smtp_client_peer(c->client)->smtputf8;
    bool matters = utf8 || !takes_eightbit(c);
    return matters && !known_ascii(e) && !c->task->finding;
}

/* --- looking ------------------------------------------------------------------------------------ */

static void read_on(struct task *t);

/* The connection may be another one by now, which waits for this, or only for its turn to read. */
static void looked(struct task *t) {
    t->finding = downgrade_scanned(t->downgrade);
    if (t->conn && t->conn->phase == CONN_MAIL)
        transaction_read_again(t->conn);
}

static void unreadable(struct task *t, const struct why *why) {
    struct conn *c = t->conn;
    if (!c || c->phase != CONN_MAIL)
        return;
    if (c->transaction.waits)
        transaction_unreadable(c, why ? why->text : "it is shorter than recorded");
    else
        transaction_read_again(c);
}

static void on_piece(void *arg, enum rc rc, struct bytes data, const struct why *why) {
    struct task *t = arg;
    if (!task_read_over(t))
        return;
    deliver_in_hand(t->deliver, t);
    t->read_stale = false;
    if (rc != OK || !data.len || data.len > t->job->content.size - t->looked) {
        unreadable(t, rc != OK ? why : NULL);
    } else {
        t->looked += data.len;
        downgrade_scan(t->downgrade, data);
        read_on(t);
    }
    deliver_in_hand(t->deliver, NULL);
}

static void read_on(struct task *t) {
    const struct content *content = &t->job->content;
    uint64_t rest = content->size - t->looked;
    if (!rest) {
        looked(t);
        return;
    }
    t->reading = true;
    content->read(content->ctx, t->looked, rest < PIECE ? (size_t)rest : PIECE, on_piece, t);
}

bool convert_look(struct conn *c) {
    struct task *t = c->task;
    c->transaction.waits = true;
    timer_clear(&c->timer); /* the server owes us nothing */
    if (t->reading)         /* for a connection that is gone: transaction_read_again follows */
        return false;
    t->downgrade = downgrade_open(t->arena);
    t->looked = 0;
    if (t->job->content.memory.len || !t->job->content.size) {
        downgrade_scan(t->downgrade, t->job->content.memory);
        t->finding = downgrade_scanned(t->downgrade);
        c->transaction.waits = false;
        return true;
    }
    read_on(t);
    return false;
}

/* --- what was found ------------------------------------------------------------------------------- */

bool convert_needs_utf8(const struct task *t) {
    const struct envelope *e = t->job->envelope;
    if (!bytes_is_ascii(e->sender))
        return true;
    return e->flags & ENVELOPE_UTF8 && t->finding && t->finding->eightbit_header;
}

bool convert_is_needed(const struct conn *c) {
    const struct downgrade_finding *f = c->task->finding;
    return f && f->eightbit && !takes_eightbit(c);
}

uint64_t convert_size(const struct conn *c) {
    return c->transaction.converts ? c->task->finding->size : c->task->job->content.size;
}

void convert_begin(struct conn *c) {
    c->transaction.converts = convert_is_needed(c);
    if (c->transaction.converts)
        downgrade_begin(c->task->downgrade);
}

bool convert_give(struct conn *c, struct bytes piece, bool last) {
    if (!c->transaction.converts) {
        smtp_client_content(c->client, piece, last);
        return true;
    }
    struct downgrade *d = c->task->downgrade;
    struct buf out = buf_grow(CONVERTED_MAX);
    downgrade_feed(d, piece, &out);
    bool whole = !last || downgrade_end(d, &out);
    if (whole && !out.full)
        smtp_client_content(c->client, buf_bytes(&out), last);
    whole = whole && !out.full;
    buf_free(&out);
    return whole;
}
