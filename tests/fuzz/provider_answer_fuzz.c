/* SPDX-License-Identifier: Apache-2.0
 *
 * What SendGrid's answers do to deliver/provider_sendgrid.c. The input is a status (16 bits), the value of
 * every header that is asked for up to the first line end, and the body. The verdict must be fit to be
 * logged and stored, and a status alone decides its class.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "deliver/provider.h"
#include "lib/base/trouble.h"

static struct str header_of(const void *ctx, const char *name)
{
	const struct str *value = ctx;

	(void)name;
	return *value;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_of(str_bytes(data, size));
	unsigned status = reader_u16(&r);
	struct str rest = str_bytes(r.p, r.n), header = str_first(rest, str_find(rest, '\n'));
	struct provider_answer answer = {.status = status, .body = str_from(rest, header.n + 1), .header = header_of, .header_ctx = &header, .now = 1600000000000000};
	struct provider_verdict verdict, bare;

	if (r.is_bad)
		return 0;
	provider_of(PROVIDER_SENDGRID)->classify(&answer, &verdict);
	must(verdict.class < IPC_OUTCOME_CLASSES && verdict.class != IPC_OUTCOME_UNKNOWN);
	must(verdict.code == status && verdict.retry_after <= 86400);
	must(memchr(verdict.reason, '\0', sizeof(verdict.reason)) != NULL && verdict.reason[0] != '\0');
	must(str_is_utf8(str_of(verdict.reason)));
	for (const char *p = verdict.reason; *p != '\0'; p++)
		must((unsigned char)*p >= ' ' && *p != 0x7f);
	must(memchr(verdict.provider_id, '\0', sizeof(verdict.provider_id)) != NULL);
	must(verdict.class == IPC_OUTCOME_SENT || verdict.provider_id[0] == '\0');
	answer.body = STR("");
	provider_of(PROVIDER_SENDGRID)->classify(&answer, &bare);
	must(bare.class == verdict.class);
	return 0;
}
