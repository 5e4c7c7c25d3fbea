/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of lib/aws/aws_sources.c.
 */
#include "lib/aws/aws_sources.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/fd.h"
#include "tests/support/unit.h"

static char directory[64];

static void in_directory(const char *name, char path[160])
{
	snprintf(path, 160, "%s/%s", directory, name);
}

/* Under a new name, then renamed, as those who rotate secrets do it. */
static void put(const char *name, const char *text)
{
	char path[160], fresh[160];
	int fd;

	in_directory(name, path);
	in_directory("fresh", fresh);
	fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	UNIT_TRUE(fd >= 0 && fd_write_all(fd, text, strlen(text)));
	fd_close(&fd);
	UNIT_INT(rename(fresh, path), 0);
}

static void check(const struct aws_sources *sources, enum aws_file which, const char *text)
{
	struct buf content = BUF_MAX(64);
	struct err err;
	bool is_there = aws_sources_read(sources, which, &content, &err);

	UNIT_INT(is_there, text != NULL);
	if (is_there)
		UNIT_STR(buf_str(&content), text);
	buf_clear(&content);
}

static void open_directory(void)
{
	snprintf(directory, sizeof(directory), "/tmp/aws-sources-XXXXXX");
	UNIT_TRUE(mkdtemp(directory) != NULL);
}

static void what_the_environment_says_is_taken_out_of_it(void)
{
	static char secret[] = "AWS_SECRET_ACCESS_KEY=secret";
	struct aws_sources *sources;

	UNIT_INT(putenv(secret), 0);
	UNIT_INT(setenv("AWS_ACCESS_KEY_ID", "AK", 1), 0);
	UNIT_INT(setenv("AWS_PROFILE", "", 1), 0);
	sources = aws_sources_take();
	UNIT_TEXT(sources->variable[AWS_VARIABLE_ACCESS_KEY_ID], "AK");
	UNIT_TEXT(sources->variable[AWS_VARIABLE_SECRET_ACCESS_KEY], "secret");
	UNIT_TRUE(sources->variable[AWS_VARIABLE_PROFILE] == NULL && sources->variable[AWS_VARIABLE_ROLE_ARN] == NULL);
	UNIT_TRUE(getenv("AWS_SECRET_ACCESS_KEY") == NULL && getenv("AWS_ACCESS_KEY_ID") == NULL);
	UNIT_TRUE(strstr(secret, "secret") == NULL);
	aws_sources_free(&sources);
	UNIT_TRUE(sources == NULL);
}

static void files_are_read_as_they_are_now(void)
{
	struct aws_sources *sources;
	char path[160];

	open_directory();
	put("token", "first");
	in_directory("token", path);
	UNIT_INT(setenv("AWS_WEB_IDENTITY_TOKEN_FILE", path, 1), 0);
	in_directory("later", path);
	UNIT_INT(setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", path, 1), 0);
	UNIT_INT(setenv("HOME", directory, 1), 0);
	sources = aws_sources_take();
	UNIT_TRUE(aws_sources_has(sources, AWS_FILE_WEB_IDENTITY));
	check(sources, AWS_FILE_WEB_IDENTITY, "first");
	put("token", "second");
	check(sources, AWS_FILE_WEB_IDENTITY, "second");
	/* Named, but not there yet; usual, and not there. */
	UNIT_TRUE(aws_sources_has(sources, AWS_FILE_CONTAINER_TOKEN));
	check(sources, AWS_FILE_CONTAINER_TOKEN, NULL);
	put("later", "third");
	check(sources, AWS_FILE_CONTAINER_TOKEN, "third");
	UNIT_TRUE(!aws_sources_has(sources, AWS_FILE_CREDENTIALS));
	check(sources, AWS_FILE_CREDENTIALS, NULL);
	/* Gone, or not to be opened any more: as it was. */
	in_directory("token", path);
	UNIT_INT(unlink(path), 0);
	check(sources, AWS_FILE_WEB_IDENTITY, "first");
	put("later", "0123456789012345678901234567890123456789012345678901234567890123456789");
	check(sources, AWS_FILE_CONTAINER_TOKEN, NULL);
	aws_sources_free(&sources);
	in_directory("later", path);
	unlink(path);
	UNIT_INT(rmdir(directory), 0);
}

static void the_usual_files_are_found_in_the_home_directory(void)
{
	struct aws_sources *sources;
	char path[160];

	open_directory();
	in_directory(".aws", path);
	UNIT_INT(mkdir(path, 0700), 0);
	put(".aws/credentials", "[default]");
	UNIT_INT(setenv("HOME", directory, 1), 0);
	sources = aws_sources_take();
	check(sources, AWS_FILE_CREDENTIALS, "[default]");
	UNIT_TRUE(!aws_sources_has(sources, AWS_FILE_CONFIG));
	aws_sources_free(&sources);
	in_directory(".aws/credentials", path);
	unlink(path);
	in_directory(".aws", path);
	rmdir(path);
	UNIT_INT(rmdir(directory), 0);
}

UNIT_TESTS({"what the environment says is taken out of it", what_the_environment_says_is_taken_out_of_it},
	   {"files are read as they are now", files_are_read_as_they_are_now},
	   {"the usual files are found in the home directory", the_usual_files_are_found_in_the_home_directory})
