/* envelope: the octets an envelope is on disk. Fields stand in a fixed order, integers
 * little-endian, strings with their length; a reader that meets anything else says no. The layout
 * of recipients favours the usual case: final and original are the same, there is no ORCPT. */
#include "flow/envelope.h"

#include <string.h>

enum { VERSION = 1 };
enum { FLAGS_KNOWN = 2047, NOTIFY_KNOWN = 15 };
/* Which of a recipient's fields differ from the usual. */
enum {
    HAS_FINAL = 1,
    HAS_ORCPT = 2,
    HAS_CONNECTOR = 4,
    HAS_NOTIFY = 8,
    HAS_SENDER = 16,
    HAS_REWRITTEN = 32,
    HAS_FORWARDER = 64,
    HAS_AWAY = 128,
};
/* The least a recipient takes: its octet of HAS_ and two lengths. */
enum { RECIPIENT_MIN = 9 };

static void format_addr(struct buf *b, struct addr a) {
    buf_char(b, (char)a.family);
    buf_add(b, bytes_of(a.ip, sizeof a.ip));
    buf_le16(b, a.port);
    buf_le32(b, a.scope);
}

static struct addr parse_addr(struct scan *s) {
    struct addr a = { .family = (uint8_t)scan_char(s) };
    struct bytes ip = scan_take(s, sizeof a.ip);
    if (ip.len == sizeof a.ip)
        memcpy(a.ip, ip.at, sizeof a.ip);
    a.port = scan_le16(s);
    a.scope = scan_le32(s);
    if (a.family != 0 && a.family != 1 && a.family != 4 && a.family != 6)
        s->bad = true;
    return a;
}

static void format_recipient(struct buf *b, const struct recipient *r) {
    int has = (bytes_equal(r->final, r->original) ? 0 : HAS_FINAL) |
              (r->orcpt.len ? HAS_ORCPT : 0) | (r->connector.len ? HAS_CONNECTOR : 0) |
              (r->notify ? HAS_NOTIFY : 0) | (r->sender.len ? HAS_SENDER : 0) |
              (r->rewritten ? HAS_REWRITTEN : 0) | (r->forwarder.len ? HAS_FORWARDER : 0) |
              (r->away.len ? HAS_AWAY : 0);
    buf_char(b, (char)has);
    buf_lbytes(b, r->original);
    buf_lbytes(b, r->next_hop);
    if (has & HAS_FINAL)
        buf_lbytes(b, r->final);
    if (has & HAS_ORCPT)
        buf_lbytes(b, r->orcpt);
    if (has & HAS_CONNECTOR)
        buf_lbytes(b, r->connector);
    if (has & HAS_NOTIFY)
        buf_char(b, (char)r->notify);
    if (has & HAS_SENDER)
        buf_lbytes(b, r->sender);
    if (has & HAS_FORWARDER)
        buf_lbytes(b, r->forwarder);
    if (has & HAS_AWAY)
        buf_lbytes(b, r->away);
}

static void parse_recipient(struct scan *s, struct arena *a, struct recipient *r) {
    int has = (uint8_t)scan_char(s);
    r->original = arena_copy(a, scan_lbytes(s));
    r->next_hop = arena_copy(a, scan_lbytes(s));
    r->final = has & HAS_FINAL ? arena_copy(a, scan_lbytes(s)) : r->original;
    if (has & HAS_ORCPT)
        r->orcpt = arena_copy(a, scan_lbytes(s));
    if (has & HAS_CONNECTOR)
        r->connector = arena_copy(a, scan_lbytes(s));
    if (has & HAS_NOTIFY)
        r->notify = (uint8_t)scan_char(s);
    if (has & HAS_SENDER)
        r->sender = arena_copy(a, scan_lbytes(s));
    r->rewritten = has & HAS_REWRITTEN;
    if (has & HAS_FORWARDER)
        r->forwarder = arena_copy(a, scan_lbytes(s));
    if (has & HAS_AWAY)
        r->away = arena_copy(a, scan_lbytes(s));
    if (r->notify & ~NOTIFY_KNOWN || (r->rewritten && !r->sender.len))
        s->bad = true;
}

