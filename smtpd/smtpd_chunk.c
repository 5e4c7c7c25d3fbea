/* SPDX-License-Identifier: Apache-2.0
 *
 * Chunks. Whatever is wrong with one, as many octets as it said are taken off the input before it is answered: else
 * they would be read as commands.
 */
#include "smtpd/smtpd_chunk.h"

#include <stdio.h>

#include "smtpd/smtpd_mail.h"

/* The chunk's size, the largest there is when it is beyond counting. False: it is no number. */
static bool take_size(struct str *argument, uint64_t *size)
{
	struct str number = str_first(*argument, str_find(*argument, ' '));

	for (size_t i = 0; i < number.n; i++)
		if (number.p[i] < '0' || number.p[i] > '9')
			return false;
	*argument = str_trim(str_from(*argument, number.n));
	*size = UINT64_MAX;
	str_u64(number, 0, UINT64_MAX, size);
	return number.n > 0;
}

static void say(struct smtpd_proto *p, enum smtp_reply why)
{
	if (why == SMTP_REPLY_BAD_ARGUMENT)
		smtpd_proto_reply(p, why, STR("BDAT octets [LAST]"));
	else
		smtpd_proto_say(p, why);
}

/* RFC 3030, 2: after a refusal the message is lost and RSET is due; what was sent ahead is refused likewise. */
static void spoil(struct smtpd_proto *p, enum smtp_reply why)
{
	p->mail->refusal = why;
	p->refused++;
	smtpd_content_clear(&p->mail->content);
}

/* A chunk of the message of the transaction is complete. */
static void finish_kept(struct smtpd_proto *p)
{
	struct smtpd_mail *m = p->mail;
	enum smtp_reply why;
	char size[24];

	if (p->chunk.is_last) {
		smtpd_content_end(&m->content);
		smtpd_mail_complete(p);
		return;
	}
	smtpd_proto_enter(p, SMTPD_CHUNKS);
	why = smtpd_mail_refusal(p);
	if (why != SMTP_REPLY_NONE) {
		spoil(p, why);
		say(p, why);
		return;
	}
	snprintf(size, sizeof(size), "%llu", (unsigned long long)p->chunk.size);
	smtpd_proto_reply(p, SMTP_REPLY_CHUNK_OK, str_of(size));
}

static void finish_refused(struct smtpd_proto *p)
{
	struct smtpd_mail *m = p->mail;
	bool is_of_message = m != NULL && (p->state == SMTPD_RCPT || p->state == SMTPD_CHUNKS);
	bool is_again = is_of_message && m->refusal != SMTP_REPLY_NONE;
	unsigned errors = p->errors;

	if (is_of_message && !is_again) {
		spoil(p, p->chunk.why);
		smtpd_proto_enter(p, SMTPD_CHUNKS);
	}
	if (is_of_message && p->chunk.is_last)
		smtpd_proto_reset(p);
	say(p, p->chunk.why);
	if (is_again) /* one message is one error, however many chunks it has */
		p->errors = errors;
}

static void take(struct smtpd_proto *p, uint64_t n)
{
	p->chunk.left -= n;
	if (p->chunk.left > 0)
		return;
	p->chunk.is_coming = false;
	if (p->chunk.why != SMTP_REPLY_NONE)
		finish_refused(p);
	else
		finish_kept(p);
}

void smtpd_chunk_octets(struct smtpd_proto *p, struct str *input)
{
	struct str octets = str_first(*input, p->chunk.left < input->n ? (size_t)p->chunk.left : input->n);

	if (p->chunk.why == SMTP_REPLY_NONE)
		smtpd_content_take_chunk(&p->mail->content, octets);
	*input = str_from(*input, octets.n);
	take(p, octets.n);
}

/* An empty chunk is complete at once. */
static void begin(struct smtpd_proto *p, uint64_t size, bool is_last, enum smtp_reply why)
{
	p->chunk = (struct smtpd_chunk){
		.size = size, .left = size, .why = why, .is_coming = true, .is_last = is_last};
	take(p, 0);
}

void smtpd_chunk_refuse(struct smtpd_proto *p, struct str argument, enum smtp_reply why)
{
	uint64_t size;

	if (!take_size(&argument, &size))
		size = 0;
	begin(p, size, str_ieq(argument, STR("LAST")), why);
}

void smtpd_chunk_bdat(struct smtpd_proto *p, struct str argument)
{
	struct smtpd_mail *m = p->mail;
	struct str rest = argument;
	uint64_t size;

	if (!take_size(&rest, &size) || !(rest.n == 0 || str_ieq(rest, STR("LAST")))) {
		smtpd_chunk_refuse(p, argument, m->refusal != SMTP_REPLY_NONE ? m->refusal : SMTP_REPLY_BAD_ARGUMENT);
		return;
	}
	if (m->refusal == SMTP_REPLY_NONE && p->state == SMTPD_RCPT)
		smtpd_mail_begin(p);
	if (m->refusal == SMTP_REPLY_NONE)
		smtpd_proto_enter(p, SMTPD_DATA);
	begin(p, size, rest.n > 0, m->refusal);
}
