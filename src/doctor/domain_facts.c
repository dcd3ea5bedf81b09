/* domain_facts: what is known and what is wanted, in the order in which it was wanted; and the words that every look
 * at records shares. */
#include "base/map.h"
#include "base/must.h"
#include "doctor/domain_parts.h"

#include <string.h>

enum { NAME_MAX_OCTETS = 253 };

/* --- the table ------------------------------------------------------------------------------------------- */

static struct fact *find(struct domain_facts *f, enum fact_kind kind, struct bytes key,
                         const struct fact *like) {
    char memory[400];
    struct buf b = buf_fixed(memory, sizeof memory);
    buf_printf(&b, "%d %d %u ", kind, like->type, like->address.port);
    buf_add(&b, bytes_of(like->address.ip, sizeof like->address.ip));
    buf_lower(&b, key);
    struct fact *found = map_find(f->index, buf_bytes(&b));
    if (found || f->count == FACTS_MAX || b.full)
        return found;
    found = ARENA_NEW(f->arena, struct fact);
    *found = *like;
    found->kind = kind;
    found->key = arena_lower(f->arena, key);
    if (f->last)
        f->last->next = found;
    else
        f->first = found;
    f->last = found;
    f->count++;
    f->open++;
    map_put(f->index, buf_bytes(&b), found);
    return found;
}

static const struct dns_answer *failure(struct domain_facts *f, const char *text) {
    struct dns_answer *answer = ARENA_NEW(f->arena, struct dns_answer);
    answer->rc = why_set(&answer->why, TEMP, 451, "4.4.3", "dns.failed", "%s", text);
    return answer;
}

const struct dns_answer *domain_ask(struct domain_facts *f, struct bytes name, enum dns_type type) {
    if (name.len && name.at[name.len - 1] == '.')
        name.len--;
    if (!name.len || name.len > NAME_MAX_OCTETS)
        return failure(f, "this is no name that could be asked about");
    struct fact like = { .type = type };
    struct fact *found = find(f, FACT_DNS, name, &like);
    if (!found)
        return failure(f, "too much was to be asked");
    if (found->known)
        return &found->answer;
    return f->late ? failure(f, "no answer came in time") : NULL;
}

const struct domain_talk *domain_talk(struct domain_facts *f, struct addr address,
                                      struct bytes host) {
    struct fact like = { .address = address };
    struct fact *found = find(f, FACT_TALK, host, &like);
    if (found && found->known)
        return &found->talk;
    if (found && !f->late)
        return NULL;
    struct domain_talk *none = ARENA_NEW(f->arena, struct domain_talk);
    *none = (struct domain_talk){ .step = "connect",
                                  .timed_out = true,
                                  .words = B("the time for all of this was over before") };
    return none;
}

const struct domain_page *domain_page(struct domain_facts *f, struct bytes host) {
    struct fact like = { 0 };
    struct fact *found = find(f, FACT_PAGE, host, &like);
    if (found && found->known)
        return &found->page;
    if (found && !f->late)
        return NULL;
    struct domain_page *none = ARENA_NEW(f->arena, struct domain_page);
    none->rc = why_set(&none->why, TEMP, 0, NULL, "backend.http", "it did not answer in time");
    return none;
}

bool domain_is_known(const struct domain_report *r, const char *step) {
    for (size_t i = 0; i < r->findings.count; i++) {
        const struct finding *f = r->findings.list[i];
        bool failed =
            bytes_ends_nocase(bytes_str(f->id), B(".failed")) || !strcmp(f->id, "dnssec.bogus");
        if (failed && f->step && !strcmp(f->step, step))
            return false;
    }
    return true;
}

/* --- shared by the looks ------------------------------------------------------------------------------------ */

