/* SPDX-License-Identifier: Apache-2.0
 *
 * The frames' bodies: what is written is read back, and anything shorter, longer or out of range is refused.
 */
#include "tests/support/unit.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/ipc/ipc_body.h"

enum { MOST = 262144 };

static struct str recipients[IPC_RECIPIENTS_MAX];

/* Each reads one kind of body; the results are thrown away. */
static bool read_auth(struct reader *r)
{
	struct ipc_auth a;

	return ipc_get_auth(r, &a);
}

static bool read_auth_result(struct reader *r)
{
	struct ipc_auth_result a;

	return ipc_get_auth_result(r, &a);
}

static bool read_message(struct reader *r)
{
	struct ipc_message m;

	return ipc_get_message(r, &m, recipients);
}

static bool read_submit_result(struct reader *r)
{
	struct ipc_submit_result s;

	return ipc_get_submit_result(r, &s);
}

static bool read_job(struct reader *r)
{
	struct ipc_job j;

	return ipc_get_job(r, &j, recipients);
}

static bool read_attempt(struct reader *r)
{
	struct ipc_attempt a;

	return ipc_get_attempt(r, &a);
}

static bool read_outcome(struct reader *r)
{
	struct ipc_outcome o;

	return ipc_get_outcome(r, &o);
}

static bool read_share(struct reader *r)
{
	struct ipc_share s;

	return ipc_get_share(r, &s);
}

static bool read_share_result(struct reader *r)
{
	struct ipc_share_result s;

	return ipc_get_share_result(r, &s);
}

static bool read_run(struct reader *r)
{
	struct ipc_run run;

	return ipc_get_run(r, &run);
}

static bool read_run_result(struct reader *r)
{
	struct ipc_run_result result;

	return ipc_get_run_result(r, &result);
}

/* Cut off at every byte, in memory of exactly that size so that a sanitizer sees a read beyond; and with one
 * byte too many. */
static void refuse_truncated(const struct buf *b, bool (*get)(struct reader *r))
{
	for (size_t n = 0; n <= b->n; n++) {
		char *exact = malloc(n == 0 ? 1 : n);
		struct reader r;

		memcpy(exact, b->p, n);
		r = reader_of(str_bytes(exact, n));
		UNIT_INT(get(&r), n == b->n);
		free(exact);
	}
	{
		char *longer = mem_zero(b->n + 1);
		struct reader r = reader_of(str_bytes(longer, b->n + 1));

		memcpy(longer, b->p, b->n);
		UNIT_TRUE(!get(&r));
		free(longer);
	}
}

static bool reads(const struct buf *b, bool (*get)(struct reader *r))
{
	struct reader r = reader_of(buf_str(b));

	return get(&r);
}

static void auth_and_back(void)
{
	struct ipc_auth in = {IPC_AUTH_EXTERNAL, STR("s1"), STR("::1"), STR("user"), STR("pass\0word"), STR("sha256:00")}, out;
	struct buf b = BUF_MAX(MOST);
	struct reader r;

	ipc_put_auth(&b, &in);
	r = reader_of(buf_str(&b));
	UNIT_TRUE(ipc_get_auth(&r, &out));
	UNIT_TRUE(str_eq(in.session, out.session) && str_eq(in.client, out.client) &&
		  str_eq(in.user, out.user) && str_eq(in.password, out.password) &&
		  str_eq(in.certificate, out.certificate) && in.mechanism == out.mechanism);
	refuse_truncated(&b, read_auth);
	buf_clear(&b);
}

static void auth_result_and_back(void)
{
	struct ipc_auth_result in = {IPC_AUTH_UNAVAILABLE, uuid_new(clock_wall()), uuid_new(clock_wall()),
				     STR("acme"), STR("app"), STR("@acme.example"), IPC_DIRECT, true, true},
			       out;
	struct buf b = BUF_MAX(MOST);
	struct reader r;

	ipc_put_auth_result(&b, &in);
	r = reader_of(buf_str(&b));
	UNIT_TRUE(ipc_get_auth_result(&r, &out));
	UNIT_TRUE(out.verdict == in.verdict && uuid_eq(&in.tenant, &out.tenant) &&
		  uuid_eq(&in.user, &out.user) && str_eq(in.tenant_name, out.tenant_name));
	refuse_truncated(&b, read_auth_result);
	b.p[0] = IPC_AUTH_VERDICTS;
	UNIT_TRUE(!reads(&b, read_auth_result));
	buf_clear(&b);
}

static const struct str two[] = {{"a@example.com", 13}, {"b@example.com", 13}};

