/* SPDX-License-Identifier: Apache-2.0
 *
 * A login that is not in the cache always takes the same steps: one look-up, one hash. An unknown
 * user's password is verified against a hash made up at start, a disabled user's against the right
 * one, so the time tells nothing.
 */
#include "gate/gate_auth.h"

#include <stdlib.h>
#include <string.h>

#include "gate/gate_attempt.h"
#include "gate/gate_ban.h"
#include "gate/gate_peer.h"
#include "gate/gate_verify.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/random.h"
#include "lib/base/trouble.h"
#include "lib/service/metrics.h"

enum {
	CACHE_MOST = 131072,
	/* What a thread can be behind: at 20 ms each the last one waits five seconds. */
	ATTEMPTS_A_THREAD = 256,
	/* And what one address may have waiting of that: the others wait a quarter of a second for it at most. */
	ATTEMPTS_AN_ADDRESS = 16,
	RESULT_MAX = 16384, /* as IPC(AUTH_RESULT) */
	WORDS_MAX = 16384,
};

struct gate_auth {
	struct gate *gate;
	struct gate_verify *verify;
	struct gate_cache *cache;
	struct gate_attempts attempts;
	unsigned answers; /* that wait for the store */
	int64_t cache_time;
	char nobodys_hash[PASSWORD_HASH_MAX];
	loop_fn *on_drained;
	void *drained_ctx;
};

/* ---- the answer ---- */

/* An answer on its way: whether the address is banned may have to be asked first. */
struct telling {
	struct gate_auth *auth;
	struct gate_peer *peer; /* held; NULL: it went away */
	uint64_t id;
	struct gate_address address;
	struct gate_identity *identity; /* held; NULL: unknown */
	enum ipc_auth_verdict verdict;
	char session[IPC_SESSION_TEXT], client[GATE_CLIENT_TEXT], why[GATE_WHY];
};

static void answer(struct gate_peer *peer, uint64_t id, enum ipc_auth_verdict verdict,
		   const struct gate_identity *identity)
{
	struct ipc_auth_result result = {.verdict = verdict};
	struct buf body = BUF_MAX(RESULT_MAX);

	if (verdict == IPC_AUTH_OK) {
		result.tenant = identity->tenant;
		result.user = identity->user;
		result.tenant_name = str_of(identity->tenant_name);
		result.user_name = str_of(identity->user_name);
		result.senders = str_of(identity->senders);
		result.mode = identity->mode;
		result.is_test = identity->is_test;
		result.asks_recipients = identity->has_suppressions;
	}
	ipc_put_auth_result(&body, &result);
	/* Half a frame would cut the connection, and with it everybody's logins. */
	if (body.is_full) {
		log_error(NULL, "gate.user.too_large", log_text("user", identity->user_name),
			  log_uint("senders_octets", result.senders.n),
			  log_text("effect", "it cannot log in; fewer senders, or @domain for all of a domain"));
		buf_reset(&body);
		ipc_put_auth_result(&body, &(struct ipc_auth_result){.verdict = IPC_AUTH_UNAVAILABLE});
	}
	ipc_send(peer->ipc, IPC_AUTH_RESULT, id, buf_str(&body), -1);
	buf_clear(&body);
}

/* One line a session. A name that is nobody's may be a password in the wrong field: not for the log. */
static void log_verdict(const struct telling *t)
{
	const struct log_context ctx = {.session = t->session,
					.tenant = t->identity != NULL ? t->identity->tenant_name : NULL};
	const char *user = t->identity != NULL ? t->identity->user_name : "(not a known user)";

	switch (t->verdict) {
	case IPC_AUTH_OK:
		log_debug(&ctx, "gate.auth.accepted", log_text("client", t->client), log_text("user", user));
		break;
	case IPC_AUTH_BAD:
	case IPC_AUTH_BANNED:
		log_info(&ctx, "gate.auth.refused", log_text("client", t->client), log_text("user", user),
			 log_text("why", t->why), log_bool("banned", t->verdict == IPC_AUTH_BANNED));
		break;
	default:
		log_info(&ctx, "gate.auth.unavailable", log_text("client", t->client), log_text("user", user),
			 log_text("why", t->why));
	}
}

