/* reputation: what is known of a client from outside before its mail to us is taken: the name it gives
 * itself, the name its address has, what DNS lists say of it, and whether it has come back. Logins,
 * connectors and postmaster are exempt. What could not be had is skipped: a DNS that fails refuses
 * nobody's mail. */
#include "base/num.h"
#include "decide/internal.h"

enum { TEXT_MAX = 160 };

/* --- HELO ------------------------------------------------------------------------------------------ */

/* What is wrong with the name, or empty. *needs: the DNS is to be asked first. */
static struct bytes helo_fault(struct decision *d, uint32_t *needs) {
    const struct facts *f = d->facts;
    struct addr literal;
    struct bytes name = f->helo;
    if (name.len > 2 && name.at[0] == '[' && name.at[name.len - 1] == ']') {
        name = bytes_slice(name, 1, name.len - 1);
        name = bytes_starts_nocase(name, B("IPv6:")) ? bytes_skip(name, 5) : name;
        bool own =
            addr_parse(name, &literal) && addr_equal(addr_fold(literal), addr_fold(f->client));
        return own ? BYTES_NONE : B("is not the address it comes from");
    }
    if (addr_parse(name, &literal) || bytes_find(name, '.') <= 0)
        return B("is no full host name");
    if (bytes_equal_nocase(name, d->config->hostname) || config_domain(d->config, name))
        return B("is one of ours");
    if (f->helo_state == FACT_UNKNOWN) {
        *needs = FACT_HELO;
        return BYTES_NONE;
    }
    return f->helo_missing ? B("does not exist in the DNS") : BYTES_NONE;
}

static struct bytes helo_fine(const struct facts *f) {
    return f->helo_state == FACT_FAILED  ? B("the DNS did not answer: taken as it is")
           : f->helo_confirmed           ? B("it leads to the client's address")
           : f->helo_state == FACT_KNOWN ? B("it exists, but leads elsewhere")
                                         : B("the client's own address");
}

static bool check_helo(struct decision *d) {
    const struct listener *l = d->facts->listener;
    uint32_t needs = 0;
    if (l->helo == CALLER_OFF)
        return false;
    struct bytes fault = helo_fault(d, &needs);
    if (needs)
        return decide_ask(d, needs);
    struct bytes shown = decide_text_cut(d, d->facts->helo);
    bool refused = fault.len && l->helo == CALLER_REQUIRE;
    decide_trace(d, decide_listener_name(d, "helo"), !fault.len,
                 fault.len ? SAY(d, "%.*s %.*s%s", BYTES_FMT(shown), BYTES_FMT(fault),
                                 refused ? "" : ": only noted")
                           : helo_fine(d->facts));
    if (!refused)
        return false;
    decide_change(d, "fix-helo", true, BYTES_NONE,
                  B("give the sending server a host name that exists in the DNS, and have it say "
                    "that in EHLO"));
    decide_change(d, "helo-note", false, l->name,
                  SAY(d, "set helo = note on listener %.*s: unsafe, it then keeps nobody out",
                      BYTES_FMT(l->name)));
    decide_changes_login(d);
    return decide_refuse(d, REFUSE_HELO,
                         SAY(d, "The name in EHLO, %.*s, %.*s", BYTES_FMT(shown), BYTES_FMT(fault)),
                         B("Set the sending server's own host name"));
}

/* --- PTR ------------------------------------------------------------------------------------------- */

static bool check_ptr(struct decision *d) {
    const struct facts *f = d->facts;
    const struct listener *l = f->listener;
    if (l->ptr == CALLER_OFF)
        return false;
    if (f->ptr_state == FACT_UNKNOWN)
        return decide_ask(d, FACT_PTR);
    bool fine = f->ptr_state == FACT_FAILED || f->ptr_confirmed;
    bool refused = !fine && l->ptr == CALLER_REQUIRE;
    struct bytes name = decide_text_cut(d, f->ptr_name);
    struct bytes because = f->ptr_state == FACT_FAILED ? B("the DNS did not answer: taken as it is")
                           : f->ptr_confirmed ? SAY(d, "%.*s, which leads back", BYTES_FMT(name))
                           : name.len ? SAY(d, "%.*s, which does not lead back", BYTES_FMT(name))
                                      : B("the address has no name");
    decide_trace(d, decide_listener_name(d, "ptr"), fine,
                 fine || refused ? because : SAY(d, "%.*s: only noted", BYTES_FMT(because)));
    if (!refused)
        return false;
    struct bytes client = decide_text_addr(d, f->client);
    decide_change(d, "fix-ptr", true, client,
                  SAY(d, "have the network's owner give %.*s a name (PTR) that leads back to it",
                      BYTES_FMT(client)));
    decide_change(d, "ptr-note", false, l->name,
                  SAY(d, "set ptr = note on listener %.*s: unsafe, it then keeps nobody out",
                      BYTES_FMT(l->name)));
    decide_changes_login(d);
    return decide_refuse(d, REFUSE_PTR,
                         name.len ? SAY(d, "The name of %.*s, %.*s, does not lead back to it",
                                        BYTES_FMT(client), BYTES_FMT(name))
                                  : SAY(d, "%.*s has no name in the DNS (PTR)", BYTES_FMT(client)),
                         B("The owner of the network can set one that leads back"));
}

/* --- DNS lists ------------------------------------------------------------------------------------- */

static const struct listing *find_listing(const struct facts *f, struct bytes zone) {
    for (size_t i = 0; i < f->listing_count; i++)
        if (bytes_equal(f->listings[i].zone, zone))
            return &f->listings[i];
    return NULL;
}

