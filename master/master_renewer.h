/* SPDX-License-Identifier: Apache-2.0
 *
 * What cert-renewer wants of master: its certificates taken into use, its notice shown, a program of the operator's run.
 */
#ifndef MASTER_MASTER_RENEWER_H
#define MASTER_MASTER_RENEWER_H

#include "master/master_children.h"

struct master_renewer;

struct master_renewer *master_renewer_new(struct master *master);
void master_renewer_free(struct master_renewer **renewer);
/* False: the frame is not as it must be. */
bool master_renewer_take(struct master_renewer *renewer, const struct master_child *child, struct ipc_frame *frame);

/* A process that is none of the children has ended. */
void master_renewer_ended(struct master_renewer *renewer, pid_t pid, int status);

#endif
