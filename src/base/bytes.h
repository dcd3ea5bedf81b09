/* bytes: the one string type, a view of octets that somebody else owns.
 *
 * A view has no terminator and may hold any octet. It lives as long as what it looks at: an arena,
 * a literal, a read buffer. Functions here never allocate and never change what they look at.
 * Letters are compared and folded as ASCII only (RFC 5321 section 2.4), whatever the locale. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
    const char *at;
    size_t len;
};

#define B(literal)      ((struct bytes){ "" literal, sizeof(literal) - 1 })
#define BYTES_NONE      ((struct bytes){ NULL, 0 })
/* For printf("%.*s", BYTES_FMT(view)). */
#define BYTES_FMT(view) (int)(view).len, (view).at ? (view).at : ""

static inline struct bytes bytes_of(const void *at, size_t len) {
    return (struct bytes){ at, len };
}
/* The view of a NUL-terminated string; NULL gives the empty view. */
struct bytes bytes_str(const char *text);

bool bytes_equal(struct bytes a, struct bytes b);
bool bytes_equal_nocase(struct bytes a, struct bytes b);
/* Like memcmp, shorter first when one is a prefix of the other. */
int bytes_compare(struct bytes a, struct bytes b);
int bytes_compare_nocase(struct bytes a, struct bytes b);
bool bytes_starts(struct bytes all, struct bytes prefix);
bool bytes_starts_nocase(struct bytes all, struct bytes prefix);
bool bytes_ends_nocase(struct bytes all, struct bytes suffix);

/* The index of the first (last) octet c, or -1. */
ptrdiff_t bytes_find(struct bytes all, char c);
ptrdiff_t bytes_find_last(struct bytes all, char c);
/* The index of the first place where `part` stands, or -1. */
ptrdiff_t bytes_search(struct bytes all, struct bytes part);
ptrdiff_t bytes_search_nocase(struct bytes all, struct bytes part);

/* The view without its first n octets (all of them if it has fewer), its first n, and a slice. */
struct bytes bytes_skip(struct bytes all, size_t n);
struct bytes bytes_first(struct bytes all, size_t n);
struct bytes bytes_slice(struct bytes all, size_t from, size_t to);
/* Without blanks (space, tab, CR, LF) at both ends. */
struct bytes bytes_trim(struct bytes all);

/* Splits at the first `c`: *head_out is what is before it, *rest what is behind it. Without a `c`
 * the head is all and the rest is empty. False when *rest was {NULL, 0} to begin with, so that
 *     while (bytes_split(&rest, ',', &item)) ...
 * visits every item, empty ones too. */
bool bytes_split(struct bytes *rest, char c, struct bytes *head_out);

/* Decimal digits only, at most `max`; false for anything else, the empty view too. */
bool bytes_to_u64(struct bytes text, uint64_t max, uint64_t *out);

/* Constant time in the contents (not in the lengths): for secrets. */
bool bytes_equal_secret(struct bytes a, struct bytes b);
/* 64-bit FNV-1a hash, for tables of our own data; not for secrets. */
uint64_t bytes_hash(struct bytes all);

/* No octet is above 127. */
bool bytes_is_ascii(struct bytes all);
/* How long the UTF-8 sequence (RFC 3629) is that the view starts with; 0 if it starts with none. */
size_t bytes_utf8(struct bytes all);
/* It consists of such sequences. */
bool bytes_is_utf8(struct bytes all);

/* ASCII classes, not the locale's. */
char ascii_lower(char c);
bool ascii_is_digit(char c);
bool ascii_is_alpha(char c);
bool ascii_is_alnum(char c);

#endif
