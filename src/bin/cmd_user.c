/* cmd_user: `postern user`: logins and their mailboxes. A user is a row in directory.db and, with a
 * password, one in secrets.db; this file alone keeps the two together. */
#include "base/must.h"
#include "base/num.h"
#include "bin/control.h"
#include "bin/layout.h"
#include "bin/password.h"
#include "bin/people.h"
#include "bin/user_mail.h"
#include "sys/loop.h"
#include "sys/random.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

int cmd_user(int argc, char **argv);

enum { APP_LIST_MAX = 16 };

static struct user_options {
    bool hash_stdin;  /* --hash-stdin */
    bool no_password; /* --no-password */
    bool reversible;  /* --reversible */
    struct bytes service;
    struct bytes senders[APP_LIST_MAX], networks[APP_LIST_MAX];
    size_t sender_count, network_count;
} given;
static struct user_mail mail;

/* --- passwords --------------------------------------------------------------------------------- */

enum { LINE_MAX_OCTETS = PASSWORD_LINE };

enum { TEXT_END = -1, TEXT_TOO_LONG = -2 };

/* The next line, or how it ended. */
static ssize_t read_text(int fd, char *into, size_t size) {
    size_t len = 0;
    ssize_t got;
    while ((got = read(fd, into + len, 1)) == 1 && into[len] != '\n')
        if (++len == size)
            return TEXT_TOO_LONG;
    return got != 1 && !len ? TEXT_END : (ssize_t)len;
}

static int read_password(char into[PASSWORD_LINE], size_t *len_out) {
    bool piped = people_password_stdin || given.hash_stdin;
    return password_read("postern user", piped, true, into, len_out);
}

/* --- helpers ----------------------------------------------------------------------------------- */

static int fail(const struct why *why) {
    return people_fail("postern user", why);
}

static int unknown(struct bytes address) {
    fprintf(stderr, "postern user: %.*s is not a user (postern user list shows all)\n",
            BYTES_FMT(address));
    return EX_NOUSER;
}

/* EX_OK and the entry, or the exit code. */
static int find(struct people *p, struct bytes address, struct directory_entry **out) {
    struct why why;
    if (directory_db_find_login(p->directory, address, p->arena, out, &why) != OK)
        return fail(&why);
    return *out ? EX_OK : unknown(address);
}

/* What the login earned before now is over: the directory says so to whoever asks, and the windows of
 * POP before SMTP that a running server has open are closed. */
static void ignore_line(void *ctx, struct bytes line) {
    (void)ctx;
    (void)line;
}

static enum rc end_windows(struct people *p, struct bytes address, struct why *why) {
    struct loop *l = loop_open();
    int64_t now = loop_wall(l);
    loop_close(&l);
    enum rc rc = directory_user_void_logins(p->directory, address, now, why);
    if (rc != OK || !config_pop_window(p->config))
        return rc;
    struct buf request = buf_grow(1024);
    buf_str(&request, "{\"command\":\"pop-close\",\"login\":");
    buf_json(&request, address);
    buf_char(&request, '}');
    control_ask(layout_path(p->arena, p->config, "run/control.sock"), buf_bytes(&request),
                ignore_line, NULL);
    buf_free(&request);
    return OK;
}

/* --- actions ----------------------------------------------------------------------------------- */

/* The password or hash of the command line's options, as the login's own. */
static enum rc store(struct people *p, struct bytes login, struct bytes word, struct why *why) {
    return given.hash_stdin   ? secrets_import(p->secrets, login, word, why)
           : given.reversible ? secrets_set_reversible(p->secrets, login, word, why)
                              : secrets_set(p->secrets, login, word, why);
}

