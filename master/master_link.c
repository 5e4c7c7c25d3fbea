/* SPDX-License-Identifier: Apache-2.0
 *
 * The links. Each making of one has a number, which PEER tells and PEER_LOST repeats: so a report that comes late,
 * or from the second of the two, is told from a new cut. Called by master_children.c.
 */
#include "master/master_link.h"

#include <stdlib.h>

#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"

/* The rights to say what are in ipc.def. */
static const struct {
	enum role one, other;
} talks[] = {
	{ROLE_SMTPD, ROLE_GATE},
	{ROLE_SMTPD, ROLE_QMGR},
	{ROLE_QMGR, ROLE_DELIVER},
	{ROLE_QMGR, ROLE_CERT_RENEWER},
};

struct link {
	struct master_child *end[2];
	uint32_t number; /* of its last making */
	int64_t made_at; /* monotonic */
	bool is_cut;	 /* the timer runs */
	struct loop_timer *timer;
};

struct master_links {
	struct link *link;
	size_t n;
};

int64_t master_link_delay(int64_t made_at, int64_t now)
{
	int64_t rest = made_at + MASTER_LINK_EVERY - now;

	return rest > MASTER_LINK_SETTLE ? rest : MASTER_LINK_SETTLE;
}

static void tell(struct master_child *child, const struct master_child *other, uint32_t number, int fd)
{
	struct buf body = BUF_MAX(16);

	buf_put_u32(&body, other->role);
	buf_put_u32(&body, other->slot);
	buf_put_u32(&body, number);
	ipc_send(child->control, IPC_PEER, 0, buf_str(&body), fd);
	buf_clear(&body);
}

static bool both_live(const struct link *link)
{
	return link->end[0]->control != NULL && link->end[1]->control != NULL;
}

static void make(struct link *link)
{
	int fds[2];

	loop_timer_stop(link->timer);
	link->is_cut = false;
	link->number++;
	link->made_at = clock_mono();
	ipc_pair(fds);
	for (int i = 0; i < 2; i++) {
		tell(link->end[i], link->end[!i], link->number, fds[i]);
		fd_close(&fds[i]);
	}
}

static void make_again(void *ctx)
{
	struct link *link = ctx;

	link->is_cut = false;
	if (!both_live(link))
		return; /* the restart makes it */
	log_warn(NULL, "master.link.made_again", log_text("child", role_name(link->end[0]->role)),
		 log_uint("slot", link->end[0]->slot), log_text("peer", role_name(link->end[1]->role)),
		 log_uint("peer_slot", link->end[1]->slot));
	make(link);
}

void master_link_introduce(struct master_links *links, const struct master_child *child)
{
	for (size_t i = 0; i < links->n; i++) {
		struct link *link = &links->link[i];

		if ((link->end[0] == child || link->end[1] == child) && both_live(link))
			make(link);
	}
}

static struct link *find(struct master_links *links, const struct master_child *child, uint32_t role,
			 uint32_t slot)
{
	for (size_t i = 0; i < links->n; i++)
		for (int side = 0; side < 2; side++) {
			const struct master_child *other = links->link[i].end[!side];

			if (links->link[i].end[side] == child && other->role == role && other->slot == slot)
				return &links->link[i];
		}
	return NULL;
}

bool master_link_lost(struct master_links *links, const struct master_child *child, struct reader *body)
{
	uint32_t role = reader_u32(body), slot = reader_u32(body), number = reader_u32(body);
	struct link *link;

	if (!reader_is_done(body))
		return false;
	link = find(links, child, role, slot);
	if (link == NULL)
		return false;
	if (number == link->number && !link->is_cut) {
		link->is_cut = true;
		loop_timer_set(link->timer, master_link_delay(link->made_at, clock_mono()));
	}
	return true;
}

static bool talk(enum role one, enum role other)
{
	for (size_t i = 0; i < sizeof(talks) / sizeof(talks[0]); i++)
		if (talks[i].one == one && talks[i].other == other)
			return true;
	return false;
}

/* Counts them, or, with an array, sets their ends. */
static size_t pairs(struct link *link, struct master_child *child, size_t n)
{
	size_t found = 0;

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < n; j++) {
			if (!talk(child[i].role, child[j].role))
				continue;
			if (link != NULL) {
				link[found].end[0] = &child[i];
				link[found].end[1] = &child[j];
			}
			found++;
		}
	return found;
}

struct master_links *master_link_new(struct loop *loop, struct master_child *child, size_t n)
{
	struct master_links *links = mem_zero(sizeof(*links));

	links->n = pairs(NULL, child, n);
	links->link = mem_array(links->n, sizeof(*links->link));
	pairs(links->link, child, n);
	for (size_t i = 0; i < links->n; i++)
		links->link[i].timer = loop_timer_new(loop, make_again, &links->link[i]);
	return links;
}

void master_link_free(struct master_links **links)
{
	struct master_links *l = *links;

	if (l == NULL)
		return;
	for (size_t i = 0; i < l->n; i++)
		loop_timer_free(&l->link[i].timer);
	free(l->link);
	mem_free(links);
}
