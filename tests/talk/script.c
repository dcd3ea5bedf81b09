/* script: reads a .talk file and runs it line by line (FORMAT.md). Stops at the first line that does
 * not hold, and shows it with all that was said. */
#include "base/must.h"
#include "base/num.h"
#include "sasl/sasl.h"
#include "sys/files.h"
#include "talk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 1 << 20, ACTORS_MAX = 64 };

struct sink_row {
    struct list_node node;
    struct bytes name;
    struct sink *sink;
};

struct script {
    const char *file;
    int line;
    struct world *world;
    struct arena *arena;
    struct bytes base;   /* the configuration of scripts that have none */
    struct bytes folder; /* of that file */
    struct bytes added;
    struct bytes config;
    bool configured, started, scram_refused;
    struct list actors, sinks;
    struct actor *actor; /* indented lines are its */
    struct sink_row *sink;
    char error[4096];
    struct bytes last_session, last_message; /* heard in replies */
    size_t sent;                             /* by "send" */
    struct bytes collecting; /* "config" or "config add" or "reload": indented lines are text */
    struct buf text;
};

/* --- failing ----------------------------------------------------------------------------- */

static bool fail(struct script *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool fail(struct script *s, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(s->error, sizeof(s->error), format, args);
    va_end(args);
    return false;
}

static void show(struct script *s) {
    printf("%s:%d: %s\n", s->file, s->line, s->error);
    LIST_EACH(&s->actors, n) {
        struct actor *a = CONTAINER_OF(n, struct actor, node);
        printf("--- %.*s%s\n%.*s", BYTES_FMT(a->name), a->ended ? " (ended)" : "",
               BYTES_FMT(buf_bytes(&a->transcript)));
        if (a->in.len)
            printf("   (not yet looked at) %.*s\n",
                   BYTES_FMT(bytes_first(buf_bytes(&a->in), 2000)));
    }
    printf("--- events\n");
    LIST_EACH(&s->world->events, n)
    printf("%.*s\n", BYTES_FMT(CONTAINER_OF(n, struct event_line, node)->line));
}

/* --- words ------------------------------------------------------------------------------- */

/* The next word; "quoted text" is one word, with its quotes taken off. */
static bool word(struct bytes *rest, struct bytes *out) {
    *rest = bytes_trim(*rest);
    if (!rest->len)
        return false;
    if (rest->at[0] == '"') {
        ptrdiff_t end = bytes_find(bytes_skip(*rest, 1), '"');
        size_t len = end < 0 ? rest->len - 1 : (size_t)end;
        *out = bytes_slice(*rest, 1, 1 + len);
        *rest = bytes_skip(*rest, len + 2);
        return true;
    }
    bool quoted = false;
    size_t i = 0;
    for (; i < rest->len && (quoted || rest->at[i] != ' '); i++)
        if (rest->at[i] == '"')
            quoted = !quoted;
    *out = bytes_first(*rest, i);
    *rest = bytes_skip(*rest, i);
    return true;
}

bool glob_match(struct bytes pattern, struct bytes text) {
    size_t p = 0, t = 0, star = SIZE_MAX, mark = 0;
    while (t < text.len) {
        if (p < pattern.len && pattern.at[p] == '*') {
            star = p++;
            mark = t;
        } else if (p < pattern.len && pattern.at[p] == text.at[t]) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++mark;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.at[p] == '*')
        p++;
    return p == pattern.len;
}

/* \r \n \0 \t \\ \xNN */
static void unescape(struct bytes text, struct buf *out) {
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] != '\\' || i + 1 == text.len) {
            buf_char(out, text.at[i]);
            continue;
        }
        char c = text.at[++i];
        if (c == 'x' && i + 2 < text.len) {
            char hex[3] = { text.at[i + 1], text.at[i + 2], 0 };
            buf_char(out, (char)strtoul(hex, NULL, 16));
            i += 2;
        } else {
            buf_char(out, c == 'r' ? '\r' : c == 'n' ? '\n' : c == 't' ? '\t' : c == '0' ? 0 : c);
        }
    }
}

/* --- waiting for something --------------------------------------------------------------- */

/* Lets the machine run, and time pass a little, until `done` holds. */
static bool until(struct script *s, bool (*done)(void *arg), void *arg) {
    struct loop *l = s->world->loop;
    int64_t end = loop_now(l) + PATIENCE_MS;
    for (;;) {
        sim_run(l);
        if (done(arg))
            return true;
        int64_t next = sim_next(l);
        if (next < 0 || loop_now(l) + next > end)
            return false;
        sim_advance(l, next);
    }
}

static bool start(struct script *s) {
    if (s->started)
        return true;
    const char *error = NULL;
    if (!s->configured) {
        struct bytes text = s->config.len ? s->config : s->base;
        text = arena_printf(s->arena, "%.*s\n%.*s", BYTES_FMT(text), BYTES_FMT(s->added));
        s->config = text;
        if (!world_configure(s->world, text, &error))
            return fail(s, "%s", error);
        s->configured = true;
    }
    s->started = true;
    return world_start(s->world, &error) || fail(s, "%s", error);
}

/* --- what actors do ---------------------------------------------------------------------- */

static bool has_line(void *arg) {
    struct actor *a = arg;
    return bytes_find(buf_bytes(&a->in), '\n') >= 0 || a->ended;
}

/* The session a refusal ends with, and the id a message got: $session and $message in events. */
static void note_ids(struct script *s, struct bytes line) {
    ptrdiff_t open = bytes_find_last(line, '[');
    ptrdiff_t queued = bytes_search(line, B("queued as "));
    if (open >= 0 && bytes_ends_nocase(line, B("]"))) {
        struct bytes tail = bytes_slice(line, (size_t)open + 1, line.len - 1);
        s->last_session = bytes_skip(tail, (size_t)(bytes_find_last(tail, ' ') + 1));
    }
    if (queued >= 0)
        s->last_message = bytes_skip(line, (size_t)queued + 10);
}

static struct bytes with_ids(struct script *s, struct bytes text) {
    const struct {
        struct bytes name, value;
    } ids[] = {
        { bytes_str("$session"), s->last_session },
        { bytes_str("$message"), s->last_message },
    };
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        ptrdiff_t at = bytes_search(text, ids[i].name);
        if (at >= 0)
            text = arena_printf(s->arena, "%.*s%.*s%.*s", BYTES_FMT(bytes_first(text, (size_t)at)),
                                BYTES_FMT(ids[i].value),
                                BYTES_FMT(bytes_skip(text, (size_t)at + ids[i].name.len)));
    }
    return text;
}

static bool next_line(struct script *s, struct actor *a, struct bytes *out) {
    if (!until(s, has_line, a))
        return fail(s, "%.*s: nothing was heard", BYTES_FMT(a->name));
    if (!actor_line(a, out))
        return fail(s, "%.*s: the connection ended", BYTES_FMT(a->name));
    buf_printf(&a->transcript, "  < %.*s\n", BYTES_FMT(*out));
    note_ids(s, *out);
    return true;
}

