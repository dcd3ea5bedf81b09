/* Jobs against scripted servers: what each reply, silence or break means for whom. */
#include "../dns/table.h"
#include "deliver/deliver.h"
#include "peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

static const struct table_row rows[] = {
    { "smart.example", DNS_A, "127.0.0.1" },
    { "late.example", DNS_MX, "TEMP" },
    { "null.example", DNS_MX, "0 " },
    { "ours.example", DNS_MX, "10 us.example" },
    { "ours.example", DNS_MX, "20 smart.example" },
    { "us.example", DNS_A, "192.0.2.1" },
    { "named.example", DNS_MX, "10 mail.proseware.com" },
    { "mail.proseware.com", DNS_A, "192.0.2.99" },
    { "two.example", DNS_MX, "10 dead.example" },
    { "two.example", DNS_MX, "20 smart.example" },
    { "dead.example", DNS_A, "127.0.0.2" },
};

struct world {
    struct loop *loop;
    struct table dns;
    struct counters *counters;
    struct deliver *deliver;
    struct config config;
    struct route route;
    struct via vias[2];
    struct peer peer;
    struct addr own;
    struct arena *arena;
    struct tls_client *tls;
    struct bytes certificate; /* of the peer, when it speaks TLS */
    struct bytes tls_text;
    struct deliver_setup setup;
    unsigned jobs_done, maildirs;
    char text[4000];
    char remarks[400];
};

/* One line an outcome: "kind code status command reason? blast remote?". */
static void on_outcomes(void *ctx, const struct job *job, const struct outcome *outcomes,
                        size_t count) {
    static const char *const kinds[] = { "delivered", "relayed", "deferred", "failed", "expanded" };
    static const char *const blasts[] = { "recipient", "message", "session" };
    struct world *w = ctx;
    struct buf b = buf_fixed(w->text, sizeof w->text);
    assert_int_equal(count, job->count);
    for (size_t i = 0; i < count; i++) {
        const struct outcome *o = &outcomes[i];
        char status[12];
        status_format(o->status, status);
        assert_int_equal(o->recipient, job->recipients[i]);
        buf_printf(&b, "%s%s %d %s %s %s%s%s%s%s", i ? "; " : "", kinds[o->kind], o->code, status,
                   o->command, blasts[o->blast], o->reason ? " " : "", o->reason ? o->reason : "",
                   o->alarm ? " alarm" : "", o->uncertain ? " uncertain" : "");
    }
    buf_text(&b);
    struct buf r = buf_fixed(w->remarks, sizeof w->remarks);
    buf_add(&r, bytes_first(outcomes[0].reply, 300));
    buf_text(&r);
    w->tls_text = arena_copy(w->arena, outcomes[0].tls);
    w->jobs_done++;
}

static void on_maildir(void *ctx, const struct job *job, uint32_t recipient) {
    struct world *w = ctx;
    struct why why;
    enum rc rc = why_set(&why, recipient ? TEMP : OK, 452, "4.3.1", "mailbox.full-disk", "full");
    w->maildirs++;
    deliver_maildir_done(w->deliver, job, recipient, rc, &why);
}

static void open_deliver(struct world *w) {
    w->setup = (struct deliver_setup){ .loop = w->loop,
                                       .dns = &w->dns.dns,
                                       .counters = w->counters,
                                       .tls = w->tls,
                                       .maildir = on_maildir,
                                       .ctx = w,
                                       .on_outcomes = on_outcomes,
                                       .own_addresses = &w->own,
                                       .own_address_count = w->own.family != 0 };
    w->deliver = deliver_open(&w->setup, &w->config);
}

static int set_up(void **state) {
    struct world *w = calloc(1, sizeof *w);
    w->loop = loop_open();
    w->arena = arena_open();
    table_open(&w->dns, w->loop, rows, COUNT_OF(rows));
    w->counters = counters_local();
    peer_open(&w->peer, w->loop);
    w->config.hostname = B("mail.proseware.com");
    w->vias[0] = (struct via){ .host = B("smart.example"), .port = w->peer.address.port };
    w->route = (struct route){
        .name = B("r"), .via_count = 1, .via = w->vias, .tls = TLS_POLICY_OFF, .max_connections = 20
    };
    w->config.routes = &w->route;
    w->config.route_count = 1;
    open_deliver(w);
    *state = w;
    return 0;
}

static int tear_down(void **state) {
    struct world *w = *state;
    deliver_close(&w->deliver);
    assert_int_equal(counters_open(w->counters, B("hop/route:r")), 0);
    peer_close(&w->peer);
    counters_close(&w->counters);
    tls_client_close(&w->tls);
    tls_server_close(&w->peer.tls);
    loop_close(&w->loop);
    arena_close(&w->arena);
    free(w);
    return 0;
}

static void reopen(struct world *w) {
    deliver_close(&w->deliver);
    open_deliver(w);
}

/* --- jobs --------------------------------------------------------------------------------------- */

struct order {
    struct envelope envelope;
    struct recipient recipients[250];
    char names[250][40];
    uint32_t indices[250];
    struct job job;
};

static const char content[] = "Subject: x\r\n\r\n.hello\r\n";

