/* SPDX-License-Identifier: Apache-2.0
 *
 * What answers mean.
 */
#include "cert-renewer/acme_reply.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cert-renewer/acme_json.h"
#include "lib/base/clock.h"
#include "lib/base/date.h"
#include "lib/net/http_client.h"
#include "lib/net/http_header.h"

/* A clock that is wrong by more than this is worth a word. */
enum { CLOCK_FAULT = 300 };

bool acme_reply_is_ours(const char *problem)
{
	static const char *const ours[] = {
		"badCSR",
		"badPublicKey",
		"externalAccountRequired",
		"invalidContact",
		"invalidProfile",
		"rejectedIdentifier",
		"unsupportedContact",
		"unsupportedIdentifier",
		"userActionRequired",
	};

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (strcmp(problem, ours[i]) == 0)
			return true;
	return false;
}

bool acme_reply_is_nonce(struct str text)
{
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != '-' && c != '_')
			return false;
	}
	return text.n > 0 && text.n < ACME_REPLY_NONCE;
}

bool acme_reply_link(const struct acme_reply *reply, const char *relation, unsigned n, struct str *url)
{
	for (unsigned i = 0; i < reply->n_links; i++) {
		struct str rest = reply->links[i];
		bool fits;

		while (http_header_link(&rest, str_of(relation), url, &fits))
			if (fits && n-- == 0)
				return true;
	}
	return false;
}

int64_t acme_reply_wait(const struct acme_reply *reply, int64_t now, int64_t otherwise)
{
	int64_t seconds;

	if (!http_header_retry_after(reply->retry_after, now / CLOCK_SECOND, ACME_REPLY_LONGEST, &seconds))
		return otherwise;
	return seconds * CLOCK_SECOND;
}

/* ---- sentences ---- */

void acme_reply_fail(struct acme_failure *failure, const char *format, ...)
{
	struct buf text = BUF_MAX(16384);
	va_list args;

	memset(failure, 0, sizeof(*failure));
	va_start(args, format);
	buf_vprintf(&text, format, args);
	va_end(args);
	acme_json_words(buf_str(&text), failure->why, sizeof(failure->why));
	buf_clear(&text);
}

void acme_reply_add_step(struct acme_failure *failure, const char *step)
{
	struct buf text = BUF_MAX(16384);

	buf_printf(&text, "%s: %s", step, failure->why);
	acme_json_words(buf_str(&text), failure->why, sizeof(failure->why));
	buf_clear(&text);
}

/* Stays whole, whatever must be cut of what is before it. */
static void add_end(struct acme_failure *failure, const char *end)
{
	char kept[ACME_WHY];
	size_t n = strlen(end);
	struct buf text = BUF_MAX(16384);

	acme_json_words(str_of(failure->why), kept, sizeof(kept) - n);
	buf_printf(&text, "%s%s", kept, end);
	acme_json_words(buf_str(&text), failure->why, sizeof(failure->why));
	buf_clear(&text);
}

void acme_reply_add_clock(struct acme_failure *failure, int64_t ahead, int64_t now)
{
	char end[128], stamp[DATE_RFC3339];
	int64_t minutes = (ahead < 0 ? -ahead : ahead) / 60;

	if (minutes * 60 >= CLOCK_FAULT) {
		snprintf(end, sizeof(end), "; this host's clock is %" PRId64 " minutes %s the authority's", minutes,
			 ahead > 0 ? "ahead of" : "behind");
		add_end(failure, end);
	} else if (strstr(failure->why, "has expired") != NULL || strstr(failure->why, "not yet valid") != NULL) {
		date_put_rfc3339(now / CLOCK_SECOND, stamp);
		snprintf(end, sizeof(end), "; or this host's clock is wrong: it says %s", stamp);
		add_end(failure, end);
	}
}

/* ---- answers ---- */

static void refuse(const struct acme_reply *reply, struct acme_failure *failure)
{
	struct acme_json_problem problem;
	struct str page = {NULL, 0};
	const char *what;

	acme_json_problem(reply->body, &problem);
	what = problem.type[0] != '\0' ? problem.type : "no known problem";
	if (strcmp(problem.type, "userActionRequired") == 0 && !acme_reply_link(reply, "terms-of-service", 0, &page))
		page = str_of(problem.instance);
	acme_reply_fail(failure, "the authority says: %.*s%s%s (%s, status %u)", STR_ARG(str_first(page, 200)),
			page.n > 0 ? ": " : "", problem.text[0] != '\0' ? problem.text : "nothing more", what, reply->status);
	str_copy(str_of(problem.type), failure->problem, sizeof(failure->problem));
	failure->is_ours = acme_reply_is_ours(problem.type);
}

/* When it may be tried again, if the answer is one that says so. */
static int64_t when_again(const struct acme_reply *reply, int64_t now, const char *problem)
{
	int64_t wait = acme_reply_wait(reply, now, 0);

	if (strcmp(problem, "rateLimited") != 0 && reply->status != 429 && reply->status != 503)
		return 0;
	return wait > 0 ? now + wait : 0;
}

bool acme_reply_judge(const struct acme_reply *reply, const char *type, int64_t now, struct acme_failure *failure)
{
	char shown[128];

	acme_json_words(str_first(reply->type, sizeof(shown)), shown, sizeof(shown));
	if (reply->is_cut)
		acme_reply_fail(failure, "the answer (status %u) is larger than %d octets", reply->status, HTTP_CLIENT_BODY_MAX);
	else if (!reply->is_complete)
		acme_reply_fail(failure, "the answer (status %u) breaks off: %.*s", reply->status, STR_ARG(str_first(reply->error, 256)));
	else if (reply->status >= 300 && reply->status < 400)
		acme_reply_fail(failure, "the answer is a redirect (status %u) to \"%.*s\", which is not followed", reply->status,
				STR_ARG(str_first(reply->location, 256)));
	else if (reply->status >= 400 && http_header_is_media(reply->type, STR("application/problem+json")))
		refuse(reply, failure);
	else if (reply->status < 200 || reply->status >= 300)
		acme_reply_fail(failure, "the answer has the status %u%s%s", reply->status, shown[0] != '\0' ? ", and is " : "", shown);
	else if (type != NULL && !http_header_is_media(reply->type, str_of(type)))
		acme_reply_fail(failure, "the answer is \"%s\" instead of %s", shown, type);
	else
		return true;
	failure->not_before = when_again(reply, now, failure->problem);
	return false;
}
