/* SPDX-License-Identifier: Apache-2.0
 *
 * smtp-proxyctl doctor: the database. Everybody may see which transactions hold rows back and whose they are; since when
 * they are open, only members of their role or of pg_read_all_stats.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "ctl/ctl_db.h"
#include "ctl/ctl_doctor.h"
#include "ctl/ctl_pg.h"
#include "lib/base/clock.h"

enum {
	VERSION_LEAST = 130000,
	DEAD_ROWS_QUEUE = 50000,
	DEAD_ROWS_SMALL = 10000,
	HELD_TRANSACTIONS = 1000000, /* of unknown age: so many transactions have begun since */
};

#define CLOCK_WARNING (1 * CLOCK_SECOND)
#define CLOCK_ERROR (60 * CLOCK_SECOND)

#define SQL_SERVER \
	"SELECT current_setting('server_version_num')::int4, current_setting('server_version')," \
	" pg_encoding_to_char(encoding)::text, current_setting('fsync') = 'on', current_setting('synchronous_commit') <> 'off'," \
	" current_setting('autovacuum') = 'on', current_setting('max_connections')::int4," \
	" (SELECT count(*) FROM pg_stat_activity WHERE usesysid IS NOT NULL)::int4, clock_timestamp()" \
	" FROM pg_database WHERE datname = current_database()"

#define SQL_PARTITIONS \
	"SELECT string_agg(name, ' '), (SELECT EXISTS (SELECT FROM message_other))" \
	" FROM (SELECT parent || to_char((now() AT TIME ZONE 'UTC')::date + n, '_YYYYMMDD') AS name" \
	"  FROM generate_series(0, 3) n, unnest(ARRAY['message', 'delivery', 'event']) parent) AS wanted" \
	" WHERE to_regclass(name) IS NULL"

/* What the services' roles have by the files of the schema, and a dump that was restored without privileges has not. */
#define SQL_RIGHTS \
	"SELECT string_agg(format('%s on %s for %s', privilege, name, role), ', ' ORDER BY role, name, privilege) FROM (VALUES" \
	" ('smtp_proxy_gate', 'SELECT', 'tenant smtp_user change suppression')," \
	" ('smtp_proxy_queue', 'SELECT', 'tenant change route suppression provider_credential provider_state provider_use" \
	" message queue shard host delivery event dead_letter idempotency')," \
	" ('smtp_proxy_queue', 'INSERT', 'message queue host delivery event dead_letter idempotency provider_use')," \
	" ('smtp_proxy_queue', 'UPDATE', 'queue shard host idempotency provider_use')," \
	" ('smtp_proxy_queue', 'DELETE', 'message queue host idempotency')) AS wanted (role, privilege, names)," \
	" unnest(string_to_array(names, ' ')) AS name" \
	" WHERE to_regclass(name) IS NOT NULL AND NOT has_table_privilege(role, to_regclass(name)::oid, privilege)"

/* Whatever keeps dead rows from being removed, the oldest first: who, how many transactions ago, since when (if that may be
 * seen), how to end it. */
#define SQL_HORIZON \
	"SELECT who, held, since, cure FROM (" \
	" SELECT format('a transaction of %s (%s, process %s)', coalesce(usename, '?'), application_name, pid) AS who," \
	"  greatest(age(backend_xid), age(backend_xmin)) AS held, xact_start AS since," \
	"  format('end it, or: SELECT pg_terminate_backend(%s)', pid) AS cure" \
	" FROM pg_stat_activity WHERE coalesce(backend_xid, backend_xmin) IS NOT NULL AND pid <> pg_backend_pid()" \
	" UNION ALL SELECT format('the replication slot %s', slot_name), greatest(age(xmin), age(catalog_xmin)), NULL," \
	"  format('start its standby, or: SELECT pg_drop_replication_slot(%L)', slot_name)" \
	" FROM pg_replication_slots WHERE coalesce(xmin, catalog_xmin) IS NOT NULL" \
	" UNION ALL SELECT format('the prepared transaction %s of %s', gid, owner), age(transaction), prepared," \
	"  format('COMMIT PREPARED %L or ROLLBACK PREPARED %L', gid, gid) FROM pg_prepared_xacts" \
	") AS holders ORDER BY since NULLS LAST, held DESC LIMIT 5"

