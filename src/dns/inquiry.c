/* inquiry: what the DNS says of a client: lists that have its address, its name, the name it gives
 * itself. All questions of an inquiry are under way at once and share one limit of time, since a
 * client waits meanwhile. This file alone knows which answers of a list are none. */
#include "base/must.h"
#include "dns/dns.h"

#include <string.h>

enum {
    BUDGET_MS = 4000,
    NAMES_MAX = 5, /* of an address; more are a joke */
    CODES_MAX = 16,
    TEXT_MAX = 200,
};

struct asked {
    struct dns_inquiry *inquiry;
    uint64_t number;
    bool open;
    size_t item; /* what it is about */
    void (*heard)(struct asked *q, const struct dns_answer *answer);
    struct asked *next;
};

struct dns_inquiry {
    struct dns *dns;
    struct loop *loop;
    struct arena *arena;
    struct timer timer;
    struct asked *questions;
    size_t open;
    bool late; /* the time was over before all had answered */
    struct addr client;
    void (*over)(struct dns_inquiry *i); /* tells whoever asked */
    void *ctx;
    dns_listed *on_listed;
    dns_checked *on_checked;
    struct dns_listing *listings;
    size_t listing_count;
    bool *answered; /* one a listing: its A */
    bool *wordless; /* one a listing: its TXT is not wanted */
    struct dns_name_check check;
    bool exists;
};

/* --- questions under way ------------------------------------------------------------------------ */

static void drop_questions(struct dns_inquiry *i) {
    for (struct asked *q = i->questions; q; q = q->next) {
        if (q->open)
            i->dns->cancel(i->dns->self, q->number);
        q->open = false;
    }
    i->open = 0;
}

void dns_inquiry_cancel(struct dns_inquiry **ip) {
    struct dns_inquiry *i = *ip;
    *ip = NULL;
    if (!i)
        return;
    drop_questions(i);
    timer_clear(&i->timer);
    struct arena *a = i->arena;
    arena_close(&a);
}

static void end(struct dns_inquiry *i) {
    drop_questions(i);
    timer_clear(&i->timer);
    i->over(i);
    struct arena *a = i->arena;
    arena_close(&a);
}

static void out_of_time(void *ctx) {
    struct dns_inquiry *i = ctx;
    i->late = true;
    end(i);
}

static void on_answer(void *ctx, const struct dns_answer *answer) {
    struct asked *q = ctx;
    struct dns_inquiry *i = q->inquiry;
    q->open = false;
    i->open--;
    q->heard(q, answer);
    if (i->open == 0)
        end(i);
}

static void ask(struct dns_inquiry *i, struct bytes name, enum dns_type type, size_t item,
                void (*heard)(struct asked *q, const struct dns_answer *answer)) {
    struct asked *q = ARENA_NEW(i->arena, struct asked);
    *q = (struct asked){ .inquiry = i, .open = true, .item = item, .heard = heard };
    q->next = i->questions;
    i->questions = q;
    i->open++;
    q->number = i->dns->ask(i->dns->self, name, type, on_answer, q);
}

static struct dns_inquiry *begin_for(struct dns *d, struct loop *l, struct addr client, int64_t ms,
                                     void (*over)(struct dns_inquiry *i), void *ctx) {
    struct arena *a = arena_open();
    struct dns_inquiry *i = ARENA_NEW(a, struct dns_inquiry);
    *i = (struct dns_inquiry){
        .dns = d, .loop = l, .arena = a, .client = addr_fold(client), .over = over, .ctx = ctx
    };
    timer_set(l, &i->timer, ms, out_of_time, i);
    return i;
}

static struct dns_inquiry *begin(struct dns *d, struct loop *l, struct addr client,
                                 void (*over)(struct dns_inquiry *i), void *ctx) {
    return begin_for(d, l, client, BUDGET_MS, over, ctx);
}

