/* SPDX-License-Identifier: Apache-2.0
 *
 * What answers do to the providers that are spoken to by HTTP, all of them. The input is a status (16 bits), the value of
 * every header that is asked for up to the first line end, and the body. The verdict must be fit to be logged and stored;
 * with SendGrid a status alone decides its class.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "deliver/provider.h"
#include "lib/base/trouble.h"

enum { RECIPIENTS = 3 };

static struct str header_of(const void *ctx, const char *name)
{
	const struct str *value = ctx;

	(void)name;
	return *value;
}

static void check_refusals(struct str refusals)
{
	struct reader r = reader_of(refusals);
	struct ipc_refusal refusal;
	unsigned next = 0;

	while (ipc_get_refusal(&r, &refusal)) {
		must(refusal.recipient >= next && refusal.recipient < RECIPIENTS);
		must(refusal.class == IPC_OUTCOME_TRANSIENT || refusal.class == IPC_OUTCOME_PERMANENT);
		next = refusal.recipient + 1U;
	}
	must(!r.is_bad);
}

static enum ipc_outcome_class classify(const struct provider *provider, const struct provider_answer *answer)
{
	struct provider_verdict verdict;

	provider->classify(answer, &verdict);
	must(verdict.class < IPC_OUTCOME_CLASSES && verdict.about < IPC_ABOUTS);
	must(verdict.code == answer->status && verdict.retry_after <= 86400 && verdict.rate.reset <= 86400);
	must(memchr(verdict.reason, '\0', sizeof(verdict.reason)) != NULL && verdict.reason[0] != '\0');
	must(str_is_utf8(str_of(verdict.reason)));
	for (const char *p = verdict.reason; *p != '\0'; p++)
		must((unsigned char)*p >= ' ' && *p != 0x7f);
	must(memchr(verdict.provider_id, '\0', sizeof(verdict.provider_id)) != NULL);
	must(verdict.class == IPC_OUTCOME_SENT || verdict.provider_id[0] == '\0');
	/* Of a call that was taken; or of one that goes again without those who were to blame. */
	must(verdict.class == IPC_OUTCOME_SENT || verdict.class == IPC_OUTCOME_TRANSIENT || verdict.refusals.n == 0);
	must(verdict.class != IPC_OUTCOME_SENT || (answer->status >= 200 && answer->status < 300));
	check_refusals(buf_str(&verdict.refusals));
	provider_verdict_clear(&verdict);
	return verdict.class;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct str kept[] = {{"", 0}, {"0 1 2 ", 6}, {"b@b\nc@c\nd@d\n", 12}};
	struct reader r = reader_of(str_bytes(data, size));
	unsigned status = reader_u16(&r);
	struct str rest = str_bytes(r.p, r.n), header = str_first(rest, str_find(rest, '\n'));
	struct provider_answer answer = {.status = status, .body = str_from(rest, header.n + 1), .header = header_of,
					 .header_ctx = &header, .now = 1600000000000000};
	enum ipc_outcome_class class;

	if (r.is_bad)
		return 0;
	for (int type = 0; type < PROVIDER_TYPES; type++) {
		if (provider_of(type)->classify == NULL)
			continue;
		for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
			answer.kept = kept[i];
			classify(provider_of(type), &answer);
		}
	}
	class = classify(&provider_sendgrid, &answer);
	answer.body = STR("");
	must(classify(&provider_sendgrid, &answer) == class);
	return 0;
}
