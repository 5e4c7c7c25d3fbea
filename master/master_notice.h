/* SPDX-License-Identifier: Apache-2.0
 *
 * What an operator should know of the service as it runs, in a few words: for the service manager's status and for smtp-proxyctl
 * status. Nothing: all is well.
 */
#ifndef MASTER_MASTER_NOTICE_H
#define MASTER_MASTER_NOTICE_H

#include "lib/base/buf.h"
#include "lib/base/str.h"

/* Whose word it is. */
enum master_notice {
	MASTER_NOTICE_CERTIFICATE,  /* what clients are shown */
	MASTER_NOTICE_PORT,	    /* a port that cannot be had */
	MASTER_NOTICE_CERT_RENEWER, /* what it says itself */
	MASTER_NOTICES
};

enum { MASTER_NOTICE_MAX = 1024 /* as NOTICE in ipc.def */ };

struct master_notices {
	char text[MASTER_NOTICES][MASTER_NOTICE_MAX + 1];
};

/* Empty: it has nothing to say (any more). Cut and made one printable line. */
void master_notice_set(struct master_notices *notices, enum master_notice which, struct str text);
/* Tells the service manager; for one that does not know yet. */
void master_notice_tell(const struct master_notices *notices);
/* All of them, with "; " between. */
void master_notice_put(const struct master_notices *notices, struct buf *out);

#endif
