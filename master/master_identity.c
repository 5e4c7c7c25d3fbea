/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading, checking, handing out. The files are the operator's, so OpenSSL may parse them in master.
 */
#include "master/master_identity.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/ipc/ipc_body.h"
#include "lib/net/tls_ocsp.h"
#include "lib/net/tls_server.h"
#include "lib/service/metrics.h"
#include "lib/settings/settings_certificate.h"
#include "master/master_files.h"

enum { FRAME_MAX = MASTER_FILES_PEM_MAX + MASTER_FILES_OCSP_MAX + 64, TRUST_MAX = 16 << 20 };

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

/* As a worker will take it. */
static bool try(struct str pem, struct tls_certificate *seen, struct err *err)
{
	struct tls_server *server = tls_server_new(TLS_1_2);
	bool ok = tls_server_add(server, pem, STR(""), now(), seen, err);

	tls_server_free(&server);
	return ok;
}

/* `out` is cleared unless it is READ. */
static enum master_files_result read_one(const struct master_files *files, struct master_identity *out, bool *is_open, struct err *err)
{
	struct buf name = BUF_MAX(PATH_MAX);
	enum master_files_result result;

	*out = (struct master_identity){.pem = BUF_MAX(MASTER_FILES_PEM_MAX), .ocsp = BUF_MAX(MASTER_FILES_OCSP_MAX)};
	str_copy(str_of(files->key), out->key, sizeof(out->key));
	result = master_files_read_pem(files, &out->pem, is_open, err);
	if (result == MASTER_FILES_READ && !try(buf_str(&out->pem), &out->certificate, err)) {
		master_files_name(files, files->certificate, &name);
		err_wrap(err, "%.*s: ", STR_ARG(buf_str(&name)));
		result = MASTER_FILES_BAD;
	}
	if (result != MASTER_FILES_READ)
		clear(out);
	buf_clear(&name);
	return result;
}

