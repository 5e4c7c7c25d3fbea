/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of commands and the one place that knows their order: known verb, TLS, EHLO, AUTH, state, then the
 * handler. Pure.
 */
#include "smtpd/smtpd_proto.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/service/metrics.h"
#include "lib/smtp/smtp_command.h"
#include "smtpd/smtpd_auth.h"
#include "smtpd/smtpd_chunk.h"
#include "smtpd/smtpd_hello.h"
#include "smtpd/smtpd_mail.h"

/* What a command needs. OCTETS: it brings some, which have to go before it is refused (smtpd_chunk.c). GRAMMAR: its own
 * says best what is wrong with a control character. */
enum { TLS = 1, AUTH = 2, OCTETS = 4, GRAMMAR = 8 };

enum {
	READY = SMTPD_READY,
	MAIL = SMTPD_MAIL,
	RCPT = SMTPD_RCPT,
	CHUNKS = SMTPD_CHUNKS,
	ANY = SMTPD_GREETED | READY | MAIL | RCPT | CHUNKS,
};

static const struct command {
	struct str verb;
	unsigned states, needs;
	void (*handle)(struct smtpd_proto *p, struct str argument);
	enum smtp_reply without_tls, out_of_order;
} commands[] = {
#define NEVER SMTP_REPLY_NONE
	{STR("EHLO"), ANY, 0, smtpd_hello_ehlo, NEVER, NEVER},
	{STR("MAIL"), READY, TLS | AUTH | GRAMMAR, smtpd_mail_from, SMTP_REPLY_TLS_REQUIRED, SMTP_REPLY_NESTED_MAIL},
	{STR("RCPT"), MAIL | RCPT, TLS | AUTH | GRAMMAR, smtpd_mail_to, SMTP_REPLY_TLS_REQUIRED, SMTP_REPLY_MAIL_FIRST},
	{STR("DATA"), RCPT, TLS | AUTH, smtpd_mail_data, SMTP_REPLY_TLS_REQUIRED, SMTP_REPLY_RCPT_FIRST},
	{STR("BDAT"), RCPT | CHUNKS, TLS | AUTH | OCTETS, smtpd_chunk_bdat, SMTP_REPLY_TLS_REQUIRED,
	 SMTP_REPLY_RCPT_FIRST},
	{STR("QUIT"), ANY, 0, smtpd_hello_quit, NEVER, NEVER},
	{STR("STARTTLS"), SMTPD_GREETED | READY, 0, smtpd_hello_starttls, NEVER, SMTP_REPLY_IN_TRANSACTION},
	{STR("AUTH"), READY, TLS, smtpd_auth_command, SMTP_REPLY_AUTH_NEEDS_TLS, SMTP_REPLY_IN_TRANSACTION},
	{STR("RSET"), ANY, 0, smtpd_hello_rset, NEVER, NEVER},
	{STR("NOOP"), ANY, 0, smtpd_hello_noop, NEVER, NEVER},
	{STR("HELO"), ANY, 0, smtpd_hello_helo, NEVER, NEVER},
	{STR("VRFY"), ANY, 0, smtpd_hello_vrfy, NEVER, NEVER},
	{STR("HELP"), ANY, 0, smtpd_hello_help, NEVER, NEVER},
	/* Of other RFCs, not offered */
	{STR("EXPN"), ANY, 0, smtpd_hello_not_implemented, NEVER, NEVER},
	{STR("BURL"), ANY, 0, smtpd_hello_not_implemented, NEVER, NEVER},
	{STR("ETRN"), ANY, 0, smtpd_hello_not_implemented, NEVER, NEVER},
	{STR("TURN"), ANY, 0, smtpd_hello_not_implemented, NEVER, NEVER},
	{STR("SEND"), ANY, 0, smtpd_hello_not_implemented, NEVER, NEVER},
	{STR("SAML"), ANY, 0, smtpd_hello_not_implemented, NEVER, NEVER},
	{STR("SOML"), ANY, 0, smtpd_hello_not_implemented, NEVER, NEVER},
	/* A browser that was lured here: what follows is not meant for us */
	{STR("GET"), ANY, 0, smtpd_hello_http, NEVER, NEVER},
	{STR("POST"), ANY, 0, smtpd_hello_http, NEVER, NEVER},
	{STR("PUT"), ANY, 0, smtpd_hello_http, NEVER, NEVER},
	{STR("OPTIONS"), ANY, 0, smtpd_hello_http, NEVER, NEVER},
	{STR("CONNECT"), ANY, 0, smtpd_hello_http, NEVER, NEVER},
#undef NEVER
};

