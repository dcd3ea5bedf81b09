/* explain_live_client: the address that the refused message came from: is it on blocklists, has it a name that
 * leads back to it, and is the list that the refusal names still alive. */
#include "bin/explain_live.h"

#include "base/must.h"
#include "doctor/blocklists.h"

struct explain_client {
    struct explain_facts *facts;
    struct blocklist_table table;
    struct blocklist_subject subject;
    struct blocklist_asked asked[BLOCKLISTS_MAX];
    struct blocklist_want want;
    struct blocklist_look *look;
    const struct blocklist_result *results;
    size_t result_count;
    bool listed_done;
    struct dns_inquiry *inquiry;
    bool name_done;
    struct dns_name_check name;
};

static void on_listed(void *ctx, const struct blocklist_result *r, size_t count) {
    struct explain_client *c = ctx;
    c->look = NULL;
    c->results = r;
    c->result_count = count;
    c->listed_done = true;
    explain_facts_over(c->facts);
}

static void on_name(void *ctx, const struct dns_name_check *check) {
    struct explain_client *c = ctx;
    c->inquiry = NULL;
    c->name = *check;
    c->name.name = arena_copy(c->facts->arena, check->name);
    c->name_done = true;
    explain_facts_over(c->facts);
}

void explain_client_begin(struct explain_facts *f) {
    struct explain_client *c = ARENA_NEW(f->arena, struct explain_client);
    f->from = c;
    c->facts = f;
    blocklists_builtin(f->arena, &c->table);
    if (!f->client.family)
        return;
    c->subject.address = f->client;
    for (size_t i = 0; i < c->table.count; i++)
        if (blocklist_is_asked(&c->table.lists[i]))
            c->asked[c->want.asked_count++] =
                (struct blocklist_asked){ c->table.lists[i].zone, &c->table.lists[i] };
    c->want.subjects = &c->subject;
    c->want.subject_count = 1;
    c->want.asked = c->asked;
    c->want.ms = EXPLAIN_PROBE_MS;
    explain_facts_begun(f);
    c->look = blocklists_ask(f->dns, f->loop, f->arena, &c->want, on_listed, c);
    explain_facts_begun(f);
    c->inquiry = dns_check_client(f->dns, f->loop, f->client, on_name, c);
}

/* --- the list that the words name ------------------------------------------------------------------------- */

static void tell_ended(struct explain_facts *f, const struct blocklist *list) {
    struct finding *found = finding_add(f->findings, SEVERITY_ERROR, "live.list-ended", NULL,
                                        "the refusal names the list %.*s, which has ended: %s",
                                        BYTES_FMT(list->zone), list->ended);
    finding_means(f->findings, found,
                  "The recipient's server asks a list that is no more, and refuses what it should "
                  "take; the sender has done nothing.");
    found->who = "recipient-admin";
    finding_fix(f->findings, found, "Take %.*s out of the recipient's server's configuration.",
                BYTES_FMT(list->zone));
}

static void tell_named_lists(struct explain_facts *f) {
    const struct explained *e = f->explained;
    for (size_t i = 0; i < f->from->table.count; i++) {
        const struct blocklist *list = &f->from->table.lists[i];
        for (size_t j = 0; list->ended && j < e->count; j++)
            if (bytes_search_nocase(e->answers[j].said->text, list->zone) >= 0) {
                tell_ended(f, list);
                break;
            }
    }
}

/* --- the address --------------------------------------------------------------------------------------------- */

static struct bytes client_text(struct explain_facts *f) {
    char memory[64];
    struct buf b = buf_fixed(memory, sizeof memory);
    addr_format(&b, f->client);
    return arena_copy(f->arena, buf_bytes(&b));
}

/* Of the many lists only what matters here: those that have it, and how many could be asked. */
static void tell_listings(struct explain_facts *f) {
    struct explain_client *c = f->from;
    size_t clean = 0, against = 0, silent = 0;
    struct finding_list all;
    finding_list_open(&all, f->arena);
    for (size_t i = 0; i < c->result_count; i++) {
        const struct blocklist_result *r = &c->results[i];
        against += blocklist_is_against(&c->asked[r->asked], r);
        clean += r->state == BLOCKLIST_CLEAN && !r->unproven;
        silent += r->state != BLOCKLIST_CLEAN && r->state != BLOCKLIST_LISTED;
    }
    blocklists_findings(&c->want, c->results, c->result_count, &all);
    for (size_t i = 0; i < all.count; i++)
        if (bytes_equal(bytes_str(all.list[i]->id), B("blocklist.listed")))
            finding_copy(f->findings, all.list[i]);
    struct finding *found;
    if (against)
        return;
    if (!c->listed_done || !clean)
        found = finding_skip(f->findings, "live.listed", NULL,
                             "no blocklist could be asked: the DNS answers none of them");
    else
        found = finding_add(f->findings, SEVERITY_INFO, "live.listed", NULL,
                            "it is on none of the %zu blocklists that answered (%zu did not)",
                            clean, silent);
    finding_about(f->findings, found, "%.*s", BYTES_FMT(client_text(f)));
}

static void tell_name(struct explain_facts *f) {
    const struct explain_client *c = f->from;
    struct bytes text = client_text(f);
    struct finding *found;
    if (!c->name_done || c->name.failed) {
        found = finding_skip(f->findings, "live.ptr", NULL, "the DNS did not answer");
    } else if (c->name.confirmed) {
        found = finding_add(f->findings, SEVERITY_INFO, "live.ptr", NULL,
                            "its name is %.*s, which leads back to it", BYTES_FMT(c->name.name));
    } else {
        found = c->name.name.len ? finding_add(f->findings, SEVERITY_WARNING, "live.ptr", NULL,
                                               "its name is %.*s, which does not lead back to it",
                                               BYTES_FMT(c->name.name))
                                 : finding_add(f->findings, SEVERITY_WARNING, "live.ptr", NULL,
                                               "it has no name in the DNS (PTR)");
        finding_means(f->findings, found,
                      "Many servers refuse mail from addresses without a name that leads back.");
        found->who = "network-owner";
        finding_fix(f->findings, found,
                    "Have whoever owns the network set the address's PTR record to the mail "
                    "server's name, and publish the address for that name.");
    }
    finding_about(f->findings, found, "%.*s", BYTES_FMT(text));
}

void explain_client_tell(struct explain_facts *f) {
    struct explain_client *c = f->from;
    blocklists_cancel(&c->look);
    dns_inquiry_cancel(&c->inquiry);
    tell_named_lists(f);
    if (!f->client.family) {
        finding_skip(f->findings, "live.listed", NULL,
                     "nobody says which address the message came from (--client)");
        return;
    }
    tell_listings(f);
    tell_name(f);
}
