/* words: the part of a report that a person reads. This file knows how to say what happened: the
 * first paragraph tells it whole (to whom, which server, at which step, in whose words, what that
 * means, whose move it is), then come the things to do, then the facts an administrator asks for.
 * What replies mean is not known here but in reply/. */
#include "report/notice.h"

#include "base/must.h"
#include "base/num.h"

#include <string.h>

enum {
    PARAGRAPH_MAX = 16 * 1024,
    REPLY_MAX = 600,
    SUBJECT_MAX = 80,
    NAMES_MAX = 10,  /* recipients listed by name in the facts */
    GROUPS_MAX = 12, /* outcomes told at length */
    LISTED_MAX = 200,
};

/* Below this a meaning is a guess, on which nobody should be sent to work. */
static const double SURE = 0.5;

/* Recipients to whom the same happened. */
struct group {
    const struct outcome *outcome; /* the first one's */
    const struct outcome **members;
    size_t count;
    struct reply_meaning meaning;
};

struct groups {
    struct group list[GROUPS_MAX];
    size_t count;
    const struct outcome **rest; /* told in a line each */
    size_t rest_count;
};

/* --- pieces --------------------------------------------------------------------------------- */

static const char *text_of(const struct notice *n, struct bytes value, size_t max) {
    return arena_str(n->arena, line_clean(n->arena, value, max));
}

static const char *date_of(const struct notice *n, int64_t wall_ms) {
    struct buf b = buf_fixed(arena_alloc(n->arena, 64), 64);
    num_format_rfc5322(&b, wall_ms);
    return buf_text(&b);
}

/* "5 days", "4 hours": rounded as a person would. */
static const char *duration_of(const struct notice *n, int64_t ms) {
    static const struct {
        int64_t ms;
        const char *name;
    } units[] = { { 86400000, "day" }, { 3600000, "hour" }, { 60000, "minute" } };
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        int64_t count = (ms + units[i].ms / 2) / units[i].ms;
        if (ms >= units[i].ms * 2 || (count == 1 && ms >= units[i].ms))
            return arena_printf(n->arena, "%lld %s%s", (long long)count, units[i].name,
                                count == 1 ? "" : "s")
                .at;
    }
    return "less than a minute";
}

/* "mail.adatum.com [192.0.2.9]", as far as it is known; empty if nothing is. */
static const char *server_of(const struct notice *n, const struct outcome *o) {
    struct buf address = buf_fixed(arena_alloc(n->arena, 80), 80);
    if (o->address.family)
        addr_format(&address, o->address);
    const char *host = text_of(n, o->host, 255);
    if (!address.len || !strcmp(host, buf_text(&address)))
        return host;
    return arena_printf(n->arena, "%s%s[%s]", host, host[0] ? " " : "", buf_text(&address)).at;
}

/* `550 5.7.1 Unable to relay`, in the server's words; ours without codes. */
static const char *reply_of(const struct notice *n, const struct outcome *o) {
    char status[12] = "";
    const char *words = text_of(n, o->reply, REPLY_MAX);
    if (!o->remote || !o->code)
        return words;
    status_format(o->status, status);
    return arena_printf(n->arena, "%03d%s%s%s%s", o->code, status[0] ? " " : "", status,
                        words[0] ? " " : "", words)
        .at;
}

/* What had just been done when the server answered. */
static const char *step_of(const struct outcome *o) {
    static const struct {
        const char *command, *words;
    } steps[] = {
        { "connect", "when our server connected to it" },
        { "banner", "in its greeting, before anything had been said" },
        { "EHLO", "when our server introduced itself (command EHLO)" },
        { "STARTTLS", "when encryption was to begin (command STARTTLS)" },
        { "AUTH", "when our server logged in (command AUTH)" },
        { "MAIL", "when told the sender (command MAIL)" },
        { "RCPT", "when told the recipient (command RCPT)" },
        { "DATA", "when the message was to be sent (command DATA)" },
        { "end of data", "after receiving the whole message (end of DATA)" },
    };
    for (size_t i = 0; o->command && i < COUNT_OF(steps); i++)
        if (!strcmp(steps[i].command, o->command))
            return steps[i].words;
    return "in the conversation with our server";
}

static bool is_step(const struct outcome *o, const char *command) {
    return o->command && !strcmp(o->command, command);
}

static const char *recipient_of(const struct notice *n, const struct outcome *o) {
    const struct recipient *r = notice_recipient(n, o);
    const char *original = text_of(n, r->original.len ? r->original : r->final, 320);
    if (!r->final.len || bytes_equal_nocase(r->final, r->original))
        return original;
    return arena_printf(n->arena, "%s (sent on to %s)", original, text_of(n, r->final, 320)).at;
}

