/* relaytest_judge: what the answers mean, and above all what they do not. This file alone knows the false
 * alarms: servers that take anything in their own domain, a target that is the server's own, a tester in
 * a network that may relay, servers that accept first and refuse, return or drop later; and the
 * other way round, refusals that say nothing about relaying. */
#include "base/must.h"
#include "doctor/relaytest.h"

#include <string.h>

enum { NAMED_MAX = 12, SLOW_MS = 5000 };

struct judging {
    struct relaytest_seen *seen;
    struct finding_list *findings;
    int64_t waited_ms;
    size_t refused, later, untried, accepted, harmless, proven, returned;
    size_t told; /* refusals of foreign recipients that say something */
};

const char *relay_verdict_grade(enum relay_verdict v) {
    static const char *const names[] = { "refused", "unclear", "accepted", "proven" };
    return names[v];
}

static const struct relay_test *find(const struct relaytest_seen *seen, const char *id) {
    for (size_t i = 0; i < seen->count; i++)
        if (!strcmp(seen->tests[i].id, id))
            return &seen->tests[i];
    return NULL;
}

static bool is_accepted(const struct relay_test *t) {
    return t && t->grade >= RELAY_ACCEPTED;
}

/* --- does a refusal tell us anything? --------------------------------------------------------------- */

static bool is_one_of(const char *word, const char *const *list) {
    for (; *list; list++)
        if (!strcmp(word, *list))
            return true;
    return false;
}

/* The server had another reason: it may well relay what it likes better. At RCPT for a domain that is not the
 * server's any other refusal is one of relaying, whatever its words (they may say "no such user"). */
static bool decides(const struct relay_test *t) {
    static const char *const others[] = {
        "blocklisted",
        "reputation",
        "greylisted",
        "rate-limited",
        "ptr-required",
        "host-unknown",
        "domain-takes-no-mail",
        "no-route",
        "unreachable",
        "server-fault",
        "system-full",
        "timeout",
        "syntax",
        "not-supported",
        "spf-failed",
        "dmarc-failed",
        "dkim-failed",
        "sender-unverified",
        "sender-blocked",
        "sender-domain-invalid",
        "spam-content",
        "content-rejected",
        "quota",
        "suspended",
        "account-restricted",
        "loop",
        "tls-failed",
        "tls-required",
        "too-many-recipients",
        NULL,
    };
    static const char *const at_mail[] = { "auth-required", NULL };
    if (t->grade != RELAY_REFUSED || !t->cause)
        return false;
    if (!strncmp(t->cause, "relay-", strlen("relay-")) || is_one_of(t->cause, at_mail))
        return true;
    if (!strcmp(t->stage, "MAIL"))
        return false;
    return !is_one_of(t->cause, others);
}

/* --- what is harmless ----------------------------------------------------------------------------------- */

/* Does the server take anybody at this place of its own, or (as the forms' local parts shrink to it when a
 * server cuts them at a % or !) the recipient's local part? */
static bool takes_anything(const struct relaytest_seen *seen, enum relay_place place) {
    for (size_t i = 0; i < seen->count; i++)
        if (seen->tests[i].control && seen->tests[i].place == place && is_accepted(&seen->tests[i]))
            return true;
    return false;
}

/* It takes this domain, and refuses to relay to another one: so the domain is its own, or a friend's. */
static bool target_is_its_own(const struct relaytest_seen *seen) {
    const struct relay_test *plain = find(seen, "plain"), *other = find(seen, "control-other");
    return is_accepted(plain) && other && decides(other);
}

static void mark_harmless(struct relaytest_seen *seen) {
    bool own_target = target_is_its_own(seen);
    for (size_t i = 0; i < seen->count; i++) {
        struct relay_test *t = &seen->tests[i];
        if (t->control || t->grade != RELAY_ACCEPTED)
            continue;
        t->harmless = own_target || (t->place != RELAY_FOREIGN && takes_anything(seen, t->place));
    }
}

static void count(struct judging *j) {
    for (size_t i = 0; i < j->seen->count; i++) {
        const struct relay_test *t = &j->seen->tests[i];
        if (t->control)
            continue;
        j->refused += t->grade == RELAY_REFUSED;
        j->told += t->place == RELAY_FOREIGN && decides(t);
        j->later += t->grade == RELAY_LATER;
        j->untried += t->grade == RELAY_UNTRIED;
        j->accepted += t->grade == RELAY_ACCEPTED && !t->harmless;
        j->harmless += t->grade == RELAY_ACCEPTED && t->harmless;
        j->proven += t->grade == RELAY_PROVEN;
        j->returned += t->sent == RELAY_RETURNED;
    }
}

