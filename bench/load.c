/* load: SMTP clients for what Postfix's smtp-source cannot do: refusals, submission with a full TLS
 * handshake and a login, and sessions that open and then wait. One thread; each kind of session is a
 * table of lines to say and the reply that must follow.
 *
 *     load refuse|submit|idle|idle-tls PORT COUNT SESSIONS [AUTH-PLAIN-BASE64]
 *
 * COUNT is how many in all, SESSIONS how many at once. Prints "DONE FAILED SECONDS"; the idle kinds
 * then hold their sessions until standard input ends. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BODY = 4096, LINE = 8192, IDLE_SOURCES = 100 };

/* A line to say once the reply before it came, and the first digit of its own reply. A NULL text is
 * the TLS handshake, after which the next line is said at once. */
struct step {
    const char *text;
    char reply;
};

struct session {
    int fd;
    SSL *ssl;
    bool handshaking;
    size_t step; /* whose reply is awaited; 0 is the greeting */
    size_t got;
    char line[LINE];
};

static char auth[512], message[BODY + 256];

static const struct step refuse[] = {
    { "", '2' },
    { "EHLO client.test\r\n", '2' },
    { "MAIL FROM:<a@outside.test>\r\n", '2' },
    { "RCPT TO:<b@elsewhere.test>\r\n", '5' },
    { "QUIT\r\n", '2' },
    { 0 },
};
static const struct step submit[] = {
    { "", '2' },
    { "EHLO client.test\r\n", '2' },
    { "STARTTLS\r\n", '2' },
    { NULL, 'T' },
    { "EHLO client.test\r\n", '2' },
    { auth, '2' },
    { "MAIL FROM:<user@mta.test>\r\n", '2' },
    { "RCPT TO:<u@relay.test>\r\n", '2' },
    { "DATA\r\n", '3' },
    { message, '2' },
    { "QUIT\r\n", '2' },
    { 0 },
};
static const struct step idle[] = { { "", '2' }, { "EHLO client.test\r\n", '2' }, { 0 } };
static const struct step idle_tls[] = {
    { "", '2' },   { "EHLO client.test\r\n", '2' }, { "STARTTLS\r\n", '2' },
    { NULL, 'T' }, { "EHLO client.test\r\n", '2' }, { 0 },
};

static const struct kind {
    const char *name;
    const struct step *steps;
    uint32_t source; /* the client's address, first of so many */
    unsigned sources;
    bool stay;
} kinds[] = {
    { "refuse", refuse, 0x7f000002, 1, false },
    { "submit", submit, 0x7f000001, 1, false },
    { "idle", idle, 0x7f000101, IDLE_SOURCES, true },
    { "idle-tls", idle_tls, 0x7f000101, IDLE_SOURCES, true },
};

static const struct kind *kind;
static SSL_CTX *tls;
static int poller;
static struct sockaddr_in server = { .sin_family = AF_INET };
static long wanted, begun, done, failed, open_now;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void begin(struct session *s) {
    struct sockaddr_in from = { .sin_family = AF_INET };
    const int on = 1;
    *s = (struct session){ .fd = -1 };
    if (begun >= wanted)
        return;
    from.sin_addr.s_addr = htonl(kind->source + (uint32_t)(begun++ % kind->sources));
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(s->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind(s->fd, (void *)&from, sizeof from) || connect(s->fd, (void *)&server, sizeof server)) {
        perror("load: connect");
        exit(1);
    }
    fcntl(s->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = s };
    epoll_ctl(poller, EPOLL_CTL_ADD, s->fd, &e);
    open_now++;
}

static void end(struct session *s, bool fine) {
    if (s->fd < 0)
        return;
    fine ? done++ : failed++;
    open_now--;
    if (fine && kind->stay) {
        epoll_ctl(poller, EPOLL_CTL_DEL, s->fd, NULL);
        s->fd = -1; /* stays open */
        return;
    }
    if (s->ssl && fine)
        SSL_shutdown(s->ssl);
    SSL_free(s->ssl);
    close(s->fd);
    begin(s);
}

static void say(struct session *s, const char *text) {
    int size = (int)strlen(text);
    int sent = s->ssl ? SSL_write(s->ssl, text, size) : (int)write(s->fd, text, (size_t)size);
    if (sent != size)
        end(s, false);
}

static void shake_hands(struct session *s);

