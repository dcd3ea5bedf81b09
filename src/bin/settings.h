/* settings: the configuration as commands load it: with this machine's name and cores for what the file
 * leaves to it. */
#ifndef BIN_SETTINGS_H
#define BIN_SETTINGS_H

#include "config/config.h"

#define SETTINGS_FILE B("/etc/postern/postern.conf")

/* As config_parse_on: *out is never NULL. */
enum rc settings_parse(struct bytes file, struct config **out,
                       struct config_findings *findings_out);
/* For commands that only need to know where things lie (queue, trace, send): a configuration with
 * broken rules will do. NULL, after saying why on standard error, when the file cannot be read or
 * understood. */
struct config *settings_find(const char *command, struct bytes file);

#endif
