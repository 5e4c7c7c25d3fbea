/* SPDX-License-Identifier: Apache-2.0
 *
 * What becomes of the mail of a tenant that has it all sent to one address instead (tenant.redirect_to): a
 * message for that address only, once, with a field X-Original-To for each recipient who would have got it.
 */
#ifndef QMGR_QMGR_REDIRECT_H
#define QMGR_QMGR_REDIRECT_H

#include "lib/base/buf.h"
#include "lib/ipc/ipc_body.h"

/* Changes *m, whose content is in the file `fd` unless that is -1. `to` is borrowed by *m. The new content is in `content`
 * (whose maximum is over IPC_INLINE_MAX) when -1 is returned, else in the file that is returned, which the caller closes. */
int qmgr_redirect(const char *to, struct ipc_message *m, int fd, struct buf *content);

#endif