static const struct command *find_command(struct str verb)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (str_ieq(verb, commands[i].verb))
			return &commands[i];
	return NULL;
}

void smtpd_proto_init(struct smtpd_proto *p, const struct smtpd_rules *rules, const struct smtpd_calls *calls,
		      void *ctx, const char *client)
{
	p->rules = rules;
	p->calls = calls;
	p->ctx = ctx;
	p->client = client;
	p->state = SMTPD_GREETED;
}

void smtpd_proto_clear(struct smtpd_proto *p)
{
	/* Its answer would still come: it may be accepted. */
	if (p->mail != NULL && p->is_waiting && p->mail->asked_for == NULL)
		p->mail->is_counted = false;
	smtpd_mail_end(p);
	smtpd_auth_forget(p);
	mem_free(&p->helo);
	mem_free(&p->user);
	mem_free(&p->tenant_name);
	mem_free(&p->senders);
}

void smtpd_proto_said(struct smtpd_proto *p, enum smtp_reply reply)
{
	struct log_context ctx = {.session = p->session, .tenant = p->tenant_name};

	metrics_add_at(METRIC_REPLIES, reply, 1);
	/* Once is enough when a client goes on and on. */
	if (smtp_reply_code(reply) >= 400 && reply != p->last_reply)
		log_info(&ctx, "smtpd.reply.refused", log_text("client", p->client), log_text("user", p->user),
			 log_uint("code", smtp_reply_code(reply)), log_text("reply", smtp_reply_token(reply)));
	p->last_reply = reply;
	p->errors += smtp_reply_code(reply) >= 500;
}

void smtpd_proto_reply(struct smtpd_proto *p, enum smtp_reply reply, struct str argument)
{
	smtp_reply_put(p->out, reply, argument);
	smtpd_proto_said(p, reply);
}

/* The limit that a reply names; 0: it names none. */
static uint64_t limit_of(const struct smtpd_rules *rules, enum smtp_reply reply)
{
	switch (reply) {
	case SMTP_REPLY_TOO_LARGE:
		return rules->message_size;
	case SMTP_REPLY_HEADER_TOO_LARGE:
		return rules->content.header_size;
	case SMTP_REPLY_ATTACHMENT_TOO_LARGE:
		return rules->content.attachment_size;
	case SMTP_REPLY_ATTACHMENTS_TOO_LARGE:
		return rules->content.attachments_size;
	case SMTP_REPLY_TOO_MANY_FIELDS:
		return rules->content.header_fields;
	case SMTP_REPLY_MIME_TOO_DEEP:
		return rules->content.mime_depth;
	default:
		return 0;
	}
}

void smtpd_proto_say(struct smtpd_proto *p, enum smtp_reply reply)
{
	uint64_t limit = limit_of(p->rules, reply);
	char number[24];

	snprintf(number, sizeof(number), "%llu", (unsigned long long)limit);
	/* The replies of the end begin with our name (RFC 5321, 4.2.1). */
	smtpd_proto_reply(p, reply, str_of(limit > 0 ? number : p->rules->host_name));
}

void smtpd_proto_enter(struct smtpd_proto *p, enum smtpd_state state)
{
	p->state = state;
}

