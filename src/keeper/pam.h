/* pam: logins that PAM knows. PAM's modules block, leak and may need setuid programs, so they are
 * run in a process of their own that is not shut in as the keeper is (it keeps the right to gain
 * privileges by them), a copy of it for each question. The keeper asks it over a channel. */
#ifndef KEEPER_PAM_H
#define KEEPER_PAM_H

#include "base/addr.h"
#include "base/scan.h"
#include "keeper/source.h"

/* The helper process: answers on fd (a listening SOCK_SEQPACKET socket) until the loop ends. */
struct pam_server;
struct pam_server *pam_serve(struct loop *l, int fd);
void pam_server_close(struct pam_server **p);

/* --- pure: what is asked and answered (pam_wire.c) ------------------------------------------- */
struct pam_question {
    struct bytes service, user, password;
    struct addr client;
};
void pam_format_question(struct buf *b, const struct pam_question *q);
bool pam_parse_question(struct bytes data, struct pam_question *out);
void pam_format_answer(struct buf *b, enum source_result result, struct bytes text);
bool pam_parse_answer(struct bytes data, enum source_result *result_out, struct bytes *text_out);
/* "SERVICE" or "SERVICE@DOMAIN" from `logins`; false: no service can be called so. */
bool pam_parse_setting(struct bytes setting, struct bytes *service_out, struct bytes *domain_out);
/* Whom PAM is to know this login as: itself without a domain, else the local part of an address of
 * that domain, or a name without one. False: it is of another domain. */
bool pam_user(struct bytes login, struct bytes domain, struct bytes *user_out);

#endif