static struct order *order(const char *next_hop, size_t count) {
    struct order *o = calloc(1, sizeof *o);
    o->envelope = (struct envelope){ .sender = B("a@proseware.com"),
                                     .flags = ENVELOPE_LOOKED,
                                     .recipients = o->recipients,
                                     .count = count };
    for (size_t i = 0; i < count; i++) {
        snprintf(o->names[i], sizeof o->names[i], "r%zu@adatum.com", i);
        o->recipients[i].final = o->recipients[i].original = bytes_str(o->names[i]);
        o->indices[i] = (uint32_t)i;
    }
    o->job = (struct job){ .envelope = &o->envelope,
                           .recipients = o->indices,
                           .count = count,
                           .attempt = 1,
                           .next_hop = bytes_str(next_hop),
                           .content = { .size = sizeof content - 1,
                                        .memory = bytes_of(content, sizeof content - 1) } };
    return o;
}

static void stop(void *ctx) {
    loop_stop(ctx);
}

static void give_up(void *ctx) {
    (void)ctx;
    fail_msg("no outcome within 10 s");
}

/* Runs until this many jobs in all are done. */
static void run(struct world *w, unsigned jobs) {
    struct timer turn = { 0 }, late = { 0 };
    timer_set(w->loop, &late, 10000, give_up, w);
    while (w->jobs_done < jobs) {
        timer_set(w->loop, &turn, 1, stop, w->loop);
        loop_run(w->loop);
    }
    timer_clear(&turn);
    timer_clear(&late);
}

static void carry(struct world *w, struct order *o) {
    deliver_begin(w->deliver, &o->job);
    run(w, w->jobs_done + 1);
    free(o);
}

static bool said(const struct world *w, const char *line) {
    return bytes_search(buf_bytes(&w->peer.log), bytes_str(line)) >= 0;
}

static void rule(struct world *w, const char *prefix, const char *reply, unsigned times) {
    size_t i = 0;
    while (w->peer.rules[i].prefix)
        i++;
    w->peer.rules[i] = (struct peer_rule){ prefix, reply, times };
}

/* --- one message ---------------------------------------------------------------------------------- */

static void relays(void **state) {
    struct world *w = *state;
    struct order *o = order("route:r", 1);
    o->envelope.envid = B("id");
    o->recipients[0].notify = NOTIFY_SUCCESS;
    carry(w, o);
    assert_string_equal(w->text, "relayed 250 2.0.0 end of data message");
    assert_true(said(w, "EHLO mail.proseware.com"));
    assert_true(said(w, "MAIL FROM:<a@proseware.com> ENVID=id"));
    assert_true(said(w, "RCPT TO:<r0@adatum.com> NOTIFY=SUCCESS"));
    buf_text(&w->peer.data);
    assert_string_equal(w->peer.data.at, "Subject: x\n\n..hello\n");
}

static void next_hops_of_all_kinds(void **state) {
    struct world *w = *state;
    char hop[64];
    snprintf(hop, sizeof hop, "smtp:127.0.0.1:%u", w->peer.address.port);
    carry(w, order(hop, 1));
    assert_string_equal(w->text, "relayed 250 2.0.0 end of data message");
    snprintf(hop, sizeof hop, "lmtp:localhost:%u", w->peer.address.port);
    carry(w, order(hop, 2));
    assert_string_equal(w->text, "delivered 250 2.0.0 end of data recipient; "
                                 "delivered 250 2.0.0 end of data recipient");
    assert_true(said(w, "LHLO "));
    carry(w, order("maildir:proseware.com", 2));
    assert_string_equal(w->text, "delivered 0 2.0.0 write recipient; deferred 0 4.3.1 write "
                                 "recipient mailbox.full-disk alarm");
    carry(w, order("route:gone", 1));
    assert_string_equal(w->text, "deferred 0 4.3.5 connect session config.next-hop alarm");
    carry(w, order("smtp:127.0.0.1:99999", 1));
    assert_string_equal(w->text, "deferred 0 4.3.5 connect session config.next-hop alarm");
}

static void lmtp_answers_each(void **state) {
    struct world *w = *state;
    char hop[64];
    rule(w, ".", "452 4.2.2 over quota\r\n", 1);
    snprintf(hop, sizeof hop, "lmtp:127.0.0.1:%u", w->peer.address.port);
    carry(w, order(hop, 2));
    assert_string_equal(w->text, "deferred 452 4.2.2 end of data recipient; "
                                 "delivered 250 2.0.0 end of data recipient");
}

static void lmtp_over_a_unix_socket(void **state) {
    struct world *w = *state;
    struct peer lmtp;
    char path[64], hop[80];
    snprintf(path, sizeof path, "/tmp/postern-lmtp-%d.sock", (int)getpid());
    snprintf(hop, sizeof hop, "lmtp:unix:%s", path);
    peer_open_unix(&lmtp, w->loop, path);
    carry(w, order(hop, 1));
    assert_string_equal(w->text, "delivered 250 2.0.0 end of data recipient");
    reopen(w);
    unlink(path);
    carry(w, order(hop, 1));
    assert_non_null(strstr(w->text, "deferred 0 4.4.1 connect session"));
    peer_close(&lmtp);
}

