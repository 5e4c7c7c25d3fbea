/* SPDX-License-Identifier: Apache-2.0
 *
 * smtp-proxyctl: global options, the table of subcommands, help. The subcommands themselves are in
 * ctl_*.c, their rows in ctl_commands.def.
 */
#include "ctl/ctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>


#define CTL(words, function, arguments, prose) {words, arguments, prose, function},
static const struct ctl_command commands[] = {
#include "ctl/ctl_commands.def"
};
#undef CTL

enum { N_COMMANDS = sizeof(commands) / sizeof(commands[0]) };

/* How many of argv's words are the command's name; 0: it is not this command. */
static int words_matched(const struct ctl_command *command, int argc, char **argv)
{
	struct str rest = str_of(command->words), word;
	int n = 0;

	while (str_next(&rest, ' ', &word)) {
		if (n >= argc || !str_eq(str_of(argv[n]), word))
			return 0;
		n++;
	}
	return n;
}

static bool begins_with_word(const struct ctl_command *command, const char *word)
{
	struct str words = str_of(command->words);

	return str_eq(str_first(words, str_find(words, ' ')), str_of(word));
}

/* Help for all commands, or for those that begin with `word`. */
static void print_help(FILE *to, const char *word)
{
	fputs("usage: smtp-proxyctl [-c FILE] [--json] COMMAND [ARGUMENT ...]\n\n", to);
	for (int i = 0; i < N_COMMANDS; i++) {
		const struct ctl_command *c = &commands[i];

		if (word == NULL || begins_with_word(c, word))
			fprintf(to, "  %s%s%s\n        %s\n", c->words, c->arguments[0] != '\0' ? " " : "",
				c->arguments, c->prose);
	}
	fputs("\n  -c FILE   the settings file (default " SMTP_PROXY_SYSCONFDIR "/main.yaml)\n"
	      "  --json    JSON instead of tables: one object a line\n"
	      "  --help    this, or after a COMMAND its usage\n"
	      "  --version the version\n",
	      to);
}

static noreturn void unknown_command(int argc, char **argv)
{
	for (int i = 0; i < N_COMMANDS; i++) {
		if (!begins_with_word(&commands[i], argv[0]))
			continue;
		fprintf(stderr, "smtp-proxyctl: %s%s%s: no such command\n", argv[0], argc > 1 ? " " : "",
			argc > 1 ? argv[1] : "");
		print_help(stderr, argv[0]);
		exit(EX_USAGE);
	}
	ctl_fail(EX_USAGE, "%s: no such command; smtp-proxyctl --help lists them", argv[0]);
}

static bool is_help(const char *word)
{
	return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static bool wants_help(int argc, char **argv)
{
	for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (is_help(argv[i]))
			return true;
	return false;
}

/* Takes the options before the command; returns how many words they are. */
static int global_options(struct ctl *ctl, int argc, char **argv)
{
	int i = 1;

	for (; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "--json") == 0) {
			ctl->is_json = true;
		} else if (strcmp(argv[i], "-c") == 0 && i + 1 < argc) {
			ctl->config_path = argv[++i];
		} else if (is_help(argv[i])) {
			print_help(stdout, NULL);
			exit(EX_OK);
		} else if (strcmp(argv[i], "--version") == 0) {
			puts("smtp-proxyctl " PACKAGE_VERSION);
			exit(EX_OK);
		} else {
			ctl_fail(EX_USAGE, "%s: no such option, or its value is missing; see smtp-proxyctl "
					   "--help", argv[i]);
		}
	}
	return i;
}

int main(int argc, char **argv)
{
	static struct ctl ctl = {.config_path = SMTP_PROXY_SYSCONFDIR "/main.yaml"};
	const char *option;
	int skip = global_options(&ctl, argc, argv), status, n = 0;

	argc -= skip;
	argv += skip;
	if (argc == 0) {
		print_help(stderr, NULL);
		return EX_USAGE;
	}
	for (int i = 0; i < N_COMMANDS; i++) {
		int matched = words_matched(&commands[i], argc, argv);

		if (matched > n) {
			n = matched;
			ctl.command = &commands[i];
		}
	}
	if (ctl.command == NULL && wants_help(argc, argv)) {
		print_help(stdout, argv[0]);
		return EX_OK;
	}
	if (ctl.command == NULL)
		unknown_command(argc, argv);
	ctl.n_arguments = argc - n;
	ctl.argument = argv + n;
	if (wants_help(ctl.n_arguments, ctl.argument)) {
		printf("usage: smtp-proxyctl [-c FILE] [--json] %s %s\n%s\n", ctl.command->words,
		       ctl.command->arguments, ctl.command->prose);
		return EX_OK;
	}
	/* The global options may stand behind the command too. */
	ctl.is_json |= ctl_flag(&ctl, "--json");
	option = ctl_option(&ctl, "-c");
	if (option != NULL)
		ctl.config_path = option;
	status = ctl.command->run(&ctl);
	settings_free(&ctl.settings);
	if (fflush(stdout) != 0 || ferror(stdout))
		ctl_fail(EX_IOERR, "cannot write to standard output");
	return status;
}
