/* SPDX-License-Identifier: Apache-2.0
 *
 * Hosts and their ports out of a list.
 */
#include "lib/settings/settings_hosts.h"

static bool read_port(struct str text, struct settings_host *host, struct err *err)
{
	uint64_t port;

	if (!str_u64(text, 1, 65535, &port))
		return err_set(err, "\"%.*s\" is not a port (1 to 65535)", STR_ARG(text));
	host->port = (uint16_t)port;
	return true;
}

static bool read_host(struct str text, struct settings_host *host, struct err *err)
{
	size_t colon = str_find(text, ':'), end = str_find(text, ']');
	struct str name = text;

	if (str_starts(text, STR("["))) {
		name = str_from(str_first(text, end), 1);
		text = str_from(text, end + 1);
		if (text.n > 0 && text.p[0] != ':')
			return err_set(err, "behind \"]\" a colon and a port may follow");
		if (text.n > 0 && !read_port(str_from(text, 1), host, err))
			return false;
	} else if (!str_starts(text, STR("/")) && colon < text.n && str_find(str_from(text, colon + 1), ':') == text.n - colon - 1) {
		/* One colon; an IPv6 address has more. */
		name = str_first(text, colon);
		if (!read_port(str_from(text, colon + 1), host, err))
			return false;
	}
	if (name.n == 0)
		return err_set(err, "a host's name is empty");
	if (!str_copy(name, host->name, sizeof(host->name)))
		return err_set(err, "a host's name has more than %zu characters", sizeof(host->name) - 1);
	return true;
}

static bool add_host(struct str text, uint16_t port, struct settings_host hosts[SETTINGS_HOSTS_MAX], unsigned *n, struct err *err)
{
	if (*n == SETTINGS_HOSTS_MAX)
		return err_set(err, "it has more than %d hosts", SETTINGS_HOSTS_MAX);
	hosts[*n].port = port;
	return read_host(text, &hosts[(*n)++], err);
}

unsigned settings_hosts_read(struct str list, uint16_t port, struct settings_host hosts[SETTINGS_HOSTS_MAX], struct err *err)
{
	struct str one;
	unsigned n = 0;

	while (str_next(&list, ',', &one))
		if (!add_host(str_trim(one), port, hosts, &n, err))
			return 0;
	return n;
}

unsigned settings_hosts_read_words(struct str words, uint16_t port, struct settings_host hosts[SETTINGS_HOSTS_MAX],
				   struct err *err)
{
	struct str one;
	unsigned n = 0;

	if (err != NULL)
		err->text[0] = '\0';
	while (str_next(&words, ' ', &one))
		if (one.n > 0 && !add_host(one, port, hosts, &n, err))
			return 0;
	return n;
}
