/* explain_cause: what a cause of the taxonomy means, and the list of all that can be explained. */
#include "bin/explain.h"

#include "base/member.h"

#include <string.h>

static void array(struct buf *b, const char *name, const char *const *list) {
    buf_printf(b, ",\"%s\":[", name);
    for (size_t i = 0; list && list[i]; i++) {
        buf_str(b, i ? "," : "");
        buf_json(b, bytes_str(list[i]));
    }
    buf_char(b, ']');
}

void explain_cause_json(const struct reply_cause *c, struct buf *out) {
    buf_str(out, "{\"kind\":\"reason\"");
    member_text(out, "cause", bytes_str(c->name));
    member_text(out, "reason", bytes_str(c->reason));
    member_text(out, "who", bytes_str(c->who));
    member_text(out, "permanent", bytes_str(c->permanent));
    member_text(out, "severity", bytes_str(c->severity));
    member_text(out, "explanation", bytes_str(c->explanation));
    array(out, "replies", c->sees);
    array(out, "because", c->because);
    array(out, "prevent", c->prevents);
    buf_str(out, ",\"recipients\":[{\"cause\":");
    buf_json(out, bytes_str(c->name));
    member_text(out, "reason", bytes_str(c->reason));
    member_text(out, "who", bytes_str(c->who));
    if (strcmp(c->permanent, "as-said") != 0)
        buf_printf(out, ",\"permanent\":%s", strcmp(c->permanent, "yes") ? "false" : "true");
    member_text(out, "explanation", bytes_str(c->explanation));
    array(out, "fix", c->fixes);
    buf_str(out, ",\"confidence\":1}]}");
}

static void items(struct buf *out, const char *title, const char *const *list, bool numbers) {
    enum { COLUMN = 7 };
    if (!list || !list[0])
        return;
    buf_printf(out, "\n  %s:\n", title);
    for (size_t i = 0; list[i]; i++) {
        if (numbers)
            buf_printf(out, "  %3zu. ", i + 1);
        else
            buf_str(out, "     - ");
        explain_wrap(out, bytes_str(list[i]), COLUMN);
    }
}

void explain_cause_text(const struct reply_cause *c, struct buf *out) {
    bool said = !strcmp(c->permanent, "as-said");
    buf_printf(out, "%s  (%s)\n\n  ", c->name,
               said                          ? "for good or for now, as the code says"
               : strcmp(c->permanent, "yes") ? "for now"
                                             : "for good");
    explain_wrap(out, bytes_str(c->explanation), 2);
    buf_str(out, "\n  Who must act: ");
    explain_wrap(out, bytes_str(explain_who(c->who)), 2);
    items(out, "What you may see", c->sees, false);
    items(out, "Common causes", c->because, false);
    items(out, "What to do", c->fixes, true);
    items(out, "So that it does not come again", c->prevents, false);
}

/* --- the list ---------------------------------------------------------------------------------------------- */

static struct bytes first_sentence(const char *text) {
    const char *end = strstr(text, ". ");
    return end ? bytes_of(text, (size_t)(end - text) + 1) : bytes_str(text);
}

static void row(struct buf *out, const char *name, int width, const char *text) {
    buf_printf(out, "  %-*s  ", width, name);
    explain_wrap(out, first_sentence(text), (size_t)width + 4);
}

static int longest_name(void) {
    size_t longest = 0, count;
    struct reply_cause c;
    const struct reason *reasons = reasons_list(&count);
    for (size_t i = 0; reply_cause_at(i, &c); i++)
        longest = strlen(c.name) > longest ? strlen(c.name) : longest;
    for (size_t i = 0; i < count; i++)
        longest = strlen(reasons[i].id) > longest ? strlen(reasons[i].id) : longest;
    return (int)longest;
}

void explain_list_text(struct buf *out) {
    const char *section = "";
    struct reply_cause c;
    size_t count;
    const struct reason *reasons = reasons_list(&count);
    int width = longest_name();
    buf_str(out, "What servers mean (causes)\n");
    for (size_t i = 0; reply_cause_at(i, &c); i++)
        row(out, c.name, width, c.explanation);
    buf_str(out, "\nReason ids of this server\n");
    for (size_t i = 0; i < count; i++) {
        if (strcmp(section, reasons[i].section) != 0)
            buf_printf(out, "\n%s\n", section = reasons[i].section);
        row(out, reasons[i].id, width, reasons[i].means);
    }
}

void explain_list_json(struct buf *out) {
    struct reply_cause c;
    size_t count;
    const struct reason *reasons = reasons_list(&count);
    for (size_t i = 0; reply_cause_at(i, &c); i++) {
        explain_cause_json(&c, out);
        buf_char(out, '\n');
    }
    for (size_t i = 0; i < count; i++) {
        explain_reason_json(&reasons[i], out);
        buf_char(out, '\n');
    }
}
