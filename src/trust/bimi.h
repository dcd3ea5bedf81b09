/* bimi: the record at default._bimi.DOMAIN: a logo beside one's mail (draft-brand-indicators-for-message-identification). */
#ifndef TRUST_BIMI_H
#define TRUST_BIMI_H

#include "base/bytes.h"
#include "base/why.h"

struct bimi_record {
    struct bytes logo, evidence; /* https: addresses; may be empty */
    bool declined;               /* l= and a= are empty: the domain wants none shown */
    const char *wrong;           /* half a sentence about ... */
    struct bytes wrong_at;
};
bool bimi_is_record(struct bytes text);
enum rc bimi_parse(struct bytes text, struct bimi_record *out);

#endif
