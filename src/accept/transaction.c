/* transaction: from MAIL to the reply to the final dot. The one place where a 250 for a message is
 * said: `committed`, when the store's sync has returned. */
#include "accept/internal.h"
#include "base/must.h"
#include "base/num.h"
#include "message/address.h"
#include "message/automatic.h"

#include <stdlib.h>
#include <string.h>

static struct transaction *open_transaction(void) {
    struct arena *a = arena_open();
    struct transaction *tx = ARENA_NEW(a, struct transaction);
    tx->arena = a;
    tx->header = buf_grow(HEADER_MAX + 2);
    return tx;
}

/* --- memory ------------------------------------------------------------------------------ */

/* What a transaction holds in this process, about: the header until it is complete, content until the
 * store writes it, and recipients. Limits for each session and client bound none of the sum. */
static void account(struct session *s) {
    struct transaction *tx = s->tx;
    size_t now = arena_used(tx->arena) + tx->header.cap;
    if (tx->draft)
        now += tx->received < DRAFT_MEMORY ? (size_t)tx->received : DRAFT_MEMORY;
    s->accept->in_memory += now - tx->in_memory;
    tx->in_memory = now;
}

/* Above the bound, whoever holds much and wants more has to give way; ordinary mail goes on a little
 * longer. */
static bool memory_is_short(const struct session *s) {
    size_t bound = s->accept->setup.memory;
    if (s->tx->in_memory < SMALL_SHARE)
        bound += bound / 4;
    return s->accept->in_memory > bound;
}

static void refuse_memory(struct session *s) {
    struct why why;
    refusal_why(
        s->rules->config,
        &(struct refusal){ TEMP, 452, "4.3.1", "limit.memory",
                           "There is no memory for the message for the moment; this is our fault",
                           "Try again later" },
        &why);
    smtp_server_answer(s->machine, TEMP, &why);
}

/* --- transactions ------------------------------------------------------------------------ */

static void close_transaction(struct session *s) {
    struct transaction *tx = s->tx;
    if (!tx)
        return;
    s->accept->in_memory -= tx->in_memory;
    limits_give_back(s);
    s->tx = NULL;
    if (tx->draft)
        store_abort(&tx->draft);
    buf_free(&tx->header);
    struct arena *a = tx->arena;
    arena_close(&a);

    struct facts *f = &s->facts;
    f->popped_count = 0;
    f->has_sender = false;
    f->sender = f->recipient = BYTES_NONE;
    f->recipients_so_far = 0;
    f->charged = f->counted = f->domains = (struct strings){ 0 };
    f->header_mailboxes = NULL;
    f->header_mailbox_count = 0;
    f->recipient_entry = f->sender_entry = f->login_entry = NULL;
    f->recipient_state = f->sender_state = f->login_state = f->counts_state = FACT_UNKNOWN;
    f->recipient_postmaster = f->bare_newline = false;
    f->size = 0;
}

void transaction_reset(void *ctx) {
    close_transaction(ctx);
}

/* An answer may run the commands behind it (PIPELINING) before it returns: nothing of the old
 * transaction may be touched after it. So what a refused MAIL or RCPT leaves is cleared here, and
 * the machine's reset clears the rest. */
void transaction_before_command(struct session *s) {
    if (!smtp_server_in_transaction(s->machine))
        close_transaction(s);
    s->facts.recipient = BYTES_NONE;
}

/* --- MAIL -------------------------------------------------------------------------------- */

/* A session takes up a new configuration here, where nothing decided hangs over. False: it has no
 * listener of that name any more. */
static bool take_new_rules(struct session *s) {
    struct ruleset *current = s->accept->rules;
    if (s->rules == current)
        return true;
    const struct listener *listener = NULL;
    if (s->facts.listener) {
        listener = config_listener(current->config, s->facts.listener->name);
        if (!listener)
            return false;
    }
    struct ruleset *old = s->rules;
    s->rules = ruleset_join(current);
    s->facts.listener = listener;
    if (listener)
        session_bounds(s);
    ruleset_leave(&old);
    session_offer(s);
    return true;
}

