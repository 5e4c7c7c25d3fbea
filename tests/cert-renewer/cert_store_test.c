/* SPDX-License-Identifier: Apache-2.0 */
#include "cert-renewer/cert_store.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/fd.h"
#include "tests/support/unit.h"

enum { ROOM = 4096 };

static char directory[64];

static struct cert_store *open_store(void)
{
	struct err err = {""};
	int fd = -1;

	UNIT_TRUE(cert_store_open(directory, geteuid(), getegid(), &fd, &err));
	UNIT_TEXT(err.text, "");
	return cert_store_new(fd, directory);
}

static struct cert_store *new_store(void)
{
	snprintf(directory, sizeof(directory), "/tmp/cert_store_test.XXXXXX");
	UNIT_TRUE(mkdtemp(directory) != NULL);
	return open_store();
}

static int base(void)
{
	return open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* rm -r, as far as we go. */
static void empty(int parent, const char *name)
{
	static const char *const names[] = {"tls.pem", "state.json", ".tls.pem.new", "elsewhere", "lost", "x"};
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (size_t i = 0; fd >= 0 && i < sizeof(names) / sizeof(names[0]); i++)
		unlinkat(fd, names[i], 0);
	fd_close(&fd);
	unlinkat(parent, name, AT_REMOVEDIR);
}

static void end(struct cert_store *store)
{
	static const char *const histories[] = {"20260921T141320Z-0A.pem", "20260922T141320Z-0B.pem", "20260923T141320Z-0C.pem",
						"20260922T141320Z-___x.pem"};
	int fd = base();

	cert_store_free(&store);
	for (size_t i = 0; i < sizeof(histories) / sizeof(histories[0]); i++) {
		char path[128];

		snprintf(path, sizeof(path), "certs/mail/history/%s", histories[i]);
		unlinkat(fd, path, 0);
	}
	empty(fd, "certs/mail/history");
	empty(fd, "certs/mail/tls.pem");
	empty(fd, "certs/mail");
	empty(fd, "certs/.accounts");
	empty(fd, "certs/link");
	unlinkat(fd, "certs/link", 0);
	empty(fd, "certs");
	UNIT_INT(rmdir(directory), 0);
	fd_close(&fd);
}

static void unit_read(const struct cert_store *store, const char *name, const char *file, const char *expected)
{
	struct buf out = BUF_MAX(ROOM);
	struct err err = {""};

	UNIT_TRUE(cert_store_read(store, str_of(name), file, &out, &err));
	UNIT_TEXT(err.text, "");
	UNIT_STR(buf_str(&out), expected);
	buf_clear(&out);
}

static bool is_there(const char *path)
{
	char whole[256];
	struct stat st;

	snprintf(whole, sizeof(whole), "%s/%s", directory, path);
	return lstat(whole, &st) == 0;
}

static void a_file_is_written_read_and_replaced(void)
{
	struct cert_store *store = new_store();
	struct err err = {""};
	struct stat st;
	int fd = base();

	unit_read(store, "mail", "tls.pem", "");
	UNIT_TRUE(cert_store_write(store, STR("mail"), "tls.pem", STR("one"), &err));
	unit_read(store, "mail", "tls.pem", "one");
	UNIT_TRUE(cert_store_write(store, STR("mail"), "tls.pem", STR("two, which is longer"), &err));
	UNIT_TRUE(cert_store_write(store, STR("mail"), "tls.pem", STR("3"), &err));
	unit_read(store, "mail", "tls.pem", "3");
	UNIT_INT(fstatat(fd, "certs/mail/tls.pem", &st, AT_SYMLINK_NOFOLLOW), 0);
	UNIT_INT(st.st_mode & 07777, 0600);
	UNIT_INT(fstatat(fd, "certs/mail", &st, AT_SYMLINK_NOFOLLOW), 0);
	UNIT_INT(st.st_mode & 07777, 0700);
	UNIT_INT(fstatat(fd, "certs", &st, AT_SYMLINK_NOFOLLOW), 0);
	UNIT_INT(st.st_mode & 07777, 0700);
	UNIT_TRUE(cert_store_remove(store, STR("mail"), "tls.pem", &err));
	UNIT_TRUE(cert_store_remove(store, STR("mail"), "tls.pem", &err));
	UNIT_TRUE(cert_store_remove(store, STR("never"), "tls.pem", &err));
	unit_read(store, "mail", "tls.pem", "");
	fd_close(&fd);
	end(store);
}

static void what_a_killed_writer_left_goes_at_the_start(void)
{
	struct cert_store *store = new_store();
	struct err err = {""};
	int fd = base(), left;

	UNIT_TRUE(cert_store_write(store, STR("mail"), "tls.pem", STR("good"), &err));
	UNIT_TRUE(cert_store_retire(store, STR("mail"), 1790000000, "0A", STR("old"), 2, &err));
	UNIT_TRUE(cert_store_write(store, STR(".accounts"), "x", STR("key"), &err));
	left = openat(fd, "certs/mail/.tls.pem.new", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	fd_close(&left);
	/* Until then it is in nobody's way. */
	UNIT_TRUE(cert_store_write(store, STR("mail"), "tls.pem", STR("better"), &err));
	left = openat(fd, "certs/mail/history/.20260921T141320Z-0A.pem.new", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	fd_close(&left);
	left = openat(fd, "certs/.accounts/.x.new", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	fd_close(&left);
	cert_store_free(&store);
	store = open_store();
	UNIT_TRUE(!is_there("certs/mail/.tls.pem.new"));
	UNIT_TRUE(!is_there("certs/mail/history/.20260921T141320Z-0A.pem.new"));
	UNIT_TRUE(!is_there("certs/.accounts/.x.new"));
	unit_read(store, "mail", "tls.pem", "better");
	unit_read(store, ".accounts", "x", "key");
	UNIT_TRUE(is_there("certs/mail/history/20260921T141320Z-0A.pem"));
	fd_close(&fd);
	end(store);
}

static void the_history_keeps_the_newest(void)
{
	struct cert_store *store = new_store();
	struct err err = {""};

	UNIT_TRUE(cert_store_retire(store, STR("mail"), 1790000000, "0A", STR("a"), 2, &err));
	UNIT_TRUE(cert_store_retire(store, STR("mail"), 1790000000, "0A", STR("a"), 2, &err));
	UNIT_TRUE(cert_store_retire(store, STR("mail"), 1790000000 + 86400, "0B", STR("b"), 2, &err));
	UNIT_TRUE(is_there("certs/mail/history/20260921T141320Z-0A.pem"));
	UNIT_TRUE(cert_store_retire(store, STR("mail"), 1790000000 + 2 * 86400, "0C", STR("c"), 2, &err));
	UNIT_TRUE(!is_there("certs/mail/history/20260921T141320Z-0A.pem"));
	UNIT_TRUE(is_there("certs/mail/history/20260922T141320Z-0B.pem"));
	UNIT_TRUE(is_there("certs/mail/history/20260923T141320Z-0C.pem"));
	UNIT_TRUE(cert_store_retire(store, STR("mail"), 1790000000, "0A", STR("a"), 0, &err));
	UNIT_TRUE(!is_there("certs/mail/history/20260923T141320Z-0C.pem"));
	UNIT_TRUE(!is_there("certs/mail/history/20260921T141320Z-0A.pem"));
	UNIT_TRUE(cert_store_retire(store, STR("mail"), 1790000000 + 86400, "../x", STR("x"), 5, &err));
	UNIT_TRUE(is_there("certs/mail/history/20260922T141320Z-___x.pem"));
	end(store);
}

static void links_and_strange_names_are_refused(void)
{
	static const char *const names[] = {"", ".", "..", "a/b", "a b", "\xc3\xa9"};
	struct cert_store *store = new_store();
	struct buf out = BUF_MAX(ROOM);
	struct err err = {""};
	int fd = base();

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		UNIT_TRUE(!cert_store_write(store, str_of(names[i]), "tls.pem", STR("x"), &err));
		UNIT_TRUE(!cert_store_read(store, str_of(names[i]), "tls.pem", &out, &err));
	}
	UNIT_INT(symlinkat("/tmp", fd, "certs/link"), 0);
	UNIT_TRUE(!cert_store_read(store, STR("link"), "tls.pem", &out, &err));
	UNIT_TRUE(!cert_store_write(store, STR("link"), "tls.pem", STR("x"), &err));
	UNIT_TRUE(cert_store_write(store, STR("mail"), "state.json", STR("x"), &err));
	UNIT_INT(symlinkat("state.json", fd, "certs/mail/tls.pem"), 0);
	UNIT_TRUE(!cert_store_read(store, STR("mail"), "tls.pem", &out, &err));
	/* What stands in the way of a new file is replaced, not followed. */
	UNIT_TRUE(cert_store_write(store, STR("mail"), "tls.pem", STR("new"), &err));
	unit_read(store, "mail", "state.json", "x");
	unit_read(store, "mail", "tls.pem", "new");
	buf_clear(&out);
	fd_close(&fd);
	end(store);
}

static void a_failure_names_file_and_reason(void)
{
	struct cert_store *store = new_store();
	struct buf out = BUF_MAX(4);
	struct err err = {""};
	char expected[160];
	int fd = base();

	UNIT_TRUE(cert_store_write(store, STR("mail"), "tls.pem", STR("12345"), &err));
	UNIT_TRUE(!cert_store_read(store, STR("mail"), "tls.pem", &out, &err));
	snprintf(expected, sizeof(expected), "%s/certs/mail/tls.pem cannot be read: File too large", directory);
	UNIT_TEXT(err.text, expected);
	UNIT_TRUE(cert_store_remove(store, STR("mail"), "tls.pem", &err));
	UNIT_INT(mkdirat(fd, "certs/mail/tls.pem", 0700), 0);
	UNIT_TRUE(!cert_store_write(store, STR("mail"), "tls.pem", STR("x"), &err));
	snprintf(expected, sizeof(expected), "%s/certs/mail/tls.pem cannot be written: Is a directory", directory);
	UNIT_TEXT(err.text, expected);
	UNIT_TRUE(!is_there("certs/mail/.tls.pem.new"));
	buf_clear(&out);
	fd_close(&fd);
	end(store);
}

static void only_one_process_has_the_store(void)
{
	struct cert_store *store = new_store();
	struct err err = {""};
	int fd = -1;

	UNIT_TRUE(!cert_store_open(directory, geteuid(), getegid(), &fd, &err));
	UNIT_TRUE(str_ends(str_of(err.text), STR("is in use by another process")));
	UNIT_INT(fd, -1);
	end(store);
}

UNIT_TESTS({"a file is written, read and replaced", a_file_is_written_read_and_replaced},
	   {"what a killed writer left goes at the start", what_a_killed_writer_left_goes_at_the_start},
	   {"the history keeps the newest", the_history_keeps_the_newest},
	   {"links and strange names are refused", links_and_strange_names_are_refused},
	   {"a failure names file and reason", a_failure_names_file_and_reason},
	   {"only one process has the store", only_one_process_has_the_store})
