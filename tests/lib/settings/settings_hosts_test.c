/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists of hosts, good and bad.
 */
#include "lib/settings/settings_hosts.h"

#include <stdio.h>

#include "tests/support/unit.h"

static void lists_are_read(void)
{
	static const struct {
		const char *list, *read; /* each host as name|port */
	} cases[] = {
		{"db1", "db1|5432 "},
		{"db1,db2", "db1|5432 db2|5432 "},
		{" db1:5433 , db2 ,10.0.0.1:1", "db1|5433 db2|5432 10.0.0.1|1 "},
		{"[::1]:5434,::1,[2001:db8::7]", "::1|5434 ::1|5432 2001:db8::7|5432 "},
		{"/run/postgresql", "/run/postgresql|5432 "},
		{"/run/a:b", "/run/a:b|5432 "},
		{"1,2,3,4,5,6,7,8", "1|5432 2|5432 3|5432 4|5432 5|5432 6|5432 7|5432 8|5432 "},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct settings_host hosts[SETTINGS_HOSTS_MAX];
		char text[512] = "";
		size_t at = 0;
		struct err err;
		unsigned n = settings_hosts_read(str_of(cases[i].list), 5432, hosts, &err);

		for (unsigned j = 0; j < n; j++)
			at += (size_t)snprintf(text + at, sizeof(text) - at, "%s|%u ", hosts[j].name, hosts[j].port);
		UNIT_TEXT(text, cases[i].read);
	}
}

static void bad_lists_are_refused(void)
{
	static const struct {
		const char *list, *why;
	} cases[] = {
		{"", "a host's name is empty"},
		{"db1,", "a host's name is empty"},
		{"db1,,db2", "a host's name is empty"},
		{":5432", "a host's name is empty"},
		{"[]:5432", "a host's name is empty"},
		{"db1:", "\"\" is not a port (1 to 65535)"},
		{"db1:0", "\"0\" is not a port (1 to 65535)"},
		{"db1:65536", "\"65536\" is not a port (1 to 65535)"},
		{"db1:x", "\"x\" is not a port (1 to 65535)"},
		{"[::1]5432", "behind \"]\" a colon and a port may follow"},
		{"[::1]:", "\"\" is not a port (1 to 65535)"},
		{"1,2,3,4,5,6,7,8,9", "it has more than 8 hosts"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct settings_host hosts[SETTINGS_HOSTS_MAX];
		struct err err = {""};

		UNIT_INT(settings_hosts_read(str_of(cases[i].list), 5432, hosts, &err), 0);
		UNIT_TEXT(err.text, cases[i].why);
	}
}

static void words_are_read_too(void)
{
	struct settings_host hosts[SETTINGS_HOSTS_MAX];
	struct err err = {"something before"};

	UNIT_INT(settings_hosts_read_words(STR(" 192.0.2.1  [2001:db8::1]:5353 ::1 "), 53, hosts, &err), 3);
	UNIT_TEXT(hosts[0].name, "192.0.2.1");
	UNIT_INT(hosts[0].port, 53);
	UNIT_TEXT(hosts[1].name, "2001:db8::1");
	UNIT_INT(hosts[1].port, 5353);
	UNIT_TEXT(hosts[2].name, "::1");
	UNIT_TEXT(err.text, "");
	UNIT_INT(settings_hosts_read_words(STR("  "), 53, hosts, &err), 0);
	UNIT_TEXT(err.text, "");
	UNIT_INT(settings_hosts_read_words(STR("a b:x"), 53, hosts, &err), 0);
	UNIT_TEXT(err.text, "\"x\" is not a port (1 to 65535)");
	UNIT_INT(settings_hosts_read_words(STR("1 2 3 4 5 6 7 8 9"), 53, hosts, &err), 0);
	UNIT_TEXT(err.text, "it has more than 8 hosts");
}

UNIT_TESTS({"words are read, too", words_are_read_too}, {"lists are read", lists_are_read}, {"bad lists are refused", bad_lists_are_refused})
