/* verdict: which step is to blame, and what that means. The server's words are explained by the rules
 * (reply/knowledge.h), with what is known of server and client; what happened without words, by the
 * table below. */
#include "base/must.h"
#include "doctor/examine_parts.h"
#include "message/address.h"
#include "reply/knowledge.h"

#include <string.h>

/* --- what happened without words ------------------------------------------------------------------------ */

static const struct fault {
    enum step step; /* STEP_NONE: any */
    enum how how;
    const char *reason; /* NULL: any */
    const char *cause, *who;
    const char *explanation; /* NULL: that of the cause */
    const char *fixes[4];
} faults[] = {
    { STEP_DNS, HOW_UNREACHABLE, "dns.null-mx", "domain-takes-no-mail", NULL, NULL, { 0 } },
    { STEP_DNS, HOW_UNREACHABLE, NULL, "host-unknown", NULL, NULL, { 0 } },
    { STEP_DNS,
      HOW_TIMEOUT,
      NULL,
      "timeout",
      "network-owner",
      "The DNS did not answer, so it is not known where to connect to.",
      { "Try again in some minutes.",
        "See which name servers this computer asks, and whether they answer.",
        "If only this domain fails: its administrator must look after its name servers." } },
    { STEP_CONNECT,
      HOW_UNREACHABLE,
      "connect.refused",
      "unreachable",
      NULL,
      "Nothing listens there: the host answered at once that the port is closed. The mail server does not run, listens "
      "elsewhere, or a firewall turns this client away.",
      { "Check the name and the port: 25 between servers, 587 or 465 for mail programs.",
        "The server's administrator must see that the mail server runs, listens on this address, and that the firewall "
        "lets the client in." } },
    { STEP_CONNECT,
      HOW_UNREACHABLE,
      "connect.source",
      "unreachable",
      "sender",
      "The source address that was asked for is not one of this computer.",
      { "Name one of its own addresses, or none." } },
    { STEP_CONNECT,
      HOW_UNREACHABLE,
      NULL,
      "unreachable",
      "network-owner",
      "No way leads there from here: a route is missing, or the address is of a kind that this network does not have.",
      { "See whether this computer has IPv4, and IPv6, to the outside.",
        "Try the other kind of address: -4 or -6." } },
    { STEP_CONNECT,
      HOW_TIMEOUT,
      NULL,
      "timeout",
      "network-owner",
      "Nothing came back: a firewall on the way drops it, or the host is down. Many networks (homes, hotels, cloud "
      "providers) let nobody out to port 25.",
      { "If a mail program or device is to send: use port 587 or 465 with a login.",
        "If a server is to send: ask the owner of its network to open port 25 outwards, or use a smart host.",
        "Ask the server's administrator whether the host is up and its firewall lets port 25 in." } },
    { STEP_BANNER,
      HOW_CLOSED,
      NULL,
      "unreachable",
      "server-admin",
      "The port is open, but the connection was closed before a greeting: the server turns this address away without a word, "
      "is overloaded, or expects TLS from the first octet.",
      { "Try another port: 465 wants --tls-on-connect.",
        "Look from another network: if it greets there, this address is blocked.",
        "The server's administrator finds the reason in its log." } },
    { STEP_BANNER,
      HOW_TIMEOUT,
      NULL,
      "timeout",
      "server-admin",
      "The port is open, but no greeting came. The server is overloaded or waits for the DNS; or it expects TLS from the first "
      "octet and waits for the client to begin.",
      { "If the port is 465, or another with TLS from the first octet: --tls-on-connect.",
        "Wait longer (--timeout 5min): some servers make strangers wait on purpose.",
        "The server's administrator must look at its load and its DNS." } },
    { STEP_BANNER,
      HOW_NONSENSE,
      NULL,
      "syntax",
      "server-admin",
      "What answers at this port is no mail server.",
      { "Check the name and the port.",
        "If the port wants TLS from the first octet: --tls-on-connect." } },
    { STEP_STARTTLS,
      HOW_NOT_OFFERED,
      NULL,
      "tls-failed",
      "server-admin",
      "The server offers no STARTTLS here, and without encryption the conversation was not to go on.",
      { "Use port 587 with STARTTLS, or 465 with TLS from the first octet.",
        "The server's administrator must set up a certificate and switch STARTTLS on.",
        "If other networks see the offer: something on the way takes it out; ask the owner of this network." } },
    { STEP_STARTTLS,
      HOW_HANDSHAKE,
      "tls.plain",
      "tls-failed",
      "sender",
      "The server answered in plain text where TLS was begun: this port has no TLS from the first octet, or the server does "
      "not do what it said.",
      { "Without --tls-on-connect: ports 25 and 587 begin in plain text and then use STARTTLS.",
        "If STARTTLS was used: the server, or a proxy before it, is broken; tell its administrator." } },
    { STEP_STARTTLS,
      HOW_HANDSHAKE,
      "tls.version",
      "tls-failed",
      "server-admin",
      "The two have no version of TLS in common: the server knows only outdated ones.",
      { "The server's administrator must switch on TLS 1.2 and 1.3." } },
    { STEP_STARTTLS,
      HOW_HANDSHAKE,
      "tls.ciphers",
      "tls-failed",
      "server-admin",
      "The two could not agree on how to encrypt: versions, ciphers, or the kind of key.",
      { "The server's administrator must allow current ciphers, and see that a certificate is loaded." } },
    { STEP_STARTTLS,
      HOW_CLOSED,
      NULL,
      "tls-failed",
      "server-admin",
      "The server closed the connection in the midst of the TLS handshake: most often its certificate or key cannot be read, or "
      "something on the way lets no TLS through.",
      { "The server's administrator finds the reason in its log.", "Look from another network." } },
    { STEP_STARTTLS,
      HOW_TIMEOUT,
      NULL,
      "tls-failed",
      "server-admin",
      "The server said it was ready for TLS, and then fell silent.",
      { "The server's administrator finds the reason in its log.", "Look from another network." } },
    { STEP_STARTTLS,
      HOW_CERTIFICATE,
      NULL,
      "tls-failed",
      "server-admin",
      "The server's certificate does not hold; the findings say what is wrong with it.",
      { 0 } },
    { STEP_STARTTLS,
      HOW_NONSENSE,
      NULL,
      "tls-failed",
      "server-admin",
      "The server's answer to STARTTLS makes no sense, or more came with it in plain text, which an attacker may have put there.",
      { "The server's administrator must update it.", "Look from another network." } },
    { STEP_AUTH, HOW_NOT_OFFERED, NULL, "auth-mechanism", NULL, NULL, { 0 } },
    { STEP_AUTH,
      HOW_UNPROVED,
      NULL,
      "auth-failed",
      "server-admin",
      "The server said that the login is good, but could not prove that it knows the password: it does not, or somebody sits in "
      "between.",
      { "Do not use this server until it is known why.", "Look from another network." } },
    { STEP_END,
      HOW_CLOSED,
      NULL,
      "server-fault",
      "server-admin",
      "The message was handed over whole, but no answer came: it may have been accepted or not.",
      { "Ask the recipient whether it came, before it is sent again.",
        "The server's administrator finds the reason in its log." } },
    { STEP_NONE,
      HOW_CLOSED,
      NULL,
      "server-fault",
      "server-admin",
      "The server closed the connection in the midst of the conversation, without a word.",
      { "Try again; if it lasts, the server's administrator finds the reason in its log.",
        "Look from another network: something on the way may cut connections." } },
    { STEP_NONE,
      HOW_TIMEOUT,
      NULL,
      "timeout",
      "server-admin",
      "The server did not answer in time.",
      { "Wait longer (--timeout 5min).",
        "The server's administrator must look at its load, its DNS, and the filters it asks." } },
    { STEP_NONE,
      HOW_OUT_OF_TIME,
      NULL,
      "timeout",
      "server-admin",
      "It did not come to an end in the time allowed for all of it.",
      { "Allow more (--time)." } },
    { STEP_NONE,
      HOW_NONSENSE,
      NULL,
      "syntax",
      "server-admin",
      "What the server answered is no SMTP.",
      { "The server's administrator must look at it, or at what sits before it." } },
    { STEP_NONE, HOW_HANDSHAKE, NULL, "tls-failed", "server-admin", NULL, { 0 } },
};

