/* SPDX-License-Identifier: Apache-2.0
 *
 * Which senders a user may use. Pure.
 */
#include "smtpd/smtpd_sender.h"

#include "lib/smtp/smtp_address.h"

/* From the last @ on. */
static struct str domain_of(struct str mailbox)
{
	size_t at = mailbox.n;

	while (at > 0 && mailbox.p[at - 1] != '@')
		at--;
	return str_from(mailbox, at > 0 ? at - 1 : mailbox.n);
}

/* The next word of *rest; words are parted by any number of blanks. */
static bool next_word(struct str *rest, struct str *word)
{
	*rest = str_trim(*rest);
	*word = str_first(*rest, str_find(*rest, ' '));
	*rest = str_from(*rest, word->n);
	return word->n > 0;
}

static bool is_restricted(const char *senders)
{
	return senders != NULL && str_trim(str_of(senders)).n > 0;
}

bool smtpd_sender_is_permitted(const char *senders, struct str mailbox)
{
	struct str rest = str_of(senders), one;

	if (!is_restricted(senders) || mailbox.n == 0)
		return true;
	while (next_word(&rest, &one))
		if (one.p[0] == '@' ? str_ieq(one, domain_of(mailbox)) : smtp_address_eq(one, mailbox))
			return true;
	return false;
}

bool smtpd_sender_are_permitted(const char *senders, struct str addresses, bool is_odd, struct buf *stranger)
{
	struct str one;
	bool is_any = false;

	if (!is_restricted(senders))
		return true;
	for (; next_word(&addresses, &one); is_any = true)
		if (!smtpd_sender_is_permitted(senders, one)) {
			for (size_t i = 0; i < one.n; i++)
				buf_put_char(stranger, one.p[i] > ' ' && one.p[i] <= '~' ? one.p[i] : '?');
			return false;
		}
	if (is_odd)
		buf_put_text(stranger, "somebody: not every address in From and Sender can be made out");
	else if (!is_any)
		buf_put_text(stranger, "nobody: the message has no address in From");
	return is_any && !is_odd;
}
