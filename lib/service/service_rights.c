/* SPDX-License-Identifier: Apache-2.0
 *
 * Giving up rights: user, root directory, limits, system calls. One row a role says what is kept. The
 * only file with libseccomp.
 */
#include "lib/service/service_rights.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/trouble.h"

/* What a role does beyond moving bytes over the descriptors that it was given. */
enum {
	ACCEPTS = 1 << 0,  /* takes connections from a listener */
	CONNECTS = 1 << 1, /* makes sockets of its own */
	RESOLVES = 1 << 2, /* and looks up names: the resolver's files are in its root directory */
	DATABASE = 1 << 3, /* and it is Postgres that it connects to */
	THREADS = 1 << 4,
	WRITES = 1 << 5, /* new files in directories that prepare() opened */
	MAKES_DIRECTORIES = 1 << 7, /* and directories in those */
	SPILLS = 1 << 6, /* files without a name (fd_unnamed()) in such a directory, and nothing else */
};

static const struct rights {
	unsigned needs;
	rlim_t files; /* descriptors */
} rights[ROLE_COUNT] = {
	[ROLE_SMTPD] = {ACCEPTS | SPILLS, 65536},
	[ROLE_GATE] = {CONNECTS | DATABASE | THREADS, 4096},
	[ROLE_QMGR] = {CONNECTS | DATABASE | THREADS, 65536},
	[ROLE_DELIVER] = {CONNECTS | RESOLVES | THREADS | WRITES, 65536},
	[ROLE_API] = {ACCEPTS, 4096},
	[ROLE_CERT_RENEWER] = {ACCEPTS | CONNECTS | RESOLVES | THREADS | WRITES | MAKES_DIRECTORIES, 4096},
};

static void user_name(enum role role, char out[64])
{
	snprintf(out, 64, "_sp-%s", role_name(role));
}

bool service_rights_check_user(enum role role, struct err *err)
{
	char name[64];

	user_name(role, name);
	return getpwnam(name) != NULL ||
	       err_set(err,
		       "there is no user %s; make it with: useradd --system --user-group --no-create-home"
		       " --home-dir / --shell /usr/sbin/nologin %s",
		       name, name);
}

/* ---- The root directory ---- */

static void make_dir(const char *path)
{
	struct stat st;

	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		die("cannot make %s: %s", path, strerror(errno));
	if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != 0 || (st.st_mode & 022) != 0)
		die("%s must be a directory that belongs to root and that only root may write to", path);
}

/* Several processes of a role may do this at the same time: each puts a whole file in place. */
static void put_file(const char *dir, const char *name, struct str text)
{
	char path[PATH_MAX], fresh[PATH_MAX];
	int fd;

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path) ||
	    snprintf(fresh, sizeof(fresh), "%s/.%s.%d", dir, name, (int)getpid()) >= (int)sizeof(fresh))
		die("%s: the path is too long", dir);
	fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0 && errno == EEXIST && unlink(fresh) == 0)
		fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0 || !fd_write_all(fd, text.p, text.n) || fchmod(fd, 0644) < 0 || rename(fresh, path) < 0)
		die("cannot write %s: %s", path, strerror(errno));
	fd_close(&fd);
}

/* Left out when the file is not there. */
static void copy_file(const char *from, const char *dir, const char *name)
{
	struct buf text = BUF_MAX(4 << 20);
	struct err err;

	if (access(from, F_OK) == 0) {
		if (!fd_read_file(from, &text, &err))
			die("%s", err.text);
		put_file(dir, name, buf_str(&text));
	}
	buf_clear(&text);
}

/* libpq looks names up while the loop stands still: a server of names that is away must not keep it for long. */
static void put_resolver(const char *etc)
{
	struct buf text = BUF_MAX(1 << 20);

	if (fd_read_file("/etc/resolv.conf", &text, NULL)) {
		buf_put_text(&text, "\noptions timeout:1 attempts:2\n");
		put_file(etc, "resolv.conf", buf_str(&text));
	}
	buf_clear(&text);
}

