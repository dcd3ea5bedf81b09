/* schema: every setting there is. To add one, add a row here and a field in config.h and in
 * freeze.c; nothing else needs to know. */
#include "config/schema.h"

#include "base/must.h"
#include "config/value.h"

#define IN(type, field) offsetof(struct type, field), sizeof(((struct type *)0)->field)
#define IN_LIST(type, list, count)                                                                 \
    sizeof(struct type), offsetof(struct type, place), offsetof(struct type, name),                \
        offsetof(struct config, count), offsetof(struct config, list)
#define SECOND UINT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)
#define KIB    UINT64_C(1024)
#define MIB    (1024 * KIB)
#define GIB    (1024 * MIB)

const struct schema_section schema_sections[] = {
    { "", .sentence = "Settings of the whole server." },
    { "history", .sentence = "What postern trace reads: append-only files of their own." },
    { "domain", TITLE_DOMAIN, IN_LIST(domain, domains, domain_count),
      "A domain that is ours: mail to it is accepted from everyone and delivered here." },
    { "listener", TITLE_NAME, IN_LIST(listener, listeners, listener_count),
      "Where connections are accepted, and what is asked of them." },
    { "certificate", TITLE_DOMAIN, IN_LIST(certificate, certificates, certificate_count),
      "A certificate for one more name, chosen by the name the client asks for (SNI)." },
    { "connector", TITLE_NAME, IN_LIST(connector, connectors, connector_count),
      "A grant to relay: who (clients to tenant), and what (may_relay_to to limits). Nothing else "
      "grants it." },
    { "tenant", TITLE_NAME, IN_LIST(tenant, tenants, tenant_count),
      "A customer with domains, limits and a face of its own." },
    { "route", TITLE_NAME, IN_LIST(route, routes, route_count),
      "Where mail to other domains goes; without a route it goes to the recipient's MX." },
    { "queue", .sentence = "How accepted mail is kept and retried." },
    { "oauth", TITLE_NAME, IN_LIST(oauth, oauths, oauth_count),
      "A provider of OAuth 2.0 tokens for logins, named in logins as oauth:NAME." },
};
const size_t schema_section_count = COUNT_OF(schema_sections);

