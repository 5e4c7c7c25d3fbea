/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads secrets given as file:PATH or ${NAME}. Called by the reader of the settings file only, so that
 * a password that happens to look like this is never read twice.
 */
#include "lib/settings/settings_secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/fd.h"
#include "lib/base/mem.h"

enum { PATH_MOST = 4096 };

static bool read_all(int fd, const char *path, struct buf *out, struct err *err)
{
	char part[4096];
	ssize_t got;
	bool fits = true;

	do {
		got = read(fd, part, sizeof(part));
		if (got > 0)
			fits = buf_put(out, part, (size_t)got);
	} while (fits && (got > 0 || (got < 0 && errno == EINTR)));
	mem_wipe(part, sizeof(part));
	if (!fits)
		return err_set(err, "%s: larger than %zu bytes", path, out->max);
	return got == 0 || err_set(err, "%s: %s", path, strerror(errno));
}

/* O_NONBLOCK, so that a FIFO in the place of the file cannot stop the program. */
static bool from_file(const char *path, struct buf *out, struct err *warning, struct err *err)
{
	int fd;
	struct stat st;
	bool ok;

	if (path[0] != '/')
		return err_set(err, "file:%s: the path must be absolute", path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return err_set(err, "cannot read its file %s: %s", path, strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		fd_close(&fd);
		return err_set(err, "%s is not a regular file", path);
	}
	if ((st.st_mode & SETTINGS_SECRET_READABLE) != 0)
		err_set(warning, "%s can be read by others than its owner (mode %04o); 0600 is safe", path,
			st.st_mode & 07777U);
	ok = read_all(fd, path, out, err);
	fd_close(&fd);
	if (ok && out->n > 0 && out->p[out->n - 1] == '\n')
		out->n--;
	if (ok && out->n > 0 && out->p[out->n - 1] == '\r')
		out->n--;
	if (ok && out->n == 0)
		return err_set(err, "its file %s is empty", path);
	return ok;
}

static bool is_name(struct str name)
{
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		if (c != '_' && !(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z') &&
		    !(i > 0 && c >= '0' && c <= '9'))
			return false;
	}
	return name.n > 0;
}

static bool from_environment(const char *name, struct buf *out, struct err *err)
{
	const char *value = getenv(name);

	if (value == NULL || value[0] == '\0')
		return err_set(err, "the environment variable %s is %s", name,
			       value == NULL ? "not set" : "empty");
	return buf_put_text(out, value) ||
	       err_set(err, "the environment variable %s is larger than %zu bytes", name, out->max);
}

static bool is_variable(struct str value)
{
	return value.n > 3 && str_starts(value, STR("${")) && value.p[value.n - 1] == '}' &&
	       is_name(str_first(str_from(value, 2), value.n - 3));
}

bool settings_secret_is_inline(struct str value)
{
	return value.n > 0 && !str_starts(value, STR("file:")) && !is_variable(value);
}

bool settings_secret_resolve(struct str value, struct buf *out, struct err *warning, struct err *err)
{
	char text[PATH_MOST];

	warning->text[0] = '\0';
	if (str_starts(value, STR("file:"))) {
		if (!str_copy(str_from(value, strlen("file:")), text, sizeof(text)))
			return err_set(err, "the path after file: is too long or has a NUL in it");
		return from_file(text, out, warning, err);
	}
	if (is_variable(value)) {
		if (!str_copy(str_first(str_from(value, 2), value.n - 3), text, sizeof(text)))
			return err_set(err, "the name of the environment variable is too long");
		return from_environment(text, out, err);
	}
	return buf_put_str(out, value) || err_set(err, "larger than %zu bytes", out->max);
}