/* "... 250 *": what goes before the last line of a reply is passed over. */
static bool expect(struct script *s, struct bytes pattern) {
    struct bytes line;
    bool skip = bytes_starts(pattern, B("... "));
    if (skip)
        pattern = bytes_skip(pattern, 4);
    do
        if (!next_line(s, s->actor, &line))
            return false;
    while (skip && line.len > 3 && line.at[3] == '-');
    if (glob_match(pattern, line))
        return true;
    return fail(s, "expected: %.*s\n    heard: %.*s", BYTES_FMT(pattern), BYTES_FMT(line));
}

static bool is_ready(void *arg) {
    struct actor *a = arg;
    return a->stream || a->ended;
}

/* "<! PATTERN": one line is heard, and it is not like that. */
static bool expect_not(struct script *s, struct bytes pattern) {
    struct bytes line;
    if (!next_line(s, s->actor, &line))
        return false;
    return !glob_match(pattern, line) ||
           fail(s, "not expected: %.*s\n       heard: %.*s", BYTES_FMT(pattern), BYTES_FMT(line));
}

/* "<.. PATTERN": lines are passed over up to one that is like that: POP3's go on until a dot. */
static bool expect_among(struct script *s, struct bytes pattern) {
    struct bytes line;
    do
        if (!next_line(s, s->actor, &line))
            return fail(s, "never heard: %.*s", BYTES_FMT(pattern));
    while (!glob_match(pattern, line));
    return true;
}

static bool send_text(struct script *s, struct bytes text, bool line) {
    struct actor *a = s->actor;
    if (!until(s, is_ready, a) || !a->stream)
        return fail(s, "%.*s: not connected", BYTES_FMT(a->name));
    buf_printf(&a->transcript, "  > %.*s\n", BYTES_FMT(bytes_first(text, 300)));
    struct buf out = buf_grow(64 << 20);
    if (line) {
        buf_add(&out, text);
        buf_str(&out, "\r\n");
    } else {
        unescape(text, &out);
    }
    actor_send(a, buf_bytes(&out));
    buf_free(&out);
    return true;
}

static bool do_line(struct script *s, struct bytes rest) {
    return send_text(s, rest, true);
}
static bool do_raw(struct script *s, struct bytes rest) {
    return send_text(s, rest, false);
}

/* "slow TEXT": the same as raw, each octet by itself. */
static bool do_slow(struct script *s, struct bytes rest) {
    struct actor *a = s->actor;
    if (!until(s, is_ready, a) || !a->stream)
        return fail(s, "%.*s: not connected", BYTES_FMT(a->name));
    buf_printf(&a->transcript, "  > %.*s\n", BYTES_FMT(bytes_first(rest, 300)));
    struct buf out = buf_grow(1 << 20);
    unescape(rest, &out);
    for (size_t i = 0; i < out.len; i++) {
        actor_send(a, bytes_of(out.at + i, 1));
        sim_run(s->world->loop);
    }
    buf_free(&out);
    return true;
}

static bool has_ended(void *arg) {
    return ((struct actor *)arg)->ended;
}

static bool do_eof(struct script *s, struct bytes rest) {
    (void)rest;
    if (!until(s, has_ended, s->actor))
        return fail(s, "the connection did not end");
    struct bytes line;
    if (actor_line(s->actor, &line))
        return fail(s, "before the end this was heard: %.*s", BYTES_FMT(line));
    return true;
}

static bool do_silence(struct script *s, struct bytes rest) {
    (void)rest;
    sim_run(s->world->loop);
    struct bytes line;
    if (actor_line(s->actor, &line))
        return fail(s, "heard, where silence was expected: %.*s", BYTES_FMT(line));
    return true;
}

static bool do_close(struct script *s, struct bytes rest) {
    (void)rest;
    actor_close(s->actor, false);
    sim_run(s->world->loop);
    return true;
}

static bool do_abort(struct script *s, struct bytes rest) {
    (void)rest;
    actor_close(s->actor, true);
    sim_run(s->world->loop);
    return true;
}

static bool is_decided(void *arg) {
    struct actor *a = arg;
    return a->secured || a->secure_failed || a->ended;
}

/* A client that shows a certificate: FILE holds it and its key, and lies where base.conf does. */
static bool tls_as(struct script *s, struct bytes file) {
    struct tls_want want = { .name = s->world->config->hostname };
    struct bytes path =
        arena_printf(s->arena, "%.*s/%.*s", BYTES_FMT(s->folder), BYTES_FMT(bytes_trim(file)));
    struct tls_pair pair = { BYTES_NONE, path, path };
    struct tls_client *t = NULL;
    struct why why;
    bool ok = tls_client_open(path, &t, &why) == OK && tls_client_show(t, &pair, &why) == OK;
    if (ok)
        stream_start_tls_client(s->actor->stream, t, &want);
    tls_client_close(&t); /* the stream keeps it */
    return ok || fail(s, "%s", why.text);
}

/* "tls", "tls fails", "tls as FILE", "tls behind TEXT": both in one packet; a scripted server takes the part of a server. */
static bool do_tls(struct script *s, struct bytes rest) {
    struct actor *a = s->actor;
    if (!until(s, is_ready, a) || !a->stream)
        return fail(s, "%.*s: not connected", BYTES_FMT(a->name));
    if (bytes_starts(rest, B("behind ")) && !do_raw(s, bytes_skip(rest, 7)))
        return false;
    if (a->listener) {
        if (!a->tls)
            a->tls = world_pair(s->world, a->name, false);
        stream_start_tls_server(a->stream, a->tls, false);
    } else if (bytes_starts(rest, B("as "))) {
        if (!tls_as(s, bytes_skip(rest, 3)))
            return false;
    } else {
        struct tls_want want = { .name = s->world->config->hostname };
        stream_start_tls_client(a->stream, s->world->tls, &want);
    }
    if (!until(s, is_decided, a))
        return fail(s, "the TLS handshake came to no end");
    bool fails = bytes_equal(bytes_trim(rest), B("fails"));
    if (a->secured == fails)
        return fail(s, "the TLS handshake %s", fails ? "worked" : "failed");
    return true;
}

/* "repeat N > TEXT", "repeat N < PATTERN": %d in it becomes 1 to N. */
static bool actor_line_of(struct script *s, struct bytes line);

static bool do_repeat(struct script *s, struct bytes rest) {
    struct bytes number;
    uint64_t n;
    if (!word(&rest, &number) || !bytes_to_u64(number, 100000, &n))
        return fail(s, "repeat: how often?");
    ptrdiff_t at = bytes_search(rest, B("%d"));
    rest = bytes_trim(rest);
    for (uint64_t i = 1; i <= n; i++) {
        struct buf line = buf_grow(1 << 20);
        at = bytes_search(rest, B("%d"));
        buf_add(&line, at < 0 ? rest : bytes_first(rest, (size_t)at));
        if (at >= 0) {
            buf_u64(&line, i);
            buf_add(&line, bytes_skip(rest, (size_t)at + 2));
        }
        bool ok = actor_line_of(s, buf_bytes(&line));
        buf_free(&line);
        if (!ok)
            return false;
    }
    return true;
}

