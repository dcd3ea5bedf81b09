/* password: PLAIN (RFC 4616) and LOGIN (as widely spoken). This file alone sees passwords, and
 * remembers right ones for some minutes, as HMACs. */
#include "base/map.h"
#include "base/must.h"
#include "keeper/exchange.h"

#include <stdlib.h>
#include <string.h>

enum { REMEMBER_MS = 10 * 60 * 1000, REMEMBER_MAX = 10000 };

struct remembered {
    int64_t until;
    uint8_t mac[HASH_OCTETS]; /* of login, password and the stored keys, under the boot key */
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

static bool recall(struct checker *k, struct bytes login, const uint8_t mac[HASH_OCTETS],
                   int64_t now) {
    const struct remembered *r = map_find(k->remembered, login);
    return r && now < r->until &&
           bytes_equal_secret(bytes_of(r->mac, HASH_OCTETS), bytes_of(mac, HASH_OCTETS));
}

static void remember(struct checker *k, struct bytes login, const uint8_t mac[HASH_OCTETS],
                     int64_t now) {
    struct remembered *r = map_find(k->remembered, login);
    if (!r) {
        if (map_count(k->remembered) >= REMEMBER_MAX)
            checker_forget(k);
        r = calloc(1, sizeof *r);
        MUST(r);
        map_put(k->remembered, login, r);
    }
    r->until = now + REMEMBER_MS;
    memcpy(r->mac, mac, HASH_OCTETS);
}

/* The stored keys are in the MAC: a new password makes what is remembered of the old one void. */
static bool is_right(struct checker *k, struct bytes login, struct bytes password,
                     const struct secret *secret, int64_t now) {
    uint8_t mac[HASH_OCTETS];
    hash_hmac(k->boot_key,
              HASH_PARTS(login, password, bytes_of(secret->salt, SALT_OCTETS),
                         bytes_of(secret->stored_key, HASH_OCTETS)),
              mac);
    bool right = recall(k, login, mac, now);
    if (!right) {
        struct secret derived = *secret;
        secret_derive(&derived, password);
        right = bytes_equal_secret(bytes_of(derived.stored_key, HASH_OCTETS),
                                   bytes_of(secret->stored_key, HASH_OCTETS));
        explicit_bzero(&derived, sizeof derived);
        if (right)
            remember(k, login, mac, now);
    }
    explicit_bzero(mac, sizeof mac);
    return right;
}

/* --- passwords in the clear -------------------------------------------------------------------- */

/* A name or password that SASLprep refuses is wrong, but costs what a wrong one costs. */
static void check(struct server *s, struct bytes name, struct bytes password, int64_t now,
                  struct server_answer *out) {
    char word[4 * PASSWORD_MAX];
    struct buf login = buf_fixed(out->login, sizeof out->login);
    struct buf prepared = buf_fixed(word, sizeof word);
    struct secret secret;
    struct why why;
    bool real = false;
    bool good = prepare_login(name, &login);
    good &= prepare_password(password, false, &prepared) && prepared.len <= PASSWORD_MAX;
    buf_cut(&prepared, prepared.len <= PASSWORD_MAX ? prepared.len : PASSWORD_MAX);
    out->login_len = login.len;
    if (checker_look_up(s->checker, buf_bytes(&login), &secret, &real, &why) != OK)
        server_down(s, &why, out);
    else if (is_right(s->checker, buf_bytes(&login), buf_bytes(&prepared), &secret, now) && real &&
             good)
        server_end(s, AUTH_DONE, out);
    else
        server_refused(s, true, out);
    explicit_bzero(word, sizeof word);
    explicit_bzero(&secret, sizeof secret);
}

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
