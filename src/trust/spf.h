/* spf: what a domain's SPF record says (RFC 7208), and who passes it.
 *
 * Nothing here asks the DNS. An evaluation is a pure function over what the DNS is known to say: `find` gives the
 * answer to a question, or NULL when it is not known yet. Then the result is MORE; the caller sees in its
 * `find` what was wanted (all that can be asked at once is), gets it, and evaluates again, from the start:
 * there are at most ten terms that ask, so there is little to repeat. spf_check does the keeping.
 *
 *     struct spf_check *c = spf_check_open(arena, &who);
 *     while (spf_check_run(c, &verdict) == MORE)
 *         for (size_t i = 0; i < spf_check_wanted(c, &questions); i++)
 *             ... ask each, then spf_check_answer(c, &questions[i], &answer);
 *
 * Limits of section 4.6.4: ten terms that ask, two of them without an answer, ten names of MX or PTR each. */
#ifndef TRUST_SPF_H
#define TRUST_SPF_H

#include "base/addr.h"
#include "base/arena.h"
#include "base/why.h"

enum { SPF_LOOKUPS_MAX = 10, SPF_VOIDS_MAX = 2, SPF_NAMES_MAX = 10 };

/* --- records --------------------------------------------------------------------------------------- */

enum spf_mechanism {
    SPF_ALL,
    SPF_INCLUDE,
    SPF_A,
    SPF_MX,
    SPF_PTR,
    SPF_IP4,
    SPF_IP6,
    SPF_EXISTS,
};
struct spf_term {
    struct bytes text; /* as it stands, "~include:example.net" */
    char qualifier;    /* '+' '-' '~' '?' */
    enum spf_mechanism mechanism;
    struct bytes domain;    /* with its macros; empty: the domain of the record */
    struct network network; /* of ip4 and ip6; host bits may be set */
    unsigned bits4, bits6;  /* of a and mx */
};
struct spf_record {
    size_t count;
    const struct spf_term *terms;
    struct bytes redirect, exp; /* with their macros; empty: none */
    const char *wrong;          /* of a record that breaks the grammar: half a sentence ... */
    struct bytes wrong_term;    /* ... about this term */
    size_t wrong_number;        /* which is the how many'th, from 1, behind v=spf1 */
};
/* Whether a TXT record is meant to be one (section 4.5): v=spf1, alone or before a blank. */
bool spf_is_record(struct bytes text);
/* PERM: it breaks the grammar. Views look into `text`. */
enum rc spf_parse(struct bytes text, struct arena *a, struct spf_record *out);
/* Does this mechanism ask the DNS, so that it counts for the limit? */
bool spf_asks(enum spf_mechanism m);

/* --- what the DNS says ------------------------------------------------------------------------------ */

struct spf_question {
    struct bytes name; /* lower case */
    unsigned type;     /* as the DNS numbers them: 1 A, 12 PTR, 15 MX, 16 TXT, 28 AAAA */
};
struct spf_data {
    struct bytes text;   /* TXT: strings joined; MX, PTR: the name */
    struct addr address; /* A, AAAA */
    uint16_t preference;
};
struct spf_answer {
    bool failed; /* timeout, SERVFAIL, bogus: not the same as nothing there */
    bool exists; /* the name does */
    size_t count;
    const struct spf_data *list;
};
typedef const struct spf_answer *spf_find(void *ctx, const struct spf_question *question);

/* --- evaluation ------------------------------------------------------------------------------------- */

enum spf_result {
    SPF_NONE, /* there is no record */
    SPF_NEUTRAL,
    SPF_PASS,
    SPF_FAIL,
    SPF_SOFTFAIL,
    SPF_TEMPERROR,
    SPF_PERMERROR,
};
const char *spf_result_name(enum spf_result r); /* "none" "neutral" ... as in Received-SPF */

