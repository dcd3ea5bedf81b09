/* tls_note: copies, and the table of OpenSSL's words for a handshake that failed. */
#include "doctor/tls_note.h"

#include "base/must.h"

#include <string.h>

const struct tls_look *tls_note_copy(struct arena *a, const struct tls_look *look) {
    if (!look)
        return NULL;
    struct tls_look *copy = ARENA_NEW(a, struct tls_look);
    struct bytes *names = ARENA_ARRAY(a, look->name_count + 1, struct bytes);
    struct tls_sent *sent = ARENA_ARRAY(a, look->sent_count + 1, struct tls_sent);
    *copy = *look;
    copy->subject = arena_copy(a, look->subject);
    copy->issuer = arena_copy(a, look->issuer);
    copy->chain_error = arena_copy(a, look->chain_error);
    copy->key = arena_copy(a, look->key);
    copy->signature = arena_copy(a, look->signature);
    for (size_t i = 0; i < look->name_count; i++)
        names[i] = arena_copy(a, look->names[i]);
    for (size_t i = 0; i < look->sent_count; i++) {
        sent[i].certificate = arena_copy(a, look->sent[i].certificate);
        sent[i].spki = arena_copy(a, look->sent[i].spki);
    }
    copy->names = names;
    copy->sent = sent;
    return copy;
}

const char *tls_note_reason(const struct why *why) {
    static const struct {
        const char *words, *reason;
    } known[] = {
        { "is not TLS", "tls.plain" },
        { "wrong version number", "tls.plain" },
        { "unsupported protocol", "tls.version" },
        { "protocol version", "tls.version" },
        { "no protocols available", "tls.version" },
        { "handshake failure", "tls.ciphers" },
        { "no shared cipher", "tls.ciphers" },
        { "key too small", "tls.weak" },
        { "md too weak", "tls.weak" },
        { "alert", "tls.alert" },
        { "unexpected eof", "tls.closed" },
    };
    for (size_t i = 0; i < COUNT_OF(known); i++)
        if (bytes_search_nocase(bytes_str(why->text), bytes_str(known[i].words)) >= 0)
            return known[i].reason;
    return "tls.handshake";
}
