/* SPDX-License-Identifier: Apache-2.0
 *
 * A timer looks at least every ten minutes what there is to be done, whatever was planned: the clock may have jumped.
 */
#include "cert-renewer/cert_job.h"

#include <stdio.h>
#include <string.h>

#include "cert-renewer/cert_jobs.h"
#include "cert-renewer/cert_outcome.h"
#include "cert-renewer/cert_publish.h"
#include "cert-renewer/cert_staple.h"
#include "cert-renewer/cert_window.h"
#include "lib/base/clock.h"
#include "lib/base/date.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/service/service.h"
#include "lib/settings/settings_certificate.h"

#define FILE_TLS "tls.pem"
#define FILE_STATE "state.json"

enum { RENEWAL_ID_MAX = 512 };
#define LOCK_WAIT (30 * CLOCK_SECOND) /* while another host is at it */

static int64_t seconds_now(void)
{
	return clock_wall() / CLOCK_SECOND;
}

static int64_t most_recent(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* ---- files ---- */

bool cert_job_read(const struct cert_job *job, struct buf *pem, struct err *err)
{
	return cert_store_read(job->parts->store, str_of(job->key), FILE_TLS, pem, err);
}

static bool save_state(const struct cert_job *job, struct err *err)
{
	struct buf json = BUF_MAX(CERT_STATE_MAX);
	bool ok;

	cert_state_put(&job->state, &json);
	ok = cert_store_write(job->parts->store, str_of(job->key), FILE_STATE, buf_str(&json), err);
	buf_clear(&json);
	return ok;
}

void cert_job_save(struct cert_job *job)
{
	struct err err;

	if (!save_state(job, &err))
		log_warn(NULL, "cert.state.not_kept", log_text("certificate", job->key), log_text("reason", err.text));
}

static void read_state(struct cert_job *job)
{
	struct buf json = BUF_MAX(CERT_STATE_MAX);
	struct err err;

	job->state = (struct cert_state){.failures = 0};
	if (!cert_store_read(job->parts->store, str_of(job->key), FILE_STATE, &json, &err) ||
	    (json.n > 0 && !cert_state_read(buf_str(&json), &job->state, &err)))
		log_warn(NULL, "cert.state.broken", log_text("certificate", job->key), log_text("reason", err.text));
	buf_clear(&json);
}

/* ---- what there is ---- */

bool cert_job_has_certificate(const struct cert_job *job)
{
	return job->seen.not_after != 0;
}

static void compare(struct cert_job *job, struct str pem)
{
	struct str names[ACME_NAMES_MAX];
	unsigned n = cert_effort_names(job->row, names);
	struct tls_key *key;
	struct err err;

	key = tls_key_read(pem, &err);
	job->has_other_names = !tls_certificate_is_for(pem, names, n, &err);
	job->has_other_key_type = key == NULL || !tls_key_is(key, cert_effort_key_type(job->row));
	tls_key_free(&key);
}

/* What is on the disk. Broken is as none: another one is obtained. */
static void read_certificate(struct cert_job *job)
{
	struct buf pem = BUF_MAX(TLS_CERTIFICATE_PEM_MAX);
	struct err err;
	bool ok = cert_job_read(job, &pem, &err);

	job->seen = (struct tls_certificate){.not_after = 0};
	if (ok && pem.n > 0 && (ok = tls_certificate_read(buf_str(&pem), 0, &job->seen, &err)))
		compare(job, buf_str(&pem));
	if (!ok) {
		job->seen = (struct tls_certificate){.not_after = 0};
		log_error(NULL, "cert.broken", log_text("certificate", job->key), log_text("reason", err.text));
	}
	job->must_tell = job->seen.not_before > seconds_now();
	buf_clear_secret(&pem);
}

int64_t cert_job_renew_at(const struct cert_job *job, enum cert_plan_why *why)
{
	const struct cert_state *state = &job->state;
	struct cert_plan_facts facts = {
		.not_before = job->seen.not_before,
		.not_after = job->seen.not_after,
		.renew_before = job->parts->settings->acme.renew_before / CLOCK_SECOND,
		.window_at = cert_window_at(job),
		.has_other_names = job->has_other_names,
		.has_other_key_type = job->has_other_key_type,
		.is_revoked = strcmp(state->revoked, job->seen.fingerprint) == 0,
		.is_asked_for = state->is_asked_for,
		.soonest = cert_plan_soonest(seconds_now(), state->last_success, job->seen.not_after - job->seen.not_before),
	};

	facts.has_other_profile = job->row != NULL && strcmp(state->profile_of, job->seen.fingerprint) == 0 &&
				  strcmp(state->profile, job->row->profile) != 0;
	return cert_plan_renew_at(&facts, why);
}

void cert_job_tell_master(struct cert_job *job)
{
	job->must_tell = false;
	service_say(IPC_CERTIFICATES_CHANGED, 0, STR(""));
}

/* ---- storing ---- */

/* It is on the disk: in use from now on. */
static void installed(struct cert_job *job, struct str pem, const struct tls_certificate *seen, bool is_restored)
{
	job->seen = *seen;
	compare(job, pem);
	cert_outcome_good(job, is_restored);
	job->is_without_replaces = false;
	log_info(NULL, is_restored ? "cert.restored" : "cert.obtained", log_text("certificate", job->key), log_text("names", seen->names),
		 log_text("issuer", seen->issuer), log_text("serial", seen->serial), log_text("fingerprint", seen->fingerprint),
		 log_int("not_after", seen->not_after));
	job->must_tell = true;
	cert_job_wake(job);
}

/* The one before goes into the history. That it cannot be put there does not keep the new one from being used. */
static void retire(struct cert_job *job)
{
	struct buf pem = BUF_MAX(TLS_CERTIFICATE_PEM_MAX);
	struct err err;

	if (cert_job_has_certificate(job) &&
	    (!cert_job_read(job, &pem, &err) ||
	     !cert_store_retire(job->parts->store, str_of(job->key), job->seen.not_before, job->seen.serial, buf_str(&pem),
				(unsigned)job->parts->settings->acme.history, &err)))
		log_warn(NULL, "cert.history.not_kept", log_text("certificate", job->key), log_text("reason", err.text));
	buf_clear_secret(&pem);
}

static void store(struct cert_job *job, struct str pem, const struct tls_certificate *seen, bool is_restored)
{
	struct err err;

	retire(job);
	if (cert_store_write(job->parts->store, str_of(job->key), FILE_TLS, pem, &err)) {
		installed(job, pem, seen, is_restored);
		buf_clear_secret(&job->unsaved);
		return;
	}
	if (job->unsaved.n == 0) {
		job->unsaved = BUF_MAX(TLS_CERTIFICATE_PEM_MAX);
		buf_put_str(&job->unsaved, pem);
		job->unsaved_seen = *seen;
		job->unsaved_is_restored = is_restored;
	}
	err_wrap(&err, "there is a new certificate, which is kept in memory: ");
	cert_outcome_bad(job, err.text, "", 0);
}

void cert_job_take(struct cert_job *job, struct str pem, const struct tls_certificate *seen, bool is_restored)
{
	/* For the other hosts it is there whatever becomes of our disk. */
	if (!is_restored)
		cert_publish_begin(job, pem, seen);
	buf_clear_secret(&job->unsaved);
	store(job, pem, seen, is_restored);
}

static void store_again(struct cert_job *job)
{
	struct tls_certificate seen = job->unsaved_seen;

	store(job, buf_str(&job->unsaved), &seen, job->unsaved_is_restored);
}

/* ---- an effort ---- */

/* By its lock. Not without end: it may never get anywhere. */
static void wait_for_other_host(struct cert_job *job, struct str host)
{
	int64_t now = seconds_now(), waited;
	char since[DATE_RFC3339];
	struct err err;

	if (job->locked_out_mono == 0)
		job->locked_out_mono = clock_mono();
	waited = (clock_mono() - job->locked_out_mono) / CLOCK_SECOND;
	str_copy(str_first(host, sizeof(job->other_host) - 1), job->other_host, sizeof(job->other_host));
	if (cert_plan_is_locked_out(now, job->seen.not_before, job->seen.not_after, waited)) {
		date_put_rfc3339(now - waited, since);
		err_set(&err, "the host %s has had the lock for renewing it since %s, and nothing has come of it", job->other_host, since);
		cert_outcome_bad(job, err.text, "", 0);
		return;
	}
	cert_job_save(job);
	job->postponed_mono = clock_mono() + LOCK_WAIT;
	log_info(NULL, "cert.other_host.renews", log_text("certificate", job->key), log_text("host", job->other_host));
}

static void on_effort(void *ctx, const struct cert_effort_result *result)
{
	struct cert_job *job = ctx;

	job->effort = NULL;
	job->state.begun_at = 0;
	if (result->other_host.n > 0) {
		wait_for_other_host(job, result->other_host);
		cert_jobs_end_effort(job->jobs);
		return;
	}
	job->locked_out_mono = 0;
	if (result->failure != NULL) {
		if (strcmp(result->failure->problem, "alreadyReplaced") == 0)
			job->is_without_replaces = true;
		cert_outcome_bad(job, result->failure->why, result->failure->problem, result->failure->not_before / CLOCK_SECOND);
	} else {
		cert_job_take(job, result->pem, &result->seen, result->is_restored);
	}
	cert_jobs_end_effort(job->jobs);
}

static void start_effort(struct cert_job *job)
{
	struct buf replaces = BUF_MAX(RENEWAL_ID_MAX);
	struct cert_effort_wish wish = {
		.key = job->key,
		.row = job->row,
		.is_urgent = job->seen.not_after <= seconds_now(),
		.newer_than = job->seen.not_before,
		.but_not = job->state.revoked,
	};

	job->other_host[0] = '\0';
	cert_restore_forget(&job->publish.restore);
	if (cert_job_has_certificate(job) && !job->has_other_names && !job->is_without_replaces)
		cert_window_put_replaced(job, &replaces);
	wish.replaces = buf_str(&replaces);
	job->effort = cert_effort_start(job->parts, &wish, on_effort, job);
	buf_clear(&replaces);
}

/* A store that cannot be written to is seen before the authority has made a certificate. */
static void begin(struct cert_job *job)
{
	struct err err;

	if (!cert_jobs_begin_effort(job->jobs, job))
		return;
	job->state.begun_at = seconds_now();
	str_copy(str_of(job->seen.fingerprint), job->state.begun_with, sizeof(job->state.begun_with));
	if (save_state(job, &err)) {
		start_effort(job);
		return;
	}
	job->state.begun_at = 0;
	cert_jobs_end_effort(job->jobs);
	cert_outcome_bad(job, err.text, "", 0);
}

/* ---- looking ---- */

/* Returns how many seconds there are until it is renewed, at least one: whoever has to wait for another is woken. */
static int64_t look_at_renewal(struct cert_job *job, int64_t now)
{
	enum cert_plan_why why;
	int64_t at = cert_job_renew_at(job, &why);
	const struct cert_state *state = &job->state;
	bool is_kept_back = state->failures > 0 && !cert_plan_is_due(now, state->last_error_at, state->next_try);

	if (job->effort != NULL)
		return CERT_PLAN_LOOK;
	if (job->unsaved.n > 0) {
		if (!is_kept_back)
			store_again(job);
		return job->unsaved.n > 0 ? cert_plan_sleep(now, state->next_try) : CERT_PLAN_LOOK;
	}
	if (is_kept_back)
		return cert_plan_sleep(now, most_recent(at, state->next_try));
	if (at > now) {
		job->locked_out_mono = 0;
		return cert_plan_sleep(now, at);
	}
	if (job->postponed_mono > clock_mono())
		return (job->postponed_mono - clock_mono()) / CLOCK_SECOND + 1;
	begin(job);
	return CERT_PLAN_LOOK;
}

/* At the start and every day what is on the disk is looked at: somebody may have put another certificate there. */
static bool look_daily(struct cert_job *job, int64_t now)
{
	const struct settings *settings = job->parts->settings;
	int time_of_day = cert_plan_time_of_day(str_of(settings->acme.check_time));
	char words[CERT_PLAN_WORDS], before[TLS_CERTIFICATE_FINGERPRINT];
	enum cert_plan_why why;
	bool is_first = job->daily_at == 0;

	if (!is_first && !cert_plan_is_due(now, job->daily_since, job->daily_at))
		return false;
	job->daily_since = now;
	job->daily_at = cert_plan_daily(now, time_of_day < 0 ? 0 : time_of_day, str_of(job->parts->host_name));
	str_copy(str_of(job->seen.fingerprint), before, sizeof(before));
	if (!is_first)
		read_certificate(job);
	/* Also when nothing is new to us: master may not have heard of it, if this process died then, or could not read it. */
	if (cert_job_has_certificate(job) || before[0] != '\0')
		job->must_tell = true;
	cert_plan_words((cert_job_renew_at(job, &why), why), settings->acme.renew_before / CLOCK_SECOND, words);
	log_info(NULL, "cert.looked_at", log_text("certificate", job->key), log_int("not_after", job->seen.not_after),
		 log_int("renewed_at", cert_job_renew_at(job, &why)), log_text("why", words), log_int("next_look", job->daily_at));
	return true;
}

/* False: nothing that depends on the time can be done. */
static bool look_at_clock(struct cert_job *job, int64_t now)
{
	const char *fault = cert_plan_clock_fault(now, job->seen.not_before);

	if (fault != job->clock_fault) {
		bool was_wrong = cert_jobs_clock_fault(job->jobs) != NULL;

		job->clock_fault = fault;
		cert_outcome_clock(job, was_wrong);
	}
	return fault == NULL;
}

static int64_t soonest(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static void on_timer(void *ctx)
{
	struct cert_job *job = ctx;
	int64_t now = seconds_now(), left = CERT_PLAN_LOOK;
	bool is_daily;

	if (job->row == NULL)
		return;
	job->is_woken = false;
	loop_timer_set(job->timer, CERT_PLAN_LOOK * CLOCK_SECOND);
	if (!look_at_clock(job, now))
		return;
	is_daily = look_daily(job, now);
	if (job->must_tell && now >= job->seen.not_before)
		cert_job_tell_master(job);
	if (job->must_tell)
		left = soonest(left, cert_plan_sleep(now, job->seen.not_before));
	left = soonest(left, cert_plan_sleep(now, job->daily_at));
	left = soonest(left, look_at_renewal(job, now));
	left = soonest(left, cert_publish_look(job, is_daily));
	left = soonest(left, cert_staple_look(job));
	left = soonest(left, cert_window_look(job));
	cert_outcome_count(job);
	/* Somebody may have woken it meanwhile. */
	if (!job->is_woken)
		loop_timer_set(job->timer, (left < 1 ? 1 : left) * CLOCK_SECOND);
}

void cert_job_wake(struct cert_job *job)
{
	if (job->row == NULL)
		return;
	job->is_woken = true;
	loop_timer_set(job->timer, 0);
}

/* ---- coming and going ---- */

struct cert_job *cert_job_new(struct cert_jobs *jobs, struct cert_parts *parts, const char *key)
{
	struct cert_job *job = mem_zero(sizeof(*job));

	job->jobs = jobs;
	job->parts = parts;
	str_copy(str_of(key), job->key, sizeof(job->key));
	job->timer = loop_timer_new(parts->loop, on_timer, job);
	return job;
}

void cert_job_interrupt(struct cert_job *job)
{
	if (job->effort == NULL)
		return;
	log_info(NULL, "cert.interrupted", log_text("certificate", job->key));
	cert_effort_cancel(&job->effort);
	job->state.begun_at = 0;
	cert_job_save(job);
	cert_jobs_end_effort(job->jobs);
}

static void leave(struct cert_job *job)
{
	cert_job_interrupt(job);
	cert_restore_forget(&job->publish.restore);
	cert_staple_stop(job);
	buf_clear_secret(&job->unsaved);
	job->locked_out_mono = 0;
	job->clock_fault = NULL;
	loop_timer_stop(job->timer);
	job->row = NULL;
}

/* The process ended in the middle of a try, without being asked to. What it had stored nobody was told of. Were it to begin again at once,
 * a fault of ours that some answer of the authority's brings about would use up what the authority allows. */
static void note_crash(struct cert_job *job)
{
	if (job->state.begun_at == 0)
		return;
	job->state.begun_at = 0;
	if (cert_job_has_certificate(job) && strcmp(job->state.begun_with, job->seen.fingerprint) != 0)
		cert_outcome_good(job, false);
	else
		cert_outcome_bad(job, "cert-renewer ended in the middle of it", "", 0);
}

static bool is_same(const struct settings_certificate *a, const struct settings_certificate *b)
{
	return str_eq(settings_certificate_names(a), settings_certificate_names(b)) && a->challenge == b->challenge &&
	       a->key_type == b->key_type && strcmp(a->profile, b->profile) == 0 && strcmp(a->preferred_chain, b->preferred_chain) == 0;
}

void cert_job_use(struct cert_job *job, const struct settings_certificate *row, unsigned number)
{
	bool is_new = job->row == NULL;

	if (row == NULL) {
		if (!is_new)
			leave(job);
		return;
	}
	if (!is_new && !is_same(job->row, row))
		cert_job_interrupt(job);
	job->row = row;
	job->number = number;
	if (is_new)
		read_state(job);
	read_certificate(job);
	if (is_new)
		note_crash(job);
	cert_outcome_forget_refusal(job);
	/* Whoever changes settings may have mended what failed. */
	if (!is_new && job->state.refused_until <= seconds_now())
		job->state.next_try = 0;
	job->daily_at = 0;
	cert_job_wake(job);
}

/* ---- operators ---- */

bool cert_job_ask(struct cert_job *job, struct err *err)
{
	int64_t now = seconds_now();

	if (job->effort != NULL)
		return err_set(err, "%s is being renewed already; smtp-proxyctl cert list shows how it goes", job->key);
	if (job->state.refused_until > now)
		return err_set(err, "the authority wants no other try within the next %lld seconds: %s",
			       (long long)(job->state.refused_until - now), job->state.last_error);
	job->state.is_asked_for = true;
	job->state.next_try = 0;
	job->postponed_mono = 0;
	cert_job_wake(job);
	return true;
}

void cert_job_set_revoked(struct cert_job *job)
{
	str_copy(str_of(job->seen.fingerprint), job->state.revoked, sizeof(job->state.revoked));
	cert_job_save(job);
	cert_staple_stop(job);
	cert_job_wake(job);
}
