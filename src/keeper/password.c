/* password: PLAIN (RFC 4616) and LOGIN (as widely spoken). This file alone sees passwords, remembers
 * right ones for some minutes, as HMACs, and asks one source of logins after the other. */
#include "base/map.h"
#include "base/must.h"
#include "keeper/exchange.h"

#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

enum { REMEMBER_MS = 10 * 60 * 1000, REMEMBER_MAX = 10000 };

struct remembered {
    int64_t until;
    uint8_t mac[HASH_OCTETS]; /* of login, password and what is stored, under the boot key */
};

/* --- right answers of the last minutes ------------------------------------------------------- */

void checker_forget(struct checker *k) {
    size_t position = 0;
    struct bytes key;
    void *value;
    while (map_next(k->remembered, &position, &key, &value)) {
        explicit_bzero(value, sizeof(struct remembered));
        free(value);
    }
    map_close(&k->remembered);
    k->remembered = map_open();
}

/* What is stored is in the MAC: a new password makes what is remembered of the old one void. One
 * login may use several passwords at a time: each is remembered by its name. */
struct memory {
    char text[LOGIN_MAX + 1 + APP_NAME_MAX];
    struct bytes key;
    uint8_t mac[HASH_OCTETS];
};

static void memory_of(const struct server *s, struct bytes login, const char *name,
                      struct bytes password, struct bytes stored, struct memory *out) {
    struct buf b = buf_fixed(out->text, sizeof out->text);
    buf_add(&b, login);
    buf_char(&b, ' ');
    buf_str(&b, name);
    out->key = buf_bytes(&b);
    hash_hmac(s->checker->boot_key,
              HASH_PARTS(login, bytes_str(name), password,
                         bytes_of(s->account.salting.salt, SALT_OCTETS), stored),
              out->mac);
}

static bool recall(struct checker *k, const struct memory *m, int64_t now) {
    const struct remembered *r = map_find(k->remembered, m->key);
    return r && now < r->until &&
           bytes_equal_secret(bytes_of(r->mac, HASH_OCTETS), bytes_of(m->mac, HASH_OCTETS));
}

static void remember(struct checker *k, const struct memory *m, int64_t now) {
    struct remembered *r = map_find(k->remembered, m->key);
    if (!r) {
        if (map_count(k->remembered) >= REMEMBER_MAX)
            checker_forget(k);
        r = calloc(1, sizeof *r);
        MUST(r);
        map_put(k->remembered, m->key, r);
    }
    r->until = now + REMEMBER_MS;
    memcpy(r->mac, m->mac, HASH_OCTETS);
}

/* --- against secrets.db ------------------------------------------------------------------------- */

static struct bytes stored_of(const struct credential *c) {
    return bytes_of(c->keys[SCRAM_SHA_256].stored, HASH_OCTETS);
}

static bool recall_any(struct server *s, struct bytes login, struct bytes password, int64_t now) {
    struct memory m;
    bool known = false;
    for (size_t i = 0; i < s->account.count && !known; i++) {
        const struct credential *c = &s->account.list[i];
        memory_of(s, login, c->name, password, stored_of(c), &m);
        known = recall(s->checker, &m, now);
        s->which = i;
    }
    explicit_bzero(&m, sizeof m);
    return known;
}

/* All passwords of a login have one salt, so this costs the same however many there are. */
static bool derive_any(struct server *s, struct bytes login, struct bytes password, int64_t now) {
    struct scram_keys made;
    struct memory m;
    bool fits = false;
    scram_derive(&s->account.salting, SCRAM_SHA_256, password, &made);
    for (size_t i = 0; i < s->account.count && !fits; i++) {
        const struct credential *c = &s->account.list[i];
        fits = scram_same(SCRAM_SHA_256, &made, &c->keys[SCRAM_SHA_256]);
        s->which = i;
    }
    if (fits && s->real) {
        memory_of(s, login, s->account.list[s->which].name, password,
                  stored_of(&s->account.list[s->which]), &m);
        remember(s->checker, &m, now);
        explicit_bzero(&m, sizeof m);
    }
    explicit_bzero(&made, sizeof made);
    return fits;
}

