/* SPDX-License-Identifier: Apache-2.0
 *
 * The ways of showing that a name is ours, and who waits for which.
 */
#include "cert-renewer/challenge.h"

#include <stdlib.h>

#include "cert-renewer/cert_share.h"
#include "cert-renewer/challenge_alpn.h"
#include "cert-renewer/challenge_dns.h"
#include "cert-renewer/challenge_http.h"
#include "cert-renewer/challenge_webroot.h"
#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/service/service.h"
#include "lib/settings/settings_certificate.h"

#define SHARED_FOR (3600 * CLOCK_SECOND)

struct presented {
	struct presented *next;
	struct challenges *challenges;
	int kind;
	char *name, *token;
	uint64_t sharing; /* the question that puts the answer where all hosts see it; 0: none */
	struct loop_timer *soon; /* calls fn */
	bool ok, is_told;
	struct err why;
	challenge_fn *fn;
	void *ctx;
};

struct challenges {
	struct loop *loop;
	struct cert_share *share;
	struct challenge_http *http;
	struct challenge_alpn *alpn;
	struct challenge_dns *dns;
	struct presented *presented;
	int webroot;
	bool has_webroot; /* it is wished for */
};

static void release(void *ctx)
{
	struct presented *p = ctx;

	loop_timer_free(&p->soon);
	free(p->name);
	free(p->token);
	free(p);
}

static void on_soon(void *ctx)
{
	struct presented *p = ctx;

	p->is_told = true;
	p->fn(p->ctx, p->ok, p->why.text);
}

/* Whoever presented it hears of it in the next turn. */
static void settle(struct presented *p, bool ok)
{
	p->ok = ok;
	loop_timer_set(p->soon, 0);
}

/* ---- what the hosts share: the authority may come to any of them ---- */

static void share_name(const struct challenge *challenge, struct buf *name)
{
	if (challenge->kind == CHALLENGE_HTTP_01)
		challenge_http_share_name(challenge->token, name);
	else
		challenge_alpn_share_name(challenge->name, name);
}

/* It is answered here in any case; that the others cannot do it matters where it asks them. */
static void on_shared(void *ctx, enum ipc_share_verdict verdict, struct str value)
{
	struct presented *p = ctx;

	(void)value;
	p->sharing = 0;
	if (verdict != IPC_SHARE_YES && verdict != IPC_SHARE_ALONE)
		log_warn(NULL, "challenge.not_shared", log_text("name", p->name), log_text("token", p->token));
	settle(p, true);
}

static void share(struct presented *p, const struct challenge *challenge)
{
	struct buf name = BUF_MAX(IPC_SHARE_NAME);

	if (p->challenges->share == NULL) {
		settle(p, true);
		return;
	}
	share_name(challenge, &name);
	p->sharing = cert_share_ask(p->challenges->share,
				    &(struct ipc_share){.act = IPC_SHARE_PUT,
							.name = buf_str(&name),
							.value = challenge->key_authorization,
							.lifetime = SHARED_FOR},
				    on_shared, p);
	buf_clear(&name);
}

static void unshare(struct challenges *c, const struct challenge *challenge)
{
	struct buf name = BUF_MAX(IPC_SHARE_NAME);

	if (c->share == NULL)
		return;
	share_name(challenge, &name);
	cert_share_ask(c->share, &(struct ipc_share){.act = IPC_SHARE_DELETE, .name = buf_str(&name)}, NULL, NULL);
	buf_clear(&name);
}

/* ---- http-01 ---- */

static void present_http(struct presented *p, const struct challenge *challenge)
{
	struct challenges *c = p->challenges;

	if (c->webroot >= 0) {
		settle(p, challenge_webroot_put(c->webroot, challenge->token, challenge->key_authorization, &p->why));
		return;
	}
	if (!challenge_http_is_listening(c->http)) {
		err_set(&p->why, "http-01: %s", c->has_webroot ? "acme.webroot could not be opened at the start; the log says why "
								  "(cert.directory.not_opened)"
							       : "nothing listens on this host's acme.http_port; smtp-proxyctl "
								 "status says why");
		settle(p, false);
		return;
	}
	challenge_http_put(c->http, challenge->token, challenge->key_authorization);
	share(p, challenge);
}

/* For whoever has to remove it by hand. */
static void say_left_in_webroot(struct str name, struct str token, const char *why)
{
	log_warn(NULL, "challenge.webroot.left", log_str("name", name), log_str("token", token), log_text("reason", why));
}

static void withdraw_http(struct presented *p, const struct challenge *challenge, bool is_last)
{
	struct challenges *c = p->challenges;
	struct err err;

	if (c->webroot < 0) {
		challenge_http_remove(c->http, challenge->token);
		if (is_last)
			unshare(c, challenge);
	} else if (is_last && !challenge_webroot_remove(c->webroot, challenge->token, &err)) {
		say_left_in_webroot(challenge->name, challenge->token, err.text);
	}
}

/* ---- tls-alpn-01 ---- */

static void present_alpn(struct presented *p, const struct challenge *challenge)
{
	struct challenges *c = p->challenges;

	if (!challenge_alpn_is_listening(c->alpn)) {
		err_set(&p->why, "tls-alpn-01: nothing listens on this host's acme.alpn_port; smtp-proxyctl status says why");
		settle(p, false);
	} else if (!challenge_alpn_put(c->alpn, challenge, &p->why)) {
		settle(p, false);
	} else {
		share(p, challenge);
	}
}

