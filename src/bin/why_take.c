/* why_take: from the command line of `postern why` to facts: each option is checked, and completed as the server
 * would. */
#include "base/must.h"
#include "base/num.h"
#include "bin/why_run.h"
#include "flow/app_password.h"
#include "keeper/keeper.h"
#include "message/address.h"
#include "sys/tls.h"

#include <string.h>

/* --- from the command line to facts ---------------------------------------------------------------- */

static int misuse(const struct why_run *w, const char *option, struct bytes given,
                  const char *expected) {
    return options_misuse(w->options, "%s \"%.*s\": %s", option, BYTES_FMT(given), expected);
}

static int take_number(const struct why_run *w, const char *option, struct bytes given,
                       uint64_t *out) {
    if (!given.len || bytes_to_u64(given, UINT64_MAX, out) || num_parse_size(given, out))
        return OPTIONS_GO_ON;
    return misuse(w, option, given, "expected a number");
}

static int take_mailbox(const struct why_run *w, const char *option, struct bytes given,
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

static int take_envelope(struct why_run *w) {
    struct facts *f = &w->facts;
    const struct why_question *q = w->q;
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

static int take_client(struct why_run *w) {
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
static int take_proxy(struct why_run *w) {
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

static int take_listener(struct why_run *w) {
    struct facts *f = &w->facts;
    const struct why_question *q = w->q;
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
static void ask_authorities(struct why_run *w, const struct tls_certificate *certificate) {
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
static int take_certificate(struct why_run *w) {
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

static int take_fields(struct why_run *w, const char *option, const char *field,
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

static int take_header(struct why_run *w) {
    const struct why_question *q = w->q;
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

static int take_numbers(struct why_run *w) {
    const struct why_question *q = w->q;
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

void why_find_windows(struct why_run *w);
/* --- an app password: its name says what it is bound to ------------------------------------------------ */

struct app_search {
    struct why_run *w;
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

static int take_app_password(struct why_run *w) {
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

static int take_listed(struct why_run *w) {
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

int why_take(struct why_run *w) {
    static int (*const takers[])(struct why_run * w) = {
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
        why_find_windows(w);
    return OPTIONS_GO_ON;
}
