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

/* The text as encoded words (UTF-8, Q), of what may stand in a phrase as it is (RFC 2047, 5 (3)), `between` between two; a
 * character is not divided. Line ends in it go: blanks between words are none (6.2), so those of the text are in them. */
void mime_words_put(struct buf *out, struct str text, const char *between);

#endif
