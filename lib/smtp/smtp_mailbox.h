/* SPDX-License-Identifier: Apache-2.0
 *
 * The addresses in a field such as From (RFC 5322, 3.4 and 4.4; RFC 6532): for deciding who a message says it is
 * from. Whatever some reader could take for an address is found, also where it must not stand.
 */
#ifndef LIB_SMTP_SMTP_MAILBOX_H
#define LIB_SMTP_SMTP_MAILBOX_H

#include <stdbool.h>

#include "lib/base/buf.h"

/* Appends the addresses of a field's body to `out`, a blank between each two, without comments, routes and needless
 * quotes; none holds a blank or a control character. False: some of it is no list of addresses, or readers may
 * differ about it, or `out` is full; then what is in `out` is not all. */
bool smtp_mailbox_list(struct str body, struct buf *out);

#endif
