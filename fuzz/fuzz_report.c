/* fuzz_report: a report about a message and a reply of any octets, and the answer of a user who is away. What is written has CRLF line ends
 * only, no line over 998 octets, and exactly the fields and parts it should. The first octet chooses
 * the kind, then lines up to an empty one are the reply, its host, the recipient; the rest is the
 * message. */
#include "report/report.h"

#include "base/must.h"
#include "message/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_lines(struct bytes text) {
    size_t start = 0;
    for (size_t i = 0; i < text.len; i++) {
        MUST(text.at[i] != '\0');
        MUST(text.at[i] != '\r' || (i + 1 < text.len && text.at[i + 1] == '\n'));
        if (text.at[i] != '\n')
            continue;
        MUST(i > 0 && text.at[i - 1] == '\r' && i - start <= 999);
        start = i + 1;
    }
    MUST(start == text.len);
}

static void check_header(struct bytes text) {
    struct header_summary s;
    header_summarise(text, &s);
    MUST(s.complete && !s.malformed && s.from_fields == 1 && s.date_fields == 1);
    MUST(s.message_id_fields == 1 && s.bcc_fields == 0 && s.received_fields == 0);
}

static void check_vacation(struct bytes about, struct bytes id, struct bytes to, struct bytes text,
                           struct arena *a) {
    const struct report_vacation v = { .user = to,
                                       .to = to,
                                       .text = bytes_first(text, 16 * 1024),
                                       .subject = bytes_first(id, about.len % 2 ? 200 : 0),
                                       .about = about,
                                       .references = text,
                                       .message_id = id,
                                       .hostname = B("h.example"),
                                       .id = about,
                                       .now = 1795167000000 };
    struct buf message = buf_grow(128 * 1024);
    report_vacation_write(&v, a, &message);
    MUST(!message.full);
    check_lines(buf_bytes(&message));
    check_header(buf_bytes(&message));
    buf_free(&message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct config config = { .hostname = { "h.example", 9 },
                                          .postmaster = { "postmaster@h.example", 20 } };
    struct bytes rest = bytes_of(data, size), kind = bytes_first(rest, 1), reply, host, recipient;
    rest = bytes_skip(rest, 1);
    bytes_split(&rest, '\n', &reply);
    bytes_split(&rest, '\n', &host);
    bytes_split(&rest, '\n', &recipient);
    unsigned chosen = kind.len ? (unsigned char)kind.at[0] : 0;
    struct recipient to = { .original = recipient, .final = recipient, .orcpt = reply };
    to.notify = chosen % 4 == REPORT_SUCCESS ? NOTIFY_SUCCESS : 0;
    struct envelope e = { .sender = chosen & 4 ? BYTES_NONE : B("a@b.example"),
                          .envid = host,
                          .helo = host,
                          .flags = chosen >> 3 & 15,
                          .count = 1,
                          .recipients = &to };
    static const uint32_t index = 0;
    const struct job job = {
        .id = { "0a1" }, .envelope = &e, .recipients = &index, .count = 1, .attempt = 1
    };
    const struct outcome outcome = { .kind = chosen % 4 == REPORT_SUCCESS ? OUTCOME_RELAYED
                                                                          : OUTCOME_FAILED,
                                     .code = 550,
                                     .status = { 5, 7, 1 },
                                     .reply = reply,
                                     .remote = chosen & 128,
                                     .host = host,
                                     .tls = host,
                                     .command = "RCPT" };
    const struct report_setup setup = { .config = &config,
                                        .kind = chosen % 4,
                                        .now = 1795167000000,
                                        .give_up = 1795167000000,
                                        .boundary = B("0a1.0.fe") };
    struct arena *a = arena_open();
    struct buf message = buf_grow(4 << 20);
    struct bytes told;
    report_write(&setup, &job, &outcome, 1, rest, true, a, &told, &message);
    if (told.len) {
        MUST(!message.full);
        check_lines(buf_bytes(&message));
        check_header(buf_bytes(&message));
    } else {
        MUST(message.len == 0);
    }
    buf_free(&message);
    check_vacation(reply, host, recipient, rest, a);
    arena_close(&a);
    return 0;
}
