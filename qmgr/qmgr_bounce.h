/* SPDX-License-Identifier: Apache-2.0
 *
 * A delivery report (RFC 3464, 3462; with addresses beyond ASCII RFC 6533) as octets. Pure.
 */
#ifndef QMGR_QMGR_BOUNCE_H
#define QMGR_QMGR_BOUNCE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/uuid.h"
#include "lib/ipc/ipc_body.h"

/* What became of a recipient. */
enum qmgr_bounce_action {
	QMGR_BOUNCE_FAILED,
	QMGR_BOUNCE_DELAYED, /* NOTIFY=DELAY */
	QMGR_BOUNCE_RELAYED, /* NOTIFY=SUCCESS: who has it now says nothing more */
	QMGR_BOUNCE_ACTIONS
};

/* What a sender asked for a recipient (RFC 3461), and for the whole message; see ipc_message.dsn. Borrowed, as xtext. */
struct qmgr_bounce_wish {
	bool wants[QMGR_BOUNCE_ACTIONS]; /* to be told of these */
	bool is_headers; /* RET=HDRS */
	struct str orcpt, envid;
};

/* By the recipient's index: wishes[IPC_RECIPIENTS_MAX]. */
void qmgr_bounce_wishes(struct str dsn, struct qmgr_bounce_wish *wishes);

struct qmgr_bounce_recipient {
	struct str address, orcpt;
	enum qmgr_bounce_action action;
	uint32_t code;
	struct str status, reason; /* the provider's */
};

struct qmgr_bounce {
	struct uuid id;
	const char *host;		/* ours: who reports, and the Message-ID's */
	struct str from, to;		/* addresses */
	struct str envid;		/* xtext; empty: none was given */
	int64_t now, arrived_at;	/* wall clock, microseconds */
	const struct qmgr_bounce_recipient *recipients;
	unsigned n_recipients;		/* at least one */
	int64_t retry_until;		/* for those DELAYED; 0: it is not known */
	struct str content;		/* of the message that it is about; may be gone */
	bool is_headers;		/* only its header is returned, as for a large one, or when nobody FAILED */
};

/* An address or the returned message is beyond ASCII: the bounce needs SMTPUTF8; BODY=8BITMIME. */
bool qmgr_bounce_is_utf8(const struct qmgr_bounce *b);
bool qmgr_bounce_is_8bit(const struct qmgr_bounce *b);
void qmgr_bounce_put(struct buf *out, const struct qmgr_bounce *b);

#endif
