/* session: what the conversation that counts has shown, as findings: one a step, in the order of the steps. What
 * was not reached says so. */
#include "base/must.h"
#include "doctor/examine_parts.h"

#include <string.h>

enum { SLOW_MS = 5000, BANNER_LINES = 3 };

static struct finding *found(struct examination *e, enum severity severity, const char *id,
                             enum step step, struct bytes text) {
    struct finding_list *l = &e->out->findings;
    struct finding *f = finding_add(l, severity, id, step_name(step), "%.*s", BYTES_FMT(text));
    finding_about(l, f, "%.*s", BYTES_FMT(examine_place(e->arena, e->host, e->address)));
    return f;
}

#define TEXT(...) arena_printf(e->arena, __VA_ARGS__)

static size_t lines_of(struct bytes raw) {
    struct bytes line;
    size_t n = 0;
    while (bytes_split(&raw, '\n', &line))
        n++;
    return n;
}

/* --- connection and greeting ------------------------------------------------------------------------------ */

static void banner(struct examination *e) {
    const struct conversation_seen *s = &e->seen;
    const struct said *b = &s->said[STEP_BANNER];
    struct finding_list *l = &e->out->findings;
    if (!b->code)
        return;
    found(e, SEVERITY_INFO, "connect.open", STEP_CONNECT,
          TEXT("connected in %lld ms", (long long)s->connect_ms));
    found(e, SEVERITY_INFO, "banner", STEP_BANNER,
          TEXT("after %lld ms: %d %.*s", (long long)b->ms, b->code, BYTES_FMT(b->text)));
    if (b->ms >= SLOW_MS) {
        struct finding *f = found(e, SEVERITY_WARNING, "banner.slow", STEP_BANNER,
                                  TEXT("the greeting took %.1f s", (double)b->ms / 1000));
        finding_means(
            l, f,
            "It makes clients wait on purpose, or waits for the DNS about this client's address.");
        f->who = "server-admin";
        finding_fix(
            l, f,
            "See that the DNS server it uses answers, and that the client's address has a name (PTR).");
        finding_fix(
            l, f,
            "If the delay is meant (greet pause, postscreen), clients must wait for five minutes.");
    }
    if (lines_of(b->raw) > BANNER_LINES)
        found(
            e, SEVERITY_INFO, "banner.lines", STEP_BANNER,
            TEXT("the greeting has %zu lines; some devices read only the first", lines_of(b->raw)));
    if (!e->spot_count)
        ports_hijack_finding(e, examine_place(e->arena, e->host, e->address), s);
}

/* --- EHLO ----------------------------------------------------------------------------------------------------- */

static struct bytes joined(struct examination *e, struct bytes lines) {
    struct buf b = buf_grow(8192);
    struct bytes line;
    while (bytes_split(&lines, '\n', &line)) {
        buf_str(&b, b.len ? "; " : "");
        buf_add(&b, line);
    }
    struct bytes text = arena_copy(e->arena, buf_bytes(&b));
    buf_free(&b);
    return text;
}

static void ehlo(struct examination *e) {
    const struct conversation_seen *s = &e->seen;
    struct finding_list *l = &e->out->findings;
    if (!s->plain_known && !s->secure_known)
        return;
    if (!s->extended && !e->want->lmtp) {
        struct finding *f = found(e, SEVERITY_WARNING, "ehlo.helo-only", STEP_EHLO,
                                  B("it refuses EHLO and takes HELO: no TLS, no login, no sizes"));
        finding_means(l, f,
                      "The server is very old, or something in between does not let EHLO through.");
        f->who = "server-admin";
        finding_fix(
            l, f,
            "Update the server, or switch off the inspection of SMTP in the firewall before it.");
        return;
    }
    if (s->plain_known)
        found(e, SEVERITY_INFO, "ehlo.keywords", STEP_EHLO,
              TEXT("offers %.*s",
                   BYTES_FMT(s->plain.keywords.len ? joined(e, s->plain.keywords) : B("nothing"))));
    if (s->secure_known)
        found(
            e, SEVERITY_INFO, "ehlo.keywords-tls", STEP_EHLO,
            TEXT("under TLS offers %.*s",
                 BYTES_FMT(s->secure.keywords.len ? joined(e, s->secure.keywords) : B("nothing"))));
}

