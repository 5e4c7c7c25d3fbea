/* SPDX-License-Identifier: Apache-2.0
 *
 * The played smtpd and agents, and the loop they share with the queue manager under test.
 */
#include "tests/qmgr/qmgr_world.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/random.h"
#include "lib/base/trouble.h"
#include "tests/support/pg_fixture.h"

struct uuid world_tenant;
static struct loop *loop;
static char database[32];
static unsigned n_databases;

static void begin(void)
{
	if (loop == NULL) {
		loop = loop_new();
		log_open("qmgr_test", -1);
		log_set(LOG_FORMAT_PLAIN,
			getenv("QMGR_TEST_LOG") != NULL ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
	}
}

void world_begin_alone(void)
{
	begin();
	database[0] = '\0';
	random_fill(&world_tenant, sizeof(world_tenant));
}

void world_begin(void)
{
	char sql[256], id[UUID_TEXT];

	begin();
	pg_fixture_start();
	snprintf(database, sizeof(database), "qmgr%u", ++n_databases);
	pg_fixture_schema(database);
	random_fill(&world_tenant, sizeof(world_tenant));
	snprintf(sql, sizeof(sql), "INSERT INTO tenant (tenant_id, name) VALUES ('%s', 'acme')",
		 uuid_format(&world_tenant, id));
	pg_fixture_sql(database, sql);
}

const char *world_database(void)
{
	return database;
}

static void set(struct settings *settings, void *thing, const char *section, const char *name,
		const char *value)
{
	struct err err;

	for (size_t i = 0; i < settings_n_rows; i++) {
		const struct settings_row *row = &settings_rows[i];

		if (strcmp(row->section, section) == 0 && strcmp(row->name, name) == 0) {
			if (!settings_set(thing, row, str_of(value), &err))
				die("%s.%s: %s", section, name, err.text);
			return;
		}
	}
	die("no setting %s.%s", section, name);
	(void)settings;
}

static void add_provider(struct settings *settings, const char *key)
{
	for (size_t i = 0; i < settings_n_rows; i++)
		if (strcmp(settings_rows[i].section, "providers") == 0) {
			settings_add(settings, settings_rows[i].list, str_of(key));
			return;
		}
}

static bool smtpd_frame(void *ctx, struct ipc_peer *peer, struct ipc_frame *frame)
{
	struct world *w = ctx;
	struct ipc_submit_result result;

	(void)peer;
	if (frame->type == IPC_PRESSURE) {
		w->is_full = reader_u8(&frame->body);
		w->n_pressures++;
		return reader_is_done(&frame->body);
	}
	must(frame->type == IPC_SUBMIT_RESULT && ipc_get_submit_result(&frame->body, &result));
	must(w->n_answers < WORLD_KEPT);
	w->answer[w->n_answers] = (struct world_answer){frame->id, result.verdict, "", "", result.id};
	str_copy(str_first(result.reason, 127), w->answer[w->n_answers].reason, 128);
	str_copy(str_first(result.provider_id, 63), w->answer[w->n_answers].provider_id, 64);
	w->n_answers++;
	return true;
}

static void take_job(struct world *w, unsigned agent, struct ipc_frame *frame)
{
	static struct str recipients[IPC_RECIPIENTS_MAX];
	struct world_job *kept = &w->job[w->n_jobs++];
	struct ipc_job job;

	must(w->n_jobs < WORLD_KEPT && ipc_get_job(&frame->body, &job, recipients));
	memset(kept, 0, sizeof(*kept));
	kept->agent = agent;
	kept->message = job.message.id;
	kept->number = frame->id;
	kept->begin_before = job.begin_before;
	kept->attempt = job.attempt;
	kept->part = job.part;
	if (job.whom.n > 0)
		memcpy(kept->whom, job.whom.p, job.whom.n);
	kept->whom_n = job.whom.n;
	kept->size = job.message.size;
	kept->n_recipients = job.message.n_recipients;
	kept->has_file = frame->fd >= 0;
	kept->is_test = job.is_test;
	str_copy(job.message.recipients[0], kept->recipient, sizeof(kept->recipient));
	str_copy(job.provider, kept->provider, sizeof(kept->provider));
	str_copy(job.message.mail_from, kept->mail_from, sizeof(kept->mail_from));
	str_copy(job.message.dsn, kept->dsn, sizeof(kept->dsn));
	if (frame->fd >= 0) {
		const char *map;

		must(fd_is_sealed(frame->fd, job.message.size));
		map = fd_map(frame->fd, job.message.size);
		str_copy(str_bytes(map, WORLD_CONTENT - 1), kept->content, WORLD_CONTENT);
		fd_unmap(map, job.message.size);
	} else {
		str_copy(str_first(job.message.content, WORLD_CONTENT - 1), kept->content,
			 WORLD_CONTENT);
	}
}

static bool agent_frame(void *ctx, struct ipc_peer *peer, struct ipc_frame *frame)
{
	struct world *w = ctx;

	if (frame->type == IPC_JOB) {
		take_job(w, ipc_peer_slot(peer), frame);
		return true;
	}
	must(frame->type == IPC_OUTCOME_STORED && w->n_stored < WORLD_KEPT);
	must(ipc_get_attempt(&frame->body, &w->stored[w->n_stored++]));
	return true;
}

static void peer_gone(void *ctx, struct ipc_peer *peer, const char *why)
{
	struct world *w = ctx;

	(void)why;
	if (peer == w->smtpd)
		ipc_peer_free(&w->smtpd);
	for (unsigned i = 0; i < WORLD_AGENTS; i++)
		if (peer == w->agent[i])
			ipc_peer_free(&w->agent[i]);
}

void world_connect_agent(struct world *w, unsigned agent)
{
	/* The slot that ipc_peer_new() is told is our own number: the callbacks want it. */
	static const struct ipc_events events = {agent_frame, peer_gone};
	int fds[2];

	ipc_pair(fds);
	w->agent[agent] = ipc_peer_new(loop, fds[0], ROLE_DELIVER, ROLE_QMGR, agent, &events, w);
	qmgr_on_peer(w->qmgr, ROLE_DELIVER, agent, fds[1]);
}

void world_reconnect_smtpd(struct world *w)
{
	static const struct ipc_events events = {smtpd_frame, peer_gone};
	int fds[2];

	ipc_peer_free(&w->smtpd);
	ipc_pair(fds);
	w->smtpd = ipc_peer_new(loop, fds[0], ROLE_SMTPD, ROLE_QMGR, 0, &events, w);
	qmgr_on_peer(w->qmgr, ROLE_SMTPD, 0, fds[1]);
}

static void make(struct world *w, bool is_silent)
{
	w->qmgr = qmgr_new(&w->env, w->owner, w->place, WORLD_AGENTS);
	world_reconnect_smtpd(w);
	for (unsigned i = 0; i < WORLD_AGENTS; i++) {
		world_connect_agent(w, i);
		if (!is_silent)
			world_places(w, i, 64);
	}
}

static void run(struct world *w, bool is_silent)
{
	make(w, is_silent);
	qmgr_go(w->qmgr);
}

struct world *world_start(const char *owner, bool is_silent)
{
	return world_start_at("here", owner, is_silent);
}

struct world *world_start_at(const char *place, const char *owner, bool is_silent)
{
	struct world *w = mem_zero(sizeof(*w));

	w->settings = settings_new();
	add_provider(w->settings, "dev");
	add_provider(w->settings, "other");
	set(w->settings, w->settings, "database", database[0] == '\0' ? "host" : "name", database);
	set(w->settings, w->settings, "queue", "default_provider", "dev");
	set(w->settings, w->settings, "queue", "retry_first", "1s");
	set(w->settings, w->settings, "queue", "max_attempts", "3");
	set(w->settings, w->settings, "queue", "lease", "2s");
	w->env.loop = loop;
	w->env.settings = w->settings;
	w->env.host_name = owner;
	w->env.database_host = database[0] == '\0' ? "" : pg_fixture_start();
	w->env.database_ca_file = "";
	str_copy(str_of(owner), w->owner, sizeof(w->owner));
	str_copy(str_of(place), w->place, sizeof(w->place));
	run(w, is_silent);
	return w;
}

void world_kill(struct world *w)
{
	ipc_peer_free(&w->smtpd);
	for (unsigned i = 0; i < WORLD_AGENTS; i++)
		ipc_peer_free(&w->agent[i]);
	qmgr_free(&w->qmgr);
	loop_turn(loop, 0);
}

void world_restart(struct world *w, bool is_silent)
{
	run(w, is_silent);
}

void world_restart_early(struct world *w)
{
	make(w, false);
}

void world_free(struct world **w)
{
	world_kill(*w);
	settings_free(&(*w)->settings);
	mem_free(w);
}

bool world_until(bool (*cond)(struct world *w, unsigned n), struct world *w, unsigned n)
{
	int64_t end = clock_mono() + 15 * CLOCK_SECOND;

	while (clock_mono() < end) {
		if (cond(w, n))
			return true;
		loop_turn(loop, 20 * CLOCK_MS);
	}
	return false;
}

void world_pass(int64_t microseconds)
{
	int64_t end = clock_mono() + microseconds;

	while (clock_mono() < end)
		loop_turn(loop, 10 * CLOCK_MS);
}

bool world_owns_all(struct world *w, unsigned n)
{
	(void)n;
	return w->qmgr->lease.n_ours == QMGR_SHARDS;
}

bool world_has_answers(struct world *w, unsigned n)
{
	return w->n_answers >= n;
}

bool world_has_jobs(struct world *w, unsigned n)
{
	return w->n_jobs >= n;
}

bool world_has_stored(struct world *w, unsigned n)
{
	return w->n_stored >= n;
}

bool world_is_empty(struct world *w, unsigned n)
{
	(void)n;
	return w->qmgr->messages.n == 0;
}

struct ipc_message world_message(const char *content)
{
	static const struct str recipients[] = {{"a@example.org", 13},
						{"\"x\\\"y, {}\"@example.org", 22}};

	return (struct ipc_message){
		.id = uuid_new(clock_wall()),
		.tenant = world_tenant,
		.session = STR("s1"),
		.client = STR("127.0.0.1"),
		.helo = STR("client.example"),
		.mail_from = STR("sender@example.org"),
		.recipients = recipients,
		.n_recipients = 2,
		.mail_at = clock_wall(),
		.received_at = clock_wall(),
		.size = (uint32_t)strlen(content),
		.content = str_of(content),
	};
}

static void submit(struct world *w, enum ipc_type type, uint64_t frame_id, const struct ipc_message *m, int fd)
{
	struct buf body = BUF_MAX(IPC_BODY_MAX);

	ipc_put_message(&body, m);
	ipc_send(w->smtpd, type, frame_id, buf_str(&body), fd);
	buf_clear(&body);
}

void world_submit_message(struct world *w, uint64_t frame_id, const struct ipc_message *m, int fd)
{
	submit(w, IPC_SUBMIT, frame_id, m, fd);
}

void world_submit_again(struct world *w, uint64_t frame_id, const struct ipc_message *m)
{
	submit(w, IPC_SUBMIT_AGAIN, frame_id, m, -1);
}

struct uuid world_submit(struct world *w, uint64_t frame_id, const char *content)
{
	struct ipc_message m = world_message(content);

	world_submit_message(w, frame_id, &m, -1);
	return m.id;
}

void world_close_agent(struct world *w, unsigned agent)
{
	ipc_peer_free(&w->agent[agent]);
}

void world_places(struct world *w, unsigned agent, unsigned places)
{
	char bytes[4];
	struct buf body = {.p = bytes, .size = sizeof(bytes), .max = sizeof(bytes)};

	buf_put_u32(&body, places);
	ipc_send(w->agent[agent], IPC_PLACES, 0, buf_str(&body), -1);
}

void world_running(struct world *w, unsigned agent, const struct uuid *id, uint32_t attempt)
{
	world_running_part(w, agent, id, 0, attempt);
}

void world_running_part(struct world *w, unsigned agent, const struct uuid *id, unsigned part, uint32_t attempt)
{
	struct buf body = BUF_MAX(64);
	struct ipc_attempt a = {*id, attempt, (uint16_t)part};

	ipc_put_attempt(&body, &a);
	ipc_send(w->agent[agent], IPC_RUNNING, 0, buf_str(&body), -1);
	buf_clear(&body);
}

void world_outcome(struct world *w, unsigned agent, const struct uuid *id, uint32_t attempt,
		   enum ipc_outcome_class class)
{
	struct buf body = BUF_MAX(8192);
	struct ipc_outcome o = {
		.attempt = {*id, attempt, 0},
		.class = class,
		.provider = STR("dev"),
		.provider_id = class == IPC_OUTCOME_SENT ? STR("P-1") : STR(""),
		.code = 200,
		.reason = STR("because \xff"), /* what Postgres would refuse */
		.started_at = attempt, /* the same when it is told again */
		.answered_at = clock_wall(),
	};

	ipc_put_outcome(&body, &o);
	ipc_send(w->agent[agent], IPC_OUTCOME, 0, buf_str(&body), -1);
	buf_clear(&body);
}

void world_report(struct world *w, unsigned job, const struct ipc_outcome *o)
{
	struct ipc_outcome out = *o;
	struct buf body = BUF_MAX(8192);

	must(job < w->n_jobs);
	out.attempt = (struct ipc_attempt){w->job[job].message, w->job[job].attempt, (uint16_t)w->job[job].part};
	out.whom = str_bytes(w->job[job].whom, w->job[job].whom_n);
	out.provider = str_of(w->job[job].provider);
	out.answered_at = clock_wall();
	if (out.started_at == 0)
		out.started_at = out.answered_at;
	ipc_put_outcome(&body, &out);
	ipc_send(w->agent[w->job[job].agent], IPC_OUTCOME, 0, buf_str(&body), -1);
	buf_clear(&body);
}

void world_report_each(struct world *w, unsigned job, enum ipc_outcome_class class, const char *refusals)
{
	struct buf bytes = BUF_MAX(8192);

	for (; *refusals != '\0'; refusals += refusals[2] == ' ' ? 3 : 2) {
		bool is_later = refusals[1] == 'T';
		struct ipc_refusal f = {.recipient = (uint16_t)(refusals[0] - '0'),
					.class = is_later ? IPC_OUTCOME_TRANSIENT : IPC_OUTCOME_PERMANENT,
					.code = is_later ? 450 : 550,
					.status = is_later ? STR("4.2.1") : STR("5.1.1"),
					.reason = is_later ? STR("later") : STR("nobody")};

		ipc_put_refusal(&bytes, &f);
	}
	world_report(w, job,
		     &(struct ipc_outcome){.class = class, .code = 202, .reason = STR("words"), .provider_id = STR("P-1"),
					   .refusals = buf_str(&bytes)});
	buf_clear(&bytes);
}

void world_late(struct world *w, unsigned job)
{
	struct buf body = BUF_MAX(64);
	struct ipc_attempt a = {w->job[job].message, w->job[job].attempt, 0};

	ipc_put_attempt(&body, &a);
	ipc_send(w->agent[w->job[job].agent], IPC_JOB_LATE, w->job[job].number, buf_str(&body), -1);
	buf_clear(&body);
}

long long world_count(const char *sql)
{
	return atoll(pg_fixture_ask(database, sql));
}
