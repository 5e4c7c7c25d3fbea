/* SPDX-License-Identifier: Apache-2.0
 *
 * The store belongs to a user who speaks to the network, and we may be root: a link or a pipe in it must lead us nowhere, and
 * another's file be none of it.
 */
#include "master/master_files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/fd.h"
#include "lib/service/service_rights.h"

size_t master_files_count(const struct settings *settings)
{
	return settings->n_certificate + (settings->tls.certificate_file[0] != '\0');
}

struct master_files master_files_at(const struct settings *settings, size_t i)
{
	bool has_first = settings->tls.certificate_file[0] != '\0';
	const struct settings_certificate *c;

	if (has_first && i == 0)
		return (struct master_files){"", settings->tls.certificate_file, settings->tls.key_file, settings->tls.ocsp_file, NULL};
	c = &settings->certificate[i - has_first];
	if (c->from == CERTIFICATE_ACME)
		return (struct master_files){c->key, "tls.pem", "", "ocsp.der", settings->instance.state_dir};
	return (struct master_files){c->key, c->certificate_file, c->key_file, c->ocsp_file, NULL};
}

void master_files_name(const struct master_files *files, const char *file, struct buf *out)
{
	if (files->state_dir != NULL)
		buf_printf(out, "%s/certs/%s/%s", files->state_dir, files->key, file);
	else
		buf_put_text(out, file);
}

/* ---- The store ---- */

static bool is_owner_good(const struct stat *st)
{
	uid_t user = geteuid();
	gid_t group;

	if (st->st_uid == user && (user != 0 || st->st_nlink == 1)) /* another name of a file of root's may be anybody's work */
		return true;
	if (user != 0 || !service_rights_check_user(ROLE_CERT_RENEWER, NULL))
		return false;
	service_rights_user(ROLE_CERT_RENEWER, &user, &group);
	return st->st_uid == user;
}

static bool read_regular(int fd, struct buf *out, bool *is_open, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_set(err, "%s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(err, "it is not a file");
	if (!is_owner_good(&st))
		return err_set(err, "it belongs to another user, or has another name");
	if (is_open != NULL)
		*is_open = (st.st_mode & 077) != 0;
	return fd_read_rest(fd, out, err);
}

static int open_below(int *directory, const char *name, int flags)
{
	int fd = openat(*directory, name, flags | O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	int error = errno;

	fd_close(directory);
	errno = error;
	return fd;
}

/* -1: errno says why. */
static int open_in_store(const struct master_files *files, const char *name)
{
	int fd = open(files->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		fd = open_below(&fd, "certs", O_DIRECTORY);
	if (fd >= 0)
		fd = open_below(&fd, files->key, O_DIRECTORY);
	if (fd >= 0)
		fd = open_below(&fd, name, O_NONBLOCK | O_NOCTTY);
	return fd;
}

static enum master_files_result read_store(const struct master_files *files, const char *name, struct buf *out, bool *is_open,
					   struct err *err)
{
	struct buf path = BUF_MAX(4096);
	int fd = open_in_store(files, name);
	enum master_files_result result = fd >= 0 ? MASTER_FILES_READ : errno == ENOENT ? MASTER_FILES_MISSING : MASTER_FILES_BAD;

	if (result == MASTER_FILES_BAD)
		err_set(err, "%s", errno == ELOOP || errno == ENOTDIR ? "it, or a directory of it, is a link or of another kind"
								      : strerror(errno));
	else if (result == MASTER_FILES_READ && !read_regular(fd, out, is_open, err))
		result = MASTER_FILES_BAD;
	fd_close(&fd);
	if (result == MASTER_FILES_MISSING)
		err_set(err, "it is not there");
	master_files_name(files, name, &path);
	err_wrap(err, "%.*s: ", STR_ARG(buf_str(&path)));
	buf_clear(&path);
	return result;
}

/* ---- Files of the operator's ---- */

/* A key that others on this host can read is no secret any more. */
static bool others_can_read(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && (st.st_mode & 077) != 0;
}

enum master_files_result master_files_read_pem(const struct master_files *files, struct buf *pem, bool *is_open, struct err *err)
{
	const char *key = files->private_key[0] != '\0' ? files->private_key : files->certificate;

	if (files->state_dir != NULL)
		return read_store(files, files->certificate, pem, is_open, err);
	*is_open = others_can_read(key);
	if (!fd_read_file(files->certificate, pem, err))
		return MASTER_FILES_BAD;
	if (key == files->certificate)
		return MASTER_FILES_READ;
	buf_put_char(pem, '\n');
	return fd_read_file(files->private_key, pem, err) ? MASTER_FILES_READ : MASTER_FILES_BAD;
}

enum master_files_result master_files_read_ocsp(const struct master_files *files, struct buf *der, struct err *err)
{
	if (files->ocsp[0] == '\0')
		return MASTER_FILES_MISSING;
	if (files->state_dir != NULL)
		return read_store(files, files->ocsp, der, NULL, err);
	return fd_read_file(files->ocsp, der, err) ? MASTER_FILES_READ : MASTER_FILES_BAD;
}
