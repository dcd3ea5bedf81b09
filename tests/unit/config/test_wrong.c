/* Wrong files: each must be refused with the line, the setting and the words that help, and without
 * a second complaint that only follows from the first. @ is the directory of the test's files. */
#include "config_test.h"

/* A row says how many errors there are only when it is not one. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

struct wrong {
    const char *text;
    int line;
    const char *setting, *id, *words;
    size_t errors; /* 0: one */
};

#define L "listener \"a\" { bind = {\"*:25\"} "
#define C "connector \"c\" { note = \"n\" "
#define W C "clients = {\"192.0.2.0/24\"} senders = any "
#define R "route \"r\" { via = {\"smtp://h.example\"} "

static const struct wrong syntax[] = {
    { "hostname", 1, "", "config.syntax", "is followed by the end of the file; expected =" },
    { "\n\nhostname =\n", 3, "hostname", "config.syntax", "no value behind \"=\"" },
    { "hostname \"mail.example.com\"\n", 1, "", "config.syntax", "followed by a string" },
    { "hostname =\nexplain = full\n", 1, "hostname", "config.syntax", "no value" },
    { "hostname = \"mail.example.com\n", 1, "hostname", "config.syntax", "not closed on its line" },
    { "# c\nhostname = 'mail.example.com\n", 2, "hostname", "config.syntax", "closing quote" },
    { "hostname = \"mail\\q.example\"\n", 1, "hostname", "config.syntax", "unknown escape" },
    { "hostname = \"mail\\x4\"\n", 1, "hostname", "config.syntax", "unknown escape" },
    { "log = \"\\x0a\"\n", 1, "log", "config.syntax", "control character" },
    { "log = \"a\tb\"\n", 1, "log", "config.syntax", "control character" },
    { "/* never closed\n\n", 1, "", "config.syntax", "never closed; expected */" },
    { "explain = full;\n", 1, "", "config.syntax", "unexpected \";\"" },
    { "explain = (full)\n", 1, "explain", "config.syntax", "unexpected \"(\"" },
    { "explain = `full`\n", 1, "explain", "config.syntax", "unexpected \"`\"" },
    { "explain = \x01\n", 1, "explain", "config.syntax", "octet 0x01" },
    { "explain += full\n", 1, "", "config.syntax", "\"explain\" is followed by \"+\"" },
    { "explain: full\n", 1, "", "config.syntax", "\"explain:\" is followed by \"full\"" },
    { "explain = full = brief\n", 1, "", "config.syntax", "unexpected \"=\"" },
    { "explain = full, brief\n", 1, "", "config.syntax", "unexpected \",\"" },
    { "}\n", 1, "", "config.syntax", "no section or list is open" },
    { "\"hostname\" = x\n", 1, "", "config.syntax", "unexpected a string" },
    { "= x\n", 1, "", "config.syntax", "expected the name of a setting" },
    { "queue {\n retry = {\"1min\", \"5min\"\n give_up = 5d\n}\n", 2, "queue: retry",
      "config.syntax", "the list is not closed" },
    { "queue {\n retry = {\"1min\" \"5min\"}\n}\n", 2, "queue: retry", "config.syntax",
      "a comma between" },
    { "queue { retry = {,} }\n", 1, "queue: retry", "config.syntax", "unexpected \",\"" },
    { "queue { retry = {\"1min\",,\"5min\"} }\n", 1, "queue: retry", "config.syntax", "an item" },
    { "queue { retry = {{\"1min\"}} }\n", 1, "queue: retry", "config.syntax", "unexpected \"{\"" },
    { "queue { retry = {\"1min\n}\ngive_up = 1d }\n", 1, "queue: retry", "config.syntax",
      "not closed on its line" },
    { "queue { retry = {\"1min\"", 1, "queue: retry", "config.syntax", "not closed", 2 },
    { "queue {\n give_up = 5d\n", 1, "queue", "config.syntax", "section that begins here" },
    { L "\nlistener \"b\" { bind = {\"*:26\"} }\n", 1, "listener a", "config.syntax",
      "expected } before line 2" },
    { "history { keep 14d }\n", 1, "history", "config.syntax", "followed by \"14d\"" },
    { "history { keep = 14 d }\n", 1, "history", "config.syntax", "\"d\" is followed by \"}\"", 2 },
    { R "}\nroute \"s\" { to = {\"x.example\"} via = {smtp://h.example} }\n", 2, "route s: via",
      "config.syntax", "begin a comment" },
    { "listener { bind = {\"*:25\"} }\n", 1, "listener", "config.syntax", "without a title" },
    { "queue \"q\" { }\n", 1, "queue q", "config.syntax", "a title, where none belongs" },
};

