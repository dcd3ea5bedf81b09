/* fuzz_tls: what a peer may send to a TLS engine. The first octet says how: to a server or a client,
 * raw; or as harm done to what two engines say to each other, each pair of octets being where the
 * next blow falls and what it changes. Whatever comes, an engine goes on, ends or fails: it never
 * hands out data before the handshake, and never says it twice. */
#include "base/must.h"
#include "sys/tls_engine.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TO_SERVER, TO_CLIENT, BETWEEN, WAYS };
enum { ROUNDS = 8, WALL_MS = 1800000000 };

static struct tls_server *server;
static struct tls_client *client;

static void prepare(void) {
    struct arena *a = arena_open();
    struct tls_pair pair = { .name = BYTES_NONE };
    struct why why;
    MUST(tls_make_pair(B("mail.example"), INT64_C(1000) * WALL_MS, a, &pair.chain_pem,
                       &pair.key_pem, &why) == OK);
    MUST(tls_server_open(&pair, 1, 12, BYTES_NONE, &server, &why) == OK);
    MUST(tls_client_open(pair.chain_pem, &client, &why) == OK);
    arena_close(&a);
}

struct side {
    struct tls_engine *engine;
    struct buf out;
    bool secured, over;
};

static void feed(struct side *s, struct bytes octets) {
    struct buf plain = buf_grow(65536);
    struct why why;
    if (s->over || octets.len == 0)
        return;
    tls_engine_feed(s->engine, octets);
    for (;;) {
        enum engine_step step = tls_engine_read(s->engine, &plain, &s->out, &why);
        MUST(step != ENGINE_SECURED || !s->secured);
        s->secured |= step == ENGINE_SECURED;
        MUST(step != ENGINE_DATA || (s->secured && plain.len > 0));
        MUST(step == ENGINE_DATA || plain.len == 0);
        buf_clear(&plain);
        s->over = step == ENGINE_ENDED || step == ENGINE_FAILED;
        if (step == ENGINE_MORE || s->over)
            break;
        /* May fail: behind the data there may have been something broken. */
        tls_engine_write(s->engine, B("250 fine\r\n"), &s->out);
    }
    MUST(s->over || tls_engine_unread(s->engine).len == 0);
    buf_free(&plain);
}

static struct side side(struct tls_engine *e) {
    struct side s = { .engine = e, .out = buf_grow(1 << 20) };
    tls_engine_start(e, &s.out);
    return s;
}

static void side_free(struct side *s) {
    tls_engine_shutdown(s->engine, &s->out);
    tls_engine_close(&s->engine);
    buf_free(&s->out);
}

static struct side make(bool as_server) {
    const struct tls_want want = { .name = B("mail.example") };
    return side(as_server ? tls_engine_server(server, true) : tls_engine_client(client, &want));
}

static void raw(bool as_server, size_t piece, struct bytes octets) {
    struct side s = make(as_server);
    for (; octets.len; octets = bytes_skip(octets, piece))
        feed(&s, bytes_first(octets, piece));
    side_free(&s);
}

static void carry(struct side *from, struct side *to, struct bytes *blows) {
    struct buf sent = from->out;
    from->out = buf_grow(1 << 20);
    if (blows->len >= 2 && sent.len) {
        sent.at[(uint8_t)blows->at[0] * sent.len / 256] ^= blows->at[1];
        *blows = bytes_skip(*blows, 2);
    }
    feed(to, buf_bytes(&sent));
    buf_free(&sent);
}

static void between(struct bytes blows) {
    struct side s = make(true), c = make(false);
    for (int i = 0; i < ROUNDS; i++) {
        carry(&c, &s, &blows);
        carry(&s, &c, &blows);
    }
    side_free(&s);
    side_free(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bytes octets = bytes_of(data, size);
    if (!server)
        prepare();
    if (size == 0)
        return 0;
    const unsigned way = data[0] % WAYS, piece = 1 + data[0] / WAYS;
    octets = bytes_skip(octets, 1);
    if (way == BETWEEN)
        between(octets);
    else
        raw(way == TO_SERVER, piece, octets);
    return 0;
}
