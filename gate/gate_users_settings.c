/* SPDX-License-Identifier: Apache-2.0
 *
 * A look through the list, at the end of the turn.
 */
#include "gate/gate_users_settings.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/queue/named_id.h"

struct listed {
	struct loop *loop;
	const struct settings *settings;
	gate_users_changed_fn *changed;
	void *ctx;
	int64_t generation;
	struct look_up *asked;
};

/* A question that is answered at the end of the turn. */
struct look_up {
	struct look_up *next;
	struct listed *users; /* NULL: closed meanwhile */
	gate_users_fn *fn;
	void *ctx;
	enum gate_users_by by;
	char *name, *certificate;
	struct uuid tenant, user;
};

enum ipc_mode gate_users_settings_mode(const struct settings *settings, const char *tenant)
{
	/* In the order of the setting's values. */
	static const enum ipc_mode modes[] = {IPC_MODE_OF_LISTENER, IPC_QUEUED, IPC_DIRECT, IPC_DIRECT_THEN_QUEUE};

	for (size_t i = 0; i < settings->n_tenant; i++)
		if (strcmp(settings->tenant[i].key, tenant) == 0)
			return modes[settings->tenant[i].mode];
	return IPC_MODE_OF_LISTENER;
}

/* Both are words with blanks between; case does not count. */
static bool share_a_word(struct str some, struct str others)
{
	struct str a;

	while (str_next(&some, ' ', &a)) {
		struct str rest = others, b;

		while (a.n > 0 && str_next(&rest, ' ', &b))
			if (str_ieq(a, b))
				return true;
	}
	return false;
}

static bool is_asked_for(const struct look_up *l, const struct settings_user *u)
{
	struct uuid id;

	switch (l->by) {
	case GATE_USERS_BY_NAME:
		return strcmp(u->key, l->name) == 0;
	case GATE_USERS_BY_CERTIFICATE:
		return (l->name[0] == '\0' || strcmp(u->key, l->name) == 0) &&
		       share_a_word(str_of(u->certificates), str_of(l->certificate));
	case GATE_USERS_BY_ID:
		id = named_id("user", str_of(u->key));
		return uuid_eq(&id, &l->user);
	}
	return false;
}

static void answer(const struct look_up *l, const struct settings_user *u)
{
	const struct listed *users = l->users;
	struct gate_user user = {
		.tenant = named_id("tenant", str_of(u->tenant)),
		.user = named_id("user", str_of(u->key)),
		.tenant_name = str_of(u->tenant),
		.user_name = str_of(u->key),
		.senders = str_of(u->senders),
		.networks = str_of(u->networks),
		.mode = gate_users_settings_mode(users->settings, u->tenant),
		.hash = str_of(u->password),
		.is_enabled = true,
		.generation = users->generation,
	};

	l->fn(l->ctx, GATE_USERS_KNOWN, &user, NULL);
}

static void forget(struct listed *users, const struct look_up *l)
{
	struct look_up **at = &users->asked;

	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
}

static void look(void *ctx)
{
	struct look_up *l = ctx;
	const struct settings_user *found = NULL;
	unsigned n = 0;
	struct err why;

	if (l->users != NULL) {
		forget(l->users, l);
		for (size_t i = 0; i < l->users->settings->n_user; i++)
			if (is_asked_for(l, &l->users->settings->user[i])) {
				found = &l->users->settings->user[i];
				n++;
			}
		if (n == 1) {
			answer(l, found);
		} else {
			err_set(&why, "%s", gate_users_why_unknown(l->by, n > 1));
			l->fn(l->ctx, GATE_USERS_UNKNOWN, NULL, &why);
		}
	}
	free(l->name);
	free(l->certificate);
	free(l);
}

static void find(void *source, const struct gate_users_question *question, gate_users_fn *fn, void *ctx)
{
	struct listed *users = source;
	struct look_up *l = mem_zero(sizeof(*l));
	/* No name has a NUL. */
	bool is_name = str_find(question->name, '\0') == question->name.n;

	l->users = users;
	l->fn = fn;
	l->ctx = ctx;
	l->by = question->by;
	l->name = str_dup(is_name ? question->name : STR("\x7f"));
	l->certificate = str_dup(question->certificate);
	l->tenant = question->tenant;
	l->user = question->user;
	l->next = users->asked;
	users->asked = l;
	loop_later(users->loop, look, l);
}

static void use_settings(void *source, const struct settings *settings)
{
	struct listed *users = source;

	users->settings = settings;
	users->changed(users->ctx, ++users->generation);
}

static void *open_listed(struct loop *loop, const struct gate_users_options *options)
{
	struct listed *users = mem_zero(sizeof(*users));

	users->loop = loop;
	users->settings = options->settings;
	users->changed = options->changed;
	users->ctx = options->ctx;
	users->generation = 1;
	return users;
}

static void close_listed(void *source)
{
	struct listed *users = source;

	for (struct look_up *l = users->asked; l != NULL; l = l->next)
		l->users = NULL;
	free(users);
}

const struct gate_users_source gate_users_settings = {
	.open = open_listed,
	.close = close_listed,
	.find = find,
	.use_settings = use_settings,
};
