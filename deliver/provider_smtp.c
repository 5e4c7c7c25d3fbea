/* SPDX-License-Identifier: Apache-2.0
 *
 * Any smarthost, by SMTP (RFC 5321): submission on 587 with STARTTLS, 465 with TLS, or a relay of this host. The message goes
 * as it is but for orders to a provider behind it, to whom the envelope says; each recipient has an outcome of its own. What the server can take is known only when
 * it has said so: deliver/smtp_mail.c.
 */
#include "deliver/provider.h"
#include "deliver/smtp_mail.h"
#include "deliver/smtp_pool.h"
#include "lib/base/network.h"

/* With the call's message, or without one. */
static void begin(const struct provider_means *means, const struct provider_call *call, provider_done_fn *done, void *ctx)
{
	const struct settings_provider *settings = call->settings;
	const struct smtp_pool_server server = {
		.host = settings->host,
		.port = (uint16_t)settings->port,
		.tls = settings->tls,
		.user = settings->user,
		.password = settings->password,
		.is_local = network_is_this_host(str_of(settings->host)),
		.is_tenants = call->is_tenants_server,
	};
	const struct smtp_pool_limits limits = {means->timeout, means->begin_before};

	if (call->message == NULL)
		smtp_pool_check(means->smtp, &server, &limits, done, ctx);
	else
		smtp_pool_send(means->smtp, &server, call->message, &limits, done, ctx);
}

static void note(const struct provider_call *call, struct provider_request *request)
{
	struct mime_strip strip;

	smtp_mail_strip(&strip, call->message->content);
	if (strip.names.n > 0)
		provider_request_note(call, request, "header fields taken out: %.*s", STR_ARG(buf_str(&strip.names)));
	mime_strip_clear(&strip);
}

const struct provider provider_smtp = {.type = "smtp", .send = begin, .send_check = begin, .note = note};