static const struct wrong names[] = {
    { "hostnam = \"x.example\"\n", 1, "hostnam", "config.unknown", "did you mean hostname?" },
    { "explian = full\n", 1, "explian", "config.unknown", "did you mean explain?" },
    { "colour = red\n", 1, "colour", "config.unknown", "expected one of: hostname, state_dir" },
    { "clients = {}\n", 1, "clients", "config.unknown", "expected it in: connector, tenant" },
    { "queue = spool\n", 1, "queue", "config.unknown", "this is a section" },
    { "hostname { }\n", 1, "hostname", "config.unknown", "this is a setting" },
    { "listner \"a\" { }\n", 1, "listner a", "config.unknown", "did you mean listener?" },
    { "something \"a\" { }\n", 1, "something a", "config.unknown", "expected one of: history" },
    { L "clients = {\"192.0.2.1\"} }\n", 1, "listener a: clients", "config.unknown",
      "expected it in: connector, tenant" },
    { "\n" L "\n  tls_mim = 1.2 }\n", 3, "listener a: tls_mim", "config.unknown",
      "did you mean tls_min?" },
    { C "client = {\"192.0.2.1\"} }\n", 1, "connector c: client", "config.unknown",
      "did you mean clients?", 2 },
    { "explain = full\nexplain = full\n", 2, "explain", "config.duplicate", "as in line 1" },
    { L "\ntls = off\ntls = offer }\n", 3, "listener a: tls", "config.duplicate", "as in line 2" },
    { L "}\n\nlistener \"A\" { bind = {\"*:26\"} }\n", 3, "listener A", "config.duplicate",
      "as in line 1" },
    { "domain \"a.example\" { }\ndomain \"A.Example\" { }\n", 2, "domain A.Example",
      "config.duplicate", "second time" },
    { "queue { }\nqueue { }\n", 2, "queue", "config.duplicate", "second time" },
    { "domain \"*\" { }\n", 1, "domain *", "config.value", "without wildcards" },
    { "domain \"*.example\" { }\n", 1, "domain *.example", "config.value", "without wildcards" },
    { "domain \"\" { }\n", 1, "domain ", "config.value", "expected a domain" },
    { "listener \"a b\" { bind = {\"*:25\"} }\n", 1, "listener a b", "config.value", "a title of" },
    { "connector \"\" { auth = any }\n", 1, "connector ", "config.value", "a title of" },
};

