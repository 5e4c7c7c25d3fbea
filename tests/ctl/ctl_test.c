/* SPDX-License-Identifier: Apache-2.0
 *
 * How smtp-proxyctl takes its arguments. What ends the program is tried in a child process.
 */
#include "ctl/ctl.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/unit.h"

static const struct ctl_command command = {.words = "do it", .arguments = "WHAT [--all]", .prose = "Does it."};
static char *words[16];

static struct ctl arguments(const char *line)
{
	struct ctl ctl = {.command = &command, .argument = words};
	static char copy[256];

	snprintf(copy, sizeof(copy), "%s", line);
	for (char *p = copy; *p != '\0';) {
		words[ctl.n_arguments++] = p;
		p += strcspn(p, " ");
		if (*p != '\0')
			*p++ = '\0';
	}
	return ctl;
}

/* The exit status of a run that takes --n, --all, one argument and no more. */
static int status_of(const char *line)
{
	int status = -1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		struct ctl ctl = arguments(line);

		if (freopen("/dev/null", "w", stderr) == NULL)
			_exit(99);
		ctl_option_u64(&ctl, "--n", 5, 1, 10);
		ctl_flag(&ctl, "--all");
		ctl_argument(&ctl, "WHAT");
		ctl_end(&ctl);
		_exit(0);
	}
	UNIT_TRUE(pid > 0 && waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void options_may_stand_anywhere(void)
{
	struct ctl ctl = arguments("a --n 3 --all b --t=x=y");

	UNIT_INT(ctl_option_u64(&ctl, "--n", 5, 1, 10), 3);
	UNIT_TRUE(ctl_flag(&ctl, "--all"));
	UNIT_TRUE(!ctl_flag(&ctl, "--all"));
	UNIT_TEXT(ctl_option(&ctl, "--t"), "x=y");
	UNIT_TRUE(ctl_option(&ctl, "--t") == NULL);
	UNIT_TEXT(ctl_argument(&ctl, "WHAT"), "a");
	UNIT_TEXT(ctl_optional(&ctl), "b");
	UNIT_TRUE(ctl_optional(&ctl) == NULL);
	ctl_end(&ctl);
}

static void a_left_out_option_has_its_default(void)
{
	struct ctl ctl = arguments("a");

	UNIT_INT(ctl_option_u64(&ctl, "--n", 5, 1, 10), 5);
	UNIT_TRUE(!ctl_flag(&ctl, "--all"));
}

static void two_dashes_end_the_options(void)
{
	struct ctl ctl = arguments("-- --all");

	UNIT_TRUE(!ctl_flag(&ctl, "--all"));
	UNIT_TEXT(ctl_argument(&ctl, "WHAT"), "--all");
	ctl_end(&ctl);
}

static void wrong_arguments_end_with_the_usage(void)
{
	static const struct {
		const char *line;
		int status;
	} cases[] = {{"a", 0},	      {"a --n 10", 0},	   {"a --n=1 --all", 0}, {"- ", 0},
		     {"", EX_USAGE},  {"a b", EX_USAGE},   {"a --nope", EX_USAGE}, {"--nope", EX_USAGE},
		     {"a --n", EX_USAGE}, {"a --n 11", EX_USAGE}, {"a --n x", EX_USAGE}, {"--all", EX_USAGE}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		UNIT_INT(status_of(cases[i].line), cases[i].status);
}

/* An error's text may come from a process that was taken over. */
static void errors_do_not_reach_the_terminal_as_orders(void)
{
	int ends[2], status;
	char text[256] = "";
	pid_t pid;

	UNIT_TRUE(pipe(ends) == 0);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		dup2(ends[1], STDERR_FILENO);
		ctl_fail(EX_DATAERR, "%s", "a\x1b[2J\x7f\xc2\x9b" "b\r\xc3\xa9\n c");
	}
	close(ends[1]);
	UNIT_TRUE(read(ends[0], text, sizeof(text) - 1) > 0);
	close(ends[0]);
	UNIT_TRUE(pid > 0 && waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == EX_DATAERR);
	UNIT_TEXT(text, "smtp-proxyctl: a?[2J???b?\xc3\xa9\n c\n");
}

UNIT_TESTS({"options may stand anywhere", options_may_stand_anywhere},
	   {"a left out option has its default", a_left_out_option_has_its_default},
	   {"two dashes end the options", two_dashes_end_the_options},
	   {"wrong arguments end with the usage", wrong_arguments_end_with_the_usage},
	   {"errors do not reach the terminal as orders", errors_do_not_reach_the_terminal_as_orders})
