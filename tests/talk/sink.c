/* sink: a server that takes mail by itself, as most of the world's do, with the refusals and gaps the
 * script gave it. It is written apart from src/smtp, so that the two do not share mistakes: it takes
 * CRLF alone for a line end and tells a bare CR or LF that it is sent. */
#include "base/must.h"
#include "login.h"
#include "talk.h"

#include <stdlib.h>
#include <string.h>

enum { STAGES = 10, HEARD_MAX = 64 * 1024 * 1024, RECIPIENTS_MAX = 2000 };

static const char *const stage_names[STAGES] = { "banner", "ehlo", "starttls", "auth", "mail",
                                                 "rcpt",   "data", "dot",      "rset", "bdat" };
enum stage { BANNER, EHLO, STARTTLS, AUTH, MAIL, RCPT, DATA, DOT, RSET, BDAT };

struct rule { /* a reply other than the usual one */
    struct list_node node;
    enum stage stage;
    struct bytes only; /* RCPT: for this mailbox; empty for all */
    struct bytes reply;
    unsigned times; /* 0: always */
    bool close, hang;
};

struct sink {
    struct world *world;
    struct bytes name;
    struct stream_listener *listener;
    struct list rules, messages, connections;
    size_t connected, chunks;
    struct tls_server *tls;
    bool lmtp, implicit;
    struct bytes login, password, mechanisms;
    struct buf keywords;
};

struct connection {
    struct list_node node;
    struct sink *sink;
    struct stream *stream;
    struct buf in;
    bool in_data, hung, secured, in_mail;
    bool in_chunk, last_chunk;
    uint64_t chunk_left;
    struct buf chunks; /* of the message, so far */
    struct bytes from, parameters, user;
    struct buf to;
    struct bytes accepted[RECIPIENTS_MAX]; /* mailboxes */
    size_t count, looked;                  /* looked: so far no end of the content */
    struct login *exchange;
};

static void handle(struct connection *c);

/* --- replies ----------------------------------------------------------------------------- */

static void reply(struct connection *c, const char *text) {
    struct buf b = buf_grow(4096);
    struct bytes rest = bytes_str(text), line;
    while (rest.len && bytes_split(&rest, '\n', &line)) {
        buf_add(&b, line);
        buf_str(&b, "\r\n");
    }
    if (c->stream)
        stream_write(c->stream, buf_bytes(&b));
    buf_free(&b);
}

static void hang_up(struct connection *c) {
    stream_close(&c->stream);
}

/* The script's reply for this stage, if there is one. True: it was a refusal or the end. */
static bool ruled(struct connection *c, enum stage stage, struct bytes mailbox) {
    LIST_EACH(&c->sink->rules, n) {
        struct rule *r = CONTAINER_OF(n, struct rule, node);
        if (r->stage != stage || (r->only.len && !bytes_equal_nocase(r->only, mailbox)))
            continue;
        if (r->times && --r->times == 0)
            list_remove(&c->sink->rules, n);
        if (r->hang)
            c->hung = true;
        if (r->reply.len)
            reply(c, arena_str(c->sink->world->arena, r->reply));
        if (r->close)
            hang_up(c);
        return true;
    }
    return false;
}

/* --- commands ---------------------------------------------------------------------------- */

static void reset(struct connection *c) {
    c->from = c->parameters = BYTES_NONE;
    buf_clear(&c->to);
    c->count = 0;
    c->in_data = c->in_mail = c->in_chunk = false;
    buf_clear(&c->chunks);
}

static void on_ehlo(struct connection *c, struct bytes line) {
    (void)line;
    if (ruled(c, EHLO, BYTES_NONE))
        return;
    struct buf b = buf_grow(4096);
    buf_printf(&b, "250-%.*s\n", BYTES_FMT(c->sink->name));
    struct bytes words = buf_bytes(&c->sink->keywords), word;
    while (words.len && bytes_split(&words, ' ', &word))
        if (word.len) { /* SIZE=1000 is said as "SIZE 1000" */
            struct bytes value = word, name;
            bytes_split(&value, '=', &name);
            buf_printf(&b, "250-%.*s%s%.*s\n", BYTES_FMT(name), value.len ? " " : "",
                       BYTES_FMT(value));
        }
    if (c->sink->tls && !c->secured)
        buf_str(&b, "250-STARTTLS\n");
    if (c->sink->login.len)
        buf_printf(&b, "250-AUTH %.*s\n", BYTES_FMT(c->sink->mechanisms));
    buf_str(&b, "250 ENHANCEDSTATUSCODES\n");
    reply(c, buf_text(&b));
    buf_free(&b);
    reset(c);
}

