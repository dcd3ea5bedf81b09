/* explain_live_proof: whether the sender's domain vouches for the address the message came from (SPF), whether
 * the keys that its DKIM signatures name are published, and what DMARC makes of both. A signature itself
 * cannot be verified: the body that comes back with a bounce is cut or changed. */
#include "bin/explain_live.h"

#include "base/must.h"
#include "message/header.h"
#include "trust/dkim_key.h"
#include "trust/dmarc.h"
#include "trust/organisation.h"
#include "trust/spf.h"
#include "trust/tags.h"

#include <string.h>

enum { SIGNATURES_MAX = 5, NAME_MAX_OCTETS = 253, TEXTS_MAX = 8 };

struct text_answer { /* of a question for TXT */
    struct explain_facts *facts;
    bool asked, done, failed, exists;
    bool (*wanted)(struct bytes text);
    size_t count; /* records that are wanted ones */
    struct bytes text;
};
struct signature {
    struct bytes domain, selector;
    struct text_answer key;
};
struct explain_proof {
    struct explain_facts *facts;
    struct bytes sender_domain, from_domain;
    bool from_known; /* the From: field came back */
    struct spf_check *spf;
    struct spf_who who;
    struct spf_verdict verdict;
    bool spf_done;
    size_t spf_open;
    size_t signature_count;
    bool header_known;
    struct signature signatures[SIGNATURES_MAX];
    struct text_answer dmarc[2]; /* of the From domain, of its organisation */
};

static struct bytes domain_of(struct explain_facts *f, struct bytes address) {
    ptrdiff_t at = bytes_find_last(address, '@');
    return at < 0 ? BYTES_NONE : arena_lower(f->arena, bytes_skip(address, (size_t)at + 1));
}

/* --- TXT ------------------------------------------------------------------------------------------------ */

static void on_text(void *ctx, const struct dns_answer *answer) {
    struct text_answer *t = ctx;
    t->done = true;
    t->failed = answer->rc != OK;
    t->exists = answer->exists;
    for (size_t i = 0; answer->rc == OK && i < answer->count; i++)
        if (t->wanted(answer->records[i].data)) {
            if (!t->count++)
                t->text = arena_copy(t->facts->arena, answer->records[i].data);
        }
    explain_facts_over(t->facts);
}

static void ask_text(struct explain_facts *f, struct text_answer *t, struct bytes name,
                     bool (*wanted)(struct bytes text)) {
    *t = (struct text_answer){ .facts = f, .wanted = wanted };
    if (name.len > NAME_MAX_OCTETS)
        return;
    t->asked = true;
    explain_facts_begun(f);
    f->dns->ask(f->dns->self, name, DNS_TXT, on_text, t);
}

/* --- SPF ------------------------------------------------------------------------------------------------ */

struct spf_asked {
    struct explain_proof *proof;
    struct spf_question question;
};

static void spf_step(struct explain_proof *p);

static void on_spf(void *ctx, const struct dns_answer *answer) {
    struct spf_asked *q = ctx;
    struct explain_proof *p = q->proof;
    struct arena *a = p->facts->arena;
    struct spf_data *list = ARENA_ARRAY(a, answer->count + 1, struct spf_data);
    struct spf_answer told = { .failed = answer->rc != OK, .exists = answer->exists, .list = list };
    for (size_t i = 0; answer->rc == OK && i < answer->count; i++) {
        const struct dns_record *r = &answer->records[i];
        list[told.count++] =
            (struct spf_data){ .text = q->question.type == DNS_TXT ? r->data : r->name,
                               .address = r->address,
                               .preference = r->preference };
    }
    spf_check_answer(p->spf, &q->question, &told);
    if (--p->spf_open == 0)
        spf_step(p);
    explain_facts_over(p->facts);
}

static void spf_step(struct explain_proof *p) {
    struct explain_facts *f = p->facts;
    const struct spf_question *wanted;
    p->spf_done = spf_check_run(p->spf, &p->verdict) == OK;
    size_t count = p->spf_done ? 0 : spf_check_wanted(p->spf, &wanted);
    for (size_t i = 0; i < count; i++) {
        struct spf_asked *q = ARENA_NEW(f->arena, struct spf_asked);
        *q = (struct spf_asked){ p, wanted[i] };
        q->question.name = arena_copy(f->arena, wanted[i].name);
        p->spf_open++;
        explain_facts_begun(f);
        f->dns->ask(f->dns->self, q->question.name, (enum dns_type)wanted[i].type, on_spf, q);
    }
}