static const char *postmaster_of(const struct notice *n) {
    struct bytes postmaster = n->setup->config->postmaster;
    return postmaster.len ? arena_printf(n->arena, " (%s)", text_of(n, postmaster, 320)).at : "";
}

static const char *hostname_of(const struct notice *n) {
    return text_of(n, n->setup->hostname, 255);
}

/* --- grouping ------------------------------------------------------------------------------- */

static bool same_outcome(const struct outcome *a, const struct outcome *b) {
    return a->kind == b->kind && a->code == b->code && a->remote == b->remote &&
           a->uncertain == b->uncertain && bytes_equal(a->reply, b->reply) &&
           bytes_equal(a->host, b->host) && addr_equal(a->address, b->address) &&
           !strcmp(a->command ? a->command : "", b->command ? b->command : "");
}

static struct reply_meaning meaning_of(const struct notice *n, const struct outcome *o) {
    const struct reply_facts facts = {
        .code = o->remote ? o->code : 0,
        .status = o->status,
        .text = o->reply,
        .command = o->command,
        .ours_is_client = true,
        .submission = !bytes_starts(n->job->next_hop, B("mx:")),
        .host = o->host,
    };
    return *reply_explain(&facts);
}

static void add_to_group(const struct notice *n, struct groups *g, const struct outcome *o) {
    size_t i = 0;
    while (i < g->count && !same_outcome(g->list[i].outcome, o))
        i++;
    if (i == GROUPS_MAX) {
        g->rest[g->rest_count++] = o;
        return;
    }
    struct group *group = &g->list[i];
    if (i == g->count) {
        g->count++;
        group->outcome = o;
        group->members = ARENA_ARRAY(n->arena, n->count, const struct outcome *);
        group->meaning = meaning_of(n, o);
    }
    group->members[group->count++] = o;
}

static struct groups *group_outcomes(const struct notice *n) {
    struct groups *g = ARENA_NEW(n->arena, struct groups);
    g->rest = ARENA_ARRAY(n->arena, n->count, const struct outcome *);
    for (size_t i = 0; i < n->count; i++)
        add_to_group(n, g, n->outcomes[i]);
    return g;
}

/* --- sentences ------------------------------------------------------------------------------ */

static bool by_operator(const struct outcome *o) {
    return o->reason && !strcmp(o->reason, "operator.returned");
}

/* No reply was had, or the trouble was found here. */
static void say_trouble(struct buf *p, const struct notice *n, const struct outcome *o) {
    const char *server = server_of(n, o), *reply = reply_of(n, o);
    buf_printf(p, " Our server, %s, ", hostname_of(n));
    if (!server[0] || is_step(o, "DNS"))
        buf_printf(p, "found no way to deliver it: \"%s\".", reply);
    else if (n->setup->kind == REPORT_FAILED) /* nothing broke: it may not or cannot go there */
        buf_printf(p, "cannot pass it on to the server %s: \"%s\".", server, reply);
    else if (is_step(o, "connect") || is_step(o, "banner"))
        buf_printf(p, "could not reach the server %s: \"%s\".", server, reply);
    else
        buf_printf(p, "could not finish the conversation with the server %s (at %s): \"%s\".",
                   server, o->command ? o->command : "an unknown step", reply);
}

/* What the other server did, or what kept ours from reaching it. */
static void say_what_happened(struct buf *p, const struct notice *n, const struct outcome *o) {
    const char *server = server_of(n, o), *reply = reply_of(n, o);
    bool refused = n->setup->kind == REPORT_FAILED || o->code >= 500;
    if (by_operator(o))
        buf_printf(p, " An operator of our server, %s, sent it back: \"%s\".", hostname_of(n),
                   reply);
    else if (o->remote)
        buf_printf(p, " The server %s %s %s, in these words: \"%s\".",
                   server[0] ? server : "it was sent to", refused ? "refused it" : "put it off",
                   step_of(o), reply);
    else
        say_trouble(p, n, o);
    if (o->uncertain)
        buf_str(p, " The connection ended after the message had been sent and before the server had"
                   " confirmed it, so the message may have arrived all the same.");
}

static void say_meaning(struct buf *p, const struct group *g) {
    const struct reply_meaning *m = &g->meaning;
    if (by_operator(g->outcome))
        return;
    if (m->confidence >= 0.8)
        buf_str(p, " This means: ");
    else
        buf_str(p, m->confidence >= SURE ? " Most likely this means: "
                                         : " That does not say why. Perhaps: ");
    buf_str(p, m->explanation);
}

