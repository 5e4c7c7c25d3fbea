/* SPDX-License-Identifier: Apache-2.0
 *
 * The metrics segment: parts, sums, names, the text form.
 */
#include "tests/support/unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/ipc/ipc.h"
#include "lib/service/metrics.h"
#include "lib/smtp/smtp_reason.h"

static int segment = -1;

static const struct settings_list *list_of(const char *section)
{
	for (size_t i = 0; i < settings_n_sections; i++)
		if (strcmp(settings_sections[i].name, section) == 0)
			return settings_sections[i].list;
	return NULL;
}

static struct settings *with_providers(const char *a, const char *b)
{
	struct settings *s = settings_new();

	settings_add(s, list_of("providers"), str_of(a));
	if (b != NULL)
		settings_add(s, list_of("providers"), str_of(b));
	return s;
}

static bool is_rendered(const char *line)
{
	struct buf out = BUF_MAX(8 << 20);
	bool found;

	metrics_render(&out);
	buf_put_char(&out, '\0');
	found = strstr(out.p, line) != NULL;
	buf_clear(&out);
	return found;
}

static bool rendered(const char *line)
{
	bool found = is_rendered(line);

	if (!found)
		printf("\nnot there: %s\n", line);
	return found;
}

static void counting_before_the_segment_goes_nowhere(void)
{
	struct buf out = BUF_MAX(1 << 20);

	metrics_add(METRIC_CONNECTIONS, 1);
	metrics_time(METRIC_SUBMIT_TIMES, 5);
	UNIT_INT(metrics_sum(METRIC_CONNECTIONS, 0), 0);
	metrics_render(&out);
	UNIT_INT(out.n, 0);
	segment = metrics_create();
	UNIT_TRUE(segment >= 0);
	UNIT_INT(metrics_sum(METRIC_CONNECTIONS, 0), 0);
}

static void parts_are_summed(void)
{
	metrics_add(METRIC_CONNECTIONS, 3);
	metrics_open(segment, 7);
	metrics_add(METRIC_CONNECTIONS, 4);
	metrics_set(METRIC_ACTIVE_CONNECTIONS, 9);
	UNIT_INT(metrics_sum(METRIC_CONNECTIONS, 0), 7);
	metrics_open(segment, 0);
	metrics_clear_gauges(7);
	UNIT_INT(metrics_sum(METRIC_ACTIVE_CONNECTIONS, 0), 0);
	UNIT_INT(metrics_sum(METRIC_CONNECTIONS, 0), 7);
}

static void another_process_counts_too(void)
{
	int64_t before = metrics_sum(METRIC_ACCEPTED, 0);
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		metrics_open(segment, 11);
		metrics_add(METRIC_ACCEPTED, 5);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	UNIT_INT(metrics_sum(METRIC_ACCEPTED, 0), before + 5);
}

static void a_provider_keeps_its_name_over_a_reload(void)
{
	struct settings *first = with_providers("alpha", "be\"ta"), *second = with_providers("be\"ta", NULL);

	metrics_name_keys(first);
	metrics_add_at(METRIC_SENT, 0, 1);
	metrics_add_at(METRIC_SENT, 1, 10);
	metrics_add_at(METRIC_PROVIDER_FAILOVER, metrics_pair(1, 0), 7);
	UNIT_INT(metrics_sum(METRIC_PROVIDER_FAILOVER, metrics_pair(1, 0)), 7);
	metrics_name_keys(second);
	metrics_add_at(METRIC_SENT, 0, 100);
	UNIT_INT(metrics_sum(METRIC_SENT, 0), 110);
	/* A pair's names follow in the same way; only pairs that were counted are shown. */
	UNIT_TRUE(rendered("provider_failover_total{from=\"be\\\"ta\",to=\"alpha\"} 7\n"));
	UNIT_TRUE(!is_rendered("provider_failover_total{from=\"alpha\""));
	UNIT_TRUE(rendered("messages_sent_total{provider=\"alpha\"} 1\n"));
	UNIT_TRUE(rendered("messages_sent_total{provider=\"be\\\"ta\"} 110\n"));
	settings_free(&first);
	settings_free(&second);
}

