/* ports: every address, at every port that takes mail: a connection, the greeting, EHLO, QUIT. All at once, as
 * most of what there is to see is silence. */
#include "base/must.h"
#include "doctor/examine_parts.h"

#include <string.h>

enum { LOOK_MS = 10 * 1000, SUBMISSION = 587, IMPLICIT = 465 };

bool port_is_implicit(uint16_t port) {
    return port == IMPLICIT;
}

/* --- which --------------------------------------------------------------------------------------------- */

static void add_spot(struct examination *e, const struct host *h, struct addr address,
                     uint16_t port) {
    if (e->spot_count == SPOTS_MAX)
        return;
    address.port = port;
    if (ports_spot(e, address, port))
        return;
    e->spots[e->spot_count++] = (struct spot){ .e = e, .host = h->name, .address = address };
}

/* In the order in which they serve for the conversation that counts. */
static size_t wanted_ports(const struct examination *e, uint16_t out[EXAMINE_PORTS + 4]) {
    static const uint16_t plain[] = { 25, 587, 465, 2525 }, login[] = { 587, 465, 25, 2525 };
    size_t count = 0;
    if (e->port)
        out[count++] = e->port;
    else if (e->domain.len)
        out[count++] = 25;
    if (e->want->ports_chosen) {
        for (size_t i = 0; i < e->want->port_count; i++)
            out[count++] = e->want->ports[i];
    } else if (!e->port && !e->want->lmtp) {
        for (size_t i = 0; i < COUNT_OF(plain); i++)
            out[count++] = e->want->login && !e->domain.len ? login[i] : plain[i];
    }
    return count;
}

static void choose_spots(struct examination *e) {
    uint16_t ports[EXAMINE_PORTS + 4 + 4];
    size_t count = wanted_ports(e, ports);
    for (size_t p = 0; p < count; p++)
        for (size_t i = 0; i < e->host_count; i++)
            for (size_t j = 0; j < e->hosts[i].count && (p == 0 || i == 0 || e->want->all_mx); j++)
                add_spot(e, &e->hosts[i], e->hosts[i].addresses[j], ports[p]);
}

const struct spot *ports_spot(const struct examination *e, struct addr address, uint16_t port) {
    for (size_t i = 0; i < e->spot_count; i++)
        if (e->spots[i].address.port == port && addr_equal(e->spots[i].address, address))
            return &e->spots[i];
    return NULL;
}

/* --- looking ----------------------------------------------------------------------------------------------- */

static void on_seen(void *ctx, const struct conversation_seen *seen) {
    struct spot *s = ctx;
    s->seen = *seen;
    s->done = true;
    if (--s->e->spots_left == 0)
        loop_stop(s->e->loop);
}

static void look(struct examination *e) {
    for (size_t i = 0; i < e->spot_count; i++) {
        struct conversation_want want = examine_talk_want(e, "ports");
        want.address = e->spots[i].address;
        want.implicit = e->want->implicit || port_is_implicit(want.address.port);
        want.tls = want.implicit ? TLS_TRY_WANTED : TLS_OFF_WANTED;
        want.until = STEP_EHLO;
        want.xclient = BYTES_NONE;
        want.transcript = NULL;
        if (want.timeout_ms > LOOK_MS)
            want.timeout_ms = LOOK_MS;
        want.ends = loop_now(e->loop) + LOOK_MS + 2000;
        conversation_open(e->loop, e->arena, &want, on_seen, &e->spots[i]);
    }
    e->spots_left = e->spot_count;
    loop_run(e->loop);
}

/* --- what was seen -------------------------------------------------------------------------------------------- */

/* Greeting or keywords written over with one letter: what a firewall leaves of them that will not let
 * the two speak freely. */
static bool is_masked(struct bytes text, char with) {
    size_t run = 0;
    for (size_t i = 0; i < text.len; i++) {
        run = text.at[i] == with ? run + 1 : 0;
        if (run >= 6)
            return true;
    }
    return false;
}

static const char *hijacked(const struct conversation_seen *seen) {
    static const struct {
        const char *words, *who;
    } proxies[] = {
        { "avast", "the virus scanner on this computer" },
        { "avg ", "the virus scanner on this computer" },
        { "symantec email proxy", "the virus scanner on this computer" },
        { "kaspersky", "the virus scanner on this computer" },
        { "smtp proxy", "a proxy in between" },
        { "mail proxy", "a proxy in between" },
        { "email proxy", "a proxy in between" },
        { "fortigate", "a firewall in between" },
        { "sonicwall", "a firewall in between" },
        { "transparent", "a proxy in between" },
        { "outbound smtp blocked", "the network's own server" },
        { "captive", "the network's own server" },
    };
    if (is_masked(seen->said[STEP_BANNER].text, '*'))
        return "a firewall in between, which writes over the greeting (Cisco's \"inspect esmtp\" or \"fixup\")";
    if (is_masked(seen->plain.keywords, 'X'))
        return "a firewall in between, which writes over what the server offers (Cisco's \"inspect esmtp\" or "
               "\"fixup\")";
    for (size_t i = 0; i < COUNT_OF(proxies); i++)
        if (bytes_search_nocase(seen->said[STEP_BANNER].text, bytes_str(proxies[i].words)) >= 0)
            return proxies[i].who;
    return NULL;
}

