/* SPDX-License-Identifier: Apache-2.0
 *
 * The settings as the bytes that master sends to a child: only the rows that are for its role. Both
 * sides are the same build; a child of another build finds out by the table's checksum.
 */
#ifndef LIB_SETTINGS_SETTINGS_WIRE_H
#define LIB_SETTINGS_SETTINGS_WIRE_H

#include "lib/settings/settings.h"

enum { SETTINGS_WIRE_MAX = 131072 }; /* as IPC(SETTINGS) in lib/ipc/ipc.def */

/* `role` is an enum role of lib/ipc/ipc.h. False when `out` is full. What is written may hold secrets:
 * end the buf with buf_clear_secret(). */
bool settings_wire_put(const struct settings *settings, unsigned role, struct buf *out);
/* The caller's to free; NULL with err set when the bytes are not settings. */
struct settings *settings_wire_get(struct str bytes, struct err *err);

#endif
