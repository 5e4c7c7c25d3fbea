/* SPDX-License-Identifier: Apache-2.0
 *
 * One spelling for each mailbox, so that lists of addresses (suppression) find it however it is written: ASCII letters are
 * small, a local part has quotes only where it needs them, and a domain's A-labels are U-labels. Pure.
 *
 * Other letters stay as they are: their case and composition only tables of Unicode know. Of these the database has the one
 * for case, which whoever compares must use.
 */
#ifndef LIB_SMTP_SMTP_CANONICAL_H
#define LIB_SMTP_SMTP_CANONICAL_H

#include <stdbool.h>

#include "lib/base/buf.h"

enum { SMTP_CANONICAL_MAX = 320 }; /* octets of what is put */

/* Puts a mailbox, or @domain for all of a domain. False: it is neither, and nothing was put. */
bool smtp_canonical_address(struct str address, struct buf *out);

#endif