const struct setting schema[] = {
    { "", "hostname", &type_host, IN(config, hostname), .otherwise = "the machine's full host name",
      .sentence = "The server's own name, in 220, EHLO, Received and reports." },
    { "", "state_dir", &type_path, IN(config, state_dir), .fallback = "\"/var/lib/postern\"",
      .restart = true,
      .sentence = "Directory of the spool, the directory, keys, history and run/control.sock." },
    { "", "mail_dir", &type_path, IN(config, mail_dir), .otherwise = "mail in state_dir",
      .restart = true, .sentence = "Directory of the Maildirs, as DOMAIN/LOCAL." },
    { "", "run_as", &type_name, IN(config, run_as), .fallback = "\"postern\"", .restart = true,
      .sentence = "Account the workers run as." },
    { "", "keeper_as", &type_name, IN(config, keeper_as), .otherwise = "run_as", .restart = true,
      .sentence = "Account the keeper of passwords and keys runs as." },
    { "", "workers", &type_count, IN(config, workers), .max = 256, .fallback = "0", .restart = true,
      .sentence = "Number of worker processes; 0 is one for each core." },
    { "", "log", &type_one_of, IN(config, log),
      .choices = "stderr journal file:", .fallback = "stderr",
      .sentence = "Where events go, one JSON object a line; a file is opened anew on SIGHUP." },
    { "", "postmaster", &type_mailbox, IN(config, postmaster),
      .otherwise = "postmaster at the first domain",
      .sentence = "Gets double bounces and alarms." },
    { "", "explain", &type_choice, IN(config, explain), .choices = "full brief", .fallback = "full",
      .sentence = "How much a refusal says: full names the remedy, brief does not." },
    { "", "blocked_senders", &type_patterns, IN(config, blocked_senders), .fallback = "{}",
      .sentence = "Envelope senders refused from outside." },
    { "", "blocked_headers", &type_patterns, IN(config, blocked_headers), .fallback = "{}",
      .sentence = "Addresses in From, Sender or Reply-To that are refused after the data." },
    { "", "directory", &type_one_of, IN(config, directory), .choices = "sqlite postgresql://",
      .fallback = "sqlite", .restart = true,
      .sentence = "Where users, aliases and groups live; sqlite is directory.db in state_dir." },
    { "", "logins", &type_words, IN(config, logins), .choices = "directory dovecot: pam: oauth:",
      .min = 1, .max = 8, .fallback = "{\"directory\"}",
      .sentence = "Who knows passwords and tokens, tried in order." },
    { "", "counters", &type_one_of, IN(config, counters), .choices = "local redis://",
      .fallback = "local", .restart = true,
      .sentence = "Where limits are counted; local is shared memory of this server." },
    { "", "dns", &type_servers, IN(config, dns), .max = 8, .fallback = "{}",
      .sentence = "Name servers to ask: none for full resolution, {\"system\"}, or addresses with "
                  "ports." },
    { "", "dns_trust_anchor", &type_one_of, IN(config, dns_trust_anchor),
      .choices = "builtin off file:", .otherwise = "builtin, or off when dns names servers",
      .sentence = "What DNSSEC answers are checked against; off switches DANE off too." },
    { "", "blocklists", &type_dnslists, IN(config, blocklists), .max = 64, .fallback = "{}",
      .sentence = "DNS blocklists asked about clients from outside at RCPT; a score is 1 unless "
                  "given." },
    { "", "allowlists", &type_dnslists, IN(config, allowlists), .max = 64, .fallback = "{}",
      .sentence = "DNS allowlists: a client on one is exempt from blocklists and greylist, or with "
                  "a score has so much taken off." },
    { "", "blocklist_score", &type_count, IN(config, blocklist_score), 1, 1000, .fallback = "1",
      .sentence = "The sum of scores at which a client is refused." },
    { "", "greylist", &type_switch, IN(config, greylist), .choices = "off on", .fallback = "off",
      .sentence = "Whether unknown clients from outside are asked to try again later." },
    { "", "greylist_delay", &type_duration, IN(config, greylist_delay), SECOND, 12 * HOUR,
      .fallback = "5min", .sentence = "How long a client has to wait before it is taken." },
    { "", "greylist_window", &type_duration, IN(config, greylist_window), MINUTE, 14 * DAY,
      .fallback = "2d", .sentence = "How long after that it may come back." },
    { "", "greylist_lifetime", &type_duration, IN(config, greylist_lifetime), HOUR, 400 * DAY,
      .fallback = "35d",
      .sentence = "How long a client that came back is remembered since its last message." },
    { "", "greylist_trust", &type_count, IN(config, greylist_trust), .max = 1000, .fallback = "5",
      .sentence = "So many senders and recipients of a network that came back, and all of it is "
                  "taken at once; 0 is never." },
    { "", "tripwire_senders", &type_count, IN(config, tripwire_senders), .max = 64,
      .fallback = "20",
      .sentence = "Unrelated senders' domains through one address without a login at which its "
                  "grants are suspended; 0 is never." },
    { "", "tripwire_helos", &type_count, IN(config, tripwire_helos), .max = 64, .fallback = "10",
      .sentence = "Unrelated names in EHLO at which they are, with a quarter as many senders; 0 is "
                  "never." },
    { "", "tripwire_window", &type_duration, IN(config, tripwire_window), MINUTE, 7 * DAY,
      .fallback = "1h", .sentence = "The time within which these are counted." },
    { "", "srs_secret", &type_secret, IN(config, srs_secret), .otherwise = "one made in state_dir",
      .secret = true, .sentence = "Key for rewritten senders of forwarded mail." },
    { "", "alarm", &type_one_of, IN(config, alarm), .choices = "postmaster https:// http://",
      .fallback = "postmaster",
      .sentence = "Who hears of faults: mail to postmaster and an event, or a webhook." },

    { "history", "keep", &type_duration, IN(config, history_keep), HOUR, 3650 * DAY,
      .fallback = "14d", .sentence = "How long the history of messages is kept." },
    { "history", "max_size", &type_size, IN(config, history_max_size), MIB, 1024 * 1024 * GIB,
      .fallback = "2GiB",
      .sentence = "How large the history may grow before the oldest part goes." },

    { "domain", "recipients", &type_choice, IN(domain, recipients),
      .choices = "directory any probe", .fallback = "directory",
      .sentence = "Which recipients exist: those the directory knows, any, or those the deliver "
                  "target accepts." },
    { "domain", "deliver", &type_deliver, IN(domain, deliver), .fallback = "maildir",
      .sentence = "Where its mail ends: a Maildir here, or another server." },
    { "domain", "header_auth", &type_choice, IN(domain, header_auth), .choices = "off note enforce",
      .fallback = "off",
      .sentence = "Whether a message from outside with a From of this domain must be "
                  "authenticated." },
    { "domain", "limit", &type_rates, IN(domain, limit), .max = 8, .fallback = "{}",
      .sentence = "Messages to it from outside, all senders together." },
    { "domain", "limit_recipients", &type_rates, IN(domain, limit_recipients), .max = 8,
      .fallback = "{}", .sentence = "Recipients of it from outside, all senders together." },

    { "domain", "blocked_senders", &type_patterns, IN(domain, blocked_senders), .fallback = "{}",
      .sentence = "Envelope senders refused from outside for its recipients." },
    { "domain", "blocked_headers", &type_patterns, IN(domain, blocked_headers), .fallback = "{}",
      .sentence = "Addresses in From, Sender or Reply-To refused after the data for its "
                  "recipients." },

    { "listener", "bind", &type_binds, IN(listener, bind), .min = 1, .max = 64,
      .otherwise = "required",
      .sentence = "Addresses and ports; * is every IPv4 and IPv6 address, port 0 picks a port." },
    { "listener", "service", &type_choice, IN(listener, service), .choices = "smtp pop3 admin",
      .fallback = "smtp", .sentence = "What is spoken there." },
    { "listener", "tls", &type_choice, IN(listener, tls), .choices = "off offer require implicit",
      .fallback = "offer",
      .sentence =
          "TLS: none, by STARTTLS if the client likes, by STARTTLS before anything else, or "
          "from the first octet." },
    { "listener", "tls_min", &type_choice, IN(listener, tls_min), .min = 12, .choices = "1.2 1.3",
      .fallback = "1.2", .sentence = "The oldest version of TLS accepted." },
    { "listener", "auth", &type_choice, IN(listener, auth), .choices = "off offer require",
      .otherwise = "off on port 25, require for pop3 and admin, else offer",
      .sentence = "Whether clients may or must log in." },
    { "listener", "mechanisms", &type_words, IN(listener, mechanisms), .min = 1, .max = 16,
      .choices = "SCRAM-SHA-256-PLUS SCRAM-SHA-256 SCRAM-SHA-1 OAUTHBEARER XOAUTH2 PLAIN LOGIN "
                 "EXTERNAL CRAM-MD5",
      .fallback = "{\"SCRAM-SHA-256-PLUS\", \"SCRAM-SHA-256\", \"OAUTHBEARER\", \"XOAUTH2\", "
                  "\"PLAIN\", \"LOGIN\"}",
      .sentence =
          "Ways to log in, the preferred first; those that not every source in logins can serve are "
          "left out of the default." },
    { "listener", "proxy_protocol_from", &type_networks, IN(listener, proxy_protocol_from),
      .fallback = "{}",
      .sentence = "Peers that must begin with a PROXY v1 or v2 header, which is believed." },
    { "listener", "xclient_from", &type_networks, IN(listener, xclient_from), .fallback = "{}",
      .sentence = "Peers whose XCLIENT is believed: ADDR NAME PORT HELO PROTO." },
    { "listener", "xclient_login", &type_switch, IN(listener, xclient_login), .choices = "no yes",
      .fallback = "no", .sentence = "Whether XCLIENT LOGIN is believed too." },
    { "listener", "bare_newline", &type_choice, IN(listener, bare_newline), .choices = "refuse fix",
      .fallback = "refuse",
      .sentence =
          "What a lone CR or LF in a message does: refuse it, or become CRLF; it never ends "
          "anything." },
    { "listener", "certificate", &type_path, IN(listener, certificate),
      .otherwise = "a P-256 pair made in state_dir",
      .sentence = "PEM file of the certificate chain, the server's own first." },
    { "listener", "key", &type_path, IN(listener, key), .otherwise = "made with the certificate",
      .sentence = "PEM file of the certificate's private key." },
    { "listener", "max_connections_per_client", &type_count,
      IN(listener, max_connections_per_client), 1, 100000, .fallback = "50",
      .sentence = "Open connections from one address, IPv6 from one /64." },
    { "listener", "max_message_size", &type_size, IN(listener, max_message_size), 64 * KIB, GIB,
      .fallback = "25MiB", .sentence = "The largest message accepted, as SIZE announces it." },
    { "listener", "max_recipients", &type_count, IN(listener, max_recipients), 1, 100000,
      .fallback = "500", .sentence = "Recipients of one message." },
    { "listener", "idle_timeout", &type_duration, IN(listener, idle_timeout), SECOND, HOUR,
      .fallback = "5min",
      .sentence = "How long a silent connection is kept; for pop3 at least and by default 10min." },
    { "listener", "limit_per_client", &type_rates, IN(listener, limit_per_client), .max = 8,
      .fallback = "{}",
      .sentence = "Messages of one address, IPv6 of one /64, whoever it is: strangers too." },
    { "listener", "limit_recipients_per_client", &type_rates,
      IN(listener, limit_recipients_per_client), .max = 8, .fallback = "{}",
      .sentence = "Recipients of one address, IPv6 of one /64, whoever it is." },
    { "listener", "blocklists", &type_own_dnslists, IN(listener, blocklists), .max = 64,
      .otherwise = "the server's", .sentence = "Blocklists asked there instead of the server's." },
    { "listener", "allowlists", &type_own_dnslists, IN(listener, allowlists), .max = 64,
      .otherwise = "the server's", .sentence = "Allowlists asked there instead of the server's." },
    { "listener", "helo", &type_choice, IN(listener, helo), .choices = "off note require",
      .fallback = "off",
      .sentence =
          "Whether the name in EHLO is looked at: noted, or required to be a host name that "
          "exists and is not ours." },
    { "listener", "ptr", &type_choice, IN(listener, ptr), .choices = "off note require",
      .fallback = "off",
      .sentence = "Whether the client's address is looked up: noted, or required to have a name "
                  "(PTR) that leads back to it." },

    { "certificate", "chain", &type_path, IN(certificate, chain), .otherwise = "required",
      .sentence = "PEM file of the certificate chain, the server's own first." },
    { "certificate", "key", &type_path, IN(certificate, key), .otherwise = "required",
      .sentence = "PEM file of the certificate's private key." },

    { "connector", "clients", &type_networks, IN(connector, clients), .min = 1,
      .otherwise = "any client", .sentence = "Who: networks the client is in." },
    { "connector", "except", &type_networks, IN(connector, except), .fallback = "{}",
      .sentence = "Who: parts of clients that are left out." },
    { "connector", "listeners", &type_names, IN(connector, listeners), .min = 1,
      .otherwise = "all listeners", .sentence = "Who: listeners the client came in by." },
    { "connector", "auth", &type_logins, IN(connector, auth), .min = 1,
      .otherwise = "no login asked for", .sentence = "Who: any login, or those listed." },
    { "connector", "client_certificate", &type_spki, IN(connector, client_certificate), .min = 1,
      .otherwise = "no certificate asked for",
      .sentence = "Who: clients whose TLS certificate has one of these public keys, or this "
                  "authority and name." },
    { "connector", "pop_before_smtp", &type_duration, IN(connector, pop_before_smtp), MINUTE, DAY,
      .otherwise = "no POP3 login counts",
      .sentence = "Who: the exact address a POP3 login succeeded from that recently." },
    { "connector", "local_users", &type_names, IN(connector, local_users), .min = 1,
      .otherwise = "no local processes",
      .sentence = "Who: accounts of this host whose processes use postern send." },
    { "connector", "expires", &type_date, IN(connector, expires), .otherwise = "never",
      .sentence = "The last day, in UTC, on which the grant holds." },
    { "connector", "tenant", &type_name, IN(connector, tenant), .otherwise = "every session",
      .sentence = "Who: sessions of this tenant only." },
    { "connector", "may_relay_to", &type_relay_to, IN(connector, may_relay_to), .min = 1,
      .fallback = "accepted",
      .sentence = "What: recipients, as patterns, or accepted for our own domains only." },
    { "connector", "senders", &type_senders, IN(connector, sender_list), .min = 1,
      .fallback = "own", .sentence = "What: senders allowed: the login's own, any, or patterns." },
    { "connector", "header_from", &type_choice, IN(connector, header_from),
      .choices = "senders strict any", .fallback = "senders",
      .sentence = "What: which header fields obey senders: From and Sender, Reply-To too, or "
                  "none." },
    { "connector", "limit", &type_rates, IN(connector, limit), .max = 8, .fallback = "{}",
      .sentence = "What: messages of one login or, without a login, one client address." },
    { "connector", "limit_total", &type_rates, IN(connector, limit_total), .max = 8,
      .fallback = "{}", .sentence = "What: messages of all its callers together." },
    { "connector", "limit_recipients", &type_rates, IN(connector, limit_recipients), .max = 8,
      .fallback = "{}", .sentence = "What: recipients of one login or client address." },
    { "connector", "max_recipients", &type_count, IN(connector, max_recipients), 1, 100000,
      .otherwise = "the listener's",
      .sentence = "What: recipients of one message; the smallest that applies holds." },
    { "connector", "without_auth_on", &type_names, IN(connector, without_auth_on), .fallback = "{}",
      .sentence = "Listeners whose auth = require is waived for these clients." },
    { "connector", "without_tls_on", &type_names, IN(connector, without_tls_on), .fallback = "{}",
      .sentence = "Listeners whose tls = require is waived for these clients." },
    { "connector", "note", &type_text, IN(connector, note), .max = 200,
      .otherwise = "required on a grant without a login",
      .sentence = "What the grant is for and who answers for it." },

    { "tenant", "domains", &type_domains, IN(tenant, domains), .min = 1, .otherwise = "required",
      .sentence = "Its domains, each with a domain section of its own." },
    { "tenant", "hostname", &type_host, IN(tenant, hostname), .otherwise = "the server's",
      .sentence = "Its own name in banner, HELO and Received." },
    { "tenant", "address", &type_address, IN(tenant, address), .otherwise = "the server's",
      .sentence =
          "Its own address: of connections out where it fits their family, and of those in, "
          "which makes their sessions its own." },
    { "tenant", "clients", &type_networks, IN(tenant, clients), .min = 1,
      .otherwise = "from anywhere",
      .sentence = "Networks that its logins, and all that is relayed for it, must come from." },
    { "tenant", "limit", &type_rates, IN(tenant, limit), .max = 8, .fallback = "{}",
      .sentence = "Messages of all its sessions together." },
    { "tenant", "limit_recipients", &type_rates, IN(tenant, limit_recipients), .max = 8,
      .fallback = "{}", .sentence = "Recipients of all its sessions together." },
    { "tenant", "max_recipients", &type_count, IN(tenant, max_recipients), 1, 100000,
      .otherwise = "the listener's", .sentence = "Recipients of one message." },
    { "tenant", "external_forwarding", &type_switch, IN(tenant, external_forwarding),
      .choices = "deny allow", .fallback = "deny",
      .sentence = "Whether its users may forward automatically to other domains." },
    { "tenant", "admins", &type_mailboxes, IN(tenant, admins), .fallback = "{}",
      .sentence =
          "Logins that steer its queue and see its trace, users, aliases and groups: --as LOGIN." },

    { "route", "to", &type_patterns, IN(route, to), .min = 1, .fallback = "{\"*\"}",
      .sentence = "Recipients it takes; the most specific route wins." },
    { "route", "from", &type_patterns, IN(route, from), .min = 1, .otherwise = "any sender",
      .sentence = "Senders it takes; decides between routes with the same recipients." },
    { "route", "via", &type_vias, IN(route, via), .min = 1, .max = 16, .otherwise = "required",
      .sentence = "Next hops, tried in order." },
    { "route", "tls", &type_choice, IN(route, tls), .min = TLS_POLICY_VERIFY,
      .choices = "verify require opportunistic off",
      .otherwise = "verify, opportunistic with mx:, off with a loopback via",
      .sentence = "What TLS the next hop must offer; off never sends a login." },
    { "route", "ca_file", &type_path, IN(route, ca_file), .otherwise = "the system's authorities",
      .sentence = "PEM file of the authorities that may vouch for the next hop." },
    { "route", "login", &type_login, IN(route, login), .otherwise = "no login", .secret = true,
      .sentence = "The login at the next hop: user:password, or an OAuth 2.0 client, in a file or "
                  "variable." },
    { "route", "source_address", &type_address, IN(route, source_address),
      .otherwise = "the system's choice", .sentence = "Address its connections come from." },
    { "route", "max_connections", &type_count, IN(route, max_connections), 1, 10000,
      .fallback = "20", .sentence = "Open connections to the next hop." },
    { "route", "rate", &type_rates, IN(route, rate), .max = 8, .fallback = "{}",
      .sentence = "Messages handed to the next hop." },
    { "route", "chunking", &type_switch, IN(route, chunking), .choices = "off on", .fallback = "on",
      .sentence = "Whether large messages go by BDAT where the next hop offers CHUNKING." },

    { "queue", "store", &type_one_of, IN(config, queue.store), .choices = "spool postgresql://",
      .fallback = "spool", .restart = true,
      .sentence = "Where the queue lives; spool is in state_dir." },
    { "queue", "retry", &type_durations, IN(config, queue.retry), SECOND, DAY,
      .fallback = "{\"1min\", \"5min\", \"15min\", \"1h\", \"4h\"}",
      .sentence = "Waits between attempts; the last repeats." },
    { "queue", "give_up", &type_duration, IN(config, queue.give_up), MINUTE, 30 * DAY,
      .fallback = "5d", .sentence = "Age at which undelivered mail is returned to its sender." },
    { "queue", "warn_after", &type_duration, IN(config, queue.warn_after), MINUTE, 30 * DAY,
      .fallback = "4h", .sentence = "Age at which the sender gets a delay notice." },
    { "queue", "min_free", &type_percent, IN(config, queue.min_free), .max = 90, .fallback = "5%",
      .sentence = "Free space below which new mail gets 452; deliveries go on." },

    { "oauth", "issuer", &type_text, IN(oauth, issuer), .max = 1000, .otherwise = "required",
      .sentence = "Whose tokens they are: the iss claim." },
    { "oauth", "jwks", &type_keys, IN(oauth, jwks), .otherwise = "the issuer's announced one",
      .sentence = "URL or file of the keys that sign the tokens." },
    { "oauth", "audience", &type_text, IN(oauth, audience), .max = 1000, .otherwise = "any",
      .sentence = "For whom a token must be made: the aud claim." },
    { "oauth", "claim", &type_text, IN(oauth, claim), .max = 100, .fallback = "\"email\"",
      .sentence = "The claim that names the login." },
    { "oauth", "introspection", &type_url, IN(oauth, introspection),
      .otherwise = "tokens are checked here",
      .sentence = "URL that is asked whether a token is good (RFC 7662)." },
    { "oauth", "client", &type_client, IN(oauth, client_id), .otherwise = "none", .secret = true,
      .sentence = "client:secret for the introspection." },
    { "oauth", "ca_file", &type_path, IN(oauth, ca_file), .otherwise = "the system's authorities",
      .sentence = "PEM file of the authorities that may vouch for the provider." },
};
const size_t schema_count = COUNT_OF(schema);

