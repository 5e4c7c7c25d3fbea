/* SPDX-License-Identifier: Apache-2.0
 *
 * Text in manual pages, for those that are made from a table.
 */
#ifndef LIB_BASE_MDOC_H
#define LIB_BASE_MDOC_H

#include "lib/base/buf.h"

/* The text as lines of mdoc: nothing in it is a command, and each sentence begins a line. */
void mdoc_put(struct buf *out, struct str text);

#endif
