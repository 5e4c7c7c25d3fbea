/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines: targets, sender's and recipient's domain, header field, pattern; MAIL's sender, a recipient; then a message.
 */
#include <stdlib.h>

#include "lib/base/trouble.h"
#include "lib/queue/route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_up(void *ctx, unsigned provider)
{
	return (*(uint64_t *)ctx >> provider & 1) != 0;
}

static struct str line(struct str *rest)
{
	struct str one = {"", 0};

	str_next(rest, '\n', &one);
	return one;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct settings *settings;
	struct str rest = str_bytes(data, size), targets = line(&rest), to;
	struct route_conditions when = {line(&rest), line(&rest), line(&rest), line(&rest), {{0}}};
	struct route_message m = {.mail_from = line(&rest), .recipients = &to, .n_recipients = 1};
	struct buf text = BUF_MAX(2 * ROUTE_TEXT);
	struct route route, again;
	struct route_choice choice;
	uint64_t up = size * 0x9e3779b97f4a7c15ULL;
	uint16_t group;

	if (settings == NULL) {
		settings = settings_new();
		settings->n_provider = 3;
		for (unsigned i = 0; i < 3; i++)
			settings->provider[i].key[0] = (char)('a' + i);
	}
	to = line(&rest);
	m.content = rest;
	if (!route_make(&route, &when, targets, NULL))
		return 0;
	route_resolve(&route, settings);
	must(route_group(&route, 1, &m, &group) == 1 && (group == 0 || group == ROUTE_NONE));
	choice = route_choose(&route, settings, &(struct route_load){.size = (int64_t)size}, is_up, &up, up);
	must(choice.target < (int)route.n_targets && (choice.target < 0 || choice.word[choice.target] == ROUTE_FINE));
	/* What is printed is read again as the same. */
	route_print(&route, &text);
	must(!text.is_full && route_make(&again, &when, buf_str(&text), NULL) && again.n_targets == route.n_targets);
	for (unsigned i = 0; i < route.n_targets; i++)
		must(again.target[i].tier == route.target[i].tier && again.target[i].weight == route.target[i].weight);
	buf_clear(&text);
	route_clear(&again);
	route_clear(&route);
	return 0;
}