/* --- blast radius ---------------------------------------------------------------------------------- */

static void what_replies_mean(void **state) {
    static const struct {
        const char *prefix, *reply, *expect;
    } cases[] = {
        { "banner", "554 5.7.1 go away\r\n", "deferred 554 5.7.1 banner session alarm" },
        { "banner", "421 4.3.2 busy\r\n", "deferred 421 4.3.2 banner session alarm" },
        { "banner", "220 mail.proseware.com ESMTP\r\n",
          "failed 554 5.4.6 banner session loop.greeting alarm" },
        { "banner", "!", "deferred 0 4.4.2 banner session deliver.closed alarm" },
        { "banner", "hello\r\n", "deferred 0 4.5.0 banner session deliver.protocol alarm" },
        { "EHLO", "521 5.3.2 no mail\r\n", "deferred 521 5.3.2 EHLO session alarm" },
        { "MAIL", "550 5.7.1 not you\r\n", "failed 550 5.7.1 MAIL message" },
        { "MAIL", "451 4.3.0 later\r\n", "deferred 451 4.3.0 MAIL message" },
        { "MAIL", "421 4.3.2 busy\r\n", "deferred 421 4.3.2 MAIL session alarm" },
        { "MAIL", "!", "deferred 0 4.4.2 MAIL session deliver.closed alarm" },
        { "RCPT", "550 unknown\r\n", "failed 550 5.0.0 RCPT recipient" },
        { "RCPT", "450 4.2.0 greylisted\r\n", "deferred 450 4.2.0 RCPT recipient" },
        { "RCPT", "421 4.3.2 busy\r\n", "deferred 421 4.3.2 RCPT session alarm" },
        { "RCPT", "552 5.5.3 too many recipients\r\n", "deferred 552 5.5.3 RCPT recipient" },
        { "RCPT", "552 5.2.2 mailbox full\r\n", "failed 552 5.2.2 RCPT recipient" },
        { "DATA", "554 5.6.0 no\r\n", "failed 554 5.6.0 DATA message" },
        { "DATA", "!", "deferred 0 4.4.2 MAIL session deliver.closed alarm" },
        { ".", "550 5.7.1 spam\r\n", "failed 550 5.7.1 end of data message" },
        { ".", "451 4.3.0 later\r\n", "deferred 451 4.3.0 end of data message" },
        { ".", "421 4.3.2 busy\r\n", "deferred 421 4.3.2 end of data message" },
        { ".", "!", "deferred 0 4.4.2 end of data session deliver.closed uncertain" },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        if (i && (tear_down(state), set_up(state)))
            fail();
        struct world *w = *state;
        rule(w, cases[i].prefix, cases[i].reply, 0);
        carry(w, order("route:r", 1));
        assert_string_equal(w->text, cases[i].expect);
    }
}

static void the_same_without_pipelining(void **state) {
    struct world *w = *state;
    w->peer.hello = "250 peer.example\r\n";
    rule(w, "RCPT TO:<r1@", "550 5.1.1 unknown\r\n", 0);
    carry(w, order("route:r", 3));
    assert_string_equal(w->text, "relayed 250 2.0.0 end of data message; "
                                 "failed 550 5.1.1 RCPT recipient; "
                                 "relayed 250 2.0.0 end of data message");
}

static void one_recipient_of_three(void **state) {
    struct world *w = *state;
    rule(w, "RCPT TO:<r1@", "550 5.1.1 unknown\r\n", 0);
    carry(w, order("route:r", 3));
    assert_string_equal(w->text, "relayed 250 2.0.0 end of data message; "
                                 "failed 550 5.1.1 RCPT recipient; "
                                 "relayed 250 2.0.0 end of data message");
}

/* --- the next host ----------------------------------------------------------------------------------- */

static void the_next_one_is_tried(void **state) {
    struct world *w = *state;
    w->route.via_count = 2;
    w->vias[1] = w->vias[0];
    reopen(w);
    rule(w, "banner", "554 5.7.1 go away\r\n", 1);
    carry(w, order("route:r", 1));
    assert_string_equal(w->text, "relayed 250 2.0.0 end of data message");
    assert_int_equal(w->peer.connections, 2);
}

/* Refused before the transaction was over; nothing may be lost of what others said. */
static void the_next_one_gets_the_rest(void **state) {
    struct world *w = *state;
    w->route.via_count = 2;
    w->vias[1] = w->vias[0];
    reopen(w);
    rule(w, "RCPT TO:<r0@", "550 5.1.1 unknown\r\n", 1);
    rule(w, "DATA", "421 4.3.2 going down\r\n", 1);
    carry(w, order("route:r", 2));
    assert_string_equal(w->text, "failed 550 5.1.1 RCPT recipient; "
                                 "relayed 250 2.0.0 end of data message");
}

static void nobody_is_there(void **state) {
    struct world *w = *state;
    peer_stop(&w->peer);
    w->vias[0].mx = true;
    w->vias[0].host = B("two.example");
    reopen(w);
    carry(w, order("route:r", 1));
    assert_string_equal(w->text, "deferred 0 4.4.1 connect session connect.refused alarm");
    assert_non_null(strstr(w->remarks, "dead.example [127.0.0.2]: "));
    assert_non_null(strstr(w->remarks, "smart.example [127.0.0.1]: "));
}

