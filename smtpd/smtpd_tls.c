/* SPDX-License-Identifier: Apache-2.0
 *
 * The worker's TLS, and what is told of it.
 */
#include "smtpd/smtpd_tls.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/net/tls_server.h"
#include "lib/service/metrics.h"

enum { ONE_MAX = 8192 /* octets that are told of a certificate, its texts as JSON */ };

static const int64_t count_every = CLOCK_SECOND;

struct smtpd_tls {
	struct smtpd_worker *worker;
	struct tls_server *next; /* being gathered */
	struct buf ticket_keys;
	int64_t ticket_made_at, ticket_lifetime; /* microseconds */
	struct loop_timer *count;		 /* runs while there are sessions on old certificates */
};

/* ---- Sessions on old certificates ---- */

static void add_old(void *ctx, const struct tls_server_shown *shown)
{
	if (!shown->is_current)
		*(size_t *)ctx += shown->sessions;
}

static void count_old(void *ctx)
{
	struct smtpd_tls *t = ctx;
	size_t old = 0;

	tls_server_each(t->worker->tls, add_old, &old);
	metrics_set(METRIC_TLS_OLD_SESSIONS, (int64_t)old);
	if (old > 0)
		loop_timer_set(t->count, count_every);
}

/* ---- From master ---- */

static void begin(struct smtpd_tls *t)
{
	bool is_1_3 = t->worker->settings->tls.min_version == TLS_MIN_1_3;

	tls_server_free(&t->next);
	t->next = tls_server_new(is_1_3 ? TLS_1_3 : TLS_1_2);
}

void smtpd_tls_take_trust(struct smtpd_tls *t, struct str pem)
{
	struct tls_server_trusted found;
	struct err err;

	begin(t);
	/* Master has tried it. Without authorities no client certificate is accepted. */
	if (!tls_server_trust(t->next, pem, str_of(t->worker->settings->tls.client_pins), &found, &err))
		log_error(NULL, "smtpd.client_trust.refused", log_text("reason", err.text));
}

static void use(struct smtpd_tls *t)
{
	struct smtpd_worker *worker = t->worker;

	tls_server_set_tickets(t->next, buf_str(&t->ticket_keys), t->ticket_lifetime / CLOCK_SECOND);
	tls_server_free(&worker->tls);
	worker->tls = t->next;
	t->next = NULL;
	worker->rules.has_certificate = true;
	count_old(t);
}

void smtpd_tls_take_identity(struct smtpd_tls *t, const struct ipc_identity *identity)
{
	struct tls_certificate seen;
	struct err err;

	if (t->next == NULL)
		begin(t);
	/* One that has ended since is served while master has no better: a client can tell, and may go on. */
	if (tls_server_add(t->next, identity->pem, identity->ocsp, 0, &seen, &err)) {
		log_info(NULL, "smtpd.certificate.loaded", log_text("subject", seen.subject),
			 log_text("names", seen.names), log_text("serial", seen.serial), log_text("key", seen.key),
			 log_int("not_after", seen.not_after));
	} else {
		metrics_add(METRIC_CERTIFICATE_FAILURES, 1);
		log_error(NULL, "smtpd.certificate.refused", log_text("reason", err.text));
	}
	if (identity->number + 1 < identity->count)
		return;
	if (tls_server_is_empty(t->next))
		tls_server_free(&t->next); /* the old ones stay */
	else
		use(t);
}

void smtpd_tls_take_tickets(struct smtpd_tls *t, const struct ipc_ticket_keys *keys)
{
	buf_clear_secret(&t->ticket_keys);
	buf_put_str(&t->ticket_keys, keys->keys);
	t->ticket_made_at = keys->made_at;
	t->ticket_lifetime = keys->lifetime;
	if (t->worker->tls != NULL)
		tls_server_set_tickets(t->worker->tls, keys->keys, keys->lifetime / CLOCK_SECOND);
}

/* ---- For sessions ---- */

const char *smtpd_tls_secured(struct tls *tls, const char *session, const char *client)
{
	const char *claims;
	struct err err;

	metrics_add(METRIC_TLS_HANDSHAKES, 1);
	if (tls_is_resumed(tls))
		metrics_add(METRIC_TLS_RESUMED, 1);
	claims = tls_client_claims(tls, &err);
	if (claims == NULL && err.text[0] != '\0')
		log_warn(&(struct log_context){.session = session}, "smtpd.client_certificate.ignored",
			 log_text("client", client), log_text("reason", err.text));
	return claims;
}

/* ---- For operators ---- */

struct telling {
	struct buf *out;
	int64_t now;
	bool is_current; /* which half is told */
};

static const char *ocsp_state(const struct tls_certificate *c, int64_t at)
{
	if (c->ocsp_until == 0)
		return "none";
	return at < c->ocsp_until ? "good" : "expired";
}

static void tell_one(void *ctx, const struct tls_server_shown *shown)
{
	struct telling *t = ctx;
	const struct tls_certificate *c = shown->certificate;

	if (shown->is_current != t->is_current || t->out->n + ONE_MAX > t->out->max)
		return;
	json_begin(t->out, NULL, '{');
	json_put_text(t->out, "subject", str_of(c->subject));
	json_put_text(t->out, "names", str_of(c->names));
	json_put_text(t->out, "serial", str_of(c->serial));
	json_put_text(t->out, "fingerprint", str_of(c->fingerprint));
	json_put_text(t->out, "key", str_of(c->key));
	json_put_int(t->out, "not_after", c->not_after);
	json_put_text(t->out, "ocsp", str_of(ocsp_state(c, t->now)));
	json_put_int(t->out, "ocsp_until", c->ocsp_until);
	json_put_bool(t->out, "fallback", shown->is_fallback);
	json_put_int(t->out, "sessions", (int64_t)shown->sessions);
	buf_put_char(t->out, '}');
}

void smtpd_tls_tell(const struct smtpd_tls *t, struct buf *json)
{
	struct telling telling = {.out = json, .now = clock_wall() / CLOCK_SECOND, .is_current = true};

	json_begin(json, NULL, '{');
	json_begin(json, "certificates", '[');
	tls_server_each(t->worker->tls, tell_one, &telling);
	buf_put_char(json, ']');
	telling.is_current = false;
	json_begin(json, "old", '[');
	tls_server_each(t->worker->tls, tell_one, &telling);
	buf_put_char(json, ']');
	json_put_int(json, "ticket_keys", (int64_t)(t->ticket_keys.n / TLS_SERVER_TICKET_KEY));
	json_put_int(json, "ticket_key_made_at", t->ticket_made_at / CLOCK_SECOND);
	buf_put_char(json, '}');
}

/* ---- The whole ---- */

struct smtpd_tls *smtpd_tls_new(struct smtpd_worker *worker)
{
	struct smtpd_tls *t = mem_zero(sizeof(*t));

	t->worker = worker;
	t->ticket_keys = BUF_MAX(TLS_SERVER_TICKET_KEYS * TLS_SERVER_TICKET_KEY);
	t->count = loop_timer_new(worker->loop, count_old, t);
	return t;
}

void smtpd_tls_free(struct smtpd_tls **tls)
{
	struct smtpd_tls *t = *tls;

	if (t == NULL)
		return;
	tls_server_free(&t->next);
	buf_clear_secret(&t->ticket_keys);
	loop_timer_free(&t->count);
	mem_free(tls);
}