#define SQL_DEAD_ROWS \
	"SELECT relname::text, n_dead_tup::int8, coalesce(greatest(last_autovacuum, last_vacuum)::text, 'never')" \
	" FROM pg_stat_user_tables WHERE relname IN ('queue', 'shard', 'host') AND schemaname = current_schema() ORDER BY relname"

#define SQL_HOSTS \
	"SELECT h.name, h.seen_at, count(s.shard) FILTER (WHERE s.until > now()), h.seen_at > now() - $1::int8 * interval '1 us'" \
	" FROM host h LEFT JOIN shard s USING (owner) GROUP BY h.owner ORDER BY h.name"

#define SQL_QUEUE \
	"SELECT (SELECT count(*) FROM shard WHERE until < now()), count(*)," \
	" count(*) FILTER (WHERE NOT is_held AND due_at < now() - interval '5 minutes')," \
	" count(*) FILTER (WHERE is_held) FROM queue"

/* NULL: it was refused, and that is said. */
static const struct pg_result *ask(struct ctl_doctor *d, struct ctl_pg *db, const char *check, const char *sql,
				   struct pg_params *params)
{
	struct ctl_pg_refusal refusal;
	const struct pg_result *r = ctl_pg_try(db, sql, params, &refusal);

	if (r == NULL)
		ctl_doctor_say(d, CTL_DOCTOR_ERROR, check,
			       refusal.sqlstate[0] == '4' ? "smtp-proxyctl db migrate, as the role that owns the tables" : "", "%s",
			       refusal.text);
	return r;
}

static void look_at_clock(struct ctl_doctor *d, int64_t theirs, int64_t asked_at, int64_t took)
{
	int64_t off = llabs(theirs - (asked_at + took / 2)) - took / 2;

	off = off > 0 ? off : 0;
	ctl_doctor_say(d, off > CLOCK_ERROR ? CTL_DOCTOR_ERROR : off > CLOCK_WARNING ? CTL_DOCTOR_WARNING : CTL_DOCTOR_OK,
		       "database.clock", off > CLOCK_WARNING ? "set both by NTP" : "",
		       "the clocks of the database and of this host are %" PRId64 " ms apart", (int64_t)(off / CLOCK_MS));
}

static void look_at_connections(struct ctl_doctor *d, int used, int most)
{
	bool is_much = used > most * 8 / 10;

	ctl_doctor_say(d, is_much ? CTL_DOCTOR_WARNING : CTL_DOCTOR_OK, "database.connections",
		       is_much ? "raise max_connections, or put PgBouncer (pool_mode transaction) before it" : "",
		       "%d of %d are used", used, most);
}

static void look_at_server(struct ctl_doctor *d, struct ctl_pg *db)
{
	int64_t asked_at = clock_wall(), took;
	const struct pg_result *r = ask(d, db, "database.server", SQL_SERVER, NULL);
	bool is_old, is_utf8;

	took = clock_wall() - asked_at;
	if (r == NULL || pg_rows(r) == 0)
		return;
	is_old = pg_int4(r, 0, 0) < VERSION_LEAST;
	is_utf8 = str_eq(pg_text(r, 0, 2), STR("UTF8"));
	ctl_doctor_say(d, is_old ? CTL_DOCTOR_ERROR : CTL_DOCTOR_OK, "database.version", is_old ? "install version 13 or later" : "",
		       "PostgreSQL %.*s", STR_ARG(pg_text(r, 0, 1)));
	ctl_doctor_say(d, is_utf8 ? CTL_DOCTOR_OK : CTL_DOCTOR_ERROR, "database.encoding",
		       is_utf8 ? "" : "make the database anew with ENCODING 'UTF8'", "%.*s", STR_ARG(pg_text(r, 0, 2)));
	if (!pg_bool(r, 0, 3) || !pg_bool(r, 0, 4))
		ctl_doctor_say(d, CTL_DOCTOR_ERROR, "database.durability", "fsync = on, synchronous_commit = on or remote_apply",
			       "fsync or synchronous_commit is off: what was accepted is lost with a crash");
	if (!pg_bool(r, 0, 5))
		ctl_doctor_say(d, CTL_DOCTOR_ERROR, "database.autovacuum", "autovacuum = on",
			       "autovacuum is off: the queue grows until it is slow");
	look_at_connections(d, pg_int4(r, 0, 7), pg_int4(r, 0, 6));
	look_at_clock(d, pg_time(r, 0, 8), asked_at, took);
}

