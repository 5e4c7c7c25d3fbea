/* SPDX-License-Identifier: Apache-2.0
 *
 * The backup gets a certificate when it is new; when it has none of it yet (it was added to the settings later), only what is
 * newer than what lies there. What all hosts use is shared under "current/KEY".
 */
#include "cert-renewer/cert_publish.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/service/metrics.h"

enum { NAME = SETTINGS_KEY + 16 };
#define LOOK (600 * CLOCK_SECOND)
#define AGAIN (300 * CLOCK_SECOND) /* after a copy that failed */

struct put {
	struct cert_job *job;
	bool has_lock;
	int64_t not_after;
	char fingerprint[TLS_CERTIFICATE_FINGERPRINT];
};

/* ---- putting ---- */

static void say_current(struct cert_job *job, const struct put *put)
{
	char name[NAME];
	struct ipc_share share = {.act = IPC_SHARE_PUT, .value = str_of(put->fingerprint)};

	snprintf(name, sizeof(name), "current/%s", job->key);
	share.name = str_of(name);
	share.lifetime = put->not_after * CLOCK_SECOND - clock_wall();
	if (share.lifetime > 0)
		cert_share_ask(job->parts->share, &share, NULL, NULL);
}

static void on_put(void *ctx, bool ok, const char *why)
{
	struct put *put = ctx;
	struct cert_job *job = put->job;

	job->publish.is_running = false;
	job->publish.is_failing = !ok;
	job->publish.put_mono = clock_mono() + AGAIN;
	if (ok) {
		str_copy(str_of(put->fingerprint), job->state.backed_up, sizeof(job->state.backed_up));
		cert_job_save(job);
		say_current(job, put);
		log_info(NULL, "cert.backup.put", log_text("certificate", job->key), log_text("fingerprint", put->fingerprint));
	} else {
		metrics_add_at(METRIC_CERTIFICATE_BACKUP_FAILURES, job->number, 1);
		log_error(NULL, "cert.backup.failed", log_text("certificate", job->key), log_text("reason", why));
	}
	/* One that has begun meanwhile needs it. */
	if (put->has_lock && job->effort == NULL)
		cert_effort_unlock(job->parts, job->key);
	free(put);
}

static void start_put(struct cert_job *job, struct str pem, const struct tls_certificate *seen, bool has_lock)
{
	struct put *put = mem_zero(sizeof(*put));

	*put = (struct put){.job = job, .has_lock = has_lock, .not_after = seen->not_after};
	str_copy(str_of(seen->fingerprint), put->fingerprint, sizeof(put->fingerprint));
	job->publish.is_running = true;
	cert_backup_put(job->parts->backup, str_of(job->key), STR("tls.pem"), pem, on_put, put);
}

void cert_publish_begin(struct cert_job *job, struct str pem, const struct tls_certificate *seen)
{
	/* What the backup has now may be older: it is not taken any more. */
	cert_restore_forget(&job->publish.restore);
	if (cert_backup_is_wanted(job->parts->backup))
		start_put(job, pem, seen, true);
	else
		cert_effort_unlock(job->parts, job->key);
}

/* ---- taking ---- */

static bool is_backed_up(const struct cert_job *job)
{
	return strcmp(job->state.backed_up, job->seen.fingerprint) == 0;
}

static void put_ours(struct cert_job *job)
{
	struct buf pem = BUF_MAX(TLS_CERTIFICATE_PEM_MAX);
	struct err err;

	if (cert_job_read(job, &pem, &err) && pem.n > 0)
		start_put(job, buf_str(&pem), &job->seen, false);
	buf_clear_secret(&pem);
}

static void on_restored(void *ctx, struct str pem, const struct tls_certificate *seen, const char *why)
{
	struct cert_job *job = ctx;

	job->publish.restore = NULL;
	if (job->row == NULL || job->effort != NULL)
		return;
	if (why[0] != '\0') {
		log_warn(NULL, "cert.backup.not_read", log_text("certificate", job->key), log_text("reason", why));
		job->publish.seen_elsewhere[0] = '\0'; /* it is looked for again */
	}
	if (pem.n > 0)
		cert_job_take(job, pem, seen, true);
	else if (why[0] == '\0' && cert_job_has_certificate(job) && !is_backed_up(job) && !job->publish.is_running &&
		 strcmp(job->state.revoked, job->seen.fingerprint) != 0)
		put_ours(job);
}

/* False: not now. */
static bool look_in_backup(struct cert_job *job)
{
	struct str names[ACME_NAMES_MAX];
	struct cert_restore_wish wish = {
		.key = str_of(job->key),
		.names = names,
		.n_names = cert_effort_names(job->row, names),
		.key_type = cert_effort_key_type(job->row),
		.newer_than = job->seen.not_before,
		.but_not = job->state.revoked,
	};

	if (job->publish.restore != NULL || job->effort != NULL || job->publish.is_running)
		return false;
	job->publish.restore = cert_restore_start(job->parts->backup, &wish, on_restored, job);
	return true;
}

static void on_current(void *ctx, enum ipc_share_verdict verdict, struct str value)
{
	struct cert_job *job = ctx;

	if (job->row == NULL || verdict != IPC_SHARE_YES || str_eq(value, str_of(job->seen.fingerprint)) ||
	    str_eq(value, str_of(job->publish.seen_elsewhere)))
		return;
	if (!look_in_backup(job))
		return;
	str_copy(value, job->publish.seen_elsewhere, sizeof(job->publish.seen_elsewhere));
	log_info(NULL, "cert.other_host.renewed", log_text("certificate", job->key), log_str("fingerprint", value));
}

static void ask_others(struct cert_job *job)
{
	char name[NAME];
	struct ipc_share share = {.act = IPC_SHARE_GET};

	snprintf(name, sizeof(name), "current/%s", job->key);
	share.name = str_of(name);
	cert_share_ask(job->parts->share, &share, on_current, job);
}

int64_t cert_publish_look(struct cert_job *job, bool is_daily)
{
	int64_t now = clock_mono();

	/* Without a certificate the effort looks there. */
	if (!cert_backup_is_wanted(job->parts->backup) || !cert_job_has_certificate(job))
		return CERT_PLAN_LOOK;
	if (now >= job->publish.share_mono) {
		job->publish.share_mono = now + LOOK;
		ask_others(job);
	}
	if (is_daily || (!is_backed_up(job) && now >= job->publish.put_mono)) {
		job->publish.put_mono = now + AGAIN;
		look_in_backup(job);
	}
	return (job->publish.share_mono - now) / CLOCK_SECOND + 1;
}
