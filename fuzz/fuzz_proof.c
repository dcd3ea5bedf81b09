/* fuzz_proof: the proof against brute force. The input is dice: a configuration is drawn, many pieces of
 * the Internet in many forms, and then strangers with whatever they may say: no login, no certificate,
 * no POP window. What decide_prove() calls closed relays for none of them but those in a network that
 * is listed, and those are few; what it calls open relays the transaction that it shows. That a client
 * is listed is found out bit by bit, not by the code that is under test. */
#include "base/must.h"
#include "decide/decide.h"

#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NETWORKS_MAX = 512, CONNECTORS_MAX = 8, STRANGERS = 24, SAMPLES = 600 };
#define KEY "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
static const int64_t now = 1797811200000; /* 2026-12-20 */

/* --- dice -------------------------------------------------------------------------------------------- */

static const uint8_t *dice;
static size_t dice_left;
static uint64_t more; /* when they are used up */

static unsigned roll(unsigned sides) {
    if (dice_left) {
        dice_left--;
        return *dice++ % sides;
    }
    more = more * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(more >> 33) % sides;
}

static bool chance(unsigned percent) {
    return roll(100) < percent;
}

#define ONE_OF(list) list[roll(COUNT_OF(list))]

/* --- networks, as octets: IPv4 lies in ::ffff:0:0/96 ---------------------------------------------------- */

struct piece {
    uint8_t ip[16];
    unsigned bits;
    bool v4;
};
struct drawn {
    struct piece clients[NETWORKS_MAX], except[NETWORKS_MAX];
    size_t client_count, except_count;
    bool by_address; /* nothing but the address is asked for */
    bool expired;
};
static struct drawn connectors[CONNECTORS_MAX];
static size_t connector_count;
static struct piece gateway;
static bool has_internet; /* the listener */
static bool has_gateway;

static bool bit_of(const uint8_t *ip, unsigned i) {
    return ip[i / 8] >> (7 - i % 8) & 1;
}

static bool is_mapped(const uint8_t *ip) {
    static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };
    return memcmp(ip, prefix, sizeof prefix) == 0;
}

static bool piece_has(const struct piece *p, const uint8_t *ip) {
    if (p->v4 != is_mapped(ip))
        return false;
    for (unsigned i = 0; i < p->bits; i++)
        if (bit_of(p->ip, i) != bit_of(ip, i))
            return false;
    return true;
}

static bool any_has(const struct piece *list, size_t count, const uint8_t *ip) {
    for (size_t i = 0; i < count; i++)
        if (piece_has(&list[i], ip))
            return true;
    return false;
}

static bool is_listed(const struct drawn *c, const uint8_t *ip) {
    return c->by_address && !c->expired && any_has(c->clients, c->client_count, ip) &&
           !any_has(c->except, c->except_count, ip);
}

