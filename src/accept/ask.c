/* ask: from facts to a verdict when some facts are still with a service. The decision says what it
 * misses; the service that knows is asked; then the decision is asked again. */
#include "accept/internal.h"
#include "base/must.h"

#include <string.h>

static void login_found(void *ctx, enum rc rc, const struct directory_entry *entry,
                        const struct why *why) {
    (void)why;
    struct session *s = ctx;
    s->facts.login_state = rc == OK ? FACT_KNOWN : FACT_FAILED;
    s->facts.login_entry =
        rc == OK ? directory_entry_copy(s->tx ? s->tx->arena : s->step, entry) : NULL;
    ask_go_on(s);
}

/* --- POP before SMTP ------------------------------------------------------------------------ */

static struct popped *find_popped(struct session *s, struct bytes login) {
    for (size_t i = 0; i < s->facts.popped_count; i++)
        if (bytes_equal(s->popped[i].login, login))
            return &s->popped[i];
    return NULL;
}

static struct popped *next_unknown(struct session *s) {
    for (size_t i = 0; i < s->facts.popped_count; i++)
        if (s->popped[i].state == FACT_UNKNOWN)
            return &s->popped[i];
    return NULL;
}

static bool same_popped(const struct session *s, const struct counters_popped *found,
                        size_t count) {
    bool same = count == s->facts.popped_count;
    for (size_t i = 0; same && i < count; i++)
        same = s->popped[i].at == found[i].at && bytes_equal(s->popped[i].login, found[i].login);
    return same;
}

/* What is known of those who stay is kept as long as the transaction. */
static void keep_popped(struct session *s, const struct counters_popped *found, size_t count,
                        struct arena *a) {
    struct popped *list = ARENA_ARRAY(a, count, struct popped);
    for (size_t i = 0; i < count; i++) {
        const struct popped *old = find_popped(s, found[i].login);
        list[i] = old ? *old : (struct popped){ .login = arena_copy(a, found[i].login) };
        list[i].at = found[i].at;
    }
    s->facts.popped = s->popped = list;
    s->facts.popped_count = count;
}

void ask_popped(struct session *s, struct arena *a) {
    struct facts *f = &s->facts;
    struct counters_popped *found;
    int64_t window = config_pop_window(s->rules->config);
    if (!window || f->local_door || f->client_unknown) {
        f->popped_count = 0;
        return;
    }
    struct arena *mine = s->tx ? s->tx->arena : a;
    size_t count =
        counters_popped(s->accept->setup.counters, f->client, f->now - window, a, &found);
    if (!count)
        f->popped_count = 0;
    else if (!same_popped(s, found, count))
        keep_popped(s, found, count, mine);
}

static void popped_found(void *ctx, enum rc rc, const struct directory_entry *entry,
                         const struct why *why) {
    (void)why;
    struct session *s = ctx;
    s->finding->state = rc == OK ? FACT_KNOWN : FACT_FAILED;
    s->finding->entry =
        rc == OK ? directory_entry_copy(s->tx ? s->tx->arena : s->step, entry) : NULL;
    ask_go_on(s);
}

/* False: there is nobody to ask for. */
static bool ask_entry_of(struct session *s, struct popped *p) {
    s->finding = p;
    if (p)
        directory_find_login(s->accept->setup.directory, p->login, popped_found, s);
    return p != NULL;
}

static void recipient_found(void *ctx, enum rc rc, const struct directory_entry *entry,
                            const struct why *why) {
    (void)why;
    struct session *s = ctx;
    s->facts.recipient_state = rc == OK ? FACT_KNOWN : FACT_FAILED;
    s->facts.recipient_entry = rc == OK ? directory_entry_copy(s->step, entry) : NULL;
    ask_go_on(s);
}

static void sender_found(void *ctx, enum rc rc, const struct directory_entry *entry,
                         const struct why *why) {
    (void)why;
    struct session *s = ctx;
    s->facts.sender_state = rc == OK ? FACT_KNOWN : FACT_FAILED;
    s->facts.sender_entry =
        rc == OK ? directory_entry_copy(s->tx ? s->tx->arena : s->step, entry) : NULL;
    ask_go_on(s);
}

static void member_found(void *ctx, enum rc rc, const struct directory_entry *entry,
                         const struct why *why) {
    (void)why;
    struct session *s = ctx;
    struct facts *f = &s->facts;
    f->member_state = rc == OK ? FACT_KNOWN : FACT_FAILED;
    if (rc == OK) {
        size_t count = f->membership_count;
        struct membership *more = ARENA_ARRAY(s->step, count + 1, struct membership);
        if (count)
            memcpy(more, f->memberships, count * sizeof *more);
        more[count] = s->asked_member;
        more[count].member = entry != NULL;
        f->memberships = more;
        f->membership_count = count + 1;
    }
    ask_go_on(s);
}

