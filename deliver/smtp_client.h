/* SPDX-License-Identifier: Apache-2.0
 *
 * The client's side of an SMTP session as a machine without I/O: replies go in, commands come out. deliver/smtp_pool.c moves
 * the bytes. One message after the other goes by a session.
 */
#ifndef DELIVER_SMTP_CLIENT_H
#define DELIVER_SMTP_CLIENT_H

#include "deliver/smtp_mail.h"
#include "lib/smtp/smtp_data.h"
#include "lib/smtp/smtp_reply.h"

enum { SMTP_CLIENT_INPUT_MAX = SMTP_ANSWER_MAX };

/* Who we are to the server. Borrowed for the life of a session. */
struct smtp_client_login {
	const char *hello;	    /* our host's name */
	const char *user, *password; /* user "": without AUTH */
	bool wants_starttls;
	bool may_be_clear; /* it is this host: a password may go without TLS */
};

enum smtp_client_stage {
	SMTP_CLIENT_GREETING,
	SMTP_CLIENT_EHLO,
	SMTP_CLIENT_HELO,
	SMTP_CLIENT_STARTTLS,
	SMTP_CLIENT_HANDSHAKE, /* until smtp_client_secured() */
	SMTP_CLIENT_AUTH_PLAIN,
	SMTP_CLIENT_AUTH_LOGIN,
	SMTP_CLIENT_AUTH_USER,
	SMTP_CLIENT_AUTH_PASSWORD,
	SMTP_CLIENT_READY,    /* for a message */
	SMTP_CLIENT_ENVELOPE, /* MAIL, RCPT and DATA: said, not all answered */
	SMTP_CLIENT_CONTENT,  /* smtp_client_more() says the next piece of the message */
	SMTP_CLIENT_FINAL,    /* all of it is said */
	SMTP_CLIENT_EMPTY,    /* all recipients were refused, and still it wanted a message: it got an empty one */
	SMTP_CLIENT_RESET,
	SMTP_CLIENT_QUIT,
	SMTP_CLIENT_OVER,
};

enum smtp_client_event {
	SMTP_CLIENT_WAITS,	/* for more input */
	SMTP_CLIENT_WANTS_TLS,	/* begin it; what else has come in clear is not to be looked at */
	SMTP_CLIENT_IS_READY,	/* for a message */
	SMTP_CLIENT_WANTS_CONTENT, /* smtp_client_more() begins it; until then nothing of it has left */
	SMTP_CLIENT_HAS_VERDICT, /* on the message; the session goes on when the stage is not OVER */
	SMTP_CLIENT_HAS_ENDED,	/* `verdict` says why: on the message, if one waits for the session */
};

struct smtp_client {
	const struct smtp_client_login *login;
	enum smtp_client_stage stage;
	bool is_secure;
	struct smtp_mail_offer offer;
	struct buf out;	    /* what is to be said: the owner takes it */
	unsigned n_messages; /* by this session so far */
	/* The message under way. Command 0 is MAIL, then one RCPT each, then DATA. */
	const struct smtp_mail *mail;
	unsigned n_said, n_answered;
	unsigned n_taken; /* recipients */
	size_t n_sent;	  /* octets of the content, said */
	struct smtp_data_put data;
	struct smtp_client_recipient {
		enum ipc_outcome_class class; /* SENT: taken */
		enum ipc_about about;
		uint32_t code;
		char status[12];
		char reason[160];
	} *recipients;
	struct provider_verdict verdict;
	bool is_untouched; /* with a verdict: not even MAIL was answered, so that the message can be begun anew elsewhere */
};

void smtp_client_init(struct smtp_client *c, const struct smtp_client_login *login, bool is_secure);
void smtp_client_clear(struct smtp_client *c);

/* Takes replies off the front of *input, up to one event. */
enum smtp_client_event smtp_client_take(struct smtp_client *c, struct str *input);
/* TLS stands, and the server's certificate is good. */
void smtp_client_secured(struct smtp_client *c);
/* When READY: the next message, borrowed until its verdict, and made to fit what the server offers. False: it cannot take
 * it, `verdict` says why; the session stays ready. */
bool smtp_client_send(struct smtp_client *c, struct smtp_mail *mail);
/* In CONTENT, when what was said has left: says the next piece. */
void smtp_client_more(struct smtp_client *c);
/* The connection is gone: `verdict` says what that means. `has_unsent`: not all that was said has left this host. */
void smtp_client_lost(struct smtp_client *c, bool has_unsent, const char *why);
/* Only when READY. */
void smtp_client_quit(struct smtp_client *c);

#endif
