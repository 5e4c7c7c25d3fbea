/* SPDX-License-Identifier: Apache-2.0
 *
 * cert-renewer: obtains certificates by ACME (RFC 8555), renews them, and keeps their OCSP responses fresh. It has the
 * certificates' keys and no other secret of the service: no database, no provider's key.
 */
#include "lib/base/fd.h"
#include "lib/service/service.h"

static void on_peer(struct service_env *env, enum role role, unsigned slot, int fd)
{
	(void)env;
	(void)role;
	(void)slot;
	fd_close(&fd);
}

static void on_listener(struct service_env *env, uint32_t which, int fd)
{
	(void)env;
	(void)which;
	fd_close(&fd);
}

int main(int argc, char **argv)
{
	return service_main(argc, argv, &(struct service){.role = ROLE_CERT_RENEWER, .on_peer = on_peer, .on_listener = on_listener});
}
