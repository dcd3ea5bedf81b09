/* The resolver against a name server of the test's own, and a worker's way to it: one loop carries
 * all three, libunbound's thread aside. */
#include "base/must.h"
#include "dns/dns.h"
#include "sys/sockets.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* --- a name server ----------------------------------------------------------------------------- */

struct server {
    int fd;
    uint16_t port;
    struct watch *watch;
    unsigned questions;
};

static const struct {
    const char *name;
    unsigned type;
    const char *data; /* as on the wire */
    size_t len;
} zone[] = {
#define DATA(text) text, sizeof(text) - 1
    { "example.com", DNS_MX, DATA("\0\12\4Mail\7example\3com\0") },
    { "example.com", DNS_TXT, DATA("\6v=spf1\5 -all") },
    { "mail.example.com", DNS_A, DATA("\300\0\2\1") },
    { "mail.example.com", DNS_AAAA, DATA("\40\1\15\270\0\0\0\0\0\0\0\0\0\0\0\1") },
    { "null.example", DNS_MX, DATA("\0\0\0") },
    { "www.example.com", 5, DATA("\4mail\7example\3com\0") }, /* CNAME */
    { "example.com", DNS_NS, DATA("\3NS1\7example\3com\0") },
    { "example.com", DNS_SOA,
      DATA(
          "\3ns1\7example\3com\0\4host\7example\3com\0\0\0\0\7\0\0\16\20\0\0\3\204\0\11\72\200\0\0\1\54") },
    { "failing.example", 0, DATA("") },
};

static bool has_name(const char *name) {
    for (size_t i = 0; i < COUNT_OF(zone); i++)
        if (!strcmp(zone[i].name, name))
            return true;
    return false;
}

static unsigned answer(struct buf *out, const char *name, unsigned type) {
    unsigned count = 0;
    for (size_t i = 0; i < COUNT_OF(zone); i++) {
        if (strcmp(zone[i].name, name) != 0 || (zone[i].type != type && zone[i].type != 5))
            continue;
        count++;
        buf_add(out, bytes_of("\300\14", 2)); /* the name in the question */
        buf_add(out, bytes_of((char[]){ 0, (char)zone[i].type, 0, 1, 0, 0, 1, 0 }, 8));
        buf_add(out, bytes_of((char[]){ 0, (char)zone[i].len }, 2));
        buf_add(out, bytes_of(zone[i].data, zone[i].len));
    }
    return count;
}

static void on_question(void *ctx, int what) {
    struct server *s = ctx;
    (void)what;
    char in[512], name[256] = "", memory[1024];
    struct sockaddr_in from;
    socklen_t size = sizeof from;
    ssize_t got = recvfrom(s->fd, in, sizeof in, 0, (struct sockaddr *)&from, &size);
    if (got < 17)
        return;
    s->questions++;
    size_t at = 12, n = 0;
    while (in[at] && at < (size_t)got) {
        for (int i = in [at++]; i > 0; i--)
            name[n++] = ascii_lower(in[at++]);
        name[n++] = '.';
    }
    if (n)
        name[n - 1] = '\0';
    unsigned type = (unsigned char)in[at + 2];
    struct buf out = buf_fixed(memory, sizeof memory), records = buf_grow(1024);
    unsigned count = answer(&records, name, type);
    int rcode = !strcmp(name, "failing.example") ? 2 : has_name(name) ? 0 : 3;
    buf_add(&out, bytes_of(in, 2));
    buf_add(&out, bytes_of((char[]){ (char)0x85, (char)(0x80 | rcode), 0, 1, 0, (char)count }, 6));
    buf_add(&out, bytes_of("\0\0\0\0", 4));
    buf_add(&out, bytes_of(in + 12, at + 5 - 12));
    buf_add(&out, buf_bytes(&records));
    buf_free(&records);
    sendto(s->fd, out.at, out.len, 0, (struct sockaddr *)&from, size);
}

static void server_open(struct server *s, struct loop *l) {
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof at;
    s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&at, size), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&at, &size), 0);
    s->port = ntohs(at.sin_port);
    s->watch = watch_open(l, s->fd, WATCH_READ, on_question, s);
}

static void server_close(struct server *s) {
    watch_close(&s->watch);
    close(s->fd);
}

/* --- questions -------------------------------------------------------------------------------------- */

struct asked {
    struct loop *loop;
    struct dns *dns;
    char texts[16][300];
    size_t done;
};

