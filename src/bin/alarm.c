/* alarm: what the postmaster is told, and how often. The words are for somebody who does not know
 * Postern's events; the event itself stands below them. */
#include "bin/alarm.h"
#include "base/map.h"
#include "base/must.h"
#include "base/num.h"

#include <stdlib.h>
#include <string.h>

enum { PAUSE_MS = 60 * 60 * 1000, KINDS_MAX = 200, LINE_MAX_OCTETS = 4000 };

struct kind {
    struct timer timer;
    struct alarm *alarm;
    char name[64];
    char line[LINE_MAX_OCTETS];
    uint64_t left_out;
    int64_t last; /* loop time of the last mail; 0: never */
};

struct alarm {
    struct alarm_setup setup;
    struct map *kinds;
    uint64_t counter;
};

static const struct {
    const char *event;
    const char *words;
} meanings[] = {
    { "deferred",
      "A delivery failed for a reason that lies in this server's own configuration: a "
      "smart host refused its login, or cannot be found or reached. The mail is kept "
      "and tried again. Look at the route that the event names as next_hop: host, port, "
      "login and password; `postern check --live` tries them." },
    { "spool-damage",
      "A file of the queue is damaged: the disk or file system returned other octets "
      "than were written. What could be read is delivered; the damaged part was "
      "set aside and not deleted. Check the disk." },
    { "reload-refused", "A new configuration was refused and the old one still holds. `postern "
                        "check` shows what is wrong with the file." },
    { "limit-reached",
      "Somebody has sent as much as a limit allows, and is refused for now. A stolen password, "
      "or a machine that was taken over, looks like this. If it is more than its owner sends: "
      "disable the login with `postern user disable`, look at what was sent with `postern trace` "
      "and what still waits with `postern queue list`, then give it a new password. If it is "
      "right, raise the limit that the event names." },
    { "held",
      "A message ended a process twice and is now held, so that other mail goes on. Look at "
      "it with `postern queue show`; `postern queue release` tries it again." },
};

static const char *meaning_of(const char *event) {
    for (size_t i = 0; i < COUNT_OF(meanings); i++)
        if (!strcmp(meanings[i].event, event))
            return meanings[i].words;
    return "The server reports something that needs an administrator. The event below says what; "
           "the manual's table of events says what to do.";
}

/* Words in lines of at most 72 octets. */
static void add_wrapped(struct buf *out, struct bytes words) {
    size_t column = 0;
    struct bytes word;
    while (words.len && bytes_split(&words, ' ', &word)) {
        if (column && column + 1 + word.len > 72) {
            buf_str(out, "\r\n");
            column = 0;
        } else if (column) {
            buf_char(out, ' ');
            column++;
        }
        buf_add(out, word);
        column += word.len;
    }
    buf_str(out, "\r\n");
}

/* A JSON line in pieces that no mail program breaks. */
static void add_event(struct buf *out, struct bytes line) {
    while (line.len) {
        size_t n = line.len < 900 ? line.len : 900;
        while (n < line.len && ((unsigned char)line.at[n] & 0xc0) == 0x80)
            n--;
        buf_str(out, "  ");
        buf_add(out, bytes_first(line, n));
        buf_str(out, "\r\n");
        line = bytes_skip(line, n);
    }
}

static void write_mail(struct kind *k, struct buf *out) {
    struct alarm *a = k->alarm;
    int64_t wall = loop_wall(a->setup.loop);
    buf_printf(out, "From: Postern <MAILER-DAEMON@%.*s>\r\nTo: ", BYTES_FMT(a->setup.hostname));
    buf_add(out, a->setup.postmaster.len ? a->setup.postmaster : B("postmaster"));
    buf_printf(out, "\r\nSubject: Alarm on %.*s: %s\r\nDate: ", BYTES_FMT(a->setup.hostname),
               k->name);
    num_format_rfc5322(out, wall);
    buf_printf(out, "\r\nMessage-ID: <alarm.%llx.%llu@%.*s>\r\n", (unsigned long long)wall,
               (unsigned long long)++a->counter, BYTES_FMT(a->setup.hostname));
    buf_str(out, "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
                 "Content-Type: text/plain; charset=utf-8\r\n"
                 "Content-Transfer-Encoding: 8bit\r\n\r\n");
    add_wrapped(out, bytes_str(meaning_of(k->name)));
    buf_str(out, "\r\nThe event:\r\n\r\n");
    add_event(out, bytes_str(k->line));
    if (k->left_out)
        buf_printf(out, "\r\n%llu more of its kind came since the last mail about it.\r\n",
                   (unsigned long long)k->left_out);
    buf_str(out, "\r\nOne mail an hour is sent for each kind of event; the log has them all.\r\n");
}

