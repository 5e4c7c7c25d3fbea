/* SPDX-License-Identifier: Apache-2.0
 *
 * See cert_file.h.
 */
#include "cert-renewer/cert_file.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/fd.h"
#include "lib/base/random.h"
#include "lib/base/trouble.h"

#define FRESH ".new" /* behind the name of a file that is being written, a dot before it */

enum { FRESH_NAME = CERT_FILE_NAME + 32 };

/* ---- names ---- */

bool cert_file_is_name(struct str text)
{
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.'))
			return false;
	}
	return text.n > 0 && text.n < CERT_FILE_NAME && !str_eq(text, STR(".")) && !str_eq(text, STR(".."));
}

bool cert_file_is_fresh(const char *name)
{
	return name[0] == '.' && str_ends(str_of(name), STR(FRESH));
}

/* ---- directories ---- */

static bool take_name(struct str name, char text[CERT_FILE_NAME])
{
	if (cert_file_is_name(name) && str_copy(name, text, CERT_FILE_NAME))
		return true;
	errno = EINVAL;
	return false;
}

int cert_file_directory(int parent, struct str name)
{
	char text[CERT_FILE_NAME];

	return take_name(name, text) ? openat(parent, text, CERT_FILE_DIRECTORY) : -1;
}

int cert_file_make_directory(int parent, struct str name)
{
	char text[CERT_FILE_NAME];

	if (!take_name(name, text))
		return -1;
	if (mkdirat(parent, text, 0700) == 0) {
		if (fsync(parent) < 0)
			return -1;
	} else if (errno != EEXIST) {
		return -1;
	}
	return openat(parent, text, CERT_FILE_DIRECTORY);
}

/* ---- files ---- */

static bool read_all(int fd, struct buf *out)
{
	struct stat st;
	char *room;

	if (fstat(fd, &st) < 0)
		return false;
	if (!S_ISREG(st.st_mode) || st.st_size < 0 || (uint64_t)st.st_size > out->max - out->n) {
		errno = S_ISREG(st.st_mode) ? EFBIG : EINVAL;
		return false;
	}
	if (st.st_size == 0)
		return true;
	room = buf_room(out, (size_t)st.st_size);
	must(room != NULL);
	errno = EIO; /* when it is shorter than it was */
	if (!fd_read_at(fd, 0, room, (size_t)st.st_size))
		return false;
	buf_added(out, (size_t)st.st_size);
	return true;
}

bool cert_file_read(int directory, const char *file, struct buf *out)
{
	int fd = openat(directory, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), reason;
	bool ok = fd >= 0 && read_all(fd, out);

	reason = errno;
	fd_close(&fd);
	errno = reason;
	return ok;
}

bool cert_file_write(int directory, const char *file, struct str bytes)
{
	char fresh[FRESH_NAME];
	int fd, reason;

	/* Its own: in a directory of several hosts somebody else may be writing it too. */
	snprintf(fresh, sizeof(fresh), ".%s.%08llx" FRESH, file, (unsigned long long)random_below(1ULL << 32));
	fd = openat(directory, fresh, FD_ONCE_NAMED, 0600);
	if (fd < 0)
		return false;
	if (fd_write_all(fd, bytes.p, bytes.n) && fsync(fd) == 0 && renameat(directory, fresh, directory, file) == 0) {
		fd_close(&fd);
		return fsync(directory) == 0;
	}
	reason = errno;
	fd_close(&fd);
	unlinkat(directory, fresh, 0);
	errno = reason;
	return false;
}
