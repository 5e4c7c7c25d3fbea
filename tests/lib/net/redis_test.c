/* SPDX-License-Identifier: Apache-2.0
 *
 * The Redis connection against a real server: commands, passwords, TLS, a server that hangs, dies and comes back.
 */
#include "lib/net/redis.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "tests/support/certificate.h"
#include "tests/support/redis_fixture.h"
#include "tests/support/unit.h"

static struct loop *loop;
static struct redis_fixture server;

struct seen {
	unsigned ups, downs, answers, losses;
	char why[512];
	char text[256];
	int64_t number;
};

static void on_state(void *ctx, bool is_up, const char *why)
{
	struct seen *s = ctx;

	s->ups += is_up;
	s->downs += !is_up;
	if (!is_up)
		str_copy(str_first(str_of(why), 500), s->why, sizeof(s->why));
}

static void on_answer(void *ctx, const struct redis_answer *answer)
{
	struct seen *s = ctx;

	if (answer == NULL) {
		s->losses++;
		return;
	}
	s->answers++;
	s->number = redis_number(answer);
	str_copy(str_first(redis_text(answer), 200), s->text, sizeof(s->text));
	if (redis_kind(answer) == REDIS_LIST)
		s->number = (int64_t)redis_count(answer);
}

/* Turns the loop until *count is `wanted`, for ten seconds at most. */
static bool until(const unsigned *count, unsigned wanted)
{
	int64_t end = clock_mono() + 10 * CLOCK_SECOND;

	while (*count < wanted && clock_mono() < end)
		loop_turn(loop, 50 * CLOCK_MS);
	return *count >= wanted;
}

static struct redis *open_redis(const char *format, struct tls_client *tls, int64_t timeout, struct seen *s)
{
	struct buf text = BUF_MAX(1024);
	struct redis_url url;
	struct redis *r;
	struct err err;

	memset(s, 0, sizeof(*s));
	buf_printf(&text, "%s:%u", format, server.port);
	if (!redis_url_parse(buf_str(&text), &url, &err)) {
		printf("%s\n", err.text);
		abort();
	}
	r = redis_new(loop, &url, tls, timeout, on_state, s);
	redis_url_clear(&url);
	buf_clear(&text);
	return r;
}

