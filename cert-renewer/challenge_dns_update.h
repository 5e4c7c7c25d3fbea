/* SPDX-License-Identifier: Apache-2.0
 *
 * One TXT record on a name server that takes updates (acme.dns_server; RFC 2136): where it belongs is found out first.
 */
#ifndef CERT_RENEWER_CHALLENGE_DNS_UPDATE_H
#define CERT_RENEWER_CHALLENGE_DNS_UPDATE_H

#include "cert-renewer/challenge.h"
#include "cert-renewer/dns_client.h"

struct challenge_dns_update;

/* The client is borrowed for life; what it needs of the settings is copied. NULL: they make no sense, err says why. */
struct challenge_dns_update *challenge_dns_update_new(struct dns_client *client, const struct settings *settings, struct err *err);
void challenge_dns_update_free(struct challenge_dns_update **update);

/* fn is called once, perhaps before this returns. */
void challenge_dns_update_add(struct challenge_dns_update *update, const char *record, const char *value, challenge_fn *fn,
			      void *ctx);
/* What was to be added, when its fn was called; in it too. */
void challenge_dns_update_remove(struct challenge_dns_update *update, challenge_fn *fn, void *ctx);
/* Where it was added: not at its own name when a CNAME leads elsewhere. */
char *challenge_dns_update_record(const struct challenge_dns_update *update, char out[DNS_NAME_TEXT]);

#endif