static void mail_decided(struct session *s, const struct verdict *v) {
    if (v->rc != OK) {
        session_refuse(s, v);
        return;
    }
    struct why why;
    why_set(&why, OK, 250, "2.1.0", "", "Sender ok");
    smtp_server_answer(s->machine, OK, &why);
}

static uint32_t envelope_flags(const struct smtp_mail *mail) {
    uint32_t flags = 0;
    if (mail->body == SMTP_BODY_8BITMIME)
        flags |= ENVELOPE_8BIT;
    if (mail->smtputf8)
        flags |= ENVELOPE_UTF8;
    if (mail->ret)
        flags |= mail->ret == 1 ? ENVELOPE_RET_FULL : ENVELOPE_RET_HDRS;
    return flags;
}

void transaction_mail(void *ctx, const struct smtp_mail *mail) {
    struct session *s = ctx;
    close_transaction(s);
    if (!take_new_rules(s)) {
        struct why why;
        why_set(&why, TEMP, 421, "4.3.2", "limit.stopping",
                "This port is being closed: try again, or ask for the new one");
        smtp_server_answer(s->machine, TEMP, &why);
        return;
    }
    struct transaction *tx = s->tx = open_transaction();
    tx->envelope = (struct envelope){
        .sender = mail->from.null ? BYTES_NONE : arena_copy(tx->arena, mail->from.mailbox),
        .envid = arena_copy(tx->arena, mail->envid),
        .flags = envelope_flags(mail),
    };
    s->facts.sender = tx->envelope.sender;
    s->facts.has_sender = true;
    s->facts.size = mail->has_size ? mail->size : 0;
    s->facts.queue_full = store_full(s->accept->setup.store);
    ask_decision(s, STEP_MAIL, mail_decided);
}

/* --- RCPT -------------------------------------------------------------------------------- */

static void note_charged(struct session *s, struct bytes connector) {
    struct transaction *tx = s->tx;
    for (size_t i = 0; i < s->facts.charged.count; i++)
        if (bytes_equal(tx->charged[i], connector))
            return;
    tx->charged[s->facts.charged.count++] = arena_copy(tx->arena, connector);
    s->facts.charged.list = tx->charged;
}

/* Of ours; bare postmaster has none. */
static void note_domain(struct session *s) {
    struct strings *known = &s->facts.domains;
    ptrdiff_t at = bytes_find_last(s->facts.recipient, '@');
    struct bytes name = bytes_skip(s->facts.recipient, (size_t)(at + 1));
    if (at < 0 || strings_has(*known, name))
        return;
    struct bytes *list = ARENA_ARRAY(s->tx->arena, known->count + 1, struct bytes);
    if (known->count)
        memcpy(list, known->list, known->count * sizeof *list);
    list[known->count] = name;
    *known = (struct strings){ known->count + 1, list };
}

/* Room for one more, doubling. */
static void grow_recipients(struct transaction *tx) {
    if (tx->envelope.count < tx->capacity)
        return;
    size_t capacity = tx->capacity ? tx->capacity * 2 : 4;
    struct recipient *recipients = ARENA_ARRAY(tx->arena, capacity, struct recipient);
    struct bytes *charged = ARENA_ARRAY(tx->arena, capacity, struct bytes);
    if (tx->capacity) {
        memcpy(recipients, tx->envelope.recipients, tx->envelope.count * sizeof(*recipients));
        memcpy(charged, tx->charged, tx->capacity * sizeof(*charged));
    }
    tx->envelope.recipients = recipients;
    tx->charged = charged;
    tx->capacity = capacity;
}

/* postmaster@[192.0.2.25], an address of this host: no domain of ours, and yet no relay. */
static bool own_postmaster(const struct verdict *v, struct bytes recipient) {
    return !v->relay && bytes_starts(address_domain(recipient), B("["));
}

