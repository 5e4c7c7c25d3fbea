/* SPDX-License-Identifier: Apache-2.0
 *
 * The call's class is everybody's of the call but those who are named in its refusals.
 */
#include "qmgr/qmgr_fate.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "qmgr/qmgr_bounce.h"
#include "qmgr/qmgr_message.h"
#include "qmgr/qmgr_part.h"
#include "qmgr/qmgr_sql.h"

enum { ARRAY_TEXT = 1 << 20, WORDS_MAX = 32768 };

/* Why, before it is known whether there is a group of these words already. */
struct reason {
	enum qmgr_fate fate;
	uint32_t code;
	struct str status, reason;
};

static enum qmgr_fate fate_of(enum ipc_outcome_class class)
{
	switch (class) {
	case IPC_OUTCOME_SENT:
		return QMGR_FATE_SENT;
	case IPC_OUTCOME_PERMANENT:
		return QMGR_FATE_FAILED;
	case IPC_OUTCOME_TRANSIENT:
	case IPC_OUTCOME_PROVIDER_FAULT:
	case IPC_OUTCOME_UNKNOWN:
	case IPC_OUTCOME_UNFIT:
	case IPC_OUTCOME_CLASSES:
		break;
	}
	return QMGR_FATE_LEFT;
}

static struct qmgr_fate_group *group_new(struct qmgr_fates *f, const struct reason *why)
{
	struct qmgr_fate_group *g = mem_zero(sizeof(*g));

	g->fate = why->fate;
	g->code = why->code;
	buf_init(&g->words, WORDS_MAX);
	qmgr_sql_put_text(&g->words, why->status);
	g->status_n = g->words.n;
	qmgr_sql_put_text(&g->words, why->reason);
	buf_init(&g->recipients, ARRAY_TEXT);
	*f->last = g;
	f->last = &g->next;
	return g;
}

static struct qmgr_fate_group *group_of(struct qmgr_fates *f, const struct reason *why)
{
	struct qmgr_fate_group *g = f->groups;

	while (g != NULL && !(g->fate == why->fate && g->code == why->code &&
			      str_eq(qmgr_fate_status(g), why->status) && str_eq(qmgr_fate_reason(g), why->reason)))
		g = g->next;
	return g != NULL ? g : group_new(f, why);
}

static void add(struct qmgr_fates *f, struct qmgr_fate_group *g, struct str recipient, unsigned index)
{
	buf_put_char(&g->recipients, g->recipients.n == 0 ? '{' : ',');
	qmgr_sql_put_element(&g->recipients, recipient);
	if (f->list[g->fate] != NULL)
		f->list[g->fate][f->n[g->fate]] = (uint16_t)index;
	f->n[g->fate]++;
}

static void note(struct qmgr_fates *f, enum qmgr_fate_note_kind kind, unsigned most, unsigned index, const struct reason *why)
{
	struct qmgr_fate_note *note = &f->note[kind];

	if (note->list == NULL) {
		note->list = mem_array(most, sizeof(uint16_t));
		note->code = why->code;
		buf_init(&note->words, WORDS_MAX);
		qmgr_sql_put_text(&note->words, why->status);
		note->status_n = note->words.n;
		qmgr_sql_put_text(&note->words, why->reason);
	}
	note->list[note->n++] = (uint16_t)index;
}

static int by_number(const void *a, const void *b)
{
	return *(const uint16_t *)a - *(const uint16_t *)b;
}

/* Groups came one after the other. */
static void order(struct qmgr_fates *f)
{
	for (unsigned i = 0; i < QMGR_FATES; i++)
		if (f->list[i] != NULL)
			qsort(f->list[i], f->n[i], sizeof(uint16_t), by_number);
}

/* Walks over ascending lists: is `index` in it, where *at began? */
static bool is_among(struct str whom, unsigned index, unsigned *at)
{
	while (*at < ipc_whom_count(whom) && ipc_whom_at(whom, *at) < index)
		++*at;
	return whom.n == 0 || (*at < ipc_whom_count(whom) && ipc_whom_at(whom, *at) == index);
}

/* Those whom the call did not carry, and those who fared as the call: its words are the part's, too. */
static void add_own(struct qmgr_fates *f, const struct qmgr_message *m, const struct str *recipients, unsigned n,
		    const struct ipc_outcome *o, struct str dsn)
{
	static struct qmgr_bounce_wish wishes[IPC_RECIPIENTS_MAX];
	const struct reason own = {fate_of(o->class), o->code, o->status, o->reason};
	struct reader r = reader_of(o->refusals);
	struct ipc_refusal refusal;
	bool is_refusal = ipc_get_refusal(&r, &refusal), has_wishes = own.fate == QMGR_FATE_SENT && dsn.n > 0;
	unsigned at = 0;

	if (has_wishes)
		qmgr_bounce_wishes(dsn, wishes);
	for (unsigned i = 0; i < n; i++) {
		unsigned index = qmgr_part_index(m, i);

		while (is_refusal && refusal.recipient < index)
			is_refusal = ipc_get_refusal(&r, &refusal);
		if (!is_among(o->whom, index, &at)) {
			f->list[QMGR_FATE_ABSENT][f->n[QMGR_FATE_ABSENT]++] = (uint16_t)index;
			continue;
		}
		if (is_refusal && refusal.recipient == index) {
			const struct reason later = {own.fate, refusal.code, refusal.status, refusal.reason};

			if (refusal.class != IPC_OUTCOME_SENT)
				continue;
			if (own.fate == QMGR_FATE_SENT)
				note(f, QMGR_FATE_BOUNCES, n, index, &later);
		}
		add(f, f->groups != NULL ? f->groups : group_new(f, &own), recipients[i], index);
		if (has_wishes && wishes[index].wants[QMGR_BOUNCE_RELAYED])
			note(f, QMGR_FATE_RELAYED, n, index, &own);
	}
	if (n == 0)
		group_new(f, &own); /* the message is gone, or its row is damaged */
}

