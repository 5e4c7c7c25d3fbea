/* SPDX-License-Identifier: Apache-2.0
 *
 * Small helpers around file descriptors.
 */
#include "lib/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
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

bool fd_read_at(int fd, uint64_t at, void *out, size_t n)
{
	char *p = out;

	while (n > 0) {
		ssize_t got = pread(fd, p, n, (off_t)at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		p += got;
		at += (uint64_t)got;
		n -= (size_t)got;
	}
	return true;
}

bool fd_copy(int from, int to, uint64_t n)
{
	char bytes[65536];

	for (uint64_t at = 0; at < n;) {
		size_t piece = n - at < sizeof(bytes) ? (size_t)(n - at) : sizeof(bytes);

		if (!fd_read_at(from, at, bytes, piece) || !fd_write_all(to, bytes, piece))
			return false;
		at += piece;
	}
	return true;
}

bool fd_read_rest(int fd, struct buf *out, struct err *err)
{
	ssize_t got = 0;

	do {
		size_t left = out->max - out->n;
		size_t want = left > 65536 ? 65536 : left;
		char *room = want == 0 ? NULL : buf_room(out, want);

		if (room == NULL)
			return err_set(err, "larger than %zu bytes", out->max);
		got = read(fd, room, want);
		if (got > 0)
			buf_added(out, (size_t)got);
	} while (got > 0 || (got < 0 && errno == EINTR));
	return got == 0 || err_set(err, "%s", strerror(errno));
}

bool fd_read_file(const char *path, struct buf *out, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool ok;

	if (fd < 0)
		return err_set(err, "%s: %s", path, strerror(errno));
	ok = fd_read_rest(fd, out, err);
	fd_close(&fd);
	return ok || err_wrap(err, "%s: ", path);
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

/* A name that nobody else uses: another process' is never followed or taken (O_EXCL). */
static int once_named(int directory)
{
	static unsigned count;
	char name[64];
	int fd;

	do
		snprintf(name, sizeof(name), ".unnamed-%ld-%u", (long)getpid(), count++);
	while ((fd = openat(directory, name, FD_ONCE_NAMED, 0600)) < 0 && errno == EEXIST);
	if (fd >= 0 && unlinkat(directory, name, 0) < 0)
		fd_close(&fd);
	return fd;
}

int fd_unnamed(int directory)
{
	int fd = openat(directory, ".", FD_UNNAMED, 0600);

	/* What file systems and kernels without O_TMPFILE say. */
	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL))
		fd = once_named(directory);
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
