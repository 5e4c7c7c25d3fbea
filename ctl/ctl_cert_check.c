/* SPDX-License-Identifier: Apache-2.0
 *
 * smtp-proxyctl cert check: for monitoring, as Nagios' plugins are: one line, and an exit status. It looks at files, so that it
 * tells of a certificate that ends also when the service is down; at what hosts show, when they are named; and whether the service, if
 * it runs, cannot renew one.
 */
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ctl/ctl_cert_disk.h"
#include "ctl/ctl_cert_host.h"
#include "ctl/ctl_control.h"
#include "ctl/ctl_out.h"
#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/settings/settings_certificate.h"
#include "lib/settings/settings_problem.h"
#include "lib/settings/settings_units.h"

enum result { OK, WARNING, CRITICAL, UNKNOWN };
enum { HOSTS_MAX = 64, IMPLICIT_PORT = 465, LINE_MAX_OCTETS = 65536 };

static const char *const result_names[] = {"OK", "WARNING", "CRITICAL", "UNKNOWN"};
/* Which is worse: it is not known is less than a warning. */
static const unsigned ranks[] = {[OK] = 0, [UNKNOWN] = 1, [WARNING] = 2, [CRITICAL] = 3};

struct check {
	struct ctl *ctl;
	const struct settings *settings;
	int64_t now, warning, critical; /* seconds; the last two -1: as the certificate's life wants it */
	struct buf numbers;		/* for graphs: 'KEY'=DAYS;WARNING:;CRITICAL: */
	enum result worst;
	int64_t least;	    /* days of the one that is named */
	char what[1024];    /* of the worst */
	unsigned n;
};

/* The worst is named; of several that are equally bad the one that ends first. */
__attribute__((format(printf, 4, 5)))
static void found(struct check *c, enum result result, int64_t days, const char *format, ...)
{
	va_list args;

	c->n++;
	if (c->n > 1 && (ranks[result] < ranks[c->worst] || (result == c->worst && days >= c->least)))
		return;
	c->worst = result;
	c->least = days;
	va_start(args, format);
	vsnprintf(c->what, sizeof(c->what), format, args);
	va_end(args);
}

static void judge(struct check *c, const char *name, const struct tls_certificate *seen)
{
	struct ctl_cert_limits limits = ctl_cert_disk_limits(seen);
	int64_t left = seen->not_after - c->now, days = ctl_cert_disk_days(seen, c->now);

	limits.warning = c->warning >= 0 ? c->warning : limits.warning;
	limits.critical = c->critical >= 0 ? c->critical : limits.critical;
	buf_printf(&c->numbers, " '%s'=%lld;%lld:;%lld:", name, (long long)days, (long long)(limits.warning / 86400),
		   (long long)(limits.critical / 86400));
	if (left <= 0)
		found(c, CRITICAL, days, "%s has expired", name);
	else if (c->now < seen->not_before)
		found(c, CRITICAL, days, "%s is not valid yet", name);
	else
		found(c, left < limits.critical ? CRITICAL : left < limits.warning ? WARNING : OK, days, "%s %lld days", name,
		      (long long)days);
}

static void look_at_disk(struct check *c)
{
	for (size_t i = 0; i < ctl_cert_disk_count(c->settings); i++) {
		struct ctl_cert_disk disk;

		ctl_cert_disk_read(c->settings, i, &disk);
		if (disk.found == CTL_CERT_READ)
			judge(c, disk.key, &disk.seen);
		else
			found(c, disk.found == CTL_CERT_DENIED ? UNKNOWN : CRITICAL, 0, "%s: %s", disk.key, disk.why);
	}
}

/* ---- what the service says, when it can be asked ---- */

/* There may be weeks until the end: time to mend what is in the way. */
static void judge_renewal(struct check *c, struct json_object *one)
{
	int64_t failures = ctl_control_int(one, "failures"), not_after = ctl_control_int(one, "not_after");

	if (failures < c->settings->alerts.after)
		return;
	found(c, WARNING, not_after > c->now ? (not_after - c->now) / 86400 : 0, "%s: its renewal failed %lld times in a row: %s",
	      ctl_control_text(one, "key"), (long long)failures, ctl_control_text(one, "last_error"));
	c->n--; /* it was counted with the files */
}

static void look_at_renewals(struct check *c)
{
	struct json_object *status = settings_certificate_has_acme(c->settings) ? ctl_control_try(c->ctl, "status") : NULL;
	struct json_object *answers, *all;

	if (status == NULL)
		return;
	json_object_put(status);
	answers = ctl_control_ask_children(c->ctl, "cert list");
	all = ctl_control_part(ctl_control_part(json_object_array_get_idx(answers, 0), "answer"), "certificates");
	for (size_t i = 0; json_object_is_type(all, json_type_array) && i < json_object_array_length(all); i++)
		judge_renewal(c, json_object_array_get_idx(all, i));
	json_object_put(answers);
}

/* ---- what hosts show ---- */

