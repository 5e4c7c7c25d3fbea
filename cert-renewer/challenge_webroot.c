/* SPDX-License-Identifier: Apache-2.0
 *
 * Files in WEBROOT/.well-known/acme-challenge. Others may write there too: no link is followed, nothing that is there is
 * written to.
 */
#include "cert-renewer/challenge_webroot.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cert-renewer/challenge_http_request.h"
#include "lib/base/fd.h"

static const char *const steps[] = {".well-known", "acme-challenge"};

static int open_step(int parent, const char *name, bool make)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(parent, name, flags);

	if (fd < 0 && errno == ENOENT && make && (mkdirat(parent, name, 0755) == 0 || errno == EEXIST))
		fd = openat(parent, name, flags);
	return fd;
}

/* -1: errno says why. */
static int open_directory(int webroot, bool make)
{
	int first = open_step(webroot, steps[0], make), second, error;

	if (first < 0)
		return -1;
	second = open_step(first, steps[1], make);
	error = errno;
	fd_close(&first);
	errno = error;
	return second;
}

static bool fail(struct err *err, const char *what, const char *name)
{
	return err_set(err, "acme.webroot: cannot %s .well-known/acme-challenge%s%s: %s", what, name[0] != '\0' ? "/" : "", name,
		       strerror(errno));
}

static bool write_file(int directory, const char *name, struct str text, struct err *err)
{
	int fd = openat(directory, name, FD_ONCE_NAMED, 0644);
	bool ok;

	/* Left by a predecessor that was killed. */
	if (fd < 0 && errno == EEXIST && unlinkat(directory, name, 0) == 0)
		fd = openat(directory, name, FD_ONCE_NAMED, 0644);
	if (fd < 0)
		return fail(err, "make", name);
	ok = fd_write_all(fd, text.p, text.n) || fail(err, "write", name);
	fd_close(&fd);
	if (!ok)
		unlinkat(directory, name, 0);
	return ok;
}

static bool copy_token(struct str token, char out[CHALLENGE_HTTP_REQUEST_TOKEN + 1], struct err *err)
{
	return (challenge_http_request_is_token(token) && str_copy(token, out, CHALLENGE_HTTP_REQUEST_TOKEN + 1)) ||
	       err_set(err, "the challenge's token is none");
}

bool challenge_webroot_put(int webroot, struct str token, struct str key_authorization, struct err *err)
{
	char name[CHALLENGE_HTTP_REQUEST_TOKEN + 1];
	int directory;
	bool ok;

	if (!copy_token(token, name, err))
		return false;
	directory = open_directory(webroot, true);
	if (directory < 0)
		return fail(err, "make", "");
	ok = write_file(directory, name, key_authorization, err);
	fd_close(&directory);
	return ok;
}

bool challenge_webroot_remove(int webroot, struct str token, struct err *err)
{
	char name[CHALLENGE_HTTP_REQUEST_TOKEN + 1];
	int directory;
	bool ok;

	if (!copy_token(token, name, err))
		return false;
	directory = open_directory(webroot, false);
	if (directory < 0)
		return errno == ENOENT || fail(err, "open", "");
	ok = unlinkat(directory, name, 0) == 0 || errno == ENOENT || fail(err, "remove", name);
	fd_close(&directory);
	return ok;
}
