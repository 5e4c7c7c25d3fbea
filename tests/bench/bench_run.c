/* SPDX-License-Identifier: Apache-2.0
 *
 * Load generator and stand-in provider in one process, for tests/bench/bench.py: runs one load
 * against a server whose provider is the stand-in, waits until all that was accepted has arrived,
 * and writes what it saw as one JSON object. Exits with 1 when something accepted is missing or
 * came twice.
 */
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "client/client_report.h"
#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/trouble.h"
#include "tests/bench/bench_book.h"
#include "tests/bench/bench_load.h"
#include "tests/bench/bench_standin.h"

enum { LOOK_EVERY = 20000 /* microseconds */ };

struct run {
	struct loop *loop;
	struct bench_book book;
	struct bench_load_options load_options;
	struct bench_standin_options standin_options;
	struct bench_load *load;
	struct bench_standin *standin;
	struct loop_timer *look;
	struct loop_fd *stdin_watch;
	int64_t began, ended, drain, quiet_since;
	uint64_t seen;
	const char *mode, *ca_file;
	bool is_insecure, is_hopeless;
};

static void on_stdin(void *ctx, unsigned events)
{
	struct run *run = ctx;
	char bytes[64];

	(void)events;
	if (read(STDIN_FILENO, bytes, sizeof(bytes)) >= 0)
		loop_stop(run->loop);
}

static void on_begin(void *ctx)
{
	struct run *run = ctx;

	run->began = clock_mono();
	if (run->load_options.mode != BENCH_LOAD_IDLE)
		return;
	/* Whoever measures the idle sessions is told that they stand, and says when it is done. */
	puts("READY");
	fflush(stdout);
	run->stdin_watch = loop_fd_new(run->loop, STDIN_FILENO, on_stdin, run);
	loop_fd_want(run->stdin_watch, LOOP_READ);
}

/* Looks whether all has arrived, and gives up when nothing has for a while. */
static void look(void *ctx)
{
	struct run *run = ctx;
	int64_t now = clock_mono();

	if (run->seen != run->book.n_delivered) {
		run->seen = run->book.n_delivered;
		run->quiet_since = now;
	}
	if (bench_book_is_settled(&run->book) || now - run->quiet_since > run->drain)
		loop_stop(run->loop);
	else
		loop_timer_set(run->look, LOOK_EVERY);
}

static void on_end(void *ctx)
{
	struct run *run = ctx;

	run->ended = run->quiet_since = clock_mono();
	loop_timer_set(run->look, 0);
}

static void on_hopeless(void *ctx)
{
	struct run *run = ctx;

	run->is_hopeless = true;
	loop_stop(run->loop);
}

static void on_interrupt(void *ctx)
{
	loop_stop(((struct run *)ctx)->loop);
}

/* ---- the result ---- */

static void put_stats(struct buf *out, const char *name, struct client_stats *stats)
{
	struct client_stats_summary s = client_stats_summarize(stats);

	buf_printf(out, ",\"%s\":", name);
	client_report_json_stats(out, &s);
}

static double seconds_until(const struct run *run, int64_t at)
{
	return at > run->began && run->began > 0 ? (double)(at - run->began) / CLOCK_SECOND : 0;
}

static double per_second(uint64_t n, double seconds)
{
	return seconds > 0 ? (double)n / seconds : 0;
}

