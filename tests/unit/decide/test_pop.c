/* POP before SMTP: of those who logged in from an address, the sender tells whom a message is from. */
#include "lab.h"

#define TERRI "terri@proseware.com"
#define CEO   "ceo@proseware.com"
#define GONE  "gone@proseware.com"
#define OUT   "x@adatum.com"
#define HOTEL "198.51.100.7"

static void open_hotel(struct lab *l, const char *conf) {
    lab_open(l, conf);
    lab_caller(l, HOTEL, "internet", NULL);
}

/* So many minutes ago. */
static void popped(struct lab *l, const char *login, int minutes) {
    l->popped[l->f.popped_count++] =
        (struct popped){ .login = bytes_str(login), .at = LAB_NOW - minutes * 60000LL };
    l->f.popped = l->popped;
}

static const struct verdict *send(struct lab *l, const char *from, const char *to) {
    for (size_t i = 0; i < l->f.popped_count; i++)
        l->popped[i].state = FACT_UNKNOWN;
    l->asked = 0;
    l->f.sender_state = l->f.recipient_state = FACT_UNKNOWN;
    lab_message(l, from, to);
    return lab_try(l);
}

static void check(const struct verdict *v, int code, const char *reason, int line) {
    if (v->why.code != code || strcmp(v->why.reason, reason) != 0)
        fail_msg("line %d: %d %s %s", line, v->why.code, v->why.reason, v->why.text);
}
#define GIVES(v, code, reason) check(v, code, reason, __LINE__)

static void each_sender_stands_for_its_own_login(void **state) {
    (void)state;
    struct lab l;
    open_hotel(&l, lab_conf);
    popped(&l, CEO, 1);
    popped(&l, TERRI, 5);
    GIVES(send(&l, TERRI, OUT), 250, "");
    assert_true(bytes_equal(l.v.login, B(TERRI)));
    assert_int_equal(l.asked & FACT_POPPED, 0); /* its name was enough */
    GIVES(send(&l, CEO, OUT), 250, "");
    assert_true(bytes_equal(l.v.login, B(CEO)));
    GIVES(send(&l, "t.chudzik@proseware.com", OUT), 250, ""); /* an alias */
    assert_true(bytes_equal(l.v.login, B(TERRI)));
    GIVES(send(&l, "team@adatum.com", OUT), 250, ""); /* a right */
    assert_true(bytes_equal(l.v.login, B(TERRI)));
    GIVES(send(&l, "ceo+copier@proseware.com", OUT), 250, "");
    assert_true(bytes_equal(l.v.login, B(CEO)));
    GIVES(send(&l, "strict@proseware.com", OUT), 553, "sender.not-yours"); /* was not here */
    GIVES(send(&l, "x@elsewhere.example", CEO), 553, "sender.not-yours");
    assert_null(strstr(l.v.why.text, "ceo@proseware.com' may")); /* and no login is named */
    assert_null(strstr(l.v.why.text, "login"));
    lab_close(&l);
}

static void each_window_has_its_own_end(void **state) {
    (void)state;
    struct lab l;
    open_hotel(&l, lab_conf);
    popped(&l, CEO, 1);
    popped(&l, TERRI, 15);
    GIVES(send(&l, CEO, OUT), 250, "");
    GIVES(send(&l, TERRI, OUT), 550, "relay.no-grant");
    GIVES(send(&l, TERRI, CEO), 250, ""); /* mail from outside */
    l.f.now -= 1;
    GIVES(send(&l, TERRI, OUT), 250, "");
    l.f.now = LAB_NOW - 2 * 60000; /* the clock went back behind one login */
    GIVES(send(&l, CEO, OUT), 550, "relay.no-grant");
    lab_close(&l);
}

static void one_alone_needs_no_choice(void **state) {
    (void)state;
    struct lab l;
    open_hotel(&l, lab_conf);
    popped(&l, TERRI, 1);
    GIVES(send(&l, TERRI, OUT), 250, "");
    assert_int_equal(l.asked & FACT_POPPED, 0);
    GIVES(send(&l, CEO, OUT), 553, "sender.not-yours");
    GIVES(send(&l, "<>", OUT), 250, "");
    lab_close(&l);
}

static void the_void_grant_nothing(void **state) {
    (void)state;
    struct lab l;
    open_hotel(&l, lab_conf);
    popped(&l, GONE, 1);
    GIVES(send(&l, GONE, OUT), 550, "relay.no-grant");
    popped(&l, TERRI, 2);
    GIVES(send(&l, GONE, OUT), 553, "sender.not-yours");
    GIVES(send(&l, TERRI, OUT), 250, "");
    lab_close(&l);
}

