/* options: reading a command line by its table. This file alone knows how options are written, and
 * how far a word may be from another to be taken for a slip of the finger. */
#include "bin/options.h"

#include "base/must.h"
#include "base/num.h"

#include <jansson.h>
#include <stdarg.h>
#include <string.h>
#include <sysexits.h>

enum { WORD_MAX = 32, SLIPS_MAX = 2 };

void options_help(const struct options *o, FILE *to) {
    size_t width = strlen("--help");
    for (size_t i = 0; i < o->row_count; i++) {
        const struct option_row *r = &o->rows[i];
        size_t len = strlen(r->name) + (r->value ? strlen(r->value) + 1 : 0);
        width = len > width ? len : width;
    }
    fprintf(to, "usage: postern %s [options]%s%s\n%s\n\n", o->command, *o->arguments ? " " : "",
            o->arguments, o->sentence);
    for (size_t i = 0; i < o->row_count; i++) {
        const struct option_row *r = &o->rows[i];
        int len = fprintf(to, "  %s%s%s", r->name, r->value ? " " : "", r->value ? r->value : "");
        fprintf(to, "%*s%s\n", (int)width + 4 - len, "", r->help);
    }
    fprintf(to, "  %-*s  %s\n", (int)width, "--help", "this text");
}

int options_misuse(const struct options *o, const char *format, ...) {
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (o->complaints) {
        buf_str(o->complaints, text);
        return EX_USAGE;
    }
    /* What was given may be a stranger's words, pasted or passed on by a script. */
    char memory[sizeof text];
    struct buf clean = buf_fixed(memory, sizeof memory);
    buf_printable(&clean, bytes_str(text));
    fprintf(stderr, "postern %s: %s\n(postern %s --help lists what there is)\n", o->command,
            buf_text(&clean), o->command);
    return EX_USAGE;
}

bool options_time(struct bytes text, int64_t *ms_out) {
    uint64_t seconds;
    if (bytes_to_u64(text, 24 * 60 * 60, &seconds))
        *ms_out = (int64_t)seconds * 1000;
    else if (!num_parse_duration(text, ms_out))
        return false;
    return *ms_out > 0;
}

/* --- did you mean ------------------------------------------------------------------------ */

static unsigned min3(unsigned a, unsigned b, unsigned c) {
    unsigned low = a < b ? a : b;
    return low < c ? low : c;
}

/* How many letters have to be changed, put in or left out to make one of the other. */
static unsigned distance(struct bytes a, struct bytes b) {
    unsigned row[WORD_MAX + 1];
    if (a.len > WORD_MAX || b.len > WORD_MAX)
        return WORD_MAX;
    for (unsigned j = 0; j <= b.len; j++)
        row[j] = j;
    for (unsigned i = 1; i <= a.len; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= b.len; j++) {
            unsigned above = row[j];
            unsigned differ = ascii_lower(a.at[i - 1]) != ascii_lower(b.at[j - 1]);
            row[j] = min3(above + 1, row[j - 1] + 1, diagonal + differ);
            diagonal = above;
        }
    }
    return row[b.len];
}

const char *options_nearest(struct bytes given, const char *const *words, size_t count) {
    const char *best = NULL;
    unsigned best_distance = SLIPS_MAX + 1;
    for (size_t i = 0; i < count; i++) {
        struct bytes word = bytes_str(words[i]);
        unsigned d = distance(given, word);
        if (given.len >= 4 && bytes_starts_nocase(word, given))
            d = 1; /* cut short */
        if (d < best_distance && d * 2 < word.len) {
            best_distance = d;
            best = words[i];
        }
    }
    return best;
}

static int unknown(const struct options *o, struct bytes name) {
    const char *words[64];
    size_t count = 0;
    for (size_t i = 0; i < o->row_count && count < COUNT_OF(words); i++)
        words[count++] = o->rows[i].name;
    const char *near = options_nearest(name, words, count);
    if (near)
        return options_misuse(o, "there is no option %.*s: did you mean %s?", BYTES_FMT(name),
                              near);
    return options_misuse(o, "there is no option %.*s", BYTES_FMT(name));
}

/* --- parsing ------------------------------------------------------------------------------ */

struct reading {
    const struct options *o;
    int argc, next;
    char **argv;
    size_t arg_count;
};

static const struct option_row *find_row(const struct options *o, struct bytes name) {
    for (size_t i = 0; i < o->row_count; i++)
        if (bytes_equal(bytes_str(o->rows[i].name), name))
            return &o->rows[i];
    return NULL;
}

static int take_value(const struct options *o, const struct option_row *row, struct bytes value) {
    if (row->text)
        *row->text = value;
    if (!row->list)
        return OPTIONS_GO_ON;
    if (*row->count == row->max)
        return options_misuse(o, "%s is given more than %zu times", row->name, row->max);
    row->list[(*row->count)++] = value;
    return OPTIONS_GO_ON;
}

static int take_option(struct reading *r, struct bytes word) {
    struct bytes name = word, value = BYTES_NONE;
    ptrdiff_t equals = bytes_starts(word, B("--")) ? bytes_find(word, '=') : -1;
    if (equals >= 0) {
        name = bytes_first(word, (size_t)equals);
        value = bytes_skip(word, (size_t)equals + 1);
    }
    const struct option_row *row = find_row(r->o, name);
    if (!row)
        return unknown(r->o, name);
    if (!row->value) {
        if (equals >= 0)
            return options_misuse(r->o, "%s takes no value", row->name);
        if (row->flag)
            *row->flag = true;
        return OPTIONS_GO_ON;
    }
    if (equals < 0) {
        if (r->next == r->argc)
            return options_misuse(r->o, "%s needs a value: %s %s", row->name, row->name,
                                  row->value);
        value = bytes_str(r->argv[r->next++]);
    }
    return take_value(r->o, row, value);
}