/* HOST, HOST:PORT, [ADDRESS]:PORT. */
static bool read_place(const char *text, char *host, size_t size, uint16_t *port)
{
	struct str s = str_of(text), rest;
	uint64_t number = IMPLICIT_PORT;
	bool is_bracketed = s.n > 0 && s.p[0] == '[';
	size_t end = is_bracketed ? str_find(s, ']') : str_find(s, ':');

	if (is_bracketed && end == s.n)
		return false;
	rest = str_from(s, is_bracketed ? end + 1 : end);
	s = is_bracketed ? str_first(str_from(s, 1), end - 1) : str_first(s, end);
	*port = IMPLICIT_PORT;
	if (s.n == 0 || !str_copy(s, host, size) ||
	    (rest.n > 0 && (rest.p[0] != ':' || !str_u64(str_from(rest, 1), 1, 65535, &number))))
		return false;
	*port = (uint16_t)number;
	return true;
}

/* As a listener of ours with that port has it; else as the port's number says. */
static bool is_implicit(const struct settings *s, uint16_t port)
{
	for (size_t i = 0; i < s->n_listener; i++)
		if (s->listener[i].port == port)
			return s->listener[i].tls == LISTENER_IMPLICIT;
	return port == IMPLICIT_PORT;
}

static void look_at_host(struct check *c, const char *place)
{
	struct tls_certificate seen;
	char host[256];
	uint16_t port;
	struct err err;

	if (!read_place(place, host, sizeof(host), &port))
		ctl_usage(c->ctl, "--host: \"%s\" is no HOST:PORT", place);
	if (!ctl_cert_host_look(host, port, is_implicit(c->settings, port), &seen, &err))
		found(c, CRITICAL, 0, "%s: %s", place, err.text);
	else if (settings_certificate_has_acme(c->settings) && strcmp(seen.issuer, seen.subject) == 0)
		found(c, CRITICAL, 0, "%s shows a certificate that nobody vouches for", place);
	else
		judge(c, place, &seen);
}

/* ---- the line ---- */

static int say(struct check *c)
{
	char more[32] = "";

	if (c->n > 1)
		snprintf(more, sizeof(more), " (of %u)", c->n);
	if (c->ctl->is_json) {
		static const struct ctl_out_column columns[] = {
			{"result", "RESULT"}, {"what", "WHAT"}, {"days", "DAYS"}, {"checked", "CHECKED"}};
		struct ctl_out *out = ctl_out_new(c->ctl, columns, sizeof(columns) / sizeof(columns[0]));

		ctl_out_text(out, result_names[c->worst]);
		ctl_out_text(out, c->what);
		ctl_out_int(out, c->least);
		ctl_out_int(out, c->n);
		ctl_out_free(&out);
	} else {
		buf_put_char(&c->numbers, '\0');
		ctl_out_done(c->ctl, "%s - %s%s%s%s", result_names[c->worst], c->what, more, c->numbers.n > 1 ? " |" : "",
			     c->numbers.p);
	}
	buf_clear(&c->numbers);
	return (int)c->worst;
}

static int64_t span(struct ctl *ctl, const char *name)
{
	const char *text = ctl_option(ctl, name);
	int64_t value;

	if (text == NULL)
		return -1;
	if (!settings_units_parse(SETTINGS_DURATION, str_of(text), &value))
		ctl_usage(ctl, "%s: \"%s\" is no time such as 14d", name, text);
	return value / CLOCK_SECOND;
}

/* Whoever monitors knows four exit statuses, none of sysexits.h. */
static bool read_settings(struct check *c)
{
	struct settings_problems problems;
	bool ok = settings_read_file(c->ctl->config_path, &c->ctl->settings, &problems);

	if (!ok) {
		struct buf line = BUF_MAX(2048);

		if (problems.n > 0)
			settings_problem_format(&problems, 0, &line);
		found(c, UNKNOWN, 0, "%s cannot be used: %.*s", c->ctl->config_path, STR_ARG(buf_str(&line)));
		buf_clear(&line);
	}
	settings_problem_clear(&problems);
	c->settings = c->ctl->settings;
	return ok;
}

int ctl_cert_check_run(struct ctl *ctl)
{
	struct check c = {.ctl = ctl, .now = clock_wall() / CLOCK_SECOND, .numbers = BUF_MAX(LINE_MAX_OCTETS)};
	const char *hosts[HOSTS_MAX];
	unsigned n_hosts = 0;

	c.warning = span(ctl, "--warn");
	c.critical = span(ctl, "--critical");
	while (n_hosts < HOSTS_MAX && (hosts[n_hosts] = ctl_option(ctl, "--host")) != NULL)
		n_hosts++;
	ctl_end(ctl);
	if (read_settings(&c)) {
		look_at_disk(&c);
		look_at_renewals(&c);
		for (unsigned i = 0; i < n_hosts; i++)
			look_at_host(&c, hosts[i]);
	}
	return say(&c);
}
