/* SPDX-License-Identifier: Apache-2.0
 *
 * Which certificates there are: those of the settings that are good, and in the place of one that is not the one before it.
 */
#include "master/master_identity.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/ipc/ipc_body.h"
#include "lib/net/digest.h"
#include "lib/net/tls_server.h"
#include "lib/service/metrics.h"
#include "lib/settings/settings_certificate.h"
#include "master/master_files.h"
#include "master/master_placeholder.h"
#include "master/master_verify.h"

enum { FRAME_MAX = MASTER_FILES_PEM_MAX + MASTER_FILES_OCSP_MAX + 64, TRUST_MAX = 16 << 20 };

/* A certificate that keeps its reader busy must not keep us from all else, nor do it sixty-four times; least of all when nobody but
 * cert-renewer asks. */
static const int64_t asked_longest = 15 * CLOCK_SECOND, unasked_longest = 5 * CLOCK_SECOND, one_longest = 2 * CLOCK_SECOND;
/* What is not good yet, or was not looked at to its end, may be so later. */
static const int64_t refused_for = 600 * CLOCK_SECOND;

/* What was refused: chain and key, and the response. */
struct master_refused {
	char key[SETTINGS_KEY];
	unsigned char pem[DIGEST_SHA256_SIZE], ocsp[DIGEST_SHA256_SIZE];
	int64_t until; /* monotonic */
};

/* What all of them are read for. */
struct look {
	const struct settings *settings;
	int64_t until;
	enum log_level usual; /* at which is said that there is nothing new */
	bool is_asked;	      /* by an operator: for whom all is looked at */
};

static struct look begin_look(const struct settings *settings, bool is_asked)
{
	return (struct look){settings, clock_mono() + (is_asked ? asked_longest : unasked_longest),
			     is_asked ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG, is_asked};
}

static int64_t now(void)
{
	return clock_wall() / CLOCK_SECOND;
}

/* ---- One certificate ---- */

static void clear(struct master_identity *one)
{
	buf_clear_secret(&one->pem);
	buf_clear(&one->ocsp);
}

static void begin(struct master_identity *one, const char *key)
{
	*one = (struct master_identity){.pem = BUF_MAX(MASTER_FILES_PEM_MAX), .ocsp = BUF_MAX(MASTER_FILES_OCSP_MAX)};
	str_copy(str_of(key), one->key, sizeof(one->key));
}

/* Leaves nothing behind, so that the old ones can be ended as a whole. */
static struct master_identity move(struct master_identity *from)
{
	struct master_identity one = *from;

	from->pem = BUF_MAX(MASTER_FILES_PEM_MAX);
	from->ocsp = BUF_MAX(MASTER_FILES_OCSP_MAX);
	return one;
}

static void name_file(struct err *err, const struct master_files *files, const char *file)
{
	struct buf name = BUF_MAX(PATH_MAX);

	master_files_name(files, file, &name);
	err_wrap(err, "%.*s: ", STR_ARG(buf_str(&name)));
	buf_clear(&name);
}

static bool is_same(const struct master_identity *a, const struct master_identity *b)
{
	return str_eq(buf_str(&a->pem), buf_str(&b->pem)) && str_eq(buf_str(&a->ocsp), buf_str(&b->ocsp));
}

/* What it was found to be then holds still. */
static bool is_still_good(const struct master_identity *one)
{
	const struct tls_certificate *c = &one->certificate;

	return c->not_before <= now() && now() < c->not_after && (one->ocsp.n == 0 || now() < c->ocsp_until);
}

/* ---- What was refused ---- */

static struct master_refused *find_refused(const struct master_identities *all, const char *key)
{
	for (size_t i = 0; i < all->n_refused; i++)
		if (strcmp(all->refused[i].key, key) == 0)
			return &all->refused[i];
	return NULL;
}

static bool is_refused(const struct master_identities *all, const struct master_identity *one)
{
	const struct master_refused *was = find_refused(all, one->key);
	unsigned char pem[DIGEST_SHA256_SIZE], ocsp[DIGEST_SHA256_SIZE];

	if (was == NULL || clock_mono() >= was->until)
		return false;
	digest_sha256(buf_str(&one->pem), pem);
	digest_sha256(buf_str(&one->ocsp), ocsp);
	return memcmp(pem, was->pem, sizeof(pem)) == 0 && memcmp(ocsp, was->ocsp, sizeof(ocsp)) == 0;
}

