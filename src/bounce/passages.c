/* passages: recipients and the words about each, out of a text for people. It knows layouts, not programs: a line
 * that begins with an address opens a passage; so does one with a key before the address; a sentence
 * names one where neither does. */
#include "bounce/internal.h"

#include "base/must.h"

enum {
    PASSAGE = 60,    /* lines about one recipient */
    OCTETS = 8000,   /* of such a passage */
    AROUND = 8,      /* lines of a paragraph before and behind the one that names him */
    SENTENCES = 2000 /* addresses in running text that are asked whether they are recipients */
};

enum rank {
    NONE,
    HEAD,     /* "<ann@example.com>: host x said ..." */
    KEYED,    /* "Recipient: ann@example.com" */
    SENTENCE, /* "Delivery to ann@example.com failed." */
    WEAK,     /* "To: ann@example.com" */
};

struct mention {
    enum rank rank;
    size_t line;
    struct bytes address;
    size_t end;       /* the line where it ends at the latest; 0: not known */
    const char *rest; /* where the passage about it begins, in r->text */
};

struct walk {
    struct reading *r;
    struct mention *list;
    size_t count, room;
    bool in_passage; /* lines since the last mention are words about it */
    bool command;    /* a line names a program or file, and nobody yet whose it is */
    size_t indent;   /* of the first head */
    bool alone;      /* the first head was nothing but an address */
    size_t asked;    /* addresses in running text that have been looked at */
    size_t best[WEAK + 1];
};

/* --- one line ----------------------------------------------------------------------------------- */

/* What may stand before the address of a HEAD: bullets, quotes, a display name before brackets. */
static bool is_before_head(struct bytes before, bool bracket) {
    before = bytes_trim(before);
    while (before.len && bytes_find(B("*-+o>.)|\"'<(["), before.at[0]) >= 0)
        before = bytes_trim(bytes_skip(before, 1));
    size_t digits = 0;
    while (digits < before.len && ascii_is_digit(before.at[digits]))
        digits++;
    if (digits && digits + 1 == before.len && bytes_find(B(".)"), before.at[digits]) >= 0)
        return true;
    if (!before.len || bytes_equal(before, B("\xe2\x80\xa2")))
        return true;
    /* "Ann Example <ann@example.com>", and not "550 5.1.1 <ann@example.com>" */
    if (!bracket || before.len > 60 || codes_begin(before) ||
        (!bytes_is_ascii(before) && before.len > 30))
        return false;
    /* nor "Please reply to <postmaster@example.com>" */
    static const struct bytes links[] = { W("to"),    W("at"),      W("contact"), W("by"),
                                          W("from"),  W("mail"),    W("is"),      W("of"),
                                          W("write"), W("address"), W("with"),    W("or"),
                                          W("and"),   W("sender"),  W("via") };
    struct bytes last = bytes_skip(before, (size_t)(bytes_find_last(before, ' ') + 1));
    for (size_t i = 0; i < COUNT_OF(links); i++)
        if (bytes_equal_nocase(last, links[i]) && last.len < before.len)
            return false;
    size_t blanks = 0;
    for (size_t i = 0; i < before.len; i++) {
        char c = before.at[i];
        blanks += c == ' ';
        if (!ascii_is_alnum(c) && (unsigned char)c < 0x80 && bytes_find(B(" .,-'\"(_"), c) < 0)
            return false;
    }
    return blanks <= 3;
}

/* The text behind an address is about it, and no running sentence. */
static bool is_after_head(struct bytes after, bool begins) {
    static const struct bytes sentence[] = {
        W("if "), W("for "), W("and "),     W("or "),    W("to "), W("with "),
        W("in "), W("at "),  W("from "),    W("about "), W("by "), W("so "),
        W("as "), W("when"), W("directly"), W("using"),  W("via"), W("that "),
    };
    after = bytes_trim(after);
    if (!after.len || bytes_find(B(":(,-;[<="), after.at[0]) >= 0 || bytes_starts(after, B("...")))
        return true;
    if (bytes_starts(after, B("on ")))
        return true; /* Exchange: "ann@example.com on Thu, 29 Apr 2010" */
    return begins && !phrases_begin(after, sentence, COUNT_OF(sentence));
}

