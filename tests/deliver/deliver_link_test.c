/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of deliver/deliver_link.c and deliver/deliver_job.c: this program plays qmgr at one side and the
 * provider at the other.
 */
#include "deliver/deliver_link.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "deliver/mime_message.h"
#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "tests/support/unit.h"

enum { FRAMES = 64, LARGE = 100000 };

/* What qmgr was told. */
struct told {
	enum ipc_type type;
	uint64_t id;
	struct ipc_attempt attempt;
	enum ipc_outcome_class class;
	uint32_t code, places;
	char provider[64], provider_id[64], reason[512];
	char whom[64], refusals[64]; /* as "3 5" and "3P 5T" */
};

struct scene {
	struct loop *loop;
	char directory[64], mail[80];
	struct settings *settings;
	struct deliver_job_directory directories[1];
	struct deliver_job_pool pool;
	struct deliver_link *link;
	struct ipc_peer *qmgr;
	bool is_cut;
	struct told told[FRAMES];
	unsigned n_told;
	/* the provider */
	int listener, client;
	struct loop_fd *listening, *reading;
	unsigned n_requests;
	const char *answer; /* NULL: none */
};

/* ---- the provider ---- */

static void on_request(void *ctx, unsigned events)
{
	struct scene *s = ctx;
	char bytes[262144];
	ssize_t got = read(s->client, bytes, sizeof(bytes) - 1);

	(void)events;
	if (got <= 0) {
		loop_fd_free(&s->reading);
		fd_close(&s->client);
		return;
	}
	bytes[got] = '\0';
	if (strstr(bytes, "POST /v3/mail/send") != NULL)
		s->n_requests++;
	/* The last words of every request. */
	if (strstr(bytes, "\"subscription_tracking\":{\"enable\":false}}}") != NULL && s->answer != NULL)
		UNIT_TRUE(fd_write_all(s->client, s->answer, strlen(s->answer)));
}

static void on_connection(void *ctx, unsigned events)
{
	struct scene *s = ctx;

	(void)events;
	UNIT_INT(s->client, -1);
	s->client = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	s->reading = loop_fd_new(s->loop, s->client, on_request, s);
	loop_fd_want(s->reading, LOOP_READ);
}

static unsigned provider_start(struct scene *s)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);

	s->client = -1;
	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	UNIT_TRUE(bind(s->listener, (struct sockaddr *)&address, size) == 0 && listen(s->listener, 8) == 0);
	UNIT_TRUE(getsockname(s->listener, (struct sockaddr *)&address, &size) == 0);
	s->listening = loop_fd_new(s->loop, s->listener, on_connection, s);
	loop_fd_want(s->listening, LOOP_READ);
	return ntohs(address.sin_port);
}

/* ---- qmgr ---- */

static void put_lists(struct told *t, const struct ipc_outcome *o)
{
	struct buf whom = {.p = t->whom, .size = sizeof(t->whom), .max = sizeof(t->whom) - 1};
	struct buf refusals = {.p = t->refusals, .size = sizeof(t->refusals), .max = sizeof(t->refusals) - 1};
	struct reader r = reader_of(o->refusals);
	struct ipc_refusal f;

	memset(t->whom, 0, sizeof(t->whom));
	memset(t->refusals, 0, sizeof(t->refusals));
	for (unsigned i = 0; i < ipc_whom_count(o->whom); i++)
		buf_printf(&whom, i == 0 ? "%u" : " %u", ipc_whom_at(o->whom, i));
	while (ipc_get_refusal(&r, &f))
		buf_printf(&refusals, "%u%c", f.recipient, f.class == IPC_OUTCOME_PERMANENT ? 'P' : 'T');
}

static bool on_told(void *ctx, struct ipc_peer *peer, struct ipc_frame *frame)
{
	struct scene *s = ctx;
	struct told *t = &s->told[s->n_told];
	struct ipc_outcome o;

	(void)peer;
	UNIT_TRUE(s->n_told < FRAMES);
	t->type = frame->type;
	t->id = frame->id;
	if (frame->type == IPC_PLACES) {
		t->places = reader_u32(&frame->body);
	} else if (frame->type == IPC_RUNNING || frame->type == IPC_JOB_LATE) {
		UNIT_TRUE(ipc_get_attempt(&frame->body, &t->attempt));
	} else {
		UNIT_TRUE(ipc_get_outcome(&frame->body, &o));
		t->attempt = o.attempt;
		t->class = o.class;
		t->code = o.code;
		UNIT_TRUE(str_copy(o.provider, t->provider, sizeof(t->provider)));
		UNIT_TRUE(str_copy(o.provider_id, t->provider_id, sizeof(t->provider_id)));
		UNIT_TRUE(str_copy(o.reason, t->reason, sizeof(t->reason)));
		put_lists(t, &o);
		UNIT_TRUE(o.answered_at >= o.started_at && o.started_at > 0);
	}
	s->n_told++;
	return true;
}

