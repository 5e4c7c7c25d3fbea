/* SPDX-License-Identifier: Apache-2.0
 *
 * Options to wire form: templates, message, envelope, dot-stuffing. Called by client_send.c and
 * client_batch.c.
 */
#include "client/client_mail.h"

#include <stdio.h>
#include <stdlib.h>

#include "client/client_template.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/random.h"
#include "lib/smtp/smtp_data.h"

static char *fill(const char *text, const struct client_template_values *values)
{
	struct buf out = BUF_MAX(CLIENT_MESSAGE_MAX);

	if (text == NULL)
		return NULL;
	client_template_fill(str_of(text), values, &out);
	return buf_take_text(&out);
}

/* The message with its texts filled in; they are freed by free_texts(). */
static struct client_message with_texts(const struct client_options *o, uint64_t n,
					const struct client_template_values *values)
{
	struct client_message m = o->message;

	m.subject = fill(m.subject, values);
	m.text = fill(m.text, values);
	m.html = fill(m.html, values);
	m.header.text = mem_array(m.header.n + 1, sizeof(*m.header.text));
	for (size_t i = 0; i < m.header.n; i++)
		m.header.text[i] = fill(o->message.header.text[i], values);
	if (m.to.n > 1) {
		m.to.text += (n - 1) % m.to.n;
		m.to.n = 1;
	}
	return m;
}

static void free_texts(struct client_message *m)
{
	free((char *)m->subject);
	free((char *)m->text);
	free((char *)m->html);
	for (size_t i = 0; i < m->header.n; i++)
		free((char *)m->header.text[i]);
	free(m->header.text);
}

static bool set_envelope(struct client_mail *mail, const struct client_message *m, struct err *err)
{
	size_t n = 0;

	if (!client_message_address(str_of(m->from), &mail->mail.from))
		return err_set(err, "\"%s\" is not an address", m->from);
	mail->to = mem_grow(mail->to, (m->to.n + m->cc.n) * sizeof(*mail->to));
	for (size_t i = 0; i < m->to.n + m->cc.n; i++) {
		const char *text = i < m->to.n ? m->to.text[i] : m->cc.text[i - m->to.n];

		if (!client_message_address(str_of(text), &mail->to[n++]))
			return err_set(err, "\"%s\" is not an address", text);
	}
	mail->mail.to = mail->to;
	mail->mail.n_to = n;
	return true;
}

static bool put_wire(struct client_mail *mail, struct str message, struct err *err)
{
	buf_reset(&mail->wire);
	mail->wire.max = 2 * (size_t)CLIENT_MESSAGE_MAX + 16;
	smtp_data_put(&mail->wire, message);
	if (mail->wire.is_full)
		return err_set(err, "the message is too large");
	mail->mail.head = (struct str){NULL, 0};
	mail->mail.body = buf_str(&mail->wire);
	mail->mail.is_8bit = !str_is_ascii(message);
	return true;
}

static void make_id(char *id, size_t size, struct str from)
{
	uint64_t r;

	random_fill(&r, sizeof(r));
	snprintf(id, size, "%llx.%016llx@%.*s", (unsigned long long)clock_wall(),
		 (unsigned long long)r,
		 STR_ARG(str_first(str_from(from, str_find(from, '@') + 1), 128)));
}

bool client_mail_make(struct client_mail *mail, const struct client_options *o, uint64_t n,
		      struct err *err)
{
	struct client_template_values values = {
		.n = n, .count = o->count, .time = clock_wall() / CLOCK_SECOND};
	struct buf message = BUF_MAX(CLIENT_MESSAGE_MAX);
	struct client_message m;
	char id[256];
	bool ok;

	random_fill(&values.random, sizeof(values.random));
	m = o->is_batch ? with_texts(o, n, &values) : o->message;
	ok = set_envelope(mail, &m, err);
	if (ok && o->eml.p != NULL) {
		ok = put_wire(mail, o->eml, err);
	} else if (ok) {
		make_id(id, sizeof(id), mail->mail.from);
		m.id = id;
		m.date = values.time;
		ok = client_message_build(&m, &message, err) &&
		     put_wire(mail, buf_str(&message), err);
	}
	buf_clear(&message);
	if (o->is_batch)
		free_texts(&m);
	return ok;
}

void client_mail_clear(struct client_mail *mail)
{
	buf_clear(&mail->wire);
	mem_free(&mail->to);
}