static void a_new_password_ends_it(void **state) {
    (void)state;
    struct lab l;
    open_hotel(&l, lab_conf);
    popped(&l, TERRI, 5);
    struct directory_entry *e = lab_user(l.arena, TERRI, NULL, NULL);
    l.popped[0].state = FACT_KNOWN;
    l.popped[0].entry = e;
    e->logins_since = LAB_NOW - 5 * 60000;
    lab_message(&l, TERRI, OUT);
    GIVES(lab_try(&l), 250, "");
    e->logins_since++;
    l.popped[0].state = FACT_KNOWN;
    GIVES(lab_try(&l), 550, "relay.no-grant");
    lab_close(&l);
}

static void a_directory_that_is_down_denies_nothing(void **state) {
    (void)state;
    struct lab l;
    open_hotel(&l, lab_conf);
    popped(&l, CEO, 1);
    popped(&l, TERRI, 5);
    l.down = FACT_POPPED;
    GIVES(send(&l, "team@adatum.com", OUT), 451, "backend.directory");
    GIVES(send(&l, TERRI, OUT), 250, "");
    l.down = FACT_LOGIN;
    GIVES(send(&l, TERRI, OUT), 451, "backend.directory");
    lab_close(&l);
}

static void an_address_that_says_nothing_earns_nothing(void **state) {
    (void)state;
    struct lab l;
    open_hotel(&l, lab_conf);
    popped(&l, TERRI, 1);
    l.gateway = true;
    GIVES(send(&l, TERRI, OUT), 550, "relay.no-grant");
    l.gateway = false;
    l.f.gateway_state = FACT_UNKNOWN;
    l.f.client_unknown = true; /* PROXY UNKNOWN: it is the proxy's address */
    GIVES(send(&l, TERRI, OUT), 550, "relay.no-grant");
    l.f.client_unknown = false;
    GIVES(send(&l, TERRI, OUT), 250, "");
    lab_close(&l);
}

/* The envelope's null sender says nothing: then From does. */
static void a_null_sender_goes_by_its_from(void **state) {
    (void)state;
    struct lab l;
    static const struct mailbox_header from[] = { { "From", { TERRI, sizeof(TERRI) - 1 } } };
    struct bytes charged[] = { B("after-pop") };
    open_hotel(&l, lab_conf);
    popped(&l, CEO, 1);
    popped(&l, TERRI, 2);
    GIVES(send(&l, "<>", OUT), 250, "");
    l.f.charged = (struct strings){ 1, charged };
    l.f.header_mailboxes = from;
    l.f.header_mailbox_count = l.f.from_fields = 1;
    assert_int_equal(lab_ask(&l, STEP_CONTENT)->rc, OK);
    lab_close(&l);
}

static void a_session_that_logged_in_is_that_logins(void **state) {
    (void)state;
    struct lab l;
    open_hotel(&l, "domain \"proseware.com\" {}\n"
                   "listener \"internet\" { bind = {\"127.0.0.1:25\"} auth = offer }\n"
                   "connector \"after-pop\" { pop_before_smtp = 15min may_relay_to = {\"*\"}\n"
                   "  note = \"x\" }\n");
    l.f.login = B(TERRI);
    l.f.tls_version = 13;
    popped(&l, CEO, 1);
    GIVES(send(&l, TERRI, OUT), 550, "relay.no-grant");
    GIVES(send(&l, CEO, OUT), 550, "relay.no-grant");
    popped(&l, TERRI, 2);
    GIVES(send(&l, TERRI, OUT), 250, "");
    lab_close(&l);
}

static void without_such_a_connector_nothing_is_asked(void **state) {
    (void)state;
    struct lab l;
    open_hotel(&l, "domain \"proseware.com\" {}\n"
                   "listener \"internet\" { bind = {\"127.0.0.1:25\"} }\n");
    popped(&l, CEO, 1);
    popped(&l, TERRI, 2);
    GIVES(send(&l, "team@adatum.com", OUT), 550, "relay.no-grant");
    assert_int_equal(l.asked & (FACT_POPPED | FACT_LOGIN), 0);
    lab_close(&l);
}

