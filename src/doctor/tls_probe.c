/* tls_probe: TLS from all sides: the certificate, each thing that can be wrong with it apart; which versions the
 * server speaks, each in a connection of its own; whether it takes mail without; DANE. */
#include "base/must.h"
#include "base/num.h"
#include "doctor/examine_parts.h"
#include "message/address.h"
#include "trust/tlsa.h"

#include <string.h>

enum { SOON_S = 14 * 24 * 60 * 60, LOOK_MS = 10 * 1000, KEY_LEAST = 2048 };

#define TEXT(...) arena_printf(e->arena, __VA_ARGS__)

static struct finding *found(struct examination *e, enum severity severity, const char *id,
                             struct bytes text) {
    struct finding_list *l = &e->out->findings;
    struct finding *f = finding_add(l, severity, id, "STARTTLS", "%.*s", BYTES_FMT(text));
    finding_about(l, f, "%.*s", BYTES_FMT(examine_place(e->arena, e->host, e->address)));
    return f;
}

/* --- the certificate -------------------------------------------------------------------------------------- */

static struct bytes date(struct examination *e, int64_t wall) {
    struct buf b = buf_grow(64);
    num_format_rfc3339(&b, wall);
    struct bytes text = arena_copy(e->arena, bytes_first(buf_bytes(&b), 10));
    buf_free(&b);
    return text;
}

static struct bytes names_of(struct examination *e, const struct tls_look *k) {
    struct buf b = buf_grow(4096);
    for (size_t i = 0; i < k->name_count && i < 12; i++) {
        buf_str(&b, i ? ", " : "");
        buf_add(&b, k->names[i]);
    }
    if (k->name_count > 12)
        buf_printf(&b, " and %zu more", k->name_count - 12);
    struct bytes text = b.len ? arena_copy(e->arena, buf_bytes(&b)) : B("no name");
    buf_free(&b);
    return text;
}

/* Mail servers encrypt with any certificate rather than not at all (RFC 7435); mail programs, and whoever hands
 * over a password, do not. A date that is over, or a name that is another's, is a mistake anywhere. */
static enum severity weight(const struct examination *e, bool mistake) {
    if (e->want->tls == EXAMINE_TLS_TRY)
        return SEVERITY_WARNING;
    bool transfer = e->address.port == 25 && !e->want->login && e->want->tls == EXAMINE_TLS_DEFAULT;
    return mistake || !transfer ? SEVERITY_ERROR : SEVERITY_WARNING;
}

static void fault(struct examination *e, enum severity severity, const char *id, struct bytes seen,
                  const char *means, const char *fix) {
    struct finding_list *l = &e->out->findings;
    struct finding *f = found(e, severity, id, seen);
    finding_means(l, f, "%s", means);
    finding_fix(l, f, "%s", fix);
    f->who = "server-admin";
    if (severity == SEVERITY_ERROR)
        e->blamed = STEP_STARTTLS;
}

static void dates(struct examination *e, const struct tls_look *k) {
    int64_t now = loop_wall(e->loop);
    struct bytes when = date(e, k->not_after);
    if (k->late)
        fault(e, weight(e, true), "tls.expired",
              k->not_after <= now ? TEXT("the certificate expired on %.*s", BYTES_FMT(when))
                                  : B("a certificate of its chain has expired"),
              "Clients that insist on a valid certificate do not connect.",
              "Renew the certificate and restart or reload the mail server.");
    else if (k->early)
        fault(e, weight(e, true), "tls.early",
              TEXT("the certificate is valid only from %.*s on", BYTES_FMT(date(e, k->not_before))),
              "The clock of the server that made it, or of this computer, is wrong.",
              "Set the clocks, then make the certificate anew.");
    else if (k->not_after - now < (int64_t)SOON_S * 1000)
        fault(e, SEVERITY_WARNING, "tls.expiry",
              TEXT("the certificate expires on %.*s, in less than 14 days", BYTES_FMT(when)),
              "Clients that insist on a valid certificate will not connect from then on.",
              "Renew the certificate.");
    else
        found(e, SEVERITY_INFO, "tls.expiry",
              TEXT("the certificate is valid until %.*s", BYTES_FMT(when)));
}

