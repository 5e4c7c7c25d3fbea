/* SPDX-License-Identifier: Apache-2.0
 *
 * smtp-proxyctl db, tenant and user, as a program against a real Postgres: what is printed, the
 * exit statuses, and what is in the database afterwards.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/base/fd.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/queue/password.h"
#include "tests/support/pg_fixture.h"
#include "tests/support/unit.h"

static char printed[16384];
static char config[4096];

/* Runs smtp-proxyctl by the shell with words and standard input; keeps its output in `printed`. */
static int ctl(const char *words, const char *input)
{
	struct buf command = BUF_MAX(8192);
	size_t n = 0;
	ssize_t got;
	int fds[2], status;
	pid_t pid;

	buf_printf(&command, "printf '%%s' '%s' | ctl/smtp-proxyctl -c %s %s 2>&1", input, config,
		   words);
	buf_put_char(&command, '\0');
	fflush(stdout);
	must(pipe(fds) == 0);
	pid = fork();
	must(pid >= 0);
	if (pid == 0) {
		dup2(fds[1], STDOUT_FILENO);
		close(fds[0]);
		execl("/bin/sh", "sh", "-c", command.p, (char *)NULL);
		_exit(EX_OSERR);
	}
	close(fds[1]);
	while ((got = read(fds[0], printed + n, sizeof(printed) - 1 - n)) > 0)
		n += (size_t)got;
	printed[n] = '\0';
	close(fds[0]);
	buf_clear(&command);
	must(waitpid(pid, &status, 0) == pid);
	return WEXITSTATUS(status);
}

static bool prints(const char *words)
{
	if (strstr(printed, words) == NULL)
		printf("\nprinted: %s\n", printed);
	return strstr(printed, words) != NULL;
}

static void write_file(const char *path, const char *content)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	must(fd >= 0 && fd_write_all(fd, content, strlen(content)));
	fd_close(&fd);
}

static void use_database(const char *name)
{
	struct buf yaml = BUF_MAX(4096);

	snprintf(config, sizeof(config), "%s/main.yaml", pg_fixture_start());
	buf_printf(&yaml,
		   "database:\n  host: %s\n  name: %s\n  admin_user: postgres\n  queue_password: "
		   "queue-secret\n"
		   "  gate_password: gate-secret\nproviders:\n  files:\n    type: file\n    "
		   "directory: /tmp\n"
		   "queue:\n  default_provider: files\n",
		   pg_fixture_start(), name);
	buf_put_char(&yaml, '\0');
	write_file(config, yaml.p);
	buf_clear(&yaml);
}

static void migrate_applies_each_file_once(void)
{
	pg_fixture_database("migrated");
	use_database("migrated");
	UNIT_INT(ctl("tenant list", ""), EX_UNAVAILABLE);
	UNIT_TRUE(prints("db migrate"));
	UNIT_INT(ctl("db status --sql " PG_FIXTURE_SQL, ""), EX_OK);
	UNIT_TRUE(prints("pending"));
	UNIT_INT(ctl("db migrate --sql " PG_FIXTURE_SQL, ""), EX_OK);
	UNIT_TRUE(prints("applied 0001_queue.sql"));
	UNIT_INT(ctl("db migrate --sql " PG_FIXTURE_SQL, ""), EX_OK);
	UNIT_TRUE(prints("up to date"));
	UNIT_INT(ctl("--json db status --sql " PG_FIXTURE_SQL, ""), EX_OK);
	UNIT_TRUE(prints("\"state\":\"applied\""));
	UNIT_TEXT(pg_fixture_ask("migrated", "SELECT count(*) FROM shard"), "64");
	UNIT_TEXT(pg_fixture_ask("migrated", "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'smtp_proxy_%' AND"
					     " 'tcp_keepalives_idle=15' = ANY (rolconfig) AND 'jit=off' = ANY (rolconfig)"), "2");
}

static void migrate_sets_the_roles_passwords_as_verifiers(void)
{
	static const char *const ask =
		"SELECT rolpassword FROM pg_authid WHERE rolname = 'smtp_proxy_queue'";

	UNIT_TRUE(str_starts(str_of(pg_fixture_ask("migrated", ask)), STR("SCRAM-SHA-256$4096:")));
}

static void a_broken_file_is_named_with_its_line_and_changes_nothing(void)
{
	char dir[4096], file[4200];
	struct buf words = BUF_MAX(8192);

	pg_fixture_database("broken");
	use_database("broken");
	snprintf(dir, sizeof(dir), "%s/sql", pg_fixture_start());
	must(mkdir(dir, 0700) == 0);
	snprintf(file, sizeof(file), "%s/0001_good.sql", dir);
	write_file(file, "CREATE TABLE good (n int); -- gr\xc3\xbc\xc3\x9f\n");
	snprintf(file, sizeof(file), "%s/0002_bad.sql", dir);
	write_file(file, "CREATE TABLE bad (n int);\n-- gr\xc3\xbc\xc3\x9f $$ '\n\nINSERT INTO "
			 "nowhere VALUES (1);\n");
	buf_printf(&words, "db migrate --sql %s", dir);
	buf_put_char(&words, '\0');
	UNIT_INT(ctl(words.p, ""), EX_SOFTWARE);
	UNIT_TRUE(prints("0002_bad.sql:4: relation \"nowhere\" does not exist"));
	UNIT_TEXT(pg_fixture_ask(
			  "broken",
			  "SELECT to_regclass('good') IS NOT NULL AND to_regclass('bad') IS NULL"),
		  "t");
	UNIT_TEXT(pg_fixture_ask("broken", "SELECT string_agg(name, ',') FROM schema_version"),
		  "0001_good.sql");
	buf_clear(&words);
}

