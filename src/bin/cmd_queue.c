/* cmd_queue: `postern queue`: look at what waits, and steer it. Speaks to the running server; with the
 * server stopped it reads the lanes itself. */
#include "base/must.h"
#include "base/num.h"
#include "bin/commands.h"
#include "bin/control.h"
#include "bin/layout.h"
#include "bin/offline.h"
#include "bin/options.h"
#include "bin/password.h"
#include "bin/settings.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

enum { IDS_MAX = 1000 };

struct queue_command {
    struct bytes file, sender, recipient, domain, next_hop, state, older, newer;
    struct bytes ids[IDS_MAX];
    size_t id_count;
    bool json, all, from_stdin;
    struct bytes as; /* a tenant's administrator */
    char password[PASSWORD_LINE];
    size_t password_len;
    struct config *config;
    struct arena *arena;
    const char *order; /* of the subcommands that change something */
    size_t shown, changed, failed;
    json_t *found; /* ids the filter chose */
    json_t *total; /* stats, added up over the workers */
    bool whole;    /* show: every recipient and reply */
};

/* --- asking ------------------------------------------------------------------------------ */

static bool ask(struct queue_command *q, json_t *request,
                void (*each)(void *ctx, struct bytes line)) {
    if (q->as.len) {
        json_object_set_new(request, "as", json_stringn(q->as.at, q->as.len));
        json_object_set_new(request, "password", json_stringn(q->password, q->password_len));
    }
    char *text = json_dumps(request, JSON_COMPACT);
    json_decref(request);
    struct bytes path = layout_path(q->arena, q->config, "run/control.sock");
    struct why why;
    bool ok = control_ask(path, bytes_str(text), each, q);
    if (!ok && q->as.len)
        why_set(&why, TEMP, 0, NULL, "control", "--as needs the running server, and none answers");
    else if (!ok)
        ok = offline_ask(q->config, bytes_str(text), each, q, &why) == OK;
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
    if (!ok) {
        fprintf(stderr, "postern queue: %s\n", why.text);
        q->failed++;
    }
    return ok;
}

static json_t *string_of(struct bytes text) {
    return json_stringn(text.at ? text.at : "", text.len);
}

static void set(json_t *filter, const char *key, struct bytes value) {
    if (value.len)
        json_object_set_new(filter, key, string_of(value));
}

/* An age such as 2h: before (older) or after that time. */
static bool set_age(json_t *filter, const char *key, struct bytes age) {
    int64_t ms;
    if (!age.len)
        return true;
    if (!num_parse_duration(age, &ms))
        return false;
    json_object_set_new(filter, key, json_integer((int64_t)time(NULL) * 1000 - ms));
    return true;
}

static json_t *list_request(const struct queue_command *q, struct bytes id) {
    json_t *filter = json_object();
    set(filter, "id", id);
    set(filter, "sender", q->sender);
    set(filter, "recipient", q->recipient);
    set(filter, "domain", q->domain);
    set(filter, "next_hop", q->next_hop);
    set(filter, "state", q->state);
    if (!set_age(filter, "older_than", q->older) || !set_age(filter, "newer_than", q->newer)) {
        json_decref(filter);
        return NULL;
    }
    return json_pack("{s:s,s:o}", "command", "queue-list", "filter", filter);
}

/* --- showing ----------------------------------------------------------------------------- */

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static void print_safe(const char *text) {
    struct buf b = buf_grow(1 << 20);
    buf_printable(&b, bytes_str(text));
    fputs(buf_text(&b), stdout);
    buf_free(&b);
}

static void print_recipient(const json_t *r) {
    const char *next = text_of(r, "next"), *reply = text_of(r, "reply");
    fputs("    ", stdout);
    print_safe(text_of(r, "address"));
    printf("  %s", text_of(r, "state"));
    long long attempts = json_integer_value(json_object_get(r, "attempts"));
    if (attempts)
        printf(" after %lld attempt%s", attempts, attempts == 1 ? "" : "s");
    if (*next)
        printf(", next %s", next);
    fputs(", by ", stdout);
    print_safe(text_of(r, "next_hop"));
    putchar('\n');
    if (*reply) {
        fputs("        ", stdout);
        print_safe(reply);
        putchar('\n');
    }
}

static void print_message(const struct queue_command *q, const json_t *m) {
    struct buf size = buf_grow(64);
    num_format_size(&size, (uint64_t)json_integer_value(json_object_get(m, "size")));
    printf("%s  %s  %s  from ", text_of(m, "id"), text_of(m, "arrived"), buf_text(&size));
    buf_free(&size);
    print_safe(*text_of(m, "from") ? text_of(m, "from") : "<>");
    putchar('\n');
    if (q->whole && *text_of(m, "message_id")) {
        fputs("    Message-ID ", stdout);
        print_safe(text_of(m, "message_id"));
        putchar('\n');
    }
    const json_t *recipients = json_object_get(m, "recipients");
    size_t count = json_array_size(recipients), most = q->whole ? count : 10;
    for (size_t i = 0; i < count && i < most; i++)
        print_recipient(json_array_get(recipients, i));
    if (count > most)
        printf("    ... and %zu more: postern queue show %s\n", count - most, text_of(m, "id"));
}

