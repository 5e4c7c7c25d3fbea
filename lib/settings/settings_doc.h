/* SPDX-License-Identifier: Apache-2.0
 *
 * The documents that are made from settings.def: conf/main.yaml and man/main.yaml.5. Both are
 * committed; a test compares them with what these functions write.
 */
#ifndef LIB_SETTINGS_SETTINGS_DOC_H
#define LIB_SETTINGS_SETTINGS_DOC_H

#include "lib/settings/settings.h"

/* A settings file with every setting, explained, at its default and commented out. */
void settings_doc_example(struct buf *out);
/* The manual page, in mdoc. */
void settings_doc_manual(struct buf *out);

#endif
