/* SPDX-License-Identifier: Apache-2.0
 *
 * What each role may still do when its rights are given up. Every case runs in a process of its own; its
 * exit status or signal is the result.
 */
#include "tests/support/unit.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netdb.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/fd.h"
#include "lib/base/mem.h"
#include "lib/service/service_rights.h"

enum { ENDED_BY_SIGNAL = 1000 };

static char scratch[] = "/tmp/smtp-proxy-rights-XXXXXX";
static struct settings *settings;

static bool is_filtered(void)
{
#if defined(SP_SANITIZE) || defined(SP_COVERAGE)
	return false;
#else
	return true;
#endif
}

/* Runs `act` as the role; returns what it returned, or ENDED_BY_SIGNAL + the signal. */
static int as(enum role role, int (*act)(void))
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		const char *host, *ca_file;

		service_rights_drop(role, settings, &host, &ca_file);
		_exit(act());
	}
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) ? ENDED_BY_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
}

#define REFUSED(role, act) UNIT_INT(as(role, act), ENDED_BY_SIGNAL + SIGABRT)
#define ALLOWED(role, act) UNIT_INT(as(role, act), 0)

static int run_program(void)
{
	char *argv[] = {(char[]){"true"}, NULL}, *none[] = {NULL};

	execve("/bin/true", argv, none);
	return 0;
}

static int make_process(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid < 0 ? 1 : 0;
}

static int look_into_another(void)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0 ? 0 : 1;
}

static int kill_parent(void)
{
	kill(getppid(), 0);
	return 0;
}

static int make_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd >= 0 ? 0 : 1;
}

static int make_raw_socket(void)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	return fd >= 0 ? 0 : 1;
}

static int listen_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return listen(fd, 1) == 0 ? 0 : 1;
}

static int open_file(void)
{
	return open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0 ? 0 : errno == EACCES ? 2 : 3;
}

static int write_file(void)
{
	return open("/tmp/new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0 ? 0 : 2;
}

static int executable_memory(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p != MAP_FAILED ? 0 : errno == EACCES ? 2 : 3;
}

static int everyday_work(void)
{
	int file = fd_memfile("message"), pair[2];
	char *memory = mem_zero(64 << 20), byte;

	memory[1 << 20] = 1;
	memory = mem_grow(memory, 128 << 20);
	free(memory);
	if (!fd_write_all(file, "12345", 5))
		return 1;
	fd_seal(file);
	ipc_pair(pair);
	if (!fd_is_sealed(file, 5) || fd_map(file, 5) == NULL || write(pair[0], "x", 1) != 1 ||
	    read(pair[1], &byte, 1) != 1)
		return 2;
	return isatty(0) < 0;
}

static void *work(void *ctx)
{
	*(char **)ctx = mem_zero(100);
	return NULL;
}

static int make_threads(void)
{
	pthread_t threads[4];
	char *made[4];

	for (int i = 0; i < 4; i++)
		if (pthread_create(&threads[i], NULL, work, &made[i]) != 0)
			return 1;
	for (int i = 0; i < 4; i++)
		if (pthread_join(threads[i], NULL) != 0)
			return 1;
	return 0;
}

static int resolve_name(void)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;

	return getaddrinfo("localhost", "80", &hints, &found) == 0 ? 0 : 1;
}

static int connect_nowhere(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(1)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 && errno == ECONNREFUSED ? 0 : 1;
}

static int dump_core(void)
{
	struct rlimit core;

	return getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur == 0 ? 0 : 1;
}

static void nobody_may_make_or_touch_processes(void)
{
	for (unsigned role = ROLE_MASTER + 1; is_filtered() && role < ROLE_COUNT; role++) {
		REFUSED((enum role)role, run_program);
		REFUSED((enum role)role, make_process);
		REFUSED((enum role)role, look_into_another);
		REFUSED((enum role)role, kill_parent);
		UNIT_INT(as((enum role)role, executable_memory), 2);
	}
}

static void everyday_work_goes_on(void)
{
	for (unsigned role = ROLE_MASTER + 1; role < ROLE_COUNT; role++) {
		ALLOWED((enum role)role, everyday_work);
		ALLOWED((enum role)role, dump_core);
	}
}

static void who_faces_the_clients_reaches_nothing(void)
{
	static const enum role faces[] = {ROLE_SMTPD, ROLE_API};

	for (size_t i = 0; is_filtered() && i < 2; i++) {
		REFUSED(faces[i], make_socket);
		UNIT_TRUE(as(faces[i], make_threads) != 0);
		UNIT_INT(as(faces[i], open_file), 2);
		UNIT_INT(as(faces[i], write_file), 2);
	}
}

