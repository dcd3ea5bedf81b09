/* findings: what was found about a configuration, as lines for people and as JSON. */
#ifndef BIN_FINDINGS_H
#define BIN_FINDINGS_H

#include "config/config.h"

#include <stdio.h>

bool findings_have_errors(const struct config_findings *findings);
/* "postern.conf:12: error: connector office: clients: ..." a line; the warnings too, if asked. */
void findings_print(FILE *to, const struct config_findings *findings, bool warnings);
/* The same as a JSON array. */
void findings_json(struct buf *b, const struct config_findings *findings);

#endif
