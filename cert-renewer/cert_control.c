/* SPDX-License-Identifier: Apache-2.0
 *
 * Times in the answers are seconds since 1970; 0: never.
 */
#include "cert-renewer/cert_control.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"

enum { ANSWER_MAX = 131072 /* as IPC(TELL) */, NAMES_SHOWN = 400, ERROR_SHOWN = 300, DER_MAX = 65536 };

/* Before master gives up waiting for an answer: what takes longer goes on, and how it ends is in the log. */
#define PATIENCE (4 * CLOCK_SECOND)

/* What the authority is asked for. */
struct question {
	struct cert_job *job; /* NULL: it is about the account */
	uint64_t id;
	cert_control_fn *fn; /* NULL: it is answered */
	struct loop_timer *timer;
	char fingerprint[TLS_CERTIFICATE_FINGERPRINT]; /* of what is revoked */
};

/* ---- answers ---- */

static void answer(uint64_t id, cert_control_fn *fn, const char *error)
{
	struct buf out = BUF_MAX(ANSWER_MAX);

	json_begin(&out, NULL, '{');
	if (error != NULL)
		json_put_text(&out, "error", str_of(error));
	else
		json_put_bool(&out, "ok", true);
	buf_put_char(&out, '}');
	fn(id, buf_str(&out));
	buf_clear(&out);
}

static void on_patience(void *ctx)
{
	struct question *q = ctx;

	answer(q->id, q->fn, NULL);
	q->fn = NULL;
}

static struct question *begin_question(const struct cert_parts *parts, uint64_t id, cert_control_fn *fn)
{
	struct question *q = mem_zero(sizeof(*q));

	q->id = id;
	q->fn = fn;
	q->timer = loop_timer_new(parts->loop, on_patience, q);
	loop_timer_set(q->timer, PATIENCE);
	return q;
}

static void end_question(struct question *q, const char *error)
{
	if (q->fn != NULL)
		answer(q->id, q->fn, error);
	loop_timer_free(&q->timer);
	free(q);
}

/* ---- list ---- */

static const char *state_of(const struct cert_job *job)
{
	enum cert_plan_why why;
	int64_t now = clock_wall() / CLOCK_SECOND;

	if (job->effort != NULL)
		return "renewing";
	if (job->state.failures > 0 || (cert_job_has_certificate(job) && job->seen.not_after <= now))
		return "failing";
	if (!cert_job_has_certificate(job) || job->clock_fault != NULL)
		return "waiting";
	if (strcmp(job->state.revoked, job->seen.fingerprint) == 0)
		return "replaced";
	return cert_job_renew_at(job, &why) <= now ? "waiting" : "valid";
}

static void put_certificate(struct buf *out, const struct cert_job *job)
{
	static const char *const challenges[] = {
		[CHALLENGE_HTTP_01] = "http-01", [CHALLENGE_TLS_ALPN_01] = "tls-alpn-01", [CHALLENGE_DNS_01] = "dns-01"};
	const struct tls_certificate *seen = &job->seen;
	struct str names[ACME_NAMES_MAX];
	unsigned n = cert_effort_names(job->row, names);
	struct buf text = BUF_MAX(NAMES_SHOWN);

	for (unsigned i = 0; i < n; i++)
		buf_printf(&text, "%s%.*s", i > 0 ? " " : "", STR_ARG(names[i]));
	json_put_text(out, "key", str_of(job->key));
	json_put_text(out, "names", buf_str(&text));
	json_put_text(out, "challenge", str_of(challenges[job->row->challenge]));
	json_put_text(out, "state", str_of(state_of(job)));
	json_put_text(out, "issuer", str_of(seen->issuer));
	json_put_text(out, "serial", str_of(seen->serial));
	json_put_text(out, "fingerprint", str_of(seen->fingerprint));
	json_put_text(out, "key_type", str_of(seen->key));
	json_put_int(out, "not_before", seen->not_before);
	json_put_int(out, "not_after", seen->not_after);
	buf_clear(&text);
}