static void the_second_mx(void **state) {
    struct world *w = *state;
    w->vias[0].mx = true;
    w->vias[0].host = B("two.example");
    reopen(w);
    carry(w, order("route:r", 1));
    assert_string_equal(w->text, "relayed 250 2.0.0 end of data message");
}

/* --- the DNS and loops --------------------------------------------------------------------------------- */

static void names(void **state) {
    struct world *w = *state;
    carry(w, order("mx:late.example", 1));
    assert_string_equal(w->text, "deferred 0 4.4.3 DNS session dns.failed");
    carry(w, order("mx:null.example", 1));
    assert_string_equal(w->text, "failed 556 5.1.10 DNS session dns.null-mx");
    carry(w, order("mx:nowhere.example", 1));
    assert_string_equal(w->text, "failed 550 5.1.2 DNS session dns.no-domain");
    w->vias[0].host = B("nowhere.example");
    reopen(w);
    carry(w, order("route:r", 1));
    assert_string_equal(w->text, "deferred 0 4.4.4 DNS session dns.no-host alarm");
}

static void loops(void **state) {
    struct world *w = *state;
    assert_true(addr_parse_port(B("192.0.2.1:25"), &w->own));
    reopen(w);
    carry(w, order("mx:ours.example", 1));
    assert_string_equal(w->text, "failed 554 5.4.6 DNS session loop.best-mx");
    carry(w, order("mx:named.example", 1));
    assert_string_equal(w->text, "failed 554 5.4.6 DNS session loop.best-mx");
    w->own = w->peer.address;
    reopen(w);
    carry(w, order("route:r", 1));
    assert_string_equal(w->text, "failed 554 5.4.6 DNS session loop.via alarm");
    assert_int_equal(w->peer.connections, 0);
}

/* --- connections kept -------------------------------------------------------------------------------------- */

static void connections_are_used_again(void **state) {
    struct world *w = *state;
    for (int i = 0; i < 3; i++) {
        carry(w, order("route:r", 1));
        assert_string_equal(w->text, "relayed 250 2.0.0 end of data message");
    }
    assert_int_equal(w->peer.connections, 1);
    assert_int_equal(w->peer.messages, 3);
}

static void a_dead_one_is_no_attempt(void **state) {
    static const char *const ways[] = { "!", "421 4.4.2 idle too long\r\n" };
    for (size_t i = 0; i < COUNT_OF(ways); i++) {
        if (i && (tear_down(state), set_up(state)))
            fail();
        struct world *w = *state;
        carry(w, order("route:r", 1));
        rule(w, "MAIL", ways[i], 1);
        carry(w, order("route:r", 1));
        assert_string_equal(w->text, "relayed 250 2.0.0 end of data message");
        assert_int_equal(w->peer.connections, 2);
    }
}

static void a_reload_closes_them(void **state) {
    struct world *w = *state;
    carry(w, order("route:r", 1));
    deliver_reload(w->deliver, &w->config);
    carry(w, order("route:r", 1));
    assert_int_equal(w->peer.connections, 2);
    assert_true(said(w, "QUIT"));
}

static void no_more_than_allowed(void **state) {
    struct world *w = *state;
    struct order *o[6];
    w->route.max_connections = 2;
    reopen(w);
    for (size_t i = 0; i < COUNT_OF(o); i++) {
        o[i] = order("route:r", 1);
        deliver_begin(w->deliver, &o[i]->job);
    }
    run(w, COUNT_OF(o));
    assert_int_equal(w->peer.connections, 2);
    assert_int_equal(w->peer.messages, COUNT_OF(o));
    for (size_t i = 0; i < COUNT_OF(o); i++)
        free(o[i]);
}

/* A rate that has room again soon is waited for. */
static void short_rates(void **state) {
    struct world *w = *state;
    struct rate one = { 1, 200 };
    w->route.rate = (struct rates){ 1, &one };
    reopen(w);
    for (int i = 0; i < 3; i++) {
        carry(w, order("route:r", 1));
        assert_string_equal(w->text, "relayed 250 2.0.0 end of data message");
    }
}

static void rates(void **state) {
    struct world *w = *state;
    struct rate two = { 2, 3600000 };
    w->route.rate = (struct rates){ 1, &two };
    reopen(w);
    carry(w, order("route:r", 1));
    carry(w, order("route:r", 1));
    assert_string_equal(w->text, "relayed 250 2.0.0 end of data message");
    carry(w, order("route:r", 1));
    assert_string_equal(w->text, "deferred 0 4.4.5 connect session limit.route-rate");
}

/* --- many recipients ---------------------------------------------------------------------------------------- */

static unsigned count_lines(const struct world *w, const char *line) {
    unsigned n = 0;
    struct bytes rest = buf_bytes(&w->peer.log), each;
    while (bytes_split(&rest, '\n', &each))
        n += bytes_starts(each, bytes_str(line));
    return n;
}

