/* SPDX-License-Identifier: Apache-2.0
 *
 * Small helpers around file descriptors.
 */
#include "lib/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/trouble.h"

enum { FD_SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

void fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void fd_set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		die("fcntl(O_NONBLOCK): %s", strerror(errno));
}

void fd_set_cloexec(int fd, bool on)
{
	if (fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0) < 0)
		die("fcntl(FD_CLOEXEC): %s", strerror(errno));
}

bool fd_write_all(int fd, const void *bytes, size_t n)
{
	const char *p = bytes;

	while (n > 0) {
		ssize_t done = write(fd, p, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return false;
		p += done;
		n -= (size_t)done;
	}
	return true;
}

bool fd_read_file(const char *path, struct buf *out, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = 0;

	if (fd < 0)
		return err_set(err, "%s: %s", path, strerror(errno));
	do {
		size_t left = out->max - out->n;
		size_t want = left > 65536 ? 65536 : left;
		char *room = want == 0 ? NULL : buf_room(out, want);

		if (room == NULL) {
			fd_close(&fd);
			return err_set(err, "%s: larger than %zu bytes", path, out->max);
		}
		got = read(fd, room, want);
		if (got > 0)
			buf_added(out, (size_t)got);
	} while (got > 0 || (got < 0 && errno == EINTR));
	if (got < 0)
		err_set(err, "%s: %s", path, strerror(errno));
	fd_close(&fd);
	return got == 0;
}

int fd_memfile_try(const char *name)
{
	return memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

int fd_memfile(const char *name)
{
	int fd = fd_memfile_try(name);

	if (fd < 0)
		die("memfd_create: %s", strerror(errno));
	return fd;
}

void fd_seal(int fd)
{
	if (fcntl(fd, F_ADD_SEALS, FD_SEALS) < 0)
		die("fcntl(F_ADD_SEALS): %s", strerror(errno));
}

bool fd_is_sealed(int fd, size_t size)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);

	return seals >= 0 && (seals & FD_SEALS) == FD_SEALS && fstat(fd, &st) == 0 &&
	       (size_t)st.st_size == size;
}

const char *fd_map(int fd, size_t size)
{
	void *map = size == 0 ? MAP_FAILED : mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);

	return map == MAP_FAILED ? NULL : map;
}

void fd_unmap(const char *map, size_t size)
{
	if (map != NULL)
		munmap((void *)(uintptr_t)map, size);
}
