/* SPDX-License-Identifier: Apache-2.0
 *
 * What is in the file was good when it was written; master looks again before it hands it out.
 */
#include "cert-renewer/cert_staple.h"

#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/net/tls_ocsp.h"

#define FILE_NAME "ocsp.der"

enum { OCSP_MAX = 65536 };
#define AGAIN (3600 * CLOCK_SECOND)	 /* after a failure */
#define SELDOM (7 * 86400 * CLOCK_SECOND) /* no responder: until there is another certificate */

static void set_next(struct cert_job *job, int64_t microseconds)
{
	job->staple.next_mono = clock_mono() + microseconds;
}

/* What there is goes. */
static void remove_old(struct cert_job *job)
{
	bool was_there = job->state.ocsp_until != 0;
	struct err err;

	if (!cert_store_remove(job->parts->store, str_of(job->key), FILE_NAME, &err))
		log_warn(NULL, "cert.ocsp.not_removed", log_text("certificate", job->key), log_text("reason", err.text));
	job->state.ocsp_until = job->state.ocsp_refresh_at = 0;
	if (was_there) {
		cert_job_save(job);
		cert_job_tell_master(job);
	}
}

static void on_answer(void *ctx, struct str der, int64_t refresh_at, int64_t until, const char *why)
{
	struct cert_job *job = ctx;
	struct err err = {""};

	job->staple.call = NULL;
	if (der.n > 0 && cert_store_write(job->parts->store, str_of(job->key), FILE_NAME, der, &err)) {
		job->state.ocsp_until = until;
		job->state.ocsp_refresh_at = refresh_at;
		cert_job_save(job);
		cert_job_tell_master(job);
		set_next(job, refresh_at * CLOCK_SECOND - clock_wall());
		log_info(NULL, "cert.ocsp.fetched", log_text("certificate", job->key), log_int("until", until));
	} else {
		log_warn(NULL, "cert.ocsp.failed", log_text("certificate", job->key),
			 log_text("reason", err.text[0] != '\0' ? err.text : why));
		set_next(job, AGAIN);
	}
	cert_job_wake(job);
}

/* True: the file is about this certificate, and good. */
static bool is_kept_good(struct cert_job *job, struct str pem)
{
	struct buf der = BUF_MAX(OCSP_MAX);
	struct err err;
	int64_t until;
	bool ok = cert_store_read(job->parts->store, str_of(job->key), FILE_NAME, &der, &err) && der.n > 0;

	if (ok && !tls_ocsp_check(pem, buf_str(&der), clock_wall() / CLOCK_SECOND, &until, &err)) {
		log_info(NULL, "cert.ocsp.dropped", log_text("certificate", job->key), log_text("reason", err.text));
		job->state.ocsp_until = 1; /* there is a file */
		ok = false;
	} else if (ok) {
		job->state.ocsp_until = until;
	}
	buf_clear(&der);
	return ok;
}

/* A certificate that was not seen before, or the time has come. */
static void refresh(struct cert_job *job)
{
	struct buf pem = BUF_MAX(TLS_CERTIFICATE_PEM_MAX);
	int64_t now = clock_wall() / CLOCK_SECOND;
	struct err err;
	bool is_first = strcmp(job->staple.of, job->seen.fingerprint) != 0;

	str_copy(str_of(job->seen.fingerprint), job->staple.of, sizeof(job->staple.of));
	set_next(job, AGAIN);
	if (!cert_job_read(job, &pem, &err) || pem.n == 0) {
		buf_clear_secret(&pem);
		return;
	}
	if (!is_kept_good(job, buf_str(&pem)))
		remove_old(job);
	if (is_first && job->state.ocsp_until > now && job->state.ocsp_refresh_at > now)
		set_next(job, (job->state.ocsp_refresh_at - now) * CLOCK_SECOND);
	else if ((job->staple.call = cert_ocsp_ask(job->parts->http, buf_str(&pem), on_answer, job, &err)) == NULL)
		set_next(job, SELDOM); /* it names no responder */
	buf_clear_secret(&pem);
}

void cert_staple_stop(struct cert_job *job)
{
	if (job->staple.call != NULL)
		cert_ocsp_forget(&job->staple.call);
	job->staple.of[0] = '\0';
}

int64_t cert_staple_look(struct cert_job *job)
{
	int64_t now = clock_mono();

	if (!cert_job_has_certificate(job))
		return CERT_PLAN_LOOK;
	if (!job->parts->settings->acme.ocsp) {
		cert_staple_stop(job);
		if (job->state.ocsp_until != 0)
			remove_old(job);
		return CERT_PLAN_LOOK;
	}
	if (job->staple.call != NULL && strcmp(job->staple.of, job->seen.fingerprint) != 0)
		cert_staple_stop(job);
	if (job->staple.call == NULL && (strcmp(job->staple.of, job->seen.fingerprint) != 0 || now >= job->staple.next_mono))
		refresh(job);
	return (job->staple.next_mono - now) / CLOCK_SECOND + 1;
}
