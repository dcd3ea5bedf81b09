/* fuzz_mime: any octets as a message of many parts. Parts lie inside of what they come from, texts are
 * UTF-8 without controls, and all of it stays within the limits of mime.h. */
#include "message/mime.h"

#include "base/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(struct bytes text) {
    MUST(text.len <= MIME_TEXT && bytes_is_utf8(text));
    for (size_t i = 0; i < text.len; i++)
        MUST((unsigned char)text.at[i] >= ' ' || text.at[i] == '\n' || text.at[i] == '\t');
}

static void check_part(struct mime *m, size_t i) {
    const struct mime_part p = m->parts[i];
    MUST(p.type.len && p.depth <= MIME_DEPTH + 1);
    MUST(i == 0 ? p.parent == 0 : p.parent < i);
    MUST(mime_octets(m, i).len <= MIME_TEXT);
    check_text(mime_text(m, i));
}

static void check_words(struct bytes text, struct arena *a) {
    struct bytes value;
    struct bytes words = mime_words(text, a);
    MUST(bytes_is_utf8(words) && bytes_find(words, '\n') < 0 && bytes_find(words, '\r') < 0);
    mime_parameter(text, B("name"), a, &value);
    mime_parameter(text, B("boundary"), a, &value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena *a = arena_open();
    struct bytes message = bytes_of(data, size);
    struct mime m;
    mime_read(message, a, &m);
    MUST(m.count >= 1 && m.count <= MIME_PARTS);
    for (size_t i = 0; i < m.count; i++)
        check_part(&m, i);
    MUST(m.decoded <= MIME_DECODED);
    check_words(message, a);
    arena_close(&a);
    return 0;
}
