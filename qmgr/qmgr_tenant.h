/* SPDX-License-Identifier: Apache-2.0
 *
 * What qmgr knows of the tenants: what they wish, through whom they send, and their lanes in the schedule. Read at start
 * and when change.generation moves.
 */
#ifndef QMGR_QMGR_TENANT_H
#define QMGR_QMGR_TENANT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/uuid.h"
#include "lib/settings/settings.h"
#include "qmgr/qmgr_keys.h"
#include "qmgr/qmgr_lane.h"
#include "qmgr/qmgr_tenant_routes.h"

struct qmgr;

enum { QMGR_TENANT_NAME = 64 };

/* What a tenant may have otherwise than the settings say. Times in microseconds. */
struct qmgr_tenant_wishes {
	int64_t retry_first, retry_longest, max_age, max_attempts, keep_messages, idempotency_window;
};

struct qmgr_tenant {
	struct uuid id;
	struct qmgr_tenant *hash_next;
	char name[QMGR_TENANT_NAME];
	char provider[SETTINGS_KEY]; /* "" for queue.default_provider */
	char *fallbacks; /* targets after it, where tenants are in the settings; NULL: none */
	struct qmgr_tenant_wishes own;	  /* as its row says; -1: nothing */
	struct qmgr_tenant_wishes wishes; /* what applies: its own, or the settings' */
	bool holds_unknown;
	bool is_test;	   /* nothing of it leaves: the sandbox answers */
	char *redirect_to; /* all its mail goes to this address instead; NULL: it does not */
	char *bounce_from; /* From of the bounce messages that it wants; NULL: it wants none */
	char *credentials; /* its own ones for providers, see qmgr_credential.h; NULL: none */
	bool is_known; /* its row was read, or is gone: before that nothing of it is sent or decided */
	bool is_gone;  /* there is no such row */
	unsigned made_in, seen_in; /* which reading of the table was the last one before, ... showed it */
	unsigned routes_in;	   /* ... showed routes of it */
	bool is_warned; /* it was said that it has no provider */
	int64_t down_said_at; /* monotonic: that all its providers are down */
	int64_t unreported_said_at; /* monotonic: that it has had its delivery reports */
	unsigned n_unreported;	    /* since then */
	unsigned n_messages; /* of the queue, in memory */
	struct qmgr_keys_owner keys;
	struct qmgr_tenant_routes routes;
	struct qmgr_lanes lanes;
};

struct qmgr_tenants {
	struct qmgr_tenant **table;
	size_t table_size, n;
	bool is_loading, is_stale;
	bool has_routes; /* of this reading, those were read ... */
	unsigned n_routes; /* ... and are so many */
	unsigned load; /* the number of the last reading of the table that was begun */
	int64_t generation; /* of the tenants when that began: it shows these at least */
};

void qmgr_tenant_init(struct qmgr *q);
void qmgr_tenant_clear(struct qmgr *q);
/* Never NULL: one that was not read yet has no name and no provider, and is read at once. */
struct qmgr_tenant *qmgr_tenant_of(struct qmgr *q, const struct uuid *id);
/* Reads them all again. */
void qmgr_tenant_load(struct qmgr *q);
/* The settings changed: what is ready goes where it belongs now. */
void qmgr_tenant_follow_settings(struct qmgr *q);
/* A provider became usable, or not any more (qmgr_provider_is_usable()). */
void qmgr_tenant_follow_providers(struct qmgr *q);
/* The index of a provider in the settings, or QMGR_SCHEDULE_NONE. */
unsigned qmgr_tenant_provider_index(const struct qmgr *q, const char *key);

#endif
