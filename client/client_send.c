/* SPDX-License-Identifier: Apache-2.0
 *
 * Sends one message and says what became of it. Called by client_main.c.
 */
#include "client/client_send.h"

#include <stdio.h>
#include <sysexits.h>

#include "client/client_mail.h"
#include "client/client_report.h"

struct send {
	const struct client_options *options;
	struct loop *loop;
	struct client_session *session;
	struct client_mail mail;
	struct client_session_times times;
	char tls_version[16], tls_cipher[64];
	bool is_answered, is_accepted;
	unsigned code;
	size_t n_refused;
	int64_t took;
	char reply[512];
	int status;
	char error[2200]; /* a failure's text and a line more */
};

static void on_ready(void *ctx, struct client_session *session)
{
	struct send *s = ctx;
	const struct tls *tls = client_session_tls(session);

	s->times = *client_session_times(session);
	if (tls != NULL) {
		snprintf(s->tls_version, sizeof(s->tls_version), "%s", tls_version(tls));
		snprintf(s->tls_cipher, sizeof(s->tls_cipher), "%s", tls_cipher(tls));
	}
	client_session_send(session, &s->mail.mail);
}

static void on_result(void *ctx, struct client_session *session,
		      const struct client_session_result *r)
{
	struct send *s = ctx;

	s->is_answered = true;
	s->is_accepted = r->is_accepted;
	s->code = r->code;
	s->n_refused = r->n_refused;
	s->took = r->ended - r->began;
	snprintf(s->reply, sizeof(s->reply), "%.*s", STR_ARG(r->reply));
	if (!r->is_accepted) {
		s->status = client_report_status(r->code);
		snprintf(s->error, sizeof(s->error), "%s refused: %s", r->command, s->reply);
	} else if (r->n_refused > 0) {
		s->status = EX_DATAERR;
		snprintf(s->error, sizeof(s->error), "%zu of %zu recipients were refused",
			 r->n_refused, s->mail.mail.n_to);
	}
	client_session_quit(session);
}

static void on_end(void *ctx, struct client_session *session,
		   const struct client_session_failure *failure)
{
	struct send *s = ctx;

	(void)session;
	/* What comes after the answer (a lost QUIT) changes nothing. */
	if (failure != NULL && !s->is_answered) {
		s->status = failure->status;
		s->code = failure->code;
		snprintf(s->error, sizeof(s->error), "%s%s", failure->text,
			 failure->is_unknown ? "\nThe message was sent: the server may have taken "
					       "it all the same."
					     : "");
	}
	client_session_free(&s->session);
	loop_stop(s->loop);
}

static void print_json(const struct send *s)
{
	struct buf out = BUF_MAX(16384);

	buf_printf(&out, "{\"sent\":%s,\"code\":%u,\"reply\":", s->is_accepted ? "true" : "false",
		   s->code);
	client_report_json_text(&out, str_of(s->reply));
	buf_printf(&out,
		   ",\"recipients\":%zu,\"refused_recipients\":%zu,\"error\":", s->mail.mail.n_to,
		   s->n_refused);
	if (s->error[0] != '\0')
		client_report_json_text(&out, str_of(s->error));
	else
		buf_put_text(&out, "null");
	buf_printf(&out,
		   ",\"bytes\":%zu,\"tls_version\":\"%s\",\"tls_cipher\":\"%s\",\"connect_ms\":%."
		   "3f,\"tls_ms\":%.3f,"
		   "\"auth_ms\":%.3f,\"message_ms\":%.3f,\"status\":%d}\n",
		   s->mail.wire.n, s->tls_version, s->tls_cipher, (double)s->times.connect / 1000,
		   (double)s->times.tls / 1000, (double)s->times.auth / 1000,
		   (double)s->took / 1000, s->status);
	fwrite(out.p, 1, out.n, stdout);
	buf_clear(&out);
}

static void print_text(const struct send *s)
{
	if (s->is_accepted) {
		printf("Email sent successfully: %s\n", s->reply);
		printf("connect %.1f ms, TLS %.1f ms%s%s%s, AUTH %.1f ms, message %.1f ms (%zu "
		       "bytes)\n",
		       (double)s->times.connect / 1000, (double)s->times.tls / 1000,
		       s->tls_version[0] ? " (" : "", s->tls_version, s->tls_version[0] ? ")" : "",
		       (double)s->times.auth / 1000, (double)s->took / 1000, s->mail.wire.n);
	}
	if (s->error[0] != '\0')
		client_report_error("%s", s->error);
}

int client_send_run(const struct client_options *options)
{
	struct client_session_events events = {
		.on_ready = on_ready,
		.on_result = on_result,
		.on_end = on_end,
		.on_line = options->is_verbose ? client_report_line : NULL,
	};
	struct send s = {.options = options};
	struct err err;

	if (!client_mail_make(&s.mail, options, 1, &err)) {
		client_report_error("%s", err.text);
		client_mail_clear(&s.mail);
		return EX_USAGE;
	}
	s.loop = loop_new();
	s.session = client_session_new(s.loop, &options->server, &events, &s);
	loop_run(s.loop);
	if (options->is_json)
		print_json(&s);
	else
		print_text(&s);
	loop_free(&s.loop);
	client_mail_clear(&s.mail);
	return s.status;
}
