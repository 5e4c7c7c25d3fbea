/* SPDX-License-Identifier: Apache-2.0
 *
 * Files by descriptor only, step by step and never through a link: the directory is outside of our root directory.
 */
#include "cert-renewer/cert_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/fd.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"

#define FRESH ".new" /* behind the name of a file that is being written, a dot before it */
#define HISTORY "history"

enum { OPEN_DIRECTORY = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, FRESH_NAME = CERT_STORE_NAME + 8, DEPTH = 2 };

struct cert_store {
	int directory;
	char *path; /* for people */
};

/* ---- opening ---- */

/* Two services with one directory would overwrite each other's certificates. */
static bool take_directory(int fd, const char *path, uid_t user, gid_t group, struct err *err)
{
	if (geteuid() == 0 && (fchown(fd, user, group) < 0 || fchmod(fd, 0700) < 0))
		return err_set(err, "cannot give %s to its user: %s", path, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(err, "%s is in use by another process", path);
	return true;
}

bool cert_store_open(const char *state_dir, uid_t user, gid_t group, int *directory, struct err *err)
{
	char path[4096];

	if (snprintf(path, sizeof(path), "%s/certs", state_dir) >= (int)sizeof(path))
		return err_set(err, "instance.state_dir is too long");
	if ((mkdir(state_dir, 0755) < 0 && errno != EEXIST) || (mkdir(path, 0700) < 0 && errno != EEXIST))
		return err_set(err, "cannot make the directory %s: %s", path, strerror(errno));
	*directory = open(path, OPEN_DIRECTORY);
	if (*directory < 0)
		return err_set(err, "cannot open the directory %s: %s", path, strerror(errno));
	if (take_directory(*directory, path, user, group, err))
		return true;
	fd_close(directory);
	return false;
}

/* ---- what is left of writers that were killed ---- */

static bool is_fresh(const char *name)
{
	return name[0] == '.' && str_ends(str_of(name), STR(FRESH));
}

static void clean(int parent, const char *name, int depth)
{
	int fd = openat(parent, name, OPEN_DIRECTORY);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (list == NULL) {
		fd_close(&fd); /* no directory */
		return;
	}
	while ((entry = readdir(list)) != NULL) {
		if (is_fresh(entry->d_name))
			unlinkat(fd, entry->d_name, 0);
		else if (depth > 0 && strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			clean(fd, entry->d_name, depth - 1);
	}
	closedir(list);
}

struct cert_store *cert_store_new(int directory, const char *state_dir)
{
	struct cert_store *store = mem_zero(sizeof(*store));
	struct buf path = BUF_MAX(4096);

	buf_printf(&path, "%s/certs", state_dir);
	*store = (struct cert_store){.directory = directory, .path = buf_take_text(&path)};
	clean(directory, ".", DEPTH);
	return store;
}

void cert_store_free(struct cert_store **store)
{
	if (*store == NULL)
		return;
	fd_close(&(*store)->directory);
	free((*store)->path);
	mem_free(store);
}

/* ---- names ---- */

static bool is_name(struct str text)
{
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.'))
			return false;
	}
	return text.n > 0 && text.n < CERT_STORE_NAME && !str_eq(text, STR(".")) && !str_eq(text, STR(".."));
}

/* Each returns false, and says what could not be done with which file. */
static bool fail(const struct cert_store *store, struct str name, const char *file, const char *what, struct err *err)
{
	int reason = errno;

	return err_set(err, "%s/%.*s/%s cannot be %s: %s", store->path, STR_ARG(name), file, what, strerror(reason));
}

/* -1: errno says why. */
static int open_directory(const struct cert_store *store, struct str name)
{
	char text[CERT_STORE_NAME];

	if (!is_name(name) || !str_copy(name, text, sizeof(text))) {
		errno = EINVAL;
		return -1;
	}
	return openat(store->directory, text, OPEN_DIRECTORY);
}

static int make_directory(int parent, const char *name)
{
	if (mkdirat(parent, name, 0700) == 0) {
		if (fsync(parent) < 0)
			return -1;
	} else if (errno != EEXIST) {
		return -1;
	}
	return openat(parent, name, OPEN_DIRECTORY);
}

static int make_named_directory(const struct cert_store *store, struct str name)
{
	char text[CERT_STORE_NAME];

	if (!is_name(name) || !str_copy(name, text, sizeof(text))) {
		errno = EINVAL;
		return -1;
	}
	return make_directory(store->directory, text);
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

bool cert_store_read(const struct cert_store *store, struct str name, const char *file, struct buf *out, struct err *err)
{
	int directory = open_directory(store, name), fd = -1;
	bool ok;

	if (directory >= 0)
		fd = openat(directory, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	ok = fd >= 0 ? read_all(fd, out) : errno == ENOENT;
	if (!ok)
		fail(store, name, file, "read", err);
	fd_close(&fd);
	fd_close(&directory);
	return ok;
}

static int open_fresh(int directory, const char *fresh)
{
	int fd = openat(directory, fresh, FD_ONCE_NAMED, 0600);

	if (fd < 0 && errno == EEXIST && unlinkat(directory, fresh, 0) == 0)
		fd = openat(directory, fresh, FD_ONCE_NAMED, 0600);
	return fd;
}

/* The file, whole or not at all, and so that it stays. */
static bool put_file(int directory, const char *file, struct str bytes)
{
	char fresh[FRESH_NAME];
	int fd, reason;

	snprintf(fresh, sizeof(fresh), ".%s" FRESH, file);
	fd = open_fresh(directory, fresh);
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

bool cert_store_write(const struct cert_store *store, struct str name, const char *file, struct str bytes, struct err *err)
{
	int directory = make_named_directory(store, name);
	bool ok;

	must(is_name(str_of(file)) && file[0] != '.');
	ok = directory >= 0 && put_file(directory, file, bytes);
	if (!ok)
		fail(store, name, file, "written", err);
	fd_close(&directory);
	return ok;
}

bool cert_store_remove(const struct cert_store *store, struct str name, const char *file, struct err *err)
{
	int directory = open_directory(store, name);
	bool ok;

	must(is_name(str_of(file)) && file[0] != '.');
	ok = directory >= 0 && unlinkat(directory, file, 0) == 0 && fsync(directory) == 0;
	if (!ok && errno == ENOENT)
		ok = true;
	if (!ok)
		fail(store, name, file, "removed", err);
	fd_close(&directory);
	return ok;
}

/* ---- history ---- */

/* The oldest first, which is the order of their names. */
static int is_former(const struct dirent *entry)
{
	return entry->d_name[0] != '.' && str_ends(str_of(entry->d_name), STR(".pem"));
}

static int order(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static bool prune(int history, unsigned most)
{
	struct dirent **names = NULL;
	int n = scandirat(history, ".", &names, is_former, order);
	bool ok = n >= 0;

	for (int i = 0; i < n; i++) {
		if ((unsigned)(n - i) > most && unlinkat(history, names[i]->d_name, 0) < 0)
			ok = false;
		free(names[i]);
	}
	free(names);
	return ok;
}

static void former_name(int64_t not_before, const char *serial, char out[CERT_STORE_NAME])
{
	time_t seconds = (time_t)not_before;
	struct tm tm = {0};
	char digits[CERT_STORE_SERIAL];
	size_t n = 0;

	gmtime_r(&seconds, &tm);
	for (size_t i = 0; serial[i] != '\0' && n < sizeof(digits) - 1; i++)
		if (serial[i] != ':')
			digits[n++] = is_name(str_bytes(&serial[i], 1)) && serial[i] != '.' ? serial[i] : '_';
	digits[n] = '\0';
	snprintf(out, CERT_STORE_NAME, "%04d%02d%02dT%02d%02d%02dZ-%s.pem", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
		 tm.tm_min, tm.tm_sec, digits);
}

bool cert_store_retire(const struct cert_store *store, struct str name, int64_t not_before, const char *serial, struct str pem,
		       unsigned most, struct err *err)
{
	int directory = make_named_directory(store, name), history = -1;
	char file[CERT_STORE_NAME];
	bool ok;

	former_name(not_before, serial, file);
	if (directory >= 0)
		history = make_directory(directory, HISTORY);
	ok = history >= 0 && (most == 0 || put_file(history, file, pem)) && prune(history, most);
	if (!ok)
		fail(store, name, HISTORY, "written", err);
	fd_close(&history);
	fd_close(&directory);
	return ok;
}
