/* SPDX-License-Identifier: Apache-2.0
 *
 * smtp-proxyctl tls status: what every worker shows its clients, and who is still on what it showed before
 * (smtpd/smtpd_tls.c answers).
 */
#include <json-c/json.h>

#include "ctl/ctl_control.h"
#include "ctl/ctl_out.h"
#include "lib/base/clock.h"

static const struct ctl_out_column columns[] = {
	{"slot", "WORKER"},	{"state", "STATE"},    {"names", "NAMES"},	    {"serial", "SERIAL"},
	{"key", "KEY"},		{"not_after", "VALID UNTIL"}, {"ocsp", "OCSP"},	    {"sessions", "SESSIONS"},
	{"ticket_key_made_at", "TICKET KEY OF"}, {"subject", NULL}, {"fingerprint", NULL}, {"ocsp_until", NULL},
};

static void show_certificate(struct ctl_out *out, int64_t slot, const char *state, struct json_object *c,
			     struct json_object *worker)
{
	ctl_out_int(out, slot);
	ctl_out_text(out, state);
	ctl_out_text(out, ctl_control_text(c, "names"));
	ctl_out_text(out, ctl_control_text(c, "serial"));
	ctl_out_text(out, ctl_control_text(c, "key"));
	ctl_out_time(out, ctl_control_int(c, "not_after") * CLOCK_SECOND);
	ctl_out_text(out, ctl_control_text(c, "ocsp"));
	ctl_out_int(out, ctl_control_int(c, "sessions"));
	ctl_out_time(out, ctl_control_int(worker, "ticket_key_made_at") * CLOCK_SECOND);
	ctl_out_text(out, ctl_control_text(c, "subject"));
	ctl_out_text(out, ctl_control_text(c, "fingerprint"));
	ctl_out_time(out, ctl_control_int(c, "ocsp_until") * CLOCK_SECOND);
}

static void show_all(struct ctl_out *out, int64_t slot, struct json_object *worker, const char *part)
{
	struct json_object *all = ctl_control_part(worker, part);

	if (!json_object_is_type(all, json_type_array))
		return;
	for (size_t i = 0; i < json_object_array_length(all); i++) {
		struct json_object *c = json_object_array_get_idx(all, i);
		const char *state = ctl_control_bool(c, "fallback") ? "fallback" : part[0] == 'o' ? "replaced" : "in use";

		show_certificate(out, slot, state, c, worker);
	}
}

static void show_worker(struct ctl_out *out, struct json_object *one)
{
	struct json_object *worker = ctl_control_part(one, "answer");
	int64_t slot = ctl_control_int(one, "slot");

	if (worker == NULL) {
		show_certificate(out, slot, "no answer", NULL, NULL);
		return;
	}
	show_all(out, slot, worker, "certificates");
	show_all(out, slot, worker, "old");
}

int ctl_tls_status(struct ctl *ctl)
{
	struct json_object *answers;
	struct ctl_out *out;

	ctl_end(ctl);
	answers = ctl_control_ask_children(ctl, "tls status");
	out = ctl_out_new(ctl, columns, sizeof(columns) / sizeof(columns[0]));
	for (size_t i = 0; i < json_object_array_length(answers); i++)
		show_worker(out, json_object_array_get_idx(answers, i));
	ctl_out_free(&out);
	json_object_put(answers);
	return EX_OK;
}