static const struct fault *find_fault(enum step step, enum how how, const char *reason) {
    for (size_t i = 0; i < COUNT_OF(faults); i++) {
        const struct fault *f = &faults[i];
        if ((f->step == step || f->step == STEP_NONE) && f->how == how &&
            (!f->reason || (reason && !strcmp(f->reason, reason))))
            return f;
    }
    return NULL;
}

/* --- putting it together ------------------------------------------------------------------------------------ */

static void add_fix(struct verdict *v, struct bytes fix) {
    if (v->fixes < COUNT_OF(v->fix))
        v->fix[v->fixes++] = fix;
}

static void take_cause(struct examination *e, const char *cause) {
    struct verdict *v = &e->out->verdict;
    struct reply_cause c;
    v->cause = cause;
    if (!reply_cause_find(cause, &c))
        return;
    v->who = v->who ? v->who : c.who;
    if (!v->explanation.len)
        v->explanation = bytes_str(c.explanation);
    for (size_t i = 0; c.fixes[i] && !v->fixes; i++)
        for (; c.fixes[i]; i++)
            add_fix(v, bytes_str(c.fixes[i]));
}

static void begin(struct examination *e, enum step step, enum how how) {
    e->out->verdict = (struct verdict){
        .step = step,
        .how = how,
        .exit = step_exit(step),
        .host = examine_place(e->arena, e->host, e->address),
    };
}

