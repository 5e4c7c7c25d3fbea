/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of cert-renewer/cert_backup.c: a directory, and this program as S3.
 */
#include "cert-renewer/cert_backup.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "cert-renewer/s3.h"
#include "lib/base/mem.h"
#include "tests/support/http_fixture.h"

enum { FILES = 4 };

struct scene {
	struct loop *loop;
	struct http_client *http;
	struct http_fixture store;
	struct settings *settings;
	struct cert_backup *backup;
	char path[64];
	int directory;
	unsigned n_put, n_got, n_ended;
	bool ok;
	char got[FILES][64], where[FILES][64], why[1024];
};

static void put_text(char **setting, const char *text)
{
	free(*setting);
	*setting = mem_text(text);
}

static void begin(struct scene *s, bool with_directory, bool with_s3)
{
	*s = (struct scene){.loop = loop_new(), .settings = settings_new(), .directory = -1, .path = "/tmp/cert_backup_test.XXXXXX"};
	s->http = http_client_new(s->loop, &(struct http_client_config){.connect_timeout = 5 * CLOCK_SECOND, .max_connections = 4});
	http_fixture_start(&s->store, s->loop);
	UNIT_TRUE(mkdtemp(s->path) != NULL);
	s->settings->aws.credentials = AWS_SETTINGS;
	put_text(&s->settings->aws.access_key_id, "AK");
	put_text(&s->settings->aws.secret_access_key, "secret");
	put_text(&s->settings->aws.s3_endpoint, s->store.url);
	if (with_directory) {
		put_text(&s->settings->acme.backup_directory, s->path);
		s->directory = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (with_s3)
		put_text(&s->settings->acme.backup_s3, "s3://certs/prefix");
	s->backup = cert_backup_new(&(struct cert_backup_config){
		.loop = s->loop, .http = s->http, .settings = s->settings, .directory = s->directory});
}

static void end(struct scene *s)
{
	static const char *const names[] = {"smtp/tls.pem", "smtp/elsewhere", "smtp", ""};
	char path[128];

	cert_backup_free(&s->backup);
	http_client_free(&s->http);
	http_fixture_stop(&s->store);
	loop_turn(s->loop, 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", s->path, names[i]);
		if (unlink(path) != 0)
			rmdir(path);
	}
	UNIT_TRUE(access(s->path, F_OK) != 0); /* nothing else was in it */
	fd_close(&s->directory);
	settings_free(&s->settings);
	loop_free(&s->loop);
}

static void on_put(void *ctx, bool ok, const char *why)
{
	struct scene *s = ctx;

	s->n_put++;
	s->ok = ok;
	UNIT_TRUE(str_copy(str_of(why), s->why, sizeof(s->why)));
}

static void put(struct scene *s, const char *bytes)
{
	s->n_put = 0;
	cert_backup_put(s->backup, STR("smtp"), STR("tls.pem"), str_of(bytes), on_put, s);
	UNIT_INT(s->n_put, 0);
	HTTP_FIXTURE_UNTIL(s->loop, s->n_put == 1);
}

static void on_got(void *ctx, struct str bytes, const char *where, const char *why)
{
	struct scene *s = ctx;

	if (bytes.n == 0) {
		s->n_ended++;
		UNIT_TRUE(str_copy(str_of(why), s->why, sizeof(s->why)));
		return;
	}
	UNIT_TRUE(s->n_ended == 0 && s->n_got < FILES);
	UNIT_TRUE(str_copy(bytes, s->got[s->n_got], sizeof(s->got[0])));
	UNIT_TRUE(str_copy(str_of(where), s->where[s->n_got++], sizeof(s->where[0])));
}

static void get(struct scene *s)
{
	s->n_got = s->n_ended = 0;
	cert_backup_get(s->backup, STR("smtp"), STR("tls.pem"), on_got, s);
	UNIT_INT(s->n_ended, 0);
	HTTP_FIXTURE_UNTIL(s->loop, s->n_ended == 1);
}

static void a_copy_is_in_every_place(void)
{
	struct scene s;
	struct stat st;

	begin(&s, true, true);
	UNIT_TRUE(cert_backup_is_wanted(s.backup));
	http_fixture_says(&s.store, 404, NULL, "");
	get(&s);
	UNIT_INT(s.n_got, 0);
	UNIT_TEXT(s.why, "");
	http_fixture_reset(&s.store);
	http_fixture_says(&s.store, 200, NULL, "");
	put(&s, "first");
	UNIT_TRUE(s.ok);
	put(&s, "key and chain");
	UNIT_TRUE(s.ok);
	UNIT_TEXT(s.why, "");
	UNIT_STR(http_fixture_asked(&s.store, 1), "PUT /certs/prefix/smtp/tls.pem");
	UNIT_STR(http_fixture_body(&s.store, 1), "key and chain");
	UNIT_INT(fstatat(s.directory, "smtp", &st, AT_SYMLINK_NOFOLLOW), 0);
	UNIT_INT(st.st_mode & 07777, 0700);
	UNIT_INT(fstatat(s.directory, "smtp/tls.pem", &st, AT_SYMLINK_NOFOLLOW), 0);
	UNIT_INT(st.st_mode & 07777, 0600);
	http_fixture_reset(&s.store);
	http_fixture_says(&s.store, 200, NULL, "that of S3");
	get(&s);
	UNIT_INT(s.n_got, 2);
	UNIT_TEXT(s.got[0], "key and chain");
	UNIT_TEXT(s.where[0], "acme.backup_directory");
	UNIT_TEXT(s.got[1], "that of S3");
	UNIT_TEXT(s.where[1], "acme.backup_s3");
	UNIT_TEXT(s.why, "");
	end(&s);
}

static void one_place_that_fails_keeps_it_from_no_other(void)
{
	struct scene s;

	begin(&s, true, true);
	http_fixture_says(&s.store, 403, NULL, "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>");
	put(&s, "one");
	UNIT_TRUE(!s.ok);
	UNIT_TEXT(s.why, "acme.backup_s3: S3 answered 403 AccessDenied: Access Denied");
	get(&s);
	UNIT_INT(s.n_got, 1);
	UNIT_TEXT(s.got[0], "one");
	UNIT_TRUE(str_starts(str_of(s.why), STR("acme.backup_s3: S3 answered 403 AccessDenied: Access Denied")));
	http_fixture_reset(&s.store);
	http_fixture_says(&s.store, 200, NULL, "two");
	/* A link in the way is neither read nor followed. */
	UNIT_INT(renameat(s.directory, "smtp/tls.pem", s.directory, "smtp/elsewhere"), 0);
	UNIT_INT(symlinkat("elsewhere", s.directory, "smtp/tls.pem"), 0);
	get(&s);
	UNIT_INT(s.n_got, 1);
	UNIT_TEXT(s.where[0], "acme.backup_s3");
	UNIT_TRUE(str_starts(str_of(s.why), STR("acme.backup_directory: smtp/tls.pem cannot be read: ")));
	/* And a directory that is none. */
	UNIT_INT(unlinkat(s.directory, "smtp/tls.pem", 0), 0);
	UNIT_INT(unlinkat(s.directory, "smtp/elsewhere", 0), 0);
	UNIT_INT(unlinkat(s.directory, "smtp", AT_REMOVEDIR), 0);
	UNIT_INT(symlinkat("/tmp", s.directory, "smtp"), 0);
	put(&s, "three");
	UNIT_TRUE(!s.ok);
	UNIT_TRUE(str_starts(str_of(s.why), STR("acme.backup_directory: smtp/tls.pem cannot be written: ")));
	UNIT_INT(s.store.n_requests, 2);
	UNIT_TRUE(access("/tmp/tls.pem", F_OK) != 0);
	end(&s);
}

static void a_directory_that_could_not_be_opened_is_said(void)
{
	struct scene s;

	begin(&s, false, false);
	UNIT_TRUE(!cert_backup_is_wanted(s.backup));
	put(&s, "x");
	UNIT_TRUE(s.ok);
	put_text(&s.settings->acme.backup_directory, "/no/where");
	cert_backup_use_settings(s.backup, s.settings);
	UNIT_TRUE(cert_backup_is_wanted(s.backup));
	put(&s, "x");
	UNIT_TRUE(!s.ok);
	UNIT_TEXT(s.why, "acme.backup_directory: it could not be opened at the start");
	get(&s);
	UNIT_INT(s.n_got, 0);
	UNIT_TRUE(s.why[0] != '\0');
	end(&s);
}

static void what_could_not_be_read_back_is_not_copied(void)
{
	char *large = mem_zero(S3_FILE_MAX + 2);
	struct scene s;

	memset(large, 'a', S3_FILE_MAX + 1);
	begin(&s, true, false);
	put(&s, large);
	UNIT_TRUE(!s.ok);
	UNIT_TEXT(s.why, "tls.pem: it is too large to be copied, or empty");
	put(&s, "");
	UNIT_TRUE(!s.ok);
	large[S3_FILE_MAX] = '\0';
	put(&s, large);
	UNIT_TRUE(s.ok);
	free(large);
	end(&s);
}

static void the_end_is_told_to_nobody(void)
{
	struct scene s;

	begin(&s, true, true);
	http_fixture_says(&s.store, 200, NULL, "");
	cert_backup_put(s.backup, STR("smtp"), STR("tls.pem"), STR("x"), on_put, &s);
	HTTP_FIXTURE_UNTIL(s.loop, http_client_count(s.http) == 1);
	put_text(&s.settings->acme.backup_s3, "");
	cert_backup_get(s.backup, STR("smtp"), STR("tls.pem"), on_got, &s);
	cert_backup_free(&s.backup);
	loop_turn(s.loop, 0);
	UNIT_INT(s.n_put + s.n_got + s.n_ended, 0);
	end(&s);
}

UNIT_TESTS({"a copy is in every place", a_copy_is_in_every_place},
	   {"one place that fails keeps it from no other", one_place_that_fails_keeps_it_from_no_other},
	   {"a directory that could not be opened is said", a_directory_that_could_not_be_opened_is_said},
	   {"what could not be read back is not copied", what_could_not_be_read_back_is_not_copied},
	   {"the end is told to nobody", the_end_is_told_to_nobody})
