/* SPDX-License-Identifier: Apache-2.0 */
#include "cert-renewer/cert_restore.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/mem.h"
#include "lib/settings/settings.h"
#include "tests/support/certificate.h"
#include "tests/support/unit.h"

enum { DAY = 86400, PEM_MAX = 65536 };

static int64_t now;

static const struct str mail[] = {{"mail.test", 9}}, both[] = {{"mail.test", 9}, {"smtp.test", 9}};

static struct certificate ca;

static void make_authority(void)
{
	now = clock_wall() / CLOCK_SECOND;
	ca = certificate_make("Test CA", NULL, -DAY, 1000L * DAY, NULL);
}

static void clear_authority(void)
{
	certificate_clear(&ca);
}

/* Key and certificate for mail.test, from and to so many seconds from now. signer NULL: its own. */
static struct buf made(long from, long to, const struct certificate *signer)
{
	struct certificate c = certificate_make("mail.test", "DNS:mail.test", from, to, signer);
	struct buf pem = BUF_MAX(PEM_MAX);

	buf_put_text(&pem, c.both);
	certificate_clear(&c);
	return pem;
}

static struct cert_restore_wish wish_for(const struct str *names, unsigned n)
{
	return (struct cert_restore_wish){
		.key = STR("mail"), .names = names, .n_names = n, .key_type = TLS_KEY_ECDSA, .but_not = ""};
}

