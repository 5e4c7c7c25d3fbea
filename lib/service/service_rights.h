/* SPDX-License-Identifier: Apache-2.0
 *
 * What a child may do: its user, root directory, limits and system calls; one row a role in
 * service_rights.c. Called by service.c between prepare() and start(), and by master to see that the
 * users exist.
 */
#ifndef LIB_SERVICE_SERVICE_RIGHTS_H
#define LIB_SERVICE_SERVICE_RIGHTS_H

#include <sys/types.h>

#include "lib/base/err.h"
#include "lib/ipc/ipc.h"
#include "lib/settings/settings.h"

/* Gives up every right that the role does not need, or dies. As an ordinary user the user and the root
 * directory stay, all else is the same. *database_host and *database_ca_file become what the settings
 * say, as seen from the new root directory (literals or the settings' own texts). */
void service_rights_drop(enum role role, const struct settings *settings, const char **database_host,
			 const char **database_ca_file);

/* The user that the role runs as, when master is root: "_sp-smtpd". False: err says how to make it. */
bool service_rights_check_user(enum role role, struct err *err);

/* Whose files are that the role writes, before it gives up its rights. */
void service_rights_user(enum role role, uid_t *user, gid_t *group);

/* For a process that only computes: gives up all but its memory and the descriptors that are open, or dies. As root it becomes the
 * user of cert-renewer, in a directory that is not there any more. */
void service_rights_drop_all(void);

#endif