static void put_counts(struct buf *out, struct run *run, const struct bench_book_result *r)
{
	const struct bench_load_counts *l = bench_load_counts(run->load);
	const struct bench_standin_counts *s = bench_standin_counts(run->standin);
	double to_250 = seconds_until(run, run->book.last_accepted);
	double to_answer = seconds_until(run, run->book.last_answered);

	buf_printf(out,
		   ",\"begun\":%llu,\"accepted\":%llu,\"delivered\":%llu,\"lost\":%llu,"
		   "\"duplicates\":%llu,"
		   "\"unaccepted\":%llu,\"strangers\":%llu,\"refused\":%llu,\"broken\":%llu,"
		   "\"unknown\":%llu,\"late\":%llu",
		   (unsigned long long)r->begun, (unsigned long long)r->accepted,
		   (unsigned long long)r->delivered, (unsigned long long)r->lost,
		   (unsigned long long)r->duplicates, (unsigned long long)r->unaccepted,
		   (unsigned long long)run->book.n_strangers, (unsigned long long)l->refused,
		   (unsigned long long)l->broken, (unsigned long long)l->unknown,
		   (unsigned long long)l->late);
	buf_printf(out,
		   ",\"accept_seconds\":%.3f,\"accepted_per_second\":%.1f,\"deliver_seconds\":%.3f,"
		   "\"delivered_per_second\":%.1f",
		   to_250, per_second(r->accepted, to_250), to_answer,
		   per_second(r->delivered, to_answer));
	buf_printf(out,
		   ",\"standin\":{\"connections\":%llu,\"requests\":%llu,\"accepted\":%llu,"
		   "\"failed\":%llu,"
		   "\"dropped\":%llu,\"bad_key\":%llu,\"bad_request\":%llu,\"without_id\":%llu,"
		   "\"bytes\":%llu}",
		   (unsigned long long)s->connections, (unsigned long long)s->requests,
		   (unsigned long long)s->accepted, (unsigned long long)s->failed,
		   (unsigned long long)s->dropped, (unsigned long long)s->bad_key,
		   (unsigned long long)s->bad_request, (unsigned long long)s->without_id,
		   (unsigned long long)s->bytes);
}

/* Returns whether everything is as it must be. */
static bool print_result(struct run *run)
{
	struct bench_load_counts *l = bench_load_counts(run->load);
	struct client_stats to_250 = {0}, to_answer = {0};
	struct bench_book_result r = bench_book_close(&run->book, &to_250, &to_answer);
	struct buf out = BUF_MAX(65536);
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	buf_printf(&out, "{\"mode\":\"%s\",\"sessions\":%llu,\"size\":%llu,\"hopeless\":%s",
		   run->mode, (unsigned long long)run->load_options.sessions,
		   (unsigned long long)run->load_options.size, run->is_hopeless ? "true" : "false");
	put_counts(&out, run, &r);
	put_stats(&out, "connect_ms", &l->connect);
	put_stats(&out, "tls_ms", &l->tls);
	put_stats(&out, "auth_ms", &l->auth);
	put_stats(&out, "mail_to_250_ms", &to_250);
	put_stats(&out, "mail_to_answer_ms", &to_answer);
	put_stats(&out, "lag_ms", &l->lag);
	put_stats(&out, "whole_ms", &l->whole);
	buf_printf(&out, ",\"generator_cpu_seconds\":%.3f,\"first_failure\":",
		   (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
			   (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
	client_report_json_text(&out, str_of(l->first_failure));
	buf_put_text(&out, "}\n");
	fwrite(out.p, 1, out.n, stdout);
	buf_clear(&out);
	client_stats_clear(&to_250);
	client_stats_clear(&to_answer);
	return !run->is_hopeless && r.lost == 0 && r.duplicates == 0;
}

/* ---- options ---- */

static uint64_t number(const char *text, uint64_t max)
{
	uint64_t n;

	if (!str_u64(str_of(text), 0, max, &n))
		die_with(EX_USAGE, "bench_run: \"%s\" is not a number up to %llu", text,
			 (unsigned long long)max);
	return n;
}

static void set_mode(struct run *run, const char *text)
{
	static const char *const modes[] = {"kept", "new", "rate", "idle"};

	run->mode = text;
	for (unsigned i = 0; i < 4; i++)
		if (str_eq(str_of(text), str_of(modes[i]))) {
			run->load_options.mode = (enum bench_load_mode)i;
			return;
		}
	die_with(EX_USAGE, "bench_run: --mode is kept, new, rate or idle");
}

static int listen_on(uint16_t port)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 1024) < 0)
		die_with(EX_UNAVAILABLE, "bench_run: cannot listen on port %u", port);
	return fd;
}

