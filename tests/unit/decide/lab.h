/* lab: a provider's server for tests of the decision: its configuration, its directory, and a caller
 * whose facts are told only when they are asked for. */
#ifndef TESTS_DECIDE_LAB_H
#define TESTS_DECIDE_LAB_H

#include "base/must.h"
#include "decide/decide.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define LAB_NOW      1797811200000LL /* 2026-12-20 */
#define LAB_DAY      86400000LL
#define LAB_SPKI_HEX "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
#define LAB_SPKI                                                                                   \
    bytes_of("\x9f\x86\xd0\x81\x88\x4c\x7d\x65\x9a\x2f\xea\xa0\xc5\x5a\xd0\x15\xa3\xbf\x4f\x1b"    \
             "\x2b\x0b\x82\x2c\xd1\x5d\x6c\x15\xb0\xf0\x0a\x08",                                   \
             32)

static const char lab_conf[] =
    "hostname = \"mail.proseware.com\"\n"
    "domain \"proseware.com\" {}\n"
    "domain \"catchall.example\" { recipients = any }\n"
    "blocked_senders = {\"*@spam.example\"}\n"
    "blocked_headers = {\"forged.example\"}\n"
    "listener \"internet\" { bind = {\"127.0.0.1:25\"} tls = offer max_recipients = 500 }\n"
    "listener \"submission\" { bind = {\"127.0.0.1:587\"} tls = require auth = require\n"
    "  mechanisms = {\"SCRAM-SHA-256-PLUS\", \"SCRAM-SHA-256\", \"PLAIN\", \"LOGIN\"} }\n"
    "listener \"submissions\" { bind = {\"127.0.0.1:465\"} tls = implicit auth = require }\n"
    "listener \"offer\" { bind = {\"127.0.0.1:2525\"} tls = offer auth = offer\n"
    "  mechanisms = {\"SCRAM-SHA-256\", \"PLAIN\"} }\n"
    "listener \"fixing\" { bind = {\"127.0.0.1:2526\"} bare_newline = fix }\n"
    "connector \"people\" { auth = any may_relay_to = {\"*\"} }\n"
    "connector \"strict\" { auth = {\"strict@proseware.com\"} may_relay_to = {\"strict.example\"}\n"
    "  senders = {\"strict@proseware.com\", \"*@strict.example\"} header_from = strict }\n"
    "connector \"office\" { clients = {\"192.0.2.0/24\", \"2001:db8:5::/48\"}\n"
    "  except = {\"192.0.2.16/28\", \"192.0.2.200/29\"} listeners = {\"internet\"}\n"
    "  may_relay_to = {\"*\"} senders = {\"*@proseware.com\", \"<>\"} note = \"LAN\" }\n"
    "connector \"copiers\" { clients = {\"192.0.2.16/28\"} without_auth_on = {\"submission\"}\n"
    "  without_tls_on = {\"submission\"} may_relay_to = {\"*\"}\n"
    "  senders = {\"scanner@proseware.com\"} max_recipients = 5 note = \"second floor\" }\n"
    "connector \"old-site\" { clients = {\"192.0.2.208/28\"} may_relay_to = {\"*\"} senders = any\n"
    "  listeners = {\"offer\"} expires = \"2026-06-30\" note = \"closed\" }\n"
    "connector \"billing\" { clients = {\"203.0.113.9\"} may_relay_to = {\"adatum.com\"}\n"
    "  senders = any limit = {\"60/hour\"} note = \"invoices\" }\n"
    "connector \"after-pop\" { pop_before_smtp = 15min may_relay_to = {\"*\"} senders = own\n"
    "  note = \"two sites\" }\n"
    "connector \"partner\" { client_certificate = {\"spki-sha256:" LAB_SPKI_HEX "\"}\n"
    "  may_relay_to = {\"adatum.com\"} senders = any note = \"gateway\" }\n"
    "connector \"cron\" { local_users = {\"root\", \"www-data\"} may_relay_to = {\"*\"}\n"
    "  senders = own note = \"reports\" }\n";

