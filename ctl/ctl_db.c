/* SPDX-License-Identifier: Apache-2.0
 *
 * smtp-proxyctl db migrate, status: the numbered files of sql/ and which of them the database has.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "ctl/ctl_db.h"
#include "ctl/ctl_out.h"
#include "lib/base/fd.h"
#include "lib/base/mem.h"

enum { FILES_MAX = 1000, SQL_MAX = 4 << 20 };

/* Held while a file is applied: two hosts that migrate at once do it one after the other. */
#define LOCK "SELECT pg_advisory_xact_lock(7526466502207434)"

struct file {
	int32_t version;
	char *name;
};

struct files {
	const char *directory;
	struct file file[FILES_MAX];
	size_t n;
};

/* NNNN_name.sql */
static bool is_migration(struct str name, int32_t *version)
{
	uint64_t n;

	if (name.n < 6 || name.p[4] != '_' || !str_ends(name, STR(".sql")) ||
	    !str_u64(str_first(name, 4), 1, 9999, &n))
		return false;
	*version = (int32_t)n;
	return true;
}

static int by_version(const void *a, const void *b)
{
	return ((const struct file *)a)->version - ((const struct file *)b)->version;
}

/* False: there is no such directory. */
static bool read_directory(struct files *files)
{
	DIR *dir = opendir(files->directory);
	struct dirent *entry;
	int32_t version;

	if (dir == NULL)
		return false;
	while ((entry = readdir(dir)) != NULL && files->n < FILES_MAX)
		if (is_migration(str_of(entry->d_name), &version))
			files->file[files->n++] = (struct file){version, mem_text(entry->d_name)};
	closedir(dir);
	qsort(files->file, files->n, sizeof(files->file[0]), by_version);
	return true;
}

static void find_files(struct files *files)
{
	if (!read_directory(files))
		ctl_fail(EX_NOINPUT, "%s: there is no such directory (--sql DIR names another)",
			 files->directory);
	if (files->n == 0)
		ctl_fail(EX_NOINPUT, "%s: there is no NNNN_name.sql in it", files->directory);
	for (size_t i = 1; i < files->n; i++)
		if (files->file[i].version == files->file[i - 1].version)
			ctl_fail(EX_DATAERR, "%s and %s have the same number",
				 files->file[i - 1].name, files->file[i].name);
}

static void free_files(struct files *files)
{
	for (size_t i = 0; i < files->n; i++)
		free(files->file[i].name);
}

/* When a version was applied; false: it was not. */
static bool is_applied(struct ctl_pg *db, int32_t version, int64_t *at)
{
	struct pg_params *p = pg_params_new();
	const struct pg_result *r;

	pg_put_int4(p, version);
	r = ctl_pg_run(db, "SELECT applied_at FROM schema_version WHERE version = $1", p);
	pg_params_free(&p);
	if (pg_rows(r) > 0)
		*at = pg_time(r, 0, 0);
	return pg_rows(r) > 0;
}

/* Says where in the file a refusal points to: a position counts characters, not bytes. */
noreturn static void fail_in_file(const char *path, struct str sql,
				  const struct ctl_pg_refusal *refusal)
{
	unsigned line = 1, at = 1;

	for (size_t i = 0; i < sql.n && at < refusal->position; i++) {
		if (((unsigned char)sql.p[i] & 0xc0) != 0x80)
			at++;
		line += sql.p[i] == '\n';
	}
	if (refusal->position > 0)
		ctl_fail(EX_SOFTWARE, "%s:%u: %s. Nothing of this file was applied", path, line,
			 refusal->text);
	ctl_fail(EX_SOFTWARE, "%s: %s. Nothing of this file was applied", path, refusal->text);
}

/* The file's statements as one: handed over as a parameter and run by EXECUTE, so that nobody here
 * has to find out where one SQL statement ends and the next begins. */
static void run_file(struct ctl_pg *db, const char *path)
{
	struct buf sql = BUF_MAX(SQL_MAX);
	struct pg_params *p = pg_params_new();
	struct ctl_pg_refusal refusal;
	struct err err;

	if (!fd_read_file(path, &sql, &err))
		ctl_fail(EX_NOINPUT, "%s", err.text);
	pg_put_text(p, buf_str(&sql));
	ctl_pg_run(db, "SELECT set_config('smtp_proxy.migration', $1, true)", p);
	if (ctl_pg_try(db, "DO $$BEGIN EXECUTE current_setting('smtp_proxy.migration'); END$$",
		       NULL, &refusal) == NULL)
		fail_in_file(path, buf_str(&sql), &refusal);
	pg_params_free(&p);
	buf_clear(&sql);
}

/* Returns false when the database has it already. */
static bool apply(struct ctl_pg *db, const struct files *files, const struct file *file)
{
	struct buf path = BUF_MAX(4096);
	struct pg_params *p = pg_params_new();
	bool is_new;
	int64_t at;

	buf_printf(&path, "%s/%s", files->directory, file->name);
	buf_put_char(&path, '\0');
	ctl_pg_run(db, "BEGIN", NULL);
	ctl_pg_run(db, LOCK, NULL);
	ctl_pg_run(db,
		   "CREATE TABLE IF NOT EXISTS schema_version (version integer PRIMARY KEY, "
		   "name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())",
		   NULL);
	is_new = !is_applied(db, file->version, &at);
	if (is_new) {
		run_file(db, path.p);
		pg_put_int4(p, file->version);
		pg_put_text(p, str_of(file->name));
		ctl_pg_run(db, "INSERT INTO schema_version (version, name) VALUES ($1, $2)", p);
	}
	ctl_pg_run(db, "COMMIT", NULL);
	pg_params_free(&p);
	buf_clear(&path);
	return is_new;
}

