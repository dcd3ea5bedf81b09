/* extract: the server's own words out of a passage of a reporter's, with the host that spoke them and the
 * command they answer. This file knows the phrases that lead up to such words, in whatever program. */
#include "bounce/internal.h"

#include "base/must.h"

/* --- commands ----------------------------------------------------------------------------------- */

static const struct {
    struct bytes begins;
    const char *command;
} verbs[] = {
    { W("RCPT"), "RCPT" },         { W("MAIL FROM"), "MAIL" }, { W("MAIL_FROM"), "MAIL" },
    { W("MAIL"), "MAIL" },         { W("DATA"), "DATA" },      { W("BDAT"), "end" },
    { W("EHLO"), "EHLO" },         { W("HELO"), "EHLO" },      { W("LHLO"), "EHLO" },
    { W("STARTTLS"), "STARTTLS" }, { W("AUTH"), "AUTH" },      { W("RSET"), "RSET" },
    { W("QUIT"), "QUIT" },         { W("NOOP"), "NOOP" },      { W("XFORWARD"), "XFORWARD" },
    { W("XCLIENT"), "XCLIENT" },   { W("SEND FROM"), "MAIL" },
};

const char *extract_verb(struct bytes line) {
    if (bytes_equal(line, B(".")) || bytes_equal_nocase(line, B("(end of message)")) ||
        bytes_starts_nocase(line, B("[data]")) || bytes_starts_nocase(line, B("<end of data>")))
        return "end";
    for (size_t i = 0; i < COUNT_OF(verbs); i++) {
        struct bytes begins = verbs[i].begins;
        char after = line.len > begins.len ? line.at[begins.len] : ' ';
        if (bytes_starts_nocase(line, begins) && !ascii_is_alnum(after) && after != '.')
            return verbs[i].command;
    }
    return NULL;
}

