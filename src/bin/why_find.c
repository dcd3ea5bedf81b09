/* why_find: facts that a decision of `postern why` misses: from the directory, this host, the DNS and the
 * running server. What cannot be had is noted as such, as the server would. */
#include "base/must.h"
#include "bin/control.h"
#include "bin/layout.h"
#include "bin/srs_key.h"
#include "bin/why_run.h"
#include "counters/counters.h"
#include "resolve/srs.h"
#include "sys/gateways.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>

/* --- facts that are asked for ------------------------------------------------------------------------ */

void why_open_directory(struct why_run *w) {
    const char *file = layout_directory_file(w->arena, w->config).at;
    struct why why;
    if (access(file, F_OK) != 0 && errno == ENOENT)
        return; /* nobody was added yet */
    w->directory_down = directory_db_open(file, false, &w->directory, &why) != OK;
    if (w->directory_down)
        fprintf(stderr, "postern why: %s\n", why.text);
}

static enum fact_state look_up(struct why_run *w, struct bytes name, bool login,
                               const struct directory_entry **out) {
    struct directory_entry *e = NULL;
    struct why why;
    *out = NULL;
    if (w->directory_down)
        return FACT_FAILED;
    if (!w->directory)
        return FACT_KNOWN;
    enum rc rc = login ? directory_db_find_login(w->directory, name, w->arena, &e, &why)
                       : directory_db_find(w->directory, name, w->arena, &e, &why);
    if (rc != OK)
        fprintf(stderr, "postern why: %s\n", why.text);
    *out = e;
    return rc == OK ? FACT_KNOWN : FACT_FAILED;
}

static void find_gateway(struct why_run *w) {
    struct network *list = NULL;
    size_t count = 0;
    struct why why;
    if (gateways_list(w->arena, &list, &count, &why) != OK)
        fprintf(stderr, "postern why: gateways of this host were not looked at: %s\n", why.text);
    w->facts.gateway = networks_have((struct networks){ count, list }, w->facts.client);
    w->facts.gateway_state = FACT_KNOWN;
}

/* --- the running server ------------------------------------------------------------------------------ */

/* False when no server runs, which is told once. */
static bool ask_server(struct why_run *w, json_t *request,
                       void (*each)(void *ctx, struct bytes line), void *ctx) {
    char *text = json_dumps(request, JSON_COMPACT);
    json_decref(request);
    bool ok = text && control_ask(layout_path(w->arena, w->config, "run/control.sock"),
                                  bytes_str(text), each, ctx);
    free(text);
    if (!ok && !w->told_offline)
        fprintf(stderr, "postern why: no server of this configuration could be asked, so nothing "
                        "counts as sent yet (--sent N says otherwise), and no POP window is open "
                        "(--popped U says otherwise)\n");
    w->told_offline |= !ok;
    return ok;
}

/* POP windows at the client's address. */
struct windows {
    struct why_run *answer;
    struct popped list[COUNTERS_POP_LOGINS];
    size_t count;
};

static void on_window(void *ctx, struct bytes line) {
    struct windows *l = ctx;
    json_t *json = json_loadb(line.at, line.len, 0, NULL);
    const json_t *login = json_object_get(json, "login");
    if (json_is_string(login) && l->count < COUNTERS_POP_LOGINS)
        l->list[l->count++] = (struct popped){
            .login = arena_copy(l->answer->arena,
                                bytes_of(json_string_value(login), json_string_length(login))),
            .at = json_integer_value(json_object_get(json, "at")),
        };
    json_decref(json);
}

static int newest_first(const void *left, const void *right) {
    const struct popped *a = left, *b = right;
    return (a->at < b->at) - (a->at > b->at);
}

void why_find_windows(struct why_run *w) {
    struct facts *f = &w->facts;
    if (w->q->offline || f->local_door || !config_pop_window(w->config))
        return;
    char text[64];
    struct buf address = buf_fixed(text, sizeof text);
    addr_format(&address, f->client);
    struct windows *l = ARENA_NEW(w->arena, struct windows);
    l->answer = w;
    ask_server(w, json_pack("{s:s,s:s}", "command", "pop-list", "address", buf_text(&address)),
               on_window, l);
    qsort(l->list, l->count, sizeof *l->list, newest_first);
    f->popped = w->popped = l->list;
    f->popped_count = l->count;
}

