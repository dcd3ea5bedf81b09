/* wire: fixed-width integers and counted strings, a bound on each. */
#include "fetcher/wire.h"

#include "base/scan.h"

#include <string.h>

static struct bytes take(struct scan *s, size_t max) {
    struct bytes value = scan_lbytes(s);
    s->bad |= value.len > max;
    return s->bad ? BYTES_NONE : value;
}

void fetch_format_request(struct buf *b, const struct fetch *what) {
    buf_char(b, (char)what->kind);
    buf_lbytes(b, what->name);
    buf_lbytes(b, what->token);
}

bool fetch_parse_request(struct bytes data, struct fetch *out) {
    struct scan s = scan_of(data);
    unsigned kind = (uint8_t)scan_char(&s);
    *out = (struct fetch){ .kind = (enum fetch_kind)kind };
    out->name = take(&s, FETCH_NAME_MAX);
    out->token = take(&s, FETCH_TOKEN_MAX);
    return !s.bad && scan_done(&s) && kind >= FETCH_KEYS && kind <= FETCH_LOGIN;
}

void fetch_format_answer(struct buf *b, const struct fetched *answer) {
    buf_char(b, (char)answer->rc);
    buf_lbytes(b, bytes_str(answer->why.reason));
    buf_lbytes(b, bytes_str(answer->why.text));
    buf_le64(b, (uint64_t)answer->lasts_ms);
    buf_lbytes(b, answer->body);
}

bool fetch_parse_answer(struct bytes data, struct fetched *out) {
    struct scan s = scan_of(data);
    unsigned rc = (uint8_t)scan_char(&s);
    struct bytes reason = take(&s, WHY_REASON - 1), text = take(&s, WHY_TEXT - 1);
    uint64_t lasts = scan_le64(&s);
    *out = (struct fetched){ .rc = (enum rc)rc };
    out->body = take(&s, FETCH_BODY_MAX);
    out->lasts_ms = (int64_t)lasts;
    if (s.bad || !scan_done(&s) || (rc != OK && rc != TEMP && rc != PERM) ||
        lasts > (uint64_t)INT64_MAX / 4)
        return false;
    char id[WHY_REASON];
    memcpy(id, reason.len ? reason.at : "", reason.len);
    id[reason.len] = '\0';
    why_set(&out->why, out->rc, 0, NULL, id, "%.*s", BYTES_FMT(text));
    return true;
}