static void begin_spf(struct explain_proof *p) {
    if (!p->sender_domain.len || !p->facts->client.family)
        return;
    p->who = (struct spf_who){
        .client = p->facts->client,
        .domain = p->sender_domain,
        .sender = p->facts->sender,
        .time = loop_wall(p->facts->loop) / 1000,
    };
    p->spf = spf_check_open(p->facts->arena, &p->who);
    spf_step(p);
}

/* --- the header that came back ------------------------------------------------------------------------------ */

static void add_signature(struct explain_proof *p, struct bytes value) {
    struct explain_facts *f = p->facts;
    struct signature *s = &p->signatures[p->signature_count];
    struct tags tags;
    tags_parse(header_unfold(value, f->arena), &tags);
    if (!tags_find(&tags, "d", &s->domain) || !tags_find(&tags, "s", &s->selector) ||
        !s->domain.len || !s->selector.len)
        return;
    s->domain = arena_lower(f->arena, s->domain);
    s->selector = arena_lower(f->arena, s->selector);
    p->signature_count++;
    ask_text(f, &s->key,
             arena_printf(f->arena, "%.*s._domainkey.%.*s", BYTES_FMT(s->selector),
                          BYTES_FMT(s->domain)),
             dkim_key_is_record);
}

static void read_header(struct explain_proof *p) {
    struct bytes rest = p->facts->explained->bounce.header, mailbox;
    struct header_field field;
    enum header_next next;
    while ((next = header_next(&rest, &field)) == HEADER_FIELD || next == HEADER_TRUNCATED) {
        if (bytes_equal_nocase(field.name, B("DKIM-Signature")) &&
            p->signature_count < SIGNATURES_MAX)
            add_signature(p, field.value);
        if (bytes_equal_nocase(field.name, B("From")) && !p->from_known &&
            header_mailboxes(field.value, p->facts->arena, &mailbox, 1) && mailbox.len) {
            p->from_domain = domain_of(p->facts, mailbox);
            p->from_known = p->from_domain.len > 0;
        }
        p->header_known = true;
        if (next == HEADER_TRUNCATED)
            break;
    }
}

void explain_proof_begin(struct explain_facts *f) {
    struct explain_proof *p = ARENA_NEW(f->arena, struct explain_proof);
    f->proof = p;
    p->facts = f;
    p->sender_domain = domain_of(f, f->sender);
    read_header(p);
    if (!p->from_domain.len)
        p->from_domain = p->sender_domain;
    begin_spf(p);
    if (!p->from_domain.len)
        return;
    struct bytes organisation = organisation_of(p->from_domain);
    ask_text(f, &p->dmarc[0], arena_printf(f->arena, "_dmarc.%.*s", BYTES_FMT(p->from_domain)),
             dmarc_is_record);
    if (!bytes_equal(organisation, p->from_domain))
        ask_text(f, &p->dmarc[1], arena_printf(f->arena, "_dmarc.%.*s", BYTES_FMT(organisation)),
                 dmarc_is_record);
}

/* --- what is said of SPF -------------------------------------------------------------------------------------- */

static struct bytes client_text(struct explain_facts *f) {
    char memory[64];
    struct buf b = buf_fixed(memory, sizeof memory);
    addr_format(&b, f->client);
    return arena_copy(f->arena, buf_bytes(&b));
}

static const struct {
    enum severity severity;
    const char *means, *fix; /* fix: what the domain's administrator does */
} spf_rows[] = {
    [SPF_NONE] = { SEVERITY_WARNING,
                   "The domain says nothing of who may send for it; the large receivers want it to.",
                   "Publish an SPF record that names all servers that send for the domain." },
    [SPF_NEUTRAL] = { SEVERITY_WARNING, "The domain does not vouch for this address.",
                      "Add the address, or its provider's include, to the domain's SPF record." },
    [SPF_PASS] = { SEVERITY_INFO, "The domain vouches for this address.", NULL },
    [SPF_FAIL] = { SEVERITY_ERROR, "The domain says that this address must not send for it.",
                   "Add the address, or its provider's include, to the domain's SPF record." },
    [SPF_SOFTFAIL] = { SEVERITY_WARNING,
                       "The domain says that this address should not send for it.",
                       "Add the address, or its provider's include, to the domain's SPF record." },
    [SPF_TEMPERROR] = { SEVERITY_WARNING, "Receivers put the mail off, or take SPF for absent.",
                        "Have the domain's name servers answer." },
    [SPF_PERMERROR] = { SEVERITY_ERROR,
                        "The record is broken: receivers take it for absent, or refuse.",
                        "Mend the domain's SPF record (`postern dns` shows where)." },
};

