/* SPDX-License-Identifier: Apache-2.0
 *
 * File descriptors: flags, whole reads and writes, anonymous files for large bodies.
 */
#ifndef LIB_BASE_FD_H
#define LIB_BASE_FD_H

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"

/* Closes *fd unless it is negative, and sets it to -1. */
void fd_close(int *fd);
void fd_set_nonblocking(int fd);
void fd_set_cloexec(int fd, bool on);

/* Writes all of it to a blocking descriptor. False: errno says why. */
bool fd_write_all(int fd, const void *bytes, size_t n);
/* Reads n bytes that are there. False: they are not, or errno says why. */
bool fd_read_at(int fd, uint64_t at, void *out, size_t n);
/* The first n bytes of one file to the end of another. */
bool fd_copy(int from, int to, uint64_t n);
/* From here to the end of an open file, while that is at most out->max bytes together. */
bool fd_read_rest(int fd, struct buf *out, struct err *err);
/* The whole file, likewise. */
bool fd_read_file(const char *path, struct buf *out, struct err *err);

/* An empty file in memory for a message's body (memfd, sealable). Dies when there is none. */
int fd_memfile(const char *name);
/* The same; -1 when there is none (errno says why): for what a client can bring about. */
int fd_memfile_try(const char *name);
/* How fd_unnamed() opens (and whoever makes a file that must not be there yet): where the file system can, without ever having a name, else with one for a moment. */
enum {
	FD_UNNAMED = O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC,
	FD_ONCE_NAMED = O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR | O_CLOEXEC,
};
/* An empty file in a directory, without a name; gone when it is closed. -1: errno says why. */
int fd_unnamed(int directory);
/* Forbids every further change to a file of fd_memfile(): its bytes can be mapped and trusted. */
void fd_seal(int fd);
/* True when fd is a sealed file of exactly `size` bytes: safe to map though another process made it. */
bool fd_is_sealed(int fd, size_t size);
/* Maps a sealed file for reading; NULL on failure. fd_unmap() ends it. */
const char *fd_map(int fd, size_t size);
void fd_unmap(const char *map, size_t size);

#endif
