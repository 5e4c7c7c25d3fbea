/* SPDX-License-Identifier: Apache-2.0
 *
 * smtp-proxyctl suppression list, add, remove, export, import: the addresses that a tenant's mail is not sent to. A list
 * may be long: it is written and read in pieces.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/ctl_out.h"
#include "ctl/ctl_pg.h"
#include "ctl/ctl_suppression_line.h"
#include "lib/base/mem.h"
#include "lib/smtp/smtp_canonical.h"

enum { AT_A_TIME = 1000, LINE_MAX_OCTETS = 16384, COLUMNS = CTL_SUPPRESSION_CELLS };

static const char *take_tenant(struct ctl *ctl)
{
	const char *tenant = ctl_option(ctl, "--tenant");

	if (tenant == NULL)
		ctl_usage(ctl, "--tenant is missing");
	return tenant;
}

static struct uuid find_tenant(struct ctl_pg *db, const char *name)
{
	struct pg_params *p = pg_params_new();
	const struct pg_result *r;
	struct uuid id;

	pg_put_text(p, str_of(name));
	r = ctl_pg_run(db, "SELECT tenant_id FROM tenant WHERE name = $1", p);
	if (pg_rows(r) == 0)
		ctl_fail(EX_DATAERR, "%s: no such tenant (smtp-proxyctl tenant list shows them)", name);
	id = pg_uuid(r, 0, 0);
	pg_params_free(&p);
	return id;
}

/* As lists have it; the caller frees it. */
static char *take_address(struct ctl *ctl)
{
	const char *given = ctl_argument(ctl, "the address, or @domain");
	struct err err;
	char *address = ctl_suppression_line_address(str_of(given), &err);

	if (address == NULL)
		ctl_fail(EX_DATAERR, "%s", err.text);
	return address;
}

int ctl_suppression_add(struct ctl *ctl)
{
	const char *tenant = take_tenant(ctl), *reason = ctl_option(ctl, "--reason");
	char *address = take_address(ctl);
	struct pg_params *p = pg_params_new();
	struct ctl_pg *db;
	struct uuid id;

	ctl_end(ctl);
	if (reason != NULL && (strlen(reason) > CTL_SUPPRESSION_REASON_MAX || !str_is_utf8(str_of(reason))))
		ctl_usage(ctl, "--reason: at most %d octets of UTF-8", CTL_SUPPRESSION_REASON_MAX);
	db = ctl_pg_open(ctl);
	id = find_tenant(db, tenant);
	pg_put_uuid(p, &id);
	pg_put_text(p, str_of(address));
	pg_put_text(p, str_of(reason));
	ctl_pg_run(db,
		   "INSERT INTO suppression (tenant_id, address, reason) VALUES ($1, lower($2::text), $3) "
		   "ON CONFLICT (tenant_id, address) DO UPDATE SET reason = excluded.reason",
		   p);
	ctl_out_done(ctl, "%s is suppressed for tenant %s within seconds", address, tenant);
	mem_free(&address);
	pg_params_free(&p);
	ctl_pg_close(&db);
	return EX_OK;
}

int ctl_suppression_remove(struct ctl *ctl)
{
	const char *tenant = take_tenant(ctl);
	char *address = take_address(ctl);
	struct pg_params *p = pg_params_new();
	struct ctl_pg *db;
	struct uuid id;

	ctl_end(ctl);
	db = ctl_pg_open(ctl);
	id = find_tenant(db, tenant);
	pg_put_uuid(p, &id);
	pg_put_text(p, str_of(address));
	if (pg_touched(ctl_pg_run(db, "DELETE FROM suppression WHERE tenant_id = $1 AND address = lower($2::text)", p)) == 0)
		ctl_fail(EX_DATAERR, "%s: not suppressed for tenant %s", address, tenant);
	ctl_out_done(ctl, "%s is not suppressed any more for tenant %s", address, tenant);
	mem_free(&address);
	pg_params_free(&p);
	ctl_pg_close(&db);
	return EX_OK;
}

/* ---- out ---- */

/* At most `most` entries behind this address. */
static const struct pg_result *read_some(struct ctl_pg *db, struct pg_params *p, const struct uuid *tenant,
					 const char *after, uint64_t most)
{
	pg_put_uuid(p, tenant);
	pg_put_text(p, str_of(after));
	pg_put_int8(p, (int64_t)most);
	return ctl_pg_run(db,
			  "SELECT address, reason, source, created_at FROM suppression "
			  "WHERE tenant_id = $1 AND address > $2 ORDER BY address LIMIT $3",
			  p);
}

static void print(const struct ctl *ctl, const struct pg_result *r)
{
	static const struct ctl_out_column columns[] = {
		{"address", "ADDRESS"}, {"reason", "REASON"}, {"source", "SOURCE"}, {"created_at", "SINCE"}};
	struct ctl_out *out = ctl_out_new(ctl, columns, sizeof(columns) / sizeof(columns[0]));

	for (unsigned i = 0; i < pg_rows(r); i++) {
		for (unsigned column = 0; column < COLUMNS; column++)
			ctl_out_str(out, pg_text(r, i, column));
		ctl_out_time(out, pg_time(r, i, COLUMNS));
	}
	ctl_out_free(&out);
}

int ctl_suppression_list(struct ctl *ctl)
{
	const char *tenant = take_tenant(ctl);
	uint64_t limit = ctl_option_u64(ctl, "--limit", 100, 1, 1000000);
	struct pg_params *p = pg_params_new();
	struct ctl_pg *db;
	struct uuid id;

	ctl_end(ctl);
	db = ctl_pg_open(ctl);
	id = find_tenant(db, tenant);
	print(ctl, read_some(db, p, &id, "", limit));
	pg_params_free(&p);
	ctl_pg_close(&db);
	return EX_OK;
}