static void tell_spf(struct explain_facts *f) {
    const struct explain_proof *p = f->proof;
    const struct spf_verdict *v = &p->verdict;
    if (!p->spf || !p->spf_done) {
        finding_skip(
            f->findings, "live.spf", NULL, "%s",
            !f->client.family       ? "nobody says which address the message came from (--client)"
            : !p->sender_domain.len ? "nobody says who the sender of the envelope was (--from)"
                                    : "the DNS did not answer in time");
        return;
    }
    const char *result = spf_result_name(v->result);
    struct finding *found =
        finding_add(f->findings, spf_rows[v->result].severity, "live.spf", NULL,
                    "SPF of %.*s for %.*s: %s%s%.*s", BYTES_FMT(p->sender_domain),
                    BYTES_FMT(client_text(f)), result, v->problem.len || v->trail.len ? ", " : "",
                    BYTES_FMT(v->problem.len ? v->problem : v->trail));
    finding_about(f->findings, found, "%.*s", BYTES_FMT(p->sender_domain));
    finding_means(f->findings, found, "%s", spf_rows[v->result].means);
    if (v->result == SPF_PASS)
        return;
    found->who = "sender-admin";
    if (v->result == SPF_FAIL || v->result == SPF_SOFTFAIL)
        finding_fix(f->findings, found,
                    "Send through one of the servers that the domain's SPF record names.");
    finding_fix(f->findings, found, "%s", spf_rows[v->result].fix);
    if (v->result == SPF_FAIL || v->result == SPF_SOFTFAIL)
        finding_fix(f->findings, found,
                    "If the message was forwarded: the forwarder must rewrite the sender (SRS).");
}

/* --- of DKIM ---------------------------------------------------------------------------------------------------- */

/* Whether verifiers can use the key that the signature names. */
static bool has_key(const struct explain_facts *f, const struct signature *s) {
    struct dkim_key key;
    return s->key.count && dkim_key_parse(s->key.text, f->arena, &key) == OK && !key.revoked;
}

static void tell_key(struct explain_facts *f, const struct signature *s) {
    struct dkim_key key = { 0 };
    enum rc rc = s->key.count ? dkim_key_parse(s->key.text, f->arena, &key) : PERM;
    struct finding *found;
    const char *problem = NULL;
    if (!s->key.done || s->key.failed) {
        found = finding_skip(f->findings, "live.dkim", NULL,
                             "the key that the signature names could not be had: the DNS did not "
                             "answer");
    } else if (rc == OK && !key.revoked) {
        found = finding_add(f->findings, SEVERITY_INFO, "live.dkim", NULL,
                            "the key that the signature names is published (%.*s, %u bits)%s",
                            BYTES_FMT(key.type_name), key.bits,
                            s->key.count > 1 ? "; there is more than one record" : "");
    } else {
        problem = !s->key.count ? "is not published"
                  : key.revoked ? "was revoked: its record is empty"
                  : key.wrong   ? key.wrong
                                : "cannot be used";
        found = finding_add(
            f->findings, SEVERITY_ERROR, "live.dkim", NULL, "the key that the signature names %s%s",
            key.wrong && s->key.count && !key.revoked ? "cannot be used: " : "", problem);
        finding_means(f->findings, found, "No receiver can verify the signature.");
        found->who = "sender-admin";
        finding_fix(f->findings, found,
                    "Publish the key at %.*s._domainkey.%.*s, or sign with a selector whose key is "
                    "published.",
                    BYTES_FMT(s->selector), BYTES_FMT(s->domain));
    }
    finding_about(f->findings, found, "%.*s._domainkey.%.*s", BYTES_FMT(s->selector),
                  BYTES_FMT(s->domain));
}

static void tell_dkim(struct explain_facts *f) {
    const struct explain_proof *p = f->proof;
    if (!p->header_known)
        finding_skip(f->findings, "live.dkim", NULL,
                     "the header of the message did not come back with the refusal");
    else if (!p->signature_count)
        finding_add(f->findings, SEVERITY_INFO, "live.dkim", NULL,
                    "the header that came back has no DKIM signature");
    for (size_t i = 0; i < p->signature_count; i++)
        tell_key(f, &p->signatures[i]);
}

/* --- of DMARC ---------------------------------------------------------------------------------------------------- */

static bool is_aligned(struct bytes domain, struct bytes from, bool strict) {
    return strict ? bytes_equal_nocase(domain, from) : organisation_same(domain, from);
}

