/* recipient: recipients of ours: is there such an address, and may this sender write to it. Groups say
 * who may; a sender counts as a member, an allowed sender or a moderator only when it is proved to be
 * the caller's own, for anybody can write an address into MAIL. */
#include "base/num.h"
#include "decide/internal.h"

struct bytes decide_local(struct bytes mailbox) {
    ptrdiff_t at = bytes_find_last(mailbox, '@');
    return at < 0 ? mailbox : bytes_first(mailbox, (size_t)at);
}

struct bytes decide_domain(struct bytes mailbox) {
    ptrdiff_t at = bytes_find_last(mailbox, '@');
    return at < 0 ? BYTES_NONE : bytes_skip(mailbox, (size_t)at + 1);
}

static struct bytes domain_rule(struct decision *d) {
    return SAY(d, "domain %.*s: recipients", BYTES_FMT(d->domain->name));
}

static bool accept_ours(struct decision *d) {
    return decide_accept(d, SAY(d, "a recipient of ours, domain %.*s", BYTES_FMT(d->domain->name)));
}

static bool taken(struct decision *d) {
    return decide_reputation(d) || accept_ours(d);
}

/* --- unknown ------------------------------------------------------------------------------------ */

/* user%elsewhere, elsewhere!user, "user@elsewhere": forms that a host behind us might take for a
 * route. Known only if the directory has exactly that name. */
static bool routed_local(struct bytes mailbox) {
    struct bytes local = decide_local(mailbox);
    return bytes_find(local, '%') >= 0 || bytes_find(local, '!') >= 0 ||
           bytes_find(local, '@') >= 0;
}

static bool is_entry_itself(const struct directory_entry *e, struct bytes mailbox) {
    return e && (bytes_equal_nocase(e->address, mailbox) || strings_has(e->own, mailbox));
}

static bool refuse_unknown(struct decision *d, struct bytes because) {
    struct bytes shown = decide_text_cut(d, d->facts->recipient);
    decide_trace(d, domain_rule(d), false, because);
    decide_change(d, "fix-recipient", true, BYTES_NONE, B("correct the recipient's address"));
    if (d->domain->recipients == RECIPIENTS_PROBE)
        decide_change(
            d, "add-mailbox", true, d->facts->recipient,
            SAY(d, "make the mailbox %.*s at the server that deliver names", BYTES_FMT(shown)));
    else
        decide_change(
            d, "add-user", true, d->facts->recipient,
            SAY(d, "make the address: postern user add %.*s (or an alias)", BYTES_FMT(shown)));
    return decide_refuse(d, REFUSE_UNKNOWN,
                         SAY(d, "There is no mailbox %.*s here", BYTES_FMT(shown)),
                         B("Check the spelling of the address"));
}

/* --- a sender that we rewrote: SRS ---------------------------------------------------------------- */

static bool looks_rewritten(struct bytes mailbox) {
    struct bytes local = decide_local(mailbox);
    return bytes_starts_nocase(local, B("SRS0=")) || bytes_starts_nocase(local, B("SRS1="));
}

static bool refuse_srs(struct decision *d, enum refusal refusal, struct bytes because,
                       struct bytes what, struct bytes remedy) {
    decide_trace(d, B("srs"), false, because);
    return decide_refuse(d, refusal, what, remedy);
}

/* It is the way back for reports about mail that we sent on, and nothing else: else whoever has seen
 * such an address could relay to the one inside. */
static bool decide_srs(struct decision *d) {
    const struct facts *f = d->facts;
    struct bytes shown = decide_text_cut(d, f->recipient);
    if (f->srs_state != FACT_KNOWN)
        return decide_ask(d, FACT_SRS);
    if (f->srs == SRS_FORGED) {
        decide_change(d, "fix-recipient", true, BYTES_NONE, B("correct the recipient's address"));
        return refuse_srs(
            d, REFUSE_SRS_FORGED, B("this server did not make the address"),
            SAY(d, "The return address %.*s was not made by this server", BYTES_FMT(shown)),
            B("Write to the person who sent the message"));
    }
    if (f->srs == SRS_EXPIRED) {
        decide_change(d, "fix-recipient", true, BYTES_NONE,
                      B("write to the person who sent the message"));
        return refuse_srs(d, REFUSE_SRS_EXPIRED, B("it was made more than 21 days ago"),
                          SAY(d, "The return address %.*s has expired", BYTES_FMT(shown)),
                          B("Write to the person who sent the message"));
    }
    if (f->sender.len) {
        decide_change(d, "null-sender", true, BYTES_NONE,
                      B("send reports with the null sender (MAIL FROM:<>), all else to the person "
                        "who sent the message"));
        return refuse_srs(
            d, REFUSE_SRS_SENDER, B("taken from the null sender only"),
            SAY(d, "%.*s is a return address: only reports of delivery go there", BYTES_FMT(shown)),
            B("Write to the person who sent the message"));
    }
    decide_trace(d, B("srs"), true, B("a report to a sender that was rewritten here"));
    return taken(d);
}