/* An address was given: then the name that the server itself goes by will do. */
static bool name_fits(const struct examination *e, const struct tls_look *k) {
    struct addr literal;
    if (k->name_ok)
        return true;
    if (e->want->tls_name.len || (!addr_parse(e->host, &literal) && !e->want->path.len))
        return false;
    return tls_look_has_name(k, e->seen.plain.name) || tls_look_has_name(k, e->seen.secure.name);
}

static void name(struct examination *e, const struct tls_look *k) {
    struct bytes wanted = e->want->tls_name.len ? e->want->tls_name : e->host;
    struct bytes names = names_of(e, k);
    if (name_fits(e, k))
        found(e, SEVERITY_INFO, "tls.name",
              k->name_ok ? TEXT("the certificate carries the name %.*s", BYTES_FMT(wanted))
                         : TEXT("the certificate carries the name the server greets with: %.*s",
                                BYTES_FMT(names)));
    else
        fault(
            e, weight(e, true), "tls.name",
            TEXT("the certificate is for %.*s, not for %.*s", BYTES_FMT(names), BYTES_FMT(wanted)),
            "Clients that insist on the name do not connect, or warn.",
            "Get a certificate with this name in it, or let clients use a name that it carries.");
}

static void chain(struct examination *e, const struct tls_look *k) {
    if (k->chain_ok)
        found(e, SEVERITY_INFO, "tls.chain",
              TEXT("issued by %.*s; the chain leads to a known root", BYTES_FMT(k->issuer)));
    else if (k->self_signed)
        fault(e, weight(e, false), "tls.self-signed",
              TEXT("the certificate is self-signed: %.*s", BYTES_FMT(k->subject)),
              "Nobody but the server itself vouches for it; clients that insist do not connect.",
              "Get a certificate from an authority that clients know, or name this one with --ca.");
    else
        fault(
            e, weight(e, false), "tls.chain",
            TEXT("the chain leads to no known root: %.*s (issued by %.*s, %zu certificate%s sent)",
                 BYTES_FMT(k->chain_error), BYTES_FMT(k->issuer), k->sent_count,
                 k->sent_count == 1 ? "" : "s"),
            "Clients that insist do not connect.",
            k->sent_count == 1
                ? "Set the server to send the intermediate certificates, too (the full chain)."
                : "Get a certificate from an authority that clients know, or name its root with --ca.");
}

static void key(struct examination *e, const struct tls_look *k) {
    bool weak_key = bytes_starts_nocase(k->key, B("RSA")) && k->key_bits && k->key_bits < KEY_LEAST;
    bool weak_signature = bytes_search_nocase(k->signature, B("SHA1")) >= 0 ||
                          bytes_search_nocase(k->signature, B("MD5")) >= 0;
    struct bytes text = TEXT("%.*s with %d bits, signed with %.*s", BYTES_FMT(k->key), k->key_bits,
                             BYTES_FMT(k->signature));
    if (weak_key || (weak_signature && !k->self_signed))
        fault(e, SEVERITY_WARNING, "tls.key", text,
              "That is too weak for today; many clients refuse it.",
              "Make a new key (RSA with 2048 bits or more, or P-256) and certificate.");
    else
        found(e, SEVERITY_INFO, "tls.key", text);
}

void tls_certificate_findings(struct examination *e) {
    const struct tls_look *k = e->seen.tls.look;
    if (!k)
        return;
    chain(e, k);
    name(e, k);
    dates(e, k);
    key(e, k);
}

/* --- versions ---------------------------------------------------------------------------------------------------- */

static bool had_version(const struct examination *e, const char *protocol) {
    return e->seen.secured && bytes_equal(e->seen.tls.protocol, bytes_str(protocol));
}

