/* SPDX-License-Identifier: Apache-2.0
 *
 * A request goes out when there is a nonce for it. What failed for no reason of its own (no answer, 5xx) is tried again some times with
 * a new signature; every request here may be repeated: at worst there is an order or a challenge's answer more.
 */
#include "cert-renewer/acme_call.h"

#include <stdlib.h>
#include <string.h>

#include "cert-renewer/acme_jws.h"
#include "lib/base/clock.h"
#include "lib/base/date.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"

enum {
	BAD_NONCES_MAX = 20,
	TRIES = 3,
	STEP_MAX = 384,
};
static const int64_t timeout = 60 * CLOCK_SECOND;
static const int64_t first_pause = 1 * CLOCK_SECOND; /* then twice as long each time */
static const int64_t longest_pause = 20 * CLOCK_SECOND;

/* RFC 8555, 6.1 */
#define USER_AGENT ("User-Agent: smtp-proxy/" PACKAGE_VERSION)

struct acme_call {
	struct acme_session *session;
	enum acme_call_kind kind;
	char step[STEP_MAX];
	char *url;
	char *type;
	char *account;
	struct buf payload;
	const struct tls_key *key;
	unsigned tries, bad_nonces;
	int64_t pause;
	bool is_for_nonce;	/* what is under way only asks for one */
	bool has_brought_nonce; /* the last answer did */
	struct buf body;
	struct http_call *http;
	struct loop_timer *timer;
	acme_call_fn *fn;
	void *ctx;
};

static void send_now(struct acme_call *call);

static void call_free(struct acme_call *call)
{
	http_client_cancel(&call->http);
	loop_timer_free(&call->timer);
	free(call->url);
	free(call->type);
	free(call->account);
	buf_clear_secret(&call->payload);
	buf_clear_secret(&call->body);
	free(call);
}

void acme_call_cancel(struct acme_call **call)
{
	struct acme_call *c = *call;

	*call = NULL;
	if (c != NULL)
		call_free(c);
}

/* The call is over. It is freed first: whoever is told may end anything. */
static void end(struct acme_call *call, const struct acme_reply *reply, const struct acme_failure *failure)
{
	acme_call_fn *fn = call->fn;
	void *ctx = call->ctx;

	call_free(call);
	fn(ctx, reply, failure);
}

void acme_call_complete(const struct acme_session *session, const char *step, struct acme_failure *failure)
{
	acme_reply_add_step(failure, step);
	acme_reply_add_clock(failure, session->ahead, clock_wall());
}

static void fail(struct acme_call *call, struct acme_failure *failure)
{
	acme_call_complete(call->session, call->is_for_nonce ? "asking for a nonce" : call->step, failure);
	end(call, NULL, failure);
}

/* ---- answers ---- */

/* What the answer tells whatever it is: what time it is there, and a nonce; true: there was one. */
static bool learn(struct acme_session *session, const struct http_answer *answer)
{
	struct str nonce = http_client_header(answer, "replay-nonce");
	bool has_nonce = acme_reply_is_nonce(nonce) && session->n_nonces < ACME_CALL_NONCES;
	int64_t theirs;

	if (has_nonce)
		str_copy(nonce, session->nonces[session->n_nonces++], ACME_REPLY_NONCE);
	if (date_read_http(str_trim(http_client_header(answer, "date")), &theirs))
		session->ahead = clock_wall() / CLOCK_SECOND - theirs;
	return has_nonce;
}

static void reply_of(const struct http_answer *answer, struct acme_reply *reply)
{
	*reply = (struct acme_reply){
		.status = answer->status,
		.is_complete = answer->is_complete,
		.is_cut = answer->is_cut,
		.error = str_of(answer->error),
		.body = answer->body,
		.type = http_client_header(answer, "content-type"),
		.location = http_client_header(answer, "location"),
		.retry_after = http_client_header(answer, "retry-after"),
	};
	while (reply->n_links < ACME_REPLY_LINKS &&
	       http_client_header_at(answer, "link", reply->n_links, &reply->links[reply->n_links]))
		reply->n_links++;
}

/* Tries again after a pause, when there is a try left. */
static bool try_again(struct acme_call *call, int64_t asked)
{
	int64_t pause = asked > call->pause ? asked : call->pause;

	if (call->tries <= 1 || asked > longest_pause)
		return false;
	call->tries--;
	call->pause *= 2;
	loop_timer_set(call->timer, pause);
	return true;
}

static void on_nonce(struct acme_call *call, const struct acme_reply *reply)
{
	struct acme_failure failure;

	if (acme_reply_judge(reply, NULL, clock_wall(), &failure) && call->session->n_nonces == 0)
		acme_reply_fail(&failure, "the answer has no nonce");
	if (call->session->n_nonces > 0)
		send_now(call);
	else
		fail(call, &failure);
}

