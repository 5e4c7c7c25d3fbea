/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs initdb, postgres and psql for the tests that need a database. Postgres refuses to run as
 * root; then it runs as the user postgres, or nobody. A guard process waits for the end of the test
 * program and cleans up, so that a crashed test leaves nothing behind.
 */
#include "tests/support/pg_fixture.h"

#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/fd.h"
#include "lib/base/mem.h"
#include "lib/base/trouble.h"
#include "lib/settings/settings.h"

enum { SKIPPED = 77, WORDS_MAX = 24 };

static char *directory, *programs;
static const struct passwd *user;
static pid_t server, guard, owner;
static int guard_pipe = -1;
static PGconn *session; /* of the database that was asked last */

static void text_printf(char **out, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void text_printf(char **out, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (vasprintf(out, format, args) < 0)
		die("no memory");
	va_end(args);
}

/* The newest Postgres: Debian keeps the server's programs out of PATH. */
static void find_programs(void)
{
	const char *path = getenv("PATH");
	struct str rest = str_of(path), dir;
	glob_t found;

	if (glob("/usr/lib/postgresql/*/bin/initdb", 0, NULL, &found) == 0) {
		programs = mem_text(found.gl_pathv[found.gl_pathc - 1]);
		*strrchr(programs, '/') = '\0';
		globfree(&found);
		return;
	}
	while (str_next(&rest, ':', &dir)) {
		char *file;

		text_printf(&file, "%.*s/initdb", STR_ARG(dir));
		if (access(file, X_OK) == 0) {
			programs = str_dup(dir);
			free(file);
			return;
		}
		free(file);
	}
	printf("skipped: Postgres' initdb was not found\n");
	exit(SKIPPED);
}

/* Starts a program of Postgres' as its user; its words go to `out` and `err`. */
static pid_t spawn(const char *program, const char *const *words, int in, int out, int err)
{
	pid_t pid = fork();
	const char *argv[32] = {NULL};
	char *file;

	if (pid < 0)
		die("fork");
	if (pid > 0)
		return pid;
	text_printf(&file, "%s/%s", programs, program);
	/* Postgres' programs look for each other beside their own name, else in PATH. */
	argv[0] = file;
	for (unsigned i = 1; words[i] != NULL; i++) {
		must(i + 1 < sizeof(argv) / sizeof(argv[0]));
		argv[i] = words[i];
	}
	if (user != NULL &&
	    (setgroups(0, NULL) < 0 || setgid(user->pw_gid) < 0 || setuid(user->pw_uid) < 0))
		die("cannot become %s", user->pw_name);
	if (chdir(directory) < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
		die("cannot prepare %s", program);
	setenv("LC_ALL", "C", 1);
	execv(file, (char *const *)argv);
	die("cannot run %s", file);
}

static void run(const char *program, const char *const *words)
{
	int in = open("/dev/null", O_RDONLY | O_CLOEXEC),
	    out = open("/dev/null", O_WRONLY | O_CLOEXEC);
	int status;

	if (waitpid(spawn(program, words, in, out, 2), &status, 0) < 0 || status != 0)
		die("%s failed", program);
	fd_close(&in);
	fd_close(&out);
}

static void remove_directory(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		execlp("rm", "rm", "-rf", directory, (char *)NULL);
		_exit(1);
	}
	waitpid(pid, &status, 0);
}

/* Waits for the end of the test program, in a process of its own. Postgres is killed by the file in
 * which it keeps its number, since it may have been started again since. */
static void keep_guard(int fd)
{
	struct buf number = BUF_MAX(256);
	struct str rest, line;
	uint64_t pid;
	char *file, c;

	prctl(PR_SET_NAME, "pg_fixture");
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	while (read(fd, &c, 1) > 0)
		continue;
	text_printf(&file, "%s/data/postmaster.pid", directory);
	if (fd_read_file(file, &number, NULL)) {
		rest = buf_str(&number);
		if (str_next(&rest, '\n', &line) && str_u64(line, 2, INT32_MAX, &pid))
			for (int sig = SIGQUIT; kill((pid_t)pid, sig) == 0; sig = 0)
				usleep(10000);
	}
	remove_directory();
	_exit(0);
}

static void forget_session(void)
{
	PQfinish(session);
	session = NULL;
}

static void stop_guard(void)
{
	int status;

	/* A child of ours that ends by exit() comes here too. */
	if (getpid() != owner)
		return;
	forget_session();
	fd_close(&guard_pipe);
	if (server > 0) {
		kill(server, SIGQUIT);
		waitpid(server, &status, 0);
	}
	waitpid(guard, &status, 0);
}

static void start_guard(void)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		die("pipe");
	guard = fork();
	if (guard < 0)
		die("fork");
	if (guard == 0) {
		close(fds[1]);
		keep_guard(fds[0]);
	}
	close(fds[0]);
	guard_pipe = fds[1];
	owner = getpid();
	atexit(stop_guard);
}

