/* SPDX-License-Identifier: Apache-2.0
 *
 * AWS credentials that are not in the settings (providers.*.aws_credentials): lib/aws/aws_credentials.h as a provider's
 * fetch(). Pure.
 */
#ifndef DELIVER_PROVIDER_AWS_H
#define DELIVER_PROVIDER_AWS_H

#include "deliver/provider.h"

bool provider_aws_wants_token(const struct settings_provider *settings);
/* Its token is for aws_credentials_keys(). */
enum provider_step provider_aws_fetch(struct provider_fetch *fetch, const struct provider_answer *answer,
				      struct provider_request *request);

#endif
