/* app_password: what an app password is bound to, from text to facts. What cannot be read binds to
 * nothing rather than not at all. */
#include "flow/app_password.h"

static size_t count_words(struct bytes text) {
    size_t count = 0;
    struct bytes word;
    while (bytes_split(&text, ' ', &word))
        count += word.len > 0;
    return count;
}

static void take_senders(struct facts *f, struct arena *a, struct bytes text) {
    struct pattern *list = ARENA_ARRAY(a, count_words(text), struct pattern);
    struct bytes word;
    size_t count = 0;
    while (bytes_split(&text, ' ', &word)) {
        if (!word.len)
            continue;
        if (!pattern_parse(arena_copy(a, word), a, &list[count]))
            list[count] = (struct pattern){ PATTERN_ADDRESS, B("") }; /* nobody's address */
        count++;
    }
    f->app_senders = (struct patterns){ count, list };
}

static void take_networks(struct facts *f, struct arena *a, struct bytes text) {
    struct network *list = ARENA_ARRAY(a, count_words(text), struct network);
    struct bytes word;
    size_t count = 0;
    while (bytes_split(&text, ' ', &word)) {
        if (!word.len)
            continue;
        if (network_parse(word, &list[count]) != NETWORK_OK)
            list[count] = (struct network){ .base = { .family = 0 } }; /* no address is in it */
        count++;
    }
    f->app_networks = (struct networks){ count, list };
}

void facts_take_app_password(struct facts *f, struct arena *a, struct bytes name,
                             struct bytes senders, struct bytes networks) {
    f->app_password = arena_copy(a, name);
    take_senders(f, a, name.len ? senders : BYTES_NONE);
    take_networks(f, a, name.len ? networks : BYTES_NONE);
}
