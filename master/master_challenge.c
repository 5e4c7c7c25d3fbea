/* SPDX-License-Identifier: Apache-2.0
 *
 * Binding is master_listen.c's; here is when it is tried, and who hears of it.
 */
#include "master/master_challenge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "master/master_children.h"
#include "master/master_listen.h"
#include "master/master_notice.h"

/* The first time soon: the children of a master that was killed a moment ago may have it still. */
static const int64_t first_wait = CLOCK_SECOND, next_wait = 10 * CLOCK_SECOND;

struct master_challenge {
	struct master *master;
	struct loop_timer *timer;
};

/* Logged once, not with every try. */
static void note(struct master_challenge *c, const struct err *err)
{
	char text[MASTER_NOTICE_MAX] = "";

	if (err != NULL)
		snprintf(text, sizeof(text), "the authority's challenges cannot be answered: %s", err->text);
	if (err != NULL && strcmp(text, c->master->notices.text[MASTER_NOTICE_PORT]) != 0)
		log_error(NULL, "master.challenge.no_port", log_text("reason", err->text));
	master_notice_set(&c->master->notices, MASTER_NOTICE_PORT, str_of(text));
}

/* Those that are bound now and were not are handed over. */
static bool open_all(struct master_challenge *c, struct err *err)
{
	struct master_listen *l = &c->master->listen;
	bool was_open[MASTER_LISTEN_ACME], ok;

	for (unsigned i = 0; i < MASTER_LISTEN_ACME; i++)
		was_open[i] = l->acme[i].fd >= 0;
	ok = master_listen_acme(l, c->master->settings, NULL, err);
	for (unsigned i = 0; i < MASTER_LISTEN_ACME; i++)
		if (!was_open[i] && l->acme[i].fd >= 0)
			master_children_hand_acme(c->master->children, i);
	return ok;
}

static void try(void *ctx)
{
	struct master_challenge *c = ctx;
	struct err err;
	bool ok;

	/* While the service ends, the sockets are closed for good. */
	if (master_is_ending(c->master))
		return;
	ok = open_all(c, &err);
	note(c, ok ? NULL : &err);
	if (ok)
		loop_timer_stop(c->timer);
	else
		loop_timer_set(c->timer, next_wait);
}

void master_challenge_reload(struct master_challenge *c)
{
	try(c);
}

struct master_challenge *master_challenge_new(struct master *master)
{
	struct master_challenge *c = mem_zero(sizeof(*c));

	c->master = master;
	c->timer = loop_timer_new(master->loop, try, c);
	loop_timer_set(c->timer, first_wait);
	return c;
}

void master_challenge_free(struct master_challenge **challenge)
{
	struct master_challenge *c = *challenge;

	if (c == NULL)
		return;
	loop_timer_free(&c->timer);
	mem_free(challenge);
}
