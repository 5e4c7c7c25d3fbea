/* SPDX-License-Identifier: Apache-2.0
 *
 * Names that cannot be in a certificate are left out of it: it is only a placeholder.
 */
#include "master/master_placeholder.h"

#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/trouble.h"
#include "lib/net/tls_key.h"
#include "lib/settings/settings_certificate.h"
#include "lib/settings/settings_certificate_check.h"

enum { NAMES = 100, HOST_NAME = 256, DAYS = 90 };

struct names {
	struct str name[NAMES];
	unsigned n;
};

static void add(struct names *names, struct str name)
{
	if (names->n == NAMES || settings_certificate_check_name(str_from(name, str_starts(name, STR("*.")) ? 2 : 0)) != NULL)
		return;
	for (unsigned i = 0; i < names->n; i++)
		if (str_eq(names->name[i], name))
			return;
	names->name[names->n++] = name;
}

static void add_all(struct names *names, const struct settings *settings)
{
	for (size_t i = 0; i < settings->n_certificate; i++) {
		struct str rest = settings_certificate_names(&settings->certificate[i]), name;

		while (settings->certificate[i].from == CERTIFICATE_ACME && str_next(&rest, ' ', &name))
			add(names, name);
	}
}

void master_placeholder_make(const struct settings *settings, struct buf *pem)
{
	int64_t now = clock_wall() / CLOCK_SECOND;
	struct tls_key *key = tls_key_new(TLS_KEY_ECDSA);
	struct names names = {.n = 0};
	char host[HOST_NAME] = "";
	struct err err;

	if (settings->instance.host_name[0] == '\0' && gethostname(host, sizeof(host) - 1) == 0)
		add(&names, str_of(host));
	add(&names, str_of(settings->instance.host_name));
	add_all(&names, settings);
	if (names.n == 0)
		add(&names, STR("localhost"));
	if (!tls_key_put_self_signed(key, &(struct tls_key_self_signed){.names = names.name, .n_names = names.n,
									.not_before = now - 3600, .not_after = now + DAYS * 86400},
				     pem, &err))
		die("no placeholder can be made: %s", err.text);
	tls_key_free(&key);
}
