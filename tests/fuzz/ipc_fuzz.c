/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames from a process that was taken over: the head, then the body as whatever its type says. The first
 * byte of the input picks who talks to whom and how many descriptors came.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "lib/ipc/ipc.h"
#include "lib/ipc/ipc_body.h"
#include "lib/settings/settings_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct str recipients[IPC_RECIPIENTS_MAX];

/* Looks at every byte of a text, so that a bad pointer is noticed. */
static void touch(struct str s)
{
	unsigned char all = 0;

	for (size_t i = 0; i < s.n; i++)
		all |= (unsigned char)s.p[i];
	__asm__ volatile("" : : "r"(all)); /* the compiler may not leave it out */
}

static void touch_message(const struct ipc_message *m)
{
	touch(m->session);
	touch(m->client);
	touch(m->helo);
	touch(m->mail_from);
	for (unsigned i = 0; i < m->n_recipients; i++)
		touch(m->recipients[i]);
	touch(m->content);
}

static void read_auth(struct reader *r)
{
	struct ipc_auth a;

	if (ipc_get_auth(r, &a)) {
		touch(a.user);
		touch(a.password);
	}
}

static void read_outcome(struct reader *r)
{
	struct ipc_outcome o;

	if (ipc_get_outcome(r, &o)) {
		touch(o.provider_id);
		touch(o.reason);
		if (ipc_outcome_class_name(o.class)[0] == '\0')
			abort();
	}
}

static void read_settings(struct reader *r)
{
	struct err err;
	struct settings *s = settings_wire_get(str_bytes(r->p, r->n), &err);

	settings_free(&s);
}

/* What cert-renewer says, which speaks to anybody on port 80; and is told. */
static void read_of_renewer(enum ipc_type type, struct reader *r)
{
	struct ipc_share_result answer;
	struct ipc_run_result end;
	struct ipc_share share;
	struct ipc_run run;

	if (type == IPC_SHARE && ipc_get_share(r, &share)) {
		touch(share.name);
		touch(share.value);
	} else if (type == IPC_SHARE_RESULT && ipc_get_share_result(r, &answer)) {
		touch(answer.value);
	} else if (type == IPC_RUN_RESULT && ipc_get_run_result(r, &end)) {
		touch(end.output);
	} else if (type == IPC_RUN && ipc_get_run(r, &run)) {
		for (unsigned i = 0; i < run.n; i++)
			touch(run.argument[i]);
	}
}

static void read_rest(enum ipc_type type, struct reader *r)
{
	struct ipc_auth_result auth;
	struct ipc_submit_result submit;
	struct ipc_attempt attempt;
	struct ipc_message message;
	struct ipc_job job;

	if (type == IPC_AUTH_RESULT && ipc_get_auth_result(r, &auth))
		touch(auth.tenant_name);
	else if (type == IPC_SUBMIT_RESULT && ipc_get_submit_result(r, &submit))
		touch(submit.reason);
	else if ((type == IPC_SUBMIT || type == IPC_SUBMIT_AGAIN) && ipc_get_message(r, &message, recipients))
		touch_message(&message);
	else if (type == IPC_JOB && ipc_get_job(r, &job, recipients))
		touch_message(&job.message);
	else if (type == IPC_RUNNING || type == IPC_OUTCOME_STORED)
		ipc_get_attempt(r, &attempt);
	else
		read_of_renewer(type, r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ipc_frame frame = {.fd = -1};
	enum role from, to;

	if (size < 1)
		return 0;
	from = data[0] % ROLE_COUNT;
	to = data[0] / ROLE_COUNT % ROLE_COUNT;
	if (!ipc_parse(str_bytes(data + 1, size - 1), data[0] >> 7, from, to, &frame))
		return 0;
	if (frame.type == IPC_AUTH)
		read_auth(&frame.body);
	else if (frame.type == IPC_OUTCOME)
		read_outcome(&frame.body);
	else if (frame.type == IPC_SETTINGS)
		read_settings(&frame.body);
	else
		read_rest(frame.type, &frame.body);
	return 0;
}
