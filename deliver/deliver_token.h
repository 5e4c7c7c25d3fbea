/* SPDX-License-Identifier: Apache-2.0
 *
 * What must be there before a provider's request can be built (provider.h, struct provider_fetch): fetched once for all
 * jobs that want it, kept until shortly before it expires, renewed while the old one still serves.
 */
#ifndef DELIVER_TOKEN_H
#define DELIVER_TOKEN_H

#include <stdint.h>

#include "deliver/provider.h"
#include "lib/net/http_client.h"

struct deliver_token_cache;

/* What became of it. All borrowed for the callback. */
struct deliver_token {
	bool is_there;
	struct str text;     /* when it is; secret */
	uint64_t generation; /* of the token, for deliver_token_get() */
	int64_t fetched_at;  /* monotonic */
	const struct provider_verdict *failure; /* when it is not */
};

typedef void deliver_token_fn(void *ctx, const struct deliver_token *token);

/* Lies in whoever waits. */
struct deliver_token_wait {
	struct deliver_token_wait *next;
	struct deliver_token_entry *entry; /* NULL: it does not wait */
	uint64_t stale;
	deliver_token_fn *fn;
	void *ctx;
};

/* The client must be gone before the cache is freed. */
struct deliver_token_cache *deliver_token_cache_new(struct http_client *http, const struct aws_sources *aws);
void deliver_token_cache_free(struct deliver_token_cache **cache);

/* Calls fn once: at once when a token is there (or known not to be had), else when it comes. `stale` is the generation that
 * was not good for this call, 0 when there is none: another is given. `timeout` is that of a whole fetch. */
void deliver_token_get(struct deliver_token_cache *cache, const struct settings_provider *settings, uint64_t stale,
		       int64_t timeout, struct deliver_token_wait *wait);
/* The provider refused the token of this generation: nobody is given it any more. */
void deliver_token_refuse(struct deliver_token_cache *cache, uint64_t generation);
/* It is not called any more. */
void deliver_token_cancel(struct deliver_token_wait *wait);

#endif
