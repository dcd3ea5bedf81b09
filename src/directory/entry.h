/* entry: what the directory says about an address or a login. A value; views live in the arena it
 * was made in. */
#ifndef DIRECTORY_ENTRY_H
#define DIRECTORY_ENTRY_H

#include "config/config.h"

enum directory_kind { DIRECTORY_USER, DIRECTORY_ALIAS, DIRECTORY_GROUP };

struct directory_entry {
    enum directory_kind kind;
    struct bytes address; /* its main address; for a user the login too */
    bool disabled;
    int64_t logins_since; /* user: wall ms; what a login before that earned is void */
    struct strings own;   /* user: its addresses: the main one and aliases that lead to it alone */
    struct patterns send_as; /* user: patterns granted with `user allow-sender` */
    struct strings targets;  /* alias, group: where mail to it goes */
    struct bytes tenant;
};

#endif
