/* SPDX-License-Identifier: Apache-2.0
 *
 * A client's first bytes to a server with names, tickets and client certificates, or to that of tls-alpn-01. The first byte says
 * which, and what the listener asks for.
 */
#include "lib/net/tls_server.h"

#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/trouble.h"
#include "lib/net/tls_acme.h"
#include "tests/support/certificate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void add(struct tls_server *server, const char *name, const char *names, const struct certificate *ca)
{
	struct certificate c = certificate_make(name, names, -1000, 1000000, ca);
	struct tls_certificate seen;

	must(tls_server_add(server, str_of(c.both), STR(""), time(NULL), &seen, NULL));
	certificate_clear(&c);
}

static struct tls_server *make_server(void)
{
	static const unsigned char keys[3 * TLS_SERVER_TICKET_KEY] = {1};
	struct certificate ca = certificate_make("CA", NULL, -1000, 1000000, NULL);
	struct tls_server *server = tls_server_new(TLS_1_2);
	struct tls_server_trusted found;

	must(tls_server_trust(server, str_of(ca.pem), STR(""), &found, NULL));
	add(server, "first", "DNS:mail.test", &ca);
	add(server, "second", "DNS:shop.test,DNS:*.shop.test", &ca);
	tls_server_set_tickets(server, str_bytes(keys, sizeof(keys)), 3600);
	certificate_clear(&ca);
	return server;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct tls_server *server, *acme;
	struct tls *tls;
	struct err err;
	int fds[2];

	if (server == NULL) {
		server = make_server();
		acme = tls_acme_server();
	}
	if (size < 1 || size > 60000)
		return 0;
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
	must(write(fds[1], data + 1, size - 1) == (ssize_t)size - 1);
	shutdown(fds[1], SHUT_WR);
	tls = data[0] & 4 ? tls_accept(acme, fds[0], TLS_ASK_NOTHING) : tls_accept(server, fds[0], data[0] % 3);
	for (int i = 0; i < 4; i++) {
		enum tls_result result = tls_handshake(tls, &err);

		must(result != TLS_DONE);
		if (result == TLS_WANT_CERTIFICATE) {
			must((data[0] & 4) && tls_wanted_host(tls)[0] != '\0');
			tls_show(tls, data[0] & 8 ? server : NULL);
		}
	}
	tls_free(&tls);
	close(fds[0]);
	close(fds[1]);
	return 0;
}
