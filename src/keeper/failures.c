/* failures: one table of counts under three kinds of keys. This file alone knows how fast the price of
 * a guess grows. */
#include "keeper/failures.h"

#include "base/list.h"
#include "base/map.h"
#include "base/must.h"
#include "base/scan.h"

#include <stdlib.h>
#include <string.h>

enum {
    WINDOW_MS = 15 * 60 * 1000,     /* without a failure: forgotten */
    KNOWN_MS = 24 * 60 * 60 * 1000, /* a pair that logged in */
    DELAY_FIRST_MS = 1000,          /* then doubled */
    DELAY_MAX_MS = 15000,
    PAIR_FREE = 2,
    PAIR_CLOSE = 5, /* of one login from one address */
    CLIENT_FREE = 10,
    CLIENT_CLOSE = 20, /* of any logins from one address */
    LOGIN_FREE = 10,   /* addresses that failed at one login */
    LOGIN_TOLD = 5,    /* and from when on the operator hears of it, */
    TOLD_MS = 3600000, /* so often */
    ADDRESSES_KEPT = 32,
    ROWS_MAX = 20000, /* of those that came in, and of the others */
    KEY_MAX = 400,
    COUNT_MAX = 1000,
};

/* The first octet of a row's key. */
enum kind { OF_CLIENT = 'C', OF_PAIR = 'P', OF_LOGIN = 'L' };

struct row {
    struct list *ages;     /* the one it is in */
    struct list_node node; /* the longest untouched first */
    unsigned count;        /* failures; of a login: addresses that failed at it */
    int64_t last;
    int64_t known_until; /* a client or pair that logged in */
    int64_t told;        /* a login: when the operator was */
    uint64_t *from;      /* a login: hashes of the latest addresses */
    size_t key_len;
    char key[];
};

struct failures {
    struct map *rows;
    struct list ages, known; /* guesses push out no row of somebody who came in */
    uint64_t version;
};

struct failures *failures_open(void) {
    struct failures *f = calloc(1, sizeof *f);
    MUST(f);
    f->rows = map_open();
    list_init(&f->ages);
    list_init(&f->known);
    return f;
}

static void drop(struct failures *f, struct row *r) {
    map_remove(f->rows, bytes_of(r->key, r->key_len));
    list_remove(r->ages, &r->node);
    free(r->from);
    free(r);
}

static struct row *oldest(struct list *l) {
    return CONTAINER_OF(list_first(l), struct row, node);
}

void failures_close(struct failures **f) {
    if (!*f)
        return;
    while ((*f)->ages.count)
        drop(*f, oldest(&(*f)->ages));
    while ((*f)->known.count)
        drop(*f, oldest(&(*f)->known));
    map_close(&(*f)->rows);
    free(*f);
    *f = NULL;
}

size_t failures_count(const struct failures *f) {
    return map_count(f->rows);
}

uint64_t failures_version(const struct failures *f) {
    return f->version;
}

/* --- rows ---------------------------------------------------------------------------------------- */

static void enter(struct failures *f, struct list *into, struct row *r) {
    if (into->count >= ROWS_MAX)
        drop(f, oldest(into));
    r->ages = into;
    list_append(into, &r->node);
}

static struct row *add(struct failures *f, struct bytes key) {
    struct row *r = calloc(1, sizeof *r + key.len);
    MUST(r && key.len);
    r->key_len = key.len;
    memcpy(r->key, key.at, key.len);
    if (key.at[0] == OF_LOGIN) {
        r->from = calloc(ADDRESSES_KEPT, sizeof *r->from);
        MUST(r->from);
    }
    enter(f, &f->ages, r);
    map_put(f->rows, key, r);
    return r;
}

static void add_address(struct buf *b, struct addr client) {
    struct addr masked = addr_masked(client, client.family == 6 ? 64 : 32);
    buf_char(b, (char)masked.family);
    buf_add(b, bytes_of(masked.ip, sizeof masked.ip));
}

static void key_of(struct buf *b, enum kind kind, struct addr client, struct bytes login) {
    buf_char(b, (char)kind);
    if (kind != OF_LOGIN)
        add_address(b, client);
    if (kind != OF_CLIENT)
        buf_add(b, bytes_first(login, 320));
}

