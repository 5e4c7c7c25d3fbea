/* SPDX-License-Identifier: Apache-2.0
 *
 * smtp-proxyctl suppression list, add, remove, export, import: the addresses that a tenant's mail is not sent to. A list
 * may be long: it is written and read in pieces.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/ctl_out.h"
#include "ctl/ctl_pg.h"
#include "lib/base/mem.h"

enum { AT_A_TIME = 1000, ADDRESS_MAX = 320, REASON_MAX = 400, LINE_MAX_OCTETS = 16384, COLUMNS = 3 };

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

/* An address, or @domain for all of a domain. NULL: it is one. */
static const char *address_trouble(struct str s)
{
	if (s.n < 3 || s.n > ADDRESS_MAX || !str_is_utf8(s))
		return "an address is 3 to 320 octets of UTF-8";
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
			return "an address has no control characters";
	if (str_find(s, '@') == s.n || str_ends(s, STR("@")))
		return "it is neither an address nor @domain";
	return NULL;
}

static void check_address(const char *address)
{
	const char *trouble = address_trouble(str_of(address));

	if (trouble != NULL)
		ctl_fail(EX_DATAERR, "%s: %s", address, trouble);
}

int ctl_suppression_add(struct ctl *ctl)
{
	const char *tenant = take_tenant(ctl), *reason = ctl_option(ctl, "--reason");
	const char *address = ctl_argument(ctl, "the address, or @domain");
	struct pg_params *p = pg_params_new();
	struct ctl_pg *db;
	struct uuid id;

	ctl_end(ctl);
	check_address(address);
	if (reason != NULL && (strlen(reason) > REASON_MAX || !str_is_utf8(str_of(reason))))
		ctl_usage(ctl, "--reason: at most %d octets of UTF-8", REASON_MAX);
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
	pg_params_free(&p);
	ctl_pg_close(&db);
	return EX_OK;
}

int ctl_suppression_remove(struct ctl *ctl)
{
	const char *tenant = take_tenant(ctl), *address = ctl_argument(ctl, "the address, or @domain");
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
	char after[4 * ADDRESS_MAX + 1] = "";
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
	char *cell[AT_A_TIME][COLUMNS]; /* of lines of CSV */
	char *json[AT_A_TIME];
	unsigned n_csv, n_json;
	uint64_t line, n_added;
};

#define ADD_FROM(source) \
	"WITH given AS (" source "), added AS (" \
	" INSERT INTO suppression (tenant_id, address, reason, source)" \
	" SELECT $1::uuid, lower(address), coalesce(reason, ''), coalesce(nullif(source, ''), 'import') FROM given" \
	" ON CONFLICT DO NOTHING RETURNING 1)" \
	" SELECT count(*) FROM added"

static void run(struct import *in, const char *sql, struct pg_params *p)
{
	struct ctl_pg_refusal refusal;
	const struct pg_result *r = ctl_pg_try(in->db, sql, p, &refusal);

	if (r == NULL && (strncmp(refusal.sqlstate, "22", 2) == 0 || strncmp(refusal.sqlstate, "23", 2) == 0))
		ctl_fail(EX_DATAERR, "in the lines up to %llu: %s; nothing was imported", (unsigned long long)in->line,
			 refusal.text);
	if (r == NULL)
		ctl_pg_fail(&refusal);
	in->n_added += (uint64_t)pg_int8(r, 0, 0);
}

static void flush_csv(struct import *in)
{
	struct pg_params *p = pg_params_new();

	pg_put_uuid(p, &in->tenant);
	for (unsigned column = 0; column < COLUMNS; column++) {
		pg_open_array(p, PG_TEXT);
		for (unsigned i = 0; i < in->n_csv; i++)
			pg_put_text(p, str_of(in->cell[i][column]));
		pg_close_array(p);
	}
	run(in, ADD_FROM("SELECT * FROM unnest($2::text[], $3::text[], $4::text[]) AS u(address, reason, source)"), p);
	for (unsigned i = 0; i < in->n_csv; i++)
		for (unsigned column = 0; column < COLUMNS; column++)
			mem_free(&in->cell[i][column]);
	in->n_csv = 0;
	pg_params_free(&p);
}

