/* transcript: what the lines of an SMTP session in a bounce say to each recipient: the answer to its RCPT, or
 * else to what came after. Marked lines (">>>" "<<<") are the servers' words; those of the reporter itself
 * between them ("550 5.1.1 <x>... User unknown") count where no server has said anything. */
#include "bounce/internal.h"

#include "base/must.h"

#include <string.h>

static bool is_error(struct bytes text) {
    return text.len >= 3 && (text.at[0] == '4' || text.at[0] == '5');
}

/* "... while talking to mx.example.com.:" */
static struct bytes talking_to(struct reading *r, struct bytes text) {
    ptrdiff_t at = bytes_search_nocase(text, B("while talking to "));
    return at < 0 ? BYTES_NONE : clean_host(bytes_skip(text, (size_t)at + 17), r->arena);
}

/* A reply of several lines, joined. Moves *i to its last line. */
static struct bytes whole_reply(struct reading *r, size_t *i) {
    char memory[BOUNCE_TEXT + 1];
    struct buf b = buf_fixed(memory, sizeof memory);
    const struct line *l = &r->lines.at[*i];
    buf_add(&b, bytes_first(l->text, BOUNCE_TEXT));
    for (size_t n = *i + 1; n < r->lines.count; n++) {
        const struct line *next = &r->lines.at[n];
        bool more = next->kind == LINE_GOT && l->kind == LINE_GOT && next->text.len > 3 &&
                    bytes_equal(bytes_first(next->text, 3), bytes_first(l->text, 3));
        bool folded = next->kind == LINE_TEXT && next->indent > l->indent && next->indent > 2 &&
                      !codes_begin(next->text);
        if (!more && !folded)
            break;
        buf_char(&b, ' ');
        buf_add(&b, bytes_first(next->text, BOUNCE_TEXT));
        *i = n;
    }
    return clean_line(buf_bytes(&b), r->arena);
}

enum { ACCEPTED = 100 }; /* recipients that are remembered for what is said after DATA */

struct session {
    struct bytes host, recipient;
    struct bytes passage; /* whose passage the session stands in: "<ann@example.com>:" over it */
    const char *command;
    struct bytes accepted[ACCEPTED];
    size_t accepts;
};

static bool is_known(const char *command) {
    return command && strcmp(command, "RSET") && strcmp(command, "QUIT") &&
           strcmp(command, "NOOP") && strcmp(command, "XFORWARD") && strcmp(command, "XCLIENT");
}

static void sent(struct reading *r, struct session *s, const struct line *l) {
    struct place p;
    s->command = extract_verb(l->text);
    s->recipient = BYTES_NONE;
    if (s->command && !strcmp(s->command, "MAIL"))
        s->accepts = 0;
    if (s->command && !strcmp(s->command, "RCPT") && address_find(l->text, 0, &p))
        s->recipient = clean_address(p.address, r->arena);
}

/* The recipient that a line of the reporter's speaks of: "550 5.1.1 <x>... User unknown", "<x>... Deferred". */
static struct bytes speaks_of(struct reading *r, struct bytes text) {
    struct place p;
    ptrdiff_t dots = bytes_search(text, B("... "));
    if (dots < 0)
        dots = bytes_search(text, B("...\n"));
    if (!address_find(text, 0, &p) || (dots >= 0 && (size_t)dots + 1 < p.begin))
        return BYTES_NONE;
    return dots >= 0 || p.begin <= 11 ? clean_address(p.address, r->arena) : BYTES_NONE;
}

static void add(struct reading *r, const struct session *s, struct bytes recipient,
                struct bytes text, bool server) {
    struct saying *saying = saying_add(r, &r->session);
    if (!saying)
        return;
    saying->address = recipient;
    saying->text = text;
    saying->host = server ? s->host : BYTES_NONE;
    saying->command = server && is_known(s->command) ? s->command : extract_command(text);
    if (saying->command && !strcmp(saying->command, "DATA") && codes_find(text).status.subject == 1)
        saying->command = "RCPT"; /* pipelined: an address was refused */
}

/* What the server says to DATA and after it is said of all whom it has accepted. */
static void add_accepted(struct reading *r, struct session *s, struct bytes text) {
    for (size_t i = 0; i < s->accepts; i++)
        add(r, s, s->accepted[i], text, true);
    s->accepts = 0;
}

