/* SPDX-License-Identifier: Apache-2.0
 *
 * One pass over the tokens of a list of addresses: `words` is what may be a local part until an @ follows. Pure.
 */
#include "lib/smtp/smtp_mailbox.h"

#include <string.h>

#include "lib/smtp/smtp_header.h"

enum { WORD_MAX = 512 };

struct word {
	char p[WORD_MAX];
	size_t n;
	bool is_long;
};

enum token { END, WORD, QUOTED, LITERAL, SPECIAL, BAD };

struct list {
	struct str rest;
	struct buf *out;
	struct word word;  /* the token: a word, a quoted string without its quotes, a literal with its brackets */
	char special;
	struct word local; /* words with dots between them, up to the token before */
	bool is_joined;	   /* a dot came last: the next word belongs to `local` */
	bool has_words;	   /* others stand before `local` */
	bool has_address;  /* in this entry, or within < and > */
	bool has_enclosed; /* in this entry: what is quoted may be an address */
	bool is_angle, is_odd;
};

static void add(struct word *word, char c)
{
	if (word->n == WORD_MAX)
		word->is_long = true;
	else
		word->p[word->n++] = c;
}

static void add_word(struct word *to, const struct word *from)
{
	for (size_t i = 0; i < from->n; i++)
		add(to, from->p[i]);
	to->is_long |= from->is_long;
}

static bool is_special(char c)
{
	return c == '<' || c == '>' || c == '@' || c == ',' || c == ':' || c == ';' || c == '.' || c == '(' ||
	       c == ')' || c == '[' || c == ']' || c == '"' || c == '\\';
}

static bool is_atom(char c)
{
	unsigned char u = (unsigned char)c;

	return u > ' ' && u != 0x7f && !is_special(c);
}

/* What stands between two marks, both on one level. False: the second is missing. */
static bool take_enclosed(struct list *l, char end)
{
	struct str *s = &l->rest;

	for (*s = str_from(*s, 1); s->n > 0 && s->p[0] != end; *s = str_from(*s, 1)) {
		if (s->p[0] == '\\' && s->n > 1)
			*s = str_from(*s, 1);
		if (s->p[0] != '\r' && s->p[0] != '\n')
			add(&l->word, s->p[0]);
	}
	if (s->n == 0)
		return false;
	*s = str_from(*s, 1);
	return true;
}

static enum token next_token(struct list *l)
{
	char c;

	l->word.n = 0;
	l->word.is_long = false;
	if (!smtp_header_skip_comments(&l->rest))
		return BAD;
	if (l->rest.n == 0)
		return END;
	c = l->rest.p[0];
	if (c == '"')
		return take_enclosed(l, '"') ? QUOTED : BAD;
	if (c == '[') {
		add(&l->word, '[');
		if (!take_enclosed(l, ']'))
			return BAD;
		add(&l->word, ']');
		return LITERAL;
	}
	if (!is_atom(c)) {
		l->special = c;
		l->rest = str_from(l->rest, 1);
		return is_special(c) ? SPECIAL : BAD;
	}
	for (; l->rest.n > 0 && is_atom(l->rest.p[0]); l->rest = str_from(l->rest, 1))
		add(&l->word, l->rest.p[0]);
	return WORD;
}

/* A quoted string as a local part is written with its quotes only where they are needed. */
static void quote(struct word *word)
{
	struct word plain = *word;
	bool is_plain = word->n > 0;

	for (size_t i = 0; i < word->n && is_plain; i++)
		is_plain = is_atom(word->p[i]) ||
			   (word->p[i] == '.' && i > 0 && i + 1 < word->n && word->p[i - 1] != '.');
	if (is_plain)
		return;
	word->n = 0;
	add(word, '"');
	for (size_t i = 0; i < plain.n; i++) {
		if (plain.p[i] == '"' || plain.p[i] == '\\')
			add(word, '\\');
		add(word, plain.p[i]);
	}
	add(word, '"');
}

static void forget_words(struct list *l)
{
	l->local.n = 0;
	l->local.is_long = l->is_joined = l->has_words = false;
}

static bool has_any(const struct word *w, const char *chars)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->p[i] != '\0' && strchr(chars, w->p[i]) != NULL)
			return true;
	return w->is_long;
}

/* "[x, a@b] <c@d>" is one entry to some, and two to others, who know brackets only in domains; "[Shop] <c@d>" to nobody. */
static void see_enclosed(struct list *l, enum token token)
{
	if (token == LITERAL && has_any(&l->word, "<>@,:;()\"\\"))
		l->is_odd = true;
	l->has_enclosed |= token == QUOTED && has_any(&l->word, "@");
}