static int conflicting(void) {
    if (!given.no_password || (!people_password_stdin && !given.hash_stdin && !given.reversible)) {
        if (!given.hash_stdin || (!people_password_stdin && !given.reversible))
            return EX_OK;
        fprintf(stderr, "postern user: --hash-stdin takes a hash, not a password: it goes with "
                        "neither --password-stdin nor --reversible\n");
        return EX_USAGE;
    }
    fprintf(stderr, "postern user: --no-password goes with no option that gives one\n");
    return EX_USAGE;
}

/* Asked before anything is written: a question that is not answered leaves no half of a user. */
static int add(struct people *p, const struct bytes *words, size_t count) {
    char password[LINE_MAX_OCTETS];
    size_t len = 0;
    struct why why;
    struct directory_entry *e = NULL;
    (void)count;
    int code = conflicting();
    if (code != EX_OK)
        return code;
    if (directory_db_find_login(p->directory, words[0], p->arena, &e, &why) != OK)
        return fail(&why);
    if (!e && !given.no_password)
        code = read_password(password, &len);
    if (code != EX_OK)
        return code;
    if (directory_user_add(p->directory, words[0], &why) != OK) {
        code = fail(&why);
    } else if (!given.no_password && store(p, words[0], bytes_of(password, len), &why) != OK) {
        code = fail(&why);
        directory_user_remove(p->directory, words[0], NULL);
    }
    explicit_bzero(password, sizeof password);
    /* Of a user of this name who was there before nothing is left. */
    if (code == EX_OK && end_windows(p, arena_lower(p->arena, words[0]), &why) != OK)
        code = fail(&why);
    if (code != EX_OK)
        return code;
    people_warn_domain(p, words[0]);
    people_done(p, "added", words[0]);
    return EX_OK;
}

static int passwd(struct people *p, const struct bytes *words, size_t count) {
    char password[LINE_MAX_OCTETS];
    size_t len = 0;
    struct why why;
    struct directory_entry *e;
    (void)count;
    int code = conflicting();
    if (code == EX_OK && given.no_password) {
        fprintf(stderr, "postern user: --no-password is for add; to shut a login out: postern user "
                        "disable\n");
        code = EX_USAGE;
    }
    if (code == EX_OK)
        code = find(p, words[0], &e);
    if (code == EX_OK)
        code = read_password(password, &len);
    if (code == EX_OK && store(p, e->address, bytes_of(password, len), &why) != OK)
        code = fail(&why);
    /* A row made just now knows nothing of the directory's. */
    if (code == EX_OK && secrets_disable(p->secrets, e->address, e->disabled, &why) != OK)
        code = fail(&why);
    explicit_bzero(password, sizeof password);
    if (code == EX_OK && end_windows(p, e->address, &why) != OK)
        code = fail(&why);
    if (code == EX_OK)
        people_done(p, "changed the password of", e->address);
    return code;
}

static void print_one(void *ctx, const struct directory_entry *e) {
    people_print(ctx, e);
}

static int list(struct people *p, const struct bytes *words, size_t count) {
    struct why why;
    (void)words;
    (void)count;
    enum rc rc = directory_db_list(p->directory, DIRECTORY_USER, print_one, p, &why);
    return rc == OK ? EX_OK : fail(&why);
}

/* What is known of how a user logs in; nothing for who may not read secrets.db. */
static struct secrets *open_secrets(struct people *p) {
    const char *file =
        arena_printf(p->arena, "%.*s/" SECRETS_FILE, BYTES_FMT(p->config->state_dir)).at;
    struct secrets *s = NULL;
    return p->secrets || secrets_open(file, false, &s, NULL) != OK ? p->secrets : s;
}

struct listing {
    struct people *people;
    struct buf *json;
    bool any;
};

