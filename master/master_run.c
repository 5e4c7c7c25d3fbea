/* SPDX-License-Identifier: Apache-2.0
 *
 * A list of programs: those that run, and behind them those that wait for a place. The arguments come from a process that speaks to the
 * network: they are words for execve(), never for a shell.
 */
#include "master/master_run.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/service/service_apart.h"
#include "lib/service/service_rights.h"

enum { ARGV = IPC_RUN_ARGUMENTS + 2, LAST_READS = 64, REASON = 256 };

struct program {
	struct program *next;
	struct master_run *run;
	char *argv[ARGV]; /* the program's path first */
	pid_t asker;
	uint64_t id;
	pid_t pid;  /* 0: it waits */
	int output; /* -1: at its end, or not begun */
	struct loop_fd *watch;
	struct loop_timer *timer;
	bool is_late;
	char tail[IPC_RUN_OUTPUT];
	size_t n;
};

struct master_run {
	struct loop *loop;
	int64_t longest;
	master_run_fn *fn;
	void *ctx;
	struct program *first; /* in the order of their coming */
};

/* ---- The end of one ---- */

static void take_out(struct program *p)
{
	struct program **at = &p->run->first;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
}

static void close_output(struct program *p)
{
	loop_fd_free(&p->watch);
	fd_close(&p->output);
}

static void free_program(struct program *p)
{
	close_output(p);
	loop_timer_free(&p->timer);
	for (int i = 0; i < ARGV; i++)
		free(p->argv[i]);
	free(p);
}

/* It is off the list, and gone afterwards. */
static void tell(struct program *p, bool is_done, struct str output)
{
	struct master_run *run = p->run;

	run->fn(run->ctx, p->asker, p->id, &(struct ipc_run_result){.is_done = is_done, .output = output});
	free_program(p);
}

/* ---- What it says ---- */

static void add(struct program *p, const char *bytes, size_t n)
{
	if (p->n + n > sizeof(p->tail)) {
		size_t gone = p->n + n - sizeof(p->tail);

		memmove(p->tail, p->tail + gone, p->n - gone);
		p->n -= gone;
	}
	for (size_t i = 0; i < n; i++)
		p->tail[p->n++] = bytes[i] >= ' ' && bytes[i] <= '~' ? bytes[i] : bytes[i] == '\n' || bytes[i] == '\t' ? ' ' : '?';
}

/* True: there may be more. */
static bool hear(struct program *p)
{
	char bytes[IPC_RUN_OUTPUT / 2];
	ssize_t got = p->output >= 0 ? read(p->output, bytes, sizeof(bytes)) : 0;

	if (got > 0)
		add(p, bytes, (size_t)got);
	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
		close_output(p);
	return got > 0;
}

static void on_output(void *ctx, unsigned events)
{
	(void)events;
	hear(ctx);
}

/* ---- The beginning ---- */

static void kill_group(const struct program *p)
{
	kill(-p->pid, SIGKILL);
	kill(p->pid, SIGKILL); /* one that has not come to be the first of its group yet */
}

static void on_late(void *ctx)
{
	struct program *p = ctx;

	p->is_late = true;
	kill_group(p);
}

struct identity {
	uid_t user;
	gid_t group;
	bool is_other;
};

/* In the new process: never returns. */
static void become(const struct program *p, const struct identity *who, int output, pid_t parent)
{
	char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", home[] = "HOME=/", zone[REASON];
	char *environment[] = {path, home, NULL, NULL};
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (getenv("TZ") != NULL && snprintf(zone, sizeof(zone), "TZ=%s", getenv("TZ")) < (int)sizeof(zone))
		environment[2] = zone;
	service_apart_reset(parent);
	umask(077);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0 ||
	    close_range(STDERR_FILENO + 1, ~0U, 0) < 0 || setsid() < 0 || chdir("/") < 0)
		_exit(126);
	if (who->is_other && (setgroups(0, NULL) < 0 || setresgid(who->group, who->group, who->group) < 0 ||
			      setresuid(who->user, who->user, who->user) < 0))
		_exit(126);
	/* The kernel forgot the first with the change of user. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		_exit(126);
	execve(p->argv[0], p->argv, environment);
	dprintf(STDERR_FILENO, "cannot run %s: %s", p->argv[0], strerror(errno));
	_exit(127);
}

static bool find_identity(struct identity *who, struct err *err)
{
	*who = (struct identity){.is_other = geteuid() == 0};
	if (!who->is_other)
		return true;
	if (!service_rights_check_user(ROLE_CERT_RENEWER, err))
		return false;
	service_rights_user(ROLE_CERT_RENEWER, &who->user, &who->group);
	return true;
}

static bool begin(struct program *p, struct err *err)
{
	struct identity who;
	pid_t parent = getpid();
	int ends[2];

	if (!find_identity(&who, err))
		return false;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_set(err, "pipe: %s", strerror(errno));
	p->pid = fork();
	if (p->pid == 0)
		become(p, &who, ends[1], parent);
	fd_close(&ends[1]);
	if (p->pid < 0) {
		p->pid = 0;
		fd_close(&ends[0]);
		return err_set(err, "fork: %s", strerror(errno));
	}
	fd_set_nonblocking(ends[0]);
	p->output = ends[0];
	p->watch = loop_fd_new(p->run->loop, p->output, on_output, p);
	loop_fd_want(p->watch, LOOP_READ);
	loop_timer_set(p->timer, p->run->longest);
	log_info(NULL, "master.program.started", log_text("program", p->argv[0]), log_int("program_pid", p->pid));
	return true;
}

/* Those that wait, while there are places. */
static void begin_next(struct master_run *run)
{
	unsigned running = 0;
	struct program *next;
	struct err err;

	for (struct program *p = run->first; p != NULL && running < MASTER_RUN_AT_ONCE; p = next) {
		next = p->next;
		if (p->pid != 0 || begin(p, &err)) {
			running++;
			continue;
		}
		take_out(p);
		tell(p, false, str_of(err.text));
	}
}

