/* SPDX-License-Identifier: Apache-2.0
 *
 * Where AWS credentials may be found: environment variables, and files that are read again when credentials are renewed.
 * Taken at the start, since later neither is to be seen; the meaning of all that is in aws_credentials.c.
 */
#ifndef LIB_AWS_AWS_SOURCES_H
#define LIB_AWS_AWS_SOURCES_H

#include <stdbool.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"

enum aws_variable {
#define AWS(constant, name) AWS_VARIABLE_##constant,
#include "lib/settings/settings_aws.def"
#undef AWS
	AWS_VARIABLES
};

enum aws_file { AWS_FILE_CREDENTIALS, AWS_FILE_CONFIG, AWS_FILE_WEB_IDENTITY, AWS_FILE_CONTAINER_TOKEN, AWS_FILES };

struct aws_sources {
	const char *variable[AWS_VARIABLES]; /* NULL: it is not set, or empty */
	struct {
		int directory; /* -1: the file was not there */
		int file;
		char *name;
	} file[AWS_FILES];
};

/* From the environment, which loses those with secrets, and the files that it names or that are in their usual places.
 * For prepare(). */
struct aws_sources *aws_sources_take(void);
void aws_sources_free(struct aws_sources **sources);
bool aws_sources_has(const struct aws_sources *sources, enum aws_file which);
/* The file as it is now, at most out->max bytes. */
bool aws_sources_read(const struct aws_sources *sources, enum aws_file which, struct buf *out, struct err *err);

#endif
