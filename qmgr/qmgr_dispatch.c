/* SPDX-License-Identifier: Apache-2.0
 *
 * Jobs, the agents' places and their deaths.
 */
#include "qmgr/qmgr_dispatch.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/settings/settings_provider.h"
#include "qmgr/qmgr.h"
#include "qmgr/qmgr_credential.h"
#include "qmgr/qmgr_redirect.h"
#include "qmgr/qmgr_sql.h"

enum {
	TAKEN_A_TURN = 1000, /* then others get their turn */
	PLACES_MAX = 10000,
};

#define WAIT_SAID_AFTER (30 * CLOCK_SECOND)
#define LONGEST_SLEEP (3600 * CLOCK_SECOND)

static struct qmgr_job *job_new(struct qmgr *q, struct qmgr_message *m)
{
	struct qmgr_dispatch *d = &q->dispatch;
	struct qmgr_job *job = mem_zero(sizeof(*job));

	must(m->job == NULL);
	job->message = m;
	job->number = ++d->number;
	job->agent = -1;
	job->next = d->jobs;
	if (job->next != NULL)
		job->next->previous = job;
	d->jobs = job;
	d->n_jobs++;
	m->job = job;
	m->state = QMGR_TAKEN;
	return job;
}

void qmgr_dispatch_land(struct qmgr *q, struct qmgr_message *m)
{
	struct qmgr_dispatch *d = &q->dispatch;
	struct qmgr_job *job = m->job;

	if (job == NULL)
		return;
	m->job = NULL;
	if (job->is_counted)
		qmgr_schedule_landed(&q->schedule, job->provider);
	if (job->agent >= 0 && !job->is_in_doubt)
		d->agent[job->agent].in_flight--;
	if (job->agent < 0)
		d->n_unsent--;
	if (job->next != NULL)
		job->next->previous = job->previous;
	if (job->previous != NULL)
		job->previous->next = job->next;
	else
		d->jobs = job->next;
	d->n_jobs--;
	free(job);
}

/* The agent with the fewest jobs that has a free place; NULL when all are full. */
static struct qmgr_agent *free_agent(struct qmgr *q)
{
	struct qmgr_dispatch *d = &q->dispatch;
	struct qmgr_agent *best = NULL;

	for (unsigned i = 0; i < d->n_agents; i++) {
		struct qmgr_agent *a = &d->agent[(d->turn + i) % d->n_agents];

		if (a->is_ready && a->in_flight < a->places &&
		    (best == NULL || a->in_flight < best->in_flight))
			best = a;
	}
	d->turn++;
	return best;
}

static unsigned free_places(const struct qmgr *q)
{
	unsigned n = 0;

	for (unsigned i = 0; i < q->dispatch.n_agents; i++) {
		const struct qmgr_agent *a = &q->dispatch.agent[i];

		if (a->is_ready && a->in_flight < a->places)
			n += a->places - a->in_flight;
	}
	return n > q->dispatch.n_unsent ? n - q->dispatch.n_unsent : 0;
}

/* May be sent by us, now. */
static bool is_sendable(const struct qmgr *q, const struct qmgr_message *m)
{
	return m->call != NULL ||
	       (qmgr_lease_is_ours(q, m->shard) && qmgr_lease_is_safe(q, clock_mono()));
}

void qmgr_dispatch_put_back(struct qmgr *q, struct qmgr_message *m)
{
	qmgr_dispatch_land(q, m);
	if (m->call == NULL && !qmgr_lease_is_ours(q, m->shard)) {
		m->state = QMGR_SCHEDULED;
		qmgr_message_drop(q, m);
		return;
	}
	qmgr_route_put_back(q, m);
}

/* Recipients that the job's provider takes in a call. */
static unsigned recipients_a_call(const struct qmgr *q, const struct qmgr_message *m)
{
	unsigned provider = qmgr_tenant_provider_index(q, m->job->key);

	if (m->tenant->redirect_to != NULL || provider == QMGR_SCHEDULE_NONE)
		return UINT_MAX;
	if (m->route.is_crowded)
		return 1;
	return settings_provider_recipients(&q->env->settings->provider[provider]);
}

