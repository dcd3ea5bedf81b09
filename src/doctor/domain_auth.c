/* domain_auth: DKIM keys, DMARC and BIMI, as receivers of the domain's mail find them (RFC 6376, RFC 8301, RFC 7489). */
#include "base/must.h"
#include "doctor/domain_parts.h"
#include "trust/organisation.h"

#include <string.h>

enum { RSA_MIN = 1024, RSA_GOOD = 2048, RSA_MAX = 4096, TEXTS = 8, SELECTOR_MAX = 120 };

#define found(k, s, id, step, about, ...)                                                          \
    domain_found(k, "sender-admin", s, id, step, about, __VA_ARGS__)

/* --- DKIM ---------------------------------------------------------------------------------------------------- */

/* What signers of large providers and common software are called. */
static const char *const common[] = {
    "default",
    "dkim",
    "mail",
    "selector",
    "selector1",
    "selector2",
    "google",
    "s1",
    "s2",
    "k1",
    "k2",
    "k3",
    "key1",
    "key2",
    "smtp",
    "mx",
    "email",
    "postern",
    "mta",
    "m1",
    "mandrill",
    "mailjet",
    "amazonses",
    "zoho",
    "zmail",
    "fm1",
    "fm2",
    "fm3",
    "protonmail",
    "protonmail2",
    "protonmail3",
    "everlytickey1",
    "everlytickey2",
    "dkim1",
    "dkim2",
    "s1024",
    "s2048",
    "20161025",
    "20210112",
    "20230601",
    "sig1",
    "pic",
    "pm",
    "mg",
    "krs",
    "mailo",
    "mxvault",
    "titan1",
    "hostingermail1",
    "hostingermail-a",
    "hostingermail-b",
    "hostingermail-c",
    "sendgrid",
    "smtpapi",
    "scph0420",
    "cm",
    "dk",
    "private",
    "class",
    "ed25519",
    "rsa",
    "x",
    "turbo-smtp",
    "kl",
    "kl2",
    "ctct1",
    "ctct2",
    "brevo1",
    "brevo2",
};

static void judge_rsa(struct look *k, const struct dkim_key *key, struct bytes about) {
    struct finding *f;
    if (key->bits < RSA_MIN) {
        f = found(k, SEVERITY_ERROR, "dkim.short", "DKIM", about, "the RSA key has %u bits",
                  key->bits);
        MEANS(
            k, f,
            "Receivers ignore signatures by keys below 1024 bits (RFC 8301); they can be forged within hours.");
    } else if (key->bits < RSA_GOOD) {
        f = found(k, SEVERITY_WARNING, "dkim.short", "DKIM", about, "the RSA key has %u bits",
                  key->bits);
        MEANS(k, f, "It still counts, but 2048 bits are what signers should use (RFC 8301).");
    } else if (key->bits > RSA_MAX) {
        f = found(k, SEVERITY_WARNING, "dkim.long", "DKIM", about, "the RSA key has %u bits",
                  key->bits);
        MEANS(
            k, f,
            "Receivers need to take keys of up to 4096 bits only, and the record may not fit an answer.");
    } else {
        return;
    }
    FIX(k, f, "Make a new key of 2048 bits under another selector, publish it, then sign with it.");
}

