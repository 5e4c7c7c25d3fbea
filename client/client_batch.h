/* SPDX-License-Identifier: Apache-2.0
 *
 * test-client batch: many messages, at a rate or as fast as they go, and how long each step took.
 */
#ifndef CLIENT_CLIENT_BATCH_H
#define CLIENT_CLIENT_BATCH_H

#include "client/client_options.h"

/* Returns the exit status; everything has been said. */
int client_batch_run(const struct client_options *options);

#endif
