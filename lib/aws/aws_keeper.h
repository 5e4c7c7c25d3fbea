/* SPDX-License-Identifier: Apache-2.0
 *
 * The keys of the section aws: those of the settings, or fetched (aws_credentials.h) when they are first wanted, kept, and fetched anew
 * ahead of their end while the old ones serve. One fetch at a time. (deliver's calls have keys of their own for each provider, and the
 * deadlines of their messages: deliver/deliver_token.c.)
 */
#ifndef LIB_AWS_AWS_KEEPER_H
#define LIB_AWS_AWS_KEEPER_H

#include "lib/aws/aws_credentials.h"
#include "lib/net/http_client.h"
#include "lib/settings/settings.h"

struct aws_keeper;

/* Borrowed for life. */
struct aws_keeper_config {
	struct http_client *http;
	const struct aws_sources *sources; /* NULL: nothing was taken at the start */
	void (*on_end)(void *ctx);	   /* of a fetch, however it ended: aws_keeper_get() says another thing now */
	void *ctx;
};

enum aws_keeper_verdict { AWS_KEEPER_HAS, AWS_KEEPER_WAIT, AWS_KEEPER_FAILED };

/* Borrowed until the loop turns on. */
struct aws_keeper_answer {
	struct aws_credentials_keys keys; /* HAS; secret */
	uint64_t generation;		  /* of these keys */
	const char *why;		  /* FAILED: a sentence, printable */
	bool is_passing;		  /* it may be otherwise in a second */
};

/* The section aws is copied. */
struct aws_keeper *aws_keeper_new(const struct aws_keeper_config *config, const struct settings *settings);
void aws_keeper_use_settings(struct aws_keeper *keeper, const struct settings *settings);
void aws_keeper_free(struct aws_keeper **keeper);
enum aws_keeper_verdict aws_keeper_get(struct aws_keeper *keeper, struct aws_keeper_answer *answer);
/* The keys of this generation were refused as too old. False: those of the settings are as they are. */
bool aws_keeper_refuse(struct aws_keeper *keeper, uint64_t generation);

#endif