void verdict_of_fault(struct examination *e, enum step step, enum how how, const char *reason,
                      struct bytes words) {
    struct verdict *v = &e->out->verdict;
    const struct fault *f = find_fault(step, how, reason);
    begin(e, step, how);
    v->words = words;
    v->confidence = 0.9;
    v->permanent = how != HOW_TIMEOUT && how != HOW_CLOSED && how != HOW_OUT_OF_TIME;
    if (f) {
        v->who = f->who || step != STEP_CONNECT || e->domain.len ? f->who : "server-admin";
        v->explanation = f->explanation ? bytes_str(f->explanation) : BYTES_NONE;
        for (size_t i = 0; i < COUNT_OF(f->fixes) && f->fixes[i]; i++)
            add_fix(v, bytes_str(f->fixes[i]));
    }
    take_cause(e, f ? f->cause : "unknown");
}

/* --- the server's words ------------------------------------------------------------------------------------- */

/* What a step's refusal means when the words do not tell. */
static const char *vague_cause(enum step step, int code) {
    static const struct {
        enum step step;
        const char *permanent, *temporary;
    } vague[] = {
        { STEP_BANNER, "client-denied", "server-fault" },
        { STEP_EHLO, "client-denied", "server-fault" },
        { STEP_STARTTLS, "tls-failed", "tls-failed" },
        { STEP_AUTH, "auth-failed", "server-fault" },
        { STEP_XCLIENT, "client-denied", "server-fault" },
    };
    for (size_t i = 0; i < COUNT_OF(vague); i++)
        if (vague[i].step == step)
            return code < 500 ? vague[i].temporary : vague[i].permanent;
    return NULL;
}

static bool is_submission(const struct examination *e) {
    return e->want->login || e->address.port == 587 || e->address.port == 465;
}

static const struct reply_meaning *explain(const struct examination *e, enum step step) {
    const struct said *said = &e->seen.said[step];
    const struct reply_facts facts = {
        .code = said->code,
        .status = said->status,
        .text = said->text,
        .command = step == STEP_XCLIENT ? "EHLO" : step_name(step),
        .submission = is_submission(e),
        .logged_in = e->seen.logged_in,
        /* At MAIL it knows no recipient yet; but who came by the MX is led astray by it. */
        .mx = !e->mx_known || (step == STEP_MAIL && !e->domain.len) ? REPLY_MX_UNKNOWN
              : e->is_mx                                            ? REPLY_MX_YES
                                                                    : REPLY_MX_NO,
        .host = e->host,
        .banner = e->seen.said[STEP_BANNER].text,
        .sender_domain = address_domain(e->sender),
        .recipient = e->recipient_count ? e->recipients[0] : BYTES_NONE,
    };
    return reply_explain(&facts);
}

