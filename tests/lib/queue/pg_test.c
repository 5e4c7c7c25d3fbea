/* SPDX-License-Identifier: Apache-2.0
 *
 * Postgres on the loop, against a real Postgres: values of every type there and back, the pipeline,
 * refusals, and the connection's losses.
 */
#include "lib/queue/pg.h"

#include <stdlib.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "tests/support/pg_fixture.h"
#include "tests/support/unit.h"

enum { ANSWERS_MAX = 512, LARGE = 10 * 1024 * 1024 };

static struct loop *loop;
static struct pg *pg;
static unsigned ups, downs;
static char why_down[512];

/* The answers of a test, in the order they came. */
static struct answer {
	int number;
	enum pg_status status;
	uint64_t touched;
	unsigned position;
	char sqlstate[6], error[200];
} answers[ANSWERS_MAX];
static unsigned n_answers;
static void (*check)(const struct pg_result *r);

static void on_state(void *ctx, bool is_up, const char *why)
{
	(void)ctx;
	*(is_up ? &ups : &downs) += 1;
	snprintf(why_down, sizeof(why_down), "%s", why != NULL ? why : "");
}

static void on_result(void *ctx, enum pg_status status, const struct pg_result *r,
		      const struct err *err)
{
	struct answer *a = &answers[n_answers++];

	must(n_answers <= ANSWERS_MAX);
	*a = (struct answer){.number = (int)(intptr_t)ctx, .status = status};
	str_copy(str_of(pg_sqlstate(r)), a->sqlstate, sizeof(a->sqlstate));
	str_copy(str_first(str_of(err->text), sizeof(a->error) - 1), a->error, sizeof(a->error));
	if (status == PG_OK) {
		a->touched = pg_touched(r);
		if (check != NULL)
			check(r);
	} else if (a->sqlstate[0] != '\0') {
		a->position = pg_error_position(r);
	}
}

/* Turns the loop until *counter has reached `least`, for 15 s at most. */
static void wait_for(const unsigned *counter, unsigned least)
{
	int64_t deadline = clock_mono() + 15 * CLOCK_SECOND;

	while (*counter < least && clock_mono() < deadline)
		loop_turn(loop, 100 * CLOCK_MS);
	UNIT_TRUE(*counter >= least);
}

static void open_options(const struct pg_options *options)
{
	loop = loop_new();
	ups = downs = n_answers = 0;
	check = NULL;
	pg = pg_new(loop, options, on_state, NULL);
}

static void open_pg(void)
{
	struct pg_options options = pg_fixture_options("postgres", "postgres");

	open_options(&options);
	wait_for(&ups, 1);
}

static void close_pg(void)
{
	pg_free(&pg);
	loop_turn(loop, 0);
	loop_free(&loop);
}

static void run(const char *sql, struct pg_params *params, int number)
{
	pg_run(pg, sql, params, on_result, (void *)(intptr_t)number);
}

static void run_and_wait(const char *sql, struct pg_params *params)
{
	unsigned before = n_answers;

	run(sql, params, 0);
	wait_for(&n_answers, before + 1);
	if (answers[before].status != PG_OK)
		printf("\n%s: %s\n", sql, answers[before].error);
}

static void check_scalars(const struct pg_result *r)
{
	struct uuid u = pg_uuid(r, 0, 6);

	UNIT_INT(pg_rows(r), 1);
	UNIT_INT(pg_bool(r, 0, 0), true);
	UNIT_INT(pg_int4(r, 0, 1), -7);
	UNIT_INT(pg_int8(r, 0, 2), INT64_MIN);
	UNIT_STR(pg_text(r, 0, 3), "gr\xc3\xbc\xc3\x9f");
	UNIT_TRUE(str_eq(pg_text(r, 0, 4), str_bytes("a\0b\xff", 4)));
	UNIT_INT(pg_time(r, 0, 5), 1700000000123456);
	UNIT_INT(u.b[0], 1);
	UNIT_INT(u.b[15], 16);
	UNIT_INT(pg_is_null(r, 0, 7), true);
	UNIT_INT(pg_text(r, 0, 7).n, 0);
	UNIT_INT(pg_is_null(r, 0, 8), false);
	UNIT_INT(pg_text(r, 0, 8).n, 0);
	UNIT_INT(pg_int4(r, 0, 9), -3);
	UNIT_STR(pg_text(r, 0, 10), "2023-11-14 22:13:20.123456+00");
	UNIT_INT(pg_time(r, 0, 11), INT64_MIN);
	UNIT_INT(pg_time(r, 0, 12), INT64_MAX);
	UNIT_STR(pg_text(r, 0, 13), "-infinity infinity");
}