static void look_at_schema(struct ctl_doctor *d, struct ctl_pg *db)
{
	struct buf names = BUF_MAX(800);
	int pending = ctl_db_pending(db, d->sql, &names);

	if (pending < 0)
		ctl_doctor_say(d, CTL_DOCTOR_WARNING, "database.schema", "--sql DIR names the directory of the schema files",
			       "%s: the schema files are not there", d->sql);
	else
		ctl_doctor_say(d, pending > 0 ? CTL_DOCTOR_ERROR : CTL_DOCTOR_OK, "database.schema",
			       pending > 0 ? "smtp-proxyctl db migrate" : "", "%s%.*s", pending > 0 ? "not applied: " : "up to date",
			       STR_ARG(buf_str(&names)));
	buf_clear(&names);
}

/* Without a password of its own a role is let in for the system's user that its process runs as: not for whoever asks here. */
static bool may_log_in(struct ctl_doctor *d, const char *role, const char *password)
{
	struct ctl_pg *db;
	struct err err;
	bool is_in;

	if (password[0] == '\0')
		return true;
	db = ctl_pg_try_open(d->ctl, role, password, &err);
	if (db == NULL)
		ctl_doctor_say(d, CTL_DOCTOR_ERROR, "database.roles", "smtp-proxyctl db migrate gives the roles the passwords of the settings",
			       "%s", err.text);
	is_in = db != NULL;
	ctl_pg_close(&db);
	return is_in;
}

static void look_at_roles(struct ctl_doctor *d, struct ctl_pg *db)
{
	const struct settings *s = d->settings;
	bool is_good = may_log_in(d, "smtp_proxy_queue", s->database.queue_password);
	const struct pg_result *r;

	is_good = may_log_in(d, "smtp_proxy_gate", s->database.gate_password) && is_good;
	r = ask(d, db, "database.roles", SQL_RIGHTS, NULL);
	if (r == NULL)
		return;
	if (!pg_is_null(r, 0, 0))
		ctl_doctor_say(d, CTL_DOCTOR_ERROR, "database.roles",
			       "GRANT them; was a dump restored without its privileges?", "not granted: %.*s",
			       STR_ARG(str_first(pg_text(r, 0, 0), 900)));
	else if (is_good)
		ctl_doctor_say(d, CTL_DOCTOR_OK, "database.roles", "", "smtp_proxy_queue and smtp_proxy_gate may do what they have to");
}

static void look_at_partitions(struct ctl_doctor *d, struct ctl_pg *db)
{
	const struct pg_result *r = ask(d, db, "database.partitions", SQL_PARTITIONS, NULL);

	if (r == NULL)
		return;
	if (!pg_is_null(r, 0, 0))
		ctl_doctor_say(d, CTL_DOCTOR_ERROR, "database.partitions",
			       "start smtp-proxy, which makes them each hour; if it runs, its log says why not",
			       "not there for today and the next days: %.*s", STR_ARG(pg_text(r, 0, 0)));
	else
		ctl_doctor_say(d, CTL_DOCTOR_OK, "database.partitions", "", "there for today and three days more");
	if (pg_bool(r, 0, 1))
		ctl_doctor_say(d, CTL_DOCTOR_WARNING, "database.partitions",
			       "look whether a host's clock was wrong; the rows stay where they are",
			       "message_other has rows: ids of days that had no partition");
}

static void look_at_horizon(struct ctl_doctor *d, struct ctl_pg *db)
{
	const struct pg_result *r = ask(d, db, "database.horizon", SQL_HORIZON, NULL);
	bool is_any = false;

	for (unsigned i = 0; r != NULL && i < pg_rows(r); i++) {
		bool is_known = !pg_is_null(r, i, 2);
		int64_t age = is_known ? clock_wall() - pg_time(r, i, 2) : 0;
		char cure[256];

		if (is_known ? age < d->long_time : pg_int4(r, i, 1) < HELD_TRANSACTIONS)
			continue;
		is_any = true;
		str_copy(str_first(pg_text(r, i, 3), sizeof(cure) - 1), cure, sizeof(cure));
		ctl_doctor_say(d, CTL_DOCTOR_WARNING, "database.horizon", cure,
			       "%.*s keeps dead rows of the queue from being removed: %s%" PRId64 " s, %d transactions",
			       STR_ARG(pg_text(r, i, 0)), is_known ? "open for " : "of unknown age, ", (int64_t)(age / CLOCK_SECOND),
			       pg_int4(r, i, 1));
	}
	if (r != NULL && !is_any)
		ctl_doctor_say(d, CTL_DOCTOR_OK, "database.horizon", "", "nothing old keeps dead rows from being removed");
}

