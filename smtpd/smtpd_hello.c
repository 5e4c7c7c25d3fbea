/* SPDX-License-Identifier: Apache-2.0
 *
 * EHLO HELO STARTTLS RSET NOOP VRFY HELP QUIT. Pure.
 */
#include "smtpd/smtpd_hello.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/mem.h"

enum { NAME_MAX_OCTETS = 255 };

/* Clients say all kinds of things (an address literal, a file's name): any word will do. */
static bool take_name(struct smtpd_proto *p, struct str name, const char *syntax)
{
	name = str_first(name, str_find(name, ' '));
	if (name.n == 0 || name.n > NAME_MAX_OCTETS || !str_is_printable(name)) {
		smtpd_proto_reply(p, SMTP_REPLY_BAD_ARGUMENT, str_of(syntax));
		return false;
	}
	free(p->helo);
	p->helo = str_dup(name);
	smtpd_proto_enter(p, SMTPD_READY);
	smtpd_proto_reset(p); /* RFC 5321, 4.1.4: as RSET */
	return true;
}

void smtpd_hello_ehlo(struct smtpd_proto *p, struct str argument)
{
	char size[32];

	if (!take_name(p, argument, "EHLO hostname"))
		return;
	p->is_extended = true;
	p->last_reply = SMTP_REPLY_EHLO;
	snprintf(size, sizeof(size), "SIZE %llu", (unsigned long long)p->rules->message_size);
	smtp_reply_put_line(p->out, 250, false, str_of(p->rules->host_name));
	smtp_reply_put_line(p->out, 250, false, str_of(size));
	smtp_reply_put_line(p->out, 250, false, STR("PIPELINING"));
	smtp_reply_put_line(p->out, 250, false, STR("8BITMIME"));
	smtp_reply_put_line(p->out, 250, p->tls_version == NULL && !p->rules->has_certificate,
			    STR("ENHANCEDSTATUSCODES"));
	if (p->tls_version != NULL)
		smtp_reply_put_line(p->out, 250, true, STR("AUTH PLAIN LOGIN"));
	else if (p->rules->has_certificate)
		smtp_reply_put_line(p->out, 250, true, STR("STARTTLS"));
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
	(void)argument;
	smtpd_proto_reset(p);
	smtpd_proto_say(p, SMTP_REPLY_OK);
}

void smtpd_hello_noop(struct smtpd_proto *p, struct str argument)
{
	(void)argument;
	smtpd_proto_say(p, SMTP_REPLY_OK);
}

void smtpd_hello_vrfy(struct smtpd_proto *p, struct str argument)
{
	if (argument.n == 0)
		smtpd_proto_reply(p, SMTP_REPLY_BAD_ARGUMENT, STR("VRFY address"));
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
	(void)argument;
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
