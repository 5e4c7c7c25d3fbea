/* SPDX-License-Identifier: Apache-2.0
 *
 * The cache has a place for each of some thousand hashes; a later address takes an earlier one's.
 */
#include "gate/gate_recipient.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/service/metrics.h"
#include "lib/smtp/smtp_canonical.h"

enum { PLACES = 8192, ADDRESS_MAX = SMTP_CANONICAL_MAX };

/* So long an entry that was added or removed may have no effect. */
#define GOOD_FOR (5 * CLOCK_SECOND)

struct place {
	int64_t until; /* monotonic */
	struct uuid tenant;
	bool is_suppressed;
	char address[ADDRESS_MAX + 1];
};

struct gate_recipients {
	struct gate *gate;
	struct place *place;
	bool is_failing; /* it was said that the database does not answer */
};

struct asking {
	struct gate_peer *peer; /* held */
	uint64_t id;
	struct uuid tenant;
	char session[IPC_SESSION_TEXT], address[ADDRESS_MAX + 1];
};

struct gate_recipients *gate_recipients_new(struct gate *gate)
{
	struct gate_recipients *r = mem_zero(sizeof(*r));

	r->gate = gate;
	r->place = mem_array(PLACES, sizeof(*r->place));
	return r;
}

void gate_recipients_free(struct gate_recipients **recipients)
{
	if (*recipients == NULL)
		return;
	free((*recipients)->place);
	mem_free(recipients);
}

static struct place *place_of(const struct gate_recipients *r, const struct uuid *tenant, const char *address)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (size_t i = 0; i < sizeof(tenant->b); i++)
		hash = (hash ^ tenant->b[i]) * 0x100000001b3;
	for (const char *c = address; *c != '\0'; c++)
		hash = (hash ^ (unsigned char)*c) * 0x100000001b3;
	return &r->place[(hash >> 32 ^ hash) % PLACES];
}

static void answer(struct gate_peer *peer, uint64_t id, const char *session, bool is_suppressed)
{
	if (is_suppressed) {
		metrics_add(METRIC_SUPPRESSED, 1);
		log_info(&(struct log_context){.session = session}, "gate.recipient.suppressed");
	}
	gate_peer_answer(peer, IPC_MAY_RECEIVE_RESULT, id,
			 is_suppressed ? IPC_MAY_RECEIVE_SUPPRESSED : IPC_MAY_RECEIVE_OK);
}

static void see_failure(struct gate_recipients *r, const struct err *err)
{
	if (err != NULL && !r->is_failing)
		log_warn(NULL, "gate.recipient.unknown", log_text("why", err->text),
			 log_text("effect", "recipients of tenants that suppress some are answered 451"));
	r->is_failing = err != NULL;
}

static void on_found(void *ctx, enum gate_users_found found, const struct err *err)
{
	struct asking *a = ctx;
	struct gate_recipients *r = a->peer->gate->recipients;
	struct place *place = place_of(r, &a->tenant, a->address);

	see_failure(r, found == GATE_USERS_UNAVAILABLE ? err : NULL);
	if (found == GATE_USERS_UNAVAILABLE) {
		gate_peer_answer(a->peer, IPC_MAY_RECEIVE_RESULT, a->id, IPC_MAY_RECEIVE_UNAVAILABLE);
	} else {
		place->until = clock_mono() + GOOD_FOR;
		place->tenant = a->tenant;
		place->is_suppressed = found == GATE_USERS_KNOWN;
		memcpy(place->address, a->address, sizeof(place->address));
		answer(a->peer, a->id, a->session, place->is_suppressed);
	}
	gate_peer_release(a->peer);
	free(a);
}

/* The spelling that the list has. */
static bool canonical(struct str recipient, char out[ADDRESS_MAX + 1])
{
	struct buf b = BUF_MAX(ADDRESS_MAX);
	bool is = smtp_canonical_address(recipient, &b) && str_copy(buf_str(&b), out, ADDRESS_MAX + 1);

	buf_clear(&b);
	return is;
}

void gate_recipient_may_receive(struct gate_peer *peer, uint64_t id, const struct ipc_may_receive *question)
{
	char address[ADDRESS_MAX + 1], session[IPC_SESSION_TEXT] = "";
	const struct place *place;
	struct asking *a;

	str_copy(question->session, session, sizeof(session));
	if (!canonical(question->recipient, address)) {
		answer(peer, id, session, false); /* none that could be on a list */
		return;
	}
	place = place_of(peer->gate->recipients, &question->tenant, address);
	if (place->until > clock_mono() && uuid_eq(&place->tenant, &question->tenant) &&
	    strcmp(place->address, address) == 0) {
		answer(peer, id, session, place->is_suppressed);
		return;
	}
	a = mem_zero(sizeof(*a));
	*a = (struct asking){.peer = gate_peer_hold(peer), .id = id, .tenant = question->tenant};
	memcpy(a->session, session, sizeof(a->session));
	memcpy(a->address, address, sizeof(a->address));
	gate_users_find_suppressed(peer->gate->users, &a->tenant, str_of(a->address), on_found, a);
}
