/* people: opening the directory and the secrets for a command. This file alone knows in which
 * order, for whom the files are made, and which failure is which exit code. */
#include "bin/people.h"
#include "bin/layout.h"
#include "bin/people_json.h"
#include "bin/settings.h"

#include "base/must.h"
#include "message/address.h"
#include "sys/files.h"
#include "sys/process.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

/* --- opening ----------------------------------------------------------------------------------- */

static void print_errors(const struct config_findings *findings) {
    for (size_t i = 0; i < findings->count; i++) {
        const struct config_finding *f = &findings->list[i];
        if (f->severity != FINDING_ERROR)
            continue;
        if (f->place.line)
            fprintf(stderr, "%.*s:%d: ", BYTES_FMT(f->place.file), f->place.line);
        fprintf(stderr, "%.*s%s%.*s\n", BYTES_FMT(f->setting), f->setting.len ? ": " : "",
                BYTES_FMT(f->text));
    }
}

/* A rule that is broken elsewhere in the file is no reason not to set a password. */
static int load(struct people *p, struct bytes file) {
    struct config_findings findings = { 0 };
    enum rc rc = settings_parse(file, &p->config, &findings);
    if (rc == OK || (p->config && !p->config->incomplete))
        return EX_OK;
    print_errors(&findings);
    fprintf(stderr, "postern: nothing was done: the configuration cannot be read, so it is not "
                    "known where users are kept; -c FILE names another one\n");
    return EX_CONFIG;
}

int people_open(struct people *p, struct bytes config_file, bool with_secrets) {
    struct why why;
    p->arena = arena_open();
    int code = load(p, config_file);
    if (code != EX_OK)
        return code;
    const struct config *c = p->config;
    const char *secrets = layout_path(p->arena, c, SECRETS_FILE).at;
    layout_make_one(c, "directory");
    if (directory_db_open(layout_directory_file(p->arena, c).at, true, &p->directory, &why) != OK)
        return people_fail("postern", &why);
    if (!with_secrets)
        return EX_OK;
    layout_make_one(c, SECRETS_DIR);
    if (secrets_open(secrets, true, &p->secrets, &why) != OK)
        return people_fail("postern", &why);
    return EX_OK;
}

void people_close(struct people *p) {
    secrets_close(&p->secrets);
    directory_db_close(&p->directory);
    config_close(&p->config);
    arena_close(&p->arena);
}

/* --- failures ---------------------------------------------------------------------------------- */

int people_fail(const char *command, const struct why *why) {
    bool permission = strstr(why->text, strerror(EACCES)) != NULL;
    fprintf(stderr, "%s: %s\n", command, why->text);
    if (permission && geteuid() != 0)
        fprintf(stderr, "Run it as root, or as the account the server runs as.\n");
    if (permission)
        return EX_NOPERM;
    if (!strcmp(why->reason, "directory.unknown"))
        return EX_NOUSER;
    return why->code / 100 == 4 ? EX_TEMPFAIL : EX_DATAERR;
}

void people_warn_domain(const struct people *p, struct bytes address) {
    struct bytes domain = address_domain(address);
    if (!domain.len || config_domain(p->config, arena_lower(p->arena, domain)))
        return;
    fprintf(stderr,
            "warning: %.*s is not a domain of this configuration, so no mail is taken for this "
            "address; add: domain \"%.*s\" { }\n",
            BYTES_FMT(domain), BYTES_FMT(domain));
}

void people_warn_target(struct people *p, struct bytes target) {
    struct directory_entry *e;
    struct why why;
    struct bytes name = arena_lower(p->arena, address_domain(target));
    const struct domain *domain = config_domain(p->config, name);
    if (!domain || domain->recipients != RECIPIENTS_DIRECTORY)
        return;
    if (directory_db_find(p->directory, target, p->arena, &e, &why) == OK && !e)
        fprintf(stderr,
                "warning: there is no user, alias or group %.*s yet: mail there will bounce\n",
                BYTES_FMT(target));
}

