/* SPDX-License-Identifier: Apache-2.0
 *
 * What was refused is not looked at again and again. (Stores, users and clients: tests/e2e/test_certificates.py.)
 */
#include "tests/support/unit.h"

#include <stdio.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "lib/service/metrics.h"
#include "lib/service/service_rights.h"
#include "master/master_identity.h"
#include "tests/support/certificate.h"

static struct settings *settings;
static struct certificate good, better, old;
static char directory[] = "/tmp/master_identity.XXXXXX";
static char file[sizeof(directory) + 16];

static void put(const char *pem)
{
	FILE *f = fopen(file, "w");

	UNIT_TRUE(f != NULL && fputs(pem, f) >= 0 && fclose(f) == 0);
}

static int64_t failures(void)
{
	return metrics_sum(METRIC_CERTIFICATE_FAILURES, 0);
}

static void what_was_refused_is_left_while_it_is_the_same(void)
{
	struct master_identities all = {0};
	int64_t before = failures();

	put(good.both);
	UNIT_TRUE(master_identity_load(&all, settings, true));
	UNIT_INT(all.n, 1);
	put(old.both);
	for (unsigned i = 0; i < 3; i++)
		UNIT_TRUE(!master_identity_load(&all, settings, false));
	UNIT_INT(failures() - before, 1);
	UNIT_TRUE(all.n == 1 && str_eq(buf_str(&all.one[0].pem), str_of(good.both)));
	/* An operator may know better. */
	UNIT_TRUE(!master_identity_load(&all, settings, true));
	UNIT_INT(failures() - before, 2);
	/* Another one is looked at. */
	put("nonsense");
	UNIT_TRUE(!master_identity_load(&all, settings, false));
	UNIT_INT(failures() - before, 3);
	put(better.both);
	UNIT_TRUE(master_identity_load(&all, settings, false));
	UNIT_TRUE(all.n == 1 && !all.is_unfinished && str_eq(buf_str(&all.one[0].pem), str_of(better.both)));
	UNIT_INT(failures() - before, 3);
	master_identity_clear(&all);
}

int main(void)
{
	static const struct unit_test tests[] = {
		{"what was refused is left while it is the same", what_was_refused_is_left_while_it_is_the_same},
	};
	int result;

	if (geteuid() == 0 && !service_rights_check_user(ROLE_CERT_RENEWER, NULL) && (setgid(65534) < 0 || setuid(65534) < 0))
		return 1;
	close(metrics_create());
	if (mkdtemp(directory) == NULL)
		return 1;
	snprintf(file, sizeof(file), "%s/tls.pem", directory);
	settings = settings_new();
	mem_free(&settings->tls.certificate_file);
	settings->tls.certificate_file = mem_text(file);
	good = certificate_make("good", "DNS:good.test", -3600, 3600, NULL);
	better = certificate_make("better", "DNS:good.test", -3600, 3600, NULL);
	old = certificate_make("old", "DNS:old.test", -7200, -3600, NULL);
	result = unit_main(__FILE__, tests, sizeof(tests) / sizeof(tests[0]));
	certificate_clear(&good);
	certificate_clear(&better);
	certificate_clear(&old);
	settings_free(&settings);
	unlink(file);
	rmdir(directory);
	return result;
}
