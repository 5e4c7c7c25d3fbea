/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines of lists of suppressed addresses.
 */
#include "ctl/ctl_suppression_line.h"

#include "lib/base/buf.h"
#include "tests/support/unit.h"

static void lines_are_read_or_refused_whole(void)
{
	static const struct {
		struct str line;
		const char *cells; /* NULL: refused */
	} cases[] = {
		{STR("a@b.example"), "a@b.example||"},
		{STR(" A@B.example , why , hand "), "a@b.example|why|hand"},
		{STR("\"a@b.example\",\"why, \"\"x\"\"\",\"\""), "a@b.example|why, \"x\"|"},
		{STR("\"\"\"john\"\"@b.example\",x"), "john@b.example|x|"},
		{STR("@XN--bcher-kva.example,,"), "@b\xc3\xbc" "cher.example||"},
		{STR("a@b.example,"), "a@b.example||"},
		{STR("{\"address\": \"\\\"J\\\"@x.example\", \"reason\": null, \"created_at\": 1}"), "j@x.example||"},
		{STR("{\"source\":\"s\",\"reason\":\"r\",\"address\":\"a@b\"} "), "a@b|r|s"},
		/* CSV */
		{STR("\"a@b.example"), NULL},
		{STR("\"a@b.example\"x,y"), NULL},
		{STR("a@b.example,\"why"), NULL},
		{STR("a@b.example,x,y,z"), NULL},
		{STR("a@b.example,x,y,"), NULL},
		{STR("a@b.example;why"), NULL},
		{STR("none"), NULL},
		{STR(",x"), NULL},
		{STR("<a@b.example>"), NULL},
		{STR("\"@a,@b:c@d\""), NULL},
		{STR("a@b.example\0x"), NULL},
		{STR("a@b.example,\xff"), NULL},
		/* JSON */
		{STR("{}"), NULL},
		{STR("{not json"), NULL},
		{STR("{\"address\":\"a@b\""), NULL},
		{STR("{\"address\":\"a@b\"} x"), NULL},
		{STR("{\"address\":\"a@b\"}{}"), NULL},
		{STR("{\"address\":[\"a@b\"]}"), NULL},
		{STR("{\"address\":\"a@b\",\"reason\":5}"), NULL},
		{STR("{\"address\":\"a@b\\u0000\"}"), NULL},
		{STR("{\"address\":\"a@b\",\"x\":[[[[[1]]]]]}"), NULL},
		{STR("[\"a@b\"]"), NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ctl_suppression_line line;
		struct err err = {""};
		bool is = ctl_suppression_line_read(cases[i].line, &line, &err);
		struct buf out = BUF_MAX(1000);

		if (is != (cases[i].cells != NULL))
			printf("\n%.*s:", STR_ARG(cases[i].line));
		UNIT_INT(is, cases[i].cells != NULL);
		UNIT_INT(is, err.text[0] == '\0');
		for (unsigned k = 0; k < CTL_SUPPRESSION_CELLS && is; k++)
			buf_printf(&out, "%s%s", k > 0 ? "|" : "", line.cell[k]);
		UNIT_STR(buf_str(&out), cases[i].cells == NULL ? "" : cases[i].cells);
		buf_clear(&out);
		ctl_suppression_line_clear(&line);
	}
}

static void a_reason_has_its_limit(void)
{
	struct ctl_suppression_line line;
	struct buf text = BUF_MAX(1000);
	struct err err;

	buf_put_text(&text, "a@b,");
	for (unsigned i = 0; i < CTL_SUPPRESSION_REASON_MAX; i++)
		buf_put_char(&text, 'x');
	UNIT_TRUE(ctl_suppression_line_read(buf_str(&text), &line, &err));
	ctl_suppression_line_clear(&line);
	buf_put_char(&text, 'x');
	UNIT_TRUE(!ctl_suppression_line_read(buf_str(&text), &line, &err));
	buf_clear(&text);
}

static void the_head_is_known(void)
{
	UNIT_TRUE(ctl_suppression_line_is_head(STR("address,reason,source")));
	UNIT_TRUE(ctl_suppression_line_is_head(STR("Address")));
	UNIT_TRUE(!ctl_suppression_line_is_head(STR("address@x.example")));
}

UNIT_TESTS({"lines are read or refused whole", lines_are_read_or_refused_whole},
	   {"a reason has its limit", a_reason_has_its_limit},
	   {"the head is known", the_head_is_known})
