/* SPDX-License-Identifier: Apache-2.0
 *
 * The senders that an SMTP user is restricted to. Pure.
 */
#ifndef SMTPD_SMTPD_SENDER_H
#define SMTPD_SMTPD_SENDER_H

#include <stdbool.h>

#include "lib/base/buf.h"

/* `senders`: addresses and @domains, blanks between (ipc_auth_result.senders); NULL or empty: any. Domains compare
 * without case, local parts with it. The empty mailbox, the null sender, is always permitted. */
bool smtpd_sender_is_permitted(const char *senders, struct str mailbox);
/* The first of the addresses (blanks between) that is not permitted: false, and it is appended to `stranger`,
 * in printable ASCII. No address at all is not permitted either, nor addresses that may not be all
 * (is_odd), when there is a restriction. */
bool smtpd_sender_are_permitted(const char *senders, struct str addresses, bool is_odd, struct buf *stranger);

#endif
