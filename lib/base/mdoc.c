/* SPDX-License-Identifier: Apache-2.0
 *
 * Escaping for mdoc.
 */
#include "lib/base/mdoc.h"

void mdoc_put(struct buf *out, struct str text)
{
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];
		bool begins = out->n == 0 || out->p[out->n - 1] == '\n';

		if (begins && (c == '.' || c == '\''))
			buf_put_text(out, "\\&");
		if (c == '\\')
			buf_put_text(out, "\\e");
		else if (c == ' ' && i > 1 && text.p[i - 1] == '.' && i + 1 < text.n &&
			 text.p[i + 1] >= 'A' && text.p[i + 1] <= 'Z')
			buf_put_char(out, '\n');
		else
			buf_put_char(out, c);
	}
	buf_put_char(out, '\n');
}