static void in_groups(void **state) {
    struct world *w = *state;
    carry(w, order("route:r", 250));
    assert_int_equal(count_lines(w, "MAIL"), 3);
    assert_int_equal(count_lines(w, "RCPT"), 250);
    assert_null(strstr(w->text, "deferred"));
    assert_int_equal(w->peer.connections, 1);
}

static void the_server_names_its_number(void **state) {
    struct world *w = *state;
    w->peer.hello = "250-peer.example\r\n250 LIMITS RCPTMAX=2\r\n";
    carry(w, order("route:r", 5));
    assert_int_equal(count_lines(w, "MAIL"), 3);
}

static void too_many_go_next_time(void **state) {
    static const char *const ways[] = { "452 4.5.3 too many\r\n", "552 5.5.3 too many\r\n",
                                        "452 try again\r\n", "552 Too many recipients\r\n" };
    for (size_t i = 0; i < COUNT_OF(ways); i++) {
        if (i && (tear_down(state), set_up(state)))
            fail();
        struct world *w = *state;
        rule(w, "RCPT TO:<r2@", ways[i], 1);
        rule(w, "RCPT TO:<r3@", ways[i], 1);
        carry(w, order("route:r", 4));
        assert_int_equal(count_lines(w, "MAIL"), 2);
        assert_null(strstr(w->text, "deferred"));
        assert_null(strstr(w->text, "failed"));
        assert_int_equal(w->peer.messages, 2);
    }
}

/* The answers are told when they are had: clearing the transaction is the connection's own business. */
static void reports_before_reset(void **state) {
    struct world *w = *state;
    rule(w, "RCPT", "550 5.1.1 no\r\n", 0);
    rule(w, "RSET", "", 1); /* not answered */
    int64_t before = loop_now(w->loop);
    carry(w, order("route:r", 2));
    assert_non_null(strstr(w->text, "failed 550 5.1.1 RCPT recipient"));
    assert_true(loop_now(w->loop) - before < 5000);
    carry(w, order("route:r", 1)); /* on another connection */
    assert_non_null(strstr(w->text, "failed 550 5.1.1 RCPT recipient"));
    assert_int_equal(w->peer.messages, 0);
}

/* --- what cannot go ------------------------------------------------------------------------------------------- */

static void too_large(void **state) {
    struct world *w = *state;
    w->peer.hello = "250-peer.example\r\n250 SIZE 10\r\n";
    carry(w, order("route:r", 1));
    assert_string_equal(w->text, "failed 0 5.3.4 EHLO message size.next-hop");
    assert_false(said(w, "MAIL"));
}

static void utf8(void **state) {
    struct world *w = *state;
    struct order *o = order("route:r", 2);
    o->recipients[1].final = B("j\xc3\xbcrgen@adatum.com");
    carry(w, o);
    assert_string_equal(w->text, "relayed 250 2.0.0 end of data message; "
                                 "failed 0 5.6.7 EHLO message utf8.next-hop");
    w->peer.hello = "250-peer.example\r\n250 SMTPUTF8\r\n";
    reopen(w);
    o = order("route:r", 1);
    o->recipients[0].final = B("j\xc3\xbcrgen@adatum.com");
    carry(w, o);
    assert_string_equal(w->text, "relayed 250 2.0.0 end of data message");
    assert_true(said(w, "MAIL FROM:<a@proseware.com> SMTPUTF8"));
    w->peer.hello = "250 peer.example\r\n";
    reopen(w);
    o = order("route:r", 1);
    o->envelope.flags = ENVELOPE_LOOKED | ENVELOPE_UTF8; /* asked for, and not needed */
    carry(w, o);
    assert_string_equal(w->text, "relayed 250 2.0.0 end of data message");
    o = order("route:r", 1);
    o->envelope.flags = ENVELOPE_UTF8; /* the same, from a spool of before it was noted */
    carry(w, o);
    assert_string_equal(w->text, "relayed 250 2.0.0 end of data message");
    o = order("route:r", 1);
    o->envelope.sender = B("j\xc3\xbcrgen@proseware.com");
    carry(w, o);
    assert_string_equal(w->text, "failed 0 5.6.7 EHLO message utf8.next-hop");
}

/* --- TLS and login ---------------------------------------------------------------------------------------------- */

static void policies(void **state) {
    struct world *w = *state;
    w->route.tls = TLS_POLICY_VERIFY;
    reopen(w);
    carry(w, order("route:r", 1));
    assert_string_equal(w->text, "deferred 0 4.7.4 STARTTLS session tls.not-offered alarm");
    w->route.tls = TLS_POLICY_OFF;
    w->route.has_login = true;
    w->route.login_user = w->route.login_password = B("x");
    reopen(w);
    carry(w, order("route:r", 1));
    assert_string_equal(w->text, "deferred 0 4.7.0 connect session config.login-without-tls alarm");
    assert_false(said(w, "AUTH"));
}

/* A server with a certificate nobody vouches for, and a client that knows the system's roots. */
static void speak_tls(struct world *w, const char *name) {
    struct tls_pair pair = { 0 };
    w->peer.hello = "250-peer.example\r\n250-PIPELINING\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n";
    assert_int_equal(tls_make_pair(bytes_str(name), loop_wall(w->loop), w->arena, &pair.chain_pem,
                                   &pair.key_pem, NULL),
                     OK);
    assert_int_equal(tls_server_open(&pair, 1, 12, BYTES_NONE, &w->peer.tls, NULL), OK);
    assert_int_equal(tls_client_open(pair.chain_pem, &w->tls, NULL), OK);
    w->certificate = pair.chain_pem;
}

