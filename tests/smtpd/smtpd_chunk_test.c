/* SPDX-License-Identifier: Apache-2.0
 *
 * BDAT: its octets are never commands, whatever is wrong with it. The octets of the scripts below are often "QUIT" and
 * a CRLF: heard as a command they would end the session.
 */
#include "tests/smtpd/dialogue.h"

#define TO_ONE "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"
#define TO_ONE_OK "250 2.1.0 | 250 2.1.5 | "

static void a_refused_chunk_is_consumed(void)
{
	PLAY({CLEAR, "BDAT 6\r\nQUIT\r\nNOOP\r\n", "530 5.7.0 | 250 2.0.0"},
	     {CLEAR, "BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n", "530 5.7.0 | 250 2.0.0"},
	     {SECURE, "BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n", "503 5.5.1 | 250 2.0.0"},
	     {HELLO, "BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n", "530 5.7.0 | 250 2.0.0"},
	     {USER, "BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n", "503 5.5.1 | 250 2.0.0"},
	     {USER, "BDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n", "503 5.5.1 | 503 5.5.1 | 250 2.0.0"},
	     {USER, "MAIL FROM:<a@b>\r\nBDAT 6\r\nQUIT\r\nRCPT TO:<c@d>\r\n", "250 2.1.0 | 503 5.5.1 | 250 2.1.5"},
	     {USER, "MAIL FROM:<a@b>\r\nRCPT TO:<bad>\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n",
	      "250 2.1.0 | 501 5.1.3 | 503 5.5.1 | 250 2.0.0"},
	     {USER, "MAIL FROM:<bad>\r\nRCPT TO:<c@d>\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n",
	      "501 5.1.7 | 503 5.5.1 | 503 5.5.1 | 250 2.0.0"},
	     /* malformed, with a size that can be read */
	     {USER, "BDAT 6 LOST\r\nQUIT\r\nNOOP\r\n", "503 5.5.1 | 250 2.0.0"},
	     {USER, TO_ONE "BDAT 6 LOST\r\nQUIT\r\nNOOP\r\n", TO_ONE_OK "501 5.5.4 | 250 2.0.0"},
	     {USER, TO_ONE "BDAT 6 LAST x\r\nQUIT\r\nNOOP\r\n", TO_ONE_OK "501 5.5.4 | 250 2.0.0"},
	     {USER, TO_ONE "BDAT 6 \xff\r\nQUIT\r\nNOOP\r\n", TO_ONE_OK "501 5.5.2 | 250 2.0.0"},
	     /* without one */
	     {CLEAR, "BDAT\r\nBDAT x\r\n", "530 5.7.0 | 530 5.7.0"},
	     {USER, TO_ONE "BDAT\r\nNOOP\r\n", TO_ONE_OK "501 5.5.4 | 250 2.0.0"},
	     {USER, TO_ONE "BDAT x\r\nNOOP\r\n", TO_ONE_OK "501 5.5.4 | 250 2.0.0"},
	     {USER, TO_ONE "BDAT -1\r\nNOOP\r\n", TO_ONE_OK "501 5.5.4 | 250 2.0.0"},
	     {USER, TO_ONE "BDAT LAST\r\nNOOP\r\n", TO_ONE_OK "501 5.5.4 | 250 2.0.0"},
	     {USER, TO_ONE "BDAT 6x\r\nNOOP\r\n", TO_ONE_OK "501 5.5.4 | 250 2.0.0"},
	     /* beyond counting: all that follows is its octets */
	     {USER, TO_ONE "BDAT 99999999999999999999999999\r\nQUIT\r\nNOOP\r\n", "250 2.1.0 | 250 2.1.5"},
	     {USER, "BDAT 18446744073709551616 LAST\r\nQUIT\r\n", ""});
}

