/* domain_talk: whether the servers that the DNS names are there, and know the domain. What a refusal of postmaster means
 * comes from the reply knowledge. */
#include "base/must.h"
#include "doctor/domain_parts.h"

#include <string.h>

enum { SOON = 14 * 24 * 60 * 60 };

#define found(k, s, id, about, ...)                                                                \
    domain_found(k, "recipient-admin", s, id, "servers", about, __VA_ARGS__)

static bool is_step(const struct domain_talk *t, const char *step) {
    return t->step && !strcmp(t->step, step);
}

static void judge_unreachable(struct look *k, const struct domain_talk *t, struct bytes about,
                              bool others) {
    enum severity s = others ? SEVERITY_WARNING : SEVERITY_ERROR;
    struct finding *f;
    if (is_step(t, "connect")) {
        f = found(k, s, "mx.unreachable", about, "%.*s", BYTES_FMT(t->words));
        MEANS(k, f,
              others ? "Senders try the others, after waiting."
                     : "Mail for the domain waits, and bounces after some days.");
        FIX(k, f,
            "See whether the mail server runs and listens on this address, and whether a firewall or the provider blocks port 25.");
        FIX(k, f,
            "From this machine other servers may be blocked as well: look from another network, too.");
        return;
    }
    f = found(k, s, "mx.greeting", about, "it ends at %s: %.*s", t->step, BYTES_FMT(t->words));
    MEANS(k, f, "It takes no mail, from here at least.");
    FIX(k, f,
        "Read its log; a refusal of our address alone says nothing about others: look from another network, too.");
}

/* Relaying refused for the very domain: it is not set up there. */
static void judge_refusal(struct look *k, const struct domain_talk *t, struct bytes about) {
    struct bytes recipient = arena_printf(k->arena, "postmaster@%.*s", BYTES_FMT(k->domain));
    const struct reply_facts facts = { .code = t->code,
                                       .status = t->status,
                                       .text = t->words,
                                       .command = "RCPT",
                                       .ours_is_client = true,
                                       .mx = REPLY_MX_YES,
                                       .banner = t->banner,
                                       .recipient = recipient };
    const struct reply_meaning *m = reply_explain(&facts);
    struct finding *f;
    if (t->code / 100 == 4) {
        found(k, SEVERITY_INFO, "mx.later", about,
              "it puts mail to postmaster off for now: %d %.*s", t->code, BYTES_FMT(t->words));
    } else if (!strncmp(m->cause, "relay-", 6)) {
        f = found(k, SEVERITY_ERROR, "mx.stale", about,
                  "the server does not know the domain: %d %.*s", t->code, BYTES_FMT(t->words));
        MEANS(
            k, f,
            "The MX leads to a server that refuses mail for the domain: every message to it bounces there.");
        FIX(k, f, "If mail has moved: change the MX to the new server.");
        FIX(k, f, "If not: enter %.*s among the domains that this server takes mail for.",
            BYTES_FMT(k->domain));
    } else if (!strncmp(m->cause, "recipient-", 10)) {
        f = found(k, SEVERITY_WARNING, "mx.postmaster", about, "postmaster is refused: %d %.*s",
                  t->code, BYTES_FMT(t->words));
        MEANS(k, f, "Every domain with mail must have a postmaster (RFC 5321 section 4.5.1).");
        FIX(k, f, "Make a mailbox or alias postmaster@%.*s.", BYTES_FMT(k->domain));
    } else {
        f = found(k, SEVERITY_WARNING, "mx.refuses", about,
                  "mail to postmaster is refused (%s): %d %.*s", m->cause, t->code,
                  BYTES_FMT(t->words));
        MEANS(k, f, "%s",
              m->explanation ? m->explanation
                             : "It may be about our address, not about the domain.");
        FIX(k, f, "Look from another network, too.");
    }
}

static void judge_tls(struct look *k, const struct domain_talk *t, struct bytes about) {
    struct finding *f;
    if (!t->offers_tls) {
        f = found(k, SEVERITY_WARNING, "mx.no-tls", about, "it does not offer STARTTLS");
        MEANS(k, f, "All mail to it can be read on the way, and some senders refuse to send it.");
        FIX(k, f, "Have the server offer STARTTLS.");
        return;
    }
    if (!k->want->tls)
        return;
    if (!t->secured) {
        f = found(k, SEVERITY_WARNING, "mx.tls-fails", about, "TLS does not come about: %.*s",
                  BYTES_FMT(t->tls_words));
        MEANS(k, f, "Many senders do not fall back to plain text, and the mail waits.");
        FIX(k, f, "See its log for the handshake; TLS 1.2 and 1.3 must be on.");
        return;
    }
    if (t->trusted) {
        found(k, SEVERITY_INFO, "mx.certificate", about,
              "TLS with a certificate that holds for its name");
        return;
    }
    bool must = k->report->has_sts_policy && k->report->sts_policy.mode == MTA_STS_ENFORCE;
    f = found(k, must ? SEVERITY_ERROR : SEVERITY_WARNING, "mx.certificate", about,
              "the certificate does not hold: %.*s", BYTES_FMT(t->tls_words));
    MEANS(k, f,
          must ? "Senders that follow MTA-STS do not deliver to it."
               : "Senders take it all the same; MTA-STS and those that verify would not.");
    FIX(k, f, "Get a certificate for the MX's name from an authority that everybody trusts.");
}

static void look_at(struct look *k, const struct domain_host *h, struct addr a, bool others) {
    const struct domain_talk *t = domain_talk(k->facts, a, h->name);
    struct bytes about =
        arena_printf(k->arena, "%.*s [%.*s]:%u", BYTES_FMT(h->name),
                     BYTES_FMT(domain_address_text(k, a)), k->want->port ? k->want->port : 25);
    if (!t)
        return;
    if (t->no_way) {
        struct finding *f =
            finding_skip(&k->report->findings, "mx.no-way", "servers",
                         "this machine has no way there: %.*s", BYTES_FMT(t->words));
        ABOUT(k, f, "%.*s", BYTES_FMT(about));
        return;
    }
    if (is_step(t, "connect") || is_step(t, "banner") || is_step(t, "EHLO")) {
        judge_unreachable(k, t, about, others);
        return;
    }
    if (t->accepted)
        found(k, SEVERITY_INFO, "mx.answers", about, "it takes mail for postmaster (%.*s)",
              BYTES_FMT(t->banner));
    else if (is_step(t, "RCPT") && t->code)
        judge_refusal(k, t, about);
    else if (t->step)
        judge_unreachable(k, t, about, others);
    judge_tls(k, t, about);
}

static size_t reachable(struct look *k) {
    size_t count = 0;
    for (size_t i = 0; i < k->report->host_count; i++)
        for (size_t j = 0; j < k->report->hosts[i].address_count; j++) {
            const struct domain_talk *t =
                domain_talk(k->facts, k->report->hosts[i].addresses[j], k->report->hosts[i].name);
            count += t && (t->accepted || is_step(t, "RCPT"));
        }
    return count;
}

void domain_look_talk(struct look *k) {
    const struct domain_report *r = k->report;
    if (!k->want->connect) {
        if (r->host_count)
            finding_skip(&k->report->findings, "mx.not-asked", "servers",
                         "the servers themselves were not asked (--connect)");
        return;
    }
    size_t there = reachable(k);
    for (size_t i = 0; i < r->host_count; i++)
        for (size_t j = 0; j < r->hosts[i].address_count; j++)
            look_at(k, &r->hosts[i], r->hosts[i].addresses[j], there > 0);
}
