/* pattern: compiling lazily, and finding out which words a pattern cannot do without. The latter
 * reads the pattern as far as is needed for that: sequences, groups, alternatives, repetition. What
 * it does not understand only costs time: then the pattern is tried on every text. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "reply/pattern.h"

#include "base/buf.h"
#include "base/must.h"
#include "reply/literals.h"

#include <pcre2.h>
#include <string.h>

enum {
    PATTERN_MAX = 64 * 1024,
    NEEDS_MAX = 3,
    WORDS_MAX = 400,
    NESTING_MAX = 40,
    MATCH_LIMIT = 200 * 1000,
    DEPTH_LIMIT = 2000
};

/* One of these words must be in the text; none: nothing is known. */
struct need {
    unsigned count;
    size_t shortest;
    const unsigned *words; /* numbers of literals */
};

struct needs { /* all of them */
    unsigned count;
    struct need list[NEEDS_MAX];
};

struct let {
    struct let *next;
    struct bytes name, source; /* source: with its own lets written out */
    struct needs needs;        /* numbers of the literals of whoever made the let */
    const struct patterns *owner;
};

struct patterns {
    struct arena *arena;
    struct literals *literals;
    struct let *lets;
    pcre2_match_data *match_data;
    pcre2_match_context *match_context;
    char wrong[160];
};

struct pattern {
    struct patterns *all;
    struct bytes source;
    struct needs needs;
    pcre2_code *code;
    bool broken;
};

/* --- lets ----------------------------------------------------------------------------------- */

static const struct let *find_let(const struct patterns *all, struct bytes name) {
    for (const struct let *let = all->lets; let; let = let->next)
        if (bytes_equal(let->name, name))
            return let;
    return NULL;
}

static bool is_name_char(char c) {
    return (c >= 'A' && c <= 'Z') || c == '_';
}

/* The name at the start of "{NAME}...", or empty. */
static struct bytes let_name(struct bytes text) {
    size_t len = 1;
    while (len < text.len && is_name_char(text.at[len]))
        len++;
    bool is_name = len > 1 && len < text.len && text.at[0] == '{' && text.at[len] == '}';
    return is_name ? bytes_slice(text, 1, len) : BYTES_NONE;
}

/* Writes a pattern with its {NAMES} replaced; the name that is not defined, or empty. */
static struct bytes expand(struct buf *out, const struct patterns *all, struct bytes source) {
    for (size_t i = 0; i < source.len; i++) {
        bool quoted = i > 0 && source.at[i - 1] == '\\';
        struct bytes name = quoted ? BYTES_NONE : let_name(bytes_skip(source, i));
        const struct let *let = name.len ? find_let(all, name) : NULL;
        if (name.len && !let)
            return name;
        if (!let) {
            buf_char(out, source.at[i]);
            continue;
        }
        buf_str(out, "(?:");
        buf_add(out, let->source);
        buf_char(out, ')');
        i += name.len + 1;
    }
    return BYTES_NONE;
}

/* --- the words a pattern needs -------------------------------------------------------------- */

/* Reads a pattern from left to right; what is between two breaks is a run of plain letters. */
struct scan {
    struct patterns *all;
    struct bytes rest;
    unsigned depth;
    bool lost; /* something that is not understood: know nothing */
    char run[LITERAL_MAX];
    size_t run_length;
};

static struct needs read_alternatives(struct scan *s);

/* Of two needs, the one that fewer texts will meet. */
static bool is_better(const struct need *a, const struct need *b) {
    size_t a_shortest = a->shortest > 5 ? 5 : a->shortest;
    size_t b_shortest = b->shortest > 5 ? 5 : b->shortest;
    return a_shortest != b_shortest ? a_shortest > b_shortest : a->count < b->count;
}

/* Keeps the best ones, the best first. */
static void add_need(struct needs *needs, struct need need) {
    if (!need.count)
        return;
    for (unsigned i = 0; i < needs->count; i++)
        if (is_better(&need, &needs->list[i])) {
            struct need worse = needs->list[i];
            needs->list[i] = need;
            need = worse;
        }
    if (needs->count < NEEDS_MAX)
        needs->list[needs->count++] = need;
}

static void need_word(struct scan *s, struct needs *needs, unsigned number, size_t length) {
    unsigned *words = ARENA_NEW(s->all->arena, unsigned);
    *words = number;
    if (number)
        add_need(needs, (struct need){ .count = 1, .shortest = length, .words = words });
}

