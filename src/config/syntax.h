/* syntax: postern.conf as text, turned into sections and settings without knowing any of them.
 *
 *     name = value            value: a word, a "string", or a list {a, "b"}
 *     name "title" { ... }    a section; a title is optional; sections do not nest
 *     # and // to the end of the line, and C comments
 *
 * Every item knows its line. What is wrong is told to `complain`, once for each statement; reading
 * goes on at the next statement. Views and lists live in the arena and in the text. */
#ifndef CONFIG_SYNTAX_H
#define CONFIG_SYNTAX_H

#include "base/arena.h"

struct syntax_item {
    struct bytes text; /* unescaped */
    int line;
};
struct syntax_setting {
    struct bytes name;
    int line;
    bool broken; /* its value could not be read */
    bool list;   /* {...}; else items has exactly one */
    size_t count;
    struct syntax_item *items;
};
struct syntax_section {
    struct bytes kind; /* empty for the file itself */
    struct bytes title;
    bool titled;
    int line;
    size_t count;
    struct syntax_setting *settings;
};
struct syntax {
    size_t count;
    struct syntax_section *sections; /* the first is the file itself */
};

/* where: the section's name and title or the setting, as far as known. */
typedef void syntax_complain(void *ctx, int line, struct bytes where, struct bytes text);

void syntax_read(struct bytes text, struct arena *a, syntax_complain *complain, void *ctx,
                 struct syntax *out);
/* The setting of this name, or NULL; the first if it is there twice. */
const struct syntax_setting *syntax_find(const struct syntax_section *s, const char *name);
/* Room for one more in a list of `count` that lives in the arena: the list, maybe a longer copy. */
void *syntax_grow(struct arena *a, void *list, size_t count, size_t size);

#endif