enum option_name {
	OPT_HOST = 256,
	OPT_PORT,
	OPT_TLS,
	OPT_INSECURE,
	OPT_CA,
	OPT_USER,
	OPT_MODE,
	OPT_SESSIONS,
	OPT_SIZE,
	OPT_RATE,
	OPT_SECONDS,
	OPT_COUNT,
	OPT_ATTACHMENT,
	OPT_STANDIN_FD,
	OPT_STANDIN_PORT,
	OPT_LATENCY,
	OPT_FAIL_EVERY,
	OPT_DROP_EVERY,
	OPT_DRAIN,
};

static const struct option long_options[] = {
	{"host", required_argument, NULL, OPT_HOST},
	{"port", required_argument, NULL, OPT_PORT},
	{"tls", required_argument, NULL, OPT_TLS},
	{"insecure", no_argument, NULL, OPT_INSECURE},
	{"ca", required_argument, NULL, OPT_CA},
	{"user", required_argument, NULL, OPT_USER},
	{"mode", required_argument, NULL, OPT_MODE},
	{"sessions", required_argument, NULL, OPT_SESSIONS},
	{"size", required_argument, NULL, OPT_SIZE},
	{"rate", required_argument, NULL, OPT_RATE},
	{"seconds", required_argument, NULL, OPT_SECONDS},
	{"count", required_argument, NULL, OPT_COUNT},
	{"attachment", no_argument, NULL, OPT_ATTACHMENT},
	{"standin-fd", required_argument, NULL, OPT_STANDIN_FD},
	{"standin-port", required_argument, NULL, OPT_STANDIN_PORT},
	{"latency-ms", required_argument, NULL, OPT_LATENCY},
	{"fail-every", required_argument, NULL, OPT_FAIL_EVERY},
	{"drop-every", required_argument, NULL, OPT_DROP_EVERY},
	{"drain-seconds", required_argument, NULL, OPT_DRAIN},
	{0},
};

static void set_tls(struct run *run, const char *text)
{
	struct str s = str_of(text);

	if (str_eq(s, STR("implicit")))
		run->load_options.server.mode = CLIENT_SESSION_IMPLICIT;
	else if (str_eq(s, STR("none")))
		run->load_options.server.mode = CLIENT_SESSION_CLEAR;
	else if (!str_eq(s, STR("starttls")))
		die_with(EX_USAGE, "bench_run: --tls is starttls, implicit or none");
}

/* The load's options; false when it is none of them. */
static bool set_load_option(struct run *run, int name, const char *value)
{
	struct bench_load_options *o = &run->load_options;

	/* clang-format off */
	switch (name) {
	case OPT_HOST: o->server.host = value; return true;
	case OPT_PORT: o->server.port = (uint16_t)number(value, 65535); return true;
	case OPT_TLS: set_tls(run, value); return true;
	case OPT_INSECURE: run->is_insecure = true; return true;
	case OPT_CA: run->ca_file = value; return true;
	case OPT_USER: o->server.user = value; return true;
	case OPT_MODE: set_mode(run, value); return true;
	case OPT_SESSIONS: o->sessions = number(value, 1000000); return true;
	case OPT_SIZE: o->size = number(value, 32 << 20); return true;
	case OPT_RATE: o->rate = strtod(value, NULL); return true;
	case OPT_SECONDS: o->time = (int64_t)number(value, 86400) * CLOCK_SECOND; return true;
	case OPT_COUNT: o->count = number(value, UINT32_MAX); return true;
	case OPT_ATTACHMENT: o->has_attachment = true; return true;
	default: return false;
	}
	/* clang-format on */
}