/* "<ann@example.com>:" and nothing else: opens a passage wherever it stands. */
static bool is_plain_head(const struct line *l, const struct place *p) {
    return p->begin == 0 && l->text.at[0] == '<' && p->end + 1 == l->text.len &&
           l->text.at[p->end] == ':';
}

static bool find_head(const struct line *l, bool begins, struct place *p) {
    if (!address_find(l->text, 0, p))
        return false;
    struct bytes before = bytes_first(l->text, p->begin);
    bool bracket = l->text.at[p->begin] == '<' ||
                   (p->begin && bytes_find(B("(["), l->text.at[p->begin - 1]) >= 0) ||
                   bytes_ends_nocase(before, B("<mailto:"));
    struct bytes after = bytes_skip(l->text, p->end);
    bool named = bytes_trim(before).len > 1 && bytes_ends_nocase(before, B("("));
    bool dated = bytes_search(bytes_first(after, 6), B(" on ")) >= 0;
    if (named && !dated && bytes_trim(after).len > 2) /* "User ann (ann@example.com) not listed" */
        return false;
    return is_before_head(before, bracket) && is_after_head(after, begins);
}

/* "Recipient address: <x>" */
static enum rank find_keyed(const struct line *l, struct place *p) {
    static const struct bytes strong[] = {
        W("recipient"),
        W("failed recipient"),
        W("final recipient"),
        W("final-recipient"),
        W("original recipient"),
        W("intended recipient"),
        W("rcpt to"),
        W("rcpt:"),
        W("rcpt-to"),
        W("addressed to"),
        W("failed address"),
        W("bounced address"),
        W("destination"),
        W("undeliverable to"),
        W("unable to deliver to"),
        W("unknown user"),
        W("user unknown"),
        W("could not be delivered to"),
        W("delivery failed"),
        W("unable to deliver message to"),
        W("invalid final delivery userid"),
        W("user mailbox exceeds"),
        W("failed to deliver to"),
        W("not delivered to"),
        W("mailbox"),
        W("status: error, address:"),
        W("empf\xc3\xa4nger"),

        W("empfaenger"),
        W("adressat"),
        W("ontvanger"),
        W("geadresseerde"),
        W("mottagare"),
        W("modtager"),
        W("vastaanottaja"),
        W("odbiorca"),
        W("p\xc5\x99\xc3\xadjemce"),
        W("al\xc4\xb1"
          "c\xc4\xb1"),
        W("c\xc3\xadmzett"),
        W("destinat"),
        W("para:"),
        W("\xe6\x94\xb6\xe4\xbb\xb6\xe8\x80\x85"),
        W("\xeb\xb0\x9b\xeb\x8a\x94\xec\x82\xac\xeb\x9e\x8c"),
        W("\xeb\xb0\x9b\xeb\x8a\x94 \xec\x82\xac\xeb\x9e\x8c"),
        W("\xec\x88\x98\xec\x8b\xa0\xec\x9e\x90"),
        W("\xec\x88\x98\xec\x8b\xa0\xec\x9d\xb8"),
        W("\xe9\x80\x81\xe4\xbf\xa1\xe5\x85\x88"),
        W("\xe3\x81\x82\xe3\x81\xa6\xe5\x85\x88"),
        W("\xe3\x81\x8a\xe5\xb1\x8a\xe3\x81\x91\xe5\x85\x88"),
        W("\xd0\x9f\xd0\xbe\xd0\xbb\xd1\x83\xd1\x87\xd0\xb0\xd1\x82\xd0\xb5\xd0\xbb"),
        W("\xd0\xb0\xd0\xb4\xd1\x80\xd0\xb5\xd1\x81\xd0\xb0\xd1\x82"),
        W("\xd0\x9a\xd0\xbe\xd0\xbc\xd1\x83:"),
        W("\xd0\x9e\xd0\xb4\xd0\xb5\xd1\x80\xd0\xb6\xd1\x83\xd0\xb2\xd0\xb0\xd1\x87"),
        W("\xe5\xae\x9b\xe5\x85\x88"),
        W("\xe6\x94\xb6\xe4\xbb\xb6\xe4\xba\xba"),
        W("\xe6\x94\xb6\xe4\xbb\xb6\xe5\x9c\xb0\xe5\x9d\x80"),
        W("\xd0\xbf\xd0\xbe\xd0\xbb\xd1\x83\xd1\x87\xd0\xb0\xd1\x82\xd0\xb5\xd0\xbb\xd1\x8c"),
    };
    static const struct bytes weak[] = { W("to:"),   W("to "),    W("an:"),     W("address:"),
                                         W("user:"), W("email:"), W("e-mail:"), W("name:") };
    struct bytes text = l->text;
    while (text.len && bytes_find(B("*-[ "), text.at[0]) >= 0)
        text = bytes_skip(text, 1);
    if (!address_find(l->text, 0, p) || p->begin > 80)
        return NONE;
    struct bytes before = bytes_first(l->text, p->begin);
    ptrdiff_t colon = bytes_find(before, ':');
    if (colon < 0)
        colon = bytes_search(before, B("\xef\xbc\x9a")); /* full width */
    if (phrases_begin(text, strong, COUNT_OF(strong)) && colon > 0 &&
        bytes_search_nocase(before, B("sender")) < 0)
        return KEYED;
    return phrases_begin(text, weak, COUNT_OF(weak)) ? WEAK : NONE;
}