static bool may_pass_dkim(const struct explain_facts *f, const struct dmarc_record *r) {
    const struct explain_proof *p = f->proof;
    for (size_t i = 0; i < p->signature_count; i++)
        if (is_aligned(p->signatures[i].domain, p->from_domain, r->strict_dkim) &&
            has_key(f, &p->signatures[i]))
            return true;
    return false;
}

/* The policy that holds for the From domain: the record's own, or that for what is below it. */
static enum dmarc_policy policy_of(const struct explain_proof *p, const struct dmarc_record *r) {
    return p->dmarc[0].count ? r->policy : r->subdomain_policy;
}

static void tell_alignment(struct explain_facts *f, const struct dmarc_record *r) {
    const struct explain_proof *p = f->proof;
    const char *policy = dmarc_policy_name(policy_of(p, r));
    bool spf = p->spf_done && p->verdict.result == SPF_PASS;
    bool spf_aligned = is_aligned(p->sender_domain, p->from_domain, r->strict_spf);
    bool dkim = may_pass_dkim(f, r);
    struct finding *found;
    if (spf && spf_aligned)
        found = finding_add(f->findings, SEVERITY_INFO, "live.dmarc", NULL,
                            "DMARC passes by SPF; the domain's policy is %s", policy);
    else if (dkim)
        found =
            finding_add(f->findings, SEVERITY_INFO, "live.dmarc", NULL,
                        "DMARC passes if the DKIM signature does, which cannot be verified from "
                        "a bounce; SPF does not help (%s); the domain's policy is %s",
                        spf ? "another domain's" : "it does not pass", policy);
    else if (!p->header_known || (p->spf && !p->spf_done) || !p->spf)
        found = finding_skip(
            f->findings, "live.dmarc", NULL,
            "the domain's policy is %s; whether the message passes is not known: %s", policy,
            !p->header_known ? "its header did not come back" : "SPF could not be looked at");
    else {
        found = finding_add(
            f->findings, policy_of(p, r) == DMARC_NONE ? SEVERITY_WARNING : SEVERITY_ERROR,
            "live.dmarc", NULL,
            "DMARC fails: SPF %s, and no usable DKIM signature of %.*s is there; the domain's policy "
            "is %s",
            spf ? "passes for another domain than that of From" : "does not pass",
            BYTES_FMT(p->from_domain), policy);
        finding_means(f->findings, found,
                      policy_of(p, r) == DMARC_NONE
                          ? "Receivers count it against the message."
                          : "The sender's own domain asks receivers not to take such messages.");
        found->who = "sender-admin";
        finding_fix(f->findings, found, "Send through a server that signs with a DKIM key of %.*s.",
                    BYTES_FMT(p->from_domain));
        finding_fix(f->findings, found,
                    "Have the envelope sender be of the From domain, and its SPF record name the "
                    "server that sends.");
        finding_fix(
            f->findings, found,
            "If it went through a list or a forwarder: that must rewrite From, or leave the "
            "signed parts as they are.");
    }
    finding_about(f->findings, found, "%.*s", BYTES_FMT(p->from_domain));
}

static void tell_dmarc(struct explain_facts *f) {
    const struct explain_proof *p = f->proof;
    const struct text_answer *t = p->dmarc[0].count ? &p->dmarc[0] : &p->dmarc[1];
    struct dmarc_record record;
    struct finding *found;
    bool missing = (p->dmarc[0].asked && (!p->dmarc[0].done || p->dmarc[0].failed)) ||
                   (p->dmarc[1].asked && (!p->dmarc[1].done || p->dmarc[1].failed));
    if (!p->from_domain.len) {
        finding_skip(f->findings, "live.dmarc", NULL, "nobody says who the sender was (--from)");
        return;
    }
    if (t->count == 1 && dmarc_parse(t->text, &record) == OK) {
        tell_alignment(f, &record);
        return;
    }
    if (!t->count && missing)
        found = finding_skip(f->findings, "live.dmarc", NULL, "the DNS did not answer in time");
    else if (!t->count)
        found = finding_add(f->findings, SEVERITY_INFO, "live.dmarc", NULL,
                            "the domain has no DMARC record");
    else
        found = finding_add(f->findings, SEVERITY_WARNING, "live.dmarc", NULL, "%s",
                            t->count > 1
                                ? "there is more than one DMARC record: receivers take it for none"
                                : "the DMARC record is broken: receivers take it for none");
    finding_about(f->findings, found, "%.*s", BYTES_FMT(p->from_domain));
}

void explain_proof_tell(struct explain_facts *f) {
    tell_spf(f);
    tell_dkim(f);
    tell_dmarc(f);
}
