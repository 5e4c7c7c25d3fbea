/* SPDX-License-Identifier: Apache-2.0
 *
 * Command lines: every part that comes out lies within the line.
 */
#include "lib/smtp/smtp_command.h"

#include "lib/base/trouble.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must_lie_within(struct str part, struct str whole)
{
	must(part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str line = str_bytes(data, size), path, parameters, name, value;
	struct smtp_command c;

	smtp_command_split(line, &c);
	must_lie_within(c.verb, line);
	must_lie_within(c.argument, line);
	if (!smtp_command_path(c.argument, STR("FROM"), &path, &parameters) &&
	    !smtp_command_path(c.argument, STR("TO"), &path, &parameters))
		return 0;
	must_lie_within(path, line);
	must_lie_within(parameters, line);
	while (smtp_command_next_parameter(&parameters, &name, &value) == SMTP_COMMAND_PARAMETER) {
		must(name.n > 0);
		must_lie_within(name, line);
		must_lie_within(value, line);
	}
	return 0;
}