static void order_is_kept_between_chunks(void)
{
	PLAY({USER, TO_ONE "BDAT 2\r\n\r\nDATA\r\nNOOP\r\n", TO_ONE_OK "250 2.0.0 | 503 5.5.1 | 250 2.0.0"},
	     {USER, TO_ONE "BDAT 2\r\n\r\nRCPT TO:<e@f>\r\nMAIL FROM:<a@b>\r\nBDAT 0 LAST\r\n",
	      TO_ONE_OK "250 2.0.0 | 503 5.5.1 | 503 5.5.1 | 250 2.0.0"},
	     {USER, TO_ONE "BDAT 2\r\n\r\nSTARTTLS\r\nAUTH PLAIN AGEAYg==\r\nHELP\r\nVRFY x\r\nBDAT 0 LAST\r\n",
	      TO_ONE_OK "250 2.0.0 | 503 5.5.1 | 503 5.5.1 | 214 2.0.0 | 252 2.5.0 | 250 2.0.0"},
	     {USER, TO_ONE "BDAT 2\r\n\r\nRSET\r\nBDAT 6\r\nQUIT\r\n" TO_ONE "BDAT 0 LAST\r\n",
	      TO_ONE_OK "250 2.0.0 | 250 2.0.0 | 503 5.5.1 | " TO_ONE_OK "250 2.0.0"},
	     {USER, TO_ONE "BDAT 2\r\n\r\nHELO x\r\nBDAT 6\r\nQUIT\r\nMAIL FROM:<a@b>\r\n",
	      TO_ONE_OK "250 2.0.0 | 250 | 503 5.5.1 | 250 2.1.0"},
	     {USER, TO_ONE "BDAT 2\r\n\r\nQUIT\r\n", TO_ONE_OK "250 2.0.0 | 221 2.0.0"},
	     {USER, TO_ONE "DATA\r\nx: y\r\nBDAT 3\r\n.\r\nBDAT 6\r\nQUIT\r\nNOOP\r\n",
	      TO_ONE_OK "354 | 250 2.0.0 | 503 5.5.1 | 250 2.0.0"},
	     {USER, TO_ONE "BDAT 0 LAST\r\nBDAT 0 LAST\r\n" TO_ONE "DATA\r\n.\r\n",
	      TO_ONE_OK "250 2.0.0 | 503 5.5.1 | " TO_ONE_OK "354 | 250 2.0.0"},
	     {USER, TO_ONE "bdat 2 last\r\n\r\nNOOP\r\n", TO_ONE_OK "250 2.0.0 | 250 2.0.0"},
	     {USER, TO_ONE "BDAT  2   LAST  \r\n\r\nNOOP\r\n", TO_ONE_OK "250 2.0.0 | 250 2.0.0"},
	     {USER, TO_ONE "BDAT 0002 LAST\r\n\r\nNOOP\r\n", TO_ONE_OK "250 2.0.0 | 250 2.0.0"});
}

/* After a refusal the message is lost: no chunk that was sent ahead makes half a message. */
static void a_refused_chunk_spoils_its_message(void)
{
	PLAY({USER, TO_ONE "BDAT 6 LOST\r\nQUIT\r\nBDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n",
	      TO_ONE_OK "501 5.5.4 | 501 5.5.4 | 501 5.5.4 | 250 2.0.0"},
	     {USER, TO_ONE "BDAT 2\r\n\r\nBDAT 6 LOST\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\nMAIL FROM:<a@b>\r\n",
	      TO_ONE_OK "250 2.0.0 | 501 5.5.4 | 501 5.5.4 | 250 2.1.0"},
	     {USER, TO_ONE "BDAT 6 LOST\r\nQUIT\r\nDATA\r\nRSET\r\nMAIL FROM:<a@b>\r\n",
	      TO_ONE_OK "501 5.5.4 | 503 5.5.1 | 250 2.0.0 | 250 2.1.0"});
}

