/* cmd_why: `postern why`: what one message would meet with, rule by rule, and what would make it
 * pass. The steps are those of a session, in its order; the facts come from the configuration, the
 * directory and the command line. */
#include "base/must.h"
#include "base/num.h"
#include "bin/commands.h"
#include "bin/control.h"
#include "bin/findings.h"
#include "bin/layout.h"
#include "bin/lookup.h"
#include "bin/options.h"
#include "bin/settings.h"
#include "bin/srs_key.h"
#include "counters/counters.h"
#include "decide/decide.h"
#include "directory/directory.h"
#include "flow/app_password.h"
#include "keeper/keeper.h"
#include "message/address.h"
#include "resolve/srs.h"
#include "sys/gateways.h"
#include "sys/loop.h"
#include "sys/tls.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum { RULES_MAX = 4096, HEADERS_MAX = 64, ROUNDS_MAX = 100, LINE_MAX_OCTETS = 256 * 1024 };

/* The command line, as given. */
struct question {
    struct bytes file, client, proxy, local, listener, user, app_password, mechanism, certificate,
        local_user, popped, helo;
    struct bytes listed[HEADERS_MAX];
    size_t listed_count;
    struct bytes from, to, size, recipients, sent, at, from_fields, probe;
    struct bytes header_from[HEADERS_MAX], sender_header[HEADERS_MAX], reply_to[HEADERS_MAX];
    size_t header_from_count, sender_header_count, reply_to_count;
    bool tls, offline, json, batch, retried;
};

struct answer {
    const struct options *options;
    const struct question *q;
    struct arena *arena;
    struct config *config;
    struct directory_db *directory; /* NULL: an empty one */
    bool directory_down;
    struct looking *looking; /* up names: shared by all questions of a batch */
    uint64_t sent;
    bool told_offline; /* no server runs */
    struct facts facts;
    struct popped *popped; /* facts.popped */
    struct verdict v;
    const char *step; /* where it ended */
    struct rule rules[RULES_MAX];
    size_t rule_count;
};

/* --- from the command line to facts ---------------------------------------------------------------- */

static int misuse(const struct answer *w, const char *option, struct bytes given,
                  const char *expected) {
    return options_misuse(w->options, "%s \"%.*s\": %s", option, BYTES_FMT(given), expected);
}

static int take_number(const struct answer *w, const char *option, struct bytes given,
                       uint64_t *out) {
    if (!given.len || bytes_to_u64(given, UINT64_MAX, out) || num_parse_size(given, out))
        return OPTIONS_GO_ON;
    return misuse(w, option, given, "expected a number");
}

static int take_mailbox(const struct answer *w, const char *option, struct bytes given,
                        struct bytes *out) {
    struct address address;
    if (bytes_starts(given, B("<")) && bytes_ends_nocase(given, B(">")))
        given = bytes_slice(given, 1, given.len - 1);
    const char *wrong = address_parse(given, w->arena, &address);
    if (wrong)
        return misuse(w, option, given, wrong);
    *out = address.mailbox;
    return OPTIONS_GO_ON;
}

static int take_envelope(struct answer *w) {
    struct facts *f = &w->facts;
    const struct question *q = w->q;
    int code = OPTIONS_GO_ON;
    f->has_sender = true;
    if (q->from.len && !bytes_equal(q->from, B("<>")))
        code = take_mailbox(w, "--from", q->from, &f->sender);
    if (code != OPTIONS_GO_ON)
        return code;
    f->recipient_postmaster =
        bytes_equal_nocase(q->to, B("postmaster")) || bytes_equal_nocase(q->to, B("<postmaster>"));
    f->recipient = B("postmaster");
    return f->recipient_postmaster ? code : take_mailbox(w, "--to", q->to, &f->recipient);
}

static int take_client(struct answer *w) {
    struct facts *f = &w->facts;
    if (w->q->local_user.len) {
        f->local_door = true;
        f->local_user = w->q->local_user;
        f->client.family = 1;
        return OPTIONS_GO_ON;
    }
    if (!w->q->client.len)
        return options_misuse(w->options, "--client IP is needed (or --local-user USER)");
    if (!addr_parse(w->q->client, &f->client))
        return misuse(w, "--client", w->q->client, "expected an IPv4 or IPv6 address");
    if (w->q->local.len && !addr_parse(w->q->local, &f->local))
        return misuse(w, "--local", w->q->local, "expected an IPv4 or IPv6 address of this host");
    return OPTIONS_GO_ON;
}

static const struct listener *default_listener(const struct config *c) {
    const struct listener *l = config_listener(c, B("internet"));
    if (l && l->service == SERVICE_SMTP)
        return l;
    for (size_t i = 0; i < c->listener_count; i++)
        if (c->listeners[i].service == SERVICE_SMTP)
            return &c->listeners[i];
    return NULL;
}

/* Where a person who has a login would use it. */
static const struct listener *login_listener(const struct config *c) {
    const struct listener *first = NULL;
    for (size_t i = 0; i < c->listener_count; i++) {
        const struct listener *l = &c->listeners[i];
        if (l->service != SERVICE_SMTP || l->auth == AUTH_OFF)
            continue;
        if (l->auth == AUTH_REQUIRE)
            return l;
        first = first ? first : l;
    }
    return first ? first : default_listener(c);
}

