/* smtp: the language of RFC 5321 and its extensions, both sides, without I/O. This door includes
 * the folder's parts: command (parsing), reply, data (dot-stuffing), server and client (machines).
 */
#ifndef SMTP_SMTP_H
#define SMTP_SMTP_H

#include "smtp/client.h"
#include "smtp/command.h"
#include "smtp/data.h"
#include "smtp/reply.h"
#include "smtp/server.h"

#endif
