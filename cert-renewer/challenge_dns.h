/* SPDX-License-Identifier: Apache-2.0
 *
 * dns-01 (RFC 8555, 8.4): a TXT record beside the name, by a program of the operator's (acme.dns_hook) or by updates
 * (RFC 2136, acme.dns_server), and the wait until the name servers show it.
 */
#ifndef CERT_RENEWER_CHALLENGE_DNS_H
#define CERT_RENEWER_CHALLENGE_DNS_H

#include "cert-renewer/challenge.h"

struct challenge_dns;

struct challenge_dns *challenge_dns_new(struct loop *loop, const struct settings *settings);
/* What is under way keeps those that it began with. */
void challenge_dns_use_settings(struct challenge_dns *dns, const struct settings *settings);
void challenge_dns_free(struct challenge_dns **dns);

/* fn is called once, perhaps before this returns, unless it is withdrawn first. Values for one name stand side by side. */
void challenge_dns_present(struct challenge_dns *dns, const struct challenge *challenge, challenge_fn *fn, void *ctx);
/* What was presented with this ctx: removes the record, however far it came, unless it was presented with another ctx too. That it
 * could not be done is logged. */
void challenge_dns_withdraw(struct challenge_dns *dns, const void *ctx);
/* No record is there, nor still being removed. */
bool challenge_dns_is_idle(const struct challenge_dns *dns);
/* Logs what is, or may be, there still: the process ends. */
void challenge_dns_say_left(const struct challenge_dns *dns);

#endif