static bool has_code(const struct listing *g, const struct dnslist *list) {
    for (size_t i = 0; i < g->code_count; i++)
        if (!list->last || (g->codes[i] >= list->first && g->codes[i] <= list->last))
            return true;
    return false;
}

/* What one kind of lists says together. */
struct tally {
    unsigned score;
    bool exempt;                 /* an entry without a score, of allowlists */
    const struct listing *first; /* that counted */
};

static struct tally tally(struct decision *d, struct strings lists, bool allow) {
    struct tally t = { 0 };
    const char *setting = allow ? "allowlists" : "blocklists";
    for (size_t i = 0; i < lists.count; i++) {
        struct dnslist list;
        if (!dnslist_parse(lists.list[i], &list))
            continue;
        const struct listing *g = find_listing(d->facts, list.zone);
        struct bytes shown = dnslist_name(list.zone);
        if (g && g->failed)
            decide_trace(d, decide_listener_name(d, setting), !allow,
                         SAY(d, "%.*s is skipped: %.*s", BYTES_FMT(shown), BYTES_FMT(g->because)));
        if (!g || g->failed || !has_code(g, &list))
            continue;
        t.score += list.score ? list.score : 1;
        t.exempt |= allow && !list.score;
        t.first = t.first ? t.first : g;
        decide_trace(
            d, decide_listener_name(d, setting), allow,
            SAY(d, "listed by %.*s, score %u", BYTES_FMT(shown), list.score ? list.score : 1));
    }
    return t;
}

static bool refuse_listed(struct decision *d, const struct listing *g) {
    struct bytes client = decide_text_addr(d, d->facts->client), name = dnslist_name(g->zone);
    struct bytes text = bytes_first(g->text, TEXT_MAX);
    decide_change(d, "delist", true, g->zone,
                  SAY(d, "have %.*s taken off %.*s: its operator says why it is there and how",
                      BYTES_FMT(client), BYTES_FMT(name)));
    decide_changes_login(d);
    decide_change(d, "drop-list", false, g->zone,
                  SAY(d,
                      "take %.*s out of blocklists, or give it a smaller score: unsafe, the "
                      "others that it lists come in too",
                      BYTES_FMT(name)));
    return decide_refuse(d, REFUSE_BLOCKLIST,
                         SAY(d, "%.*s is listed by %.*s%s%.*s", BYTES_FMT(client), BYTES_FMT(name),
                             text.len ? ": " : "", BYTES_FMT(text)),
                         B("Ask that list's operator to have it removed"));
}

/* *exempt_out: an allowlist vouches for the client. */
static bool check_lists(struct decision *d, bool greylist, bool *exempt_out) {
    const struct facts *f = d->facts;
    const struct listener *l = f->listener;
    if (!l->blocklists.count && !(greylist && l->allowlists.count))
        return false;
    if (f->listings_state == FACT_UNKNOWN)
        return decide_ask(d, FACT_LISTS);
    struct tally allow = tally(d, l->allowlists, true), block = tally(d, l->blocklists, false);
    uint64_t most = d->config->blocklist_score;
    unsigned score = allow.score < block.score ? block.score - allow.score : 0;
    *exempt_out = allow.exempt;
    bool refused = block.first && !allow.exempt && score >= most;
    decide_trace(d, decide_listener_name(d, "blocklists"), !refused,
                 allow.exempt ? B("exempt: an allowlist has the client")
                              : SAY(d, "score %u of %llu", score, (unsigned long long)most));
    return refused && refuse_listed(d, block.first);
}

/* --- greylist -------------------------------------------------------------------------------------- */

static bool check_greylist(struct decision *d) {
    const struct facts *f = d->facts;
    if (f->grey_state == FACT_UNKNOWN)
        return decide_ask(d, FACT_GREY);
    bool passes = f->grey_state == FACT_FAILED || f->grey_opens <= f->now;
    decide_trace(d, B("greylist"), passes,
                 f->grey_state == FACT_FAILED ? B("it cannot be looked at: taken as it is")
                 : passes ? B("it has come back, or its network is known by now")
                          : B("this client, sender and recipient are seen for the first time"));
    if (passes)
        return false;
    char opens[40];
    struct buf when = buf_fixed(opens, sizeof opens);
    num_format_rfc3339(&when, f->grey_opens);
    decide_change(d, "wait", true, arena_copy(d->arena, buf_bytes(&when)),
                  SAY(d, "try again after %s, as mail servers do by themselves", buf_text(&when)));
    decide_changes_login(d);
    return decide_refuse(
        d, REFUSE_GREYLIST,
        SAY(d, "Greylisted: mail from this sender is taken from %s on", buf_text(&when)),
        B("A mail server tries again by itself; a program must be told to"));
}

/* --- all of it -------------------------------------------------------------------------------------- */

bool decide_reputation(struct decision *d) {
    const struct facts *f = d->facts;
    const struct listener *l = f->listener;
    bool grey = d->config->greylist, outside = false, exempt = false;
    if (!l || (!l->helo && !l->ptr && !l->blocklists.count && !grey))
        return false;
    if (decide_outside(d, &outside))
        return true;
    if (!outside)
        return false;
    if (check_helo(d))
        return true;
    if (f->client_unknown) /* nothing is known of an address that is not told */
        return false;
    return check_ptr(d) || check_lists(d, grey, &exempt) || (grey && !exempt && check_greylist(d));
}