static void print_app(void *ctx, const struct app_password *app) {
    struct listing *l = ctx;
    char day[40];
    struct buf when = buf_fixed(day, sizeof day);
    num_format_rfc3339(&when, app->created);
    printf("  %-12s %.*s  for %s%s%s, made %.10s\n", l->any ? "" : "app password",
           BYTES_FMT(app->name), app->smtp ? "smtp" : "", app->smtp && app->pop ? " and " : "",
           app->pop ? "pop3" : "", buf_text(&when));
    if (app->senders.len)
        printf("  %-12s   senders %.*s\n", "", BYTES_FMT(app->senders));
    if (app->networks.len)
        printf("  %-12s   networks %.*s\n", "", BYTES_FMT(app->networks));
    l->any = true;
}

static void add_words(struct buf *b, const char *key, struct bytes words) {
    const char *comma = "";
    struct bytes word;
    buf_printf(b, ",\"%s\":[", key);
    while (bytes_split(&words, ' ', &word))
        if (word.len) {
            buf_str(b, comma);
            buf_json(b, word);
            comma = ",";
        }
    buf_char(b, ']');
}

static void add_app(struct buf *b, const struct app_password *app) {
    buf_str(b, "{\"name\":");
    buf_json(b, app->name);
    add_words(b, "services",
              app->smtp && app->pop ? B("smtp pop3")
              : app->smtp           ? B("smtp")
                                    : B("pop3"));
    add_words(b, "senders", app->senders);
    add_words(b, "networks", app->networks);
    buf_str(b, ",\"created\":\"");
    num_format_rfc3339(b, app->created);
    buf_str(b, "\"}");
}

static void add_app_json(void *ctx, const struct app_password *app) {
    struct listing *l = ctx;
    buf_str(l->json, l->any ? "," : "");
    add_app(l->json, app);
    l->any = true;
}

static void print_certificate(void *ctx, struct bytes certificate) {
    struct listing *l = ctx;
    printf("  %-12s %.*s\n", l->any ? "" : "certificate", BYTES_FMT(certificate));
    l->any = true;
}

static void add_certificate_json(void *ctx, struct bytes certificate) {
    struct listing *l = ctx;
    buf_str(l->json, l->any ? "," : "");
    buf_json(l->json, certificate);
    l->any = true;
}

static const char *password_words(const struct secrets_kinds *k) {
    if (k->imported)
        return "imported hash, until the next login by PLAIN or LOGIN";
    if (!k->password)
        return "none of its own";
    return k->reversible ? "set, and kept reversibly for CRAM-MD5"
           : k->sha_1    ? "set"
                      : "set, without keys for SCRAM-SHA-1 until the next login by PLAIN or LOGIN";
}

static void print_logins(struct people *p, struct secrets *s, struct bytes login) {
    struct secrets_kinds kinds;
    struct listing apps = { .people = p }, certificates = { .people = p };
    if (secrets_kinds(s, login, &kinds, NULL) != OK)
        return;
    printf("  %-12s %s\n", "password", password_words(&kinds));
    secrets_app_list(s, login, print_app, &apps, NULL);
    secrets_certificates(s, login, print_certificate, &certificates, NULL);
}

static void add_logins_json(struct people *p, const struct directory_entry *e, struct buf *b) {
    struct secrets *s = open_secrets(p);
    struct secrets_kinds k;
    struct listing apps = { .json = b }, certificates = { .json = b };
    if (s && secrets_kinds(s, e->address, &k, NULL) == OK) {
        buf_printf(b, ",\"password\":\"%s\",\"app_passwords\":[",
                   k.imported     ? "imported"
                   : !k.password  ? "none"
                   : k.reversible ? "reversible"
                                  : "set");
        secrets_app_list(s, e->address, add_app_json, &apps, NULL);
        buf_str(b, "],\"certificates\":[");
        secrets_certificates(s, e->address, add_certificate_json, &certificates, NULL);
        buf_char(b, ']');
    }
    if (s != p->secrets)
        secrets_close(&s);
}

static int show(struct people *p, const struct bytes *words, size_t count) {
    struct directory_entry *e;
    (void)count;
    int code = find(p, words[0], &e);
    if (code != EX_OK)
        return code;
    p->add_json = add_logins_json;
    people_print_whole(p, e);
    struct secrets *s = p->json ? NULL : open_secrets(p);
    if (s)
        print_logins(p, s, e->address);
    secrets_close(&s);
    return EX_OK;
}

