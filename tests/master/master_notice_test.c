/* SPDX-License-Identifier: Apache-2.0
 *
 * Notices: who says what, and that none can say more than words.
 */
#include "tests/support/unit.h"

#include "master/master_notice.h"

static void says(const struct master_notices *notices, const char *expected)
{
	struct buf all = BUF_MAX(8192);

	master_notice_put(notices, &all);
	UNIT_STR(buf_str(&all), expected);
	buf_clear(&all);
}

static void each_has_its_own_word(void)
{
	struct master_notices notices = {0};

	says(&notices, "");
	master_notice_set(&notices, MASTER_NOTICE_CERT_RENEWER, STR("it fails"));
	master_notice_set(&notices, MASTER_NOTICE_CERTIFICATE, STR("a placeholder"));
	says(&notices, "a placeholder; it fails");
	master_notice_set(&notices, MASTER_NOTICE_CERTIFICATE, STR(""));
	says(&notices, "it fails");
	master_notice_set(&notices, MASTER_NOTICE_CERT_RENEWER, STR(""));
	says(&notices, "");
}

/* Each line is a variable of its own to the service manager. */
static void a_text_stays_one_line(void)
{
	struct master_notices notices = {0};
	char much[3000];

	master_notice_set(&notices, MASTER_NOTICE_CERT_RENEWER, STR("x\nMAINPID=1\0\x1b[2J\xff"));
	says(&notices, "x?MAINPID=1??[2J?");
	memset(much, 'y', sizeof(much));
	master_notice_set(&notices, MASTER_NOTICE_CERT_RENEWER, str_bytes(much, sizeof(much)));
	UNIT_INT(strlen(notices.text[MASTER_NOTICE_CERT_RENEWER]), MASTER_NOTICE_MAX);
}

UNIT_TESTS({"each has its own word", each_has_its_own_word}, {"a text stays one line", a_text_stays_one_line})