/* "fill N": N octets of lines. */
static bool do_fill(struct script *s, struct bytes rest) {
    uint64_t n;
    if (!bytes_to_u64(bytes_trim(rest), 512 << 20, &n))
        return fail(s, "fill: how many octets?");
    static const char line[] =
        "An ordinary line of a long message, seventy-six octets and CRLF\r\n";
    struct buf out = buf_grow(1 << 20);
    while (n > 0) {
        buf_clear(&out);
        while (n > 0 && out.len < 512 * 1024) {
            size_t len = n < sizeof(line) - 1 ? (size_t)n : sizeof(line) - 1;
            buf_add(&out, len == sizeof(line) - 1 ? B("An ordinary line of a long message, "
                                                      "seventy-six octets and CRLF\r\n")
                                                  : bytes_of("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                                                             "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
                                                             len));
            n -= len;
        }
        actor_send(s->actor, buf_bytes(&out));
        sim_run(s->world->loop);
    }
    buf_free(&out);
    return true;
}

/* "stuff N": N octets without a line end. */
static bool do_stuff(struct script *s, struct bytes rest) {
    uint64_t n;
    if (!bytes_to_u64(bytes_trim(rest), 16 << 20, &n))
        return fail(s, "stuff: how many octets?");
    struct buf out = buf_grow(16 << 20);
    while (out.len < n)
        buf_char(&out, 'x');
    if (!until(s, is_ready, s->actor) || !s->actor->stream)
        return fail(s, "not connected");
    actor_send(s->actor, buf_bytes(&out));
    sim_run(s->world->loop);
    buf_free(&out);
    return true;
}

static void base64_of(struct buf *out, const char *format_first, struct bytes user,
                      struct bytes password) {
    struct buf plain = buf_grow(4096);
    (void)format_first;
    buf_char(&plain, 0);
    buf_add(&plain, user);
    buf_char(&plain, 0);
    buf_add(&plain, password);
    buf_base64(out, buf_bytes(&plain));
    buf_free(&plain);
}

/* "plain USER PASSWORD": sends AUTH PLAIN with an initial response. */
static bool do_plain(struct script *s, struct bytes rest) {
    struct bytes user, password;
    if (!word(&rest, &user) || !word(&rest, &password))
        return fail(s, "plain USER PASSWORD");
    struct buf line = buf_grow(8192);
    buf_str(&line, "AUTH PLAIN ");
    base64_of(&line, "", user, password);
    bool ok = send_text(s, buf_bytes(&line), true);
    buf_free(&line);
    return ok;
}

/* "b64 TEXT": sends TEXT (with escapes) in base64. */
static bool do_b64(struct script *s, struct bytes rest) {
    struct buf raw = buf_grow(65536), line = buf_grow(65536);
    unescape(rest, &raw);
    buf_base64(&line, buf_bytes(&raw));
    bool ok = send_text(s, buf_bytes(&line), true);
    buf_free(&raw);
    buf_free(&line);
    return ok;
}

/* One step of SCRAM: takes the server's 334 and sends what the client side says to it. */
static bool scram_round(struct script *s, struct sasl_client *c, bool *over) {
    struct bytes line, response;
    struct why why;
    if (!next_line(s, s->actor, &line))
        return false;
    if (bytes_starts(line, B("235")) || bytes_starts(line, B("5"))) {
        *over = true;
        if (bytes_starts(line, B("235")) && sasl_client_finish(c, &why) != OK)
            return fail(s, "the server did not prove itself: %s", why.text);
        if (s->scram_refused)
            return bytes_starts(line, B("535")) || fail(s, "not 535: %.*s", BYTES_FMT(line));
        return bytes_starts(line, B("235")) || fail(s, "login refused: %.*s", BYTES_FMT(line));
    }
    struct buf challenge = buf_grow(65536), out = buf_grow(65536);
    bool ok = bytes_starts(line, B("334 ")) && buf_unbase64(&challenge, bytes_skip(line, 4));
    if (!ok)
        return fail(s, "no challenge: %.*s", BYTES_FMT(line));
    if (sasl_client_step(c, buf_bytes(&challenge), &response, &why) != OK)
        return fail(s, "%s", why.text);
    buf_base64(&out, response);
    ok = send_text(s, buf_bytes(&out), true);
    buf_free(&challenge);
    buf_free(&out);
    return ok;
}

/* "scram MECHANISM USER PASSWORD": the whole exchange, to 235. */
static bool do_scram(struct script *s, struct bytes rest) {
    struct bytes mechanism, user, password, initial;
    struct sasl_client *c;
    struct why why;
    if (!word(&rest, &mechanism) || !word(&rest, &user) || !word(&rest, &password))
        return fail(s, "scram MECHANISM USER PASSWORD");
    s->scram_refused = bytes_equal(bytes_trim(rest), B("refused"));
    const struct tls_info *tls = s->actor->stream ? stream_tls(s->actor->stream) : NULL;
    struct sasl_client_setup setup = {
        .mechanisms = mechanism,
        .user = user,
        .password = password,
        .service = B("smtp"),
        .host = s->world->config->hostname,
        .tls = tls != NULL,
        .plaintext_allowed = true,
        .cb_exporter = tls ? tls->exporter : BYTES_NONE,
        .cb_unique = tls ? tls->unique : BYTES_NONE,
    };
    if (sasl_client_open(s->arena, &setup, &c, &why) != OK)
        return fail(s, "%s", why.text);
    struct buf line = buf_grow(65536);
    buf_printf(&line, "AUTH %.*s", BYTES_FMT(sasl_client_mechanism(c)));
    if (sasl_client_initial(c, &initial)) {
        buf_char(&line, ' ');
        buf_base64(&line, initial);
    }
    bool ok = send_text(s, buf_bytes(&line), true), over = false;
    buf_free(&line);
    for (int i = 0; ok && !over && i < 5; i++)
        ok = scram_round(s, c, &over);
    return ok;
}

static bool is_accepted(void *arg) {
    return ((struct actor *)arg)->waiting;
}

/* "accept": a scripted server waits for a connection. */
static bool do_accept(struct script *s, struct bytes rest) {
    (void)rest;
    if (!until(s, is_accepted, s->actor))
        return fail(s, "nobody connected to %.*s", BYTES_FMT(s->actor->name));
    s->actor->waiting = false;
    return true;
}

static const struct {
    const char *word;
    bool (*run)(struct script *s, struct bytes rest);
} actor_words[] = {
    { "<", expect },         { ">", do_line },          { "raw", do_raw },
    { "eof", do_eof },       { "close", do_close },     { "abort", do_abort },
    { "tls", do_tls },       { "repeat", do_repeat },   { "fill", do_fill },
    { "plain", do_plain },   { "b64", do_b64 },         { "scram", do_scram },
    { "accept", do_accept }, { "silence", do_silence }, { "<!", expect_not },
    { "slow", do_slow },     { "stuff", do_stuff },     { "<..", expect_among },
};

static bool actor_line_of(struct script *s, struct bytes line) {
    if (!s->actor)
        return fail(s, "who says this? A client or server must be named first");
    struct bytes verb = bytes_first(line, 0), rest = line;
    ptrdiff_t blank = bytes_find(line, ' ');
    verb = blank < 0 ? line : bytes_first(line, (size_t)blank);
    /* One blank parts the word from the text: the text may begin with blanks of its own. */
    rest = blank < 0 ? B("") : bytes_skip(line, (size_t)blank + 1);
    for (size_t i = 0; i < COUNT_OF(actor_words); i++)
        if (bytes_equal(verb, bytes_str(actor_words[i].word)))
            return actor_words[i].run(s, rest);
    return fail(s, "not known: %.*s", BYTES_FMT(verb));
}