static bool is_right(struct server *s, struct bytes login, struct bytes password, int64_t now) {
    return recall_any(s, login, password, now) || derive_any(s, login, password, now);
}

/* What was there before SCRAM-SHA-1 was known, or came from elsewhere, gets all keys. A failure to
 * write them is none of the client's business. */
static void complete(struct server *s, struct bytes password) {
    struct bytes login = bytes_of(s->name, s->name_len);
    const struct account *a = &s->account;
    if (a->hash[0] || (a->has_own && !a->own[SCRAM_SHA_1].is_set))
        secrets_complete(s->checker->secrets, login, a, password, NULL);
}

/* --- one source after the other ---------------------------------------------------------------- */

static void go_on(struct server *s, int64_t now, struct server_answer *out);

static void wipe(struct server *s) {
    explicit_bzero(s->password, sizeof s->password);
    s->password_len = 0;
}

static void in(struct server *s, const struct credential *with, struct server_answer *out) {
    wipe(s);
    server_in(s, with, out);
}

/* An imported hash that was found right lately need not be computed again. */
static bool recall_hash(struct server *s, struct memory *m, int64_t now) {
    uint8_t digest[HASH_OCTETS];
    struct bytes hash = bytes_str(s->account.hash);
    SHA256((const uint8_t *)hash.at, hash.len, digest);
    memory_of(s, bytes_of(s->name, s->name_len), "", bytes_of(s->password, s->password_len),
              bytes_of(digest, sizeof digest), m);
    return recall(s->checker, m, now);
}

static void hash_fits(struct server *s, int64_t now, struct server_answer *out) {
    char word[4 * PASSWORD_MAX];
    struct buf prepared = buf_fixed(word, sizeof word);
    struct memory m;
    recall_hash(s, &m, now);
    remember(s->checker, &m, now);
    if (prepare_password(bytes_of(s->password, s->password_len), true, &prepared) &&
        prepared.len <= PASSWORD_MAX)
        complete(s, buf_bytes(&prepared));
    explicit_bzero(word, sizeof word);
    explicit_bzero(&m, sizeof m);
    in(s, NULL, out);
}

/* What secrets.db says. A login that it has a password of is decided here. */
static void ask_own(struct server *s, int64_t now, struct server_answer *out) {
    char word[4 * PASSWORD_MAX];
    struct buf prepared = buf_fixed(word, sizeof word);
    struct bytes login = bytes_of(s->name, s->name_len);
    struct memory m;
    struct why why;
    bool good = prepare_password(bytes_of(s->password, s->password_len), false, &prepared) &&
                prepared.len <= PASSWORD_MAX && s->name_len;
    buf_cut(&prepared, prepared.len <= PASSWORD_MAX ? prepared.len : PASSWORD_MAX);
    s->asked_own = true;
    const struct account *a = &s->account;
    if (server_look_up(s, login, SCRAM_SHA_256, &why) != OK) {
        wipe(s);
        server_down(s, &why, out);
    } else if (is_right(s, login, buf_bytes(&prepared), now) && s->real && good) {
        if (!a->list[s->which].name[0])
            complete(s, buf_bytes(&prepared));
        in(s, &a->list[s->which], out);
    } else if (a->hash[0] && recall_hash(s, &m, now)) {
        in(s, NULL, out);
    } else if (a->hash[0]) {
        server_wait(s, WAIT_HASH, out);
    } else if (a->disabled || a->has_own) {
        wipe(s);
        server_refused(s, true, out);
    } else {
        go_on(s, now, out);
    }
    explicit_bzero(word, sizeof word);
    explicit_bzero(&m, sizeof m);
}

static void nobody_left(struct server *s, struct server_answer *out) {
    wipe(s);
    if (s->one_down)
        server_down(s, &s->why, out);
    else
        server_refused(s, true, out);
}

static void go_on(struct server *s, int64_t now, struct server_answer *out) {
    const struct checker *k = s->checker;
    if (k->own && !s->asked_own && s->source >= k->own_place)
        ask_own(s, now, out);
    else if (s->source < k->source_count)
        server_wait(s, WAIT_SOURCE, out);
    else
        nobody_left(s, out);
}

