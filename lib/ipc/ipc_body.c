/* SPDX-License-Identifier: Apache-2.0
 *
 * The structs of ipc_body.h to bytes and back. Pure. Every ipc_get_ function checks all it reads and
 * wants nothing left over.
 */
#include "lib/ipc/ipc_body.h"

#include <string.h>

static const char *const outcome_class_names[IPC_OUTCOME_CLASSES] = {
	[IPC_OUTCOME_SENT] = "sent",
	[IPC_OUTCOME_TRANSIENT] = "transient",
	[IPC_OUTCOME_PERMANENT] = "permanent",
	[IPC_OUTCOME_PROVIDER_FAULT] = "provider-fault",
	[IPC_OUTCOME_UNKNOWN] = "unknown",
	[IPC_OUTCOME_UNFIT] = "unfit",
};

const char *ipc_outcome_class_name(enum ipc_outcome_class class)
{
	return outcome_class_names[class];
}

static void put_uuid(struct buf *out, const struct uuid *u)
{
	buf_put(out, u->b, sizeof(u->b));
}

static struct uuid get_uuid(struct reader *r)
{
	struct str s = reader_bytes(r, sizeof(struct uuid));
	struct uuid u = {{0}};

	if (s.n == sizeof(u.b))
		memcpy(u.b, s.p, sizeof(u.b));
	return u;
}

/* A value of an enum with `count` members. */
static uint8_t get_choice(struct reader *r, unsigned count)
{
	uint8_t v = reader_u8(r);

	if (v >= count) {
		r->is_bad = true;
		return 0;
	}
	return v;
}

void ipc_put_identity(struct buf *out, const struct ipc_identity *i)
{
	buf_put_u8(out, i->number);
	buf_put_u8(out, i->count);
	buf_put_blob(out, i->pem);
	buf_put_blob(out, i->ocsp);
}

bool ipc_get_identity(struct reader *r, struct ipc_identity *i)
{
	i->number = reader_u8(r);
	i->count = reader_u8(r);
	i->pem = reader_blob(r);
	i->ocsp = reader_blob(r);
	return reader_is_done(r) && i->number < i->count;
}

void ipc_put_run(struct buf *out, const struct ipc_run *run)
{
	buf_put_u8(out, (uint8_t)run->program);
	buf_put_u8(out, (uint8_t)run->n);
	for (unsigned i = 0; i < run->n; i++)
		buf_put_blob(out, run->argument[i]);
}

bool ipc_get_run(struct reader *r, struct ipc_run *run)
{
	run->program = (enum ipc_program)get_choice(r, IPC_PROGRAMS);
	run->n = get_choice(r, IPC_RUN_ARGUMENTS + 1);
	for (unsigned i = 0; i < run->n; i++)
		run->argument[i] = reader_blob(r);
	return reader_is_done(r);
}

void ipc_put_run_result(struct buf *out, const struct ipc_run_result *result)
{
	buf_put_u8(out, result->is_done);
	buf_put_blob(out, result->output);
}

bool ipc_get_run_result(struct reader *r, struct ipc_run_result *result)
{
	result->is_done = get_choice(r, 2) != 0;
	result->output = reader_blob(r);
	return reader_is_done(r);
}

void ipc_put_share(struct buf *out, const struct ipc_share *share)
{
	buf_put_u8(out, (uint8_t)share->act);
	buf_put_blob(out, share->name);
	buf_put_blob(out, share->value);
	buf_put_u64(out, (uint64_t)share->lifetime);
}

bool ipc_get_share(struct reader *r, struct ipc_share *share)
{
	share->act = (enum ipc_share_act)get_choice(r, IPC_SHARE_ACTS);
	share->name = reader_blob(r);
	share->value = reader_blob(r);
	share->lifetime = (int64_t)reader_u64(r);
	return reader_is_done(r) && share->name.n > 0 && share->name.n <= IPC_SHARE_NAME && share->lifetime >= 0;
}

void ipc_put_share_result(struct buf *out, const struct ipc_share_result *result)
{
	buf_put_u8(out, (uint8_t)result->verdict);
	buf_put_blob(out, result->value);
}

bool ipc_get_share_result(struct reader *r, struct ipc_share_result *result)
{
	result->verdict = (enum ipc_share_verdict)get_choice(r, IPC_SHARE_VERDICTS);
	result->value = reader_blob(r);
	return reader_is_done(r);
}

