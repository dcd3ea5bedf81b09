/* cmd_explain: `postern explain`: what a reason id means, who must act, and what to do. The argument
 * may also be a whole reply of this server, which ends with its reason. */
#include "base/buf.h"
#include "base/must.h"
#include "bin/commands.h"
#include "bin/options.h"
#include "reply/reasons.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum { WORDS_MAX = 256, TEXT_MAX = 64 * 1024, NEAR_MAX = 5, WIDTH = 78 };

/* --- for scripts: the contract of `explain` ------------------------------------------------------------ */

static void json_key(struct buf *b, const char *key, const char *text) {
    buf_printf(b, "%s\"%s\":", b->at[b->len - 1] == '{' ? "" : ",", key);
    buf_json(b, bytes_str(text));
}

/* Code, enhanced code and class of a reply as the file has it: "550 5.7.1", or "-ERR [IN-USE]". */
static void json_reply(struct buf *b, const char *reply) {
    struct bytes rest = bytes_str(reply), code;
    uint64_t number;
    if (!bytes_split(&rest, ' ', &code) || !bytes_to_u64(code, 999, &number))
        return json_key(b, "text", reply);
    buf_printf(b, "%s\"code\":%u", b->at[b->len - 1] == '{' ? "" : ",", (unsigned)number);
    buf_str(b, ",\"enhanced\":");
    buf_json(b, rest);
    buf_printf(b, ",\"permanent\":%s", number >= 500 ? "true" : "false");
}

static void json_meaning(struct buf *b, const struct reason *r) {
    json_key(b, "cause", r->id);
    json_key(b, "who", r->who);
    json_key(b, "explanation", r->means);
    buf_str(b, ",\"fix\":[");
    buf_json(b, bytes_str(r->client));
    buf_char(b, ',');
    buf_json(b, bytes_str(r->administrator));
    buf_char(b, ',');
    buf_json(b, bytes_str(r->postmaster));
    buf_str(b, "]");
}

static void print_json(const struct reason *r) {
    struct buf b = buf_grow(1 << 20);
    buf_str(&b, "{\"kind\":\"reason\"");
    json_key(&b, "reason", r->id);
    json_key(&b, "section", r->section);
    json_key(&b, "who", r->who);
    json_key(&b, "explanation", r->means);
    buf_str(&b, ",\"fixes\":{");
    json_key(&b, "client", r->client);
    json_key(&b, "administrator", r->administrator);
    json_key(&b, "postmaster", r->postmaster);
    buf_str(&b, "},\"replies\":[");
    for (size_t i = 0; r->replies[i]; i++) {
        buf_str(&b, i ? ",{" : "{");
        json_reply(&b, r->replies[i]);
        buf_char(&b, '}');
    }
    buf_str(&b, "],\"recipients\":[{");
    if (r->replies[0]) {
        json_reply(&b, r->replies[0]);
    }
    json_meaning(&b, r);
    buf_str(&b, ",\"confidence\":1}]}");
    printf("%s\n", buf_text(&b));
    buf_free(&b);
}

/* --- for people ---------------------------------------------------------------------------------------- */

/* Words from column `indent` on, broken before WIDTH. */
static void print_words(struct bytes text, size_t indent) {
    struct bytes word;
    size_t column = indent;
    while (bytes_split(&text, ' ', &word)) {
        if (column > indent && column + 1 + word.len > WIDTH) {
            printf("\n%*s", (int)indent, "");
            column = indent;
        }
        column += (size_t)printf("%s%.*s", column > indent ? " " : "", BYTES_FMT(word));
    }
    printf("\n");
}

static void print_fix(const char *whose, const char *text) {
    enum { COLUMN = 18 };
    printf("  %-*s", COLUMN - 2, whose);
    print_words(bytes_str(text), COLUMN);
}

static void print_text(const struct reason *r) {
    printf("%s", r->id);
    for (size_t i = 0; r->replies[i]; i++)
        printf("%s%s", i ? ", " : "  (", r->replies[i]);
    printf("%s\n\n  ", r->replies[0] ? ")" : "");
    print_words(bytes_str(r->means), 2);
    printf("\n  Who must act: %s.\n\n", r->acts);
    print_fix("Client:", r->client);
    print_fix("Administrator:", r->administrator);
    print_fix("Postmaster:", r->postmaster);
}

