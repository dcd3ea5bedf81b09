/* user_mail: forwards of users. This file alone knows that a tenant is asked before anything is
 * forwarded. */
#include "bin/user_mail.h"

#include "message/address.h"
#include "resolve/resolve.h"

#include <stdio.h>
#include <sysexits.h>

static int fail(const struct why *why) {
    return people_fail("postern user", why);
}

/* EX_OK and the entry, or the exit code. */
static int find(struct people *p, struct bytes address, struct directory_entry **out) {
    struct why why;
    if (directory_db_find_login(p->directory, address, p->arena, out, &why) != OK)
        return fail(&why);
    if (*out)
        return EX_OK;
    fprintf(stderr, "postern user: %.*s is not a user (postern user list shows all)\n",
            BYTES_FMT(address));
    return EX_NOUSER;
}

/* --- forwarding -------------------------------------------------------------------------------- */

bool user_may_forward(const struct people *p, const char *command, struct bytes address,
                      struct bytes target) {
    struct bytes from = arena_lower(p->arena, address), to = arena_lower(p->arena, target);
    if (resolve_may_forward(p->config, from, to))
        return true;
    fprintf(stderr,
            "%s: %.*s may not be led to %.*s: the tenant of %.*s forbids automatic forwarding to "
            "other domains (external_forwarding = deny) [recipient.forwarding-denied]\n",
            command, BYTES_FMT(from), BYTES_FMT(to), BYTES_FMT(address_domain(from)));
    return false;
}

static bool is_off(const struct bytes *words, size_t count) {
    return count == 2 && bytes_equal_nocase(words[1], B("off"));
}

int user_forward(struct people *p, const struct user_mail *o, const struct bytes *words,
                 size_t count) {
    struct directory_entry *e;
    struct why why;
    bool off = is_off(words, count);
    int code = find(p, words[0], &e);
    if (code != EX_OK)
        return code;
    if (off && o->keep_copy) {
        fprintf(stderr, "postern user: --keep-copy goes with an address to forward to\n");
        return EX_USAGE;
    }
    for (size_t i = 1; i < count && !off; i++)
        if (!user_may_forward(p, "postern user", e->address, words[i]))
            return EX_DATAERR;
    if (directory_user_forward(p->directory, e->address, words + 1, off ? 0 : count - 1,
                               o->keep_copy, &why) != OK)
        return fail(&why);
    for (size_t i = 1; i < count && !off; i++)
        people_warn_target(p, words[i]);
    code = find(p, words[0], &e);
    if (code == EX_OK)
        people_print_whole(p, e);
    return code;
}
