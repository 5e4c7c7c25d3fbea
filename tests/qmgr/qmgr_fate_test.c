/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of qmgr/qmgr_fate.c: one table of outcomes with refusals, and what becomes of each recipient.
 */
#include "qmgr/qmgr_fate.h"

#include <stdlib.h>

#include "qmgr/qmgr_message.h"
#include "qmgr/qmgr_part.h"
#include "tests/support/unit.h"

enum { MOST = 65536 };

/* "1P 2T": recipient 1 was refused for good, 2 for now. */
static void put_refusals(struct buf *out, const char *text)
{
	for (; *text != '\0'; text += text[2] == ' ' ? 3 : 2) {
		struct ipc_refusal f = {
			.recipient = (uint16_t)(text[0] - '0'),
			.class = text[1] == 'T' ? IPC_OUTCOME_TRANSIENT : IPC_OUTCOME_PERMANENT,
			.code = text[1] == 'T' ? 450 : 550,
			.status = text[1] == 'T' ? STR("4.2.1") : STR("5.1.1"),
			.reason = text[1] == 'T' ? STR("later") : STR("nobody"),
		};

		ipc_put_refusal(out, &f);
	}
}

/* "sent {"a"} 200 fine; failed {"b"} 550 nobody; left {2}" */
static char *told(const struct qmgr_fates *f)
{
	static const char *const names[] = {"sent", "failed", "left", "absent"};
	struct buf out = BUF_MAX(MOST);

	for (const struct qmgr_fate_group *g = f->groups; g != NULL; g = g->next) {
		buf_printf(&out, "%s ", names[g->fate]);
		buf_put_str(&out, qmgr_fate_recipients(g));
		buf_printf(&out, " %u ", g->code);
		buf_put_str(&out, qmgr_fate_reason(g));
		buf_put_text(&out, "; ");
	}
	for (unsigned i = QMGR_FATE_FAILED; i < QMGR_FATES; i++) {
		if (f->n[i] == 0)
			continue;
		buf_printf(&out, "%s ", names[i]);
		qmgr_part_put_list(&out, f->list[i], f->n[i]);
	}
	return buf_take_text(&out);
}

