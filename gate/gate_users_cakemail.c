/* SPDX-License-Identifier: Apache-2.0
 *
 * POST /token (OAuth's password grant): a token means that the password is right; it is thrown away. Asked again
 * when the network or the API failed, never when it answered.
 */
#include "gate/gate_users_cakemail.h"

#include <stdlib.h>
#include <string.h>

#include "gate/gate_users_settings.h"
#include "lib/base/clock.h"
#include "lib/base/encode.h"
#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/net/http_client.h"
#include "lib/queue/named_id.h"

enum { TRIES = 3, FORM_MAX = 16384, URL_MAX = 2048, CONNECTIONS = 64, CA_MAX = 16 << 20 };

#define CALL_TIME (5 * CLOCK_SECOND)
#define FIRST_WAIT (250 * CLOCK_MS)

/* Who may sign the API's certificate; NULL: nobody. */
static struct tls_client *trust;

struct cakemail {
	struct loop *loop;
	const struct settings *settings;
	struct http_client *http;
	gate_users_changed_fn *changed;
	void *ctx;
	int64_t generation;
	struct question *asked;
};

/* A login under way. */
struct question {
	struct question *next, *previous;
	struct cakemail *users;
	gate_users_fn *fn;
	void *ctx;
	char *name;
	struct uuid id;
	struct buf form; /* the password is in it */
	struct loop_timer *wait;
	unsigned tries;
	bool is_known, is_unknown; /* the API need not be asked */
};

static void question_free(struct question *q)
{
	if (q->next != NULL)
		q->next->previous = q->previous;
	if (q->previous != NULL)
		q->previous->next = q->next;
	else
		q->users->asked = q->next;
	loop_timer_free(&q->wait);
	buf_clear_secret(&q->form);
	free(q->name);
	free(q);
}

static void finish(struct question *q, enum gate_users_found found, const char *why)
{
	const struct cakemail *users = q->users;
	const char *tenant = users->settings->gate.cakemail_tenant;
	struct gate_user user = {
		.tenant = named_id("tenant", str_of(tenant)),
		.user = q->id,
		.tenant_name = str_of(tenant),
		.user_name = str_of(q->name),
		.mode = gate_users_settings_mode(users->settings, tenant),
		.is_right = true,
		.is_enabled = true,
		.generation = users->generation,
	};
	struct err err;

	err_set(&err, "%s", why);
	q->fn(q->ctx, found, found == GATE_USERS_KNOWN ? &user : NULL, &err);
	question_free(q);
}

static bool has_text(struct str body, struct str text)
{
	for (; body.n >= text.n; body = str_from(body, 1))
		if (str_starts(body, text))
			return true;
	return false;
}

/* Network and server troubles pass. */
static void ask_later(struct question *q, const char *why)
{
	if (q->tries >= TRIES) {
		finish(q, GATE_USERS_UNAVAILABLE, why);
		return;
	}
	loop_timer_set(q->wait, FIRST_WAIT << (q->tries - 1));
}

static void judge(struct question *q, const struct http_answer *a)
{
	struct err why;

	if (a->result != HTTP_ANSWERED || a->status >= 500) {
		err_set(&why, "Cakemail: %s (status %u)", a->error, a->status);
		ask_later(q, why.text);
	} else if (a->status == 200 && has_text(a->body, STR("\"access_token\"")) &&
		   !has_text(a->body, STR("\"challenge\""))) {
		finish(q, GATE_USERS_KNOWN, "");
	} else if (has_text(a->body, STR("\"challenge\""))) {
		finish(q, GATE_USERS_UNKNOWN, "Cakemail wants a second factor of this user");
	} else if (a->status == 400 || a->status == 401 || a->status == 403 || a->status == 422) {
		finish(q, GATE_USERS_UNKNOWN, "Cakemail does not know this user and password");
	} else {
		err_set(&why, "Cakemail: status %u", a->status);
		finish(q, GATE_USERS_UNAVAILABLE, why.text);
	}
}

static void on_answer(void *ctx, const struct http_answer *a)
{
	struct str body = a->body;

	judge(ctx, a);
	if (body.n > 0)
		mem_wipe((void *)(uintptr_t)body.p, body.n); /* the token */
}

