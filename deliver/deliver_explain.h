/* SPDX-License-Identifier: Apache-2.0
 *
 * `deliver --explain`, for smtp-proxyctl explain: what would be sent to a provider for a message, and what of the message
 * that changes. Nothing is sent.
 */
#ifndef DELIVER_DELIVER_EXPLAIN_H
#define DELIVER_DELIVER_EXPLAIN_H

/* Reads the settings (lib/settings/settings_wire.h, for deliver), a job (ipc_put_job()) and the content of its message when
 * that is too large for the job, a blob each, from standard
 * input, and writes lines for people on standard output. Returns the exit status. */
int deliver_explain(void);

#endif
