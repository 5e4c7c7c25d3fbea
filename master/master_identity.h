/* SPDX-License-Identifier: Apache-2.0
 *
 * The TLS identity: certificate chain and private key from their files, checked before anybody uses them.
 */
#ifndef MASTER_MASTER_IDENTITY_H
#define MASTER_MASTER_IDENTITY_H

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/net/tls.h"
#include "lib/settings/settings.h"

/* Puts chain and key as PEM into `pem` (born by the caller with MASTER_IDENTITY_MAX; ended with
 * buf_clear_secret()). False: err says what is wrong with which file. */
bool master_identity_read(const struct settings *settings, struct buf *pem,
			  struct tls_certificate *certificate, struct err *err);

enum { MASTER_IDENTITY_MAX = 131000 }; /* an IDENTITY frame of lib/ipc/ipc.def has room for it */

#endif
