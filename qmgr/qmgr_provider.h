/* SPDX-License-Identifier: Apache-2.0
 *
 * The providers as the queue manager sees them: may messages be given to one now? Its health (qmgr_health.h), its budget
 * (qmgr_budget.h), an operator's suspension, and what of it the schedule must know.
 */
#ifndef QMGR_QMGR_PROVIDER_H
#define QMGR_QMGR_PROVIDER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/settings/settings.h"
#include "qmgr/qmgr_budget.h"
#include "qmgr/qmgr_health.h"
#include "qmgr/qmgr_schedule.h"

struct ipc_outcome;
struct qmgr;
struct qmgr_message;
struct qmgr_provider;
struct qmgr_tenant;
struct redis;
struct tls_client;

enum { QMGR_PROVIDER_REASON = 256, QMGR_PROVIDER_WHO = 64 };

/* A tenant's own credential there, when it was refused. */
struct qmgr_provider_own {
	struct qmgr_provider_own *next;
	const struct qmgr_tenant *tenant;
	struct qmgr_health health;
};

struct qmgr_provider {
	struct qmgr_provider *next;
	char key[SETTINGS_KEY];
	unsigned index; /* in the settings, or QMGR_SCHEDULE_NONE: it is not in them any more */
	struct qmgr_health health;
	struct qmgr_provider_own *own;
	struct qmgr_budget budget;
	struct qmgr_budget_rules rules;
	enum qmgr_budget_why held; /* for long: what was said of it last */
	int64_t suspended_until;   /* wall clock; INT64_MAX: for ever; 0: it is not */
	int64_t changed_at;	   /* when an operator said so, or otherwise */
	char reason[QMGR_PROVIDER_REASON], who[QMGR_PROVIDER_WHO];
	char last_error[QMGR_PROVIDER_REASON]; /* with which it went down */
	int64_t down_since;
	int64_t probe_told_at;
	int64_t probe_offered; /* the probe that waiting messages were offered last */
	struct qmgr *q;
	/* For qmgr_provider_share.c: what the other hosts heard or said last; how many words of ours have no answer yet; and the
	 * right to probe (monotonic). */
	enum qmgr_health_why told_why;
	int64_t told_probe_at;
	unsigned untold;
	bool is_asking_probe;
	int64_t may_probe_until, ask_probe_at;
	uint64_t calls, failed, throttled; /* of this process's life */
	bool is_counted; /* what the hosts have given it this day and month was read */
	bool is_usable;
};

struct qmgr_providers {
	struct qmgr_provider *first;
	struct qmgr_provider *at[QMGR_SCHEDULE_NONE]; /* by their index in the settings */
	unsigned n;
	int64_t exchange_at; /* monotonic: with the other hosts, by the database */
	int64_t patient_until; /* monotonic: what was not read by then is not waited for */
	bool is_exchanging;
	struct {
		struct qmgr_provider *provider;
		int64_t day, recipients;
	} told[QMGR_SCHEDULE_NONE]; /* what is being added now */
	unsigned n_told;
	struct redis *redis; /* NULL: hosts share nothing by it */
	struct tls_client *tls;
	struct qmgr_provider *asked[QMGR_SCHEDULE_NONE]; /* for their health, in this order */
	unsigned n_asked;
	int64_t ask_at; /* monotonic */
	bool is_asking;
};

void qmgr_provider_init(struct qmgr *q);
void qmgr_provider_clear(struct qmgr *q);
/* The settings changed: what is known of a provider stays with its key. */
void qmgr_provider_follow_settings(struct qmgr *q);

/* For those who choose a provider for a message. May the tenant's messages go to it? When it is down, suspended, or paused for
 * long, or its budget is used up, another is the better choice, if there is one; when there is none, the message waits in
 * its lane: the schedule lets none out but a probe. Whenever the answer changes, qmgr_tenant_follow_providers() is called. */
bool qmgr_provider_is_usable(const struct qmgr *q, unsigned provider, const struct qmgr_tenant *tenant);
/* Why not, for people. */
const char *qmgr_provider_why_not(const struct qmgr *q, unsigned provider, const struct qmgr_tenant *tenant);
/* It is down, and a single message may find out whether it still is: this one should go to it, though it is not usable. Says
 * so to one caller at a time. */
bool qmgr_provider_take_probe(struct qmgr *q, unsigned provider);

/* For qmgr_dispatch.c. Before anything is taken out of the schedule: who may be given how much. */
void qmgr_provider_grant(struct qmgr *q);
/* A message was taken out of the schedule for this provider. */
void qmgr_provider_began(struct qmgr *q, unsigned provider);
/* For qmgr_outcome.c. An agent's word on a message with a job, before that is landed. */
void qmgr_provider_heard(struct qmgr *q, const struct qmgr_message *m, const struct ipc_outcome *o);
void qmgr_provider_tick(struct qmgr *q);

/* For the other files of qmgr_provider_*. What decides over it has changed: told where it matters. */
void qmgr_provider_changed(struct qmgr *q, struct qmgr_provider *p);
/* An operator has mended something, or wants it tried: nothing is held against it any more. */
void qmgr_provider_resume(struct qmgr *q, struct qmgr_provider *p);
struct qmgr_health_rules qmgr_provider_health_rules(const struct qmgr *q);
struct qmgr_provider *qmgr_provider_find(const struct qmgr *q, struct str key);

#endif