static struct ipc_message a_message(void)
{
	return (struct ipc_message){
		.id = uuid_new(clock_wall()),
		.tenant = uuid_new(clock_wall()),
		.user = uuid_new(clock_wall()),
		.session = STR("abcdef"),
		.client = STR("192.0.2.1"),
		.helo = STR("client.example"),
		.mail_from = STR(""),
		.recipients = two,
		.n_recipients = 2,
		.is_8bit = true,
		.is_utf8 = false,
		.mail_at = 1700000000000001,
		.received_at = -1,
		.size = 9,
		.content = STR("Hi\r\n\r\nyou"),
	};
}

static void message_and_back(void)
{
	struct ipc_message in = a_message(), out;
	struct buf b = BUF_MAX(MOST);
	struct reader r;

	ipc_put_message(&b, &in);
	r = reader_of(buf_str(&b));
	UNIT_TRUE(ipc_get_message(&r, &out, recipients));
	UNIT_TRUE(uuid_eq(&in.id, &out.id) && uuid_eq(&in.tenant, &out.tenant) && uuid_eq(&in.user, &out.user));
	UNIT_TRUE(str_eq(in.session, out.session) && str_eq(in.client, out.client) && str_eq(in.helo, out.helo));
	UNIT_TRUE(out.mail_from.n == 0 && out.n_recipients == 2 && str_eq(out.recipients[1], two[1]));
	UNIT_TRUE(out.is_8bit && !out.is_utf8 && out.size == 9 && str_eq(out.content, in.content));
	UNIT_TRUE(out.mail_at == in.mail_at && out.received_at == in.received_at);
	refuse_truncated(&b, read_message);
	buf_clear(&b);
}

/* Writes a message and tells whether it can be read. */
static bool goes_through(const struct ipc_message *m)
{
	struct buf b = BUF_MAX(16 << 20);
	bool ok;

	ipc_put_message(&b, m);
	ok = !b.is_full && reads(&b, read_message);
	buf_clear(&b);
	return ok;
}

static void messages_that_make_no_sense_are_refused(void)
{
	struct ipc_message m = a_message();

	UNIT_TRUE(goes_through(&m));
	m.size = 10;
	UNIT_TRUE(!goes_through(&m));
	m = a_message();
	m.n_recipients = 0;
	UNIT_TRUE(!goes_through(&m));
	m = a_message();
	m.id.b[6] = 0x40; /* version 4: no time in it */
	UNIT_TRUE(!goes_through(&m));
	m = a_message();
	m.session = STR("a session id of twenty-four");
	UNIT_TRUE(!goes_through(&m));
}

static void the_number_of_recipients_is_bounded(void)
{
	struct str *many = mem_array(IPC_RECIPIENTS_MAX + 1, sizeof(*many));
	struct ipc_message m = a_message();

	for (size_t i = 0; i <= IPC_RECIPIENTS_MAX; i++)
		many[i] = STR("x@example.com");
	m.recipients = many;
	m.n_recipients = IPC_RECIPIENTS_MAX;
	UNIT_TRUE(goes_through(&m));
	m.n_recipients = IPC_RECIPIENTS_MAX + 1;
	UNIT_TRUE(!goes_through(&m));
	free(many);
}

static void a_large_message_is_not_in_the_frame(void)
{
	char *content = mem_zero(IPC_INLINE_MAX + 1);
	struct ipc_message m = a_message();

	m.size = IPC_INLINE_MAX;
	m.content = str_bytes(content, IPC_INLINE_MAX);
	UNIT_TRUE(goes_through(&m));
	m.size = IPC_INLINE_MAX + 1;
	m.content = str_bytes(content, IPC_INLINE_MAX + 1);
	UNIT_TRUE(!goes_through(&m));
	m.content.n = 0;
	UNIT_TRUE(goes_through(&m));
	free(content);
}

/* The largest message that smtpd makes still fits into the frame that ipc.def allows. */
static void the_largest_inline_message_fits_its_frame(void)
{
	struct str *many = mem_array(IPC_RECIPIENTS_MAX, sizeof(*many));
	char *content = mem_zero(IPC_INLINE_MAX), address[120];
	struct ipc_message m = a_message();
	struct buf b = BUF_MAX(196608);

	memset(address, 'x', sizeof(address));
	for (size_t i = 0; i < IPC_RECIPIENTS_MAX; i++)
		many[i] = str_bytes(address, sizeof(address));
	m.recipients = many;
	m.n_recipients = IPC_RECIPIENTS_MAX;
	m.size = IPC_INLINE_MAX;
	m.content = str_bytes(content, IPC_INLINE_MAX);
	ipc_put_message(&b, &m);
	UNIT_TRUE(!b.is_full);
	buf_clear(&b);
	free(content);
	free(many);
}

