/* SPDX-License-Identifier: Apache-2.0
 *
 * Who is to, cc and bcc, for providers whose API has no envelope of its own:
 * - an address of To or Cc that is not among the envelope's recipients is left out, for naming it would send to it
 * - a recipient that stands in no header goes as bcc, in an order of its own behind the others
 */
#ifndef DELIVER_PROVIDER_RECIPIENTS_H
#define DELIVER_PROVIDER_RECIPIENTS_H

#include "deliver/mime_message.h"
#include "deliver/provider.h"

enum provider_recipients_kind { PROVIDER_BCC, PROVIDER_TO, PROVIDER_CC };

struct provider_recipient {
	struct str address; /* as in the envelope */
	struct str name;    /* as in the header */
	enum provider_recipients_kind kind;
	unsigned order; /* in which the headers name them */
	uint16_t index; /* among the message's recipients; of repeated ones the first */
};

struct provider_recipients {
	struct provider_recipient list[IPC_RECIPIENTS_MAX];
	unsigned n;
	struct provider_recipient *sorted[IPC_RECIPIENTS_MAX]; /* in the order of the headers, the others behind; each address once */
	unsigned n_sorted;
	bool is_blind; /* no header names any of them: none may see another, so each needs a copy of its own */
};

/* Too large for the stack; free() it. Unless all are blind the first is PROVIDER_TO, for one is required (the first of
 * Cc when To names none of them). What cannot be shown as it was is noted. The message has at most IPC_RECIPIENTS_MAX. */
struct provider_recipients *provider_recipients_new(const struct provider_call *call, const struct mime_message *mime,
						    struct provider_request *request);
/* Does what a provider says name the address, in any case, and not as a piece of another? */
bool provider_recipients_is_named(struct str says, struct str address);
/* How many there are of a kind. */
unsigned provider_recipients_count(const struct provider_recipients *r, enum provider_recipients_kind kind);

#endif