static void tell_window(struct why_run *w, struct popped *p) {
    p->state = look_up(w, p->login, true, &p->entry);
}

/* --- counters: --sent, or the running server -------------------------------------------------------- */

/* Without a server: --sent messages are in each window, and this message's earlier recipients. */
static struct count count_of(const struct why_run *w, const struct limit *l) {
    struct count n = { .key = l->key };
    uint64_t used = l->recipients ? w->facts.recipients_so_far : w->sent;
    for (size_t i = 0; i < l->rates.count && !n.full; i++) {
        n.which = l->rates.list[i];
        n.full = used >= n.which.count;
        n.opens = w->facts.now + n.which.window_ms;
    }
    return n;
}

static json_t *limit_json(const struct why_run *w, const struct limit *l) {
    json_t *rates = json_array();
    for (size_t i = 0; i < l->rates.count; i++)
        json_array_append_new(rates, json_pack("[I,I]", (json_int_t)l->rates.list[i].count,
                                               (json_int_t)l->rates.list[i].window_ms));
    json_int_t besides = l->recipients ? (json_int_t)w->facts.recipients_so_far : 0;
    return json_pack("{s:s%,s:b,s:I,s:o}", "key", l->key.at, l->key.len, "crowd", (int)l->crowd,
                     "besides", besides, "rates", rates);
}

/* The server's answer: a line for each limit, in order. */
struct counted {
    struct why_run *answer;
    struct count *counts;
    size_t count, told;
    bool denied; /* we may not ask */
};

static void on_count(void *ctx, struct bytes line) {
    struct counted *c = ctx;
    json_t *json = json_loadb(line.at, line.len, 0, NULL);
    const char *error = json_string_value(json_object_get(json, "error"));
    if (error) {
        fprintf(stderr, "postern why: the server says: %s\n", error);
        c->denied |= strncmp(error, "only root", 9) == 0;
    }
    if (json_is_boolean(json_object_get(json, "full")) && c->told < c->count) {
        struct count *n = &c->counts[c->told++];
        n->full = json_is_true(json_object_get(json, "full"));
        n->which.count = (uint64_t)json_integer_value(json_object_get(json, "most"));
        n->which.window_ms = json_integer_value(json_object_get(json, "window"));
        n->opens = (json_integer_value(json_object_get(json, "opens")) + 999) / 1000 * 1000;
    }
    json_decref(json);
}

static bool ask_counts(struct why_run *w, struct count *counts) {
    struct counted c = { .answer = w, .counts = counts, .count = w->v.limit_count };
    json_t *list = json_array();
    for (size_t i = 0; i < w->v.limit_count; i++)
        json_array_append_new(list, limit_json(w, &w->v.limits[i]));
    json_t *request = json_pack("{s:s,s:o}", "command", "limits", "limits", list);
    if (w->q->at.len)
        json_object_set_new(request, "at", json_integer(w->facts.now));
    bool told = ask_server(w, request, on_count, &c) && c.told == c.count;
    if (c.denied)
        fprintf(stderr, "postern why: so nothing counts as sent yet (--sent N says otherwise)\n");
    w->told_offline |= c.denied;
    return told;
}

static void find_counts(struct why_run *w) {
    struct count *counts = ARENA_ARRAY(w->arena, w->v.limit_count, struct count);
    for (size_t i = 0; i < w->v.limit_count; i++)
        counts[i] = count_of(w, &w->v.limits[i]);
    w->facts.counts_state = FACT_KNOWN;
    if (!w->q->offline && !w->q->sent.len && !ask_counts(w, counts) && !w->told_offline)
        w->facts.counts_state = FACT_FAILED; /* it runs, and could not tell */
    w->facts.counts = counts;
    w->facts.count_count = w->v.limit_count;
}

/* --- facts about recipients of ours ------------------------------------------------------------------ */