static void remember_refused(struct master_identities *all, const struct master_identity *one)
{
	struct master_refused *r = find_refused(all, one->key);

	if (r == NULL) {
		struct master_refused *more = mem_array(all->n_refused + 1, sizeof(*more));

		if (all->n_refused > 0)
			memcpy(more, all->refused, all->n_refused * sizeof(*more));
		mem_free(&all->refused);
		all->refused = more;
		r = &more[all->n_refused++];
	}
	str_copy(str_of(one->key), r->key, sizeof(r->key));
	digest_sha256(buf_str(&one->pem), r->pem);
	digest_sha256(buf_str(&one->ocsp), r->ocsp);
	r->until = clock_mono() + refused_for;
}

static void forget_refused(struct master_identities *all)
{
	mem_free(&all->refused);
	all->n_refused = 0;
}

/* ---- Reading one ---- */

struct reading {
	enum master_files_result result;
	bool is_left;	     /* as it is: it was refused before, or there is no time for it */
	bool is_open;	     /* others can read the key */
	bool has_bad_ocsp;   /* out->ocsp is empty */
	struct err why, ocsp_why;
};

static bool has_files(const struct settings *settings)
{
	bool has = settings->tls.certificate_file[0] != '\0';

	for (size_t i = 0; i < settings->n_certificate; i++)
		has = has || settings->certificate[i].from == CERTIFICATE_FILES;
	return has;
}

/* A cert-renewer in another's hands must not take the place of the operator's own files: beside them, what lies in the store has no
 * other names than the settings want of it. Without them a list that has become shorter does not take away what there is. */
static struct str names_allowed(const struct master_files *files, const struct settings *settings)
{
	for (size_t i = 0; files->state_dir != NULL && has_files(settings) && i < settings->n_certificate; i++)
		if (strcmp(settings->certificate[i].key, files->key) == 0)
			return settings_certificate_names(&settings->certificate[i]);
	return STR("");
}

static void verify(const struct master_files *files, const struct look *look, struct reading *r, struct master_identity *out)
{
	struct master_verify_question question = {buf_str(&out->pem), buf_str(&out->ocsp), names_allowed(files, look->settings)};
	int64_t until = clock_mono() + one_longest;
	struct master_verdict verdict;

	if (look->is_asked || look->until < until)
		until = look->until;
	master_verify_certificate(&question, look->settings, until, &verdict);
	out->certificate = verdict.certificate;
	if (!verdict.is_good) {
		r->result = MASTER_FILES_BAD;
		r->why = verdict.why;
		name_file(&r->why, files, files->certificate);
	} else if (out->ocsp.n > 0 && !verdict.has_good_ocsp) {
		r->has_bad_ocsp = true;
		r->ocsp_why = verdict.ocsp_why;
		name_file(&r->ocsp_why, files, files->ocsp);
	}
}

/* Unless it is what was refused, or the time is over. */
static void verify_if_new(const struct master_files *files, const struct look *look, struct master_identities *all, struct reading *r,
			  struct master_identity *out)
{
	if (all != NULL && is_refused(all, out)) {
		r->is_left = true;
	} else if (all != NULL && !look->is_asked && clock_mono() >= look->until) {
		r->is_left = true;
		all->is_unfinished = true;
	} else {
		verify(files, look, r, out);
		if (all != NULL && (r->result == MASTER_FILES_BAD || r->has_bad_ocsp))
			remember_refused(all, out);
	}
}

/* `all` is what there was until now, or NULL, `old` what there was of it, or NULL. `out` is cleared unless it is READ. */
static struct reading read_one(const struct master_files *files, const struct look *look, struct master_identities *all,
			       const struct master_identity *old, struct master_identity *out)
{
	struct reading r = {.result = MASTER_FILES_BAD};

	begin(out, files->key);
	r.result = master_files_read_pem(files, &out->pem, &r.is_open, &r.why);
	if (r.result == MASTER_FILES_READ && master_files_read_ocsp(files, &out->ocsp, &r.ocsp_why) == MASTER_FILES_BAD) {
		r.has_bad_ocsp = true;
		buf_clear(&out->ocsp);
	}
	if (r.result == MASTER_FILES_READ && old != NULL && is_same(old, out) && is_still_good(old))
		out->certificate = old->certificate;
	else if (r.result == MASTER_FILES_READ)
		verify_if_new(files, look, all, &r, out);
	if (r.has_bad_ocsp)
		buf_clear(&out->ocsp);
	if (r.result != MASTER_FILES_READ || r.is_left)
		clear(out);
	return r;
}

/* ---- Authorities for client certificates ---- */

