/* cmd_send: `postern send` and sendmail(8): hands a message in over STATE/run/submit.sock. It speaks
 * SMTP with the same machine that deliver uses; the server knows who we are from the socket. With no
 * server there nothing is taken over: exit 75, so that the caller keeps the message. */
#include "base/must.h"
#include "bin/commands.h"
#include "bin/layout.h"
#include "bin/options.h"
#include "bin/settings.h"
#include "message/address.h"
#include "message/header.h"
#include "smtp/smtp.h"
#include "sys/sockets.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum { RECIPIENTS_MAX = 10000, MESSAGE_MAX = 1024 * 1024 * 1024 };

struct sending {
    struct arena *arena;
    struct config *config;
    const char *name; /* for messages: "postern send" or "sendmail" */
    struct bytes sender, full_name, notify, ret, envid;
    bool has_sender, from_header, dot_ends, verbose;
    struct smtp_client_rcpt *rcpts;
    size_t count;
    struct buf message;
    struct smtp_client *client;
    size_t given; /* octets of the message */
    bool mail_begun, done;
    int exit_code;
    size_t taken;
};

/* --- the conversation -------------------------------------------------------------------- */

static void say_refusal(struct sending *s, const struct smtp_reply *reply, const char *what) {
    struct buf b = buf_grow(4096);
    buf_printable(&b, reply->text);
    char status[12];
    status_format(reply->status, status);
    fprintf(stderr, "%s: %s: %d %s%s%s\n", s->name, what, reply->code, status, *status ? " " : "",
            buf_text(&b));
    buf_free(&b);
    int code = reply->code >= 500 ? EX_NOPERM : EX_TEMPFAIL;
    if (s->exit_code != EX_TEMPFAIL)
        s->exit_code = code;
}

static void on_stage(void *ctx, enum smtp_stage stage, size_t index, const struct smtp_reply *reply,
                     const struct why *why) {
    struct sending *s = ctx;
    if (!reply || !reply->code) {
        fprintf(stderr, "%s: the server answered nonsense: %s\n", s->name, why ? why->text : "");
        s->exit_code = EX_TEMPFAIL;
        s->done = true;
        return;
    }
    if (s->verbose && stage != SMTP_STAGE_EHLO)
        fprintf(stderr, "%s: %d %.*s\n", smtp_stage_name(stage), reply->code,
                BYTES_FMT(reply->text));
    if (reply->code < 400) {
        s->taken += stage == SMTP_STAGE_RCPT;
        if (stage == SMTP_STAGE_END_OF_DATA && s->verbose)
            printf("%.*s\n", BYTES_FMT(reply->text));
        return;
    }
    if (stage == SMTP_STAGE_RCPT) {
        char what[400];
        snprintf(what, sizeof(what), "%.*s", BYTES_FMT(s->rcpts[index].mailbox));
        say_refusal(s, reply, what);
        return;
    }
    /* DATA is refused when all recipients were, which has been said. */
    if (stage != SMTP_STAGE_DATA || s->taken)
        say_refusal(s, reply, smtp_stage_name(stage));
    if (stage < SMTP_STAGE_MAIL)
        s->done = true;
}

static void on_ready(void *ctx) {
    struct sending *s = ctx;
    if (s->mail_begun) {
        s->done = true;
        smtp_client_quit(s->client);
        return;
    }
    s->mail_begun = true;
    bool eightbit = false;
    for (size_t i = 0; i < s->message.len && !eightbit; i++)
        eightbit = (unsigned char)s->message.at[i] >= 0x80;
    bool utf8 = false;
    for (size_t i = 0; i < s->count && !utf8; i++)
        for (size_t j = 0; j < s->rcpts[i].mailbox.len && !utf8; j++)
            utf8 = (unsigned char)s->rcpts[i].mailbox.at[j] >= 0x80;
    struct smtp_client_mail mail = {
        .sender = s->sender,
        .size = s->message.len,
        .eightbit = eightbit,
        .smtputf8 = utf8,
        .ret = bytes_equal_nocase(s->ret, B("full")) ? 1
               : s->ret.len                          ? 2
                                                     : 0,
        .envid = s->envid,
        .count = s->count,
        .rcpts = s->rcpts,
    };
    smtp_client_mail(s->client, &mail);
}

