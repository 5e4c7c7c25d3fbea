/* SPDX-License-Identifier: Apache-2.0
 *
 * smtp-proxyctl cert list, renew, revoke, rollover: what cert-renewer says of its certificates and is told to do
 * (cert-renewer/cert_control.c), beside what is on the disk.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ctl/ctl_cert_disk.h"
#include "ctl/ctl_control.h"
#include "ctl/ctl_out.h"
#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/settings/settings_certificate.h"

/* Between two looks at what is waited for, and how long beside what the DNS may take. */
static const struct timespec step = {0, 500 * 1000 * 1000};
enum { WHY_MOST = 1024 };
#define PATIENCE (15 * 60 * CLOCK_SECOND)

/* ---- asking ---- */

/* The object that cert-renewer answers, the caller's. NULL: it says nothing, or nothing but why not. */
static struct json_object *try(struct ctl *ctl, const char *line, char *why, size_t size)
{
	struct json_object *answers = ctl_control_ask_children(ctl, line);
	struct json_object *answer = ctl_control_part(json_object_array_get_idx(answers, 0), "answer");
	const char *error = ctl_control_text(answer, "error");

	snprintf(why, size, "%s%s", answer == NULL ? "cert-renewer gives no answer; smtp-proxyctl status shows whether it runs" : "", error);
	if (error[0] != '\0')
		answer = NULL;
	json_object_get(answer);
	json_object_put(answers);
	return answer;
}

static struct json_object *ask(struct ctl *ctl, const char *line)
{
	char why[WHY_MOST];
	struct json_object *answer = try(ctl, line, why, sizeof(why));

	if (answer == NULL)
		ctl_fail(EX_UNAVAILABLE, "%s", why);
	return answer;
}

/* Of the answer to "cert list"; NULL: it does not know that one. */
static struct json_object *one_of(struct json_object *answer, const char *key)
{
	struct json_object *all = ctl_control_part(answer, "certificates");

	for (size_t i = 0; json_object_is_type(all, json_type_array) && i < json_object_array_length(all); i++)
		if (strcmp(ctl_control_text(json_object_array_get_idx(all, i), "key"), key) == 0)
			return json_object_array_get_idx(all, i);
	return NULL;
}

/* ---- list ---- */

static const struct ctl_out_column columns[] = {
	{"key", "KEY"},
	{"names", "NAMES"},
	{"state", "STATE"},
	{"issuer", "ISSUER"},
	{"not_after", "VALID UNTIL"},
	{"days", "DAYS"},
	{"renew_at", "RENEW AT"},
	{"renew_why", "WHY"},
	{"last_error", "LAST ERROR"},
	{"from", NULL},
	{"challenge", NULL},
	{"serial", NULL},
	{"fingerprint", NULL},
	{"key_type", NULL},
	{"not_before", NULL},
	{"last_success", NULL},
	{"last_error_at", NULL},
	{"failures", NULL},
	{"next_try", NULL},
	{"ocsp", NULL},
	{"ocsp_until", NULL},
	{"backup", NULL},
};

/* Without the service, or of one that it does not look after. */
static const char *state_of(const struct ctl_cert_disk *disk, int64_t now)
{
	switch (disk->found) {
	case CTL_CERT_READ:
		return now >= disk->seen.not_after ? "expired" : now < disk->seen.not_before ? "not valid yet" : "valid";
	case CTL_CERT_MISSING:
		return "missing";
	case CTL_CERT_DENIED:
	case CTL_CERT_BAD:
		break;
	}
	return "unreadable";
}

static void put_seconds(struct ctl_out *out, struct json_object *one, const char *name)
{
	ctl_out_time(out, ctl_control_int(one, name) * CLOCK_SECOND);
}

/* What the certificate says, as far as there is one: "one" is cert-renewer's word, or NULL. */
static void put_certificate(struct ctl_out *out, const struct ctl_cert_disk *disk, struct json_object *one, int64_t now)
{
	const struct tls_certificate *seen = &disk->seen;
	int64_t not_after = one != NULL ? ctl_control_int(one, "not_after") : seen->not_after;
	struct tls_certificate ends = {.not_after = not_after};

	ctl_out_text(out, disk->key);
	if (disk->is_acme)
		ctl_out_str(out, settings_certificate_names(disk->settings));
	else
		ctl_out_text(out, seen->names);
	ctl_out_text(out, one != NULL ? ctl_control_text(one, "state") : state_of(disk, now));
	ctl_out_text(out, one != NULL ? ctl_control_text(one, "issuer") : seen->issuer);
	ctl_out_time(out, not_after * CLOCK_SECOND);
	if (not_after == 0)
		ctl_out_null(out);
	else
		ctl_out_int(out, ctl_cert_disk_days(&ends, now));
	put_seconds(out, one, "renew_at");
	ctl_out_text(out, ctl_control_text(one, "renew_why"));
	ctl_out_text(out, one != NULL ? ctl_control_text(one, "last_error") : disk->why);
}