/* `pem` is cleared on failure. */
static bool read_trust(const struct look *look, struct buf *pem, struct tls_server_trusted *found, struct err *err)
{
	const struct settings *settings = look->settings;
	const char *ca = settings->tls.client_ca_file, *crl = settings->tls.client_crl_file;
	bool is_list = false, ok;
	size_t n_ca;

	*found = (struct tls_server_trusted){0};
	if (ca[0] == '\0')
		return true;
	ok = fd_read_file(ca, pem, err);
	n_ca = pem->n;
	if (ok && crl[0] != '\0') {
		buf_put_char(pem, '\n');
		ok = fd_read_file(crl, pem, err);
	}
	if (ok && !master_verify_trust(buf_str(pem), n_ca, settings, look->until, found, &is_list, err))
		ok = err_wrap(err, "%s: ", is_list ? crl : ca);
	if (!ok)
		buf_clear(pem);
	return ok;
}

/* ---- Checking ---- */

static bool check_one(const struct master_files *files, const struct look *look, void (*complain)(const char *what))
{
	struct master_identity one;
	struct reading r = read_one(files, look, NULL, NULL, &one);
	bool ok = r.result != MASTER_FILES_BAD && !r.has_bad_ocsp;

	if (!ok)
		complain(r.result == MASTER_FILES_BAD ? r.why.text : r.ocsp_why.text);
	clear(&one);
	return ok;
}

