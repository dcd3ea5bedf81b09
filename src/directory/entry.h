/* entry: what the directory says about an address or a login. A value; views live in the arena it
 * was made in. */
#ifndef DIRECTORY_ENTRY_H
#define DIRECTORY_ENTRY_H

#include "config/config.h"

enum directory_kind { DIRECTORY_USER, DIRECTORY_ALIAS, DIRECTORY_GROUP };

/* Who may send to a group, beside its allowed senders and moderators. */
enum directory_senders {
    DIRECTORY_EVERYONE,
    DIRECTORY_MEMBERS,
    DIRECTORY_LOGINS, /* whoever is logged in */
    DIRECTORY_LISTED, /* allowed senders alone */
};
/* Where mail to a group goes. */
enum directory_delivery { DIRECTORY_TO_MEMBERS, DIRECTORY_TO_MAILBOX, DIRECTORY_TO_BOTH };

struct directory_rules {
    enum directory_senders senders;
    enum directory_delivery delivery;
    bool members_send_as;    /* members may send as the group */
    struct bytes owner;      /* whom reports about its mail go to; empty: the sender */
    struct patterns allowed; /* may always send */
    struct strings moderators;
};

struct directory_vacation {
    bool set;
    int64_t from, until;  /* wall ms; 0: no bound */
    struct bytes text;    /* UTF-8, only in a whole entry */
    struct bytes subject; /* UTF-8, only in a whole entry; empty: "Auto: " and what was written */
};
static inline bool directory_vacation_holds(const struct directory_vacation *v, int64_t wall_ms) {
    return v->set && wall_ms >= v->from && (!v->until || wall_ms < v->until);
}

struct directory_entry {
    enum directory_kind kind;
    struct bytes address; /* its main address; for a user the login too */
    bool disabled;
    int64_t logins_since; /* user: wall ms; what a login before that earned is void */
    struct strings own;   /* user: its addresses: the main one and aliases that lead to it alone */
    struct patterns send_as; /* user: patterns granted with `user allow-sender` */
    struct strings targets;  /* alias: where mail to it goes; user: whom it is forwarded to; group:
                                members, only in a whole entry */
    const uint8_t
        *plain; /* whole group: parallel to targets, 1 for a user whose mail stays with it */
    bool keep;  /* user that forwards: a copy stays */
    struct directory_vacation vacation; /* user */
    struct directory_rules rules;       /* group */
    /* alias: the groups it is a name of (by aliases alone) that not everyone may send to */
    size_t group_count;
    const struct directory_entry *groups;
    struct bytes tenant;
};

#endif
