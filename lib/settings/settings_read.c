/* SPDX-License-Identifier: Apache-2.0
 *
 * A settings file from the disk to a checked struct settings: what master and smtp-proxyctl call.
 */
#include <sys/stat.h>

#include "lib/base/fd.h"
#include "lib/settings/settings_secret.h"
#include "lib/settings/settings_yaml.h"

/* Of the file that is being read. The function below is told nothing but the value. */
static mode_t mode;

static bool resolve(struct str value, struct buf *out, struct err *warning, struct err *err)
{
	bool ok = settings_secret_resolve(value, out, warning, err);

	if (ok && (mode & SETTINGS_SECRET_READABLE) != 0 && settings_secret_is_inline(value))
		err_set(warning,
			"others than its owner can read the secret in this file (mode %04o); 0600 is safe",
			(unsigned)mode & 07777U);
	return ok;
}

bool settings_read_file(const char *path, struct settings **out, struct settings_problems *problems)
{
	struct buf bytes = BUF_MAX(SETTINGS_YAML_MAX);
	struct settings *settings = settings_new();
	struct stat st;
	struct err err;

	mode = stat(path, &st) == 0 ? st.st_mode : 0;
	settings_problem_init(problems, path);
	if (!fd_read_file(path, &bytes, &err)) {
		size_t head = strlen(path) + strlen(": ");

		settings_problem_add(problems, 0, 0, false, "", "%s",
				     strncmp(err.text, path, strlen(path)) == 0 ? err.text + head : err.text);
	} else {
		if (settings_yaml_parse(buf_str(&bytes), resolve, settings, problems))
			settings_check(settings, problems);
		settings_problem_sort(problems);
	}
	buf_clear_secret(&bytes); /* there may be secrets in it */
	if (problems->n_errors > 0)
		settings_free(&settings);
	*out = settings;
	return settings != NULL;
}