static void put_resolver_files(const char *root)
{
	char etc[PATH_MAX];

	if (snprintf(etc, sizeof(etc), "%s/etc", root) >= (int)sizeof(etc))
		die("%s: the path is too long", root);
	make_dir(etc);
	put_resolver(etc);
	copy_file("/etc/hosts", etc, "hosts");
	copy_file("/etc/gai.conf", etc, "gai.conf");
	/* Not the system's: what it may name beside these two are libraries, and there are none in here. */
	put_file(etc, "nsswitch.conf", STR("hosts: files dns\n"));
}

/* run_dir/root/ROLE, or for a database on a UNIX socket the socket's directory. */
static void make_root(enum role role, const struct settings *s, char root[PATH_MAX], const char **host,
		      const char **ca_file)
{
	unsigned needs = rights[role].needs;
	/* gate has it for the users, who may be elsewhere. */
	bool has_users = role != ROLE_GATE || s->gate.users == GATE_USERS_DATABASE;

	if ((needs & DATABASE) && has_users && s->database.host[0] == '/') {
		snprintf(root, PATH_MAX, "%s", s->database.host);
		*host = "/";
		*ca_file = "";
		return;
	}
	if (snprintf(root, PATH_MAX, "%s/root", s->instance.run_dir) >= PATH_MAX)
		die("instance.run_dir is too long");
	make_dir(root);
	if (snprintf(root, PATH_MAX, "%s/root/%s", s->instance.run_dir, role_name(role)) >= PATH_MAX)
		die("instance.run_dir is too long");
	make_dir(root);
	if (needs & (RESOLVES | DATABASE))
		put_resolver_files(root);
	if ((needs & DATABASE) && s->database.ca_file[0] != '\0') {
		copy_file(s->database.ca_file, root, "ca.pem");
		*ca_file = "/ca.pem";
	}
}

void service_rights_user(enum role role, uid_t *user, gid_t *group)
{
	char name[64];
	struct passwd *entry;
	struct err err;

	*user = geteuid();
	*group = getegid();
	if (*user != 0)
		return;
	if (!service_rights_check_user(role, &err))
		die_with(EX_NOUSER, "%s", err.text);
	user_name(role, name);
	entry = getpwnam(name);
	must(entry != NULL);
	*user = entry->pw_uid;
	*group = entry->pw_gid;
	if (*user == 0 || *group == 0)
		die_with(EX_NOUSER, "the user %s is root", name);
}

static void change_user(enum role role, const char *root)
{
	char name[64];
	uid_t uid;
	gid_t gid;

	user_name(role, name);
	service_rights_user(role, &uid, &gid);
	if (chroot(root) < 0 || chdir("/") < 0)
		die("cannot make %s the root directory: %s", root, strerror(errno));
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		die("cannot become the user %s: %s", name, strerror(errno));
	must(getuid() == uid && geteuid() == uid && getgid() == gid && getegid() == gid);
	must(setuid(0) < 0 && setgid(0) < 0 && chroot("/") < 0);
	/* The kernel forgot it with the change of user. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		die("prctl(PR_SET_PDEATHSIG): %s", strerror(errno));
}

/* ---- Limits ---- */

/* Returns how many descriptors there may be. */
static rlim_t set_limits(const struct rights *r)
{
	struct rlimit files, wanted = {r->files, r->files}, none = {0, 0};

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		die("getrlimit: %s", strerror(errno));
	/* More than the system's limit is for root, and not even for root in every container. */
	if (setrlimit(RLIMIT_NOFILE, &wanted) < 0) {
		wanted.rlim_cur = wanted.rlim_max = files.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &wanted) < 0)
			die("setrlimit(RLIMIT_NOFILE): %s", strerror(errno));
	}
	/* Memory of ours (passwords, keys, mail) must not reach a disk. */
	if (setrlimit(RLIMIT_CORE, &none) < 0)
		die("setrlimit(RLIMIT_CORE): %s", strerror(errno));
	return wanted.rlim_cur;
}

