/* SPDX-License-Identifier: Apache-2.0
 *
 * challenge_check SETTING=VALUE... IDENTIFIER KEY_AUTHORIZATION...: presents dns-01 challenges with these settings of the section
 * acme, says what became of each ("ok KEY_AUTHORIZATION", "failed KEY_AUTHORIZATION WHY"), and withdraws them when its input
 * ends; it ends when nothing is left to do. What tests/e2e/test_dns_01.py drives against real name servers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cert-renewer/challenge.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/fd.h"
#include "lib/base/trouble.h"

static void on_told(void *ctx, bool ok, const char *why)
{
	printf("%s %s%s%s\n", ok ? "ok" : "failed", (const char *)ctx, ok ? "" : " ", ok ? "" : why);
	fflush(stdout);
}

static void set(struct settings *settings, struct str name, struct str value)
{
	struct err err;

	for (size_t i = 0; i < settings_n_rows; i++) {
		if (strcmp(settings_rows[i].section, "acme") != 0 || !str_eq(str_of(settings_rows[i].name), name))
			continue;
		if (!settings_set(settings, &settings_rows[i], value, &err))
			die("acme.%s: %s", settings_rows[i].name, err.text);
		return;
	}
	die("acme.%.*s is no setting", STR_ARG(name));
}

static void on_input(void *ctx, unsigned events)
{
	bool *is_over = ctx;
	char octet;

	(void)events;
	*is_over = read(STDIN_FILENO, &octet, 1) == 0;
}

int main(int argc, char **argv)
{
	struct settings *settings = settings_new();
	struct loop *loop = loop_new();
	struct challenge one = {.kind = CHALLENGE_DNS_01};
	struct challenges *challenges;
	struct loop_fd *watch;
	bool is_over = false;
	int i = 1;

	for (; i < argc && strchr(argv[i], '=') != NULL; i++) {
		struct str name, value = str_of(argv[i]);

		str_next(&value, '=', &name);
		set(settings, name, value);
	}
	challenges = challenges_new(&(struct challenges_config){.loop = loop, .settings = settings, .webroot = -1});
	one.name = str_of(argv[i++]);
	for (int k = i; k < argc; k++) {
		one.token = one.key_authorization = str_of(argv[k]);
		challenge_present(challenges, &one, on_told, argv[k]);
	}
	fd_set_nonblocking(STDIN_FILENO);
	watch = loop_fd_new(loop, STDIN_FILENO, on_input, &is_over);
	loop_fd_want(watch, LOOP_READ);
	while (!is_over)
		loop_turn(loop, CLOCK_SECOND);
	loop_fd_free(&watch);
	for (int k = i; k < argc; k++) {
		one.token = one.key_authorization = str_of(argv[k]);
		challenge_withdraw(challenges, &one);
	}
	while (!challenges_are_idle(challenges))
		loop_turn(loop, 100 * CLOCK_MS);
	challenges_free(&challenges);
	loop_turn(loop, 0);
	settings_free(&settings);
	loop_free(&loop);
	return 0;
}