static void chunks_make_a_message(void)
{
	static const struct {
		const char *chunks, *stored; /* behind the Received, Message-ID and Date fields */
	} messages[] = {
		{"BDAT 0 LAST\r\n", ""},
		{"BDAT 12 LAST\r\nX: y\r\n\r\nbody", "X: y\r\n\r\nbody\r\n"},
		{"BDAT 6\r\nX: y\r\nBDAT 2\r\n\r\nBDAT 6 LAST\r\nbody\r\n", "X: y\r\n\r\nbody\r\n"},
		{"BDAT 14\r\nX: y\r\n\r\nbody\r\nBDAT 0 LAST\r\n", "X: y\r\n\r\nbody\r\n"},
		{"BDAT 5\r\nX: y\rBDAT 1\r\n\nBDAT 2 LAST\r\n\r\n", "X: y\r\n\r\n"},
		/* a dot means nothing */
		{"BDAT 19 LAST\r\nX: y\r\n\r\n.\r\nQUIT\r\n..", "X: y\r\n\r\n.\r\nQUIT\r\n..\r\n"},
		{"BDAT 8\r\nX: y\r\n\r\nBDAT 3\r\n.\r\nBDAT 5 LAST\r\n\r\n.\r\n", "X: y\r\n\r\n.\r\n\r\n.\r\n"},
		/* lone CR and LF */
		{"BDAT 9 LAST\r\nX: y\n\na\rb", "X: y\r\n\r\na b\r\n"},
		{"BDAT 0\r\nBDAT 8 LAST\r\nX: y\r\n\r\n", "X: y\r\n\r\n"},
	};

	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
		struct session s;

		begin(&s, USER);
		say_text(&s, TO_ONE);
		say_text(&s, messages[i].chunks);
		UNIT_INT(s.submitted, 1);
		UNIT_TRUE(str_ends(buf_str(&s.stored), str_of(messages[i].stored)));
		UNIT_TRUE(memmem(s.stored.p, s.stored.n, "Received: from ", 15) != NULL);
		UNIT_INT(s.p.state, SMTPD_READY);
		end(&s);
	}
}

static void the_answer_counts_the_octets(void)
{
	struct session s;

	begin(&s, USER);
	say_text(&s, TO_ONE);
	buf_reset(&s.out);
	say_text(&s, "BDAT 6\r\nX: y\r\nBDAT 0\r\n");
	UNIT_STR(buf_str(&s.out), "250 2.0.0 6 octets received\r\n250 2.0.0 0 octets received\r\n");
	end(&s);
}

/* message_size is 2000 */
static void too_large_a_message_is_552_to_its_end(void)
{
	struct session s;
	char chunk[1001];

	memset(chunk, 'x', 1000);
	chunk[1000] = '\0';
	begin(&s, USER);
	say_text(&s, TO_ONE);
	for (int i = 0; i < 6; i++) {
		say_text(&s, "BDAT 1000\r\n");
		say_text(&s, chunk);
	}
	say_text(&s, "BDAT 6 LAST\r\nQUIT\r\n");
	hear(&s, TO_ONE_OK "250 2.0.0 | 250 2.0.0 | 552 5.3.4 | 552 5.3.4 | 552 5.3.4 | 552 5.3.4 | 552 5.3.4");
	UNIT_INT(s.submitted, 0);
	UNIT_INT(s.not_sent, 1);
	UNIT_INT(s.p.refused, 1);
	UNIT_INT(s.p.errors, 1);
	/* the next one is good again */
	say_text(&s, TO_ONE "BDAT 8 LAST\r\nX: y\r\n\r\n");
	hear(&s, TO_ONE_OK "250 2.0.0");
	UNIT_INT(s.submitted, 1);
	end(&s);
	/* all in the last chunk, and RSET in the middle */
	begin(&s, USER);
	say_text(&s, TO_ONE "BDAT 3000 LAST\r\n");
	say_text(&s, chunk);
	say_text(&s, chunk);
	say_text(&s, chunk);
	hear(&s, TO_ONE_OK "552 5.3.4");
	say_text(&s, TO_ONE "BDAT 3000\r\n");
	say_text(&s, chunk);
	say_text(&s, chunk);
	say_text(&s, chunk);
	say_text(&s, "DATA\r\nRSET\r\n" TO_ONE "BDAT 0 LAST\r\n");
	hear(&s, TO_ONE_OK "552 5.3.4 | 503 5.5.1 | 250 2.0.0 | " TO_ONE_OK "250 2.0.0");
	UNIT_INT(s.p.refused, 2);
	UNIT_INT(s.not_sent, 2);
	end(&s);
}

