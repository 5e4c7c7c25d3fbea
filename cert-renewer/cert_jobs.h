/* SPDX-License-Identifier: Apache-2.0
 *
 * All certificates: which there are, how many are ordered at a time, what the service manager shows of them.
 */
#ifndef CERT_RENEWER_CERT_JOBS_H
#define CERT_RENEWER_CERT_JOBS_H

#include "cert-renewer/cert_job.h"

struct cert_jobs;

struct cert_jobs *cert_jobs_new(struct cert_parts *parts);
/* New settings are in parts->settings: certificates come, change and go; what failed is tried again at once. */
void cert_jobs_use_settings(struct cert_jobs *jobs);
/* Nothing is begun any more, what is under way ends. */
void cert_jobs_stop(struct cert_jobs *jobs);
/* NULL: there is none of this name. */
struct cert_job *cert_jobs_find(const struct cert_jobs *jobs, struct str key);
/* The one at this place in the settings' list; NULL: it is not ours. */
struct cert_job *cert_jobs_at(const struct cert_jobs *jobs, unsigned number);

/* For cert_account.h: what was begun with the account ends; the account is there. */
void cert_jobs_interrupt(void *ctx);
void cert_jobs_poke(void *ctx);

/* May another effort begin? Not beside one for the same names: authorities may give both the same order or challenges. When one ends,
 * whoever waits is woken: cert_jobs_end_effort(). */
bool cert_jobs_begin_effort(struct cert_jobs *jobs, const struct cert_job *job);
void cert_jobs_end_effort(struct cert_jobs *jobs);
bool cert_jobs_has_effort(const struct cert_jobs *jobs);
/* The clock cannot be right: why not, as some certificate has it; or NULL. */
const char *cert_jobs_clock_fault(const struct cert_jobs *jobs);
/* A job's state is another one. */
void cert_jobs_notice(struct cert_jobs *jobs);

#endif
