/* SPDX-License-Identifier: Apache-2.0
 *
 * What operators ask (smtp-proxyctl cert): "cert list", "cert renew KEY", "cert revoke KEY REASON", "cert rollover".
 */
#ifndef CERT_RENEWER_CERT_CONTROL_H
#define CERT_RENEWER_CERT_CONTROL_H

#include "cert-renewer/cert_jobs.h"

/* `json`: an object, with "error" when it was not done. Called once; of what the authority is asked for when it has answered, or takes its time. */
typedef void cert_control_fn(uint64_t id, struct str json);
void cert_control_ask(struct cert_parts *parts, struct cert_jobs *jobs, uint64_t id, struct str words, cert_control_fn *fn);

#endif