/* --- what sinks got ---------------------------------------------------------------------- */

static bool text_fits(struct bytes pattern, struct bytes text);

struct wanted {
    struct script *script;
    struct sink_row *row;
    uint64_t count;
    struct bytes from, to, text, parameters, login;
    bool any, tls, plain;
};

static bool message_fits(const struct wanted *w, const struct sink_message *m) {
    return (!w->from.at || glob_match(w->from, m->from)) &&
           (!w->to.at || glob_match(w->to, buf_bytes(&m->to))) &&
           (!w->text.at || text_fits(w->text, m->content)) &&
           (!w->parameters.at || glob_match(w->parameters, m->parameters)) &&
           (!w->login.at || glob_match(w->login, m->login)) && (!w->tls || m->tls) &&
           (!w->plain || !m->tls);
}

static bool sink_satisfied(void *arg) {
    struct wanted *w = arg;
    struct list *messages = sink_messages(w->row->sink);
    if (!w->any)
        return messages->count == w->count;
    LIST_EACH(messages, n)
    if (message_fits(w, CONTAINER_OF(n, struct sink_message, node)))
        return true;
    return false;
}

static void show_messages(struct sink_row *row) {
    LIST_EACH(sink_messages(row->sink), n) {
        struct sink_message *m = CONTAINER_OF(n, struct sink_message, node);
        printf("--- %.*s got from <%.*s> (%.*s) to %.*s%s\n%.*s\n", BYTES_FMT(row->name),
               BYTES_FMT(m->from), BYTES_FMT(m->parameters), BYTES_FMT(buf_bytes(&m->to)),
               m->tls ? " over TLS" : "", BYTES_FMT(bytes_first(m->content, 6000)));
    }
}

/* "got N", or "got from=PATTERN to=PATTERN text=PATTERN parameters=PATTERN login=PATTERN tls plain" */
static bool read_wanted(struct script *s, struct bytes rest, struct wanted *out) {
    struct wanted w = { .script = s, .row = s->sink };
    struct bytes part;
    w.any = !bytes_to_u64(bytes_trim(rest), 1000000, &w.count);
    while (w.any && word(&rest, &part)) {
        ptrdiff_t equals = bytes_find(part, '=');
        struct bytes key = equals < 0 ? part : bytes_first(part, (size_t)equals);
        struct bytes value = equals < 0 ? BYTES_NONE : bytes_skip(part, (size_t)equals + 1);
        if (value.len >= 2 && value.at[0] == '"')
            value = bytes_slice(value, 1, value.len - 1);
        if (equals >= 0 && !value.at)
            value = B("");
        if (bytes_equal(key, B("from")))
            w.from = value;
        else if (bytes_equal(key, B("to")))
            w.to = value;
        else if (bytes_equal(key, B("text")))
            w.text = value;
        else if (bytes_equal(key, B("parameters")))
            w.parameters = value;
        else if (bytes_equal(key, B("login")))
            w.login = value;
        else if (bytes_equal(key, B("tls")))
            w.tls = true;
        else if (bytes_equal(key, B("plain")))
            w.plain = true;
        else
            return fail(s, "got: not known: %.*s", BYTES_FMT(key));
    }
    *out = w;
    return true;
}

static bool sink_has(struct script *s, struct bytes rest) {
    struct wanted w;
    return !read_wanted(s, rest, &w) || sink_satisfied(&w);
}

static bool sink_got(struct script *s, struct bytes rest) {
    struct wanted w;
    if (!read_wanted(s, rest, &w))
        return false;
    if (until(s, sink_satisfied, &w))
        return true;
    show_messages(s->sink);
    return fail(s, "%.*s got %zu message(s), not that", BYTES_FMT(s->sink->name),
                sink_messages(s->sink->sink)->count);
}

static bool sink_line(struct script *s, struct bytes line) {
    struct bytes verb;
    if (!word(&line, &verb))
        return true;
    uint64_t n;
    if (bytes_equal(verb, B("got")))
        return sink_got(s, line);
    if (bytes_equal(verb, B("got-not"))) {
        sim_run(s->world->loop);
        return !sink_has(s, line) || fail(s, "it got that");
    }
    if (bytes_equal(verb, B("connections")) && bytes_to_u64(bytes_trim(line), 1000000, &n)) {
        sim_run(s->world->loop);
        return sink_connections(s->sink->sink) == n ||
               fail(s, "%zu connections", sink_connections(s->sink->sink));
    }
    if (bytes_equal(verb, B("chunks")) && bytes_to_u64(bytes_trim(line), 1000000, &n)) {
        sim_run(s->world->loop);
        return sink_chunks(s->sink->sink) == n || fail(s, "%zu chunks", sink_chunks(s->sink->sink));
    }
    return fail(s, "a sink has \"got\" and \"connections\"");
}

/* --- the world --------------------------------------------------------------------------- */

static bool parse_at(struct script *s, struct bytes *rest, struct addr *out) {
    struct bytes at, text;
    if (!word(rest, &at) || !bytes_equal(at, B("at")) || !word(rest, &text) ||
        !addr_parse_port(text, out))
        return fail(s, "expected: at ADDRESS:PORT");
    return true;
}

static bool run_user(struct script *s, struct bytes rest) {
    struct bytes login, password;
    const char *error;
    if (!word(&rest, &login) || !word(&rest, &password))
        return fail(s, "user LOGIN PASSWORD");
    return world_user(s->world, login, password, &error) || fail(s, "%s", error);
}

static bool change_people(struct script *s, const char *what, struct bytes a, struct bytes b,
                          struct bytes c) {
    const struct bytes arg[3] = { a, b, c };
    const char *error;
    return world_people(s->world, what, arg, &error) || fail(s, "%s", error);
}

/* group ADDRESS MEMBER ... */
static bool run_group(struct script *s, struct bytes rest) {
    struct bytes group, member;
    if (!word(&rest, &group))
        return fail(s, "group ADDRESS MEMBER ...");
    bool ok = change_people(s, "group", group, BYTES_NONE, BYTES_NONE);
    while (ok && word(&rest, &member))
        ok = change_people(s, "member", group, member, BYTES_NONE);
    return ok;
}

/* group-set ADDRESS SETTING VALUE ... */
static bool run_group_set(struct script *s, struct bytes rest) {
    struct bytes group, name, setting;
    bool ok = word(&rest, &group);
    while (ok && word(&rest, &name))
        ok = word(&rest, &setting) && change_people(s, "group-set", group, name, setting);
    return ok;
}

/* no-member ADDRESS MEMBER */
static bool run_no_member(struct script *s, struct bytes rest) {
    struct bytes group, member;
    return word(&rest, &group) && word(&rest, &member) &&
           change_people(s, "member", group, member, B("remove"));
}

/* forward LOGIN [TARGET [keep]] */
static bool run_forward(struct script *s, struct bytes rest) {
    struct bytes login, target = BYTES_NONE, keep = BYTES_NONE;
    if (!word(&rest, &login))
        return fail(s, "forward LOGIN [TARGET [keep]]");
    if (word(&rest, &target))
        word(&rest, &keep);
    return change_people(s, "forward", login, target, keep);
}

