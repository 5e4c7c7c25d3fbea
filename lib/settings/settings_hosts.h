/* SPDX-License-Identifier: Apache-2.0
 *
 * A list of hosts in one setting: "db1, db2:5433, [2001:db8::1]:5432", or the directory of a UNIX socket. Pure.
 */
#ifndef LIB_SETTINGS_SETTINGS_HOSTS_H
#define LIB_SETTINGS_SETTINGS_HOSTS_H

#include <stdint.h>

#include "lib/base/err.h"
#include "lib/base/str.h"

enum { SETTINGS_HOSTS_MAX = 8 };

struct settings_host {
	char name[256]; /* without the brackets of an IPv6 address; or a directory */
	uint16_t port;
};

/* `port` is that of hosts that name none. Returns how many there are; 0: *err (which may be NULL) says why not. */
unsigned settings_hosts_read(struct str list, uint16_t port, struct settings_host hosts[SETTINGS_HOSTS_MAX],
			     struct err *err);
/* The same with blanks between them: "192.0.2.1 [2001:db8::1]:5353". An empty list is none, and no error: *err is "" then. */
unsigned settings_hosts_read_words(struct str words, uint16_t port, struct settings_host hosts[SETTINGS_HOSTS_MAX],
				   struct err *err);

#endif
