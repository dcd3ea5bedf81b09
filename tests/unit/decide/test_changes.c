/* Every refusal there is, brought about: each change it names is made by itself, and must turn the
 * refusal into acceptance: of the step that refused, and of those the caller has behind it. And what
 * the sender reads, in all its variants, is held against tests/golden/refusals.txt; with
 * POSTERN_WRITE_GOLDEN=1 the file is written anew, to be read before it is committed. */
#include "decide/internal.h"
#include "flow/app_password.h"
#include "lab.h"
#include "smtp/smtp.h"

#include <stdlib.h>

/* A refusal: how to bring it about. */
struct scene {
    const char *name, *client, *listener, *login, *from, *to;
    enum decide_step step;
    int tls;
    void (*arrange)(struct lab *l);
    int code;
    const char *kinds; /* those that must be among the changes, by blanks */
};

static const struct bytes people = B("people"), office = B("office"), strict = B("strict");
static struct mailbox_header header[2];

static void wrong_from(struct lab *l) {
    l->f.charged = (struct strings){ 1, &people };
    l->f.from_fields = 1;
    header[0] = (struct mailbox_header){ "From", B("ceo@proseware.com") };
    l->f.header_mailboxes = header;
    l->f.header_mailbox_count = 1;
}

static void wrong_from_foreign(struct lab *l) {
    wrong_from(l);
    header[0].mailbox = B("x@contoso.com");
}

static void wrong_from_office(struct lab *l) {
    wrong_from(l);
    l->f.charged.list = &office;
    header[0].mailbox = B("x@contoso.com");
}

static void wrong_reply_to(struct lab *l) {
    wrong_from(l);
    l->f.charged.list = &strict;
    header[0] = (struct mailbox_header){ "Reply-To", B("x@contoso.com") };
}

static void unreadable_from(struct lab *l) {
    wrong_from(l);
    header[0].mailbox = BYTES_NONE;
}

static void two_from(struct lab *l) {
    l->f.charged = (struct strings){ 1, &people };
    l->f.from_fields = 2;
}

static void no_from(struct lab *l) {
    two_from(l);
    l->f.from_fields = 0;
}

static void bare(struct lab *l) {
    l->f.bare_newline = true;
}

static void looping(struct lab *l) {
    l->f.hops = 200;
}

static void forged(struct lab *l) {
    header[0] = (struct mailbox_header){ "From", B("x@forged.example") };
    l->f.header_mailboxes = header;
    l->f.header_mailbox_count = 1;
}

static void too_big(struct lab *l) {
    l->f.size = 1 << 30;
}

static void disk_full(struct lab *l) {
    l->f.queue_full = true;
}

static void many_connections(struct lab *l) {
    l->f.client_connections = 80;
}

static void many_recipients(struct lab *l) {
    l->f.recipients_so_far = 500;
}

static void down(struct lab *l) {
    l->down = FACT_RECIPIENT;
}

static void over_quota(struct lab *l) {
    static const struct count full = { .key = B("connector/billing/client/203.0.113.9"),
                                       .full = true,
                                       .opens = LAB_NOW + 5000,
                                       .which = { 60, 3600000 } };
    l->counts = &full;
    l->count_count = 1;
}

/* What a listener of the internet asks of strangers, and what comes of it. */
static struct listener *inbound(struct lab *l) {
    return (struct listener *)(uintptr_t)config_listener(l->config, B("internet"));
}

static void listed(struct lab *l) {
    static const struct bytes zen = B("zen.example");
    static const uint32_t code = 0x7f000002;
    static const struct listing hit = { .zone = B("zen.example"),
                                        .code_count = 1,
                                        .codes = &code,
                                        .text = B("https://zen.example/?ip=198.51.100.7") };
    inbound(l)->blocklists = (struct strings){ 1, &zen };
    l->f.listings = &hit;
    l->f.listing_count = 1;
    l->f.listings_state = FACT_KNOWN;
}

static void tripped(struct lab *l) {
    l->f.suspended = LAB_NOW - 1000;
}

static void no_such_helo(struct lab *l) {
    inbound(l)->helo = CALLER_REQUIRE;
    l->f.helo = B("mx.nowhere.example");
    l->f.helo_state = FACT_KNOWN;
    l->f.helo_missing = true;
}

static void no_ptr(struct lab *l) {
    inbound(l)->ptr = CALLER_REQUIRE;
    l->f.ptr_state = FACT_KNOWN;
}

static void misleading_ptr(struct lab *l) {
    no_ptr(l);
    l->f.ptr_name = B("mx.adatum.com");
}

static void for_the_first_time(struct lab *l) {
    l->config->greylist = true;
    l->f.grey_state = FACT_KNOWN;
    l->f.grey_opens = LAB_NOW + 300000;
}

static const struct pattern ads = { PATTERN_DOMAIN, B("adatum.com") };

static struct domain *our_domain(struct lab *l) {
    return (struct domain *)(uintptr_t)config_domain(l->config, B("proseware.com"));
}

static void blocked_there(struct lab *l) {
    our_domain(l)->blocked_senders = (struct patterns){ 1, &ads };
}

static void header_blocked_there(struct lab *l) {
    static const struct bytes domains[] = { B("catchall.example"), B("proseware.com") };
    our_domain(l)->blocked_headers = (struct patterns){ 1, &ads };
    l->f.domains = (struct strings){ 2, domains };
    header[0] = (struct mailbox_header){ "From", B("x@adatum.com") };
    l->f.header_mailboxes = header;
    l->f.header_mailbox_count = 1;
}

static void other_certificate(struct lab *l) {
    l->f.client_spki = bytes_of("another key, of thirty-two octet", 32);
}

static void verb_mail(struct lab *l) {
    l->f.verb = B("MAIL");
}

static void plain(struct lab *l) {
    l->f.mechanism = B("PLAIN");
}

static void cram(struct lab *l) {
    l->f.mechanism = B("CRAM-MD5");
}

static void in_transaction(struct lab *l) {
    plain(l);
    l->f.has_sender = true;
}

static void from_root(struct lab *l) {
    l->f.listener = NULL;
    l->f.local_door = true;
    l->f.local_user = B("root");
}

static void counters_down(struct lab *l) {
    l->down = FACT_COUNTERS;
}

static void gateways_down(struct lab *l) {
    l->down = FACT_GATEWAY;
}

/* The same configuration, and more. */
static void read_anew(struct lab *l, const char *more) {
    char text[16384];
    snprintf(text, sizeof text, "%s%s", lab_conf, more);
    const struct listener *before = l->f.listener;
    struct config *next = lab_config(text);
    l->f.listener = before ? config_listener(next, before->name) : NULL;
    config_close(&l->config);
    l->config = next;
}