static void say_when_drained(struct gate_auth *auth)
{
	if (auth->attempts.n == 0 && auth->answers == 0 && auth->on_drained != NULL)
		auth->on_drained(auth->drained_ctx);
}

/* Says it, and ends it. */
static void tell(struct telling *t)
{
	struct gate_auth *auth = t->auth;

	log_verdict(t);
	if (t->peer != NULL && t->peer->ipc != NULL) {
		if (t->verdict == IPC_AUTH_OK)
			gate_peer_tell(t->peer, t->identity);
		answer(t->peer, t->id, t->verdict, t->identity);
	}
	if (t->peer != NULL)
		gate_peer_release(t->peer);
	gate_identity_release(&t->identity);
	free(t);
	auth->answers--;
	say_when_drained(auth);
}

static void on_failed(void *ctx, bool is_banned)
{
	struct telling *t = ctx;

	if (is_banned)
		t->verdict = IPC_AUTH_BANNED;
	tell(t);
}

static void on_ban(void *ctx, const struct gate_ban *ban)
{
	struct telling *t = ctx;

	/* It had connected before. */
	if (ban != NULL) {
		t->verdict = IPC_AUTH_BANNED;
		str_copy(STR("the address is banned"), t->why, sizeof(t->why));
	}
	tell(t);
}

static void count_failure(struct telling *t)
{
	struct gate_failure failure = {.at = clock_wall()};

	str_copy(str_of(t->client), failure.client, sizeof(failure.client));
	str_copy(str_first(str_of(t->why), GATE_FAILURE_TEXT - 1), failure.why, sizeof(failure.why));
	if (t->identity != NULL)
		str_copy(str_first(str_of(t->identity->user_name), GATE_FAILURE_TEXT - 1), failure.user,
			 sizeof(failure.user));
	gate_ban_failed(t->auth->gate, &t->address, &failure, on_failed, t);
}

/* Decides for one who asked: even with the right password an address may be the wrong one. It is told no more than
 * with the wrong password. */
static void begin_telling(struct gate_auth *auth, const struct gate_waiter *w, enum ipc_auth_verdict verdict,
			  struct gate_identity *identity, const char *why)
{
	struct telling *t = mem_zero(sizeof(*t));

	*t = (struct telling){.auth = auth, .id = w->id, .verdict = verdict};
	t->peer = w->peer != NULL ? gate_peer_hold(w->peer) : NULL;
	t->identity = identity != NULL ? gate_identity_hold(identity) : NULL;
	t->address = gate_address(auth->gate, str_of(w->client));
	memcpy(t->session, w->session, sizeof(t->session));
	memcpy(t->client, w->client, sizeof(t->client));
	str_copy(str_first(str_of(why), GATE_WHY - 1), t->why, sizeof(t->why));
	auth->answers++;
	if (verdict == IPC_AUTH_OK && !gate_identity_may_come_from(identity, str_of(t->client))) {
		t->verdict = IPC_AUTH_BAD;
		str_copy(STR("not from its networks"), t->why, sizeof(t->why));
	}
	if (t->verdict == IPC_AUTH_BAD)
		count_failure(t);
	else if (t->verdict == IPC_AUTH_OK && !t->address.is_allowed)
		gate_store_find_ban(auth->gate->store, t->address.key, on_ban, t);
	else
		tell(t);
}

/* ---- the verification ---- */

/* Answers all who wait for the attempt, and ends it. */
static void finish(struct gate_auth *auth, struct gate_attempt *a, enum ipc_auth_verdict verdict, const char *why)
{
	for (struct gate_waiter *w = a->first; w != NULL; w = w->next)
		begin_telling(auth, w, verdict, a->identity, why);
	gate_attempt_free(&auth->attempts, &a);
	say_when_drained(auth);
}

