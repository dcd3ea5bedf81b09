/* pop: POP before SMTP. Behind one address many may have logged in: which of them a message is
 * from, its sender tells. This file alone makes that choice; whether the window is still open, and
 * what it grants, connector.c says as for any other condition. */
#include "decide/internal.h"

static bool is_void(const struct popped *p) {
    return p->state == FACT_KNOWN && (!p->entry || p->entry->disabled);
}

/* The mailbox that tells whose message it is; empty: nothing does yet. A null sender says nothing,
 * its From does. */
static struct bytes told_by(enum decide_step step, const struct facts *f) {
    if (step < STEP_MAIL || step > STEP_CONTENT)
        return BYTES_NONE;
    if (f->sender.len || step != STEP_CONTENT || !f->header_mailbox_count)
        return f->sender;
    return f->header_mailboxes[0].mailbox;
}

static const struct popped *by_name(const struct facts *f, struct bytes name) {
    for (size_t i = 0; i < f->popped_count; i++)
        if (bytes_equal_nocase(f->popped[i].login, name) && !is_void(&f->popped[i]))
            return &f->popped[i];
    return NULL;
}

static bool all_known(const struct facts *f) {
    for (size_t i = 0; i < f->popped_count; i++)
        if (f->popped[i].state != FACT_KNOWN)
            return false;
    return true;
}

/* Of those who may send as this, the last to have logged in. */
static const struct popped *owner(struct decision *d, struct facts *f, struct bytes mailbox) {
    for (size_t i = 0; i < f->popped_count; i++)
        if (!is_void(&f->popped[i]) && decide_owns(d, f->popped[i].entry, mailbox))
            return &f->popped[i];
    return NULL;
}

static const struct popped *newest(const struct facts *f) {
    for (size_t i = 0; i < f->popped_count; i++)
        if (!is_void(&f->popped[i]))
            return &f->popped[i];
    return &f->popped[0];
}

static enum fact_state worst(const struct facts *f) {
    enum fact_state state = FACT_KNOWN;
    for (size_t i = 0; i < f->popped_count && state != FACT_FAILED; i++)
        if (f->popped[i].state != FACT_KNOWN)
            state = f->popped[i].state;
    return state;
}

static bool has_pop(const struct config *c) {
    return config_pop_window(c) > 0;
}

static void settle(struct facts *f, const struct popped *p) {
    f->popped_count = 0;
    f->popped_login = p ? p->login : BYTES_NONE;
    f->popped_at = p ? p->at : 0;
    if (!p || f->login.len)
        return;
    f->login_state = p->state;
    f->login_entry = p->entry;
}

bool decide_choose_popped(struct decision *d, struct facts *f) {
    if (!f->popped_count)
        return false;
    struct bytes mailbox = told_by(d->step, f);
    const struct popped *p = NULL;
    if (!has_pop(d->config)) {
        settle(f, NULL);
        return false;
    }
    f->popped_state = worst(f);
    if (f->login.len)
        p = by_name(f, f->login);
    else if (f->popped_count == 1 || !mailbox.len)
        p = newest(f);
    else if (!(p = by_name(f, mailbox)) && !all_known(f))
        return decide_ask(d, FACT_POPPED);
    else if (!p && !(p = owner(d, f, mailbox)))
        p = newest(f);
    settle(f, p);
    return false;
}
