/* tls_note: what a handshake showed, kept beyond its connection. */
#ifndef DOCTOR_TLS_NOTE_H
#define DOCTOR_TLS_NOTE_H

#include "base/arena.h"
#include "sys/tls.h"

/* A copy in the arena; NULL of NULL. */
const struct tls_look *tls_note_copy(struct arena *a, const struct tls_look *look);
/* Why a handshake failed, told apart by OpenSSL's words: "tls.plain" (what came is no TLS), "tls.version",
 * "tls.ciphers", "tls.alert", "tls.closed", "tls.handshake". */
const char *tls_note_reason(const struct why *why);

#endif
