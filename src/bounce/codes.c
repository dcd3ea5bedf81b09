/* codes: reply codes and enhanced codes in the words of servers, and what only looks like one: parts of
 * IP addresses, versions, sizes, ports. */
#include "bounce/internal.h"

#include "base/must.h"
#include "bounce/spoken.h"

static bool digit_at(struct bytes text, size_t at) {
    return at < text.len && ascii_is_digit(text.at[at]);
}

/* Codes that servers use; elsewhere than at the beginning of a reply only these are believed. */
static bool is_used(int code) {
    static const int used[] = { 421, 422, 430, 431, 432, 441, 442, 446, 447, 449, 450, 451, 452,
                                453, 454, 455, 458, 459, 471, 472, 500, 501, 502, 503, 504, 505,
                                510, 511, 512, 513, 515, 517, 520, 521, 522, 523, 524, 525, 526,
                                530, 531, 532, 533, 534, 535, 538, 540, 541, 542, 543, 544, 546,
                                550, 551, 552, 553, 554, 555, 556, 557, 558, 559, 560, 562, 563,
                                570, 571, 572, 577, 578, 582, 591, 595 };
    for (size_t i = 0; i < COUNT_OF(used); i++)
        if (used[i] == code)
            return true;
    return false;
}

/* Octets of "5.1.1" at `at`; 0: none, or a part of something longer. */
static size_t status_at(struct bytes text, size_t at, struct status *out) {
    char before = at ? text.at[at - 1] : ' ';
    if (ascii_is_alnum(before) || before == '.' || before == '_' || before == '/' ||
        (before == '-' && !(at > 3 && digit_at(text, at - 2))))
        return 0;
    size_t end = at, dots = 0;
    while (end < text.len &&
           (digit_at(text, end) || (text.at[end] == '.' && digit_at(text, end + 1))))
        dots += text.at[end++] == '.';
    char after = spoken_char(text, end);
    if (dots != 2 || ascii_is_alpha(after) || after == '@' ||
        (after == '-' && ascii_is_alpha(spoken_char(text, end + 1)) && end - at > 7))
        return 0;
    return status_parse(bytes_slice(text, at, end), out) ? end - at : 0;
}

bool codes_status(struct bytes text, struct status *out) {
    for (size_t at = 0; at < text.len && at < 80; at++)
        if (digit_at(text, at) && status_at(text, at, out))
            return true;
    return false;
}

static int code_value(struct bytes text, size_t at) {
    if (!digit_at(text, at) || !digit_at(text, at + 1) || !digit_at(text, at + 2) ||
        digit_at(text, at + 3))
        return 0;
    int code = (text.at[at] - '0') * 100 + (text.at[at + 1] - '0') * 10 + (text.at[at + 2] - '0');
    return code >= 200 && code < 600 && code / 100 != 3 ? code : 0;
}

/* A word before it that makes a number something else: "port 550", "line 450". */
static bool is_counted(struct bytes before) {
    static const struct bytes words[] = {
        W("port "),  W("port:"), W("line "),    W("size "), W("than "), W("id "),
        W("limit "), W("of "),   W("exceeds "), W("$"),     W("over "), W("message "),
    };
    return phrases_end(before, words, COUNT_OF(words));
}

static bool is_unit(struct bytes after) {
    static const struct bytes words[] = {
        W(" bytes"),      W(" octets"), W(" kb"),   W(" mb"),    W(" seconds"),
        W(" minutes"),    W(" hours"),  W(" days"), W(" lines"), W(" messages"),
        W(" recipients"), W("kb"),      W("mb"),    W("%"),      W(" octet"),
    };
    return phrases_begin(after, words, COUNT_OF(words));
}

/* The code at `at`, standing by itself; 0: none. */
static int code_at(struct bytes text, size_t at) {
    int code = code_value(text, at);
    char before = at ? text.at[at - 1] : ' ', after = spoken_char(text, at + 3);
    if (!code || ascii_is_alnum(before) || bytes_find(B("._@/=+$%&"), before) >= 0)
        return 0;
    if (before == '-' && at > 1 && ascii_is_alnum(text.at[at - 2]))
        return 0;
    if (before == ':' && at > 1 && digit_at(text, at - 2)) /* a time, a port */
        return 0;
    if (ascii_is_alpha(after) || after == '@' || after == '/' || after == '_' || after == '=' ||
        (after == '.' && digit_at(text, at + 4)) || (after == ':' && digit_at(text, at + 4)))
        return 0;
    if (after == '-' && at && ascii_is_alpha(spoken_char(text, at + 4)) && !is_used(code))
        return 0;
    return code;
}

static size_t skip_marks(struct bytes text) {
    size_t at = 0;
    while (at < text.len && bytes_find(B(" \t\"'(<[#:-"), text.at[at]) >= 0)
        at++;
    return at;
}

bool codes_begin(struct bytes text) {
    struct status status;
    size_t at = skip_marks(text);
    int code = code_at(text, at);
    return (code && (code >= 400 || text.len > at + 3)) || status_at(text, at, &status);
}

static bool fits(int code, struct status status) {
    return !code || code / 100 == status.klass;
}

/* "(Exim 4.86.2)", "version 5.5.1": a program's. */
static bool is_version(struct bytes before) {
    static const struct bytes words[] = {
        W("exim "),        W("version "), W("postfix "), W("postfix-"),  W("sendmail "),
        W("mta "),         W("server "),  W("ver. "),    W("release "),  W("v"),
        W("amavisd-new-"), W("courier "), W("agent "),   W("powermta "),
    };
    return phrases_end(before, words, COUNT_OF(words));
}

struct codes codes_find(struct bytes text) {
    struct codes c = { .at = text.len };
    struct status first = { 0 };
    size_t end = 0; /* of the code */
    for (size_t at = 0; at < text.len; at++) {
        if (!digit_at(text, at) || (at && digit_at(text, at - 1)))
            continue;
        struct bytes before = bytes_slice(text, at > 20 ? at - 20 : 0, at);
        int code = c.code ? 0 : code_at(text, at);
        bool begins = !bytes_trim(before).len;
        if (code && (begins || (is_used(code) && !is_counted(before) &&
                                !is_unit(bytes_first(bytes_skip(text, at + 3), 12))))) {
            c.code = code;
            c.at = at < c.at ? at : c.at;
            end = at + 3;
            continue;
        }
        struct status status;
        size_t n = status_is_set(c.status) ? 0 : status_at(text, at, &status);
        if (!n || is_version(before))
            continue;
        bool near = c.code && at - end <= 3;
        if (!status_is_set(first))
            first = status;
        if (c.code && (near || fits(c.code, status)))
            c.status = status;
        c.at = at < c.at ? at : c.at;
    }
    if (!status_is_set(c.status) && status_is_set(first) && fits(c.code, first))
        c.status = first;
    return c;
}