static void bare_newlines_are_refused_where_they_are(void)
{
	rules.refuses_bare_newline = true;
	PLAY({USER, TO_ONE "BDAT 4\r\na\nb\nBDAT 6\r\nQUIT\r\nBDAT 0 LAST\r\nNOOP\r\n",
	      TO_ONE_OK "550 5.6.11 | 550 5.6.11 | 550 5.6.11 | 250 2.0.0"},
	     {USER, TO_ONE "BDAT 4 LAST\r\na\nb\nNOOP\r\n", TO_ONE_OK "550 5.6.11 | 250 2.0.0"},
	     {USER, TO_ONE "BDAT 2 LAST\r\na\rNOOP\r\n", TO_ONE_OK "550 5.6.11 | 250 2.0.0"},
	     {USER, TO_ONE "BDAT 2\r\na\rBDAT 1 LAST\r\n\nNOOP\r\n", TO_ONE_OK "250 2.0.0 | 250 2.0.0 | 250 2.0.0"});
	set_rules();
}

static void while_a_message_is_stored_the_next_chunk_waits(void)
{
	struct session s;

	begin(&s, USER);
	s.is_later = true;
	say_text(&s, TO_ONE "BDAT 0 LAST\r\nBDAT 6\r\nQUIT\r\nNOOP\r\n");
	hear(&s, "250 2.1.0 | 250 2.1.5");
	smtpd_proto_submitted(&s.p, &(struct ipc_submit_result){.verdict = IPC_SUBMIT_UNAVAILABLE});
	feed(&s);
	hear(&s, "451 4.3.0 | 503 5.5.1 | 250 2.0.0");
	end(&s);
}

static void draining_waits_for_the_last_chunk(void)
{
	struct session s;

	begin(&s, USER);
	say_text(&s, TO_ONE "BDAT 2\r\n\r");
	s.p.is_draining = true;
	say_text(&s, "\nBDAT 0\r\n");
	hear(&s, TO_ONE_OK "250 2.0.0 | 250 2.0.0");
	say_text(&s, "BDAT 0 LAST\r\nNOOP\r\n");
	hear(&s, "250 2.0.0 | 421 4.3.2");
	end(&s);
	/* a refused chunk: its octets first, so that the reply is heard */
	begin(&s, USER);
	s.p.is_draining = true;
	say_text(&s, "BDAT 6\r\nQU");
	hear(&s, "");
	say_text(&s, "IT\r\n");
	hear(&s, "503 5.5.1 | 421 4.3.2");
	end(&s);
}

UNIT_TESTS({"rules", set_rules}, {"a refused chunk is consumed", a_refused_chunk_is_consumed},
	   {"order is kept between chunks", order_is_kept_between_chunks},
	   {"a refused chunk spoils its message", a_refused_chunk_spoils_its_message},
	   {"chunks make a message", chunks_make_a_message},
	   {"the answer counts the octets", the_answer_counts_the_octets},
	   {"too large a message is 552 to its end", too_large_a_message_is_552_to_its_end},
	   {"bare newlines are refused where they are", bare_newlines_are_refused_where_they_are},
	   {"while a message is stored the next chunk waits", while_a_message_is_stored_the_next_chunk_waits},
	   {"draining waits for the last chunk", draining_waits_for_the_last_chunk})
