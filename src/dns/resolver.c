/* resolver: the process that asks the DNS for all workers, with one cache. libunbound is behind it
 * and nowhere else; it works in a thread of its own and says through a descriptor that answers are
 * there. Every question ends within 15 s, whatever becomes of the servers. */
#include "base/list.h"
#include "base/must.h"
#include "base/scan.h"
#include "dns/wire.h"
#include "sys/channel.h"
#include "sys/files.h"

#include <stdlib.h>
#include <string.h>
#include <unbound.h>

enum { QUESTION_TIME = 15000, QUESTIONS_MAX = 4096, ANCHOR_MAX = 1024 * 1024 };

struct resolver {
    struct loop *loop;
    struct ub_ctx *unbound;
    struct watch *watch;
    struct service *service;
    struct list questions;
};
struct question {
    struct list_node node;
    struct resolver *resolver;
    struct service_call *call;
    struct timer timer;
    struct arena *arena;
    struct bytes name;
    enum dns_type type;
    int id; /* libunbound's */
};

/* --- answering ---------------------------------------------------------------------------- */

static void reply(struct question *q, const struct dns_answer *answer) {
    struct buf out = buf_grow(CHANNEL_MAX);
    dns_wire_format_answer(&out, answer);
    service_reply(q->call, buf_bytes(&out));
    buf_free(&out);
    timer_clear(&q->timer);
    list_remove(&q->resolver->questions, &q->node);
    struct arena *a = q->arena;
    arena_close(&a); /* q lies in it */
}

static void reply_failure(struct question *q, bool bogus, const char *what) {
    struct dns_answer answer = { .rc = TEMP, .bogus = bogus };
    why_set(&answer.why, TEMP, 451, "4.4.3", "dns.failed", "the DNS gave no answer for %.*s %s: %s",
            BYTES_FMT(q->name), dns_type_name(q->type), what);
    reply(q, &answer);
}

static void reply_temp(struct question *q, const char *what) {
    reply_failure(q, false, what);
}

/* --- what libunbound gives ---------------------------------------------------------------- */

/* A name in wire form without compression (RFC 1035 section 3.1), in lower case. */
static bool read_name(struct scan *s, struct buf *out) {
    for (;;) {
        size_t len = (unsigned char)scan_char(s);
        if (s->bad || len > 63)
            return false;
        if (!len)
            return !out->full;
        struct bytes label = scan_take(s, len);
        if (s->bad || bytes_find(label, '.') >= 0 || bytes_find(label, '\0') >= 0)
            return false;
        if (out->len)
            buf_char(out, '.');
        buf_lower(out, label);
    }
}

static bool read_domain(struct arena *a, struct bytes wire, struct bytes *out) {
    char memory[DNS_NAME_MAX + 2];
    struct buf name = buf_fixed(memory, sizeof memory);
    struct scan s = scan_of(wire);
    if (!read_name(&s, &name) || name.len > DNS_NAME_MAX)
        return false;
    *out = arena_copy(a, buf_bytes(&name));
    return true;
}

static bool read_text(struct arena *a, struct bytes wire, struct bytes *out) {
    struct buf text = buf_grow(65535);
    struct scan s = scan_of(wire);
    while (!scan_done(&s) && !s.bad)
        buf_add(&text, scan_take(&s, (unsigned char)scan_char(&s)));
    *out = arena_copy(a, buf_bytes(&text));
    buf_free(&text);
    return !s.bad;
}

static bool read_address(struct bytes wire, uint8_t family, struct addr *out) {
    if (wire.len != (family == 4 ? 4 : 16))
        return false;
    *out = (struct addr){ .family = family };
    memcpy(out->ip, wire.at, wire.len);
    *out = addr_fold(*out);
    return true;
}

static uint32_t read_be32(struct scan *s) {
    uint32_t n = 0;
    for (int i = 0; i < 4; i++)
        n = n << 8 | (unsigned char)scan_char(s);
    return n;
}

/* RFC 1035 section 3.3.13. */
static bool read_soa(struct arena *a, struct bytes wire, struct dns_record *out) {
    char server[DNS_NAME_MAX + 2], mailbox[DNS_NAME_MAX + 2 + 5 * 11];
    struct buf name = buf_fixed(server, sizeof server), data = buf_fixed(mailbox, sizeof mailbox);
    struct scan s = scan_of(wire);
    if (!read_name(&s, &name) || !read_name(&s, &data) || name.len > DNS_NAME_MAX)
        return false;
    for (int i = 0; i < 5; i++)
        buf_printf(&data, " %u", read_be32(&s));
    out->name = arena_copy(a, buf_bytes(&name));
    out->data = arena_copy(a, buf_bytes(&data));
    return !s.bad && !data.full;
}