static const struct wrong values[] = {
    { "hostname = \"not a host\"\n", 1, "hostname", "config.value", "expected a host name" },
    { "hostname = {\"a.example\"}\n", 1, "hostname", "config.value", "a list, where one value" },
    { "hostname = \"\"\n", 1, "hostname", "config.value", "expected a host name" },
    { "hostname = 192.0.2.1\n", 1, "hostname", "config.value", "expected a host name" },
    { "state_dir = \"var/lib\"\n", 1, "state_dir", "config.value", "an absolute path" },
    { "run_as = \"no such user\"\n", 1, "run_as", "config.value", "a name of letters" },
    { "workers = many\n", 1, "workers", "config.value", "a number, from 0 to 256" },
    { "workers = -1\n", 1, "workers", "config.value", "a number" },
    { "workers = 257\n", 1, "workers", "config.range", "from 0 to 256" },
    { "workers = 99999999999999999999\n", 1, "workers", "config.value", "a number" },
    { "log = syslog\n", 1, "log", "config.value", "stderr, journal or file:PATH" },
    { "log = \"file:relative\"\n", 1, "log", "config.value", "file:PATH" },
    { "postmaster = joe\n", 1, "postmaster", "config.value", "a mail address" },
    { "explain = maximal\n", 1, "explain", "config.value", "full or brief" },
    { "history { keep = 14 }\n", 1, "history: keep", "config.value", "a duration such as" },
    { "history { keep = 1s }\n", 1, "history: keep", "config.range", "from 1h to 3650d" },
    { "history { max_size = 2GB }\n", 1, "history: max_size", "config.value", "64KiB" },
    { "history { max_size = 1KiB }\n", 1, "history: max_size", "config.range", "from 1MiB" },
    { "blocked_senders = {\"a@b@\"}\n", 1, "blocked_senders", "config.value", "address patterns" },
    { "blocked_senders = {\"*.example\"}\n", 1, "blocked_senders", "config.value", ".example.com" },
    { "blocked_senders = {\"spam*@a.example\"}\n", 1, "blocked_senders", "config.value",
      "is not valid" },
    { "blocked_senders = \"a@b.example\"\n", 1, "blocked_senders", "config.value",
      "a list in { }" },
    { "blocked_senders = {\n\"ok.example\",\n\"@\",\n\"..\"\n}\n", 3, "blocked_senders",
      "config.value", "\"@\"", 2 },
    { "logins = {}\n", 1, "logins", "config.value", "an empty list" },
    { "logins = {\"dovecot:run/auth\"}\n", 1, "logins", "config.value", "dovecot:..." },
    { "logins = {\"pam:../shadow\"}\n", 1, "logins", "config.value", "pam:SERVICE" },
    { "logins = {\"pam:smtp@\"}\n", 1, "logins", "config.value", "pam:SERVICE@DOMAIN" },
    { "logins = {\"pam:smtp@a@b\"}\n", 1, "logins", "config.value", "pam:SERVICE@DOMAIN" },
    { "logins = {\"ldap\"}\n", 1, "logins", "config.value", "directory, dovecot:" },
    { "dns = {\"127.0.0.1\"}\n", 1, "dns", "config.value", "addresses with ports" },
    { "dns = {\"localhost:53\"}\n", 1, "dns", "config.value", "addresses with ports" },
    { "dns = {\"127.0.0.1:0\"}\n", 1, "dns", "config.value", "addresses with ports" },
    { "dns = {\"system\", \"127.0.0.1:53\"}\n", 1, "dns", "config.conflict", "expected it alone" },
    { "dns_trust_anchor = on\n", 1, "dns_trust_anchor", "config.value", "builtin, off or file:" },
    { "domain \"a.example\" {\n recipients = all }\n", 2, "domain a.example: recipients",
      "config.value", "directory, any or probe" },
    { "domain \"a.example\" { deliver = lmtp:host }\n", 1, "domain a.example: deliver",
      "config.value", "lmtp:HOST:PORT" },
    { "domain \"a.example\" { deliver = smtp:host:99999 }\n", 1, "domain a.example: deliver",
      "config.value", "smtp:HOST:PORT" },
    { "domain \"a.example\" { deliver = \"lmtp:unix:run/lmtp\" }\n", 1, "domain a.example: deliver",
      "config.value", "lmtp:unix:/PATH" },
    { "domain \"a.example\" { deliver = \"lmtp:2001:db8::1:24\" }\n", 1,
      "domain a.example: deliver", "config.value", "lmtp:HOST:PORT" },
    { "listener \"a\" { bind = {\"*\"} }\n", 1, "listener a: bind", "config.value", "*:25" },
    { "listener \"a\" { bind = {\"mail.example.com:25\"} }\n", 1, "listener a: bind",
      "config.value", "192.0.2.1:587" },
    { "listener \"a\" { bind = {\"*:65536\"} }\n", 1, "listener a: bind", "config.value",
      "addresses with ports" },
    { "listener \"a\" { bind = {\"::1:25\"} }\n", 1, "listener a: bind", "config.value",
      "[2001:db8::1]:25" },
    { "listener \"a\" { bind = {} }\n", 1, "listener a: bind", "config.value", "an empty list" },
    { L "tls = maybe }\n", 1, "listener a: tls", "config.value",
      "off, offer, require or implicit" },
    { L "tls_min = 1.1 }\n", 1, "listener a: tls_min", "config.value", "1.2 or 1.3" },
    { L "auth = yes }\n", 1, "listener a: auth", "config.value", "off, offer or require" },
    { L "mechanisms = {\"DIGEST-MD5\"} }\n", 1, "listener a: mechanisms", "config.value",
      "SCRAM-SHA-256" },
    { L "mechanisms = PLAIN }\n", 1, "listener a: mechanisms", "config.value", "a list in { }" },
    { L "proxy_protocol_from = {\"10.0.0.1/24\"} }\n", 1, "listener a: proxy_protocol_from",
      "config.host-bits", "10.0.0.0/24" },
    { L "max_message_size = 1MB }\n", 1, "listener a: max_message_size", "config.value", "MiB" },
    { L "max_message_size = 1 }\n", 1, "listener a: max_message_size", "config.range",
      "from 64KiB to 1GiB" },
    { L "max_recipients = 0 }\n", 1, "listener a: max_recipients", "config.range", "from 1" },
    { L "idle_timeout = 5m }\n", 1, "listener a: idle_timeout", "config.value", "15min" },
    { L "bare_newline = allow }\n", 1, "listener a: bare_newline", "config.value",
      "refuse or fix" },
    { L "xclient_login = maybe }\n", 1, "listener a: xclient_login", "config.value", "no or yes" },
    { C "senders = any clients = {\"192.0.2.1/24\"} }\n", 1, "connector c: clients",
      "config.host-bits", "expected 192.0.2.0/24" },
    { C "senders = any clients = {\n\"192.0.2.0/24\",\n\"2001:db8::1/32\"} }\n", 3,
      "connector c: clients", "config.host-bits", "2001:db8::/32" },
    { C "senders = any clients = {\"192.0.2.0/33\"} }\n", 1, "connector c: clients", "config.value",
      "networks such as" },
    { C "senders = any clients = {\"192.0.2\"} }\n", 1, "connector c: clients", "config.value",
      "networks such as" },
    { C "auth = all }\n", 1, "connector c: auth", "config.value", "any, or logins" },
    { C "auth = {} }\n", 1, "connector c: auth", "config.value", "an empty list" },
    { C "auth = {\"two words\"} }\n", 1, "connector c: auth", "config.value", "\"two words\"" },
    { C "client_certificate = {\"spki-sha256:12\"} }\n", 1, "connector c: client_certificate",
      "config.value", "64 hexadecimal digits" },
    { C "client_certificate = {\"sha256:12\"} }\n", 1, "connector c: client_certificate",
      "config.value", "spki-sha256:HEX" },
    { C "auth = any expires = \"2027-02-30\" }\n", 1, "connector c: expires", "config.value",
      "a date such as" },
    { C "auth = any expires = \"1969-12-31\" }\n", 1, "connector c: expires", "config.value",
      "a date such as" },
    { C "auth = any expires = tomorrow }\n", 1, "connector c: expires", "config.value", "a date" },
    { C "auth = any expires = \"2027-12-31T00:00:00Z\" }\n", 1, "connector c: expires",
      "config.value", "a date" },
    { C "auth = any may_relay_to = any }\n", 1, "connector c: may_relay_to", "config.value",
      "accepted, or address patterns" },
    { C "auth = any may_relay_to = {} }\n", 1, "connector c: may_relay_to", "config.value",
      "an empty list" },
    { C "auth = any senders = theirs }\n", 1, "connector c: senders", "config.value",
      "own, any, or" },
    { C "auth = any senders = {\"\"} }\n", 1, "connector c: senders", "config.value", "own, any" },
    { C "auth = any header_from = no }\n", 1, "connector c: header_from", "config.value",
      "senders, strict or any" },
    { C "auth = any max_recipients = 0 }\n", 1, "connector c: max_recipients", "config.range",
      "from 1 to 100000" },
    { "connector \"c\" { auth = any note = \"\" }\n", 1, "connector c: note", "config.value",
      "text on one line" },
    { "route \"r\" { via = {\"h.example\"} }\n", 1, "route r: via", "config.value", "next hops" },
    { "route \"r\" { via = {\"smtp://\"} }\n", 1, "route r: via", "config.value", "next hops" },
    { "route \"r\" { via = {\"smtp://h.example:0\"} }\n", 1, "route r: via", "config.value",
      "next hops" },
    { "route \"r\" { via = {\"mx:192.0.2.1\"} }\n", 1, "route r: via", "config.value", "mx:NAME" },
    { "route \"r\" { via = {\"smtp://192.0.2.300\"} }\n", 1, "route r: via", "config.value",
      "next hops" },
    { "route \"r\" { via = {\"smtp://h.example/path\"} }\n", 1, "route r: via", "config.value",
      "next hops" },
    { R "tls = default }\n", 1, "route r: tls", "config.value", "verify, require" },
    { R "source_address = eth0 }\n", 1, "route r: source_address", "config.value", "an address" },
    { R "max_connections = 0 }\n", 1, "route r: max_connections", "config.range", "from 1" },
    { R "login = \"joe:hunter2\" }\n", 1, "route r: login", "config.value",
      "secrets are never written here" },
    { R "login = \"file:relative\" }\n", 1, "route r: login", "config.value", "file:/PATH" },
    { R "login = \"file:@/none\" }\n", 1, "route r: login", "config.file", "No such file" },
    { R "login = \"file:@\" }\n", 1, "route r: login", "config.file", "it is a directory" },
    { R "login = \"file:@/empty\" }\n", 1, "route r: login", "config.file", "is empty" },
    { R "login = \"file:@/no-colon\" }\n", 1, "route r: login", "config.value", "user:password" },
    { R "login = \"file:@/no-password\" }\n", 1, "route r: login", "config.value", "no password" },
    { R "login = \"file:@/oauth\" }\n", 1, "route r: login", "config.value",
      "\"token_url\" is missing" },
    { R "login = \"file:@/client-http\" }\n", 1, "route r: login", "config.value",
      "must be an https:// URL" },
    { R "login = \"env:POSTERN_TEST_UNSET\" }\n", 1, "route r: login", "config.file",
      "is not set" },
    { "queue { retry = {} }\n", 1, "queue: retry", "config.value", "an empty list" },
    { "queue { retry = {\"1min\", \"1ms\"} }\n", 1, "queue: retry", "config.range", "from 1s" },
    { "queue { give_up = never }\n", 1, "queue: give_up", "config.value", "a duration" },
    { "queue { min_free = 5 }\n", 1, "queue: min_free", "config.value", "a percentage" },
    { "queue { min_free = 95% }\n", 1, "queue: min_free", "config.range", "from 0% to 90%" },
    { "queue { store = files }\n", 1, "queue: store", "config.value", "spool or postgresql://" },
};