/* ---- From outside ---- */

static bool is_argument(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
			return false;
	return true;
}

static const char *trouble_with(const struct master_run *run, const char *program, const struct ipc_run *wish)
{
	size_t n = 0;

	if (program[0] == '\0')
		return "the settings name no such program";
	for (unsigned i = 0; i < wish->n; i++)
		if (!is_argument(wish->argument[i]))
			return "an argument has a control character in it";
	for (const struct program *p = run->first; p != NULL; p = p->next)
		n++;
	return n < MASTER_RUN_AT_ONCE + MASTER_RUN_WAITING ? NULL : "too many programs are to be run already";
}

void master_run_start(struct master_run *run, const char *program, const struct ipc_run *wish, pid_t asker, uint64_t id)
{
	const char *trouble = trouble_with(run, program, wish);
	struct program *p, **end = &run->first;

	if (trouble != NULL) {
		run->fn(run->ctx, asker, id, &(struct ipc_run_result){.output = str_of(trouble)});
		return;
	}
	p = mem_zero(sizeof(*p));
	*p = (struct program){.run = run, .asker = asker, .id = id, .output = -1};
	p->timer = loop_timer_new(run->loop, on_late, p);
	p->argv[0] = mem_text(program);
	for (unsigned i = 0; i < wish->n; i++)
		p->argv[i + 1] = str_dup(wish->argument[i]);
	while (*end != NULL)
		end = &(*end)->next;
	*end = p;
	begin_next(run);
}

static void finish(struct program *p, int status)
{
	bool is_done = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	char reason[REASON] = "";
	struct str said;

	for (int i = 0; i < LAST_READS && hear(p); i++)
		;
	said = str_trim(str_bytes(p->tail, p->n));
	if (p->is_late)
		snprintf(reason, sizeof(reason), "it was killed after %lld seconds", (long long)(p->run->longest / CLOCK_SECOND));
	else if (WIFSIGNALED(status))
		snprintf(reason, sizeof(reason), "it ended by signal %d", WTERMSIG(status));
	else if (!is_done && said.n == 0)
		snprintf(reason, sizeof(reason), "it ended with %d and said nothing", WEXITSTATUS(status));
	else if (!is_done)
		snprintf(reason, sizeof(reason), "it ended with %d", WEXITSTATUS(status));
	log_write(NULL, is_done ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "master.program.ended",
		  (const struct log_field[]){log_text("program", p->argv[0]), log_int("program_pid", p->pid),
					     log_int("exit_status", WIFEXITED(status) ? WEXITSTATUS(status) : -1),
					     log_text("how", is_done ? "" : reason), {0}});
	tell(p, is_done, !is_done && (said.n == 0 || !WIFEXITED(status)) ? str_of(reason) : said);
}

bool master_run_ended(struct master_run *run, pid_t pid, int status)
{
	for (struct program *p = run->first; p != NULL; p = p->next)
		if (p->pid == pid) {
			take_out(p);
			finish(p, status);
			begin_next(run);
			return true;
		}
	return false;
}

struct master_run *master_run_new(struct loop *loop, int64_t longest, master_run_fn *fn, void *ctx)
{
	struct master_run *run = mem_zero(sizeof(*run));

	*run = (struct master_run){.loop = loop, .longest = longest, .fn = fn, .ctx = ctx};
	return run;
}

void master_run_free(struct master_run **run)
{
	struct master_run *r = *run;

	if (r == NULL)
		return;
	while (r->first != NULL) {
		struct program *p = r->first;

		r->first = p->next;
		if (p->pid != 0)
			kill_group(p);
		free_program(p);
	}
	mem_free(run);
}