static void start_server(void)
{
	const char *const words[] = {"postgres",
				     "-D",
				     "data",
				     "-k",
				     directory,
				     "-c",
				     "listen_addresses=",
				     "-c",
				     "fsync=off",
				     "-c",
				     "shared_buffers=16MB",
				     "-c",
				     "max_connections=50",
				     "-c",
				     "autovacuum=off",
				     "-c",
				     "unix_socket_permissions=0777",
				     NULL};
	const char *const ask[] = {"psql",     "-X", "-h",     directory,  "-U",
				   "postgres", "-c", "SELECT", "postgres", NULL};
	int in = open("/dev/null", O_RDONLY | O_CLOEXEC), out, status;
	int64_t deadline = clock_mono() + 30 * CLOCK_SECOND;
	char *file;

	text_printf(&file, "%s/log", directory);
	out = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	free(file);
	server = spawn("postgres", words, in, out, out);
	do {
		if (clock_mono() > deadline || waitpid(server, &status, WNOHANG) != 0)
			die("postgres does not start");
		usleep(20000);
		waitpid(spawn("psql", ask, in, out, out), &status, 0);
	} while (status != 0);
	fd_close(&in);
	fd_close(&out);
}

const char *pg_fixture_start(void)
{
	const char *const words[] = {"initdb", "-N",   "-A",	      "trust", "-U",   "postgres",
				     "-E",     "UTF8", "--no-locale", "-D",    "data", NULL};
	const char *tmp = getenv("TMPDIR");

	if (directory != NULL)
		return directory;
	find_programs();
	if (getuid() == 0 && (user = getpwnam("postgres")) == NULL &&
	    (user = getpwnam("nobody")) == NULL)
		die("there is no ordinary user for Postgres");
	text_printf(&directory, "%s/pg_fixture.XXXXXX", tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(directory) == NULL || chmod(directory, 0755) < 0 ||
	    (user != NULL && chown(directory, user->pw_uid, user->pw_gid) < 0))
		die("cannot make %s", directory);
	start_guard();
	run("initdb", words);
	start_server();
	return directory;
}

void pg_fixture_kill(void)
{
	int status;

	kill(server, SIGKILL);
	waitpid(server, &status, 0);
	server = 0;
}

void pg_fixture_restart(void)
{
	start_server();
}

/* One transaction, read from a file of ours that Postgres' user need not be able to open. */
static void run_file(const char *database, const char *file)
{
	const char *const words[] = {"psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-1", "-h", directory, "-U", "postgres", "-d", database,
				     "-f", "-", NULL};
	int in = open(file, O_RDONLY | O_CLOEXEC), null = open("/dev/null", O_WRONLY | O_CLOEXEC), status;

	if (in < 0 || null < 0)
		die("cannot open %s", file);
	if (waitpid(spawn("psql", words, in, null, 2), &status, 0) < 0 || status != 0)
		die("psql failed: %s", file);
	fd_close(&in);
	fd_close(&null);
}

