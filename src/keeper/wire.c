/* wire: the form of a keeper call: fixed-width integers, counted strings, a bound on each. */
#include "keeper/wire.h"

#include "keeper/hash.h"
#include "keeper/keeper.h"

#include <stdio.h>
#include <string.h>

enum { NAME_MAX_OCTETS = 32, BINDING_MAX = 256, LOGIN_OCTETS = 320 };
enum { FLAG_INITIAL = 1, FLAG_NO_PLUS = 2, FLAG_TLS = 4, FLAGS_ALL = 7 };

static struct bytes take(struct scan *s, size_t max) {
    struct bytes value = scan_lbytes(s);
    s->bad |= value.len > max;
    return s->bad ? BYTES_NONE : value;
}

/* --- requests ---------------------------------------------------------------------------------- */

static void format_addr(struct buf *b, struct addr a) {
    buf_char(b, (char)a.family);
    buf_add(b, bytes_of(a.ip, sizeof a.ip));
    buf_le16(b, a.port);
    buf_le32(b, a.scope);
}

static struct addr parse_addr(struct scan *s) {
    struct addr a = { .family = (uint8_t)scan_char(s) };
    struct bytes ip = scan_take(s, sizeof a.ip);
    if (!s->bad)
        memcpy(a.ip, ip.at, sizeof a.ip);
    a.port = scan_le16(s);
    a.scope = scan_le32(s);
    s->bad |= a.family != 0 && a.family != 1 && a.family != 4 && a.family != 6;
    return a;
}

static void format_session(struct buf *b, const struct auth_session *s) {
    buf_lbytes(b, s->mechanism);
    format_addr(b, s->client);
    buf_lbytes(b, s->service);
    buf_lbytes(b, s->cb_exporter);
    buf_lbytes(b, s->cb_unique);
    buf_lbytes(b, s->client_spki);
    buf_lbytes(b, s->client_names);
    buf_char(b, (char)((s->has_initial ? FLAG_INITIAL : 0) | (s->no_plus ? FLAG_NO_PLUS : 0) |
                       (s->tls ? FLAG_TLS : 0)));
    buf_lbytes(b, s->initial);
}

static void parse_session(struct scan *s, struct auth_session *out) {
    out->mechanism = take(s, NAME_MAX_OCTETS);
    out->client = parse_addr(s);
    out->service = take(s, NAME_MAX_OCTETS);
    out->cb_exporter = take(s, BINDING_MAX);
    out->cb_unique = take(s, BINDING_MAX);
    out->client_spki = take(s, HASH_OCTETS);
    out->client_names = take(s, CERTIFICATES_MAX);
    int flags = scan_char(s);
    s->bad |= flags < 0 || flags > FLAGS_ALL;
    s->bad |= out->client_spki.len && out->client_spki.len != HASH_OCTETS;
    out->has_initial = flags & FLAG_INITIAL;
    out->no_plus = flags & FLAG_NO_PLUS;
    out->tls = flags & FLAG_TLS;
    out->initial = take(s, WIRE_DATA_MAX);
}

void wire_format_request(struct buf *b, const struct wire_request *r) {
    buf_char(b, (char)r->op);
    buf_le64(b, r->exchange);
    if (r->op == WIRE_BEGIN)
        format_session(b, &r->session);
    if (r->op == WIRE_STEP)
        buf_lbytes(b, r->response);
}

bool wire_parse_request(struct bytes data, struct wire_request *out) {
    struct scan s = scan_of(data);
    *out = (struct wire_request){ .op = (enum wire_op)scan_char(&s) };
    out->exchange = scan_le64(&s);
    if (out->op == WIRE_BEGIN)
        parse_session(&s, &out->session);
    else if (out->op == WIRE_STEP)
        out->response = take(&s, WIRE_DATA_MAX);
    else if (out->op != WIRE_END)
        return false;
    return !s.bad && scan_done(&s);
}

/* --- answers ----------------------------------------------------------------------------------- */

static void format_why(struct buf *b, const struct why *w) {
    buf_le16(b, (uint16_t)w->code);
    buf_char(b, (char)w->status.klass);
    buf_le16(b, w->status.subject);
    buf_le16(b, w->status.detail);
    buf_lbytes(b, bytes_str(w->reason));
    buf_lbytes(b, bytes_str(w->text));
}

static void parse_text(struct scan *s, char *into, size_t size) {
    struct bytes text = take(s, size - 1);
    if (text.len)
        memcpy(into, text.at, text.len);
    into[text.len] = '\0';
    s->bad |= bytes_find(text, '\0') >= 0;
}

static void parse_why(struct scan *s, struct why *w) {
    w->code = scan_le16(s);
    w->status.klass = (uint8_t)scan_char(s);
    w->status.subject = scan_le16(s);
    w->status.detail = scan_le16(s);
    parse_text(s, w->reason, sizeof w->reason);
    parse_text(s, w->text, sizeof w->text);
    s->bad |= w->code > 599;
}

void wire_format_answer(struct buf *b, const struct auth_answer *a) {
    buf_char(b, (char)a->result);
    buf_lbytes(b, a->data);
    buf_lbytes(b, a->login);
    buf_lbytes(b, a->app);
    buf_lbytes(b, a->app_senders);
    buf_lbytes(b, a->app_networks);
    buf_le64(b, (uint64_t)a->delay_ms);
    buf_char(b, a->close);
    buf_char(b, a->told);
    buf_le16(b, (uint16_t)a->guessed_from);
    format_why(b, &a->why);
}

bool wire_parse_answer(struct bytes data, struct auth_answer *out) {
    struct scan s = scan_of(data);
    unsigned result = (uint8_t)scan_char(&s);
    *out = (struct auth_answer){ .result = (enum auth_result)result };
    out->data = take(&s, WIRE_DATA_MAX);
    out->login = take(&s, LOGIN_OCTETS);
    out->app = take(&s, APP_NAME_MAX);
    out->app_senders = take(&s, APP_SENDERS_MAX);
    out->app_networks = take(&s, APP_NETWORKS_MAX);
    uint64_t delay = scan_le64(&s);
    unsigned close = (uint8_t)scan_char(&s);
    unsigned told = (uint8_t)scan_char(&s);
    out->guessed_from = scan_le16(&s);
    parse_why(&s, &out->why);
    out->delay_ms = (int64_t)delay;
    out->close = close == 1;
    out->told = told == 1;
    return !s.bad && scan_done(&s) && result <= AUTH_DOWN && delay <= 3600000 && close <= 1 &&
           told <= 1;
}