static void flush_json(struct import *in)
{
	struct pg_params *p = pg_params_new();

	pg_put_uuid(p, &in->tenant);
	pg_open_array(p, PG_TEXT);
	for (unsigned i = 0; i < in->n_json; i++)
		pg_put_text(p, str_of(in->json[i]));
	pg_close_array(p);
	run(in,
	    ADD_FROM("SELECT o->>'address' AS address, o->>'reason' AS reason, o->>'source' AS source"
		     " FROM unnest($2::text[]) AS u(line), LATERAL (SELECT line::jsonb AS o) AS j"),
	    p);
	for (unsigned i = 0; i < in->n_json; i++)
		mem_free(&in->json[i]);
	in->n_json = 0;
	pg_params_free(&p);
}

/* The next cell of a line of CSV. False: there is none left. */
static bool next_cell(struct str *rest, bool *is_more, struct buf *out)
{
	buf_reset(out);
	if (!*is_more)
		return false;
	if (rest->n > 0 && rest->p[0] == '"') {
		size_t i = 1;

		for (; i < rest->n; i++) {
			if (rest->p[i] == '"' && (i + 1 >= rest->n || rest->p[i + 1] != '"'))
				break;
			i += rest->p[i] == '"';
			buf_put_char(out, rest->p[i]);
		}
		*rest = str_from(*rest, i + 1);
	} else {
		buf_put_str(out, str_trim(str_first(*rest, str_find(*rest, ','))));
		*rest = str_from(*rest, str_find(*rest, ','));
	}
	*is_more = rest->n > 0;
	*rest = str_from(*rest, 1);
	return true;
}

static void take_csv(struct import *in, struct str line)
{
	struct buf cell = BUF_MAX(LINE_MAX_OCTETS);
	char **row = in->cell[in->n_csv];
	bool is_more = true;
	const char *trouble;

	for (unsigned column = 0; column < COLUMNS; column++)
		row[column] = str_dup(next_cell(&line, &is_more, &cell) ? buf_str(&cell) : STR(""));
	buf_clear(&cell);
	if (in->line == 1 && strcmp(row[0], "address") == 0) {
		for (unsigned column = 0; column < COLUMNS; column++)
			mem_free(&row[column]);
		return;
	}
	trouble = address_trouble(str_of(row[0]));
	if (trouble != NULL)
		ctl_fail(EX_DATAERR, "line %llu: %s: %s; nothing was imported", (unsigned long long)in->line, row[0], trouble);
	if (++in->n_csv == AT_A_TIME)
		flush_csv(in);
}

static void take_line(struct import *in, struct str line)
{
	while (str_ends(line, STR("\n")) || str_ends(line, STR("\r")))
		line.n--;
	in->line++;
	if (!str_is_utf8(line) || str_find(line, '\0') < line.n)
		ctl_fail(EX_DATAERR, "line %llu is not UTF-8; nothing was imported", (unsigned long long)in->line);
	if (str_trim(line).n == 0)
		return;
	if (line.p[0] != '{') {
		take_csv(in, line);
		return;
	}
	in->json[in->n_json++] = str_dup(line);
	if (in->n_json == AT_A_TIME)
		flush_json(in);
}

/* In one transaction: all of the file, or nothing. */
int ctl_suppression_import(struct ctl *ctl)
{
	const char *tenant = take_tenant(ctl);
	struct import *in = mem_zero(sizeof(*in));
	char *line = NULL;
	size_t room = 0;
	ssize_t n;

	ctl_end(ctl);
	in->db = ctl_pg_open(ctl);
	in->tenant = find_tenant(in->db, tenant);
	ctl_pg_run(in->db, "BEGIN", NULL);
	while ((n = getline(&line, &room, stdin)) > 0) {
		if (n > LINE_MAX_OCTETS)
			ctl_fail(EX_DATAERR, "line %llu is too long; nothing was imported", (unsigned long long)in->line + 1);
		take_line(in, str_bytes(line, (size_t)n));
	}
	if (ferror(stdin))
		ctl_fail(EX_IOERR, "standard input cannot be read; nothing was imported");
	flush_csv(in);
	flush_json(in);
	ctl_pg_run(in->db, "COMMIT", NULL);
	ctl_out_done(ctl, "added %llu addresses to what tenant %s suppresses", (unsigned long long)in->n_added, tenant);
	free(line);
	ctl_pg_close(&in->db);
	free(in);
	return EX_OK;
}
