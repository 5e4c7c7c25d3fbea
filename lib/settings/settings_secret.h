/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a secret's value comes from: the settings file itself, a file of its own, or the environment.
 */
#ifndef LIB_SETTINGS_SETTINGS_SECRET_H
#define LIB_SETTINGS_SETTINGS_SECRET_H

#include "lib/settings/settings.h"

enum { SETTINGS_SECRET_MAX = 65536, SETTINGS_SECRET_READABLE = 0044 /* the mode of a file that others may read */ };

/* Puts the secret that `value` stands for into `out`: what is in the file for `file:PATH` (without the
 * newline at its end), the variable for `${NAME}`, else value itself. False: err says why; it never shows
 * the secret. `warning` is set (else its text is "") when others than the file's owner may read it. */
bool settings_secret_resolve(struct str value, struct buf *out, struct err *warning, struct err *err);
/* It is the secret itself. */
bool settings_secret_is_inline(struct str value);

#endif