void smtpd_proto_reset(struct smtpd_proto *p)
{
	smtpd_mail_end(p);
	if (p->state != SMTPD_GREETED)
		smtpd_proto_enter(p, SMTPD_READY);
}

void smtpd_proto_greet(struct smtpd_proto *p)
{
	smtpd_proto_say(p, SMTP_REPLY_GREETING);
}

void smtpd_proto_refuse(struct smtpd_proto *p, enum smtp_reply reply)
{
	smtpd_proto_say(p, reply);
	smtpd_proto_enter(p, SMTPD_CLOSED);
}

/* After every reply: has it been one error too many, or is the service going down? */
static void consider_ending(struct smtpd_proto *p)
{
	if (p->state == SMTPD_CLOSED || p->is_waiting || p->is_starting_tls || p->chunk.is_coming)
		return;
	if (p->errors >= p->rules->max_errors)
		smtpd_proto_refuse(p, SMTP_REPLY_TOO_MANY_ERRORS);
	else if (p->is_draining && p->mail == NULL && p->state != SMTPD_AUTH)
		smtpd_proto_refuse(p, SMTP_REPLY_SHUTDOWN);
}

/* Why a command that comes in the wrong order does. */
static enum smtp_reply out_of_order(const struct smtpd_proto *p, const struct command *command)
{
	if (command->out_of_order != SMTP_REPLY_MAIL_FIRST && command->out_of_order != SMTP_REPLY_RCPT_FIRST)
		return command->out_of_order;
	if (p->state == SMTPD_CHUNKS)
		return SMTP_REPLY_CHUNKS_BEGUN;
	return p->mail == NULL ? SMTP_REPLY_MAIL_FIRST : SMTP_REPLY_RCPT_FIRST;
}

static bool has_controls(struct str argument)
{
	for (size_t i = 0; i < argument.n; i++)
		if (((unsigned char)argument.p[i] < ' ' && argument.p[i] != '\t') || argument.p[i] == 0x7f)
			return true;
	return false;
}

/* SMTP_REPLY_NONE: it may run. */
static enum smtp_reply refusal(const struct smtpd_proto *p, const struct command *command, struct str argument)
{
	if ((command->needs & TLS) && p->tls_version == NULL)
		return command->without_tls;
	if (p->state == SMTPD_GREETED && !(command->states & SMTPD_GREETED))
		return SMTP_REPLY_HELLO_FIRST;
	if ((command->needs & AUTH) && p->user == NULL)
		return SMTP_REPLY_AUTH_REQUIRED;
	if (!(command->states & (unsigned)p->state))
		return out_of_order(p, command);
	/* RFC 6531, 3.3 */
	if (!str_is_utf8(argument) || (!(command->needs & GRAMMAR) && has_controls(argument)))
		return SMTP_REPLY_BAD_CHARACTERS;
	return SMTP_REPLY_NONE;
}

static void run_command(struct smtpd_proto *p, struct str line)
{
	const struct command *command;
	struct smtp_command parts;
	enum smtp_reply why;

	smtp_command_split(line, &parts);
	command = find_command(parts.verb);
	log_debug(&(struct log_context){.session = p->session}, "smtpd.command", log_text("client", p->client),
		  log_str("verb", command != NULL ? command->verb : STR("?")));
	why = command != NULL ? refusal(p, command, parts.argument) : SMTP_REPLY_UNKNOWN_COMMAND;
	if (why == SMTP_REPLY_NONE)
		command->handle(p, parts.argument);
	else if (command != NULL && (command->needs & OCTETS))
		smtpd_chunk_refuse(p, parts.argument, why);
	else
		smtpd_proto_say(p, why);
}

