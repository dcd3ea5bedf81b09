/* json: bounces as the sending services report them, not in mail's form but in JSON, posted or mailed:
 * a flat look at "key": value pairs is enough, wherever they stand, since every service has its own nesting.
 * JSON inside a JSON string (Amazon SNS) is read as if it stood there. */
#include "bounce/internal.h"

#include "base/must.h"

enum { JSON_LIMIT = 512 * 1024 };

enum key { NO_KEY, CODE, ADDRESS, TEXT, KIND, STATUS, ACTION, HOST, SENDER, SUBJECT, MESSAGE_ID };

static const struct {
    struct bytes name;
    enum key key;
} keys[] = {
    { W("code"), CODE },
    { W("error_code"), CODE },
    { W("smtp_code"), CODE },
    { W("emailAddress"), ADDRESS },
    { W("email"), ADDRESS },
    { W("recipient"), ADDRESS },
    { W("rcpt_to"), ADDRESS },
    { W("Recipient"), ADDRESS },
    { W("diagnosticCode"), TEXT },
    { W("reason"), TEXT },
    { W("raw_reason"), TEXT },
    { W("diag"), TEXT },
    { W("Details"), TEXT },
    { W("response"), TEXT },
    { W("message"), TEXT },
    { W("content"), TEXT },
    { W("Description"), TEXT },
    { W("smtp-response"), TEXT },
    { W("bounceSubType"), KIND },
    { W("status"), STATUS },
    { W("enhanced-code"), STATUS },
    { W("action"), ACTION },
    { W("event"), ACTION },
    { W("notificationType"), ACTION },
    { W("eventType"), ACTION },
    { W("Type"), ACTION },
    { W("type"), ACTION },
    { W("reportingMTA"), HOST },
    { W("source"), SENDER },
    { W("friendly_from"), SENDER },
    { W("From"), SENDER },
    { W("subject"), SUBJECT },
    { W("Subject"), SUBJECT },
    { W("messageId"), MESSAGE_ID },
    { W("message-id"), MESSAGE_ID },
    { W("smtp-id"), MESSAGE_ID },
};

static enum key find_key(struct bytes name) {
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        if (bytes_equal(keys[i].name, name))
            return keys[i].key;
    return NO_KEY;
}

/* Without the backslashes of a string inside a string; line ends become blanks. */
static struct bytes unescape(struct bytes text, struct arena *a) {
    struct buf b = buf_fixed(arena_alloc(a, text.len + 1), text.len + 1);
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (c != '\\' || i + 1 == text.len) {
            buf_char(&b, c);
            continue;
        }
        char next = text.at[++i];
        if (next == 'n' || next == 'r' || next == 't')
            buf_char(&b, ' ');
        else if (next == 'u' && i + 4 < text.len) {
            struct bytes html = arena_printf(a, "&#x%.4s;", text.at + i + 1);
            size_t before = b.len;
            mime_html(&b, html);
            while (b.len > before && b.at[b.len - 1] == '\n')
                buf_cut(&b, b.len - 1);
            i += 4;
        } else
            buf_char(&b, next);
    }
    return buf_bytes(&b);
}

/* The string that begins behind the quote at `at`; *at moves behind its end. */
static struct bytes take_string(struct bytes text, size_t *at) {
    size_t begin = *at + 1, i = begin;
    while (i < text.len && text.at[i] != '"')
        i += text.at[i] == '\\' ? 2 : 1;
    i = i < text.len ? i : text.len;
    *at = i + 1;
    return bytes_slice(text, begin, i);
}

struct state {
    struct reading *r;
    struct saying *now;
    const char *action;
    struct bytes code; /* "550": told apart from the words */
    struct bytes kind; /* "MailboxFull": what there is where a server said nothing */
    unsigned depth;    /* of strings that are JSON themselves */
};

static const char *find_action(struct bytes value) {
    static const struct {
        struct bytes word;
        const char *action;
    } words[] = {
        { W("complain"), "feedback" },    { W("spamreport"), "feedback" },
        { W("spam_report"), "feedback" }, { W("defer"), "delayed" },
        { W("delay"), "delayed" },        { W("deliver"), "delivered" },
        { W("bounce"), "failed" },        { W("fail"), "failed" },
        { W("reject"), "failed" },        { W("drop"), "failed" },
        { W("undeliv"), "failed" },
    };
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (bytes_search_nocase(value, words[i].word) >= 0)
            return words[i].action;
    return NULL;
}

static struct bytes words_of(struct bytes value, struct arena *a) {
    struct bytes line = clean_line(value, a);
    return bytes_starts_nocase(line, B("smtp;")) ? bytes_trim(bytes_skip(line, 5)) : line;
}

static void take_address(struct state *s, struct bytes value) {
    if (bytes_find(value, '@') <= 0)
        return;
    if (!s->now || s->now->address.len)
        s->now = saying_add(s->r, &s->r->fields);
    if (s->now)
        s->now->address = clean_address(value, s->r->arena);
}

static void take_text(struct state *s, struct bytes value) {
    struct bytes text = words_of(value, s->r->arena);
    if (!s->now)
        s->now = saying_add(s->r, &s->r->fields);
    if (s->now && extract_weight(text) > extract_weight(s->now->text))
        s->now->text = text;
}

