/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading, checking, handing out. The files are the operator's, so OpenSSL may parse them in master.
 */
#include "master/master_identity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/ipc/ipc_body.h"
#include "lib/net/tls_ocsp.h"
#include "lib/net/tls_server.h"
#include "lib/service/metrics.h"

enum {
	PEM_MAX = 100000, /* with an OCSP response it goes into an IDENTITY frame of lib/ipc/ipc.def */
	OCSP_MAX = 16384,
	FRAME_MAX = PEM_MAX + OCSP_MAX + 64,
	TRUST_MAX = 16 << 20,
};

/* Where a certificate is. */
struct files {
	const char *key, *certificate, *private_key, *ocsp;
};

static size_t count(const struct settings *settings)
{
	return 1 + settings->n_certificate;
}

static struct files files_at(const struct settings *settings, size_t i)
{
	const struct settings_certificate *c;

	if (i == 0)
		return (struct files){"", settings->tls.certificate_file, settings->tls.key_file,
				      settings->tls.ocsp_file};
	c = &settings->certificate[i - 1];
	return (struct files){c->key, c->certificate_file, c->key_file, c->ocsp_file};
}

static int64_t now(void)
{
	return clock_wall() / CLOCK_SECOND;
}

/* ---- Reading ---- */

static void clear(struct master_identity *one)
{
	buf_clear_secret(&one->pem);
	buf_clear(&one->ocsp);
}

static bool read_pem(const struct files *files, struct buf *pem, struct err *err)
{
	if (!fd_read_file(files->certificate, pem, err))
		return false;
	if (files->private_key[0] == '\0')
		return true;
	buf_put_char(pem, '\n');
	return fd_read_file(files->private_key, pem, err);
}

/* As a worker will take it. */
static bool try(struct str pem, struct tls_certificate *seen, struct err *err)
{
	struct tls_server *server = tls_server_new(TLS_1_2);
	bool ok = tls_server_add(server, pem, STR(""), now(), seen, err);

	tls_server_free(&server);
	return ok;
}

/* `out` is cleared on failure. */
static bool read_one(const struct files *files, struct master_identity *out, struct err *err)
{
	*out = (struct master_identity){.pem = BUF_MAX(PEM_MAX), .ocsp = BUF_MAX(OCSP_MAX)};
	str_copy(str_of(files->key), out->key, sizeof(out->key));
	if (!read_pem(files, &out->pem, err)) {
		clear(out);
		return false;
	}
	if (!try(buf_str(&out->pem), &out->certificate, err)) {
		clear(out);
		return err_wrap(err, "%s: ", files->certificate);
	}
	return true;
}

/* Nothing is to be stapled: true. False: out->ocsp is empty. */
static bool read_ocsp(const struct files *files, struct master_identity *out, struct err *err)
{
	if (files->ocsp[0] == '\0')
		return true;
	if (!fd_read_file(files->ocsp, &out->ocsp, err)) {
		buf_clear(&out->ocsp);
		return false;
	}
	if (tls_ocsp_check(buf_str(&out->pem), buf_str(&out->ocsp), now(), &out->certificate.ocsp_until, err))
		return true;
	buf_clear(&out->ocsp);
	out->certificate.ocsp_until = 0;
	return err_wrap(err, "%s: ", files->ocsp);
}

static bool read_lists(const char *file, struct buf *pem, struct err *err)
{
	if (file[0] == '\0')
		return true;
	buf_put_char(pem, '\n');
	return fd_read_file(file, pem, err);
}

/* `pem` is cleared on failure. */
static bool read_trust(const struct settings *settings, struct buf *pem, struct tls_server_trusted *found,
		       struct err *err)
{
	const char *ca = settings->tls.client_ca_file, *crl = settings->tls.client_crl_file;
	struct tls_server *server = tls_server_new(TLS_1_2);
	bool ok;

	*found = (struct tls_server_trusted){0};
	ok = ca[0] == '\0' || fd_read_file(ca, pem, err);
	if (ok && !tls_server_trust(server, buf_str(pem), STR(""), found, err))
		ok = err_wrap(err, "%s: ", ca);
	tls_server_free(&server);
	if (ok && ca[0] != '\0' && crl[0] != '\0') {
		server = tls_server_new(TLS_1_2);
		ok = read_lists(crl, pem, err);
		if (ok && (!tls_server_trust(server, buf_str(pem), STR(""), found, err) || found->lists == 0))
			ok = err_set(err, "%s: there is no revocation list in it that can be read", crl);
		tls_server_free(&server);
	}
	if (!ok)
		buf_clear(pem);
	return ok;
}