static void rcpt_decided(struct session *s, const struct verdict *v) {
    if (v->rc != OK) {
        limits_reached_event(s, v);
        session_refuse(s, v);
        return;
    }
    struct transaction *tx = s->tx;
    if (v->tenant.len && !tx->envelope.tenant.len)
        tx->envelope.tenant = arena_copy(tx->arena, v->tenant);
    grow_recipients(tx);
    if (!v->relay)
        note_domain(s);
    tx->envelope.recipients[tx->envelope.count++] = (struct recipient){
        .original = s->facts.recipient,
        .final = own_postmaster(v, s->facts.recipient) ? B("postmaster") : s->facts.recipient,
        .orcpt = arena_copy(tx->arena, s->rcpt->orcpt),
        .notify = s->rcpt->notify,
        .connector = arena_copy(tx->arena, v->connector),
    };
    if (v->connector.len) {
        note_charged(s, v->connector);
        s->facts.charged.list = tx->charged;
        tx->submitted = true;
        const struct connector *c = config_connector(s->rules->config, v->connector);
        if (c && c->pop_before_smtp && !tx->popped.len)
            tx->popped = arena_copy(tx->arena, v->login);
    }
    s->facts.recipients_so_far = tx->envelope.count;
    struct why why;
    why_set(&why, OK, 250, "2.1.5", "", "Recipient ok");
    smtp_server_answer(s->machine, OK, &why);
}

void transaction_rcpt(void *ctx, const struct smtp_rcpt *rcpt) {
    struct session *s = ctx;
    struct facts *f = &s->facts;
    s->rcpt = rcpt;
    f->recipient_postmaster = rcpt->to.postmaster;
    f->recipient =
        rcpt->to.postmaster ? B("postmaster") : arena_copy(s->tx->arena, rcpt->to.mailbox);
    f->recipient_state = FACT_UNKNOWN;
    f->recipient_entry = NULL;
    f->counts_state = FACT_UNKNOWN;
    f->member_state = f->srs_state = f->probe_state = FACT_UNKNOWN;
    ask_decision(s, STEP_RCPT, rcpt_decided);
}

/* --- DATA and content -------------------------------------------------------------------- */

void transaction_data(void *ctx) {
    struct session *s = ctx;
    struct transaction *tx = s->tx;
    struct why why;
    account(s);
    if (memory_is_short(s)) {
        refuse_memory(s);
        return;
    }
    tx->draft = store_begin(s->accept->setup.store, s->facts.size, &why);
    if (!tx->draft) {
        smtp_server_answer(s->machine, TEMP, &why);
        return;
    }
    if (s->facts.login.len || s->facts.local_door)
        tx->submitted = true;
    smtp_server_answer(s->machine, OK, NULL);
}

static void room_again(void *ctx) {
    struct session *s = ctx;
    smtp_server_hold_content(s->machine, false);
    session_flush(s);
}

static void put(struct session *s, struct bytes data) {
    s->tx->has_8bit = s->tx->has_8bit || !bytes_is_ascii(data);
    if (store_append(s->tx->draft, data))
        return;
    smtp_server_hold_content(s->machine, true);
    store_on_room(s->tx->draft, room_again, s);
}

/* Nearly every message has one or two. */
static void grow_mailboxes(struct transaction *tx) {
    size_t capacity = tx->mailbox_capacity ? tx->mailbox_capacity * 2 : 4;
    struct mailbox_header *more = ARENA_ARRAY(tx->arena, capacity, struct mailbox_header);
    if (tx->mailbox_count)
        memcpy(more, tx->mailboxes, tx->mailbox_count * sizeof *more);
    tx->mailboxes = more;
    tx->mailbox_capacity = capacity;
}

/* One more mailbox for the header rules, unless there are so many that nobody would read them: then
 * an empty one, which no rule takes for the sender's own. */