static void opportunistic(void **state) {
    struct world *w = *state;
    speak_tls(w, "other.example"); /* the name is wrong, and nobody asks */
    w->route.tls = TLS_POLICY_OPPORTUNISTIC;
    reopen(w);
    carry(w, order("route:r", 1));
    assert_string_equal(w->text, "relayed 250 2.0.0 end of data message");
    assert_true(bytes_starts(w->tls_text, B("TLSv1.3 TLS_")));
    assert_true(bytes_ends_nocase(w->tls_text, B(" unverified")));
}

static void opportunistic_falls_back(void **state) {
    struct world *w = *state;
    speak_tls(w, "smart.example");
    tls_server_close(&w->peer.tls);
    w->route.tls = TLS_POLICY_OPPORTUNISTIC;
    reopen(w);
    carry(w, order("route:r", 1));
    assert_string_equal(w->text, "relayed 250 2.0.0 end of data message");
    assert_int_equal(w->peer.connections, 2);
    assert_int_equal(w->tls_text.len, 0);
}

static void opportunistic_refused(void **state) {
    struct world *w = *state;
    speak_tls(w, "smart.example");
    rule(w, "STARTTLS", "454 4.7.0 not now\r\n", 0);
    w->route.tls = TLS_POLICY_OPPORTUNISTIC;
    reopen(w);
    carry(w, order("route:r", 1));
    assert_string_equal(w->text, "relayed 250 2.0.0 end of data message");
    assert_int_equal(w->peer.connections, 1);
    w->route.tls = TLS_POLICY_REQUIRE;
    reopen(w);
    carry(w, order("route:r", 1));
    assert_string_equal(w->text, "deferred 454 4.7.0 STARTTLS session alarm");
}

static void verified_or_not_at_all(void **state) {
    struct world *w = *state;
    speak_tls(w, "smart.example");
    w->route.tls = TLS_POLICY_VERIFY;
    reopen(w);
    carry(w, order("route:r", 1));
    assert_string_equal(w->text, "relayed 250 2.0.0 end of data message");
    assert_true(bytes_ends_nocase(w->tls_text, B(" verified")));
    w->vias[0].host = B("127.0.0.1"); /* not the name it bears */
    reopen(w);
    carry(w, order("route:r", 1));
    assert_string_equal(w->text, "deferred 0 4.7.5 STARTTLS session tls.handshake alarm");
    w->route.tls = TLS_POLICY_REQUIRE;
    reopen(w);
    carry(w, order("route:r", 1));
    assert_string_equal(w->text, "relayed 250 2.0.0 end of data message");
}

static void a_route_has_its_own_roots(void **state) {
    struct world *w = *state;
    speak_tls(w, "smart.example");
    tls_client_close(&w->tls);
    assert_int_equal(tls_client_open(BYTES_NONE, &w->tls, NULL), OK);
    w->route.tls = TLS_POLICY_VERIFY;
    reopen(w);
    carry(w, order("route:r", 1));
    assert_string_equal(w->text, "deferred 0 4.7.5 STARTTLS session tls.handshake alarm");
    w->route.ca_file = w->certificate;
    reopen(w);
    carry(w, order("route:r", 1));
    assert_string_equal(w->text, "relayed 250 2.0.0 end of data message");
    w->route.ca_file = B("/nowhere/ca.pem");
    reopen(w);
    carry(w, order("route:r", 1));
    assert_string_equal(w->text, "deferred 0 4.3.5 connect session config.next-hop alarm");
}

static void logins(void **state) {
    struct world *w = *state;
    speak_tls(w, "smart.example");
    w->route.tls = TLS_POLICY_VERIFY;
    w->route.has_login = true;
    w->route.login_user = B("user");
    w->route.login_password = B("secret");
    reopen(w);
    rule(w, "AUTH PLAIN AHVzZXIAc2VjcmV0", "235 2.7.0 welcome\r\n", 1);
    carry(w, order("route:r", 1));
    assert_string_equal(w->text, "relayed 250 2.0.0 end of data message");
    rule(w, "AUTH", "535 5.7.8 wrong\r\n", 0);
    reopen(w);
    carry(w, order("route:r", 1));
    assert_string_equal(w->text, "deferred 535 5.7.8 AUTH session auth.smarthost alarm");
    w->peer.hello = "250-peer.example\r\n250 STARTTLS\r\n";
    reopen(w);
    carry(w, order("route:r", 1));
    assert_string_equal(w->text, "deferred 0 4.5.4 AUTH session auth.mechanism alarm");
}

/* --- content in pieces -------------------------------------------------------------------------------------------- */

enum { BIG = 1000 * 1000 };
struct source {
    struct loop *loop;
    struct timer timer;
    char *text;
    struct bytes piece;
    uint64_t fails_at;
    unsigned reads;
    void (*on_read)(void *arg, enum rc rc, struct bytes data, const struct why *why);
    void *arg;
};