/* What reporters write around the words, lower case. */
static const struct {
    struct bytes phrase;
    const char *command;
} phrases[] = {
    /* clang-format off */
    { W("in reply to end of data"), "end" },
    { W("in reply to message body"), "end" },
    { W("after end of data"), "end" },
    { W("after sending data block"), "end" },
    { W("after pipelined sending data block"), "end" },
    { W("after the data block"), "end" },
    { W("end of data"), "end" },
    { W("did not like our final data"), "end" },
    { W("failed after i sent the message"), "end" },
    { W("sending end of data"), "end" },
    { W("sending message body"), "end" },
    { W("after sending the message"), "end" },
    { W("after message body"), "end" },
    { W("after data transmission"), "end" },
    { W("in reply to rcpt"), "RCPT" },
    { W("after pipelined rcpt"), "RCPT" },
    { W("after rcpt"), "RCPT" },
    { W("following rcpt"), "RCPT" },
    { W("response to rcpt"), "RCPT" },
    { W("did not like our rcpt"), "RCPT" },
    { W("rejected command 'rcpt"), "RCPT" },
    { W("rejected command 'mail"), "MAIL" },
    { W("rejected command 'data"), "DATA" },
    { W("rejected command 'ehlo"), "EHLO" },
    { W("rejected command 'auth"), "AUTH" },
    { W("does not like recipient"), "RCPT" },
    { W("rejected recipient"), "RCPT" },
    { W("recipient was rejected"), "RCPT" },
    { W("sending rcpt"), "RCPT" },
    { W("[rcpt_to]"), "RCPT" },
    { W("[rcpt to]"), "RCPT" },
    { W("rcpt to command"), "RCPT" },
    { W("during rcpt"), "RCPT" },
    { W("smtp:rcpt"), "RCPT" },
    { W("at rcpt"), "RCPT" },
    { W("in reply to mail"), "MAIL" },
    { W("after pipelined mail"), "MAIL" },
    { W("after mail from"), "MAIL" },
    { W("following mail"), "MAIL" },
    { W("response to mail"), "MAIL" },
    { W("did not like our mail"), "MAIL" },
    { W("but sender was rejected"), "MAIL" },
    { W("sending mail from"), "MAIL" },
    { W("[mail_from]"), "MAIL" },
    { W("[mail from]"), "MAIL" },
    { W("mail from command"), "MAIL" },
    { W("during mail from"), "MAIL" },
    { W("in reply to data"), "DATA" },
    { W("after pipelined data"), "DATA" },
    { W("after data command"), "DATA" },
    { W("after data:"), "DATA" },
    { W("following data"), "DATA" },
    { W("response to data"), "DATA" },
    { W("did not like our data"), "DATA" },
    { W("failed on data command"), "DATA" },
    { W("sending data command"), "DATA" },
    { W("[data]"), "DATA" },
    { W("in reply to auth"), "AUTH" },
    { W("sasl authentication failed"), "AUTH" },
    { W("response to auth"), "AUTH" },
    { W("after auth"), "AUTH" },
    { W("in reply to starttls"), "STARTTLS" },
    { W("after starttls"), "STARTTLS" },
    { W("did not like our starttls"), "STARTTLS" },
    { W("tls is required, but"), "STARTTLS" },
    { W("cannot start tls"), "STARTTLS" },
    { W("tls handshake failed"), "STARTTLS" },
    { W("server certificate not"), "STARTTLS" },
    { W("in reply to ehlo"), "EHLO" },
    { W("in reply to helo"), "EHLO" },
    { W("after ehlo"), "EHLO" },
    { W("after helo"), "EHLO" },
    { W("did not like our ehlo"), "EHLO" },
    { W("did not like our helo"), "EHLO" },
    { W("but my name was rejected"), "EHLO" },
    { W("refused to talk to me"), "banner" },
    { W("performing the ehlo"), "EHLO" },
    { W("performing the helo"), "EHLO" },
    { W("[ehlo]"), "EHLO" },
    { W("[helo]"), "EHLO" },
    { W("but greeting failed"), "banner" },
    { W("after initial connection"), "banner" },
    { W("initial server greeting"), "banner" },
    { W("response to initial connection"), "banner" },
    { W("response to ehlo"), "EHLO" },
    { W("response to helo"), "EHLO" },
    { W("failed to connect"), "connect" },
    { W("did not accept our requests to connect"), "connect" },
    { W("wasn't able to establish an smtp"), "connect" },
    { W("on initial connection"), "banner" },
    { W("[connect]"), "connect" },
    { W("connection refused"), "connect" },
    { W("connection timed out"), "connect" },
    { W("connection timeout"), "connect" },
    { W("no route to host"), "connect" },
    { W("network is unreachable"), "connect" },
    { W("network unreachable"), "connect" },
    { W("unable to establish an smtp connection"), "connect" },
    { W("unable to connect to"), "connect" },
    { W("could not connect to"), "connect" },
    { W("couldn't connect to"), "connect" },
    { W("failed to connect to"), "connect" },
    { W("host or domain name not found"), "DNS" },
    { W("name service error"), "DNS" },
    { W("host not found"), "DNS" },
    { W("host unknown"), "DNS" },
    { W("unknown host"), "DNS" },
    { W("couldn't find any host named"), "DNS" },
    { W("couldn't find a mail exchanger"), "DNS" },
    { W("cname lookup failed"), "DNS" },
    { W("domain does not exist"), "DNS" },
    { W("domain not found"), "DNS" },
    { W("does not accept mail (nullmx)"), "DNS" },
    { W("mx host does not exist"), "DNS" },
    { W("no mx or a records"), "DNS" },
    { W("non-existent hosts"), "DNS" },
    { W("unrouteable"), "DNS" },
    { W("dns error"), "DNS" },
    { W("no mx found"), "DNS" },
    { W("dns lookup fail"), "DNS" },
    { W("dns domain "), "DNS" },
    { W("no such domain"), "DNS" },
    { W("host name lookup failure"), "DNS" },
    /* clang-format on */
};

const char *extract_command(struct bytes passage) {
    char memory[4 * BOUNCE_TEXT + 1];
    struct buf low = buf_fixed(memory, sizeof memory);
    buf_lower(&low, bytes_first(passage, sizeof memory - 1));
    for (size_t i = 0; i < COUNT_OF(phrases); i++)
        if (bytes_search(buf_bytes(&low), phrases[i].phrase) >= 0)
            return phrases[i].command;
    return NULL;
}

