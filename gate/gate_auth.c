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
#include "gate/gate_users.h"
#include "gate/gate_verify.h"
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/random.h"
#include "lib/base/trouble.h"
#include "lib/service/metrics.h"
#include "lib/service/service.h"

enum {
	CACHE_MOST = 131072,
	/* What a thread can be behind: at 20 ms each the last one waits five seconds. */
	ATTEMPTS_A_THREAD = 256,
	RESULT_MAX = 1024,
};

struct peer {
	struct gate_auth *auth;
	struct ipc_peer *ipc;
	struct peer *next;
};

struct gate_auth {
	struct loop *loop;
	struct gate_users *users;
	struct gate_verify *verify;
	struct gate_cache *cache;
	struct gate_attempts attempts;
	struct peer *peers;
	int64_t cache_time;
	int64_t generation; /* of the last change that was heard of */
	char nobodys_hash[PASSWORD_HASH_MAX];
	loop_fn *on_drained;
	void *drained_ctx;
};

static void answer(struct ipc_peer *peer, uint64_t id, enum ipc_auth_verdict verdict,
		   const struct gate_identity *identity)
{
	struct ipc_auth_result result = {.verdict = verdict};
	struct buf body = BUF_MAX(RESULT_MAX);

	if (verdict == IPC_AUTH_OK) {
		result.tenant = identity->tenant;
		result.user = identity->user;
		result.tenant_name = str_of(identity->tenant_name);
	}
	ipc_put_auth_result(&body, &result);
	ipc_send(peer, IPC_AUTH_RESULT, id, buf_str(&body), -1);
	buf_clear(&body);
}

/* One line a session. */
static void log_verdict(const struct gate_waiter *w, const char *user,
			enum ipc_auth_verdict verdict, const char *tenant, const char *why)
{
	const struct log_context ctx = {.session = w->session, .tenant = tenant};

	switch (verdict) {
	case IPC_AUTH_OK:
		log_debug(&ctx, "gate.auth.accepted", log_text("client", w->client),
			  log_text("user", user));
		break;
	case IPC_AUTH_BAD:
		log_info(&ctx, "gate.auth.refused", log_text("client", w->client),
			 log_text("user", user), log_text("why", why));
		break;
	default:
		log_info(&ctx, "gate.auth.unavailable", log_text("client", w->client),
			 log_text("user", user), log_text("why", why));
	}
}

/* Answers all who wait for the attempt, and ends it. */
static void finish(struct gate_auth *auth, struct gate_attempt *a, enum ipc_auth_verdict verdict,
		   const char *why)
{
	/* A name that is nobody's may be a password in the wrong field: not for the log. */
	const char *user = a->is_known ? a->user : "(not a known user)";

	for (struct gate_waiter *w = a->first; w != NULL; w = w->next) {
		log_verdict(w, user, verdict, a->identity.tenant_name, why);
		if (w->peer != NULL)
			answer(w->peer, w->id, verdict, &a->identity);
	}
	gate_attempt_free(&auth->attempts, &a);
	if (auth->attempts.n == 0 && auth->on_drained != NULL)
		auth->on_drained(auth->drained_ctx);
}

static void on_verified(void *ctx, struct gate_attempt *a)
{
	struct gate_auth *auth = ctx;
	int64_t now = clock_mono();

	metrics_time(METRIC_AUTH_VERIFY_TIMES, a->took);
	if (!a->is_known || !a->is_right || !a->is_enabled) {
		finish(auth, a, IPC_AUTH_BAD,
		       !a->is_known   ? "unknown user"
		       : !a->is_right ? "wrong password"
				      : "disabled");
		return;
	}
	/* Not what was read before a change that has been heard of since. */
	if (a->generation >= auth->generation)
		gate_cache_add(auth->cache, &a->key, now, now + auth->cache_time, &a->identity);
	finish(auth, a, IPC_AUTH_OK, "");
}

struct asking {
	struct gate_auth *auth;
	struct gate_attempt *attempt;
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
	a->is_known = found == GATE_USERS_KNOWN;
	memcpy(a->hash, asking.auth->nobodys_hash, sizeof(a->hash));
	if (a->is_known) {
		a->is_enabled = user->is_enabled;
		a->identity = user->identity;
		a->generation = user->generation;
		/* A hash that does not fit is none; str_copy() leaves "", which is nobody's. */
		str_copy(user->hash, a->hash, sizeof(a->hash));
	}
	gate_verify_start(asking.auth->verify, a);
}