static void look_at_dead_rows(struct ctl_doctor *d, struct ctl_pg *db)
{
	const struct pg_result *r = ask(d, db, "database.dead_rows", SQL_DEAD_ROWS, NULL);

	for (unsigned i = 0; r != NULL && i < pg_rows(r); i++) {
		struct str table = pg_text(r, i, 0);
		int64_t dead = pg_int8(r, i, 1);
		bool is_many = dead > (str_eq(table, STR("queue")) ? DEAD_ROWS_QUEUE : DEAD_ROWS_SMALL);

		ctl_doctor_say(d, is_many ? CTL_DOCTOR_WARNING : CTL_DOCTOR_OK, "database.dead_rows",
			       is_many ? "look at database.horizon and autovacuum, then VACUUM the table" : "",
			       "%.*s: %" PRId64 " dead rows, last vacuum %.*s", STR_ARG(table), dead, STR_ARG(pg_text(r, i, 2)));
	}
}

static int64_t look_at_hosts(struct ctl_doctor *d, struct ctl_pg *db)
{
	struct pg_params *p = pg_params_new();
	const struct pg_result *r;
	int64_t alive = 0;

	pg_put_int8(p, d->settings->queue.lease);
	r = ask(d, db, "queue.hosts", SQL_HOSTS, p);
	pg_params_free(&p);
	for (unsigned i = 0; r != NULL && i < pg_rows(r); i++) {
		bool is_alive = pg_bool(r, i, 3);

		alive += is_alive;
		ctl_doctor_say(d, is_alive ? CTL_DOCTOR_OK : CTL_DOCTOR_WARNING, "queue.hosts",
			       is_alive ? "" : "start it; if it is gone for good, its row goes by itself after a day",
			       "%.*s %s, with %" PRId64 " shards", STR_ARG(pg_text(r, i, 0)),
			       is_alive ? "is alive" : "has not been heard of since its lease ended", pg_int8(r, i, 2));
	}
	return alive;
}

static void look_at_queue(struct ctl_doctor *d, struct ctl_pg *db, int64_t alive)
{
	const struct pg_result *r = ask(d, db, "queue.shards", SQL_QUEUE, NULL);
	int64_t free_shards, late;

	if (r == NULL)
		return;
	free_shards = pg_int8(r, 0, 0);
	late = pg_int8(r, 0, 2);
	ctl_doctor_say(d, free_shards == 0 ? CTL_DOCTOR_OK : alive > 0 ? CTL_DOCTOR_WARNING : CTL_DOCTOR_ERROR, "queue.shards",
		       free_shards == 0 ? ""
		       : alive > 0	? "the hosts take them within a lease; look again"
					: "start smtp-proxy on a host",
		       "%" PRId64 " of 64 shards are nobody's", free_shards);
	ctl_doctor_say(d, late > 0 ? CTL_DOCTOR_WARNING : CTL_DOCTOR_OK, "queue.late",
		       late > 0 ? "smtp-proxyctl provider list shows what the providers take" : "",
		       "%" PRId64 " messages wait, %" PRId64 " of them held, %" PRId64 " for five minutes longer than they should",
		       pg_int8(r, 0, 1), pg_int8(r, 0, 3), late);
}

void ctl_doctor_db_look(struct ctl_doctor *d)
{
	struct ctl_pg *db;
	struct err err;

	if (d->settings->database.host[0] == '\0')
		return;
	db = ctl_pg_try_open(d->ctl, d->settings->database.admin_user, d->settings->database.admin_password, &err);
	if (db == NULL) {
		ctl_doctor_say(d, CTL_DOCTOR_ERROR, "database.reachable",
			       "start it, or correct the section database of the settings", "%s", err.text);
		return;
	}
	ctl_doctor_say(d, CTL_DOCTOR_OK, "database.reachable", "", "%s on %s takes writes", d->settings->database.name,
		       d->settings->database.host);
	look_at_server(d, db);
	look_at_schema(d, db);
	look_at_roles(d, db);
	look_at_partitions(d, db);
	look_at_horizon(d, db);
	look_at_dead_rows(d, db);
	look_at_queue(d, db, look_at_hosts(d, db));
	ctl_pg_close(&db);
}