static void decide(struct gate_auth *auth, struct gate_attempt *a)
{
	int64_t now = clock_mono();

	if (a->identity == NULL || !a->is_right || !a->is_enabled) {
		finish(auth, a, IPC_AUTH_BAD,
		       a->identity == NULL ? a->why
		       : !a->is_right	   ? "wrong password"
					   : "disabled");
		return;
	}
	/* Not what was read before a change that has been heard of since. */
	if (a->identity->generation >= auth->gate->generation)
		gate_cache_add(auth->cache, &a->key, now, now + auth->cache_time, a->identity);
	finish(auth, a, IPC_AUTH_OK, "");
}

static void on_verified(void *ctx, struct gate_attempt *a)
{
	metrics_time(METRIC_AUTH_VERIFY_TIMES, a->took);
	decide(ctx, a);
}

struct asking {
	struct gate_auth *auth;
	struct gate_attempt *attempt;
	enum gate_users_by by;
};

static void on_user(void *ctx, enum gate_users_found found, const struct gate_user *user,
		    const struct err *err)
{
	struct asking asking = *(struct asking *)ctx;
	struct gate_attempt *a = asking.attempt;

	free(ctx);
	if (found == GATE_USERS_UNAVAILABLE) {
		finish(asking.auth, a, IPC_AUTH_UNAVAILABLE, err->text);
		return;
	}
	memcpy(a->hash, asking.auth->nobodys_hash, sizeof(a->hash));
	if (found == GATE_USERS_KNOWN) {
		a->identity = gate_identity_new(user);
		a->is_enabled = user->is_enabled;
		/* A certificate was proved in the handshake. */
		a->is_right = user->is_right || asking.by == GATE_USERS_BY_CERTIFICATE;
		/* A hash that does not fit is none; str_copy() leaves "", which is nobody's. */
		str_copy(user->hash, a->hash, sizeof(a->hash));
	} else {
		str_copy(str_first(str_of(err->text), GATE_WHY - 1), a->why, GATE_WHY);
	}
	if (a->is_right || asking.by == GATE_USERS_BY_CERTIFICATE)
		decide(asking.auth, a);
	else
		gate_verify_start(asking.auth->verify, a);
}

/* A certificate's words, in lower case as they are stored. */
static void put_words(struct buf *out, struct str words)
{
	for (size_t i = 0; i < words.n; i++) {
		char c = words.p[i];

		buf_put_char(out, c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c);
	}
}

static void look_up(struct gate_auth *auth, struct gate_attempt *a, const struct ipc_auth *request)
{
	struct gate_users_question question = {.by = GATE_USERS_BY_NAME, .name = request->user,
					       .password = request->password};
	struct asking *asking = mem_zero(sizeof(*asking));
	struct buf words = BUF_MAX(WORDS_MAX);

	if (request->mechanism == IPC_AUTH_EXTERNAL) {
		put_words(&words, request->certificate);
		question.by = GATE_USERS_BY_CERTIFICATE;
		question.certificate = buf_str(&words);
	}
	*asking = (struct asking){auth, a, question.by};
	gate_users_find(auth->gate->users, &question, on_user, asking);
	buf_clear(&words);
}

static void refuse_for_now(struct gate_peer *peer, uint64_t id, const struct ipc_auth *request, const char *why)
{
	log_warn(NULL, "gate.auth.overload", log_str("session", request->session), log_str("client", request->client),
		 log_text("why", why));
	answer(peer, id, IPC_AUTH_UNAVAILABLE, NULL);
}

static void begin(struct gate_peer *peer, uint64_t id, const struct ipc_auth *request,
		  const struct gate_cache_key *key)
{
	struct gate_auth *auth = peer->gate->auth;
	struct gate_address address = gate_address(peer->gate, request->client);
	struct gate_attempt *a;

	if (!address.is_allowed && gate_attempt_count(&auth->attempts, address.key) >= ATTEMPTS_AN_ADDRESS) {
		refuse_for_now(peer, id, request, "too many logins under way from this address");
		return;
	}
	a = gate_attempt_new(&auth->attempts, key, request, address.key);
	if (a == NULL) {
		refuse_for_now(peer, id, request, "too many logins under way");
		return;
	}
	gate_attempt_wait(a, peer, id, request);
	look_up(auth, a, request);
}