static bool is_upper(char c) {
    return c >= 'A' && c <= 'Z';
}

/* "MailboxFull" -> "Mailbox Full". */
static struct bytes apart(struct bytes name, struct arena *a) {
    name = bytes_first(name, 100);
    struct buf b = buf_fixed(arena_alloc(a, 2 * name.len + 1), 2 * name.len + 1);
    for (size_t i = 0; i < name.len; i++) {
        if (i && is_upper(name.at[i]) && !is_upper(name.at[i - 1]))
            buf_char(&b, ' ');
        buf_char(&b, name.at[i]);
    }
    return clean_line(buf_bytes(&b), a);
}

static void take(struct state *s, enum key key, struct bytes value) {
    struct bounce *out = s->r->out;
    switch (key) {
    case ADDRESS:
        take_address(s, value);
        break;
    case TEXT:
        take_text(s, value);
        break;
    case KIND:
        if (!bytes_equal(value, B("General")) && !bytes_equal(value, B("Undetermined")))
            s->kind = apart(value, s->r->arena);
        break;
    case CODE:
        if (value.len == 3 && ascii_is_digit(value.at[0]))
            s->code = value;
        break;
    case STATUS:
        if (s->now)
            codes_status(value, &s->now->status);
        break;
    case ACTION:
        s->action = find_action(value) ? find_action(value) : s->action;
        break;
    case HOST:
        out->reporter = clean_host(value, s->r->arena);
        break;
    case SENDER:
        if (!out->sender.len && bytes_find(value, '@') > 0)
            out->sender = clean_address(value, s->r->arena);
        break;
    case SUBJECT:
        out->subject = clean_line(value, s->r->arena);
        break;
    case MESSAGE_ID:
        out->message_id = clean_line(value, s->r->arena);
        break;
    default:
        break;
    }
}

static void read_pairs(struct state *s, struct bytes text);

static bool is_json(struct bytes string) {
    return bytes_starts(string, B("{")) && bytes_search(bytes_first(string, 200), B("\\\"")) >= 0;
}

static void take_value(struct state *s, struct bytes key, struct bytes string) {
    if (is_json(string) && s->depth < 3) { /* SNS: the message is a string */
        s->depth++;
        read_pairs(s, unescape(string, s->r->arena));
        s->depth--;
        return;
    }
    take(s, find_key(key), unescape(string, s->r->arena));
}

/* A number, true, null: up to what ends it. */
static struct bytes bare_value(struct bytes text, size_t at) {
    size_t end = at;
    while (end < text.len && (ascii_is_alnum(text.at[end]) || text.at[end] == '.'))
        end++;
    return bytes_slice(text, at, end);
}

static void read_pairs(struct state *s, struct bytes text) {
    struct bytes key = BYTES_NONE;
    for (size_t at = 0; at < text.len;) {
        char c = text.at[at];
        if (c == '"') {
            struct bytes string = take_string(text, &at);
            bool value = key.len > 0;
            if (value)
                take_value(s, key, string);
            bool named = bytes_starts(bytes_trim(bytes_slice(text, at, at + 20)), B(":"));
            key = named && !value ? string : BYTES_NONE;
            continue;
        }
        struct bytes bare = key.len ? bare_value(text, at) : BYTES_NONE;
        if (bare.len) {
            take(s, find_key(key), bare);
            key = BYTES_NONE;
            at += bare.len;
            continue;
        }
        if (c == ',' || c == '{' || c == '[' || c == '}')
            key = BYTES_NONE;
        at++;
    }
}

/* A bounce of a service's: it speaks of a recipient, and of what happened to him. */
static bool is_report(struct bytes text) {
    static const struct bytes words[] = { W("bouncedRecipients"), W("notificationType"),
                                          W("\"bounce\""),        W("\\\"bounce\\\""),
                                          W("HardBounce"),        W("SoftBounce"),
                                          W("message_event"),     W("event-data"),
                                          W("hard_bounce"),       W("soft_bounce"),
                                          W("\"Bounce\""),        W("complainedRecipients"),
                                          W("delivery-status"),   W("\"dropped\"") };
    text = bytes_first(text, 16 * 1024);
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (bytes_search(text, words[i]) >= 0)
            return true;
    return false;
}

bool read_json(struct reading *r, struct bytes text) {
    text = bytes_first(bytes_trim(text), JSON_LIMIT);
    if (!text.len || (text.at[0] != '{' && text.at[0] != '[') || !is_report(text))
        return false;
    struct state s = { .r = r };
    read_pairs(&s, text);
    for (size_t i = 0; i < r->fields.count; i++) {
        struct saying *said = &r->fields.list[i];
        if (!said->action)
            said->action = s.action;
        if (!said->text.len)
            said->text = s.kind;
        if (s.code.len && r->fields.count == 1 && !codes_find(said->text).code)
            said->text = clean_line(
                arena_printf(r->arena, "%.*s %.*s", BYTES_FMT(s.code), BYTES_FMT(said->text)),
                r->arena);
    }
    r->out->format = "json";
    return r->fields.count > 0;
}