/* Believed only where the listener lists the peer, as the server does. */
static int take_proxy(struct answer *w) {
    struct facts *f = &w->facts;
    const struct listener *l = f->listener;
    /* Without a header's word a listed peer is nobody: its own address never counts. */
    if (!w->q->proxy.len && l && networks_have(l->proxy_protocol_from, f->client))
        f->client_unknown = true;
    if (!w->q->proxy.len)
        return OPTIONS_GO_ON;
    if (!addr_parse(w->q->proxy, &f->client_peer))
        return misuse(w, "--proxy", w->q->proxy, "expected an IPv4 or IPv6 address");
    if (l && networks_have(l->proxy_protocol_from, f->client_peer))
        f->client_told_by = "PROXY";
    else if (l && networks_have(l->xclient_from, f->client_peer))
        f->client_told_by = "XCLIENT";
    return f->client_told_by
               ? OPTIONS_GO_ON
               : misuse(w, "--proxy", w->q->proxy,
                        "the listener has no such peer in proxy_protocol_from or xclient_from");
}

static int take_listener(struct answer *w) {
    struct facts *f = &w->facts;
    const struct question *q = w->q;
    bool chosen = q->listener.len != 0;
    if (f->local_door)
        return OPTIONS_GO_ON;
    f->listener = chosen        ? config_listener(w->config, q->listener)
                  : q->user.len ? login_listener(w->config)
                                : default_listener(w->config);
    if (chosen && !f->listener)
        return misuse(w, "--listener", q->listener, "there is no such listener");
    if (!f->listener || f->listener->service != SERVICE_SMTP)
        return options_misuse(w->options, "the configuration has no SMTP listener to connect to");
    /* Implicit TLS knows no other way; and who names no listener leaves the rest to us as well. */
    bool tls = q->tls || f->listener->tls == TLS_IMPLICIT ||
               (!chosen && q->user.len && f->listener->tls != TLS_OFF);
    f->tls_version = tls ? 13 : 0;
    return OPTIONS_GO_ON;
}

