/* SPDX-License-Identifier: Apache-2.0
 *
 * One certificate's life: it is looked at, renewed when it is time, stored, handed on. Times in a cert_state are seconds by the wall
 * clock; those here, named ..._mono, microseconds by the other, which does not jump.
 */
#ifndef CERT_RENEWER_CERT_JOB_H
#define CERT_RENEWER_CERT_JOB_H

#include "cert-renewer/cert_effort.h"
#include "cert-renewer/cert_ocsp.h"
#include "cert-renewer/cert_parts.h"
#include "cert-renewer/cert_plan.h"
#include "cert-renewer/cert_restore.h"
#include "cert-renewer/cert_state.h"
#include "lib/net/tls_certificate.h"

struct cert_jobs;

/* cert_publish.c */
struct cert_publish {
	bool is_running, is_failing;
	char fingerprint[TLS_CERTIFICATE_FINGERPRINT]; /* of what is being put */
	char seen_elsewhere[TLS_CERTIFICATE_FINGERPRINT]; /* what the others use, and was looked for in the backup */
	struct cert_restore *restore;
	int64_t put_mono;   /* not before */
	int64_t share_mono; /* the others are asked next */
};

/* cert_staple.c */
struct cert_staple {
	struct cert_ocsp_call *call;
	char of[TLS_CERTIFICATE_FINGERPRINT]; /* what next_mono is about */
	int64_t next_mono;
};

/* cert_window.c */
struct cert_window {
	char of[TLS_CERTIFICATE_FINGERPRINT]; /* asked about */
	int64_t not_before_mono;
};

/* It is never freed: answers that are under way when it leaves the settings come back to it, and so may the certificate. */
struct cert_job {
	struct cert_jobs *jobs;
	struct cert_parts *parts;
	char key[SETTINGS_KEY];
	const struct settings_certificate *row; /* NULL: it is not in the settings (any more) */
	unsigned number;			/* its place there */
	struct loop_timer *timer;
	bool is_woken;

	struct cert_state state;
	struct tls_certificate seen; /* what is on the disk; not_after 0: nothing that can be used */
	bool has_other_names, has_other_key_type;
	bool must_tell; /* master is told when the certificate has begun to be good */
	const char *clock_fault;
	int64_t daily_at, daily_since;

	struct cert_effort *effort;
	char other_host[128]; /* that has the lock */
	int64_t postponed_mono, locked_out_mono; /* waits for it until; since (0: does not) */
	bool is_without_replaces; /* the authority says that another order has replaced it */
	/* Obtained, and not yet on the disk: storing is tried again, for the authority gives only so many. Secret. */
	struct buf unsaved;
	struct tls_certificate unsaved_seen;
	bool unsaved_is_restored;

	struct cert_publish publish;
	struct cert_staple staple;
	struct cert_window window;
};

struct cert_job *cert_job_new(struct cert_jobs *jobs, struct cert_parts *parts, const char *key);
/* Its row in (new) settings; NULL: it has none any more. Its files stay. */
void cert_job_use(struct cert_job *job, const struct settings_certificate *row, unsigned number);
/* Looks what there is to be done, soon. */
void cert_job_wake(struct cert_job *job);
/* What is under way ends, and will be begun again. */
void cert_job_interrupt(struct cert_job *job);

/* A certificate came: from an effort, or another host's from the backup. */
void cert_job_take(struct cert_job *job, struct str pem, const struct tls_certificate *seen, bool is_restored);
/* An operator wants another one. False: why not. */
bool cert_job_ask(struct cert_job *job, struct err *err);
/* The certificate in use is revoked. */
void cert_job_set_revoked(struct cert_job *job);

/* When it is renewed (0: at once), and why. */
int64_t cert_job_renew_at(const struct cert_job *job, enum cert_plan_why *why);
bool cert_job_has_certificate(const struct cert_job *job);
/* Appends what is on the disk; secret. */
bool cert_job_read(const struct cert_job *job, struct buf *pem, struct err *err);
/* Keeps job->state. That it could not be kept is said in the log. */
void cert_job_save(struct cert_job *job);
/* Master is to read the store again. */
void cert_job_tell_master(struct cert_job *job);

#endif
