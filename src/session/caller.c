/* caller: who is on the other end of a connection, as far as the connection itself shows it. */
#include "session/session.h"
#include "sys/proxy.h"

bool caller_is_client_hello(struct bytes data) {
    return data.len >= 2 && data.at[0] == 0x16 && data.at[1] == 0x03;
}

enum rc caller_read_proxy(struct facts *f, struct buf *gathered, struct bytes *data) {
    struct proxy_header header;
    buf_add(gathered, *data);
    proxy_parse(buf_bytes(gathered), &header);
    if (header.kind == PROXY_INCOMPLETE && !gathered->full)
        return MORE;
    if (header.kind == PROXY_INCOMPLETE || header.kind == PROXY_BAD)
        return PERM;
    f->client_told_by = "PROXY";
    f->client_peer = f->client;
    f->client_unknown = header.kind != PROXY_CLIENT;
    if (header.kind == PROXY_CLIENT) {
        f->client = header.client;
        f->local = header.server;
    }
    size_t before = gathered->len - data->len;
    *data = bytes_skip(*data, header.length - before);
    buf_free(gathered);
    return OK;
}

void caller_note_certificate(struct facts *f, const struct tls_info *info, struct arena *a) {
    struct bytes *names = ARENA_ARRAY(a, info->peer_name_count, struct bytes);
    struct vouch *vouches = ARENA_ARRAY(a, info->vouch_count, struct vouch);
    for (size_t i = 0; i < info->peer_name_count; i++)
        names[i] = arena_copy(a, info->peer_names[i]);
    for (size_t i = 0; i < info->vouch_count; i++)
        vouches[i] =
            (struct vouch){ arena_copy(a, info->vouches[i].authority), info->vouches[i].vouches,
                            arena_copy(a, info->vouches[i].because) };
    f->client_spki = arena_copy(a, info->peer_spki);
    f->client_names = (struct strings){ info->peer_name_count, names };
    f->vouches = vouches;
    f->vouch_count = info->vouch_count;
}

void caller_forget_certificate(struct facts *f) {
    f->client_spki = BYTES_NONE;
    f->client_names = (struct strings){ 0 };
    f->vouches = NULL;
    f->vouch_count = 0;
}
