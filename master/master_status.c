/* SPDX-License-Identifier: Apache-2.0
 *
 * The status that the control socket shows.
 */
#include "master/master_status.h"

#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/json.h"
#include "lib/service/metrics.h"
#include "lib/smtp/smtp_reason.h"
#include "master/master_children.h"
#include "master/master_stop.h"

/* A setting of the listener, as the file has it. */
static void put_setting(struct buf *out, const struct settings_listener *listener, const char *name)
{
	struct buf value = BUF_MAX(64);

	for (size_t i = 0; i < settings_n_rows; i++) {
		const struct settings_row *row = &settings_rows[i];

		if (strcmp(row->section, "listeners") == 0 && strcmp(row->name, name) == 0)
			settings_get(listener, row, &value);
	}
	json_put_text(out, name, buf_str(&value));
	buf_clear(&value);
}

/* `listener` is NULL for the api's, which has a name of its own. */
static void put_socket(struct buf *out, const char *name, const struct master_socket *s,
		       const struct settings_listener *listener)
{
	json_begin(out, name, '{');
	json_put_text(out, "name", str_of(s->name));
	json_put_text(out, "address", str_of(s->address));
	json_put_int(out, "port", s->port);
	if (listener != NULL) {
		put_setting(out, listener, "tls");
		put_setting(out, listener, "mode");
	}
	buf_put_char(out, '}');
}

static void put_child(struct buf *out, const struct master_child *child)
{
	json_begin(out, NULL, '{');
	json_put_text(out, "role", str_of(role_name(child->role)));
	json_put_int(out, "slot", child->slot);
	json_put_int(out, "pid", child->pid);
	json_put_text(out, "state", str_of(master_children_state_name(child->state)));
	json_put_int(out, "since", child->since / CLOCK_SECOND);
	json_put_int(out, "restarts", child->restarts);
	buf_put_char(out, '}');
}

static void put_certificate(struct buf *out, const char *name, const char *key, const struct tls_certificate *c)
{
	json_begin(out, name, '{');
	json_put_text(out, "key", str_of(key));
	json_put_text(out, "subject", str_of(c->subject));
	json_put_text(out, "names", str_of(c->names));
	json_put_text(out, "serial", str_of(c->serial));
	json_put_int(out, "not_after", c->not_after);
	buf_put_char(out, '}');
}

/* The one for clients that name no known host (without one its texts are empty), then all. */
static void put_certificates(struct buf *out, const struct master_identities *all)
{
	static const struct tls_certificate none;

	put_certificate(out, "certificate", all->n > 0 ? all->one[0].key : "", all->n > 0 ? &all->one[0].certificate : &none);
	json_begin(out, "certificates", '[');
	for (size_t i = 0; i < all->n; i++)
		put_certificate(out, NULL, all->one[i].key, &all->one[i].certificate);
	buf_put_char(out, ']');
	json_put_bool(out, "is_placeholder", all->is_placeholder);
}

static void put_notice(struct buf *out, const struct master *m)
{
	struct buf text = BUF_MAX(MASTER_NOTICES * (MASTER_NOTICE_MAX + 2));

	master_notice_put(&m->notices, &text);
	json_put_text(out, "notice", buf_str(&text));
	buf_clear(&text);
}

static int64_t sum_labels(enum metric metric, size_t labels)
{
	int64_t sum = 0;

	for (unsigned i = 0; i < labels; i++)
		sum += metrics_sum(metric, i);
	return sum;
}

static void put_metrics(struct buf *out, const struct settings *settings)
{
	const struct {
		const char *name;
		enum metric metric;
		size_t labels;
	} shown[] = {
		{"sessions", METRIC_ACTIVE_CONNECTIONS, 1},
		{"connections", METRIC_CONNECTIONS, 1},
		{"accepted", METRIC_ACCEPTED, 1},
		{"refused", METRIC_REFUSED, 1},
		{"stored", METRIC_QUEUE_STORED, 1},
		{"queue_depth", METRIC_QUEUE_DEPTH, 1},
		{"in_flight", METRIC_IN_FLIGHT, settings->n_provider},
		{"sent", METRIC_SENT, settings->n_provider},
		{"deferred", METRIC_TRANSIENT, settings->n_provider},
		{"failed", METRIC_PERMANENT, settings->n_provider},
		{"unknown", METRIC_UNKNOWN, settings->n_provider},
		{"dead_letters", METRIC_DEAD_LETTERS, SMTP_REASONS},
		{"queue_database_up", METRIC_QUEUE_DATABASE_UP, 1},
		{"gate_database_up", METRIC_GATE_DATABASE_UP, 1},
	};

	json_begin(out, "metrics", '{');
	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
		json_put_int(out, shown[i].name, sum_labels(shown[i].metric, shown[i].labels));
	buf_put_char(out, '}');
}

void master_status_render(const struct master *m, struct buf *out)
{
	json_begin(out, NULL, '{');
	json_put_text(out, "version", str_of(PACKAGE_VERSION));
	json_put_int(out, "pid", getpid());
	json_put_int(out, "uptime", (clock_wall() - m->started_at) / CLOCK_SECOND);
	json_put_int(out, "started_at", m->started_at);
	json_put_text(out, "state", str_of(master_stop_state_name(m->state)));
	json_put_text(out, "settings", str_of(m->settings_path));
	json_begin(out, "listeners", '[');
	for (size_t i = 0; i < m->listen.n; i++)
		put_socket(out, NULL, &m->listen.listener[i], &m->settings->listener[i]);
	buf_put_char(out, ']');
	put_socket(out, "api", &m->listen.api, NULL);
	put_certificates(out, &m->identities);
	put_notice(out, m);
	json_begin(out, "children", '[');
	for (size_t i = 0; i < master_children_count(m->children); i++)
		put_child(out, master_children_at(m->children, i));
	buf_put_char(out, ']');
	put_metrics(out, m->settings);
	buf_put_text(out, "}\n");
}