static void submit_result_and_back(void)
{
	struct ipc_submit_result in = {IPC_SUBMIT_UNAVAILABLE, STR("no database"), STR("id"), uuid_new(clock_wall())}, out;
	struct buf b = BUF_MAX(MOST);
	struct reader r;

	ipc_put_submit_result(&b, &in);
	r = reader_of(buf_str(&b));
	UNIT_TRUE(ipc_get_submit_result(&r, &out));
	UNIT_TRUE(out.verdict == in.verdict && str_eq(out.reason, in.reason));
	refuse_truncated(&b, read_submit_result);
	b.p[0] = IPC_SUBMIT_VERDICTS;
	UNIT_TRUE(!reads(&b, read_submit_result));
	buf_clear(&b);
}

static void job_and_back(void)
{
	struct ipc_job in = {.attempt = 3, .whom = str_bytes("\0\3\3\347", 4), .provider = STR("main"), .begin_before = INT64_C(1) << 40, .message = a_message()}, out;
	struct buf b = BUF_MAX(MOST);
	struct reader r;

	ipc_put_job(&b, &in);
	r = reader_of(buf_str(&b));
	UNIT_TRUE(ipc_get_job(&r, &out, recipients));
	UNIT_TRUE(out.attempt == 3 && str_eq(out.provider, in.provider) && out.begin_before == in.begin_before);
	UNIT_TRUE(uuid_eq(&out.message.id, &in.message.id) && out.message.n_recipients == 2);
	UNIT_TRUE(ipc_whom_count(out.whom) == 2 && ipc_whom_at(out.whom, 0) == 3 && ipc_whom_at(out.whom, 1) == 999);
	refuse_truncated(&b, read_job);
	buf_clear(&b);
}

static void lists_of_recipients_that_make_no_sense_are_refused(void)
{
	static const struct {
		struct str whom;
		bool is_good;
	} cases[] = {
		{{"", 0}, true},	   {{"\0\0", 2}, true},      {{"\0\0\0\1", 4}, true}, {{"\3\347", 2}, true},
		{{"\3\350", 2}, false}, {{"\0\1\0\1", 4}, false}, {{"\0\2\0\1", 4}, false}, {{"\0\1\0", 3}, false},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ipc_job job = {.attempt = 1, .whom = cases[i].whom, .message = a_message()};
		struct ipc_outcome outcome = {.whom = cases[i].whom};
		struct buf b = BUF_MAX(MOST);

		ipc_put_job(&b, &job);
		UNIT_INT(reads(&b, read_job), cases[i].is_good);
		buf_reset(&b);
		ipc_put_outcome(&b, &outcome);
		UNIT_INT(reads(&b, read_outcome), cases[i].is_good);
		buf_clear(&b);
	}
}

static void attempt_and_back(void)
{
	struct ipc_attempt in = {uuid_new(clock_wall()), 4000000000U, 999}, out;
	struct buf b = BUF_MAX(MOST);
	struct reader r;

	ipc_put_attempt(&b, &in);
	r = reader_of(buf_str(&b));
	UNIT_TRUE(ipc_get_attempt(&r, &out));
	UNIT_TRUE(uuid_eq(&in.message, &out.message) && out.attempt == in.attempt);
	refuse_truncated(&b, read_attempt);
	buf_clear(&b);
}

static void outcome_and_back(void)
{
	struct ipc_outcome in = {
		.attempt = {uuid_new(clock_wall()), 2, 0},
		.class = IPC_OUTCOME_UNKNOWN,
		.provider = STR("main"),
		.provider_id = STR("id-1"),
		.code = 429,
		.status = STR("4.7.0"),
		.reason = STR("slow down"),
		.retry_after = 60,
		.started_at = 1,
		.answered_at = INT64_MAX,
	}, out;
	struct buf b = BUF_MAX(MOST);
	struct reader r;

	ipc_put_outcome(&b, &in);
	r = reader_of(buf_str(&b));
	UNIT_TRUE(ipc_get_outcome(&r, &out));
	UNIT_TRUE(uuid_eq(&in.attempt.message, &out.attempt.message) && out.attempt.attempt == 2);
	UNIT_TRUE(out.class == in.class && str_eq(out.provider, in.provider) &&
		  str_eq(out.provider_id, in.provider_id) && out.code == 429 && str_eq(out.status, in.status));
	UNIT_TRUE(str_eq(out.reason, in.reason) && out.retry_after == 60 && out.started_at == 1 &&
		  out.answered_at == INT64_MAX);
	refuse_truncated(&b, read_outcome);
	b.p[26] = IPC_OUTCOME_CLASSES; /* behind the attempt and whom */
	UNIT_TRUE(!reads(&b, read_outcome));
	buf_clear(&b);
}

