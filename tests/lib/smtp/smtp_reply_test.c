/* SPDX-License-Identifier: Apache-2.0
 *
 * Replies written and read.
 */
#include "lib/smtp/smtp_reply.h"

#include "tests/support/unit.h"

static void a_reply_has_code_status_and_text(void)
{
	struct buf out = BUF_MAX(4096);

	smtp_reply_put(&out, SMTP_REPLY_OK, STR(""));
	smtp_reply_put(&out, SMTP_REPLY_QUEUED, STR("0190"));
	smtp_reply_put(&out, SMTP_REPLY_GREETING, STR("mail.test"));
	smtp_reply_put(&out, SMTP_REPLY_AUTH_PROMPT, STR(""));
	smtp_reply_put_line(&out, 250, false, STR("one"));
	smtp_reply_put_line(&out, 250, true, STR("two"));
	UNIT_STR(buf_str(&out), "250 2.0.0 Ok\r\n250 2.0.0 Ok: queued as 0190\r\n"
				"220 mail.test ESMTP smtp-proxy\r\n334 \r\n250-one\r\n250 two\r\n");
	buf_clear(&out);
	UNIT_INT(smtp_reply_code(SMTP_REPLY_AUTH_FAILED), 535);
	UNIT_TEXT(smtp_reply_token(SMTP_REPLY_AUTH_FAILED), "AUTH_FAILED");
}

static void every_reply_is_well_formed(void)
{
	for (enum smtp_reply r = SMTP_REPLY_NONE + 1; r < SMTP_REPLY_COUNT; r++) {
		struct buf out = BUF_MAX(4096);
		struct smtp_answer answer;
		struct str input;

		smtp_reply_put(&out, r, STR("x"));
		input = buf_str(&out);
		UNIT_TRUE(out.n <= 512 && str_is_printable(str_first(input, input.n - 2)));
		UNIT_INT(smtp_reply_take(&input, &answer), SMTP_REPLY_OK_ANSWER);
		UNIT_INT(answer.code, smtp_reply_code(r));
		UNIT_INT(input.n, 0);
		/* RFC 2034: the class of the status is the first digit of the code. */
		if (answer.status.n > 0)
			UNIT_INT(answer.status.p[0], answer.lines.p[0]);
		else
			UNIT_TRUE(answer.code == 220 || answer.code == 250 || answer.code / 100 == 3);
		buf_clear(&out);
	}
}

static void a_reply_is_found_by_its_token_and_explained(void)
{
	UNIT_INT(smtp_reply_find(STR("AUTH_FAILED")), SMTP_REPLY_AUTH_FAILED);
	UNIT_INT(smtp_reply_find(STR("auth_failed")), SMTP_REPLY_AUTH_FAILED);
	UNIT_INT(smtp_reply_find(STR("AUTH_FAILE")), SMTP_REPLY_NONE);
	UNIT_INT(smtp_reply_find(STR("")), SMTP_REPLY_NONE);
	UNIT_TEXT(smtp_reply_status(SMTP_REPLY_AUTH_FAILED), "5.7.8");
	UNIT_TEXT(smtp_reply_status(SMTP_REPLY_EHLO), "");
	for (enum smtp_reply r = SMTP_REPLY_NONE + 1; r < SMTP_REPLY_COUNT; r++) {
		struct str prose = str_of(smtp_reply_prose(r));

		UNIT_INT(smtp_reply_find(str_of(smtp_reply_token(r))), r);
		/* a sentence, and not the text over again */
		UNIT_TRUE(prose.n > 10 && prose.p[0] >= 'A' && prose.p[0] <= 'Z' && str_ends(prose, STR(".")));
		UNIT_TRUE(str_is_printable(prose) && !str_eq(prose, str_of(smtp_reply_text(r))));
	}
}

