/* SPDX-License-Identifier: Apache-2.0
 *
 * EHLO HELO STARTTLS RSET NOOP VRFY EXPN HELP QUIT. Pure.
 */
#include "smtpd/smtpd_hello.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/mem.h"
#include "lib/net/addr.h"

enum { NAME_MAX_OCTETS = 255 };

/* Clients say all kinds of things (an address literal, a file's name, a name in UTF-8): any word will do. */
static bool take_name(struct smtpd_proto *p, struct str name, const char *syntax)
{
	char literal[ADDR_TEXT], own[ADDR_TEXT + 2];

	name = str_first(name, str_find(name, ' '));
	if (name.n == 0 && p->rules->takes_empty_hello) {
		snprintf(own, sizeof(own), "[%s]", addr_literal(str_of(p->client), literal));
		name = str_of(own);
	}
	if (name.n == 0 || name.n > NAME_MAX_OCTETS) {
		smtpd_proto_reply(p, SMTP_REPLY_BAD_ARGUMENT, str_of(syntax));
		return false;
	}
	free(p->helo);
	p->helo = str_dup(name);
	smtpd_proto_enter(p, SMTPD_READY);
	smtpd_proto_reset(p); /* RFC 5321, 4.1.4: as RSET */
	return true;
}

/* What is offered in this session, a line each: our name, then the extensions. */
static void list_offers(const struct smtpd_proto *p, struct buf *out)
{
	buf_printf(out, "%s\nSIZE %llu\nPIPELINING\n8BITMIME\nENHANCEDSTATUSCODES\nCHUNKING\nSMTPUTF8\nDSN\n"
			"LIMITS RCPTMAX=%u",
		   p->rules->host_name, (unsigned long long)p->rules->message_size, p->rules->recipients);
	if (p->tls_version != NULL)
		buf_printf(out, "\nAUTH PLAIN LOGIN%s", p->certificate != NULL ? " EXTERNAL" : "");
	else if (p->rules->has_certificate)
		buf_put_text(out, "\nSTARTTLS");
}

void smtpd_hello_ehlo(struct smtpd_proto *p, struct str argument)
{
	struct buf offers = BUF_MAX(1024);
	struct str rest, line;

	if (!take_name(p, argument, "EHLO hostname"))
		return;
	p->is_extended = true;
	list_offers(p, &offers);
	for (rest = buf_str(&offers); str_next(&rest, '\n', &line);)
		smtp_reply_put_line(p->out, smtp_reply_code(SMTP_REPLY_EHLO), rest.p == NULL, line);
	smtpd_proto_said(p, SMTP_REPLY_EHLO);
	buf_clear(&offers);
}

void smtpd_hello_helo(struct smtpd_proto *p, struct str argument)
{
	if (!take_name(p, argument, "HELO hostname"))
		return;
	p->is_extended = false;
	smtpd_proto_say(p, SMTP_REPLY_HELO);
}

void smtpd_hello_starttls(struct smtpd_proto *p, struct str argument)
{
	if (argument.n > 0) {
		smtpd_proto_reply(p, SMTP_REPLY_BAD_ARGUMENT, STR("STARTTLS"));
	} else if (p->tls_version != NULL) {
		smtpd_proto_say(p, SMTP_REPLY_TLS_ACTIVE);
	} else if (!p->rules->has_certificate) {
		smtpd_proto_say(p, SMTP_REPLY_TLS_UNAVAILABLE);
	} else {
		smtpd_proto_say(p, SMTP_REPLY_TLS_GO);
		p->is_starting_tls = true;
		p->calls->start_tls(p->ctx);
	}
}

void smtpd_hello_rset(struct smtpd_proto *p, struct str argument)
{
	if (argument.n > 0) { /* RFC 5321, 4.1.1 */
		smtpd_proto_reply(p, SMTP_REPLY_BAD_ARGUMENT, STR("RSET"));
		return;
	}
	smtpd_proto_reset(p);
	smtpd_proto_say(p, SMTP_REPLY_OK);
}

void smtpd_hello_noop(struct smtpd_proto *p, struct str argument)
{
	(void)argument;
	smtpd_proto_say(p, SMTP_REPLY_OK);
}

/* RFC 6531, 3.7.4: a parameter says that the name may be beyond ASCII. */
void smtpd_hello_vrfy(struct smtpd_proto *p, struct str argument)
{
	struct str parameter = STR(" SMTPUTF8");
	bool is_utf8 = argument.n > parameter.n &&
		       str_ieq(str_from(argument, argument.n - parameter.n), parameter);

	if (argument.n == 0)
		smtpd_proto_reply(p, SMTP_REPLY_BAD_ARGUMENT, STR("VRFY address"));
	else if (!is_utf8 && !str_is_ascii(argument))
		smtpd_proto_say(p, SMTP_REPLY_NEEDS_SMTPUTF8);
	else
		smtpd_proto_say(p, SMTP_REPLY_VRFY);
}

void smtpd_hello_help(struct smtpd_proto *p, struct str argument)
{
	(void)argument;
	smtpd_proto_say(p, SMTP_REPLY_HELP);
}

void smtpd_hello_quit(struct smtpd_proto *p, struct str argument)
{
	if (argument.n > 0) {
		smtpd_proto_reply(p, SMTP_REPLY_BAD_ARGUMENT, STR("QUIT"));
		return;
	}
	smtpd_proto_reset(p);
	smtpd_proto_refuse(p, SMTP_REPLY_BYE);
}

void smtpd_hello_not_implemented(struct smtpd_proto *p, struct str argument)
{
	(void)argument;
	smtpd_proto_say(p, SMTP_REPLY_NOT_IMPLEMENTED);
}

void smtpd_hello_http(struct smtpd_proto *p, struct str argument)
{
	(void)argument;
	smtpd_proto_refuse(p, SMTP_REPLY_NOT_HTTP);
}
