/* SPDX-License-Identifier: Apache-2.0
 *
 * A message's envelope and content, up to the hand-over. Pure but for the memory file of a large message.
 */
#include "smtpd/smtpd_mail.h"

#include <stdlib.h>

#include "lib/base/mem.h"
#include "lib/smtp/smtp_address.h"
#include "lib/smtp/smtp_command.h"
#include "smtpd/smtpd_dsn.h"
#include "smtpd/smtpd_sender.h"
#include "smtpd/smtpd_trace.h"

static void forget_asked(struct smtpd_mail *m)
{
	mem_free(&m->asked_for);
	free((char *)(uintptr_t)m->asked_dsn.orcpt.p);
	m->asked_dsn = (struct smtpd_dsn){0};
}

void smtpd_mail_end(struct smtpd_proto *p)
{
	struct smtpd_mail *m = p->mail;

	if (m == NULL)
		return;
	if (m->is_counted)
		p->calls->not_sent(p->ctx);
	for (unsigned i = 0; i < m->n_recipients; i++)
		free((char *)(uintptr_t)m->recipients[i].p);
	free(m->recipients);
	free(m->from);
	forget_asked(m);
	smtpd_content_clear(&m->content);
	buf_clear(&m->dsn);
	buf_clear(&m->envid);
	mem_free(&p->mail);
}

/* What the parameters of MAIL or RCPT say. */
struct parameters {
	bool is_rcpt;
	uint64_t size;
	bool has_size, has_body, has_author, is_8bit, is_utf8;
	struct smtpd_dsn dsn;
};

static enum smtp_reply take_size(struct parameters *out, struct str value)
{
	if (out->has_size || value.n > 20 || !str_u64(value, 0, UINT64_MAX, &out->size))
		return SMTP_REPLY_BAD_PARAMETER;
	out->has_size = true;
	return SMTP_REPLY_NONE;
}

static enum smtp_reply take_body(struct parameters *out, struct str value)
{
	out->is_8bit = str_ieq(value, STR("8BITMIME"));
	if (out->has_body || (!out->is_8bit && !str_ieq(value, STR("7BIT"))))
		return SMTP_REPLY_BAD_PARAMETER;
	out->has_body = true;
	return SMTP_REPLY_NONE;
}

/* SMTP_REPLY_NONE when it is good. */
static enum smtp_reply take_parameter(struct parameters *out, struct str name, struct str value)
{
	if (out->is_rcpt)
		return smtpd_dsn_of_rcpt(&out->dsn, name, value, out->is_utf8);
	if (str_ieq(name, STR("SIZE")))
		return take_size(out, value);
	if (str_ieq(name, STR("BODY")))
		return take_body(out, value);
	if (str_ieq(name, STR("SMTPUTF8"))) {
		if (out->is_utf8 || value.p != NULL)
			return SMTP_REPLY_BAD_PARAMETER;
		out->is_utf8 = true;
		return SMTP_REPLY_NONE;
	}
	/* RFC 4954, 5: who wrote it first, according to the client. Not passed on. */
	if (str_ieq(name, STR("AUTH"))) {
		if (out->has_author || !smtpd_dsn_is_xtext(value))
			return SMTP_REPLY_BAD_PARAMETER;
		out->has_author = true;
		return SMTP_REPLY_NONE;
	}
	return smtpd_dsn_of_mail(&out->dsn, name, value);
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

static enum smtp_reply take_address(struct str path, struct smtp_address *address, bool is_rcpt)
{
	switch (smtp_address_parse(path, address)) {
	case SMTP_ADDRESS_OK:
		return SMTP_REPLY_NONE;
	case SMTP_ADDRESS_LONG:
		return is_rcpt ? SMTP_REPLY_RECIPIENT_TOO_LONG : SMTP_REPLY_SENDER_TOO_LONG;
	default:
		return is_rcpt ? SMTP_REPLY_BAD_RECIPIENT : SMTP_REPLY_BAD_SENDER;
	}
}

/* What stands behind "FROM:" or "TO:". Only MAIL may have no address in its brackets: the null reverse-path. */
static enum smtp_reply take_envelope(struct str path, struct str rest, struct smtp_address *address,
				     struct parameters *parameters)
{
	enum smtp_reply reply = SMTP_REPLY_NONE;

