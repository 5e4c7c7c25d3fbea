/* SPDX-License-Identifier: Apache-2.0
 *
 * smtp-proxyctl: what its subcommands share. A subcommand is a row of ctl_commands.def (which also
 * declares its function) and that function, in the file of its first word: ctl_queue.c has ctl_queue_list().
 *
 * Wherever a subcommand cannot go on it calls ctl_fail(), which ends the program: statuses are those of
 * sysexits.h (64 usage, 65 data, 69 unavailable, 75 try again later, 78 settings).
 */
#ifndef CTL_CTL_H
#define CTL_CTL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdnoreturn.h>
#include <sysexits.h>

#include "lib/base/str.h"
#include "lib/settings/settings.h"

struct ctl_command;

struct ctl {
	const char *config_path; /* -c FILE */
	bool is_json;		 /* --json */
	const struct ctl_command *command;
	int n_arguments; /* what follows the subcommand's words, not yet taken */
	char **argument;
	struct settings *settings; /* by ctl_settings() */
};

struct ctl_command {
	const char *words;     /* "db migrate" */
	const char *arguments; /* for the usage line: "TENANT [--all]" */
	const char *prose;     /* one line, a sentence */
	int (*run)(struct ctl *ctl); /* returns the exit status */
};

/* The settings, read and checked at the first call. With errors in the file it says all of them and
 * ends with 78. Borrowed. */
const struct settings *ctl_settings(struct ctl *ctl);

/* Arguments. First take the options, then the positional ones, then ctl_end(). What is missing, left
 * over or malformed ends the program with the usage and 64. Texts are borrowed. */
bool ctl_flag(struct ctl *ctl, const char *name);		/* "--all" */
const char *ctl_option(struct ctl *ctl, const char *name);	/* "--tenant X", "--tenant=X"; NULL: not given */
uint64_t ctl_option_u64(struct ctl *ctl, const char *name, uint64_t fallback, uint64_t min, uint64_t max);
const char *ctl_argument(struct ctl *ctl, const char *what);	/* the next one; `what` names it */
const char *ctl_optional(struct ctl *ctl);			/* the next one, or NULL */
void ctl_end(struct ctl *ctl);

/* "smtp-proxyctl: ..." on standard error, and the end. */
noreturn void ctl_fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* As ctl_fail() with 64, with the subcommand's usage below it. */
noreturn void ctl_usage(const struct ctl *ctl, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* "smtp-proxyctl: warning: ..." on standard error; goes on. */
void ctl_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Who runs this: behind sudo, the user who called it. */
const char *ctl_who(void);

/* A secret from the terminal (echo off, asked twice when `twice`) or, when standard input is no
 * terminal, its first line. The caller ends it with mem_free_secret(). */
char *ctl_read_secret(const char *prompt, bool twice);

/* The subcommands themselves. */
#define CTL(words, function, arguments, prose) int function(struct ctl *ctl);
#include "ctl/ctl_commands.def"
#undef CTL

#endif