static void set_standin_option(struct run *run, int name, const char *value)
{
	struct bench_standin_options *o = &run->standin_options;

	/* clang-format off */
	switch (name) {
	case OPT_STANDIN_FD: o->listen_fd = (int)number(value, 1 << 20); break;
	case OPT_STANDIN_PORT: o->listen_fd = listen_on((uint16_t)number(value, 65535)); break;
	case OPT_LATENCY: o->latency = (int64_t)number(value, 600000) * CLOCK_MS; break;
	case OPT_FAIL_EVERY: o->fail_every = number(value, UINT32_MAX); break;
	case OPT_DROP_EVERY: o->drop_every = number(value, UINT32_MAX); break;
	case OPT_DRAIN: run->drain = (int64_t)number(value, 86400) * CLOCK_SECOND; break;
	default: die_with(EX_USAGE, "bench_run: see long_options in tests/bench/bench_run.c");
	}
	/* clang-format on */
}

static void parse(struct run *run, int argc, char **argv)
{
	struct bench_load_options *o = &run->load_options;
	int name;

	run->mode = "kept";
	run->drain = 30 * CLOCK_SECOND;
	run->standin_options.listen_fd = -1;
	run->standin_options.api_key = getenv("BENCH_API_KEY");
	o->server.host = "127.0.0.1";
	o->server.port = 587;
	o->server.hello = "bench.example.com";
	o->server.password = getenv("BENCH_PASSWORD");
	o->server.timeout = 60 * CLOCK_SECOND;
	o->sessions = 20;
	o->size = 4096;
	while ((name = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		if (!set_load_option(run, name, optarg))
			set_standin_option(run, name, optarg);
	if (run->standin_options.listen_fd < 0)
		die_with(EX_USAGE, "bench_run: --standin-fd or --standin-port is needed");
	if (run->standin_options.api_key == NULL ||
	    (o->server.user != NULL && o->server.password == NULL))
		die_with(EX_USAGE,
			 "bench_run: BENCH_API_KEY and BENCH_PASSWORD must be in the environment");
	if (o->mode == BENCH_LOAD_RATE && !(o->rate > 0))
		die_with(EX_USAGE, "bench_run: --mode rate needs --rate");
	if (o->sessions == 0 || (o->mode != BENCH_LOAD_IDLE && o->time == 0 && o->count == 0))
		die_with(EX_USAGE, "bench_run: --sessions, and --seconds or --count, are needed");
	fd_set_nonblocking(run->standin_options.listen_fd);
}

static struct tls_client *make_tls(const struct run *run)
{
	struct buf ca = BUF_MAX(1 << 20);
	struct tls_client *tls;
	struct err err;

	if (run->load_options.server.mode == CLIENT_SESSION_CLEAR)
		return NULL;
	if (run->ca_file != NULL && !fd_read_file(run->ca_file, &ca, &err))
		die_with(EX_NOINPUT, "bench_run: %s", err.text);
	tls = tls_client_new(buf_str(&ca), run->is_insecure, TLS_1_2, &err);
	if (tls == NULL)
		die_with(EX_NOINPUT, "bench_run: %s", err.text);
	buf_clear(&ca);
	return tls;
}

int main(int argc, char **argv)
{
	const struct bench_load_events events = {
		.on_begin = on_begin, .on_end = on_end, .on_hopeless = on_hopeless};
	struct rlimit files;
	struct run run = {0};
	bool ok;

	parse(&run, argc, argv);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	run.loop = loop_new();
	run.look = loop_timer_new(run.loop, look, &run);
	loop_on_signal(run.loop, SIGTERM, on_interrupt, &run);
	loop_on_signal(run.loop, SIGINT, on_interrupt, &run);
	bench_book_open(&run.book);
	run.load_options.server.tls = make_tls(&run);
	run.standin = bench_standin_new(run.loop, &run.book, &run.standin_options);
	run.load = bench_load_new(run.loop, &run.book, &run.load_options, &events, &run);
	loop_run(run.loop);
	ok = print_result(&run);
	bench_load_free(&run.load);
	bench_standin_free(&run.standin);
	loop_fd_free(&run.stdin_watch);
	loop_timer_free(&run.look);
	bench_book_clear(&run.book);
	tls_client_free(&run.load_options.server.tls);
	loop_free(&run.loop);
	return ok ? 0 : 1;
}