static int take_argument(struct reading *r, struct bytes word) {
    if (!r->o->args || r->arg_count == r->o->args_max)
        return options_misuse(r->o, "\"%.*s\" is one argument too many", BYTES_FMT(word));
    r->o->args[r->arg_count++] = word;
    return OPTIONS_GO_ON;
}

int options_parse(const struct options *o, int argc, char **argv) {
    struct reading r = { .o = o, .argc = argc, .next = 1, .argv = argv };
    bool ended = false;
    int rc = OPTIONS_GO_ON;
    while (r.next < argc && rc == OPTIONS_GO_ON) {
        struct bytes word = bytes_str(argv[r.next++]);
        bool dash = !ended && word.len > 1 && word.at[0] == '-';
        if (dash && (bytes_equal(word, B("--help")) || bytes_equal(word, B("-h")))) {
            options_help(o, stdout);
            return EX_OK;
        }
        if (dash && bytes_equal(word, B("--")))
            ended = true;
        else
            rc = dash ? take_option(&r, word) : take_argument(&r, word);
    }
    if (o->arg_count)
        *o->arg_count = r.arg_count;
    if (rc == OPTIONS_GO_ON && r.arg_count < o->args_min)
        return options_misuse(o, "something is missing: postern %s [options] %s", o->command,
                              o->arguments);
    return rc;
}

/* --- the same as JSON ------------------------------------------------------------------------ */

static const struct option_row *find_key(const struct options *o, const char *key) {
    struct buf name = buf_grow(256);
    buf_str(&name, "--");
    for (; *key; key++)
        buf_char(&name, *key == '_' ? '-' : *key);
    const struct option_row *row = name.full ? NULL : find_row(o, buf_bytes(&name));
    buf_free(&name);
    return row;
}

static int take_json_value(const struct options *o, const struct option_row *row, json_t *value,
                           struct arena *a) {
    if (json_is_boolean(value) && row->flag) {
        *row->flag = json_is_true(value);
        return OPTIONS_GO_ON;
    }
    if (!row->value || !(json_is_string(value) || json_is_integer(value)))
        return options_misuse(o, "%s: expected %s", row->name,
                              row->flag ? "true or false" : "a text or a number");
    return take_value(o, row,
                      json_is_string(value)
                          ? arena_copy(a, bytes_str(json_string_value(value)))
                          : arena_printf(a, "%lld", (long long)json_integer_value(value)));
}

static int take_json_key(const struct options *o, const char *key, json_t *value, struct arena *a) {
    const struct option_row *row = find_key(o, key);
    if (!row)
        return options_misuse(o, "there is no option --%.100s", key);
    if (!json_is_array(value) || !row->list)
        return take_json_value(o, row, value, a);
    int code = OPTIONS_GO_ON;
    for (size_t i = 0; i < json_array_size(value) && code == OPTIONS_GO_ON; i++)
        code = take_json_value(o, row, json_array_get(value, i), a);
    return code;
}

int options_take_json(const struct options *o, struct bytes object, struct arena *a) {
    json_error_t error;
    json_t *json = json_loadb(object.at, object.len, JSON_REJECT_DUPLICATES, &error), *value;
    const char *key;
    int code = OPTIONS_GO_ON;
    if (!json_is_object(json)) {
        code = options_misuse(o, "not a JSON object: %s", json ? "another value" : error.text);
        json_decref(json);
        return code;
    }
    json_object_foreach(json, key, value) {
        code = take_json_key(o, key, value, a);
        if (code != OPTIONS_GO_ON)
            break;
    }
    json_decref(json);
    return code;
}

/* --- actions --------------------------------------------------------------------------------- */

enum { ACTIONS_MAX = 32 };

static void help_actions(FILE *to, const char *command, const struct options_action *rows,
                         size_t count) {
    fprintf(to, "usage: postern %s ACTION [options]\n\n", command);
    for (size_t i = 0; i < count; i++)
        fprintf(to, "  %-8s %-19s %s\n", rows[i].name, rows[i].arguments, rows[i].sentence);
    fprintf(to, "\npostern %s ACTION --help lists the options. Manual: postern-%s(1)\n", command,
            command);
}

size_t options_take_action(const char *command, const struct options_action *rows, size_t count,
                           int argc, char **argv, int *code_out) {
    const char *names[ACTIONS_MAX];
    MUST(count <= ACTIONS_MAX);
    if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
        help_actions(argc < 2 ? stderr : stdout, command, rows, count);
        *code_out = argc < 2 ? EX_USAGE : 0;
        return count;
    }
    for (size_t i = 0; i < count; i++) {
        names[i] = rows[i].name;
        if (!strcmp(argv[1], names[i]))
            return i;
    }
    const char *nearest = options_nearest(bytes_str(argv[1]), names, count);
    fprintf(stderr, "postern %s: there is no action '%s'%s%s%s\n", command, argv[1],
            nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
    *code_out = EX_USAGE;
    return count;
}