void ipc_put_ticket_keys(struct buf *out, const struct ipc_ticket_keys *t)
{
	buf_put_u64(out, (uint64_t)t->made_at);
	buf_put_u64(out, (uint64_t)t->lifetime);
	buf_put_blob(out, t->keys);
}

bool ipc_get_ticket_keys(struct reader *r, struct ipc_ticket_keys *t)
{
	t->made_at = (int64_t)reader_u64(r);
	t->lifetime = (int64_t)reader_u64(r);
	t->keys = reader_blob(r);
	return reader_is_done(r);
}

void ipc_put_connect(struct buf *out, const struct ipc_connect *c)
{
	buf_put_blob(out, c->session);
	buf_put_blob(out, c->client);
	buf_put_u8(out, c->is_inside);
}

bool ipc_get_connect(struct reader *r, struct ipc_connect *c)
{
	c->session = reader_blob(r);
	c->client = reader_blob(r);
	c->is_inside = get_choice(r, 2);
	return reader_is_done(r);
}

void ipc_put_verdict(struct buf *out, unsigned verdict)
{
	buf_put_u8(out, (uint8_t)verdict);
}

bool ipc_get_verdict(struct reader *r, unsigned count, unsigned *verdict)
{
	*verdict = get_choice(r, count);
	return reader_is_done(r);
}

void ipc_put_may_send(struct buf *out, const struct ipc_may_send *m)
{
	buf_put_blob(out, m->session);
	buf_put_blob(out, m->client);
	put_uuid(out, &m->tenant);
	put_uuid(out, &m->user);
}

bool ipc_get_may_send(struct reader *r, struct ipc_may_send *m)
{
	m->session = reader_blob(r);
	m->client = reader_blob(r);
	m->tenant = get_uuid(r);
	m->user = get_uuid(r);
	return reader_is_done(r);
}

void ipc_put_may_send_result(struct buf *out, const struct ipc_may_send_result *m)
{
	buf_put_u8(out, (uint8_t)m->verdict);
	buf_put_u8(out, m->asks_recipients);
}

bool ipc_get_may_send_result(struct reader *r, struct ipc_may_send_result *m)
{
	m->verdict = get_choice(r, IPC_MAY_SEND_VERDICTS);
	m->asks_recipients = get_choice(r, 2);
	return reader_is_done(r);
}

void ipc_put_may_receive(struct buf *out, const struct ipc_may_receive *m)
{
	buf_put_blob(out, m->session);
	put_uuid(out, &m->tenant);
	buf_put_blob(out, m->recipient);
}

bool ipc_get_may_receive(struct reader *r, struct ipc_may_receive *m)
{
	m->session = reader_blob(r);
	m->tenant = get_uuid(r);
	m->recipient = reader_blob(r);
	return reader_is_done(r);
}

void ipc_put_auth(struct buf *out, const struct ipc_auth *a)
{
	buf_put_u8(out, (uint8_t)a->mechanism);
	buf_put_blob(out, a->session);
	buf_put_blob(out, a->client);
	buf_put_blob(out, a->user);
	buf_put_blob(out, a->password);
	buf_put_blob(out, a->certificate);
}

bool ipc_get_auth(struct reader *r, struct ipc_auth *a)
{
	a->mechanism = get_choice(r, IPC_AUTH_MECHANISMS);
	a->session = reader_blob(r);
	a->client = reader_blob(r);
	a->user = reader_blob(r);
	a->password = reader_blob(r);
	a->certificate = reader_blob(r);
	return reader_is_done(r);
}

void ipc_put_auth_result(struct buf *out, const struct ipc_auth_result *a)
{
	buf_put_u8(out, (uint8_t)a->verdict);
	put_uuid(out, &a->tenant);
	put_uuid(out, &a->user);
	buf_put_blob(out, a->tenant_name);
	buf_put_blob(out, a->user_name);
	buf_put_blob(out, a->senders);
	buf_put_u8(out, (uint8_t)a->mode);
	buf_put_u8(out, a->is_test);
	buf_put_u8(out, a->asks_recipients);
}

bool ipc_get_auth_result(struct reader *r, struct ipc_auth_result *a)
{
	a->verdict = get_choice(r, IPC_AUTH_VERDICTS);
	a->tenant = get_uuid(r);
	a->user = get_uuid(r);
	a->tenant_name = reader_blob(r);
	a->user_name = reader_blob(r);
	a->senders = reader_blob(r);
	a->mode = get_choice(r, IPC_MODES);
	a->is_test = get_choice(r, 2);
	a->asks_recipients = get_choice(r, 2);
	return reader_is_done(r);
}

