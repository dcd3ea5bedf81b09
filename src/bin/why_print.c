/* why_print: what `postern why` says, for people and for scripts. */
#include "bin/why_run.h"

#include "base/member.h"

/* --- what is said ------------------------------------------------------------------------------------ */

static const char *word(const struct verdict *v) {
    return v->rc == OK ? "accept" : v->rc == PERM ? "refuse" : "later";
}

static void json_rules(struct buf *b, const struct why_run *w) {
    buf_str(b, ",\"rules\":[");
    for (size_t i = 0; i < w->rule_count; i++) {
        buf_str(b, i ? ",{" : "{");
        member_text(b, "rule", w->rules[i].name);
        buf_printf(b, ",\"matched\":%s", w->rules[i].matched ? "true" : "false");
        member_text(b, "because", w->rules[i].because);
        buf_char(b, '}');
    }
    buf_char(b, ']');
}

static void json_changes(struct buf *b, const struct verdict *v) {
    buf_str(b, ",\"changes\":[");
    for (size_t i = 0; i < v->change_count; i++) {
        buf_str(b, i ? ",{" : "{");
        member_text(b, "change", v->changes[i].text);
        buf_printf(b, ",\"safe\":%s", v->changes[i].safe ? "true" : "false");
        member_text(b, "kind", bytes_str(v->changes[i].kind));
        member_text(b, "argument", v->changes[i].argument);
        buf_char(b, '}');
    }
    buf_char(b, ']');
}

static void print_json(const struct why_run *w) {
    struct buf b = buf_grow(16 * 1024 * 1024);
    char status[12];
    status_format(w->v.why.status, status);
    buf_char(&b, '{');
    member_text(&b, "verdict", bytes_str(word(&w->v)));
    buf_printf(&b, ",\"code\":%d", w->v.why.code);
    member_text(&b, "enhanced", bytes_str(status));
    member_text(&b, "text", bytes_str(w->v.why.text));
    member_text(&b, "reason", bytes_str(w->v.why.reason));
    member_text(&b, "step", bytes_str(w->step));
    member_text(&b, "listener", w->facts.listener ? w->facts.listener->name : B("send"));
    member_text(&b, "tenant", w->v.tenant);
    member_text(&b, "connector", w->v.connector);
    buf_printf(&b, ",\"relay\":%s", w->v.relay ? "true" : "false");
    json_rules(&b, w);
    json_changes(&b, &w->v);
    buf_char(&b, '}');
    printf("%s\n", buf_text(&b));
    buf_free(&b);
}

static void print_session(const struct why_run *w) {
    const struct facts *f = &w->facts;
    char text[64];
    struct buf b = buf_fixed(text, sizeof text);
    addr_format(&b, f->client);
    if (f->local_door)
        printf("local user %.*s", BYTES_FMT(f->local_user));
    else
        printf("client %s at listener %.*s, %s", buf_text(&b), BYTES_FMT(f->listener->name),
               f->tls_version ? "with TLS" : "without TLS");
    if (w->q->user.len)
        printf(", login %.*s", BYTES_FMT(w->q->user));
    printf(": <%.*s> to <%.*s>\n", BYTES_FMT(f->sender), BYTES_FMT(f->recipient));
}

static void print_verdict(const struct why_run *w) {
    const struct verdict *v = &w->v;
    char status[12];
    status_format(v->why.status, status);
    if (v->rc == OK) {
        printf("accepted%s: %s\n", v->relay ? ", a relay" : "", v->why.text);
        return;
    }
    printf("%s at %s, reason %s:\n  %d %s %s\n", v->rc == PERM ? "refused" : "try later", w->step,
           v->why.reason, v->why.code, status, v->why.text);
}

static void print_text(const struct why_run *w) {
    print_session(w);
    print_verdict(w);
    printf("\nwhat was tried\n");
    for (size_t i = 0; i < w->rule_count; i++)
        printf("  %-3s  %.*s: %.*s\n", w->rules[i].matched ? "yes" : "no",
               BYTES_FMT(w->rules[i].name), BYTES_FMT(w->rules[i].because));
    if (!w->v.change_count)
        return;
    printf("\nwhat would make it pass, safest first\n");
    for (size_t i = 0; i < w->v.change_count; i++)
        printf("  %c %.*s\n", w->v.changes[i].safe ? '-' : '!', BYTES_FMT(w->v.changes[i].text));
}

void why_print(const struct why_run *w) {
    if (w->q->json)
        print_json(w);
    else
        print_text(w);
}
