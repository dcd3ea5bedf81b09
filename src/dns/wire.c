/* wire: how a question and its answer look between two of our processes. Nothing is taken on trust:
 * the resolver reads what strangers' name servers sent, so the worker checks every length again. */
#include "dns/wire.h"

#include "base/must.h"
#include "base/scan.h"
#include "sys/channel.h"

#include <string.h>

enum { WIRE_VERSION = 1, RECORD_FIXED = 2 + 4 + 4 + 1 + 16, TXT_MAX = 65535 };
enum { FLAG_EXISTS = 1, FLAG_SECURE = 2, FLAG_BOGUS = 4, FLAGS = 7 };

static const struct {
    enum dns_type type;
    const char *name;
} types[] = {
    { DNS_A, "A" },     { DNS_NS, "NS" },     { DNS_CNAME, "CNAME" },
    { DNS_SOA, "SOA" }, { DNS_PTR, "PTR" },   { DNS_MX, "MX" },
    { DNS_TXT, "TXT" }, { DNS_AAAA, "AAAA" }, { DNS_TLSA, "TLSA" },
};

const char *dns_type_name(enum dns_type type) {
    for (size_t i = 0; i < COUNT_OF(types); i++)
        if (types[i].type == type)
            return types[i].name;
    return "?";
}

static bool is_type(unsigned type) {
    return *dns_type_name((enum dns_type)type) != '?';
}

void dns_wire_format_question(struct buf *out, struct bytes name, enum dns_type type) {
    buf_char(out, WIRE_VERSION);
    buf_le16(out, (uint16_t)type);
    buf_lbytes(out, name);
}

bool dns_wire_parse_question(struct bytes data, struct bytes *name_out, enum dns_type *type_out) {
    struct scan s = scan_of(data);
    bool version = scan_char(&s) == WIRE_VERSION;
    unsigned type = scan_le16(&s);
    struct bytes name = scan_lbytes(&s);
    if (s.bad || !scan_done(&s) || !version || !is_type(type))
        return false;
    if (name.len > DNS_NAME_MAX || bytes_find(name, '\0') >= 0)
        return false;
    *name_out = name;
    *type_out = (enum dns_type)type;
    return true;
}

static void format_why(struct buf *out, const struct why *w) {
    buf_le16(out, (uint16_t)w->code);
    buf_char(out, (char)w->status.klass);
    buf_le16(out, w->status.subject);
    buf_le16(out, w->status.detail);
    buf_lbytes(out, bytes_str(w->reason));
    buf_lbytes(out, bytes_str(w->text));
}

static bool parse_why(struct scan *s, struct why *out) {
    struct why w = { 0 };
    w.code = scan_le16(s);
    w.status.klass = (uint8_t)scan_char(s);
    w.status.subject = scan_le16(s);
    w.status.detail = scan_le16(s);
    struct bytes reason = scan_lbytes(s);
    struct bytes text = scan_lbytes(s);
    if (s->bad || w.code > 599 || reason.len >= WHY_REASON || text.len >= WHY_TEXT)
        return false;
    if (w.status.klass > 5 || w.status.subject > 999 || w.status.detail > 999)
        return false;
    if (reason.len)
        memcpy(w.reason, reason.at, reason.len);
    struct buf clean = buf_fixed(w.text, sizeof w.text);
    buf_printable(&clean, text);
    buf_text(&clean);
    *out = w;
    return true;
}

static void format_record(struct buf *out, const struct dns_record *r) {
    buf_le16(out, r->preference);
    buf_lbytes(out, r->name);
    buf_lbytes(out, r->data);
    buf_char(out, (char)r->address.family);
    buf_add(out, bytes_of(r->address.ip, sizeof r->address.ip));
}

static bool parse_record(struct scan *s, struct dns_record *out) {
    out->preference = scan_le16(s);
    out->name = scan_lbytes(s);
    out->data = scan_lbytes(s);
    out->address.family = (uint8_t)scan_char(s);
    struct bytes ip = scan_take(s, sizeof out->address.ip);
    if (s->bad || out->name.len > DNS_NAME_MAX || out->data.len > TXT_MAX)
        return false;
    if (out->address.family != 0 && out->address.family != 4 && out->address.family != 6)
        return false;
    memcpy(out->address.ip, ip.at, sizeof out->address.ip);
    return true;
}

void dns_wire_format_answer(struct buf *out, const struct dns_answer *answer) {
    unsigned flags = (answer->exists ? FLAG_EXISTS : 0) | (answer->secure ? FLAG_SECURE : 0) |
                     (answer->bogus ? FLAG_BOGUS : 0);
    struct buf records = buf_grow(CHANNEL_MAX - 2048);
    size_t count = 0;
    for (; count < answer->count && count < DNS_RECORDS_MAX; count++) {
        const struct dns_record *r = &answer->records[count];
        if (records.len + RECORD_FIXED + r->name.len + r->data.len > records.max)
            break;
        format_record(&records, r);
    }
    buf_char(out, WIRE_VERSION);
    buf_char(out, (char)answer->rc);
    buf_char(out, (char)flags);
    buf_lbytes(out, answer->canonical);
    format_why(out, &answer->why);
    buf_le16(out, (uint16_t)count);
    buf_add(out, buf_bytes(&records));
    buf_free(&records);
}

bool dns_wire_parse_answer(struct bytes data, struct arena *a, struct dns_answer *out) {
    struct scan s = scan_of(data);
    struct dns_answer answer = { 0 };
    bool version = scan_char(&s) == WIRE_VERSION;
    unsigned rc = (unsigned char)scan_char(&s);
    unsigned flags = (unsigned char)scan_char(&s);
    answer.canonical = scan_lbytes(&s);
    if (!parse_why(&s, &answer.why))
        return false;
    size_t count = scan_le16(&s);
    if (s.bad || !version || (rc != OK && rc != TEMP) || flags > FLAGS ||
        answer.canonical.len > DNS_NAME_MAX || count > DNS_RECORDS_MAX)
        return false;
    if (count > s.rest.len / RECORD_FIXED)
        return false;
    struct dns_record *records = count ? ARENA_ARRAY(a, count, struct dns_record) : NULL;
    for (size_t i = 0; i < count; i++)
        if (!parse_record(&s, &records[i]))
            return false;
    if (!scan_done(&s))
        return false;
    answer.rc = (enum rc)rc;
    answer.exists = flags & FLAG_EXISTS;
    answer.secure = flags & FLAG_SECURE;
    answer.bogus = flags & FLAG_BOGUS;
    answer.count = count;
    answer.records = records;
    *out = answer;
    return true;
}
