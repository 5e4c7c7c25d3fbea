/* SPDX-License-Identifier: Apache-2.0
 *
 * A bounce message (RFC 3464, 3462; with addresses beyond ASCII RFC 6533) as octets. Pure.
 */
#ifndef QMGR_QMGR_BOUNCE_H
#define QMGR_QMGR_BOUNCE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/uuid.h"

/* What a sender asked for a recipient (RFC 3461), and for the whole message; see ipc_message.dsn. Borrowed, as xtext. */
struct qmgr_bounce_wish {
	bool is_never;	/* NOTIFY without FAILURE */
	bool is_headers; /* RET=HDRS */
	struct str orcpt, envid;
};

/* `recipient` is its index. */
struct qmgr_bounce_wish qmgr_bounce_wish(struct str dsn, unsigned recipient);

struct qmgr_bounce_recipient {
	struct str address, orcpt;
};

struct qmgr_bounce {
	struct uuid id;
	const char *host;		/* ours: who reports, and the Message-ID's */
	struct str from, to;		/* addresses */
	struct str envid;		/* xtext; empty: none was given */
	int64_t now, arrived_at;	/* wall clock, microseconds */
	const struct qmgr_bounce_recipient *recipients;
	unsigned n_recipients;
	uint32_t code;			/* why: the same for all of them */
	struct str status, reason;
	struct str content;		/* of the message that failed; may be gone */
	bool is_headers;		/* only its header is returned, as for a large one */
};

/* An address or the returned message is beyond ASCII: the bounce needs SMTPUTF8; BODY=8BITMIME. */
bool qmgr_bounce_is_utf8(const struct qmgr_bounce *b);
bool qmgr_bounce_is_8bit(const struct qmgr_bounce *b);
void qmgr_bounce_put(struct buf *out, const struct qmgr_bounce *b);

#endif