/* A sentence that says that this address could not be reached. */
static bool find_sentence(struct walk *w, struct bytes text, size_t from, struct place *p) {
    static const struct bytes about[] = {
        W("deliver"),
        W("recipient"),
        W("user"),
        W("mailbox"),
        W("could not be"),
        W("couldn't be"),
        W("reject"),
        W("failed"),
        W("unable"),
        W("rcpt"),
        W("account"),
        W("undeliverable"),
        W("not reach"),
        W("message to"),
        W("mail to"),
        W("returned"),
        W("bounced"),
        W("does not exist"),
        W("unknown"),
        W("not found"),
        W("zugestellt"),
        W("ml manager for"),
        W("unzustellbar"),
        W("remis"),
        W("entrega"),
        W("entregar"),
        W("consegn"),
        W("bezorg"),
        W("dor\xc4\x99"
          "cz"),
        W("\xe9\x80\x81\xe4\xbf\xa1"),
        W("\xe9\x85\x8d"),
        W("\xe6\x8a\x95\xe9\x80\x92"),
        W("\xe9\x80\x80\xe4\xbf\xa1"),
        W("\xe5\xb1\x8a\xe3\x81\x91"),
        W("\xd0\xb4\xd0\xbe\xd1\x81\xd1\x82\xd0\xb0\xd0\xb2"),
    };
    static const struct bytes wrong[] = { W("from"),       W("contact"),  W("sender"),
                                          W(" by"),        W("reply to"), W("e-mail us"),
                                          W("write to"),   W("report"),   W("help"),
                                          W("message-id"), W("from:"),    W("id "),
                                          W("id:"),        W("id="),      W("forward") };
    while (w->asked++ < SENTENCES && address_find(text, from, p)) {
        from = p->end;
        struct bytes near = bytes_slice(text, p->begin > 24 ? p->begin - 24 : 0, p->begin);
        struct bytes before = bytes_slice(text, p->begin > 160 ? p->begin - 160 : 0, p->begin);
        struct bytes after = bytes_slice(text, p->end, p->end + 120);
        if (phrases_in(near, wrong, COUNT_OF(wrong)))
            continue;
        if (phrases_in(before, about, COUNT_OF(about)) || phrases_in(after, about, COUNT_OF(about)))
            return true;
    }
    return false;
}

/* --- lines in their order ----------------------------------------------------------------------- */