static void behind_gateway(struct lab *l) {
    l->gateway = true;
}

static void behind_proxy(struct lab *l) {
    l->f.client_unknown = true;
}

/* Reading mail where it is not kept. */
static void at_pop3(struct lab *l) {
    static const struct directory_entry elsewhere = { .kind = DIRECTORY_USER,
                                                      .address = B("x@contoso.com") };
    l->f.login_state = FACT_KNOWN;
    l->f.login_entry = &elsewhere;
}

static void many_addresses(struct lab *l) {
    static const struct count full = { .key = B("connector/daily/client/203.0.113.8/recipients"),
                                       .full = true,
                                       .opens = LAB_NOW + 3600000,
                                       .which = { 5000, 86400000 } };
    read_anew(l, "connector \"daily\" { clients = {\"203.0.113.8\"} may_relay_to = {\"*\"}\n"
                 "  senders = any limit_recipients = {\"5000/day\"} note = \"news\" }\n");
    l->counts = &full;
    l->count_count = 1;
}

static void at_northwind(struct lab *l) {
    read_anew(l, "domain \"northwind.example\" {}\n"
                 "tenant \"northwind\" { domains = {\"northwind.example\"}\n"
                 "  address = \"203.0.113.40\" clients = {\"192.0.2.0/24\"} }\n");
    l->f.local = lab_addr("203.0.113.40");
}

static void from_nobody(struct lab *l) {
    from_root(l);
    l->f.local_user = B("nobody");
}

/* A group of the directory, made anew for each scene: changes are made to it. */
static struct directory_entry *group(struct lab *l, enum directory_senders senders) {
    struct directory_entry *e = ARENA_NEW(l->arena, struct directory_entry);
    e->kind = DIRECTORY_GROUP;
    e->address = B("staff@proseware.com");
    e->rules.senders = senders;
    e->rules.owner = B("ceo@proseware.com");
    l->entry = e;
    return e;
}

static void members_only(struct lab *l) {
    group(l, DIRECTORY_MEMBERS);
}

/* Terri is one: who logs in as her may. */
static void members_only_hers(struct lab *l) {
    group(l, DIRECTORY_MEMBERS);
    l->member = "terri@proseware.com";
}

static void logins_only(struct lab *l) {
    group(l, DIRECTORY_LOGINS);
}

static void listed_only(struct lab *l) {
    group(l, DIRECTORY_LISTED);
}

/* The second of two groups that an alias is a name of. */
static void alias_of_groups(struct lab *l) {
    struct directory_entry *groups = ARENA_ARRAY(l->arena, 2, struct directory_entry);
    struct directory_entry *e = ARENA_NEW(l->arena, struct directory_entry);
    groups[0] = *group(l, DIRECTORY_LOGINS);
    groups[0].address = B("all@proseware.com");
    groups[1] = *group(l, DIRECTORY_MEMBERS);
    *e = (struct directory_entry){ .kind = DIRECTORY_ALIAS,
                                   .address = B("everybody@proseware.com"),
                                   .group_count = 2,
                                   .groups = groups };
    l->entry = e;
}

static void srs_forged(struct lab *l) {
    l->srs = SRS_FORGED;
}

static void srs_expired(struct lab *l) {
    l->srs = SRS_EXPIRED;
}

static void asked_behind(struct lab *l, enum probe_answer answer) {
    read_anew(l,
              "domain \"behind.example\" { recipients = probe deliver = \"lmtp:127.0.0.1:24\" }\n");
    l->probe = answer;
}

static void none_behind(struct lab *l) {
    asked_behind(l, PROBE_REFUSES);
}

static void full_behind(struct lab *l) {
    asked_behind(l, PROBE_REFUSES);
    l->probe_status = (struct status){ 5, 2, 2 };
}

static void down_behind(struct lab *l) {
    asked_behind(l, PROBE_LATER);
}

static void many_guesses(struct lab *l) {
    asked_behind(l, PROBE_LIMITED);
    l->f.probe_opens = LAB_NOW + 3600000;
}

#define HOTEL "198.51.100.7"
#define TERRI "terri@proseware.com"
#define CEO   "ceo@proseware.com"

static void with_app(struct lab *l, const char *senders, const char *networks) {
    facts_take_app_password(&l->f, l->arena, B("copier"), bytes_str(senders), bytes_str(networks));
}
static void app_elsewhere(struct lab *l) {
    with_app(l, "", "192.0.2.0/24 2001:db8:5::/48");
}
static void app_for_others(struct lab *l) {
    with_app(l, "scan@proseware.com .b.example", "");
}
static void app_header(struct lab *l) {
    with_app(l, "scan@proseware.com", "");
    wrong_from(l);
    header[0].mailbox = B("terri@proseware.com");
}

