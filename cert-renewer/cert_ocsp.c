/* SPDX-License-Identifier: Apache-2.0
 *
 * By POST: a GET, which more caches answer, has the request in its path, and responders differ in
 * how they read that.
 */
#include "cert-renewer/cert_ocsp.h"

#include <stdlib.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/net/tls_certificate.h"
#include "lib/net/tls_ocsp.h"

#define ANSWER_TIME (30 * CLOCK_SECOND)

enum {
	REQUEST_MAX = 1024,
	URL_MAX = 2048,
	SOON = 60, /* seconds: not asked again before, however short the answer's life is */
};

struct cert_ocsp_call {
	struct http_call *http;
	struct buf pem, request, url;
	cert_ocsp_fn *fn;
	void *ctx;
};

static void release(struct cert_ocsp_call *call)
{
	buf_clear_secret(&call->pem); /* the key may be in it */
	buf_clear(&call->request);
	buf_clear(&call->url);
	free(call);
}

/* What came of it, as an err: nothing, or what may not be used. */
static bool is_good(const struct cert_ocsp_call *call, const struct http_answer *answer,
		    int64_t now, int64_t *until, struct err *err)
{
	if (answer->result != HTTP_ANSWERED || !answer->is_complete)
		return err_set(err, "%s", answer->error);
	if (answer->status != 200)
		return err_set(err, "the answer's status is %u", answer->status);
	if (answer->is_cut)
		return err_set(err, "the answer is too large");
	return tls_ocsp_check(buf_str(&call->pem), answer->body, now, until, err);
}

static void on_answer(void *ctx, const struct http_answer *answer)
{
	struct cert_ocsp_call *call = ctx;
	int64_t now = clock_wall() / CLOCK_SECOND, until = 0, refresh_at;
	struct err err = {""};

	if (is_good(call, answer, now, &until, &err)) {
		refresh_at = now + (until - now) / 2;
		call->fn(call->ctx, answer->body, refresh_at > now + SOON ? refresh_at : now + SOON,
			 until, "");
	} else {
		err_wrap(&err, "%.*s: ", STR_ARG(str_first(buf_str(&call->url), 200)));
		call->fn(call->ctx, STR(""), 0, 0, err.text);
	}
	release(call);
}

static bool is_url(struct str url)
{
	return str_is_printable(url) && str_find(url, ' ') == url.n &&
	       (str_istarts(url, STR("http://")) || str_istarts(url, STR("https://")));
}

/* Fills the call in. */
static bool prepare(struct cert_ocsp_call *call, struct str pem, struct err *err)
{
	call->pem = BUF_MAX(TLS_CERTIFICATE_PEM_MAX);
	call->request = BUF_MAX(REQUEST_MAX);
	call->url = BUF_MAX(URL_MAX);
	if (!tls_ocsp_put_request(pem, &call->request, &call->url, err))
		return false;
	if (!is_url(buf_str(&call->url)))
		return err_set(err,
			       "the certificate's OCSP responder is not named by an URL of HTTP");
	buf_put_str(&call->pem, pem); /* it fits, or could not have been read */
	return buf_put_char(&call->url, '\0') ||
	       err_set(err, "the URL of the OCSP responder is too long");
}

struct cert_ocsp_call *cert_ocsp_ask(struct http_client *http, struct str pem, cert_ocsp_fn *fn,
				     void *ctx, struct err *err)
{
	static const char *const headers[] = {"Content-Type: application/ocsp-request",
					      "Accept: application/ocsp-response"};
	struct cert_ocsp_call *call = mem_zero(sizeof(*call));

	call->fn = fn;
	call->ctx = ctx;
	if (!prepare(call, pem, err)) {
		release(call);
		return NULL;
	}
	call->http = http_client_start(http,
				       &(struct http_request){.method = "POST",
							      .url = call->url.p,
							      .headers = headers,
							      .n_headers = sizeof(headers) /
									   sizeof(headers[0]),
							      .body = buf_str(&call->request),
							      .timeout = ANSWER_TIME},
				       on_answer, call);
	return call;
}

void cert_ocsp_forget(struct cert_ocsp_call **call)
{
	struct cert_ocsp_call *c = *call;

	*call = NULL;
	if (c == NULL)
		return;
	http_client_cancel(&c->http);
	release(c);
}
