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
#include "tests/support/unit.h"

#define NOW 1790000000LL

enum { DAY = 86400, PEM_MAX = 65536 };

static const struct str mail[] = {{"mail.test", 9}}, both[] = {{"mail.test", 9}, {"smtp.test", 9}};

/* Key and certificate. */
static struct buf made(enum tls_key_type type, const struct str *names, unsigned n, int64_t not_before, int64_t not_after)
{
	const struct tls_key_self_signed wish = {.names = names, .n_names = n, .not_before = not_before, .not_after = not_after};
	struct tls_key *key = tls_key_new(type);
	struct buf pem = BUF_MAX(PEM_MAX);
	struct err err = {""};

	UNIT_TRUE(tls_key_put_self_signed(key, &wish, &pem, &err));
	UNIT_TEXT(err.text, "");
	tls_key_free(&key);
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
		int64_t newer_than;
		const char *why; /* NULL: it is taken */
	} cases[] = {
		{mail, 1, TLS_KEY_ECDSA, 0, NULL},
		{mail, 1, TLS_KEY_ECDSA, NOW - DAY - 1, NULL},
		{mail, 1, TLS_KEY_ECDSA, NOW - DAY, "it is not newer"},
		{mail, 1, TLS_KEY_RSA, 0, "its key is of another type"},
		{both, 2, TLS_KEY_ECDSA, 0, ""},
	};
	struct buf pem = made(TLS_KEY_ECDSA, mail, 1, NOW - DAY, NOW + DAY);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cert_restore_wish wish = wish_for(cases[i].names, cases[i].n);
		struct tls_certificate seen;
		struct err err = {""};
		bool ok;

		wish.key_type = cases[i].type;
		wish.newer_than = cases[i].newer_than;
		ok = cert_restore_is_good(&wish, buf_str(&pem), NOW, &seen, &err);
		UNIT_INT(ok, cases[i].why == NULL);
		if (cases[i].why != NULL && cases[i].why[0] != '\0')
			UNIT_TEXT(err.text, cases[i].why);
	}
	buf_clear_secret(&pem);
}

static void what_is_over_early_revoked_or_broken_is_not(void)
{
	struct buf pem = made(TLS_KEY_ECDSA, mail, 1, NOW - DAY, NOW + DAY), other = made(TLS_KEY_ECDSA, mail, 1, NOW - DAY, NOW + DAY);
	struct cert_restore_wish wish = wish_for(mail, 1);
	struct tls_certificate seen;
	struct err err;
	size_t end = (size_t)(strstr(pem.p, "-----BEGIN CERTIFICATE") - pem.p);

	UNIT_TRUE(!cert_restore_is_good(&wish, buf_str(&pem), NOW + 2 * DAY, &seen, &err));
	UNIT_TRUE(!cert_restore_is_good(&wish, buf_str(&pem), NOW - 2 * DAY, &seen, &err));
	UNIT_TRUE(!cert_restore_is_good(&wish, str_first(buf_str(&pem), pem.n / 2), NOW, &seen, &err));
	UNIT_TRUE(!cert_restore_is_good(&wish, STR("not found"), NOW, &seen, &err));
	UNIT_TRUE(!cert_restore_is_good(&wish, STR(""), NOW, &seen, &err));
	/* A certificate without its key, whichever of both stands first. */
	UNIT_TRUE(!cert_restore_is_good(&wish, end == 0 ? str_first(buf_str(&pem), (size_t)(strstr(pem.p, "-----BEGIN PRIVATE") - pem.p)) :
							  str_from(buf_str(&pem), end),
					NOW, &seen, &err));
	UNIT_TRUE(cert_restore_is_good(&wish, buf_str(&other), NOW, &seen, &err));
	wish.but_not = seen.fingerprint;
	UNIT_TRUE(!cert_restore_is_good(&wish, buf_str(&other), NOW, &(struct tls_certificate){.not_after = 0}, &err));
	UNIT_TEXT(err.text, "it was revoked");
	UNIT_TRUE(cert_restore_is_good(&wish, buf_str(&pem), NOW, &(struct tls_certificate){.not_after = 0}, &err));
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
	int64_t now = clock_wall() / CLOCK_SECOND;
	struct buf pem = made(TLS_KEY_ECDSA, mail, 1, now - DAY, now + DAY);
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
	UNIT_INT(heard.not_before, now - DAY);
	cert_backup_free(&backup);
	unlinkat(config.directory, "mail/tls.pem", 0);
	unlinkat(config.directory, "mail", AT_REMOVEDIR);
	rmdir(path);
	buf_clear_secret(&pem);
	buf_clear_secret(&heard.pem);
	settings_free(&settings);
	loop_free(&loop);
}

UNIT_TESTS({"only what would do is taken", only_what_would_do_is_taken},
	   {"what is over, early, revoked or broken is not", what_is_over_early_revoked_or_broken_is_not},
	   {"a copy in the directory is found", a_copy_in_the_directory_is_found})
