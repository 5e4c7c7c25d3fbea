/* SPDX-License-Identifier: Apache-2.0
 *
 * Environment and files. Called in prepare(), and by whoever takes the steps of aws_credentials.h.
 *
 * A file that is renewed is a new one under the old name, so it is opened again, in its directory, which is kept open. Who
 * reads it then is no longer root: where that is not allowed, it is read as it was opened at the start.
 */
#include "lib/aws/aws_sources.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/fd.h"
#include "lib/base/mem.h"

static const char *const names[AWS_VARIABLES] = {
#define AWS(constant, name) name,
#include "lib/settings/settings_aws.def"
#undef AWS
};

/* Which variable names a file, and where below the home directory it is else. */
static const struct {
	enum aws_variable variable;
	const char *usual;
} files[AWS_FILES] = {
	[AWS_FILE_CREDENTIALS] = {AWS_VARIABLE_CREDENTIALS_FILE, ".aws/credentials"},
	[AWS_FILE_CONFIG] = {AWS_VARIABLE_CONFIG_FILE, ".aws/config"},
	[AWS_FILE_WEB_IDENTITY] = {AWS_VARIABLE_WEB_IDENTITY_TOKEN_FILE, NULL},
	[AWS_FILE_CONTAINER_TOKEN] = {AWS_VARIABLE_CONTAINER_TOKEN_FILE, NULL},
};

static void take_variables(struct aws_sources *s)
{
	for (unsigned i = 0; i < AWS_VARIABLES; i++) {
		char *value = getenv(names[i]);

		if (value == NULL)
			continue;
		if (value[0] != '\0')
			s->variable[i] = mem_text(value);
		mem_wipe(value, strlen(value));
		unsetenv(names[i]);
	}
}

static void open_file(struct aws_sources *s, enum aws_file which)
{
	const char *home = s->variable[AWS_VARIABLE_HOME], *path = s->variable[files[which].variable], *slash;
	char usual[PATH_MAX], directory[PATH_MAX];

	if (path == NULL && home != NULL && files[which].usual != NULL &&
	    snprintf(usual, sizeof(usual), "%s/%s", home, files[which].usual) < (int)sizeof(usual))
		path = usual;
	if (path == NULL)
		return;
	slash = strrchr(path, '/');
	if (!str_copy(slash == NULL ? STR(".") : slash == path ? STR("/") : str_bytes(path, (size_t)(slash - path)), directory,
		      sizeof(directory)))
		return;
	s->file[which].file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	/* One that is named may come later; one that is merely usual is either there or not meant. */
	if (s->file[which].file < 0 && path == usual)
		return;
	s->file[which].directory = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	s->file[which].name = mem_text(slash == NULL ? path : slash + 1);
}

struct aws_sources *aws_sources_take(void)
{
	struct aws_sources *s = mem_zero(sizeof(*s));

	take_variables(s);
	for (unsigned i = 0; i < AWS_FILES; i++) {
		s->file[i].directory = s->file[i].file = -1;
		open_file(s, (enum aws_file)i);
	}
	return s;
}

void aws_sources_free(struct aws_sources **sources)
{
	struct aws_sources *s = *sources;

	if (s == NULL)
		return;
	for (unsigned i = 0; i < AWS_VARIABLES; i++) {
		char *value = (char *)(uintptr_t)s->variable[i];

		mem_free_secret(&value);
	}
	for (unsigned i = 0; i < AWS_FILES; i++) {
		fd_close(&s->file[i].directory);
		fd_close(&s->file[i].file);
		mem_free(&s->file[i].name);
	}
	mem_free(sources);
}

bool aws_sources_has(const struct aws_sources *sources, enum aws_file which)
{
	return sources->file[which].name != NULL;
}

static bool read_all(int fd, struct buf *out)
{
	buf_reset(out);
	for (;;) {
		char bytes[4096];
		ssize_t got = pread(fd, bytes, sizeof(bytes), (off_t)out->n);

		if (got > 0)
			buf_put(out, bytes, (size_t)got);
		if (out->is_full)
			errno = EFBIG;
		if (got <= 0 || out->is_full) {
			mem_wipe(bytes, sizeof(bytes));
			return got == 0;
		}
	}
}

bool aws_sources_read(const struct aws_sources *sources, enum aws_file which, struct buf *out, struct err *err)
{
	const char *name = sources->file[which].name;
	bool ok;
	int fd;

	if (name == NULL)
		return err_set(err, "there is no such file");
	/* Kubernetes' files are links, which change with what is behind them. */
	fd = openat(sources->file[which].directory, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ok = fd >= 0 && read_all(fd, out);
	if (!ok && sources->file[which].file >= 0)
		ok = read_all(sources->file[which].file, out);
	if (!ok)
		err_set(err, "cannot read the file %s: %s", name, strerror(errno));
	fd_close(&fd);
	return ok;
}
