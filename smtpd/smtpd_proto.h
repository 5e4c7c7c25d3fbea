/* SPDX-License-Identifier: Apache-2.0
 *
 * The SMTP dialogue of one session as a state machine: bytes in, replies into a buf, effects through a few
 * calls. No sockets, no clock. What may be said when stands in one table, in smtpd_proto.c; the commands
 * themselves are in smtpd_hello.c, smtpd_auth.c, smtpd_mail.c and smtpd_chunk.c.
 */
#ifndef SMTPD_SMTPD_PROTO_H
#define SMTPD_SMTPD_PROTO_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/ipc/ipc_body.h"
#include "lib/smtp/smtp_line.h"
#include "lib/smtp/smtp_reply.h"
#include "smtpd/smtpd_content.h"
#include "smtpd/smtpd_dsn.h"

/* More replies than this in `out`, and no further command is taken: commands are smaller than their replies. */
enum { SMTPD_PROTO_REPLIES = 65536 };

/* Named for what is known. */
enum smtpd_state {
	SMTPD_GREETED = 1 << 0, /* nobody has said EHLO (since STARTTLS) */
	SMTPD_READY = 1 << 1,
	SMTPD_MAIL = 1 << 2, /* a sender is given */
	SMTPD_RCPT = 1 << 3, /* and a recipient */
	SMTPD_DATA = 1 << 4, /* octets of a message are coming */
	SMTPD_AUTH = 1 << 5, /* the answer to a 334 is due */
	SMTPD_CLOSED = 1 << 6,
	SMTPD_CHUNKS = 1 << 7, /* part of a message has come by BDAT, the next command is due */
};

/* The rules that hold for all sessions of a worker; they may change between two commands. */
struct smtpd_rules {
	const char *host_name;
	uint64_t message_size;
	unsigned recipients, max_errors;
	struct smtp_mime_limits content;
	struct smtpd_memory *memory;
	const char *key_field; /* with the idempotency key of a message; NULL or empty: there is none */
	bool takes_envid_as_key;
	bool refuses_bare_newline;
	bool takes_empty_hello;
	bool has_certificate;
	bool is_under_pressure; /* the queue is full: MAIL is refused */
};

/* A mail transaction. */
struct smtpd_mail {
	struct uuid id;
	char *from;
	struct str *recipients; /* each owned */
	unsigned n_recipients, room;
	size_t recipient_bytes;
	enum smtp_reply refusal; /* of a message in chunks: what they are answered from now on */
	bool is_8bit, is_utf8;
	bool is_counted; /* by may_send, and not accepted yet */
	char *asked_for; /* the recipient that gate is being asked for, or NULL */
	struct smtpd_dsn asked_dsn; /* its parameters; ORCPT is owned */
	struct buf dsn; /* ipc_message.dsn */
	struct buf envid; /* what MAIL's ENVID says, decoded, when it may be the idempotency key */
	int64_t mail_at, received_at; /* wall clock */
	struct smtpd_content content;
};

struct smtpd_proto;

struct smtpd_calls {
	/* Begin the handshake when the replies have left; then smtpd_proto_secured(). */
	void (*start_tls)(void *ctx);
	/* Ask whether they are good; then (or at once) smtpd_proto_authenticated(). Borrowed for the call. */
	void (*authenticate)(void *ctx, struct str user, struct str password);
	/* The same with the client's certificate (EXTERNAL); `user` is whom it wants to be, may be empty. */
	void (*authenticate_external)(void *ctx, struct str user);
	/* Ask whether one mail more may be sent, and count it; then (or at once) smtpd_proto_may_send(). */
	void (*may_send)(void *ctx);
	/* Ask whether the tenant suppresses it; then (or at once) smtpd_proto_may_receive(). Borrowed for the call. */
	void (*may_receive)(void *ctx, struct str recipient);
	/* What was counted is not accepted after all. */
	void (*not_sent)(void *ctx);
	/* Hand the message over; then (or at once) smtpd_proto_submitted(). The descriptor of its content may be
	 * taken (and set to -1), the rest is borrowed for the call. */
	void (*submit)(void *ctx, struct smtpd_mail *mail);
};

