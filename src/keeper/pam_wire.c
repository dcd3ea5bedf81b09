/* pam_wire: questions to the helper that runs PAM, as octets; and who PAM is asked about. */
#include "keeper/hash.h"
#include "keeper/pam.h"

#include <string.h>

enum { SERVICE_MAX = 64, TEXT_MAX = 300 };

static struct bytes take(struct scan *s, size_t max) {
    struct bytes value = scan_lbytes(s);
    s->bad |= value.len > max || bytes_find(value, '\0') >= 0;
    return s->bad ? BYTES_NONE : value;
}

void pam_format_question(struct buf *b, const struct pam_question *q) {
    buf_lbytes(b, q->service);
    buf_lbytes(b, q->user);
    buf_lbytes(b, q->password);
    buf_char(b, (char)q->client.family);
    buf_add(b, bytes_of(q->client.ip, sizeof q->client.ip));
}

bool pam_parse_question(struct bytes data, struct pam_question *out) {
    struct scan s = scan_of(data);
    struct bytes domain;
    memset(out, 0, sizeof *out);
    out->service = take(&s, SERVICE_MAX);
    out->user = take(&s, LOGIN_MAX);
    out->password = take(&s, PASSWORD_MAX);
    out->client.family = (uint8_t)scan_char(&s);
    struct bytes ip = scan_take(&s, sizeof out->client.ip);
    if (!s.bad)
        memcpy(out->client.ip, ip.at, sizeof out->client.ip);
    return !s.bad && scan_done(&s) && out->user.len && out->password.len &&
           pam_parse_setting(out->service, &out->service, &domain) && !domain.len;
}

void pam_format_answer(struct buf *b, enum source_result result, struct bytes text) {
    buf_char(b, (char)result);
    buf_lbytes(b, bytes_first(text, TEXT_MAX));
}

bool pam_parse_answer(struct bytes data, enum source_result *result_out, struct bytes *text_out) {
    struct scan s = scan_of(data);
    unsigned result = (uint8_t)scan_char(&s);
    *text_out = take(&s, TEXT_MAX);
    *result_out = (enum source_result)result;
    return !s.bad && scan_done(&s) && result <= SOURCE_DOWN;
}

static bool is_service(struct bytes text) {
    for (size_t i = 0; i < text.len; i++)
        if (!ascii_is_alnum(text.at[i]) && bytes_find(B("-_."), text.at[i]) < 0)
            return false;
    return text.len > 0 && text.len <= SERVICE_MAX && text.at[0] != '.';
}

bool pam_parse_setting(struct bytes setting, struct bytes *service_out, struct bytes *domain_out) {
    struct bytes rest = setting;
    bool has_domain = bytes_find(setting, '@') >= 0;
    *service_out = BYTES_NONE;
    bytes_split(&rest, '@', service_out);
    *domain_out = has_domain ? rest : BYTES_NONE;
    return is_service(*service_out) && (!has_domain || is_service(*domain_out));
}

bool pam_user(struct bytes login, struct bytes domain, struct bytes *user_out) {
    ptrdiff_t at = bytes_find_last(login, '@');
    *user_out = login;
    if (!domain.len || at < 0)
        return login.len > 0;
    *user_out = bytes_first(login, (size_t)at);
    return at > 0 && bytes_equal_nocase(bytes_skip(login, (size_t)at + 1), domain);
}
