/* sockets: the system calls around addresses. The only file that knows sockaddr, the 108 octets of
 * sun_path and the way around them, and control messages. */
#include "sys/sockets.h"

#include "base/must.h"

#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { NAME_MAX_SIZE = 80, PATH_MAX_SIZE = 4096 };

/* --- addresses ------------------------------------------------------------------------------ */

struct addr sockets_from_system(const struct sockaddr *from, socklen_t size) {
    struct addr a = { 0 };
    if (from->sa_family == AF_INET && size >= sizeof(struct sockaddr_in)) {
        struct sockaddr_in in;
        memcpy(&in, from, sizeof in);
        a.family = 4;
        memcpy(a.ip, &in.sin_addr, 4);
        a.port = ntohs(in.sin_port);
    } else if (from->sa_family == AF_INET6 && size >= sizeof(struct sockaddr_in6)) {
        struct sockaddr_in6 in;
        memcpy(&in, from, sizeof in);
        a.family = 6;
        memcpy(a.ip, &in.sin6_addr, 16);
        a.port = ntohs(in.sin6_port);
        a.scope = IN6_IS_ADDR_LINKLOCAL(&in.sin6_addr) ? in.sin6_scope_id : 0;
    } else if (from->sa_family == AF_UNIX) {
        a.family = 1;
    }
    return addr_fold(a);
}

socklen_t sockets_to_system(struct addr from, struct sockaddr_storage *out) {
    memset(out, 0, sizeof *out);
    if (from.family == 4) {
        struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(from.port) };
        memcpy(&in.sin_addr, from.ip, 4);
        memcpy(out, &in, sizeof in);
        return sizeof in;
    }
    MUST(from.family == 6);
    struct sockaddr_in6 in = { .sin6_family = AF_INET6,
                               .sin6_port = htons(from.port),
                               .sin6_scope_id = from.scope };
    memcpy(&in.sin6_addr, from.ip, 16);
    memcpy(out, &in, sizeof in);
    return sizeof in;
}

struct addr sockets_bound(int fd) {
    struct sockaddr_storage at;
    socklen_t size = sizeof at;
    if (getsockname(fd, (struct sockaddr *)&at, &size) < 0)
        return (struct addr){ 0 };
    return sockets_from_system((struct sockaddr *)&at, size);
}

/* --- listening on TCP ------------------------------------------------------------------------ */

static int set_flag(int fd, int level, int option) {
    const int on = 1;
    return setsockopt(fd, level, option, &on, sizeof on);
}

/* 0 or -1 and errno. */
static int bind_and_listen(int fd, struct addr at) {
    struct sockaddr_storage system;
    socklen_t size = sockets_to_system(at, &system);
    if (set_flag(fd, SOL_SOCKET, SO_REUSEADDR) < 0 || set_flag(fd, SOL_SOCKET, SO_REUSEPORT) < 0)
        return -1;
    if (at.family == 6 && set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY) < 0)
        return -1;
    /* Accepted sockets inherit it: one system call less for each. */
    if (set_flag(fd, IPPROTO_TCP, TCP_NODELAY) < 0)
        return -1;
    if (bind(fd, (struct sockaddr *)&system, size) < 0)
        return -1;
    return listen(fd, SOCKETS_BACKLOG);
}

static enum rc cannot_listen(struct why *why, struct bytes where, int error) {
    return why_set(why, PERM, 0, NULL, "sockets.listen", "cannot listen on %.*s: %s",
                   BYTES_FMT(where), strerror(error));
}

