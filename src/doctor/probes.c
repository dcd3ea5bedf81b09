/* probes: conversations that differ from the one that was refused in one thing each: the login, the sender, the
 * recipient, the port. All end with RSET behind RCPT: none sends mail. What they say together is for
 * settle.c. */
#include "base/must.h"
#include "doctor/examine_parts.h"
#include "doctor/settle.h"
#include "message/address.h"

#include <string.h>

enum { LEAST_MS = 5000, PROBE_MS = 15 * 1000, PORT_MS = 5000 };

#define FOREIGN   B("postmaster@example.org")
#define TEXT(...) arena_printf(e->arena, __VA_ARGS__)

/* What is tried: the same as before but for what a row changes. */
struct trial_want {
    struct bytes what, sender, recipient;
    struct addr address;
    bool login;
};

static bool fits_domain(struct bytes mailbox, struct bytes domain) {
    return domain.len && bytes_equal_nocase(address_domain(mailbox), domain);
}

/* --- which domain is the server's own --------------------------------------------------------------------- */

static bool is_hosted(struct examination *e, struct bytes domain) {
    bool is;
    return domain.len && target_is_mx(e, domain, &is) && is;
}

static struct bytes above(struct bytes name) {
    ptrdiff_t dot = bytes_find(name, '.');
    struct bytes rest = dot > 0 ? bytes_skip(name, (size_t)dot + 1) : BYTES_NONE;
    return bytes_find(rest, '.') > 0 ? rest : name;
}

static struct bytes said_name(const struct examination *e) {
    return e->seen.secure.name.len ? e->seen.secure.name : e->seen.plain.name;
}

/* The first domain whose mail the DNS says it takes; else a guess from its name. */
static void find_hosted(struct examination *e, struct settle_facts *f) {
    struct bytes recipient = address_domain(e->recipients[0]), name = said_name(e), checked;
    const struct bytes candidates[] = { recipient, e->own, address_domain(e->sender), above(name),
                                        name };
    if (e->want->hosted.len) {
        e->hosted = e->want->hosted;
        f->hosted_sure = true;
    }
    for (size_t i = 0; i < COUNT_OF(candidates) && !e->hosted.len; i++)
        if (is_hosted(e, candidates[i])) {
            e->hosted = TEXT("postmaster@%.*s", BYTES_FMT(candidates[i]));
            f->hosted_sure = true;
        }
    bool plausible = bytes_find(name, '.') > 0 && !address_parse_domain(name, e->arena, &checked);
    if (!e->hosted.len && e->own.len)
        e->hosted = TEXT("postmaster@%.*s", BYTES_FMT(e->own));
    else if (!e->hosted.len && plausible)
        e->hosted = TEXT("postmaster@%.*s", BYTES_FMT(above(name)));
    f->hosted_is_domain = f->hosted_sure && fits_domain(e->hosted, recipient);
    f->sender_is_own = fits_domain(e->sender, address_domain(e->hosted)) ||
                       is_hosted(e, address_domain(e->sender));
}

/* --- one conversation ---------------------------------------------------------------------------------------- */

static struct tried *note(struct examination *e, const struct trial_want *t,
                          const struct conversation_seen *seen) {
    if (e->out->tried_count == EXAMINE_TRIED)
        return NULL;
    struct tried *tried = &e->out->tried[e->out->tried_count++];
    *tried = (struct tried){
        .what = t->what,
        .sender = t->sender,
        .recipient = t->recipient,
        .port = t->address.port,
        .login = t->login,
        .step = seen->step,
        .how = seen->how,
        .code = seen->said[seen->step].code,
        .words = seen->words,
    };
    return tried;
}

/* A reply without what differs from one recipient to the next: addresses, numbers. */
static void add_shape(struct buf *b, int code, struct bytes text) {
    struct bytes word;
    buf_printf(b, "%d", code);
    while (bytes_split(&text, ' ', &word)) {
        bool varies = bytes_find(word, '@') >= 0 || bytes_find(word, '<') >= 0;
        for (size_t i = 0; i < word.len; i++)
            varies |= ascii_is_digit(word.at[i]);
        if (!varies)
            buf_lower(b, word);
    }
}

static bool same_words(const struct said *a, const struct said *b) {
    struct buf x = buf_grow(8192), y = buf_grow(8192);
    add_shape(&x, a->code, a->text);
    add_shape(&y, b->code, b->text);
    bool same = bytes_equal(buf_bytes(&x), buf_bytes(&y));
    buf_free(&x);
    buf_free(&y);
    return same;
}

