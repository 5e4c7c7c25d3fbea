/* SPDX-License-Identifier: Apache-2.0
 *
 * What a reload reports, and what it keeps until a restart.
 */
#include "lib/settings/settings_change.h"

#include <stdlib.h>

#include "tests/lib/settings/settings_fixture.h"
#include "tests/support/unit.h"

static struct settings *read_text(const char *text)
{
	struct settings *s;
	char *said = settings_fixture(str_of(text), &s);

	UNIT_TEXT(said, "");
	free(said);
	return s;
}

static void note(void *ctx, const char *name, enum settings_when when)
{
	buf_printf(ctx, "%s%s\n", name, when == SETTINGS_RESTART ? " (restart)" : "");
}

static void expect(const char *old_text, const char *new_text, const char *changes)
{
	struct settings *old = read_text(old_text), *new = read_text(new_text);
	struct buf said = BUF_MAX(10000);

	settings_change_each(old, new, note, &said);
	UNIT_STR(buf_str(&said), changes);
	buf_clear(&said);
	settings_free(&old);
	settings_free(&new);
}

#define L "listeners: {a: {}}\n"

static void changes_are_reported_with_what_they_need(void)
{
	expect(L, L, "");
	expect(L "smtpd: {submit_timeout: 60s}\n", L "smtpd: {submit_timeout: 1m}\n", "");
	expect(L, L "smtpd: {workers: 3, max_errors: 3}\n", "smtpd.workers (restart)\nsmtpd.max_errors\n");
	expect(L, "listeners: {a: {port: 25}}\n", "listeners.a.port (restart)\n");
	expect(L, "listeners: {a: {mode: direct, port: 25}}\n", "listeners.a.port (restart)\nlisteners.a.mode\n");
	expect(L, "listeners: {b: {}}\n", "listeners.a (restart)\nlisteners.b (restart)\n");
	expect(L "providers: {p: {directory: /a}}\n", L "providers: {p: {directory: /b, concurrency: 3}}\n",
	       "providers.p.concurrency\nproviders.p.directory (restart)\n");
	expect(L, L "providers: {p: {type: sendgrid, api_key: hush}}\n", "providers.p\n");
	expect(L "providers: {p: {type: sendgrid, api_key: hush}}\n",
	       L "providers: {p: {type: sendgrid, api_key: hush2}}\n", "providers.p.api_key\n");
}

static void what_needs_a_restart_keeps_its_value(void)
{
	struct settings *old = read_text("listeners: {b: {port: 1, proxy_networks: 10.0.0.0/8}, a: {port: 2}}\n"
					 "smtpd: {workers: 3, max_errors: 3}\n"
					 "providers: {p: {directory: /a}}\n");
	struct settings *new = read_text("listeners: {a: {port: 5, mode: direct}, c: {port: 6}, d: {port: 7}}\n"
					 "smtpd: {workers: 4, max_errors: 4}\n"
					 "providers: {n: {directory: /n}, p: {directory: /b, concurrency: 9}}\n");

	settings_change_keep(old, new);
	UNIT_INT(new->smtpd.workers, 3);
	UNIT_INT(new->smtpd.max_errors, 4);
	UNIT_INT(new->n_listener, 2);
	UNIT_TEXT(new->listener[0].key, "b");
	UNIT_INT(new->listener[0].port, 1);
	UNIT_TEXT(new->listener[0].proxy_networks, "10.0.0.0/8");
	UNIT_TEXT(new->listener[1].key, "a");
	UNIT_INT(new->listener[1].port, 2);
	UNIT_INT(new->listener[1].mode, MODE_DIRECT);
	UNIT_INT(new->n_provider, 2);
	UNIT_TEXT(new->provider[0].directory, "/n");
	UNIT_TEXT(new->provider[1].directory, "/a");
	UNIT_INT(new->provider[1].concurrency, 9);
	settings_free(&old);
	settings_free(&new);
}

UNIT_TESTS({"changes are reported with what they need", changes_are_reported_with_what_they_need},
	   {"what needs a restart keeps its value", what_needs_a_restart_keeps_its_value})