/* --- groups --------------------------------------------------------------------------------------- */

/* A login that counts: one's own, or that of a POP window that holds here. */
static bool has_login(const struct decision *d) {
    const struct facts *f = d->facts;
    return f->login.len || (f->popped_login.len && d->out->bound);
}

/* A list of senders is a grant of these addresses; `any` grants none. */
static enum holds owned_by_grant(struct decision *d, uint32_t *needs) {
    const struct facts *f = d->facts;
    enum holds best = FAILS;
    for (size_t i = 0; i < d->config->connector_count && best != HOLDS; i++) {
        const struct connector *c = &d->config->connectors[i];
        const struct standing *s = &decide_standings(d)[i];
        enum stands stands = decide_stands(s);
        if (c->senders == SENDERS_ANY || stands == STANDS_OUT || stands == STANDS_EXPIRED)
            continue;
        uint32_t wants = s->needs;
        enum holds holds = decide_sender(d, c, f->sender, false, &wants);
        if (holds == FAILS)
            continue;
        best = wants ? UNSURE : holds;
        *needs |= wants;
    }
    return best;
}

static enum holds sender_owned(struct decision *d, uint32_t *needs) {
    const struct facts *f = d->facts;
    enum holds holds = FAILS;
    if (!f->sender.len)
        return FAILS;
    if (f->sender_aligned)
        return HOLDS;
    if (has_login(d))
        holds = decide_sender(d, NULL, f->sender, false, needs);
    return holds == FAILS ? owned_by_grant(d, needs) : holds;
}

/* Who is proved to be writing. */
struct author {
    struct bytes login, sender; /* empty: not proved */
};

/* True when the decision is ended by a question. */
static bool find_author(struct decision *d, struct author *out) {
    const struct facts *f = d->facts;
    uint32_t needs = 0;
    *out = (struct author){ 0 };
    if (has_login(d) && f->login_state != FACT_KNOWN)
        return decide_ask(d, FACT_LOGIN);
    if (has_login(d) && f->login_entry && !f->login_entry->disabled)
        out->login = f->login_entry->address;
    enum holds owned = sender_owned(d, &needs);
    if (owned == UNSURE)
        return decide_ask(d, needs);
    if (owned == HOLDS)
        out->sender = f->sender;
    return false;
}

static bool is_listed(const struct directory_rules *rules, struct bytes address) {
    return address.len &&
           (patterns_match(rules->allowed, address) || strings_has(rules->moderators, address));
}

static const struct membership *find_membership(const struct facts *f,
                                                const struct membership *wanted) {
    for (size_t i = 0; i < f->membership_count; i++) {
        const struct membership *m = &f->memberships[i];
        if (bytes_equal(m->group, wanted->group) && bytes_equal(m->login, wanted->login) &&
            bytes_equal(m->sender, wanted->sender))
            return m;
    }
    return NULL;
}

/* True when the decision is ended by a question. */
static bool find_member(struct decision *d, const struct directory_entry *g, const struct author *a,
                        bool *member) {
    struct membership wanted = { .group = g->address, .login = a->login, .sender = a->sender };
    *member = false;
    if (!a->login.len && !a->sender.len)
        return false;
    const struct membership *known = find_membership(d->facts, &wanted);
    if (!known) {
        d->out->member = wanted;
        return decide_ask(d, FACT_MEMBER);
    }
    *member = known->member;
    return false;
}

static const char *const who_may[] = {
    [DIRECTORY_EVERYONE] = "Everyone",
    [DIRECTORY_MEMBERS] = "Only members",
    [DIRECTORY_LOGINS] = "Only people who are logged in",
    [DIRECTORY_LISTED] = "Only chosen senders",
};