static void on_cut(void *ctx, struct ipc_peer *peer, const char *why)
{
	struct scene *s = ctx;

	(void)why;
	if (peer == s->qmgr) {
		s->is_cut = true;
		ipc_peer_free(&s->qmgr);
	}
}

/* Turns until qmgr was told so many things. */
static void await(struct scene *s, unsigned n)
{
	int64_t end = clock_mono() + 10 * CLOCK_SECOND;

	while (s->n_told < n && clock_mono() < end)
		loop_turn(s->loop, 50000);
	UNIT_INT(s->n_told, n);
}

static void connect_qmgr(struct scene *s)
{
	static const struct ipc_events events = {on_told, on_cut};
	int fds[2];

	ipc_peer_free(&s->qmgr);
	s->n_told = 0;
	ipc_pair(fds);
	s->qmgr = ipc_peer_new(s->loop, fds[0], ROLE_QMGR, ROLE_DELIVER, 0, &events, s);
	deliver_link_connect(s->link, 0, fds[1]);
}

static struct ipc_attempt attempt_of(unsigned char message, uint32_t number)
{
	struct ipc_attempt a = {.attempt = number};

	a.message.b[6] = 0x70;
	a.message.b[8] = 0x80;
	a.message.b[15] = message;
	return a;
}

static void send_job_before(struct scene *s, uint64_t id, unsigned char message, const char *provider, struct str content,
			    int fd, uint32_t size, int64_t begin_before)
{
	const struct str to = STR("b@b");
	const struct ipc_attempt a = attempt_of(message, 1);
	const struct ipc_job job = {
		.attempt = 1,
		.provider = str_of(provider),
		.begin_before = begin_before,
		.message = {.id = a.message, .session = STR("s1"), .client = STR("127.0.0.1"), .mail_from = STR("a@a"),
			    .recipients = &to, .n_recipients = 1, .size = size, .content = content},
	};
	struct buf body = BUF_MAX(IPC_BODY_MAX);

	ipc_put_job(&body, &job);
	UNIT_TRUE(ipc_send(s->qmgr, IPC_JOB, id, buf_str(&body), fd));
	buf_clear(&body);
}

static void send_job(struct scene *s, uint64_t id, unsigned char message, const char *provider, struct str content,
		     int fd, uint32_t size)
{
	send_job_before(s, id, message, provider, content, fd, size, 0);
}

static void send_small(struct scene *s, uint64_t id, unsigned char message, const char *provider)
{
	const struct str content = STR("From: a@a\r\nTo: b@b\r\n\r\nhello\r\n");

	send_job(s, id, message, provider, content, -1, (uint32_t)content.n);
}

static void send_stored(struct scene *s, unsigned char message)
{
	const struct ipc_attempt a = attempt_of(message, 1);
	struct buf body = BUF_MAX(64);

	ipc_put_attempt(&body, &a);
	UNIT_TRUE(ipc_send(s->qmgr, IPC_OUTCOME_STORED, 0, buf_str(&body), -1));
	buf_clear(&body);
}

/* ---- the scene ---- */

static void set_text(char **text, const char *value)
{
	free(*text);
	*text = mem_text(value);
}

static void add_provider(struct settings *settings, int type, const char *key, const char *endpoint,
			 const char *directory)
{
	const struct settings_list *list = NULL;
	struct settings_provider *row;

	for (size_t i = 0; i < settings_n_rows; i++)
		if (settings_rows[i].list != NULL && strcmp(settings_rows[i].section, "providers") == 0)
			list = settings_rows[i].list;
	row = settings_add(settings, list, str_of(key));
	row->type = type;
	set_text(&row->endpoint, endpoint);
	set_text(&row->api_key, "SG.k");
	set_text(&row->directory, directory);
}

