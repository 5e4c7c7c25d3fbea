/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading routes, matching them, choosing among targets.
 */
#include "lib/queue/route.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/settings/settings_provider.h"
#include "lib/smtp/smtp_address.h"
#include "lib/smtp/smtp_header.h"

enum { VALUE_MAX = 4096 /* octets of a field that a pattern sees */ };

/* ---- reading ---- */

static bool is_key(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~' || strchr("\"'\\:,>", s.p[i]) != NULL)
			return false;
	return s.n > 0 && s.n < SETTINGS_KEY;
}

static bool add_target(struct route *route, struct str text, unsigned tier, struct err *err)
{
	struct route_target *t;
	size_t colon = str_find(text, ':');
	struct str key = str_trim(str_first(text, colon));
	uint64_t weight = 1;

	if (!is_key(key))
		return err_set(err, "\"%.*s\" is no provider's name; targets are such as sendgrid:3,ses:1 > mailgun",
			       STR_ARG(str_first(key, 64)));
	if (colon < text.n && !str_u64(str_trim(str_from(text, colon + 1)), 1, ROUTE_WEIGHT_MAX, &weight))
		return err_set(err, "%.*s: a weight is a number from 1 to %d", STR_ARG(key), ROUTE_WEIGHT_MAX);
	for (unsigned i = 0; i < route->n_targets; i++)
		if (str_eq(str_of(route->target[i].provider), key))
			return err_set(err, "%.*s is named twice", STR_ARG(key));
	if (route->n_targets == ROUTE_TARGETS)
		return err_set(err, "more than %d providers", ROUTE_TARGETS);
	t = &route->target[route->n_targets++];
	str_copy(key, t->provider, sizeof(t->provider));
	t->index = -1;
	t->weight = (uint16_t)weight;
	t->tier = (uint8_t)tier;
	return true;
}

static bool read_targets(struct route *route, struct str text, struct err *err)
{
	struct str tier, one;

	if (text.n > ROUTE_TEXT)
		return err_set(err, "the targets are longer than %d octets", ROUTE_TEXT);
	if (str_trim(text).n == 0)
		return err_set(err, "no provider is named");
	route->target = mem_array(ROUTE_TARGETS, sizeof(*route->target));
	for (unsigned n = 0; str_next(&text, '>', &tier); n++)
		while (str_next(&tier, ',', &one))
			if (!add_target(route, str_trim(one), n, err))
				return false;
	route->target = mem_grow(route->target, route->n_targets * sizeof(*route->target));
	return true;
}

/* Without what says that the domains below it are meant. */
static struct str bare_domain(struct str pattern)
{
	if (str_starts(pattern, STR("*.")))
		return str_from(pattern, 2);
	return str_from(pattern, str_starts(pattern, STR(".")) ? 1 : 0);
}

static bool check_domain(struct str pattern, const char *what, struct err *err)
{
	if (pattern.n == 0 || (pattern.n <= ROUTE_PATTERN_MAX && smtp_address_is_domain(bare_domain(pattern))))
		return true;
	return err_set(err, "%s: \"%.*s\" is no domain; allowed: example.org, or *.example.org for those below it", what,
		       STR_ARG(str_first(pattern, 64)));
}

static bool check_conditions(const struct route_conditions *when, struct err *err)
{
	struct str name = when->header_name;

	if (!check_domain(when->sender_domain, "sender", err) || !check_domain(when->recipient_domain, "recipient", err))
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] <= ' ' || name.p[i] > '~' || name.p[i] == ':')
			return err_set(err, "\"%.*s\" is no name of a header field", STR_ARG(str_first(name, 64)));
	if (name.n == 0 && when->header_pattern.n > 0)
		return err_set(err, "a pattern without the name of a header field");
	if (name.n > ROUTE_PATTERN_MAX || when->header_pattern.n > ROUTE_PATTERN_MAX)
		return err_set(err, "a header field's name and pattern have at most %d octets", ROUTE_PATTERN_MAX);
	return true;
}

static struct str keep(char **at, struct str text)
{
	struct str kept = str_bytes(*at, text.n);

	if (text.n > 0)
		memcpy(*at, text.p, text.n);
	*at += text.n;
	return kept;
}