static void take_word(struct list *l)
{
	/* "a@b c": is c the domain's? */
	if (l->has_address)
		l->is_odd = true;
	if (!l->is_joined && l->local.n > 0) {
		l->has_words = true;
		l->local.n = 0;
		l->local.is_long = false;
	}
	add_word(&l->local, &l->word);
	l->is_joined = false;
}

static bool is_clean(const struct word *w)
{
	for (size_t i = 0; i < w->n; i++)
		if ((unsigned char)w->p[i] <= ' ' || w->p[i] == 0x7f)
			return false;
	return w->n > 0 && !w->is_long && str_is_utf8(str_bytes(w->p, w->n));
}

static void emit(struct list *l, const struct word *domain)
{
	if (!is_clean(&l->local) || !is_clean(domain) || l->is_joined || l->has_words || l->has_address)
		l->is_odd = true;
	if (is_clean(&l->local) && is_clean(domain)) {
		if (l->out->n > 0)
			buf_put_char(l->out, ' ');
		buf_put(l->out, l->local.p, l->local.n);
		buf_put_char(l->out, '@');
		buf_put(l->out, domain->p, domain->n);
	}
	l->has_address = true;
	forget_words(l);
}

/* "[192.0.2.1]", "[IPv6:2001:db8::1]", "[TAG:text]". With anything else in it its end is not the same for everybody. */
static bool is_literal(const struct word *w)
{
	for (size_t i = 1; i + 1 < w->n; i++)
		if (w->p[i] != '.' && w->p[i] != ':' && !is_atom(w->p[i]))
			return false;
	return !w->is_long;
}

/* What follows an @: words with dots between them, or a literal. */
static void take_domain(struct list *l)
{
	struct word domain = {.n = 0};
	struct str before = l->rest;
	enum token token = next_token(l);

	if (token == LITERAL) {
		l->is_odd |= !is_literal(&l->word);
		add_word(&domain, &l->word);
	} else {
		while (token == WORD) {
			add_word(&domain, &l->word);
			before = l->rest;
			token = next_token(l);
			if (token != SPECIAL || l->special != '.')
				break;
			add(&domain, '.');
			before = l->rest;
			token = next_token(l);
		}
		l->rest = before;
	}
	emit(l, &domain);
}

/* "<@one,@two:joe@three>": the route goes. It is looked for once in each pair of brackets, and not beyond: a header full
 * of their beginnings must not be read to its end for every one. */
static void skip_route(struct list *l)
{
	size_t n = 0;

	while (n < l->rest.n && l->rest.p[n] != ':' && l->rest.p[n] != '<' && l->rest.p[n] != '>')
		n++;
	if (n < l->rest.n && l->rest.p[n] == ':')
		l->rest = str_from(l->rest, n + 1);
	else
		l->is_odd = l->has_address = true;
}

static void end_entry(struct list *l)
{
	/* "Joe, Inc <a@b>" is one careless name; what looks like an address may be taken for one. */
	l->is_odd |= l->is_angle || (l->has_enclosed && !l->has_address);
	l->is_angle = l->has_address = l->has_enclosed = false;
	forget_words(l);
}

static void take_special(struct list *l)
{
	switch (l->special) {
	case '.':
		add(&l->local, '.');
		l->is_joined = true;
		break;
	case '@':
		if (l->local.n == 0 && l->is_angle && !l->has_address)
			skip_route(l);
		else
			take_domain(l);
		break;
	case '<':
		l->is_odd |= l->is_angle;
		l->is_angle = true;
		l->has_address = false;
		forget_words(l);
		break;
	case '>':
		l->is_odd |= !l->is_angle || !l->has_address;
		l->is_angle = false;
		l->has_address = true; /* what follows is of no use: "<a@b> c" */
		forget_words(l);
		break;
	case ',':
	case ';':
		end_entry(l);
		break;
	case ':': /* a group's name is before it */
		l->is_odd |= l->has_address;
		end_entry(l);
		break;
	default:
		l->is_odd = true;
	}
}

bool smtp_mailbox_list(struct str body, struct buf *out)
{
	struct list l = {.rest = body, .out = out};
	size_t before = out->n;
	bool has_something = false, has_group = false;
	enum token token;

	while ((token = next_token(&l)) != END) {
		has_something = true;
		if (token == BAD) {
			l.is_odd = true;
		} else if (token == SPECIAL) {
			has_group |= l.special == ':';
			take_special(&l);
		} else {
			see_enclosed(&l, token);
			if (token == QUOTED)
				quote(&l.word);
			take_word(&l);
		}
	}
	end_entry(&l);
	/* A name alone may be shown, and taken for an address. */
	if (has_something && !has_group && out->n == before)
		l.is_odd = true;
	return !l.is_odd && !out->is_full;
}