static bool read_record(struct question *q, struct bytes wire, struct dns_record *out) {
    switch (q->type) {
    case DNS_A:
        return read_address(wire, 4, &out->address);
    case DNS_AAAA:
        return read_address(wire, 6, &out->address);
    case DNS_MX:
        if (wire.len < 3)
            return false;
        out->preference = (uint16_t)((unsigned char)wire.at[0] << 8 | (unsigned char)wire.at[1]);
        return read_domain(q->arena, bytes_skip(wire, 2), &out->name);
    case DNS_PTR:
    case DNS_NS:
    case DNS_CNAME:
        return read_domain(q->arena, wire, &out->name);
    case DNS_SOA:
        return read_soa(q->arena, wire, out);
    case DNS_TXT:
        return read_text(q->arena, wire, &out->data);
    case DNS_TLSA:
        out->data = arena_copy(q->arena, wire);
        return true;
    }
    return false;
}

/* A record that makes no sense is left out: the others are as good as without it. */
static size_t read_records(struct question *q, const struct ub_result *r,
                           struct dns_record *records) {
    size_t count = 0;
    for (size_t i = 0; count < DNS_RECORDS_MAX && r->data && r->data[i]; i++) {
        memset(&records[count], 0, sizeof *records);
        if (r->len[i] >= 0 &&
            read_record(q, bytes_of(r->data[i], (size_t)r->len[i]), &records[count]))
            count++;
    }
    return count;
}

enum { RCODE_OK = 0, RCODE_SERVFAIL = 2, RCODE_NXDOMAIN = 3 };

static void reply_result(struct question *q, const struct ub_result *r) {
    if (r->bogus) {
        reply_failure(q, true, r->why_bogus ? r->why_bogus : "DNSSEC validation failed");
        return;
    }
    if (r->rcode != RCODE_OK && r->rcode != RCODE_NXDOMAIN) {
        reply_temp(q, r->rcode == RCODE_SERVFAIL ? "its servers failed or cannot be reached"
                                                 : "its servers refused to answer");
        return;
    }
    struct dns_record *records = ARENA_ARRAY(q->arena, DNS_RECORDS_MAX, struct dns_record);
    struct bytes canonical = r->canonname ? bytes_str(r->canonname) : q->name;
    if (canonical.len > 1 && canonical.at[canonical.len - 1] == '.')
        canonical.len--;
    struct dns_answer answer = {
        .rc = OK,
        .exists = r->rcode == RCODE_OK && !r->nxdomain,
        .secure = r->secure,
        .canonical = arena_lower(q->arena, bytes_first(canonical, DNS_NAME_MAX)),
        .count = r->havedata ? read_records(q, r, records) : 0,
        .records = records,
    };
    /* Records there were, none of which could be read: not the same as no records. */
    if (r->havedata && !answer.count)
        reply_temp(q, "its records are malformed");
    else
        reply(q, &answer);
}

static void on_result(void *ctx, int error, struct ub_result *r) {
    struct question *q = ctx;
    if (error)
        reply_temp(q, ub_strerror(error));
    else
        reply_result(q, r);
    ub_resolve_free(r);
}

static void on_readable(void *ctx, int what) {
    (void)what;
    struct resolver *r = ctx;
    ub_process(r->unbound);
}

static void on_late(void *ctx) {
    struct question *q = ctx;
    ub_cancel(q->resolver->unbound, q->id);
    reply_temp(q, "no answer within 15 seconds");
}

/* --- being asked -------------------------------------------------------------------------- */

static void refuse(struct service_call *call, const char *text) {
    struct dns_answer answer = { .rc = TEMP };
    why_set(&answer.why, TEMP, 451, "4.4.3", "dns.failed", "%s", text);
    char memory[1024];
    struct buf out = buf_fixed(memory, sizeof memory);
    dns_wire_format_answer(&out, &answer);
    service_reply(call, buf_bytes(&out));
}

static void on_call(void *ctx, struct service_call *call, struct bytes request) {
    struct resolver *r = ctx;
    struct bytes name;
    enum dns_type type;
    if (!dns_wire_parse_question(request, &name, &type)) {
        refuse(call, "this is not a question for the DNS");
        return;
    }
    if (r->questions.count >= QUESTIONS_MAX) {
        refuse(call, "too many questions to the DNS are waiting");
        return;
    }
    struct arena *a = arena_open();
    struct question *q = ARENA_NEW(a, struct question);
    q->resolver = r;
    q->call = call;
    q->arena = a;
    q->name = arena_copy(a, name);
    q->type = type;
    list_append(&r->questions, &q->node);
    int rc =
        ub_resolve_async(r->unbound, q->name.len ? q->name.at : ".", type, 1, q, on_result, &q->id);
    if (rc)
        reply_temp(q, ub_strerror(rc));
    else
        timer_set(r->loop, &q->timer, QUESTION_TIME, on_late, q);
}