static const char *domain_of(const struct notice *n, const struct outcome *o) {
    const struct recipient *r = notice_recipient(n, o);
    struct bytes mailbox = r->final.len ? r->final : r->original;
    ptrdiff_t at = bytes_find_last(mailbox, '@');
    return text_of(n, bytes_skip(mailbox, (size_t)(at + 1)), 255);
}

static void say_whose_move(struct buf *p, const struct notice *n, const struct group *g) {
    const struct outcome *o = g->outcome;
    const char *who = g->meaning.who, *server = text_of(n, o->host, 255);
    if (by_operator(o))
        buf_printf(p, " Ask the administrator of our server%s for the reason.", postmaster_of(n));
    else if (o->alarm)
        buf_printf(p,
                   " It is the administrator of our server%s who has to put this right, and who"
                   " has been told.",
                   postmaster_of(n));
    else if (g->meaning.confidence < SURE)
        buf_printf(p, " Ask the administrator of mail for %s, and quote these words.",
                   domain_of(n, o));
    else if (!strcmp(who, "sender"))
        buf_str(p, " You can put this right yourself.");
    else if (!strcmp(who, "sender-admin"))
        buf_printf(p,
                   " It is the administrator of the mail server you send through%s who has to put"
                   " this right.",
                   postmaster_of(n));
    else if (!strcmp(who, "recipient"))
        buf_str(p, " It is the recipient who has to put this right.");
    else if (!strcmp(who, "recipient-admin"))
        buf_printf(p, " It is the administrator of mail for %s who has to put this right.",
                   domain_of(n, o));
    else if (!strcmp(who, "network-owner"))
        buf_printf(p,
                   " It is whoever runs the sending server and its network who has to put this"
                   " right: tell your administrator%s.",
                   postmaster_of(n));
    else if (!strcmp(who, "server-admin"))
        buf_printf(p, " It is the administrator of %s who has to put this right.",
                   o->remote && server[0] ? server : hostname_of(n));
    else
        buf_str(p, " Nobody has to do anything.");
}

static void say_fixes(struct buf *b, const struct notice *n, const struct group *g,
                      const char *indent) {
    const char *const *fixes = g->meaning.fixes;
    if (!fixes[0] || by_operator(g->outcome) || g->outcome->alarm || n->doubled ||
        g->meaning.confidence < SURE)
        return;
    buf_printf(b, "\r\n%sWhat to do:\r\n", indent);
    for (unsigned i = 0; fixes[i]; i++) {
        struct bytes first = arena_printf(n->arena, "%s  %u. ", indent, i + 1);
        line_wrap(b, first.at, first.len, bytes_str(fixes[i]));
    }
}

/* --- openings, one a kind ------------------------------------------------------------------- */

static void open_failed(struct buf *p, const struct notice *n) {
    (void)n;
    buf_str(p, "was not delivered.");
}

static void open_gave_up(struct buf *p, const struct notice *n) {
    buf_printf(p, "was not delivered. Our server tried for %s, %u time%s in all, and has given up.",
               duration_of(n, n->setup->now - n->envelope->arrived), n->job->attempt,
               n->job->attempt == 1 ? "" : "s");
    buf_str(p, " This is how the last attempt ended.");
}

static void open_delay(struct buf *p, const struct notice *n) {
    buf_printf(
        p,
        "has not been delivered yet. You need not do anything: our server keeps trying"
        " until %s (about %s from now), and will tell you if it has to give up. It has tried %u time%s"
        " so far. This is how the last attempt ended.",
        date_of(n, n->setup->give_up), duration_of(n, n->setup->give_up - n->setup->now),
        n->job->attempt, n->job->attempt == 1 ? "" : "s");
}

/* For several recipients; what happened to one is told by say_success alone. */
static void open_success(struct buf *p, const struct notice *n) {
    (void)n;
    buf_str(p, "has been delivered or handed on.");
}

static void (*const openings[])(struct buf *, const struct notice *) = {
    [REPORT_FAILED] = open_failed,
    [REPORT_GAVE_UP] = open_gave_up,
    [REPORT_DELAY] = open_delay,
    [REPORT_SUCCESS] = open_success,
};

static const char *success_of(const struct outcome *o) {
    return o->kind == OUTCOME_DELIVERED  ? "was delivered"
           : o->kind == OUTCOME_EXPANDED ? "was passed on"
                                         : "was handed on";
}

