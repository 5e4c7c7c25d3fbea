/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys, all beginning with "smtp-proxy:":
 *	count:KEY:SPAN:END	a count in the span of the clock that ends then (milliseconds); Redis forgets it when it is over
 *	level:KEY		a hash: for each gate process what it holds
 *	alive:PROCESS		there while that gate process lives: what a dead one held does not count
 *	gate:HOST		the host's gate process, for as long: what the one before it held ends with the next one's start
 *	ban:ADDRESS		"SINCE UNTIL REASON" (microseconds), until it ends; bans: their addresses by their end
 * Hosts' clocks must agree as well as NTP makes them.
 */
#include "gate/gate_store_redis.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gate/gate_span.h"
#include "lib/base/clock.h"
#include "lib/base/encode.h"
#include "lib/base/mem.h"
#include "lib/base/random.h"
#include "lib/base/trouble.h"
#include "lib/net/redis.h"

#define PREFIX "smtp-proxy:"

enum {
	KEY_MAX = GATE_STORE_KEY + 96,
	NUMBER_TEXT = 24,
	HOST_MAX = 290,
	PROCESS_TEXT = 320,
	BANS_LISTED = 500,
	WORDS_HEAD = 4, /* EVAL script count process */
	WORDS_A_TAKE = 3,
};

static const int64_t alive_every = 10 * CLOCK_SECOND;
#define ALIVE_SECONDS "35" /* three missed signs of life */

/* KEYS: the counts and levels. ARGV: the process; for each its limit and milliseconds to live, 0 for a level. */
static const char take_script[] =
	"local function level(key) "
	"local sum, all = 0, redis.call('HGETALL', key) "
	"for i = 1, #all, 2 do "
	"if redis.call('EXISTS', '" PREFIX "alive:' .. all[i]) == 1 then sum = sum + tonumber(all[i + 1]) "
	"else redis.call('HDEL', key, all[i]) end end "
	"return sum end "
	"for i, key in ipairs(KEYS) do "
	"local is_level, limit = ARGV[2 * i + 1] == '0', tonumber(ARGV[2 * i]) "
	"local now = is_level and level(key) or tonumber(redis.call('GET', key) or '0') "
	"if now >= limit then return i - 1 end end "
	"for i, key in ipairs(KEYS) do "
	"if ARGV[2 * i + 1] == '0' then redis.call('HINCRBY', key, ARGV[1], 1) redis.call('EXPIRE', key, 86400) "
	"elseif redis.call('INCR', key) == 1 then redis.call('PEXPIRE', key, ARGV[2 * i + 1]) end end "
	"return -1";

/* The same KEYS and ARGV; limits are ignored. */
static const char give_script[] =
	"for i, key in ipairs(KEYS) do "
	"if ARGV[2 * i + 1] == '0' then "
	"if redis.call('HINCRBY', key, ARGV[1], -1) <= 0 then redis.call('HDEL', key, ARGV[1]) end "
	"elseif tonumber(redis.call('GET', key) or '0') > 0 then redis.call('DECR', key) end end "
	"return 0";

/* The host's last gate is dead, whatever its sign of life says: its connections are told anew. */
static const char follow_script[] =
	"local last = redis.call('GET', KEYS[1]) "
	"if last then redis.call('DEL', '" PREFIX "alive:' .. last) end "
	"return 0";

/* ARGV: now, how many. The total, then address and value in turn. */
static const char list_script[] =
	"redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1]) "
	"local out = {redis.call('ZCARD', KEYS[1])} "
	"for _, address in ipairs(redis.call('ZREVRANGE', KEYS[1], 0, ARGV[2] - 1)) do "
	"out[#out + 1] = address "
	"out[#out + 1] = redis.call('GET', '" PREFIX "ban:' .. address) or '' end "
	"return out";

struct gate_store_redis {
	struct redis *redis;
	struct tls_client *tls;
	struct loop_timer *alive;
	gate_store_redis_state_fn *on_state;
	void *ctx;
	char *host;
	char process[PROCESS_TEXT]; /* host and a random word: a new gate does not go on with what the old one held */
};