/* ---- Checking ---- */

static bool check_one(const struct files *files, void (*complain)(const char *what))
{
	struct master_identity one;
	struct err err;
	bool ok;

	if (!read_one(files, &one, &err)) {
		complain(err.text);
		return false;
	}
	ok = read_ocsp(files, &one, &err);
	if (!ok)
		complain(err.text);
	clear(&one);
	return ok;
}

static bool check_trust(const struct settings *settings, void (*complain)(const char *what))
{
	struct buf trust = BUF_MAX(TRUST_MAX);
	struct tls_server_trusted found;
	struct err err;
	bool ok = read_trust(settings, &trust, &found, &err);

	if (!ok)
		complain(err.text);
	buf_clear(&trust);
	return ok;
}

bool master_identity_check(const struct settings *settings, bool all, void (*complain)(const char *what))
{
	struct files first = files_at(settings, 0);
	bool ok;

	if (!all)
		first.ocsp = "";
	ok = check_one(&first, complain);
	for (size_t i = 1; all && i < count(settings); i++) {
		struct files files = files_at(settings, i);

		ok = check_one(&files, complain) && ok;
	}
	return check_trust(settings, complain) && ok;
}

/* ---- Loading ---- */

/* A key that others on this host can read is no secret any more. */
static void warn_if_open(const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0 && (st.st_mode & 077) != 0)
		log_warn(NULL, "master.certificate.key_is_open", log_text("file", path),
			 log_text("advice", "chmod 600"));
}

static struct master_identity *find(struct master_identities *all, const char *key)
{
	for (size_t i = 0; i < all->n; i++)
		if (strcmp(all->one[i].key, key) == 0)
			return &all->one[i];
	return NULL;
}

/* Leaves nothing behind, so that the old ones can be ended as a whole. */
static struct master_identity move(struct master_identity *from)
{
	struct master_identity one = *from;

	from->pem = BUF_MAX(PEM_MAX);
	from->ocsp = BUF_MAX(OCSP_MAX);
	return one;
}

/* A bad response is not stapled; the one before stays while it belongs to the same certificate. */
static void load_ocsp(const struct files *files, struct master_identity *fresh, const struct master_identity *old)
{
	struct err err;

	if (read_ocsp(files, fresh, &err))
		return;
	log_error(NULL, "master.ocsp.bad", log_text("certificate", files->key), log_text("reason", err.text));
	if (old == NULL || !str_eq(buf_str(&old->pem), buf_str(&fresh->pem)))
		return;
	buf_put_str(&fresh->ocsp, buf_str(&old->ocsp));
	fresh->certificate.ocsp_until = old->certificate.ocsp_until;
}

/* False: there is nothing to be used. */
static bool load_one(const struct files *files, struct master_identity *old, struct master_identity *out, bool *is_new)
{
	struct err err;

	if (!read_one(files, out, &err)) {
		metrics_add(METRIC_CERTIFICATE_FAILURES, 1);
		log_error(NULL, "master.certificate.bad", log_text("certificate", files->key),
			  log_text("text", "Failed to load certificate"), log_text("reason", err.text),
			  log_bool("is_old_kept", old != NULL));
		if (old != NULL)
			*out = move(old);
		return old != NULL;
	}
	load_ocsp(files, out, old);
	if (old != NULL && str_eq(buf_str(&out->pem), buf_str(&old->pem)) &&
	    str_eq(buf_str(&out->ocsp), buf_str(&old->ocsp))) {
		log_info(NULL, "master.certificate.unchanged", log_text("certificate", files->key),
			 log_text("text", "Certificate unchanged, skipping reload"));
		return true;
	}
	*is_new = true;
	warn_if_open(files->private_key[0] != '\0' ? files->private_key : files->certificate);
	log_info(NULL, "master.certificate.loaded", log_text("certificate", files->key),
		 log_text("subject", out->certificate.subject), log_text("names", out->certificate.names),
		 log_text("serial", out->certificate.serial), log_text("key", out->certificate.key),
		 log_int("not_after", out->certificate.not_after), log_bool("has_ocsp", out->ocsp.n > 0));
	return true;
}