static const char *backup_of(const struct cert_job *job)
{
	if (!cert_backup_is_wanted(job->parts->backup) || !cert_job_has_certificate(job))
		return "none";
	return job->publish.is_failing ? "failing" : strcmp(job->state.backed_up, job->seen.fingerprint) == 0 ? "good" : "none";
}

/* What stands in the way, when it is no failure. */
static const char *reason_of(const struct cert_job *job, const char *words)
{
	if (job->clock_fault != NULL)
		return job->clock_fault;
	if (job->effort == NULL && job->postponed_mono > clock_mono())
		return "another host is renewing it";
	return words;
}

static void put_plan(struct buf *out, const struct cert_job *job)
{
	const struct cert_state *state = &job->state;
	int64_t now = clock_wall() / CLOCK_SECOND, at;
	char words[CERT_PLAN_WORDS];
	enum cert_plan_why why;

	at = cert_job_renew_at(job, &why);
	cert_plan_words(why, job->parts->settings->acme.renew_before / CLOCK_SECOND, words);
	if (at < now)
		at = now;
	if (state->failures > 0 && state->next_try > at)
		at = state->next_try;
	json_put_int(out, "renew_at", at);
	json_put_text(out, "renew_why", str_of(reason_of(job, words)));
	json_put_int(out, "last_success", state->last_success);
	json_put_text(out, "last_error", str_first(str_of(state->last_error), ERROR_SHOWN));
	json_put_int(out, "last_error_at", state->last_error_at);
	json_put_int(out, "failures", state->failures);
	json_put_int(out, "next_try", state->failures > 0 ? state->next_try : 0);
	json_put_text(out, "ocsp", state->ocsp_until == 0 ? STR("none") : state->ocsp_until > now ? STR("good") : STR("expired"));
	json_put_int(out, "ocsp_until", state->ocsp_until);
	json_put_text(out, "backup", str_of(backup_of(job)));
}

static void list(const struct cert_parts *parts, const struct cert_jobs *jobs, uint64_t id, cert_control_fn *fn)
{
	struct buf out = BUF_MAX(ANSWER_MAX);

	json_begin(&out, NULL, '{');
	json_begin(&out, "certificates", '[');
	for (unsigned i = 0; i < parts->settings->n_certificate; i++) {
		const struct cert_job *job = cert_jobs_at(jobs, i);

		if (job == NULL)
			continue;
		json_begin(&out, NULL, '{');
		put_certificate(&out, job);
		put_plan(&out, job);
		buf_put_char(&out, '}');
	}
	buf_put_text(&out, "]}");
	if (out.is_full)
		answer(id, fn, "there is more to tell than an answer holds");
	else
		fn(id, buf_str(&out));
	buf_clear(&out);
}

/* ---- revoke ---- */

/* RFC 5280, 5.3.1: what a holder may say of its certificate (RFC 8555, 7.6). -1: no such reason. */
static int revocation_reason(struct str word)
{
	static const struct {
		const char *word;
		int number;
	} reasons[] = {{"unspecified", 0}, {"keyCompromise", 1}, {"affiliationChanged", 3}, {"superseded", 4}, {"cessationOfOperation", 5}};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (str_eq(word, str_of(reasons[i].word)))
			return reasons[i].number;
	return -1;
}

static void on_revoked(void *ctx, const struct acme_failure *failure)
{
	struct question *q = ctx;
	struct cert_job *job = q->job;
	/* Somebody has done it, or an answer of ours was lost. */
	bool is_done = failure == NULL || strcmp(failure->problem, "alreadyRevoked") == 0;

	if (is_done && strcmp(q->fingerprint, job->seen.fingerprint) == 0)
		cert_job_set_revoked(job);
	if (is_done)
		log_info(NULL, "cert.revoked", log_text("certificate", job->key), log_text("fingerprint", q->fingerprint));
	else
		log_error(NULL, "cert.not_revoked", log_text("certificate", job->key), log_text("reason", failure->why));
	end_question(q, is_done ? NULL : failure->why);
}

