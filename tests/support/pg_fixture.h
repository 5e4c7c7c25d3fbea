/* SPDX-License-Identifier: Apache-2.0
 *
 * A throw-away Postgres for a unit test program: a cluster in a temporary directory, reached
 * through a UNIX socket only, removed when the program ends, however it ends. Without Postgres'
 * programs the test is skipped (exit status 77).
 */
#ifndef TESTS_SUPPORT_PG_FIXTURE_H
#define TESTS_SUPPORT_PG_FIXTURE_H

#include "lib/queue/pg.h"

/* Makes and starts the cluster at the first call. Returns the directory of its socket (port 5432).
 */
const char *pg_fixture_start(void);
/* kill -9 to all of it, and up again. */
void pg_fixture_kill(void);
void pg_fixture_restart(void);

/* A new, empty database, or one with the schema of sql/. */
void pg_fixture_database(const char *name);
void pg_fixture_schema(const char *name);
/* Runs SQL as superuser and waits; dies when it fails. */
void pg_fixture_sql(const char *database, const char *sql);
/* The first column of the first row, as text; "" without a row. Valid until the next call. */
const char *pg_fixture_ask(const char *database, const char *sql);

/* From now on this role needs its password (the others need none). */
void pg_fixture_require_password(const char *role);

/* How to connect to it: 2 s to connect, 10 s a statement. */
struct pg_options pg_fixture_options(const char *database, const char *user);

#endif
