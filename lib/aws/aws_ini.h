/* SPDX-License-Identifier: Apache-2.0
 *
 * AWS's shared files (~/.aws/credentials, ~/.aws/config): sections, and below them NAME = VALUE. Pure.
 */
#ifndef LIB_AWS_AWS_INI_H
#define LIB_AWS_AWS_INI_H

#include <stdbool.h>

#include "lib/base/str.h"

/* The value of a name (any case) in the section [section]; the last one counts. False: there is none, or it is empty. */
bool aws_ini_find(struct str text, struct str section, const char *name, struct str *value);

#endif
