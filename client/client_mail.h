/* SPDX-License-Identifier: Apache-2.0
 *
 * A message ready for the wire, made from what the command line says.
 */
#ifndef CLIENT_CLIENT_MAIL_H
#define CLIENT_CLIENT_MAIL_H

#include "client/client_options.h"
#include "client/client_session.h"

struct client_mail {
	struct client_session_mail mail; /* borrows from the rest */
	struct str *to;
	struct buf wire;
};

/* Message number n (from 1). In a batch the words in braces are replaced and the To recipients take
 * turns. What `mail` held before is used again. False: err says what cannot be sent. */
bool client_mail_make(struct client_mail *mail, const struct client_options *options, uint64_t n,
		      struct err *err);
void client_mail_clear(struct client_mail *mail);

#endif