static const struct wrong rules[] = {
    { "listener \"a\" { }\n", 1, "listener a: bind", "config.missing", "this setting is required" },
    { L "}\nlistener \"b\" {\n bind = {\"127.0.0.1:25\", \"[::]:25\"} }\n", 3, "listener b: bind",
      "config.conflict", "[::]:25 is bound already" },
    { "listener \"a\" { bind = {\"127.0.0.1:25\", \"127.0.0.1:25\"} }\n", 1, "listener a: bind",
      "config.conflict", "bound already" },
    { L "certificate = \"@/mail.pem\" }\n", 1, "listener a: certificate", "config.missing",
      "expected key too" },
    { L "key = \"@/mail.key\" }\n", 1, "listener a: key", "config.missing",
      "expected certificate too" },
    { L "certificate = \"@/junk\" key = \"@/mail.key\" }\n", 1, "listener a: certificate",
      "config.file", "holds no certificate" },
    { L "certificate = \"@/mail.pem\" key = \"@/mail.pem\" }\n", 1, "listener a: key",
      "config.file", "holds no private key" },
    { L "certificate = \"@/none\" key = \"@/mail.key\" }\n", 1, "listener a: certificate",
      "config.file", "No such file" },
    { L "tls = off certificate = \"@/mail.pem\" key = \"@/mail.key\" }\n", 1,
      "listener a: certificate", "config.conflict", "tls = off" },
    { L "xclient_login = yes }\n", 1, "listener a: xclient_login", "config.missing",
      "xclient_from" },
    { "certificate \"a.example\" { }\n", 1, "certificate a.example: chain", "config.missing",
      "required", 2 },
    { "certificate \"a.example\" { chain = \"@/box.pem\" }\n", 1, "certificate a.example: key",
      "config.missing", "required" },
    { C "}\n", 1, "connector c", "config.missing", "expected one of clients, auth" },
    { C "senders = any may_relay_to = {\"*\"} }\n", 1, "connector c", "config.missing",
      "would grant to everybody" },
    { "connector \"c\" { clients = {\"192.0.2.0/24\"} senders = any }\n", 1, "connector c: note",
      "config.missing", "needs a note" },
    { "connector \"c\" { local_users = {\"root\"} }\n", 1, "connector c: note", "config.missing",
      "needs a note" },
    { C "auth = any except = {\"192.0.2.1\"} }\n", 1, "connector c: except", "config.missing",
      "expected clients too" },
    { W "listeners = {\"x\"} }\n", 1, "connector c: listeners", "config.reference",
      "there is no listener \"x\"" },
    { L "}\n" W "\nwithout_tls_on = {\"x\"} }\n", 3, "connector c: without_tls_on",
      "config.reference", "there is no listener \"x\"" },
    { L "}\n" C "auth = any without_auth_on = {\"a\"} }\n", 2, "connector c: without_auth_on",
      "config.missing", "expected clients too" },
    { L "}\nlistener \"b\" { bind = {\"*:587\"} }\n" W
        "listeners = {\"a\"} without_auth_on = {\"b\"} }\n",
      3, "connector c: without_auth_on", "config.conflict", "does not hold on listener \"b\"" },
    { R "}\nroute \"s\" {\n to = {\"a.example\", \"*\"} via = {\"mx:b.example\"} }\n", 3,
      "route s: to", "config.conflict", "route \"r\" in line 1 takes the same" },
    { R "from = {\"*\"} }\n"
        "route \"s\" { via = {\"mx:b.example\"} }\n",
      2, "route s", "config.conflict", "more specific" },
    { R "from = {\"a.example\", \"b.example\"} }\n"
        "route \"s\" { from = {\"B.example\"} via = {\"mx:b.example\"} }\n",
      2, "route s", "config.conflict", "more specific" },
    { "route \"r\" { to = {\"a.example\"} }\n", 1, "route r: via", "config.missing", "required" },
    { R "tls = off login = \"file:@/provider.login\" }\n", 1, "route r: login", "config.conflict",
      "never sent without TLS" },
    { "route \"r\" { via = {\"smtp://127.0.0.1:2525\"} login = \"file:@/provider.login\" }\n", 1,
      "route r: login", "config.conflict", "the default with a loopback via" },
    { "route \"r\" { via = {\"smtps://h.example\"} tls = off }\n", 1, "route r: tls",
      "config.conflict", "TLS from the first octet" },
    { R "tls = off ca_file = \"/etc/ca.pem\" }\n", 1, "route r: ca_file", "config.conflict",
      "tls = off" },
};

