/* config: the configuration as the rest of the program reads it, and how it is read from
 * postern.conf. The file's names are a contract; src/config/schema.c holds one row a setting.
 *
 * A config is made by config_parse (the parent) or config_thaw (a child, from the memfd the parent
 * froze it into) and never changes. References file: and env: are resolved by the parent, so a
 * thawed config holds the secrets themselves; config_show and events never print them. All views
 * live as long as the config. */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "base/addr.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/why.h"

/* user@d beats d beats .d (subdomains, longest first) beats *; "*@d" is d. */
struct pattern {
    enum pattern_kind {
        PATTERN_NULL,
        PATTERN_ADDRESS,
        PATTERN_DOMAIN,
        PATTERN_SUBDOMAINS,
        PATTERN_ANY
    } kind;            /* PATTERN_NULL is "<>" */
    struct bytes text; /* "user@d", "d", ".d"; domain in lower case */
};
struct patterns {
    size_t count;
    const struct pattern *list;
};
struct strings {
    size_t count;
    const struct bytes *list;
};
struct networks {
    size_t count;
    const struct network *list;
};
struct rate {
    uint64_t count;
    int64_t window_ms;
};
struct rates {
    size_t count;
    const struct rate *list;
};

struct place { /* where in the file it stands, for messages */
    struct bytes file;
    int line;
};

struct map;

enum tls_mode { TLS_OFF, TLS_OFFER, TLS_REQUIRE, TLS_IMPLICIT };
enum auth_mode { AUTH_OFF, AUTH_OFFER, AUTH_REQUIRE };
enum { POP3_IDLE_MIN = 10 * 60 * 1000 }; /* RFC 1939 section 3 */
enum service { SERVICE_SMTP, SERVICE_POP3, SERVICE_ADMIN };
enum explain { EXPLAIN_FULL, EXPLAIN_BRIEF };
enum bare_newline { BARE_REFUSE, BARE_FIX };
enum recipients_mode { RECIPIENTS_DIRECTORY, RECIPIENTS_ANY, RECIPIENTS_PROBE };
enum caller_check { CALLER_OFF, CALLER_NOTE, CALLER_REQUIRE };
enum header_auth { HEADER_AUTH_OFF, HEADER_AUTH_NOTE, HEADER_AUTH_ENFORCE };
enum transport { TRANSPORT_MAILDIR, TRANSPORT_LMTP, TRANSPORT_SMTP };

struct deliver_to {
    enum transport transport;
    struct bytes host; /* LMTP, SMTP: name or address */
    uint16_t port;
    struct bytes path; /* lmtp:unix:PATH */
};

struct domain {
    struct place place;
    struct bytes name; /* lower case, A-labels */
    enum recipients_mode recipients;
    struct deliver_to deliver;
    enum header_auth header_auth;
    struct rates limit, limit_recipients;             /* of mail from outside */
    struct patterns blocked_senders, blocked_headers; /* for its recipients, besides the server's */
};

struct listener {
    struct place place;
    struct bytes name;
    struct strings bind; /* as written */
    size_t address_count;
    const struct addr *addresses; /* "*" became 0.0.0.0 and :: */
    enum service service;
    enum tls_mode tls;
    int tls_min; /* 12 or 13 */
    enum auth_mode auth;
    struct strings mechanisms; /* upper case, in order of preference */
    struct networks proxy_protocol_from;
    struct networks xclient_from;
    bool xclient_login;
    enum bare_newline bare_newline;
    struct bytes certificate, key;   /* paths as written; empty: the pair made in state_dir */
    struct bytes chain_pem, key_pem; /* read by the parent */
    uint64_t max_connections_per_client;
    uint64_t max_message_size;
    uint64_t max_recipients;
    int64_t idle_timeout;
    struct rates limit_per_client, limit_recipients_per_client; /* strangers too */
    struct strings blocklists, allowlists;                      /* the server's unless given */
    enum caller_check helo, ptr;
};
struct certificate {
    struct place place;
    struct bytes name, chain, key;
    struct bytes chain_pem, key_pem;
};

enum senders_mode { SENDERS_OWN, SENDERS_ANY, SENDERS_LIST };
enum header_from { HEADER_FROM_SENDERS, HEADER_FROM_STRICT, HEADER_FROM_ANY };

struct connector {
    struct place place;
    struct bytes name;
    struct networks clients, except;
    struct strings listeners; /* empty: all */
    bool auth_any;
    struct strings auth;               /* logins */
    struct strings client_certificate; /* "spki-sha256:HEX", "ca:PATH name:NAME" */
    int64_t pop_before_smtp;           /* 0: no */
    struct strings local_users;
    int64_t expires; /* wall ms, 0 never: the end of that day, UTC */
    struct bytes tenant;
    struct patterns may_relay_to; /* empty with to_accepted */
    bool to_accepted;             /* "accepted", the default: our own domains only */
    enum senders_mode senders;
    struct patterns sender_list;
    enum header_from header_from;
    struct rates limit, limit_total, limit_recipients;
    uint64_t max_recipients; /* 0: none of its own */
    struct strings without_auth_on, without_tls_on;
    struct bytes note;
};