enum rc sockets_listen_tcp(struct addr at, int *fd_out, struct why *why) {
    char name[80];
    struct buf text = buf_fixed(name, sizeof name);
    addr_format_port(&text, at);
    MUST(at.family == 4 || at.family == 6);
    int fd =
        socket(at.family == 4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return cannot_listen(why, buf_bytes(&text), errno);
    if (bind_and_listen(fd, at) < 0) {
        int error = errno;
        close(fd);
        return cannot_listen(why, buf_bytes(&text), error);
    }
    *fd_out = fd;
    return OK;
}

bool sockets_taken(struct addr at) {
    struct sockaddr_storage system;
    socklen_t size = sockets_to_system(at, &system);
    if (!at.port)
        return false;
    int fd = socket(at.family == 4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    set_flag(fd, SOL_SOCKET, SO_REUSEADDR); /* what merely lingers (TIME_WAIT) does not count */
    if (at.family == 6)
        set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY);
    bool taken = bind(fd, (struct sockaddr *)&system, size) < 0 && errno == EADDRINUSE;
    close(fd);
    return taken;
}

/* --- unix sockets ----------------------------------------------------------------------------- */

/* A path too long for sun_path is reached as /proc/self/fd/N/NAME, N being its directory. */
struct unix_name {
    struct sockaddr_un at;
    int dir; /* -1, or to be closed after use */
};

static int name_long(struct bytes path, struct unix_name *out) {
    char dir[PATH_MAX_SIZE];
    ptrdiff_t slash = bytes_find_last(path, '/');
    struct bytes last = bytes_skip(path, (size_t)(slash + 1));
    if (slash < 0 || (size_t)slash >= sizeof dir || last.len == 0 || last.len > NAME_MAX_SIZE)
        return -ENAMETOOLONG;
    memcpy(dir, path.at, (size_t)slash);
    dir[slash] = '\0';
    out->dir = open(slash ? dir : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (out->dir < 0)
        return -errno;
    snprintf(out->at.sun_path, sizeof out->at.sun_path, "/proc/self/fd/%d/%.*s", out->dir,
             BYTES_FMT(last));
    return 0;
}

static int name_path(struct bytes path, struct unix_name *out) {
    *out = (struct unix_name){ .at = { .sun_family = AF_UNIX }, .dir = -1 };
    if (path.len == 0 || bytes_find(path, '\0') >= 0)
        return -EINVAL;
    if (path.len >= sizeof out->at.sun_path)
        return name_long(path, out);
    memcpy(out->at.sun_path, path.at, path.len);
    return 0;
}

static void name_done(struct unix_name *name) {
    if (name->dir >= 0)
        close(name->dir);
}

/* Removes a socket that an earlier life left; whatever else stands there stays and fails bind. */
static void remove_socket(const char *path) {
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(path);
}

static int bind_unix(int fd, const struct unix_name *name, mode_t mode) {
    remove_socket(name->at.sun_path);
    /* Closed to others until it has its mode: nobody slips in between. */
    if (fchmod(fd, 0600) < 0 || bind(fd, (const struct sockaddr *)&name->at, sizeof name->at) < 0)
        return -errno;
    if (chmod(name->at.sun_path, mode) < 0 || listen(fd, SOCKETS_BACKLOG) < 0)
        return -errno;
    return 0;
}

enum rc sockets_listen_unix(struct bytes path, int type, mode_t mode, int *fd_out,
                            struct why *why) {
    struct unix_name name;
    int error = name_path(path, &name);
    int fd = -1;
    if (!error) {
        fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        error = fd < 0 ? -errno : bind_unix(fd, &name, mode);
        name_done(&name);
    }
    if (error) {
        if (fd >= 0)
            close(fd);
        return cannot_listen(why, path, -error);
    }
    *fd_out = fd;
    return OK;
}

int sockets_connect_unix(struct bytes path, int type, int *fd_out) {
    struct unix_name name;
    int error = name_path(path, &name);
    if (error)
        return error;
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&name.at, sizeof name.at) < 0)
        error = -errno;
    name_done(&name);
    if (!error)
        *fd_out = fd;
    else if (fd >= 0)
        close(fd);
    return error;
}

int sockets_pair(int type, int out[2]) {
    return socketpair(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, out) < 0 ? -errno : 0;
}

/* --- descriptors ------------------------------------------------------------------------------ */

union one_fd {
    struct cmsghdr align;
    char room[CMSG_SPACE(sizeof(int))];
};

int sockets_send_fd(int socket, int fd, struct bytes message) {
    struct iovec part = { (char *)(uintptr_t)message.at, message.len };
    struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1 };
    union one_fd control = { 0 };
    if (fd >= 0) {
        header.msg_control = control.room;
        header.msg_controllen = sizeof control.room;
        struct cmsghdr *c = CMSG_FIRSTHDR(&header);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    ssize_t sent;
    do
        sent = sendmsg(socket, &header, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

static int take_fd(struct msghdr *header) {
    struct cmsghdr *c = CMSG_FIRSTHDR(header);
    int fd;
    if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
        c->cmsg_len != CMSG_LEN(sizeof fd))
        return -1;
    memcpy(&fd, CMSG_DATA(c), sizeof fd);
    return fd;
}

ssize_t sockets_receive_fd(int socket, char *into, size_t size, int *fd_out) {
    struct iovec part = { into, size };
    union one_fd control = { 0 };
    struct msghdr header = { .msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.room,
                             .msg_controllen = sizeof control.room };
    ssize_t got;
    *fd_out = -1;
    do
        got = recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return -errno;
    *fd_out = take_fd(&header);
    if (!(header.msg_flags & MSG_TRUNC))
        return got;
    if (*fd_out >= 0)
        close(*fd_out);
    *fd_out = -1;
    return -EMSGSIZE;
}

size_t sockets_interface_addresses(struct addr *out, size_t max) {
    struct ifaddrs *list = NULL;
    size_t count = 0;
    if (getifaddrs(&list))
        return 0;
    for (const struct ifaddrs *i = list; i && count < max; i = i->ifa_next) {
        if (!i->ifa_addr)
            continue;
        struct addr a = sockets_from_system(i->ifa_addr, i->ifa_addr->sa_family == AF_INET6
                                                             ? sizeof(struct sockaddr_in6)
                                                             : sizeof(struct sockaddr_in));
        if (a.family == 4 || a.family == 6)
            out[count++] = a;
    }
    freeifaddrs(list);
    return count;
}