static void answers_are_read(void)
{
	static const struct {
		const char *input;
		enum smtp_reply_result result;
		unsigned code;
		const char *text, *status, *rest;
	} cases[] = {
		{"250 2.0.0 Ok\r\n", SMTP_REPLY_OK_ANSWER, 250, "2.0.0 Ok", "2.0.0", ""},
		{"250 Ok\r\n220 x", SMTP_REPLY_OK_ANSWER, 250, "Ok", "", "220 x"},
		{"250-a\r\n250-b\r\n250 c\r\nrest", SMTP_REPLY_OK_ANSWER, 250, "c", "", "rest"},
		{"354\r\n", SMTP_REPLY_OK_ANSWER, 354, "", "", ""},
		{"250 Ok\n", SMTP_REPLY_OK_ANSWER, 250, "Ok", "", ""},
		{"550 5.7.1\r\n", SMTP_REPLY_OK_ANSWER, 550, "5.7.1", "5.7.1", ""},
		{"550 2.7.1 x\r\n", SMTP_REPLY_OK_ANSWER, 550, "2.7.1 x", "", ""},
		{"550 5.7 x\r\n", SMTP_REPLY_OK_ANSWER, 550, "5.7 x", "", ""},
		{"250-a\r\n250-b\r\n", SMTP_REPLY_MORE, 0, NULL, NULL, NULL},
		{"250 Ok", SMTP_REPLY_MORE, 0, NULL, NULL, NULL},
		{"", SMTP_REPLY_MORE, 0, NULL, NULL, NULL},
		{"hello\r\n", SMTP_REPLY_MALFORMED, 0, NULL, NULL, NULL},
		{"600 x\r\n", SMTP_REPLY_MALFORMED, 0, NULL, NULL, NULL},
		{"25 x\r\n", SMTP_REPLY_MALFORMED, 0, NULL, NULL, NULL},
		{"250x\r\n", SMTP_REPLY_MALFORMED, 0, NULL, NULL, NULL},
		{"250-a\r\n251 b\r\n", SMTP_REPLY_MALFORMED, 0, NULL, NULL, NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct str input = str_of(cases[i].input);
		struct smtp_answer answer;

		UNIT_INT(smtp_reply_take(&input, &answer), cases[i].result);
		if (cases[i].result != SMTP_REPLY_OK_ANSWER)
			continue;
		UNIT_INT(answer.code, cases[i].code);
		UNIT_STR(answer.text, cases[i].text);
		UNIT_STR(answer.status, cases[i].status);
		UNIT_STR(input, cases[i].rest);
	}
}

static void the_lines_of_an_answer_are_walked(void)
{
	struct str input = STR("250-mail.test\r\n250-SIZE 10\r\n250 AUTH PLAIN\r\n"), text;
	struct smtp_answer answer;

	UNIT_INT(smtp_reply_take(&input, &answer), SMTP_REPLY_OK_ANSWER);
	UNIT_TRUE(smtp_reply_next_line(&answer.lines, &text));
	UNIT_STR(text, "mail.test");
	UNIT_TRUE(smtp_reply_next_line(&answer.lines, &text));
	UNIT_STR(text, "SIZE 10");
	UNIT_TRUE(smtp_reply_next_line(&answer.lines, &text));
	UNIT_STR(text, "AUTH PLAIN");
	UNIT_TRUE(!smtp_reply_next_line(&answer.lines, &text));
}

static void an_endless_answer_is_malformed(void)
{
	struct buf in = BUF_MAX(1 << 20);
	struct smtp_answer answer;
	struct str input;

	while (in.n < SMTP_ANSWER_MAX)
		buf_put_text(&in, "250-more\r\n");
	input = buf_str(&in);
	UNIT_INT(smtp_reply_take(&input, &answer), SMTP_REPLY_MALFORMED);
	buf_clear(&in);
}

UNIT_TESTS({"a reply has code, status and text", a_reply_has_code_status_and_text},
	   {"a reply is found by its token and explained", a_reply_is_found_by_its_token_and_explained},
	   {"every reply is well formed", every_reply_is_well_formed},
	   {"answers are read", answers_are_read},
	   {"the lines of an answer are walked", the_lines_of_an_answer_are_walked},
	   {"an endless answer is malformed", an_endless_answer_is_malformed})
