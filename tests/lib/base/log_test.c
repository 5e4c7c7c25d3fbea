/* SPDX-License-Identifier: Apache-2.0
 *
 * lib/base/log.c: the lines it writes, read back from a pipe in place of standard output; and fd.c's files.
 */
#include "lib/base/log.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/base/fd.h"
#include "tests/support/unit.h"

static int saved_stdout = -1, pipe_read = -1;
static char line[16384];

static void catch_output(void)
{
	int fds[2];

	UNIT_TRUE(pipe(fds) == 0);
	fflush(stdout);
	saved_stdout = dup(STDOUT_FILENO);
	dup2(fds[1], STDOUT_FILENO);
	close(fds[1]);
	pipe_read = fds[0];
}

/* What was written since catch_output(), without the time at the front. */
static const char *caught(void)
{
	ssize_t n;
	char *role;

	dup2(saved_stdout, STDOUT_FILENO);
	fd_close(&saved_stdout);
	n = read(pipe_read, line, sizeof(line) - 1);
	fd_close(&pipe_read);
	line[n < 0 ? 0 : n] = '\0';
	role = strstr(line, "\"event\"");
	return role == NULL ? line : role;
}

static void a_line_is_a_json_object_with_its_context(void)
{
	const struct log_context ctx = {.session = "s1", .message = "m1", .tenant = ""};

	log_open("smtpd", 2);
	log_set(LOG_FORMAT_JSON, LOG_LEVEL_INFO);
	catch_output();
	log_info(&ctx, "test.line", log_text("who", "a\"b\\c\n\x7f"), log_int("i", -5), log_uint("u", 5),
		 log_bool("b", true), log_ms("took", 1234567));
	UNIT_TEXT(caught(), "\"event\":\"test.line\",\"session\":\"s1\",\"message\":\"m1\","
			    "\"who\":\"a\\\"b\\\\c\\u000a\\u007f\",\"i\":-5,\"u\":5,\"b\":true,"
			    "\"took\":1234.567}\n");
	UNIT_TRUE(strstr(line, "\"role\":\"smtpd[2]\"") != NULL);
}

static void bytes_that_are_not_utf8_are_escaped(void)
{
	catch_output();
	log_info(NULL, "test.bytes", log_text("good", "\xc3\xa9"), log_text("bad", "\xe9\xff"));
	UNIT_TEXT(caught(), "\"event\":\"test.bytes\",\"good\":\"\xc3\xa9\",\"bad\":\"\\u00e9\\u00ff\"}\n");
}

/* A terminal obeys U+009B as it does ESC [. */
static void control_characters_of_unicode_are_escaped(void)
{
	catch_output();
	log_info(NULL, "test.control", log_text("user", "a\xc2\x9b" "2J\xc2\x80\xc2\x9f\xc2\xa0"));
	UNIT_TEXT(caught(), "\"event\":\"test.control\",\"user\":\"a\\u009b2J\\u0080\\u009f\xc2\xa0\"}\n");
}

static void a_long_text_is_cut_between_characters(void)
{
	char text[2000];

	memset(text, 'x', sizeof(text));
	text[511] = '\xc3';
	text[512] = '\xa9';
	text[1999] = '\0';
	catch_output();
	log_info(NULL, "test.long", log_text("t", text));
	caught();
	UNIT_TRUE(strstr(line, "\\u00c3") == NULL);
	UNIT_TRUE(strlen(line) < 700);
}

static void levels_below_the_threshold_are_silent(void)
{
	catch_output();
	log_debug(NULL, "test.debug");
	UNIT_TEXT(caught(), "");
	log_set(LOG_FORMAT_PLAIN, LOG_LEVEL_DEBUG);
	catch_output();
	log_debug(NULL, "test.plain", log_text("a", "b c"));
	caught();
	UNIT_TRUE(strstr(line, " debug smtpd[2][") != NULL);
	UNIT_TRUE(strstr(line, " test.plain a=\"b c\"\n") != NULL);
	log_set(LOG_FORMAT_JSON, LOG_LEVEL_INFO);
}

static void only_a_sealed_file_of_the_right_size_is_trusted(void)
{
	int fd = fd_memfile("test");
	const char *map;

	UNIT_TRUE(fd_write_all(fd, "hello", 5));
	UNIT_TRUE(!fd_is_sealed(fd, 5));
	fd_seal(fd);
	UNIT_TRUE(fd_is_sealed(fd, 5));
	UNIT_TRUE(!fd_is_sealed(fd, 4));
	UNIT_TRUE(write(fd, "x", 1) < 0);
	map = fd_map(fd, 5);
	UNIT_TRUE(map != NULL && memcmp(map, "hello", 5) == 0);
	fd_unmap(map, 5);
	fd_close(&fd);
	UNIT_INT(fd, -1);
}

static void a_file_larger_than_the_buffer_is_an_error(void)
{
	struct buf b = BUF_MAX(3);
	struct err err;

	UNIT_TRUE(!fd_read_file("/proc/self/status", &b, &err));
	UNIT_TEXT(err.text, "/proc/self/status: larger than 3 bytes");
	UNIT_TRUE(!fd_read_file("/nonexistent", &b, &err));
	UNIT_TEXT(err.text, "/nonexistent: No such file or directory");
	buf_clear(&b);
}

UNIT_TESTS({"a line is a JSON object with its context", a_line_is_a_json_object_with_its_context},
	   {"bytes that are not UTF-8 are escaped", bytes_that_are_not_utf8_are_escaped},
	   {"control characters of Unicode are escaped", control_characters_of_unicode_are_escaped},
	   {"a long text is cut between characters", a_long_text_is_cut_between_characters},
	   {"levels below the threshold are silent", levels_below_the_threshold_are_silent},
	   {"only a sealed file of the right size is trusted", only_a_sealed_file_of_the_right_size_is_trusted},
	   {"a file larger than the buffer is an error", a_file_larger_than_the_buffer_is_an_error})
