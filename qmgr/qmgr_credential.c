/* SPDX-License-Identifier: Apache-2.0
 *
 * One look through a tenant's few lines.
 */
#include "qmgr/qmgr_credential.h"

#include "lib/base/encode.h"

static void put_bytes(struct buf *out, struct str hex)
{
	for (size_t i = 0; i + 1 < hex.n; i += 2)
		buf_put_u8(out, (uint8_t)(encode_hex_digit(hex.p[i]) << 4 | encode_hex_digit(hex.p[i + 1])));
}

void qmgr_credential_find(const char *lines, const char *provider, struct buf *out)
{
	struct str rest, line = STR("");

	if (lines == NULL || lines[0] == '\0')
		return;
	rest = str_of(lines);
	while (str_next(&rest, '\n', &line)) {
		/* A provider's key may have blanks; the hexadecimal digits have none. */
		size_t n = str_of(provider).n;

		if (line.n > n && line.p[n] == ' ' && str_eq(str_first(line, n), str_of(provider)) &&
		    str_find(str_from(line, n + 1), ' ') == line.n - n - 1) {
			put_bytes(out, str_from(line, n + 1));
			return;
		}
	}
}
