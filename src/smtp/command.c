/* command: one line of a client's, taken apart. This file alone knows the grammar of commands: one
 * row a verb with what reads its argument, one row a parameter of MAIL and RCPT. What may be offered
 * to whom, and in which order commands come, is the machine's business. */
#include "smtp/command.h"

#include "base/must.h"
#include "base/scan.h"
#include "message/address.h"

enum {
    NAME_MAX = 255,     /* of HELO: a domain's length (RFC 5321 section 4.5.3.1.2) */
    ENVID_MAX = 100,    /* RFC 3461 section 4.4 */
    ORCPT_MAX = 500,    /* RFC 3461 section 4.2 */
    AUTH_MAX = 500,     /* RFC 4954 section 3 */
    MECHANISM_MAX = 20, /* RFC 4422 section 3.1 */
};

struct parse {
    struct arena *arena;
    struct smtp_command *out;
    struct why *why;
};
typedef enum rc argument_parser(struct parse *p, struct bytes argument);
static argument_parser no_argument, any_argument, host_argument, auth_argument, mail_argument,
    rcpt_argument, bdat_argument, some_argument, xclient_argument;

static const struct {
    const char *name;
    argument_parser *argument;
} verbs[SMTP_VERBS] = {
    [SMTP_UNKNOWN] = { "unknown", NULL },
    [SMTP_HELO] = { "HELO", host_argument },
    [SMTP_EHLO] = { "EHLO", host_argument },
    [SMTP_STARTTLS] = { "STARTTLS", no_argument },
    [SMTP_AUTH] = { "AUTH", auth_argument },
    [SMTP_MAIL] = { "MAIL", mail_argument },
    [SMTP_RCPT] = { "RCPT", rcpt_argument },
    [SMTP_DATA] = { "DATA", no_argument },
    [SMTP_BDAT] = { "BDAT", bdat_argument },
    [SMTP_RSET] = { "RSET", no_argument },
    [SMTP_NOOP] = { "NOOP", any_argument },
    [SMTP_QUIT] = { "QUIT", no_argument },
    [SMTP_VRFY] = { "VRFY", some_argument },
    [SMTP_EXPN] = { "EXPN", any_argument },
    [SMTP_HELP] = { "HELP", any_argument },
    [SMTP_ETRN] = { "ETRN", any_argument },
    [SMTP_XCLIENT] = { "XCLIENT", xclient_argument },
};

const char *smtp_verb_name(enum smtp_verb v) {
    MUST(v < SMTP_VERBS);
    return verbs[v].name;
}

static bool is_word(char c) {
    return c != ' ' && c != '\t';
}

static enum smtp_verb verb_of(struct bytes word) {
    for (unsigned v = SMTP_UNKNOWN + 1; v < SMTP_VERBS; v++)
        if (bytes_equal_nocase(word, bytes_str(verbs[v].name)))
            return (enum smtp_verb)v;
    return SMTP_UNKNOWN;
}

static bool has_line_octet(struct bytes line) {
    return bytes_find(line, '\r') >= 0 || bytes_find(line, '\n') >= 0 ||
           bytes_find(line, '\0') >= 0;
}

enum rc smtp_command_parse(struct bytes line, struct arena *a, struct smtp_command *out,
                           struct why *why) {
    *out = (struct smtp_command){ .line = line };
    if (has_line_octet(line))
        return why_set(why, PERM, 500, "5.5.2", "syntax.line",
                       "A line must end in CRLF and hold no bare CR, LF or NUL");
    struct scan s = scan_of(line);
    out->verb = verb_of(scan_while(&s, is_word));
    out->argument = bytes_trim(s.rest);
    if (out->verb == SMTP_UNKNOWN)
        return why_set(why, PERM, 500, "5.5.1", "syntax.command",
                       "This is no command known here; HELP lists them");
    struct parse p = { a, out, why };
    return verbs[out->verb].argument(&p, out->argument);
}

/* --- refusals ------------------------------------------------------------------------------ */

static enum rc bad_argument(struct parse *p, const char *expected) {
    return why_set(p->why, PERM, 501, "5.5.4", "syntax.argument", "%s: expected %s",
                   verbs[p->out->verb].name, expected);
}