/* --- setting up --------------------------------------------------------------------------- */

/* Small caches: a mail server asks for few names at a time, and its memory is counted. */
static const char *const options[][2] = {
    { "msg-cache-size:", "2m" },
    { "rrset-cache-size:", "4m" },
    { "key-cache-size:", "1m" },
    { "neg-cache-size:", "512k" },
    { "infra-cache-numhosts:", "2000" },
    { "outgoing-range:", "256" },
    { "num-queries-per-thread:", "128" },
    { "serve-expired:", "no" },
    { "cache-max-negative-ttl:", "300" },
    { "do-not-query-localhost:", "no" },
    { "use-syslog:", "no" },
};

static enum rc failed(struct why *why, const char *what, struct bytes value, int error) {
    return why_set(why, PERM, 0, NULL, "config.dns", "%s %.*s: %s", what, BYTES_FMT(value),
                   ub_strerror(error));
}

static enum rc set_server(struct resolver *r, struct bytes server, struct why *why) {
    if (bytes_equal(server, B("system"))) {
        int rc = ub_ctx_resolvconf(r->unbound, NULL);
        return rc ? failed(why, "dns: the system's name servers", BYTES_NONE, rc) : OK;
    }
    struct addr a;
    if (!addr_parse(server, &a) && !addr_parse_port(server, &a))
        return failed(why, "dns: not an address", server, UB_SYNTAX);
    char memory[80];
    struct buf text = buf_fixed(memory, sizeof memory);
    addr_format(&text, a);
    if (a.port)
        buf_printf(&text, "@%u", a.port);
    int rc = ub_ctx_set_fwd(r->unbound, buf_text(&text));
    return rc ? failed(why, "dns:", server, rc) : OK;
}

/* The root's key signing keys (IANA, root-anchors.xml), for full resolution out of the box. */
static const char *const root_anchor[] = {
    ". DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D",
    ". DS 38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16",
};

static enum rc set_anchor(struct resolver *r, const struct resolver_setup *setup, struct why *why) {
    struct bytes anchor = setup->trust_anchor;
    int rc = 0;
    if (bytes_equal(anchor, B("off")) || (!anchor.len && setup->server_count))
        return OK;
    if (bytes_starts(anchor, B("file:"))) {
        /* libunbound opens it only with the first question, and then fails each. */
        struct arena *a = arena_open();
        struct bytes path = arena_copy(a, bytes_skip(anchor, 5)), text;
        enum rc read = files_read(path, ANCHOR_MAX, a, &text, why);
        rc = read == OK ? ub_ctx_add_ta_file(r->unbound, path.at) : 0;
        arena_close(&a);
        if (read != OK)
            return PERM;
    } else {
        for (size_t i = 0; i < COUNT_OF(root_anchor) && !rc; i++)
            rc = ub_ctx_add_ta(r->unbound, root_anchor[i]);
    }
    return rc ? failed(why, "dns_trust_anchor:", anchor, rc) : OK;
}

static enum rc set_up(struct resolver *r, const struct resolver_setup *setup, struct why *why) {
    for (size_t i = 0; i < COUNT_OF(options); i++) {
        int rc = ub_ctx_set_option(r->unbound, options[i][0], options[i][1]);
        if (rc)
            return failed(why, options[i][0], bytes_str(options[i][1]), rc);
    }
    for (size_t i = 0; i < setup->server_count; i++)
        if (set_server(r, setup->servers[i], why) != OK)
            return PERM;
    if (set_anchor(r, setup, why) != OK)
        return PERM;
    int rc = ub_ctx_async(r->unbound, 1); /* a thread, not a process */
    return rc ? failed(why, "dns: starting", BYTES_NONE, rc) : OK;
}

enum rc resolver_serve(struct loop *l, int fd, const struct resolver_setup *setup,
                       struct why *why) {
    struct resolver r = { .loop = l, .unbound = ub_ctx_create() };
    MUST(r.unbound);
    list_init(&r.questions);
    enum rc rc = set_up(&r, setup, why);
    if (rc == OK) {
        r.watch = watch_open(l, ub_fd(r.unbound), WATCH_READ, on_readable, &r);
        r.service = service_open(l, fd, on_call, &r);
        loop_run(l);
        while (r.questions.count)
            reply_temp(CONTAINER_OF(list_first(&r.questions), struct question, node),
                       "the resolver is stopping");
        service_close(&r.service);
        watch_close(&r.watch);
    }
    ub_ctx_delete(r.unbound);
    return rc;
}
