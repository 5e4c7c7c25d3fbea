/* SPDX-License-Identifier: Apache-2.0
 *
 * What a SIGHUP changes: the settings, as far as they may change in service, and the TLS identity.
 */
#ifndef MASTER_MASTER_RELOAD_H
#define MASTER_MASTER_RELOAD_H

#include "lib/settings/settings.h"
#include "master/master.h"

/* Reads the file and works out the counts that are 0 ("one a processor core"). NULL: every error was logged,
 * and printed on standard error when `to_terminal`. */
struct settings *master_reload_read(const char *path, bool to_terminal);

/* Sets the log's format and level. */
void master_reload_log(const struct settings *settings);

/* Reads both again, keeps what is bad as it was, and tells the children. */
void master_reload_run(struct master *master);
/* Reads the certificates. True: they are others than before. is_asked as in master_identity.h. */
bool master_reload_identities(struct master *master, bool is_asked);
/* Certificates alone: reads them again, and hands them out when one is another. */
void master_reload_certificates(struct master *master);

#endif
