/* SPDX-License-Identifier: Apache-2.0
 *
 * What an authority says, as every kind of answer: what is read is in bounds, and every sentence fit for one line.
 */
#include "cert-renewer/acme_json.h"

#include <stdlib.h>

#include "cert-renewer/acme_reply.h"
#include "lib/base/trouble.h"

static void check_words(const char *text, size_t size)
{
	must(memchr(text, '\0', size) != NULL && str_is_utf8(str_of(text)));
	for (const char *p = text; *p != '\0'; p++)
		must((unsigned char)*p >= ' ' && *p != 0x7f);
}

static void check_url(const char *url)
{
	must(url[0] == '\0' || acme_json_check_url(str_of(url), true) == NULL);
}

static void check_orders(struct str body)
{
	struct acme_json_order order;
	struct err err = {""};
	bool ok = acme_json_order(body, true, &order, &err);

	must(ok == (err.text[0] == '\0') && order.n_authorizations <= ACME_NAMES_MAX);
	for (unsigned i = 0; i < order.n_authorizations; i++)
		check_url(order.authorizations[i]);
	if (ok) {
		check_url(order.finalize);
		check_url(order.certificate);
		must(order.status != ACME_JSON_VALID || order.certificate[0] != '\0');
		check_words(order.problem.text, sizeof(order.problem.text));
	}
	acme_json_order_clear(&order);
}

static void check_authorizations(struct str body)
{
	struct acme_json_authorization seen;
	struct err err = {""};
	bool ok = acme_json_authorization(body, true, "http-01", &seen, &err);

	must(ok == (err.text[0] == '\0'));
	if (!ok)
		return;
	check_words(seen.offered, sizeof(seen.offered));
	check_words(seen.problem.text, sizeof(seen.problem.text));
	must(seen.name[0] != '\0');
	if (seen.has_challenge) {
		check_url(seen.url);
		must(seen.token[0] != '\0' && strpbrk(seen.token, "/. \n\"") == NULL);
	}
}

static void check_failures(struct str body)
{
	const struct acme_reply reply = {
		.status = 403, .is_complete = true, .type = STR("application/problem+json"), .body = body, .retry_after = body, .location = body};
	struct acme_failure failure;

	must(!acme_reply_judge(&reply, NULL, 1600000000000000, &failure));
	acme_reply_add_step(&failure, "ordering");
	acme_reply_add_clock(&failure, 7200, 1600000000000000);
	check_words(failure.why, sizeof(failure.why));
	must(str_starts(str_of(failure.why), STR("ordering: ")) && str_ends(str_of(failure.why), STR("the authority's")));
	must(failure.not_before == 0 || (failure.not_before > 1600000000000000 &&
					 failure.not_before <= 1600000000000000 + ACME_REPLY_LONGEST * 1000000LL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct acme_json_directory directory;
	struct str body = str_bytes(data, size);
	enum acme_json_status status;
	struct acme_window window;

	if (acme_json_directory(body, true, &directory, NULL)) {
		check_url(directory.new_nonce);
		check_url(directory.renewal_info);
		must(directory.new_order[0] != '\0');
		check_words(directory.profiles, sizeof(directory.profiles));
		check_words(directory.terms, sizeof(directory.terms));
	}
	if (acme_json_account(body, &status, NULL))
		must(acme_json_status_name(status) != NULL);
	if (acme_json_window(body, &window, NULL)) {
		must(window.start <= window.end);
		check_words(window.explanation, sizeof(window.explanation));
	}
	check_orders(body);
	check_authorizations(body);
	check_failures(body);
	return 0;
}
