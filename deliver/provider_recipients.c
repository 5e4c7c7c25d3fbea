/* SPDX-License-Identifier: Apache-2.0
 *
 * Sorts a message's recipients by what its headers say of them. Pure; called by the providers that take no MIME.
 */
#include "deliver/provider_recipients.h"

#include <stdlib.h>
#include <strings.h>

#include "lib/base/mem.h"
#include "lib/base/trouble.h"

/* ASCII letters without case, as providers compare. */
static int compare_addresses(struct str a, struct str b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int order = n > 0 ? strncasecmp(a.p, b.p, n) : 0;

	if (order != 0)
		return order;
	return a.n < b.n ? -1 : a.n > b.n;
}

static int compare_recipients(const void *a, const void *b)
{
	const struct provider_recipient *const *x = a, *const *y = b;
	int order = compare_addresses((*x)->address, (*y)->address);

	/* The first of equal ones stays in front. */
	return order != 0 ? order : *x < *y ? -1 : 1;
}

static struct provider_recipient *find_recipient(struct provider_recipients *r, struct str address)
{
	unsigned low = 0, high = r->n_sorted;

	while (low < high) {
		unsigned middle = (low + high) / 2;
		int order = compare_addresses(r->sorted[middle]->address, address);

		if (order == 0)
			return r->sorted[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static void sort_recipients(struct provider_recipients *r)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < r->n; i++)
		r->sorted[i] = &r->list[i];
	qsort(r->sorted, r->n, sizeof(r->sorted[0]), compare_recipients);
	for (unsigned i = 0; i < r->n; i++)
		if (kept == 0 || compare_addresses(r->sorted[kept - 1]->address, r->sorted[i]->address) != 0)
			r->sorted[kept++] = r->sorted[i];
	r->n_sorted = kept;
}

struct context {
	const struct provider_call *call;
	struct provider_request *request;
	struct provider_recipients *r;
};

static unsigned name_recipients(struct context *ctx, const struct mime_addresses *header, const char *field,
				enum provider_recipients_kind kind, unsigned order)
{
	for (unsigned i = 0; i < header->n; i++) {
		struct str email = header->list[i].email;
		struct provider_recipient *found = find_recipient(ctx->r, email);

		if (found == NULL)
			provider_request_note(ctx->call, ctx->request,
					      "%s: %.*s is not among the recipients, and is not shown: naming it would send to it",
					      field, STR_ARG(email));
		if (found == NULL || found->kind != PROVIDER_BCC)
			continue;
		found->kind = kind;
		found->name = header->list[i].name;
		found->order = order++;
	}
	return order;
}

static int compare_order(const void *a, const void *b)
{
	const struct provider_recipient *const *x = a, *const *y = b;

	return (*x)->order < (*y)->order ? -1 : (*x)->order > (*y)->order;
}

struct provider_recipients *provider_recipients_new(const struct provider_call *call, const struct mime_message *mime,
						    struct provider_request *request)
{
	struct provider_recipients *r = mem_zero(sizeof(*r));
	struct context ctx = {call, request, r};
	unsigned order;

	must(call->message->n_recipients > 0 && call->message->n_recipients <= IPC_RECIPIENTS_MAX);
	r->n = call->message->n_recipients;
	for (unsigned i = 0; i < r->n; i++)
		r->list[i] = (struct provider_recipient){.address = call->message->recipients[i], .index = (uint16_t)i};
	sort_recipients(r);
	order = name_recipients(&ctx, &mime->to, "To", PROVIDER_TO, 0);
	order = name_recipients(&ctx, &mime->cc, "Cc", PROVIDER_CC, order);
	for (unsigned i = 0; i < r->n; i++)
		if (r->list[i].kind == PROVIDER_BCC)
			r->list[i].order = order + i;
	qsort(r->sorted, r->n_sorted, sizeof(r->sorted[0]), compare_order);
	r->is_blind = r->sorted[0]->kind == PROVIDER_BCC;
	if (r->sorted[0]->kind == PROVIDER_CC) {
		provider_request_note(call, request, "Cc: %.*s is shown in To, for To names no recipient and one must stand there",
				      STR_ARG(r->sorted[0]->address));
		r->sorted[0]->kind = PROVIDER_TO;
	}
	return r;
}

static bool may_surround(char c)
{
	return c != '\0' && strchr(" ,:;'\"`<>()[]\n", c) != NULL;
}

bool provider_recipients_is_named(struct str says, struct str address)
{
	for (size_t i = 0; address.n > 0 && i + address.n <= says.n; i++) {
		struct str after = str_from(says, i + address.n);

		if (!str_istarts(str_from(says, i), address) || (i > 0 && !may_surround(says.p[i - 1])))
			continue;
		if (str_starts(after, STR(".")))
			after = str_from(after, 1);
		if (after.n == 0 || may_surround(after.p[0]))
			return true;
	}
	return false;
}

unsigned provider_recipients_count(const struct provider_recipients *r, enum provider_recipients_kind kind)
{
	unsigned n = 0;

	for (unsigned i = 0; i < r->n_sorted; i++)
		n += r->sorted[i]->kind == kind;
	return n;
}
