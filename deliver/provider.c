/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of providers, and what their files have in common.
 */
#include "deliver/provider.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/net/http_header.h"
#include "lib/settings/settings_provider.h"

enum { RETRY_AFTER_MAX = 86400, NOTES_MAX = 65536, REFUSALS_MAX = 180000 };

static const struct provider *const providers[PROVIDER_TYPES] = {
	[PROVIDER_FILE] = &provider_file,
	[PROVIDER_SENDGRID] = &provider_sendgrid,
	[PROVIDER_SES] = &provider_ses,
	[PROVIDER_CAKEMAIL] = &provider_cakemail,
	[PROVIDER_POSTMARK] = &provider_postmark,
	[PROVIDER_SMTP] = &provider_smtp,
	[PROVIDER_MAILGUN] = &provider_mailgun,
	[PROVIDER_RESEND] = &provider_resend,
	[PROVIDER_SPARKPOST] = &provider_sparkpost,
	[PROVIDER_SANDBOX] = &provider_sandbox,
};

const struct provider *provider_of(int type)
{
	must(type >= 0 && (size_t)type < sizeof(providers) / sizeof(providers[0]));
	must(providers[type] != NULL);
	return providers[type];
}

struct str provider_answer_header(const struct provider_answer *answer, const char *name)
{
	return answer->header == NULL ? STR("") : answer->header(answer->header_ctx, name);
}

uint32_t provider_answer_until(const struct provider_answer *answer, struct str date)
{
	int64_t seconds = 0;

	http_header_until(date, answer->now / CLOCK_SECOND, RETRY_AFTER_MAX, &seconds);
	return (uint32_t)seconds;
}

uint32_t provider_answer_retry_after(const struct provider_answer *answer)
{
	int64_t seconds = 0;

	http_header_retry_after(provider_answer_header(answer, "retry-after"), answer->now / CLOCK_SECOND, RETRY_AFTER_MAX,
				&seconds);
	return (uint32_t)seconds;
}

struct ipc_rate provider_answer_rate(const struct provider_answer *answer, const char *limit, const char *left,
				     const char *reset, bool is_epoch)
{
	struct str names[] = {str_of(limit), str_of(left), str_of(reset)};
	uint64_t numbers[3], now = (uint64_t)(answer->now / CLOCK_SECOND);

	for (unsigned i = 0; i < 3; i++)
		if (!str_u64(str_trim(provider_answer_header(answer, names[i].p)), 0, UINT32_MAX, &numbers[i]))
			return (struct ipc_rate){0};
	if (is_epoch)
		numbers[2] = numbers[2] > now ? numbers[2] - now : 0;
	if (numbers[2] > RETRY_AFTER_MAX)
		numbers[2] = RETRY_AFTER_MAX;
	return (struct ipc_rate){(uint32_t)numbers[0], (uint32_t)numbers[1], (uint32_t)numbers[2]};
}

char *provider_url(const struct settings_provider *settings, const char *fallback, const char *path)
{
	struct str base = str_of(settings->endpoint[0] != '\0' ? settings->endpoint : fallback);
	struct buf url = BUF_MAX(4096);

	while (base.n > 0 && base.p[base.n - 1] == '/')
		base.n--;
	buf_put_str(&url, base);
	buf_put_text(&url, path);
	return buf_take_text(&url);
}

void provider_request_clear(struct provider_request *request)
{
	for (unsigned i = 0; i < request->n_headers; i++)
		mem_free_secret(&request->headers[i]);
	mem_free_secret(&request->url);
	/* Where a token is asked for, keys and passwords are in it; and mail is nobody's business either. */
	buf_clear_secret(&request->body);
	buf_clear(&request->kept);
	buf_clear(&request->notes);
	*request = (struct provider_request){.body = BUF_MAX(PROVIDER_REQUEST_MAX)};
}

void provider_request_header(struct provider_request *request, const char *format, ...)
{
	struct buf line = BUF_MAX(16384);
	va_list args;

	must(request->n_headers < PROVIDER_HEADERS_MAX);
	/* Formatted without a copy on the stack: there may be a key in it. */
	va_start(args, format);
	buf_room(&line, 16383);
	line.n = (size_t)vsnprintf(line.p, 16383, format, args);
	va_end(args);
	must(line.n < 16383);
	request->headers[request->n_headers++] = mem_copy(line.p, line.n);
	buf_clear_secret(&line);
}