static enum rc bad_value(struct parse *p, const char *keyword, const char *expected) {
    return why_set(p->why, PERM, 501, "5.5.4", "syntax.argument", "%s %s=: expected %s",
                   verbs[p->out->verb].name, keyword, expected);
}

/* --- simple arguments ---------------------------------------------------------------------- */

static enum rc no_argument(struct parse *p, struct bytes argument) {
    return argument.len ? bad_argument(p, "no argument") : OK;
}

static enum rc any_argument(struct parse *p, struct bytes argument) {
    (void)p, (void)argument;
    return OK;
}

static enum rc some_argument(struct parse *p, struct bytes argument) {
    return argument.len ? OK : bad_argument(p, "an argument");
}

/* RFC 5321 section 4.1.4 forbids to refuse mail because the name is not what it should be, and
 * machines call themselves many things: any one word will do. Octets that cannot stand in a Received
 * field become '?'. */
static enum rc host_argument(struct parse *p, struct bytes argument) {
    if (argument.len == 0 || argument.len > NAME_MAX || bytes_find(argument, ' ') >= 0 ||
        bytes_find(argument, '\t') >= 0)
        return bad_argument(p, "the client's host name or [address]");
    char *name = arena_alloc(p->arena, argument.len);
    for (size_t i = 0; i < argument.len; i++)
        name[i] = argument.at[i] > ' ' && argument.at[i] < 0x7f ? argument.at[i] : '?';
    p->out->argument = bytes_of(name, argument.len);
    return OK;
}

static bool is_mechanism_char(char c) {
    return ascii_is_alnum(c) || c == '-' || c == '_';
}

static struct bytes upper(struct arena *a, struct bytes text) {
    char *at = arena_alloc(a, text.len + 1);
    for (size_t i = 0; i < text.len; i++)
        at[i] = text.at[i] >= 'a' && text.at[i] <= 'z' ? (char)(text.at[i] - 32) : text.at[i];
    return bytes_of(at, text.len);
}

static enum rc auth_argument(struct parse *p, struct bytes argument) {
    struct scan s = scan_of(argument);
    struct bytes mechanism = scan_while(&s, is_mechanism_char);
    bool blank = scan_done(&s) || scan_peek(&s) == ' ';
    scan_blanks(&s);
    struct bytes initial = scan_while(&s, is_word);
    if (!blank || !scan_done(&s) || mechanism.len == 0 || mechanism.len > MECHANISM_MAX)
        return bad_argument(p, "MECHANISM [initial-response]");
    p->out->auth.mechanism = upper(p->arena, mechanism);
    p->out->auth.initial = initial;
    p->out->auth.has_initial = initial.len != 0;
    return OK;
}

static enum rc bdat_argument(struct parse *p, struct bytes argument) {
    struct scan s = scan_of(argument);
    p->out->bdat.size = scan_number(&s, UINT64_MAX / 2);
    if (!s.bad && scan_accept(&s, ' ')) {
        scan_blanks(&s);
        p->out->bdat.last = scan_accept_nocase(&s, B("LAST"));
    }
    return s.bad || !scan_done(&s) ? bad_argument(p, "SIZE [LAST], SIZE in octets") : OK;
}

/* --- paths --------------------------------------------------------------------------------- */

/* The path's text without its brackets; an angle bracket in quotes does not close it. */
static struct bytes scan_path(struct scan *s) {
    scan_expect(s, '<');
    struct bytes all = s->rest;
    bool quoted = false;
    while (!scan_done(s) && (quoted || scan_peek(s) != '>')) {
        char c = scan_char(s);
        if (c == '"')
            quoted = !quoted;
        else if (c == '\\' && quoted && !scan_done(s))
            scan_char(s);
    }
    struct bytes path = bytes_first(all, all.len - s->rest.len);
    scan_expect(s, '>');
    return s->bad ? BYTES_NONE : path;
}

/* "@a,@b:" in front: must be well formed, and is then forgotten (RFC 5321 appendix C). */
static const char *drop_route(struct parse *p, struct bytes *path, bool *had) {
    *had = path->len && path->at[0] == '@';
    if (!*had)
        return NULL;
    ptrdiff_t colon = bytes_find(*path, ':');
    if (colon < 0)
        return "the source route has no colon";
    struct bytes route = bytes_first(*path, (size_t)colon), hop, name;
    *path = bytes_skip(*path, (size_t)colon + 1);
    while (bytes_split(&route, ',', &hop)) {
        if (hop.len == 0 || hop.at[0] != '@' ||
            address_parse_domain(bytes_skip(hop, 1), p->arena, &name))
            return "the source route is not of the form @domain,@domain:";
    }
    return NULL;
}