static struct bytes reversed(struct dns_inquiry *i, struct bytes suffix) {
    char memory[300];
    struct buf b = buf_fixed(memory, sizeof memory);
    addr_format_reversed(&b, i->client);
    if (!bytes_starts(suffix, B(".")))
        buf_char(&b, '.');
    buf_add(&b, suffix);
    return arena_copy(i->arena, buf_bytes(&b));
}

/* --- lists ---------------------------------------------------------------------------------------- */

/* RFC 5782 section 2.1: an answer lies in 127/8. In 127.255.255.0/24 lists say that they will not
 * answer: too many questions, or asked through an open resolver; some say it with 127.0.0.1 and
 * 127.0.0.255. An address elsewhere is what the new owner of a dead list's domain answers. */
static const char *no_answer(struct addr a) {
    if (a.family != 4 || a.ip[0] != 127)
        return "its answer is outside 127/8: the list may be dead";
    if (a.ip[1] == 255 && a.ip[2] == 255)
        return "it refuses to answer us: too many questions, or asked through a public resolver";
    if (a.ip[1] == 0 && a.ip[2] == 0 && (a.ip[3] == 1 || a.ip[3] == 255))
        return "it refuses to answer us";
    return NULL;
}

/* A whole name when the inquiry is about entries. */
static struct bytes entry_name(struct dns_inquiry *i, struct bytes zone) {
    return i->wordless ? zone : reversed(i, zone);
}

static void heard_text(struct asked *q, const struct dns_answer *answer) {
    struct dns_listing *g = &q->inquiry->listings[q->item];
    char memory[TEXT_MAX];
    struct buf b = buf_fixed(memory, sizeof memory);
    if (answer->rc != OK || !answer->count)
        return;
    buf_printable(&b, bytes_first(answer->records[0].data, TEXT_MAX));
    for (size_t n = 0; n < b.len; n++)
        if (b.at[n] & 0x80) /* a reply is ASCII */
            b.at[n] = '?';
    g->text = arena_copy(q->inquiry->arena, buf_bytes(&b));
}

static void heard_codes(struct asked *q, const struct dns_answer *answer) {
    struct dns_inquiry *i = q->inquiry;
    struct dns_listing *g = &i->listings[q->item];
    i->answered[q->item] = true;
    g->failed = answer->rc != OK;
    g->because = g->failed ? "it did not answer" : NULL;
    size_t most = answer->count < CODES_MAX ? answer->count : CODES_MAX;
    struct addr *codes = ARENA_ARRAY(i->arena, most, struct addr);
    for (size_t n = 0; n < most && answer->rc == OK; n++) {
        codes[n] = answer->records[n].address;
        const char *none = no_answer(codes[n]);
        g->failed |= none != NULL;
        g->because = g->because ? g->because : none;
    }
    g->answers = codes;
    g->answer_count = answer->rc == OK ? most : 0;
    if (!g->failed) {
        g->codes = codes;
        g->count = most;
    }
    if (g->answer_count && (i->wordless ? !i->wordless[q->item] : !g->failed))
        ask(i, entry_name(i, g->zone), DNS_TXT, q->item, heard_text);
}

static void lists_over(struct dns_inquiry *i) {
    for (size_t n = 0; n < i->listing_count; n++) {
        if (i->answered[n])
            continue;
        i->listings[n].failed = true;
        i->listings[n].because = "it did not answer in time";
        i->listings[n].late = true;
    }
    i->on_listed(i->ctx, i->listings, i->listing_count);
}

static void make_listings(struct dns_inquiry *i, size_t count, dns_listed *on_listed) {
    MUST(count > 0);
    i->on_listed = on_listed;
    i->listings = ARENA_ARRAY(i->arena, count, struct dns_listing);
    i->answered = ARENA_ARRAY(i->arena, count, bool);
    i->listing_count = count;
}

