/* SPDX-License-Identifier: Apache-2.0
 *
 * A settings file from the disk to a checked struct settings: what master and smtp-proxyctl call.
 */
#include "lib/base/fd.h"
#include "lib/settings/settings_secret.h"
#include "lib/settings/settings_yaml.h"

bool settings_read_file(const char *path, struct settings **out, struct settings_problems *problems)
{
	struct buf bytes = BUF_MAX(SETTINGS_YAML_MAX);
	struct settings *settings = settings_new();
	struct err err;

	settings_problem_init(problems, path);
	if (!fd_read_file(path, &bytes, &err)) {
		size_t head = strlen(path) + strlen(": ");

		settings_problem_add(problems, 0, 0, false, "", "%s",
				     strncmp(err.text, path, strlen(path)) == 0 ? err.text + head : err.text);
	} else {
		if (settings_yaml_parse(buf_str(&bytes), settings_secret_resolve, settings, problems))
			settings_check(settings, problems);
		settings_problem_sort(problems);
	}
	buf_clear_secret(&bytes); /* there may be secrets in it */
	if (problems->n_errors > 0)
		settings_free(&settings);
	*out = settings;
	return settings != NULL;
}
