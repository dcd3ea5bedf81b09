/* fuzz_decide: any caller with any message, before a provider's server. Lines of input: listener,
 * client, login, sender, recipient, a header mailbox, and letters that switch facts. Whatever comes,
 * the decision ends, nothing is relayed without a connector in play, and no stranger's mail is. */
#include "base/must.h"
#include "decide/decide.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char settings[] =
    "domain \"ours.example\" {}\n"
    "domain \"any.example\" { recipients = any }\n"
    "blocked_senders = {\".spam.example\"}\n"
    "listener \"internet\" { bind = {\"127.0.0.1:25\"} limit_per_client = {\"9/hour\"} }\n"
    "listener \"submission\" { bind = {\"127.0.0.1:587\"} tls = require auth = require }\n"
    "connector \"people\" { auth = any may_relay_to = {\"*\"} header_from = strict }\n"
    "connector \"office\" { clients = {\"192.0.2.0/24\"} except = {\"192.0.2.16/28\"}\n"
    "  may_relay_to = {\"*\"} senders = {\"*@ours.example\"} note = \"n\" }\n"
    "connector \"copier\" { clients = {\"192.0.2.16/28\"} without_auth_on = {\"submission\"}\n"
    "  without_tls_on = {\"submission\"} may_relay_to = {\".partner.example\"}\n"
    "  senders = {\"scan@ours.example\"} note = \"n\" }\n"
    "connector \"pop\" { pop_before_smtp = 15min may_relay_to = {\"*\"} senders = own note = \"n\" }\n"
    "connector \"old\" { clients = {\"198.51.100.0/24\"} may_relay_to = {\"*\"} senders = any\n"
    "  expires = \"2020-01-01\" note = \"n\" }\n"
    "connector \"few\" { clients = {\"203.0.113.0/24\"} may_relay_to = {\"*\"} senders = any\n"
    "  limit = {\"1/day\"} note = \"n\" }\n";

static struct bytes switches;
static struct popped popped[2];

static bool is_on(char c) {
    return bytes_find(switches, c) >= 0;
}

/* F: the first limit is full; A: all of them. */
static void tell_counts(struct facts *f, const struct verdict *v, struct arena *a) {
    struct count *counts = ARENA_ARRAY(a, v->limit_count, struct count);
    MUST(v->limit_count);
    for (size_t i = 0; i < v->limit_count; i++) {
        MUST(v->limits[i].key.len && v->limits[i].rates.count);
        counts[i] = (struct count){ .key = v->limits[i].key,
                                    .full = is_on('A') || (i == 0 && is_on('F')),
                                    .which = v->limits[i].rates.list[0] };
    }
    f->counts = counts;
    f->count_count = v->limit_count;
}

static void tell(struct facts *f, const struct verdict *v, const struct directory_entry *entry,
                 struct arena *a) {
    uint32_t missing = v->missing;
    enum fact_state state = is_on('D') ? FACT_FAILED : FACT_KNOWN;
    if (missing & FACT_LOGIN) {
        f->login_state = state;
        f->login_entry = is_on('N') ? NULL : entry;
    }
    if (missing & FACT_RECIPIENT) {
        f->recipient_state = state;
        f->recipient_entry = is_on('R') ? entry : NULL;
    }
    if (missing & FACT_MEMBER) {
        static struct membership known;
        known = v->member;
        known.member = is_on('M');
        f->member_state = state;
        f->memberships = &known;
        f->membership_count = state == FACT_KNOWN ? 1 : 0;
    }
    if (missing & FACT_SRS) {
        f->srs_state = state;
        f->srs = is_on('X') ? SRS_GOOD : is_on('O') ? SRS_EXPIRED : SRS_FORGED;
    }
    if (missing & FACT_PROBE) {
        f->probe_state = state;
        f->probe = is_on('P') ? PROBE_TAKES : is_on('L') ? PROBE_LIMITED : PROBE_REFUSES;
    }
    if (missing & FACT_SENDER_ENTRY) {
        f->sender_state = state;
        f->sender_entry = is_on('S') ? entry : NULL;
    }
    for (size_t i = 0; i < f->popped_count; i++)
        if (missing & FACT_POPPED ||
            (missing & FACT_LOGIN && bytes_equal(popped[i].login, v->login))) {
            popped[i].state = state;
            popped[i].entry = i ? NULL : entry;
        }
    if (missing & FACT_GATEWAY) {
        f->gateway_state = state;
        f->gateway = is_on('G');
    }
    if (missing & FACT_COUNTERS) {
        f->counts_state = state;
        tell_counts(f, v, a);
    }
}

