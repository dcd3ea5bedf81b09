/* status: the machine-readable part of a report: fields of RFC 3464 section 2, in the UTF-8 variant
 * of RFC 6533 when an address is not ASCII. A field says only what is known: Original-Recipient only
 * when the sender gave ORCPT, Remote-MTA only when another server was spoken to. */
#include "report/notice.h"

#include "base/num.h"

enum { FIELD_MAX = 1200, MANY = 100, DIAGNOSTIC_MAX = 900, DIAGNOSTIC_SHORT = 160 };

static struct bytes field_text(const struct notice *n, struct bytes text, size_t max) {
    return n->utf8 ? line_clean(n->arena, text, max) : line_ascii(n->arena, text, max);
}

/* "dns; name", and nothing for an empty name. */
static void put_typed(struct buf *b, const struct notice *n, const char *name, const char *type,
                      struct bytes value) {
    if (!value.len)
        return;
    line_field(
        b, name,
        arena_printf(n->arena, "%s; %.*s", type, BYTES_FMT(field_text(n, value, FIELD_MAX))));
}

static void put_date(struct buf *b, const char *name, int64_t wall_ms) {
    buf_str(b, name);
    buf_str(b, ": ");
    num_format_rfc5322(b, wall_ms);
    buf_str(b, "\r\n");
}

static void put_address(struct buf *b, const struct notice *n, const char *name,
                        struct bytes address) {
    put_typed(b, n, name, bytes_is_ascii(address) ? "rfc822" : "utf-8", address);
}

static void put_message_fields(struct buf *b, const struct notice *n) {
    const struct envelope *e = n->envelope;
    if (e->envid.len)
        line_field(b, "Original-Envelope-Id", field_text(n, e->envid, 200));
    put_typed(b, n, "Reporting-MTA", "dns", n->setup->hostname);
    put_typed(b, n, "Received-From-MTA", "dns", e->helo);
    line_field(b, "X-Postern-Queue-Id", message_id_bytes(&n->job->id));
    put_date(b, "Arrival-Date", e->arrived);
}

static const char *action(const struct notice *n, const struct outcome *o) {
    switch (n->setup->kind) {
    case REPORT_DELAY:
        return "delayed";
    case REPORT_SUCCESS:
        return o->kind == OUTCOME_DELIVERED  ? "delivered"
               : o->kind == OUTCOME_EXPANDED ? "expanded"
                                             : "relayed";
    default:
        return "failed";
    }
}

/* Ours when the outcome has none: 2.0.0; 4.0.0 for a delay; 4.4.7, delivery time expired; 5.0.0. */
static struct status status_of(const struct notice *n, const struct outcome *o) {
    if (n->setup->kind == REPORT_SUCCESS)
        return o->status.klass == 2 ? o->status : (struct status){ 2, 0, 0 };
    if (status_is_set(o->status) && o->status.klass != 2)
        return o->status;
    if (n->setup->kind == REPORT_DELAY)
        return (struct status){ 4, 0, 0 };
    return n->setup->kind == REPORT_GAVE_UP ? (struct status){ 4, 4, 7 }
                                            : (struct status){ 5, 0, 0 };
}

/* ORCPT is "type;address" (RFC 3461 section 4.2), decoded. */
static void put_original(struct buf *b, const struct notice *n, struct bytes orcpt) {
    struct bytes address = orcpt, type;
    if (!bytes_split(&address, ';', &type) || !type.len || !address.len)
        return;
    put_typed(b, n, "Original-Recipient", (const char *)line_ascii(n->arena, type, 40).at, address);
}

/* The server's own words behind "smtp;", ours behind "x-postern;". */
static void put_diagnostic(struct buf *b, const struct notice *n, const struct outcome *o) {
    char status[12] = "";
    struct bytes text = o->reply;
    if (!text.len)
        return;
    if (n->count > MANY)
        text = bytes_first(text, DIAGNOSTIC_SHORT);
    if (!o->remote) {
        put_typed(b, n, "Diagnostic-Code", "x-postern", text);
        return;
    }
    status_format(o->status, status);
    put_typed(b, n, "Diagnostic-Code", "smtp",
              arena_printf(n->arena, "%03d %s%s%.*s", o->code, status, status[0] ? " " : "",
                           BYTES_FMT(bytes_first(text, DIAGNOSTIC_MAX))));
}

static void put_remote(struct buf *b, const struct notice *n, const struct outcome *o) {
    if (!o->remote)
        return;
    if (o->host.len) {
        put_typed(b, n, "Remote-MTA", "dns", o->host);
    } else if (o->address.family) {
        struct buf address = buf_fixed(arena_alloc(n->arena, 80), 80);
        addr_format(&address, o->address);
        put_typed(b, n, "Remote-MTA", "dns", arena_printf(n->arena, "[%s]", buf_text(&address)));
    }
}

static void put_recipient_fields(struct buf *b, const struct notice *n, const struct outcome *o) {
    const struct recipient *r = notice_recipient(n, o);
    struct status status = status_of(n, o);
    buf_str(b, "\r\n");
    put_original(b, n, r->orcpt);
    put_address(b, n, "Final-Recipient", r->final.len ? r->final : r->original);
    buf_printf(b, "Action: %s\r\nStatus: %u.%u.%u\r\n", action(n, o), status.klass, status.subject,
               status.detail);
    put_remote(b, n, o);
    put_diagnostic(b, n, o);
    put_date(b, "Last-Attempt-Date", n->setup->now);
    if (n->setup->kind == REPORT_DELAY)
        put_date(b, "Will-Retry-Until", n->setup->give_up);
}

void notice_status(struct buf *b, const struct notice *n) {
    put_message_fields(b, n);
    for (size_t i = 0; i < n->count; i++)
        put_recipient_fields(b, n, n->outcomes[i]);
}
