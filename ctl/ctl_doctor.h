/* SPDX-License-Identifier: Apache-2.0
 *
 * smtp-proxyctl doctor: what its parts share. Each looks at one side of a host and says a line a thing, good or bad; none
 * of them ends the program.
 */
#ifndef CTL_CTL_DOCTOR_H
#define CTL_CTL_DOCTOR_H

#include <sys/stat.h>

#include "ctl/ctl_out.h"

enum ctl_doctor_level { CTL_DOCTOR_OK, CTL_DOCTOR_WARNING, CTL_DOCTOR_ERROR };

struct ctl_doctor {
	struct ctl *ctl;
	const struct settings *settings;
	const char *sql;   /* the directory of the schema files */
	int64_t long_time; /* microseconds: transactions that are open for longer are warned about */
	struct ctl_out *out;
	unsigned found[3]; /* by level */
};

/* A line: `check` is what was looked at ("database.clock"), the words say what was found, `advice` what to do about it. */
void ctl_doctor_say(struct ctl_doctor *d, enum ctl_doctor_level level, const char *check, const char *advice,
		    const char *format, ...) __attribute__((format(printf, 5, 6)));

/* About a file with a secret in it: nobody but its owner has to read it. */
void ctl_doctor_secret(struct ctl_doctor *d, const char *check, const char *path, const struct stat *st);

/* ctl_doctor_db.c: the database. ctl_doctor_host.c: files, Redis, the running service. */
void ctl_doctor_db_look(struct ctl_doctor *d);
void ctl_doctor_host_look(struct ctl_doctor *d);
/* ctl_doctor_cert.c: certificates on the disk; and, of a service that runs, what it does about them. */
void ctl_doctor_cert_look(struct ctl_doctor *d);
void ctl_doctor_cert_ask(struct ctl_doctor *d);

#endif
