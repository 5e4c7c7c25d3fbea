/* SPDX-License-Identifier: Apache-2.0
 *
 * "Did you mean": the name that an unknown one in the settings file is nearest to.
 */
#ifndef LIB_SETTINGS_SETTINGS_NEAREST_H
#define LIB_SETTINGS_SETTINGS_NEAREST_H

#include "lib/settings/settings.h"

/* The section with the nearest name; NULL when none is near. */
const char *settings_nearest_section(struct str name);
/* Puts the nearest setting into out as it is to be written ("workers", or "smtpd.workers" when it
 * belongs elsewhere). False when none is near. */
bool settings_nearest_setting(const char *section, struct str name, char *out, size_t size);
/* How many letters must be added, taken, changed or swapped with their neighbour to make b of a. */
unsigned settings_nearest_distance(struct str a, struct str b);

#endif