void people_note_leading(struct people *p, struct bytes address) {
    static const char *const what[] = { "the forward of", "the alias", "the group" };
    struct strings leading;
    struct directory_entry *e;
    struct why why;
    if (directory_db_leading(p->directory, address, p->arena, &leading, &why) != OK)
        return;
    for (size_t i = 0; i < leading.count; i++)
        if (directory_db_find(p->directory, leading.list[i], p->arena, &e, &why) == OK && e)
            fprintf(stderr, "note: %s %.*s still leads there\n", what[e->kind],
                    BYTES_FMT(e->address));
}

/* --- printing ---------------------------------------------------------------------------------- */

static void print_json(struct people *p, const struct directory_entry *e, bool whole) {
    struct buf b = buf_grow(PEOPLE_JSON_MAX);
    people_json(&b, p->arena, e);
    if (e->kind == DIRECTORY_USER && whole && p->add_json)
        p->add_json(p, e, &b);
    printf("%s}\n", buf_text(&b));
    buf_free(&b);
}

static void print_strings(const char *label, struct strings list) {
    for (size_t i = 0; i < list.count; i++)
        printf("  %-9s %.*s\n", i ? "" : label, BYTES_FMT(list.list[i]));
}

void people_print(struct people *p, const struct directory_entry *e) {
    if (p->json) {
        print_json(p, e, false);
        return;
    }
    printf("%.*s%s", BYTES_FMT(e->address), e->disabled ? " (disabled)" : "");
    if (e->kind == DIRECTORY_GROUP) {
        printf(": %zu member%s, senders %s\n", e->targets.count, e->targets.count == 1 ? "" : "s",
               people_senders[e->rules.senders]);
        return;
    }
    for (size_t i = 0; i < e->targets.count; i++)
        printf("%s%.*s", i ? ", " : " -> ", BYTES_FMT(e->targets.list[i]));
    printf("\n");
}

static void print_mail(const struct directory_entry *e) {
    print_strings("forward", e->targets);
    if (e->targets.count)
        printf("  %-9s %s\n", "copy", e->keep ? "kept here" : "not kept");
    if (e->vacation.set)
        printf("  %-9s %s\n", "vacation",
               directory_vacation_holds(&e->vacation, (int64_t)time(NULL) * 1000)
                   ? "answers by itself"
                   : "set, but not for now");
}

static void print_group(const struct people *p, const struct directory_entry *e) {
    const struct directory_rules *r = &e->rules;
    printf("  %-9s %s\n", "senders", people_senders[r->senders]);
    print_strings("allowed", people_patterns(p->arena, r->allowed));
    print_strings("moderator", r->moderators);
    if (r->owner.len)
        printf("  %-9s %.*s\n", "owner", BYTES_FMT(r->owner));
    if (r->members_send_as)
        printf("  %-9s %s\n", "send as", "members");
    printf("  %-9s %s\n", "deliver", people_delivery[r->delivery]);
    print_strings("members", e->targets);
}

void people_print_whole(struct people *p, const struct directory_entry *e) {
    if (p->json) {
        print_json(p, e, true);
        return;
    }
    printf("%.*s\n", BYTES_FMT(e->address));
    if (e->kind == DIRECTORY_USER) {
        printf("  %-9s %s\n", "login", e->disabled ? "disabled" : "enabled");
        print_strings("own", e->own);
        print_strings("send as", people_patterns(p->arena, e->send_as));
        print_mail(e);
    } else if (e->kind == DIRECTORY_GROUP) {
        print_group(p, e);
    } else {
        print_strings("leads to", e->targets);
    }
}

void people_done(const struct people *p, const char *what, struct bytes address) {
    struct bytes lower = arena_lower(p->arena, address);
    if (!p->json) {
        printf("%s %.*s\n", what, BYTES_FMT(lower));
        return;
    }
    struct buf b = buf_grow(16 * 1024);
    buf_str(&b, "{\"address\":");
    buf_json(&b, lower);
    buf_str(&b, ",\"done\":");
    buf_json(&b, bytes_str(what));
    printf("%s}\n", buf_text(&b));
    buf_free(&b);
}

/* --- the table of actions ---------------------------------------------------------------------- */

