/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP requests to other hosts on the event loop: kept connections, HTTP/2 where TLS offers it, a time
 * limit a call, a size limit an answer. What matters most is said by enum http_result: whether a request
 * that failed may have reached the other side.
 */
#ifndef LIB_NET_HTTP_CLIENT_H
#define LIB_NET_HTTP_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/str.h"
#include "lib/net/loop.h"
#include "lib/net/tls.h"

enum {
	HTTP_CLIENT_BODY_MAX = 65536, /* of an answer; what comes after it is thrown away */
	HTTP_CLIENT_HEADERS_MAX = 100,
};

struct http_client;
struct http_call;

struct http_client_config {
	const struct tls_client *trust; /* whose authorities count; NULL: nobody is trusted. Borrowed for life */
	int64_t connect_timeout;	/* microseconds: for name, connection and TLS together */
	unsigned max_connections;	/* kept open when idle */
};

struct http_request {
	const char *method;
	const char *url; /* http: or https: */
	const char *const *headers; /* "Name: value" */
	unsigned n_headers;
	struct str body;	/* borrowed until the call ends */
	int64_t timeout;	/* microseconds, for the whole call */
	int64_t begin_before;	/* monotonic: without a connection by then it is NOT_SENT; 0: any time */
};

enum http_result {
	/* There is a status and all headers (is_complete: and the whole body). */
	HTTP_ANSWERED,
	/* Not one octet of the request left this host: it can be repeated anywhere without harm. */
	HTTP_NOT_SENT,
	/* Octets of the request were sent and no status came back: it may have had its effect. */
	HTTP_UNKNOWN,
};

/* Borrowed for the callback. */
struct http_answer {
	enum http_result result;
	bool is_complete;
	bool is_late; /* NOT_SENT because of begin_before */
	unsigned status;
	struct str body; /* at most HTTP_CLIENT_BODY_MAX octets */
	bool is_cut;	 /* it was longer */
	const char *error; /* why it was not (completely) answered, else "" */
	const struct http_call *call;
};

/* Called once for each call, from the loop. It may start further calls. */
typedef void http_client_fn(void *ctx, const struct http_answer *answer);

/* Loads what the library wants from the file system: call it once, before the root directory changes. */
void http_client_prepare(void);
struct http_client *http_client_new(struct loop *loop, const struct http_client_config *config);
/* Ends every call without a word to its owner. */
void http_client_free(struct http_client **client);

/* Never calls fn before it returns. A redirect is an answer like any other: none is followed. */
struct http_call *http_client_start(struct http_client *client, const struct http_request *request, http_client_fn *fn,
				    void *ctx);
/* Of a call whose fn has not been called: it will not be, and the request's body is needed no longer. Sets *call to NULL. */
void http_client_cancel(struct http_call **call);
/* Calls under way. */
unsigned http_client_count(const struct http_client *client);
/* The value of the answer's (first) header of this name, in any case; else the empty string. */
struct str http_client_header(const struct http_answer *answer, const char *name);
/* The same of the n-th of this name, counted from 0. False: there are not so many. */
bool http_client_header_at(const struct http_answer *answer, const char *name, unsigned n, struct str *value);

#endif