static const struct scene scenes[] = {
    { "hotel", HOTEL, "internet", NULL, TERRI, "x@adatum.com", STEP_RCPT, 0, NULL, 550,
      "login outgoing-server add-client host-domain" },
    { "a stranger", HOTEL, "internet", NULL, "x@contoso.com", "x@contoso.com", STEP_RCPT, 0, NULL,
      550, "login outgoing-server add-connector host-domain" },
    { "hotel, IPv6", "2001:db8:9::1", "internet", NULL, TERRI, "x@adatum.com", STEP_RCPT, 0, NULL,
      550, "login add-client add-network host-domain" },
    { "near the office", "192.0.3.1", "internet", NULL, TERRI, "x@adatum.com", STEP_RCPT, 0, NULL,
      550, "add-client add-network" },
    { "left out", "192.0.2.201", "internet", NULL, TERRI, "x@adatum.com", STEP_RCPT, 0, NULL, 550,
      "login drop-except" },
    { "no certificate", HOTEL, "internet", NULL, "x@contoso.com", "x@adatum.com", STEP_RCPT, 0,
      NULL, 550, "show-certificate" },
    { "another certificate", HOTEL, "internet", NULL, "x@contoso.com", "x@adatum.com", STEP_RCPT,
      13, other_certificate, 550, "add-certificate" },
    { "wrong port", "192.0.2.5", "offer", NULL, TERRI, "x@adatum.com", STEP_RCPT, 0, NULL, 550,
      "login listener" },
    { "scanner", HOTEL, "internet", NULL, "scanner@proseware.com", "x@adatum.com", STEP_RCPT, 0,
      NULL, 550, "login add-client" },
    { "expired", "192.0.2.209", "offer", NULL, TERRI, "x@adatum.com", STEP_RCPT, 0, NULL, 550,
      "renew" },
    { "beyond the grant", "203.0.113.9", "internet", NULL, TERRI, "x@contoso.com", STEP_RCPT, 0,
      NULL, 550, "widen-relay" },
    { "not own", HOTEL, "submission", TERRI, CEO, "x@adatum.com", STEP_RCPT, 13, NULL, 553,
      "own-sender allow-sender" },
    { "not own, foreign", HOTEL, "submission", TERRI, "x@contoso.com", CEO, STEP_RCPT, 13, NULL,
      553, "own-sender allow-sender" },
    { "office as others", "192.0.2.5", "internet", NULL, "x@contoso.com", "x@adatum.com", STEP_RCPT,
      0, NULL, 553, "own-sender add-sender" },
    { "copier as the ceo", "192.0.2.20", "submission", NULL, CEO, TERRI, STEP_RCPT, 0, NULL, 553,
      "own-sender add-sender" },
    { "disabled", HOTEL, "submission", "gone@proseware.com", "gone@proseware.com", "x@adatum.com",
      STEP_RCPT, 13, NULL, 550, "enable-user" },
    { "disabled, ours", HOTEL, "submission", "gone@proseware.com", "gone@proseware.com", CEO,
      STEP_RCPT, 13, NULL, 553, "enable-user" },
    { "ghost", HOTEL, "submission", "ghost@proseware.com", "ghost@proseware.com", "x@adatum.com",
      STEP_RCPT, 13, NULL, 550, "add-user" },
    { "unknown", HOTEL, "internet", NULL, "x@adatum.com", "who@proseware.com", STEP_RCPT, 0, NULL,
      550, "fix-recipient add-user" },
    { "members only", HOTEL, "submission", TERRI, TERRI, "staff@proseware.com", STEP_RCPT, 13,
      members_only, 550, "add-member allow-group-sender open-group" },
    { "members only, the office", "192.0.2.5", "internet", NULL, TERRI, "staff@proseware.com",
      STEP_RCPT, 0, members_only, 550, "add-member allow-group-sender open-group" },
    { "members only, a stranger", HOTEL, "internet", NULL, TERRI, "staff@proseware.com", STEP_RCPT,
      0, members_only_hers, 550, "login open-group" },
    { "logins only, a stranger", HOTEL, "internet", NULL, TERRI, "staff@proseware.com", STEP_RCPT,
      0, logins_only, 550, "login open-group" },
    { "listed only", HOTEL, "submission", TERRI, TERRI, "staff@proseware.com", STEP_RCPT, 13,
      listed_only, 550, "allow-group-sender open-group" },
    { "a group by an alias", HOTEL, "submission", TERRI, TERRI, "everybody@proseware.com",
      STEP_RCPT, 13, alias_of_groups, 550, "add-member" },
    { "return address, forged", HOTEL, "internet", NULL, "",
      "SRS0=aaaaaa=bb=x.example=a@proseware.com", STEP_RCPT, 0, srs_forged, 550, "fix-recipient" },
    { "return address, old", HOTEL, "internet", NULL, "",
      "srs0=aaaaaa=bb=x.example=a@proseware.com", STEP_RCPT, 0, srs_expired, 550, "fix-recipient" },
    { "return address, a letter", HOTEL, "internet", NULL, "x@contoso.com",
      "SRS1=aaaaaa=x.example==bb=cc=y.example=a@proseware.com", STEP_RCPT, 0, NULL, 550,
      "null-sender" },
    { "none behind", HOTEL, "internet", NULL, "x@contoso.com", "who@behind.example", STEP_RCPT, 0,
      none_behind, 550, "fix-recipient add-mailbox" },
    { "full behind", HOTEL, "internet", NULL, "x@contoso.com", "who@behind.example", STEP_RCPT, 0,
      full_behind, 550, "mailbox-behind" },
    { "down behind", HOTEL, "internet", NULL, "x@contoso.com", "who@behind.example", STEP_RCPT, 0,
      down_behind, 451, "wait" },
    { "many guesses", HOTEL, "internet", NULL, "x@contoso.com", "who@behind.example", STEP_RCPT, 0,
      many_guesses, 450, "wait" },
    { "many recipients", HOTEL, "internet", NULL, "x@adatum.com", CEO, STEP_RCPT, 0,
      many_recipients, 452, "split" },
    { "directory down", HOTEL, "internet", NULL, "x@adatum.com", CEO, STEP_RCPT, 0, down, 451,
      "wait" },
    { "over quota", "203.0.113.9", "internet", NULL, TERRI, "x@adatum.com", STEP_RCPT, 0,
      over_quota, 450, "wait raise-limit" },
    { "cron as others", HOTEL, "internet", NULL, TERRI, "x@adatum.com", STEP_RCPT, 0, from_root,
      553, "own-sender" },
    { "another user", HOTEL, "internet", NULL, "nobody@mail.proseware.com", "x@adatum.com",
      STEP_RCPT, 0, from_nobody, 550, "add-local-user host-domain" },
    { "login required", HOTEL, "submission", NULL, TERRI, CEO, STEP_MAIL, 13, NULL, 530,
      "login add-client" },
    { "suspended", "192.0.2.5", "internet", NULL, TERRI, "x@adatum.com", STEP_RCPT, 0, tripped, 450,
      "login resume" },
    { "copier, suspended", "192.0.2.20", "submission", NULL, "scanner@proseware.com",
      "x@adatum.com", STEP_MAIL, 13, tripped, 450, "login resume" },
    { "listed", HOTEL, "internet", NULL, "x@adatum.com", CEO, STEP_RCPT, 0, listed, 550,
      "delist login drop-list" },
    { "HELO", HOTEL, "internet", NULL, "x@adatum.com", CEO, STEP_RCPT, 0, no_such_helo, 550,
      "fix-helo helo-note login" },
    { "no PTR", HOTEL, "internet", NULL, "x@adatum.com", CEO, STEP_RCPT, 0, no_ptr, 550,
      "fix-ptr ptr-note login" },
    { "another's PTR", HOTEL, "internet", NULL, "x@adatum.com", CEO, STEP_RCPT, 0, misleading_ptr,
      550, "fix-ptr ptr-note login" },
    { "greylisted", HOTEL, "internet", NULL, "x@adatum.com", CEO, STEP_RCPT, 0, for_the_first_time,
      450, "wait login" },
    { "blocked for a domain", HOTEL, "internet", NULL, "x@adatum.com", CEO, STEP_RCPT, 0,
      blocked_there, 550, "unblock-domain login" },
    { "header blocked for a domain", HOTEL, "internet", NULL, "x@adatum.com", CEO, STEP_CONTENT, 0,
      header_blocked_there, 550, "unblock-header-domain split-domain" },
    { "blocked", HOTEL, "internet", NULL, "x@spam.example", CEO, STEP_MAIL, 0, NULL, 550,
      "unblock login" },
    { "size", HOTEL, "internet", NULL, TERRI, CEO, STEP_MAIL, 0, too_big, 552,
      "smaller raise-size" },
    { "disk full", HOTEL, "internet", NULL, TERRI, CEO, STEP_MAIL, 0, disk_full, 452,
      "free-space" },
    { "connections", HOTEL, "internet", NULL, TERRI, CEO, STEP_CONNECT, 0, many_connections, 421,
      "fewer-connections raise-connections" },
    { "TLS", HOTEL, "submission", NULL, TERRI, CEO, STEP_COMMAND, 0, verb_mail, 530,
      "starttls login add-client" },
    { "no logins here", HOTEL, "internet", NULL, TERRI, CEO, STEP_AUTH, 13, plain, 502, "login" },
    { "plain", HOTEL, "offer", NULL, TERRI, CEO, STEP_AUTH, 0, plain, 538, "starttls" },
    { "mechanism", HOTEL, "offer", NULL, TERRI, CEO, STEP_AUTH, 0, cram, 504, "mechanism" },
    { "twice", HOTEL, "offer", TERRI, TERRI, CEO, STEP_AUTH, 13, plain, 503, "new-session" },
    { "within", HOTEL, "offer", NULL, TERRI, CEO, STEP_AUTH, 13, in_transaction, 503, "reset" },
    { "login, disabled", HOTEL, "submission", "gone@proseware.com", TERRI, CEO, STEP_LOGIN, 13,
      NULL, 535, "enable-user" },
    { "login, none", HOTEL, "submission", "ghost@proseware.com", TERRI, CEO, STEP_LOGIN, 13, NULL,
      535, "add-user" },
    { "tenant", HOTEL, "submission", NULL, "x@northwind.example", "postmaster@proseware.com",
      STEP_RCPT, 0, at_northwind, 550, "add-tenant-client" },
    { "behind a gateway", "192.0.2.5", "internet", NULL, TERRI, "x@adatum.com", STEP_RCPT, 0,
      behind_gateway, 550, "login" },
    { "proxy says nothing", "192.0.2.5", "internet", NULL, TERRI, "x@adatum.com", STEP_RCPT, 0,
      behind_proxy, 550, "login" },
    { "mailbox elsewhere", HOTEL, "submission", TERRI, TERRI, CEO, STEP_MAILDROP, 13, at_pop3, 550,
      "host-domain" },
    { "recipients of the day", "203.0.113.8", "internet", NULL, TERRI, "x@adatum.com", STEP_RCPT, 0,
      many_addresses, 450, "wait raise-limit" },
    { "counters down", "203.0.113.9", "internet", NULL, TERRI, "x@adatum.com", STEP_RCPT, 0,
      counters_down, 451, "wait" },
    { "routes not known", "192.0.2.5", "internet", NULL, TERRI, "x@adatum.com", STEP_RCPT, 0,
      gateways_down, 451, "wait" },
    { "From", HOTEL, "submission", TERRI, TERRI, CEO, STEP_CONTENT, 13, wrong_from, 550,
      "own-header allow-sender" },
    { "From, foreign", HOTEL, "submission", TERRI, TERRI, CEO, STEP_CONTENT, 13, wrong_from_foreign,
      550, "own-header allow-sender" },
    { "From, office", "192.0.2.5", "internet", NULL, TERRI, CEO, STEP_CONTENT, 0, wrong_from_office,
      550, "own-header add-sender" },
    { "Reply-To", HOTEL, "submission", "strict@proseware.com", "strict@proseware.com", CEO,
      STEP_CONTENT, 13, wrong_reply_to, 550, "own-header add-sender" },
    { "From, unreadable", HOTEL, "submission", TERRI, TERRI, CEO, STEP_CONTENT, 13, unreadable_from,
      550, "own-header" },
    { "app password elsewhere", HOTEL, "submission", TERRI, TERRI, "x@adatum.com", STEP_RCPT, 13,
      app_elsewhere, 550, "other-password app-network" },
    { "app password elsewhere, ours", HOTEL, "submission", TERRI, TERRI, CEO, STEP_RCPT, 13,
      app_elsewhere, 550, "other-password app-network" },
    { "app password, sender", HOTEL, "submission", TERRI, TERRI, "x@adatum.com", STEP_RCPT, 13,
      app_for_others, 553, "other-password app-sender" },
    { "app password, sender, ours", HOTEL, "submission", TERRI, TERRI, CEO, STEP_RCPT, 13,
      app_for_others, 553, "other-password app-sender" },
    { "app password, From", HOTEL, "submission", TERRI, TERRI, CEO, STEP_CONTENT, 13, app_header,
      550, "other-password app-sender" },
    { "two From", HOTEL, "submission", TERRI, TERRI, CEO, STEP_CONTENT, 13, two_from, 550,
      "one-from" },
    { "no From", HOTEL, "submission", TERRI, TERRI, CEO, STEP_CONTENT, 13, no_from, 550,
      "one-from" },
    { "bare newline", HOTEL, "internet", NULL, TERRI, CEO, STEP_CONTENT, 0, bare, 550,
      "crlf fix-newlines" },
    { "loop", HOTEL, "internet", NULL, TERRI, CEO, STEP_CONTENT, 0, looping, 554, "end-loop" },
    { "blocked header", HOTEL, "internet", NULL, TERRI, CEO, STEP_CONTENT, 0, forged, 550,
      "unblock" },
};