static void give(void *ctx) {
    struct source *s = ctx;
    struct why why;
    s->reads++;
    if (s->fails_at && s->piece.at + s->piece.len > s->text + s->fails_at)
        s->on_read(s->arg, why_backend(&why, "backend.spool", "a bad block"), BYTES_NONE, &why);
    else
        s->on_read(s->arg, OK, s->piece, NULL);
}

static void read_piece(void *ctx, uint64_t offset, size_t size,
                       void (*on_read)(void *arg, enum rc rc, struct bytes data,
                                       const struct why *why),
                       void *arg) {
    struct source *s = ctx;
    assert_true(size <= 128 * 1024);
    s->piece = bytes_slice(bytes_of(s->text, BIG), (size_t)offset, (size_t)offset + size);
    s->on_read = on_read;
    s->arg = arg;
    timer_set(s->loop, &s->timer, 0, give, s);
}

static void make_source(struct world *w, struct source *s) {
    *s = (struct source){ .loop = w->loop, .text = malloc(BIG) };
    for (size_t i = 0; i < BIG; i++)
        s->text[i] = i % 50 == 48 ? '\r' : i % 50 == 49 ? '\n' : (char)('a' + i / 50 % 26);
}

static struct order *big_order(struct source *s) {
    struct order *o = order("route:r", 1);
    o->job.content = (struct content){ .size = BIG, .read = read_piece, .ctx = s };
    return o;
}

static void large_content(void **state) {
    struct world *w = *state;
    struct source s;
    make_source(w, &s);
    carry(w, big_order(&s));
    assert_string_equal(w->text, "relayed 250 2.0.0 end of data message");
    assert_int_equal(w->peer.data.len, BIG / 50 * 49);
    assert_int_equal(s.reads, (BIG + 128 * 1024 - 1) / (128 * 1024));
    free(s.text);
}

static void damaged_content_is_never_sent_short(void **state) {
    struct world *w = *state;
    struct source s;
    make_source(w, &s);
    s.fails_at = BIG / 2;
    carry(w, big_order(&s));
    assert_string_equal(w->text, "deferred 0 4.3.0 DATA session backend.spool alarm");
    assert_int_equal(w->peer.messages, 0);
    free(s.text);
}

/* What nobody has looked at is looked at, once, where it matters. */
static void unknown_content(void **state) {
    struct world *w = *state;
    struct source s;
    make_source(w, &s);
    struct order *o = big_order(&s);
    o->envelope.flags = 0;
    carry(w, o);
    assert_string_equal(w->text, "relayed 250 2.0.0 end of data message");
    assert_int_equal(s.reads, 2 * ((BIG + 128 * 1024 - 1) / (128 * 1024)));
    w->peer.hello = "250-peer.example\r\n250 8BITMIME\r\n";
    reopen(w);
    s.reads = 0;
    o = big_order(&s);
    o->envelope.flags = 0;
    carry(w, o);
    assert_string_equal(w->text, "relayed 250 2.0.0 end of data message");
    assert_int_equal(s.reads, (BIG + 128 * 1024 - 1) / (128 * 1024));
    free(s.text);
}

static struct order *eightbit_order(struct source *s, size_t count) {
    struct order *o = order("route:r", count);
    o->job.content = (struct content){ .size = BIG, .read = read_piece, .ctx = s };
    o->envelope.flags = ENVELOPE_LOOKED | ENVELOPE_FOUND_8BIT;
    memcpy(s->text, "Subject: x\r\n\r\n", 14);
    s->text[BIG - 100] = (char)0xfc;
    return o;
}

static void eightbit_content(void **state) {
    struct world *w = *state;
    struct source s;
    make_source(w, &s);
    carry(w, eightbit_order(&s, 2));
    assert_non_null(strstr(w->text, "relayed 250 2.0.0 end of data message"));
    assert_int_equal(w->peer.messages, 1);
    assert_true(bytes_is_ascii(buf_bytes(&w->peer.data)));
    assert_true(bytes_search(buf_bytes(&w->peer.data), B("quoted-printable")) > 0);
    assert_false(said(w, "BODY="));
    w->peer.hello = "250-peer.example\r\n250 8BITMIME\r\n";
    reopen(w);
    carry(w, eightbit_order(&s, 1));
    assert_true(said(w, "BODY=8BITMIME"));
    assert_false(bytes_is_ascii(buf_bytes(&w->peer.data)));
    free(s.text);
}

static void damaged_while_looked_at(void **state) {
    struct world *w = *state;
    struct source s;
    make_source(w, &s);
    s.fails_at = BIG / 2;
    carry(w, eightbit_order(&s, 1));
    assert_string_equal(w->text, "deferred 0 4.3.0 DATA session backend.spool alarm");
    assert_false(said(w, "MAIL"));
    free(s.text);
}

static void obstacle(void **state) {
    struct world *w = *state;
    static const char text[] =
        "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n\xfc\r\n";
    struct order *o = order("route:r", 2);
    o->envelope.flags = ENVELOPE_LOOKED | ENVELOPE_FOUND_8BIT;
    o->job.content =
        (struct content){ .size = sizeof text - 1, .memory = bytes_of(text, sizeof text - 1) };
    carry(w, o);
    assert_string_equal(w->text, "failed 0 5.6.3 EHLO message eightbit.next-hop; "
                                 "failed 0 5.6.3 EHLO message eightbit.next-hop");
    assert_false(said(w, "MAIL"));
}