static void only_what_would_do_is_taken(void)
{
	static const struct {
		const struct str *names;
		unsigned n;
		enum tls_key_type type;
		long newer_by; /* what we have began so many seconds ago; 0: there is none */
		long from, to; /* seconds from now */
		bool is_signed;
		const char *why; /* NULL: it is taken; "": not, whatever is said */
	} cases[] = {
		{mail, 1, TLS_KEY_ECDSA, 0, -DAY, DAY, true, NULL},
		{mail, 1, TLS_KEY_ECDSA, DAY + 60, -DAY, DAY, true, NULL},
		{mail, 1, TLS_KEY_ECDSA, DAY - 60, -DAY, DAY, true, "it is not newer"},
		{mail, 1, TLS_KEY_RSA, 0, -DAY, DAY, true, "its key is of another type"},
		{both, 2, TLS_KEY_ECDSA, 0, -DAY, DAY, true, ""},
		{mail, 1, TLS_KEY_ECDSA, 0, -DAY, 399L * DAY, true, NULL},
		{mail, 1, TLS_KEY_ECDSA, 0, -DAY, 399L * DAY + 60, true, "it is good for longer than 400 days, which no public authority gives"},
		{mail, 1, TLS_KEY_ECDSA, 0, -DAY, DAY, false, "it is signed by itself, not by an authority"},
		{mail, 1, TLS_KEY_ECDSA, 0, -DAY, 36500L * DAY, false, "it is signed by itself, not by an authority"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cert_restore_wish wish = wish_for(cases[i].names, cases[i].n);
		struct buf pem = made(cases[i].from, cases[i].to, cases[i].is_signed ? &ca : NULL);
		struct tls_certificate seen;
		struct err err = {""};
		bool ok;

		wish.key_type = cases[i].type;
		wish.newer_than = cases[i].newer_by > 0 ? now - cases[i].newer_by : 0;
		ok = cert_restore_is_good(&wish, buf_str(&pem), now, &seen, &err);
		UNIT_INT(ok, cases[i].why == NULL);
		if (cases[i].why != NULL && cases[i].why[0] != '\0')
			UNIT_TEXT(err.text, cases[i].why);
		buf_clear_secret(&pem);
	}
}

static void what_is_over_early_revoked_or_broken_is_not(void)
{
	struct buf pem = made(-DAY, DAY, &ca), other = made(-DAY, DAY, &ca);
	struct cert_restore_wish wish = wish_for(mail, 1);
	struct tls_certificate seen;
	struct err err;
	size_t end = (size_t)(strstr(pem.p, "-----BEGIN CERTIFICATE") - pem.p);

	UNIT_TRUE(!cert_restore_is_good(&wish, buf_str(&pem), now + 2 * DAY, &seen, &err));
	UNIT_TRUE(!cert_restore_is_good(&wish, buf_str(&pem), now - 2 * DAY, &seen, &err));
	UNIT_TRUE(!cert_restore_is_good(&wish, str_first(buf_str(&pem), pem.n / 2), now, &seen, &err));
	UNIT_TRUE(!cert_restore_is_good(&wish, STR("not found"), now, &seen, &err));
	UNIT_TRUE(!cert_restore_is_good(&wish, STR(""), now, &seen, &err));
	/* A certificate without its key, whichever of both stands first. */
	UNIT_TRUE(!cert_restore_is_good(&wish, end == 0 ? str_first(buf_str(&pem), (size_t)(strstr(pem.p, "-----BEGIN PRIVATE") - pem.p)) :
							  str_from(buf_str(&pem), end),
					now, &seen, &err));
	UNIT_TRUE(cert_restore_is_good(&wish, buf_str(&other), now, &seen, &err));
	wish.but_not = seen.fingerprint;
	UNIT_TRUE(!cert_restore_is_good(&wish, buf_str(&other), now, &(struct tls_certificate){.not_after = 0}, &err));
	UNIT_TEXT(err.text, "it was revoked");
	UNIT_TRUE(cert_restore_is_good(&wish, buf_str(&pem), now, &(struct tls_certificate){.not_after = 0}, &err));
	buf_clear_secret(&pem);
	buf_clear_secret(&other);
}

/* ---- from a directory ---- */

struct heard {
	unsigned n;
	struct buf pem;
	int64_t not_before;
};

static void on_restored(void *ctx, struct str pem, const struct tls_certificate *seen, const char *why)
{
	struct heard *heard = ctx;

	heard->n++;
	buf_put_str(&heard->pem, pem);
	heard->not_before = pem.n > 0 ? seen->not_before : 0;
	UNIT_TEXT(why, "");
}

static void a_copy_in_the_directory_is_found(void)
{
	char path[] = "/tmp/cert_restore_test.XXXXXX";
	struct buf pem = made(-DAY, DAY, &ca);
	struct loop *loop = loop_new();
	struct settings *settings = settings_new();
	struct cert_restore_wish wish = wish_for(mail, 1);
	struct heard heard = {.pem = BUF_MAX(PEM_MAX)}, none = {.pem = BUF_MAX(PEM_MAX)};
	struct cert_backup_config config = {.loop = loop, .settings = settings};
	struct cert_backup *backup;
	struct cert_restore *restore, *forgotten;
	int file;

	UNIT_TRUE(mkdtemp(path) != NULL);
	free(settings->acme.backup_directory);
	settings->acme.backup_directory = mem_text(path);
	config.directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	UNIT_INT(mkdirat(config.directory, "mail", 0700), 0);
	file = openat(config.directory, "mail/tls.pem", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	UNIT_TRUE(fd_write_all(file, pem.p, pem.n));
	fd_close(&file);
	backup = cert_backup_new(&config);
	restore = cert_restore_start(backup, &wish, on_restored, &heard);
	forgotten = cert_restore_start(backup, &wish, on_restored, &none);
	UNIT_TRUE(restore != NULL && heard.n == 0);
	cert_restore_forget(&forgotten);
	UNIT_TRUE(forgotten == NULL);
	for (int i = 0; i < 100 && heard.n == 0; i++)
		loop_turn(loop, 10000);
	loop_turn(loop, 10000);
	UNIT_INT(heard.n, 1);
	UNIT_INT(none.n, 0);
	UNIT_TRUE(str_eq(buf_str(&heard.pem), buf_str(&pem)));
	UNIT_TRUE(heard.not_before >= now - DAY && heard.not_before < now - DAY + 600);
	cert_backup_free(&backup);
	unlinkat(config.directory, "mail/tls.pem", 0);
	unlinkat(config.directory, "mail", AT_REMOVEDIR);
	rmdir(path);
	buf_clear_secret(&pem);
	buf_clear_secret(&heard.pem);
	settings_free(&settings);
	loop_free(&loop);
}

UNIT_TESTS({"make an authority", make_authority},
	   {"only what would do is taken", only_what_would_do_is_taken},
	   {"what is over, early, revoked or broken is not", what_is_over_early_revoked_or_broken_is_not},
	   {"a copy in the directory is found", a_copy_in_the_directory_is_found},
	   {"clear the authority", clear_authority})