/* --- making the changes ------------------------------------------------------------------------- */

static struct connector *connector(struct lab *l, struct bytes name) {
    const struct connector *c = config_connector(l->config, name);
    assert_non_null(c);
    return (struct connector *)(uintptr_t)c;
}

static struct listener *listener(struct lab *l, struct bytes name) {
    const struct listener *found = config_listener(l->config, name);
    assert_non_null(found);
    return (struct listener *)(uintptr_t)found;
}

/* "NAME VALUE" */
static struct bytes value(struct bytes argument, struct bytes *name) {
    assert_true(bytes_split(&argument, ' ', name));
    return argument;
}

static void add_network(struct lab *l, struct networks *list, struct bytes text) {
    struct network *more = ARENA_ARRAY(l->arena, list->count + 1, struct network);
    if (list->count)
        memcpy(more, list->list, list->count * sizeof *more);
    assert_int_equal(network_parse(text, &more[list->count]), NETWORK_OK);
    *list = (struct networks){ list->count + 1, more };
}

static void add_pattern(struct lab *l, struct patterns *list, struct bytes text) {
    struct pattern *more = ARENA_ARRAY(l->arena, list->count + 1, struct pattern);
    if (list->count)
        memcpy(more, list->list, list->count * sizeof *more);
    assert_true(pattern_parse(text, l->arena, &more[list->count]));
    *list = (struct patterns){ list->count + 1, more };
}