static void values_of_every_type_come_back(void)
{
	struct uuid u = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};
	struct pg_params *p = pg_params_new();

	open_pg();
	pg_put_bool(p, true);
	pg_put_int4(p, -7);
	pg_put_int8(p, INT64_MIN);
	pg_put_text(p, STR("gr\xc3\xbc\xc3\x9f"));
	pg_put_bytes(p, str_bytes("a\0b\xff", 4));
	pg_put_time(p, 1700000000123456);
	pg_put_uuid(p, &u);
	pg_put_null(p);
	pg_put_text(p, STR(""));
	pg_put_time(p, INT64_MIN);
	pg_put_time(p, INT64_MAX);
	check = check_scalars;
	run_and_wait("SELECT $1, $2, $3, $4, $5, $6, $7, $8::text, $9, (-3)::int2, ($6 AT TIME "
		     "ZONE 'UTC')::text || '+00', "
		     "$10, $11, $10::text || ' ' || $11::text",
		     p);
	UNIT_INT(answers[0].status, PG_OK);
	check = NULL;
	/* They are empty again. */
	run_and_wait("SELECT 1", p);
	UNIT_INT(answers[1].status, PG_OK);
	pg_params_free(&p);
	close_pg();
}

static void check_arrays(const struct pg_result *r)
{
	struct str texts[2];

	UNIT_STR(pg_text(r, 0, 0),
		 "{t,NULL}|{1,-2}|{3}|{\"a \\\"b\\\"\",NULL,\"\"}|{\"\\\\x00ff\"}|{}|{}");
	UNIT_INT(pg_text_array(r, 0, 1, texts, 2), 3);
	UNIT_STR(texts[0], "a \"b\"");
	UNIT_STR(texts[1], "");
	UNIT_INT(pg_text_array(r, 0, 2, texts, 2), 0);
	UNIT_INT(pg_text_array(r, 0, 3, texts, 2), 0);
}

static void arrays_with_nulls_and_empty_ones_arrive(void)
{
	struct pg_params *p = pg_params_new();

	open_pg();
	pg_open_array(p, PG_BOOL);
	pg_put_bool(p, true);
	pg_put_null(p);
	pg_close_array(p);
	pg_open_array(p, PG_INT4);
	pg_put_int4(p, 1);
	pg_put_int4(p, -2);
	pg_close_array(p);
	pg_open_array(p, PG_INT8);
	pg_put_int8(p, 3);
	pg_close_array(p);
	pg_open_array(p, PG_TEXT);
	pg_put_text(p, STR("a \"b\""));
	pg_put_null(p);
	pg_put_text(p, STR(""));
	pg_close_array(p);
	pg_open_array(p, PG_BYTES);
	pg_put_bytes(p, str_bytes("\0\xff", 2));
	pg_close_array(p);
	pg_open_array(p, PG_UUID);
	pg_close_array(p);
	pg_open_array(p, PG_TIME);
	pg_close_array(p);
	check = check_arrays;
	run_and_wait(
		"SELECT concat_ws('|', $1, $2, $3, $4, $5, $6, $7), $4, '{}'::text[], NULL::text[]",
		p);
	UNIT_INT(answers[0].status, PG_OK);
	pg_params_free(&p);
	close_pg();
}

static char *large;

static void check_large(const struct pg_result *r)
{
	UNIT_INT(pg_int4(r, 0, 0), LARGE);
	UNIT_TRUE(str_eq(pg_text(r, 0, 1), str_bytes(large, LARGE)));
}

static void ten_megabytes_go_there_and_back(void)
{
	struct pg_params *p = pg_params_new();

	open_pg();
	large = mem_zero(LARGE);
	for (size_t i = 0; i < LARGE; i++)
		large[i] = (char)(i * 7919 >> 3);
	pg_open_array(p, PG_BYTES);
	pg_put_bytes(p, str_bytes(large, LARGE));
	pg_close_array(p);
	check = check_large;
	run_and_wait("SELECT octet_length(b), b FROM unnest($1) b", p);
	UNIT_INT(answers[0].status, PG_OK);
	pg_params_free(&p);
	mem_free(&large);
	close_pg();
}