/* ---- System calls ---- */

#if !defined(SP_SANITIZE) && !defined(SP_COVERAGE)

/* Everybody's: memory, time, the loop, bytes over descriptors that are there. No names, no new
 * sockets, no other process. */
static const char *const calls_base[] = {
	"read", "readv", "pread64", "preadv", "write", "writev", "pwrite64", "pwritev", "lseek", "close",
	"fstat", "newfstatat", "fstatat64", "statx", "ftruncate", "fcntl", "fcntl64", "dup", "dup2", "dup3",
	"munmap", "mremap", "madvise", "brk", "membarrier", "memfd_create",
	"futex", "futex_time64", "rseq", "set_robust_list", "get_robust_list", "set_tid_address",
	"sched_yield", "sched_getaffinity", "restart_syscall", "getcpu",
	"getrandom", "clock_gettime", "clock_gettime64", "clock_getres", "clock_nanosleep", "nanosleep",
	"gettimeofday", "time", "sysinfo", "uname", "getrlimit", "ugetrlimit", "getrusage", "times",
	"epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd2", "pipe2",
	"timerfd_create", "timerfd_settime", "timerfd_gettime", "poll", "ppoll", "select", "pselect6",
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigreturn", "sigaltstack", "rt_sigpending",
	"getpid", "getppid", "gettid", "getuid", "geteuid", "getgid", "getegid",
	"getgroups", "getresuid", "getresgid",
	"sendmsg", "sendmmsg", "recvmsg", "recvmmsg", "sendto", "recvfrom", "send", "recv", "shutdown",
	"getsockopt", "setsockopt", "getsockname", "getpeername", "socketpair",
	"exit", "exit_group",
};

static const char *const calls_accept[] = {"accept", "accept4"};
static const char *const calls_connect[] = {"connect", "bind"};
/* Reading names is harmless where the root directory is empty; what libraries look for is simply not there. */
static const char *const calls_names[] = {"stat", "lstat", "stat64", "lstat64", "access", "faccessat",
					  "faccessat2", "readlink", "readlinkat", "getcwd", "getdents64"};
static const char *const calls_write[] = {"fsync", "fdatasync"};

/* Adds a rule for a call, with conditions on its arguments (none: always). What this architecture or this
 * libseccomp does not know is left out. */
static void rule(scmp_filter_ctx filter, uint32_t action, const char *call, unsigned n,
		 const struct scmp_arg_cmp *conditions)
{
	int number = seccomp_syscall_resolve_name(call), result;

	if (number < 0)
		return;
	result = seccomp_rule_add_array(filter, action, number, n, conditions);
	if (result < 0)
		die("seccomp: %s: %s", call, strerror(-result));
}

static void allow(scmp_filter_ctx filter, const char *const *calls, size_t n)
{
	for (size_t i = 0; i < n; i++)
		rule(filter, SCMP_ACT_ALLOW, calls[i], 0, NULL);
}

#define ALLOW(filter, calls) allow(filter, calls, sizeof(calls) / sizeof((calls)[0]))

static void allow_if(scmp_filter_ctx filter, const char *call, struct scmp_arg_cmp condition)
{
	rule(filter, SCMP_ACT_ALLOW, call, 1, &condition);
}

/* Answered with an error instead of the end of the process: libraries ask and do without. */
static void refuse(scmp_filter_ctx filter, const char *call, int error)
{
	rule(filter, SCMP_ACT_ERRNO((unsigned)error), call, 0, NULL);
}