struct tenant {
    struct place place;
    struct bytes name, hostname;
    struct strings domains;
    struct addr address; /* family 0: none */
    struct networks clients;
    struct rates limit, limit_recipients;
    uint64_t max_recipients;
    bool external_forwarding;
    struct strings admins;
};

enum tls_policy {
    TLS_POLICY_DEFAULT,
    TLS_POLICY_VERIFY,
    TLS_POLICY_REQUIRE,
    TLS_POLICY_OPPORTUNISTIC,
    TLS_POLICY_OFF
};
struct via {
    bool mx;       /* mx:NAME */
    bool implicit; /* smtps:// */
    struct bytes host;
    uint16_t port; /* 25, or 465 for smtps, unless written */
};
struct route {
    struct place place;
    struct bytes name;
    struct patterns to, from; /* from empty: any sender, the null sender too */
    size_t via_count;
    const struct via *via;
    enum tls_policy tls; /* never DEFAULT after parsing: the default that fits `via` is filled in */
    struct bytes ca_file;
    struct bytes login;                      /* the reference as written */
    struct bytes login_user, login_password; /* resolved; never shown */
    struct bytes
        login_client; /* instead of a password: an OAuth 2.0 client, as in its file; withheld
                                * from workers, who ask the fetcher for tokens */
    struct bytes login_ca_pem; /* of the client's ca_file */
    bool has_login, login_oauth;
    struct addr source_address;
    uint64_t max_connections; /* default 20 */
    struct rates rate;
    bool chunking; /* BDAT where the next hop offers it; default on */
};

/* Of the connectors' "ca:PATH name:NAME", each file once. */
enum { CLIENT_AUTHORITIES_MAX = 64 };
struct client_authority {
    struct bytes path, pem; /* pem: read by the parent */
};

/* A provider of tokens. */
struct oauth {
    struct place place;
    struct bytes name;
    struct bytes issuer, jwks, audience, claim, introspection;
    struct bytes keys;                     /* the key set, where jwks is a file */
    struct bytes ca_file, ca_pem;          /* empty: the system's */
    struct bytes client_id, client_secret; /* for the introspection; withheld from workers */
};

struct config {
    struct arena *arena;
    bool incomplete;          /* syntax or values were broken: only good for reading the findings */
    struct map *domain_index; /* config_domain's own */
    struct map *tenant_index; /* config_tenant_of's own */
    struct bytes file;
    struct bytes hostname, state_dir, mail_dir, run_as, keeper_as;
    unsigned workers;        /* resolved: at least 1 */
    struct bytes log;        /* "stderr", "journal", "file:PATH" */
    struct bytes postmaster; /* may be empty: no domain configured */
    enum explain explain;
    int64_t history_keep;
    uint64_t history_max_size;

    size_t domain_count, listener_count, certificate_count, connector_count, tenant_count,
        route_count, oauth_count;
    const struct domain *domains;
    const struct listener *listeners;
    const struct certificate *certificates;
    const struct connector *connectors;
    const struct tenant *tenants;
    const struct route *routes;
    size_t client_authority_count;
    const struct client_authority *client_authorities;
    const struct oauth *oauths;

    struct patterns blocked_senders, blocked_headers;

    struct {
        struct bytes store;
        struct {
            size_t count;
            const int64_t *list;
        } retry;
        int64_t give_up, warn_after;
        unsigned min_free; /* per cent */
    } queue;

    struct bytes directory; /* "sqlite" or "postgresql://..." */
    struct strings logins;
    struct bytes counters;
    struct strings dns;                    /* empty: full resolution; "system"; "127.0.0.1:5353" */
    struct bytes dns_trust_anchor;         /* "builtin" "file:PATH" "off", default filled in */
    struct strings blocklists, allowlists; /* dnslist_parse takes an entry apart */
    uint64_t blocklist_score;              /* refused at this sum of scores */
    bool greylist;
    int64_t greylist_delay, greylist_window, greylist_lifetime;
    uint64_t greylist_trust;
    uint64_t tripwire_senders, tripwire_helos;
    int64_t tripwire_window;
    struct bytes srs_secret; /* resolved; never shown */
    struct bytes alarm;
};

/* One finding about a configuration: an error makes serve and reload refuse it. */
struct config_finding {
    enum { FINDING_ERROR, FINDING_WARNING } severity;
    struct place place;
    struct bytes setting; /* "connector office: clients" */
    struct bytes text;    /* what is wrong, what was expected, what to do */
    struct bytes
        example;    /* of the proof: a stranger's transaction that would be relayed, or none */
    const char *id; /* stable: "config.syntax" "config.not-built" "proof.public" ... */
};
struct config_findings {
    size_t count;
    struct config_finding *list;
};

