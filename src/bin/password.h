/* password: one line with a password, from standard input or the terminal, without an echo. */
#ifndef BIN_PASSWORD_H
#define BIN_PASSWORD_H

#include <stdbool.h>
#include <stddef.h>

enum { PASSWORD_LINE = 2048 };
/* EX_OK, or an exit code after saying why on standard error. twice: asks again, for a new one. */
int password_read(const char *command, bool from_stdin, bool twice, char into[PASSWORD_LINE],
                  size_t *len_out);

#endif
