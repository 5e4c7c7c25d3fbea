/* SPDX-License-Identifier: Apache-2.0
 *
 * smtp-proxyctl doctor: certificates. On the disk; what cert-renewer says; whether an authority's question would come through
 * to it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <json-c/json.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "ctl/ctl_cert_disk.h"
#include "ctl/ctl_control.h"
#include "ctl/ctl_doctor.h"
#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/settings/settings_certificate.h"

/* ---- on the disk ---- */

/* cert-renewer's user, or whoever started a service without users of its own. */
static bool is_owner_good(const struct ctl_doctor *d, uid_t owner)
{
	const struct passwd *renewer = getpwnam("_sp-cert-renewer");
	struct stat state;

	return owner == geteuid() || (renewer != NULL && owner == renewer->pw_uid) ||
	       (stat(d->settings->instance.state_dir, &state) == 0 && owner == state.st_uid);
}

/* Whoever has the key can pass for us. */
static void look_at_key(struct ctl_doctor *d, const struct ctl_cert_disk *disk)
{
	bool is_foreign = disk->is_acme && !is_owner_good(d, disk->st.st_uid);
	const char *path = disk->path;

	if (!disk->is_acme)
		path = disk->settings == NULL ? d->settings->tls.key_file : disk->settings->key_file;
	if (path[0] == '\0')
		path = disk->path;
	if (is_foreign)
		ctl_doctor_say(d, CTL_DOCTOR_ERROR, "tls.key", "chown _sp-cert-renewer", "%s belongs to another user: it is not used",
			       path);
	else
		ctl_doctor_secret(d, "tls.key", path, &disk->st);
}

static void look_at_one(struct ctl_doctor *d, const struct ctl_cert_disk *disk)
{
	const char *advice = disk->is_acme ? "smtp-proxyctl cert list says what is in the way" : "renew it, then smtp-proxyctl reload";
	int64_t now = clock_wall() / CLOCK_SECOND, days;
	bool is_short;

	if (disk->found == CTL_CERT_MISSING || disk->found == CTL_CERT_DENIED) {
		ctl_doctor_say(d, CTL_DOCTOR_WARNING, "tls.certificate",
			       disk->found == CTL_CERT_DENIED ? "ask as root, or as whoever started the service" : advice, "%s: %s",
			       disk->key, disk->why);
		return;
	}
	if (disk->found == CTL_CERT_BAD) {
		ctl_doctor_say(d, CTL_DOCTOR_ERROR, "tls.certificate", disk->is_acme ? advice : "correct the setting, or the file", "%s",
			       disk->why);
		return;
	}
	look_at_key(d, disk);
	days = ctl_cert_disk_days(&disk->seen, now);
	is_short = disk->seen.not_after - now < ctl_cert_disk_limits(&disk->seen).warning;
	if (disk->seen.not_after <= now || disk->seen.not_before > now)
		ctl_doctor_say(d, CTL_DOCTOR_ERROR, "tls.certificate", advice, "%s (%s): %s", disk->path, disk->seen.names,
			       disk->seen.not_after <= now ? "it has expired" : "it is not valid yet");
	else
		ctl_doctor_say(d, is_short ? CTL_DOCTOR_WARNING : CTL_DOCTOR_OK, "tls.certificate", is_short ? advice : "",
			       "%s (%s): valid for %lld days more", disk->path, disk->seen.names, (long long)days);
}

/* What is needed at a renewal or a failure only, which may be months away. */
static void look_at_named(struct ctl_doctor *d, const char *setting, const char *path, bool is_program)
{
	const char *trouble = NULL;
	struct stat st;

	if (path[0] == '\0')
		return;
	if (stat(path, &st) < 0)
		trouble = strerror(errno);
	else if (is_program && (!S_ISREG(st.st_mode) || (st.st_mode & 0111) == 0))
		trouble = "it is no program that can be run";
	else if (is_program && (st.st_mode & 022) != 0)
		trouble = "others may change it";
	else if (!is_program && !S_ISDIR(st.st_mode))
		trouble = "it is no directory";
	ctl_doctor_say(d, trouble != NULL ? CTL_DOCTOR_ERROR : CTL_DOCTOR_OK, "cert.files",
		       trouble != NULL ? "correct it, or the setting" : "", "%s %s%s%s", setting, path, trouble != NULL ? ": " : "",
		       trouble != NULL ? trouble : "");
}

