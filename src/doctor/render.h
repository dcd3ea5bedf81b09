/* render: an examination for people and for scripts. */
#ifndef DOCTOR_RENDER_H
#define DOCTOR_RENDER_H

#include "doctor/examine.h"

/* What was tried, findings (`all`: those that say that something is well, too), and the verdict last. The
 * transcript is not in it: its lines are shown as they come. */
void render_text(const struct examined *x, struct buf *out, bool all, size_t width);
/* One object, the contract of `postern doctor --json`. */
void render_json(const struct examined *x, struct buf *out);

#endif
