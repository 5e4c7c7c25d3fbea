/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing the Received field.
 */
#include "smtpd/smtpd_trace.h"

#include "lib/net/addr.h"

/* The client's word for itself, without what means something in a header field. */
static void put_helo(struct buf *out, const char *helo)
{
	for (const char *c = helo; *c != '\0'; c++) {
		bool is_plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
				*c == '.' || *c == '-' || *c == '_' || *c == ':' || *c == '[' || *c == ']';

		buf_put_char(out, is_plain ? *c : '?');
	}
}

/* RFC 3848 and RFC 6531, 4.3: SMTP, ESMTP or UTF8SMTP, then S under TLS and A after AUTH. */
static void put_protocol(struct buf *out, const struct smtpd_proto *p)
{
	bool is_extended = p->is_extended || p->mail->is_utf8;

	buf_put_text(out, p->mail->is_utf8 ? "UTF8SMTP" : is_extended ? "ESMTP" : "SMTP");
	if (is_extended && p->tls_version != NULL)
		buf_put_char(out, 'S');
	if (is_extended && p->user != NULL)
		buf_put_char(out, 'A');
}

void smtpd_trace_put(struct buf *out, const struct smtpd_proto *p)
{
	const struct smtpd_mail *m = p->mail;
	char id[UUID_TEXT], date[SMTPD_CONTENT_DATE], client[ADDR_TEXT];

	buf_put_text(out, "Received: from ");
	put_helo(out, p->helo);
	buf_printf(out, " ([%s])\r\n\tby %s with ", addr_literal(str_of(p->client), client), p->rules->host_name);
	put_protocol(out, p);
	buf_printf(out, " id %s\r\n\t(%s %s)", uuid_format(&m->id, id), p->tls_version, p->tls_cipher);
	if (m->n_recipients == 1) /* of several, none may learn of the others (RFC 5321, 7.6) */
		buf_printf(out, "\r\n\tfor <%.*s>", STR_ARG(m->recipients[0]));
	buf_printf(out, ";\r\n\t%s\r\n", smtpd_content_date(p->now, date));
}
