/* automatic: tables of what tells a program's mail from a person's. */
#include "message/automatic.h"
#include "base/must.h"
#include "message/address.h"

/* --- fields ------------------------------------------------------------------------------------- */

/* The first word, without comments: "auto-replied; x" and "(why) bulk" too. */
static struct bytes first_word(struct bytes value) {
    size_t depth = 0, begin = 0;
    for (; begin < value.len; begin++) {
        char c = value.at[begin];
        depth += c == '(';
        bool blank = c == ' ' || (c >= '\t' && c <= '\r');
        if (!depth && !blank)
            break;
        depth -= depth && c == ')';
    }
    size_t end = begin;
    while (end < value.len && (ascii_is_alnum(value.at[end]) || value.at[end] == '-'))
        end++;
    return bytes_slice(value, begin, end);
}

/* RFC 3834 section 5: whatever is not "no" was made by a program, what cannot be read too. */
static bool not_no(struct bytes value) {
    return !bytes_equal_nocase(first_word(value), B("no"));
}

static bool is_bulk(struct bytes value) {
    struct bytes word = first_word(value);
    return bytes_equal_nocase(word, B("bulk")) || bytes_equal_nocase(word, B("junk")) ||
           bytes_equal_nocase(word, B("list"));
}

/* A list of words that Exchange writes: "DR, OOF, AutoReply". */
static bool is_suppressed(struct bytes value) {
    static const struct bytes words[] = { { "All", 3 }, { "OOF", 3 }, { "AutoReply", 9 } };
    struct bytes rest = value, item;
    while (bytes_split(&rest, ',', &item))
        for (size_t i = 0; i < COUNT_OF(words); i++)
            if (bytes_equal_nocase(first_word(item), words[i]))
                return true;
    return false;
}

static bool any(struct bytes value) {
    (void)value;
    return true;
}

static const struct {
    struct bytes name;
    bool prefix; /* of the field's name */
    bool (*says_so)(struct bytes value);
} fields[] = {
    { { "List-", 5 }, true, any }, /* RFC 2369, RFC 2919, RFC 8058 */
    { { "Auto-Submitted", 14 }, false, not_no },
    { { "Precedence", 10 }, false, is_bulk },
    { { "X-Auto-Response-Suppress", 24 }, false, is_suppressed },
};

bool automatic_field(const struct header_field *field) {
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        bool named = fields[i].prefix ? bytes_starts_nocase(field->name, fields[i].name)
                                      : bytes_equal_nocase(field->name, fields[i].name);
        if (named && fields[i].says_so(field->value))
            return true;
    }
    return false;
}

/* --- senders ------------------------------------------------------------------------------------ */

enum place { WHOLE, BEGINS, ENDS };

static const struct {
    enum place place;
    struct bytes text;
} programs[] = {
    { WHOLE, { "mailer-daemon", 13 } },
    { WHOLE, { "postmaster", 10 } },
    { WHOLE, { "listserv", 8 } },
    { WHOLE, { "majordomo", 9 } },
    { BEGINS, { "owner-", 6 } },
    { ENDS, { "-owner", 6 } },
    { ENDS, { "-request", 8 } },
    { BEGINS, { "bounce", 6 } }, /* bounces+ann=example.com@, bounce-17@ */
    { ENDS, { "-bounces", 8 } },
    { ENDS, { "-bounce", 7 } },
    { BEGINS, { "noreply", 7 } },
    { BEGINS, { "no-reply", 8 } },
    { BEGINS, { "no_reply", 8 } },
    { BEGINS, { "donotreply", 10 } },
    { BEGINS, { "do-not-reply", 12 } },
    { BEGINS, { "do_not_reply", 12 } },
};

static bool is_like(struct bytes local, size_t i) {
    struct bytes text = programs[i].text;
    switch (programs[i].place) {
    case BEGINS:
        return bytes_starts_nocase(local, text);
    case ENDS:
        return bytes_ends_nocase(local, text);
    default:
        return bytes_equal_nocase(local, text);
    }
}

/* What lies before the subaddress: list-bounces+ann=example.com@ is list-bounces@. */
static struct bytes without_tag(struct bytes local) {
    ptrdiff_t plus = bytes_find(local, '+');
    return plus > 0 ? bytes_first(local, (size_t)plus) : local;
}

bool automatic_sender(struct bytes mailbox) {
    struct bytes local = without_tag(address_local(automatic_sender_base(mailbox)));
    if (!local.len)
        return true;
    for (size_t i = 0; i < COUNT_OF(programs); i++)
        if (is_like(local, i))
            return true;
    return false;
}

struct bytes automatic_sender_base(struct bytes mailbox) {
    if (!bytes_starts_nocase(mailbox, B("prvs=")))
        return mailbox;
    struct bytes rest = bytes_skip(mailbox, 5);
    ptrdiff_t at = bytes_find_last(rest, '@'), equals = bytes_find(rest, '=');
    if (equals <= 0 || at <= equals + 1)
        return mailbox;
    return bytes_skip(rest, (size_t)equals + 1);
}
