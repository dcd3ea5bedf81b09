/* content: what only the message itself shows: its form, and whose names its header bears. */
#include "decide/internal.h"

#include <string.h>
#include <strings.h>

enum { HOPS_MAX = 100 };

bool decide_rule_bare_newline(struct decision *d) {
    const struct listener *l = d->facts->listener;
    if (!d->facts->bare_newline || !l)
        return false;
    bool fix = l->bare_newline == BARE_FIX;
    decide_trace(d, decide_listener_name(d, "bare_newline"), fix,
                 fix ? B("bare CR and LF become CRLF") : B("a CR or LF stands alone"));
    if (fix)
        return false;
    decide_change(d, "crlf", true, BYTES_NONE, B("end every line with CR LF (RFC 5321 2.3.8)"));
    decide_change(d, "fix-newlines", true, l->name,
                  SAY(d, "set bare_newline = fix on listener %.*s", BYTES_FMT(l->name)));
    return decide_refuse(d, REFUSE_BARE_NEWLINE,
                         B("The message has a CR or LF that is not part of a CR LF"),
                         B("The program that sends it must end every line with CR LF"));
}

bool decide_rule_hops(struct decision *d) {
    if (d->facts->hops <= HOPS_MAX)
        return false;
    decide_trace(d, B("hops"), false,
                 SAY(d, "%u Received fields, more than %d", d->facts->hops, HOPS_MAX));
    decide_change(d, "end-loop", true, BYTES_NONE,
                  B("end the loop: the Received fields name the hosts that send it in circles"));
    return decide_refuse(
        d, REFUSE_HOPS,
        SAY(d, "Too many hops: the message went through %u servers, in a loop", d->facts->hops),
        B("Its Received fields show which servers pass it in circles"));
}

static bool is_bound_login(const struct facts *f) {
    return f->login.len != 0;
}

bool decide_rule_one_from(struct decision *d) {
    const struct facts *f = d->facts;
    if (!f->charged.count && !is_bound_login(f))
        return false;
    if (f->from_fields == 1) {
        decide_trace(d, B("header: From"), true, B("exactly one"));
        return false;
    }
    decide_trace(d, B("header: From"), false, SAY(d, "%zu From fields", f->from_fields));
    decide_change(d, "one-from", true, BYTES_NONE, B("give the message exactly one From field"));
    return decide_refuse(
        d, REFUSE_FROM_COUNT,
        f->from_fields
            ? SAY(d, "The message has %zu From fields; it must have exactly one", f->from_fields)
            : B("The message has no From field; it must have exactly one"),
        B("Correct the program that wrote it (RFC 5322 section 3.6)"));
}

/* --- whose names the header bears ------------------------------------------------------------------- */

static bool looked_at(const struct connector *c, const char *field) {
    if (c && c->header_from == HEADER_FROM_ANY)
        return false;
    if (strcasecmp(field, "Reply-To") == 0)
        return c && c->header_from == HEADER_FROM_STRICT;
    return true;
}

static bool refuse_app_header(struct decision *d, const struct mailbox_header *m,
                              struct bytes shown) {
    struct bytes app = decide_text_cut(d, d->facts->app_password);
    decide_changes_app(d, m->mailbox);
    return decide_refuse(d, REFUSE_HEADER,
                         SAY(d, "%s names %.*s, which app password %.*s is not for", m->field,
                             BYTES_FMT(shown), BYTES_FMT(app)),
                         B("Put an address there that it is for, or log in with another password"));
}

static bool refuse_header(struct decision *d, const struct mailbox_header *m) {
    struct bytes login = d->facts->login;
    struct bytes shown = decide_text_cut(d, m->mailbox);
    if (m->mailbox.len && decide_app_alone_forbids(d, m->mailbox, true))
        return refuse_app_header(d, m, shown);
    decide_changes_sender(d, m->mailbox, true);
    struct bytes may = decide_sender_words(d, true);
    struct bytes what =
        !m->mailbox.len
            ? SAY(d, "%s is empty, or mail programs would not agree on whom it names", m->field)
        : login.len ? SAY(d, "%s names %.*s, which login %.*s may not send as%s%.*s", m->field,
                          BYTES_FMT(shown), BYTES_FMT(decide_text_cut(d, login)),
                          may.len ? "; it may send as " : "", BYTES_FMT(may))
                    : SAY(d, "%s names %.*s, which %.*s may not send as", m->field,
                          BYTES_FMT(shown), BYTES_FMT(decide_text_addr(d, d->facts->client)));
    struct bytes remedy =
        SAY(d, "Put an address of your own there, or ask the administrator of %.*s for the right",
            BYTES_FMT(d->config->hostname));
    return decide_refuse(d, REFUSE_HEADER, what,
                         decide_fitting(what, remedy, B("Put an address of your own there")));
}