/* ---- life ---- */

static void name_process(struct gate_store_redis *s)
{
	unsigned char word[8];
	struct buf text = BUF_MAX(sizeof(s->process) - 1);

	random_fill(word, sizeof(word));
	buf_put_text(&text, s->host);
	buf_put_char(&text, '/');
	encode_hex(&text, str_bytes(word, sizeof(word)));
	str_copy(buf_str(&text), s->process, sizeof(s->process));
	buf_clear(&text);
}

static void say(struct gate_store_redis *s, const char *kind, const char *name, const char *value)
{
	char key[PROCESS_TEXT + 32];

	snprintf(key, sizeof(key), PREFIX "%s:%s", kind, name);
	redis_run(s->redis, (struct str[]){STR("SET"), str_of(key), str_of(value), STR("EX"), STR(ALIVE_SECONDS)}, 5, NULL,
		  NULL);
}

static void say_alive(void *ctx)
{
	struct gate_store_redis *s = ctx;

	say(s, "alive", s->process, "1");
	say(s, "gate", s->host, s->process);
	loop_timer_set(s->alive, alive_every);
}

/* What was held before is not known any more: answers were lost, and some was given back meanwhile. It is dropped with
 * the name, and told anew by on_state. */
static void begin_anew(struct gate_store_redis *s)
{
	char key[PROCESS_TEXT + 32];

	snprintf(key, sizeof(key), PREFIX "alive:%s", s->process);
	redis_run(s->redis, (struct str[]){STR("DEL"), str_of(key)}, 2, NULL, NULL);
	snprintf(key, sizeof(key), PREFIX "gate:%s", s->host);
	redis_run(s->redis, (struct str[]){STR("EVAL"), str_of(follow_script), STR("1"), str_of(key)}, 4, NULL, NULL);
	name_process(s);
	say_alive(s);
}

static void on_state(void *ctx, bool is_up, const char *why)
{
	struct gate_store_redis *s = ctx;

	if (is_up)
		begin_anew(s);
	s->on_state(s->ctx, is_up, why);
}

struct gate_store_redis *gate_store_redis_new(struct loop *loop, struct str url_text, struct str ca_pem, int64_t timeout,
					      const char *host, gate_store_redis_state_fn *fn, void *ctx,
					      struct err *err)
{
	struct gate_store_redis *s;
	struct tls_client *tls = NULL;
	struct redis_url url;

	if (!redis_url_parse(url_text, &url, err))
		return NULL;
	if (url.is_tls && (tls = tls_client_new(ca_pem, false, TLS_1_2, err)) == NULL) {
		redis_url_clear(&url);
		return NULL;
	}
	s = mem_zero(sizeof(*s));
	s->tls = tls;
	s->on_state = fn;
	s->ctx = ctx;
	s->host = str_dup(str_first(str_of(host), HOST_MAX));
	name_process(s);
	s->alive = loop_timer_new(loop, say_alive, s);
	s->redis = redis_new(loop, &url, tls, timeout, on_state, s);
	redis_url_clear(&url);
	return s;
}

void gate_store_redis_free(struct gate_store_redis **store)
{
	struct gate_store_redis *s = *store;

	if (s == NULL)
		return;
	loop_timer_free(&s->alive);
	redis_free(&s->redis);
	tls_client_free(&s->tls);
	free(s->host);
	mem_free(store);
}

bool gate_store_redis_is_up(const struct gate_store_redis *store)
{
	return redis_is_up(store->redis);
}

void gate_store_redis_set_timeout(struct gate_store_redis *store, int64_t timeout)
{
	redis_set_timeout(store->redis, timeout);
}

/* ---- counts ---- */

/* The words of take_script and give_script, and the room for their texts. */
struct words {
	struct str word[WORDS_HEAD + WORDS_A_TAKE * GATE_STORE_TAKES];
	size_t n;
	char count[NUMBER_TEXT], key[GATE_STORE_TAKES][KEY_MAX], limit[GATE_STORE_TAKES][NUMBER_TEXT],
		life[GATE_STORE_TAKES][NUMBER_TEXT];
};

