/* SPDX-License-Identifier: Apache-2.0
 *
 * What hostile servers do to deliver/smtp_client.c. The input is an octet of flags, the size of the pieces in which the rest
 * comes, and all that the server says; then the connection is gone. A message is only sent when it was said to its end, a
 * password only goes where it may, and each verdict is fit to be logged and stored.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "deliver/smtp_client.h"
#include "lib/base/trouble.h"

enum { STARTTLS = 1, LOGIN = 2, LOCAL = 4, UTF8 = 8, MANY = 16, EIGHT_BIT = 32, DSN = 64, RECIPIENTS = 5, MESSAGES = 3 };

struct world {
	struct smtp_client c;
	struct smtp_mail mail;
	unsigned n_sent;
	bool has_message;
	bool is_said; /* to its end */
};

static void check_text(const char *text, size_t size)
{
	must(memchr(text, '\0', size) != NULL && str_is_utf8(str_of(text)));
	for (const char *p = text; *p != '\0'; p++)
		must((unsigned char)*p >= ' ' && *p != 0x7f);
}

static void check_verdict(const struct world *w)
{
	const struct provider_verdict *v = &w->c.verdict;
	struct reader r = reader_of(buf_str(&v->refusals));
	struct ipc_refusal refusal;
	int last = -1;

	must(v->class < IPC_OUTCOME_CLASSES && v->about < IPC_ABOUTS);
	must((v->class != IPC_OUTCOME_SENT && v->class != IPC_OUTCOME_UNKNOWN) || w->is_said);
	must(v->class == IPC_OUTCOME_SENT || v->provider_id[0] == '\0');
	check_text(v->reason, sizeof(v->reason));
	check_text(v->provider_id, sizeof(v->provider_id));
	while (ipc_get_refusal(&r, &refusal)) {
		must(refusal.recipient > last && refusal.recipient < RECIPIENTS);
		must(refusal.class == IPC_OUTCOME_TRANSIENT || refusal.class == IPC_OUTCOME_PERMANENT);
		must(str_is_utf8(refusal.reason));
		last = refusal.recipient;
	}
	must(reader_is_done(&r));
}

static bool has(struct str text, struct str words)
{
	for (size_t i = 0; i + words.n <= text.n; i++)
		if (str_eq(str_first(str_from(text, i), words.n), words))
			return true;
	return false;
}

/* What is said is looked at, and gone. */
static void hear(struct world *w)
{
	must(!w->c.out.is_full);
	must(!has(buf_str(&w->c.out), STR("c2VjcmV0")) || w->c.is_secure || w->c.login->may_be_clear); /* LOGIN's password */
	must(!has(buf_str(&w->c.out), STR("AUTH PLAIN")) || w->c.is_secure || w->c.login->may_be_clear);
	buf_reset(&w->c.out);
}

static void begin(struct world *w)
{
	hear(w);
	if (w->n_sent++ >= MESSAGES)
		return;
	w->is_said = false;
	w->has_message = smtp_client_send(&w->c, &w->mail);
	if (!w->has_message)
		check_verdict(w);
}

static void act(struct world *w, enum smtp_client_event event)
{
	switch (event) {
	case SMTP_CLIENT_WAITS:
		break;
	case SMTP_CLIENT_WANTS_TLS:
		hear(w);
		smtp_client_secured(&w->c);
		break;
	case SMTP_CLIENT_IS_READY:
		begin(w);
		break;
	case SMTP_CLIENT_WANTS_CONTENT:
		must(w->has_message && w->c.n_taken > 0);
		while (w->c.stage == SMTP_CLIENT_CONTENT)
			smtp_client_more(&w->c);
		w->is_said = true;
		break;
	case SMTP_CLIENT_HAS_VERDICT:
		must(w->has_message);
		check_verdict(w);
		w->has_message = false;
		if (w->c.stage == SMTP_CLIENT_READY)
			begin(w);
		break;
	case SMTP_CLIENT_HAS_ENDED:
		must(!w->has_message && w->c.stage == SMTP_CLIENT_OVER);
		w->is_said = false;
		check_verdict(w);
		break;
	}
	hear(w);
}

static void serve(struct world *w, struct str server, size_t piece)
{
	struct buf input = BUF_MAX(SMTP_CLIENT_INPUT_MAX);

	while (server.n > 0 && w->c.stage != SMTP_CLIENT_OVER) {
		enum smtp_client_event event;

		if (!buf_put_str(&input, str_first(server, piece)))
			break;
		server = str_from(server, piece);
		do {
			struct str rest = buf_str(&input);

			event = smtp_client_take(&w->c, &rest);
			must(rest.n <= input.n);
			buf_consume(&input, input.n - rest.n);
			if (event == SMTP_CLIENT_WANTS_TLS)
				buf_reset(&input);
			act(w, event);
		} while (event != SMTP_CLIENT_WAITS && w->c.stage != SMTP_CLIENT_OVER);
	}
	buf_clear(&input);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct str recipients[RECIPIENTS] = {STR("a@x.example"), STR("b@x.example"), STR("c@x.example"), STR("d@x.example"), STR("e@x.example")};
	unsigned flags = size > 0 ? data[0] : 0;
	const struct smtp_client_login login = {"me.test", flags & LOGIN ? "user" : "", "secret", (flags & STARTTLS) != 0,
						(flags & LOCAL) != 0};
	const struct ipc_message message = {
		.mail_from = flags & UTF8 ? STR("\xc3\xbc@x.example") : STR("s@x.example"),
		.recipients = recipients,
		.n_recipients = flags & MANY ? RECIPIENTS : 1,
		.content = flags & EIGHT_BIT ? STR("S: x\r\n\r\n\xff\r\n") : STR("S: x\r\n\r\n.\r\n"),
		.dsn = flags & DSN ? STR("RET=FULL\n0 NOTIFY=NEVER\n") : STR(""),
	};
	struct world w = {0};

	if (size < 2)
		return 0;
	smtp_mail_copy(&w.mail, &message);
	smtp_client_init(&w.c, &login, false);
	serve(&w, str_bytes(data + 2, size - 2), (size_t)data[1] + 1);
	if (w.c.stage != SMTP_CLIENT_OVER) {
		bool may_be_sent = w.c.stage == SMTP_CLIENT_FINAL;

		smtp_client_lost(&w.c, false, "gone");
		w.is_said &= w.has_message;
		check_verdict(&w);
		must(!may_be_sent || w.c.verdict.class == IPC_OUTCOME_UNKNOWN);
	}
	smtp_client_clear(&w.c);
	smtp_mail_clear(&w.mail);
	return 0;
}