bool route_make(struct route *route, const struct route_conditions *when, struct str targets, struct err *err)
{
	char *at;

	*route = (struct route){.when.user = when->user};
	if (!check_conditions(when, err) || !read_targets(route, targets, err)) {
		route_clear(route);
		return false;
	}
	at = route->texts = mem_array(4, ROUTE_PATTERN_MAX);
	route->when.sender_domain = keep(&at, when->sender_domain);
	route->when.recipient_domain = keep(&at, when->recipient_domain);
	route->when.header_name = keep(&at, when->header_name);
	route->when.header_pattern = keep(&at, when->header_pattern);
	return true;
}

void route_clear(struct route *route)
{
	mem_free(&route->target);
	mem_free(&route->texts);
	*route = (struct route){0};
}

void route_print(const struct route *route, struct buf *out)
{
	for (unsigned i = 0; i < route->n_targets; i++) {
		const struct route_target *t = &route->target[i];

		if (i > 0)
			buf_put_text(out, t->tier == t[-1].tier ? "," : " > ");
		buf_put_text(out, t->provider);
		if (t->weight != 1)
			buf_printf(out, ":%u", t->weight);
	}
}

void route_resolve(struct route *route, const struct settings *settings)
{
	for (unsigned i = 0; i < route->n_targets; i++) {
		route->target[i].index = -1;
		for (size_t k = 0; k < settings->n_provider; k++)
			if (strcmp(settings->provider[k].key, route->target[i].provider) == 0)
				route->target[i].index = (int16_t)k;
	}
}

/* ---- matching ---- */

static struct str domain_of(struct str address)
{
	size_t at = address.n;

	while (at > 0 && address.p[at - 1] != '@')
		at--;
	return at == 0 ? str_first(address, 0) : str_from(address, at);
}

static bool is_domain_met(struct str pattern, struct str address)
{
	struct str domain = domain_of(address), bare = bare_domain(pattern);

	if (pattern.n == 0)
		return true;
	if (bare.n == pattern.n)
		return str_ieq(domain, bare);
	return domain.n > bare.n + 1 && domain.p[domain.n - bare.n - 1] == '.' &&
	       str_ieq(str_from(domain, domain.n - bare.n), bare);
}

/* The last * takes as little as it can: so one walk is enough, and what an earlier one took need not be tried again. */
static bool is_pattern_met(struct str pattern, struct str value)
{
	size_t p = 0, v = 0, star = SIZE_MAX, taken = 0;

	while (v < value.n) {
		if (p < pattern.n && pattern.p[p] == '*') {
			star = p++;
			taken = v;
		} else if (p < pattern.n && str_ieq(str_bytes(pattern.p + p, 1), str_bytes(value.p + v, 1))) {
			p++;
			v++;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			v = ++taken;
		} else {
			return false;
		}
	}
	while (p < pattern.n && pattern.p[p] == '*')
		p++;
	return p == pattern.n;
}

/* The value without its folding. */
static struct str unfold(struct str body, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < body.n && n < VALUE_MAX; i++)
		if (body.p[i] != '\r' && body.p[i] != '\n')
			out[n++] = body.p[i];
	return str_trim(str_bytes(out, n));
}

static bool is_header_met(const struct route_conditions *when, struct str content)
{
	char value[VALUE_MAX];
	struct smtp_header_field field;

	if (when->header_name.n == 0)
		return true;
	while (smtp_header_next(&content, &field))
		if (str_ieq(field.name, when->header_name) &&
		    (when->header_pattern.n == 0 || is_pattern_met(when->header_pattern, unfold(field.body, value))))
			return true;
	return false;
}

static bool is_message_met(const struct route_conditions *when, const struct route_message *m)
{
	return (uuid_is_zero(&when->user) || uuid_eq(&when->user, &m->user)) && is_domain_met(when->sender_domain, m->mail_from) &&
	       is_header_met(when, m->content);
}

bool route_is_conditional(const struct route *routes, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const struct route_conditions *when = &routes[i].when;

		if (when->sender_domain.n + when->recipient_domain.n + when->header_name.n > 0 || !uuid_is_zero(&when->user))
			return true;
	}
	return false;
}