/* c NULL: a login that no connector was charged for. */
static bool check_header(struct decision *d, const struct connector *c) {
    const struct facts *f = d->facts;
    struct bytes name =
        c ? SAY(d, "connector %.*s: header_from", BYTES_FMT(c->name)) : B("login: own addresses");
    for (size_t i = 0; i < f->header_mailbox_count; i++) {
        const struct mailbox_header *m = &f->header_mailboxes[i];
        uint32_t needs = 0;
        if (!looked_at(c, m->field))
            continue;
        enum holds holds = decide_sender(d, c, m->mailbox, true, &needs);
        if (holds == UNSURE)
            return decide_ask(d, needs);
        if (holds == HOLDS)
            continue;
        decide_trace(d, name, false,
                     SAY(d, "%s %.*s is not allowed by the senders rule", m->field,
                         BYTES_FMT(decide_text_cut(d, m->mailbox))));
        return refuse_header(d, m);
    }
    decide_trace(d, name, true, B("every name is allowed"));
    return false;
}

bool decide_rule_header_senders(struct decision *d) {
    const struct facts *f = d->facts;
    for (size_t i = 0; i < f->charged.count; i++) {
        const struct connector *c = config_connector(d->config, f->charged.list[i]);
        /* One that is gone since cannot vouch for anybody: then the own addresses count. */
        if (check_header(d, c))
            return true;
    }
    return !f->charged.count && is_bound_login(f) && check_header(d, NULL);
}

static bool refuse_blocked(struct decision *d, const struct mailbox_header *m,
                           const struct domain *of) {
    struct bytes shown = decide_text_cut(d, m->mailbox);
    struct bytes where = of ? SAY(d, " of domain %.*s", BYTES_FMT(of->name)) : BYTES_NONE;
    decide_trace(
        d, of ? SAY(d, "domain %.*s: blocked_headers", BYTES_FMT(of->name)) : B("blocked_headers"),
        false, SAY(d, "%s %.*s is blocked", m->field, BYTES_FMT(shown)));
    decide_change(d, of ? "unblock-header-domain" : "unblock", false,
                  of ? SAY(d, "%.*s %.*s", BYTES_FMT(of->name), BYTES_FMT(m->mailbox)) : m->mailbox,
                  SAY(d,
                      "take %.*s out of blocked_headers%.*s: unsafe if it was put there for abuse",
                      BYTES_FMT(shown), BYTES_FMT(where)));
    if (of && d->facts->domains.count > 1)
        decide_change(
            d, "split-domain", true, of->name,
            SAY(d, "send it to the recipients outside %.*s by itself", BYTES_FMT(of->name)));
    return decide_refuse(d, REFUSE_BLOCKED_HEADER,
                         SAY(d, "Mail with %.*s in %s is not taken %s%.*s", BYTES_FMT(shown),
                             m->field, of ? "for " : "here", BYTES_FMT(of ? of->name : BYTES_NONE)),
                         SAY(d, "Ask the administrator of %.*s", BYTES_FMT(d->config->hostname)));
}

/* After the data there is one answer for all recipients: what one of their domains blocks is not taken
 * for any of them. */
bool decide_rule_blocked_header(struct decision *d) {
    const struct facts *f = d->facts;
    for (size_t i = 0; i < f->header_mailbox_count; i++) {
        const struct mailbox_header *m = &f->header_mailboxes[i];
        if (m->mailbox.len && patterns_match(d->config->blocked_headers, m->mailbox))
            return refuse_blocked(d, m, NULL);
        for (size_t j = 0; m->mailbox.len && j < f->domains.count; j++) {
            const struct domain *of = config_domain(d->config, f->domains.list[j]);
            if (of && patterns_match(of->blocked_headers, m->mailbox))
                return refuse_blocked(d, m, of);
        }
    }
    return false;
}
