/* SPDX-License-Identifier: Apache-2.0
 *
 * A message's route is found once, from its body, and remembered until the tenant's routes change; its target is chosen whenever
 * it is placed. The same message chooses the same target as long as that can be had: the choice hangs on its id.
 */
#include "qmgr/qmgr_route.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/service/metrics.h"
#include "lib/settings/settings_provider.h"
#include "qmgr/qmgr.h"

#define DOWN_SAID_EVERY (60 * CLOCK_SECOND)

/* Who asks qmgr_provider_is_usable(). */
struct asker {
	const struct qmgr *q;
	const struct qmgr_tenant *tenant;
};

static bool is_up(void *ctx, unsigned provider)
{
	const struct asker *a = ctx;

	return qmgr_provider_is_usable(a->q, provider, a->tenant);
}

static const struct qmgr_body *body_of(const struct qmgr_message *m)
{
	return m->call != NULL ? qmgr_direct_body(m) : m->body;
}

static bool is_found(const struct qmgr_message *m)
{
	return m->route.is_seen && m->route.version == m->tenant->routes.version;
}

bool qmgr_route_wants_body(const struct qmgr_message *m)
{
	return m->tenant->routes.is_conditional && m->pinned == NULL && m->route.version != m->tenant->routes.version &&
	       body_of(m) == NULL;
}

/* The message's content beside its frame, for conditions on its header. */
static struct str open_content(const struct qmgr_tenant *t, const struct ipc_message *message, int fd)
{
	const char *map;

	if (fd < 0 || !t->routes.is_conditional)
		return message->content;
	map = fd_map(fd, message->size);
	return map == NULL ? STR("") : str_bytes(map, message->size);
}

static void close_content(const struct ipc_message *message, struct str content)
{
	if (content.n > 0 && content.p != message->content.p)
		fd_unmap(content.p, content.n);
}

/* The routes of the message's recipients; returns how many different ones. */
static unsigned group(const struct qmgr_tenant *t, const struct ipc_message *message, int fd, uint16_t *numbers)
{
	struct route_message about = {
		.mail_from = message->mail_from,
		.recipients = message->recipients,
		.n_recipients = message->n_recipients,
		.user = message->user,
		.content = open_content(t, message, fd),
	};
	unsigned n = route_group(t->routes.route, t->routes.n, &about, numbers);

	close_content(message, about.content);
	return n;
}

/* Reads its body for what routes are chosen by. True: it has several, and is being split. */
static bool look(struct qmgr *q, struct qmgr_message *m)
{
	static struct str recipients[IPC_RECIPIENTS_MAX];
	static uint16_t numbers[IPC_RECIPIENTS_MAX];
	static unsigned groups[IPC_RECIPIENTS_MAX];
	const struct qmgr_body *body = body_of(m);
	struct buf dsn = BUF_MAX(IPC_DSN_MAX);
	struct ipc_message message = qmgr_part_read(m, body, recipients, &dsn);
	struct route_message about = {.mail_from = message.mail_from, .recipients = message.recipients, .n_recipients = message.n_recipients};
	unsigned n = group(m->tenant, &message, body->fd, numbers);

	buf_clear(&dsn);
	m->route.is_seen = true;
	m->route.size = message.size;
	m->route.has_utf8 = route_is_beyond_ascii(&about);
	m->route.number = n == 0 ? ROUTE_NONE : numbers[0];
	m->route.version = m->tenant->routes.version;
	/* What is sent elsewhere is one message to one address. */
	if (n < 2 || m->call != NULL || m->tenant->redirect_to != NULL || m->pinned != NULL)
		return false;
	for (unsigned i = 0; i < message.n_recipients; i++)
		groups[i] = numbers[i];
	m->route.version = 0;
	return qmgr_part_split(q, m, groups, message.n_recipients);
}

