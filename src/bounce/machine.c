/* machine: the groups of fields of a delivery status (RFC 3464 section 2), as they come: without the
 * empty lines between groups, with values folded wrongly, with names and types that nobody registered. */
#include "bounce/internal.h"

#include "base/must.h"

enum field {
    NO_FIELD,
    REPORTING,
    RECEIVED_FROM,
    FINAL,
    ORIGINAL,
    ACTUAL,
    ACTION,
    STATUS,
    REMOTE,
    DIAGNOSTIC,
    SUPPLEMENT,
    SENDER,
    SUBJECT,
    MESSAGE_ID,
    ARRIVAL,
    IGNORED,
};

static const struct {
    struct bytes name;
    enum field field;
} names[] = {
    { W("Reporting-MTA"), REPORTING },
    { W("Reporting-UA"), IGNORED },
    { W("Received-From-MTA"), RECEIVED_FROM },
    { W("Final-Recipient"), FINAL },
    { W("Final-Rcpt"), FINAL },
    { W("Original-Recipient"), ORIGINAL },
    { W("X-Actual-Recipient"), ACTUAL },
    { W("Action"), ACTION },
    { W("Status"), STATUS },
    { W("Remote-MTA"), REMOTE },
    { W("Diagnostic-Code"), DIAGNOSTIC },
    { W("X-Supplementary-Info"), SUPPLEMENT },
    { W("X-Postfix-Sender"), SENDER },
    { W("X-Mail-From"), SENDER },
    { W("X-Original-Sender"), SENDER },
    { W("X-Original-Message-ID"), MESSAGE_ID },
    { W("Original-Envelope-Id"), IGNORED },
    { W("DSN-Gateway"), IGNORED },
    { W("Arrival-Date"), ARRIVAL },
    { W("Last-Attempt-Date"), IGNORED },
    { W("Will-Retry-Until"), IGNORED },
    { W("Final-Log-ID"), IGNORED },
    { W("Localized-Reason"), IGNORED },
};

/* The field that this line begins; NO_FIELD: it goes on with the last one, or is none. */
static enum field find_field(struct bytes line, struct bytes *value_out) {
    size_t n = 0;
    while (n < line.len && (ascii_is_alnum(line.at[n]) || line.at[n] == '-'))
        n++;
    size_t colon = n;
    while (colon < line.len && line.at[colon] == ' ')
        colon++;
    if (!n || colon >= line.len || line.at[colon] != ':')
        return NO_FIELD;
    *value_out = bytes_skip(line, colon + 1);
    struct bytes name = bytes_first(line, n);
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (bytes_equal_nocase(names[i].name, name))
            return names[i].field;
    if (bytes_starts_nocase(name, B("X-")) || bytes_starts_nocase(name, B("Content-")))
        return IGNORED;
    return NO_FIELD; /* "https:" in words that were folded without a blank */
}

/* --- a group, as it is read --------------------------------------------------------------------- */

struct group {
    struct bytes value[IGNORED + 1];
    bool has[IGNORED + 1];
    bool gap; /* an empty line since its last field */
};

static const char *find_action(struct bytes value) {
    static const struct {
        struct bytes begins;
        const char *action;
    } actions[] = {
        { W("fail"), "failed" },           { W("delayed"), "delayed" },
        { W("deliverable"), "delivered" }, { W("delivered"), "delivered" },
        { W("relayed"), "relayed" },       { W("expanded"), "expanded" },
        { W("expired"), "failed" },        { W("undeliver"), "failed" },
        { W("delay"), "delayed" },         { W("error"), "failed" },
        { W("denied"), "failed" },         { W("bounce"), "failed" },
        { W("reject"), "failed" },         { W("deferred"), "delayed" },
    };
    value = bytes_trim(value);
    while (value.len && bytes_find(B("\"'<( "), value.at[0]) >= 0)
        value = bytes_skip(value, 1);
    for (size_t i = 0; i < COUNT_OF(actions); i++)
        if (bytes_starts_nocase(value, actions[i].begins))
            return actions[i].action;
    return NULL;
}

/* The words of a Diagnostic-Code behind its type: "smtp; 550 x", "x-unix;x", "550 x". */
static struct bytes find_words(struct bytes value, struct arena *a) {
    struct bytes decoded = bytes_search(value, B("=?")) >= 0 ? mime_words(value, a) : value;
    struct bytes line = clean_line(decoded, a);
    ptrdiff_t at = bytes_find(bytes_first(line, 24), ';');
    for (ptrdiff_t i = 0; i < at; i++)
        if (!ascii_is_alnum(line.at[i]) && line.at[i] != '-' && line.at[i] != ' ' &&
            line.at[i] != '/')
            return line;
    if (at <= 0 || ascii_is_digit(line.at[0]))
        return line;
    return bytes_trim(bytes_skip(line, (size_t)at + 1));
}

/* RFC 6533 section 3: "\x{HEX}"; RFC 3461 section 4: "+2B" and "+3D", which some reporters leave. */
static struct bytes decode_address(struct bytes text, struct arena *a) {
    if (bytes_search(text, B("\\x{")) < 0 && bytes_search_nocase(text, B("+2B")) < 0 &&
        bytes_search_nocase(text, B("+3D")) < 0)
        return text;
    struct buf b = buf_fixed(arena_alloc(a, text.len + 1), text.len + 1);
    for (size_t i = 0; i < text.len;) {
        struct bytes rest = bytes_skip(text, i);
        ptrdiff_t close =
            bytes_starts(rest, B("\\x{")) ? bytes_find(bytes_first(rest, 11), '}') : -1;
        if (close > 3) {
            struct bytes html = arena_printf(a, "&#x%.*s;", (int)close - 3, rest.at + 3);
            mime_html(&b, html);
            while (b.len && b.at[b.len - 1] == '\n')
                buf_cut(&b, b.len - 1);
            i += (size_t)close + 1;
        } else if (bytes_starts_nocase(rest, B("+2B")) || bytes_starts_nocase(rest, B("+3D"))) {
            buf_char(&b, ascii_lower(rest.at[2]) == 'b' ? '+' : '=');
            i += 3;
        } else {
            buf_char(&b, text.at[i++]);
        }
    }
    return clean_line(buf_bytes(&b), a);
}

