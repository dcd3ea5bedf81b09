/* cmd_group: `postern group`: addresses that stand for many people, who may send to them, and who
 * belongs to them. */
#include "base/must.h"
#include "bin/people.h"
#include "bin/user_mail.h"

#include <errno.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

int cmd_group(int argc, char **argv);

/* One more than a group may have: the directory says so, and none is left out in silence. */
enum { WORDS_MAX = 20001, INPUT_MAX = WORDS_MAX * 300 };

static bool from_stdin; /* --stdin: members, one a line */

static int fail(const struct why *why) {
    return people_fail("postern group", why);
}

static int find(struct people *p, struct bytes address, struct directory_entry **out) {
    static const char *const kinds[] = { "a user, not a group", "an alias, not a group", "" };
    struct why why;
    if (directory_db_find_whole(p->directory, address, p->arena, out, &why) != OK)
        return fail(&why);
    if (*out && (*out)->kind == DIRECTORY_GROUP)
        return EX_OK;
    fprintf(stderr, "postern group: %.*s is %s (postern group list shows all)\n",
            BYTES_FMT(address), *out ? kinds[(*out)->kind] : "not a group");
    return EX_NOUSER;
}

static int show_it(struct people *p, struct bytes address) {
    struct directory_entry *e;
    int code = find(p, address, &e);
    if (code == EX_OK)
        people_print_whole(p, e);
    return code;
}

/* --- members ----------------------------------------------------------------------------------- */

struct members {
    struct bytes *list;
    size_t count;
};

static void add_words(struct members *m, const struct bytes *words, size_t count) {
    for (size_t i = 0; i < count && m->count < WORDS_MAX; i++)
        m->list[m->count++] = words[i];
}

/* One a line; what follows "#" and empty lines are left out. */
static void add_lines(struct members *m, struct bytes text) {
    struct bytes line, word;
    while (bytes_split(&text, '\n', &line) && m->count < WORDS_MAX) {
        bytes_split(&line, '#', &word);
        word = bytes_trim(word);
        if (word.len)
            m->list[m->count++] = word;
    }
}

static int read_lines(struct people *p, struct members *m) {
    struct buf b = buf_grow(INPUT_MAX);
    char piece[16 * 1024];
    ssize_t got;
    while ((got = read(STDIN_FILENO, piece, sizeof piece)) != 0) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            break;
        buf_add(&b, bytes_of(piece, (size_t)got));
    }
    bool ok = got == 0 && !b.full;
    if (ok)
        add_lines(m, arena_copy(p->arena, buf_bytes(&b)));
    else
        fprintf(stderr, "postern group: standard input cannot be read, or is too long\n");
    buf_free(&b);
    return ok ? EX_OK : EX_DATAERR;
}

static int read_members(struct people *p, const struct bytes *words, size_t count,
                        struct members *m) {
    m->list = ARENA_ARRAY(p->arena, WORDS_MAX, struct bytes);
    add_words(m, words, count);
    return from_stdin ? read_lines(p, m) : EX_OK;
}

static int set_members(struct people *p, struct bytes group, const struct members *m, bool add) {
    struct why why;
    for (size_t i = 0; i < m->count && add; i++)
        if (!user_may_forward(p, "postern group", group, m->list[i]))
            return EX_DATAERR;
    if (directory_group_members(p->directory, group, m->list, m->count, add, &why) != OK)
        return fail(&why);
    for (size_t i = 0; i < m->count && add; i++)
        people_warn_target(p, m->list[i]);
    return EX_OK;
}

static int add(struct people *p, const struct bytes *words, size_t count) {
    struct members m = { 0 };
    struct why why;
    int code = read_members(p, words + 1, count - 1, &m);
    if (code != EX_OK)
        return code;
    if (directory_group_add(p->directory, words[0], &why) != OK)
        return fail(&why);
    code = set_members(p, words[0], &m, true);
    if (code != EX_OK) { /* half a group would be found to be one */
        directory_group_remove(p->directory, words[0], NULL);
        return code;
    }
    people_warn_domain(p, words[0]);
    return show_it(p, words[0]);
}