enum { WORDS_MAX = 256, ROWS_MAX = 18, OWN_ROWS = 4 };

bool people_password_stdin;

static const char *sentence_of(struct arena *a, const struct people_command *c) {
    struct buf b = buf_grow(8192);
    buf_printf(&b, "%s\n", c->sentence);
    for (size_t i = 0; i < c->count; i++)
        buf_printf(&b, "\n  %-12s %-28s %s", c->actions[i].name, c->actions[i].arguments,
                   c->actions[i].sentence);
    const char *text = arena_str(a, buf_bytes(&b));
    buf_free(&b);
    return text;
}

static const struct people_action *find_action(const struct people_command *c, struct bytes name) {
    for (size_t i = 0; i < c->count; i++)
        if (bytes_equal(name, bytes_str(c->actions[i].name)))
            return &c->actions[i];
    return NULL;
}

static int no_action(const struct people_command *c, const struct options *o, struct bytes name) {
    const char *names[32];
    MUST(c->count <= COUNT_OF(names));
    for (size_t i = 0; i < c->count; i++)
        names[i] = c->actions[i].name;
    const char *nearest = options_nearest(name, names, c->count);
    if (nearest)
        return options_misuse(o, "there is no action \"%.*s\": did you mean %s?", BYTES_FMT(name),
                              nearest);
    return options_misuse(o, "there is no action \"%.*s\"", BYTES_FMT(name));
}

static int run_as(const struct people_command *c, const struct options *o, struct people *p,
                  struct bytes file, const struct bytes *words) {
    bool show = bytes_equal(words[0], B("show"));
    if (!show && !bytes_equal(words[0], B("list")))
        return options_misuse(o, "--as goes with list and show; to change something is for root");
    p->arena = arena_open();
    int code = load(p, file);
    if (code == EX_OK)
        code = people_ask(p, c->name, show, show ? words[1] : BYTES_NONE);
    people_close(p);
    return code;
}

static int run_action(const struct people_command *c, const struct options *o, struct people *p,
                      struct bytes file, const struct bytes *words, size_t count) {
    const struct people_action *action = find_action(c, words[0]);
    if (!action)
        return no_action(c, o, words[0]);
    if (count - 1 < action->min || count - 1 > action->max)
        return options_misuse(o, "expected: postern %s %s %s", c->name, action->name,
                              action->arguments);
    if (p->as.len)
        return run_as(c, o, p, file, words);
    int code = people_open(p, file, action->secrets);
    if (code == EX_OK)
        code = action->run(p, words + 1, count - 1);
    people_close(p);
    return code;
}

int people_run(const struct people_command *c, int argc, char **argv) {
    struct bytes file = B("/etc/postern/postern.conf");
    struct bytes words[WORDS_MAX];
    size_t count = 0;
    struct people p = { 0 };
    struct option_row rows[ROWS_MAX] = {
        { .name = "-c", .value = "FILE", .help = "the configuration", .text = &file },
        { .name = "--json", .help = "answer in JSON, one object a line", .flag = &p.json },
        { .name = "--as",
          .value = "LOGIN",
          .help = "list, show: as this administrator of a tenant; asks for the password",
          .text = &p.as },
        { .name = "--password-stdin",
          .help = "read the password from standard input, one line",
          .flag = &people_password_stdin },
    };
    MUST(c->row_count + OWN_ROWS <= ROWS_MAX);
    for (size_t i = 0; i < c->row_count; i++)
        rows[OWN_ROWS + i] = c->rows[i];
    struct arena *a = arena_open();
    const struct options o = {
        .command = c->name,
        .arguments = "ACTION ...",
        .sentence = sentence_of(a, c),
        .rows = rows,
        .row_count = OWN_ROWS + c->row_count,
        .args = words,
        .args_min = 1,
        .args_max = WORDS_MAX,
        .arg_count = &count,
    };
    int code = options_parse(&o, argc, argv);
    if (code == OPTIONS_GO_ON)
        code = run_action(c, &o, &p, file, words, count);
    arena_close(&a);
    return code;
}
