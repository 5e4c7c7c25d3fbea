/* SPDX-License-Identifier: Apache-2.0
 *
 * A message's envelope and content, up to the hand-over. Pure but for the memory file of a large message.
 */
#include "smtpd/smtpd_mail.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/mem.h"
#include "lib/net/addr.h"
#include "lib/smtp/smtp_address.h"
#include "lib/smtp/smtp_command.h"

void smtpd_mail_free(struct smtpd_mail **mail)
{
	struct smtpd_mail *m = *mail;

	if (m == NULL)
		return;
	for (unsigned i = 0; i < m->n_recipients; i++)
		free((char *)(uintptr_t)m->recipients[i].p);
	free(m->recipients);
	free(m->from);
	smtpd_content_clear(&m->content);
	buf_clear(&m->dsn);
	mem_free(mail);
}

/* What MAIL's parameters say; SMTP_REPLY_NONE when they are good. */
struct parameters {
	uint64_t size;
	bool has_size, has_body, is_8bit;
};

static enum smtp_reply take_parameter(struct parameters *out, struct str name, struct str value)
{
	if (str_ieq(name, STR("SIZE"))) {
		if (out->has_size || value.n > 20 || !str_u64(value, 0, UINT64_MAX, &out->size))
			return SMTP_REPLY_BAD_PARAMETER;
		out->has_size = true;
		return SMTP_REPLY_NONE;
	}
	if (str_ieq(name, STR("BODY"))) {
		out->is_8bit = str_ieq(value, STR("8BITMIME"));
		if (out->has_body || (!out->is_8bit && !str_ieq(value, STR("7BIT"))))
			return SMTP_REPLY_BAD_PARAMETER;
		out->has_body = true;
		return SMTP_REPLY_NONE;
	}
	/* RFC 4954, 5: who wrote it first, according to the client. Not passed on. */
	if (str_ieq(name, STR("AUTH")) && value.n > 0)
		return SMTP_REPLY_NONE;
	return SMTP_REPLY_UNKNOWN_PARAMETER;
}

static enum smtp_reply take_parameters(struct parameters *out, struct str rest)
{
	enum smtp_reply reply = SMTP_REPLY_NONE;
	enum smtp_command_parameter got = SMTP_COMMAND_NO_MORE;
	struct str name, value;

	while (reply == SMTP_REPLY_NONE &&
	       (got = smtp_command_next_parameter(&rest, &name, &value)) == SMTP_COMMAND_PARAMETER)
		reply = take_parameter(out, name, value);
	return got == SMTP_COMMAND_MALFORMED ? SMTP_REPLY_BAD_PARAMETER : reply;
}

static enum smtp_reply check_address(struct str path, struct smtp_address *address, bool is_sender)
{
	switch (smtp_address_parse(path, address)) {
	case SMTP_ADDRESS_OK:
		return SMTP_REPLY_NONE;
	case SMTP_ADDRESS_NOT_ASCII:
		return SMTP_REPLY_NEEDS_SMTPUTF8;
	case SMTP_ADDRESS_LONG:
		return is_sender ? SMTP_REPLY_SENDER_TOO_LONG : SMTP_REPLY_RECIPIENT_TOO_LONG;
	default:
		return is_sender ? SMTP_REPLY_BAD_SENDER : SMTP_REPLY_BAD_RECIPIENT;
	}
}

static void say_too_large(struct smtpd_proto *p)
{
	char limit[24];

	snprintf(limit, sizeof(limit), "%llu", (unsigned long long)p->rules->message_size);
	smtpd_proto_reply(p, SMTP_REPLY_TOO_LARGE, str_of(limit));
}

void smtpd_mail_from(struct smtpd_proto *p, struct str argument)
{
	struct str path, rest;
	struct smtp_address address = {0};
	struct parameters parameters = {0};
	enum smtp_reply reply = SMTP_REPLY_NONE;

	if (!smtp_command_path(argument, STR("FROM"), &path, &rest)) {
		smtpd_proto_reply(p, SMTP_REPLY_BAD_ARGUMENT, STR("MAIL FROM:<address>"));
		return;
	}
	if (path.n > 0) /* else the null reverse-path */
		reply = check_address(path, &address, true);
	if (reply == SMTP_REPLY_NONE)
		reply = take_parameters(&parameters, rest);
	if (reply != SMTP_REPLY_NONE) {
		smtpd_proto_say(p, reply);
		return;
	}
	if (parameters.size > p->rules->message_size) {
		say_too_large(p);
		return;
	}
	p->mail = mem_zero(sizeof(*p->mail));
	p->mail->content.fd = -1;
	p->mail->from = str_dup(address.mailbox);
	p->mail->is_8bit = parameters.is_8bit;
	p->mail->mail_at = p->now;
	p->mail->id = uuid_new(p->now);
	p->is_waiting = true;
	p->calls->may_send(p->ctx);
}