static bool take_certificate(const struct cert_job *job, struct buf *der, struct tls_key **key, struct err *err)
{
	struct buf pem = BUF_MAX(TLS_CERTIFICATE_PEM_MAX);
	bool ok = cert_job_read(job, &pem, err) && tls_certificate_put_der(buf_str(&pem), der, err);

	if (ok)
		ok = (*key = tls_key_read(buf_str(&pem), err)) != NULL;
	buf_clear_secret(&pem);
	return ok;
}

static void revoke(struct cert_parts *parts, struct cert_job *job, int reason, uint64_t id, cert_control_fn *fn)
{
	struct buf der = BUF_MAX(DER_MAX);
	struct err err = {""};
	struct tls_key *key = NULL;
	struct acme *acme;
	struct question *q;

	if (!cert_job_has_certificate(job)) {
		answer(id, fn, "there is no certificate to be revoked");
		return;
	}
	acme = cert_account_get(parts->account, &err);
	if (acme == NULL || !take_certificate(job, &der, &key, &err)) {
		answer(id, fn, err.text[0] != '\0' ? err.text : "the account's key is being looked for, or changed: try again");
		buf_clear(&der);
		return;
	}
	q = begin_question(parts, id, fn);
	q->job = job;
	str_copy(str_of(job->seen.fingerprint), q->fingerprint, sizeof(q->fingerprint));
	acme_revoke(acme, buf_str(&der), key, (unsigned)reason, on_revoked, q);
	buf_clear(&der);
}

/* ---- words ---- */

static void on_rolled(void *ctx, const char *error)
{
	if (error != NULL)
		log_error(NULL, "cert.account.not_rolled", log_text("reason", error));
	end_question(ctx, error);
}

static void roll(struct cert_parts *parts, const struct cert_jobs *jobs, uint64_t id, cert_control_fn *fn)
{
	/* What was put up for its challenges was made with the present key. */
	if (cert_jobs_has_effort(jobs))
		answer(id, fn, "a certificate is being obtained with the account's key: try again when it is there");
	else
		cert_account_roll(parts->account, on_rolled, begin_question(parts, id, fn));
}

static void renew(struct cert_job *job, uint64_t id, cert_control_fn *fn)
{
	struct err err;

	answer(id, fn, cert_job_ask(job, &err) ? NULL : err.text);
}

void cert_control_ask(struct cert_parts *parts, struct cert_jobs *jobs, uint64_t id, struct str words, cert_control_fn *fn)
{
	struct str rest = words, subject = STR(""), verb = STR(""), key = STR("");
	struct cert_job *job;

	str_next(&rest, ' ', &subject);
	str_next(&rest, ' ', &verb);
	if (str_eq(words, STR("cert list"))) {
		list(parts, jobs, id, fn);
		return;
	}
	if (str_eq(words, STR("cert rollover"))) {
		roll(parts, jobs, id, fn);
		return;
	}
	str_next(&rest, ' ', &key);
	job = cert_jobs_find(jobs, key);
	if (!str_eq(subject, STR("cert")) || (!str_eq(verb, STR("renew")) && !str_eq(verb, STR("revoke"))))
		answer(id, fn, "cert-renewer does not know these words");
	else if (job == NULL)
		answer(id, fn, "there is no certificate of this name that we obtain");
	else if (str_eq(verb, STR("renew")))
		renew(job, id, fn);
	else if (revocation_reason(rest) < 0)
		answer(id, fn, "what is needed: cert revoke KEY REASON, one of RFC 5280's that a holder may give");
	else
		revoke(parts, job, revocation_reason(rest), id, fn);
}