/* The meaning lives no longer than until the next question. */
static void take_meaning(struct examination *e, const struct reply_meaning *m) {
    struct verdict *v = &e->out->verdict;
    v->who = m->who;
    v->explanation = arena_copy(e->arena, bytes_str(m->explanation));
    for (size_t i = 0; m->fixes && m->fixes[i]; i++)
        add_fix(v, arena_copy(e->arena, bytes_str(m->fixes[i])));
    take_cause(e, m->cause);
}

static const struct spot *login_elsewhere(const struct examination *e) {
    for (size_t i = 0; i < e->spot_count; i++) {
        const struct conversation_seen *s = &e->spots[i].seen;
        bool offers = s->plain.auth.len || s->secure.auth.len || s->plain.starttls;
        if (s->step == STEP_NONE && offers && e->spots[i].address.port != e->address.port &&
            e->spots[i].address.port != 25)
            return &e->spots[i];
    }
    return NULL;
}

static void fix_first(struct verdict *v, struct bytes fix) {
    size_t last = v->fixes < COUNT_OF(v->fix) ? v->fixes++ : v->fixes - 1;
    memmove(v->fix + 1, v->fix, last * sizeof *v->fix);
    v->fix[0] = fix;
}

/* What the live facts add to the general advice. */
static void advise(struct examination *e) {
    static const char *const logins[] = { "relay-not-authorised", "auth-required", NULL };
    struct verdict *v = &e->out->verdict;
    struct bytes offered = e->seen.secure.auth.len ? e->seen.secure.auth : e->seen.plain.auth;
    bool wants_login = false;
    for (size_t i = 0; logins[i]; i++)
        wants_login |= v->cause && !strcmp(v->cause, logins[i]);
    if (wants_login && !e->want->login && !offered.len)
        ports_look_for_logins(e);
    const struct spot *other = login_elsewhere(e);
    if (v->because.len && v->cause && !strcmp(v->cause, "relay-domain-not-hosted"))
        fix_first(
            v, arena_printf(
                   e->arena,
                   "The server's administrator must make it accept %.*s; or, if it is not to, the "
                   "domain's MX record must name another server.",
                   BYTES_FMT(address_domain(e->refused))));
    if (e->other_port) {
        fix_first(v,
                  arena_printf(e->arena, "Use port %u: there the same was taken.", e->other_port));
    } else if (wants_login && !e->want->login && offered.len) {
        fix_first(v, arena_printf(e->arena,
                                  "Log in: this server offers %.*s here. Try it with --user.",
                                  BYTES_FMT(offered)));
    } else if (wants_login && !e->want->login && other) {
        fix_first(
            v, arena_printf(e->arena,
                            "Log in at port %u of the same server. Try it with --port %u --user.",
                            other->address.port, other->address.port));
    }
}

static void take_settled(struct examination *e, const struct settled *s) {
    struct verdict *v = &e->out->verdict;
    v->because = bytes_str(s->because);
    if (s->doubt || s->confidence > v->confidence)
        v->confidence = s->confidence;
    if (s->doubt)
        add_fix(v,
                arena_printf(e->arena,
                             "If all recipients of %.*s are refused: its administrator must make "
                             "the server accept the domain, or correct its MX record.",
                             BYTES_FMT(address_domain(e->refused))));
    if (!s->cause || !strcmp(s->cause, v->cause))
        return;
    v->who = NULL;
    v->explanation = BYTES_NONE;
    v->fixes = 0;
    v->rule = "probes";
    v->confidence = s->confidence;
    take_cause(e, s->cause);
}