/* --- hosts -------------------------------------------------------------------------------------- */

static bool in_host(char c) {
    return ascii_is_alnum(c) || c == '-' || c == '.' || c == '_' || c == ':' || c == '[' ||
           c == ']';
}

/* A name with a dot, or an address, that begins here. */
static struct bytes host_at(struct bytes text) {
    size_t n = 0;
    while (n < text.len && bytes_find(B(" \t\n<[(\"'"), text.at[n]) >= 0)
        n++;
    text = bytes_skip(text, n);
    n = 0;
    while (n < text.len && n < 255 && in_host(text.at[n]) && text.at[n] != '[' && text.at[n] != ']')
        n++;
    struct bytes host = bytes_first(text, n);
    while (host.len && bytes_find(B(".:-"), host.at[host.len - 1]) >= 0)
        host.len--;
    bool dotted = bytes_find(host, '.') > 0 || bytes_search(host, B("::")) >= 0;
    return dotted ? host : BYTES_NONE;
}

/* What stands before a host's name, lower case, the surest first. */
static const struct bytes before_host[] = {
    W("while talking to "),
    W("remote-mta: dns;"),
    W("remote system: dns;"),
    W("smtp server <"),
    W("server at "),
    W(" by "),
    W("host "),
    W("server "),
    W("connected to "),
    W("connect to "),
    W("giving up on "),
    W("remote server: "),
    W("remote host: "),
    W("host: "),
    W("lost connection with "),
    W("conversation with "),
};

/* "MX.EXAMPLE [192.0.2.1] did not like our RCPT TO:", "192.0.2.1 does not like recipient." */
static struct bytes host_that_dislikes(struct bytes passage) {
    static const struct bytes after[] = { W(" did not like our "),
                                          W(" does not like recipient"),
                                          W(" failed after I sent"),
                                          W(" failed on DATA"),
                                          W(" said: "),
                                          W(" #550 "),
                                          W(" responded: "),
                                          W(" rejected ") };
    for (size_t i = 0; i < COUNT_OF(after); i++) {
        ptrdiff_t at = bytes_search(passage, after[i]);
        if (at < 0)
            continue;
        size_t begin = (size_t)at;
        if (begin && passage.at[begin - 1] == ']') {
            ptrdiff_t open = bytes_find_last(bytes_first(passage, begin), '[');
            size_t before = open > 0 ? (size_t)open : begin;
            while (before && passage.at[before - 1] == ' ')
                before--;
            if (before && in_host(passage.at[before - 1]))
                begin = before;
            else if (open >= 0)
                return host_at(bytes_skip(passage, (size_t)open + 1));
        }
        while (begin && in_host(passage.at[begin - 1]))
            begin--;
        struct bytes host = host_at(bytes_slice(passage, begin, (size_t)at));
        if (host.len)
            return host;
    }
    return BYTES_NONE;
}

/* A line that is a host's name and nothing else: Exchange writes it over what the host said. */
static struct bytes host_line(struct bytes passage) {
    struct bytes rest = passage, line;
    while (bytes_split(&rest, '\n', &line)) {
        line = bytes_trim(line);
        struct bytes host = host_at(line);
        if (host.len && host.len == line.len && ascii_is_alpha(host.at[host.len - 1]) && rest.len)
            return host;
    }
    return BYTES_NONE;
}

static struct bytes find_host(struct bytes passage) {
    struct bytes host = host_that_dislikes(passage);
    for (size_t i = 0; i < COUNT_OF(before_host) && !host.len; i++) {
        ptrdiff_t at = bytes_search_nocase(passage, before_host[i]);
        if (at >= 0)
            host = host_at(bytes_skip(passage, (size_t)at + before_host[i].len));
    }
    return host;
}

/* --- words -------------------------------------------------------------------------------------- */