static void put_take(struct words *w, size_t i, const struct gate_take *t, int64_t now)
{
	int64_t span_ms = t->span == GATE_STORE_MONTH ? 0 : t->span / CLOCK_MS, until_ms, left = 0;

	if (t->span == 0) {
		snprintf(w->key[i], KEY_MAX, PREFIX "level:%s", t->key);
	} else {
		until_ms = gate_span_end(t->span, now) / CLOCK_MS;
		snprintf(w->key[i], KEY_MAX, PREFIX "count:%s:%" PRId64 ":%" PRId64, t->key, span_ms, until_ms);
		left = until_ms - now / CLOCK_MS + 1;
	}
	snprintf(w->limit[i], NUMBER_TEXT, "%" PRId64, t->limit);
	snprintf(w->life[i], NUMBER_TEXT, "%" PRId64, left);
}

static void make_words(struct words *w, const char *script, const struct gate_store_redis *s, const struct gate_take *takes,
		       size_t n, int64_t now)
{
	must(n > 0 && n <= GATE_STORE_TAKES);
	w->n = 0;
	snprintf(w->count, NUMBER_TEXT, "%zu", n);
	w->word[w->n++] = STR("EVAL");
	w->word[w->n++] = str_of(script);
	w->word[w->n++] = str_of(w->count);
	for (size_t i = 0; i < n; i++) {
		put_take(w, i, &takes[i], now);
		w->word[w->n++] = str_of(w->key[i]);
	}
	w->word[w->n++] = str_of(s->process);
	for (size_t i = 0; i < n; i++) {
		w->word[w->n++] = str_of(w->limit[i]);
		w->word[w->n++] = str_of(w->life[i]);
	}
}

struct asking {
	gate_store_redis_taken_fn *on_taken;
	gate_store_redis_bans_fn *on_bans;
	void *ctx;
	char address[sizeof(((struct gate_ban *)NULL)->address)];
};

static struct asking *new_asking(void *ctx)
{
	struct asking *a = mem_zero(sizeof(*a));

	a->ctx = ctx;
	return a;
}

static void on_taken(void *ctx, const struct redis_answer *answer)
{
	struct asking a = *(struct asking *)ctx;

	free(ctx);
	if (answer == NULL || redis_kind(answer) != REDIS_NUMBER)
		a.on_taken(a.ctx, GATE_STORE_AWAY);
	else
		a.on_taken(a.ctx, (int)redis_number(answer));
}

void gate_store_redis_take(struct gate_store_redis *store, const struct gate_take *takes, size_t n, int64_t now,
			   gate_store_redis_taken_fn *fn, void *ctx)
{
	struct asking *a = new_asking(ctx);
	struct words w;

	a->on_taken = fn;
	make_words(&w, take_script, store, takes, n, now);
	redis_run(store->redis, w.word, w.n, on_taken, a);
}

void gate_store_redis_give(struct gate_store_redis *store, const struct gate_take *takes, size_t n, int64_t now)
{
	struct words w;

	make_words(&w, give_script, store, takes, n, now);
	redis_run(store->redis, w.word, w.n, NULL, NULL);
}

/* ---- bans ---- */

static void ban_key(char out[KEY_MAX], const char *address)
{
	snprintf(out, KEY_MAX, PREFIX "ban:%s", address);
}

void gate_store_redis_ban(struct gate_store_redis *store, const struct gate_ban *ban, int64_t now)
{
	char key[KEY_MAX], value[GATE_STORE_REASON + 64], life[NUMBER_TEXT], until[NUMBER_TEXT];
	int64_t left_ms = (ban->until - now) / CLOCK_MS + 1;

	if (ban->until <= now)
		return;
	ban_key(key, ban->address);
	snprintf(value, sizeof(value), "%" PRId64 " %" PRId64 " %s", ban->since, ban->until, ban->reason);
	snprintf(life, sizeof(life), "%" PRId64, left_ms);
	snprintf(until, sizeof(until), "%" PRId64, ban->until);
	redis_run(store->redis, (struct str[]){STR("SET"), str_of(key), str_of(value), STR("PX"), str_of(life)}, 5, NULL,
		  NULL);
	redis_run(store->redis, (struct str[]){STR("ZADD"), STR(PREFIX "bans"), str_of(until), str_of(ban->address)}, 4,
		  NULL, NULL);
}