static void set_passwords(struct ctl *ctl, struct ctl_pg *db)
{
	const struct settings *s = ctl_settings(ctl);

	if (s->database.queue_password[0] != '\0')
		ctl_pg_set_password(db, "smtp_proxy_queue", s->database.queue_password);
	if (s->database.gate_password[0] != '\0')
		ctl_pg_set_password(db, "smtp_proxy_gate", s->database.gate_password);
}

/* What the services' sessions have, also behind a pooler. When a host loses its power in the middle of a statement, its
 * server process may hold a lock on a shard: the others wait for that process to notice, which by TCP's defaults takes
 * hours. And the statements are short, whatever the planner thinks of a table with many partitions: compiling one takes
 * longer than running it. */
static void set_sessions(struct ctl_pg *db)
{
	static const char *const roles[] = {"smtp_proxy_queue", "smtp_proxy_gate"};
	static const char *const rows[] = {"tcp_keepalives_idle = 15", "tcp_keepalives_interval = 5", "tcp_keepalives_count = 3",
					   "tcp_user_timeout = 30000", "jit = off"};
	struct ctl_pg_refusal refusal;
	char sql[128];

	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		for (size_t j = 0; j < sizeof(rows) / sizeof(rows[0]); j++) {
			snprintf(sql, sizeof(sql), "ALTER ROLE %s SET %s", roles[i], rows[j]);
			if (ctl_pg_try(db, sql, NULL, &refusal) == NULL) {
				ctl_warn("%s: %s", sql, refusal.text);
				return;
			}
		}
}

static void open_files(struct ctl *ctl, struct files *files)
{
	const char *given = ctl_option(ctl, "--sql");

	ctl_end(ctl);
	files->directory = given != NULL ? given : SMTP_PROXY_DATADIR "/sql";
	find_files(files);
}

int ctl_db_migrate(struct ctl *ctl)
{
	struct files files = {0};
	struct ctl_pg *db;
	unsigned n = 0;

	open_files(ctl, &files);
	db = ctl_pg_open(ctl);
	for (size_t i = 0; i < files.n; i++)
		if (apply(db, &files, &files.file[i])) {
			ctl_out_done(ctl, "applied %s", files.file[i].name);
			n++;
		}
	set_passwords(ctl, db);
	set_sessions(db);
	if (n == 0)
		ctl_out_done(ctl, "the database is up to date (version %d)",
			     files.file[files.n - 1].version);
	ctl_pg_close(&db);
	free_files(&files);
	return EX_OK;
}

/* What the database has and the directory has not: a newer release migrated it. */
static void list_unknown(struct ctl_pg *db, struct ctl_out *out, const struct files *files)
{
	struct pg_params *p = pg_params_new();
	const struct pg_result *r;

	pg_open_array(p, PG_INT4);
	for (size_t i = 0; i < files->n; i++)
		pg_put_int4(p, files->file[i].version);
	pg_close_array(p);
	r = ctl_pg_run(db,
		       "SELECT version, name, applied_at FROM schema_version "
		       "WHERE version <> ALL ($1) ORDER BY version",
		       p);
	pg_params_free(&p);
	for (unsigned i = 0; i < pg_rows(r); i++) {
		ctl_out_int(out, pg_int4(r, i, 0));
		ctl_out_str(out, pg_text(r, i, 1));
		ctl_out_text(out, "unknown here");
		ctl_out_time(out, pg_time(r, i, 2));
	}
}

static bool is_made(struct ctl_pg *db)
{
	return pg_bool(ctl_pg_run(db, "SELECT to_regclass('schema_version') IS NOT NULL", NULL), 0, 0);
}

int ctl_db_pending(struct ctl_pg *db, const char *directory, struct buf *names)
{
	struct files files = {.directory = directory};
	bool is_any = is_made(db);
	int64_t at;
	int n = 0;

	if (!read_directory(&files) || files.n == 0)
		return -1;
	for (size_t i = 0; i < files.n; i++) {
		if (is_any && is_applied(db, files.file[i].version, &at))
			continue;
		buf_printf(names, "%s%s", n++ > 0 ? " " : "", files.file[i].name);
	}
	free_files(&files);
	return n;
}

int ctl_db_status(struct ctl *ctl)
{
	static const struct ctl_out_column columns[] = {{"version", "VERSION"},
							{"name", "NAME"},
							{"state", "STATE"},
							{"applied_at", "APPLIED"}};
	struct files files = {0};
	struct ctl_pg *db;
	struct ctl_out *out;
	bool has_any;

	open_files(ctl, &files);
	db = ctl_pg_open(ctl);
	has_any = is_made(db);
	out = ctl_out_new(ctl, columns, sizeof(columns) / sizeof(columns[0]));
	for (size_t i = 0; i < files.n; i++) {
		int64_t at = 0;
		bool has = has_any && is_applied(db, files.file[i].version, &at);

		ctl_out_int(out, files.file[i].version);
		ctl_out_text(out, files.file[i].name);
		ctl_out_text(out, has ? "applied" : "pending");
		ctl_out_time(out, at);
	}
	if (has_any)
		list_unknown(db, out, &files);
	ctl_out_free(&out);
	ctl_pg_close(&db);
	free_files(&files);
	return EX_OK;
}
