/* SPDX-License-Identifier: Apache-2.0
 *
 * What all certificates have in common: made once by cert_renewer_main.c, borrowed by whoever works on one.
 */
#ifndef CERT_RENEWER_CERT_PARTS_H
#define CERT_RENEWER_CERT_PARTS_H

#include "cert-renewer/cert_account.h"
#include "cert-renewer/cert_alert.h"
#include "cert-renewer/cert_backup.h"
#include "cert-renewer/cert_share.h"
#include "cert-renewer/cert_store.h"
#include "cert-renewer/challenge.h"
#include "lib/net/http_client.h"
#include "lib/net/loop.h"
#include "lib/settings/settings.h"

struct cert_parts {
	struct loop *loop;
	const struct settings *settings; /* replaced on reload */
	struct cert_store *store;
	struct cert_account *account;
	struct challenges *challenges;
	struct cert_share *share;
	struct cert_backup *backup;
	struct cert_alert *alert;
	struct http_client *http; /* trusts acme.ca_file */
	const char *host_name;
};

#endif
