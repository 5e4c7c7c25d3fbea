/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames between qmgr and this agent. Called by deliver_main.c and the loop. A job that is asked for twice
 * is answered from the journal; its call is never made twice.
 */
#include "deliver/deliver_link.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/service/service.h"

struct deliver_link {
	struct loop *loop;
	struct deliver_job_pool *pool;
	struct ipc_peer *qmgr;
	unsigned places;
	int64_t away_since; /* monotonic, while qmgr is NULL */
};

static void send_attempt(struct deliver_link *link, enum ipc_type type, uint64_t number,
			 const struct ipc_attempt *attempt)
{
	struct buf body = BUF_MAX(64);

	ipc_put_attempt(&body, attempt);
	ipc_send(link->qmgr, type, number, buf_str(&body), -1);
	buf_clear(&body);
}

static void send_places(struct deliver_link *link)
{
	struct buf body = BUF_MAX(16);

	buf_put_u32(&body, link->places);
	ipc_send(link->qmgr, IPC_PLACES, 0, buf_str(&body), -1);
	buf_clear(&body);
}

/* Longer than master takes to start qmgr again. */
#define LOST_AFTER (120 * CLOCK_SECOND)

/* Of a job that was asked for (number), or out of the journal (0). */
static void tell_entry(struct deliver_link *link, uint64_t number, const struct deliver_journal_entry *entry)
{
	if (entry->is_done)
		ipc_send(link->qmgr, IPC_OUTCOME, number, entry->outcome, -1);
	else
		send_attempt(link, IPC_RUNNING, 0, &entry->attempt);
}

static void on_outcome(void *ctx, uint64_t number, struct str body)
{
	struct deliver_link *link = ctx;

	/* Without qmgr it waits in the journal. */
	if (link->qmgr != NULL)
		ipc_send(link->qmgr, IPC_OUTCOME, number, body, -1);
}

/* The content of a large message comes as a file. False: it is not there as promised. */
static bool map_content(struct ipc_message *message, int fd)
{
	if (message->size <= IPC_INLINE_MAX)
		return message->content.n == message->size;
	if (fd < 0 || message->content.n != 0 || !fd_is_sealed(fd, message->size))
		return false;
	message->content = str_bytes(fd_map(fd, message->size), message->size);
	return message->content.p != NULL;
}

/* This host was held up (stopped, or asleep) while the job was on its way, and its lease may be over. */
static void hand_back(struct deliver_link *link, uint64_t number, const struct ipc_attempt *attempt)
{
	char id[UUID_TEXT];

	log_warn(&(struct log_context){.message = uuid_format(&attempt->message, id)}, "deliver.job.late");
	send_attempt(link, IPC_JOB_LATE, number, attempt);
}

static bool take_job(struct deliver_link *link, struct ipc_frame *frame)
{
	static struct str recipients[IPC_RECIPIENTS_MAX];
	const struct deliver_journal_entry *entry;
	struct ipc_attempt attempt;
	struct ipc_job job;

	if (!ipc_get_job(&frame->body, &job, recipients) || !map_content(&job.message, frame->fd))
		return false;
	attempt = (struct ipc_attempt){job.message.id, job.attempt, job.part};
	entry = deliver_journal_find(link->pool->journal, &attempt);
	if (entry != NULL)
		tell_entry(link, frame->id, entry);
	else if (job.begin_before != 0 && clock_mono() >= job.begin_before)
		hand_back(link, frame->id, &attempt);
	else
		deliver_job_start(link->pool, frame->id, &job, frame->fd);
	if (job.message.size > IPC_INLINE_MAX)
		fd_unmap(job.message.content.p, job.message.size);
	return true;
}

static bool take_stored(struct deliver_link *link, struct ipc_frame *frame)
{
	struct ipc_attempt attempt;

	if (!ipc_get_attempt(&frame->body, &attempt))
		return false;
	deliver_journal_strike(link->pool->journal, &attempt);
	return true;
}

static bool on_frame(void *ctx, struct ipc_peer *peer, struct ipc_frame *frame)
{
	struct deliver_link *link = ctx;

	(void)peer;
	switch (frame->type) {
	case IPC_JOB:
		return take_job(link, frame);
	case IPC_OUTCOME_STORED:
		return take_stored(link, frame);
	default:
		return false;
	}
}

static void on_close(void *ctx, struct ipc_peer *peer, const char *why)
{
	struct deliver_link *link = ctx;

	if (peer != link->qmgr)
		return;
	log_warn(NULL, "deliver.qmgr.gone", log_text("reason", why));
	service_peer_lost(ROLE_QMGR, ipc_peer_slot(peer));
	ipc_peer_free(&link->qmgr);
	deliver_job_forget(link->pool);
	link->away_since = clock_mono();
}

static void tell_held(void *ctx, const struct deliver_journal_entry *entry)
{
	tell_entry(ctx, 0, entry);
}

void deliver_link_connect(struct deliver_link *link, unsigned slot, int fd)
{
	static const struct ipc_events events = {on_frame, on_close};

	ipc_peer_free(&link->qmgr);
	deliver_job_forget(link->pool);
	link->qmgr = ipc_peer_new(link->loop, fd, ROLE_DELIVER, ROLE_QMGR, slot, &events, link);
	deliver_journal_each(link->pool->journal, tell_held, link);
	send_places(link);
	log_info(NULL, "deliver.qmgr.connected", log_uint("running", link->pool->n_running),
		 log_uint("outcomes", deliver_journal_count_done(link->pool->journal)),
		 log_uint("places", link->places));
}

bool deliver_link_is_connected(const struct deliver_link *link)
{
	return link->qmgr != NULL;
}

bool deliver_link_is_lost(const struct deliver_link *link, int64_t mono)
{
	return link->qmgr == NULL && mono - link->away_since > LOST_AFTER;
}

void deliver_link_set_places(struct deliver_link *link, unsigned places)
{
	if (places == link->places)
		return;
	link->places = places;
	if (link->qmgr != NULL)
		send_places(link);
}

struct deliver_link *deliver_link_new(struct loop *loop, struct deliver_job_pool *pool)
{
	struct deliver_link *link = mem_zero(sizeof(*link));

	link->loop = loop;
	link->pool = pool;
	link->away_since = clock_mono();
	pool->on_outcome = on_outcome;
	pool->ctx = link;
	return link;
}

void deliver_link_free(struct deliver_link **link)
{
	if (*link == NULL)
		return;
	ipc_peer_free(&(*link)->qmgr);
	mem_free(link);
}
