/* SPDX-License-Identifier: Apache-2.0
 *
 * Programs of the operator's, run in earnest: small shell scripts.
 */
#include "tests/support/unit.h"

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/service/service_rights.h"
#include "master/master_run.h"

enum { RESULTS = 128 };

static char scratch[] = "/tmp/smtp-proxy-run-XXXXXX";
static struct loop *loop;
static struct master_run *run;
static struct {
	pid_t asker;
	uint64_t id;
	bool is_done;
	char *output;
} results[RESULTS];
static size_t n_results;

static void on_result(void *ctx, pid_t asker, uint64_t id, const struct ipc_run_result *result)
{
	(void)ctx;
	results[n_results].asker = asker;
	results[n_results].id = id;
	results[n_results].is_done = result->is_done;
	results[n_results++].output = str_dup(result->output);
}

static void begin(int64_t longest)
{
	n_results = 0;
	loop = loop_new();
	run = master_run_new(loop, longest, on_result, NULL);
}

/* Until so many are told of. */
static void await(size_t n)
{
	int64_t until = clock_mono() + 60 * CLOCK_SECOND;
	int status;
	pid_t pid;

	while (n_results < n && clock_mono() < until) {
		loop_turn(loop, 5 * CLOCK_MS);
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
			master_run_ended(run, pid, status);
	}
	UNIT_INT(n_results, n);
}

static void end(void)
{
	master_run_free(&run);
	loop_free(&loop);
	while (waitpid(-1, NULL, 0) > 0)
		;
	for (size_t i = 0; i < n_results; i++)
		mem_free(&results[i].output);
}

static const char *script(const char *text)
{
	static char path[4096];
	static unsigned count;
	int fd;

	snprintf(path, sizeof(path), "%s/script%u", scratch, count++);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	must(fd >= 0 && fd_write_all(fd, text, strlen(text)) && fchmod(fd, 0755) == 0);
	fd_close(&fd);
	return path;
}

static void start(const char *text, uint64_t id, unsigned n, const char *const *words)
{
	struct ipc_run wish = {.program = IPC_PROGRAM_DNS_HOOK, .n = n};

	for (unsigned i = 0; i < n; i++)
		wish.argument[i] = str_of(words[i]);
	master_run_start(run, script(text), &wish, 77, id);
}

static void the_words_arrive_as_they_are(void)
{
	static const char *const words[] = {"add", "_acme-challenge.x.test", "$(id) ; * \"'", ""};

	begin(60 * CLOCK_SECOND);
	start("#!/bin/sh\nprintf '[%s]' \"$@\"\n", 5, 4, words);
	await(1);
	UNIT_TRUE(results[0].is_done);
	UNIT_INT(results[0].asker, 77);
	UNIT_INT(results[0].id, 5);
	UNIT_TEXT(results[0].output, "[add][_acme-challenge.x.test][$(id) ; * \"'][]");
	end();
}

static void nothing_of_ours_is_there(void)
{
	uid_t user = geteuid();
	gid_t group = getegid();
	char expected[400];
	int held = open("/dev/null", O_RDONLY); /* without O_CLOEXEC */

	setenv("SP_SECRET", "s3cret", 1);
	unsetenv("TZ");
	if (user == 0)
		service_rights_user(ROLE_CERT_RENEWER, &user, &group);
	/* ls has a descriptor of its own. */
	snprintf(expected, sizeof(expected), "%u %u / PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/  "
					     "0 1 2 3  0 leader", user, group);
	begin(60 * CLOCK_SECOND);
	start("#!/bin/sh\n"
	      "echo $(id -u) $(id -G) $(pwd) \"$(tr '\\0' ' ' < /proc/$$/environ)\" \"$(ls /proc/self/fd | tr '\\n' ' ')\" $(wc -c) "
	      "$([ $(cut -d' ' -f6 /proc/$$/stat) = $$ ] && echo leader)\n", 1, 0, NULL);
	await(1);
	UNIT_TEXT(results[0].output, expected);
	end();
	fd_close(&held);
	unsetenv("SP_SECRET");
}

