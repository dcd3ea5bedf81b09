/* people_json: the JSON of a user, alias or group; the one place that knows its keys. */
#include "bin/people_json.h"

static void json_key(struct buf *b, const char *key) {
    buf_char(b, ',');
    buf_json(b, bytes_str(key));
    buf_char(b, ':');
}

static void json_strings(struct buf *b, const char *key, struct strings list) {
    json_key(b, key);
    buf_char(b, '[');
    for (size_t i = 0; i < list.count; i++) {
        buf_str(b, i ? "," : "");
        buf_json(b, list.list[i]);
    }
    buf_char(b, ']');
}

struct strings people_patterns(struct arena *a, struct patterns patterns) {
    struct bytes *list = ARENA_ARRAY(a, patterns.count, struct bytes);
    for (size_t i = 0; i < patterns.count; i++) {
        const struct pattern *p = &patterns.list[i];
        list[i] = p->kind == PATTERN_ANY ? B("*") : p->kind == PATTERN_NULL ? B("<>") : p->text;
    }
    return (struct strings){ patterns.count, list };
}

const char *const people_senders[4] = { "everyone", "members", "logged-in", "listed" };
const char *const people_delivery[3] = { "members", "mailbox", "both" };

static void json_text(struct buf *b, const char *key, struct bytes text) {
    json_key(b, key);
    buf_json(b, text);
}

static void json_flag(struct buf *b, const char *key, bool on) {
    json_key(b, key);
    buf_str(b, on ? "true" : "false");
}

static void json_user(struct buf *b, struct arena *a, const struct directory_entry *e) {
    json_flag(b, "disabled", e->disabled);
    json_strings(b, "own", e->own);
    json_strings(b, "send_as", people_patterns(a, e->send_as));
    json_strings(b, "forward", e->targets);
    if (e->targets.count)
        json_flag(b, "keep_copy", e->keep);
    json_flag(b, "vacation", e->vacation.set);
}

static void json_group(struct buf *b, struct arena *a, const struct directory_entry *e) {
    const struct directory_rules *r = &e->rules;
    json_text(b, "senders", bytes_str(people_senders[r->senders]));
    json_strings(b, "allowed", people_patterns(a, r->allowed));
    json_strings(b, "moderators", r->moderators);
    json_text(b, "owner", r->owner);
    json_text(b, "send_as", r->members_send_as ? B("members") : B("nobody"));
    json_text(b, "deliver", bytes_str(people_delivery[r->delivery]));
    json_strings(b, "members", e->targets);
}

void people_json(struct buf *b, struct arena *a, const struct directory_entry *e) {
    static const char *const kinds[] = { "user", "alias", "group" };
    buf_str(b, "{\"address\":");
    buf_json(b, e->address);
    json_text(b, "kind", bytes_str(kinds[e->kind]));
    if (e->kind == DIRECTORY_USER)
        json_user(b, a, e);
    else if (e->kind == DIRECTORY_GROUP)
        json_group(b, a, e);
    else
        json_strings(b, "targets", e->targets);
}
