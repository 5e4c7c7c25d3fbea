/* SPDX-License-Identifier: Apache-2.0
 *
 * File descriptors: flags, whole reads and writes, anonymous files for large bodies.
 */
#ifndef LIB_BASE_FD_H
#define LIB_BASE_FD_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"

/* Closes *fd unless it is negative, and sets it to -1. */
void fd_close(int *fd);
void fd_set_nonblocking(int fd);
void fd_set_cloexec(int fd, bool on);

/* Writes all of it to a blocking descriptor. False: errno says why. */
bool fd_write_all(int fd, const void *bytes, size_t n);
/* The whole file, at most out->max bytes. */
bool fd_read_file(const char *path, struct buf *out, struct err *err);

/* An empty file in memory for a message's body (memfd, sealable). Dies when there is none. */
int fd_memfile(const char *name);
/* The same; -1 when there is none (errno says why): for what a client can bring about. */
int fd_memfile_try(const char *name);
/* Forbids every further change to a file of fd_memfile(): its bytes can be mapped and trusted. */
void fd_seal(int fd);
/* True when fd is a sealed file of exactly `size` bytes: safe to map though another process made it. */
bool fd_is_sealed(int fd, size_t size);
/* Maps a sealed file for reading; NULL on failure. fd_unmap() ends it. */
const char *fd_map(int fd, size_t size);
void fd_unmap(const char *map, size_t size);

#endif
