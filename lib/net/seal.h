/* SPDX-License-Identifier: Apache-2.0
 *
 * Secrets at rest: sealed with AES-256-GCM under a key that is not kept beside them. What is sealed for one purpose (the
 * label) does not open for another.
 */
#ifndef LIB_NET_SEAL_H
#define LIB_NET_SEAL_H

#include <stdbool.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"

enum { SEAL_KEY = 32, SEAL_OVERHEAD = 1 + 4 + 12 + 16 };

struct seal_key {
	unsigned char bytes[SEAL_KEY];
};

/* From its 64 hexadecimal digits; blanks around them do not count. */
bool seal_key_parse(struct str text, struct seal_key *key, struct err *err);
/* Appends SEAL_OVERHEAD octets more than `secret` has. */
void seal_close(const struct seal_key *key, struct str label, struct str secret, struct buf *out);
/* Appends the secret. False: another key or label, or damaged. */
bool seal_open(const struct seal_key *key, struct str label, struct str sealed, struct buf *out, struct err *err);
/* Was it sealed with this key? (Not proof that it opens.) */
bool seal_is_by(const struct seal_key *key, struct str sealed);

#endif