/* n: how many the message had before it went to one address instead, or 0. */
static void put_whom(struct buf *out, const struct qmgr_message *m, unsigned n)
{
	qmgr_part_put_whom(out, m);
	for (unsigned i = 0; i < n && m->recipients == NULL; i++)
		ipc_put_index(out, (uint16_t)i);
}

void qmgr_dispatch_send(struct qmgr *q, struct qmgr_message *m)
{
	static struct str recipients[IPC_RECIPIENTS_MAX];
	static char bytes[IPC_BODY_MAX];
	struct buf frame = {.p = bytes, .size = sizeof(bytes), .max = sizeof(bytes)};
	struct qmgr_job *job = m->job;
	struct qmgr_agent *agent = free_agent(q);
	struct ipc_job out = {.attempt = m->attempts + 1, .part = m->part, .provider = str_of(job->key)};
	struct buf content = BUF_MAX(IPC_BODY_MAX), dsn = BUF_MAX(IPC_DSN_MAX), credential = BUF_MAX(IPC_CREDENTIAL_MAX);
	struct buf whom = BUF_MAX(IPC_RECIPIENTS_MAX * sizeof(uint16_t));
	int fd, file = -1;

	/* Reading the body may have taken longer than the lease. */
	if (agent == NULL || !is_sendable(q, m)) {
		qmgr_dispatch_put_back(q, m);
		return;
	}
	if (!qmgr_route_confirm(q, m))
		return;
	if (m->call != NULL) {
		out.attempt |= IPC_ATTEMPT_DIRECT;
		out.message = qmgr_direct_job(m, recipients, &dsn, &fd);
	} else {
		unsigned most = recipients_a_call(q, m);

		out.message = qmgr_part_read(m, m->body, recipients, &dsn);
		if (out.message.n_recipients > most) {
			buf_clear(&dsn);
			qmgr_part_split_evenly(q, m, out.message.n_recipients, most);
			return;
		}
		fd = m->body->fd;
	}
	out.is_test = m->tenant->is_test || out.message.is_test;
	put_whom(&whom, m, m->tenant->redirect_to != NULL ? out.message.n_recipients : 0);
	out.whom = buf_str(&whom);
	if (m->tenant->redirect_to != NULL)
		fd = file = qmgr_redirect(m->tenant->redirect_to, &out.message, fd, &content);
	qmgr_credential_find(m->tenant->credentials, job->key, &credential);
	out.credential = buf_str(&credential);
	out.begin_before = m->call != NULL ? qmgr_direct_begin_before(q, m) : q->lease.safe_until;
	ipc_put_job(&frame, &out);
	buf_clear(&content);
	buf_clear(&credential);
	buf_clear(&dsn);
	buf_clear(&whom);
	if (frame.is_full || out.message.n_recipients == 0) {
		fd_close(&file);
		qmgr_outcome_make(q, m, IPC_OUTCOME_PERMANENT, "",
				  frame.is_full ? "it has too many recipients" : "its row in the database is damaged");
		return;
	}
	qmgr_route_went(q, m);
	job->n_recipients = out.message.n_recipients;
	job->is_test = out.is_test;
	job->has_own_credential = out.credential.n > 0;
	job->agent = (int)(agent - q->dispatch.agent);
	q->dispatch.n_unsent--;
	agent->in_flight++;
	/* When the agent is gone already, on_close() comes and the job is in doubt: it cannot be
	 * known what of the socket it had read. */
	ipc_send(agent->peer, IPC_JOB, job->number, buf_str(&frame), fd);
	fd_close(&file);
}

