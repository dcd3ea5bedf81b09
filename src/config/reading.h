/* reading: what one config_parse carries along from step to step: the config being filled, what the
 * file said, and the findings. The steps: parse.c fills, read.c reads the files referred to, rules.c
 * checks what no single value shows. */
#ifndef CONFIG_READING_H
#define CONFIG_READING_H

#include "config/config.h"
#include "config/syntax.h"

enum { READING_KINDS = 10 }; /* sections of the schema */

struct reading {
    struct arena *arena; /* the config's */
    struct config *config;
    const struct config_host *host;
    struct syntax syntax;
    /* What the file said, by row of schema_sections and in the order of the config's lists. The
     * unlisted sections have exactly one, which may be empty. */
    struct {
        size_t count;
        const struct syntax_section **list;
    } origins[READING_KINDS];
    struct syntax_setting *defaults; /* a value for each row of the schema; count 0: none yet */
    struct config_findings findings;
    size_t errors;
    bool broken; /* among them one that is not about a missing file */
    bool silent; /* the value is a default of ours */
};

/* Adds a finding. label: "connector office: clients". */
void reading_error(struct reading *r, int line, struct bytes label, const char *id,
                   const char *format, ...) __attribute__((format(printf, 5, 6)));
void reading_warning(struct reading *r, int line, struct bytes label, const char *id,
                     const char *format, ...) __attribute__((format(printf, 5, 6)));
/* "connector office: clients"; setting empty: "connector office". */
struct bytes reading_label(struct reading *r, const struct syntax_section *s, struct bytes setting);
/* What the file said for the i-th section of this kind. */
const struct syntax_section *reading_origin(const struct reading *r, const char *kind, size_t i);

/* --- config/read.c: the only file of this folder that touches files ------------------------- */

/* The whole file, in the arena, wiped when that closes. NULL, or what went wrong as half a sentence.
 * *exposed_out: others than its owner may read or write it. */
const char *read_file(struct arena *a, struct bytes path, size_t max, struct bytes *out,
                      bool *exposed_out);
/* What a file: or env: reference leads to, without the line end; complains, and warns when the file
 * is open to others. */
bool read_reference(struct reading *r, int line, struct bytes label, struct bytes reference,
                    struct bytes *out);
/* A PEM file that must hold a CERTIFICATE, or with `key` a PRIVATE KEY. */
bool read_pem(struct reading *r, int line, struct bytes label, struct bytes path, bool key,
              struct bytes *out);

/* --- config/rules.c ------------------------------------------------------------------------ */

void rules_check(struct reading *r);

/* --- config/find.c ------------------------------------------------------------------------- */

/* Makes config_domain fast; called once, when the domains are there. */
void find_index(struct config *c);

#endif
