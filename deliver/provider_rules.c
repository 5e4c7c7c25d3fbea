/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads the tables of what answers mean. Pure; called by the provider files.
 */
#include "deliver/provider_rules.h"

enum { NAME_SHOWN = 64, WORDS_SHOWN = 400 };

static bool contains(struct str text, struct str words)
{
	for (size_t i = 0; i + words.n <= text.n; i++)
		if (str_istarts(str_from(text, i), words))
			return true;
	return false;
}

const struct provider_rule *provider_rules_find(const struct provider_rule *rules, size_t n, unsigned status,
						struct str name, struct str says)
{
	for (size_t i = 0; i + 1 < n; i++) {
		const struct provider_rule *rule = &rules[i];

		if (status >= rule->from && status <= rule->to && (rule->name == NULL || str_ieq(name, str_of(rule->name))) &&
		    (rule->words == NULL || contains(says, str_of(rule->words))))
			return rule;
	}
	return &rules[n - 1];
}

/* 401 or 403 without a word of the API's: a proxy or filter on the way. It does not know the credential. */
static bool is_on_the_way(unsigned status, struct str name, struct str says)
{
	return (status == 401 || status == 403) && name.n == 0 && says.n == 0;
}

void provider_rules_judge(const struct provider_rule *rules, size_t n, const struct provider_answer *answer,
			  struct str name, struct str says, struct provider_verdict *verdict)
{
	const struct provider_rule *rule = provider_rules_find(rules, n, answer->status, name, says);

	if (is_on_the_way(answer->status, name, says)) {
		provider_verdict_set(verdict, IPC_OUTCOME_PROVIDER_FAULT, answer->status, "4.7.1",
				     "refused without an error of the provider's own: by a proxy or filter on the way?");
		verdict->about = IPC_ABOUT_PROVIDER;
		return;
	}
	name = str_first(name, NAME_SHOWN);
	says = str_first(says, WORDS_SHOWN);
	if (rule == &rules[n - 1])
		provider_verdict_set(verdict, rule->class, answer->status, rule->status, "%s%s%.*s%s%.*s", rule->meaning,
				     name.n > 0 ? ": " : "", STR_ARG(name), says.n > 0 ? ": " : "", STR_ARG(says));
	else if (says.n > 0 && name.n > 0)
		provider_verdict_set(verdict, rule->class, answer->status, rule->status, "%.*s: %.*s", STR_ARG(name),
				     STR_ARG(says));
	else if (says.n > 0)
		provider_verdict_set(verdict, rule->class, answer->status, rule->status, "%.*s", STR_ARG(says));
	else
		provider_verdict_set(verdict, rule->class, answer->status, rule->status, "%s%s%.*s", rule->meaning,
				     name.n > 0 ? ": " : "", STR_ARG(name));
	if (rule->about != IPC_ABOUT_NOTHING)
		verdict->about = rule->about;
	if (verdict->class == IPC_OUTCOME_TRANSIENT || verdict->about == IPC_ABOUT_THROTTLE)
		verdict->retry_after = provider_answer_retry_after(answer);
}
