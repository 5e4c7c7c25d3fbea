/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of gate/gate_users_settings.c: who is found by what, and that nobody else is.
 */
#include "gate/gate_users_settings.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/queue/named_id.h"
#include "tests/support/unit.h"

static struct loop *loop;
static struct settings *settings;
static int64_t generation;

static struct {
	unsigned n;
	enum gate_users_found found;
	char name[64], tenant[64], hash[64], senders[64], networks[64], why[128];
	enum ipc_mode mode;
	int64_t generation;
} heard;

static void set(void *thing, const char *section, const char *name, const char *value)
{
	struct err err;

	for (size_t i = 0; i < settings_n_rows; i++)
		if (strcmp(settings_rows[i].section, section) == 0 && strcmp(settings_rows[i].name, name) == 0)
			UNIT_TRUE(settings_set(thing, &settings_rows[i], str_of(value), &err));
}

static void *add(const char *section, const char *key)
{
	for (size_t i = 0; i < settings_n_rows; i++)
		if (strcmp(settings_rows[i].section, section) == 0)
			return settings_add(settings, settings_rows[i].list, str_of(key));
	return NULL;
}

static void on_changed(void *ctx, int64_t n)
{
	(void)ctx;
	generation = n;
}

static void on_found(void *ctx, enum gate_users_found found, const struct gate_user *user, const struct err *err)
{
	(void)ctx;
	heard.n++;
	heard.found = found;
	if (user == NULL) {
		str_copy(str_of(err->text), heard.why, sizeof(heard.why));
		return;
	}
	str_copy(user->user_name, heard.name, sizeof(heard.name));
	str_copy(user->tenant_name, heard.tenant, sizeof(heard.tenant));
	str_copy(user->hash, heard.hash, sizeof(heard.hash));
	str_copy(user->senders, heard.senders, sizeof(heard.senders));
	str_copy(user->networks, heard.networks, sizeof(heard.networks));
	heard.mode = user->mode;
	heard.generation = user->generation;
	UNIT_TRUE(user->is_enabled && !user->is_right);
}

static void *begin(void)
{
	struct gate_users_options options = {.changed = on_changed};
	void *user;

	if (loop == NULL)
		loop = loop_new();
	settings = settings_new();
	user = add("users", "app@acme.example");
	set(user, "users", "password", "$y$app");
	set(user, "users", "tenant", "acme");
	set(user, "users", "senders", "@acme.example");
	set(user, "users", "networks", "10.0.0.0/8");
	user = add("users", "machine");
	set(user, "users", "certificates", "sha256:00FF dns:m.example");
	user = add("users", "other");
	set(user, "users", "certificates", "dns:both.example");
	user = add("users", "another");
	set(user, "users", "certificates", "dns:both.example");
	set(add("tenants", "acme"), "tenants", "mode", "direct");
	options.settings = settings;
	return gate_users_settings.open(loop, &options);
}

static void ask(void *source, const struct gate_users_question *q)
{
	memset(&heard, 0, sizeof(heard));
	gate_users_settings.find(source, q, on_found, NULL);
	UNIT_INT(heard.n, 0); /* never inside the call */
	loop_turn(loop, 10 * CLOCK_MS);
	UNIT_INT(heard.n, 1);
}

static void end(void **source)
{
	gate_users_settings.close(*source);
	settings_free(&settings);
}

static void users_are_found_by_name(void)
{
	static const char *const strangers[] = {"App@acme.example", "app", "", "app@acme.example "};
	void *source = begin();

	ask(source, &(struct gate_users_question){.by = GATE_USERS_BY_NAME, .name = STR("app@acme.example")});
	UNIT_INT(heard.found, GATE_USERS_KNOWN);
	UNIT_TEXT(heard.tenant, "acme");
	UNIT_TEXT(heard.hash, "$y$app");
	UNIT_TEXT(heard.senders, "@acme.example");
	UNIT_TEXT(heard.networks, "10.0.0.0/8");
	UNIT_INT(heard.mode, IPC_DIRECT);
	for (unsigned i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++) {
		ask(source, &(struct gate_users_question){.by = GATE_USERS_BY_NAME, .name = str_of(strangers[i])});
		UNIT_INT(heard.found, GATE_USERS_UNKNOWN);
		UNIT_TEXT(heard.why, "unknown user");
	}
	ask(source, &(struct gate_users_question){.by = GATE_USERS_BY_NAME, .name = {"other\0x", 7}});
	UNIT_INT(heard.found, GATE_USERS_UNKNOWN);
	end(&source);
}

static void users_are_found_by_certificate(void)
{
	static const struct {
		const char *name, *certificate, *user; /* NULL: nobody */
	} cases[] = {
		{"", "sha256:00ff dns:x.example", "machine"},
		{"", "sha256:11 dns:m.example", "machine"},
		{"machine", "dns:m.example", "machine"},
		{"other", "dns:m.example", NULL},
		{"", "dns:both.example", NULL},
		{"other", "dns:both.example", "other"},
		{"", "", NULL},
		{"", "sha256:00f", NULL},
	};
	void *source = begin();

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ask(source, &(struct gate_users_question){.by = GATE_USERS_BY_CERTIFICATE,
							  .name = str_of(cases[i].name),
							  .certificate = str_of(cases[i].certificate)});
		UNIT_INT(heard.found, cases[i].user != NULL ? GATE_USERS_KNOWN : GATE_USERS_UNKNOWN);
		UNIT_TEXT(heard.name, cases[i].user != NULL ? cases[i].user : "");
	}
	end(&source);
}

static void users_are_found_by_id_and_changes_are_told(void)
{
	void *source = begin();
	struct gate_users_question q = {.by = GATE_USERS_BY_ID, .user = named_id("user", STR("other"))};

	ask(source, &q);
	UNIT_TEXT(heard.name, "other");
	UNIT_TEXT(heard.tenant, "default");
	UNIT_INT(heard.mode, IPC_MODE_OF_LISTENER);
	UNIT_INT(heard.generation, 1);
	gate_users_settings.use_settings(source, settings);
	UNIT_INT(generation, 2);
	ask(source, &q);
	UNIT_INT(heard.generation, 2);
	/* One that is asked when it ends is not called back. */
	memset(&heard, 0, sizeof(heard));
	gate_users_settings.find(source, &q, on_found, NULL);
	end(&source);
	loop_turn(loop, 10 * CLOCK_MS);
	UNIT_INT(heard.n, 0);
}

UNIT_TESTS({"users are found by name", users_are_found_by_name},
	   {"users are found by certificate", users_are_found_by_certificate},
	   {"users are found by id and changes are told", users_are_found_by_id_and_changes_are_told})