/* The last line with words before this one speaks of the sender, or of somebody to write to. */
static bool is_about_sender(const struct reading *r, size_t i) {
    static const struct bytes words[] = {
        W("sent by"),      W("sent from"),       W("contact"),    W("message from"),
        W("mail from"),    W("from:"),           W("sender:"),    W("sender is"),
        W("write to"),     W("send mail to"),    W("e-mail to"),  W("forward"),
        W("submitted by"), W("original sender"), W("the sender"), W("postmaster at"),
        W("on behalf of"), W("sender address"),
    };
    while (i && r->lines.at[i - 1].kind == LINE_EMPTY)
        i--;
    if (!i || r->lines.at[i - 1].kind == LINE_RULE)
        return false;
    struct bytes text = r->lines.at[i - 1].text;
    struct bytes tail = text.len > 60 ? bytes_skip(text, text.len - 60) : text;
    bool recipients = bytes_search_nocase(tail, B("recipient")) >= 0 ||
                      bytes_search_nocase(tail, B("following address")) >= 0;
    return phrases_in(tail, words, COUNT_OF(words)) && !recipients &&
           bytes_search_nocase(tail, B("deliver")) < 0;
}

static struct mention *add(struct walk *w, enum rank rank, size_t line, const struct place *p) {
    if (w->count == w->room)
        return NULL;
    struct mention *m = &w->list[w->count++];
    const struct line *l = &w->r->lines.at[line];
    *m = (struct mention){ .rank = rank, .line = line };
    m->address = clean_address(p->address, w->r->arena);
    m->rest = l->text.at + p->end;
    w->best[rank]++;
    return m;
}

/* A line may open a passage: nothing runs on into it. */
static bool may_begin(const struct walk *w, size_t i) {
    const struct line *l = &w->r->lines.at[i];
    if (!i)
        return true;
    const struct line *before = &w->r->lines.at[i - 1];
    if (before->kind != LINE_TEXT)
        return true;
    if (w->count && w->list[w->count - 1].line == i - 1 && w->list[w->count - 1].rank == HEAD)
        return l->indent <= before->indent;
    if (before->text.at[before->text.len - 1] == ':')
        return !w->in_passage || l->indent < before->indent;
    return l->indent < before->indent && l->indent <= w->indent;
}

/* Back from the words about one recipient, which stood farther in, to the next of the list. */
static bool is_back(const struct walk *w, size_t i) {
    return i && w->in_passage && w->r->lines.at[i].indent == w->indent &&
           w->r->lines.at[i - 1].kind == LINE_TEXT && w->r->lines.at[i - 1].indent > w->indent;
}

static bool is_alone(const struct line *l, const struct place *p) {
    return p->begin == 0 && p->end == l->text.len;
}

/* Where the indents have been lost, addresses alone on their lines open passages as the first did. */
static bool is_like_first(const struct walk *w, const struct line *l, const struct place *p) {
    return w->in_passage && w->alone && l->indent == w->indent && is_alone(l, p);
}

/* ", " and its like between addresses of a list. */
static bool is_separator(struct bytes between) {
    size_t commas = 0;
    for (size_t i = 0; i < between.len; i++) {
        commas += between.at[i] == ',' || between.at[i] == ';';
        if (bytes_find(B(",; \t\n<>\"'"), between.at[i]) < 0)
            return false;
    }
    return commas > 0;
}

/* The other addresses of a list that begins in this text; what stands behind it is about all of them. */
static void add_list(struct walk *w, enum rank rank, size_t line, struct bytes text,
                     struct place p) {
    struct place next;
    size_t first = w->count - 1;
    while (address_find(text, p.end, &next) && is_separator(bytes_slice(text, p.end, next.begin)) &&
           add(w, rank, line, &next))
        p = next;
    for (size_t m = first; m < w->count; m++)
        w->list[m].rest = text.at + p.end;
}

/* "|/usr/bin/filter", "pipe to |/usr/bin/filter", "save to /var/mail/ann": opens a passage as an address does,
 * and leaves whose it is to the next line. */
static bool is_command(const struct walk *w, size_t i) {
    static const struct bytes begins[] = { W("pipe to |"), W("save to /"), W("|"), W("\"|") };
    const struct line *l = &w->r->lines.at[i];
    return l->kind == LINE_TEXT && phrases_begin(l->text, begins, COUNT_OF(begins)) &&
           (!w->in_passage || l->indent <= w->indent);
}