static int remove_user(struct people *p, const struct bytes *words, size_t count) {
    struct directory_entry *e;
    struct why why;
    (void)count;
    int code = find(p, words[0], &e);
    if (code != EX_OK)
        return code;
    /* The key first: a login without a mailbox is the worse of the two halves. */
    if (secrets_remove(p->secrets, e->address, &why) != OK ||
        end_windows(p, e->address, &why) != OK ||
        directory_user_remove(p->directory, e->address, &why) != OK)
        return fail(&why);
    people_note_leading(p, e->address);
    people_done(p, "removed", e->address);
    return EX_OK;
}

static int set_disabled(struct people *p, struct bytes address, bool disabled) {
    struct why why;
    if (directory_user_disable(p->directory, address, disabled, &why) != OK ||
        secrets_disable(p->secrets, address, disabled, &why) != OK ||
        (disabled && end_windows(p, arena_lower(p->arena, address), &why) != OK))
        return fail(&why);
    people_done(p, disabled ? "disabled" : "enabled", address);
    return EX_OK;
}

static int disable(struct people *p, const struct bytes *words, size_t count) {
    (void)count;
    return set_disabled(p, words[0], true);
}

static int enable(struct people *p, const struct bytes *words, size_t count) {
    (void)count;
    return set_disabled(p, words[0], false);
}

static int set_sender(struct people *p, const struct bytes *words, bool allow) {
    struct why why;
    if (directory_user_allow_sender(p->directory, words[0], words[1], allow, &why) != OK)
        return fail(&why);
    struct directory_entry *e;
    int code = find(p, words[0], &e);
    if (code == EX_OK)
        people_print_whole(p, e);
    return code;
}

static int allow_sender(struct people *p, const struct bytes *words, size_t count) {
    (void)count;
    return set_sender(p, words, true);
}

static int deny_sender(struct people *p, const struct bytes *words, size_t count) {
    (void)count;
    return set_sender(p, words, false);
}

/* --- hashes of other systems --------------------------------------------------------------------- */

static int import_one(struct people *p, struct bytes line, struct why *why) {
    struct bytes rest = line, login, hash = BYTES_NONE;
    struct directory_entry *e = NULL;
    bytes_split(&rest, ':', &login);
    bytes_split(&rest, ':', &hash);
    if (directory_db_find_login(p->directory, login, p->arena, &e, why) != OK)
        return -1;
    bool fresh = !e;
    if (fresh && directory_user_add(p->directory, login, why) != OK)
        return -1;
    if (secrets_import(p->secrets, login, hash, why) == OK &&
        (fresh || secrets_disable(p->secrets, login, e->disabled, why) == OK))
        return 0;
    if (fresh)
        directory_user_remove(p->directory, login, NULL);
    return -1;
}

