/* SPDX-License-Identifier: Apache-2.0
 *
 * The store belongs to a user who speaks to the network, and we may be root: no link or pipe in it is followed, and what is in it is parsed
 * apart.
 */
#include "ctl/ctl_cert_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/service/service_apart.h"
#include "lib/service/service_rights.h"

enum { DAY = 86400 };
#define PARSE_LONGEST (10 * CLOCK_SECOND)

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

/* ---- what it says ---- */

struct answer {
	uint8_t is_good;
	struct tls_certificate seen;
	struct err why;
};

static void parse(const void *ctx, void *result)
{
	const struct str *pem = ctx;
	struct answer *answer = result;

	answer->is_good = tls_certificate_read(*pem, 0, &answer->seen, &answer->why);
}

/* Not with the rights of root, and not beside the database's passwords; nor where the operator's terminal is at hand. */
static void parse_apart(const void *ctx, void *result)
{
	for (int fd = 0; fd <= 2; fd++)
		close(fd);
	parse(ctx, result);
}

/* The parser may have been taken over: whatever it answers ends somewhere. */
static void end_texts(struct answer *answer)
{
	struct tls_certificate *c = &answer->seen;

	c->subject[sizeof(c->subject) - 1] = c->issuer[sizeof(c->issuer) - 1] = c->serial[sizeof(c->serial) - 1] = '\0';
	c->names[sizeof(c->names) - 1] = c->key[sizeof(c->key) - 1] = c->fingerprint[sizeof(c->fingerprint) - 1] = '\0';
	answer->why.text[sizeof(answer->why.text) - 1] = '\0';
}

static bool describe(const struct settings *settings, struct str pem, bool is_acme, struct tls_certificate *seen, struct err *err)
{
	struct answer answer = {.is_good = 0};
	struct err why;

	/* Without that user the service runs as an ordinary one, and so does its store belong to him. */
	if (!is_acme || (geteuid() == 0 && !service_rights_check_user(ROLE_CERT_RENEWER, &why)))
		parse(&pem, &answer);
	else if (!service_apart_run(parse_apart, &pem, settings, PARSE_LONGEST, &answer, sizeof(answer), err))
		return false;
	end_texts(&answer);
	*seen = answer.seen;
	return answer.is_good != 0 || err_set(err, "%s", answer.why.text);
}

void ctl_cert_disk_read(const struct settings *settings, size_t i, struct ctl_cert_disk *out)
{
	struct buf pem = BUF_MAX(TLS_CERTIFICATE_PEM_MAX);
	struct err err;

	name(settings, i, out);
	out->found = read_pem(settings, out, &pem);
	if (out->found == CTL_CERT_READ && !describe(settings, buf_str(&pem), out->is_acme, &out->seen, &err)) {
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
