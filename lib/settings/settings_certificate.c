/* SPDX-License-Identifier: Apache-2.0
 *
 * Pure.
 */
#include "lib/settings/settings_certificate.h"

#include <string.h>

const char *settings_certificate_known_directory(const char *name)
{
	static const struct {
		const char *name, *url;
	} known[] = {
#define DIRECTORY(name, url) {name, url},
		SETTINGS_CERTIFICATE_DIRECTORIES(DIRECTORY)
#undef DIRECTORY
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(name, known[i].name) == 0)
			return known[i].url;
	return NULL;
}

struct str settings_certificate_names(const struct settings_certificate *certificate)
{
	struct str names = str_trim(str_of(certificate->names));

	return names.n > 0 ? names : str_of(certificate->key);
}

bool settings_certificate_has_acme(const struct settings *settings)
{
	for (size_t i = 0; i < settings->n_certificate; i++)
		if (settings->certificate[i].from == CERTIFICATE_ACME)
			return true;
	return false;
}

bool settings_certificate_wants_port(const struct settings *settings, int challenge)
{
	if (challenge == CHALLENGE_HTTP_01 && settings->acme.webroot[0] != '\0')
		return false;
	for (size_t i = 0; i < settings->n_certificate; i++)
		if (settings->certificate[i].from == CERTIFICATE_ACME && settings->certificate[i].challenge == challenge)
			return challenge != CHALLENGE_DNS_01;
	return false;
}

bool settings_certificate_wants_aws(const struct settings *settings)
{
	return settings->aws.credentials != AWS_SETTINGS && settings_certificate_has_acme(settings) &&
	       (settings->acme.backup_s3[0] != '\0' || settings->alerts.sns_topic[0] != '\0');
}
