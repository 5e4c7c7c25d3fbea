/* SPDX-License-Identifier: Apache-2.0
 *
 * Copies of the store elsewhere: a directory (acme.backup_directory), S3 (acme.backup_s3), both, or none. A host without a
 * certificate takes it from there, and one whose certificate another host has renewed.
 */
#ifndef CERT_RENEWER_CERT_BACKUP_H
#define CERT_RENEWER_CERT_BACKUP_H

#include <stdbool.h>

#include "lib/base/buf.h"
#include "lib/net/http_client.h"
#include "lib/net/loop.h"
#include "lib/settings/settings.h"

struct aws_sources;
struct cert_backup;

struct cert_backup_config {
	struct loop *loop;
	struct http_client *http;	  /* trusts alerts.ca_file */
	const struct settings *settings;  /* replaced with cert_backup_use_settings() */
	const struct aws_sources *aws;	  /* NULL: none */
	int directory;			  /* acme.backup_directory, opened; -1: it is not */
};

/* All of the config is borrowed for life. */
struct cert_backup *cert_backup_new(const struct cert_backup_config *config);
void cert_backup_use_settings(struct cert_backup *backup, const struct settings *settings);
/* Ends all that is under way, without a word to its owners. */
void cert_backup_free(struct cert_backup **backup);
/* Is there anything to copy to? */
bool cert_backup_is_wanted(const struct cert_backup *backup);

/* ok: it is in every place that the settings name; else `why` says what is wrong with which. A failure of one place keeps it from no
 * other. */
typedef void cert_backup_put_fn(void *ctx, bool ok, const char *why);
/* The file "NAME/FILE" (as cert_file_is_name() wants both; more than S3_FILE_MAX octets are a failure), whole or not at all. `bytes` are
 * copied. fn is called once, never before this returns. */
void cert_backup_put(struct cert_backup *backup, struct str name, struct str file, struct str bytes, cert_backup_put_fn *fn,
		     void *ctx);
/* Once for each place that has the file (the newest is for the caller to tell; `where` is its setting's name), then with bytes empty:
 * that was all; `why` says what went wrong meanwhile, or "". */
typedef void cert_backup_get_fn(void *ctx, struct str bytes, const char *where, const char *why);
void cert_backup_get(struct cert_backup *backup, struct str name, struct str file, cert_backup_get_fn *fn, void *ctx);

#endif