/* vacation LOGIN [TEXT [SUBJECT]] */
static bool run_vacation(struct script *s, struct bytes rest) {
    struct bytes login, text = BYTES_NONE, subject = BYTES_NONE;
    if (!word(&rest, &login))
        return fail(s, "vacation LOGIN [TEXT [SUBJECT]]");
    if (word(&rest, &text))
        word(&rest, &subject);
    return change_people(s, "vacation", login, text, subject);
}

static bool run_alias(struct script *s, struct bytes rest) {
    struct bytes address, target;
    const char *error;
    if (!word(&rest, &address))
        return fail(s, "alias ADDRESS TARGET ...");
    bool refused = bytes_equal(address, B("refused"));
    if (refused && !word(&rest, &address))
        return fail(s, "alias refused ADDRESS TARGET");
    while (word(&rest, &target))
        if (world_alias(s->world, address, target, &error) == refused)
            return fail(s, "%s", refused ? "the alias was taken" : error);
    return true;
}

static bool run_allow(struct script *s, struct bytes rest) {
    struct bytes login, pattern;
    const char *error;
    if (!word(&rest, &login) || !word(&rest, &pattern))
        return fail(s, "allow-sender LOGIN PATTERN");
    return world_allow_sender(s->world, login, pattern, &error) || fail(s, "%s", error);
}

static bool run_disable(struct script *s, struct bytes rest) {
    struct bytes login;
    const char *error;
    if (!word(&rest, &login))
        return fail(s, "disable LOGIN");
    return world_disable(s->world, login, &error) || fail(s, "%s", error);
}

static bool run_passwd(struct script *s, struct bytes rest) {
    struct bytes login, password;
    const char *error;
    if (!word(&rest, &login) || !word(&rest, &password))
        return fail(s, "passwd LOGIN PASSWORD");
    return world_passwd(s->world, login, password, &error) || fail(s, "%s", error);
}

static bool run_zone(struct script *s, struct bytes rest) {
    struct bytes name, type;
    if (!word(&rest, &name) || !word(&rest, &type))
        return fail(s, "zone NAME TYPE VALUE");
    world_zone(s->world, name, type, bytes_trim(rest));
    return true;
}

static bool run_sink(struct script *s, struct bytes rest) {
    struct bytes name;
    struct addr at;
    const char *error = NULL;
    if (!word(&rest, &name) || !parse_at(s, &rest, &at))
        return s->error[0] ? false : fail(s, "sink NAME at ADDRESS:PORT options");
    struct sink_row *row = ARENA_NEW(s->arena, struct sink_row);
    row->name = arena_copy(s->arena, name);
    row->sink = sink_open(s->world, name, at, rest, &error);
    if (!row->sink)
        return fail(s, "%s", error);
    list_append(&s->sinks, &row->node);
    s->sink = row;
    s->actor = NULL;
    return true;
}

static bool run_server(struct script *s, struct bytes rest) {
    struct bytes name;
    struct addr at;
    if (!word(&rest, &name) || !parse_at(s, &rest, &at))
        return s->error[0] ? false : fail(s, "server NAME at ADDRESS:PORT");
    bool trusted = bytes_equal(bytes_trim(rest), B("trusted"));
    s->actor = actor_server(s->world, name, at, trusted ? world_pair(s->world, name, true) : NULL);
    s->sink = NULL;
    list_append(&s->actors, &s->actor->node);
    return true;
}

static struct addr first_address(struct script *s, struct bytes listener) {
    const struct config *c = s->world->config;
    for (size_t i = 0; i < c->listener_count; i++)
        if (c->listeners[i].address_count &&
            (!listener.len || bytes_equal(c->listeners[i].name, listener)))
            return c->listeners[i].addresses[0];
    return (struct addr){ 0 };
}

static struct actor *find_actor(struct script *s, struct bytes name) {
    LIST_EACH(&s->actors, n) {
        struct actor *a = CONTAINER_OF(n, struct actor, node);
        if (bytes_equal(a->name, name))
            return a;
    }
    return NULL;
}

/* "client [NAME] [from ADDRESS [to LISTENER]]" */
static bool run_client(struct script *s, struct bytes rest) {
    struct bytes name = B("client"), part, from = BYTES_NONE, to = BYTES_NONE, user = BYTES_NONE;
    while (word(&rest, &part)) {
        if (bytes_equal(part, B("local")))
            word(&rest, &user);
        else if (bytes_equal(part, B("from")))
            word(&rest, &from);
        else if (bytes_equal(part, B("to")))
            word(&rest, &to);
        else
            name = part;
    }
    s->sink = NULL;
    if (!from.len && !user.len) {
        s->actor = find_actor(s, name);
        return s->actor || fail(s, "no such client: %.*s", BYTES_FMT(name));
    }
    if (!start(s))
        return false;
    struct addr source, target = user.len ? world_local_door(s->world, user) : first_address(s, to);
    if (!addr_parse(user.len ? B("127.0.0.1") : from, &source) || !target.family)
        return fail(s, "client from ADDRESS to LISTENER, or client local USER");
    struct actor *old = find_actor(s, name);
    if (old) {
        list_remove(&s->actors, &old->node);
        actor_free(old);
    }
    s->actor = actor_client(s->world, name, source, target);
    list_append(&s->actors, &s->actor->node);
    return true;
}

/* --- a whole submission in one line ------------------------------------------------------ */

struct sending {
    struct bytes from, to, by, mail, rcpt, subject, head, text;
    uint64_t size;
};

static bool read_sending(struct script *s, struct bytes rest, struct sending *out) {
    struct bytes part, size = BYTES_NONE;
    *out = (struct sending){ .from = B("anna@proseware.com"),
                             .by = B("192.0.2.80"),
                             .subject = B("The order"),
                             .head = B("To: someone\\r\\n"),
                             .text = B("Hello Bob") };
    const struct {
        const char *key;
        struct bytes *value;
    } keys[] = {
        { "from", &out->from }, { "to", &out->to },     { "by", &out->by },
        { "mail", &out->mail }, { "rcpt", &out->rcpt }, { "subject", &out->subject },
        { "text", &out->text }, { "head", &out->head }, { "size", &size },
    };
    while (word(&rest, &part)) {
        struct bytes key;
        bool known = false;
        bytes_split(&part, '=', &key);
        if (part.len >= 2 && part.at[0] == '"')
            part = bytes_slice(part, 1, part.len - 1);
        for (size_t i = 0; i < COUNT_OF(keys) && !known; i++)
            if ((known = bytes_equal(key, bytes_str(keys[i].key))))
                *keys[i].value = part;
        if (!known)
            return fail(s, "send: not known: %.*s", BYTES_FMT(key));
    }
    if (bytes_equal(out->from, B("<>")))
        out->from = B("");
    return !size.len || bytes_to_u64(size, 64 << 20, &out->size) || fail(s, "send: what size?");
}

/* Says a line, if there is one, and expects the reply. */
static bool say(struct script *s, struct bytes line, struct bytes reply) {
    return (!line.len || send_text(s, line, true)) && expect(s, reply);
}