/* What stands before a server's words, lower case. A mark that is `sure` is believed without a code. */
static const struct {
    struct bytes text;
    bool sure;
} leads[] = {
    /* clang-format off */
    { W("remote server returned message detected"), false },
    { W("remote server returned"), true },
    { W("the error that the other server returned was:"), true },
    { W("the response from the remote server was:"), true },
    { W("the response was:"), true },
    { W("response from the remote server:"), true },
    { W("remote host said:"), true },
    { W("remote server said:"), true },
    { W("remote server replied:"), true },
    { W("responded with:"), true },
    { W("response was:"), true },
    { W("server response:"), true },
    { W("server says:"), true },
    { W("response:"), true },
    { W("responded:"), true },
    { W("replied:"), true },
    { W("said:"), true },
    { W("diagnostic code:"), true },
    { W("diagnostic-code:"), true },
    { W("failed with:"), true },
    { W("with error:"), true },
    { W("failed with"), false },
    { W("last error:"), true },
    { W("error message:"), true },
    { W("error was:"), true },
    { W("error code:"), false },
    { W("smtp error from remote mail server"), false },
    { W("smtp error from remote mailer"), false },
    { W("reason given:"), true },
    { W("(reason:"), true },
    { W("reason:"), true },
    { W("following reason:"), true },
    { W("grund:"), true },
    { W("fehlermeldung:"), true },
    { W("fehler:"), true },
    { W("raison :"), true },
    { W("raison:"), true },
    { W("motif :"), true },
    { W("motif:"), true },
    { W("motivo:"), true },
    { W("causa:"), true },
    { W("reden:"), true },
    { W("pow\xc3\xb3" "d:"), true },
    { W("\xd0\xbf\xd1\x80\xd0\xb8\xd1\x87\xd0\xb8\xd0\xbd\xd0\xb0:"), true },
    { W("\xd0\x9f\xd1\x80\xd0\xb8\xd1\x87\xd0\xb8\xd0\xbd\xd0\xb0:"), true },
    { W("\xe5\x8e\x9f\xe5\x9b\xa0\xef\xbc\x9a"), true },
    { W("\xe5\x8e\x9f\xe5\x9b\xa0:"), true },
    { W("\xe7\x90\x86\xe7\x94\xb1\xef\xbc\x9a"), true },
    { W("\xec\x82\xac\xec\x9c\xa0 :"), true },
    { W("\xec\x82\xac\xec\x9c\xa0:"), true },
    { W("\xe3\x82\xa8\xe3\x83\xa9\xe3\x83\xbc\xef\xbc\x9a"), true },
    { W("\xe9\x94\x99\xe8\xaf\xaf\xe4\xbf\xa1\xe6\x81\xaf\xef\xbc\x9a"), true },
    { W("explanation:"), true },
    { W("because:"), true },
    { W("command output:"), false },
    { W("details:"), false },
    { W("returned:"), true },
    { W("returned"), false },
    { W("error:"), false },
    { W("smtp;"), true },
    /* clang-format on */
};

static size_t skip_marks(struct bytes text, size_t at) {
    while (at < text.len && bytes_find(B(" \t\n'\"([#-"), text.at[at]) >= 0)
        at++;
    return at;
}

static size_t skip_quote(struct bytes text, size_t at) {
    while (at < text.len && bytes_find(B(" \t\n'\""), text.at[at]) >= 0)
        at++;
    return at;
}

/* Where a line begins with a reply: "550-5.7.1 x". */
static size_t reply_line(struct bytes text) {
    for (size_t at = 0; at < text.len;) {
        struct bytes rest = bytes_skip(text, at);
        ptrdiff_t end = bytes_find(rest, '\n');
        struct bytes line = end < 0 ? rest : bytes_first(rest, (size_t)end);
        if (codes_begin(line) && bytes_trim(line).len > 3)
            return skip_marks(text, at);
        if (end < 0)
            break;
        at += (size_t)end + 1;
    }
    return text.len;
}

/* Where a reply begins in the midst of a reporter's sentence: "..., 550 x", "Error 550 x", and "550 5.1.1" wherever
 * it stands; text.len: nowhere. */