static void add_string(struct lab *l, struct strings *list, struct bytes text) {
    struct bytes *more = ARENA_ARRAY(l->arena, list->count + 1, struct bytes);
    if (list->count)
        memcpy(more, list->list, list->count * sizeof *more);
    more[list->count] = arena_copy(l->arena, text);
    *list = (struct strings){ list->count + 1, more };
}

static void do_login(struct lab *l, struct bytes argument) {
    l->f.listener = listener(l, argument);
    l->f.tls_version = 13;
    if (l->f.has_sender && l->v.why.code != 502) {
        l->f.login = B(TERRI);
        l->f.sender = B(TERRI); /* whoever logs in sends as himself */
    }
}

static void do_add_client(struct lab *l, struct bytes argument) {
    struct bytes name, network = value(argument, &name);
    add_network(l, &connector(l, name)->clients, network);
}

static void do_drop_except(struct lab *l, struct bytes argument) {
    struct bytes name;
    value(argument, &name);
    connector(l, name)->except.count = 0;
}

static void do_add_connector(struct lab *l, struct bytes argument) {
    struct bytes client, to = value(argument, &client);
    struct config *c = l->config;
    struct connector *more = ARENA_ARRAY(l->arena, c->connector_count + 1, struct connector);
    memcpy(more, c->connectors, c->connector_count * sizeof *more);
    struct connector *mine = &more[c->connector_count++];
    mine->name = B("mine");
    mine->senders = SENDERS_ANY;
    add_network(l, &mine->clients, client);
    add_pattern(l, &mine->may_relay_to, to);
    c->connectors = more;
}

/* A configuration that hosts the domain too: read anew, as an operator would. */
static void do_host_domain(struct lab *l, struct bytes argument) {
    char more[400];
    snprintf(more, sizeof more, "domain \"%.*s\" {}\n", BYTES_FMT(argument));
    read_anew(l, more);
    l->any_recipient = true;
}

static void do_renew(struct lab *l, struct bytes argument) {
    connector(l, argument)->expires = l->f.now + LAB_DAY;
}

static void do_widen(struct lab *l, struct bytes argument) {
    struct bytes name, domain = value(argument, &name);
    connector(l, name)->to_accepted = false;
    add_pattern(l, &connector(l, name)->may_relay_to, domain);
}

static void do_listener(struct lab *l, struct bytes argument) {
    l->f.listener = listener(l, argument);
}

static struct directory_entry *entry(struct lab *l) {
    l->f.login_state = FACT_KNOWN;
    l->f.login_entry = lab_find(l, l->f.login);
    return (struct directory_entry *)(uintptr_t)l->f.login_entry;
}

static void do_enable(struct lab *l, struct bytes argument) {
    assert_true(bytes_equal(argument, l->f.login));
    entry(l)->disabled = false;
}

static void do_allow_sender(struct lab *l, struct bytes argument) {
    struct bytes login, address = value(argument, &login);
    assert_true(bytes_equal(login, l->f.login));
    add_pattern(l, &entry(l)->send_as, address);
}

static void do_add_sender(struct lab *l, struct bytes argument) {
    struct bytes name, address = value(argument, &name);
    add_pattern(l, &connector(l, name)->sender_list, address);
}

static void do_own_sender(struct lab *l, struct bytes argument) {
    l->f.sender = argument;
}

static void do_own_header(struct lab *l, struct bytes argument) {
    (void)l;
    header[0].mailbox = argument;
}

static void do_add_user(struct lab *l, struct bytes argument) {
    if (bytes_equal(argument, l->f.login)) {
        l->f.login_entry = lab_user(l->arena, arena_str(l->arena, argument), NULL, NULL);
        l->f.login_state = FACT_KNOWN;
        return;
    }
    assert_true(bytes_equal(argument, l->f.recipient));
    l->any_recipient = true;
}

static void do_fix_recipient(struct lab *l, struct bytes argument) {
    (void)argument;
    l->f.recipient = B(CEO);
}

static void do_split(struct lab *l, struct bytes argument) {
    (void)argument;
    l->f.recipients_so_far = 0;
}

static void do_wait(struct lab *l, struct bytes argument) {
    (void)argument;
    l->down = 0;
    l->probe = PROBE_TAKES;
    l->count_count = 0;
    l->f.gateway_state = FACT_UNKNOWN;
    l->f.grey_opens = l->f.now;
}

static void do_resume(struct lab *l, struct bytes argument) {
    (void)argument;
    l->f.suspended = 0;
}

static void do_delist(struct lab *l, struct bytes argument) {
    (void)argument;
    l->f.listing_count = 0;
}

static void do_drop_list(struct lab *l, struct bytes argument) {
    (void)argument;
    inbound(l)->blocklists.count = 0;
}

static void do_fix_helo(struct lab *l, struct bytes argument) {
    (void)argument;
    l->f.helo_missing = false;
}

static void do_helo_note(struct lab *l, struct bytes argument) {
    listener(l, argument)->helo = CALLER_NOTE;
}

static void do_fix_ptr(struct lab *l, struct bytes argument) {
    (void)argument;
    l->f.ptr_name = B("mx.adatum.com");
    l->f.ptr_confirmed = true;
}

static void do_ptr_note(struct lab *l, struct bytes argument) {
    listener(l, argument)->ptr = CALLER_NOTE;
}

static void do_unblock_domain(struct lab *l, struct bytes argument) {
    struct bytes name;
    value(argument, &name);
    struct domain *d = (struct domain *)(uintptr_t)config_domain(l->config, name);
    d->blocked_senders.count = d->blocked_headers.count = 0;
}

static void do_split_domain(struct lab *l, struct bytes argument) {
    (void)argument;
    l->f.domains.count = 1;
}

static void do_tenant_client(struct lab *l, struct bytes argument) {
    struct bytes name, network = value(argument, &name);
    const struct tenant *t = config_tenant(l->config, name);
    assert_non_null(t);
    add_network(l, &((struct tenant *)(uintptr_t)t)->clients, network);
}

