/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions under way. A child can answer only for itself, once, and only what it was asked.
 */
#include "master/master_ask.h"

#include <stdlib.h>

#include "lib/base/clock.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "master/master_children.h"

static const int64_t patience = 5 * CLOCK_SECOND;

/* Whom a question's first word concerns. */
static const struct {
	const char *word;
	enum role role;
} concerns[] = {
	{"ban", ROLE_GATE},
	{"cert", ROLE_CERT_RENEWER},
	{"check", ROLE_DELIVER},
	{"provider", ROLE_QMGR},
	{"tls", ROLE_SMTPD},
};

struct reply {
	const struct master_child *child;
	bool is_awaited;
	char *text; /* NULL: none */
	size_t n;
};

struct master_ask {
	struct master *master;
	struct master_ask *next; /* of master->asks */
	uint64_t id;
	struct reply *reply;
	size_t n, awaited;
	size_t octets; /* of all texts */
	struct loop_timer *timer;
	void (*on_done)(void *ctx);
	void *ctx;
};

static bool role_of(struct str line, enum role *role)
{
	struct str word = str_first(line, str_find(line, ' '));

	for (size_t i = 0; i < sizeof(concerns) / sizeof(concerns[0]); i++)
		if (str_eq(word, str_of(concerns[i].word))) {
			*role = concerns[i].role;
			return true;
		}
	return false;
}

static void give_up(void *ctx)
{
	struct master_ask *ask = ctx;

	for (size_t i = 0; i < ask->n; i++)
		ask->reply[i].is_awaited = false;
	ask->awaited = 0;
	ask->on_done(ask->ctx);
}

struct master_ask *master_ask_new(struct master *m, struct str line, void (*on_done)(void *ctx), void *ctx)
{
	static uint64_t last_id;
	struct master_ask *ask;
	enum role role;

	if (line.n > MASTER_ASK_LINE || !role_of(line, &role))
		return NULL;
	ask = mem_zero(sizeof(*ask));
	*ask = (struct master_ask){
		.master = m, .next = m->asks, .id = ++last_id, .on_done = on_done, .ctx = ctx};
	m->asks = ask;
	ask->timer = loop_timer_new(m->loop, give_up, ask);
	ask->reply = mem_array(master_children_count(m->children), sizeof(*ask->reply));
	for (size_t i = 0; i < master_children_count(m->children); i++) {
		const struct master_child *child = master_children_at(m->children, i);

		if (child->role != role)
			continue;
		ask->reply[ask->n].child = child;
		if (child->control != NULL) {
			ask->reply[ask->n].is_awaited = true;
			ask->awaited++;
			ipc_send(child->control, IPC_ASK, ask->id, line, -1);
		}
		ask->n++;
	}
	loop_timer_set(ask->timer, ask->awaited > 0 ? patience : 0);
	return ask;
}

void master_ask_free(struct master_ask **ask_p)
{
	struct master_ask *ask = *ask_p;

	if (ask == NULL)
		return;
	for (struct master_ask **at = &ask->master->asks; *at != NULL; at = &(*at)->next)
		if (*at == ask) {
			*at = ask->next;
			break;
		}
	for (size_t i = 0; i < ask->n; i++)
		free(ask->reply[i].text);
	free(ask->reply);
	loop_timer_free(&ask->timer);
	mem_free(ask_p);
}

void master_ask_render(const struct master_ask *ask, struct buf *out)
{
	json_begin(out, NULL, '{');
	json_begin(out, "answers", '[');
	for (size_t i = 0; i < ask->n; i++) {
		const struct reply *r = &ask->reply[i];

		json_begin(out, NULL, '{');
		json_put_text(out, "role", str_of(role_name(r->child->role)));
		json_put_int(out, "slot", r->child->slot);
		if (r->text != NULL)
			json_put_text(out, "answer", str_bytes(r->text, r->n));
		else
			json_put_null(out, "answer");
		buf_put_char(out, '}');
	}
	buf_put_text(out, "]}\n");
}

static struct reply *awaited_of(struct master_ask *ask, const struct master_child *child)
{
	for (size_t i = 0; i < ask->n; i++)
		if (ask->reply[i].child == child && ask->reply[i].is_awaited)
			return &ask->reply[i];
	return NULL;
}

static void settle(struct master_ask *ask, struct reply *reply)
{
	reply->is_awaited = false;
	if (--ask->awaited == 0)
		loop_timer_set(ask->timer, 0);
}

void master_ask_tell(struct master *m, const struct master_child *child, const struct ipc_frame *frame)
{
	struct master_ask *ask = m->asks;
	struct reply *reply;

	while (ask != NULL && ask->id != frame->id)
		ask = ask->next;
	reply = ask == NULL ? NULL : awaited_of(ask, child);
	if (reply == NULL)
		return;
	if (ask->octets + frame->body.n > MASTER_ASK_ANSWERS) {
		log_warn(NULL, "master.answer.too_much", log_text("child", role_name(child->role)),
			 log_uint("slot", child->slot));
	} else {
		reply->text = mem_copy(frame->body.p, frame->body.n);
		reply->n = frame->body.n;
		ask->octets += reply->n;
	}
	settle(ask, reply);
}

void master_ask_gone(struct master *m, const struct master_child *child)
{
	for (struct master_ask *ask = m->asks; ask != NULL; ask = ask->next) {
		struct reply *reply = awaited_of(ask, child);

		if (reply != NULL)
			settle(ask, reply);
	}
}
