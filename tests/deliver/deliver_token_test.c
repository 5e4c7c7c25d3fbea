/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of deliver/deliver_token.c: this program is the API that gives tokens (Cakemail's), and those who wait for them.
 */
#include "deliver/deliver_token.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "tests/support/unit.h"

enum { WAITERS = 4, CLIENTS = 8 };

struct scene;

struct client {
	struct scene *scene;
	struct loop_fd *watch;
	int fd;
};

struct waiter {
	struct deliver_token_wait wait;
	unsigned called;
	bool is_there;
	uint64_t generation;
	char text[64], reason[512];
	enum ipc_about about;
};

struct scene {
	struct loop *loop;
	struct http_client *http;
	struct deliver_token_cache *cache;
	struct settings_provider settings;
	char url[64], key[16], empty[1];
	int listener;
	struct loop_fd *listening;
	struct client client[CLIENTS];
	unsigned n_clients, n_requests;
	unsigned status; /* of the next answers; 0: none */
	struct waiter waiter[WAITERS];
};

/* ---- the API ---- */

static void on_request(void *ctx, unsigned events)
{
	struct client *c = ctx;
	char bytes[4096], answer[512];
	const char *body = "{\"data\":[],\"detail\":\"why\"}";
	ssize_t got = read(c->fd, bytes, sizeof(bytes));

	(void)events;
	if (got <= 0) {
		loop_fd_free(&c->watch);
		fd_close(&c->fd);
		return;
	}
	c->scene->n_requests++;
	if (c->scene->status == 0)
		return;
	snprintf(answer, sizeof(answer), "HTTP/1.1 %u X\r\nContent-Length: %zu\r\n\r\n%s", c->scene->status, strlen(body), body);
	UNIT_TRUE(fd_write_all(c->fd, answer, strlen(answer)));
}

static void on_connection(void *ctx, unsigned events)
{
	struct scene *s = ctx;
	struct client *c = &s->client[s->n_clients];

	(void)events;
	UNIT_TRUE(s->n_clients < CLIENTS);
	s->n_clients++;
	c->scene = s;
	c->fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	c->watch = loop_fd_new(s->loop, c->fd, on_request, c);
	loop_fd_want(c->watch, LOOP_READ);
}

static void scene_open(struct scene *s, unsigned status)
{
	static const struct http_client_config config = {.connect_timeout = CLOCK_SECOND, .max_connections = 4};
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);

	memset(s, 0, sizeof(*s));
	log_set(LOG_FORMAT_PLAIN, (enum log_level)(LOG_LEVEL_ERROR + 1));
	http_client_prepare();
	s->status = status;
	s->loop = loop_new();
	s->http = http_client_new(s->loop, &config);
	s->cache = deliver_token_cache_new(s->http, NULL);
	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	UNIT_TRUE(bind(s->listener, (struct sockaddr *)&address, size) == 0 && listen(s->listener, 8) == 0);
	UNIT_TRUE(getsockname(s->listener, (struct sockaddr *)&address, &size) == 0);
	s->listening = loop_fd_new(s->loop, s->listener, on_connection, s);
	loop_fd_want(s->listening, LOOP_READ);
	snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%u", ntohs(address.sin_port));
	snprintf(s->key, sizeof(s->key), "K1");
	s->settings = (struct settings_provider){.key = "p", .type = PROVIDER_CAKEMAIL, .endpoint = s->url, .api_key = s->key,
						 .user = s->empty, .password = s->empty, .region = s->empty};
}

static void scene_close(struct scene *s)
{
	http_client_free(&s->http);
	deliver_token_cache_free(&s->cache);
	loop_fd_free(&s->listening);
	fd_close(&s->listener);
	for (unsigned i = 0; i < s->n_clients; i++) {
		loop_fd_free(&s->client[i].watch);
		fd_close(&s->client[i].fd);
	}
	loop_turn(s->loop, 0);
	loop_free(&s->loop);
}

/* ---- those who wait ---- */

static void on_token(void *ctx, const struct deliver_token *token)
{
	struct waiter *w = ctx;

	w->called++;
	w->is_there = token->is_there;
	if (token->is_there) {
		w->generation = token->generation;
		UNIT_TRUE(str_copy(token->text, w->text, sizeof(w->text)));
	} else {
		w->about = token->failure->about;
		UNIT_TRUE(str_copy(str_of(token->failure->reason), w->reason, sizeof(w->reason)));
	}
}

static struct waiter *get(struct scene *s, unsigned i, uint64_t stale, int64_t timeout)
{
	struct waiter *w = &s->waiter[i];

	memset(w, 0, sizeof(*w));
	w->wait.fn = on_token;
	w->wait.ctx = w;
	deliver_token_get(s->cache, &s->settings, stale, timeout, &w->wait);
	return w;
}

static void await(struct scene *s, const struct waiter *w)
{
	int64_t end = clock_mono() + 10 * CLOCK_SECOND;

	while (w->called == 0 && clock_mono() < end)
		loop_turn(s->loop, 20000);
	UNIT_INT(w->called, 1);
}

static void await_requests(struct scene *s, unsigned n)
{
	int64_t end = clock_mono() + 10 * CLOCK_SECOND;

	while (s->n_requests < n && clock_mono() < end)
		loop_turn(s->loop, 20000);
	UNIT_INT(s->n_requests, n);
}

