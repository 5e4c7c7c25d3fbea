/* SPDX-License-Identifier: Apache-2.0
 *
 * smtp-proxyctl cert status: does every worker show its clients what is on the disk? (smtpd/smtpd_tls.c tells what it shows.)
 */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "ctl/ctl_cert_disk.h"
#include "ctl/ctl_control.h"
#include "ctl/ctl_out.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"

enum { DIFFERS = 1 };

static const struct ctl_out_column columns[] = {
	{"key", "KEY"},	      {"serial", "SERIAL"},	      {"not_after", "VALID UNTIL"}, {"slot", "WORKER"},
	{"result", "RESULT"}, {"is_served", NULL}, {"fingerprint", NULL},    {"shown_fingerprint", NULL},
};

struct comparison {
	struct ctl_out *out;
	const struct ctl_cert_disk *disk;
	size_t n;
	bool differs;
};

static bool is_on_disk(const struct comparison *c, const char *fingerprint)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->disk[i].found == CTL_CERT_READ && strcmp(c->disk[i].seen.fingerprint, fingerprint) == 0)
			return true;
	return false;
}

static struct json_object *at(struct json_object *shown, size_t i)
{
	return json_object_array_get_idx(shown, i);
}

static size_t count(struct json_object *shown)
{
	return json_object_is_type(shown, json_type_array) ? json_object_array_length(shown) : 0;
}

/* What the worker shows in its place: the same, or else an earlier one for the same names; NULL: nothing. */
static struct json_object *counterpart(const struct comparison *c, const struct ctl_cert_disk *disk, struct json_object *shown)
{
	for (size_t i = 0; i < count(shown); i++)
		if (strcmp(ctl_control_text(at(shown, i), "fingerprint"), disk->seen.fingerprint) == 0)
			return at(shown, i);
	for (size_t i = 0; i < count(shown); i++)
		if (strcmp(ctl_control_text(at(shown, i), "names"), disk->seen.names) == 0 &&
		    !is_on_disk(c, ctl_control_text(at(shown, i), "fingerprint")))
			return at(shown, i);
	return NULL;
}

/* slot -1: of no worker. */
static void put(struct comparison *c, const char *key, const struct tls_certificate *seen, int64_t slot, bool is_served,
		const char *result, const char *shown_fingerprint)
{
	ctl_out_text(c->out, key);
	ctl_out_text(c->out, seen == NULL ? "" : seen->serial);
	ctl_out_time(c->out, seen == NULL ? 0 : seen->not_after * CLOCK_SECOND);
	if (slot < 0)
		ctl_out_null(c->out);
	else
		ctl_out_int(c->out, slot);
	ctl_out_text(c->out, result);
	ctl_out_bool(c->out, is_served);
	ctl_out_text(c->out, seen == NULL ? "" : seen->fingerprint);
	ctl_out_text(c->out, shown_fingerprint);
	c->differs |= !is_served;
}

static void compare_one(struct comparison *c, const struct ctl_cert_disk *disk, int64_t slot, struct json_object *shown)
{
	struct json_object *other = counterpart(c, disk, shown);
	const char *fingerprint = ctl_control_text(other, "fingerprint");
	bool is_served = strcmp(fingerprint, disk->seen.fingerprint) == 0;
	char result[128];

	if (other == NULL)
		snprintf(result, sizeof(result), "does not serve it");
	else if (is_served)
		snprintf(result, sizeof(result), "serves it");
	else
		snprintf(result, sizeof(result), "serves another: %s", ctl_control_text(other, "serial"));
	put(c, disk->key, &disk->seen, slot, is_served, result, fingerprint);
}

/* What the disk has nothing of: the placeholder; one that was taken out of the settings. */
static void put_strangers(struct comparison *c, int64_t slot, struct json_object *shown)
{
	for (size_t i = 0; i < count(shown); i++) {
		const char *fingerprint = ctl_control_text(at(shown, i), "fingerprint"), *names = ctl_control_text(at(shown, i), "names");
		bool is_shown_instead = is_on_disk(c, fingerprint);
		char result[768];

		for (size_t k = 0; k < c->n && !is_shown_instead; k++)
			is_shown_instead = c->disk[k].found == CTL_CERT_READ && strcmp(c->disk[k].seen.names, names) == 0;
		if (is_shown_instead)
			continue;
		snprintf(result, sizeof(result), "serves %s for %s, which is not on the disk", ctl_control_text(at(shown, i), "serial"),
			 names[0] != '\0' ? names : ctl_control_text(at(shown, i), "subject"));
		put(c, "", NULL, slot, false, result, fingerprint);
	}
}

static void compare_worker(struct comparison *c, struct json_object *one)
{
	struct json_object *worker = ctl_control_part(one, "answer"), *shown = ctl_control_part(worker, "certificates");
	int64_t slot = ctl_control_int(one, "slot");

	if (worker == NULL) {
		put(c, "", NULL, slot, false, "gives no answer", "");
		return;
	}
	for (size_t i = 0; i < c->n; i++)
		if (c->disk[i].found == CTL_CERT_READ)
			compare_one(c, &c->disk[i], slot, shown);
	put_strangers(c, slot, shown);
}

int ctl_cert_status_show(struct ctl *ctl)
{
	struct json_object *answers;
	struct ctl_cert_disk *disk;
	struct comparison c = {.differs = false};
	const struct settings *s;

	ctl_end(ctl);
	s = ctl_settings(ctl);
	c.n = ctl_cert_disk_count(s);
	disk = mem_array(c.n, sizeof(*disk));
	for (size_t i = 0; i < c.n; i++) {
		ctl_cert_disk_read(s, i, &disk[i]);
		if (disk[i].found == CTL_CERT_DENIED)
			ctl_fail(EX_NOPERM, "%s", disk[i].why);
	}
	c.disk = disk;
	answers = ctl_control_ask_children(ctl, "tls status");
	c.out = ctl_out_new(ctl, columns, sizeof(columns) / sizeof(columns[0]));
	for (size_t i = 0; i < c.n; i++)
		if (disk[i].found != CTL_CERT_READ)
			put(&c, disk[i].key, NULL, -1, false, disk[i].why, "");
	for (size_t i = 0; i < json_object_array_length(answers); i++)
		compare_worker(&c, json_object_array_get_idx(answers, i));
	ctl_out_free(&c.out);
	json_object_put(answers);
	mem_free(&disk);
	return c.differs ? DIFFERS : EX_OK;
}