static void each_message(void *ctx, struct bytes line) {
    struct queue_command *q = ctx;
    json_t *m = json_loadb(line.at, line.len, 0, NULL);
    if (json_object_get(m, "error")) {
        fprintf(stderr, "postern queue: %s\n", text_of(m, "error"));
        q->failed++;
    } else if (q->json) {
        printf("%.*s\n", BYTES_FMT(line));
        q->shown++;
    } else if (m) {
        print_message(q, m);
        q->shown++;
    }
    json_decref(m);
}

static int list(struct queue_command *q) {
    size_t asks = q->id_count ? q->id_count : 1;
    for (size_t i = 0; i < asks; i++) {
        json_t *request = list_request(q, q->id_count ? q->ids[i] : BYTES_NONE);
        if (!request) {
            fprintf(stderr, "postern queue: an age is a number and a unit: 30min, 4h, 2d\n");
            return EX_USAGE;
        }
        ask(q, request, each_message);
    }
    if (q->failed)
        return EX_UNAVAILABLE;
    if (q->id_count && !q->shown) {
        fprintf(stderr, "postern queue: not in the queue: it may be done (postern trace tells)\n");
        return 1;
    }
    if (!q->json)
        printf(q->shown ? "%zu message%s\n" : "The queue is empty\n", q->shown,
               q->shown == 1 ? "" : "s");
    return 0;
}

static int show(struct queue_command *q) {
    q->whole = true;
    return list(q);
}

/* --- stats ------------------------------------------------------------------------------- */

static void add_up(void *ctx, struct bytes line) {
    struct queue_command *q = ctx;
    json_t *one = json_loadb(line.at, line.len, 0, NULL);
    const char *key;
    json_t *value;
    if (json_object_get(one, "error")) {
        fprintf(stderr, "postern queue: %s\n", text_of(one, "error"));
        q->failed++;
        json_decref(one);
        return;
    }
    json_object_foreach(one, key, value) {
        json_t *sum = json_object_get(q->total, key);
        if (json_is_integer(value))
            json_object_set_new(q->total, key,
                                json_integer(json_integer_value(sum) + json_integer_value(value)));
        else if (!sum || strcmp(json_string_value(value), json_string_value(sum)) < 0)
            json_object_set(q->total, key, value);
    }
    json_decref(one);
}

static int stats(struct queue_command *q) {
    q->total = json_object();
    ask(q, json_pack("{s:s}", "command", "queue-stats"), add_up);
    if (q->json) {
        char *text = json_dumps(q->total, JSON_COMPACT);
        puts(text);
        free(text);
    } else {
        const char *key;
        json_t *value;
        json_object_foreach(q->total, key, value) {
            if (json_is_integer(value))
                printf("%-16s %lld\n", key, (long long)json_integer_value(value));
            else
                printf("%-16s %s\n", key, json_string_value(value));
        }
    }
    json_decref(q->total);
    return q->failed ? EX_UNAVAILABLE : 0;
}

/* --- orders ------------------------------------------------------------------------------ */

static void note_found(void *ctx, struct bytes line) {
    struct queue_command *q = ctx;
    json_t *m = json_loadb(line.at, line.len, 0, NULL);
    json_t *id = json_object_get(m, "id");
    if (json_object_get(m, "error")) {
        fprintf(stderr, "postern queue: %s\n", text_of(m, "error"));
        q->failed++;
    }
    if (id)
        json_array_append(q->found, id);
    json_decref(m);
}

static void each_result(void *ctx, struct bytes line) {
    struct queue_command *q = ctx;
    json_t *r = json_loadb(line.at, line.len, 0, NULL);
    q->changed += (size_t)json_integer_value(json_object_get(r, "changed"));
    if (json_object_get(r, "error")) {
        fprintf(stderr, "postern queue: %s\n", text_of(r, "error"));
        q->failed++;
    }
    json_decref(r);
}

static bool has_filter(const struct queue_command *q) {
    return q->sender.len || q->recipient.len || q->domain.len || q->next_hop.len || q->state.len ||
           q->older.len || q->newer.len;
}

