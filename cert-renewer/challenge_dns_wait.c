/* SPDX-License-Identifier: Apache-2.0
 *
 * The servers are asked again and again, each by itself, until it has shown the record once.
 */
#include "cert-renewer/challenge_dns_wait.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/settings/settings_hosts.h"

#define ASK_EVERY (2 * CLOCK_SECOND)
#define ASK_AT_LEAST (5 * CLOCK_SECOND) /* a shorter acme.dns_wait would end before a server can have answered */

struct server {
	struct challenge_dns_wait *wait;
	struct settings_host host;
	struct dns_name name; /* asked for: the record's, or where its CNAMEs lead */
	unsigned hops;
	struct dns_client_call *call; /* NULL: none is under way */
	bool has_it;
	struct err why; /* not */
};

struct challenge_dns_wait {
	struct loop *loop;
	struct dns_client *client;
	struct server server[SETTINGS_HOSTS_MAX];
	unsigned n, n_left; /* the latter have not shown it */
	struct dns_name name;
	char *record, *value;
	int64_t most;
	bool ok;
	struct err why;
	struct loop_timer *round, *end;
	challenge_fn *fn;
	void *ctx;
};

/* By the timer: also what is known at once is told later. */
static void finish(struct challenge_dns_wait *w, bool ok, int64_t in)
{
	loop_timer_stop(w->round);
	for (unsigned i = 0; i < w->n; i++)
		dns_client_cancel(&w->server[i].call);
	w->ok = ok;
	w->n = 0;
	loop_timer_set(w->end, in);
}

static bool shows_it(const struct challenge_dns_wait *w, const struct dns_message *message, bool *has_others)
{
	struct dns_message_record r = {0};

	*has_others = false;
	while (dns_message_next(message, &r)) {
		if (r.section != DNS_ANSWER || r.class != DNS_CLASS_IN || r.type != DNS_TXT)
			continue;
		if (dns_message_text_is(&r, str_of(w->value)))
			return true;
		*has_others = true;
	}
	return false;
}

static void on_answer(void *ctx, const struct dns_client_answer *answer);

static void ask(struct server *s)
{
	const struct dns_message_question question = {.opcode = DNS_QUERY, .type = DNS_TXT, .name = s->name};

	s->call = dns_client_start(
		s->wait->client,
		&(struct dns_client_request){.host = s->host.name, .port = s->host.port, .question = &question}, on_answer, s);
}

static void on_answer(void *ctx, const struct dns_client_answer *answer)
{
	struct server *s = ctx;
	struct challenge_dns_wait *w = s->wait;
	bool has_others = false;

	s->call = NULL;
	s->has_it = answer->message != NULL && shows_it(w, answer->message, &has_others);
	if (s->has_it) {
		log_debug(NULL, "challenge.dns.shown", log_text("record", w->record), log_text("server", s->host.name));
		if (--w->n_left == 0)
			finish(w, true, 0);
		return;
	}
	/* It tells where else to look, and does not itself (RFC 1034, 4.3.1). */
	if (answer->message != NULL && !has_others && dns_message_follow(answer->message, &s->name, &s->hops)) {
		ask(s);
		return;
	}
	if (answer->message == NULL)
		err_set(&s->why, "%s", answer->why);
	else if (has_others)
		err_set(&s->why, "it has other values");
	else if (answer->rcode == DNS_NOERROR || answer->rcode == DNS_NXDOMAIN)
		err_set(&s->why, "it has no such record");
	else
		err_set(&s->why, "it answers with %s (%u)", dns_message_rcode(answer->rcode), answer->rcode);
}

static void on_round(void *ctx)
{
	struct challenge_dns_wait *w = ctx;

	for (unsigned i = 0; i < w->n; i++) {
		struct server *s = &w->server[i];

		if (s->has_it || s->call != NULL)
			continue;
		s->name = w->name;
		s->hops = 0;
		ask(s);
	}
	loop_timer_set(w->round, ASK_EVERY);
}

static void name_who_is_late(struct challenge_dns_wait *w)
{
	for (unsigned i = 0; i < w->n; i++) {
		const struct server *s = &w->server[i];

		if (s->has_it)
			continue;
		err_set(&w->why, "acme.dns_check: after %lld s the name server %s port %u does not show the TXT record %s: %s",
			(long long)(w->most / CLOCK_SECOND), s->host.name, s->host.port, w->record,
			s->why.text[0] != '\0' ? s->why.text : "it has not answered yet");
		return;
	}
}

static void on_end(void *ctx)
{
	struct challenge_dns_wait *w = ctx;

	if (w->n > 0) {
		name_who_is_late(w);
		finish(w, false, 0);
		return;
	}
	w->fn(w->ctx, w->ok, w->why.text);
}

static bool read_servers(struct challenge_dns_wait *w, struct str list)
{
	struct settings_host hosts[SETTINGS_HOSTS_MAX];

	w->n = settings_hosts_read_words(list, DNS_CLIENT_PORT, hosts, &w->why);
	for (unsigned i = 0; i < w->n; i++) {
		w->server[i].wait = w;
		w->server[i].host = hosts[i];
	}
	return w->why.text[0] == '\0';
}

struct challenge_dns_wait *challenge_dns_wait_start(struct loop *loop, struct dns_client *client,
						    const struct challenge_dns_wait_for *what, challenge_fn *fn, void *ctx)
{
	struct challenge_dns_wait *w = mem_zero(sizeof(*w));

	w->loop = loop;
	w->client = client;
	w->record = mem_text(what->record);
	w->value = mem_text(what->value);
	w->most = what->most;
	w->fn = fn;
	w->ctx = ctx;
	w->round = loop_timer_new(loop, on_round, w);
	w->end = loop_timer_new(loop, on_end, w);
	if (!read_servers(w, str_of(what->servers))) {
		err_wrap(&w->why, "acme.dns_check: ");
		finish(w, false, 0);
	} else if (!dns_message_name(str_of(w->record), &w->name)) {
		err_set(&w->why, "\"%s\" cannot be a name in the DNS", w->record);
		finish(w, false, 0);
	} else if (w->n == 0) {
		finish(w, true, w->most);
	} else {
		w->n_left = w->n;
		w->most = w->most < ASK_AT_LEAST ? ASK_AT_LEAST : w->most;
		loop_timer_set(w->end, w->most);
		loop_timer_set(w->round, 0);
	}
	return w;
}

static void release(void *ctx)
{
	struct challenge_dns_wait *w = ctx;

	loop_timer_free(&w->round);
	loop_timer_free(&w->end);
	free(w->record);
	free(w->value);
	free(w);
}

void challenge_dns_wait_free(struct challenge_dns_wait **wait)
{
	struct challenge_dns_wait *w = *wait;

	*wait = NULL;
	if (w == NULL)
		return;
	finish(w, false, 0);
	loop_timer_stop(w->end);
	loop_later(w->loop, release, w);
}
