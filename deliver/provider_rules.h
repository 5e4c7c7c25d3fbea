/* SPDX-License-Identifier: Apache-2.0
 *
 * What a provider's answers mean, as a table with its source: each provider_NAME.c has one. The first row that fits
 * counts; the last one fits everything, and its words are always said.
 */
#ifndef DELIVER_PROVIDER_RULES_H
#define DELIVER_PROVIDER_RULES_H

#include "deliver/provider.h"

struct provider_rule {
	unsigned from, to; /* statuses of HTTP */
	const char *name;  /* the error's own name or code; NULL: any */
	const char *words; /* somewhere in what it says, in any case; NULL: whatever it says */
	enum ipc_outcome_class class;
	const char *status;  /* RFC 3463 */
	const char *meaning; /* for people, when the answer itself says nothing */
	enum ipc_about about; /* IPC_ABOUT_NOTHING: what follows from class and status (provider_verdict_set) */
};

/* The rule that fits. */
const struct provider_rule *provider_rules_find(const struct provider_rule *rules, size_t n, unsigned status,
						struct str name, struct str says);
/* Sets the verdict: class, code, status, about, retry_after; the reason is `name: says`, or the rule's own words. `name` and
 * `says` are what the API's own error says: 401 and 403 are about the credential only where one of them is there. */
void provider_rules_judge(const struct provider_rule *rules, size_t n, const struct provider_answer *answer,
			  struct str name, struct str says, struct provider_verdict *verdict);

#endif
