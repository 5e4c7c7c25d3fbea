/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs under way, by number.
 */
#include "cert-renewer/cert_run.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/random.h"
#include "lib/base/trouble.h"
#include "lib/service/service.h"

enum { RUN_MAX = 16384 /* of ipc.def */ };

struct run {
	struct run *next;
	uint64_t number;
	cert_run_fn *fn;
	void *ctx;
};

static struct run *runs;

/* The first number is a random one: master may still tell how a program of our predecessor's ended. */
static uint64_t next_number(void)
{
	static uint64_t last;

	if (last == 0)
		last = 1 + random_below(UINT64_C(1) << 62);
	return ++last;
}

uint64_t cert_run_start(enum ipc_program program, const struct str *arguments, unsigned n, cert_run_fn *fn, void *ctx)
{
	struct ipc_run run = {.program = program, .n = n};
	struct buf body = BUF_MAX(RUN_MAX);
	uint64_t number = next_number();

	must(n <= IPC_RUN_ARGUMENTS);
	for (unsigned i = 0; i < n; i++)
		run.argument[i] = arguments[i];
	ipc_put_run(&body, &run);
	must(!body.is_full);
	if (fn != NULL) {
		struct run *r = mem_zero(sizeof(*r));

		*r = (struct run){.next = runs, .number = number, .fn = fn, .ctx = ctx};
		runs = r;
	}
	service_say(IPC_RUN, number, buf_str(&body));
	buf_clear(&body);
	return number;
}

/* Off the list; NULL: there is none (any more). The caller frees it. */
static struct run *take_out(uint64_t number)
{
	struct run **at = &runs, *found;

	while (*at != NULL && (*at)->number != number)
		at = &(*at)->next;
	found = *at;
	if (found != NULL)
		*at = found->next;
	return found;
}

void cert_run_forget(uint64_t number)
{
	free(take_out(number));
}

/* For logs and people: in one line, without what a terminal would act on. */
static void make_printable(struct str output, char text[IPC_RUN_OUTPUT + 1])
{
	bool is_utf8 = str_is_utf8(output);
	size_t n = output.n < IPC_RUN_OUTPUT ? output.n : IPC_RUN_OUTPUT;

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)output.p[i];

		text[i] = c < ' ' || c == 0x7f ? ' ' : c >= 0x80 && !is_utf8 ? '?' : (char)c;
	}
	text[n] = '\0';
}

bool cert_run_take(struct ipc_frame *frame)
{
	struct ipc_run_result result;
	char text[IPC_RUN_OUTPUT + 1];
	struct run *r;

	if (frame->type != IPC_RUN_RESULT || !ipc_get_run_result(&frame->body, &result))
		return false;
	r = take_out(frame->id);
	if (r == NULL)
		return true;
	make_printable(str_trim_folded(result.output), text);
	r->fn(r->ctx, result.is_done, text);
	free(r);
	return true;
}