static void judge_key(struct look *k, const struct dkim_key *key, struct bytes about, bool wanted) {
    struct finding *f;
    if (key->revoked) {
        f = found(k, wanted ? SEVERITY_ERROR : SEVERITY_INFO, "dkim.revoked", "DKIM", about,
                  "the key is revoked (p= is empty)");
        MEANS(k, f, "Every signature with this selector fails.");
        FIX(k, f, "Publish the key that is signed with, or sign with another selector.");
        return;
    }
    found(k, SEVERITY_INFO, "dkim.found", "DKIM", about, "%.*s, %u bits", BYTES_FMT(key->type_name),
          key->bits);
    if (key->type == DKIM_KEY_RSA)
        judge_rsa(k, key, about);
    if (key->testing) {
        f = found(k, SEVERITY_WARNING, "dkim.testing", "DKIM", about,
                  "the record says that signing is being tested (t=y)");
        MEANS(k, f, "Receivers may treat signed mail as if it were not signed.");
        FIX(k, f, "Take t=y away when signatures verify.");
    }
    if (!key->sha256) {
        f = found(k, SEVERITY_ERROR, "dkim.sha1", "DKIM", about,
                  "the record allows no SHA-256 (h=)");
        MEANS(k, f, "Receivers ignore signatures with SHA-1 (RFC 8301).");
        FIX(k, f, "Take h= away, and sign with rsa-sha256.");
    }
    if (!key->email) {
        f = found(k, SEVERITY_ERROR, "dkim.not-mail", "DKIM", about,
                  "the key is not for mail (s=)");
        FIX(k, f, "Take s= away.");
    }
}

static bool is_any(struct bytes text) {
    (void)text;
    return true;
}

static void take_key(struct look *k, struct bytes selector, struct bytes name, struct bytes text,
                     bool wanted) {
    struct domain_report *r = k->report;
    struct dkim_key key;
    enum rc rc = dkim_key_parse(text, k->arena, &key);
    if (r->selector_count < DOMAIN_SELECTORS)
        r->selectors[r->selector_count++] = (struct domain_selector){ selector, key };
    if (rc == OK) {
        judge_key(k, &key, name, wanted);
        return;
    }
    struct finding *f =
        found(k, SEVERITY_ERROR, "dkim.syntax", "DKIM", name, "the record is no key: \"%.*s\" %s",
              BYTES_FMT(bytes_first(key.wrong_at, 100)), key.wrong);
    MEANS(k, f, "Every signature with this selector fails.");
    FIX(k, f,
        "Publish the record as the signing software prints it: \"v=DKIM1; k=rsa; p=...\", in one TXT record.");
}

/* Whether there is something at this selector. */
static bool look_at_selector(struct look *k, struct bytes selector, bool wanted) {
    struct bytes name = domain_below(
        k, arena_str(k->arena, arena_printf(k->arena, "%.*s._domainkey", BYTES_FMT(selector))),
        k->domain);
    struct bytes texts[TEXTS];
    if (!name.len || selector.len > SELECTOR_MAX)
        return false;
    if (!wanted) { /* guesses fail in silence */
        const struct dns_answer *answer = domain_ask(k->facts, name, DNS_TXT);
        if (!answer || answer->rc != OK || !answer->count)
            return false;
    }
    ptrdiff_t count = domain_texts(k, name, wanted ? is_any : dkim_key_is_record, "dkim.failed",
                                   "DKIM", texts, TEXTS);
    if (count < 0)
        return true;
    if (count > 1) {
        struct finding *f = found(k, SEVERITY_ERROR, "dkim.several", "DKIM", name,
                                  "there are %td records at one selector", count);
        MEANS(k, f, "Which of them receivers take is chance (RFC 6376 section 3.6.2.2).");
        FIX(k, f, "Leave one: the key that is signed with.");
    }
    for (ptrdiff_t i = 0; i < count && i < TEXTS; i++)
        take_key(k, selector, name, texts[i], wanted);
    return count > 0;
}

static void look_at_given(struct look *k) {
    for (size_t i = 0; i < k->want->selector_count; i++) {
        struct bytes selector = k->want->selectors[i];
        if (look_at_selector(k, selector, true))
            continue;
        struct bytes about = arena_printf(k->arena, "%.*s._domainkey.%.*s", BYTES_FMT(selector),
                                          BYTES_FMT(k->domain));
        struct finding *f = found(k, SEVERITY_ERROR, "dkim.missing", "DKIM", about,
                                  "there is no key at this selector");
        MEANS(k, f, "Signatures with it fail everywhere.");
        FIX(k, f, "Publish the public key there, as TXT or as the CNAME that the provider names.");
        FIX(k, f, "Compare the selector with s= in the DKIM-Signature of a message that was sent.");
    }
}

