/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers as people write them: "30s", "10MiB", "-1" is none of them. Used for values and for the
 * bounds in settings.def.
 */
#ifndef LIB_SETTINGS_SETTINGS_UNITS_H
#define LIB_SETTINGS_SETTINGS_UNITS_H

#include "lib/settings/settings.h"

/* Whether the type is a number: INT, SIZE or DURATION. */
bool settings_units_has(enum settings_type type);
/* False: not a number with one of the type's units, or too large for an int64_t. */
bool settings_units_parse(enum settings_type type, struct str text, int64_t *value);
/* With the largest unit that divides the value. */
void settings_units_format(enum settings_type type, int64_t value, struct buf *out);
/* How a value of the type looks, for error messages: "a size such as 64KiB or 10MiB". */
const char *settings_units_example(enum settings_type type);

#endif