static void check(const struct config *c, const struct facts *f, const struct verdict *v) {
    MUST(v->why.text[0] && !strpbrk(v->why.text, "\r\n"));
    MUST(v->why.code / 100 == (v->rc == OK ? 2 : v->rc == TEMP ? 4 : 5));
    for (size_t i = 0; i < v->change_count; i++)
        MUST(v->changes[i].text.len && v->changes[i].kind);
    if (v->rc != OK || !v->relay)
        return;
    const struct connector *by = config_connector(c, v->connector);
    MUST(by && patterns_match(by->may_relay_to, f->recipient));
    MUST(!by->expires);
    MUST(!by->auth_any || (f->login.len && f->login_entry && !f->login_entry->disabled));
    MUST(!by->clients.count || (networks_have(by->clients, f->client) &&
                                !networks_have(by->except, f->client) && !f->gateway));
    /* Somebody whose window is open and who is there, and it is not the one nobody knows. */
    MUST(!by->pop_before_smtp || f->popped_login.len ||
         (f->popped_count && bytes_equal(v->login, popped[0].login) && popped[0].entry &&
          !popped[0].entry->disabled));
    MUST(!by->pop_before_smtp || (!f->gateway && !f->client_unknown));
}

static void run(const struct config *c, struct facts *f, const struct directory_entry *entry,
                struct arena *a) {
    static const enum decide_step steps[] = { STEP_CONNECT, STEP_COMMAND, STEP_AUTH,
                                              STEP_MAIL,    STEP_RCPT,    STEP_CONTENT };
    struct verdict v;
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        int rounds = 0;
        for (decide(c, steps[i], f, a, &v); v.rc == MORE; decide(c, steps[i], f, a, &v)) {
            MUST(v.missing && ++rounds < 16);
            tell(f, &v, entry, a);
        }
        if (steps[i] != STEP_RCPT)
            MUST(!v.relay);
        check(c, f, &v);
    }
    (void)decide_mechanisms(c, f, a);
    (void)decide_max_recipients(c, f);
}

/* Two who logged in by POP3 from the client's address; only the first has an entry. */
static void log_in_by_pop(struct facts *f, struct bytes login) {
    popped[0] = (struct popped){ .login = login, .at = f->now - 1 };
    popped[1] = (struct popped){ .login = B("gone@ours.example"), .at = f->now - 2 };
    f->popped = popped;
    f->popped_count = login.len ? 2 : 0;
    f->popped_login = BYTES_NONE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes rest = bytes_of(data, size), line[7] = { 0 };
    struct config *c;
    struct config_findings findings;
    const struct config_host host = { .cores = 1, .lift_not_built = true };
    for (size_t i = 0; i < COUNT_OF(line); i++)
        bytes_split(&rest, '\n', &line[i]);
    MUST(config_parse_on(&host, B("fuzz"), bytes_str(settings), &c, &findings) == OK);
    struct arena *a = arena_open();
    switches = line[6];
    const struct bytes own[] = { B("terri@ours.example") };
    const struct directory_entry entry = { .address = own[0],
                                           .own = { 1, own },
                                           .disabled = is_on('X') };
    const struct mailbox_header header[] = { { "From", line[5] }, { "Reply-To", line[3] } };
    const struct bytes charged[] = { B("people"), B("office") };
    struct facts f = {
        .listener = is_on('L') ? NULL : config_listener(c, line[0]),
        .local_door = is_on('L'),
        .client_unknown = is_on('U'),
        .tls_version = is_on('T') ? 13 : 0,
        .login = line[2],
        .mechanism = line[0],
        .popped_login = is_on('P') ? line[2] : BYTES_NONE,
        .verb = B("MAIL"),
        .sender = line[3],
        .has_sender = true,
        .recipient = line[4],
        .from_fields = is_on('2') ? 2 : 1,
        .header_mailboxes = header,
        .header_mailbox_count = 2,
        .charged = { is_on('C') ? 2 : 0, charged },
        .now = 1797811200000,
        .popped_at = 1797811200000,
    };
    (void)addr_parse(line[1], &f.client);
    if (is_on('M')) {
        log_in_by_pop(&f, line[2]);
        f.login = BYTES_NONE;
    }
    if (f.listener || f.local_door)
        run(c, &f, &entry, a);
    config_close(&c);
    arena_close(&a);
    return 0;
}
