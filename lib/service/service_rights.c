/* SPDX-License-Identifier: Apache-2.0
 *
 * Giving up rights: user, root directory, limits, system calls (service_calls.c). One row a role says what is kept.
 */
#include "lib/service/service_rights.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/base/fd.h"
#include "lib/base/log.h"
#include "lib/base/trouble.h"
#include "lib/service/service_calls.h"

static const struct rights {
	unsigned needs;
	rlim_t files; /* descriptors */
} rights[ROLE_COUNT] = {
	[ROLE_SMTPD] = {SERVICE_ACCEPTS | SERVICE_SPILLS, 65536},
	[ROLE_GATE] = {SERVICE_CONNECTS | SERVICE_DATABASE | SERVICE_THREADS, 4096},
	[ROLE_QMGR] = {SERVICE_CONNECTS | SERVICE_DATABASE | SERVICE_THREADS, 65536},
	[ROLE_DELIVER] = {SERVICE_CONNECTS | SERVICE_RESOLVES | SERVICE_THREADS | SERVICE_WRITES, 65536},
	[ROLE_API] = {SERVICE_ACCEPTS, 4096},
	[ROLE_CERT_RENEWER] = {SERVICE_ACCEPTS | SERVICE_CONNECTS | SERVICE_RESOLVES | SERVICE_THREADS | SERVICE_WRITES | SERVICE_MAKES_DIRECTORIES, 4096},
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

	if ((needs & SERVICE_DATABASE) && has_users && s->database.host[0] == '/') {
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
	if (needs & (SERVICE_RESOLVES | SERVICE_DATABASE))
		put_resolver_files(root);
	if ((needs & SERVICE_DATABASE) && s->database.ca_file[0] != '\0') {
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

#if !defined(SP_SANITIZE) && !defined(SP_COVERAGE)

static bool limit_process(unsigned needs)
{
	struct rlimit none = {0, 0};

	if (prctl(PR_SET_DUMPABLE, 0) < 0) /* nobody of our user may look into our memory */
		die("prctl(PR_SET_DUMPABLE): %s", strerror(errno));
	if (!(needs & SERVICE_THREADS) && setrlimit(RLIMIT_NPROC, &none) < 0)
		die("setrlimit(RLIMIT_NPROC): %s", strerror(errno));
	service_calls_filter(needs);
	return true;
}

#else

/* Sanitizers and coverage need system calls, threads and files of their own. */
static bool limit_process(unsigned needs)
{
	(void)needs;
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
	is_filtered = limit_process(r->needs);
	log_info(NULL, "service.rights", log_text("user", is_root ? user : "unchanged"),
		 log_text("root", is_root ? root : "unchanged"), log_bool("calls_filtered", is_filtered),
		 log_uint("files", files));
}

/* Made and removed: there is nothing in it, and nothing can be put there. */
static void make_nowhere(char root[32])
{
	snprintf(root, 32, "/tmp/smtp-proxy-XXXXXX");
	if (mkdtemp(root) == NULL || chdir(root) < 0 || rmdir(root) < 0)
		die("cannot make an empty directory in /tmp: %s", strerror(errno));
}

/* What it needs is open and in its memory already. */
static void limit_all(void)
{
	static const struct {
		int what;
		rlim_t most;
	} limits[] = {
		{RLIMIT_CORE, 0},
#if !defined(SP_SANITIZE) && !defined(SP_COVERAGE)
		{RLIMIT_CPU, 10}, {RLIMIT_FSIZE, 0}, {RLIMIT_NOFILE, 0}, {RLIMIT_DATA, 1 << 30},
#endif
	};

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct rlimit limit = {limits[i].most, limits[i].most};

		if (setrlimit(limits[i].what, &limit) < 0)
			die("setrlimit: %s", strerror(errno));
	}
}

void service_rights_drop_all(void)
{
	char root[32];

	if (geteuid() == 0) {
		make_nowhere(root);
		change_user(ROLE_CERT_RENEWER, ".");
	}
	limit_all();
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		die("prctl(PR_SET_NO_NEW_PRIVS): %s", strerror(errno));
	limit_process(0);
}