static void say_success(struct buf *p, const struct notice *n, const struct outcome *o) {
    if (o->kind == OUTCOME_DELIVERED)
        buf_printf(p, " our server, %s, has put it into the mailbox.", hostname_of(n));
    else if (o->kind == OUTCOME_EXPANDED)
        buf_str(p, " the address stands for several, and each of them is being sent the message.");
    else
        buf_printf(p,
                   " the server %s has accepted it. That server does not tell about the rest of"
                   " the way, so this is the last notice you get of it.",
                   server_of(n, o));
}

/* "Your message "Figures" to bob@adatum.com" */
static void name_message(struct buf *p, const struct notice *n, const char *to) {
    const char *subject = text_of(n, n->subject, SUBJECT_MAX);
    if (n->doubled)
        buf_str(p, n->envelope->flags & ENVELOPE_REPORT ? "A notice of this server"
                                                        : "A message with the null sender");
    else
        buf_str(p, "Your message");
    if (subject[0])
        buf_printf(p, " \"%s\"", subject);
    buf_printf(p, " to %s ", to);
}

static const char *addressees(const struct notice *n, const struct group *g) {
    if (g->count == 1)
        return recipient_of(n, g->outcome);
    return arena_printf(n->arena, "the %zu recipients below", g->count).at;
}

static void say_outcome(struct buf *p, const struct notice *n, const struct group *g) {
    if (n->setup->kind == REPORT_SUCCESS) {
        say_success(p, n, g->outcome);
        return;
    }
    say_what_happened(p, n, g->outcome);
    say_meaning(p, g);
    if (n->setup->kind != REPORT_DELAY && !n->doubled)
        say_whose_move(p, n, g);
}

static void list_members(struct buf *b, const struct notice *n, const struct group *g) {
    if (g->count == 1)
        return;
    buf_str(b, "\r\n");
    for (size_t i = 0; i < g->count && i < LISTED_MAX; i++)
        line_wrap(b, "    ", 6, bytes_str(recipient_of(n, g->members[i])));
    if (g->count > LISTED_MAX)
        buf_printf(b, "    and %zu more, all named in the report below\r\n", g->count - LISTED_MAX);
}

static void tell_group(struct buf *b, const struct notice *n, const struct group *g,
                       const char *indent) {
    list_members(b, n, g);
    if (n->setup->kind == REPORT_FAILED || n->setup->kind == REPORT_GAVE_UP)
        say_fixes(b, n, g, indent);
}

/* One thing happened: one paragraph tells it. */
static void tell_one(struct buf *b, const struct notice *n, const struct group *g) {
    struct buf p = buf_grow(PARAGRAPH_MAX);
    name_message(&p, n, addressees(n, g));
    if (n->setup->kind == REPORT_SUCCESS)
        buf_printf(&p, "%s:", success_of(g->outcome));
    else
        openings[n->setup->kind](&p, n);
    say_outcome(&p, n, g);
    line_wrap(b, "", 0, buf_bytes(&p));
    buf_free(&p);
    tell_group(b, n, g, "");
}

static void tell_rest(struct buf *b, const struct notice *n, const struct groups *g) {
    if (!g->rest_count)
        return;
    buf_str(b, "\r\nThe other recipients, with the words of their servers:\r\n");
    for (size_t i = 0; i < g->rest_count && i < LISTED_MAX; i++) {
        const struct outcome *o = g->rest[i];
        line_wrap(b, "    ", 6,
                  arena_printf(n->arena, "%s: \"%.*s\"", recipient_of(n, o),
                               BYTES_FMT(line_clean(n->arena, bytes_str(reply_of(n, o)), 160))));
    }
    if (g->rest_count > LISTED_MAX)
        buf_printf(b, "    and %zu more, all named in the report below\r\n",
                   g->rest_count - LISTED_MAX);
}

/* Several things happened: how many first, then each. */
static void tell_several(struct buf *b, const struct notice *n, const struct groups *g) {
    struct buf p = buf_grow(PARAGRAPH_MAX);
    name_message(&p, n, arena_printf(n->arena, "%zu recipients", n->count).at);
    openings[n->setup->kind](&p, n);
    buf_str(&p, n->setup->kind == REPORT_SUCCESS ? "" : " The reasons differ:");
    line_wrap(b, "", 0, buf_bytes(&p));
    for (size_t i = 0; i < g->count; i++) {
        buf_clear(&p);
        buf_printf(&p, "To %s:", addressees(n, &g->list[i]));
        say_outcome(&p, n, &g->list[i]);
        buf_str(b, "\r\n");
        line_wrap(b, "* ", 2, buf_bytes(&p));
        tell_group(b, n, &g->list[i], "  ");
    }
    buf_free(&p);
    tell_rest(b, n, g);
}