/* Without control characters, as valid UTF-8. `is_cut`: its end may lie within a character. */
static void make_printable(char *text, bool is_cut)
{
	size_t n = strlen(text);

	for (size_t i = 0; i < n; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			text[i] = ' ';
	for (size_t cut = 0; is_cut && cut < 3 && !str_is_utf8(str_bytes(text, n - cut)); cut++)
		if (str_is_utf8(str_bytes(text, n - cut - 1)))
			text[n - cut - 1] = '\0';
	n = strlen(text);
	if (!str_is_utf8(str_bytes(text, n)))
		for (size_t i = 0; i < n; i++)
			if ((unsigned char)text[i] >= 0x80)
				text[i] = '?';
}

void provider_request_note(const struct provider_call *call, struct provider_request *request, const char *format, ...)
{
	char line[1024];
	va_list args;
	int n;

	if (!call->wants_notes)
		return;
	if (request->notes.max == 0)
		request->notes = BUF_MAX(NOTES_MAX);
	va_start(args, format);
	n = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	make_printable(line, n >= (int)sizeof(line));
	buf_printf(&request->notes, "%s\n", line);
}

static enum ipc_about about_of(enum ipc_outcome_class class, uint32_t code)
{
	switch (class) {
	case IPC_OUTCOME_SENT:
	case IPC_OUTCOME_PERMANENT:
	case IPC_OUTCOME_UNFIT:
	case IPC_OUTCOME_CLASSES:
		break;
	case IPC_OUTCOME_TRANSIENT:
		return code == 429 ? IPC_ABOUT_THROTTLE : IPC_ABOUT_PROVIDER;
	case IPC_OUTCOME_PROVIDER_FAULT:
		return code == 401 || code == 403 ? IPC_ABOUT_CREDENTIAL : IPC_ABOUT_PROVIDER;
	case IPC_OUTCOME_UNKNOWN:
		return IPC_ABOUT_PROVIDER;
	}
	return IPC_ABOUT_NOTHING;
}

void provider_verdict_set(struct provider_verdict *verdict, enum ipc_outcome_class class, uint32_t code,
			  const char *status, const char *format, ...)
{
	va_list args;
	int n;

	*verdict = (struct provider_verdict){.class = class, .code = code, .about = about_of(class, code)};
	must(str_copy(str_of(status), verdict->status, sizeof(verdict->status)));
	va_start(args, format);
	n = vsnprintf(verdict->reason, sizeof(verdict->reason), format, args);
	va_end(args);
	make_printable(verdict->reason, n >= (int)sizeof(verdict->reason));
}

void provider_verdict_refuse(struct provider_verdict *verdict, unsigned recipient, enum ipc_outcome_class class, uint32_t code,
			     const char *status, const char *format, ...)
{
	struct ipc_refusal refusal = {.recipient = (uint16_t)recipient, .class = class, .code = code, .status = str_of(status)};
	char reason[160]; /* short: there may be a thousand of them in a frame */
	va_list args;
	int n;

	must(recipient < IPC_RECIPIENTS_MAX);
	va_start(args, format);
	n = vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	make_printable(reason, n >= (int)sizeof(reason));
	refusal.reason = str_of(reason);
	if (verdict->refusals.max == 0)
		verdict->refusals = BUF_MAX(REFUSALS_MAX);
	ipc_put_refusal(&verdict->refusals, &refusal);
	must(!verdict->refusals.is_full);
}

bool provider_unfit(struct provider_verdict *verdict, const char *name, const char *status, const char *format, ...)
{
	char reason[sizeof(verdict->reason)];
	va_list args;

	va_start(args, format);
	vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	provider_verdict_set(verdict, IPC_OUTCOME_UNFIT, 0, status, "not sent to %s: %s", name, reason);
	return false;
}

bool provider_fits(const struct provider_call *call, const char *name, struct provider_verdict *verdict)
{
	const struct settings_provider_kind *kind = settings_provider_kind(call->settings->type);
	const struct ipc_message *message = call->message;

	if (message->n_recipients > kind->recipients)
		return provider_unfit(verdict, name, "5.5.3", "it has more than the %u recipients that it takes at a time",
				      kind->recipients);
	for (unsigned i = 0; i < message->n_recipients && !kind->has_utf8; i++)
		if (!str_is_ascii(message->recipients[i]))
			return provider_unfit(verdict, name, "5.6.7", "a recipient's address is not ASCII, and it takes no other");
	if (message->content.n > (uint64_t)kind->size)
		return provider_unfit(verdict, name, "5.3.4", "it is larger than the %lld octets that it takes",
				      (long long)kind->size);
	return true;
}

void provider_verdict_clear(struct provider_verdict *verdict)
{
	buf_clear(&verdict->refusals);
}