/* After one that was refused: the others that we hold may be as old. Only what came with the refusal is kept. */
static void forget_nonces(struct acme_call *call)
{
	struct acme_session *session = call->session;

	if (call->has_brought_nonce)
		memmove(session->nonces[0], session->nonces[session->n_nonces - 1], ACME_REPLY_NONCE);
	session->n_nonces = call->has_brought_nonce ? 1 : 0;
}

static void on_reply(struct acme_call *call, const struct acme_reply *reply)
{
	struct acme_failure failure;

	if (acme_reply_judge(reply, call->type, clock_wall(), &failure)) {
		end(call, reply, NULL);
	} else if (strcmp(failure.problem, "badNonce") == 0 && ++call->bad_nonces < BAD_NONCES_MAX) {
		forget_nonces(call);
		send_now(call);
	} else {
		if (strcmp(failure.problem, "badNonce") == 0)
			acme_reply_fail(&failure, "the authority accepts none of its own nonces");
		fail(call, &failure);
	}
}

static void on_answer(void *ctx, const struct http_answer *answer)
{
	struct acme_call *call = ctx;
	struct acme_failure failure;
	struct acme_reply reply;

	call->http = NULL;
	log_debug(NULL, "cert.acme.answer", log_text("step", call->is_for_nonce ? "nonce" : call->step),
		  log_text("url", call->url), log_uint("status", answer->status), log_text("error", answer->error));
	if (answer->result != HTTP_ANSWERED) {
		if (try_again(call, 0))
			return;
		acme_reply_fail(&failure, "no answer: %s", answer->error);
		fail(call, &failure);
		return;
	}
	call->has_brought_nonce = learn(call->session, answer);
	reply_of(answer, &reply);
	if (reply.status >= 500 && try_again(call, acme_reply_wait(&reply, clock_wall(), 0)))
		return;
	if (call->is_for_nonce) {
		on_nonce(call, &reply);
		return;
	}
	on_reply(call, &reply);
}

/* ---- requests ---- */

static void post(struct acme_call *call)
{
	static const char *const headers[] = {"Content-Type: application/jose+json", USER_AGENT,
					      "Accept-Language: en", "Accept: application/pem-certificate-chain, application/json"};
	struct acme_session *session = call->session;
	const struct acme_jws jws = {.key = call->key != NULL ? call->key : session->key,
				     .account = str_of(call->account),
				     .nonce = str_of(session->nonces[session->n_nonces - 1]),
				     .url = str_of(call->url),
				     .payload = buf_str(&call->payload)};
	struct http_request request = {"POST", call->url, headers, 4, {NULL, 0}, timeout, 0};

	buf_clear_secret(&call->body);
	call->body = BUF_MAX(2 * ACME_JWS_MAX);
	acme_jws_put(&call->body, &jws);
	session->n_nonces--;
	request.body = buf_str(&call->body);
	call->http = http_client_start(session->http, &request, on_answer, call);
}

static void get(struct acme_call *call, const char *url)
{
	static const char *const headers[] = {USER_AGENT, "Accept-Language: en"};
	const struct http_request request = {"GET", url, headers, 2, {NULL, 0}, timeout, 0};

	call->http = http_client_start(call->session->http, &request, on_answer, call);
}

static void send_now(struct acme_call *call)
{
	call->is_for_nonce = call->kind != ACME_CALL_GET && call->session->n_nonces == 0;
	if (call->is_for_nonce)
		get(call, call->session->directory->new_nonce);
	else if (call->kind == ACME_CALL_GET)
		get(call, call->url);
	else
		post(call);
}

static void on_pause_over(void *ctx)
{
	send_now(ctx);
}

struct acme_call *acme_call_start(struct acme_session *session, const struct acme_request *request, acme_call_fn *fn, void *ctx)
{
	struct acme_call *call = mem_zero(sizeof(*call));

	must(request->kind == ACME_CALL_GET || session->directory != NULL);
	must(request->kind != ACME_CALL_SIGNED || session->account != NULL);
	call->session = session;
	call->kind = request->kind;
	acme_json_words(str_of(request->step), call->step, sizeof(call->step));
	call->url = mem_text(request->url);
	call->type = mem_text(request->type);
	call->account = request->kind == ACME_CALL_SIGNED ? mem_text(session->account) : NULL;
	call->payload = BUF_MAX(ACME_JWS_MAX / 2);
	must(buf_put_str(&call->payload, request->payload));
	call->key = request->key;
	call->tries = request->tries > 0 ? request->tries : TRIES;
	call->pause = first_pause;
	call->fn = fn;
	call->ctx = ctx;
	call->timer = loop_timer_new(session->loop, on_pause_over, call);
	send_now(call);
	return call;
}