static bool send_recipients(struct script *s, const struct sending *m) {
    struct bytes to = m->to, mailbox;
    while (word(&to, &mailbox)) {
        /* b1..1000@x: a thousand of them */
        ptrdiff_t dots = bytes_search(mailbox, B("1..")), at = bytes_find(mailbox, '@');
        uint64_t last = 1;
        if (dots > 0 && at > dots &&
            !bytes_to_u64(bytes_slice(mailbox, (size_t)dots + 3, (size_t)at), 100000, &last))
            return fail(s, "send to whom?");
        for (uint64_t i = 1; i <= last; i++) {
            char line[600], number[24] = "";
            struct buf b = buf_fixed(line, sizeof(line));
            struct bytes front = dots > 0 ? bytes_first(mailbox, (size_t)dots) : mailbox;
            snprintf(number, sizeof(number), "%llu", (unsigned long long)i);
            buf_printf(&b, "RCPT TO:<%.*s%s%.*s>%s%.*s", BYTES_FMT(front), dots > 0 ? number : "",
                       BYTES_FMT(dots > 0 ? bytes_skip(mailbox, (size_t)at) : B("")),
                       m->rcpt.len ? " " : "", BYTES_FMT(m->rcpt));
            if (!say(s, buf_bytes(&b), B("250 *")))
                return false;
        }
    }
    return true;
}

static bool send_content(struct script *s, const struct sending *m) {
    struct buf b = buf_grow(1 << 20), text = buf_grow(1 << 20), head = buf_grow(1 << 16);
    unescape(m->text, &text);
    unescape(m->head, &head);
    buf_printf(&b, "From: <%.*s>\r\n%.*sSubject: %.*s\r\nMessage-ID: <m%zu@pc>\r\n\r\n%.*s",
               BYTES_FMT(m->from.len ? m->from : B("mailer-daemon@proseware.com")),
               BYTES_FMT(buf_bytes(&head)), BYTES_FMT(m->subject), s->sent++,
               BYTES_FMT(buf_bytes(&text)));
    bool ok = say(s, B("DATA"), B("354 *")) && send_text(s, buf_bytes(&b), true);
    buf_free(&text);
    buf_free(&head);
    buf_clear(&b);
    buf_u64(&b, m->size);
    ok = ok && (!m->size || do_fill(s, buf_bytes(&b))) && (!m->size || send_text(s, B(""), true)) &&
         say(s, B("."), B("250 2.0.0 Ok: queued as *"));
    buf_free(&b);
    return ok;
}

/* "send to="B C" from=A by=ADDRESS mail="PARAMETERS" rcpt="PARAMETERS" ...": hands a message in. */
static bool run_send(struct script *s, struct bytes rest) {
    struct sending m;
    if (!read_sending(s, rest, &m))
        return false;
    char line[700];
    struct buf b = buf_fixed(line, sizeof(line));
    buf_printf(&b, "sender from %.*s", BYTES_FMT(m.by));
    if (!run_client(s, buf_bytes(&b)))
        return false;
    buf_clear(&b);
    buf_printf(&b, "MAIL FROM:<%.*s>%s%.*s", BYTES_FMT(m.from), m.mail.len ? " " : "",
               BYTES_FMT(m.mail));
    bool ok = say(s, BYTES_NONE, B("220 *")) &&
              say(s, B("EHLO pc.proseware.com"), B("... 250 *")) &&
              say(s, buf_bytes(&b), B("250 *")) && send_recipients(s, &m) && send_content(s, &m) &&
              say(s, B("QUIT"), B("221 *"));
    return ok && do_close(s, BYTES_NONE);
}

static bool run_wait(struct script *s, struct bytes rest) {
    int64_t ms;
    if (!num_parse_duration(bytes_trim(rest), &ms))
        return fail(s, "wait how long?");
    if (!start(s))
        return false;
    sim_advance(s->world->loop, ms);
    return true;
}

static bool run_jump(struct script *s, struct bytes rest) {
    int64_t ms;
    rest = bytes_trim(rest);
    bool back = bytes_starts(rest, B("-"));
    if (!num_parse_duration(back ? bytes_skip(rest, 1) : rest, &ms))
        return fail(s, "jump how far?");
    sim_jump(s->world->loop, back ? -ms : ms);
    return true;
}

struct spool_wanted {
    struct world *world;
    uint64_t count;
};

static bool spool_has(void *arg) {
    struct spool_wanted *w = arg;
    return world_waiting(w->world) == w->count;
}

static bool run_spool(struct script *s, struct bytes rest) {
    struct spool_wanted w = { s->world, 0 };
    rest = bytes_trim(rest);
    if (!bytes_equal(rest, B("empty")) && !bytes_to_u64(rest, 1000000, &w.count))
        return fail(s, "spool empty, or spool N");
    return until(s, spool_has, &w) || fail(s, "%zu messages wait", world_waiting(s->world));
}

struct event_wanted {
    struct world *world;
    struct bytes words;
    bool take;
};

/* "name key=pattern ...": each must match the JSON text of the key's value. */
static bool event_fits(struct bytes line, struct bytes words) {
    struct bytes part;
    char key[256];
    word(&words, &part);
    struct buf b = buf_fixed(key, sizeof(key));
    buf_printf(&b, "\"event\":\"%.*s\"", BYTES_FMT(part));
    if (bytes_search(line, buf_bytes(&b)) < 0)
        return false;
    while (word(&words, &part)) {
        ptrdiff_t equals = bytes_find(part, '=');
        if (equals < 0)
            return false;
        struct bytes value = bytes_skip(part, (size_t)equals + 1);
        if (value.len >= 2 && value.at[0] == '"')
            value = bytes_slice(value, 1, value.len - 1);
        buf_clear(&b);
        buf_printf(&b, "\"%.*s\":", BYTES_FMT(bytes_first(part, (size_t)equals)));
        ptrdiff_t at = bytes_search(line, buf_bytes(&b));
        if (at < 0)
            return false;
        struct bytes rest = bytes_skip(line, (size_t)at + b.len);
        size_t end = 0;
        if (rest.len && rest.at[0] == '"') {
            rest = bytes_skip(rest, 1);
            while (end < rest.len && rest.at[end] != '"')
                end += rest.at[end] == '\\' ? 2 : 1;
        } else {
            while (end < rest.len && rest.at[end] != ',' && rest.at[end] != '}')
                end++;
        }
        if (!glob_match(value, bytes_first(rest, end)))
            return false;
    }
    return true;
}

static bool event_seen(void *arg) {
    struct event_wanted *w = arg;
    LIST_EACH(&w->world->events, n) {
        struct event_line *e = CONTAINER_OF(n, struct event_line, node);
        if (e->seen || !event_fits(e->line, w->words))
            continue;
        e->seen = w->take;
        return true;
    }
    return false;
}

static bool run_event(struct script *s, struct bytes rest) {
    struct event_wanted w = { s->world, with_ids(s, rest), true };
    return until(s, event_seen, &w) || fail(s, "no such event: %.*s", BYTES_FMT(rest));
}

static bool run_no_event(struct script *s, struct bytes rest) {
    struct event_wanted w = { s->world, with_ids(s, rest), false };
    sim_run(s->world->loop);
    return !event_seen(&w) || fail(s, "there was such an event: %.*s", BYTES_FMT(rest));
}

