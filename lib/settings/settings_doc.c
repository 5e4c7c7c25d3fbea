/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes the example file and the manual page from the rows of settings.def. Called by settings-doc
 * (make conf-and-man), `smtp-proxyctl config defaults` and the test that both are fresh.
 */
#include "lib/settings/settings_doc.h"

#include "lib/base/mdoc.h"
#include "lib/settings/settings_units.h"

enum { EXAMPLE_WIDTH = 96 };

/* Listed things have no defaults to show, so these are shown; without '#' a line is in effect. */
static const struct {
	const char *section, *lines;
} things[] = {
	{"listeners", "  submission:\n    port: 587\n    tls: starttls\n"
		      "  submissions:\n    port: 465\n    tls: implicit\n"},
	{"certificates", "#  mail.example.net:\n#    certificate_file: /etc/smtp-proxy/mail.example.net.pem\n"},
	/* The hash of a password that nobody knows. */
	{"users", "#  app@acme.example:\n#    password: $y$j9T$No4.rFw0AmIdfSpemc5sI7c0kT.wzZpRbWLh"
		  "ypXh4o1$AeRpiCg8zthUY03qECmOzWW6onYUfoY2LzNyzg6LRAB\n#    tenant: acme\n#    senders: \"@acme.example\"\n"},
	{"tenants", "#  acme:\n#    provider: sendgrid\n"},
	{"providers", "#  local:\n#    type: file\n#    directory: /var/spool/smtp-proxy\n"
		      "#  sendgrid:\n#    type: sendgrid\n#    api_key: file:/etc/smtp-proxy/sendgrid.key\n"
		      "#  ses:\n#    type: ses\n#    region: us-east-1\n"
		      "#    access_key_id: AKIAIOSFODNN7EXAMPLE\n"
		      "#    secret_access_key: ${SES_SECRET_ACCESS_KEY}\n"},
};

/* What a value may be, in words. */
static void put_allowed(const struct settings_row *row, struct buf *out)
{
	struct str rest = str_of(row->allowed), one;
	const char *dots = strstr(row->allowed, "..");
	bool is_first = true;

	if (row->type == SETTINGS_BOOL) {
		buf_put_text(out, "true or false");
	} else if (settings_units_has(row->type)) {
		buf_printf(out, "%.*s to %s", (int)(dots - row->allowed), row->allowed, dots + 2);
	} else if (row->type == SETTINGS_CHOICE) {
		for (; str_next(&rest, '|', &one); is_first = false)
			buf_printf(out, "%s%.*s", is_first ? "" : rest.p == NULL ? " or " : ", ",
				   STR_ARG(one));
	} else if (row->type == SETTINGS_PATH) {
		buf_put_text(out, row->fallback[0] == '\0' || row->allowed[0] != '\0' ? "an absolute path, or empty"
											  : "an absolute path");
	} else {
		buf_printf(out, "%s of at most %s bytes", row->type == SETTINGS_SECRET ? "a secret" : "text",
			   row->allowed[0] != '\0' ? row->allowed : "4096");
	}
}

/* As it is written in YAML: quoted where a plain scalar would be empty or something else. */
static void put_value(const struct settings_row *row, struct buf *out)
{
	bool quoted = row->fallback[0] == '\0' || strchr(row->fallback, ':') != NULL;

	buf_printf(out, "%s%s%s", quoted ? "\"" : "", row->fallback, quoted ? "\"" : "");
}

/* Words as comment lines, wrapped. */
static void put_comment(const char *indent, struct str words, struct buf *out)
{
	size_t column = 0;
	struct str word;

	while (str_next(&words, ' ', &word)) {
		if (column > 0 && column + 1 + word.n > EXAMPLE_WIDTH) {
			buf_put_char(out, '\n');
			column = 0;
		}
		if (column == 0) {
			buf_printf(out, "%s# ", indent);
			column = strlen(indent) + 2;
		} else {
			buf_put_char(out, ' ');
			column++;
		}
		buf_put_str(out, word);
		column += word.n;
	}
	buf_put_char(out, '\n');
}

static void put_example_row(const struct settings_row *row, struct buf *out)
{
	struct buf words = BUF_MAX(4096);

	if (row->list != NULL)
		buf_printf(&words, "%s: ", row->name);
	buf_put_text(&words, row->prose);
	put_comment("  ", buf_str(&words), out);
	buf_reset(&words);
	buf_put_text(&words, "Default: ");
	put_value(row, &words);
	buf_put_text(&words, ". Allowed: ");
	put_allowed(row, &words);
	buf_put_text(&words, row->when == SETTINGS_RESTART ? ". Needs a restart." : ".");
	put_comment("  ", buf_str(&words), out);
	buf_clear(&words);
	if (row->list == NULL) {
		buf_printf(out, "#  %s: ", row->name);
		put_value(row, out);
		buf_put_char(out, '\n');
	}
	buf_put_char(out, '\n');
}

static void put_things(const char *section, struct buf *out)
{
	for (size_t i = 0; i < sizeof(things) / sizeof(things[0]); i++)
		if (strcmp(things[i].section, section) == 0)
			buf_put_text(out, things[i].lines);
}

