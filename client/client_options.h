/* SPDX-License-Identifier: Apache-2.0
 *
 * What test-client was asked to do: its command line, checked.
 */
#ifndef CLIENT_CLIENT_OPTIONS_H
#define CLIENT_CLIENT_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "client/client_message.h"
#include "client/client_session.h"

struct client_options {
	bool is_batch;
	struct client_session_server server; /* tls is made by whoever connects */
	bool is_insecure;
	struct str ca; /* PEM text of the authorities; empty for the system's */
	struct client_message
		message; /* texts and attachments; id and date are set for each message */
	struct str eml;	 /* a whole message instead; p is NULL without */
	uint64_t count;
	double rate; /* messages a second; 0 for as fast as it goes */
	uint64_t connections;
	bool is_per_connection; /* a new connection for every message */
	bool is_verbose, is_json;
};

/* True: go on. False: *status is the exit status, everything has been said (also for --help).
 * Secrets given as arguments are copied and overwritten in argv. */
bool client_options_parse(int argc, char **argv, struct client_options *options, int *status);
void client_options_clear(struct client_options *options);

#endif