static bool speaks(struct examination *e, int version, bool *known_out) {
    struct conversation_want want = examine_talk_want(e, "tls");
    struct conversation_seen seen;
    want.transcript = NULL;
    want.tls_minimum = want.tls_maximum = version;
    want.until = STEP_STARTTLS;
    if (want.timeout_ms > LOOK_MS)
        want.timeout_ms = LOOK_MS;
    examine_talk(e, &want, &seen);
    *known_out = seen.secured || (seen.step == STEP_STARTTLS &&
                                  (seen.how == HOW_HANDSHAKE || seen.how == HOW_CLOSED));
    return seen.secured;
}

static void version(struct examination *e, int number, const char *protocol, bool old) {
    bool known = true;
    bool has = had_version(e, protocol) || speaks(e, number, &known);
    struct finding_list *l = &e->out->findings;
    if (!known) {
        finding_skip(l, "tls.version", "STARTTLS", "%s: the connection failed before TLS",
                     protocol);
        return;
    }
    if (has && old) {
        struct finding *f =
            found(e, SEVERITY_WARNING, "tls.version", TEXT("it speaks %s", protocol));
        finding_means(l, f, "That version is outdated (RFC 8996).");
        f->who = "server-admin";
        finding_fix(l, f, "Switch TLS 1.0 and 1.1 off, unless old devices need them.");
    } else {
        found(e, SEVERITY_INFO, "tls.version",
              TEXT("it %s %s", has ? "speaks" : "does not speak", protocol));
    }
}

static void versions(struct examination *e) {
    static const struct {
        int number;
        const char *protocol;
        bool old;
    } all[] = { { 10, "TLSv1", true },
                { 11, "TLSv1.1", true },
                { 12, "TLSv1.2", false },
                { 13, "TLSv1.3", false } };
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        if (examine_left(e) < LOOK_MS) {
            finding_skip(&e->out->findings, "tls.version", "STARTTLS", "%s: there was no time left",
                         all[i].protocol);
            continue;
        }
        version(e, all[i].number, all[i].protocol, all[i].old);
    }
}

/* --- without TLS ---------------------------------------------------------------------------------------------------- */

static void enforcement(struct examination *e) {
    struct finding_list *l = &e->out->findings;
    struct conversation_want want = examine_talk_want(e, "without TLS");
    struct conversation_seen seen;
    if (e->implicit) {
        found(e, SEVERITY_INFO, "tls.enforced", B("this port has TLS from the first octet"));
        return;
    }
    if (e->want->until < STEP_MAIL) {
        finding_skip(l, "tls.enforced", "STARTTLS",
                     "whether it takes mail without TLS: it was not to go as far as MAIL");
        return;
    }
    want.tls = TLS_OFF_WANTED;
    want.mail = true;
    want.sender = e->sender;
    want.recipients = e->recipients;
    want.recipient_count = e->recipient_count > 0;
    want.transcript = NULL;
    examine_talk(e, &want, &seen);
    const struct said *m = &seen.said[STEP_MAIL], *r = &seen.said[STEP_RCPT];
    bool enforced = m->code == 530 ||
                    (m->code >= 400 && m->status.subject == 7 && m->status.detail == 0 &&
                     bytes_search_nocase(m->text, B("tls")) >= 0) ||
                    (r->code >= 400 && bytes_search_nocase(r->text, B("starttls")) >= 0);
    if (m->code)
        found(e, SEVERITY_INFO, "tls.enforced",
              enforced ? TEXT("without TLS it refuses: %.*s",
                              BYTES_FMT(m->code >= 400 ? m->text : r->text))
                       : B("TLS is not enforced: MAIL is answered without it as well"));
    else
        finding_skip(l, "tls.enforced", "STARTTLS",
                     "the conversation without TLS did not get to MAIL: %.*s",
                     BYTES_FMT(seen.words));
}