static void on_content(void *ctx) {
    struct sending *s = ctx;
    struct bytes rest = bytes_skip(buf_bytes(&s->message), s->given);
    struct bytes piece = bytes_first(rest, 64 * 1024);
    s->given += piece.len;
    smtp_client_content(s->client, piece, s->given == s->message.len);
}

static void nothing(void *ctx) {
    (void)ctx;
}

static void no_challenge(void *ctx, struct bytes challenge) {
    (void)ctx;
    (void)challenge;
}

static bool write_out(struct sending *s, int fd) {
    struct buf *out = smtp_client_output(s->client);
    while (out->len) {
        ssize_t n = send(fd, out->at, out->len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        buf_drop(out, (size_t)n);
    }
    return true;
}

static void converse(struct sending *s, int fd) {
    static const struct smtp_client_driver driver = {
        .stage = on_stage,
        .ready = on_ready,
        .secure = nothing,
        .challenge = no_challenge,
        .content = on_content,
        .flush = nothing,
    };
    char in[16384];
    s->client = smtp_client_open(s->arena, &driver, s,
                                 &(struct smtp_client_setup){ .hostname = B("localhost") });
    while (!s->done) {
        ssize_t n;
        if (!write_out(s, fd) || (n = recv(fd, in, sizeof(in), 0)) <= 0) {
            fprintf(stderr, "%s: the server ended the connection before it took the message\n",
                    s->name);
            s->exit_code = EX_TEMPFAIL;
            break;
        }
        smtp_client_input(s->client, bytes_of(in, (size_t)n));
    }
    write_out(s, fd);
    smtp_client_close(s->client);
}

/* --- what is sent ------------------------------------------------------------------------ */

static bool add_recipient(struct sending *s, struct bytes text) {
    struct address address;
    text = bytes_trim(text);
    if (!text.len)
        return true;
    if (bytes_starts(text, B("<")) && bytes_ends_nocase(text, B(">")))
        text = bytes_slice(text, 1, text.len - 1);
    /* A bare name is a user of this host. */
    if (bytes_find(text, '@') < 0)
        text = arena_printf(s->arena, "%.*s@%.*s", BYTES_FMT(text), BYTES_FMT(s->config->hostname));
    const char *wrong = address_parse(text, s->arena, &address);
    if (wrong || s->count == RECIPIENTS_MAX) {
        fprintf(stderr, "%s: %.*s: %s\n", s->name, BYTES_FMT(text),
                wrong ? wrong : "too many recipients");
        s->exit_code = wrong ? EX_NOUSER : EX_USAGE;
        return false;
    }
    for (size_t i = 0; i < s->count; i++)
        if (bytes_equal(s->rcpts[i].mailbox, address.mailbox))
            return true;
    s->rcpts[s->count++] = (struct smtp_client_rcpt){ .mailbox = address.mailbox };
    return true;
}

/* A comma-separated list of plain addresses, as the command line has it. */
static bool add_recipients(struct sending *s, struct bytes list) {
    struct bytes one;
    while (bytes_split(&list, ',', &one))
        if (!add_recipient(s, one))
            return false;
    return true;
}

static bool add_from_header(struct sending *s) {
    static const char *const names[] = { "To", "Cc", "Bcc" };
    struct bytes rest = buf_bytes(&s->message);
    struct header_field field;
    struct bytes *found = ARENA_ARRAY(s->arena, RECIPIENTS_MAX, struct bytes);
    while (header_next(&rest, &field) == HEADER_FIELD)
        for (size_t i = 0; i < COUNT_OF(names); i++) {
            if (!bytes_equal_nocase(field.name, bytes_str(names[i])))
                continue;
            size_t count = header_mailboxes(field.value, s->arena, found, RECIPIENTS_MAX);
            for (size_t j = 0; j < count && j < RECIPIENTS_MAX; j++)
                if (!add_recipient(s, found[j]))
                    return false;
        }
    return true;
}

/* Standard input with CRLF line ends. Without -i a line with a single dot ends it. */
static bool read_message(struct sending *s) {
    s->message = buf_grow(MESSAGE_MAX);
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    while ((n = getline(&line, &room, stdin)) > 0) {
        struct bytes text = bytes_of(line, (size_t)n);
        if (text.at[text.len - 1] == '\n')
            text.len--;
        if (text.len && text.at[text.len - 1] == '\r')
            text.len--;
        if (s->dot_ends && bytes_equal(text, B(".")))
            break;
        buf_add(&s->message, text);
        buf_str(&s->message, "\r\n");
    }
    free(line);
    if (ferror(stdin) || s->message.full) {
        fprintf(stderr, "%s: the message could not be read whole\n", s->name);
        s->exit_code = EX_IOERR;
        return false;
    }
    return true;
}

/* A message without a header gets the one a mail program must give it. */
static void complete_message(struct sending *s) {
    struct header_summary summary;
    header_summarise(buf_bytes(&s->message), &summary);
    if (summary.from_fields && !summary.malformed)
        return;
    struct buf whole = buf_grow(MESSAGE_MAX + 4096);
    if (!summary.from_fields) {
        buf_str(&whole, "From: ");
        if (s->full_name.len) {
            buf_char(&whole, '"');
            for (size_t i = 0; i < s->full_name.len; i++) {
                char c = s->full_name.at[i];
                if (c == '"' || c == '\\')
                    buf_char(&whole, '\\');
                if ((unsigned char)c >= ' ')
                    buf_char(&whole, c);
            }
            buf_str(&whole, "\" ");
        }
        buf_printf(&whole, "<%.*s>\r\n",
                   BYTES_FMT(s->sender.len ? s->sender
                                           : arena_printf(s->arena, "postmaster@%.*s",
                                                          BYTES_FMT(s->config->hostname))));
    }
    struct bytes rest = buf_bytes(&s->message);
    struct header_field first;
    if (header_next(&rest, &first) == HEADER_MALFORMED)
        buf_str(&whole, "\r\n");
    buf_add(&whole, buf_bytes(&s->message));
    buf_free(&s->message);
    s->message = whole;
}

static uint8_t notify_bits(struct bytes list) {
    static const struct {
        const char *name;
        uint8_t bit;
    } names[] = { { "never", 1 }, { "success", 2 }, { "failure", 4 }, { "delay", 8 } };
    uint8_t bits = 0;
    struct bytes one;
    while (bytes_split(&list, ',', &one))
        for (size_t i = 0; i < COUNT_OF(names); i++)
            if (bytes_equal_nocase(bytes_trim(one), bytes_str(names[i].name)))
                bits |= names[i].bit;
    return bits;
}

static int send_it(struct sending *s) {
    if (!s->has_sender) {
        struct arena *a = s->arena;
        s->sender = arena_printf(a, "%.*s@%.*s", BYTES_FMT(process_user_name(getuid(), a)),
                                 BYTES_FMT(s->config->hostname));
    } else if (s->sender.len && bytes_find(s->sender, '@') < 0) {
        s->sender = arena_printf(s->arena, "%.*s@%.*s", BYTES_FMT(s->sender),
                                 BYTES_FMT(s->config->hostname));
    }
    if (!read_message(s) || (s->from_header && !add_from_header(s)))
        return s->exit_code;
    if (!s->count) {
        fprintf(stderr, "%s: no recipients: name them, or use -t to take them from the header\n",
                s->name);
        return EX_USAGE;
    }
    for (size_t i = 0; i < s->count; i++)
        s->rcpts[i].notify = notify_bits(s->notify);
    complete_message(s);
    struct bytes path = layout_path(s->arena, s->config, "run/submit.sock");
    int fd;
    if (sockets_connect_unix(path, SOCK_STREAM, &fd) < 0) {
        fprintf(stderr,
                "%s: the server is not running (%.*s): nothing was taken over; start it with "
                "postern serve and send again\n",
                s->name, BYTES_FMT(path));
        return EX_TEMPFAIL;
    }
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    converse(s, fd);
    close(fd);
    return s->exit_code;
}

static bool load(struct sending *s, struct bytes file) {
    s->config = settings_find("send", file);
    return s->config != NULL;
}

static struct sending begin(const char *name) {
    struct sending s = { .name = name, .arena = arena_open() };
    s.rcpts = ARENA_ARRAY(s.arena, RECIPIENTS_MAX, struct smtp_client_rcpt);
    return s;
}

static int end(struct sending *s, int rc) {
    buf_free(&s->message);
    config_close(&s->config);
    arena_close(&s->arena);
    return rc;
}

int cmd_send(int argc, char **argv) {
    static struct bytes to[RECIPIENTS_MAX];
    size_t to_count = 0;
    struct bytes file = SETTINGS_FILE;
    struct sending s = begin("postern send");
    const struct option_row rows[] = {
        { .name = "-c", .value = "FILE", .help = "the configuration", .text = &file },
        { .name = "--from",
          .value = "ADDRESS",
          .help = "envelope sender (default: USER@hostname)",
          .text = &s.sender },
        { .name = "--name",
          .value = "NAME",
          .help = "full name, where the message has no From",
          .text = &s.full_name },
        { .name = "--header-recipients",
          .help = "recipients from To, Cc and Bcc too",
          .flag = &s.from_header },
        { .name = "--notify",
          .value = "WHEN",
          .help = "never, or success,failure,delay",
          .text = &s.notify },
        { .name = "--return",
          .value = "full|hdrs",
          .help = "what a bounce returns",
          .text = &s.ret },
        { .name = "--envid", .value = "ID", .help = "an id that bounces carry", .text = &s.envid },
        { .name = "--verbose", .help = "show the server's replies", .flag = &s.verbose },
    };
    const struct options o = {
        .command = "send",
        .arguments = "[ADDRESS ...] < MESSAGE",
        .sentence = "hand a message in to the server of this host",
        .rows = rows,
        .row_count = COUNT_OF(rows),
        .args = to,
        .args_max = RECIPIENTS_MAX,
        .arg_count = &to_count,
    };
    int rc = options_parse(&o, argc, argv);
    if (rc != OPTIONS_GO_ON)
        return end(&s, rc);
    s.has_sender = s.sender.at != NULL;
    if (!load(&s, file))
        return end(&s, EX_TEMPFAIL);
    for (size_t i = 0; i < to_count; i++)
        if (!add_recipients(&s, to[i]))
            return end(&s, s.exit_code);
    return end(&s, send_it(&s));
}

/* --- sendmail(8) ------------------------------------------------------------------------- */

static int list_queue(void) {
    static char command[] = "queue", sub[] = "list", option[] = "-c";
    char *config = getenv("POSTERN_CONFIG");
    char *args[] = { command, sub, option, config, NULL };
    return cmd_queue(config ? 4 : 2, args);
}

enum { GO_ON = -1 };

static int take_t(struct sending *s, struct bytes value) {
    (void)value;
    s->from_header = true;
    return GO_ON;
}
static int take_i(struct sending *s, struct bytes value) {
    (void)value;
    s->dot_ends = false;
    return GO_ON;
}
static int take_v(struct sending *s, struct bytes value) {
    (void)value;
    s->verbose = true;
    return GO_ON;
}
static int take_from(struct sending *s, struct bytes value) {
    s->sender = bytes_equal(value, B("<>")) ? BYTES_NONE : value;
    s->has_sender = true;
    return GO_ON;
}
static int take_name(struct sending *s, struct bytes value) {
    s->full_name = value;
    return GO_ON;
}
static int take_notify(struct sending *s, struct bytes value) {
    s->notify = value;
    return GO_ON;
}
static int take_return(struct sending *s, struct bytes value) {
    s->ret = value;
    return GO_ON;
}
static int take_envid(struct sending *s, struct bytes value) {
    s->envid = value;
    return GO_ON;
}
static int take_option(struct sending *s, struct bytes value) {
    if (bytes_equal(value, B("i")))
        s->dot_ends = false;
    return GO_ON;
}
static int take_mode(struct sending *s, struct bytes value) {
    (void)s;
    if (bytes_equal(value, B("m")))
        return GO_ON;
    if (bytes_equal(value, B("p")))
        return list_queue();
    if (bytes_equal(value, B("i")))
        return EX_OK; /* aliases live in the directory and hold at once */
    fprintf(stderr, "sendmail: -b%.*s is not supported: -bm, -bp and -bi are\n", BYTES_FMT(value));
    return EX_USAGE;
}
static int take_nothing(struct sending *s, struct bytes value) {
    (void)s;
    (void)value;
    return GO_ON;
}
static int take_q(struct sending *s, struct bytes value) {
    (void)s;
    (void)value;
    return EX_OK; /* the server runs its queue by itself */
}

/* The usual options; those of other sendmails that change nothing here are taken and passed over. */
static const struct flag {
    char letter;
    enum { ALONE, WITH_VALUE, ATTACHED /* the value, if any, in the same word */ } form;
    int (*take)(struct sending *s, struct bytes value);
} flags[] = {
    { 't', ALONE, take_t },
    { 'i', ALONE, take_i },
    { 'v', ALONE, take_v },
    { 'f', WITH_VALUE, take_from },
    { 'r', WITH_VALUE, take_from },
    { 'F', WITH_VALUE, take_name },
    { 'N', WITH_VALUE, take_notify },
    { 'R', WITH_VALUE, take_return },
    { 'V', WITH_VALUE, take_envid },
    { 'o', WITH_VALUE, take_option },
    { 'b', ATTACHED, take_mode },
    { 'q', ATTACHED, take_q },
    { 'B', WITH_VALUE, take_nothing },
    { 'h', WITH_VALUE, take_nothing },
    { 'O', WITH_VALUE, take_nothing },
    { 'X', WITH_VALUE, take_nothing },
    { 'p', WITH_VALUE, take_nothing },
    { 'L', WITH_VALUE, take_nothing },
    { 'n', ALONE, take_nothing },
    { 'm', ALONE, take_nothing },
    { 'U', ALONE, take_nothing },
    { 'G', ALONE, take_nothing },
    { 'A', ATTACHED, take_nothing },
    { 'x', ALONE, take_nothing },
};

static const struct flag *find_flag(char letter) {
    for (size_t i = 0; i < COUNT_OF(flags); i++)
        if (flags[i].letter == letter)
            return &flags[i];
    return NULL;
}

/* One word that begins with '-'; *i moves on when its value is the next word. */
static int take_flag(struct sending *s, int argc, char **argv, int *i) {
    const char *word = argv[*i];
    const struct flag *flag = find_flag(word[1]);
    if (!flag) {
        fprintf(stderr, "sendmail: unknown option %s\n", word);
        return EX_USAGE;
    }
    struct bytes value = bytes_str(word + 2);
    if (flag->form == WITH_VALUE && !value.len && *i + 1 < argc)
        value = bytes_str(argv[++*i]);
    return flag->take(s, value);
}

static int take_words(struct sending *s, int argc, char **argv) {
    bool options = true;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (options && !strcmp(word, "--")) {
            options = false;
        } else if (!options || word[0] != '-' || !word[1]) {
            if (!add_recipients(s, bytes_str(word)))
                return s->exit_code;
        } else {
            int rc = take_flag(s, argc, argv, &i);
            if (rc != GO_ON)
                return rc;
        }
    }
    return GO_ON;
}

int cmd_sendmail(int argc, char **argv) {
    const char *slash = strrchr(argv[0], '/'), *name = slash ? slash + 1 : argv[0];
    if (!strcmp(name, "mailq"))
        return list_queue();
    if (!strcmp(name, "newaliases"))
        return EX_OK;
    const char *config = getenv("POSTERN_CONFIG");
    struct sending s = begin("sendmail");
    s.dot_ends = true;
    if (!load(&s, config ? bytes_str(config) : SETTINGS_FILE))
        return end(&s, EX_TEMPFAIL);
    int rc = take_words(&s, argc, argv);
    return end(&s, rc == GO_ON ? send_it(&s) : rc);
}