static void answer_from_cache(struct gate_peer *peer, uint64_t id, const struct ipc_auth *request,
			      struct gate_identity *identity)
{
	struct gate_waiter w = {.peer = peer, .id = id};

	metrics_add(METRIC_AUTH_CACHE_HITS, 1);
	str_copy(request->session, w.session, sizeof(w.session));
	str_copy(request->client, w.client, sizeof(w.client));
	begin_telling(peer->gate->auth, &w, IPC_AUTH_OK, identity, "");
}

static void take(struct gate_peer *peer, uint64_t id, const struct ipc_auth *request)
{
	struct gate_auth *auth = peer->gate->auth;
	struct gate_cache_key key = gate_cache_key(auth->cache, request);
	struct gate_identity *known = gate_cache_find(auth->cache, &key, clock_mono());
	struct gate_attempt *under_way;

	if (known != NULL) {
		answer_from_cache(peer, id, request, known);
		return;
	}
	under_way = gate_attempt_find(&auth->attempts, &key);
	if (under_way != NULL)
		gate_attempt_wait(under_way, peer, id, request);
	else
		begin(peer, id, request, &key);
}

bool gate_auth_ask(struct gate_peer *peer, struct ipc_frame *frame)
{
	struct ipc_auth request;

	if (!ipc_get_auth(&frame->body, &request))
		return false;
	take(peer, frame->id, &request);
	/* The password must not stay in the buffer that the next frame is read into. */
	if (request.password.n > 0)
		mem_wipe((void *)(uintptr_t)request.password.p, request.password.n);
	return true;
}

/* ---- life ---- */

void gate_auth_forget_peer(struct gate_auth *auth, const struct gate_peer *peer)
{
	gate_attempt_forget(&auth->attempts, peer);
}

void gate_auth_forget(struct gate_auth *auth)
{
	gate_cache_drop(auth->cache);
}

static void make_nobodys_hash(char *hash)
{
	char password[32];
	struct err err;

	random_fill(password, sizeof(password));
	for (unsigned i = 0; i < sizeof(password); i++)
		password[i] = (char)('a' + (unsigned char)password[i] % 26);
	if (!password_hash(str_bytes(password, sizeof(password)), hash, &err))
		die("%s", err.text);
	mem_wipe(password, sizeof(password));
}

struct gate_auth *gate_auth_new(struct gate *gate)
{
	unsigned threads = (unsigned)gate->settings->gate.verify_threads;
	struct gate_auth *auth = mem_zero(sizeof(*auth));

	auth->gate = gate;
	auth->cache_time = gate->settings->gate.cache_time;
	auth->cache = gate_cache_new(CACHE_MOST);
	auth->attempts.most = threads * ATTEMPTS_A_THREAD;
	make_nobodys_hash(auth->nobodys_hash);
	auth->verify = gate_verify_new(gate->loop, threads, on_verified, auth);
	return auth;
}

void gate_auth_free(struct gate_auth **auth)
{
	struct gate_auth *a = *auth;

	if (a == NULL)
		return;
	gate_verify_free(&a->verify);
	while (a->attempts.first != NULL) {
		struct gate_attempt *first = a->attempts.first;

		gate_attempt_free(&a->attempts, &first);
	}
	gate_cache_free(&a->cache);
	mem_free(auth);
}

void gate_auth_use_settings(struct gate_auth *auth)
{
	int64_t cache_time = auth->gate->settings->gate.cache_time;

	if (cache_time != auth->cache_time)
		gate_cache_drop(auth->cache);
	auth->cache_time = cache_time;
}

void gate_auth_drain(struct gate_auth *auth, loop_fn *fn, void *ctx)
{
	auth->on_drained = fn;
	auth->drained_ctx = ctx;
	say_when_drained(auth);
}
