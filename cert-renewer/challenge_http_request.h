/* SPDX-License-Identifier: Apache-2.0
 *
 * What an authority asks by HTTP (RFC 8555, 8.3; RFC 9112). Pure: strangers write these bytes.
 */
#ifndef CERT_RENEWER_CHALLENGE_HTTP_REQUEST_H
#define CERT_RENEWER_CHALLENGE_HTTP_REQUEST_H

#include <stdbool.h>

#include "lib/base/str.h"

enum { CHALLENGE_HTTP_REQUEST_MAX = 8192, CHALLENGE_HTTP_REQUEST_TOKEN = 128 };

struct challenge_http_request {
	unsigned status;  /* what there is to say without looking further; 0: see the token */
	struct str token; /* borrowed from the input */
	bool is_head;	  /* the answer has no body */
};

/* `input` is all that has come of the connection. False: it is no whole request yet. What follows a request is not looked at. */
bool challenge_http_request_read(struct str input, struct challenge_http_request *request);
/* Letters, digits, - and _: at most so many, and some. */
bool challenge_http_request_is_token(struct str text);

#endif