/* --- findings --------------------------------------------------------------------------------------------- */

/* "plain, null-sender and 3 more" of those that `which` picks. */
static const char *ids(struct judging *j, bool (*which)(const struct relay_test *t)) {
    struct buf b = buf_grow(2000);
    size_t n = 0;
    for (size_t i = 0; i < j->seen->count; i++) {
        const struct relay_test *t = &j->seen->tests[i];
        if (t->control || !which(t))
            continue;
        if (n < NAMED_MAX)
            buf_printf(&b, "%s%s", n ? ", " : "", t->id);
        n++;
    }
    if (n > NAMED_MAX)
        buf_printf(&b, " and %zu more", n - NAMED_MAX);
    const char *text = arena_str(j->findings->arena, buf_bytes(&b));
    buf_free(&b);
    return text;
}

static bool pick_proven(const struct relay_test *t) {
    return t->grade == RELAY_PROVEN;
}

static bool pick_accepted(const struct relay_test *t) {
    return t->grade == RELAY_ACCEPTED && !t->harmless;
}

static bool pick_harmless(const struct relay_test *t) {
    return t->grade == RELAY_ACCEPTED && t->harmless;
}

static bool pick_later(const struct relay_test *t) {
    return t->grade == RELAY_LATER;
}

static bool pick_untried(const struct relay_test *t) {
    return t->grade == RELAY_UNTRIED;
}

static bool pick_returned(const struct relay_test *t) {
    return t->sent == RELAY_RETURNED;
}

static bool pick_sent(const struct relay_test *t) {
    return t->sent == RELAY_SENT;
}

static bool pick_content_refused(const struct relay_test *t) {
    return t->grade == RELAY_REFUSED &&
           (!strcmp(t->stage, "DATA") || !strcmp(t->stage, "end of data"));
}

static void fix_server(struct judging *j, struct finding *f) {
    f->who = "server-admin";
    finding_fix(j->findings, f,
                "let relay only those who log in, and networks that are named (Postfix: "
                "smtpd_relay_restrictions and mynetworks; Exim: relay_from_hosts and "
                "relay_to_domains; OpenSMTPD: match rules with \"for any\"; Postern: connectors)");
    finding_fix(
        j->findings, f,
        "look at what lies in front of it as well: a filter or proxy on the same network makes "
        "every stranger look like a neighbour");
}

static void say_proven(struct judging *j) {
    if (!j->proven)
        return;
    struct finding *f = finding_add(j->findings, SEVERITY_ERROR, "relaytest.open", "RCPT",
                                    "messages sent without a login arrived at %.*s@%.*s: %s",
                                    BYTES_FMT(j->seen->names.user),
                                    BYTES_FMT(j->seen->names.target), ids(j, pick_proven));
    finding_means(j->findings, f,
                  "the server relays for strangers: spammers find it within hours, and "
                  "blocklists soon after");
    fix_server(j, f);
    const struct relay_test *t = NULL;
    for (size_t i = 0; i < j->seen->count && !t; i++)
        if (j->seen->tests[i].grade == RELAY_PROVEN && j->seen->tests[i].seen_by.len)
            t = &j->seen->tests[i];
    if (t)
        finding_add(j->findings, SEVERITY_INFO, "relaytest.seen", NULL, "%s was delivered by %.*s",
                    t->id, BYTES_FMT(t->seen_by));
}

/* Everybody everywhere, the impossible too. */
static bool takes_all(const struct judging *j) {
    const struct relay_test *domain = find(j->seen, "control-domain");
    return domain ? is_accepted(domain) : takes_anything(j->seen, RELAY_AT_NAME);
}

static void say_accepted(struct judging *j) {
    if (!j->accepted)
        return;
    bool all = takes_all(j) && is_accepted(find(j->seen, "plain"));
    struct finding *f = finding_add(j->findings, SEVERITY_WARNING,
                                    all ? "relaytest.accepts-all" : "relaytest.accepted", "RCPT",
                                    "%zu forms of a foreign recipient were accepted at RCPT: %s",
                                    j->accepted, ids(j, pick_accepted));
    if (all)
        finding_means(
            j->findings, f,
            "suspicious, but no proof: it takes every recipient at RCPT, one that cannot exist in its "
            "own domain too, and may refuse, return or drop the message later; so do "
            "catch-alls, filters and traps for spammers");
    else
        finding_means(
            j->findings, f,
            "suspicious, but no proof: a server may accept at RCPT and refuse, return or drop "
            "the message later");
    f->who = "server-admin";
    finding_fix(j->findings, f,
                "test from another network as well: a server may let the one you are in relay");
    finding_fix(j->findings, f,
                "prove it: --send-to a mailbox of your own elsewhere, with --seen-in or --listen");
    finding_fix(j->findings, f,
                "if it is yours: refuse foreign recipients at RCPT, whoever sends; what is "
                "accepted and returned later hits forged senders");
}