static void end_run(struct scan *s, struct needs *needs) {
    if (s->run_length >= 2)
        need_word(s, needs, literals_add(s->all->literals, bytes_of(s->run, s->run_length)),
                  s->run_length);
    s->run_length = 0;
}

static bool at(const struct scan *s, char c) {
    return s->rest.len && s->rest.at[0] == c;
}

static void skip(struct scan *s, size_t n) {
    s->rest = bytes_skip(s->rest, n);
}

/* The length of "{2,5}" at the start, or 0. */
static size_t repeat_length(struct bytes text) {
    size_t len = 1;
    if (!text.len || text.at[0] != '{')
        return 0;
    while (len < text.len && (ascii_is_digit(text.at[len]) || text.at[len] == ','))
        len++;
    return len > 1 && len < text.len && text.at[len] == '}' ? len + 1 : 0;
}

enum times { ONCE, OPTIONAL, REPEATED };

/* Takes what says how often the thing before it stands. */
static enum times read_times(struct scan *s) {
    enum times times = ONCE;
    size_t length = repeat_length(s->rest);
    if (at(s, '?') || at(s, '*'))
        times = OPTIONAL;
    else if (at(s, '+'))
        times = REPEATED;
    else if (length)
        times = s->rest.at[1] == '0' || s->rest.at[1] == ',' ? OPTIONAL : REPEATED;
    if (times == ONCE)
        return ONCE;
    skip(s, length ? length : 1);
    if (at(s, '?') || at(s, '+'))
        skip(s, 1);
    return times;
}

/* Something that can be many things: a class, a dot. */
static void read_blur(struct scan *s, struct needs *needs) {
    end_run(s, needs);
    read_times(s);
}

static void add_to_run(struct scan *s, struct needs *needs, struct bytes letter) {
    if (s->run_length + letter.len > sizeof s->run)
        end_run(s, needs);
    for (size_t i = 0; i < letter.len; i++)
        s->run[s->run_length++] = ascii_lower(letter.at[i]);
}

/* One letter as it stands. */
static void read_letter(struct scan *s, struct needs *needs, struct bytes letter) {
    enum times times = read_times(s);
    if (times == OPTIONAL) {
        end_run(s, needs);
        return;
    }
    add_to_run(s, needs, letter);
    if (times == REPEATED)
        end_run(s, needs);
}

/* Letters of scripts without capitals stand as they are; of the others all that is known is that
 * they are not ASCII. */
static void read_beyond_ascii(struct scan *s, struct needs *needs) {
    size_t length = bytes_utf8(s->rest);
    unsigned char lead = (unsigned char)s->rest.at[0];
    struct bytes letter = bytes_first(s->rest, length ? length : 1);
    skip(s, letter.len);
    if (length == 3 && lead >= 0xe3 && lead <= 0xed) {
        read_letter(s, needs, letter);
        return;
    }
    end_run(s, needs);
    if (read_times(s) != OPTIONAL)
        need_word(s, needs, LITERAL_BEYOND_ASCII, 4);
}

static void read_class(struct scan *s, struct needs *needs) {
    size_t end = at(s, '[') ? 1 : 0;
    if (end < s->rest.len && s->rest.at[end] == '^')
        end++;
    if (end < s->rest.len && s->rest.at[end] == ']')
        end++;
    while (end < s->rest.len && s->rest.at[end] != ']') {
        s->lost = s->lost || s->rest.at[end] == '['; /* [:alpha:] */
        end += s->rest.at[end] == '\\' ? 2 : 1;
    }
    skip(s, end < s->rest.len ? end + 1 : s->rest.len);
    read_blur(s, needs);
}

static void read_escape(struct scan *s, struct needs *needs) {
    struct bytes letter = bytes_slice(s->rest, 1, 2);
    skip(s, 2);
    if (!letter.len)
        return;
    if (!ascii_is_alnum(letter.at[0]))
        read_letter(s, needs, letter);
    else if (strchr("dDsSwW", letter.at[0]))
        read_blur(s, needs);
    else if (!strchr("bBAZz", letter.at[0]))
        s->lost = true;
}