static void do_local_user(struct lab *l, struct bytes argument) {
    struct bytes name, user = value(argument, &name);
    add_string(l, &connector(l, name)->local_users, user);
}

static void do_unblock(struct lab *l, struct bytes argument) {
    (void)argument;
    l->config->blocked_senders.count = l->config->blocked_headers.count = 0;
}

static void do_smaller(struct lab *l, struct bytes argument) {
    assert_true(bytes_to_u64(argument, UINT64_MAX, &l->f.size));
}

static void do_other_password(struct lab *l, struct bytes argument) {
    (void)argument;
    facts_take_app_password(&l->f, l->arena, BYTES_NONE, BYTES_NONE, BYTES_NONE);
}
/* "LOGIN NAME WHAT" */
static struct bytes third(struct bytes argument) {
    return bytes_skip(argument, (size_t)bytes_find_last(argument, ' ') + 1);
}
static void do_app_sender(struct lab *l, struct bytes argument) {
    facts_take_app_password(&l->f, l->arena, B("copier"), third(argument), BYTES_NONE);
}
static void do_app_network(struct lab *l, struct bytes argument) {
    facts_take_app_password(&l->f, l->arena, B("copier"), BYTES_NONE, third(argument));
}
static void do_raise_size(struct lab *l, struct bytes argument) {
    struct bytes name, size = value(argument, &name);
    assert_true(bytes_to_u64(size, UINT64_MAX, &listener(l, name)->max_message_size));
}

static void do_free_space(struct lab *l, struct bytes argument) {
    (void)argument;
    l->f.queue_full = false;
}

static void do_fewer(struct lab *l, struct bytes argument) {
    assert_true(bytes_to_u64(argument, UINT64_MAX, &l->f.client_connections));
}

static void do_raise_connections(struct lab *l, struct bytes argument) {
    struct bytes name, n = value(argument, &name);
    assert_true(bytes_to_u64(n, UINT64_MAX, &listener(l, name)->max_connections_per_client));
}

static void do_starttls(struct lab *l, struct bytes argument) {
    (void)argument;
    l->f.tls_version = 13;
}

static void do_mechanism(struct lab *l, struct bytes argument) {
    l->f.mechanism = argument;
}

static void do_new_session(struct lab *l, struct bytes argument) {
    (void)argument;
    l->f.login = BYTES_NONE;
    l->f.has_sender = false;
}

static void do_one_from(struct lab *l, struct bytes argument) {
    (void)argument;
    l->f.from_fields = 1;
}

static void do_crlf(struct lab *l, struct bytes argument) {
    (void)argument;
    l->f.bare_newline = false;
}

static void do_fix_newlines(struct lab *l, struct bytes argument) {
    listener(l, argument)->bare_newline = BARE_FIX;
}

static void do_end_loop(struct lab *l, struct bytes argument) {
    (void)argument;
    l->f.hops = 3;
}

/* By the login whose the sender is; one is made for whom there is none. */
static void do_pop_login(struct lab *l, struct bytes argument) {
    const struct directory_entry *e = lab_find(l, argument);
    struct popped *p = &l->popped[l->f.popped_count++];
    *p = (struct popped){ .login = argument, .at = l->f.now, .state = FACT_KNOWN };
    p->entry = e ? e : lab_user(l->arena, arena_str(l->arena, argument), NULL, NULL);
    l->f.popped = l->popped;
}

static void do_show_certificate(struct lab *l, struct bytes argument) {
    (void)argument;
    l->f.tls_version = 13;
    l->f.client_spki = LAB_SPKI;
}

static void do_add_certificate(struct lab *l, struct bytes argument) {
    struct bytes name, key = value(argument, &name);
    struct bytes *list = ARENA_NEW(l->arena, struct bytes);
    *list = key;
    connector(l, name)->client_certificate = (struct strings){ 1, list };
}

static struct directory_entry *group_of(struct lab *l, struct bytes address) {
    struct directory_entry *e = (struct directory_entry *)(uintptr_t)l->entry;
    for (size_t i = 0; i < e->group_count; i++)
        if (bytes_equal(e->groups[i].address, address))
            return (struct directory_entry *)(uintptr_t)&e->groups[i];
    assert_true(bytes_equal(e->address, address));
    return e;
}

static void do_add_member(struct lab *l, struct bytes argument) {
    struct bytes name, who = value(argument, &name);
    group_of(l, name);
    l->member = arena_str(l->arena, who);
}

static void do_allow_in_group(struct lab *l, struct bytes argument) {
    struct bytes name, who = value(argument, &name);
    add_pattern(l, &group_of(l, name)->rules.allowed, who);
}

static void do_open_group(struct lab *l, struct bytes argument) {
    group_of(l, argument)->rules.senders = DIRECTORY_EVERYONE;
}

static void do_mailbox_behind(struct lab *l, struct bytes argument) {
    assert_true(bytes_equal(argument, l->f.recipient));
    l->probe = PROBE_TAKES;
}

static void do_null_sender(struct lab *l, struct bytes argument) {
    (void)argument;
    l->f.sender = BYTES_NONE;
}

static const struct maker {
    const char *kind;
    void (*make)(struct lab *l, struct bytes argument); /* NULL: it happens at another server */
} makers[] = {
    { "outgoing-server", NULL },
    { "login", do_login },
    { "pop-login", do_pop_login },
    { "add-client", do_add_client },
    { "add-network", do_add_client },
    { "drop-except", do_drop_except },
    { "add-connector", do_add_connector },
    { "host-domain", do_host_domain },
    { "renew", do_renew },
    { "widen-relay", do_widen },
    { "listener", do_listener },
    { "enable-user", do_enable },
    { "allow-sender", do_allow_sender },
    { "add-sender", do_add_sender },
    { "own-sender", do_own_sender },
    { "own-header", do_own_header },
    { "add-user", do_add_user },
    { "fix-recipient", do_fix_recipient },
    { "split", do_split },
    { "wait", do_wait },
    { "raise-limit", do_wait },
    { "add-local-user", do_local_user },
    { "add-tenant-client", do_tenant_client },
    { "unblock", do_unblock },
    { "smaller", do_smaller },
    { "raise-size", do_raise_size },
    { "other-password", do_other_password },
    { "app-sender", do_app_sender },
    { "app-network", do_app_network },
    { "free-space", do_free_space },
    { "fewer-connections", do_fewer },
    { "raise-connections", do_raise_connections },
    { "starttls", do_starttls },
    { "mechanism", do_mechanism },
    { "new-session", do_new_session },
    { "reset", do_new_session },
    { "one-from", do_one_from },
    { "crlf", do_crlf },
    { "fix-newlines", do_fix_newlines },
    { "end-loop", do_end_loop },
    { "delist", do_delist },
    { "resume", do_resume },
    { "drop-list", do_drop_list },
    { "fix-helo", do_fix_helo },
    { "helo-note", do_helo_note },
    { "fix-ptr", do_fix_ptr },
    { "ptr-note", do_ptr_note },
    { "unblock-domain", do_unblock_domain },
    { "unblock-header-domain", do_unblock_domain },
    { "split-domain", do_split_domain },
    { "show-certificate", do_show_certificate },
    { "add-certificate", do_add_certificate },
    { "add-member", do_add_member },
    { "allow-group-sender", do_allow_in_group },
    { "open-group", do_open_group },
    { "add-mailbox", do_mailbox_behind },
    { "mailbox-behind", do_mailbox_behind },
    { "null-sender", do_null_sender },
};