static int change_members(struct people *p, const struct bytes *words, size_t count,
                          bool add_them) {
    struct members m = { 0 };
    struct directory_entry *e;
    int code = find(p, words[0], &e);
    if (code == EX_OK)
        code = read_members(p, words + 1, count - 1, &m);
    if (code == EX_OK && !m.count) {
        fprintf(stderr, "postern group: name members, or give them with --stdin, one a line\n");
        code = EX_USAGE;
    }
    if (code == EX_OK)
        code = set_members(p, e->address, &m, add_them);
    return code == EX_OK ? show_it(p, words[0]) : code;
}

static int add_member(struct people *p, const struct bytes *words, size_t count) {
    return change_members(p, words, count, true);
}

static int remove_member(struct people *p, const struct bytes *words, size_t count) {
    return change_members(p, words, count, false);
}

/* --- what may be set --------------------------------------------------------------------------- */

/* Each sets from one word; PERM with directory.value: the word is none of those it knows. */
typedef enum rc setter(struct people *p, struct bytes group, struct bytes value, struct why *why);

static enum rc wrong_value(struct why *why, struct bytes value, const char *expected) {
    return why_set(why, PERM, 0, NULL, "directory.value", "\"%.*s\": expected %s",
                   BYTES_FMT(bytes_first(value, 80)), expected);
}

static bool word_of(struct bytes value, const char *const *words, size_t count, size_t *out) {
    for (size_t i = 0; i < count; i++)
        if (bytes_equal_nocase(value, bytes_str(words[i]))) {
            *out = i;
            return true;
        }
    return false;
}

static enum rc set_senders(struct people *p, struct bytes group, struct bytes value,
                           struct why *why) {
    size_t n;
    if (!word_of(value, people_senders, COUNT_OF(people_senders), &n))
        return wrong_value(why, value, "everyone, members, logged-in or listed");
    return directory_group_senders(p->directory, group, (enum directory_senders)n, why);
}

static enum rc set_delivery(struct people *p, struct bytes group, struct bytes value,
                            struct why *why) {
    size_t n;
    if (!word_of(value, people_delivery, COUNT_OF(people_delivery), &n))
        return wrong_value(why, value, "members, mailbox or both");
    return directory_group_delivery(p->directory, group, (enum directory_delivery)n, why);
}

static enum rc set_send_as(struct people *p, struct bytes group, struct bytes value,
                           struct why *why) {
    static const char *const words[] = { "nobody", "members" };
    size_t n;
    if (!word_of(value, words, COUNT_OF(words), &n))
        return wrong_value(why, value, "members or nobody");
    return directory_group_send_as(p->directory, group, n == 1, why);
}

static enum rc set_owner(struct people *p, struct bytes group, struct bytes value,
                         struct why *why) {
    bool none = bytes_equal_nocase(value, B("none"));
    return directory_group_owner(p->directory, group, none ? BYTES_NONE : value, why);
}

static enum rc set_allow(struct people *p, struct bytes group, struct bytes value,
                         struct why *why) {
    return directory_group_allow(p->directory, group, value, true, why);
}

static enum rc set_deny(struct people *p, struct bytes group, struct bytes value, struct why *why) {
    return directory_group_allow(p->directory, group, value, false, why);
}

static enum rc set_moderator(struct people *p, struct bytes group, struct bytes value,
                             struct why *why) {
    return directory_group_moderator(p->directory, group, value, true, why);
}

static enum rc set_no_moderator(struct people *p, struct bytes group, struct bytes value,
                                struct why *why) {
    return directory_group_moderator(p->directory, group, value, false, why);
}

