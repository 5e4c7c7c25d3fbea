/* SPDX-License-Identifier: Apache-2.0
 *
 * AWS credentials that are not in the settings (providers.*.aws_credentials): the steps that lead to them, as a provider's
 * fetch(). Pure.
 */
#ifndef DELIVER_PROVIDER_AWS_H
#define DELIVER_PROVIDER_AWS_H

#include "deliver/provider.h"

/* Borrowed. */
struct provider_aws_keys {
	struct str access_key_id, secret_access_key, session_token;
};

bool provider_aws_wants_token(const struct settings_provider *settings);
enum provider_step provider_aws_fetch(struct provider_fetch *fetch, const struct provider_answer *answer,
				      struct provider_request *request);
/* What fetch() put into its token. False: it is none of its own. */
bool provider_aws_keys(struct str token, struct provider_aws_keys *keys);

#endif