static void share_and_back(void)
{
	struct ipc_share in = {IPC_SHARE_LOCK, STR("lock/example.com"), STR("host a"), 600 * CLOCK_SECOND}, out;
	struct ipc_share_result answer = {IPC_SHARE_NO, STR("host b")}, heard;
	struct buf b = BUF_MAX(MOST), a = BUF_MAX(MOST);
	struct reader r;

	ipc_put_share(&b, &in);
	r = reader_of(buf_str(&b));
	UNIT_TRUE(ipc_get_share(&r, &out));
	UNIT_TRUE(out.act == in.act && str_eq(out.name, in.name) && str_eq(out.value, in.value) && out.lifetime == in.lifetime);
	refuse_truncated(&b, read_share);
	b.p[0] = IPC_SHARE_ACTS;
	UNIT_TRUE(!reads(&b, read_share));
	buf_reset(&b);
	in.lifetime = -1;
	ipc_put_share(&b, &in);
	UNIT_TRUE(!reads(&b, read_share));
	buf_reset(&b);
	in = (struct ipc_share){.act = IPC_SHARE_GET};
	ipc_put_share(&b, &in);
	UNIT_TRUE(!reads(&b, read_share));
	buf_clear(&b);

	ipc_put_share_result(&a, &answer);
	r = reader_of(buf_str(&a));
	UNIT_TRUE(ipc_get_share_result(&r, &heard));
	UNIT_TRUE(heard.verdict == IPC_SHARE_NO && str_eq(heard.value, STR("host b")));
	refuse_truncated(&a, read_share_result);
	a.p[0] = IPC_SHARE_VERDICTS;
	UNIT_TRUE(!reads(&a, read_share_result));
	buf_clear(&a);
}

static void run_and_back(void)
{
	struct ipc_run in = {.program = IPC_PROGRAM_DNS_HOOK, .n = 3, .argument = {STR("add"), STR("_acme-challenge.x"), STR("")}}, out;
	struct ipc_run_result end = {true, STR("done\n")}, heard;
	struct buf b = BUF_MAX(MOST), a = BUF_MAX(MOST);
	struct reader r;

	ipc_put_run(&b, &in);
	r = reader_of(buf_str(&b));
	UNIT_TRUE(ipc_get_run(&r, &out));
	UNIT_TRUE(out.program == in.program && out.n == 3);
	for (unsigned i = 0; i < 3; i++)
		UNIT_TRUE(str_eq(out.argument[i], in.argument[i]));
	refuse_truncated(&b, read_run);
	b.p[1] = IPC_RUN_ARGUMENTS + 1;
	UNIT_TRUE(!reads(&b, read_run));
	b.p[0] = IPC_PROGRAMS;
	UNIT_TRUE(!reads(&b, read_run));
	buf_clear(&b);

	ipc_put_run_result(&a, &end);
	r = reader_of(buf_str(&a));
	UNIT_TRUE(ipc_get_run_result(&r, &heard));
	UNIT_TRUE(heard.is_done && str_eq(heard.output, end.output));
	refuse_truncated(&a, read_run_result);
	buf_clear(&a);
}

static void every_class_has_a_name(void)
{
	for (unsigned i = 0; i < IPC_OUTCOME_CLASSES; i++)
		UNIT_TRUE(ipc_outcome_class_name((enum ipc_outcome_class)i)[0] != '\0');
}

UNIT_TESTS({"AUTH and back", auth_and_back}, {"AUTH_RESULT and back", auth_result_and_back},
	   {"a message and back", message_and_back},
	   {"messages that make no sense are refused", messages_that_make_no_sense_are_refused},
	   {"the number of recipients is bounded", the_number_of_recipients_is_bounded},
	   {"a large message is not in the frame", a_large_message_is_not_in_the_frame},
	   {"the largest inline message fits its frame", the_largest_inline_message_fits_its_frame},
	   {"SUBMIT_RESULT and back", submit_result_and_back}, {"JOB and back", job_and_back},
	   {"lists of recipients that make no sense are refused", lists_of_recipients_that_make_no_sense_are_refused},
	   {"an attempt and back", attempt_and_back}, {"OUTCOME and back", outcome_and_back},
	   {"SHARE, SHARE_RESULT and back", share_and_back}, {"RUN, RUN_RESULT and back", run_and_back},
	   {"every class of outcome has a name", every_class_has_a_name})