static int show(const struct reason *r, bool json) {
    if (json)
        print_json(r);
    else
        print_text(r);
    return EX_OK;
}

static struct bytes first_sentence(const char *text) {
    const char *end = strstr(text, ". ");
    return end ? bytes_of(text, (size_t)(end - text) + 1) : bytes_str(text);
}

static int longest_id(const struct reason *rows, size_t count) {
    size_t longest = 0;
    for (size_t i = 0; i < count; i++)
        longest = strlen(rows[i].id) > longest ? strlen(rows[i].id) : longest;
    return (int)longest;
}

static int list(bool json) {
    size_t count;
    const struct reason *rows = reasons_list(&count);
    const char *section = "";
    int width = longest_id(rows, count);
    for (size_t i = 0; i < count; i++) {
        if (json) {
            print_json(&rows[i]);
            continue;
        }
        if (strcmp(section, rows[i].section) != 0)
            printf("%s%s\n", i ? "\n" : "", section = rows[i].section);
        printf("  %-*s  ", width, rows[i].id);
        print_words(first_sentence(rows[i].means), (size_t)width + 4);
    }
    return EX_OK;
}

/* --- what was given ------------------------------------------------------------------------------------- */

/* A word, a dot, a word: what looks like an id, though there may be none of that name. */
static bool looks_like_id(struct bytes text) {
    size_t dots = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = ascii_lower(text.at[i]);
        dots += c == '.';
        if (c != '.' && c != '-' && c != '_' && !ascii_is_digit(c) && (c < 'a' || c > 'z'))
            return false;
    }
    return text.len && dots <= 1;
}

static int no_such_id(const struct options *o, struct bytes id) {
    const struct reason *near[NEAR_MAX];
    char text[512];
    struct buf b = buf_fixed(text, sizeof text);
    size_t count = reasons_near(id, near, NEAR_MAX);
    for (size_t i = 0; i < count; i++)
        buf_printf(&b, "%s%s",
                   i == 0          ? "; did you mean "
                   : i + 1 < count ? ", "
                                   : " or ",
                   near[i]->id);
    buf_str(&b, count ? "?" : "; `postern explain list` shows all");
    return options_misuse(o, "there is no reason %.*s%s", BYTES_FMT(id), buf_text(&b));
}

static int not_built(const struct options *o, const char *what) {
    return options_misuse(
        o,
        "%s: explaining bounces and other servers' replies is not built yet in "
        "this release; a reason id such as relay.no-grant can be explained, and a "
        "reply of this server, which ends with one",
        what);
}

static int explain(const struct options *o, struct bytes given, bool one_word, bool json) {
    const struct reason *r = reason_find(given);
    if (!given.len || bytes_equal(given, B("list")))
        return list(json);
    if (r || (r = reason_of_reply(given)))
        return show(r, json);
    if (bytes_equal(given, B("-")))
        return not_built(o, "standard input");
    if (one_word && access(given.at, F_OK) == 0)
        return not_built(o, given.at);
    if (one_word && looks_like_id(given))
        return no_such_id(o, given);
    if (one_word && bytes_find(given, '/') >= 0)
        return options_misuse(o, "there is no file %s", given.at);
    return not_built(o, one_word ? given.at : "this text");
}

int cmd_explain(int argc, char **argv) {
    bool json = false;
    struct bytes words[WORDS_MAX];
    size_t count = 0;
    const struct option_row rows[] = {
        { .name = "--json", .help = "one JSON object (of a list: one a line)", .flag = &json },
    };
    const struct options o = {
        .command = "explain",
        .arguments = "[REASON | REPLY | list]",
        .sentence = "what a reason id means, who must act, and what to do; without one: all ids",
        .rows = rows,
        .row_count = COUNT_OF(rows),
        .args = words,
        .args_max = WORDS_MAX,
        .arg_count = &count,
    };
    int code = options_parse(&o, argc, argv);
    if (code != OPTIONS_GO_ON)
        return code;
    /* A reply that was pasted without quotes is one text. */
    struct buf b = buf_grow(TEXT_MAX);
    for (size_t i = 0; i < count; i++) {
        buf_str(&b, i ? " " : "");
        buf_add(&b, words[i]);
    }
    code = explain(&o, bytes_str(buf_text(&b)), count == 1, json);
    buf_free(&b);
    return code;
}