static enum trial result_of(const struct examination *e, const struct conversation_seen *seen) {
    if (seen->step == STEP_NONE && seen->accepted)
        return TRIAL_TAKEN;
    bool refused = seen->how == HOW_REFUSED && (seen->step == STEP_MAIL || seen->step == STEP_RCPT);
    if (refused && seen->step == e->seen.step &&
        !same_words(&seen->said[seen->step], &e->seen.said[seen->step]))
        return TRIAL_OTHERWISE;
    return refused ? TRIAL_REFUSED : TRIAL_FAILED;
}

static enum trial try_one(struct examination *e, const struct trial_want *t) {
    struct conversation_want want = examine_talk_want(e, "probe");
    struct conversation_seen seen;
    if (examine_left(e) < LEAST_MS) {
        finding_skip(&e->out->findings, "probe", step_name(e->seen.step),
                     "%.*s: there was no time left", BYTES_FMT(t->what));
        return TRIAL_NONE;
    }
    want.session = t->what;
    want.transcript = NULL;
    want.address = t->address;
    want.implicit =
        t->address.port == e->address.port ? e->implicit : port_is_implicit(t->address.port);
    want.tls = e->want->tls == EXAMINE_TLS_OFF ? TLS_OFF_WANTED : TLS_TRY_WANTED;
    want.login = t->login;
    want.mail = true;
    want.sender = t->sender;
    want.recipients = &t->recipient;
    want.recipient_count = 1;
    if (want.timeout_ms > PROBE_MS)
        want.timeout_ms = PROBE_MS;
    examine_talk(e, &want, &seen);
    const struct tried *tried = note(e, t, &seen);
    enum trial result = result_of(e, &seen);
    examine_say(e, MARK_NOTE, "tried %.*s: %s %.*s", BYTES_FMT(t->what),
                result == TRIAL_TAKEN    ? "accepted"
                : result == TRIAL_FAILED ? "failed:"
                                         : "refused:",
                BYTES_FMT(tried && result != TRIAL_TAKEN ? tried->words : BYTES_NONE));
    return result;
}

/* --- what differs ------------------------------------------------------------------------------------------------ */

static struct trial_want same(const struct examination *e) {
    return (struct trial_want){
        .sender = e->sender,
        .recipient = e->refused,
        .address = e->address,
        .login = e->want->login,
    };
}

static void without_login(struct examination *e, struct settle_facts *f) {
    struct trial_want t = same(e);
    if (!e->seen.logged_in)
        return;
    t.what = B("without the login");
    t.login = false;
    f->without_login = try_one(e, &t);
}

static void login_sender(struct examination *e, struct settle_facts *f) {
    struct trial_want t = same(e);
    struct bytes user = e->want->auth.user;
    if (!e->seen.logged_in)
        return;
    if (bytes_find(user, '@') < 0 &&
        e->hosted.len) /* a bare name: most likely in the server's own domain */
        user = TEXT("%.*s@%.*s", BYTES_FMT(user), BYTES_FMT(address_domain(e->hosted)));
    if (bytes_find(user, '@') <= 0 || bytes_equal_nocase(user, e->sender))
        return;
    t.what = TEXT("from the login's own address <%.*s>", BYTES_FMT(user));
    t.sender = user;
    f->login_sender = try_one(e, &t);
}

static void null_sender(struct examination *e, struct settle_facts *f) {
    struct trial_want t = same(e);
    if (!e->sender.len)
        return;
    t.what = B("from the null sender <>");
    t.sender = BYTES_NONE;
    f->null_sender = try_one(e, &t);
}

static void foreign_sender(struct examination *e, struct settle_facts *f) {
    struct trial_want t = same(e);
    if (!f->sender_is_own)
        return;
    t.sender = e->want->foreign.len ? e->want->foreign : FOREIGN;
    t.what = TEXT("from a foreign sender <%.*s>", BYTES_FMT(t.sender));
    f->foreign_sender = try_one(e, &t);
}

static void hosted_recipient(struct examination *e, struct settle_facts *f) {
    struct trial_want t = same(e);
    if (!e->hosted.len) {
        finding_skip(
            &e->out->findings, "probe", "RCPT",
            "to a recipient of its own: no domain is known whose mail it takes (--hosted)");
        return;
    }
    if (bytes_equal_nocase(e->hosted, e->refused))
        return;
    t.recipient = e->hosted;
    t.what = TEXT("to a recipient of its own <%.*s>%s", BYTES_FMT(e->hosted),
                  f->hosted_sure ? "" : " (a guess)");
    f->hosted = try_one(e, &t);
}