static void how_it_ended_is_told(void)
{
	static const struct {
		const char *text, *output;
		bool is_done;
	} cases[] = {
		{"#!/bin/sh\necho good; echo bad >&2\n", "good bad", true},
		{"#!/bin/sh\necho the zone is not ours\nexit 3\n", "the zone is not ours", false},
		{"#!/bin/sh\nexit 3\n", "it ended with 3 and said nothing", false},
		{"#!/bin/sh\necho words; kill -SEGV $$\n", "it ended by signal 11", false},
		{"#!/bin/sh\nprintf 'a\\033[2J\\n\\tb\\001\\377'\n", "a?[2J  b??", true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin(60 * CLOCK_SECOND);
		start(cases[i].text, i, 0, NULL);
		await(1);
		UNIT_INT(results[0].is_done, cases[i].is_done);
		UNIT_TEXT(results[0].output, cases[i].output);
		end();
	}
}

static void of_much_output_the_end_is_told(void)
{
	size_t n;

	begin(60 * CLOCK_SECOND);
	start("#!/bin/sh\nyes 1234567 | head -c 3000000\necho the end\n", 1, 0, NULL);
	await(1);
	n = strlen(results[0].output);
	UNIT_TRUE(results[0].is_done && n > IPC_RUN_OUTPUT - 10 && n <= IPC_RUN_OUTPUT);
	UNIT_TRUE(str_ends(str_of(results[0].output), STR("the end")));
	end();
}

/* Somebody else's child: gone, or waiting for whoever reaps it. */
static bool has_ended(pid_t pid)
{
	char path[64];
	bool has = false;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	for (int i = 0; i < 500 && !has; i++) {
		struct buf stat = BUF_MAX(4096);

		has = !fd_read_file(path, &stat, NULL) || memmem(stat.p, stat.n, ") Z", 3) != NULL;
		buf_clear(&stat);
		usleep(10000);
	}
	return has;
}

static void one_that_takes_too_long_is_killed_with_its_kind(void)
{
	struct buf text = BUF_MAX(64);
	char path[4200];
	uint64_t pid = 0;

	snprintf(path, sizeof(path), "%s/open/pid", scratch);
	begin(CLOCK_SECOND);
	start("#!/bin/sh\ntrap '' TERM\nsleep 600 &\necho $! > $1\nwait\n", 1, 1, (const char *[]){path});
	await(1);
	UNIT_TRUE(!results[0].is_done);
	UNIT_TEXT(results[0].output, "it was killed after 1 seconds");
	UNIT_TRUE(fd_read_file(path, &text, NULL));
	UNIT_TRUE(str_u64(str_first(buf_str(&text), text.n - 1), 1, 1 << 30, &pid));
	UNIT_TRUE(has_ended((pid_t)pid));
	buf_clear(&text);
	end();
}

static void one_that_leaves_others_behind_is_not_waited_for(void)
{
	begin(60 * CLOCK_SECOND);
	start("#!/bin/sh\necho begun\n(exec sleep 5) &\n", 1, 0, NULL);
	await(1);
	UNIT_TRUE(results[0].is_done);
	UNIT_TEXT(results[0].output, "begun");
	end();
}

static void what_cannot_be_run_is_told(void)
{
	struct ipc_run wish = {.n = 1, .argument = {STR("a\nb")}};

	begin(60 * CLOCK_SECOND);
	master_run_start(run, "/bin/true", &wish, 1, 1);
	wish.argument[0] = STR("a\0b");
	master_run_start(run, "/bin/true", &wish, 1, 2);
	master_run_start(run, "", &(struct ipc_run){.n = 0}, 1, 3);
	UNIT_INT(n_results, 3);
	UNIT_TEXT(results[0].output, "an argument has a control character in it");
	UNIT_TEXT(results[1].output, "an argument has a control character in it");
	UNIT_TEXT(results[2].output, "the settings name no such program");
	master_run_start(run, "/nonexistent/hook", &(struct ipc_run){.n = 0}, 1, 4);
	await(4);
	UNIT_TRUE(!results[3].is_done);
	UNIT_TEXT(results[3].output, "cannot run /nonexistent/hook: No such file or directory");
	end();
}

static void so_many_at_once_and_the_others_wait(void)
{
	size_t most = MASTER_RUN_AT_ONCE + MASTER_RUN_WAITING;
	char line[4200];

	/* None ends before the last that may run has begun: each leaves a file, and waits for the sixteenth. */
	snprintf(line, sizeof(line), "#!/bin/sh\n: > %s/open/at$1\nwhile [ $(ls %s/open | grep -c at) -lt %d ]; do sleep 0.02; done\n",
		 scratch, scratch, MASTER_RUN_AT_ONCE);
	begin(60 * CLOCK_SECOND);
	for (size_t i = 0; i < most + 2; i++) {
		char word[16];

		snprintf(word, sizeof(word), "%zu", i);
		start(i < MASTER_RUN_AT_ONCE ? line : "#!/bin/sh\n", i, 1, (const char *[]){word});
	}
	UNIT_INT(n_results, 2);
	UNIT_INT(results[0].id, most);
	UNIT_TEXT(results[1].output, "too many programs are to be run already");
	await(most + 2);
	for (size_t i = 2; i < n_results; i++)
		UNIT_TRUE(results[i].is_done);
	end();
}

static void at_the_end_none_goes_on(void)
{
	int64_t from = clock_mono();

	begin(60 * CLOCK_SECOND);
	start("#!/bin/sh\nexec sleep 600\n", 1, 0, NULL);
	end(); /* waits for it */
	UNIT_TRUE(clock_mono() - from < 30 * CLOCK_SECOND);
	UNIT_INT(n_results, 0);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

static void clean(void)
{
	nftw(scratch, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
	static const struct unit_test tests[] = {
		{"the words arrive as they are", the_words_arrive_as_they_are},
		{"nothing of ours is there", nothing_of_ours_is_there},
		{"how it ended is told", how_it_ended_is_told},
		{"of much output the end is told", of_much_output_the_end_is_told},
		{"one that takes too long is killed with its kind", one_that_takes_too_long_is_killed_with_its_kind},
		{"one that leaves others behind is not waited for", one_that_leaves_others_behind_is_not_waited_for},
		{"what cannot be run is told", what_cannot_be_run_is_told},
		{"so many at once, and the others wait", so_many_at_once_and_the_others_wait},
		{"at the end none goes on", at_the_end_none_goes_on},
	};
	char open_to_all[4200];
	int result;

	/* As root the programs have a user of their own, who may not be there. */
	if (geteuid() == 0 && !service_rights_check_user(ROLE_CERT_RENEWER, NULL) && (setgid(65534) < 0 || setuid(65534) < 0))
		return 1;
	if (mkdtemp(scratch) == NULL || chmod(scratch, 0755) < 0)
		return 1;
	/* Where the scripts write. */
	snprintf(open_to_all, sizeof(open_to_all), "%s/open", scratch);
	if (mkdir(open_to_all, 0777) < 0 || chmod(open_to_all, 0777) < 0)
		return 1;
	result = unit_main(__FILE__, tests, sizeof(tests) / sizeof(tests[0]));
	clean();
	return result;
}