/* Under such a line: "generated by ann@example.com", "(expanded from: <ann@example.com>)". */
static bool find_owner(const struct walk *w, size_t i, struct place *p) {
    static const struct bytes begins[] = { W("generated by "), W("(generated from "),
                                           W("(expanded from") };
    const struct line *l = &w->r->lines.at[i];
    return w->command && phrases_begin(l->text, begins, COUNT_OF(begins)) &&
           address_find(l->text, 0, p);
}

static void take_line(struct walk *w, size_t i) {
    const struct line *l = &w->r->lines.at[i];
    struct place p;
    if (is_command(w, i)) {
        if (w->count && !w->list[w->count - 1].end)
            w->list[w->count - 1].end = i;
        w->command = true;
        return;
    }
    if (find_owner(w, i, &p) && !l->session) {
        w->command = false;
        w->in_passage = add(w, HEAD, i, &p) != NULL;
        return;
    }
    w->command = w->command && l->kind == LINE_TEXT;
    if (l->kind == LINE_RULE)
        w->in_passage = false;
    if (l->kind != LINE_TEXT || l->session || bytes_find(l->text, '@') < 0)
        return;
    bool begins = may_begin(w, i);
    enum rank rank = NONE;
    if (find_head(l, begins, &p) &&
        (begins || is_like_first(w, l, &p) ||
         (is_plain_head(l, &p) && (!w->in_passage || l->indent <= w->indent))))
        rank = !is_back(w, i) && is_about_sender(w->r, i) ? NONE : HEAD;
    if (rank == NONE && (!w->in_passage || begins || l->text.at[0] == '['))
        rank = find_keyed(l, &p);
    if (rank == NONE)
        return;
    if (rank == HEAD && !w->in_passage) {
        w->indent = l->indent;
        w->alone = is_alone(l, &p);
    }
    w->in_passage = rank != WEAK;
    if (add(w, rank, i, &p))
        add_list(w, rank, i, l->text, p);
}

/* --- passages ----------------------------------------------------------------------------------- */

/* The line of the mention that stands under this one; the number of lines if there is none. */
static size_t next_line(const struct walk *w, size_t m) {
    size_t next = m + 1;
    while (next < w->count && w->list[next].line == w->list[m].line)
        next++;
    return next < w->count ? w->list[next].line : w->r->lines.count;
}

/* The end of the passage of mention m: the line of the next one, or a rule. */
static size_t passage_end(const struct walk *w, size_t m) {
    size_t i = w->list[m].line + 1, last = i + PASSAGE;
    size_t stop = next_line(w, m);
    stop = w->list[m].end && w->list[m].end < stop ? w->list[m].end : stop;
    while (i < last && i < stop && w->r->lines.at[i].kind != LINE_RULE &&
           !w->r->lines.at[i].session)
        i++;
    return i;
}

static struct bytes span(const struct walk *w, const char *from, size_t end) {
    const struct bytes text = w->r->text;
    const char *to = end < w->r->lines.count ? w->r->lines.at[end].whole.at : text.at + text.len;
    size_t size = to > from ? (size_t)(to - from) : 0;
    return bytes_trim(bytes_of(from, size < OCTETS ? size : OCTETS));
}

/* More than the end of a sentence or a bracket. */
static bool has_words(struct bytes text) {
    size_t letters = 0;
    for (size_t i = 0; i < text.len && letters < 3; i++)
        letters += ascii_is_alnum(text.at[i]) || (unsigned char)text.at[i] >= 0x80;
    return letters >= 3;
}

/* It only leads to what stands in the next paragraph: "because:". */
static bool is_lead(struct bytes text) {
    return !has_words(text) || text.at[text.len - 1] == ':';
}