static void ask_member(struct session *s, const struct membership *m) {
    s->asked_member = (struct membership){ .group = arena_copy(s->step, m->group),
                                           .login = arena_copy(s->step, m->login),
                                           .sender = arena_copy(s->step, m->sender) };
    s->facts.member_state = FACT_UNKNOWN;
    directory_find_member(s->accept->setup.directory, m->group, m->login, m->sender, member_found,
                          s);
}

/* --- asking the server behind us ------------------------------------------------------------ */

/* A hundred wrong guesses an hour; then nothing is said about any address, right or wrong. */
static const struct rate probe_rate = { 100, 60 * 60 * 1000 };
enum { TARPIT_MS = 1000, TARPIT_MAX_MS = 16 * 1000 };

static void probe_over(void *ctx) {
    struct session *s = ctx;
    session_idle_timer(s);
    ask_go_on(s);
    session_flush(s);
}

/* What was held in case the guess is wrong. */
static void probe_held_back(struct session *s, bool wrong) {
    struct counters *c = s->accept->setup.counters;
    if (!s->probe_held)
        return;
    s->probe_held = false;
    if (wrong)
        counters_keep(c, &s->probe_limit, 1, loop_now(s->accept->setup.loop));
    else
        counters_drop(c, &s->probe_limit, 1);
}

/* Each wrong one in a session makes the next answer slower. */
static int64_t tarpit(const struct session *s) {
    unsigned errors = smtp_server_errors(s->machine);
    return errors < 4 ? TARPIT_MS << errors : TARPIT_MAX_MS;
}

static void probed(void *arg, enum probe_answer answer, struct status status, struct bytes said) {
    struct session *s = arg;
    struct facts *f = &s->facts;
    bool wrong = answer == PROBE_REFUSES;
    f->probe_state = FACT_KNOWN;
    f->probe = answer;
    f->probe_status = status;
    f->probe_said = arena_copy(s->step, said);
    probe_held_back(s, wrong);
    timer_set(s->accept->setup.loop, &s->timer, wrong ? tarpit(s) : 0, probe_over, s);
}

static void probe_allowed(void *ctx, enum rc rc, const struct why *why) {
    struct session *s = ctx;
    struct accept *a = s->accept;
    struct facts *f = &s->facts;
    (void)why;
    if (rc == OK) {
        s->probe_held = true;
        a->setup.probe(a->setup.ctx, f->recipient, probed, s);
        return;
    }
    f->probe_state = rc == MORE ? FACT_KNOWN : FACT_FAILED;
    f->probe = PROBE_LIMITED;
    f->probe_opens = s->probe_limit.opens - loop_now(a->setup.loop) + loop_wall(a->setup.loop);
    timer_set(a->setup.loop, &s->timer, 0, probe_over, s);
}

/* True when it is known already. */
static bool ask_probe(struct session *s) {
    struct accept *a = s->accept;
    if (!a->setup.probe) {
        s->facts.probe_state = FACT_FAILED;
        return true;
    }
    char client[sizeof s
                    ->client_key]; /* XCLIENT may have told another than the one that connected */
    if (!s->facts.local_door)
        counters_client_key(s->facts.client, client);
    s->probe_limit = (struct counters_limit){
        .key = arena_printf(s->step, "probe/%s", s->facts.local_door ? s->client_key : client),
        .rates = { 1, &probe_rate },
        .crowd = true,
    };
    timer_clear(&s->timer); /* it is we who are slow */
    counters_hold(a->setup.counters, &s->probe_limit, 1, loop_now(a->setup.loop), probe_allowed, s);
    return false;
}

void ask_gateway(struct session *s) {
    struct accept *a = s->accept;
    enum rc rc = OK;
    s->facts.gateway = false;
    if (a->setup.is_gateway)
        rc = a->setup.is_gateway(a->setup.ctx, s->facts.client, &s->facts.gateway);
    s->facts.gateway_state = rc == OK ? FACT_KNOWN : FACT_FAILED;
}

