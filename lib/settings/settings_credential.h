/* SPDX-License-Identifier: Apache-2.0
 *
 * A tenant's own credential for a provider: lines "name: value" with some of the provider's settings, which then go before
 * those of the file.
 */
#ifndef LIB_SETTINGS_SETTINGS_CREDENTIAL_H
#define LIB_SETTINGS_SETTINGS_CREDENTIAL_H

#include "lib/base/uuid.h"
#include "lib/settings/settings.h"

struct settings_credential {
	struct settings_provider provider; /* texts: of the file's provider or of `own`; borrowed */
	struct settings_provider own;
	bool is_own; /* there is something of the text in `own` */
};

/* The file's provider (borrowed for the life of the credential) with what the text says. settings_credential_clear() in
 * both cases. The text itself never stands in the error. */
bool settings_credential_apply(struct settings_credential *credential, const struct settings_provider *provider, struct str text,
			       struct err *err);
/* Wipes what came from the text. */
void settings_credential_clear(struct settings_credential *credential);
/* What the credential is sealed for (lib/net/seal.h): this tenant and provider only. */
void settings_credential_label(const struct uuid *tenant, struct str provider, struct buf *out);
/* May a credential have this setting? */
bool settings_credential_has(struct str name);

#endif
