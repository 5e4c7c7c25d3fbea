/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the certificates are, and reading their bytes: files of the operator's, or those in cert-renewer's store, which are
 * opened as what they are: another user's.
 */
#ifndef MASTER_MASTER_FILES_H
#define MASTER_MASTER_FILES_H

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/settings/settings.h"

enum { MASTER_FILES_PEM_MAX = 100000 /* with an OCSP response it goes into an IDENTITY frame of ipc.def */, MASTER_FILES_OCSP_MAX = 16384 };

/* Texts are the settings'. */
struct master_files {
	const char *key;				/* in the section certificates; "": tls.certificate_file */
	const char *certificate, *private_key, *ocsp;	/* "": none; in the store: below STATE_DIR/certs/KEY */
	const char *state_dir;				/* NULL: not in the store */
};

enum master_files_result { MASTER_FILES_READ, MASTER_FILES_MISSING, MASTER_FILES_BAD };

/* tls.certificate_file, if any, then those of the section certificates. */
size_t master_files_count(const struct settings *settings);
struct master_files master_files_at(const struct settings *settings, size_t i);
/* Chain and key. MISSING: one that is not obtained yet. *is_open: others can read the key. */
enum master_files_result master_files_read_pem(const struct master_files *files, struct buf *pem, bool *is_open, struct err *err);
/* MISSING: there is none. */
enum master_files_result master_files_read_ocsp(const struct master_files *files, struct buf *der, struct err *err);
/* For people: which file a complaint is about. */
void master_files_name(const struct master_files *files, const char *file, struct buf *out);

#endif