static void foreign_recipient(struct examination *e, struct settle_facts *f) {
    struct trial_want t = same(e);
    if (!f->is_mx)
        return; /* the one that was refused is foreign */
    t.recipient = e->want->foreign.len ? e->want->foreign : FOREIGN;
    t.what = TEXT("to a foreign recipient <%.*s>", BYTES_FMT(t.recipient));
    f->foreign = try_one(e, &t);
}

static void other_port(struct examination *e, struct settle_facts *f) {
    static const uint16_t others[] = { 587, 465, 25 };
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        const struct spot *s = ports_spot(e, e->address, others[i]);
        struct trial_want t = same(e);
        if (others[i] == e->address.port || !s || s->seen.step != STEP_NONE)
            continue;
        t.what = TEXT("at port %u", others[i]);
        t.address.port = others[i];
        f->other_port = try_one(e, &t);
        e->other_port = f->other_port == TRIAL_TAKEN ? others[i] : 0;
        return;
    }
}

static void (*const trials[])(struct examination *e, struct settle_facts *f) = {
    without_login,    login_sender,      null_sender, foreign_sender,
    hosted_recipient, foreign_recipient, other_port,
};

/* --- when ------------------------------------------------------------------------------------------------------------ */

static bool is_due(const struct examination *e) {
    return e->seen.how == HOW_REFUSED && (e->seen.step == STEP_MAIL || e->seen.step == STEP_RCPT) &&
           e->recipient_count;
}

static struct bytes refused_recipient(const struct examination *e) {
    for (size_t i = 0; i < e->seen.recipient_count; i++)
        if (e->seen.recipients[i].said.code >= 400)
            return e->seen.recipients[i].mailbox;
    return e->recipients[0];
}

void probes_run(struct examination *e, const char *words_cause, double confidence,
                struct settled *out) {
    struct settle_facts f = {
        .step = e->seen.step,
        .words = words_cause,
        .confidence = confidence,
        .login = e->seen.logged_in,
        .mx_known = e->mx_known,
        .is_mx = e->is_mx,
    };
    if (!is_due(e))
        return;
    if (e->want->no_probes || settle_is_clear(words_cause)) {
        finding_skip(
            &e->out->findings, "probe", step_name(e->seen.step),
            e->want->no_probes
                ? "no other conversations to tell causes apart (--no-probes)"
                : "no other conversations were needed: the words leave nothing to be told apart");
        return;
    }
    e->refused = refused_recipient(e);
    find_hosted(e, &f);
    for (size_t i = 0; i < COUNT_OF(trials); i++)
        trials[i](e, &f);
    settle_cause(&f, out);
}

/* --- a port that is not what it was taken for --------------------------------------------------------- */

static bool greets(struct examination *e, bool implicit) {
    struct conversation_want want = examine_talk_want(e, "probe");
    struct conversation_seen seen;
    struct trial_want t = {
        .what = implicit ? B("with TLS from the first octet") : B("in plain text"),
        .address = e->address,
    };
    want.transcript = NULL;
    want.implicit = implicit;
    want.tls = implicit ? TLS_TRY_WANTED : TLS_OFF_WANTED;
    want.until = STEP_BANNER;
    if (want.timeout_ms > PORT_MS)
        want.timeout_ms = PORT_MS;
    examine_talk(e, &want, &seen);
    note(e, &t, &seen);
    bool fine = seen.said[STEP_BANNER].code / 100 == 2;
    examine_say(e, MARK_NOTE, "tried %.*s: %.*s", BYTES_FMT(t.what),
                BYTES_FMT(fine ? seen.said[STEP_BANNER].text : seen.words));
    return fine;
}

void probes_port(struct examination *e, struct settled *out) {
    bool mute = e->seen.step == STEP_BANNER && e->seen.how != HOW_REFUSED && !e->implicit;
    bool plain = e->seen.step == STEP_STARTTLS && e->seen.how == HOW_HANDSHAKE && e->implicit;
    if ((!mute && !plain) || e->want->no_probes || !e->want->tls_client ||
        examine_left(e) < LEAST_MS)
        return;
    if (greets(e, mute))
        settle_port(mute ? PORT_WANTS_TLS : PORT_WANTS_PLAIN, out);
}
