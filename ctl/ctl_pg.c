/* SPDX-License-Identifier: Apache-2.0
 *
 * Statements from a program that may wait: each turns a private loop until it is answered.
 */
#include "ctl/ctl_pg.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"

struct ctl_pg {
	struct loop *loop;
	struct pg *pg;
	bool is_up, is_answered;
	struct err *failure; /* of ctl_pg_try_open(): instead of the program's end */
	struct pg_result *result;
	struct ctl_pg_refusal refusal;
	char where[400]; /* for errors */
};

static void on_state(void *ctx, bool is_up, const char *why)
{
	struct ctl_pg *db = ctx;

	if (!is_up && db->failure != NULL) {
		err_set(db->failure, "%s: %s", db->where, why);
		return;
	}
	if (!is_up)
		ctl_fail(EX_TEMPFAIL, "the database %s: %s", db->where, why);
	db->is_up = true;
}

static struct ctl_pg *open_pg(struct ctl *ctl, const char *user, const char *password, struct err *failure)
{
	const struct settings *s = ctl_settings(ctl);
	struct pg_options options = {
		.host = s->database.host,
		.port = (uint16_t)s->database.port,
		.name = s->database.name,
		.user = user,
		.password = password,
		.ca_file = s->database.ca_file,
		.application = "smtp-proxyctl",
		.sslmode = s->database.sslmode,
		.connect_timeout = 10 * CLOCK_SECOND,
		.statement_timeout = 3600 * CLOCK_SECOND,
	};
	struct ctl_pg *db;
	struct buf where;

	if (options.host[0] == '\0')
		ctl_fail(EX_CONFIG, "there is no database: database.host is empty (the users are in the settings or at "
				    "Cakemail, and nothing is queued)");
	db = mem_zero(sizeof(*db));
	where = BUF_MAX(sizeof(db->where) - 1);
	buf_printf(&where, "\"%s\" as %s on %s port %u", options.name, options.user, options.host,
		   options.port);
	str_copy(buf_str(&where), db->where, sizeof(db->where));
	buf_clear(&where);
	db->loop = loop_new();
	db->pg = pg_new(db->loop, &options, on_state, db);
	db->failure = failure;
	while (!db->is_up && (failure == NULL || failure->text[0] == '\0'))
		loop_turn(db->loop, CLOCK_SECOND);
	db->failure = NULL;
	return db;
}

struct ctl_pg *ctl_pg_open(struct ctl *ctl)
{
	const struct settings *s = ctl_settings(ctl);

	return open_pg(ctl, s->database.admin_user, s->database.admin_password, NULL);
}

struct ctl_pg *ctl_pg_try_open(struct ctl *ctl, const char *user, const char *password, struct err *err)
{
	struct ctl_pg *db;

	err->text[0] = '\0';
	db = open_pg(ctl, user, password, err);
	if (err->text[0] != '\0')
		ctl_pg_close(&db);
	return db;
}

void ctl_pg_close(struct ctl_pg **db)
{
	struct ctl_pg *d = *db;

	if (d == NULL)
		return;
	pg_result_free(&d->result);
	pg_free(&d->pg);
	loop_turn(d->loop, 0);
	loop_free(&d->loop);
	mem_free(db);
}

static void on_result(void *ctx, enum pg_status status, const struct pg_result *result,
		      const struct err *err)
{
	struct ctl_pg *db = ctx;

	db->is_answered = true;
	switch (status) {
	case PG_OK:
		db->result = pg_result_copy(result);
		break;
	case PG_REFUSED:
		str_copy(str_of(pg_sqlstate(result)), db->refusal.sqlstate,
			 sizeof(db->refusal.sqlstate));
		if (db->refusal.sqlstate[0] == '\0')
			ctl_fail(EX_SOFTWARE, "the database: %s", err->text);
		str_copy(str_of(err->text), db->refusal.text, sizeof(db->refusal.text));
		db->refusal.position = pg_error_position(result);
		break;
	case PG_LOST:
		ctl_fail(EX_TEMPFAIL,
			 "the database went away: %s. What was asked for may have been done or not",
			 err->text);
	}
}

const struct pg_result *ctl_pg_try(struct ctl_pg *db, const char *sql, struct pg_params *params,
				   struct ctl_pg_refusal *refusal)
{
	pg_result_free(&db->result);
	db->refusal = (struct ctl_pg_refusal){.position = 0};
	db->is_answered = false;
	pg_run(db->pg, sql, params, on_result, db);
	while (!db->is_answered)
		loop_turn(db->loop, CLOCK_SECOND);
	*refusal = db->refusal;
	return db->result;
}

noreturn void ctl_pg_fail(const struct ctl_pg_refusal *refusal)
{
	struct str state = str_of(refusal->sqlstate);

	if (str_eq(state, STR("42P01")) || str_eq(state, STR("42703")) ||
	    str_eq(state, STR("42883")))
		ctl_fail(EX_UNAVAILABLE,
			 "the database's tables are missing or old: %s. "
			 "Run smtp-proxyctl db migrate",
			 refusal->text);
	if (str_eq(state, STR("42501")))
		ctl_fail(EX_NOPERM, "the database's role may not do that: %s", refusal->text);
	/* Classes 08, 53, 57: the connection, resources, an operator's intervention. */
	if (str_starts(state, STR("08")) || str_starts(state, STR("53")) ||
	    str_starts(state, STR("57")))
		ctl_fail(EX_TEMPFAIL, "the database: %s", refusal->text);
	ctl_fail(EX_SOFTWARE, "the database: %s", refusal->text);
}

const struct pg_result *ctl_pg_run(struct ctl_pg *db, const char *sql, struct pg_params *params)
{
	struct ctl_pg_refusal refusal;
	const struct pg_result *result = ctl_pg_try(db, sql, params, &refusal);

	if (result == NULL)
		ctl_pg_fail(&refusal);
	return result;
}

void ctl_pg_set_password(struct ctl_pg *db, const char *role, const char *password)
{
	char *verifier = pg_scram_verifier(db->pg, role, password);
	struct buf sql = BUF_MAX(1024);

	if (verifier == NULL)
		ctl_fail(EX_DATAERR, "the password of %s cannot be used", role);
	/* A verifier is base64 and punctuation: nothing to quote. Ours are the roles. */
	buf_printf(&sql, "ALTER ROLE %s PASSWORD '%s'", role, verifier);
	buf_put_char(&sql, '\0');
	mem_free_secret(&verifier);
	ctl_pg_run(db, sql.p, NULL);
	buf_clear_secret(&sql);
}
