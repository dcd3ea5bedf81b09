/* sockets: making the sockets that streams, channels and the parent use: bound, listening, paired,
 * and handing descriptors over. Everything made here is non-blocking and closed on exec; a
 * descriptor that a child is to inherit is named to process_spawn.
 *
 * Paths of unix sockets may be longer than the 108 octets of sockaddr_un: the directory is then
 * reached through /proc/self/fd. Only the last component must fit (80 octets). */
#ifndef SYS_SOCKETS_H
#define SYS_SOCKETS_H

#include "base/addr.h"
#include "base/why.h"

#include <sys/socket.h>
#include <sys/types.h>

enum { SOCKETS_BACKLOG = 4096 };

/* A bound and listening TCP socket with SO_REUSEPORT, so that each worker may have one for the same
 * address; port 0 picks one (sockets_bound tells it). IPv6 sockets take no IPv4. PERM and why when
 * the address cannot be bound. */
enum rc sockets_listen_tcp(struct addr at, int *fd_out, struct why *why);
/* Does somebody listen there already, ourselves included? SO_REUSEPORT lets two servers of one
 * account share a port without a word: this is how the second finds out. */
bool sockets_taken(struct addr at);
/* A listening unix socket of type SOCK_STREAM or SOCK_SEQPACKET at `path`, replacing a socket that
 * is there already (never another kind of file), with this mode. */
enum rc sockets_listen_unix(struct bytes path, int type, mode_t mode, int *fd_out, struct why *why);
/* The addresses of this host's interfaces, at most `max`, ports 0; returns how many. */
size_t sockets_interface_addresses(struct addr *out, size_t max);
/* What a socket is bound to; family 0 when it has no address. */
struct addr sockets_bound(int fd);

/* Connects to a unix socket; 0 or -errno (-EAGAIN: its backlog is full). */
int sockets_connect_unix(struct bytes path, int type, int *fd_out);
/* Two connected unix sockets of this type; 0 or -errno. */
int sockets_pair(int type, int out[2]);
/* One message with one descriptor; fd -1 sends none. 0 or -errno. */
int sockets_send_fd(int socket, int fd, struct bytes message);
/* Receives one message of at most `size` octets; *fd_out is -1 when none came with it. The length,
 * 0 at the end, or -errno (-EMSGSIZE: it did not fit). */
ssize_t sockets_receive_fd(int socket, char *into, size_t size, int *fd_out);

/* Between our addresses and the system's; storage holds any of them. */
struct addr sockets_from_system(const struct sockaddr *from, socklen_t size);
socklen_t sockets_to_system(struct addr from, struct sockaddr_storage *out);

#endif
