/* SPDX-License-Identifier: Apache-2.0
 *
 * The placeholder, as a worker takes it.
 */
#include <stdlib.h>
#include <unistd.h>

#include "tests/support/unit.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/net/tls_certificate.h"
#include "master/master_placeholder.h"

static void set(char **field, const char *text)
{
	free(*field);
	*field = mem_text(text);
}

static struct settings_certificate *add(struct settings *s, const char *key, int from, const char *names)
{
	struct settings_certificate *c = NULL;

	for (size_t i = 0; i < settings_n_sections; i++)
		if (strcmp(settings_sections[i].name, "certificates") == 0)
			c = settings_add(s, settings_sections[i].list, str_of(key));
	c->from = from;
	set(&c->names, names);
	return c;
}

static void makes(const struct settings *s, const char *names)
{
	struct buf pem = BUF_MAX(100000);
	int64_t now = clock_wall() / CLOCK_SECOND;
	struct tls_certificate seen;
	struct err err = {""};

	master_placeholder_make(s, &pem);
	UNIT_TRUE(tls_certificate_read(buf_str(&pem), now, &seen, &err));
	UNIT_TEXT(err.text, "");
	UNIT_TEXT(seen.names, names);
	UNIT_TRUE(tls_certificate_read(buf_str(&pem), now + 89 * 86400, &seen, &err));
	UNIT_TRUE(!tls_certificate_read(buf_str(&pem), now + 91 * 86400, &seen, &err));
	buf_clear_secret(&pem);
}

static void it_has_the_names_that_will_be_served(void)
{
	struct settings *s = settings_new();

	set(&s->instance.host_name, "mx1.test");
	add(s, "mail.test", CERTIFICATE_ACME, "");
	add(s, "b", CERTIFICATE_ACME, "b.test  *.c.test mx1.test mail.test");
	add(s, "files.test", CERTIFICATE_FILES, "");
	makes(s, "mx1.test, mail.test, b.test, *.c.test");
	settings_free(&s);
}

static void a_name_that_cannot_be_in_it_is_left_out(void)
{
	struct settings *s = settings_new();

	set(&s->instance.host_name, "My Host, and more");
	add(s, "b", CERTIFICATE_ACME, "b.test");
	makes(s, "b.test");
	settings_free(&s);
	s = settings_new();
	set(&s->instance.host_name, "_");
	makes(s, "localhost");
	settings_free(&s);
}

static void of_very_many_names_some_are_in_it(void)
{
	struct settings *s = settings_new();
	struct buf pem = BUF_MAX(100000), names = BUF_MAX(4096);
	struct tls_certificate seen;

	for (int i = 0; i < 60; i++) {
		char key[16];

		buf_reset(&names);
		for (int j = 0; j < 50; j++)
			buf_printf(&names, "n%d-%d.a-name-that-is-not-quite-short.test ", i, j);
		buf_put_char(&names, '\0');
		snprintf(key, sizeof(key), "c%d", i);
		add(s, key, CERTIFICATE_ACME, names.p);
	}
	master_placeholder_make(s, &pem);
	UNIT_TRUE(tls_certificate_read(buf_str(&pem), 0, &seen, NULL));
	buf_clear_secret(&pem);
	buf_clear(&names);
	settings_free(&s);
}

UNIT_TESTS({"it has the names that will be served", it_has_the_names_that_will_be_served},
	   {"a name that cannot be in it is left out", a_name_that_cannot_be_in_it_is_left_out},
	   {"of very many names some are in it", of_very_many_names_some_are_in_it})