/* The first paragraph, and those behind it up to the first with a reply in it. */
static struct bytes find_passage(const struct walk *w, size_t m) {
    size_t end = passage_end(w, m), i = w->list[m].line + 1;
    struct bytes first = BYTES_NONE;
    for (; i <= end; i++) {
        if (i < end && w->r->lines.at[i].kind != LINE_EMPTY)
            continue;
        struct bytes all = span(w, w->list[m].rest, i);
        if (is_lead(first))
            first = all;
        if (extract_weight(all) >= 2)
            return all;
    }
    return has_words(first) && is_lead(first) && i > end ? BYTES_NONE : first;
}

/* Nothing stands under it before the next rule: what stands under that, if it is for all. */
static struct bytes find_section(const struct walk *w, size_t m) {
    size_t i = passage_end(w, m), from;
    struct bytes first = BYTES_NONE;
    size_t stop = next_line(w, m);
    if (stop < w->r->lines.count && stop < i + 1) /* one of a list: the last has it */
        return first;
    size_t last = i + PASSAGE;
    while (i < last && i < stop) {
        if (w->r->lines.at[i].kind != LINE_TEXT || w->r->lines.at[i].session) {
            i++;
            continue;
        }
        for (from = i; i < last && i < w->r->lines.count && w->r->lines.at[i].kind == LINE_TEXT;
             i++)
            ;
        struct bytes text = span(w, w->r->lines.at[from].text.at, i);
        if (!has_words(first))
            first = text;
        if (extract_weight(text) >= 2)
            return text;
    }
    return first;
}

/* Exim: "------ ann@example.com ------" stands over what the program for this address has printed. */
static struct bytes find_printed(const struct walk *w, size_t m) {
    size_t end = w->r->lines.count;
    for (size_t i = w->list[m].line + 1; i < end && i < w->list[m].line + PASSAGE; i++) {
        const struct line *l = &w->r->lines.at[i];
        if (!bytes_starts(l->text, B("---")) ||
            bytes_search_nocase(l->text, w->list[m].address) < 0)
            continue;
        while (++i < end && w->r->lines.at[i].kind == LINE_EMPTY)
            ;
        size_t last = i;
        while (last < end && last < i + AROUND && w->r->lines.at[last].kind == LINE_TEXT)
            last++;
        return last > i ? span(w, w->r->lines.at[i].text.at, last) : BYTES_NONE;
    }
    return BYTES_NONE;
}

/* What layouts put between the address and the words: brackets, "<mailto:x>", "on Thu, 29 Apr 2010". */
static struct bytes without_lead(struct bytes passage) {
    while (passage.len && bytes_find(B(">\"'])<:;, .\t\n"), passage.at[0]) >= 0)
        passage = bytes_skip(passage, 1);
    if (bytes_starts_nocase(passage, B("mailto:")) && bytes_find(passage, '>') > 0)
        passage = bytes_trim(bytes_skip(passage, (size_t)bytes_find(passage, '>') + 1));
    ptrdiff_t end = bytes_starts(passage, B("on ")) ? bytes_find(passage, '\n') : -1;
    for (ptrdiff_t i = 0; i < end; i++)
        if (ascii_is_digit(passage.at[i]))
            return bytes_trim(bytes_skip(passage, (size_t)end));
    return passage;
}

static struct bytes paragraph(const struct walk *w, size_t line) {
    size_t first = line, end = line + 1;
    while (first && line - first < AROUND && w->r->lines.at[first - 1].kind == LINE_TEXT)
        first--;
    while (end < w->r->lines.count && end - line < AROUND && w->r->lines.at[end].kind == LINE_TEXT)
        end++;
    return span(w, w->r->lines.at[first].text.at, end);
}

/* A sentence says it as a whole where there is no reply: from the beginning of its paragraph. */
static struct bytes whole_sentence(const struct walk *w, size_t m, struct bytes passage) {
    if (w->list[m].rank != SENTENCE || extract_weight(passage) >= 2)
        return passage;
    struct bytes all = paragraph(w, w->list[m].line);
    const char *stop = passage.at ? passage.at + passage.len : NULL;
    bool inside = stop && stop <= all.at + all.len;
    return inside || !has_words(passage) ? all : passage;
}