static void ask_listings(struct dns_inquiry *i) {
    for (size_t n = 0; n < i->listing_count; n++)
        ask(i, entry_name(i, i->listings[n].zone), DNS_A, n, heard_codes);
}

struct dns_inquiry *dns_ask_lists(struct dns *d, struct loop *l, struct addr client,
                                  const struct bytes *zones, size_t count, dns_listed *on_listed,
                                  void *ctx) {
    struct dns_inquiry *i = begin(d, l, client, lists_over, ctx);
    make_listings(i, count, on_listed);
    for (size_t n = 0; n < count; n++)
        i->listings[n].zone = arena_copy(i->arena, zones[n]);
    ask_listings(i);
    return i;
}

struct dns_inquiry *dns_ask_entries(struct dns *d, struct loop *l, const struct dns_entry *entries,
                                    size_t count, int64_t ms, dns_listed *on_listed, void *ctx) {
    struct dns_inquiry *i = begin_for(d, l, (struct addr){ 0 }, ms, lists_over, ctx);
    make_listings(i, count, on_listed);
    i->wordless = ARENA_ARRAY(i->arena, count, bool);
    for (size_t n = 0; n < count; n++) {
        i->listings[n].zone = arena_copy(i->arena, entries[n].name);
        i->wordless[n] = !entries[n].words;
    }
    ask_listings(i);
    return i;
}

/* --- names ---------------------------------------------------------------------------------------- */

static void check_over(struct dns_inquiry *i) {
    i->on_checked(i->ctx, &i->check);
}

/* A name that leads back settles it; until then an answer that is missing leaves it open. */
static void heard_addresses(struct asked *q, const struct dns_answer *answer) {
    struct dns_inquiry *i = q->inquiry;
    i->check.failed |= answer->rc != OK;
    i->exists |= answer->rc == OK && answer->count;
    for (size_t n = 0; answer->rc == OK && n < answer->count; n++)
        i->check.confirmed |= addr_equal(addr_fold(answer->records[n].address), i->client);
}

static void client_over(struct dns_inquiry *i) {
    i->check.failed = (i->late || i->check.failed) && !i->check.confirmed;
    check_over(i);
}

static void heard_names(struct asked *q, const struct dns_answer *answer) {
    struct dns_inquiry *i = q->inquiry;
    i->check.failed = answer->rc != OK;
    enum dns_type type = i->client.family == 6 ? DNS_AAAA : DNS_A;
    for (size_t n = 0; answer->rc == OK && n < answer->count && n < NAMES_MAX; n++) {
        struct bytes name = arena_copy(i->arena, answer->records[n].name);
        if (n == 0)
            i->check.name = name;
        if (name.len)
            ask(i, name, type, n, heard_addresses);
    }
}

struct dns_inquiry *dns_check_client(struct dns *d, struct loop *l, struct addr client,
                                     dns_checked *on_checked, void *ctx) {
    struct dns_inquiry *i = begin(d, l, client, client_over, ctx);
    i->on_checked = on_checked;
    ask(i, reversed(i, i->client.family == 6 ? B(".ip6.arpa") : B(".in-addr.arpa")), DNS_PTR, 0,
        heard_names);
    return i;
}

static void name_over(struct dns_inquiry *i) {
    i->check.failed = (i->late || i->check.failed) && !i->exists;
    if (!i->exists && !i->check.failed)
        i->check.name = BYTES_NONE;
    check_over(i);
}

struct dns_inquiry *dns_check_name(struct dns *d, struct loop *l, struct bytes name,
                                   struct addr client, dns_checked *on_checked, void *ctx) {
    struct dns_inquiry *i = begin(d, l, client, name_over, ctx);
    i->on_checked = on_checked;
    i->check.name = arena_copy(i->arena, name);
    ask(i, i->check.name, DNS_A, 0, heard_addresses);
    ask(i, i->check.name, DNS_AAAA, 1, heard_addresses);
    return i;
}
