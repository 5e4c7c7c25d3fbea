/* SPDX-License-Identifier: Apache-2.0
 *
 * test-client send: one message.
 */
#ifndef CLIENT_CLIENT_SEND_H
#define CLIENT_CLIENT_SEND_H

#include "client/client_options.h"

/* Returns the exit status; everything has been said. */
int client_send_run(const struct client_options *options);

#endif