static void the_others_connect_and_resolve(void)
{
	static const enum role callers[] = {ROLE_GATE, ROLE_QMGR, ROLE_DELIVER, ROLE_CERT_RENEWER};

	for (size_t i = 0; i < sizeof(callers) / sizeof(callers[0]); i++) {
		ALLOWED(callers[i], connect_nowhere);
		ALLOWED(callers[i], resolve_name);
		ALLOWED(callers[i], make_threads);
		if (!is_filtered())
			continue;
		REFUSED(callers[i], make_raw_socket);
		REFUSED(callers[i], listen_socket);
		REFUSED(callers[i], write_file);
	}
}

/* A directory that the role may write to, as smtpd's prepare() opens it. */
static int directory;

static int spill(void)
{
	char byte = 0;
	int fd = fd_unnamed(directory);

	return fd >= 0 && fd_write_all(fd, "x", 1) && fd_read_at(fd, 0, &byte, 1) && byte == 'x' ? 0 : 1;
}

/* As where the file system has no files without names. */
static int spill_with_a_name(void)
{
	int fd = openat(directory, "name", FD_ONCE_NAMED, 0600);

	return fd >= 0 && unlinkat(directory, "name", 0) == 0 ? 0 : 1;
}

static int open_through_directory(void)
{
	return openat(directory, "there", O_RDONLY | O_CLOEXEC) >= 0 ? 0 : 1;
}

static int write_through_directory(void)
{
	return openat(directory, "there", O_RDWR | O_CREAT | O_CLOEXEC, 0600) >= 0 ? 0 : 1;
}

static int remove_directory(void)
{
	return unlinkat(directory, "inner", AT_REMOVEDIR) == 0 ? 0 : 1;
}

static void smtpd_makes_new_files_and_opens_none_that_is_there(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/spill", scratch);
	UNIT_INT(mkdir(path, 0700), 0);
	UNIT_INT(chmod(path, 0777), 0);
	directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ALLOWED(ROLE_SMTPD, spill);
	ALLOWED(ROLE_SMTPD, spill_with_a_name);
	if (is_filtered()) {
		REFUSED(ROLE_SMTPD, open_through_directory);
		REFUSED(ROLE_SMTPD, write_through_directory);
		REFUSED(ROLE_SMTPD, remove_directory);
		UNIT_INT(as(ROLE_API, spill), 1);
	}
	fd_close(&directory);
}

static int name_what_is_new(void)
{
	int fd = openat(directory, "fresh", FD_ONCE_NAMED, 0640);

	return fd >= 0 && renameat(directory, "fresh", directory, "named") == 0 ? 0 : 1;
}

static int rename_by_path(void)
{
	return renameat(AT_FDCWD, "/there", directory, "named") == 0 ? 0 : 1;
}

static void deliver_reads_and_makes_new_files_and_writes_to_none_that_is_there(void)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/mails", scratch);
	UNIT_INT(mkdir(path, 0700), 0);
	UNIT_INT(chmod(path, 0777), 0);
	directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = openat(directory, "there", O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	UNIT_TRUE(fd >= 0 && fchmod(fd, 0666) == 0);
	fd_close(&fd);
	ALLOWED(ROLE_DELIVER, open_through_directory);
	ALLOWED(ROLE_DELIVER, name_what_is_new);
	if (is_filtered()) {
		REFUSED(ROLE_DELIVER, write_through_directory);
		REFUSED(ROLE_DELIVER, remove_directory);
		REFUSED(ROLE_DELIVER, rename_by_path);
	}
	fd_close(&directory);
}