static void on_helo(struct connection *c, struct bytes line) {
    (void)line;
    reply(c, "250 hello");
    reset(c);
}

static void on_starttls(struct connection *c, struct bytes line) {
    (void)line;
    if (ruled(c, STARTTLS, BYTES_NONE))
        return;
    reply(c, "220 2.0.0 go ahead");
    buf_clear(&c->in);
    stream_start_tls_server(c->stream, c->sink->tls, false);
}

static void login_over(struct connection *c, bool right) {
    if (right)
        c->user = c->sink->login;
    reply(c, right ? "235 2.7.0 in" : "535 5.7.8 wrong");
    login_close(&c->exchange);
}

/* One line of the client's, in base64. */
static void login_line(struct connection *c, struct bytes line) {
    struct buf challenge = buf_grow(65536);
    buf_str(&challenge, "334 ");
    enum rc rc = login_step(c->exchange, line, &challenge);
    if (rc == MORE)
        reply(c, buf_text(&challenge));
    else
        login_over(c, rc == OK);
    buf_free(&challenge);
}

static void on_auth(struct connection *c, struct bytes line) {
    struct bytes verb, mechanism;
    if (ruled(c, AUTH, BYTES_NONE))
        return;
    bytes_split(&line, ' ', &verb);
    bytes_split(&line, ' ', &mechanism);
    c->exchange = login_open(mechanism, c->sink->login, c->sink->password);
    if (!c->exchange) {
        reply(c, "504 5.5.4 no such mechanism");
        return;
    }
    login_line(c, line);
}

static struct bytes between(struct bytes line) {
    ptrdiff_t from = bytes_find(line, '<'), to = bytes_find(line, '>');
    return from >= 0 && to > from ? bytes_slice(line, (size_t)from + 1, (size_t)to) : BYTES_NONE;
}

static void on_mail(struct connection *c, struct bytes line) {
    if (ruled(c, MAIL, BYTES_NONE))
        return;
    struct arena *a = c->sink->world->arena;
    c->from = arena_copy(a, between(line));
    ptrdiff_t end = bytes_find(line, '>');
    c->parameters = arena_copy(a, bytes_trim(bytes_skip(line, (size_t)end + 1)));
    c->in_mail = true;
    reply(c, "250 2.1.0 sender fine");
}

static void on_rcpt(struct connection *c, struct bytes line) {
    struct bytes mailbox = between(line);
    if (!c->in_mail) {
        reply(c, "503 5.5.1 MAIL first");
        return;
    }
    if (ruled(c, RCPT, mailbox))
        return;
    if (c->to.len)
        buf_char(&c->to, ' ');
    buf_add(&c->to, mailbox);
    ptrdiff_t end = bytes_find(line, '>');
    struct bytes parameters = bytes_trim(bytes_skip(line, (size_t)end + 1));
    if (parameters.len) {
        buf_char(&c->to, ' ');
        buf_add(&c->to, parameters);
    }
    MUST(c->count < RECIPIENTS_MAX);
    c->accepted[c->count++] = arena_copy(c->sink->world->arena, mailbox);
    reply(c, "250 2.1.5 recipient fine");
}

static void on_data(struct connection *c, struct bytes line) {
    (void)line;
    if (!c->count) {
        reply(c, "554 5.5.1 no valid recipients");
        return;
    }
    if (ruled(c, DATA, BYTES_NONE))
        return;
    c->in_data = true;
    reply(c, "354 go on");
}

/* A refused chunk's octets are commands, as they are to a server that knows no BDAT. */
static void on_bdat(struct connection *c, struct bytes line) {
    struct bytes words = line, verb, size;
    bytes_split(&words, ' ', &verb);
    bytes_split(&words, ' ', &size);
    if (ruled(c, BDAT, BYTES_NONE))
        return;
    c->sink->chunks++;
    MUST(bytes_to_u64(size, HEARD_MAX, &c->chunk_left));
    c->last_chunk = bytes_equal_nocase(words, B("LAST"));
    c->in_chunk = true;
}