static const struct maker *find_maker(const char *kind) {
    for (size_t i = 0; i < COUNT_OF(makers); i++)
        if (strcmp(makers[i].kind, kind) == 0)
            return &makers[i];
    fail_msg("nobody can make the change %s", kind);
    return NULL;
}

/* --- the property ------------------------------------------------------------------------------- */

/* The caller, and what it wants, but for the decision. */
static void set_scene(struct lab *l, const struct scene *s) {
    lab_open(l, lab_conf);
    lab_caller(l, s->client, s->listener, s->login);
    l->f.tls_version = s->tls;
    if (s->step != STEP_AUTH)
        lab_message(l, s->from, s->to);
    if (s->arrange)
        s->arrange(l);
}

static const struct verdict *open_scene(struct lab *l, const struct scene *s) {
    set_scene(l, s);
    return lab_ask(l, s->step);
}

static void forget_facts(struct lab *l, const char *kind) {
    bool made = strcmp(kind, "add-user") == 0 && l->f.login.len;
    bool keeps_login =
        made || strcmp(kind, "enable-user") == 0 || strcmp(kind, "allow-sender") == 0;
    l->f.recipient_state = l->f.counts_state = l->f.sender_state = FACT_UNKNOWN;
    if (!keeps_login)
        l->f.login_state = FACT_UNKNOWN;
    l->f.member_state = l->f.srs_state = l->f.probe_state = FACT_UNKNOWN;
    l->f.membership_count = 0;
}

/* Makes the i-th change. False when there are not so many. */
static bool change(const struct scene *s, size_t i) {
    struct lab l;
    const struct verdict *v = open_scene(&l, s);
    bool there = i < v->change_count;
    if (there) {
        struct change c = v->changes[i];
        const struct maker *m = find_maker(c.kind);
        assert_true(c.text.len);
        if (!c.safe)
            assert_true(bytes_search(c.text, B("unsafe")) >= 0);
        if (i > 0) /* safest first */
            assert_true(v->changes[i - 1].safe || !c.safe);
        if (m->make) {
            m->make(&l, arena_copy(l.arena, c.argument));
            forget_facts(&l, c.kind);
            v = lab_ask(&l, s->step);
            /* A second fault, told only once the first is mended, is not the change's. */
            if (v->rc != OK && strcmp(v->why.reason, "recipient.unknown") != 0)
                fail_msg("%s: %s (%.*s) leads to %d %s %s", s->name, c.kind, BYTES_FMT(c.argument),
                         v->why.code, v->why.reason, v->why.text);
        }
    }
    lab_close(&l);
    return there;
}

static void expect_kinds(const struct scene *s) {
    struct lab l;
    const struct verdict *v = open_scene(&l, s);
    struct bytes kinds = bytes_str(s->kinds), kind;
    if (v->why.code != s->code)
        fail_msg("%s: %d %s", s->name, v->why.code, v->why.text);
    size_t ours = 0; /* that can be made here, not at another server */
    for (size_t i = 0; i < v->change_count; i++)
        ours += find_maker(v->changes[i].kind)->make != NULL;
    assert_true(ours > 0);
    while (bytes_split(&kinds, ' ', &kind)) {
        if (lab_change(v, arena_str(l.arena, kind)))
            continue;
        for (size_t i = 0; i < v->change_count; i++)
            fprintf(stderr, "  %s: %.*s\n", v->changes[i].kind, BYTES_FMT(v->changes[i].text));
        fail_msg("%s: no change %.*s", s->name, BYTES_FMT(kind));
    }
    lab_close(&l);
}

static void test_changes_lead_to_acceptance(void **state) {
    (void)state;
    for (size_t s = 0; s < COUNT_OF(scenes); s++) {
        expect_kinds(&scenes[s]);
        size_t i = 0;
        while (change(&scenes[s], i))
            i++;
        assert_true(i > 0);
    }
}

/* All callers, senders and recipients of the lab: whatever is refused, the changes work. */
static void test_every_combination(void **state) {
    (void)state;
    static const char *const clients[] = { HOTEL,          "192.0.2.5",   "192.0.2.20",
                                           "192.0.2.201",  "192.0.2.209", "203.0.113.9",
                                           "2001:db8:5::1" };
    static const char *const listeners[] = { "internet", "submission", "offer" };
    static const char *const logins[] = { NULL, TERRI, "strict@proseware.com",
                                          "gone@proseware.com" };
    static const char *const senders[] = { TERRI, "scanner@proseware.com", "x@contoso.com", "<>",
                                           "a@strict.example" };
    static const char *const recipients[] = { CEO, "who@proseware.com", "x@adatum.com",
                                              "x@strict.example", "postmaster" };
    for (size_t n = 0; n < 7 * 3 * 4 * 5 * 5; n++) {
        const struct scene s = {
            .name = "combination",
            .client = clients[n % 7],
            .listener = listeners[n / 7 % 3],
            .login = logins[n / 21 % 4],
            .from = senders[n / 84 % 5],
            .to = recipients[n / 420],
            .step = STEP_RCPT,
            .tls = 13,
        };
        struct lab l;
        enum rc rc = open_scene(&l, &s)->rc;
        lab_close(&l);
        for (size_t i = 0; rc != OK && change(&s, i); i++)
            ;
    }
}

/* --- every refusal ------------------------------------------------------------------------------- */

static bool is_brought_about(const struct refusal_row *r) {
    bool found = false;
    for (size_t i = 0; i < COUNT_OF(scenes) && !found; i++) {
        struct lab l;
        char status[12];
        const struct verdict *v = open_scene(&l, &scenes[i]);
        status_format(v->why.status, status);
        found = v->why.code == r->code && !strcmp(v->why.reason, r->reason) &&
                !strcmp(status, r->status);
        lab_close(&l);
    }
    return found;
}