static void send_mail(void *ctx) {
    struct kind *k = ctx;
    struct alarm *a = k->alarm;
    struct buf out = buf_grow(65536);
    write_mail(k, &out);
    k->left_out = 0;
    k->last = loop_now(a->setup.loop);
    a->setup.send(a->setup.ctx, a->setup.postmaster.len ? a->setup.postmaster : B("postmaster"),
                  buf_bytes(&out));
    buf_free(&out);
}

/* Each login that reaches its limit is news: the second stolen password does not wait for an hour
 * because of the first. With very many of them they share the event's own kind. */
static struct bytes key_of(struct alarm *a, struct bytes name, struct bytes line, struct buf *key) {
    ptrdiff_t at = bytes_search(line, B("\"login\":\""));
    if (at < 0 || !bytes_equal(name, B("limit-reached")))
        return name;
    struct bytes login = bytes_skip(line, (size_t)at + 9), until = login;
    bytes_split(&login, '"', &until);
    buf_printf(key, "%.*s %.*s", BYTES_FMT(name), BYTES_FMT(until));
    bool room = map_count(a->kinds) < KINDS_MAX / 2 || map_find(a->kinds, buf_bytes(key));
    return room && !key->full ? buf_bytes(key) : name;
}

static struct kind *get_kind(struct alarm *a, struct bytes name, struct bytes line) {
    char memory[400];
    struct buf text = buf_fixed(memory, sizeof memory);
    struct bytes key = key_of(a, name, line, &text);
    struct kind *k = map_find(a->kinds, key);
    if (k || map_count(a->kinds) >= KINDS_MAX || name.len >= sizeof(k->name))
        return k;
    k = calloc(1, sizeof(*k));
    MUST(k);
    k->alarm = a;
    memcpy(k->name, name.at, name.len);
    map_put(a->kinds, key, k);
    return k;
}

void alarm_event(void *alarm, const char *name, struct bytes line) {
    struct alarm *a = alarm;
    if (bytes_search(line, B("\"alarm\":true")) < 0)
        return;
    struct kind *k = get_kind(a, bytes_str(name), line);
    if (!k)
        return;
    if (timer_is_set(&k->timer)) {
        k->left_out++;
        return;
    }
    struct buf b = buf_fixed(k->line, sizeof(k->line));
    buf_add(&b, bytes_first(line, sizeof(k->line) - 1));
    buf_text(&b);
    int64_t since = loop_now(a->setup.loop) - k->last;
    bool soon = k->last && since < PAUSE_MS;
    timer_set(a->setup.loop, &k->timer, soon ? PAUSE_MS - since : 0, send_mail, k);
}

struct alarm *alarm_open(const struct alarm_setup *setup) {
    struct alarm *a = calloc(1, sizeof(*a));
    MUST(a);
    a->setup = *setup;
    a->kinds = map_open();
    return a;
}

void alarm_reload(struct alarm *a, struct bytes hostname, struct bytes postmaster) {
    a->setup.hostname = hostname;
    a->setup.postmaster = postmaster;
}

void alarm_close(struct alarm **ap) {
    struct alarm *a = *ap;
    *ap = NULL;
    if (!a)
        return;
    size_t position = 0;
    struct bytes key;
    void *value;
    while (map_next(a->kinds, &position, &key, &value)) {
        timer_clear(&((struct kind *)value)->timer);
        free(value);
    }
    map_close(&a->kinds);
    free(a);
}
