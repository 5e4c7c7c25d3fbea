/* SPDX-License-Identifier: Apache-2.0
 *
 * tls.certificate_file has no key in the settings; it counts in tls_certificate_not_after_seconds.
 */
#include "master/master_expiry.h"

#include <string.h>

#include "lib/base/clock.h"
#include "lib/service/metrics.h"
#include "master/master.h"

enum { DAY = 86400 };

/* 0: it is not in use. */
static int64_t end_of(const struct master_identities *all, const char *key)
{
	for (size_t i = 0; i < all->n; i++)
		if (strcmp(all->one[i].key, key) == 0)
			return all->one[i].certificate.not_after;
	return 0;
}

void master_expiry_measure(const struct master *m)
{
	int64_t now = clock_wall() / CLOCK_SECOND;

	for (unsigned i = 0; i < m->settings->n_certificate; i++) {
		const struct settings_certificate *c = &m->settings->certificate[i];
		/* The sum of the processes' words is shown, so of cert-renewer's we say nothing. */
		int64_t end = c->from == CERTIFICATE_FILES ? end_of(&m->identities, c->key) : 0, left = end - now;

		metrics_set_at(METRIC_CERTIFICATE_NOT_AFTER, i, end);
		metrics_set_at(METRIC_CERTIFICATE_DAYS_LEFT, i, end == 0 ? 0 : (left < 0 ? left - DAY + 1 : left) / DAY);
	}
}