static void find_member(struct why_run *w) {
    struct facts *f = &w->facts;
    const struct membership *asked = &w->v.member;
    struct membership *list = ARENA_ARRAY(w->arena, f->membership_count + 1, struct membership);
    struct why why;
    f->member_state = w->directory_down ? FACT_FAILED : FACT_KNOWN;
    if (f->membership_count)
        memcpy(list, f->memberships, f->membership_count * sizeof *list);
    list[f->membership_count] = *asked;
    if (w->directory &&
        directory_db_is_member(w->directory, asked->group, asked->login, asked->sender,
                               &list[f->membership_count].member, &why) != OK) {
        fprintf(stderr, "postern why: %s\n", why.text);
        f->member_state = FACT_FAILED;
    }
    f->memberships = list;
    f->membership_count++;
}

static void find_srs(struct why_run *w) {
    struct facts *f = &w->facts;
    struct bytes inside;
    struct why why;
    f->srs_state = FACT_FAILED;
    if (srs_key_fill(w->config, false, &why) != OK) {
        fprintf(stderr, "postern why: %s\n", why.text);
        return;
    }
    f->srs_state = FACT_KNOWN;
    f->srs = srs_read(w->config->srs_secret, f->recipient, f->now, w->arena, &inside);
}

/* The server behind us is not asked: a question of what if has to leave it alone. */
static void find_probe(struct why_run *w) {
    struct facts *f = &w->facts;
    struct bytes said = w->q->probe;
    f->probe_state = FACT_KNOWN;
    f->probe = bytes_equal(said, B("refuses")) ? PROBE_REFUSES
               : bytes_equal(said, B("later")) ? PROBE_LATER
                                               : PROBE_TAKES;
    if (!said.len)
        fprintf(stderr, "postern why: the server behind the domain was not asked: taken as if it "
                        "knew the address (--probe refuses, --probe later)\n");
}

/* --- what the DNS says of the client ------------------------------------------------------------------ */

static bool can_look(struct why_run *w) {
    struct looking *k = w->looking;
    struct why why;
    if (w->q->offline)
        return false;
    if (!k->tried && lookup_open(w->config, k->loop, w->config->arena, &k->lookup, &why) != OK)
        fprintf(stderr, "postern why: the DNS was not asked: %s\n", why.text);
    k->tried = true;
    return k->lookup.dns != NULL;
}

static void ptr_checked(void *ctx, const struct dns_name_check *check) {
    struct why_run *w = ctx;
    w->facts.ptr_state = check->failed ? FACT_FAILED : FACT_KNOWN;
    w->facts.ptr_name = arena_copy(w->arena, check->name);
    w->facts.ptr_confirmed = check->confirmed;
    loop_stop(w->looking->loop);
}

static void helo_checked(void *ctx, const struct dns_name_check *check) {
    struct why_run *w = ctx;
    w->facts.helo_state = check->failed ? FACT_FAILED : FACT_KNOWN;
    w->facts.helo_missing = !check->name.len;
    w->facts.helo_confirmed = check->confirmed;
    loop_stop(w->looking->loop);
}

static void find_names(struct why_run *w, bool helo) {
    struct looking *k = w->looking;
    struct facts *f = &w->facts;
    *(helo ? &f->helo_state : &f->ptr_state) = FACT_FAILED;
    if (!can_look(w))
        return;
    if (helo)
        dns_check_name(k->lookup.dns, k->loop, f->helo, f->client, helo_checked, w);
    else
        dns_check_client(k->lookup.dns, k->loop, f->client, ptr_checked, w);
    loop_run(k->loop);
}

static void listed(void *ctx, const struct dns_listing *list, size_t count) {
    struct why_run *w = ctx;
    struct listing *kept = ARENA_ARRAY(w->arena, count, struct listing);
    for (size_t i = 0; i < count; i++) {
        uint32_t *codes = ARENA_ARRAY(w->arena, list[i].count, uint32_t);
        for (size_t j = 0; j < list[i].count; j++)
            codes[j] = dnslist_code(list[i].codes[j]);
        kept[i] = (struct listing){ arena_copy(w->arena, list[i].zone),
                                    list[i].failed,
                                    bytes_str(list[i].because),
                                    list[i].count,
                                    codes,
                                    arena_copy(w->arena, list[i].text) };
    }
    w->facts.listings = kept;
    w->facts.listing_count = count;
    w->facts.listings_state = FACT_KNOWN;
    loop_stop(w->looking->loop);
}