/* A BDAT command whose octets are coming. */
struct smtpd_chunk {
	uint64_t size, left;
	enum smtp_reply why; /* its octets are thrown away, then this is said; SMTP_REPLY_NONE: they are kept */
	bool is_coming, is_last;
};

struct smtpd_proto {
	const struct smtpd_rules *rules;
	const struct smtpd_calls *calls;
	void *ctx;
	struct buf *out; /* where replies go */
	const char *client; /* its address, as text */
	const char *session; /* the session's id for the log; may be NULL */
	const char *certificate; /* what the client's certificate says (ipc_auth.certificate); NULL: it showed none */
	enum ipc_mode listener_mode;
	const char *tls_version, *tls_cipher; /* NULL in clear */
	char *helo;
	char *user, *tenant_name; /* NULL before AUTH */
	char *senders;		  /* the only ones it may use (ipc_auth_result.senders); NULL or empty: any */
	enum ipc_mode tenant_mode;
	bool is_test; /* the user is in test mode */
	bool asks_recipients; /* gate is to be asked for each */
	struct uuid tenant_id, user_id;
	struct smtpd_login *login; /* between 334 and its answer */
	struct smtpd_mail *mail;   /* in a transaction */
	int64_t now;		   /* wall clock, of the call under way */
	enum smtpd_state state;
	enum smtp_reply last_reply;
	struct smtp_line line;
	struct smtpd_chunk chunk;
	unsigned errors;   /* 5xx since the last accepted message */
	unsigned refused;  /* messages answered with 4xx or 5xx after their data */
	unsigned commands; /* lines and pieces of messages dealt with: tells progress */
	bool is_extended;  /* EHLO, not HELO */
	bool is_waiting;   /* an answer of gate or qmgr is due: no input is taken */
	bool is_starting_tls;
	bool is_draining; /* to be set: the session ends with its next reply, or the last one of the message under way */
};

/* A zeroed proto becomes a session; rules, calls and client are borrowed for its life. */
void smtpd_proto_init(struct smtpd_proto *p, const struct smtpd_rules *rules, const struct smtpd_calls *calls,
		      void *ctx, const char *client);
void smtpd_proto_clear(struct smtpd_proto *p);

/* In each of these, replies are appended to p->out, which the caller sets before, and `now` is the wall clock. */

/* Says 220. */
void smtpd_proto_greet(struct smtpd_proto *p);
/* Says only this and closes: too many sessions, a timeout. */
void smtpd_proto_refuse(struct smtpd_proto *p, enum smtp_reply reply);
/* Takes bytes off the front of the input; returns how many. It stops where an answer has to be waited for, or
 * where `out` has enough for now (then call it again with the rest), and at the end of the session. After STARTTLS the rest is to be thrown away. */
size_t smtpd_proto_input(struct smtpd_proto *p, struct str input, int64_t now);
void smtpd_proto_secured(struct smtpd_proto *p, const char *version, const char *cipher);
/* `user` is the name that was asked for. */
void smtpd_proto_authenticated(struct smtpd_proto *p, const struct ipc_auth_result *result);
/* Without gate nobody has counted it: then nothing is given back. */
void smtpd_proto_may_send(struct smtpd_proto *p, enum ipc_may_send_verdict verdict, bool is_counted);
void smtpd_proto_may_receive(struct smtpd_proto *p, enum ipc_may_receive_verdict verdict);
void smtpd_proto_submitted(struct smtpd_proto *p, const struct ipc_submit_result *result);
/* How the session's messages are taken. */
enum ipc_mode smtpd_proto_mode(const struct smtpd_proto *p);

/* For the commands' files. */
void smtpd_proto_reply(struct smtpd_proto *p, enum smtp_reply reply, struct str argument);
/* The same; the argument is what the rules say of it (a limit), or our name. */
void smtpd_proto_say(struct smtpd_proto *p, enum smtp_reply reply);
/* A reply that was written otherwise: it is counted and remembered. */
void smtpd_proto_said(struct smtpd_proto *p, enum smtp_reply reply);
void smtpd_proto_enter(struct smtpd_proto *p, enum smtpd_state state);
/* Forgets the transaction; the state is READY, or GREETED as before. */
void smtpd_proto_reset(struct smtpd_proto *p);

#endif