static size_t reply_inside(struct bytes text) {
    struct codes c = codes_find(text);
    if (!c.code || c.code < 400 || c.at < 2 || c.at + 5 >= text.len)
        return text.len;
    struct bytes reply = bytes_skip(text, c.at), before = bytes_first(text, c.at);
    if (!ascii_is_digit(reply.at[0]) || (reply.at[3] != ' ' && reply.at[3] != '-'))
        return text.len;
    struct status status;
    bool whole = codes_status(bytes_slice(reply, 4, 14), &status);
    bool parted = bytes_ends_nocase(before, B(", ")) || bytes_ends_nocase(before, B("> ")) ||
                  bytes_ends_nocase(before, B("\n")) || c.at <= 12;
    return whole || parted ? c.at : text.len;
}

/* Where the words begin; text.len: nowhere. */
static size_t words_begin(struct bytes text) {
    size_t best = text.len;
    for (size_t i = 0; i < COUNT_OF(leads); i++) {
        ptrdiff_t at = bytes_search_nocase(text, leads[i].text);
        if (at < 0)
            continue;
        size_t begin = skip_marks(text, (size_t)at + leads[i].text.len);
        if (codes_begin(bytes_skip(text, begin)) && begin < best)
            best = begin;
    }
    if (best < text.len)
        return best;
    best = reply_line(text);
    if (best < text.len)
        return best;
    for (size_t i = 0; i < COUNT_OF(leads); i++) {
        ptrdiff_t at = leads[i].sure ? bytes_search_nocase(text, leads[i].text) : -1;
        size_t begin = at < 0 ? text.len : skip_quote(text, (size_t)at + leads[i].text.len);
        if (begin + 3 >= text.len)
            continue;
        struct bytes said = bytes_skip(text, begin);
        size_t inside = reply_inside(said);
        return begin + (inside < said.len ? inside : 0);
    }
    /* "...: 550 5.1.1 x" behind whatever colon */
    for (size_t at = 0; at + 5 < text.len; at++)
        if (text.at[at] == ':' && (text.at[at + 1] == ' ' || text.at[at + 1] == '\n') &&
            codes_begin(bytes_slice(text, at + 1, at + 12)) &&
            codes_find(bytes_slice(text, at + 1, at + 12)).code)
            return skip_marks(text, at + 1);
    return codes_begin(text) ? text.len : reply_inside(text);
}

/* What the reporter wrote behind the server's words. */
static struct bytes without_trailer(struct bytes text) {
    static const struct bytes trailers[] = {
        W("(in reply to"), W("Giving up on"), W("I'm not going to try again"), W("[RCPT_TO]"),
        W("[MAIL_FROM]"),  W(" (state "),     W("--- Below this line"),        W("(expanded from"),
    };
    for (size_t i = 0; i < COUNT_OF(trailers); i++) {
        ptrdiff_t at = bytes_search(text, trailers[i]);
        if (at > 0)
            text = bytes_first(text, (size_t)at);
    }
    text = bytes_trim(text);
    while (text.len && (bytes_ends_nocase(text, B("##")) || bytes_ends_nocase(text, B(" #"))))
        text = bytes_trim(bytes_first(text, text.len - 2));
    return text;
}

/* Quotes and brackets around it that belong to the reporter. */
static struct bytes without_wrap(struct bytes text, char before) {
    static const struct {
        char open, close;
    } pairs[] = { { '\'', '\'' }, { '"', '"' }, { '(', ')' }, { '[', ']' }, { '<', '>' } };
    for (size_t i = 0; i < COUNT_OF(pairs); i++)
        if (before == pairs[i].open && text.len && text.at[text.len - 1] == pairs[i].close)
            return bytes_first(text, text.len - 1);
    /* "(reason: 550 x)", "<smtp; 550 x>", "[Status: ..., x]" */
    static const struct {
        char open, close;
    } brackets[] = { { '(', ')' }, { '<', '>' }, { '[', ']' } };
    for (size_t b = 0; b < COUNT_OF(brackets) && text.len; b++) {
        if (text.at[text.len - 1] != brackets[b].close)
            continue;
        size_t open = 0, close = 0;
        for (size_t i = 0; i < text.len; i++) {
            open += text.at[i] == brackets[b].open;
            close += text.at[i] == brackets[b].close;
        }
        if (close > open)
            return bytes_first(text, text.len - 1);
    }
    return text;
}

