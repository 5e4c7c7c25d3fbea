/* SPDX-License-Identifier: Apache-2.0
 *
 * Programs of the operator's (acme.dns_hook, alerts.command). They cannot be run in here, so master does it, as our user
 * (master/master_run.c).
 */
#ifndef CERT_RENEWER_CERT_RUN_H
#define CERT_RENEWER_CERT_RUN_H

#include <stdbool.h>

#include "lib/ipc/ipc.h"
#include "lib/ipc/ipc_body.h"

/* ok: it ended with 0. `output` is what it said, or why it could not be run; printable. */
typedef void cert_run_fn(void *ctx, bool ok, const char *output);

/* At most IPC_RUN_ARGUMENTS arguments, copied. fn is called once, never before this returns; NULL: nobody wants to know.
 * Returns the run's number. */
uint64_t cert_run_start(enum ipc_program program, const struct str *arguments, unsigned n, cert_run_fn *fn, void *ctx);
/* fn will not be called; the program goes on. */
void cert_run_forget(uint64_t number);
/* A RUN_RESULT. False: it is none. */
bool cert_run_take(struct ipc_frame *frame);

#endif
