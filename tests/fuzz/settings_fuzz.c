/* SPDX-License-Identifier: Apache-2.0
 *
 * Drives the reader and the checks of main.yaml, then the wire form of what was read. Secrets are taken
 * as they stand: a fuzzer opens no files.
 */
#include <stdlib.h>

#include "lib/base/trouble.h"
#include "lib/settings/settings_wire.h"
#include "lib/settings/settings_yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool as_it_stands(struct str value, struct buf *out, struct err *warning, struct err *err)
{
	warning->text[0] = '\0';
	return buf_put_str(out, value) || err_set(err, "too large");
}

static void wire(const struct settings *settings, unsigned role)
{
	struct buf out = BUF_MAX(SETTINGS_WIRE_MAX);
	struct settings *again;
	struct err err;

	if (settings_wire_put(settings, role, &out)) {
		again = settings_wire_get(buf_str(&out), &err);
		must(again != NULL);
		settings_free(&again);
	}
	buf_clear_secret(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct settings_problems problems;
	struct settings *settings = settings_new(), *received;
	struct err err;

	if (size > SETTINGS_YAML_MAX)
		size = SETTINGS_YAML_MAX;
	settings_problem_init(&problems, "fuzz");
	if (settings_yaml_parse(str_bytes(data, size), as_it_stands, settings, &problems))
		settings_check(settings, &problems);
	else
		must(problems.n_errors > 0);
	settings_problem_sort(&problems);
	for (size_t i = 0; i < problems.n; i++) {
		struct buf line = BUF_MAX(4096);

		settings_problem_format(&problems, i, &line);
		must(!line.is_full);
		buf_clear(&line);
	}
	settings_problem_clear(&problems);
	for (unsigned role = 1; role <= 5; role++)
		wire(settings, role);
	settings_free(&settings);
	received = settings_wire_get(str_bytes(data, size), &err);
	settings_free(&received);
	return 0;
}
