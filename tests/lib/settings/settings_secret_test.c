/* SPDX-License-Identifier: Apache-2.0
 *
 * Secrets from files and the environment, and settings_read_file() around them.
 */
#include "lib/settings/settings_secret.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/fd.h"
#include "lib/settings/settings_problem.h"
#include "tests/support/unit.h"

static char path[] = "/tmp/settings_secret_test.XXXXXX";

/* Makes the file anew with this mode and content. */
static const char *file(mode_t mode, const char *content)
{
	int fd;

	memcpy(path + sizeof(path) - 7, "XXXXXX", 6);
	fd = mkstemp(path);
	UNIT_TRUE(fd >= 0 && fchmod(fd, mode) == 0 && fd_write_all(fd, content, strlen(content)));
	fd_close(&fd);
	return path;
}

static void expect(const char *value, bool ok, const char *secret_or_error, const char *warning_part)
{
	struct buf out = BUF_MAX(100);
	struct err warning, err = {""};

	UNIT_INT(settings_secret_resolve(str_of(value), &out, &warning, &err), ok);
	if (ok)
		UNIT_STR(buf_str(&out), secret_or_error);
	else
		UNIT_TEXT(err.text, secret_or_error);
	if (warning_part[0] == '\0')
		UNIT_TEXT(warning.text, "");
	else
		UNIT_TRUE(strstr(warning.text, warning_part) != NULL);
	buf_clear_secret(&out);
}

static void a_plain_value_is_the_secret(void)
{
	expect("hush", true, "hush", "");
	expect("", true, "", "");
	expect("${not closed", true, "${not closed", "");
	expect("${9}", true, "${9}", "");
	expect("a${HOME}", true, "a${HOME}", "");
	expect("${}", true, "${}", "");
}

static void a_file_gives_its_content_without_the_newline(void)
{
	char value[100];

	snprintf(value, sizeof(value), "file:%s", file(0600, "hush\n"));
	expect(value, true, "hush", "");
	unlink(path);
	snprintf(value, sizeof(value), "file:%s", file(0400, "hush hush\r\n"));
	expect(value, true, "hush hush", "");
	unlink(path);
	snprintf(value, sizeof(value), "file:%s", file(0600, " a\n\n"));
	expect(value, true, " a\n", "");
	unlink(path);
}

static void a_file_that_others_can_read_is_warned_about(void)
{
	char value[100];

	snprintf(value, sizeof(value), "file:%s", file(0640, "hush\n"));
	expect(value, true, "hush", "(mode 0640); 0600 is safe");
	unlink(path);
	snprintf(value, sizeof(value), "file:%s", file(0604, "hush\n"));
	expect(value, true, "hush", "(mode 0604); 0600 is safe");
	unlink(path);
}