static void put_rest(struct ctl_out *out, const struct ctl_cert_disk *disk, struct json_object *one)
{
	const struct tls_certificate *seen = &disk->seen;

	ctl_out_text(out, disk->is_acme ? "acme" : "files");
	ctl_out_text(out, ctl_control_text(one, "challenge"));
	ctl_out_text(out, one != NULL ? ctl_control_text(one, "serial") : seen->serial);
	ctl_out_text(out, one != NULL ? ctl_control_text(one, "fingerprint") : seen->fingerprint);
	ctl_out_text(out, one != NULL ? ctl_control_text(one, "key_type") : seen->key);
	ctl_out_time(out, (one != NULL ? ctl_control_int(one, "not_before") : seen->not_before) * CLOCK_SECOND);
	put_seconds(out, one, "last_success");
	put_seconds(out, one, "last_error_at");
	ctl_out_int(out, ctl_control_int(one, "failures"));
	put_seconds(out, one, "next_try");
	ctl_out_text(out, ctl_control_text(one, "ocsp"));
	put_seconds(out, one, "ocsp_until");
	ctl_out_text(out, ctl_control_text(one, "backup"));
}

/* NULL: nobody can be asked, or nobody looks after any. */
static struct json_object *list_of_the_service(struct ctl *ctl)
{
	char why[WHY_MOST] = "smtp-proxy gives no answer";
	struct json_object *status, *answer;

	if (!settings_certificate_has_acme(ctl_settings(ctl)))
		return NULL;
	status = ctl_control_try(ctl, "status");
	answer = status != NULL ? try(ctl, "cert list", why, sizeof(why)) : NULL;
	json_object_put(status);
	if (answer == NULL)
		ctl_warn("%s: this is what is on the disk", why);
	return answer;
}

int ctl_cert_list(struct ctl *ctl)
{
	const struct settings *s;
	struct json_object *answer;
	struct ctl_out *out;
	int64_t now = clock_wall() / CLOCK_SECOND;

	ctl_end(ctl);
	s = ctl_settings(ctl);
	answer = list_of_the_service(ctl);
	out = ctl_out_new(ctl, columns, sizeof(columns) / sizeof(columns[0]));
	for (size_t i = 0; i < ctl_cert_disk_count(s); i++) {
		struct json_object *one;
		struct ctl_cert_disk disk;

		ctl_cert_disk_read(s, i, &disk);
		one = disk.is_acme ? one_of(answer, disk.key) : NULL;
		put_certificate(out, &disk, one, now);
		put_rest(out, &disk, one);
	}
	ctl_out_free(&out);
	json_object_put(answer);
	return EX_OK;
}

/* ---- renew ---- */

static const char *acme_key(struct ctl *ctl)
{
	const char *key = ctl_argument(ctl, "the certificate's KEY");
	const struct settings *s;

	ctl_end(ctl);
	s = ctl_settings(ctl);
	for (size_t i = 0; i < s->n_certificate; i++) {
		if (strcmp(s->certificate[i].key, key) != 0)
			continue;
		if (s->certificate[i].from != CERTIFICATE_ACME)
			ctl_fail(EX_DATAERR, "%s comes from files: whoever made them renews it", key);
		return key;
	}
	ctl_fail(EX_DATAERR, "%s: the settings have no such certificate; smtp-proxyctl cert list shows them", key);
}

struct glimpse {
	char fingerprint[TLS_CERTIFICATE_FINGERPRINT], state[32], last_error[512];
	int64_t not_after, last_error_at, failures;
};

static void look(struct ctl *ctl, const char *key, struct glimpse *seen)
{
	struct json_object *answer = ask(ctl, "cert list"), *one = one_of(answer, key);

	if (one == NULL)
		ctl_fail(EX_UNAVAILABLE, "%s: the running service does not know it; smtp-proxyctl reload has it read its settings", key);
	*seen = (struct glimpse){
		.not_after = ctl_control_int(one, "not_after"),
		.last_error_at = ctl_control_int(one, "last_error_at"),
		.failures = ctl_control_int(one, "failures"),
	};
	snprintf(seen->fingerprint, sizeof(seen->fingerprint), "%s", ctl_control_text(one, "fingerprint"));
	snprintf(seen->state, sizeof(seen->state), "%s", ctl_control_text(one, "state"));
	snprintf(seen->last_error, sizeof(seen->last_error), "%s", ctl_control_text(one, "last_error"));
	json_object_put(answer);
}