static int order(struct queue_command *q) {
    if (!q->id_count && !has_filter(q) && !q->all) {
        fprintf(stderr,
                "postern queue %s: say which: ids, a filter (--recipient, --domain, "
                "--sender, --older ...), or --all\n",
                q->order);
        return EX_USAGE;
    }
    q->found = json_array();
    for (size_t i = 0; i < q->id_count; i++)
        json_array_append_new(q->found, string_of(q->ids[i]));
    json_t *request = q->id_count ? NULL : list_request(q, BYTES_NONE);
    if (!q->id_count && !request) {
        fprintf(stderr, "postern queue: an age is a number and a unit: 30min, 4h, 2d\n");
        return EX_USAGE;
    }
    if (request)
        ask(q, request, note_found);
    size_t count = json_array_size(q->found);
    for (size_t i = 0; i < count && !q->failed; i++) {
        json_t *id = json_array_get(q->found, i);
        ask(q, json_pack("{s:s,s:s,s:O}", "command", "operate", "order", q->order, "id", id),
            each_result);
        if (count > 1000 && i % 1000 == 999)
            fprintf(stderr, "%zu of %zu messages\n", i + 1, count);
    }
    json_decref(q->found);
    if (q->failed && !q->changed)
        return EX_UNAVAILABLE;
    if (q->json)
        printf("{\"order\":\"%s\",\"messages\":%zu,\"changed\":%zu}\n", q->order, count,
               q->changed);
    else
        printf("%s: %zu recipient%s of %zu message%s\n", q->order, q->changed,
               q->changed == 1 ? "" : "s", count, count == 1 ? "" : "s");
    if (q->failed)
        return EX_UNAVAILABLE;
    if (!q->changed)
        fprintf(stderr, "postern queue: nothing changed: not in the queue, being sent at this "
                        "moment, or already so\n");
    return q->changed ? 0 : 1;
}

/* --- the command line -------------------------------------------------------------------- */

static const struct options_action actions[] = {
    { "list", "", "list what waits" },
    { "show", "ID ...", "one or more messages with all recipients and replies" },
    { "retry", "[ID ...]", "try now" },
    { "hold", "[ID ...]", "stop trying until released" },
    { "release", "[ID ...]", "try held ones again" },
    { "bounce", "[ID ...]", "give up and tell the sender" },
    { "remove", "[ID ...]", "give up without telling anybody" },
    { "stats", "", "how much waits, in which state" },
};
/* In the same order. */
static int (*const runs[COUNT_OF(actions)])(struct queue_command *q) = {
    list, show, order, order, order, order, order, stats,
};

static int run(struct queue_command *q, size_t at, int argc, char **argv) {
    const struct option_row rows[] = {
        { .name = "-c", .value = "FILE", .help = "the configuration", .text = &q->file },
        { .name = "--sender", .value = "ADDRESS", .help = "envelope sender", .text = &q->sender },
        { .name = "--recipient",
          .value = "ADDRESS",
          .help = "one of the recipients",
          .text = &q->recipient },
        { .name = "--domain",
          .value = "DOMAIN",
          .help = "domain of a recipient",
          .text = &q->domain },
        { .name = "--next-hop",
          .value = "HOP",
          .help = "where it goes next, as list shows it",
          .text = &q->next_hop },
        { .name = "--state",
          .value = "STATE",
          .help = "due, deferred or held; several with commas",
          .text = &q->state },
        { .name = "--older",
          .value = "AGE",
          .help = "arrived longer ago than 30min, 4h, 2d",
          .text = &q->older },
        { .name = "--newer", .value = "AGE", .help = "arrived since", .text = &q->newer },
        { .name = "--all",
          .help = "all messages, for the subcommands that change something",
          .flag = &q->all },
        { .name = "--as",
          .value = "LOGIN",
          .help = "as this administrator of a tenant, of what is its own; asks for the password",
          .text = &q->as },
        { .name = "--password-stdin",
          .help = "read that password from standard input, one line",
          .flag = &q->from_stdin },
        { .name = "--json", .help = "one JSON object a line", .flag = &q->json },
    };
    char name[32];
    snprintf(name, sizeof(name), "queue %s", actions[at].name);
    const struct options o = {
        .command = name,
        .arguments = actions[at].arguments,
        .sentence = actions[at].sentence,
        .rows = rows,
        .row_count = COUNT_OF(rows),
        .args = q->ids,
        .args_max = IDS_MAX,
        .arg_count = &q->id_count,
    };
    int rc = options_parse(&o, argc, argv);
    if (rc != OPTIONS_GO_ON)
        return rc;
    q->config = settings_find("queue", q->file);
    if (!q->config)
        return EX_CONFIG;
    q->order = actions[at].name;
    rc = q->as.len
             ? password_read("postern queue", q->from_stdin, false, q->password, &q->password_len)
             : EX_OK;
    if (rc == EX_OK)
        rc = runs[at](q);
    explicit_bzero(q->password, sizeof q->password);
    config_close(&q->config);
    return rc;
}

int cmd_queue(int argc, char **argv) {
    static struct queue_command q = { 0 };
    int code;
    q.file = SETTINGS_FILE;
    size_t at = options_take_action("queue", actions, COUNT_OF(actions), argc, argv, &code);
    if (at == COUNT_OF(actions))
        return code;
    q.arena = arena_open();
    code = run(&q, at, argc - 1, argv + 1);
    arena_close(&q.arena);
    return code;
}
