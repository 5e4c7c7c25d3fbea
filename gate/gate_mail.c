/* SPDX-License-Identifier: Apache-2.0
 *
 * A smtpd may only send as somebody who logged in there: a process that was taken over can use up nobody else's limits.
 * The limits are those of the login; when users change they are read again, without keeping the mail waiting. Only
 * after gate was started anew it does not know who is in: then as many identities as there were connections are looked
 * up by their ids.
 */
#include "gate/gate_mail.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/service/metrics.h"

struct mailing {
	struct gate_peer *peer; /* held */
	uint64_t id;
	struct gate_identity *identity; /* held; NULL: nothing is known of its limits */
	unsigned n_of_address;
	struct gate_address address;
	char session[IPC_SESSION_TEXT];
};

static const char *span_name(int64_t span)
{
	return span == CLOCK_SECOND	       ? "second"
	       : span == 60 * CLOCK_SECOND     ? "minute"
	       : span == 3600 * CLOCK_SECOND   ? "hour"
	       : span == 86400 * CLOCK_SECOND  ? "day"
					       : "month";
}

static void log_limited(const struct mailing *m, enum ipc_may_send_verdict verdict, unsigned full)
{
	static const char *const whose[] = {[IPC_MAY_SEND_ADDRESS] = "address", [IPC_MAY_SEND_USER] = "user",
					    [IPC_MAY_SEND_TENANT] = "tenant"};
	const struct log_context ctx = {.session = m->session,
					.tenant = m->identity != NULL ? m->identity->tenant_name : NULL};
	const struct gate_take *take = full < m->n_of_address ? NULL : &m->identity->take[full - m->n_of_address];

	log_info(&ctx, "gate.mail.limited", log_text("client", m->address.key),
		 log_text("user", m->identity != NULL ? m->identity->user_name : ""), log_text("of", whose[verdict]),
		 log_text("in_a", span_name(take != NULL ? take->span : 60 * CLOCK_SECOND)),
		 log_int("limit", take != NULL ? take->limit : m->peer->gate->settings->limits.mails_per_address));
}

static void answer(const struct mailing *m, enum ipc_may_send_verdict verdict)
{
	struct ipc_may_send_result result = {verdict, m->identity != NULL && m->identity->has_suppressions};
	struct buf body = BUF_MAX(16);

	if (m->peer->ipc == NULL)
		return;
	ipc_put_may_send_result(&body, &result);
	ipc_send(m->peer->ipc, IPC_MAY_SEND_RESULT, m->id, buf_str(&body), -1);
	buf_clear(&body);
}

static void on_taken(void *ctx, int full)
{
	struct mailing *m = ctx;
	enum ipc_may_send_verdict verdict = IPC_MAY_SEND_OK;

	if (full != GATE_STORE_NONE) {
		unsigned i = (unsigned)full;

		verdict = i < m->n_of_address				    ? IPC_MAY_SEND_ADDRESS
			  : i - m->n_of_address < m->identity->n_users_takes ? IPC_MAY_SEND_USER
									     : IPC_MAY_SEND_TENANT;
		metrics_add(METRIC_LIMITED, 1);
		log_limited(m, verdict, i);
	} else if (m->peer->ipc == NULL && m->identity != NULL) {
		/* It went while it waited: nothing is sent. */
		gate_store_give(m->peer->gate->store, m->identity->take, m->identity->n_takes);
	}
	answer(m, verdict);
	gate_peer_release(m->peer);
	gate_identity_release(&m->identity);
	free(m);
}

/* Asks the store for all of them at once; identity may be NULL. Ends m. */
static void take(struct mailing *m, struct gate_identity *identity)
{
	struct gate *gate = m->peer->gate;
	struct gate_take takes[GATE_STORE_TAKES];
	int64_t most = gate->settings->limits.mails_per_address;
	size_t n = 0;

	if (most > 0 && !m->address.is_allowed) {
		takes[n] = (struct gate_take){.span = 60 * CLOCK_SECOND, .limit = most};
		snprintf(takes[n++].key, sizeof(takes[0].key), "mails:%s", m->address.key);
	}
	m->n_of_address = (unsigned)n;
	if (identity != NULL) {
		m->identity = gate_identity_hold(identity);
		memcpy(takes + n, identity->take, identity->n_takes * sizeof(*takes));
		n += identity->n_takes;
	}
	gate_store_take(gate->store, takes, n, on_taken, m);
}

