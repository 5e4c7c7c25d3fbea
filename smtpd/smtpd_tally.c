/* SPDX-License-Identifier: Apache-2.0
 *
 * The lines about a session.
 */
#include "smtpd/smtpd_tally.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/service/metrics.h"

enum { SILENT_ENDS = 20 }; /* lines a second about sessions in which nothing was said */

void smtpd_tally_look(struct smtpd_tally *tally, const struct smtpd_proto *proto)
{
	if (proto->refused != tally->refused)
		metrics_add(METRIC_REFUSED, proto->refused - tally->refused);
	tally->refused = proto->refused;
	if (proto->state != SMTPD_CLOSED)
		tally->stage = proto->state;
}

void smtpd_tally_accepted(struct smtpd_tally *tally, const struct smtpd_guest *guest, const struct smtpd_proto *proto,
			  const struct uuid *earlier)
{
	const struct smtpd_mail *mail = proto->mail;
	char id[UUID_TEXT];
	struct log_context ctx = {guest->session, uuid_format(&mail->id, id), proto->tenant_name};
	int64_t took = clock_mono() - tally->submitted_at;

	metrics_add(METRIC_ACCEPTED, 1);
	metrics_add(METRIC_ACCEPTED_BYTES, mail->content.data.size);
	metrics_time(METRIC_SUBMIT_TIMES, took);
	tally->messages++;
	tally->bytes += mail->content.data.size;
	if (!uuid_is_zero(earlier)) {
		char repeated[UUID_TEXT];

		metrics_add(METRIC_REPEATED, 1);
		/* Its own id, which stands in its Received field, is nobody's now. */
		log_info(&ctx, "smtpd.message.repeated", log_text("user", proto->user),
			 log_text("client", guest->client), log_text("repeats", uuid_format(earlier, repeated)));
		return;
	}
	log_info(&ctx, "smtpd.message.accepted", log_text("user", proto->user), log_text("client", guest->client),
		 log_uint("size", mail->content.data.size), log_uint("recipients", mail->n_recipients),
		 log_ms("receive_ms", mail->received_at - mail->mail_at), log_ms("queue_ms", took));
}

static const char *stage_name(const struct smtpd_tally *tally, const struct smtpd_proto *proto)
{
	if (proto->is_starting_tls)
		return "tls";
	if (proto->is_waiting && (tally->stage == SMTPD_DATA || tally->stage == SMTPD_CHUNKS))
		return "queue";
	if (proto->is_waiting)
		return proto->mail != NULL ? "mail" : "auth";
	switch (tally->stage) {
	case SMTPD_GREETED:
		return "hello";
	case SMTPD_READY:
		return proto->user != NULL ? "ready" : "login";
	case SMTPD_MAIL:
		return "mail";
	case SMTPD_RCPT:
		return "rcpt";
	case SMTPD_DATA:
	case SMTPD_CHUNKS:
		return "data";
	case SMTPD_AUTH:
		return "auth";
	case SMTPD_CLOSED:
		break;
	}
	return "";
}

/* Sessions in which nothing was said cost a stranger nothing: he may not fill the log with them. */
static bool may_log(struct smtpd_worker *worker, const struct smtpd_guest *guest, const struct smtpd_proto *proto,
		    uint64_t *unsaid)
{
	*unsaid = 0;
	if (proto->commands > 0)
		return true;
	return !guest->is_local && log_limit_take(&worker->silent_ends, clock_mono(), SILENT_ENDS, unsaid);
}

void smtpd_tally_end(const struct smtpd_tally *tally, struct smtpd_worker *worker, const struct smtpd_guest *guest,
		     const struct smtpd_proto *proto, int64_t took, const char *why)
{
	struct log_context ctx = {.session = guest->session, .tenant = proto->tenant_name};
	uint64_t unsaid;

	if (may_log(worker, guest, proto, &unsaid))
		log_info(&ctx, "smtpd.session.end", log_text("client", guest->client),
			 log_text("listener", guest->listener->key), log_text("tls", proto->tls_version),
			 log_text("cipher", proto->tls_cipher), log_text("user", proto->user),
			 log_text("helo", proto->helo), log_uint("messages", tally->messages),
			 log_uint("refused", tally->refused), log_uint("bytes", tally->bytes),
			 log_text("stage", stage_name(tally, proto)),
			 log_text("reply", smtp_reply_token(proto->last_reply)), log_text("reason", why),
			 log_ms("duration_ms", took), log_uint("unsaid", unsaid));
}