static void clear_host(struct piece *p) {
    for (unsigned i = p->bits; i < 128; i++)
        p->ip[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
}

static struct piece draw_piece(void) {
    static const uint8_t bases[][4] = {
        { 8, 8, 8, 8 },     { 192, 0, 2, 17 }, { 10, 1, 2, 3 },
        { 203, 0, 113, 9 }, { 1, 0, 0, 0 },    { 198, 51, 100, 70 }
    };
    struct piece p = { .v4 = chance(65) };
    if (p.v4) {
        p.ip[10] = p.ip[11] = 0xff;
        memcpy(p.ip + 12, ONE_OF(bases), 4);
        if (chance(60))
            for (int i = 12; i < 16; i++)
                p.ip[i] = (uint8_t)roll(256);
        p.bits = 96 + (chance(70) ? 8 + roll(25) : roll(33));
    } else {
        static const uint8_t starts[][4] = { { 0x20, 1, 0x0d, 0xb8 },
                                             { 0x26, 0, 1, 2 },
                                             { 0, 0x64, 0xff, 0x9b },
                                             { 0x2a, 0, 0, 0 },
                                             { 0xfd, 0, 0, 0 } };
        memcpy(p.ip, ONE_OF(starts), 4);
        if (p.ip[1] != 0x64)
            for (int i = 4; i < 16; i++)
                p.ip[i] = (uint8_t)roll(256);
        else if (chance(50))
            for (int i = 12; i < 16; i++)
                p.ip[i] = (uint8_t)roll(256);
        p.bits = chance(80) ? 16 + roll(113) : roll(129);
        if (p.ip[1] == 0x64 && chance(70))
            p.bits = 96 + roll(33);
    }
    clear_host(&p);
    return p;
}

static void write_piece(struct buf *b, const struct piece *p) {
    const uint8_t *ip = p->ip;
    bool as_mapped = p->v4 && chance(20);
    if (p->v4 && !as_mapped) {
        buf_printf(b, "\"%u.%u.%u.%u/%u\"", ip[12], ip[13], ip[14], ip[15], p->bits - 96);
    } else if (p->v4) {
        buf_printf(b, "\"::ffff:%u.%u.%u.%u/%u\"", ip[12], ip[13], ip[14], ip[15], p->bits);
    } else {
        buf_char(b, '"');
        for (int i = 0; i < 16; i += 2)
            buf_printf(b, "%s%x", i ? ":" : "", ip[i] << 8 | ip[i + 1]);
        buf_printf(b, "/%u\"", p->bits);
    }
}

/* --- configurations ---------------------------------------------------------------------------------------- */

/* Nearly all of it, in pieces: each of them small enough to look harmless. */
static void draw_internet(struct drawn *c) {
    unsigned bits = 5 + roll(4), count = 1u << bits, left_out = roll(count);
    for (unsigned i = 0; i < count && c->client_count < NETWORKS_MAX; i++) {
        struct piece p = { .v4 = true, .bits = 96 + bits };
        p.ip[10] = p.ip[11] = 0xff;
        p.ip[12] = (uint8_t)(i << (8 - bits));
        if (i != left_out)
            c->clients[c->client_count++] = p;
    }
}

static void write_pieces(struct buf *b, const char *setting, const struct piece *list,
                         size_t count) {
    buf_printf(b, "  %s = {", setting);
    for (size_t i = 0; i < count; i++) {
        buf_str(b, i ? ", " : "");
        write_piece(b, &list[i]);
    }
    buf_str(b, "}\n");
}

static void draw_networks(struct buf *b, struct drawn *c) {
    if (chance(6))
        draw_internet(c);
    for (unsigned n = roll(4) + !c->client_count; n > 0; n--)
        c->clients[c->client_count++] = draw_piece();
    write_pieces(b, "clients", c->clients, c->client_count);
    for (unsigned n = chance(40) ? 1 + roll(3) : 0; n > 0; n--) {
        struct piece p = chance(60) ? c->clients[roll((unsigned)c->client_count)] : draw_piece();
        unsigned most = 128, longer = p.bits + roll(8);
        p.bits = longer < most ? longer : most;
        c->except[c->except_count++] = p;
    }
    if (c->except_count)
        write_pieces(b, "except", c->except, c->except_count);
}

static void draw_connector(struct buf *b, struct drawn *c) {
    static const char *const other[] = {
        "  auth = any\n",
        "  auth = {\"a@ours.example\"}\n",
        "  client_certificate = {\"spki-sha256:" KEY "\"}\n",
        "  pop_before_smtp = 15min senders = own\n",
    };
    static const char *const to[] = { "  may_relay_to = {\"*\"}\n",
                                      "  may_relay_to = {\"*\"}\n",
                                      "  may_relay_to = {\"adatum.com\", \".lists.example\"}\n",
                                      "  may_relay_to = {\"x@contoso.com\"}\n",
                                      "  may_relay_to = {\"ours.example\"}\n",
                                      "" };
    static const char *const senders[] = { "  senders = any\n",
                                           "  senders = {\"*@ours.example\"}\n",
                                           "  senders = {\"<>\", \"b@adatum.com\"}\n",
                                           "  senders = own\n", "  senders = {\"*\"}\n" };
    static const char *const where[] = { "  listeners = {\"internet\"}\n",
                                         "  listeners = {\"submission\"}\n",
                                         "  listeners = {\"offering\", \"submission\"}\n" };
    buf_printf(b, "connector \"c%zu\" {\n  note = \"drawn\"\n", connector_count);
    bool tenant = chance(12);
    bool networks = chance(85), more_who = !networks || chance(25);
    const char *who = more_who ? ONE_OF(other) : "";
    c->by_address = !more_who;
    if (networks)
        draw_networks(b, c);
    buf_str(b, who);
    buf_str(b, ONE_OF(to));
    buf_str(b, tenant ? "  tenant = \"north\"\n" : strstr(who, "senders") ? "" : ONE_OF(senders));
    if (tenant && !strstr(who, "senders"))
        buf_str(b, "  senders = {\"north.example\"}\n");
    const char *at = chance(25) ? ONE_OF(where) : "";
    if (!has_internet && strstr(at, "internet"))
        at = "";
    bool may_waive = networks && (!*at || strstr(at, "submission"));
    buf_str(b, at);
    buf_str(b, may_waive && chance(25) ? "  without_auth_on = {\"submission\"}\n" : "");
    buf_str(b, may_waive && chance(15) ? "  without_tls_on = {\"submission\"}\n" : "");
    buf_str(b, chance(25) ? "  header_from = any\n" : "");
    c->expired = chance(12);
    buf_str(b, c->expired ? "  expires = \"2020-01-01\"\n" : "");
    buf_str(b, "}\n");
}

static void draw_config(struct buf *b) {
    static const char *const peers[] = { "",
                                         "",
                                         "",
                                         " xclient_from = {\"192.0.2.9\"}",
                                         " xclient_from = {\"10.0.0.0/8\"}",
                                         " proxy_protocol_from = {\"2001:db8::/32\", \"::/7\"}" };
    memset(connectors, 0, sizeof connectors);
    buf_str(b, "domain \"ours.example\" {}\ndomain \"north.example\" {}\n");
    has_internet = chance(90);
    if (has_internet)
        buf_printf(b, "listener \"internet\" { bind = {\"127.0.0.1:25\"} tls = offer%s }\n",
                   ONE_OF(peers));
    buf_str(
        b, "listener \"submission\" { bind = {\"127.0.0.1:587\"} tls = require auth = require }\n");
    if (chance(50))
        buf_str(b, "listener \"offering\" { bind = {\"127.0.0.1:26\"} tls = off auth = offer }\n");
    else
        buf_str(b, "listener \"offering\" { bind = {\"127.0.0.1:26\"} auth = require }\n");
    buf_printf(b,
               "tenant \"north\" { domains = {\"north.example\"} address = \"203.0.113.40\"%s }\n",
               chance(50) ? " clients = {\"8.0.0.0/7\", \"2600::/16\"}" : "");
    unsigned count = roll(CONNECTORS_MAX);
    for (connector_count = 0; connector_count < count; connector_count++)
        draw_connector(b, &connectors[connector_count]);
    has_gateway = chance(20);
    gateway = draw_piece();
    gateway.bits = 128;
}

/* --- strangers ------------------------------------------------------------------------------------------------ */

static void flip(uint8_t *ip, unsigned bit) {
    ip[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
}

/* Anywhere; or in a network that is listed, or one bit beside it. */
static void draw_stranger(uint8_t ip[16]) {
    struct piece p = draw_piece();
    const struct drawn *c = connector_count ? &connectors[roll((unsigned)connector_count)] : NULL;
    if (c && c->client_count && chance(80)) {
        bool out = c->except_count && chance(30);
        p = out ? c->except[roll((unsigned)c->except_count)]
                : c->clients[roll((unsigned)c->client_count)];
    }
    for (unsigned i = p.bits; i < 128; i++)
        if (roll(2))
            flip(p.ip, i);
    if (chance(30) && p.bits > (p.v4 ? 96u : 0u))
        flip(p.ip, p.bits - 1);
    memcpy(ip, p.ip, 16);
}

static struct addr addr_from(const uint8_t ip[16]) {
    struct addr a = { .family = 6 };
    memcpy(a.ip, ip, 16);
    if (is_mapped(ip) && chance(50)) { /* else as it comes over a socket of both families */
        a = (struct addr){ .family = 4 };
        memcpy(a.ip, ip + 12, 4);
    }
    return a;
}

static const struct networks *gateways(void) {
    static struct network one;
    static struct networks list;
    one = (struct network){ addr_fold(addr_from(gateway.ip)), 0 };
    one.bits = one.base.family == 4 ? 32 : 128;
    list = (struct networks){ has_gateway ? 1 : 0, &one };
    return &list;
}

static struct facts stranger_of(const struct config *c, struct addr client) {
    return (struct facts){
        .listener = &c->listeners[0],
        .client = client,
        .gateway = networks_have(*gateways(), client),
        .gateway_state = FACT_KNOWN,
        .login_state = FACT_KNOWN,
        .recipient_state = FACT_KNOWN,
        .sender_state = FACT_KNOWN,
        .counts_state = FACT_KNOWN,
        .client_connections = 1,
        .has_sender = true,
        .verb = B("MAIL"),
        .from_fields = 1,
        .now = now,
    };
}

/* The connector, when the message is relayed; else empty. */
static struct bytes relayed(const struct config *c, struct facts *f, struct bytes header,
                            struct arena *a) {
    static const enum decide_step steps[] = { STEP_CONNECT, STEP_COMMAND, STEP_MAIL, STEP_RCPT };
    const struct mailbox_header from = { "From", header };
    struct verdict v = { 0 };
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        decide(c, steps[i], f, a, &v);
        MUST(v.rc != MORE);
        if (v.rc != OK)
            return BYTES_NONE;
    }
    struct bytes charged = v.connector;
    if (!v.relay)
        return BYTES_NONE;
    f->charged = (struct strings){ 1, &charged };
    f->header_mailboxes = &from;
    f->header_mailbox_count = 1;
    decide(c, STEP_CONTENT, f, a, &v);
    return v.rc == OK ? charged : BYTES_NONE;
}

/* A stranger with whatever it may say. True when it was relayed. */
static bool try_stranger(const struct config *c, const uint8_t ip[16], struct arena *a) {
    static const char *const froms[] = { "", "x@ours.example", "b@adatum.com", "z@z.invalid",
                                         "n@north.example" };
    static const char *const tos[] = { "y@adatum.com", "y@eu.lists.example", "x@contoso.com",
                                       "anybody@at.all" };
    struct facts f = stranger_of(c, addr_from(ip));
    f.listener = &c->listeners[roll((unsigned)c->listener_count)];
    f.tls_version = f.listener->tls == TLS_OFF || chance(30) ? 0 : 13;
    f.sender = bytes_str(ONE_OF(froms));
    f.recipient = bytes_str(ONE_OF(tos));
    f.client_told_by = chance(20) ? "PROXY" : NULL;
    if (chance(30))
        MUST(addr_parse(B("203.0.113.40"), &f.local));
    struct bytes by = relayed(c, &f, bytes_str(ONE_OF(froms)), a);
    if (!by.len)
        return false;
    const struct drawn *d = &connectors[by.at[1] - '0'];
    MUST(is_listed(d, ip) && !(has_gateway && piece_has(&gateway, ip)));
    return true;
}

/* --- the properties -------------------------------------------------------------------------------------------- */

static bool is_public(const uint8_t *ip) {
    struct addr a = { .family = 6 };
    memcpy(a.ip, ip, 16);
    return addr_is_public(addr_fold(a));
}

static bool anybody_lists(const uint8_t *ip) {
    for (size_t i = 0; i < connector_count; i++)
        if (is_listed(&connectors[i], ip))
            return true;
    return false;
}

/* Of the public addresses that are drawn blindly, closed configurations list next to none: 2^24 of 2^32
 * would be 2 in 600. */
static void expect_few(void) {
    unsigned listed = 0;
    for (int i = 0; i < SAMPLES; i++) {
        uint8_t ip[16] = { [10] = 0xff, [11] = 0xff };
        for (int j = 12; j < 16; j++)
            ip[j] = (uint8_t)roll(256);
        listed += is_public(ip) && anybody_lists(ip);
        uint8_t ip6[16] = { 0x20 };
        ip6[0] |= (uint8_t)roll(32);
        for (int j = 1; j < 16; j++)
            ip6[j] = (uint8_t)roll(256);
        listed += is_public(ip6) && anybody_lists(ip6);
    }
    MUST(listed < 25);
}

/* What stands between two words of the example. */
static struct bytes between(struct bytes text, const char *before, const char *after) {
    ptrdiff_t at = bytes_search(text, bytes_str(before));
    MUST(at >= 0);
    text = bytes_skip(text, (size_t)at + strlen(before));
    ptrdiff_t end = *after ? bytes_search(text, bytes_str(after)) : (ptrdiff_t)text.len;
    MUST(end >= 0);
    return bytes_first(text, (size_t)end);
}

/* The transaction is made from its words alone, and must be relayed. */
static void expect_relayed(const struct config *c, struct bytes text, struct arena *a) {
    struct addr client;
    struct bytes listener = between(text, "at listener ", ", from <");
    MUST(addr_parse(between(text, "client ", " at listener"), &client));
    struct facts f = stranger_of(c, client);
    f.tls_version = bytes_search(listener, B(" with TLS")) >= 0 ? 13 : 0;
    if (bytes_search(listener, B(" on ")) >= 0)
        MUST(addr_parse(between(text, " on ", f.tls_version ? " with TLS" : ", from"), &f.local));
    struct bytes name = listener;
    (void)bytes_split(&name, ' ', &listener);
    f.listener = config_listener(c, listener);
    MUST(f.listener);
    f.sender = between(text, ", from <", "> to <");
    f.recipient = between(text, "> to <", ">, header From ");
    MUST(relayed(c, &f, between(text, ">, header From ", ""), a).len);
}

unsigned proofs_closed, proofs_open, proofs_unshown, proofs_relayed; /* for the unit test */

static void try_strangers(const struct config *c, bool unshown, struct arena *a) {
    for (int i = 0; i < STRANGERS; i++) {
        uint8_t ip[16];
        draw_stranger(ip);
        bool through = try_stranger(c, ip, a);
        proofs_relayed += through;
        /* An error without an example: no stranger of the Internet gets through. */
        MUST(!through || !unshown || !is_public(ip));
    }
}

static void prove(const struct config *c, struct arena *a) {
    struct config_findings found = { 0 };
    bool error = false, shown = false, open = false;
    decide_prove(c, gateways(), now, a, &found);
    for (size_t i = 0; i < found.count; i++) {
        const struct config_finding *f = &found.list[i];
        error |= f->severity == FINDING_ERROR;
        bool whole = f->severity == FINDING_ERROR && !strcmp(f->id, "proof.public");
        open |= whole;
        shown |= whole && f->example.len;
        if (f->example.len)
            expect_relayed(c, f->example, a);
    }
    proofs_closed += !error;
    proofs_open += shown;
    proofs_unshown += open && !shown;
    try_strangers(c, open && !shown, a);
    if (!error)
        expect_few();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct config_host host = { .cores = 1, .lift_not_built = true };
    struct config *c;
    struct config_findings findings = { 0 };
    struct buf b = buf_grow(1 << 20);
    dice = data;
    dice_left = size;
    more = size;
    draw_config(&b);
    if (config_parse_on(&host, B("fuzz"), buf_bytes(&b), &c, &findings) == OK) {
        struct arena *a = arena_open();
        prove(c, a);
        arena_close(&a);
    }
    config_close(&c);
    buf_free(&b);
    return 0;
}
