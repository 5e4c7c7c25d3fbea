/* SPDX-License-Identifier: Apache-2.0
 *
 * Are the sections certificates, acme, aws and alerts complete and good, as far as they can be without asking anybody?
 */
#ifndef LIB_SETTINGS_SETTINGS_CERTIFICATE_CHECK_H
#define LIB_SETTINGS_SETTINGS_CERTIFICATE_CHECK_H

#include "lib/settings/settings_problem.h"

enum { SETTINGS_CERTIFICATE_NAMES = 100 /* that an authority takes in one order */ };

/* Everything that is wrong with them, each at its place. No secret is said. */
void settings_certificate_check_all(const struct settings *settings, struct settings_problems *problems);
/* A host's name as it stands in the DNS (A-labels, lower case), without a wildcard. NULL, or what is wrong with it. */
const char *settings_certificate_check_name(struct str name);

#endif
