/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading lines. What is not understood whole is refused: half of an address is somebody else's.
 */
#include "ctl/ctl_suppression_line.h"

#include <json-c/json.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/mem.h"
#include "lib/smtp/smtp_canonical.h"

enum { NESTED_MAX = 4 };

static const char *const names[CTL_SUPPRESSION_CELLS] = {
	[CTL_SUPPRESSION_ADDRESS] = "address", [CTL_SUPPRESSION_WHY] = "reason", [CTL_SUPPRESSION_SOURCE] = "source"};

char *ctl_suppression_line_address(struct str text, struct err *err)
{
	struct buf out = BUF_MAX(SMTP_CANONICAL_MAX + 1);

	if (smtp_canonical_address(text, &out) && !out.is_full)
		return buf_take_text(&out);
	buf_clear(&out);
	err_set(err, "\"%.*s\" is neither an address nor @domain", STR_ARG(str_first(text, 100)));
	return NULL;
}

void ctl_suppression_line_clear(struct ctl_suppression_line *line)
{
	for (unsigned i = 0; i < CTL_SUPPRESSION_CELLS; i++)
		mem_free(&line->cell[i]);
}

/* ---- CSV ---- */

/* Behind a cell: a comma and more, or nothing. */
static bool end_cell(struct str *rest, bool *is_more, struct err *err)
{
	*is_more = rest->n > 0;
	if (*is_more && rest->p[0] != ',')
		return err_set(err, "there is something between a closing quote and the next comma");
	*rest = str_from(*rest, 1);
	return true;
}

static bool take_quoted(struct str *rest, struct buf *out, struct err *err)
{
	size_t i = 1;

	for (; i < rest->n; i++) {
		if (rest->p[i] == '"' && (i + 1 >= rest->n || rest->p[i + 1] != '"'))
			break;
		i += rest->p[i] == '"';
		buf_put_char(out, rest->p[i]);
	}
	if (i >= rest->n)
		return err_set(err, "a quote is not closed");
	*rest = str_from(*rest, i + 1);
	return true;
}

static bool take_cell(struct str *rest, bool *is_more, char **cell, struct err *err)
{
	struct buf out = BUF_MAX(rest->n + 1);
	bool ok = true;

	if (rest->n > 0 && rest->p[0] == '"') {
		ok = take_quoted(rest, &out, err);
	} else {
		buf_put_str(&out, str_trim(str_first(*rest, str_find(*rest, ','))));
		*rest = str_from(*rest, str_find(*rest, ','));
	}
	ok = ok && end_cell(rest, is_more, err);
	*cell = buf_take_text(&out);
	return ok;
}

static bool read_csv(struct str line, struct ctl_suppression_line *out, struct err *err)
{
	bool is_more = true;

	for (unsigned i = 0; i < CTL_SUPPRESSION_CELLS && is_more; i++)
		if (!take_cell(&line, &is_more, &out->cell[i], err))
			return false;
	return !is_more || err_set(err, "it has more than %d columns", CTL_SUPPRESSION_CELLS);
}

bool ctl_suppression_line_is_head(struct str line)
{
	return str_ieq(str_trim(str_first(line, str_find(line, ','))), str_of(names[CTL_SUPPRESSION_ADDRESS]));
}

/* ---- JSON ---- */

/* Members of other names are passed over: export writes some too. */
static bool read_members(struct json_object *o, struct ctl_suppression_line *out, struct err *err)
{
	for (unsigned i = 0; i < CTL_SUPPRESSION_CELLS; i++) {
		struct json_object *member = json_object_object_get(o, names[i]);
		struct str text;

		if (member == NULL)
			continue;
		if (!json_object_is_type(member, json_type_string))
			return err_set(err, "its %s is no text", names[i]);
		text = str_bytes(json_object_get_string(member), (size_t)json_object_get_string_len(member));
		if (str_find(text, '\0') < text.n)
			return err_set(err, "its %s has a NUL in it", names[i]);
		out->cell[i] = str_dup(text);
	}
	return true;
}

static bool read_json(struct str line, struct ctl_suppression_line *out, struct err *err)
{
	struct json_tokener *tokener = json_tokener_new_ex(NESTED_MAX);
	struct json_object *o = NULL;
	bool ok;

	if (tokener != NULL) {
		json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
		o = json_tokener_parse_ex(tokener, line.p, (int)line.n);
	}
	/* What it has not read to the end it does not give. */
	ok = json_object_is_type(o, json_type_object) && json_tokener_get_parse_end(tokener) == line.n;
	ok = ok ? read_members(o, out, err) : err_set(err, "it is no JSON object");
	json_object_put(o);
	if (tokener != NULL)
		json_tokener_free(tokener);
	return ok;
}

/* ---- both ---- */

static bool check(struct ctl_suppression_line *line, struct err *err)
{
	char *address;

	for (unsigned i = 0; i < CTL_SUPPRESSION_CELLS; i++)
		if (line->cell[i] == NULL)
			line->cell[i] = str_dup(STR(""));
	for (unsigned i = CTL_SUPPRESSION_WHY; i < CTL_SUPPRESSION_CELLS; i++)
		if (strlen(line->cell[i]) > CTL_SUPPRESSION_REASON_MAX)
			return err_set(err, "its %s is longer than %d octets", names[i], CTL_SUPPRESSION_REASON_MAX);
	address = ctl_suppression_line_address(str_of(line->cell[CTL_SUPPRESSION_ADDRESS]), err);
	if (address == NULL)
		return false;
	mem_free(&line->cell[CTL_SUPPRESSION_ADDRESS]);
	line->cell[CTL_SUPPRESSION_ADDRESS] = address;
	return true;
}

bool ctl_suppression_line_read(struct str line, struct ctl_suppression_line *out, struct err *err)
{
	bool ok;

	*out = (struct ctl_suppression_line){0};
	line = str_trim(line);
	if (!str_is_utf8(line) || str_find(line, '\0') < line.n)
		return err_set(err, "it is not UTF-8");
	ok = str_starts(line, STR("{")) ? read_json(line, out, err) : read_csv(line, out, err);
	ok = ok && check(out, err);
	if (!ok)
		ctl_suppression_line_clear(out);
	return ok;
}
