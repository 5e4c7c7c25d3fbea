/* SPDX-License-Identifier: Apache-2.0
 *
 * Files below a directory that is outside of our root directory, by descriptors only, step by step and never through a link. Each is the old
 * one or the new one, whatever happens at whatever moment, also when another host writes it too. All are secret (0600, in directories
 * with 0700). A failure: errno says why.
 */
#ifndef CERT_RENEWER_CERT_FILE_H
#define CERT_RENEWER_CERT_FILE_H

#include <fcntl.h>
#include <stdbool.h>

#include "lib/base/buf.h"
#include "lib/base/str.h"

enum {
	CERT_FILE_NAME = 128,
	CERT_FILE_DIRECTORY = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, /* how one is opened */
};

/* Letters, digits, "-", "_", "."; neither "." nor "..". */
bool cert_file_is_name(struct str text);
/* The directory below; the second makes it where it is missing. -1: it failed, EINVAL when the name is none. */
int cert_file_directory(int parent, struct str name);
int cert_file_make_directory(int parent, struct str name);
/* Appends the whole file; one that has no room in `out` is EFBIG. */
bool cert_file_read(int directory, const char *file, struct buf *out);
/* It is written under another name, synced, renamed, and the directory synced. */
bool cert_file_write(int directory, const char *file, struct str bytes);
/* Is this such another name? What a writer that was killed has left. */
bool cert_file_is_fresh(const char *name);

#endif