static bool was_given(const struct look *k, const char *selector) {
    for (size_t i = 0; i < k->want->selector_count; i++)
        if (bytes_equal_nocase(k->want->selectors[i], bytes_str(selector)))
            return true;
    return false;
}

void domain_look_dkim(struct look *k) {
    size_t hits = 0;
    look_at_given(k);
    if (!k->want->common_selectors)
        return;
    for (size_t i = 0; i < COUNT_OF(common); i++)
        hits += !was_given(k, common[i]) && look_at_selector(k, bytes_str(common[i]), false);
    if (hits || k->want->selector_count)
        return;
    finding_skip(
        &k->report->findings, "dkim.unknown", "DKIM",
        "there is no key at any of %zu selectors that are commonly used; name yours with --selector "
        "(s= in the DKIM-Signature of a message)",
        COUNT_OF(common));
}

/* --- DMARC ------------------------------------------------------------------------------------------------------- */

/* Section 7.1: a domain elsewhere must say that it wants our reports. */
static void look_at_external(struct look *k, struct bytes domain, struct bytes own,
                             const char *tag) {
    struct bytes texts[TEXTS];
    struct bytes lower = arena_lower(k->arena, domain);
    struct bytes label = arena_printf(k->arena, "%.*s._report._dmarc", BYTES_FMT(own));
    struct bytes name = domain_below(k, arena_str(k->arena, label), lower);
    if (!name.len || organisation_same(lower, own))
        return;
    ptrdiff_t count = domain_texts(k, name, dmarc_is_record, "dmarc.failed", "DMARC", texts, TEXTS);
    if (count > 0)
        found(k, SEVERITY_INFO, "dmarc.external-fine", "DMARC", name,
              "%.*s has agreed to take the reports (%s=)", BYTES_FMT(lower), tag);
    if (count != 0)
        return;
    struct finding *f = found(k, SEVERITY_WARNING, "dmarc.external", "DMARC", name,
                              "%s= sends reports to %.*s, which has not agreed to take them", tag,
                              BYTES_FMT(lower));
    MEANS(k, f, "Receivers do not send them there (RFC 7489 section 7.1).");
    FIX(k, f, "%.*s must publish \"%.*s. TXT v=DMARC1\".", BYTES_FMT(lower), BYTES_FMT(name));
    FIX(k, f, "Or take an address of your own domain.");
}

static void look_at_report_domain(struct look *k, struct bytes domain, const char *tag) {
    struct bytes lower = arena_lower(k->arena, domain);
    const struct dns_answer *mx = domain_ask(k->facts, lower, DNS_MX);
    struct addr *list;
    size_t count;
    bool failed;
    if (!mx || mx->rc != OK)
        return;
    bool null = mx->count == 1 && !mx->records[0].name.len;
    if (mx->count && !null)
        return;
    if (!null && (!domain_addresses(k, lower, &list, &count, &failed) || failed || count))
        return;
    struct finding *f = found(k, SEVERITY_WARNING, "dmarc.report-nowhere", "DMARC", lower,
                              "%s= names an address whose domain takes no mail", tag);
    MEANS(k, f, "The reports are lost, and with them the news of who forges the domain.");
    FIX(k, f, "Name an address that somebody reads.");
}

static void judge_uris(struct look *k, const struct dmarc_uri *list, size_t count, struct bytes own,
                       const char *tag) {
    for (size_t i = 0; i < count; i++) {
        if (!list[i].domain.len)
            continue;
        look_at_external(k, list[i].domain, own, tag);
        look_at_report_domain(k, list[i].domain, tag);
    }
}

