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
	uint32_t named; /* what of `own` comes from the text; nothing secret of the operator's goes with what it must not */
};

/* The file's provider (borrowed for the life of the credential) with what the text says. False: it is not good, or not
 * complete, for what says where to go or who one is never goes with the operator's secrets. settings_credential_clear() in
 * both cases. Nothing secret of the text stands in the error. */
bool settings_credential_apply(struct settings_credential *credential, const struct settings_provider *provider, struct str text,
			       struct err *err);
/* Does the text say which server to speak to? Then it is none of the operator's. */
bool settings_credential_has_server(const struct settings_credential *credential);
/* Wipes what came from the text. */
void settings_credential_clear(struct settings_credential *credential);
/* What the credential is sealed for (lib/net/seal.h): this tenant and provider only. */
void settings_credential_label(const struct uuid *tenant, struct str provider, struct buf *out);
/* May a credential have this setting? */
bool settings_credential_has(struct str name);

#endif