void ports_hijack_finding(struct examination *e, struct bytes place,
                          const struct conversation_seen *seen) {
    struct finding_list *l = &e->out->findings;
    const char *who = hijacked(seen);
    if (!who)
        return;
    struct finding *f =
        finding_add(l, SEVERITY_ERROR, "port.hijacked", "banner", "the answers come from %s: %.*s",
                    who, BYTES_FMT(seen->said[STEP_BANNER].text));
    finding_about(l, f, "%.*s", BYTES_FMT(place));
    finding_means(
        l, f,
        "What is seen here is not the server itself. TLS and logins are likely to fail, or to be "
        "read on the way.");
    f->who = "network-owner";
    finding_fix(l, f, "Use port 465 or 587 of the same server, with TLS.");
    finding_fix(l, f, "The owner of this network can switch the inspection of SMTP off.");
}

/* Offered at one port and missing at 25 of the same address: somebody in between takes it out. */
static void stripped_finding(struct examination *e, const struct spot *s) {
    struct finding_list *l = &e->out->findings;
    const struct spot *other = ports_spot(e, s->address, SUBMISSION);
    if (s->address.port != 25 || !other || !other->seen.plain_known || !s->seen.plain_known)
        return;
    bool name_differs = s->seen.plain.name.len && other->seen.plain.name.len &&
                        !bytes_equal_nocase(s->seen.plain.name, other->seen.plain.name);
    if (!other->seen.plain.starttls || s->seen.plain.starttls || !name_differs)
        return;
    struct finding *f = finding_add(
        l, SEVERITY_WARNING, "port.stripped", "EHLO",
        "port 25 is %.*s and offers no STARTTLS; port 587 of the same address is %.*s and does",
        BYTES_FMT(s->seen.plain.name), BYTES_FMT(other->seen.plain.name));
    finding_about(l, f, "%.*s", BYTES_FMT(examine_place(e->arena, s->host, s->address)));
    finding_means(l, f, "The network may lead port 25 to a server of its own.");
    f->who = "network-owner";
    finding_fix(l, f, "Use port 587 or 465, or look from another network.");
}

static void spot_finding(struct examination *e, const struct spot *s) {
    static const struct {
        enum how how;
        const char *id, *seen;
    } closed[] = {
        { HOW_TIMEOUT, "port.filtered", "filtered: nothing came back at all" },
        { HOW_UNREACHABLE, "port.refused", "closed" },
        { HOW_OUT_OF_TIME, "port.filtered", "filtered: nothing came back at all" },
    };
    struct finding_list *l = &e->out->findings;
    struct finding *f = NULL;
    struct bytes banner = s->seen.said[STEP_BANNER].text;
    for (size_t i = 0; s->seen.step == STEP_CONNECT && i < COUNT_OF(closed) && !f; i++)
        if (s->seen.how == closed[i].how)
            f = finding_add(l, SEVERITY_INFO, closed[i].id, "connect", "%s (%.*s)", closed[i].seen,
                            BYTES_FMT(s->seen.words));
    if (!f && s->seen.step == STEP_NONE)
        f = finding_add(l, SEVERITY_INFO, "port.open", "connect", "open: %.*s%s%s%.*s",
                        BYTES_FMT(banner),
                        s->seen.plain.starttls ? "; STARTTLS"
                        : s->seen.secured      ? "; TLS from the first octet"
                                               : "",
                        s->seen.plain.auth.len || s->seen.secure.auth.len ? "; logins " : "",
                        BYTES_FMT(s->seen.secured ? s->seen.secure.auth : s->seen.plain.auth));
    if (!f)
        f = finding_add(l, SEVERITY_INFO, "port.faulty", step_name(s->seen.step),
                        "open, but: %.*s%.*s", BYTES_FMT(s->seen.words),
                        BYTES_FMT(s->seen.how == HOW_REFUSED ? B(" (it refuses)") : B("")));
    finding_about(l, f, "%.*s", BYTES_FMT(examine_place(e->arena, s->host, s->address)));
    if (s->seen.step > STEP_BANNER)
        ports_hijack_finding(e, examine_place(e->arena, s->host, s->address), &s->seen);
    stripped_finding(e, s);
}

static const char *in_a_word(const struct spot *s) {
    if (s->seen.step != STEP_CONNECT)
        return s->seen.step == STEP_NONE ? "open" : "open, with a fault";
    return s->seen.how == HOW_UNREACHABLE
               ? s->seen.reason && !strcmp(s->seen.reason, "connect.refused") ? "refused"
                                                                              : "unreachable"
               : "filtered";
}

static void look_and_tell(struct examination *e) {
    look(e);
    for (size_t i = 0; i < e->spot_count; i++) {
        const struct spot *s = &e->spots[i];
        examine_say(e, MARK_NOTE, "%.*s: %s",
                    BYTES_FMT(examine_place(e->arena, s->host, s->address)), in_a_word(s));
        spot_finding(e, s);
    }
}

void ports_look_for_logins(struct examination *e) {
    const struct host h = { .name = e->host };
    bool unwanted = e->spot_count || e->want->path.len || e->want->lmtp || e->want->no_probes ||
                    e->want->ports_chosen;
    if (unwanted || examine_left(e) < LOOK_MS + 2000)
        return;
    if (e->address.port != SUBMISSION)
        add_spot(e, &h, e->address, SUBMISSION);
    if (e->address.port != IMPLICIT)
        add_spot(e, &h, e->address, IMPLICIT);
    look_and_tell(e);
}

void ports_look(struct examination *e) {
    if (e->want->path.len)
        return;
    choose_spots(e);
    if (e->spot_count < 2) {
        if (e->port)
            finding_skip(&e->out->findings, "port.others", "connect",
                         "other ports: not looked at, as a port was named (--ports looks at them)");
        e->spot_count = 0;
        return;
    }
    look_and_tell(e);
}