static void tell_failure(struct look *k, const struct dns_answer *answer, struct bytes name,
                         enum dns_type type, const char *id, const char *step) {
    const struct finding *old = finding_find(&k->report->findings, id);
    if (old && old->step && !strcmp(old->step, step))
        return;
    struct finding *f = answer->bogus ? ERROR_(k, "dnssec.bogus", step,
                                               "DNSSEC proves it wrong: %s", answer->why.text)
                                      : WARNING_(k, id, step, "%s", answer->why.text);
    ABOUT(k, f, "%.*s %s", BYTES_FMT(name), dns_type_name(type));
    MEANS(
        k, f,
        answer->bogus
            ? "Resolvers that validate, and with them most large receivers, take the domain for "
              "unreachable."
            : "What it says could not be looked at; mail servers that ask just now fail likewise.");
    f->who = "recipient-admin";
    if (answer->bogus)
        FIX(k, f,
            "Sign the zone anew, or have the registry take the DS record away; compare the DS with the "
            "zone's DNSKEY.");
    else
        FIX(k, f,
            "See whether the domain's name servers answer: its NS records, their addresses, port 53 over UDP "
            "and TCP.");
}

const struct dns_answer *domain_get(struct look *k, struct bytes name, enum dns_type type,
                                    const char *id, const char *step) {
    const struct dns_answer *answer = domain_ask(k->facts, name, type);
    if (!answer || answer->rc == OK)
        return answer;
    tell_failure(k, answer, name, type, id, step);
    return NULL;
}

ptrdiff_t domain_texts(struct look *k, struct bytes name, bool (*is)(struct bytes text),
                       const char *id, const char *step, struct bytes *out, size_t max) {
    const struct dns_answer *answer = domain_get(k, name, DNS_TXT, id, step);
    ptrdiff_t count = 0;
    if (!answer)
        return -1;
    for (size_t i = 0; i < answer->count; i++) {
        if (!is(answer->records[i].data))
            continue;
        if ((size_t)count < max)
            out[count] = answer->records[i].data;
        count++;
    }
    return count;
}

struct bytes domain_below(struct look *k, const char *label, struct bytes domain) {
    struct bytes name = arena_printf(k->arena, "%s.%.*s", label, BYTES_FMT(domain));
    return name.len <= NAME_MAX_OCTETS ? name : BYTES_NONE;
}

const struct spf_answer *domain_spf_find(void *look, const struct spf_question *q) {
    struct look *k = look;
    const struct dns_answer *answer = domain_ask(k->facts, q->name, (enum dns_type)q->type);
    if (!answer)
        return NULL;
    struct spf_answer *out = ARENA_NEW(k->arena, struct spf_answer);
    struct spf_data *list =
        answer->count ? ARENA_ARRAY(k->arena, answer->count, struct spf_data) : NULL;
    for (size_t i = 0; i < answer->count; i++) {
        const struct dns_record *r = &answer->records[i];
        list[i].text = q->type == DNS_TXT ? r->data : r->name;
        list[i].address = r->address;
        list[i].preference = r->preference;
    }
    *out = (struct spf_answer){ answer->rc != OK, answer->exists, answer->count, list };
    return out;
}

bool domain_addresses(struct look *k, struct bytes host, struct addr **out, size_t *count_out,
                      bool *failed_out) {
    const struct dns_answer *answers[] = { domain_ask(k->facts, host, DNS_A),
                                           domain_ask(k->facts, host, DNS_AAAA) };
    size_t count = 0;
    *count_out = 0;
    *failed_out = false;
    if (!answers[0] || !answers[1])
        return false;
    struct addr *list =
        ARENA_ARRAY(k->arena, answers[0]->count + answers[1]->count + 1, struct addr);
    for (size_t n = 0; n < COUNT_OF(answers); n++) {
        *failed_out |= answers[n]->rc != OK;
        for (size_t i = 0; answers[n]->rc == OK && i < answers[n]->count; i++)
            list[count++] = addr_fold(answers[n]->records[i].address);
    }
    *out = list;
    *count_out = count;
    return true;
}

struct bytes domain_address_text(struct look *k, struct addr a) {
    char memory[80];
    struct buf b = buf_fixed(memory, sizeof memory);
    addr_format(&b, a);
    return arena_copy(k->arena, buf_bytes(&b));
}

struct finding *domain_found(struct look *k, const char *who, enum severity s, const char *id,
                             const char *step, struct bytes about, const char *format, ...) {
    va_list args;
    va_start(args, format);
    struct bytes text = arena_vprintf(k->arena, format, args);
    va_end(args);
    struct finding *f = finding_add(&k->report->findings, s, id, step, "%.*s", BYTES_FMT(text));
    f->who = who;
    if (about.len)
        ABOUT(k, f, "%.*s", BYTES_FMT(about));
    return f;
}
