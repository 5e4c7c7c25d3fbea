/* SPDX-License-Identifier: Apache-2.0
 *
 * One statement every two seconds adds what this host has counted and reads the rest.
 */
#include "qmgr/qmgr_provider_store.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "qmgr/qmgr.h"
#include "qmgr/qmgr_sql.h"

/* With the answer's time, an operator's word is heard within two seconds. */
#define EVERY (1500 * CLOCK_MS)

static void say_suspension(const struct qmgr_provider *p)
{
	if (p->suspended_until != 0)
		log_warn(NULL, "qmgr.provider.suspended", log_text("provider", p->key), log_text("who", p->who),
			 log_text("reason", p->reason), log_ms("for", p->suspended_until - clock_wall()));
	else
		log_info(NULL, "qmgr.provider.resumed", log_text("provider", p->key), log_text("who", p->who));
}

static void cut(struct str text, char *out, size_t size)
{
	str_copy(str_first(text, size - 1), out, size);
}

/* What an operator said of it, when that is new. */
static void take_word(struct qmgr *q, struct qmgr_provider *p, const struct pg_result *result, unsigned row)
{
	int64_t at = pg_time(result, row, 6), until = pg_time(result, row, 3);
	bool was_usable = p->is_usable;

	if (at == p->changed_at)
		return;
	p->changed_at = at;
	p->suspended_until = until > clock_wall() ? until : 0;
	cut(pg_text(result, row, 4), p->reason, sizeof(p->reason));
	cut(pg_text(result, row, 5), p->who, sizeof(p->who));
	/* The word of before this process began may be an old one. */
	if (p->suspended_until != 0 || !was_usable)
		say_suspension(p);
	if (p->suspended_until == 0)
		qmgr_provider_resume(q, p);
}

static void take_row(struct qmgr *q, struct qmgr_provider *p, int64_t day, const struct pg_result *result, unsigned row)
{
	p->is_counted = true;
	qmgr_budget_sums(&p->budget, day, pg_int8(result, row, 1), pg_int8(result, row, 2), clock_wall());
	take_word(q, p, result, row);
	qmgr_provider_changed(q, p);
}

static void on_exchanged(void *ctx, enum pg_status status, const struct pg_result *result, const struct err *err)
{
	struct qmgr *q = ctx;
	struct qmgr_providers *all = &q->providers;

	all->is_exchanging = false;
	if (status != PG_OK) {
		log_warn(NULL, "qmgr.provider.unexchanged", log_text("why", err->text));
		return;
	}
	for (unsigned i = 0; i < all->n_told; i++) {
		struct qmgr_provider *p = all->told[i].provider;

		qmgr_budget_told(&p->budget, all->told[i].recipients, all->told[i].day);
		for (unsigned row = 0; row < pg_rows(result); row++)
			if (str_eq(pg_text(result, row, 0), str_of(p->key)))
				take_row(q, p, all->told[i].day, result, row);
	}
}

static void exchange(struct qmgr *q)
{
	struct qmgr_providers *all = &q->providers;
	struct pg_params *p = pg_params_new();

	all->is_exchanging = true;
	all->n_told = all->n;
	for (unsigned i = 0; i < all->n; i++) {
		all->told[i].provider = all->at[i];
		all->told[i].recipients = qmgr_budget_untold(&all->at[i]->budget, clock_wall(), &all->told[i].day);
	}
	pg_open_array(p, PG_TEXT);
	for (unsigned i = 0; i < all->n; i++)
		pg_put_text(p, str_of(all->at[i]->key));
	pg_close_array(p);
	pg_open_array(p, PG_INT4);
	for (unsigned i = 0; i < all->n; i++)
		pg_put_int4(p, (int32_t)all->told[i].day);
	pg_close_array(p);
	pg_open_array(p, PG_INT8);
	for (unsigned i = 0; i < all->n; i++)
		pg_put_int8(p, all->told[i].recipients);
	pg_close_array(p);
	pg_run(q->control_pg, QMGR_SQL_PROVIDERS, p, on_exchanged, q);
	pg_params_free(&p);
}

void qmgr_provider_store_tick(struct qmgr *q)
{
	int64_t now = clock_mono();

	if (!q->has_database || q->providers.is_exchanging || q->providers.n == 0 || now < q->providers.exchange_at ||
	    !pg_is_up(q->control_pg))
		return;
	q->providers.exchange_at = now + EVERY;
	exchange(q);
}