/* A line that is none ends an AUTH exchange too. */
static void refuse_line(struct smtpd_proto *p, enum smtp_line_result why, bool is_login)
{
	if (p->state == SMTPD_AUTH) {
		smtpd_auth_forget(p);
		smtpd_proto_enter(p, SMTPD_READY);
	}
	if (why == SMTP_LINE_BARE)
		smtpd_proto_say(p, SMTP_REPLY_BARE_NEWLINE_COMMAND);
	else
		smtpd_proto_say(p, is_login ? SMTP_REPLY_AUTH_LINE_TOO_LONG : SMTP_REPLY_LINE_TOO_LONG);
}

/* False: there is no whole line yet. */
static bool take_line(struct smtpd_proto *p, struct str *input)
{
	enum smtp_line_result result;
	struct str line;
	bool is_login;

	if (!smtp_line_begin(&p->line, input))
		return false;
	is_login = p->state == SMTPD_AUTH || str_istarts(*input, STR("AUTH "));
	result = smtp_line_take(&p->line, input, is_login ? SMTP_LINE_AUTH_MAX : SMTP_LINE_MAX, &line);
	if (result == SMTP_LINE_MORE)
		return false;
	if (result != SMTP_LINE_OK)
		refuse_line(p, result, is_login);
	else if (p->state == SMTPD_AUTH)
		smtpd_auth_line(p, line);
	else
		run_command(p, line);
	return true;
}

size_t smtpd_proto_input(struct smtpd_proto *p, struct str input, int64_t now)
{
	struct str rest = input;

	p->now = now;
	while (rest.n > 0 && !p->is_waiting && !p->is_starting_tls && p->state != SMTPD_CLOSED &&
	       p->out->n <= SMTPD_PROTO_REPLIES) {
		if (p->chunk.is_coming)
			smtpd_chunk_octets(p, &rest);
		else if (p->state == SMTPD_DATA)
			smtpd_mail_octets(p, &rest);
		else if (!take_line(p, &rest))
			break;
		p->commands++;
		consider_ending(p);
	}
	return input.n - rest.n;
}

void smtpd_proto_secured(struct smtpd_proto *p, const char *version, const char *cipher)
{
	p->is_starting_tls = false;
	p->tls_version = version;
	p->tls_cipher = cipher;
	/* RFC 3207, 4.2: what was said in clear is forgotten. */
	mem_free(&p->helo);
	p->line = (struct smtp_line){false};
	p->is_extended = false;
	smtpd_proto_enter(p, SMTPD_GREETED);
}

/* An answer that was waited for. False: the session was ended meanwhile, nobody hears of it. */
static bool take_answer(struct smtpd_proto *p)
{
	must(p->is_waiting);
	p->is_waiting = false;
	return p->state != SMTPD_CLOSED;
}

void smtpd_proto_authenticated(struct smtpd_proto *p, const struct ipc_auth_result *result)
{
	if (!take_answer(p))
		return;
	smtpd_auth_result(p, result);
	consider_ending(p);
}

void smtpd_proto_submitted(struct smtpd_proto *p, const struct ipc_submit_result *result)
{
	must(p->mail != NULL);
	p->mail->is_counted &= !smtpd_mail_is_taken(result->verdict);
	if (!take_answer(p))
		return;
	smtpd_mail_result(p, result);
	consider_ending(p);
}

void smtpd_proto_may_send(struct smtpd_proto *p, enum ipc_may_send_verdict verdict, bool is_counted)
{
	must(p->mail != NULL);
	p->mail->is_counted = is_counted;
	if (!take_answer(p))
		return;
	smtpd_mail_may_send(p, verdict);
	consider_ending(p);
}

void smtpd_proto_may_receive(struct smtpd_proto *p, enum ipc_may_receive_verdict verdict)
{
	must(p->mail != NULL && p->mail->asked_for != NULL);
	if (!take_answer(p))
		return;
	smtpd_mail_may_receive(p, verdict);
	consider_ending(p);
}

enum ipc_mode smtpd_proto_mode(const struct smtpd_proto *p)
{
	return p->tenant_mode == IPC_MODE_OF_LISTENER ? p->listener_mode : p->tenant_mode;
}
