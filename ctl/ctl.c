/* SPDX-License-Identifier: Apache-2.0
 *
 * What the subcommands of smtp-proxyctl share: the settings, arguments, errors, secrets from a
 * terminal.
 */
#include "ctl/ctl.h"

#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "lib/settings/settings_problem.h"

enum { SENTENCE_MOST = 4096 };

/* The words may be a child's, or stored by somebody: what a terminal obeys is shown as '?'. */
static void disarm(char *text)
{
	for (unsigned char *p = (unsigned char *)text; *p != '\0'; p++)
		if ((*p < ' ' && *p != '\n' && *p != '\t') || *p == 0x7f)
			*p = '?';
		else if (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)
			p[0] = p[1] = '?';
}

__attribute__((format(printf, 2, 0)))
static void say(const char *prefix, const char *format, va_list args)
{
	char sentence[SENTENCE_MOST];

	vsnprintf(sentence, sizeof(sentence), format, args);
	disarm(sentence);
	fprintf(stderr, "%s%s\n", prefix, sentence);
}

void ctl_fail(int status, const char *format, ...)
{
	va_list args;

	fflush(stdout);
	va_start(args, format);
	say("smtp-proxyctl: ", format, args);
	va_end(args);
	exit(status);
}

void ctl_usage(const struct ctl *ctl, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say("smtp-proxyctl: ", format, args);
	va_end(args);
	fprintf(stderr, "usage: smtp-proxyctl [-c FILE] [--json] %s %s\n", ctl->command->words,
		ctl->command->arguments);
	exit(EX_USAGE);
}

void ctl_warn(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say("smtp-proxyctl: warning: ", format, args);
	va_end(args);
}

const struct settings *ctl_settings(struct ctl *ctl)
{
	struct settings_problems problems;

	if (ctl->settings != NULL)
		return ctl->settings;
	if (!settings_read_file(ctl->config_path, &ctl->settings, &problems)) {
		for (size_t i = 0; i < problems.n; i++) {
			struct buf line = BUF_MAX(2048);

			settings_problem_format(&problems, i, &line);
			fprintf(stderr, "%.*s\n", STR_ARG(buf_str(&line)));
			buf_clear(&line);
		}
		settings_problem_clear(&problems);
		ctl_fail(EX_CONFIG, "%s cannot be used", ctl->config_path);
	}
	settings_problem_clear(&problems);
	return ctl->settings;
}

static void take(struct ctl *ctl, int at, int n)
{
	memmove(&ctl->argument[at], &ctl->argument[at + n],
		(size_t)(ctl->n_arguments - at - n) * sizeof(ctl->argument[0]));
	ctl->n_arguments -= n;
}

/* Where an option may stand: before "--". */
static bool is_option_at(const struct ctl *ctl, int i)
{
	return i < ctl->n_arguments && strcmp(ctl->argument[i], "--") != 0;
}

bool ctl_flag(struct ctl *ctl, const char *name)
{
	bool found = false;

	for (int i = 0; is_option_at(ctl, i);) {
		if (strcmp(ctl->argument[i], name) == 0) {
			take(ctl, i, 1);
			found = true;
		} else {
			i++;
		}
	}
	return found;
}

const char *ctl_option(struct ctl *ctl, const char *name)
{
	size_t n = strlen(name);

	for (int i = 0; is_option_at(ctl, i); i++) {
		char *word = ctl->argument[i], *value;

		if (strncmp(word, name, n) != 0 || (word[n] != '\0' && word[n] != '='))
			continue;
		if (word[n] == '=') {
			take(ctl, i, 1);
			return word + n + 1;
		}
		if (i + 1 >= ctl->n_arguments)
			ctl_usage(ctl, "%s: its value is missing", name);
		value = ctl->argument[i + 1];
		take(ctl, i, 2);
		return value;
	}
	return NULL;
}

uint64_t ctl_option_u64(struct ctl *ctl, const char *name, uint64_t fallback, uint64_t min, uint64_t max)
{
	const char *text = ctl_option(ctl, name);
	uint64_t value = fallback;

	if (text != NULL && !str_u64(str_of(text), min, max, &value))
		ctl_usage(ctl, "%s: \"%s\" is not a number from %llu to %llu", name, text,
			  (unsigned long long)min, (unsigned long long)max);
	return value;
}

const char *ctl_optional(struct ctl *ctl)
{
	const char *word;

	if (ctl->n_arguments == 0)
		return NULL;
	word = ctl->argument[0];
	if (strcmp(word, "--") == 0) {
		take(ctl, 0, 1);
		if (ctl->n_arguments == 0)
			return NULL;
		word = ctl->argument[0];
	} else if (word[0] == '-' && word[1] != '\0') {
		ctl_usage(ctl, "%s: no such option", word);
	}
	take(ctl, 0, 1);
	return word;
}

const char *ctl_argument(struct ctl *ctl, const char *what)
{
	const char *word = ctl_optional(ctl);

	if (word == NULL)
		ctl_usage(ctl, "%s is missing", what);
	return word;
}

void ctl_end(struct ctl *ctl)
{
	const char *word = ctl_optional(ctl);

	if (word != NULL)
		ctl_usage(ctl, "%s: one argument too many", word);
}

/* One line of standard input, without its end. */
static char *read_line(void)
{
	struct buf line = BUF_MAX(4096);
	char c, *text;
	ssize_t got;

	while ((got = read(STDIN_FILENO, &c, 1)) == 1 && c != '\n')
		if (c == '\0' || !buf_put_char(&line, c)) {
			buf_clear_secret(&line);
			ctl_fail(EX_DATAERR, "what was read is too long or has a NUL in it");
		}
	if (got != 1 && line.n == 0)
		ctl_fail(EX_NOINPUT, "nothing could be read from standard input");
	text = mem_copy(line.p != NULL ? line.p : "", line.n);
	buf_clear_secret(&line);
	return text;
}

static char *ask(const char *prompt)
{
	struct termios was, quiet;
	char *text;

	if (tcgetattr(STDIN_FILENO, &was) != 0)
		ctl_fail(EX_OSERR, "the terminal cannot be asked for its mode");
	quiet = was;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	fputs(prompt, stderr);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	text = read_line();
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &was);
	fputc('\n', stderr);
	return text;
}

char *ctl_read_secret(const char *prompt, bool twice)
{
	char *first, *second;
	bool same;

	if (!isatty(STDIN_FILENO))
		return read_line();
	first = ask(prompt);
	if (!twice)
		return first;
	second = ask("Again: ");
	same = strcmp(first, second) == 0;
	mem_free_secret(&second);
	if (!same) {
		mem_free_secret(&first);
		ctl_fail(EX_DATAERR, "the two are not the same");
	}
	return first;
}

const char *ctl_who(void)
{
	const char *sudo_user = getenv("SUDO_USER");
	const struct passwd *entry = getpwuid(getuid());

	if (getuid() == 0 && sudo_user != NULL && sudo_user[0] != '\0' && strchr(sudo_user, ' ') == NULL)
		return sudo_user;
	return entry != NULL ? entry->pw_name : "unknown";
}