struct lab {
    struct arena *arena;
    struct config *config;
    struct facts f;
    uint32_t asked; /* facts that were asked for */
    uint32_t down;  /* facts whose service is down */
    bool gateway;   /* the client is one */
    struct popped popped[8];
    bool any_recipient;
    const struct count *counts;
    size_t count_count;
    const struct directory_entry *entry; /* of the recipient, where it is not lab_find's */
    const char *member;                  /* the login or sender that belongs to every group */
    enum srs_state srs;
    enum probe_answer probe;
    struct status probe_status;
    struct membership memberships[8];
    struct verdict v;
};

static inline struct directory_entry *lab_user(struct arena *a, const char *address,
                                               const char *alias, const char *send_as) {
    struct directory_entry *e = ARENA_NEW(a, struct directory_entry);
    struct bytes *own = ARENA_ARRAY(a, 2, struct bytes);
    struct pattern *p = ARENA_NEW(a, struct pattern);
    own[0] = e->address = bytes_str(address);
    own[1] = bytes_str(alias);
    e->own = (struct strings){ alias ? 2 : 1, own };
    if (send_as)
        MUST(pattern_parse(bytes_str(send_as), a, p));
    e->send_as = (struct patterns){ send_as ? 1 : 0, p };
    return e;
}

/* As the directory does: the address itself, an alias, else without its tag. */
static inline struct directory_entry *lab_find(struct lab *l, struct bytes address) {
    static const struct {
        const char *address, *alias, *send_as;
        bool disabled;
    } users[] = {
        { "terri@proseware.com", "t.chudzik@proseware.com", "team@adatum.com", false },
        { "ceo@proseware.com", NULL, NULL, false },
        { "strict@proseware.com", NULL, NULL, false },
        { "gone@proseware.com", NULL, NULL, true },
        { "terri+vip@proseware.com", NULL, NULL, false },
    };
    for (size_t i = 0; i < COUNT_OF(users); i++) {
        if (!bytes_equal_nocase(address, bytes_str(users[i].address)) &&
            !(users[i].alias && bytes_equal_nocase(address, bytes_str(users[i].alias))))
            continue;
        struct directory_entry *e =
            lab_user(l->arena, users[i].address, users[i].alias, users[i].send_as);
        e->disabled = users[i].disabled;
        return e;
    }
    ptrdiff_t plus = bytes_find(address, '+'), at = bytes_find_last(address, '@');
    if (plus <= 0 || at < plus)
        return NULL;
    return lab_find(l, arena_printf(l->arena, "%.*s%.*s", (int)plus, address.at,
                                    BYTES_FMT(bytes_skip(address, (size_t)at))));
}

static inline struct config *lab_config(const char *text) {
    const struct config_host host = { .lift_not_built = true };
    struct config *c;
    struct config_findings findings;
    enum rc rc = config_parse_on(&host, B("test.conf"), bytes_str(text), &c, &findings);
    for (size_t i = 0; rc != OK && i < findings.count; i++)
        fprintf(stderr, "line %d: %.*s: %.*s\n", findings.list[i].place.line,
                BYTES_FMT(findings.list[i].setting), BYTES_FMT(findings.list[i].text));
    assert_int_equal(rc, OK);
    return c;
}

static inline void lab_open(struct lab *l, const char *conf) {
    *l = (struct lab){ .arena = arena_open(), .config = lab_config(conf) };
    l->f.now = LAB_NOW;
}

static inline void lab_close(struct lab *l) {
    config_close(&l->config);
    arena_close(&l->arena);
}

static inline struct addr lab_addr(const char *text) {
    struct addr a;
    MUST(addr_parse(bytes_str(text), &a));
    return a;
}

static inline enum fact_state lab_state(const struct lab *l, uint32_t fact) {
    return l->down & fact ? FACT_FAILED : FACT_KNOWN;
}

