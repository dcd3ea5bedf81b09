/* cmd_alias: `postern alias`: addresses that lead to others. */
#include "base/must.h"
#include "bin/people.h"
#include "bin/user_mail.h"

#include <stdio.h>
#include <sysexits.h>

int cmd_alias(int argc, char **argv);

static int fail(const struct why *why) {
    return people_fail("postern alias", why);
}

static int find(struct people *p, struct bytes address, struct directory_entry **out) {
    struct why why;
    if (directory_db_find(p->directory, address, p->arena, out, &why) != OK)
        return fail(&why);
    if (*out && (*out)->kind == DIRECTORY_ALIAS)
        return EX_OK;
    fprintf(stderr, "postern alias: %.*s is %s (postern alias list shows all)\n",
            BYTES_FMT(address),
            !*out                             ? "not an alias"
            : (*out)->kind == DIRECTORY_GROUP ? "a group, not an alias"
                                              : "a user, not an alias");
    return EX_NOUSER;
}

/* --- actions ----------------------------------------------------------------------------------- */

static int add(struct people *p, const struct bytes *words, size_t count) {
    struct directory_entry *e;
    struct why why;
    for (size_t i = 1; i < count; i++)
        if (!user_may_forward(p, "postern alias", words[0], words[i]))
            return EX_DATAERR;
    for (size_t i = 1; i < count; i++)
        if (directory_alias_add(p->directory, words[0], words[i], &why) != OK)
            return fail(&why);
    for (size_t i = 1; i < count; i++)
        people_warn_target(p, words[i]);
    people_warn_domain(p, words[0]);
    int code = find(p, words[0], &e);
    if (code == EX_OK)
        people_print(p, e);
    return code;
}

static void print_one(void *ctx, const struct directory_entry *e) {
    people_print(ctx, e);
}

static int list(struct people *p, const struct bytes *words, size_t count) {
    struct why why;
    (void)words;
    (void)count;
    enum rc rc = directory_db_list(p->directory, DIRECTORY_ALIAS, print_one, p, &why);
    return rc == OK ? EX_OK : fail(&why);
}

static int show(struct people *p, const struct bytes *words, size_t count) {
    struct directory_entry *e;
    (void)count;
    int code = find(p, words[0], &e);
    if (code == EX_OK)
        people_print_whole(p, e);
    return code;
}

static int remove_alias(struct people *p, const struct bytes *words, size_t count) {
    struct why why;
    struct bytes target = count > 1 ? words[1] : BYTES_NONE;
    if (directory_alias_remove(p->directory, words[0], target, &why) != OK)
        return fail(&why);
    people_done(p, count > 1 ? "removed a target of" : "removed", words[0]);
    return EX_OK;
}

static const struct people_action actions[] = {
    { "add", "ADDRESS TARGET...", "lead mail for ADDRESS to these", 2, 255, add, false },
    { "list", "", "all aliases", 0, 0, list, false },
    { "show", "ADDRESS", "where one leads", 1, 1, show, false },
    { "remove", "ADDRESS [TARGET]", "forget it, or one of its targets", 1, 2, remove_alias, false },
};

int cmd_alias(int argc, char **argv) {
    const struct people_command command = {
        .name = "alias",
        .sentence = "aliases: addresses that lead to others, here or elsewhere",
        .actions = actions,
        .count = COUNT_OF(actions),
    };
    return people_run(&command, argc, argv);
}
