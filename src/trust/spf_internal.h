/* Between the files of spf. */
#ifndef TRUST_SPF_INTERNAL_H
#define TRUST_SPF_INTERNAL_H

#include "trust/spf.h"

enum { SPF_NAME_MAX = 253, SPF_LABEL_MAX = 63 };
enum { SPF_TYPE_A = 1, SPF_TYPE_PTR = 12, SPF_TYPE_MX = 15, SPF_TYPE_TXT = 16, SPF_TYPE_AAAA = 28 };

/* NULL, or what is wrong with a text that has macros. `name`: it must be a domain-spec. */
const char *spf_macro_wrong(struct bytes text, bool name, bool explanation);
bool spf_has_macro(struct bytes text);
/* A name that can be asked about: labels of 1 to 63 octets, 253 in all. */
bool spf_is_name(struct bytes name);
/* `name` is `parent` or below it. */
bool spf_is_below(struct bytes name, struct bytes parent);
unsigned spf_address_type(struct addr client);

/* Of one evaluation. */
struct spf_names {
    enum rc rc; /* OK, MORE, TEMP */
    size_t count;
    struct bytes list[SPF_NAMES_MAX]; /* that lead back to the client */
};
/* Section 5.5: the names of the client that its own address confirms. */
struct spf_names spf_validated(struct addr client, spf_find *find, void *ctx, struct arena *a);
/* The record of a domain: its text, or the trouble with it; *more: not known yet. */
enum spf_trouble spf_fetch(struct bytes domain, spf_find *find, void *ctx, struct bytes *text_out,
                           bool *more);

#endif