static int hex_digit(char c) {
    c = ascii_lower(c);
    return ascii_is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hash(struct bytes hex, char spki[32]) {
    if (bytes_starts_nocase(hex, B("spki-sha256:")))
        hex = bytes_skip(hex, 12);
    for (size_t i = 0; hex.len == 64 && i < 32; i++) {
        int high = hex_digit(hex.at[2 * i]), low = hex_digit(hex.at[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        spki[i] = (char)(high << 4 | low);
    }
    return hex.len == 64;
}

/* What a handshake would have found out about it. */
static void ask_authorities(struct answer *w, const struct tls_certificate *certificate) {
    const struct config *c = w->config;
    struct facts *f = &w->facts;
    struct vouch *vouches = ARENA_ARRAY(w->arena, c->client_authority_count, struct vouch);
    struct why why;
    for (size_t i = 0; i < c->client_authority_count; i++) {
        const struct client_authority *a = &c->client_authorities[i];
        bool fine = tls_certificate_vouched(certificate, a->pem, &why) == OK;
        vouches[i] =
            (struct vouch){ a->path, fine,
                            fine ? BYTES_NONE : arena_copy(w->arena, bytes_str(why.text)) };
    }
    f->client_spki = certificate->spki;
    f->client_names = (struct strings){ certificate->name_count, certificate->names };
    f->vouches = vouches;
    f->vouch_count = c->client_authority_count;
}

/* A PEM file, as the client's administrator sends it, or the hash as a connector has it. It is shown
 * within TLS, where it is asked for. */
static int take_certificate(struct answer *w) {
    struct bytes given = w->q->certificate;
    char *spki = arena_alloc(w->arena, 32);
    struct tls_certificate certificate = { .spki = bytes_of(spki, 32) };
    struct why why;
    if (!given.len)
        return OPTIONS_GO_ON;
    if (w->facts.local_door)
        return misuse(w, "--certificate", given, "the local door has no TLS");
    bool fine = read_hash(given, spki);
    if (fine || tls_certificate_read(given, w->arena, &certificate, &why) == OK) {
        if (!w->q->tls && !w->q->listener.len && w->facts.listener->tls != TLS_OFF)
            w->facts.tls_version = 13;
        if (!w->facts.tls_version)
            return misuse(w, "--certificate", given, "it is shown within TLS only: add --tls");
        if (!config_wants_certificate(w->config, w->facts.listener))
            fprintf(stderr, "postern why: listener %.*s asks for no client certificate\n",
                    BYTES_FMT(w->facts.listener->name));
        else if (fine)
            w->facts.client_spki = certificate.spki;
        else
            ask_authorities(w, &certificate);
        return OPTIONS_GO_ON;
    }
    return misuse(w, "--certificate", given,
                  arena_printf(w->arena,
                               "expected a PEM file, or spki-sha256: and 64 hexadecimal digits: %s",
                               why.text)
                      .at);
}

static int take_fields(struct answer *w, const char *option, const char *field,
                       const struct bytes *given, size_t count) {
    struct facts *f = &w->facts;
    struct mailbox_header *list =
        ARENA_ARRAY(w->arena, f->header_mailbox_count + count, struct mailbox_header);
    if (f->header_mailbox_count)
        memcpy(list, f->header_mailboxes, f->header_mailbox_count * sizeof *list);
    for (size_t i = 0; i < count; i++) {
        struct mailbox_header *m = &list[f->header_mailbox_count++];
        m->field = field;
        int code = take_mailbox(w, option, given[i], &m->mailbox);
        if (code != OPTIONS_GO_ON)
            return code;
    }
    f->header_mailboxes = list;
    return OPTIONS_GO_ON;
}

static int take_header(struct answer *w) {
    const struct question *q = w->q;
    int code = take_fields(w, "--header-from", "From", q->header_from, q->header_from_count);
    if (code == OPTIONS_GO_ON)
        code =
            take_fields(w, "--sender-header", "Sender", q->sender_header, q->sender_header_count);
    if (code == OPTIONS_GO_ON)
        code = take_fields(w, "--reply-to", "Reply-To", q->reply_to, q->reply_to_count);
    uint64_t from_fields = 1;
    if (code == OPTIONS_GO_ON)
        code = take_number(w, "--from-fields", q->from_fields, &from_fields);
    w->facts.from_fields = from_fields;
    w->facts.sender_fields = q->sender_header_count ? 1 : 0;
    return code;
}

static int take_numbers(struct answer *w) {
    const struct question *q = w->q;
    uint64_t recipients = 1;
    int code = take_number(w, "--size", q->size, &w->facts.size);
    if (code == OPTIONS_GO_ON)
        code = take_number(w, "--recipients", q->recipients, &recipients);
    if (code == OPTIONS_GO_ON)
        code = take_number(w, "--sent", q->sent, &w->sent);
    w->facts.recipients_so_far = recipients ? recipients - 1 : 0;
    static const struct bytes words[] = { { "takes", 5 }, { "refuses", 7 }, { "later", 5 } };
    const struct strings answers = { COUNT_OF(words), words };
    if (code == OPTIONS_GO_ON && q->probe.len && !strings_has(answers, q->probe))
        return misuse(w, "--probe", q->probe, "expected takes, refuses or later");
    if (code == OPTIONS_GO_ON && q->at.len && !num_parse_rfc3339(q->at, &w->facts.now))
        return misuse(w, "--at", q->at, "expected a time such as 2026-11-20T09:30:00Z");
    return code;
}

static void find_windows(struct answer *w);
/* --- an app password: its name says what it is bound to ------------------------------------------------ */

struct app_search {
    struct answer *w;
    struct bytes name;
    bool found, smtp;
};

static void on_app(void *ctx, const struct app_password *app) {
    struct app_search *s = ctx;
    if (!bytes_equal(app->name, s->name))
        return;
    s->found = true;
    s->smtp = app->smtp;
    facts_take_app_password(&s->w->facts, s->w->arena, app->name, app->senders, app->networks);
}

static int take_app_password(struct answer *w) {
    struct bytes name = w->q->app_password;
    struct app_search s = { .w = w, .name = name };
    struct secrets *secrets;
    struct why why;
    if (!name.len)
        return OPTIONS_GO_ON;
    if (!w->q->user.len)
        return options_misuse(w->options, "--app-password goes with --user: whose is it?");
    const char *file =
        arena_printf(w->arena, "%.*s/" SECRETS_FILE, BYTES_FMT(w->config->state_dir)).at;
    enum rc rc = secrets_open(file, false, &secrets, &why);
    if (rc == OK)
        rc = secrets_app_list(secrets, w->q->user, on_app, &s, &why);
    secrets_close(&secrets);
    if (rc != OK)
        return misuse(w, "--app-password", name, why.text);
    if (!s.found)
        return misuse(w, "--app-password", name,
                      "this user has no such app password (postern user app-password list)");
    if (!s.smtp)
        return misuse(w, "--app-password", name,
                      "it is for POP3 only: AUTH here answers 535, auth.failed");
    return OPTIONS_GO_ON;
}

static int take_listed(struct answer *w) {
    struct dnslist list;
    for (size_t i = 0; i < w->q->listed_count; i++) {
        struct bytes given = arena_lower(w->arena, w->q->listed[i]);
        if (!dnslist_parse(given, &list) || list.score)
            return misuse(w, "--listed", given, "expected a list such as zen.example");
        struct bytes zones[128];
        size_t count = w->facts.listener ? dnslist_zones(w->facts.listener, zones, 128) : 0, j = 0;
        while (j < count && !bytes_equal(zones[j], list.zone))
            j++;
        if (j == count)
            return misuse(w, "--listed", given, "the listener asks no such list");
    }
    return OPTIONS_GO_ON;
}

static int take_facts(struct answer *w) {
    static int (*const takers[])(struct answer * w) = {
        take_client, take_listener, take_proxy,        take_envelope, take_certificate,
        take_header, take_numbers,  take_app_password, take_listed,
    };
    struct facts *f = &w->facts;
    struct loop *l = loop_open();
    f->now = loop_wall(l);
    loop_close(&l);
    f->helo = w->q->helo;
    f->client_connections = 1;
    for (size_t i = 0; i < COUNT_OF(takers); i++) {
        int code = takers[i](w);
        if (code != OPTIONS_GO_ON)
            return code;
    }
    f->popped_login = arena_lower(w->arena, w->q->popped);
    f->popped_at = f->now;
    if (!w->q->popped.len)
        find_windows(w);
    return OPTIONS_GO_ON;
}

/* --- facts that are asked for ------------------------------------------------------------------------ */

static void open_directory(struct answer *w) {
    const char *file = layout_directory_file(w->arena, w->config).at;
    struct why why;
    if (access(file, F_OK) != 0 && errno == ENOENT)
        return; /* nobody was added yet */
    w->directory_down = directory_db_open(file, false, &w->directory, &why) != OK;
    if (w->directory_down)
        fprintf(stderr, "postern why: %s\n", why.text);
}

static enum fact_state look_up(struct answer *w, struct bytes name, bool login,
                               const struct directory_entry **out) {
    struct directory_entry *e = NULL;
    struct why why;
    *out = NULL;
    if (w->directory_down)
        return FACT_FAILED;
    if (!w->directory)
        return FACT_KNOWN;
    enum rc rc = login ? directory_db_find_login(w->directory, name, w->arena, &e, &why)
                       : directory_db_find(w->directory, name, w->arena, &e, &why);
    if (rc != OK)
        fprintf(stderr, "postern why: %s\n", why.text);
    *out = e;
    return rc == OK ? FACT_KNOWN : FACT_FAILED;
}

static void find_gateway(struct answer *w) {
    struct network *list = NULL;
    size_t count = 0;
    struct why why;
    if (gateways_list(w->arena, &list, &count, &why) != OK)
        fprintf(stderr, "postern why: gateways of this host were not looked at: %s\n", why.text);
    w->facts.gateway = networks_have((struct networks){ count, list }, w->facts.client);
    w->facts.gateway_state = FACT_KNOWN;
}

/* --- the running server ------------------------------------------------------------------------------ */

/* False when no server runs, which is told once. */
static bool ask_server(struct answer *w, json_t *request,
                       void (*each)(void *ctx, struct bytes line), void *ctx) {
    char *text = json_dumps(request, JSON_COMPACT);
    json_decref(request);
    bool ok = text && control_ask(layout_path(w->arena, w->config, "run/control.sock"),
                                  bytes_str(text), each, ctx);
    free(text);
    if (!ok && !w->told_offline)
        fprintf(stderr, "postern why: no server of this configuration could be asked, so nothing "
                        "counts as sent yet (--sent N says otherwise), and no POP window is open "
                        "(--popped U says otherwise)\n");
    w->told_offline |= !ok;
    return ok;
}

/* POP windows at the client's address. */
struct windows {
    struct answer *answer;
    struct popped list[COUNTERS_POP_LOGINS];
    size_t count;
};

static void on_window(void *ctx, struct bytes line) {
    struct windows *l = ctx;
    json_t *json = json_loadb(line.at, line.len, 0, NULL);
    const json_t *login = json_object_get(json, "login");
    if (json_is_string(login) && l->count < COUNTERS_POP_LOGINS)
        l->list[l->count++] = (struct popped){
            .login = arena_copy(l->answer->arena,
                                bytes_of(json_string_value(login), json_string_length(login))),
            .at = json_integer_value(json_object_get(json, "at")),
        };
    json_decref(json);
}

static int newest_first(const void *left, const void *right) {
    const struct popped *a = left, *b = right;
    return (a->at < b->at) - (a->at > b->at);
}

static void find_windows(struct answer *w) {
    struct facts *f = &w->facts;
    if (w->q->offline || f->local_door || !config_pop_window(w->config))
        return;
    char text[64];
    struct buf address = buf_fixed(text, sizeof text);
    addr_format(&address, f->client);
    struct windows *l = ARENA_NEW(w->arena, struct windows);
    l->answer = w;
    ask_server(w, json_pack("{s:s,s:s}", "command", "pop-list", "address", buf_text(&address)),
               on_window, l);
    qsort(l->list, l->count, sizeof *l->list, newest_first);
    f->popped = w->popped = l->list;
    f->popped_count = l->count;
}

static void tell_window(struct answer *w, struct popped *p) {
    p->state = look_up(w, p->login, true, &p->entry);
}

/* --- counters: --sent, or the running server -------------------------------------------------------- */

/* Without a server: --sent messages are in each window, and this message's earlier recipients. */
static struct count count_of(const struct answer *w, const struct limit *l) {
    struct count n = { .key = l->key };
    uint64_t used = l->recipients ? w->facts.recipients_so_far : w->sent;
    for (size_t i = 0; i < l->rates.count && !n.full; i++) {
        n.which = l->rates.list[i];
        n.full = used >= n.which.count;
        n.opens = w->facts.now + n.which.window_ms;
    }
    return n;
}

static json_t *limit_json(const struct answer *w, const struct limit *l) {
    json_t *rates = json_array();
    for (size_t i = 0; i < l->rates.count; i++)
        json_array_append_new(rates, json_pack("[I,I]", (json_int_t)l->rates.list[i].count,
                                               (json_int_t)l->rates.list[i].window_ms));
    json_int_t besides = l->recipients ? (json_int_t)w->facts.recipients_so_far : 0;
    return json_pack("{s:s%,s:b,s:I,s:o}", "key", l->key.at, l->key.len, "crowd", (int)l->crowd,
                     "besides", besides, "rates", rates);
}

/* The server's answer: a line for each limit, in order. */
struct counted {
    struct answer *answer;
    struct count *counts;
    size_t count, told;
    bool denied; /* we may not ask */
};

static void on_count(void *ctx, struct bytes line) {
    struct counted *c = ctx;
    json_t *json = json_loadb(line.at, line.len, 0, NULL);
    const char *error = json_string_value(json_object_get(json, "error"));
    if (error) {
        fprintf(stderr, "postern why: the server says: %s\n", error);
        c->denied |= strncmp(error, "only root", 9) == 0;
    }
    if (json_is_boolean(json_object_get(json, "full")) && c->told < c->count) {
        struct count *n = &c->counts[c->told++];
        n->full = json_is_true(json_object_get(json, "full"));
        n->which.count = (uint64_t)json_integer_value(json_object_get(json, "most"));
        n->which.window_ms = json_integer_value(json_object_get(json, "window"));
        n->opens = (json_integer_value(json_object_get(json, "opens")) + 999) / 1000 * 1000;
    }
    json_decref(json);
}

static bool ask_counts(struct answer *w, struct count *counts) {
    struct counted c = { .answer = w, .counts = counts, .count = w->v.limit_count };
    json_t *list = json_array();
    for (size_t i = 0; i < w->v.limit_count; i++)
        json_array_append_new(list, limit_json(w, &w->v.limits[i]));
    json_t *request = json_pack("{s:s,s:o}", "command", "limits", "limits", list);
    if (w->q->at.len)
        json_object_set_new(request, "at", json_integer(w->facts.now));
    bool told = ask_server(w, request, on_count, &c) && c.told == c.count;
    if (c.denied)
        fprintf(stderr, "postern why: so nothing counts as sent yet (--sent N says otherwise)\n");
    w->told_offline |= c.denied;
    return told;
}

static void find_counts(struct answer *w) {
    struct count *counts = ARENA_ARRAY(w->arena, w->v.limit_count, struct count);
    for (size_t i = 0; i < w->v.limit_count; i++)
        counts[i] = count_of(w, &w->v.limits[i]);
    w->facts.counts_state = FACT_KNOWN;
    if (!w->q->offline && !w->q->sent.len && !ask_counts(w, counts) && !w->told_offline)
        w->facts.counts_state = FACT_FAILED; /* it runs, and could not tell */
    w->facts.counts = counts;
    w->facts.count_count = w->v.limit_count;
}

/* --- facts about recipients of ours ------------------------------------------------------------------ */

static void find_member(struct answer *w) {
    struct facts *f = &w->facts;
    const struct membership *asked = &w->v.member;
    struct membership *list = ARENA_ARRAY(w->arena, f->membership_count + 1, struct membership);
    struct why why;
    f->member_state = w->directory_down ? FACT_FAILED : FACT_KNOWN;
    if (f->membership_count)
        memcpy(list, f->memberships, f->membership_count * sizeof *list);
    list[f->membership_count] = *asked;
    if (w->directory &&
        directory_db_is_member(w->directory, asked->group, asked->login, asked->sender,
                               &list[f->membership_count].member, &why) != OK) {
        fprintf(stderr, "postern why: %s\n", why.text);
        f->member_state = FACT_FAILED;
    }
    f->memberships = list;
    f->membership_count++;
}

static void find_srs(struct answer *w) {
    struct facts *f = &w->facts;
    struct bytes inside;
    struct why why;
    f->srs_state = FACT_FAILED;
    if (srs_key_fill(w->config, false, &why) != OK) {
        fprintf(stderr, "postern why: %s\n", why.text);
        return;
    }
    f->srs_state = FACT_KNOWN;
    f->srs = srs_read(w->config->srs_secret, f->recipient, f->now, w->arena, &inside);
}

/* The server behind us is not asked: a question of what if has to leave it alone. */
static void find_probe(struct answer *w) {
    struct facts *f = &w->facts;
    struct bytes said = w->q->probe;
    f->probe_state = FACT_KNOWN;
    f->probe = bytes_equal(said, B("refuses")) ? PROBE_REFUSES
               : bytes_equal(said, B("later")) ? PROBE_LATER
                                               : PROBE_TAKES;
    if (!said.len)
        fprintf(stderr, "postern why: the server behind the domain was not asked: taken as if it "
                        "knew the address (--probe refuses, --probe later)\n");
}

/* --- what the DNS says of the client ------------------------------------------------------------------ */

/* A resolver of our own, started when the first name is to be looked up. */
struct looking {
    struct loop *loop;
    struct lookup lookup;
    bool tried;
};

static bool can_look(struct answer *w) {
    struct looking *k = w->looking;
    struct why why;
    if (w->q->offline)
        return false;
    if (!k->tried && lookup_open(w->config, k->loop, w->config->arena, &k->lookup, &why) != OK)
        fprintf(stderr, "postern why: the DNS was not asked: %s\n", why.text);
    k->tried = true;
    return k->lookup.dns != NULL;
}

static void ptr_checked(void *ctx, const struct dns_name_check *check) {
    struct answer *w = ctx;
    w->facts.ptr_state = check->failed ? FACT_FAILED : FACT_KNOWN;
    w->facts.ptr_name = arena_copy(w->arena, check->name);
    w->facts.ptr_confirmed = check->confirmed;
    loop_stop(w->looking->loop);
}

static void helo_checked(void *ctx, const struct dns_name_check *check) {
    struct answer *w = ctx;
    w->facts.helo_state = check->failed ? FACT_FAILED : FACT_KNOWN;
    w->facts.helo_missing = !check->name.len;
    w->facts.helo_confirmed = check->confirmed;
    loop_stop(w->looking->loop);
}

static void find_names(struct answer *w, bool helo) {
    struct looking *k = w->looking;
    struct facts *f = &w->facts;
    *(helo ? &f->helo_state : &f->ptr_state) = FACT_FAILED;
    if (!can_look(w))
        return;
    if (helo)
        dns_check_name(k->lookup.dns, k->loop, f->helo, f->client, helo_checked, w);
    else
        dns_check_client(k->lookup.dns, k->loop, f->client, ptr_checked, w);
    loop_run(k->loop);
}

static void listed(void *ctx, const struct dns_listing *list, size_t count) {
    struct answer *w = ctx;
    struct listing *kept = ARENA_ARRAY(w->arena, count, struct listing);
    for (size_t i = 0; i < count; i++) {
        uint32_t *codes = ARENA_ARRAY(w->arena, list[i].count, uint32_t);
        for (size_t j = 0; j < list[i].count; j++)
            codes[j] = dnslist_code(list[i].codes[j]);
        kept[i] = (struct listing){ arena_copy(w->arena, list[i].zone),
                                    list[i].failed,
                                    bytes_str(list[i].because),
                                    list[i].count,
                                    codes,
                                    arena_copy(w->arena, list[i].text) };
    }
    w->facts.listings = kept;
    w->facts.listing_count = count;
    w->facts.listings_state = FACT_KNOWN;
    loop_stop(w->looking->loop);
}

/* --listed LIST: as if it had the client, and no other had; with :127.0.0.4 behind it, with this answer. */
static void pretend_listed(struct answer *w) {
    struct facts *f = &w->facts;
    struct listing *kept = ARENA_ARRAY(w->arena, w->q->listed_count, struct listing);
    for (size_t i = 0; i < w->q->listed_count; i++) {
        struct dnslist list;
        uint32_t *code = ARENA_NEW(w->arena, uint32_t);
        dnslist_parse(arena_lower(w->arena, w->q->listed[i]), &list);
        *code = list.last ? list.first : UINT32_C(0x7f000002);
        kept[i] = (struct listing){ .zone = list.zone, .code_count = 1, .codes = code };
    }
    f->listings = kept;
    f->listing_count = w->q->listed_count;
    f->listings_state = FACT_KNOWN;
}

static void find_listings(struct answer *w) {
    struct bytes zones[128];
    w->facts.listings_state = FACT_FAILED;
    if (w->q->listed_count)
        pretend_listed(w);
    else if (can_look(w)) {
        dns_ask_lists(w->looking->lookup.dns, w->looking->loop, w->facts.client, zones,
                      dnslist_zones(w->facts.listener, zones, COUNT_OF(zones)), listed, w);
        loop_run(w->looking->loop);
    }
}

static void tell(struct answer *w, uint32_t missing) {
    struct facts *f = &w->facts;
    for (size_t i = 0; i < f->popped_count; i++)
        if (missing & FACT_POPPED ||
            (missing & FACT_LOGIN && bytes_equal(w->popped[i].login, w->v.login)))
            tell_window(w, &w->popped[i]);
    if (missing & FACT_MEMBER)
        find_member(w);
    if (missing & FACT_SRS)
        find_srs(w);
    if (missing & FACT_PROBE)
        find_probe(w);
    if (missing & FACT_LOGIN)
        f->login_state =
            look_up(w, f->login.len ? f->login : f->popped_login, true, &f->login_entry);
    if (missing & FACT_RECIPIENT)
        f->recipient_state = look_up(w, f->recipient, false, &f->recipient_entry);
    if (missing & FACT_SENDER_ENTRY)
        f->sender_state = look_up(w, f->sender, false, &f->sender_entry);
    if (missing & FACT_GATEWAY)
        find_gateway(w);
    if (missing & FACT_COUNTERS)
        find_counts(w);
    if (missing & (FACT_HELO | FACT_PTR))
        find_names(w, missing & FACT_HELO);
    if (missing & FACT_LISTS)
        find_listings(w);
    if (missing & FACT_GREY) { /* as if it came for the first time, unless told otherwise */
        f->grey_state = FACT_KNOWN;
        f->grey_opens = w->q->retried ? f->now : f->now + w->config->greylist_delay;
    }
}

/* --- the session ------------------------------------------------------------------------------------- */

static bool is_kept(const struct answer *w, const struct rule *r) {
    for (size_t i = 0; i < w->rule_count; i++)
        if (bytes_equal(w->rules[i].name, r->name) && bytes_equal(w->rules[i].because, r->because))
            return true;
    return false;
}

/* What two steps say alike is told once. */
static void keep_rules(struct answer *w) {
    for (size_t i = 0; i < w->v.rule_count && w->rule_count < RULES_MAX; i++)
        if (!is_kept(w, &w->v.rules[i]))
            w->rules[w->rule_count++] = w->v.rules[i];
}

/* True when the step was passed. */
static bool step(struct answer *w, enum decide_step step, const char *name) {
    w->step = name;
    for (int round = 0; round < ROUNDS_MAX; round++) {
        decide(w->config, step, &w->facts, w->arena, &w->v);
        if (w->v.rc != MORE)
            break;
        tell(w, w->v.missing);
    }
    keep_rules(w);
    return w->v.rc == OK;
}

static bool command(struct answer *w, const char *verb) {
    w->facts.verb = bytes_str(verb);
    return step(w, STEP_COMMAND, verb);
}

/* The mechanism a client would take: the first that is offered. */
static struct bytes mechanism(const struct answer *w) {
    struct bytes list = decide_mechanisms(w->config, &w->facts, w->arena), first = BYTES_NONE;
    if (w->q->mechanism.len)
        return w->q->mechanism;
    return bytes_split(&list, ' ', &first) && first.len ? first : B("PLAIN");
}

static bool log_in(struct answer *w) {
    struct facts *f = &w->facts;
    if (!w->q->user.len || f->local_door)
        return true;
    bool in_transaction = f->has_sender;
    f->has_sender = false; /* AUTH comes before MAIL */
    if (!command(w, "AUTH"))
        return false;
    f->mechanism = mechanism(w);
    if (!step(w, STEP_AUTH, "AUTH"))
        return false;
    f->login = arena_lower(w->arena, w->q->user);
    if (!step(w, STEP_LOGIN, "AUTH"))
        return false;
    f->has_sender = in_transaction;
    return true;
}

static bool content(struct answer *w, const struct verdict *granted) {
    struct facts *f = &w->facts;
    if (!f->header_mailbox_count && !w->q->from_fields.len)
        return true;
    struct bytes *charged = ARENA_NEW(w->arena, struct bytes);
    *charged = granted->connector;
    f->charged = (struct strings){ granted->connector.len ? 1 : 0, charged };
    ptrdiff_t at = bytes_find_last(f->recipient, '@');
    struct bytes *domain = ARENA_NEW(w->arena, struct bytes);
    *domain = bytes_skip(f->recipient, (size_t)(at + 1));
    f->domains = (struct strings){ granted->relay || at < 0 ? 0 : 1, domain };
    return step(w, STEP_CONTENT, "DATA");
}

static void run(struct answer *w) {
    if (!step(w, STEP_CONNECT, "connect") || !log_in(w) || !command(w, "MAIL") ||
        !step(w, STEP_MAIL, "MAIL") || !step(w, STEP_RCPT, "RCPT"))
        return;
    struct verdict granted = w->v;
    if (content(w, &granted))
        w->v = granted;
}

/* --- what is said ------------------------------------------------------------------------------------ */

static const char *word(const struct verdict *v) {
    return v->rc == OK ? "accept" : v->rc == PERM ? "refuse" : "later";
}

static void json_key(struct buf *b, const char *key, struct bytes text) {
    buf_printf(b, "%s\"%s\":", b->at[b->len - 1] == '{' ? "" : ",", key);
    buf_json(b, text);
}

static void json_rules(struct buf *b, const struct answer *w) {
    buf_str(b, ",\"rules\":[");
    for (size_t i = 0; i < w->rule_count; i++) {
        buf_str(b, i ? ",{" : "{");
        json_key(b, "rule", w->rules[i].name);
        buf_printf(b, ",\"matched\":%s", w->rules[i].matched ? "true" : "false");
        json_key(b, "because", w->rules[i].because);
        buf_char(b, '}');
    }
    buf_char(b, ']');
}

static void json_changes(struct buf *b, const struct verdict *v) {
    buf_str(b, ",\"changes\":[");
    for (size_t i = 0; i < v->change_count; i++) {
        buf_str(b, i ? ",{" : "{");
        json_key(b, "change", v->changes[i].text);
        buf_printf(b, ",\"safe\":%s", v->changes[i].safe ? "true" : "false");
        json_key(b, "kind", bytes_str(v->changes[i].kind));
        json_key(b, "argument", v->changes[i].argument);
        buf_char(b, '}');
    }
    buf_char(b, ']');
}

static void print_json(const struct answer *w) {
    struct buf b = buf_grow(16 * 1024 * 1024);
    char status[12];
    status_format(w->v.why.status, status);
    buf_char(&b, '{');
    json_key(&b, "verdict", bytes_str(word(&w->v)));
    buf_printf(&b, ",\"code\":%d", w->v.why.code);
    json_key(&b, "enhanced", bytes_str(status));
    json_key(&b, "text", bytes_str(w->v.why.text));
    json_key(&b, "reason", bytes_str(w->v.why.reason));
    json_key(&b, "step", bytes_str(w->step));
    json_key(&b, "listener", w->facts.listener ? w->facts.listener->name : B("send"));
    json_key(&b, "tenant", w->v.tenant);
    json_key(&b, "connector", w->v.connector);
    buf_printf(&b, ",\"relay\":%s", w->v.relay ? "true" : "false");
    json_rules(&b, w);
    json_changes(&b, &w->v);
    buf_char(&b, '}');
    printf("%s\n", buf_text(&b));
    buf_free(&b);
}

static void print_session(const struct answer *w) {
    const struct facts *f = &w->facts;
    char text[64];
    struct buf b = buf_fixed(text, sizeof text);
    addr_format(&b, f->client);
    if (f->local_door)
        printf("local user %.*s", BYTES_FMT(f->local_user));
    else
        printf("client %s at listener %.*s, %s", buf_text(&b), BYTES_FMT(f->listener->name),
               f->tls_version ? "with TLS" : "without TLS");
    if (w->q->user.len)
        printf(", login %.*s", BYTES_FMT(w->q->user));
    printf(": <%.*s> to <%.*s>\n", BYTES_FMT(f->sender), BYTES_FMT(f->recipient));
}

static void print_verdict(const struct answer *w) {
    const struct verdict *v = &w->v;
    char status[12];
    status_format(v->why.status, status);
    if (v->rc == OK) {
        printf("accepted%s: %s\n", v->relay ? ", a relay" : "", v->why.text);
        return;
    }
    printf("%s at %s, reason %s:\n  %d %s %s\n", v->rc == PERM ? "refused" : "try later", w->step,
           v->why.reason, v->why.code, status, v->why.text);
}

static void print_text(const struct answer *w) {
    print_session(w);
    print_verdict(w);
    printf("\nwhat was tried\n");
    for (size_t i = 0; i < w->rule_count; i++)
        printf("  %-3s  %.*s: %.*s\n", w->rules[i].matched ? "yes" : "no",
               BYTES_FMT(w->rules[i].name), BYTES_FMT(w->rules[i].because));
    if (!w->v.change_count)
        return;
    printf("\nwhat would make it pass, safest first\n");
    for (size_t i = 0; i < w->v.change_count; i++)
        printf("  %c %.*s\n", w->v.changes[i].safe ? '-' : '!', BYTES_FMT(w->v.changes[i].text));
}

/* --- the command -------------------------------------------------------------------------------------- */

static int open_config(struct answer *w) {
    struct config_findings findings = { 0 };
    enum rc rc = settings_parse(w->q->file, &w->config, &findings);
    if (rc == OK || (w->config && !w->config->incomplete))
        return OPTIONS_GO_ON;
    findings_print(stderr, &findings, false);
    return EX_CONFIG;
}

/* --- the tripwire, from the running server ----------------------------------------------------------- */

static void on_suspended(void *ctx, struct bytes line) {
    struct answer *w = ctx;
    json_t *json = json_loadb(line.at, line.len, 0, NULL);
    const char *text = json_string_value(json_object_get(json, "address"));
    struct bytes address = bytes_str(text);
    bool wide = bytes_ends_nocase(address, B("/64"));
    struct addr client;
    if (addr_parse(bytes_first(address, address.len - (wide ? 3 : 0)), &client) &&
        addr_equal(client,
                   wide ? addr_masked(addr_fold(w->facts.client), 64) : addr_fold(w->facts.client)))
        w->facts.suspended = w->facts.now;
    json_decref(json);
}

static void find_suspended(struct answer *w) {
    if (!w->q->offline && !w->facts.local_door)
        control_ask(layout_path(w->arena, w->config, "run/control.sock"),
                    B("{\"command\":\"grants-list\"}"), on_suspended, w);
}

static int answer(struct answer *w) {
    if (!w->q->to.len || !w->q->from.at)
        return options_misuse(w->options,
                              "--from A and --to A are needed (--from \"<>\" is the null sender)");
    int code = take_facts(w);
    if (code != OPTIONS_GO_ON)
        return code;
    find_suspended(w);
    run(w);
    if (w->q->json)
        print_json(w);
    else
        print_text(w);
    return w->v.rc == OK ? EX_OK : 1;
}

/* --- many questions: one JSON object a line ------------------------------------------------------------ */

static void print_complaint(struct buf *text) {
    struct buf b = buf_grow(64 * 1024);
    buf_str(&b, "{\"error\":");
    buf_json(&b, buf_bytes(text));
    buf_str(&b, "}");
    printf("%s\n", buf_text(&b));
    buf_free(&b);
}

/* What a question leaves behind is gone with its arena; configuration and directory stay. */
static struct answer *another(const struct answer *w, const struct options *o,
                              const struct question *q, struct arena *a) {
    struct answer *one = ARENA_NEW(a, struct answer);
    one->options = o;
    one->q = q;
    one->arena = a;
    one->config = w->config;
    one->directory = w->directory;
    one->directory_down = w->directory_down;
    one->looking = w->looking;
    return one;
}

/* `q` is where the options' table puts things: set back for each line to what the command line said. */
static int answer_line(const struct answer *w, struct question *q, struct bytes line) {
    const struct question given = *q;
    struct arena *a = arena_open();
    struct buf complaints = buf_grow(8192);
    struct options o = *w->options;
    o.complaints = &complaints;
    q->json = true;
    int code = line.len > LINE_MAX_OCTETS
                   ? options_misuse(&o, "the line is longer than %d octets", LINE_MAX_OCTETS)
                   : options_take_json(&o, line, a);
    if (code == OPTIONS_GO_ON)
        code = answer(another(w, &o, q, a));
    if (complaints.len)
        print_complaint(&complaints);
    fflush(stdout);
    *q = given;
    buf_free(&complaints);
    arena_close(&a);
    return code;
}

static int answer_batch(const struct answer *w, struct question *q) {
    char *line = NULL;
    size_t room = 0;
    int code = EX_OK;
    for (ssize_t len; (len = getline(&line, &room, stdin)) >= 0;) {
        struct bytes text = bytes_trim(bytes_of(line, (size_t)len));
        if (text.len && answer_line(w, q, text) == EX_USAGE)
            code = EX_USAGE;
    }
    free(line);
    return code;
}

#define TEXT(option, what, sentence, field)                                                        \
    { .name = option, .value = what, .help = sentence, .text = &q.field }
#define EACH(option, sentence, field)                                                              \
    {                                                                                              \
        .name = option, .value = "A", .help = sentence, .list = q.field,                           \
        .count = &q.field##_count, .max = HEADERS_MAX                                              \
    }

int cmd_why(int argc, char **argv) {
    struct question q = { .file = SETTINGS_FILE };
    const struct option_row rows[] = {
        TEXT("-c", "FILE", "the configuration", file),
        TEXT("--client", "IP", "the address that connects", client),
        TEXT("--proxy", "IP", "the listed peer that told that address, by PROXY or XCLIENT", proxy),
        TEXT("--local", "IP", "the address of ours it connects to: a tenant's own, say", local),
        TEXT("--listener", "NAME",
             "where it connects; default: internet, or with --user where logins are taken",
             listener),
        { .name = "--tls", .help = "TLS was begun", .flag = &q.tls },
        TEXT("--user", "U", "the login, with the right password", user),
        TEXT("--app-password", "NAME", "with this app password of the user's", app_password),
        TEXT("--mechanism", "M", "how it logs in; default: the first that is offered", mechanism),
        TEXT("--certificate", "F",
             "the client's certificate: a PEM file, or its key as spki-sha256:HEX", certificate),
        TEXT("--local-user", "U", "handed in on this host by this user (postern send)", local_user),
        TEXT("--popped", "U",
             "this login has just used POP3 from the address; default: as the running server knows",
             popped),
        TEXT("--helo", "N", "what it says in EHLO", helo),
        { .name = "--retried",
          .help = "greylist: it has tried before, long enough ago",
          .flag = &q.retried },
        EACH("--listed", "as if this DNS list had the client (LIST or LIST:127.0.0.4)", listed),
        TEXT("--from", "A", "envelope sender; <> is the null sender", from),
        TEXT("--to", "A", "recipient", to),
        EACH("--header-from", "a mailbox in From; may be given again", header_from),
        TEXT("--from-fields", "N", "the message has N From fields; default: 1", from_fields),
        EACH("--sender-header", "a mailbox in Sender", sender_header),
        EACH("--reply-to", "a mailbox in Reply-To", reply_to),
        TEXT("--size", "N", "octets of the message, or 5MiB", size),
        TEXT("--recipients", "N", "the recipient is the Nth of its message", recipients),
        TEXT("--sent", "N", "messages sent already; default: what the running server has counted",
             sent),
        TEXT("--probe", "ANSWER",
             "recipients = probe: what the server behind says of the recipient: takes, refuses, "
             "later",
             probe),
        TEXT("--at", "TIME", "as if it were 2026-11-20T09:30:00Z", at),
        { .name = "--offline",
          .help = "do not ask the running server what it has counted",
          .flag = &q.offline },
        { .name = "--json", .help = "one JSON object", .flag = &q.json },
        { .name = "--batch",
          .help = "questions on standard input, one a line as a JSON object of these options",
          .flag = &q.batch },
    };
    const struct options o = {
        .command = "why",
        .arguments = "",
        .sentence = "what one message would meet with, rule by rule, and what would make it pass",
        .rows = rows,
        .row_count = COUNT_OF(rows),
    };
    int code = options_parse(&o, argc, argv);
    if (code != OPTIONS_GO_ON)
        return code;
    struct arena *arena = arena_open();
    struct answer *w = ARENA_NEW(arena, struct answer);
    w->options = &o;
    w->q = &q;
    w->arena = arena;
    struct looking looking = { .loop = loop_open() };
    w->looking = &looking;
    code = open_config(w);
    if (code == OPTIONS_GO_ON) {
        open_directory(w);
        code = q.batch ? answer_batch(w, &q) : answer(w);
    }
    lookup_close(&looking.lookup);
    loop_close(&looking.loop);
    directory_db_close(&w->directory);
    config_close(&w->config);
    arena_close(&arena);
    return code;
}
