/* SPDX-License-Identifier: Apache-2.0
 *
 * Tests of deliver/provider_file.c and of what provider.c gives to all providers.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "deliver/provider.h"
#include "lib/base/fd.h"
#include "lib/base/mem.h"
#include "tests/support/unit.h"

static char path[64];

static int make_directory(void)
{
	snprintf(path, sizeof(path), "/tmp/provider-file-XXXXXX");
	UNIT_TRUE(mkdtemp(path) != NULL);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static unsigned count_files(void)
{
	DIR *dir = opendir(path);
	unsigned n = 0;

	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n - 2;
}

static struct provider_verdict deliver(int directory, struct str content)
{
	const struct str recipients[] = {STR("b@b"), STR("c@c")};
	struct settings_provider settings = {.key = "local", .type = PROVIDER_FILE, .directory = path};
	struct ipc_message message = {.mail_from = STR("a@a"), .recipients = recipients, .n_recipients = 2,
				      .content = content};
	struct provider_verdict verdict;

	UNIT_TRUE(uuid_parse(STR("018f0000-0000-7000-8000-0000000000aa"), &message.id));
	provider_of(PROVIDER_FILE)->deliver(&settings, directory, &message, &verdict);
	return verdict;
}

static void a_message_becomes_a_file(void)
{
	int directory = make_directory();
	struct provider_verdict verdict = deliver(directory, STR("Subject: x\r\n\r\nhello\r\n"));
	struct buf written = BUF_MAX(65536);
	char name[400];

	UNIT_INT(verdict.class, IPC_OUTCOME_SENT);
	UNIT_TEXT(verdict.provider_id, "018f0000-0000-7000-8000-0000000000aa.eml");
	UNIT_INT(count_files(), 1);
	snprintf(name, sizeof(name), "%s/%s", path, verdict.provider_id);
	UNIT_TRUE(fd_read_file(name, &written, NULL));
	UNIT_STR(buf_str(&written), "X-Envelope-From: <a@a>\r\nX-Envelope-To: <b@b>,\r\n <c@c>\r\n"
				    "Subject: x\r\n\r\nhello\r\n");
	/* A second attempt replaces it. */
	verdict = deliver(directory, STR("Subject: y\r\n\r\n"));
	UNIT_INT(verdict.class, IPC_OUTCOME_SENT);
	UNIT_INT(count_files(), 1);
	buf_clear(&written);
	UNIT_INT(unlink(name), 0);
	UNIT_INT(rmdir(path), 0);
	fd_close(&directory);
}

static void a_directory_that_is_not_there_is_the_providers_fault(void)
{
	int directory = make_directory();
	struct provider_verdict verdict;

	UNIT_INT(rmdir(path), 0);
	verdict = deliver(directory, STR("Subject: x\r\n\r\n"));
	UNIT_INT(verdict.class, IPC_OUTCOME_PROVIDER_FAULT);
	UNIT_TRUE(strstr(verdict.reason, path) != NULL);
	fd_close(&directory);
	verdict = deliver(-1, STR("Subject: x\r\n\r\n"));
	UNIT_INT(verdict.class, IPC_OUTCOME_PROVIDER_FAULT);
}

static void a_link_in_the_directory_is_not_followed(void)
{
	int directory = make_directory();
	char name[160], victim[160];
	struct provider_verdict verdict;
	struct stat st;

	snprintf(name, sizeof(name), "%s/.018f0000-0000-7000-8000-0000000000aa.tmp", path);
	snprintf(victim, sizeof(victim), "%s/victim", path);
	UNIT_INT(close(open(victim, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)), 0);
	for (int is_hard = 0; is_hard < 2; is_hard++) {
		/* Who can make a link there must not choose what is written to. */
		UNIT_INT(is_hard ? link(victim, name) : symlink(victim, name), 0);
		verdict = deliver(directory, STR("Subject: x\r\n\r\n"));
		UNIT_INT(verdict.class, IPC_OUTCOME_SENT);
		UNIT_TRUE(stat(victim, &st) == 0 && st.st_size == 0);
		UNIT_INT(fstatat(directory, "018f0000-0000-7000-8000-0000000000aa.eml", &st, AT_SYMLINK_NOFOLLOW), 0);
		UNIT_TRUE(S_ISREG(st.st_mode) && st.st_size > 0);
		UNIT_INT(count_files(), 2);
		UNIT_INT(unlinkat(directory, "018f0000-0000-7000-8000-0000000000aa.eml", 0), 0);
	}
	UNIT_INT(unlink(victim), 0);
	UNIT_INT(rmdir(path), 0);
	fd_close(&directory);
}

static void reasons_are_printable_and_cut(void)
{
	static const struct {
		const char *given, *expected;
	} cases[] = {
		{"plain", "plain"}, {"two\r\nlines\x01\x7f", "two  lines  "}, {"caf\xc3\xa9", "caf\xc3\xa9"},
		{"\xe9t\xe9 long", "?t? long"}, {"\xd8\xcao", "??o"}, {"\xe9", "?"},
	};
	struct provider_verdict verdict;
	char long_text[2000];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		provider_verdict_set(&verdict, IPC_OUTCOME_TRANSIENT, 500, "4.0.0", "%s", cases[i].given);
		UNIT_TEXT(verdict.reason, cases[i].expected);
	}
	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	/* The cut would fall into this character. */
	memcpy(long_text + sizeof(verdict.reason) - 2, "\xc3\xa9", 2);
	provider_verdict_set(&verdict, IPC_OUTCOME_TRANSIENT, 500, "4.0.0", "%s", long_text);
	UNIT_INT(strlen(verdict.reason), sizeof(verdict.reason) - 2);
}

static struct str header_of(const void *ctx, const char *name)
{
	return str_ieq(str_of(name), STR("retry-after")) ? str_of(ctx) : STR("");
}

static void retry_after_is_read(void)
{
	static const struct {
		const char *value;
		uint32_t seconds;
	} cases[] = {{"", 0}, {"30", 30}, {"0", 0}, {"86400", 86400}, {"86401", 86400}, {"-1", 0}, {"soon", 0},
		{"Thu, 01 Jan 1970 00:01:40 GMT", 100}, {"Wed, 31 Dec 1969 23:59:59 GMT", 0}, {"Thu, 01 Jan 1970 00:00:00 UTC", 1},
		{"Tue, 29 Feb 2000 00:00:00 GMT", 86400}, {"Thu, 01 Foo 1970 00:00:00 GMT", 0}, {"Thu, 01 Jan 1970 00:01", 0},
		{"Thu, 01 Jan 1970 00:01:40 GMT more", 0}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct provider_answer answer = {.status = 503, .header = header_of, .header_ctx = cases[i].value};

		UNIT_INT(provider_answer_retry_after(&answer), cases[i].seconds);
	}
}

UNIT_TESTS({"a message becomes a file", a_message_becomes_a_file},
	   {"a directory that is not there is the provider's fault", a_directory_that_is_not_there_is_the_providers_fault},
	   {"a link in the directory is not followed", a_link_in_the_directory_is_not_followed},
	   {"reasons are printable and cut", reasons_are_printable_and_cut}, {"Retry-After is read", retry_after_is_read})