static void begin(struct gate_auth *auth, struct ipc_peer *peer, uint64_t id,
		  const struct ipc_auth *request, const struct gate_cache_key *key)
{
	struct gate_attempt *a = gate_attempt_new(&auth->attempts, key, request);
	struct asking *asking;

	if (a == NULL) {
		log_warn(NULL, "gate.auth.overload", log_str("session", request->session),
			 log_str("client", request->client),
			 log_uint("under_way", auth->attempts.n));
		answer(peer, id, IPC_AUTH_UNAVAILABLE, NULL);
		return;
	}
	gate_attempt_wait(a, peer, id, request);
	asking = mem_zero(sizeof(*asking));
	*asking = (struct asking){auth, a};
	gate_users_find(auth->users, request->user, on_user, asking);
}

static void decide(struct gate_auth *auth, struct ipc_peer *peer, uint64_t id,
		   const struct ipc_auth *request)
{
	struct gate_cache_key key = gate_cache_key(auth->cache, request->user, request->password);
	struct gate_identity identity;
	struct gate_attempt *under_way;

	if (gate_cache_find(auth->cache, &key, clock_mono(), &identity)) {
		metrics_add(METRIC_AUTH_CACHE_HITS, 1);
		answer(peer, id, IPC_AUTH_OK, &identity);
		return;
	}
	under_way = gate_attempt_find(&auth->attempts, &key);
	if (under_way != NULL)
		gate_attempt_wait(under_way, peer, id, request);
	else
		begin(auth, peer, id, request, &key);
}

static bool on_frame(void *ctx, struct ipc_peer *ipc, struct ipc_frame *frame)
{
	struct peer *peer = ctx;
	struct ipc_auth request;

	if (frame->type != IPC_AUTH || !ipc_get_auth(&frame->body, &request))
		return false;
	decide(peer->auth, ipc, frame->id, &request);
	/* The password must not stay in the buffer that the next frame is read into. */
	if (request.password.n > 0)
		mem_wipe((void *)(uintptr_t)request.password.p, request.password.n);
	return true;
}

static void drop_peer(struct gate_auth *auth, struct peer *peer)
{
	struct peer **at = &auth->peers;

	while (*at != peer)
		at = &(*at)->next;
	*at = peer->next;
	gate_attempt_forget(&auth->attempts, peer->ipc);
	ipc_peer_free(&peer->ipc);
	free(peer);
}

static void on_close(void *ctx, struct ipc_peer *ipc, const char *why)
{
	struct peer *peer = ctx;

	if (why != NULL)
		log_warn(NULL, "gate.peer.lost", log_uint("slot", ipc_peer_slot(ipc)),
			 log_text("why", why));
	service_peer_lost(ROLE_SMTPD, ipc_peer_slot(ipc));
	drop_peer(peer->auth, peer);
}

static const struct ipc_events events = {on_frame, on_close};

void gate_auth_add_peer(struct gate_auth *auth, unsigned slot, int fd)
{
	struct peer *peer = auth->peers;

	/* The old one is cut on the other side: nobody waits for its answers. */
	while (peer != NULL && ipc_peer_slot(peer->ipc) != slot)
		peer = peer->next;
	if (peer != NULL)
		drop_peer(auth, peer);
	peer = mem_zero(sizeof(*peer));
	peer->auth = auth;
	peer->ipc = ipc_peer_new(auth->loop, fd, ROLE_GATE, ROLE_SMTPD, slot, &events, peer);
	peer->next = auth->peers;
	auth->peers = peer;
}

static void on_changed(void *ctx, int64_t generation)
{
	struct gate_auth *auth = ctx;

	auth->generation = generation;
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

struct gate_auth *gate_auth_new(struct loop *loop, const struct pg_options *options,
				unsigned threads, int64_t cache_time)
{
	struct gate_auth *auth = mem_zero(sizeof(*auth));

	auth->loop = loop;
	auth->cache_time = cache_time;
	auth->cache = gate_cache_new(CACHE_MOST);
	auth->attempts.most = threads * ATTEMPTS_A_THREAD;
	make_nobodys_hash(auth->nobodys_hash);
	auth->verify = gate_verify_new(loop, threads, on_verified, auth);
	auth->users = gate_users_new(loop, options, on_changed, auth);
	return auth;
}

void gate_auth_free(struct gate_auth **auth)
{
	struct gate_auth *a = *auth;

	if (a == NULL)
		return;
	gate_verify_free(&a->verify);
	gate_users_free(&a->users);
	while (a->peers != NULL)
		drop_peer(a, a->peers);
	while (a->attempts.first != NULL) {
		struct gate_attempt *first = a->attempts.first;

		gate_attempt_free(&a->attempts, &first);
	}
	gate_cache_free(&a->cache);
	mem_free(auth);
}

void gate_auth_set_cache_time(struct gate_auth *auth, int64_t cache_time)
{
	if (cache_time != auth->cache_time)
		gate_cache_drop(auth->cache);
	auth->cache_time = cache_time;
}

void gate_auth_drain(struct gate_auth *auth, loop_fn *fn, void *ctx)
{
	auth->on_drained = fn;
	auth->drained_ctx = ctx;
	if (auth->attempts.n == 0)
		fn(ctx);
}