/* "Unknown user: ann@example.com" is key and words in one. */
static bool says_why(struct bytes line) {
    static const struct bytes words[] = {
        W("unknown"),   W("exceed"),      W("invalid"),   W("unable"),    W("fail"),
        W("undeliver"), W("could not"),   W("not found"), W("disabled"),  W("full"),
        W("rejected"),  W("quota"),       W("not avail"), W("not exist"), W("n't exist"),
        W("blocked"),   W("denied"),      W("refused"),   W("expired"),   W("timed out"),
        W("couldn't"),  W("not deliver"), W("suspended"), W("too large"), W("no such"),
        W("not allow"), W("not accept"),  W("spam"),      W("virus"),
    };
    return phrases_in(line, words, COUNT_OF(words));
}

/* "Error: x" where the address is named by the bye, among the original's fields: the first such line
 * that says why. */
static struct bytes find_error(const struct walk *w) {
    struct bytes first = BYTES_NONE;
    for (size_t i = 0; i < w->r->lines.count && i < PASSAGE; i++) {
        const struct line *l = &w->r->lines.at[i];
        if (l->kind != LINE_TEXT || l->session || !bytes_starts_nocase(l->text, B("error")))
            continue;
        if (says_why(l->text))
            return l->text;
        first = first.len ? first : l->text;
    }
    return first;
}

static void tell(struct walk *w, size_t m) {
    /* Of the original message, around the one that names the recipient. */
    static const struct bytes fields[] = { W("subject:"), W("from:"), W("mail from:"), W("date:") };
    struct extract e;
    struct saying *s = saying_add(w->r, &w->r->words);
    if (!s)
        return;
    if (m && w->list[m - 1].line == w->list[m].line) { /* of a list: read once for all of it */
        *s = s[-1];
        s->address = w->list[m].address;
        return;
    }
    struct bytes passage = whole_sentence(w, m, without_lead(find_passage(w, m)));
    if (!has_words(passage) && w->list[m].rank == HEAD)
        passage = find_section(w, m);
    if (w->list[m].rank != HEAD && phrases_begin(passage, fields, COUNT_OF(fields)))
        passage = find_error(w);
    if (!has_words(passage) && says_why(w->r->lines.at[w->list[m].line].text))
        passage = w->r->lines.at[w->list[m].line].text;
    struct bytes printed = extract_weight(passage) < 2 ? find_printed(w, m) : BYTES_NONE;
    if (has_words(printed))
        passage = arena_printf(w->r->arena, "%.*s\n%.*s", BYTES_FMT(passage), BYTES_FMT(printed));
    extract_words(passage, w->r->arena, &e);
    s->address = w->list[m].address;
    s->original = e.original;
    s->text = e.text;
    s->host = e.host;
    s->command = e.command;
    if (!s->host.len && w->list[m].rank == SENTENCE) {
        extract_words(paragraph(w, w->list[m].line), w->r->arena, &e);
        s->host = e.host;
    }
}

/* The passage about an address often names it again. */
static bool is_last(const struct walk *w, const struct place *p) {
    struct bytes last = w->count ? w->list[w->count - 1].address : BYTES_NONE;
    return last.len && bytes_equal_nocase(last, clean_address(p->address, w->r->arena));
}

/* Sentences are asked where no line opens a passage. */
static void find_sentences(struct walk *w) {
    struct place p;
    for (size_t i = 0; i < w->r->lines.count; i++) {
        const struct line *l = &w->r->lines.at[i];
        if (l->kind != LINE_TEXT || l->session || bytes_find(l->text, '@') < 0)
            continue;
        /* A sentence begins a line or two before. */
        size_t first = i > 0 && w->r->lines.at[i - 1].kind == LINE_TEXT ? i - 1 : i;
        const char *from = w->r->lines.at[first].text.at;
        struct bytes text = bytes_of(from, (size_t)(l->text.at - from) + l->text.len);
        size_t at = (size_t)(l->text.at - from);
        if (find_sentence(w, text, at, &p) && !is_last(w, &p) && add(w, SENTENCE, i, &p))
            add_list(w, SENTENCE, i, text, p);
    }
}

