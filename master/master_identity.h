/* SPDX-License-Identifier: Apache-2.0
 *
 * The TLS identity: certificates with their keys and OCSP responses, and the authorities for client certificates. They are
 * read from their files and checked before any worker gets them.
 */
#ifndef MASTER_MASTER_IDENTITY_H
#define MASTER_MASTER_IDENTITY_H

#include "lib/base/buf.h"
#include "lib/ipc/ipc.h"
#include "lib/net/tls_certificate.h"
#include "lib/settings/settings.h"

struct master_identity {
	char key[SETTINGS_KEY]; /* in the section certificates; empty: tls.certificate_file */
	struct buf pem;		/* chain and key; secret */
	struct buf ocsp;	/* DER; empty when there is none */
	struct tls_certificate certificate;
};

struct master_refused;

struct master_identities {
	struct master_identity *one; /* the first is for clients that name no known host */
	size_t n;
	bool is_placeholder; /* the only one is ours, until there is one of the settings' */
	struct buf client_trust; /* PEM */
	/* What was refused lately is not looked at again while it is the same, unless an operator asks. */
	struct master_refused *refused;
	size_t n_refused;
	bool is_unfinished; /* there was no time for some: it is to be loaded again */
};

/* Says what is wrong with the files, a call each; false when something is. Without `all` only what nothing can be started
 * without: tls.certificate_file (or one at all), and the authorities, if any. */
bool master_identity_check(const struct settings *settings, bool all, void (*complain)(const char *what));
/* Reads the files. What is wrong is logged and counted, and what was there before stays. True: something has changed. is_asked: by an
 * operator, who wants to hear what has not, too; else by cert-renewer, for which there is less time, and the authorities for client
 * certificates are not read. */
bool master_identity_load(struct master_identities *identities, const struct settings *settings, bool is_asked);
/* What an operator should know of them; "": nothing. */
const char *master_identity_trouble(const struct master_identities *identities);
void master_identity_send(const struct master_identities *identities, struct ipc_peer *smtpd);
void master_identity_clear(struct master_identities *identities);

#endif
