/* SPDX-License-Identifier: Apache-2.0
 *
 * What the sections certificates, acme and alerts come to, where more than one program has to know it.
 */
#ifndef LIB_SETTINGS_SETTINGS_CERTIFICATE_H
#define LIB_SETTINGS_SETTINGS_CERTIFICATE_H

#include "lib/settings/settings.h"

/* The authorities that acme.directory may name without their URL: DIRECTORY(name, URL). */
#define SETTINGS_CERTIFICATE_DIRECTORIES(DIRECTORY)                                              \
	DIRECTORY("letsencrypt", "https://acme-v02.api.letsencrypt.org/directory")                \
	DIRECTORY("letsencrypt-staging", "https://acme-staging-v02.api.letsencrypt.org/directory")

/* NULL: none of them has this name. */
const char *settings_certificate_known_directory(const char *name);

/* Its DNS names with blanks between: `names`, or else its key. */
struct str settings_certificate_names(const struct settings_certificate *certificate);

/* Is there one that we obtain ourselves? */
bool settings_certificate_has_acme(const struct settings *settings);

/* Does one of them want a port of ours for this challenge: acme.http_port (CHALLENGE_HTTP_01), acme.alpn_port
 * (CHALLENGE_TLS_ALPN_01)? master binds it then, and hands it to cert-renewer; both close it when it is wanted no more. */
bool settings_certificate_wants_port(const struct settings *settings, int challenge);

/* Does cert-renewer take AWS credentials from the environment, files or the host? It is given what is needed then. */
bool settings_certificate_wants_aws(const struct settings *settings);

#endif