struct spf_who {
    struct addr client;
    struct bytes domain; /* whose record: of MAIL FROM, or the name in HELO */
    struct bytes
        sender; /* the mailbox; without a local part it is postmaster's, empty: postmaster@domain */
    struct bytes helo;     /* for %{h} */
    struct bytes receiver; /* for %{r}; empty: "unknown" */
    int64_t time;          /* for %{t}, seconds since 1970 */
};
struct spf_verdict {
    enum spf_result result;
    struct bytes domain; /* whose record decided: another one after a redirect */
    struct bytes record; /* that of `who.domain`, if there was exactly one */
    struct bytes term;   /* that matched, as it stands; empty: none did */
    struct bytes
        trail; /* the same with what matched inside: "include:example.net > ip4:192.0.2.0/24" */
    struct bytes problem; /* of an error: what is wrong and where, a sentence */
    struct bytes
        explanation; /* of a fail: the domain's own words, ASCII, for the sender; may be empty */
    unsigned lookups, voids; /* counted until it was decided */
};
/* OK: decided; MORE: something is not known yet. */
enum rc spf_evaluate(const struct spf_who *who, spf_find *find, void *ctx, struct arena *a,
                     struct spf_verdict *out);

/* The same with the answers kept. Lives in the arena. */
struct spf_check;
struct spf_check *spf_check_open(struct arena *a, const struct spf_who *who);
/* OK, or MORE: spf_check_wanted is not empty. */
enum rc spf_check_run(struct spf_check *c, struct spf_verdict *out);
/* What was wanted and has not been answered; the list stays until the next run. */
size_t spf_check_wanted(const struct spf_check *c, const struct spf_question **list_out);
/* Copies the answer. */
void spf_check_answer(struct spf_check *c, const struct spf_question *question,
                      const struct spf_answer *answer);

/* Expands macros (section 7). OK; MORE; PERM: the text breaks the grammar. With `explanation` blanks and the letters c, r
 * and t are allowed, as in what exp= points to; else the result is a name, cut from the left to 253
 * octets. */
enum rc spf_expand(const struct spf_who *who, struct bytes domain, struct bytes text,
                   bool explanation, spf_find *find, void *ctx, struct arena *a, struct bytes *out);

/* --- the whole of it, whoever asks ------------------------------------------------------------------- */

/* All that a record leads to, as administrators look at it: each include and redirect, whatever would have
 * matched before. Terms with macros in their names count and are not followed. */
enum { SPF_NODES_MAX = 64, SPF_NETWORKS_MAX = 1024 };
enum spf_trouble {
    SPF_FINE,
    SPF_NO_ANSWER,   /* the DNS failed */
    SPF_NO_RECORD,   /* include or redirect to a domain without one: permerror */
    SPF_SEVERAL,     /* permerror */
    SPF_SYNTAX,      /* see record.wrong: permerror */
    SPF_LOOP,        /* it is on the way to itself: permerror */
    SPF_NOTHING,     /* a, mx, exists: a void lookup */
    SPF_TOO_MANY_MX, /* permerror for some or all */
};
struct spf_node {
    unsigned depth;      /* 0: the first */
    struct bytes term;   /* by which it was reached; empty for the first */
    struct bytes domain; /* asked about */
    struct bytes text;   /* of the record, for include, redirect and the first */
    enum spf_trouble trouble;
    bool macro;        /* not followed */
    const char *wrong; /* SPF_SYNTAX */
    struct bytes wrong_term;
    size_t wrong_number;
};
struct spf_network {
    struct network network;
    char qualifier;      /* what it comes to for the whole record: '+' for what passes */
    struct bytes term;   /* that named it */
    struct bytes domain; /* whose record that stands in */
};
struct spf_survey {
    enum spf_trouble trouble; /* of the first */
    struct spf_record record; /* of the first, if it could be read */
    struct bytes text;
    unsigned lookups, voids; /* of the worst case: nobody matched before the end */
    bool uses_ptr, cut;      /* cut: there is more than is told here */
    char all; /* qualifier of the last word: "all" here or where a redirect leads; 0: none */
    size_t node_count;
    const struct spf_node *nodes; /* in the order of the record, depth first */
    size_t network_count;
    const struct spf_network *networks;
};
enum rc spf_survey(struct bytes domain, spf_find *find, void *ctx, struct arena *a,
                   struct spf_survey *out);

#endif