/* "(?:", "(?=", "(?<!" ...: how long, and whether what is in it is part of the text. */
static size_t group_head(struct scan *s, bool *aside) {
    static const struct {
        struct bytes head;
        bool aside;
    } heads[] = { { { "(?:", 3 }, false }, { { "(?=", 3 }, true },  { { "(?!", 3 }, true },
                  { { "(?<=", 4 }, true }, { { "(?<!", 4 }, true }, { { "(?>", 3 }, false } };
    *aside = false;
    if (s->rest.len < 2 || (s->rest.at[1] != '?' && s->rest.at[1] != '*'))
        return 1;
    for (size_t i = 0; i < COUNT_OF(heads); i++)
        if (bytes_starts(s->rest, heads[i].head)) {
            *aside = heads[i].aside;
            return heads[i].head.len;
        }
    s->lost = true;
    return 1;
}

static void add_needs(struct needs *into, const struct needs *from) {
    for (unsigned i = 0; i < from->count; i++)
        add_need(into, from->list[i]);
}

static void read_group(struct scan *s, struct needs *needs) {
    bool aside;
    char run[LITERAL_MAX];
    size_t run_length = s->run_length;
    memcpy(run, s->run, run_length);
    skip(s, group_head(s, &aside));
    s->run_length = 0;
    struct needs inner = read_alternatives(s);
    if (at(s, ')'))
        skip(s, 1);
    s->run_length = run_length;
    memcpy(s->run, run, run_length);
    enum times times = read_times(s);
    if (aside)
        return;
    end_run(s, needs);
    if (times != OPTIONAL)
        add_needs(needs, &inner);
}

static void read_let(struct scan *s, struct needs *needs, struct bytes name) {
    const struct let *let = find_let(s->all, name);
    end_run(s, needs);
    skip(s, name.len + 2);
    if (read_times(s) != OPTIONAL && let && let->owner == s->all)
        add_needs(needs, &let->needs);
}

static void read_one(struct scan *s, struct needs *needs) {
    struct bytes name = let_name(s->rest);
    char c = s->rest.at[0];
    if (name.len) {
        read_let(s, needs, name);
    } else if (c == '(') {
        read_group(s, needs);
    } else if (c == '[') {
        read_class(s, needs);
    } else if (c == '\\') {
        read_escape(s, needs);
    } else if ((unsigned char)c >= 0x80) {
        read_beyond_ascii(s, needs);
    } else {
        struct bytes letter = bytes_first(s->rest, 1);
        skip(s, 1);
        if (c == '.')
            read_blur(s, needs);
        else if (c != '^' && c != '$')
            read_letter(s, needs, letter);
    }
}

static struct needs read_sequence(struct scan *s) {
    struct needs needs = { 0 };
    while (s->rest.len && !at(s, '|') && !at(s, ')'))
        read_one(s, &needs);
    end_run(s, &needs);
    return needs;
}

/* One of the words of the one, or of the other. */
static struct need either(struct scan *s, const struct need *a, const struct need *b) {
    if (!a->count || !b->count || a->count + b->count > WORDS_MAX)
        return (struct need){ 0 };
    unsigned *words = ARENA_ARRAY(s->all->arena, a->count + b->count, unsigned);
    memcpy(words, a->words, a->count * sizeof *words);
    memcpy(words + a->count, b->words, b->count * sizeof *words);
    return (struct need){ .count = a->count + b->count,
                          .shortest = a->shortest < b->shortest ? a->shortest : b->shortest,
                          .words = words };
}

static struct needs read_alternatives(struct scan *s) {
    s->lost = s->lost || ++s->depth > NESTING_MAX;
    if (s->lost)
        return (struct needs){ 0 };
    struct needs needs = read_sequence(s);
    while (at(s, '|') && !s->lost) {
        skip(s, 1);
        struct needs other = read_sequence(s);
        struct need both = either(s, &needs.list[0], &other.list[0]);
        needs = (struct needs){ .count = both.count ? 1 : 0, .list = { both } };
    }
    s->depth--;
    return s->lost ? (struct needs){ 0 } : needs;
}

static struct needs find_needs(struct patterns *all, struct bytes source) {
    struct scan s = { .all = all, .rest = source };
    struct needs needs = read_alternatives(&s);
    bool understood = !s.lost && !s.rest.len;
    return understood ? needs : (struct needs){ 0 };
}

/* --- making --------------------------------------------------------------------------------- */

static void free_matcher(void *arg) {
    struct patterns *all = arg;
    pcre2_match_data_free(all->match_data);
    pcre2_match_context_free(all->match_context);
}