/* "503 5.0.0 Need RCPT (recipient)" follows a refused recipient; it says nothing new. */
static bool is_consequence(struct bytes text) {
    return bytes_starts(text, B("503")) && bytes_search_nocase(text, B("rcpt")) >= 0;
}

/* With pipelining, what was said to RCPT stands under DATA. */
static void refused_before(struct reading *r, const struct session *s) {
    for (size_t i = r->session.count; i; i--) {
        struct saying *said = &r->session.list[i - 1];
        if (!said->command || strcmp(said->command, "DATA") || !bytes_equal(said->host, s->host))
            return;
        said->command = "RCPT";
    }
}

/* "<ann@example.com>... Deferred: Connection refused by mx.example.com." */
static void deferred(struct reading *r, const struct session *s, const struct line *l) {
    struct bytes recipient = speaks_of(r, l->text);
    ptrdiff_t dots = bytes_search(l->text, B("... "));
    if (!recipient.len)
        return;
    struct bytes text = clean_line(bytes_skip(l->text, (size_t)dots + 4), r->arena);
    add(r, s, recipient, text, false);
}

/* Courier: "mx.example.com [192.0.2.1]:" stands over what was said to it. */
static void named_above(struct reading *r, struct session *s, struct bytes text) {
    if (text.at[text.len - 1] != ':' || bytes_find(text, '[') < 0)
        return;
    struct bytes host = clean_host(text, r->arena);
    if (bytes_find(host, '.') > 0)
        s->host = host;
}

/* "554 5.0.0 <x>... Service unavailable": only that the server's last words were final for this one. */
static bool is_sequel(struct reading *r, struct bytes text, struct bytes recipient) {
    struct saying *last = r->session.count ? &r->session.list[r->session.count - 1] : NULL;
    if (!last || last->address.len || !last->host.len || !recipient.len ||
        !bytes_ends_nocase(text, B("service unavailable")))
        return false;
    last->address = recipient;
    return true;
}

/* Courier, each with a session of its own: "<ann@example.com>:". */
static void heads(struct reading *r, struct session *s, const struct line *l) {
    struct place p;
    if (l->kind == LINE_RULE)
        s->passage = BYTES_NONE;
    if (l->kind != LINE_TEXT || l->text.at[0] != '<' || !bytes_ends_nocase(l->text, B(">:")) ||
        !address_find(l->text, 0, &p) || p.end + 1 != l->text.len)
        return;
    *s = (struct session){ .passage = clean_address(p.address, r->arena) };
}

/* A LINE_TEXT inside a session that begins with a code is the reporter's own. */
static void take_line(struct reading *r, struct session *s, size_t *i) {
    const struct line *l = &r->lines.at[*i];
    struct bytes host = talking_to(r, l->text);
    if (host.len) {
        s->host = host;
        s->command = NULL;
        s->recipient = BYTES_NONE;
        return;
    }
    if (l->kind != LINE_TEXT && *i && r->lines.at[*i - 1].kind == LINE_TEXT)
        named_above(r, s, r->lines.at[*i - 1].text);
    if (l->kind == LINE_SENT) {
        sent(r, s, l);
        return;
    }
    bool own = l->kind == LINE_TEXT && codes_begin(l->text);
    if (l->kind == LINE_TEXT && !own && bytes_search(l->text, B("... ")) > 0)
        deferred(r, s, l);
    if (l->kind != LINE_GOT && !own)
        return;
    struct bytes text = whole_reply(r, i);
    if (bytes_starts(text, B("354")))
        s->command = "end";
    if (bytes_starts(text, B("25")) && s->recipient.len && s->accepts < ACCEPTED)
        s->accepted[s->accepts++] = s->recipient;
    if (is_consequence(text))
        refused_before(r, s);
    if (!is_error(text) || is_consequence(text))
        return;
    if (!own && !s->recipient.len)
        add_accepted(r, s, text);
    struct bytes whose = !own && s->recipient.len ? s->recipient : speaks_of(r, text);
    if (own && is_sequel(r, text, whose))
        return;
    add(r, s, whose.len || own ? whose : s->passage, text, !own);
}

void transcript_read(struct reading *r) {
    struct session s = { 0 };
    for (size_t i = 0; i < r->lines.count; i++) {
        heads(r, &s, &r->lines.at[i]);
        if (r->lines.at[i].session)
            take_line(r, &s, &i);
    }
}
