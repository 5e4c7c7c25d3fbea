/* SPDX-License-Identifier: Apache-2.0
 *
 * Chooses the source.
 */
#include "gate/gate_users.h"

#include <stdlib.h>

#include "gate/gate_users_cakemail.h"
#include "gate/gate_users_database.h"
#include "gate/gate_users_settings.h"
#include "lib/base/mem.h"

/* In the order of the setting's values. */
static const struct gate_users_source *const sources[] = {
	[GATE_USERS_DATABASE] = &gate_users_database,
	[GATE_USERS_SETTINGS] = &gate_users_settings,
	[GATE_USERS_CAKEMAIL] = &gate_users_cakemail,
};

struct gate_users {
	const struct gate_users_source *source;
	void *state;
};

struct gate_users *gate_users_new(struct loop *loop, const struct gate_users_options *options)
{
	struct gate_users *users = mem_zero(sizeof(*users));

	users->source = sources[options->settings->gate.users];
	users->state = users->source->open(loop, options);
	return users;
}

void gate_users_free(struct gate_users **users)
{
	if (*users == NULL)
		return;
	(*users)->source->close((*users)->state);
	mem_free(users);
}

void gate_users_use_settings(struct gate_users *users, const struct settings *settings)
{
	if (users->source->use_settings != NULL)
		users->source->use_settings(users->state, settings);
}

void gate_users_find(struct gate_users *users, const struct gate_users_question *question, gate_users_fn *fn,
		     void *ctx)
{
	users->source->find(users->state, question, fn, ctx);
}

void gate_users_find_suppressed(struct gate_users *users, const struct uuid *tenant, struct str address,
				gate_users_suppressed_fn *fn, void *ctx)
{
	if (users->source->find_suppressed != NULL)
		users->source->find_suppressed(users->state, tenant, address, fn, ctx);
	else
		fn(ctx, GATE_USERS_UNKNOWN, NULL);
}

const char *gate_users_why_unknown(enum gate_users_by by, bool is_several)
{
	if (is_several)
		return "the certificate stands for several users";
	return by == GATE_USERS_BY_CERTIFICATE ? "no user has this certificate" : "unknown user";
}