static const struct wrong not_built[] = {
    { "listener \"a\" { bind = {\"127.0.0.1:8025\"}\n service = admin }\n", 2,
      "listener a: service", "config.not-built", "expected no other value than: smtp pop3" },
    { "domain \"a.example\" { header_auth = enforce }\n", 1, "domain a.example: header_auth",
      "config.not-built", "not built yet" },
    { C "auth = any limit = {\"0/hour\"} }\n", 1, "connector c: limit", "config.value",
      "rates such as" },
    { "queue { store = \"postgresql://db/postern\" }\n", 1, "queue: store", "config.not-built",
      "spool" },
    { "directory = \"postgresql://db/postern\"\n", 1, "directory", "config.not-built", "sqlite" },
    { "counters = \"redis://localhost\"\n", 1, "counters", "config.not-built", "local" },
    { "logins = {\"oauth:corp\"}\n", 1, "logins", "config.reference", "no provider \"corp\"" },
    { "alarm = \"https://hook.example/x\"\n", 1, "alarm", "config.not-built", "postmaster" },
};

/* Providers of tokens. */
#define O "logins = {\"oauth:o\"}\noauth \"o\" { issuer = \"https://o.example\" audience = mail "
static const struct wrong providers[] = {
    { "oauth \"o\" { audience = mail }\n", 1, "oauth o: issuer", "config.missing", "required" },
    { "logins = {\"oauth:o\"}\noauth \"o\" { issuer = corp audience = mail }\n", 2,
      "oauth o: issuer", "config.missing", "expected jwks too" },
    { O "jwks = \"http://o.example/keys\" }\n", 2, "oauth o: jwks", "config.value",
      "http:// to this host only" },
    { O "jwks = \"ftp://o.example/keys\" }\n", 2, "oauth o: jwks", "config.value", "https://" },
    { O "jwks = \"file:@/none\" }\n", 2, "oauth o: jwks", "config.file", "cannot read" },
    { O "jwks = \"file:@/junk\" }\n", 2, "oauth o: jwks", "config.file", "no JSON Web Key set" },
    { O "jwks = \"file:@/private.jwks\" }\n", 2, "oauth o: jwks", "config.file", "no public key" },
    { O "introspection = \"https://u:p@o.example/i\" }\n", 2, "oauth o: introspection",
      "config.value", "https://" },
    { O "introspection = \"https://o.example/i\" client = \"file:@/no-colon\" }\n", 2,
      "oauth o: client", "config.value", "client:secret" },
    { O "ca_file = \"@/junk\" }\n", 2, "oauth o: ca_file", "config.file", "no certificate" },
    { "listener \"a\" { bind = {\"*:25\"} mechanisms = {PLAIN, XOAUTH2} }\n", 1,
      "listener a: mechanisms", "config.missing", "expected oauth:NAME there" },
};
/* Warnings: what is no error and still not what one wants. */
static const struct wrong doubtful_providers[] = {
    { O "introspection = \"https://o.example/i\" }\n", 2, "oauth o: client", "config.void",
      "a known client only" },
    { O "client = \"file:@/provider.login\" }\n", 2, "oauth o: introspection", "config.void",
      "never used" },
    { O "introspection = \"https://o.example/i\" client = \"file:@/provider.login\" "
        "jwks = \"https://o.example/k\" }\n",
      2, "oauth o: jwks", "config.void", "never used" },
    { "logins = {\"oauth:o\"}\noauth \"o\" { issuer = \"https://o.example\" }\n", 2,
      "oauth o: audience", "config.void", "made for other services" },
    { "oauth \"o\" { issuer = \"https://o.example\" audience = mail }\n", 1, "oauth o",
      "config.void", "does not name oauth:o" },
    { O "jwks = \"http://127.0.0.1/keys\" }\n", 2, "oauth o: jwks", "config.void",
      "expected https://" },
    { "logins = {\"oauth:o\"}\noauth \"o\" { issuer = \"http://127.0.0.1\" audience = mail }\n", 2,
      "oauth o: issuer", "config.void", "expected https://" },
};