static const struct route *route_of(const struct qmgr_message *m)
{
	const struct qmgr_tenant_routes *routes = &m->tenant->routes;

	/* Without conditions the first one is everybody's. */
	if (m->route.version != routes->version)
		return routes->n > 0 && !routes->is_conditional ? &routes->route[0] : &routes->plain;
	return m->route.number < routes->n ? &routes->route[m->route.number] : &routes->plain;
}

static struct route_load load_of(const struct qmgr_message *m)
{
	return (struct route_load){.has_utf8 = m->route.has_utf8, .size = m->route.size, .unfit = m->route.unfit};
}

static uint64_t random_of(const struct qmgr_message *m)
{
	uint64_t random;

	/* The end of a version 7 id is random. */
	memcpy(&random, m->id.b + 8, sizeof(random));
	return (random ^ m->part) * 0x9e3779b97f4a7c15ULL >> 16;
}

static struct route_choice choose(const struct qmgr *q, const struct qmgr_message *m)
{
	struct asker asker = {q, m->tenant};
	struct route_load load = load_of(m);

	return route_choose(route_of(m), q->env->settings, &load, is_up, &asker, random_of(m));
}

static void say_all_down(struct qmgr_tenant *t, const struct route *route, const struct route_target *first)
{
	struct buf targets = BUF_MAX(ROUTE_TEXT);
	int64_t now = clock_mono();

	if (t->down_said_at != 0 && now - t->down_said_at < DOWN_SAID_EVERY)
		return;
	t->down_said_at = now;
	route_print(route, &targets);
	log_warn(&(struct log_context){.tenant = t->name}, "qmgr.route.all_down", log_str("targets", buf_str(&targets)),
		 log_text("waits_for", first->provider), log_text("effect", "its mail waits"));
	buf_clear(&targets);
}

/* All are down: whichever wants to know whether it still is gets the message, else the first, where it waits. */
static unsigned anyone(struct qmgr *q, const struct qmgr_message *m, const struct route *route, unsigned first)
{
	for (unsigned i = 0; i < route->n_targets; i++) {
		int index = route->target[i].index;

		if (index >= 0 && (m->route.unfit >> index & 1) == 0 && qmgr_provider_take_probe(q, (unsigned)index))
			return (unsigned)index;
	}
	return first;
}

/* The provider's index, or QMGR_SCHEDULE_NONE. */
static unsigned provider_for(struct qmgr *q, struct qmgr_message *m)
{
	const struct route *route = route_of(m);
	struct route_choice choice;
	unsigned first;

	m->route.avoided = m->route.waited_for = 0;
	if (m->pinned != NULL)
		return qmgr_tenant_provider_index(q, m->pinned);
	choice = choose(q, m);
	if (choice.first < 0)
		return QMGR_SCHEDULE_NONE;
	first = (unsigned)route->target[choice.first].index;
	if (choice.target == choice.first)
		return first;
	if (qmgr_provider_take_probe(q, first))
		return first;
	if (choice.target < 0) {
		say_all_down(m->tenant, route, &route->target[choice.first]);
		return anyone(q, m, route, first);
	}
	m->route.avoided = (uint8_t)(first + 1);
	return (unsigned)route->target[choice.target].index;
}

void qmgr_route_place(struct qmgr *q, struct qmgr_message *m)
{
	unsigned provider;
	bool is_first;

	if (body_of(m) != NULL && !is_found(m) && look(q, m))
		return;
	provider = provider_for(q, m);
	is_first = !qmgr_schedule_has_work(&q->schedule, provider);
	m->state = QMGR_SCHEDULED;
	m->item.lane = qmgr_lane_of(&q->schedule, &m->tenant->lanes, provider, m->call != NULL);
	qmgr_schedule_ready(&q->schedule, &m->item);
	/* While a provider has no work nobody asks what it may have. */
	if (is_first)
		qmgr_provider_grant(q);
}

