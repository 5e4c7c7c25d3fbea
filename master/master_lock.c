/* SPDX-License-Identifier: Apache-2.0
 *
 * The lock is the kernel's, so it ends with the process however that ends; the file may stay behind.
 */
#include "master/master_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/fd.h"
#include "lib/base/str.h"

static bool make_dir(const char *name, const char *path, struct err *err)
{
	struct stat st;

	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return err_set(err, "%s: cannot make %s: %s", name, path, strerror(errno));
	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return err_set(err, "%s: %s is not a directory", name, path);
	if ((st.st_mode & S_IWOTH) != 0)
		return err_set(err, "%s: %s can be written to by anybody", name, path);
	/* Root makes files and root directories in it: whoever else may write there could lead it elsewhere. */
	if (geteuid() == 0 && (st.st_uid != 0 || (st.st_mode & S_IWGRP) != 0))
		return err_set(err, "%s: %s must belong to root, and only root may write to it", name, path);
	return true;
}

static bool file_path(const struct settings *settings, char path[PATH_MAX], struct err *err)
{
	return snprintf(path, PATH_MAX, "%s/smtp-proxy.pid", settings->instance.run_dir) < PATH_MAX ||
	       err_set(err, "instance.run_dir: the path is too long");
}

static bool refuse_second(int fd, const char *path, struct err *err)
{
	char text[32] = "";
	ssize_t got = pread(fd, text, sizeof(text) - 1, 0);
	struct str pid = str_bytes(text, got > 0 ? (size_t)got : 0);

	return err_set(err, "smtp-proxy is running already as process %.*s (%s is locked)",
		       (int)str_find(pid, '\n'), text, path);
}

int master_lock_take(const struct settings *settings, struct err *err)
{
	char path[PATH_MAX], text[32];
	int fd, n;

	if (!make_dir("instance.run_dir", settings->instance.run_dir, err) ||
	    !make_dir("instance.state_dir", settings->instance.state_dir, err) ||
	    !file_path(settings, path, err))
		return -1;
	fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0) {
		err_set(err, "%s: %s", path, strerror(errno));
		return -1;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		refuse_second(fd, path, err);
		fd_close(&fd);
		return -1;
	}
	n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) < 0 || !fd_write_all(fd, text, (size_t)n)) {
		err_set(err, "%s: %s", path, strerror(errno));
		fd_close(&fd);
	}
	return fd;
}

void master_lock_end(const struct settings *settings, int lock)
{
	char path[PATH_MAX];

	if (file_path(settings, path, NULL))
		unlink(path);
	fd_close(&lock);
}
