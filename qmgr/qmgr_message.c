/* SPDX-License-Identifier: Apache-2.0
 *
 * The entries, hashed by id and listed by shard, and the account of the memory that bodies take.
 */
#include "qmgr/qmgr_message.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "lib/base/fd.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "qmgr/qmgr.h"

enum { TABLE_FIRST = 4096 };

void qmgr_message_init(struct qmgr *q)
{
	struct rlimit files;

	q->messages.table_size = TABLE_FIRST;
	q->messages.table = mem_array(TABLE_FIRST, sizeof(*q->messages.table));
	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		die("getrlimit: no answer");
	/* The other half is for sockets, and for large messages that are not committed yet. */
	q->messages.max_files = files.rlim_cur > 65536 ? 32768 : (unsigned)(files.rlim_cur / 2);
}

void qmgr_message_clear(struct qmgr *q)
{
	qmgr_message_free_gone(q);
	for (unsigned shard = 0; shard <= QMGR_NO_SHARD; shard++)
		while (q->messages.shard[shard] != NULL)
			qmgr_message_drop(q, q->messages.shard[shard]);
	mem_free(&q->messages.table);
}

/* The end of a version 7 id is random. */
static size_t place_of(const struct qmgr_messages *t, const struct uuid *id, unsigned part)
{
	uint64_t hash;

	memcpy(&hash, id->b + 8, sizeof(hash));
	hash *= 0x9e3779b97f4a7c15ULL;
	return (size_t)((hash >> 20) + part) & (t->table_size - 1);
}

static void grow(struct qmgr_messages *t)
{
	struct qmgr_message **old = t->table;
	size_t old_size = t->table_size;

	t->table_size *= 2;
	t->table = mem_array(t->table_size, sizeof(*t->table));
	for (size_t i = 0; i < old_size; i++) {
		while (old[i] != NULL) {
			struct qmgr_message *m = old[i];
			size_t at = place_of(t, &m->id, m->part);

			old[i] = m->hash_next;
			m->hash_next = t->table[at];
			t->table[at] = m;
		}
	}
	free(old);
}

size_t qmgr_message_queued(const struct qmgr *q)
{
	return q->messages.n - q->messages.n_shard[QMGR_NO_SHARD];
}

struct qmgr_message *qmgr_message_find(struct qmgr *q, const struct uuid *id, unsigned part)
{
	struct qmgr_message *m = q->messages.table[place_of(&q->messages, id, part)];

	while (m != NULL && (m->part != part || !uuid_eq(&m->id, id)))
		m = m->hash_next;
	return m;
}

/* A tenant's part of the memory for what is queued. */
static void count_to_tenant(struct qmgr_message *m, int n)
{
	if (m->tenant != NULL && m->shard != QMGR_NO_SHARD)
		m->tenant->n_messages += (unsigned)n;
}

static void join_shard(struct qmgr_messages *t, struct qmgr_message *m)
{
	m->previous = NULL;
	m->next = t->shard[m->shard];
	if (m->next != NULL)
		m->next->previous = m;
	t->shard[m->shard] = m;
	t->n_shard[m->shard]++;
}

static void leave_shard(struct qmgr_messages *t, struct qmgr_message *m)
{
	if (m->next != NULL)
		m->next->previous = m->previous;
	if (m->previous != NULL)
		m->previous->next = m->next;
	else
		t->shard[m->shard] = m->next;
	m->next = m->previous = NULL;
	t->n_shard[m->shard]--;
}

struct qmgr_message *qmgr_message_add(struct qmgr *q, const struct uuid *id, unsigned part, unsigned shard,
				      struct qmgr_tenant *tenant)
{
	struct qmgr_messages *t = &q->messages;
	struct qmgr_message *m = mem_zero(sizeof(*m));
	size_t at;

	must(shard <= QMGR_NO_SHARD && part <= UINT16_MAX);
	if (t->n >= t->table_size)
		grow(t);
	at = place_of(t, id, part);
	m->id = *id;
	m->part = (uint16_t)part;
	m->tenant = tenant;
	m->shard = (uint8_t)shard;
	count_to_tenant(m, 1);
	m->state = QMGR_RECORDING;
	m->seen = q->scan.number;
	m->hash_next = t->table[at];
	t->table[at] = m;
	t->n++;
	join_shard(t, m);
	return m;
}

void qmgr_message_place(struct qmgr *q, struct qmgr_message *m, unsigned shard,
			struct qmgr_tenant *tenant)
{
	must(shard < QMGR_SHARDS);
	count_to_tenant(m, -1);
	leave_shard(&q->messages, m);
	m->tenant = tenant;
	m->shard = (uint8_t)shard;
	join_shard(&q->messages, m);
	count_to_tenant(m, 1);
}