static const char *parse_path(struct parse *p, struct bytes text, struct smtp_path *out) {
    out->null = text.len == 0;
    if (out->null)
        return NULL;
    const char *wrong = drop_route(p, &text, &out->source_route);
    if (wrong)
        return wrong;
    struct address address;
    wrong = address_parse(text, p->arena, &address);
    if (wrong)
        return wrong;
    out->mailbox = address.mailbox;
    out->local = address.local;
    out->domain = address.domain;
    out->utf8 = address.utf8;
    out->postmaster = address.domain.len == 0;
    return NULL;
}

/* --- parameters of MAIL and RCPT (RFC 5321 section 4.1.1.11) -------------------------------- */

struct parameter {
    const char *keyword;
    bool valued;
    const char *expected;
    bool (*parse)(struct parse *p, struct bytes value);
};

static bool is_printable(struct bytes text) {
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.at[i] < ' ' || text.at[i] == 0x7f)
            return false;
    return true;
}

/* At most 20 digits; more than anyone can take is as good as the greatest number there is. */
static bool size_parameter(struct parse *p, struct bytes value) {
    struct smtp_mail *mail = &p->out->mail;
    mail->has_size = true;
    if (value.len == 0 || value.len > 20)
        return false;
    for (size_t i = 0; i < value.len; i++)
        if (!ascii_is_digit(value.at[i]))
            return false;
    if (!bytes_to_u64(value, UINT64_MAX, &mail->size))
        mail->size = UINT64_MAX;
    return true;
}

static bool body_parameter(struct parse *p, struct bytes value) {
    static const char *const names[] = { "7BIT", "8BITMIME", "BINARYMIME" };
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (bytes_equal_nocase(value, bytes_str(names[i]))) {
            p->out->mail.body = (enum smtp_body)i;
            return true;
        }
    return false;
}

static bool smtputf8_parameter(struct parse *p, struct bytes value) {
    (void)value;
    return p->out->mail.smtputf8 = true;
}

static bool ret_parameter(struct parse *p, struct bytes value) {
    p->out->mail.ret = bytes_equal_nocase(value, B("FULL"))   ? 1
                       : bytes_equal_nocase(value, B("HDRS")) ? 2
                                                              : 0;
    return p->out->mail.ret != 0;
}

static bool xtext_value(struct parse *p, struct bytes value, size_t max, struct bytes *out) {
    return value.len > 0 && value.len <= max && smtp_xtext_decode(value, p->arena, out) &&
           is_printable(*out);
}

static bool envid_parameter(struct parse *p, struct bytes value) {
    return xtext_value(p, value, ENVID_MAX, &p->out->mail.envid);
}

static bool auth_parameter(struct parse *p, struct bytes value) {
    p->out->mail.has_auth = true;
    if (bytes_equal(value, B("<>"))) {
        p->out->mail.auth = value;
        return true;
    }
    return xtext_value(p, value, AUTH_MAX, &p->out->mail.auth);
}

/* NEVER stands alone (RFC 3461 section 4.1). */
static bool notify_parameter(struct parse *p, struct bytes value) {
    static const char *const names[] = { "NEVER", "SUCCESS", "FAILURE", "DELAY" };
    struct bytes word;
    uint8_t notify = 0;
    while (bytes_split(&value, ',', &word)) {
        unsigned bit = 0;
        for (size_t i = 0; i < COUNT_OF(names); i++)
            if (bytes_equal_nocase(word, bytes_str(names[i])))
                bit = 1u << i;
        if (!bit)
            return false;
        notify |= (uint8_t)bit;
    }
    p->out->rcpt.notify = notify;
    return notify != 0 && (!(notify & 1) || notify == 1);
}

static bool is_atom_char(char c) {
    return c > ' ' && c < 0x7f && bytes_find(B("()<>@,;:\\\".[]"), c) < 0;
}

/* "rfc822;" and an address in xtext. Type utf-8 (RFC 6533) may hold UTF-8 as it is; its \x{...} are
 * no xtext and stay. */
