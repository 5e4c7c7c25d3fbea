/* SPDX-License-Identifier: Apache-2.0
 *
 * AWS credentials that are not in the settings: the steps that lead to them, each a request to be made or a file to be read by
 * whoever wants them. Pure.
 */
#ifndef LIB_AWS_AWS_CREDENTIALS_H
#define LIB_AWS_AWS_CREDENTIALS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/aws/aws_sources.h"
#include "lib/base/buf.h"

enum { AWS_CREDENTIALS_HEADERS_MAX = 4, AWS_CREDENTIALS_WHY = 512 };

/* Borrowed. */
struct aws_credentials_keys {
	struct str access_key_id, secret_access_key, session_token;
};

/* An HTTP request; aws_credentials_request_clear() frees (and wipes: there are secrets in it). */
struct aws_credentials_request {
	const char *method;
	char *url;
	char *headers[AWS_CREDENTIALS_HEADERS_MAX]; /* "Name: value" */
	unsigned n_headers;
	struct buf body;
	int64_t timeout; /* microseconds; 0: the caller's */
};

/* What came of it; a file that was read comes as status 200. Status 0: nothing came (or the file cannot be read), the body says
 * why. Borrowed. */
struct aws_credentials_answer {
	unsigned status;
	struct str body;
};

enum aws_credentials_step {
	AWS_CREDENTIALS_ASK,	/* the request is to be made */
	AWS_CREDENTIALS_READ,	/* the file is to be read */
	AWS_CREDENTIALS_DONE,	/* keys and expires_at are there */
	AWS_CREDENTIALS_FAILED, /* `why` says why, and is_passing whether it may be otherwise soon */
};

struct aws_credentials {
	int source;			   /* AWS_ENVIRONMENT, ... AWS_DEFAULT */
	const char *region;		   /* for STS */
	const struct aws_sources *sources; /* what the environment and files said at start; NULL: nothing */
	int64_t now;			   /* wall clock, microseconds; set before each step */
	unsigned step, tries;		   /* its own, 0 at first */
	enum aws_file file;
	struct buf work, keys; /* secret, the caller's to clear, wiped */
	int64_t expires_at;    /* wall clock, microseconds; INT64_MAX: never */
	char why[AWS_CREDENTIALS_WHY]; /* a sentence, in bytes that may be anybody's */
	unsigned status;	       /* HTTP's that made it fail, or 0 */
	bool is_passing;
};

/* The next step. `answer` is that of the step before, NULL at first. */
enum aws_credentials_step aws_credentials_step(struct aws_credentials *c, const struct aws_credentials_answer *answer,
					       struct aws_credentials_request *request);
/* What stands in `keys`. False: it is nothing of that kind. */
bool aws_credentials_keys(struct str text, struct aws_credentials_keys *keys);
void aws_credentials_request_clear(struct aws_credentials_request *request);

#endif
