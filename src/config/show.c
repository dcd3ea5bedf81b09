/* show: the schema printed: with values, as the effective configuration; without, as the list of
 * settings for people, scripts and the manual page. */
#include "config/value.h"

#include <string.h>

static bool belongs(const struct setting *s, const struct schema_section *kind) {
    return strcmp(s->section, kind->name) == 0;
}

/* --- the effective configuration --------------------------------------------------------- */

static void show_settings(struct buf *out, const struct schema_section *kind, const void *base) {
    for (size_t i = 0; i < schema_count; i++) {
        size_t start = out->len;
        if (!belongs(&schema[i], kind))
            continue;
        buf_printf(out, "%s%s = ", *kind->name ? "    " : "", schema[i].name);
        if (schema[i].type->show(out, &schema[i], base))
            buf_char(out, '\n');
        else
            buf_cut(out, start);
    }
}

static void show_section(struct buf *out, const struct schema_section *kind, const void *base) {
    const struct bytes *name = (const void *)((const char *)base + kind->name_at);
    buf_char(out, '\n');
    if (kind->title == TITLE_NONE)
        buf_printf(out, "%s {\n", kind->name);
    else
        buf_printf(out, "%s \"%.*s\" {\n", kind->name, BYTES_FMT(*name));
    show_settings(out, kind, base);
    buf_str(out, "}\n");
}

static void show_list(struct buf *out, const struct schema_section *kind, const struct config *c) {
    if (kind->count_at == kind->list_at)
        return;
    size_t count = *(const size_t *)(const void *)((const char *)c + kind->count_at);
    const char *list = *(const char *const *)(const void *)((const char *)c + kind->list_at);
    for (size_t i = 0; i < count; i++)
        show_section(out, kind, list + i * kind->size);
}

void config_show(struct buf *out, const struct config *c) {
    for (size_t i = 0; i < schema_section_count; i++) {
        const struct schema_section *kind = &schema_sections[i];
        if (!*kind->name)
            show_settings(out, kind, c);
        else if (kind->size)
            show_list(out, kind, c);
        else
            show_section(out, kind, c);
    }
}

/* --- the settings there are -------------------------------------------------------------- */

/* "yes", "no", or which values are. */
static const char *built(const struct schema_section *kind, const struct setting *s) {
    const struct not_built *row = schema_not_built(kind->name, NULL);
    if (!row)
        row = schema_not_built(kind->name, s->name);
    return !row ? "yes" : *row->built ? row->built : "no";
}

static struct bytes expected(const struct setting *s, struct buf *memory) {
    buf_clear(memory);
    schema_expected(memory, s);
    return buf_bytes(memory);
}

static void text_setting(struct buf *out, const struct schema_section *kind,
                         const struct setting *s, struct buf *memory) {
    buf_printf(out, "  %s\n      %s\n      Expected: %.*s.\n      Default: ", s->name, s->sentence,
               BYTES_FMT(expected(s, memory)));
    schema_default(out, s);
    buf_printf(out, ".%s\n", s->restart ? " A change needs a restart." : "");
    if (strcmp(built(kind, s), "no") == 0)
        buf_str(out, "      Not built yet.\n");
    else if (strcmp(built(kind, s), "yes") != 0)
        buf_printf(out, "      Built so far: %s.\n", built(kind, s));
}

static void json_text(struct buf *out, const char *key, struct bytes value) {
    buf_printf(out, "\"%s\":", key);
    buf_json(out, value);
    buf_char(out, ',');
}

static void json_setting(struct buf *out, const struct schema_section *kind,
                         const struct setting *s, struct buf *memory) {
    buf_char(out, '{');
    json_text(out, "section", bytes_str(s->section));
    json_text(out, "name", bytes_str(s->name));
    json_text(out, "type", bytes_str(s->type->name));
    json_text(out, "expected", expected(s, memory));
    json_text(out, s->fallback ? "default" : "when_absent",
              bytes_str(s->fallback ? s->fallback : s->otherwise));
    json_text(out, "built", bytes_str(built(kind, s)));
    json_text(out, "meaning", bytes_str(s->sentence));
    buf_printf(out, "\"reload\":%s}\n", s->restart ? "false" : "true");
}

/* Text for roff: what it would take for markup is escaped. */
static void roff(struct buf *out, struct bytes text) {
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] == '\\')
            buf_str(out, "\\e");
        else if (text.at[i] == '-')
            buf_str(out, "\\-");
        else if (text.at[i] == '"')
            buf_str(out, "\\(dq");
        else if ((text.at[i] == '.' || text.at[i] == '\'') && (i == 0 || text.at[i - 1] == '\n'))
            buf_printf(out, "\\&%c", text.at[i]);
        else
            buf_char(out, text.at[i]);
    }
}

static void roff_setting(struct buf *out, const struct schema_section *kind,
                         const struct setting *s, struct buf *memory) {
    const char *which = built(kind, s);
    buf_printf(out, ".TP\n.B %s\n", s->name);
    roff(out, bytes_str(s->sentence));
    buf_str(out, "\nExpected: ");
    roff(out, expected(s, memory));
    buf_str(out, ".\nDefault: ");
    roff(out, bytes_str(s->fallback ? s->fallback : s->otherwise));
    buf_str(out, s->restart ? ".\nA change needs a restart.\n" : ".\n");
    if (strcmp(which, "no") == 0)
        buf_str(out, "Not built yet.\n");
    else if (strcmp(which, "yes") != 0) {
        buf_str(out, "Built so far: ");
        roff(out, bytes_str(which));
        buf_str(out, ".\n");
    }
}

static const char *title_of(const struct schema_section *kind) {
    static const char *const titles[] = { "", " \"NAME\"", " \"DOMAIN\"" };
    return titles[kind->title];
}

static void section_head(struct buf *out, enum config_form form,
                         const struct schema_section *kind) {
    if (form == CONFIG_TEXT && *kind->name)
        buf_printf(out, "\n%s%s { }\n  %s\n", kind->name, title_of(kind), kind->sentence);
    if (form == CONFIG_TEXT && !*kind->name)
        buf_printf(out, "%s\n", kind->sentence);
    if (form != CONFIG_ROFF)
        return;
    if (*kind->name)
        buf_printf(out, ".SS %s\n", kind->name);
    else
        buf_str(out, ".SS The whole server\n");
    roff(out, bytes_str(kind->sentence));
    buf_char(out, '\n');
}

void config_settings(struct buf *out, enum config_form form) {
    static void (*const rows[])(struct buf *, const struct schema_section *, const struct setting *,
                                struct buf *) = {
        [CONFIG_TEXT] = text_setting, [CONFIG_JSON] = json_setting, [CONFIG_ROFF] = roff_setting
    };
    struct buf memory = buf_grow(4000);
    for (size_t i = 0; i < schema_section_count; i++) {
        section_head(out, form, &schema_sections[i]);
        for (size_t j = 0; j < schema_count; j++)
            if (belongs(&schema[j], &schema_sections[i]))
                rows[form](out, &schema_sections[i], &schema[j], &memory);
    }
    buf_free(&memory);
}
