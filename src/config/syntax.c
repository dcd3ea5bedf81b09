/* syntax: the lexer and the parser of postern.conf. This file alone knows what a word may be made
 * of, how strings are escaped, and where reading resumes after a mistake: at the next name that
 * begins a line and is followed by what a statement needs. */
#include "config/syntax.h"

#include <string.h>

enum kind { WORD, STRING, EQUALS, OPEN, CLOSE, COMMA, BAD, END };

struct token {
    enum kind kind;
    bool first; /* on its line */
    int line;
    struct bytes text;
};

struct reader {
    struct arena *arena;
    syntax_complain *complain;
    void *ctx;
    /* lexer */
    struct bytes text;
    size_t at;
    int line;
    /* parser */
    struct token *tokens;
    size_t count, next;
    struct syntax *out;
    struct bytes where;
};

void *syntax_grow(struct arena *a, void *list, size_t count, size_t size) {
    if (count & (count - 1))
        return list; /* room is made at 0, 1, 2, 4, 8 ... */
    void *longer = arena_array(a, count ? 2 * count : 1, size);
    if (count)
        memcpy(longer, list, count * size);
    return longer;
}

static void complain(struct reader *r, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void complain(struct reader *r, int line, const char *format, ...) {
    va_list args;
    va_start(args, format);
    r->complain(r->ctx, line, r->where, arena_vprintf(r->arena, format, args));
    va_end(args);
}

/* --- the lexer --------------------------------------------------------------------------- */

static int peek_octet(const struct reader *r, size_t ahead) {
    return r->at + ahead < r->text.len ? (unsigned char)r->text.at[r->at + ahead] : -1;
}

static bool is_word_octet(int c) {
    return c > ' ' && c != 0x7f && !strchr("\"'{}=,#;()\\`", c);
}

static void skip_line(struct reader *r) {
    while (peek_octet(r, 0) >= 0 && peek_octet(r, 0) != '\n')
        r->at++;
}

static void skip_block(struct reader *r) {
    int line = r->line;
    r->at += 2;
    while (peek_octet(r, 0) >= 0 && !(peek_octet(r, 0) == '*' && peek_octet(r, 1) == '/'))
        if (r->text.at[r->at++] == '\n')
            r->line++;
    if (peek_octet(r, 0) < 0)
        complain(r, line, "the comment that begins here with /* is never closed; expected */");
    else
        r->at += 2;
}

/* Blanks and comments. True when a line ended among them. */
static bool skip_blanks(struct reader *r) {
    int line = r->line;
    for (;;) {
        int c = peek_octet(r, 0), d = peek_octet(r, 1);
        if (c == '\n') {
            r->line++;
            r->at++;
        } else if (c == ' ' || c == '\t' || c == '\r') {
            r->at++;
        } else if (c == '#' || (c == '/' && d == '/')) {
            skip_line(r);
        } else if (c == '/' && d == '*') {
            skip_block(r);
        } else {
            return r->line != line;
        }
    }
}

static int hex_value(int c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* \" \\ and \xHH; r->at is behind the backslash. -1 for anything else. */
static int unescape(struct reader *r) {
    int c = peek_octet(r, 0);
    if (c == '"' || c == '\\') {
        r->at++;
        return c;
    }
    int high = c == 'x' ? hex_value(peek_octet(r, 1)) : -1;
    int low = high >= 0 ? hex_value(peek_octet(r, 2)) : -1;
    if (low < 0)
        return -1;
    r->at += 3;
    return high << 4 | low;
}

static bool is_control(int c) {
    return c < ' ' || c == 0x7f;
}

/* A bad token carries what is wrong with it; the parser, which knows the setting, says so. Nothing
 * more of the line is read: where a broken string was meant to end is anybody's guess. */
static struct token bad_line(struct reader *r, struct token t, struct bytes text) {
    skip_line(r);
    t.kind = BAD;
    t.text = text;
    return t;
}

static struct token lex_string(struct reader *r, struct token t) {
    int quote = peek_octet(r, 0);
    r->at++;
    size_t end = r->at;
    while (end < r->text.len && r->text.at[end] != '\n')
        end++;
    char *to = arena_alloc(r->arena, end - r->at + 1);
    size_t len = 0;
    while (peek_octet(r, 0) != quote) {
        int c = r->at < end ? (unsigned char)r->text.at[r->at++] : -1;
        if (c < 0)
            return bad_line(r, t,
                            B("the string is not closed on its line; expected a closing quote"));
        if (c == '\\' && quote == '"' && (c = unescape(r)) < 0)
            return bad_line(r, t, B("unknown escape in a string; expected \\\" or \\\\ or \\xHH"));
        if (is_control(c))
            return bad_line(r, t, B("a control character in a string; expected printable text"));
        to[len++] = (char)c;
    }
    r->at++;
    t.text = bytes_of(to, len);
    return t;
}

static struct token lex_word(struct reader *r, struct token t) {
    size_t start = r->at;
    while (is_word_octet(peek_octet(r, 0)))
        r->at++;
    t.text = bytes_slice(r->text, start, r->at);
    if (bytes_search(t.text, B("//")) < 0 && bytes_search(t.text, B("/*")) < 0)
        return t;
    t.kind = BAD;
    t.text = B("// and /* begin a comment; expected the value in \"quotes\"");
    return t;
}

static struct token lex_other(struct reader *r, struct token t, int c) {
    if (c == ';')
        return bad_line(r, t, B("unexpected \";\"; expected blanks or a newline between settings"));
    if (c <= ' ' || c >= 0x7f)
        return bad_line(
            r, t, arena_printf(r->arena, "unexpected octet 0x%02x; expected text", (unsigned)c));
    return bad_line(
        r, t,
        arena_printf(r->arena, "unexpected \"%c\"; expected a name, or a value in \"quotes\"", c));
}

static struct token lex(struct reader *r) {
    bool first = skip_blanks(r) || r->count == 0;
    int c = peek_octet(r, 0);
    struct token t = { .first = first, .line = r->line, .kind = END };
    static const char marks[] = "={},";
    const char *mark = c > 0 ? strchr(marks, c) : NULL;
    if (c < 0)
        return t;
    if (mark) {
        t.kind = EQUALS + (enum kind)(mark - marks);
        t.text = bytes_slice(r->text, r->at, r->at + 1);
        r->at++;
        return t;
    }
    t.kind = c == '"' || c == '\'' ? STRING : WORD;
    if (t.kind == STRING)
        return lex_string(r, t);
    return is_word_octet(c) ? lex_word(r, t) : lex_other(r, t, c);
}

static void lex_all(struct reader *r) {
    struct token t;
    do {
        t = lex(r);
        r->tokens = syntax_grow(r->arena, r->tokens, r->count, sizeof t);
        r->tokens[r->count++] = t;
    } while (t.kind != END);
}

/* --- the parser -------------------------------------------------------------------------- */

static const struct token *ahead(const struct reader *r, size_t n) {
    size_t i = r->next + n;
    return &r->tokens[i < r->count ? i : r->count - 1];
}

static bool is_text(const struct token *t) {
    return t->kind == WORD || t->kind == STRING;
}

/* Is the token `n` ahead the first of a statement, beyond doubt? */
static bool begins_statement(const struct reader *r, size_t n) {
    const struct token *name = ahead(r, n), *then = ahead(r, n + 1);
    if (name->kind != WORD || !name->first)
        return false;
    return then->kind == EQUALS || then->kind == OPEN ||
           (is_text(then) && ahead(r, n + 2)->kind == OPEN);
}

/* Skips to the next statement, or to the } or the end that closes this section. `depth`: 1 when a
 * list is open, whose } is skipped too. */
static void recover(struct reader *r, int depth) {
    bool list = depth > 0;
    for (;; r->next++) {
        const struct token *t = ahead(r, 0);
        if (t->kind == END || begins_statement(r, 0) || (t->kind == CLOSE && depth == 0))
            return;
        depth += t->kind == OPEN ? 1 : t->kind == CLOSE ? -1 : 0;
        if (list && depth == 0) {
            r->next++;
            return;
        }
    }
}

static struct bytes shown(struct reader *r, const struct token *t) {
    if (t->kind == END)
        return B("the end of the file");
    /* Values may be secrets that somebody wrote where they do not belong. */
    if (t->kind == STRING)
        return B("a string");
    return arena_printf(r->arena, "\"%.*s\"", BYTES_FMT(t->text));
}

static void unexpected(struct reader *r, const struct token *t, const char *expected) {
    if (t->kind == BAD)
        complain(r, t->line, "%.*s", BYTES_FMT(t->text));
    else
        complain(r, t->line, "unexpected %.*s; expected %s", BYTES_FMT(shown(r, t)), expected);
}

static void add_item(struct reader *r, struct syntax_setting *s, const struct token *t) {
    s->items = syntax_grow(r->arena, s->items, s->count, sizeof *s->items);
    s->items[s->count++] = (struct syntax_item){ .text = t->text, .line = t->line };
}

/* Behind {. A comma after the last item is fine. */
static bool parse_list(struct reader *r, struct syntax_setting *s) {
    int opened = ahead(r, 0)->line;
    for (s->list = true;;) {
        const struct token *t = ahead(r, 0);
        if (t->kind == CLOSE) {
            r->next++;
            return true;
        }
        if (t->kind == END || begins_statement(r, 0)) {
            complain(r, opened, "the list is not closed; expected } behind its last item");
            return false;
        }
        if (!is_text(t)) {
            unexpected(r, t, "an item of the list, or }");
            recover(r, 1);
            return false;
        }
        add_item(r, s, t);
        r->next++;
        if (ahead(r, 0)->kind == COMMA)
            r->next++;
        else if (is_text(ahead(r, 0)) && !begins_statement(r, 0)) {
            unexpected(r, ahead(r, 0), "a comma between the items of the list, or }");
            recover(r, 1);
            return false;
        }
    }
}

/* Behind the =. */
static bool parse_value(struct reader *r, struct syntax_setting *s) {
    const struct token *t = ahead(r, 0);
    if (t->kind == OPEN) {
        r->next++;
        return parse_list(r, s);
    }
    if (begins_statement(r, 0) || !is_text(t)) {
        if (t->kind == BAD)
            unexpected(r, t, "");
        else
            complain(r, s->line,
                     "no value behind \"=\"; expected a word, a \"string\" or {a list}");
        recover(r, 0);
        return false;
    }
    add_item(r, s, t);
    r->next++;
    return true;
}

static struct bytes name_of(struct reader *r, const struct syntax_section *s,
                            struct bytes setting) {
    if (s->kind.len == 0)
        return setting;
    const char *gap = s->titled ? " " : "", *colon = setting.len ? ": " : "";
    return arena_printf(r->arena, "%.*s%s%.*s%s%.*s", BYTES_FMT(s->kind), gap, BYTES_FMT(s->title),
                        colon, BYTES_FMT(setting));
}

static void parse_setting(struct reader *r, size_t section) {
    const struct token *name = ahead(r, 0);
    struct syntax_setting s = { .name = name->text, .line = name->line };
    r->where = name_of(r, &r->out->sections[section], s.name);
    r->next += 2;
    s.broken = !parse_value(r, &s);
    struct syntax_section *to = &r->out->sections[section];
    to->settings = syntax_grow(r->arena, to->settings, to->count, sizeof s);
    to->settings[to->count++] = s;
}

static size_t add_section(struct reader *r, struct syntax_section s) {
    struct syntax *out = r->out;
    out->sections = syntax_grow(r->arena, out->sections, out->count, sizeof s);
    out->sections[out->count] = s;
    return out->count++;
}

/* How many tokens the head of a section takes here, { included; 0 if none begins here. */
static size_t section_head(const struct reader *r) {
    if (ahead(r, 0)->kind != WORD)
        return 0;
    if (ahead(r, 1)->kind == OPEN)
        return 2;
    return is_text(ahead(r, 1)) && ahead(r, 2)->kind == OPEN ? 3 : 0;
}

static void parse_stray(struct reader *r) {
    const struct token *name = ahead(r, 0), *then = ahead(r, 1);
    if (name->kind != WORD) {
        r->next += name->kind != END;
        unexpected(r, name, "the name of a setting or section");
        recover(r, 0);
        return;
    }
    r->next++;
    if (then->kind == BAD)
        unexpected(r, then, "");
    else
        complain(r, name->line,
                 "\"%.*s\" is followed by %.*s; expected = and a value, or { and "
                 "settings",
                 BYTES_FMT(name->text), BYTES_FMT(shown(r, then)));
    recover(r, 0);
}

/* The settings of a section, behind its {. */
static void parse_body(struct reader *r, size_t section) {
    for (;;) {
        struct syntax_section *s = &r->out->sections[section];
        r->where = name_of(r, s, BYTES_NONE);
        if (ahead(r, 0)->kind == CLOSE) {
            r->next++;
            return;
        }
        if (ahead(r, 0)->kind == END || section_head(r)) {
            complain(r, s->line,
                     "the section that begins here is not closed; expected } before "
                     "line %d",
                     ahead(r, 0)->line);
            return;
        }
        if (ahead(r, 0)->kind == WORD && ahead(r, 1)->kind == EQUALS)
            parse_setting(r, section);
        else
            parse_stray(r);
    }
}

static void parse_section(struct reader *r, size_t head) {
    const struct token *kind = ahead(r, 0), *title = ahead(r, 1);
    struct syntax_section s = { .kind = kind->text, .line = kind->line, .titled = head == 3 };
    if (s.titled)
        s.title = title->text;
    r->next += head;
    parse_body(r, add_section(r, s));
}

static void parse_file(struct reader *r) {
    add_section(r, (struct syntax_section){ .line = 1 });
    for (;;) {
        size_t head = section_head(r);
        r->where = BYTES_NONE;
        if (ahead(r, 0)->kind == END)
            return;
        if (head) {
            parse_section(r, head);
        } else if (ahead(r, 0)->kind == WORD && ahead(r, 1)->kind == EQUALS) {
            parse_setting(r, 0);
        } else if (ahead(r, 0)->kind == CLOSE) {
            complain(r, ahead(r, 0)->line, "unexpected \"}\"; no section or list is open here");
            r->next++;
        } else {
            parse_stray(r);
        }
    }
}

void syntax_read(struct bytes text, struct arena *a, syntax_complain *complain_to, void *ctx,
                 struct syntax *out) {
    *out = (struct syntax){ 0 };
    struct reader r = {
        .arena = a, .complain = complain_to, .ctx = ctx, .text = text, .line = 1, .out = out
    };
    if (bytes_starts(text, B("\xef\xbb\xbf")))
        r.at = 3; /* the byte order mark some editors write */
    lex_all(&r);
    parse_file(&r);
}

const struct syntax_setting *syntax_find(const struct syntax_section *s, const char *name) {
    for (size_t i = 0; i < s->count; i++)
        if (bytes_equal(s->settings[i].name, bytes_str(name)))
            return &s->settings[i];
    return NULL;
}