static void all_who_wait_get_what_is_fetched_once(void)
{
	struct scene s;

	scene_open(&s, 200);
	for (unsigned i = 0; i < 3; i++)
		get(&s, i, 0, 5 * CLOCK_SECOND);
	UNIT_INT(s.waiter[0].called, 0);
	for (unsigned i = 0; i < 3; i++) {
		await(&s, &s.waiter[i]);
		UNIT_TRUE(s.waiter[i].is_there);
		UNIT_TEXT(s.waiter[i].text, "K1\n");
	}
	UNIT_INT(s.n_requests, 1);
	/* From now on it is given at once. */
	UNIT_INT(get(&s, 3, 0, CLOCK_SECOND)->called, 1);
	UNIT_INT(s.waiter[3].generation, s.waiter[0].generation);
	UNIT_INT(s.n_requests, 1);
	scene_close(&s);
}

static void other_settings_are_another_token(void)
{
	struct scene s;
	uint64_t first;

	scene_open(&s, 200);
	await(&s, get(&s, 0, 0, CLOCK_SECOND));
	first = s.waiter[0].generation;
	snprintf(s.key, sizeof(s.key), "K2");
	await(&s, get(&s, 0, 0, CLOCK_SECOND));
	UNIT_TEXT(s.waiter[0].text, "K2\n");
	UNIT_TRUE(s.waiter[0].generation != first);
	UNIT_INT(s.n_requests, 2);
	scene_close(&s);
}

static void what_was_not_good_is_not_given_again(void)
{
	struct scene s;
	uint64_t first;

	scene_open(&s, 200);
	await(&s, get(&s, 0, 0, CLOCK_SECOND));
	first = s.waiter[0].generation;
	/* For one call only: others still have it. */
	UNIT_INT(get(&s, 0, first, CLOCK_SECOND)->called, 0);
	UNIT_INT(get(&s, 1, 0, CLOCK_SECOND)->called, 1);
	UNIT_INT(s.waiter[1].generation, first);
	await(&s, &s.waiter[0]);
	UNIT_TRUE(s.waiter[0].generation > first);
	/* Refused by the provider: nobody has it any more. */
	deliver_token_refuse(s.cache, s.waiter[0].generation);
	UNIT_INT(get(&s, 1, 0, CLOCK_SECOND)->called, 0);
	await(&s, &s.waiter[1]);
	UNIT_TRUE(s.waiter[1].is_there && s.waiter[1].generation > s.waiter[0].generation);
	UNIT_INT(s.n_requests, 3);
	scene_close(&s);
}

static void a_failure_is_told_to_all_and_remembered_for_a_while(void)
{
	struct scene s;

	scene_open(&s, 401);
	get(&s, 0, 0, CLOCK_SECOND);
	get(&s, 1, 0, CLOCK_SECOND);
	for (unsigned i = 0; i < 2; i++) {
		await(&s, &s.waiter[i]);
		UNIT_TRUE(!s.waiter[i].is_there);
		UNIT_INT(s.waiter[i].about, IPC_ABOUT_CREDENTIAL);
	}
	UNIT_INT(get(&s, 2, 0, CLOCK_SECOND)->called, 1);
	UNIT_TRUE(!s.waiter[2].is_there);
	UNIT_INT(s.n_requests, 1);
	scene_close(&s);
}

static void a_failed_renewal_leaves_the_old_one_to_those_for_whom_it_is_good(void)
{
	struct scene s;
	uint64_t first;

	scene_open(&s, 200);
	await(&s, get(&s, 0, 0, CLOCK_SECOND));
	first = s.waiter[0].generation;
	s.status = 403;
	get(&s, 0, first, CLOCK_SECOND);
	await(&s, &s.waiter[0]);
	UNIT_TRUE(!s.waiter[0].is_there);
	UNIT_INT(get(&s, 1, 0, CLOCK_SECOND)->called, 1);
	UNIT_TRUE(s.waiter[1].is_there);
	UNIT_INT(s.waiter[1].generation, first);
	scene_close(&s);
}

static void nobody_waits_longer_than_a_fetch_may_take(void)
{
	struct scene s;
	int64_t began = clock_mono();

	scene_open(&s, 0);
	get(&s, 0, 0, 300 * CLOCK_MS);
	await(&s, &s.waiter[0]);
	UNIT_TRUE(!s.waiter[0].is_there);
	UNIT_INT(s.waiter[0].about, IPC_ABOUT_PROVIDER);
	UNIT_TRUE(clock_mono() - began >= 250 * CLOCK_MS); /* the loop's clock is a turn old */
	scene_close(&s);
}

static void who_gave_up_is_not_called(void)
{
	struct scene s;

	scene_open(&s, 200);
	get(&s, 0, 0, CLOCK_SECOND);
	get(&s, 1, 0, CLOCK_SECOND);
	get(&s, 2, 0, CLOCK_SECOND);
	deliver_token_cancel(&s.waiter[1].wait);
	deliver_token_cancel(&s.waiter[1].wait);
	await(&s, &s.waiter[0]);
	await(&s, &s.waiter[2]);
	UNIT_INT(s.waiter[1].called, 0);
	/* And at the end of the process nobody is. */
	s.status = 0;
	get(&s, 1, s.waiter[0].generation, CLOCK_SECOND);
	await_requests(&s, 2);
	scene_close(&s);
	UNIT_INT(s.waiter[1].called, 0);
}

UNIT_TESTS({"all who wait get what is fetched once", all_who_wait_get_what_is_fetched_once},
	   {"other settings are another token", other_settings_are_another_token},
	   {"what was not good is not given again", what_was_not_good_is_not_given_again},
	   {"a failure is told to all and remembered for a while", a_failure_is_told_to_all_and_remembered_for_a_while},
	   {"a failed renewal leaves the old one to those for whom it is good",
	    a_failed_renewal_leaves_the_old_one_to_those_for_whom_it_is_good},
	   {"nobody waits longer than a fetch may take", nobody_waits_longer_than_a_fetch_may_take},
	   {"who gave up is not called", who_gave_up_is_not_called})