static bool load_certificates(struct master_identities *all, const struct settings *settings)
{
	struct master_identities fresh = {.one = mem_array(count(settings), sizeof(*fresh.one)),
					  .client_trust = all->client_trust};
	int64_t first_end = INT64_MAX;
	bool is_new = false;

	for (size_t i = 0; i < count(settings); i++) {
		struct files files = files_at(settings, i);
		struct master_identity *one = &fresh.one[fresh.n], *old = find(all, files.key);

		if (!load_one(&files, old, one, &is_new))
			continue;
		/* Another order, or one that is gone. */
		is_new = is_new || fresh.n >= all->n || strcmp(all->one[fresh.n].key, one->key) != 0;
		if (one->certificate.not_after < first_end)
			first_end = one->certificate.not_after;
		fresh.n++;
	}
	is_new = is_new || fresh.n != all->n;
	all->client_trust = BUF_MAX(TRUST_MAX);
	master_identity_clear(all);
	*all = fresh;
	metrics_set(METRIC_CERTIFICATE_EXPIRY, fresh.n > 0 ? first_end : 0);
	return is_new;
}

static bool load_trust(struct master_identities *all, const struct settings *settings)
{
	struct buf pem = BUF_MAX(TRUST_MAX);
	struct tls_server_trusted found;
	struct err err;
	struct buf old = all->client_trust;

	if (!read_trust(settings, &pem, &found, &err)) {
		metrics_add(METRIC_CERTIFICATE_FAILURES, 1);
		log_error(NULL, "master.client_trust.bad", log_text("text", "Failed to load client authorities"),
			  log_text("reason", err.text));
		return false;
	}
	if (found.lists > 0 && found.lists_until <= now())
		log_error(NULL, "master.client_trust.out_of_date",
			  log_text("reason", "a revocation list is out of date: its issuer's certificates are refused"),
			  log_text("file", settings->tls.client_crl_file));
	if (str_eq(buf_str(&pem), buf_str(&old))) {
		buf_clear(&pem);
		return false;
	}
	all->client_trust = pem;
	buf_clear(&old);
	log_info(NULL, "master.client_trust.loaded", log_uint("authorities", found.authorities),
		 log_uint("revocation_lists", found.lists));
	return true;
}

bool master_identity_load(struct master_identities *all, const struct settings *settings)
{
	bool has_new_certificate = load_certificates(all, settings), has_new_trust = load_trust(all, settings);

	return has_new_certificate || has_new_trust;
}

void master_identity_clear(struct master_identities *all)
{
	for (size_t i = 0; i < all->n; i++)
		clear(&all->one[i]);
	mem_free(&all->one);
	all->n = 0;
	buf_clear(&all->client_trust);
}

/* ---- Handing out ---- */

/* In a file, for a revocation list may have megabytes. */
static void send_trust(const struct master_identities *all, struct ipc_peer *smtpd)
{
	struct buf body = BUF_MAX(8);
	int fd = fd_memfile("client-trust");

	if (!fd_write_all(fd, all->client_trust.p, all->client_trust.n))
		die("the authorities for client certificates cannot be handed out");
	fd_seal(fd);
	buf_put_u32(&body, (uint32_t)all->client_trust.n);
	ipc_send(smtpd, IPC_CLIENT_TRUST, 0, buf_str(&body), fd);
	buf_clear(&body);
	fd_close(&fd);
}

void master_identity_send(const struct master_identities *all, struct ipc_peer *smtpd)
{
	struct buf body = BUF_MAX(FRAME_MAX);

	send_trust(all, smtpd);
	for (size_t i = 0; i < all->n; i++) {
		buf_reset(&body);
		ipc_put_identity(&body, &(struct ipc_identity){.number = (uint8_t)i,
							       .count = (uint8_t)all->n,
							       .pem = buf_str(&all->one[i].pem),
							       .ocsp = buf_str(&all->one[i].ocsp)});
		ipc_send(smtpd, IPC_IDENTITY, 0, buf_str(&body), -1);
	}
	buf_clear_secret(&body);
}