static struct bytes read_file(struct script *s, const char *path) {
    FILE *f = fopen(path, "rb");
    if (!f)
        return BYTES_NONE;
    char *memory = arena_alloc(s->arena, FILE_MAX);
    size_t n = fread(memory, 1, FILE_MAX, f);
    fclose(f);
    return bytes_of(memory, n);
}

struct mailbox_wanted {
    struct script *script;
    const char *folder;
    struct bytes rest;
    const char *seen; /* for the message of a failure */
    bool none;        /* no message may match */
};

/* As it is, or with each line end and the blanks after it read as one blank: where lines are broken
 * does not matter to who reads. */
static bool text_fits(struct bytes pattern, struct bytes text) {
    if (glob_match(pattern, text))
        return true;
    struct buf joined = buf_grow(FILE_MAX);
    bool ended = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        bool end = c == '\r' || c == '\n';
        if (end && !ended)
            buf_char(&joined, ' ');
        ended = end || (ended && c == ' ');
        if (!ended)
            buf_char(&joined, c);
    }
    bool fits = glob_match(pattern, buf_bytes(&joined));
    buf_free(&joined);
    return fits;
}

static bool mailbox_has(void *arg) {
    struct mailbox_wanted *w = arg;
    struct script *s = w->script;
    char command[1024];
    snprintf(command, sizeof(command), "%s/new", w->folder);
    uint64_t count = 0, wanted;
    bool match = false, by_count = bytes_to_u64(bytes_trim(w->rest), 1000000, &wanted);
    struct bytes *names;
    struct arena *a = arena_open();
    size_t found = 0;
    struct why why;
    if (files_list(bytes_str(command), 10000, a, &names, &found, &why) != OK)
        found = 0;
    for (size_t i = 0; i < found; i++, count++) {
        char path[2048];
        snprintf(path, sizeof(path), "%s/%.*s", command, BYTES_FMT(names[i]));
        struct bytes text = read_file(s, path), pattern, rest = w->rest;
        w->seen = arena_str(s->arena, text);
        match |= word(&rest, &pattern) && text_fits(pattern, text);
    }
    arena_close(&a);
    return by_count ? count == wanted : match != w->none;
}

/* "mailbox ADDRESS N", "mailbox ADDRESS "PATTERN"" of a message's text */
static bool run_mailbox(struct script *s, struct bytes rest) {
    struct bytes address;
    if (!word(&rest, &address))
        return fail(s, "mailbox ADDRESS N, or PATTERN");
    char path[512];
    struct buf b = buf_fixed(path, sizeof(path));
    maildir_path(&b, address);
    struct mailbox_wanted w = {
        s, arena_printf(s->arena, "%s/mail/%s", s->world->folder, buf_text(&b)).at,
        bytes_trim(rest), "", bytes_starts(bytes_trim(rest), B("no "))
    };
    if (w.none)
        w.rest = bytes_trim(bytes_skip(w.rest, 3));
    struct buf pattern = buf_grow(FILE_MAX);
    unescape(w.rest, &pattern);
    w.rest = arena_copy(s->arena, buf_bytes(&pattern));
    buf_free(&pattern);
    if (!start(s))
        return false;
    return until(s, mailbox_has, &w) || fail(s, "the mailbox has not that, but: %s", w.seen);
}

static bool run_break(struct script *s, struct bytes rest) {
    if (!start(s))
        return false;
    return world_break(s->world, bytes_trim(rest), true) || fail(s, "what can break: disk-full "
                                                                    "disk-write disk-sync "
                                                                    "directory secrets routes");
}

static bool run_repair(struct script *s, struct bytes rest) {
    return world_break(s->world, bytes_trim(rest), false) || fail(s, "not known");
}

static bool run_restart(struct script *s, struct bytes rest) {
    (void)rest;
    const char *error = NULL;
    return world_restart(s->world, false, &error) || fail(s, "%s", error);
}

static bool run_crash(struct script *s, struct bytes rest) {
    (void)rest;
    const char *error = NULL;
    return world_restart(s->world, true, &error) || fail(s, "%s", error);
}

static bool run_blackhole(struct script *s, struct bytes rest) {
    struct addr a;
    if (!addr_parse(bytes_trim(rest), &a))
        return fail(s, "blackhole ADDRESS");
    sim_blackhole(a);
    return true;
}

/* "pieces N": the network delivers at most N octets at a time. */
static bool run_pieces(struct script *s, struct bytes rest) {
    uint64_t n;
    if (!bytes_to_u64(bytes_trim(rest), 1 << 20, &n) || n == 0)
        return fail(s, "pieces of how many octets?");
    sim_pieces((size_t)n);
    return true;
}

/* "old-configurations N": so many were replaced and are still referred to. */
static bool run_old_configurations(struct script *s, struct bytes rest) {
    uint64_t n;
    sim_run(s->world->loop);
    if (!bytes_to_u64(bytes_trim(rest), 1000, &n))
        return fail(s, "how many?");
    return s->world->retired.count == n ||
           fail(s, "%zu old configurations", s->world->retired.count);
}

static bool run_memory(struct script *s, struct bytes rest) {
    uint64_t n;
    if (!bytes_to_u64(bytes_trim(rest), 1 << 30, &n) || n == 0)
        return fail(s, "how many octets?");
    s->world->memory = (size_t)n;
    return true;
}

/* "never TEXT": it stands in no event, under no key. */
static bool run_never(struct script *s, struct bytes rest) {
    sim_run(s->world->loop);
    LIST_EACH(&s->world->events, n)
    if (bytes_search(CONTAINER_OF(n, struct event_line, node)->line, bytes_trim(rest)) >= 0)
        return fail(s, "it was logged");
    return true;
}

static bool run_gateway(struct script *s, struct bytes rest) {
    s->world->gateway_set = addr_parse(bytes_trim(rest), &s->world->gateway);
    return s->world->gateway_set || fail(s, "gateway ADDRESS");
}

/* "env NAME TEXT": for secrets that the configuration refers to. */
static bool run_env(struct script *s, struct bytes rest) {
    struct bytes name;
    if (!word(&rest, &name))
        return fail(s, "env NAME TEXT");
    return setenv(arena_str(s->arena, name), arena_str(s->arena, bytes_trim(rest)), 1) == 0;
}

static bool run_start(struct script *s, struct bytes rest) {
    (void)rest;
    return start(s);
}

struct counted {
    struct script *script;
    size_t count;
};

static void operated(void *ctx, enum rc rc, size_t changed, const struct why *why) {
    (void)rc, (void)why;
    struct counted *c = ctx;
    c->count = changed + 1;
}

static void note_id(void *ctx, struct store_message *m) {
    struct message_id *id = ctx;
    *id = store_message_id(m);
}

static void page_over(void *ctx, enum rc rc, struct bytes next, bool more) {
    (void)ctx, (void)rc, (void)next, (void)more;
}

/* "order retry|hold|release|bounce|remove": to the (last) message that waits. */
static bool run_order(struct script *s, struct bytes rest) {
    static const char *const names[] = { "retry", "hold", "release", "bounce", "remove" };
    static const struct store_scan_events events = { note_id, page_over };
    struct message_id id = { 0 };
    struct store_filter filter = { 0 };
    sim_advance(s->world->loop, 150);
    store_scan(spool_store(s->world->spool), &filter, BYTES_NONE, 100, &events, &id);
    sim_run(s->world->loop);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (!bytes_equal(bytes_trim(rest), bytes_str(names[i])))
            continue;
        struct counted c = { s, 0 };
        pipeline_operate(s->world->pipeline, (enum schedule_order)i, id, B("tester"), operated, &c);
        sim_advance(s->world->loop, 500);
        return c.count > 1 || fail(s, "the order changed nothing (message %s)", id.text);
    }
    return fail(s, "order what?");
}

