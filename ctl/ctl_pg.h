/* SPDX-License-Identifier: Apache-2.0
 *
 * The database for the subcommands of smtp-proxyctl: statements one after the other, as the role
 * that owns the tables. What fails ends the program with ctl_fail(): 75 when the database cannot be
 * reached or went away, 69 when the schema is not there, 77 without the right, 70 for every other
 * refusal that was not asked for.
 */
#ifndef CTL_CTL_PG_H
#define CTL_CTL_PG_H

#include "ctl/ctl.h"
#include "lib/queue/pg.h"

struct ctl_pg;

/* Connects with the settings' database section. */
struct ctl_pg *ctl_pg_open(struct ctl *ctl);
/* The same as any role, but NULL with *err when it cannot be reached. */
struct ctl_pg *ctl_pg_try_open(struct ctl *ctl, const char *user, const char *password, struct err *err);
void ctl_pg_close(struct ctl_pg **db);

/* Runs a statement (its own transaction unless BEGIN was run) and waits for it. The parameters may
 * be NULL; they are emptied. The result is valid until the next statement. */
const struct pg_result *ctl_pg_run(struct ctl_pg *db, const char *sql, struct pg_params *params);

/* What the caller can do something about. */
struct ctl_pg_refusal {
	char sqlstate[6];  /* "" when the statement was not refused */
	char text[512];	   /* for people */
	unsigned position; /* in the SQL, from 1; 0: nowhere */
};

/* As ctl_pg_run(), but a refusal is returned, and the result then NULL. */
const struct pg_result *ctl_pg_try(struct ctl_pg *db, const char *sql, struct pg_params *params,
				   struct ctl_pg_refusal *refusal);
/* Ends the program with what was refused; for the cases of ctl_pg_try() that its caller does not
 * expect. */
noreturn void ctl_pg_fail(const struct ctl_pg_refusal *refusal);

/* Sets a role's password; what is sent is a verifier, which the password cannot be read from. */
void ctl_pg_set_password(struct ctl_pg *db, const char *role, const char *password);

#endif