static const struct {
    const char *name;
    setter *set;
} settings[] = {
    { "senders", set_senders }, { "allow", set_allow },
    { "deny", set_deny },       { "moderator", set_moderator },
    { "owner", set_owner },     { "no-moderator", set_no_moderator },
    { "send-as", set_send_as }, { "deliver", set_delivery },
};

static int no_setting(struct bytes name) {
    const char *names[COUNT_OF(settings)];
    for (size_t i = 0; i < COUNT_OF(settings); i++)
        names[i] = settings[i].name;
    const char *nearest = options_nearest(name, names, COUNT_OF(names));
    fprintf(stderr,
            "postern group: a group has no \"%.*s\"%s%s%s: senders, allow, deny, moderator, "
            "no-moderator, owner, send-as or deliver\n",
            BYTES_FMT(name), nearest ? ": did you mean " : "", nearest ? nearest : "",
            nearest ? "? It has" : "");
    return EX_USAGE;
}

static int set(struct people *p, const struct bytes *words, size_t count) {
    struct why why;
    if (count % 2 == 0) {
        fprintf(stderr, "postern group: %.*s has no value\n", BYTES_FMT(words[count - 1]));
        return EX_USAGE;
    }
    for (size_t i = 1; i < count; i += 2) {
        setter *with = NULL;
        for (size_t j = 0; j < COUNT_OF(settings); j++)
            if (bytes_equal_nocase(words[i], bytes_str(settings[j].name)))
                with = settings[j].set;
        if (!with)
            return no_setting(words[i]);
        if (with(p, words[0], words[i + 1], &why) != OK)
            return fail(&why);
    }
    return show_it(p, words[0]);
}

/* --- looking, and forgetting --------------------------------------------------------------------- */

static void print_one(void *ctx, const struct directory_entry *e) {
    people_print(ctx, e);
}

static int list(struct people *p, const struct bytes *words, size_t count) {
    struct why why;
    (void)words;
    (void)count;
    enum rc rc = directory_db_list(p->directory, DIRECTORY_GROUP, print_one, p, &why);
    return rc == OK ? EX_OK : fail(&why);
}

static int show(struct people *p, const struct bytes *words, size_t count) {
    (void)count;
    return show_it(p, words[0]);
}

static int remove_group(struct people *p, const struct bytes *words, size_t count) {
    struct why why;
    (void)count;
    if (directory_group_remove(p->directory, words[0], &why) != OK)
        return fail(&why);
    people_note_leading(p, words[0]);
    people_done(p, "removed", words[0]);
    return EX_OK;
}

static const struct people_action actions[] = {
    { "add", "ADDRESS [MEMBER...]", "make a group", 1, 255, add, false },
    { "list", "", "all groups", 0, 0, list, false },
    { "show", "ADDRESS", "its members, and who may send to it", 1, 1, show, false },
    { "remove", "ADDRESS", "forget it", 1, 1, remove_group, false },
    { "add-member", "ADDRESS MEMBER...", "people here or elsewhere, or groups", 1, 255, add_member,
      false },
    { "remove-member", "ADDRESS MEMBER...", "the opposite", 1, 255, remove_member, false },
    { "set", "ADDRESS SETTING VALUE...", "see below", 3, 255, set, false },
};

int cmd_group(int argc, char **argv) {
    const struct option_row rows[] = {
        { .name = "--stdin",
          .help = "read members from standard input too, one a line",
          .flag = &from_stdin },
    };
    const struct people_command command = {
        .name = "group",
        .sentence =
            "groups: addresses that stand for many people\n\n"
            "settings: senders everyone|members|logged-in|listed, allow|deny PATTERN,\n"
            "  moderator|no-moderator ADDRESS, owner ADDRESS|none, send-as members|nobody,\n"
            "  deliver members|mailbox|both",
        .actions = actions,
        .count = COUNT_OF(actions),
        .rows = rows,
        .row_count = COUNT_OF(rows),
    };
    return people_run(&command, argc, argv);
}
