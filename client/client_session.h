/* SPDX-License-Identifier: Apache-2.0
 *
 * The client's side of an SMTP session on the loop: connect, TLS, AUTH, then messages one after
 * another, with pipelining where it is offered. Many sessions share one loop. Used by test-client
 * and by the load generator of tests/bench.
 */
#ifndef CLIENT_CLIENT_SESSION_H
#define CLIENT_CLIENT_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/str.h"
#include "lib/net/loop.h"
#include "lib/net/tls.h"

struct client_session;

enum client_session_tls { CLIENT_SESSION_STARTTLS, CLIENT_SESSION_IMPLICIT, CLIENT_SESSION_CLEAR };
enum client_session_auth {
	CLIENT_SESSION_AUTH_ANY,
	CLIENT_SESSION_AUTH_PLAIN,
	CLIENT_SESSION_AUTH_LOGIN
};

/* Where to, and as whom. Borrowed, and shared by all sessions of a run. */
struct client_session_server {
	const char *host;
	uint16_t port;
	enum client_session_tls mode;
	struct tls_client *tls; /* NULL only in clear */
	const char *hello;	/* the name given in EHLO */
	const char *user;	/* NULL: no AUTH */
	const char *password;
	enum client_session_auth auth;
	int64_t timeout; /* microseconds, for each step */
};

/* A message to send. Borrowed until it is answered. */
struct client_session_mail {
	struct str from;
	const struct str *to;
	size_t n_to;
	/* What goes over the wire after DATA, in this order: dot-stuffed, with CRLF, `body` ending
	 * in CRLF.CRLF. Two parts, so that many messages can share a body. */
	struct str head, body;
	bool is_8bit;
};

/* What became of a message. `reply` is the server's last word on it, borrowed for the call. */
struct client_session_result {
	bool is_accepted;
	unsigned code;
	struct str reply;
	const char *command;  /* which command was refused: "MAIL", "RCPT", "DATA", "message" */
	size_t n_refused;     /* recipients that were not taken */
	int64_t began, ended; /* clock_mono(): MAIL written, answer read */
};

/* Why a session ended before its time. */
struct client_session_failure {
	unsigned code;	 /* of the reply, 0 when there was none */
	int status;	 /* sysexits */
	bool is_unknown; /* the message under way was sent, its answer was not read */
	char text[2048]; /* for people; several lines when a certificate is the reason */
};

/* How long each step took, in microseconds. */
struct client_session_times {
	int64_t connect, tls, auth; /* auth is 0 without AUTH */
};

/* Any may be NULL but on_ready, on_result and on_end. All may call every function below. */
struct client_session_events {
	/* Logged in: client_session_send() may be called. */
	void (*on_ready)(void *ctx, struct client_session *session);
	/* The message is answered and the next may be sent. */
	void (*on_result)(void *ctx, struct client_session *session,
			  const struct client_session_result *result);
	/* It is over; failure is NULL after client_session_quit(). Call client_session_free(). */
	void (*on_end)(void *ctx, struct client_session *session,
		       const struct client_session_failure *failure);
	/* A line of the dialogue, without CRLF; secrets are masked, message content is left out. */
	void (*on_line)(void *ctx, bool is_from_server, struct str line);
};

/* Begins to connect (the name is resolved now, blocking). Failures come through on_end. */
struct client_session *client_session_new(struct loop *loop,
					  const struct client_session_server *server,
					  const struct client_session_events *events, void *ctx);
/* Ends it at once, without QUIT; safe in its own callbacks. */
void client_session_free(struct client_session **session);

/* Only when ready, one at a time. */
void client_session_send(struct client_session *session, const struct client_session_mail *mail);
/* QUIT, then on_end. Only when ready. */
void client_session_quit(struct client_session *session);

bool client_session_is_ready(const struct client_session *session);
const struct client_session_times *client_session_times(const struct client_session *session);
/* NULL in clear. */
const struct tls *client_session_tls(const struct client_session *session);

#endif