static struct row *find(const struct failures *f, enum kind kind, struct addr client,
                        struct bytes login) {
    char memory[KEY_MAX];
    struct buf key = buf_fixed(memory, sizeof memory);
    key_of(&key, kind, client, login);
    return map_find(f->rows, buf_bytes(&key));
}

/* The row, made if it is missing, used just now and without what is too long ago. */
static struct row *use(struct failures *f, enum kind kind, struct addr client, struct bytes login,
                       int64_t now) {
    char memory[KEY_MAX];
    struct buf key = buf_fixed(memory, sizeof memory);
    key_of(&key, kind, client, login);
    struct row *r = map_find(f->rows, buf_bytes(&key));
    if (!r)
        r = add(f, buf_bytes(&key));
    list_remove(r->ages, &r->node);
    list_append(r->ages, &r->node);
    if (now - r->last > WINDOW_MS)
        r->count = 0;
    f->version++;
    return r;
}

static unsigned count_of(const struct row *r, int64_t now) {
    return r && now - r->last <= WINDOW_MS ? r->count : 0;
}

static bool is_known(const struct row *r, int64_t now) {
    return r && now < r->known_until;
}

static void make_known(struct failures *f, struct row *r, int64_t now) {
    r->known_until = now + KNOWN_MS;
    if (r->ages == &f->known)
        return;
    list_remove(r->ages, &r->node);
    enter(f, &f->known, r);
}

/* --- prices -------------------------------------------------------------------------------------- */

static int64_t delay_of(unsigned count, unsigned free_of_charge) {
    int64_t delay = DELAY_FIRST_MS;
    if (count <= free_of_charge)
        return 0;
    for (unsigned i = free_of_charge + 1; i < count && delay < DELAY_MAX_MS; i++)
        delay *= 2;
    return delay < DELAY_MAX_MS ? delay : DELAY_MAX_MS;
}