static void next(struct session *s) {
    const struct step *step = &kind->steps[++s->step];
    if (step->reply == 0) {
        end(s, true);
    } else if (step->text) {
        say(s, step->text);
    } else {
        s->ssl = SSL_new(tls);
        SSL_set_fd(s->ssl, s->fd);
        s->handshaking = true;
        shake_hands(s);
    }
}

static void shake_hands(struct session *s) {
    int rc = SSL_connect(s->ssl);
    if (rc == 1) {
        s->handshaking = false;
        next(s);
    } else if (SSL_get_error(s->ssl, rc) != SSL_ERROR_WANT_READ) {
        end(s, false);
    }
    ERR_clear_error();
}

static void on_line(struct session *s, const char *line, size_t size) {
    if (size > 3 && line[3] == '-')
        return;
    if (size > 3 && line[0] == kind->steps[s->step].reply) {
        next(s);
        return;
    }
    if (failed < 3)
        fprintf(stderr, "load: %.*s", (int)size, line);
    end(s, false);
}

/* False when there is no more to read now. */
static bool take(struct session *s) {
    int size = (int)(sizeof s->line - s->got), error = 0;
    int got = s->ssl ? SSL_read(s->ssl, s->line + s->got, size)
                     : (int)read(s->fd, s->line + s->got, (size_t)size);
    if (got <= 0) {
        error = s->ssl ? SSL_get_error(s->ssl, got) : errno == EAGAIN ? SSL_ERROR_WANT_READ : -1;
        if (got == 0 || error != SSL_ERROR_WANT_READ)
            end(s, false);
        ERR_clear_error();
        return false;
    }
    s->got += (size_t)got;
    char *eol;
    int fd = s->fd;
    while (s->fd == fd && (eol = memchr(s->line, '\n', s->got))) {
        char line[LINE];
        size_t length = (size_t)(eol - s->line) + 1;
        memcpy(line, s->line, length);
        s->got -= length;
        memmove(s->line, eol + 1, s->got);
        on_line(s, line, length);
        if (s->step == 0 || s->handshaking)
            break;
    }
    return s->ssl && s->fd == fd && !s->handshaking;
}

static void run(void) {
    struct epoll_event ready[64];
    while (open_now) {
        int count = epoll_wait(poller, ready, 64, 30000);
        if (count <= 0) {
            fprintf(stderr, "load: nothing happened for 30 s\n");
            exit(1);
        }
        for (int i = 0; i < count; i++) {
            struct session *s = ready[i].data.ptr;
            if (s->handshaking)
                shake_hands(s);
            else
                while (take(s))
                    continue;
        }
    }
}

static void make_message(void) {
    size_t size =
        (size_t)snprintf(message, sizeof message,
                         "From: <user@mta.test>\r\nTo: <u@relay.test>\r\nSubject: load\r\n"
                         "Date: Mon, 06 Jan 2025 10:00:00 +0000\r\n"
                         "Message-ID: <load@client.test>\r\n\r\n");
    for (; size + 80 < BODY; size += 80) {
        memset(message + size, 'X', 78);
        memcpy(message + size + 78, "\r\n", 2);
    }
    strcpy(message + size, ".\r\n");
}

int main(int argc, char **argv) {
    for (size_t i = 0; argc >= 5 && i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(argv[1], kinds[i].name) == 0)
            kind = &kinds[i];
    if (!kind) {
        fprintf(stderr, "usage: load refuse|submit|idle|idle-tls PORT COUNT SESSIONS [AUTH]\n");
        return 64;
    }
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server.sin_port = htons((uint16_t)atoi(argv[2]));
    wanted = atol(argv[3]);
    long at_once = kind->stay ? wanted : atol(argv[4]);
    struct rlimit files = { (rlim_t)at_once + 100, (rlim_t)at_once + 100 };
    setrlimit(RLIMIT_NOFILE, &files);
    snprintf(auth, sizeof auth, "AUTH PLAIN %s\r\n", argc > 5 ? argv[5] : "");
    make_message();
    tls = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(tls, SSL_VERIFY_NONE, NULL);
    poller = epoll_create1(0);
    struct session *sessions = calloc((size_t)at_once, sizeof *sessions);
    double start = now();
    for (long i = 0; i < at_once; i++) {
        begin(&sessions[i]);
        if (kind->stay) /* one by one: the backlog is not what is measured */
            run();
    }
    run();
    printf("%ld %ld %.4f\n", done, failed, now() - start);
    fflush(stdout);
    char c;
    while (kind->stay && read(STDIN_FILENO, &c, 1) > 0)
        continue;
    return failed > 0;
}