static void note_mailbox(struct transaction *tx, const char *field, struct bytes mailbox) {
    if (tx->mailbox_count == tx->mailbox_capacity)
        grow_mailboxes(tx);
    if (tx->mailbox_count < HEADER_MAILBOXES)
        tx->mailboxes[tx->mailbox_count++] = (struct mailbox_header){ field, mailbox };
    else
        tx->mailboxes[HEADER_MAILBOXES - 1] = (struct mailbox_header){ field, BYTES_NONE };
}

static void read_mailboxes(struct transaction *tx, const char *name, struct bytes value) {
    struct bytes found[HEADER_MAILBOXES];
    size_t count = header_mailboxes(value, tx->arena, found, HEADER_MAILBOXES);
    if (count == 0)
        note_mailbox(tx, name, BYTES_NONE);
    for (size_t i = 0; i < count; i++)
        note_mailbox(tx, name, i < HEADER_MAILBOXES ? arena_copy(tx->arena, found[i]) : BYTES_NONE);
}

static void note_delivered_to(struct transaction *tx, struct bytes value) {
    if (tx->delivered_to_count == DELIVERED_TO_MAX)
        return;
    if (!tx->delivered_to)
        tx->delivered_to = ARENA_ARRAY(tx->arena, DELIVERED_TO_MAX, struct bytes);
    tx->delivered_to[tx->delivered_to_count++] = arena_copy(tx->arena, bytes_trim(value));
}

/* Mail for others needs none of it. */
static bool may_be_answered(const struct transaction *tx) {
    for (size_t i = 0; i < tx->envelope.count; i++)
        if (!tx->envelope.recipients[i].connector.len)
            return tx->envelope.sender.len && !automatic_sender(tx->envelope.sender);
    return false;
}

static void note_addressed(struct transaction *tx, const struct header_field *field) {
    static const struct bytes names[] = {
        { "To", 2 }, { "Cc", 2 }, { "Resent-To", 9 }, { "Resent-Cc", 9 }
    };
    size_t room = ADDRESSED_MAX - tx->addressed_count;
    for (size_t i = 0; i < COUNT_OF(names) && room; i++) {
        if (!bytes_equal_nocase(field->name, names[i]))
            continue;
        struct bytes found[ADDRESSED_MAX];
        size_t count = header_mailboxes(field->value, tx->arena, found, room);
        if (!tx->addressed)
            tx->addressed = ARENA_ARRAY(tx->arena, ADDRESSED_MAX, struct bytes);
        for (size_t j = 0; j < count && j < room; j++)
            tx->addressed[tx->addressed_count++] = arena_copy(tx->arena, found[j]);
        return;
    }
}

/* The end of the last References field, or of In-Reply-To where there is none (RFC 5322 section
 * 3.6.4). What is cut in two there is no message id any more, and left out of the answer. */
static struct bytes read_references(struct transaction *tx, struct bytes text) {
    struct header_field field;
    if (!header_find(text, B("References"), &field) && !header_find(text, B("In-Reply-To"), &field))
        return BYTES_NONE;
    struct bytes value = header_unfold(field.value, tx->arena);
    return value.len > REFERENCES_MAX ? bytes_skip(value, value.len - REFERENCES_MAX) : value;
}

/* What decides whether somebody who is away answers by itself, and what the answer refers to. */
static void read_for_answer(struct transaction *tx, struct bytes text,
                            const struct header_summary *summary) {
    struct bytes rest = text;
    struct header_field field;
    if (!may_be_answered(tx))
        return;
    while (!tx->automatic && header_next(&rest, &field) == HEADER_FIELD) {
        tx->automatic = automatic_field(&field);
        note_addressed(tx, &field);
    }
    if (tx->automatic)
        return;
    tx->envelope.subject =
        arena_copy(tx->arena, header_unfold(bytes_first(summary->subject, SUBJECT_MAX), tx->arena));
    tx->envelope.references = arena_copy(tx->arena, read_references(tx, text));
}