static void test_every_refusal_has_a_scene(void **state) {
    (void)state;
    struct refusal_row r;
    size_t missing = 0;
    for (size_t i = 0; decide_refusal_row(i, &r); i++) {
        assert_non_null(r.reason);
        if (is_brought_about(&r))
            continue;
        fprintf(stderr, "no scene brings about %d %s %s\n", r.code, r.status, r.reason);
        missing++;
    }
    assert_int_equal(missing, 0);
}

/* --- what the sender reads -------------------------------------------------------------------------- */

static void as_it_is(struct lab *l) {
    (void)l;
}

static void brief(struct lab *l) {
    l->config->explain = EXPLAIN_BRIEF;
}

static void no_logins(struct lab *l) {
    for (size_t i = 0; i < l->config->listener_count; i++) {
        struct listener *one = (struct listener *)(uintptr_t)&l->config->listeners[i];
        if (one != l->f.listener)
            one->auth = AUTH_OFF;
    }
}

static void over_ipv6(struct lab *l) {
    if (l->f.client.family == 4 &&
        !networks_have(config_connector(l->config, office)->clients, l->f.client))
        l->f.client = lab_addr("2001:db8:1234:5678:9abc:def0:1234:5678");
}

/* As long as RFC 5321 section 4.5.3.1 allows: 64 octets before the @, 255 behind it. */
static struct bytes longest(struct lab *l, struct bytes mailbox) {
    char label[61], local[65];
    ptrdiff_t at = bytes_find_last(mailbox, '@');
    memset(label, 'l', sizeof label - 1);
    memset(local, 'u', sizeof local - 1);
    label[60] = local[64] = 0;
    if (at < 0)
        return mailbox;
    struct bytes domain = bytes_skip(mailbox, (size_t)at + 1);
    if (config_domain(l->config, domain))
        return arena_printf(l->arena, "%s@%.*s", local, BYTES_FMT(domain));
    return arena_printf(l->arena, "%s@%s.%s.%s.%.*s", local, label, label, label,
                        BYTES_FMT(domain));
}

static void long_addresses(struct lab *l) {
    l->f.sender = longest(l, l->f.sender);
    if (!l->f.recipient_postmaster)
        l->f.recipient = longest(l, l->f.recipient);
    if (l->f.header_mailbox_count && header[0].mailbox.len)
        header[0].mailbox = longest(l, header[0].mailbox);
    l->config->hostname = longest(l, B("x@mail.proseware.net"));
    l->config->hostname = bytes_skip(l->config->hostname, 65);
}

static const struct variant {
    const char *name;
    void (*make)(struct lab *l);
} variants[] = {
    { "full", as_it_is },       { "brief", brief },         { "no login port", no_logins },
    { "over IPv6", over_ipv6 }, { "long", long_addresses },
};

static struct bytes reply_of(struct lab *l, const struct scene *s, const struct variant *how) {
    set_scene(l, s);
    how->make(l);
    const struct verdict *v = lab_ask(l, s->step);
    struct buf b = buf_grow(2000);
    smtp_reply_format(&b, &v->why, arena_printf(l->arena, "[%s 4fq2w7k1x9c3]", v->why.reason),
                      true);
    struct bytes reply = arena_copy(l->arena, buf_bytes(&b));
    buf_free(&b);
    return reply;
}

static bool is_last_char_of_sentence(char c) {
    return c != '.' && c != ' ' && c != ',' && c != ':' && c != ';';
}

/* One line of at most 510 octets and CR LF; printable; the words end without a full stop, for the
 * reason and the session follow. */
static void check_reply(const char *name, struct bytes reply) {
    assert_true(reply.len <= 512 && bytes_ends_nocase(reply, B("\r\n")));
    for (size_t i = 0; i + 2 < reply.len; i++)
        assert_true(reply.at[i] >= ' ' && reply.at[i] < 127);
    ptrdiff_t open = bytes_find_last(reply, '[');
    assert_true(open > 12);
    if (!is_last_char_of_sentence(reply.at[open - 2]))
        fail_msg("%s: ends badly: %.*s", name, BYTES_FMT(reply));
    for (size_t i = 0; i + 1 < reply.len; i++)
        if ((reply.at[i] == ' ' && reply.at[i + 1] == ' ') ||
            (reply.at[i] == '.' && reply.at[i + 1] == '.' &&
             !bytes_starts(bytes_skip(reply, i), B("..."))))
            assert_true(i > 0 && reply.at[i - 1] == '.');
}

/* Variants that read as the full text does are not repeated. */
static void write_scene(struct buf *out, const struct scene *s) {
    char full[600] = "";
    buf_printf(out, "%s\n", s->name);
    for (size_t i = 0; i < COUNT_OF(variants); i++) {
        struct lab l;
        struct bytes reply = reply_of(&l, s, &variants[i]);
        check_reply(s->name, reply);
        reply = bytes_first(reply, reply.len - 2);
        bool refused = l.v.rc != OK && !bytes_equal(reply, bytes_str(full));
        if (refused)
            buf_printf(out, "  %-14s %.*s\n", variants[i].name, BYTES_FMT(reply));
        if (i == 0)
            snprintf(full, sizeof full, "%.*s", BYTES_FMT(reply));
        lab_close(&l);
    }
}

static void test_golden(void **state) {
    (void)state;
    static const char path[] = "tests/golden/refusals.txt";
    struct buf b = buf_grow(1 << 20);
    for (size_t i = 0; i < COUNT_OF(scenes); i++)
        write_scene(&b, &scenes[i]);
    if (getenv("POSTERN_WRITE_GOLDEN")) {
        FILE *f = fopen(path, "wb");
        assert_non_null(f);
        assert_int_equal(fwrite(b.at, 1, b.len, f), b.len);
        fclose(f);
    }
    char *expected = calloc(1, b.len + 2);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t len = fread(expected, 1, b.len + 1, f);
    fclose(f);
    struct bytes was = bytes_of(expected, len), is = buf_bytes(&b), before, now;
    while (bytes_split(&was, '\n', &before) && bytes_split(&is, '\n', &now))
        if (!bytes_equal(before, now))
            fail_msg("%s says\n%.*s\nnow it is\n%.*s", path, BYTES_FMT(before), BYTES_FMT(now));
    assert_int_equal(len, b.len);
    free(expected);
    buf_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes_lead_to_acceptance),
        cmocka_unit_test(test_every_combination),
        cmocka_unit_test(test_every_refusal_has_a_scene),
        cmocka_unit_test(test_golden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