/* By names of their own: not those of the providers. */
static void certificates_are_counted_by_their_keys(void)
{
	struct settings *first = with_providers("alpha", NULL), *second = settings_new();

	settings_add(first, list_of("certificates"), STR("old.example.com"));
	settings_add(first, list_of("certificates"), STR("smtp.example.com"));
	settings_add(second, list_of("certificates"), STR("smtp.example.com"));
	metrics_name_keys(first);
	metrics_set_at(METRIC_CERTIFICATE_DAYS_LEFT, 0, -3);
	metrics_set_at(METRIC_CERTIFICATE_DAYS_LEFT, 1, 63);
	metrics_add_at(METRIC_CERTIFICATE_RENEWALS, 0, 1);
	metrics_add_at(METRIC_CERTIFICATE_RENEWALS, 1, 2);
	UNIT_TRUE(rendered("certificate_days_left{certificate=\"old.example.com\"} -3\n"));
	UNIT_TRUE(rendered("certificate_days_left{certificate=\"smtp.example.com\"} 63\n"));
	metrics_name_keys(second);
	metrics_set_at(METRIC_CERTIFICATE_DAYS_LEFT, 0, 62);
	metrics_add_at(METRIC_CERTIFICATE_RENEWALS, 0, 5);
	UNIT_TRUE(rendered("certificate_days_left{certificate=\"smtp.example.com\"} 62\n"));
	UNIT_TRUE(rendered("certificate_renewals_total{certificate=\"smtp.example.com\"} 7\n"));
	/* Nobody is to be woken for one that is not wanted any more; but what was counted stays. */
	UNIT_TRUE(!is_rendered("certificate_days_left{certificate=\"old.example.com\"}"));
	UNIT_TRUE(rendered("certificate_renewals_total{certificate=\"old.example.com\"} 1\n"));
	metrics_name_keys(first);
	UNIT_TRUE(rendered("certificate_days_left{certificate=\"old.example.com\"} -3\n"));
	settings_free(&first);
	settings_free(&second);
}

static void too_many_names_share_the_last_place(void)
{
	for (int i = 0; i < 100; i++) {
		char name[16];
		struct settings *s;

		snprintf(name, sizeof(name), "p%d", i);
		s = with_providers(name, NULL);
		metrics_name_keys(s);
		metrics_add_at(METRIC_PERMANENT, 0, 1);
		settings_free(&s);
	}
	UNIT_TRUE(rendered("messages_failed_total{provider=\"p60\"} 1\n"));
	UNIT_TRUE(rendered("messages_failed_total{provider=\"other\"} 39\n"));
}

static void a_time_falls_into_its_bucket(void)
{
	static const int64_t times[] = {-5, 0, 1000, 1001, 60000000, 60000001};

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		metrics_time(METRIC_QUEUE_COMMIT_TIMES, times[i]);
	UNIT_TRUE(rendered("queue_commit_seconds_bucket{le=\"0.001\"} 3\n"));
	UNIT_TRUE(rendered("queue_commit_seconds_bucket{le=\"0.002\"} 4\n"));
	UNIT_TRUE(rendered("queue_commit_seconds_bucket{le=\"30\"} 4\n"));
	UNIT_TRUE(rendered("queue_commit_seconds_bucket{le=\"60\"} 5\n"));
	UNIT_TRUE(rendered("queue_commit_seconds_bucket{le=\"+Inf\"} 6\n"));
	UNIT_TRUE(rendered("queue_commit_seconds_sum 120.002002\n"));
	UNIT_TRUE(rendered("queue_commit_seconds_count 6\n"));
}

static void every_series_is_there_at_zero(void)
{
	UNIT_TRUE(rendered("# HELP smtp_tls_handshakes_total TLS handshakes completed.\n"
			   "# TYPE smtp_tls_handshakes_total counter\nsmtp_tls_handshakes_total 0\n"));
	UNIT_TRUE(rendered("process_up{role=\"smtpd\"} 0\n"));
	UNIT_TRUE(rendered("process_restarts_total{role=\"api\"} 0\n"));
	UNIT_TRUE(rendered("delivery_call_seconds_bucket{provider=\"alpha\",le=\"+Inf\"} 0\n"));
	UNIT_TRUE(rendered("delivery_call_seconds_count{provider=\"alpha\"} 0\n"));
	UNIT_TRUE(rendered("# TYPE delivery_call_seconds histogram\n"));
	UNIT_TRUE(rendered("# TYPE queue_depth gauge\n"));
}

static void dead_letters_are_counted_by_reason(void)
{
	metrics_add_at(METRIC_DEAD_LETTERS, SMTP_REASON_INVALID_RECIPIENT, 2);
	UNIT_TRUE(rendered("dlq_messages_total{reason=\"invalid_recipient\"} 2\n"));
	UNIT_TRUE(rendered("dlq_messages_total{reason=\"expired\"} 0\n"));
	UNIT_TRUE(rendered("dlq_messages_total{reason=\"other\"} 0\n"));
}

static void nobody_can_cut_the_segment_short(void)
{
	UNIT_INT(ftruncate(segment, 0), -1);
	UNIT_TRUE((fcntl(segment, F_GET_SEALS) & F_SEAL_SHRINK) != 0);
}

UNIT_TESTS({"counting before there is a segment goes nowhere", counting_before_the_segment_goes_nowhere},
	   {"parts are summed, a dead part's gauges cleared", parts_are_summed},
	   {"another process counts too", another_process_counts_too},
	   {"a provider keeps its name over a reload", a_provider_keeps_its_name_over_a_reload},
	   {"certificates are counted by their keys", certificates_are_counted_by_their_keys},
	   {"a time falls into its bucket", a_time_falls_into_its_bucket},
	   {"every series is there at zero", every_series_is_there_at_zero},
	   {"too many providers' names share the last place", too_many_names_share_the_last_place},
	   {"dead letters are counted by reason", dead_letters_are_counted_by_reason},
	   {"nobody can cut the segment short", nobody_can_cut_the_segment_short})