/* Everything the header rules look at, of every field: a second one is not passed over. */
static void read_senders(struct transaction *tx, struct bytes text) {
    static const char *const names[] = { "From", "Sender", "Reply-To" };
    struct bytes rest = text;
    struct header_field field;
    while (header_next(&rest, &field) == HEADER_FIELD) {
        for (size_t i = 0; i < COUNT_OF(names); i++)
            if (bytes_equal_nocase(field.name, bytes_str(names[i])))
                read_mailboxes(tx, names[i], field.value);
        if (bytes_equal_nocase(field.name, B("Delivered-To")))
            note_delivered_to(tx, field.value);
    }
}

static struct bytes protocol_name(const struct session *s) {
    bool tls = stream_tls(s->stream) != NULL, login = s->facts.login.len != 0;
    if (s->tx->envelope.flags & ENVELOPE_UTF8) /* RFC 6531 section 4.3 */
        return tls ? (login ? B("UTF8SMTPSA") : B("UTF8SMTPS"))
                   : (login ? B("UTF8SMTPA") : B("UTF8SMTP"));
    if (!smtp_server_extended(s->machine))
        return B("SMTP");
    return tls ? (login ? B("ESMTPSA") : B("ESMTPS")) : (login ? B("ESMTPA") : B("ESMTP"));
}

static struct bytes tls_words(const struct session *s, struct arena *a) {
    const struct tls_info *tls = stream_tls(s->stream);
    return tls ? arena_printf(a, "%.*s %.*s", BYTES_FMT(tls->protocol), BYTES_FMT(tls->cipher))
               : BYTES_NONE;
}

/* The header is here, whole: read it, and put it into the store as it shall be. */
static void take_header(struct session *s, struct bytes text) {
    struct transaction *tx = s->tx;
    struct header_summary summary;
    header_summarise(text, &summary);
    tx->header_done = true;
    tx->hops = (unsigned)summary.received_fields;
    tx->from_fields = summary.from_fields;
    tx->sender_fields = summary.sender_fields;
    tx->date_fields = summary.date_fields;
    tx->no_tls_required =
        bytes_equal_nocase(bytes_trim(summary.tls_required), B("No")); /* RFC 8689 section 5 */
    read_senders(tx, text);
    read_for_answer(tx, text, &summary);

    struct message_id id = store_draft_id(tx->draft);
    struct envelope *e = &tx->envelope;
    e->protocol = protocol_name(s);
    if (summary.message_id_fields)
        e->message_header_id =
            arena_copy(tx->arena, bytes_trim(header_unfold(summary.message_id, tx->arena)));
    else if (tx->submitted)
        e->message_header_id =
            arena_printf(tx->arena, "<%s@%.*s>", id.text,
                         BYTES_FMT(config_hostname(s->rules->config, tx->envelope.tenant)));
    struct completion completion = {
        .hostname = config_hostname(s->rules->config, tx->envelope.tenant),
        .server = s->rules->config->hostname,
        .received_from = s->facts.helo,
        .client = s->facts.client,
        .login = s->facts.login,
        .protocol = e->protocol,
        .id = message_id_bytes(&id),
        .tls = tls_words(s, tx->arena),
        .for_recipient = e->count == 1 ? e->recipients[0].original : BYTES_NONE,
        .now = loop_wall(s->accept->setup.loop),
        .submitted = tx->submitted,
    };
    struct buf out = buf_grow(HEADER_MAX + 8192);
    complete_header(&out, &completion, text, &summary);
    put(s, buf_bytes(&out));
    buf_free(&out);
}

/* Where the header ends in what has been gathered, looking only at what is new. */
static size_t header_end(struct bytes text, size_t seen) {
    if (bytes_starts(text, B("\r\n")))
        return 2;
    size_t from = seen > 3 ? seen - 3 : 0;
    ptrdiff_t at = bytes_search(bytes_skip(text, from), B("\r\n\r\n"));
    return at < 0 ? 0 : from + (size_t)at + 4;
}

