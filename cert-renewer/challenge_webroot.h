/* SPDX-License-Identifier: Apache-2.0
 *
 * http-01, answered by a web server of the operator's out of a directory (acme.webroot).
 */
#ifndef CERT_RENEWER_CHALLENGE_WEBROOT_H
#define CERT_RENEWER_CHALLENGE_WEBROOT_H

#include <stdbool.h>

#include "lib/base/err.h"
#include "lib/base/str.h"

/* `webroot` is the directory's descriptor. */
bool challenge_webroot_put(int webroot, struct str token, struct str key_authorization, struct err *err);
/* Also of what is not there. */
bool challenge_webroot_remove(int webroot, struct str token, struct err *err);

#endif