static bool is_target(const struct route *route, unsigned provider)
{
	for (unsigned i = 0; i < route->n_targets; i++)
		if (route->target[i].index == (int)provider)
			return true;
	return false;
}

static bool can_carry(const struct qmgr *q, const struct qmgr_message *m, unsigned provider)
{
	const struct settings_provider_kind *kind = settings_provider_kind(q->env->settings->provider[provider].type);

	return !(m->route.unfit >> provider & 1) && (kind->has_utf8 || !m->route.has_utf8) && m->route.size <= kind->size;
}

bool qmgr_route_confirm(struct qmgr *q, struct qmgr_message *m)
{
	unsigned provider = m->job->provider;
	bool is_one = provider < QMGR_SCHEDULE_NONE;

	if (is_one && (is_found(m) || m->pinned != NULL))
		return true;
	if (!is_found(m) && look(q, m))
		return false;
	if (is_one && is_target(route_of(m), provider) && can_carry(q, m, provider))
		return true;
	qmgr_dispatch_land(q, m);
	qmgr_route_place(q, m);
	/* It was read only to choose. */
	if (m->call == NULL && q->messages.body_bytes > q->env->settings->queue.memory)
		qmgr_message_lose_body(q, m);
	return false;
}

void qmgr_route_went(struct qmgr *q, const struct qmgr_message *m)
{
	const struct settings *s = q->env->settings;
	char id[UUID_TEXT];
	struct log_context about = {.message = uuid_format(&m->id, id), .tenant = m->tenant->name};
	unsigned from = m->route.avoided - 1U;

	if (m->route.avoided == 0 || from >= s->n_provider || from == m->job->provider)
		return;
	metrics_add_at(METRIC_PROVIDER_FAILOVER, metrics_pair(from, m->job->provider), 1);
	log_info(&about, "qmgr.route.failover", log_text("from", s->provider[from].key), log_text("to", m->job->key),
		 log_text("why", route_word_text(ROUTE_DOWN)));
}

/* Nobody knows whether that one could carry it: an operator has to mend the route, or the settings. */
static bool names_a_stranger(const struct route *route, const struct route_choice *choice)
{
	for (unsigned i = 0; i < route->n_targets; i++)
		if (choice->word[i] == ROUTE_NO_PROVIDER)
			return true;
	return false;
}

/* Why none of them can have it, as text: "ses takes no addresses beyond ASCII, x is not in the settings". Returns the status. */
static const char *put_reasons(struct buf *out, const struct route *route, const struct route_choice *choice)
{
	bool is_of_addresses = true;

	for (unsigned i = 0; i < route->n_targets; i++) {
		buf_printf(out, "%s%s %s", i > 0 ? ", " : "", route->target[i].provider, route_word_text(choice->word[i]));
		is_of_addresses = is_of_addresses && choice->word[i] == ROUTE_UTF8;
	}
	return is_of_addresses ? "5.6.7" : "5.6.0";
}

static void warn_once(struct qmgr_tenant *t, struct str why)
{
	if (!t->is_warned && !t->is_gone)
		log_error(&(struct log_context){.tenant = t->name}, "qmgr.route.no_provider", log_str("why", why));
	t->is_warned = true;
}

void qmgr_route_fail(struct qmgr *q, struct qmgr_message *m)
{
	const struct route *route = route_of(m);
	enum ipc_outcome_class class = IPC_OUTCOME_PROVIDER_FAULT;
	struct buf why = BUF_MAX(512);
	const char *status = "4.3.5";
	char *text;

	if (m->route.waited_for != 0) {
		qmgr_waiting_fail(q, m);
		return;
	}
	if (m->tenant->is_gone) {
		buf_put_text(&why, "its tenant is not in the database any more");
	} else if (m->pinned != NULL) {
		buf_printf(&why, "%s may have it already and is not in the settings any more (see smtp-proxyctl queue reroute)", m->pinned);
	} else if (route->n_targets == 0) {
		buf_put_text(&why, "no provider: neither the tenant nor queue.default_provider names one");
	} else {
		struct route_choice choice = choose(q, m);
		const char *of_message = put_reasons(&why, route, &choice);

		if (!names_a_stranger(route, &choice)) {
			class = IPC_OUTCOME_UNFIT;
			status = of_message;
		}
	}
	if (class != IPC_OUTCOME_UNFIT)
		warn_once(m->tenant, buf_str(&why));
	text = buf_take_text(&why);
	qmgr_outcome_make(q, m, class, status, text);
	mem_free(&text);
}