/* Rules about what is not built yet: they hold once it is. */
#define T "domain \"a.example\" { }\ntenant \"t\" { domains = {\"a.example\"} "
static const struct wrong later[] = {
    { "listener \"p\" { bind = {\"*:110\"} service = pop3 auth = off }\n", 1, "listener p: auth",
      "config.conflict", "expected require" },
    { "listener \"p\" { bind = {\"*:110\"} service = pop3\n xclient_from = {\"127.0.0.1\"} }\n", 2,
      "listener p: xclient_from", "config.conflict", "service = smtp" },
    { C "pop_before_smtp = 15min\nsenders = any }\n", 2, "connector c: senders", "config.conflict",
      "expected own" },
    { C "auth = any tenant = \"t\" }\n", 1, "connector c: tenant", "config.reference",
      "there is no tenant \"t\"" },
    { T "}\n" C "auth = any tenant = \"t\" senders = any }\n", 3, "connector c: senders",
      "config.conflict", "may not take any sender" },
    { T "}\n" C "auth = any tenant = \"t\" senders = {\"a.example\", \"b.example\"} }\n", 3,
      "connector c: senders", "config.conflict", "\"b.example\" is not in a domain of" },
    { T "}\n" C "auth = any tenant = \"t\" senders = {\"*\"} }\n", 3, "connector c: senders",
      "config.conflict", "\"*\" is not in a domain of" },
    { "tenant \"t\" { domains = {\"a.example\"} }\n", 1, "tenant t: domains", "config.reference",
      "expected a section domain \"a.example\"" },
    { "tenant \"t\" { }\n", 1, "tenant t: domains", "config.missing", "required" },
    { T "}\ntenant \"u\" { domains = {\"A.example\"} }\n", 3, "tenant u: domains",
      "config.conflict", "tenant \"t\"'s already" },
    { T "address = \"192.0.2.1\" }\ndomain \"b.example\" { }\n"
        "tenant \"u\" { domains = {\"b.example\"} address = \"::ffff:192.0.2.1\" }\n",
      4, "tenant u: address", "config.conflict", "tenant \"t\"'s address" },
    { T "admins = {\"joe@b.example\"} }\n", 2, "tenant t: admins", "config.conflict",
      "not in one of its domains" },
    { T "limit = {\"500\"} }\n", 2, "tenant t: limit", "config.value", "rates such as" },
    { T "limit = {\"5/fortnight\"} }\n", 2, "tenant t: limit", "config.value", "rates such as" },
    { T "address = \"192.0.2.1:25\" }\n", 2, "tenant t: address", "config.value", "an address" },
    { T "hostname = \"-x\" }\n", 2, "tenant t: hostname", "config.value", "a host name" },
    { T "external_forwarding = no }\n", 2, "tenant t: external_forwarding", "config.value",
      "deny or allow" },
    { "domain \"a.example\" { recipients = probe }\n", 1, "domain a.example: recipients",
      "config.conflict", "no server behind a Maildir" },
    { "srs_secret = \"file:@/none\"\n", 1, "srs_secret", "config.file", "cannot read" },
    { "srs_secret = swordfish\n", 1, "srs_secret", "config.value", "the value is not a reference" },
    { "logins = {\"oauth:corp\"}\n", 1, "logins", "config.reference",
      "expected a section oauth \"corp\"" },
};

