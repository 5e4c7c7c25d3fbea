/* SPDX-License-Identifier: Apache-2.0
 */
#include "cert-renewer/cert_jobs.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/service/service.h"

enum { JOBS = 63, EFFORTS = 2, NOTICE_MAX = 1000 };

struct cert_jobs {
	struct cert_parts *parts;
	struct cert_job **job; /* also those that have left the settings */
	size_t n;
	unsigned n_efforts;
	bool is_stopped;
	char *notice; /* what was said last; NULL: nothing */
};

struct cert_jobs *cert_jobs_new(struct cert_parts *parts)
{
	struct cert_jobs *jobs = mem_zero(sizeof(*jobs));

	jobs->parts = parts;
	return jobs;
}

/* ---- which there are ---- */

static struct cert_job *find_any(const struct cert_jobs *jobs, struct str key)
{
	for (size_t i = 0; i < jobs->n; i++)
		if (str_eq(str_of(jobs->job[i]->key), key))
			return jobs->job[i];
	return NULL;
}

struct cert_job *cert_jobs_find(const struct cert_jobs *jobs, struct str key)
{
	struct cert_job *job = find_any(jobs, key);

	return job != NULL && job->row != NULL ? job : NULL;
}

struct cert_job *cert_jobs_at(const struct cert_jobs *jobs, unsigned number)
{
	for (size_t i = 0; i < jobs->n; i++)
		if (jobs->job[i]->row != NULL && jobs->job[i]->number == number)
			return jobs->job[i];
	return NULL;
}

static struct cert_job *add(struct cert_jobs *jobs, const char *key)
{
	jobs->job = mem_grow(jobs->job, (jobs->n + 1) * sizeof(*jobs->job));
	return jobs->job[jobs->n++] = cert_job_new(jobs, jobs->parts, key);
}

void cert_jobs_use_settings(struct cert_jobs *jobs)
{
	const struct settings *settings = jobs->parts->settings;
	bool is_wanted[JOBS] = {false};

	for (size_t i = 0; i < jobs->n; i++) {
		size_t at = 0;

		while (at < settings->n_certificate && (settings->certificate[at].from != CERTIFICATE_ACME ||
							strcmp(settings->certificate[at].key, jobs->job[i]->key) != 0))
			at++;
		if (at < settings->n_certificate)
			is_wanted[at] = true;
		cert_job_use(jobs->job[i], at < settings->n_certificate ? &settings->certificate[at] : NULL, (unsigned)at);
	}
	for (size_t at = 0; at < settings->n_certificate; at++)
		if (settings->certificate[at].from == CERTIFICATE_ACME && !is_wanted[at])
			cert_job_use(add(jobs, settings->certificate[at].key), &settings->certificate[at], (unsigned)at);
	cert_jobs_notice(jobs);
}

/* ---- efforts ---- */

static bool have_a_name_in_common(const struct settings_certificate *a, const struct settings_certificate *b)
{
	struct str left[ACME_NAMES_MAX], right[ACME_NAMES_MAX];
	unsigned n_left = cert_effort_names(a, left), n_right = cert_effort_names(b, right);

	for (unsigned i = 0; i < n_left; i++)
		for (unsigned k = 0; k < n_right; k++)
			if (str_eq(left[i], right[k]))
				return true;
	return false;
}

bool cert_jobs_begin_effort(struct cert_jobs *jobs, const struct cert_job *job)
{
	if (jobs->is_stopped || jobs->n_efforts >= EFFORTS)
		return false;
	for (size_t i = 0; i < jobs->n; i++)
		if (jobs->job[i]->effort != NULL && have_a_name_in_common(jobs->job[i]->row, job->row))
			return false;
	jobs->n_efforts++;
	return true;
}

void cert_jobs_end_effort(struct cert_jobs *jobs)
{
	jobs->n_efforts--;
	for (size_t i = 0; !jobs->is_stopped && i < jobs->n; i++)
		cert_job_wake(jobs->job[i]);
}

bool cert_jobs_has_effort(const struct cert_jobs *jobs)
{
	return jobs->n_efforts > 0;
}

void cert_jobs_interrupt(void *ctx)
{
	struct cert_jobs *jobs = ctx;

	for (size_t i = 0; i < jobs->n; i++)
		cert_job_interrupt(jobs->job[i]);
}

void cert_jobs_poke(void *ctx)
{
	struct cert_jobs *jobs = ctx;

	for (size_t i = 0; i < jobs->n; i++) {
		if (jobs->job[i]->effort != NULL)
			cert_effort_poke(jobs->job[i]->effort);
		cert_job_wake(jobs->job[i]);
	}
}

void cert_jobs_stop(struct cert_jobs *jobs)
{
	jobs->is_stopped = true;
	cert_jobs_interrupt(jobs);
	for (size_t i = 0; i < jobs->n; i++)
		cert_job_use(jobs->job[i], NULL, 0);
}

/* ---- what the service manager shows ---- */

/* The one that ends first, of those that a person has to look after. */
static const struct cert_job *worst(const struct cert_jobs *jobs)
{
	const struct cert_job *found = NULL;

	for (size_t i = 0; i < jobs->n; i++) {
		const struct cert_job *job = jobs->job[i];

		if (job->row != NULL && job->state.failures >= jobs->parts->settings->alerts.after &&
		    (found == NULL || job->seen.not_after < found->seen.not_after))
			found = job;
	}
	return found;
}

const char *cert_jobs_clock_fault(const struct cert_jobs *jobs)
{
	for (size_t i = 0; i < jobs->n; i++)
		if (jobs->job[i]->clock_fault != NULL)
			return jobs->job[i]->clock_fault;
	return NULL;
}

static void put_notice(const struct cert_job *job, struct buf *out)
{
	int64_t left = job->seen.not_after - clock_wall() / CLOCK_SECOND;

	buf_printf(out, "the certificate %s cannot be %s", job->key, job->seen.not_after == 0 ? "obtained" : "renewed");
	if (job->seen.not_after != 0 && left <= 0)
		buf_put_text(out, " and has ended");
	else if (job->seen.not_after != 0)
		buf_printf(out, " and ends in %lld days", (long long)(left / 86400));
	buf_printf(out, ": %s", job->state.last_error);
}

void cert_jobs_notice(struct cert_jobs *jobs)
{
	const struct cert_job *job = worst(jobs);
	const char *fault = cert_jobs_clock_fault(jobs);
	struct buf out = BUF_MAX(NOTICE_MAX);
	char *text;

	if (fault != NULL)
		buf_printf(&out, "certificates are not renewed: %s", fault);
	else if (job != NULL)
		put_notice(job, &out);
	text = buf_take_text(&out);
	if (!jobs->is_stopped && strcmp(text, jobs->notice == NULL ? "" : jobs->notice) != 0)
		service_say(IPC_NOTICE, 0, str_of(text));
	mem_free(&jobs->notice);
	jobs->notice = text;
}