static bool orcpt_parameter(struct parse *p, struct bytes value) {
    struct scan s = scan_of(value);
    struct bytes type = scan_while(&s, is_atom_char);
    struct bytes address = BYTES_NONE;
    if (value.len > ORCPT_MAX || type.len == 0 || !scan_accept(&s, ';'))
        return false;
    if (bytes_equal_nocase(type, B("utf-8")) && bytes_find(s.rest, '+') < 0)
        address = s.rest;
    else if (!smtp_xtext_decode(s.rest, p->arena, &address))
        return false;
    if (address.len == 0 || !is_printable(address))
        return false;
    p->out->rcpt.orcpt = arena_printf(p->arena, "%.*s;%.*s", BYTES_FMT(type), BYTES_FMT(address));
    return true;
}

static const struct parameter mail_parameters[] = {
    { "SIZE", true, "a number of octets", size_parameter },
    { "BODY", true, "7BIT or 8BITMIME", body_parameter },
    { "SMTPUTF8", false, "no value", smtputf8_parameter },
    { "RET", true, "FULL or HDRS", ret_parameter },
    { "ENVID", true, "at most 100 octets of xtext", envid_parameter },
    { "AUTH", true, "a mailbox in xtext, or <>", auth_parameter },
    { NULL, false, NULL, NULL },
};
static const struct parameter rcpt_parameters[] = {
    { "NOTIFY", true, "NEVER, or a list of SUCCESS, FAILURE, DELAY", notify_parameter },
    { "ORCPT", true, "type;address in xtext, at most 500 octets", orcpt_parameter },
    { NULL, false, NULL, NULL },
};

static enum rc unknown_parameter(struct parse *p, struct bytes keyword) {
    char shown[64];
    struct buf b = buf_fixed(shown, sizeof shown);
    buf_printable(&b, bytes_first(keyword, sizeof shown - 1));
    return why_set(p->why, PERM, 555, "5.5.4", "syntax.parameter",
                   "%s parameter not known here: %s", verbs[p->out->verb].name, buf_text(&b));
}

static enum rc one_parameter(struct parse *p, const struct parameter *table, struct bytes word,
                             unsigned *seen) {
    ptrdiff_t equals = bytes_find(word, '=');
    struct bytes keyword = equals < 0 ? word : bytes_first(word, (size_t)equals);
    struct bytes value = equals < 0 ? BYTES_NONE : bytes_skip(word, (size_t)equals + 1);
    for (size_t i = 0; table[i].keyword; i++) {
        if (!bytes_equal_nocase(keyword, bytes_str(table[i].keyword)))
            continue;
        if (*seen & 1u << i)
            return bad_value(p, table[i].keyword, "it once only");
        *seen |= 1u << i;
        if ((equals >= 0) != table[i].valued || !table[i].parse(p, value))
            return bad_value(p, table[i].keyword, table[i].expected);
        return OK;
    }
    return unknown_parameter(p, keyword);
}

static enum rc parse_parameters(struct parse *p, const struct parameter *table, struct bytes text) {
    struct scan s = scan_of(text);
    unsigned seen = 0;
    while (!scan_done(&s)) {
        struct bytes word = scan_while(&s, is_word);
        enum rc rc = one_parameter(p, table, word, &seen);
        if (rc != OK)
            return rc;
        scan_blanks(&s);
    }
    return OK;
}

/* "FROM:<path> parameters". A blank behind the colon is not in the grammar, but common. *path_out
 * is NULL when the form is wrong. */
static struct bytes split_path(struct bytes argument, struct bytes word, struct bytes *path_out) {
    struct scan s = scan_of(argument);
    *path_out = BYTES_NONE;
    if (!scan_accept_nocase(&s, word))
        return BYTES_NONE;
    scan_blanks(&s);
    struct bytes path = scan_path(&s);
    if (s.bad || (!scan_done(&s) && is_word(s.rest.at[0])))
        return BYTES_NONE;
    scan_blanks(&s);
    *path_out = path.len ? path : B("");
    return s.rest;
}