static void gather_header(struct session *s, struct bytes content) {
    struct transaction *tx = s->tx;
    size_t seen = tx->header.len;
    size_t part = content.len < HEADER_MAX - seen ? content.len : HEADER_MAX - seen;
    buf_add(&tx->header, bytes_first(content, part));
    struct bytes gathered = buf_bytes(&tx->header);
    size_t end = header_end(gathered, seen);
    if (!end) {
        tx->header_too_big = gathered.len >= HEADER_MAX;
        return;
    }
    take_header(s, bytes_first(gathered, end));
    if (gathered.len > end)
        put(s, bytes_skip(gathered, end));
    if (content.len > part)
        put(s, bytes_skip(content, part));
    buf_free(&tx->header);
}

void transaction_content(void *ctx, struct bytes content) {
    struct session *s = ctx;
    struct transaction *tx = s->tx;
    tx->received += content.len;
    if (tx->too_big || tx->header_too_big || tx->no_memory)
        return;
    account(s);
    if (memory_is_short(s)) {
        tx->no_memory = true;
        store_abort(&tx->draft);
        buf_free(&tx->header);
        account(s);
        return;
    }
    if (tx->received > s->bounds.max_message_size) {
        tx->too_big = true;
        store_abort(&tx->draft);
        buf_free(&tx->header);
        return;
    }
    if (tx->header_done)
        put(s, content);
    else
        gather_header(s, content);
}

/* --- the end of data --------------------------------------------------------------------- */

static void accepted_event(struct session *s, const struct envelope *e, struct message_id id,
                           uint64_t size) {
    struct event *ev = event_begin("accepted");
    session_event_caller(ev, s->id, &s->facts);
    event_text(ev, "message", message_id_bytes(&id));
    event_text(ev, "message_id", e->message_header_id);
    event_text(ev, "from", e->sender.len ? e->sender : B("<>"));
    event_text(ev, "popped", s->tx->popped);
    event_text(ev, "tenant", e->tenant);
    event_u64(ev, "size", size);
    event_text(ev, "protocol", e->protocol);
    event_array(ev, "to");
    for (size_t i = 0; i < e->count; i++)
        event_item(ev, e->recipients[i].original);
    event_array_end(ev);
    for (size_t i = 0; i < s->facts.charged.count; i++)
        event_text(ev, i ? "also_granted_by" : "granted_by", s->facts.charged.list[i]);
    event_end(ev);
}

/* After this the client may be gone and the session with it. */
static void end_of_data(struct session *s, enum rc rc, const struct why *why) {
    s->committing = false;
    if (s->gone) {
        close_transaction(s);
        session_free_if_done(s);
        return;
    }
    smtp_server_answer(s->machine, rc, why);
    session_idle_timer(s);
    session_flush(s);
    if (s->accept->draining && !s->gone && !smtp_server_in_transaction(s->machine))
        session_stop(s);
}

/* What failed, with paths and errno, is for the log; the client hears whose fault it is. */
static void not_taken(struct session *s, const struct why *why) {
    struct event *e = event_begin("not-taken");
    session_event_caller(e, s->id, &s->facts);
    event_text(e, "from", s->tx->envelope.sender.len ? s->tx->envelope.sender : B("<>"));
    event_why(e, why);
    event_end(e);

    bool full = why->code == 452;
    const struct refusal told = {
        TEMP,
        full ? 452 : 451,
        full ? "4.3.1" : "4.3.0",
        why->reason,
        full ? "No room for the message for the moment; this is our fault"
             : "The message could not be taken for the moment; this is our fault",
        full ? "Try again later" : "Try again in some minutes",
    };
    struct why reply;
    refusal_why(s->rules->config, &told, &reply);
    end_of_data(s, TEMP, &reply);
}

