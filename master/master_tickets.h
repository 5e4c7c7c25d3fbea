/* SPDX-License-Identifier: Apache-2.0
 *
 * The keys of the TLS session tickets: made here and handed to every smtpd, so that a ticket of one is good at all, and
 * replaced regularly, so that old traffic cannot be read with them for long.
 */
#ifndef MASTER_MASTER_TICKETS_H
#define MASTER_MASTER_TICKETS_H

#include "lib/ipc/ipc.h"
#include "master/master.h"

struct master_tickets;

struct master_tickets *master_tickets_new(struct master *master);
void master_tickets_free(struct master_tickets **tickets);
/* To a worker that starts. */
void master_tickets_send(const struct master_tickets *tickets, struct ipc_peer *smtpd);
/* tls.ticket_rotation may have changed. */
void master_tickets_reload(struct master_tickets *tickets);

#endif
