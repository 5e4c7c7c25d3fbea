/* SPDX-License-Identifier: Apache-2.0
 *
 * Signed requests to AWS' services, and to what speaks as they do, with the keys of aws_keeper.h. What fails for the moment is tried
 * again.
 */
#ifndef LIB_AWS_AWS_CLIENT_H
#define LIB_AWS_AWS_CLIENT_H

#include "lib/aws/aws_sources.h"
#include "lib/net/http_client.h"
#include "lib/net/loop.h"
#include "lib/settings/settings.h"

enum { AWS_CLIENT_WHY = 512 };

struct aws_client;

/* All copied. */
struct aws_client_request {
	const char *name;    /* of the service, for people: "S3" */
	const char *service; /* for the signature: "s3" has rules of its own */
	const char *region;
	const char *method;
	const char *url; /* without a query; its path is sent as it is */
	const char *const *headers; /* "name: value", the name in lower case; all are signed */
	unsigned n_headers;
	struct str body; /* wiped afterwards */
	unsigned tries;
};

/* Borrowed for the callback. */
struct aws_client_answer {
	bool ok; /* 2xx */
	unsigned status; /* 0: there was no answer */
	struct str body;
	struct str code; /* of AWS' error; or "" */
	const char *why; /* not ok: a sentence, printable */
	const struct http_answer *http; /* for its headers; NULL: there was none */
};

typedef void aws_client_fn(void *ctx, const struct aws_client_answer *answer);

/* All borrowed for life but the settings (the section aws is copied). sources NULL: nothing was taken at the start. Whoever waits is told
 * when it is freed. */
struct aws_client *aws_client_new(struct loop *loop, struct http_client *http, const struct aws_sources *sources,
				  const struct settings *settings);
void aws_client_free(struct aws_client **client);
void aws_client_use_settings(struct aws_client *client, const struct settings *settings);
/* fn is called once, never before this returns. */
void aws_client_start(struct aws_client *client, const struct aws_client_request *request, aws_client_fn *fn, void *ctx);
/* The end of the names of hosts in this region: ".amazonaws.com". */
const char *aws_client_domain(const char *region);

#endif