static int64_t longer(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static unsigned count_up(struct row *r, int64_t now) {
    r->last = now;
    if (r->count < COUNT_MAX)
        r->count++;
    return r->count;
}

/* Each address counts once, as long as it is among the latest. */
static void count_address(struct row *r, struct addr client, int64_t now) {
    char memory[32];
    struct buf b = buf_fixed(memory, sizeof memory);
    add_address(&b, client);
    uint64_t hash = bytes_hash(buf_bytes(&b));
    unsigned kept = r->count < ADDRESSES_KEPT ? r->count : ADDRESSES_KEPT;
    bool seen = false;
    for (unsigned i = 0; i < kept; i++)
        seen |= r->from[i] == hash;
    if (!seen) {
        r->from[r->count % ADDRESSES_KEPT] = hash;
        count_up(r, now);
    }
    r->last = now;
}

static unsigned tell(struct row *r, int64_t now) {
    if (r->count < LOGIN_TOLD || (r->told && now - r->told < TOLD_MS))
        return 0;
    r->told = now;
    return r->count;
}

struct penalty failures_wrong(struct failures *f, struct addr client, struct bytes login,
                              int64_t now) {
    unsigned all = count_up(use(f, OF_CLIENT, client, BYTES_NONE, now), now);
    struct penalty p = { .delay_ms = delay_of(all, CLIENT_FREE), .close = all >= CLIENT_CLOSE };
    if (!login.len)
        return p;
    struct row *pair = use(f, OF_PAIR, client, login, now);
    bool known = is_known(pair, now);
    unsigned own = count_up(pair, now);
    struct row *of_login = use(f, OF_LOGIN, client, login, now);
    count_address(of_login, client, now);
    p.delay_ms = longer(p.delay_ms, delay_of(own, PAIR_FREE));
    if (!known)
        p.delay_ms = longer(p.delay_ms, delay_of(of_login->count, LOGIN_FREE));
    p.close |= own >= PAIR_CLOSE;
    p.addresses = tell(of_login, now);
    return p;
}

int64_t failures_right(struct failures *f, struct addr client, struct bytes login, int64_t now) {
    struct row *all = use(f, OF_CLIENT, client, BYTES_NONE, now);
    struct row *own = use(f, OF_PAIR, client, login, now);
    int64_t delay = longer(delay_of(all->count, CLIENT_FREE),
                           delay_of(count_of(find(f, OF_LOGIN, client, login), now), LOGIN_FREE));
    bool known = is_known(own, now);
    own->count = 0;
    make_known(f, own, now);
    make_known(f, find(f, OF_CLIENT, client, BYTES_NONE), now);
    return known ? 0 : delay;
}

enum queue_rank failures_rank(const struct failures *f, struct addr client, int64_t now) {
    const struct row *r = find(f, OF_CLIENT, client, BYTES_NONE);
    unsigned count = count_of(r, now);
    bool known = is_known(r, now);
    if (known && count <= CLIENT_FREE)
        return RANK_KNOWN;
    return known || !count ? RANK_STRANGER : RANK_GUESSER;
}

/* --- over a restart -------------------------------------------------------------------------------- */

static const char magic[] = "postern failures 1\n";

static void save_row(struct buf *b, const struct row *r, int64_t now, int64_t shift) {
    if (!count_of(r, now) && !is_known(r, now))
        return;
    buf_lbytes(b, bytes_of(r->key, r->key_len));
    buf_le16(b, (uint16_t)count_of(r, now));
    buf_le64(b, (uint64_t)(r->last + shift));
    buf_le64(b, (uint64_t)(r->known_until ? r->known_until + shift : 0));
    buf_le64(b, (uint64_t)(r->told ? r->told + shift : 0));
    unsigned kept = r->key[0] != OF_LOGIN       ? 0
                    : r->count < ADDRESSES_KEPT ? r->count
                                                : ADDRESSES_KEPT;
    buf_char(b, (char)kept);
    for (unsigned i = 0; i < kept; i++)
        buf_le64(b, r->from[i]);
}

void failures_save(const struct failures *f, int64_t now, int64_t wall, struct buf *out) {
    buf_str(out, magic);
    LIST_EACH(&f->known, n)
    save_row(out, CONTAINER_OF(n, struct row, node), now, wall - now);
    LIST_EACH(&f->ages, n)
    save_row(out, CONTAINER_OF(n, struct row, node), now, wall - now);
}

/* A time of day as this process's clock has it; one that lies ahead, because the clock was set back,
 * is taken for the present. */
static int64_t time_of(struct scan *s, int64_t now, int64_t wall, int64_t ahead_max) {
    uint64_t value = scan_le64(s);
    int64_t most = wall + ahead_max;
    if (!value)
        return 0;
    if (value > (uint64_t)most)
        value = (uint64_t)most;
    return (int64_t)value - wall + now;
}

static bool load_row(struct failures *f, struct scan *s, int64_t now, int64_t wall) {
    struct bytes key = scan_lbytes(s);
    unsigned count = scan_le16(s);
    int64_t last = time_of(s, now, wall, 0), known_until = time_of(s, now, wall, KNOWN_MS);
    int64_t told = time_of(s, now, wall, 0);
    unsigned kept = (uint8_t)scan_char(s);
    if (s->bad || !key.len || key.len > KEY_MAX || kept > ADDRESSES_KEPT || count > COUNT_MAX ||
        (kept && key.at[0] != OF_LOGIN) || map_find(f->rows, key))
        return false;
    struct row *r = add(f, key);
    r->count = count;
    r->last = last;
    r->told = told;
    for (unsigned i = 0; i < kept; i++)
        r->from[i] = scan_le64(s);
    if (known_until > now) {
        make_known(f, r, now);
        r->known_until = known_until;
    }
    return !s->bad;
}

bool failures_load(struct failures *f, struct bytes saved, int64_t now, int64_t wall) {
    struct scan s = scan_of(saved);
    bool good = bytes_equal(scan_take(&s, sizeof magic - 1), bytes_str(magic));
    while (good && !scan_done(&s))
        good = load_row(f, &s, now, wall);
    if (good)
        return true;
    while (f->ages.count)
        drop(f, oldest(&f->ages));
    while (f->known.count)
        drop(f, oldest(&f->known));
    return false;
}