static struct bytes address_of(struct reading *r, const struct group *g, enum field field) {
    struct bytes value = g->value[field];
    if (bytes_search(value, B("=?")) >= 0)
        value = mime_words(value, r->arena);
    return decode_address(clean_address(value, r->arena), r->arena);
}

/* "4.0.0 (example.net: host name lookup failure)", as RFC 3464's own example has it. */
static struct bytes comment_of(struct bytes value, struct arena *a) {
    struct bytes line = clean_line(value, a);
    ptrdiff_t open = bytes_find(line, '('), close = bytes_find_last(line, ')');
    return open > 0 && close > open + 1 ? bytes_slice(line, (size_t)open + 1, (size_t)close)
                                        : BYTES_NONE;
}

/* "LOCAL;<>" and "|exec procmail" are no addresses; then another field's is taken, if it is one. */
static struct bytes best_address(struct bytes final, struct bytes actual, struct bytes original) {
    const struct bytes all[] = { final, actual, original };
    for (size_t i = 0; i < COUNT_OF(all); i++)
        if (bytes_find(all[i], '@') > 0)
            return all[i];
    return final.len ? final : actual.len ? actual : original;
}

static void end_group(struct reading *r, struct group *g) {
    bool recipient = g->has[FINAL] || g->has[ORIGINAL] || g->has[ACTUAL];
    if (recipient || (g->has[ACTION] && g->has[STATUS])) {
        struct saying *s = saying_add(r, &r->fields);
        struct bytes final = address_of(r, g, FINAL), original = address_of(r, g, ORIGINAL);
        struct bytes actual = address_of(r, g, ACTUAL);
        if (!s)
            return;
        s->address = best_address(final, actual, original);
        s->original = original;
        s->action = find_action(g->value[ACTION]);
        codes_status(g->value[STATUS], &s->status);
        s->text = find_words(g->value[DIAGNOSTIC], r->arena);
        if (!s->text.len || (!codes_begin(s->text) && g->has[SUPPLEMENT] && s->text.len < 20))
            s->text = g->has[SUPPLEMENT] ? find_words(g->value[SUPPLEMENT], r->arena) : s->text;
        s->host = clean_host(g->value[REMOTE], r->arena);
        s->comment = comment_of(g->value[STATUS], r->arena);
    }
    if (g->has[REPORTING] && !r->out->reporter.len)
        r->out->reporter = clean_host(g->value[REPORTING], r->arena);
    if (g->has[SENDER] && !r->out->sender.len)
        r->out->sender = clean_address(g->value[SENDER], r->arena);
    if (g->has[MESSAGE_ID] && !r->out->message_id.len)
        r->out->message_id = clean_line(g->value[MESSAGE_ID], r->arena);
    *g = (struct group){ 0 };
}

/* Fields that a group has once; a second one begins the next group, empty line or not. */
static bool begins_group(const struct group *g, enum field field) {
    bool names_one = field == FINAL || field == ORIGINAL || field == ACTUAL;
    bool has_one = g->has[FINAL] || g->has[ORIGINAL] || g->has[ACTUAL];
    if (g->has[field] && (names_one || field == ACTION || field == STATUS))
        return true;
    return g->gap && names_one && has_one;
}

/* --- lines -------------------------------------------------------------------------------------- */

/* From the end of the last field's line to the end of this one: the value with its folds. */
static struct bytes widen(struct bytes value, struct bytes line) {
    return bytes_of(value.at, (size_t)(line.at - value.at) + line.len);
}

static void take_line(struct reading *r, struct group *g, enum field *last, struct bytes line) {
    struct bytes value;
    struct bytes words = bytes_trim(line);
    if (!words.len || bytes_starts(words, B("--"))) { /* a delimiter that was not taken for one */
        g->gap = true;
        *last = NO_FIELD;
        return;
    }
    enum field field = find_field(words, &value);
    bool folded = line.at[0] == ' ' || line.at[0] == '\t';
    if (field == NO_FIELD || (folded && *last == DIAGNOSTIC && field == IGNORED)) {
        bool spoken = *last == DIAGNOSTIC || *last == SUPPLEMENT;
        if (*last != NO_FIELD && g->has[*last] && (folded || spoken))
            g->value[*last] = widen(g->value[*last], line);
        return;
    }
    if (begins_group(g, field))
        end_group(r, g);
    g->gap = false;
    *last = field;
    if (g->has[field]) /* a second Diagnostic-Code: the one with a code in it */
        if (field != DIAGNOSTIC || codes_find(g->value[field]).code || !codes_find(value).code) {
            *last = IGNORED;
            g->has[IGNORED] = false;
            return;
        }
    g->has[field] = true;
    g->value[field] = value.at ? value : B("");
}

bool machine_read(struct reading *r, struct bytes text) {
    struct group g = { 0 };
    size_t before = r->fields.count;
    enum field last = NO_FIELD;
    struct bytes rest = text, line;
    while (bytes_split(&rest, '\n', &line))
        take_line(r, &g, &last, line);
    end_group(r, &g);
    return r->fields.count > before;
}
