/* SPDX-License-Identifier: Apache-2.0
 *
 * What is heard of programs that master runs for us.
 */
#include "cert-renewer/cert_run.h"

#include "tests/support/unit.h"

struct heard {
	unsigned n;
	bool ok;
	char output[IPC_RUN_OUTPUT + 1];
};

static void on_end(void *ctx, bool ok, const char *output)
{
	struct heard *h = ctx;

	h->n++;
	h->ok = ok;
	UNIT_TRUE(str_copy(str_of(output), h->output, sizeof(h->output)));
}

static bool tell(uint64_t number, bool ok, struct str output)
{
	struct buf body = BUF_MAX(8192);
	struct ipc_frame frame = {.type = IPC_RUN_RESULT, .id = number, .fd = -1};
	bool taken;

	ipc_put_run_result(&body, &(struct ipc_run_result){.is_done = ok, .output = output});
	frame.body = reader_of(buf_str(&body));
	taken = cert_run_take(&frame);
	buf_clear(&body);
	return taken;
}

static uint64_t start(struct heard *h)
{
	const struct str words[] = {STR("add"), STR("_acme-challenge.example.com"), STR("value")};

	return cert_run_start(IPC_PROGRAM_DNS_HOOK, words, 3, on_end, h);
}

static void each_end_reaches_its_owner_once(void)
{
	struct heard first = {0}, second = {0};
	uint64_t one = start(&first), two = start(&second);

	UNIT_TRUE(one != two);
	UNIT_TRUE(tell(two, true, STR("")));
	UNIT_INT(first.n, 0);
	UNIT_INT(second.n, 1);
	UNIT_TRUE(second.ok);
	UNIT_TRUE(tell(one, false, STR("no such zone\n")));
	UNIT_INT(first.n, 1);
	UNIT_TRUE(!first.ok);
	UNIT_TEXT(first.output, "no such zone");
	UNIT_TRUE(tell(one, true, STR("")));
	UNIT_INT(first.n, 1);
}

static void nobody_hears_of_a_run_that_was_forgotten(void)
{
	struct heard h = {0};
	uint64_t number = start(&h);

	cert_run_forget(number);
	cert_run_forget(number);
	UNIT_TRUE(tell(number, true, STR("")));
	UNIT_INT(h.n, 0);
}

static void nobody_need_listen(void)
{
	UNIT_TRUE(tell(cert_run_start(IPC_PROGRAM_ALERT, NULL, 0, NULL, NULL), true, STR("")));
}

static void output_becomes_one_printable_line(void)
{
	struct heard h = {0};

	tell(start(&h), false, STR("\xff\x1b[31mno\nzone\t\n"));
	UNIT_TEXT(h.output, "? [31mno zone");
	tell(start(&h), false, STR("k\xc3\xa4se"));
	UNIT_TEXT(h.output, "k\xc3\xa4se");
}

static void what_is_no_result_is_refused(void)
{
	struct ipc_frame frame = {.type = IPC_RUN_RESULT, .body = reader_of(STR("\x01")), .fd = -1};

	UNIT_TRUE(!cert_run_take(&frame));
	frame = (struct ipc_frame){.type = IPC_PING, .fd = -1};
	UNIT_TRUE(!cert_run_take(&frame));
}

UNIT_TESTS({"each end reaches its owner, once", each_end_reaches_its_owner_once},
	   {"nobody hears of a run that was forgotten", nobody_hears_of_a_run_that_was_forgotten},
	   {"nobody need listen", nobody_need_listen},
	   {"output becomes one printable line", output_becomes_one_printable_line},
	   {"what is no result is refused", what_is_no_result_is_refused})
