/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of deliver/deliver_credential.c.
 */
#include "deliver/deliver_credential.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/net/seal.h"
#include "tests/support/unit.h"

#define TEXT(text) ((char *)(uintptr_t)(text))
#define NEW "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define OLD "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static struct buf sealed;
static struct ipc_job job;

static void seal(const char *digits, struct uuid tenant, struct str provider, struct str text)
{
	struct buf label = BUF_MAX(256);
	struct seal_key key;

	buf_clear(&sealed);
	sealed = BUF_MAX(IPC_CREDENTIAL_MAX);
	UNIT_TRUE(seal_key_parse(str_of(digits), &key, NULL));
	settings_credential_label(&tenant, provider, &label);
	seal_close(&key, buf_str(&label), text, &sealed);
	job.credential = buf_str(&sealed);
	buf_clear(&label);
}

static bool opens(const char *key, const char *old_key, struct err *err)
{
	static struct settings settings;
	struct settings_provider row = {.key = "main", .type = PROVIDER_RESEND, .api_key = TEXT("ours"), .endpoint = TEXT(""),
					.access_key_id = TEXT(""), .secret_access_key = TEXT(""), .session_token = TEXT(""), .domain = TEXT("")};
	struct settings_credential c;
	bool is_open;

	settings.credentials.key = TEXT(key);
	settings.credentials.old_key = TEXT(old_key);
	is_open = deliver_credential_open(&settings, &row, &job, &c, err);
	if (is_open)
		UNIT_TEXT(c.provider.api_key, "theirs");
	settings_credential_clear(&c);
	return is_open;
}

static void either_key_opens_it_for_its_tenant_and_provider_only(void)
{
	struct uuid tenant = uuid_new(clock_wall()), other = uuid_new(clock_wall());
	struct err err;

	job.message.tenant = tenant;
	job.provider = STR("main");
	seal(NEW, tenant, STR("main"), STR("api_key: theirs\n"));
	UNIT_TRUE(opens(NEW, "", &err));
	UNIT_TRUE(opens(NEW, OLD, &err));
	UNIT_TRUE(opens(OLD, NEW, &err));
	UNIT_TRUE(!opens(OLD, "", &err));
	UNIT_TRUE(strstr(err.text, "another key") != NULL);
	UNIT_TRUE(!opens("", "", &err));
	UNIT_TRUE(strstr(err.text, "credentials.key") != NULL);
	job.message.tenant = other;
	UNIT_TRUE(!opens(NEW, "", &err));
	job.message.tenant = tenant;
	job.provider = STR("other");
	UNIT_TRUE(!opens(NEW, "", &err));
	job.provider = STR("main");
	seal(OLD, tenant, STR("main"), STR("api_key: theirs\n"));
	UNIT_TRUE(opens(NEW, OLD, &err));
	seal(NEW, tenant, STR("main"), STR("api_key theirs\n"));
	UNIT_TRUE(!opens(NEW, "", &err));
	UNIT_TRUE(strstr(err.text, "theirs") == NULL);
	buf_clear(&sealed);
}

UNIT_TESTS({"either key opens it, for its tenant and provider only", either_key_opens_it_for_its_tenant_and_provider_only})