static void ignore_notice(void *ctx, const char *message)
{
	(void)ctx, (void)message;
}

static void use_session(const char *database)
{
	const char *const names[] = {"host", "user", "dbname", NULL}, *const values[] = {directory, "postgres", database, NULL};

	if (session != NULL && strcmp(PQdb(session), database) == 0) {
		PQclear(PQexec(session, "DISCARD ALL"));
		if (PQstatus(session) == CONNECTION_OK)
			return; /* else the server was begun anew since */
	}
	forget_session();
	session = PQconnectdbParams(names, values, 0);
	if (PQstatus(session) != CONNECTION_OK)
		die("%s: %s", database, PQerrorMessage(session));
	PQsetNoticeProcessor(session, ignore_notice, NULL);
}

/* One transaction. Tests ask thousands of times: a session that is kept costs them little. */
static PGresult *ask(const char *database, const char *sql)
{
	PGresult *result;

	pg_fixture_start();
	use_session(database);
	result = PQexec(session, sql);
	if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
		die("%s: %s", sql, PQresultErrorMessage(result));
	return result;
}

void pg_fixture_sql(const char *database, const char *sql)
{
	PQclear(ask(database, sql));
}

const char *pg_fixture_ask(const char *database, const char *sql)
{
	static char answer[4096];
	PGresult *result = ask(database, sql);
	struct buf line = {.p = answer, .size = sizeof(answer), .max = sizeof(answer)};

	for (int i = 0; PQntuples(result) > 0 && i < PQnfields(result); i++)
		buf_printf(&line, "%s%s", i > 0 ? "|" : "", PQgetvalue(result, 0, i));
	PQclear(result);
	buf_put_char(&line, '\0');
	must(!line.is_full);
	answer[strcspn(answer, "\n")] = '\0';
	return answer;
}

static void create_database(const char *name, const char *from)
{
	const char *const words[] = {"createdb", "-h", pg_fixture_start(), "-U", "postgres", "-T", from, name, NULL};

	run("createdb", words);
}

void pg_fixture_database(const char *name)
{
	create_database(name, "template1");
}

/* It is made once, and copied: that takes a tenth of the time. */
static void make_schema(const char *name)
{
	glob_t found;

	pg_fixture_database(name);
	if (glob(PG_FIXTURE_SQL "/[0-9]*.sql", 0, NULL, &found) != 0)
		die("no schema in " PG_FIXTURE_SQL);
	for (size_t i = 0; i < found.gl_pathc; i++)
		run_file(name, found.gl_pathv[i]);
	globfree(&found);
}

void pg_fixture_schema(const char *name)
{
	static bool is_made;

	if (!is_made)
		make_schema("schema");
	is_made = true;
	create_database(name, "schema");
}

void pg_fixture_require_password(const char *role)
{
	struct buf rules = BUF_MAX(4096);
	char *file;
	int fd;

	text_printf(&file, "%s/data/pg_hba.conf", directory);
	buf_printf(&rules, "local all %s scram-sha-256\nlocal all all trust\n", role);
	fd = open(file, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (fd < 0 || !fd_write_all(fd, rules.p, rules.n))
		die("cannot write %s", file);
	fd_close(&fd);
	free(file);
	buf_clear(&rules);
	pg_fixture_sql("postgres", "SELECT pg_reload_conf()");
}

struct pg_options pg_fixture_options(const char *database, const char *role)
{
	return (struct pg_options){
		.host = pg_fixture_start(),
		.port = 5432,
		.name = database,
		.user = role,
		.application = "test",
		.sslmode = SSLMODE_DISABLE,
		.connect_timeout = 2 * CLOCK_SECOND,
		.statement_timeout = 10 * CLOCK_SECOND,
	};
}