static void explain_words(struct examination *e, enum step step) {
    struct verdict *v = &e->out->verdict;
    const struct said *said = &e->seen.said[step];
    const struct reply_meaning *m = explain(e, step);
    bool is_vague = !strcmp(m->cause, "unknown") || !strcmp(m->cause, "policy");
    const char *instead = is_vague ? vague_cause(step, said->code) : NULL;
    struct settled settled = { 0 };
    v->code = said->code;
    v->status = said->status;
    v->words = said->text;
    v->family = m->family;
    v->permanent = m->permanent;
    v->confidence = m->confidence;
    v->rule = m->rule;
    if (instead)
        take_cause(e, instead);
    else
        take_meaning(e, m);
    probes_run(e, v->cause, v->confidence, &settled);
    if (settled.because)
        take_settled(e, &settled);
    advise(e);
}

/* --- TLS that is to blame, perhaps though all else went well --------------------------------------------------- */

static const struct finding *grave_finding(const struct examination *e, enum step step) {
    const struct finding_list *l = &e->out->findings;
    for (size_t i = 0; i < l->count; i++) {
        const struct finding *f = l->list[i];
        if (f->severity == SEVERITY_ERROR && f->step && !strcmp(f->step, step_name(step)))
            return f;
    }
    return NULL;
}

/* It tells exactly what is wrong: expired, another name, self-signed. */
static void take_finding(struct examination *e, const struct finding *f) {
    struct verdict *v = &e->out->verdict;
    v->explanation = f->means;
    v->fixes = 0;
    for (size_t k = 0; k < f->fixes; k++)
        add_fix(v, f->fix[k]);
}

static void blame_finding(struct examination *e) {
    const struct finding *f = grave_finding(e, e->blamed);
    if (!f)
        return;
    verdict_of_fault(e, e->blamed, HOW_CERTIFICATE, NULL, f->seen);
    take_finding(e, f);
}

/* The certificate was insisted on, and the conversation ended there, or went without the login. */
static void blame_certificate(struct examination *e, struct bytes words) {
    const struct finding *f = grave_finding(e, STEP_STARTTLS);
    verdict_of_fault(e, STEP_STARTTLS, HOW_CERTIFICATE, NULL, words);
    if (f)
        take_finding(e, f);
}

/* --- logins that were not tried -------------------------------------------------------------------------------- */

/* Not even another way to log in. */
static void no_login_at_all(struct verdict *v) {
    v->explanation = B(
        "The server takes no logins on this port, encrypted or not. Ports between servers (25) often are so.");
    v->fixes = 0;
    add_fix(v, B("Use port 587 with STARTTLS, or 465 with TLS from the first octet."));
    add_fix(
        v,
        B("If mail programs are to log in here: the server's administrator must switch logins on for this port."));
}

/* Whose fault it is that there was no login: the connection's, or the server's. */
static void no_login(struct examination *e) {
    struct verdict *v = &e->out->verdict;
    bool could_tls = !e->seen.secured && e->seen.plain.starttls;
    if (e->seen.how == HOW_WITHHELD && !could_tls) {
        if (e->seen.secured)
            blame_certificate(e, e->seen.words);
        else
            verdict_of_fault(e, STEP_STARTTLS, HOW_NOT_OFFERED, NULL, e->seen.words);
        return;
    }
    if (could_tls) {
        verdict_of_fault(e, STEP_AUTH, e->seen.how, NULL, e->seen.words);
        v->who = NULL;
        v->fixes = 0;
        v->explanation = BYTES_NONE;
        take_cause(e, "tls-required");
        return;
    }
    verdict_of_fault(e, STEP_AUTH, e->seen.how, NULL, e->seen.words);
    if (!e->seen.plain.auth.len && !e->seen.secure.auth.len)
        no_login_at_all(v);
    ports_look_for_logins(e);
    const struct spot *other = login_elsewhere(e);
    if (other)
        fix_first(v, arena_printf(e->arena, "Port %u of the same server takes logins: use that.",
                                  other->address.port));
}

static bool merely_late(const struct examination *e) {
    return e->seen.step == STEP_AUTH &&
           (e->seen.how == HOW_WITHHELD || e->seen.how == HOW_NOT_OFFERED);
}

/* --- the rest, and the whole ------------------------------------------------------------------------------------ */