static void a_refusal_in_the_pipeline_does_not_touch_its_neighbours(void)
{
	struct pg_params *p = pg_params_new();

	open_pg();
	run_and_wait("CREATE TABLE neighbour (n int4 PRIMARY KEY CHECK (n <> 13))", NULL);
	for (int i = 0; i < 200; i++) {
		pg_put_int4(p, i % 100);
		run("INSERT INTO neighbour VALUES ($1)", p, i);
	}
	UNIT_INT(pg_unanswered(pg), 200);
	UNIT_INT(n_answers, 1);
	wait_for(&n_answers, 201);
	UNIT_INT(pg_unanswered(pg), 0);
	for (int i = 0; i < 200; i++) {
		const struct answer *a = &answers[1 + i];
		bool is_refused = i >= 100 || i == 13;

		UNIT_INT(a->number, i);
		UNIT_INT(a->status, is_refused ? PG_REFUSED : PG_OK);
		UNIT_INT(a->touched, is_refused ? 0 : 1);
		UNIT_TEXT(a->sqlstate, i % 100 == 13 ? "23514" : is_refused ? "23505" : "");
	}
	UNIT_TEXT(pg_fixture_ask("postgres", "SELECT count(*) FROM neighbour"), "99");
	UNIT_TRUE(pg_is_up(pg));
	pg_params_free(&p);
	close_pg();
}

static void a_commit_that_fails_is_a_refusal(void)
{
	open_pg();
	run_and_wait("CREATE TABLE late (n int4 UNIQUE DEFERRABLE INITIALLY DEFERRED)", NULL);
	run("INSERT INTO late VALUES (1), (1)", NULL, 1);
	run("INSERT INTO late VALUES (2)", NULL, 2);
	wait_for(&n_answers, 3);
	UNIT_INT(answers[1].status, PG_REFUSED);
	UNIT_TEXT(answers[1].sqlstate, "23505");
	UNIT_INT(answers[2].status, PG_OK);
	UNIT_INT(answers[2].touched, 1);
	close_pg();
}

static void a_refusal_says_why_and_where_without_the_values(void)
{
	struct pg_params *p = pg_params_new();

	open_pg();
	run_and_wait("CREATE TABLE secret (t text UNIQUE)", NULL);
	pg_put_text(p, STR("geheim"));
	run_and_wait("INSERT INTO secret VALUES ($1)", p);
	pg_put_text(p, STR("geheim"));
	run("INSERT INTO secret VALUES ($1)", p, 0);
	run("SELECT 1 FROM nowhere", NULL, 0);
	pg_put_text(p, STR("\xff"));
	run("SELECT $1", p, 0);
	wait_for(&n_answers, 5);
	UNIT_TEXT(answers[2].error,
		  "duplicate key value violates unique constraint \"secret_t_key\" (23505)");
	UNIT_TEXT(answers[3].error, "relation \"nowhere\" does not exist (42P01)");
	UNIT_INT(answers[3].position, 15);
	UNIT_TEXT(answers[4].sqlstate, "22021");
	pg_params_free(&p);
	close_pg();
}

static void without_a_connection_statements_are_refused_at_the_end_of_the_turn(void)
{
	struct pg_options options = pg_fixture_options("postgres", "postgres");

	open_options(&options);
	run("SELECT 1", NULL, 1);
	UNIT_INT(n_answers, 0);
	UNIT_INT(pg_unanswered(pg), 1);
	loop_turn(loop, 0);
	UNIT_INT(n_answers, 1);
	UNIT_INT(answers[0].status, PG_REFUSED);
	UNIT_TEXT(answers[0].error, "there is no connection to the database");
	close_pg();
}

static void a_server_that_is_not_there_is_said_and_tried_again(void)
{
	struct pg_options options = pg_fixture_options("postgres", "postgres");

	options.port = 5433;
	open_options(&options);
	wait_for(&downs, 2);
	UNIT_INT(ups, 0);
	UNIT_TRUE(strstr(why_down, "No such file") != NULL);
	UNIT_TRUE(strchr(why_down, '\n') == NULL);
	close_pg();
}

static void of_several_hosts_the_one_that_is_there_is_found(void)
{
	struct pg_options options = pg_fixture_options("postgres", "postgres");
	char list[256];

	snprintf(list, sizeof(list), "127.0.0.1:1, /nonexistent, %s", options.host);
	options.host = list;
	open_options(&options);
	wait_for(&ups, 1);
	UNIT_INT(downs, 0);
	run_and_wait("SELECT 1", NULL);
	/* It comes back to the same one. */
	pg_fixture_sql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
				   "WHERE application_name = 'test'");
	wait_for(&ups, 2);
	UNIT_INT(downs, 1);
	close_pg();
}