/* Nothing is to be stapled: true. False: out->ocsp is empty. */
static bool read_ocsp(const struct master_files *files, struct master_identity *out, struct err *err)
{
	enum master_files_result result = master_files_read_ocsp(files, &out->ocsp, err);
	struct buf name = BUF_MAX(PATH_MAX);

	if (result == MASTER_FILES_READ && !tls_ocsp_check(buf_str(&out->pem), buf_str(&out->ocsp), now(),
									  &out->certificate.ocsp_until, err)) {
		master_files_name(files, files->ocsp, &name);
		err_wrap(err, "%.*s: ", STR_ARG(buf_str(&name)));
		result = MASTER_FILES_BAD;
	}
	if (result == MASTER_FILES_BAD) {
		buf_clear(&out->ocsp);
		out->certificate.ocsp_until = 0;
	}
	buf_clear(&name);
	return result != MASTER_FILES_BAD;
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

static bool check_one(const struct master_files *files, void (*complain)(const char *what))
{
	struct master_identity one;
	struct err err;
	bool ok = true, is_open;

	switch (read_one(files, &one, &is_open, &err)) {
	case MASTER_FILES_READ:
		ok = read_ocsp(files, &one, &err);
		break;
	case MASTER_FILES_BAD:
		ok = false;
		break;
	case MASTER_FILES_MISSING:
		return true;
	}
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

/* One that others serve beside. */
static void is_no_matter(const char *what)
{
	(void)what;
}

/* What nothing can be started without: tls.certificate_file; or else one, whichever, when none is obtained meanwhile. */
static bool check_least(const struct settings *settings, void (*complain)(const char *what))
{
	struct master_files files;

	if (settings->tls.certificate_file[0] != '\0') {
		files = master_files_at(settings, 0);
		files.ocsp = "";
		return check_one(&files, complain);
	}
	if (settings_certificate_has_acme(settings))
		return true;
	for (size_t i = 0; i < master_files_count(settings); i++) {
		files = master_files_at(settings, i);
		files.ocsp = "";
		if (check_one(&files, is_no_matter))
			return true;
		check_one(&files, complain);
	}
	return false;
}

bool master_identity_check(const struct settings *settings, bool all, void (*complain)(const char *what))
{
	bool ok = all || check_least(settings, complain);

	for (size_t i = 0; all && i < master_files_count(settings); i++) {
		struct master_files files = master_files_at(settings, i);

		ok = check_one(&files, complain) && ok;
	}
	return check_trust(settings, complain) && ok;
}

/* ---- Loading ---- */

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

	from->pem = BUF_MAX(MASTER_FILES_PEM_MAX);
	from->ocsp = BUF_MAX(MASTER_FILES_OCSP_MAX);
	return one;
}

/* A bad response is not stapled; the one before stays while it belongs to the same certificate. */
static void load_ocsp(const struct master_files *files, struct master_identity *fresh, const struct master_identity *old)
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
static bool keep_old(const struct master_files *files, struct master_identity *old, struct master_identity *out, const struct err *err)
{
	metrics_add(METRIC_CERTIFICATE_FAILURES, 1);
	log_error(NULL, "master.certificate.bad", log_text("certificate", files->key),
		  log_text("text", "Failed to load certificate"), log_text("reason", err->text),
		  log_bool("is_old_kept", old != NULL));
	if (old != NULL)
		*out = move(old);
	return old != NULL;
}

static void log_loaded(const struct master_identity *one, bool is_open)
{
	if (is_open)
		log_warn(NULL, "master.certificate.key_is_open", log_text("certificate", one->key),
			 log_text("advice", "chmod 600 the file with the key"));
	log_info(NULL, "master.certificate.loaded", log_text("certificate", one->key),
		 log_text("subject", one->certificate.subject), log_text("names", one->certificate.names),
		 log_text("serial", one->certificate.serial), log_text("key", one->certificate.key),
		 log_int("not_after", one->certificate.not_after), log_bool("has_ocsp", one->ocsp.n > 0));
}

/* False: there is nothing to be used. */
static bool load_one(const struct master_files *files, struct master_identity *old, struct master_identity *out, bool *is_new)
{
	enum master_files_result result;
	struct err err;
	bool is_open;

	result = read_one(files, out, &is_open, &err);
	if (result == MASTER_FILES_MISSING && old == NULL) {
		log_info(NULL, "master.certificate.awaited", log_text("certificate", files->key));
		return false;
	}
	if (result != MASTER_FILES_READ)
		return keep_old(files, old, out, &err);
	load_ocsp(files, out, old);
	if (old != NULL && str_eq(buf_str(&out->pem), buf_str(&old->pem)) &&
	    str_eq(buf_str(&out->ocsp), buf_str(&old->ocsp))) {
		log_info(NULL, "master.certificate.unchanged", log_text("certificate", files->key),
			 log_text("text", "Certificate unchanged, skipping reload"));
		return true;
	}
	*is_new = true;
	log_loaded(out, is_open);
	return true;
}

/* In the order of the settings; those that are there. */
static bool load_each(struct master_identities *all, const struct settings *settings, struct master_identities *fresh)
{
	bool is_new = false;

	for (size_t i = 0; i < master_files_count(settings); i++) {
		struct master_files files = master_files_at(settings, i);
		struct master_identity *one = &fresh->one[fresh->n], *old = find(all, files.key);

		if (!load_one(&files, old, one, &is_new))
			continue;
		/* Another order, or one that is gone. */
		is_new = is_new || fresh->n >= all->n || strcmp(all->one[fresh->n].key, one->key) != 0;
		fresh->n++;
	}
	return is_new || fresh->n != all->n;
}

static int64_t first_end(const struct master_identities *all)
{
	int64_t first = all->n > 0 ? INT64_MAX : 0;

	for (size_t i = 0; i < all->n; i++)
		if (all->one[i].certificate.not_after < first)
			first = all->one[i].certificate.not_after;
	return first;
}

static bool load_certificates(struct master_identities *all, const struct settings *settings)
{
	struct master_identities fresh = {.one = mem_array(master_files_count(settings) + 1, sizeof(*fresh.one))};
	bool is_new = load_each(all, settings, &fresh);

	if (fresh.n == 0 && all->n > 0) {
		/* None of the settings' is there (yet): clients see the former ones until one is. */
		mem_free(&fresh.one);
		return false;
	}
	fresh.client_trust = all->client_trust;
	all->client_trust = BUF_MAX(TRUST_MAX);
	master_identity_clear(all);
	*all = fresh;
	metrics_set(METRIC_CERTIFICATE_EXPIRY, first_end(all));
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