/* --- whatever a server says ---------------------------------------------------------------------
 */

static uint32_t next_number(uint32_t *seed) {
    return (*seed = *seed * 1664525u + 1013904223u) >> 16;
}

static void random_rules(struct world *w, uint32_t *seed) {
    static const char *const prefixes[] = { "banner", "EHLO", "MAIL", "RCPT", "RCPT TO:<r1@",
                                            "DATA",   ".",    "RSET", "QUIT" };
    static const char *const replies[] = {
        "250 2.0.0 ok\r\n",
        "354 go on\r\n",
        "421 4.3.2 bye\r\n",
        "450 4.2.0 later\r\n",
        "550 5.1.1 no\r\n",
        "552 5.5.3 too many\r\n",
        "452 4.5.3 too many\r\n",
        "!",
        "what?\r\n",
        "999 x\r\n",
        "250-a\r\n250 b\r\n",
        "250 a\r\n250 b\r\n",
        "221 2.0.0 closing\r\n",
        "150 wait\r\n",
        "250\n",
    };
    memset(w->peer.rules, 0, sizeof w->peer.rules);
    memset(w->peer.used, 0, sizeof w->peer.used);
    for (uint32_t n = 1 + next_number(seed) % 4; n; n--)
        rule(w, prefixes[next_number(seed) % COUNT_OF(prefixes)],
             replies[next_number(seed) % COUNT_OF(replies)], next_number(seed) % 3);
}

/* One outcome a recipient, and never "relayed" without a server that took it. */
static void whatever_it_says(void **state) {
    uint32_t seed = 7;
    for (int i = 0; i < 400; i++) {
        if (i && (tear_down(state), set_up(state)))
            fail();
        struct world *w = *state;
        w->route.via_count = 2;
        w->vias[1] = w->vias[0];
        if (i % 3 == 0)
            w->peer.hello = "250 peer.example\r\n";
        reopen(w);
        for (int j = 0; j < 3; j++) { /* over connections that were kept, too */
            unsigned before = w->peer.messages;
            random_rules(w, &seed);
            carry(w, order("route:r", 3));
            if (strstr(w->text, "relayed"))
                assert_true(w->peer.messages > before);
        }
    }
}

/* --- stopping ------------------------------------------------------------------------------------------------------- */

static void set_flag(void *ctx) {
    *(bool *)ctx = true;
}

static void draining(void **state) {
    struct world *w = *state;
    bool idle = false;
    struct order *o = order("route:r", 1);
    rule(w, "EHLO", "", 0); /* never answered */
    deliver_begin(w->deliver, &o->job);
    deliver_drain(w->deliver, 50, set_flag, &idle);
    run(w, 1);
    assert_string_equal(w->text, "deferred 0 4.3.2 connect session deliver.stopping");
    carry(w, order("route:r", 1));
    assert_string_equal(w->text, "deferred 0 4.3.2 connect session deliver.stopping");
    run(w, 2);
    assert_true(idle);
    free(o);
}

static void closing_in_the_midst(void **state) {
    struct world *w = *state;
    struct order *o = order("route:r", 1), *p = order("mx:two.example", 1);
    rule(w, "EHLO", "", 0);
    deliver_begin(w->deliver, &o->job);
    deliver_begin(w->deliver, &p->job);
    deliver_close(&w->deliver);
    assert_int_equal(w->jobs_done, 0);
    assert_int_equal(w->dns.questions.count, 0);
    free(o);
    free(p);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(relays),
        TEST(next_hops_of_all_kinds),
        TEST(lmtp_answers_each),
        TEST(lmtp_over_a_unix_socket),
        TEST(what_replies_mean),
        TEST(the_same_without_pipelining),
        TEST(one_recipient_of_three),
        TEST(the_next_one_is_tried),
        TEST(the_next_one_gets_the_rest),
        TEST(nobody_is_there),
        TEST(the_second_mx),
        TEST(names),
        TEST(loops),
        TEST(connections_are_used_again),
        TEST(a_dead_one_is_no_attempt),
        TEST(a_reload_closes_them),
        TEST(no_more_than_allowed),
        TEST(rates),
        TEST(short_rates),
        TEST(in_groups),
        TEST(the_server_names_its_number),
        TEST(too_many_go_next_time),
        TEST(reports_before_reset),
        TEST(too_large),
        TEST(utf8),
        TEST(policies),
        TEST(opportunistic),
        TEST(opportunistic_falls_back),
        TEST(opportunistic_refused),
        TEST(verified_or_not_at_all),
        TEST(a_route_has_its_own_roots),
        TEST(logins),
        TEST(large_content),
        TEST(damaged_content_is_never_sent_short),
        TEST(unknown_content),
        TEST(eightbit_content),
        TEST(damaged_while_looked_at),
        TEST(obstacle),
        TEST(whatever_it_says),
        TEST(draining),
        TEST(closing_in_the_midst),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