static void say_harmless(struct judging *j) {
    if (!j->harmless)
        return;
    bool own = target_is_its_own(j->seen);
    struct finding *f = finding_add(
        j->findings, own ? SEVERITY_WARNING : SEVERITY_INFO,
        own ? "relaytest.target-is-its-own" : "relaytest.catch-all", "RCPT",
        own ? "%.*s is taken and another foreign domain is not: %s"
            : "%.*s: it takes any local part in its own domain, so these were local addresses: %s",
        BYTES_FMT(own ? j->seen->names.target : j->seen->names.domain), ids(j, pick_harmless));
    if (own)
        finding_means(j->findings, f,
                      "the domain is the server's own, or one it relays for on purpose: what it "
                      "takes for it proves nothing");
    else
        finding_means(j->findings, f,
                      "no sign of relaying; only what such a server delivers can tell more");
    finding_fix(j->findings, f,
                own ? "test again with --to an address in a domain that it has nothing to do with"
                    : "to be certain of these forms: --send-to");
}

static void say_inside(struct judging *j) {
    struct addr from = j->seen->local, to = j->seen->remote;
    if (!from.family ||
        (addr_is_public(from) && !addr_equal(addr_masked(from, from.family == 4 ? 24 : 48),
                                             addr_masked(to, to.family == 4 ? 24 : 48))))
        return;
    char memory[80];
    struct buf b = buf_fixed(memory, sizeof memory);
    addr_format(&b, from);
    bool matters = j->accepted || j->proven;
    struct finding *f =
        finding_add(j->findings, matters ? SEVERITY_WARNING : SEVERITY_INFO, "relaytest.inside",
                    "connect", "you test from %s, %s", buf_text(&b),
                    addr_is_loopback(from)  ? "this host itself or its loopback network"
                    : !addr_is_public(from) ? "a private network"
                                            : "the server's own network");
    finding_means(
        j->findings, f,
        "servers often let such addresses relay: what is accepted from there proves nothing about "
        "strangers%s",
        matters ? "" : "; what is refused even to them is refused");
    finding_fix(j->findings, f,
                "test from an address outside of all networks that the server knows");
}

static void say_unrelated(struct judging *j) {
    const struct relay_test *plain = find(j->seen, "plain");
    if (j->told || j->accepted || j->proven || !plain || plain->grade != RELAY_REFUSED)
        return;
    struct finding *f =
        finding_add(j->findings, SEVERITY_WARNING, "relaytest.inconclusive", plain->stage,
                    "it refuses for another reason: %d %.*s", plain->code, BYTES_FMT(plain->text));
    finding_means(j->findings, f,
                  "it says nothing about relaying (%s): with a sender and recipient that it likes "
                  "better the answer may be another",
                  plain->cause);
    finding_fix(j->findings, f, "give --from and --to addresses of yours whose domains exist");
    finding_fix(j->findings, f, "test from an address with a PTR record that is on no blocklist");
}

static void say_later(struct judging *j) {
    if (!j->later)
        return;
    const struct relay_test *t = NULL;
    for (size_t i = 0; !t; i++)
        if (j->seen->tests[i].grade == RELAY_LATER && !j->seen->tests[i].control)
            t = &j->seen->tests[i];
    struct finding *f = finding_add(j->findings, SEVERITY_WARNING, "relaytest.later", t->stage,
                                    "%zu forms were put off, not refused (%s): %d %.*s", j->later,
                                    ids(j, pick_later), t->code, BYTES_FMT(t->text));
    finding_means(
        j->findings, f,
        "greylisting, a limit or a fault: what the server would say in a while is not known");
    finding_fix(j->findings, f,
                "run the same test again in some minutes, from the same address and with the same "
                "--from and --to");
}

static void say_untried(struct judging *j) {
    const struct relaytest_seen *s = j->seen;
    if (s->gave_up || (!j->untried && !s->why.len))
        return;
    struct finding *f =
        finding_add(j->findings, SEVERITY_WARNING, "relaytest.untried", NULL,
                    "%zu forms have no answer%s%.*s: %s", j->untried, s->why.len ? ", as " : "",
                    BYTES_FMT(s->why), ids(j, pick_untried));
    finding_means(
        j->findings, f,
        "the server ends conversations, or limits how many one address may have; of these "
        "forms nothing is known");
    finding_fix(j->findings, f,
                "test again later, with a longer --pause, --timeout and --deadline");
}

