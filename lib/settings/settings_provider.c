/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of what providers take, and copies of a provider's settings.
 */
#include "lib/settings/settings_provider.h"

#include <limits.h>
#include <stdlib.h>

#include "lib/base/mem.h"
#include "lib/base/trouble.h"

static const struct settings_provider_kind kinds[] = {
#define PROVIDER(constant, name, raw, envelope, utf8, inlines, repeats, recipients, size, needs) \
	{name, raw, envelope, utf8, inlines, repeats, recipients, size, needs},
#include "lib/settings/settings_provider.def"
#undef PROVIDER
};

const struct settings_provider_kind *settings_provider_kind(int type)
{
	must(type >= 0 && type < PROVIDER_TYPES);
	return &kinds[type];
}

unsigned settings_provider_recipients(const struct settings_provider *provider)
{
	unsigned most = settings_provider_kind(provider->type)->recipients;
	unsigned wanted = (unsigned)provider->recipients_per_call;

	return wanted == 0 || wanted > most ? most : wanted;
}

bool settings_provider_wants_aws(const struct settings *settings)
{
	for (size_t i = 0; i < settings->n_provider; i++)
		if (settings->provider[i].type == PROVIDER_SES && settings->provider[i].aws_credentials != AWS_SETTINGS)
			return true;
	return false;
}

/* Each row of settings.def that is a provider's, as ROW(type, name); the others expand to nothing. */
#define SECTION(section, prose)
#define END(section)
#define SETTING(type, section, name, fallback, allowed, roles, when, prose)
#define LIST(list, section, most, when, prose)
#define LISTED(type, list, name, fallback, allowed, roles, when, prose) ROW_OF_##list(type, name)
#define ROW_OF_listener(type, name)
#define ROW_OF_certificate(type, name)
#define ROW_OF_user(type, name)
#define ROW_OF_tenant(type, name)
#define ROW_OF_provider(type, name) ROW_##type(name)

struct settings_provider *settings_provider_copy(const struct settings_provider *provider)
{
	struct settings_provider *copy = mem_zero(sizeof(*copy));

	*copy = *provider;
#define ROW_BOOL(name)
#define ROW_INT(name)
#define ROW_SIZE(name)
#define ROW_DURATION(name)
#define ROW_CHOICE(name)
#define ROW_TEXT(name) copy->name = mem_text(provider->name);
#define ROW_PATH(name) ROW_TEXT(name)
#define ROW_SECRET(name) ROW_TEXT(name)
#include "lib/settings/settings.def"
#undef ROW_TEXT
	return copy;
}

void settings_provider_free(struct settings_provider **provider)
{
	struct settings_provider *p = *provider;

	if (p == NULL)
		return;
#define ROW_TEXT(name) mem_free_secret(&p->name);
#include "lib/settings/settings.def"
#undef ROW_TEXT
	mem_free(provider);
}

#undef ROW_BOOL
#undef ROW_INT
#undef ROW_SIZE
#undef ROW_DURATION
#undef ROW_CHOICE

bool settings_provider_same(const struct settings_provider *a, const struct settings_provider *b)
{
	bool is_same = strcmp(a->key, b->key) == 0;

#define ROW_VALUE(name) is_same = is_same && a->name == b->name;
#define ROW_BOOL(name) ROW_VALUE(name)
#define ROW_INT(name) ROW_VALUE(name)
#define ROW_SIZE(name) ROW_VALUE(name)
#define ROW_DURATION(name) ROW_VALUE(name)
#define ROW_CHOICE(name) ROW_VALUE(name)
#define ROW_TEXT(name) is_same = is_same && str_eq(str_of(a->name), str_of(b->name));
#include "lib/settings/settings.def"
	return is_same;
}
