/* SPDX-License-Identifier: Apache-2.0
 *
 * Readiness: every kind of process serves, the front is not drained, and who has a use for the database is
 * connected.
 */
#include "api/api_health.h"

#include "lib/ipc/ipc.h"
#include "lib/service/metrics.h"

static void miss(struct buf *out, bool *ready, const char *what)
{
	buf_put_text(out, *ready ? "{\"status\":\"not ready\",\"missing\":[" : ",");
	buf_printf(out, "\"%s\"", what);
	*ready = false;
}

bool api_health_ready(const struct settings *settings, struct buf *out)
{
	bool ready = true;

	for (unsigned role = ROLE_MASTER + 1; role < ROLE_COUNT; role++)
		if (metrics_sum(METRIC_CHILD_UP, role) == 0)
			miss(out, &ready, role_name((enum role)role));
	if (metrics_sum(METRIC_ACCEPTING, 0) == 0)
		miss(out, &ready, "the SMTP front: it is drained");
	if (settings->database.host[0] != '\0' && metrics_sum(METRIC_QUEUE_DATABASE_UP, 0) == 0)
		miss(out, &ready, "the queue's database");
	if (metrics_sum(METRIC_QUEUE_HOST_ID_TWICE, 0) > 0)
		miss(out, &ready, "the queue: another host has the same host id");
	if (settings->gate.users == GATE_USERS_DATABASE && metrics_sum(METRIC_GATE_DATABASE_UP, 0) == 0)
		miss(out, &ready, "the gate's database");
	buf_put_text(out, ready ? "{\"status\":\"ready\"}\n" : "]}\n");
	return ready;
}