unsigned route_group(const struct route *routes, unsigned n, const struct route_message *m, uint16_t *group)
{
	bool is_met[ROUTE_ROUTES], is_seen[ROUTE_NONE + 1] = {false};
	unsigned different = 0;

	must(n <= ROUTE_ROUTES);
	for (unsigned i = 0; i < n; i++)
		is_met[i] = is_message_met(&routes[i].when, m);
	for (unsigned r = 0; r < m->n_recipients; r++) {
		unsigned i = 0;

		while (i < n && !(is_met[i] && is_domain_met(routes[i].when.recipient_domain, m->recipients[r])))
			i++;
		group[r] = (uint16_t)(i < n ? i : ROUTE_NONE);
		different += !is_seen[group[r]];
		is_seen[group[r]] = true;
	}
	return different;
}

/* ---- choosing ---- */

bool route_is_beyond_ascii(const struct route_message *m)
{
	bool is_ascii = str_is_ascii(m->mail_from);

	for (unsigned i = 0; i < m->n_recipients && is_ascii; i++)
		is_ascii = str_is_ascii(m->recipients[i]);
	return !is_ascii;
}

static enum route_word word_of(const struct route_target *t, const struct settings *settings, const struct route_load *load,
			       route_is_up_fn *is_up, void *ctx)
{
	const struct settings_provider_kind *kind;

	if (t->index < 0)
		return ROUTE_NO_PROVIDER;
	kind = settings_provider_kind(settings->provider[t->index].type);
	if (load->unfit >> t->index & 1)
		return ROUTE_UNFIT;
	if (load->has_utf8 && !kind->has_utf8)
		return ROUTE_UTF8;
	if (load->size > kind->size)
		return ROUTE_SIZE;
	return is_up(ctx, (unsigned)t->index) ? ROUTE_FINE : ROUTE_DOWN;
}

/* By weight, of the first tier that has any who may be taken: who is fine, or (may_be_down) also who is down. */
static int pick(const struct route *route, const enum route_word *word, bool may_be_down, uint64_t random)
{
	unsigned from = 0;

	while (from < route->n_targets) {
		unsigned to = from;
		uint64_t sum = 0, at;

		for (; to < route->n_targets && route->target[to].tier == route->target[from].tier; to++)
			if (word[to] == ROUTE_FINE || (may_be_down && word[to] == ROUTE_DOWN))
				sum += route->target[to].weight;
		at = sum == 0 ? 0 : random % sum;
		for (unsigned i = from; i < to && sum > 0; i++) {
			if (word[i] != ROUTE_FINE && !(may_be_down && word[i] == ROUTE_DOWN))
				continue;
			if (at < route->target[i].weight)
				return (int)i;
			at -= route->target[i].weight;
		}
		from = to;
	}
	return -1;
}

struct route_choice route_choose(const struct route *route, const struct settings *settings, const struct route_load *load,
				 route_is_up_fn *is_up, void *ctx, uint64_t random)
{
	struct route_choice choice = {.target = -1};

	must(route->n_targets <= ROUTE_TARGETS);
	for (unsigned i = 0; i < route->n_targets; i++)
		choice.word[i] = word_of(&route->target[i], settings, load, is_up, ctx);
	choice.first = pick(route, choice.word, true, random);
	choice.target = choice.first;
	/* Only the mail of the one that is down moves; the others of its tier keep theirs. */
	if (choice.first >= 0 && choice.word[choice.first] != ROUTE_FINE)
		choice.target = pick(route, choice.word, false, random);
	return choice;
}

const char *route_word_text(enum route_word word)
{
	static const char *const texts[ROUTE_WORDS] = {
		[ROUTE_FINE] = "can take it",
		[ROUTE_NO_PROVIDER] = "is not in the settings",
		[ROUTE_UNFIT] = "cannot carry this message",
		[ROUTE_UTF8] = "takes no addresses beyond ASCII",
		[ROUTE_SIZE] = "takes no message of this size",
		[ROUTE_DOWN] = "is down",
	};

	must(word < ROUTE_WORDS);
	return texts[word];
}