static void that_no_host_is_there_is_said_once(void)
{
	struct pg_options options = pg_fixture_options("postgres", "postgres");

	options.host = "127.0.0.1:1,/nonexistent";
	open_options(&options);
	wait_for(&downs, 1);
	UNIT_TRUE(strstr(why_down, "127.0.0.1 port 1: ") != NULL);
	UNIT_TRUE(strstr(why_down, "; /nonexistent port 5432: ") != NULL);
	wait_for(&downs, 2);
	UNIT_INT(ups, 0);
	close_pg();
}

/* As a server that became a standby. */
static void a_server_that_takes_no_writes_is_away(void)
{
	open_pg();
	run("DO $$ BEGIN SET TRANSACTION READ ONLY; CREATE TABLE refused (); END $$", NULL, 1);
	run("SELECT pg_sleep(20)", NULL, 2);
	wait_for(&n_answers, 2);
	UNIT_INT(answers[0].status, PG_REFUSED);
	UNIT_TEXT(answers[0].sqlstate, "25006");
	UNIT_INT(answers[1].status, PG_LOST);
	UNIT_INT(downs, 1);
	wait_for(&ups, 2);
	/* Nothing is to be written, and it says so; then it takes writes again. */
	run_and_wait("ALTER SYSTEM SET default_transaction_read_only = on", NULL);
	run_and_wait("SELECT pg_reload_conf()", NULL);
	for (unsigned i = 0; i < 100 && downs < 2; i++) {
		run("SELECT 1", NULL, 3);
		loop_turn(loop, 50 * CLOCK_MS);
	}
	UNIT_TRUE(downs >= 2);
	UNIT_INT(ups, 2);
	UNIT_TRUE(strstr(why_down, "read-only") != NULL);
	pg_fixture_sql("postgres", "COPY (SELECT '') TO PROGRAM 'cat >> postgresql.auto.conf; "
				   "echo default_transaction_read_only=off >> postgresql.auto.conf'");
	pg_fixture_sql("postgres", "SELECT pg_reload_conf()");
	wait_for(&ups, 3);
	close_pg();
}

static void a_lost_connection_loses_what_is_unanswered_and_comes_back(void)
{
	open_pg();
	run_and_wait("SELECT 1", NULL);
	run("SELECT pg_sleep(20)", NULL, 1);
	run("SELECT 2", NULL, 2);
	loop_turn(loop, 50 * CLOCK_MS);
	pg_fixture_sql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
				   "WHERE application_name = 'test'");
	wait_for(&n_answers, 3);
	UNIT_INT(answers[1].status, PG_LOST);
	UNIT_INT(answers[1].number, 1);
	UNIT_TEXT(answers[1].error, "terminating connection due to administrator command (57P01)");
	UNIT_INT(answers[2].status, PG_LOST);
	UNIT_INT(answers[2].number, 2);
	UNIT_INT(downs, 1);
	UNIT_INT(pg_is_up(pg), false);
	wait_for(&ups, 2);
	run_and_wait("SELECT 3", NULL);
	UNIT_INT(answers[3].status, PG_OK);
	close_pg();
}

static void a_killed_server_is_waited_for(void)
{
	open_pg();
	run("SELECT pg_sleep(20)", NULL, 1);
	loop_turn(loop, 50 * CLOCK_MS);
	pg_fixture_kill();
	wait_for(&n_answers, 1);
	UNIT_INT(answers[0].status, PG_LOST);
	wait_for(&downs, 2);
	pg_fixture_restart();
	wait_for(&ups, 2);
	run_and_wait("SELECT 1", NULL);
	UNIT_INT(answers[1].status, PG_OK);
	close_pg();
}

static void a_loss_while_idle_is_noticed(void)
{
	open_pg();
	run_and_wait("SELECT 1", NULL);
	pg_fixture_sql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
				   "WHERE application_name = 'test'");
	wait_for(&downs, 1);
	wait_for(&ups, 2);
	close_pg();
}

