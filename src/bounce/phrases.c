/* phrases: whether one of a list of phrases stands in a text, letter case aside. */
#include "bounce/internal.h"

bool phrases_in(struct bytes text, const struct bytes *list, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (bytes_search_nocase(text, list[i]) >= 0)
            return true;
    return false;
}

bool phrases_begin(struct bytes text, const struct bytes *list, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (bytes_starts_nocase(text, list[i]))
            return true;
    return false;
}

bool phrases_end(struct bytes text, const struct bytes *list, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (bytes_ends_nocase(text, list[i]))
            return true;
    return false;
}
