/* SPDX-License-Identifier: Apache-2.0
 *
 * test-client: sends test messages by SMTP. Needs nothing but its own program file.
 */
#include <stdio.h>
#include <sysexits.h>

#include "client/client_batch.h"
#include "client/client_options.h"
#include "client/client_report.h"
#include "client/client_send.h"

int main(int argc, char **argv)
{
	struct client_options options;
	struct err err;
	int status = EX_OK;

	if (client_options_parse(argc, argv, &options, &status)) {
		if (options.server.mode != CLIENT_SESSION_CLEAR)
			options.server.tls =
				tls_client_new(options.ca, options.is_insecure, TLS_1_2, &err);
		if (options.server.mode != CLIENT_SESSION_CLEAR && options.server.tls == NULL) {
			client_report_error("--ca: %s", err.text);
			status = EX_NOINPUT;
		} else {
			status = options.is_batch ? client_batch_run(&options)
						  : client_send_run(&options);
		}
		tls_client_free(&options.server.tls);
	}
	client_options_clear(&options);
	return status;
}