static inline void lab_tell(struct lab *l, uint32_t missing) {
    struct facts *f = &l->f;
    l->asked |= missing;
    for (size_t i = 0; missing & FACT_POPPED && i < f->popped_count; i++) {
        l->popped[i].state = lab_state(l, FACT_POPPED);
        l->popped[i].entry = lab_find(l, l->popped[i].login);
    }
    for (size_t i = 0; missing & FACT_LOGIN && i < f->popped_count; i++)
        if (bytes_equal(l->popped[i].login, l->v.login)) {
            l->popped[i].state = lab_state(l, FACT_LOGIN);
            l->popped[i].entry = lab_find(l, l->v.login);
        }
    if (missing & FACT_LOGIN) {
        f->login_state = lab_state(l, FACT_LOGIN);
        f->login_entry = lab_find(l, f->login.len ? f->login : f->popped_login);
    }
    if (missing & FACT_RECIPIENT) {
        f->recipient_state = lab_state(l, FACT_RECIPIENT);
        f->recipient_entry = l->any_recipient
                                 ? lab_user(l->arena, arena_str(l->arena, f->recipient), NULL, NULL)
                                 : lab_find(l, f->recipient);
    }
    if (missing & FACT_RECIPIENT && l->entry)
        f->recipient_entry = l->entry;
    if (missing & FACT_MEMBER) {
        struct membership *m = &l->memberships[f->membership_count];
        *m = l->v.member;
        m->member = l->member && (bytes_equal(m->login, bytes_str(l->member)) ||
                                  bytes_equal(m->sender, bytes_str(l->member)));
        f->member_state = lab_state(l, FACT_MEMBER);
        f->memberships = l->memberships;
        f->membership_count += f->member_state == FACT_KNOWN;
    }
    if (missing & FACT_SRS) {
        f->srs_state = lab_state(l, FACT_SRS);
        f->srs = l->srs;
    }
    if (missing & FACT_LISTS)
        f->listings_state = lab_state(l, FACT_LISTS);
    if (missing & FACT_PROBE) {
        f->probe_state = lab_state(l, FACT_PROBE);
        f->probe = l->probe;
        f->probe_status = l->probe_status;
    }
    if (missing & FACT_SENDER_ENTRY) {
        f->sender_state = lab_state(l, FACT_SENDER_ENTRY);
        f->sender_entry = lab_find(l, f->sender);
    }
    if (missing & FACT_GATEWAY) {
        f->gateway_state = lab_state(l, FACT_GATEWAY);
        f->gateway = l->gateway;
    }
    if (missing & FACT_COUNTERS) {
        f->counts_state = lab_state(l, FACT_COUNTERS);
        f->counts = l->counts;
        f->count_count = l->count_count;
    }
}

static inline const struct verdict *lab_ask(struct lab *l, enum decide_step step) {
    for (int round = 0; round < 8; round++) {
        decide(l->config, step, &l->f, l->arena, &l->v);
        if (l->v.rc != MORE)
            return &l->v;
        assert_int_not_equal(l->v.missing, 0);
        lab_tell(l, l->v.missing);
    }
    fail_msg("facts are asked for again and again: %u", l->v.missing);
    return &l->v;
}

static inline void lab_caller(struct lab *l, const char *client, const char *listener,
                              const char *login) {
    struct facts *f = &l->f;
    f->client = lab_addr(client);
    f->listener = config_listener(l->config, bytes_str(listener));
    assert_non_null(f->listener);
    f->login = bytes_str(login);
    f->tls_version = login ? 13 : 0;
}

static inline void lab_message(struct lab *l, const char *from, const char *to) {
    struct facts *f = &l->f;
    f->has_sender = true;
    f->sender = strcmp(from, "<>") == 0 ? BYTES_NONE : bytes_str(from);
    f->recipient = bytes_str(to);
    f->recipient_postmaster = strcmp(to, "postmaster") == 0;
}

/* MAIL, then RCPT: the first that refuses. */
static inline const struct verdict *lab_try(struct lab *l) {
    const struct verdict *v = lab_ask(l, STEP_MAIL);
    return v->rc == OK ? lab_ask(l, STEP_RCPT) : v;
}

static inline const struct change *lab_change(const struct verdict *v, const char *kind) {
    for (size_t i = 0; i < v->change_count; i++)
        if (strcmp(v->changes[i].kind, kind) == 0)
            return &v->changes[i];
    return NULL;
}

#endif