static void on_answer(void *ctx, const struct dns_answer *a) {
    struct asked *q = ctx;
    struct buf b = buf_fixed(q->texts[q->done], sizeof q->texts[0]);
    buf_str(&b, a->rc != OK ? "temp" : a->exists ? "yes" : "no");
    if (a->rc != OK)
        buf_printf(&b, " %s", a->why.reason);
    for (size_t i = 0; i < a->count; i++) {
        buf_printf(&b, " %u/%.*s/%.*s/", a->records[i].preference, BYTES_FMT(a->records[i].name),
                   BYTES_FMT(a->records[i].data));
        if (a->records[i].address.family)
            addr_format(&b, a->records[i].address);
    }
    buf_text(&b);
    q->done++;
}

static const struct {
    const char *name;
    enum dns_type type;
    const char *expect;
} cases[] = {
    { "example.com", DNS_MX, "yes 10/mail.example.com//" },
    { "example.com", DNS_TXT, "yes 0//v=spf1 -all/" },
    { "example.com", DNS_AAAA, "yes" },
    { "mail.example.com", DNS_A, "yes 0///192.0.2.1" },
    { "mail.example.com", DNS_AAAA, "yes 0///2001:db8::1" },
    { "null.example", DNS_MX, "yes 0///" },
    { "example.com", DNS_NS, "yes 0/ns1.example.com//" },
    { "example.com", DNS_SOA, "yes 0/ns1.example.com/host.example.com 7 3600 900 604800 300/" },
    { "www.example.com", DNS_CNAME, "yes 0/mail.example.com//" },
    { "www.example.com", DNS_A, "yes 0///192.0.2.1" },
    { "nowhere.example", DNS_MX, "no" },
    { "failing.example", DNS_MX, "temp dns.failed" },
};

static void next_question(struct asked *q);

static void next_answer(void *ctx, const struct dns_answer *a) {
    struct asked *q = ctx;
    on_answer(q, a);
    next_question(q);
}

static void next_question(struct asked *q) {
    if (q->done == COUNT_OF(cases))
        loop_stop(q->loop);
    else
        q->dns->ask(q->dns->self, bytes_str(cases[q->done].name), cases[q->done].type, next_answer,
                    q);
}

static void give_up(void *ctx) {
    (void)ctx;
    fail_msg("no answers within 30 s");
}

static void answers_of_a_forwarder(void **state) {
    (void)state;
    struct asked q = { .loop = loop_open() };
    struct server server;
    struct timer late = { 0 };
    char path[64], address[32];
    int fd;
    struct why why = { 0 };
    snprintf(path, sizeof path, "/tmp/postern-resolver-%d.sock", (int)getpid());
    assert_int_equal(sockets_listen_unix(bytes_str(path), SOCK_SEQPACKET, 0600, &fd, NULL), OK);
    server_open(&server, q.loop);
    snprintf(address, sizeof address, "127.0.0.1:%u", server.port);
    struct bytes servers[1] = { bytes_str(address) };
    struct resolver_setup setup = { servers, 1, B("off") };
    q.dns = dns_open_channel(q.loop, path);
    next_question(&q);
    timer_set(q.loop, &late, 30000, give_up, NULL);
    enum rc rc = resolver_serve(q.loop, fd, &setup, &why);
    assert_string_equal(why.text, "");
    assert_int_equal(rc, OK);
    timer_clear(&late);
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_string_equal(q.texts[i], cases[i].expect);
    dns_close(&q.dns);
    server_close(&server);
    unlink(path);
    loop_close(&q.loop);
}

static void settings_that_cannot_be(void **state) {
    (void)state;
    static const struct {
        const char *server, *anchor, *says;
    } bad[] = {
        { "example.com", "off", "example.com" },
        { "127.0.0.1:99999", "off", "127.0.0.1:99999" },
        { "127.0.0.1:53", "file:/nowhere/root.key", "/nowhere/root.key" },
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct loop *l = loop_open();
        struct bytes servers[1] = { bytes_str(bad[i].server) };
        struct resolver_setup setup = { servers, 1, bytes_str(bad[i].anchor) };
        struct why why = { 0 };
        assert_int_equal(resolver_serve(l, -1, &setup, &why), PERM);
        assert_non_null(strstr(why.text, bad[i].says));
        loop_close(&l);
    }
}

/* Nobody listens where the resolver should be: an answer comes all the same. */
static void no_resolver(void **state) {
    (void)state;
    struct asked q = { .loop = loop_open() };
    q.dns = dns_open_channel(q.loop, "/tmp/postern-no-such-resolver.sock");
    q.dns->ask(q.dns->self, B("example.com"), DNS_MX, on_answer, &q);
    uint64_t id = q.dns->ask(q.dns->self, B("example.org"), DNS_MX, on_answer, &q);
    q.dns->cancel(q.dns->self, id);
    dns_close(&q.dns); /* with a question open */
    assert_int_equal(q.done, 0);
    loop_close(&q.loop);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_of_a_forwarder),
        cmocka_unit_test(settings_that_cannot_be),
        cmocka_unit_test(no_resolver),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