static void say_what_was_sent(struct judging *j) {
    if (*ids(j, pick_content_refused))
        finding_add(j->findings, SEVERITY_INFO, "relaytest.refused-at-data", "DATA",
                    "accepted at RCPT, and the message was refused: %s",
                    ids(j, pick_content_refused));
    if (j->returned) {
        struct finding *f =
            finding_add(j->findings, SEVERITY_WARNING, "relaytest.returned", NULL,
                        "accepted, and returned in a notice: %s", ids(j, pick_returned));
        finding_means(
            j->findings, f,
            "it does not relay these, but sends notices to whoever stands in MAIL: forged "
            "senders get them (backscatter)");
        finding_fix(j->findings, f, "refuse at RCPT what will not be delivered");
    }
    if (!*ids(j, pick_sent))
        return;
    if (j->waited_ms)
        finding_add(j->findings, SEVERITY_INFO, "relaytest.not-seen", NULL,
                    "accepted whole, and not seen to arrive within %d s: %s",
                    (int)(j->waited_ms / 1000), ids(j, pick_sent));
    else
        finding_skip(
            j->findings, "relaytest.not-seen", NULL,
            "messages were sent, and nobody looks whether they arrive: look for the subject \"Relay test\" in "
            "the mailbox, or give --seen-in or --listen");
}

static void say_slow(struct judging *j) {
    if (j->seen->slowest_ms < SLOW_MS)
        return;
    finding_add(j->findings, SEVERITY_INFO, "relaytest.slow", NULL,
                "its slowest answer took %d s: a tarpit, or a server that asks others first",
                (int)(j->seen->slowest_ms / 1000));
}

static void say_without_tls(struct judging *j) {
    if (!j->seen->no_tls.len)
        return;
    struct finding *f =
        finding_add(j->findings, SEVERITY_WARNING, "relaytest.without-tls", "STARTTLS",
                    "tested without TLS: %.*s", BYTES_FMT(j->seen->no_tls));
    finding_means(
        j->findings, f,
        "a server that wants TLS first refuses everything for that reason, and what it would "
        "relay is not known");
    finding_fix(j->findings, f, "postern doctor tells what is wrong with its TLS");
}

static void say_never_heard(struct judging *j) {
    struct finding *f = finding_add(j->findings, SEVERITY_ERROR, "relaytest.no-conversation",
                                    "connect", "%.*s", BYTES_FMT(j->seen->why));
    finding_means(j->findings, f,
                  "the server does not talk to this address at all; nothing is known about what it "
                  "would relay for others");
    finding_fix(j->findings, f, "test from another address; is port 25 blocked on the way out?");
}

static enum relay_verdict verdict(const struct judging *j) {
    if (j->proven)
        return RELAY_IS_OPEN;
    if (j->accepted)
        return RELAY_IS_SUSPICIOUS;
    size_t silent = j->untried + j->later, all = silent + j->refused + j->harmless;
    bool known = j->told && 2 * silent <= all && !target_is_its_own(j->seen);
    return known ? RELAY_IS_CLOSED : RELAY_IS_UNCLEAR;
}

static void say_closed(struct judging *j) {
    finding_add(j->findings, SEVERITY_INFO, "relaytest.closed", "RCPT", "%zu forms were refused%s",
                j->refused, j->harmless ? ", and those accepted are addresses of its own" : "");
}

enum relay_verdict relaytest_judge(struct relaytest_seen *seen, int64_t waited_ms,
                                   struct finding_list *findings) {
    struct judging j = { .seen = seen, .findings = findings, .waited_ms = waited_ms };
    static void (*const sayings[])(struct judging * j) = {
        say_proven,  say_accepted,      say_inside, say_unrelated, say_later,
        say_untried, say_what_was_sent, say_slow,   say_harmless,  say_without_tls,
    };
    if (seen->gave_up) {
        say_never_heard(&j);
        return RELAY_IS_UNCLEAR;
    }
    mark_harmless(seen);
    count(&j);
    enum relay_verdict v = verdict(&j);
    for (size_t i = 0; i < COUNT_OF(sayings); i++)
        sayings[i](&j);
    if (v == RELAY_IS_CLOSED)
        say_closed(&j);
    return v;
}