void ctl_doctor_cert_look(struct ctl_doctor *d)
{
	const struct settings *s = d->settings;

	for (size_t i = 0; i < ctl_cert_disk_count(d->settings); i++) {
		struct ctl_cert_disk disk;

		ctl_cert_disk_read(d->settings, i, &disk);
		look_at_one(d, &disk);
	}
	if (!settings_certificate_has_acme(s))
		return;
	look_at_named(d, "acme.dns_hook", s->acme.dns_hook, true);
	look_at_named(d, "alerts.command", s->alerts.command, true);
	look_at_named(d, "acme.webroot", s->acme.webroot, false);
}

/* ---- what cert-renewer says ---- */

static void look_at_renewal(struct ctl_doctor *d, struct json_object *one)
{
	const char *key = ctl_control_text(one, "key"), *error = ctl_control_text(one, "last_error");
	int64_t failures = ctl_control_int(one, "failures");

	if (failures > 0)
		ctl_doctor_say(d, failures < d->settings->alerts.after ? CTL_DOCTOR_WARNING : CTL_DOCTOR_ERROR, "cert.renewal",
			       "tls-certificates.md has what such words mean; then smtp-proxyctl cert renew KEY",
			       "%s failed %lld times in a row: %s", key, (long long)failures, error);
	else
		ctl_doctor_say(d, CTL_DOCTOR_OK, "cert.renewal", "", "%s is %s", key, ctl_control_text(one, "state"));
	if (strcmp(ctl_control_text(one, "backup"), "failing") == 0)
		ctl_doctor_say(d, CTL_DOCTOR_WARNING, "cert.backup", "the log says why; see acme.backup_directory and acme.backup_s3",
			       "%s could not be copied", key);
	if (strcmp(ctl_control_text(one, "ocsp"), "expired") == 0)
		ctl_doctor_say(d, CTL_DOCTOR_WARNING, "cert.ocsp", "the log says why; can this host reach the authority's responder?",
			       "%s has no OCSP response that is good", key);
}

static void look_at_renewals(struct ctl_doctor *d)
{
	struct json_object *answers = ctl_control_ask_children(d->ctl, "cert list");
	struct json_object *answer = ctl_control_part(json_object_array_get_idx(answers, 0), "answer");
	struct json_object *all = ctl_control_part(answer, "certificates");

	if (!json_object_is_type(all, json_type_array))
		ctl_doctor_say(d, CTL_DOCTOR_WARNING, "cert.renewal", "smtp-proxyctl status shows whether cert-renewer runs",
			       "cert-renewer tells of no certificate");
	for (size_t i = 0; json_object_is_type(all, json_type_array) && i < json_object_array_length(all); i++)
		look_at_renewal(d, json_object_array_get_idx(all, i));
	json_object_put(answers);
}

/* ---- what workers show ---- */

static bool is_shown(struct json_object *worker, const char *fingerprint)
{
	struct json_object *shown = ctl_control_part(worker, "certificates");

	for (size_t i = 0; json_object_is_type(shown, json_type_array) && i < json_object_array_length(shown); i++)
		if (strcmp(ctl_control_text(json_object_array_get_idx(shown, i), "fingerprint"), fingerprint) == 0)
			return true;
	return false;
}