void settings_doc_example(struct buf *out)
{
	buf_put_text(out, "# Settings of smtp-proxy: all there are, with their defaults. main.yaml(5) is the manual.\n"
			  "# Take the # at the beginning of a line away to set something, then ask\n"
			  "# `smtp-proxyctl config check`. A reload (SIGHUP) applies what does not need a restart.\n"
			  "# Made from lib/settings/settings.def by `make conf-and-man`.\n");
	for (size_t i = 0; i < settings_n_sections; i++) {
		const struct settings_section *section = &settings_sections[i];

		if (i == 0 || settings_sections[i - 1].list != NULL)
			buf_put_char(out, '\n');
		put_comment("", str_of(section->prose), out);
		if (section->list != NULL)
			buf_printf(out, "# Each has a name of your choice; at most %zu.\n",
				   section->list->most);
		buf_printf(out, "%s:\n", section->name);
		for (size_t j = 0; j < settings_n_rows; j++)
			if (strcmp(settings_rows[j].section, section->name) == 0)
				put_example_row(&settings_rows[j], out);
		put_things(section->name, out);
	}
}

static void put_manual_row(const struct settings_row *row, struct buf *out)
{
	struct buf words = BUF_MAX(4096);

	buf_printf(out, ".It Ic %s\n", row->name);
	mdoc_put(out, str_of(row->prose));
	buf_put_text(&words, "Default: ");
	put_value(row, &words);
	buf_put_text(&words, ". Allowed: ");
	put_allowed(row, &words);
	buf_put_text(&words, row->when == SETTINGS_RESTART ? ". Needs a restart." : ".");
	buf_put_text(out, ".Pp\n");
	mdoc_put(out, buf_str(&words));
	buf_clear(&words);
}

static const char manual_head[] =
	".\\\" SPDX-License-Identifier: Apache-2.0\n"
	".\\\" Made from lib/settings/settings.def by `make conf-and-man`: change that.\n"
	".Dd November 22, 2026\n"
	".Dt MAIN.YAML 5\n"
	".Os smtp-proxy\n"
	".Sh NAME\n"
	".Nm main.yaml\n"
	".Nd settings of smtp-proxy\n"
	".Sh DESCRIPTION\n"
	".Nm\n"
	"is a YAML file of at most 1 MiB.\n"
	"It has sections, and in them settings, one a line:\n"
	".Bd -literal -offset indent\n"
	"smtpd:\n"
	"  message_size: 25MiB\n"
	".Ed\n"
	".Pp\n"
	"A setting that is left out has its default.\n"
	"What is not known is an error, as is a name that is given twice.\n"
	"Tags, aliases and further YAML documents are not understood.\n"
	".Ic smtp-proxyctl config check\n"
	"says everything that is wrong in a file, with line and column, and ends with status 78;\n"
	".Ic smtp-proxyctl config show\n"
	"prints what is in effect.\n"
	".Ss Values\n"
	".Bl -tag -width Ds\n"
	".It durations\n"
	"A whole number and its unit: us, ms, s, m (minutes), h or d (days), such as 30s.\n"
	".It sizes\n"
	"A whole number and its unit: B, KiB, MiB, GiB (1024 times the one before), or KB, MB, GB (1000 times).\n"
	".It paths\n"
	"Absolute.\n"
	".It secrets\n"
	"The secret itself;\n"
	".Ql file: Ns Ar PATH\n"
	"for the contents of a file, without the newline at its end;\n"
	"or\n"
	".Ql ${ Ns Ar NAME Ns }\n"
	"for an environment variable.\n"
	"A file that others than its owner can read is warned about: that one, and main.yaml with a secret itself in it.\n"
	"No command shows a secret.\n"
	".El\n"
	".Ss Changes\n"
	"On SIGHUP the file is read again.\n"
	"With an error in it, nothing changes.\n"
	"Settings that need a restart keep their old value until then, and the log says which they are.\n"
	".Sh SETTINGS\n";

void settings_doc_manual(struct buf *out)
{
	buf_put_text(out, manual_head);
	for (size_t i = 0; i < settings_n_sections; i++) {
		const struct settings_section *section = &settings_sections[i];

		buf_printf(out, ".Ss %s\n", section->name);
		mdoc_put(out, str_of(section->prose));
		if (section->list != NULL)
			buf_printf(out,
				   "Each has a name of your choice (letters, digits, and . _ \\- @ +) with its "
				   "settings below it;\nat most %zu.\n",
				   section->list->most);
		buf_put_text(out, ".Bl -tag -width Ds\n");
		for (size_t j = 0; j < settings_n_rows; j++)
			if (strcmp(settings_rows[j].section, section->name) == 0)
				put_manual_row(&settings_rows[j], out);
		buf_put_text(out, ".El\n");
	}
	buf_put_text(out, ".Sh FILES\n.Bl -tag -width Ds\n.It Pa /etc/smtp-proxy/main.yaml\n"
			  "Where it is looked for unless\n.Fl c\nsays otherwise.\n.El\n"
			  ".Sh SEE ALSO\n.Xr smtp-proxy-replies 7 ,\n.Xr smtp-proxy 8 ,\n.Xr smtp-proxyctl 8\n");
}