/* A reply before the first address is about all of them. */
static void find_free(struct walk *w) {
    size_t end = w->count ? w->list[0].line : w->r->lines.count;
    for (size_t i = 0; i < end; i++) {
        const struct line *l = &w->r->lines.at[i];
        if (l->kind != LINE_TEXT || l->session || !codes_begin(l->text) ||
            extract_weight(l->text) < 2 || l->text.at[0] == '2')
            continue;
        struct extract e;
        size_t from = i;
        while (i < end && w->r->lines.at[i].kind == LINE_TEXT)
            i++;
        extract_words(span(w, w->r->lines.at[from].text.at, i), w->r->arena, &e);
        struct saying *s = saying_add(w->r, &w->r->words);
        if (s) {
            s->text = e.text;
            s->command = e.command;
        }
    }
}

/* The last of a list of bare addresses has the words for all of it. */
static void share_lists(struct walk *w, size_t first) {
    struct sayings *s = &w->r->words;
    for (size_t m = w->count > 1 ? w->count - 1 : 0; m > 0; m--) {
        if (first + m >= s->count)
            continue;
        struct saying *said = &s->list[first + m - 1];
        const struct saying *next = said + 1;
        const struct line *line = &w->r->lines.at[w->list[m].line];
        bool bare = w->list[m].rest + 2 > line->text.at + line->text.len;
        if (said->text.len || !bare || w->list[m].line != w->list[m - 1].line + 1)
            continue;
        said->text = next->text;
        said->host = next->host;
        said->command = next->command;
    }
}

void passages_read(struct reading *r) {
    struct walk w = { .r = r, .room = r->lines.count + BOUNCE_RECIPIENTS };
    w.list = ARENA_ARRAY(r->arena, w.room, struct mention);
    for (size_t i = 0; i < r->lines.count; i++)
        take_line(&w, i);
    bool strong = w.best[HEAD] || w.best[KEYED];
    r->laid_out = strong;
    if (!strong) {
        struct walk again = { .r = r, .list = w.list, .room = w.room };
        struct mention *weak = ARENA_ARRAY(r->arena, w.count + 1, struct mention);
        size_t count = w.count;
        for (size_t i = 0; i < count; i++)
            weak[i] = w.list[i];
        find_sentences(&again);
        if (again.count)
            w = again;
        else
            for (size_t i = 0; i < count; i++)
                w.list[i] = weak[i];
    }
    find_free(&w);
    size_t kept = 0, first = r->words.count;
    for (size_t m = 0; m < w.count; m++)
        if (!strong || w.list[m].rank <= KEYED)
            w.list[kept++] = w.list[m];
    w.count = kept;
    for (size_t m = 0; m < w.count; m++)
        tell(&w, m);
    share_lists(&w, first);
}

/* The paragraph from this line on, as words. */
static struct bytes words_from(struct walk *w, size_t line) {
    struct extract e;
    extract_words(paragraph(w, line), w->r->arena, &e);
    return e.text;
}

struct bytes passages_reason(struct reading *r) {
    static const struct bytes leads[] = { W("address"), W("recipient"), W("failed"),
                                          W("reason"),  W("because"),   W("error") };
    struct walk w = { .r = r };
    size_t led = 0; /* the line "The following addresses failed:" */
    for (size_t i = 0; i < r->lines.count && i < PASSAGE; i++) {
        const struct line *l = &r->lines.at[i];
        if (l->kind != LINE_TEXT)
            continue;
        if (led && bytes_find(l->text, '@') < 0 && has_words(l->text))
            return words_from(&w, i);
        if (led && says_why(r->lines.at[led].text))
            return words_from(&w, led);
        bool leads_on =
            (l->text.at[l->text.len - 1] == ':' && phrases_in(l->text, leads, COUNT_OF(leads))) ||
            bytes_ends_nocase(l->text, B("because of"));
        led = leads_on ? i : 0;
    }
    for (size_t i = 0; i < r->lines.count && i < PASSAGE; i++)
        if (r->lines.at[i].kind == LINE_TEXT && says_why(r->lines.at[i].text))
            return words_from(&w, i);
    return BYTES_NONE;
}