static void on_rset(struct connection *c, struct bytes line) {
    (void)line;
    reset(c);
    reply(c, "250 2.0.0 forgotten");
}

static void on_quit(struct connection *c, struct bytes line) {
    (void)line;
    reply(c, "221 2.0.0 bye");
    hang_up(c);
}

static void on_noop(struct connection *c, struct bytes line) {
    (void)line;
    reply(c, "250 2.0.0 ok");
}

static const struct {
    const char *verb;
    void (*run)(struct connection *c, struct bytes line);
} verbs[] = {
    { "EHLO", on_ehlo }, { "LHLO", on_ehlo }, { "HELO", on_helo }, { "STARTTLS", on_starttls },
    { "AUTH", on_auth }, { "MAIL", on_mail }, { "RCPT", on_rcpt }, { "DATA", on_data },
    { "BDAT", on_bdat }, { "RSET", on_rset }, { "QUIT", on_quit }, { "NOOP", on_noop },
};

static void on_line(struct connection *c, struct bytes line) {
    for (size_t i = 0; i < COUNT_OF(verbs); i++)
        if (bytes_starts_nocase(line, bytes_str(verbs[i].verb))) {
            verbs[i].run(c, line);
            return;
        }
    reply(c, "500 5.5.1 what?");
}

/* --- content ----------------------------------------------------------------------------- */

static void take_content(struct connection *c, struct bytes stuffed, bool dots) {
    struct sink *s = c->sink;
    struct sink_message *m = ARENA_NEW(s->world->arena, struct sink_message);
    struct buf content = buf_grow(HEARD_MAX);
    struct bytes rest = stuffed, line;
    while (rest.len) { /* CRLF lines, one leading dot off */
        ptrdiff_t at = bytes_search(rest, B("\r\n"));
        size_t end = at < 0 ? rest.len : (size_t)at + 2;
        line = bytes_first(rest, end);
        buf_add(&content, dots && bytes_starts(line, B(".")) ? bytes_skip(line, 1) : line);
        rest = bytes_skip(rest, end);
    }
    m->from = c->from;
    m->parameters = c->parameters;
    m->content = arena_copy(s->world->arena, buf_bytes(&content));
    m->to = buf_grow(1 << 20);
    buf_add(&m->to, buf_bytes(&c->to));
    m->tls = c->secured;
    m->login = c->user;
    buf_free(&content);
    list_append(&s->messages, &m->node);
}

/* Of a bare CR or LF: nothing of ours may ever hold one. */
static bool is_strict(struct bytes data) {
    for (size_t i = 0; i < data.len; i++) {
        if (data.at[i] == '\n' && (i == 0 || data.at[i - 1] != '\r'))
            return false;
        if (data.at[i] == '\r' && i + 1 < data.len && data.at[i + 1] != '\n')
            return false;
    }
    return true;
}

static void content_over(struct connection *c, struct bytes content, bool dots) {
    if (!is_strict(content)) {
        reply(c, "554 5.6.0 BARE CR OR LF SENT");
        world_zone(c->sink->world, B("violation"), B("txt"), B("bare newline sent"));
    }
    size_t replies = c->sink->lmtp ? c->count : 1;
    bool taken = false;
    for (size_t i = 0; i < replies && c->stream && !c->hung; i++)
        if (!ruled(c, DOT, c->sink->lmtp ? c->accepted[i] : BYTES_NONE)) {
            if (!taken)
                take_content(c, content, dots);
            taken = true;
            reply(c, "250 2.0.0 taken");
        }
}

/* False: more of the chunk is to come. No chunk of ours ends between CR and LF. */
static bool end_of_chunk(struct connection *c) {
    size_t n = c->in.len < c->chunk_left ? c->in.len : (size_t)c->chunk_left;
    buf_add(&c->chunks, bytes_first(buf_bytes(&c->in), n));
    buf_drop(&c->in, n);
    c->chunk_left -= n;
    if (c->chunk_left)
        return false;
    struct bytes all = buf_bytes(&c->chunks);
    c->in_chunk = false;
    if (!c->last_chunk) {
        bool split = all.len && all.at[all.len - 1] == '\r';
        reply(c, split ? "554 5.6.0 CHUNK ENDS IN CR" : "250 2.0.0 chunk taken");
        return true;
    }
    content_over(c, all, false);
    reset(c);
    return true;
}