/* Lines as LOGIN:HASH, or as passwd(5) and Dovecot's passwd-file have them. */
static int import(struct people *p, const struct bytes *words, size_t count) {
    bool is_file = count && !bytes_equal(words[0], B("-"));
    int fd = is_file ? open(arena_str(p->arena, words[0]), O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
    char line[LINE_MAX_OCTETS];
    unsigned number = 0, good = 0, bad = 0;
    struct why why;
    ssize_t len;
    if (fd < 0) {
        fprintf(stderr, "postern user: %.*s: %s\n", BYTES_FMT(words[0]), strerror(errno));
        return EX_NOINPUT;
    }
    while ((len = read_text(fd, line, sizeof line)) >= 0) {
        struct bytes text = bytes_trim(bytes_of(line, (size_t)len));
        number++;
        if (!text.len || text.at[0] == '#')
            continue;
        if (import_one(p, text, &why) == 0) {
            good++;
            continue;
        }
        fprintf(stderr, "postern user: line %u: %s\n", number, why.text);
        bad++;
    }
    explicit_bzero(line, sizeof line);
    if (is_file)
        close(fd);
    printf(p->json ? "{\"imported\":%u,\"refused\":%u}\n" : "imported %u, refused %u\n", good, bad);
    return bad || len == TEXT_TOO_LONG ? EX_DATAERR : EX_OK;
}

/* --- app passwords ------------------------------------------------------------------------------- */

/* "smtp", "pop3"; both without the option. */
static bool take_service(struct app_password *app) {
    app->smtp = !given.service.len || bytes_equal_nocase(given.service, B("smtp"));
    app->pop = !given.service.len || bytes_equal_nocase(given.service, B("pop3"));
    return app->smtp || app->pop;
}

static bool take_senders(struct people *p, struct bytes *out) {
    struct buf b = buf_grow(APP_SENDERS_MAX);
    struct pattern pattern;
    for (size_t i = 0; i < given.sender_count; i++) {
        struct bytes text = arena_lower(p->arena, given.senders[i]);
        if (bytes_find(text, ' ') >= 0 || !pattern_parse(text, p->arena, &pattern)) {
            fprintf(stderr,
                    "postern user: --sender \"%.*s\" is not an address pattern: expected "
                    "user@domain, domain, .domain, <> or *\n",
                    BYTES_FMT(text));
            buf_free(&b);
            return false;
        }
        buf_str(&b, b.len ? " " : "");
        buf_add(&b, text);
    }
    bool fits = !b.full;
    *out = arena_copy(p->arena, buf_bytes(&b));
    buf_free(&b);
    if (!fits)
        fprintf(stderr, "postern user: the senders are more than 1024 octets\n");
    return fits;
}

static bool take_networks(struct people *p, struct bytes *out) {
    struct buf b = buf_grow(APP_NETWORKS_MAX);
    for (size_t i = 0; i < given.network_count; i++) {
        struct network n;
        enum network_error wrong = network_parse(given.networks[i], &n);
        if (wrong != NETWORK_OK) {
            char text[64];
            struct buf better = buf_fixed(text, sizeof text);
            if (wrong == NETWORK_HOST_BITS)
                network_format(&better, n);
            fprintf(stderr, "postern user: --network \"%.*s\": expected %s%s\n",
                    BYTES_FMT(given.networks[i]),
                    better.len ? "" : "a network such as 192.0.2.0/24", buf_text(&better));
            buf_free(&b);
            return false;
        }
        buf_str(&b, b.len ? " " : "");
        network_format(&b, n);
    }
    bool fits = !b.full;
    *out = arena_copy(p->arena, buf_bytes(&b));
    buf_free(&b);
    if (!fits)
        fprintf(stderr, "postern user: the networks are more than 512 octets\n");
    return fits;
}

/* Shown once: it is nowhere else. */
static void tell_password(const struct people *p, struct bytes login, struct bytes name,
                          const char *password) {
    struct buf b = buf_grow(4096);
    if (p->json) {
        buf_str(&b, "{\"address\":");
        buf_json(&b, login);
        buf_str(&b, ",\"name\":");
        buf_json(&b, name);
        buf_printf(&b, ",\"password\":\"%s\"}\n", password);
    } else {
        buf_printf(&b, "%s\n", password);
        fprintf(stderr, "app password \"%.*s\" of %.*s, shown this once; the login is %.*s\n",
                BYTES_FMT(name), BYTES_FMT(login), BYTES_FMT(login));
    }
    fputs(buf_text(&b), stdout);
    explicit_bzero(b.at, b.len);
    buf_free(&b);
}

enum { APP_LETTERS = 20 }; /* 100 bits */

static int app_add(struct people *p, const struct directory_entry *e, struct bytes name) {
    struct app_password app = { .name = name, .created = (int64_t)time(NULL) * 1000 };
    char password[APP_LETTERS + 1];
    struct buf b = buf_fixed(password, sizeof password);
    struct why why;
    if (!take_service(&app)) {
        fprintf(stderr, "postern user: --service \"%.*s\": expected smtp or pop3\n",
                BYTES_FMT(given.service));
        return EX_USAGE;
    }
    if (!take_senders(p, &app.senders) || !take_networks(p, &app.networks))
        return EX_USAGE;
    random_id(&b, APP_LETTERS);
    enum rc rc = secrets_app_add(p->secrets, e->address, &app, buf_bytes(&b), &why);
    if (rc == OK && e->disabled)
        rc = secrets_disable(p->secrets, e->address, true, &why);
    if (rc == OK)
        tell_password(p, e->address, name, buf_text(&b));
    explicit_bzero(password, sizeof password);
    return rc == OK ? EX_OK : fail(&why);
}

static void print_app_json(void *ctx, const struct app_password *app) {
    struct buf b = buf_grow(8192);
    (void)ctx;
    add_app(&b, app);
    printf("%s\n", buf_text(&b));
    buf_free(&b);
}

static int app_list(struct people *p, const struct directory_entry *e) {
    struct listing l = { .people = p };
    struct why why;
    enum rc rc =
        secrets_app_list(p->secrets, e->address, p->json ? print_app_json : print_app, &l, &why);
    return rc == OK ? EX_OK : fail(&why);
}

static int app_remove(struct people *p, const struct directory_entry *e, struct bytes name) {
    struct why why;
    if (secrets_app_remove(p->secrets, e->address, name, &why) != OK)
        return fail(&why);
    people_done(p, "removed the app password of", e->address);
    return EX_OK;
}

static int app_password(struct people *p, const struct bytes *words, size_t count) {
    static const char *const actions[] = { "add", "list", "remove" };
    struct directory_entry *e;
    bool listing = bytes_equal(words[0], B("list")), adding = bytes_equal(words[0], B("add"));
    if (!listing && !adding && !bytes_equal(words[0], B("remove"))) {
        const char *nearest = options_nearest(words[0], actions, COUNT_OF(actions));
        fprintf(stderr, "postern user app-password: there is no action \"%.*s\": expected %s\n",
                BYTES_FMT(words[0]), nearest ? nearest : "add, list or remove");
        return EX_USAGE;
    }
    if (count != (listing ? 2 : 3)) {
        fprintf(stderr, "postern user: expected: postern user app-password %.*s ADDRESS%s\n",
                BYTES_FMT(words[0]), listing ? "" : " NAME");
        return EX_USAGE;
    }
    int code = find(p, words[1], &e);
    if (code != EX_OK)
        return code;
    return listing ? app_list(p, e) : adding ? app_add(p, e, words[2]) : app_remove(p, e, words[2]);
}

/* --- certificates ---------------------------------------------------------------------------------- */

static int set_certificate(struct people *p, const struct bytes *words, bool allow) {
    struct directory_entry *e;
    struct why why;
    int code = find(p, words[0], &e);
    if (code != EX_OK)
        return code;
    enum rc rc = allow ? secrets_allow_certificate(p->secrets, e->address, words[1], &why)
                       : secrets_deny_certificate(p->secrets, e->address, words[1], &why);
    if (rc == OK && e->disabled)
        rc = secrets_disable(p->secrets, e->address, true, &why);
    if (rc != OK)
        return fail(&why);
    people_done(p, allow ? "allowed the certificate for" : "denied the certificate for",
                e->address);
    return EX_OK;
}

static int allow_certificate(struct people *p, const struct bytes *words, size_t count) {
    (void)count;
    return set_certificate(p, words, true);
}

static int deny_certificate(struct people *p, const struct bytes *words, size_t count) {
    (void)count;
    return set_certificate(p, words, false);
}

static int forward(struct people *p, const struct bytes *words, size_t count) {
    return user_forward(p, &mail, words, count);
}

static int vacation(struct people *p, const struct bytes *words, size_t count) {
    return user_vacation(p, &mail, words, count);
}

static const struct people_action actions[] = {
    { "add", "ADDRESS", "make a user; asks for the password", 1, 1, add, true },
    { "passwd", "ADDRESS", "set another password", 1, 1, passwd, true },
    { "list", "", "all users", 0, 0, list, false },
    { "show", "ADDRESS", "a user's addresses and rights", 1, 1, show, false },
    { "remove", "ADDRESS", "forget a user; delivered mail stays", 1, 1, remove_user, true },
    { "disable", "ADDRESS", "refuse the login; mail still arrives", 1, 1, disable, true },
    { "enable", "ADDRESS", "the opposite", 1, 1, enable, true },
    { "allow-sender", "ADDRESS PATTERN", "let a user send as others", 2, 2, allow_sender, false },
    { "deny-sender", "ADDRESS PATTERN", "take that right back", 2, 2, deny_sender, false },
    { "forward", "ADDRESS TARGET...|off", "send its mail on to others", 2, 21, forward, false },
    { "vacation", "ADDRESS [off|show]", "answer for a user who is away (--text-stdin)", 1, 2,
      vacation, false },
    { "import", "[FILE]", "users and hashes of another system, LOGIN:HASH a line", 0, 1, import,
      true },
    { "app-password", "add|list|remove ADDRESS [NAME]", "passwords beside the login's own", 1, 3,
      app_password, true },
    { "allow-certificate", "ADDRESS CERTIFICATE", "let a client certificate log in (EXTERNAL)", 2,
      2, allow_certificate, true },
    { "deny-certificate", "ADDRESS CERTIFICATE", "take that back", 2, 2, deny_certificate, true },
};

int cmd_user(int argc, char **argv) {
    const struct option_row rows[] = {
        { .name = "--hash-stdin",
          .help = "add, passwd: read a hash of another system in place of a password",
          .flag = &given.hash_stdin },
        { .name = "--no-password",
          .help = "add: without a password here (Dovecot, PAM, tokens, certificates)",
          .flag = &given.no_password },
        { .name = "--keep-copy",
          .help = "forward: a copy stays in the mailbox",
          .flag = &mail.keep_copy },
        { .name = "--text-stdin",
          .help = "vacation: the text of the answer from standard input",
          .flag = &mail.text_stdin },
        { .name = "--subject",
          .value = "TEXT",
          .help = "vacation: the subject, in place of Auto: and the sender's",
          .text = &mail.subject },
        { .name = "--from",
          .value = "DAY",
          .help = "vacation: the first day, 2026-12-24",
          .text = &mail.from },
        { .name = "--until",
          .value = "DAY",
          .help = "vacation: the last day",
          .text = &mail.until },
        { .name = "--reversible",
          .help = "add, passwd: keep the password itself too, encrypted: CRAM-MD5 needs it",
          .flag = &given.reversible },
        { .name = "--service",
          .value = "SERVICE",
          .help = "app-password add: for smtp or pop3 only",
          .text = &given.service },
        { .name = "--sender",
          .value = "PATTERN",
          .help = "app-password add: for this sender only; may be given again",
          .list = given.senders,
          .count = &given.sender_count,
          .max = APP_LIST_MAX },
        { .name = "--network",
          .value = "CIDR",
          .help = "app-password add: from this network only; may be given again",
          .list = given.networks,
          .count = &given.network_count,
          .max = APP_LIST_MAX },
    };
    const struct people_command command = {
        .name = "user",
        .sentence = "users: a login, a mailbox, and what they may send as",
        .actions = actions,
        .count = COUNT_OF(actions),
        .rows = rows,
        .row_count = COUNT_OF(rows),
    };
    return people_run(&command, argc, argv);
}
