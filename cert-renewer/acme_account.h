/* SPDX-License-Identifier: Apache-2.0
 *
 * What an authority, and our account there, are (RFC 8555, 7.1.1 and 7.3): the inside of struct acme.
 */
#ifndef CERT_RENEWER_ACME_ACCOUNT_H
#define CERT_RENEWER_ACME_ACCOUNT_H

#include "cert-renewer/acme_op.h"

struct acme {
	struct acme_session session;
	char *directory;
	bool agrees;
	char *contact;
	char *eab_key_id;
	struct buf eab_key; /* secret; as it stands in the settings */
	void (*on_account)(void *ctx, struct str url);
	void *ctx;
	struct acme_call *call;	 /* for directory or account */
	struct loop_timer *timer; /* operations wait */
	struct acme_op *ops;
};

/* Looks after operations that wait: directory, account, then they go on. */
void acme_account_look_after(struct acme *acme);
/* The account is not known any more. */
void acme_account_forget(struct acme *acme);

#endif