static void take_next(struct qmgr *q, struct qmgr_schedule_item *item)
{
	struct qmgr_message *m =
		(struct qmgr_message *)((char *)item - offsetof(struct qmgr_message, item));
	unsigned provider = item->lane->provider;
	struct qmgr_job *job;

	if (provider == QMGR_SCHEDULE_UNROUTED && !qmgr_route_wants_body(m)) {
		qmgr_schedule_landed(&q->schedule, provider);
		qmgr_route_place(q, m);
		return;
	}
	job = job_new(q, m);
	q->dispatch.n_unsent++;
	job->provider = provider;
	job->is_counted = true;
	if (provider == QMGR_SCHEDULE_NONE) {
		qmgr_route_fail(q, m);
		return;
	}
	if (provider == QMGR_SCHEDULE_UNROUTED) {
		job->is_loading = true;
		return;
	}
	qmgr_provider_began(q, job->provider);
	memcpy(job->key, q->env->settings->provider[job->provider].key, sizeof(job->key));
	if (m->body != NULL || m->call != NULL)
		qmgr_dispatch_send(q, m);
	else
		job->is_loading = true;
}

static bool is_all_known(struct qmgr *q)
{
	struct qmgr_dispatch *d = &q->dispatch;

	for (unsigned i = 0; i < d->n_agents && !d->is_all_known; i++)
		if (!d->agent[i].is_known)
			return false;
	d->is_all_known = true;
	return true;
}

/* Gives out what may be given out now. False: there may be more, but others get their turn first. */
static bool give_out(struct qmgr *q)
{
	/* A lease that could not be renewed in time is not sent from: the next host may have it. */
	bool only_direct = !qmgr_lease_is_safe(q, clock_mono());
	struct qmgr_schedule_item *item = NULL;

	for (unsigned taken = 0; taken < TAKEN_A_TURN; taken++) {
		q->schedule.places = free_places(q);
		item = qmgr_schedule_take(&q->schedule, only_direct);
		if (item == NULL)
			break;
		take_next(q, item);
	}
	qmgr_load(q);
	return item == NULL;
}

static void pump(void *ctx)
{
	struct qmgr *q = ctx;
	int64_t now = clock_wall(), next;
	bool is_more = false;

	q->dispatch.is_posted = false;
	if (q->is_over)
		return;
	qmgr_schedule_advance(&q->schedule, now);
	qmgr_provider_grant(q);
	if (is_all_known(q) && q->drain_until == 0)
		is_more = !give_out(q);
	qmgr_provider_grant(q); /* who of them is to be asked when */
	next = is_more ? now : qmgr_schedule_advance(&q->schedule, now);
	if (next != INT64_MAX)
		loop_timer_set(q->dispatch.due,
			       next - now < LONGEST_SLEEP ? next - now : LONGEST_SLEEP);
}

void qmgr_dispatch_pump(struct qmgr *q)
{
	if (q->dispatch.is_posted)
		return;
	q->dispatch.is_posted = true;
	loop_later(q->loop, pump, q);
}

static void on_due(void *ctx)
{
	qmgr_dispatch_pump(ctx);
}

void qmgr_dispatch_adopt(struct qmgr *q, struct qmgr_message *m, unsigned slot)
{
	struct qmgr_job before = {.is_adopted = true}, *job;

	if (m->job != NULL)
		before = *m->job;
	qmgr_schedule_remove(&q->schedule, &m->item);
	qmgr_dispatch_land(q, m);
	job = job_new(q, m);
	job->agent = (int)slot;
	job->n_recipients = before.n_recipients;
	job->is_test = before.is_test;
	job->has_own_credential = before.has_own_credential;
	job->is_adopted = before.is_adopted;
	memcpy(job->key, before.key, sizeof(job->key));
	job->is_in_doubt = q->dispatch.agent[slot].peer == NULL;
	q->dispatch.agent[slot].in_flight += !job->is_in_doubt;
}

/* What came of an earlier attempt is in hand: the former process died before its agent heard that it is recorded. */
static void adopt_later(struct qmgr_outcome *o, const struct ipc_attempt *running, unsigned slot)
{
	uint32_t attempt = running->attempt & ~(uint32_t)IPC_ATTEMPT_DIRECT;

	if (o == NULL || attempt <= o->attempt)
		return;
	o->next_attempt = attempt;
	o->next_slot = slot;
}