static void blame_quit(struct examination *e) {
    begin(e, STEP_QUIT, e->seen.quit);
    if (e->seen.quit == HOW_REFUSED)
        explain_words(e, STEP_QUIT);
    else
        verdict_of_fault(e, STEP_QUIT, e->seen.quit, NULL, B("its answer to QUIT makes no sense"));
}

/* That the host answers elsewhere narrows it down. */
static void other_ports_answer(struct examination *e) {
    struct buf b = buf_grow(256);
    for (size_t i = 0; i < e->spot_count; i++)
        if (addr_equal(e->spots[i].address, e->address) && e->spots[i].seen.step == STEP_NONE)
            buf_printf(&b, "%s%u", b.len ? ", " : "", e->spots[i].address.port);
    if (b.len && e->seen.step == STEP_CONNECT)
        e->out->verdict.because = arena_printf(
            e->arena, "The host is up: port %s answers. It is port %u that %s.", buf_text(&b),
            e->address.port,
            e->seen.how == HOW_TIMEOUT ? "something on the way, or the host's firewall, drops"
                                       : "is closed");
    buf_free(&b);
}

/* Servers for something else, by what they say first. */
static const struct stranger {
    const char *says, *is, *fix;
} strangers[] = {
    { ": * OK", "an IMAP server: mail is read there, not sent", NULL },
    { ": * BYE", "an IMAP server: mail is read there, not sent", NULL },
    { ": +OK", "a POP3 server: mail is fetched there, not sent", NULL },
    { ": -ERR", "a POP3 server: mail is fetched there, not sent", NULL },
    { ": HTTP/", "a web server", "Check the name and the port." },
    { ": SSH-", "an SSH server", "Check the name and the port." },
};

static void name_stranger(struct verdict *v, struct arena *a) {
    for (size_t i = 0; i < COUNT_OF(strangers); i++) {
        if (bytes_search(v->words, bytes_str(strangers[i].says)) < 0)
            continue;
        v->who = "sender";
        v->explanation = arena_printf(a, "What answers at this port is %s.", strangers[i].is);
        v->fixes = 0;
        if (strangers[i].fix)
            add_fix(v, bytes_str(strangers[i].fix));
        else
            add_fix(v, B("Name the outgoing server (SMTP) instead; the provider tells its name."));
        add_fix(v, B("Mail is sent by port 587 or 465, and between servers by port 25."));
        return;
    }
}

static void blame_fault(struct examination *e) {
    const struct conversation_seen *s = &e->seen;
    struct settled settled = { 0 };
    verdict_of_fault(e, s->step, s->how, s->reason, s->words);
    if (s->step == STEP_BANNER && s->how == HOW_NONSENSE)
        name_stranger(&e->out->verdict, e->arena);
    other_ports_answer(e);
    probes_port(e, &settled);
    if (!settled.because)
        return;
    take_settled(e, &settled);
    fix_first(&e->out->verdict,
              e->implicit ? B("Without --tls-on-connect: begin in plain text, then STARTTLS.")
                          : B("Use TLS from the first octet at this port: --tls-on-connect."));
}

static void all_well(struct examination *e) {
    begin(e, STEP_NONE, HOW_FINE);
    e->out->verdict.exit = e->out->findings.worst == SEVERITY_ERROR;
}

void verdict_make(struct examination *e) {
    const struct conversation_seen *s = &e->seen;
    bool done = s->step == STEP_NONE;
    if (done && e->blamed != STEP_NONE) {
        blame_finding(e);
    } else if (done && (s->quit == HOW_REFUSED || s->quit == HOW_NONSENSE)) {
        blame_quit(e);
    } else if (done) {
        all_well(e);
    } else if (merely_late(e)) {
        no_login(e);
    } else if (s->step == STEP_STARTTLS && s->how == HOW_CERTIFICATE) {
        blame_certificate(e, s->words);
    } else if (s->how == HOW_REFUSED) {
        begin(e, s->step, s->how);
        explain_words(e, s->step);
    } else {
        blame_fault(e);
    }
}
