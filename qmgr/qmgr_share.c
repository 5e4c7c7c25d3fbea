/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys in Redis, beginning with "smtp-proxy:":
 *	share:NAME	"OWNER VALUE", until its time is over
 * What cert-renewer says is not believed: it parses what an authority and anybody who asks on port 80 sends.
 */
#include "qmgr/qmgr_share.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/log_limit.h"
#include "lib/base/mem.h"
#include "lib/ipc/ipc_body.h"
#include "lib/net/redis.h"
#include "qmgr/qmgr.h"
#include "qmgr/qmgr_sql.h"

#define PREFIX "smtp-proxy:share:"
#define FORGET_EVERY (3600 * CLOCK_SECOND)
#define DAY (24 * 3600 * CLOCK_SECOND)

enum { UNDER_WAY = 128 };

struct qmgr_share_question {
	struct qmgr_share_question *next;
	struct qmgr *q;
	struct ipc_peer *peer; /* NULL: who asked is gone */
	uint64_t frame_id;
	enum ipc_share_act act;
};

/* What there may be, and for how long at most: whoever wants it for longer comes again. Of current/ nobody does: hosts that were away
 * for so long look into the backup, as all do once a day. */
static const struct kind {
	const char *prefix;
	unsigned acts; /* bits */
	int64_t longest;
} kinds[] = {
	{"lock/", 1U << IPC_SHARE_LOCK | 1U << IPC_SHARE_UNLOCK, DAY},
	{"challenge/", 1U << IPC_SHARE_PUT | 1U << IPC_SHARE_GET | 1U << IPC_SHARE_DELETE, DAY},
	{"challenge-alpn/", 1U << IPC_SHARE_PUT | 1U << IPC_SHARE_GET | 1U << IPC_SHARE_DELETE, DAY},
	{"current/", 1U << IPC_SHARE_PUT | 1U << IPC_SHARE_GET, 90 * DAY},
};

/* KEYS: the name. ARGV: "OWNER ", of LOCK the value and milliseconds. */
static const char lock_script[] =
	"local was = redis.call('GET', KEYS[1]) "
	"if was and string.sub(was, 1, #ARGV[1]) ~= ARGV[1] then return was end "
	"redis.call('SET', KEYS[1], ARGV[1] .. ARGV[2], 'PX', ARGV[3]) "
	"return 1";
static const char unlock_script[] =
	"local was = redis.call('GET', KEYS[1]) "
	"if not was or string.sub(was, 1, #ARGV[1]) ~= ARGV[1] then return 0 end "
	"return redis.call('DEL', KEYS[1])";

static void answer(struct ipc_peer *peer, uint64_t frame_id, enum ipc_share_verdict verdict, struct str value)
{
	char bytes[IPC_SHARE_VALUE + 64];
	struct buf body = {.p = bytes, .size = sizeof(bytes), .max = sizeof(bytes)};

	if (peer == NULL)
		return;
	ipc_put_share_result(&body, &(struct ipc_share_result){verdict, str_first(value, IPC_SHARE_VALUE)});
	ipc_send(peer, IPC_SHARE_RESULT, frame_id, buf_str(&body), -1);
}

static void settle(struct qmgr_share_question *question, enum ipc_share_verdict verdict, struct str value)
{
	struct qmgr_share *share = &question->q->share;
	struct qmgr_share_question **at = &share->first;

	while (*at != question)
		at = &(*at)->next;
	*at = question->next;
	share->n--;
	answer(question->peer, question->frame_id, verdict, value);
	free(question);
}

static void say_failed(const struct qmgr_share_question *question, struct str why)
{
	static const char *const acts[IPC_SHARE_ACTS] = {"lock", "unlock", "put", "get", "delete"};
	static struct log_limit limit;
	uint64_t unsaid;

	if (log_limit_take(&limit, clock_mono(), 1, &unsaid))
		log_warn(NULL, "qmgr.share.failed", log_text("act", acts[question->act]), log_str("why", why),
			 log_uint("unsaid", unsaid));
}

/* ---- the database ---- */

static void on_row(void *ctx, enum pg_status status, const struct pg_result *r, const struct err *err)
{
	struct qmgr_share_question *question = ctx;

	if (status != PG_OK || pg_rows(r) != 1) {
		say_failed(question, str_of(status == PG_OK ? "no row" : err->text));
		settle(question, IPC_SHARE_UNAVAILABLE, STR(""));
		return;
	}
	settle(question, pg_bool(r, 0, 0) ? IPC_SHARE_YES : IPC_SHARE_NO, pg_text(r, 0, 1));
}