/* What the machine adds to the file; the caller knows it, config asks no machine. */
struct config_host {
    struct bytes hostname; /* default of hostname: the FQDN; empty: "localhost" */
    unsigned cores;        /* what workers = 0 stands for; 0: one */
    bool lift_not_built;   /* tests: settings whose feature is not built yet pass */
};
/* Reads and checks one file (PERM: see findings; *out is then there to look at, with `incomplete`
 * set when syntax or values, not only rules, were broken). `text` empty: the file is read. Resolves
 * file: and env:. *out is never NULL; the findings, in order of lines, live as long as it does. */
enum rc config_parse_on(const struct config_host *host, struct bytes file, struct bytes text,
                        struct config **out, struct config_findings *findings_out);
/* The same with hostname "localhost" and one worker unless the file says otherwise. */
enum rc config_parse(struct bytes file, struct bytes text, struct config **out,
                     struct config_findings *findings_out);
/* The full name of a machine that calls itself `nodename`, from the text of /etc/hosts: nodename
 * itself if it has a dot, else the first name with one on a line that has nodename, else nodename.
 * A view of one of both. Pure. */
struct bytes config_find_fqdn(struct bytes nodename, struct bytes hosts);
void config_close(struct config **c);
/* The children's copy: everything, secrets included, in one block. */
void config_freeze(struct buf *out, const struct config *c);
/* The workers': without what only keeper and fetcher need. */
void config_freeze_worker(struct buf *out, const struct config *c);
enum rc config_thaw(struct bytes frozen, struct config **out);
/* The effective configuration as a file, defaults included, secrets masked. */
void config_show(struct buf *out, const struct config *c);
/* Every setting there is, from the schema: its type, default, meaning, whether it is built. As
 * text for a terminal, as JSON rows (one object a line), as rows of the manual page. */
enum config_form { CONFIG_TEXT, CONFIG_JSON, CONFIG_ROFF };
void config_settings(struct buf *out, enum config_form form);

const struct domain *config_domain(const struct config *c, struct bytes name);       /* or NULL */
const struct connector *config_connector(const struct config *c, struct bytes name); /* or NULL */
const struct listener *config_listener(const struct config *c, struct bytes name);   /* or NULL */
const struct tenant *config_tenant(const struct config *c, struct bytes name);       /* or NULL */
/* The longest pop_before_smtp of all connectors; 0: there is none. */
int64_t config_pop_window(const struct config *c);
/* An entry of blocklists or allowlists: "zone", "zone=2", "zone:127.0.0.2", "zone:127.0.0.4-7=3". */
struct dnslist {
    struct bytes zone;
    uint32_t first, last; /* answers it is about, in the host's order; 0: any */
    unsigned score;       /* 0: none given */
};
bool dnslist_parse(struct bytes entry, struct dnslist *out);
uint32_t dnslist_code(struct addr answer); /* 0: no IPv4 address */
/* The zones of a listener's lists, each once. */
size_t dnslist_zones(const struct listener *l, struct bytes *out, size_t max);
/* For people: without the customer's key that some lists have as the first label. */
struct bytes dnslist_name(struct bytes zone);
/* "ca:PATH name:NAME" of client_certificate; false for one by its key. */
bool config_certificate_split(struct bytes entry, struct bytes *path_out, struct bytes *name_out);
/* Is a client asked for its certificate here: could a grant or a login need it? */
bool config_wants_certificate(const struct config *c, const struct listener *l);
/* The name a tenant's mail goes by: its own, or the server's (also for one that is not there). */
struct bytes config_hostname(const struct config *c, struct bytes tenant);
/* Whose address of ours this is; NULL: no tenant's. */
const struct tenant *config_tenant_at(const struct config *c, struct addr local);
/* Whose domain this is: of a mailbox, or a domain itself; NULL: no tenant's. */
const struct tenant *config_tenant_of(const struct config *c, struct bytes mailbox);
const struct oauth *config_oauth(const struct config *c, struct bytes name); /* or NULL */
/* Whether anything is to be fetched over HTTP: keys, introspections, tokens for routes. */
bool config_needs_fetcher(const struct config *c);
/* The first of `logins` that must see the password to know it (dovecot:, pam:), or empty. */
struct bytes config_password_source(const struct config *c);
bool strings_has(struct strings list, struct bytes text); /* ASCII case folded */
bool networks_have(struct networks list, struct addr a);

/* Pattern matching (config/pattern.c): mailbox is local@domain or empty for the null sender. The
 * specificity says which of several wins: 0 no match, higher is more specific. */
unsigned pattern_match(const struct pattern *p, struct bytes mailbox);
unsigned patterns_match(struct patterns list, struct bytes mailbox); /* the best one's */
bool pattern_parse(struct bytes text, struct arena *a, struct pattern *out);

#endif
