/* SPDX-License-Identifier: Apache-2.0
 *
 * The fields of arbitrary bytes: they lie one behind the other, and the two who read headers, at once and as they stream
 * by, agree on what is one.
 */
#include "lib/base/trouble.h"
#include "lib/smtp/smtp_header.h"
#include "lib/smtp/smtp_mime.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_field(const struct smtp_header_field *f)
{
	must(f->whole.n > 0 && f->label.n <= f->whole.n && f->body.n <= f->whole.n);
	must(f->name.n <= f->label.n && (f->name.n == 0 || smtp_header_is(f, f->name, false)));
	for (size_t i = 0; i < f->name.n; i++)
		must(f->name.p[i] > ' ' && f->name.p[i] <= '~' && f->name.p[i] != ':');
	must(f->name.n == 0 || !smtp_header_is_begun(f->name) || smtp_header_name(f->whole).n == f->name.n);
}

/* Those in front of `end`, as far as they have names. */
static size_t named(struct str message, size_t end)
{
	struct str rest = str_first(message, end);
	struct smtp_header_field f;

	while (smtp_header_next(&rest, &f) && f.name.n > 0)
		;
	return end - rest.n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str message = str_bytes(data, size), rest = message;
	static const struct smtp_mime_limits none = {0};
	struct smtp_header_field f;
	struct smtp_mime mime;

	while (smtp_header_next(&rest, &f)) {
		check_field(&f);
		must(f.whole.p + f.whole.n == rest.p);
	}
	smtp_mime_begin(&mime, &none);
	smtp_mime_take(&mime, message);
	smtp_mime_end(&mime);
	must(mime.header_end <= size && named(message, (size_t)mime.header_end) == mime.header_end);
	smtp_mime_clear(&mime);
	return 0;
}