static enum rc mail_argument(struct parse *p, struct bytes argument) {
    struct bytes path;
    struct bytes parameters = split_path(argument, B("FROM:"), &path);
    if (!path.at)
        return bad_argument(p, "FROM:<user@example.com>, with the angle brackets");
    const char *wrong = parse_path(p, path, &p->out->mail.from);
    if (!wrong && p->out->mail.from.postmaster)
        wrong = "the @ and the domain are missing";
    if (wrong)
        return why_set(p->why, PERM, 501, "5.1.7", "syntax.address",
                       "The sender's address is not valid: %s", wrong);
    return parse_parameters(p, mail_parameters, parameters);
}

static enum rc rcpt_argument(struct parse *p, struct bytes argument) {
    struct bytes path;
    struct bytes parameters = split_path(argument, B("TO:"), &path);
    if (!path.at)
        return bad_argument(p, "TO:<user@example.com>, with the angle brackets");
    const char *wrong = path.len ? parse_path(p, path, &p->out->rcpt.to) : "it is empty";
    if (wrong)
        return why_set(p->why, PERM, 553, "5.1.3", "syntax.address",
                       "The recipient's address is not valid: %s", wrong);
    return parse_parameters(p, rcpt_parameters, parameters);
}

/* --- XCLIENT ------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    size_t offset; /* of the view in xclient */
} attributes[] = {
#define ATTRIBUTE(name, field)                                                                     \
    { name, offsetof(struct smtp_command, xclient.field) - offsetof(struct smtp_command, xclient) }
    ATTRIBUTE("NAME", name), ATTRIBUTE("ADDR", addr),   ATTRIBUTE("PORT", port),
    ATTRIBUTE("HELO", helo), ATTRIBUTE("PROTO", proto), ATTRIBUTE("LOGIN", login),
#undef ATTRIBUTE
};

static struct bytes *attribute(struct smtp_command *c, struct bytes name) {
    for (size_t i = 0; i < COUNT_OF(attributes); i++)
        if (bytes_equal_nocase(name, bytes_str(attributes[i].name)))
            return (struct bytes *)(void *)((char *)&c->xclient + attributes[i].offset);
    return NULL;
}

static bool xclient_value(struct parse *p, struct bytes value, struct bytes *out) {
    if (bytes_equal_nocase(value, B("[UNAVAILABLE]")) ||
        bytes_equal_nocase(value, B("[TEMPUNAVAIL]"))) {
        *out = B("");
        return true;
    }
    if (!smtp_xtext_decode(value, p->arena, out) || out->len == 0 || !is_printable(*out))
        return false;
    if (out == &p->out->xclient.addr && bytes_starts_nocase(*out, B("IPV6:")))
        *out = bytes_skip(*out, 5);
    return true;
}

static enum rc xclient_argument(struct parse *p, struct bytes argument) {
    static const char expected[] = "NAME= ADDR= PORT= HELO= PROTO= LOGIN=, each once, in xtext";
    struct scan s = scan_of(argument);
    if (scan_done(&s))
        return bad_argument(p, expected);
    while (!scan_done(&s)) {
        struct bytes value = scan_while(&s, is_word), name;
        bytes_split(&value, '=', &name);
        struct bytes *to = attribute(p->out, name);
        if (!to || to->at || !value.at || !xclient_value(p, value, to))
            return bad_argument(p, expected);
        scan_blanks(&s);
    }
    return OK;
}

/* --- xtext (RFC 3461 section 4) ------------------------------------------------------------ */

static int hex_value(char c) {
    if (ascii_is_digit(c))
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool smtp_xtext_decode(struct bytes text, struct arena *a, struct bytes *out) {
    char *to = arena_alloc(a, text.len + 1);
    size_t n = 0;
    *out = BYTES_NONE;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (c == '+') {
            int high = i + 2 < text.len ? hex_value(text.at[i + 1]) : -1;
            int low = high < 0 ? -1 : hex_value(text.at[i + 2]);
            if (low < 0)
                return false;
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c <= ' ' || c >= 0x7f || c == '=') {
            return false;
        }
        to[n++] = c;
    }
    *out = bytes_of(to, n);
    return true;
}

void smtp_xtext_encode(struct buf *out, struct bytes text) {
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (c > ' ' && c < 0x7f && c != '+' && c != '=') {
            buf_char(out, (char)c);
            continue;
        }
        char hex[3] = { '+', digits[c >> 4], digits[c & 15] };
        buf_add(out, bytes_of(hex, sizeof hex));
    }
}