/* RFC 4180 */
static void put_csv(struct buf *out, struct str text)
{
	bool is_quoted = false;

	for (size_t i = 0; i < text.n; i++)
		is_quoted |= strchr("\",\r\n", text.p[i]) != NULL;
	if (!is_quoted) {
		buf_put_str(out, text);
		return;
	}
	buf_put_char(out, '"');
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '"')
			buf_put_char(out, '"');
		buf_put_char(out, text.p[i]);
	}
	buf_put_char(out, '"');
}

static void print_csv(const struct pg_result *r)
{
	struct buf out = BUF_MAX((size_t)AT_A_TIME * 8192);

	for (unsigned i = 0; i < pg_rows(r); i++)
		for (unsigned column = 0; column < COLUMNS; column++) {
			put_csv(&out, pg_text(r, i, column));
			buf_put_char(&out, column + 1 < COLUMNS ? ',' : '\n');
		}
	if (out.is_full || fwrite(out.p, 1, out.n, stdout) != out.n)
		ctl_fail(EX_IOERR, "standard output cannot be written");
	buf_clear(&out);
}

int ctl_suppression_export(struct ctl *ctl)
{
	const char *tenant = take_tenant(ctl);
	struct pg_params *p = pg_params_new();
	char after[4 * SMTP_CANONICAL_MAX + 1] = "";
	const struct pg_result *r;
	struct ctl_pg *db;
	struct uuid id;

	ctl_end(ctl);
	db = ctl_pg_open(ctl);
	id = find_tenant(db, tenant);
	if (!ctl->is_json)
		puts("address,reason,source");
	while (pg_rows(r = read_some(db, p, &id, after, AT_A_TIME)) > 0) {
		if (ctl->is_json)
			print(ctl, r);
		else
			print_csv(r);
		str_copy(pg_text(r, pg_rows(r) - 1, 0), after, sizeof(after));
	}
	pg_params_free(&p);
	ctl_pg_close(&db);
	return EX_OK;
}

/* ---- in ---- */

struct import {
	struct ctl_pg *db;
	struct uuid tenant;
	const char *name; /* of the file */
	struct ctl_suppression_line lines[AT_A_TIME];
	unsigned n_lines;
	uint64_t line, n_added;
};

#define ADD_ALL \
	"WITH added AS (" \
	" INSERT INTO suppression (tenant_id, address, reason, source)" \
	" SELECT $1::uuid, lower(address), reason, coalesce(nullif(source, ''), 'import')" \
	"  FROM unnest($2::text[], $3::text[], $4::text[]) AS u(address, reason, source)" \
	" ON CONFLICT DO NOTHING RETURNING 1)" \
	" SELECT count(*) FROM added"

noreturn static void fail_line(const struct import *in, const char *why)
{
	ctl_fail(EX_DATAERR, "%s:%llu: %s; nothing was imported", in->name, (unsigned long long)in->line, why);
}

static void flush_lines(struct import *in)
{
	struct pg_params *p = pg_params_new();

	pg_put_uuid(p, &in->tenant);
	for (unsigned column = 0; column < COLUMNS; column++) {
		pg_open_array(p, PG_TEXT);
		for (unsigned i = 0; i < in->n_lines; i++)
			pg_put_text(p, str_of(in->lines[i].cell[column]));
		pg_close_array(p);
	}
	in->n_added += (uint64_t)pg_int8(ctl_pg_run(in->db, ADD_ALL, p), 0, 0);
	for (unsigned i = 0; i < in->n_lines; i++)
		ctl_suppression_line_clear(&in->lines[i]);
	in->n_lines = 0;
	pg_params_free(&p);
}

static void take_line(struct import *in, struct str line)
{
	struct err err;

	while (str_ends(line, STR("\n")) || str_ends(line, STR("\r")))
		line.n--;
	if (str_trim(line).n == 0 || (in->line == 1 && ctl_suppression_line_is_head(line)))
		return;
	if (!ctl_suppression_line_read(line, &in->lines[in->n_lines], &err))
		fail_line(in, err.text);
	if (++in->n_lines == AT_A_TIME)
		flush_lines(in);
}

static void take_lines(struct import *in, FILE *file)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t n;

	while ((n = getline(&line, &room, file)) > 0) {
		in->line++;
		if (n > LINE_MAX_OCTETS)
			fail_line(in, "it is too long");
		take_line(in, str_bytes(line, (size_t)n));
	}
	if (ferror(file))
		ctl_fail(EX_IOERR, "%s cannot be read; nothing was imported", in->name);
	flush_lines(in);
	free(line);
}

/* In one transaction: all of the file, or nothing. */
int ctl_suppression_import(struct ctl *ctl)
{
	const char *tenant = take_tenant(ctl), *path = ctl_optional(ctl);
	struct import *in = mem_zero(sizeof(*in));
	FILE *file = path == NULL ? stdin : fopen(path, "re");

	ctl_end(ctl);
	if (file == NULL)
		ctl_fail(EX_NOINPUT, "%s: %s", path, strerror(errno));
	in->name = path == NULL ? "standard input" : path;
	in->db = ctl_pg_open(ctl);
	in->tenant = find_tenant(in->db, tenant);
	ctl_pg_run(in->db, "BEGIN", NULL);
	take_lines(in, file);
	ctl_pg_run(in->db, "COMMIT", NULL);
	ctl_out_done(ctl, "added %llu addresses to what tenant %s suppresses", (unsigned long long)in->n_added, tenant);
	if (path != NULL)
		fclose(file);
	ctl_pg_close(&in->db);
	free(in);
	return EX_OK;
}