/* --- STARTTLS --------------------------------------------------------------------------------------------------- */

static bool insists(const struct examination *e) {
    return e->want->tls >= EXAMINE_TLS_REQUIRE || e->want->login;
}

static void starttls(struct examination *e) {
    const struct conversation_seen *s = &e->seen;
    struct finding_list *l = &e->out->findings;
    if (s->secured) {
        found(e, SEVERITY_INFO, e->implicit ? "tls.implicit" : "tls.starttls", STEP_STARTTLS,
              TEXT("%.*s with %.*s, in %lld ms", BYTES_FMT(s->tls.protocol),
                   BYTES_FMT(s->tls.cipher), (long long)s->said[STEP_STARTTLS].ms));
        return;
    }
    if (!s->plain_known)
        return;
    if (e->want->tls == EXAMINE_TLS_OFF) {
        finding_skip(l, "tls.starttls", "STARTTLS",
                     "TLS was switched off (--tls off); the server %s STARTTLS",
                     s->plain.starttls ? "offers" : "does not offer");
        return;
    }
    if (s->starttls_refused) {
        struct finding *f =
            found(e, SEVERITY_ERROR, "tls.refused", STEP_STARTTLS,
                  TEXT("it offers STARTTLS, and then refuses it: %d %.*s",
                       s->said[STEP_STARTTLS].code, BYTES_FMT(s->said[STEP_STARTTLS].text)));
        finding_means(l, f,
                      "Its TLS is not set up: most often the certificate or key cannot be read.");
        f->who = "server-admin";
        finding_fix(l, f,
                    "Look into the server's log for what it says of its certificate and key.");
        if (e->want->tls != EXAMINE_TLS_TRY)
            e->blamed = STEP_STARTTLS;
    } else if (!s->plain.starttls && s->extended && !e->want->lmtp) {
        struct finding *f = found(
            e, insists(e) ? SEVERITY_ERROR : SEVERITY_WARNING, "tls.not-offered", STEP_STARTTLS,
            B("it does not offer STARTTLS: mail and logins can be read on the way"));
        finding_means(l, f,
                      "TLS is not set up there, or something in between takes the offer out.");
        f->who = "server-admin";
        finding_fix(l, f,
                    "Set up a certificate and STARTTLS on the server, or use a port that has TLS.");
    }
}

/* --- AUTH ------------------------------------------------------------------------------------------------------------ */

static void auth_tries(struct examination *e) {
    for (size_t i = 0; i < e->seen.try_count; i++) {
        const struct login_try *t = &e->seen.tries[i];
        if (t->fine)
            found(e, SEVERITY_INFO, "auth.accepted", STEP_AUTH,
                  TEXT("logged in with %.*s", BYTES_FMT(t->mechanism)));
        else
            found(e, SEVERITY_WARNING, "auth.refused", STEP_AUTH,
                  TEXT("%.*s: %d %.*s", BYTES_FMT(t->mechanism), t->code, BYTES_FMT(t->text)));
    }
}