/* Whoever builds a feature deletes its row. */
static const struct not_built not_built[] = {
    { "listener", "service", "smtp pop3", "the admin page" },
    { "domain", "header_auth", "off", "checking the authentication of From" },
    { "queue", "store", "spool", "a queue shared through PostgreSQL" },
    { "", "directory", "sqlite", "a directory in PostgreSQL" },
    { "", "counters", "local", "counters shared through Redis" },
    { "", "alarm", "postmaster", "alarms to a webhook" },
};

const struct not_built *schema_not_built(const char *section, const char *name) {
    for (size_t i = 0; i < COUNT_OF(not_built); i++) {
        const struct not_built *row = &not_built[i];
        if (!bytes_equal(bytes_str(row->section), bytes_str(section)) || !row->setting != !name)
            continue;
        if (!name || bytes_equal(bytes_str(row->setting), bytes_str(name)))
            return row;
    }
    return NULL;
}

const struct schema_section *schema_section(struct bytes name) {
    for (size_t i = 0; i < schema_section_count; i++)
        if (bytes_equal(name, bytes_str(schema_sections[i].name)))
            return &schema_sections[i];
    return NULL;
}

const struct setting *schema_setting(const char *section, struct bytes name) {
    for (size_t i = 0; i < schema_count; i++)
        if (bytes_equal(name, bytes_str(schema[i].name)) &&
            bytes_equal(bytes_str(schema[i].section), bytes_str(section)))
            return &schema[i];
    return NULL;
}