	if (path.n > 0 || parameters->is_rcpt)
		reply = take_address(path, address, parameters->is_rcpt);
	if (reply == SMTP_REPLY_NONE)
		reply = take_parameters(parameters, rest);
	if (reply == SMTP_REPLY_NONE && !parameters->is_utf8 && !str_is_ascii(address->mailbox))
		reply = SMTP_REPLY_NEEDS_SMTPUTF8;
	return reply;
}

/* A good MAIL that is refused all the same. The question to gate comes last: it counts. */
static enum smtp_reply refuse_sender(const struct smtpd_proto *p, struct str mailbox, uint64_t size)
{
	if (size > p->rules->message_size)
		return SMTP_REPLY_TOO_LARGE;
	if (!smtpd_sender_is_permitted(p->senders, mailbox))
		return SMTP_REPLY_SENDER_NOT_PERMITTED;
	if (!smtpd_memory_has_room(p->rules->memory, size))
		return SMTP_REPLY_NO_STORAGE;
	/* A message of the mode direct never comes into the queue. */
	if (p->rules->is_under_pressure && smtpd_proto_mode(p) != IPC_DIRECT)
		return SMTP_REPLY_QUEUE_FULL;
	return SMTP_REPLY_NONE;
}

static void begin_transaction(struct smtpd_proto *p, struct str mailbox, const struct parameters *parameters)
{
	struct smtpd_mail *m = mem_zero(sizeof(*m));

	m->content.fd = -1;
	m->from = str_dup(mailbox);
	m->is_8bit = parameters->is_8bit;
	m->is_utf8 = parameters->is_utf8;
	buf_init(&m->dsn, IPC_DSN_MAX);
	smtpd_dsn_put_mail(&m->dsn, &parameters->dsn);
	buf_init(&m->envid, SMTPD_DSN_ENVID_MAX);
	if (p->rules->takes_envid_as_key)
		smtpd_dsn_put_decoded(&m->envid, parameters->dsn.envid);
	m->mail_at = p->now;
	m->id = uuid_new(p->now);
	p->mail = m;
	p->is_waiting = true;
	p->calls->may_send(p->ctx);
}

/* Words of others in a reply: one line of ASCII (RFC 5321, 4.5.3.1.5: 512 octets). */
static void reply_words(struct smtpd_proto *p, enum smtp_reply reply, struct str words)
{
	char bytes[400];
	size_t n = words.n < sizeof(bytes) ? words.n : sizeof(bytes);

	for (size_t i = 0; i < n; i++)
		bytes[i] = words.p[i] >= ' ' && words.p[i] <= '~' ? words.p[i] : '?';
	smtpd_proto_reply(p, reply, str_bytes(bytes, n));
}

void smtpd_mail_from(struct smtpd_proto *p, struct str argument)
{
	struct str path, rest;
	struct smtp_address address = {0};
	struct parameters parameters = {0};
	enum smtp_reply reply;

	if (!smtp_command_path(argument, STR("FROM"), &path, &rest)) {
		smtpd_proto_reply(p, SMTP_REPLY_BAD_ARGUMENT, STR("MAIL FROM:<address>"));
		return;
	}
	reply = take_envelope(path, rest, &address, &parameters);
	if (reply == SMTP_REPLY_NONE)
		reply = refuse_sender(p, address.mailbox, parameters.size);
	if (reply == SMTP_REPLY_SENDER_NOT_PERMITTED)
		reply_words(p, reply, address.mailbox);
	else if (reply != SMTP_REPLY_NONE)
		smtpd_proto_say(p, reply);
	else
		begin_transaction(p, address.mailbox, &parameters);
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
	smtpd_mail_end(p);
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

/* One that is there already keeps the parameters that it came with first. */
static enum smtp_reply take_recipient(struct smtpd_proto *p, struct str mailbox, const struct smtpd_dsn *dsn)
{
	struct smtpd_mail *m = p->mail;
	size_t size = mailbox.n + smtpd_dsn_rcpt_size(dsn);

	if (is_known(m, mailbox))
		return SMTP_REPLY_RECIPIENT_OK;
	if (m->n_recipients >= p->rules->recipients || m->recipient_bytes + size > SMTPD_MAIL_RECIPIENT_BYTES ||
	    m->dsn.n + smtpd_dsn_rcpt_size(dsn) > IPC_DSN_MAX)
		return SMTP_REPLY_TOO_MANY_RECIPIENTS;
	smtpd_dsn_put_rcpt(&m->dsn, m->n_recipients, dsn);
	add_recipient(m, mailbox);
	m->recipient_bytes += smtpd_dsn_rcpt_size(dsn);
	return SMTP_REPLY_RECIPIENT_OK;
}

static void say_recipient(struct smtpd_proto *p, enum smtp_reply reply)
{
	if (reply == SMTP_REPLY_RECIPIENT_OK)
		smtpd_proto_enter(p, SMTPD_RCPT);
	smtpd_proto_say(p, reply);
}

static void ask_for(struct smtpd_proto *p, struct str mailbox, const struct smtpd_dsn *dsn)
{
	struct smtpd_mail *m = p->mail;

	m->asked_for = str_dup(mailbox);
	m->asked_dsn = *dsn;
	if (dsn->orcpt.p != NULL)
		m->asked_dsn.orcpt = str_bytes(str_dup(dsn->orcpt), dsn->orcpt.n);
	p->is_waiting = true;
	p->calls->may_receive(p->ctx, mailbox);
}

void smtpd_mail_may_receive(struct smtpd_proto *p, enum ipc_may_receive_verdict verdict)
{
	static const enum smtp_reply refusals[IPC_MAY_RECEIVE_VERDICTS] = {
		[IPC_MAY_RECEIVE_SUPPRESSED] = SMTP_REPLY_SUPPRESSED,
		[IPC_MAY_RECEIVE_UNAVAILABLE] = SMTP_REPLY_RECIPIENT_UNCHECKED,
	};
	enum smtp_reply reply = refusals[verdict];

	if (verdict == IPC_MAY_RECEIVE_OK)
		reply = take_recipient(p, str_of(p->mail->asked_for), &p->mail->asked_dsn);
	forget_asked(p->mail);
	say_recipient(p, reply);
}

void smtpd_mail_to(struct smtpd_proto *p, struct str argument)
{
	struct str path, rest;
	struct smtp_address address = {0};
	struct parameters parameters = {.is_rcpt = true, .is_utf8 = p->mail->is_utf8};
	enum smtp_reply reply;

	if (!smtp_command_path(argument, STR("TO"), &path, &rest)) {
		smtpd_proto_reply(p, SMTP_REPLY_BAD_ARGUMENT, STR("RCPT TO:<address>"));
		return;
	}
	reply = take_envelope(path, rest, &address, &parameters);
	if (reply == SMTP_REPLY_NONE && p->asks_recipients && !is_known(p->mail, address.mailbox)) {
		ask_for(p, address.mailbox, &parameters.dsn);
		return;
	}
	if (reply == SMTP_REPLY_NONE)
		reply = take_recipient(p, address.mailbox, &parameters.dsn);
	say_recipient(p, reply);
}

void smtpd_mail_begin(struct smtpd_proto *p)
{
	char space[SMTPD_TRACE_MAX];
	struct buf received = {.p = space, .size = sizeof(space), .max = sizeof(space)};
	struct smtpd_content_plan plan = {
		.limit = p->rules->message_size,
		.limits = p->rules->content,
		.memory = p->rules->memory,
		.id = p->mail->id,
		.host = p->rules->host_name,
		.wall = p->now,
		.key_field = p->rules->key_field,
	};

	smtpd_trace_put(&received, p);
	smtpd_content_begin(&p->mail->content, &plan, buf_str(&received));
}

void smtpd_mail_data(struct smtpd_proto *p, struct str argument)
{
	if (argument.n > 0) {
		smtpd_proto_reply(p, SMTP_REPLY_BAD_ARGUMENT, STR("DATA"));
		return;
	}
	smtpd_mail_begin(p);
	smtpd_proto_enter(p, SMTPD_DATA);
	smtpd_proto_say(p, SMTP_REPLY_DATA_GO);
}

enum smtp_reply smtpd_mail_refusal(const struct smtpd_proto *p)
{
	const struct smtpd_content *c = &p->mail->content;

	if (c->refusal == SMTP_REPLY_NONE && c->data.has_bare && p->rules->refuses_bare_newline)
		return SMTP_REPLY_BARE_NEWLINE_DATA;
	return c->refusal;
}

/* In the From and Sender fields: what people will see. False: it is refused. */
static bool check_senders(struct smtpd_proto *p)
{
	char space[SMTP_ADDRESS_MAX];
	struct buf stranger = {.p = space, .size = sizeof(space), .max = sizeof(space)};

	if (smtpd_sender_are_permitted(p->senders, buf_str(&p->mail->content.from), p->mail->content.is_from_odd,
				       &stranger))
		return true;
	p->refused++;
	smtpd_proto_reset(p);
	smtpd_proto_reply(p, SMTP_REPLY_SENDER_NOT_PERMITTED, buf_str(&stranger));
	return false;
}

void smtpd_mail_complete(struct smtpd_proto *p)
{
	enum smtp_reply why = smtpd_mail_refusal(p);

	p->mail->received_at = p->now;
	if (why != SMTP_REPLY_NONE) {
		p->refused++;
		smtpd_proto_reset(p);
		smtpd_proto_say(p, why);
	} else if (check_senders(p)) {
		p->is_waiting = true;
		p->calls->submit(p->ctx, p->mail);
	}
}

void smtpd_mail_octets(struct smtpd_proto *p, struct str *input)
{
	if (smtpd_content_take(&p->mail->content, input))
		smtpd_mail_complete(p);
}

struct str smtpd_mail_key(const struct smtpd_mail *mail)
{
	return buf_str(mail->content.key.n > 0 ? &mail->content.key : &mail->envid);
}

bool smtpd_mail_is_taken(enum ipc_submit_verdict verdict)
{
	return verdict == IPC_SUBMIT_STORED || verdict == IPC_SUBMIT_SENT;
}

void smtpd_mail_result(struct smtpd_proto *p, const struct ipc_submit_result *result)
{
	static const enum smtp_reply replies[IPC_SUBMIT_VERDICTS] = {
		[IPC_SUBMIT_UNAVAILABLE] = SMTP_REPLY_NOT_STORED,
		[IPC_SUBMIT_REFUSED] = SMTP_REPLY_PROVIDER_REFUSED,
		[IPC_SUBMIT_RATE_LIMITED] = SMTP_REPLY_PROVIDER_RATE_LIMIT,
		[IPC_SUBMIT_FAILING] = SMTP_REPLY_PROVIDER_FAILING,
		[IPC_SUBMIT_UNREACHABLE] = SMTP_REPLY_PROVIDER_UNREACHABLE,
	};
	bool is_repeated = !uuid_is_zero(&result->id);
	char id[UUID_TEXT];

	uuid_format(is_repeated ? &result->id : &p->mail->id, id);
	smtpd_proto_reset(p);
	if (smtpd_mail_is_taken(result->verdict))
		p->errors = 0;
	else
		p->refused++;
	switch (result->verdict) {
	case IPC_SUBMIT_STORED:
		smtpd_proto_reply(p, is_repeated ? SMTP_REPLY_REPEATED : SMTP_REPLY_QUEUED, str_of(id));
		break;
	case IPC_SUBMIT_SENT:
		reply_words(p, is_repeated ? SMTP_REPLY_PROVIDER_TOOK_BEFORE : SMTP_REPLY_PROVIDER_TOOK, result->provider_id);
		break;
	case IPC_SUBMIT_REFUSED:
		reply_words(p, replies[result->verdict], result->reason.n > 0 ? result->reason : STR("no reason was given"));
		break;
	default:
		smtpd_proto_say(p, replies[result->verdict]);
	}
}
