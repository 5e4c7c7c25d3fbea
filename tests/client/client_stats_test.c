/* SPDX-License-Identifier: Apache-2.0
 *
 * client_stats: percentiles by nearest rank.
 */
#include "client/client_stats.h"

#include "tests/support/unit.h"

static void percentiles_of_1_to_100_are_themselves(void)
{
	struct client_stats stats = {0};
	struct client_stats_summary s;

	for (int i = 100; i >= 1; i--)
		client_stats_add(&stats, i * 1000);
	s = client_stats_summarize(&stats);
	UNIT_INT(s.n, 100);
	UNIT_INT(s.p50, 50);
	UNIT_INT(s.p90, 90);
	UNIT_INT(s.p95, 95);
	UNIT_INT(s.p99, 99);
	UNIT_INT(s.max, 100);
	UNIT_INT(s.mean * 10, 505);
	client_stats_clear(&stats);
}

static void one_sample_is_every_percentile(void)
{
	struct client_stats stats = {0};
	struct client_stats_summary s;

	client_stats_add(&stats, 7000);
	s = client_stats_summarize(&stats);
	UNIT_INT(s.p50, 7);
	UNIT_INT(s.p99, 7);
	UNIT_INT(s.max, 7);
	client_stats_clear(&stats);
}

static void a_percentile_is_never_below_its_share(void)
{
	struct client_stats stats = {0};

	/* Of three samples the second is the first that half do not exceed, the third holds all
	 * above 2/3. */
	client_stats_add(&stats, 1000);
	client_stats_add(&stats, 2000);
	client_stats_add(&stats, 3000);
	UNIT_INT(client_stats_summarize(&stats).p50, 2);
	UNIT_INT(client_stats_summarize(&stats).p90, 3);
	client_stats_clear(&stats);
}

static void no_samples_give_zeroes(void)
{
	struct client_stats stats = {0};

	UNIT_INT(client_stats_summarize(&stats).n, 0);
	UNIT_INT(client_stats_summarize(&stats).max, 0);
}

UNIT_TESTS({"the percentiles of 1 to 100 are themselves", percentiles_of_1_to_100_are_themselves},
	   {"one sample is every percentile", one_sample_is_every_percentile},
	   {"a percentile is never below its share", a_percentile_is_never_below_its_share},
	   {"no samples give zeroes", no_samples_give_zeroes})
