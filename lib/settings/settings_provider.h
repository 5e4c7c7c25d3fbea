/* SPDX-License-Identifier: Apache-2.0
 *
 * What the providers' APIs take, where more than one program has to know it: the table settings_provider.def.
 */
#ifndef LIB_SETTINGS_SETTINGS_PROVIDER_H
#define LIB_SETTINGS_SETTINGS_PROVIDER_H

#include "lib/base/clock.h"
#include "lib/settings/settings.h"

/* How long a call that `repeats` is known by its key (microseconds). */
#define SETTINGS_PROVIDER_REPEATS (24 * 3600 * CLOCK_SECOND)

struct settings_provider_kind {
	const char *name;
	bool is_raw, has_envelope, has_utf8, has_inlines, repeats;
	unsigned recipients;
	int64_t size;
	const char *needs;
};

/* Of a type (PROVIDER_FILE, ...). Never NULL. */
const struct settings_provider_kind *settings_provider_kind(int type);

/* How many recipients one call has at most: what the API takes, or fewer when the settings say so. UINT_MAX: any number. */
unsigned settings_provider_recipients(const struct settings_provider *provider);

/* Does a provider take its AWS credentials from the environment, files or the host? deliver is given what is needed then. */
bool settings_provider_wants_aws(const struct settings *settings);

/* For what outlives a reload: a copy that settings_provider_free() frees (and wipes: there are keys in it). */
struct settings_provider *settings_provider_copy(const struct settings_provider *provider);
void settings_provider_free(struct settings_provider **provider);
/* The same key and the same settings. */
bool settings_provider_same(const struct settings_provider *a, const struct settings_provider *b);

#endif