void ipc_put_message(struct buf *out, const struct ipc_message *m)
{
	put_uuid(out, &m->id);
	put_uuid(out, &m->tenant);
	put_uuid(out, &m->user);
	buf_put_blob(out, m->session);
	buf_put_blob(out, m->client);
	buf_put_blob(out, m->helo);
	buf_put_blob(out, m->mail_from);
	buf_put_u16(out, (uint16_t)m->n_recipients);
	for (unsigned i = 0; i < m->n_recipients; i++)
		buf_put_blob(out, m->recipients[i]);
	buf_put_u8(out, m->is_8bit);
	buf_put_u8(out, m->is_utf8);
	buf_put_u64(out, (uint64_t)m->mail_at);
	buf_put_u64(out, (uint64_t)m->received_at);
	buf_put_u8(out, (uint8_t)m->mode);
	buf_put_blob(out, m->dsn);
	buf_put_blob(out, m->idempotency_key);
	buf_put_u8(out, m->is_test);
	buf_put_u32(out, m->size);
	buf_put_blob(out, m->content);
}

static bool get_message(struct reader *r, struct ipc_message *m, struct str *recipients)
{
	m->id = get_uuid(r);
	m->tenant = get_uuid(r);
	m->user = get_uuid(r);
	m->session = reader_blob(r);
	m->client = reader_blob(r);
	m->helo = reader_blob(r);
	m->mail_from = reader_blob(r);
	m->n_recipients = reader_u16(r);
	if (m->n_recipients == 0 || m->n_recipients > IPC_RECIPIENTS_MAX) {
		r->is_bad = true;
		return false;
	}
	for (unsigned i = 0; i < m->n_recipients; i++)
		recipients[i] = reader_blob(r);
	m->recipients = recipients;
	m->is_8bit = get_choice(r, 2);
	m->is_utf8 = get_choice(r, 2);
	m->mail_at = (int64_t)reader_u64(r);
	m->received_at = (int64_t)reader_u64(r);
	m->mode = get_choice(r, IPC_MODE_OF_LISTENER);
	m->dsn = reader_blob(r);
	m->idempotency_key = reader_blob(r);
	m->is_test = get_choice(r, 2);
	m->size = reader_u32(r);
	m->content = reader_blob(r);
	return !r->is_bad && uuid_is_v7(&m->id) && m->session.n < IPC_SESSION_TEXT && m->idempotency_key.n <= IPC_KEY_MAX &&
	       m->content.n == (m->size > IPC_INLINE_MAX ? 0 : m->size);
}

bool ipc_get_message(struct reader *r, struct ipc_message *m, struct str *recipients)
{
	return get_message(r, m, recipients) && reader_is_done(r);
}

void ipc_put_submit_result(struct buf *out, const struct ipc_submit_result *s)
{
	buf_put_u8(out, (uint8_t)s->verdict);
	buf_put_blob(out, s->reason);
	buf_put_blob(out, s->provider_id);
	put_uuid(out, &s->id);
}

bool ipc_get_submit_result(struct reader *r, struct ipc_submit_result *s)
{
	s->verdict = get_choice(r, IPC_SUBMIT_VERDICTS);
	s->reason = reader_blob(r);
	s->provider_id = reader_blob(r);
	s->id = get_uuid(r);
	return reader_is_done(r);
}

void ipc_put_job(struct buf *out, const struct ipc_job *j)
{
	buf_put_u32(out, j->attempt);
	buf_put_u16(out, j->part);
	buf_put_blob(out, j->whom);
	buf_put_blob(out, j->provider);
	buf_put_blob(out, j->credential);
	buf_put_u8(out, j->is_test);
	buf_put_u64(out, (uint64_t)j->begin_before);
	ipc_put_message(out, &j->message);
}

bool ipc_get_job(struct reader *r, struct ipc_job *j, struct str *recipients)
{
	j->attempt = reader_u32(r);
	j->part = reader_u16(r);
	j->whom = reader_blob(r);
	j->provider = reader_blob(r);
	j->credential = reader_blob(r);
	j->is_test = get_choice(r, 2);
	j->begin_before = (int64_t)reader_u64(r);
	return get_message(r, &j->message, recipients) && reader_is_done(r) && ipc_whom_is_good(j->whom);
}

void ipc_put_index(struct buf *out, uint16_t index)
{
	buf_put_u16(out, index);
}

