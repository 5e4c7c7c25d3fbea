/* SPDX-License-Identifier: Apache-2.0
 *
 * Files in S3, or in what speaks like it (acme.backup_s3, section aws): PUT and GET.
 */
#ifndef CERT_RENEWER_S3_H
#define CERT_RENEWER_S3_H

#include <stdbool.h>

#include "lib/aws/aws_client.h"
#include "lib/base/buf.h"
#include "lib/settings/settings.h"

enum { S3_FILE_MAX = HTTP_CLIENT_BODY_MAX };

/* Where the file PREFIX/NAME/FILE is: its URL, as it is sent. By the name of the bucket's host, and by path at an endpoint of the
 * operator's or with dots in the bucket's name, for which no certificate is good. */
void s3_url(const struct settings *settings, struct str name, struct str file, struct buf *url);

/* GET: the file, and whether it is there at all. `why` is "" unless it failed. Borrowed. */
struct s3_answer {
	bool ok, is_there;
	struct str bytes;
	const char *why;
};

typedef void s3_fn(void *ctx, const struct s3_answer *answer);

/* All texts are copied. fn is called once, never before this returns. A file has at most S3_FILE_MAX octets. */
void s3_put(struct aws_client *client, const struct settings *settings, struct str url, struct str bytes, s3_fn *fn, void *ctx);
void s3_get(struct aws_client *client, const struct settings *settings, struct str url, s3_fn *fn, void *ctx);

#endif
