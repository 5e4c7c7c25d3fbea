/* SPDX-License-Identifier: Apache-2.0
 *
 * From a socket to the arrival of a client.
 */
#include "smtpd/smtpd_accept.h"

#include <stdlib.h>

#include "lib/base/mem.h"
#include "lib/net/acceptor.h"
#include "lib/net/addr.h"
#include "smtpd/smtpd_arrival.h"

struct smtpd_accept {
	struct smtpd_worker *worker;
	const struct smtpd_listener *listener;
	struct acceptor *acceptor;
};

static void on_connection(void *ctx, int fd, const struct sockaddr_storage *from)
{
	const struct smtpd_accept *l = ctx;
	char client[ADDR_TEXT];

	smtpd_arrival_begin(l->worker, l->listener, fd, addr_text(from, client));
}

struct smtpd_accept *smtpd_accept_new(struct smtpd_worker *worker, const struct smtpd_listener *listener, int fd)
{
	struct smtpd_accept *l = mem_zero(sizeof(*l));

	l->worker = worker;
	l->listener = listener;
	l->acceptor = acceptor_new(worker->loop, fd, on_connection, l);
	return l;
}

void smtpd_accept_free(struct smtpd_accept **accept)
{
	struct smtpd_accept *l = *accept;

	if (l == NULL)
		return;
	acceptor_free(&l->acceptor);
	mem_free(accept);
}

void smtpd_accept_resume(struct smtpd_accept *accept)
{
	acceptor_resume(accept->acceptor);
}