static void changes_group(struct decision *d, const struct directory_entry *g,
                          const struct author *a) {
    struct bytes sender = a->sender.len ? a->sender : a->login;
    struct bytes group = decide_text_cut(d, g->address), who = decide_text_cut(d, sender);
    if (!sender.len)
        decide_changes_login(d);
    if (sender.len && g->rules.senders == DIRECTORY_MEMBERS)
        decide_change(d, "add-member", true,
                      SAY(d, "%.*s %.*s", BYTES_FMT(g->address), BYTES_FMT(sender)),
                      SAY(d, "make the sender a member: postern group add-member %.*s %.*s",
                          BYTES_FMT(group), BYTES_FMT(who)));
    if (sender.len)
        decide_change(d, "allow-group-sender", true,
                      SAY(d, "%.*s %.*s", BYTES_FMT(g->address), BYTES_FMT(sender)),
                      SAY(d, "let the sender write to it: postern group set %.*s allow %.*s",
                          BYTES_FMT(group), BYTES_FMT(who)));
    decide_change(d, "open-group", false, g->address,
                  SAY(d,
                      "open the group: postern group set %.*s senders everyone: unsafe, any "
                      "stranger can then write to all its members",
                      BYTES_FMT(group)));
}

/* Whom to ask: the owner by name only where people know each other. */
static struct bytes group_remedy(struct decision *d, const struct directory_entry *g,
                                 const struct author *a) {
    bool proved = a->login.len || a->sender.len;
    struct bytes login = proved ? BYTES_NONE : decide_login_words(d);
    if (a->login.len && g->rules.owner.len)
        return SAY(d, "Ask its owner, %.*s, to let you in",
                   BYTES_FMT(decide_text_cut(d, g->rules.owner)));
    if (login.len)
        return g->rules.senders == DIRECTORY_LOGINS
                   ? login
                   : SAY(d, "%.*s, if you are one of them", BYTES_FMT(login));
    return SAY(d, "Ask postmaster@%.*s to let you in", BYTES_FMT(d->domain->name));
}

static bool refuse_group(struct decision *d, const struct directory_entry *g,
                         const struct author *a) {
    changes_group(d, g, a);
    bool unproved = !a->login.len && !a->sender.len;
    return decide_refuse(
        d, REFUSE_GROUP,
        SAY(d, "%s may send to %.*s%s", who_may[g->rules.senders],
            BYTES_FMT(decide_text_cut(d, g->address)),
            unproved ? ", and nothing here proves who you are" : ", and you are not one of them"),
        group_remedy(d, g, a));
}

/* True when the decision is ended: by a question, or because this sender may not write to it. */
static bool decide_group(struct decision *d, const struct directory_entry *g) {
    const struct directory_rules *rules = &g->rules;
    struct bytes name = SAY(d, "group %.*s: senders", BYTES_FMT(decide_text_cut(d, g->address)));
    struct author a;
    bool member = false;
    if (rules->senders == DIRECTORY_EVERYONE) {
        decide_trace(d, name, true, B("everyone may send to it"));
        return false;
    }
    if (find_author(d, &a))
        return true;
    bool listed = is_listed(rules, a.sender) || is_listed(rules, a.login);
    bool by_login = rules->senders == DIRECTORY_LOGINS && a.login.len;
    if (!listed && rules->senders == DIRECTORY_MEMBERS && find_member(d, g, &a, &member))
        return true;
    bool may = listed || by_login || member;
    struct bytes who = decide_text_cut(d, a.sender.len ? a.sender : a.login);
    decide_trace(d, name, may,
                 !who.len   ? B("no login or grant proves whose the sender is")
                 : listed   ? SAY(d, "%.*s is an allowed sender or moderator", BYTES_FMT(who))
                 : by_login ? B("logged in")
                            : SAY(d, "%.*s is %s", BYTES_FMT(who),
                                  rules->senders != DIRECTORY_MEMBERS ? "not an allowed sender"
                                  : member                            ? "a member"
                                                                      : "not a member"));
    return !may && refuse_group(d, g, &a);
}

/* A group itself, or those an alias is another name of. */
static bool decide_groups(struct decision *d, const struct directory_entry *e) {
    if (e->kind == DIRECTORY_GROUP)
        return decide_group(d, e);
    for (size_t i = 0; i < e->group_count; i++)
        if (decide_group(d, &e->groups[i]))
            return true;
    return false;
}

/* --- asking the server behind us -------------------------------------------------------------------- */

static bool probe_limited(struct decision *d) {
    char opens[40];
    struct buf when = buf_fixed(opens, sizeof opens);
    num_format_rfc3339(&when, d->facts->probe_opens);
    decide_trace(d, domain_rule(d), false,
                 B("too many addresses that there are not were asked for from this address"));
    decide_change(d, "wait", true, arena_copy(d->arena, buf_bytes(&when)),
                  SAY(d, "wait until %s", buf_text(&when)));
    return decide_refuse(d, REFUSE_PROBE_LIMIT, B("Too many recipients that do not exist"),
                         SAY(d, "Correct the list; there is room again at %s", buf_text(&when)));
}