unsigned ipc_whom_count(struct str whom)
{
	return (unsigned)(whom.n / sizeof(uint16_t));
}

uint16_t ipc_whom_at(struct str whom, unsigned i)
{
	struct reader r = reader_of(str_from(whom, i * sizeof(uint16_t)));

	return reader_u16(&r);
}

bool ipc_whom_is_good(struct str whom)
{
	unsigned next = 0;

	for (unsigned i = 0; i < ipc_whom_count(whom); i++) {
		uint16_t index = ipc_whom_at(whom, i);

		if (index < next || index >= IPC_RECIPIENTS_MAX)
			return false;
		next = index + 1U;
	}
	return whom.n % sizeof(uint16_t) == 0;
}

void ipc_put_attempt(struct buf *out, const struct ipc_attempt *a)
{
	put_uuid(out, &a->message);
	buf_put_u32(out, a->attempt);
	buf_put_u16(out, a->part);
}

static void get_attempt(struct reader *r, struct ipc_attempt *a)
{
	a->message = get_uuid(r);
	a->attempt = reader_u32(r);
	a->part = reader_u16(r);
}

bool ipc_get_attempt(struct reader *r, struct ipc_attempt *a)
{
	get_attempt(r, a);
	return reader_is_done(r);
}

void ipc_put_outcome(struct buf *out, const struct ipc_outcome *o)
{
	ipc_put_attempt(out, &o->attempt);
	buf_put_blob(out, o->whom);
	buf_put_u8(out, (uint8_t)o->class);
	buf_put_blob(out, o->provider);
	buf_put_blob(out, o->provider_id);
	buf_put_u32(out, o->code);
	buf_put_blob(out, o->status);
	buf_put_blob(out, o->reason);
	buf_put_u32(out, o->retry_after);
	buf_put_u64(out, (uint64_t)o->started_at);
	buf_put_u64(out, (uint64_t)o->answered_at);
	buf_put_u8(out, (uint8_t)o->about);
	buf_put_u32(out, o->rate.limit);
	buf_put_u32(out, o->rate.left);
	buf_put_u32(out, o->rate.reset);
	buf_put_blob(out, o->refusals);
	buf_put_u8(out, o->is_dsn_passed);
}

/* Each recipient once, in their order. */
static bool are_refusals(struct str bytes)
{
	struct reader r = reader_of(bytes);
	struct ipc_refusal f;
	unsigned next = 0;

	while (ipc_get_refusal(&r, &f)) {
		if (f.recipient < next)
			return false;
		next = f.recipient + 1U;
	}
	return reader_is_done(&r);
}

bool ipc_get_outcome(struct reader *r, struct ipc_outcome *o)
{
	get_attempt(r, &o->attempt);
	o->whom = reader_blob(r);
	o->class = get_choice(r, IPC_OUTCOME_CLASSES);
	o->provider = reader_blob(r);
	o->provider_id = reader_blob(r);
	o->code = reader_u32(r);
	o->status = reader_blob(r);
	o->reason = reader_blob(r);
	o->retry_after = reader_u32(r);
	o->started_at = (int64_t)reader_u64(r);
	o->answered_at = (int64_t)reader_u64(r);
	o->about = get_choice(r, IPC_ABOUTS);
	o->rate.limit = reader_u32(r);
	o->rate.left = reader_u32(r);
	o->rate.reset = reader_u32(r);
	o->refusals = reader_blob(r);
	o->is_dsn_passed = get_choice(r, 2);
	return reader_is_done(r) && ipc_whom_is_good(o->whom) && are_refusals(o->refusals);
}

void ipc_put_refusal(struct buf *out, const struct ipc_refusal *f)
{
	buf_put_u16(out, f->recipient);
	buf_put_u8(out, (uint8_t)f->class);
	buf_put_u32(out, f->code);
	buf_put_blob(out, f->status);
	buf_put_blob(out, f->reason);
}

bool ipc_get_refusal(struct reader *r, struct ipc_refusal *f)
{
	if (reader_is_done(r))
		return false;
	f->recipient = reader_u16(r);
	f->class = get_choice(r, IPC_OUTCOME_CLASSES);
	f->code = reader_u32(r);
	f->status = reader_blob(r);
	f->reason = reader_blob(r);
	r->is_bad |= f->class != IPC_OUTCOME_TRANSIENT && f->class != IPC_OUTCOME_PERMANENT && f->class != IPC_OUTCOME_SENT;
	return !r->is_bad;
}