/* Whom a source let in is whom it says it is. */
static void source_said_yes(struct server *s, struct bytes login, struct server_answer *out) {
    struct buf name = buf_fixed(out->login, sizeof out->login);
    struct why why;
    if (prepare_login(login, &name)) {
        out->login_len = name.len;
        in(s, NULL, out);
        return;
    }
    why_backend(&why, "backend.auth", "The source of logins named \"%.*s\", which cannot be one",
                BYTES_FMT(bytes_first(login, 80)));
    wipe(s);
    server_down(s, &why, out);
}

static void source_said(struct server *s, const struct source_answer *answer, int64_t now,
                        struct server_answer *out) {
    if (answer->result == SOURCE_RIGHT) {
        source_said_yes(s, answer->login, out);
        return;
    }
    if (answer->result == SOURCE_DOWN) {
        s->one_down = true;
        s->why = answer->why;
    }
    s->source++;
    go_on(s, now, out);
}

void password_resume(struct server *s, const struct source_answer *answer, int64_t now,
                     struct server_answer *out) {
    enum server_wait waited = s->waits;
    s->waits = WAIT_NOTHING;
    memcpy(out->login, s->name, s->name_len);
    out->login_len = s->name_len;
    if (waited == WAIT_SOURCE) {
        source_said(s, answer, now, out);
    } else if (answer->result == SOURCE_RIGHT) {
        hash_fits(s, now, out);
    } else {
        wipe(s);
        server_refused(s, true, out);
    }
}

/* A name or password that SASLprep refuses is wrong, but costs what a wrong one costs. */
static void check(struct server *s, struct bytes name, struct bytes password, int64_t now,
                  struct server_answer *out) {
    char text[LOGIN_MAX + 1];
    struct buf login = buf_fixed(text, sizeof text);
    struct bytes word = bytes_first(password, PASSWORD_MAX);
    if (!prepare_login(name, &login))
        buf_clear(&login);
    memcpy(s->name, text, login.len);
    s->name_len = login.len;
    memcpy(out->login, text, login.len);
    out->login_len = login.len;
    /* One that is too long is cut, and one that is empty stays so: both are wrong. */
    if (password.len > PASSWORD_MAX)
        word = BYTES_NONE;
    if (word.len)
        memcpy(s->password, word.at, word.len);
    s->password_len = word.len;
    if (!login.len || !word.len)
        s->source = s->checker->source_count; /* nobody else needs to see it */
    go_on(s, now, out);
}

/* --- the mechanisms ---------------------------------------------------------------------------- */

void step_plain(struct server *s, bool has_input, struct bytes input, int64_t now,
                struct server_answer *out) {
    struct bytes rest = input, authzid, name;
    if (!has_input && s->steps == 1) {
        server_challenge(BYTES_NONE, out);
        return;
    }
    if (bytes_find(input, '\0') < 0 || !bytes_split(&rest, '\0', &authzid) ||
        bytes_find(rest, '\0') < 0 || !bytes_split(&rest, '\0', &name) || !name.len || !rest.len ||
        bytes_find(rest, '\0') >= 0) {
        server_malformed(s, "expected authorisation identity, NUL, login, NUL, password", out);
        return;
    }
    if (authzid.len && !server_same_login(authzid, name))
        server_refused(s, false, out);
    else
        check(s, name, rest, now, out);
}

/* The names of the challenges are what the clients there are look for. */
void step_login(struct server *s, bool has_input, struct bytes input, int64_t now,
                struct server_answer *out) {
    if (!has_input && s->steps == 1) {
        server_challenge(B("Username:"), out);
        return;
    }
    if (s->has_name) {
        check(s, bytes_of(s->name, s->name_len), input, now, out);
        return;
    }
    if (!input.len || input.len > LOGIN_MAX || bytes_find(input, '\0') >= 0) {
        server_malformed(s, "this is not a login", out);
        return;
    }
    memcpy(s->name, input.at, input.len);
    s->name_len = input.len;
    s->has_name = true;
    server_challenge(B("Password:"), out);
}