static void agent_start(struct scene *s)
{
	const struct http_client_config config = {.connect_timeout = CLOCK_SECOND, .max_connections = 4};
	int files[DELIVER_JOURNAL_FILES];
	struct err err;

	UNIT_TRUE(deliver_journal_open(s->directory, 0, geteuid(), getegid(), files, &err));
	s->pool = (struct deliver_job_pool){
		.http = http_client_new(s->loop, &config),
		.journal = deliver_journal_new(files),
		.settings = s->settings,
		.directories = s->directories,
		.n_directories = 1,
	};
	s->pool.tokens = deliver_token_cache_new(s->pool.http, NULL);
	s->link = deliver_link_new(s->loop, &s->pool);
	deliver_link_set_places(s->link, 7);
}

static void agent_end(struct scene *s)
{
	deliver_link_free(&s->link);
	http_client_free(&s->pool.http);
	deliver_job_abandon(&s->pool);
	deliver_token_cache_free(&s->pool.tokens);
	deliver_journal_free(&s->pool.journal);
}

static void scene_open(struct scene *s, const char *answer)
{
	char url[64];

	memset(s, 0, sizeof(*s));
	log_set(LOG_FORMAT_PLAIN, LOG_LEVEL_ERROR);
	http_client_prepare();
	mime_message_prepare();
	s->loop = loop_new();
	s->answer = answer;
	snprintf(s->directory, sizeof(s->directory), "/tmp/deliver-link-XXXXXX");
	UNIT_TRUE(mkdtemp(s->directory) != NULL);
	snprintf(s->mail, sizeof(s->mail), "%s/mail", s->directory);
	UNIT_INT(mkdir(s->mail, 0700), 0);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u", provider_start(s));
	s->settings = settings_new();
	s->settings->deliver.call_timeout = 500000;
	add_provider(s->settings, PROVIDER_SENDGRID, "sg", url, "");
	add_provider(s->settings, PROVIDER_SENDGRID, "gone", "http://127.0.0.1:1", "");
	add_provider(s->settings, PROVIDER_CAKEMAIL, "tokens", url, "");
	add_provider(s->settings, PROVIDER_FILE, "local", "", s->mail);
	s->directories[0] = (struct deliver_job_directory){s->mail, open(s->mail, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
	agent_start(s);
	connect_qmgr(s);
	await(s, 1);
	UNIT_INT(s->told[0].type, IPC_PLACES);
	UNIT_INT(s->told[0].places, 7);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *place)
{
	(void)st;
	(void)type;
	(void)place;
	return remove(path);
}

static void scene_close(struct scene *s)
{
	agent_end(s);
	ipc_peer_free(&s->qmgr);
	loop_fd_free(&s->listening);
	loop_fd_free(&s->reading);
	fd_close(&s->client);
	fd_close(&s->listener);
	fd_close(&s->directories[0].fd);
	settings_free(&s->settings);
	loop_turn(s->loop, 0);
	loop_free(&s->loop);
	UNIT_INT(nftw(s->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

#define ACCEPTED "HTTP/1.1 202 Accepted\r\nX-Message-Id: sg-id\r\nContent-Length: 0\r\n\r\n"

static void a_job_is_called_answered_and_struck(void)
{
	struct scene s;

	scene_open(&s, ACCEPTED);
	send_small(&s, 42, 1, "sg");
	await(&s, 2);
	UNIT_INT(s.told[1].type, IPC_OUTCOME);
	UNIT_INT(s.told[1].id, 42);
	UNIT_INT(s.told[1].attempt.message.b[15], 1);
	UNIT_INT(s.told[1].class, IPC_OUTCOME_SENT);
	UNIT_INT(s.told[1].code, 202);
	UNIT_TEXT(s.told[1].provider, "sg");
	UNIT_TEXT(s.told[1].provider_id, "sg-id");
	UNIT_INT(deliver_journal_count_done(s.pool.journal), 1);
	UNIT_INT(s.pool.n_running, 0);
	/* Asked again, it is told again, and not called again. */
	send_small(&s, 43, 1, "sg");
	await(&s, 3);
	UNIT_INT(s.told[2].id, 43);
	UNIT_INT(s.told[2].class, IPC_OUTCOME_SENT);
	UNIT_INT(s.n_requests, 1);
	send_stored(&s, 1);
	send_stored(&s, 1);
	for (unsigned i = 0; i < 100 && deliver_journal_count(s.pool.journal) > 0; i++)
		loop_turn(s.loop, 20000);
	UNIT_INT(deliver_journal_count(s.pool.journal), 0);
	scene_close(&s);
}

static void a_job_that_came_too_late_is_handed_back(void)
{
	const struct str content = STR("From: a@a\r\nTo: b@b\r\n\r\nhello\r\n");
	static const char *const providers[] = {"sg", "local"};
	struct scene s;

	scene_open(&s, ACCEPTED);
	for (unsigned i = 0; i < 2; i++) {
		send_job_before(&s, 42 + i, 1, providers[i], content, -1, (uint32_t)content.n, clock_mono());
		await(&s, 2 + i);
		UNIT_INT(s.told[1 + i].type, IPC_JOB_LATE);
		UNIT_INT(s.told[1 + i].id, 42 + i);
		UNIT_INT(s.told[1 + i].attempt.attempt, 1);
		UNIT_INT(deliver_journal_count(s.pool.journal), 0);
	}
	UNIT_INT(s.n_requests, 0);
	/* The same attempt may be asked for again. */
	send_job_before(&s, 44, 1, "sg", content, -1, (uint32_t)content.n, clock_mono() + 60 * CLOCK_SECOND);
	await(&s, 4);
	UNIT_INT(s.told[3].class, IPC_OUTCOME_SENT);
	scene_close(&s);
}

static void a_new_qmgr_is_told_all_that_is_held(void)
{
	struct scene s;

	scene_open(&s, NULL);
	send_small(&s, 1, 1, "local");
	await(&s, 2);
	UNIT_INT(s.told[1].class, IPC_OUTCOME_SENT);
	send_small(&s, 2, 2, "sg"); /* hangs */
	while (s.n_requests == 0)
		loop_turn(s.loop, 20000);
	connect_qmgr(&s);
	await(&s, 3);
	UNIT_INT(s.told[2].type, IPC_PLACES);
	for (unsigned i = 0; i < 2; i++) {
		UNIT_INT(s.told[i].type, s.told[i].attempt.message.b[15] == 1 ? IPC_OUTCOME : IPC_RUNNING);
		UNIT_INT(s.told[i].id, 0);
	}
	/* Asked for what runs, it says so. */
	send_small(&s, 3, 2, "sg");
	await(&s, 4);
	UNIT_INT(s.told[3].type, IPC_RUNNING);
	/* And when the time is over, it is unknown. */
	await(&s, 5);
	UNIT_INT(s.told[4].type, IPC_OUTCOME);
	UNIT_INT(s.told[4].class, IPC_OUTCOME_UNKNOWN);
	UNIT_INT(s.n_requests, 1);
	scene_close(&s);
}

static void what_the_agent_died_of_is_known_to_its_successor(void)
{
	struct scene s;
	unsigned unknown = 0, sent = 0;

	scene_open(&s, NULL);
	send_small(&s, 1, 1, "local");
	send_small(&s, 2, 2, "sg"); /* hangs */
	await(&s, 2);
	while (s.n_requests == 0)
		loop_turn(s.loop, 20000);
	agent_end(&s);
	agent_start(&s);
	connect_qmgr(&s);
	await(&s, 3);
	for (unsigned i = 0; i < 2; i++) {
		UNIT_INT(s.told[i].type, IPC_OUTCOME);
		unknown += s.told[i].class == IPC_OUTCOME_UNKNOWN && s.told[i].attempt.message.b[15] == 2;
		sent += s.told[i].class == IPC_OUTCOME_SENT && s.told[i].attempt.message.b[15] == 1;
	}
	UNIT_INT(unknown, 1);
	UNIT_INT(sent, 1);
	UNIT_INT(s.told[2].type, IPC_PLACES);
	scene_close(&s);
}

static void troubles_have_their_classes(void)
{
	static const struct {
		const char *provider, *answer, *reason;
		enum ipc_outcome_class class;
	} cases[] = {
		{"nobody", NULL, "there is no provider \"nobody\"", IPC_OUTCOME_PROVIDER_FAULT},
		{"", NULL, "there is no provider \"\"", IPC_OUTCOME_PROVIDER_FAULT},
		{"gone", NULL, "cannot reach the provider", IPC_OUTCOME_TRANSIENT},
		{"sg", NULL, "no answer came", IPC_OUTCOME_UNKNOWN},
		{"sg", "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", "on the way", IPC_OUTCOME_PROVIDER_FAULT},
		{"sg", "HTTP/1.1 400 Bad\r\nContent-Length: 9\r\n\r\n{\"err", "broke off", IPC_OUTCOME_TRANSIENT},
		{"sg", "HTTP/1.1 202 Accepted\r\nContent-Length: 9\r\n\r\nx", "accepted", IPC_OUTCOME_SENT},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scene s;

		scene_open(&s, cases[i].answer);
		send_small(&s, 1, 1, cases[i].provider);
		await(&s, 2);
		UNIT_INT(s.told[1].class, cases[i].class);
		if (strstr(s.told[1].reason, cases[i].reason) == NULL)
			UNIT_TEXT(s.told[1].reason, cases[i].reason);
		scene_close(&s);
	}
}

static int large_file(struct buf *content, bool sealed)
{
	int fd = fd_memfile("test");

	buf_put_text(content, "From: a@a\r\nTo: b@b\r\n\r\n");
	while (content->n < LARGE)
		buf_put_char(content, 'x');
	UNIT_TRUE(fd_write_all(fd, content->p, content->n));
	if (sealed)
		fd_seal(fd);
	return fd;
}

/* The sandbox speaks of the recipients that it was given, an outcome of the message's. */
static void an_outcome_counts_the_messages_recipients(void)
{
	static const struct {
		const char *whom; /* a digit each */
		const char *told_whom, *refusals;
	} cases[] = {
		{"", "", "1P2T"},
		{"357", "3 5 7", "5P7T"},
		{"0123", "0 1 2 3", ""}, /* it goes to others instead */
	};
	static const struct str to[] = {{"a@b", 3}, {"permanent@b", 11}, {"transient@b", 11}};
	const struct str content = STR("From: a@a\r\nTo: b@b\r\n\r\nhello\r\n");
	struct scene s;

	scene_open(&s, ACCEPTED);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ipc_job job = {
			.attempt = 1,
			.provider = STR("sg"),
			.is_test = true,
			.message = {.id = attempt_of((unsigned char)(i + 1), 1).message, .session = STR("s1"),
				    .client = STR("127.0.0.1"), .mail_from = STR("a@a"), .recipients = to,
				    .n_recipients = 3, .size = (uint32_t)content.n, .content = content},
		};
		struct buf body = BUF_MAX(IPC_BODY_MAX), whom = BUF_MAX(64);

		for (const char *c = cases[i].whom; *c != '\0'; c++)
			ipc_put_index(&whom, (uint16_t)(*c - '0'));
		job.whom = buf_str(&whom);
		ipc_put_job(&body, &job);
		UNIT_TRUE(ipc_send(s.qmgr, IPC_JOB, i + 1, buf_str(&body), -1));
		await(&s, i + 2);
		UNIT_INT(s.told[i + 1].class, IPC_OUTCOME_SENT);
		UNIT_TEXT(s.told[i + 1].whom, cases[i].told_whom);
		UNIT_TEXT(s.told[i + 1].refusals, cases[i].refusals);
		buf_clear(&body);
		buf_clear(&whom);
	}
	scene_close(&s);
}

static void a_large_message_comes_as_a_file(void)
{
	struct buf content = BUF_MAX(1 << 20), written = BUF_MAX(1 << 20);
	int fd = large_file(&content, true);
	struct scene s;
	char path[400];

	scene_open(&s, NULL);
	send_job(&s, 1, 1, "local", STR(""), fd, LARGE);
	await(&s, 2);
	UNIT_INT(s.told[1].class, IPC_OUTCOME_SENT);
	snprintf(path, sizeof(path), "%s/%s", s.mail, s.told[1].provider_id);
	UNIT_TRUE(fd_read_file(path, &written, NULL));
	UNIT_TRUE(written.n > LARGE && memcmp(written.p + written.n - LARGE, content.p, LARGE) == 0);
	fd_close(&fd);
	buf_clear(&content);
	buf_clear(&written);
	scene_close(&s);
}

static void a_job_that_breaks_its_word_cuts_the_connection(void)
{
	struct buf content = BUF_MAX(1 << 20);
	int unsealed = large_file(&content, false);

	for (unsigned i = 0; i < 4; i++) {
		struct scene s;

		scene_open(&s, NULL);
		log_set(LOG_FORMAT_PLAIN, (enum log_level)LOG_LEVEL_ERROR);
		if (i == 0)
			send_job(&s, 1, 1, "local", STR("short"), -1, 6);
		else if (i == 1)
			send_job(&s, 1, 1, "local", STR(""), -1, LARGE);
		else if (i == 2)
			send_job(&s, 1, 1, "local", STR(""), unsealed, LARGE);
		else
			UNIT_TRUE(ipc_send(s.qmgr, IPC_JOB, 1, STR("junk"), -1));
		for (unsigned k = 0; k < 100 && !s.is_cut; k++)
			loop_turn(s.loop, 20000);
		UNIT_TRUE(s.is_cut);
		UNIT_TRUE(!deliver_link_is_connected(s.link));
		UNIT_INT(deliver_journal_count(s.pool.journal), 0);
		scene_close(&s);
	}
	fd_close(&unsealed);
	buf_clear(&content);
}

/* The agent then starts again, and master connects it anew. */
static void a_broken_connection_is_given_up_after_a_while(void)
{
	struct scene s;

	scene_open(&s, NULL);
	log_set(LOG_FORMAT_PLAIN, (enum log_level)LOG_LEVEL_ERROR);
	UNIT_TRUE(!deliver_link_is_lost(s.link, clock_mono() + 600 * CLOCK_SECOND));
	UNIT_TRUE(ipc_send(s.qmgr, IPC_JOB, 1, STR("junk"), -1));
	for (unsigned k = 0; k < 100 && !s.is_cut; k++)
		loop_turn(s.loop, 20000);
	UNIT_TRUE(!deliver_link_is_lost(s.link, clock_mono() + 60 * CLOCK_SECOND));
	UNIT_TRUE(deliver_link_is_lost(s.link, clock_mono() + 121 * CLOCK_SECOND));
	scene_close(&s);
}

static void places_are_said_when_they_change(void)
{
	struct scene s;

	scene_open(&s, NULL);
	deliver_link_set_places(s.link, 7);
	deliver_link_set_places(s.link, 0);
	await(&s, 2);
	UNIT_INT(s.told[1].type, IPC_PLACES);
	UNIT_INT(s.told[1].places, 0);
	deliver_job_reload(&s.pool);
	scene_close(&s);
}

/* The API for tokens does not answer: nothing of the job is sent, nothing is in the journal. */
static void a_job_that_waits_for_a_token_is_forgotten_with_its_qmgr(void)
{
	struct scene s;

	scene_open(&s, NULL);
	s.settings->deliver.call_timeout = 5 * CLOCK_SECOND;
	send_small(&s, 1, 1, "tokens");
	while (s.client < 0)
		loop_turn(s.loop, 20000);
	UNIT_INT(s.pool.n_running, 1);
	UNIT_INT(deliver_journal_count(s.pool.journal), 0);
	connect_qmgr(&s);
	await(&s, 1);
	UNIT_INT(s.told[0].type, IPC_PLACES);
	UNIT_INT(s.pool.n_running, 0);
	scene_close(&s);
}

static void a_token_that_does_not_come_is_no_unknown_outcome(void)
{
	struct buf content = BUF_MAX(1 << 20);
	int fd = large_file(&content, true);
	struct scene s;

	scene_open(&s, NULL);
	send_job(&s, 1, 1, "tokens", STR(""), fd, LARGE);
	while (s.client < 0)
		loop_turn(s.loop, 20000);
	/* Another reload while it waits. */
	deliver_job_reload(&s.pool);
	await(&s, 2);
	UNIT_INT(s.told[1].type, IPC_OUTCOME);
	UNIT_INT(s.told[1].class, IPC_OUTCOME_TRANSIENT);
	UNIT_TEXT(s.told[1].provider, "tokens");
	UNIT_INT(s.pool.n_running, 0);
	fd_close(&fd);
	buf_clear(&content);
	scene_close(&s);
}

UNIT_TESTS({"a job that waits for a token is forgotten with its qmgr", a_job_that_waits_for_a_token_is_forgotten_with_its_qmgr},
	   {"a token that does not come is no unknown outcome", a_token_that_does_not_come_is_no_unknown_outcome},
	   {"a job is called, answered and struck", a_job_is_called_answered_and_struck},
	   {"a job that came too late is handed back", a_job_that_came_too_late_is_handed_back},
	   {"a new qmgr is told all that is held", a_new_qmgr_is_told_all_that_is_held},
	   {"what the agent died of is known to its successor", what_the_agent_died_of_is_known_to_its_successor},
	   {"troubles have their classes", troubles_have_their_classes},
	   {"an outcome counts the message's recipients", an_outcome_counts_the_messages_recipients},
	   {"a large message comes as a file", a_large_message_comes_as_a_file},
	   {"a job that breaks its word cuts the connection", a_job_that_breaks_its_word_cuts_the_connection},
	   {"a broken connection is given up after a while", a_broken_connection_is_given_up_after_a_while},
	   {"places are said when they change", places_are_said_when_they_change})
