/* SPDX-License-Identifier: Apache-2.0
 *
 * What is in the store; how files are read and written: cert_file.c.
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

#include "cert-renewer/cert_file.h"
#include "lib/base/fd.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"

#define HISTORY "history"

enum { DEPTH = 2 };

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
	*directory = open(path, CERT_FILE_DIRECTORY);
	if (*directory < 0)
		return err_set(err, "cannot open the directory %s: %s", path, strerror(errno));
	if (take_directory(*directory, path, user, group, err))
		return true;
	fd_close(directory);
	return false;
}

/* ---- what is left of writers that were killed ---- */

static void clean(int parent, const char *name, int depth)
{
	int fd = openat(parent, name, CERT_FILE_DIRECTORY);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (list == NULL) {
		fd_close(&fd); /* no directory */
		return;
	}
	while ((entry = readdir(list)) != NULL) {
		if (cert_file_is_fresh(entry->d_name))
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

/* ---- files ---- */

/* Each returns false, and says what could not be done with which file. */
static bool fail(const struct cert_store *store, struct str name, const char *file, const char *what, struct err *err)
{
	int reason = errno;

	return err_set(err, "%s/%.*s/%s cannot be %s: %s", store->path, STR_ARG(name), file, what, strerror(reason));
}

bool cert_store_read(const struct cert_store *store, struct str name, const char *file, struct buf *out, struct err *err)
{
	int directory = cert_file_directory(store->directory, name);
	bool ok;

	ok = (directory >= 0 && cert_file_read(directory, file, out)) || errno == ENOENT;
	if (!ok)
		fail(store, name, file, "read", err);
	fd_close(&directory);
	return ok;
}

bool cert_store_write(const struct cert_store *store, struct str name, const char *file, struct str bytes, struct err *err)
{
	int directory = cert_file_make_directory(store->directory, name);
	bool ok;

	must(cert_file_is_name(str_of(file)) && file[0] != '.');
	ok = directory >= 0 && cert_file_write(directory, file, bytes);
	if (!ok)
		fail(store, name, file, "written", err);
	fd_close(&directory);
	return ok;
}

bool cert_store_remove(const struct cert_store *store, struct str name, const char *file, struct err *err)
{
	int directory = cert_file_directory(store->directory, name);
	bool ok;

	must(cert_file_is_name(str_of(file)) && file[0] != '.');
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
			digits[n++] = cert_file_is_name(str_bytes(&serial[i], 1)) && serial[i] != '.' ? serial[i] : '_';
	digits[n] = '\0';
	snprintf(out, CERT_STORE_NAME, "%04d%02d%02dT%02d%02d%02dZ-%s.pem", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
		 tm.tm_min, tm.tm_sec, digits);
}

bool cert_store_retire(const struct cert_store *store, struct str name, int64_t not_before, const char *serial, struct str pem,
		       unsigned most, struct err *err)
{
	int directory = cert_file_make_directory(store->directory, name), history = -1;
	char file[CERT_STORE_NAME];
	bool ok;

	former_name(not_before, serial, file);
	if (directory >= 0)
		history = cert_file_make_directory(directory, STR(HISTORY));
	ok = history >= 0 && (most == 0 || cert_file_write(history, file, pem)) && prune(history, most);
	if (!ok)
		fail(store, name, HISTORY, "written", err);
	fd_close(&history);
	fd_close(&directory);
	return ok;
}