bool schema_word(const char *words, struct bytes text) {
    struct bytes rest = bytes_str(words), word;
    while (bytes_split(&rest, ' ', &word))
        if (word.len && bytes_equal_nocase(word, text))
            return true;
    return false;
}

/* "a, b or c" */
static void add_choices(struct buf *b, const char *choices) {
    struct bytes rest = bytes_str(choices), word;
    for (bool first = true; bytes_split(&rest, ' ', &word); first = false) {
        if (!first)
            buf_str(b, rest.at ? ", " : " or ");
        buf_add(b, word);
        if (bytes_ends_nocase(word, B("file:")))
            buf_str(b, "PATH");
        else if (bytes_ends_nocase(word, B(":")) || bytes_ends_nocase(word, B("/")))
            buf_str(b, "...");
    }
}

void schema_expected(struct buf *b, const struct setting *s) {
    buf_str(b, s->type->expected);
    if (s->choices)
        add_choices(b, s->choices);
    if (!s->type->range || s->max == 0)
        return;
    buf_str(b, ", from ");
    s->type->range(b, s->min);
    buf_str(b, " to ");
    s->type->range(b, s->max);
}

void schema_default(struct buf *b, const struct setting *s) {
    buf_str(b, s->fallback ? s->fallback : s->otherwise);
}
