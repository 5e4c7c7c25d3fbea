/* SPDX-License-Identifier: Apache-2.0
 *
 * A moment within the window is chosen once, and again only when the window is another: asking often must not make it earlier.
 */
#include "cert-renewer/cert_window.h"

#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/random.h"

enum { ASK_SOONEST = 60, ASK_LATEST = 86400, RENEWAL_ID_MAX = 512 };
#define AGAIN (3600 * CLOCK_SECOND) /* after a failure, and while nothing is answered */

static bool is_known(const struct cert_job *job)
{
	return strcmp(job->state.window_of, job->seen.fingerprint) == 0;
}

static void keep(struct cert_job *job, int64_t start, int64_t end, const char *explanation)
{
	struct cert_state *state = &job->state;

	if (is_known(job) && start == state->window_start && end == state->window_end)
		return;
	str_copy(str_of(job->seen.fingerprint), state->window_of, sizeof(state->window_of));
	state->window_start = start;
	state->window_end = end;
	state->window_at = cert_plan_window_at(start, end, random_below(UINT64_MAX));
	if (start != 0)
		log_info(NULL, "cert.window", log_text("certificate", job->key), log_int("start", start), log_int("end", end),
			 log_int("renewed_at", state->window_at), log_text("explanation", explanation));
}

static void on_window(void *ctx, const struct acme_window *window, const struct acme_failure *failure)
{
	struct cert_job *job = ctx;
	int64_t now = clock_wall() / CLOCK_SECOND, at;

	if (job->row == NULL || strcmp(job->window.of, job->seen.fingerprint) != 0)
		return;
	if (failure != NULL) {
		log_info(NULL, "cert.window.not_known", log_text("certificate", job->key), log_text("reason", failure->why));
		return;
	}
	if (window->is_offered)
		keep(job, window->start / CLOCK_SECOND, window->end / CLOCK_SECOND, window->explanation);
	else
		keep(job, 0, 0, "");
	at = window->is_offered ? window->ask_again_at / CLOCK_SECOND : now + ASK_LATEST;
	job->state.window_ask_at = at < now + ASK_SOONEST ? now + ASK_SOONEST : at > now + ASK_LATEST ? now + ASK_LATEST : at;
	job->window.not_before_mono = 0;
	cert_job_save(job);
	cert_job_wake(job);
}

static bool put_id(const struct cert_job *job, struct buf *out)
{
	struct buf pem = BUF_MAX(TLS_CERTIFICATE_PEM_MAX);
	struct err err;
	bool ok = cert_job_read(job, &pem, &err) && pem.n > 0 && tls_certificate_put_renewal_id(buf_str(&pem), out, &err);

	buf_clear_secret(&pem);
	return ok;
}

static void ask(struct cert_job *job)
{
	struct buf id = BUF_MAX(RENEWAL_ID_MAX);
	struct err err;
	struct acme *acme = cert_account_get(job->parts->account, &err);

	if (acme != NULL && put_id(job, &id)) {
		str_copy(str_of(job->seen.fingerprint), job->window.of, sizeof(job->window.of));
		job->window.not_before_mono = clock_mono() + AGAIN;
		acme_renewal_window(acme, buf_str(&id), on_window, job);
	}
	buf_clear(&id);
}

int64_t cert_window_look(struct cert_job *job)
{
	int64_t now = clock_wall() / CLOCK_SECOND;
	bool is_new = strcmp(job->window.of, job->seen.fingerprint) != 0, is_due;

	if (!cert_job_has_certificate(job))
		return CERT_PLAN_LOOK;
	/* Also when the clock was set back: what was put down for so far ahead means nothing. */
	is_due = !is_known(job) || now >= job->state.window_ask_at || job->state.window_ask_at > now + ASK_LATEST + CERT_PLAN_CLOCK_OFF;
	if ((is_new || clock_mono() >= job->window.not_before_mono) && is_due)
		ask(job);
	return is_known(job) && job->state.window_ask_at > now ? job->state.window_ask_at - now : CERT_PLAN_LOOK;
}

int64_t cert_window_at(const struct cert_job *job)
{
	return is_known(job) ? job->state.window_at : 0;
}

void cert_window_put_replaced(const struct cert_job *job, struct buf *out)
{
	if (is_known(job) && job->state.window_start != 0)
		put_id(job, out);
}