static void the_remedy_is_proposed(void **state) {
    (void)state;
    struct lab l;
    bool found = false;
    open_hotel(&l, lab_conf);
    const struct verdict *v = send(&l, TERRI, OUT);
    GIVES(v, 550, "relay.no-grant");
    for (size_t i = 0; i < v->change_count; i++)
        found |= strcmp(v->changes[i].kind, "pop-login") == 0 && v->changes[i].safe;
    assert_true(found);
    popped(&l, TERRI, 0);
    GIVES(send(&l, TERRI, OUT), 250, ""); /* and does it */
    lab_close(&l);
}

/* --- the mailbox behind a POP3 login ---------------------------------------------------------- */

static const char pop_conf[] =
    "domain \"proseware.com\" {}\n"
    "domain \"away.example\" { deliver = \"lmtp:127.0.0.1:2400\" }\n"
    "listener \"pop3\" { bind = {\"127.0.0.1:110\"} service = pop3 tls = require }\n";

static const struct verdict *fetch(struct lab *l, const char *login, const char *address) {
    lab_open(l, pop_conf);
    lab_caller(l, HOTEL, "pop3", login);
    l->f.login_state = FACT_KNOWN;
    l->f.login_entry = address ? lab_user(l->arena, address, NULL, NULL) : NULL;
    return lab_ask(l, STEP_MAILDROP);
}

static void a_maildrop_is_a_maildir_of_ours(void **state) {
    (void)state;
    static const struct {
        const char *address;
        int code;
        const char *reason;
    } rows[] = {
        { TERRI, 250, "" },
        { "a@away.example", 550, "mailbox.not-here" },
        { "a@elsewhere.example", 550, "mailbox.not-here" },
        { NULL, 535, "auth.failed" },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct lab l;
        GIVES(fetch(&l, rows[i].address ? rows[i].address : TERRI, rows[i].address), rows[i].code,
              rows[i].reason);
        assert_true(rows[i].code == 250 || l.v.change_count > 0);
        lab_close(&l);
    }
}

static void a_maildrop_waits_for_the_directory(void **state) {
    (void)state;
    struct lab l;
    lab_open(&l, pop_conf);
    lab_caller(&l, HOTEL, "pop3", TERRI);
    l.down = FACT_LOGIN;
    GIVES(lab_ask(&l, STEP_MAILDROP), 451, "backend.directory");
    l.down = 0;
    l.f.login_state = FACT_UNKNOWN;
    GIVES(lab_ask(&l, STEP_MAILDROP), 250, "");
    l.f.login = B(GONE);
    l.f.login_state = FACT_UNKNOWN;
    GIVES(lab_ask(&l, STEP_MAILDROP), 535, "auth.failed");
    lab_close(&l);
}

static void tls_is_named_as_pop3_names_it(void **state) {
    (void)state;
    struct lab l;
    lab_open(&l, pop_conf);
    lab_caller(&l, HOTEL, "pop3", NULL);
    l.f.verb = B("USER");
    GIVES(lab_ask(&l, STEP_COMMAND), 530, "tls.required");
    assert_non_null(strstr(l.v.why.text, "STLS"));
    static const char *const free_verbs[] = { "CAPA", "STLS", "QUIT" };
    for (size_t i = 0; i < COUNT_OF(free_verbs); i++) {
        l.f.verb = bytes_str(free_verbs[i]);
        assert_int_equal(lab_ask(&l, STEP_COMMAND)->rc, OK);
    }
    l.f.mechanism = B("PLAIN");
    GIVES(lab_ask(&l, STEP_AUTH), 538, "tls.required");
    assert_non_null(strstr(l.v.why.text, "STLS"));
    lab_close(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_sender_stands_for_its_own_login),
        cmocka_unit_test(each_window_has_its_own_end),
        cmocka_unit_test(one_alone_needs_no_choice),
        cmocka_unit_test(the_void_grant_nothing),
        cmocka_unit_test(a_new_password_ends_it),
        cmocka_unit_test(a_directory_that_is_down_denies_nothing),
        cmocka_unit_test(an_address_that_says_nothing_earns_nothing),
        cmocka_unit_test(a_null_sender_goes_by_its_from),
        cmocka_unit_test(a_session_that_logged_in_is_that_logins),
        cmocka_unit_test(without_such_a_connector_nothing_is_asked),
        cmocka_unit_test(the_remedy_is_proposed),
        cmocka_unit_test(a_maildrop_is_a_maildir_of_ours),
        cmocka_unit_test(a_maildrop_waits_for_the_directory),
        cmocka_unit_test(tls_is_named_as_pop3_names_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
