/* SPDX-License-Identifier: Apache-2.0
 *
 * The store belongs to a user who speaks to the network, and we may be root: no link or pipe in it is followed.
 */
#include "ctl/ctl_cert_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/fd.h"

enum { DAY = 86400 };

/* -1: errno says why. */
static int open_in_store(const char *state_dir, const char *key)
{
	const char *const names[] = {"certs", key, "tls.pem"};
	int fd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), error;

	for (unsigned i = 0; i < 3 && fd >= 0; i++) {
		int next = openat(fd, names[i], O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | (i < 2 ? O_DIRECTORY : 0));

		error = errno;
		fd_close(&fd);
		errno = error;
		fd = next;
	}
	return fd;
}

static enum ctl_cert_found cannot(struct ctl_cert_disk *out, const char *path, int error)
{
	if (error == ENOENT && out->is_acme) {
		snprintf(out->why, sizeof(out->why), "there is none yet");
		return CTL_CERT_MISSING;
	}
	if (error == EACCES || error == EPERM) {
		snprintf(out->why, sizeof(out->why), "%s: you may not read it; ask as root", path);
		return CTL_CERT_DENIED;
	}
	snprintf(out->why, sizeof(out->why), "%s: %s", path,
		 error == ELOOP || error == ENOTDIR ? "it, or a directory of it, is a link or of another kind" : strerror(error));
	return CTL_CERT_BAD;
}

/* Appends the file, which it closes. */
static enum ctl_cert_found read_file(struct ctl_cert_disk *out, const char *path, int fd, struct buf *pem)
{
	struct err err;
	bool ok;

	if (fd < 0)
		return cannot(out, path, errno);
	ok = fstat(fd, &out->st) == 0 && (S_ISREG(out->st.st_mode) || err_set(&err, "it is not a file")) &&
	     fd_read_rest(fd, pem, &err);
	fd_close(&fd);
	if (!ok)
		snprintf(out->why, sizeof(out->why), "%s: %s", path, err.text);
	return ok ? CTL_CERT_READ : CTL_CERT_BAD;
}

static enum ctl_cert_found read_pem(const struct settings *settings, struct ctl_cert_disk *out, struct buf *pem)
{
	const char *key = out->settings == NULL ? settings->tls.key_file : out->settings->key_file;
	enum ctl_cert_found found;

	if (out->is_acme)
		return read_file(out, out->path, open_in_store(settings->instance.state_dir, out->key), pem);
	found = read_file(out, out->path, open(out->path, O_RDONLY | O_NOCTTY | O_CLOEXEC), pem);
	if (found != CTL_CERT_READ || key[0] == '\0')
		return found;
	buf_put_char(pem, '\n');
	return read_file(out, key, open(key, O_RDONLY | O_NOCTTY | O_CLOEXEC), pem);
}

size_t ctl_cert_disk_count(const struct settings *settings)
{
	return settings->n_certificate + (settings->tls.certificate_file[0] != '\0');
}

static void name(const struct settings *settings, size_t i, struct ctl_cert_disk *out)
{
	bool has_first = settings->tls.certificate_file[0] != '\0';

	*out = (struct ctl_cert_disk){.key = "tls.certificate_file"};
	if (!has_first || i > 0) {
		out->settings = &settings->certificate[i - has_first];
		out->key = out->settings->key;
		out->is_acme = out->settings->from == CERTIFICATE_ACME;
	}
	if (out->is_acme)
		snprintf(out->path, sizeof(out->path), "%s/certs/%s/tls.pem", settings->instance.state_dir, out->key);
	else
		snprintf(out->path, sizeof(out->path), "%s",
			 out->settings == NULL ? settings->tls.certificate_file : out->settings->certificate_file);
}

void ctl_cert_disk_read(const struct settings *settings, size_t i, struct ctl_cert_disk *out)
{
	struct buf pem = BUF_MAX(TLS_CERTIFICATE_PEM_MAX);
	struct err err;

	name(settings, i, out);
	out->found = read_pem(settings, out, &pem);
	if (out->found == CTL_CERT_READ && !tls_certificate_read(buf_str(&pem), 0, &out->seen, &err)) {
		snprintf(out->why, sizeof(out->why), "%s: %s", out->path, err.text);
		out->found = CTL_CERT_BAD;
	}
	buf_clear_secret(&pem);
}

int64_t ctl_cert_disk_days(const struct tls_certificate *certificate, int64_t now)
{
	int64_t left = certificate->not_after - now;

	return left >= 0 ? left / DAY : -((-left + DAY - 1) / DAY);
}

struct ctl_cert_limits ctl_cert_disk_limits(const struct tls_certificate *certificate)
{
	int64_t life = certificate->not_after - certificate->not_before;
	struct ctl_cert_limits limits = {14 * DAY, 7 * DAY};

	if (life / 5 < limits.warning)
		limits.warning = life / 5;
	if (life / 10 < limits.critical)
		limits.critical = life / 10;
	return limits;
}