void smtpd_mail_may_send(struct smtpd_proto *p, enum ipc_may_send_verdict verdict)
{
	static const enum smtp_reply refusals[IPC_MAY_SEND_VERDICTS] = {
		[IPC_MAY_SEND_ADDRESS] = SMTP_REPLY_TOO_MANY_FROM_ADDRESS,
		[IPC_MAY_SEND_USER] = SMTP_REPLY_TOO_MANY_OF_USER,
		[IPC_MAY_SEND_TENANT] = SMTP_REPLY_TOO_MANY_OF_TENANT,
	};

	if (verdict == IPC_MAY_SEND_OK) {
		smtpd_proto_enter(p, SMTPD_MAIL);
		smtpd_proto_say(p, SMTP_REPLY_SENDER_OK);
		return;
	}
	smtpd_mail_free(&p->mail);
	smtpd_proto_say(p, refusals[verdict]);
}

static bool is_known(const struct smtpd_mail *m, struct str mailbox)
{
	for (unsigned i = 0; i < m->n_recipients; i++)
		if (smtp_address_eq(m->recipients[i], mailbox))
			return true;
	return false;
}

static void add_recipient(struct smtpd_mail *m, struct str mailbox)
{
	if (m->n_recipients == m->room) {
		m->room = m->room > 0 ? 2 * m->room : 4;
		m->recipients = mem_grow(m->recipients, m->room * sizeof(*m->recipients));
	}
	m->recipients[m->n_recipients++] = str_bytes(str_dup(mailbox), mailbox.n);
	m->recipient_bytes += mailbox.n + 4;
}

void smtpd_mail_to(struct smtpd_proto *p, struct str argument)
{
	struct smtpd_mail *m = p->mail;
	struct str path, rest;
	struct smtp_address address;
	enum smtp_reply reply;

	if (!smtp_command_path(argument, STR("TO"), &path, &rest)) {
		smtpd_proto_reply(p, SMTP_REPLY_BAD_ARGUMENT, STR("RCPT TO:<address>"));
		return;
	}
	reply = check_address(path, &address, false);
	if (reply == SMTP_REPLY_NONE && rest.n > 0)
		reply = SMTP_REPLY_UNKNOWN_PARAMETER;
	if (reply == SMTP_REPLY_NONE && !is_known(m, address.mailbox)) {
		if (m->n_recipients >= p->rules->recipients ||
		    m->recipient_bytes + address.mailbox.n > SMTPD_MAIL_RECIPIENT_BYTES)
			reply = SMTP_REPLY_TOO_MANY_RECIPIENTS;
		else
			add_recipient(m, address.mailbox);
	}
	if (reply == SMTP_REPLY_NONE) {
		smtpd_proto_enter(p, SMTPD_RCPT);
		reply = SMTP_REPLY_RECIPIENT_OK;
	}
	smtpd_proto_say(p, reply);
}

/* The client's word for itself, without what means something in a header field. */
static void put_helo(struct buf *out, const char *helo)
{
	for (const char *c = helo; *c != '\0'; c++) {
		bool is_plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
				*c == '.' || *c == '-' || *c == '_' || *c == ':' || *c == '[' || *c == ']';

		buf_put_char(out, is_plain ? *c : '?');
	}
}

static void put_received(struct buf *out, const struct smtpd_proto *p)
{
	const struct smtpd_mail *m = p->mail;
	char id[UUID_TEXT], date[SMTPD_CONTENT_DATE], client[ADDR_TEXT];

	buf_put_text(out, "Received: from ");
	put_helo(out, p->helo);
	buf_printf(out, " ([%s])\r\n\tby %s with %s id %s\r\n\t(%s %s)", addr_literal(str_of(p->client), client),
		   p->rules->host_name, p->is_extended ? "ESMTPSA" : "SMTP", uuid_format(&m->id, id),
		   p->tls_version, p->tls_cipher);
	if (m->n_recipients == 1) /* of several, none may learn of the others (RFC 5321, 7.6) */
		buf_printf(out, "\r\n\tfor <%.*s>", STR_ARG(m->recipients[0]));
	buf_printf(out, ";\r\n\t%s\r\n", smtpd_content_date(p->now, date));
}

