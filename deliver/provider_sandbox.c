/* SPDX-License-Identifier: Apache-2.0
 *
 * Sends nothing, and answers by the recipients' addresses: for tenants and users in test mode, whatever their provider
 * is, and as a provider of its own for a whole staging host. What stands before the @ (and before a +) decides:
 *
 *	permanent	refused for good, 550 5.1.1
 *	transient	refused for now, 451 4.2.0
 *	timeout		the call's outcome stays unknown, as if no answer had come
 *	throttled	429 with Retry-After 1, for the whole call
 *	bounce-later	taken; some seconds later it is known that it came back
 *	anything else	taken
 *
 * Nothing of it counts towards the health of the provider that it stands for.
 */
#include <stdio.h>

#include "deliver/provider.h"

enum { RETRY_AFTER = 1 };

static const struct fate {
	const char *word;
	enum ipc_outcome_class class;
	uint32_t code;
	const char *status, *reason;
} fates[] = {
	{"permanent", IPC_OUTCOME_PERMANENT, 550, "5.1.1", "test mode: no such recipient"},
	{"transient", IPC_OUTCOME_TRANSIENT, 451, "4.2.0", "test mode: try again later"},
	{"timeout", IPC_OUTCOME_UNKNOWN, 0, "4.4.2", "test mode: no answer came"},
	{"throttled", IPC_OUTCOME_TRANSIENT, 429, "4.7.0", "test mode: too many calls"},
	{"bounce-later", IPC_OUTCOME_SENT, 550, "5.1.1", "test mode: it was taken, and came back"},
};

/* NULL: it is taken, and nothing more is heard of it. */
static const struct fate *fate_of(struct str recipient)
{
	struct str local = str_first(recipient, str_find(recipient, '@'));

	local = str_first(local, str_find(local, '+'));
	for (size_t i = 0; i < sizeof(fates) / sizeof(fates[0]); i++)
		if (str_ieq(local, str_of(fates[i].word)))
			return &fates[i];
	return NULL;
}

static bool is_of_the_call(const struct fate *fate)
{
	return fate != NULL && (fate->class == IPC_OUTCOME_UNKNOWN || fate->code == 429);
}

static bool is_taken(const struct fate *fate)
{
	return fate == NULL || fate->class == IPC_OUTCOME_SENT;
}

static void answer(const struct ipc_message *message, struct provider_verdict *verdict)
{
	const struct fate *whole = fate_of(message->recipients[0]);
	char id[UUID_TEXT];

	for (unsigned i = 1; i < message->n_recipients; i++) {
		const struct fate *fate = fate_of(message->recipients[i]);

		if (is_of_the_call(fate))
			whole = fate;
		else if (is_taken(fate) && !is_of_the_call(whole))
			whole = NULL;
	}
	if (is_taken(whole))
		whole = NULL;
	if (whole != NULL)
		provider_verdict_set(verdict, whole->class, whole->code, whole->status, "%s", whole->reason);
	else
		provider_verdict_set(verdict, IPC_OUTCOME_SENT, 250, "2.0.0", "test mode: taken");
	if (whole == NULL)
		snprintf(verdict->provider_id, sizeof(verdict->provider_id), "test-%s", uuid_format(&message->id, id));
	if (whole != NULL && whole->code == 429)
		verdict->retry_after = RETRY_AFTER;
}

static void deliver(const struct settings_provider *settings, int directory, const struct ipc_message *message,
		    struct provider_verdict *verdict)
{
	(void)settings, (void)directory;
	answer(message, verdict);
	for (unsigned i = 0; i < message->n_recipients; i++) {
		const struct fate *fate = fate_of(message->recipients[i]);

		if (fate == NULL || is_of_the_call(fate))
			continue;
		if (is_taken(fate) ? verdict->class == IPC_OUTCOME_SENT : fate->class != verdict->class)
			provider_verdict_refuse(verdict, i, fate->class, fate->code, fate->status, "%s", fate->reason);
	}
	verdict->about = IPC_ABOUT_NOTHING;
}

const struct provider provider_sandbox = {.type = "sandbox", .deliver = deliver};