static bool probe_later(struct decision *d) {
    struct bytes said = d->facts->probe_said;
    decide_trace(d, domain_rule(d), false,
                 said.len ? SAY(d, "the server behind it says: %.*s", BYTES_FMT(said))
                          : B("the server behind it could not be asked"));
    decide_change(d, "wait", true, BYTES_NONE, B("wait until the server behind answers again"));
    return decide_refuse(d, REFUSE_PROBE_LATER, B("The address cannot be checked for the moment"),
                         B("This is our fault: try again in some minutes"));
}

/* It knows the mailbox, which takes nothing: full, disabled, not for everyone. */
static bool refuse_behind(struct decision *d) {
    const struct facts *f = d->facts;
    struct bytes shown = decide_text_cut(d, f->recipient);
    char status[12];
    status_format(f->probe_status, status);
    decide_trace(d, domain_rule(d), false,
                 SAY(d, "the server behind it says: %s %.*s", status, BYTES_FMT(f->probe_said)));
    decide_change(
        d, "mailbox-behind", true, f->recipient,
        SAY(d, "see to the mailbox %.*s at the server that deliver names", BYTES_FMT(shown)));
    return decide_refuse(d, REFUSE_BEHIND,
                         SAY(d, "The mailbox %.*s takes no mail (%s)", BYTES_FMT(shown), status),
                         SAY(d, "Reach its owner in another way, or ask postmaster@%.*s",
                             BYTES_FMT(d->domain->name)));
}

static bool unknown_behind(const struct facts *f) {
    return !status_is_set(f->probe_status) || f->probe_status.subject <= 1;
}

static bool decide_probe(struct decision *d) {
    const struct facts *f = d->facts;
    if (routed_local(f->recipient))
        return refuse_unknown(d, B("the local part looks like a route to elsewhere"));
    if (decide_reputation(d)) /* a client that is refused anyway makes no work for others */
        return true;
    if (f->probe_state == FACT_FAILED)
        return probe_later(d);
    if (f->probe_state != FACT_KNOWN)
        return decide_ask(d, FACT_PROBE);
    if (f->probe == PROBE_LIMITED)
        return probe_limited(d);
    if (f->probe == PROBE_LATER)
        return probe_later(d);
    if (f->probe == PROBE_REFUSES && !unknown_behind(f))
        return refuse_behind(d);
    if (f->probe == PROBE_REFUSES)
        return refuse_unknown(
            d, f->probe_said.len
                   ? SAY(d, "the server behind it says: %.*s", BYTES_FMT(f->probe_said))
                   : B("the server behind it does not know the address"));
    decide_trace(d, domain_rule(d), true, B("the server behind it takes the address"));
    return accept_ours(d);
}

/* --- the rule ----------------------------------------------------------------------------------------- */

static bool known_by_any(struct decision *d) {
    if (routed_local(d->facts->recipient))
        return refuse_unknown(d, B("the local part looks like a route to elsewhere"));
    decide_trace(d, domain_rule(d), true, B("any recipient is taken"));
    return taken(d);
}

static bool known_by_directory(struct decision *d) {
    const struct facts *f = d->facts;
    if (!f->recipient_entry)
        return refuse_unknown(d, B("the directory does not know the address"));
    if (routed_local(f->recipient) && !is_entry_itself(f->recipient_entry, f->recipient))
        return refuse_unknown(d, B("the local part looks like a route to elsewhere"));
    decide_trace(d, domain_rule(d), true, B("the directory knows the address"));
    return taken(d);
}

/* A user has a mailbox with the server behind us, unless all its mail is forwarded. */
static bool ends_behind(const struct directory_entry *e) {
    return !e || (e->kind == DIRECTORY_USER && (!e->targets.count || e->keep));
}

bool decide_rule_recipient_known(struct decision *d) {
    const struct facts *f = d->facts;
    if (d->to == TO_OTHERS)
        return false;
    if (d->to == TO_POSTMASTER)
        return decide_accept(d, B("postmaster is taken from anyone"));
    if (looks_rewritten(f->recipient))
        return decide_srs(d);
    if (f->recipient_state != FACT_KNOWN)
        return decide_ask(d, FACT_RECIPIENT);
    const struct directory_entry *e = f->recipient_entry;
    if (e && decide_groups(d, e))
        return true;
    if (d->domain->recipients == RECIPIENTS_ANY && !e)
        return known_by_any(d);
    if (d->domain->recipients == RECIPIENTS_PROBE && ends_behind(e))
        return decide_probe(d);
    return known_by_directory(d);
}