struct patterns *patterns_new(struct arena *a, const struct patterns *more) {
    struct patterns *all = ARENA_NEW(a, struct patterns);
    all->arena = a;
    all->literals = literals_new(a);
    all->lets = more ? more->lets : NULL;
    all->match_data = pcre2_match_data_create(1, NULL);
    all->match_context = pcre2_match_context_create(NULL);
    MUST(all->match_data && all->match_context);
    pcre2_set_match_limit(all->match_context, MATCH_LIMIT);
    pcre2_set_depth_limit(all->match_context, DEPTH_LIMIT);
    arena_defer(a, free_matcher, all);
    return all;
}

bool pattern_let(struct patterns *all, struct bytes name, struct bytes source) {
    if (!name.len || !source.len || find_let(all, name))
        return false;
    struct buf whole = buf_grow(PATTERN_MAX);
    struct bytes undefined = expand(&whole, all, source);
    bool good = !undefined.len && !whole.full;
    if (good) {
        struct let *let = ARENA_NEW(all->arena, struct let);
        *let = (struct let){ .next = all->lets,
                             .name = arena_copy(all->arena, name),
                             .source = arena_copy(all->arena, buf_bytes(&whole)),
                             .needs = find_needs(all, source),
                             .owner = all };
        all->lets = let;
    }
    buf_free(&whole);
    return good;
}

/* The first let in a pattern that is not known, or empty. */
static struct bytes unknown_let(const struct patterns *all, struct bytes source) {
    for (size_t i = 0; i < source.len; i++) {
        bool quoted = i > 0 && source.at[i - 1] == '\\';
        struct bytes name = quoted ? BYTES_NONE : let_name(bytes_skip(source, i));
        if (name.len && !find_let(all, name))
            return name;
    }
    return BYTES_NONE;
}

static void free_code(void *arg) {
    struct pattern *p = arg;
    pcre2_code_free(p->code);
}

struct pattern *pattern_new(struct patterns *all, struct bytes source, struct bytes *undefined) {
    *undefined = unknown_let(all, source);
    if (undefined->len)
        return NULL;
    struct pattern *p = ARENA_NEW(all->arena, struct pattern);
    *p = (struct pattern){ .all = all,
                           .source = arena_copy(all->arena, source),
                           .needs = find_needs(all, source) };
    arena_defer(all->arena, free_code, p);
    return p;
}

static const char *compile(struct pattern *p) {
    struct patterns *all = p->all;
    struct buf whole = buf_grow(PATTERN_MAX);
    int error = 0;
    PCRE2_SIZE offset = 0;
    expand(&whole, all, p->source);
    if (!whole.full)
        p->code = pcre2_compile((PCRE2_SPTR)buf_text(&whole), whole.len,
                                PCRE2_CASELESS | PCRE2_UTF | PCRE2_MATCH_INVALID_UTF |
                                    PCRE2_NO_AUTO_CAPTURE,
                                &error, &offset, NULL);
    p->broken = !p->code;
    struct buf wrong = buf_fixed(all->wrong, sizeof all->wrong - 1);
    if (whole.full) {
        buf_str(&wrong, "pattern too long");
    } else if (!p->code) {
        PCRE2_UCHAR message[120] = "";
        pcre2_get_error_message(error, message, sizeof message);
        buf_str(&wrong, (const char *)message);
    }
    buf_free(&whole);
    return p->broken ? buf_text(&wrong) : NULL;
}

const char *pattern_wrong(struct pattern *p) {
    return p->code ? NULL : compile(p);
}

/* --- finding -------------------------------------------------------------------------------- */

void patterns_look(struct patterns *all, struct bytes text) {
    literals_look(all->literals, text);
}

static bool has_one(const struct pattern *p, const struct need *need) {
    for (unsigned i = 0; i < need->count; i++)
        if (literals_seen(p->all->literals, need->words[i]))
            return true;
    return false;
}

bool pattern_matches(struct pattern *p, struct bytes text) {
    if (!p->code && (p->broken || compile(p)))
        return false;
    return pcre2_match(p->code, (PCRE2_SPTR)(text.at ? text.at : ""), text.len, 0, 0,
                       p->all->match_data, p->all->match_context) >= 0;
}

bool pattern_found(struct pattern *p, struct bytes text) {
    for (unsigned i = 0; i < p->needs.count; i++)
        if (!has_one(p, &p->needs.list[i]))
            return false;
    return pattern_matches(p, text);
}