static bool on_running(struct qmgr *q, unsigned slot, struct reader *body)
{
	struct ipc_attempt attempt;
	struct qmgr_message *m;

	if (!ipc_get_attempt(body, &attempt) || (attempt.attempt & ~(uint32_t)IPC_ATTEMPT_DIRECT) == 0)
		return false;
	m = qmgr_message_find(q, &attempt.message, attempt.part);
	if (m == NULL && (attempt.attempt & IPC_ATTEMPT_DIRECT)) {
		m = qmgr_direct_adopt(q, &attempt);
	} else if (m == NULL) {
		m = qmgr_message_add(q, &attempt.message, attempt.part, 0, NULL);
		m->attempts = attempt.attempt - 1;
	} else if (m->call != NULL ? m->call->is_done : m->state == QMGR_RECORDING) {
		adopt_later(m->outcome, &attempt, slot);
		return true;
	} else if (m->state == QMGR_GONE) {
		qmgr_message_revive(q, m);
	} else if (m->job != NULL && m->job->agent == (int)slot && !m->job->is_in_doubt) {
		return true;
	}
	if (m->call != NULL)
		m->call->is_begun = true;
	qmgr_dispatch_adopt(q, m, slot);
	return true;
}

/* Nothing was sent. A direct call is not begun a second time: it may have become a stored message's first attempt. */
static bool on_late(struct qmgr *q, unsigned slot, uint64_t number, struct reader *body)
{
	struct ipc_attempt attempt;
	struct qmgr_message *m;

	if (!ipc_get_attempt(body, &attempt))
		return false;
	m = qmgr_message_find(q, &attempt.message, attempt.part);
	if (m == NULL || m->job == NULL || m->job->number != number || m->job->agent != (int)slot || m->job->is_in_doubt)
		return true;
	if (m->call != NULL)
		qmgr_outcome_make(q, m, IPC_OUTCOME_TRANSIENT, "", "this host was held up, and did not begin the call");
	else
		qmgr_dispatch_put_back(q, m);
	qmgr_dispatch_pump(q);
	return true;
}

/* It has told all it knows: what it had before it died and does not know is unknown. */
static bool on_places(struct qmgr *q, unsigned slot, struct reader *body)
{
	struct qmgr_agent *a = &q->dispatch.agent[slot];
	uint32_t places = reader_u32(body);
	struct qmgr_job *next;

	if (!reader_is_done(body) || places > PLACES_MAX)
		return false;
	a->places = places;
	a->is_ready = a->is_known = true;
	log_info(NULL, "qmgr.agent.ready", log_uint("slot", slot), log_uint("places", places),
		 log_uint("running", a->in_flight));
	for (struct qmgr_job *job = q->dispatch.jobs; job != NULL; job = next) {
		next = job->next;
		if (job->is_in_doubt && job->agent == (int)slot)
			qmgr_outcome_make(q, job->message, IPC_OUTCOME_UNKNOWN, "",
					  "the delivery agent died during the call");
	}
	qmgr_dispatch_pump(q);
	return true;
}

static bool on_frame(void *ctx, struct ipc_peer *peer, struct ipc_frame *frame)
{
	struct qmgr_agent *a = ctx;
	unsigned slot = ipc_peer_slot(peer);
	struct ipc_outcome outcome;

	switch (frame->type) {
	case IPC_RUNNING:
		return on_running(a->q, slot, &frame->body);
	case IPC_JOB_LATE:
		return on_late(a->q, slot, frame->id, &frame->body);
	case IPC_PLACES:
		return on_places(a->q, slot, &frame->body);
	case IPC_OUTCOME:
		if (!ipc_get_outcome(&frame->body, &outcome) ||
		    (outcome.attempt.attempt & ~(uint32_t)IPC_ATTEMPT_DIRECT) == 0)
			return false;
		qmgr_outcome_heard(a->q, slot, frame->id, &outcome);
		return true;
	default:
		return false;
	}
}

static void drop_peer(struct qmgr_agent *a, const char *why)
{
	struct qmgr *q = a->q;
	unsigned slot = ipc_peer_slot(a->peer), n = 0;

	for (struct qmgr_job *job = q->dispatch.jobs; job != NULL; job = job->next) {
		if (job->agent != (int)slot || job->is_in_doubt)
			continue;
		job->is_in_doubt = true;
		if (job->is_counted)
			qmgr_schedule_landed(&q->schedule, job->provider);
		job->is_counted = false;
		n++;
	}
	log_warn(NULL, "qmgr.agent.gone", log_uint("slot", slot), log_uint("in_doubt", n),
		 log_text("why", why));
	ipc_peer_free(&a->peer);
	a->is_ready = false;
	a->in_flight = 0;
	qmgr_dispatch_pump(q);
}