void qmgr_message_pin(struct qmgr_message *m, struct str provider)
{
	mem_free(&m->pinned);
	if (provider.n > 0)
		m->pinned = str_dup(provider);
}

void qmgr_message_schedule(struct qmgr *q, struct qmgr_message *m, int64_t due, int64_t now)
{
	qmgr_schedule_remove(&q->schedule, &m->item);
	m->state = QMGR_SCHEDULED;
	m->item.lane = &m->tenant->lanes.fresh[m->call != NULL];
	m->item.due = due;
	if (due <= now)
		qmgr_schedule_ready(&q->schedule, &m->item);
	else
		qmgr_schedule_wait(&q->schedule, &m->item, due);
}

static void unhash_free(struct qmgr_messages *t, struct qmgr_message *m)
{
	struct qmgr_message **at = &t->table[place_of(t, &m->id, m->part)];

	while (*at != m)
		at = &(*at)->hash_next;
	*at = m->hash_next;
	t->n--;
	free(m->recipients);
	free(m->pinned);
	free(m);
}

void qmgr_message_drop(struct qmgr *q, struct qmgr_message *m)
{
	struct qmgr_messages *t = &q->messages;

	must(m->job == NULL && m->state != QMGR_GONE);
	qmgr_schedule_remove(&q->schedule, &m->item);
	qmgr_message_lose_body(q, m);
	count_to_tenant(m, -1);
	leave_shard(t, m);
	if (q->scan.is_running && q->scan.shard == m->shard) {
		m->state = QMGR_GONE;
		m->next = t->gone;
		t->gone = m;
		return;
	}
	unhash_free(t, m);
}

void qmgr_message_revive(struct qmgr *q, struct qmgr_message *m)
{
	struct qmgr_message **at = &q->messages.gone;

	must(m->state == QMGR_GONE);
	while (*at != m)
		at = &(*at)->next;
	*at = m->next;
	m->state = QMGR_RECORDING;
	count_to_tenant(m, 1);
	join_shard(&q->messages, m);
}

void qmgr_message_free_gone(struct qmgr *q)
{
	struct qmgr_messages *t = &q->messages;

	while (t->gone != NULL) {
		struct qmgr_message *m = t->gone;

		t->gone = m->next;
		unhash_free(t, m);
	}
}

struct qmgr_body *qmgr_message_body_new(struct str bytes, int fd, size_t file_size)
{
	struct qmgr_body *body = mem_grow(NULL, sizeof(*body) + bytes.n);

	body->holders = 0;
	body->n = bytes.n;
	body->fd = fd;
	body->file_size = file_size;
	memcpy(body->bytes, bytes.p, bytes.n);
	return body;
}

void qmgr_message_body_free(struct qmgr_body **body)
{
	if (*body == NULL)
		return;
	fd_close(&(*body)->fd);
	mem_free(body);
}

struct ipc_message qmgr_message_body_read(const struct qmgr_body *body, struct str *recipients)
{
	struct reader r = reader_of(str_bytes(body->bytes, body->n));
	struct ipc_message m;

	/* It was checked when it came in, or we wrote it. */
	must(ipc_get_message(&r, &m, recipients));
	return m;
}

int64_t qmgr_message_body_weight(const struct qmgr_body *body)
{
	return (int64_t)(body->n + body->file_size);
}

bool qmgr_message_has_room(const struct qmgr *q, const struct qmgr_body *body)
{
	return q->messages.body_bytes + qmgr_message_body_weight(body) <= q->env->settings->queue.memory &&
	       (body->fd < 0 || q->messages.n_files < q->messages.max_files);
}

void qmgr_message_keep_body(struct qmgr *q, struct qmgr_message *m, struct qmgr_body **body)
{
	must(m->body == NULL);
	m->body = *body;
	m->body->holders = 1;
	*body = NULL;
	q->messages.body_bytes += qmgr_message_body_weight(m->body);
	q->messages.n_files += m->body->fd >= 0;
}

void qmgr_message_lose_body(struct qmgr *q, struct qmgr_message *m)
{
	if (m->body == NULL)
		return;
	if (--m->body->holders > 0) {
		m->body = NULL;
		return;
	}
	q->messages.body_bytes -= qmgr_message_body_weight(m->body);
	q->messages.n_files -= m->body->fd >= 0;
	qmgr_message_body_free(&m->body);
}

void qmgr_message_share_body(const struct qmgr_message *m, struct qmgr_message *part)
{
	must(part->body == NULL && uuid_eq(&m->id, &part->id));
	part->body = m->body;
	if (part->body != NULL)
		part->body->holders++;
}