/* Memory is never executable: no code comes in after start. */
static void rules_memory(scmp_filter_ctx filter)
{
	static const char *const calls[] = {"mmap", "mmap2", "mprotect"};
	struct scmp_arg_cmp executable = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC);

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		allow_if(filter, calls[i], SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
		rule(filter, SCMP_ACT_ERRNO(EACCES), calls[i], 1, &executable);
	}
}

/* What only concerns this very process. */
static void rules_self(scmp_filter_ctx filter)
{
	/* A descriptor's properties, never a request that a driver acts on. */
	static const unsigned requests[] = {FIONREAD, FIONBIO, TCGETS};
	/* Asking for a limit of ours: the pointer to a new value is NULL. */
	const struct scmp_arg_cmp asking[] = {SCMP_A0(SCMP_CMP_EQ, 0, 0), SCMP_A2(SCMP_CMP_EQ, 0, 0)};

	/* abort() and pthread_kill() */
	allow_if(filter, "tgkill", SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
	refuse(filter, "prctl", EINVAL); /* names for threads and for malloc's memory */
	rule(filter, SCMP_ACT_ALLOW, "prlimit64", 2, asking);
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		allow_if(filter, "ioctl", SCMP_A1(SCMP_CMP_EQ, requests[i], 0));
}

static void rules_sockets(scmp_filter_ctx filter)
{
	static const unsigned families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};

	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		allow_if(filter, "socket", SCMP_A0(SCMP_CMP_EQ, families[i], 0));
	ALLOW(filter, calls_connect);
}

/* A thread, never a process. glibc tries clone3 first, whose arguments a filter cannot see. */
static void rules_threads(scmp_filter_ctx filter)
{
	allow_if(filter, "clone", SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
	refuse(filter, "clone3", ENOSYS);
}

/* A directory's descriptor, not AT_FDCWD. */
#define BY_DIRECTORY(argument) argument(SCMP_CMP_MASKED_EQ, 0x80000000, 0)

/* New files through a directory that is open, and their end. Nothing that is there can be written to, by whatever path: a
 * directory's descriptor leads out of the root directory. */
static void rules_new_files(scmp_filter_ctx filter)
{
	static const int flags[] = {FD_UNNAMED, FD_ONCE_NAMED};
	const struct scmp_arg_cmp by_directory = BY_DIRECTORY(SCMP_A0);
	const struct scmp_arg_cmp unlink_file[] = {by_directory, SCMP_A2(SCMP_CMP_EQ, 0, 0)};

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		/* The C library may add O_LARGEFILE. */
		const struct scmp_arg_cmp open_new[] = {
			by_directory,
			SCMP_A2(SCMP_CMP_MASKED_EQ, UINT32_MAX & ~(scmp_datum_t)O_LARGEFILE, (scmp_datum_t)flags[i])};

		rule(filter, SCMP_ACT_ALLOW, "openat", 2, open_new);
	}
	rule(filter, SCMP_ACT_ALLOW, "unlinkat", 2, unlink_file);
}

/* Nothing that is there can be read either. A path from the root directory is refused as ever. */
static void rules_spill(scmp_filter_ctx filter)
{
	const struct scmp_arg_cmp by_path = SCMP_A0(SCMP_CMP_MASKED_EQ, UINT32_MAX, (uint32_t)AT_FDCWD);

	rule(filter, SCMP_ACT_ERRNO(EACCES), "openat", 1, &by_path);
	rules_new_files(filter);
}

/* A new file takes its name when it is whole. */
static void rules_rename(scmp_filter_ctx filter)
{
	const struct scmp_arg_cmp within[] = {BY_DIRECTORY(SCMP_A0), BY_DIRECTORY(SCMP_A2)};

	rule(filter, SCMP_ACT_ALLOW, "renameat", 2, within);
	rule(filter, SCMP_ACT_ALLOW, "renameat2", 2, within);
}

