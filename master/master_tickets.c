/* SPDX-License-Identifier: Apache-2.0
 *
 * Three keys: the one in use and its two predecessors. A ticket lives for two rotations, so its key is there as long as it.
 */
#include "master/master_tickets.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/random.h"
#include "lib/ipc/ipc_body.h"
#include "lib/net/tls_server.h"
#include "master/master_children.h"

struct master_tickets {
	struct master *master;
	struct loop_timer *timer;
	unsigned char key[TLS_SERVER_TICKET_KEYS][TLS_SERVER_TICKET_KEY]; /* the one in use first */
	unsigned n;
	int64_t made_at, made_at_mono;
};

static void make_key(struct master_tickets *t)
{
	memmove(t->key[1], t->key[0], sizeof(t->key) - sizeof(t->key[0]));
	random_fill(t->key[0], sizeof(t->key[0]));
	if (t->n < TLS_SERVER_TICKET_KEYS)
		t->n++;
	t->made_at = clock_wall();
	t->made_at_mono = clock_mono();
}

static void set_timer(struct master_tickets *t)
{
	int64_t left = t->made_at_mono + t->master->settings->tls.ticket_rotation - clock_mono();

	loop_timer_set(t->timer, left > 0 ? left : 0);
}

void master_tickets_send(const struct master_tickets *t, struct ipc_peer *smtpd)
{
	struct buf body = BUF_MAX(sizeof(t->key) + 64);

	ipc_put_ticket_keys(&body, &(struct ipc_ticket_keys){.made_at = t->made_at,
							     .lifetime = 2 * t->master->settings->tls.ticket_rotation,
							     .keys = str_bytes(t->key, t->n * sizeof(t->key[0]))});
	ipc_send(smtpd, IPC_TICKET_KEYS, 0, buf_str(&body), -1);
	buf_clear_secret(&body);
}

static void send_all(const struct master_tickets *t)
{
	const struct master_children *children = t->master->children;

	for (size_t i = 0; i < master_children_count(children); i++) {
		const struct master_child *child = master_children_at(children, i);

		if (child->role == ROLE_SMTPD && child->control != NULL)
			master_tickets_send(t, child->control);
	}
}

static void rotate(void *ctx)
{
	struct master_tickets *t = ctx;

	make_key(t);
	set_timer(t);
	send_all(t);
	log_info(NULL, "master.tickets.rotated", log_uint("keys", t->n));
}

void master_tickets_reload(struct master_tickets *t)
{
	set_timer(t);
	send_all(t); /* their lifetime */
}

struct master_tickets *master_tickets_new(struct master *master)
{
	struct master_tickets *t = mem_zero(sizeof(*t));

	t->master = master;
	t->timer = loop_timer_new(master->loop, rotate, t);
	make_key(t);
	set_timer(t);
	return t;
}

void master_tickets_free(struct master_tickets **tickets)
{
	struct master_tickets *t = *tickets;

	if (t == NULL)
		return;
	loop_timer_free(&t->timer);
	mem_wipe(t->key, sizeof(t->key));
	mem_free(tickets);
}
