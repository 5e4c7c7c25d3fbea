/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of deliver/provider_sandbox.c.
 */
#include "deliver/provider.h"
#include "tests/support/unit.h"

static struct provider_verdict deliver(const char *const *addresses)
{
	struct str recipients[8];
	struct settings_provider settings = {.key = "p", .type = PROVIDER_SENDGRID};
	struct ipc_message message = {.recipients = recipients, .content = STR("\r\n")};
	struct provider_verdict verdict;

	for (; addresses[message.n_recipients] != NULL; message.n_recipients++)
		recipients[message.n_recipients] = str_of(addresses[message.n_recipients]);
	provider_sandbox.deliver(&settings, -1, &message, &verdict);
	return verdict;
}

static void the_address_decides(void)
{
	static const struct {
		const char *recipients[5];
		enum ipc_outcome_class class;
		const char *refusals; /* index and class of each */
	} cases[] = {
		{{"a@b"}, IPC_OUTCOME_SENT, ""},
		{{"permanently@b", "x@permanent"}, IPC_OUTCOME_SENT, ""},
		{{"permanent@b"}, IPC_OUTCOME_PERMANENT, ""},
		{{"Permanent+tag@b"}, IPC_OUTCOME_PERMANENT, ""},
		{{"transient@b"}, IPC_OUTCOME_TRANSIENT, ""},
		{{"timeout@b"}, IPC_OUTCOME_UNKNOWN, ""},
		{{"throttled@b"}, IPC_OUTCOME_TRANSIENT, ""},
		{{"a@b", "permanent@b", "c@b", "transient@b"}, IPC_OUTCOME_SENT, "1 permanent 3 transient "},
		{{"permanent@b", "a@b"}, IPC_OUTCOME_SENT, "0 permanent "},
		{{"permanent@b", "transient@b"}, IPC_OUTCOME_PERMANENT, "1 transient "},
		{{"transient@b", "permanent@b"}, IPC_OUTCOME_TRANSIENT, "1 permanent "},
		{{"a@b", "timeout@b", "permanent@b"}, IPC_OUTCOME_UNKNOWN, "2 permanent "},
		{{"throttled@b", "a@b"}, IPC_OUTCOME_TRANSIENT, ""},
		{{"bounce-later@b"}, IPC_OUTCOME_SENT, "0 sent "},
		{{"permanent@b", "bounce-later+x@b", "a@b"}, IPC_OUTCOME_SENT, "0 permanent 1 sent "},
		{{"bounce-later@b", "transient@b"}, IPC_OUTCOME_SENT, "0 sent 1 transient "},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct provider_verdict verdict = deliver(cases[i].recipients);
		struct reader refusals = reader_of(buf_str(&verdict.refusals));
		struct buf told = BUF_MAX(100);
		struct ipc_refusal f;

		while (ipc_get_refusal(&refusals, &f))
			buf_printf(&told, "%u %s ", f.recipient, ipc_outcome_class_name(f.class));
		UNIT_INT(verdict.class, cases[i].class);
		UNIT_TRUE(reader_is_done(&refusals));
		UNIT_STR(buf_str(&told), cases[i].refusals);
		UNIT_INT(verdict.about, IPC_ABOUT_NOTHING);
		UNIT_INT(verdict.provider_id[0] != '\0', verdict.class == IPC_OUTCOME_SENT);
		buf_clear(&told);
		provider_verdict_clear(&verdict);
	}
}

UNIT_TESTS({"the address decides", the_address_decides})