static void say_renewed(const struct ctl *ctl, const char *key, const struct glimpse *now)
{
	time_t end = (time_t)now->not_after;
	char text[64] = "";
	struct tm tm;

	if (gmtime_r(&end, &tm) != NULL)
		strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm);
	ctl_out_done(ctl, "%s is renewed: it is valid until %s.", key, text);
}

/* Until there is another certificate, or a failure; the latter ends the program. */
static void wait_for(struct ctl *ctl, const char *key, const struct glimpse *before)
{
	int64_t until = clock_mono() + ctl_settings(ctl)->acme.dns_wait + PATIENCE;
	struct glimpse now;

	do {
		nanosleep(&step, NULL);
		look(ctl, key, &now);
		if (now.failures > before->failures || now.last_error_at > before->last_error_at)
			ctl_fail(EX_UNAVAILABLE, "%s: %s", key, now.last_error);
		if (strcmp(now.fingerprint, before->fingerprint) != 0) {
			say_renewed(ctl, key, &now);
			return;
		}
	} while (clock_mono() < until);
	ctl_fail(EX_TEMPFAIL, "%s is %s still; smtp-proxyctl cert list shows how it goes on", key, now.state);
}

static void tell(struct ctl *ctl, const char *words, const char *key, const char *more)
{
	char line[512];

	if (snprintf(line, sizeof(line), "%s%s%s%s%s", words, key[0] != '\0' ? " " : "", key, more[0] != '\0' ? " " : "", more) >=
	    (int)sizeof(line))
		ctl_usage(ctl, "that is too long");
	json_object_put(ask(ctl, line));
}

int ctl_cert_renew(struct ctl *ctl)
{
	bool is_patient = ctl_flag(ctl, "--wait");
	const char *key = acme_key(ctl);
	struct glimpse before;

	look(ctl, key, &before);
	tell(ctl, "cert renew", key, "");
	if (is_patient)
		wait_for(ctl, key, &before);
	else
		ctl_out_done(ctl, "%s is being renewed; smtp-proxyctl cert list shows how it goes.", key);
	return EX_OK;
}

/* ---- revoke, rollover ---- */

/* RFC 5280, 5.3.1, as far as an authority takes them from whom it gave the certificate (RFC 8555, 7.6). */
static const char *const reasons[] = {"unspecified", "keyCompromise", "affiliationChanged", "superseded", "cessationOfOperation"};

static const char *reason_of(struct ctl *ctl, const char *text)
{
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (strcmp(text, reasons[i]) == 0)
			return text;
	ctl_usage(ctl, "--reason: it is unspecified, keyCompromise, affiliationChanged, superseded or cessationOfOperation");
}

/* It cannot be taken back. */
static void make_sure(const struct ctl *ctl, const char *key)
{
	char answer[16] = "";

	if (!isatty(STDIN_FILENO))
		ctl_usage(ctl, "nothing was revoked: --yes says that it is meant");
	fprintf(stderr, "Revoke the certificate %s for good? Clients that look it up will refuse it. Type yes: ", key);
	if (fgets(answer, sizeof(answer), stdin) == NULL || strcmp(answer, "yes\n") != 0)
		ctl_fail(EX_NOPERM, "nothing was revoked");
}

int ctl_cert_revoke(struct ctl *ctl)
{
	bool is_sure = ctl_flag(ctl, "--yes");
	const char *reason = ctl_option(ctl, "--reason"), *key;

	reason = reason_of(ctl, reason != NULL ? reason : "unspecified");
	key = acme_key(ctl);
	if (!is_sure)
		make_sure(ctl, key);
	tell(ctl, "cert revoke", key, reason);
	ctl_out_done(ctl, "%s is being revoked, and replaced; smtp-proxyctl cert list shows how it goes.", key);
	return EX_OK;
}

int ctl_cert_rollover(struct ctl *ctl)
{
	ctl_end(ctl);
	tell(ctl, "cert rollover", "", "");
	ctl_out_done(ctl, "The account at the authority gets another key; the log says when it has it.");
	return EX_OK;
}
