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
	RESULT_MAX = 16384, /* as IPC(AUTH_RESULT) */
	WORDS_MAX = 16384,
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
		result.user_name = str_of(identity->user_name);
		result.senders = str_of(identity->senders);
		result.mode = identity->mode;
	}
	ipc_put_auth_result(&body, &result);
	ipc_send(peer, IPC_AUTH_RESULT, id, buf_str(&body), -1);
	buf_clear(&body);
}

/* One line a session. */
static void log_verdict(const struct gate_waiter *w, const char *user, enum ipc_auth_verdict verdict,
			const struct gate_identity *identity, const char *why)
{
	const struct log_context ctx = {.session = w->session,
					.tenant = identity != NULL ? identity->tenant_name : NULL};

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

/* Tells one who asked. Even with the right password an address may be the wrong one: it is told no more than with
 * the wrong password. */
static void tell(struct gate_waiter *w, enum ipc_auth_verdict verdict, const struct gate_identity *identity,
		 const char *why)
{
	/* A name that is nobody's may be a password in the wrong field: not for the log. */
	const char *user = identity != NULL ? identity->user_name : "(not a known user)";

	if (verdict == IPC_AUTH_OK && !gate_identity_may_come_from(identity, str_of(w->client))) {
		verdict = IPC_AUTH_BAD;
		why = "not from its networks";
	}
	log_verdict(w, user, verdict, identity, why);
	if (w->peer != NULL)
		answer(w->peer, w->id, verdict, identity);
}

/* Answers all who wait for the attempt, and ends it. */
static void finish(struct gate_auth *auth, struct gate_attempt *a, enum ipc_auth_verdict verdict, const char *why)
{
	for (struct gate_waiter *w = a->first; w != NULL; w = w->next)
		tell(w, verdict, a->identity, why);
	gate_attempt_free(&auth->attempts, &a);
	if (auth->attempts.n == 0 && auth->on_drained != NULL)
		auth->on_drained(auth->drained_ctx);
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
	if (a->identity->generation >= auth->generation)
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
	gate_users_find(auth->users, &question, on_user, asking);
	buf_clear(&words);
}

static void begin(struct gate_auth *auth, struct ipc_peer *peer, uint64_t id,
		  const struct ipc_auth *request, const struct gate_cache_key *key)
{
	struct gate_attempt *a = gate_attempt_new(&auth->attempts, key, request);

	if (a == NULL) {
		log_warn(NULL, "gate.auth.overload", log_str("session", request->session),
			 log_str("client", request->client),
			 log_uint("under_way", auth->attempts.n));
		answer(peer, id, IPC_AUTH_UNAVAILABLE, NULL);
		return;
	}
	gate_attempt_wait(a, peer, id, request);
	look_up(auth, a, request);
}

static void answer_from_cache(struct ipc_peer *peer, uint64_t id, const struct ipc_auth *request,
			      const struct gate_identity *identity)
{
	struct gate_waiter w = {.peer = peer, .id = id};

	metrics_add(METRIC_AUTH_CACHE_HITS, 1);
	str_copy(request->session, w.session, sizeof(w.session));
	str_copy(request->client, w.client, sizeof(w.client));
	tell(&w, IPC_AUTH_OK, identity, "");
}

static void take(struct gate_auth *auth, struct ipc_peer *peer, uint64_t id, const struct ipc_auth *request)
{
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
		begin(auth, peer, id, request, &key);
}

/* Everybody may come in and send: nothing is counted yet. */
static bool take_limit(struct ipc_peer *ipc, struct ipc_frame *frame)
{
	enum ipc_type answer = frame->type == IPC_CONNECT ? IPC_CONNECT_RESULT : IPC_MAY_SEND_RESULT;
	struct ipc_connect who = {0};
	char space[1];
	struct buf body = {.p = space, .size = sizeof(space), .max = sizeof(space)};

	if (frame->type == IPC_CONNECT && !ipc_get_connect(&frame->body, &who))
		return false;
	if (!who.is_inside && (frame->type == IPC_CONNECT || frame->type == IPC_MAY_SEND)) {
		ipc_put_verdict(&body, 0);
		ipc_send(ipc, answer, frame->id, buf_str(&body), -1);
	}
	return true;
}

static bool on_frame(void *ctx, struct ipc_peer *ipc, struct ipc_frame *frame)
{
	struct peer *peer = ctx;
	struct ipc_auth request;

	if (frame->type == IPC_CONNECT || frame->type == IPC_DISCONNECT || frame->type == IPC_MAY_SEND ||
	    frame->type == IPC_NOT_SENT)
		return take_limit(ipc, frame);
	if (frame->type != IPC_AUTH || !ipc_get_auth(&frame->body, &request))
		return false;
	take(peer->auth, ipc, frame->id, &request);
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

struct gate_auth *gate_auth_new(struct loop *loop, const struct gate_users_options *options)
{
	unsigned threads = (unsigned)options->settings->gate.verify_threads;
	struct gate_auth *auth = mem_zero(sizeof(*auth));
	struct gate_users_options users = *options;

	users.changed = on_changed;
	users.ctx = auth;
	auth->loop = loop;
	auth->cache_time = options->settings->gate.cache_time;
	auth->cache = gate_cache_new(CACHE_MOST);
	auth->attempts.most = threads * ATTEMPTS_A_THREAD;
	make_nobodys_hash(auth->nobodys_hash);
	auth->verify = gate_verify_new(loop, threads, on_verified, auth);
	auth->users = gate_users_new(loop, &users);
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

void gate_auth_use_settings(struct gate_auth *auth, const struct settings *settings)
{
	if (settings->gate.cache_time != auth->cache_time)
		gate_cache_drop(auth->cache);
	auth->cache_time = settings->gate.cache_time;
	gate_users_use_settings(auth->users, settings);
}

void gate_auth_drain(struct gate_auth *auth, loop_fn *fn, void *ctx)
{
	auth->on_drained = fn;
	auth->drained_ctx = ctx;
	if (auth->attempts.n == 0)
		fn(ctx);
}