static bool check_trust(const struct look *look, void (*complain)(const char *what))
{
	struct buf trust = BUF_MAX(TRUST_MAX);
	struct tls_server_trusted found;
	struct err err;
	bool ok = read_trust(look, &trust, &found, &err);

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
static bool check_least(const struct look *look, void (*complain)(const char *what))
{
	const struct settings *settings = look->settings;
	bool has_first = settings->tls.certificate_file[0] != '\0', ok = !has_first && settings_certificate_has_acme(settings);

	for (size_t i = 0; !ok && i < (has_first ? 1 : master_files_count(settings)); i++) {
		struct master_files files = master_files_at(settings, i);

		files.ocsp = "";
		ok = check_one(&files, look, has_first ? complain : is_no_matter);
	}
	if (!ok && has_first && settings_certificate_has_acme(settings))
		complain("with tls.certificate_file: \"\" the first of the section certificates is for clients that name no host");
	if (!ok && !has_first)
		complain("tls.certificate_file is empty, and none of the section certificates can be read");
	return ok;
}

bool master_identity_check(const struct settings *settings, bool all, void (*complain)(const char *what))
{
	struct look look = begin_look(settings, true);
	bool ok = all || check_least(&look, complain);

	for (size_t i = 0; all && i < master_files_count(settings); i++) {
		struct master_files files = master_files_at(settings, i);

		ok = check_one(&files, &look, complain) && ok;
	}
	return check_trust(&look, complain) && ok;
}

/* ---- Loading ---- */

static struct master_identity *find(struct master_identities *all, const char *key)
{
	for (size_t i = 0; !all->is_placeholder && i < all->n; i++)
		if (strcmp(all->one[i].key, key) == 0)
			return &all->one[i];
	return NULL;
}

/* A bad response is not stapled; the one before stays while it belongs to the same certificate. */
static void keep_ocsp(const struct master_files *files, const struct err *why, struct master_identity *fresh,
		      const struct master_identity *old)
{
	log_error(NULL, "master.ocsp.bad", log_text("certificate", files->key), log_text("reason", why->text));
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
static bool load_one(const struct master_files *files, const struct look *look, struct master_identities *all,
		     struct master_identity *out, bool *is_new)
{
	struct master_identity *old = find(all, files->key);
	struct reading r = read_one(files, look, all, old, out);

	if (r.is_left) {
		if (old != NULL)
			*out = move(old);
		return old != NULL;
	}
	if (r.result == MASTER_FILES_MISSING && old == NULL) {
		LOG_LINE(NULL, look->usual, "master.certificate.awaited", log_text("certificate", files->key));
		return false;
	}
	if (r.result != MASTER_FILES_READ)
		return keep_old(files, old, out, &r.why);
	if (r.has_bad_ocsp)
		keep_ocsp(files, &r.ocsp_why, out, old);
	if (old != NULL && is_same(out, old)) {
		LOG_LINE(NULL, look->usual, "master.certificate.unchanged", log_text("certificate", files->key),
			 log_text("text", "Certificate unchanged, skipping reload"));
		return true;
	}
	*is_new = true;
	log_loaded(out, r.is_open);
	return true;
}

/* In the order of the settings; those that are there. */
static bool load_each(struct master_identities *all, const struct look *look, struct master_identities *fresh)
{
	bool is_new = false;

	for (size_t i = 0; i < master_files_count(look->settings); i++) {
		struct master_files files = master_files_at(look->settings, i);
		struct master_identity *one = &fresh->one[fresh->n];

		if (!load_one(&files, look, all, one, &is_new))
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

/* Nobody vouches for it, but what is said is not to be read on the way. */
static void show_placeholder(struct master_identities *all, const struct look *look)
{
	struct master_verdict verdict;
	struct master_identity *one = mem_zero(sizeof(*one));

	begin(one, "");
	master_placeholder_make(look->settings, &one->pem);
	master_verify_certificate(&(struct master_verify_question){.pem = buf_str(&one->pem)}, look->settings, look->until, &verdict);
	if (!verdict.is_good) {
		log_error(NULL, "master.certificate.no_placeholder", log_text("reason", verdict.why.text));
		clear(one);
		free(one);
		return;
	}
	one->certificate = verdict.certificate;
	all->one = one;
	all->n = 1;
	all->is_placeholder = true;
	log_error(NULL, "master.certificate.placeholder", log_text("names", one->certificate.names),
		  log_text("reason", "there is no certificate yet: clients are shown one that nobody vouches for"));
}

/* None of the settings' is there (yet): clients see the former ones until one is. */
static bool go_without(struct master_identities *all, const struct look *look)
{
	if (all->n > 0)
		return false;
	metrics_set(METRIC_CERTIFICATE_EXPIRY, 0);
	if (look->settings->tls.placeholder == PLACEHOLDER_SELF_SIGNED)
		show_placeholder(all, look);
	else
		log_error(NULL, "master.certificate.none", log_text("reason", "there is no certificate yet: TLS is refused"));
	return all->n > 0;
}

static bool load_certificates(struct master_identities *all, const struct look *look)
{
	struct master_identities fresh = {.one = mem_array(master_files_count(look->settings) + 1, sizeof(*fresh.one))};
	bool is_new = load_each(all, look, &fresh);

	if (fresh.n == 0) {
		mem_free(&fresh.one);
		return go_without(all, look);
	}
	is_new = is_new || all->is_placeholder;
	fresh.client_trust = all->client_trust;
	all->client_trust = BUF_MAX(TRUST_MAX);
	fresh.refused = all->refused;
	fresh.n_refused = all->n_refused;
	fresh.is_unfinished = all->is_unfinished;
	all->refused = NULL;
	master_identity_clear(all);
	*all = fresh;
	metrics_set(METRIC_CERTIFICATE_EXPIRY, first_end(all));
	return is_new;
}

static bool load_trust(struct master_identities *all, const struct look *look)
{
	struct buf pem = BUF_MAX(TRUST_MAX);
	struct tls_server_trusted found;
	struct err err;
	struct buf old = all->client_trust;

	if (!read_trust(look, &pem, &found, &err)) {
		metrics_add(METRIC_CERTIFICATE_FAILURES, 1);
		log_error(NULL, "master.client_trust.bad", log_text("text", "Failed to load client authorities"),
			  log_text("reason", err.text));
		return false;
	}
	if (found.lists > 0 && found.lists_until <= now())
		log_error(NULL, "master.client_trust.out_of_date",
			  log_text("reason", "a revocation list is out of date: its issuer's certificates are refused"),
			  log_text("file", look->settings->tls.client_crl_file));
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

bool master_identity_load(struct master_identities *all, const struct settings *settings, bool is_asked)
{
	struct look look = begin_look(settings, is_asked);
	bool has_new_certificate;

	if (is_asked)
		forget_refused(all);
	all->is_unfinished = false;
	has_new_certificate = load_certificates(all, &look);
	/* cert-renewer has nothing to do with them, and may have used up the time. */
	return (is_asked && load_trust(all, &look)) || has_new_certificate;
}

void master_identity_clear(struct master_identities *all)
{
	for (size_t i = 0; i < all->n; i++)
		clear(&all->one[i]);
	mem_free(&all->one);
	all->n = 0;
	all->is_placeholder = false;
	buf_clear(&all->client_trust);
	forget_refused(all);
}

const char *master_identity_trouble(const struct master_identities *all)
{
	if (all->is_placeholder)
		return "there is no certificate yet: clients are shown a placeholder";
	return all->n == 0 ? "there is no certificate yet: TLS is refused" : "";
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
