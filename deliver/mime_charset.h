/* SPDX-License-Identifier: Apache-2.0
 *
 * Text of any charset to UTF-8, for the providers that take nothing else. The converters are loaded once,
 * while the file system can still be seen; a charset that is not among them is read as well as it can be.
 */
#ifndef DELIVER_MIME_CHARSET_H
#define DELIVER_MIME_CHARSET_H

#include <stdbool.h>

#include "lib/base/buf.h"

/* Loads the converters; call it before the root directory changes. Later calls do nothing. */
void mime_charset_prepare(void);

/* `bytes` in UTF-8: as they are when they are that already (no copy), else appended to `out`, which must
 * have been empty. What cannot be read becomes U+FFFD and sets *is_lossy; is_lossy may be NULL. */
struct str mime_charset_to_utf8(struct str bytes, struct str charset, struct buf *out, bool *is_lossy);

#endif