static void urls(void)
{
	static const struct {
		const char *text, *host, *user, *password;
		unsigned port, database;
		bool is_tls, is_good;
	} cases[] = {
		{"redis://h", "h", NULL, NULL, 6379, 0, false, true},
		{"rediss://h.example:7000/3", "h.example", NULL, NULL, 7000, 3, true, true},
		{"redis://:p%40ss@[::1]:1", "::1", NULL, "p@ss", 1, 0, false, true},
		{"redis://u:a@b@192.0.2.1/", "192.0.2.1", "u", "a@b", 6379, 0, false, true},
		{"redis://u:%zz@h", "", NULL, NULL, 0, 0, false, false},
		{"redis://u:%4", "", NULL, NULL, 0, 0, false, false},
		{"redis://u@h", "", NULL, NULL, 0, 0, false, false},
		{"redis://h:0", "", NULL, NULL, 0, 0, false, false},
		{"redis://h/x", "", NULL, NULL, 0, 0, false, false},
		{"redis://", "", NULL, NULL, 0, 0, false, false},
		{"http://h", "", NULL, NULL, 0, 0, false, false},
		{"redis://u:p%00@h", "", NULL, NULL, 0, 0, false, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct redis_url url;
		struct err err;
		bool is_good = redis_url_parse(str_of(cases[i].text), &url, &err);

		UNIT_INT(is_good, cases[i].is_good);
		if (!is_good || !cases[i].is_good)
			continue;
		UNIT_TEXT(url.host, cases[i].host);
		UNIT_TEXT(url.user != NULL ? url.user : "-", cases[i].user != NULL ? cases[i].user : "-");
		UNIT_TEXT(url.password != NULL ? url.password : "-", cases[i].password != NULL ? cases[i].password : "-");
		UNIT_INT(url.port, cases[i].port);
		UNIT_INT(url.database, cases[i].database);
		UNIT_INT(url.is_tls, cases[i].is_tls);
		redis_url_clear(&url);
	}
}

static void say(struct redis *r, struct seen *s, const char *a, const char *b, const char *c)
{
	struct str words[3] = {str_of(a)};
	size_t n = 1;

	if (b != NULL)
		words[n++] = str_of(b);
	if (c != NULL)
		words[n++] = str_of(c);
	redis_run(r, words, n, on_answer, s);
}

static void commands_are_answered_in_order(void)
{
	struct seen s;
	struct redis *r;

	server.port = 0;
	redis_fixture_start(&server, 0, NULL);
	r = open_redis("redis://127.0.0.1", NULL, 5 * CLOCK_SECOND, &s);
	say(r, &s, "PING", NULL, NULL);
	UNIT_INT(s.losses, 1); /* there is no connection yet */
	UNIT_TRUE(until(&s.ups, 1));
	say(r, &s, "SET", "k", "a\r\nb");
	say(r, &s, "GET", "k", NULL);
	UNIT_TRUE(until(&s.answers, 2));
	UNIT_TEXT(s.text, "a\r\nb");
	say(r, &s, "INCR", "k", NULL);
	UNIT_TRUE(until(&s.answers, 3));
	UNIT_TRUE(str_starts(str_of(s.text), STR("ERR ")));
	for (int i = 0; i < 5000; i++)
		say(r, &s, "INCR", "n", NULL);
	UNIT_TRUE(until(&s.answers, 5003));
	UNIT_INT(s.number, 5000);
	redis_free(&r);
	redis_fixture_stop(&server);
}

static void a_server_that_dies_is_connected_again(void)
{
	struct seen s;
	struct redis *r;

	server.port = 0;
	redis_fixture_start(&server, 0, NULL);
	r = open_redis("redis://127.0.0.1", NULL, 5 * CLOCK_SECOND, &s);
	UNIT_TRUE(until(&s.ups, 1));
	say(r, &s, "BLPOP", "nothing", "0"); /* no answer comes */
	redis_fixture_stop(&server);
	UNIT_TRUE(until(&s.losses, 1));
	UNIT_INT(s.downs, 1);
	UNIT_TRUE(!redis_is_up(r));
	redis_fixture_start(&server, 0, NULL);
	UNIT_TRUE(until(&s.ups, 2));
	UNIT_INT(s.downs, 1); /* said once, however often it was tried */
	say(r, &s, "PING", NULL, NULL);
	UNIT_TRUE(until(&s.answers, 1));
	redis_free(&r);
	redis_fixture_stop(&server);
}

static void a_server_that_hangs_is_given_up_in_time(void)
{
	struct seen s;
	struct redis *r;

	server.port = 0;
	redis_fixture_start(&server, 0, NULL);
	r = open_redis("redis://127.0.0.1", NULL, 100 * CLOCK_MS, &s);
	UNIT_TRUE(until(&s.ups, 1));
	kill(server.pid, SIGSTOP);
	say(r, &s, "PING", NULL, NULL);
	UNIT_TRUE(until(&s.losses, 1));
	UNIT_TEXT(s.why, "no answer in time");
	kill(server.pid, SIGCONT);
	UNIT_TRUE(until(&s.ups, 2));
	redis_free(&r);
	redis_fixture_stop(&server);
}

static void a_wrong_password_is_said_and_not_shown(void)
{
	static const char *const words[] = {"--requirepass", "secret-word", NULL};
	struct seen s;
	struct redis *r;

	server.port = 0;
	redis_fixture_start(&server, 0, words);
	r = open_redis("redis://:wrong-word@127.0.0.1", NULL, CLOCK_SECOND, &s);
	UNIT_TRUE(until(&s.downs, 1));
	UNIT_TRUE(str_starts(str_of(s.why), STR("WRONGPASS")));
	UNIT_TRUE(strstr(s.why, "wrong-word") == NULL);
	redis_free(&r);
	r = open_redis("redis://:secret-word@127.0.0.1", NULL, CLOCK_SECOND, &s);
	UNIT_TRUE(until(&s.ups, 1));
	redis_free(&r);
	redis_fixture_stop(&server);
}

static void put_file(const char *directory, const char *name, const char *text, char path[256])
{
	FILE *f;

	snprintf(path, 256, "%s/%s", directory, name);
	f = fopen(path, "w");
	if (f == NULL || fputs(text, f) < 0 || fclose(f) != 0)
		abort();
}

static void tls_is_spoken_and_checked(void)
{
	char directory[] = "/tmp/smtp-proxy-redis-XXXXXX", crt[256], key[256], ca_file[256];
	struct certificate ca = certificate_make("Redis CA", NULL, -86400, 86400, NULL);
	struct certificate leaf = certificate_make("redis", "IP:127.0.0.1", -86400, 86400, &ca);
	struct tls_client *good, *stranger;
	struct seen s;
	struct redis *r;
	struct err err;

	if (mkdtemp(directory) == NULL)
		abort();
	put_file(directory, "crt", leaf.pem, crt);
	put_file(directory, "key", leaf.key_pem, key);
	put_file(directory, "ca", ca.pem, ca_file);
	server.port = 0;
	redis_fixture_start(&server, 1,
			    (const char *const[]){"--tls-cert-file", crt, "--tls-key-file", key, "--tls-ca-cert-file",
						  ca_file, "--tls-auth-clients", "no", NULL});
	good = tls_client_new(str_of(ca.pem), false, TLS_1_2, &err);
	stranger = tls_client_new(str_of(leaf.pem), false, TLS_1_2, &err);
	r = open_redis("rediss://127.0.0.1", good, CLOCK_SECOND, &s);
	UNIT_TRUE(until(&s.ups, 1));
	say(r, &s, "PING", NULL, NULL);
	UNIT_TRUE(until(&s.answers, 1));
	UNIT_TEXT(s.text, "PONG");
	redis_free(&r);
	r = open_redis("rediss://localhost", good, CLOCK_SECOND, &s);
	UNIT_TRUE(until(&s.downs, 1)); /* a name that is not in the certificate */
	UNIT_INT(s.ups, 0);
	redis_free(&r);
	redis_fixture_stop(&server);
	tls_client_free(&good);
	tls_client_free(&stranger);
	unlink(crt);
	unlink(key);
	unlink(ca_file);
	rmdir(directory);
	certificate_clear(&leaf);
	certificate_clear(&ca);
}

int main(void)
{
	static const struct unit_test tests[] = {
		{"URLs are read", urls},
		{"commands are answered in order", commands_are_answered_in_order},
		{"a server that dies is connected again", a_server_that_dies_is_connected_again},
		{"a server that hangs is given up in time", a_server_that_hangs_is_given_up_in_time},
		{"a wrong password is said and not shown", a_wrong_password_is_said_and_not_shown},
		{"TLS is spoken and checked", tls_is_spoken_and_checked},
	};
	int status;

	signal(SIGPIPE, SIG_IGN);
	loop = loop_new();
	status = unit_main(__FILE__, tests, sizeof(tests) / sizeof(tests[0]));
	loop_free(&loop);
	return status;
}
