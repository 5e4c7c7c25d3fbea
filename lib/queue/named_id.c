/* SPDX-License-Identifier: Apache-2.0
 *
 * Kind, a NUL and the name, hashed.
 */
#include "lib/queue/named_id.h"

#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/trouble.h"
#include "lib/net/digest.h"

struct uuid named_id(const char *kind, struct str name)
{
	unsigned char hash[DIGEST_SHA256_SIZE];
	struct buf text = BUF_MAX(65536);
	struct uuid id;

	buf_put_text(&text, kind);
	buf_put_char(&text, '\0');
	buf_put_str(&text, name);
	must(!text.is_full);
	digest_sha256(buf_str(&text), hash);
	memcpy(id.b, hash, sizeof(id.b));
	id.b[6] = (unsigned char)(0x80 | (id.b[6] & 0x0f)); /* RFC 9562, 5.8 */
	id.b[8] = (unsigned char)(0x80 | (id.b[8] & 0x3f));
	buf_clear(&text);
	return id;
}