static bool end_of_content(struct connection *c) {
    struct bytes in = buf_bytes(&c->in);
    ptrdiff_t at = bytes_search(bytes_skip(in, c->looked), B("\r\n.\r\n"));
    bool empty = bytes_starts(in, B(".\r\n"));
    if (at < 0 && !empty) {
        c->looked = in.len < 4 ? 0 : in.len - 4;
        return false;
    }
    size_t length = empty ? 0 : c->looked + (size_t)at + 2;
    c->looked = 0;
    content_over(c, bytes_first(in, length), true);
    buf_drop(&c->in, length + 3);
    reset(c);
    return true;
}

/* --- connections ------------------------------------------------------------------------- */

static void handle(struct connection *c) {
    while (c->stream && !c->hung) {
        if (c->in_chunk) {
            if (!end_of_chunk(c))
                return;
            continue;
        }
        if (c->in_data) {
            if (!end_of_content(c))
                return;
            continue;
        }
        ptrdiff_t at = bytes_search(buf_bytes(&c->in), B("\r\n"));
        if (at < 0)
            return;
        struct bytes line =
            arena_copy(c->sink->world->arena, bytes_first(buf_bytes(&c->in), (size_t)at));
        buf_drop(&c->in, (size_t)at + 2);
        if (c->exchange)
            login_line(c, line);
        else
            on_line(c, line);
    }
}

static void on_read(void *ctx, struct bytes data) {
    struct connection *c = ctx;
    buf_add(&c->in, data);
    handle(c);
}

static void on_end(void *ctx, int error) {
    (void)error;
    struct connection *c = ctx;
    stream_close(&c->stream);
}

static void on_secured(void *ctx, enum rc rc, const struct tls_info *info, const struct why *why) {
    (void)info, (void)why;
    struct connection *c = ctx;
    if (rc != OK) {
        stream_close(&c->stream);
        return;
    }
    c->secured = true;
    reset(c);
    if (c->sink->implicit && !ruled(c, BANNER, BYTES_NONE))
        reply(c, "220 ready ESMTP");
}

static void on_accept(void *ctx, struct stream *stream) {
    static const struct stream_handler handler = { .on_read = on_read,
                                                   .on_end = on_end,
                                                   .on_secured = on_secured };
    struct sink *s = ctx;
    struct connection *c = calloc(1, sizeof(*c));
    MUST(c);
    c->sink = s;
    c->stream = stream;
    c->in = buf_grow(HEARD_MAX);
    c->to = buf_grow(1 << 20);
    c->chunks = buf_grow(HEARD_MAX);
    s->connected++;
    list_append(&s->connections, &c->node);
    stream_attach(stream, &handler, c);
    if (s->implicit) {
        stream_start_tls_server(stream, s->tls, false);
        return;
    }
    if (!ruled(c, BANNER, BYTES_NONE)) {
        struct buf b = buf_grow(512);
        buf_printf(&b, "220 %.*s ESMTP", BYTES_FMT(s->name));
        reply(c, buf_text(&b));
        buf_free(&b);
    }
}

/* --- options ----------------------------------------------------------------------------- */

/* STAGE="reply", STAGE(mailbox)="reply", with *N in front of "=" for the first N times only; the
 * reply "close" ends the connection, "hang" says nothing any more, "reply;close" both. */
static bool add_rule(struct sink *s, struct bytes key, struct bytes value) {
    struct rule *r = ARENA_NEW(s->world->arena, struct rule);
    ptrdiff_t star = bytes_find(key, '*');
    uint64_t times = 0;
    if (star >= 0) {
        if (!bytes_to_u64(bytes_skip(key, (size_t)star + 1), 1000000, &times))
            return false;
        key = bytes_first(key, (size_t)star);
    }
    ptrdiff_t open = bytes_find(key, '(');
    if (open >= 0) {
        r->only = arena_copy(s->world->arena, bytes_slice(key, (size_t)open + 1, key.len - 1));
        key = bytes_first(key, (size_t)open);
    }
    r->times = (unsigned)times;
    if (bytes_ends_nocase(value, B("close"))) {
        r->close = true;
        value = bytes_first(value, value.len - (value.len > 5 ? 6 : 5));
    } else if (bytes_equal(value, B("hang"))) {
        r->hang = true;
        value = BYTES_NONE;
    }
    /* "\n" in a reply parts its lines. */
    struct buf text = buf_grow(8192);
    for (size_t i = 0; i < value.len; i++) {
        bool line = value.at[i] == '\\' && i + 1 < value.len && value.at[i + 1] == 'n';
        buf_char(&text, line ? '\n' : value.at[i]);
        i += line;
    }
    r->reply = arena_copy(s->world->arena, buf_bytes(&text));
    buf_free(&text);
    for (int i = 0; i < STAGES; i++)
        if (bytes_equal(key, bytes_str(stage_names[i]))) {
            r->stage = (enum stage)i;
            list_append(&s->rules, &r->node);
            return true;
        }
    return false;
}