static void on_close(void *ctx, struct ipc_peer *peer, const char *why)
{
	service_peer_lost(ROLE_DELIVER, ipc_peer_slot(peer));
	drop_peer(ctx, why);
}

void qmgr_dispatch_on_peer(struct qmgr *q, unsigned slot, int fd)
{
	static const struct ipc_events events = {.on_frame = on_frame, .on_close = on_close};
	struct qmgr_agent *a;

	must(slot < QMGR_AGENTS);
	a = &q->dispatch.agent[slot];
	if (a->peer != NULL)
		drop_peer(a, "it was replaced");
	if (slot >= q->dispatch.n_agents)
		q->dispatch.n_agents = slot + 1;
	a->peer = ipc_peer_new(q->loop, fd, ROLE_QMGR, ROLE_DELIVER, slot, &events, a);
}

void qmgr_dispatch_stored(struct qmgr *q, unsigned slot, uint64_t frame_id,
			  const struct ipc_attempt *attempt)
{
	struct qmgr_agent *a = &q->dispatch.agent[slot];
	char bytes[64];
	struct buf body = {.p = bytes, .size = sizeof(bytes), .max = sizeof(bytes)};

	if (a->peer == NULL)
		return; /* its next incarnation reads it from the journal and tells it again */
	ipc_put_attempt(&body, attempt);
	ipc_send(a->peer, IPC_OUTCOME_STORED, frame_id, buf_str(&body), -1);
}

void qmgr_dispatch_follow_settings(struct qmgr *q)
{
	for (unsigned i = 0; i < QMGR_SCHEDULE_PROVIDERS; i++)
		q->schedule.provider[i].in_flight = 0;
	for (struct qmgr_job *job = q->dispatch.jobs; job != NULL; job = job->next) {
		if (!job->is_counted)
			continue;
		job->provider = qmgr_tenant_provider_index(q, job->key);
		q->schedule.provider[job->provider].in_flight++;
	}
	qmgr_dispatch_pump(q);
}

void qmgr_dispatch_tick(struct qmgr *q)
{
	struct qmgr_dispatch *d = &q->dispatch;

	if (!d->is_wait_said && !is_all_known(q) &&
	    clock_mono() - d->wait_since > WAIT_SAID_AFTER) {
		d->is_wait_said = true;
		for (unsigned i = 0; i < d->n_agents; i++)
			if (!d->agent[i].is_known)
				log_error(
					NULL, "qmgr.dispatch.waits_for_agent", log_uint("slot", i),
					log_text("effect", "nothing is sent: its journal may name "
							   "messages that are sent already"));
	}
	qmgr_dispatch_pump(q);
}

bool qmgr_dispatch_is_idle(const struct qmgr *q)
{
	return q->dispatch.n_jobs == 0;
}

bool qmgr_dispatch_is_still(const struct qmgr *q)
{
	for (const struct qmgr_job *job = q->dispatch.jobs; job != NULL; job = job->next)
		if (!job->is_in_doubt)
			return false;
	return true;
}

void qmgr_dispatch_init(struct qmgr *q, unsigned agents)
{
	must(agents > 0 && agents <= QMGR_AGENTS);
	q->dispatch.n_agents = agents;
	for (unsigned i = 0; i < QMGR_AGENTS; i++)
		q->dispatch.agent[i].q = q;
	q->dispatch.wait_since = clock_mono();
	q->dispatch.due = loop_timer_new(q->loop, on_due, q);
}

void qmgr_dispatch_clear(struct qmgr *q)
{
	while (q->dispatch.jobs != NULL)
		qmgr_dispatch_land(q, q->dispatch.jobs->message);
	for (unsigned i = 0; i < QMGR_AGENTS; i++)
		ipc_peer_free(&q->dispatch.agent[i].peer);
	loop_timer_free(&q->dispatch.due);
}
