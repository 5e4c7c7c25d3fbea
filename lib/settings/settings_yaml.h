/* SPDX-License-Identifier: Apache-2.0
 *
 * main.yaml into a struct settings. The only file that knows libyaml.
 */
#ifndef LIB_SETTINGS_SETTINGS_YAML_H
#define LIB_SETTINGS_SETTINGS_YAML_H

#include "lib/settings/settings_problem.h"

enum { SETTINGS_YAML_MAX = 1 << 20 };

/* What a secret's text stands for: settings_secret_resolve(), or less in a fuzzer. */
typedef bool settings_yaml_secret_fn(struct str value, struct buf *out, struct err *warning,
				     struct err *err);

/* Sets what the bytes say on top of the defaults in `settings`, adds every problem it finds and marks
 * the place of every setting. Values are checked one by one; settings_check() looks at the whole. False:
 * the bytes are no YAML, and what follows the place that the last problem names was not read. */
bool settings_yaml_parse(struct str bytes, settings_yaml_secret_fn *secret, struct settings *settings,
			 struct settings_problems *problems);

#endif