static void judge_policy(struct look *k, const struct dmarc_record *r, struct bytes name,
                         bool inherited) {
    enum dmarc_policy policy = inherited ? r->subdomain_policy : r->policy;
    struct finding *f;
    if (policy == DMARC_NONE) {
        f = found(k, SEVERITY_WARNING, "dmarc.policy-none", "DMARC", name, "the policy is none%s",
                  inherited ? " for subdomains" : "");
        MEANS(k, f, "Forged mail is reported, not stopped.");
        FIX(k, f,
            "When the reports show all of your own mail passing: p=quarantine, later p=reject.");
    } else {
        found(k, SEVERITY_INFO, "dmarc.policy", "DMARC", name, "the policy is %s%s",
              dmarc_policy_name(policy), inherited ? ", from the organisation's domain" : "");
    }
    if (r->subdomain_policy < r->policy && !inherited) {
        f = found(k, SEVERITY_WARNING, "dmarc.subdomains", "DMARC", name,
                  "subdomains are less protected (sp=%s) than the domain (p=%s)",
                  dmarc_policy_name(r->subdomain_policy), dmarc_policy_name(r->policy));
        MEANS(k, f, "Forgers take a subdomain, also one that does not exist.");
        FIX(k, f, "Take sp= away, or make it as strict.");
    }
    if (r->percent < 100 && policy != DMARC_NONE) {
        f = found(k, SEVERITY_WARNING, "dmarc.percent", "DMARC", name,
                  "the policy is for %u %% of the mail alone (pct=)", r->percent);
        MEANS(k, f, "The rest of forged mail is treated more gently.");
        FIX(k, f, "Take pct= away when the reports look well.");
    }
    if (r->testing) {
        f = found(k, SEVERITY_WARNING, "dmarc.testing", "DMARC", name,
                  "the policy is being tested (t=y)");
        MEANS(k, f, "Receivers that know t= do not apply it.");
        FIX(k, f, "Take t=y away when the reports look well.");
    }
    if (!r->rua_count) {
        f = found(k, SEVERITY_WARNING, "dmarc.no-reports", "DMARC", name,
                  "nobody gets reports (rua=)");
        MEANS(k, f, "Mail of your own that fails, and forgers, stay unseen.");
        FIX(k, f, "Add rua=mailto: and an address that a person or program reads.");
    }
}

static void judge_dmarc(struct look *k, struct bytes text, struct bytes owner) {
    struct domain_report *out = k->report;
    struct bytes name = arena_printf(k->arena, "_dmarc.%.*s", BYTES_FMT(owner));
    bool inherited = !bytes_equal(owner, k->domain);
    enum rc rc = dmarc_parse(text, &out->dmarc);
    out->dmarc_text = text;
    out->dmarc_domain = owner;
    out->has_dmarc = rc == OK;
    found(k, SEVERITY_INFO, "dmarc.found", "DMARC", name, "%.*s", BYTES_FMT(text));
    for (size_t i = 0; i < out->dmarc.problem_count; i++) {
        const struct dmarc_problem *p = &out->dmarc.problems[i];
        struct finding *f =
            found(k, rc == OK ? SEVERITY_WARNING : SEVERITY_ERROR, "dmarc.syntax", "DMARC", name,
                  "\"%.*s\" %s", BYTES_FMT(p->at.len ? p->at : bytes_first(text, 100)), p->what);
        MEANS(k, f,
              rc == OK ? "Receivers ignore this part."
                       : "Receivers treat the domain as if it had no DMARC record.");
        FIX(k, f, "The form is \"v=DMARC1; p=reject; rua=mailto:address\".");
    }
    if (rc != OK)
        return;
    judge_policy(k, &out->dmarc, name, inherited);
    judge_uris(k, out->dmarc.rua, out->dmarc.rua_count, owner, "rua");
    judge_uris(k, out->dmarc.ruf, out->dmarc.ruf_count, owner, "ruf");
}

static void several(struct look *k, struct bytes owner) {
    struct finding *f = found(k, SEVERITY_ERROR, "dmarc.several", "DMARC", owner,
                              "there is more than one DMARC record");
    MEANS(k, f, "Receivers then apply none of them (RFC 7489 section 6.6.3).");
    FIX(k, f, "Leave one.");
}