/* Promise 2: the only place where a message is acknowledged. */
static void committed(void *ctx, enum rc rc, struct message_id id, const struct why *why) {
    struct session *s = ctx;
    if (rc != OK) {
        not_taken(s, why);
        return;
    }
    limits_keep(s);
    accepted_event(s, &s->tx->envelope, id, s->tx->received);
    struct why done;
    why_set(&done, OK, 250, "2.0.0", "", "Ok: queued as %s", id.text);
    end_of_data(s, OK, &done);
}

static void resolved(void *ctx, enum rc rc, const struct envelope *envelope,
                     const struct why *why) {
    struct session *s = ctx;
    if (rc != OK) {
        not_taken(s, why);
        return;
    }
    store_commit(&s->tx->draft, BYTES_NONE, envelope, committed, s);
}

static void fill_envelope(struct session *s) {
    struct transaction *tx = s->tx;
    struct envelope *e = &tx->envelope;
    e->arrived = loop_wall(s->accept->setup.loop);
    e->session = bytes_str(s->id);
    e->listener = s->facts.listener ? s->facts.listener->name : B("send");
    e->helo = s->facts.helo;
    e->login = s->facts.local_door ? s->facts.local_user : s->facts.login;
    e->client = s->facts.client;
    e->flags |= ENVELOPE_LOOKED | (tx->has_8bit ? ENVELOPE_FOUND_8BIT : 0);
    e->delivered_to = tx->delivered_to;
    e->delivered_to_count = tx->delivered_to_count;
    e->addressed = tx->addressed;
    e->addressed_count = tx->addressed_count;
    if (tx->automatic)
        e->flags |= ENVELOPE_AUTOMATIC;
    if (tx->submitted)
        e->flags |= ENVELOPE_SUBMITTED;
    if (tx->no_tls_required)
        e->flags |= ENVELOPE_NO_TLS_REQUIRED;
}

static void content_decided(struct session *s, const struct verdict *v) {
    if (v->rc != OK) {
        session_refuse(s, v);
        return;
    }
    fill_envelope(s);
    s->committing = true;
    timer_clear(&s->timer);
    s->accept->setup.resolve(s->accept->setup.ctx, &s->tx->envelope, s->tx->arena, resolved, s);
}

static void refuse_size(struct session *s, const char *what, const char *remedy) {
    struct why why;
    refusal_why(s->rules->config,
                &(struct refusal){ PERM, 552, "5.3.4", "limit.size", what, remedy }, &why);
    smtp_server_answer(s->machine, PERM, &why);
}

/* The same words as at MAIL. */
static void refuse_message_size(struct session *s) {
    char text[80];
    struct buf b = buf_fixed(text, sizeof(text));
    buf_str(&b, "The message is larger than the ");
    num_format_size(&b, s->bounds.max_message_size);
    buf_str(&b, " taken here");
    refuse_size(s, buf_text(&b), "Send less at once, or a link to the file");
}

void transaction_content_end(void *ctx, bool bare) {
    struct session *s = ctx;
    struct transaction *tx = s->tx;
    if (tx->no_memory) {
        refuse_memory(s);
        return;
    }
    if (tx->too_big) {
        refuse_message_size(s);
        return;
    }
    if (tx->header_too_big) {
        refuse_size(s, "The header of the message is larger than 256 KiB",
                    "Put fewer addresses in To and Cc: one message for each group of recipients");
        return;
    }
    if (!tx->header_done) {
        /* BDAT may end within a line: the last field is one all the same. */
        if (tx->header.len && !bytes_ends_nocase(buf_bytes(&tx->header), B("\r\n")))
            buf_str(&tx->header, "\r\n");
        take_header(s, buf_bytes(&tx->header));
        buf_free(&tx->header);
    }
    struct facts *f = &s->facts;
    f->bare_newline = bare;
    f->hops = tx->hops;
    f->from_fields = tx->from_fields;
    f->sender_fields = tx->sender_fields;
    f->date_fields = tx->date_fields;
    f->header_mailboxes = tx->mailboxes;
    f->header_mailbox_count = tx->mailbox_count;
    f->size = tx->received;
    ask_decision(s, STEP_CONTENT, content_decided);
}