/* Whoever gives no answer has been complained about already. */
static void look_at_workers(struct ctl_doctor *d)
{
	struct json_object *answers = ctl_control_ask_children(d->ctl, "tls status");
	size_t workers = json_object_array_length(answers);

	for (size_t i = 0; i < ctl_cert_disk_count(d->settings); i++) {
		struct ctl_cert_disk disk;
		unsigned without = 0;

		ctl_cert_disk_read(d->settings, i, &disk);
		for (size_t k = 0; disk.found == CTL_CERT_READ && k < workers; k++) {
			struct json_object *worker = ctl_control_part(json_object_array_get_idx(answers, k), "answer");

			without += worker != NULL && !is_shown(worker, disk.seen.fingerprint);
		}
		if (without > 0)
			ctl_doctor_say(d, CTL_DOCTOR_WARNING, "tls.served", "smtp-proxyctl reload; then smtp-proxyctl cert status, and the log",
				       "%s: %u of %zu workers do not serve what is on the disk", disk.key, without, workers);
		else if (disk.found == CTL_CERT_READ)
			ctl_doctor_say(d, CTL_DOCTOR_OK, "tls.served", "", "%s: %zu workers serve it", disk.key, workers);
	}
	json_object_put(answers);
}

/* ---- the way of an authority's question, from here on ---- */

/* Where the port is reached from this host. */
static socklen_t place(const struct settings *s, struct sockaddr_storage *out)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
	struct in6_addr address;

	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET6, s->acme.http_address, &address) == 1 && memcmp(&address, &in6addr_any, sizeof(address)) != 0) {
		*v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = address, .sin6_port = htons((uint16_t)s->acme.http_port)};
		return sizeof(*v6);
	}
	*v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)s->acme.http_port)};
	if (inet_pton(AF_INET, s->acme.http_address, &v4->sin_addr) != 1 || v4->sin_addr.s_addr == INADDR_ANY)
		v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return sizeof(*v4);
}

/* The status that is answered, 0 for anything else; -1: nobody is there, errno says why. */
static int ask_for_challenge(const struct settings *s)
{
	static const char request[] = "GET /.well-known/acme-challenge/smtp-proxyctl-doctor HTTP/1.1\r\nHost: localhost\r\n"
				      "Connection: close\r\n\r\n";
	const struct timeval patience = {5, 0};
	struct sockaddr_storage address;
	socklen_t n = place(s, &address);
	int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char answer[] = "HTTP/1.1 404";
	uint64_t status = 0;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
	    connect(fd, (struct sockaddr *)&address, n) < 0) {
		fd_close(&fd);
		return -1;
	}
	if (send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) != (ssize_t)sizeof(request) - 1 ||
	    recv(fd, answer, sizeof(answer) - 1, MSG_WAITALL) != (ssize_t)sizeof(answer) - 1 ||
	    !str_starts(str_of(answer), STR("HTTP/1.")) || !str_u64(str_from(str_of(answer), 9), 100, 599, &status))
		status = 0;
	fd_close(&fd);
	return (int)status;
}

static void look_at_port(struct ctl_doctor *d)
{
	const char *advice = "the log says why (master.challenge.no_port, master.settings.restart_needed); who has the port: "
			     "ss -ltnp";
	int port = (int)d->settings->acme.http_port, status;

	if (!settings_certificate_wants_port(d->settings, CHALLENGE_HTTP_01) || port == 0)
		return;
	errno = 0;
	status = ask_for_challenge(d->settings);
	if (status < 0)
		ctl_doctor_say(d, CTL_DOCTOR_ERROR, "cert.http_port", advice, "port %d (acme.http_port): %s", port, strerror(errno));
	else if (status != 404)
		ctl_doctor_say(d, CTL_DOCTOR_WARNING, "cert.http_port", advice,
			       "port %d (acme.http_port): another program seems to answer there (HTTP status %d)", port, status);
	else
		ctl_doctor_say(d, CTL_DOCTOR_OK, "cert.http_port", "", "port %d answers challenges", port);
}

void ctl_doctor_cert_ask(struct ctl_doctor *d)
{
	look_at_workers(d);
	if (!settings_certificate_has_acme(d->settings))
		return;
	look_at_renewals(d);
	look_at_port(d);
}