/* "@/ and file:@ name the directory of the files. */
static char *with_files(const char *text) {
    char path[128];
    snprintf(path, sizeof path, "\"%s/", test_dir);
    char *once = replaced(text, "\"@/", path);
    snprintf(path, sizeof path, "file:%s", test_dir);
    char *twice = replaced(once, "file:@", path);
    free(once);
    return twice;
}

static bool is_it(const struct config_finding *f, const struct wrong *w) {
    return f->severity == FINDING_ERROR && f->place.line == w->line && strcmp(f->id, w->id) == 0 &&
           bytes_equal(f->setting, bytes_str(w->setting)) &&
           bytes_search(f->text, bytes_str(w->words)) >= 0;
}

static void check_wrong(const struct wrong *w, bool all_built) {
    char *text = with_files(w->text);
    struct parsed p = all_built ? parse_all(text) : parse(text);
    free(text);
    size_t hits = 0;
    for (size_t i = 0; i < p.findings.count; i++) {
        assert_bytes(p.findings.list[i].place.file, "test.conf");
        hits += is_it(&p.findings.list[i], w);
    }
    bool good = p.rc == PERM && hits == 1 && count_errors(&p) == (w->errors ? w->errors : 1);
    if (!good) {
        print_message("file:\n%s\nexpected %d: %s: %s: %s, got:\n", w->text, w->line, w->id,
                      w->setting, w->words);
        print_findings(&p);
    }
    config_close(&p.config);
    assert_true(good);
}

#define CHECK(table, all)                                                                          \
    for (size_t i = 0; i < sizeof(table) / sizeof((table)[0]); i++)                                \
    check_wrong(&(table)[i], all)

static void check_doubtful(const struct wrong *w) {
    char *text = with_files(w->text);
    struct parsed p = parse(text);
    size_t hits = 0, warnings = 0;
    free(text);
    for (size_t i = 0; i < p.findings.count; i++) {
        struct config_finding f = p.findings.list[i];
        bool warning = f.severity == FINDING_WARNING;
        f.severity = FINDING_ERROR; /* as is_it looks for */
        warnings += warning;
        hits += warning && is_it(&f, w);
    }
    if (p.rc != OK || hits != 1 || warnings != 1) {
        print_message("file:\n%s\nexpected a warning %s: %s, got:\n", w->text, w->setting,
                      w->words);
        print_findings(&p);
    }
    assert_true(p.rc == OK && hits == 1 && warnings == 1);
    config_close(&p.config);
}