/* ---- who it is ---- */

struct asking {
	struct gate_peer *peer; /* held */
	struct uuid tenant, user;
	int64_t generation;
	struct mailing *mail; /* that waits for it, or NULL */
};

static void refuse(struct mailing *m, const struct uuid *user)
{
	char text[UUID_TEXT];

	log_warn(&(struct log_context){.session = m->session}, "gate.mail.stranger", log_text("client", m->address.key),
		 log_uint("slot", ipc_peer_slot(m->peer->ipc)), log_text("user_id", uuid_format(user, text)));
	answer(m, IPC_MAY_SEND_USER);
	gate_peer_release(m->peer);
	free(m);
}

static void on_user(void *ctx, enum gate_users_found found, const struct gate_user *user, const struct err *err)
{
	struct asking a = *(struct asking *)ctx;
	struct gate_identity *identity = NULL;
	struct gate_told *told = NULL;

	(void)err;
	free(ctx);
	if (a.peer->ipc != NULL)
		told = gate_peer_find(a.peer, &a.tenant, &a.user);
	if (told != NULL)
		told->is_asking = false;
	if (found == GATE_USERS_KNOWN && a.peer->ipc != NULL) {
		identity = gate_identity_new(user);
		gate_peer_tell(a.peer, identity);
	} else if (found == GATE_USERS_UNKNOWN && told != NULL) {
		/* Gone; the session goes on with the limits it had. */
		told->generation = a.generation;
	}
	if (a.mail != NULL && found == GATE_USERS_UNAVAILABLE)
		a.peer->inherited++; /* for its next mail */
	if (a.mail != NULL && found == GATE_USERS_UNKNOWN && a.peer->ipc != NULL)
		refuse(a.mail, &a.user);
	else if (a.mail != NULL)
		/* Its limits cannot be known now: mail goes on without. */
		take(a.mail, identity);
	gate_identity_release(&identity);
	gate_peer_release(a.peer);
}

static void look_up(struct gate_peer *peer, const struct ipc_may_send *mail, struct mailing *m)
{
	struct asking *a = mem_zero(sizeof(*a));

	*a = (struct asking){gate_peer_hold(peer), mail->tenant, mail->user, peer->gate->generation, m};
	gate_users_find(peer->gate->users,
			&(struct gate_users_question){.by = GATE_USERS_BY_ID, .tenant = mail->tenant, .user = mail->user},
			on_user, a);
}

void gate_mail_may_send(struct gate_peer *peer, uint64_t id, const struct ipc_may_send *mail)
{
	struct gate_told *told = gate_peer_find(peer, &mail->tenant, &mail->user);
	struct mailing *m = mem_zero(sizeof(*m));

	m->peer = gate_peer_hold(peer);
	m->id = id;
	str_copy(mail->session, m->session, sizeof(m->session));
	m->address = gate_address(peer->gate, mail->client);
	if (told == NULL && peer->inherited > 0) {
		peer->inherited--;
		look_up(peer, mail, m);
		return;
	}
	if (told == NULL) {
		refuse(m, &mail->user);
		return;
	}
	if (told->generation < peer->gate->generation && !told->is_asking) {
		told->is_asking = true;
		look_up(peer, mail, NULL);
	}
	take(m, told->identity);
}

void gate_mail_not_sent(struct gate_peer *peer, const struct ipc_may_send *mail)
{
	const struct gate_told *told = gate_peer_find(peer, &mail->tenant, &mail->user);

	if (told != NULL)
		gate_store_give(peer->gate->store, told->identity->take, told->identity->n_takes);
}
