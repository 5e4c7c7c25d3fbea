/* SPDX-License-Identifier: Apache-2.0
 *
 * Which system calls a process may make. The only file with libseccomp.
 */
#include "lib/service/service_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/trouble.h"

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

	if (needs & SERVICE_MAKES_DIRECTORIES)
		allow_if(filter, "mkdirat", BY_DIRECTORY(SCMP_A0));
	if (needs & SERVICE_WRITES) {
		rules_new_files(filter);
		rules_rename(filter);
		ALLOW(filter, calls_write);
	}
	if (needs & SERVICE_CONNECTS) {
		allow_if(filter, "openat", SCMP_A2(SCMP_CMP_MASKED_EQ, writing, O_RDONLY));
		allow_if(filter, "open", SCMP_A1(SCMP_CMP_MASKED_EQ, writing, O_RDONLY));
		ALLOW(filter, calls_names);
	} else {
		if (needs & SERVICE_SPILLS)
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

void service_calls_filter(unsigned needs)
{
	struct sigaction action = {.sa_sigaction = on_forbidden, .sa_flags = SA_SIGINFO};
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_TRAP);
	int result;

	if (filter == NULL)
		die("seccomp: no memory");
	ALLOW(filter, calls_base);
	rules_memory(filter);
	rules_self(filter);
	rules_files(filter, needs);
	if (needs & SERVICE_ACCEPTS)
		ALLOW(filter, calls_accept);
	if (needs & SERVICE_CONNECTS)
		rules_sockets(filter);
	if (needs & SERVICE_THREADS)
		rules_threads(filter);
	if (sigaction(SIGSYS, &action, NULL) < 0)
		die("sigaction: %s", strerror(errno));
	result = seccomp_load(filter);
	if (result < 0)
		die("seccomp: %s", strerror(-result));
	seccomp_release(filter);
}