/* "stop": as SIGTERM would: what is under way is finished, then the rest of the sessions told. */
static bool run_stop(struct script *s, struct bytes rest) {
    (void)rest;
    if (!start(s))
        return false;
    world_stop(s->world);
    sim_run(s->world->loop);
    return true;
}

static bool run_config(struct script *s, struct bytes rest) {
    rest = bytes_trim(rest);
    s->collecting = bytes_equal(rest, B("add"))       ? B("add")
                    : bytes_equal(rest, B("refused")) ? B("config refused")
                                                      : B("config");
    return true;
}

static bool run_reload(struct script *s, struct bytes rest) {
    s->collecting = bytes_equal(bytes_trim(rest), B("refused")) ? B("reload refused") : B("reload");
    return true;
}

static bool collected(struct script *s) {
    struct bytes text = arena_copy(s->arena, buf_bytes(&s->text)), kind = s->collecting;
    const char *error = NULL;
    s->collecting = BYTES_NONE;
    buf_clear(&s->text);
    if (bytes_equal(kind, B("config")))
        s->config = text;
    else if (bytes_equal(kind, B("add")))
        s->added = text;
    else if (bytes_equal(kind, B("config refused"))) {
        if (world_configure(s->world, text, &error))
            return fail(s, "this configuration was taken");
    } else {
        bool ok = world_reload(s->world, text, &error);
        bool wanted = bytes_equal(kind, B("reload"));
        if (ok != wanted)
            return fail(s, "reload: %s", ok ? "it was taken" : error);
    }
    return true;
}

static const struct {
    const char *word;
    bool (*run)(struct script *s, struct bytes rest);
} words[] = {
    { "config", run_config },
    { "user", run_user },
    { "alias", run_alias },
    { "group", run_group },
    { "group-set", run_group_set },
    { "no-member", run_no_member },
    { "forward", run_forward },
    { "vacation", run_vacation },
    { "allow-sender", run_allow },
    { "zone", run_zone },
    { "sink", run_sink },
    { "server", run_server },
    { "client", run_client },
    { "wait", run_wait },
    { "jump", run_jump },
    { "spool", run_spool },
    { "event", run_event },
    { "no-event", run_no_event },
    { "mailbox", run_mailbox },
    { "break", run_break },
    { "repair", run_repair },
    { "restart", run_restart },
    { "blackhole", run_blackhole },
    { "gateway", run_gateway },
    { "start", run_start },
    { "order", run_order },
    { "reload", run_reload },
    { "disable", run_disable },
    { "passwd", run_passwd },
    { "stop", run_stop },
    { "pieces", run_pieces },
    { "never", run_never },
    { "memory", run_memory },
    { "old-configurations", run_old_configurations },
    { "send", run_send },
    { "crash", run_crash },
    { "env", run_env },
};

/* A name alone, of a server or sink that is there, makes the indented lines its. */
static bool run_name(struct script *s, struct bytes name) {
    if (!start(s))
        return false;
    s->actor = find_actor(s, name);
    s->sink = NULL;
    LIST_EACH(&s->sinks, n) {
        struct sink_row *row = CONTAINER_OF(n, struct sink_row, node);
        if (bytes_equal(row->name, name))
            s->sink = row;
    }
    return s->actor || s->sink || fail(s, "not known: %.*s", BYTES_FMT(name));
}

static bool run_line(struct script *s, struct bytes line) {
    bool indented = line.len && line.at[0] == ' ';
    if (s->collecting.len && (indented || !bytes_trim(line).len)) {
        buf_add(&s->text, line);
        buf_char(&s->text, '\n');
        return true;
    }
    if (s->collecting.len && !collected(s))
        return false;
    struct bytes text = bytes_trim(line);
    if (!text.len || (text.at[0] == '#'))
        return true;
    if (indented) {
        while (line.len && line.at[0] == ' ')
            line = bytes_skip(line, 1);
        if (s->sink)
            return sink_line(s, line);
        return actor_line_of(s, line);
    }
    struct bytes first, rest = text;
    word(&rest, &first);
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (bytes_equal(first, bytes_str(words[i].word)))
            return words[i].run(s, rest);
    return run_name(s, text);
}

static bool run_script(struct script *s, struct bytes text) {
    struct bytes line;
    while (bytes_split(&text, '\n', &line)) {
        s->line++;
        if (!run_line(s, line))
            return false;
    }
    if (s->collecting.len && !collected(s))
        return false;
    /* Whatever was sent out in all of it: no bare CR or LF. */
    LIST_EACH(&s->world->events, n)
    if (bytes_search(CONTAINER_OF(n, struct event_line, node)->line, B("BARE CR OR LF")) >= 0)
        return fail(s, "Postern sent a bare CR or LF");
    return true;
}

static bool run_file(const char *file, const char *base) {
    struct script s = { .file = file, .arena = arena_open(), .world = world_open() };
    s.text = buf_grow(FILE_MAX);
    list_init(&s.actors);
    list_init(&s.sinks);
    s.base = read_file(&s, base);
    s.folder = bytes_first(bytes_str(base), (size_t)(bytes_find_last(bytes_str(base), '/') + 1));
    struct bytes text = read_file(&s, file);
    bool ok = text.len ? run_script(&s, text) : fail(&s, "empty or not there");
    if (!ok)
        show(&s);
    struct list_node *n;
    while ((n = list_pop(&s.actors)))
        actor_free(CONTAINER_OF(n, struct actor, node));
    while ((n = list_pop(&s.sinks)))
        sink_close(CONTAINER_OF(n, struct sink_row, node)->sink);
    world_close(&s.world);
    buf_free(&s.text);
    arena_close(&s.arena);
    return ok;
}

static int passed, failed;

static void run_one(const char *file, const char *base) {
    bool ok = run_file(file, base);
    printf("%s %s\n", ok ? "ok  " : "FAIL", file);
    fflush(stdout);
    *(ok ? &passed : &failed) += 1;
}

/* All talks of a folder, by name. */
static bool run_folder(const char *folder, const char *base) {
    struct arena *a = arena_open();
    struct bytes *names;
    size_t count;
    struct why why;
    bool is_folder = files_list(bytes_str(folder), 10000, a, &names, &count, &why) == OK;
    for (size_t i = 0; is_folder && i < count; i++)
        if (bytes_ends_nocase(names[i], B(".talk")))
            run_one(arena_printf(a, "%s/%.*s", folder, BYTES_FMT(names[i])).at, base);
    arena_close(&a);
    return is_folder;
}

/* talk BASE.conf FILE|FOLDER ... */
int main(int argc, char **argv) {
    for (int i = 2; i < argc; i++)
        if (!run_folder(argv[i], argv[1]))
            run_one(argv[i], argv[1]);
    printf("%d passed, %d failed\n", passed, failed);
    return failed || !passed ? EXIT_FAILURE : EXIT_SUCCESS;
}
