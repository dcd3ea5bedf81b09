/* sts_probe: MTA-STS (RFC 8461), where a domain's mail is looked at: its record, its policy, and whether the host
 * is one that the policy names. */
#include "base/must.h"
#include "doctor/examine_parts.h"
#include "sys/http.h"
#include "trust/mta_sts.h"

enum { FETCH_MS = 10 * 1000 };

struct fetch {
    struct examination *e;
    bool done;
    int status;
    struct bytes body, why;
};

static struct finding *found(struct examination *e, enum severity severity, struct bytes seen) {
    struct finding_list *l = &e->out->findings;
    struct finding *f =
        finding_add(l, severity, "tls.mta-sts", "STARTTLS", "%.*s", BYTES_FMT(seen));
    finding_about(l, f, "%.*s", BYTES_FMT(e->domain));
    return f;
}

static void fault(struct examination *e, enum severity severity, struct bytes seen,
                  const char *means, const char *fix) {
    struct finding *f = found(e, severity, seen);
    f->who = "recipient-admin";
    finding_means(&e->out->findings, f, "%s", means);
    finding_fix(&e->out->findings, f, "%s", fix);
}

/* --- the record ------------------------------------------------------------------------------------------ */

struct texts {
    struct examination *e;
    bool done, failed;
    struct bytes record;
    size_t count;
};

static void on_texts(void *ctx, const struct dns_answer *answer) {
    struct texts *t = ctx;
    t->done = true;
    t->failed = answer->rc != OK;
    for (size_t i = 0; i < answer->count; i++)
        if (mta_sts_is_record(answer->records[i].data)) {
            t->record = arena_copy(t->e->arena, answer->records[i].data);
            t->count++;
        }
    loop_stop(t->e->loop);
}

static struct texts ask_record(struct examination *e) {
    struct texts t = { .e = e };
    struct bytes name = arena_printf(e->arena, "_mta-sts.%.*s", BYTES_FMT(e->domain));
    uint64_t question = e->dns->ask(e->dns->self, name, DNS_TXT, on_texts, &t);
    if (!examine_wait_dns(e, &t.done))
        e->dns->cancel(e->dns->self, question);
    return t;
}

/* --- the policy ------------------------------------------------------------------------------------------- */

static void on_policy(void *ctx, const struct http_answer *answer) {
    struct fetch *f = ctx;
    f->done = true;
    f->status = answer->rc == OK ? answer->status : 0;
    f->body = arena_copy(f->e->arena, answer->body);
    f->why = arena_copy(f->e->arena, bytes_str(answer->why.text));
    loop_stop(f->e->loop);
}

static struct fetch fetch_policy(struct examination *e) {
    struct fetch f = { .e = e, .why = B("it did not answer in time") };
    struct addr addresses[ADDRESSES_MAX];
    struct http_request request = {
        .url = arena_printf(e->arena, "https://mta-sts.%.*s/.well-known/mta-sts.txt",
                            BYTES_FMT(e->domain)),
        .accept = B("text/plain"),
        .ca_pem = e->want->ca_pem,
        .addresses = addresses,
        .body_max = MTA_STS_POLICY_MAX,
        .timeout_ms = FETCH_MS,
    };
    struct bytes host = arena_printf(e->arena, "mta-sts.%.*s", BYTES_FMT(e->domain));
    request.address_count = target_addresses(e, host, addresses);
    if (!request.address_count) {
        f.why = B("its name has no address");
        return f;
    }
    struct http *http = http_open(e->loop);
    struct http_call *call = http_begin(http, &request, on_policy, &f);
    examine_wait(e, FETCH_MS + 1000);
    if (!f.done)
        http_cancel(&call);
    http_close(&http);
    return f;
}

static void judge_policy(struct examination *e, struct bytes text) {
    struct mta_sts_policy *p = ARENA_NEW(e->arena, struct mta_sts_policy);
    if (mta_sts_parse_policy(text, p) != OK) {
        fault(e, SEVERITY_WARNING,
              arena_printf(e->arena, "its policy cannot be used: %s", p->wrong),
              "Senders go on as if there were no policy.",
              "Correct the policy file; postern dns shows what is wrong with it.");
        return;
    }
    if (mta_sts_covers(p, e->host))
        found(
            e, SEVERITY_INFO,
            arena_printf(e->arena, "its policy (%s) names this host", mta_sts_mode_name(p->mode)));
    else
        fault(e, p->mode == MTA_STS_ENFORCE ? SEVERITY_ERROR : SEVERITY_WARNING,
              arena_printf(e->arena, "its policy (%s) does not name %.*s",
                           mta_sts_mode_name(p->mode), BYTES_FMT(e->host)),
              "Servers that know MTA-STS do not deliver to this host.",
              "Add the host to the policy, then change the id of the record.");
}

void sts_probe(struct examination *e) {
    struct finding_list *l = &e->out->findings;
    struct mta_sts_record record;
    if (!e->domain.len || !e->dns) {
        finding_skip(l, "tls.mta-sts", "STARTTLS", "MTA-STS: a host was named, not a domain");
        return;
    }
    if (examine_left(e) < FETCH_MS) {
        finding_skip(l, "tls.mta-sts", "STARTTLS", "MTA-STS: there was no time left");
        return;
    }
    struct texts t = ask_record(e);
    if (!t.done || t.failed) {
        finding_skip(l, "tls.mta-sts", "STARTTLS",
                     "MTA-STS: the DNS did not answer for _mta-sts.%.*s", BYTES_FMT(e->domain));
    } else if (!t.count) {
        found(e, SEVERITY_INFO, B("it publishes no MTA-STS policy"));
    } else if (t.count > 1 || mta_sts_parse_record(t.record, &record) != OK) {
        fault(e, SEVERITY_WARNING,
              t.count > 1 ? B("it has more than one MTA-STS record")
                          : B("its MTA-STS record breaks the grammar"),
              "Senders go on as if there were none.",
              "Publish one record, such as \"v=STSv1; id=20260101\".");
    } else {
        struct fetch f = fetch_policy(e);
        if (f.status == 200)
            judge_policy(e, f.body);
        else
            fault(
                e, SEVERITY_WARNING,
                f.status
                    ? arena_printf(e->arena, "its policy is not to be had: status %d", f.status)
                    : arena_printf(e->arena, "its policy is not to be had: %.*s", BYTES_FMT(f.why)),
                "Senders that have not kept an earlier policy go on as if there were none.",
                "Serve https://mta-sts.DOMAIN/.well-known/mta-sts.txt with a valid certificate.");
    }
}