static bool take_option(struct sink *s, struct bytes word) {
    struct bytes key = word, value = BYTES_NONE;
    ptrdiff_t equals = bytes_find(word, '=');
    if (equals >= 0) {
        key = bytes_first(word, (size_t)equals);
        value = bytes_skip(word, (size_t)equals + 1);
        if (value.len >= 2 && value.at[0] == '"')
            value = bytes_slice(value, 1, value.len - 1);
    }
    struct arena *a = s->world->arena;
    if (bytes_equal(key, B("lmtp")))
        s->lmtp = true;
    else if (bytes_equal(key, B("keywords"))) {
        buf_clear(&s->keywords);
        buf_add(&s->keywords, value);
    } else if (bytes_equal(key, B("tls")) || bytes_equal(key, B("untrusted-tls")) ||
               bytes_equal(key, B("implicit-tls"))) {
        s->tls = world_pair(s->world, value.len ? value : s->name, key.at[0] != 'u');
        s->implicit = key.at[0] == 'i';
    } else if (bytes_equal(key, B("login"))) {
        struct bytes rest = arena_copy(a, value);
        bytes_split(&rest, ':', &s->login);
        s->password = rest;
    } else if (bytes_equal(key, B("mechanisms"))) {
        s->mechanisms = arena_copy(a, value);
    } else {
        return add_rule(s, key, value);
    }
    return true;
}

/* Words parted by blanks; a quoted value may hold blanks. */
static bool next_word(struct bytes *rest, struct bytes *out) {
    *rest = bytes_trim(*rest);
    if (!rest->len)
        return false;
    bool quoted = false;
    size_t i = 0;
    for (; i < rest->len && (quoted || rest->at[i] != ' '); i++)
        if (rest->at[i] == '"')
            quoted = !quoted;
    *out = bytes_first(*rest, i);
    *rest = bytes_skip(*rest, i);
    return true;
}

struct sink *sink_open(struct world *w, struct bytes name, struct addr at, struct bytes options,
                       const char **error_out) {
    struct sink *s = ARENA_NEW(w->arena, struct sink);
    s->world = w;
    s->name = arena_copy(w->arena, name);
    s->mechanisms = B("PLAIN");
    s->keywords = buf_grow(4096);
    buf_str(&s->keywords, "PIPELINING 8BITMIME SMTPUTF8 DSN SIZE");
    list_init(&s->rules);
    list_init(&s->messages);
    list_init(&s->connections);
    struct bytes word;
    while (next_word(&options, &word))
        if (!take_option(s, word)) {
            *error_out = arena_printf(w->arena, "sink option %.*s", BYTES_FMT(word)).at;
            return NULL;
        }
    s->listener = stream_listen(w->loop, sim_bind(at), on_accept, s);
    return s;
}

struct list *sink_messages(struct sink *s) {
    return &s->messages;
}

size_t sink_chunks(const struct sink *s) {
    return s->chunks;
}

size_t sink_connections(const struct sink *s) {
    return s->connected;
}

void sink_close(struct sink *s) {
    struct list_node *n;
    while ((n = list_pop(&s->connections))) {
        struct connection *c = CONTAINER_OF(n, struct connection, node);
        if (c->stream)
            stream_abort(&c->stream);
        login_close(&c->exchange);
        buf_free(&c->in);
        buf_free(&c->chunks);
        buf_free(&c->to);
        free(c);
    }
    while ((n = list_pop(&s->messages)))
        buf_free(&CONTAINER_OF(n, struct sink_message, node)->to);
    stream_listener_close(&s->listener);
    buf_free(&s->keywords);
}