static void token_providers(void **state) {
    (void)state;
    CHECK(providers, false);
    for (size_t i = 0; i < sizeof doubtful_providers / sizeof doubtful_providers[0]; i++)
        check_doubtful(&doubtful_providers[i]);
}
static void wrong_syntax(void **state) {
    (void)state;
    CHECK(syntax, false);
}
static void wrong_names(void **state) {
    (void)state;
    CHECK(names, false);
}
static void wrong_values(void **state) {
    (void)state;
    CHECK(values, false);
}
static void broken_rules(void **state) {
    (void)state;
    CHECK(rules, false);
}
static void not_built_yet(void **state) {
    (void)state;
    CHECK(not_built, false);
}
static void rules_of_later(void **state) {
    (void)state;
    CHECK(later, true);
}

static void all_errors_at_once_in_order(void **state) {
    (void)state;
    static const int lines[] = { 1, 3, 5, 6, 9, 11 };
    struct parsed p = parse("hostname = \"no good\"\n"
                            "# a comment\n"
                            "workers = \"unclosed\n"
                            "listener \"a\" { bind = {\"*:25\"}\n"
                            "  tls = purple\n"
                            "  coulour = red\n"
                            "}\n"
                            "/* two\n"
                            "lines */ explain == full\n"
                            "\n"
                            "connector \"c\" { auth = any senders = {\"@\"} }\n"
                            "log = stderr\n");
    assert_int_equal(p.findings.count, sizeof lines / sizeof lines[0]);
    for (size_t i = 0; i < p.findings.count; i++)
        assert_int_equal(p.findings.list[i].place.line, lines[i]);
    assert_true(p.config->incomplete);
    config_close(&p.config);
}

static void a_broken_rule_leaves_a_config_to_look_at(void **state) {
    (void)state;
    struct parsed p = parse("connector \"c\" { clients = {\"0.0.0.0/0\"} senders = any }\n");
    assert_int_equal(p.rc, PERM);
    assert_false(p.config->incomplete);
    assert_int_equal(p.config->connectors[0].clients.count, 1);
    config_close(&p.config);
}

static void secrets_are_not_repeated(void **state) {
    (void)state;
    struct parsed p = parse(R "login = \"joe:hunter2\" }\nhostname \"hunter2\"\n");
    assert_int_equal(p.findings.count, 2);
    for (size_t i = 0; i < p.findings.count; i++)
        assert_int_equal(bytes_search(p.findings.list[i].text, B("hunter2")), -1);
    config_close(&p.config);
}

static void findings_are_bounded(void **state) {
    (void)state;
    struct buf b = buf_grow(1 << 20);
    for (int i = 0; i < 5000; i++)
        buf_str(&b, "x = 1\n");
    struct parsed p = parse(buf_text(&b));
    assert_int_equal(p.findings.count, 1001);
    config_close(&p.config);
    buf_free(&b);
}

static void assert_warns(const char *text, const char *setting, const char *id) {
    char *with = with_files(text);
    struct parsed p = parse(with);
    free(with);
    if (p.rc != OK || p.findings.count != 1)
        print_findings(&p);
    assert_int_equal(p.rc, OK);
    assert_int_equal(p.findings.count, 1);
    assert_int_equal(p.findings.list[0].severity, FINDING_WARNING);
    assert_bytes(p.findings.list[0].setting, setting);
    assert_string_equal(p.findings.list[0].id, id);
    config_close(&p.config);
}

static void warnings(void **state) {
    (void)state;
    assert_warns(R "login = \"file:@/open.login\" }\n", "route r: login", "config.permissions");
    assert_warns(L "certificate = \"@/mail.pem\" key = \"@/open.key\" }\n", "listener a: key",
                 "config.permissions");
    assert_warns(C "clients = {\"192.0.2.0/24\"} }\n", "connector c: senders", "config.void");
    assert_warns("queue { give_up = 1h }\n", "queue: give_up", "config.void");
    assert_warns("domain \"a.example\" { }\n"
                 "route \"r\" { to = {\"joe@A.example\"} via = {\"mx:b.example\"} }\n",
                 "route r: to", "config.void");
}

static void unreadable_file(void **state) {
    (void)state;
    struct config *c;
    struct config_findings f;
    assert_int_equal(config_parse(B("/nonexistent/postern.conf"), BYTES_NONE, &c, &f), PERM);
    assert_int_equal(f.count, 1);
    assert_string_equal(f.list[0].id, "config.file");
    assert_true(c->incomplete);
    config_close(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_syntax),
        cmocka_unit_test(wrong_names),
        cmocka_unit_test(wrong_values),
        cmocka_unit_test(broken_rules),
        cmocka_unit_test(not_built_yet),
        cmocka_unit_test(token_providers),
        cmocka_unit_test(rules_of_later),
        cmocka_unit_test(all_errors_at_once_in_order),
        cmocka_unit_test(a_broken_rule_leaves_a_config_to_look_at),
        cmocka_unit_test(secrets_are_not_repeated),
        cmocka_unit_test(findings_are_bounded),
        cmocka_unit_test(warnings),
        cmocka_unit_test(unreadable_file),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
