/* SPDX-License-Identifier: Apache-2.0
 *
 * Whole dialogues: arbitrary bytes before TLS, after it, logged in, or in a transaction; every reply is well formed,
 * all input is consumed but the beginning of a line, nothing with a lone CR or LF is handed over, what was counted is
 * accepted or given back, and pieces give what the whole gives.
 */
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "smtpd/smtpd_proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct session {
	struct smtpd_proto p;
	struct buf out;
	unsigned char choice;
	unsigned counted, settled;
};

static const struct smtpd_rules rules = {.host_name = "mail.test", .message_size = 3000, .recipients = 3,
					 .max_errors = 10, .content = {300, 400, 800, 8, 3}, .has_certificate = true};

static void start_tls(void *ctx)
{
	(void)ctx;
}

static void answer_login(struct session *s)
{
	struct ipc_auth_result result = {.verdict = (enum ipc_auth_verdict)(s->choice / 4 % 4), .tenant_name = STR("t"),
					 .senders = s->choice & 64 ? STR("a@b @c") : STR(""), .mode = IPC_MODE_OF_LISTENER,
					 .asks_recipients = s->choice & 32};

	smtpd_proto_authenticated(&s->p, &result);
}

static void authenticate(void *ctx, struct str user, struct str password)
{
	struct session *s = ctx;

	must(user.n > 0 && user.n <= 255 && password.n > 0 && password.n <= 1024);
	answer_login(s);
}

/* ipc_message.dsn: printable or UTF-8, lines that end. */
static void must_be_lines(struct str dsn)
{
	must(str_is_utf8(dsn) && (dsn.n == 0 || dsn.p[dsn.n - 1] == '\n'));
	for (size_t i = 0; i < dsn.n; i++)
		must(dsn.p[i] == '\n' || (unsigned char)dsn.p[i] >= ' ');
}

static void submit(void *ctx, struct smtpd_mail *mail)
{
	struct session *s = ctx;
	struct str c = buf_str(&mail->content.bytes);

	must(mail->n_recipients > 0 && mail->n_recipients <= 3 && mail->content.fd < 0);
	must(mail->content.data.size <= 3000);
	for (size_t i = 0; i < c.n; i++) {
		must(c.p[i] != '\n' || (i > 0 && c.p[i - 1] == '\r'));
		must(c.p[i] != '\r' || (i + 1 < c.n && c.p[i + 1] == '\n'));
	}
	must_be_lines(buf_str(&mail->dsn));
	if (s->choice / 16 % 2 == IPC_SUBMIT_STORED)
		s->settled++;
	smtpd_proto_submitted(&s->p, &(struct ipc_submit_result){.verdict = (enum ipc_submit_verdict)(s->choice / 16 % 2)});
}

static void may_send(void *ctx)
{
	struct session *s = ctx;
	enum ipc_may_send_verdict verdict = s->choice & 128 ? (enum ipc_may_send_verdict)(s->counted % 4) : IPC_MAY_SEND_OK;

	s->counted++;
	s->settled += verdict != IPC_MAY_SEND_OK;
	smtpd_proto_may_send(&s->p, verdict, verdict == IPC_MAY_SEND_OK);
}

static void not_sent(void *ctx)
{
	((struct session *)ctx)->settled++;
}

static void authenticate_external(void *ctx, struct str user)
{
	must(user.n <= 255 && str_is_utf8(user));
	answer_login(ctx);
}

static void may_receive(void *ctx, struct str recipient)
{
	struct session *s = ctx;

	must(recipient.n > 0 && recipient.n <= 254);
	smtpd_proto_may_receive(&s->p, (enum ipc_may_receive_verdict)((unsigned char)recipient.p[0] % IPC_MAY_RECEIVE_VERDICTS));
}

static const struct smtpd_calls calls = {start_tls, authenticate, authenticate_external, may_send,
					 may_receive, not_sent, submit};

static void give(struct session *s, struct str all, size_t step)
{
	size_t from = 0, end = 0;

	while (end < all.n && !s->p.is_starting_tls && s->p.state != SMTPD_CLOSED) {
		end = end + step < all.n ? end + step : all.n;
		from += smtpd_proto_input(&s->p, str_from(str_first(all, end), from), 1700000000000000);
	}
	/* What is left is a line that has not ended. */
	if (!s->p.is_starting_tls && s->p.state != SMTPD_CLOSED && s->out.n <= SMTPD_PROTO_REPLIES)
		must(all.n - from < SMTP_LINE_AUTH_MAX && memmem(all.p + from, all.n - from, "\r\n", 2) == NULL);
}

/* The codes of all replies. */
static void shorten(struct str out, struct buf *codes)
{
	struct smtp_answer answer;

	while (out.n > 0) {
		must(smtp_reply_take(&out, &answer) == SMTP_REPLY_OK_ANSWER);
		must(str_find(answer.lines, '\n') > 0 && answer.lines.p[str_find(answer.lines, '\n') - 1] == '\r');
		buf_put_u16(codes, (uint16_t)answer.code);
	}
}

static void run(unsigned char choice, struct str all, size_t step, struct buf *codes)
{
	struct session s = {.choice = choice};

	buf_init(&s.out, 4 << 20);
	smtpd_proto_init(&s.p, &rules, &calls, &s, "192.0.2.7");
	s.p.out = &s.out;
	smtpd_proto_greet(&s.p);
	if (choice & 1)
		smtpd_proto_secured(&s.p, "TLSv1.3", "X");
	if (choice & 32)
		s.p.certificate = "sha256:00";
	if ((choice & 3) == 3)
		give(&s, STR("EHLO x\r\nAUTH PLAIN AGEAYg==\r\n"), 100);
	if ((choice & 35) == 35)
		give(&s, STR("MAIL FROM:<a@b> SMTPUTF8\r\nRCPT TO:<c@d> NOTIFY=DELAY\r\n"), 100);
	give(&s, all, step);
	must(!s.out.is_full);
	shorten(buf_str(&s.out), codes);
	smtpd_proto_clear(&s.p);
	must(s.settled == s.counted);
	buf_clear(&s.out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole = BUF_MAX(1 << 20), pieces = BUF_MAX(1 << 20);
	struct str all;

	if (size < 2 || size > 16384)
		return 0;
	log_set(LOG_FORMAT_PLAIN, LOG_LEVEL_ERROR);
	all = str_bytes(data + 2, size - 2);
	run(data[0], all, all.n + 1, &whole);
	run(data[0], all, data[1] % 13 + 1, &pieces);
	must(str_eq(buf_str(&whole), buf_str(&pieces)));
	buf_clear(&whole);
	buf_clear(&pieces);
	return 0;
}
