/* SPDX-License-Identifier: Apache-2.0
 *
 * The certificates on this host's disk, STATE_DIR/certs:
 *
 *	NAME/tls.pem		key and chain, one file, so that they always belong together
 *	NAME/ocsp.der		its OCSP response
 *	NAME/state.json		cert_state.h
 *	NAME/history/		former tls.pem
 *	.accounts/		cert_account.h
 *
 * Each file is the old one or the new one, whatever happens at whatever moment: it is written under another name, synced, renamed, and
 * the directory synced. All are secret (0600, in directories with 0700). Failures are sentences with file and reason.
 */
#ifndef CERT_RENEWER_CERT_STORE_H
#define CERT_RENEWER_CERT_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/str.h"

enum { CERT_STORE_NAME = 128, CERT_STORE_SERIAL = 64 };

struct cert_store;

/* Still with master's rights: makes the directory where it is missing and gives it to the user. *directory is the caller's, and no other
 * process gets it meanwhile. */
bool cert_store_open(const char *state_dir, uid_t user, gid_t group, int *directory, struct err *err);
/* Takes the descriptor, and away what writers that were killed have left. state_dir is for error texts. */
struct cert_store *cert_store_new(int directory, const char *state_dir);
void cert_store_free(struct cert_store **store);

/* A name or file must be letters, digits, "-", "_", "."; a file does not begin with a dot. */
/* Appends the file, whole. When it is not there: true, and nothing is appended. */
bool cert_store_read(const struct cert_store *store, struct str name, const char *file, struct buf *out, struct err *err);
bool cert_store_write(const struct cert_store *store, struct str name, const char *file, struct str bytes, struct err *err);
/* True also when it was not there. */
bool cert_store_remove(const struct cert_store *store, struct str name, const char *file, struct err *err);

/* Puts a tls.pem that will be replaced into the history, as NOT_BEFORE-SERIAL.pem (doing it twice is doing it once), and takes away the
 * oldest there when they are more than `most`. */
bool cert_store_retire(const struct cert_store *store, struct str name, int64_t not_before, const char *serial, struct str pem,
		       unsigned most, struct err *err);

#endif