/* Asks for one missing fact. True when it is known already, so the decision can go on at once. */
static bool fetch(struct session *s, const struct verdict *v) {
    struct accept *a = s->accept;
    uint32_t missing = v->missing;
    if (missing & FACT_GATEWAY) {
        ask_gateway(s);
        return true;
    }
    if (missing & FACT_POPPED && ask_entry_of(s, next_unknown(s)))
        return false;
    if (missing & FACT_LOGIN && !s->facts.login.len)
        return !ask_entry_of(s, find_popped(s, v->login));
    if (missing & FACT_LOGIN) {
        directory_find_login(a->setup.directory, s->facts.login, login_found, s);
        return false;
    }
    if (callers_fetch(s, missing))
        return false;
    if (missing & FACT_GREY) {
        callers_look_grey(s);
        return true;
    }
    if (missing & FACT_SENDER_ENTRY) {
        directory_find(a->setup.directory, s->facts.sender, sender_found, s);
        return false;
    }
    if (missing & FACT_RECIPIENT) {
        directory_find(a->setup.directory, s->facts.recipient, recipient_found, s);
        return false;
    }
    if (missing & FACT_MEMBER) {
        ask_member(s, &v->member);
        return false;
    }
    if (missing & FACT_SRS) {
        s->facts.srs_state = a->setup.srs ? FACT_KNOWN : FACT_FAILED;
        if (a->setup.srs)
            s->facts.srs = a->setup.srs(a->setup.ctx, s->facts.recipient, s->facts.now);
        return true;
    }
    if (missing & FACT_PROBE)
        return ask_probe(s);
    MUST(missing & FACT_COUNTERS);
    return limits_look(s, v, ask_go_on);
}

/* A recipient that may be taken gets its places in the limits before that is said: somebody else may
 * have been given the last one since the decision was made. */
static bool wants_places(const struct session *s, const struct verdict *v) {
    return v->rc == OK && s->asking == STEP_RCPT && v->limit_count && !s->placed;
}

void ask_forget_popped(struct session *s) {
    if (!s->tx)
        s->facts.popped_count = 0;
    for (size_t i = 0; i < s->facts.popped_count; i++)
        if (s->popped[i].state == FACT_FAILED)
            s->popped[i].state = FACT_UNKNOWN;
}

/* What lay in the step's arena; and what could not be had is asked for again by the next step. */
static void forget_facts(struct session *s) {
    struct facts *f = &s->facts;
    f->recipient_entry = NULL;
    f->grey_state = FACT_UNKNOWN; /* it is the recipient's too */
    f->counts_state = FACT_UNKNOWN;
    s->placed = s->watched = false;
    f->memberships = NULL;
    f->membership_count = 0;
    f->member_state = f->srs_state = f->probe_state = FACT_UNKNOWN;
    f->probe_said = BYTES_NONE;
    if (f->gateway_state == FACT_FAILED)
        f->gateway_state = FACT_UNKNOWN;
    if (!s->tx || f->login_state == FACT_FAILED)
        f->login_state = FACT_UNKNOWN;
    if (!s->tx || f->sender_state == FACT_FAILED)
        f->sender_state = FACT_UNKNOWN;
    ask_forget_popped(s);
}

void ask_go_on(struct session *s) {
    struct verdict v;
    for (;;) {
        s->accept->setup.decide(s->rules->config, s->asking, &s->facts, s->step, &v);
        if (v.rc == OK && v.watched && callers_trip(s, &v))
            continue;
        if (v.rc != MORE && !wants_places(s, &v))
            break;
        if (v.rc == MORE ? !fetch(s, &v) : !limits_hold(s, &v, ask_go_on))
            return;
    }
    void (*then)(struct session *, const struct verdict *) = s->then;
    s->then = NULL;
    struct arena *mine = s->step;
    s->step = NULL;
    forget_facts(s);
    then(s, &v); /* may begin another step, or end the session's transaction */
    arena_close(&mine);
}

void ask_decision(struct session *s, enum decide_step step,
                  void (*then)(struct session *s, const struct verdict *v)) {
    MUST(!s->then && !s->step);
    s->asking = step;
    s->then = then;
    s->step = arena_open();
    s->facts.now = loop_wall(s->accept->setup.loop);
    ask_popped(s, s->step);
    s->facts.suspended =
        s->facts.local_door ? 0 : counters_suspended(s->accept->setup.counters, s->facts.client);
    ask_go_on(s);
}

void ask_cancel(struct session *s) {
    if (!s->then)
        return;
    directory_cancel(s->accept->setup.directory, s);
    counters_cancel(s->accept->setup.counters, s);
    callers_cancel(s);
    if (s->accept->setup.probe_cancel)
        s->accept->setup.probe_cancel(s->accept->setup.ctx, s);
    probe_held_back(s, false);
    s->then = NULL;
    arena_close(&s->step);
}