/* Section 6.6.3: the domain's own, else its organisation's. */
void domain_look_dmarc(struct look *k) {
    struct bytes owners[] = { k->domain, organisation_of(k->domain) };
    struct bytes texts[1];
    for (size_t i = 0; i < COUNT_OF(owners); i++) {
        if (i && bytes_equal(owners[0], owners[1]))
            break;
        ptrdiff_t count = domain_texts(k, domain_below(k, "_dmarc", owners[i]), dmarc_is_record,
                                       "dmarc.failed", "DMARC", texts, COUNT_OF(texts));
        if (count < 0)
            return;
        if (count > 1)
            several(k, owners[i]);
        if (count == 1)
            judge_dmarc(k, texts[0], owners[i]);
        if (count)
            return;
    }
    struct finding *f =
        found(k, SEVERITY_WARNING, "dmarc.none", "DMARC", k->domain, "there is no DMARC record");
    MEANS(
        k, f,
        "Forgers can write the domain into From; Gmail, Yahoo and Microsoft want one from whoever sends much.");
    if (k->report->null_mx)
        FIX(k, f, "If the domain sends no mail either: \"_dmarc.%.*s. TXT v=DMARC1; p=reject\".",
            BYTES_FMT(owners[1]));
    FIX(k, f,
        "Begin with \"_dmarc.%.*s. TXT v=DMARC1; p=none; rua=mailto:postmaster@%.*s\", read the reports, then "
        "p=quarantine and p=reject.",
        BYTES_FMT(owners[1]), BYTES_FMT(owners[1]));
}

/* --- BIMI ------------------------------------------------------------------------------------------------------------ */

static void judge_bimi(struct look *k, struct bytes text, struct bytes name) {
    const struct domain_report *r = k->report;
    struct bimi_record b;
    struct finding *f;
    k->report->bimi_text = text;
    if (bimi_parse(text, &b) != OK) {
        f = found(k, SEVERITY_ERROR, "bimi.syntax", "BIMI", name, "\"%.*s\" %s",
                  BYTES_FMT(b.wrong_at), b.wrong);
        MEANS(k, f, "No logo is shown.");
        FIX(k, f,
            "The form is \"v=BIMI1; l=https://.../logo.svg; a=https://.../certificate.pem\".");
        return;
    }
    found(k, SEVERITY_INFO, "bimi.found", "BIMI", name, "%.*s", BYTES_FMT(text));
    bool enforced = r->has_dmarc && r->dmarc.policy != DMARC_NONE && r->dmarc.percent == 100 &&
                    r->dmarc.subdomain_policy != DMARC_NONE;
    if (!b.declined && !enforced) {
        f = found(k, SEVERITY_WARNING, "bimi.policy", "BIMI", name,
                  "DMARC is not strict enough for a logo to be shown");
        MEANS(
            k, f,
            "Mailboxes show it only under p=quarantine or p=reject for all mail, subdomains too.");
        FIX(k, f, "Make the DMARC policy strict first.");
    }
    if (!b.declined && !b.evidence.len)
        found(k, SEVERITY_INFO, "bimi.no-certificate", "BIMI", name,
              "no certificate for the logo (a=): Gmail and others show it only with one");
}

/* The domain's own, else its organisation's. */
void domain_look_bimi(struct look *k) {
    struct bytes owners[] = { k->domain, organisation_of(k->domain) }, texts[1];
    struct bytes name = BYTES_NONE;
    ptrdiff_t count = 0;
    for (size_t i = 0; i < COUNT_OF(owners) && !count; i++) {
        if (i && bytes_equal(owners[0], owners[1]))
            break;
        name = domain_below(k, "default._bimi", owners[i]);
        count =
            domain_texts(k, name, bimi_is_record, "bimi.failed", "BIMI", texts, COUNT_OF(texts));
    }
    if (count == 1)
        judge_bimi(k, texts[0], name);
    if (count == 0)
        found(k, SEVERITY_INFO, "bimi.none", "BIMI", name, "no logo is published");
    if (count <= 1)
        return;
    struct finding *f = found(k, SEVERITY_ERROR, "bimi.several", "BIMI", name,
                              "there is more than one BIMI record");
    MEANS(k, f, "No logo is shown.");
    FIX(k, f, "Leave one.");
}
