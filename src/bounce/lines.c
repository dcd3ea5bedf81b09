/* lines: a text for people as lines, each with what it is at first sight: empty, a rule, a line of an
 * SMTP session's transcript in any of the ways that programs mark them. */
#include "bounce/internal.h"

#include "base/must.h"

static const struct {
    struct bytes begins;
    enum line_kind kind;
} marks[] = {
    { W(">>>"), LINE_SENT },         { W("<<<"), LINE_GOT },       { W("Sent <<<"), LINE_SENT },
    { W("Received >>>"), LINE_GOT }, { W("Sent >>>"), LINE_SENT }, { W("Received <<<"), LINE_GOT },
    { W("Sent:"), LINE_SENT },       { W("Received:"), LINE_GOT }, { W("-->"), LINE_SENT },
    { W("<--"), LINE_GOT },          { W("In:"), LINE_SENT },      { W("Out:"), LINE_GOT },
    { W("C:"), LINE_SENT },          { W("S:"), LINE_GOT },        { W("SMTP>"), LINE_SENT },
    { W("SMTP<"), LINE_GOT },
};

static bool is_reply(struct bytes text) {
    return text.len >= 3 && text.at[0] >= '2' && text.at[0] <= '5' && ascii_is_digit(text.at[1]) &&
           ascii_is_digit(text.at[2]) && (text.len == 3 || text.at[3] == ' ' || text.at[3] == '-');
}

/* MDaemon and others log the session: "Fri 2026-11-20 09:30:00: [1:1] <-- 250 OK". */
static struct bytes without_stamp(struct bytes text) {
    struct bytes begin = bytes_first(text, 64);
    ptrdiff_t got = bytes_search(begin, B(" <-- ")), sent = bytes_search(begin, B(" --> "));
    ptrdiff_t at = got > 0 ? got : sent;
    return at > 0 ? bytes_skip(text, (size_t)at + 1) : text;
}

/* ">>> RCPT TO:<x>" and "<<< 550 x"; what is marked and is neither is text. */
static void find_mark(struct line *l) {
    struct bytes text = without_stamp(l->text);
    for (size_t i = 0; i < COUNT_OF(marks); i++) {
        if (!bytes_starts_nocase(text, marks[i].begins))
            continue;
        struct bytes rest = bytes_trim(bytes_skip(text, marks[i].begins.len));
        bool got = is_reply(rest);
        if (!got && !extract_verb(rest))
            continue;
        l->kind = got ? LINE_GOT : LINE_SENT;
        l->text = rest;
        return;
    }
}

/* Only punctuation, or words between such. */
static bool is_rule(struct bytes text) {
    static const char edge[] = "-=_*#~+|";
    size_t run = 0;
    while (run < text.len && bytes_find(bytes_str(edge), text.at[run]) >= 0)
        run++;
    if (run == text.len)
        return run >= 3;
    return run >= 3 && bytes_find(text, '@') < 0;
}

static struct line read_line(struct bytes whole) {
    struct line l = { .whole = whole, .text = bytes_trim(whole) };
    for (size_t i = 0; i < whole.len && (whole.at[i] == ' ' || whole.at[i] == '\t'); i++)
        l.indent += whole.at[i] == '\t' ? 8 - l.indent % 8 : 1;
    if (!l.text.len)
        l.kind = LINE_EMPTY;
    else if (is_rule(l.text))
        l.kind = LINE_RULE;
    else
        find_mark(&l);
    return l;
}

struct lines lines_read(struct bytes text, struct arena *a, bool *cut) {
    size_t count = 1;
    for (size_t i = 0; i < text.len; i++)
        count += text.at[i] == '\n';
    if (count > BOUNCE_LINES) {
        count = BOUNCE_LINES;
        *cut = true;
    }
    struct lines out = { .at = ARENA_ARRAY(a, count, struct line) };
    struct bytes rest = text, line;
    bool session = false;
    while (out.count < count && bytes_split(&rest, '\n', &line)) {
        struct line l = read_line(line);
        if (bytes_search_nocase(l.text, B("transcript of session")) >= 0 ||
            bytes_search_nocase(l.text, B("session transcript")) >= 0 ||
            bytes_search_nocase(l.text, B("while talking to")) >= 0)
            session = true;
        else if (l.kind == LINE_RULE)
            session = false;
        l.session = session || l.kind == LINE_SENT || l.kind == LINE_GOT;
        out.at[out.count++] = l;
    }
    return out;
}