/* As cert-renewer keeps certificates and prunes their history. */
static int keep_a_store(void)
{
	int inner = mkdirat(directory, "key", 0700) == 0 ? openat(directory, "key", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
	int fd = inner < 0 ? -1 : openat(inner, "fresh", FD_ONCE_NAMED, 0600);
	DIR *list;

	if (fd < 0 || !fd_write_all(fd, "x", 1) || fsync(fd) < 0 || renameat(inner, "fresh", inner, "tls.pem") < 0 || fsync(inner) < 0)
		return 1;
	fd = openat(inner, "tls.pem", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	list = fdopendir(inner);
	return fd >= 0 && list != NULL && readdir(list) != NULL && unlinkat(dirfd(list), "tls.pem", 0) == 0 ? 0 : 2;
}

/* As it asks name servers. */
static int send_a_datagram(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	return fd >= 0 && sendto(fd, "x", 1, 0, (struct sockaddr *)&a, sizeof(a)) == 1 ? 0 : 1;
}

static int make_directory_by_path(void)
{
	return mkdirat(AT_FDCWD, "/tmp/new", 0700) == 0 ? 0 : 1;
}

static int make_directory(void)
{
	return mkdirat(directory, "another", 0700) == 0 ? 0 : 1;
}

static void cert_renewer_keeps_its_store(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/certs", scratch);
	UNIT_INT(mkdir(path, 0700), 0);
	UNIT_INT(chmod(path, 0777), 0);
	directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ALLOWED(ROLE_CERT_RENEWER, keep_a_store);
	ALLOWED(ROLE_CERT_RENEWER, send_a_datagram);
	if (is_filtered()) {
		REFUSED(ROLE_CERT_RENEWER, write_through_directory);
		REFUSED(ROLE_CERT_RENEWER, remove_directory);
		REFUSED(ROLE_CERT_RENEWER, rename_by_path);
		REFUSED(ROLE_CERT_RENEWER, make_directory_by_path);
		REFUSED(ROLE_DELIVER, make_directory);
	}
	fd_close(&directory);
}

static bool users_exist(void)
{
	for (unsigned role = ROLE_MASTER + 1; role < ROLE_COUNT; role++)
		if (!service_rights_check_user((enum role)role, NULL))
			return false;
	return true;
}

static int uid_is_not_root(void)
{
	return getuid() != 0 && geteuid() != 0 && getgid() != 0 && getgroups(0, NULL) == 0 ? 0 : 1;
}

static int sees_the_system(void)
{
	return access("/bin/sh", F_OK) == 0 || access("/proc/self", F_OK) == 0 ? 1 : 0;
}

static void root_is_left_behind(void)
{
	for (unsigned role = ROLE_MASTER + 1; geteuid() == 0 && role < ROLE_COUNT; role++) {
		ALLOWED((enum role)role, uid_is_not_root);
		ALLOWED((enum role)role, sees_the_system);
	}
}

static int sees_only_the_socket(void)
{
	return access("/.s.PGSQL.5432", F_OK) == 0 && access("/bin", F_OK) < 0 ? 0 : 1;
}

static void a_local_database_is_all_that_is_seen(void)
{
	char path[128];

	if (geteuid() != 0)
		return;
	snprintf(path, sizeof(path), "%s/postgresql", scratch);
	mkdir(path, 0755);
	free(settings->database.host);
	settings->database.host = mem_text(path);
	snprintf(path, sizeof(path), "%s/postgresql/.s.PGSQL.5432", scratch);
	close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
	ALLOWED(ROLE_GATE, sees_only_the_socket);
	ALLOWED(ROLE_QMGR, sees_only_the_socket);
}

static void a_missing_user_is_named_with_its_command(void)
{
	struct err err = {""};

	if (getpwnam("_sp-smtpd") == NULL) {
		UNIT_TRUE(!service_rights_check_user(ROLE_SMTPD, &err));
		UNIT_TRUE(strstr(err.text, "useradd --system") != NULL && strstr(err.text, "_sp-smtpd") != NULL);
	} else {
		UNIT_TRUE(service_rights_check_user(ROLE_SMTPD, &err));
	}
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	return remove(path);
}

static void remove_tree(void)
{
	nftw(scratch, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static const struct unit_test tests[] = {
	{"nobody may make or touch processes, nor run new code", nobody_may_make_or_touch_processes},
	{"everyday work goes on", everyday_work_goes_on},
	{"who faces the clients reaches nothing else", who_faces_the_clients_reaches_nothing},
	{"the others connect, resolve names and use threads", the_others_connect_and_resolve},
	{"smtpd makes new files and opens none that is there", smtpd_makes_new_files_and_opens_none_that_is_there},
	{"deliver reads, makes new files, and writes to none that is there", deliver_reads_and_makes_new_files_and_writes_to_none_that_is_there},
	{"cert-renewer keeps its store", cert_renewer_keeps_its_store},
	{"root is left behind, and the system's files", root_is_left_behind},
	{"of a local database only the socket is seen", a_local_database_is_all_that_is_seen},
	{"a missing user is named with the command that makes it", a_missing_user_is_named_with_its_command},
};

int main(void)
{
	int result;

	/* As root it needs the users; without them, or as anybody else, the part without users is tested. */
	if (geteuid() == 0 && !users_exist() && (setgid(65534) < 0 || setuid(65534) < 0))
		return 1;
	if (mkdtemp(scratch) == NULL)
		return 1;
	chmod(scratch, 0755);
	settings = settings_new();
	free(settings->instance.run_dir);
	settings->instance.run_dir = mem_text(scratch);
	free(settings->database.host);
	settings->database.host = mem_text("127.0.0.1");
	result = unit_main(__FILE__, tests, sizeof(tests) / sizeof(tests[0]));
	settings_free(&settings);
	remove_tree();
	return result;
}