/* --- DANE ---------------------------------------------------------------------------------------------------------------- */

struct tlsa_wait {
    struct examination *e;
    bool done;
    struct dns_answer answer;
};

static void on_tlsa(void *ctx, const struct dns_answer *answer) {
    struct tlsa_wait *w = ctx;
    struct dns_record *records = ARENA_ARRAY(w->e->arena, answer->count + 1, struct dns_record);
    w->answer = *answer;
    for (size_t i = 0; i < answer->count; i++)
        records[i].data = arena_copy(w->e->arena, answer->records[i].data);
    w->answer.records = records;
    w->done = true;
    loop_stop(w->e->loop);
}

/* RFC 7672 section 3.1: only DANE-TA(2) and DANE-EE(3) count for SMTP. */
static bool fits(const struct tls_look *k, struct bytes octets, bool *usable) {
    struct tlsa_record r;
    if (tlsa_parse(octets, &r) != OK)
        return false;
    *usable = true;
    for (size_t i = 0; i < k->sent_count && (i == 0 || r.usage == TLSA_DANE_TA); i++)
        if (tls_sent_matches(&k->sent[i], r.selector, r.matching, r.data))
            return true;
    return false;
}

static void judge_tlsa(struct examination *e, const struct dns_answer *answer) {
    bool usable = false, fine = false;
    for (size_t i = 0; i < answer->count; i++)
        fine |= fits(e->seen.tls.look, answer->records[i].data, &usable);
    if (fine)
        found(e, SEVERITY_INFO, "tls.dane",
              TEXT("its certificate fits the %zu TLSA record%s%s", answer->count,
                   answer->count == 1 ? "" : "s",
                   answer->secure ? "" : ", which DNSSEC does not protect"));
    else if (!usable)
        fault(e, SEVERITY_WARNING, "tls.dane",
              B("none of its TLSA records is of a usage that SMTP knows (2 or 3)"),
              "They protect nothing.",
              "Publish a record of usage 3, selector 1, type 1 (\"3 1 1\").");
    else
        fault(
            e, answer->secure ? SEVERITY_ERROR : SEVERITY_WARNING, "tls.dane",
            B("its certificate fits none of its TLSA records"),
            "Servers that know DANE will not deliver to it.",
            "Publish a TLSA record for the new key, before it is used; remove those of the old one.");
}

static void dane(struct examination *e) {
    struct finding_list *l = &e->out->findings;
    struct tlsa_wait w = { .e = e };
    struct addr literal;
    if (!e->dns || addr_parse(e->host, &literal) || e->want->path.len || !e->seen.tls.look) {
        finding_skip(l, "tls.dane", "STARTTLS", "%s",
                     e->seen.tls.look ? "an address, not a name, was looked at"
                                      : "there is no certificate to compare");
        return;
    }
    struct bytes name = TEXT("_%u._tcp.%.*s", e->address.port, BYTES_FMT(e->host));
    uint64_t question = e->dns->ask(e->dns->self, name, DNS_TLSA, on_tlsa, &w);
    if (!examine_wait_dns(e, &w.done))
        e->dns->cancel(e->dns->self, question);
    if (!w.done || w.answer.rc != OK)
        finding_skip(l, "tls.dane", "STARTTLS", "the DNS did not answer for %.*s", BYTES_FMT(name));
    else if (!w.answer.count)
        found(e, SEVERITY_INFO, "tls.dane",
              TEXT("there are no TLSA records at %.*s", BYTES_FMT(name)));
    else
        judge_tlsa(e, &w.answer);
}

void tls_probe(struct examination *e) {
    bool begun = e->seen.secured || (e->seen.step == STEP_STARTTLS && e->seen.how >= HOW_CLOSED);
    if (!begun || !e->want->tls_client || e->want->until < STEP_STARTTLS)
        return;
    versions(e);
    if (e->seen.secured)
        enforcement(e);
    dane(e);
    sts_probe(e);
}
