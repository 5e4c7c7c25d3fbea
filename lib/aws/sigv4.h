/* SPDX-License-Identifier: Apache-2.0
 *
 * Signature Version 4, with which AWS wants requests signed. Pure: values and the clock in, a header out.
 * (libcurl's own signer has faults in the versions that distributions ship, and cannot sign every header.)
 */
#ifndef LIB_AWS_SIGV4_H
#define LIB_AWS_SIGV4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/str.h"

enum {
	SIGV4_DATE = 17,	/* "20150830T123600Z" and a NUL */
	SIGV4_HASH = 65,	/* SHA-256 in hexadecimal and a NUL */
	SIGV4_PAIRS_MAX = 32,	/* headers, and parameters of the query */
};

struct sigv4_pair {
	struct str name, value;
};

/* All borrowed. */
struct sigv4_request {
	struct str method;
	struct str path; /* as it is sent; "" is "/" */
	const struct sigv4_pair *query; /* names and values before their encoding */
	size_t n_query;
	/* As they are sent; host and x-amz-date must be among them, x-amz-security-token too when there is one.
	 * Those that proxies change are left out of the signature. */
	const struct sigv4_pair *headers;
	size_t n_headers;
	struct str payload_hash; /* of sigv4_hash(); S3 also allows UNSIGNED-PAYLOAD */
	const char *date;	 /* of sigv4_date() */
	struct str region, service; /* "s3" has rules of its own for the path */
	struct str access_key_id, secret_access_key;
};

/* The value of X-Amz-Date for a wall-clock time in microseconds. */
void sigv4_date(int64_t wall, char out[SIGV4_DATE]);
/* SHA-256 in lower-case hexadecimal. */
void sigv4_hash(struct str bytes, char out[SIGV4_HASH]);
/* The parts of a URL without a query: `host` as the HTTP client sends it (the port stands in it only when it is not the scheme's own). */
void sigv4_split_url(const char *url, struct str *host, struct str *path);
/* The value of the Authorization header. False: more pairs than SIGV4_PAIRS_MAX, or out is full. */
bool sigv4_sign(const struct sigv4_request *request, struct buf *out);
/* The text whose hash is signed: for tests and for whoever looks for a refused signature's reason. It has no
 * secret but, in its headers, the session token. */
bool sigv4_canonical(const struct sigv4_request *request, struct buf *out);

#endif
