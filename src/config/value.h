/* value: the types of settings. Each knows how to read a value out of the file into its field, how
 * to show the field again, and the words for what it expects. */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include "config/reading.h"
#include "config/schema.h"
#include "config/syntax.h"

/* One value on its way from the file into a struct. */
struct input {
    struct reading *r;
    const struct setting *setting;
    const struct syntax_setting *from;
    struct bytes label; /* "connector office: clients" */
    void *base;         /* the section's struct, or the config */
};

struct type {
    const char *name;     /* "duration", for people */
    const char *expected; /* "a duration such as 30s, 15min, 4h or 5d" */
    bool list;            /* written {a, b} */
    const char *or_word;  /* a list type that may also be one of these bare words */
    void (*range)(struct buf *b, uint64_t n); /* how min and max are written; NULL: none shown */
    /* False when it complained. Sees all items, or none for {}. */
    bool (*read)(const struct input *in);
    /* False when there is nothing to show. */
    bool (*show)(struct buf *b, const struct setting *s, const void *base);
};

extern const struct type type_text, type_name, type_path, type_host, type_mailbox, type_one_of,
    type_choice, type_switch, type_count, type_duration, type_size, type_percent, type_date,
    type_address, type_secret, type_login, type_client, type_url, type_keys, type_deliver;
/* Lists. */
extern const struct type type_binds, type_networks, type_patterns, type_rates, type_durations,
    type_vias, type_domains, type_mailboxes, type_names, type_words, type_spki, type_servers,
    type_dnslists, type_own_dnslists;
/* A list, or a word that stands for one. */
extern const struct type type_logins, type_relay_to, type_senders;

/* The one way a setting gets its value; complains and returns false when it cannot. */
bool value_read(const struct input *in);

/* The checks of titles: what is kept, or empty when it is not valid. */
struct bytes value_name(struct bytes text);
struct bytes value_host(struct arena *a, struct bytes text);

#endif
