/* SPDX-License-Identifier: Apache-2.0
 *
 * Encoded words (RFC 2047) as they are met, put so that GMime reads them.
 */
#ifndef DELIVER_MIME_WORDS_H
#define DELIVER_MIME_WORDS_H

#include "lib/base/buf.h"

/* The value with each run of base64 words of one charset made a single word: GMime 3.2 decodes such a run as one stream,
 * and loses what stands behind the first padding; and a character may be split between two words. As it is (no copy) when
 * there is no such run, else in `out`, which must have been empty. */
struct str mime_words_join(struct str value, struct buf *out);

#endif
