/* SPDX-License-Identifier: Apache-2.0
 *
 * What clients are shown while the first certificate is being obtained: one that nobody vouches for.
 */
#ifndef MASTER_MASTER_PLACEHOLDER_H
#define MASTER_MASTER_PLACEHOLDER_H

#include "lib/base/buf.h"
#include "lib/settings/settings.h"

/* Appends chain and key: PEM, secret. For this host's name and those of the certificates; good for 90 days. */
void master_placeholder_make(const struct settings *settings, struct buf *pem);

#endif
