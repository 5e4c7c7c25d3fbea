/* SPDX-License-Identifier: Apache-2.0
 *
 * Password hashes: crypt(3), yescrypt. The only file with libcrypt. Made by smtp-proxyctl, verified
 * by gate's threads: everything here may be called by several threads at once.
 */
#ifndef LIB_QUEUE_PASSWORD_H
#define LIB_QUEUE_PASSWORD_H

#include <stdbool.h>

#include "lib/base/err.h"
#include "lib/base/str.h"

enum {
	PASSWORD_MAX = 255, /* longer ones are refused when they are set, and never right */
	PASSWORD_HASH_MAX = 384,
};

/* The hash of a password with a fresh salt, as the table smtp_user keeps it, into
 * out[PASSWORD_HASH_MAX]. False: the password cannot be used (empty, too long, a NUL in it). */
bool password_hash(struct str password, char *out, struct err *err);

/* Is this the password of that hash? Takes as long as the hash's parameters say, in constant time
 * as far as the comparison goes. A hash that crypt(3) does not know is nobody's. */
bool password_is_right(struct str password, const char *hash);

#endif