void qmgr_route_put_back(struct qmgr *q, struct qmgr_message *m)
{
	m->state = QMGR_SCHEDULED;
	m->item.lane = &m->tenant->lanes.fresh[m->call != NULL];
	qmgr_schedule_ready_first(&q->schedule, &m->item);
}

void qmgr_route_again(struct qmgr *q, struct qmgr_message *m)
{
	if (!m->item.is_ready)
		return;
	qmgr_schedule_remove(&q->schedule, &m->item);
	qmgr_route_put_back(q, m);
}

bool qmgr_route_has_other(struct qmgr *q, struct qmgr_message *m, enum ipc_outcome_class class, struct str provider)
{
	char key[SETTINGS_KEY];
	unsigned index = str_copy(provider, key, sizeof(key)) ? qmgr_tenant_provider_index(q, key) : QMGR_SCHEDULE_NONE;
	struct route_choice choice;

	if (m->tenant == NULL || m->pinned != NULL)
		return false;
	if (class == IPC_OUTCOME_UNFIT) {
		if (index < QMGR_SCHEDULE_NONE)
			m->route.unfit |= 1ULL << index;
		choice = choose(q, m);
		return choice.first >= 0 || names_a_stranger(route_of(m), &choice);
	}
	if ((class != IPC_OUTCOME_TRANSIENT && class != IPC_OUTCOME_PROVIDER_FAULT) || index >= QMGR_SCHEDULE_NONE ||
	    qmgr_provider_is_usable(q, index, m->tenant))
		return false;
	choice = choose(q, m);
	return choice.target >= 0 && route_of(m)->target[choice.target].index != (int)index;
}

void qmgr_route_forget_unfit(struct qmgr *q)
{
	for (unsigned shard = 0; shard <= QMGR_NO_SHARD; shard++)
		for (struct qmgr_message *m = q->messages.shard[shard]; m != NULL; m = m->next) {
			m->route.unfit = 0;
			m->route.avoided = m->route.failed = 0;
		}
}

/* What each of its providers takes in a call. */
static unsigned least_of(const struct qmgr *q, const struct route *route)
{
	unsigned least = UINT_MAX;

	for (unsigned i = 0; i < route->n_targets; i++) {
		unsigned most = UINT_MAX;

		if (route->target[i].index >= 0)
			most = settings_provider_recipients(&q->env->settings->provider[route->target[i].index]);
		if (most < least)
			least = most;
	}
	return least;
}

unsigned qmgr_route_recipients(const struct qmgr *q, const struct qmgr_tenant *tenant, const struct ipc_message *m, int fd)
{
	static uint16_t numbers[IPC_RECIPIENTS_MAX];
	unsigned least = UINT_MAX;

	if (tenant->redirect_to != NULL)
		return UINT_MAX;
	if (!tenant->is_known) {
		for (unsigned i = 0; i < q->env->settings->n_provider; i++) {
			unsigned most = settings_provider_recipients(&q->env->settings->provider[i]);

			least = most < least ? most : least;
		}
		return least;
	}
	/* A call goes one way: none may have recipients of two. */
	if (group(tenant, m, fd, numbers) > 1)
		return 1;
	return least_of(q, numbers[0] < tenant->routes.n ? &tenant->routes.route[numbers[0]] : &tenant->routes.plain);
}