static void a_file_that_gives_no_secret_is_an_error(void)
{
	char value[100], says[200], large[200];

	snprintf(value, sizeof(value), "file:%s", file(0600, "\n"));
	snprintf(says, sizeof(says), "its file %s is empty", path);
	expect(value, false, says, "");
	unlink(path);
	snprintf(says, sizeof(says), "cannot read its file %s: No such file or directory", path);
	expect(value, false, says, "");
	expect("file:/tmp", false, "/tmp is not a regular file", "");
	expect("file:/dev/null", false, "/dev/null is not a regular file", "");
	expect("file:relative", false, "file:relative: the path must be absolute", "");
	memset(large, 'x', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	snprintf(value, sizeof(value), "file:%s", file(0600, large));
	snprintf(says, sizeof(says), "%s: larger than 100 bytes", path);
	expect(value, false, says, "");
	unlink(path);
}

static void a_fifo_does_not_stop_the_program(void)
{
	char value[100];

	unlink(file(0600, ""));
	UNIT_TRUE(mkfifo(path, 0600) == 0);
	snprintf(value, sizeof(value), "file:%s", path);
	alarm(5);
	{
		char says[200];

		snprintf(says, sizeof(says), "%s is not a regular file", path);
		expect(value, false, says, "");
	}
	alarm(0);
	unlink(path);
}

static void a_variable_of_the_environment_is_taken(void)
{
	setenv("SETTINGS_SECRET_TEST", "hush", 1);
	expect("${SETTINGS_SECRET_TEST}", true, "hush", "");
	setenv("SETTINGS_SECRET_TEST", "", 1);
	expect("${SETTINGS_SECRET_TEST}", false, "the environment variable SETTINGS_SECRET_TEST is empty", "");
	unsetenv("SETTINGS_SECRET_TEST");
	expect("${SETTINGS_SECRET_TEST}", false, "the environment variable SETTINGS_SECRET_TEST is not set",
	       "");
}

static void a_whole_file_is_read_with_its_secrets(void)
{
	struct settings_problems problems;
	struct settings *s;

	setenv("SETTINGS_SECRET_TEST", "hush", 1);
	file(0600, "listeners: {a: {}}\ndatabase: {queue_password: \"${SETTINGS_SECRET_TEST}\"}\n");
	UNIT_TRUE(settings_read_file(path, &s, &problems));
	UNIT_INT(problems.n, 0);
	UNIT_TEXT(s->database.queue_password, "hush");
	settings_problem_clear(&problems);
	settings_free(&s);
	unlink(path);
	unsetenv("SETTINGS_SECRET_TEST");
}

static void a_settings_file_with_secrets_that_others_can_read_is_warned_about(void)
{
	static const struct {
		mode_t mode;
		const char *password, *warning;
	} cases[] = {
		{0600, "hush", NULL},
		{0640, "hush", "mode 0640"},
		{0604, "hush", "mode 0604"},
		{0644, "''", NULL},
		{0644, "${SETTINGS_SECRET_TEST}", NULL},
	};

	setenv("SETTINGS_SECRET_TEST", "hush", 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct settings_problems problems;
		struct settings *s;
		char text[200];

		snprintf(text, sizeof(text), "listeners: {a: {}}\ndatabase:\n  queue_password: %s\n",
			 cases[i].password);
		file(cases[i].mode, text);
		UNIT_TRUE(settings_read_file(path, &s, &problems));
		UNIT_INT(problems.n, cases[i].warning != NULL);
		if (problems.n > 0 && cases[i].warning != NULL) {
			UNIT_TRUE(problems.problem[0].is_warning);
			UNIT_INT(problems.problem[0].line, 3);
			UNIT_TEXT(problems.problem[0].setting, "database.queue_password");
			UNIT_TRUE(strstr(problems.problem[0].what, cases[i].warning) != NULL);
			UNIT_TRUE(strstr(problems.problem[0].what, "hush") == NULL);
		}
		settings_problem_clear(&problems);
		settings_free(&s);
		unlink(path);
	}
	unsetenv("SETTINGS_SECRET_TEST");
}

static void a_file_that_cannot_be_read_is_a_problem(void)
{
	struct settings_problems problems;
	struct settings *s;
	struct buf line = BUF_MAX(1000);

	UNIT_TRUE(!settings_read_file("/no/such/file", &s, &problems));
	UNIT_TRUE(s == NULL);
	UNIT_INT(problems.n, 1);
	settings_problem_format(&problems, 0, &line);
	UNIT_STR(buf_str(&line), "/no/such/file: No such file or directory");
	buf_clear(&line);
	settings_problem_clear(&problems);
	UNIT_TRUE(!settings_read_file("/tmp", &s, &problems));
	settings_problem_clear(&problems);
	UNIT_TRUE(!settings_read_file("/dev/zero", &s, &problems));
	settings_problem_format(&problems, 0, &line);
	UNIT_STR(buf_str(&line), "/dev/zero: larger than 1048576 bytes");
	buf_clear(&line);
	settings_problem_clear(&problems);
}

UNIT_TESTS({"a plain value is the secret", a_plain_value_is_the_secret},
	   {"a file gives its content without the newline", a_file_gives_its_content_without_the_newline},
	   {"a file that others can read is warned about", a_file_that_others_can_read_is_warned_about},
	   {"a settings file with secrets that others can read is warned about",
	    a_settings_file_with_secrets_that_others_can_read_is_warned_about},
	   {"a file that gives no secret is an error", a_file_that_gives_no_secret_is_an_error},
	   {"a FIFO does not stop the program", a_fifo_does_not_stop_the_program},
	   {"a variable of the environment is taken", a_variable_of_the_environment_is_taken},
	   {"a whole file is read with its secrets", a_whole_file_is_read_with_its_secrets},
	   {"a file that cannot be read is a problem", a_file_that_cannot_be_read_is_a_problem})