static void each_recipient_has_its_fate(void)
{
	static const struct {
		enum ipc_outcome_class class;
		const char *refusals;
		const char *whom; /* that the call was for */
		bool is_part; /* of the message's recipients 3, 5 and 7 */
		bool is_own_left;
		const char *told;
	} cases[] = {
		{IPC_OUTCOME_SENT, "", "", false, false, "sent {\"a\",\"b\",\"c\"} 200 words; "},
		{IPC_OUTCOME_PERMANENT, "", "", false, false, "failed {\"a\",\"b\",\"c\"} 200 words; failed {0,1,2}"},
		{IPC_OUTCOME_UNKNOWN, "", "", true, true, "left {\"a\",\"b\",\"c\"} 200 words; left {3,5,7}"},
		{IPC_OUTCOME_SENT, "1P", "", false, false,
		 "sent {\"a\",\"c\"} 200 words; failed {\"b\"} 550 nobody; failed {1}"},
		{IPC_OUTCOME_SENT, "3P 7T", "", true, false,
		 "sent {\"b\"} 200 words; failed {\"a\"} 550 nobody; left {\"c\"} 450 later; failed {3}left {7}"},
		{IPC_OUTCOME_SENT, "0P 1P 2P", "", false, false, "failed {\"a\",\"b\",\"c\"} 550 nobody; failed {0,1,2}"},
		{IPC_OUTCOME_PERMANENT, "2T", "", false, false,
		 "failed {\"a\",\"b\"} 200 words; left {\"c\"} 450 later; failed {0,1}left {2}"},
		{IPC_OUTCOME_PERMANENT, "0P", "", false, false,
		 "failed {\"b\",\"c\"} 200 words; failed {\"a\"} 550 nobody; failed {0,1,2}"},
		{IPC_OUTCOME_TRANSIENT, "5P", "", true, true,
		 "left {\"a\",\"c\"} 200 words; failed {\"b\"} 550 nobody; failed {5}left {3,7}"},
		{IPC_OUTCOME_UNKNOWN, "0P 1T", "", false, true,
		 "left {\"c\"} 200 words; failed {\"a\"} 550 nobody; left {\"b\"} 450 later; failed {0}left {1,2}"},
		{IPC_OUTCOME_UNKNOWN, "0P 1P 2P", "", false, false, "failed {\"a\",\"b\",\"c\"} 550 nobody; failed {0,1,2}"},
		{IPC_OUTCOME_SENT, "1T 9P", "", false, false,
		 "sent {\"a\",\"c\"} 200 words; left {\"b\"} 450 later; left {1}"}, /* there is no such recipient */
		/* The call had more recipients than the part has now. */
		{IPC_OUTCOME_SENT, "0P 4P 5T 8P", "", true, false,
		 "sent {\"a\",\"c\"} 200 words; left {\"b\"} 450 later; left {5}"},
		{IPC_OUTCOME_SENT, "4P 7P", "34578", true, false,
		 "sent {\"a\",\"b\"} 200 words; failed {\"c\"} 550 nobody; failed {7}"},
		{IPC_OUTCOME_PERMANENT, "", "01234567", true, false,
		 "failed {\"a\",\"b\",\"c\"} 200 words; failed {3,5,7}"},
		/* ... or fewer, or others. */
		{IPC_OUTCOME_SENT, "", "5", true, false, "sent {\"b\"} 200 words; absent {3,7}"},
		{IPC_OUTCOME_PERMANENT, "3P 7T", "57", true, false,
		 "failed {\"b\"} 200 words; left {\"c\"} 450 later; failed {5}left {7}absent {3}"},
		{IPC_OUTCOME_SENT, "", "46", true, false, "absent {3,5,7}"},
	};
	static const struct str recipients[] = {{"a", 1}, {"b", 1}, {"c", 1}};
	static const uint16_t part[] = {3, 5, 7};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct qmgr_message m = {0};
		struct buf refusals = BUF_MAX(MOST), whom = BUF_MAX(MOST);
		struct qmgr_fates f;
		char *text;

		for (const char *c = cases[i].whom; *c != '\0'; c++)
			ipc_put_index(&whom, (uint16_t)(*c - '0'));
		put_refusals(&refusals, cases[i].refusals);
		qmgr_part_set(&m, part, cases[i].is_part ? 3 : 0);
		qmgr_fate_sort(&f, &m, recipients, 3,
			       &(struct ipc_outcome){.whom = buf_str(&whom), .class = cases[i].class, .code = 200,
						     .status = STR("2.0.0"), .reason = STR("words"),
						     .refusals = buf_str(&refusals)}, STR(""));
		text = told(&f);
		UNIT_TEXT(text, cases[i].told);
		UNIT_INT(f.is_own_left, cases[i].is_own_left);
		free(text);
		qmgr_fate_clear(&f);
		buf_clear(&refusals);
		buf_clear(&whom);
		qmgr_part_set(&m, NULL, 0);
	}
}

static void who_is_given_up_has_failed_with_his_own_words(void)
{
	static const struct str recipients[] = {{"a", 1}, {"b", 1}, {"c", 1}};
	struct qmgr_message m = {0};
	struct buf refusals = BUF_MAX(MOST);
	struct qmgr_fates f;
	char *text;

	put_refusals(&refusals, "0P 1T");
	qmgr_fate_sort(&f, &m, recipients, 3,
		       &(struct ipc_outcome){.class = IPC_OUTCOME_TRANSIENT, .code = 503, .reason = STR("busy"),
					     .refusals = buf_str(&refusals)}, STR(""));
	qmgr_fate_give_up(&f);
	text = told(&f);
	UNIT_TEXT(text, "failed {\"c\"} 503 busy; failed {\"a\"} 550 nobody; failed {\"b\"} 450 later; failed {0,1,2}");
	UNIT_TRUE(qmgr_fate_first(&f, QMGR_FATE_LEFT) == NULL);
	UNIT_STR(qmgr_fate_status(qmgr_fate_first(&f, QMGR_FATE_FAILED)->next), "5.1.1");
	qmgr_fate_blank(&f);
	UNIT_STR(qmgr_fate_reason(f.groups->next), "");
	UNIT_INT(f.groups->next->code, 550);
	free(text);
	qmgr_fate_clear(&f);
	buf_clear(&refusals);
}

