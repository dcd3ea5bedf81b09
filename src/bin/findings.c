/* findings: how errors and warnings about a configuration are written. */
#include "bin/findings.h"

bool findings_have_errors(const struct config_findings *findings) {
    for (size_t i = 0; i < findings->count; i++)
        if (findings->list[i].severity == FINDING_ERROR)
            return true;
    return false;
}

static const char *severity(const struct config_finding *f) {
    return f->severity == FINDING_ERROR ? "error" : "warning";
}

/* Some of it may be a stranger's words: what the DNS says of this host, and what servers answer. */
static void print_text(FILE *to, struct bytes text) {
    struct buf clean = buf_grow(text.len + 1);
    buf_printable(&clean, text);
    fprintf(to, "%.*s", BYTES_FMT(buf_bytes(&clean)));
    buf_free(&clean);
}

void findings_print(FILE *to, const struct config_findings *findings, bool warnings) {
    for (size_t i = 0; i < findings->count; i++) {
        const struct config_finding *f = &findings->list[i];
        if (f->severity != FINDING_ERROR && !warnings)
            continue;
        if (f->place.line)
            fprintf(to, "%.*s:%d: ", BYTES_FMT(f->place.file), f->place.line);
        fprintf(to, "%s: %.*s%s", severity(f), BYTES_FMT(f->setting), f->setting.len ? ": " : "");
        print_text(to, f->text);
        fprintf(to, "\n");
    }
}

void findings_json(struct buf *b, const struct config_findings *findings) {
    buf_char(b, '[');
    for (size_t i = 0; i < findings->count; i++) {
        const struct config_finding *f = &findings->list[i];
        buf_printf(b, "%s{\"severity\":\"%s\",\"file\":", i ? "," : "", severity(f));
        buf_json(b, f->place.file);
        buf_printf(b, ",\"line\":%d,\"setting\":", f->place.line);
        buf_json(b, f->setting);
        buf_str(b, ",\"text\":");
        buf_json(b, f->text);
        buf_str(b, ",\"id\":");
        buf_json(b, bytes_str(f->id));
        if (f->example.len) {
            buf_str(b, ",\"example\":");
            buf_json(b, f->example);
        }
        buf_char(b, '}');
    }
    buf_char(b, ']');
}