/* --- the facts ------------------------------------------------------------------------------ */

static void fact(struct buf *b, const char *name, const char *value) {
    char first[24];
    struct buf label = buf_fixed(first, sizeof first);
    if (!value[0])
        return;
    buf_printf(&label, "  %-14s ", name);
    line_wrap(b, buf_text(&label), label.len, bytes_str(value));
}

static const char *members_of(const struct notice *n, const struct group *g) {
    struct buf b = buf_fixed(arena_alloc(n->arena, NAMES_MAX * 800), NAMES_MAX * 800);
    for (size_t i = 0; i < g->count && i < NAMES_MAX; i++)
        buf_printf(&b, "%s%s", i ? ", " : "", recipient_of(n, g->members[i]));
    if (g->count > NAMES_MAX)
        buf_printf(&b, " and %zu more", g->count - NAMES_MAX);
    return buf_text(&b);
}

static const char *client_of(const struct notice *n) {
    const struct envelope *e = n->envelope;
    struct buf b = buf_fixed(arena_alloc(n->arena, 512), 512);
    const char *helo = text_of(n, e->helo, 255);
    if (!e->client.family)
        return "";
    addr_format(&b, e->client);
    if (helo[0])
        buf_printf(&b, ", as %s", helo);
    if (e->protocol.len)
        buf_printf(&b, ", by %s", text_of(n, e->protocol, 20));
    return buf_text(&b);
}

static void message_facts(struct buf *b, const struct notice *n) {
    fact(b, "Message-ID:", text_of(n, n->message_id, 400));
    fact(b, "Queue id:", n->job->id.text);
    fact(b, "Subject:", text_of(n, n->subject, 300));
    fact(b, "From:", n->envelope->sender.len ? text_of(n, n->envelope->sender, 320) : "<>");
    fact(b, "Received:", date_of(n, n->envelope->arrived));
    fact(b, "Received from:", client_of(n));
    fact(b, "Our server:", hostname_of(n));
}

static void outcome_facts(struct buf *b, const struct notice *n, const struct group *g) {
    const struct outcome *o = g->outcome;
    bool success = n->setup->kind == REPORT_SUCCESS;
    fact(b, "To:", members_of(n, g));
    fact(b, "Their server:", server_of(n, o));
    fact(b, "Command:", success || !o->command ? "" : o->command);
    fact(b, o->remote ? "Reply:" : "Trouble:", reply_of(n, o));
    fact(b, "Encryption:", o->tls.len ? text_of(n, o->tls, 200) : o->remote ? "none" : "");
    fact(b, "Attempts:",
         arena_printf(n->arena, "%u, the last on %s", n->job->attempt, date_of(n, n->setup->now))
             .at);
    if (!success)
        fact(b, "Cause:",
             arena_printf(n->arena, "%s (rule %s, %u %% sure)", g->meaning.cause, g->meaning.rule,
                          (unsigned)(g->meaning.confidence * 100 + 0.5))
                 .at);
}

static void tell_facts(struct buf *b, const struct notice *n, const struct groups *g) {
    buf_str(b, "\r\n");
    line_wrap(b, "", 0,
              n->doubled ? B("The facts:")
                         : B("If you need help, forward this whole message to your administrator,"
                             " who will want these facts:"));
    buf_str(b, "\r\n");
    message_facts(b, n);
    for (size_t i = 0; i < g->count; i++) {
        if (g->count > 1)
            buf_str(b, "\r\n");
        outcome_facts(b, n, &g->list[i]);
    }
}

void notice_words(struct buf *b, const struct notice *n) {
    const struct groups *g = group_outcomes(n);
    if (g->count == 1 && !g->rest_count)
        tell_one(b, n, &g->list[0]);
    else
        tell_several(b, n, g);
    if (n->doubled) {
        buf_str(b, "\r\n");
        line_wrap(b, "", 0,
                  B("Its sender is the null sender, as of all such notices, so nobody can be told"
                    " but you, the postmaster."));
    } else if (n->setup->kind == REPORT_FAILED || n->setup->kind == REPORT_GAVE_UP) {
        buf_str(b, "\r\n");
        line_wrap(b, "", 0,
                  B("The message will not be tried again: send it anew when this is put right."));
    }
    tell_facts(b, n, g);
}
