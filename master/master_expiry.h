/* SPDX-License-Identifier: Apache-2.0
 *
 * How long certificates from files are good, for whoever watches the metrics; of those that are obtained by ACME cert-renewer
 * tells it.
 */
#ifndef MASTER_MASTER_EXPIRY_H
#define MASTER_MASTER_EXPIRY_H

struct master;

/* Now and then. */
void master_expiry_measure(const struct master *m);

#endif
