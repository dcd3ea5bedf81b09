/* http: requests to HTTPS servers. libcurl is behind it and nowhere else, on our loop.
 *
 * Certificates are verified, TLS is 1.2 or newer. No redirect is followed, no proxy, cookie or
 * password file of the environment is used, nothing is decompressed, and an answer has a limit in
 * size and in time. What may be asked is the caller's business: it alone makes URLs. */
#ifndef SYS_HTTP_H
#define SYS_HTTP_H

#include "base/addr.h"
#include "base/why.h"
#include "sys/loop.h"

struct http;
/* Before the sandbox: libcurl and OpenSSL read their files here. */
struct http *http_open(struct loop *l);
void http_close(struct http **h); /* open calls end without a callback */

struct http_request {
    struct bytes url;
    struct bytes form;           /* POST, as application/x-www-form-urlencoded; empty: GET */
    struct bytes user, password; /* Basic authentication; user empty: none */
    struct bytes ca_pem;         /* authorities; empty: the system's */
    struct bytes accept;         /* media type; empty: application/json */
    /* Where the URL's host is, for who has looked that up himself: any of these. None: the system knows. With a
     * port, that one is connected to whatever the URL says. */
    const struct addr *addresses;
    size_t address_count;
    size_t body_max;
    int64_t timeout_ms;
};
struct http_answer {
    enum rc rc; /* OK: the server answered, whatever it was; TEMP and why */
    struct why why;
    int status;         /* 200 */
    struct bytes body;  /* gone when the callback returns */
    int64_t max_age_ms; /* Cache-Control's; -1: it says nothing; 0: it must not be kept */
};
typedef void http_answered(void *ctx, const struct http_answer *answer);
struct http_call;
/* Copies the request. on_answer comes exactly once, never before this returned. */
struct http_call *http_begin(struct http *h, const struct http_request *request,
                             http_answered *on_answer, void *ctx);
void http_cancel(struct http_call **c); /* no callback any more */

#endif
