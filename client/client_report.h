/* SPDX-License-Identifier: Apache-2.0
 *
 * How test-client speaks to people and programs: error lines, the dialogue, pieces of JSON.
 */
#ifndef CLIENT_CLIENT_REPORT_H
#define CLIENT_CLIENT_REPORT_H

#include "client/client_session.h"
#include "client/client_stats.h"
#include "lib/base/buf.h"

/* A line of the dialogue on standard error: the on_line event of sessions with --verbose. */
void client_report_line(void *ctx, bool is_from_server, struct str line);
/* "test-client: ..." on standard error. */
void client_report_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The exit status that goes with a reply that refuses a message. */
int client_report_status(unsigned code);

/* Appends a JSON string, quoted; what is not UTF-8 becomes U+FFFD. */
void client_report_json_text(struct buf *out, struct str text);
/* Appends {"n":..,"mean":..,"p50":..,...}, in milliseconds. */
void client_report_json_stats(struct buf *out, const struct client_stats_summary *summary);

#endif