/* Its content is not in the database any more, say. */
static void a_message_without_recipients_still_has_a_fate(void)
{
	struct qmgr_message m = {0};
	struct qmgr_fates f;

	qmgr_fate_sort(&f, &m, NULL, 0, &(struct ipc_outcome){.class = IPC_OUTCOME_PERMANENT, .reason = STR("gone")}, STR(""));
	UNIT_TRUE(qmgr_fate_first(&f, QMGR_FATE_FAILED) != NULL);
	UNIT_STR(qmgr_fate_recipients(f.groups), "{}");
	qmgr_fate_clear(&f);
}

/* Bytes that Postgres does not take would keep a whole batch from being written. */
static void words_are_made_text(void)
{
	static const struct str recipients[] = {{"a\"\\b", 4}};
	struct qmgr_message m = {0};
	struct qmgr_fates f;

	qmgr_fate_sort(&f, &m, recipients, 1,
		       &(struct ipc_outcome){.class = IPC_OUTCOME_TRANSIENT, .status = STR("4\xff"),
					     .reason = str_bytes("x\0y", 3)}, STR(""));
	UNIT_STR(qmgr_fate_status(f.groups), "4?");
	UNIT_STR(qmgr_fate_reason(f.groups), "x?y");
	UNIT_STR(qmgr_fate_recipients(f.groups), "{\"a\\\"\\\\b\"}");
	qmgr_fate_clear(&f);
}

/* "1,2 250 taken" */
static void noted(const struct qmgr_fate_note *n, const char *expected)
{
	struct buf out = BUF_MAX(MOST);
	char *text;

	qmgr_part_put_list(&out, n->list, n->n);
	buf_printf(&out, " %u ", n->code);
	buf_put_str(&out, buf_str(&n->words));
	text = buf_take_text(&out);
	UNIT_TEXT(text, expected);
	free(text);
}

static void what_else_is_told_of_those_who_are_sent(void)
{
	static const struct str recipients[] = {{"a", 1}, {"b", 1}, {"c", 1}};
	static const uint16_t part[] = {3, 5, 7};
	const struct str dsn = STR("RET=HDRS\n3 NOTIFY=SUCCESS\n5 NOTIFY=SUCCESS,FAILURE\n6 NOTIFY=SUCCESS\n7 NOTIFY=DELAY\n");
	struct ipc_refusal later = {7, IPC_OUTCOME_SENT, 550, STR("5.2.1"), STR("back")};
	struct qmgr_message m = {0};
	struct buf refusals = BUF_MAX(MOST);
	struct qmgr_fates f;

	qmgr_part_set(&m, part, 3);
	put_refusals(&refusals, "5P");
	ipc_put_refusal(&refusals, &later);
	qmgr_fate_sort(&f, &m, recipients, 3,
		       &(struct ipc_outcome){.class = IPC_OUTCOME_SENT, .code = 250, .status = STR("2.0.0"),
					     .reason = STR("taken"), .refusals = buf_str(&refusals)}, dsn);
	UNIT_INT(f.n[QMGR_FATE_SENT], 2);
	UNIT_STR(qmgr_fate_recipients(f.groups), "{\"a\",\"c\"}");
	noted(&f.note[QMGR_FATE_RELAYED], "{3} 250 2.0.0taken");
	noted(&f.note[QMGR_FATE_BOUNCES], "{7} 550 5.2.1back");
	qmgr_fate_blank(&f);
	noted(&f.note[QMGR_FATE_BOUNCES], "{7} 550 ");
	qmgr_fate_clear(&f);
	/* Nothing is told of those whom nobody took. */
	qmgr_fate_sort(&f, &m, recipients, 3,
		       &(struct ipc_outcome){.class = IPC_OUTCOME_TRANSIENT, .code = 450, .status = STR("4.0.0"),
					     .reason = STR("busy"), .refusals = buf_str(&refusals)}, dsn);
	UNIT_INT(f.note[QMGR_FATE_RELAYED].n + f.note[QMGR_FATE_BOUNCES].n, 0);
	UNIT_INT(f.n[QMGR_FATE_LEFT], 2);
	qmgr_fate_clear(&f);
	buf_clear(&refusals);
	qmgr_part_set(&m, NULL, 0);
}

UNIT_TESTS({"each recipient has its fate", each_recipient_has_its_fate},
	   {"who is given up has failed with his own words", who_is_given_up_has_failed_with_his_own_words},
	   {"a message without recipients still has a fate", a_message_without_recipients_still_has_a_fate},
	   {"what else is told of those who are sent", what_else_is_told_of_those_who_are_sent},
	   {"words are made text", words_are_made_text})