static void add_refused(struct qmgr_fates *f, const struct qmgr_message *m, const struct str *recipients, unsigned n,
			const struct ipc_outcome *o)
{
	struct reader r = reader_of(o->refusals);
	struct ipc_refusal refusal;
	unsigned i = 0, at = 0;

	while (ipc_get_refusal(&r, &refusal)) {
		const struct reason why = {fate_of(refusal.class), refusal.code, refusal.status, refusal.reason};

		while (i < n && qmgr_part_index(m, i) < refusal.recipient)
			i++;
		if (refusal.class != IPC_OUTCOME_SENT && i < n && qmgr_part_index(m, i) == refusal.recipient &&
		    is_among(o->whom, refusal.recipient, &at))
			add(f, group_of(f, &why), recipients[i], refusal.recipient);
	}
}

void qmgr_fate_sort(struct qmgr_fates *f, const struct qmgr_message *m, const struct str *recipients, unsigned n,
		    const struct ipc_outcome *o, struct str dsn)
{
	*f = (struct qmgr_fates){0};
	f->last = &f->groups;
	if (o->class != IPC_OUTCOME_SENT || o->refusals.n > 0 || o->whom.n > 0)
		for (unsigned i = QMGR_FATE_FAILED; i < QMGR_FATES; i++)
			f->list[i] = mem_array(n, sizeof(uint16_t));
	add_own(f, m, recipients, n, o, dsn);
	f->is_own_left = f->groups != NULL && fate_of(o->class) == QMGR_FATE_LEFT;
	add_refused(f, m, recipients, n, o);
	for (struct qmgr_fate_group *g = f->groups; g != NULL; g = g->next)
		buf_put_text(&g->recipients, g->recipients.n == 0 ? "{}" : "}");
	order(f);
}

void qmgr_fate_give_up(struct qmgr_fates *f)
{
	for (struct qmgr_fate_group *g = f->groups; g != NULL; g = g->next)
		if (g->fate == QMGR_FATE_LEFT)
			g->fate = QMGR_FATE_FAILED;
	for (unsigned i = 0; i < f->n[QMGR_FATE_LEFT]; i++)
		f->list[QMGR_FATE_FAILED][f->n[QMGR_FATE_FAILED]++] = f->list[QMGR_FATE_LEFT][i];
	f->n[QMGR_FATE_LEFT] = 0;
	f->is_own_left = false;
	order(f);
}

void qmgr_fate_blank(struct qmgr_fates *f)
{
	for (struct qmgr_fate_group *g = f->groups; g != NULL; g = g->next) {
		buf_reset(&g->words);
		g->status_n = 0;
	}
	for (unsigned i = 0; i < QMGR_FATE_NOTES; i++) {
		buf_reset(&f->note[i].words);
		f->note[i].status_n = 0;
	}
}

unsigned qmgr_fate_count(const struct qmgr_fates *f)
{
	return f->n[QMGR_FATE_SENT] + f->n[QMGR_FATE_FAILED] + f->n[QMGR_FATE_LEFT] + f->n[QMGR_FATE_ABSENT];
}

unsigned qmgr_fate_stay(const struct qmgr_fates *f, uint16_t *list)
{
	unsigned n = 0;

	for (unsigned i = QMGR_FATE_LEFT; i <= QMGR_FATE_ABSENT; i++) {
		if (f->n[i] > 0)
			memcpy(list + n, f->list[i], f->n[i] * sizeof(*list));
		n += f->n[i];
	}
	qsort(list, n, sizeof(*list), by_number);
	return n;
}

const struct qmgr_fate_group *qmgr_fate_first(const struct qmgr_fates *f, enum qmgr_fate fate)
{
	const struct qmgr_fate_group *g = f->groups;

	while (g != NULL && g->fate != fate)
		g = g->next;
	return g;
}

struct str qmgr_fate_status(const struct qmgr_fate_group *g)
{
	return str_first(buf_str(&g->words), g->status_n);
}

struct str qmgr_fate_reason(const struct qmgr_fate_group *g)
{
	return str_from(buf_str(&g->words), g->status_n);
}

struct str qmgr_fate_recipients(const struct qmgr_fate_group *g)
{
	return buf_str(&g->recipients);
}

void qmgr_fate_clear(struct qmgr_fates *f)
{
	while (f->groups != NULL) {
		struct qmgr_fate_group *g = f->groups;

		f->groups = g->next;
		buf_clear(&g->words);
		buf_clear(&g->recipients);
		free(g);
	}
	for (unsigned i = 0; i < QMGR_FATES; i++)
		mem_free(&f->list[i]);
	for (unsigned i = 0; i < QMGR_FATE_NOTES; i++) {
		mem_free(&f->note[i].list);
		buf_clear(&f->note[i].words);
	}
}
