/* SPDX-License-Identifier: Apache-2.0
 *
 * Who hears of an outcome: the log, the metrics, a person, the service manager; and what is remembered of it.
 */
#include "cert-renewer/cert_outcome.h"

#include <string.h>

#include "cert-renewer/cert_jobs.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/random.h"
#include "lib/service/metrics.h"

#define LIMIT "rateLimited" /* RFC 8555, 6.7 */

enum { STORE_AGAIN = 300 };

static int64_t seconds_now(void)
{
	return clock_wall() / CLOCK_SECOND;
}

void cert_outcome_count(const struct cert_job *job)
{
	int64_t left = job->seen.not_after - seconds_now();

	metrics_set_at(METRIC_CERTIFICATE_NOT_AFTER, job->number, job->seen.not_after);
	metrics_set_at(METRIC_CERTIFICATE_DAYS_LEFT, job->number, cert_job_has_certificate(job) ? (left - (left < 0 ? 86399 : 0)) / 86400 : 0);
	metrics_set_at(METRIC_CERTIFICATE_LAST_SUCCESS, job->number, job->state.last_success);
	metrics_set_at(METRIC_CERTIFICATE_FAILURES_IN_A_ROW, job->number, job->state.failures);
	metrics_set_at(METRIC_CERTIFICATE_OCSP_UNTIL, job->number, job->state.ocsp_until);
}

static void tell_person(const struct cert_job *job, const char *event, const char *text)
{
	const struct cert_alert_event told = {
		.event = event,
		.certificate = str_of(job->key),
		.text = str_of(text),
		.failures = (unsigned)job->state.failures,
		.not_after = job->seen.not_after,
	};

	cert_alert_tell(job->parts->alert, &told);
}

void cert_outcome_good(struct cert_job *job, bool is_restored)
{
	struct cert_state *state = &job->state;
	bool was_told = state->is_told || state->is_limit_told;

	state->failures = state->next_try = state->refused_until = state->last_error_at = 0;
	state->last_error[0] = '\0';
	state->is_told = state->is_limit_told = state->is_asked_for = false;
	if (was_told)
		tell_person(job, "certificate.renewed_again", is_restored ? "there is a new certificate, of another host" : "there is a new certificate");
	state->last_success = seconds_now();
	if (!is_restored) {
		str_copy(str_of(job->row->profile), state->profile, sizeof(state->profile));
		str_copy(str_of(job->seen.fingerprint), state->profile_of, sizeof(state->profile_of));
		metrics_add_at(METRIC_CERTIFICATE_RENEWALS, job->number, 1);
	} else {
		str_copy(str_of(job->seen.fingerprint), state->backed_up, sizeof(state->backed_up));
	}
	cert_job_save(job);
	cert_outcome_count(job);
	cert_jobs_notice(job->jobs);
}

static void alert(struct cert_job *job, bool is_limit)
{
	struct cert_state *state = &job->state;

	if (state->failures >= job->parts->settings->alerts.after && !state->is_told) {
		state->is_told = true;
		tell_person(job, "certificate.renewal_failed", state->last_error);
	}
	if (is_limit && !state->is_limit_told) {
		state->is_limit_told = true;
		tell_person(job, "certificate.rate_limited", state->last_error);
	}
}

static void say_failure(const struct cert_job *job, const char *why, const char *problem)
{
	const struct cert_state *state = &job->state;

	if (state->failures < job->parts->settings->alerts.after && strcmp(problem, LIMIT) != 0)
		log_warn(NULL, "cert.failed", log_text("certificate", job->key), log_text("reason", why), log_text("problem", problem),
			 log_int("failures", state->failures), log_int("next_try", state->next_try));
	else
		log_error(NULL, "cert.failing", log_text("certificate", job->key), log_text("reason", why), log_text("problem", problem),
			  log_int("failures", state->failures), log_int("next_try", state->next_try),
			  log_int("not_after", job->seen.not_after));
}

void cert_outcome_clock(struct cert_job *job, bool was_wrong)
{
	struct err err;

	if (job->clock_fault != NULL) {
		err_set(&err, "%s: nothing is renewed until it is put right", job->clock_fault);
		log_error(NULL, "cert.clock", log_text("certificate", job->key), log_text("reason", err.text));
		if (!was_wrong)
			tell_person(job, "certificate.clock_wrong", err.text);
	}
	cert_jobs_notice(job->jobs);
}

static void put_directory(const struct cert_job *job, char out[CERT_STATE_DIRECTORY])
{
	if (!str_copy(str_first(str_of(job->parts->settings->acme.directory), CERT_STATE_DIRECTORY - 1), out, CERT_STATE_DIRECTORY))
		out[0] = '\0';
}

void cert_outcome_forget_refusal(struct cert_job *job)
{
	struct cert_state *state = &job->state;
	char directory[CERT_STATE_DIRECTORY];

	put_directory(job, directory);
	if (state->refused_until != 0 && strcmp(state->refused_by, directory) != 0)
		state->refused_until = state->next_try = 0;
}

void cert_outcome_bad(struct cert_job *job, const char *why, const char *problem, int64_t not_before)
{
	struct cert_state *state = &job->state;
	int64_t now = seconds_now();
	bool is_limit = strcmp(problem, LIMIT) == 0;

	state->failures++;
	state->last_error_at = now;
	if (!str_copy(str_first(str_of(why), sizeof(state->last_error) - 1), state->last_error, sizeof(state->last_error)))
		state->last_error[0] = '\0';
	state->refused_until = not_before > now ? not_before : 0;
	put_directory(job, state->refused_by);
	state->next_try = cert_plan_retry_at(now, (unsigned)state->failures, not_before, random_below(UINT64_MAX));
	if (job->unsaved.n > 0 && state->next_try > now + STORE_AGAIN)
		state->next_try = now + STORE_AGAIN;
	say_failure(job, why, problem);
	metrics_add_at(METRIC_CERTIFICATE_RENEWAL_FAILURES, job->number, 1);
	if (is_limit)
		metrics_add(METRIC_ACME_RATE_LIMITED, 1);
	alert(job, is_limit);
	cert_job_save(job);
	cert_outcome_count(job);
	cert_jobs_notice(job->jobs);
	cert_job_wake(job);
}
