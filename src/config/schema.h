/* schema: the settings of postern.conf as one table, a row a setting. Parser, defaults, config_show,
 * the manual page and "what was expected" all come from it. Also the table of what is not built
 * yet: such a setting is refused in plain words when it differs from its inactive default. */
#ifndef CONFIG_SCHEMA_H
#define CONFIG_SCHEMA_H

#include "config/config.h"

struct type; /* value.h */

enum title { TITLE_NONE, TITLE_NAME, TITLE_DOMAIN };

struct schema_section {
    const char *name; /* "" is the file itself */
    enum title title;
    size_t size;              /* of its struct; 0: its settings live in struct config */
    size_t place_at, name_at; /* offsets in its struct */
    size_t count_at, list_at; /* offsets of count and list in struct config; equal: not kept */
    const char *sentence;
};

struct setting {
    const char *section, *name;
    const struct type *type;
    size_t offset, size;   /* of the field in the section's struct, or in struct config */
    uint64_t min, max;     /* durations: ms; sizes: octets; counts; lists: items (max 0: 10,000) */
    const char *choices;   /* words, by blanks; one that ends in : or / begins a longer value */
    const char *fallback;  /* the default, as it would stand in the file; NULL: none */
    const char *otherwise; /* what absence means where that is not a value */
    bool restart;          /* a change needs a restart; the others follow a reload */
    bool secret;           /* never shown in messages */
    const char *sentence;
};

extern const struct setting schema[];
extern const size_t schema_count;
extern const struct schema_section schema_sections[];
extern const size_t schema_section_count;

const struct schema_section *schema_section(struct bytes name);               /* or NULL */
const struct setting *schema_setting(const char *section, struct bytes name); /* or NULL */
/* "duration from 1s to 10d, such as ..." */
void schema_expected(struct buf *b, const struct setting *s);
/* "4h", or what absence means in words. */
void schema_default(struct buf *b, const struct setting *s);

/* What is not built yet. setting NULL: the whole section. */
struct not_built {
    const char *section, *setting;
    const char *built;   /* the values that are built, by blanks; "": none */
    const char *feature; /* "POP3 and the admin page" */
};
/* The row for this setting or, with name NULL, for this section; NULL when all of it is built. */
const struct not_built *schema_not_built(const char *section, const char *name);
/* One word of a blank-separated list equals `text`. */
bool schema_word(const char *words, struct bytes text);

#endif
