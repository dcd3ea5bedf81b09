/* num: quantities as the configuration and the command line write them, and times as people and
 * RFC 5322 and RFC 3339 write them. Pure: the time is always passed in. */
#ifndef BASE_NUM_H
#define BASE_NUM_H

#include "base/buf.h"

/* "30s" "15min" "4h" "5d" "250ms" -> milliseconds; no sign, no fraction, no blank; at most 10
 * years. */
bool num_parse_duration(struct bytes text, int64_t *ms_out);
/* "25MiB" "64KiB" "2GiB" "512" (octets) "10B" -> octets. */
bool num_parse_size(struct bytes text, uint64_t *out);
/* "60/hour" "500/day" "10/min" "5/s" "100/15min" -> count and window in milliseconds. */
bool num_parse_rate(struct bytes text, uint64_t *count_out, int64_t *window_ms_out);
/* "5%" -> 5, 0 to 100. */
bool num_parse_percent(struct bytes text, unsigned *out);

/* Shortest exact form: 900000 -> "15min"; for people. */
void num_format_duration(struct buf *b, int64_t ms);
void num_format_size(struct buf *b, uint64_t octets);

/* wall_ms: milliseconds since 1970-01-01T00:00:00Z. */
/* "2026-11-20T09:30:00.123Z" */
void num_format_rfc3339(struct buf *b, int64_t wall_ms);
bool num_parse_rfc3339(struct bytes text, int64_t *wall_ms_out); /* "2027-12-31" too */
/* RFC 5322 section 3.3, in UTC: "Fri, 20 Nov 2026 09:30:00 +0000" */
void num_format_rfc5322(struct buf *b, int64_t wall_ms);

#endif