static void ask_database(struct qmgr_share_question *question, const struct ipc_share *what)
{
	static const struct {
		const char *sql;
		bool wants_owner, wants_value;
	} statements[IPC_SHARE_ACTS] = {
		[IPC_SHARE_LOCK] = {QMGR_SQL_SHARE_LOCK, true, true},
		[IPC_SHARE_UNLOCK] = {QMGR_SQL_SHARE_UNLOCK, true, false},
		[IPC_SHARE_PUT] = {QMGR_SQL_SHARE_PUT, true, true},
		[IPC_SHARE_GET] = {QMGR_SQL_SHARE_GET, false, false},
		[IPC_SHARE_DELETE] = {QMGR_SQL_SHARE_DELETE, false, false},
	};
	struct qmgr *q = question->q;
	struct pg_params *p = pg_params_new();

	pg_put_text(p, what->name);
	if (statements[what->act].wants_owner)
		pg_put_text(p, str_of(q->lease.owner));
	if (statements[what->act].wants_value) {
		pg_put_text(p, what->value);
		pg_put_int8(p, what->lifetime);
	}
	pg_run(q->keep.pg, statements[what->act].sql, p, on_row, question);
	pg_params_free(&p);
}

/* ---- Redis ---- */

/* Of "OWNER VALUE". */
static struct str value_of(struct str stored)
{
	struct str owner;

	return str_next(&stored, ' ', &owner) ? stored : STR("");
}

static void on_redis(void *ctx, const struct redis_answer *reply)
{
	struct qmgr_share_question *question = ctx;
	enum redis_kind kind = reply == NULL ? REDIS_REFUSED : redis_kind(reply);

	if (kind == REDIS_REFUSED || kind == REDIS_LIST) {
		say_failed(question, reply == NULL ? STR("no answer") : redis_text(reply));
		settle(question, IPC_SHARE_UNAVAILABLE, STR(""));
	} else if (kind == REDIS_NUMBER) { /* of LOCK, UNLOCK and DELETE: done */
		settle(question, redis_number(reply) > 0 ? IPC_SHARE_YES : IPC_SHARE_NO, STR(""));
	} else if (kind == REDIS_TEXT) { /* of LOCK: the other's; of PUT: OK */
		settle(question, question->act == IPC_SHARE_LOCK ? IPC_SHARE_NO : IPC_SHARE_YES,
		       question->act == IPC_SHARE_PUT ? STR("") : value_of(redis_text(reply)));
	} else {
		settle(question, IPC_SHARE_NO, STR(""));
	}
}

static void ask_redis(struct qmgr_share_question *question, const struct ipc_share *what)
{
	struct redis *redis = question->q->providers.redis;
	struct buf key = BUF_MAX(sizeof(PREFIX) + IPC_SHARE_NAME), owner = BUF_MAX(UUID_TEXT + 1),
		   stored = BUF_MAX(UUID_TEXT + 1 + IPC_SHARE_VALUE);
	char lifetime[24];

	buf_put_text(&key, PREFIX);
	buf_put_str(&key, what->name);
	buf_printf(&owner, "%s ", question->q->lease.owner);
	buf_put_str(&stored, buf_str(&owner));
	buf_put_str(&stored, what->value);
	snprintf(lifetime, sizeof(lifetime), "%" PRId64, (int64_t)(what->lifetime / CLOCK_MS));
	switch (what->act) {
	case IPC_SHARE_LOCK:
		redis_run(redis,
			  (struct str[]){STR("EVAL"), str_of(lock_script), STR("1"), buf_str(&key), buf_str(&owner),
					 what->value, str_of(lifetime)},
			  7, on_redis, question);
		break;
	case IPC_SHARE_UNLOCK:
		redis_run(redis,
			  (struct str[]){STR("EVAL"), str_of(unlock_script), STR("1"), buf_str(&key), buf_str(&owner)}, 5,
			  on_redis, question);
		break;
	case IPC_SHARE_PUT:
		redis_run(redis, (struct str[]){STR("SET"), buf_str(&key), buf_str(&stored), STR("PX"), str_of(lifetime)}, 5,
			  on_redis, question);
		break;
	case IPC_SHARE_GET:
		redis_run(redis, (struct str[]){STR("GET"), buf_str(&key)}, 2, on_redis, question);
		break;
	case IPC_SHARE_DELETE:
	case IPC_SHARE_ACTS:
		redis_run(redis, (struct str[]){STR("DEL"), buf_str(&key)}, 2, on_redis, question);
		break;
	}
	buf_clear(&key);
	buf_clear(&owner);
	buf_clear(&stored);
}