static void ask(struct question *q)
{
	static const char *const headers[] = {"Content-Type: application/x-www-form-urlencoded",
					      "Accept: application/json"};
	struct buf url = BUF_MAX(URL_MAX);
	struct str base = str_of(q->users->settings->gate.cakemail_endpoint);
	char *text;

	while (base.n > 0 && base.p[base.n - 1] == '/')
		base.n--;
	buf_put_str(&url, base);
	buf_put_text(&url, "/token");
	text = buf_take_text(&url);
	q->tries++;
	http_client_start(q->users->http,
			  &(struct http_request){
				  .method = "POST",
				  .url = text,
				  .headers = headers,
				  .n_headers = sizeof(headers) / sizeof(headers[0]),
				  .body = buf_str(&q->form),
				  .timeout = CALL_TIME,
			  },
			  on_answer, q);
	free(text);
}

static void on_wait(void *ctx)
{
	struct question *q = ctx;

	if (q->is_known)
		finish(q, GATE_USERS_KNOWN, "");
	else if (q->is_unknown)
		finish(q, GATE_USERS_UNKNOWN, "not a user of Cakemail's with a password");
	else
		ask(q);
}

static struct question *question_new(struct cakemail *users, gate_users_fn *fn, void *ctx, struct str name)
{
	struct question *q = mem_zero(sizeof(*q));

	q->users = users;
	q->fn = fn;
	q->ctx = ctx;
	q->name = str_dup(name);
	q->form = BUF_MAX(FORM_MAX);
	q->id = named_id("user", name);
	q->wait = loop_timer_new(users->loop, on_wait, q);
	q->next = users->asked;
	if (q->next != NULL)
		q->next->previous = q;
	users->asked = q;
	return q;
}

static void find_others(struct question *q, const struct gate_users_question *question)
{
	struct uuid tenant = named_id("tenant", str_of(q->users->settings->gate.cakemail_tenant));

	/* Somebody of the tenant who is in: there is no more to know of them. */
	q->is_known = question->by == GATE_USERS_BY_ID && uuid_eq(&tenant, &question->tenant);
	q->is_unknown = !q->is_known;
	q->id = question->user;
	loop_timer_set(q->wait, 0);
}

static void find(void *source, const struct gate_users_question *question, gate_users_fn *fn, void *ctx)
{
	struct cakemail *users = source;
	struct question *q;

	q = question_new(users, fn, ctx, question->by == GATE_USERS_BY_NAME ? question->name : STR(""));
	if (question->by != GATE_USERS_BY_NAME) {
		find_others(q, question);
		return;
	}
	/* Room for all of it: what grows leaves copies behind. */
	buf_room(&q->form, 64 + 3 * (question->name.n + question->password.n));
	buf_put_text(&q->form, "grant_type=password&username=");
	encode_percent(&q->form, question->name, "");
	buf_put_text(&q->form, "&password=");
	encode_percent(&q->form, question->password, "");
	q->is_unknown = q->form.is_full || str_find(question->name, '\0') < question->name.n;
	if (q->is_unknown)
		loop_timer_set(q->wait, 0);
	else
		ask(q);
}

void gate_users_cakemail_prepare(const struct settings *settings)
{
	struct buf pem = BUF_MAX(CA_MAX);
	struct err err;

	if (fd_read_file(settings->gate.ca_file, &pem, &err) &&
	    (pem.n > 0 || err_set(&err, "%s is empty", settings->gate.ca_file)))
		trust = tls_client_new(buf_str(&pem), false, TLS_1_2, &err);
	if (trust == NULL)
		log_error(NULL, "gate.cakemail.ca_missing", log_text("reason", err.text));
	buf_clear(&pem);
	http_client_prepare();
}

static void use_settings(void *source, const struct settings *settings)
{
	struct cakemail *users = source;

	users->settings = settings;
	users->changed(users->ctx, ++users->generation);
}

static void *open_cakemail(struct loop *loop, const struct gate_users_options *options)
{
	struct cakemail *users = mem_zero(sizeof(*users));
	const struct http_client_config http = {
		.trust = trust,
		.connect_timeout = CALL_TIME,
		.max_connections = CONNECTIONS,
	};

	users->loop = loop;
	users->settings = options->settings;
	users->changed = options->changed;
	users->ctx = options->ctx;
	users->generation = 1;
	users->http = http_client_new(loop, &http);
	return users;
}

static void close_cakemail(void *source)
{
	struct cakemail *users = source;

	http_client_free(&users->http);
	while (users->asked != NULL)
		question_free(users->asked);
	free(users);
}

const struct gate_users_source gate_users_cakemail = {
	.open = open_cakemail,
	.close = close_cakemail,
	.find = find,
	.use_settings = use_settings,
};
