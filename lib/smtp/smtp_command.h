/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of a command line: verb, argument, path, ESMTP parameters (RFC 5321, 4.1.2). All borrowed from
 * the line.
 */
#ifndef LIB_SMTP_SMTP_COMMAND_H
#define LIB_SMTP_SMTP_COMMAND_H

#include <stdbool.h>

#include "lib/base/str.h"

struct smtp_command {
	struct str verb;     /* as it was written: compare with str_ieq() */
	struct str argument; /* without blanks around it */
};

void smtp_command_split(struct str line, struct smtp_command *command);

/* Splits "FROM:<path> parameters" (keyword FROM, in any case). Blanks after the colon are tolerated (Outlook
 * 365), so is a path without angle brackets; *path comes without them. False: it is not that. */
bool smtp_command_path(struct str argument, struct str keyword, struct str *path, struct str *parameters);

enum smtp_command_parameter { SMTP_COMMAND_NO_MORE, SMTP_COMMAND_PARAMETER, SMTP_COMMAND_MALFORMED };

/* Takes the next NAME or NAME=VALUE off *parameters; a missing value is the empty string with a NULL p. */
enum smtp_command_parameter smtp_command_next_parameter(struct str *parameters, struct str *name,
							struct str *value);

#endif
