/* organisation: which part of a name somebody registered (RFC 7489 section 3.2), by the Public Suffix List. libpsl is
 * behind it and nowhere else; the list is the one built into it. */
#ifndef TRUST_ORGANISATION_H
#define TRUST_ORGANISATION_H

#include "base/bytes.h"

/* "mail.example.co.uk" -> "example.co.uk": a view of `name` (A-labels, lower case). Of a public suffix, or
 * what the list does not help with: the name itself. */
struct bytes organisation_of(struct bytes name);
bool organisation_is_suffix(struct bytes name);
bool organisation_same(struct bytes a, struct bytes b);

#endif