static void rules_files(scmp_filter_ctx filter, unsigned needs)
{
	const scmp_datum_t writing = O_ACCMODE | O_CREAT | O_TRUNC;

	if (needs & MAKES_DIRECTORIES)
		allow_if(filter, "mkdirat", BY_DIRECTORY(SCMP_A0));
	if (needs & WRITES) {
		rules_new_files(filter);
		rules_rename(filter);
		ALLOW(filter, calls_write);
	}
	if (needs & CONNECTS) {
		allow_if(filter, "openat", SCMP_A2(SCMP_CMP_MASKED_EQ, writing, O_RDONLY));
		allow_if(filter, "open", SCMP_A1(SCMP_CMP_MASKED_EQ, writing, O_RDONLY));
		ALLOW(filter, calls_names);
	} else {
		if (needs & SPILLS)
			rules_spill(filter);
		else
			refuse(filter, "openat", EACCES);
		refuse(filter, "open", EACCES);
		for (size_t i = 0; i < sizeof(calls_names) / sizeof(calls_names[0]); i++)
			refuse(filter, calls_names[i], EACCES);
	}
}

/* The kernel did not run the call; say which, and end as if it had killed us. Logging in a signal handler
 * is safe enough here: it was raised by our own system call, not in the middle of anything. */
static void on_forbidden(int signal_number, siginfo_t *info, void *context)
{
	char *name = seccomp_syscall_resolve_num_arch(info->si_arch, info->si_syscall);

	(void)context;
	log_error(NULL, "service.forbidden_call", log_int("number", info->si_syscall),
		  log_text("call", name));
	signal(signal_number, SIG_DFL);
	abort();
}

static void filter_calls(const struct rights *r)
{
	struct sigaction action = {.sa_sigaction = on_forbidden, .sa_flags = SA_SIGINFO};
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_TRAP);
	int result;

	if (filter == NULL)
		die("seccomp: no memory");
	ALLOW(filter, calls_base);
	rules_memory(filter);
	rules_self(filter);
	rules_files(filter, r->needs);
	if (r->needs & ACCEPTS)
		ALLOW(filter, calls_accept);
	if (r->needs & CONNECTS)
		rules_sockets(filter);
	if (r->needs & THREADS)
		rules_threads(filter);
	if (sigaction(SIGSYS, &action, NULL) < 0)
		die("sigaction: %s", strerror(errno));
	result = seccomp_load(filter);
	if (result < 0)
		die("seccomp: %s", strerror(-result));
	seccomp_release(filter);
}

static bool limit_process(const struct rights *r)
{
	struct rlimit none = {0, 0};

	if (prctl(PR_SET_DUMPABLE, 0) < 0) /* nobody of our user may look into our memory */
		die("prctl(PR_SET_DUMPABLE): %s", strerror(errno));
	if (!(r->needs & THREADS) && setrlimit(RLIMIT_NPROC, &none) < 0)
		die("setrlimit(RLIMIT_NPROC): %s", strerror(errno));
	filter_calls(r);
	return true;
}

#else

/* Sanitizers and coverage need system calls, threads and files of their own. */
static bool limit_process(const struct rights *r)
{
	(void)r;
	return false;
}

#endif

void service_rights_drop(enum role role, const struct settings *settings, const char **database_host,
			 const char **database_ca_file)
{
	const struct rights *r = &rights[role];
	bool is_root = geteuid() == 0, is_filtered;
	char root[PATH_MAX] = "/", user[64] = "";
	rlim_t files;

	*database_host = settings->database.host;
	*database_ca_file = settings->database.ca_file;
	files = set_limits(r);
	if (is_root) {
		make_root(role, settings, root, database_host, database_ca_file);
		change_user(role, root);
		user_name(role, user);
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		die("prctl(PR_SET_NO_NEW_PRIVS): %s", strerror(errno));
	is_filtered = limit_process(r);
	log_info(NULL, "service.rights", log_text("user", is_root ? user : "unchanged"),
		 log_text("root", is_root ? root : "unchanged"), log_bool("calls_filtered", is_filtered),
		 log_uint("files", files));
}