/* "(expanded from <x>)", "(generated from x)", "(originally addressed to x)" or "generated by x". */
static void find_alias(struct bytes passage, struct arena *a, struct extract *out) {
    static const struct bytes words[] = {
        W("expanded from"),           W("generated from"),    W("generated by"),
        W("originally to"),           W("forwarded from"),    W("alias for"),
        W("originally addressed to"), W("original address:"),
    };
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        ptrdiff_t at = bytes_search_nocase(passage, words[i]);
        struct place p;
        if (at < 0)
            continue;
        struct bytes rest = bytes_first(bytes_skip(passage, (size_t)at + words[i].len), 400);
        if (address_find(rest, 0, &p) && p.begin < 8) {
            out->original = clean_line(p.address, a);
            return;
        }
    }
}

/* Reporters put it before the words. */
static struct bytes without_alias(struct bytes passage) {
    passage = bytes_trim(passage);
    static const struct bytes words[] = { W("(expanded from"), W("(generated from"),
                                          W("(ultimately generated from") };
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        ptrdiff_t close = bytes_find(passage, ')');
        if (close > 0 && bytes_starts_nocase(passage, words[i]))
            passage = bytes_skip(passage, (size_t)close + 1);
    }
    while (passage.len && bytes_find(B(": \t\n-,;"), passage.at[0]) >= 0)
        passage = bytes_skip(passage, 1);
    return passage;
}

/* Exchange: "... returned '550 4.4.7 QUEUE.Expired; message expired' ... returned '441 4.4.1 Error
 * encountered ...'": why it expired is told behind it. */
static struct bytes behind_expiry(struct bytes text) {
    ptrdiff_t expired = bytes_search_nocase(bytes_first(text, 80), B("expired"));
    ptrdiff_t next =
        expired < 0 ? -1 : bytes_search_nocase(bytes_skip(text, (size_t)expired), B("returned '"));
    if (next < 0)
        return text;
    struct bytes rest = bytes_skip(text, (size_t)expired + (size_t)next + 10);
    return codes_begin(rest) ? rest : text;
}

bool extract_is_expiry(struct bytes text) {
    return text.len < 80 && bytes_search_nocase(text, B("expired")) >= 0;
}

void extract_words(struct bytes passage, struct arena *a, struct extract *out) {
    passage = bytes_first(passage, (size_t)4 * BOUNCE_TEXT);
    *out = (struct extract){ .command = extract_command(passage) };
    struct bytes flat = clean_line(passage, a);
    struct bytes host = find_host(flat);
    out->host = clean_host(host.len ? host : host_line(passage), a);
    find_alias(flat, a, out);
    struct bytes text = without_alias(passage);
    size_t begin = words_begin(text);
    char before = begin && begin < text.len ? text.at[begin - 1] : ' ';
    if (begin < text.len)
        text = behind_expiry(bytes_skip(text, begin));
    if (begin < text.len && bytes_ends_nocase(bytes_trim(text), B("'")))
        before = '\'';
    while (text.len && bytes_find(B(".: \n\t-"), text.at[0]) >= 0)
        text = bytes_skip(text, 1);
    if (text.len && bytes_starts(text, B("\"")) && bytes_ends_nocase(text, B("\""))) {
        text = bytes_slice(text, 1, text.len - 1);
        before = ' ';
    }
    out->text = without_wrap(without_trailer(clean_line(text, a)), before);
    if (!out->command)
        out->command = extract_command(flat);
}

unsigned extract_weight(struct bytes text) {
    struct codes c = codes_find(text);
    bool error = c.code >= 400 || c.status.klass >= 4;
    unsigned weight = text.len > 0;
    if (error)
        weight = 2 + (c.code > 0) + status_is_set(c.status);
    return weight;
}