static void auth(struct examination *e) {
    const struct conversation_seen *s = &e->seen;
    struct finding_list *l = &e->out->findings;
    struct bytes before = s->plain.auth, under = s->secure.auth;
    if (before.len || under.len)
        found(e, SEVERITY_INFO, "auth.mechanisms", STEP_AUTH,
              TEXT("without TLS: %.*s; under TLS: %.*s",
                   BYTES_FMT(!s->plain_known ? B("not seen")
                             : before.len    ? before
                                             : B("none")),
                   BYTES_FMT(!s->secure_known ? B("not seen")
                             : under.len      ? under
                                              : B("none"))));
    else if (s->plain_known || s->secure_known)
        found(e, SEVERITY_INFO, "auth.none", STEP_AUTH, B("it offers no login here"));
    bool reveals = bytes_search(before, B("PLAIN")) >= 0 || bytes_search(before, B("LOGIN")) >= 0;
    if (reveals && !addr_is_loopback(e->address)) {
        struct finding *f = found(e, SEVERITY_WARNING, "auth.in-the-clear", STEP_AUTH,
                                  B("it takes passwords over a connection that is not encrypted"));
        finding_means(l, f, "Whoever can listen on the way learns them.");
        f->who = "server-admin";
        finding_fix(l, f, "Offer logins under TLS only.");
    }
    if (!e->want->login && (before.len || under.len))
        finding_skip(l, "auth.accepted", "AUTH", "no login was tried: no user was given (--user)");
    auth_tries(e);
}

/* --- MAIL to the end ---------------------------------------------------------------------------------------------------- */

static struct bytes reply_text(struct examination *e, const struct said *s) {
    char status[12] = "";
    status_format(s->status, status);
    return TEXT("%d %s%s%.*s", s->code, status, *status ? " " : "", BYTES_FMT(s->text));
}

static void mail(struct examination *e) {
    const struct conversation_seen *s = &e->seen;
    const struct said *m = &s->said[STEP_MAIL];
    if (!m->code) {
        if (!e->recipient_count)
            finding_skip(&e->out->findings, "mail.accepted", "MAIL",
                         "MAIL and RCPT were not tried: no recipient was given (--to)");
        return;
    }
    if (m->code < 300)
        found(e, SEVERITY_INFO, "mail.accepted", STEP_MAIL,
              TEXT("from <%.*s>: %.*s", BYTES_FMT(e->sender), BYTES_FMT(reply_text(e, m))));
    for (size_t i = 0; i < s->recipient_count; i++) {
        const struct recipient_said *r = &s->recipients[i];
        if (r->said.code && r->said.code < 300)
            found(
                e, SEVERITY_INFO, "rcpt.accepted", STEP_RCPT,
                TEXT("to <%.*s>: %.*s", BYTES_FMT(r->mailbox), BYTES_FMT(reply_text(e, &r->said))));
        else if (r->said.code)
            found(
                e, SEVERITY_ERROR, "rcpt.refused", STEP_RCPT,
                TEXT("to <%.*s>: %.*s", BYTES_FMT(r->mailbox), BYTES_FMT(reply_text(e, &r->said))));
    }
    if (s->sent)
        found(e, SEVERITY_INFO, "data.accepted", STEP_END, reply_text(e, &s->said[STEP_END]));
    else if (!e->want->send && s->accepted)
        finding_skip(&e->out->findings, "data.accepted", "DATA",
                     "no message was sent: that needs --send");
}

static void farewell(struct examination *e) {
    const struct conversation_seen *s = &e->seen;
    struct finding_list *l = &e->out->findings;
    static const struct {
        enum how how;
        const char *text;
    } rude[] = {
        { HOW_TIMEOUT, "it did not answer QUIT" },
        { HOW_CLOSED, "it closed the connection without an answer to QUIT" },
    };
    if (s->flooded) {
        struct finding *f = found(e, SEVERITY_WARNING, "quit.flood", STEP_QUIT,
                                  B("it went on sending after QUIT, and was cut off"));
        finding_means(l, f, "No mail server does that.");
    }
    if (s->step != STEP_NONE || s->flooded)
        return;
    for (size_t i = 0; i < COUNT_OF(rude); i++)
        if (s->quit == rude[i].how && s->said[STEP_BANNER].code)
            finding_means(l,
                          found(e, SEVERITY_INFO, "quit.rude", STEP_QUIT, bytes_str(rude[i].text)),
                          "That does no harm: all that was accepted before stays so.");
}

void session_findings(struct examination *e) {
    banner(e);
    ehlo(e);
    starttls(e);
    auth(e);
    mail(e);
    farewell(e);
}