/* ---- questions ---- */

/* NULL: there are no such names, or they are not for this. */
static const struct kind *kind_of(const struct ipc_share *what)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (str_starts(what->name, str_of(kinds[i].prefix)) && (kinds[i].acts >> what->act & 1) != 0)
			return &kinds[i];
	return NULL;
}

static bool is_fit(const struct ipc_share *what)
{
	return qmgr_sql_is_text(what->name) && qmgr_sql_is_text(what->value) && what->value.n <= IPC_SHARE_VALUE;
}

static void ask(struct qmgr *q, struct ipc_peer *peer, uint64_t frame_id, const struct ipc_share *what)
{
	struct qmgr_share_question *question;
	bool is_reachable = q->has_database ? q->keep.pg != NULL && pg_is_up(q->keep.pg) :
					      q->providers.redis != NULL && redis_is_up(q->providers.redis);

	if (!q->has_database && q->env->settings->redis.url[0] == '\0') {
		answer(peer, frame_id, IPC_SHARE_ALONE, STR(""));
		return;
	}
	if (!is_reachable || q->share.n >= UNDER_WAY) {
		answer(peer, frame_id, IPC_SHARE_UNAVAILABLE, STR(""));
		return;
	}
	question = mem_zero(sizeof(*question));
	*question = (struct qmgr_share_question){q->share.first, q, peer, frame_id, what->act};
	q->share.first = question;
	q->share.n++;
	if (q->has_database)
		ask_database(question, what);
	else
		ask_redis(question, what);
}

static bool on_frame(void *ctx, struct ipc_peer *peer, struct ipc_frame *frame)
{
	struct ipc_share what;
	const struct kind *kind;

	if (frame->type != IPC_SHARE || !ipc_get_share(&frame->body, &what) || !is_fit(&what) || (kind = kind_of(&what)) == NULL)
		return false;
	if (what.lifetime > kind->longest)
		what.lifetime = kind->longest;
	if (what.lifetime < CLOCK_MS)
		what.lifetime = CLOCK_MS;
	ask(ctx, peer, frame->id, &what);
	return true;
}

static void drop_peer(struct qmgr *q)
{
	for (struct qmgr_share_question *question = q->share.first; question != NULL; question = question->next)
		question->peer = NULL;
	ipc_peer_free(&q->share.peer);
}

static void on_close(void *ctx, struct ipc_peer *peer, const char *why)
{
	struct qmgr *q = ctx;

	if (peer != q->share.peer)
		return;
	log_debug(NULL, "qmgr.share.gone", log_text("why", why));
	service_peer_lost(ROLE_CERT_RENEWER, ipc_peer_slot(peer));
	drop_peer(q);
}

void qmgr_share_on_peer(struct qmgr *q, unsigned slot, int fd)
{
	static const struct ipc_events events = {.on_frame = on_frame, .on_close = on_close};

	drop_peer(q); /* cut, and not heard of here yet */
	q->share.peer = ipc_peer_new(q->loop, fd, ROLE_QMGR, ROLE_CERT_RENEWER, slot, &events, q);
}

void qmgr_share_clear(struct qmgr *q)
{
	ipc_peer_free(&q->share.peer);
	while (q->share.first != NULL) {
		struct qmgr_share_question *question = q->share.first;

		q->share.first = question->next;
		free(question);
	}
	q->share.n = 0;
}

/* ---- what is past its time ---- */

static void on_forgotten(void *ctx, enum pg_status status, const struct pg_result *r, const struct err *err)
{
	(void)ctx;
	if (status != PG_OK)
		log_warn(NULL, "qmgr.share.untidy", log_text("why", err->text));
	else if (pg_int8(r, 0, 0) > 0)
		log_debug(NULL, "qmgr.share.tidied", log_int("rows", pg_int8(r, 0, 0)));
}

void qmgr_share_tidy(struct qmgr *q)
{
	int64_t now = clock_mono();

	if (now < q->share.forget_at)
		return;
	q->share.forget_at = now + FORGET_EVERY;
	pg_run(q->keep.pg, QMGR_SQL_SHARE_FORGET, NULL, on_forgotten, q);
}
