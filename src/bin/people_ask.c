/* people_ask: `postern user|alias|group list` and `show` for a tenant's administrator: the running server
 * proves the login and tells what is the tenant's own. */
#include "bin/control.h"
#include "bin/layout.h"
#include "bin/password.h"
#include "bin/people.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

struct asking {
    const struct people *people;
    const char *kind;
    bool whole;
    size_t count;
    int code;
};

static void print_safe(const char *text) {
    struct buf b = buf_grow(1 << 20);
    buf_printable(&b, bytes_str(text));
    fputs(buf_text(&b), stdout);
    buf_free(&b);
}

static void print_pair(const char *key, const char *value) {
    printf("  %-10s ", key);
    print_safe(value);
    putchar('\n');
}

/* What is false, empty or not there is not worth a line. */
static void print_value(const char *key, const json_t *value) {
    if (json_is_true(value))
        print_pair(key, "yes");
    else if (json_is_string(value) && json_string_length(value))
        print_pair(key, json_string_value(value));
    for (size_t i = 0; i < json_array_size(value); i++)
        print_pair(i ? "" : key, json_string_value(json_array_get(value, i)));
}

static void print_whole(json_t *e) {
    const char *key;
    json_t *value;
    print_safe(json_string_value(json_object_get(e, "address")));
    putchar('\n');
    json_object_foreach(e, key, value) {
        if (strcmp(key, "address") != 0 && strcmp(key, "kind") != 0)
            print_value(key, value);
    }
}

static void print_line(const json_t *e) {
    const json_t *targets = json_object_get(e, "targets"), *members = json_object_get(e, "members");
    print_safe(json_string_value(json_object_get(e, "address")));
    if (json_is_true(json_object_get(e, "disabled")))
        fputs(" (disabled)", stdout);
    if (members)
        printf(": %zu member%s, senders %s", json_array_size(members),
               json_array_size(members) == 1 ? "" : "s",
               json_string_value(json_object_get(e, "senders")));
    for (size_t i = 0; i < json_array_size(targets); i++) {
        fputs(i ? ", " : " -> ", stdout);
        print_safe(json_string_value(json_array_get(targets, i)));
    }
    putchar('\n');
}

static void each(void *ctx, struct bytes line) {
    struct asking *k = ctx;
    json_t *e = json_loadb(line.at, line.len, 0, NULL);
    const char *error = json_string_value(json_object_get(e, "error"));
    if (!json_is_object(e) || error) {
        fprintf(stderr, "postern %s: %s\n", k->kind, error ? error : "the answer was cut off");
        k->code = EX_UNAVAILABLE;
    } else {
        k->count++;
        if (k->people->json)
            printf("%.*s\n", BYTES_FMT(line));
        else if (k->whole)
            print_whole(e);
        else
            print_line(e);
    }
    json_decref(e);
}

static json_t *string_of(struct bytes text) {
    return json_stringn(text.at ? text.at : "", text.len);
}

static char *request_of(const struct asking *k, struct bytes address, struct bytes password) {
    json_t *request =
        json_pack("{s:s,s:s,s:b}", "command", "people", "kind", k->kind, "show", (int)k->whole);
    json_object_set_new(request, "address", string_of(address));
    json_object_set_new(request, "as", string_of(k->people->as));
    json_object_set_new(request, "password", string_of(password));
    char *text = json_dumps(request, JSON_COMPACT);
    json_decref(request);
    return text;
}

int people_ask(struct people *p, const char *kind, bool show, struct bytes address) {
    struct asking k = { p, kind, show, 0, EX_OK };
    char password[PASSWORD_LINE], command[40];
    size_t len;
    snprintf(command, sizeof command, "postern %s", kind);
    int code = password_read(command, people_password_stdin, false, password, &len);
    if (code != EX_OK)
        return code;
    char *text = request_of(&k, address, bytes_of(password, len));
    explicit_bzero(password, sizeof password);
    if (!control_ask(layout_path(p->arena, p->config, "run/control.sock"),
                     bytes_str(text ? text : "{}"), each, &k)) {
        fprintf(stderr, "postern %s: --as needs the running server, and none answers\n", kind);
        k.code = EX_UNAVAILABLE;
    }
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
    if (k.code != EX_OK || k.count || !k.whole)
        return k.code;
    fprintf(stderr, "postern %s: %.*s is not %s %s (postern %s list shows all)\n", kind,
            BYTES_FMT(address), *kind == 'a' ? "an" : "a", kind, kind);
    return EX_NOUSER;
}
