/* SPDX-License-Identifier: Apache-2.0
 *
 * settings-doc example|manual: prints conf/main.yaml or man/main.yaml.5. Only `make conf-and-man` runs
 * it; it is not installed.
 */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "lib/settings/settings_doc.h"

int main(int argc, char **argv)
{
	struct buf out = BUF_MAX(1 << 20);
	bool ok;

	if (argc != 2 || (strcmp(argv[1], "example") != 0 && strcmp(argv[1], "manual") != 0)) {
		fputs("usage: settings-doc example|manual\n", stderr);
		return EX_USAGE;
	}
	if (strcmp(argv[1], "example") == 0)
		settings_doc_example(&out);
	else
		settings_doc_manual(&out);
	ok = fwrite(out.p, 1, out.n, stdout) == out.n && fflush(stdout) == 0;
	buf_clear(&out);
	return ok ? EX_OK : EX_IOERR;
}