void smtpd_mail_data(struct smtpd_proto *p, struct str argument)
{
	struct buf received = BUF_MAX(4096);
	char space[2048];

	if (argument.n > 0) {
		smtpd_proto_reply(p, SMTP_REPLY_BAD_ARGUMENT, STR("DATA"));
		return;
	}
	received = (struct buf){.p = space, .size = sizeof(space), .max = sizeof(space)};
	put_received(&received, p);
	smtpd_content_begin(&p->mail->content, buf_str(&received), p->rules->message_size, &p->mail->id,
			    p->rules->host_name, p->now);
	smtpd_proto_enter(p, SMTPD_DATA);
	smtpd_proto_say(p, SMTP_REPLY_DATA_GO);
}

static void refuse(struct smtpd_proto *p, enum smtp_reply reply)
{
	smtpd_proto_reset(p);
	p->refused++;
	if (reply == SMTP_REPLY_TOO_LARGE)
		say_too_large(p);
	else
		smtpd_proto_say(p, reply);
}

void smtpd_mail_octets(struct smtpd_proto *p, struct str *input)
{
	struct smtpd_mail *m = p->mail;

	if (!smtpd_content_take(&m->content, input))
		return;
	m->received_at = p->now;
	if (m->content.is_over) {
		refuse(p, SMTP_REPLY_TOO_LARGE);
	} else if (m->content.data.has_bare && p->rules->refuses_bare_newline) {
		refuse(p, SMTP_REPLY_BARE_NEWLINE_DATA);
	} else if (m->content.is_broken) {
		refuse(p, SMTP_REPLY_NOT_STORED);
	} else {
		p->is_waiting = true;
		p->calls->submit(p->ctx, m);
	}
}

bool smtpd_mail_is_taken(enum ipc_submit_verdict verdict)
{
	return verdict == IPC_SUBMIT_STORED || verdict == IPC_SUBMIT_SENT;
}

/* A provider's words in a reply: one line of ASCII (RFC 5321, 4.5.3.1.5: 512 octets). */
static void reply_words(struct smtpd_proto *p, enum smtp_reply reply, struct str words)
{
	char bytes[400];
	size_t n = words.n < sizeof(bytes) ? words.n : sizeof(bytes);

	for (size_t i = 0; i < n; i++)
		bytes[i] = words.p[i] >= ' ' && words.p[i] <= '~' ? words.p[i] : '?';
	smtpd_proto_reply(p, reply, str_bytes(bytes, n));
}

void smtpd_mail_result(struct smtpd_proto *p, const struct ipc_submit_result *result)
{
	static const enum smtp_reply replies[IPC_SUBMIT_VERDICTS] = {
		[IPC_SUBMIT_STORED] = SMTP_REPLY_QUEUED,
		[IPC_SUBMIT_UNAVAILABLE] = SMTP_REPLY_NOT_STORED,
		[IPC_SUBMIT_SENT] = SMTP_REPLY_PROVIDER_TOOK,
		[IPC_SUBMIT_REFUSED] = SMTP_REPLY_PROVIDER_REFUSED,
		[IPC_SUBMIT_RATE_LIMITED] = SMTP_REPLY_PROVIDER_RATE_LIMIT,
		[IPC_SUBMIT_FAILING] = SMTP_REPLY_PROVIDER_FAILING,
		[IPC_SUBMIT_UNREACHABLE] = SMTP_REPLY_PROVIDER_UNREACHABLE,
	};
	char id[UUID_TEXT];

	uuid_format(&p->mail->id, id);
	smtpd_proto_reset(p);
	if (smtpd_mail_is_taken(result->verdict))
		p->errors = 0;
	else
		p->refused++;
	switch (result->verdict) {
	case IPC_SUBMIT_STORED:
		smtpd_proto_reply(p, replies[result->verdict], str_of(id));
		break;
	case IPC_SUBMIT_SENT:
		reply_words(p, replies[result->verdict], result->provider_id);
		break;
	case IPC_SUBMIT_REFUSED:
		reply_words(p, replies[result->verdict], result->reason);
		break;
	default:
		smtpd_proto_say(p, replies[result->verdict]);
	}
}