static void a_statement_that_takes_too_long_costs_the_connection(void)
{
	struct pg_options options = pg_fixture_options("postgres", "postgres");

	options.statement_timeout = 300 * CLOCK_MS;
	open_options(&options);
	wait_for(&ups, 1);
	/* Three that are each within the limit, though together they are not. */
	for (int i = 0; i < 3; i++)
		run("SELECT pg_sleep(0.15)", NULL, i);
	run("SELECT pg_sleep(20)", NULL, 3);
	wait_for(&n_answers, 4);
	for (int i = 0; i < 3; i++)
		UNIT_INT(answers[i].status, PG_OK);
	UNIT_INT(answers[3].status, PG_LOST);
	UNIT_TEXT(answers[3].error, "the database took too long over a statement");
	wait_for(&ups, 2);
	close_pg();
}

static void free_it(void *ctx, enum pg_status status, const struct pg_result *r,
		    const struct err *err)
{
	on_result(ctx, status, r, err);
	pg_free(&pg);
}

static void it_can_be_freed_in_a_callback_with_statements_under_way(void)
{
	open_pg();
	pg_run(pg, "SELECT 1", NULL, free_it, NULL);
	run("SELECT 2", NULL, 2);
	wait_for(&n_answers, 1);
	loop_turn(loop, 100 * CLOCK_MS);
	UNIT_INT(n_answers, 1);
	UNIT_TRUE(pg == NULL);
	close_pg();
	/* And in the callback of a refusal. */
	open_pg();
	pg_fixture_kill();
	wait_for(&downs, 1);
	pg_run(pg, "SELECT 1", NULL, free_it, NULL);
	run("SELECT 2", NULL, 2);
	loop_turn(loop, 0);
	UNIT_INT(n_answers, 1);
	close_pg();
	pg_fixture_restart();
}

static void a_wrong_password_is_said_without_it(void)
{
	struct pg_options options = pg_fixture_options("postgres", "careful");
	char *verifier, *sql;

	open_pg();
	UNIT_TRUE((verifier = pg_scram_verifier(pg, "careful", "right-one")) != NULL);
	UNIT_TRUE(verifier != NULL && str_starts(str_of(verifier), STR("SCRAM-SHA-256$")));
	UNIT_TRUE(asprintf(&sql, "CREATE ROLE careful LOGIN PASSWORD '%s'", verifier) > 0);
	run_and_wait(sql, NULL);
	UNIT_INT(answers[0].status, PG_OK);
	free(sql);
	free(verifier);
	close_pg();
	pg_fixture_require_password("careful");
	options.password = "wrong-one";
	open_options(&options);
	wait_for(&downs, 1);
	UNIT_TRUE(strstr(why_down, "password authentication failed") != NULL);
	UNIT_TRUE(strstr(why_down, "wrong-one") == NULL);
	close_pg();
	options.password = "right-one";
	open_options(&options);
	wait_for(&ups, 1);
	close_pg();
}

UNIT_TESTS({"values of every type come back", values_of_every_type_come_back},
	   {"arrays with NULLs and empty ones arrive", arrays_with_nulls_and_empty_ones_arrive},
	   {"ten megabytes go there and back", ten_megabytes_go_there_and_back},
	   {"a refusal in the pipeline does not touch its neighbours",
	    a_refusal_in_the_pipeline_does_not_touch_its_neighbours},
	   {"a commit that fails is a refusal", a_commit_that_fails_is_a_refusal},
	   {"a refusal says why and where, without the values",
	    a_refusal_says_why_and_where_without_the_values},
	   {"without a connection statements are refused at the end of the turn",
	    without_a_connection_statements_are_refused_at_the_end_of_the_turn},
	   {"a server that is not there is said and tried again",
	    a_server_that_is_not_there_is_said_and_tried_again},
	   {"of several hosts the one that is there is found", of_several_hosts_the_one_that_is_there_is_found},
	   {"that no host is there is said once", that_no_host_is_there_is_said_once},
	   {"a server that takes no writes is away", a_server_that_takes_no_writes_is_away},
	   {"a lost connection loses what is unanswered and comes back",
	    a_lost_connection_loses_what_is_unanswered_and_comes_back},
	   {"a killed server is waited for", a_killed_server_is_waited_for},
	   {"a loss while idle is noticed", a_loss_while_idle_is_noticed},
	   {"a statement that takes too long costs the connection",
	    a_statement_that_takes_too_long_costs_the_connection},
	   {"it can be freed in a callback with statements under way",
	    it_can_be_freed_in_a_callback_with_statements_under_way},
	   {"a wrong password is said without it", a_wrong_password_is_said_without_it})
