/* SPDX-License-Identifier: Apache-2.0
 *
 * The takes are made once, so that a mail costs no formatting.
 */
#include "gate/gate_identity.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"

static const int64_t spans[GATE_SPANS] = {CLOCK_SECOND, 60 * CLOCK_SECOND, 3600 * CLOCK_SECOND,
					  86400 * CLOCK_SECOND, GATE_STORE_MONTH};

static void add_takes(struct gate_identity *i, const char *kind, const struct uuid *id, const struct gate_limits *limits)
{
	char text[UUID_TEXT];

	uuid_format(id, text);
	for (unsigned s = 0; s < GATE_SPANS; s++) {
		struct gate_take *take = &i->take[i->n_takes];

		if (limits->most[s] == 0)
			continue;
		snprintf(take->key, sizeof(take->key), "%s:%s", kind, text);
		take->span = spans[s];
		take->limit = limits->most[s];
		i->n_takes++;
	}
}

struct gate_identity *gate_identity_new(const struct gate_user *user)
{
	struct gate_identity *i = mem_zero(sizeof(*i));

	i->refs = 1;
	i->tenant = user->tenant;
	i->user = user->user;
	i->tenant_name = str_dup(user->tenant_name);
	i->user_name = str_dup(user->user_name);
	i->senders = str_dup(user->senders);
	i->mode = user->mode;
	i->is_test = user->is_test;
	i->has_suppressions = user->has_suppressions;
	i->generation = user->generation;
	i->is_bound = str_trim(user->networks).n > 0;
	/* A list that cannot be read is empty: nobody comes from there. */
	network_list_parse(user->networks, &i->networks, NULL);
	add_takes(i, "user", &user->user, &user->user_limits);
	i->n_users_takes = i->n_takes;
	add_takes(i, "tenant", &user->tenant, &user->tenant_limits);
	return i;
}

struct gate_identity *gate_identity_hold(struct gate_identity *identity)
{
	identity->refs++;
	return identity;
}

void gate_identity_release(struct gate_identity **identity)
{
	struct gate_identity *i = *identity;

	*identity = NULL;
	if (i == NULL || --i->refs > 0)
		return;
	free(i->tenant_name);
	free(i->user_name);
	free(i->senders);
	network_list_clear(&i->networks);
	free(i);
}

bool gate_identity_may_come_from(const struct gate_identity *identity, struct str client)
{
	return !identity->is_bound || network_list_has(&identity->networks, client);
}