/* The strings of an envelope in their order on disk. */
enum { STRINGS = 9 };
static void list_strings(struct envelope *e, struct bytes *list[STRINGS]) {
    struct bytes *all[STRINGS] = { &e->sender,  &e->envid,    &e->message_header_id,
                                   &e->session, &e->listener, &e->helo,
                                   &e->login,   &e->tenant,   &e->protocol };
    memcpy(list, all, sizeof all);
}

void envelope_format(struct buf *b, const struct envelope *e) {
    struct envelope copy = *e;
    struct bytes *strings[STRINGS];
    list_strings(&copy, strings);
    buf_char(b, VERSION);
    buf_le32(b, e->flags);
    buf_le64(b, (uint64_t)e->arrived);
    format_addr(b, e->client);
    for (size_t i = 0; i < STRINGS; i++)
        buf_lbytes(b, *strings[i]);
    buf_le32(b, (uint32_t)e->count);
    for (size_t i = 0; i < e->count; i++)
        format_recipient(b, &e->recipients[i]);
    if (e->flags & ENVELOPE_QUOTED) {
        buf_lbytes(b, e->subject);
        buf_lbytes(b, e->references);
    }
}

bool envelope_parse(struct bytes data, struct arena *a, struct envelope *out) {
    *out = (struct envelope){ 0 };
    struct scan s = scan_of(data);
    struct bytes *strings[STRINGS];
    list_strings(out, strings);
    if (scan_char(&s) != VERSION)
        return false;
    out->flags = scan_le32(&s);
    out->arrived = (int64_t)scan_le64(&s);
    out->client = parse_addr(&s);
    for (size_t i = 0; i < STRINGS; i++)
        *strings[i] = arena_copy(a, scan_lbytes(&s));
    out->count = scan_le32(&s);
    /* Checked before it is believed: a count costs memory. */
    if (s.bad || out->flags & ~(uint32_t)FLAGS_KNOWN || out->count > s.rest.len / RECIPIENT_MIN)
        return false;
    out->recipients = ARENA_ARRAY(a, out->count, struct recipient);
    for (size_t i = 0; i < out->count && !s.bad; i++)
        parse_recipient(&s, a, &out->recipients[i]);
    if (out->flags & ENVELOPE_QUOTED) {
        out->subject = arena_copy(a, scan_lbytes(&s));
        out->references = arena_copy(a, scan_lbytes(&s));
    }
    return !s.bad && scan_done(&s);
}

static struct recipient copy_recipient(struct arena *a, const struct recipient *r) {
    struct recipient copy = *r;
    copy.original = arena_copy(a, r->original);
    copy.final = bytes_equal(r->final, r->original) ? copy.original : arena_copy(a, r->final);
    copy.orcpt = arena_copy(a, r->orcpt);
    copy.next_hop = arena_copy(a, r->next_hop);
    copy.connector = arena_copy(a, r->connector);
    copy.sender = arena_copy(a, r->sender);
    copy.forwarder = arena_copy(a, r->forwarder);
    copy.away = arena_copy(a, r->away);
    return copy;
}

struct envelope *envelope_copy(struct arena *a, const struct envelope *e) {
    struct envelope *copy = ARENA_NEW(a, struct envelope);
    *copy = *e;
    struct bytes *strings[STRINGS];
    list_strings(copy, strings);
    for (size_t i = 0; i < STRINGS; i++)
        *strings[i] = arena_copy(a, *strings[i]);
    copy->subject = arena_copy(a, e->subject);
    copy->references = arena_copy(a, e->references);
    copy->delivered_to_count = copy->addressed_count = 0;
    copy->delivered_to = copy->addressed = NULL;
    copy->recipients = ARENA_ARRAY(a, e->count, struct recipient);
    for (size_t i = 0; i < e->count; i++)
        copy->recipients[i] = copy_recipient(a, &e->recipients[i]);
    return copy;
}