static void withdraw_alpn(struct presented *p, const struct challenge *challenge, bool is_last)
{
	challenge_alpn_remove(p->challenges->alpn, challenge);
	if (is_last)
		unshare(p->challenges, challenge);
}

/* ---- dns-01 ---- */

static void on_dns(void *ctx, bool ok, const char *why)
{
	struct presented *p = ctx;

	err_set(&p->why, "%s", why);
	settle(p, ok);
}

static void present_dns(struct presented *p, const struct challenge *challenge)
{
	challenge_dns_present(p->challenges->dns, challenge, on_dns, p);
}

static void withdraw_dns(struct presented *p, const struct challenge *challenge, bool is_last)
{
	(void)challenge, (void)is_last;
	challenge_dns_withdraw(p->challenges->dns, p);
}

/* ---- all of them ---- */

static const struct {
	void (*present)(struct presented *p, const struct challenge *challenge);
	/* is_last: nobody else has presented the same. */
	void (*withdraw)(struct presented *p, const struct challenge *challenge, bool is_last);
} ways[] = {
	[CHALLENGE_HTTP_01] = {present_http, withdraw_http},
	[CHALLENGE_TLS_ALPN_01] = {present_alpn, withdraw_alpn},
	[CHALLENGE_DNS_01] = {present_dns, withdraw_dns},
};

void challenge_present(struct challenges *challenges, const struct challenge *challenge, challenge_fn *fn, void *ctx)
{
	struct presented *p = mem_zero(sizeof(*p));

	p->next = challenges->presented;
	challenges->presented = p;
	p->challenges = challenges;
	p->kind = challenge->kind;
	p->name = str_dup(challenge->name);
	p->token = str_dup(challenge->token);
	p->soon = loop_timer_new(challenges->loop, on_soon, p);
	p->fn = fn;
	p->ctx = ctx;
	ways[p->kind].present(p, challenge);
}

static bool is_of(const struct presented *p, const struct challenge *challenge)
{
	return p->kind == challenge->kind && str_eq(str_of(p->name), challenge->name) && str_eq(str_of(p->token), challenge->token);
}

static struct presented **find(struct challenges *challenges, const struct challenge *challenge, bool is_told)
{
	struct presented **at = &challenges->presented;

	while (*at != NULL && !(is_of(*at, challenge) && (*at)->is_told >= is_told))
		at = &(*at)->next;
	return at;
}

/* Two orders may be given one authorization, thus one token: whoever waits still is not who withdraws. */
void challenge_withdraw(struct challenges *challenges, const struct challenge *challenge)
{
	struct presented **at = find(challenges, challenge, true), *p;

	if (*at == NULL)
		at = find(challenges, challenge, false);
	p = *at;
	if (p == NULL)
		return;
	*at = p->next;
	if (p->sharing != 0)
		cert_share_forget(challenges->share, p->sharing);
	loop_timer_stop(p->soon);
	ways[p->kind].withdraw(p, challenge, *find(challenges, challenge, false) == NULL);
	loop_later(challenges->loop, release, p);
}

struct challenges *challenges_new(const struct challenges_config *config)
{
	struct challenges *c = mem_zero(sizeof(*c));

	c->loop = config->loop;
	c->share = config->share;
	c->webroot = config->webroot;
	c->has_webroot = config->settings->acme.webroot[0] != '\0';
	c->http = challenge_http_new(config->loop, config->share);
	c->alpn = challenge_alpn_new(config->loop, config->share);
	c->dns = challenge_dns_new(config->loop, config->settings);
	return c;
}

void challenges_use_settings(struct challenges *challenges, const struct settings *settings)
{
	challenge_dns_use_settings(challenges->dns, settings);
	/* master closes its own. */
	if (!settings_certificate_wants_port(settings, CHALLENGE_HTTP_01))
		challenge_http_listen(challenges->http, -1);
	if (!settings_certificate_wants_port(settings, CHALLENGE_TLS_ALPN_01))
		challenge_alpn_listen(challenges->alpn, -1);
}

bool challenges_listen(struct challenges *challenges, uint32_t which, int fd)
{
	if (which == SERVICE_LISTENER_HTTP_01)
		challenge_http_listen(challenges->http, fd);
	else if (which == SERVICE_LISTENER_TLS_ALPN_01)
		challenge_alpn_listen(challenges->alpn, fd);
	else
		return false;
	return true;
}

bool challenges_are_idle(const struct challenges *challenges)
{
	return challenges->presented == NULL && challenge_dns_is_idle(challenges->dns);
}

void challenges_say_left(const struct challenges *challenges)
{
	for (const struct presented *p = challenges->presented; p != NULL; p = p->next)
		if (p->kind == CHALLENGE_HTTP_01 && challenges->webroot >= 0)
			say_left_in_webroot(str_of(p->name), str_of(p->token), "there was no time left to take it away");
	challenge_dns_say_left(challenges->dns);
}

void challenges_free(struct challenges **challenges)
{
	struct challenges *c = *challenges;

	if (c == NULL)
		return;
	while (c->presented != NULL) {
		struct presented *p = c->presented;

		c->presented = p->next;
		if (p->sharing != 0)
			cert_share_forget(c->share, p->sharing);
		release(p);
	}
	challenge_http_free(&c->http);
	challenge_alpn_free(&c->alpn);
	challenge_dns_free(&c->dns);
	mem_free(challenges);
}