/* --listed LIST: as if it had the client, and no other had; with :127.0.0.4 behind it, with this answer. */
static void pretend_listed(struct why_run *w) {
    struct facts *f = &w->facts;
    struct listing *kept = ARENA_ARRAY(w->arena, w->q->listed_count, struct listing);
    for (size_t i = 0; i < w->q->listed_count; i++) {
        struct dnslist list;
        uint32_t *code = ARENA_NEW(w->arena, uint32_t);
        dnslist_parse(arena_lower(w->arena, w->q->listed[i]), &list);
        *code = list.last ? list.first : UINT32_C(0x7f000002);
        kept[i] = (struct listing){ .zone = list.zone, .code_count = 1, .codes = code };
    }
    f->listings = kept;
    f->listing_count = w->q->listed_count;
    f->listings_state = FACT_KNOWN;
}

static void find_listings(struct why_run *w) {
    struct bytes zones[128];
    w->facts.listings_state = FACT_FAILED;
    if (w->q->listed_count)
        pretend_listed(w);
    else if (can_look(w)) {
        dns_ask_lists(w->looking->lookup.dns, w->looking->loop, w->facts.client, zones,
                      dnslist_zones(w->facts.listener, zones, COUNT_OF(zones)), listed, w);
        loop_run(w->looking->loop);
    }
}

void why_find(struct why_run *w, uint32_t missing) {
    struct facts *f = &w->facts;
    for (size_t i = 0; i < f->popped_count; i++)
        if (missing & FACT_POPPED ||
            (missing & FACT_LOGIN && bytes_equal(w->popped[i].login, w->v.login)))
            tell_window(w, &w->popped[i]);
    if (missing & FACT_MEMBER)
        find_member(w);
    if (missing & FACT_SRS)
        find_srs(w);
    if (missing & FACT_PROBE)
        find_probe(w);
    if (missing & FACT_LOGIN)
        f->login_state =
            look_up(w, f->login.len ? f->login : f->popped_login, true, &f->login_entry);
    if (missing & FACT_RECIPIENT)
        f->recipient_state = look_up(w, f->recipient, false, &f->recipient_entry);
    if (missing & FACT_SENDER_ENTRY)
        f->sender_state = look_up(w, f->sender, false, &f->sender_entry);
    if (missing & FACT_GATEWAY)
        find_gateway(w);
    if (missing & FACT_COUNTERS)
        find_counts(w);
    if (missing & (FACT_HELO | FACT_PTR))
        find_names(w, missing & FACT_HELO);
    if (missing & FACT_LISTS)
        find_listings(w);
    if (missing & FACT_GREY) { /* as if it came for the first time, unless told otherwise */
        f->grey_state = FACT_KNOWN;
        f->grey_opens = w->q->retried ? f->now : f->now + w->config->greylist_delay;
    }
}

/* --- the tripwire, from the running server ----------------------------------------------------------- */

static void on_suspended(void *ctx, struct bytes line) {
    struct why_run *w = ctx;
    json_t *json = json_loadb(line.at, line.len, 0, NULL);
    const char *text = json_string_value(json_object_get(json, "address"));
    struct bytes address = bytes_str(text);
    bool wide = bytes_ends_nocase(address, B("/64"));
    struct addr client;
    if (addr_parse(bytes_first(address, address.len - (wide ? 3 : 0)), &client) &&
        addr_equal(client,
                   wide ? addr_masked(addr_fold(w->facts.client), 64) : addr_fold(w->facts.client)))
        w->facts.suspended = w->facts.now;
    json_decref(json);
}

void why_find_suspended(struct why_run *w) {
    if (!w->q->offline && !w->facts.local_door)
        control_ask(layout_path(w->arena, w->config, "run/control.sock"),
                    B("{\"command\":\"grants-list\"}"), on_suspended, w);
}
