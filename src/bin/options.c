/* options: reading a command line by its table. This file alone knows how options are written, and
 * how far a word may be from another to be taken for a slip of the finger. */
#include "bin/options.h"

#include "base/must.h"

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
    va_list args;
    va_start(args, format);
    fprintf(stderr, "postern %s: ", o->command);
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n(postern %s --help lists what there is)\n", o->command);
    va_end(args);
    return EX_USAGE;
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