void gate_store_redis_lift(struct gate_store_redis *store, const char *address)
{
	char key[KEY_MAX];

	ban_key(key, address);
	redis_run(store->redis, (struct str[]){STR("DEL"), str_of(key)}, 2, NULL, NULL);
	redis_run(store->redis, (struct str[]){STR("ZREM"), STR(PREFIX "bans"), str_of(address)}, 3, NULL, NULL);
}

/* "SINCE UNTIL REASON". What somebody else wrote into our Redis is no reason to stop. */
static bool read_ban(struct gate_ban *ban, struct str address, struct str value)
{
	struct str since, until;
	uint64_t from, to;

	if (!str_next(&value, ' ', &since) || !str_next(&value, ' ', &until) || !str_u64(since, 0, INT64_MAX, &from) ||
	    !str_u64(until, 0, INT64_MAX, &to) || !str_copy(address, ban->address, sizeof(ban->address)) ||
	    !str_is_printable(value))
		return false;
	str_copy(str_first(value, GATE_STORE_REASON - 1), ban->reason, GATE_STORE_REASON);
	ban->since = (int64_t)from;
	ban->until = (int64_t)to;
	return true;
}

static void on_ban(void *ctx, const struct redis_answer *answer)
{
	struct asking a = *(struct asking *)ctx;
	struct gate_ban ban = {.since = 0};
	bool is_known = answer != NULL && redis_kind(answer) != REDIS_REFUSED, is_banned;

	free(ctx);
	is_banned = is_known && redis_kind(answer) == REDIS_TEXT && read_ban(&ban, str_of(a.address), redis_text(answer));
	a.on_bans(a.ctx, is_known, &ban, is_banned, is_banned);
}

void gate_store_redis_find_ban(struct gate_store_redis *store, const char *address, gate_store_redis_bans_fn *fn,
			       void *ctx)
{
	struct asking *a = new_asking(ctx);
	char key[KEY_MAX];

	a->on_bans = fn;
	str_copy(str_of(address), a->address, sizeof(a->address));
	ban_key(key, address);
	redis_run(store->redis, (struct str[]){STR("GET"), str_of(key)}, 2, on_ban, a);
}

static void on_list(void *ctx, const struct redis_answer *answer)
{
	struct asking a = *(struct asking *)ctx;
	size_t count = answer != NULL ? redis_count(answer) : 0, n = 0;
	struct gate_ban *bans;

	free(ctx);
	if (count == 0) {
		a.on_bans(a.ctx, false, NULL, 0, 0);
		return;
	}
	bans = mem_array(count / 2 + 1, sizeof(*bans));
	for (size_t i = 1; i + 1 < count; i += 2)
		n += read_ban(&bans[n], redis_text(redis_at(answer, i)), redis_text(redis_at(answer, i + 1)));
	a.on_bans(a.ctx, true, bans, n, (size_t)redis_number(redis_at(answer, 0)));
	free(bans);
}

void gate_store_redis_list_bans(struct gate_store_redis *store, int64_t now, gate_store_redis_bans_fn *fn, void *ctx)
{
	struct asking *a = new_asking(ctx);
	char now_text[NUMBER_TEXT], most[NUMBER_TEXT];

	a->on_bans = fn;
	snprintf(now_text, sizeof(now_text), "%" PRId64, now);
	snprintf(most, sizeof(most), "%d", BANS_LISTED);
	redis_run(store->redis,
		  (struct str[]){STR("EVAL"), str_of(list_script), STR("1"), STR(PREFIX "bans"), str_of(now_text), str_of(most)},
		  6, on_list, a);
}