static void tenants_are_added_listed_and_changed(void)
{
	use_database("migrated");
	UNIT_INT(ctl("tenant add acme", ""), EX_OK);
	UNIT_TRUE(prints("added tenant acme"));
	UNIT_INT(ctl("tenant add acme", ""), EX_DATAERR);
	UNIT_TRUE(prints("there is such a tenant already"));
	UNIT_INT(ctl("tenant add -- '-x'", ""), EX_DATAERR);
	UNIT_INT(ctl("tenant add other --provider nobody", ""), EX_DATAERR);
	UNIT_TRUE(prints("they have: files"));
	UNIT_INT(ctl("tenant add other --on-unknown drop", ""), EX_USAGE);
	UNIT_INT(ctl("tenant set acme --provider files --on-unknown hold", ""), EX_OK);
	UNIT_INT(ctl("tenant set nobody --provider files", ""), EX_DATAERR);
	UNIT_TRUE(prints("tenant list"));
	UNIT_INT(ctl("tenant disable acme", ""), EX_OK);
	UNIT_INT(ctl("--json tenant list", ""), EX_OK);
	UNIT_TRUE(prints("\"name\":\"acme\",\"provider\":\"files\",\"on_unknown\":\"hold\",\"is_"
			 "enabled\":false"));
	UNIT_INT(ctl("tenant enable acme", ""), EX_OK);
}

static void users_are_added_with_a_hash_of_what_was_read(void)
{
	char path[4200], words[8192];

	UNIT_INT(ctl("user add app1 --tenant acme", "geheim-1\n"), EX_OK);
	UNIT_TRUE(password_is_right(
		STR("geheim-1"),
		pg_fixture_ask("migrated", "SELECT password FROM smtp_user WHERE name = 'app1'")));
	UNIT_INT(ctl("user add app1 --tenant acme", "x\n"), EX_DATAERR);
	UNIT_TRUE(prints("there is such a user already"));
	UNIT_INT(ctl("user add app2 --tenant nobody", "x\n"), EX_DATAERR);
	UNIT_TRUE(prints("nobody: no such tenant (smtp-proxyctl tenant list shows them)"));
	UNIT_INT(ctl("user add app2 --tenant acme", "\n"), EX_DATAERR);
	UNIT_INT(ctl("user add app2", "x\n"), EX_USAGE);
	snprintf(path, sizeof(path), "%s/password", pg_fixture_start());
	write_file(path, "geheim-2\r\nmore\n");
	snprintf(words, sizeof(words), "user passwd app1 --password-file %s", path);
	UNIT_INT(ctl(words, ""), EX_OK);
	UNIT_TRUE(password_is_right(
		STR("geheim-2"),
		pg_fixture_ask("migrated", "SELECT password FROM smtp_user WHERE name = 'app1'")));
	UNIT_INT(ctl("user passwd nobody", "x\n"), EX_DATAERR);
}

static void a_made_up_password_is_printed_once(void)
{
	char *password;

	UNIT_INT(ctl("--json user add app3 --tenant acme --generate", ""), EX_OK);
	password = strstr(printed, "\"password\":\"");
	UNIT_TRUE(password != NULL);
	if (password == NULL)
		return;
	password += strlen("\"password\":\"");
	password[strcspn(password, "\"")] = '\0';
	UNIT_INT(strlen(password), 32);
	UNIT_TRUE(password_is_right(
		str_of(password),
		pg_fixture_ask("migrated", "SELECT password FROM smtp_user WHERE name = 'app3'")));
}

static void users_are_listed_and_disabled(void)
{
	UNIT_INT(ctl("tenant add second", ""), EX_OK);
	UNIT_INT(ctl("user add zed --tenant second --generate", ""), EX_OK);
	UNIT_INT(ctl("user list --tenant acme", ""), EX_OK);
	UNIT_TRUE(prints("app1") && strstr(printed, "zed") == NULL);
	UNIT_INT(ctl("user list --tenant nobody", ""), EX_DATAERR);
	UNIT_INT(ctl("user disable zed", ""), EX_OK);
	UNIT_INT(ctl("--json user list", ""), EX_OK);
	UNIT_TRUE(prints("\"name\":\"zed\",\"tenant\":\"second\",\"is_enabled\":false"));
	UNIT_INT(ctl("user enable nobody", ""), EX_DATAERR);
	UNIT_TEXT(pg_fixture_ask("migrated",
				 "SELECT generation > 5 FROM change WHERE topic = 'smtp_user'"),
		  "t");
}

static void a_database_that_is_away_is_temporary(void)
{
	pg_fixture_kill();
	UNIT_INT(ctl("tenant list", ""), EX_TEMPFAIL);
	UNIT_TRUE(prints("the database \"migrated\" as postgres on"));
	pg_fixture_restart();
	UNIT_INT(ctl("tenant list", ""), EX_OK);
}

UNIT_TESTS({"migrate applies each file once", migrate_applies_each_file_once},
	   {"migrate sets the roles' passwords as verifiers",
	    migrate_sets_the_roles_passwords_as_verifiers},
	   {"a broken file is named with its line and changes nothing",
	    a_broken_file_is_named_with_its_line_and_changes_nothing},
	   {"tenants are added, listed and changed", tenants_are_added_listed_and_changed},
	   {"users are added with a hash of what was read",
	    users_are_added_with_a_hash_of_what_was_read},
	   {"a made-up password is printed once", a_made_up_password_is_printed_once},
	   {"users are listed and disabled", users_are_listed_and_disabled},
	   {"a database that is away is temporary", a_database_that_is_away_is_temporary})
